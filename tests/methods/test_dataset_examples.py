"""vizcourse.methods.dataset_examples: against one big sort, and receptive fields by hand."""

from __future__ import annotations

import math

import pytest
import torch

from tests.methods.toys import identity, network
from vizcourse.methods.feature_visualization import (
    top_examples,
)

# ---------------------------------------------------------------------------------------------------- dataset examples


@pytest.mark.parametrize("by", ["max", "mean"])
@pytest.mark.parametrize("size", [1, 4, 30])
def test_top_examples_are_those_of_one_big_sort(by, size):
    model = network()
    images = torch.rand(30, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        maps = model.conv2(model.pool(model.relu1(model.norm1(model.conv1(images)))))
    scores = maps.amax((2, 3)) if by == "max" else maps.mean((2, 3))
    expected, order = scores.T.sort(dim=1, descending=True)
    found = top_examples(model, [(batch, "label") for batch in images.split(size)], "conv2", k=4, by=by)
    torch.testing.assert_close(found.values, expected[:, :4])
    assert torch.equal(found.index, order[:, :4])
    for unit in range(5):
        assert torch.equal(found.pictures(unit), images[order[unit, :4]])
        for rank in range(4):
            row, column = found.position[unit, rank].tolist()
            assert maps[order[unit, rank], unit, row, column] == maps[order[unit, rank], unit].max()
    assert model.tail.runs == 0
    assert set(found._pictures) == set(found.index.flatten().tolist())


def test_crops_are_receptive_fields_by_hand():
    # conv 3, average of 2, conv 3: 8 pixels; position p sees from 2p - 3 to 2p + 5
    model = network()
    images = torch.rand(9, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    found = top_examples(model, [images], "conv2", k=5)
    for unit in range(5):
        for rank, crop in enumerate(found.crops(unit)):
            (row, column), picture = found.position[unit, rank].tolist(), images[found.index[unit, rank]]
            top, left = max(0, 2 * row - 3), max(0, 2 * column - 3)
            bottom, right = min(16, 2 * row + 5), min(24, 2 * column + 5)
            assert found.boxes[unit, rank].tolist() == [top, left, bottom, right]
            assert torch.equal(crop, picture[:, top:bottom, left:right])


def test_top_examples_of_directions_channels_and_vectors():
    model, images = network(), torch.rand(7, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    everything = top_examples(model, [images], "conv2", k=3)
    some = top_examples(model, [images], "conv2", channels=[4, 1], k=3)
    along = top_examples(model, [images], "conv2", directions=torch.eye(5)[[4, 1]], k=3)
    for found in (some, along):
        torch.testing.assert_close(found.values, everything.values[[4, 1]])
        assert torch.equal(found.index, everything.index[[4, 1]])
    logits = top_examples(model, [images], "fc", k=100)
    assert logits.values.shape == (2, 7)
    assert torch.equal(logits.boxes[0, 0], torch.tensor([0, 0, 8, 8]))


def test_of_equals_the_first_is_taken():
    model, images = identity(), torch.full((6, 3, 4, 4), 0.5)
    assert top_examples(model, images.split(2), "0", k=3).index.tolist() == [[0, 1, 2]] * 3


def test_top_examples_refuse_bad_input():
    model, images = network(), torch.rand(2, 3, 8, 8)
    cases = [
        ("There are no pictures", [], {}),
        ("There are no pictures", [images[:0]], {}),
        ("NaN or infinite", [images * math.nan], {}),
        ("A batch must be a tensor", ["picture"], {}),
        ("there is no channel 9", [images], {"channels": [9]}),
        ("directions must be", [images], {"directions": torch.ones(3)}),
        ('by is "max" or "mean"', [images], {"by": "median"}),
    ]
    for message, batches, settings in cases:
        with pytest.raises(ValueError, match=message):
            top_examples(model, batches, "conv2", **settings)
