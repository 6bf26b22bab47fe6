"""Activation patching: put activations of one run into another, and see what they bring about.

A *clean* run (a picture) and a *corrupted* run (the same picture without its colour, say) end in different answers.
Patching one activation of the clean run into the corrupted one and going on from there shows how much of the difference
is carried by that activation: its indirect effect (Pearl 2001; Vig et al. 2020; Meng et al. 2022, "causal tracing").

- :func:`sweep` patches every layer in turn, and gives effects with intervals;
- :func:`record` keeps both runs, for any combination of patches;
- :func:`attribute` approximates a sweep by one gradient, :func:`path_patch` restores one path between two parts;
- the corruptions (greyscale, blur and others) stand in :mod:`vizcourse.methods.corruptions`, and can be had from here too.

Speed: both runs are made once, and what stands before the first patched layer is never run again; nor is a layer whose
whole output is replaced, nor, in the last layer of a vision transformer, what the class token does not need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from vizcourse.hooks import capture, constant, override, with_first_tensor
from vizcourse.methods import vision_transformer as vit
from vizcourse.methods.checks import (
    checked_choice,
    checked_classes,
    checked_count,
    checked_finite,
    checked_logits,
    not_probabilities,
)
from vizcourse.methods.corruptions import (
    Pictures,
    Shifted,
    blur,
    checked_pictures,
    embedding_noise,
    greyscale,
    shifting,
    shuffle_patches,
    silhouette,
)
from vizcourse.methods.intervals import bootstrap_bounds, bootstrap_means
from vizcourse.methods.paired_runs import Component, Direction, Runs, denoises, key_of, record, sites
from vizcourse.methods.passes import evaluating
from vizcourse.methods.places import Tokens

__all__ = ["METRICS", "PatchingResult", "attribute", "measure", "path_patch", "rival", "sweep", "window_layers"]
__all__ += ["Runs", "record", "sites"]
__all__ += ["Pictures", "Shifted", "blur", "embedding_noise", "greyscale", "shuffle_patches", "silhouette"]

METRICS = ("probability", "log_probability", "logit_difference")

Metric = str | Callable[[Tensor, Tensor], Tensor]

# -------------------------------------------------------------------------------------------------------------- metrics


def measure(logits: Tensor, target: Tensor, metric: Metric = "probability", against: Tensor | None = None) -> Tensor:
    """One number a picture, (N,): how strongly the logits (N, classes) speak for the target classes (N,).

    metric "probability" (softmax), "log_probability", or "logit_difference": the target's logit minus that of the class
    `against` (N,); or any function (logits, target) -> (N,).
    """
    target = checked_classes(target, len(checked_logits(logits)), logits.shape[1]).to(logits.device)
    if callable(metric):
        values = metric(logits, target)
        if not isinstance(values, Tensor) or values.shape != target.shape:
            raise ValueError(f"The metric must give one number a picture, a tensor ({len(target)},), not {values!r:.60}.")
        return checked_finite(values, "values of the metric")
    rows = torch.arange(len(logits), device=logits.device)
    if checked_choice(metric, METRICS, "metric") == "logit_difference":
        if against is None:
            raise ValueError("The logit difference needs a second class for each picture: pass against=, (N,).")
        other = checked_classes(against, len(logits), logits.shape[1], name="against").to(logits.device)
        return logits[rows, target] - logits[rows, other]
    log_probabilities = not_probabilities(logits).log_softmax(dim=1)[rows, target]
    return log_probabilities if metric == "log_probability" else log_probabilities.exp()


def rival(logits: Tensor, target: Tensor) -> Tensor:
    """The class that a run prefers, other than the target, (N,): what the answer is corrupted to."""
    return logits.scatter(1, target[:, None], -torch.inf).argmax(dim=1)


def window_layers(layer: int, window: int, layers: int) -> range:
    """The layers in a window around `layer`, of those from 0 to `layers` - 1; at the ends it is cut off."""
    if not 1 <= checked_count(window, "window", least=0) <= layers:
        raise ValueError(f"A window of {window} does not fit: this network has {layers} layers, so choose 1 to {layers}.")
    first = layer - window // 2
    return range(max(first, 0), min(first + window, layers))


# ---------------------------------------------------------------------------------------------------------------- sweep


@dataclass(frozen=True, eq=False)
class PatchingResult:
    """Effects of patching each layer, picture by picture.

    Attributes:
        effects: (N, layers), for heads (N, layers, heads). Denoising: metric patched minus corrupted, what the clean
            activation brings back. Noising: clean minus patched, what is lost without it. Positive: it carries the
            difference.
        clean, corrupted: the metric of the two runs, (N,).
        layers: names of the patched layers.
        component, window, direction, metric: as asked for.
    """

    effects: Tensor
    clean: Tensor
    corrupted: Tensor
    layers: tuple[str, ...]
    component: str
    window: int
    direction: str
    metric: str

    @property
    def total(self) -> Tensor:
        """The total effect of the corruption, clean minus corrupted, (N,)."""
        return self.clean - self.corrupted

    @property
    def patched(self) -> Tensor:
        """The metric with the patch, shaped like `effects`."""
        shape = (-1, *[1] * (self.effects.ndim - 1))
        if self.direction == "noising":
            return self.clean.view(shape) - self.effects
        return self.corrupted.view(shape) + self.effects

    @property
    def mean(self) -> Tensor:
        """Mean effect of each layer."""
        return self.effects.mean(dim=0)

    @property
    def normalised(self) -> Tensor:
        """Mean effect over mean total effect: 0 = nothing, 1 = the whole difference. A ratio of means, because single
        pictures with hardly any total effect would blow up a mean of ratios."""
        return self.mean / self.total.mean()

    @property
    def interval(self) -> Tensor:
        """95 % bootstrap interval of the mean over pictures: (2, layers), low and high."""
        return bootstrap_bounds(self.effects).to(self.effects)

    @property
    def normalised_interval(self) -> Tensor:
        """95 % bootstrap interval of `normalised`: (2, layers)."""
        return bootstrap_bounds(self.effects, over=self.total).to(self.effects)

    @property
    def peak(self) -> Tensor:
        """In which share of the bootstrap samples each layer's mean is the largest, (layers,): how sure the peak is."""
        largest = bootstrap_means(self.effects).argmax(dim=1)
        return torch.bincount(largest, minlength=self.effects.shape[1]) / len(largest)

    def __getitem__(self, rows: Tensor | slice) -> PatchingResult:
        """The result for some of the pictures, chosen by a slice, indices or a mask (N,)."""
        chosen = (self.effects[rows], self.clean[rows], self.corrupted[rows])
        return PatchingResult(*chosen, self.layers, self.component, self.window, self.direction, self.metric)


