"""Lesson 05's tables: alignments of three variables in five networks, with every control and the truth.

    python -m vizcourse.studies.das                # about ten minutes on one core; writes 05_das.json
    python -m vizcourse.studies.das --quick        # a trial with few pairs and steps that prints its answer

Pairs are those of the article: 60 a variable for training and 60 others, held out (fewer where each pair is costly; the numbers
are in the file). What a row means is said in the lesson; every share is [value, low, high], a 95 % bootstrap interval over the
pairs. The file is written after each part, and a second call goes on where the first ended; `--again` starts afresh.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from vizcourse.methods import das
from vizcourse.models import load
from vizcourse.worlds import shapes

FILE = Path(__file__).with_name("05_das.json")
NETWORKS = ("resnet18-shapes", "shapes-cue-all", "shapes-cue-background", "shapes-cue-colour", "shapes-cue-type")
#: The article's three variables, and "all cues": sources that are ordinary pictures of the other class.
VARIABLES = (*shapes.VARIABLES, "all cues")
SITE, DIM, PAIRS, STEPS = "avgpool", 8, 60, 200
DIMS = (1, 2, 4, 8, 16, 32, 64)
#: Pairs and training steps where a step runs many layers.
FEW = {"resnet18-shapes": (12, 25)}
LAYERS = {"resnet18-shapes": ("layer1", "layer3", "avgpool")}


def results() -> dict:
    """What the study found, as it was written."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def shares(scores: dict[str, das.Score]) -> dict[str, list[float]]:
    return {name: [round(number, 4) for number in (each.value, each.low, each.high)] for name, each in scores.items()}


def pictures(split: str, size: int, count: int) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
    """Base pictures, the sources of each variable, and the counterfactual labels, which are the same for all."""
    pairs = [shapes.pairs(variable, count, seed=0, split=split) for variable in shapes.VARIABLES]
    labels = pairs[0].counterfactual_labels
    ordinary = shapes.sample(count, seed=1, split=split, classes=[shapes.CLASSES[label] for label in labels])
    sources = [shapes.render(each, size) for each in [*(pair.source for pair in pairs), ordinary]]
    return shapes.render(pairs[0].base, size), sources, labels


class Case:
    """One network, trained or not, at one layer: its sites for training and held out."""

    def __init__(self, model, layer: str, count: int) -> None:
        self.model = model
        self.sites, self.labels = [], []
        for split in ("intervention", "intervention_test"):
            base, sources, labels = pictures(split, model.input_size, count)
            self.sites.append(das.Site(model, layer, base, sources))
            self.labels.append(labels)

    def seen(self, variable: str) -> tuple[das.Site, torch.Tensor]:
        return self.sites[0].only(VARIABLES.index(variable)), self.labels[0]

    def held_out(self, variable: str) -> tuple[das.Site, torch.Tensor]:
        return self.sites[1].only(VARIABLES.index(variable)), self.labels[1]

    def align(self, variable: str, **training) -> das.Alignment:
        return das.align_at(*self.seen(variable), progress=False, **{"dim": DIM, "steps": STEPS, **training})


def truth(model, count: int) -> dict[str, list[float]]:
    """Which cue the network follows where the three disagree: the share of pictures answered by each."""
    conflict = shapes.cue_conflict(count, seed=5)
    with torch.no_grad():
        answers = torch.cat([model(some).argmax(1) for some in shapes.render(conflict.pictures, model.input_size).split(32)])
    return shares({cue: das.score((answers == getattr(conflict, cue)).double()) for cue in shapes.CUES})


def table(name: str, quick: bool) -> dict:
    """Each variable with all its controls, at the input of the classifier."""
    steps = 5 if quick else STEPS
    trained = Case(load(name), SITE, 6 if quick else PAIRS)
    untrained = Case(load(name, random=True), SITE, 6 if quick else 24 if name in FEW else PAIRS)
    rows: dict = {}
    for variable in VARIABLES:
        held, held_there = trained.held_out(variable), untrained.held_out(variable)
        others = [other for other in shapes.VARIABLES if other != variable and variable != "all cues"]
        other_sites = [trained.held_out(other)[0] for other in others]
        row = das.controls(*trained.seen(variable), held, dim=DIM, others=other_sites, steps=steps, progress=False)
        for number, other in enumerate(others, start=1):
            row[f"off target: {other}"] = row.pop(f"off target {number}")
        alignment, there = trained.align(variable, steps=steps), untrained.align(variable, steps=steps)
        row["untrained network"] = there.score(*held_there)
        row["untrained network, full swap"] = das.full_swap(*held_there)
        row["linear map"] = trained.align(variable, steps=steps, kind="linear").score(*held)
        for prefix, found, (site, labels) in [("", alignment, held), ("untrained network, ", there, held_there)]:
            for part, frame in zip(("row", "null"), das.row_null_split(found.rotation, found.model.fc.weight), strict=True):
                row[f"{prefix}{part} space alone"] = das.score(site.hits([frame], labels))
        rows[variable] = shares(row)
        seeds = [trained.align(variable, steps=steps, seed=seed).score(*held).value for seed in (1, 2)]
        rows[variable]["held out, other seeds"] = [round(value, 4) for value in seeds]
        if name not in FEW:
            boundless = das.align_boundless(*trained.seen(variable), penalty=0.5, steps=steps, progress=False)
            rows[variable]["boundless"] = {"width": boundless.dims[0], **shares({"held out": boundless.score(*held)})}
    return rows


