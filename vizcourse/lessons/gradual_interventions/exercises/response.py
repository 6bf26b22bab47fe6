"""7.1: the response curve."""

import torch
from torch import nn

from vizcourse.exercises.core import CodeExercise, Mistake, edits


def response_curve(model, pictures, target):
    """The probability of one class at every step: (steps, 3, H, W) -> (steps,)."""
    with torch.no_grad():
        logits = model(pictures)
    return logits.softmax(dim=1)[:, target]


def _cases(seed):
    def network(pixels, classes):
        generator = torch.Generator().manual_seed(seed + classes)
        linear = nn.Linear(pixels, classes)
        with torch.no_grad():
            linear.weight.copy_(torch.randn(classes, pixels, generator=generator))
            linear.bias.copy_(torch.randn(classes, generator=generator))
        return nn.Sequential(nn.Flatten(), linear).eval().requires_grad_(False)

    def ramp(steps, size):
        generator = torch.Generator().manual_seed(seed + steps)
        ends = torch.rand(2, 3, size, size, generator=generator)
        return torch.lerp(ends[:1], ends[1:], torch.linspace(0, 1, steps)[:, None, None, None])

    return [
        (network(3, 3), ramp(4, 1), 1),
        (network(3, 3), ramp(4, 1), 2),
        (network(12, 2), ramp(6, 2), 1),
        (network(48, 5), ramp(9, 4), 3),
    ]


RESPONSE = CodeExercise(
    id="7.1",
    title="The response curve",
    stars=1,
    minutes=4,
    reference=response_curve,
    cases=_cases,
    hints=(
        "`model(pictures)` gives the logits, one row for each step and one column for each class.",
        "`softmax(dim=1)` makes each row add up to 1. Then take one column, `[:, target]`.",
    ),
    mistakes=(
        Mistake("logit", "These are logits, not probabilities: put `softmax(dim=1)` between.", edits(".softmax(dim=1) ->")),
        Mistake(
            "softmax-over-steps",
            "Your softmax runs over the steps, so the *curve* adds up to 1. The classes of one picture must: `dim=1`.",
            edits("dim=1 -> dim=0"),
        ),
        Mistake(
            "winner",
            "You follow the probability of whichever class wins. Where the name flips, this curve jumps to another class and "
            "hides the fall. Follow the one class `target` all the way.",
            edits("[:, target] -> .amax(dim=1)"),
        ),
        Mistake(
            "named-class",
            "You record which class is named. That number changes only where the name flips: between two flips you would "
            "see nothing. Record a probability.",
            edits("softmax(dim=1)[:, target] -> argmax(dim=1)"),
        ),
        Mistake("first-class", "You always follow class 0. Follow class `target`.", edits("[:, target] -> [:, 0]")),
        Mistake(
            "log-softmax",
            "These are logarithms of probabilities: `softmax(dim=1)`, not `log_softmax`.",
            edits("softmax -> log_softmax"),
        ),
        Mistake(
            "second-class",
            "You always follow class 1, the dog: the column is written down. Follow class `target`, whichever it is.",
            edits("[:, target] -> [:, 1]"),
        ),
        Mistake(
            "row",
            "`probabilities[target]` is a *row*: all classes at one step. A column is wanted: `probabilities[:, target]`.",
            edits("[:, target] -> [target]"),
        ),
        Mistake(
            "sigmoid",
            "A sigmoid looks at one logit alone. The network was trained with softmax, which weighs all classes against "
            "each other.",
            edits("softmax(dim=1) -> sigmoid()"),
        ),
        Mistake(
            "all-classes",
            "You give the probabilities of all classes. Take the column of `target` only.",
            edits("[:, target] ->"),
        ),
    ),
    unlisted=(
        edits("[:, target] -> [:, -1]"),
        edits("return -> return 1 -"),
        edits("[:, target] -> [:, target].diff()"),
    ),
    insight="One number a step: everything else in this lesson is about reading this curve.",
    used_next="All curves below are made like this.",
)
