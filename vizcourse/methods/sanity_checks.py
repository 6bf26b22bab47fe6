"""Is a saliency map to be believed? Tests that need no truth, tests of faithfulness, and scores against the truth.

- Randomization (Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018): a map that explains what a network has
  learned must change when that is taken away. :func:`cascade` randomizes weights; a network trained on shuffled labels
  does it for the data; :func:`similarities` compares maps.
- Insertion and deletion (Petsiuk et al., "RISE", BMVC 2018): the highest-ranked pixels should make or break the answer.
- Against a mask: :func:`pointing_game`, :func:`energy_in_mask`, :func:`iou`; with two objects: :func:`discrimination`.

Everything returns one value an image, ``(N,)``; :func:`vizcourse.methods.intervals.bootstrap` is the interval of their mean.
Maps are ``(N, height, width)``. Baselines to beat: :func:`edge_detector`, :func:`random_maps`, :func:`centre_gaussian`.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from skimage.feature import hog
from skimage.metrics import structural_similarity
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms.functional import gaussian_blur

from vizcourse.hooks import Wanted, resolve
from vizcourse.methods.attribution import METHODS, Target, fixed_target, magnitude, ready, scores, signed, unit_range
from vizcourse.methods.checks import (
    checked_choice,
    checked_count,
    checked_finite,
    checked_images,
    checked_maps,
    checked_model,
    checked_number,
    not_probabilities,
    spread_like,
)
from vizcourse.methods.passes import answers

Method = Callable[[nn.Module, Tensor, Target, Wanted], Tensor]

# --------------------------------------------------------------------------------------- taking the knowledge away


def blocks(model: nn.Module) -> list[str]:
    """Names of a network's parts that have weights, from the output to the input: the steps of a cascade.

    A part is a child of the model; a container that holds nearly all of a part's weights, such as a stage or a
    transformer's stack of layers, is opened, and so is a part that holds most of the model's, such as a wrapped network.
    """
    checked_model(model)

    def weight(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    def parts(module: nn.Module, prefix: str) -> list[str]:
        children = [(f"{prefix}{name}", child) for name, child in module.named_children() if weight(child)]
        container = isinstance(module, nn.Sequential | nn.ModuleList) or 2 * weight(module) > weight(model)
        inside = max((weight(child) for _, child in children if isinstance(child, nn.Sequential | nn.ModuleList)), default=0)
        if children and (container or inside > 0.9 * weight(module)):
            return [part for name, child in children for part in parts(child, f"{name}.")]
        return [prefix.rstrip(".")]

    return parts(model, "")[::-1]


def randomize(model: nn.Module, names: Sequence[str], *, seed: int = 0) -> nn.Module:
    """A copy of the model in which some parts have forgotten what they learned; the model itself stays as it is.

    Every module inside the parts starts again as its class does (``reset_parameters``; batch normalization forgets its
    statistics as well), and any other parameter is drawn from a normal distribution with its own mean and deviation.
    A part's new weights depend on the seed and its name only, so a cascade changes one part a step.

    Args:
        model: any network.
        names: of parts, as in ``named_modules()``; "" is the whole network.
        seed: of the new weights.

    Raises:
        ValueError: there is no such part.
    """
    changed = copy.deepcopy(checked_model(model))
    for name in _listed(names, "names"):
        part = resolve(changed, name)[1] if name else changed
        for inner, module in part.named_modules(prefix=name):
            own = list(module.parameters(recurse=False))
            if not own:
                continue
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                torch.manual_seed(zlib.crc32(f"{seed} {inner}".encode()))
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
                elif hasattr(module, "_reset_parameters"):  # nn.MultiheadAttention
                    module._reset_parameters()
                else:
                    for parameter in own:
                        spread = float(parameter.std()) if parameter.numel() > 1 else 1.0
                        fresh = torch.randn(parameter.shape) * spread + float(parameter.mean())
                        parameter.copy_(fresh)
    return changed


@dataclass(frozen=True)
class Cascade:
    """Maps of a network that is randomized step by step.

    blocks: the part that is randomized at each step; step 0 is the trained network.
    maps: method -> attributions at each step: a list of ``(N, C, H, W)`` or ``(N, H, W)``, one longer than ``blocks``.
    answers: probability of the explained class at each step, ``(steps + 1, N)``; empty for a target function.
    """

    blocks: tuple[str, ...]
    maps: dict[str, list[Tensor]]
    answers: Tensor

    def similarity(self, method: str, metric: str = "spearman") -> Tensor:
        """How like the trained network's maps those of each step are, ``(steps + 1, N)``; see :data:`METRICS`."""
        first, *_ = steps = self.maps[checked_choice(method, self.maps, "method here")]
        return torch.stack([_metric(metric)(first, later) for later in steps])


