"""vizcourse.studies.feature_visualization: its measures on pictures whose answer is known, and what is shipped."""

import math

import pytest
import torch
from torch import nn

from vizcourse.studies import feature_visualization as study
from vizcourse.studies import feature_visualization_pictures as library


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


def test_a_lot_is_the_same_for_everybody():
    drawn = study.drawn_by_lot({"a": 10, "b": 20}, 3)
    assert drawn == study.drawn_by_lot({"a": 10, "b": 20}, 3) and len(set(drawn)) == 6
    assert all(number < {"a": 10, "b": 20}[layer] for layer, number in drawn)


def test_noise_share_is_all_above_and_nothing_below_a_quarter():
    fine, coarse = stripes(0, 0.4), stripes(0, 1 / 12)
    assert library.noise_share(fine)[0] > 0.9 and library.noise_share(coarse)[0] < 0.01


def test_packed_pictures_come_back(monkeypatch):
    images = torch.stack([torch.full((3, 16, 16), value) for value in (0.2, 0.8)])
    monkeypatch.setattr(library, "_file", lambda: ({}, {"strip": library._packed(images, quality=90)}))
    assert torch.allclose(library._strip("strip"), images, atol=0.03)


def test_what_is_shipped_is_whole():
    paths = study.paths()
    assert library.FILE.stat().st_size <= 1.5e6
    for layer, channel, _ in paths.units:
        frames = paths.frames(layer, channel, fourier=False)
        assert frames.shape == (len(paths.steps), 3, 96, 96)
        value, below, noise = paths.value(layer, channel, fourier=False)
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
    assert {"raised", "stripes", "observer", "transfer"} <= set(study.results())
