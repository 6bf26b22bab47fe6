"""7.2: slopes on uneven steps."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, edits


def slopes(responses, values):
    """The slope at every step, exact for parabolas inside the curve: (steps,) and (steps,) -> (steps,)."""
    gaps = values.diff()
    sides = responses.diff() / gaps
    left, right = gaps[:-1], gaps[1:]
    inside = (right * sides[:-1] + left * sides[1:]) / (left + right)
    return torch.cat([sides[:1], inside, sides[-1:]])


def _cases(seed):
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
    cases=_cases,
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
            edits("gaps = values.diff() -> gaps = torch.ones(len(values) - 1)"),
        ),
        Mistake(
            "half-the-difference",
            "`(next - last) / 2`: that is for steps of width 1. These have other widths, and uneven ones: weigh the slopes of "
            "both gaps.",
            edits("(right * sides[:-1] + left * sides[1:]) / (left + right) -> (responses[2:] - responses[:-2]) / 2"),
        ),
        Mistake(
            "secant",
            "You weigh each slope with its *own* gap (which is the same as dividing the rise over both gaps by the width of "
            "both). On even steps that is right; on uneven ones the longer gap gets the larger weight. The shorter must: "
            "left slope with the right gap, and the other way round.",
            edits("left, right = -> right, left ="),
        ),
        Mistake(
            "plain-mean",
            "You average the slopes on the left and right with equal weights. On uneven steps the shorter gap says more about "
            "this step: weigh the left slope with the right gap, and the other way round.",
            edits("gaps[:-1], gaps[1:] -> 1, 1"),
        ),
        Mistake(
            "next-step",
            "You take the difference to the next step only. That is the slope between two steps, half a step off: use both "
            "neighbours inside.",
            edits("gaps[:-1], gaps[1:] -> 1, 0"),
        ),
        Mistake(
            "previous-step",
            "You take the difference to the step before only. Inside, use both neighbours.",
            edits("gaps[:-1], gaps[1:] -> 0, 1"),
        ),
        Mistake(
            "ends-left-out",
            "The first and last step have no slope in your answer. They have one neighbour each: use the slope of that gap.",
            edits("torch.cat([sides[:1], inside, sides[-1:]]) -> inside"),
        ),
        Mistake(
            "ends-zero",
            "The slope at both ends is 0 in your answer. Each has one neighbour: use the slope of that gap.",
            edits("[sides[:1], inside, sides[-1:]] -> [0 * sides[:1], inside, 0 * sides[-1:]]"),
        ),
        Mistake(
            "parabola-at-the-ends",
            "At the two ends you take the slope of the parabola through three steps (NumPy's `edge_order=2`). Here the ends "
            "are one-sided: the slope of the one gap.",
            edits("[sides[:1], -> [2 * sides[:1] - inside[:1],", "sides[-1:]] -> 2 * sides[-1:] - inside[-1:]]"),
        ),
        Mistake(
            "gaps",
            "This is one slope for each *gap*, so one too few. A slope at each *step* is wanted.",
            edits("torch.cat([sides[:1], inside, sides[-1:]]) -> sides"),
        ),
        Mistake(
            "absolute",
            "All slopes are positive. The sign is still needed here; the score drops it in the next exercise.",
            edits("sides[-1:]]) -> sides[-1:]]).abs()"),
        ),
        Mistake(
            "around-the-corner",
            "`roll` takes the last step as the neighbour of the first. A curve has two ends: use one neighbour there.",
            lambda responses, values: (responses.roll(-1) - responses.roll(1)) / (values.roll(-1) - values.roll(1)),
        ),
    ),
    unlisted=(
        edits("sides[-1:]]) -> sides[-1:]]) / 2"),
        edits("return -> return -"),
        edits("gaps = values.diff() -> gaps = responses.diff()", "responses.diff() / gaps -> values.diff() / gaps"),
    ),
    insight="Three neighbouring steps fix a parabola, and this is its slope in the middle: Fornberg's weights for three nodes.",
    used_next="The score of 7.3 is one line on top of it.",
)
