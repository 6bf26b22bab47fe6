"""Explorers of lesson 03: class and layer, the cascade, paint and see, and whose map it is."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import matplotlib
import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from vizcourse import plotting
from vizcourse.hooks import capture
from vizcourse.methods import attribution, sanity_checks
from vizcourse.models import load
from vizcourse.widgets import Explorer, Notice, choice, column, row, slider
from vizcourse.worlds import scenes


def _heat(values: Tensor, largest: float | None = None, *, signed: bool = False) -> np.ndarray:
    """A map ``(H, W)`` in colours ``(H, W, 3)``: magnitudes from 0 up, or signed values around a pale zero."""
    largest = max(float(values.abs().max()) if largest is None else largest, 1e-9)
    shares = (0.5 + 0.5 * values / largest if signed else values / largest).clamp(0, 1)
    return matplotlib.colormaps[plotting.DIVERGING if signed else plotting.SEQUENTIAL](shares.cpu().numpy())[..., :3]


def _overlay(image: Tensor, heat: np.ndarray, opacity: float) -> np.ndarray:
    return (1 - opacity) * plotting.pixels(image) + opacity * heat


def _sharp(attributions: Tensor) -> Tensor:
    """Attributions as maps ``(N, H, W)`` to look at: magnitudes over their 99th percentile, so no single pixel rules."""
    maps = attribution.magnitude(attributions)
    top = maps.flatten(1).quantile(0.99, dim=1).clamp_min(1e-12)
    return (maps / top[:, None, None]).clamp(0, 1)


def _logits(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images)


def _spatial_blocks(model: nn.Module, image: Tensor) -> list[str]:
    """The network's blocks that have more than one place, from the input to the output."""
    names = sanity_checks.blocks(model)[::-1]
    with torch.no_grad(), capture(model, names) as acts:
        model(image)
    return [name for name in names if name in acts and acts[name].ndim == 4 and acts[name].shape[-1] > 1]


def _picture(images: Tensor) -> ipywidgets.IntSlider:
    return slider("Picture", 0, 0, len(images) - 1)


def _class(description: str, none: str, classes: Sequence[str]) -> ipywidgets.Dropdown:
    """One of the classes by name, its number as the value; or ``none`` of them, -1."""
    return choice(description, [(none, -1), *((name, index) for index, name in enumerate(classes))])


def _bars(axes: Any, names: Sequence[str], *values: Tensor, labels: Sequence[str] = ()) -> None:
    """Logits of a few classes, which may be negative; two sets of them have their labels below."""
    plotting.bars(axes, names, *values, labels=labels, number="{:.1f}", title="logit")
    low, high = min(0.0, *(float(one.min()) for one in values)), max(0.0, *(float(one.max()) for one in values))
    room = 0.3 * max(high - low, 1e-6)
    axes.set_xlim(low - (room if low < 0 else 0), high + room)
    axes.axvline(0, color=plotting.GREY, linewidth=0.8)
    axes.tick_params(axis="x", labelsize=8)
    if labels:
        axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.45, -0.11), ncols=2)


# --- class and layer -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evidence:
    """Grad-CAM of one picture: the signed map ``(h, w)`` of a class, and the logits of all classes."""

    logits: Tensor
    target: int
    rival: int | None
    values: Tensor
    shares: Mapping[str, float]  # of what is shown, on each of the objects


