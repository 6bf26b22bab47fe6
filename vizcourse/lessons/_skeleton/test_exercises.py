"""Lesson 00's exercises: what `vizcourse check` cannot know."""

import pytest
import torch

from vizcourse.exercises.kinds import SOLVED
from vizcourse.lessons._skeleton import exercises as lesson
from vizcourse.lessons._skeleton.study import pictures
from vizcourse.lessons._skeleton.widgets import Dimmer
from vizcourse.models import load


def in_a_loop(logits, labels):
    right = 0
    for row, label in zip(logits, labels, strict=True):
        right += int(torch.max(row, dim=0).indices == label)
    return right / len(labels)


@pytest.mark.parametrize("right", [in_a_loop, lambda logits, labels: 1 - (logits.argmax(1) != labels).double().mean()])
def test_other_idioms_are_right(right):
    assert lesson.ACCURACY.verdict(right).status == SOLVED


def test_the_widget_can_solve_its_exercise():
    lab = Dimmer(load("cnn-shapes"), *pictures(4))
    wrong = [level for level in range(0, 101, 5) if not lab.is_right(1, level)]
    assert lesson.DIMMED.verdict(lab.set(picture=1, light=max(wrong))).status == SOLVED
