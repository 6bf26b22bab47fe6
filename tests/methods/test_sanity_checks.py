"""Sanity checks: similarities and scores by hand, properties of cascades and curves, and refusals."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from vizcourse.methods.attribution import unit_range
from vizcourse.methods.sanity_checks import (
    METRICS,
    blocks,
    cascade,
    centre_gaussian,
    data_randomization,
    deletion,
    discrimination,
    edge_detector,
    energy_in_mask,
    hog_similarity,
    insertion,
    iou,
    pointing_game,
    random_maps,
    randomize,
    share_between,
    similarities,
    spearman,
    ssim,
)
from vizcourse.models import load


def small(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5),
        ).eval()  # fmt: skip


def maps(count=4, size=24, seed=0):
    return torch.randn(count, size, size, generator=torch.Generator().manual_seed(seed))


def pictures(count=4, size=24, seed=1):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------------------------------------------- randomization


def test_blocks_run_from_the_output_to_the_input():
    assert blocks(small()) == ["8", "4", "1", "0"]
    assert blocks(load("pets-unbiased")) == [
        "fc", "layer3.1", "layer3.0", "layer2.1", "layer2.0", "layer1.1", "layer1.0", "bn1", "conv1",
    ]  # fmt: skip
    found = blocks(load("googlenet-scenes"))
    assert found[:2] == ["fc", "inception5b"] and found[-1] == "conv1" and len(found) == 13
    assert "encoder.layers.encoder_layer_3" in blocks(load("vit-scenes"))


def test_blocks_see_into_a_wrapped_network():
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = load("resnet18-shapes")

    assert blocks(Wrapped()) == [f"network.{name}" for name in blocks(load("resnet18-shapes"))]


def test_randomize_changes_a_copy_and_only_the_named_parts():
    model = small()
    before = copy.deepcopy(model.state_dict())
    changed = randomize(model, ["8", "4"])
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    differing = {key for key, value in changed.state_dict().items() if not torch.equal(value, before[key])}
    assert differing == {"8.weight", "8.bias", "4.weight", "4.bias"}


def test_random_weights_depend_on_seed_and_name_alone():
    model = small()
    torch.manual_seed(5)
    first = randomize(model, ["8", "4"], seed=1)
    state = torch.get_rng_state()
    second = randomize(small(seed=3), ["4"], seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first[4].weight, second[4].weight)
    assert not torch.equal(first[4].weight, randomize(model, ["4"], seed=2)[4].weight)


@pytest.mark.parametrize("name", ["pets-unbiased", "vit-scenes"])
def test_nothing_learned_is_left_when_all_is_randomized(name):
    model = load(name)
    changed = dict(randomize(model, [""]).named_parameters())
    for key, value in model.named_parameters():
        # Biases and norms may start at their trained value by chance only where it is a single number.
        assert not torch.equal(changed[key], value), key


def test_cascade_starts_with_the_trained_network_and_leaves_it_alone():
    model, images = small(), pictures()
    before = copy.deepcopy(model.state_dict())
    result = cascade(model, images, None, "4", methods=["gradient", "guided backprop"])
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert result.blocks == ("8", "4", "1", "0") and result.answers.shape == (5, 4)
    assert len(result.maps["gradient"]) == 5 and result.maps["gradient"][0].shape == (4, 3, 24, 24)
    for method in result.maps:
        for metric in METRICS:
            found = result.similarity(method, metric)
            assert found.shape == (5, 4)
            assert found[0].min() > 0.999
    torch.testing.assert_close(result.answers[0], model(images).softmax(1).amax(1))


def test_cascading_and_independent_agree_at_the_first_step_only():
    model, images = small(), pictures()
    together, alone = (cascade(model, images, 1, "4", methods=["gradient"], independent=way) for way in (False, True))
    assert torch.equal(together.maps["gradient"][1], alone.maps["gradient"][1])
    assert not torch.allclose(together.maps["gradient"][2], alone.maps["gradient"][2])


def test_cascade_takes_own_methods_and_refuses_unknown_ones():
    model, images = small(), pictures()
    edges = {"edges": lambda model, images, target, layer: edge_detector(images)}
    assert (cascade(model, images, 0, methods=edges).similarity("edges") > 0.999).all()
    with pytest.raises(ValueError, match="no method 'grad-cam': choose from gradient, "):
        cascade(model, images, 0, methods=["grad-cam"])
    with pytest.raises(ValueError, match="has no layer 'fc'"):
        cascade(model, images, 0, names=["fc"], methods=["gradient"])


def test_data_randomization_of_a_network_with_itself():
    model, images = small(), pictures()
    found = data_randomization(model, model, images, 0, "4")
    assert set(found) == {"gradient", "Grad-CAM", "guided backprop", "guided Grad-CAM"}
    assert found["gradient"].min() > 0.999
    assert data_randomization(model, small(seed=9), images, 0, methods="gradient")["gradient"].max() < 0.9


# ------------------------------------------------------------------------------------------------------ similarities


def test_spearman_by_hand():
    first = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    assert spearman(first, first.exp()).item() == pytest.approx(1)
    assert spearman(first, -first).item() == pytest.approx(-1)
    # Ranks 1 2 3 4 against 1 3 2 4: 1 − 6 · 2 / (4 · 15)
    assert spearman(first, torch.tensor([[[1.0, 3.0], [2.0, 4.0]]])).item() == pytest.approx(0.8)
    assert spearman(first, torch.ones(1, 2, 2)).item() == 0


def test_spearman_equals_scipy_also_with_ties():
    stats = pytest.importorskip("scipy.stats")
    first, second = maps().round(), maps(seed=1).relu() + maps().round()
    expected = [stats.spearmanr(one.flatten(), other.flatten()).statistic for one, other in zip(first, second, strict=True)]
    np.testing.assert_allclose(spearman(first, second), expected, atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_a_map_is_like_itself_and_unlike_noise(metric):
    first, second = maps(size=96), maps(size=96, seed=1)
    assert METRICS[metric](first, first).min() > 0.999
    assert METRICS[metric](first, second).abs().max() < 0.5


def test_signs_matter_to_one_metric_only():
    first = maps()
    found = similarities(first, -first)
    assert found["spearman"].min() > 0.999 and found["spearman signed"].max() < -0.999


def test_similarities_do_not_depend_on_scale():
    first, second = maps().abs(), maps(seed=1).abs()
    for metric in (spearman, ssim, hog_similarity):
        torch.testing.assert_close(metric(first * 1e-9, second * 50), metric(first, second), atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="same images"):
        similarities(first, second[:2])


# --------------------------------------------------------------------------------------------------------- baselines


def test_edge_detector_finds_an_edge_and_nothing_else():
    images = torch.zeros(1, 3, 8, 8)
    images[..., 4:] = 1
    found = edge_detector(images)[0]
    assert (found[:, 3:5] > 3.9).all() and found[:, :3].abs().max() == 0 and found[:, 5:].abs().max() == 0
    torch.testing.assert_close(edge_detector(images.transpose(2, 3))[0], found.T)


def test_random_and_centred_maps():
    assert random_maps(3, (12, 16)).shape == (3, 12, 16)
    assert torch.equal(random_maps(2, (8, 8), seed=1), random_maps(2, (8, 8), seed=1))
    found = centre_gaussian(2, (9, 9))
    assert found.shape == (2, 9, 9) and found[0].argmax() == 40
    torch.testing.assert_close(found[0], found[0].flip(0))


# ---------------------------------------------------------------------------------------------- insertion and deletion


class Red(nn.Module):
    """Logit of class 0: ten times the red of the left upper quarter."""

    def forward(self, images):
        red = images[:, 0, : images.shape[2] // 2, : images.shape[3] // 2].mean((1, 2))
        return torch.stack([10 * red, torch.zeros_like(red)], dim=1)


def test_deletion_by_hand():
    images, right = torch.ones(1, 3, 4, 4), torch.zeros(1, 4, 4)
    right[:, :2, :2] = 1
    curve = deletion(Red(), images, 0, right, steps=4, fill=0.0)
    high, low = torch.sigmoid(torch.tensor(10.0)).item(), 0.5
    torch.testing.assert_close(curve.fractions, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    torch.testing.assert_close(curve.probabilities, torch.tensor([[high, low, low, low, low]]))
    assert curve.auc.item() == pytest.approx(0.25 * (0.5 * (high + low) + 3 * low))
    worst = deletion(Red(), images, 0, 1 - right, steps=4, fill=0.0)
    torch.testing.assert_close(worst.probabilities, torch.tensor([[high, high, high, high, low]]))


def test_insertion_is_deletion_backwards():
    images, map_ = pictures(3), maps(3)
    inserted = insertion(Red(), images, 0, map_, steps=8, fill=0.5)
    deleted = deletion(Red(), images, 0, -map_, steps=8, fill=0.5)
    torch.testing.assert_close(inserted.probabilities, deleted.probabilities.flip(1), atol=1e-4, rtol=0)


def test_curves_depend_on_order_only_and_run_from_end_to_end():
    model, images, map_ = small(), pictures(), maps()
    for way in (insertion, deletion):
        curve = way(model, images, None, map_, steps=5)
        torch.testing.assert_close(way(model, images, None, map_.exp(), steps=5, batch=2).probabilities, curve.probabilities)
        whole = model(images).softmax(1).amax(1)
        torch.testing.assert_close(curve.probabilities[:, -1 if way is insertion else 0], whole)
    for fill in ("mean", "blur", 0.2, torch.zeros(3, 1, 1)):
        assert deletion(model, images, 0, map_, steps=2, fill=fill).probabilities.shape == (4, 3)


def test_curves_refuse_what_they_cannot_use():
    model, images = small(), pictures()
    for match, map_, options in [
        ("use attribution.magnitude", maps(4, 12), {}),
        ("not finite", maps() * torch.nan, {}),
        ("no filling 'black'", maps(), {"fill": "black"}),
        ("steps must be a whole number of at least 1", maps(), {"steps": 0}),
    ]:
        with pytest.raises(ValueError, match=match):
            deletion(model, images, 0, map_, **options)


# ---------------------------------------------------------------------------------------------------------- the truth


def masked():
    masks = torch.zeros(1, 4, 4, dtype=torch.bool)
    masks[0, :2, :2] = True
    return masks


def test_scores_against_a_mask_by_hand():
    map_ = torch.zeros(1, 4, 4)
    map_[0, 0, 0], map_[0, 3, 3], map_[0, 1, 3] = 3.0, 1.0, -5.0
    assert pointing_game(map_, masked()).item() == 1
    assert energy_in_mask(map_, masked()).item() == pytest.approx(0.75)
    assert pointing_game(-map_, masked()).item() == 0
    assert iou(masked().float(), masked()).item() == 1
    assert iou(1 - masked().float(), masked()).item() == 0
    half = torch.zeros(1, 4, 4)
    half[0, 0] = torch.tensor([4.0, 3.0, 2.0, 1.0])  # two of four on the object: 2 / (4 + 4 − 2)
    assert iou(half, masked()).item() == pytest.approx(1 / 3)


def test_a_map_that_says_nothing_scores_as_chance():
    even = torch.zeros(1, 4, 4)
    assert pointing_game(even, masked()).item() == pytest.approx(0.25)
    assert energy_in_mask(even, masked()).item() == pytest.approx(0.25)


def test_scores_refuse_what_they_cannot_use():
    for function in (pointing_game, energy_in_mask, iou):
        with pytest.raises(ValueError, match="both \\(N, height, width\\)"):
            function(torch.zeros(1, 3, 4, 4), masked())
        with pytest.raises(ValueError, match="mask is empty"):
            function(torch.zeros(1, 4, 4), ~masked() & masked())
        with pytest.raises(ValueError, match="not finite"):
            function(torch.full((1, 4, 4), torch.inf), masked())


def test_unit_range_keeps_order():
    assert spearman(unit_range(maps()), maps()).min() > 0.999


def test_discrimination_by_hand():
    left, right = torch.tensor([[[True, False, False]]]), torch.tensor([[[False, False, True]]])
    one, other = torch.tensor([[[3.0, 7.0, 1.0]]]), torch.tensor([[[1.0, -5.0, 1.0]]])
    assert share_between(one, left, right).tolist() == [0.75]
    assert discrimination(one, other, left, right).tolist() == [0.25]
    assert discrimination(one, one, left, right).tolist() == [0.0]
    assert share_between(-one, left, right).tolist() == [0.5]  # nothing positive: undecided
    sides = left.float(), right.float()
    assert discrimination(*sides, left, right).tolist() == [1.0] and discrimination(*sides, right, left).tolist() == [-1.0]


def test_a_class_blind_map_gets_nothing_wherever_it_lies():
    left = torch.zeros(4, 24, 24, dtype=torch.bool)
    left[:, 3:15, 2:9] = True
    right = left.flip(2)
    blind = random_maps(4, (24, 24))
    assert discrimination(blind, 3 * blind, left, right).abs().max() < 1e-6
    found = maps(), maps(seed=1)
    turned = discrimination(*found, left, right) + discrimination(*found, right, left)
    assert turned.abs().max() < 1e-6


def test_overlapping_objects_are_refused():
    mask = torch.ones(1, 4, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match="overlap: give every pixel to one object"):
        share_between(torch.rand(1, 4, 4), mask, mask)
