"""vizcourse.lessons.attribution.figures: the figures of photographs, for as many as a learner's folder may hold."""

import pytest
import torch

from vizcourse.lessons.attribution import figures


@pytest.mark.parametrize("count", [1, 3, 6])
def test_photographs_are_drawn_one_a_row_and_four_at_most(count):
    pictures, maps = torch.rand(count, 3, 16, 16), torch.rand(count, 16, 16)
    names = [["tiger cat"] * count, ["tabby"] * count]
    shown = figures.photographs(pictures, names, [maps, maps], maps - 0.5, [pictures] * 2, [maps] * 2)
    assert shown.kind in ("jpeg", "png") and shown.description and len(shown.content) > 1000


@pytest.mark.parametrize("count", [1, 4])
def test_a_cascade_of_any_methods_is_drawn(count):
    names = ("gradient", "Grad-CAM", "guided backprop", "LRP", "gradient × input")
    found = {metric: {name: torch.rand(3, count) for name in names} for metric in ("spearman", "spearman signed")}
    others = {metric: {name: torch.rand(count) for name in names} for metric in found}
    shown = figures.real_cascade(found, others, ["trained", "fc", "all the rest"], {"gradient": "#0072B2"})
    assert shown.kind == "png" and shown.description and len(shown.content) > 1000
