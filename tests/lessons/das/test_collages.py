"""Lesson 05's twins of photographs: one cause differs, and nothing else."""

import torch
from torch import nn

from vizcourse.lessons.das import collages


def _made(size=35):
    backgrounds = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    return backgrounds, collages.collages(size, backgrounds)


def test_every_thing_stands_in_every_background_in_both_lights():
    backgrounds, made = _made()
    assert len(made.images) == 3 * 3 * 2 == len(torch.stack([made.background, made.thing, made.light], 1).unique(dim=0))
    light = collages._COLOURS[made.light]
    corner, inside = slice(0, 5), slice(5, 30)
    assert torch.equal(made.images[..., corner, corner], (backgrounds[made.background] * light)[..., corner, corner])
    assert torch.equal(made.images[..., inside, inside], collages.things(25)[made.thing] * light)
    assert made.images.min() >= 0 and made.images.max() <= 1


def test_by_default_no_thing_is_a_background():
    made = collages.collages(28)
    assert made.background.max() >= 7 and made.images.shape[1:] == (3, 28, 28)


def test_pairs_differ_in_one_cause_alone_and_stay_in_their_backgrounds():
    _, made = _made()
    for variable, partners in (("thing", 2), ("light", 1), ("background", 1)):
        base, source = made.pairs(variable, [0, 2])
        # A background is changed to any other one, also to one that was not asked for.
        partners = 2 if variable == "background" else partners
        assert len(base) == 2 * 3 * 2 * partners
        for cause in ("background", "thing", "light"):
            same = getattr(made, cause)[base] == getattr(made, cause)[source]
            assert not same.any() if cause == variable else same.all()
        assert set(made.background[base].tolist()) == {0, 2}


def test_some_of_them_and_their_features():
    _, made = _made()
    warm = made[made.light == 0]
    assert len(warm.images) == 9 and not warm.light.any()
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)).eval()
    assert torch.allclose(collages.features(model, "0", made.images), made.images.mean((2, 3)), atol=1e-6)
