"""Lesson 05's tables: alignments of three variables in five networks, with every control and the truth.

    python -m vizcourse.studies.das                # about a quarter of an hour on one core; writes 05_das.json
    python -m vizcourse.studies.das --quick        # a trial with few pairs and steps that prints its answer

Pairs are those of the article: 60 a variable for training and 60 others, held out. What a row means is said in the lesson;
every share is [value, low, high], a 95 % bootstrap interval over the pairs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from vizcourse.methods import das
from vizcourse.models import load
from vizcourse.worlds import shapes

FILE = Path(__file__).with_name("05_das.json")
NETWORKS = ("resnet18-shapes", "shapes-cue-all", "shapes-cue-background", "shapes-cue-colour", "shapes-cue-type")
CUE = {"shape_colour": "colour", "background": "background", "shape_type": "type"}
SITE, DIM = "avgpool", 8
DIMS = (1, 2, 4, 8, 16, 32, 64)
LAYERS = {"resnet18-shapes": ("layer3", "layer4", "avgpool")}
SMALL_LAYERS = ("layer1", "layer2", "layer3", "avgpool")
FEW = {"resnet18-shapes": (12, 20)}  # pairs and training steps where a step runs many layers; else 18 and 30


def results() -> dict:
    """What the study found, as it was written."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def shares(scores: dict[str, das.Score]) -> dict[str, list[float]]:
    return {name: [round(number, 4) for number in (each.value, each.low, each.high)] for name, each in scores.items()}


def pictures(size: int, count: int) -> dict:
    """The pairs of each variable: split -> variable -> base, source, counterfactual labels. The base pictures are the same."""
    drawn = {}
    for split in ("intervention", "intervention_test"):
        pairs = {variable: shapes.pairs(variable, count, seed=0, split=split) for variable in shapes.VARIABLES}
        base = shapes.render(pairs["background"].base, size)
        drawn[split] = {
            name: (base, shapes.render(each.source, size), each.counterfactual_labels) for name, each in pairs.items()
        }
        # The other way to choose sources: an ordinary picture of the other class, in which all cues agree.
        new = [shapes.CLASSES[label] for label in pairs["background"].counterfactual_labels]
        source = shapes.sample(count, seed=1, split=split, classes=new)
        drawn[split]["all cues"] = (base, shapes.render(source, size), pairs["background"].counterfactual_labels)
    return drawn


def sites(model, layer: str, drawn: dict, count: int | None = None) -> dict:
    """split -> variable -> (site, labels)."""
    return {
        split: {name: (das.Site(model, layer, base[:count], source[:count]), labels[:count])
                for name, (base, source, labels) in variables.items()}
        for split, variables in drawn.items()
    }  # fmt: skip


def truth(model, count: int) -> dict[str, list[float]]:
    """Which cue the network follows where the three disagree: the share of pictures answered by each."""
    conflict = shapes.cue_conflict(count, seed=5)
    images = shapes.render(conflict.pictures, model.input_size)
    with torch.no_grad():
        answers = torch.cat([model(some).argmax(1) for some in images.split(32)])
    return shares({cue: das.score((answers == getattr(conflict, cue)).double()) for cue in shapes.CUES})


def table(model, trained: dict, untrained: dict, training: dict) -> dict:
    rows = {}
    for variable in (*shapes.VARIABLES, "all cues"):
        (site, labels), held = trained["intervention"][variable], trained["intervention_test"][variable]
        there, held_there = untrained["intervention"][variable], untrained["intervention_test"][variable]
        others = [name for name in shapes.VARIABLES if name != variable] if variable != "all cues" else []
        other_sites = [trained["intervention_test"][name][0] for name in others]
        row = das.controls(
            site, labels, held, dim=DIM, untrained=(there[0], held_there[0]), others=other_sites, **training
        )
        for number, name in enumerate(others, start=1):
            row[f"off target: {name}"] = row.pop(f"off target {number}")
        row["untrained network, full swap"] = das.full_swap(*held_there)
        row["linear map"] = das.align_at(site, labels, dim=DIM, kind="linear", **training).score(*held)
        for kind, one, other, weight in [
            ("", trained, held, model.fc.weight),
            ("untrained network, ", untrained, held_there, there[0].model.fc.weight),
        ]:
            alignment = das.align_at(one["intervention"][variable][0], labels, dim=DIM, **training)
            for part, frame in zip(("row", "null"), das.row_null_split(alignment.rotation, weight), strict=True):
                row[f"{kind}{part} space alone"] = das.score(other[0].hits([frame], other[1]))
        rows[variable] = shares(row)
        rows[variable]["held out, five seeds"] = [
            round(das.align_at(site, labels, dim=DIM, seed=seed, **training).score(*held).value, 4) for seed in range(5)
        ]
        boundless = das.align_boundless(site, labels, penalty=0.5, steps=2 * training["steps"], progress=False)
        rows[variable]["boundless"] = {
            "width": boundless.dims[0], "channels": site.size, **shares({"held out": boundless.score(*held)}),
        }  # fmt: skip
    return rows