class ClassAndLayer(Explorer):
    """Grad-CAM of any picture for any class (rather than another) at any layer, laid over the picture.

    Args:
        model: a classifier with an attribute ``classes``, or pass ``classes``.
        images: pictures to choose from, ``(N, 3, H, W)``.
        layers: names to choose from; by default the network's blocks that have more than one place.
        layer: the one to begin with; by default the last.
        classes: names of the classes.
        objects: name -> where the object is in each picture, ``(N, H, W)``; the text then says what share of the map is on it.
    """

    title = "Class and layer: where is the evidence?"
    width = 860

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        layers: Sequence[str] | None = None,
        layer: str | None = None,
        classes: Sequence[str] | None = None,
        objects: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.model, self.images, self.objects = model, images, dict(objects or {})
        self.layers = list(layers) if layers is not None else _spatial_blocks(model, images[:1])
        self.layer = layer or self.layers[-1]
        self.classes = tuple(classes if classes is not None else model.classes)
        self.logits = _logits(model, images)
        # The other controls (opacity, evidence) then only draw.
        self._map = functools.lru_cache(maxsize=512)(self._grad_cam)
        super().__init__()

    def _grad_cam(self, picture: int, target: int, rival: int | None, layer: str) -> Tensor:
        asked = target if rival is None else attribution.rather_than(target, rival)
        return attribution.grad_cam(self.model, self.images[picture : picture + 1], asked, layer, relu=False)[0]

    def make_controls(self) -> dict[str, Any]:
        return {
            "picture": _picture(self.images),
            "target": _class("Class", "the network's answer", self.classes),
            "rival": _class("rather than", "(no other)", self.classes),
            "layer": choice("Layer", self.layers, self.layer),
            "evidence": choice("Evidence", ["for", "against", "both"]),
            "opacity": slider("Opacity", 0.55, 0, 1, 0.05),
        }

    def compute(self, picture: int, target: int, rival: int, layer: str, evidence: str, opacity: float) -> Evidence:
        logits = self.logits[picture]
        target = int(logits.argmax()) if target < 0 else target
        rival = None if rival in (-1, target) else rival
        try:
            values = self._map(picture, target, rival, layer)
        except ValueError as error:  # a layer without places, say: advice for whoever chose the layers
            raise Notice(str(error)) from None
        shown = attribution.upsample((-values if evidence == "against" else values).relu()[None], self.images[picture])[0]
        total = float(shown.sum())
        shares = {name: float(shown[masks[picture]].sum()) / total for name, masks in self.objects.items()} if total else {}
        return Evidence(logits, target, rival, values, shares)

    def draw(self, result: Evidence, picture: int, evidence: str, opacity: float, **_: Any) -> bytes:
        ratios, margins = [1, 1, 1, 0.5, 0.8], {"left": 0.01, "right": 0.97, "top": 0.86, "bottom": 0.1, "wspace": 0.08}
        figure, axes = plotting.new(9.6, 3.0, 1, 5, gridspec_kw={"width_ratios": ratios}, margins=margins)
        signed, image = evidence == "both", self.images[picture]
        values = result.values if signed else (result.values if evidence == "for" else -result.values).relu()
        largest, (rows, columns) = float(values.abs().max()), values.shape
        pixels = _heat(attribution.upsample(values[None], image)[0], largest, signed=signed)
        plotting.picture(axes[0], image, "picture")
        plotting.picture(axes[1], _overlay(image, pixels, opacity), self._heading(result, evidence))
        title = f"the map itself, {rows} × {columns}\nlargest value {largest:.3g}"
        plotting.picture(axes[2], _heat(values, signed=signed), title)
        axes[3].axis("off")  # room for the names of the classes
        chosen = result.logits.topk(min(5, len(self.classes))).indices.tolist()
        wanted = [index for index in (result.target, result.rival) if index is not None and index not in chosen]
        chosen = [*chosen[: len(chosen) - len(wanted)], *wanted]
        names = [f"▸ {self.classes[index]}" if index == result.target else self.classes[index] for index in chosen]
        _bars(axes[4], names, result.logits[chosen])
        return plotting.png(figure, dpi=90)

    def _heading(self, result: Evidence, evidence: str) -> str:
        name = f"“{self.classes[result.target]}”"
        if result.rival is None:
            return f"for (red), against (blue)\n{name}" if evidence == "both" else f"speaks {evidence} {name}"
        rival = f"“{self.classes[result.rival]}”"
        return f"{name} (red) rather\nthan {rival} (blue)" if evidence == "both" else f"{evidence} {name}\nrather than {rival}"

    def describe(self, result: Evidence, layer: str, evidence: str, **_: Any) -> str:
        name, logits = self.classes[result.target], result.logits
        rank = int((logits > logits[result.target]).sum()) + 1
        rows, columns = result.values.shape
        start = (
            f"“{name}” has the logit {float(logits[result.target]):.1f}, rank {rank} of {len(logits)} "
            f"(probability {float(logits.softmax(0)[result.target]):.3f}). "
        )
        values = -result.values if evidence == "against" else result.values
        if float(values.max()) <= 0 and evidence != "both":
            return f"{start}At layer {layer} no place speaks {evidence} it: the map is empty."
        place = int(values.argmax())
        share = float((values > 0).float().mean())
        side = "for" if evidence == "both" else evidence
        it = "it" if result.rival is None else f"it rather than “{self.classes[result.rival]}”"
        on_objects = ", ".join(f"{part:.0%} on {name}" for name, part in result.shares.items())
        return (
            f"{start}At layer {layer} ({rows} × {columns} places), {share:.0%} of the places speak {side} {it}, "
            f"most of all row {place // columns}, column {place % columns}."
            + (f" Of what speaks {side} {it}, {on_objects}." if on_objects else "")
        )


