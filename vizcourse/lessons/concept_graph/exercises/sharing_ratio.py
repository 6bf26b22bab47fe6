"""6.10: the sharing ratio."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake
from vizcourse.exercises.edits import edits


def receptive_field(parts, fields):
    """The receptive fields below, weighted by their sharing ratios: (P, C), (P, H, W) -> (H, W)."""
    whole = parts.sum(dim=0)
    ratios = parts @ whole / whole.square().sum()
    return torch.einsum("p,phw->hw", ratios, fields)


def _field_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def some(count, channels, height, width):
        fields = torch.rand(count, height, width, generator=generator)
        return torch.randn(count, channels, generator=generator) + 0.6, fields

    # Not one pixel each: then the ratios themselves would be the answer, but for the shape.
    pixels = torch.tensor([[[1.0, 0.0]], [[0.5, 0.25]]])
    return [
        (torch.tensor([[3.0, 0.0], [0.0, 1.0]]), pixels),
        (torch.tensor([[2.0, 1.0], [-1.0, 0.0]]), pixels),
        some(3, 4, 2, 2),
        some(9, 5, 4, 6),
    ]


RECEPTIVE_FIELD = CodeExercise(
    id="6.10",
    title="The sharing ratio",
    stars=2,
    minutes=7,
    reference=receptive_field,
    cases=_field_cases,
    hints=(
        "The whole vector is the sum of its parts, `parts.sum(dim=0)`. Check your ratios: they add up to one.",
        "All ratios at once: `parts @ whole / whole.square().sum()`, (P,).",
        'Weigh and add the maps: `torch.einsum("p,phw->hw", ratios, fields)`, or `(ratios[:, None, None] * fields).sum(0)`.',
    ),
    mistakes=(
        Mistake(
            "lengths",
            "You share by the lengths of the parts. A long part that stands across the whole vector adds nothing to it: only "
            "what lies along the vector counts, so take the dot product.",
            edits("parts @ whole / whole.square().sum() -> parts.norm(dim=1) / parts.norm(dim=1).sum()"),
        ),
        Mistake(
            "cosine",
            "This is the cosine of the angle: it also divides by the length of the *part*, so a tiny part counts as much as a "
            "large one. Divide by the squared length of the whole alone.",
            edits("parts @ whole / whole.square().sum() -> torch.cosine_similarity(parts, whole[None], dim=1)"),
        ),
        Mistake(
            "not-squared",
            "You divide by the length of the whole vector once. Only its square makes the ratios add up to one.",
            edits("whole.square().sum() -> whole.norm()"),
        ),
        Mistake(
            "not-divided",
            "These are dot products, not shares: divide by the squared length of the whole vector.",
            edits(" / whole.square().sum() ->"),
        ),
        Mistake(
            "absolute",
            "You drop the sign of the ratios. A part that pulls against the vector has a negative share; without it the shares "
            "add up to more than one.",
            edits("ratios, fields -> ratios.abs(), fields"),
        ),
        Mistake(
            "positive-only",
            "You set negative shares to zero. A share may be negative: a part that pulls against the vector takes away from "
            "it.",
            edits("ratios, fields -> ratios.clamp_min(0), fields"),
        ),
        Mistake(
            "positive-rescaled",
            "You set negative shares to zero and divide again, so that the rest adds up to one. A share may be negative: then "
            "others are larger, and all of them together still are one.",
            edits("parts @ whole / whole.square().sum() -> (parts @ whole).clamp_min(0) / (parts @ whole).clamp_min(0).sum()"),
        ),
        Mistake(
            "alike",
            "Every position counts the same: that is the average *theoretical* receptive field, all that the vector could "
            "see. What it did see is in `parts`.",
            lambda parts, fields: fields.mean(0),
        ),
        Mistake(
            "channel-sums",
            "You add up the channels of each part. Channels of a vector are not alike: what counts is how far a part points "
            "along the whole, a dot product.",
            edits("parts @ whole / whole.square().sum() -> parts.sum(dim=1) / whole.sum()"),
        ),
        Mistake(
            "mean",
            "You take the mean of the parts for the whole, so every share is P times too large. The vector is their *sum*.",
            edits("parts.sum(dim=0) -> parts.mean(dim=0)"),
        ),
        Mistake(
            "rescaled",
            "The pattern is right, but you scale it to a largest value of one. Keep it as it comes out: the next layer up will "
            "multiply it by shares of its own.",
            lambda parts, fields: receptive_field(parts, fields) / receptive_field(parts, fields).max(),
        ),
        Mistake(
            "ratios-only",
            "These are the sharing ratios, one number for each position. Asked for is the map: weigh each position's field by "
            "its ratio, and add them up.",
            edits('torch.einsum("p,phw->hw", ratios, fields) -> ratios'),
        ),
        Mistake(
            "not-summed",
            "You have one weighted map for each position. Their sum is the receptive field.",
            edits("->hw -> ->phw"),
        ),
    ),
    unlisted=(
        edits("parts @ whole / whole.square().sum() -> (parts @ whole).softmax(dim=0)"),
        lambda parts, fields: fields.sum(0),
        edits("parts @ whole / whole.square().sum() -> (parts @ whole).abs() / (parts @ whole).abs().sum()"),
        edits("parts @ whole -> parts.square().sum(dim=1)"),
    ),
    insight="Layer upon layer, shares multiply: so a vector deep inside gets a map of the pixels that made it.",
    used_next="Every patch that stands for a concept in this lesson is cut out around such a field.",
)
