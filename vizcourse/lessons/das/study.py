"""Lesson 05's tables: alignments of three variables in five networks, with every control and the truth.

    python -m vizcourse.lessons.das.study                # about ten minutes on one core; writes study.json
    python -m vizcourse.lessons.das.study --quick        # a trial with few pairs and steps that prints its answer

Pairs are those of the article: 60 a variable for training and 60 others, held out (fewer where each pair is costly; the numbers
are in the file). What a row means is said in the lesson; every share is [value, low, high], a 95 % bootstrap interval over the
pairs. The file is written after each part, and a second call goes on where the first ended; `--again` starts afresh.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from vizcourse.methods import das
from vizcourse.models import load
from vizcourse.worlds import photos, shapes

FILE = Path(__file__).with_name("study.json")
NETWORKS = ("resnet18-shapes", "shapes-cue-all", "shapes-cue-background", "shapes-cue-colour", "shapes-cue-type")
#: The article's three variables, and "all cues": sources that are ordinary pictures of the other class.
VARIABLES = (*shapes.VARIABLES, "all cues")
SITE, DIM, PAIRS, STEPS = "avgpool", 8, 60, 200
DIMS = (1, 2, 4, 8, 16, 32, 64)
#: Pairs and training steps where a step runs many layers.
FEW = {"resnet18-shapes": (12, 25)}
LAYERS = {"resnet18-shapes": ("layer1", "layer3", "avgpool")}
#: The network for photographs, which has no table: left out where CIFAR-10 is not there.
PHOTOS = "resnet20-cifar10"


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
            self.sites.append(das.Site(model, base, sources, layer))
            self.labels.append(labels)

    def seen(self, variable: str) -> tuple[das.Site, torch.Tensor]:
        return self.sites[0].only(VARIABLES.index(variable)), self.labels[0]

    def held_out(self, variable: str) -> tuple[das.Site, torch.Tensor]:
        return self.sites[1].only(VARIABLES.index(variable)), self.labels[1]

    def align(self, variable: str, **training) -> das.Alignment:
        return das.align_at(*self.seen(variable), progress=False, **{"dim": DIM, "steps": STEPS, **training})


#: What sources may be in a line of a forged table: one cue changed, or an ordinary picture of the other class.
SOURCES = ("one cue", "ordinary")
CUE_OF = {"shape_colour": "colour", "background": "background", "shape_type": "type"}


@dataclass(frozen=True)
class Line:
    """One line of a Table 5: what was chosen for it, and its IIA on held-out pairs."""

    cue: str
    layer: str
    dim: int
    sources: str
    iia: das.Score
    alignment: das.Alignment = field(repr=False, default=None)
    case: Case = field(repr=False, default=None)

    def __str__(self) -> str:
        return f"{self.cue}: {self.dim} dimensions of {self.layer}, sources {self.sources}: IIA {self.iia}"

    def controls(self) -> dict[str, das.Score]:
        """Four controls, on held-out pairs."""
        variable = next(name for name, cue in CUE_OF.items() if cue == self.cue)
        site, labels = self.case.held_out(variable if self.sources == "one cue" else "all cues")
        return {
            "random subspaces": das.random_subspace(site, labels, self.dim, draws=3),
            "full swap": das.full_swap(site, labels),
            "the same subspace, one cue": self.alignment.score(*self.case.held_out(variable)),
            "full swap, one cue": das.full_swap(*self.case.held_out(variable)),
        }


def line(cue: str, layer: str = SITE, dim: int = DIM, sources: str = "one cue", name: str = "shapes-cue-colour") -> Line:
    """A line of a Table 5, with the choices that the article leaves open: 18 pairs for the search and 18 held out."""
    for value, allowed in ((cue, shapes.CUES), (sources, SOURCES)):
        if value not in allowed:
            raise ValueError(f"Choose one of {', '.join(map(repr, allowed))}, not {value!r}.")
    case = Case(load(name), layer, 18)
    variable = next(each for each, own in CUE_OF.items() if own == cue) if sources == "one cue" else "all cues"
    alignment = case.align(variable, dim=dim, steps=STEPS if layer == SITE else 30)
    return Line(cue, layer, dim, sources, alignment.score(*case.held_out(variable)), alignment, case)


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


def class_dimensions(name: str, quick: bool) -> dict:
    """How many dimensions carry the class of a photograph: IIA by dimension, with other photographs as the sources."""
    pictures, classes, _ = photos.cifar10("test", limit=100 if quick else 1600)
    parts = (50, 50) if quick else (600, 1000)
    dims, steps = ((2,), 5) if quick else (range(1, 13), STEPS)
    rows: dict = {"pairs": parts[1]}
    for key, random in (("trained", False), ("untrained", True)):
        model = load(name, random=random)
        seen, held = (das.Site(model, part, part.roll(1, 0), SITE) for part in pictures.split(parts))
        wanted, held_labels = (part.roll(1) for part in classes.split(parts))
        scores = {"full swap": das.full_swap(held, held_labels)}
        for dim in dims:
            found = das.align_at(seen, wanted, dim=dim, steps=steps, progress=False)
            scores[str(dim)] = found.score(held, held_labels)
            scores[f"random {dim}"] = das.random_subspace(held, held_labels, dim)
        rows[key] = shares(scores)
    return rows


#: The parts of the study, in the order in which they are run, and for which networks.
PARTS = {
    "truth": (lambda name, quick: truth(load(name), 12 if quick else 120), NETWORKS),
    "table": (table, NETWORKS),
    "dimensions": (dimensions, ("shapes-cue-colour", "shapes-cue-all", "resnet18-shapes")),
    "layers": (layers, ("shapes-cue-colour", "shapes-cue-type", "shapes-cue-all", "resnet18-shapes")),
    "places": (places, ("shapes-cue-colour", "shapes-cue-all")),
    "class dimensions": (class_dimensions, (PHOTOS,)),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few pairs and steps; print and write nothing")
    parser.add_argument("--again", action="store_true", help="forget what is in the file")
    parser.add_argument("--network", choices=(*NETWORKS, PHOTOS), help="this one only")
    parser.add_argument("--part", choices=PARTS, help="this one only")
    options = parser.parse_args(arguments)
    if options.again:
        FILE.unlink(missing_ok=True)
    for part, (measure, networks) in PARTS.items():
        for name in networks:
            if options.network not in (None, name) or options.part not in (None, part):
                continue
            found = results() if FILE.exists() else {"networks": {}}
            if not options.quick and part in found["networks"].get(name, {}):
                continue
            try:
                measured = measure(name, options.quick)
            except photos.PhotosUnavailable as reason:
                print(f"{part} is left out: {reason}", flush=True)
                continue
            print(part, name, json.dumps(measured, ensure_ascii=False) if options.quick else "done", flush=True)
            if not options.quick:  # read again, because another process may have added its part meanwhile
                found = results() if FILE.exists() else found
                found |= {"pairs": PAIRS, "dim": DIM, "site": SITE, "steps": STEPS}
                found["networks"].setdefault(name, {})[part] = measured
                order = (*NETWORKS, PHOTOS)
                found["networks"] = {known: found["networks"][known] for known in order if known in found["networks"]}
                FILE.write_text(json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
