"""Attribution: maps that say which places of a picture an answer came from.

Grad-CAM works on the activations of one layer (Selvaraju et al., "Grad-CAM", IJCV 2020); gradient, SmoothGrad, integrated
gradients, guided backpropagation, relevance propagation and occlusion work on pixels. All of them take
``(model, images, target)``:

- ``images``: ``(N, channel, height, width)``;
- ``target``: what is explained. A class index; one index an image, ``(N,)``; a function from the model's output to one
  score an image, such as ``lambda logits: logits[:, 3] - logits[:, 5]``; or None for the class with the highest logit.
  :func:`rather_than` makes the function that asks for one class *rather than* another.

Pixel methods return a signed value for every pixel and colour channel, ``(N, channel, height, width)``; :func:`magnitude`
and :func:`signed` make one map an image of it. :data:`METHODS` has all of them with one way to call them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vizcourse.hooks import Layout, Wanted, layout_of, replace
from vizcourse.methods import relevance
from vizcourse.methods.checks import (
    checked_classes,
    checked_count,
    checked_finite,
    checked_images,
    checked_number,
    checked_steady,
    inner_layer,
    spread_like,
)
from vizcourse.methods.passes import ReplacedReLU, answers

Target = int | Sequence[int] | Tensor | Callable[[Tensor], Tensor] | None

# --------------------------------------------------------------------------------------------------- Grad-CAM


def grad_cam(
    model: nn.Module,
    images: Tensor,
    target: Target = None,
    layer: Wanted = "",
    *,
    relu: bool = True,
    against: bool = False,
    layout: Layout | str | None = None,
) -> Tensor:
    """Where the evidence for a class lies in a layer: ``ReLU(Σ_k α_k A_k)`` with ``α_k`` the mean gradient of channel k.

    Runs the model without gradients up to the layer, and backward only from the score to the layer. Any layer with a
    spatial extent will do: feature maps of a convolutional network, or tokens of a transformer on their grid (tokens that
    are not places, such as a class token, are left out).

    Args:
        model: any network, in eval mode if it has batch normalization.
        images, target: see the top of this module.
        layer: name or module; ``(layer, call)`` for one call of a shared module.
        relu: keep only what speaks for the class. Without it, the map is signed.
        against: explain what speaks against the class (the paper's counterfactual explanation): gradients change sign.
        layout: how the layer lays out its maps, where :func:`~vizcourse.hooks.layout_of` cannot find it.

    Returns:
        ``(N, h, w)`` in the layer's resolution; :func:`upsample` brings it to the pixels.

    Raises:
        ValueError: unknown layer or class, a layer without spatial extent or on which the score does not depend,
            unsuitable images, or batch normalization in training mode.
    """
    activation, gradient = layer_gradient(model, images, target, layer, layout=layout)
    weights = importance(gradient)
    maps = torch.einsum("nk,nkhw->nhw", -weights if against else weights, activation)
    return maps.relu() if relu else maps


def importance(gradient: Tensor) -> Tensor:
    """Grad-CAM's ``α``: the mean of a layer's gradient ``(N, channels, h, w)`` over all places, ``(N, channels)``."""
    return gradient.mean(dim=(2, 3))


def layer_gradient(
    model: nn.Module, images: Tensor, target: Target, layer: Wanted, *, layout: Layout | str | None = None
) -> tuple[Tensor, Tensor]:
    """A layer's activation and the gradient of the score with respect to it, both ``(N, channels, h, w)``.

    Arguments and errors as for :func:`grad_cam`. Tokens of a transformer are laid out on their grid.
    """
    images, name = ready(model, images), inner_layer(model, layer)
    leaves: list[Tensor] = []

    def begin(activation: Tensor) -> Tensor:
        # Gradients are recorded from here on, so nothing before the layer is kept or differentiated.
        torch.set_grad_enabled(True)
        leaves.append(activation.detach().requires_grad_())
        return leaves[-1].clone()  # the next layer may work in place

    with torch.no_grad(), replace(model, {layer: begin}):
        outputs = answers(model, images)
        if not leaves:
            raise ValueError(f"Layer {name!r} did not run: choose one that takes part in the forward pass.")
        score = scores(outputs, target).sum()
        gradient = None
        if score.requires_grad:
            (gradient,) = torch.autograd.grad(score, leaves[-1], allow_unused=True)
    if gradient is None:
        raise ValueError(f"The score does not depend on layer {name!r}: choose a layer between the picture and the score.")
    found = layout_of(model, name, gradient, images=images, layout=layout)
    activation, gradient = (_on_grid(values, found, images, name) for values in (leaves[-1].detach(), gradient))
    if found.axes == 3 and not gradient.any():
        raise ValueError(
            f"The score does not depend on the picture's tokens in {name!r}, because only the class token is read after it: "
            "choose an earlier layer, such as the first norm inside this block."
        )
    return activation, gradient


def _on_grid(values: Tensor, layout: Layout, images: Tensor, name: str) -> Tensor:
    """A layer's values as ``(N, channels, h, w)``, tokens on their grid and without those that are no places."""
    maps = layout.to_maps(values)
    if layout.axes == 3:
        tokens, ratio = maps.shape[3], images.shape[2] / images.shape[3]
        # Class tokens and registers stand before the places, and there are a few of them at most.
        sides = [(round(((tokens - first) * ratio) ** 0.5), tokens - first) for first in range(min(9, tokens - 1))]
        grids = [(rows, rest // rows) for rows, rest in sides if rows > 1 and rows * round(rows / ratio) == rest]
        if layout.grid is None and len(grids) != 1:
            raise ValueError(
                f"Layer {name!r} gives {tuple(values.shape)}, and the grid of its tokens is not known: choose another, or "
                "pass layout=Layout('tokens', special=1, grid=(rows, columns))."
            )
        rows, columns = layout.grid or grids[0]
        maps = maps[:, :, 0, tokens - rows * columns :].unflatten(2, (rows, columns))
    if maps.shape[2] * maps.shape[3] > 1:
        return maps
    raise ValueError(
        f"Layer {name!r} gives {tuple(values.shape)}, which has no spatial extent: choose a layer with feature maps "
        "(batch, channel, height, width), or with a token for each patch of the picture."
    )


def upsample(maps: Tensor, size: int | Sequence[int] | Tensor) -> Tensor:
    """Maps ``(N, h, w)`` brought to pixels ``(N, height, width)``, bilinearly.

    size: ``(height, width)``, the side of a square, or the images themselves.
    """
    _check_maps(maps, (3,))
    size = size.shape[-2:] if isinstance(size, Tensor) else tuple(size) if isinstance(size, Sequence) else (size, size)
    size = [checked_count(side, "Each side of the size") for side in size]
    return functional.interpolate(maps[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def unit_range(maps: Tensor) -> Tensor:
    """Each map of ``(N, h, w)`` moved and scaled to 0 … 1; a constant map becomes 0."""
    _check_maps(maps)
    flat = maps.flatten(1)
    low, high = (extreme.view(-1, *[1] * (maps.ndim - 1)) for extreme in (flat.amin(1), flat.amax(1)))
    return (maps - low) / torch.where(high > low, high - low, 1)


# ----------------------------------------------------------------------------------------------- pixel methods


def gradient(model: nn.Module, images: Tensor, target: Target = None) -> Tensor:
    """How the score changes with each pixel, ``∂ score / ∂ x`` (Simonyan et al., 2014): ``(N, channel, height, width)``."""
    pixels = ready(model, images).detach().clone().requires_grad_()
    with torch.enable_grad():
        score = scores(answers(model, pixels), target).sum()
        if not score.requires_grad:
            raise ValueError("The score does not depend on the picture by any path that has a gradient.")
        (found,) = torch.autograd.grad(score, pixels)
    return found


def gradient_times_input(model: nn.Module, images: Tensor, target: Target = None) -> Tensor:
    """Gradient times pixel: to first order, what the pixel adds to the score, measured from black."""
    return gradient(model, images, target) * ready(model, images)


def smooth_grad(
    model: nn.Module, images: Tensor, target: Target = None, *, samples: int = 32, noise: float = 0.15, seed: int = 0
) -> Tensor:
    """The gradient, averaged over noisy copies of the picture (Smilkov et al., 2017).

    Args:
        model, images, target: see the top of this module.
        samples: copies.
        noise: standard deviation of the noise, as a share of each picture's range from darkest to brightest.
        seed: of the noise, which is the same for every picture, so that a picture's map does not depend on its batch.
    """
    checked_count(samples, "samples")
    checked_number(noise, "noise", least=0)
    images = ready(model, images)
    target = fixed_target(model, images, target)
    generator = torch.Generator().manual_seed(seed)
    deviation = noise * (images.amax(dim=(1, 2, 3)) - images.amin(dim=(1, 2, 3))).view(-1, 1, 1, 1)
    total = torch.zeros_like(images)
    for _ in range(samples):
        sample = torch.randn(images.shape[1:], generator=generator).to(images)
        total += gradient(model, images + deviation * sample, target)
    return total / samples


class Integrated(NamedTuple):
    """Integrated gradients, and how far they are from complete.

    attribution: ``(N, channel, height, width)``.
    delta: ``(N,)``, the sum of the attribution minus ``score(image) − score(baseline)``; 0 would be exact.
    """

    attribution: Tensor
    delta: Tensor


def integrated_gradients(
    model: nn.Module, images: Tensor, target: Target = None, *, baseline: Tensor | float = 0.0, steps: int = 32, batch: int = 64
) -> Integrated:
    """``(x − x') · ∫ ∂ score / ∂ x`` along the straight line from a baseline x' to the picture (Sundararajan et al., 2017).

    The integral is a sum over the middles of equal steps. Completeness: the attributions add up to the difference that
    the whole picture makes, ``score(x) − score(x')``; ``delta`` says how nearly.

    Args:
        model, images, target: see the top of this module.
        baseline: a number, or a tensor that broadcasts to the images. The answer is relative to it.
        steps: gradients a picture.
        batch: pictures that are run together.
    """
    checked_count(steps, "steps")
    checked_count(batch, "batch")
    images = ready(model, images)
    target = fixed_target(model, images, target)
    baseline = spread_like(baseline, images, "baseline")
    difference, total = images - baseline, torch.zeros_like(images)
    together = max(1, batch // len(images))
    for first in range(0, steps, together):
        middles = (torch.arange(first, min(first + together, steps), device=images.device) + 0.5) / steps
        points = baseline + middles.view(-1, 1, 1, 1, 1).to(images) * difference
        found = gradient(model, points.flatten(0, 1), _repeated(target, len(middles)))
        total += found.view_as(points).sum(0)
    attribution = difference * total / steps
    with torch.no_grad():
        ends = scores(answers(model, images), target) - scores(answers(model, baseline), target)
    return Integrated(attribution, attribution.sum(dim=(1, 2, 3)) - ends)


def guided_backprop(model: nn.Module, images: Tensor, target: Target = None) -> Tensor:
    """The gradient, but every ReLU passes back positive values only (Springenberg et al., 2015).

    Works for ReLUs that are modules and for those that are function calls, as in torchvision's GoogLeNet, where hooks on
    modules would silently leave the plain gradient.

    Raises:
        ValueError: also if no ReLU lies between the picture and the score.
    """
    guided: list[bool] = []
    with ReplacedReLU(lambda hidden: _GuidedReLU.apply(hidden, guided)):
        found = gradient(model, images, target)
    if not guided:
        raise ValueError(
            "Guided backpropagation changes plain ReLUs (not ReLU6, GELU or others), and this model has none between picture "
            "and score: use another method."
        )
    return found


class _GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(context, hidden: Tensor, guided: list[bool]) -> Tensor:
        context.save_for_backward(hidden)
        context.guided = guided
        return hidden.clamp_min(0)

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, None]:
        # Noted here, not on the way forward: a ReLU may work on weights alone, as for a Swin's position bias.
        context.guided.append(True)
        (hidden,) = context.saved_tensors
        return gradient.clamp_min(0) * (hidden > 0), None


def guided_grad_cam(model: nn.Module, images: Tensor, target: Target = None, layer: Wanted = "") -> Tensor:
    """Guided backpropagation times upsampled Grad-CAM (Selvaraju et al.): ``(N, channel, height, width)``."""
    images = ready(model, images)
    target = fixed_target(model, images, target)
    return guided_backprop(model, images, target) * upsample(grad_cam(model, images, target, layer), images)[:, None]


def relevance_propagation(
    model: nn.Module, images: Tensor, target: Target = None, *, rule: str = "z-plus", epsilon: float = 1e-6
) -> Tensor:
    """Layer-wise relevance propagation (Bach et al., 2015): the score, handed down layer by layer in shares.

    With the rule "z-plus" (Montavon et al., 2017) convolutions share out among positive contributions, and no relevance is
    lost but the last layer's bias. With "epsilon" and a small ``epsilon`` it is nearly gradient × input, measured from the
    grey that the network normalises to 0 (Ancona et al., 2018). See :mod:`vizcourse.methods.relevance`.

    Args:
        model: a network of convolutions, linear layers, ReLUs and poolings.
        images, target: see the top of this module.
        rule: of the convolutions, "z-plus" or "epsilon"; linear layers take "epsilon".
        epsilon: keeps denominators from zero.

    Raises:
        ValueError: also for an unknown rule, or a network with other non-linear parts, such as attention.
    """
    images = ready(model, images)
    return relevance.propagate(model, images, lambda outputs: scores(outputs, target), rule=rule, epsilon=epsilon)


@torch.no_grad()
def occlusion(
    model: nn.Module,
    images: Tensor,
    target: Target = None,
    *,
    window: int = 16,
    stride: int = 8,
    fill: float = 0.5,
    batch: int = 64,
) -> Tensor:
    """By how much the score falls when a patch is covered (Zeiler and Fergus, 2014), averaged over all patches on a pixel.

    Args:
        model, images, target: see the top of this module.
        window, stride: side of the patch, and by how many pixels it moves on.
        fill: grey value of the patch.
        batch: covered pictures that are run together.

    Returns:
        ``(N, height, width)``, signed.
    """
    images = ready(model, images)
    height, width = images.shape[2:]
    checked_count(window, "window", most=min(height, width))
    checked_count(stride, "stride", most=window)
    checked_count(batch, "batch")
    checked_number(fill, "fill")
    target = fixed_target(model, images, target)
    clean = scores(answers(model, images), target)

    def starts(size: int) -> list[int]:
        return sorted({*range(0, size - window + 1, stride), size - window})

    corners = [(top, left) for top in starts(height) for left in starts(width)]
    total, times = images.new_zeros(len(images), height, width), images.new_zeros(height, width)
    together = max(1, batch // len(images))
    for first in range(0, len(corners), together):
        some = corners[first : first + together]
        covered = images.repeat(len(some), 1, 1, 1).unflatten(0, (len(some), len(images)))
        for place, (top, left) in enumerate(some):
            covered[place, :, :, top : top + window, left : left + window] = fill
        falls = clean - scores(answers(model, covered.flatten(0, 1)), _repeated(target, len(some))).view(len(some), len(images))
        for (top, left), fall in zip(some, falls, strict=True):
            total[:, top : top + window, left : left + window] += fall.view(-1, 1, 1)
            times[top : top + window, left : left + window] += 1
    return total / times


# ---------------------------------------------------------------------------------------- one way to call them


def magnitude(attribution: Tensor) -> Tensor:
    """One map an image, without sign: absolute values, summed over colours, of ``(N, C, H, W)`` or ``(N, H, W)``."""
    _check_maps(attribution)
    return attribution.abs().sum(1) if attribution.ndim == 4 else attribution.abs()


def signed(attribution: Tensor) -> Tensor:
    """One map an image, with its sign: sum over colours. ``(N, C, H, W)`` or ``(N, H, W)``."""
    _check_maps(attribution)
    return attribution.sum(1) if attribution.ndim == 4 else attribution


def _check_maps(maps: Tensor, axes: Sequence[int] = (3, 4)) -> None:
    if not isinstance(maps, Tensor) or maps.ndim not in axes or not maps.numel():
        given = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        shape = "(N, channel, height, width) or (N, height, width)" if 4 in axes else "(N, height, width), as by magnitude"
        raise ValueError(f"Maps are {shape}, none of the sides 0, not {given}.")
    checked_finite(maps, "maps")


#: Every method as ``(model, images, target, layer) -> (N, C, H, W) or (N, H, W)`` in pixels; pixel methods ignore the layer.
METHODS: dict[str, Callable[[nn.Module, Tensor, Target, Wanted], Tensor]] = {
    "gradient": lambda model, images, target, layer: gradient(model, images, target),
    "gradient × input": lambda model, images, target, layer: gradient_times_input(model, images, target),
    "SmoothGrad": lambda model, images, target, layer: smooth_grad(model, images, target),
    "integrated gradients": lambda model, images, target, layer: integrated_gradients(model, images, target).attribution,
    "guided backprop": lambda model, images, target, layer: guided_backprop(model, images, target),
    "Grad-CAM": lambda model, images, target, layer: upsample(grad_cam(model, images, target, layer), images),
    "guided Grad-CAM": guided_grad_cam,
    "LRP": lambda model, images, target, layer: relevance_propagation(model, images, target),
    "occlusion": lambda model, images, target, layer: occlusion(model, images, target),
}


# ---------------------------------------------------------------------------------------------- scores, checks


def rather_than(first: int | Sequence[int] | Tensor, second: int | Sequence[int] | Tensor) -> Callable[[Tensor], Tensor]:
    """The target "why ``first`` rather than ``second``?": the difference of two logits. Class indices, or one an image."""
    return lambda outputs: scores(outputs, first) - scores(outputs, second)


def scores(outputs: Tensor, target: Target) -> Tensor:
    """The explained score of each image, ``(N,)``, from a model's outputs ``(N, classes)``.

    Raises:
        ValueError: a class out of range, not one target an image, or a function that gives no score an image.
    """
    if callable(target) and not isinstance(target, Tensor):
        found = target(outputs)
        if not isinstance(found, Tensor) or found.shape not in ((len(outputs),), ()):
            raise ValueError(f"A target function returns one score an image, ({len(outputs)},), from the model's output.")
        return checked_finite(found, "scores")
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        given = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise ValueError(f"The model gives {given}, not (batch, classes): pass a target function from its output to a score.")
    checked_finite(outputs, "model's answers")
    if target is None:
        return outputs.amax(1)
    index = checked_classes(target, *outputs.shape).to(outputs.device)
    return outputs.gather(1, index[:, None])[:, 0]


def fixed_target(model: nn.Module, images: Tensor, target: Target) -> Target:
    """The target, with None settled as the model's present answer, so that changed images keep it: a class each, ``(N,)``.

    A target function stays as it is.
    """
    if callable(target) and not isinstance(target, Tensor):
        return target
    images = ready(model, images)
    if target is not None:
        return checked_classes(target, len(images))
    with torch.no_grad():
        outputs = answers(model, images)
    scores(outputs, None)
    return outputs.argmax(1)


def _repeated(target: Tensor | Callable, times: int) -> Target:
    """A target for a batch that holds the images ``times`` times over."""
    if callable(target) and not isinstance(target, Tensor):
        def each(outputs: Tensor) -> Tensor:
            return torch.cat([target(part).reshape(-1).expand(len(part)) for part in outputs.chunk(times)])

        return each
    return target.repeat(times)


def ready(model: nn.Module, images: Tensor) -> Tensor:
    """The images as the model takes them, when model and images are such that maps of them mean something."""
    return checked_images(images, checked_steady(model))
