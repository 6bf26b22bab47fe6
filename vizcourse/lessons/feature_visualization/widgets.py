"""Explorers of lesson 02: the studio, the neuron blender, and rating directions blind.

What is slow was rendered beforehand (``pictures.py``) and is shown at once. The studio climbs for everything else while the
learner looks, a step or two at a time (``climb.py``), and says which of both is on show.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ipywidgets
import torch
from torch import Tensor, nn

from vizcourse import plotting
from vizcourse.lessons.feature_visualization import pictures as study
from vizcourse.lessons.feature_visualization.climb import OBJECTIVES, Climb, Climbs, ordinary, spectrum
from vizcourse.methods import feature_visualization as method
from vizcourse.models import WeightsError, load
from vizcourse.widgets import Explorer, Growing, Notice, choice, column, row, slider, steps, switch, toggle, whole_number

SWITCHES = study.SWITCHES
#: The network whose paths are stored, and the twins between which the studio lets one choose: the same layers, other weights.
STORED = "googlenet-scenes"
TWINS = (STORED, "googlenet-scenes-robust")
#: The studio's last unit.
ANOTHER = "any other unit"


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

    ``value`` is the objective on it, without penalties, and ``most`` the largest on an ordinary picture; ``below`` the share
    of 10,000 pictures on which it is smaller, known for pictures rendered beforehand; ``steps`` those of the picture shown.
    """

    name: str
    frames: tuple[tuple[int, Tensor], ...]
    picture: Tensor
    steps: int
    value: float
    most: float
    below: float | None
    noise: float
    source: str
    awake: bool = True


class Sheet:
    """The studio's figure: a picture, the path so far, and the spectrum beside that of ordinary pictures.

    It is made once and changed, because making it takes as long as all else that is done between a click and the answer.
    """

    GAP = 8

    def __init__(self, side: int, natural: Tensor) -> None:
        self.figure, (picture, path, axes) = plotting.new(
            10, 3.3, 1, 3, gridspec_kw={"width_ratios": [1, 0.66, 1.2]},
            margins={"left": 0.005, "right": 0.985, "top": 0.9, "bottom": 0.17, "wspace": 0.12},
        )  # fmt: skip
        self.picture = plotting.picture(picture, torch.ones(3, side, side))
        self.path = plotting.picture(path, _sheet([torch.ones(3, side, side)], 3, 2, self.GAP))
        path.title.set_size(8)
        plotting.box(path, 0, 0, side, side)
        (self.box,) = path.patches
        room = axes.get_position()  # for the labels
        axes.set_position([room.x0 + 0.04, room.y0, room.width - 0.04, room.height])
        # Logarithms are plotted on plain axes, which are drawn in half the time of logarithmic ones.
        cycles = (torch.arange(1, len(natural) + 1) / side).log10()
        (self.line,) = axes.plot(cycles, natural, color=plotting.RED)
        axes.plot(cycles, natural, color=plotting.GREY, ls="--")
        axes.text(-2, -5.7, "red: this picture\ndashed: ordinary pictures", color="#555555", fontsize=9)
        axes.set_xlim(-2.05, -0.28)
        axes.set_ylim(-6, 3)
        axes.set_xticks([-2, -1, math.log10(0.25), math.log10(0.5)], ["0.01", "0.1", "0.25", "0.5"])
        axes.set_yticks([-6, -3, 0, 3], ["10⁻⁶", "10⁻³", "1", "10³"])
        axes.set_xlabel("frequency (cycles per pixel)", fontsize=9)
        axes.set_ylabel("power", fontsize=9)
        axes.axvspan(math.log10(0.25), math.log10(0.5), color=plotting.ORANGE, alpha=0.15, lw=0)

    def png(self, result: View) -> bytes:
        side = result.picture.shape[-1]
        self.picture.set_data(plotting.pixels(result.picture))
        self.picture.axes.title.set_text(f"after {result.steps} steps")
        self.path.set_data(plotting.pixels(_sheet([frame for _, frame in result.frames], 3, 2, self.GAP)))
        taken = [steps for steps, _ in result.frames]
        self.path.axes.title.set_text(f"the climb: {', '.join(map(str, taken))}")
        self.box.set_visible(result.steps in taken)  # the one on show is framed
        if result.steps in taken:
            line, place = divmod(taken.index(result.steps), 2)
            self.box.set_xy((place * (side + self.GAP) - 0.5, line * (side + self.GAP) - 0.5))
        self.line.set_ydata(spectrum(result.picture[None])[1:].clamp_min(1e-8).log10())
        self.line.axes.title.set_text(f"spectrum; shaded: fine noise, {result.noise:.1%} of the power")
        return plotting.png(self.figure, dpi=80)


