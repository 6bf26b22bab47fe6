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
from vizcourse.widgets import Explorer, Notice, choice, column, row, slider, switch
from vizcourse.worlds import gradual, photos, scenes
from vizcourse.worlds.scenes import Scene

#: The three networks that learned to tell cats from dogs from differently biased pictures.
TRIO = ("unbiased", "dark-cats", "dark-dogs")
OWN_PICTURE, OWN_ANSWER = "my upload", -1
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


def _turning(picture: Tensor, title: str, pictures: Tensor, values: Tensor, step: int) -> tuple[Figure, Axes]:
    """A figure of ordered pictures (steps, 3, H, W), and its axes for curves over the values (steps,).

    The picture of this moment stands to the left, some of all below the curves; a line marks the step.
    """
    figure, axes = _figure((0.01, 0.1, 0.235, 0.73), (0.335, 0.36, 0.41, 0.55), (0.335, 0.02, 0.41, 0.155))
    plotting.picture(axes[0], picture, title)
    chosen = pictures[torch.linspace(0, len(pictures) - 1, 7).round().long()]
    shrink = max(1, chosen.shape[-1] // 64)  # no more pixels than the page shows
    framed = nn.functional.pad(chosen[..., ::shrink, ::shrink], (1, 1, 0, 0), value=1.0)
    plotting.picture(axes[2], torch.cat(list(framed), dim=2), aspect="auto")
    axes[1].axvline(float(values[step]), color=plotting.GREY, linewidth=1)
    axes[1].set_xlim(float(values[0]), float(values[-1]))
    return figure, axes[1]


def _position(steps: int) -> ipywidgets.FloatSlider:
    control = slider("From start to stop", 0.5, 0, 1, 1 / (steps - 1), width=420)
    control.readout = False
    return control


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
    """A property turned through all its steps, the step that the slider is at, and the curves of both metrics."""

    path: gradual.Path
    step: int
    shown: Curves
    probabilities: Curves

    @property
    def picture(self) -> Tensor:
        """The picture at the slider's position, (3, H, W)."""
        return self.path.pictures[self.step]

    @property
    def value(self) -> str:
        """The property at the slider's position, in words."""
        path, share = self.path, float(self.path.values[self.step])
        if path.factor in gradual.NUMBERS:
            return f"{share:.3g}"
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
        size = getattr(next(iter(self.networks.values())), "input_size", 64)
        # Curves are small and all kept; pictures are drawn again when they are wanted again much later.
        self._path = functools.lru_cache(maxsize=24)(
            lambda scene, factor: gradual.turn(
                self.animals[scene], factor, *chosen.get(factor, (None, None)), steps=steps, size=size
            )
        )
        self._measured = functools.cache(self._measure)
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        factors = [*gradual.RANGES, *(name for name in scenes.FACTORS if name not in gradual.RANGES and name != "distractors")]
        last = len(self.animals) - 1
        return {
            "scene": slider("Scene", min(3, last), 0, last),
            "factor": choice("Property", factors, "size"),
            "position": _position(self.steps),
            "metric": choice("Follow the", ["probability", "logit"], buttons=90),
        }

    def _measure(self, scene: int, factor: str) -> dict[str, Curves]:
        pictures = self._path(scene, factor).pictures
        answers = {"probability": [], "logit": []}
        for network in self.networks.values():
            found, index = logits(network, pictures), tuple(network.classes).index(self.target)
            answers["probability"].append(found.softmax(-1)[:, index])
            answers["logit"].append(found[:, index])
        responses = torch.stack([torch.stack(curves) for curves in answers.values()])
        # One spacing for all properties, so that their scores compare.
        test = permutation_test(responses, torch.linspace(0, 1, self.steps, dtype=torch.float64), permutations=999)
        span, change = responses.amax(-1) - responses.amin(-1), responses[..., -1] - responses[..., 0]
        return {
            metric: Curves(responses[n], test.score[n], test.p_value[n], span[n], change[n]) for n, metric in enumerate(answers)
        }

    def compute(self, scene: int, factor: str, position: float, metric: str) -> Turned:
        measured = self._measured(scene, factor)
        step = round(position * (self.steps - 1))
        return Turned(self._path(scene, factor), step, measured[metric], measured["probability"])

    def answer_value(self) -> dict[str, Any]:
        """Scene, property and, by network, span, score, p-value and change of the *probability*."""
        self.update()
        path, curves = self.result.path, self.result.probabilities
        named = {
            key: dict(zip(self.networks, map(float, getattr(curves, key)), strict=True))
            for key in ("span", "score", "p_value", "change")
        }
        return {"scene": self.state["scene"], "factor": path.factor, "start": path.start, "stop": path.stop, **named}

    def draw(self, result: Turned, factor: str, metric: str, **_: Any) -> bytes:
        path, curves, step = result.path, result.shown, result.step
        figure, axes = _turning(result.picture, f"{factor}: {result.value}", path.pictures, path.values, step)
        for n, (name, (color, line, marker, sign)) in enumerate(zip(self.networks, _LINES, strict=False)):
            curve, height = curves.responses[n], 0.87 - 0.23 * n
            axes.plot(path.values, curve, line, color=color, marker=marker, markevery=[step], markersize=8, clip_on=False)
            figure.text(0.775, height, f"{sign} {name}", color=color, fontsize=10, fontweight="bold")
            numbers = (
                f"now {_number(curve[step])}  span {_number(curves.span[n])}\n"
                f"score {_number(curves.score[n])}  p = {float(curves.p_value[n]):.3f}"
            )
            figure.text(0.775, height - 0.12, numbers, fontsize=9)
        if metric == "probability":
            axes.set_ylim(-0.05, 1.05)
        axes.set_ylabel(f"{metric} of “{self.target}”")
        if factor in gradual.NUMBERS:
            axes.set_xlabel(factor, labelpad=1)
        else:
            axes.set_xticks([0, 1], [_word(path.start), _word(path.stop)])
            for tick, side in zip(axes.get_xticklabels(), ("left", "right"), strict=True):
                tick.set_ha(side)
            axes.set_xlabel(f"{factor}, one faded into the other", labelpad=1)
        return plotting.png(figure, dpi=90)

    def describe(self, result: Turned, scene: int, factor: str, metric: str, **_: Any) -> str:
        curves = result.shown
        spoken = "; ".join(
            f"{name} {_number(curves.responses[n, result.step])} (span {_number(curves.span[n])}, "
            f"score {_number(curves.score[n])}, p = {float(curves.p_value[n]):.3f})"
            for n, name in enumerate(self.networks)
        )
        return (
            f"Scene {scene}, a {self.animals[scene].object}, {factor} {result.value}. {metric.capitalize()} of "
            f"“{self.target}”: {spoken}. Scores count the whole range of the property as 1, in {self.steps} steps."
        )


def _word(value: Any) -> str:
    """A property's value as one reads it."""
    return {"": "no word", "True": "with", "False": "without"}.get(str(value), str(value))


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
        reach = slider("How far", 1.0, 0.1, 1, 0.1)
        reach.readout_format = ".0%"
        answers = [("the network's answer", OWN_ANSWER), *((name, n) for n, name in enumerate(self.classes))]
        return {
            "picture": choice("Picture", [*sorted(photos.samples(), key=lambda name: name != "cat"), OWN_PICTURE]),
            "upload": self.upload,
            "edit": choice("Edit", EDITS),
            "reach": reach,
            "position": _position(self.steps),
            "target": choice("Class", answers),
        }

    def arrange(self) -> ipywidgets.Widget:
        c = self.controls
        return column(row(c["picture"], c["upload"], c["edit"], c["reach"]), row(c["position"], c["target"]))

    def settle(self, name: str) -> None:
        if name == "upload" and self.controls["upload"].value:
            self.controls["picture"].value = OWN_PICTURE

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
        photograph = self._uploaded[1] if picture == OWN_PICTURE else photos.samples()[picture](self.size)[0]
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
        numbers = {key: getattr(result, key) for key in ("span", "score", "p_value", "flips")}
        return {
            "picture": self.state["picture"], "edit": self.state["edit"], "target": self.classes[result.target], **numbers,
        }  # fmt: skip

    def draw(self, result: Edited, edit: str, **_: Any) -> bytes:
        *_, itself, unit = EDITS[edit]
        title = f"what the network sees,\n{edit} {float(result.strengths[result.step]):.2f} ({unit})"
        figure, axes = _turning(result.pictures[result.step], title, result.pictures, result.strengths, result.step)
        axes.axvline(itself, color=plotting.ORANGE, linewidth=1, linestyle=":")
        look = {"color": plotting.BLUE, "marker": "o", "markersize": 8}
        axes.plot(result.strengths, result.responses, markevery=[result.step], clip_on=False, **look)
        axes.set_ylim(-0.05, 1.05)
        axes.set_xlabel(f"{edit} ({unit}; dotted: the photograph itself)", labelpad=1)
        axes.set_ylabel(f"probability of\n“{_short(self.classes[result.target])}”", labelpad=1)
        best = result.now.topk(min(3, len(self.classes)))
        answers = [f"{_short(self.classes[n])} {p:.2f}" for p, n in zip(*map(Tensor.tolist, best), strict=True)]
        numbers = (
            f"span {_number(result.span)}\nscore {_number(result.score)}, p = {result.p_value:.3f}\n"
            f"in unit spacing {result.published_score:.4f}\nthe name {'flips' if result.flips else 'stays'}"
        )
        for height, heading, lines in ((0.9, "answer now", "\n".join(answers)), (0.5, "the curve", numbers)):
            figure.text(0.775, height, heading, fontsize=10, fontweight="bold", va="top")
            figure.text(0.775, height - 0.08, lines, fontsize=9, va="top")
        return plotting.png(figure, dpi=90)

    def describe(self, result: Edited, edit: str, **_: Any) -> str:
        before, now = int(result.photograph.argmax()), int(result.now.argmax())
        strength, unit = float(result.strengths[result.step]), EDITS[edit][-1]
        return (
            f"The network calls the photograph {self.classes[before]} ({float(result.photograph[before]):.2f}) and, with "
            f"{edit} at {strength:.2f} ({unit}), {self.classes[now]} ({float(result.now[now]):.2f}). Probability of "
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
            "curve": choice("Curve", self.curves),
            "shuffles": slider("Shuffles", 20, 1, MOST, width=380),
            "order": choice("Slopes", [("central differences", 2), ("to the next step", 1)]),
            "published": switch("as published: true order not counted"),
            "seed": slider("Luck (seed)", 0, 0, 19),
        }

    def arrange(self) -> ipywidgets.Widget:
        c = self.controls
        return column(row(c["curve"], c["shuffles"], self.play), row(c["order"], c["seed"], c["published"]))

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
            extreme=extreme[:shuffles],
            p_value=float(extreme.double().mean()),
        )

    def answer_value(self) -> dict[str, Any]:
        """The state with the curve's score, span and p-value."""
        self.update()
        span = float(self.result.curve.max() - self.result.curve.min())
        return {**self.state, "score": self.result.score, "span": span, "p_value": self.result.p_value}

    def draw(self, result: Drawn, published: bool, **_: Any) -> bytes:
        figure, (left, right) = _figure((0.07, 0.16, 0.36, 0.7), (0.53, 0.16, 0.45, 0.7))
        along = torch.linspace(0, 1, len(result.curve))
        left.plot(along, result.shuffled, "x", color=plotting.GREY, markersize=4)
        left.plot(along, result.curve, color=plotting.RED, linewidth=2)
        left.set_ylim(-0.03, 1.03)
        if float(result.curve.max()) > 1 or float(result.curve.min()) < 0:
            left.set_ylim(auto=True)
        left.set_title(f"the curve (line) and shuffle {len(result.drawn)} of it (crosses)", fontsize=10)
        left.set_xlabel("property, start to stop")
        left.set_ylabel("response")
        edges = torch.linspace(*result.limits, 42, dtype=torch.float64)
        every, tail = (torch.histogram(each, edges).hist for each in (result.drawn, result.drawn[result.extreme]))
        right.stairs(every, edges, fill=True, color="#C8C8C8")
        right.stairs(tail, edges, fill=True, facecolor=plotting.BLUE, edgecolor="white", hatch="////", linewidth=0)
        right.axvline(result.score, color=plotting.RED, linewidth=2)
        right.axvline(result.centre, color="black", linewidth=1, linestyle="--")
        right.set_xlim(*result.limits)
        right.set_ylim(0, max(1.0, float(every.max())) * 1.15)
        right.set_title(
            f"{_count(len(result.drawn))}; line: true order, dashed: mean\n"
            f"hatched: as far from the mean, or farther;  p = {_ratio(result, published)} = {result.p_value:.3f}",
            fontsize=10,
        )
        right.set_xlabel("score")
        right.set_ylabel("shuffles")
        return plotting.png(figure, dpi=90)

    def describe(self, result: Drawn, published: bool, **_: Any) -> str:
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
        true_order = "" if published else ", and the true order counts as one more"
        return (
            f"The true order scores {_number(result.score)}, {side} the mean {_number(result.centre)} of "
            f"{_count(count)}: {meaning}. {extreme} of them are at least as far from it{true_order}: "
            f"p = {_ratio(result, published)} = {result.p_value:.3f}. The span of the curve is {_number(span)}."
        )


def _count(shuffles: int) -> str:
    return f"{shuffles} shuffle{'' if shuffles == 1 else 's'}"


def _ratio(result: Drawn, published: bool) -> str:
    extra = 0 if published else 1
    return f"{int(result.extreme.sum()) + extra} / {len(result.drawn) + extra}"


WIDGETS = (PropertyDial, PhotoDial, ChanceMeter)
