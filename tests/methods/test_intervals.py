"""Intervals: by hand where it can be done by hand, and covering what they should."""

import pytest
import torch

from vizcourse.methods.intervals import Interval, bootstrap, bootstrap_bounds, bootstrap_by_group, wilson


def drawn(values, draws, seed, generator=None):
    """Means of rows drawn anew, written out."""
    generator = generator or torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(values), (draws, len(values)), generator=generator)
    return torch.stack([values[rows].mean(0) for rows in chosen])


def test_one_way_to_print():
    found = Interval(0.756, 0.5, 1.0)
    assert str(found) == f"{found}" == "0.76 [0.50, 1.00]"
    assert f"{found:.0%}" == "76% [50%, 100%]"
    assert f"{found:+.1f}" == "+0.8 [+0.5, +1.0]"
    assert found.rounded(2) == [0.76, 0.5, 1.0]


def test_intervals_overlap_or_part():
    one, other, third = Interval(1, 0, 2), Interval(3, 2, 4), Interval(5, 4.5, 6)
    assert one.overlaps(other) and other.overlaps(one) and not one.overlaps(third) and not third.overlaps(other)


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_the_bootstrap_is_the_range_of_the_means_of_drawn_rows(level):
    values = torch.rand(17, generator=torch.Generator().manual_seed(3), dtype=torch.double)
    found = bootstrap(values, level=level, draws=300, seed=4)
    low, high = drawn(values, 300, 4).quantile(torch.tensor([(1 - level) / 2, (1 + level) / 2]).double()).tolist()
    assert (found.estimate, found.level, found.count) == (pytest.approx(float(values.mean())), level, 17)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found == bootstrap(values.tolist(), level=level, draws=300, seed=4)
    assert found != bootstrap(values, level=level, draws=300, seed=5)


def test_booleans_make_a_share_and_equal_rows_no_width():
    assert bootstrap(torch.tensor([True, True, False, False])).estimate == 0.5
    certain = bootstrap([3.0, 3.0, 3.0])
    assert certain.low == certain.estimate == certain.high == 3


def test_the_interval_of_a_ratio_draws_pairs():
    generator = torch.Generator().manual_seed(0)
    under = torch.rand(40, generator=generator, dtype=torch.double) + 1
    found = bootstrap(2 * under, over=under)
    assert found.estimate == pytest.approx(2) and found.low == pytest.approx(2) and found.high == pytest.approx(2)
    over = torch.rand(40, generator=generator, dtype=torch.double)
    pairs = drawn(torch.stack([over, under], 1), 200, 9)
    low, high = (pairs[:, 0] / pairs[:, 1]).quantile(torch.tensor([0.025, 0.975]).double()).tolist()
    found = bootstrap(over, over=under, draws=200, seed=9)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.estimate == pytest.approx(float(over.mean() / under.mean()))


def test_bounds_of_many_numbers_a_row_are_those_of_each():
    values = torch.rand(23, 2, 3, generator=torch.Generator().manual_seed(1))
    under = torch.rand(23, generator=torch.Generator().manual_seed(2)) + 1
    bounds, ratios = bootstrap_bounds(values), bootstrap_bounds(values, over=under)
    assert bounds.shape == ratios.shape == (2, 2, 3)
    for row in range(2):
        for column in range(3):
            own = bootstrap(values[:, row, column])
            assert bounds[:, row, column].tolist() == pytest.approx([own.low, own.high])
            own = bootstrap(values[:, row, column], over=under)
            assert ratios[:, row, column].tolist() == pytest.approx([own.low, own.high])


def test_of_many_rows_it_is_as_wide_as_the_normal_one():
    values = torch.rand(400, generator=torch.Generator().manual_seed(0))
    found = bootstrap(values)
    assert found.high - found.low == pytest.approx(2 * 1.96 * float(values.std()) / 20, rel=0.1)