def _networks(model: str | nn.Module) -> dict[str, nn.Module]:
    """The network asked for, and its twin, if it has one whose weights are there."""
    if isinstance(model, nn.Module):
        return {str(getattr(model, "name", type(model).__name__)): model}
    found = {model: load(model)}
    if model in TWINS:
        other = TWINS[1 - TWINS.index(model)]
        with suppress(WeightsError):
            found[other] = load(other)
    return found


class Studio(Growing):
    """Visualize any unit with any set of regularisers, and look at any point of the climb.

    Some units of ``googlenet-scenes`` have been rendered beforehand with every set of the four main switches and either kind
    of step. Everything else is climbed for now, in small portions while you look: for any channel or class, with other
    objectives and penalties, with a learned prior, in another network. It begins with plain steps, which keep the metric that
    the switches choose.

    Args:
        model: a network, or the name of one. Where it is one of :data:`TWINS` by name, the other one can be chosen, too.
        layers: names of layers; by default the network's outermost parts that have weights and spatial extent. The output
            comes after them.
    """

    title = "Studio: any unit, every regulariser, the whole climb"
    width = 900
    steps = study.KEPT

    def __init__(self, model: str | nn.Module = STORED, layers: Sequence[str] | None = None) -> None:
        models = _networks(model)
        first = next(iter(models.values()))
        if layers is None:
            layers = [name for name, part in first.named_children() if any(True for _ in part.parameters())]
        self.climbs = {name: Climbs(each, layers, self.steps) for name, each in models.items()}
        first = next(iter(self.climbs.values()))
        self._sheet = Sheet(first.size, first.natural)
        # Of the network of that name alone: a module may be anything, whatever its name.
        self.paths = study.paths() if model in TWINS else None
        self.units = {label: (layer, number) for layer, number, label in self.paths.units} if self.paths else {}
        self._climb: Climb | None = None
        self._settling = False
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        channels = next(iter(self.climbs.values())).channels
        layers = [(f"{name or 'class scores'} ({count})", name) for name, count in channels.items()]
        layer, channel = next(iter(self.units.values()), (layers[(len(layers) - 1) // 2][1], 0))
        return {
            "network": choice("Network", list(self.climbs), width=250),
            "unit": choice("Unit", [*self.units, ANOTHER], width=230),
            "layer": choice("Layer", layers, layer, width=200),
            "channel": whole_number("Channel", channel, width=130),
            "optimizer": choice("Steps", [("plain gradient", "sgd"), ("Adam", "adam")], study.OPTIMIZERS[0], width=170),
            "fourier": switch("Fourier, 1/f"),
            "colours": switch("independent colours"),
            "transformations": switch("transformations (jitter, scale, rotate)"),
            "total_variation": switch("total variation"),
            "objective": choice("Objective", list(OBJECTIVES), width=260),
            "prior": switch("learned prior"),
            "l1": switch("L1"),
            "l2": switch("L2"),
            "blur": switch("blur"),
            "step": steps("After steps", self.steps, self.steps[-1]),
            "stopped": toggle("Stop"),
        }

    def arrange(self) -> ipywidgets.Widget:
        c = self.controls
        for name, few in (("network", len(self.climbs) < 2), ("unit", not self.units)):
            c[name].layout.display = "none" if few else None
        return column(
            row(c["network"], c["unit"], c["layer"], c["channel"]),
            row(c["optimizer"], *(c[name] for name in SWITCHES)),
            row(ipywidgets.HTML("Rendered now:"), *(c[name] for name in ("objective", "prior", "l1", "l2", "blur"))),
            row(c["step"], c["stopped"]),
        )

    def settle(self, name: str) -> None:
        if self._settling:
            return
        c, self._settling = self.controls, True
        try:
            with self._holding():
                self._settle(name, c, next(iter(self.climbs.values())).channels)
                if name not in ("step", "stopped"):
                    c["stopped"].value = False  # another wish begins to climb
                c["stopped"].description = "Go on" if c["stopped"].value else "Stop"
        finally:
            self._settling = False

    def _settle(self, name: str, c: dict[str, Any], channels: dict[str, int]) -> None:
        if name == "unit" and c["unit"].value != ANOTHER:
            c["layer"].value, c["channel"].value = self.units[c["unit"].value]
        elif name == "unit" and (c["layer"].value, c["channel"].value) in self.units.values():
            c["channel"].value = (c["channel"].value + 1) % channels[c["layer"].value]
        elif name == "layer":
            c["channel"].value = min(c["channel"].value, channels[c["layer"].value] - 1)
        if name in ("layer", "channel"):
            here = (c["layer"].value, c["channel"].value)
            c["unit"].value = next((label for label, unit in self.units.items() if unit == here), ANOTHER)
        c["fourier"].disabled = c["colours"].disabled = c["prior"].value

    def unstored(self, **state: Any) -> list[str]:
        """Of the controls' descriptions, those for whose values in ``state`` there is nothing stored."""
        found = ["network"] if self.paths is None or state["network"] != STORED else []
        found += [] if (state["layer"], state["channel"]) in self.units.values() else ["unit"]
        found += [] if state["objective"] == next(iter(OBJECTIVES)) else ["objective"]
        found += [name for name in ("prior", "l1", "l2", "blur") if state[name]]
        return [self.controls[name].description for name in found]

    def compute(self, **state: Any) -> View:
        self._climb = None
        if not self.unstored(**state):
            return self._beforehand(**state)
        del state["unit"]
        return self._live(**state)

    def _beforehand(self, network: str, unit: str, layer: str, channel: int, step: int, objective: str, **how: Any) -> View:
        chosen = {name: how[name] for name in ("optimizer", *SWITCHES)}
        frames = self.paths.frames(layer, channel, **chosen)
        picture = frames[self.steps.index(step)]
        value, most = self.climbs[network].measured(picture, layer, channel, objective)
        below, noise = None, float(study.noise_share(picture[None]))
        if step == self.steps[-1]:  # measured on the picture itself, not on its compressed copy
            value, below, noise = self.paths.value(layer, channel, **chosen)
        source = "Rendered beforehand; picture and spectrum are drawn from a compressed copy."
        return View(unit, tuple(zip(self.steps, frames, strict=True)), picture, step, value, most, below, noise, source)

    def _live(self, network: str, layer: str, channel: int, step: int, stopped: bool, objective: str, **how: Any) -> View:
        climbs = self.climbs[network]
        name, known = layer or "The output", climbs.channels[layer]
        if not 0 <= channel < known:
            raise Notice(f"{name} has no channel {channel}: choose one of 0 to {known - 1}.")
        try:
            climb = climbs.of(layer, channel, objective, **how)
        except WeightsError as reason:
            raise Notice(f"There is no learned prior: {reason}") from reason
        self._climb, self._until = climb, 0 if stopped else step
        done, picture = (step, climb.frames[step]) if step in climb.frames else climb.latest()
        frames = tuple((number, climb.frames[number]) for number in self.steps if number in climb.frames)
        value, most = climbs.measured(picture, layer, channel, objective)
        source = "Rendered now" + (f", {1000 * climb.seconds / climb.steps:.0f} ms a step" if climb.steps else "")
        if done < step:
            source += ", stopped on the way" if stopped else f", on the way to {step}"
        if how["prior"]:
            source += "; the numbers that the learned prior draws it from take the steps, so waves and colours do not apply"
        return View(
            self._named(network, layer, channel, objective), frames, picture, done, value, most, None,
            float(study.noise_share(picture[None])), f"{source}.", climb.awake or climb.steps <= climb.warm_up,
        )  # fmt: skip

    def _named(self, network: str, layer: str, channel: int, objective: str) -> str:
        classes = getattr(self.climbs[network].model, "classes", None)
        if objective.startswith("whole layer"):
            name = f"all of {layer or 'the class scores'}"
        elif not layer and classes:
            name = f"the class {classes[channel]}"
        else:
            name = f"{layer or 'the output'}, channel {channel}"
        if objective.startswith("neuron"):
            name += ", in the centre"
        return f"{name}, of {network}" if len(self.climbs) > 1 and network != STORED else name

    @property
    def growing(self) -> bool:
        return self._climb is not None and self._climb.steps < self._until

    def grow(self, seconds: float) -> None:
        self._climb.advance(seconds)

    def update(self) -> None:
        super().update()
        stop = self.controls["stopped"]
        stop.disabled = not (self.growing or stop.value)

    def answer_value(self) -> dict[str, Any]:
        """The controls' values, what was measured on the picture shown, and for which controls nothing is stored."""
        self.update()
        measured = {} if self.message.value else {name: getattr(self.result, name) for name in ("value", "below", "noise")}
        return self.state | measured | {"unstored": self.unstored(**self.state)}

    def draw(self, result: View, **_: Any) -> bytes:
        return self._sheet.png(result)

    def describe(self, result: View, layer: str, objective: str, **_: Any) -> str:
        if not result.awake:
            return f"{result.name}: silent whatever the picture, so there is no gradient to climb. A dead unit, or one asleep."
        if result.below is not None:
            than = f"more than on {'each' if result.below == 1 else f'{result.below:.2%}'} of 10,000 ordinary pictures"
        elif result.most > 1e-3:
            than = f"{result.value / result.most:.2f} times the largest on {len(ordinary())} ordinary pictures"
        else:
            than = f"and at most {result.most:.3g} on {len(ordinary())} ordinary pictures"
        kind = {"channel": "mean" if layer else "logit", "neuron in the centre": "activation"}.get(objective, "mean square")
        return (
            f"{result.name}, after {result.steps} steps: {kind} {result.value:.3g}, {than}. {result.noise:.1%} of the picture's"
            f" power is fine noise, above a quarter of a cycle per pixel. {result.source}"
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
