"""Explorers of lesson 05: swapping a cue, rotating a subspace by hand, and alignments by dimension and by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import torch
from torch import Tensor

from vizcourse import plotting
from vizcourse.methods.das import Alignment, Site, align_at, orthonormal, random_frame
from vizcourse.widgets.core import Explorer
from vizcourse.worlds import equality, shapes

CUES = {"colours": "shape_colour", "background": "background", "types": "shape_type"}
ALL = "all three"
FOUND, WHOLE, RANDOM = "the found subspace", "the whole activation", "a random subspace"
_STYLE = {"description_width": "initial"}


def edited(picture: shapes.Picture, new: str, cues: Sequence[str]) -> shapes.Picture:
    """The picture with some of its cues those of class ``new``, as the article's interventions change them."""
    old_shapes, new_shapes = set(shapes.CLASS_SHAPES[picture.class_name]), set(shapes.CLASS_SHAPES[new])
    if old_shapes == new_shapes:
        return picture
    (gone,), (come,) = old_shapes - new_shapes, new_shapes - old_shapes
    change: dict[str, Any] = {}
    if "types" in cues:
        change["shape"] = come
    if "colours" in cues:
        change["colour"] = shapes.COLOURS[come]
    items = tuple(item.replace(**change) if item.shape == gone else item for item in picture.items)
    background = shapes.BACKGROUNDS[new] if "background" in cues else picture.background
    return picture.replace(items=items, background=background, class_name=None)


@dataclass(frozen=True)
class Swapped:
    """One interchange: what goes in, and the network's probabilities without it and with it."""

    base: Tensor
    source: Tensor
    base_class: str
    source_class: str
    cue: str
    swap: str
    classes: Sequence[str]
    before: Tensor
    after: Tensor
    dimensions: int
    size: int


class SwapACue(Explorer):
    """Change one cue of a picture, interchange a subspace, and see what the network answers.

    Args:
        alignments: for each network's name the alignments of its three variables, in the order of ``shapes.VARIABLES``.
    """

    title = "Swap a cue: take part of another picture's activation, and watch the answer"
    width = 820

    def __init__(self, alignments: Mapping[str, Sequence[Alignment]]) -> None:
        self.alignments = {name: dict(zip(shapes.VARIABLES, each, strict=True)) for name, each in alignments.items()}
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        return {
            "network": ipywidgets.Dropdown(options=list(self.alignments), description="Network", style=_STYLE),
            "base": ipywidgets.Dropdown(options=shapes.CLASSES, value="blicket", description="Base", style=_STYLE),
            "cue": ipywidgets.Dropdown(
                options=[*CUES, ALL], value="background", description="The source has the", style=_STYLE
            ),
            "source": ipywidgets.Dropdown(options=shapes.CLASSES, value="dax", description="of a", style=_STYLE),
            "swap": ipywidgets.Dropdown(options=[FOUND, WHOLE, RANDOM], description="Interchange", style=_STYLE),
            "picture": ipywidgets.IntSlider(0, 0, 30, description="Picture"),
        }

    def _frame(self, network: str, cue: str, swap: str) -> Tensor | None:
        known = self.alignments[network]
        chosen = list(known) if cue == ALL else [CUES[cue]]
        if swap == WHOLE:
            return None
        frame = orthonormal(torch.cat([known[variable].rotation for variable in chosen], dim=1))
        if swap == FOUND:
            return frame
        return random_frame(*frame.shape, torch.Generator().manual_seed(0)).to(frame)

    def compute(self, network: str, base: str, cue: str, source: str, swap: str, picture: int) -> Swapped:
        alignment = next(iter(self.alignments[network].values()))
        model = alignment.model
        (drawn,) = shapes.sample(1, seed=picture, split="intervention_test", classes=(base,))
        changed = edited(drawn, source, list(CUES) if cue == ALL else [cue])
        images = shapes.render([drawn, changed], model.input_size)
        site = Site(model, alignment.layer, images[:1], images[1:])
        frame = self._frame(network, cue, swap)
        with torch.no_grad():
            before = site.logits([torch.zeros(site.size, 1).to(site.vectors)]).softmax(1)[0]
            after = site.logits(None if frame is None else [frame]).softmax(1)[0]
        dimensions = site.size if frame is None else frame.shape[1]
        return Swapped(images[0], images[1], base, source, cue, swap, model.classes, before, after, dimensions, site.size)

    def draw(self, result: Swapped) -> bytes:
        figure, axes = plotting.new(
            9.2, 2.7, 1, 4, gridspec_kw={"width_ratios": [1, 1, 0.25, 1.5]},
            margins={"left": 0.01, "right": 0.98, "top": 0.86, "bottom": 0.17, "wspace": 0.1},
        )  # fmt: skip
        axes[2].axis("off")  # room for the names of the classes
        plotting.picture(axes[0], result.base, f"base: a {result.base_class}")
        plotting.picture(axes[1], result.source, f"source: {result.cue} of a {result.source_class}")
        plotting.probabilities(
            axes[3], result.classes, result.before, result.after, ("the base as it is", "after the interchange")
        )
        return plotting.png(figure, dpi=90)

    def describe(self, result: Swapped) -> str:
        answer, was = (result.classes[int(each.argmax())] for each in (result.after, result.before))
        hit = "the counterfactual label" if answer == result.source_class else "not the counterfactual label"
        part = f"{result.swap} ({result.dimensions} of {result.size} dimensions)"
        return (
            f"With {part} of the source, the network answers {answer}: {hit}, which is {result.source_class}. "
            f"To the base alone it answers {was}."
        )


