"""vizcourse.methods.property_gradients: values derived by hand, numpy and scikit-learn as peers, and the test's level."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from vizcourse.methods.property_gradients import (
    correlation,
    derivative_matrix,
    expected_property_gradient_magnitude,
    fornberg_weights,
    logits,
    mutual_information,
    permutation_test,
    property_effect,
    property_gradients,
    respond,
)

STEPS = torch.arange(100.0)
SIGMOID = torch.sigmoid(torch.linspace(-18, 18, 100))


# ------------------------------------------------------------------------------------------------------ derivatives


def test_fornberg_weights_by_hand():
    assert fornberg_weights([0, 1], 0).tolist() == [-1, 1]
    assert fornberg_weights([-1, 0, 1], 0).tolist() == [-0.5, 0, 0.5]
    assert fornberg_weights([-1, 0, 1], 0, derivative=2).tolist() == [1, -2, 1]
    assert fornberg_weights([0, 1, 2], 0).tolist() == [-1.5, 2, -0.5]
    assert fornberg_weights([0, 2], 0.5, derivative=0).tolist() == [0.75, 0.25]
    # five points, as in Fornberg's table 1: 1/12, -2/3, 0, 2/3, -1/12
    expected = torch.tensor([1, -8, 0, 8, -1]).double() / 12
    torch.testing.assert_close(fornberg_weights([-2, -1, 0, 1, 2], 0), expected)


@pytest.mark.parametrize("seed", range(6))
def test_fornberg_weights_are_exact_for_polynomials(seed):
    generator = torch.Generator().manual_seed(seed)
    count = 2 + seed
    nodes = torch.rand(count, generator=generator).double().cumsum(0)
    at = float(torch.rand(1, generator=generator)) * 2
    coefficients = torch.randn(count, generator=generator).double().numpy()
    polynomial = np.polynomial.Polynomial(coefficients)
    for derivative in range(count):
        value = float(fornberg_weights(nodes, at, derivative) @ torch.from_numpy(polynomial(nodes.numpy())))
        expected = polynomial.deriv(derivative)(at) if derivative else polynomial(at)
        assert value == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("steps", [3, 4, 7, 100])
def test_the_default_is_numpys_gradient(steps):
    generator = torch.Generator().manual_seed(steps)
    curves = torch.rand(4, steps, generator=generator).double()
    values = (torch.rand(steps, generator=generator) + 0.1).double().cumsum(0)
    np.testing.assert_allclose(property_gradients(curves), np.gradient(curves.numpy(), axis=1), atol=1e-12)
    np.testing.assert_allclose(
        property_gradients(curves, values), np.gradient(curves.numpy(), values.numpy(), axis=1), atol=1e-9
    )


def test_score_by_hand_on_uneven_steps():
    # the parabola x² at 0, 1, 3: one-sided 1 and 4 at the ends, exactly 2·1 inside
    responses, values = torch.tensor([0.0, 1.0, 9.0]), torch.tensor([0.0, 1.0, 3.0])
    assert property_gradients(responses, values).tolist() == pytest.approx([1, 2, 4])
    assert float(expected_property_gradient_magnitude(responses, values)) == pytest.approx(7 / 3)
    assert float(expected_property_gradient_magnitude(responses)) == pytest.approx((1 + 4.5 + 8) / 3)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 6])
def test_higher_orders_are_exact_for_higher_polynomials(order):
    values = torch.tensor([0.0, 0.4, 1.0, 1.1, 2.0, 2.3, 3.0, 3.9, 4.0]).double()
    inside = slice(order // 2, len(values) - (order + 1) // 2)
    slopes = property_gradients(values**order, values, order=order)
    torch.testing.assert_close(slopes[inside], order * values[inside] ** (order - 1))
    assert derivative_matrix(values, order).sum(1).abs().max() < 1e-9


def test_the_sign_cancels_in_a_mean_but_not_in_a_magnitude():
    there_and_back = torch.cat([torch.linspace(0, 1, 51), torch.linspace(1, 0, 51)[1:]])
    assert abs(float(property_gradients(there_and_back).mean())) < 1e-6
    assert float(expected_property_gradient_magnitude(there_and_back)) == pytest.approx(0.02, rel=0.03)


def test_unit_spacing_shrinks_with_the_number_of_steps_and_true_spacing_does_not():
    for steps, published in [(10, 0.1), (50, 0.02), (100, 0.01), (400, 0.0025)]:
        values = torch.linspace(0, 1, steps).double()
        responses = torch.sigmoid(20 * (values - 0.5))
        assert float(expected_property_gradient_magnitude(responses)) == pytest.approx(published, rel=0.03)
        assert float(expected_property_gradient_magnitude(responses, values)) == pytest.approx(1, abs=0.1)


# ---------------------------------------------------------------------------------------------- is it chance?


def test_known_curves():
    """The numbers collected in the facts: 100 steps, 1,000 shuffles."""
    flip = permutation_test(SIGMOID)
    assert float(flip.score) == pytest.approx(0.0100, abs=1e-4) and float(flip.mean) == pytest.approx(0.25, abs=0.02)
    drift = permutation_test(0.5 + 0.02 * torch.linspace(0, 1, 100))
    assert float(drift.score) == pytest.approx(0.0002, abs=1e-5) and float(drift.mean) == pytest.approx(0.0035, abs=2e-4)
    alternating = permutation_test(0.5 + 0.1 * (-1.0) ** STEPS)
    assert float(alternating.score) == pytest.approx(0.004, abs=1e-5)
    assert float(alternating.mean) == pytest.approx(0.051, abs=0.002)
    for test in (flip, drift, alternating):  # each significant from below, the alternating one by mistake
        assert float(test.p_value) == pytest.approx(1 / 1001) and bool(test.smoother)
    # differences to the next step see the alternation: the roughest order there is
    sharper = permutation_test(0.5 + 0.1 * (-1.0) ** STEPS, order=1)
    assert float(sharper.score) == pytest.approx(0.2) and not bool(sharper.smoother)


@pytest.mark.parametrize("score", ["gradient", "correlation", "mutual information"])
@pytest.mark.parametrize("published", [False, True])
def test_a_constant_answer_is_never_significant(score, published):
    test = permutation_test(torch.full((2, 20), 0.3), score=score, permutations=50, published=published)
    assert test.p_value.tolist() == [1, 1] and test.score.tolist() == [0, 0]


def test_the_published_variant_can_give_zero_and_the_default_cannot():
    assert float(permutation_test(SIGMOID, permutations=99, published=True).p_value) == 0
    assert float(permutation_test(SIGMOID, permutations=99).p_value) == pytest.approx(0.01)


def test_published_variant_by_a_plain_loop():
    curve = torch.rand(30, generator=torch.Generator().manual_seed(3)).double()
    ours = permutation_test(curve, permutations=200, seed=5, published=True)
    shuffles = torch.rand(200, 30, generator=torch.Generator().manual_seed(5)).argsort(1)
    null = np.array([np.abs(np.gradient(curve[order].numpy())).mean() for order in shuffles])
    observed = np.abs(np.gradient(curve.numpy())).mean()
    np.testing.assert_allclose(ours.null, null, atol=1e-12)
    assert float(ours.p_value) == np.mean(np.abs(null - null.mean()) >= abs(observed - null.mean()))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("steps", [3, 4, 5, 9])
def test_fast_shuffles_score_like_the_score_itself(steps, order):
    generator = torch.Generator().manual_seed(0)
    curves = torch.rand(3, 2, steps, generator=generator)
    values = torch.rand(steps, generator=generator).double().cumsum(0)
    test = permutation_test(curves, values, permutations=20, seed=1, order=order)
    shuffles = torch.rand(20, steps, generator=torch.Generator().manual_seed(1)).argsort(1)
    for shuffle, null in zip(shuffles, test.null, strict=True):
        torch.testing.assert_close(null, expected_property_gradient_magnitude(curves[..., shuffle], values, order=order))
    assert test.null.shape == (20, 3, 2) and test.p_value.shape == (3, 2)


def test_a_curve_read_backwards_ties_with_itself():
    test = permutation_test(torch.tensor([0.0, 0.1, 0.7]), permutations=500)
    # six orders, in pairs that read backwards alike: p is a multiple of a third, up to the drawing
    assert float(test.p_value) == pytest.approx(1.0, abs=0.4) and len(set(test.null.numpy().round(9))) == 3


@pytest.mark.parametrize("score", ["gradient", "correlation"])
def test_the_level_holds_without_an_effect(score):
    curves = torch.rand(2000, 20, generator=torch.Generator().manual_seed(0))
    p_values = permutation_test(curves, score=score, permutations=199).p_value
    assert float((p_values <= 0.05).double().mean()) == pytest.approx(0.05, abs=0.02)


def test_the_same_seed_gives_the_same_p_value():
    curve = torch.rand(2, 30, generator=torch.Generator().manual_seed(2))
    first, again, other = (permutation_test(curve, permutations=100, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.null, again.null) and not torch.equal(first.null, other.null)
    # what one curve gives does not depend on its company
    assert torch.equal(permutation_test(curve[:1], permutations=100, seed=1).p_value, first.p_value[:1])


# ---------------------------------------------------------------------------------------------- two other scores


def test_correlation_by_hand():
    curves = torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0], [0.0, 1.0, 0.0], [5.0, 5.0, 5.0]])
    assert correlation(curves).tolist() == pytest.approx([1, -1, 0, 0])
    rows = torch.rand(3, 12, generator=torch.Generator().manual_seed(0)).double()
    expected = [np.corrcoef(row, np.arange(12))[0, 1] for row in rows.numpy()]
    np.testing.assert_allclose(correlation(rows), expected, atol=1e-12)


def test_mutual_information_sees_what_correlation_cannot():
    there_and_back = torch.cos(torch.linspace(0, 6.2832, 100)) + 1
    assert abs(float(correlation(there_and_back))) < 0.01
    assert float(mutual_information(there_and_back)) > 1
    noise = torch.rand(200, 100, generator=torch.Generator().manual_seed(0))
    assert abs(float(mutual_information(noise).mean())) < 0.03


def test_mutual_information_of_a_gaussian():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(1500, generator=generator).double().sort().values
    noise = torch.randn(1500, generator=generator).double()
    for rho in (0.0, 0.6, 0.9):
        exact = -0.5 * np.log(1 - rho**2)
        estimate = float(mutual_information(rho * values + (1 - rho**2) ** 0.5 * noise, values))
        assert estimate == pytest.approx(exact, abs=0.06)


def test_mutual_information_agrees_with_scikit_learn():
    feature_selection = pytest.importorskip("sklearn.feature_selection", reason="scikit-learn is not installed")
    generator = torch.Generator().manual_seed(1)
    values = torch.rand(80, generator=generator).double().cumsum(0)
    curve = torch.sin(values / 8) + 0.3 * torch.randn(80, generator=generator).double()
    theirs = feature_selection.mutual_info_regression(values[:, None].numpy(), curve.numpy(), n_neighbors=4, random_state=0)
    assert float(mutual_information(curve, values, neighbours=4)) == pytest.approx(float(theirs[0]), abs=1e-6)


# ------------------------------------------------------------------------------------------------ networks, groups


class Brightness(nn.Module):
    """Class 1 gets the mean of the picture as its logit, four times; class 0 gets 2."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(4.0))
        self.dropout = nn.Dropout(0.5)

    def forward(self, images):
        mean = self.dropout(self.gain * images.mean(dim=(1, 2, 3)))
        return torch.stack([torch.full_like(mean, 2.0), mean], 1)


