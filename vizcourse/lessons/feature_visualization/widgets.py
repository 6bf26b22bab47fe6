"""Explorers of lesson 02: the studio, the neuron blender, and rating directions blind.

What is slow was rendered beforehand (``pictures.py``) and is shown at once. The studio also renders any channel live, a few
steps at a time (``climb.py``), and says which of both is on show.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from vizcourse import plotting
from vizcourse.lessons.feature_visualization import pictures as study
from vizcourse.lessons.feature_visualization.climb import OBJECTIVES, Climbs, Growing, ordinary, spectrum
from vizcourse.methods import feature_visualization as method
from vizcourse.models import load
from vizcourse.widgets import Explorer, Notice, choice, column, row, slider, steps, switch

#: The studio's last unit: whatever layer and channel the learner chooses, rendered on the spot.
LIVE = "any channel, rendered now"
SWITCHES = study.SWITCHES
#: Seconds of climbing before the picture is shown after a change.
FIRST_LOOK = 0.03


def _sheet(pictures: Sequence[Tensor], lines: int, columns: int, gap: int) -> Tensor:
    """Pictures ``(3, side, side)`` in lines on white, ``(3, height, width)``."""
    side = pictures[0].shape[-1]
    sheet = torch.ones(3, lines * (side + gap) - gap, columns * (side + gap) - gap)
    for place, picture in enumerate(pictures[: lines * columns]):
        top, left = ((side + gap) * number for number in divmod(place, columns))
        sheet[:, top : top + side, left : left + side] = picture
    return sheet


# ---------------------------------------------------------------------------------------------------------------- studio


@dataclass(frozen=True)
class View:
    """One picture of the studio and what was measured on it.

    ``value`` is the unit's mean in multiples of the largest among ordinary pictures; ``below`` the share of 10,000
    pictures on which it is smaller, known for pictures rendered beforehand; ``steps`` those of the picture shown.
    """

    name: str
    frames: tuple[tuple[int, Tensor], ...]
    picture: Tensor
    steps: int
    value: float
    below: float | None
    noise: float
    pace: float = 0.0
    going_on: bool = False
    awake: bool = True


def _draw_spectrum(axes: Axes, result: View, natural: Tensor) -> None:
    # Logarithms are plotted on plain axes, which are drawn in half the time of logarithmic ones.
    power = spectrum(result.picture[None])[1:].clamp_min(1e-8).log10()
    cycles = (torch.arange(1, len(power) + 1) / result.picture.shape[-1]).log10()
    axes.plot(cycles, power, color=plotting.RED)
    axes.plot(cycles, natural, color=plotting.GREY, ls="--")
    axes.text(-2, -5.7, "red: this picture\ndashed: ordinary pictures", color="#555555", fontsize=9)
    axes.set_xlim(-2.05, -0.28)
    axes.set_ylim(-6, 3)
    axes.set_xticks([-2, -1, math.log10(0.25), math.log10(0.5)], ["0.01", "0.1", "0.25", "0.5"])
    axes.set_yticks([-6, -3, 0, 3], ["10⁻⁶", "10⁻³", "1", "10³"])
    axes.set_xlabel("frequency (cycles per pixel)", fontsize=9)
    axes.set_ylabel("power", fontsize=9)
    axes.axvspan(math.log10(0.25), math.log10(0.5), color=plotting.ORANGE, alpha=0.15, lw=0)
    axes.set_title(f"spectrum; shaded: fine noise, {result.noise:.1%} of the power", fontsize=10)


class Studio(Growing):
    """Visualize a unit with any set of regularisers, and look at any point of the climb.

    Some units have been rendered beforehand with every set of the four main switches and either kind of step; :data:`LIVE`
    renders any channel of the model now. It begins with plain steps, which keep the metric that the switches choose. A live
    climb goes on in small portions while you look, and stops when another one is asked for.

    Args:
        model: a network, by default ``googlenet-scenes``, for which alone there are pictures rendered beforehand.
        layers: names of layers for live renderings; by default the model's outermost layers with spatial extent.
    """

    title = "Studio: one unit, every regulariser, the whole climb"
    width = 900

    def __init__(self, model: nn.Module | None = None, layers: Sequence[str] | None = None) -> None:
        self.paths = study.paths() if model is None else None
        self.model = load("googlenet-scenes") if model is None else model
        self.units = {label: (layer, number) for layer, number, label in self.paths.units} if self.paths else {}
        self.steps = tuple(self.paths.steps) if self.paths else (0, 4, 16, 48, 96)
        names = list(layers) if layers is not None else [name for name, _ in self.model.named_children()]
        self.climbs = Climbs(self.model, names, self.steps)
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        layers = [(name or "class scores", name) for name in self.climbs.best]
        chosen = layers[len(layers) // 2][1]
        return {
            "unit": choice("Unit", [*self.units, LIVE]),
            "layer": choice("Layer", layers, chosen),
            "channel": slider("Channel", 0, 0, len(self.climbs.best[chosen]) - 1, live=False),
            "objective": choice("Objective", list(OBJECTIVES)),
            "optimizer": choice("Steps", [("plain gradient", "sgd"), ("Adam", "adam")], study.OPTIMIZERS[0], width=170),
            "fourier": switch("Fourier, 1/f"),
            "colours": switch("independent colours"),
            "transformations": switch("transformations (jitter, scale, rotate)"),
            "total_variation": switch("total variation"),
            "l1": switch("L1"),
            "l2": switch("L2"),
            "blur": switch("blur"),
            "step": steps("After steps", self.steps, self.steps[-1]),
        }

    def arrange(self) -> ipywidgets.Widget:
        c = self.controls
        self._live_only = row(c["layer"], c["channel"], c["objective"], c["l1"], c["l2"], c["blur"])
        self.settle("unit")
        return column(row(c["unit"], c["optimizer"], *(c[name] for name in SWITCHES)), self._live_only, c["step"])

    def settle(self, name: str) -> None:
        if name == "unit":
            self._live_only.layout.display = "flex" if self.controls["unit"].value == LIVE else "none"
        elif name == "layer":
            self.controls["channel"].max = len(self.climbs.best[self.controls["layer"].value]) - 1

    def compute(self, unit: str, step: int, **state: Any) -> View:
        return self._live(step, **state) if unit == LIVE else self._beforehand(unit, step, state)

    def _beforehand(self, unit: str, step: int, state: dict[str, Any]) -> View:
        layer, number = self.units[unit]
        chosen = {name: state[name] for name in ("optimizer", *SWITCHES)}
        frames = self.paths.frames(layer, number, **chosen)
        picture = frames[self.steps.index(step)]
        if step == self.steps[-1]:  # measured on the picture itself, not on its compressed copy
            value, below, noise = self.paths.value(layer, number, **chosen)
            value /= self.climbs.most(layer, number)
        else:
            value, below, noise = self.climbs.times(picture, layer, number), None, float(study.noise_share(picture[None]))
        return View(unit, tuple(zip(self.steps, frames, strict=True)), picture, step, value, below, noise)

    def _live(self, step: int, layer: str, channel: int, objective: str, **how: Any) -> View:
        known = len(self.climbs.best[layer])
        if channel >= known:
            raise Notice(f"{layer or 'The output'} has channels 0 to {known - 1}.")
        climb = self.climbs.of(layer, channel, objective, **how)
        if climb.steps < step:
            climb.advance(FIRST_LOOK)
        done, picture = (step, climb.frames[step]) if step in climb.frames else climb.latest()
        name = f"{layer or 'class score'} {channel}"
        if objective.startswith("whole layer"):
            channel, name = None, f"all of {layer or 'the class scores'}"
        return View(
            name, tuple((number, climb.frames[number]) for number in self.steps if number in climb.frames), picture, done,
            self.climbs.times(picture, layer, channel), None, float(study.noise_share(picture[None])),
            climb.seconds / max(1, climb.steps), climb.steps < step, climb.awake or climb.steps <= climb.warm_up,
        )  # fmt: skip

    @property
    def growing(self) -> bool:
        return self.controls["unit"].value == LIVE and isinstance(self.result, View) and self.result.going_on

    def grow(self, seconds: float) -> None:
        self.climbs.latest.advance(seconds)

    def answer_value(self) -> dict[str, Any]:
        """The switches, the step, and what was measured on the picture shown."""
        self.finish()
        shown = self.result
        return self.state | {"value": shown.value, "below": shown.below, "noise": shown.noise}

    def draw(self, result: View, **_: Any) -> bytes:
        figure, axes = plotting.new(
            10, 3.3, 1, 4, gridspec_kw={"width_ratios": [1, 0.66, 0.08, 1.2]},
            margins={"left": 0.005, "right": 0.985, "top": 0.9, "bottom": 0.17, "wspace": 0.12},
        )  # fmt: skip
        plotting.picture(axes[0], result.picture, f"after {result.steps} steps")
        axes[2].axis("off")  # room for the labels of the last axes
        frames = result.frames[:6]
        sheet, shown = _sheet([frame for _, frame in frames], 3, 2, gap=8), ", ".join(str(number) for number, _ in frames)
        plotting.picture(axes[1], sheet, f"the climb: {shown}")
        axes[1].title.set_size(8)
        side = result.picture.shape[-1]
        for place, (number, _) in enumerate(frames):
            if number == result.steps:  # the one on show is framed
                plotting.box(axes[1], place % 2 * (side + 8), place // 2 * (side + 8), side, side)
        _draw_spectrum(axes[3], result, self.climbs.natural)
        return plotting.png(figure, dpi=80)

    def describe(self, result: View, unit: str, **_: Any) -> str:
        if not result.awake:
            return f"{result.name}: silent whatever the picture, so there is no gradient to climb. A dead unit, or one asleep."
        answer = f"it answers {result.value:.2f} times as strongly as to the best of {len(ordinary())} ordinary pictures"
        if result.below is not None:
            share = "each" if result.below == 1 else f"{result.below:.2%}"
            answer = f"it answers more strongly than to {share} of 10,000 ordinary pictures"
        source = "Rendered beforehand; picture and spectrum are drawn from a compressed copy"
        if unit == LIVE:
            source = f"Live, {1000 * result.pace:.0f} ms a step" + (", still climbing" if result.going_on else "")
        return (
            f"{result.name}, after {result.steps} steps: {answer}. {result.noise:.1%} of the picture's power is fine noise, "
            f"above a quarter of a cycle per pixel. {source}."
        )


# --------------------------------------------------------------------------------------------------------------- blender


@dataclass(frozen=True)
class Blend:
    """The pictures of two units at every angle between them, ``(angles, 3, 96, 96)``.

    ``curves``: ``(angles, 2)``, what both answer at every angle, in multiples of the strongest of 10,000 pictures;
    ``mixed``: the two pure pictures mixed pixel by pixel, and ``mixed_values``, ``(2,)``, what both answer to that.
    """

    images: Tensor
    curves: Tensor
    mixed: Tensor
    mixed_values: Tensor


class NeuronBlender(Explorer):
    """Ask for two units at once: climb cos(angle) · A + sin(angle) · B, rendered beforehand at every angle."""

    title = "Neuron blender: two units in one picture"
    width = 900

    def __init__(self) -> None:
        self.blends = study.blends()
        self.angles = tuple(self.blends.angles)
        self.model = load("googlenet-scenes")
        self._images = functools.lru_cache(self.blends.images)
        self._pure = functools.lru_cache(self._measured)
        self._answers = functools.lru_cache(self._answered)
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        pairs = [(" and ".join(self._names(pair)), pair) for pair in range(len(self.blends.pairs))]
        return {
            "pair": choice("Units", pairs, width=360),
            "angle": steps("Angle", [(f"{angle}°", angle) for angle in self.angles], self.angles[len(self.angles) // 2]),
        }

    def _names(self, pair: int) -> tuple[str, str]:
        return tuple(f"{layer}:{number}" for layer, number in self.blends.pairs[pair])

    def compute(self, pair: int, angle: int) -> Blend:
        place = self.angles.index(angle)
        return Blend(self._images(pair), self.blends.values(pair), self._mixed(pair, place), self._answers(pair, place))

    def _mixed(self, pair: int, place: int) -> Tensor:
        """The two pure pictures, mixed pixel by pixel in the proportion of the angle."""
        images, share = self._images(pair), place / (len(self.angles) - 1)
        return (1 - share) * images[0] + share * images[-1]

    def _answered(self, pair: int, place: int) -> Tensor:
        objectives = [method.channel(*unit) for unit in self.blends.pairs[pair]]
        return method.evaluate(self.model, self._mixed(pair, place)[None], objectives)[:, 0] / self._pure(pair)

    def _measured(self, pair: int) -> Tensor:
        """What the largest answer of 10,000 pictures is to each of the two units, ``(2,)``, from their pure pictures."""
        images, curves, units = self._images(pair), self.blends.values(pair), self.blends.pairs[pair]
        pure = method.evaluate(self.model, images[[0, -1]], [method.channel(*unit) for unit in units])
        return torch.stack([pure[0, 0] / curves[0, 0], pure[1, 1] / curves[-1, 1]])

    def draw(self, result: Blend, pair: int, angle: int) -> bytes:
        figure, axes = plotting.new(
            10.8, 3.0, 1, 5, gridspec_kw={"width_ratios": [1, 1, 1, 1, 1.7]},
            margins={"left": 0.01, "right": 0.985, "top": 0.83, "bottom": 0.2, "wspace": 0.08},
        )  # fmt: skip
        (first, second), place = self._names(pair), self.angles.index(angle)
        plotting.picture(axes[0], result.images[0], f"A alone\n{first}")
        plotting.picture(axes[1], result.images[place], f"climbed together\nat {angle}°")
        plotting.picture(axes[2], result.mixed, "A's and B's pictures\nmixed pixel by pixel")
        plotting.picture(axes[3], result.images[-1], f"B alone\n{second}")
        box = axes[4].get_position()
        axes[4].set_position([box.x0 + 0.05, box.y0, box.width - 0.05, box.height])
        for number, (colour, marker) in enumerate(((plotting.BLUE, "o"), (plotting.ORANGE, "s"))):
            axes[4].plot(self.angles, result.curves[:, number], color=colour, marker=marker, ms=4)
            axes[4].plot([angle], [result.mixed_values[number]], color=colour, marker="x", ms=8, ls="")
        axes[4].axvline(angle, color=plotting.GREY, lw=1)
        axes[4].axhline(1, color=plotting.GREY, lw=1, ls=":")
        axes[4].set_ylim(min(0.0, float(result.curves.min())), 1.2 * float(result.curves.max()))
        axes[4].set_xlabel("angle (degrees)", fontsize=10)
        axes[4].set_title("answer / largest of 10,000 pictures\n(×: mixed pixel by pixel)", fontsize=10)
        axes[4].set_xticks(self.angles)
        axes[4].tick_params(labelsize=9)
        for number, (name, colour) in enumerate((("A", plotting.BLUE), ("B", plotting.ORANGE))):
            end = -number  # A's curve is named at its high end on the left, B's on the right
            axes[4].text(self.angles[end], float(result.curves[end, number]), f" {name} ", color=colour, fontsize=11,
                         ha="left" if number == 0 else "right", va="bottom", weight="bold")  # fmt: skip
        return plotting.png(figure, dpi=76)

    def describe(self, result: Blend, pair: int, angle: int) -> str:
        first, second = self._names(pair)
        a, b = result.curves[self.angles.index(angle)].tolist()
        mixed_a, mixed_b = result.mixed_values.tolist()
        return (
            f"At {angle}° the picture climbed for both gives A = {first} {a:.2f} and B = "
            f"{second} {b:.2f} times the largest answer of 10,000 pictures. The two pure pictures, mixed pixel by "
            f"pixel, give {mixed_a:.2f} and {mixed_b:.2f}. Rendered beforehand; the mixture is measured now."
        )


# ------------------------------------------------------------------------------------------------------------ directions


@dataclass(frozen=True)
class Rated:
    """One direction's picture and examples, and after the reveal all ratings: ``(kind, rating, purity)``."""

    image: Tensor
    examples: Tensor
    revealed: tuple[tuple[str, int, float], ...] = ()


