"""5.2 The interchange."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, edits
from vizcourse.methods.das import random_frame


def interchange(base, source, rotation):
    """Base with the source's part in the subspace of ``rotation``: 2 × (N, d), (d, m) -> (N, d)."""
    return base + (source - base) @ rotation @ rotation.T


def _interchange_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def some(count, size):
        return torch.randn(count, size, generator=generator)

    return [
        (torch.tensor([[1.0, 2.0]]), torch.tensor([[6.0, 7.0]]), torch.tensor([[0.6], [0.8]])),
        (some(2, 3), some(2, 3), random_frame(3, 1, generator)),
        (some(4, 4), some(4, 4), random_frame(4, 2, generator)),
        (some(3, 6), some(3, 6), random_frame(6, 4, generator)),
    ]


INTERCHANGE = CodeExercise(
    id="5.2",
    title="The interchange",
    stars=2,
    minutes=8,
    reference=interchange,
    cases=_interchange_cases,
    hints=(
        "In three steps: the difference, `source - base`; its coordinates in the subspace, `… @ rotation`, (N, m); and back "
        "into the d-dimensional space, `… @ rotation.T`.",
        "Add what you get to the base.",
    ),
    mistakes=(
        Mistake(
            "exchanged",
            "You keep the *source* and give it the base's part (or, which is the same, swap all that lies *outside* the "
            "subspace). The base runs; only its part in the subspace comes from the source.",
            edits("base + (source - base) -> source + (base - source)"),
        ),
        Mistake(
            "whole",
            "You swap the whole vector: the result is the source itself, whatever the rotation. Keep of the difference only "
            "what lies in the subspace.",
            edits("base + (source - base) @ rotation @ rotation.T -> source.clone()"),
        ),
        Mistake(
            "added",
            "The source's part comes in, but the base's own part is still there: take it out first, that is, project the "
            "*difference* source − base.",
            edits("(source - base) -> source"),
        ),
        Mistake(
            "taken-out",
            "The base's part is taken out, and nothing is put in its place. Put in the source's part.",
            edits("+ (source - base) -> - base"),
        ),
        Mistake(
            "only-part",
            "You return the source's part in the subspace alone. All that lies outside of it must stay as in the base.",
            edits("base + (source - base) -> source"),
        ),
        Mistake(
            "only-change",
            "This is the *change*. Add it to the base.",
            edits("return base + -> return"),
        ),
        Mistake(
            "minus",
            "The sign is turned: you move the base *away* from the source. The difference is source − base.",
            edits("(source - base) -> (base - source)"),
        ),
        Mistake(
            "not-back",
            "`(source - base) @ rotation` has m numbers, the coordinates in the subspace. They cannot be added to the base, or "
            "only by chance: go back first, `@ rotation.T`.",
            edits(" @ rotation.T ->"),
        ),
        Mistake(
            "transposed",
            "`(source - base) @ rotation.T` does not fit. With rows it is the other way round: first `@ rotation` (d to m), "
            "then `@ rotation.T` (m to d).",
            edits("rotation @ rotation.T -> rotation.T @ rotation"),
        ),
        Mistake(
            "from-the-left",
            "That is the formula for columns. Here each activation is a *row*, so the matrices stand on the right: "
            "`(source - base) @ rotation @ rotation.T`.",
            edits("(source - base) @ rotation @ rotation.T -> rotation @ rotation.T @ (source - base)"),
        ),
        Mistake(
            "coordinates",
            "You swap the first m *units*, as if the rotation were none. The subspace lies across all units.",
            edits("@ rotation @ rotation.T -> * (torch.arange(base.shape[1]) < rotation.shape[1])"),
        ),
        Mistake(
            "in-place",
            "The values are right, but an input is overwritten (`+=` and `-=` work in place). Make a new tensor: `base + …`.",
            edits("return base + -> base +=", "rotation.T -> rotation.T\n    return base"),
        ),
    ),
    unlisted=(
        edits("+ (source -> + 0.5 * (source"),
        edits("@ rotation @ rotation.T -> * (rotation @ rotation.T).diagonal()"),
        edits("@ rotation @ rotation.T -> @ rotation.abs() @ rotation.abs().T"),
    ),
    insight="Only the subspace counts: any other orthonormal basis of it gives the same R Rᵀ and the same interchange.",
    used_next="5.3 runs the rest of the network from here.",
)