# --- cascade ---------------------------------------------------------------------------------------------------------

#: What the cascade shows, cheaper than the methods' defaults: a widget needs maps to look at, not to publish.
CASCADE_METHODS: dict[str, sanity_checks.Method] = {
    "gradient": attribution.METHODS["gradient"],
    "SmoothGrad": lambda model, images, target, layer: attribution.smooth_grad(model, images, target, samples=8),
    "integrated gradients": lambda model, images, target, layer: (
        attribution.integrated_gradients(model, images, target, steps=8).attribution
    ),
    "guided backprop": attribution.METHODS["guided backprop"],
    "Grad-CAM": attribution.METHODS["Grad-CAM"],
    "guided Grad-CAM": attribution.METHODS["guided Grad-CAM"],
    "edge detector": lambda model, images, target, layer: sanity_checks.edge_detector(images),
}
#: One colour a method, in the lab and in the lesson's figures. Okabe and Ito's, as in plotting, two more of theirs, a brown.
METHOD_COLOURS = {
    "gradient": plotting.BLUE,
    "SmoothGrad": "#56B4E9",
    "integrated gradients": "#CC79A7",
    "guided backprop": plotting.RED,
    "Grad-CAM": plotting.GREEN,
    "guided Grad-CAM": plotting.ORANGE,
    "LRP": "#7F4F24",
    "edge detector": plotting.GREY,
}
_METRIC_NAMES = {
    "rank correlation, without sign": "spearman",
    "rank correlation, with sign": "spearman signed",
    "SSIM": "ssim",
    "HOG": "hog",
}


@dataclass(frozen=True)
class Step:
    """One picture after some blocks have been randomized: how like each method's maps are, and the answer's probability."""

    similarity: dict[str, Tensor]  # method -> (steps + 1,)
    answer: float


