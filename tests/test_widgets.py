"""The widgets' base class: bursts, errors, display, and what is left behind."""

from __future__ import annotations

import asyncio
import base64
import io
import json

import ipywidgets
import pytest
from PIL import Image

from vizcourse import widgets as core
from vizcourse.widgets import Explorer, Notice


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
    assert base64.b64decode(bundle["image/png"]) == square.picture.value
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
    every = (whole, broken, listed, pressed, typed)
    assert all(control.description for control in every)
    # No label is cut off.
    assert all(control.style.description_width == "initial" for control in every)
