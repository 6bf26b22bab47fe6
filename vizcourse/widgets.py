"""The base class of the course's widgets.

A widget is three things: controls, a pure ``compute(**state)``, and a ``draw(result, **state)`` that returns a PNG.
The rest is the same for all of them and lives here: pictures go out through ``ipywidgets.Image`` and text through
``ipywidgets.HTML`` (no ``Output``, no ``clear_output``), so a widget behaves the same in JupyterLab, Notebook, Colab and
under nbval, on ipywidgets 7.7 and 8.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import html
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets

#: Seconds without a change after which a dragged slider is answered.
PAUSE = 0.04


class Notice(ValueError):
    """The learner's input cannot be used: shown in the widget as advice, and not an error of the course."""


def _leave_out_of_collections(many: int = 60_000) -> None:
    """In a lesson, take what has been loaded since its set-up out of garbage collections, as the set-up did.

    Lessons import more as they go on. A full collection walks through all of that, a fifth of a second in which a widget
    does not answer.
    """
    if gc.get_freeze_count() and len(gc.get_objects()) > many:
        gc.collect()
        gc.freeze()


class Explorer:
    """A widget of the course.

    A subclass sets :attr:`title` and implements four methods:

    - ``make_controls()`` → ``{name: ipywidgets control with a .value}``; each control needs a ``description``;
    - ``compute(**state)`` → any result; pure: it depends on nothing but the state;
    - ``draw(result, **state)`` → PNG bytes; like the next, it names those parts of the state that it needs:
      ``def draw(self, result, layer, **_)``;
    - ``describe(result, **state)`` → one or two sentences that say what the picture shows. It stands under the picture, is read
      out by screen readers, and is the text of the static copy.

    The widget is shown by putting it at the end of a cell. Where widgets cannot run, the same output shows a PNG.

    Attributes:
        controls: the ipywidgets controls by name.
        errors: exceptions that a callback met (shown in the widget as well); empty when all is well.
        result: what ``compute`` returned last.
    """

    title = "Explorer"
    #: Width of the picture on the page, in CSS pixels; the PNG may hold more (sharp on dense screens).
    width = 720

    def __init__(self) -> None:
        _leave_out_of_collections()
        self.errors: list[Exception] = []
        self.result: Any = None
        self._drawn: dict[str, Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._held = False
        self._description = ""
        self.picture = ipywidgets.Image(format="png", layout=ipywidgets.Layout(width=f"{self.width}px", max_width="100%"))
        self.text = ipywidgets.HTML()
        self.message = ipywidgets.HTML()
        self.controls = self.make_controls()
        for name, control in self.controls.items():
            if not control.description:
                raise ValueError(f"Control {name!r} of {type(self).__name__} needs a description.")
            control.observe(self._changed, names="value")
        heading = ipywidgets.HTML(f"<b>{html.escape(self.title)}</b>")
        self.root = ipywidgets.VBox([heading, self.arrange(), self.message, self.picture, self.text])
        self.update()

    # --- what a subclass writes ------------------------------------------------------------------------------------

    def make_controls(self) -> dict[str, ipywidgets.Widget]:
        raise NotImplementedError

    def compute(self, **state: Any) -> Any:
        raise NotImplementedError

    def draw(self, result: Any, **state: Any) -> bytes:
        raise NotImplementedError

    def describe(self, result: Any, **state: Any) -> str:
        raise NotImplementedError

    def arrange(self) -> ipywidgets.Widget:
        """The controls' layout: by default a row that wraps."""
        return row(*self.controls.values())

    def settle(self, name: str) -> None:
        """Bring other controls in line after control ``name`` has changed (a preset fills in numbers, say)."""

    def answer_value(self) -> Any:
        """What an exercise that is solved in this widget takes as the learner's answer: by default the state."""
        return self.state

    # --- state -----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> dict[str, Any]:
        """The controls' values by name."""
        return {name: control.value for name, control in self.controls.items()}

    def set(self, **values: Any) -> Explorer:
        """Move controls from code and draw at once: ``lab.set(stride=2)``. Returns the widget.

        Raises:
            ValueError: there is no such control, or it does not take that value.
        """
        for name in values:
            if name not in self.controls:
                raise ValueError(f"{type(self).__name__} has no control {name!r}; it has {', '.join(self.controls)}.")
        try:
            with self._holding():
                for name, value in values.items():
                    try:
                        self.controls[name].value = value
                    except Exception as error:
                        raise ValueError(f"Control {name!r} does not take {value!r}: {error}") from None
        finally:
            self.update()
        return self

    @contextmanager
    def _holding(self) -> Iterator[None]:
        """All controls first, one drawing afterwards: changes inside the block draw nothing by themselves."""
        held, self._held = self._held, True
        try:
            yield
        finally:
            self._held = held

    def _changed(self, change: dict[str, Any]) -> None:
        name = next((name for name, control in self.controls.items() if control is change["owner"]), None)
        try:
            if name is not None:
                self.settle(name)
        except Exception as error:
            self._fail(error)
            return
        if not self._held:
            self._schedule()

    def _schedule(self) -> None:
        """Answer the last of a burst of changes: each change restarts a short timer, so nothing stale queues up."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # plain Python, without a kernel's event loop
            self.update()
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(PAUSE, self.update)

    def update(self) -> None:
        """Compute and draw for the controls' present values, unless that is what is shown already."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        state = self.state
        if state == self._drawn:
            return
        self._drawn = state
        try:
            result = self.compute(**state)
            picture, text = self.draw(result, **state), self.describe(result, **state)
        except Exception as error:
            self._fail(error)
            return
        self.result = result
        self.picture.value = picture
        self.text.value = f'<div role="status" aria-live="polite">{html.escape(text)}</div>'
        self._say("")
        self._description = text

    def _fail(self, error: Exception) -> None:
        sentence = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, Notice):
            self._say(f"ⓘ {sentence}")
            return
        self.errors.append(error)
        self._say(f"⚠ {type(error).__name__}: {sentence}")

    def _say(self, sentence: str) -> None:
        self.message.value = f'<div role="alert">{html.escape(sentence)}</div>' if sentence else ""

    # --- display ---------------------------------------------------------------------------------------------------

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The live widget, a PNG for viewers that cannot run it, and the description."""
        self.update()
        bundle: dict[str, Any] = {
            "text/plain": f"[{self.title}] {self._description}".strip(),
            "application/vnd.jupyter.widget-view+json": {
                "version_major": 2,
                "version_minor": 0,
                "model_id": self.root.model_id,
            },
        }
        if self.picture.value:
            bundle["image/png"] = base64.b64encode(self.snapshot()).decode("ascii")
        return bundle

    def snapshot(self) -> bytes:
        """The PNG of the static copy: by default the picture as it stands."""
        return bytes(self.picture.value)

    def close(self) -> None:
        """Free the widget's models in the kernel and the page."""
        for control in self.controls.values():
            control.unobserve_all()
        if self._timer is not None:
            self._timer.cancel()
        pile = [self.root]
        while pile:
            widget = pile.pop()
            pile.extend(getattr(widget, "children", ()))
            widget.close()


