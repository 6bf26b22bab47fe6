"""Lesson 04's photographs: which are taken, and where two runs differ."""

import pytest
import torch
from torch import nn

from vizcourse.lessons.activation_patching import figures
from vizcourse.worlds import photos


class Colour(nn.Module):
    """Says which channel of the picture is brightest, the surer the more so."""

    def __init__(self, constant: bool = False) -> None:
        super().__init__()
        self.map, self.constant = nn.Identity(), constant

    def forward(self, images):
        means = self.map(images).mean((2, 3))
        return torch.zeros_like(means) if self.constant else 10 * means


def test_the_surest_of_three_classes_are_taken(monkeypatch):
    images = torch.zeros(5, 3, 8, 8)
    for row, (channel, value) in enumerate([(0, 0.5), (0, 0.9), (1, 0.3), (2, 0.7), (1, 0.2)]):
        images[row, channel] = value
    own = photos.Gallery(images, tuple("abcde"), "five")
    monkeypatch.setattr(photos, "gallery", lambda size, limit: own)
    three, said, names = figures.surest(Colour(), 8)
    assert names == ("b", "d", "c") and said.tolist() == [0, 2, 1] and torch.equal(three, images[[1, 3, 2]])


def test_the_courses_are_taken_if_ones_own_are_too_much_alike(monkeypatch):
    own = photos.Gallery(torch.ones(2, 3, 16, 16), ("a", "b"), "two")
    monkeypatch.setattr(photos, "gallery", lambda size, limit: own)
    with pytest.raises(ValueError, match="less than three classes"):
        figures.surest(Colour(constant=True), 16)


def test_where_two_runs_differ():
    clean = torch.ones(2, 3, 14, 14)
    corrupted = clean.clone()
    corrupted[..., :2, :2] = 3
    changed = figures.changed(Colour(), "map", clean, corrupted)
    assert changed.shape == (7, 7) and changed[0, 0] == 2 and changed.sum() == 2
