"""vizcourse.methods.corruptions: each takes away what it says, and leaves the rest."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vizcourse.methods import activation_patching, corruptions


def test_corruptions_by_hand():
    image = torch.zeros(1, 3, 4, 4)
    image[:, 0] = 1
    assert corruptions.greyscale(image).unique().tolist() == pytest.approx([0.299])
    even = torch.full((2, 3, 9, 9), 0.25)
    torch.testing.assert_close(corruptions.blur(even, 1.5), even)
    assert torch.equal(corruptions.blur(image, 0), image)
    point = torch.zeros(1, 3, 21, 21)
    point[..., 10, 10] = 1
    spread = corruptions.blur(point, 2.0)[0, 0]
    ratio = spread[10, 12] / spread[10, 10]
    assert float(ratio) == pytest.approx(float(torch.exp(torch.tensor(-0.5))), abs=1e-4)
    masks = torch.zeros(1, 4, 4, dtype=torch.bool)
    masks[0, 0, :2] = True
    image[0, 1, 0, 0] = 1
    flat = corruptions.silhouette(image, masks)[0]
    assert flat[:, 0, :2].tolist() == [[1, 1], [0.5, 0.5], [0, 0]]
    assert torch.equal(flat[:, 1:], image[0, :, 1:])


def test_shuffling_keeps_the_patches():
    images = torch.rand(6, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    after = corruptions.shuffle_patches(images, 8, seed=4)

    def squares(picture):
        return sorted(
            tuple(square.flatten().tolist())
            for square in picture.unfold(1, 8, 8).unfold(2, 8, 8).permute(1, 2, 0, 3, 4).flatten(0, 1)
        )

    assert all(squares(one) == squares(two) for one, two in zip(images, after, strict=True))
    assert not torch.equal(images, after)
    assert torch.equal(after, corruptions.shuffle_patches(images, 8, seed=4))


def test_greyscale_keeps_the_brightness_and_nothing_of_the_hue():
    images = torch.rand(4, 3, 5, 5, generator=torch.Generator().manual_seed(3))
    grey = corruptions.greyscale(images)
    assert torch.equal(grey[:, 0], grey[:, 1]) and torch.equal(grey[:, 0], grey[:, 2])
    torch.testing.assert_close(corruptions.greyscale(grey), grey)  # twice is once
    torch.testing.assert_close(grey[:, 0], 0.299 * images[:, 0] + 0.587 * images[:, 1] + 0.114 * images[:, 2])


def test_bad_input_is_named():
    images = torch.rand(2, 3, 24, 24)
    with pytest.raises(ValueError, match="do not tile"):
        corruptions.shuffle_patches(images, 7)
    with pytest.raises(ValueError, match="Masks must be"):
        corruptions.silhouette(images, torch.ones(2, 3, 3, dtype=torch.bool))


def test_a_shifted_run_can_be_cut_into_batches():
    shifted = corruptions.Shifted(torch.rand(5, 3, 4, 4), "layer", torch.rand(5, 2))
    part = shifted[1:3]
    assert len(shifted) == 5 and len(part) == 2
    assert torch.equal(part.images, shifted.images[1:3]) and torch.equal(part.offset, shifted.offset[1:3])


def test_evaluating_gives_each_part_its_own_mode_back_also_after_an_exception():
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm1d(2)))
    model[1].eval()
    before = [module.training for module in model.modules()]
    with pytest.raises(RuntimeError), corruptions.evaluating(model):
        assert not any(module.training for module in model.modules())
        raise RuntimeError
    assert [module.training for module in model.modules()] == before


def test_activation_patching_hands_them_on():
    for name in ("greyscale", "blur", "silhouette", "shuffle_patches", "embedding_noise", "Shifted", "evaluating"):
        assert getattr(activation_patching, name) is getattr(corruptions, name)
