"""Hierarchical equality: a world without pictures, and a network in which we put every cause ourselves.

Four things are shown, each a vector of two numbers. The answer is "yes" if both pairs are equal or both are unequal:
``(a = b) = (c = d)``. The task is that of Geiger et al., "Finding alignments between interpretable causal variables and
distributed neural representations" (2023), section 4; the network here is not trained but built by hand.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

VARIABLES = ("left", "right")
_SHARP = 4.0  # things that differ at all differ by at least 1 in some number


def sample(n: int, seed: int = 0) -> Tensor:
    """``(n, 4, 2)``: things a, b, c, d of two whole numbers from -3 to 3; each pair is equal in half of the cases."""
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}.")
    generator = torch.Generator().manual_seed(seed)
    things = torch.randint(-3, 4, (n, 4, 2), generator=generator)
    same = torch.rand(n, 2, generator=generator) < 0.5
    for pair in range(2):
        first, second = things[:, 2 * pair], things[:, 2 * pair + 1]
        second[same[:, pair]] = first[same[:, pair]]
        # Unequal by lot may still come out equal: move those by one.
        clash = (first == second).all(1) & ~same[:, pair]
        second[clash] += 1
    return things.float()


def equal(things: Tensor) -> Tensor:
    """Whether the left and the right pair are equal: ``(n, 2)`` of booleans, the two variables of the hypothesis."""
    return torch.stack([(things[:, 0] == things[:, 1]).all(1), (things[:, 2] == things[:, 3]).all(1)], dim=1)


def labels(things: Tensor) -> Tensor:
    """1 where both pairs are equal or both unequal, else 0: ``(n,)``."""
    left, right = equal(things).T
    return (left == right).long()


def counterfactual(base: Tensor, source: Tensor, variable: str) -> Tensor:
    """What the hypothesis answers to ``base`` if one variable had the value that it has for ``source``: ``(n,)``."""
    if variable not in VARIABLES:
        raise ValueError(f"variable must be 'left' or 'right', not {variable!r}.")
    values, place = equal(base), VARIABLES.index(variable)
    values[:, place] = equal(source)[:, place]
    return (values[:, 0] == values[:, 1]).long()


class EqualityNetwork(nn.Module):
    """A network that solves the task exactly, and hides how.

    ``differences`` gives |a − b| and |c − d| number by number, ``indicators`` the two variables (1 for equal, 0 for
    unequal) beside six numbers that nothing reads later, ``mix`` rotates these eight, so that no unit of its output is a
    variable, and ``answer`` reads the two variables back and compares them.

    Attributes:
        directions: ``(8, 2)``: where the left and the right variable lie in the output of ``mix``.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.differences = nn.Sequential(nn.Flatten(), nn.Linear(8, 8, bias=False), nn.ReLU())
        self.indicators = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
        self.mix = nn.Linear(8, 8, bias=False)
        self.answer = nn.Sequential(nn.Linear(8, 2), nn.ReLU(), nn.Linear(2, 2))
        generator = torch.Generator().manual_seed(seed)
        rotation = torch.linalg.qr(torch.randn(8, 8, generator=generator)).Q
        minus = torch.kron(torch.eye(2), torch.tensor([[1.0, 0, -1, 0], [0, 1, 0, -1], [-1, 0, 1, 0], [0, -1, 0, 1]]))
        with torch.no_grad():
            self.differences[1].weight.copy_(minus)
            # 1 - 4 · (sum of |differences|), cut off at 0; below it, the differences themselves, which nothing reads.
            self.indicators[0].weight.zero_()
            self.indicators[0].weight[0, :4] = self.indicators[0].weight[1, 4:] = -_SHARP
            self.indicators[0].weight[2:] = 0.25 * torch.eye(8)[[0, 1, 2, 4, 5, 6]]
            self.indicators[0].bias.copy_(torch.eye(8)[0] + torch.eye(8)[1])
            self.mix.weight.copy_(rotation)
            self.answer[0].weight.copy_(torch.tensor([[1.0, -1], [-1, 1]]) @ rotation.T[:2])
            self.answer[0].bias.zero_()
            # "no" gets |left - right|, "yes" what is missing to 1.
            self.answer[2].weight.copy_(torch.tensor([[1.0, 1], [-1, -1]]))
            self.answer[2].bias.copy_(torch.tensor([0.0, 1]))
        self.directions = rotation[:, :2].clone()
        self.eval().requires_grad_(False)

    def forward(self, things: Tensor) -> Tensor:
        return self.answer(self.mix(self.indicators(self.differences(things))))


def plane(network: EqualityNetwork, turned: float = 60.0) -> Tensor:
    """Two orthonormal directions, ``(8, 2)``, that span the plane of both variables in the output of ``mix``.

    Neither of them is a variable: ``plane @ (cos, sin)`` is the left one at ``turned`` degrees and the right one a quarter
    turn further.
    """
    angle = torch.deg2rad(torch.tensor(turned))
    turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    return network.directions @ turn.T
