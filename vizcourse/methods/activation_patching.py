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

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import VisionTransformer
from tqdm.auto import tqdm

from vizcourse.hooks import capture, override, replace, resolve
from vizcourse.methods.attention import head_values
from vizcourse.methods.corruptions import (
    Pictures,
    Shifted,
    blur,
    embedding_noise,
    greyscale,
    shuffle_patches,
    silhouette,
)
from vizcourse.methods.passes import device_of, evaluating

__all__ = [
    "COMPONENTS",
    "METRICS",
    "PatchingResult",
    "Pictures",
    "Runs",
    "Shifted",
    "attribute",
    "blur",
    "embedding_noise",
    "evaluating",
    "greyscale",
    "head_values",
    "measure",
    "path_patch",
    "record",
    "shuffle_patches",
    "silhouette",
    "sites",
    "sweep",
    "window_layers",
]

#: What a torchvision `VisionTransformer` calls its parts. "heads" are the attention's heads, before its output matrix.
COMPONENTS = {"resid": "", "attn_out": ".self_attention", "mlp_out": ".mlp", "heads": ".self_attention"}
METRICS = ("probability", "log_probability", "logit_difference")

Component = str | Sequence[str]
Metric = str | Callable[[Tensor, Tensor], Tensor]
Tokens = str | Sequence[int] | Tensor
Direction = Literal["denoising", "noising"]

# -------------------------------------------------------------------------------------------------------------- metrics


def measure(logits: Tensor, targets: Tensor, metric: Metric = "probability", against: Tensor | None = None) -> Tensor:
    """One number a picture, (N,): how strongly the logits (N, classes) speak for the targets (N,).

    metric "probability" (softmax), "log_probability", or "logit_difference": the target's logit minus that of the class
    `against` (N,); or any function (logits, targets) -> (N,).
    """
    if callable(metric):
        return metric(logits, targets)
    rows = torch.arange(len(logits), device=logits.device)
    if metric == "probability":
        return logits.softmax(dim=1)[rows, targets]
    if metric == "log_probability":
        return logits.log_softmax(dim=1)[rows, targets]
    if metric == "logit_difference":
        if against is None:
            raise ValueError("The logit difference needs a second class for each picture: pass against=, (N,).")
        return logits[rows, targets] - logits[rows, against]
    raise ValueError(f"There is no metric {metric!r}: choose one of {', '.join(METRICS)}, or pass a function.")


def _rival(logits: Tensor, targets: Tensor) -> Tensor:
    """The class that a run prefers, other than the target: what the answer is corrupted to."""
    return logits.scatter(1, targets[:, None], -torch.inf).argmax(dim=1)


# ------------------------------------------------------------------------------------------------------- the two runs


def _blocks(model: nn.Module) -> list[str]:
    layers = getattr(getattr(model, "encoder", None), "layers", None)
    if not isinstance(layers, nn.Sequential):
        return []
    return [f"encoder.layers.{name}" for name, block in layers.named_children() if hasattr(block, "self_attention")]


def sites(model: nn.Module, component: Component) -> list[str]:
    """The names of the modules whose outputs are patched, one a layer.

    `component` is one of "resid", "attn_out", "mlp_out", "heads" of a torchvision `VisionTransformer`, or a list of layer
    names of any network, in the order in which they run.
    """
    if not isinstance(component, str):
        return [resolve(model, layer)[0] for layer in component]
    blocks = _blocks(model)
    if not blocks:
        raise ValueError(
            f"{type(model).__name__} has no component {component!r}: pass a list of its layers instead, such as "
            "['layer1', 'layer2']."
        )
    if component not in COMPONENTS:
        raise ValueError(f"There is no component {component!r}: choose one of {', '.join(COMPONENTS)}, or a list of layers.")
    return [block + COMPONENTS[component] for block in blocks]


def window_layers(layer: int, window: int, layers: int) -> range:
    """The layers in a window around `layer`, of those from 0 to `layers` - 1; at the ends it is cut off."""
    if not 1 <= window <= layers:
        raise ValueError(f"A window of {window} does not fit: this network has {layers} layers, so choose 1 to {layers}.")
    first = layer - window // 2
    return range(max(first, 0), min(first + window, layers))


