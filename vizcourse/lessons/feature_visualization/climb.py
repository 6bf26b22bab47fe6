"""The studio's live half: climbs that are made a few steps at a time while the learner looks, and what measures them."""

from __future__ import annotations

import functools
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from vizcourse.hooks import capture
from vizcourse.lessons.feature_visualization.study import SMOOTHNESS
from vizcourse.methods import feature_visualization as method
from vizcourse.methods.image_parameters import cut
from vizcourse.methods.passes import PassingReLU, device_of, left_alone, plain_batch_norms, running
from vizcourse.models import load
from vizcourse.worlds import scenes

#: So many climbs are kept.
MOST = 32
#: How far a step goes in pixels or waves, and with the learned prior.
RATE, PRIOR_RATE = 0.05, 0.1
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
        *,
        seed: int = 0,
        optimizer: str = "sgd",
        learning_rate: float = RATE,
    ) -> None:
        self.model, self.objective, self.image, self.transformations = model, objective, image, transformations
        self.keep, self.total = set(keep), max(keep)
        self.generator = torch.Generator().manual_seed(seed)
        self.parameter = image.start(1, self.generator).to(device_of(model)).requires_grad_()
        self.plain = optimizer == "sgd"
        self.optimizer = method.OPTIMIZERS[optimizer]([self.parameter], learning_rate)
        self.warm_up = min(16, self.total // 2)
        self.steps, self.seconds, self.awake = 0, 0.0, False
        self.frames: dict[int, Tensor] = {}
        self._keep()

    @property
    def finished(self) -> bool:
        return self.steps >= self.total

    def advance(self, seconds: float) -> None:
        """Climb for about so long, but at least one step. In between, the model belongs to the learner's other cells."""
        start = time.perf_counter()
        with left_alone(self.model, *self.image.modules), plain_batch_norms(self.model), torch.enable_grad():
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
    """All that a network's channels can be asked live: climbs are kept, and go on where they were left.

    Args:
        model: a network.
        layers: names of its layers; those without spatial extent are left out, and the output is added under ``""``.
        steps: after which a climb's picture is kept.

    Attributes:
        channels: ``{layer: how many}``.
        natural: the power of ordinary pictures at each frequency (:func:`spectrum`), as a logarithm to base 10.
    """

    def __init__(self, model: nn.Module, layers: Sequence[str], steps: Sequence[int]) -> None:
        self.model, self.steps, self.size = model, steps, getattr(model, "input_size", 96)
        images = nn.functional.interpolate(ordinary(), size=(self.size, self.size), mode="bilinear", antialias=True)
        with left_alone(model), torch.no_grad(), capture(model, layers) as acts:
            output = model(images.to(device_of(model)))
            spatial = [name for name in layers if name in acts and acts[name].ndim == 4 and acts[name].shape[-1] > 1]
            seen = {name: acts[name] for name in spatial} | {"": output[:, :, None, None]}
        self.channels = {name: maps.shape[1] for name, maps in seen.items()}
        self._most = {name: [each.amax(0).cpu() for each in _measures(maps)] for name, maps in seen.items()}
        self.natural = spectrum(images)[1:].clamp_min(1e-8).log10()
        self.kept: OrderedDict[tuple, Climb] = OrderedDict()

    def of(self, layer: str, channel: int, objective: str, optimizer: str, prior: bool, **on: bool) -> Climb:
        """The climb of a channel with these switches on, where it was left.

        Raises:
            WeightsError: it is to have the learned prior, which is not there.
        """
        if prior:  # its picture has parameters of its own
            on |= {"fourier": False, "colours": False}
        key = (layer, channel, objective, optimizer, prior, *sorted(on.items()))
        if key not in self.kept:
            goal = OBJECTIVES[objective](layer, channel)
            for name, weight in WEIGHTS.items():
                if on[name]:
                    goal = goal - weight * getattr(method, name)()
            if prior:
                image = _prior(self.size, device_of(self.model))
            else:
                kind = method.fourier if on["fourier"] else method.pixels
                image = kind(self.size, colours=_colours() if on["colours"] else None)
            moved = method.DEFAULT if on["transformations"] else ()
            rate = PRIOR_RATE if prior else RATE
            climb = Climb(self.model, goal, image, moved, self.steps, optimizer=optimizer, learning_rate=rate)
            begun = [(each, kept) for each, kept in self.kept.items() if kept.steps]  # the others begin again at no cost
            self.kept = OrderedDict([*begun[1 - MOST :], (key, climb)])
        self.kept.move_to_end(key)
        return self.kept[key]

    def measured(self, picture: Tensor, layer: str, channel: int, objective: str) -> tuple[float, float]:
        """The objective, without penalties, on a picture, and the largest on an ordinary picture."""
        most = self._most[layer][list(OBJECTIVES).index(objective)]
        value = method.evaluate(self.model, picture[None], OBJECTIVES[objective](layer, channel))
        return float(value), float(most[channel] if most.ndim else most)


def _measures(maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What :data:`OBJECTIVES` measure, in their order: of all channels ``(N, channels)``, or of the layer ``(N,)``."""
    centre = maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2]
    return maps.mean((2, 3)), centre, maps.square().mean((1, 2, 3))


@functools.cache
def _colours() -> Tensor:
    return method.colour_matrix(ordinary())


@functools.cache
def _prior(size: int, device: torch.device) -> method.Image:
    decoder = load("scenes-decoder", device=device)
    return method.prior(decoder.decode, decoder.latent, size)
