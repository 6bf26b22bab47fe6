"""Explorers of lesson 04: the patch bay, the corruption mixer, and where in the picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import ipywidgets
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from vizcourse import plotting
from vizcourse.methods.activation_patching import (
    PatchingResult,
    Pictures,
    blur,
    embedding_noise,
    greyscale,
    measure,
    record,
    shuffle_patches,
    silhouette,
    sweep,
    window_layers,
)
from vizcourse.widgets import Explorer, Notice, between, choice, column, row, slider

#: Components of a transformer block in the order in which they work, with the words for them.
WORDS = {"attn_out": "attention", "mlp_out": "MLP", "resid": "residual stream"}
OWN_CELLS, OWN_REGION = "my own", "my rectangle"

Cell = tuple[str, int]


def _check_pairs(model: nn.Module, clean: Tensor, corrupted: Tensor, labels: Tensor) -> None:
    if not hasattr(model, "classes"):
        raise ValueError("The model needs an attribute `classes`, the names of its outputs: set model.classes = (...).")
    if clean.shape != corrupted.shape or len(clean) != len(labels) or len(labels) == 0:
        raise ValueError(
            f"Pass pairs, with one label each: clean {tuple(clean.shape)}, corrupted {tuple(corrupted.shape)} and "
            f"{len(labels)} labels do not fit together."
        )


def _panels(*spans: tuple[float, float]) -> tuple[Figure, Any]:
    """A wide figure with axes side by side, each from its (left, width) as shares of the figure."""
    figure, axes = plotting.new(9.6, 2.9, 1, len(spans), margins={})
    for each, (left, width) in zip(axes, spans, strict=True):
        each.set_position((left, 0.17, width, 0.68))
    return figure, axes


def _pair(axes: Axes, left: Tensor, right: Tensor, titles: tuple[str, str]) -> float:
    """Two pictures (3, H, W) side by side in one axes, which draws faster than two. Returns where the second begins."""
    gap = left.shape[-1] // 14
    plotting.picture(axes, torch.cat([left, torch.ones_like(left[..., :gap]), right], dim=2))
    begin = left.shape[-1] + gap
    for start, title in zip((0, begin), titles, strict=True):
        axes.text(start + left.shape[-1] / 2, -3, title, ha="center", va="bottom", fontsize=10)
    return begin


def _label(axes: Axes, title: str, across: str, legend: str) -> None:
    """Title, labels and a legend (where it stands) for probabilities."""
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(across, fontsize=9)
    axes.set_ylabel("probability", fontsize=9, labelpad=1)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=7, frameon=False, loc=legend)


# --- the patch bay ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Patched:
    """The cells that were patched, the index of the right class, and the logits (classes,) of the three runs."""

    cells: tuple[Cell, ...]
    label: int
    clean: Tensor
    corrupted: Tensor
    patched: Tensor

    @property
    def share(self) -> float:
        """Normalised logit difference, right class against the corrupted run's favourite: 0 = corrupted, 1 = clean."""
        rival = int(self.corrupted.scatter(0, torch.tensor(self.label), -torch.inf).argmax())
        clean, corrupted, patched = (
            float(logits[self.label] - logits[rival]) for logits in (self.clean, self.corrupted, self.patched)
        )
        return (patched - corrupted) / (clean - corrupted) if abs(clean - corrupted) > 1e-6 else math.nan

    def shown_classes(self, most: int = 4) -> list[int]:
        """The right class, what each run answers, and what else the patched run finds likely."""
        answers = [int(self.corrupted.argmax()), int(self.patched.argmax())]
        return list(dict.fromkeys([self.label, *answers, *self.patched.topk(most).indices.tolist()]))[:most]


