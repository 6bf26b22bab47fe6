"""vizcourse.methods.convolution: hand-derived values, PyTorch as the peer, and exactness of silencing."""

from __future__ import annotations

import copy

import pytest
import torch
import torchvision
from torch import nn

from vizcourse.hooks import replace
from vizcourse.methods.convolution import (
    count_parameters,
    cross_correlate,
    fit,
    gradient_field,
    output_size,
    receptive_field,
    relative_silencing,
    silence,
    silencing_effects,
    with_classes,
)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((9, 3), 7), ((7, 3, 2), 3), ((224, 7, 2, 3), 112), ((5, 5), 1), ((8, 3, 2), 3), ((1, 1), 1), ((4, 2, 3), 1)],
)
def test_output_size_by_hand(arguments, expected):
    assert output_size(*arguments) == expected


def test_output_size_agrees_with_pytorch_on_a_grid():
    for size in range(1, 12):
        for kernel in range(1, 6):
            for stride in range(1, 4):
                for padding in range(3):
                    if kernel > size + 2 * padding:
                        with pytest.raises(ValueError, match="does not fit"):
                            output_size(size, kernel, stride, padding)
                        continue
                    x = torch.zeros(1, 1, size, 8)
                    expected = nn.functional.conv2d(
                        x, torch.zeros(1, 1, kernel, 1), stride=stride, padding=(padding, 0)
                    ).shape[2]
                    assert output_size(size, kernel, stride, padding) == expected


def test_cross_correlation_by_hand():
    image = torch.arange(9.0).reshape(1, 3, 3)
    kernel = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    # top left window: 0·0 + 1·1 + 2·3 + 3·4 = 19; the kernel is not flipped
    assert cross_correlate(image, kernel).tolist() == [[[19.0, 25.0], [37.0, 43.0]]]


@pytest.mark.parametrize("seed", range(8))
def test_cross_correlation_equals_pytorch(seed):
    generator = torch.Generator().manual_seed(seed)
    channels, count = seed % 3 + 1, seed % 4 + 1
    image = torch.randn(channels, 9 + seed, 8, generator=generator)
    kernels = torch.randn(count, channels, 3, 2 + seed % 3, generator=generator)
    stride, padding = seed % 3 + 1, seed % 3
    expected = nn.functional.conv2d(image[None], kernels, stride=stride, padding=padding)[0]
    torch.testing.assert_close(cross_correlate(image, kernels, stride, padding), expected)


def test_receptive_field_by_hand():
    assert receptive_field([]).size == 1
    two = receptive_field([(3, 1, 1), (3, 1, 1)])
    assert (two.size, two.jump, two.start) == (5, 1, 0.5)
    # conv 3, pool 2/2, conv 3: 3, then 4, then 4 + 2·2 = 8 pixels; neighbours are 2 pixels apart
    three = receptive_field([(3, 1, 1), (2, 2, 0), (3, 1, 1)])
    assert (three.size, three.jump) == (8, 2)
    assert receptive_field([(7, 2, 3), (3, 2, 1)]).size == 11  # ResNet's stem


def test_gradients_are_zero_exactly_outside_the_receptive_field():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(8, 8, 3, padding=1))
    field = gradient_field(model, torch.rand(4, 3, 32, 32), "3", position=(7, 8))
    theory = receptive_field([(3, 1, 1), (2, 2, 0), (3, 1, 1)])
    seen = field > 0
    assert seen.any(1).sum() == seen.any(0).sum() == theory.size
    for axis, position in [(1, 7), (0, 8)]:
        pixels = seen.any(axis).nonzero().flatten() + 0.5
        assert pixels.mean() == theory.start + theory.jump * position


def test_gradient_field_leaves_the_model_alone():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    images = torch.rand(2, 3, 8, 8)
    gradient_field(model, images, "1")
    assert all(parameter.grad is None for parameter in model.parameters())
    assert images.grad is None and not images.requires_grad
    assert not model[1]._forward_hooks


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return torchvision.models.resnet18(num_classes=4).eval()


