"""Concepts of a layer: receptive fields by hand, sampling, dictionaries, the Lasso beside scikit-learn's, bad inputs."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.methods.untouched import untouched
from vizcourse.methods import concepts
from vizcourse.methods.concepts import Concepts, decompose, extract_concepts


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def convolution(weight, bias=None):
    weight = torch.as_tensor(weight)
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:], bias=bias is not None)
    layer.weight.data = weight
    if bias is not None:
        layer.bias.data = torch.as_tensor(bias)
    return layer


class Toy(nn.Module):
    """Two convolutions with ReLUs in place, a pooling, three logits."""

    def __init__(self, seed=0, bias=True, channels=4):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv1, self.conv2 = nn.Conv2d(3, channels, 3, padding=1, bias=bias), nn.Conv2d(channels, 5, 3, bias=bias)
            self.relu1, self.relu2 = nn.ReLU(inplace=True), nn.ReLU(inplace=True)
            self.norm, self.pool, self.fc = nn.BatchNorm2d(5), nn.AdaptiveAvgPool2d(1), nn.Linear(5, 3)

    def forward(self, images):
        hidden = self.relu2(self.norm(self.conv2(self.relu1(self.conv1(images)))))
        return self.fc(self.pool(hidden).flatten(1))


PICTURES = torch.rand(4, 3, 6, 7, generator=generator(1))


@pytest.fixture
def toy():
    return Toy().eval()


def clusters(count=3, each=40, channels=8, noise=0.05, seed=0):
    """Vectors around planted directions, and those."""
    planted = functional.normalize(torch.rand(count, channels, generator=generator(seed)), dim=1)
    planted = functional.normalize(planted + 2 * functional.one_hot(torch.arange(count), channels), dim=1)
    vectors = planted.repeat_interleave(each, 0) * 3
    return (vectors + noise * torch.randn(vectors.shape, generator=generator(seed + 1))).clamp_min(0), planted


# ------------------------------------------------------------------------------------------------------- sharing ratio


PICTURE = torch.tensor([[[[1.0, 2, 0], [3, 4, 1]]]])
KERNEL = [[[[1.0, 2], [0, 1]]], [[[1.0, 0], [0, 0]]]]


@pytest.mark.parametrize(
    "weight, bias, expected",
    [
        # y = 1·1 + 2·2 + 0·3 + 1·4 = 9
        (KERNEL[:1], None, [[1 / 9, 4 / 9, 0], [0, 4 / 9, 0]]),
        # y = (9, 1); the pixels give (1, 1), (4, 0), (0, 0), (4, 0), whose products with y are 10, 36, 0, 36 of 82.
        (KERNEL, None, [[10 / 82, 36 / 82, 0], [0, 36 / 82, 0]]),
        # y = (12, 1): 13, 48, 0, 48 of 145, and the bias has the other 36.
        (KERNEL, [3.0, 0.0], [[13 / 145, 48 / 145, 0], [0, 48 / 145, 0]]),
    ],
)
def test_sharing_ratio_by_hand(weight, bias, expected):
    model = nn.Sequential(convolution(weight, bias)).eval()
    found = concepts.effective_receptive_field(model, PICTURE, ["0"], [[0, 0]])
    torch.testing.assert_close(found, torch.tensor([expected]))
    # The other position: y = (1, 0)·2·1 + … = 2 + 0 + 0 + 1 = 3 in the first channel.
    if bias is None and len(weight) == 1:
        there = concepts.effective_receptive_field(model, PICTURE, ["0"], torch.tensor([[0, 1]]))
        torch.testing.assert_close(there, torch.tensor([[[0, 2 / 3, 0], [0, 0, 1 / 3]]]))


@pytest.mark.parametrize("seed", range(3))
def test_shares_sum_to_one_without_biases_and_not_with(seed):
    positions = [[0, 0], [3, 4], [2, 1], [1, 1]]
    without, having = Toy(seed, bias=False).eval(), Toy(seed).eval()
    found = concepts.effective_receptive_field(without, PICTURES, ["relu1", "conv2"], positions)
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(4))
    found = concepts.effective_receptive_field(having, PICTURES, ["relu1", "conv2"], positions)
    assert (found.sum((1, 2)) - 1).abs().min() > 1e-3


def explicit(model, image, row, column):
    """The recursion as the source states it, position by position: conv1 with its ReLU, then conv2 with its ReLU."""

    def shares(maps, layer, padding):
        """{output position: {input position: μ}} of one convolution and the ReLU's pattern, and its outputs."""
        after = layer(maps[None])[0]
        pattern, found = (after > 0).float(), {}
        for i in range(after.shape[1]):
            for j in range(after.shape[2]):
                vector, found[i, j] = (after * pattern)[:, i, j], {}
                for k in range(3):
                    for m in range(3):
                        at = (i + k - padding, j + m - padding)
                        if 0 <= at[0] < maps.shape[1] and 0 <= at[1] < maps.shape[2]:
                            given = pattern[:, i, j] * (layer.weight[:, :, k, m] @ maps[:, at[0], at[1]])
                            found[i, j][at] = float(given @ vector / vector.square().sum().clamp_min(1e-20))
        return found, after * pattern

    first, hidden = shares(image, model.conv1, 1)
    second, _ = shares(hidden, model.conv2, 0)
    field = torch.zeros(image.shape[1:])
    for middle, share in second[row, column].items():
        for pixel, part in first[middle].items():
            field[pixel] += share * part
    return field


