"""6.11: the area under an insertion curve."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake
from vizcourse.exercises.edits import edits
from vizcourse.lessons.concept_graph.exercises.shared import Score, Square, some_concepts


def insertion_area(score, coefficients, concepts, order):
    """Area under the scores while concepts come in: (P, K), (K, C), (K,) -> a number."""
    count = len(order)
    present = torch.zeros(count + 1, count)
    for number, concept in enumerate(order):
        present[number + 1 :, concept] = 1
    with torch.no_grad():
        scores = score(present[:, None, :] * coefficients @ concepts)
    return torch.trapezoid(scores, dx=1 / count)


def _insertion_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    cases = [(Square(), torch.tensor([[1.0, 3.0], [0.0, 1.0]]), torch.eye(2), torch.tensor([1, 0]))]
    # No fewer positions than concepts, so that the two can be mixed up without an error.
    for number, (count, size, channels) in enumerate(((4, 4, 3), (5, 4, 4), (8, 7, 5))):
        coefficients, concepts = some_concepts(generator, count, size, channels)
        order = torch.randperm(size, generator=generator)
        order = order.roll(1) if torch.equal(order.argsort(), order) else order
        cases.append((Score(channels, seed + 20 + number), coefficients, concepts, order))
    return cases


INSERTION = CodeExercise(
    id="6.11",
    title="The area under an insertion curve",
    stars=2,
    minutes=8,
    reference=insertion_area,
    cases=_insertion_cases,
    rtol=1e-3,
    hints=(
        "Start with `kept = torch.zeros_like(coefficients)` and score `(kept @ concepts)[None]`. Then, for each concept of "
        "`order`, copy its column, `kept[:, concept] = coefficients[:, concept]`, and score again.",
        "K + 1 scores stand at 0, 1/K, 2/K, … 1: `torch.trapezoid(scores, dx=1 / K)`.",
    ),
    mistakes=(
        Mistake(
            "deletion",
            "This is the area of deletion: you start with all concepts and take them out; or you put them in from the last to "
            "the first, which gives the same area. Start with none, and put in `order[0]` first.",
            edits("[number + 1 :, -> [: number + 1,"),
        ),
        Mistake(
            "alone",
            "Each concept is in alone: the one before is gone again. Those that went in stay in.",
            edits("[number + 1 :, -> [number + 1,"),
        ),
        Mistake(
            "ranks",
            "You read `order` as the ranks of the concepts, so that `order[3]` is the place of concept 3. It is the other way "
            "round: `order[3]` is the concept in the fourth place.",
            edits("enumerate(order) -> enumerate(order.argsort())"),
        ),
        Mistake(
            "positions",
            "You put in positions (rows of the coefficients). A concept is a column, `coefficients[:, concept]`: it comes in "
            "at all positions at once.",
            edits("count + 1, count) -> count + 1, len(coefficients))", "present[:, None, :] -> present[:, :, None]"),
        ),
        Mistake(
            "order-ignored",
            "`order` has no effect: you put in concept 0, 1, 2 and so on.",
            edits("enumerate(order) -> enumerate(range(count))"),
        ),
        Mistake(
            "mean",
            "This is the mean of the scores. Under the trapezoid rule the first and last count half: they stand at the ends.",
            edits("torch.trapezoid(scores, dx=1 / count) -> scores.mean()"),
        ),
        Mistake(
            "steps-not-shares",
            "The scores stand 1 apart in your curve, so the area grows with the number of concepts. They go from 0 to 1: they "
            "stand 1/K apart.",
            edits("1 / count -> 1"),
        ),
        Mistake(
            "one-too-many",
            "You divide by K + 1, the number of scores. There are K steps between them: each is 1/K wide.",
            edits("1 / count -> 1 / (count + 1)"),
        ),
        Mistake(
            "nothing-forgotten",
            "Your curve begins with the first concept already in. It begins with none: K + 1 scores.",
            edits("scores, dx=1 / count -> scores[1:], dx=1 / (count - 1)"),
        ),
        Mistake(
            "nothing-forgotten-narrow",
            "Your K scores begin with the first concept already in, and the strip from none to one is missing. Score the "
            "empty reconstruction first, zeros: K + 1 scores.",
            edits("scores, dx -> scores[1:], dx"),
        ),
        Mistake(
            "right-ends",
            "Each step counts with the score after it, and the score of no concept at all counts nowhere. The trapezoid rule "
            "takes the mean of the scores before and after each step.",
            edits("torch.trapezoid(scores, dx=1 / count) -> scores[1:].mean()"),
        ),
        Mistake(
            "left-ends",
            "Each step counts with the score before it, and the last score not at all. The trapezoid rule takes the mean of "
            "the scores before and after.",
            edits("torch.trapezoid(scores, dx=1 / count) -> scores[:-1].mean()"),
        ),
        Mistake(
            "rescaled",
            "You divide by the score of the full reconstruction. That may be useful, but here it would hide what the "
            "concepts leave out: keep the scores as they are.",
            edits("/ count) -> / count) / scores[-1]"),
        ),
        Mistake(
            "curve",
            "These are the scores. Give the area under them, one number.",
            edits("torch.trapezoid(scores, dx=1 / count) -> scores"),
        ),
    ),
    unlisted=(
        edits("dx=1 / count -> (present * coefficients.abs().sum(dim=0)).sum(dim=1) / coefficients.abs().sum()"),
        edits("/ count) -> / count) - scores[0]"),
        edits("scores, dx -> scores.cummax(dim=0).values, dx"),
    ),
    insight="The same with the order reversed is deletion. So insertion minus deletion asks: how much better than backwards?",
    used_next="Better than backwards is little: Figure 10 compares with size, with the gradient and with leaving out.",
)
