"""Exercise 4.3, the window sweep."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, Problem
from vizcourse.exercises.edits import edits
from vizcourse.hooks import capture, replace
from vizcourse.lessons.activation_patching.exercises.effect import indirect_effect
from vizcourse.lessons.activation_patching.exercises.shared import ToyTransformer, hook_problem, toy_layers, toy_runs


def window_sweep(model, clean, corrupted, labels, layers, width=3):
    """Indirect effect (N, len(layers)) of patching each window of `width` layers, clipped at the ends."""
    half = width // 2
    effects = []
    with torch.no_grad():
        with capture(model, layers) as acts:
            clean_logits = model(clean)
        corrupted_logits = model(corrupted)
        for centre in range(len(layers)):
            window = layers[max(0, centre - half) : centre + half + 1]
            with replace(model, {layer: acts[layer] for layer in window}):
                restored = model(corrupted)
            effects.append(indirect_effect(clean_logits, corrupted_logits, restored, labels))
    return torch.stack(effects, dim=1)


class _Counted(ToyTransformer):
    """A small transformer that remembers what went through it."""

    def __init__(self, seed, layers):
        super().__init__(seed, layers)
        self.seen = []

    def forward(self, pictures):
        self.seen.append(pictures.detach().clone())
        return super().forward(pictures)


def _judge(learner):
    """How often did the clean pictures run, and is the network afterwards what it was?"""
    _, clean, corrupted, _ = toy_runs(9, 2)
    model, count = _Counted(9, 5), 5
    if left := hook_problem(learner, model, clean, corrupted, torch.tensor([0, 1]), toy_layers(count), 3):
        return left
    # Counted by the first picture, so that clean and corrupted may run together, or picture by picture.
    runs = sum(int((part == clean[0]).flatten(1).all(dim=1).sum()) for part in model.seen)
    if runs > 1:
        return Problem(f"(Counted: {runs} runs of the clean pictures for {count} windows.)", mistake="clean-again")
    return None


def _cases(seed):
    sizes = ((1, 3, 3), (2, 4, 1), (2, 4, 3), (3, 6, 5))  # pictures, layers, width
    return [
        (*toy_runs(seed + number, pictures, layers), toy_layers(layers), width)
        for number, (pictures, layers, width) in enumerate(sizes, start=10)
    ]


SWEEP = CodeExercise(
    id="4.3",
    title="The window sweep",
    stars=3,
    minutes=12,
    reference=window_sweep,
    cases=_cases,
    judge=_judge,
    setup_source=(
        "from vizcourse.hooks import capture, replace\n"
        "from vizcourse.lessons.activation_patching.exercises import indirect_effect"
    ),
    hints=(
        "The clean activations of all layers and the corrupted logits are the same for every window: get them once, before "
        "the loop.",
        "The window around layer `centre` reaches from centre − width // 2 to centre + width // 2, but not below 0: "
        "`layers[max(0, centre - width // 2) : centre + width // 2 + 1]`.",
        "`replace` takes several layers in one dictionary: {layer: acts[layer] for layer in window}. Stack the effects as "
        "columns: `torch.stack(effects, dim=1)`.",
    ),
    mistakes=(
        Mistake(
            "wrapped",
            "Your windows wrap round: the window of the first layer also patches the *last* one (and the reverse). A network "
            "is not a ring; clip the window at the ends.",
            edits("layers[max(0, centre - half) : centre + half + 1] -> (3 * layers)[len(layers) + centre - half :][:width]"),
        ),
        Mistake(
            "negative-start",
            "At the first layers the slice begins below zero, which Python counts from the *end*: the window is empty and "
            "nothing is patched. Begin at `max(0, …)`.",
            edits("max(0, centre - half) -> centre - half"),
        ),
        Mistake(
            "shifted",
            "At the ends you push the whole window inside, so that the first windows are the same. Clip it instead: the first "
            "layer's window is simply shorter.",
            edits("max(0, centre - half) : centre + half + 1 -> min(max(0, centre - half), len(layers) - width) :][:width"),
        ),
        Mistake(
            "short",
            "Your windows lack their last layer: in Python `layers[a:b]` stops *before* b: write b = centre + width // 2 + 1.",
            edits("centre + half + 1 -> centre + max(half, 1)"),
        ),
        Mistake(
            "slice-end",
            "Your windows lack their last layer (and with width 1 they are empty): `layers[a:b]` stops *before* b, so write "
            "b = centre + width // 2 + 1.",
            edits("centre + half + 1 -> centre + half"),
        ),
        Mistake(
            "forward",
            "Your windows begin at the layer and reach forward. The layer is to stand in the middle: as many layers before it "
            "as after.",
            edits("layers[max(0, centre - half) : centre + half + 1] -> layers[centre : centre + width]"),
        ),
        Mistake(
            "backward",
            "Your windows end at the layer and reach back. The layer is to stand in the middle: as many layers after it as "
            "before.",
            edits("layers[max(0, centre - half) : centre + half + 1] -> layers[max(0, centre - width + 1) : centre + 1]"),
        ),
        Mistake(
            "radius",
            "You go `width` layers to *each* side, 2·width + 1 in all. The whole window is `width` layers wide: go width // 2 "
            "to each side.",
            edits("half = width // 2 -> half = width"),
        ),
        Mistake(
            "cumulative",
            "Earlier patches stay in place: column l patches *all* layers up to there. Each window starts afresh from the "
            "corrupted run.",
            edits("max(0, centre - half) -> 0"),
        ),
        Mistake(
            "single",
            "Only the centre of each window is patched: the width has no effect.",
            edits("half = width // 2 -> half = 0"),
        ),
        Mistake(
            "summed",
            "You add up the effects of single layers. Layers that are repaired *together* may do much more (or less) than the "
            "sum: patch the whole window in one run.",
            edits(
                "half = width // 2 -> half = 0",
                "(effects -> ([sum(effects[max(0, n - width // 2) : n + width // 2 + 1]) for n in range(len(layers))]",
            ),
        ),
        Mistake(
            "no-ends",
            "The layers at both ends are missing, because their window is not complete. Every layer gets a column; clip the "
            "window there.",
            edits("range(len(layers)) -> range(half, len(layers) - half)"),
        ),
        Mistake(
            "neighbour",
            "You compare each window with the one before it. Every window is compared with the *corrupted* run.",
            edits("restored, labels)) -> restored, labels))\n            corrupted_logits = restored"),
        ),
        Mistake(
            "noising",
            "Clean and corrupted are exchanged: you break the clean run. Repair the corrupted one.",
            edits("clean, corrupted -> corrupted, clean"),
        ),
        Mistake(
            "noising-cost",
            "This is what it costs to break the *clean* run: the other direction, *noising*. Here the corrupted run is to be "
            "repaired with clean activations.",
            edits("clean, corrupted -> corrupted, clean", "torch.stack -> -torch.stack"),
        ),
        Mistake(
            "noising-over-corrupted",
            "Your patched runs are the clean pictures with corrupted activations: the other direction, *noising*. Run the "
            "corrupted pictures with clean activations.",
            edits("clean, corrupted -> corrupted, clean", "corrupted_logits, restored -> clean_logits, restored"),
        ),
        Mistake(
            "no-effect",
            "Every effect is 0, as if nothing were patched. That happens where no patch is in place, where the run you compare "
            "with is patched as well, and where `acts` holds the outputs of the *corrupted* run, because it ran while the "
            "recording was on. Record the clean run, leave the block that records, and only then run the corrupted pictures.",
            edits("for layer in window} -> for layer in []}"),
        ),
        Mistake(
            "recording-on",
            "From the second window on you put in what the patched run before it left in `acts`: the recording is still on "
            "while you patch. Leave the `with capture(…)` block first.",
            edits(
                "with replace -> with capture(model, layers) as later, replace",
                "effects.append -> acts = later\n            effects.append",
            ),
        ),
        Mistake(
            "probabilities",
            "These are the restored probabilities. Subtract what the corrupted run gives: use `indirect_effect`.",
            edits("indirect_effect(clean_logits, corrupted_logits, restored, labels) -> restored.softmax(1)[:, labels].diag()"),
        ),
        Mistake(
            "transposed",
            "Your table is (layers, N). One row a picture is asked for: `torch.stack(effects, dim=1)`.",
            edits("dim=1 -> dim=0"),
        ),
        Mistake(
            "averaged",
            "You average over the pictures. Keep one row a picture: single pictures differ a great deal, as you will see.",
            edits("dim=1) -> dim=1).mean(0)"),
        ),
        Mistake(
            "against-clean",
            "You compare with the clean run, so this says what is still missing. `indirect_effect` compares with the corrupted "
            "run: hand it the corrupted logits second.",
            edits("corrupted_logits, restored -> clean_logits, restored"),
        ),
        Mistake(
            "sign",
            "The sign is turned: what a window gives back counts as positive. In `indirect_effect` the corrupted logits come "
            "second, the restored ones third.",
            edits("corrupted_logits, restored -> restored, corrupted_logits"),
        ),
        Mistake(
            "normalised",
            "You divide by the total effect. That comes later; here the plain difference of probabilities is asked for.",
            edits("dim=1) -> dim=1) / indirect_effect(None, corrupted_logits, clean_logits, labels)[:, None]"),
        ),
        Mistake(
            "always-three",
            "The width is three whatever `width` says. Go width // 2 to each side.",
            edits("half = width // 2 -> half = 1"),
        ),
        Mistake(
            "log-probability",
            "These are changes of the log-probability. The effect is a difference of probabilities: use `indirect_effect`.",
            edits(
                "indirect_effect(clean_logits, corrupted_logits, restored, labels) -> "
                "(restored.log_softmax(1) - corrupted_logits.log_softmax(1))[:, labels].diag()"
            ),
        ),
        Mistake(
            "logits",
            "These are changes of the logit. The effect is a difference of probabilities: use `indirect_effect`.",
            edits(
                "indirect_effect(clean_logits, corrupted_logits, restored, labels) -> "
                "(restored - corrupted_logits)[:, labels].diag()"
            ),
        ),
        Mistake(
            "trap",
            "Every column is the whole total effect: the patched runs came out as the clean run. That happens where the output "
            "of a whole block is patched (the trap of exercise 4.5) and where all layers are patched at once. Patch the "
            "`layers` of the window, by their names.",
            edits("restored, labels -> clean_logits, labels"),
        ),
        Mistake(
            "clean-again",
            "The effects are right, but the clean pictures ran more than once. They are the same for every window: capture "
            "all layers in *one* run, before the loop.",
            edits(
                "with replace -> with capture(model, window) as acts:\n                model(clean)\n            with replace",
                "with capture(model, layers) as acts:\n            clean_logits = model(clean) -> clean_logits = None",
            ),
        ),
        Mistake(
            "hook-left",
            "The effects are right, but a hook is still on the network, and would meddle with every later run. Keep the handle "
            "and call `handle.remove()`, or use `with`, which does it for you.",
            edits("return -> model.register_forward_hook(lambda *_: None)\n    return"),
        ),
    ),
    unlisted=(
        edits("centre - half) : centre + half -> centre - half + 1) : centre + half + 1"),
        edits("dim=1) -> dim=1).flip(1)"),
    ),
    insight="It is the experiment of the whole lesson, in a dozen lines: everything that follows changes one word of it.",
    used_next="The library's `sweep` does the same, and skips what a patch cannot change.",
)
