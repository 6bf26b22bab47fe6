"""7.3 and 7.4: the expected property gradient magnitude, and what the number of steps does to it."""

import torch

from vizcourse.exercises.core import AnswerExercise, CodeExercise, Mistake, edits
from vizcourse.lessons.gradual_interventions.exercises.uneven_steps import slopes


def score(responses, values):
    """Expected property gradient magnitude: a number."""
    return slopes(responses, values).abs().mean()


def _cases(seed):
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
    cases=_cases,
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
            edits(".abs() ->"),
        ),
        Mistake(
            "absolute-afterwards",
            "You average first and take the absolute value then: rises and falls have already cancelled. The other way round.",
            edits(".abs().mean() -> .mean().abs()"),
        ),
        Mistake(
            "not-averaged",
            "This is the magnitude at every step. The expectation is their mean: one number.",
            edits(".mean() ->"),
        ),
        Mistake(
            "two-ends",
            "This compares the last response with the first alone: a curve that comes back gets 0. Average the slopes' "
            "magnitudes over all steps.",
            lambda responses, values: (responses[-1] - responses[0]).abs() / (values[-1] - values[0]),
        ),
        Mistake(
            "sum",
            "This is the sum over the steps; it grows with every step that is added. Take the mean.",
            edits("mean() -> sum()"),
        ),
        Mistake("largest", "This is the steepest place. The expectation is the mean over all steps.", edits("mean() -> max()")),
        Mistake(
            "whole-way",
            "This is the whole way that the response travels up and down. The score is a mean of slopes; it comes near that "
            "only where the values run evenly from 0 to 1.",
            edits("slopes(responses, values).abs().mean() -> responses.diff().abs().sum()"),
        ),
        Mistake(
            "not-divided",
            "These are differences from step to step, not slopes: the spacing of `values` is not in them. Use `slopes`.",
            edits("slopes(responses, values) -> responses.diff()"),
        ),
        Mistake(
            "response",
            "You average the response itself. A probability that stays at 0.9 has a large mean and no slope.",
            edits("slopes(responses, values) -> responses"),
        ),
        Mistake(
            "squares",
            "The score averages absolute values, not squares: squares would let one steep place count for many.",
            edits("abs() -> square()"),
        ),
        Mistake(
            "root-of-squares",
            "This is the root of the mean square. The score averages absolute values.",
            edits("abs().mean() -> square().mean().sqrt()"),
        ),
        Mistake(
            "values-ignored",
            "`values` has no effect: you take every gap as 1. Hand `values` on to `slopes`.",
            edits("slopes(responses, values) -> slopes(responses, torch.arange(len(values)))"),
        ),
        Mistake(
            "over-the-property",
            "You weigh each slope with the width of its gap: a mean over the property. The published score is a plain mean "
            "over the steps.",
            lambda responses, values: torch.trapezoid(slopes(responses, values).abs(), values) / (values[-1] - values[0]),
        ),
    ),
    unlisted=(
        edits("mean() -> median()"),
        lambda responses, values: responses.max() - responses.min(),
        edits(".mean() -> .sum() / (len(values) - 1)"),
    ),
    insight="The magnitude asks how much the property moves the answer, whatever the direction.",
    used_next="Every bar and every table of this lesson is made of this number.",
)

STEPS = AnswerExercise(
    id="7.4",
    title="More steps, smaller score",
    stars=1,
    minutes=4,
    reference=0.72 / 99,
    tolerance=5e-5,
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
        Mistake("steps-for-gaps", "0.0072 is 0.72 / 100. The rise in all is right, but 100 steps have 99 gaps.", 0.0072),
        Mistake(
            "rise-of-ten-gaps",
            "0.0081 is 0.8 / 99. The 99 gaps are right, but ten steps have nine gaps: the rise in all is 9 · 0.08.",
            0.8 / 99,
        ),
        Mistake("the-rise", "0.72 is the whole rise of the probability. Divide it by the number of gaps.", 0.72),
        Mistake(
            "larger",
            "More steps cut the same rise into smaller pieces: the score falls.",
            lambda value: value > 0.081 and abs(value - 0.72) > 5e-5 and not 0.725 <= value <= 0.735,
            example=0.8,
        ),
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