def dimensions(trained: dict, untrained: dict, training: dict) -> dict:
    rows = {}
    for variable in shapes.VARIABLES:
        curves = []
        for one in (trained, untrained):
            (site, labels), held = one["intervention"][variable], one["intervention_test"][variable]
            curves.append(das.dimension_sweep(site, labels, held, DIMS, **training))
        rows[variable] = {
            str(dim): shares({**curves[0][dim], "untrained network": curves[1][dim]["held out"]}) for dim in DIMS
        }
    return rows


def layer_curves(model, untrained, drawn: dict, layers: tuple[str, ...], count: int, training: dict) -> dict:
    rows: dict = {}
    for layer in layers:
        here, there = sites(model, layer, drawn, count), sites(untrained, layer, drawn, count)
        for variable in shapes.VARIABLES:
            (site, labels), held = here["intervention"][variable], here["intervention_test"][variable]
            scores = {
                "held out": das.align_at(site, labels, dim=DIM, **training).score(*held),
                "full swap": das.full_swap(*held),
                "random subspace": das.random_subspace(*held, DIM, draws=3),
            }
            one, other = there["intervention"][variable], there["intervention_test"][variable]
            scores["untrained network"] = das.align_at(*one, dim=DIM, **training).score(*other)
            rows.setdefault(variable, {})[layer] = shares(scores)
    return rows


def places(model, drawn: dict, count: int, training: dict) -> dict:
    """Aligned at the places of the left half of layer2, interchanged at the left, the right and everywhere."""
    here = sites(model, "layer2", drawn, count)
    rows = {}
    for variable in shapes.VARIABLES:
        (site, labels), (held, held_labels) = here["intervention"][variable], here["intervention_test"][variable]
        height, width = site.activation.shape[2:]
        left = (torch.arange(width) < width // 2).expand(height, width)
        alignment = das.align_at(site.at(left), labels, dim=DIM, **training)
        scores = {}
        for name, positions in [("left, seen", left), ("right, held out", ~left), ("everywhere", None)]:
            scores[name] = alignment.score(held.at(positions), held_labels)
            scores[f"full swap: {name.split(',')[0]}"] = das.full_swap(held.at(positions), held_labels)
        rows[variable] = shares(scores)
    return rows


def study(networks: tuple[str, ...] = NETWORKS, *, quick: bool = False) -> dict:
    """All tables. ``quick`` takes 6 pairs and 5 steps."""
    count, steps = (6, 5) if quick else (60, 200)
    training = {"steps": steps, "progress": False}
    found: dict = {"pairs": count, "dim": DIM, "site": SITE, "steps": steps, "networks": {}}
    for name in networks:
        model, untrained = load(name), load(name, random=True)
        drawn = pictures(model.input_size, count)
        trained_sites, untrained_sites = sites(model, SITE, drawn), sites(untrained, SITE, drawn)
        small = name != "resnet18-shapes"
        few, few_steps = (min(pair) for pair in zip((count, steps), FEW.get(name, (18, 30)), strict=True))
        some = {"steps": few_steps, "progress": False}
        entry = {
            "truth": truth(model, 12 if quick else 300 if small else 120),
            "table": table(model, trained_sites, untrained_sites, training),
            "dimensions": dimensions(trained_sites, untrained_sites, training),
        }
        entry["layers"] = layer_curves(model, untrained, drawn, LAYERS.get(name, SMALL_LAYERS), few, some)
        entry["layers of"] = {"pairs": few, "steps": some["steps"]}
        if small:
            entry["places"] = places(model, drawn, few, some)
        found["networks"][name] = entry
        print(name, "done", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few pairs and steps; print and write nothing")
    parser.add_argument("--network", choices=NETWORKS, help="this one only, put into the file beside the others")
    options = parser.parse_args()
    found = study((options.network,) if options.network else NETWORKS, quick=options.quick)
    if options.quick:
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return
    if options.network and FILE.exists():
        before = json.loads(FILE.read_text(encoding="utf-8"))
        found["networks"] = {**before["networks"], **found["networks"]}
    found["networks"] = {name: found["networks"][name] for name in NETWORKS if name in found["networks"]}
    FILE.write_text(json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