def ramp(steps=5):
    return torch.linspace(0, 1, steps)[:, None, None, None].expand(steps, 3, 6, 6)


def test_the_response_curve_by_hand():
    model = Brightness().train()
    expected = torch.sigmoid(torch.linspace(-2, 2, 5))
    for pictures in (ramp(), list(ramp()), (picture for picture in ramp())):
        torch.testing.assert_close(respond(model, pictures, target=1, batch=2), expected)
    torch.testing.assert_close(respond(model, ramp()), 1 - expected)  # class 0 is named on the first picture
    assert respond(model, ramp(), target=1, metric="logit").tolist() == [0, 1, 2, 3, 4]
    several = torch.stack([ramp(), ramp().flip(0)])
    assert logits(model, several).shape == (2, 5, 2)
    torch.testing.assert_close(respond(model, several), torch.stack([1 - expected, expected.flip(0)]))
    torch.testing.assert_close(respond(model, several, target=torch.tensor([1, 0]))[1], 1 - expected.flip(0))
    assert model.training and model.dropout.training and model.gain.grad is None and model.gain.requires_grad


def test_effect_size_and_significance_come_together():
    effect = property_effect(Brightness(), ramp(50), target=1, values=torch.linspace(0, 1, 50))
    assert float(effect.span) == pytest.approx(float(effect.change)) == pytest.approx(np.tanh(1.0), abs=1e-6)
    assert bool(effect.flips) and float(effect.p_value) == pytest.approx(1 / 1001)
    assert float(effect.score) == pytest.approx(float(effect.span), rel=0.03)  # monotone, true spacing
    assert "p = 0.001, the name flips" in str(effect)
    several = property_effect(Brightness(), torch.stack([ramp(), ramp() * 0.1]), permutations=20)
    assert several.score.shape == (2,) and several.flips.tolist() == [True, False] and "2 pictures" in str(several)


