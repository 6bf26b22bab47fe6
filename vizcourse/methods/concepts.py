"""Concepts of a layer: directions that its pointwise feature vectors gather around.

After Kim, Han, Han and Kwak, "Decompose the model: mechanistic interpretability in image models with generalized
integrated gradients" (2024, arXiv 2409.01610). What the paper leaves open is decided here, and each docstring says so.

A *pointwise feature vector* (PFV) is the channel vector of a layer at one position. A *concept* is a direction in the
space of a layer's PFVs; a *coefficient* says how much of it stands at a position. Activations are maps ``(N, C, h, w)``,
however the layer lays them out (tokens make a map of one row), coefficients ``(N, K, h, w)``: one map for each of the K
concepts. Of a layer that runs several times, the first call is meant.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from vizcourse.hooks import Layer, Layout, capture, layout_of, replay, resolve
from vizcourse.methods.checks import (
    checked_choice,
    checked_classes,
    checked_count,
    checked_finite,
    checked_images,
    checked_indices,
    checked_logits,
    checked_model,
    checked_number,
)
from vizcourse.methods.passes import check_order, forward, left_alone, reached, single
from vizcourse.methods.receptive_fields import boxes, effective_receptive_field, gradient_receptive_field, spatial

__all__ = [
    "DICTIONARIES", "Concepts", "Decomposition", "Rest", "Samples", "boxes", "check_order", "contributions", "decompose",
    "effective_receptive_field", "extract_concepts", "gradient_receptive_field", "pointwise_feature_vectors", "sample_vectors",
]  # fmt: skip


@dataclass(frozen=True)
class Samples:
    """One pointwise feature vector from each picture.

    Attributes:
        layer: the layer's name.
        vectors: ``(N, C)``.
        images: the number of the picture that each comes from, ``(N,)``.
        positions: where in the layer's map, ``(N, 2)``: row, column.
        layout: how the layer lays out its activations; None where it can be found out.
    """

    layer: str
    vectors: Tensor
    images: Tensor
    positions: Tensor
    layout: Layout | str | None = None


@dataclass(frozen=True)
class Concepts:
    """Concept vectors of one layer.

    Attributes:
        layer: the layer's name, which keeps concepts of one layer from being used in another.
        vectors: ``(K, C)``, each of length one.
        scale: mean length of the vectors they were extracted from; penalties are stated relative to it.
        method: how they were found, a key of :data:`DICTIONARIES`.
        layout: how the layer lays out its activations; None where it can be found out.
    """

    layer: str
    vectors: Tensor
    scale: float = 1.0
    method: str = "bisecting k-means"
    layout: Layout | str | None = None

    def __len__(self) -> int:
        return len(self.vectors)

    def subset(self, indices: Sequence[int] | Tensor) -> Concepts:
        """Some of the concepts, numbered anew."""
        if isinstance(indices, Tensor) and indices.dtype == torch.bool and indices.shape == (len(self),):
            indices = indices.nonzero()[:, 0]
        return replace(self, vectors=self.vectors[checked_indices(indices, len(self), "indices")])

    def nearest(self, vectors: Tensor, count: int = 10) -> Tensor:
        """The rows of ``vectors`` (N, C) that point most nearly along each concept, nearest first: ``(K, count)``.

        By cosine similarity, as in the paper, which names a concept by its nearest sample and shows the next nine.
        """
        _checked_vectors(vectors)
        if vectors.shape[1] != self.vectors.shape[1]:
            raise ValueError(
                f"These vectors have {vectors.shape[-1]} channels and the concepts of {self.layer!r} "
                f"{self.vectors.shape[1]}: take vectors of the same layer."
            )
        similarity = self.vectors @ functional.normalize(vectors, dim=1).T
        return similarity.topk(min(checked_count(count, "count"), len(vectors)), dim=1).indices


# ------------------------------------------------------------------------------------------ pointwise feature vectors


def pointwise_feature_vectors(
    model: nn.Module, images: Tensor, layer: Layer, *, layout: Layout | str | None = None, batch: int = 100
) -> Tensor:
    """The layer's maps ``(N, C, h, w)``; ``maps[n, :, row, column]`` is one pointwise feature vector.

    Args:
        model: any model.
        images: ``(N, 3, H, W)``.
        layer: with more than one position.
        layout: which axis holds the layer's channels, where that cannot be found out.
        batch: pictures in one pass.

    Raises:
        ValueError: there is no such layer, it has no spatial extent, or the pictures are not finite.
    """
    images, (name, _), done = checked_images(images, checked_model(model)), resolve(model, layer), []
    with left_alone(model), torch.no_grad(), capture(model, (name, 0), stop=True) as acts:
        for some in images.split(checked_count(batch, "batch")):
            forward(model, some)
            activation = reached(acts, (name, 0))
            done.append(_as_maps(activation, layout_of(model, name, activation, images=some, layout=layout), name))
    return torch.cat(done)


def _as_maps(activation: Tensor, layout: Layout, name: str) -> Tensor:
    return single(spatial(layout.to_maps(activation), name))


class Rest:
    """The network from a layer on, as a function of the layer's maps ``(M, C, h, w)``; see :func:`vizcourse.hooks.replay`.

    Attributes:
        maps: the layer's own, ``(N, C, h, w)``.
    """

    def __init__(self, model: nn.Module, images: Tensor, layer: Layer, layout: Layout | str | None = None) -> None:
        self.model, self.tail = model, replay(model, images, layer)
        activation = self.tail.activation
        self.layout = layout_of(model, self.tail.name, activation, images=images, layout=layout)
        self.maps = _as_maps(activation, self.layout, self.tail.name)
        self._later: dict[str, Layout] = {}

    def __call__(self, maps: Tensor, index: Tensor | None = None) -> Tensor:
        """The network's output; ``index`` says which picture each row belongs to, when they are not all in order."""
        return self.tail(self.layout.from_maps(maps).to(self.tail.activation.dtype), index)

    def reach(self, maps: Tensor, index: Tensor | None, layer: str, layout: Layout | str | None = None) -> Tensor:
        """The maps of a later layer, beyond which nothing is computed."""
        with capture(self.model, (layer, 0), stop=True) as acts:
            self(maps, index)
        later = reached(acts, (layer, 0))
        if layer not in self._later:  # the layout is the same each time
            self._later[layer] = layout_of(self.model, layer, later, images=maps, layout=layout)
        return _as_maps(later, self._later[layer], layer)


