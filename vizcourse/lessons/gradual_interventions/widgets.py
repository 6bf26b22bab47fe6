"""Explorers of lesson 07: turn a property, turn a photograph, and is it chance?"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from vizcourse import plotting
from vizcourse.methods import interventions
from vizcourse.methods.property_gradients import (
    expected_property_gradient_magnitude,
    logits,
    permutation_test,
    respond,
)
from vizcourse.models import load
from vizcourse.widgets import Explorer, Notice, row
from vizcourse.worlds import gradual, photos, scenes
from vizcourse.worlds.scenes import Scene

#: The three networks that learned to tell cats from dogs from differently biased pictures.
TRIO = ("unbiased", "dark-cats", "dark-dogs")
OWN_PICTURE, OWN_ANSWER = "my upload", -1
_STYLE = {"description_width": "initial"}
#: Colour, line and marker of each of several curves: told apart without the colour as well.
_LINES = (
    (plotting.GREEN, "-", "o", "●"),
    (plotting.BLUE, "--", "^", "▲"),
    (plotting.RED, "-.", "s", "■"),
    (plotting.ORANGE, ":", "D", "◆"),
)


def _figure(*places: tuple[float, float, float, float]) -> tuple[Figure, Any]:
    """A wide figure with axes at (left, bottom, width, height), as shares of the figure."""
    figure, axes = plotting.new(9.6, 3.1, 1, len(places), margins={})
    for each, place in zip(axes, places, strict=True):
        each.set_position(place)
    return figure, axes


def _strip(axes: Axes, pictures: Tensor, count: int = 7) -> None:
    """Some of the ordered pictures (steps, 3, H, W), side by side in one axes."""
    chosen = pictures[torch.linspace(0, len(pictures) - 1, count).round().long()]
    shrink = max(1, chosen.shape[-1] // 64)  # no more pixels than the page shows
    framed = nn.functional.pad(chosen[..., ::shrink, ::shrink], (1, 1, 0, 0), value=1.0)
    plotting.picture(axes, torch.cat(list(framed), dim=2), aspect="auto")
    axes.spines[:].set_visible(False)


# --- turn the property -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curves:
    """Response curves (networks, steps) along one intervention, with score, p-value, span and change of each."""

    responses: Tensor
    score: Tensor
    p_value: Tensor
    span: Tensor
    change: Tensor


@dataclass(frozen=True)
class Turned:
    """One scene, one property turned through all its steps, and the step that the slider is at."""

    scene: int
    path: gradual.Path
    step: int
    metric: str
    shown: Curves
    probabilities: Curves

    @property
    def picture(self) -> Tensor:
        """The picture at the slider's position, (3, H, W)."""
        return self.path.pictures[self.step]

    @property
    def value(self) -> str:
        """The property at the slider's position, in words."""
        path = self.path
        if path.factor in gradual.NUMBERS:
            return f"{float(path.values[self.step]):.3g}"
        share = float(path.values[self.step])
        start, stop = _word(path.start), _word(path.stop)
        return start if share == 0 else stop if share == 1 else f"{1 - share:.0%} {start}, {share:.0%} {stop}"


