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
from vizcourse.widgets import Explorer, Notice, row
from vizcourse.worlds import scenes

_STYLE = {"description_width": "initial"}


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


def _bars(axes: Any, names: Sequence[str], values: Sequence[Tensor], labels: Sequence[str], title: str) -> None:
    """Logits of a few classes as bars, the second set hatched."""
    places, height = np.arange(len(names)), 0.75 / len(values)
    styles = [(plotting.BLUE, None), (plotting.ORANGE, "///")]
    for number, (one, label, (colour, hatch)) in enumerate(zip(values, labels, styles, strict=False)):
        bars = axes.barh(
            places + number * height, one.tolist(), height, color=colour, hatch=hatch, edgecolor="white", label=label
        )
        axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
    axes.set_yticks(places + (len(values) - 1) * height / 2, names, fontsize=8)
    axes.invert_yaxis()
    low, high = min(0.0, *(float(one.min()) for one in values)), max(0.0, *(float(one.max()) for one in values))
    room = 0.3 * max(high - low, 1e-6)
    axes.set_xlim(low - (room if low < 0 else 0), high + room)
    axes.axvline(0, color=plotting.GREY, linewidth=0.8)
    axes.set_title(title, fontsize=10)
    axes.tick_params(axis="x", labelsize=8)
    if len(values) > 1:
        axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.45, -0.11), ncols=2)


