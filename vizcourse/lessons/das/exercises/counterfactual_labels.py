"""5.1 Counterfactual labels."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, edits


def counterfactual_labels(base, source, variable):
    """What the model answers to the base with one variable taken from the source: 2 × (N, 2) of booleans -> (N,)."""
    values = base.clone()
    values[:, variable] = source[:, variable]
    return (values[:, 0] == values[:, 1]).long()


def _label_cases(seed):
    def switches(count):
        return torch.rand(count, 2, generator=generator) < 0.5

    generator = torch.Generator().manual_seed(seed)
    every = torch.tensor([[a, b] for a in (False, True) for b in (False, True)])
    return [
        (torch.tensor([[True, True], [True, False]]), torch.tensor([[False, True], [True, True]]), 0),
        (switches(5), switches(5), 1),
        (every.repeat(4, 1), every.repeat_interleave(4, 0), 0),
        (every.repeat(4, 1), every.repeat_interleave(4, 0), 1),
    ]


LABELS = CodeExercise(
    id="5.1",
    title="Counterfactual labels",
    stars=1,
    minutes=5,
    reference=counterfactual_labels,
    cases=_label_cases,
    hints=(
        "Begin with the base's values, and overwrite one column with the source's: `values[:, variable] = …`. Work on a copy.",
        "The model's last step compares the two: `(values[:, 0] == values[:, 1]).long()`.",
    ),
    mistakes=(
        Mistake(
            "base",
            "These are the labels of the base itself. Ask what the model *would* answer with one variable of the source.",
            edits("values[:, variable] = source[:, variable] ->"),
        ),
        Mistake(
            "source",
            "These are the labels of the source itself, as if both variables were swapped. Only one is; the other stays the "
            "base's.",
            edits("base.clone() -> source.clone()"),
        ),
        Mistake(
            "exchanged",
            "Base and source are exchanged (or, which comes to the same, you swap the other variable). The *base* runs; only "
            "column `variable` comes from the source.",
            edits("base.clone() -> source.clone()", "= source[ -> = base["),
        ),
        Mistake(
            "always-left",
            "You always swap the left variable. Use `variable`, which says which one.",
            edits("variable] -> 0]"),
        ),
        Mistake(
            "yes-no",
            "Yes and no are exchanged: the answer is 1 where the two variables are *equal*.",
            edits("== -> !="),
        ),
        Mistake(
            "both-true",
            "You answer 1 only where both variables are true. The model says yes where the two are *equal*: both true, or both "
            "false.",
            edits("== -> &"),
        ),
        Mistake(
            "variable",
            "You return the new value of the variable. The label is the model's *answer*, which also depends on the other one.",
            edits("(values[:, 0] == values[:, 1]) -> values[:, variable]"),
        ),
        Mistake(
            "changed",
            "You say where the answer changes. Asked for is the answer itself; a counterfactual label may well be that of the "
            "base.",
            edits("(values[:, 0] == values[:, 1]) -> (values != base).any(1)"),
        ),
        Mistake(
            "values",
            "You have the two variables after the swap; one step is missing, the model's answer: are they equal?",
            edits("(values[:, 0] == values[:, 1]).long() -> values"),
        ),
        Mistake(
            "base-spoilt",
            "The labels are right, but your function writes into a tensor that it was given, and the next experiment gets a "
            "changed one: work on a copy, `.clone()`.",
            edits(".clone() ->"),
        ),
    ),
    unlisted=(
        edits("(values[:, 0] == values[:, 1]) -> (base[:, variable] == source[:, variable])"),
        edits("variable] -> 1]"),
        edits("(values[:, 0] == values[:, 1]) -> (base & source).any(1)"),
    ),
    insight="The label belongs to the hypothesis, not to the network: it says what would happen if the hypothesis were true.",
    used_next="Interchange interventions test whether the network agrees.",
)