def test_bad_input_is_named():
    good = torch.rand(10)
    with pytest.raises(ValueError, match="at least three steps, not 2"):
        expected_property_gradient_magnitude(torch.rand(2))
    with pytest.raises(ValueError, match="at least three steps, not 0"):
        permutation_test(torch.tensor(0.5))
    with pytest.raises(ValueError, match="at least one"):
        permutation_test(torch.rand(0, 5))
    for values in (torch.ones(10), torch.arange(10).flip(0)):
        with pytest.raises(ValueError, match="must increase strictly"):
            expected_property_gradient_magnitude(good, values)
    with pytest.raises(ValueError, match="10 steps need 10 values"):
        permutation_test(good, torch.arange(9))
    with pytest.raises(ValueError, match="NaN or infinite"):
        permutation_test(torch.tensor([0.1, float("nan"), 0.3]))
    with pytest.raises(ValueError, match="NaN or infinite"):
        property_gradients(good, torch.tensor([float("inf")] * 10))
    with pytest.raises(ValueError, match="no score 'slope'"):
        permutation_test(good, score="slope")
    with pytest.raises(ValueError, match="permutations must be a whole number of at least 1"):
        permutation_test(good, permutations=0)
    with pytest.raises(ValueError, match="order must be"):
        property_gradients(good, order=0)
    with pytest.raises(ValueError, match="neighbours must be a whole number from 1 to 9"):
        mutual_information(good, neighbours=10)
    with pytest.raises(ValueError, match="Two nodes are equal"):
        fornberg_weights([0, 0, 1], 0)
    with pytest.raises(ValueError, match="needs at least 4 nodes"):
        fornberg_weights([0, 1, 2], 0, derivative=3)
    model = Brightness()
    with pytest.raises(ValueError, match="must have one size"):
        respond(model, [torch.rand(3, 6, 6), torch.rand(3, 6, 6), torch.rand(3, 8, 8)])
    with pytest.raises(ValueError, match="at least three steps"):
        respond(model, ramp()[:2])
    with pytest.raises(ValueError, match="at least three steps"):
        respond(model, [])
    with pytest.raises(ValueError, match="has the classes 0 to 1"):
        respond(model, ramp(), target=2)
    with pytest.raises(ValueError, match="one an image, 1 in all"):
        respond(model, ramp(), target=torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="choose from probability, logit"):
        respond(model, ramp(), metric="loss")
    with pytest.raises(ValueError, match="pass a classifier"):
        respond(nn.Conv2d(3, 2, 1), ramp())
    with pytest.raises(ValueError, match="images hold NaN"):
        respond(model, ramp() * float("nan"))


def test_the_model_is_restored_after_an_error():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ValueError, match="does not take images"):
        logits(model.train(), ramp())
    assert all(module.training for module in model.modules())
    assert model[0].num_batches_tracked == 0