# --- class and layer -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evidence:
    """Grad-CAM of one picture: the signed map ``(h, w)`` of a class at a layer, and the logits of all classes."""

    image: Tensor
    logits: Tensor
    target: int
    rival: int | None
    layer: str
    values: Tensor
    show: str
    opacity: float
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
        self._map = functools.lru_cache(maxsize=512)(
            lambda picture, target, rival, layer: attribution.grad_cam(
                model,
                images[picture : picture + 1],
                target if rival is None else attribution.rather_than(target, rival),
                layer,
                relu=False,
            )[0]
        )
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        return {
            "picture": ipywidgets.IntSlider(0, 0, len(self.images) - 1, description="Picture"),
            "target": ipywidgets.Dropdown(
                options=[("the network's answer", -1), *((name, index) for index, name in enumerate(self.classes))],
                description="Class",
                style=_STYLE,
            ),
            "rival": ipywidgets.Dropdown(
                options=[("(no other)", -1), *((name, index) for index, name in enumerate(self.classes))],
                description="rather than",
                style=_STYLE,
            ),
            "layer": ipywidgets.Dropdown(options=self.layers, value=self.layer, description="Layer", style=_STYLE),
            "evidence": ipywidgets.Dropdown(options=["for", "against", "both"], description="Evidence", style=_STYLE),
            "opacity": ipywidgets.FloatSlider(0.55, min=0, max=1, step=0.05, description="Opacity"),
        }

    def compute(self, picture: int, target: int, rival: int, layer: str, evidence: str, opacity: float) -> Evidence:
        logits = self.logits[picture]
        target = int(logits.argmax()) if target < 0 else target
        rival = None if rival in (-1, target) else rival
        try:
            values = self._map(picture, target, rival, layer)
        except ValueError as error:  # a layer without places, say: advice for whoever chose the layers
            raise Notice(str(error)) from None
        image = self.images[picture]
        shown = attribution.upsample((-values if evidence == "against" else values).relu()[None], image)[0]
        total = float(shown.sum())
        shares = {name: float(shown[masks[picture]].sum()) / total for name, masks in self.objects.items()} if total else {}
        return Evidence(image, logits, target, rival, layer, values, evidence, opacity, shares)

    def draw(self, result: Evidence, **_: Any) -> bytes:
        figure, axes = plotting.new(
            9.6,
            3.0,
            1,
            5,
            gridspec_kw={"width_ratios": [1, 1, 1, 0.5, 0.8]},
            margins={"left": 0.01, "right": 0.97, "top": 0.86, "bottom": 0.1, "wspace": 0.08},
        )
        signed = result.show == "both"
        values = result.values if signed else (result.values if result.show == "for" else -result.values).relu()
        pixels = attribution.upsample(values[None], result.image)[0]
        plotting.picture(axes[0], result.image, "picture")
        plotting.picture(
            axes[1],
            _overlay(result.image, _heat(pixels, float(values.abs().max()), signed=signed), result.opacity),
            self._heading(result),
        )
        rows, columns = values.shape
        plotting.picture(
            axes[2],
            _heat(values, signed=signed),
            f"the map itself, {rows} × {columns}\nlargest value {float(values.abs().max()):.3g}",
        )
        axes[3].axis("off")  # room for the names of the classes
        chosen = result.logits.topk(min(5, len(self.classes))).indices.tolist()
        wanted = [index for index in (result.target, result.rival) if index is not None and index not in chosen]
        chosen = [*chosen[: len(chosen) - len(wanted)], *wanted]
        names = [f"▸ {self.classes[index]}" if index == result.target else self.classes[index] for index in chosen]
        _bars(axes[4], names, [result.logits[chosen]], ["logit"], "logit")
        return plotting.png(figure, dpi=90)

    def _heading(self, result: Evidence) -> str:
        name = f"“{self.classes[result.target]}”"
        if result.rival is None:
            return f"for (red), against (blue)\n{name}" if result.show == "both" else f"speaks {result.show} {name}"
        rival = f"“{self.classes[result.rival]}”"
        return (
            f"{name} (red) rather\nthan {rival} (blue)"
            if result.show == "both"
            else f"{result.show} {name}\nrather than {rival}"
        )

    def describe(self, result: Evidence, **_: Any) -> str:
        name, logits = self.classes[result.target], result.logits
        rank = int((logits > logits[result.target]).sum()) + 1
        rows, columns = result.values.shape
        start = (
            f"“{name}” has the logit {float(logits[result.target]):.1f}, rank {rank} of {len(logits)} "
            f"(probability {float(logits.softmax(0)[result.target]):.3f}). "
        )
        values = -result.values if result.show == "against" else result.values
        if float(values.max()) <= 0 and result.show != "both":
            return f"{start}At layer {result.layer} no place speaks {result.show} it: the map is empty."
        place = int(values.argmax())
        share = float((values > 0).float().mean())
        side = "for" if result.show == "both" else result.show
        it = "it" if result.rival is None else f"it rather than “{self.classes[result.rival]}”"
        on_objects = ", ".join(f"{part:.0%} on {name}" for name, part in result.shares.items())
        return (
            f"{start}At layer {result.layer} ({rows} × {columns} places), {share:.0%} of the places speak {side} {it}, "
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
    """One picture after some blocks have been randomized."""

    picture: int
    number: int
    metric: str
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
            "picture": ipywidgets.IntSlider(0, 0, len(self.images) - 1, description="Picture"),
            "randomized": ipywidgets.IntSlider(
                0,
                0,
                len(self.cascade.blocks),
                description="Random blocks",
                style=_STYLE,
                layout=ipywidgets.Layout(width="420px"),
            ),
            "metric": ipywidgets.Dropdown(options=list(_METRIC_NAMES), description="Similarity", style=_STYLE),
        }

    def compute(self, picture: int, randomized: int, metric: str) -> Step:
        table = self.similarity[_METRIC_NAMES[metric]]
        answers = self.cascade.answers
        return Step(
            picture,
            randomized,
            metric,
            {method: values[:, picture] for method, values in table.items()},
            float(answers[randomized, picture]) if len(answers) else float("nan"),
        )

    def draw(self, result: Step, **_: Any) -> bytes:
        figure, axes = plotting.new(
            10,
            3.9,
            1,
            2,
            gridspec_kw={"width_ratios": [2.1, 1]},
            margins={"left": 0.005, "right": 0.99, "top": 0.92, "bottom": 0.24, "wspace": 0.13},
        )
        height, width = self.images.shape[2:]
        gap = 3
        pieces = [(plotting.pixels(self.images[result.picture]) * 255).astype(np.uint8)]
        now, trained = self._colours[result.number], self._colours[0]
        columns = [(pieces[0], np.full_like(pieces[0], 255))]
        columns += [(before[result.picture], after[result.picture]) for before, after in zip(trained, now, strict=True)]
        sheet = np.full((2 * height + gap, len(columns) * (width + gap) - gap, 3), 255, dtype=np.uint8)
        for number, (upper, lower) in enumerate(columns):
            left = number * (width + gap)
            sheet[:height, left : left + width] = upper
            sheet[height + gap :, left : left + width] = lower
        plotting.picture(axes[0], sheet)
        for number, (method, values) in enumerate(result.similarity.items(), start=1):
            middle = number * (width + gap) + width / 2
            axes[0].text(middle, -4, method.replace(" ", "\n", 1), ha="center", va="bottom", fontsize=8)
            value = float(values[result.number])
            axes[0].text(middle, 2 * height + gap + 4, f"{value:.2f}", ha="center", va="top", fontsize=10)
        axes[0].text(width / 2, height + gap + height / 2, f"{result.number} random\n→", ha="center", va="center", fontsize=8)
        axes[0].text(width / 2, 2 * height + gap + 4, "similarity", ha="center", va="top", fontsize=8)
        styles = ["-", "--", "-.", ":"]
        for number, (method, values) in enumerate(result.similarity.items()):
            axes[1].plot(
                values.tolist(),
                styles[number % 4],
                color=METHOD_COLOURS.get(method, "black"),
                linewidth=1.6,
                label=method,
                marker=".",
                markersize=3,
            )
        axes[1].axvline(result.number, color=plotting.GREY, linewidth=1)
        axes[1].set_xticks(
            range(len(self.cascade.blocks) + 1), ["trained", *self.cascade.blocks], rotation=60, fontsize=7, ha="right"
        )
        axes[1].set_ylim(-0.45, 1.05)
        axes[1].set_title(f"{result.metric}: this picture", fontsize=10)
        axes[1].tick_params(axis="y", labelsize=8)
        figure.legend(
            *axes[1].get_legend_handles_labels(),
            fontsize=8,
            frameon=False,
            loc="lower left",
            bbox_to_anchor=(0.08, 0.0),
            ncols=4,
        )
        return plotting.png(figure, dpi=90)

    def describe(self, result: Step, **_: Any) -> str:
        if result.number == 0:
            return (
                "The trained network: every map is compared with itself. "
                f"It gives its answer the probability {result.answer:.2f}. Now move the slider “Random blocks”."
            )
        ranked = sorted(result.similarity.items(), key=lambda item: -float(item[1][result.number]))
        values = ", ".join(f"{method} {float(value[result.number]):.2f}" for method, value in ranked)
        return (
            f"Blocks from the output down to {self.cascade.blocks[result.number - 1]} are random ({result.number} of "
            f"{len(self.cascade.blocks)}); the explained class has the probability {result.answer:.2f} now. "
            f"Similarity to the trained network's maps, for this picture ({result.metric}): {values}."
        )


