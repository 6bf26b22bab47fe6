"""Feature visualization: pictures, found by gradient ascent, that show what a part of a network answers to.

After Olah, Mordvintsev and Schubert, "Feature Visualization" (Distill, 2017). A picture is made from five choices:

- an *objective*, what to raise: :func:`channel`, :func:`neuron`, :func:`logit`, … and sums, differences and multiples
  of these, also with penalties on the picture, as in ``channel("layer3", 7) - 0.1 * total_variation()``;
- an *image*, what to take steps in: :func:`pixels`, :func:`fourier` or the latent space of a :func:`prior`;
- *transformations*, under which the picture must keep its effect: :func:`jitter`, :func:`scale`, :func:`rotate`, …;
- an *optimizer*: plain steps along the gradient, or Adam's, which treat each parameter alike;
- and a seed.

:func:`render` climbs; :func:`top_examples` finds the pictures of a collection that do what a rendered one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from vizcourse.hooks import Layout, Wanted
from vizcourse.methods.checks import (
    checked_choice,
    checked_count,
    checked_finite,
    checked_images,
    checked_model,
    checked_number,
    following,
)
from vizcourse.methods.dataset_examples import Examples, top_examples
from vizcourse.methods.image_parameters import (
    DEFAULT,
    DISTILL,
    IMAGENET_COLOURS,
    LUCENT,
    Image,
    Transformation,
    colour_matrix,
    cut,
    fourier,
    jitter,
    pad,
    pixels,
    prior,
    rotate,
    scale,
)
from vizcourse.methods.objectives import (
    Objective,
    Term,
    blur,
    caricature,
    channel,
    direction,
    diversity,
    inversion,
    l1,
    l2,
    layer,
    logit,
    neuron,
    position,
    total_variation,
)
from vizcourse.methods.passes import PassingReLU, Seen, device_of, left_alone, plain_batch_norms, running

__all__ = [
    "DEFAULT", "DISTILL", "IMAGENET_COLOURS", "LUCENT", "OPTIMIZERS", "ConstantObjective", "Examples", "Image", "NotFinite",
    "Objective", "Rendering", "Term", "Transformation", "blur", "caricature", "channel", "colour_matrix", "direction",
    "diversity", "evaluate", "fourier", "inversion", "jitter", "l1", "l2", "layer", "logit", "neuron", "normalized", "pad",
    "pixels", "position", "prior", "render", "rotate", "scale", "top_examples", "total_variation",
]  # fmt: skip

OPTIMIZERS = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}


class ConstantObjective(ValueError):
    """A term of an objective is the same whatever the picture; ``indices`` lists the objectives that have one."""

    def __init__(self, message: str, indices: list[int]) -> None:
        super().__init__(message)
        self.indices = indices


class NotFinite(ValueError):
    """The loss or its gradient was not finite at ``step``; ``images`` are the last good ones, ``(N, 3, h, w)``."""

    def __init__(self, message: str, step: int, images: Tensor) -> None:
        super().__init__(message)
        self.step, self.images = step, images


@dataclass(frozen=True)
class Rendering:
    """What :func:`render` returns.

    Attributes:
        images: ``(N, 3, height, width)`` in [0, 1], objective by objective.
        values: ``(steps, N)``, each objective on the transformed picture before each step.
        frames: ``(frames, N, 3, height, width)`` of the path from the start to the end, on the CPU.
        frame_steps: after how many steps each frame was taken.
    """

    images: Tensor
    values: Tensor
    frames: Tensor
    frame_steps: tuple[int, ...]


def render(
    model: nn.Module,
    objective: Objective | Sequence[Objective],
    *,
    image: Image | None = None,
    steps: int = 128,
    learning_rate: float = 0.05,
    optimizer: str = "adam",
    transformations: Sequence[Transformation] = DEFAULT,
    variants: int = 1,
    seed: int = 0,
    frames: int = 0,
    warm_up: int = 16,
    layout: Layout | str | None = None,
    progress: bool = True,
) -> Rendering:
    """Make pictures that raise objectives, by gradient ascent from faint noise.

    All objectives share one batch, one starting noise and the same transformations at each step, so a picture is the
    same whether rendered alone or among others (but for rounding), and differs from its neighbour only by what is asked.
    The forward pass ends at the last layer that an objective names. The model runs in eval mode, and is left as it was.

    Args:
        model: from pictures ``(N, 3, height, width)`` in [0, 1].
        objective: one, or several.
        image: what to take steps in; by default ``fourier(model.input_size)``, or 96 pixels if the model does not say.
        steps: of gradient ascent.
        learning_rate: about how far a step moves each parameter: the root mean square over a picture's parameters, of
            every step with ``"sgd"`` and of the first with ``"adam"``.
        optimizer: ``"adam"``, whose steps give each parameter about the same share, however small its gradient, and so
            largely undo the metric that ``image`` has chosen; or ``"sgd"``, steps along the :func:`normalized` gradient,
            which keep it.
        transformations: applied in turn, one draw for the whole batch; ``()`` for none. What they leave is cut or framed
            with grey to the picture's own size.
        variants: pictures of each objective, from different noise.
        seed: of the noise and of the transformations.
        frames: how many pictures of the path to keep, evenly from the start to the end.
        warm_up: steps, at most half of all, in which a gradient that is wholly blocked by a ReLU is let through where it
            would raise the input, because a unit that is silent on noise could never be woken otherwise (as in Lucid).
        layout: how the layers lay out their maps, where it cannot be found out; see :func:`vizcourse.hooks.layout_of`.
        progress: show a bar if it takes more than three seconds.

    Raises:
        ValueError: bad numbers, unknown layer or channel out of range (names the valid ones).
        ConstantObjective: a term of an objective does not depend on the picture, as with a dead unit.
        NotFinite: the loss or the gradient is not finite; carries the step and the last good pictures.

    Example:
        >>> result = render(model, [channel("inception4a", 3), channel("inception4a", 3) - channel("inception4a", 7)])
        >>> result.images.shape
        torch.Size([2, 3, 96, 96])
    """
    objectives, model = _checked(objective), checked_model(model)
    steps, variants = checked_count(steps, "steps"), checked_count(variants, "variants")
    frames = checked_count(frames, "frames", least=0)
    warm_up = min(checked_count(warm_up, "warm_up", least=0), steps // 2)
    checked_choice(optimizer, OPTIMIZERS, "optimizer")
    image = image or fourier(getattr(model, "input_size", 96))
    if not isinstance(image, Image) or not all(map(callable, transformations)):
        raise ValueError("An image is fourier(…), pixels(…) or prior(…), and transformations are a tuple such as (jitter(8),).")
    generator = torch.Generator().manual_seed(seed)
    start = image.start(variants, generator)
    parameter = start.repeat(len(objectives), *[1] * (start.ndim - 1)).to(device_of(model)).requires_grad_()
    climber = OPTIMIZERS[optimizer]([parameter], checked_number(learning_rate, "learning_rate", above=0))
    frame_steps = tuple(round(steps * number / max(1, frames - 1)) for number in range(frames)) if frames != 1 else (steps,)
    kept: list[Tensor] = []
    values: list[Tensor] = []
    suspicious = min(steps - 1, max(warm_up, 16))  # when a term that has never moved is looked into
    first = moved = good = None
    undisturbed = left_alone(model, *image.modules)
    with undisturbed, plain_batch_norms(model), torch.enable_grad(), running(model, _layers(objectives), layout=layout) as run:
        for step in tqdm(range(steps), "rendering", delay=3, leave=False, disable=not progress):
            pictures = image.decode(parameter)
            now = pictures.detach().clone()
            good = now if good is None else good
            kept += [now.cpu()] * frame_steps.count(step)
            seen = pictures
            for transform in transformations:
                seen = transform(seen, generator)
            with PassingReLU() if step < warm_up else nullcontext():
                # With the channels side by side in memory, pooling and convolution are faster; the values are the same.
                framed = cut(seen, pictures.shape[2:]).contiguous(memory_format=torch.channels_last)
                maps = run(following(framed, model))
            terms = _measure(objectives, maps | {None: Seen("", pictures)})  # penalties look at the untransformed pictures
            each = _weighed(terms)
            layered = [value.detach() for pairs in terms for term, value in pairs if term.layer is not None]
            if step == 0:
                first, moved = layered, [False] * len(layered)
            moved = [has or not torch.equal(*both) for has, *both in zip(moved, first, layered, strict=True)]
            if step == suspicious and not all(moved):
                _refuse_constant(terms, parameter, moved, step + 1)
            gradient = torch.autograd.grad(-each.sum(), parameter)[0] if each.requires_grad else torch.zeros_like(parameter)
            if not (each.detach().sum() + gradient.sum()).isfinite():
                wrong = [term.name for pairs in terms for term, value in pairs if not value.isfinite().all()]
                raise NotFinite(
                    f"{_listed(wrong) or 'The gradient'} is not finite at step {step}: check the model's weights, "
                    "or use a smaller weight or learning rate; the last good pictures are this error's .images.",
                    step,
                    good,
                )
            good = now
            values.append(each.detach())
            parameter.grad = normalized(gradient) if optimizer == "sgd" else gradient
            climber.step()
        final = image.decode(parameter).detach()
    kept += [final.cpu()] * frame_steps.count(steps)
    path = torch.stack(kept) if kept else final.new_zeros(0, *final.shape)
    return Rendering(final, torch.stack(values), path, frame_steps)


def normalized(gradient: Tensor) -> Tensor:
    """Each picture's gradient ``(N, …)`` divided by its root mean square, so that the learning rate is a step's length.

    Gradients of different units, and of one unit along its path, differ by orders of magnitude. Where a gradient is zero,
    it stays so.
    """
    if not isinstance(gradient, Tensor) or gradient.ndim < 2:
        raise ValueError("Gradients are a tensor (N, …), those of one picture a row.")
    size = checked_finite(gradient, "gradients").flatten(1).square().mean(1).sqrt()
    return gradient / size.clamp_min(torch.finfo(gradient.dtype).tiny).view(-1, *[1] * (gradient.ndim - 1))


@torch.no_grad()
def evaluate(
    model: nn.Module,
    images: Tensor,
    objective: Objective | Sequence[Objective],
    *,
    layout: Layout | str | None = None,
) -> Tensor:
    """The values of objectives on given pictures, without any transformation.

    Args:
        model: as for :func:`render`.
        images: ``(N, 3, height, width)``.
        objective: one, or several.
        layout: as for :func:`render`.

    Returns:
        ``(objectives, N)``.

    Raises:
        ValueError: no pictures, unknown layer, channel out of range.
    """
    objectives, images = _checked(objective), checked_images(images, checked_model(model))
    with left_alone(model), running(model, _layers(objectives), layout=layout) as run:
        return _weighed(_measure(objectives, run(images), together=True)).view(len(objectives), -1)


def _checked(objective: Objective | Sequence[Objective]) -> list[Objective]:
    objectives = list(objective) if isinstance(objective, Sequence) else [objective]
    if not objectives or not all(isinstance(each, Objective) for each in objectives):
        raise ValueError("An objective is needed, such as channel('layer3', 7), or a list of them.")
    return objectives


def _layers(objectives: Sequence[Objective]) -> list[Wanted | None]:
    return [term.layer for each in objectives for term in each.terms]


def _measure(
    objectives: Sequence[Objective], seen: dict[Wanted | None, Seen], together: bool = False
) -> list[list[tuple[Term, Tensor]]]:
    """For each objective its terms with their values, before they are weighted, on its own share of the batch, ``(n,)``.

    Together, all objectives look at the same pictures.
    """
    count = len(seen[None].maps) // (1 if together else len(objectives))
    # Cut once for all objectives, because the gradient of all the cuts together is one concatenation.
    pieces = {layer: each.maps.split(count) for layer, each in seen.items()}

    def value(term: Term, number: int) -> Tensor:
        place, maps = seen[term.layer], pieces[term.layer][0 if together else number]
        given = () if term.beside is None else (place.layout.to_maps(term.beside.detach().to(maps)),)
        return term.measure(maps, place.name, *given)

    return [[(term, value(term, number)) for term in each.terms] for number, each in enumerate(objectives)]


def _weighed(terms: list[list[tuple[Term, Tensor]]]) -> Tensor:
    return torch.cat([sum(term.weight * value for term, value in pairs) for pairs in terms])


def _refuse_constant(terms: list[list[tuple[Term, Tensor]]], parameter: Tensor, moved: list[bool], steps: int) -> None:
    """Raise if a term that has not moved has no gradient either."""
    found: dict[int, str] = {}
    layered = [(number, *pair) for number, pairs in enumerate(terms) for pair in pairs if pair[0].layer is not None]
    for (number, term, value), has_moved in zip(layered, moved, strict=True):
        if has_moved or term.weight == 0 or not value.isfinite().all():
            continue
        gradient = None
        if value.requires_grad:
            (gradient,) = torch.autograd.grad(value.sum(), parameter, retain_graph=True, allow_unused=True)
        if gradient is None or not gradient.any():
            found[number] = f"{term.name} is {value[0].item():g} whatever the picture ({steps} steps)"
    if found:
        raise ConstantObjective(
            f"{_listed(list(found.values()))}: a dead unit, or one that noise does not wake; "
            "leave it out, or try another seed or a longer warm_up.",
            list(found),
        )


def _listed(texts: Sequence[str], most: int = 3) -> str:
    more = [f"{len(texts) - most} more"] if len(texts) > most else []
    return " and ".join([*texts[:most], *more])
