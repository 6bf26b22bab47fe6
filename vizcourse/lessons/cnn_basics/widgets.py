"""Explorers of lesson 01: the kernel lab, the activation cube, and silencing channels."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import torch
from torch import Tensor, nn

from vizcourse import plotting
from vizcourse.hooks import capture, replay
from vizcourse.methods.convolution import gradient_field, output_size
from vizcourse.widgets import Explorer, Notice, choice, column, row, slider, switch, text
from vizcourse.worlds import photos, shapes

#: Kernels worth trying first, by name; each fits into 3 × 3 or 5 × 5.
PRESETS: dict[str, list[list[float]]] = {
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "blur": [[1 / 9] * 3] * 3,
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "every edge": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "emboss": [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
    "spot, 5 × 5": [
        [-1, -1, -1, -1, -1],
        [-1, 1, 2, 1, -1],
        [-1, 2, 4, 2, -1],
        [-1, 1, 2, 1, -1],
        [-1, -1, -1, -1, -1],
    ],
    "slanted line, 5 × 5": [
        [4, -1, -1, -1, -1],
        [-1, 4, -1, -1, -1],
        [-1, -1, 4, -1, -1],
        [-1, -1, -1, 4, -1],
        [-1, -1, -1, -1, 4],
    ],
}
OWN_KERNEL, OWN_PICTURE = "my own", "my upload"
#: How much of red, green and blue the kernel sees.
CHANNELS = {"grey": [0.299, 0.587, 0.114], "red": [1.0, 0, 0], "green": [0, 1.0, 0], "blue": [0, 0, 1.0]}


@functools.cache
def _picture(name: str, size: int = 128) -> Tensor:
    """A picture of the kernel lab, ``(3, size, size)``: shapes, or a photograph from scikit-image."""
    if name == "shapes":
        return shapes.render(shapes.sample(1, seed=4, sizes=(30, 45), number_of_shapes=4), size=size)[0]
    if name == "stripes":
        across = torch.arange(size) * (2 * torch.pi / 16)
        wave = 0.5 + 0.5 * torch.sin(across)
        half = torch.cat([wave.expand(size // 2, size), wave[: size - size // 2, None].expand(-1, size)])
        return half.expand(3, -1, -1)
    return photos.samples(grey=True)[name](size)[0].expand(3, -1, -1)


@dataclass(frozen=True)
class FeatureMap:
    """A picture ``(H, W)``, a kernel, and what the kernel makes of it."""

    picture: Tensor
    kernel: Tensor
    values: Tensor


class KernelLab(Explorer):
    """Edit a 3 × 3 or 5 × 5 kernel and see its feature map at once."""

    title = "Kernel lab: edit the kernel, watch the feature map"
    width = 860

    def make_controls(self) -> dict[str, Any]:
        samples = [name for name in ("cat", "astronaut", "coffee", "brick", "coins") if name in photos.samples(grey=True)]
        cells = {
            f"cell_{r}{c}": ipywidgets.FloatText(
                value=float((r, c) == (2, 2)),
                step=0.5,
                description=f"r{r} c{c}",
                style={"description_width": "0px"},
                layout=ipywidgets.Layout(width="62px", margin="1px"),
            )
            for r in range(5)
            for c in range(5)
        }
        for control in cells.values():
            control.add_class("vizcourse-cell")
        self.upload = ipywidgets.FileUpload(
            accept="image/*", multiple=False, description="Upload a picture", layout=ipywidgets.Layout(width="170px")
        )
        return {
            "picture": choice("Picture", ["shapes", "stripes", *samples, OWN_PICTURE]),
            "upload": self.upload,
            "colour": choice("Input channel", CHANNELS),
            "preset": choice("Kernel", [*PRESETS, OWN_KERNEL]),
            "size": choice("Kernel size", [("3 × 3", 3), ("5 × 5", 5)], buttons=60),
            "stride": slider("Stride", 1, 1, 6),
            "padding": slider("Padding", 0, 0, 4),
            "relu": switch("ReLU (cut off below zero)"),
            **cells,
        }

    def arrange(self) -> ipywidgets.Widget:
        c = self.controls
        self._grid = ipywidgets.GridBox(layout=ipywidgets.Layout(grid_template_columns="repeat(3, 66px)"))
        self._show_cells()
        left = ipywidgets.VBox([c["preset"], c["size"], self._grid], layout=ipywidgets.Layout(margin="0 24px 0 0"))
        return row(left, column(*(c[name] for name in ("picture", "upload", "colour", "stride", "padding", "relu"))))

    def _show_cells(self) -> None:
        size = self.controls["size"].value
        inner = _inner(size)
        self._grid.children = [self.controls[f"cell_{r}{c}"] for r in inner for c in inner]
        self._grid.layout.grid_template_columns = f"repeat({size}, 66px)"

    def settle(self, name: str) -> None:
        if name == "size":
            self._show_cells()
        elif name == "preset" and self.controls["preset"].value != OWN_KERNEL:
            self._fill(PRESETS[self.controls["preset"].value])
        elif name == "upload" and self.controls["upload"].value:
            self.controls["picture"].value = OWN_PICTURE
        elif name.startswith("cell_") and not self._filling:
            self.controls["preset"].value = OWN_KERNEL

    _filling = False

    def _fill(self, kernel: Sequence[Sequence[float]]) -> None:
        """Write a kernel into the cells, as one change."""
        inner = _inner(len(kernel))
        self._filling = True
        try:
            with self._holding():
                self.controls["size"].value = len(kernel)
                for r in range(5):
                    for c in range(5):
                        inside = r in inner and c in inner
                        value = kernel[r - inner.start][c - inner.start] if inside else 0.0
                        self.controls[f"cell_{r}{c}"].value = float(value)
        finally:
            self._filling = False

    def set(self, kernel: Any = None, **values: Any) -> KernelLab:
        """Like ``Explorer.set``, and takes a whole kernel: ``lab.set(kernel=[[-1, 0, 1]] * 3, stride=2)``."""
        if kernel is not None:
            table = torch.as_tensor(kernel, dtype=torch.float32)
            if table.shape not in ((3, 3), (5, 5)) or not table.isfinite().all():
                raise ValueError(f"A kernel is a 3 × 3 or 5 × 5 table of finite numbers, not {tuple(table.shape)}.")
            with self._holding():
                self.controls["preset"].value = OWN_KERNEL
                self._fill(table.tolist())
        return super().set(**values)

    @property
    def kernel(self) -> Tensor:
        """The kernel in the cells, ``(3, 3)`` or ``(5, 5)``."""
        return _kernel(self.state)

    def answer_value(self) -> list[list[float]]:
        return self.kernel.tolist()

    def compute(
        self, picture: str, upload: Any, colour: str, stride: int, padding: int, relu: bool, **kernel_state: Any
    ) -> FeatureMap:
        if picture == OWN_PICTURE:
            if not upload:
                raise Notice("Choose a picture of yours with the upload button first (JPEG, PNG, WebP or GIF).")
            try:
                image = photos.load(upload, size=128)[0]
            except ValueError as error:
                raise Notice(str(error)) from None
        else:
            image = _picture(picture)
        flat, kernel = torch.einsum("chw,c->hw", image, torch.tensor(CHANNELS[colour])), _kernel(kernel_state)
        if not kernel.isfinite().all():
            raise Notice("Every number of the kernel must be finite.")
        values = nn.functional.conv2d(flat[None, None], kernel[None, None], stride=stride, padding=padding)[0, 0]
        return FeatureMap(flat, kernel, values.relu() if relu else values)

    def draw(self, result: FeatureMap, **_: Any) -> bytes:
        figure, axes = plotting.new(
            9.6, 3.5, 1, 3, gridspec_kw={"width_ratios": [1, 0.8, 1.25]},
            margins={"left": 0.01, "right": 0.95, "top": 0.92, "bottom": 0.03, "wspace": 0.06},
        )  # fmt: skip
        height, width = result.picture.shape
        plotting.picture(axes[0], result.picture, f"picture, {height} × {width}", cmap="gray", vmin=0, vmax=1)
        plotting.signed(axes[1], result.kernel, f"kernel (sum {float(result.kernel.sum()):.3g})", bar=False, numbers=True)
        rows, columns = result.values.shape
        plotting.signed(axes[2], result.values, f"feature map, {rows} × {columns}")
        return plotting.png(figure, dpi=90)

    def describe(self, result: FeatureMap, size: int, stride: int, padding: int, **_: Any) -> str:
        rows, columns = result.values.shape
        side = len(result.picture)
        return (
            f"{side} pixels, window {size}, stride {stride}, padding {padding}: "
            f"⌊({side} + 2·{padding} − {size}) / {stride}⌋ + 1 = {output_size(side, size, stride, padding)}, so the feature "
            f"map is {rows} × {columns}. Its values run from {float(result.values.min()):.2f} to "
            f"{float(result.values.max()):.2f}; red is positive, blue negative, white zero."
        )


def _inner(size: int) -> range:
    """Rows (and columns) of the 5 × 5 cells that a kernel of this size fills."""
    return range((5 - size) // 2, (5 + size) // 2)


def _kernel(state: dict[str, Any]) -> Tensor:
    inner = _inner(state["size"])
    return torch.tensor([[float(state[f"cell_{r}{c}"]) for c in inner] for r in inner])


@dataclass(frozen=True)
class Slices:
    """One picture, one layer's activation ``(C, h, w)``, and left, top, width and height of what a position can see."""

    image: Tensor
    activation: Tensor
    field: tuple[int, int, int, int]


