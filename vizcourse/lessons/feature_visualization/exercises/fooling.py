"""2.8, a picture that fools."""

import functools
import inspect

import torch

from vizcourse.exercises import compare
from vizcourse.exercises.core import CodeExercise, Mistake, Problem, edits
from vizcourse.hooks import capture
from vizcourse.lessons.feature_visualization.exercises.effects import QUESTIONED, channel_means, ordinary
from vizcourse.lessons.feature_visualization.exercises.shared import Toy
from vizcourse.models import load
from vizcourse.worlds import scenes


def fool(model, layer, channel, picture, budget=12 / 255, steps=10):
    """Raise a channel with a change that nobody sees: (1, 3, H, W) -> (1, 3, H, W), at most `budget` away."""
    fooled = picture.clone()
    for _ in range(steps):
        fooled.requires_grad_()
        with capture(model, layer, stop=True) as acts:
            model(fooled)
        (gradient,) = torch.autograd.grad(acts[layer][0, channel].mean(), fooled)
        change = fooled.detach() + budget / 4 * gradient.sign() - picture
        fooled = (picture + change.clamp(-budget, budget)).clamp(0, 1)
    return fooled


WHOLE_LAYER = edits("[0, channel].mean() -> .mean()")


@functools.cache
def innocent_picture():
    """A picture without anything for which the questioned channel is known, (1, 3, 96, 96)."""
    return scenes.render(scenes.sample(1, seed=2607, object="toadstool", scene="meadow", words=""), size=96)


class _CountingToy(Toy):
    """A toy that counts how often it is run."""

    runs = 0

    def forward(self, images):
        self.runs += 1
        return super().forward(images)


def _returned(result):
    """What the learner's function gave back, as a tensor if it can be read as one."""
    if isinstance(result, torch.Tensor):
        return result.detach()
    try:
        return compare.as_tensor(result).detach().float()
    except (TypeError, ValueError):
        return result


def _rules_problem(result, picture, budget):
    """What is wrong with a fooled picture whatever the network, or None."""
    if not isinstance(result, torch.Tensor) or result.shape != picture.shape:
        what = tuple(result.shape) if isinstance(result, torch.Tensor) else type(result).__name__
        return f"`fool` must return the changed picture, {tuple(picture.shape)}; yours gives {what}."
    if not result.isfinite().all():
        return "Your picture holds values that are not finite."
    change = float((result - picture).abs().max())
    if change > budget + 1e-4:
        both_signs = result.min() < 0 < result.max()
        if both_signs and float(result.abs().max()) <= budget + 1e-4:
            return Problem(mistake="only-the-change")
        return Problem(f"The largest change is {change:.3f}; the budget is {budget:.3f}.", mistake="over-budget")
    if result.min() < -1e-6 or result.max() > 1 + 1e-6:
        return Problem(mistake="outside")
    return None


def _fool_judge(learner):
    # First on a toy, with a picture of which many values are 0 or 1 already.
    stark = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).mul(3).sub(1).clamp(0, 1)

    def on_toy(picture=stark, channel=1, budget=0.1, steps=8, toy=None):
        given = picture.clone()
        result = _returned(learner(toy or Toy(0), "soft", channel, given, budget, steps))
        # A copy: where the picture was changed in place, both are one.
        return (result.clone() if isinstance(result, torch.Tensor) else result), torch.equal(given.detach(), picture)

    counting = _CountingToy(0)
    try:
        result, left = on_toy(toy=counting)
    except (RuntimeError, TypeError, AttributeError) as error:
        if (known := _no_gradient(error, on_toy)) is None:
            raise
        return Problem(mistake=known)
    problem = _rules_problem(result, stark, 0.1)
    other, _ = on_toy(budget=0.02)
    if all(isinstance(each, torch.Tensor) and each.shape == stark.shape for each in (result, other)):
        if torch.equal(result, stark):
            return Problem(mistake="unchanged")
        if torch.equal(result, other):
            return Problem(mistake="budget-ignored")
    if problem is None:
        problem = _rules_problem(other, stark, 0.02)
    if problem is not None:
        return problem
    if not left:
        return Problem(mistake="in-place")
    once = _CountingToy(0)
    on_toy(steps=1, toy=once)
    if counting.runs <= once.runs:
        return Problem(mistake="one-step")
    if torch.equal(result, on_toy(channel=2)[0]):
        whole = FOOLING.made(WHOLE_LAYER)(Toy(0), "soft", 1, stark, 0.1, 8)
        return Problem(mistake="whole-layer" if torch.equal(result, whole) else "channel-ignored")
    model, budget, (layer, channel) = load("googlenet-scenes"), 12 / 255, QUESTIONED
    picture = innocent_picture()
    defaults = "Leave `budget=12 / 255, steps=10` in the first line: the next cell calls `fool` without them."
    try:
        inspect.signature(learner).bind(model, layer, channel, picture)
    except TypeError:
        return defaults
    result = _returned(learner(model, layer, channel, picture.clone()))
    if problem := _rules_problem(result, picture, budget):
        told = _returned(learner(model, layer, channel, picture.clone(), budget, 10))
        return problem if _rules_problem(told, picture, budget) else defaults
    change = float((result - picture).abs().max())
    before, after = (float(channel_means(each, layer, channel)) for each in (picture, result))
    best = float(ordinary(layer, channel).max())
    if after > best:
        return None
    measured = f"The channel's mean goes from {before:.3f} to {after:.3f}; the best of 100 ordinary pictures has {best:.3f}."
    return Problem(
        f"{measured} The largest change is {change:.3f}, the budget {budget:.3f}.", mistake=_why_weak(learner, change)
    )