def cascade(
    model: nn.Module,
    images: Tensor,
    target: Target = None,
    layer: Wanted = "",
    *,
    methods: Sequence[str] | Mapping[str, Method] = ("gradient", "Grad-CAM", "guided backprop", "guided Grad-CAM"),
    names: Sequence[str] | None = None,
    independent: bool = False,
    seed: int = 0,
) -> Cascade:
    """The model parameter randomization test: maps while more and more of the network forgets, from the output down.

    Args:
        model: any network in eval mode; it is not changed.
        images: ``(N, channel, height, width)``.
        target: see :mod:`vizcourse.methods.attribution`. None is what the *trained* network answers, at every step.
        layer: for the Grad-CAM methods.
        methods: names from :data:`~vizcourse.methods.attribution.METHODS`, or functions by name with the same arguments.
        names: parts in the order in which they are randomized; :func:`blocks` by default.
        independent: randomize one part at a time and leave all others trained.
        seed: of the random weights.

    Raises:
        ValueError: unknown method, layer or part, or what the methods themselves refuse.
    """
    chosen, images = _methods(methods), ready(model, images)
    names = _listed(names, "names") if names is not None else blocks(model)
    layer = resolve(model, layer)[0] if isinstance(layer, nn.Module) else layer
    target = fixed_target(model, images, target)
    maps: dict[str, list[Tensor]] = {name: [] for name in chosen}
    probabilities = []
    for step in range(len(names) + 1):
        network = model
        if step:
            network = randomize(model, [names[step - 1]] if independent else names[:step], seed=seed)
        for name, method in chosen.items():
            maps[name].append(method(network, images, target, layer).detach())
        if isinstance(target, Tensor) or not callable(target):
            with torch.no_grad():
                probabilities.append(scores(not_probabilities(answers(network, images)).softmax(1), target))
    return Cascade(tuple(names), maps, torch.stack(probabilities) if probabilities else torch.empty(0))


def data_randomization(
    trained: nn.Module,
    shuffled: nn.Module,
    images: Tensor,
    target: Target,
    layer: Wanted = "",
    *,
    methods: Sequence[str] | Mapping[str, Method] = ("gradient", "Grad-CAM", "guided backprop", "guided Grad-CAM"),
    metric: str = "spearman",
) -> dict[str, Tensor]:
    """How like the maps of two networks are of which one learned shuffled labels: method -> ``(N,)``."""
    return {
        name: _metric(metric)(method(trained, images, target, layer), method(shuffled, images, target, layer))
        for name, method in _methods(methods).items()
    }


def _methods(methods: Sequence[str] | Mapping[str, Method]) -> dict[str, Method]:
    if isinstance(methods, Mapping):
        return dict(methods)
    return {checked_choice(name, METHODS, "method"): METHODS[name] for name in _listed(methods, "methods")}


def _listed(names: str | Sequence[str], what: str) -> list[str]:
    if not isinstance(names, str | Sequence):
        raise ValueError(f"{what} are a list of names, not {names!r}.")
    return [names] if isinstance(names, str) else list(names)


# ------------------------------------------------------------------------------------------------ how like are maps?