class CubeExplorer(Explorer):
    """Slice a layer's activation cube by channel and by position.

    Args:
        model: a classifier whose ``layers`` give ``(N, C, h, w)``.
        images: pictures to choose from, ``(N, 3, H, W)``.
        layers: names of the layers to choose from; by default every ReLU and pooling layer with spatial extent.
    """

    title = "Activation cube: a layer, sliced by channel and by position"
    width = 900

    def __init__(self, model: nn.Module, images: Tensor, layers: Sequence[str] | None = None) -> None:
        self.model, self.images = model, images
        self.layers = list(layers) if layers is not None else _spatial_layers(model, images[:1])
        with torch.no_grad(), capture(model, self.layers) as acts:
            model(images)
        self.activations = {name: acts[name] for name in self.layers}
        self._fields: dict[tuple[str, int, int], tuple[int, int, int, int]] = {}
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        _, channels, rows, columns = self.activations[self.layers[0]].shape
        return {
            "picture": slider("Picture", 0, 0, len(self.images) - 1),
            "layer": choice("Layer", self.layers),
            "channel": slider("Channel", 0, 0, channels - 1),
            "row": slider("Row", rows // 2, 0, rows - 1),
            "column": slider("Column", columns // 2, 0, columns - 1),
        }

    def settle(self, name: str) -> None:
        if name != "layer":
            return
        # The place in the picture stays where it was; only the grid over it becomes coarser or finer.
        _, channels, *grid = self.activations[self.controls["layer"].value].shape
        self.controls["channel"].max = channels - 1
        for name, size in zip(("row", "column"), grid, strict=True):
            control = self.controls[name]
            place = (control.value + 0.5) / (control.max + 1)
            control.max = size - 1
            control.value = min(int(place * size), size - 1)

    def compute(self, picture: int, layer: str, channel: int, row: int, column: int) -> Slices:
        activation = self.activations[layer][picture]
        channels, rows, columns = activation.shape
        if channel >= channels or row >= rows or column >= columns:
            raise Notice(f"{layer} has {channels} channels of {rows} × {columns}.")
        return Slices(self.images[picture], activation, self._field(layer, row, column))

    def _field(self, layer: str, row: int, column: int) -> tuple[int, int, int, int]:
        """Left, top, width and height of the pixels that the position can see, from gradients, remembered."""
        key = (layer, row, column)
        if key not in self._fields:
            # Noise opens far more ReLUs than pictures do, and a shut ReLU hides a pixel from the gradient.
            noise = torch.rand(24, *self.images.shape[1:], generator=torch.Generator().manual_seed(0))
            seen = gradient_field(self.model, noise, layer, (row, column)) > 0
            rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
            self._fields[key] = (
                (int(columns[0]), int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1)
                if len(rows)
                else (0, 0, 0, 0)
            )
        return self._fields[key]

    def draw(self, result: Slices, layer: str, channel: int, row: int, column: int, **_: Any) -> bytes:
        figure, axes = plotting.new(
            10, 3.1, 1, 5, gridspec_kw={"width_ratios": [1, 1.1, 1, 0.14, 1.15]},
            margins={"left": 0.01, "right": 0.99, "top": 0.84, "bottom": 0.15, "wspace": 0.1},
        )  # fmt: skip
        axes[3].axis("off")  # room for the labels of the last axis
        plotting.picture(axes[0], result.image, "picture, and what\nthe position can see")
        if result.field[2]:
            plotting.box(axes[0], *result.field)
        cube = result.activation
        plotting.feature_maps(axes[1], cube, f"layer {layer}:\n{len(cube)} channels", chosen=[channel], numbered=True)
        plotting.picture(axes[2], cube[channel], f"channel {channel}", cmap=plotting.SEQUENTIAL)
        plotting.box(axes[2], column, row, 1, 1)
        colours = [plotting.RED if each == channel else plotting.BLUE for each in range(len(cube))]
        axes[4].bar(range(len(cube)), cube[:, row, column].tolist(), color=colours, width=1.0)
        axes[4].set_title(f"position ({row}, {column}):\nactivation of all channels", fontsize=10)
        axes[4].set_xlabel("channel")
        return plotting.png(figure, dpi=90)

    def describe(self, result: Slices, layer: str, channel: int, row: int, column: int, **_: Any) -> str:
        value = float(result.activation[channel, row, column])
        left, top, width, height = result.field
        sees = (
            f"sees rows {top} to {top + height - 1} and columns {left} to {left + width - 1} of the picture"
            if width
            else "answers to no pixel of these pictures here (its ReLU is shut)"
        )
        channels, rows, columns = result.activation.shape
        return (
            f"Layer {layer} is a cube of {channels} channels × {rows} rows × {columns} columns. The neuron of channel "
            f"{channel} at position ({row}, {column}) has the activation {value:.3f}; the position {sees}."
        )


def _spatial_layers(
    model: nn.Module, image: Tensor, kinds: tuple[type, ...] = (nn.ReLU, nn.MaxPool2d, nn.AvgPool2d)
) -> list[str]:
    """Names of the layers of these kinds whose output has spatial extent."""
    names = [name for name, module in model.named_modules() if isinstance(module, kinds)]
    with torch.no_grad(), capture(model, names) as acts:
        model(image)
    return [name for name in names if name in acts and acts[name].ndim == 4 and acts[name].shape[-1] > 1]


@dataclass(frozen=True)
class Silenced:
    """A picture, its class probabilities before and after, and the maps of the silenced channels."""

    image: Tensor
    label: str | None
    channels: tuple[int, ...]
    activation: Tensor
    before: Tensor
    after: Tensor


class Silencer(Explorer):
    """Set channels of a trained network to zero and watch the class probabilities.

    Args:
        model: a classifier with an attribute ``classes``, or pass ``classes``.
        images: pictures to choose from, ``(N, 3, H, W)``.
        labels: their class indices, ``(N,)``; optional.
        layers: names of layers to choose from; by default every ReLU layer with spatial extent.
        classes: names of the classes.
    """

    title = "Silence a channel: switch it off, watch the answer"
    width = 860

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor | None = None,
        layers: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        self.model, self.images, self.labels = model, images, labels
        self.layers = list(layers) if layers is not None else _spatial_layers(model, images[:1], (nn.ReLU,))
        self.classes = tuple(classes if classes is not None else model.classes)
        # Everything up to the layer is computed once a picture; moving a control runs only what comes after it.
        self._tail = functools.lru_cache(maxsize=64)(lambda layer, picture: replay(model, images[picture : picture + 1], layer))
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        return {
            "picture": slider("Picture", 0, 0, len(self.images) - 1),
            "layer": choice("Layer", self.layers, self.layers[-1]),
            "channels": text("Silent channels", placeholder="for example 3, 7 or 10-20"),
        }

    def compute(self, picture: int, layer: str, channels: str) -> Silenced:
        tail = self._tail(layer, picture)
        silent = _channels(channels, tail.activation.shape[1], layer)
        activation = tail.activation.clone()
        activation[:, list(silent)] = 0
        with torch.no_grad():
            before, after = tail(tail.activation).softmax(1)[0], tail(activation).softmax(1)[0]
        label = None if self.labels is None else self.classes[int(self.labels[picture])]
        return Silenced(self.images[picture], label, silent, tail.activation[0], before, after)

    def draw(self, result: Silenced, layer: str, **_: Any) -> bytes:
        figure, axes = plotting.new(
            9.6, 3.2, 1, 4, gridspec_kw={"width_ratios": [1, 1, 0.14, 1.3]},
            margins={"left": 0.01, "right": 0.99, "top": 0.91, "bottom": 0.15, "wspace": 0.1},
        )  # fmt: skip
        axes[2].axis("off")  # room for the names of the classes
        plotting.picture(axes[0], result.image, f"picture{f': a {result.label}' if result.label else ''}")
        title = f"layer {layer}; framed: silenced"
        plotting.feature_maps(axes[1], result.activation, title, chosen=result.channels, numbered=True)
        plotting.probabilities(axes[3], self.classes, result.before, result.after, ("all channels on", "silenced"))
        return plotting.png(figure, dpi=90)

    def describe(self, result: Silenced, layer: str, **_: Any) -> str:
        before, after = int(result.before.argmax()), int(result.after.argmax())
        what, silent = "Nothing is silenced", ", ".join(map(str, result.channels))
        if silent:
            what = f"With channel{'s' if len(result.channels) > 1 else ''} {silent} of {layer} silenced"
        changed = "the answer is" if before == after else f"the answer turns from {self.classes[before]} to"
        return (
            f"{what}: {changed} {self.classes[after]} ({float(result.after[after]):.2f}; probability of "
            f"{self.classes[before]} before {float(result.before[before]):.2f}, now {float(result.after[before]):.2f})."
        )


def _channels(written: str, count: int, layer: str) -> tuple[int, ...]:
    """Channel numbers from a text such as ``3, 7, 10-20``."""
    chosen: set[int] = set()
    for part in re.split(r"[,;\s]+", written.strip()):
        if not part:
            continue
        match = re.fullmatch(r"(\d+)(?:[-–](\d+))?", part)
        if not match:
            raise Notice(f"{part!r} is no channel: write numbers such as 3, 7 or ranges such as 10-20.")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last or last >= count:
            raise Notice(f"{part}: layer {layer} has channels 0 to {count - 1}.")
        chosen.update(range(first, last + 1))
    return tuple(sorted(chosen))


WIDGETS = (KernelLab, CubeExplorer, Silencer)