class _Run:
    """One forward pass: the logits, and the outputs of the wanted layers and of all that stands before them."""

    def __init__(self, model: nn.Module, pictures: Pictures, names: Iterable[str], heads: Iterable[str] = ()) -> None:
        modules = dict(model.named_modules())
        self.before: dict[str, list[str]] = {name: [] for name in names}  # what need not run again, once it has run
        self.outputs: dict[str, object] = {}
        self.heads: dict[str, Tensor] = {}
        beside = {name: set(_beside(model, name)) for name in self.before}
        runs: dict[str, int] = {}

        def keep(name: str) -> Callable:
            def hook(module: nn.Module, inputs: object, output: object) -> None:
                runs[name] = runs.get(name, 0) + 1
                self.outputs[name] = _copy(output)

            return hook

        def begin(name: str) -> Callable:
            def hook(module: nn.Module, inputs: tuple) -> None:
                self.before[name] = [other for other in beside[name] if runs.get(other)]
                if name in heads:
                    self.heads[name] = head_values(module, inputs[0])

            return hook

        with ExitStack() as stack:
            if isinstance(pictures, Shifted):
                self.images, offset = pictures.images.to(device_of(model)), pictures.offset.to(device_of(model))
                stack.enter_context(replace(model, {pictures.layer: lambda output: output + offset}))
            else:
                self.images = pictures.to(device_of(model))
            for name in self.before:
                stack.callback(modules[name].register_forward_pre_hook(begin(name)).remove)
            for name in {*self.before, *(other for others in beside.values() for other in others)}:
                stack.callback(modules[name].register_forward_hook(keep(name)).remove)
            self.logits = model(self.images)
        for name in self.before:
            if runs.get(name) != 1:
                raise ValueError(f"Layer {name!r} runs {runs.get(name, 0)} times in a forward pass: choose one that runs once.")
        # A module that runs several times (a shared ReLU) is run again rather than remembered.
        self.before = {name: [other for other in others if runs[other] == 1] for name, others in self.before.items()}
        used = {*self.before, *(other for others in self.before.values() for other in others)}
        self.outputs = {name: output for name, output in self.outputs.items() if name in used}
        self.order = {name: number for number, name in enumerate(runs)}  # of their ends


def _beside(model: nn.Module, name: str) -> list[str]:
    """All modules that are not on the way from the model down to a layer, each as a whole."""
    path, module, others = "", model, []
    for part in name.split("."):
        others += [f"{path}{child}" for child, _ in module.named_children() if child != part]
        path, module = f"{path}{part}.", getattr(module, part)
    return others


def _copy(output: object) -> object:
    """A copy of a module's output, because the next module may work in place."""
    if isinstance(output, tuple):
        return (_copy(output[0]), *output[1:])
    return output.clone() if isinstance(output, Tensor) else output


def _tensor(output: object) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


