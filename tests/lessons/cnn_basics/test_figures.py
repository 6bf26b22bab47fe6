"""Figures of lesson 01: the three photographs, and the table of what is left of their answers."""

import torch

from vizcourse.lessons.cnn_basics import figures


def test_the_table_takes_any_number_of_layers():
    each = {
        "untouched": torch.rand(3), "needed": torch.rand(3, 3), "as loud": torch.rand(3, 10), "loudest": torch.rand(3),
        "chosen": [[1], [2], [3]],
    }
    shown = figures.whose_channels(torch.rand(3, 3, 8, 8), ("a", "b", "c"), ("A", "B", "C"), {"first": each})
    assert shown.kind in ("jpeg", "png")
