"""6.5: generalized integrated gradients."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake
from vizcourse.exercises.edits import edits
from vizcourse.lessons.concept_graph.exercises.shared import Score, Square, some_concepts


def concept_contributions(score, coefficients, concepts, steps=32):
    """Generalized integrated gradients from zero, by the midpoint rule: (P, K), (K, C) -> (P, K)."""
    alphas = (torch.arange(steps) + 0.5) / steps
    path = (alphas[:, None, None] * coefficients).requires_grad_()
    (gradients,) = torch.autograd.grad(score(path @ concepts).sum(), path)
    return coefficients * gradients.mean(dim=0)


def _of_channels(score, coefficients, concepts, steps=32):
    """Ordinary integrated gradients of the reconstruction: (P, C)."""
    return concept_contributions(score, coefficients @ concepts, torch.eye(concepts.shape[1]), steps)


def _single(coefficients):
    """Each coefficient with zeros in place of all others: (P·K, P, K)."""
    return coefficients.flatten().diag().unflatten(1, coefficients.shape)


def _alone(score, coefficients, concepts, steps=32):
    nothing = torch.zeros(1, len(coefficients), concepts.shape[1])
    return (score(_single(coefficients) @ concepts) - score(nothing)).view_as(coefficients)


def _left_out(score, coefficients, concepts, steps=32):
    rest = coefficients - _single(coefficients)
    return (score((coefficients @ concepts)[None]) - score(rest @ concepts)).view_as(coefficients)


def _contribution_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    return [
        (Square(), torch.tensor([[1.0, 2.0]]), torch.eye(2), 2),
        (Score(3, seed + 1), *some_concepts(generator, 2, 2, 3), 4),
        (Score(4, seed + 2), *some_concepts(generator, 4, 4, 4), 8),
        (Score(3, seed + 3), *some_concepts(generator, 5, 6, 3), 32),
    ]


CONTRIBUTIONS = CodeExercise(
    id="6.5",
    title="Generalized integrated gradients",
    stars=3,
    minutes=12,
    reference=concept_contributions,
    cases=_contribution_cases,
    rtol=1e-3,
    atol=2e-5,
    hints=(
        "Make all points of the way at once: `path = alphas[:, None, None] * coefficients`, (S, P, K), and let autograd follow "
        "it from here: `path.requires_grad_()`.",
        "`score(path @ concepts)` are S scores. They do not depend on each other's points, so the gradient of their *sum* "
        "holds the gradient at every point: `torch.autograd.grad(score(path @ concepts).sum(), path)[0]`.",
        "Average these over the first axis, and multiply by `coefficients`.",
    ),
    mistakes=(
        Mistake(
            "end-point",
            "You take the gradient at the end of the way only (or alpha has no effect on the point). Where the score has "
            "levelled off, it says that nothing matters. Average it over the points α·U.",
            edits("(torch.arange(steps) + 0.5) / steps -> torch.ones(steps)"),
        ),
        Mistake(
            "start-point",
            "You take the gradient at zero only. Average it over the points α·U.",
            edits("(torch.arange(steps) + 0.5) / steps -> torch.zeros(steps)"),
        ),
        Mistake(
            "no-coefficients",
            "This is the average gradient: how much *one unit more* of a concept would do. Its contribution is that times how "
            "much of it there is: multiply by `coefficients`.",
            edits("coefficients * gradients.mean(dim=0) -> gradients.mean(dim=0)"),
        ),
        Mistake(
            "alpha-twice",
            "Alpha comes in twice: you multiply by α·u, or take the derivative through α. The gradient is taken *at* α·U with "
            "respect to that point, and multiplied by the whole u.",
            edits("gradients.mean -> (alphas[:, None, None] * gradients).mean"),
        ),
        Mistake(
            "sum",
            "You add the gradients of all points. An integral from 0 to 1 is their *average*: twice the steps would otherwise "
            "mean twice the contribution.",
            edits("gradients.mean -> gradients.sum"),
        ),
        Mistake(
            "right-ends",
            "Your points are 1/S, 2/S, … 1, the right ends of the steps. The midpoint rule takes (s + ½)/S, and is far more "
            "exact for the same work.",
            edits("+ 0.5 -> + 1"),
        ),
        Mistake(
            "left-ends",
            "Your points are 0, 1/S, … the left ends of the steps. The midpoint rule takes (s + ½)/S.",
            edits(" + 0.5 ->"),
        ),
        Mistake(
            "both-ends",
            "`linspace(0, 1, S)` has points at both ends. The midpoint rule takes (s + ½)/S.",
            edits("(torch.arange(steps) + 0.5) / steps -> torch.linspace(0, 1, steps)"),
        ),
        Mistake(
            "trapezoid",
            "This is the trapezoid rule, with one point more. It is a good rule, but not the one asked for: the midpoint rule "
            "takes S points, (s + ½)/S, all with the same weight.",
            edits(
                "(torch.arange(steps) + 0.5) / steps -> torch.linspace(0, 1, steps + 1)",
                "gradients.mean(dim=0) -> torch.trapezoid(gradients, dx=1 / steps, dim=0)",
            ),
        ),
        Mistake(
            "channels",
            "You attribute to the *channels* of the activation: these are ordinary integrated gradients, (P, C). Take the "
            "gradient with respect to the coefficients, (P, K).",
            _of_channels,
        ),
        Mistake(
            "channels-projected",
            "You attribute to channels and then project the attributions on the concepts. A projection of contributions is "
            "not the contribution of a concept, and does not add up. Take the gradient with respect to the coefficients.",
            lambda score, coefficients, concepts, steps=32: _of_channels(score, coefficients, concepts, steps) @ concepts.T,
        ),
        Mistake(
            "baseline",
            "Your way begins at the average coefficients. It begins at zero: no concept at all.",
            edits(
                "path = (alphas -> start = coefficients.mean(dim=0)\n    path = (start + alphas",
                "* coefficients) -> * (coefficients - start))",
                "return coefficients -> return (coefficients - start)",
            ),
        ),
        Mistake(
            "absolute",
            "You drop the signs. A concept that speaks *against* the score has a negative contribution, and completeness needs "
            "it.",
            edits("coefficients * gradients.mean(dim=0) -> (coefficients * gradients.mean(dim=0)).abs()"),
        ),
        Mistake(
            "positions-summed",
            "You add up the positions: that is an edge of the graph, and comes later. Here each position keeps its own.",
            edits("coefficients * gradients.mean(dim=0) -> (coefficients * gradients.mean(dim=0)).sum(dim=0)"),
        ),
        Mistake(
            "not-followed",
            "Autograd does not know that you want gradients: it follows only tensors with `requires_grad_()`. Say it of the "
            "points, before `score` is called.",
            edits(".requires_grad_() ->"),
        ),
        Mistake(
            "not-one-score",
            "There is one score for each point, and PyTorch takes the gradient of a single number. Take their sum: the points "
            "do not meet, so each keeps its own gradient.",
            edits("concepts).sum() -> concepts)"),
        ),
        Mistake(
            "alone",
            "You put each concept in alone and measure what it does. That is another way of attributing, a good one, but it "
            "does not add up and takes a pass of the network for each. Use gradients along the way.",
            _alone,
        ),
    ),
    unlisted=(
        edits("return -> return -"),
        edits("(torch.arange(steps) + 0.5) / steps -> torch.tensor([0.5])"),
        _left_out,
        edits("gradients.mean -> gradients.clamp_min(0).mean"),
    ),
    insight="With every channel as its own concept these are integrated gradients: the generalization is the change of basis.",
    used_next="6.6 tests the property that it inherits.",
)