def _no_gradient(error, on_toy):
    """Which of three common slips left nothing to take a gradient of, or None."""
    unasked, no_leaf = "does not require grad" in str(error), "NoneType" in str(error)
    if not unasked and not no_leaf:
        return None
    try:
        on_toy(steps=1)
    except (RuntimeError, TypeError, AttributeError):
        return "never-asked" if unasked else None
    return "asked-once" if unasked else "no-leaf"


def _why_weak(learner, change):
    """Why a change within the rules does too little, found on a grey picture, where nothing is cut off."""
    grey, budget = torch.full((1, 3, 8, 8), 0.5), 0.1
    toy = Toy(0)
    asked = grey.clone().requires_grad_()
    with capture(toy, "soft", stop=True) as acts:
        toy(asked)
    (gradient,) = torch.autograd.grad(acts["soft"][0, 1].mean(), asked)
    first = _returned(learner(toy, "soft", 1, grey.clone(), budget, 1)) - grey
    moved = first != 0
    if not moved.any():
        return "not-aimed"
    agree = float((first.sign() == gradient.sign())[moved].float().mean())
    if agree < 0.02:
        return "downhill"
    if agree < 0.98:
        return "not-aimed"
    size = first.abs()[moved]
    if change < 12 / 255 / 2:
        return "short-steps" if size.max() - size.min() < 1e-3 * size.max() else "bare-gradient"
    return "not-aimed"