# --- controls ------------------------------------------------------------------------------------------------------
#
# One call each, with the course's widths, so that a lesson's explorer reads as a list of what can be changed.

#: Labels are as wide as their text: none is cut off.
_WHOLE_LABEL = {"description_width": "initial"}


def choice(
    description: str, options: Sequence, value: Any = None, *, width: int | None = None, buttons: int | None = None
) -> ipywidgets.Dropdown | ipywidgets.ToggleButtons:
    """One of a few: a list to unfold, or, with ``buttons``, buttons of so many pixels beside each other.

    Args:
        description: the label.
        options: values, or ``(label, value)``; a mapping counts as its keys.
        value: the one to begin with, by default the first.
        width: pixels of the whole control.
    """
    chosen = {} if value is None else {"value": value}
    if buttons is not None:
        style = {**_WHOLE_LABEL, "button_width": f"{buttons}px"}
        return ipywidgets.ToggleButtons(options=list(options), description=description, style=style, **chosen)
    return ipywidgets.Dropdown(
        options=list(options), description=description, style=_WHOLE_LABEL, layout=_layout(width), **chosen
    )


def slider(
    description: str,
    value: float,
    low: float,
    high: float,
    step: float | None = None,
    *,
    width: int | None = None,
    live: bool = True,
) -> ipywidgets.IntSlider | ipywidgets.FloatSlider:
    """A number from ``low`` to ``high``: whole where all four are. ``live=False`` answers when it is let go."""
    options = {"style": _WHOLE_LABEL, "layout": _layout(width), "continuous_update": live, "description": description}
    if all(isinstance(number, int) for number in (value, low, high, step or 1)):
        return ipywidgets.IntSlider(value, low, high, step or 1, **options)
    return ipywidgets.FloatSlider(value, min=low, max=high, step=step or (high - low) / 20, **options)


def steps(description: str, options: Sequence, value: Any = None, *, width: int | None = None) -> ipywidgets.SelectionSlider:
    """A slider along given values, such as the layers of a network; it begins with ``value``, by default the first."""
    options = list(options)
    return ipywidgets.SelectionSlider(
        options=options,
        value=options[0] if value is None else value,
        description=description,
        style=_WHOLE_LABEL,
        layout=_layout(width),
    )


def between(description: str, value: tuple[int, int], low: int, high: int) -> ipywidgets.IntRangeSlider:
    """A range of whole numbers, both ends included."""
    return ipywidgets.IntRangeSlider(value=value, min=low, max=high, description=description, style=_WHOLE_LABEL)


def switch(description: str, on: bool = False) -> ipywidgets.Checkbox:
    """On or off."""
    return ipywidgets.Checkbox(on, description=description, indent=False, layout=ipywidgets.Layout(width="auto"))


def text(
    description: str, value: str = "", *, placeholder: str = "", width: int | None = None, live: bool = True
) -> ipywidgets.Text:
    """A line to type into. ``live=False`` waits for the Enter key."""
    return ipywidgets.Text(
        value,
        description=description,
        placeholder=placeholder,
        continuous_update=live,
        style=_WHOLE_LABEL,
        layout=_layout(width),
    )


def _layout(width: int | None) -> ipywidgets.Layout:
    return ipywidgets.Layout() if width is None else ipywidgets.Layout(width=f"{width}px", max_width="100%")


def row(*controls: ipywidgets.Widget) -> ipywidgets.Box:
    """Controls side by side, wrapping to the next line on a narrow screen."""
    return ipywidgets.Box(list(controls), layout=ipywidgets.Layout(display="flex", flex_flow="row wrap", align_items="center"))


def column(*parts: ipywidgets.Widget) -> ipywidgets.VBox:
    """Controls or rows of controls below each other."""
    return ipywidgets.VBox(list(parts))
