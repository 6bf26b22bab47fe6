"""2.2, the total variation."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, edits


def total_variation(images):
    """How much neighbouring pixels differ: (N, 3, H, W) -> (N,)."""
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().sum(dim=(1, 2, 3))
    across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().sum(dim=(1, 2, 3))
    return (down + across) / images[0].numel()


def _variation_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    line = torch.zeros(1, 3, 2, 3)  # one bright column in red, another in blue: every difference can be seen
    line[0, 0, :, 1] = line[0, 2, :, 2] = 1.0
    return [
        (line,),
        (torch.randint(0, 3, (1, 3, 2, 2), generator=generator) / 2,),
        (torch.rand(2, 3, 4, 5, generator=generator),),
        (torch.rand(4, 3, 7, 6, generator=generator),),
    ]


VARIATION = CodeExercise(
    id="2.2",
    title="Total variation",
    stars=1,
    minutes=6,
    reference=total_variation,
    cases=_variation_cases,
    hints=(
        "All pixels but the first row, minus all pixels but the last row, are the differences down: "
        "`images[:, :, 1:] - images[:, :, :-1]`. (Or `images.diff(dim=2)`.)",
        "Absolute value first, then the sum over channel, row and column, `dim=(1, 2, 3)`: one number a picture is left.",
        "`images[0].numel()` is 3 · H · W.",
    ),
    mistakes=(
        Mistake(
            "no-absolute",
            "The absolute value is missing, and so the differences cancel: their sum along a row is last minus first pixel, "
            "however wild it is between them.",
            edits(".abs() ->"),
        ),
        Mistake(
            "absolute-last",
            "You take the absolute value after the sum, when the differences have cancelled already. Take it of each "
            "difference.",
            edits(".abs() ->", "(down + across) -> (down.abs() + across.abs())"),
        ),
        Mistake(
            "squares",
            "You square the differences. That punishes one sharp edge more than a gentle slope over the same height, and "
            "blurs everything; the total variation takes absolute values, and leaves edges alone.",
            edits(".abs() -> .square()"),
        ),
        Mistake(
            "lengths",
            "You join the two differences of a pixel by Pythagoras. That is the total variation too (the *isotropic* one); "
            "here the absolute values are simply added.",
            edits(
                ".abs().sum(dim=(1, 2, 3)) ->",
                "(down + across) -> torch.hypot(down[..., :-1], across[:, :, :-1]).sum(dim=(1, 2, 3))",
            ),
        ),
        Mistake(
            "only-across",
            "Only neighbours side by side are compared. Add those one above the other.",
            edits("down + across -> across"),
        ),
        Mistake(
            "only-down",
            "Only neighbours one above the other are compared. Add those side by side.",
            edits("down + across -> down"),
        ),
        Mistake(
            "colours",
            "You compare red with green and green with blue. The axes are (picture, colour, row, column): rows are axis 2, "
            "columns axis 3.",
            edits("images[:, :, :, 1:] - images[:, :, :, :-1] -> images[:, 1:] - images[:, :-1]"),
        ),
        Mistake(
            "whole-batch",
            "You give one number for the whole batch, so a smooth picture pays for its noisy neighbour. Sum over "
            "`dim=(1, 2, 3)` only, and divide by the size of *one* picture.",
            edits("dim=(1, 2, 3) ->", "images[0] -> images"),
        ),
        Mistake(
            "not-divided",
            "The sum is not divided by 3 · H · W, so the same penalty would weigh more on a larger picture.",
            edits(" / images[0].numel() ->"),
        ),
        Mistake(
            "three-forgotten",
            "Your values are three times too large: a picture has three values at each pixel, so divide by 3 · H · W, not by "
            "H · W.",
            edits("images[0] -> images[0, 0]"),
        ),
        Mistake(
            "two-means",
            "You take the mean of each kind of difference. There are H − 1 differences down a column, not H: sum them, and "
            "divide by 3 · H · W.",
            edits(".sum( -> .mean(", " / images[0].numel() ->"),
        ),
        Mistake(
            "around",
            "You compare the first row with the last, and the first column with the last (as `roll` does). They are no "
            "neighbours.",
            edits(
                "images[:, :, 1:] - images[:, :, :-1] -> images - images.roll(1, 2)",
                "images[:, :, :, 1:] - images[:, :, :, :-1] -> images - images.roll(1, 3)",
            ),
        ),
        Mistake(
            "batch-in-the-size",
            "Your numbers shrink as the batch grows: you divide by the size of all pictures together. Divide by that of one, "
            "`images[0].numel()`.",
            edits("images[0] -> images"),
        ),
        Mistake(
            "colours-too",
            "Beside rows and columns you compare the colours of one pixel with each other. Only neighbours in the picture "
            "count: axes 2 and 3.",
            edits("down + across -> down + across + images.diff(dim=1).abs().sum(dim=(1, 2, 3))"),
        ),
        Mistake(
            "per-colour",
            "You give one number for each colour of a picture: sum over the colours too.",
            edits("(1, 2, 3) -> (2, 3)"),
        ),
    ),
    unlisted=(
        lambda images: total_variation(images.mean(1, keepdim=True)),
        edits("return ( -> return 2 * ("),
        lambda images: images.var(dim=(1, 2, 3)),
    ),
    insight="It charges for height differences only: one sharp edge costs no more than the same step drawn out.",
    used_next='The Studio\'s switch "total variation" subtracts exactly this from the score.',
)