def test_groups_are_in_their_first_order_and_on_their_own():
    found = bootstrap_by_group([1.0, 10.0, 3.0, 10.0], ["cat", "dog", "cat", "dog"])
    assert list(found) == ["cat", "dog"]
    assert (found["cat"].estimate, found["cat"].count) == (2, 2)
    assert found["dog"].low == found["dog"].high == 10
    assert bootstrap_by_group(torch.ones(3), torch.tensor([1, 0, 1])).keys() == {0, 1}


def test_clusters_widen_the_interval_of_rows_that_repeat_one_another():
    few = torch.rand(8, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    values, clusters = few.repeat_interleave(20), torch.arange(8).repeat_interleave(20)
    by_rows, by_clusters, honest = bootstrap(values), bootstrap(values, clusters=clusters), bootstrap(few)
    assert by_clusters.estimate == pytest.approx(honest.estimate)
    width = {name: each.high - each.low for name, each in [("rows", by_rows), ("clusters", by_clusters), ("few", honest)]}
    assert width["clusters"] == pytest.approx(width["few"], rel=0.1) and width["rows"] < width["few"] / 3


def test_a_row_of_two_clusters_counts_as_often_as_both_are_drawn():
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    values = torch.tensor([0.0, 0.0, 1.0])
    found = bootstrap(values, clusters=pairs, draws=4000, level=0.2)
    assert found.estimate == pytest.approx(1 / 3)
    # Of 27 draws of three classes 6 hold each once (mean 1/3), 18 hold two of them (12 times 0, 6 times 1), and 3 hold no pair.
    assert (found.low, found.high) == (0, pytest.approx(1 / 3))
    assert bootstrap(values, clusters=pairs, draws=4000, level=0.8).high == 1


def test_about_95_of_100_intervals_hold_the_truth():
    generator = torch.Generator().manual_seed(0)
    held = [bootstrap(torch.rand(60, generator=generator), draws=400) for _ in range(300)]
    assert 0.90 < sum(each.low <= 0.5 <= each.high for each in held) / 300 < 0.98
    shares = [wilson(int((torch.rand(60, generator=generator) < 0.3).sum()), 60) for _ in range(300)]
    assert 0.92 < sum(each.low <= 0.3 <= each.high for each in shares) / 300 < 0.98


def test_wilson_by_hand():
    # 8 of 10 with z = 2, at its level: centre (0.8 + 4/20) / 1.4, half 2 · sqrt(0.016 + 0.01) / 1.4
    found = wilson(8, 10, level=0.954499736103642)
    assert found.low == pytest.approx((1 - 2 * 0.026**0.5) / 1.4) and found.high == pytest.approx((1 + 2 * 0.026**0.5) / 1.4)
    assert (found.estimate, found.count) == (0.8, 10)
    assert wilson(10, 10).high == 1 and wilson(0, 10).low == 0 and wilson(10, 10).low < 1 and wilson(0, 10).high > 0


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: bootstrap([]), "at least one value"),
        (lambda: bootstrap([1.0, float("nan")]), "all of them finite"),
        (lambda: bootstrap(torch.ones(3, 2)), r"\(N,\)"),
        (lambda: bootstrap([1.0], level=95), "such as 0.95"),
        (lambda: bootstrap([1.0], draws=0), "at least 1"),
        (lambda: bootstrap([1.0, 2.0], over=torch.ones(3)), "a pair a row"),
        (lambda: bootstrap([1.0, 2.0], over=torch.ones(2), clusters=[0, 1]), "Choose"),
        (lambda: bootstrap([1.0, 2.0], clusters=[0, 1, 2]), "need their clusters"),
        (lambda: bootstrap_bounds(torch.ones(0, 2)), "at least one value"),
        (lambda: bootstrap_by_group([1.0], ["a", "b"]), "One group a value"),
        (lambda: wilson(0, 0), "at least one answer"),
        (lambda: wilson(5, 4), "at most all right"),
        (lambda: wilson(1, 4, level=1), "such as 0.95"),
    ],
)
def test_bad_input_is_told(call, message):
    with pytest.raises(ValueError, match=message):
        call()
