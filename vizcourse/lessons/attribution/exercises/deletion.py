"""3.9: deletion."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, edits
from vizcourse.lessons.attribution.exercises.toys import Score, Squares


def deletion_score(score, image, saliency, fill, steps=16):
    """Area under the curve of `score` while pixels are replaced by those of `fill`, the most salient ones first."""
    order = saliency.flatten().argsort(descending=True)
    damaged = image.clone()
    curve = [score(damaged[None])[0]]
    for batch in order.chunk(steps):
        damaged.flatten(1)[:, batch] = fill.flatten(1)[:, batch]
        curve.append(score(damaged[None])[0])
    curve = torch.stack(curve)
    return (curve.sum() - curve[0] / 2 - curve[-1] / 2) / steps


def _cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator)

    return [
        (Squares(), torch.tensor([[[3.0, 1.0, 2.0, 2.0]]]), torch.tensor([[4.0, 3.0, 2.0, 1.0]]), torch.zeros(1, 1, 4), 4),
        (Squares(), rand(2, 2, 4), torch.randn(2, 4, generator=generator), 0.5 * rand(2, 2, 4), 4),
        (Score(8, 1), rand(3, 4, 4), torch.randn(4, 4, generator=generator), torch.full((3, 4, 4), 0.5), 8),
        (Score(9, 0), rand(3, 4, 8), torch.randn(4, 8, generator=generator), rand(3, 4, 8)),
    ]


DELETION = CodeExercise(
    id="3.9",
    title="Deletion",
    stars=3,
    minutes=12,
    reference=deletion_score,
    cases=_cases,
    hints=(
        "`saliency.flatten().argsort(descending=True)` gives the numbers of the pixels, the most salient first; "
        "`.chunk(steps)` cuts them into equal batches.",
        "Work on one copy, `damaged = image.clone()`. `damaged.flatten(1)[:, batch] = fill.flatten(1)[:, batch]` replaces a "
        "batch of pixels in all colours, and what has been deleted stays deleted.",
        "The curve has steps + 1 points, the first for the whole picture. Trapezoids: add everything up, take half of the "
        "first and half of the last off, divide by `steps`.",
    ),
    mistakes=(
        Mistake(
            "ascending",
            "You delete the *least* salient pixels first (or put the most salient ones *in*, which gives the same area). "
            "Deletion begins with the whole picture and takes those out that the map thinks most of: `descending=True`.",
            edits("descending=True ->"),
        ),
        Mistake(
            "one-batch-at-a-time",
            "Each batch comes back before the next one goes. What is deleted stays deleted: go on with the same copy.",
            edits("damaged.flatten(1)[:, batch] = -> damaged = image.clone(); damaged.flatten(1)[:, batch] ="),
        ),
        Mistake(
            "whole-picture-missing",
            "Your curve begins after the first deletion. Its first point is the score of the whole picture.",
            edits("curve = [score(damaged[None])[0]] -> curve = []", "/ steps -> / (steps - 1)"),
        ),
        Mistake(
            "mean",
            "This is the mean of all points, in which both ends have full weight. In the trapezoid rule the first and the last "
            "point count half.",
            edits("(curve.sum() - curve[0] / 2 - curve[-1] / 2) / steps -> curve.mean()"),
        ),
        Mistake(
            "curve",
            "You return the whole curve, steps + 1 numbers. Asked is the area under it, one number.",
            edits("(curve.sum() - curve[0] / 2 - curve[-1] / 2) / steps -> curve"),
        ),
        Mistake(
            "not-divided",
            "The trapezoids are right, but each is 1 wide, so the area grows with the number of steps. Divide by `steps`.",
            edits(") / steps -> )"),
        ),
        Mistake(
            "divided-by-points",
            "You divide by the number of points, steps + 1. Between them are only `steps` trapezoids.",
            edits("/ steps -> / (steps + 1)"),
        ),
        Mistake(
            "left-rectangles",
            "These are rectangles as high as their left end. The trapezoid rule takes the mean of both ends.",
            edits("curve[0] / 2 - curve[-1] / 2 -> curve[-1]"),
        ),
        Mistake(
            "right-rectangles",
            "These are rectangles as high as their right end (or the whole picture is missing from the mean). The trapezoid "
            "rule takes the mean of both ends.",
            edits("curve[0] / 2 - curve[-1] / 2 -> curve[0]"),
        ),
        Mistake(
            "ends-left-out",
            "The first and the last point are left out altogether. They count half.",
            edits("curve[0] / 2 - curve[-1] / 2 -> curve[0] - curve[-1]"),
        ),
        Mistake(
            "always-black",
            "Your deleted pixels become black. Take their values from `fill`: black may be a strong signal for a network.",
            edits("= fill.flatten(1)[:, batch] -> = 0"),
        ),
        Mistake(
            "one-colour",
            "Only the first colour channel is deleted. A deleted pixel loses all of its channels: `[:, batch]`.",
            edits("[:, batch] -> [0, batch]"),
        ),
        Mistake(
            "absolute",
            "You sort by absolute value. A strongly *negative* pixel speaks against the class: it is the last to be deleted.",
            edits("saliency.flatten() -> saliency.abs().flatten()"),
        ),
        Mistake(
            "no-batch-axis",
            "`score` takes a batch of pictures, and yours is one picture without the batch axis: `score(damaged[None])[0]`.",
            edits("damaged[None] -> damaged"),
        ),
        Mistake(
            "picture-spoilt",
            "The area is right, but the picture itself is deleted now, and the next method gets a damaged one. Work on a copy: "
            "`damaged = image.clone()`.",
            edits("image.clone() -> image"),
        ),
    ),
    unlisted=(
        edits("(curve.sum() - curve[0] / 2 - curve[-1] / 2) / steps -> curve[-1]"),
        edits("return -> return 1 -"),
        edits("saliency.flatten() -> saliency.T.flatten()"),
    ),
    insight="A small area means that the first pixels to go were the ones the answer stood on, at least for damaged pictures.",
    used_next="In the table it is set against insertion, and against a random map.",
)
