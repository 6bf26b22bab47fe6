"""vizcourse.methods.image_parameters: hand-derived values, and Lucent as the peer."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests.methods.toys import identity
from tests.peers import peer
from vizcourse.methods import feature_visualization as fv
from vizcourse.methods.feature_visualization import (
    DISTILL,
    IMAGENET_COLOURS,
    LUCENT,
    channel,
    colour_matrix,
    fourier,
    jitter,
    pad,
    pixels,
    prior,
    render,
    rotate,
    scale,
)
from vizcourse.methods.image_parameters import cut

SMALL = {"image": fourier(16), "steps": 12, "transformations": (), "progress": False}


# -------------------------------------------------------------------------------------------------------------- images


def inverse_transform(spectrum, height, width):
    """The sum that an orthonormal inverse transform of a real picture stands for, term by term."""
    image = torch.zeros(height, width, dtype=torch.float64)
    rows, columns = torch.arange(height).double()[:, None], torch.arange(width).double()[None]
    for v in range(spectrum.shape[0]):
        for u in range(spectrum.shape[1]):
            phase = 2 * math.pi * (v * rows / height + u * columns / width)
            twice = 1 if u == 0 or 2 * u == width else 2  # the left half of the plane mirrors the right one
            real, imaginary = spectrum[v, u].double()
            image += twice * (real * phase.cos() - imaginary * phase.sin())
    return image / math.sqrt(height * width)


@pytest.mark.parametrize(("height", "width"), [(8, 6), (5, 7), (4, 9)])
def test_fourier_is_the_sum_of_waves_over_frequency(height, width):
    image = fourier((height, width), deviation=1)
    spectrum = image.start(1, torch.Generator().manual_seed(0))
    assert spectrum.shape == (1, 3, height, width // 2 + 1, 2)
    waves = []
    for plane in spectrum[0]:
        scaled = plane.clone()
        for v in range(height):
            for u in range(width // 2 + 1):
                frequency = math.hypot(min(v, height - v) / height, u / width)
                scaled[v, u] /= 4 * max(frequency, 1 / max(height, width))
        waves.append(inverse_transform(scaled, height, width))
    longest = math.sqrt(0.26**2 + 0.27**2 + 0.27**2)
    mixed = torch.einsum("ij,jhw->ihw", IMAGENET_COLOURS.double() / longest, torch.stack(waves))
    torch.testing.assert_close(image.decode(spectrum)[0].double(), mixed.sigmoid(), atol=1e-5, rtol=0)


@pytest.mark.peers
@pytest.mark.parametrize("colours", [IMAGENET_COLOURS, None])
@pytest.mark.parametrize("size", [(16, 16), (24, 10), (96, 96), (7, 12)])
def test_fourier_agrees_with_lucent(size, colours):
    lucent = peer("lucent.optvis.param")
    (spectrum,), decode = lucent.fft_image((2, 3, *size), sd=1)
    theirs = lucent.to_valid_rgb(decode, decorrelate=colours is not None)().detach().cpu()
    ours = fourier(size, colours=colours).decode(spectrum.detach().cpu())
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_decay_zero_treats_frequencies_alike():
    image = fourier(8, decay=0, colours=None)
    spectrum = torch.zeros(1, 3, 8, 5, 2)
    spectrum[0, 0, 1, 1, 0] = spectrum[0, 1, 3, 3, 0] = 1
    red, green, blue = image.decode(spectrum)[0].logit()
    torch.testing.assert_close(red.norm(), green.norm())
    assert blue.abs().max() < 1e-6


def test_colour_matrix_is_a_root_of_the_covariance():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.rand(3, 3, generator=generator)
    batches = [torch.einsum("ij,njhw->nihw", mixing, torch.rand(4, 3, 9, 9, generator=generator)) for _ in range(3)]
    matrix = colour_matrix(batches)
    everything = torch.cat(batches).transpose(0, 1).flatten(1)
    torch.testing.assert_close(matrix @ matrix.T, everything.cov(correction=0), atol=1e-6, rtol=1e-4)
    products = matrix.T @ matrix
    torch.testing.assert_close(products, products.diag().diag(), atol=1e-6, rtol=0)  # independent colours
    assert (matrix.norm(dim=0).diff() <= 0).all()
    torch.testing.assert_close(colour_matrix(torch.cat(batches)), matrix, atol=1e-5, rtol=0)
    torch.testing.assert_close(colour_matrix([(batch, "label") for batch in batches]), matrix)


def test_colour_matrix_of_grey_pictures_makes_grey_pictures():
    grey = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0)).expand(5, 3, 8, 8)
    image = fourier(8, colours=colour_matrix(grey), deviation=1)
    decoded = image.decode(image.start(2, torch.Generator().manual_seed(0)))
    torch.testing.assert_close(decoded, decoded[:, :1].expand(2, 3, 8, 8), atol=1e-5, rtol=0)
    assert decoded.std() > 0.01


def test_pixels_start_from_faint_grey_noise():
    image = pixels((6, 8))
    decoded = image.decode(image.start(3, torch.Generator().manual_seed(0)))
    assert decoded.shape == (3, 3, 6, 8)
    assert (decoded - 0.5).abs().max() < 0.02


def test_prior_draws_only_what_the_decoder_can():
    decoder = nn.Sequential(nn.Linear(2, 1), nn.Unflatten(1, (1, 1, 1)), nn.Sigmoid()).train()

    def grey(latents):
        return decoder(latents).expand(-1, 3, 4, 4)

    settings = SMALL | {"image": prior(grey, 2, 8, limit=2), "steps": 200}
    found = render(identity(), channel("0", 0), **settings).images
    assert found.shape == (1, 3, 8, 8)
    best = (2 * decoder[0].weight.abs().sum() + decoder[0].bias).sigmoid().item()  # the corner of the allowed square
    torch.testing.assert_close(found, torch.full_like(found, best), atol=2e-2, rtol=0)


def test_prior_leaves_its_network_alone():
    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.norm = nn.Linear(2, 3 * 64), nn.BatchNorm1d(3 * 64)

        def decode(self, latents):
            return self.norm(self.linear(latents)).sigmoid().view(-1, 3, 8, 8)

    decoder = Decoder().train()
    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    render(identity(), channel("0", 0), **SMALL | {"image": prior(decoder.decode, 2)})
    assert decoder.training and decoder.norm.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in decoder.parameters())
    assert all(torch.equal(before[name], value) for name, value in decoder.state_dict().items())


# ----------------------------------------------------------------------------------------------------- transformations


def draw(transformation, images, seed=0):
    return transformation(images, torch.Generator().manual_seed(seed))


def test_pad_frames_with_grey():
    padded = draw(pad(2), torch.zeros(1, 3, 4, 5))
    assert padded.shape == (1, 3, 8, 9)
    assert padded.sum() == 3 * 0.5 * (8 * 9 - 4 * 5)


def test_jitter_cuts_every_window_of_its_size():
    image = torch.arange(36.0).view(1, 1, 6, 6)
    corners = set()
    for seed in range(100):
        window = draw(jitter(2), image, seed)
        assert window.shape == (1, 1, 4, 4)
        assert torch.equal(window - window[0, 0, 0, 0], image[:, :, :4, :4])
        corners.add(window[0, 0, 0, 0].item())
    assert corners == {0, 1, 2, 6, 7, 8, 12, 13, 14}


def test_scale_changes_the_size_by_a_factor():
    image = torch.full((2, 3, 20, 10), 0.3)
    shapes = {tuple(draw(scale([0.5, 1, 1.5]), image, seed).shape[2:]) for seed in range(30)}
    assert shapes == {(10, 5), (20, 10), (30, 15)}
    torch.testing.assert_close(draw(scale([1.5]), image), torch.full((2, 3, 30, 15), 0.3))


def test_a_quarter_turn_by_hand():
    image = torch.rand(1, 3, 7, 7)
    turned = draw(rotate([90]), image)
    torch.testing.assert_close(turned, image.rot90(dims=(2, 3)), atol=1e-5, rtol=0)
    assert torch.equal(draw(rotate([0]), image), image)
    # also where the sides differ, angles stay angles: the centre row becomes the centre column
    line = torch.full((1, 1, 5, 11), 0.5)
    line[:, :, 2] = 1
    expected = torch.full((1, 1, 5, 11), 0.5)
    expected[:, :, :, 5] = 1
    torch.testing.assert_close(draw(rotate([90]), line), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("preset", [DISTILL, LUCENT, fv.DEFAULT])
def test_the_network_always_sees_the_pictures_own_size(preset):
    sizes = set()
    model = identity()
    model[0].register_forward_pre_hook(lambda _m, inputs: sizes.add(tuple(inputs[0].shape)))
    render(model, channel("0", 0), **SMALL | {"image": pixels((40, 48)), "transformations": preset})
    assert sizes == {(1, 3, 40, 48)}


def test_what_is_cut_off_is_grey():
    small = cut(torch.zeros(1, 3, 4, 7), torch.Size([6, 4]))
    assert small.shape == (1, 3, 6, 4)
    assert torch.equal(small[0, 0, :, 0], torch.tensor([0.5, 0, 0, 0, 0, 0.5]))