def spearman(first: Tensor, second: Tensor) -> Tensor:
    """Rank correlation of two sets of maps ``(N, H, W)``, one value a map; 0 where a map is constant and says nothing."""

    _check_alike(first, second)

    def ranks(maps: Tensor) -> Tensor:
        maps = maps.detach().flatten(1).contiguous()
        ordered = maps.sort(dim=1).values
        # Equal values share the mean of their ranks: a Grad-CAM map has many zeros.
        rank = torch.searchsorted(ordered, maps) + torch.searchsorted(ordered, maps, right=True)
        return rank.double() - rank.double().mean(1, keepdim=True)

    first, second = ranks(first), ranks(second)
    return ((first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1)).clamp_min(1e-12)).float()


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Structural similarity (Wang et al., 2004) of maps ``(N, H, W)``, each brought to 0 … 1 first."""
    _check_alike(first, second)
    pairs = zip(unit_range(first).cpu().double().numpy(), unit_range(second).cpu().double().numpy(), strict=True)
    return torch.tensor([structural_similarity(one, other, data_range=1.0, gaussian_weights=True) for one, other in pairs])


def hog_similarity(first: Tensor, second: Tensor, *, cell: int = 16) -> Tensor:
    """Rank correlation of histograms of oriented gradients of maps ``(N, H, W)``, in cells of ``cell`` pixels."""

    _check_alike(first, second)
    checked_count(cell, "cell")

    def histograms(maps: Tensor) -> Tensor:
        maps = unit_range(maps).cpu().double().numpy()
        side = max(2, min(cell, maps.shape[1] // 3, maps.shape[2] // 3))
        return torch.from_numpy(np.stack([hog(each, pixels_per_cell=(side, side)) for each in maps]))

    return spearman(histograms(first), histograms(second))


#: Similarity of two attributions of the same images, one value an image. Maps without sign, except "spearman signed".
METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "spearman": lambda first, second: spearman(magnitude(first), magnitude(second)),
    "spearman signed": lambda first, second: spearman(signed(first), signed(second)),
    "ssim": lambda first, second: ssim(magnitude(first), magnitude(second)),
    "hog": lambda first, second: hog_similarity(magnitude(first), magnitude(second)),
}


def _metric(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    return METRICS[checked_choice(name, METRICS, "metric")]


def _check_alike(first: Tensor, second: Tensor) -> None:
    if not isinstance(first, Tensor) or not isinstance(second, Tensor):
        raise ValueError(f"Maps are tensors (N, height, width), not {type(first).__name__} and {type(second).__name__}.")
    if first.shape != second.shape or first.ndim < 2 or not first.numel():
        raise ValueError(
            f"Attributions of the same images are compared, (N, height, width), not {tuple(first.shape)} with "
            f"{tuple(second.shape)}."
        )
    checked_finite(first, "first maps")
    checked_finite(second, "second maps")


def similarities(first: Tensor, second: Tensor) -> dict[str, Tensor]:
    """All :data:`METRICS` of two attributions ``(N, C, H, W)`` or ``(N, H, W)``: metric -> ``(N,)``."""
    _check_alike(first, second)
    return {name: metric(first, second) for name, metric in METRICS.items()}


# --------------------------------------------------------------------------------------------------- baselines


def edge_detector(images: Tensor) -> Tensor:
    """Strength of edges in a picture (Sobel, on its brightness): a "saliency map" that knows no network. ``(N, H, W)``."""
    if checked_images(images).shape[1] != 3:
        raise ValueError(f"Brightness is that of red, green and blue, (N, 3, height, width), not {tuple(images.shape)}.")
    grey = (images * images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    across = images.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    edges = functional.conv2d(functional.pad(grey, [1] * 4, mode="replicate"), torch.stack([across, across.T])[:, None])
    return edges.square().sum(1).sqrt()


def random_maps(count: int, size: tuple[int, int], *, coarse: int = 6, seed: int = 0) -> Tensor:
    """Smooth random maps: noise on a grid of ``coarse × coarse`` places, upsampled like a Grad-CAM map. ``(count, H, W)``."""
    count, size, coarse = checked_count(count, "count"), _sides(size), checked_count(coarse, "coarse")
    noise = torch.rand(count, 1, coarse, coarse, generator=torch.Generator().manual_seed(seed))
    return functional.interpolate(noise, size, mode="bilinear", align_corners=False)[:, 0]


def centre_gaussian(count: int, size: tuple[int, int], *, width: float = 0.25) -> Tensor:
    """The same bump in the middle of every picture: what is to be beaten where photographers centre their objects.

    width: standard deviation as a share of the picture's sides.
    """
    checked_number(width, "width", above=0)
    rows, columns = (torch.linspace(-0.5, 0.5, side) / width for side in _sides(size))
    return torch.exp(-0.5 * (rows[:, None].square() + columns.square())).expand(checked_count(count, "count"), -1, -1).clone()


def _sides(size: Sequence[int]) -> tuple[int, int]:
    if not isinstance(size, Sequence) or len(size) != 2:
        raise ValueError(f"size is (height, width), not {size!r}.")
    return checked_count(size[0], "The height"), checked_count(size[1], "The width")


# ------------------------------------------------------------------------------------------ insertion and deletion


class Curve(NamedTuple):
    """Probability of the explained class while pixels are put in or taken out.

    fractions: share of pixels, ``(steps + 1,)``, from 0 to 1.
    probabilities: ``(N, steps + 1)``.
    """

    fractions: Tensor
    probabilities: Tensor

    @property
    def auc(self) -> Tensor:
        """Area under each curve by the trapezoid rule, ``(N,)``; the full range is 0 to 1."""
        return torch.trapezoid(self.probabilities, self.fractions, dim=1)


def deletion(
    model: nn.Module,
    images: Tensor,
    target: Target,
    maps: Tensor,
    *,
    steps: int = 16,
    fill: float | str | Tensor = 0.5,
    batch: int = 64,
) -> Curve:
    """Take out pixels, the highest of the map first, and watch the answer fall. A good map gives a *small* area.

    Args:
        model: a classifier that returns logits: the softmax is taken here.
        images, target: see :mod:`vizcourse.methods.attribution`.
        maps: one map an image, ``(N, height, width)``. Only the order of its values matters.
        steps: after each step another ``1 / steps`` of the pixels is out.
        fill: what a pixel is replaced by: a grey value, "mean" (the picture's mean colour), "blur", or a tensor that
            broadcasts to the images.
        batch: pictures that are run together.
    """
    images = ready(model, images)
    return _curve(model, images, target, maps, steps, images, _filling(images, fill), batch)


def insertion(
    model: nn.Module,
    images: Tensor,
    target: Target,
    maps: Tensor,
    *,
    steps: int = 16,
    fill: float | str | Tensor = "blur",
    batch: int = 64,
) -> Curve:
    """Start from a blurred picture and put in pixels, the highest of the map first. A good map gives a *large* area.

    Arguments as for :func:`deletion`.
    """
    images = ready(model, images)
    return _curve(model, images, target, maps, steps, _filling(images, fill), images, batch)


def _filling(images: Tensor, fill: float | str | Tensor) -> Tensor:
    if not isinstance(fill, str):
        return spread_like(fill, images, "fill")
    if checked_choice(fill, ("mean", "blur"), "filling") == "mean":
        return images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    # RISE's blur, 11 pixels and a deviation of 5 at 224 pixels, would leave too much of a small picture's shapes.
    return gaussian_blur(images, [max(1, min(31, min(images.shape[2:]) // 2 * 2 - 1))] * 2, [5.0, 5.0])


@torch.no_grad()
def _curve(model, images, target, maps, steps, start, end, batch) -> Curve:
    maps = checked_maps(maps, images).to(images.device)
    checked_count(steps, "steps")
    checked_count(batch, "batch")
    target = fixed_target(model, images, target)
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1], device=order.device).expand_as(order))
    rank = rank.view(len(images), 1, *images.shape[2:])
    fractions = torch.linspace(0, 1, steps + 1, device=images.device)
    found = []
    for fraction in fractions:
        mixed = torch.where(rank < round(float(fraction) * order.shape[1]), end, start) if found else start
        outputs = torch.cat([answers(model, part) for part in mixed.split(batch)])
        found.append(scores(not_probabilities(outputs).softmax(1), target))
    return Curve(fractions, torch.stack(found, dim=1))


# ----------------------------------------------------------------------------------------- against the true mask


def pointing_game(maps: Tensor, masks: Tensor) -> Tensor:
    """Is the map's highest point on the object? ``(N,)``, 1 or 0; the share of tied highest points that are on it.

    Zhang et al., 2018, without their margin of 15 pixels.
    """
    maps, masks = _pair(maps, masks)
    highest = maps == maps.amax(1, keepdim=True)
    return (highest & masks).sum(1) / highest.sum(1)


def energy_in_mask(maps: Tensor, masks: Tensor) -> Tensor:
    """Share of a map's positive values that lie on the object (Wang et al., "Score-CAM", 2020), ``(N,)``.

    A map without positive values counts as even: it gets the mask's share of the picture.
    """
    maps, masks = _pair(maps, masks)
    maps = maps.clamp_min(0)
    maps = torch.where(maps.sum(1, keepdim=True) > 0, maps, 1.0)
    return (maps * masks).sum(1) / maps.sum(1)


def iou(maps: Tensor, masks: Tensor) -> Tensor:
    """Intersection over union of the mask and the map's highest pixels, as many as the mask has: ``(N,)``.

    No threshold is to be chosen, and the order of the map's values alone matters.
    """
    maps, masks = _pair(maps, masks)
    size = masks.sum(1)
    order = maps.argsort(dim=1, descending=True, stable=True)
    hits = masks.gather(1, order) & (torch.arange(maps.shape[1], device=maps.device) < size[:, None])
    return hits.sum(1) / (2 * size - hits.sum(1))


def share_between(maps: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Of a map's positive values on two objects, the share on the first: ``(N,)``.

    What lies on neither is left out. A map without positive values on either counts as undecided, one half.
    """
    maps_flat, first = _pair(maps, first)
    _, second = _pair(maps, second)
    if (first & second).any():
        raise ValueError("The two masks overlap: give every pixel to one object at most.")
    positive = maps_flat.clamp_min(0)
    one, other = (positive * first).sum(1), (positive * second).sum(1)
    total = one + other
    return torch.where(total > 0, one / torch.where(total > 0, total, 1), 0.5)


def discrimination(for_first: Tensor, for_second: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Why this class and not that? How far a map moves from one object to the other with the class that it explains.

    Two maps of the same picture ``(N, height, width)``, one for the class of the first object and one for that of the
    second, and the two objects' masks. It is the share on the first object (:func:`share_between`) of the one map minus that
    of the other: 1 if each map lies on its own object, 0 for every map that does not depend on the class, wherever it lies,
    and −1 if each lies on the other's. ``(N,)``.
    """
    return share_between(for_first, first, second) - share_between(for_second, first, second)


def _pair(maps: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    if not isinstance(maps, Tensor) or not isinstance(masks, Tensor):
        raise ValueError(f"Maps and masks are tensors, not {type(maps).__name__} and {type(masks).__name__}: convert them.")
    if maps.ndim != 3 or maps.shape != masks.shape or not len(maps):
        raise ValueError(
            f"Maps and masks are both (N, height, width), not {tuple(maps.shape)} and {tuple(masks.shape)}: "
            "use attribution.magnitude and attribution.upsample."
        )
    checked_finite(maps, "maps")
    masks = checked_finite(masks, "masks").to(maps.device).bool().flatten(1)
    if not masks.any(1).all():
        raise ValueError("A mask is empty: leave out pictures without the object.")
    return maps.flatten(1), masks