class PropertyDial(Explorer):
    """Turn any property of a scene; the picture and the response curves of several networks move together.

    Args:
        networks: name -> classifier; by default the trio ``unbiased``, ``dark-cats``, ``dark-dogs``. At most four.
        animals: the scenes to choose from; by default twelve cats and dogs.
        target: name of the class whose answer is followed.
        ends: factor -> (start, stop), where they should differ from those of `gradual.RANGES`.
        steps: of an intervention.
    """

    title = "Turn the property: one cause changes, three networks look on"
    width = 860

    def __init__(
        self,
        networks: Mapping[str, nn.Module] | None = None,
        animals: Sequence[Scene] | None = None,
        *,
        target: str = "dog",
        ends: Mapping[str, tuple[Any, Any]] | None = None,
        steps: int = 17,
    ) -> None:
        self.networks = dict(networks) if networks is not None else {name: load(f"pets-{name}") for name in TRIO}
        self.animals = list(animals) if animals is not None else scenes.sample(16, 70, object=("cat", "dog"))[:12]
        if not 1 <= len(self.networks) <= len(_LINES) or not self.animals:
            raise ValueError(f"Pass one to {len(_LINES)} networks, and at least one scene.")
        for name, network in self.networks.items():
            if target not in getattr(network, "classes", ()):
                raise ValueError(f"Network {name!r} has no class {target!r}: choose a target among its classes.")
        self.target, self.steps = target, steps
        chosen = dict(ends or {})
        # Curves are small and all kept; pictures are drawn again when they are wanted again much later.
        self._path = functools.lru_cache(maxsize=24)(
            lambda scene, factor: gradual.turn(
                self.animals[scene], factor, *chosen.get(factor, (None, None)), steps=steps, size=self._size
            )
        )
        self._measured = functools.cache(self._measure)
        super().__init__()

    @property
    def _size(self) -> int:
        return getattr(next(iter(self.networks.values())), "input_size", 64)

    def make_controls(self) -> dict[str, Any]:
        factors = [*gradual.RANGES, *(name for name in scenes.FACTORS if name not in gradual.RANGES and name != "distractors")]
        return {
            "scene": ipywidgets.IntSlider(min(3, len(self.animals) - 1), 0, len(self.animals) - 1, description="Scene"),
            "factor": ipywidgets.Dropdown(options=factors, value="size", description="Property", style=_STYLE),
            "position": ipywidgets.FloatSlider(
                0.5,
                min=0,
                max=1,
                step=1 / (self.steps - 1),
                description="From start to stop",
                readout=False,
                style=_STYLE,
                layout=ipywidgets.Layout(width="420px"),
            ),
            "metric": ipywidgets.ToggleButtons(
                options=["probability", "logit"], description="Follow the", style={"button_width": "90px"}
            ),
        }

    def _measure(self, scene: int, factor: str) -> dict[str, Curves]:
        pictures = self._path(scene, factor).pictures
        places = torch.linspace(
            0, 1, self.steps, dtype=torch.float64
        )  # one spacing for all properties, so that their scores compare
        answers = {}
        for name, network in self.networks.items():
            found = logits(network, pictures)
            index = tuple(network.classes).index(self.target)
            answers[name] = {"logit": found[:, index], "probability": found.softmax(-1)[:, index]}
        metrics = ("probability", "logit")
        responses = torch.stack([torch.stack([each[metric] for each in answers.values()]) for metric in metrics])
        test = permutation_test(responses, places, permutations=999)
        span, change = responses.amax(-1) - responses.amin(-1), responses[..., -1] - responses[..., 0]
        return {
            metric: Curves(responses[n], test.score[n], test.p_value[n], span[n], change[n]) for n, metric in enumerate(metrics)
        }

    def compute(self, scene: int, factor: str, position: float, metric: str) -> Turned:
        measured = self._measured(scene, factor)
        step = round(position * (self.steps - 1))
        return Turned(scene, self._path(scene, factor), step, metric, measured[metric], measured["probability"])

    def answer_value(self) -> dict[str, Any]:
        """Scene, property and, by network, span, score, p-value and change of the *probability*."""
        self.update()
        named = {
            key: dict(zip(self.networks, map(float, getattr(self.result.probabilities, key)), strict=True))
            for key in ("span", "score", "p_value", "change")
        }
        path = self.result.path
        return {"scene": self.result.scene, "factor": path.factor, "start": path.start, "stop": path.stop, **named}

    def draw(self, result: Turned, **_: Any) -> bytes:
        figure, axes = _figure((0.01, 0.1, 0.235, 0.73), (0.335, 0.36, 0.41, 0.55), (0.335, 0.02, 0.41, 0.155))
        path, curves = result.path, result.shown
        plotting.picture(axes[0], result.picture, f"{path.factor}: {result.value}")
        number = path.factor in gradual.NUMBERS
        axes[1].axvline(float(path.values[result.step]), color=plotting.GREY, linewidth=1)
        for name, curve, (color, line, marker, sign), height in zip(
            self.networks, curves.responses, _LINES, (0.87, 0.64, 0.41, 0.18), strict=False
        ):
            axes[1].plot(
                path.values, curve, line, color=color, marker=marker, markevery=[result.step], markersize=8, clip_on=False
            )
            n = list(self.networks).index(name)
            figure.text(0.775, height, f"{sign} {name}", color=color, fontsize=10, fontweight="bold")
            figure.text(
                0.775,
                height - 0.12,
                f"now {_number(curve[result.step])}  span {_number(curves.span[n])}\n"
                f"score {_number(curves.score[n])}  p = {float(curves.p_value[n]):.3f}",
                fontsize=9,
            )
        if result.metric == "probability":
            axes[1].set_ylim(-0.05, 1.05)
        if number:
            axes[1].set_xlabel(path.factor, labelpad=1)
        else:
            axes[1].set_xticks([0, 1], [_word(path.start), _word(path.stop)])
            for tick, side in zip(axes[1].get_xticklabels(), ("left", "right"), strict=True):
                tick.set_ha(side)
            axes[1].set_xlabel(f"{path.factor}, one faded into the other", labelpad=1)
        axes[1].set_xlim(float(path.values[0]), float(path.values[-1]))
        axes[1].set_ylabel(f"{result.metric} of “{self.target}”")
        _strip(axes[2], path.pictures)
        return plotting.png(figure, dpi=90)

    def describe(self, result: Turned, **_: Any) -> str:
        curves = result.shown
        spoken = "; ".join(
            f"{name} {_number(curves.responses[n, result.step])} (span {_number(curves.span[n])}, "
            f"score {_number(curves.score[n])}, p = {float(curves.p_value[n]):.3f})"
            for n, name in enumerate(self.networks)
        )
        animal = self.animals[result.scene].object
        return (
            f"Scene {result.scene}, a {animal}, {result.path.factor} {result.value}. {result.metric.capitalize()} of "
            f"“{self.target}”: {spoken}. Scores count the whole range of the property as 1, in {self.steps} steps."
        )


