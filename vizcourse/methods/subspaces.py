"""Subspaces of a layer's channels: orthonormal frames, and what of one a linear layer can see.

A *frame* is a matrix ``(d, dim)`` with orthonormal columns. Only the subspace that they span matters, not the columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vizcourse.methods.checks import checked_count, checked_finite


def orthonormal(weight: Tensor) -> Tensor:
    """The Gram–Schmidt frame of a matrix's columns, ``(d, dim)``: differentiable, and the identity on orthonormal ones."""
    q, r = torch.linalg.qr(_checked_matrix(weight, "a matrix to make orthonormal"))
    return q * torch.where(r.diagonal() < 0, -1.0, 1.0)


def random_frame(size: int, dim: int, generator: torch.Generator) -> Tensor:
    """A random orthonormal frame, ``(size, dim)``, every subspace equally likely.

    Raises:
        ValueError: ``dim`` is larger than ``size``.
    """
    if checked_count(dim, "dim") > checked_count(size, "size"):
        raise ValueError(f"dim must be from 1 to {size}, the channels of the layer, not {dim}.")
    return orthonormal(torch.randn(size, dim, generator=generator))


def row_null_split(rotation: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Split a subspace at the input of a linear layer into the parts that the layer can and cannot see.

    Each direction is the sum of one in the row space of the weight and one in its null space (Makelov, Lange and Nanda,
    arXiv:2311.17030, section 3). A faithful alignment keeps its IIA with the row part alone; one that loses it was reading
    from the null space, which the layer ignores, and writing into the row space.

    Args:
        rotation: ``(d, dim)``.
        weight: of the linear layer, ``(outputs, d)``. What is the same for all outputs cannot change an answer and counts
            as null space.

    Returns:
        Orthonormal frames ``(d, ≤ dim)`` of both parts.
    """
    rotation, weight = _checked_matrix(rotation, "a rotation"), _checked_matrix(weight, "the weight of a linear layer")
    if weight.shape[1] != len(rotation):
        raise ValueError(f"The weight must have {len(rotation)} columns, one a channel, not {tuple(weight.shape)}.")
    weight = (weight - weight.mean(0)).detach().to(rotation)
    row = _basis(weight.T)
    inside = row @ (row.T @ rotation)
    return _basis(inside), _basis(rotation - inside)


def _basis(columns: Tensor, tolerance: float = 1e-4) -> Tensor:
    """Orthonormal basis of the span of columns, without those that are zero but for rounding."""
    vectors, values, _ = torch.linalg.svd(columns, full_matrices=False)
    return vectors[:, values > tolerance * max(float(values.max()), tolerance)]


def _checked_matrix(matrix: Tensor, what: str) -> Tensor:
    if not isinstance(matrix, Tensor) or matrix.ndim != 2 or not matrix.numel():
        found = tuple(matrix.shape) if isinstance(matrix, Tensor) else type(matrix).__name__
        raise ValueError(f"Pass {what} as a tensor of rows and columns, not {found}.")
    if not matrix.detach().sum().isfinite():  # of a sum, because it is asked at each step of a search
        checked_finite(matrix, f"values of {what}")
    return matrix
