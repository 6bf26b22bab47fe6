"""The course's figures: one look for lessons and widgets.

Figures are made without pyplot's global state and returned as a :class:`Shown`, which a notebook displays as a PNG, with
a sentence for those who cannot see it. Colour maps are perceptually uniform, and colour never carries the meaning alone.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

#: Okabe and Ito's palette, told apart by readers of every colour vision.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#7F7F7F"
#: Positive and negative values around zero, and magnitudes.
DIVERGING, SEQUENTIAL = "coolwarm", "viridis"


class Shown:
    """A finished figure: a picture file of a stated width, and the sentence that says what it shows.

    Attributes:
        content: the file, a PNG, or a JPEG where that was asked for.
        kind: "png" or "jpeg".
        description: the sentence.
        width: in pixels of a page.
    """

    def __init__(self, content: bytes, description: str, width: int, kind: str = "png") -> None:
        self.content, self.description, self.width, self.kind = content, description, width, kind

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        kind = f"image/{self.kind}"
        data = {kind: base64.b64encode(self.content).decode("ascii"), "text/plain": f"[{self.description}]"}
        return data, {kind: {"width": self.width, "alt": self.description}}


def new(
    width: float = 9,
    height: float = 3,
    rows: int = 1,
    columns: int = 1,
    *,
    margins: dict[str, float] | None = None,
    **options: Any,
) -> tuple[Figure, Any]:
    """A figure of ``width`` × ``height`` inches, and its axes (an array unless there is one).

    Args:
        width, height: inches.
        rows, columns: of axes.
        margins: fixed margins for ``Figure.subplots_adjust``. Widgets give them, because finding good ones afresh (the
            default) takes longer than the drawing itself.
        options: for ``Figure.subplots``.
    """
    figure = Figure(figsize=(width, height), layout="constrained" if margins is None else None)
    axes = figure.subplots(rows, columns, **options)
    if margins is not None:
        figure.subplots_adjust(**margins)
    for each in np.ravel(axes):
        each.spines[["top", "right"]].set_visible(False)
        each.title.set_size(10)
    return figure, axes


def png(figure: Figure, dpi: int = 110) -> bytes:
    """PNG bytes of a figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", pil_kwargs={"compress_level": 3})
    return buffer.getvalue()


def shown(figure: Figure, description: str, *, palette: int | None = None, jpeg: bool = False) -> Shown:
    """The figure as a notebook displays it, drawn densely enough for sharp screens.

    palette: draw with so many colours at most (2 to 256), which halves the size of figures full of noisy maps.
    jpeg: for figures full of photographs or of optimised pictures: a JPEG, or a palette of 256 where that is smaller.
    """
    drawn = Shown(png(figure, dpi=140), description, width=round(figure.get_figwidth() * 84))
    if jpeg:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(drawn.content)).convert("RGB").save(buffer, "JPEG", quality=62, optimize=True)
        few = _with_palette(drawn, 256)
        return Shown(buffer.getvalue(), description, drawn.width, "jpeg") if buffer.tell() < len(few.content) else few
    return drawn if palette is None else _with_palette(drawn, palette)


def pixels(image: Tensor) -> np.ndarray:
    """A picture ``(3, height, width)`` or ``(1, …)`` in [0, 1] as matplotlib wants it: ``(height, width, 3)``."""
    image = image.detach().float().cpu().clamp(0, 1)
    return image.expand(3, -1, -1).permute(1, 2, 0).numpy()