class Runs:
    """The clean and the corrupted run of some pictures: what :func:`record` returns.

    Attributes:
        clean, corrupted: the logits of the two runs, (N, classes).
        layers: number of layers; heads: number of attention heads in each (0 if there are none).
    """

    def __init__(self, model: nn.Module, clean: Pictures, corrupted: Pictures, components: Sequence[Component]) -> None:
        self.model = model
        self._sites = {_key(component): sites(model, component) for component in components}
        names = [name for some in self._sites.values() for name in some]
        split = self._sites.get("heads", ())
        with torch.no_grad(), evaluating(model):
            self._clean = _Run(model, clean, names, split)
            self._corrupted = _Run(model, corrupted, names, split)
        self.clean, self.corrupted = self._clean.logits, self._corrupted.logits
        blocks = _blocks(model) if isinstance(model, VisionTransformer) else []
        self._last = blocks[-1] if blocks else None
        self.layers = max(len(some) for some in self._sites.values())
        self.heads = self._clean.heads[split[0]].shape[2] if split else 0

    @torch.no_grad()
    def patch(self, cells: Iterable[tuple], *, tokens: Tokens = "all", direction: Direction = "denoising") -> Tensor:
        """The logits (N, classes) with some cells patched at once.

        Args:
            cells: each (component, layer), as ("attn_out", 3), or ("heads", layer, head). With a list of layer names as
                the component, that list is left out: (None, 3).
            tokens: which tokens are patched, as in :func:`sweep`.
            direction: "denoising" puts clean activations into the corrupted run, "noising" the other way round.
        """
        base, source = (self._corrupted, self._clean) if _denoises(direction) else (self._clean, self._corrupted)
        wanted: dict[str, list[int] | None] = {}
        for component, layer, *head in cells:
            name = self._site(component, layer)
            heads = wanted.get(name, [])
            # The whole output includes each of its heads.
            wanted[name] = None if not head or heads is None else [*heads, *self._head(head[0])]
        if not wanted:
            return base.logits
        first, *later = sorted(wanted, key=base.order.get)
        forwards: dict[str, Callable] = {name: _constant(base.outputs[name]) for name in base.before[first]}
        replacements = {}
        for name in (first, *later):
            clean = _tensor(source.outputs[name])
            if wanted[name] is not None:
                chosen = _chosen(tokens, clean)
                attention = self.model.get_submodule(name)
                forwards[name] = _with_heads(attention, source.heads[name], wanted[name], chosen)
            elif isinstance(tokens, str) and tokens == "all":
                forwards[name] = _constant(_replaced(base.outputs[name], clean))
            elif name == first:
                mixed = _mix(_tensor(base.outputs[name]), clean, _chosen(tokens, clean))
                forwards[name] = _constant(_replaced(base.outputs[name], mixed))
            else:
                replacements[name] = lambda current, clean=clean: _mix(current, clean, _chosen(tokens, clean))
        last = self._last
        if last and not any(name.startswith(last) for name in wanted):
            forwards[last] = _class_token_only(self.model.get_submodule(last))
        with evaluating(self.model), override(self.model, forwards), replace(self.model, replacements):
            return self.model(base.images)

    def _site(self, component: str | None, layer: int) -> str:
        key = _key(component)
        if key not in self._sites:
            raise ValueError(f"No {component!r} was recorded: the recorded components are {', '.join(map(str, self._sites))}.")
        if not 0 <= layer < len(self._sites[key]):
            raise ValueError(f"Layers run from 0 to {len(self._sites[key]) - 1}; there is no layer {layer}.")
        return self._sites[key][layer]

    def _head(self, head: int) -> list[int]:
        if not 0 <= head < self.heads:
            raise ValueError(f"Heads run from 0 to {self.heads - 1}; there is no head {head}.")
        return [head]


def _key(component: Component | None) -> str | None:
    return component if isinstance(component, str) else None


def _denoises(direction: str) -> bool:
    if direction not in ("denoising", "noising"):
        raise ValueError(f"There is no direction {direction!r}: choose 'denoising' or 'noising'.")
    return direction == "denoising"


def _constant(output: object) -> Callable:
    return lambda *inputs, **options: _copy(output)


def _replaced(output: object, tensor: Tensor) -> object:
    return (tensor, *output[1:]) if isinstance(output, tuple) else tensor


def _class_token_only(block: nn.Module) -> Callable:
    """A forward of the last block for the class token alone: nobody reads the others after it."""

    def forward(tokens: Tensor) -> Tensor:
        heard = block.ln_1(tokens)
        stream = tokens[:, :1] + block.dropout(block.self_attention(heard[:, :1], heard, heard, need_weights=False)[0])
        return stream + block.mlp(block.ln_2(stream))

    return forward


def _with_heads(attention: nn.MultiheadAttention, source: Tensor, heads: list[int], chosen: Tensor) -> Callable:
    """A forward of the attention that takes some heads from the source."""

    def forward(query: Tensor, *inputs: object, **options: object) -> tuple[Tensor, None]:
        values = head_values(attention, query)
        values[:, :, heads] = torch.where(chosen[..., None], source[:, :, heads], values[:, :, heads])
        return attention.out_proj(values.flatten(2)), None

    return forward


def _chosen(tokens: Tokens, activation: Tensor) -> Tensor:
    """A mask that says which tokens (or positions of a feature map) are patched, ready to be broadcast."""
    if isinstance(tokens, str) and tokens == "all":
        return torch.ones([1] * activation.ndim, dtype=torch.bool, device=activation.device)
    if activation.ndim == 2:
        raise ValueError("This layer gives one vector a picture, without tokens or places: pass tokens='all'.")
    if activation.ndim == 4:
        if not _is_region(tokens):
            raise ValueError("A feature map has no tokens: pass 'all', or a region as a mask (height, width).")
        return _on_grid(tokens, activation.shape[2:], activation.device)[:, None]
    length = activation.shape[1]
    mask = torch.zeros(1, length, dtype=torch.bool, device=activation.device)
    if isinstance(tokens, str):
        if tokens not in ("all", "class", "patches"):
            raise ValueError(f"There are no tokens {tokens!r}: choose 'all', 'class', 'patches', a list of numbers or a mask.")
        mask[:, 0] = tokens != "patches"
        mask[:, 1:] = tokens != "class"
    elif _is_region(tokens):
        side = round((length - 1) ** 0.5)
        region = _on_grid(tokens, (side, side), activation.device).flatten(1)
        mask = torch.cat([torch.zeros_like(region[:, :1]), region], dim=1)
    else:
        numbers = [int(number) for number in tokens]
        if any(not 0 <= number < length for number in numbers):
            raise ValueError(f"Tokens run from 0 (the class token) to {length - 1}; {numbers} leaves that range.")
        mask[:, numbers] = True
    return mask[..., None]