@torch.no_grad()
def test_sharing_ratio_is_the_layer_by_layer_recursion(toy):
    toy.norm = nn.Identity()
    positions = torch.tensor([[0, 0], [3, 4], [2, 1], [1, 3]])
    found = concepts.effective_receptive_field(toy, PICTURES, ["relu1", "relu2"], positions)
    expected = torch.stack([explicit(toy, image, *at) for image, at in zip(PICTURES, positions.tolist(), strict=True)])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    # Nothing outside the 5 × 5 pixels that reach the position.
    assert found[0, 4:].abs().max() == 0 == found[0, :, 4:].abs().max()


def test_gradient_surrogate(toy):
    positions = torch.tensor([[0, 0], [3, 4], [2, 1], [1, 3]])
    linear = nn.Sequential(convolution(KERNEL)).eval()
    # Linear and one step: the sharing ratio times |y|² = 82.
    by_hand = torch.tensor([[[10.0, 36, 0], [0, 36, 0]]])
    torch.testing.assert_close(concepts.gradient_receptive_field(linear, PICTURE, "0", [[0, 0]]), by_hand)
    found = concepts.gradient_receptive_field(toy, PICTURES, "relu2", positions)
    assert found.shape == (4, 6, 7) and (found >= 0).all() and not found.requires_grad
    assert found[0, :5, :5].max() > 0 and found[0, 5:].max() == 0
    # In one step from the pixels, both say the same but for sign and scale.
    exact = concepts.effective_receptive_field(toy, PICTURES, ["relu2"], positions).abs()
    unit = [each / each.sum((1, 2), keepdim=True) for each in (exact, found)]
    torch.testing.assert_close(*unit, atol=1e-5, rtol=1e-4)


def test_boxes():
    fields = torch.zeros(3, 20, 30)
    fields[0, 7, 11] = -2.0
    fields[1, 5:15, 10:20] = 1.0
    found = concepts.boxes(fields, margin=0)
    assert found[0].tolist() == [7, 11, 8, 12]
    # Of ten equal rows, the middle eight are needed for 70 %.
    assert concepts.boxes(fields, share=0.7, margin=0)[1].tolist() == [6, 11, 14, 19]
    assert concepts.boxes(fields, margin=6)[0].tolist() == [1, 5, 14, 18]
    assert concepts.boxes(fields, margin=50)[0].tolist() == [0, 0, 20, 30]
    top, left, bottom, right = found[2].tolist()  # an empty field still has a box in the picture
    assert 0 <= top < bottom <= 20 and 0 <= left < right <= 30


# ----------------------------------------------------------------------------------------- vectors and contributions


def test_pointwise_feature_vectors_are_the_maps(toy):
    with torch.no_grad():
        expected = toy.relu1(toy.conv1(PICTURES))
    torch.testing.assert_close(concepts.pointwise_feature_vectors(toy, PICTURES, "relu1"), expected)