def _word(value: Any) -> str:
    """A property's value as one reads it."""
    return {"": "no word", True: "with", False: "without"}.get(value, str(value)) if not _is_number(value) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Tensor | float) -> str:
    """Two or three digits, and no 0.00 for what is merely small."""
    value = float(value)
    if value == 0 or abs(value) >= 0.005:
        return f"{value:.2f}"
    return f"{value:.0e}".replace("e-0", "e-")


# --- a photograph ----------------------------------------------------------------------------------------------------

Edit = Callable[[Tensor, Tensor], Iterator[Tensor]]

#: Edits of a whole photograph: the function, the strengths at both ends, the one that leaves it alone, and the unit.
EDITS: dict[str, tuple[Edit, float, float, float, str]] = {
    "brightness": (interventions.brightness, 0.2, 1.8, 1.0, "times"),
    "contrast": (interventions.contrast, 0.2, 1.8, 1.0, "times"),
    "saturation": (interventions.saturation, 0.0, 2.0, 1.0, "times"),
    "hue": (interventions.hue, -0.5, 0.5, 0.0, "turns"),
    "blur": (interventions.blur, 0.0, 4.0, 0.0, "pixels"),
    "noise": (interventions.noise, 0.0, 0.4, 0.0, "deviation"),
    "rotation": (interventions.rotation, -45.0, 45.0, 0.0, "degrees"),
    "scale": (interventions.scale, 0.5, 1.8, 1.0, "times"),
    "blue patch": (interventions.patch, 0.0, 1.0, 0.0, "opacity"),
}


@dataclass(frozen=True)
class Edited:
    """A photograph along one edit: strengths (steps,), pictures (steps, 3, H, W), and a class's probability (steps,)."""

    edit: str
    strengths: Tensor
    pictures: Tensor
    step: int
    photograph: Tensor  # probabilities of all classes on the photograph itself, (classes,)
    target: int
    responses: Tensor
    now: Tensor  # probabilities of all classes at the slider's position, (classes,)
    score: float
    published_score: float
    p_value: float
    flips: bool

    @property
    def span(self) -> float:
        """Largest minus smallest probability."""
        return float(self.responses.max() - self.responses.min())


