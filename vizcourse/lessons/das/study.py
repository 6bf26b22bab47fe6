"""Lesson 05's tables: alignments of three variables in five networks, with every control and the truth; and graded networks.

Pairs are those of the article: 60 a variable for training and 60 others, held out (fewer where each pair is costly; the numbers
are in the file). What a row means is said in the lesson; every share is [value, low, high], a 95 % bootstrap interval over the
pairs. All in all it takes some ten minutes on one core, and the graded networks six more.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from vizcourse.lessons.das import graded
from vizcourse.lessons.das.graded import shares
from vizcourse.methods import das
from vizcourse.models import load
from vizcourse.studies import Cell, Part, Study
from vizcourse.worlds import photos, shapes

RESNET = "resnet18-shapes"
NETWORKS = (RESNET, "shapes-cue-all", "shapes-cue-background", "shapes-cue-colour", "shapes-cue-type")
#: The network for photographs, which has no table: left out where CIFAR-10 is not there.
PHOTOS = "resnet20-cifar10"
#: The article's three variables, and "all cues": sources that are ordinary pictures of the other class.
VARIABLES = (*shapes.VARIABLES, "all cues")
SITE, DIM, PAIRS, STEPS = "avgpool", 8, 60, 200
DIMS = (1, 2, 4, 8, 16, 32, 64)


def swaps(split: str, count: int, size: int) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
    """Base pictures, for each variable the same with that one changed, and the counterfactual labels, the same for all."""
    pairs = [shapes.pairs(variable, count, seed=0, split=split) for variable in shapes.VARIABLES]
    sources = [shapes.render(each.source, size) for each in pairs]
    return shapes.render(pairs[0].base, size), sources, pairs[0].counterfactual_labels


class Case:
    """One network, trained or not, at one layer: its sites for training and held out."""

    def __init__(self, model, layer: str, count: int) -> None:
        self.model = model
        self.sites, self.labels = [], []
        for split in ("intervention", "intervention_test"):
            base, sources, labels = swaps(split, count, model.input_size)
            ordinary = shapes.sample(count, seed=1, split=split, classes=[shapes.CLASSES[label] for label in labels])
            self.sites.append(das.Site(model, base, [*sources, shapes.render(ordinary, model.input_size)], layer))
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
    iia: das.Interval
    alignment: das.Alignment = field(repr=False, default=None)
    case: Case = field(repr=False, default=None)

    def __str__(self) -> str:
        return f"{self.cue}: {self.dim} dimensions of {self.layer}, sources {self.sources}: IIA {self.iia:.0%}"

    def controls(self) -> dict[str, das.Interval]:
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


def truth(name: str, count: int = 120) -> dict[str, list[float]]:
    """Which cue the network follows where the three disagree: the share of pictures answered by each."""
    model, conflict = load(name), shapes.cue_conflict(count, seed=5)
    with torch.no_grad():
        answers = torch.cat([model(some).argmax(1) for some in shapes.render(conflict.pictures, model.input_size).split(32)])
    return shares({cue: das.score((answers == getattr(conflict, cue)).double()) for cue in shapes.CUES})


def table(name: str, pairs: int = PAIRS, untrained_pairs: int = PAIRS, steps: int = STEPS, boundless: bool = True) -> dict:
    """Each variable with all its controls, at the input of the classifier."""
    trained = Case(load(name), SITE, pairs)
    untrained = Case(load(name, random=True), SITE, untrained_pairs)
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
        seeds = [trained.align(variable, steps=steps, seed=seed).score(*held).estimate for seed in (1, 2)]
        rows[variable]["held out, other seeds"] = [round(value, 4) for value in seeds]
        if boundless:
            found = das.align_boundless(*trained.seen(variable), penalty=0.5, steps=steps, progress=False)
            rows[variable]["boundless"] = {"width": found.dims[0], **shares({"held out": found.score(*held)})}
    return rows


def dimensions(name: str, pairs: int = PAIRS, steps: int = STEPS) -> dict:
    """IIA by the dimension of the subspace, at the input of the classifier."""
    cases = [Case(load(name, random=random), SITE, pairs) for random in (False, True)]
    rows: dict = {"pairs": pairs}
    for variable in shapes.VARIABLES:
        settings = {"dims": DIMS, "steps": steps, "progress": False}
        curves = [das.dimension_sweep(*case.seen(variable), case.held_out(variable), **settings) for case in cases]
        rows[variable] = {str(dim): shares({**curves[0][dim], "untrained network": curves[1][dim]["held out"]}) for dim in DIMS}
    return rows


def layers(
    name: str,
    sites: Sequence[str] = ("layer1", "layer2", "layer3", SITE),
    pairs: int = 18,
    steps: int = 30,
    untrained: bool = True,
) -> dict:
    """IIA by the layer."""
    rows: dict = {"pairs": pairs, "steps": steps}
    for layer in sites:
        case = Case(load(name), layer, pairs)
        there = Case(load(name, random=True), layer, pairs) if untrained else None
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


def places(name: str, pairs: int = 18, steps: int = 30, variables: Sequence[str] = shapes.VARIABLES) -> dict:
    """Aligned at the places of the left half of layer2, and interchanged at the left, at the right and everywhere."""
    case = Case(load(name), "layer2", pairs)
    height, width = case.sites[0].activation.shape[2:]
    left = (torch.arange(width) < width // 2).expand(height, width)
    rows: dict = {"pairs": pairs, "steps": steps}
    for variable in variables:
        (site, labels), (held, held_labels) = case.seen(variable), case.held_out(variable)
        alignment = das.align_at(site.at(left), labels, dim=DIM, steps=steps, progress=False)
        scores = {}
        for where, positions in [("left", left), ("right", ~left), ("everywhere", None)]:
            scores[where] = alignment.score(held.at(positions), held_labels)
            scores[f"full swap {where}"] = das.full_swap(held.at(positions), held_labels)
        rows[variable] = shares(scores)
    return rows


def class_dimensions(
    name: str,
    split: Sequence[int] = (600, 1000),
    dims: Sequence[int] = range(1, 13),
    steps: int = STEPS,
    untrained: bool = True,
) -> dict:
    """How many dimensions carry the class of a photograph: IIA by dimension, with other photographs as the sources."""
    pictures, classes, _ = photos.cifar10("test", limit=sum(split))
    rows: dict = {"pairs": split[1]}
    for key, random in (("trained", False), ("untrained", True))[: 1 + untrained]:
        model = load(name, random=random)
        seen, held = (das.Site(model, part, part.roll(1, 0), SITE) for part in pictures.split(split))
        wanted, held_labels = (part.roll(1) for part in classes.split(split))
        scores = {"full swap": das.full_swap(held, held_labels)}
        for dim in dims:
            found = das.align_at(seen, wanted, dim=dim, steps=steps, progress=False)
            scores[str(dim)] = found.score(held, held_labels)
            scores[f"random {dim}"] = das.random_subspace(held, held_labels, dim)
        rows[key] = shares(scores)
    return rows


# --- a number or two of each part, measured again ---------------------------------------------------------------------


def truth_again(name: str) -> Iterator[Cell]:
    stored, found = STUDY.stored(f"truth/{name}"), truth(name)
    yield from (Cell.within(f"decided by the {cue}", found[cue][0], stored[cue]) for cue in shapes.CUES)


def table_again(name: str) -> Iterator[Cell]:
    """Two searches and two controls, for a cue that this network chose of three, and for one that it did not."""
    case = Case(load(name), SITE, PAIRS)
    for variable in ("background", "shape_colour"):
        stored, held = STUDY.stored(f"table/{name}")[variable], case.held_out(variable)
        for what, score in (
            ("held out", case.align(variable).score(*held)),
            ("linear map", case.align(variable, kind="linear").score(*held)),
            ("full swap", das.full_swap(*held)),
            ("random subspace", das.random_subspace(*held, DIM)),
        ):
            yield Cell.within(f"{variable}, {what}", score.estimate, stored[what])


def dimensions_again(name: str) -> Iterator[Cell]:
    case, stored = Case(load(name), SITE, PAIRS), STUDY.stored(f"dimensions/{name}")["shape_colour"]
    for dim in (1, 8):
        found = case.align("shape_colour", dim=dim).score(*case.held_out("shape_colour"))
        yield Cell.within(f"{dim} dimensions", found.estimate, stored[str(dim)]["held out"])


def layers_again(name: str) -> Iterator[Cell]:
    """A search at layer3, where little is left to run, and at layer1, where a search takes long, the random subspaces."""
    stored = STUDY.stored(f"layers/{name}")
    late, early = (Case(load(name), layer, 18) for layer in ("layer3", "layer1"))
    found = late.align("background", steps=30).score(*late.held_out("background"))
    yield Cell.within("background at layer3", found.estimate, stored["background"]["layer3"]["held out"])
    by_chance = das.random_subspace(*early.held_out("shape_colour"), DIM, draws=3)
    yield Cell.within("random subspaces of layer1", by_chance.estimate, stored["shape_colour"]["layer1"]["random subspace"])


def places_again(name: str) -> Iterator[Cell]:
    stored, found = (
        each["shape_colour"] for each in (STUDY.stored(f"places/{name}"), places(name, variables=["shape_colour"]))
    )
    yield from (Cell.within(where, found[where][0], stored[where]) for where in ("left", "right", "full swap left"))


def class_dimensions_again(name: str) -> Iterator[Cell]:
    stored = STUDY.stored(f"class dimensions/{name}")["trained"]
    found = class_dimensions(name, dims=[4], untrained=False)["trained"]
    yield from (Cell.within(what, found[what][0], stored[what]) for what in ("full swap", "4"))


def untrained_again() -> Iterator[Cell]:
    """What the search finds in the first network that learned nothing, and what the network answers."""
    model, stored = graded.network(1000), STUDY.stored("untrained/0")
    said, found = graded.truth(model), graded.alignments(model, SITE)
    for cue in shapes.CUES:
        yield Cell.within(f"conflicts decided by the {cue}", said[cue][0], stored["truth"][cue])
        yield Cell.within(f"{cue}, held out", found[cue]["held out"][0], stored[SITE][cue]["held out"])


def mixed_again() -> Iterator[Cell]:
    """The first network trained again. A processor that rounds otherwise trains another network of the same kind."""
    found, stored = graded.truth(graded.train(graded.MIXES[0], 0)), STUDY.stored(f"mixed/{mixed(graded.MIXES[0], 0)}")
    for cue in shapes.CUES:
        yield Cell.near(f"conflicts decided by the {cue}", found[cue][0], stored["truth"][cue][0], 0.15)


# --- the parts --------------------------------------------------------------------------------------------------------


def of_networks() -> dict[str, Part]:
    """Each measurement in each of its networks."""
    small, colour, every = {"pairs": 6, "steps": 5}, "shapes-cue-colour", "shapes-cue-all"
    # What measures, in which networks; its settings in the large one, where a step runs many layers; its settings for a
    # trial; what measures a number again, and in which networks.
    plan = {
        "truth": (truth, NETWORKS, {}, {"count": 12}, truth_again, NETWORKS[1:]),
        "table": (
            table, NETWORKS, {"untrained_pairs": 24, "boundless": False}, small | {"untrained_pairs": 6}, table_again, [every],
        ),
        "dimensions": (dimensions, (colour, every, RESNET), {"pairs": 24}, small, dimensions_again, [colour]),
        "layers": (
            layers, (colour, "shapes-cue-type", every, RESNET),
            {"sites": ("layer1", "layer3", SITE), "pairs": 12, "steps": 25, "untrained": False}, small, layers_again, [colour],
        ),
        "places": (places, (colour, every), {}, small, places_again, [colour]),
        "class dimensions": (
            class_dimensions, (PHOTOS,), {}, {"split": (50, 50), "dims": [2], "steps": 5}, class_dimensions_again, [PHOTOS],
        ),
    }  # fmt: skip
    return {
        f"{part}/{name}": Part(
            measure,
            {"name": name} | (costly if name == RESNET else {}),
            quick,
            functools.partial(again, name) if name in names_again else None,
            path=("networks", name, part),
        )
        for part, (measure, names, costly, quick, again, names_again) in plan.items()
        for name in names
    }


def mixed(mix: Sequence[float], seed: int) -> str:
    return f"{' '.join(map(str, mix))} seed {seed}"


def of_graded() -> dict[str, Part]:
    """Networks that learned nothing, and networks that learned from mixed cues, a part each."""
    quick, parts = {"setting": (4, 12, 3)}, {}
    for seed in range(graded.UNTRAINED):
        again = untrained_again if seed == 0 else None
        path = (f"untrained {seed}",)
        parts[f"untrained/{seed}"] = Part(graded.untrained, {"seed": seed}, quick, again, path, "graded.json")
    quick = quick | {"count": 128, "epochs": 1}
    for seed, mix in itertools.product(range(graded.SEEDS), graded.MIXES):
        key, again = mixed(mix, seed), mixed_again if (seed, mix) == (0, graded.MIXES[0]) else None
        parts[f"mixed/{key}"] = Part(graded.trained, {"mix": mix, "seed": seed}, quick, again, (key,), "graded.json")
    return parts


STUDY = Study(
    __file__,
    of_networks() | of_graded(),
    about={"pairs": PAIRS, "dim": DIM, "site": SITE, "steps": STEPS},
    unavailable=(photos.PhotosUnavailable,),
)