@dataclass(frozen=True)
class Turn:
    """The plane turned to one angle."""

    angle: float
    variable: str
    curve: bool
    shares: dict[str, float]
    network_angle: float | None


class RotateByHand(Explorer):
    """Turn a direction in a plane of the hand-built network's ``mix`` layer, and watch the IIA of the direction."""

    title = "Rotate by hand: which direction is the variable?"
    width = 780

    def __init__(self) -> None:
        network = equality.EqualityNetwork()
        self.plane = equality.plane(network)
        base, source = equality.sample(300, seed=2), equality.sample(300, seed=3)
        self.site = Site(network, "mix", base, source)
        self.equal = equality.equal(base)
        self.labels = {name: equality.counterfactual(base, source, name) for name in equality.VARIABLES}
        self.angles = list(range(0, 181))
        self.curves = {name: [self.share(angle, name) for angle in self.angles] for name in equality.VARIABLES}
        self.found = {name: self.search(name) for name in equality.VARIABLES}
        super().__init__()

    def share(self, angle: float, variable: str) -> float:
        """IIA of the direction at an angle, for one variable."""
        radians = math.radians(angle)
        direction = self.plane @ torch.tensor([[math.cos(radians)], [math.sin(radians)]])
        return self.site.hits([direction], self.labels[variable]).mean().item()

    def search(self, variable: str) -> float:
        """The angle of the direction that distributed alignment search finds, in this plane."""
        rotation = align_at(self.site, self.labels[variable], dim=1, steps=120, progress=False).rotation[:, 0]
        x, y = (self.plane.T @ rotation).tolist()
        return math.degrees(math.atan2(y, x)) % 180

    def make_controls(self) -> dict[str, Any]:
        return {
            "angle": ipywidgets.IntSlider(0, 0, 180, description="Angle (degrees)", style=_STYLE),
            "variable": ipywidgets.Dropdown(
                options=[("L: left pair equal", "left"), ("R: right pair equal", "right")], description="Variable"
            ),
            "curve": ipywidgets.Checkbox(False, description="Show all angles"),
            "search": ipywidgets.Checkbox(False, description="Let DAS find it"),
        }

    def answer_value(self) -> float:
        """The angle, in degrees."""
        return self.controls["angle"].value

    def compute(self, angle: int, variable: str, curve: bool, search: bool) -> Turn:
        shares = {name: self.curves[name][angle] for name in equality.VARIABLES}
        return Turn(angle, variable, curve, shares, self.found[variable] if search else None)

    def draw(self, result: Turn) -> bytes:
        figure, axes = plotting.new(
            8.6, 2.9, 1, 2, gridspec_kw={"width_ratios": [1, 1.9]},
            margins={"left": 0.08, "right": 0.98, "top": 0.9, "bottom": 0.17, "wspace": 0.25},
        )  # fmt: skip
        points = self.site.vectors[:, 0] @ self.plane
        value = self.equal[:, equality.VARIABLES.index(result.variable)]
        for truth, colour, marker, name in [(True, plotting.BLUE, "o", "equal"), (False, plotting.ORANGE, "^", "different")]:
            places = points[value == truth].T.tolist()
            axes[0].scatter(*places, c=colour, marker=marker, s=45, label=f"{result.variable} {name}")
        radians = math.radians(result.angle)
        x, y = 1.3 * math.cos(radians), 1.3 * math.sin(radians)
        axes[0].plot([-x, x], [-y, y], color="black", linewidth=2)
        axes[0].set(xlim=(-1.45, 1.45), ylim=(-1.45, 1.45), aspect="equal", xlabel="first direction", ylabel="second")
        axes[0].legend(fontsize=7, frameon=False, loc="lower right")
        axes[1].set(xlim=(0, 180), ylim=(0, 1.06), xlabel="angle of the swapped direction (degrees)", ylabel="IIA")
        if result.curve:
            axes[1].plot(self.angles, self.curves[result.variable], color=plotting.GREY)
        if result.network_angle is not None:
            axes[1].axvline(result.network_angle, color=plotting.GREEN, linestyle="--", label="found by DAS")
            axes[1].legend(fontsize=8, frameon=False, loc="upper right")
        axes[1].plot([result.angle], [result.shares[result.variable]], "o", color="black", markersize=9)
        share = result.shares[result.variable]
        axes[1].set_title(f"{share:.0%} of 300 pairs answer the label of {result.variable}", fontsize=10)
        return plotting.png(figure, dpi=90)

    def describe(self, result: Turn) -> str:
        found = "" if result.network_angle is None else f" DAS finds {result.network_angle:.0f} degrees."
        return (
            f"At {result.angle} degrees the interchange gives the counterfactual label of the {result.variable} variable for "
            f"{result.shares[result.variable]:.0%} of the pairs.{found}"
        )