class CascadeExplorer(Explorer):
    """Maps of all methods while the network forgets, block by block, from the output down.

    Everything is computed when it is made; the controls only choose.

    Args:
        model: a small classifier in eval mode.
        images: a few pictures, ``(N, 3, H, W)``.
        layer: for the Grad-CAM methods.
        target: what is explained; by default the trained network's answers.
        methods: name -> method, as in ``attribution.METHODS``.
        seed: of the random weights.
    """

    title = "Cascade: what is left of the maps when the network forgets?"
    width = 900

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        layer: str,
        target: attribution.Target = None,
        methods: Mapping[str, sanity_checks.Method] = CASCADE_METHODS,
        seed: int = 0,
    ) -> None:
        self.images = images
        self.cascade = sanity_checks.cascade(model, images, target, layer, methods=methods, seed=seed)
        self.similarity = {
            metric: {method: self.cascade.similarity(method, metric) for method in methods} for metric in _METRIC_NAMES.values()
        }
        # Finished colours, (steps + 1, methods, N, H, W, 3) as bytes: drawing then only lays them side by side.
        self._colours = [
            [
                (np.stack([_heat(each, 1.0) for each in _sharp(self.cascade.maps[method][step])]) * 255).astype(np.uint8)
                for method in methods
            ]
            for step in range(len(self.cascade.blocks) + 1)
        ]
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        return {
            "picture": _picture(self.images),
            "randomized": slider("Random blocks", 0, 0, len(self.cascade.blocks), width=420),
            "metric": choice("Similarity", _METRIC_NAMES),
        }

    def compute(self, picture: int, randomized: int, metric: str) -> Step:
        table, answers = self.similarity[_METRIC_NAMES[metric]], self.cascade.answers
        similarity = {method: values[:, picture] for method, values in table.items()}
        return Step(similarity, float(answers[randomized, picture]) if len(answers) else float("nan"))

    def draw(self, result: Step, picture: int, randomized: int, metric: str) -> bytes:
        margins = {"left": 0.005, "right": 0.99, "top": 0.92, "bottom": 0.24, "wspace": 0.13}
        figure, (left, right) = plotting.new(10, 3.9, 1, 2, gridspec_kw={"width_ratios": [2.1, 1]}, margins=margins)
        (height, width), gap = self.images.shape[2:], 3
        shown = (plotting.pixels(self.images[picture]) * 255).astype(np.uint8)
        pairs = [(shown, np.full_like(shown, 255))]
        trained, now = self._colours[0], self._colours[randomized]
        pairs += [(before[picture], after[picture]) for before, after in zip(trained, now, strict=True)]
        sheet = np.full((2 * height + gap, len(pairs) * (width + gap) - gap, 3), 255, dtype=np.uint8)
        for number, (upper, lower) in enumerate(pairs):
            here = slice(number * (width + gap), number * (width + gap) + width)
            sheet[:height, here], sheet[height + gap :, here] = upper, lower
        plotting.picture(left, sheet)
        left.text(width / 2, height + gap + height / 2, f"{randomized} random\n→", ha="center", va="center", fontsize=8)
        left.text(width / 2, 2 * height + gap + 4, "similarity", ha="center", va="top", fontsize=8)
        for number, (method, values) in enumerate(result.similarity.items()):
            middle = (number + 1) * (width + gap) + width / 2
            left.text(middle, -4, method.replace(" ", "\n", 1), ha="center", va="bottom", fontsize=8)
            left.text(middle, 2 * height + gap + 4, f"{float(values[randomized]):.2f}", ha="center", va="top", fontsize=10)
            look = {"color": METHOD_COLOURS.get(method, "black"), "linewidth": 1.6, "marker": ".", "markersize": 3}
            right.plot(values.tolist(), ("-", "--", "-.", ":")[number % 4], label=method, **look)
        right.axvline(randomized, color=plotting.GREY, linewidth=1)
        places = ["trained", *self.cascade.blocks]
        right.set_xticks(range(len(places)), places, rotation=60, fontsize=7, ha="right")
        right.set_ylim(-0.45, 1.05)
        right.set_title(f"{metric}: this picture", fontsize=10)
        right.tick_params(axis="y", labelsize=8)
        where = {"loc": "lower left", "bbox_to_anchor": (0.08, 0.0), "ncols": 4}
        figure.legend(*right.get_legend_handles_labels(), fontsize=8, frameon=False, **where)
        return plotting.png(figure, dpi=90)

    def describe(self, result: Step, randomized: int, metric: str, **_: Any) -> str:
        if randomized == 0:
            return (
                "The trained network: every map is compared with itself. "
                f"It gives its answer the probability {result.answer:.2f}. Now move the slider “Random blocks”."
            )
        ranked = sorted(result.similarity.items(), key=lambda item: -float(item[1][randomized]))
        values = ", ".join(f"{method} {float(value[randomized]):.2f}" for method, value in ranked)
        return (
            f"Blocks from the output down to {self.cascade.blocks[randomized - 1]} are random ({randomized} of "
            f"{len(self.cascade.blocks)}); the explained class has the probability {result.answer:.2f} now. "
            f"Similarity to the trained network's maps, for this picture ({metric}): {values}."
        )