def contributions(
    model: nn.Module,
    images: Tensor,
    target: Tensor | Sequence[int] | int,
    layer: Layer,
    *,
    steps: int = 8,
    layout: Layout | str | None = None,
    batch: int = 100,
    progress: bool = True,
) -> Tensor:
    """How much each position of a layer contributes to a logit: ``(N, h, w)``.

    The paper draws positions by their "contribution" without saying how it is measured. Here: integrated gradients of
    the logit at the layer, from an activation of zero, by the midpoint rule, summed over the channels.

    Args:
        model: gives logits ``(N, classes)``.
        images: ``(N, 3, H, W)``.
        target: class of each picture ``(N,)``, or one for all.
        layer: with more than one position.
        steps: points on the path.
        layout: which axis holds the layer's channels, where that cannot be found out.
        batch: pictures in one pass.
        progress: show a bar when it takes more than a few seconds.

    Raises:
        ValueError: what :func:`pointwise_feature_vectors` refuses, a class that does not exist, or a layer on which the
            logits do not depend.
    """
    return _maps_and_contributions(model, images, target, layer, steps, layout, batch, progress)[1]


def _maps_and_contributions(
    model: nn.Module,
    images: Tensor,
    target: Tensor | Sequence[int] | int,
    layer: Layer,
    steps: int,
    layout: Layout | str | None,
    batch: int,
    progress: bool,
) -> tuple[Tensor, Tensor]:
    images, steps = checked_images(images, checked_model(model)), checked_count(steps, "steps")
    target = checked_classes(target, len(images)).to(images.device)
    done: list[tuple[Tensor, Tensor]] = []
    bar = tqdm(total=len(images), desc="contributions", unit="picture", delay=3, leave=False, disable=not progress)
    with left_alone(model), bar:
        for some, classes in zip(images.split(checked_count(batch, "batch")), target.split(batch), strict=True):
            rest = Rest(model, some, layer, layout)
            total = torch.zeros_like(rest.maps)
            for step in range(steps):
                point = ((step + 0.5) / steps * rest.maps).requires_grad_()
                with torch.enable_grad():
                    logits = rest(point)
                    if step == 0:
                        checked_classes(classes, len(some), checked_logits(logits).shape[1])
                        if not logits.requires_grad:
                            raise ValueError(f"The model's logits do not depend on layer {layer!r}: choose another.")
                    total += torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), point)[0]
            done.append((rest.maps, (rest.maps * total / steps).sum(1)))
            bar.update(len(some))
    maps, shares = (torch.cat(part) for part in zip(*done, strict=True))
    return maps, shares


