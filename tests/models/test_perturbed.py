"""Training against small perturbations: the attack, its loss, and a run that begins with another network's weights."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.methods.untouched import untouched
from vizcourse.models import load, recipes, training, zoo
from vizcourse.models.training import Phase, Schedule


def linear(weight: float = 0.02) -> nn.Module:
    """Two classes: the second gains with brightness, every value alike."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2, bias=False))
    network[1].weight.data = torch.stack([torch.zeros(192), torch.full((192,), weight)])
    return network.train()


def greys(count: int = 6) -> torch.Tensor:
    return torch.full((count, 3, 8, 8), 0.5)


def lengths(change: torch.Tensor) -> torch.Tensor:
    return change.flatten(1).norm(dim=1)


def test_the_change_lies_in_its_ball_and_the_picture_in_its_range():
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    radius = torch.tensor([0.0, 0.1, 0.5, 1.0, 2.0, 8.0])
    changed = training.perturbed(linear(), images, torch.ones(6, dtype=torch.long), radius, steps=3)
    assert (lengths(changed - images) <= radius + 1e-5).all() and torch.equal(changed[0], images[0])
    assert changed.min() >= 0 and changed.max() <= 1


@pytest.mark.parametrize("label", [0, 1])
def test_enough_steps_go_straight_down_the_gradient(label):
    """Of a linear network the worst change is known: along its weights, all of the radius."""
    radius = torch.full((6,), 0.8)
    changed = training.perturbed(linear(), greys(), torch.full((6,), label), radius, steps=40)
    worst = (1 if label == 0 else -1) * 0.8 / 192**0.5
    assert (changed - greys()).mean((1, 2, 3)).tolist() == pytest.approx([worst] * 6, rel=0.02)
    assert lengths(changed - greys()).tolist() == pytest.approx([0.8] * 6, rel=1e-4)


def test_one_step_raises_the_loss_more_than_a_change_by_lot():
    network, labels, radius = linear(), torch.ones(200, dtype=torch.long), torch.full((200,), 0.8)
    torch.manual_seed(0)
    images = torch.rand(200, 3, 8, 8) * 0.4 + 0.3
    attacked = training.perturbed(network, images, labels, radius)
    by_lot = images + training._of_length(torch.randn_like(images), radius.view(-1, 1, 1, 1))
    loss, attacked_loss, lot_loss = (
        functional.cross_entropy(network(each), labels, reduction="none") for each in (images, attacked, by_lot)
    )
    assert (attacked_loss > loss).all() and (attacked_loss > lot_loss).float().mean() > 0.95


@pytest.mark.parametrize("mode", [True, False])
def test_it_leaves_the_network_as_it_was(mode):
    network = load("scenes-small-0").requires_grad_(True).train(mode)
    with untouched(network):
        training.perturbed(network, torch.rand(2, 3, 64, 64), torch.tensor([0, 1]), torch.ones(2))
    with untouched(network), pytest.raises(ValueError, match="Pictures must be"):
        training.perturbed(network, torch.rand(2, 5, 64, 64), torch.tensor([0, 1]), torch.ones(2))


def test_the_loss_draws_radii_up_to_the_given_one_in_proportion_to_the_side(monkeypatch):
    seen = []

    def spy(network, images, labels, radius):
        seen.append(radius)
        return images

    monkeypatch.setattr(training, "perturbed", spy)
    loss = training.adversarial(3.0, side=16)
    torch.manual_seed(0)
    network, images, labels = linear(), greys(500), torch.zeros(500, dtype=torch.long)
    assert torch.equal(loss(network, images, labels), functional.cross_entropy(network(images), labels))
    assert 1.4 < seen[0].max() <= 1.5 and seen[0].min() < 0.1 and 0.65 < seen[0].mean() < 0.85
    assert loss.__name__ == "adversarial(3, 16)"


def test_training_can_begin_with_another_networks_weights(monkeypatch, tmp_path):
    begun = []

    def fit(network, *_, **options):
        begun.append((network.state_dict()["fc.weight"].clone(), options["fingerprint"]))
        return training.Run(1.0, 1.0, 0.5)

    recipe = dataclasses.replace(
        recipes.RECIPES["scenes-small-1"],
        start="scenes-small-0",
        schedule=Schedule((Phase(1, 64),)),
        data=lambda split: (torch.zeros(4, 3, 64, 64, dtype=torch.uint8), torch.tensor([0, 1, 2, 3])),
    )
    monkeypatch.setitem(recipes.RECIPES, "scenes-small-1", recipe)
    monkeypatch.setattr(training, "fit", fit)
    card = recipes.train("scenes-small-1", folder=tmp_path, cache=tmp_path)
    weights, fingerprint = begun[0]
    assert torch.equal(weights, zoo.load("scenes-small-0").fc.weight)
    assert card["recipe"]["start"] == "scenes-small-0" and "scenes-small-0" in fingerprint
    assert "start" not in recipes.RECIPES["scenes-small-0"].settings()
