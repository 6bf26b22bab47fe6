"""Exercise 4.2, patch one layer."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake
from vizcourse.exercises.edits import edits
from vizcourse.hooks import capture, replace
from vizcourse.lessons.activation_patching.exercises.shared import hook_problem, layer_cases


def patch_layer(model, layer, clean, corrupted):
    """Logits (N, classes) of the corrupted pictures, with one layer's output as it is in the clean run."""
    with torch.no_grad():
        with capture(model, layer) as acts:
            model(clean)
        with replace(model, {layer: acts[layer]}):
            return model(corrupted)


def _cases(seed):
    places = (("self_attention", 1, 1), ("mlp", 0, 2), ("self_attention", 2, 3))
    return [case[:4] for case in layer_cases(seed, *places)]


PATCH = CodeExercise(
    id="4.2",
    title="Patch one layer",
    stars=2,
    minutes=8,
    reference=patch_layer,
    cases=_cases,
    judge=lambda learner: hook_problem(learner, *_cases(9)[1]),
    setup_source="from vizcourse.hooks import capture, replace",
    hints=(
        "Two forward passes: one that only records, and one that is tampered with. Which pictures go into which?",
        "`with capture(model, layer) as acts: model(clean)` leaves the clean output in `acts[layer]`.",
        "`with replace(model, {layer: acts[layer]}): return model(corrupted)`. Both helpers take their hooks away again.",
    ),
    mistakes=(
        Mistake(
            "into-itself",
            "These are the logits of the plain corrupted run: the patch is not in place, or the recording hook was still on "
            "and overwrote it, or what was recorded was the corrupted run itself. Record the *clean* run, leave the block that "
            "records, and only then run the corrupted pictures with the patch.",
            edits("model(clean) -> model(corrupted)"),
        ),
        Mistake(
            "noising",
            "This runs the clean pictures with a corrupted activation: the other direction, *noising*. Here the corrupted run "
            "is to be repaired with a clean activation.",
            edits("clean, corrupted -> corrupted, clean"),
        ),
        Mistake(
            "clean-run",
            "These are the logits of the clean run: nothing of the corrupted pictures is left. Two ways lead here. Either the "
            "clean pictures were the last to run, where the corrupted ones should. Or the patch is too large: the output of a "
            "whole block is all that travels on, so after it everything is the clean run, whatever the block (the trap of "
            "exercise 4.5). Patch the output of `layer`, and of nothing else.",
            edits("return model(corrupted) -> return model(clean)"),
        ),
        Mistake(
            "tuple",
            "Your hook gives a plain tensor where an attention gives a tuple, and the block takes it apart along the wrong "
            "axis. Give back `(tensor, *output[1:])`, or use `replace`, which knows that.",
            edits(
                "replace(model, {layer: acts[layer]}) -> "
                "model.get_submodule(layer).register_forward_hook(lambda *_: acts[layer])"
            ),
        ),
        Mistake(
            "hook-left",
            "The logits are right, but your hook is still on the network: every later run would be patched as well. Keep the "
            "handle and call `handle.remove()`, or use `with replace(…)`, which does it for you.",
            edits("return -> model.register_forward_hook(lambda *_: None)\n            return"),
        ),
        Mistake(
            "added",
            "You *add* the clean activation to the corrupted one. Patching replaces: what the layer computed from the "
            "corrupted picture must be gone.",
            edits("acts[layer]} -> lambda own: acts[layer] + own}"),
        ),
        Mistake(
            "mixed",
            "You mix clean and corrupted activation half and half. Patching replaces the whole output.",
            edits("acts[layer]} -> lambda own: (acts[layer] + own) / 2}"),
        ),
        Mistake(
            "zeroed",
            "The layer's output is set to zero. That is *ablation*: it takes something away, and puts nothing clean in its "
            "place.",
            edits("acts[layer]} -> lambda own: 0 * own}"),
        ),
        Mistake(
            "first-picture",
            "All pictures get the activation of the *first* clean picture. Each one needs that of its own partner: do not "
            "index the batch.",
            edits("acts[layer]} -> acts[layer][:1]}"),
        ),
        Mistake(
            "mean",
            "All pictures get the *mean* clean activation. Each one needs that of its own partner.",
            edits("acts[layer]} -> acts[layer].mean(0)}"),
        ),
        Mistake(
            "class-token",
            "Only the class token is patched. Here all tokens are: put the whole activation in.",
            edits("acts[layer]} -> lambda own: torch.cat([acts[layer][:, :1], own[:, 1:]], dim=1)}"),
        ),
        Mistake(
            "picture-tokens",
            "The class token is left out. Here all tokens are patched: put the whole activation in.",
            edits("acts[layer]} -> lambda own: torch.cat([own[:, :1], acts[layer][:, 1:]], dim=1)}"),
        ),
        Mistake(
            "probabilities",
            "These are probabilities. Give back logits, as the model does: the metric is chosen later.",
            edits("return model(corrupted) -> return model(corrupted).softmax(1)"),
        ),
        Mistake(
            "difference",
            "This is the *change* of the logits. Give back the patched run's logits; they are compared later.",
            edits(
                "with capture -> before = model(corrupted)\n        with capture",
                "return model(corrupted) -> return model(corrupted) - before",
            ),
        ),
    ),
    unlisted=(
        edits("with torch.no_grad() -> layer = layer.rpartition('.')[0] + '.ln_2'\n    with torch.no_grad()"),
        edits("model(clean) -> model(clean.flip(0) + 0.1)"),
        edits("return model(corrupted) -> return model(corrupted)[0]"),
    ),
    insight="What stands before the layer saw the corrupted picture; what stands after it may recover. That is all of it.",
    used_next="4.3 repeats it for window after window.",
)