class DirectionExplorer(Explorer):
    """Rate how interpretable directions are, not knowing which are channels and which are random; then look.

    Attributes:
        ratings: ``{number: 1 to 5}``, what has been rated so far. Once revealed, ratings are final.
    """

    title = "Direction explorer: rate them blind, then look"
    width = 860
    #: So many have to be rated before they can be revealed, and at least two of each kind.
    ENOUGH = 8

    def __init__(self) -> None:
        self.directions = study.directions()
        self.ratings: dict[int, int] = {}
        self.final = False
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        ratings = [("not rated", 0), ("1 nothing in common", 1), ("2", 2), ("3", 3), ("4", 4), ("5 one clear thing", 5)]
        rating = choice("One thing?", ratings, buttons=0)
        rating.style.button_width = "auto"
        return {
            "number": slider("Direction", 1, 1, len(self.directions.kind)),
            "rating": rating,
            "reveal": switch("Reveal (ratings become final)"),
        }

    def settle(self, name: str) -> None:
        number, rating = self.controls["number"].value, self.controls["rating"].value
        if name == "number":
            with self._holding():
                self.controls["rating"].value = self.ratings.get(number, 0)
        elif name == "rating" and not self.final:
            self.ratings.pop(number, None)
            if rating:
                self.ratings[number] = rating
        elif name == "rating" and rating != self.ratings.get(number, 0):
            with self._holding():
                self.controls["rating"].value = self.ratings.get(number, 0)
        elif name == "reveal" and self.controls["reveal"].value and self._enough():
            self.final = True

    def _enough(self) -> bool:
        kinds = [self.directions.kind[number - 1] for number in self.ratings]
        return len(kinds) >= self.ENOUGH and all(kinds.count(kind) >= 2 for kind in set(self.directions.kind))

    def rate(self, ratings: dict[int, int]) -> DirectionExplorer:
        """Hand in many ratings from code: ``explorer.rate({1: 4, 2: 1})``."""
        for number, rating in ratings.items():
            self.set(number=number)
            self.set(rating=rating)
        return self

    def compute(self, number: int, rating: int, reveal: bool) -> Rated:
        if reveal and not self._enough():
            raise Notice(
                f"Rate at least {self.ENOUGH} directions first, and not only neighbours ({len(self.ratings)} so far): "
                "once revealed, nothing is blind any more."
            )
        shown, d = (), self.directions
        if reveal:
            shown = tuple((d.kind[each - 1], given, float(d.purity(each - 1))) for each, given in sorted(self.ratings.items()))
        return Rated(d.image(number - 1), d.examples(number - 1), shown)

    def answer_value(self) -> dict[str, Any]:
        return {"ratings": dict(self.ratings), "revealed": self.final}

    def draw(self, result: Rated, number: int, **_: Any) -> bytes:
        columns = 3 if result.revealed else 2
        figure, axes = plotting.new(
            10, 3.1, 1, columns, gridspec_kw={"width_ratios": [1, 1.5, 1.1][:columns]},
            margins={"left": 0.01, "right": 0.985, "top": 0.9, "bottom": 0.16, "wspace": 0.12},
        )  # fmt: skip
        name = f": {self.directions.names[number - 1]}" if result.revealed else ""
        plotting.picture(axes[0], result.image, f"direction {number}{name}")
        plotting.picture(axes[1], _sheet(result.examples, 2, 3, gap=4), f"its top {len(result.examples)} of 10,000 pictures")
        if result.revealed:
            chance = random.Random(0)
            for line, (kind, colour, marker) in enumerate((("basis", plotting.BLUE, "o"), ("random", plotting.ORANGE, "s"))):
                given = [rating for each, rating, _ in result.revealed if each == kind]
                scattered = [line + chance.uniform(-0.18, 0.18) for _ in given]
                axes[2].scatter(scattered, given, color=colour, marker=marker, s=26)
                axes[2].hlines(sum(given) / len(given), line - 0.3, line + 0.3, color=colour, lw=2)
            axes[2].set_xticks([0, 1], ["basis (channels)", "random"])
            axes[2].set(xlim=(-0.5, 1.5), ylim=(0.7, 5.3), ylabel="your rating", yticks=range(1, 6))
            axes[2].set_title("bars: means", fontsize=10)
        return plotting.png(figure, dpi=85)

    def describe(self, result: Rated, number: int, rating: int, **_: Any) -> str:
        if not result.revealed:
            rated = f"rated {rating}" if rating else "not rated yet"
            return (
                f"Direction {number} of layer {self.directions.layer}, {rated}; {len(self.ratings)} of "
                f"{len(self.directions.kind)} rated. Do its picture and its top pictures have one thing in common?"
            )
        given, pure = {}, {}
        for kind in ("basis", "random"):
            given[kind] = [rating for each, rating, _ in result.revealed if each == kind]
            pure[kind] = sum(share for each, _, share in result.revealed if each == kind) / len(given[kind])
        basis, other = given.values()
        return (
            f"You rated {len(basis)} channels {sum(basis) / len(basis):.1f} on average and {len(other)} random directions "
            f"{sum(other) / len(other):.1f}. If the kinds were shuffled, a difference at least as large would come about with "
            f"probability {shuffled_probability(basis, other):.2f}. A machine's count, the share of the 50 top pictures that "
            f"show the commonest class: {pure['basis']:.0%} and {pure['random']:.0%}."
        )


def shuffled_probability(first: Sequence[float], second: Sequence[float], draws: int = 2000) -> float:
    """How often two groups of the same sizes, drawn by lot from all the values, have means at least as far apart."""
    values, size = [*first, *second], len(first)
    observed = abs(sum(first) / size - sum(second) / len(second))
    total = sum(values)

    def far(chosen: Sequence[float]) -> bool:
        return abs(sum(chosen) / size - (total - sum(chosen)) / len(second)) >= observed - 1e-9

    if len(values) <= 12:
        groups = [far(chosen) for chosen in itertools.combinations(values, size)]
        return sum(groups) / len(groups)
    chance = random.Random(0)
    return (1 + sum(far(chance.sample(values, size)) for _ in range(draws))) / (1 + draws)


WIDGETS = (Studio, NeuronBlender, DirectionExplorer)
