"""3.4: integrated gradients by head."""

from vizcourse.exercises.core import AnswerExercise, Mistake


def hinge_attributions():
    """Integrated gradients of max(0, a + b − 1) from (0, 0) to (2, 1): the gradient is 1 on the last two thirds."""
    return (2 * 2 / 3, 1 * 2 / 3)


#: Wrong answers of 3.4 that have messages of their own, though they do not add up either.
_KNOWN_WRONG = ((2, 1), (2 / 3, 2 / 3), (0, 0), (2 / 3, 1 / 3), (1, 0.5))

BY_HEAD = AnswerExercise(
    id="3.4",
    title="Integrated gradients by head",
    stars=2,
    minutes=6,
    reference=hinge_attributions,
    tolerance=0.011,
    solution_source='answer("3.4", (4 / 3, 2 / 3))',
    hints=(
        "On the way the picture is (2α, α), and f is max(0, 3α − 1). For which α is the gradient (1, 1), and for which (0, 0)?",
        "The gradient is 1 from α = 1/3 on: its mean over the whole path is 2/3, for a and for b.",
        "Now multiply each mean by how far its pixel has moved. Test yourself: the two must add up to f(2, 1) − f(0, 0) = 2.",
    ),
    mistakes=(
        Mistake(
            "gradient-times-input",
            "That is the picture itself, or gradient × input with the gradient at the end of the path only. It adds up to 3, "
            "and f has risen by 2: on the first third of the path f did not move at all.",
            (2, 1),
        ),
        Mistake(
            "no-difference",
            "2/3 is the mean gradient, the same for both. Multiply it by how far each pixel has moved: by 2 for a, by 1 for b.",
            (2 / 3, 2 / 3),
        ),
        Mistake("equal", "Both get the same here. a has moved twice as far as b, along the same gradient.", (1, 1)),
        Mistake("swapped", "The right numbers, the wrong way round: a moves from 0 to 2, b from 0 to 1.", (2 / 3, 4 / 3)),
        Mistake(
            "baseline-gradient",
            "Zero is the gradient at the baseline, where f is flat. The path has a steep part as well.",
            (0, 0),
        ),
        Mistake(
            "adds-up-to-one",
            "These add up to 1, and f has risen by 2. Are they shares of the whole? Then hand in the amounts themselves. Or "
            "did you take the part of the path on which f is flat, its first third? The gradient is 1 on the other two thirds.",
            (2 / 3, 1 / 3),
        ),
        Mistake(
            "half",
            "You count a mean gradient of one half: as if it began half-way, or as the mean of its values at the two ends. It "
            "begins where a + b reaches 1, at 3α = 1.",
            (1, 0.5),
        ),
        Mistake(
            "rounded",
            "Nearly, but rounded too far: write fractions, or at least two decimals.",
            lambda value: len(value) == 2 and abs(value[0] - 4 / 3) < 0.04 and abs(value[1] - 2 / 3) < 0.04,
            example=(1.3, 0.7),
        ),
        Mistake(
            "text",
            "These are texts, not numbers. Leave the quotation marks out: Python works out `4 / 5` by itself.",
            lambda value: isinstance(value, str | list | tuple) and any(isinstance(each, str) for each in value),
            example=("4/5", "1/5"),
        ),
        Mistake(
            "total",
            "These do not add up to f(2, 1) − f(0, 0) = 2, as the completeness of integrated gradients demands.",
            lambda value: len(value) == 2 and abs(sum(value) - 2) > 0.02 and tuple(value) not in _KNOWN_WRONG,
            example=(3, 1),
        ),
    ),
    unlisted=((1.5, 0.5), (2, 0), (0.5, 1.5)),
    insight="Flat stretches count for nothing, so the attributions add up to exactly what f has gained: completeness.",
    used_next="3.5 does the same for a network, where no one can find the kinks by head.",
)