def sweep(
    model: nn.Module,
    clean: Pictures,
    corrupted: Pictures,
    target: Tensor,
    *,
    component: Component = "attn_out",
    window: int = 3,
    direction: Direction = "denoising",
    metric: Metric = "probability",
    tokens: Tokens = "all",
    against: Tensor | None = None,
    batch: int = 128,
    progress: bool = True,
) -> PatchingResult:
    """Patch every layer in turn and measure what it does to the answer.

    Args:
        model: a classifier with logits (N, classes).
        clean, corrupted: pictures (N, 3, height, width), or what :func:`embedding_noise` returns.
        target: (N,), the class whose metric is followed, or one for all.
        component: what is patched. Of a torchvision `VisionTransformer`: "attn_out" and "mlp_out", what a layer's attention
            or MLP adds to the residual stream; "resid", the residual stream after a layer; "heads", one head at a time.
            Of any network: a list of layer names.
        window: layers patched together, centred on the one in question and cut off at the ends. Heads: 1.
        direction: "denoising" (clean into corrupted: is it sufficient?) or "noising" (corrupted into clean: is it
            necessary?).
        metric: "probability", "log_probability", "logit_difference", or a function (logits, target) -> (N,).
        tokens: "all"; "class", the class token; "patches", those of the picture; a list of token numbers (0 is the class
            token); or a region: a mask, boolean, (height, width) or (N, height, width), of the picture or of the token grid.
        against: (N,), the other class of the logit difference; by default the class, other than the target, that the
            corrupted run prefers.
        batch: pictures at a time. Memory is that of the two recorded runs of a batch: for `vit-scenes` about 2 MB a picture.
        progress: show a bar if it takes more than a few seconds.

    Returns:
        A :class:`PatchingResult`, on the CPU.

    Raises:
        ValueError: clean and corrupted differ in shape, a target is out of range, the window is larger than the network,
            or the model lacks the component.
    """
    names = sites(model, component)
    groups = [[(key_of(component), each) for each in window_layers(layer, window, len(names))] for layer in range(len(names))]
    if component == "heads" and window != 1:
        raise ValueError("Heads have no neighbours in the next layer: pass window=1.")
    restores, parts = denoises(direction), []
    for runs, value, some in _batches(model, clean, corrupted, target, component, metric, tokens, against, batch, progress):
        patched = []
        for group in groups:
            cells = [[(*group[0], head)] for head in range(runs.heads)] or [group]
            patched.append(torch.stack([value(runs.patch(each, tokens=some, direction=direction)) for each in cells], dim=1))
        values = torch.stack(patched, dim=1)
        before, after = value(runs.clean)[:, None, None], value(runs.corrupted)[:, None, None]
        effects = values - after if restores else before - values
        parts.append((effects if runs.heads else effects[:, :, 0], before[:, 0, 0], after[:, 0, 0]))
    return _result(parts, names, component, window, direction, metric)