class PhotoDial(Explorer):
    """Edit a photograph gradually, your own or a sample, and see the response curve of a network.

    Args:
        model: a classifier with an attribute ``classes``; by default one that learned the ten classes of CIFAR-10.
        classes: names of the classes, where the model has none.
        size: pixels of a side of the pictures that the model takes; by default its ``input_size``.
        steps: of an edit. Large networks take long for one curve: fewer steps answer faster.
    """

    title = "Turn a photograph: choose an edit, watch the answer"
    width = 860

    def __init__(
        self,
        model: nn.Module | None = None,
        classes: Sequence[str] | None = None,
        *,
        size: int | None = None,
        steps: int = 21,
    ) -> None:
        self.model = load("resnet20-cifar10") if model is None else model
        names = classes if classes is not None else getattr(self.model, "classes", None)
        if names is None:
            raise ValueError("The model does not name its classes: pass classes=(…), one name for each output.")
        self.classes = tuple(names)
        self.size = size if size is not None else getattr(self.model, "input_size", 224)
        self.steps = steps
        self._upload: Any = None  # the last upload that was decoded, and what it gave
        self._uploaded: tuple[int, Tensor] | None = None
        # A curve is computed once; slider and class then only choose from it.
        self._answers = functools.lru_cache(maxsize=32)(self._run)
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        self.upload = ipywidgets.FileUpload(
            accept="image/*", multiple=False, description="Upload a picture", layout=ipywidgets.Layout(width="170px")
        )
        names = sorted(photos.samples(), key=lambda name: name != "cat")
        return {
            "picture": ipywidgets.Dropdown(options=[*names, OWN_PICTURE], description="Picture", style=_STYLE),
            "upload": self.upload,
            "edit": ipywidgets.Dropdown(options=list(EDITS), description="Edit", style=_STYLE),
            "reach": ipywidgets.FloatSlider(1.0, min=0.1, max=1, step=0.1, description="How far", readout_format=".0%"),
            "position": ipywidgets.FloatSlider(
                0.5, min=0, max=1, step=1 / (self.steps - 1), description="From start to stop", readout=False, style=_STYLE
            ),
            "target": ipywidgets.Dropdown(
                options=[("the network's answer", OWN_ANSWER), *((name, n) for n, name in enumerate(self.classes))],
                description="Class",
                style=_STYLE,
            ),
        }

    def arrange(self) -> ipywidgets.Widget:
        c = self.controls
        return ipywidgets.VBox([row(c["picture"], c["upload"], c["edit"], c["reach"]), row(c["position"], c["target"])])

    def settle(self, name: str) -> None:
        if name == "upload" and self.controls["upload"].value:
            self.controls["picture"].value = OWN_PICTURE

    def _photograph(self, picture: str, number: int) -> Tensor:
        if picture == OWN_PICTURE:
            return self._uploaded[1]
        return photos.samples()[picture](self.size)[0]

    def _read_upload(self, upload: Any) -> int:
        """Decode the learner's picture once. Returns a number that changes with every new picture."""
        if not upload:
            raise Notice("Choose a picture of yours with the upload button first (JPEG, PNG, WebP or GIF).")
        if self._uploaded is None or upload is not self._upload:
            try:
                image = photos.load(upload, size=self.size)[0]
            except ValueError as error:
                raise Notice(str(error)) from None
            number = 1 if self._uploaded is None else self._uploaded[0] + 1
            self._upload, self._uploaded = upload, (number, image)
        return self._uploaded[0]

    def _run(self, picture: str, number: int, edit: str, reach: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Strengths, pictures, probabilities at all steps and those of the photograph itself."""
        photograph = self._photograph(picture, number)
        function, first, last, itself, _ = EDITS[edit]
        ends = [itself + reach * (end - itself) for end in (first, last)]
        strengths = torch.linspace(*ends, self.steps, dtype=torch.float64)
        pictures = torch.stack(list(function(photograph, strengths)))
        answers = logits(self.model, torch.cat([pictures, photograph[None]])).softmax(-1).cpu()
        return strengths, pictures, answers[:-1], answers[-1]

    def compute(self, picture: str, upload: Any, edit: str, reach: float, position: float, target: int) -> Edited:
        number = self._read_upload(upload) if picture == OWN_PICTURE else 0
        strengths, pictures, answers, before = self._answers(picture, number, edit, round(reach, 2))
        followed = int(before.argmax()) if target == OWN_ANSWER else target
        responses = answers[:, followed]
        step = round(position * (self.steps - 1))
        test = permutation_test(responses, torch.linspace(0, 1, self.steps, dtype=torch.float64), permutations=999)
        return Edited(
            edit=edit,
            strengths=strengths,
            pictures=pictures,
            step=step,
            photograph=before,
            target=followed,
            responses=responses,
            now=answers[step],
            score=float(test.score),
            published_score=float(expected_property_gradient_magnitude(responses)),
            p_value=float(test.p_value),
            flips=bool((answers.argmax(1) != before.argmax()).any()),
        )

    def answer_value(self) -> dict[str, Any]:
        """Picture, edit, class, and the curve's span, score, p-value and whether the name flips."""
        self.update()
        result = self.result
        return {
            "picture": self.state["picture"],
            "edit": result.edit,
            "target": self.classes[result.target],
            "span": result.span,
            "score": result.score,
            "p_value": result.p_value,
            "flips": result.flips,
        }

    def draw(self, result: Edited, **_: Any) -> bytes:
        figure, axes = _figure((0.01, 0.1, 0.235, 0.73), (0.335, 0.36, 0.41, 0.55), (0.335, 0.02, 0.41, 0.155))
        strength, unit = float(result.strengths[result.step]), EDITS[result.edit][4]
        plotting.picture(
            axes[0], result.pictures[result.step], f"what the network sees,\n{result.edit} {strength:.2f} ({unit})"
        )
        axes[1].axvline(strength, color=plotting.GREY, linewidth=1)
        itself = EDITS[result.edit][3]
        axes[1].axvline(itself, color=plotting.ORANGE, linewidth=1, linestyle=":")
        axes[1].plot(
            result.strengths,
            result.responses,
            color=plotting.BLUE,
            marker="o",
            markevery=[result.step],
            markersize=8,
            clip_on=False,
        )
        axes[1].set_ylim(-0.05, 1.05)
        axes[1].set_xlabel(f"{result.edit} ({unit}; dotted: the photograph itself)", labelpad=1)
        axes[1].set_xlim(float(result.strengths[0]), float(result.strengths[-1]))
        axes[1].set_ylabel(f"probability of\n“{_short(self.classes[result.target])}”", labelpad=1)
        best = result.now.topk(min(3, len(self.classes)))
        lines = [f"{_short(self.classes[n])} {p:.2f}" for p, n in zip(best.values.tolist(), best.indices.tolist(), strict=True)]
        figure.text(0.775, 0.9, "answer now", fontsize=10, fontweight="bold", va="top")
        figure.text(0.775, 0.82, "\n".join(lines), fontsize=9, va="top")
        figure.text(0.775, 0.5, "the curve", fontsize=10, fontweight="bold", va="top")
        figure.text(
            0.775,
            0.42,
            f"span {_number(result.span)}\nscore {_number(result.score)}, p = {result.p_value:.3f}\n"
            f"in unit spacing {result.published_score:.4f}\nthe name {'flips' if result.flips else 'stays'}",
            fontsize=9,
            va="top",
        )
        _strip(axes[2], result.pictures)
        return plotting.png(figure, dpi=90)

    def describe(self, result: Edited, **_: Any) -> str:
        before, now = int(result.photograph.argmax()), int(result.now.argmax())
        strength, unit = float(result.strengths[result.step]), EDITS[result.edit][4]
        return (
            f"The network calls the photograph {self.classes[before]} ({float(result.photograph[before]):.2f}) and, with "
            f"{result.edit} at {strength:.2f} ({unit}), {self.classes[now]} ({float(result.now[now]):.2f}). Probability of "
            f"“{self.classes[result.target]}” along {self.steps} steps: span {_number(result.span)}, score "
            f"{_number(result.score)} with the whole range as 1 ({result.published_score:.4f} in the published unit "
            f"spacing), p = {result.p_value:.3f}; the name {'flips' if result.flips else 'stays'}."
        )


def _short(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:19]}…"


