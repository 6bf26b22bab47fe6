"""Concepts of a layer: directions that its pointwise feature vectors gather around.

After Kim, Han, Han and Kwak, "Decompose the model: mechanistic interpretability in image models with generalized
integrated gradients" (2024, arXiv 2409.01610). What the paper leaves open is decided here, and each docstring says so.

A *pointwise feature vector* (PFV) is the channel vector of a layer at one position. A *concept* is a direction in the
space of a layer's PFVs; a *coefficient* says how much of it stands at a position. Activations are ``(N, C, h, w)``,
coefficients ``(N, K, h, w)``: one map for each of the K concepts.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from vizcourse.hooks import Layer, capture, replay, resolve
from vizcourse.methods.passes import left_alone

AT_ONCE = 100  # pictures in one pass


@dataclass(frozen=True)
class Samples:
    """One pointwise feature vector from each picture.

    Attributes:
        layer: the layer's name.
        vectors: ``(N, C)``.
        images: the number of the picture that each comes from, ``(N,)``.
        positions: where in the layer's map, ``(N, 2)``: row, column.
    """

    layer: str
    vectors: Tensor
    images: Tensor
    positions: Tensor


@dataclass(frozen=True)
class Concepts:
    """Concept vectors of one layer.

    Attributes:
        layer: the layer's name, which keeps concepts of one layer from being used in another.
        vectors: ``(K, C)``, each of length one.
        scale: mean length of the vectors they were extracted from; penalties are stated relative to it.
        method: how they were found, a key of :data:`DICTIONARIES`.
    """

    layer: str
    vectors: Tensor
    scale: float = 1.0
    method: str = "bisecting k-means"

    def __len__(self) -> int:
        return len(self.vectors)

    def subset(self, indices: Sequence[int] | Tensor) -> Concepts:
        """Some of the concepts, numbered anew."""
        return replace(self, vectors=self.vectors[torch.as_tensor(indices)])

    def nearest(self, vectors: Tensor, count: int = 10) -> Tensor:
        """The rows of ``vectors`` (N, C) that point most nearly along each concept, nearest first: ``(K, count)``.

        By cosine similarity, as in the paper, which names a concept by its nearest sample and shows the next nine.
        """
        if vectors.shape[1:] != self.vectors.shape[1:]:
            raise ValueError(
                f"These vectors have {vectors.shape[-1]} channels and the concepts of {self.layer!r} "
                f"{self.vectors.shape[1]}: take vectors of the same layer."
            )
        similarity = self.vectors @ functional.normalize(vectors, dim=1).T
        return similarity.topk(min(count, len(vectors)), dim=1).indices


# ------------------------------------------------------------------------------------------ pointwise feature vectors


def pointwise_feature_vectors(model: nn.Module, images: Tensor, layer: Layer) -> Tensor:
    """The layer's maps ``(N, C, h, w)``; ``maps[n, :, row, column]`` is one pointwise feature vector.

    Raises:
        ValueError: there is no such layer, it has no spatial extent, or the pictures are not finite.
    """
    _check_images(images)
    done = []
    with left_alone(model), torch.no_grad(), capture(model, layer, stop=True) as acts:
        for some in images.split(AT_ONCE):
            model(some)
            (name,) = acts
            done.append(_spatial(acts[name], name))
    return torch.cat(done)


def contributions(
    model: nn.Module,
    images: Tensor,
    target: Tensor | Sequence[int] | int,
    layer: Layer,
    *,
    steps: int = 8,
    progress: bool = True,
) -> Tensor:
    """How much each position of a layer contributes to a logit: ``(N, h, w)``.

    The paper draws positions by their "contribution" without saying how it is measured. Here: integrated gradients of
    the logit at the layer, from an activation of zero, by the midpoint rule, summed over the channels.

    Args:
        model: gives logits ``(N, classes)``.
        images: ``(N, 3, H, W)``.
        target: class of each picture ``(N,)``, or one for all.
        layer: with activations ``(N, C, h, w)``.
        steps: points on the path.
        progress: show a bar when it takes more than a few seconds.
    """
    return _maps_and_contributions(model, images, target, layer, steps, progress)[1]


def _maps_and_contributions(
    model: nn.Module, images: Tensor, target: Tensor | Sequence[int] | int, layer: Layer, steps: int, progress: bool
) -> tuple[Tensor, Tensor]:
    target = _classes(target, len(images), images.device)
    _check_images(images)
    done: list[tuple[Tensor, Tensor]] = []
    bar = tqdm(total=len(images), desc="contributions", unit="picture", delay=3, leave=False, disable=not progress)
    with left_alone(model), bar:
        for some, classes in zip(images.split(AT_ONCE), target.split(AT_ONCE), strict=True):
            tail = replay(model, some, layer)
            maps = _spatial(tail.activation, tail.name)
            total = torch.zeros_like(maps)
            for step in range(steps):
                point = ((step + 0.5) / steps * maps).requires_grad_()
                with torch.enable_grad():
                    logits = tail(point)
                    _check_classes(classes, logits)
                    total += torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), point)[0]
            done.append((maps, (maps * total / steps).sum(1)))
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
    progress: bool = True,
) -> Samples:
    """One pointwise feature vector from each picture, drawn in proportion to its contribution to the class's logit.

    Drawn this way, backgrounds, which fill most of a picture, do not fill most of the sample. Positions that speak
    against the class are never drawn; in a picture where all do, every position is as likely as another.

    Args:
        model, images, target, layer, steps, progress: as in :func:`contributions`.
        seed: of the drawing.
    """
    maps, shares = _maps_and_contributions(model, images, target, layer, steps, progress)
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
    )


# ---------------------------------------------------------------------------------------------------- receptive fields


def effective_receptive_field(model: nn.Module, images: Tensor, layers: Sequence[Layer], positions: Tensor) -> Tensor:
    """Which pixels made a pointwise feature vector, by the sharing ratio: ``(N, H, W)``.

    Between two layers of the chain, vector ``x_i`` gives the part ``ŷ_ij`` of vector ``y_j``, and shares
    ``μ_ij = <ŷ_ij, y_j> / |y_j|²`` of it; shares are multiplied along the chain and summed over its ways down to the
    pixels. What lies between two layers of the chain is taken as linear, with the activation pattern that the picture
    made (a ReLU passes or blocks, a maximum picks). The shares of a layer sum to one but for what biases gave.

    A share is a gradient times an input, so a pixel with values of zero never has any: with pixels from 0 to 1, a black one.
    Where that matters, pass the normalised pictures to a model without its normalisation.

    Args:
        model: any model.
        images: ``(N, 3, H, W)``.
        layers: the chain, from the first layer to the one whose vectors are asked about; the closer together, the
            nearer this is to the layer-by-layer recursion of the source.
        positions: row and column in the last layer of the chain, one for each picture: ``(N, 2)``.

    Source: Han, Kim and Kwak, "Respect the model: fine-grained and robust explanation with sharing ratio decomposition"
    (ICLR 2024).
    """
    _check_images(images)
    if not layers:
        raise ValueError("The chain of layers is empty: name at least the layer whose vectors are asked about.")
    check_order(model, images, layers)
    with left_alone(model), torch.enable_grad(), capture(model, list(layers), stop=True) as acts:
        pixels = images.detach().clone().requires_grad_()
        model(pixels)
        chain = [pixels, *(acts[resolve(model, layer)[0]] for layer in layers)]
        for name, maps in acts.items():
            _spatial(maps, name)
        share = torch.zeros_like(chain[-1][:, 0])
        rows, columns = _checked_positions(positions, chain[-1])
        share[torch.arange(len(images)), rows, columns] = 1
        for before, after in zip(chain[-2::-1], chain[:0:-1], strict=True):
            length = after.detach().square().sum(1).clamp_min(1e-20)
            pull = after.detach() * (share / length)[:, None]
            share = (torch.autograd.grad(after, before, pull, retain_graph=True)[0] * before).sum(1).detach()
    return share


def gradient_receptive_field(model: nn.Module, images: Tensor, layer: Layer, positions: Tensor) -> Tensor:
    """A cheap stand-in for the effective receptive field: ``(N, H, W)``.

    The size of ``∂<v, v'>/∂x · x`` at each pixel, where v is the pointwise feature vector and v' the same, held fixed:
    the sharing ratio in one step, without its sign. A surrogate, not the source's definition; blind to black pixels, too.

    Args:
        model: any model.
        images: ``(N, 3, H, W)``.
        layer: whose vectors are asked about.
        positions: ``(N, 2)``.
    """
    _check_images(images)
    with left_alone(model), torch.enable_grad(), capture(model, layer, stop=True) as acts:
        pixels = images.detach().clone().requires_grad_()
        model(pixels)
        (name,) = acts
        maps = _spatial(acts[name], name)
        rows, columns = _checked_positions(positions, maps)
        vectors = maps[torch.arange(len(images)), :, rows, columns]
        (gradient,) = torch.autograd.grad((vectors * vectors.detach()).sum(), pixels)
    return (gradient * images).sum(1).abs()


def boxes(fields: Tensor, *, share: float = 0.8, margin: int = 6) -> Tensor:
    """A box around most of each receptive field, with a margin of context: top, left, bottom, right ``(N, 4)``.

    Args:
        fields: ``(N, H, W)``; their sizes count, not their signs.
        share: of the field that is kept along each axis.
        margin: pixels added on each side, within the picture.
    """
    ends = []
    for axis, size in ((2, fields.shape[1]), (1, fields.shape[2])):
        along = fields.abs().sum(axis).double().cumsum(1)
        along = along / along[:, -1:].clamp_min(1e-30)
        first = (along < (1 - share) / 2).sum(1) - margin
        last = (along < (1 + share) / 2).sum(1) + 1 + margin
        ends.append((first.clamp(0, size - 1), last.clamp(1, size)))
    (top, bottom), (left, right) = ends
    return torch.stack([top, left, bottom, right], 1)


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
    if isinstance(vectors, Samples):
        layer, vectors = vectors.layer, vectors.vectors
    if vectors.ndim != 2:
        raise ValueError(f"The vectors have shape {tuple(vectors.shape)}: pass one row for each, (N, channels).")
    if not vectors.isfinite().all():
        raise ValueError("The vectors hold NaN or infinite values: mend them first.")
    count = 8 * vectors.shape[1] if concepts is None else concepts
    if not 1 <= count <= len(vectors):
        raise ValueError(f"{count} concepts from {len(vectors)} vectors: sample more pictures, or ask for fewer concepts.")
    if method not in DICTIONARIES:
        raise ValueError(f"There is no method {method!r}: choose one of {', '.join(map(repr, DICTIONARIES))}.")
    found = DICTIONARIES[method](vectors.detach(), count, seed).to(vectors)
    return Concepts(layer, functional.normalize(found, dim=1), float(vectors.norm(dim=1).mean()), method)


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
    _spatial(activations, concepts.layer)
    if activations.shape[1] != concepts.vectors.shape[1]:
        raise ValueError(
            f"These activations have {activations.shape[1]} channels and the concepts of {concepts.layer!r} "
            f"{concepts.vectors.shape[1]}: take concepts of the same layer."
        )
    if penalty < 0:
        raise ValueError(f"The penalty is {penalty}: take zero or more.")
    count, channels, height, width = activations.shape
    inputs = activations.detach().permute(0, 2, 3, 1).reshape(-1, channels)
    threshold = penalty * concepts.scale
    with torch.no_grad():
        coefficients = _lasso(inputs, concepts.vectors.to(inputs), threshold, positive, iterations, concepts.scale)
        reconstruction = (coefficients @ concepts.vectors.to(inputs)).view(count, height, width, channels).permute(0, 3, 1, 2)
    residual = activations.detach() - reconstruction
    length = activations.detach().square().sum((1, 2, 3)).clamp_min(1e-30)
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


# --------------------------------------------------------------------------------------------------------------- checks


def check_order(model: nn.Module, images: Tensor, layers: Sequence[Layer]) -> list[str]:
    """The layers' names, when they run in this order.

    Raises:
        ValueError: there is no such layer, one does not run, or a later one is named first.
    """
    names, seen = [resolve(model, layer)[0] for layer in layers], []
    handles = [
        resolve(model, name)[1].register_forward_hook(lambda *_, name=name: seen.append(name)) for name in dict.fromkeys(names)
    ]
    try:
        with left_alone(model), torch.no_grad():
            model(images[:1])
    finally:
        for handle in handles:
            handle.remove()
    for name in names:
        if name not in seen:
            raise ValueError(f"Layer {name!r} does not run in this model's forward pass: choose another.")
    for first, second in zip(names, names[1:], strict=False):
        if seen.index(first) >= seen.index(second):
            raise ValueError(f"Layer {first!r} does not run before {second!r}: name the layers from the first to the last.")
    return names


def _check_images(images: Tensor) -> None:
    if images.ndim != 4 or not len(images):
        raise ValueError(f"The pictures have shape {tuple(images.shape)}: pass (N, 3, height, width) with N of at least 1.")
    if not images.sum().isfinite():
        raise ValueError("The pictures hold NaN or infinite values: mend them first.")


def _spatial(maps: Tensor, name: str) -> Tensor:
    if maps.ndim != 4 or maps.shape[2] * maps.shape[3] < 2:
        raise ValueError(
            f"Layer {name!r} gives {tuple(maps.shape)}, which has no spatial extent: choose a layer with maps "
            "(N, channels, height, width)."
        )
    return maps


def _classes(targets: Tensor | Sequence[int] | int, count: int, device: torch.device) -> Tensor:
    one_for_all = isinstance(targets, int)
    targets = torch.as_tensor(targets, device=device)
    if one_for_all:
        targets = targets.expand(count)
    if targets.shape != (count,):
        raise ValueError(f"{tuple(targets.shape)} targets for {count} pictures: pass one class for each, or one for all.")
    return targets.long()


def _check_classes(targets: Tensor, logits: Tensor) -> None:
    classes = logits.shape[1]
    if not ((targets >= 0) & (targets < classes)).all():
        raise ValueError(f"The model has classes 0 to {classes - 1}: there is no class {int(targets.max())}.")


def _checked_positions(positions: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    positions = torch.as_tensor(positions, device=maps.device)
    height, width = maps.shape[2:]
    if positions.shape != (len(maps), 2):
        raise ValueError(f"The positions have shape {tuple(positions.shape)}: pass row and column for each picture, (N, 2).")
    rows, columns = positions.unbind(1)
    if not ((rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)).all():
        raise ValueError(f"A position lies outside the layer's map of {height} rows and {width} columns.")
    return rows, columns