def test_contributions_sum_to_the_change_of_the_logit(toy):
    with torch.no_grad():
        maps = concepts.pointwise_feature_vectors(toy, PICTURES, "relu1")

        def tail(hidden):
            return toy.fc(toy.pool(toy.relu2(toy.norm(toy.conv2(hidden)))).flatten(1))

        change = (tail(maps) - tail(torch.zeros_like(maps))).gather(1, torch.tensor([[0], [1], [2], [1]]))[:, 0]
    found = concepts.contributions(toy, PICTURES, [0, 1, 2, 1], "relu1", steps=256)
    assert found.shape == (4, 6, 7)
    torch.testing.assert_close(found.sum((1, 2)), change, atol=1e-3, rtol=1e-2)
    one = concepts.contributions(toy, PICTURES, 1, "relu1", steps=4)
    several = concepts.contributions(toy, PICTURES, [1] * 4, "relu1", steps=4)
    assert torch.equal(one, several)


def test_samples_come_in_proportion_to_the_positive_contributions(toy):
    weight = concepts.contributions(toy, PICTURES[:1], 1, "relu1", steps=4)[0].clamp_min(0).flatten()
    expected = weight / weight.sum()
    assert (weight == 0).any()
    many = 4000
    drawn = concepts.sample_vectors(toy, PICTURES[:1].expand(many, -1, -1, -1), 1, "relu1", steps=4)
    places = drawn.positions[:, 0] * 7 + drawn.positions[:, 1]
    frequency = torch.bincount(places, minlength=42) / many
    # Five standard deviations of a binomial; what speaks against the class never comes.
    assert ((frequency - expected).abs() <= 5 * (expected * (1 - expected) / many).sqrt() + 1e-6).all()
    maps = concepts.pointwise_feature_vectors(toy, PICTURES[:1], "relu1")[0].flatten(1)
    torch.testing.assert_close(drawn.vectors[:50], maps[:, places[:50]].T)
    assert drawn.layer == "relu1" and torch.equal(drawn.images, torch.arange(many))