def _batches(
    model: nn.Module,
    clean: Pictures,
    corrupted: Pictures,
    target: Tensor,
    component: Component,
    metric: Metric,
    tokens: Tokens,
    against: Tensor | None,
    batch: int,
    progress: bool = False,
) -> Iterator[tuple[Runs, Callable[[Tensor], Tensor], Tokens]]:
    """Batch by batch: both runs, the metric as a function of the logits alone, and the tokens to patch."""
    clean, corrupted = checked_pictures(model, clean, corrupted)
    count = len(clean)
    checked_count(batch, "batch")
    target = checked_classes(target, count)
    against = None if against is None else checked_classes(against, count, name="against")
    regions = isinstance(tokens, Tensor) and tokens.ndim == 3
    if regions and len(tokens) != count:
        raise ValueError(f"There are {len(tokens)} regions for {count} pictures: pass one for each, or (height, width).")
    with tqdm(total=count, desc="patching", unit="picture", delay=3, leave=False, disable=not progress) as bar:
        for start in range(0, count, batch):
            rows = slice(start, start + batch)
            runs = Runs(model, clean[rows], corrupted[rows], [component])
            wanted = checked_classes(target[rows], len(runs.clean), runs.clean.shape[1]).to(runs.clean.device)
            other = rival(runs.corrupted, wanted)
            if against is not None:
                other = checked_classes(against[rows], len(wanted), runs.clean.shape[1], name="against").to(wanted.device)
            yield runs, partial(measure, target=wanted, metric=metric, against=other), tokens[rows] if regions else tokens
            bar.update(len(wanted))


def _result(
    parts: Sequence[tuple[Tensor, Tensor, Tensor]],
    names: Sequence[str],
    component: Component,
    window: int,
    direction: str,
    metric: Metric,
) -> PatchingResult:
    joined = (torch.cat(each).detach().cpu() for each in zip(*parts, strict=True))
    exact = (each if each.dtype == torch.float64 else each.float() for each in joined)
    label = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
    return PatchingResult(*exact, tuple(names), key_of(component) or "layers", window, direction, label)


# ---------------------------------------------------------------------------------------------------- approximate, paths


def attribute(
    model: nn.Module,
    clean: Pictures,
    corrupted: Pictures,
    target: Tensor,
    *,
    component: Component = "attn_out",
    window: int = 1,
    metric: Metric = "probability",
    tokens: Tokens = "all",
    against: Tensor | None = None,
    batch: int = 128,
) -> PatchingResult:
    """Attribution patching (Nanda 2023; Kramár et al. 2024): all layers at the price of two runs and one gradient.

    The effect of a patch is approximated by its first-order Taylor term, (clean − corrupted activation) · gradient of the
    metric in the corrupted run. It is exact where the rest of the network is linear, and blind where it saturates.
    The effects of a window are the sums of those of its layers. Arguments as in :func:`sweep`, denoising.
    """
    names = sites(model, component)
    groups = [list(window_layers(layer, window, len(names))) for layer in range(len(names))]
    parts, start = [], 0
    for runs, value, some in _batches(model, clean, corrupted, target, component, metric, tokens, against, batch):
        rows = slice(start, start := start + len(runs.clean))
        layers = []
        for name, gradient in zip(names, _gradients(model, corrupted[rows], names, value), strict=True):
            if not (isinstance(some, str) and some == "all"):
                gradient = gradient * runs._chosen(some, name, runs._clean)
            if runs.heads:
                change = runs._heads[runs._clean][name] - runs._heads[runs._corrupted][name]
                layers.append((change * vit.at_heads(model.get_submodule(name), gradient)).sum(dim=(1, 3)))
            else:
                change = runs._clean.activation(name) - runs._corrupted.activation(name)
                layers.append((change * gradient).flatten(1).sum(dim=1))
        single = torch.stack(layers, dim=1)
        effects = torch.stack([single[:, group].sum(dim=1) for group in groups], dim=1)
        parts.append((effects, value(runs.clean), value(runs.corrupted)))
    return _result(parts, names, component, window, "denoising", metric)