@dataclass(frozen=True)
class Curves:
    """Stored IIAs of one variable in one network."""

    network: str
    variable: str
    dimensions: dict[str, dict[str, list[float]]]
    layers: dict[str, dict[str, list[float]]]
    dimension: str


_LOOKS = {
    "held out": (plotting.BLUE, "o-"),
    "full swap": (plotting.RED, "x--"),
    "random subspace": (plotting.GREY, "s:"),
    "untrained network": (plotting.ORANGE, "^--"),
}


class DimensionAndLayer(Explorer):
    """IIA by the dimension of the subspace and by the layer, always beside its controls.

    Args:
        results: of lesson 05's study: network → ``"dimensions"`` and ``"layers"`` → variable → … → [value, low, high].
    """

    title = "Dimension and layer: where is the variable, and how much room does it need?"
    width = 820

    def __init__(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        self.results = {name: entry for name, entry in results.items() if "dimensions" in entry and "layers" in entry}
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        sizes = list(next(iter(self.results.values()))["dimensions"]["background"])
        return {
            "network": ipywidgets.Dropdown(options=list(self.results), description="Network", style=_STYLE),
            "variable": ipywidgets.Dropdown(options=list(CUES), value="background", description="Variable", style=_STYLE),
            "dimension": ipywidgets.SelectionSlider(options=sizes, value="8", description="Dimensions", style=_STYLE),
        }

    def compute(self, network: str, variable: str, dimension: str) -> Curves:
        entry, key = self.results[network], CUES[variable]
        return Curves(network, variable, entry["dimensions"][key], entry["layers"][key], dimension)

    def draw(self, result: Curves) -> bytes:
        figure, axes = plotting.new(
            9.2, 3, 1, 2, sharey=True, margins={"left": 0.07, "right": 0.98, "top": 0.9, "bottom": 0.17, "wspace": 0.08}
        )
        for place, table in zip(axes, (result.dimensions, result.layers), strict=True):
            for name, (colour, line) in _LOOKS.items():
                values = [entry[name] for entry in table.values() if name in entry]
                if values:
                    places = range(len(values))
                    place.plot(places, [value[0] for value in values], line, color=colour, label=name)
                    low, high = ([value[side] for value in values] for side in (1, 2))
                    place.fill_between(places, low, high, color=colour, alpha=0.12)
            place.set_xticks(range(len(table)), list(table))
        axes[0].axvline(list(result.dimensions).index(result.dimension), color="black", linewidth=0.8)
        axes[0].set(ylim=(-0.03, 1.06), ylabel="IIA, held-out pairs", xlabel="dimensions interchanged, at avgpool")
        axes[1].set(xlabel="layer, 8 dimensions interchanged")
        axes[1].legend(fontsize=8, frameon=False, loc="center right")
        axes[0].set_title(f"{result.variable} in {result.network}", fontsize=10)
        return plotting.png(figure, dpi=90)

    def describe(self, result: Curves) -> str:
        values = result.dimensions[result.dimension]
        listed = ", ".join(f"{name} {value[0]:.0%} [{value[1]:.0%}, {value[2]:.0%}]" for name, value in values.items())
        return f"{result.variable} in {result.network}, {result.dimension} dimensions at avgpool: {listed}."


WIDGETS = (SwapACue, RotateByHand, DimensionAndLayer)