def sample_vectors(
    model: nn.Module,
    images: Tensor,
    target: Tensor | Sequence[int] | int,
    layer: Layer,
    *,
    steps: int = 8,
    seed: int = 0,
    layout: Layout | str | None = None,
    batch: int = 100,
    progress: bool = True,
) -> Samples:
    """One pointwise feature vector from each picture, drawn in proportion to its contribution to the class's logit.

    Drawn this way, backgrounds, which fill most of a picture, do not fill most of the sample. Positions that speak
    against the class are never drawn; in a picture where all do, every position is as likely as another.

    Args:
        model, images, target, layer, steps, layout, batch, progress: as in :func:`contributions`.
        seed: of the drawing.
    """
    maps, shares = _maps_and_contributions(model, images, target, layer, steps, layout, batch, progress)
    weight = shares.clamp_min(0).flatten(1)
    weight = torch.where(weight.sum(1, keepdim=True) > 0, weight, torch.ones_like(weight))
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(weight.cpu().double(), 1, generator=generator)[:, 0].to(maps.device)
    rows = torch.arange(len(maps), device=maps.device)
    columns = maps.shape[3]
    return Samples(
        layer=resolve(model, layer)[0],
        vectors=maps.flatten(2)[rows, :, drawn],
        images=rows,
        positions=torch.stack([drawn // columns, drawn % columns], 1),
        layout=layout,
    )


# ------------------------------------------------------------------------------------------------------------- concepts


def extract_concepts(
    vectors: Samples | Tensor,
    concepts: int | None = None,
    *,
    method: str = "bisecting k-means",
    layer: str = "",
    seed: int = 0,
) -> Concepts:
    """Concept vectors of a layer, from a sample of its pointwise feature vectors.

    The paper's way is bisecting k-means (Steinbach, Karypis and Kumar 2000), here scikit-learn's: split the cluster
    that is least tight in two, until there are enough; a concept is the direction of a cluster's centre. The other
    methods are those that it is compared with.

    Args:
        vectors: from :func:`sample_vectors`, or ``(N, C)``.
        concepts: how many; eight for each channel when left out, as in the paper.
        method: a key of :data:`DICTIONARIES`.
        layer: the layer's name, when plain vectors are passed.
        seed: of the extraction.

    Raises:
        ValueError: more concepts than vectors, an unknown method, or vectors that are not finite.
    """
    layout = None
    if isinstance(vectors, Samples):
        layer, layout, vectors = vectors.layer, vectors.layout, vectors.vectors
    _checked_vectors(vectors)
    count = 8 * vectors.shape[1] if concepts is None else checked_count(concepts, "concepts")
    if count > len(vectors):
        raise ValueError(f"{count} concepts from {len(vectors)} vectors: sample more pictures, or ask for fewer concepts.")
    checked_choice(method, DICTIONARIES, "method")
    found = DICTIONARIES[method](vectors.detach(), count, seed).to(vectors)
    return Concepts(layer, functional.normalize(found, dim=1), float(vectors.norm(dim=1).mean()), method, layout)


def _checked_vectors(vectors: Tensor) -> None:
    if not isinstance(vectors, Tensor) or vectors.ndim != 2 or not vectors.is_floating_point():
        found = tuple(vectors.shape) if isinstance(vectors, Tensor) else type(vectors).__name__
        raise ValueError(f"Vectors are floats, one row for each, (N, channels), not {found}: pass those of sample_vectors.")
    checked_finite(vectors, "vectors")


def _bisecting_k_means(vectors: Tensor, count: int, seed: int) -> Tensor:
    from sklearn.cluster import BisectingKMeans

    clusters = BisectingKMeans(count, random_state=seed, init="k-means++").fit(vectors.cpu().numpy())
    return torch.from_numpy(clusters.cluster_centers_)


def _k_means(vectors: Tensor, count: int, seed: int) -> Tensor:
    from sklearn.cluster import KMeans

    return torch.from_numpy(KMeans(count, n_init=1, random_state=seed).fit(vectors.cpu().numpy()).cluster_centers_)


def _nmf(vectors: Tensor, count: int, seed: int) -> Tensor:
    from sklearn.decomposition import NMF

    # Only layers after a ReLU have the non-negative activations that it needs.
    factors = NMF(count, init="nndsvda" if count <= min(vectors.shape) else "random", random_state=seed, max_iter=200)
    return torch.from_numpy(factors.fit(vectors.clamp_min(0).cpu().numpy()).components_)


def _dictionary_learning(vectors: Tensor, count: int, seed: int) -> Tensor:
    from sklearn.decomposition import MiniBatchDictionaryLearning

    learner = MiniBatchDictionaryLearning(
        count, alpha=0.1 * float(vectors.norm(dim=1).mean()), fit_algorithm="cd", max_iter=30, random_state=seed
    )
    with warnings.catch_warnings():  # it says for each batch that it would go on
        warnings.simplefilter("ignore")
        return torch.from_numpy(learner.fit(vectors.cpu().numpy()).components_)


def _sparse_autoencoder(vectors: Tensor, count: int, seed: int) -> Tensor:
    """Decoder directions of ``x ≈ D relu(E x + b) + c`` with an L1 penalty, as in Bricken and others (2023)."""
    generator = torch.Generator().manual_seed(seed)
    scale = vectors.norm(dim=1).mean()
    inputs = (vectors / scale).cpu().float()
    decoder = functional.normalize(torch.randn(count, inputs.shape[1], generator=generator), dim=1)
    weights = [decoder.clone().T.contiguous(), torch.zeros(count), decoder, inputs.mean(0)]
    with torch.enable_grad():
        weights = encoder, bias, decoder, centre = [weight.requires_grad_() for weight in weights]
        optimizer = torch.optim.Adam(weights, lr=3e-3)
        for _ in range(600):
            batch = inputs[torch.randint(len(inputs), (256,), generator=generator)]
            code = functional.relu((batch - centre) @ encoder + bias)
            loss = (code @ decoder + centre - batch).square().sum(1).mean() + 0.1 * code.abs().sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():  # else it would shrink the codes and stretch the directions
                decoder.div_(decoder.norm(dim=1, keepdim=True).clamp_min(1e-8))
    return decoder.detach()


def _random_directions(vectors: Tensor, count: int, seed: int) -> Tensor:
    """Directions drawn evenly, with signs as the activations have them: after a ReLU, none is negative."""
    directions = torch.randn(count, vectors.shape[1], generator=torch.Generator().manual_seed(seed))
    return directions.abs() if (vectors >= 0).all() else directions


Extraction = Callable[[Tensor, int, int], Tensor]

DICTIONARIES: dict[str, Extraction] = {
    "bisecting k-means": _bisecting_k_means,
    "k-means": _k_means,
    "NMF": _nmf,
    "dictionary learning": _dictionary_learning,
    "sparse autoencoder": _sparse_autoencoder,
    "random directions": _random_directions,
}


# -------------------------------------------------------------------------------------------------------- decomposition


@dataclass(frozen=True)
class Decomposition:
    """Activations as sums of concepts.

    Attributes:
        concepts: the concepts of the layer.
        coefficients: ``(N, K, h, w)``.
        reconstruction: ``(N, C, h, w)``, what the coefficients say the activations are.
        residual: ``(N, C, h, w)``, what they leave out.
        error: share of each picture's squared length that is left out, ``(N,)``.
    """

    concepts: Concepts
    coefficients: Tensor
    reconstruction: Tensor
    residual: Tensor
    error: Tensor

    @property
    def present(self) -> Tensor:
        """Which concepts stand anywhere in a picture: booleans ``(N, K)``."""
        return (self.coefficients != 0).flatten(2).any(2)

    @property
    def density(self) -> float:
        """Share of the coefficients that are not zero."""
        return float((self.coefficients != 0).float().mean())


def decompose(
    activations: Tensor, concepts: Concepts, *, penalty: float = 0.05, positive: bool = True, iterations: int = 500
) -> Decomposition:
    """Write each pointwise feature vector as a sparse sum of concepts (the Lasso; Eq. 3 of the paper).

    Minimises ``½ |x - u V|² + λ |u|₁`` for all positions at once, by accelerated proximal gradient steps (FISTA; Beck
    and Teboulle 2009): a step down the square, then each coefficient drawn towards zero by λ.

    Args:
        activations: ``(N, C, h, w)``.
        concepts: of the same layer.
        penalty: λ in units of the mean length of the vectors that the concepts came from. The paper reports none.
        positive: whether coefficients below zero are ruled out, so that each says how much of a concept is there. The
            paper's are of either sign: ``positive=False``.
        iterations: at most so many steps; it stops when no coefficient moves by a 1e-5 of the scale.

    Raises:
        ValueError: activations without spatial extent or of another layer.
    """
    penalty, iterations = checked_number(penalty, "penalty", least=0), checked_count(iterations, "iterations")
    if not isinstance(activations, Tensor) or not isinstance(concepts, Concepts):
        raise ValueError("Pass maps, as pointwise_feature_vectors gives them, and the concepts of their layer, in this order.")
    activations = single(checked_finite(spatial(activations, concepts.layer), "activations").detach())
    count, channels, height, width = activations.shape
    if not count:
        raise ValueError("There are no activations to decompose: pass those of at least one picture.")
    if channels != concepts.vectors.shape[1]:
        raise ValueError(
            f"These activations have {channels} channels and the concepts of {concepts.layer!r} "
            f"{concepts.vectors.shape[1]}: take concepts of the same layer."
        )
    inputs = activations.permute(0, 2, 3, 1).reshape(-1, channels)
    threshold, concepts = penalty * concepts.scale, replace(concepts, vectors=concepts.vectors.to(inputs))
    with torch.no_grad():
        coefficients = _lasso(inputs, concepts.vectors, threshold, positive, iterations, concepts.scale)
        reconstruction = (coefficients @ concepts.vectors).view(count, height, width, channels).permute(0, 3, 1, 2)
    residual = activations - reconstruction
    length = activations.square().sum((1, 2, 3)).clamp_min(1e-30)
    return Decomposition(
        concepts=concepts,
        coefficients=coefficients.view(count, height, width, -1).permute(0, 3, 1, 2).contiguous(),
        reconstruction=reconstruction.contiguous(),
        residual=residual,
        error=residual.square().sum((1, 2, 3)) / length,
    )


def _lasso(inputs: Tensor, vectors: Tensor, threshold: float, positive: bool, iterations: int, scale: float) -> Tensor:
    gram, pull = vectors @ vectors.T, inputs @ vectors.T
    step = 1 / float(torch.linalg.eigvalsh(gram)[-1].clamp_min(1e-12))
    coefficients = torch.zeros_like(pull)
    ahead, momentum = coefficients, 1.0
    for _ in range(iterations):
        before = coefficients
        moved = ahead - step * (ahead @ gram - pull)
        coefficients = (moved - step * threshold).clamp_min(0)
        if not positive:
            coefficients = coefficients - (-moved - step * threshold).clamp_min(0)
        if (coefficients - before).abs().max() <= 1e-5 * scale:
            break
        if ((ahead - coefficients) * (coefficients - before)).sum() > 0:  # it runs uphill: begin anew (O'Donoghue, Candès 2015)
            momentum = 1.0
        after = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = coefficients + (momentum - 1) / after * (coefficients - before)
        momentum = after
    return coefficients
