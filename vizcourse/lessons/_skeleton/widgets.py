"""Lesson 00's explorer: less light for the network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vizcourse import plotting
from vizcourse.widgets import Explorer, slider


@dataclass(frozen=True)
class Dimmed:
    """What the network sees and answers."""

    image: Tensor
    probabilities: Tensor


class Dimmer(Explorer):
    """One picture, with as much light as you like.

    Args:
        model: a classifier with an attribute ``classes``.
        images: pictures to choose from, ``(N, 3, height, width)``.
        labels: their classes, ``(N,)``.
    """

    title = "Dimmer: how much light does it need?"

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor) -> None:
        self.model, self.images, self.labels = model, images, labels
        super().__init__()

    def make_controls(self) -> dict:
        return {
            "picture": slider("Picture", 0, 0, len(self.images) - 1),
            "light": slider("Light, %", 100, 0, 100, 5),
        }

    @torch.no_grad()
    def compute(self, picture: int, light: int) -> Dimmed:
        image = self.images[picture] * light / 100
        return Dimmed(image, self.model(image[None]).softmax(dim=1)[0])

    def is_right(self, picture: int, light: int) -> bool:
        """Whether the network knows a picture's class with so much light."""
        return int(self.compute(picture, light).probabilities.argmax()) == int(self.labels[picture])

    def answer_value(self) -> dict:
        picture, light = self.state["picture"], self.state["light"]
        above = self.is_right(picture, min(light + 5, 100))
        touched = (picture, light) != (0, 100)
        return {**self.state, "right": self.is_right(picture, light), "right above": above, "touched": touched}

    def draw(self, result: Dimmed, light: int, **_: object) -> bytes:
        figure, axes = plotting.new(
            7, 2.4, 1, 2, margins={"left": 0.02, "right": 0.97, "bottom": 0.2, "top": 0.88, "wspace": 0.3}
        )
        plotting.picture(axes[0], result.image, f"{light} % of the light")
        plotting.probabilities(axes[1], self.model.classes, result.probabilities)
        return plotting.png(figure)

    def describe(self, result: Dimmed, picture: int, light: int) -> str:
        said, true = (self.model.classes[int(index)] for index in (result.probabilities.argmax(), self.labels[picture]))
        verdict = "right" if said == true else f"wrong, it is a {true}"
        return f"Picture {picture} with {light} % of its light: the network says {said}, which is {verdict}."


WIDGETS = (Dimmer,)
