"""Exercise 4.9, attribution patching."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake
from vizcourse.exercises.edits import edits
from vizcourse.hooks import capture
from vizcourse.lessons.activation_patching.exercises.one_layer import patch_layer  # noqa: F401 (a mistake calls it)
from vizcourse.lessons.activation_patching.exercises.shared import hook_problem, layer_cases


def attribution_estimate(model, layer, clean, corrupted, labels):
    """Estimate (N,) of what patching a layer does to the label's logit: (clean - corrupted) · gradient."""
    rows = torch.arange(len(labels))
    with torch.no_grad(), capture(model, layer) as acts:
        model(clean)
    there = acts[layer]
    with torch.enable_grad(), capture(model, layer) as acts:
        logits = model(corrupted.clone().requires_grad_())
    here = acts[layer]
    (gradient,) = torch.autograd.grad(logits[rows, labels].sum(), here)
    return ((there - here) * gradient).sum(dim=(1, 2)).detach()


def _cases(seed):
    return list(layer_cases(seed + 20, ("self_attention", 2, 1), ("mlp", 1, 2), ("self_attention", 0, 4)))


ATTRIBUTION = CodeExercise(
    id="4.9",
    title="Attribution patching",
    stars=3,
    minutes=10,
    reference=attribution_estimate,
    cases=_cases,
    judge=lambda learner: hook_problem(learner, *_cases(9)[1]),
    rtol=1e-3,
    setup_source="from vizcourse.hooks import capture",
    hints=(
        "The clean run needs no gradient, only its activation. The corrupted run needs both: capture the activation and keep "
        "the logits.",
        "`torch.autograd.grad(logits[rows, labels].sum(), acts[layer])[0]` is the gradient at the activation. There is a graph "
        "only if something requires a gradient: run `corrupted.clone().requires_grad_()`.",
        "((clean activation − corrupted activation) * gradient).sum(dim=(1, 2)): over tokens and channels.",
    ),
    mistakes=(
        Mistake(
            "gradient-at-clean",
            "The gradient is taken at the clean run. The patch starts from the *corrupted* run, so its slope is the one that "
            "counts.",
            edits("clean, corrupted -> corrupted, clean", "there - here -> here - there"),
        ),
        Mistake(
            "averaged",
            "You average over tokens and channels. The effect of changing many numbers is the *sum* of their effects.",
            edits(".sum(dim=(1, 2)) -> .mean(dim=(1, 2))"),
        ),
        Mistake(
            "tokens-averaged",
            "You average over the tokens. All tokens are patched at once: *sum* over them, as over the channels.",
            edits(".sum(dim=(1, 2)) -> .sum(2).mean(1)"),
        ),
        Mistake(
            "channels-averaged",
            "You average over the channels. Sum over them, as over the tokens.",
            edits(".sum(dim=(1, 2)) -> .mean(2).sum(1)"),
        ),
        Mistake(
            "sign",
            "The sign is turned: the patch moves the activation from corrupted to clean, so the step is clean − corrupted.",
            edits("there - here -> here - there"),
        ),
        Mistake(
            "no-difference",
            "This is clean activation times gradient: the effect of a step from *zero*. The step goes from the corrupted "
            "activation to the clean one.",
            edits("there - here -> there"),
        ),
        Mistake(
            "corrupted-alone",
            'This is corrupted activation times gradient ("gradient × input"); the clean run does not come in at all. The '
            "step goes from the corrupted activation to the clean one.",
            edits("there - here -> here"),
        ),
        Mistake(
            "no-gradient",
            "This is the length of the step; the gradient is missing. A large change may not matter to the logit at all.",
            edits("((there - here) * gradient).sum(dim=(1, 2)) -> (there - here).square().sum(dim=(1, 2)).sqrt()"),
        ),
        Mistake(
            "absolute",
            "You take the absolute value of each product, so that nothing cancels. The estimate is the plain sum: parts that "
            "speak against the class count as negative.",
            edits("gradient).sum -> gradient).abs().sum"),
        ),
        Mistake(
            "class-token",
            "Only the class token is summed. All tokens are patched, so all count.",
            edits("gradient).sum(dim=(1, 2)) -> gradient)[:, 0].sum(1)"),
        ),
        Mistake(
            "mean-of-batch",
            "You take the gradient of the *mean* over the pictures, so every estimate is too small by the number of pictures. "
            "Use `.sum()`: each picture then gets its own full gradient.",
            edits("labels].sum() -> labels].mean()"),
        ),
        Mistake(
            "all-logits",
            "You take the gradient of the sum of *all* logits. Take the logit of each picture's own class: "
            "`logits[torch.arange(N), labels]`.",
            edits("logits[rows, labels] -> logits"),
        ),
        Mistake(
            "labels-as-columns",
            "`logits[:, labels]` takes *all* labels from *every* picture. Pair them up: `logits[torch.arange(N), labels]`.",
            edits("[rows, -> [:,"),
        ),
        Mistake(
            "largest-logit",
            "You follow the class that each run prefers. Follow each picture's own class, `labels`.",
            edits("logits[rows, labels] -> logits.amax(1)"),
        ),
        Mistake(
            "probability",
            "You take the gradient of the probability. Take the logit: a softmax near 0 or 1 is flat, and its slope says "
            "little about a whole step.",
            edits("logits[rows, labels] -> logits.softmax(1)[rows, labels]"),
        ),
        Mistake(
            "loss",
            "You take the gradient of the loss, which is large where the class is improbable: another metric, with the sign "
            "turned. Take the logit of the label.",
            edits("logits[rows, labels].sum() -> torch.nn.functional.cross_entropy(logits, labels, reduction='sum')"),
        ),
        Mistake(
            "summed-over-pictures",
            "You sum over the pictures as well. One number for each picture is asked for: sum over the dimensions 1 and 2.",
            edits(".sum(dim=(1, 2)) -> .sum()"),
        ),
        Mistake(
            "not-summed",
            "One number for each token, (N, tokens). The whole layer is patched: sum over the tokens too.",
            edits(".sum(dim=(1, 2)) -> .sum(2)"),
        ),
        Mistake(
            "exact",
            "These are the exact effects. A patched run gives them, and so does (nearly) a gradient averaged over many steps "
            "from the corrupted to the clean activation: both take more runs. What is asked for is the *estimate*, with the "
            "one gradient at the corrupted run.",
            edits(
                "((there - here) * gradient).sum(dim=(1, 2)) -> "
                "(patch_layer(model, layer, clean, corrupted) - logits)[rows, labels]"
            ),
        ),
        Mistake(
            "no-graph",
            "There is no graph behind what you differentiate. The weights ask for no gradient here, so let the pictures: run "
            "`corrupted.clone().requires_grad_()`, not under `torch.no_grad()`, and take the logits as they are, without "
            "`.detach()` or `argmax`.",
            edits("corrupted.clone().requires_grad_() -> corrupted"),
        ),
        Mistake(
            "other-runs-activation",
            "The tensor at which you ask for the gradient is in no graph: an activation captured under `torch.no_grad()` (as "
            "that of the clean run may be), or a detached copy. Capture the activation in the very run of the corrupted "
            "pictures that gives the logits, and differentiate at that `acts[layer]` itself.",
            edits("sum(), here -> sum(), there"),
        ),
        Mistake(
            "clean-runs-graph",
            "What you differentiate does not depend on the tensor at which you ask for the gradient: this one is of another "
            "run (the clean one, or a second run of the corrupted pictures), or a copy. Capture the activation in the very run "
            "of the corrupted pictures that gives the logits, and differentiate at that `acts[layer]` itself.",
            edits(
                "torch.no_grad() -> torch.enable_grad()",
                "model(clean) -> model(clean.clone().requires_grad_())",
                "sum(), here -> sum(), there",
            ),
        ),
        Mistake(
            "no-grad-kept",
            "One factor of your product is `None`. A function without `return` gives that, and so does the `.grad` of an "
            "activation: `.backward()` fills it at the leaves of the graph only, unless `acts[layer].retain_grad()` was called "
            "before. Ask for the gradient: `torch.autograd.grad(logits[rows, labels].sum(), acts[layer])[0]`.",
            edits("(gradient,) = torch.autograd.grad(logits[rows, labels].sum(), here) -> gradient = None"),
        ),
        Mistake(
            "not-summed-logits",
            "`torch.autograd.grad` starts from one number, and there is a logit for each picture: hand it their `.sum()`.",
            edits("labels].sum(), -> labels],"),
        ),
        Mistake(
            "tuple",
            "`torch.autograd.grad` gives a *tuple*, one gradient for each tensor asked for. Take its first entry, `[0]`.",
            edits("(gradient,) = -> gradient ="),
        ),
        Mistake(
            "pixels",
            "You take the step and the gradient at the pixels. Take both at the output of `layer`: capture it in either run.",
            edits(
                "there = acts[layer] -> there = clean",
                "corrupted.clone().requires_grad_() -> here := corrupted.clone().requires_grad_()",
                "    here = acts[layer]\n ->",
                "dim=(1, 2) -> dim=(1, 2, 3)",
            ),
        ),
        Mistake(
            "log-probability",
            "You take the gradient of the log-probability. Take that of the logit itself.",
            edits("logits[rows, labels] -> logits.log_softmax(1)[rows, labels]"),
        ),
        Mistake(
            "averaged-over-pictures",
            "You average over the pictures. One number for each picture is asked for, (N,).",
            edits(".sum(dim=(1, 2)) -> .sum(dim=(1, 2)).mean()"),
        ),
        Mistake(
            "both-ends",
            "You average the gradients of the clean and of the corrupted run. Take the one at the corrupted run alone, where "
            "the patch starts.",
            edits(
                "torch.no_grad() -> torch.enable_grad()",
                "model(clean) -> other = model(clean.clone().requires_grad_())",
                "* gradient -> * (gradient + torch.autograd.grad(other[rows, labels].sum(), there)[0]) / 2",
            ),
        ),
        Mistake(
            "hook-left",
            "The estimate is right, but a hook is still on the network, and works in every later run too. Keep the handle "
            "and call `handle.remove()`, or use `with capture(…)`, which does it for you.",
            edits("return -> model.register_forward_hook(lambda *_: None)\n    return"),
        ),
    ),
    unlisted=(
        edits("gradient).sum -> gradient)[:, 1:].sum"),
        edits("((there - here) * gradient).sum(dim=(1, 2)) -> (there - here).sum(dim=(1, 2)) * gradient.sum(dim=(1, 2))"),
    ),
    insight="Two forward passes and one backward pass estimate *every* cell at once; the exact sweep needs a run for each.",
    used_next="The next figure sets the estimate beside the exact effect: it is good where the network is nearly linear.",
)
