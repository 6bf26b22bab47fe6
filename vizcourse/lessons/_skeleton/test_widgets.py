"""Lesson 00's explorer, driven by its real controls."""

import pytest

from tests import every_explorer
from vizcourse.lessons._skeleton.study import pictures
from vizcourse.lessons._skeleton.widgets import Dimmer
from vizcourse.models import load


@pytest.fixture(scope="module")
def model():
    return load("cnn-shapes")


@pytest.fixture
def lab(model):
    return Dimmer(model, *pictures(4))


def test_light_changes_the_answer(lab):
    assert lab.is_right(1, 100) and not lab.is_right(1, 0)
    lab.set(picture=1, light=0)
    assert "which is wrong" in lab.text.value


def test_what_holds_for_every_explorer(lab, model):
    every_explorer.takes_every_control_at_its_ends([lab])
    every_explorer.can_be_read_out([lab])
    every_explorer.survives_a_storm([lab], [model])
