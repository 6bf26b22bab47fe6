"""Exercises of lesson 07, gradual interventions.

Written down before the mistakes were coded, what learners of this method really do: record the logit or the winning
probability instead of the probability of one class; divide by the whole width of two uneven gaps, or by nothing; let
rises and falls cancel; test one tail; forget that the true order is one of the orders, so p becomes 0; take a small p
for a large effect and a large p for none; read the curve from the wrong end, so that the bias comes out the other way
round; take what holds on average for what holds here.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from vizcourse.exercises.core import AnswerExercise, ChoiceExercise, CodeExercise, Mistake, Problem
from vizcourse.methods.property_gradients import fornberg_weights, permutation_test
from vizcourse.models import load
from vizcourse.worlds import gradual, scenes

# --- 7.1 the response curve --------------------------------------------------------------------------------------------


def response_curve(model, pictures, target):
    """The probability of one class at every step: (steps, 3, H, W) -> (steps,)."""
    with torch.no_grad():
        logits = model(pictures)
    return logits.softmax(dim=1)[:, target]


def _logit(model, pictures, target):
    return model(pictures)[:, target]


def _softmax_over_steps(model, pictures, target):
    return model(pictures).softmax(dim=0)[:, target]


def _winning_probability(model, pictures, target):
    return model(pictures).softmax(dim=1).amax(dim=1)


def _named_class(model, pictures, target):
    return model(pictures).argmax(dim=1)


def _first_class(model, pictures, target):
    return model(pictures).softmax(dim=1)[:, 0]


def _second_class(model, pictures, target):
    return model(pictures).softmax(dim=1)[:, 1]


def _row_not_column(model, pictures, target):
    return model(pictures).softmax(dim=1)[target]


def _sigmoid(model, pictures, target):
    return model(pictures)[:, target].sigmoid()


def _all_classes(model, pictures, target):
    return model(pictures).softmax(dim=1)


def _curve_cases(seed):
    def network(pixels, classes):
        generator = torch.Generator().manual_seed(seed + classes)
        linear = nn.Linear(pixels, classes)
        with torch.no_grad():
            linear.weight.copy_(torch.randn(classes, pixels, generator=generator))
            linear.bias.copy_(torch.randn(classes, generator=generator))
        return nn.Sequential(nn.Flatten(), linear).eval().requires_grad_(False)

    def ramp(steps, size):
        generator = torch.Generator().manual_seed(seed + steps)
        ends = torch.rand(2, 3, size, size, generator=generator)
        return torch.lerp(ends[:1], ends[1:], torch.linspace(0, 1, steps)[:, None, None, None])

    return [
        (network(3, 3), ramp(4, 1), 1),
        (network(3, 3), ramp(4, 1), 2),
        (network(12, 2), ramp(6, 2), 1),
        (network(48, 5), ramp(9, 4), 3),
    ]


RESPONSE = CodeExercise(
    id="7.1",
    title="The response curve",
    stars=1,
    minutes=4,
    reference=response_curve,
    cases=_curve_cases,
    hints=(
        "`model(pictures)` gives the logits, one row for each step and one column for each class.",
        "`softmax(dim=1)` makes each row add up to 1. Then take one column, `[:, target]`.",
    ),
    mistakes=(
        Mistake("logit", "These are logits, not probabilities: put `softmax(dim=1)` between.", _logit),
        Mistake(
            "softmax-over-steps",
            "Your softmax runs over the steps, so the *curve* adds up to 1. The classes of one picture must: `dim=1`.",
            _softmax_over_steps,
        ),
        Mistake(
            "winner",
            "You follow the probability of whichever class wins. Where the name flips, this curve jumps to another class and "
            "hides the fall. Follow the one class `target` all the way.",
            _winning_probability,
        ),
        Mistake(
            "named-class",
            "You record which class is named. That number changes only where the name flips: between two flips you would "
            "see nothing. Record a probability.",
            _named_class,
        ),
        Mistake("first-class", "You always follow class 0. Follow class `target`.", _first_class),
        Mistake(
            "log-softmax",
            "These are logarithms of probabilities: `softmax(dim=1)`, not `log_softmax`.",
            lambda model, pictures, target: model(pictures).log_softmax(dim=1)[:, target],
        ),
        Mistake(
            "second-class",
            "You always follow class 1, the dog: the column is written down. Follow class `target`, whichever it is.",
            _second_class,
        ),
        Mistake(
            "row",
            "`probabilities[target]` is a *row*: all classes at one step. A column is wanted: `probabilities[:, target]`.",
            _row_not_column,
        ),
        Mistake(
            "sigmoid",
            "A sigmoid looks at one logit alone. The network was trained with softmax, which weighs all classes against "
            "each other.",
            _sigmoid,
        ),
        Mistake("all-classes", "You give the probabilities of all classes. Take the column of `target` only.", _all_classes),
    ),
    unlisted=(
        lambda model, pictures, target: model(pictures).softmax(dim=1)[:, -1],
        lambda model, pictures, target: 1 - model(pictures).softmax(dim=1)[:, target],
        lambda model, pictures, target: model(pictures).softmax(dim=1)[:, target].diff(),
    ),
    insight="One number a step: everything else in this lesson is about reading this curve.",
    used_next="All curves below are made like this.",
)

# --- 7.2 slopes on uneven steps ----------------------------------------------------------------------------------------


def slopes(responses, values):
    """The slope at every step, exact for parabolas inside the curve: (steps,) and (steps,) -> (steps,)."""
    gaps = values.diff()
    sides = responses.diff() / gaps
    left, right = gaps[:-1], gaps[1:]
    inside = (right * sides[:-1] + left * sides[1:]) / (left + right)
    return torch.cat([sides[:1], inside, sides[-1:]])


def _spacing_ignored(responses, values):
    return slopes(responses, torch.arange(len(responses)).to(responses))


def _secant(responses, values):
    inside = (responses[2:] - responses[:-2]) / (values[2:] - values[:-2])
    sides = responses.diff() / values.diff()
    return torch.cat([sides[:1], inside, sides[-1:]])


def _half_the_difference(responses, values):
    sides = responses.diff() / values.diff()
    return torch.cat([sides[:1], (responses[2:] - responses[:-2]) / 2, sides[-1:]])


def _plain_mean_of_sides(responses, values):
    sides = responses.diff() / values.diff()
    return torch.cat([sides[:1], (sides[:-1] + sides[1:]) / 2, sides[-1:]])


def _next_step(responses, values):
    sides = responses.diff() / values.diff()
    return torch.cat([sides, sides[-1:]])


def _previous_step(responses, values):
    sides = responses.diff() / values.diff()
    return torch.cat([sides[:1], sides])


def _ends_left_out(responses, values):
    return slopes(responses, values)[1:-1]


def _ends_zero(responses, values):
    result = slopes(responses, values)
    result[0] = result[-1] = 0
    return result


def _ends_of_a_parabola(responses, values):
    nodes = range(len(responses))
    rows = []
    for place in (0, len(responses) - 1):
        near = sorted(nodes, key=lambda step: abs(step - place))[:3]
        rows.append((fornberg_weights(values[near], float(values[place])).to(responses) * responses[near]).sum())
    inside = slopes(responses, values)
    inside[0], inside[-1] = rows
    return inside


def _sides_only(responses, values):
    return responses.diff() / values.diff()


def _already_absolute(responses, values):
    return slopes(responses, values).abs()


def _around_the_corner(responses, values):
    wide = (responses.roll(-1) - responses.roll(1)) / (values.roll(-1) - values.roll(1))
    return wide


def _slope_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def uneven(steps):
        return (0.2 + torch.rand(steps, generator=generator)).cumsum(0)

    parabola = torch.tensor([0.0, 1.0, 3.0])
    return [
        (parabola.square(), parabola),
        (torch.tensor([3.0, 1.0, 2.0, 2.0]), torch.tensor([0.0, 1.0, 2.0, 4.0])),
        (torch.tensor([0.2, 0.8, 0.4]), torch.tensor([0.0, 1.0, 2.0])),
        (torch.rand(5, generator=generator), torch.arange(5) * 0.25),
        (torch.rand(9, generator=generator), uneven(9)),
        (torch.rand(30, generator=generator), uneven(30)),
    ]


SLOPES = CodeExercise(
    id="7.2",
    title="Slopes on uneven steps",
    stars=2,
    minutes=10,
    reference=slopes,
    cases=_slope_cases,
    hints=(
        "`responses.diff() / values.diff()` gives the slope of every gap: one fewer than there are steps.",
        "Inside, step i has a gap on its left (slope `sides[i - 1]`) and one on its right (`sides[i]`). Weigh them so that "
        "the *shorter* gap counts more: multiply the left slope with the right gap, and the other way round.",
        "With `left, right = gaps[:-1], gaps[1:]`: `(right * sides[:-1] + left * sides[1:]) / (left + right)`; then "
        "`torch.cat([sides[:1], inside, sides[-1:]])`.",
    ),
    mistakes=(
        Mistake(
            "spacing-ignored",
            "`values` has no effect: you take every gap as 1, as the published code does. Divide by `values.diff()`.",
            _spacing_ignored,
        ),
        Mistake(
            "half-the-difference",
            "`(next - last) / 2`: that is for steps of width 1. These have other widths, and uneven ones: weigh the slopes of "
            "both gaps.",
            _half_the_difference,
        ),
        Mistake(
            "secant",
            "You weigh each slope with its *own* gap (which is the same as dividing the rise over both gaps by the width of "
            "both). On even steps that is right; on uneven ones the longer gap gets the larger weight. The shorter must: "
            "left slope with the right gap, and the other way round.",
            _secant,
        ),
        Mistake(
            "plain-mean",
            "You average the slopes on the left and right with equal weights. On uneven steps the shorter gap says more about "
            "this step: weigh the left slope with the right gap, and the other way round.",
            _plain_mean_of_sides,
        ),
        Mistake(
            "next-step",
            "You take the difference to the next step only. That is the slope between two steps, half a step off: use both "
            "neighbours inside.",
            _next_step,
        ),
        Mistake(
            "previous-step",
            "You take the difference to the step before only. Inside, use both neighbours.",
            _previous_step,
        ),
        Mistake(
            "ends-left-out",
            "The first and last step have no slope in your answer. They have one neighbour each: use the slope of that gap.",
            _ends_left_out,
        ),
        Mistake(
            "ends-zero",
            "The slope at both ends is 0 in your answer. Each has one neighbour: use the slope of that gap.",
            _ends_zero,
        ),
        Mistake(
            "parabola-at-the-ends",
            "At the two ends you take the slope of the parabola through three steps (NumPy's `edge_order=2`). Here the ends "
            "are one-sided: the slope of the one gap.",
            _ends_of_a_parabola,
        ),
        Mistake(
            "gaps",
            "This is one slope for each *gap*, so one too few. A slope at each *step* is wanted.",
            _sides_only,
        ),
        Mistake(
            "absolute",
            "All slopes are positive. The sign is still needed here; the score drops it in the next exercise.",
            _already_absolute,
        ),
        Mistake(
            "around-the-corner",
            "`roll` takes the last step as the neighbour of the first. A curve has two ends: use one neighbour there.",
            _around_the_corner,
        ),
    ),
    unlisted=(
        lambda responses, values: slopes(responses, values) / 2,
        lambda responses, values: -slopes(responses, values),
        lambda responses, values: slopes(values, responses + torch.arange(len(responses)) * 10),
    ),
    insight="Three neighbouring steps fix a parabola, and this is its slope in the middle: Fornberg's weights for three nodes.",
    used_next="The score of 7.3 is one line on top of it.",
)

# --- 7.3 the score -----------------------------------------------------------------------------------------------------


def score(responses, values):
    """Expected property gradient magnitude: a number."""
    return slopes(responses, values).abs().mean()


def _signed(responses, values):
    return slopes(responses, values).mean()


def _absolute_afterwards(responses, values):
    return slopes(responses, values).mean().abs()


def _sum(responses, values):
    return slopes(responses, values).abs().sum()


def _largest(responses, values):
    return slopes(responses, values).abs().max()


def _steps_only(responses, values):
    return responses.diff().abs().mean()


def _of_the_response(responses, values):
    return responses.abs().mean()


def _square_mean(responses, values):
    return slopes(responses, values).square().mean().sqrt()


def _root_not_taken(responses, values):
    return slopes(responses, values).square().mean()


def _values_ignored(responses, values):
    return slopes(responses, torch.arange(len(responses)).to(responses)).abs().mean()


def _over_the_property(responses, values):
    return torch.trapezoid(slopes(responses, values).abs(), values) / (values[-1] - values[0])


def _score_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.tensor([0.0, 1.0, 9.0]), torch.tensor([0.0, 1.0, 3.0])),
        (torch.tensor([0.1, 0.9, 0.1]), torch.tensor([0.0, 1.0, 2.0])),
        (torch.tensor([0.9, 0.5, 0.4, 0.4]), torch.tensor([0.0, 0.1, 0.4, 1.0])),
        (torch.rand(12, generator=generator), (0.1 + torch.rand(12, generator=generator)).cumsum(0)),
        (torch.full((5,), 0.3), torch.arange(5.0)),
    ]


SCORE = CodeExercise(
    id="7.3",
    title="Expected property gradient magnitude",
    stars=1,
    minutes=3,
    reference=score,
    cases=_score_cases,
    setup_source="from vizcourse.lessons.gradual_interventions.exercises import slopes",
    hints=(
        "Read the name backwards: magnitude (absolute value) of the gradient (`slopes`), and its expectation (mean).",
        "`slopes(responses, values).abs().mean()`: first the absolute value, then the mean.",
    ),
    mistakes=(
        Mistake(
            "signed",
            "Without the absolute value of each *slope* rises and falls cancel: a curve that goes up and comes back gets 0, as "
            "if nothing had happened.",
            _signed,
        ),
        Mistake(
            "absolute-afterwards",
            "You average first and take the absolute value then: rises and falls have already cancelled. The other way round.",
            _absolute_afterwards,
        ),
        Mistake(
            "not-averaged",
            "This is the magnitude at every step. The expectation is their mean: one number.",
            lambda responses, values: slopes(responses, values).abs(),
        ),
        Mistake(
            "two-ends",
            "This compares the last response with the first alone: a curve that comes back gets 0. Average the slopes' "
            "magnitudes over all steps.",
            lambda responses, values: (responses[-1] - responses[0]).abs() / (values[-1] - values[0]),
        ),
        Mistake("sum", "This is the sum over the steps; it grows with every step that is added. Take the mean.", _sum),
        Mistake("largest", "This is the steepest place. The expectation is the mean over all steps.", _largest),
        Mistake(
            "whole-way",
            "This is the whole way that the response travels up and down. The score is a mean of slopes; it comes near that "
            "only where the values run evenly from 0 to 1.",
            lambda responses, values: responses.diff().abs().sum(),
        ),
        Mistake(
            "not-divided",
            "These are differences from step to step, not slopes: the spacing of `values` is not in them. Use `slopes`.",
            _steps_only,
        ),
        Mistake(
            "response",
            "You average the response itself. A probability that stays at 0.9 has a large mean and no slope.",
            _of_the_response,
        ),
        Mistake(
            "squares",
            "The score averages absolute values, not squares: squares would let one steep place count for many.",
            _root_not_taken,
        ),
        Mistake(
            "root-of-squares",
            "This is the root of the mean square. The score averages absolute values.",
            _square_mean,
        ),
        Mistake(
            "values-ignored",
            "`values` has no effect: you take every gap as 1. Hand `values` on to `slopes`.",
            _values_ignored,
        ),
        Mistake(
            "over-the-property",
            "You weigh each slope with the width of its gap: a mean over the property. The published score is a plain mean "
            "over the steps.",
            _over_the_property,
        ),
    ),
    unlisted=(
        lambda responses, values: slopes(responses, values).abs().median(),
        lambda responses, values: responses.max() - responses.min(),
        lambda responses, values: slopes(responses, values).abs().sum() / (len(values) - 1),
    ),
    insight="The magnitude asks how much the property moves the answer, whatever the direction.",
    used_next="Every bar and every table of this lesson is made of this number.",
)

# --- 7.4 the number of steps -------------------------------------------------------------------------------------------

STEPS = AnswerExercise(
    id="7.4",
    title="More steps, smaller score",
    stars=1,
    minutes=4,
    reference=0.72 / 99,
    tolerance=5e-5,  # four decimals
    hints=(
        "The score is the mean rise from one step to the next. Ten steps have nine gaps: how much does the probability rise "
        "in all?",
        "It rises by 9 · 0.08 = 0.72 in both measurements. How many gaps do 100 steps have?",
    ),
    mistakes=(
        Mistake(
            "unchanged",
            "With steps 0, 1, 2, … the slope is a rise *per step*, and a step is now much shorter. The score cannot stay.",
            0.08,
        ),
        Mistake(
            "fence-post",
            "0.008 is a tenth of 0.08. Ten steps have 9 gaps and a hundred have 99, so the factor is 9/99 = 1/11.",
            0.008,
        ),
        Mistake(
            "steps-for-gaps",
            "0.0072 is 0.72 / 100. The rise in all is right, but 100 steps have 99 gaps.",
            0.0072,
        ),
        Mistake(
            "rise-of-ten-gaps",
            "0.0081 is 0.8 / 99. The 99 gaps are right, but ten steps have nine gaps: the rise in all is 9 · 0.08.",
            0.8 / 99,
        ),
        Mistake("the-rise", "0.72 is the whole rise of the probability. Divide it by the number of gaps.", 0.72),
        Mistake("larger", "More steps cut the same rise into smaller pieces: the score falls.",
                lambda value: value > 0.081 and abs(value - 0.72) > 5e-5 and not 0.725 <= value <= 0.735, example=0.8),
        Mistake(
            "percent",
            "This is about a hundred times too large. In percent? The 0.08 is not: give a plain number with four decimals.",
            lambda value: 0.725 <= value <= 0.735,
            example=0.73,
        ),
        Mistake("three-decimals", "0.007 is too coarse to judge: give four decimals.", 0.007),
        Mistake(
            "one-step-only",
            "0.0008 is 0.08 / 100, the rise of *one* step over 100. First find the rise in all, 9 · 0.08.",
            0.0008,
        ),
    ),
    unlisted=(0.0088, 0.01, 0.0074, 0.073),
    insight="With unit spacing the score depends on how finely one looked: two papers can be compared only with the same "
    "number of steps, or with `values`.",
    used_next="The comparison with the paper in section 11 is made in its unit.",
)

# --- 7.5 the p-value ---------------------------------------------------------------------------------------------------


def p_value(observed, shuffled):
    """Share of all orders, the true one included, that score at least as far from their mean as the true one."""
    orders = torch.cat([shuffled, observed.reshape(1)])
    distance = (orders - orders.mean()).abs()
    return (distance >= distance[-1]).float().mean()


def _upper_tail(observed, shuffled):
    return ((shuffled >= observed).sum() + 1) / (len(shuffled) + 1)


def _lower_tail(observed, shuffled):
    return ((shuffled <= observed).sum() + 1) / (len(shuffled) + 1)


def _upper_share(observed, shuffled):
    return (shuffled >= observed).float().mean()


def _lower_share(observed, shuffled):
    return (shuffled <= observed).float().mean()


def _published(observed, shuffled):
    return ((shuffled - shuffled.mean()).abs() >= (observed - shuffled.mean()).abs()).float().mean()


def _true_order_not_in_the_mean(observed, shuffled):
    centre = shuffled.mean()
    return (((shuffled - centre).abs() >= (observed - centre).abs()).sum() + 1) / (len(shuffled) + 1)


def _true_order_not_counted(observed, shuffled):
    orders = torch.cat([shuffled, observed.reshape(1)])
    distance = (orders - orders.mean()).abs()
    return (distance[:-1] >= distance[-1]).float().mean()


def _strict(observed, shuffled):
    orders = torch.cat([shuffled, observed.reshape(1)])
    distance = (orders - orders.mean()).abs()
    return (distance > distance[-1]).float().mean()


def _complement(observed, shuffled):
    return 1 - p_value(observed, shuffled)


def _nearer(observed, shuffled):
    orders = torch.cat([shuffled, observed.reshape(1)])
    distance = (orders - orders.mean()).abs()
    return (distance <= distance[-1]).float().mean()


def _count(observed, shuffled):
    return p_value(observed, shuffled) * (len(shuffled) + 1)


def _counted_among_the_shuffled(observed, shuffled):
    return p_value(observed, shuffled) * (len(shuffled) + 1) / len(shuffled)


def _in_the_divisor_only(observed, shuffled):
    return _true_order_not_counted(observed, shuffled) * len(shuffled) / (len(shuffled) + 1)


def _counted_twice(observed, shuffled):
    return (p_value(observed, shuffled) * (len(shuffled) + 1) + 1) / (len(shuffled) + 2)


def _strict_and_itself(observed, shuffled):
    return _strict(observed, shuffled) + 1 / (len(shuffled) + 1)


def _p_cases(seed):
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
    cases=_p_cases,
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
            _upper_tail,
        ),
        Mistake(
            "lower-tail",
            "You count only orders that score *lower*. Most effects lie there, but the test is two-sided: count distances "
            "from the mean.",
            _lower_tail,
        ),
        Mistake(
            "upper-tail-alone",
            "Two things. You count only orders that score *higher*: the test is two-sided, so count distances from the mean. "
            "And the true order is one of the orders: put it in with the shuffled ones.",
            _upper_share,
        ),
        Mistake(
            "lower-tail-alone",
            "Two things. You count only orders that score *lower*: the test is two-sided, so count distances from the mean. "
            "And the true order is one of the orders: put it in with the shuffled ones.",
            _lower_share,
        ),
        Mistake(
            "published",
            "This is the published variant: the true order is in neither the mean nor the count, so p can be 0. Put it in with "
            "the shuffled ones.",
            _published,
        ),
        Mistake(
            "not-in-the-mean",
            "The true order is counted, but the mean is that of the shuffled orders alone. Treat all orders alike: take the "
            "mean of all of them.",
            _true_order_not_in_the_mean,
        ),
        Mistake(
            "not-counted",
            "The true order is in the mean, but not in the count: p can still be 0. It is one of the possible orders too.",
            _true_order_not_counted,
        ),
        Mistake(
            "strict",
            "With `>` ties do not count, so a constant response, whose orders all score the same, would get p = 0: "
            "significant, although nothing happens. Use `>=`.",
            _strict,
        ),
        Mistake(
            "complement",
            "This is 1 − p: large when the order is unusual. p is the share of orders that are *at least as* unusual.",
            _complement,
        ),
        Mistake(
            "nearer",
            "You count the orders that are *less* unusual than the true one. Turn the comparison round.",
            _nearer,
        ),
        Mistake("count", "This is the number of orders; p is their share. Divide by how many there are.", _count),
        Mistake(
            "divided-by-the-shuffled",
            "The count is right, the divisor is not: with the true order there are M + 1 orders, and you divide by M.",
            _counted_among_the_shuffled,
        ),
        Mistake(
            "in-the-divisor-only",
            "You divide by M + 1, and the true order is in the mean, but it is missing in the count: p can still be 0.",
            _in_the_divisor_only,
        ),
        Mistake(
            "counted-twice",
            "The true order is counted twice: there are M + 1 orders with it, not M + 2.",
            _counted_twice,
        ),
        Mistake(
            "strict-and-itself",
            "The true order is counted, but with `>` no other order that ties with it: a constant response, whose orders all "
            "score the same, would get the smallest p there is. Use `>=`.",
            _strict_and_itself,
        ),
    ),
    unlisted=(
        lambda observed, shuffled: (observed - shuffled.mean()) / shuffled.std(),
        lambda observed, shuffled: 2 * torch.minimum(_lower_tail(observed, shuffled), _upper_tail(observed, shuffled)),
    ),
    insight="With N shuffles p is never below 1/(N + 1): more certainty than that has to be paid for in shuffles.",
    used_next="You will build curves that fool it in 7.6.",
)

# --- 7.6 small and certain, large and uncertain ------------------------------------------------------------------------


_ROUNDING = 1e-6
_IN_BETWEEN = 12  # a seed of noise with p = 0.03


def _two_curves(value):
    if isinstance(value, Mapping):
        value = tuple(value.values())
    try:
        small, large = (torch.as_tensor(curve, dtype=torch.float64).flatten() for curve in value)
    except (TypeError, ValueError, RuntimeError):
        return None
    return small, large


def _curves_judge(value):
    curves = _two_curves(value)
    if curves is None:
        return "Give two curves in brackets, `answer(\"7.6\", (small, large))`, each a tensor of 50 numbers."
    for name, curve in zip(("first", "second"), curves, strict=True):
        if len(curve) != 50:
            return f"Each curve has 50 steps; the {name} has {len(curve)}."
        if not bool(curve.isfinite().all()) or float(curve.min()) < -_ROUNDING or float(curve.max()) > 1 + _ROUNDING:
            found = f"The {name} runs from {float(curve.min()):.2f} to {float(curve.max()):.2f}."
            return Problem(found, mistake="no-probability")
    spans = [float(curve.max() - curve.min()) for curve in curves]
    tests = [permutation_test(curve) for curve in curves]  # as the learner would call it
    p = [float(test.p_value) for test in tests]
    measured = "Measured: " + "; ".join(
        f"{name} curve span {span:.3f}, p = {chance:.3f}" for name, span, chance in
        zip(("first", "second"), spans, p, strict=True)
    ) + "."
    small_enough, large_enough = [span <= 0.02 + _ROUNDING for span in spans], [span >= 0.5 - _ROUNDING for span in spans]
    if large_enough[0] and p[0] > 0.1 and small_enough[1] and p[1] < 0.01:
        return Problem(measured, mistake="swapped")
    if spans[0] == 0:
        return Problem(measured, mistake="constant")
    if not small_enough[0]:
        return Problem(measured, mistake="first-too-large")
    if p[0] >= 0.01:
        return Problem(measured, mistake="first-not-certain")
    if not large_enough[1]:
        return Problem(measured, mistake="second-too-small")
    if p[1] > 0.1:
        return None
    if p[1] >= 0.01:
        return Problem(measured, mistake="second-in-between")
    next_step = permutation_test(curves[1], order=1)
    if bool(tests[1].smoother) and float(next_step.p_value) < 0.05 and not bool(next_step.smoother):
        return Problem(measured, mistake="alternating")
    return Problem(measured, mistake="second-smooth" if bool(tests[1].smoother) else "second-rough")


def _example(kind):
    """Answers for `vizcourse check`, one for each mistake."""
    along = torch.linspace(0, 1, 50)
    noise = torch.rand(50, generator=torch.Generator().manual_seed(0))
    small, large = 0.5 + 0.01 * along, noise
    return {
        "right": (small, large),
        "swapped": (large, small),
        "constant": (torch.full((50,), 0.5), large),
        "first-too-large": (along, large),
        "first-not-certain": (0.5 + 0.01 * noise, large),
        "second-too-small": (small, 0.5 + 0.1 * noise),
        "second-in-between": (small, torch.rand(50, generator=torch.Generator().manual_seed(_IN_BETWEEN))),
        "second-smooth": (small, along),
        "second-rough": (small, (torch.arange(50) % 4 > 1).double()),
        "alternating": (small, 0.5 + 0.4 * (-1.0) ** torch.arange(50)),
        "no-probability": (small, 3 * noise),
    }[kind]


def _recognised(kind):
    def predicate(value):
        verdict = _curves_judge(value)
        return isinstance(verdict, Problem) and verdict.mistake == kind

    return predicate


CURVES = AnswerExercise(
    id="7.6",
    title="Certain and negligible, large and uncertain",
    stars=2,
    minutes=8,
    judge=_curves_judge,
    solution_source="""steps = torch.linspace(0, 1, 50)