def picture(axes: Axes, image: Tensor | np.ndarray, title: str = "", **options: Any) -> Any:
    """Draw a picture ``(3, H, W)``, or a map ``(H, W)`` with a colour map, without ticks. Returns matplotlib's image."""
    if isinstance(image, Tensor):
        image = pixels(image) if image.ndim == 3 else image.detach().float().cpu().numpy()
    options.setdefault("interpolation", "nearest")
    drawn = axes.imshow(image, **options)
    axes.set_title(title, fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return drawn


def signed(axes: Axes, values: Tensor, title: str = "", *, bar: bool = True, numbers: bool = False) -> Any:
    """Draw a map whose sign matters: zero is white, and both directions share one scale."""
    values = values + 0.0  # so that no "-0" is written
    drawn = picture(axes, values, title, cmap=DIVERGING, norm=CenteredNorm(halfrange=max(float(values.abs().max()), 1e-6)))
    if bar:
        axes.figure.colorbar(drawn, ax=axes, shrink=0.75)
    if numbers:
        for (row, column), value in np.ndenumerate(values.detach().cpu().numpy()):
            shade = "white" if abs(value) > 0.7 * float(values.abs().max()) else "black"
            axes.text(column, row, f"{value:.3g}", ha="center", va="center", fontsize=9, color=shade)
    return drawn


def overlay(
    axes: Axes, image: Tensor, values: Tensor, title: str = "", *, opacity: float = 0.6, largest: float | None = None
) -> Any:
    """Lay a map ``(H, W)`` over a picture: from 0 to ``largest`` (its own maximum), the picture in grey below it."""
    picture(axes, image.detach().float().mean(0).cpu().numpy(), title, cmap="gray", vmin=0, vmax=1)
    values = values.detach().float().cpu().numpy()
    largest = max(float(values.max()) if largest is None else largest, 1e-30)
    return axes.imshow(values, cmap=SEQUENTIAL, vmin=0, vmax=largest, alpha=opacity, interpolation="bilinear")


def images(
    pictures: Sequence[Tensor],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 6,
    size: float = 1.5,
    description: str = "",
    palette: int | None = None,
    jpeg: bool = False,
) -> Shown:
    """Several pictures ``(3, H, W)`` or maps ``(H, W)`` in rows; ``palette`` and ``jpeg`` as for :func:`shown`."""
    titles = titles if titles is not None else [""] * len(pictures)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    figure, axes = new(columns * size, rows * (size + (0.25 if any(titles) else 0)), rows, columns, squeeze=False)
    for each in axes.flat:
        each.axis("off")
    for each, image, title in zip(axes.flat, pictures, titles, strict=False):
        # Hard pixels are what a JPEG is bad at.
        picture(each, image, title, interpolation="bicubic" if jpeg else "nearest")
        each.title.set_size(9)
    description = description or ", ".join(title for title in titles if title) or f"{len(pictures)} pictures"
    return shown(figure, description, palette=palette, jpeg=jpeg)


def _with_palette(figure: Shown, colours: int) -> Shown:
    return Shown(fewer_colours(figure.content, colours), figure.description, figure.width)


def fewer_colours(content: bytes, colours: int = 256) -> bytes:
    """A PNG with so many colours at most, a third as large where the picture is a noisy one."""
    buffer = io.BytesIO()
    full = Image.open(io.BytesIO(content)).convert("RGB")
    # An octree, since the default takes away strong colours and maximum coverage takes seconds; no dithering, which
    # would look like noise.
    few = full.quantize(colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(buffer, "PNG", compress_level=9)
    return buffer.getvalue()


def mosaic(maps: Tensor, columns: int | None = None, gap: int = 1) -> np.ndarray:
    """Feature maps ``(channels, height, width)`` side by side in one array, NaN between them.

    Each map keeps its own values; the gap is drawn as background.
    """
    count, height, width = maps.shape
    columns = columns or int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan, dtype=np.float32)
    for number, values in enumerate(maps.detach().float().cpu().numpy()):
        row, column = divmod(number, columns)
        top, left = row * (height + gap), column * (width + gap)
        sheet[top : top + height, left : left + width] = values
    return sheet


def feature_maps(
    axes: Axes, maps: Tensor, title: str = "", *, columns: int | None = None, chosen: Sequence[int] = (), numbered: bool = False
) -> None:
    """All channels of an activation ``(channels, height, width)`` on one scale, the ``chosen`` framed."""
    columns = columns or int(np.ceil(np.sqrt(len(maps))))
    height, width = maps.shape[1:]
    gap = max(1, height // 8)
    picture(axes, mosaic(maps, columns, gap), title, cmap=SEQUENTIAL)
    for channel in range(len(maps)):
        row, column = divmod(channel, columns)
        left, top = column * (width + gap), row * (height + gap)
        if numbered:
            axes.text(left - 0.3, top - 0.3, str(channel), color="white", fontsize=6, ha="left", va="top")
        if channel in chosen:
            box(axes, left, top, width, height)


def box(axes: Axes, left: float, top: float, width: float, height: float, color: str = RED) -> None:
    """Frame a rectangle of a picture, in pixel coordinates."""
    corner = (left - 0.5, top - 0.5)
    axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=color, linewidth=2, clip_on=False))