def _is_region(tokens: Tokens) -> bool:
    return isinstance(tokens, Tensor) and tokens.dtype == torch.bool and tokens.ndim in (2, 3)


def _on_grid(region: Tensor, size: Sequence[int], device: torch.device) -> Tensor:
    """A region (height, width) or (N, height, width) on a coarser grid: a place counts if the region touches it."""
    region = region.to(device).float()
    region = region[None] if region.ndim == 2 else region
    return functional.adaptive_max_pool2d(region, tuple(size)).bool()


def _mix(current: Tensor, source: Tensor, chosen: Tensor) -> Tensor:
    return torch.where(chosen, source, current)


def record(
    model: nn.Module,
    clean: Pictures,
    corrupted: Pictures,
    *,
    components: Sequence[Component] = ("attn_out", "mlp_out", "resid", "heads"),
) -> Runs:
    """Run clean and corrupted pictures once, and keep what patches need.

    Args:
        model: a classifier; a torchvision `VisionTransformer`, or anything whose layers are given by name.
        clean, corrupted: pictures (N, 3, height, width), or what :func:`embedding_noise` returns.
        components: what is to be patched later, as in :func:`sweep`. Everything is kept in memory.

    Returns:
        A :class:`Runs`: `runs.patch([("attn_out", 3), ("mlp_out", 4)])` gives logits.

    Raises:
        ValueError: clean and corrupted do not fit together, or the model lacks a component.
    """
    _check_pair(clean, corrupted)
    return Runs(model, clean, corrupted, components)


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

    @cached_property
    def _resampled(self) -> tuple[Tensor, Tensor]:
        """Means of effects and totals over 2,000 bootstrap samples of the pictures (seeded)."""
        count = len(self.effects)
        generator = torch.Generator().manual_seed(0)
        chosen = torch.randint(count, (2000, count), generator=generator)
        weights = self.effects.new_zeros(2000, count).scatter_add_(1, chosen, self.effects.new_ones(2000, count)) / count
        return (weights @ self.effects.flatten(1)).unflatten(1, self.effects.shape[1:]), weights @ self.total

    @property
    def interval(self) -> Tensor:
        """95 % bootstrap interval of the mean over pictures: (2, layers), low and high."""
        return _percentiles(self._resampled[0])

    @property
    def normalised_interval(self) -> Tensor:
        """95 % bootstrap interval of `normalised`: (2, layers)."""
        effects, totals = self._resampled
        return _percentiles(effects / totals.view(-1, *[1] * (effects.ndim - 1)))

    def __getitem__(self, rows: Tensor | slice) -> PatchingResult:
        """The result for some of the pictures, chosen by a slice, indices or a mask (N,)."""
        chosen = (self.effects[rows], self.clean[rows], self.corrupted[rows])
        return PatchingResult(*chosen, self.layers, self.component, self.window, self.direction, self.metric)


def _percentiles(samples: Tensor) -> Tensor:
    return torch.quantile(samples, samples.new_tensor([0.025, 0.975]), dim=0)


