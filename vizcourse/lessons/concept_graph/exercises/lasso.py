"""6.4: one step of the Lasso."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake
from vizcourse.exercises.edits import edits


def lasso_step(coefficients, activations, concepts, penalty, step):
    """One proximal gradient step: (P, K), (P, C), (K, C) and two numbers -> (P, K)."""
    slope = (coefficients @ concepts - activations) @ concepts.T
    moved = coefficients - step * slope
    return moved.sign() * (moved.abs() - step * penalty).clamp_min(0)


def _lasso_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def some(count, size, channels, penalty, step):
        concepts = torch.nn.functional.normalize(torch.randn(size, channels, generator=generator), dim=1)
        coefficients, activations = (torch.randn(count, each, generator=generator) for each in (size, channels))
        return coefficients, activations, concepts, penalty, step

    return [
        (torch.zeros(1, 2), torch.tensor([[3.0, -2.0]]), torch.eye(2), 1.0, 0.5),
        (torch.tensor([[1.0, 0.1]]), torch.tensor([[-1.0, 0.2]]), torch.eye(2), 0.5, 0.25),
        some(3, 4, 2, 0.8, 0.3),
        some(6, 3, 5, 1.5, 0.4),
        some(5, 5, 5, 1.0, 0.2),
    ]


LASSO = CodeExercise(
    id="6.4",
    title="One step of the Lasso",
    stars=2,
    minutes=7,
    reference=lasso_step,
    cases=_lasso_cases,
    hints=(
        "`coefficients @ concepts` is the reconstruction, (P, C). What it misses, `… - activations`, goes back to the concepts "
        "by `@ concepts.T`: that is the slope, (P, K).",
        "The soft threshold of `moved` at `t`: `moved.sign() * (moved.abs() - t).clamp_min(0)`. What is t here?",
    ),
    mistakes=(
        Mistake(
            "no-threshold",
            "This is least squares: you go down the slope and leave out the threshold. Nothing ever becomes zero.",
            edits("moved.sign() * (moved.abs() - step * penalty).clamp_min(0) -> moved"),
        ),
        Mistake(
            "only-threshold",
            "You draw the coefficients to zero without a step down the slope first. Threshold what `U - step * slope` gives.",
            edits("coefficients - step * slope -> coefficients"),
        ),
        Mistake(
            "penalty-unscaled",
            "Your threshold is λ. A step of length η also draws only η·λ: a shorter step has a smaller threshold.",
            edits("step * penalty -> penalty"),
        ),
        Mistake(
            "step-only",
            "Your threshold is η, and `penalty` has no effect. It is η·λ.",
            edits("step * penalty -> step"),
        ),
        Mistake(
            "positive",
            "You keep positive coefficients only. That is the non-negative Lasso, which the course uses later; the paper's "
            "has coefficients of either sign, and here it is asked for.",
            edits("moved.sign() * (moved.abs() -> (moved"),
        ),
        Mistake(
            "hard",
            "This is the *hard* threshold: the small ones go to zero and the others stay. The soft one draws all of them "
            "towards zero by the threshold.",
            edits("moved.sign() * (moved.abs() - step * penalty).clamp_min(0) -> moved * (moved.abs() > step * penalty)"),
        ),
        Mistake(
            "sign-lost",
            "The sizes are right and the signs are lost: multiply by `moved.sign()`.",
            edits("moved.sign() * ->"),
        ),
        Mistake(
            "passes-zero",
            "Small coefficients pass zero and come out with the other sign. Those become exactly zero: `clamp_min(0)` before "
            "the sign.",
            edits(".clamp_min(0) ->"),
        ),
        Mistake(
            "uphill",
            "You go *up* the slope. The step is `U - step * slope`, and the slope is (reconstruction − activations) Vᵀ.",
            edits("coefficients - step -> coefficients + step"),
        ),
        Mistake(
            "twice",
            "Your slope is twice as large. With the ½ before the square, its derivative has no 2.",
            edits("step * slope -> 2 * step * slope"),
        ),
        Mistake(
            "order",
            "You threshold before the step. After it the zeros are gone again: step first, then threshold.",
            edits(
                "slope = -> coefficients = torch.nn.functional.softshrink(coefficients, step * penalty)\n    slope =",
                "return moved.sign() * (moved.abs() - step * penalty).clamp_min(0) -> return moved",
            ),
        ),
        Mistake(
            "subgradient",
            "You add λ·sign(U) to the slope and take an ordinary step. That never makes a coefficient exactly zero; the soft "
            "threshold does.",
            edits("moved.sign() * (moved.abs() - step * penalty).clamp_min(0) -> moved - step * penalty * coefficients.sign()"),
        ),
        Mistake(
            "in-place",
            "The result is right, but `coefficients` is overwritten (`-=` works in place). Make a new tensor.",
            edits("coefficients - step * slope -> coefficients.sub_(step * slope)"),
        ),
    ),
    unlisted=(
        edits("step * penalty -> step * penalty / 2"),
        edits("step * slope -> step * slope / activations.numel()"),
        edits("clamp_min(0) -> clamp(0, 1)"),
    ),
    insight="The soft threshold is where sparseness comes from: every coefficient pays λ, and those not worth it are zero.",
    used_next="A few hundred such steps are the decomposition that everything below stands on.",
)
