"""2.1, gradient ascent on a channel."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, Problem, case, edits
from vizcourse.hooks import capture
from vizcourse.lessons.feature_visualization.exercises.shared import Toy


def ascend(model, layer, channel, image, steps=8, rate=1.0):
    """Change a picture (1, 3, H, W) so that the mean of one channel grows; stays in [0, 1]."""
    image = image.clone()
    for _ in range(steps):
        image.requires_grad_()
        with capture(model, layer, stop=True) as acts:
            model(image)
        score = acts[layer][0, channel].mean()
        (gradient,) = torch.autograd.grad(score, image)
        image = (image.detach() + rate * gradient).clamp(0, 1)
    return image


#: What else gradients are divided by.
_SIZES = {
    "root mean square": "gradient.square().mean().sqrt()",
    "standard deviation": "gradient.std()",
    "mean absolute value": "gradient.abs().mean()",
    "largest absolute value": "gradient.abs().max()",
}


def _ascent_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for toy, layer, channel, size, steps, rate in (
        (0, "soft", 1, 4, 1, 0.5),
        (1, "soft", 2, 5, 3, 0.5),
        (2, "head", 3, 6, 4, 1.0),
        (3, "soft", 0, 6, 8, 3.0),
        (4, "head", 2, 7, 6, 2.0),
    ):
        image = torch.rand(1, 3, size, size + 1, generator=generator)
        cases.append(case(Toy(toy), layer, channel, image, steps=steps, rate=rate))
    return cases


def _ascent_judge(learner):
    # The values are right when this is asked; what is left is whether the picture or the model drags something along.
    toy = Toy(0)
    result = learner(toy, "soft", 1, torch.full((1, 3, 4, 4), 0.5), steps=2, rate=0.5)
    if result.requires_grad:
        return Problem(mistake="attached")
    return Problem(mistake="hook-left") if any(each._forward_hooks for each in toy.modules()) else None


ASCENT = CodeExercise(
    id="2.1",
    title="Gradient ascent on a channel",
    stars=2,
    minutes=10,
    reference=ascend,
    cases=_ascent_cases,
    judge=_ascent_judge,
    setup_source="from vizcourse.hooks import capture",
    hints=(
        "One step: run the model inside `capture(model, layer, stop=True)`, take the mean of `acts[layer][0, channel]`, ask "
        "for its gradient with respect to the image, and add rate · gradient.",
        "`image.requires_grad_()` before the forward pass; `gradient, = torch.autograd.grad(score, image)` gives the gradient "
        "fresh at every step, so there is nothing to clear.",
        "After the step: `image = (image.detach() + rate * gradient).clamp(0, 1)`. Without `.detach()` the graph of all "
        "steps hangs on the picture, and its `.grad` stays None.",
    ),
    mistakes=(
        Mistake(
            "descent",
            "Your picture goes *downhill*: the channel answers less at each step. Ascent adds the gradient; optimisers of "
            "PyTorch subtract it, so they need the negative of the score.",
            edits("+ rate -> - rate"),
        ),
        Mistake(
            "never-cleared",
            "The gradients of all steps pile up: `backward()` adds to `image.grad`. Clear it at every step, or use "
            "`torch.autograd.grad`, which gives it fresh.",
            edits("image.clone() -> image.clone(); total = 0", "* gradient -> * (total := total + gradient)"),
        ),
        Mistake(
            "gradient-once",
            "The gradient is computed once, for the first picture, and used at every step. The picture has moved: run the "
            "model again inside the loop.",
            edits("image.clone() -> image.clone(); first = []", "* gradient -> * (first := first or [gradient])[0]"),
        ),
        Mistake(
            "one-step",
            "This is a single step, whatever `steps` says: is the `return` inside the loop?",
            edits("    return image ->         return image"),
        ),
        Mistake(
            "whole-layer",
            "You climb the mean of the *whole layer*; the channel plays no part. An activation is (picture, channel, row, "
            "column): take `acts[layer][0, channel]`.",
            edits("[0, channel].mean() -> .mean()"),
        ),
        Mistake(
            "wrong-axis",
            "You take row number `channel` of all channels. The axes are (picture, channel, row, column): "
            "`acts[layer][0, channel]`, not `acts[layer][0, :, channel]`.",
            edits("[0, channel] -> [0, :, channel]"),
        ),
        Mistake(
            "sum",
            "You climb the *sum* over the positions, so your steps are as many times too long as the map has positions. "
            "The score is the mean.",
            edits(".mean() -> .sum()"),
        ),
        Mistake(
            "largest",
            "You climb the largest position only. That is another objective, close to a single neuron's; the channel's score "
            "here is the mean over all positions.",
            edits(".mean() -> .max()"),
        ),
        Mistake(
            "unbounded",
            "The picture leaves [0, 1], and the channel is raised by colours that no screen can show: clamp after each step.",
            edits(".clamp(0, 1) ->"),
        ),
        Mistake(
            "bounded-late",
            "You clamp once, at the end; until then the climb goes on outside [0, 1], where no picture is. Clamp after each "
            "step.",
            edits(".clamp(0, 1) ->", "return image -> return image.clamp(0, 1)"),
        ),
        Mistake(
            "sign",
            "You add the gradient's *sign*, so every pixel moves equally far. That is how adversarial pictures are made (2.8); "
            "here the step is rate · gradient.",
            edits("* gradient -> * gradient.sign()"),
        ),
        Mistake(
            "normalised",
            "You divide the gradient by its length. Many programs do, to choose the rate more easily; here the step is "
            "rate · gradient as it is.",
            edits("* gradient -> * gradient / gradient.norm()"),
        ),
        *(
            Mistake(
                f"normalised by the {size}",
                f"You divide the gradient by its {size}. Many programs do something like it, to choose the rate more easily; "
                "here the step is rate · gradient as it is.",
                edits(f"* gradient -> * gradient / {measure}"),
            )
            for size, measure in _SIZES.items()
        ),
        Mistake(
            "one-less",
            "Your picture is the one after steps − 1 steps. Return the one that the last step has made.",
            edits("range(steps) -> range(steps - 1)"),
        ),
        Mistake("one-more", "Your picture has made one step more than `steps`.", edits("range(steps) -> range(steps + 1)")),
        Mistake(
            "hook-left",
            "The values are right, but your hook stays on the model, and runs in every later forward pass: remove it "
            "(`handle.remove()`), or use `capture`, which removes its own.",
            edits("image.clone() -> image.clone(); model.get_submodule(layer).register_forward_hook(lambda *_: None)"),
        ),
        Mistake(
            "attached",
            "The values are right, but the picture you return still requires gradients, and whoever uses it next stumbles over "
            "that: `return image.detach()`.",
            edits("return image -> return image.requires_grad_()"),
        ),
        Mistake(
            "no-leaf",
            "In the second step `image.grad` is None. After `image = image + …` the picture is a result and not a leaf, and "
            "only leaves keep a `.grad`. Begin each step with `image = image.detach().requires_grad_()`, or take the gradient "
            "from `torch.autograd.grad(score, image)`.",
            edits("* gradient -> * (gradient if _ == 0 else None)"),
        ),
        Mistake(
            "no-leaf, the factors exchanged",
            "From the second step on `image.grad` is None, because `image = image + …` makes the picture a result, and only "
            "leaves keep a `.grad`: begin each step with `image = image.detach().requires_grad_()`.",
            edits("rate * gradient -> (gradient if _ == 0 else None) * rate"),
        ),
        Mistake(
            "never-asked",
            "Nothing requires a gradient, already in the first step. The network's weights are frozen, so the picture has to "
            "be asked: `image.requires_grad_()` (on your own copy) before the forward pass, and that pass outside "
            "`torch.no_grad()`.",
            edits("image.requires_grad_() ->"),
        ),
        Mistake(
            "asked-once",
            "From the second step on nothing requires gradients: the new picture has been detached, and does not. Begin "
            "each step with `image = image.detach().requires_grad_()`.",
            edits("image.requires_grad_() ->", "image.clone() -> image.clone().requires_grad_()"),
        ),
        Mistake(
            "without-with",
            "`capture` records only inside a `with` block: `with capture(model, layer, stop=True) as acts:` and, indented "
            "below it, `model(image)`.",
            edits(
                "with capture(model, layer, stop=True) as acts: -> acts = capture(model, layer, stop=True)",
                "    model(image) -> model(image)",
            ),
        ),
    ),
    unlisted=(edits("range(steps) -> range(0)"), edits("[0, channel] -> [0, 0]")),
    insight="The weights stand still and the picture learns: training, the other way round.",
    used_next="The next figure runs your function on the network, and what comes out looks like noise.",
)
