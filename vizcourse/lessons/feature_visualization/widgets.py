"""Explorers of lesson 02: the studio, the neuron blender, and rating directions blind.

What is slow was rendered beforehand (``vizcourse/lessons/feature_visualization/pictures.py``) and is shown at once. The
studio also renders any channel live, a few steps at a time, and says which of both is on show.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import math
import random
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import ipywidgets
import torch
from torch import Tensor, nn

from vizcourse import plotting
from vizcourse.hooks import capture
from vizcourse.lessons.feature_visualization import pictures as study
from vizcourse.lessons.feature_visualization.study import SMOOTHNESS
from vizcourse.methods import feature_visualization as method
from vizcourse.methods.image_parameters import cut
from vizcourse.methods.passes import PassingReLU, as_maps, device_of, left_alone, running
from vizcourse.models import load
from vizcourse.widgets import Explorer, Notice, row
from vizcourse.worlds import scenes

#: The studio's last unit: whatever layer and channel the learner chooses, rendered on the spot.
LIVE = "any channel, rendered now"
SWITCHES = study.SWITCHES
#: Weights of the penalties in live renderings.
WEIGHTS = {"total_variation": SMOOTHNESS, "l1": 2.0, "l2": 4.0, "blur": 100.0}
OBJECTIVES = {
    "channel": method.channel,
    "neuron in the centre": method.neuron,
    "whole layer (DeepDream)": lambda layer, _number: method.layer(layer),
}
#: Seconds of climbing before the picture is shown again: at once after a change, and between two looks later on.
FIRST_LOOK, LATER_LOOKS = 0.03, 0.08


# -------------------------------------------------------------------------------------------------------------- measures


def spectrum(images: Tensor) -> Tensor:
    """The mean power of each frequency, in steps of one cycle per picture: ``(N, 3, S, S)`` -> ``(S // 2 + 1,)``."""
    size = images.shape[-1]
    power = torch.fft.fft2(images - images.mean((2, 3), keepdim=True)).abs().square().mean((0, 1)) / size**2
    cycles = torch.fft.fftfreq(size) * size
    ring = torch.hypot(cycles[:, None], cycles[None]).round().long().clamp_max(size // 2)
    total = torch.zeros(size // 2 + 1).index_add_(0, ring.flatten(), power.flatten())
    return total / torch.bincount(ring.flatten(), minlength=size // 2 + 1).clamp_min(1)


@functools.cache
def _ordinary(count: int = 32) -> Tensor:
    """Ordinary pictures to compare with, ``(count, 3, 96, 96)``."""
    return scenes.render(scenes.sample(count, seed=208), size=96)


# ---------------------------------------------------------------------------------------------------------------- studio


class Climb:
    """The same climb as :func:`vizcourse.methods.feature_visualization.render`, but a few steps at a time.

    Attributes:
        frames: ``{steps: picture (3, height, width)}`` for those of ``keep`` that have been reached.
        steps: done so far.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: method.Objective,
        image: method.Image,
        transformations: Sequence[method.Transformation],
        keep: Sequence[int],
        seed: int = 0,
        optimizer: str = "sgd",
    ) -> None:
        self.model, self.objective, self.image, self.transformations = model, objective, image, transformations
        self.keep, self.total = set(keep), max(keep)
        self.generator = torch.Generator().manual_seed(seed)
        self.parameter = image.start(1, self.generator).to(device_of(model)).requires_grad_()
        self.plain = optimizer == "sgd"
        self.optimizer = method.OPTIMIZERS[optimizer]([self.parameter], 0.05)
        self.warm_up = min(16, self.total // 2)
        self.steps, self.seconds, self.awake = 0, 0.0, False
        self.frames: dict[int, Tensor] = {}
        self._keep()

    @property
    def finished(self) -> bool:
        return self.steps >= self.total

    def advance(self, seconds: float) -> None:
        """Climb for about so long, but at least one step."""
        start = time.perf_counter()
        with left_alone(self.model), torch.enable_grad():
            while not self.finished:
                self._step()
                if time.perf_counter() - start > seconds:
                    break
        self.seconds += time.perf_counter() - start

    def latest(self) -> tuple[int, Tensor]:
        """How many steps have been done, and the picture now."""
        with torch.no_grad():
            return self.steps, self.image.decode(self.parameter)[0].cpu()

    def _step(self) -> None:
        pictures = seen = self.image.decode(self.parameter)
        for transform in self.transformations:
            seen = transform(seen, self.generator)
        # Hooks are set for one step only: between two looks the model belongs to the learner's other cells.
        layers = [term.layer for term in self.objective.terms]
        with running(self.model, layers) as run, PassingReLU() if self.steps < self.warm_up else nullcontext():
            maps = run(cut(seen, pictures.shape[2:]).contiguous(memory_format=torch.channels_last)) | {None: ("", pictures)}
        value = sum(term.weight * term.measure(maps[term.layer][1], maps[term.layer][0]) for term in self.objective.terms)
        (gradient,) = torch.autograd.grad(-value.sum(), self.parameter)
        self.awake = self.awake or bool(gradient.any())
        self.parameter.grad = method.normalized(gradient) if self.plain else gradient
        self.optimizer.step()
        self.steps += 1
        self._keep()

    def _keep(self) -> None:
        if self.steps in self.keep:
            self.frames[self.steps] = self.latest()[1]


@dataclass(frozen=True)
class View:
    """One picture of the studio and what was measured on it.

    ``value`` is the unit's mean in multiples of the largest among ordinary pictures; ``below`` the share of 10,000
    pictures on which it is smaller, known for pictures rendered beforehand; ``steps`` those of the picture shown.
    """

    unit: str
    frames: tuple[tuple[int, Tensor], ...]
    picture: Tensor
    steps: int
    value: float
    below: float | None
    noise: float
    live: bool = False
    pace: float = 0.0
    going_on: bool = False
    awake: bool = True


class Studio(Explorer):
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
        self.size = getattr(self.model, "input_size", 96)
        ordinary = nn.functional.interpolate(_ordinary(), size=(self.size, self.size), mode="bilinear", antialias=True)
        names = list(layers) if layers is not None else [name for name, _ in self.model.named_children()]
        # The largest mean of every channel among ordinary pictures, in one pass: the measure of every value shown.
        with left_alone(self.model), torch.no_grad(), capture(self.model, names) as acts:
            output = self.model(ordinary.to(device_of(self.model)))
            spatial = [name for name in names if name in acts and acts[name].ndim == 4 and acts[name].shape[-1] > 1]
            seen = {name: acts[name] for name in spatial} | {"": as_maps(output, "")}
        self.best = {name: maps.mean((2, 3)).amax(0).cpu() for name, maps in seen.items()}
        self._best_square = {name: maps.square().mean((1, 2, 3)).amax().cpu() for name, maps in seen.items()}
        self.natural = spectrum(ordinary)[1:].clamp_min(1e-8).log10()
        self.units = {label: (layer, number) for layer, number, label in self.paths.units} if self.paths else {}
        self.steps = tuple(self.paths.steps) if self.paths else (0, 4, 16, 48, 96)
        self._climbs: OrderedDict[tuple, Climb] = OrderedDict()
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "initial"}
        layers = [(name or "class scores", name) for name in self.best]
        chosen = layers[len(layers) // 2][1]

        def switch(on: bool, description: str) -> ipywidgets.Checkbox:
            return ipywidgets.Checkbox(on, description=description, indent=False, layout=ipywidgets.Layout(width="auto"))

        return {
            "unit": ipywidgets.Dropdown(options=[*self.units, LIVE], description="Unit", style=style),
            "layer": ipywidgets.Dropdown(options=layers, value=chosen, description="Layer", style=style),
            "channel": ipywidgets.IntSlider(0, 0, len(self.best[chosen]) - 1, description="Channel", continuous_update=False),
            "objective": ipywidgets.Dropdown(options=list(OBJECTIVES), description="Objective", style=style),
            "optimizer": ipywidgets.Dropdown(
                options=[("plain gradient", "sgd"), ("Adam", "adam")],
                value=study.OPTIMIZERS[0],
                description="Steps",
                style=style,
                layout=ipywidgets.Layout(width="170px"),
            ),
            "fourier": switch(False, "Fourier, 1/f"),
            "colours": switch(False, "independent colours"),
            "transformations": switch(False, "transformations (jitter, scale, rotate)"),
            "total_variation": switch(False, "total variation"),
            "l1": switch(False, "L1"),
            "l2": switch(False, "L2"),
            "blur": switch(False, "blur"),
            "step": ipywidgets.SelectionSlider(
                options=self.steps, value=self.steps[-1], description="After steps", style=style
            ),
        }

    def arrange(self) -> ipywidgets.Widget:
        c = self.controls
        self._live_only = row(c["layer"], c["channel"], c["objective"], c["l1"], c["l2"], c["blur"])
        self._show_live_controls()
        return ipywidgets.VBox([row(c["unit"], c["optimizer"], *(c[name] for name in SWITCHES)), self._live_only, c["step"]])

    def _show_live_controls(self) -> None:
        self._live_only.layout.display = "flex" if self.controls["unit"].value == LIVE else "none"

    def settle(self, name: str) -> None:
        if name == "unit":
            self._show_live_controls()
        elif name == "layer":
            self.controls["channel"].max = len(self.best[self.controls["layer"].value]) - 1

    def compute(self, unit: str, step: int, **state: Any) -> View:
        switches = {name: state[name] for name in SWITCHES}
        return self._live(step, **state) if unit == LIVE else self._beforehand(unit, step, state["optimizer"], switches)

    def _beforehand(self, unit: str, step: int, optimizer: str, switches: dict[str, bool]) -> View:
        layer, number = self.units[unit]
        frames = self.paths.frames(layer, number, optimizer=optimizer, **switches)
        picture = frames[self.steps.index(step)]
        kept = tuple(zip(self.steps, frames, strict=True))
        if step == self.steps[-1]:  # measured on the picture itself, not on its compressed copy
            value, below, noise = self.paths.value(layer, number, optimizer=optimizer, **switches)
        else:
            value = float(method.evaluate(self.model, method.channel(layer, number), picture[None]))
            below, noise = None, float(study.noise_share(picture[None]))
        return View(unit, kept, picture, step, value / self._most(layer, number), below, noise)

    def _live(self, step: int, layer: str, channel: int, objective: str, optimizer: str, **on: bool) -> View:
        if channel >= len(self.best[layer]):
            raise Notice(f"{layer or 'The output'} has channels 0 to {len(self.best[layer]) - 1}.")
        climb = self._climb(layer, channel, objective, optimizer, on)
        if climb.steps < step:
            climb.advance(FIRST_LOOK)
        steps, picture = (step, climb.frames[step]) if step in climb.frames else climb.latest()
        goal, most, name = method.channel(layer, channel), self._most(layer, channel), f"{layer or 'class score'} {channel}"
        if objective.startswith("whole layer"):
            goal, most, name = method.layer(layer), float(self._best_square[layer]), f"all of {layer or 'the class scores'}"
        value = float(method.evaluate(self.model, goal, picture[None])) / most
        kept = tuple((number, climb.frames[number]) for number in self.steps if number in climb.frames)
        return View(
            name, kept, picture, steps, value, None, float(study.noise_share(picture[None])),
            live=True, pace=climb.seconds / max(1, climb.steps), going_on=climb.steps < step,
            awake=climb.awake or climb.steps <= climb.warm_up,
        )  # fmt: skip

    def _most(self, layer: str, number: int) -> float:
        return float(self.best[layer][number].abs().clamp_min(1e-6))

    def _climb(self, layer: str, number: int, objective: str, optimizer: str, on: dict[str, bool]) -> Climb:
        key = (layer, number, objective, optimizer, *sorted(on.items()))
        if key not in self._climbs:
            goal = OBJECTIVES[objective](layer, number)
            for name, weight in WEIGHTS.items():
                if on[name]:
                    goal = goal - weight * getattr(method, name)()
            image = method.fourier if on["fourier"] else method.pixels
            colours = self._colours if on["colours"] else None
            transformations = method.DEFAULT if on["transformations"] else ()
            parameters = image(self.size, colours=colours)
            climb = Climb(self.model, goal, parameters, transformations, self.steps, optimizer=optimizer)
            self._climbs[key] = climb
            while len(self._climbs) > 16:
                self._climbs.popitem(last=False)
        self._climbs.move_to_end(key)
        return self._climbs[key]

    @functools.cached_property
    def _colours(self) -> Tensor:
        return method.colour_matrix(_ordinary())

    # --- going on with a live climb while the learner looks ---------------------------------------------------------------

    def update(self) -> None:
        before = len(self.errors)
        super().update()
        if self._climbing and len(self.errors) == before and not self.message.value:
            self._go_on_later()

    @property
    def _climbing(self) -> bool:
        return self.controls["unit"].value == LIVE and isinstance(self.result, View) and self.result.going_on

    def _go_on_later(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # plain Python, where nobody is looking
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(0.01, self._go_on)

    def _go_on(self, seconds: float = LATER_LOOKS) -> None:
        self._timer = None
        if self.state == self._drawn:  # otherwise the learner has moved on, and that change is answered soon
            next(reversed(self._climbs.values())).advance(seconds)
            self._drawn = None
            self.update()

    def finish(self) -> Studio:
        """Climb to the end at once, which takes some seconds; for a static copy and for answers."""
        self.update()
        while self._climbing and not self.message.value:
            self._go_on(60)
        return self

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        self.finish()
        return super()._repr_mimebundle_(include, exclude)

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
        # The climb as a strip of small pictures in two columns, the one on show framed.
        side, gap = result.picture.shape[-1], 8
        sheet = torch.ones(3, 3 * (side + gap) - gap, 2 * (side + gap) - gap)
        for number, (_, frame) in enumerate(result.frames[:6]):
            line, column = divmod(number, 2)
            top, left = line * (side + gap), column * (side + gap)
            sheet[:, top : top + side, left : left + side] = frame
        plotting.picture(axes[1], sheet, "the climb: " + ", ".join(str(steps) for steps, _ in result.frames))
        axes[1].title.set_size(8)
        for number, (steps, _) in enumerate(result.frames[:6]):
            if steps == result.steps:
                line, column = divmod(number, 2)
                plotting.box(axes[1], column * (side + gap), line * (side + gap), side, side)
        # Logarithms are plotted on plain axes, which are drawn in half the time of logarithmic ones.
        power = spectrum(result.picture[None])[1:].clamp_min(1e-8).log10()
        cycles = (torch.arange(1, len(power) + 1) / side).log10()
        axes[3].plot(cycles, power, color=plotting.RED)
        axes[3].plot(cycles, self.natural, color=plotting.GREY, ls="--")
        axes[3].text(-2, -5.7, "red: this picture\ndashed: ordinary pictures", color="#555555", fontsize=9)
        axes[3].set_xlim(-2.05, -0.28)
        axes[3].set_ylim(-6, 3)
        axes[3].set_xticks([-2, -1, math.log10(0.25), math.log10(0.5)], ["0.01", "0.1", "0.25", "0.5"])
        axes[3].set_yticks([-6, -3, 0, 3], ["10⁻⁶", "10⁻³", "1", "10³"])
        axes[3].set_xlabel("frequency (cycles per pixel)", fontsize=9)
        axes[3].set_ylabel("power", fontsize=9)
        axes[3].axvspan(math.log10(0.25), math.log10(0.5), color=plotting.ORANGE, alpha=0.15, lw=0)
        axes[3].set_title(f"spectrum; shaded: fine noise, {result.noise:.1%} of the power", fontsize=10)
        return plotting.png(figure, dpi=80)

    def describe(self, result: View, **_: Any) -> str:
        if not result.awake:
            return f"{result.unit}: silent whatever the picture, so there is no gradient to climb. A dead unit, or one asleep."
        answer = f"it answers {result.value:.2f} times as strongly as to the best of {len(_ordinary())} ordinary pictures"
        if result.below is not None:
            share = "each" if result.below == 1 else f"{result.below:.2%}"
            answer = f"it answers more strongly than to {share} of 10,000 ordinary pictures"
        source = "Rendered beforehand; picture and spectrum are drawn from a compressed copy"
        if result.live:
            source = f"Live, {1000 * result.pace:.0f} ms a step" + (", still climbing" if result.going_on else "")
        return (
            f"{result.unit}, after {result.steps} steps: {answer}. {result.noise:.1%} of the picture's power is fine noise, "
            f"above a quarter of a cycle per pixel. {source}."
        )


# --------------------------------------------------------------------------------------------------------------- blender


@dataclass(frozen=True)
class Blend:
    """Two units, an angle between them, and the joint picture.

    ``curves``: ``(angles, 2)``, what both answer at every angle, in multiples of the strongest of 10,000 pictures;
    ``mixed``: the two pure pictures mixed pixel by pixel, and ``mixed_values``, ``(2,)``, what both answer to that.
    """

    names: tuple[str, str]
    angles: tuple[int, ...]
    place: int
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
        self.model = load("googlenet-scenes")
        self._images = functools.lru_cache(self.blends.images)
        self._pure = functools.lru_cache(self._measured)
        self._answers = functools.lru_cache(self._answered)
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "initial"}
        angles = tuple(self.blends.angles)
        return {
            "pair": ipywidgets.Dropdown(
                options=[(" and ".join(self._names(pair)), number) for number, pair in enumerate(self.blends.pairs)],
                description="Units",
                style=style,
                layout=ipywidgets.Layout(width="360px"),
            ),
            "angle": ipywidgets.SelectionSlider(
                options=[(f"{angle}°", angle) for angle in angles],
                value=angles[len(angles) // 2],
                description="Angle",
                style=style,
            ),
        }

    @staticmethod
    def _names(pair: Sequence[tuple[str, int]]) -> tuple[str, str]:
        return tuple(f"{layer}:{number}" for layer, number in pair)

    def compute(self, pair: int, angle: int) -> Blend:
        images, curves = self._images(pair), self.blends.values(pair)
        angles, units = tuple(self.blends.angles), self.blends.pairs[pair]
        place = angles.index(angle)
        mixed = self._mixed(pair, place)
        return Blend(self._names(units), angles, place, images, curves, mixed, self._answers(pair, place))

    def _mixed(self, pair: int, place: int) -> Tensor:
        """The two pure pictures, mixed pixel by pixel in the proportion of the angle."""
        images, share = self._images(pair), place / (len(self.blends.angles) - 1)
        return (1 - share) * images[0] + share * images[-1]

    def _answered(self, pair: int, place: int) -> Tensor:
        objectives = [method.channel(*unit) for unit in self.blends.pairs[pair]]
        return method.evaluate(self.model, objectives, self._mixed(pair, place)[None])[:, 0] / self._pure(pair)

    def _measured(self, pair: int) -> Tensor:
        """What the largest answer of 10,000 pictures is to each of the two units, ``(2,)``, from their pure pictures."""
        images, curves, units = self._images(pair), self.blends.values(pair), self.blends.pairs[pair]
        pure = method.evaluate(self.model, [method.channel(*unit) for unit in units], images[[0, -1]])
        return torch.stack([pure[0, 0] / curves[0, 0], pure[1, 1] / curves[-1, 1]])

    def draw(self, result: Blend, **_: Any) -> bytes:
        figure, axes = plotting.new(
            10.8, 3.0, 1, 5, gridspec_kw={"width_ratios": [1, 1, 1, 1, 1.7]},
            margins={"left": 0.01, "right": 0.985, "top": 0.83, "bottom": 0.2, "wspace": 0.08},
        )  # fmt: skip
        first, second = result.names
        plotting.picture(axes[0], result.images[0], f"A alone\n{first}")
        plotting.picture(axes[1], result.images[result.place], f"climbed together\nat {result.angles[result.place]}°")
        plotting.picture(axes[2], result.mixed, "A's and B's pictures\nmixed pixel by pixel")
        plotting.picture(axes[3], result.images[-1], f"B alone\n{second}")
        place = axes[4].get_position()
        axes[4].set_position([place.x0 + 0.05, place.y0, place.width - 0.05, place.height])
        angle = result.angles[result.place]
        for number, (colour, marker) in enumerate(((plotting.BLUE, "o"), (plotting.ORANGE, "s"))):
            axes[4].plot(result.angles, result.curves[:, number], color=colour, marker=marker, ms=4)
            axes[4].plot([angle], [result.mixed_values[number]], color=colour, marker="x", ms=8, ls="")
        axes[4].axvline(angle, color=plotting.GREY, lw=1)
        axes[4].axhline(1, color=plotting.GREY, lw=1, ls=":")
        axes[4].set_ylim(min(0.0, float(result.curves.min())), 1.2 * float(result.curves.max()))
        axes[4].set_xlabel("angle (degrees)", fontsize=10)
        axes[4].set_title("answer / largest of 10,000 pictures\n(×: mixed pixel by pixel)", fontsize=10)
        axes[4].set_xticks(result.angles)
        axes[4].tick_params(labelsize=9)
        for number, (name, colour) in enumerate((("A", plotting.BLUE), ("B", plotting.ORANGE))):
            end = -number  # A's curve is named at its high end on the left, B's on the right
            axes[4].text(result.angles[end], float(result.curves[end, number]), f" {name} ", color=colour, fontsize=11,
                         ha="left" if number == 0 else "right", va="bottom", weight="bold")  # fmt: skip
        return plotting.png(figure, dpi=76)

    def describe(self, result: Blend, **_: Any) -> str:
        a, b = result.curves[result.place].tolist()
        mixed_a, mixed_b = result.mixed_values.tolist()
        return (
            f"At {result.angles[result.place]}° the picture climbed for both gives A = {result.names[0]} {a:.2f} and B = "
            f"{result.names[1]} {b:.2f} times the largest answer of 10,000 pictures. The two pure pictures, mixed pixel by "
            f"pixel, give {mixed_a:.2f} and {mixed_b:.2f}. Rendered beforehand; the mixture is measured now."
        )


# ------------------------------------------------------------------------------------------------------------ directions


@dataclass(frozen=True)
class Rated:
    """One direction's picture and examples, and after the reveal all ratings: ``(kind, name, rating, purity)``."""

    number: int
    image: Tensor
    examples: Tensor
    rating: int
    count: int
    revealed: tuple[tuple[str, str, int, float], ...] = ()


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
        style = {"description_width": "initial"}
        return {
            "number": ipywidgets.IntSlider(1, 1, len(self.directions.kind), description="Direction"),
            "rating": ipywidgets.ToggleButtons(
                options=[("not rated", 0), ("1 nothing in common", 1), ("2", 2), ("3", 3), ("4", 4), ("5 one clear thing", 5)],
                description="One thing?",
                style=style | {"button_width": "auto"},
            ),
            "reveal": ipywidgets.Checkbox(False, description="Reveal (ratings become final)", indent=False),
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
            shown = tuple(
                (d.kind[each - 1], d.names[each - 1], given, float(d.purity(each - 1)))
                for each, given in sorted(self.ratings.items())
            )
        return Rated(number, d.image(number - 1), d.examples(number - 1), rating, len(self.ratings), shown)

    def answer_value(self) -> dict[str, Any]:
        return {"ratings": dict(self.ratings), "revealed": self.final}

    def draw(self, result: Rated, **_: Any) -> bytes:
        columns = 3 if result.revealed else 2
        figure, axes = plotting.new(
            10, 3.1, 1, columns, gridspec_kw={"width_ratios": [1, 1.5, 1.1][:columns]},
            margins={"left": 0.01, "right": 0.985, "top": 0.9, "bottom": 0.16, "wspace": 0.12},
        )  # fmt: skip
        name = f": {self.directions.names[result.number - 1]}" if result.revealed else ""
        plotting.picture(axes[0], result.image, f"direction {result.number}{name}")
        count, _, side, _ = result.examples.shape
        sheet = torch.ones(3, 2 * side + 4, 3 * (side + 4) - 4)
        for place, example in enumerate(result.examples[:6]):
            top, left = place // 3 * (side + 4), place % 3 * (side + 4)
            sheet[:, top : top + side, left : left + side] = example
        plotting.picture(axes[1], sheet, f"its top {count} of 10,000 pictures")
        if result.revealed:
            chance = random.Random(0)
            for line, (kind, colour, marker) in enumerate((("basis", plotting.BLUE, "o"), ("random", plotting.ORANGE, "s"))):
                given = [rating for each, _, rating, _ in result.revealed if each == kind]
                scattered = [line + chance.uniform(-0.18, 0.18) for _ in given]
                axes[2].scatter(scattered, given, color=colour, marker=marker, s=26)
                axes[2].hlines(sum(given) / len(given), line - 0.3, line + 0.3, color=colour, lw=2)
            axes[2].set_xticks([0, 1], ["basis (channels)", "random"])
            axes[2].set(xlim=(-0.5, 1.5), ylim=(0.7, 5.3), ylabel="your rating", yticks=range(1, 6))
            axes[2].set_title("bars: means", fontsize=10)
        return plotting.png(figure, dpi=85)

    def describe(self, result: Rated, **_: Any) -> str:
        if not result.revealed:
            rated = f"rated {result.rating}" if result.rating else "not rated yet"
            return (
                f"Direction {result.number} of layer {self.directions.layer}, {rated}; {result.count} of "
                f"{len(self.directions.kind)} rated. Do its picture and its top pictures have one thing in common?"
            )
        basis, other = ([rating for kind, _, rating, _ in result.revealed if kind == each] for each in ("basis", "random"))
        pure = {
            each: sum(share for kind, _, _, share in result.revealed if kind == each) / len(given)
            for each, given in (("basis", basis), ("random", other))
        }
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
