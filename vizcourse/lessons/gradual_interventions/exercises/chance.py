"""7.5: the p-value of the permutation test."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, edits


def p_value(observed, shuffled):
    """Share of all orders, the true one included, that score at least as far from their mean as the true one."""
    orders = torch.cat([shuffled, observed.reshape(1)])
    distance = (orders - orders.mean()).abs()
    return (distance >= distance[-1]).float().mean()


def _cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def scores(count):
        """Whole thousand-twenty-fourths, and with the true one a power of two of them: every mean is exact, so that ties
        are ties in single and in double precision."""
        return (1024 * (0.2 + 0.05 * torch.randn(count, generator=generator))).round() / 1024

    return [
        (torch.tensor(1.0), torch.tensor([4.0, 5.0, 6.0])),
        (torch.tensor(2.0), torch.tensor([2.0, 2.0, 2.0])),
        (torch.tensor(9.0), torch.tensor([1.0, 9.5, 2.5])),
        (torch.tensor(4.0), torch.tensor([1.0, 2.0, 3.0, 3.5, 0.5, 1.5, 2.5])),
        (torch.tensor(10 / 1024), scores(15)),
        (torch.tensor(276 / 1024), scores(63)),
        (torch.tensor(154 / 1024), scores(255)),
        (torch.tensor(317 / 1024), scores(255)),
    ]


P_VALUE = CodeExercise(
    id="7.5",
    title="Is it chance?",
    stars=2,
    minutes=8,
    reference=p_value,
    cases=_cases,
    hints=(
        "Put the observed score in with the shuffled ones: `orders = torch.cat([shuffled, observed.reshape(1)])`.",
        "How far is each from the mean of all? `(orders - orders.mean()).abs()`. A distance has no sign: that makes the test "
        "two-sided.",
        "The share of distances that are at least (`>=`) that of the observed score, which is the last.",
    ),
    mistakes=(
        Mistake(
            "upper-tail",
            "You count only orders that score *higher*, or compare with 0 and not with the mean. A response that follows the "
            "property is smoother than its shuffles: it scores lower, and this test would never find it.",
            edits(".abs() ->"),
        ),
        Mistake(
            "lower-tail",
            "You count only orders that score *lower*. Most effects lie there, but the test is two-sided: count distances "
            "from the mean.",
            edits(".abs() ->", ">= -> <="),
        ),
        Mistake(
            "upper-tail-alone",
            "Two things. You count only orders that score *higher*: the test is two-sided, so count distances from the mean. "
            "And the true order is one of the orders: put it in with the shuffled ones.",
            edits(".abs() ->", "(distance >= -> (distance[:-1] >="),
        ),
        Mistake(
            "lower-tail-alone",
            "Two things. You count only orders that score *lower*: the test is two-sided, so count distances from the mean. "
            "And the true order is one of the orders: put it in with the shuffled ones.",
            edits(".abs() ->", "(distance >= -> (distance[:-1] <="),
        ),
        Mistake(
            "published",
            "This is the published variant: the true order is in neither the mean nor the count, so p can be 0. Put it in with "
            "the shuffled ones.",
            edits("orders.mean() -> shuffled.mean()", "(distance >= -> (distance[:-1] >="),
        ),
        Mistake(
            "not-in-the-mean",
            "The true order is counted, but the mean is that of the shuffled orders alone. Treat all orders alike: take the "
            "mean of all of them.",
            edits("orders.mean() -> shuffled.mean()"),
        ),
        Mistake(
            "not-counted",
            "The true order is in the mean, but not in the count: p can still be 0. It is one of the possible orders too.",
            edits("(distance >= -> (distance[:-1] >="),
        ),
        Mistake(
            "strict",
            "With `>` ties do not count, so a constant response, whose orders all score the same, would get p = 0: "
            "significant, although nothing happens. Use `>=`.",
            edits(">= -> >"),
        ),
        Mistake(
            "complement",
            "This is 1 − p: large when the order is unusual. p is the share of orders that are *at least as* unusual.",
            edits("return -> return 1 -"),
        ),
        Mistake(
            "nearer",
            "You count the orders that are *less* unusual than the true one. Turn the comparison round.",
            edits(">= -> <="),
        ),
        Mistake(
            "count",
            "This is the number of orders; p is their share. Divide by how many there are.",
            edits(".float().mean() -> .sum()"),
        ),
        Mistake(
            "divided-by-the-shuffled",
            "The count is right, the divisor is not: with the true order there are M + 1 orders, and you divide by M.",
            edits(".float().mean() -> .sum() / len(shuffled)"),
        ),
        Mistake(
            "in-the-divisor-only",
            "You divide by M + 1, and the true order is in the mean, but it is missing in the count: p can still be 0.",
            edits("(distance >= -> (distance[:-1] >=", ".float().mean() -> .sum() / len(orders)"),
        ),
        Mistake(
            "counted-twice",
            "The true order is counted twice: there are M + 1 orders with it, not M + 2.",
            edits(".float().mean() -> .sum().add(1) / (len(orders) + 1)"),
        ),
        Mistake(
            "strict-and-itself",
            "The true order is counted, but with `>` no other order that ties with it: a constant response, whose orders all "
            "score the same, would get the smallest p there is. Use `>=`.",
            edits(">= -> >", ".float().mean() -> .sum().add(1) / len(orders)"),
        ),
    ),
    unlisted=(
        lambda observed, shuffled: (observed - shuffled.mean()) / shuffled.std(),
        lambda observed, shuffled: (
            2 * min((shuffled <= observed).sum() + 1, (shuffled >= observed).sum() + 1) / (len(shuffled) + 1)
        ),
    ),
    insight="With N shuffles p is never below 1/(N + 1): more certainty than that has to be paid for in shuffles.",
    used_next="You will build curves that fool it in 7.6.",
)
