"""What the judges of 5.5 and 5.6 ask of a matrix."""

import torch


def off(matrix):
    """How far columns are from orthonormal."""
    return float((matrix.T @ matrix - torch.eye(matrix.shape[1])).detach().abs().max())


def unit(matrix, dim):
    """Whether the vectors along an axis have length 1."""
    return bool(((matrix.norm(dim=dim) - 1).abs() < 1e-3).all())
