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
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets

from vizcourse import plotting

#: Seconds without a change after which a dragged slider is answered.
PAUSE = 0.04
#: For answers that grow, in seconds: the length of a portion, the gap before the next one, in which the kernel hears of the
#: learner's changes, and the time from one look to the next.
PORTION, GAP, LOOK = 0.03, 0.01, 0.25


class Notice(ValueError):
    """The learner's input cannot be used: shown in the widget as advice, and not an error of the course."""


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # plain Python, without a kernel's event loop
        return None


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
    #: Whether there is more to come for the present state (:class:`Growing`).
    growing = False

    def __init__(self) -> None:
        _leave_out_of_collections()
        self.errors: list[Exception] = []
        self.result: Any = None
        self._drawn: dict[str, Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._held = False
        self._home = _running_loop()
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
        # JupyterLab may hand in changes on a thread of their own, beside a running cell. All work is done where the widget was
        # made: of two passes through one model at the same time, each would meet the other's hooks.
        if self._home is not None and self._home.is_running() and _running_loop() is not self._home:
            self._home.call_soon_threadsafe(self._changed, change)
            return
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
        loop = _running_loop()
        if loop is None:
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
        spoken = "off" if self.growing else "polite"  # read out once, when it is complete
        self.text.value = f'<div role="status" aria-live="{spoken}">{html.escape(text)}</div>'
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
            bundle["image/png"] = base64.b64encode(plotting.fewer_colours(self.snapshot())).decode("ascii")
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


class Growing(Explorer):
    """An explorer whose answer takes seconds: its start is shown at once, and it grows while the learner looks.

    A subclass writes two things more, and keeps what has been made so far itself (by state, say, so that it goes on where it
    was left):

    - ``growing`` → whether there is more to make for the state that was computed last;
    - ``grow(seconds)``: make about so many seconds of it, but at least the least that can be made.

    ``compute`` makes nothing: it gives what there is. Portions are made on the kernel's event loop, where there is one, and the
    answer is computed and drawn anew every :data:`LOOK` seconds. Any change of a control comes first, and stops what grew for
    the state before. Without an event loop nothing grows by itself: :meth:`advance` and :meth:`finish` make it.
    """

    _looked = 0.0

    @property
    def growing(self) -> bool:
        raise NotImplementedError

    def grow(self, seconds: float) -> None:
        raise NotImplementedError

    def advance(self, portions: int = 1) -> Growing:
        """Make so many of the least portions at once, and show what there is then. Returns the widget."""
        self.update()
        if any([self._grown(0) for _ in range(portions)]) and not self.message.value:
            self._look()
        return self

    def finish(self) -> Growing:
        """Make all that is to come at once, which takes seconds: for a static copy. Returns the widget."""
        self.update()
        while self._grown(PORTION):
            pass
        if self._drawn is None and not self.message.value:
            self._look()
        return self

    def update(self) -> None:
        super().update()
        self._looked = time.perf_counter()
        self._soon()

    def _grown(self, seconds: float) -> bool:
        """Make a portion, if there is more to make and the widget has not been closed; whether it was made."""
        if not self.growing or self.message.value or self.root.comm is None:
            return False
        self._drawn = None  # what is shown is no longer what there is
        try:
            self.grow(seconds)
        except Exception as error:
            self._fail(error)
            return False
        return True

    def _soon(self, look: bool = False) -> None:
        """Go on after a gap; where ``look``, with a look at what there is, which takes a turn of its own."""
        loop = _running_loop()
        if loop is not None and self._timer is None and (look or self.growing) and not self.message.value:
            self._timer = loop.call_later(GAP, self._go_on, look)

    def _go_on(self, look: bool) -> None:
        self._timer = None
        if look:
            self._look()
        elif self._grown(PORTION):
            self._soon(not self.growing or time.perf_counter() - self._looked > LOOK)

    def _look(self) -> None:
        """Show what there is now."""
        self._drawn = None
        self.update()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        self.finish()
        return super()._repr_mimebundle_(include, exclude)


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


def toggle(description: str, on: bool = False) -> ipywidgets.ToggleButton:
    """On or off, as a button that stays pressed."""
    return ipywidgets.ToggleButton(on, description=description, layout=ipywidgets.Layout(width="auto"))


def whole_number(description: str, value: int, *, width: int | None = None) -> ipywidgets.IntText:
    """A whole number to type; which of them it can use, the explorer says in a :class:`Notice`."""
    return ipywidgets.IntText(value, description=description, style=_WHOLE_LABEL, layout=_layout(width))


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
