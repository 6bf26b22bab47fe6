"""The photographs of which a network is surest."""

import pytest
import torch
from torch import nn

from vizcourse.models.evaluation import surest
from vizcourse.worlds.photos import Gallery


class ByBrightness(nn.Module):
    """Five classes: the brighter a photograph the surer, and named by where its red is."""

    def forward(self, images):
        return 10 * images.mean(dim=(1, 2, 3))[:, None] * images[:, 0, 0, :5]


def gallery(*marks):
    images = torch.zeros(len(marks), 3, 8, 8)
    for image, (column, brightness) in zip(images, marks, strict=True):
        image[:] = brightness / 2
        image[0, 0, column] = brightness
    return Gallery(images, tuple(f"{column} {brightness}" for column, brightness in marks), "drawn here")


def test_the_three_surest_photographs_are_of_three_classes():
    images, said, names = surest(ByBrightness(), gallery((2, 0.9), (2, 0.8), (0, 0.3), (4, 0.5), (1, 0.7)))
    assert names == ("2 0.9", "4 0.5", "1 0.7")
    assert said.tolist() == [2, 4, 1] and images.shape == (3, 3, 8, 8)


def test_too_few_classes_are_named():
    with pytest.raises(ValueError, match="2 classes and 3 are needed"):
        surest(ByBrightness(), gallery((2, 0.9), (0, 0.8), (0, 0.3)))
