"""vizcourse.worlds.gradual: one factor moves, everything else stays."""

from __future__ import annotations

import pytest
import torch

from vizcourse.worlds import gradual, scenes

SCENE = scenes.sample(1, 5, object="cat")[0]
FACTORS = [name for name in scenes.FACTORS if name != "distractors"]


@pytest.mark.parametrize("factor", FACTORS)
def test_every_factor_can_be_turned(factor):
    path = gradual.turn(SCENE, factor, steps=5, size=32)
    assert path.pictures.shape == (5, 3, 32, 32) and path.values.shape == (5,) and path.factor == factor
    assert bool((path.values.diff() > 0).all())
    first, last = (scenes.render(SCENE.replace(**{factor: value}), 32) for value in (path.start, path.stop))
    torch.testing.assert_close(path.pictures[0], first)
    torch.testing.assert_close(path.pictures[-1], last)


@pytest.mark.parametrize("factor", gradual.NUMBERS)
def test_numbers_are_drawn_at_every_step(factor):
    path = gradual.turn(SCENE, factor, steps=3, size=32)
    middle = float(path.values[1])
    value = round(middle) if isinstance(getattr(SCENE, factor), int) else middle
    torch.testing.assert_close(path.pictures[1], scenes.render(SCENE.replace(**{factor: value}), 32))


def test_faded_colours_are_the_colours_in_between():
    path = gradual.turn(SCENE, "shade", steps=8, size=48)
    drawn = scenes.render([SCENE.replace(shade=shade) for shade in range(8)], 48)
    assert float((path.pictures - drawn).abs().max()) < 0.03  # eight bits and rounding of each
    # only the fur changes: the background does not
    fur = gradual.turn(SCENE, "colour", steps=3, size=48).pictures
    labels = scenes.render(SCENE, 48, labels=True)[1]
    background = torch.as_tensor(labels.object) == 0
    away = torch.nn.functional.max_pool2d((~background)[None].float(), 5, 1, 2)[0] == 0
    assert torch.equal(fur[0][:, away], fur[2][:, away])


def test_ends_can_be_chosen():
    path = gradual.turn(SCENE, "size", 0.5, 0.7, steps=3, size=32)
    assert (path.start, path.stop, path.values.tolist()) == (0.5, 0.7, pytest.approx([0.5, 0.6, 0.7]))
    assert gradual.turn(SCENE, "object", steps=3, size=32).stop == "dog"
    apple = SCENE.replace(object="ripe apple")
    assert gradual.turn(apple, "object", steps=3, size=32).stop == "unripe apple"


def test_bad_input_is_named():
    for factor in ("fur", "distractors"):
        with pytest.raises(ValueError, match="choose one of object"):
            gradual.turn(SCENE, factor)
    with pytest.raises(ValueError, match="at least three steps"):
        gradual.turn(SCENE, "size", steps=2)
    with pytest.raises(ValueError, match="two different values"):
        gradual.turn(SCENE, "colour", "white", "white")
    with pytest.raises(ValueError, match="unknown colour"):
        gradual.turn(SCENE, "colour", "blak")