small = 0.5 + 0.01 * steps
large = torch.rand(50, generator=torch.Generator().manual_seed(0))
answer("7.6", (small, large))""",
    hints=(
        "The test asks whether the order of the steps matters, not how far the response moves. What is the smoothest curve "
        "with a span of 0.01?",
        "For the second curve, the order must *not* matter: any other order would do as well. `torch.rand(50)` is such a "
        "curve; if p is below 0.1, draw again.",
    ),
    mistakes=tuple(
        Mistake(name, message, _recognised(name), example=_example(name))
        for name, message in (
            ("swapped", "The right two curves in the wrong order: first the small one, then the large one."),
            (
                "constant",
                "Your first curve is constant. All its orders score alike, so p = 1: something must change, however little.",
            ),
            ("first-too-large", "Your first curve is not negligible: its largest and smallest value may differ by 0.02."),
            (
                "first-not-certain",
                "Your first curve is small enough, but its p must be below 0.01. A smooth drift is significant however small "
                "it is; noise as a rule is not.",
            ),
            ("second-too-small", "Your second curve must span at least 0.5 between its smallest and largest value."),
            (
                "alternating",
                "To central differences your second curve is smoother than chance, and to the difference to the next step it "
                "is rougher: it goes to and fro from step to step. Central differences skip the step in the middle. A trap of "
                "the method! Use a curve without any order.",
            ),
            (
                "second-in-between",
                "Your second curve is large enough, and its p lies between 0.01 and 0.1: neither certain nor, as asked, above "
                "0.1. Of curves of pure noise one in ten falls below 0.1 by luck: if yours is noise, draw again.",
            ),
            (
                "second-smooth",
                "Your second curve is large enough, but its order matters to the test: it scores below its shuffles, so it is "
                "smoother than chance. Use a curve without any order.",
            ),
            (
                "second-rough",
                "Your second curve is large enough, but its order matters to the test: it scores *above* its shuffles, so it "
                "is rougher than chance. Use a curve without any order.",
            ),
            ("no-probability", "A response curve here holds probabilities, from 0 to 1."),
        )
    ),
    unlisted=((torch.linspace(0.4, 0.41, 10), torch.linspace(0, 1, 10)), "both", (torch.linspace(0, 1, 50),)),
    insight="p says whether there is an effect and the span how large it is. Report both, or be misread.",
    used_next="In 7.7 all three networks have tiny p-values, and one is innocent.",
)

# --- 7.7 three suspects ------------------------------------------------------------------------------------------------

_TRUTH = {"A": "pets-dark-dogs", "B": "pets-unbiased", "C": "pets-dark-cats"}
_WORDS = {"pets-dark-dogs": "dark is dog", "pets-unbiased": "none", "pets-dark-cats": "dark is cat"}
_GUILT = {name: _WORDS[network] for name, network in _TRUTH.items()}


def suspects():
    """Three networks that tell cats (0) from dogs (1), as ``{"A": network, "B": network, "C": network}``."""
    return {name: load(network) for name, network in _TRUTH.items()}


def _claims(value):
    if isinstance(value, list | tuple) and len(value) == len(_GUILT):
        value = dict(zip(_GUILT, value, strict=True))
    if not isinstance(value, Mapping):
        return None
    said = {str(name).strip().upper(): _word(claim) for name, claim in value.items()}
    return said if set(said) == set(_GUILT) else None


def _word(claim):
    """A claim as it was meant: without capitals, stray spaces, hyphens or underscores."""
    return " ".join(str(claim).lower().replace("-", " ").replace("_", " ").split())


def _suspects_judge(value):
    claims = _claims(value)
    if claims is None or not set(claims.values()) <= set(_WORDS.values()):
        return 'Answer {"A": …, "B": …, "C": …}, each "none", "dark is cat" or "dark is dog".'
    if claims == _GUILT:
        return None
    turned = {"dark is cat": "dark is dog", "dark is dog": "dark is cat", "none": "none"}
    if claims == {name: turned[claim] for name, claim in _GUILT.items()}:
        return Problem(mistake="turned")
    if set(claims.values()) == {"none"}:
        return Problem(mistake="nobody")
    if claims["B"] != "none":
        return Problem(mistake="innocent-accused")
    if "none" in (claims["A"], claims["C"]):
        return Problem(mistake="guilty-let-go")
    right = sum(claims[name] == truth for name, truth in _GUILT.items())
    counted = {1: "One of the three is right", 2: "Two of the three are right"}[right]
    return f"{counted}. Look at the direction of each curve, for cats and for dogs."


def _accused(kind):
    def predicate(value):
        verdict = _suspects_judge(value)
        return isinstance(verdict, Problem) and verdict.mistake == kind

    return predicate


SUSPECTS = AnswerExercise(
    id="7.7",
    title="Three suspects",
    stars=2,
    minutes=8,
    judge=_suspects_judge,
    blank=lambda value: isinstance(value, Mapping) and any(each is ... for each in value.values()),
    solution_source='answer("7.7", {"A": "dark is dog", "B": "none", "C": "dark is cat"})',
    hints=(
        "Turn the fur of several cats *and* several dogs from black to white, follow the probability of a dog, and look at "
        "`span` and `change`, not only at `p_value`.",
        "`change` is white minus black. A network that takes dark fur for a dog loses \"dog\" when the fur gets white: its "
        "change is negative.",
        "The innocent one is significant as well. How far does its probability move?",
    ),
    mistakes=(
        Mistake(
            "turned",
            "The right two networks, with their biases the wrong way round. The curves run from black to white: where the "
            "probability of a dog *falls*, black fur was what spoke for the dog.",
            _accused("turned"),
            example={"A": "dark is cat", "B": "none", "C": "dark is dog"},
        ),
        Mistake(
            "innocent-accused",
            "B is innocent. Turn the fur of the lesson's 16 scenes: its p is small on many of them, but its probability moves "
            "by less than a hundredth on most. Significance is not size.",
            _accused("innocent-accused"),
            example={"A": "dark is dog", "B": "dark is dog", "C": "dark is cat"},
        ),
        Mistake(
            "guilty-let-go",
            "You let a biased network go. It may be that fur does not matter on the picture you looked at, and decides on "
            "others: measure cats *and* dogs.",
            _accused("guilty-let-go"),
            example={"A": "dark is dog", "B": "none", "C": "none"},
        ),
        Mistake(
            "nobody",
            "Two of them are biased. All three are right on the pictures they were trained on; only an intervention shows why.",
            _accused("nobody"),
            example={"A": "none", "B": "none", "C": "none"},
        ),
    ),
    unlisted=(
        {"A": "dark is cat", "B": "none", "C": "dark is cat"},
        {"A": "dark is dog", "B": "none", "C": "dark is dog"},
        {"A": "dark is dog"},
    ),
    insight="All three are perfect on the pictures they were trained on. The bias shows only when somebody turns the property.",
    used_next="7.8 asks whether the bias is at work on every picture.",
)

# --- 7.8 in the widget: local and global -------------------------------------------------------------------------------


def _local_judge(value):
    if not isinstance(value, Mapping) or "factor" not in value or not isinstance(value.get("span"), Mapping):
        return 'Pass the widget itself: answer("7.8", dial).'
    spans = {name.removeprefix("pets-"): float(span) for name, span in value["span"].items()}
    if not {"dark-cats", "dark-dogs"} <= set(spans):
        return "This dial has other networks: use the one of section 2, `dial = PropertyDial()`."
    if value["factor"] != "colour":
        return Problem(f"The dial is on *{value['factor']}*; choose *colour*.", mistake="other-property")
    animal = scenes.sample(16, 70, object=("cat", "dog"))[int(value["scene"])].object  # those of the dial
    measured = (
        f"Measured on scene {value['scene']}, a {animal}: dark-cats {spans['dark-cats']:.3f}, "
        f"dark-dogs {spans['dark-dogs']:.3f}."
    )
    if animal == "dog":
        return Problem(measured, mistake="dog")
    if spans["dark-dogs"] > 0.5:
        return None
    return Problem(measured, mistake="other-network" if spans["dark-cats"] > 0.5 else "neither")


def _local_example(scene, factor, cats, dogs):
    return {"scene": scene, "factor": factor, "span": {"unbiased": 0.001, "dark-cats": cats, "dark-dogs": dogs}}


def _local(kind):
    def predicate(value):
        verdict = _local_judge(value)
        return isinstance(verdict, Problem) and verdict.mistake == kind

    return predicate


LOCAL = AnswerExercise(
    id="7.8",
    title="On average, but not here",
    stars=2,
    minutes=6,
    judge=_local_judge,
    blank=lambda value: isinstance(value, Mapping) and (value.get("scene"), value.get("factor")) == (3, "size"),
    setup_source="from vizcourse.lessons.gradual_interventions.widgets import PropertyDial\ndial = PropertyDial()",
    solution_source='dial.set(scene=10, factor="colour")\nanswer("7.8", dial)',
    hints=(
        "Set the property to *colour* and step through the scenes. Read the span of dark-dogs beside the curves.",
        "Six of the twelve scenes show a cat. On most of them the curve of dark-dogs is flat; look on to the last of them.",
    ),
    mistakes=(
        Mistake(
            "other-property",
            "The property is not the fur.",
            _local("other-property"),
            example=_local_example(10, "brightness", 0.9, 0.6),
        ),
        Mistake(
            "dog",
            "This is a dog. On dogs fur decides for dark-dogs, as a rule: the exception is a cat.",
            _local("dog"),
            example=_local_example(4, "colour", 0.004, 1.0),
        ),
        Mistake(
            "other-network",
            "A cat, and its fur decides for dark-cats. But the span of dark-dogs must be above 0.5.",
            _local("other-network"),
            example=_local_example(0, "colour", 0.97, 0.001),
        ),
        Mistake(
            "neither",
            "A cat, but neither biased network moves far enough: the span of dark-dogs must be above 0.5. Try another one.",
            _local("neither"),
            example=_local_example(5, "colour", 0.03, 0.38),
        ),
    ),
    unlisted=(3, {"scene": 2}),
    insight="What a property does on average need not be what it does here. That is what a *local* explanation is for.",
    used_next="Figure 5 makes averages over cats and over dogs.",
)

# --- 7.9 what shows that a property is ignored? -----------------------------------------------------------------------

IGNORED = ChoiceExercise(
    id="7.9",
    title="Ignored, or not found?",
    stars=2,
    minutes=4,
    hints=(
        "A large p-value can have two reasons: there is no effect, or there were too few steps to find it.",
        "Which of the reports could not have come out like this if the network used the property?",
    ),
    question="A network is said to *ignore* a property. Which report supports it best?",
    options={
        "a": "one picture, 5 steps: p = 0.43, span 0.35",
        "b": "one picture, 100 steps: p = 0.001, span 0.0003",
        "c": "200 pictures, 100 steps: p < 0.05 on 180 of them, but the largest span of all is 0.004",
        "d": "200 pictures, 100 steps: the mean of last minus first probability is 0.000",
    },
    correct="c",
    mistakes=(
        Mistake(
            "not-found",
            "p = 0.43 means that five steps could not tell, and the probability did move by 0.35. Absence of evidence is not "
            "evidence of absence.",
            "a",
        ),
        Mistake(
            "one-picture",
            "The small span is the right thing to look at, but this is one picture: on the next the property may decide.",
            "b",
        ),
        Mistake(
            "cancelled",
            "A mean of signed changes can be 0 because half of the pictures rise and half fall, or because each curve comes "
            "back to where it began.",
            "d",
        ),
    ),
    insight="To show that something is ignored, show that its effect is small, on many pictures. p-values cannot do it.",
    used_next="Ask it of every claim that a network does not use something.",
)

# --- 7.10 a property that the network ignores --------------------------------------------------------------------------


def ignored_property(choices=("brightness", "rotation", "scene", "size", "texture"), count=16, steps=12):
    """The one property that moves the answer of ``pets-unbiased`` by less than 0.01 on every scene."""
    network = load("pets-unbiased")
    animals = scenes.sample(count, 70, object=("cat", "dog"))
    spans = {}
    for factor in choices:
        pictures = torch.cat([gradual.turn(scene, factor, steps=steps).pictures for scene in animals])
        with torch.no_grad():
            probability = network(pictures).softmax(dim=1)[:, 1].reshape(count, steps)
        spans[factor] = float((probability.amax(1) - probability.amin(1)).max())
    (ignored,) = (factor for factor, span in spans.items() if span < 0.01)
    return ignored


PROPERTY = AnswerExercise(
    id="7.10",
    title="The property that the network ignores",
    stars=2,
    minutes=5,
    reference=ignored_property,
    solution_source='answer("7.10", "texture")',
    hints=(
        "One scene cannot show it. Stack the pictures of all 16 scenes, "
        "`torch.stack([gradual.turn(scene, factor, steps=12).pictures for scene in animals])`, and `property_effect` measures "
        "them together.",
        "Look at `effect.span.max()`, the largest span of all scenes. Neither the mean span nor p answers the question.",
    ),
    mistakes=(
        Mistake(
            "size",
            "On most scenes the size moves next to nothing, but on one the span is above 0.2. Look at the largest span, not at "
            "a typical one.",
            "size",
        ),
        Mistake(
            "scene",
            "On three scenes of four the scenery moves next to nothing; on one the span is near 0.5. Look at the largest span, "
            "not at a typical one.",
            "scene",
        ),
        Mistake(
            "brightness",
            "You will remember p7.2: turned down as far as 0.3, the light upset this network more than the biased two.",
            "brightness",
        ),
        Mistake("rotation", "Figure 2 shows the same network calling a tilted dog a cat.", "rotation"),
    ),
    unlisted=("colour", "none"),
    insight="On more than half of the scenes p is below 0.05 here as well: p cannot show that something is ignored; the "
    "largest span can, for this range and these scenes.",
    used_next="The next section takes the question to another task.",
)

EXERCISES = (RESPONSE, SLOPES, SCORE, STEPS, P_VALUE, CURVES, SUSPECTS, LOCAL, IGNORED, PROPERTY)
