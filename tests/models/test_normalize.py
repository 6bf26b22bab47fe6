"""What a network of the course says to pictures that it cannot take: one sentence that names the fix."""

from __future__ import annotations

import pytest
import torch

from vizcourse.models.networks import Normalize


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (torch.zeros(0, 3, 8, 8), "The batch is empty"),
        (torch.zeros(3, 8, 8), r"images\[None\]"),
        (torch.zeros(2, 1, 8, 8), r"\(N, 3, height, width\), not \(2, 1, 8, 8\)"),
        (torch.full((1, 3, 8, 8), float("nan")), "NaN or infinite"),
        (torch.full((1, 3, 8, 8), float("inf")), "NaN or infinite"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), r"images.float\(\) / 255"),
        (torch.full((1, 3, 8, 8), 255.0), "divide by 255"),
        ([[1.0]], "not a list"),
    ],
)
def test_bad_pictures_get_one_sentence(images, sentence):
    with pytest.raises(ValueError, match=sentence):
        Normalize([0.5] * 3, [0.25] * 3)(images)


def test_good_pictures_are_normalised_by_hand():
    images = torch.full((2, 3, 4, 4), 0.75)
    assert torch.equal(
        Normalize([0.5, 0.25, 0.75], [0.25, 0.5, 1.0])(images)[0, :, 0, 0], torch.tensor([1.0, 1.0, 0.0])
    )
