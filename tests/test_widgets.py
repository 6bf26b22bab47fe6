"""The widgets' base class: bursts, errors, display, and what is left behind."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading

import ipywidgets
import pytest
from PIL import Image

from vizcourse import widgets as core
from vizcourse.widgets import Explorer, Growing, Notice


class Square(Explorer):
    """Squares a number; 13 is advice, 7 a fault."""

    title = "Square"

    def __init__(self):
        self.computed = []
        super().__init__()

    def make_controls(self):
        return {
            "x": ipywidgets.IntSlider(2, 0, 1000, description="x"),
            "name": ipywidgets.Text("a", description="name"),
        }

    def compute(self, x, name):
        self.computed.append(x)
        if x == 13:
            raise Notice("13 is not for today: take another number.")
        if x == 7:
            raise ZeroDivisionError("seven\nis broken")
        return x * x

    def draw(self, result, **state):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), (result % 256, 0, 0)).save(buffer, format="PNG")
        return buffer.getvalue()

    def describe(self, result, **state):
        return f"the square is {result} & <b>more</b>"


def test_it_is_drawn_at_once_and_describes_itself():
    square = Square()
    assert square.result == 4 and "the square is 4" in square.text.value
    assert "<b>more" not in square.text.value  # descriptions are text, not HTML
    assert Image.open(io.BytesIO(square.picture.value)).getpixel((0, 0)) == (4, 0, 0)


def test_the_same_state_is_not_computed_twice():
    square = Square()
    square.update()
    square.set(x=2)
    assert square.computed == [2]


def test_set_moves_several_controls_and_draws_once():
    square = Square().set(x=5, name="b")
    assert square.computed == [2, 5] and square.state == {"x": 5, "name": "b"}
    assert square.answer_value() == {"x": 5, "name": "b"}


def test_set_names_unknown_controls_and_values():
    square = Square()
    with pytest.raises(ValueError, match="no control 'y'; it has x, name"):
        square.set(y=1)
    with pytest.raises(ValueError, match="'x' does not take 'many'"):
        square.set(x="many")
    assert square.errors == []


def test_a_storm_of_a_thousand_changes_is_answered_once_with_the_last_position():
    async def storm():
        square = Square()
        for x in range(100, 1000):
            square.controls["x"].value = x
        await asyncio.sleep(core.PAUSE * 3)
        return square

    square = asyncio.run(storm())
    assert square.computed == [2, 999] and square.result == 999**2


def test_changes_from_another_thread_are_answered_where_the_widget_was_made():
    """As in JupyterLab with a kernel that has subshells: two threads would use one model at once."""
    threads = []

    class Watched(Square):
        def settle(self, name):
            threads.append(threading.get_ident())

        def compute(self, x, name):
            threads.append(threading.get_ident())
            return super().compute(x, name)

    async def change():
        square = Watched()
        await asyncio.to_thread(setattr, square.controls["x"], "value", 5)
        await asyncio.to_thread(lambda: asyncio.run(later(square, 6)))
        await asyncio.sleep(core.PAUSE * 3)
        return square

    async def later(square, x):
        square.controls["x"].value = x
        await asyncio.sleep(core.PAUSE * 3)

    square = asyncio.run(change())
    assert square.result == 36 and len(threads) >= 4 and set(threads) == {threading.get_ident()}
    square.controls["x"].value = 3  # its event loop is no more
    assert square.result == 9


def test_advice_and_faults_are_shown_and_only_faults_are_kept():
    square = Square()
    square.controls["x"].value = 13
    assert "13 is not for today" in square.message.value and square.errors == []
    assert square.result == 4  # what was drawn stays
    square.controls["x"].value = 7
    assert "ZeroDivisionError: seven is broken" in square.message.value
    assert [type(error) for error in square.errors] == [ZeroDivisionError]
    square.controls["x"].value = 3
    assert square.message.value == "" and square.result == 9


def test_one_output_holds_the_live_widget_its_picture_and_its_text():
    square = Square()
    bundle = square._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == square.root.model_id
    copy, picture = (Image.open(io.BytesIO(png)) for png in (base64.b64decode(bundle["image/png"]), square.picture.value))
    assert copy.size == picture.size and copy.mode == "P"  # few colours, since every saved notebook holds it
    assert bundle["text/plain"].startswith("[Square] the square is 4")
    json.dumps(bundle)


def test_every_control_needs_a_description():
    class Nameless(Square):
        def make_controls(self):
            return {"x": ipywidgets.IntSlider(2, 0, 10)}

        def compute(self, x):
            return x

    with pytest.raises(ValueError, match="needs a description"):
        Nameless()


def test_closing_leaves_no_model_behind():
    registry = (
        ipywidgets.Widget.widgets
        if int(ipywidgets.__version__.split(".")[0]) < 8
        else ipywidgets.widgets.widget._instances
    )
    before = set(registry)
    square = Square()
    assert len(set(registry) - before) > 5
    square.close()
    left = set(registry) - before
    assert not any(isinstance(registry[key], ipywidgets.DOMWidget) for key in left)


def test_what_a_lesson_loaded_is_left_out_of_garbage_collections(monkeypatch):
    frozen = []
    monkeypatch.setattr(core.gc, "freeze", lambda: frozen.append(True))
    monkeypatch.setattr(core.gc, "get_objects", lambda: range(70_000))
    monkeypatch.setattr(core.gc, "get_freeze_count", lambda: 0)
    core._leave_out_of_collections()
    assert not frozen  # no lesson was set up: a program of its own
    monkeypatch.setattr(core.gc, "get_freeze_count", lambda: 10)
    core._leave_out_of_collections()
    assert len(frozen) == 1
    monkeypatch.setattr(core.gc, "get_objects", lambda: range(50_000))
    core._leave_out_of_collections()
    assert len(frozen) == 1  # little was added


def test_controls_are_one_call_each():
    whole, broken = core.slider("Picture", 0, 0, 9), core.slider("Opacity", 0.5, 0, 1, 0.05, width=300, live=False)
    assert isinstance(whole, ipywidgets.IntSlider) and isinstance(broken, ipywidgets.FloatSlider)
    assert (whole.min, whole.max, whole.step, broken.step) == (0, 9, 1, 0.05)
    assert whole.continuous_update and not broken.continuous_update and broken.layout.width == "300px"
    listed, pressed = core.choice("Layer", {"a": 1, "b": 2}), core.choice("Cue", [("one", 1), ("two", 2)], 2, buttons=60)
    assert listed.value == "a" and isinstance(pressed, ipywidgets.ToggleButtons) and pressed.value == 2
    assert core.choice("Class", [("none", -1), ("cat", 0)], 0).value == 0
    assert core.steps("Layer", ["a", "b"]).value == "a" and core.steps("Layer", ["a", "b"], "b").value == "b"
    assert core.between("Rows", (1, 3), 0, 5).value == (1, 3) and core.switch("ReLU", True).value
    typed = core.text("Channels", placeholder="3, 7", live=False)
    assert typed.value == "" and typed.placeholder == "3, 7" and not typed.continuous_update
    channel, stop = core.whole_number("Channel", 7, width=120), core.toggle("Stop")
    assert channel.value == 7 and channel.layout.width == "120px" and stop.value is False
    every = (whole, broken, listed, pressed, typed, channel)
    assert all(control.description for control in every)
    # No label is cut off.
    assert all(control.style.description_width == "initial" for control in every)


# --- answers that grow ----------------------------------------------------------------------------------------


class Counting(Growing):
    """Counts to a number, one by one; from 100 it cannot."""

    title = "Counting"

    def __init__(self):
        self.counts, self.looks = {}, []
        super().__init__()

    def make_controls(self):
        return {"to": core.slider("to", 0, 0, 100), "tens": core.switch("tens")}

    def compute(self, to, tens):
        self.here = None
        if to == 13:
            raise Notice("13 is not for today.")
        self.here, self.end = (to, tens), 10 * to if tens else to
        return self.counts.setdefault(self.here, 0)

    @property
    def growing(self):
        return self.here is not None and self.counts[self.here] < self.end

    def grow(self, seconds):
        if self.here[0] == 100:
            raise OverflowError("too far")
        self.counts[self.here] += 1

    def draw(self, result, **_):
        self.looks.append(result)
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, format="PNG")
        return buffer.getvalue()

    def describe(self, result, **_):
        return f"counted to {result}"


async def until_done(growing, seconds=10):
    for _ in range(int(seconds / 0.01)):
        if growing._timer is None:
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


def test_an_answer_grows_while_the_learner_looks(monkeypatch):
    monkeypatch.setattr(core, "LOOK", 0.03)

    async def look():
        counting = Counting().set(to=20)
        first = counting.result, counting.text.value
        await until_done(counting)
        return counting, first

    counting, (first, text) = asyncio.run(look())
    assert first == 0 and 'aria-live="off"' in text
    assert counting.result == 20 and 'aria-live="polite"' in counting.text.value and counting.errors == []
    assert 3 < len(counting.looks) < 20 and counting.looks == sorted(counting.looks)


def test_a_change_stops_what_grew_and_it_goes_on_where_it_was_left():
    async def look():
        counting = Counting().set(to=50)
        await asyncio.sleep(10 * core.GAP)
        left = counting.counts[50, False]
        counting.controls["to"].value = 3
        await until_done(counting)
        assert 0 < left < 50 and counting.counts[50, False] <= left + 1 and counting.result == 3
        counting.set(to=50)
        assert counting.result == counting.counts[50, False] >= left
        counting.controls["to"].value, counting.controls["to"].value = 4, 50  # there and back before it was answered
        await until_done(counting)
        return counting

    counting = asyncio.run(look())
    assert counting.result == 50 and (4, False) not in counting.counts


def test_without_an_event_loop_nothing_grows_by_itself():
    counting = Counting().set(to=20)
    assert counting.result == 0
    assert counting.advance(7).result == 7 and counting.looks[-1] == 7
    assert counting.advance(0).result == 7 and counting.finish().result == 20
    assert counting.advance(7).result == 20
    assert "counted to 40" in counting.set(to=40)._repr_mimebundle_()["text/plain"]


def test_advice_and_faults_stop_it():
    async def look():
        counting = Counting().set(to=20)
        counting.set(to=13)
        assert counting._timer is None and "not for today" in counting.message.value and counting.errors == []
        counting.set(to=100)
        await until_done(counting)
        return counting

    counting = asyncio.run(look())
    assert "OverflowError: too far" in counting.message.value and len(counting.errors) == 1
    assert "OverflowError: too far" in counting.set(to=1).set(to=100).finish().message.value
    assert counting.set(to=2).finish().result == 2 and counting.message.value == ""


@pytest.mark.parametrize("how", [lambda counting: counting.close(), lambda counting: counting.root.close()])
def test_a_closed_widget_does_not_go_on(how):
    async def look():
        counting = Counting().set(to=50)
        await asyncio.sleep(5 * core.GAP)
        how(counting)
        left = counting.counts[50, False]
        await asyncio.sleep(10 * core.GAP)
        return left, counting.counts[50, False]

    left, later = asyncio.run(look())
    assert 0 < left == later < 50
