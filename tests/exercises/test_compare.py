"""Comparing values: lenient in kind, strict in shape and value, and the words for what differs."""

import numpy as np
import pytest
import torch

from vizcourse.exercises.compare import difference, kind, kind_problem, show, size

KINDS = [
    lambda t: t, lambda t: t.numpy(), lambda t: t.double(), lambda t: t.clone().requires_grad_(),
    lambda t: t.to_sparse(), lambda t: t.t().contiguous().t(),
]  # fmt: skip


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_equal_values_are_equal_in_every_kind_and_different_ones_in_none(make, seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(3, 4, generator=generator)
    assert difference(values, make(values)) is None
    assert difference(values, make(values + 1e-7)) is None
    place = int(torch.randint(12, (1,), generator=generator))
    other = values.clone()
    other.view(-1)[place] += 0.01
    sentence = difference(values, make(other))
    assert "1 of 12 values differ" in sentence and f"[{place // 4}, {place % 4}]" in sentence


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.uint8, torch.float16, torch.bfloat16])
def test_integers_and_half_precision_for_floats(dtype):
    assert difference(torch.tensor([1.0, 2.0]), torch.tensor([1, 2], dtype=dtype)) is None
    assert difference(torch.tensor([1.0, 2.5]), torch.tensor([1, 2], dtype=dtype)) is not None


@pytest.mark.parametrize(("wrong", "words"), [
    (lambda t: t.T, "The values are right, with the axes the other way round."),
    (lambda t: t.flatten(), "only the shape is not"),
    (lambda t: t[None], "only the shape is not"),
    (lambda t: t[0], "1 dimension too few"),
    (lambda t: t[:1], "The shape is (1, 3); expected (2, 3)."),
    (lambda t: -t, "The sign is the other way round."),
    (lambda t: t * 3, "the expected result times 3, everywhere"),
    (lambda t: t - 2, "the expected result plus -2, everywhere"),
    (lambda t: t.flip(1), "reversed along axis 1"),
    (lambda t: t * 0, "zero everywhere"),
    (lambda t: t / 0, "infinite"),
    (lambda t: t * float("nan"), "Every value is NaN"),
    (lambda t: torch.where(t > 3, float("nan"), t), "of 6 values are NaN"),
])  # fmt: skip
def test_patterns(wrong, words):
    values = torch.tensor([[1.0, 2.5, -3.0], [4.0, 0.5, 6.0]])
    assert words in difference(values, wrong(values))


def test_expected_nan_and_infinity_are_no_fault():
    odd = torch.tensor([1.0, float("nan"), float("inf")])
    assert difference(odd, odd.clone()) is None
    assert difference(odd, torch.tensor([1.0, 0.0, float("inf")])) is not None


ODD_VALUES = [torch.zeros(0, 3), np.zeros((2, 0)), torch.zeros(()), torch.tensor(1 + 2j), np.array(["a"]), 1, 2.5]
ODD_VALUES += [True, np.array([None])]
ODD_VALUES += ["text", [1, [2]], (torch.ones(2), 3), {"a": torch.ones(2)}, {1, 2}, None, ..., max]
ODD_VALUES += [int, float("nan"), 10**400, object(), torch.ones(500), torch.full((500,), float("nan")), np.float32(2)]
ODD_VALUES += [torch.nn.Linear(2, 2), [1] * 99]


@pytest.mark.parametrize("value", ODD_VALUES, ids=lambda value: repr(value)[:20])
def test_every_value_can_be_shown_and_compared_with_every_other(value):
    assert show(value) and kind(value) and size(value) >= 0
    others = [1, "a", None, torch.ones(2), [1], {"a": 1}, torch.nn.Linear(2, 2), np.array(["a"]), {1}, max]
    for other in others:
        for sentence in (difference(value, other), difference(other, value), kind_problem(other, value)):
            assert sentence is None or sentence.endswith((".", ":", "?", "it.")), sentence


def test_how_values_are_shown():
    assert show(torch.tensor([[1.0, 2.25], [3, float("nan")]])) == "shape (2, 2), values [[1, 2.25], [3, NaN]]"
    assert show(torch.arange(100.0)) == "shape (100,), values from 0 to 99, mean 49.5"
    assert show(torch.tensor(0.123456)) == "0.1235" and show(3) == "3" and show(True) == "True"
    assert show((1, torch.tensor([1]))) == "(1, shape (1,), values [1])" and show((1,)) == "(1,)"


def test_digits_enough_to_tell_two_numbers_apart():
    assert "expected 1.0001, yours 1.0002" in difference(
        torch.tensor([1.0001, 3, 2]), torch.tensor([1.0002, 3, 2]), rtol=0, atol=1e-6
    ).replace("1.00010002", "1.0001").replace("1.00020003", "1.0002").replace("1.0001000", "1.0001")


def test_modules_compare_by_layers_and_weights():
    torch.manual_seed(0)
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    assert difference(first, first) is None
    assert "In the weight weight" in difference(first, second)
    assert difference(first, torch.nn.Linear(2, 3)) == "The layers are not those expected."


def test_a_single_value_reads_as_one():
    sentence = difference(torch.tensor([[2.5]]), torch.tensor([[3.0]]))
    assert sentence == "The shape is right, the value is not: expected 2.5, yours 3."