class PatchBay(Explorer):
    """Switch cells (layer × component) from one run into the other, and see the probabilities move.

    Args:
        model: a torchvision `VisionTransformer` with an attribute `classes`.
        clean, corrupted: pairs of pictures to choose from, (N, 3, H, W) each.
        labels: index of the right class of each pair, (N,).
    """

    title = "Patch bay: plug clean activations into the corrupted run"
    width = 860

    def __init__(self, model: nn.Module, clean: Tensor, corrupted: Tensor, labels: Tensor) -> None:
        _check_pairs(model, clean, corrupted, labels)
        self.model, self.clean, self.corrupted, self.labels = model, clean, corrupted, labels
        # Both runs of every pair are made once: a click runs only what comes after the first patched cell.
        self._runs = [
            record(model, one[None], other[None], components=tuple(WORDS)) for one, other in zip(clean, corrupted, strict=True)
        ]
        self.layers = self._runs[0].layers
        self._presets = _presets(self.layers)
        self._filling = False
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        directions = [("denoising: clean into corrupted", "denoising"), ("noising: corrupted into clean", "noising")]
        tokens = [("all", "all"), ("class token only", "class"), ("picture tokens only", "patches")]
        small = {"width": "58px", "margin": "1px", "padding": "0"}
        return {
            "picture": slider("Picture pair", 0, 0, len(self.clean) - 1),
            "direction": choice("Direction", directions),
            "tokens": choice("Tokens", tokens),
            "preset": choice("Cells", [*self._presets, OWN_CELLS]),
        } | {
            f"{component}:{layer}": ipywidgets.ToggleButton(
                description=f"{word[0].upper()}{layer}", tooltip=f"{word} of layer {layer}", layout=small
            )
            for component, word in WORDS.items()
            for layer in range(self.layers)
        }

    def arrange(self) -> ipywidgets.Widget:
        c = self.controls
        children = []
        for component, word in WORDS.items():
            children.append(ipywidgets.HTML(f"{word[0].upper()} · {word}"))
            children += [c[f"{component}:{layer}"] for layer in range(self.layers)]
        columns = f"130px repeat({self.layers}, 60px)"
        grid = ipywidgets.GridBox(children, layout={"grid_template_columns": columns, "overflow": "auto"})
        return column(row(c["picture"], c["preset"], c["direction"], c["tokens"]), grid)

    def settle(self, name: str) -> None:
        if name == "preset" and self.controls["preset"].value != OWN_CELLS:
            self._fill(self._presets[self.controls["preset"].value])
        elif ":" in name:
            # A tick, so that the colour of the button is not the only sign.
            self.controls[name].icon = "check" if self.controls[name].value else ""
            if not self._filling:
                self.controls["preset"].value = OWN_CELLS

    def _fill(self, cells: Iterable[Cell]) -> None:
        """Switch on exactly these cells, as one change."""
        wanted = {f"{component}:{layer}" for component, layer in cells}
        self._filling = True
        try:
            with self._holding():
                for name, control in self.controls.items():
                    if ":" in name:
                        control.value = name in wanted
        finally:
            self._filling = False

    def set(self, cells: Iterable[Cell] | None = None, **values: Any) -> PatchBay:
        """Like ``Explorer.set``, and takes the cells: ``bay.set(picture=2, cells=[("attn_out", 3), ("mlp_out", 4)])``."""
        if cells is not None:
            cells = [tuple(cell) for cell in cells]
            for cell in cells:
                if len(cell) != 2 or f"{cell[0]}:{cell[1]}" not in self.controls:
                    raise ValueError(
                        f"There is no cell {cell!r}: a cell is (component, layer), the components are "
                        f"{', '.join(WORDS)}, the layers 0 to {self.layers - 1}."
                    )
            with self._holding():
                self.controls["preset"].value = OWN_CELLS
                self._fill(cells)
        return super().set(**values)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells that are switched on, in the order of the network."""
        return self._cells(self.state)

    def _cells(self, state: Mapping[str, Any]) -> tuple[Cell, ...]:
        places = ((component, layer) for layer in range(self.layers) for component in WORDS)
        return tuple((component, layer) for component, layer in places if state[f"{component}:{layer}"])

    def answer_value(self) -> dict[str, Any]:
        state = self.state
        pair = {"clean": self.clean[state["picture"]], "corrupted": self.corrupted[state["picture"]]}
        return {"cells": list(self.cells), "tokens": state["tokens"], "direction": state["direction"], **pair}

    def compute(self, picture: int, tokens: str, direction: str, **state: Any) -> Patched:
        runs, cells = self._runs[picture], self._cells(state)
        patched = runs.patch(cells, tokens=tokens, direction=direction)
        return Patched(cells, int(self.labels[picture]), runs.clean[0], runs.corrupted[0], patched[0])

    def draw(self, result: Patched, picture: int, **_: Any) -> bytes:
        figure, axes = _panels((0.01, 0.43), (0.475, 0.1), (0.70, 0.29))
        names, shown = self.model.classes, result.shown_classes()
        titles = (f"clean: {names[result.label]}", f"corrupted: taken for\n{names[int(result.corrupted.argmax())]}")
        _pair(axes[0], self.clean[picture], self.corrupted[picture], titles)
        _draw_cells(axes[1], result.cells, self.layers)
        runs = [logits.softmax(0)[shown] for logits in (result.clean, result.patched, result.corrupted)]
        plotting.bars(axes[2], [names[number] for number in shown], *runs, labels=("clean", "patched", "corrupted"))
        axes[2].set_xlim(0, 1.18)
        axes[2].set_xticks([0, 0.5, 1])
        axes[2].set_xlabel("probability", fontsize=9)
        return plotting.png(figure, dpi=90)

    def describe(self, result: Patched, tokens: str, direction: str, **_: Any) -> str:
        names, label = self.model.classes, result.label
        runs = (result.clean, result.corrupted, result.patched)
        clean, corrupted, patched = (float(logits.softmax(0)[label]) for logits in runs)
        into = "corrupted" if direction == "denoising" else "clean"
        count = f"{len(result.cells)} cell{'s' if len(result.cells) != 1 else ''}"
        where = {"all": "all tokens", "class": "class token only", "patches": "picture tokens only"}[tokens]
        what = (
            f"{_in_words(result.cells)} patched into the {into} run ({count}, {where})"
            if result.cells
            else f"No cell is on, so nothing is patched: this is the {into} run"
        )
        return (
            f"{what}. Answer: {names[int(result.patched.argmax())]}. Probability of {names[label]}: clean {clean:.2f}, "
            f"corrupted {corrupted:.2f}, patched {patched:.2f}; normalised logit difference {result.share:.2f}."
        )


def _presets(layers: int) -> dict[str, list[Cell]]:
    """Sets of cells worth trying first, by name."""
    third, middle = layers // 3, layers // 2
    parts = ("attn_out", "mlp_out")
    return {
        "none": [],
        "all attention": [("attn_out", layer) for layer in range(layers)],
        "all MLPs": [("mlp_out", layer) for layer in range(layers)],
        f"layers 0 to {third - 1}": [(part, layer) for layer in range(third) for part in parts],
        f"layers {layers - third} to {layers - 1}": [
            (part, layer) for layer in range(layers - third, layers) for part in parts
        ],
        f"three attentions around {middle}": [("attn_out", layer) for layer in window_layers(middle, 3, layers)],
        f"residual stream after {middle}": [("resid", middle)],
    }


def _in_words(cells: Iterable[Cell]) -> str:
    """ "attention 0, 3; MLP 1": the cells by component."""
    by_component: dict[str, list[str]] = {}
    for component, layer in cells:
        by_component.setdefault(WORDS[component], []).append(str(layer))
    text = "; ".join(f"{word} {', '.join(layers)}" for word, layers in by_component.items())
    return text[:1].upper() + text[1:]


def _draw_cells(axes: Axes, cells: Iterable[Cell], layers: int) -> None:
    """The network from bottom to top, with a cross where a cell is patched."""
    grid, columns = np.zeros((layers, len(WORDS))), list(WORDS)
    for component, layer in cells:
        grid[layer, columns.index(component)] = 1
        axes.text(columns.index(component), layer, "×", ha="center", va="center", fontsize=8, color="white")
    axes.imshow(grid, cmap="Blues", vmin=0, vmax=1.3, origin="lower", aspect="auto")
    axes.set_xticks(range(len(columns)), [WORDS[name][0].upper() for name in columns], fontsize=8)
    axes.set_yticks(range(0, layers, max(1, layers // 4)))
    axes.set_ylabel("layer", fontsize=8, labelpad=1)
    axes.tick_params(labelsize=8)
    axes.set_title("patched", fontsize=10)
    axes.hlines(np.arange(layers - 1) + 0.5, -0.5, len(columns) - 0.5, color="#BBBBBB", lw=0.5)
    axes.vlines(np.arange(len(columns) - 1) + 0.5, -0.5, layers - 0.5, color="#BBBBBB", lw=0.5)


# --- the corruption mixer --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Corruption:
    """A way to corrupt: what its strengths mean, and what makes the corrupted run of some pictures."""

    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[float], Pictures]


@dataclass(frozen=True)
class Mixture:
    """The sweep of one corruption at one level, beside the totals of all its levels.

    Where the corruption is inside the network, the corrupted picture is the clean one.
    """

    corrupted_picture: Tensor
    inside: bool
    result: PatchingResult
    totals: tuple[float, ...]
    best: tuple[float, ...]


class CorruptionMixer(Explorer):
    """Choose how, and how strongly, the pictures are corrupted: what is lost, and what each window of layers gives back.

    Every kind and strength is swept once, when the widget is made (a few seconds for eight pictures); moving a control
    only looks the result up.

    Args:
        model: a torchvision `VisionTransformer` with an attribute `classes`.
        images: clean pictures (N, 3, H, W).
        labels: their classes, (N,).
        masks: (N, H, W), true on the object; without them there is no silhouette.
        partners: (N, 3, H, W), counterfactual pictures (the same scenes with another colour, say); optional.
        component, window: what is patched, as in ``sweep``.
    """

    title = "Corruption mixer: how to break a picture, and what repairs it"
    width = 860

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        masks: Tensor | None = None,
        partners: Tensor | None = None,
        component: str = "attn_out",
        window: int = 3,
    ) -> None:
        _check_pairs(model, images, images if partners is None else partners, labels)
        self.model, self.images, self.labels = model, images, labels
        self.component, self.window = component, window
        self.corruptions = _corruptions(model, images, masks, partners)
        self._made = {
            (kind, level): corruption.apply(strength) if level else images
            for kind, corruption in self.corruptions.items()
            for level, strength in enumerate((0.0, *corruption.strengths))
        }
        options = {"component": component, "window": window, "progress": False}
        self.results = {
            key: sweep(model, images, corrupted, labels, **options) for key, corrupted in self._made.items() if key[1]
        }
        swept = next(iter(self.results.values()))
        untouched = replace(swept, effects=torch.zeros_like(swept.effects), corrupted=swept.clean)
        self.results |= {(kind, 0): untouched for kind in self.corruptions}
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        most = max(len(corruption.strengths) for corruption in self.corruptions.values())
        return {
            "kind": choice("Corruption", self.corruptions),
            "strength": slider("Strength", most, 0, most),
            "picture": slider("Picture", 0, 0, len(self.images) - 1),
        }

    def compute(self, kind: str, strength: int, picture: int) -> Mixture:
        corrupted = self._made[kind, strength]
        inside = not isinstance(corrupted, Tensor)
        results = [self.results[kind, level] for level in range(len(self.corruptions[kind].strengths) + 1)]
        return Mixture(
            (corrupted.images if inside else corrupted)[picture],
            inside,
            results[strength],
            tuple(float(one.total.mean()) for one in results),
            tuple(float(one.mean.max()) for one in results),
        )

    def draw(self, result: Mixture, strength: int, picture: int, **_: Any) -> bytes:
        figure, axes = _panels((0.01, 0.40), (0.46, 0.31), (0.815, 0.175))
        title = "corrupted inside\n(the picture is not)" if result.inside else "corrupted"
        titles = (f"clean: {self.model.classes[int(self.labels[picture])]}", title)
        _pair(axes[0], self.images[picture], result.corrupted_picture, titles)
        found, (low, high) = result.result, result.result.interval
        layers = np.arange(len(found.layers))
        axes[1].bar(layers, found.mean.numpy(), 0.8, color=plotting.BLUE, label=f"restored, mean of {len(self.images)}")
        rows = torch.stack([found.mean, low, high], dim=1).tolist()
        plotting.interval(axes[1], layers, rows, color="black", marker="none", capsize=0)
        axes[1].plot(layers, found.effects[picture].numpy(), "D", color=plotting.ORANGE, ms=4, label="this picture")
        axes[1].axhline(float(found.total.mean()), color=plotting.RED, ls="--", lw=1.2, label="total effect")
        axes[1].set_ylim(min(-0.1, float(low.min()) - 0.05), 1.08)
        axes[1].set_xticks(layers[::2])
        across = f"centre of the window of {self.window} ({WORDS.get(self.component, self.component)})"
        _label(axes[1], "given back, layer by layer", across, "upper right")
        levels = range(len(result.totals))
        axes[2].plot(levels, result.totals, "s--", color=plotting.RED, ms=4, label="total")
        axes[2].plot(levels, result.best, "o-", color=plotting.BLUE, ms=4, label="best window")
        axes[2].axvline(strength, color=plotting.GREY, lw=6, alpha=0.3)
        axes[2].set_ylim(-0.1, 1.08)
        axes[2].set_xticks(list(levels))
        _label(axes[2], "lost and given back", "strength", "upper left")
        return plotting.png(figure, dpi=90)

    def describe(self, result: Mixture, kind: str, strength: int, picture: int) -> str:
        if not strength:
            return "Strength 0: nothing is corrupted, so nothing is lost and nothing can be given back."
        found, corruption = result.result, self.corruptions[kind]
        best = int(found.mean.argmax())
        low, high = found.interval[:, best].tolist()
        return (
            f"{kind[:1].upper()}{kind[1:]}, {corruption.strengths[strength - 1]:g} {corruption.unit}: the probability of the "
            f"right class falls by {float(found.total.mean()):.2f} on average. The window around layer {best} gives back most: "
            f"{float(found.mean[best]):.2f} (95 % interval {low:.2f} to {high:.2f}); on this picture "
            f"{float(found.effects[picture, best]):.2f} of {float(found.total[picture]):.2f}."
        )


def _corruptions(model: nn.Module, images: Tensor, masks: Tensor | None, partners: Tensor | None) -> dict[str, Corruption]:
    """The kinds of corruption by name, the weakest strength of each first."""

    def towards(goal: Tensor) -> Callable[[float], Tensor]:
        return lambda percent: images + (goal - images) * (percent / 100)

    percent = (25, 50, 75, 100)
    kinds = {"greyscale": Corruption("% of the colour removed", percent, towards(greyscale(images)))}
    if partners is not None:
        kinds["counterfactual partner"] = Corruption("% of the way to the partner", percent, towards(partners))
    kinds["noise on the embeddings"] = Corruption(
        "standard deviations", (1, 2, 3, 5), lambda strength: embedding_noise(model, images, strength)
    )
    side = images.shape[-1]
    kinds["blur"] = Corruption(
        "% of the width (standard deviation)", (1, 2, 3, 4), lambda strength: blur(images, strength * side / 100)
    )
    if masks is not None:
        kinds["silhouette"] = Corruption("% of the way to one colour inside", percent, towards(silhouette(images, masks)))
    parts = [number for number in (2, 3, 4, 6, 8) if side % number == 0][:4]
    kinds["shuffled squares"] = Corruption(
        "squares to a side", tuple(parts), lambda number: shuffle_patches(images, side // int(number))
    )
    return kinds


# --- where in the picture --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A region of the token grid (rows, columns), and what patching it gives back of the total, layer by layer."""

    region: Tensor
    total: float
    inside: Tensor
    outside: Tensor
    class_token: Tensor


