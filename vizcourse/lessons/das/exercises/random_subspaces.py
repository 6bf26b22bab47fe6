"""5.6 The random-subspace control."""

import torch

from vizcourse.exercises.compare import kind, numeric
from vizcourse.exercises.core import CodeExercise, Mistake, Problem, edits
from vizcourse.lessons.das.exercises.orthonormality import off, unit


def random_subspace_iia(iia_of, size, dim, draws=10):
    """Mean IIA of ``draws`` random subspaces: matrices (size, dim) with orthonormal columns."""
    values = []
    for _ in range(draws):
        rotation = torch.linalg.qr(torch.randn(size, dim)).Q
        values.append(float(iia_of(rotation)))
    return sum(values) / draws


class _Asked:
    """An `iia_of` that remembers what it was asked about, and gives each subspace a number of its own."""

    def __init__(self):
        self.given, self.values = [], []

    def __call__(self, rotation):
        rotation = torch.as_tensor(rotation).detach().clone().float()
        self.given.append(rotation)
        self.values.append(float(rotation.flatten()[0].square().clamp(max=1)) + 0.01)
        return torch.tensor(self.values[-1])

    def __repr__(self):
        return "a function that gives the IIA of a subspace"


def _random_judge(learner):
    for size, dim, draws in ((6, 2, 7), (8, 3, 60), (8, 1, 200)):
        asked = _Asked()
        problem = _random_problem(learner(asked, size, dim, draws), asked, size, dim, draws)
        if problem is not None:
            return problem
    return None


def _random_problem(found, asked, size, dim, draws):
    given = asked.given
    if not given:
        return "Your function never calls `iia_of`."
    for each in given:
        if each.shape == (dim, size):
            return Problem(mistake="transposed")
        if each.shape == (size, size):
            return Problem(mistake="whole")
        if each.shape != (size, dim):
            return f"`iia_of` was called with {tuple(each.shape)}; it takes (size, dim), here {(size, dim)}."
    worst = max(given, key=off)
    if off(worst) > 1e-3:
        return Problem(mistake="lengths-only" if unit(worst, 0) else "not-orthonormal")
    if all(((each.abs() < 1e-6) | ((each.abs() - 1).abs() < 1e-6)).all() for each in given):
        return Problem(mistake="units")
    if len(given) > 1 and all(torch.allclose(each, given[0]) for each in given):
        return Problem(mistake="same")
    if len(given) != draws:
        return Problem(f"With draws={draws}, `iia_of` was called {len(given)} time{'s' * (len(given) != 1)}.", mistake="draws")
    # How much of one diagonal lies in the subspaces: dim / size on average, if no direction is preferred.
    diagonal = torch.full((size,), size**-0.5)
    if draws >= 50 and sum(float((diagonal @ each).square().sum()) for each in given) / draws > 0.65:
        return Problem(mistake="corner")
    # The fourth powers of a direction's eight entries sum to 0.3 on average, give or take 0.007 with 200 draws, if no
    # direction is preferred, and to 0.225 if the entries are drawn evenly between -1 and 1.
    if dim == 1 and draws >= 200 and sum(float(each.pow(4).sum()) for each in given) / draws < 0.26:
        return Problem(mistake="cube")
    values = None if found is None else numeric(found)
    if values is None:
        return f"Asked for is one number; you return {kind(found)}."
    if values.size == draws and draws > 1:
        return Problem(mistake="list")
    if values.size != 1:
        return f"Asked for is one number; you return {values.size}."
    number = float(values.reshape(()))
    mean, best, total = sum(asked.values) / draws, max(asked.values), sum(asked.values)
    if abs(number - mean) < 1e-4:
        return None
    if abs(number - best) < 1e-4:
        return Problem(mistake="best")
    if abs(number - total) < 1e-4:
        return Problem(mistake="sum")
    return f"The {draws} subspaces gave {mean:.3f} on average; you return {number:.3f}."


RANDOM = CodeExercise(
    id="5.6",
    title="The random-subspace control",
    stars=2,
    minutes=8,
    reference=random_subspace_iia,
    judge=_random_judge,
    right_variants={
        "line 1: 10 -> 11": "the task asks for a mean of `draws`; how many by default is a matter of time",
        "line 1: 10 -> 9": "the same",
    },
    hints=(
        "`torch.randn(size, dim)` prefers no direction; `torch.linalg.qr(…).Q` makes its columns orthonormal without "
        "changing the subspace that they span.",
        "Draw anew in each round, collect the numbers that `iia_of` gives, and return their mean.",
    ),
    mistakes=(
        Mistake(
            "not-orthonormal",
            "Your matrices are not orthonormal, so RRᵀ is no projection: a swap with them can amplify, and the control is no "
            "longer about subspaces. Orthonormalise each, with `torch.linalg.qr(…).Q`.",
            edits("torch.linalg.qr(torch.randn(size, dim)).Q -> torch.randn(size, dim)"),
        ),
        Mistake(
            "lengths-only",
            "Your columns have length 1 but are not perpendicular. `torch.linalg.qr(…).Q` makes them both.",
            edits("torch.linalg.qr(torch.randn(size, dim)).Q -> torch.nn.functional.normalize(torch.randn(size, dim), dim=0)"),
        ),
        Mistake(
            "units",
            "Your subspaces are made of single *units*. A subspace may lie across all units; the control asks for any of them.",
            edits("torch.linalg.qr(torch.randn(size, dim)).Q -> torch.eye(size)[:, torch.randperm(size)[:dim]]"),
        ),
        Mistake(
            "corner",
            "Your subspaces lean towards one diagonal, the direction with an equal part of every unit. `torch.rand` does that, "
            "because it gives positive numbers only; with `torch.randn` every direction is equally likely.",
            edits("randn -> rand"),
        ),
        Mistake(
            "cube",
            "Your directions lean towards the diagonals, on which all entries are equally large, with either sign. Numbers "
            "drawn evenly between two bounds do that (`torch.rand` less a half); with `torch.randn` every direction is equally "
            "likely.",
            edits("torch.randn(size, dim) -> torch.rand(size, dim) - 0.5"),
        ),
        Mistake(
            "same",
            "It is the same subspace each time: draw anew in every round, and do not set the seed inside the loop.",
            edits("for _ in range(draws):\n        rotation -> rotation", ".Q\n -> .Q\n    for _ in range(draws):\n"),
        ),
        Mistake(
            "draws",
            "The number of subspaces is not `draws`. One random subspace may be a lucky or an unlucky one.",
            edits("range(draws) -> range(1)"),
        ),
        Mistake(
            "best",
            "You return the best of the draws. Choosing the best is already a search; the control is the *mean*.",
            edits("sum(values) / draws -> max(values)"),
        ),
        Mistake("sum", "You return the sum; divide by the number of draws.", edits(" / draws ->")),
        Mistake("list", "You return all the numbers; return their mean, one number.", edits("sum(values) / draws -> values")),
        Mistake(
            "transposed",
            "Your matrices are (dim, size). The columns span the subspace: (size, dim).",
            edits(".Q -> .Q.T"),
        ),
        Mistake(
            "whole",
            "Your matrices are (size, size), and a whole rotation interchanges everything: keep `dim` columns.",
            edits("randn(size, dim) -> randn(size, size)"),
        ),
    ),
    unlisted=(
        edits("sum(values) / draws -> min(values)"),
        edits("randn(size, dim) -> randn(size, dim + 1)"),
        edits("range(draws) -> range(0)"),
    ),
    insight="Without this number beside it, an IIA says nothing: in a wide subspace, chance does much of the work.",
    used_next="Beside it stand the other controls of the table.",
)
