"""Relevance propagation: conservation, values by hand, a network of one's own, zennit beside it, and refusals."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.peers import peer
from vizcourse.methods.attribution import gradient, relevance_propagation, scores
from vizcourse.methods.relevance import propagate
from vizcourse.models import load


def second(outputs):
    return outputs[:, 1]


def network(seed=0, bias=True, norm=True):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        norms = [nn.BatchNorm2d(6), nn.BatchNorm2d(8)] if norm else [nn.Identity(), nn.Identity()]
        model = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1, bias=bias), norms[0], nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1, bias=False), norms[1], nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Linear(32, 5, bias=bias),
        ).eval()  # fmt: skip
        for each in norms if norm else ():
            each.running_mean.normal_(0, 0.3)
            each.running_var.uniform_(0.5, 2)
            each.weight.data.normal_(1, 0.5)
            each.bias.data.normal_(0, 0.3)
    return model


def pictures(count=3, size=12, seed=1):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


class Branches(nn.Module):
    """Residual sums, concatenation, functions in place of modules, and a ReLU in place."""

    def __init__(self):
        super().__init__()
        self.first, self.left = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1, bias=False)
        self.right = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.last = nn.Linear(8, 3, bias=False)

    def forward(self, images):
        hidden = functional.relu(self.first(images), inplace=True)
        joined = torch.cat([self.left(hidden).relu_() + hidden, functional.avg_pool2d(self.right(hidden).relu(), 1)], dim=1)
        return self.last(joined.mean((2, 3)))


def test_by_hand():
    # z = 2·1 + 3·(−1) = −1 and z' = 1·1 + 4·1 = 5, of which only z' passes the ReLU; the score is 10 · 5 = 50.
    first, last = nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)
    first.weight.data, last.weight.data = torch.tensor([[2.0, 3.0], [1.0, -4.0]]), torch.tensor([[7.0, 10.0]])
    model = nn.Sequential(first, nn.ReLU(), last)
    point = torch.tensor([[[[1.0, -1.0]]]])
    found = propagate(model, point, lambda outputs: outputs[:, 0], dense="epsilon")
    torch.testing.assert_close(found[0, 0], torch.tensor([[10.0, 40.0]]), atol=1e-3, rtol=0)
    # The same with one positive and one negative contribution: z' = 3·1 − 1·1 = 2, and positive parts alone get all 20.
    first.weight.data[1] = torch.tensor([3.0, 1.0])
    found = propagate(model, point, lambda outputs: outputs[:, 0], dense="z-plus")
    torch.testing.assert_close(found[0, 0], torch.tensor([[20.0, 0.0]]), atol=1e-3, rtol=0)
    found = propagate(model, point, lambda outputs: outputs[:, 0], dense="epsilon")
    torch.testing.assert_close(found[0, 0], torch.tensor([[30.0, -10.0]]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("rule", ["z-plus", "epsilon"])
def test_relevance_is_conserved_without_biases(rule):
    model, images = network(bias=False, norm=False), pictures()
    with torch.no_grad():
        score = second(model(images))
    torch.testing.assert_close(propagate(model, images, second, rule=rule).sum((1, 2, 3)), score, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("make", [network, Branches])
def test_z_plus_loses_the_last_bias_alone(make):
    model, images = make(), pictures()
    with torch.no_grad():
        score = second(model(images)) - (model[-1].bias[1] if make is network else 0)
    torch.testing.assert_close(propagate(model, images, second).sum((1, 2, 3)), score, atol=1e-3, rtol=1e-3)


def test_on_the_courses_networks():
    for name, size in (("scenes-small-0", 64), ("googlenet-scenes", 96)):
        model, images = load(name), torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            score = model(images)[:, 5] - model.fc.bias[5]
        found = relevance_propagation(model, images, 5)
        torch.testing.assert_close(found.sum((1, 2, 3)), score, atol=0.02, rtol=0.01)


def test_epsilon_is_gradient_times_input_without_normalization():
    model, images = network(norm=False), pictures()
    expected = gradient(model, images, 1) * images
    torch.testing.assert_close(propagate(model, images, second, rule="epsilon"), expected, atol=1e-3, rtol=1e-3)


def test_a_large_epsilon_lets_relevance_fade():
    model, images = network(bias=False, norm=False), pictures()
    fine, coarse = (propagate(model, images, second, rule="epsilon", epsilon=size).abs().sum() for size in (1e-6, 10.0))
    assert coarse < 0.5 * fine


def test_one_map_an_image():
    model, images = network(), pictures()
    whole = relevance_propagation(model, images, [0, 3, 1])
    for number, target in enumerate((0, 3, 1)):
        one = relevance_propagation(model, images[number : number + 1], target)
        torch.testing.assert_close(whole[number : number + 1], one, atol=1e-5, rtol=1e-3)


@pytest.mark.peers
@pytest.mark.parametrize("rule", ["z-plus", "epsilon"])
def test_equals_zennit(rule):
    peer("zennit")
    from zennit.attribution import Gradient
    from zennit.canonizers import SequentialMergeBatchNorm
    from zennit.composites import LayerMapComposite
    from zennit.rules import Epsilon, Norm, Pass, ZPlus
    from zennit.types import Activation, AvgPool, Convolution, Linear

    model, images = network(), pictures()
    convolutions = ZPlus(zero_params="bias") if rule == "z-plus" else Epsilon()
    layers = [(Activation, Pass()), (AvgPool, Norm()), (Convolution, convolutions), (Linear, Epsilon())]
    composite = LayerMapComposite(layers, canonizers=[SequentialMergeBatchNorm()])
    with Gradient(copy.deepcopy(model), composite) as propagated:
        _, theirs = propagated(images, lambda outputs: functional.one_hot(torch.tensor([1] * 3), 5) * outputs)
    ours = propagate(model, images, second, rule=rule)
    torch.testing.assert_close(ours / theirs.abs().max(), theirs / theirs.abs().max(), atol=1e-3, rtol=0)


def test_nothing_is_left_behind():
    model, images = network(), pictures()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ZeroDivisionError):
        propagate(model, images, lambda outputs: 1 / 0)
    propagate(model, images, second)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters()) and images.grad is None
    torch.testing.assert_close(gradient(model, images, 1), gradient(network(), images, 1))


@pytest.mark.parametrize(
    "match, model, options",
    [
        ("no rule 'gamma': choose from epsilon, z-plus", network(), {"rule": "gamma"}),
        ("above 0", network(), {"epsilon": 0.0}),
        ("here is GELU", nn.Sequential(nn.Conv2d(3, 2, 3), nn.GELU(), nn.Flatten()), {}),
        ("here is softmax", nn.Sequential(nn.Conv2d(3, 2, 3), nn.Softmax(1), nn.Flatten()), {}),
        ("something like the picture", nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(3, 2, 3), nn.Flatten()), {}),
        ("not none", nn.Flatten(), {}),
    ],
)
def test_refusals(match, model, options):
    with pytest.raises(ValueError, match=match) as caught:
        propagate(model, pictures(), second, **options)
    assert "\n" not in str(caught.value)


def test_a_transformer_is_refused():
    with pytest.raises(ValueError, match="piecewise linear"):
        relevance_propagation(load("vit-scenes"), torch.rand(1, 3, 96, 96), 0)


def test_the_target_is_any_target():
    model, images = network(), pictures()
    difference = relevance_propagation(model, images, lambda outputs: scores(outputs, 1) - scores(outputs, 2), rule="epsilon")
    each = [relevance_propagation(model, images, target, rule="epsilon") for target in (1, 2)]
    # What a layer hands down is linear in what it is given, but for the epsilon of the last one.
    torch.testing.assert_close(difference, each[0] - each[1], atol=1e-3, rtol=1e-2)