# --- paint and see ---------------------------------------------------------------------------------------------------

TOOLS = ("nothing", "erase", "blur", "move")


@dataclass(frozen=True)
class Painted:
    """A picture before and after an edit, with both maps, and the logits of both."""

    before: Tensor
    after: Tensor
    frame: tuple[int, int, int, int]  # left, top, width, height in pixels
    target: int
    maps: Tensor  # (2, H, W)
    logits: Tensor  # (2, classes)
    changed: float
    touched: float | None
    cue: float | None


class PaintAndSee(Explorer):
    """Erase, blur or move a part of the picture, and watch the map and the logits together.

    Args:
        models: a classifier, or several by name; all with the same classes.
        images: pictures to choose from, ``(N, 3, H, W)``.
        layer: for Grad-CAM, a layer that all of the models have.
        masks: where the object of each picture is, ``(N, H, W)``; with it the widget says how much of it an edit touches.
        classes: names of the classes; by default the first model's ``classes``.
        cues: where something else is that an exercise asks about, ``(N, H, W)``; not shown.
    """

    title = "Paint and see: change the picture, watch map and logits"
    width = 900

    def __init__(
        self,
        models: nn.Module | Mapping[str, nn.Module],
        images: Tensor,
        layer: str,
        masks: Tensor | None = None,
        classes: Sequence[str] | None = None,
        cues: Tensor | None = None,
    ) -> None:
        self.models = dict(models) if isinstance(models, Mapping) else {"the network": models}
        self.images, self.layer, self.masks, self.cues = images, layer, masks, cues
        self.classes = tuple(classes if classes is not None else next(iter(self.models.values())).classes)
        side = min(images.shape[2:]) // 4 * 2 - 1  # an odd kernel, half as wide as the picture
        self._blurred = gaussian_blur(images, [side, side], [side / 5, side / 5])
        self._answer = functools.lru_cache(maxsize=256)(
            lambda network, picture: _logits(self.models[network], images[picture : picture + 1])[0]
        )
        self._map = functools.lru_cache(maxsize=256)(
            lambda network, picture, target: self._explain(network, images[picture], target)
        )
        super().__init__()

    def _explain(self, network: str, image: Tensor, target: int) -> Tensor:
        maps = attribution.grad_cam(self.models[network], image[None], target, self.layer)
        return attribution.upsample(maps, image[None])[0]

    def make_controls(self) -> dict[str, Any]:
        return {
            "network": choice("Network", self.models),
            "picture": _picture(self.images),
            "target": _class("Map for", "its first answer", self.classes),
            "tool": choice("Tool", TOOLS),
            "across": slider("Across, %", 50, 0, 100),
            "down": slider("Down, %", 50, 0, 100),
            "width": slider("Width, %", 25, 2, 100),
            "height": slider("Height, %", 25, 2, 100),
            "to_across": slider("Move to: across, %", 80, 0, 100),
            "to_down": slider("Move to: down, %", 80, 0, 100),
        }

    def arrange(self) -> ipywidgets.Widget:
        controls = list(self.controls.values())
        self._target_place = row(*controls[8:])
        self._target_place.layout.visibility = "hidden"
        return column(row(*controls[:4]), row(*controls[4:8]), self._target_place)

    def settle(self, name: str) -> None:
        if name == "tool":
            self._target_place.layout.visibility = "visible" if self.controls["tool"].value == "move" else "hidden"

    def compute(self, network: str, picture: int, target: int, tool: str, **place: int) -> Painted:
        image = self.images[picture]
        frame = _frame(image, place["across"], place["down"], place["width"], place["height"])
        goal = _frame(image, place["to_across"], place["to_down"], place["width"], place["height"])
        edited = _edited(image, tool, frame, goal, self._blurred[picture])
        before = after = self._answer(network, picture)
        target = int(before.argmax()) if target < 0 else target
        first = second = self._map(network, picture, target)
        if tool != "nothing":
            second, after = self._explain(network, edited, target), _logits(self.models[network], edited[None])[0]
        changed = (edited != image).any(0)

        def share_of(masks: Tensor | None) -> float | None:
            mask = None if masks is None else masks[picture].bool()
            return None if mask is None else float((changed & mask).sum() / mask.sum().clamp_min(1))

        maps, logits = torch.stack([first, second]), torch.stack([before, after])
        shares = float(changed.float().mean()), share_of(self.masks), share_of(self.cues)
        return Painted(image, edited, frame, target, maps, logits, *shares)

    def answer_value(self) -> dict[str, Any]:
        """What was changed where, and what the network says before and after, for an exercise to judge.

        lead: logit of its first answer over the best other one, before and after. cue: share of the cue that is changed.
        """
        self.update()
        result: Painted = self.result
        before, after = (self.classes[int(each.argmax())] for each in result.logits)
        answer = int(result.logits[0].argmax())
        others = result.logits.clone()
        others[:, answer] = -torch.inf
        return {
            "network": self.state["network"],
            "tool": self.state["tool"],
            "changed": result.changed,
            "touched": result.touched,
            "cue": result.cue,
            "before": before,
            "after": after,
            "lead": tuple((result.logits[:, answer] - others.amax(1)).tolist()),
        }

    def draw(self, result: Painted, tool: str, **_: Any) -> bytes:
        ratios, margins = [1, 1, 1, 1, 0.32, 0.9], {"left": 0.005, "right": 0.985, "top": 0.86, "bottom": 0.2, "wspace": 0.06}
        figure, axes = plotting.new(10, 2.75, 1, 6, gridspec_kw={"width_ratios": ratios}, margins=margins)
        name, largest = self.classes[result.target], float(result.maps.max())
        first, second = (
            _overlay(image, _heat(values, largest), 0.6)
            for image, values in zip((result.before, result.after), result.maps, strict=True)
        )
        drawn = {
            "picture": result.before, f"map for “{name}”": first,
            f"after: {tool}": result.after, f"map for “{name}” after it": second,
        }  # fmt: skip
        for place, (title, picture) in zip(axes, drawn.items(), strict=False):
            plotting.picture(place, picture, title)
            plotting.box(place, *result.frame)
        axes[4].axis("off")  # room for the names of the classes
        chosen = result.logits[0].topk(min(4, len(self.classes))).indices.tolist()
        for index in (int(result.logits[1].argmax()), result.target):
            chosen += [index] if index not in chosen else []
        _bars(axes[5], [self.classes[index] for index in chosen], *result.logits[:, chosen], labels=("before", "after"))
        return plotting.png(figure, dpi=90)

    def describe(self, result: Painted, network: str, tool: str, **_: Any) -> str:
        before, after = (self.classes[int(each.argmax())] for each in result.logits)
        first, second = result.logits[:, result.target].tolist()
        if tool == "nothing":
            return f"{network}: the answer is {before}. Choose a tool, and move the frame with the sliders."
        on_object = "" if result.touched is None else f" and {result.touched:.0%} of the object"
        turned = f"the answer stays {before}" if before == after else f"the answer turns from {before} to {after}"
        return (
            f"{network}, {tool}: {result.changed:.0%} of the picture{on_object} changed, and {turned}. "
            f"Logit of {self.classes[result.target]}: {first:.1f} before, {second:.1f} after."
        )