def test_samples_are_seeded_and_need_no_positive_contribution(toy):
    one, two, three = (concepts.sample_vectors(toy, PICTURES, 0, "relu1", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.positions, two.positions) and not torch.equal(one.positions, three.positions)
    toy.fc.weight.data = -toy.fc.weight.data.abs()
    toy.conv2.weight.data.abs_()
    against = concepts.sample_vectors(toy, PICTURES, 0, "relu1")
    assert against.vectors.shape == (4, 4)


def test_a_shared_module_is_meant_at_its_first_call(toy):
    both = concepts.contributions(toy, PICTURES, 1, "relu1", steps=3)
    toy.relu2 = toy.relu1
    torch.testing.assert_close(concepts.contributions(toy, PICTURES, 1, "relu1", steps=3), both)
    with torch.no_grad():
        expected = toy.conv1(PICTURES).relu()
    torch.testing.assert_close(concepts.pointwise_feature_vectors(toy, PICTURES, "relu1"), expected)
    positions = torch.tensor([[0, 0], [3, 4], [2, 1], [1, 3]])
    found = concepts.effective_receptive_field(toy, PICTURES, ["relu1", "norm"], positions)
    apart = Toy().eval()
    torch.testing.assert_close(found, concepts.effective_receptive_field(apart, PICTURES, ["relu1", "norm"], positions))


def test_the_class_that_does_not_exist_is_named(toy):
    with pytest.raises(ValueError, match="no class -1"):
        concepts.contributions(toy, PICTURES, [0, 2, -1, 1], "relu1")


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_any_precision(toy, dtype):
    expected = concepts.contributions(toy, PICTURES, 1, "relu1", steps=3)
    found = concepts.contributions(toy.to(dtype), PICTURES, 1, "relu1", steps=3)
    torch.testing.assert_close(found, expected.to(found.dtype), atol=5e-3, rtol=5e-2)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


# ------------------------------------------------------------------------------------------------------- dictionaries


@pytest.mark.parametrize("method", ["bisecting k-means", "k-means"])
def test_planted_clusters_are_found(method):
    vectors, planted = clusters()
    found = extract_concepts(vectors, 3, method=method, layer="here")
    assert (found.vectors @ planted.T).amax(0).min() > 0.99
    assert (found.layer, found.method, len(found)) == ("here", method, 3)
    # The vectors nearest to each concept are those planted around its direction.
    nearest = found.nearest(vectors, 40)
    assert torch.equal((nearest // 40).float().std(1), torch.zeros(3))
    assert sorted((nearest[:, 0] // 40).tolist()) == [0, 1, 2]


@pytest.mark.parametrize("method", concepts.DICTIONARIES)
def test_every_dictionary_gives_seeded_unit_vectors(method):
    vectors, _ = clusters(4, 30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NMF's, that it may not have converged
        one, two, three = (extract_concepts(vectors, 6, method=method, seed=seed) for seed in (0, 0, 1))
        double = extract_concepts(vectors.double(), 5, method=method)
    assert one.vectors.shape == (6, 8) and one.vectors.dtype == torch.float32 and not one.vectors.requires_grad
    assert double.vectors.shape == (5, 8) and double.vectors.dtype == torch.float64
    torch.testing.assert_close(one.vectors.norm(dim=1), torch.ones(6))
    assert torch.equal(one.vectors, two.vectors)
    assert one.scale == pytest.approx(float(vectors.norm(dim=1).mean()))
    if method in ("sparse autoencoder", "random directions", "bisecting k-means"):
        assert not torch.equal(one.vectors, three.vectors)
    if method in ("NMF", "random directions"):
        assert (one.vectors >= 0).all()


def test_eight_concepts_a_channel_by_default():
    vectors, _ = clusters(each=50)
    assert len(extract_concepts(vectors, method="random directions")) == 64
    assert extract_concepts(vectors, 5, method="random directions").subset([3, 1]).vectors.shape == (2, 8)


# ------------------------------------------------------------------------------------------------------------- Lasso


def problem(count=2, channels=6, many=9, seed=0):
    activations = torch.rand(count, channels, 3, 4, generator=generator(seed)).double()
    vectors = functional.normalize(torch.randn(many, channels, generator=generator(seed + 1)).double(), dim=1)
    return activations, Concepts("there", vectors, scale=1.0)


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("penalty", [0.02, 0.2])
def test_lasso_is_scikit_learns(positive, penalty):
    from sklearn.linear_model import Lasso

    activations, known = problem()
    parts = decompose(activations, known, penalty=penalty, positive=positive, iterations=5000)
    # scikit-learn divides the square, not the penalty, by the number of its samples: the channels.
    peer = Lasso(penalty / 6, positive=positive, fit_intercept=False, max_iter=100_000, tol=1e-12)
    for image in range(2):
        for row, column in [(0, 0), (2, 3), (1, 1)]:
            expected = peer.fit(known.vectors.T.numpy(), activations[image, :, row, column].numpy()).coef_
            torch.testing.assert_close(
                parts.coefficients[image, :, row, column], torch.from_numpy(expected), atol=2e-4, rtol=1e-3
            )
    assert (parts.coefficients < 0).any() != positive


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("penalty", [0.0, 0.02, 0.3])
def test_lasso_meets_its_optimality_conditions(positive, penalty):
    """The residual pulls present concepts with exactly λ (and their sign), absent ones with at most λ."""
    activations, known = problem(seed=5)
    known = Concepts("there", known.vectors, scale=2.0)
    parts = decompose(activations, known, penalty=penalty, positive=positive)
    pull = torch.einsum("nchw,kc->nkhw", parts.residual, known.vectors)
    here, threshold = parts.coefficients != 0, penalty * 2.0
    signs = parts.coefficients.sign()
    assert (pull - threshold * signs)[here].abs().max() < 1e-3
    outside = pull[~here] if positive else pull[~here].abs()
    if len(outside):
        assert outside.max() <= threshold + 1e-3


def test_decomposition_adds_up():
    activations, known = problem()
    parts = decompose(activations, known)
    rebuilt = torch.einsum("nkhw,kc->nchw", parts.coefficients, known.vectors)
    torch.testing.assert_close(parts.reconstruction, rebuilt)
    torch.testing.assert_close(parts.reconstruction + parts.residual, activations)
    for image in range(2):
        assert float(parts.error[image]) == pytest.approx(
            float(parts.residual[image].square().sum() / activations[image].square().sum())
        )
    assert parts.density == pytest.approx((parts.coefficients != 0).sum().item() / parts.coefficients.numel())
    assert decompose(activations, known, penalty=0.2).density < parts.density
    # Channels as concepts and no penalty: nothing is left out, and the coefficients are the channels.
    channels = decompose(activations, Concepts("there", torch.eye(6).double()), penalty=0)
    torch.testing.assert_close(channels.coefficients, activations, atol=1e-4, rtol=0)
    assert channels.error.max() < 1e-6
    nothing = decompose(torch.zeros(1, 6, 3, 4), Concepts("there", known.vectors.float()))
    assert nothing.coefficients.abs().max() == 0 and nothing.error.isfinite().all()


# -------------------------------------------------------------------------------------------------- manners, bad input


def everything(model):
    positions = torch.zeros(4, 2, dtype=torch.long)
    drawn = concepts.sample_vectors(model, PICTURES, [0, 1, 2, 0], "relu1")
    concepts.effective_receptive_field(model, PICTURES, ["relu1", "relu2"], positions)
    concepts.gradient_receptive_field(model, PICTURES, "relu2", positions)
    return drawn


@pytest.mark.parametrize("gradients", [False, True])
def test_the_model_is_left_as_it_was(gradients):
    model = Toy().train()
    model.conv2.eval()
    model.fc.weight.requires_grad_(False)
    with untouched(model), torch.set_grad_enabled(gradients):
        drawn = everything(model)
        assert not drawn.vectors.requires_grad
        torch.testing.assert_close(drawn.vectors, everything(Toy().eval()).vectors)
        for fail in (
            lambda: concepts.contributions(model, PICTURES, 3, "relu1"),
            lambda: concepts.effective_receptive_field(model, PICTURES, ["relu1", "relu2"], [[9, 9]] * 4),
            lambda: concepts.gradient_receptive_field(model, PICTURES, "relu1", [[9, 9]] * 4),
            lambda: concepts.pointwise_feature_vectors(model, PICTURES, "pool"),
        ):
            with pytest.raises(ValueError):
                fail()
        assert torch.is_grad_enabled() == gradients
    assert PICTURES.grad is None


VECTORS, KNOWN = torch.rand(10, 4, generator=generator(3)), Concepts("relu1", torch.eye(4))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: extract_concepts(VECTORS, 11), "11 concepts from 10 vectors"),
        (lambda m: extract_concepts(VECTORS), "32 concepts from 10 vectors"),
        (lambda m: extract_concepts(VECTORS, 0), "at least 1, not 0"),
        (lambda m: extract_concepts(VECTORS[0], 1), r"\(N, channels\)"),
        (lambda m: extract_concepts(VECTORS * torch.nan, 3), "NaN"),
        (lambda m: extract_concepts(VECTORS, 3, method="PCA"), "no method 'PCA'"),
        (lambda m: decompose(torch.rand(1, 5, 3, 3), KNOWN), "5 channels and the concepts of 'relu1' 4"),
        (lambda m: decompose(torch.rand(1, 4), KNOWN), "no spatial extent"),
        (lambda m: decompose(torch.rand(1, 4, 1, 1), KNOWN), "no spatial extent"),
        (lambda m: decompose(torch.rand(1, 4, 2, 2), KNOWN, penalty=-1), "at least 0, not -1"),
        (lambda m: KNOWN.nearest(torch.rand(7, 5)), "same layer"),
        (lambda m: concepts.pointwise_feature_vectors(m, PICTURES, "relu3"), "no layer 'relu3'"),
        (lambda m: concepts.pointwise_feature_vectors(m, PICTURES, "fc"), "no spatial extent"),
        (lambda m: concepts.pointwise_feature_vectors(m, PICTURES, "pool"), "no spatial extent"),
        (lambda m: concepts.pointwise_feature_vectors(m, PICTURES[0], "relu1"), r"images\[None\] makes a batch"),
        (lambda m: concepts.pointwise_feature_vectors(m, PICTURES * torch.nan, "relu1"), "NaN"),
        (lambda m: concepts.sample_vectors(m, PICTURES, [0, 1], "relu1"), "one an image, 4 in all"),
        (lambda m: concepts.sample_vectors(m, PICTURES, 3, "relu1"), "classes 0 to 2"),
        (lambda m: concepts.effective_receptive_field(m, PICTURES, [], [[0, 0]] * 4), "chain of layers is empty"),
        (lambda m: concepts.effective_receptive_field(m, PICTURES, ["relu2", "relu1"], [[0, 0]] * 4), "first to the last"),
        (lambda m: concepts.effective_receptive_field(m, PICTURES, ["relu1"], [[0, 0]]), r"\(N, 2\)"),
        (lambda m: concepts.gradient_receptive_field(m, PICTURES, "relu1", [[6, 0]] * 4), "6 rows and 7 columns"),
    ],
)
def test_bad_inputs(toy, call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call(toy)
    assert "\n" not in str(caught.value)