# --- is it chance? ---------------------------------------------------------------------------------------------------

#: Shuffles that the meter can draw.
MOST = 1000
_STEPS = 100


@functools.cache
def _measured_fur(network: str) -> Tensor:
    """The fur of the lesson's first dog, from black to white: the network's probability of "dog", (40,)."""
    model = load(f"pets-{network}")
    dog = scenes.sample(16, 70, object=("cat", "dog"))[3]
    path = gradual.turn(dog, "colour", "black", "white", steps=40, size=model.input_size)
    return respond(model, path.pictures, tuple(model.classes).index("dog"))


def _random(seed: int, count: int = _STEPS) -> Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(1000 + seed))


_along = torch.linspace(0, 1, _STEPS)

#: Curves to test, by name; each takes the seed, which only the random ones use.
CURVES: dict[str, Callable[[int], Tensor]] = {
    "flip": lambda seed: torch.sigmoid(20 * (_along - 0.5)),
    "drift of 2 %": lambda seed: 0.5 + 0.02 * _along,
    "there and back": lambda seed: 0.2 + 0.6 * torch.exp(-(((_along - 0.5) / 0.12) ** 2)),
    "noise": lambda seed: _random(seed),
    "drift in noise": lambda seed: 0.3 + 0.2 * _along + 0.4 * (_random(seed) - 0.5),
    "no effect, neighbours alike": lambda seed: nn.functional.avg_pool1d(
        _random(seed, _STEPS + 8)[None, None], kernel_size=9, stride=1
    )[0, 0],
    "alternating": lambda seed: 0.5 + 0.1 * (-1.0) ** torch.arange(_STEPS),
    "constant": lambda seed: torch.full((_STEPS,), 0.5),
    "fur, unbiased network": lambda seed: _measured_fur("unbiased"),
    "fur, dark-dogs": lambda seed: _measured_fur("dark-dogs"),
}