class WhereInThePicture(Explorer):
    """Patch only the tokens of a region, layer by layer, beside all other tokens and the class token.

    Args:
        model: a torchvision `VisionTransformer` with an attribute `classes`.
        clean, corrupted: pairs of pictures to choose from, (N, 3, H, W) each.
        labels: index of the right class of each pair, (N,).
        masks: (N, H, W), true on the object; without them the region is a rectangle.
    """

    title = "Where in the picture: patch only some places, layer by layer"
    width = 860

    def __init__(self, model: nn.Module, clean: Tensor, corrupted: Tensor, labels: Tensor, masks: Tensor | None = None) -> None:
        _check_pairs(model, clean, corrupted, labels)
        self.model, self.clean, self.corrupted, self.labels = model, clean, corrupted, labels
        self.side = math.isqrt(model.seq_length - 1)
        self.objects = None
        if masks is not None:
            # The tokens that the object touches, as in the lesson's study of the same question.
            self.objects = nn.functional.adaptive_max_pool2d(masks.float(), self.side).bool()
        # Two copies of each pair: one forward pass then measures a region and the rest of the picture together.
        self._runs = [
            record(model, clean[[number] * 2], corrupted[[number] * 2], components=tuple(WORDS)) for number in range(len(clean))
        ]
        self.layers = self._runs[0].layers
        self._class_token = {
            (component, window): sweep(
                model, clean, corrupted, labels, component=component, window=window, tokens="class", progress=False
            ).effects
            for component in WORDS
            for window in (1, 3)
        }
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        regions = [OWN_REGION] if self.objects is None else ["the object", "all but the object", OWN_REGION]
        last = self.side - 1
        middle = (last // 3, last - last // 3)
        return {
            "picture": slider("Picture pair", 0, 0, len(self.clean) - 1),
            "component": choice("Patch", [(word, name) for name, word in WORDS.items()], "resid"),
            "window": choice("Window", [1, 3]),
            "region": choice("Region", regions),
            "rows": between("Rows", middle, 0, last),
            "columns": between("Columns", middle, 0, last),
        }

    def settle(self, name: str) -> None:
        if name in ("rows", "columns"):
            self.controls["region"].value = OWN_REGION

    def _region(self, picture: int, region: str, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        """The chosen tokens, (rows, columns), true or false."""
        if region != OWN_REGION:
            return self.objects[picture] if region == "the object" else ~self.objects[picture]
        chosen = torch.zeros(self.side, self.side, dtype=torch.bool)
        chosen[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1] = True
        return chosen

    def compute(self, picture: int, component: str, window: int, **state: Any) -> Place:
        chosen = self._region(picture, **state)
        if not chosen.any():
            raise Notice("This region holds no token: choose another, or draw a rectangle with rows and columns.")
        runs, both = self._runs[picture], torch.stack([chosen, ~chosen])
        labels = self.labels[[picture] * 2]
        windows = [[(component, each) for each in window_layers(layer, window, self.layers)] for layer in range(self.layers)]
        patched = torch.stack([measure(runs.patch(cells, tokens=both), labels) for cells in windows], dim=1)
        clean, corrupted = (measure(logits, labels) for logits in (runs.clean, runs.corrupted))
        inside, outside = patched - corrupted[:, None]
        return Place(chosen, float((clean - corrupted)[0]), inside, outside, self._class_token[component, window][picture])

    def draw(self, result: Place, picture: int, component: str, window: int, **_: Any) -> bytes:
        figure, axes = _panels((0.01, 0.43), (0.49, 0.50))
        titles = (f"clean: {self.model.classes[int(self.labels[picture])]}", "corrupted\n(framed: patched)")
        begin = _pair(axes[0], self.clean[picture], self.corrupted[picture], titles)
        _outline(axes[0], result.region, self.clean.shape[-1] / self.side, begin)
        layers = np.arange(self.layers)
        lines = (
            (f"the region, {int(result.region.sum())} tokens", result.inside, "o-", plotting.BLUE),
            (f"all other places, {int((~result.region).sum())} tokens", result.outside, "s--", plotting.ORANGE),
            ("the class token alone", result.class_token, "^:", plotting.GREEN),
        )
        for label, values, style, colour in lines:
            axes[1].plot(layers, values.numpy(), style, color=colour, ms=4, lw=1.4, label=label)
        axes[1].axhline(result.total, color=plotting.RED, lw=1, ls="-.", label="total effect")
        axes[1].axhline(0, color="black", lw=0.6)
        axes[1].set_ylim(min(-0.1, *(float(values.min()) - 0.05 for _, values, _, _ in lines)), 1.08)
        axes[1].set_xticks(layers[::2])
        centre = "layer" if window == 1 else f"centre of the window of {window}"
        _label(axes[1], "given back, layer by layer", f"{centre} ({WORDS[component]})", "center right")
        return plotting.png(figure, dpi=90)

    def describe(self, result: Place, component: str, window: int, **_: Any) -> str:
        best, other, token = (int(each.argmax()) for each in (result.inside, result.outside, result.class_token))
        return (
            f"{WORDS[component].capitalize()}, window {window}. Patching the region's "
            f"{int(result.region.sum())} of {self.side**2} tokens gives back at most {float(result.inside[best]):.2f} of "
            f"{result.total:.2f} (at layer {best}); all other places {float(result.outside[other]):.2f} (layer {other}); the "
            f"class token alone {float(result.class_token[token]):.2f} (layer {token})."
        )


def _outline(axes: Axes, region: Tensor, square: float, left: float) -> None:
    """Draw the border of a region of square tokens, white on black, so that it shows on any picture."""
    padded = nn.functional.pad(region.float(), [1, 1, 1, 1]).bool()
    segments = []
    for down, across in (padded[1:, 1:-1] != padded[:-1, 1:-1]).nonzero().tolist():
        segments.append(([left + across * square - 0.5, left + (across + 1) * square - 0.5], [down * square - 0.5] * 2))
    for down, across in (padded[1:-1, 1:] != padded[1:-1, :-1]).nonzero().tolist():
        segments.append(([left + across * square - 0.5] * 2, [down * square - 0.5, (down + 1) * square - 0.5]))
    # One broken line for all: much quicker than a line each.
    x = [value for xs, _ in segments for value in (*xs, np.nan)]
    y = [value for _, ys in segments for value in (*ys, np.nan)]
    axes.plot(x, y, color="black", lw=3, clip_on=False)
    axes.plot(x, y, color="white", lw=1.4, clip_on=False)


WIDGETS = (PatchBay, CorruptionMixer, WhereInThePicture)