def bars(
    axes: Axes,
    names: Sequence[str],
    *groups: Sequence[float] | Tensor,
    labels: Sequence[str] = (),
    number: str | Callable[[float], str] = "{:.2f}",
    title: str = "",
    by_sign: bool = False,
    size: float = 8,
) -> None:
    """Horizontal bars with their values, the first name on top; of several groups, those of a name stand together.

    Args:
        axes: to draw on.
        names: one for each row of bars.
        groups: one value for each name; at most three groups, told apart by colour and hatching.
        labels: what the groups are, for a legend.
        number: format of the values, or a function that writes one.
        title: what is measured, with its unit.
        by_sign: colour and hatch by sign instead (of a single group).
        size: of the letters, in points.
    """
    places, height = np.arange(len(names)), 0.72 / len(groups)
    written = number if callable(number) else number.format
    for order, values in enumerate(groups):
        values = np.asarray([float(value) for value in values])
        looks = [((BLUE, ORANGE, GREY)[order], ("", "///", "...")[order])] * len(values)
        if by_sign:
            looks = [(BLUE, "") if value >= 0 else (RED, "////") for value in values]
        drawn = axes.barh(places + order * height, values, height, label=labels[order] if labels else None)
        for bar, (colour, hatch) in zip(drawn, looks, strict=True):
            bar.set(facecolor=colour, hatch=hatch, edgecolor="white")
        axes.bar_label(drawn, [written(value) for value in values], padding=2, fontsize=size)
    axes.set_yticks(places + (len(groups) - 1) * height / 2, names, fontsize=size)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_title(title, fontsize=size + 1)
    if labels:
        axes.legend(fontsize=size, frameon=False, loc="lower right")


def interval(
    axes: Axes,
    places: Sequence[float] | Tensor,
    rows: Sequence,
    *,
    label: str = "",
    color: str = BLUE,
    marker: str = "o",
    band: bool = False,
    **options: Any,
) -> None:
    """Estimates with their intervals: points with bars, or, with ``band``, a line in a band.

    Args:
        axes: to draw on.
        places: on the horizontal axis, one for each row.
        rows: ``[estimate, low, high]`` each, or objects with these attributes
            (:class:`vizcourse.methods.intervals.Interval`).
        label: for a legend.
        color, marker, options: as matplotlib has them.
    """
    rows = [(row.estimate, row.low, row.high) if hasattr(row, "estimate") else row for row in rows]
    middle, low, high = np.asarray(rows, dtype=float).reshape(-1, 3).T
    places = np.asarray(places, dtype=float)
    if band:
        axes.plot(places, middle, marker=marker, color=color, label=label or None, **options)
        axes.fill_between(places, low, high, color=color, alpha=0.15, linewidth=0)
        return
    # An estimate outside its own interval is possible (a bootstrap is not exact); a bar of negative length is not.
    reach = np.maximum([middle - low, high - middle], 0)
    look = {"fmt": marker, "markersize": 4, "linewidth": 1, "capsize": 2} | options
    axes.errorbar(places, middle, reach, color=color, label=label or None, **look)


class ShownTable:
    """A table for a notebook's page, and as lines of text where there is no page."""

    def __init__(self, header: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
        self.title = title
        self.header, self.rows = tuple(header), [tuple(str(cell) for cell in row) for row in rows]
        if any(len(row) != len(self.header) for row in self.rows):
            raise ValueError(f"Each row needs {len(self.header)} cells, one for each of {', '.join(self.header)}.")

    def __str__(self) -> str:
        lines = [self.header, *self.rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.header))]
        text = [
            "  ".join(
                cell.ljust(width) if place == 0 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        return "\n".join([self.title, *text] if self.title else text)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        def row(cells: Sequence[str], tag: str) -> str:
            aligned = ("left", *["right"] * (len(cells) - 1))
            inner = (
                f'<{tag} style="text-align:{side}">{html.escape(cell)}</{tag}>'
                for cell, side in zip(cells, aligned, strict=True)
            )
            return f"<tr>{''.join(inner)}</tr>"

        caption = f"<caption>{html.escape(self.title)}</caption>" if self.title else ""
        body = "".join(row(cells, "td") for cells in self.rows)
        page = f"<table>{caption}<thead>{row(self.header, 'th')}</thead><tbody>{body}</tbody></table>"
        return {"text/plain": str(self), "text/html": page}


def table(header: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> ShownTable:
    """A table to end a cell with: the first column names the rows, the others hold what was formatted for them.

    Raises:
        ValueError: a row has more or fewer cells than the header.
    """
    return ShownTable(header, rows, title)


def probabilities(
    axes: Axes,
    names: Sequence[str],
    before: Tensor,
    after: Tensor | None = None,
    labels: tuple[str, str] = ("before", "after"),
) -> None:
    """Class probabilities as bars with their values; with ``after``, two bars a class, the second one hatched."""
    both = (before,) if after is None else (before, after)
    bars(axes, names, *both, labels=labels if after is not None else ())
    axes.set_xlim(0, 1.18)
    axes.set_xticks([0, 0.5, 1])
    axes.set_xlabel("probability")