def test_silencing_one_by_one_equals_a_hooked_forward_pass(resnet):
    images = torch.rand(3, 3, 64, 64)
    effects = silencing_effects(resnet, images, "layer2", batch=50)
    assert effects.shape == (128, 3, 4)
    torch.testing.assert_close(effects.sum(2), torch.zeros(128, 3), atol=1e-5, rtol=0)
    with torch.no_grad():
        clean = resnet(images).softmax(1)
        for channel in (0, 63, 127):
            mask = torch.ones(1, 128, 1, 1)
            mask[:, channel] = 0
            with replace(resnet, {"layer2": lambda activation, mask=mask: activation * mask}):
                expected = resnet(images).softmax(1) - clean
            torch.testing.assert_close(effects[channel], expected, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(
                silence(resnet, images, "layer2", [channel]).softmax(1) - clean, expected, atol=1e-5, rtol=1e-4
            )


def test_silencing_nothing_and_everything(resnet):
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(silence(resnet, images, "layer4", []), resnet(images))
    torch.testing.assert_close(silence(resnet, images, "layer4", range(512)), resnet.fc.bias.expand(2, -1).detach())


class TwoChannels(nn.Module):
    """Logits are known sums of two channels' means: (3 a, 0) and then b in both, which the softmax does not see."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.relu, self.scale = nn.ReLU(), scale

    def forward(self, images):
        a, b = self.relu(images).mean(dim=(2, 3)).unbind(1)
        return self.scale * torch.stack([3 * a + b, b], 1)


def test_relative_silencing_by_hand():
    images = torch.tensor([[1.0, 5.0], [2.0, 9.0], [6.0, 1.0]])[:, :, None, None].expand(-1, -1, 2, 2)
    # Channel 0 is all that tells the pictures apart, and channel 1 moves both logits alike.
    torch.testing.assert_close(relative_silencing(TwoChannels(), images, "relu"), torch.tensor([1.0, 0.0]))
    changes = silencing_effects(TwoChannels(), images, "relu", logits=True)
    assert changes.tolist() == [[[-3, 0], [-6, 0], [-18, 0]], [[-5, -5], [-9, -9], [-1, -1]]]


def test_relative_silencing_does_not_depend_on_the_scale_or_on_what_all_pictures_share(resnet):
    images = torch.rand(3, 3, 64, 64)
    before = relative_silencing(resnet, images, "layer4")
    assert before.shape == (512,) and (before >= 0).all() and before.max() > 0
    scaled = copy.deepcopy(resnet)
    with torch.no_grad():
        scaled.fc.weight *= 7
        scaled.fc.bias += 100
    torch.testing.assert_close(relative_silencing(scaled, images, "layer4"), before, atol=1e-3, rtol=1e-2)


class EndsInAConvolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Conv2d(8, 3, 1)  # defined first, runs last
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())

    def forward(self, images):
        return self.last(self.body(images)).mean(dim=(2, 3))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 3)),
        lambda: nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 3)), nn.Sequential(nn.Flatten(), nn.Sequential(nn.LazyLinear(3)))),
        EndsInAConvolution,
        lambda: torchvision.models.resnet18(num_classes=3),
    ],
)
def test_a_network_of_any_build_gets_other_classes(make):
    images = torch.rand(2, 3, 32, 32)
    network = make().eval()
    network(images)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    other = with_classes(network, 10, images)
    assert other(images).shape == (2, 10) and network(images).shape == (2, 3)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in state.items())
    assert not any(module._forward_hooks for module in (*network.modules(), *other.modules()))


def test_a_network_without_a_last_layer_of_classes_is_refused():
    with pytest.raises(ValueError, match="The last layer of weights is missing"):
        with_classes(nn.AdaptiveAvgPool2d(1), 10, torch.rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match="is BatchNorm2d"):
        with_classes(nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.Flatten()), 10, torch.rand(1, 3, 8, 8))


def test_lazy_layers_can_be_fitted():
    network = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.LazyLinear(2))
    losses = fit(network, torch.rand(16, 3, 8, 8), torch.tensor([0, 1] * 8), epochs=2, batch=8)
    assert len(losses) == 4 and network[0].weight.shape == (4, 3, 3, 3)


def test_count_parameters_by_hand():
    assert count_parameters(nn.Conv2d(3, 16, 5)) == 16 * (3 * 25) + 16
    assert count_parameters(nn.Linear(10, 3, bias=False)) == 30


def test_bad_input_is_named(resnet):
    images = torch.rand(1, 3, 64, 64)
    with pytest.raises(ValueError, match="has channels 0 to 127; there is no channel 128"):
        silence(resnet, images, "layer2", [128])
    with pytest.raises(ValueError, match=r"write \[3\] for channel 3"):
        silence(resnet, images, "layer2", 3)
    with pytest.raises(ValueError, match="at least one"):
        silencing_effects(resnet, images[:0], "layer2")
    with pytest.raises(ValueError, match="did you mean"):
        silencing_effects(resnet, images, "layer9")
    with pytest.raises(ValueError, match="at least 2"):
        relative_silencing(resnet, images, "layer4")
    with pytest.raises(ValueError, match="the same for every image"):
        relative_silencing(resnet, images.expand(3, -1, -1, -1), "layer4")
    with pytest.raises(ValueError, match="same number of channels"):
        cross_correlate(torch.zeros(3, 4, 4), torch.zeros(2, 1, 3, 3))
    with pytest.raises(ValueError, match="there is no position"):
        gradient_field(resnet, images, "layer4", position=(2, 0))
    with pytest.raises(ValueError, match="choose a layer with"):
        gradient_field(resnet, images, "fc")
    with pytest.raises(ValueError, match="at least 1"):
        output_size(0, 3)
