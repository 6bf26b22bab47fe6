"""7.6: a curve that is certain and negligible, and one that is large and uncertain."""

from collections.abc import Mapping

import torch

from vizcourse.exercises.core import AnswerExercise, Mistake, Problem
from vizcourse.methods.property_gradients import permutation_test

_ROUNDING = 1e-6


def _two_curves(value):
    if isinstance(value, Mapping):
        value = tuple(value.values())
    try:
        small, large = (torch.as_tensor(curve, dtype=torch.float64).flatten() for curve in value)
    except (TypeError, ValueError, RuntimeError):
        return None
    return small, large


def _judge(value):
    curves = _two_curves(value)
    if curves is None:
        return 'Give two curves in brackets, `answer("7.6", (small, large))`, each a tensor of 50 numbers.'
    for name, curve in zip(("first", "second"), curves, strict=True):
        if len(curve) != 50:
            return f"Each curve has 50 steps; the {name} has {len(curve)}."
        if not bool(curve.isfinite().all()) or float(curve.min()) < -_ROUNDING or float(curve.max()) > 1 + _ROUNDING:
            found = f"The {name} runs from {float(curve.min()):.2f} to {float(curve.max()):.2f}."
            return Problem(found, mistake="no-probability")
    spans = [float(curve.max() - curve.min()) for curve in curves]
    tests = [permutation_test(curve) for curve in curves]  # as the learner would call it
    p = [float(test.p_value) for test in tests]
    measured = (
        f"Measured: first curve span {spans[0]:.3f}, p = {p[0]:.3f}; second curve span {spans[1]:.3f}, p = {p[1]:.3f}."
    )
    if mistake := _mistake(spans, p, tests[1], curves[1]):
        return Problem(measured, mistake=mistake)
    return None


def _mistake(spans, p, second_test, second):
    small_enough, large_enough = [span <= 0.02 + _ROUNDING for span in spans], [span >= 0.5 - _ROUNDING for span in spans]
    if large_enough[0] and p[0] > 0.1 and small_enough[1] and p[1] < 0.01:
        return "swapped"
    if spans[0] == 0:
        return "constant"
    if not small_enough[0]:
        return "first-too-large"
    if p[0] >= 0.01:
        return "first-not-certain"
    if not large_enough[1]:
        return "second-too-small"
    if p[1] > 0.1:
        return None
    if p[1] >= 0.01:
        return "second-in-between"
    next_step = permutation_test(second, order=1)
    if bool(second_test.smoother) and float(next_step.p_value) < 0.05 and not bool(next_step.smoother):
        return "alternating"
    return "second-smooth" if bool(second_test.smoother) else "second-rough"


def _noise(seed=0):
    return torch.rand(50, generator=torch.Generator().manual_seed(seed))


_ALONG = torch.linspace(0, 1, 50)
_SMALL = 0.5 + 0.01 * _ALONG

CURVES = AnswerExercise(
    id="7.6",
    title="Certain and negligible, large and uncertain",
    stars=2,
    minutes=8,
    judge=_judge,
    solution_source="""steps = torch.linspace(0, 1, 50)
small = 0.5 + 0.01 * steps
large = torch.rand(50, generator=torch.Generator().manual_seed(0))
answer("7.6", (small, large))""",
    hints=(
        "The test asks whether the order of the steps matters, not how far the response moves. What is the smoothest curve "
        "with a span of 0.01?",
        "For the second curve, the order must *not* matter: any other order would do as well. `torch.rand(50)` is such a "
        "curve; if p is below 0.1, draw again.",
    ),
    mistakes=(
        Mistake(
            "swapped",
            "The right two curves in the wrong order: first the small one, then the large one.",
            (_noise(), _SMALL),
        ),
        Mistake(
            "constant",
            "Your first curve is constant. All its orders score alike, so p = 1: something must change, however little.",
            (torch.full((50,), 0.5), _noise()),
        ),
        Mistake(
            "first-too-large",
            "Your first curve is not negligible: its largest and smallest value may differ by 0.02.",
            (_ALONG, _noise()),
        ),
        Mistake(
            "first-not-certain",
            "Your first curve is small enough, but its p must be below 0.01. A smooth drift is significant however small "
            "it is; noise as a rule is not.",
            (0.5 + 0.01 * _noise(), _noise()),
        ),
        Mistake(
            "second-too-small",
            "Your second curve must span at least 0.5 between its smallest and largest value.",
            (_SMALL, 0.5 + 0.1 * _noise()),
        ),
        Mistake(
            "alternating",
            "To central differences your second curve is smoother than chance, and to the difference to the next step it "
            "is rougher: it goes to and fro from step to step. Central differences skip the step in the middle. A trap of "
            "the method! Use a curve without any order.",
            (_SMALL, 0.5 + 0.4 * (-1.0) ** torch.arange(50)),
        ),
        Mistake(
            "second-in-between",
            "Your second curve is large enough, and its p lies between 0.01 and 0.1: neither certain nor, as asked, above "
            "0.1. Of curves of pure noise one in ten falls below 0.1 by luck: if yours is noise, draw again.",
            (_SMALL, _noise(12)),
        ),
        Mistake(
            "second-smooth",
            "Your second curve is large enough, but its order matters to the test: it scores below its shuffles, so it is "
            "smoother than chance. Use a curve without any order.",
            (_SMALL, _ALONG),
        ),
        Mistake(
            "second-rough",
            "Your second curve is large enough, but its order matters to the test: it scores *above* its shuffles, so it "
            "is rougher than chance. Use a curve without any order.",
            (_SMALL, (torch.arange(50) % 4 > 1).double()),
        ),
        Mistake("no-probability", "A response curve here holds probabilities, from 0 to 1.", (_SMALL, 3 * _noise())),
    ),
    unlisted=((torch.linspace(0.4, 0.41, 10), torch.linspace(0, 1, 10)), "both", (torch.linspace(0, 1, 50),)),
    insight="p says whether there is an effect and the span how large it is. Report both, or be misread.",
    used_next="In 7.7 all three networks have tiny p-values, and one is innocent.",
)
