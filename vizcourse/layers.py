"""Layers of any ``torch.nn.Module``: which one a name means, and which axis of what it gives is which.

A *layer* is named as in ``model.named_modules()`` (``"layer3.0.conv1"``) or given as the module itself. Its activation has a
:class:`Layout`: maps with their channels first or last, tokens, or a vector. Every method that speaks of channels or places
stands on it.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

Layer = str | nn.Module
Wanted = Layer | tuple[Layer, int]


def resolve(model: nn.Module, layer: Layer) -> tuple[str, nn.Module]:
    """Return ``(name, module)`` of a layer of ``model``.

    Args:
        model: any module.
        layer: a name from ``model.named_modules()``, or one of those modules.

    Raises:
        ValueError: the model has no such layer; the message lists the closest names.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"A model is a torch.nn.Module, not {kind_of(model)}: pass the network itself, as load(…) returns it.")
    if isinstance(layer, str):  # the usual case, without a walk through all modules
        try:
            return layer, model.get_submodule(layer)
        except AttributeError:
            pass
    modules = dict(model.named_modules())
    if isinstance(layer, nn.Module):
        for name, module in modules.items():
            if module is layer:
                return name, module
        raise ValueError(
            f"This {type(layer).__name__} is not a part of the {type(model).__name__}: "
            "take a layer from model.named_modules() of the same model."
        )
    names = [name for name in modules if name]
    close = difflib.get_close_matches(str(layer), names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"its layers are {short(names)}."
    raise ValueError(f"{type(model).__name__} has no layer {layer!r}: {hint}")


def kind_of(value: object) -> str:
    """What a value is, as a message can say it."""
    return "None" if value is None else f"a {type(value).__name__}"


def short(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


#: What the axes of an activation can be: N pictures, C channels, H rows, W columns, T tokens.
LAYOUTS = {
    "channels_first": "(N, C, H, W)",
    "channels_last": "(N, H, W, C)",
    "tokens": "(N, T, C)",
    "tokens_last": "(N, C, T)",
    "vector": "(N, C)",
}

#: Modules whose second axis holds the channels, and modules that work along the last axis.
_FIRST = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
)
_LAST = (nn.Linear, nn.LayerNorm, nn.RMSNorm)

#: Parameters that are put as tokens before those of the picture.
_SPECIAL = (
    "class_token",
    "cls_token",
    "class_embedding",
    "dist_token",
    "distillation_token",
    "reg_token",
    "register_tokens",
    "storage_tokens",
)


@dataclass(frozen=True)
class Layout:
    """Which axis of an activation is which.

    Attributes:
        name: a key of :data:`LAYOUTS`.
        special: of tokens, how many at the front stand for no place of the picture (class token, distillation token,
            registers); None where that is not known.
        grid: of tokens, rows and columns of the others; None where that is not known.
    """

    name: str
    special: int | None = None
    grid: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.name not in LAYOUTS:
            known = ", ".join(f"{name!r} {axes}" for name, axes in LAYOUTS.items())
            raise ValueError(f"There is no layout {self.name!r}: choose one of {known}.")

    @property
    def axes(self) -> int:
        """How many axes an activation of this layout has."""
        return LAYOUTS[self.name].count(",") + 1

    @property
    def channel_axis(self) -> int:
        """Which axis holds the channels."""
        return self.axes - 1 if self.name in ("channels_last", "tokens") else 1

    def to_maps(self, activation: Tensor) -> Tensor:
        """An activation as ``(N, C, H, W)``: tokens, special ones too, make a map of one row, a vector one of one place."""
        if activation.ndim != self.axes:
            raise ValueError(f"An activation of shape {tuple(activation.shape)} is not {self.name} {LAYOUTS[self.name]}.")
        maps = activation.movedim(self.channel_axis, 1)
        return maps if self.axes == 4 else maps[:, :, None] if self.axes == 3 else maps[:, :, None, None]

    def from_maps(self, maps: Tensor) -> Tensor:
        """The way back: maps ``(N, C, H, W)`` as the layer would give them."""
        if self.name == "channels_first":
            return maps
        if self.axes < 4:
            maps = maps[:, :, 0] if self.axes == 3 else maps[:, :, 0, 0]
        return maps.movedim(1, self.channel_axis).contiguous()


def layout_of(
    model: nn.Module,
    layer: Wanted,
    activation: Tensor,
    *,
    images: Tensor | None = None,
    layout: Layout | str | None = None,
) -> Layout:
    """Which axis of a layer's activation is which.

    Found from the shape, and where the shape alone does not say it from the numbers of channels of the modules in the layer
    and around it: a network is wide as its weights are.

    Args:
        model: any module.
        layer: the layer, or ``(layer, call)``; ``""`` is the model's own output.
        activation: what the layer gave.
        images: the pictures for which it gave that, ``(N, channel, height, width)``: they say how many rows there must be,
            and the sides of a grid of tokens.
        layout: the answer, where the caller knows it: a :class:`Layout`, or a key of :data:`LAYOUTS`.

    Raises:
        ValueError: it cannot be known, the layer's first axis are not the pictures, or the layout that was passed does not fit.
    """
    name, module = resolve(model, layer[0] if isinstance(layer, tuple) else layer)
    if not isinstance(activation, Tensor):
        raise ValueError(f"The activation of layer {name!r} is a tensor, as capture gives it, not {kind_of(activation)}.")
    shape, shown = tuple(activation.shape), f"Layer {name!r}" if name else "The model's output"
    if layout is None and len(shape) not in (2, 3, 4):
        raise ValueError(
            f"{shown} gives {shape}: choose a layer with (batch, channel, height, width), (batch, token, channel) "
            "or (batch, channel)."
        )
    batch_second = isinstance(module, nn.MultiheadAttention) and not module.batch_first
    if batch_second or (images is not None and shape[:1] != (len(images),)):
        count = "" if images is None else f" for {len(images)} pictures"
        raise ValueError(f"{shown} gives {shape}{count}: its first axis does not count the pictures; choose a layer around it.")
    if layout is not None:
        layout = layout if isinstance(layout, Layout) else Layout(layout)
        if layout.axes != len(shape):
            raise ValueError(f"{shown} gives {shape}, which is not {layout.name} {LAYOUTS[layout.name]}: pass another layout.")
    elif len(shape) == 2:
        return Layout("vector")
    elif len(shape) == 3:
        layout = Layout("tokens_last" if _channels_first(model, name, shape) else "tokens")
    else:
        first = _channels_first(model, name, shape)
        if first is None:
            raise ValueError(
                f"{shown} gives {shape}, and nothing says which axis holds the channels: pass layout='channels_first' for "
                "(N, C, H, W) or layout='channels_last' for (N, H, W, C)."
            )
        return Layout("channels_first" if first else "channels_last")
    if layout.axes == 3 and layout.special is None and layout.grid is None:
        length = shape[3 - layout.channel_axis]
        return dataclasses.replace(layout, **_grid(model, length, None if images is None else images.shape[-2:]))
    return layout


def _channels_first(model: nn.Module, name: str, shape: tuple[int, ...]) -> bool | None:
    """Whether the second axis holds the channels; False: the last; None: it cannot be known."""
    parts = name.split(".") if name else []
    module = model.get_submodule(name)
    if isinstance(module, _FIRST):
        return True
    if type(module) in _LAST or isinstance(module, nn.MultiheadAttention):
        return False
    for depth in range(len(parts), -1, -1):  # the layer itself, then what it is a part of, up to the whole model
        widths = list(_widths(model.get_submodule(".".join(parts[:depth]))))
        along_last = {width for kind, _, width in widths if kind is _LAST}
        first, last = shape[1] in {width for *_, width in widths}, shape[-1] in along_last
        if first != last:
            return first
        if first and depth and depth >= len(parts) - 1:  # both occur: what the last of the layer's own weights give decides
            for kind, out, width in reversed(widths):
                if out and (shape[1] == width) != (shape[-1] == width and kind is _LAST):
                    return shape[1] == width
    # Both axes are as long as some layer is wide: without a module that works along the last axis, it is the second.
    works_along_last = any(isinstance(part, nn.LayerNorm | nn.RMSNorm) for part in model.modules())
    return None if works_along_last else True


def _widths(root: nn.Module) -> Iterator[tuple[tuple, bool, int]]:
    """The numbers of channels of all layers of weights: (along which axis, whether it is that of the output, number)."""
    for module in root.modules():
        if isinstance(module, _FIRST):
            for name in ("in_channels", "out_channels", "num_features", "num_channels"):
                if hasattr(module, name):
                    yield _FIRST, name != "in_channels", getattr(module, name)
        elif isinstance(module, nn.Linear):
            yield _LAST, False, module.in_features
            yield _LAST, True, module.out_features
        elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
            yield _LAST, True, module.normalized_shape[-1]
        elif isinstance(module, nn.MultiheadAttention):
            yield _LAST, True, module.embed_dim


def _grid(model: nn.Module, length: int, size: Sequence[int] | None) -> dict[str, object]:
    """Of so many tokens: how many are special, and the rows and columns of the others. Empty where that is not certain."""
    special = 0
    for path, parameter in model.named_parameters():
        if path.rpartition(".")[2] in _SPECIAL:
            special += parameter.shape[-2] if parameter.ndim > 1 else 1
    ratio = 1 if size is None else size[0] / size[1]
    for count in dict.fromkeys((special, 0)):  # some networks put their special tokens in later, or take them out before
        rows = round(((length - count) * ratio) ** 0.5) if length > count else 0
        if rows and (length - count) % rows == 0 and abs(rows / ((length - count) // rows) - ratio) < 1e-6:
            return {"special": count, "grid": (rows, (length - count) // rows)}
    return {}