def _gradients(model: nn.Module, pictures: Pictures, names: list[str], metric: Callable) -> tuple[Tensor, ...]:
    """The gradient of the summed metric with respect to the outputs of some layers."""
    with torch.enable_grad(), evaluating(model), ExitStack() as stack:
        images, _ = stack.enter_context(shifting(model, pictures))
        acts = stack.enter_context(capture(model, names))
        # The weights may be frozen; pixels that ask for a gradient put every activation into the graph.
        value = metric(model(images.detach().clone().requires_grad_())).sum()
        return torch.autograd.grad(value, [acts[name] for name in names], materialize_grads=True)


@torch.no_grad()
def path_patch(
    model: nn.Module,
    clean: Pictures,
    corrupted: Pictures,
    target: Tensor,
    sender: tuple[str, int],
    receiver: tuple[str, int] | Literal["logits"],
    *,
    direction: Direction = "denoising",
    metric: Metric = "probability",
    against: Tensor | None = None,
    batch: int = 128,
) -> Tensor:
    """The effect (N,) of one path: patch what the sender tells the receiver, and nothing that it tells anybody else.

    All attentions and MLPs but the receiver are frozen at the base run while the sender is patched; the receiver's answer to
    that is then put into the base run, and everything after it reacts (Goldowsky-Dill et al. 2023).

    Args:
        model: a torchvision `VisionTransformer`.
        sender, receiver: ("attn_out" or "mlp_out", layer); the receiver must come later. "logits" is the direct effect.
        others: as in :func:`sweep`.

    Raises:
        ValueError: as in `sweep`, or the receiver comes before the sender.
    """
    parts = [name for pair in zip(sites(model, "attn_out"), sites(model, "mlp_out"), strict=True) for name in pair]
    start, end = (_place(each, parts) for each in (sender, receiver))
    if start >= end:
        raise ValueError(f"Nothing flows from {sender} to {receiver}: the receiver must come after the sender.")
    restores, effects = denoises(direction), []
    for runs, value, _ in _batches(model, clean, corrupted, target, parts, metric, "all", against, batch):
        base, source = (runs._corrupted, runs._clean) if restores else (runs._clean, runs._corrupted)
        frozen = {name: constant(base.outputs[name]) for number, name in enumerate(parts) if number != end}
        frozen[parts[start]] = constant(source.outputs[parts[start]])
        with evaluating(model), override(model, frozen):
            if end == len(parts):
                logits = base.run(parts[0])
            else:
                with capture(model, parts[end], stop=True) as acts:
                    base.run(parts[0])
        if end < len(parts):
            heard = with_first_tensor(base.outputs[parts[end]], acts[parts[end]])
            with evaluating(model), override(model, {parts[end]: constant(heard)}):
                logits = base.run(parts[end])
        effects.append((value(logits) - value(base.output) if restores else value(base.output) - value(logits)).cpu())
    return torch.cat(effects)


def _place(part: tuple[str, int] | str, parts: list[str]) -> int:
    """Where a part comes in the order attention 0, MLP 0, attention 1, …; the logits come last."""
    if part == "logits":
        return len(parts)
    component, layer = part if isinstance(part, tuple | list) and len(part) == 2 else (None, None)
    if component not in ("attn_out", "mlp_out") or not isinstance(layer, int) or not 0 <= layer < len(parts) // 2:
        raise ValueError(
            f"Paths run between ('attn_out' or 'mlp_out', layer 0 to {len(parts) // 2 - 1}) and 'logits'; there is no {part!r}."
        )
    return 2 * layer + (component == "mlp_out")
