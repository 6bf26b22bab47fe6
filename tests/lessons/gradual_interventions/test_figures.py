"""Figures of lesson 07: the figure of their edits."""

import torch
from torch import nn

from vizcourse.lessons.gradual_interventions import figures
from vizcourse.methods.property_gradients import property_effect


class ByRed(nn.Module):
    """Five classes: the brighter a photograph the surer, and named by where its red is."""

    def forward(self, images):
        return 10 * images.mean(dim=(1, 2, 3))[:, None] * images[:, 0, 0, :5]


def test_the_figure_of_edits_takes_any_number_of_edits():
    photographs, names = torch.rand(3, 3, 8, 8), ("a", "b", "c")
    pictures = photographs[:, None] * torch.linspace(1, 0.5, 5)[:, None, None, None]
    effect = property_effect(ByRed(), pictures, permutations=9)
    shown = figures.photographs_edited(
        photographs, names, names, {"darker": pictures}, {"darker": effect}, {"darker": [effect]}, {"darker": "light"}
    )
    assert shown.kind in ("jpeg", "png")
