"""5.3 Interchange intervention accuracy."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, edits
from vizcourse.lessons.das.exercises.interchange import interchange
from vizcourse.methods.das import random_frame


def iia(rest, base, source, rotation, labels):
    """Share of pairs whose answer after the interchange is the label: a number from 0 to 1."""
    answers = rest(interchange(base, source, rotation)).argmax(dim=1)
    return (answers == labels).float().mean()


class _Rest:
    """The rest of a network: activations (N, d) -> logits (N, 3)."""

    def __init__(self, size, seed):
        generator = torch.Generator().manual_seed(seed)
        self.first, self.second = torch.randn(size, 8, generator=generator), torch.randn(8, 3, generator=generator)

    def __call__(self, activations):
        return (activations @ self.first).relu() @ self.second

    def __repr__(self):
        return "a small network from activations to three logits"


def _iia_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for count, size, dim in ((4, 3, 1), (7, 4, 2), (30, 6, 3), (40, 5, 2)):
        base, source = (torch.randn(count, size, generator=generator) for _ in range(2))
        cases.append(
            (
                _Rest(size, seed + count),
                base,
                source,
                random_frame(size, dim, generator),
                torch.randint(3, (count,), generator=generator),
            )
        )
    return cases


IIA = CodeExercise(
    id="5.3",
    title="Interchange intervention accuracy",
    stars=2,
    minutes=6,
    reference=iia,
    cases=_iia_cases,
    setup_source="from vizcourse.lessons.das.exercises import interchange",
    hints=(
        "`rest(interchange(base, source, rotation))` are the logits afterwards, (N, C); `.argmax(dim=1)` the answers.",
        "Compare with `labels`, and take the mean: of numbers, so `.float()` first.",
    ),
    mistakes=(
        Mistake(
            "no-interchange",
            "You score the base as it is: nothing was interchanged. Run the rest on `interchange(base, source, rotation)`.",
            edits("interchange(base, source, rotation) -> base"),
        ),
        Mistake(
            "full-swap",
            "You run the rest on the source's whole activation. That is a useful control, the full swap, and not the IIA of "
            "this subspace.",
            edits("interchange(base, source, rotation) -> source"),
        ),
        Mistake(
            "exchanged",
            "Base and source are exchanged: the base's part went into the source.",
            edits("interchange(base, source, -> interchange(source, base,"),
        ),
        Mistake(
            "base-answer",
            "You compare with the network's answer for the base: that is how often the intervention changes *nothing*. Compare "
            "with the counterfactual label.",
            edits("== labels -> == rest(base).argmax(1)"),
        ),
        Mistake(
            "any-change",
            "You count every answer that changes. A hit is an answer that becomes what the hypothesis says, and sometimes the "
            "hypothesis says that it stays.",
            edits("== labels -> != rest(base).argmax(1)"),
        ),
        Mistake(
            "source-answer",
            "You compare with the network's answer for the source. The hypothesis gives the label, and the source may differ "
            "from the base in more than the one variable.",
            edits("== labels -> == rest(source).argmax(1)"),
        ),
        Mistake(
            "count",
            "You count the hits. IIA is their *share*: divide by the number of pairs.",
            edits(".float().mean() -> .sum()"),
        ),
        Mistake(
            "percent",
            "You give percent; give a number from 0 to 1.",
            edits("return -> return 100 *"),
        ),
        Mistake(
            "probability",
            "You average the probability of the label. IIA counts: a pair is a hit where the label has the *largest* logit, "
            "however narrowly.",
            edits("argmax -> softmax", "(answers == labels).float() -> answers[torch.arange(len(labels)), labels]"),
        ),
        Mistake(
            "mean-of-bool",
            "PyTorch takes no mean of True and False: `.float()` first, then `.mean()`.",
            edits(".float() ->"),
        ),
        Mistake(
            "each-pair",
            "You return the hits of the single pairs. Take their mean.",
            edits(".mean() ->"),
        ),
        Mistake(
            "wrong-axis",
            "Your argmax runs over the pairs. The classes are the second axis of the logits: `argmax(dim=1)`.",
            edits("dim=1 -> dim=0"),
        ),
    ),
    unlisted=(
        edits("== labels -> != labels"),
        edits("argmax -> argmin"),
        edits(".mean() -> .mean() - (rest(base).argmax(1) == labels).float().mean()"),
    ),
    insight="IIA is an accuracy whose labels come from the hypothesis and whose answers come from an intervention.",
    used_next="Everything from here on is an IIA, and the question is always: compared with what?",
)