def dimensions(name: str, quick: bool) -> dict:
    """IIA by the dimension of the subspace, at the input of the classifier."""
    count, steps = (6, 5) if quick else (24 if name in FEW else PAIRS, STEPS)
    cases = [Case(load(name, random=random), SITE, count) for random in (False, True)]
    rows: dict = {"pairs": count}
    for variable in shapes.VARIABLES:
        settings = {"dims": DIMS, "steps": steps, "progress": False}
        curves = [das.dimension_sweep(*case.seen(variable), case.held_out(variable), **settings) for case in cases]
        rows[variable] = {
            str(dim): shares({**curves[0][dim], "untrained network": curves[1][dim]["held out"]}) for dim in DIMS
        }
    return rows


def layers(name: str, quick: bool) -> dict:
    """IIA by the layer; in resnet18-shapes for the trained network alone."""
    count, steps = (6, 5) if quick else FEW.get(name, (18, 30))
    rows: dict = {"pairs": count, "steps": steps}
    for layer in LAYERS.get(name, ("layer1", "layer2", "layer3", "avgpool")):
        case = Case(load(name), layer, count)
        there = None if name in FEW else Case(load(name, random=True), layer, count)
        for variable in shapes.VARIABLES:
            held = case.held_out(variable)
            scores = {
                "held out": case.align(variable, steps=steps).score(*held),
                "full swap": das.full_swap(*held),
                "random subspace": das.random_subspace(*held, DIM, draws=3),
            }
            if there is not None:
                scores["untrained network"] = there.align(variable, steps=steps).score(*there.held_out(variable))
            rows.setdefault(variable, {})[layer] = shares(scores)
    return rows


def places(name: str, quick: bool) -> dict:
    """Aligned at the places of the left half of layer2, and interchanged at the left, at the right and everywhere."""
    count, steps = (6, 5) if quick else (18, 30)
    case = Case(load(name), "layer2", count)
    height, width = case.sites[0].activation.shape[2:]
    left = (torch.arange(width) < width // 2).expand(height, width)
    rows: dict = {"pairs": count, "steps": steps}
    for variable in shapes.VARIABLES:
        (site, labels), (held, held_labels) = case.seen(variable), case.held_out(variable)
        alignment = das.align_at(site.at(left), labels, dim=DIM, steps=steps, progress=False)
        scores = {}
        for where, positions in [("left", left), ("right", ~left), ("everywhere", None)]:
            scores[where] = alignment.score(held.at(positions), held_labels)
            scores[f"full swap {where}"] = das.full_swap(held.at(positions), held_labels)
        rows[variable] = shares(scores)
    return rows


#: The parts of the study, in the order in which they are run, and for which networks.
PARTS = {
    "truth": (lambda name, quick: truth(load(name), 12 if quick else 120), NETWORKS),
    "table": (table, NETWORKS),
    "dimensions": (dimensions, ("shapes-cue-colour", "shapes-cue-all", "resnet18-shapes")),
    "layers": (layers, ("shapes-cue-colour", "shapes-cue-type", "shapes-cue-all", "resnet18-shapes")),
    "places": (places, ("shapes-cue-colour", "shapes-cue-all")),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few pairs and steps; print and write nothing")
    parser.add_argument("--again", action="store_true", help="forget what is in the file")
    parser.add_argument("--network", choices=NETWORKS, help="this one only")
    options = parser.parse_args(arguments)
    if options.again:
        FILE.unlink(missing_ok=True)
    for part, (measure, networks) in PARTS.items():
        for name in networks:
            if options.network not in (None, name):
                continue
            found = results() if FILE.exists() else {"networks": {}}
            if not options.quick and part in found["networks"].get(name, {}):
                continue
            measured = measure(name, options.quick)
            print(part, name, json.dumps(measured, ensure_ascii=False) if options.quick else "done", flush=True)
            if not options.quick:  # read again, because another process may have added its part meanwhile
                found = results() if FILE.exists() else found
                found |= {"pairs": PAIRS, "dim": DIM, "site": SITE, "steps": STEPS}
                found["networks"].setdefault(name, {})[part] = measured
                found["networks"] = {known: found["networks"][known] for known in NETWORKS if known in found["networks"]}
                FILE.write_text(json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
