"""2.7, how far activations go along a direction."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, case, edits


def direction_score(maps, vector, power=0):
    """How far activations (N, C, rows, columns) go along a direction (C,), rewarded for pointing there: -> (N,)."""
    along = torch.einsum("nchw,c->nhw", maps, vector) / vector.norm()
    cosine = along / maps.norm(dim=1).clamp_min(1e-12)
    return (along * cosine.clamp_min(0.1) ** power).mean(dim=(1, 2))


def _direction_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def maps(*shape):
        return torch.randn(*shape, generator=generator)

    def vector(channels):
        return 3 * torch.randn(channels, generator=generator)

    silent = maps(1, 3, 2, 2).relu()
    silent[:, :, 0, 1] = 0  # after a ReLU, a position where nothing answers is nothing unusual
    return [
        (torch.tensor([[[[1.0]], [[2.0]]], [[[3.0]], [[-1.0]]]]), torch.tensor([3.0, 4.0])),
        (maps(1, 2, 2, 2), vector(2), 1),
        case(silent, vector(3), power=2),
        case(maps(2, 4, 3, 4), vector(4), power=2),
        case(maps(3, 6, 4, 6), vector(6), power=3),
    ]


DIRECTION = CodeExercise(
    id="2.7",
    title="A direction",
    stars=2,
    minutes=8,
    reference=direction_score,
    cases=_direction_cases,
    hints=(
        "At each position there is a vector of C numbers. Its scalar product with the direction is a sum over channels: "
        '`torch.einsum("nchw,c->nhw", maps, vector)`, or `(maps * vector.view(1, -1, 1, 1)).sum(1)`.',
        "Divide by the direction's length to get h·v/|v|; divide that by `maps.norm(dim=1)` to get the cosine.",
        "A position where all channels are silent has |h| = 0: `clamp_min(1e-12)` makes 0/0 a plain 0. The mean over positions "
        "comes last.",
    ),
    mistakes=(
        Mistake(
            "not-normalised",
            "Your score grows with the length of the direction: twice as long a vector would score twice as much, and it is "
            "the same direction. Divide by `vector.norm()`.",
            edits("(along * -> (along * vector.norm() *"),
        ),
        Mistake(
            "no-length",
            "The direction's length is divided out nowhere, neither of the scalar product nor of the cosine: put "
            "`vector / vector.norm()` for the vector.",
            edits(" / vector.norm() ->"),
        ),
        Mistake(
            "squared-length",
            "You divide by the direction's squared length, so a longer vector scores less. Divide h·v by `vector.norm()` once.",
            edits("(along * -> (along / vector.norm() *"),
        ),
        Mistake(
            "sum-of-entries",
            "You divide by the sum of the entries' absolute values. The length of a vector is the root of the sum of squares, "
            "`vector.norm()`.",
            edits("(along * -> (along * vector.norm() / vector.abs().sum() *"),
        ),
        Mistake(
            "cosine-only",
            "This is the bare cosine. It does not care how strongly the network answers, so a faint hint of the "
            "direction scores as much as a shout: multiply h·v/|v| by the power of the cosine.",
            edits("along * cosine.clamp_min(0.1) ** power -> cosine"),
        ),
        Mistake(
            "power-ignored",
            "The power plays no part: multiply by max(cos, 0.1) ** power.",
            edits(" * cosine.clamp_min(0.1) ** power ->"),
        ),
        Mistake(
            "averaged-first",
            "You average the activations over the positions first. A cosine of the mean is not the mean of the cosines: score "
            "each position, then average.",
            edits("along = torch -> maps = maps.mean(dim=(2, 3), keepdim=True); along = torch"),
        ),
        Mistake(
            "no-floor",
            "The cosine is not cut off below. Where it is negative, so is h·v, and an odd power makes a virtue of both: "
            "pointing away would be rewarded. Take max(cos, 0.1).",
            edits(".clamp_min(0.1) ->"),
        ),
        Mistake(
            "floor-at-zero",
            "The cosine is cut off at 0. Then a picture that starts on the wrong side has no gradient and never gets away: "
            "0.1 leaves it one.",
            edits("clamp_min(0.1) -> clamp_min(0)"),
        ),
        Mistake(
            "floor-after-the-power",
            "You raise the cosine to the power first and cut off at 0.1 afterwards. An even power has made negative cosines "
            "positive by then: take max(cos, 0.1), and that to the power.",
            edits("cosine.clamp_min(0.1) ** power -> (cosine**power).clamp_min(0.1)"),
        ),
        Mistake(
            "cosine-too-long",
            "Your cosine is not divided by the direction's length, so it can be far above 1. A cosine is h·v / (|h| |v|).",
            edits("cosine = along -> cosine = along * vector.norm()"),
        ),
        Mistake(
            "silent-positions",
            "Where all channels are zero, you divide 0 by 0 and get NaN, as after any ReLU. Use "
            "`maps.norm(dim=1).clamp_min(1e-12)`.",
            edits(".clamp_min(1e-12) ->"),
        ),
        Mistake("summed", "You sum over the positions; the score is their mean.", edits(".mean(dim -> .sum(dim")),
        Mistake("batch-too", "You average over the batch as well: one score for each picture, (N,).", edits("dim=(1, 2) ->")),
        Mistake(
            "columns",
            "`maps * vector` lays the vector along the *columns* (the last axis), which passes without an error when there "
            "are as many columns as channels. Use `vector.view(1, -1, 1, 1)`.",
            edits('torch.einsum("nchw,c->nhw", maps, vector) -> (maps * vector).sum(1)'),
        ),
        Mistake(
            "dot-to-the-power",
            "You raise h·v/|v| itself to the power, which rewards long vectors even more. What shall count is the angle: "
            "divide by |h| first.",
            edits("cosine.clamp_min(0.1) -> along.clamp_min(0.1)"),
        ),
    ),
    unlisted=(edits("return ( -> return -("), edits(".mean( -> .amax("), edits("** power -> ** (power + 1)")),
    insight="A channel is only one direction among all; nothing in the formula knows which ones the network was built on.",
    used_next="The direction explorer asks whether you can tell a channel's picture from a random direction's.",
)
