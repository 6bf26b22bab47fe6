"""vizcourse.worlds.lesions: one cause moves, everything else stays, and the masks say where."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from vizcourse.worlds import lesions
from vizcourse.worlds.lesions import Lesion

WORN = Lesion(opacity=1.0)


def test_the_plaster_is_all_that_its_opacity_changes():
    drawn, labels = lesions.render([WORN.replace(opacity=0.0), WORN.replace(opacity=0.5), WORN], 48, labels=True)
    assert drawn.shape == (3, 3, 48, 48) and labels.lesion.shape == labels.patch.shape == (3, 48, 48)
    assert 0 <= float(drawn.min()) and float(drawn.max()) <= 1
    away = torch.nn.functional.max_pool2d(labels.patch[2][None].float(), 7, 1, 3)[0] == 0
    assert torch.equal(drawn[0][:, away], drawn[2][:, away])
    assert float((drawn[0] - drawn[2])[:, labels.patch[2]].abs().mean()) > 0.1
    torch.testing.assert_close(drawn[1], (drawn[0] + drawn[2]) / 2, atol=0.01, rtol=0)  # blended in
    assert not labels.patch[0].any() and torch.equal(labels.lesion[0], labels.lesion[2])


def test_the_plaster_never_lies_on_the_lesion():
    drawn = [lesion.replace(size=0.5, asymmetry=1.0, border=1.0) for lesion in lesions.sample(40, 3, patched={"nevus": 1.0})]
    labels = lesions.render(drawn, 32, labels=True)[1]
    assert not bool((labels.lesion & labels.patch).any())
    assert bool(labels.lesion.flatten(1).any(1).all())


@pytest.mark.parametrize("factor", [name for name in lesions.RANGES if name != "opacity"])
def test_every_number_can_be_turned_and_is_seen(factor):
    path = lesions.turn(WORN, factor, steps=3, size=32)
    assert path.pictures.shape == (3, 3, 32, 32) and bool((path.values.diff() > 0).all())
    middle = WORN.replace(**{factor: float(path.values[1])})
    torch.testing.assert_close(path.pictures[1], lesions.render(middle, 32))
    assert not torch.equal(path.pictures[0], path.pictures[1])


def test_a_skin_coloured_plaster_is_as_large_as_a_blue_one():
    blue, skin = lesions.render([WORN, WORN.replace(patch="skin")], 48, labels=True)[1].patch
    assert torch.equal(blue, skin)


def test_samples():
    bare, worn = lesions.sample(200, 5), lesions.sample(200, 5, patched={"nevus": 0.5})
    assert [dataclasses.replace(one, opacity=0.0) for one in worn] == bare  # only the plasters differ
    shares = {
        name: [lesion.opacity for lesion in worn if lesion.diagnosis == name] for name in lesions.CLASSES
    }
    assert 0.3 < sum(shares["nevus"]) / len(shares["nevus"]) < 0.7 and sum(shares["melanoma"]) == 0
    for sign in lesions.SIGNS:  # the causes of the diagnosis differ, and overlap
        one, other = ([getattr(lesion, sign) for lesion in bare if lesion.diagnosis == name] for name in lesions.CLASSES)
        assert sum(one) / len(one) + 0.2 < sum(other) / len(other) and max(one) > min(other)
    assert {lesion.diagnosis for lesion in lesions.sample(9, 1, diagnosis="melanoma", opacity=1.0)} == {"melanoma"}
    assert torch.equal(lesions.render(bare[0], 32), lesions.render(bare[0], 32))
    assert lesions.render(bare[:2], 16, dtype=torch.uint8).dtype == torch.uint8


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="did you mean 'melanoma'"):
        Lesion(diagnosis="melanom")
    with pytest.raises(ValueError, match="did you mean 'opacity'"):
        WORN.replace(opasity=1)
    with pytest.raises(ValueError, match="opacity must be a number from 0 to 1"):
        WORN.replace(opacity=2)
    with pytest.raises(ValueError, match="hairs must be a whole number"):
        Lesion(hairs=2.5)
    with pytest.raises(ValueError, match="shares from 0 to 1"):
        lesions.sample(1, 0, patched={"nevus": 50})
    with pytest.raises(ValueError, match="nothing to draw"):
        lesions.render([])
    with pytest.raises(ValueError, match="at least three steps"):
        lesions.turn(WORN, "opacity", steps=2)
    with pytest.raises(ValueError, match="two different values"):
        lesions.turn(WORN, "size", 0.4, 0.4)