# --- paint and see ---------------------------------------------------------------------------------------------------

TOOLS = ("nothing", "erase", "blur", "move")


@dataclass(frozen=True)
class Painted:
    """A picture before and after an edit, with both maps, and the logits of both."""

    network: str
    tool: str
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
        self.cues = cues
        self.models = dict(models) if isinstance(models, Mapping) else {"the network": models}
        self.images, self.layer, self.masks = images, layer, masks
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
        def percent(value: int, name: str, low: int = 0, high: int = 100) -> ipywidgets.IntSlider:
            return ipywidgets.IntSlider(value, low, high, description=name, style=_STYLE)

        return {
            "network": ipywidgets.Dropdown(options=list(self.models), description="Network", style=_STYLE),
            "picture": ipywidgets.IntSlider(0, 0, len(self.images) - 1, description="Picture"),
            "target": ipywidgets.Dropdown(
                options=[("its first answer", -1), *((name, index) for index, name in enumerate(self.classes))],
                description="Map for",
                style=_STYLE,
            ),
            "tool": ipywidgets.Dropdown(options=list(TOOLS), description="Tool", style=_STYLE),
            "across": percent(50, "Across, %"),
            "down": percent(50, "Down, %"),
            "width": percent(25, "Width, %", 2),
            "height": percent(25, "Height, %", 2),
            "to_across": percent(80, "Move to: across, %"),
            "to_down": percent(80, "Move to: down, %"),
        }

    def arrange(self) -> ipywidgets.Widget:
        c = self.controls
        self._target_place = row(c["to_across"], c["to_down"])
        self._target_place.layout.visibility = "hidden"
        return ipywidgets.VBox(
            [
                row(c["network"], c["picture"], c["target"], c["tool"]),
                row(c["across"], c["down"], c["width"], c["height"]),
                self._target_place,
            ]
        )

    def settle(self, name: str) -> None:
        if name == "tool":
            self._target_place.layout.visibility = "visible" if self.controls["tool"].value == "move" else "hidden"

    def compute(self, network: str, picture: int, target: int, tool: str, **place: int) -> Painted:
        image = self.images[picture]
        frame = _frame(image, place["across"], place["down"], place["width"], place["height"])
        goal = _frame(image, place["to_across"], place["to_down"], place["width"], place["height"])
        edited = _edited(image, tool, frame, goal, self._blurred[picture])
        before = self._answer(network, picture)
        target = int(before.argmax()) if target < 0 else target
        first = self._map(network, picture, target)
        if tool == "nothing":
            second, after = first, before
        else:
            second, after = self._explain(network, edited, target), _logits(self.models[network], edited[None])[0]
        changed = (edited != image).any(0)

        def share_of(masks: Tensor | None) -> float | None:
            mask = None if masks is None else masks[picture].bool()
            return None if mask is None else float((changed & mask).sum() / mask.sum().clamp_min(1))

        return Painted(
            network,
            tool,
            image,
            edited,
            frame,
            target,
            torch.stack([first, second]),
            torch.stack([before, after]),
            float(changed.float().mean()),
            share_of(self.masks),
            share_of(self.cues),
        )

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
            "network": result.network,
            "tool": result.tool,
            "changed": result.changed,
            "touched": result.touched,
            "cue": result.cue,
            "before": before,
            "after": after,
            "lead": tuple((result.logits[:, answer] - others.amax(1)).tolist()),
        }

    def draw(self, result: Painted, **_: Any) -> bytes:
        figure, axes = plotting.new(
            10,
            2.75,
            1,
            6,
            gridspec_kw={"width_ratios": [1, 1, 1, 1, 0.32, 0.9]},
            margins={"left": 0.005, "right": 0.985, "top": 0.86, "bottom": 0.2, "wspace": 0.06},
        )
        name, largest = self.classes[result.target], float(result.maps.max())
        titles = ("picture", f"map for “{name}”", f"after: {result.tool}", f"map for “{name}” after it")
        drawn = (
            result.before,
            _overlay(result.before, _heat(result.maps[0], largest), 0.6),
            result.after,
            _overlay(result.after, _heat(result.maps[1], largest), 0.6),
        )
        for place, picture, title in zip(axes, drawn, titles, strict=False):
            plotting.picture(place, picture, title)
            plotting.box(place, *result.frame)
        axes[4].axis("off")  # room for the names of the classes
        chosen = result.logits[0].topk(min(4, len(self.classes))).indices.tolist()
        for index in (int(result.logits[1].argmax()), result.target):
            chosen += [index] if index not in chosen else []
        _bars(axes[5], [self.classes[index] for index in chosen], list(result.logits[:, chosen]), ["before", "after"], "logit")
        return plotting.png(figure, dpi=90)

    def describe(self, result: Painted, **_: Any) -> str:
        before, after = (self.classes[int(each.argmax())] for each in result.logits)
        first, second = result.logits[:, result.target].tolist()
        if result.tool == "nothing":
            return f"{result.network}: the answer is {before}. Choose a tool, and move the frame with the sliders."
        on_object = "" if result.touched is None else f" and {result.touched:.0%} of the object"
        turned = f"the answer stays {before}" if before == after else f"the answer turns from {before} to {after}"
        return (
            f"{result.network}, {result.tool}: {result.changed:.0%} of the picture{on_object} changed, and {turned}. "
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


@dataclass(frozen=True)
class Round:
    """One question of the quiz, what was answered, and the count so far."""

    method: str
    question: int
    answer: str
    counts: Tensor  # (truth, answer)


class WhoseMap(Explorer):
    """A blind quiz: was this map made with the trained network, with a random one, or with an edge detector?

    An answer stands once it is given: the truth is shown then, and counted.

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
        generator = torch.Generator().manual_seed(seed)
        # No picture comes twice, or two maps of it could be compared; each source comes equally often. An order of its own
        # for each method, so that the answers to one give nothing away about the next.
        count = len(images)
        self._order = {
            method: list(
                zip(
                    (torch.arange(count) % 3)[torch.randperm(count, generator=generator)].tolist(),
                    torch.randperm(count, generator=generator).tolist(),
                    strict=True,
                )
            )
            for method in self.methods
        }
        self.given: dict[tuple[str, int], str] = {}
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        return {
            "method": ipywidgets.Dropdown(options=self.methods, description="Method", style=_STYLE),
            "question": ipywidgets.IntSlider(1, 1, len(self.images), description="Question"),
            "answer": ipywidgets.ToggleButtons(
                options=[NO_ANSWER, *SOURCES], description="Made with", style={"button_width": "130px"}
            ),
        }

    def arrange(self) -> ipywidgets.Widget:
        c = self.controls
        return ipywidgets.VBox([row(c["method"], c["question"]), c["answer"]])

    def truth(self, method: str, question: int) -> str:
        """With what the map of a question (from 1) was made."""
        return SOURCES[self._order[method][question - 1][0]]

    def settle(self, name: str) -> None:
        key = (self.controls["method"].value, self.controls["question"].value)
        if name == "answer":
            if self.controls["answer"].value != NO_ANSWER:
                self.given.setdefault(key, self.controls["answer"].value)
            with self._holding():  # an answer once given stands
                self.controls["answer"].value = self.given.get(key, NO_ANSWER)
        else:
            with self._holding():
                self.controls["answer"].value = self.given.get(key, NO_ANSWER)

    @property
    def state(self) -> dict[str, Any]:
        return super().state | {"given": dict(self.given)}

    def compute(self, method: str, question: int, answer: str, given: Mapping[tuple[str, int], str]) -> Round:
        counts = torch.zeros(3, 3, dtype=torch.long)
        for (name, number), said in given.items():
            if name == method:
                counts[SOURCES.index(self.truth(name, number)), SOURCES.index(said)] += 1
        return Round(method, question, answer, counts)

    def answer_value(self) -> dict[str, Any]:
        """Right answers and all answers, by method."""
        return {
            method: (
                sum(said == self.truth(*key) for key, said in self.given.items() if key[0] == method),
                sum(key[0] == method for key in self.given),
            )
            for method in self.methods
        }

    def draw(self, result: Round, **_: Any) -> bytes:
        figure, axes = plotting.new(
            7,
            2.9,
            1,
            3,
            gridspec_kw={"width_ratios": [1, 1, 1.15]},
            margins={"left": 0.01, "right": 0.99, "top": 0.8, "bottom": 0.06, "wspace": 0.08},
        )
        source, picture = self._order[result.method][result.question - 1]
        plotting.picture(axes[0], self.images[picture], "picture")
        title = "whose map is it?" if result.answer == NO_ANSWER else f"{SOURCES[source]}\n(you: {result.answer})"
        plotting.picture(axes[1], _heat(self._maps[result.method][source, picture], 1.0), title)
        axes[2].axis("off")
        axes[2].set_title(f"your answers\n{result.method}", fontsize=10)
        for column, name in enumerate(("trained", "random", "edges")):
            axes[2].text(0.45 + 0.24 * column, 0.8, f"“{name}”", ha="center", fontsize=7)
            axes[2].text(0.27, 0.6 - 0.2 * column, name, ha="right", fontsize=8)
        for (truth, said), count in np.ndenumerate(result.counts.numpy()):
            weight = "bold" if truth == said else "normal"
            axes[2].text(0.45 + 0.24 * said, 0.6 - 0.2 * truth, str(count), ha="center", fontsize=11, weight=weight)
        axes[2].text(0.27, 0.8, "made with ↓", ha="right", fontsize=7)
        return plotting.png(figure, dpi=90)

    def describe(self, result: Round, **_: Any) -> str:
        total, right = int(result.counts.sum()), int(result.counts.diagonal().sum())
        count = f"{right} of {total} right for {result.method} (guessing: one in three)." if total else "Nothing counted yet."
        confused = int(result.counts[:2, :2].sum() - result.counts[:2, :2].diagonal().sum())
        if confused:
            count += f" {confused} times the trained and the random network were taken for each other."
        if result.answer == NO_ANSWER:
            return f"Question {result.question}: made with the trained network, a random one, or an edge detector? {count}"
        truth = self.truth(result.method, result.question)
        verdict = "Right" if truth == result.answer else "No"
        return f"{verdict}: question {result.question} was made with the {truth}. {count}"


WIDGETS = (ClassAndLayer, CascadeExplorer, PaintAndSee, WhoseMap)
