"""1.3 A kernel that sees vertical edges only, in the kernel lab."""

import math

import torch
from torch import nn

from vizcourse.exercises.core import AnswerExercise, Mistake, Problem


def orientation_answers(kernel):
    """How strongly a kernel answers to vertical stripes, to horizontal stripes, and to an even grey: root mean squares."""
    across = torch.arange(24.0)
    wave = 0.5 + 0.5 * torch.sin(across * (2 * math.pi / 8))
    vertical, even = wave.expand(24, 24), torch.full((24, 24), 0.5)

    def answer(picture):
        return nn.functional.conv2d(picture[None, None], kernel[None, None]).square().mean().sqrt().item()

    return answer(vertical), answer(vertical.T), answer(even)


def _as_kernel(value):
    try:
        kernel = torch.as_tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        return None
    return kernel if kernel.ndim == 2 and bool(kernel.isfinite().all()) else None


def _orientation_judge(value):
    kernel = _as_kernel(value)
    if kernel is None:
        return "Pass the kernel lab itself, or its kernel: a square table of finite numbers."
    if not kernel.any():
        return Problem(mistake="zero")
    vertical, horizontal, even = orientation_answers(kernel)
    largest = max(vertical, horizontal, even)
    if largest < 1e-6 * float(kernel.abs().sum()):  # whatever the unit in which the kernel is written
        return Problem(mistake="silent")
    measured = f"Measured: vertical stripes {vertical:.2f}, horizontal stripes {horizontal:.2f}, even grey {even:.2f}."
    if even > 0.05 * largest:
        return Problem(measured, mistake="brightness")
    if horizontal > 5 * vertical:
        return Problem(measured, mistake="turned")
    if vertical > 5 * horizontal:
        return None
    if vertical > 1.5 * horizontal:
        times = vertical / horizontal
        return f"The right direction: {times:.1f} times as strong for vertical edges, and 5 times are asked. {measured}"
    return Problem(measured, mistake="both")


def _is_identity(value):
    """The kernel that the lab starts with: nothing has been tried yet."""
    kernel = _as_kernel(value)
    if kernel is None or not 0 < kernel.abs().sum() == kernel.amax() == 1:
        return False
    return kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] == 1


ORIENTATION = AnswerExercise(
    id="1.3",
    title="A kernel that sees vertical edges only",
    stars=2,
    minutes=6,
    judge=_orientation_judge,
    blank=_is_identity,
    setup_source="from vizcourse.lessons.cnn_basics.widgets import KernelLab\nlab = KernelLab()",
    solution_source='lab.set(kernel=[[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]])\nanswer("1.3", lab)',
    hints=(
        "At a vertical edge the picture changes from left to right. Compare the left with the right column of the window.",
        "On an even area the answer must be zero, so the nine numbers must add up to zero.",
        "If all three rows are equal, horizontal edges cancel out.",
    ),
    mistakes=(
        Mistake(
            "turned",
            "This kernel answers to horizontal edges and hardly to vertical ones: it is the right idea, turned by "
            "90°. Swap rows and columns.",
            [[-1, -1, -1], [0, 0, 0], [1, 1, 1]],
        ),
        Mistake(
            "both",
            "This kernel answers to both orientations. It must not care what changes from top to bottom: make its rows equal.",
            [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
        ),
        Mistake(
            "brightness",
            "This kernel also answers to an even grey area, where there is no edge at all: its numbers must add up to zero.",
            [[0, 1, 1], [0, 1, 1], [0, 1, 1]],
        ),
        Mistake("zero", "All numbers are zero: this kernel answers to nothing.", [[0, 0, 0]] * 3),
        Mistake(
            "silent",
            "This kernel answers neither to vertical nor to horizontal stripes, nor to an even area: in its rows *and* in its "
            "columns everything cancels. Let the left and the right column differ, and all rows be equal.",
            [[1, 0, -1], [0, 0, 0], [-1, 0, 1]],
        ),
    ),
    unlisted=([["a", 1], [2, 3]], [1.0, 0.0, -1.0], [[float("nan")] * 3] * 3),
    insight="An oriented edge detector, built by hand. First layers of trained networks often hold some, found by themselves.",
    used_next="In the next section you meet the kernels that a network has learned.",
)