@dataclass(frozen=True)
class Drawn:
    """A curve (steps,), the last shuffle of it, and the scores of the shuffles drawn so far."""

    curve: Tensor
    shuffled: Tensor
    score: float
    drawn: Tensor  # (shuffles,)
    limits: tuple[float, float]  # of the scores' axis, so that it stays where it is
    centre: float
    published: bool
    extreme: Tensor  # (shuffles,), True where a shuffle is at least as far from the centre as the true order
    p_value: float


class ChanceMeter(Explorer):
    """Shuffle a curve again and again, and see where its score stands among those of the shuffles.

    Args:
        curves: name -> responses (steps,); by default those of :data:`CURVES`.
    """

    title = "Is it chance? Draw shuffles, and watch where the true order stands"
    width = 860

    def __init__(self, curves: Mapping[str, Tensor] | None = None) -> None:
        given = {name: torch.as_tensor(curve) for name, curve in (curves or {}).items()}
        self.curves = {name: (lambda seed, curve=curve: curve) for name, curve in given.items()} or CURVES
        # All shuffles of a curve at once; the slider shows the first so many of them.
        self._tested = functools.lru_cache(maxsize=64)(self._test)
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        self.play = ipywidgets.Play(value=20, min=1, max=MOST, step=7, interval=250, description="Draw")
        self.play.observe(lambda change: setattr(self.controls["shuffles"], "value", change["new"]), names="value")
        return {
            "curve": ipywidgets.Dropdown(options=list(self.curves), description="Curve", style=_STYLE),
            "shuffles": ipywidgets.IntSlider(20, 1, MOST, description="Shuffles", layout=ipywidgets.Layout(width="380px")),
            "order": ipywidgets.Dropdown(
                options=[("central differences", 2), ("to the next step", 1)], description="Slopes", style=_STYLE
            ),
            "published": ipywidgets.Checkbox(False, description="as published: true order not counted", indent=False),
            "seed": ipywidgets.IntSlider(0, 0, 19, description="Luck (seed)", style=_STYLE),
        }

    def arrange(self) -> ipywidgets.Widget:
        c = self.controls
        return ipywidgets.VBox([row(c["curve"], c["shuffles"], self.play), row(c["order"], c["seed"], c["published"])])

    def settle(self, name: str) -> None:
        if name == "shuffles":
            self.play.value = self.controls["shuffles"].value  # it plays on from where the slider is

    def _test(self, curve: str, order: int, seed: int) -> tuple[Tensor, Tensor, float, Tensor]:
        """The curve, its shuffled orders (shuffles, steps), its score and theirs (shuffles,)."""
        responses = self.curves[curve](seed).detach().double()
        places = torch.linspace(0, 1, len(responses), dtype=torch.float64)
        test = permutation_test(responses, places, permutations=MOST, seed=seed, order=order)
        # The orders that the test has drawn, once more, to be looked at.
        orders = torch.rand(MOST, len(responses), generator=torch.Generator().manual_seed(seed)).argsort(1)
        return responses, orders, float(test.score), test.null

    def compute(self, curve: str, shuffles: int, order: int, published: bool, seed: int) -> Drawn:
        responses, orders, score, null = self._tested(curve, order, seed)
        drawn = null[:shuffles]
        reference = drawn if published else torch.cat([drawn, drawn.new_tensor([score])])
        centre = float(reference.mean())
        # Ties must count as ties whatever the rounding, as in `permutation_test`.
        extreme = (reference - centre).abs() >= abs(score - centre) - 1e-9 * float(drawn.abs().max())
        low, high = min(score, float(null.min())), max(score, float(null.max()))
        room = 0.06 * (high - low) or 0.5
        return Drawn(
            curve=responses,
            shuffled=responses[orders[shuffles - 1]],
            score=score,
            drawn=drawn,
            limits=(low - room, high + room),
            centre=centre,
            published=published,
            extreme=extreme[:shuffles],
            p_value=float(extreme.double().mean()),
        )

    def answer_value(self) -> dict[str, Any]:
        """The state with the curve's score, span and p-value."""
        self.update()
        span = float(self.result.curve.max() - self.result.curve.min())
        return {**self.state, "score": self.result.score, "span": span, "p_value": self.result.p_value}

    def draw(self, result: Drawn, **_: Any) -> bytes:
        figure, axes = _figure((0.07, 0.16, 0.36, 0.7), (0.53, 0.16, 0.45, 0.7))
        along = torch.linspace(0, 1, len(result.curve))
        axes[0].plot(along, result.shuffled, "x", color=plotting.GREY, markersize=4)
        axes[0].plot(along, result.curve, color=plotting.RED, linewidth=2)
        axes[0].set_ylim(-0.03, 1.03)
        if float(result.curve.max()) > 1 or float(result.curve.min()) < 0:
            axes[0].set_ylim(auto=True)
        axes[0].set_title(f"the curve (line) and shuffle {len(result.drawn)} of it (crosses)", fontsize=10)
        axes[0].set_xlabel("property, start to stop")
        axes[0].set_ylabel("response")
        edges = torch.linspace(*result.limits, 42, dtype=torch.float64)
        every, tail = (torch.histogram(each, edges).hist for each in (result.drawn, result.drawn[result.extreme]))
        axes[1].stairs(every, edges, fill=True, color="#C8C8C8")
        axes[1].stairs(tail, edges, fill=True, facecolor=plotting.BLUE, edgecolor="white", hatch="////", linewidth=0)
        axes[1].axvline(result.score, color=plotting.RED, linewidth=2)
        axes[1].axvline(result.centre, color="black", linewidth=1, linestyle="--")
        axes[1].set_xlim(*result.limits)
        axes[1].set_ylim(0, max(1.0, float(every.max())) * 1.15)
        axes[1].set_title(
            f"{_count(len(result.drawn))}; line: true order, dashed: mean\n"
            f"hatched: as far from the mean, or farther;  p = {_ratio(result)} = {result.p_value:.3f}",
            fontsize=10,
        )
        axes[1].set_xlabel("score")
        axes[1].set_ylabel("shuffles")
        return plotting.png(figure, dpi=90)

    def describe(self, result: Drawn, **_: Any) -> str:
        count, extreme = len(result.drawn), int(result.extreme.sum())
        side = "below" if result.score < result.centre else "above"
        if abs(result.score - result.centre) <= 1e-9 * max(1.0, abs(result.centre)):
            side = "at"
        meaning = {
            "below": "the true order is smoother than its shuffles",
            "above": "the true order is rougher than its shuffles",
            "at": "every order has the same score, and ties count",
        }[side]
        span = float(result.curve.max() - result.curve.min())
        true_order = "" if result.published else ", and the true order counts as one more"
        return (
            f"The true order scores {_number(result.score)}, {side} the mean {_number(result.centre)} of "
            f"{_count(count)}: {meaning}. {extreme} of them are at least as far from it{true_order}: "
            f"p = {_ratio(result)} = {result.p_value:.3f}. The span of the curve is {_number(span)}."
        )


def _count(shuffles: int) -> str:
    return f"{shuffles} shuffle{'' if shuffles == 1 else 's'}"


def _ratio(result: Drawn) -> str:
    extra = 0 if result.published else 1
    return f"{int(result.extreme.sum()) + extra} / {len(result.drawn) + extra}"


WIDGETS = (PropertyDial, PhotoDial, ChanceMeter)
