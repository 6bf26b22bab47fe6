"""Insertion and deletion of concepts: orders and areas by hand, both kinds of curves, bad inputs."""

import pytest
import torch
from torch import nn

from tests.methods.untouched import untouched
from vizcourse.methods import concept_evaluation
from vizcourse.methods.concept_evaluation import ORDERS, Curves, insertion_deletion, interlayer_insertion_deletion
from vizcourse.methods.concept_graph import generalized_integrated_gradients
from vizcourse.methods.concepts import Concepts, decompose, extract_concepts, pointwise_feature_vectors


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Sums(nn.Module):
    """Four channels of a picture, then a weighted sum of each channel, doubled, is a logit."""

    def __init__(self, weight):
        super().__init__()
        self.maps, self.mix = nn.Identity(), nn.Conv2d(4, 3, 1, bias=False)
        self.mix.weight.data = torch.tensor(weight)[:, :, None, None]

    def forward(self, images):
        return self.mix(self.maps(images)).sum((2, 3))


WEIGHT = [[1.0, 2.0, -1.0, 3.0], [0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
# Sums of the channels: 4, 1, 2, 0 in the first picture, 1, 2, 3, 4 in the second.
PICTURES = torch.tensor(
    [[[[3.0, 1.0]], [[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 0.0]]], [[[1.0, 0.0]], [[1.0, 1.0]], [[1.0, 2.0]], [[4.0, 0.0]]]]
)
CHANNELS = Concepts("maps", torch.eye(4))


class Toy(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv1, self.conv2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
            self.norm, self.pool, self.fc = nn.BatchNorm2d(6), nn.AdaptiveAvgPool2d(1), nn.Linear(6, 3)
            self.relu1, self.relu2 = nn.ReLU(inplace=True), nn.ReLU(inplace=True)

    def forward(self, images):
        hidden = self.relu1(self.conv1(images))
        return self.fc(self.pool(self.relu2(hidden + self.norm(self.conv2(hidden)))).flatten(1))


IMAGES = torch.rand(4, 3, 8, 10, generator=generator(1))


def concepts_of(model, layer, count):
    maps = pointwise_feature_vectors(model, IMAGES, layer)
    return extract_concepts(maps.permute(0, 2, 3, 1).flatten(0, 2), count, layer=layer)


@pytest.fixture
def toy():
    return Toy().eval()


@pytest.fixture
def layers(toy):
    return concepts_of(toy, "relu1", 6), concepts_of(toy, "relu2", 5)


def exactly(model=None):
    """The pictures on their channels, without a penalty: nothing is left out."""
    return decompose(PICTURES, CHANNELS, penalty=0)


# ---------------------------------------------------------------------------------------------------- at the class


@pytest.mark.parametrize("order", ["gig", "gradient", "leave-one-out", torch.tensor([[5.0, 3, 1, 9], [2, 3, 1, 9]])])
def test_curves_by_hand(order):
    """Contributions to the first logit: 4, 2, -2, and an absent channel; 1, 4, -3, 12 in the second picture."""
    model = Sums(WEIGHT).eval()
    found = insertion_deletion(model, PICTURES, 0, exactly(), order=order, measure="logit", fractions=3)
    torch.testing.assert_close(found.fractions, torch.tensor([0, 1 / 3, 2 / 3, 1]))
    # Three concepts are present: 4, 4 + 2, all. In the second, of four, one (1.33), three (2.67), four.
    torch.testing.assert_close(found.insertion, torch.tensor([[0.0, 4, 6, 4], [0, 12, 17, 14]]), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.deletion, torch.tensor([[4.0, 0, -2, 0], [14, 2, -3, 0]]), atol=1e-3, rtol=0)
    # Trapezoids: (0/2 + 4 + 6 + 4/2) / 3 = 4, and (2 + 0 - 2 + 0) / 3 = 0; 36/3 = 12 and 6/3 = 2.
    torch.testing.assert_close(found.insertion_auc, torch.tensor([4.0, 12]), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.deletion_auc, torch.tensor([0.0, 2]), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.auc_difference, torch.tensor([4.0, 10]), atol=1e-3, rtol=0)
    assert found.mean == pytest.approx(7, abs=1e-3)
    low, high = found.interval.low, found.interval.high
    assert 4 - 1e-3 <= low <= found.interval.estimate <= high <= 10 + 1e-3


def test_order_by_coefficients_is_another():
    model = Sums(WEIGHT).eval()
    found = insertion_deletion(model, PICTURES, 0, exactly(), order="coefficient", measure="logit", fractions=3)
    # Largest sums first: channels 0, 2, 1, and 3, 2, 1, 0.
    torch.testing.assert_close(found.insertion, torch.tensor([[0.0, 4, 2, 4], [0, 12, 13, 14]]), atol=1e-3, rtol=0)


def test_classes_of_each_picture_and_probabilities():
    model = Sums(WEIGHT).eval()
    found = insertion_deletion(model, PICTURES / 9, [0, 2], decompose(PICTURES / 9, CHANNELS, penalty=0), fractions=1)
    with torch.no_grad():
        whole = model(PICTURES / 9).softmax(1)
    ends = torch.stack([torch.full((2,), 1 / 3), whole[[0, 1], [0, 2]]], 1)
    torch.testing.assert_close(found.insertion, ends, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.deletion, ends.flip(1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("order", ORDERS)
def test_ends_and_determinism(toy, layers, order):
    one, two = (insertion_deletion(toy, IMAGES, [0, 1, 2, 1], layers[0], order=order, fractions=5) for _ in range(2))
    assert one.insertion.shape == one.deletion.shape == (4, 6) and not one.insertion.requires_grad
    torch.testing.assert_close(one.insertion[:, 0], one.deletion[:, -1])
    torch.testing.assert_close(one.insertion[:, -1], one.deletion[:, 0])
    assert torch.equal(one.insertion, two.insertion) and torch.equal(one.deletion, two.deletion)
    assert ((one.insertion >= 0) & (one.insertion <= 1)).all()


def test_the_random_order_follows_its_seed(toy, layers):
    one, two, three = (
        insertion_deletion(toy, IMAGES, 0, layers[0], order="random", seed=seed, fractions=6) for seed in (1, 1, 2)
    )
    assert torch.equal(one.insertion, two.insertion) and not torch.equal(one.insertion, three.insertion)


def test_leave_one_out_is_the_fall(toy, layers, monkeypatch):
    """Taken out one at a time, by hand; and pieces of the batch do not matter."""
    monkeypatch.setattr(concept_evaluation, "ROWS", 5)
    parts = decompose(pointwise_feature_vectors(toy, IMAGES, "relu1"), layers[0])
    kept = []
    monkeypatch.setattr(concept_evaluation, "_curves", lambda _m, _p, scores, _f: kept.append(scores) or [torch.ones(1, 1)] * 3)
    insertion_deletion(toy, IMAGES, [0, 1, 2, 1], parts, order="leave-one-out")

    @torch.no_grad()
    def logits(hidden):
        return toy.fc(toy.pool(toy.relu2(hidden + toy.norm(toy.conv2(hidden)))).flatten(1))

    for concept in range(6):
        gone = torch.einsum("nhw,c->nchw", parts.coefficients[:, concept], layers[0].vectors[concept])
        fall = logits(parts.reconstruction) - logits(parts.reconstruction - gone)
        torch.testing.assert_close(kept[0][:, 0, concept], fall[range(4), [0, 1, 2, 1]], atol=1e-5, rtol=1e-4)


def test_a_picture_without_concepts_stays_where_it_is(toy, layers):
    parts = decompose(pointwise_feature_vectors(toy, IMAGES, "relu1"), layers[0], penalty=100.0)
    assert parts.coefficients.abs().max() == 0
    found = insertion_deletion(toy, IMAGES, 0, parts, order="coefficient")
    assert (found.insertion == found.insertion[:, :1]).all() and found.auc_difference.abs().max() < 1e-6


# -------------------------------------------------------------------------------------------------- between layers


@pytest.mark.parametrize("score", ["sum", "max"])
def test_between_layers(toy, layers, score):
    source, target = layers
    found = interlayer_insertion_deletion(toy, IMAGES, None, source, target, top=2, score=score, fractions=6, steps=64)
    assert set(found) == set(ORDERS)
    for curves in found.values():
        assert curves.insertion.shape == (4, 7)
        ends = torch.tensor([[0.0, 1.0]]).expand(4, 2)
        torch.testing.assert_close(curves.insertion[:, [0, -1]], ends, atol=1e-4, rtol=0)
        torch.testing.assert_close(curves.deletion[:, [-1, 0]], ends, atol=1e-4, rtol=0)
    if score == "sum":
        assert found["gig"].mean >= found["random"].mean and found["leave-one-out"].mean > found["random"].mean


def test_between_layers_by_hand():
    """A linear step: the curves follow from the edges alone."""
    model = nn.Sequential(nn.Identity(), nn.Conv2d(4, 4, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    model[1].weight.data = torch.rand(4, 4, 1, 1, generator=generator(2)) + 0.1
    source, target = Concepts("0", torch.eye(4)), Concepts("1", torch.eye(4))
    parts = decompose(PICTURES, source, penalty=0)
    curves = interlayer_insertion_deletion(model.eval(), PICTURES, None, parts, target, top=4, orders=["gig"], fractions=4)
    found = curves["gig"]
    edges = generalized_integrated_gradients(model, PICTURES, None, parts, target, steps=1).edges
    ordered = edges.sort(2, descending=True).values[1]  # the second picture has all four
    cumulated = torch.cat([torch.zeros(4, 1), ordered.cumsum(1)], 1) / ordered.sum(1, keepdim=True)
    torch.testing.assert_close(found.insertion[1], cumulated.mean(0), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.deletion[1], 1 - cumulated.mean(0), atol=1e-4, rtol=0)


def test_max_over_positions_is_another_score(toy, layers):
    one, two = (
        interlayer_insertion_deletion(toy, IMAGES, None, *layers, top=1, score=score, orders=["coefficient"])["coefficient"]
        for score in ("sum", "max")
    )
    assert not torch.allclose(one.insertion, two.insertion)


# ------------------------------------------------------------------------------------------------ manners, bad input


@pytest.mark.parametrize("gradients", [False, True])
def test_the_model_is_left_as_it_was(layers, gradients):
    model = Toy().train()
    model.norm.eval()
    model.fc.weight.requires_grad_(False)
    with untouched(model), torch.set_grad_enabled(gradients):
        for order in ORDERS:
            found = insertion_deletion(model, IMAGES, 0, layers[0], order=order, fractions=2)
            torch.testing.assert_close(
                found.insertion, insertion_deletion(Toy().eval(), IMAGES, 0, layers[0], order=order, fractions=2).insertion
            )
        interlayer_insertion_deletion(model, IMAGES, None, *layers, top=1, fractions=2)
        with pytest.raises(ValueError):
            insertion_deletion(model, IMAGES, 3, layers[0])
        with pytest.raises(ValueError):
            interlayer_insertion_deletion(model, IMAGES, None, *layers, orders=["size"], top=1)
        assert torch.is_grad_enabled() == gradients


def ask(model, layers, images=IMAGES, target=0, **options):
    return insertion_deletion(model, images, target, layers[0], **options)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m, c: ask(m, c, order="size"), "no order 'size'"),
        (lambda m, c: ask(m, c, order=torch.rand(4, 5)), r"\(4, 6\)"),
        (lambda m, c: ask(m, c, order=torch.full((4, 6), torch.nan)), "finite score"),
        (lambda m, c: ask(m, c, measure="loss"), "no measure 'loss'"),
        (lambda m, c: ask(m, c, fractions=0), "fractions must be .* at least 1"),
        (lambda m, c: ask(m, c, target=3), "classes 0 to 2"),
        (lambda m, c: ask(m, c, target=[0, 1]), "one an image, 4 in all"),
        (lambda m, c: ask(m, c, images=IMAGES * torch.nan), "NaN"),
        (lambda m, c: ask(m, (decompose(pointwise_feature_vectors(m, IMAGES, "relu2"), c[0]),)), "not of these pictures'"),
        (lambda m, c: ask(m, (decompose(pointwise_feature_vectors(m, IMAGES, "relu1"), c[0]),), IMAGES[:2]), "of 4 pictures"),
        (lambda m, c: interlayer_insertion_deletion(m, IMAGES, None, c[1], c[0]), "'relu2' does not run before 'relu1'"),
        (lambda m, c: interlayer_insertion_deletion(m, IMAGES, None, *c, top=6), "fewer than 6"),
        (lambda m, c: interlayer_insertion_deletion(m, IMAGES, None, *c, score="mean"), "no score 'mean'"),
        (lambda m, c: interlayer_insertion_deletion(m, IMAGES, None, *c, top=0), "top must be .* at least 1"),
    ],
)
def test_bad_inputs(toy, layers, call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call(toy, layers)
    assert "\n" not in str(caught.value)


def test_areas():
    line = torch.linspace(0, 1, 5)
    curves = Curves(line, torch.stack([line, line * 0 + 1]), torch.stack([1 - line, line * 0]))
    assert curves.insertion_auc.tolist() == [0.5, 1] and curves.deletion_auc.tolist() == [0.5, 0]
    assert curves.mean == 0.5 and (curves.interval.low, curves.interval.high) == (0, 1)
