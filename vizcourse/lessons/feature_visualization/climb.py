"""The studio's live half: climbs that are made a few steps at a time while the learner looks, and what measures them."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from vizcourse.hooks import capture
from vizcourse.lessons.feature_visualization.study import SMOOTHNESS
from vizcourse.methods import feature_visualization as method
from vizcourse.methods.image_parameters import cut
from vizcourse.methods.passes import PassingReLU, device_of, left_alone, running
from vizcourse.widgets import Explorer
from vizcourse.worlds import scenes

#: Seconds of climbing between two looks at a picture.
LATER_LOOKS = 0.08
#: Weights of the penalties in live renderings.
WEIGHTS = {"total_variation": SMOOTHNESS, "l1": 2.0, "l2": 4.0, "blur": 100.0}
OBJECTIVES = {
    "channel": method.channel,
    "neuron in the centre": method.neuron,
    "whole layer (DeepDream)": lambda layer, _number: method.layer(layer),
}


def spectrum(images: Tensor) -> Tensor:
    """The mean power of each frequency, in steps of one cycle per picture: ``(N, 3, S, S)`` -> ``(S // 2 + 1,)``."""
    size = images.shape[-1]
    power = torch.fft.fft2(images - images.mean((2, 3), keepdim=True)).abs().square().mean((0, 1)) / size**2
    cycles = torch.fft.fftfreq(size) * size
    ring = torch.hypot(cycles[:, None], cycles[None]).round().long().clamp_max(size // 2)
    total = torch.zeros(size // 2 + 1).index_add_(0, ring.flatten(), power.flatten())
    return total / torch.bincount(ring.flatten(), minlength=size // 2 + 1).clamp_min(1)


@functools.cache
def ordinary(count: int = 32) -> Tensor:
    """Ordinary pictures to compare with, ``(count, 3, 96, 96)``."""
    return scenes.render(scenes.sample(count, seed=208), size=96)


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


class Climbs:
    """All that a network's channels can be asked live: the climbs of the last sixteen wishes are kept.

    Args:
        model: a network.
        layers: names of its layers; those without spatial extent are left out, and the output is added under ``""``.
        steps: after which a climb's picture is kept.

    Attributes:
        best: ``{layer: (channels,)}``, the largest mean of every channel among ordinary pictures: the measure of all values.
        natural: the power of ordinary pictures at each frequency (:func:`spectrum`), as a logarithm to base 10.
    """

    def __init__(self, model: nn.Module, layers: Sequence[str], steps: Sequence[int]) -> None:
        self.model, self.steps, self.size = model, steps, getattr(model, "input_size", 96)
        images = nn.functional.interpolate(ordinary(), size=(self.size, self.size), mode="bilinear", antialias=True)
        with left_alone(model), torch.no_grad(), capture(model, layers) as acts:
            output = model(images.to(device_of(model)))
            spatial = [name for name in layers if name in acts and acts[name].ndim == 4 and acts[name].shape[-1] > 1]
            seen = {name: acts[name] for name in spatial} | {"": output[:, :, None, None]}
        self.best = {name: maps.mean((2, 3)).amax(0).cpu() for name, maps in seen.items()}
        self._best_square = {name: float(maps.square().mean((1, 2, 3)).amax()) for name, maps in seen.items()}
        self.natural = spectrum(images)[1:].clamp_min(1e-8).log10()
        self.kept: OrderedDict[tuple, Climb] = OrderedDict()

    def of(self, layer: str, channel: int, objective: str, optimizer: str, **on: bool) -> Climb:
        """The climb of a channel with these switches on, where it was left."""
        key = (layer, channel, objective, optimizer, *sorted(on.items()))
        if key not in self.kept:
            goal = OBJECTIVES[objective](layer, channel)
            for name, weight in WEIGHTS.items():
                if on[name]:
                    goal = goal - weight * getattr(method, name)()
            image = (method.fourier if on["fourier"] else method.pixels)(
                self.size, colours=_colours() if on["colours"] else None
            )
            moved = method.DEFAULT if on["transformations"] else ()
            self.kept[key] = Climb(self.model, goal, image, moved, self.steps, optimizer=optimizer)
            while len(self.kept) > 16:
                self.kept.popitem(last=False)
        self.kept.move_to_end(key)
        return self.kept[key]

    @property
    def latest(self) -> Climb:
        """The one that was asked for last."""
        return next(reversed(self.kept.values()))

    def times(self, picture: Tensor, layer: str, channel: int | None) -> float:
        """What a channel, or the whole layer, answers to a picture, in multiples of the largest among ordinary pictures."""
        if channel is None:
            goal, most = method.layer(layer), self._best_square[layer]
        else:
            goal, most = method.channel(layer, channel), self.most(layer, channel)
        return float(method.evaluate(self.model, picture[None], goal)) / most

    def most(self, layer: str, channel: int) -> float:
        return float(self.best[layer][channel].abs().clamp_min(1e-6))


@functools.cache
def _colours() -> Tensor:
    return method.colour_matrix(ordinary())


class Growing(Explorer):
    """An explorer whose result goes on growing in small portions while the learner looks: ``growing`` says whether there is
    more to come, ``grow(seconds)`` makes some of it.
    """

    def update(self) -> None:
        before = len(self.errors)
        super().update()
        if not self.growing or len(self.errors) > before or self.message.value:
            return
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
            self.grow(seconds)
            self._drawn = None
            self.update()

    def finish(self) -> Growing:
        """Make all that is to come at once, which takes some seconds; for a static copy and for answers."""
        self.update()
        while self.growing and not self.message.value:
            self._go_on(60)
        return self

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        self.finish()
        return super()._repr_mimebundle_(include, exclude)
