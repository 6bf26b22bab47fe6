"""vizcourse.lessons.feature_visualization.study: its measures on pictures whose answer is known, and what is shipped."""

import math

import pytest
import torch
from torch import nn

from vizcourse.lessons.feature_visualization import pictures as library
from vizcourse.lessons.feature_visualization import study
from vizcourse.methods import feature_visualization as method


def stripes(angle: float, frequency: float = 0.12, size: int = 96) -> torch.Tensor:
    """Waves that run at an angle (degrees, clockwise from a row)."""
    down, across = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    turn = math.radians(angle)
    wave = torch.sin(2 * math.pi * frequency * (across * math.cos(turn) + down * math.sin(turn)))
    return (0.5 + 0.4 * wave).expand(1, 3, size, size)


@pytest.mark.parametrize("angle", [0, 20, 45, 90, 130, 175])
def test_stripes_are_striped_at_their_own_angle(angle):
    amount, found = study.stripedness(stripes(angle))
    assert amount.item() > 0.9
    assert study.angle_between(found, torch.tensor([float(angle)])).item() < 3


def test_what_runs_all_ways_is_not_striped():
    noise = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    checks = (stripes(0) + stripes(90)) / 2
    assert study.stripedness(noise)[0] < 0.35
    assert study.stripedness(checks)[0] < 0.1


def test_angles_between_lines():
    first, second = torch.tensor([0.0, 10, 170, 90, 0]), torch.tensor([0.0, 170, 10, 0, 180])
    assert study.angle_between(first, second).tolist() == [0, 20, 20, 90, 0]


def test_rank_is_the_share_below():
    among = torch.arange(10.0)[:, None].expand(10, 2)
    assert study.rank(torch.tensor([4.5, 20.0]), among).tolist() == [0.5, 1.0]


def test_partners_are_found_behind_shuffling_and_scaling():
    generator = torch.Generator().manual_seed(0)
    seen = torch.randn(200, 6, generator=generator)
    order = torch.randperm(6, generator=generator)
    number, correlation = study.partners(seen, 3 * seen[:, order] + 1)
    assert order[number].tolist() == list(range(6))
    assert correlation.min() > 0.999


def test_answers_are_means_over_positions_and_tokens():
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(2))
    images = torch.rand(3, 3, 4, 4)
    with torch.no_grad():
        wanted = model[0](images).mean((2, 3))
    assert torch.allclose(study.answers(model, ["0"], images)["0"], wanted, atol=1e-6)
    scores = nn.Sequential(nn.Flatten(), nn.Linear(48, 5))
    assert torch.allclose(study.answers(scores, ["1"], images)["1"], scores(images).detach(), atol=1e-6)


def test_a_lot_is_the_same_for_everybody():
    drawn = study.drawn_by_lot({"a": 10, "b": 20}, 3)
    assert drawn == study.drawn_by_lot({"a": 10, "b": 20}, 3) and len(set(drawn)) == 6
    assert all(number < {"a": 10, "b": 20}[layer] for layer, number in drawn)


def test_pictures_come_in_the_order_of_their_units():
    model = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 3, 1, bias=False)).requires_grad_(False)
    for layer in model:
        nn.init.dirac_(layer.weight)
    units = [("0", 0), ("1", 1), ("0", 2)]  # red, green and blue, of two layers in turn
    options = {"smoothness": 0, "steps": 20, "transformations": (), "progress": False}
    made = study.visualize(model, units, method.pixels(8), **options)
    assert made.mean((2, 3)).argmax(1).tolist() == [0, 1, 2]


def test_noise_share_is_all_above_and_nothing_below_a_quarter():
    fine, coarse = stripes(0, 0.4), stripes(0, 1 / 12)
    assert library.noise_share(fine)[0] > 0.9 and library.noise_share(coarse)[0] < 0.01


def test_a_level_is_reached_between_two_steps():
    found = study.crossings(torch.tensor([0.0, 0.5, 1.5, 1.0, 2.5]), (0.0, 0.25, 1.0, 2.0, 3.0))
    torch.testing.assert_close(found, torch.tensor([0, 0.5, 1.5, 3 + 2 / 3, math.nan]), equal_nan=True)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_climb_keeps_book(optimizer):
    model = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False))
    nn.init.dirac_(model[0].weight)
    goals = [method.channel("0", 0), method.channel("0", 1)]  # red and green, from half to all
    found = study.climb(
        model, goals, torch.tensor([1.0, 0.5]), levels=(0.6, 1.1), shown=0.7, at_once=1, steps=40, image=method.pixels(8),
        optimizer=optimizer, learning_rate=0.1, transformations=(),
    )  # fmt: skip
    # The first begins at 0.5 and can never be more than 1; the second begins at 1 of its strongest.
    assert 0 < found.steps[0, 0] < 40 and math.isnan(found.steps[0, 1]) and math.isnan(found.fine[0, 1])
    assert found.steps[1, 0] == 0 and 0 < found.steps[1, 1] < 40 and found.fine[1].isfinite().all()
    assert 0.7 <= found.pictures[0, 0].mean() < 0.75 and found.end[0, 0] > 0.9


def test_a_grey_picture_keeps_all_when_it_is_moved():
    model = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False))
    nn.init.dirac_(model[0].weight)
    goals = [method.channel("0", 0), method.channel("0", 1)]
    images = torch.full((2, 3, 32, 32), 0.5)
    images[1, 1, ::2] = 0.9  # brighter than the grey that comes in at the rim
    left = study.left_when_moved(model, goals, images)
    assert left[0] == pytest.approx(1, abs=1e-4) and 0.8 < left[1] < 1


def test_packed_pictures_come_back(monkeypatch):
    images = torch.stack([torch.full((3, 16, 16), value) for value in (0.2, 0.8)])
    monkeypatch.setattr(library, "_file", lambda: ({}, {"strip": library.packed(images, quality=90)}))
    assert torch.allclose(library._strip("strip"), images, atol=0.03)


def test_what_is_shipped_is_whole():
    paths = study.paths()
    assert library.FILE.stat().st_size <= 1.5e6
    for layer, channel, _ in paths.units:
        for optimizer in library.OPTIMIZERS:
            frames = paths.frames(layer, channel, optimizer=optimizer, fourier=False)
            assert frames.shape == (len(paths.steps), 3, 96, 96)
            value, below, noise = paths.value(layer, channel, optimizer=optimizer, fourier=False)
            assert 0 <= below <= 1 and 0 <= noise <= 1
    with pytest.raises(ValueError, match="switches"):
        paths.frames("conv3", 3, wrong=True)
    blends = study.blends()
    for pair in range(len(blends.pairs)):
        assert blends.images(pair).shape == (len(blends.angles), 3, 96, 96)
        assert blends.values(pair).shape == (len(blends.angles), 2)
    directions = study.directions()
    assert directions.kind.count("basis") == directions.kind.count("random") == 12
    assert directions.image(3).shape == (3, 96, 96) and directions.examples(3).shape == (6, 3, 48, 48)
    assert all(study.STUDY.stored(name) is not None for name in study.STUDY.parts)
    book = study.results()["optimizers"]
    assert list(book["arms"]) == list(study.ARMS)
    for arm in book["arms"].values():
        assert len(arm["fine"]) == len(arm["end"]) == len(book["units"])
        assert all(len(row) == len(book["levels"]) for row in arm["fine"])