FOOLING = CodeExercise(
    id="2.8",
    title="A picture that fools",
    stars=3,
    minutes=10,
    reference=fool,
    judge=_fool_judge,
    setup_source="from vizcourse.hooks import capture",
    hints=(
        "Start from your `ascend` of 2.1. Two things change: the step, and what is clamped after it.",
        "The step is `budget / 4 * gradient.sign()`: every value moves equally far, because a budget for each value is "
        "best used up by each.",
        "After the step: `change = (fooled - picture).clamp(-budget, budget)`, then `(picture + change).clamp(0, 1)`.",
    ),
    mistakes=(
        Mistake(
            "over-budget",
            "The picture has changed by more than the budget. Bounding each *step* is not enough, because steps add up: "
            "bound the whole change from the original, `(fooled - picture).clamp(-budget, budget)`.",
            edits(
                "fooled.detach() + budget / 4 * gradient.sign() - picture -> budget / 4 * gradient.sign()",
                "(picture + change -> (fooled.detach() + change",
            ),
        ),
        Mistake(
            "budget-ignored",
            "With a budget of 0.1 and with one of 0.02 your picture is the same: `budget` plays no part. Steps and bounds are "
            "both measured in it.",
            edits("fooled = picture -> budget = 12 / 255; fooled = picture"),
        ),
        Mistake(
            "outside",
            "Some values have left [0, 1], and a screen would cut them off: clamp the sum to [0, 1] last.",
            edits("(picture + change.clamp(-budget, budget)).clamp(0, 1) -> picture + change.clamp(-budget, budget)"),
        ),
        Mistake(
            "in-place",
            "Your function changes the `picture` that it was given, so the original is lost, and with it what the change is "
            "measured from. Work on a copy, `fooled = picture.clone()`.",
            edits("return fooled -> return picture.copy_(fooled)"),
        ),
        Mistake(
            "unchanged",
            "The picture comes back as it was. Is the result of each step kept?",
            edits("return fooled -> return picture.clone()"),
        ),
        Mistake(
            "bare-gradient",
            "Your change is far below the budget: the gradient of a mean over thousands of pixels is tiny. Take its sign, so "
            "that every value uses up its budget.",
            edits("gradient.sign() -> gradient"),
        ),
        Mistake(
            "short-steps",
            "Every value moves equally far and the right way, but all steps together stay far below the budget: take longer "
            "steps, budget / 4 for example.",
            edits("budget / 4 -> budget / 100"),
        ),
        Mistake(
            "downhill",
            "Each value of the first step goes against the gradient: the channel answers *less*. Step along it.",
            edits("+ budget / 4 -> - budget / 4"),
        ),
        Mistake(
            "one-step",
            "With eight steps your function runs the network no more often than with one. A gradient holds only close to where "
            "it was computed, so go on in small steps, each with a new one.",
            edits("range(steps) -> range(1)", "budget / 4 -> budget"),
        ),
        Mistake(
            "whole-layer",
            "The channel plays no part: you raise the whole layer. Take `acts[layer][0, channel].mean()`.",
            WHOLE_LAYER,
        ),
        Mistake(
            "channel-ignored",
            "Your picture is the same for channel 1 and for channel 2, so the channel does not steer the change. Step along "
            "the gradient of `acts[layer][0, channel].mean()`.",
            edits("gradient.sign() -> torch.randn(picture.shape, generator=torch.Generator().manual_seed(0)).sign()"),
        ),
        Mistake(
            "not-aimed",
            "The change keeps to the rules, and the channel does not outdo ordinary pictures. Is the gradient that of this "
            "channel's mean, computed anew at each step, and is the budget used up?",
            edits("gradient.sign() -> torch.randn(picture.shape, generator=torch.Generator().manual_seed(channel)).sign()"),
        ),
        Mistake(
            "only-the-change",
            "What you return is no larger than the budget anywhere, so it looks like the change alone: add it to the picture.",
            edits("return fooled -> return fooled - picture"),
        ),
        Mistake(
            "never-asked",
            "Nothing requires a gradient, already in the first step. The network's weights are frozen, so the picture has to "
            "be asked: `requires_grad_()` on your copy before the forward pass, and that pass outside `torch.no_grad()`.",
            edits("fooled.requires_grad_() ->"),
        ),
        Mistake(
            "asked-once",
            "The first step works; from the second on nothing requires a gradient, because the new picture was detached. Begin "
            "each step with `fooled = fooled.detach().requires_grad_()`.",
            edits("fooled.requires_grad_() ->", "picture.clone() -> picture.clone().requires_grad_()"),
        ),
        Mistake(
            "no-leaf",
            "The first step works; then `.grad` is None, because the new picture is a result, and only leaves keep a `.grad`. "
            "Begin each step with `fooled = fooled.detach().requires_grad_()`, or use `torch.autograd.grad`.",
            edits("gradient.sign() -> (gradient if _ == 0 else None).sign()"),
        ),
    ),
    unlisted=(edits("return fooled -> return picture[0]"), edits('return fooled -> return fooled * float("nan")')),
    right_variants={
        "line 1: 12 -> 11": "a smaller change that does it is right as well",
        "line 1: 255 -> 256": "a smaller change that does it is right as well",
        "line 1: 10 -> 11": "however many steps do it are right",
        "line 1: 10 -> 9": "however many steps do it are right",
        "line 3: picture.clone() -> picture": "the given picture is asked for a gradient, but keeps its values",
        "line 6: True -> False": "the layers behind are run for nothing, which is slower and no more",
        "line 8: 0 -> -1": "there is one picture, first and last",
        "line 8: acts[layer][0, channel].mean() -> acts[layer][0, channel].sum()": "the signs are the same",
        "line 9: fooled.detach() -> fooled": "the history hangs on, and the lesson's next cell cuts it",
        "line 9: budget / 4 * gradient.sign() -> budget / 4 / gradient.sign()": "to divide by 1 or -1 is to multiply",
        "line 9: budget / 4 -> budget": "long steps do it, too",
        "line 9: 4 -> 5": "shorter steps do it, too",
        "line 9: 4 -> 3": "longer steps do it, too",
    },
    insight="A unit that shouts proves nothing about what is in the picture.",
    used_next="The critiques below: visualizations themselves can be fooled, too.",
)
