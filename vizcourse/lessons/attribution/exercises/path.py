"""3.5: integrated gradients."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, case, edits
from vizcourse.lessons.attribution.exercises.toys import Hinge, Score, Squares


def integrated_gradients_of(score, image, baseline, steps=50):
    """Mean gradient at the midpoints of `steps` pieces of the path, times the way from baseline to image: like image."""
    total = torch.zeros_like(image)
    for step in range(steps):
        share = (step + 0.5) / steps
        point = (baseline + share * (image - baseline)).requires_grad_()
        (gradient,) = torch.autograd.grad(score(point[None]).sum(), point)
        total = total + gradient
    return (image - baseline) * total / steps


def _cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator)

    return [
        (Hinge(), torch.tensor([[[2.0, 1.0]]]), torch.zeros(1, 1, 2), 10),
        (Squares(), torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[1.0, -1.0]]]), 4),
        (Hinge(), torch.tensor([[[1.0, 0.0]], [[1.0, 0.5]]]), torch.tensor([[[0.25, 0.5]], [[0.0, 0.0]]]), 5),
        (Score(5, 1), rand(3, 4, 4), 0.3 * rand(3, 4, 4), 3),
        case(Score(6, 2), rand(3, 5, 5), torch.zeros(3, 5, 5), steps=7),
        (Score(7, 0), rand(3, 5, 4), torch.full((3, 5, 4), 0.5)),
    ]


INTEGRATED = CodeExercise(
    id="3.5",
    title="Integrated gradients",
    stars=2,
    minutes=10,
    reference=integrated_gradients_of,
    cases=_cases,
    hints=(
        "Piece number `step` of the path lies between step/steps and (step + 1)/steps. Where is its midpoint?",
        "At each midpoint: `point = (baseline + share * (image - baseline)).requires_grad_()`, then "
        "`torch.autograd.grad(score(point[None]).sum(), point)`.",
        "Average the gradients over the steps, and multiply by (image − baseline) once, at the end.",
    ),
    mistakes=(
        Mistake(
            "no-difference",
            "This is the mean gradient: what it would bring to change a pixel by 1. Multiply by how far the pixel really "
            "moves, image − baseline.",
            edits("return (image - baseline) * -> return"),
        ),
        Mistake(
            "times-image",
            "You multiply by the image instead of image − baseline. With a black baseline that is the same; with any other the "
            "attributions no longer add up to the change of the score.",
            edits("return (image - baseline) -> return image"),
        ),
        Mistake(
            "backwards",
            "The sign is turned: the way goes from the baseline to the image, image − baseline.",
            edits("return (image - baseline) -> return (baseline - image)"),
        ),
        Mistake(
            "left-ends",
            "You take each piece's left end, share = step/steps. That counts the baseline, and never the image. Take the "
            "middle: (step + 0.5)/steps.",
            edits("step + 0.5 -> step"),
        ),
        Mistake(
            "right-ends",
            "You take each piece's right end, share = (step + 1)/steps. That counts the image, and never the baseline. Take "
            "the middle: (step + 0.5)/steps.",
            edits("step + 0.5 -> step + 1"),
        ),
        Mistake(
            "both-ends",
            "`linspace(0, 1, steps)` puts a point at both ends of the path and gives each a full share, so the ends count "
            "twice what they should. Take the middles of the pieces: (step + 0.5)/steps.",
            edits("(step + 0.5) / steps -> step / (steps - 1)"),
        ),
        Mistake(
            "one-more",
            "These are steps + 1 points with both ends at full weight: the ends count twice what they should. Take the middles "
            "of the pieces: (step + 0.5)/steps.",
            edits("range(steps) -> range(steps + 1)", "step + 0.5 -> step", "total / steps -> total / (steps + 1)"),
        ),
        Mistake(
            "not-divided",
            "You add the gradients up and do not divide by the number of steps.",
            edits("total / steps -> total"),
        ),
        Mistake(
            "at-the-image",
            "This takes the gradient at the image only (gradient × input). The point of the method is the *path*: there are "
            "gradients on it where the network is not yet saturated.",
            edits("(step + 0.5) / steps -> 1.0"),
        ),
        Mistake(
            "from-black",
            "Your path begins at black whatever the baseline is: a point of it is baseline + share · (image − baseline).",
            edits("baseline + share * (image - baseline) -> share * image"),
        ),
        Mistake(
            "absolute",
            "You take absolute values. Attributions have a sign, and only with it do they add up to the change of the score.",
            edits("return (image - baseline) * total / steps -> return ((image - baseline) * total / steps).abs()"),
        ),
        Mistake(
            "channels-added",
            "You add up the colour channels. That is how one draws the map; here keep the shape of the image.",
            edits("return (image - baseline) * total / steps -> return ((image - baseline) * total / steps).sum(0)"),
        ),
        Mistake(
            "no-batch-axis",
            "`score` takes a batch of pictures, and yours is one picture without the batch axis: `score(point[None])`.",
            edits("point[None] -> point"),
        ),
        Mistake(
            "nothing-asks",
            "No gradients were recorded on the way to your score. The network asks for none, so your point has to: "
            "`point = (baseline + share * (image - baseline)).requires_grad_()`. If it does, look for a `torch.no_grad()` "
            "around the score or a `.detach()` after it.",
            edits(".requires_grad_() ->"),
        ),
        Mistake(
            "halves-at-the-ends",
            "These are steps + 1 points with half weight at both ends, the trapezoid rule: a good one, but not the one that is "
            "asked for. Take the middles of the pieces: (step + 0.5)/steps.",
            edits(
                "range(steps) -> range(steps + 1)",
                "step + 0.5 -> step",
                "+ gradient -> + gradient * (0.5 if step in (0, steps) else 1)",
            ),
        ),
        Mistake(
            "always-fifty",
            "The argument `steps` has no effect: you always take 50.",
            edits("total = torch.zeros_like(image) -> steps, total = 50, torch.zeros_like(image)"),
        ),
    ),
    unlisted=(
        edits("(step + 0.5) / steps -> 0.5"),
        edits("(step + 0.5) / steps -> 0.0"),
        edits("return (image - baseline) * total / steps -> return ((image - baseline) * total / steps).relu()"),
    ),
    insight="The attributions of all pixels add up to score(image) − score(baseline): check that in one line, always.",
    used_next="The next cell checks completeness, and shows how many steps it takes.",
)