def sweep(
    model: nn.Module,
    clean: Pictures,
    corrupted: Pictures,
    targets: Tensor,
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
        targets: (N,), the class whose metric is followed.
        component: what is patched. Of a torchvision `VisionTransformer`: "attn_out" and "mlp_out", what a layer's attention
            or MLP adds to the residual stream; "resid", the residual stream after a layer; "heads", one head at a time.
            Of any network: a list of layer names.
        window: layers patched together, centred on the one in question and cut off at the ends. Heads: 1.
        direction: "denoising" (clean into corrupted: is it sufficient?) or "noising" (corrupted into clean: is it
            necessary?).
        metric: "probability", "log_probability", "logit_difference", or a function (logits, targets) -> (N,).
        tokens: "all"; "class", the class token; "patches", all others; a list of token numbers (0 is the class token);
            or a region: a mask, boolean, (height, width) or (N, height, width), of the picture or of the token grid.
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
    _check_pair(clean, corrupted)
    names = sites(model, component)
    window_layers(0, window, len(names))
    _denoises(direction)
    heads = component == "heads"
    if heads and window != 1:
        raise ValueError("Heads have no neighbours in the next layer: pass window=1.")
    targets = _check_targets(targets, len(clean))
    region = tokens if _is_region(tokens) and tokens.ndim == 3 else None
    if region is not None and len(region) != len(clean):
        raise ValueError(f"There are {len(region)} regions for {len(clean)} pictures: pass one for each, or (height, width).")
    key = _key(component)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    bar = tqdm(total=len(clean), desc="patching", unit="picture", delay=3, leave=False, disable=not progress)
    with bar:
        for start in range(0, len(clean), batch):
            rows = slice(start, start + batch)
            runs = Runs(model, clean[rows], corrupted[rows], [component])
            wanted = _in_range(targets[rows].to(runs.clean.device), runs.clean)
            other = _rival(runs.corrupted, wanted) if against is None else against[rows].to(wanted.device)
            value = partial(measure, targets=wanted, metric=metric, against=other)
            some = tokens if region is None else region[rows]
            patched = []
            for layer in range(len(names)):
                if heads:
                    groups = [[("heads", layer, head)] for head in range(runs.heads)]
                else:
                    groups = [[(key, each) for each in window_layers(layer, window, len(names))]]
                patched.append(
                    torch.stack([value(runs.patch(cells, tokens=some, direction=direction)) for cells in groups], dim=1)
                )
            values = torch.stack(patched, dim=1), value(runs.clean), value(runs.corrupted)
            parts.append(tuple(_exact(each).cpu() for each in values))
            bar.update(len(wanted))
    patched, before, after = (torch.cat(each) for each in zip(*parts, strict=True))
    if heads:
        effects = patched - after[:, None, None] if _denoises(direction) else before[:, None, None] - patched
    else:
        patched = patched[:, :, 0]
        effects = patched - after[:, None] if _denoises(direction) else before[:, None] - patched
    name = component if isinstance(component, str) else "layers"
    label = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
    return PatchingResult(effects, before, after, tuple(names), name, window, direction, label)


def _exact(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _check_pair(clean: Pictures, corrupted: Pictures) -> None:
    shapes = [tuple(each.images.shape if isinstance(each, Shifted) else each.shape) for each in (clean, corrupted)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"Clean and corrupted must have one shape, not {shapes[0]} and {shapes[1]}: pair the pictures.")
    if len(clean) == 0:
        raise ValueError("There are no pictures: pass a batch with at least one.")


def _check_targets(targets: Tensor, count: int) -> Tensor:
    targets = torch.as_tensor(targets)
    if targets.shape != (count,):
        raise ValueError(f"There must be one target for each of the {count} pictures, (N,), not {tuple(targets.shape)}.")
    return targets.long()


def _in_range(targets: Tensor, logits: Tensor) -> Tensor:
    classes = logits.shape[1]
    wrong = targets[(targets < 0) | (targets >= classes)]
    if len(wrong):
        raise ValueError(f"Classes run from 0 to {classes - 1}; there is no class {int(wrong[0])}.")
    return targets


# ---------------------------------------------------------------------------------------------------- approximate, paths


def attribute(
    model: nn.Module,
    clean: Pictures,
    corrupted: Pictures,
    targets: Tensor,
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
    _check_pair(clean, corrupted)
    names = sites(model, component)
    targets = _check_targets(targets, len(clean))
    groups = [list(window_layers(layer, window, len(names))) for layer in range(len(names))]
    heads = component == "heads"
    parts = []
    for start in range(0, len(clean), batch):
        rows = slice(start, start + batch)
        with torch.no_grad(), evaluating(model):
            source = _Run(model, clean[rows], names, names if heads else ())
            base = _Run(model, corrupted[rows], names, names if heads else ())
        wanted = _in_range(targets[rows].to(base.logits.device), base.logits)
        other = _rival(base.logits, wanted) if against is None else against[rows].to(wanted.device)
        value = partial(measure, targets=wanted, metric=metric, against=other)
        values = value(source.logits), value(base.logits)
        gradients = _gradients(model, corrupted[rows], names, value)
        some = tokens[rows] if _is_region(tokens) and tokens.ndim == 3 else tokens
        layers = []
        for name, gradient in zip(names, gradients, strict=True):
            chosen = _chosen(some, gradient)
            if heads:
                attention = model.get_submodule(name)
                matrix = attention.out_proj.weight.unflatten(1, (attention.num_heads, -1))  # (width, heads, head width)
                at_heads = torch.einsum("ntw,whd->nthd", gradient * chosen, matrix)
                layers.append(((source.heads[name] - base.heads[name]) * at_heads).sum(dim=(1, 3)))
            else:
                change = _tensor(source.outputs[name]) - _tensor(base.outputs[name])
                layers.append((change * gradient * chosen).flatten(1).sum(dim=1))
        single = torch.stack(layers, dim=1)
        effects = torch.stack([single[:, group].sum(dim=1) for group in groups], dim=1)
        parts.append(tuple(_exact(each).detach().cpu() for each in (effects, *values)))
    effects, before, after = (torch.cat(each) for each in zip(*parts, strict=True))
    name = component if isinstance(component, str) else "layers"
    label = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
    return PatchingResult(effects, before, after, tuple(names), name, window, "denoising", label)


def _gradients(model: nn.Module, pictures: Pictures, names: list[str], metric: Callable) -> tuple[Tensor, ...]:
    """The gradient of the summed metric with respect to the outputs of some layers."""
    images = pictures.images if isinstance(pictures, Shifted) else pictures
    # The weights may be frozen; pixels that ask for a gradient put every activation into the graph.
    images = images.detach().to(device_of(model)).clone().requires_grad_()
    with ExitStack() as stack:
        stack.enter_context(torch.enable_grad())
        stack.enter_context(evaluating(model))
        if isinstance(pictures, Shifted):
            offset = pictures.offset.to(images.device)
            stack.enter_context(replace(model, {pictures.layer: lambda output: output + offset}))
        acts = stack.enter_context(capture(model, names))
        value = metric(model(images)).sum()
        return torch.autograd.grad(value, [acts[name] for name in names])


@torch.no_grad()
def path_patch(
    model: nn.Module,
    clean: Pictures,
    corrupted: Pictures,
    targets: Tensor,
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
    _check_pair(clean, corrupted)
    parts = [name for pair in zip(sites(model, "attn_out"), sites(model, "mlp_out"), strict=True) for name in pair]
    start, end = (_place(each, parts) for each in (sender, receiver))
    if start >= end:
        raise ValueError(f"Nothing flows from {sender} to {receiver}: the receiver must come after the sender.")
    targets = _check_targets(targets, len(clean))
    effects = []
    for first in range(0, len(clean), batch):
        rows = slice(first, first + batch)
        runs = Runs(model, clean[rows], corrupted[rows], [parts])
        base, source = (runs._corrupted, runs._clean) if _denoises(direction) else (runs._clean, runs._corrupted)
        wanted = _in_range(targets[rows].to(base.logits.device), base.logits)
        other = _rival(runs.corrupted, wanted) if against is None else against[rows].to(wanted.device)
        frozen = {name: _constant(base.outputs[name]) for number, name in enumerate(parts) if number != end}
        forwards = frozen | {parts[start]: _constant(source.outputs[parts[start]])}
        forwards |= {name: _constant(base.outputs[name]) for name in base.before[parts[0]]}
        with evaluating(model), override(model, forwards):
            if end == len(parts):
                logits = model(base.images)
            else:
                with capture(model, parts[end], stop=True) as acts:
                    model(base.images)
        if end < len(parts):
            heard = _replaced(base.outputs[parts[end]], acts[parts[end]])
            forwards = {name: _constant(base.outputs[name]) for name in base.before[parts[end]]}
            with evaluating(model), override(model, forwards | {parts[end]: _constant(heard)}):
                logits = model(base.images)
        before, after = measure(base.logits, wanted, metric, other), measure(logits, wanted, metric, other)
        effects.append((after - before if _denoises(direction) else before - after).cpu())
    return torch.cat(effects)


def _place(part: tuple[str, int] | str, parts: list[str]) -> int:
    """Where a part comes in the order attention 0, MLP 0, attention 1, …; the logits come last."""
    if part == "logits":
        return len(parts)
    component, layer = part
    if component not in ("attn_out", "mlp_out") or not 0 <= layer < len(parts) // 2:
        raise ValueError(
            f"Paths run between ('attn_out' or 'mlp_out', layer 0 to {len(parts) // 2 - 1}) and 'logits'; there is no {part!r}."
        )
    return 2 * layer + (component == "mlp_out")
