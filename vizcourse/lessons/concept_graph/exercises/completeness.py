"""6.6: completeness."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake
from vizcourse.exercises.edits import edits
from vizcourse.lessons.concept_graph.exercises.integrated_gradients import concept_contributions
from vizcourse.lessons.concept_graph.exercises.shared import Score, Square, some_concepts


def completeness_error(score, activations, coefficients, concepts, contributions):
    """Distance of the sum of contributions from the change that they explain, relative to it: a number."""
    reconstruction = (coefficients @ concepts)[None]
    with torch.no_grad():
        change = (score(reconstruction) - score(torch.zeros_like(reconstruction)))[0]
    return (contributions.sum() - change).abs() / change.abs()


def _completeness_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    incomplete = edits(" + 0.5 ->").of(concept_contributions)  # by the left ends
    cases = []
    for number, (count, size, channels, steps) in enumerate(((2, 2, 3, 1), (3, 4, 2, 2), (4, 5, 3, 1), (5, 3, 5, 2))):
        score = Score(channels, seed + 10 + number)
        coefficients, concepts = some_concepts(generator, count, size, channels)
        activations = coefficients @ concepts + 0.5 * torch.randn(count, channels, generator=generator)
        found = incomplete(score, coefficients, concepts, steps)
        cases.append((score, activations, coefficients, concepts, found))
    given, split, found = (torch.tensor([numbers]) for numbers in ([2.0, 2.0], [1.0, 2.0], [0.0, 4.0]))
    return [(Square(), given, split, torch.eye(2), found), *cases]


COMPLETENESS = CodeExercise(
    id="6.6",
    title="Completeness",
    stars=2,
    minutes=5,
    reference=completeness_error,
    cases=_completeness_cases,
    rtol=1e-3,
    hints=(
        "At the end of the way stands `coefficients @ concepts`, at its beginning zeros of the same shape. `score` wants a "
        "batch of them: `[None]`.",
        "With `change` the score at the end less that at the beginning: `(contributions.sum() - change).abs() / change.abs()`.",
    ),
    mistakes=(
        Mistake(
            "of-the-picture",
            "You compare with the score of the activation itself. The way ends at the reconstruction: what the concepts leave "
            "out, no contribution can explain.",
            edits("score(reconstruction) -> score(activations[None])"),
        ),
        Mistake(
            "nothing-forgotten",
            "You compare with the score of the reconstruction alone. An activation of zero has a score too (biases!), and the "
            "contributions explain only the change from there.",
            edits(" - score(torch.zeros_like(reconstruction)) ->"),
        ),
        Mistake(
            "neither",
            "You compare with the score of the whole activation. The way begins at zero, which has a score too, and ends at "
            "the reconstruction.",
            edits("score(reconstruction) - score(torch.zeros_like(reconstruction)) -> score(activations[None])"),
        ),
        Mistake(
            "residual",
            "You measure the change from the reconstruction to the activation. That is what the concepts leave out; the way "
            "goes from zero to the reconstruction.",
            edits("(score(reconstruction) -> (score(activations[None])", "torch.zeros_like(reconstruction) -> reconstruction"),
        ),
        Mistake(
            "not-relative",
            "This is the difference itself. Divide by the size of the change, or a small score would always seem complete.",
            edits(" / change.abs() ->"),
        ),
        Mistake(
            "relative-to-sum",
            "You divide by the sum of the contributions. Divide by the change that they should give.",
            edits("/ change -> / contributions.sum()"),
        ),
        Mistake(
            "relative-to-score",
            "You divide by the score of the reconstruction. Divide by the *change* from zero to it.",
            edits("/ change -> / score(reconstruction)[0]"),
        ),
        Mistake(
            "signed",
            "The size is right; an error may not be negative. Use `abs()`, below the line too.",
            edits(".abs() ->"),
        ),
        Mistake(
            "signed-below",
            "Your error is negative where the score falls: above the line you take `abs()`, below it not. Divide by the *size* "
            "of the change.",
            edits("change.abs() -> change"),
        ),
        Mistake(
            "signed-above",
            "Your error is negative where the contributions fall short (or say too much). Take the *size* of the difference.",
            edits("change).abs() -> change)"),
        ),
        Mistake(
            "sizes-summed",
            "You add up the sizes of the contributions. Those that speak against the score count with their minus sign.",
            edits("contributions.sum() -> contributions.abs().sum()"),
        ),
        Mistake(
            "mean",
            "You take the mean of the contributions. Completeness is about their sum.",
            edits("contributions.sum() -> contributions.mean()"),
        ),
        Mistake(
            "ratio",
            "This is the sum over the change, 1 where all is explained. The error is how far from it.",
            edits("(contributions.sum() - change).abs() / change.abs() -> contributions.sum() / change"),
        ),
        Mistake(
            "percent",
            "You give percent; give a share.",
            edits("return -> return 100 *"),
        ),
        Mistake(
            "decomposition",
            "This is the error of the *decomposition*: how well concepts rebuild the activation. It is worth knowing, but "
            "completeness is about the score.",
            lambda score, activations, coefficients, concepts, contributions: (
                (activations - coefficients @ concepts).square().sum() / activations.square().sum()
            ),
        ),
    ),
    unlisted=(
        edits(
            "return (contributions.sum() - change).abs() / change.abs() -> return (contributions.sum() / change - 1).square()"
        ),
        edits("/ change -> / (score(activations[None]) - score(torch.zeros_like(reconstruction)))[0]"),
        edits("return -> return 1 -"),
    ),
    insight="Complete means: nothing lost between concepts and score. Not: nothing lost between picture and concepts.",
    used_next="So a graph below comes with two numbers: this gap, and what the concepts leave out.",
)