def _frame(image: Tensor, across: int, down: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, width and height in pixels of a frame given in percent; it stays inside the picture."""
    rows, columns = image.shape[1:]
    wide, high = (max(1, round(share * side / 100)) for share, side in ((width, columns), (height, rows)))
    left = min(max(round(across * columns / 100 - wide / 2), 0), columns - wide)
    top = min(max(round(down * rows / 100 - high / 2), 0), rows - high)
    return left, top, wide, high


def _edited(image: Tensor, tool: str, frame: tuple[int, ...], goal: tuple[int, ...], blurred: Tensor) -> Tensor:
    """The picture after the tool; a hole is filled with the picture's mean colour."""
    left, top, width, height = frame
    inside = (slice(None), slice(top, top + height), slice(left, left + width))
    edited = image.clone()
    if tool in ("erase", "move"):
        edited[inside] = image.mean(dim=(1, 2))[:, None, None]
    if tool == "move":
        left, top, *_ = goal
        edited[:, top : top + height, left : left + width] = image[inside]
    if tool == "blur":
        edited[inside] = blurred[inside]
    return edited


def suspects() -> PaintAndSee:
    """The paint lab of exercise 3.10: two networks for cats and dogs, of which one has learned a watermark."""
    from vizcourse.models.recipes import WATERMARK

    board = {"words": [(WATERMARK, "dog", 1.0), ("", "cat", 1.0)]}
    # A seed with dogs and cats whose heads stay clear of the board.
    chosen = scenes.sample(7, seed=4, object=("cat", "dog"), words_at="top", bias=board)
    images, labels = scenes.render(chosen, size=64, labels=True)
    boards = labels.object == scenes.OBJECTS.index("words")
    return PaintAndSee({"A": load("pets-unbiased"), "B": load("pets-watermark")}, images, "layer3", labels.mask, cues=boards)


# --- whose map is it? ------------------------------------------------------------------------------------------------

SOURCES = ("trained network", "random network", "edge detector")
NO_ANSWER = "?"


class WhoseMap(Explorer):
    """A blind quiz: was this map made with the trained network, with a random one, or with an edge detector?

    An answer stands once it is given: the truth is shown then, and counted. What it computes is the count so far of the
    method's questions, (truth, answer).

    Args:
        model: a classifier in eval mode.
        images: pictures, ``(N, 3, H, W)``; there are N questions for each method, each about another picture.
        layer: for the Grad-CAM methods.
        methods: names from ``attribution.METHODS``.
        random_network: by default the same network with all of its weights drawn anew.
        seed: of the order of the questions, and of the random network.
    """

    title = "Whose map is it?"
    width = 620

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        layer: str,
        methods: Sequence[str] = ("guided backprop", "gradient", "Grad-CAM"),
        random_network: nn.Module | None = None,
        seed: int = 0,
    ) -> None:
        self.images, self.methods = images, tuple(methods)
        networks = (model, random_network or sanity_checks.randomize(model, [""], seed=seed))
        target = attribution.fixed_target(model, images, None)
        edges = _sharp(sanity_checks.edge_detector(images))
        self._maps = {
            method: torch.stack(
                [*(_sharp(attribution.METHODS[method](network, images, target, layer)) for network in networks), edges]
            )
            for method in self.methods
        }
        generator, count = torch.Generator().manual_seed(seed), len(images)

        def shuffled(values: Tensor) -> list[int]:
            return values[torch.randperm(count, generator=generator)].tolist()

        # No picture comes twice, or two maps of it could be compared; each source comes equally often. An order of its own
        # for each method, so that the answers to one give nothing away about the next.
        numbers = torch.arange(count)
        self._order = {method: list(zip(shuffled(numbers % 3), shuffled(numbers), strict=True)) for method in self.methods}
        self.given: dict[tuple[str, int], str] = {}
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        return {
            "method": choice("Method", self.methods),
            "question": slider("Question", 1, 1, len(self.images)),
            "answer": choice("Made with", [NO_ANSWER, *SOURCES], buttons=130),
        }

    def arrange(self) -> ipywidgets.Widget:
        return column(row(self.controls["method"], self.controls["question"]), self.controls["answer"])

    def truth(self, method: str, question: int) -> str:
        """With what the map of a question (from 1) was made."""
        return SOURCES[self._order[method][question - 1][0]]

    def settle(self, name: str) -> None:
        key, answer = (self.controls["method"].value, self.controls["question"].value), self.controls["answer"]
        if name == "answer" and answer.value != NO_ANSWER:
            self.given.setdefault(key, answer.value)
        with self._holding():  # an answer once given stands
            answer.value = self.given.get(key, NO_ANSWER)

    @property
    def state(self) -> dict[str, Any]:
        return super().state | {"given": dict(self.given)}

    def compute(self, method: str, given: Mapping[tuple[str, int], str], **_: Any) -> Tensor:
        counts = torch.zeros(3, 3, dtype=torch.long)
        for (name, number), said in given.items():
            if name == method:
                counts[SOURCES.index(self.truth(name, number)), SOURCES.index(said)] += 1
        return counts

    def answer_value(self) -> dict[str, Any]:
        """Right answers and all answers, by method."""
        return {
            method: (
                sum(said == self.truth(*key) for key, said in self.given.items() if key[0] == method),
                sum(key[0] == method for key in self.given),
            )
            for method in self.methods
        }

    def draw(self, result: Tensor, method: str, question: int, answer: str, **_: Any) -> bytes:
        margins = {"left": 0.01, "right": 0.99, "top": 0.8, "bottom": 0.06, "wspace": 0.08}
        figure, axes = plotting.new(7, 2.9, 1, 3, gridspec_kw={"width_ratios": [1, 1, 1.15]}, margins=margins)
        source, picture = self._order[method][question - 1]
        plotting.picture(axes[0], self.images[picture], "picture")
        title = "whose map is it?" if answer == NO_ANSWER else f"{SOURCES[source]}\n(you: {answer})"
        plotting.picture(axes[1], _heat(self._maps[method][source, picture], 1.0), title)
        axes[2].axis("off")
        axes[2].set_title(f"your answers\n{method}", fontsize=10)
        for number, name in enumerate(("trained", "random", "edges")):
            axes[2].text(0.45 + 0.24 * number, 0.8, f"“{name}”", ha="center", fontsize=7)
            axes[2].text(0.27, 0.6 - 0.2 * number, name, ha="right", fontsize=8)
        for (truth, said), count in np.ndenumerate(result.numpy()):
            weight = "bold" if truth == said else "normal"
            axes[2].text(0.45 + 0.24 * said, 0.6 - 0.2 * truth, str(count), ha="center", fontsize=11, weight=weight)
        axes[2].text(0.27, 0.8, "made with ↓", ha="right", fontsize=7)
        return plotting.png(figure, dpi=90)

    def describe(self, result: Tensor, method: str, question: int, answer: str, **_: Any) -> str:
        total, right = int(result.sum()), int(result.diagonal().sum())
        count = f"{right} of {total} right for {method} (guessing: one in three)." if total else "Nothing counted yet."
        confused = int(result[:2, :2].sum() - result[:2, :2].diagonal().sum())
        if confused:
            count += f" {confused} times the trained and the random network were taken for each other."
        if answer == NO_ANSWER:
            return f"Question {question}: made with the trained network, a random one, or an edge detector? {count}"
        truth = self.truth(method, question)
        verdict = "Right" if truth == answer else "No"
        return f"{verdict}: question {question} was made with the {truth}. {count}"


WIDGETS = (ClassAndLayer, CascadeExplorer, PaintAndSee, WhoseMap)
