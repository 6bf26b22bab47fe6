"""Exercises of lesson 04, activation patching.

Written down before the mistakes were coded, what learners of patching really do: forget the softmax, compare with the
clean run in place of the corrupted one, turn the sign, follow the predicted class; record the corrupted run and patch it
into itself, patch the wrong way round, write a hook that returns nothing or never goes away; let windows wrap round the
ends, take the width for a radius, keep earlier patches; read a window's peak as a layer; believe a sweep of the residual
stream; divide by the wrong gap; rank cells one by one and add them up; take the gradient at the clean run, or average
where a sum is meant.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence, Set

import torch
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer

from vizcourse.exercises.core import AnswerExercise, ChoiceExercise, CodeExercise, Mistake, Problem
from vizcourse.hooks import capture, replace
from vizcourse.models import load
from vizcourse.worlds import scenes

# --- 4.1 the indirect effect -----------------------------------------------------------------------------------------


def indirect_effect(clean, corrupted, restored, labels):
    """What a patch gives back of the right class's probability: logits (N, classes) three times, (N,) -> (N,)."""
    rows = torch.arange(len(labels))
    return restored.softmax(1)[rows, labels] - corrupted.softmax(1)[rows, labels]


def _right(logits, labels):
    return logits.softmax(1)[torch.arange(len(labels)), labels]


def _effect_against_clean(clean, corrupted, restored, labels):
    return _right(restored, labels) - _right(clean, labels)


def _effect_turned(clean, corrupted, restored, labels):
    return _right(corrupted, labels) - _right(restored, labels)


def _total_effect(clean, corrupted, restored, labels):
    return _right(clean, labels) - _right(corrupted, labels)


def _missing_effect(clean, corrupted, restored, labels):
    return _right(clean, labels) - _right(restored, labels)


def _effect_of_logits(clean, corrupted, restored, labels):
    rows = torch.arange(len(labels))
    return restored[rows, labels] - corrupted[rows, labels]


def _effect_of_log_probabilities(clean, corrupted, restored, labels):
    rows = torch.arange(len(labels))
    return restored.log_softmax(1)[rows, labels] - corrupted.log_softmax(1)[rows, labels]


def _softmax_too_late(clean, corrupted, restored, labels):
    return _right(restored - corrupted, labels)


def _softmax_over_pictures(clean, corrupted, restored, labels):
    rows = torch.arange(len(labels))
    return restored.softmax(0)[rows, labels] - corrupted.softmax(0)[rows, labels]


def _every_label_of_every_picture(clean, corrupted, restored, labels):
    return restored.softmax(1)[:, labels] - corrupted.softmax(1)[:, labels]


def _every_class(clean, corrupted, restored, labels):
    return restored.softmax(1) - corrupted.softmax(1)


def _effect_averaged(clean, corrupted, restored, labels):
    return indirect_effect(clean, corrupted, restored, labels).mean()


def _effect_absolute(clean, corrupted, restored, labels):
    return indirect_effect(clean, corrupted, restored, labels).abs()


def _effect_as_share(clean, corrupted, restored, labels):
    return indirect_effect(clean, corrupted, restored, labels) / _total_effect(clean, corrupted, restored, labels)


def _most_likely_class(clean, corrupted, restored, labels):
    return restored.softmax(1).amax(1) - corrupted.softmax(1).amax(1)


def _corrupted_runs_class(clean, corrupted, restored, labels):
    return indirect_effect(clean, corrupted, restored, corrupted.argmax(1))


def _clean_runs_class(clean, corrupted, restored, labels):
    return indirect_effect(clean, corrupted, restored, clean.argmax(1))


def _effect_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    cases = [
        (
            torch.tensor([[2.0, 0.0]]),
            torch.tensor([[0.0, 2.0]]),
            torch.tensor([[1.0, 0.0]]),
            torch.tensor([0]),
        ),
    ]
    for pictures, classes in ((3, 4), (5, 3)):
        clean, corrupted, restored = 2 * torch.randn(3, pictures, classes, generator=generator)
        labels = clean.argmax(1)
        labels[0] = (labels[0] + 1) % classes  # also a clean run may be wrong
        cases.append((clean, corrupted, restored, labels))
    return cases


EFFECT = CodeExercise(
    id="4.1",
    title="The indirect effect",
    stars=1,
    minutes=5,
    reference=indirect_effect,
    cases=_effect_cases,
    hints=(
        "The effect of a patch is a comparison with what there was *without* the patch. Which of the three runs is that?",
        "A probability is the softmax over the classes: `logits.softmax(1)`. Each picture's own class is "
        "`probabilities[torch.arange(N), labels]`.",
        "p(restored) − p(corrupted), one number for each picture. The clean run is not needed.",
    ),
    mistakes=(
        Mistake(
            "against-clean",
            "You compare with the clean run, so this says what is still *missing* after the patch (and is hardly ever "
            "positive). The effect of a patch is measured from where it started: the corrupted run.",
            _effect_against_clean,
        ),
        Mistake(
            "missing",
            "Clean minus restored is what the patch did *not* bring back. What it did bring back is restored minus corrupted.",
            _missing_effect,
        ),
        Mistake(
            "sign",
            "The sign is turned: a patch that brings the class back must count as positive, restored − corrupted.",
            _effect_turned,
        ),
        Mistake(
            "total-effect",
            "Clean minus corrupted is the *total* effect of the corruption: it knows nothing of the patch. Use the restored "
            "run.",
            _total_effect,
        ),
        Mistake(
            "no-softmax",
            "You subtract logits. A logit may rise while those of all other classes rise more; take the softmax of both first.",
            _effect_of_logits,
        ),
        Mistake(
            "log-probability",
            "These are differences of log-probabilities (`log_softmax`). That is a metric too, and comes later; here plain "
            "probabilities are asked for.",
            _effect_of_log_probabilities,
        ),
        Mistake(
            "softmax-late",
            "You subtract the logits and take the softmax afterwards. The difference of two runs is no set of logits: softmax "
            "each run first, then subtract.",
            _softmax_too_late,
        ),
        Mistake(
            "softmax-axis",
            "Your softmax runs over the pictures. The classes of *one* picture must add up to 1: `softmax(1)`.",
            _softmax_over_pictures,
        ),
        Mistake(
            "labels-as-columns",
            "`probabilities[:, labels]` takes *all* labels from *every* picture, an N × N table. Pair them up: "
            "`probabilities[torch.arange(N), labels]`.",
            _every_label_of_every_picture,
        ),
        Mistake(
            "every-class",
            "This is the change of every class, (N, classes). Pick each picture's own class: "
            "`probabilities[torch.arange(N), labels]`.",
            _every_class,
        ),
        Mistake("averaged", "Keep one number for each picture; the average over pictures comes later.", _effect_averaged),
        Mistake(
            "added-up",
            "You add up over the pictures. Keep one number for each picture, (N,).",
            lambda clean, corrupted, restored, labels: indirect_effect(clean, corrupted, restored, labels).sum(),
        ),
        Mistake(
            "restored-alone",
            "This is the restored probability. Subtract what there was without the patch: that of the corrupted run.",
            lambda clean, corrupted, restored, labels: _right(restored, labels),
        ),
        Mistake(
            "ratio",
            "You divide the restored probability by the corrupted one. The effect is the difference, restored − corrupted.",
            lambda clean, corrupted, restored, labels: _right(restored, labels) / _right(corrupted, labels),
        ),
        Mistake(
            "absolute",
            "You take the absolute value. A patch may also make things worse, and the sign is how you would find out.",
            _effect_absolute,
        ),
        Mistake(
            "share",
            "You divide by the total effect. That is the *normalised* effect, which comes in a later exercise; here the plain "
            "difference of probabilities is asked for.",
            _effect_as_share,
        ),
        Mistake(
            "most-likely-class",
            "You take each run's *largest* probability, and those may belong to two different classes. Follow the picture's "
            "own class, `labels`, in both runs.",
            _most_likely_class,
        ),
        Mistake(
            "corrupted-class",
            "You follow the class that the corrupted run prefers, which is mostly the wrong one. Follow `labels`.",
            _corrupted_runs_class,
        ),
        Mistake(
            "clean-class",
            "You follow the class that the clean run prefers. That is the right class on most pictures, and not on all: "
            "follow `labels`.",
            _clean_runs_class,
        ),
    ),
    unlisted=(
        lambda clean, corrupted, restored, labels: (
            restored.sigmoid()[torch.arange(len(labels)), labels] - corrupted.sigmoid()[torch.arange(len(labels)), labels]
        ),
        lambda clean, corrupted, restored, labels: _right(restored, labels).log() - _right(corrupted, labels),
        lambda clean, corrupted, restored, labels: (_right(restored, labels) - _right(corrupted, labels)).square(),
    ),
    insight="One subtraction: what this one repair gives back of what the corruption took.",
    used_next="The sweep of 4.3 takes it once for each window of layers.",
)


# --- a small transformer for the checks ------------------------------------------------------------------------------


class _ToyTransformer(VisionTransformer):
    """Four layers, five tokens and five classes, with torchvision's layer names and large random weights."""

    def __init__(self, seed, layers=4):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            super().__init__(image_size=8, patch_size=4, num_layers=layers, num_heads=2, hidden_dim=8, mlp_dim=8, num_classes=5)
            for parameter in self.parameters():
                nn.init.normal_(parameter, std=0.7)
        self.requires_grad_(False).eval()

    def __repr__(self):
        return f"a small transformer of {len(self.encoder.layers)} layers, named as in vit-scenes"


def _toy_layers(count=4, part="self_attention"):
    return [f"encoder.layers.encoder_layer_{number}.{part}" for number in range(count)]


def _toy_pictures(seed, pictures):
    generator = torch.Generator().manual_seed(seed)
    clean = torch.rand(pictures, 3, 8, 8, generator=generator)
    return clean, clean.mean(1, keepdim=True).expand(-1, 3, -1, -1).contiguous(), generator


# --- 4.2 patch one layer ---------------------------------------------------------------------------------------------


def patch_layer(model, layer, clean, corrupted):
    """Logits (N, classes) of the corrupted pictures, with one layer's output as it is in the clean run."""
    with torch.no_grad():
        with capture(model, layer) as acts:
            model(clean)
        with replace(model, {layer: acts[layer]}):
            return model(corrupted)


def _put(model, layer, source, into, change=lambda activation, own: activation):
    """Run `into`, with the layer's output taken from the run of `source` and changed."""
    with torch.no_grad():
        with capture(model, layer) as acts:
            model(source)
        given = acts[layer]
        with replace(model, {layer: lambda own: change(given, own)}):
            return model(into)


def _only_class_token(given, own):
    return torch.cat([given[:, :1], own[:, 1:]], dim=1)


def _only_picture_tokens(given, own):
    return torch.cat([own[:, :1], given[:, 1:]], dim=1)


def _hook_left(model, layer, clean, corrupted):
    with torch.no_grad():
        with capture(model, layer) as acts:
            model(clean)
        given = acts[layer]

        def hook(module, inputs, output):
            return (given, *output[1:]) if isinstance(output, tuple) else given

        model.get_submodule(layer).register_forward_hook(hook)
        return model(corrupted)


def _plain_tensor_for_a_tuple(model, layer, clean, corrupted):
    with torch.no_grad():
        with capture(model, layer) as acts:
            model(clean)
        given = acts[layer]
        handle = model.get_submodule(layer).register_forward_hook(lambda module, inputs, output: given)
        try:
            return model(corrupted)
        finally:
            handle.remove()


def _next_to(layer, step):
    """The same part of the next layer, or of the one before where there is none."""
    head, _, tail = layer.partition("encoder_layer_")
    number, _, part = tail.partition(".")
    return f"{head}encoder_layer_{int(number) + step if int(number) + step in range(4) else int(number) - step}.{part}"


def _hook_problem(model):
    """What a judge says where a hook is still on the network, or None."""
    for module in model.modules():
        if module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__:
            return Problem(mistake="hook-left")
    return None


def _patch_judge(learner):
    """Is the network afterwards what it was?"""
    model = _ToyTransformer(9)
    clean, corrupted, _ = _toy_pictures(9, 2)
    learner(model, _toy_layers()[1], clean, corrupted)
    return _hook_problem(model)


def _patch_cases(seed):
    cases = []
    for number, (part, layer, pictures) in enumerate((("self_attention", 1, 1), ("mlp", 0, 2), ("self_attention", 2, 3))):
        clean, corrupted, _ = _toy_pictures(seed + number, pictures)
        cases.append((_ToyTransformer(seed + number), _toy_layers(part=part)[layer], clean, corrupted))
    return cases


PATCH = CodeExercise(
    id="4.2",
    title="Patch one layer",
    stars=2,
    minutes=8,
    reference=patch_layer,
    cases=_patch_cases,
    judge=_patch_judge,
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
            lambda model, layer, clean, corrupted: _put(model, layer, corrupted, corrupted),
        ),
        Mistake(
            "noising",
            "This runs the clean pictures with a corrupted activation: the other direction, *noising*. Here the corrupted run "
            "is to be repaired with a clean activation.",
            lambda model, layer, clean, corrupted: _put(model, layer, corrupted, clean),
        ),
        Mistake(
            "clean-run",
            "These are the logits of the clean run: nothing of the corrupted pictures is left. Two ways lead here. Either the "
            "clean pictures were the last to run, where the corrupted ones should. Or the patch is too large: the output of a "
            "whole block is all that travels on, so after it everything is the clean run, whatever the block (the trap of "
            "exercise 4.5). Patch the output of `layer`, and of nothing else.",
            lambda model, layer, clean, corrupted: model(clean),
        ),
        Mistake(
            "tuple",
            "Your hook gives a plain tensor where an attention gives a tuple, and the block takes it apart along the wrong "
            "axis. Give back `(tensor, *output[1:])`, or use `replace`, which knows that.",
            _plain_tensor_for_a_tuple,
        ),
        Mistake(
            "hook-left",
            "The logits are right, but your hook is still on the network: every later run would be patched as well. Keep the "
            "handle and call `handle.remove()`, or use `with replace(…)`, which does it for you.",
            _hook_left,
        ),
        Mistake(
            "added",
            "You *add* the clean activation to the corrupted one. Patching replaces: what the layer computed from the "
            "corrupted picture must be gone.",
            lambda model, layer, clean, corrupted: _put(model, layer, clean, corrupted, lambda given, own: given + own),
        ),
        Mistake(
            "mixed",
            "You mix clean and corrupted activation half and half. Patching replaces the whole output.",
            lambda model, layer, clean, corrupted: _put(model, layer, clean, corrupted, lambda given, own: (given + own) / 2),
        ),
        Mistake(
            "zeroed",
            "The layer's output is set to zero. That is *ablation*: it takes something away, and puts nothing clean in its "
            "place.",
            lambda model, layer, clean, corrupted: _put(model, layer, clean, corrupted, lambda given, own: 0 * own),
        ),
        Mistake(
            "first-picture",
            "All pictures get the activation of the *first* clean picture. Each one needs that of its own partner: do not "
            "index the batch.",
            lambda model, layer, clean, corrupted: _put(model, layer, clean, corrupted, lambda given, own: given[:1]),
        ),
        Mistake(
            "mean",
            "All pictures get the *mean* clean activation. Each one needs that of its own partner.",
            lambda model, layer, clean, corrupted: _put(model, layer, clean, corrupted, lambda given, own: given.mean(0)),
        ),
        Mistake(
            "class-token",
            "Only the class token is patched. Here all tokens are: put the whole activation in.",
            lambda model, layer, clean, corrupted: _put(model, layer, clean, corrupted, _only_class_token),
        ),
        Mistake(
            "picture-tokens",
            "The class token is left out. Here all tokens are patched: put the whole activation in.",
            lambda model, layer, clean, corrupted: _put(model, layer, clean, corrupted, _only_picture_tokens),
        ),
        Mistake(
            "probabilities",
            "These are probabilities. Give back logits, as the model does: the metric is chosen later.",
            lambda model, layer, clean, corrupted: patch_layer(model, layer, clean, corrupted).softmax(1),
        ),
        Mistake(
            "difference",
            "This is the *change* of the logits. Give back the patched run's logits; they are compared later.",
            lambda model, layer, clean, corrupted: patch_layer(model, layer, clean, corrupted) - model(corrupted),
        ),
    ),
    unlisted=(
        lambda model, layer, clean, corrupted: _put(model, _next_to(layer, 1), clean, corrupted),
        lambda model, layer, clean, corrupted: _put(model, layer, clean.flip(0) + 0.1, corrupted),
        lambda model, layer, clean, corrupted: patch_layer(model, layer, clean, corrupted)[0],
    ),
    insight="What stands before the layer saw the corrupted picture; what stands after it may recover. That is all of it.",
    used_next="4.3 repeats it for window after window.",
)

# --- 4.3 the window sweep --------------------------------------------------------------------------------------------


def window_sweep(model, clean, corrupted, labels, layers, width=3):
    """Indirect effect (N, len(layers)) of patching each window of `width` layers, clipped at the ends."""
    effects = []
    with torch.no_grad():
        with capture(model, layers) as acts:
            clean_logits = model(clean)
        corrupted_logits = model(corrupted)
        for centre in range(len(layers)):
            window = layers[max(0, centre - width // 2) : centre + width // 2 + 1]
            with replace(model, {layer: acts[layer] for layer in window}):
                effects.append(indirect_effect(clean_logits, corrupted_logits, model(corrupted), labels))
    return torch.stack(effects, dim=1)


def _sweep(model, clean, corrupted, labels, layers, windows):
    """The sweep with other windows: a list of layer numbers for each column."""
    with torch.no_grad(), capture(model, layers) as acts:
        model(clean)
    given, columns = dict(acts), []
    with torch.no_grad():
        before = model(corrupted)
        for window in windows:
            with replace(model, {layers[number]: given[layers[number]] for number in window}):
                columns.append(indirect_effect(None, before, model(corrupted), labels))
    return torch.stack(columns, dim=1)


def _with_windows(choose):
    """A wrong sweep from a rule: (centre, half width, number of layers) -> numbers of the layers that are patched."""

    def wrong(model, clean, corrupted, labels, layers, width=3):
        count, half = len(layers), width // 2
        return _sweep(model, clean, corrupted, labels, layers, [choose(centre, half, count) for centre in range(count)])

    return wrong


def _clipped(first, last, count):
    return range(max(0, first), min(count - 1, last) + 1)


def _shifted(centre, half, count):
    first = min(max(0, centre - half), count - 1 - 2 * half)
    return range(first, first + 2 * half + 1)


def _python_slice(centre, half, count):
    """What `layers[centre - half : centre + half + 1]` really takes: a negative start counts from the end."""
    return list(range(count))[centre - half : centre + half + 1]


def _ends_left_out(model, clean, corrupted, labels, layers, width=3):
    half = width // 2
    return window_sweep(model, clean, corrupted, labels, layers, width)[:, half : len(layers) - half]


def _against_the_last(model, clean, corrupted, labels, layers, width=3):
    effects = window_sweep(model, clean, corrupted, labels, layers, width)
    return torch.cat([effects[:, :1], effects[:, 1:] - effects[:, :-1]], dim=1)


def _summed_single_effects(model, clean, corrupted, labels, layers, width=3):
    single = window_sweep(model, clean, corrupted, labels, layers, 1)
    return torch.stack([single[:, max(0, n - width // 2) : n + width // 2 + 1].sum(1) for n in range(len(layers))], dim=1)


def _sweep_from_clean(model, clean, corrupted, labels, layers, width=3):
    return window_sweep(model, corrupted, clean, labels, layers, width)


def _sweep_while_recording(model, clean, corrupted, labels, layers, width=3):
    """Every patched run overwrites what was captured, and the next window is patched with that."""
    effects = []
    with torch.no_grad():
        before = model(corrupted)
        with capture(model, layers) as acts:
            model(clean)
            for centre in range(len(layers)):
                window = layers[max(0, centre - width // 2) : centre + width // 2 + 1]
                with replace(model, {layer: acts[layer] for layer in window}):
                    effects.append(indirect_effect(None, before, model(corrupted), labels))
    return torch.stack(effects, dim=1)


def _broken_over_corrupted(model, clean, corrupted, labels, layers, width=3):
    total = _total_effect(model(clean), model(corrupted), None, labels)
    return _sweep_from_clean(model, clean, corrupted, labels, layers, width) + total[:, None]


def _restored_probabilities(model, clean, corrupted, labels, layers, width=3):
    effects = window_sweep(model, clean, corrupted, labels, layers, width)
    return effects + _right(model(corrupted), labels)[:, None]


def _sweep_in_another_metric(metric):
    def wrong(model, clean, corrupted, labels, layers, width=3):
        effects, before = [], metric(model(corrupted), model(clean), labels)
        for centre in range(len(layers)):
            window = layers[max(0, centre - width // 2) : centre + width // 2 + 1]
            effects.append(metric(_patched(model, window, clean, corrupted), model(clean), labels) - before)
        return torch.stack(effects, dim=1)

    return wrong


def _patched(model, window, clean, corrupted):
    with torch.no_grad():
        with capture(model, window) as acts:
            model(clean)
        with replace(model, {layer: acts[layer] for layer in window}):
            return model(corrupted)


def _clean_again(model, clean, corrupted, labels, layers, width=3):
    """Right, with a run of the clean pictures for each window."""
    effects = []
    for centre in range(len(layers)):
        window = layers[max(0, centre - width // 2) : centre + width // 2 + 1]
        patched = _patched(model, window, clean, corrupted)
        effects.append(indirect_effect(None, model(corrupted), patched, labels))
    return torch.stack(effects, dim=1)


def _sweep_with_hooks_left(model, clean, corrupted, labels, layers, width=3):
    effects = window_sweep(model, clean, corrupted, labels, layers, width)
    model.get_submodule(layers[0]).register_forward_hook(lambda module, inputs, output: output)
    return effects


class _Counted(_ToyTransformer):
    """A small transformer that remembers what went through it."""

    def __init__(self, seed, layers):
        super().__init__(seed, layers)
        self.seen = []

    def forward(self, pictures):
        self.seen.append(pictures.detach().clone())
        return super().forward(pictures)


def _sweep_judge(learner):
    """How often did the clean pictures run, and is the network afterwards what it was?"""
    model, count = _Counted(9, 5), 5
    clean, corrupted, _ = _toy_pictures(9, 2)
    learner(model, clean, corrupted, torch.tensor([0, 1]), _toy_layers(count), 3)
    if left := _hook_problem(model):
        return left
    # Counted by the first picture, so that clean and corrupted may run together, or picture by picture.
    runs = sum(int((part == clean[0]).flatten(1).all(dim=1).sum()) for part in model.seen)
    if runs > 1:
        return Problem(f"(Counted: {runs} runs of the clean pictures for {count} windows.)", mistake="clean-again")
    return None


def _sweep_cases(seed):
    cases = []
    for number, (pictures, count, width) in enumerate(((1, 3, 3), (2, 4, 1), (2, 4, 3), (3, 6, 5))):
        clean, corrupted, generator = _toy_pictures(seed + 10 + number, pictures)
        labels = torch.randint(0, 5, (pictures,), generator=generator)
        cases.append((_ToyTransformer(seed + 10 + number, count), clean, corrupted, labels, _toy_layers(count), width))
    return cases


SWEEP = CodeExercise(
    id="4.3",
    title="The window sweep",
    stars=3,
    minutes=12,
    reference=window_sweep,
    cases=_sweep_cases,
    judge=_sweep_judge,
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
            _with_windows(lambda centre, half, count: {n % count for n in range(centre - half, centre + half + 1)}),
        ),
        Mistake(
            "negative-start",
            "At the first layers the slice begins below zero, which Python counts from the *end*: the window is empty and "
            "nothing is patched. Begin at `max(0, …)`.",
            _with_windows(_python_slice),
        ),
        Mistake(
            "shifted",
            "At the ends you push the whole window inside, so that the first windows are the same. Clip it instead: the first "
            "layer's window is simply shorter.",
            _with_windows(_shifted),
        ),
        Mistake(
            "short",
            "Your windows lack their last layer: in Python `layers[a:b]` stops *before* b: write b = centre + width // 2 + 1.",
            _with_windows(lambda centre, half, count: _clipped(centre - half, max(centre + half - 1, centre), count)),
        ),
        Mistake(
            "slice-end",
            "Your windows lack their last layer (and with width 1 they are empty): `layers[a:b]` stops *before* b, so write "
            "b = centre + width // 2 + 1.",
            _with_windows(lambda centre, half, count: range(max(0, centre - half), centre + half)),
        ),
        Mistake(
            "forward",
            "Your windows begin at the layer and reach forward. The layer is to stand in the middle: as many layers before it "
            "as after.",
            _with_windows(lambda centre, half, count: _clipped(centre, centre + 2 * half, count)),
        ),
        Mistake(
            "backward",
            "Your windows end at the layer and reach back. The layer is to stand in the middle: as many layers after it as "
            "before.",
            _with_windows(lambda centre, half, count: _clipped(centre - 2 * half, centre, count)),
        ),
        Mistake(
            "radius",
            "You go `width` layers to *each* side, 2·width + 1 in all. The whole window is `width` layers wide: go width // 2 "
            "to each side.",
            _with_windows(lambda centre, half, count: _clipped(centre - 2 * half - 1, centre + 2 * half + 1, count)),
        ),
        Mistake(
            "cumulative",
            "Earlier patches stay in place: column l patches *all* layers up to there. Each window starts afresh from the "
            "corrupted run.",
            _with_windows(lambda centre, half, count: _clipped(0, centre + half, count)),
        ),
        Mistake(
            "single",
            "Only the centre of each window is patched: the width has no effect.",
            _with_windows(lambda centre, half, count: [centre]),
        ),
        Mistake(
            "summed",
            "You add up the effects of single layers. Layers that are repaired *together* may do much more (or less) than the "
            "sum: patch the whole window in one run.",
            _summed_single_effects,
        ),
        Mistake(
            "no-ends",
            "The layers at both ends are missing, because their window is not complete. Every layer gets a column; clip the "
            "window there.",
            _ends_left_out,
        ),
        Mistake(
            "neighbour",
            "You compare each window with the one before it. Every window is compared with the *corrupted* run.",
            _against_the_last,
        ),
        Mistake(
            "noising",
            "Clean and corrupted are exchanged: you break the clean run. Repair the corrupted one.",
            _sweep_from_clean,
        ),
        Mistake(
            "noising-cost",
            "This is what it costs to break the *clean* run: the other direction, *noising*. Here the corrupted run is to be "
            "repaired with clean activations.",
            lambda model, clean, corrupted, labels, layers, width=3: (
                -_sweep_from_clean(model, clean, corrupted, labels, layers, width)
            ),
        ),
        Mistake(
            "noising-over-corrupted",
            "Your patched runs are the clean pictures with corrupted activations: the other direction, *noising*. Run the "
            "corrupted pictures with clean activations.",
            _broken_over_corrupted,
        ),
        Mistake(
            "no-effect",
            "Every effect is 0, as if nothing were patched. That happens where no patch is in place, where the run you compare "
            "with is patched as well, and where `acts` holds the outputs of the *corrupted* run, because it ran while the "
            "recording was on. Record the clean run, leave the block that records, and only then run the corrupted pictures.",
            _with_windows(lambda centre, half, count: []),
        ),
        Mistake(
            "recording-on",
            "From the second window on you put in what the patched run before it left in `acts`: the recording is still on "
            "while you patch. Leave the `with capture(…)` block first.",
            _sweep_while_recording,
        ),
        Mistake(
            "probabilities",
            "These are the restored probabilities. Subtract what the corrupted run gives: use `indirect_effect`.",
            _restored_probabilities,
        ),
        Mistake(
            "transposed",
            "Your table is (layers, N). One row a picture is asked for: `torch.stack(effects, dim=1)`.",
            lambda model, clean, corrupted, labels, layers, width=3: window_sweep(
                model, clean, corrupted, labels, layers, width
            ).T.contiguous(),
        ),
        Mistake(
            "averaged",
            "You average over the pictures. Keep one row a picture: single pictures differ a great deal, as you will see.",
            lambda model, clean, corrupted, labels, layers, width=3: window_sweep(
                model, clean, corrupted, labels, layers, width
            ).mean(0),
        ),
        Mistake(
            "against-clean",
            "You compare with the clean run, so this says what is still missing. `indirect_effect` compares with the corrupted "
            "run: hand it the corrupted logits second.",
            lambda model, clean, corrupted, labels, layers, width=3: (
                _restored_probabilities(model, clean, corrupted, labels, layers, width) - _right(model(clean), labels)[:, None]
            ),
        ),
        Mistake(
            "sign",
            "The sign is turned: what a window gives back counts as positive. In `indirect_effect` the corrupted logits come "
            "second, the restored ones third.",
            lambda model, clean, corrupted, labels, layers, width=3: (
                -window_sweep(model, clean, corrupted, labels, layers, width)
            ),
        ),
        Mistake(
            "normalised",
            "You divide by the total effect. That comes later; here the plain difference of probabilities is asked for.",
            lambda model, clean, corrupted, labels, layers, width=3: (
                window_sweep(model, clean, corrupted, labels, layers, width)
                / _total_effect(model(clean), model(corrupted), None, labels)[:, None]
            ),
        ),
        Mistake(
            "always-three",
            "The width is three whatever `width` says. Go width // 2 to each side.",
            lambda model, clean, corrupted, labels, layers, width=3: window_sweep(model, clean, corrupted, labels, layers, 3),
        ),
        Mistake(
            "log-probability",
            "These are changes of the log-probability. The effect is a difference of probabilities: use `indirect_effect`.",
            _sweep_in_another_metric(lambda logits, clean, labels: logits.log_softmax(1)[torch.arange(len(labels)), labels]),
        ),
        Mistake(
            "logits",
            "These are changes of the logit. The effect is a difference of probabilities: use `indirect_effect`.",
            _sweep_in_another_metric(lambda logits, clean, labels: logits[torch.arange(len(labels)), labels]),
        ),
        Mistake(
            "trap",
            "Every column is the whole total effect: the patched runs came out as the clean run. That happens where the output "
            "of a whole block is patched (the trap of exercise 4.5) and where all layers are patched at once. Patch the "
            "`layers` of the window, by their names.",
            lambda model, clean, corrupted, labels, layers, width=3: _total_effect(
                model(clean), model(corrupted), None, labels
            )[:, None].expand(-1, len(layers)),
        ),
        Mistake(
            "clean-again",
            "The effects are right, but the clean pictures ran more than once. They are the same for every window: capture "
            "all layers in *one* run, before the loop.",
            _clean_again,
        ),
        Mistake(
            "hook-left",
            "The effects are right, but a hook is still on the network, and would meddle with every later run. Keep the handle "
            "and call `handle.remove()`, or use `with`, which does it for you.",
            _sweep_with_hooks_left,
        ),
    ),
    unlisted=(
        _with_windows(lambda centre, half, count: _clipped(centre - half + 1, centre + half + 1, count)),
        lambda model, clean, corrupted, labels, layers, width=3: window_sweep(
            model, clean, corrupted, labels, layers, width
        ).flip(1),
    ),
    insight="It is the experiment of the whole lesson, in a dozen lines: everything that follows changes one word of it.",
    used_next="The library's `sweep` does the same, and skips what a patch cannot change.",
)

# --- 4.4 read two sweeps ---------------------------------------------------------------------------------------------

READING = AnswerExercise(
    id="4.4",
    title="Which layer, which window?",
    stars=1,
    minutes=4,
    reference=(1, 0),  # measured again in tests/lessons/activation_patching/test_exercises.py
    hints=(
        "`result.mean` has one entry a layer; `int(result.mean.argmax())` is the number of the largest, from 0.",
        "First the sweep with windows of three, then the sweep with single layers.",
    ),
    mistakes=(
        Mistake("from-one", "You count from 1. Layers are numbered as in the network: the first is `encoder_layer_0`.", (2, 1)),
        Mistake("exchanged", "Exchanged: first the centre of the best window of three, then the best single layer.", (0, 1)),
        Mistake(
            "window-as-layer",
            "You took the centre of the best window for the best single layer. The window around 1 holds the layers 0, 1 and "
            "2, and any of them may be the reason: look at the sweep with window 1.",
            (1, 1),
        ),
        Mistake(
            "layer-as-window",
            "You took the best single layer for the centre of the best window. The window around layer 0 is clipped to the "
            "layers 0 and 1; another window holds more: look at the sweep with window 3.",
            (0, 0),
        ),
        Mistake(
            "published",
            "The fourth layer (3 or 4, as one counts) is what was published for another network, on CIFAR-10. Read what was "
            "measured *here*.",
            lambda value: len(value) == 2 and {int(each) for each in value} <= {3, 4},
            example=(4, 4),
        ),
        Mistake(
            "second",
            "The window is right. Of the single layers, 3 comes second: look for the largest of `single.mean`.",
            (1, 3),
        ),
        Mistake("smallest", "These are the layers with the *smallest* effect: argmin where argmax is meant.", (11, 11)),
    ),
    unlisted=((2, 0), (1, 2), (3, 2)),
    insight="A window blurs: of all windows of three, only the one around 1 holds the layers 0, 1 and 2 together.",
    used_next="Section by section you now find out what such a peak does *not* say.",
)

# --- 4.5 the trap ----------------------------------------------------------------------------------------------------

TRAP = ChoiceExercise(
    id="4.5",
    title="Too good to be true",
    stars=2,
    minutes=5,
    question="Somebody patches the output of the whole block, `encoder_layer_0` to `encoder_layer_11`, on all tokens, one "
    "block at a time. Every one of the twelve bars shows the full total effect. What follows about where colour is processed?",
    options={
        "a": "Every layer processes colour, and each of them as much as the others",
        "b": "Nothing: such a patch gives the clean run at any layer, in any network, for any corruption",
        "c": "Colour is stored redundantly, so that any one layer is enough",
        "d": "A hook was not removed: from the second bar on, earlier patches are still at work",
        "e": "The metric is saturated: with logits in place of probabilities the bars would differ",
    },
    correct="b",
    hints=(
        "What do the blocks after the patched one see, and what would they have seen in the clean run?",
        "A block's only input is the output of the block before it. So what is left of the corrupted picture after the patch?",
    ),
    mistakes=(
        Mistake(
            "everywhere",
            "The bars would look the same if only one layer processed colour: after the patch *all* that the rest of the "
            "network sees is clean, whoever made it.",
            "a",
        ),
        Mistake(
            "redundant",
            "Redundancy would show in patches of *parts*. Here the whole stream is exchanged, so there is nothing left of the "
            "corrupted run that could be repaired or not.",
            "c",
        ),
        Mistake(
            "hook-left",
            "A good suspicion, and a frequent bug; but the first bar shows the full effect as well, and so does each patch "
            "made in a fresh network. It is no bug.",
            "d",
        ),
        Mistake(
            "saturated",
            "The bars agree in every metric, because the patched run's logits *are* the clean run's logits, to the last digit.",
            "e",
        ),
    ),
    insight="The residual stream is the only road: exchange all that travels on it, and the past is gone. So patch a part.",
    used_next="That is why the sweep patches what attention *adds* to the stream, and not the stream.",
)

# --- 4.6 denoising and noising ---------------------------------------------------------------------------------------

DIRECTIONS = ChoiceExercise(
    id="4.6",
    title="One is enough",
    stars=2,
    minutes=4,
    question="Two heads both carry the colour to the class token, and *either* is enough for the right answer (an OR gate). "
    "You patch one head at a time, in both directions. What do you see?",
    options={
        "a": "Denoising (clean into corrupted): a large effect for each head. Noising (corrupted into clean): none for either",
        "b": "Noising: a large effect for each head. Denoising: none for either",
        "c": "A large effect for each head in both directions: they both matter",
        "d": "In both directions half the effect for each head, because they share the work",
        "e": "No effect in either direction: each head can be replaced by the other",
    },
    correct="a",
    hints=(
        "Go through the four runs. Corrupted run, one head repaired: is there now a head that carries the colour?",
        "Clean run, one head broken: is there still one that carries it?",
    ),
    mistakes=(
        Mistake(
            "and-gate",
            "That is what an AND gate does (both are needed): breaking one breaks the answer, repairing one is not enough. "
            "Here one is enough.",
            "b",
        ),
        Mistake(
            "necessary",
            "In the clean run, break one head: the other still carries the colour, and the answer stays. Noising finds what is "
            "*necessary*, and neither head is.",
            "c",
        ),
        Mistake(
            "halves",
            "Nothing is shared here: one repaired head alone gives the whole answer, so its effect is the whole effect.",
            "d",
        ),
        Mistake(
            "replaceable",
            "Right for noising. But in the corrupted run *both* heads are broken: repairing one brings the colour back.",
            "e",
        ),
    ),
    insight="Denoising finds what is sufficient, noising what is necessary. With backups in a network the two disagree.",
    used_next="The library's sweep takes `direction=`, and the next figure shows both.",
)

# --- 4.7 the smallest set of cells (in the patch bay) ------------------------------------------------------------------

#: The part of a block that a cell of the patch bay stands for.
_PARTS = {"attn_out": "self_attention", "mlp_out": "mlp"}
#: The size of the smallest set, found by trying all sets of one, two and three cells (in this exercise's tests).
SMALLEST = 3
#: One of the sets of that size.
TEAM = (("mlp_out", 0), ("attn_out", 1), ("mlp_out", 1))


def flower_scene():
    """The scene of 4.7, the last of the twelve with which the notebook fills the patch bay: a blue cornflower."""
    return scenes.sample(12, seed=40, object=scenes.CLASSES[:16], words="", distractors=())[11]


@functools.cache
def _flower_runs():
    """The network, the corrupted picture, the clean outputs of all cells, and the index of the class to restore."""
    model, scene = load("vit-scenes"), flower_scene()
    clean, corrupted = scenes.render([scene, scene.replace(colour="red")], size=96).split(1)
    names = [f"encoder.layers.encoder_layer_{layer}.{part}" for layer in range(12) for part in _PARTS.values()]
    with torch.no_grad(), capture(model, names) as acts:
        model(clean)
    return model, clean, corrupted, dict(acts), scenes.label(scene)


def _restored(cells):
    model, _, corrupted, clean_outputs, _ = _flower_runs()
    names = [f"encoder.layers.encoder_layer_{layer}.{_PARTS[component]}" for component, layer in cells]
    with torch.no_grad(), replace(model, {name: clean_outputs[name] for name in names}):
        return model(corrupted)[0]


def restored_probabilities(cells):
    """Class probabilities (classes,) of the red cornflower with some cells, (component, layer), as in the blue one."""
    return _restored(cells).softmax(0)


def share_of_difference(cells):
    """Normalised logit difference, cornflower against poppy: 0 as the red flower, 1 as the blue one."""
    model, clean, _, _, label = _flower_runs()
    rival = scenes.CLASSES.index(scenes.counterpart(scenes.CLASSES[label]))
    with torch.no_grad():
        runs = [model(clean)[0], _restored([]), _restored(cells)]
    before, after, patched = (float(logits[label] - logits[rival]) for logits in runs)
    return (patched - after) / (before - after)


def _brings_back(cells):
    probabilities, label = restored_probabilities(cells), _flower_runs()[-1]
    return int(probabilities.argmax()) == label and float(probabilities[label]) > 0.5


def _cell_name(cell):
    return f"{cell[0]} of layer {cell[1]}"


#: Other words for a cell's component: the bay's own buttons say A, M and R.
_ALSO = {"a": "attn_out", "attn": "attn_out", "attention": "attn_out", "m": "mlp_out", "mlp": "mlp_out", "r": "resid"}


def _cell(cell):
    """A cell as (component, layer), from a pair in either order, or from what stands on its button, such as "M0"."""
    component, layer = (cell.strip()[:1], cell.strip()[1:]) if isinstance(cell, str) else cell
    if isinstance(layer, str) and not layer.strip().isdigit():
        component, layer = layer, component
    component = str(component).strip().lower()
    return _ALSO.get(component, component), int(layer)


def _cells_of(value):
    """The cells of a patch bay's state, or of a plain list of (component, layer), without doubles."""
    cells = value
    if isinstance(value, Mapping):  # a bay's state, or the layers of each component
        cells = value["cells"] if "cells" in value else [(name, layer) for name, layers in value.items() for layer in layers]
    if isinstance(cells, tuple) and len(cells) == 2 and isinstance(cells[0], str) and not isinstance(cells[1], str | tuple):
        cells = [cells]  # one cell alone
    cells = {_cell(cell) for cell in cells}
    for component, layer in cells:
        if component not in (*_PARTS, "resid") or layer not in range(12):
            raise ValueError(f"there is no cell ({component!r}, {layer}): components are attn_out and mlp_out, layers 0 to 11.")
    return sorted(cells, key=lambda cell: (cell[1], cell[0]))


def _cells_judge(value):
    if not isinstance(value, Mapping | Sequence | Set) or isinstance(value, str):
        return "Pass the patch bay itself, or a list of cells such as [('attn_out', 3), ('mlp_out', 5)]."
    cells = _cells_of(value)
    if isinstance(value, Mapping) and "cells" in value:
        _, clean, corrupted, _, _ = _flower_runs()
        shown = [torch.as_tensor(value[name]).reshape(-1, *clean.shape[1:]) for name in ("clean", "corrupted")]
        if not all(torch.allclose(one, wanted, atol=2e-2) for one, wanted in zip(shown, (clean, corrupted), strict=True)):
            return Problem(mistake="other-picture")
        if value.get("direction", "denoising") != "denoising":
            return Problem(mistake="noising")
        if value.get("tokens", "all") != "all":
            return Problem(mistake="some-tokens")
    if any(component == "resid" for component, _ in cells):
        return Problem(mistake="trap")
    label = _flower_runs()[-1]
    measured = (
        f"Measured: probability of cornflower {float(restored_probabilities(cells)[label]):.2f}, "
        f"normalised logit difference {share_of_difference(cells):.2f}."
    )
    if not _brings_back(cells):
        return Problem(measured, mistake="single" if len(cells) == 1 else "not-restored")
    spare = [cell for cell in cells if _brings_back([other for other in cells if other != cell])]
    if spare:
        return Problem(f"You can leave out {_cell_name(spare[0])}, for one. {measured}", mistake="spare-cell")
    if len(cells) > SMALLEST:
        return Problem(f"You have {len(cells)}. {measured}", mistake="dead-end")
    return None


def _nothing_patched(value):
    return isinstance(value, Mapping) and len(value.get("cells", "?")) == 0


class _Bay:
    """Stands for a patch bay in `vizcourse check`: it hands in the right pair and a right set, but for the changes."""

    def __init__(self, **changes):
        self.changes = changes

    def answer_value(self):
        _, clean, corrupted, _, _ = _flower_runs()
        state = {"clean": clean[0], "corrupted": corrupted[0], "tokens": "all", "direction": "denoising"}
        return state | {"cells": list(TEAM)} | self.changes

    def __repr__(self):
        return f"a patch bay with {', '.join(self.changes)} changed"


SMALLEST_SET = AnswerExercise(
    id="4.7",
    title="The smallest set of cells",
    stars=3,
    minutes=10,
    judge=_cells_judge,
    blank=_nothing_patched,
    setup_source=(
        "from vizcourse.models import load\n"
        "from vizcourse.lessons.activation_patching.widgets import PatchBay\n"
        "from vizcourse.worlds import scenes\n"
        'twelve = scenes.sample(12, seed=40, object=scenes.CLASSES[:16], words="", distractors=())\n'
        "partners = [s.replace(colour=scenes.OWN_COLOUR[scenes.counterpart(s.object)]) for s in twelve]\n"
        "labels = torch.tensor([scenes.label(s) for s in twelve])\n"
        'bay = PatchBay(load("vit-scenes"), scenes.render(twelve), scenes.render(partners), labels)'
    ),
    solution_source='bay.set(picture=11, cells=[("mlp_out", 0), ("attn_out", 1), ("mlp_out", 1)])\nanswer("4.7", bay)',
    hints=(
        "Switch on all cells of the first few layers: the cornflower is back. Now switch off one cell after the other, and "
        "keep off each that is not missed. Where you end depends on the order in which you try.",
        "Always adding the cell that helps the probability most ends in four cells. Watch the normalised logit difference "
        "under the bay: it moves long before the probability does, and some cells do more in company than alone.",
        "Three cells are enough, none of them later than layer 3, and the MLP of layer 0 is one of them.",
    ),
    mistakes=(
        Mistake(
            "trap",
            "A cell of the residual stream gives back the clean run whatever the layer (exercise 4.5): that shows nothing. Use "
            "cells of attention and MLP only.",
            [("resid", 5)],
        ),
        Mistake(
            "single",
            "No single cell brings the cornflower back in this picture. The answer tips only when several push together.",
            [("attn_out", 0)],
        ),
        Mistake(
            "not-restored",
            "These cells do not bring the cornflower back: it must be the most probable class, with more than 0.5.",
            [("attn_out", 8), ("mlp_out", 9), ("attn_out", 10)],
        ),
        Mistake(
            "spare-cell",
            "The cornflower is back, but not every cell is needed for it.",
            [(component, layer) for component in _PARTS for layer in range(4)],
        ),
        Mistake(
            "dead-end",
            "The cornflower is back, and none of your cells can be spared: and still there is a *smaller* set, of other cells. "
            "Adding (or removing) one cell at a time can end in such a dead end; begin elsewhere.",
            [("attn_out", 0), ("attn_out", 1), ("attn_out", 2), ("attn_out", 5)],
        ),
        Mistake(
            "noising",
            "You are patching from the corrupted run into the clean one. Set the direction to denoising.",
            _Bay(direction="noising"),
        ),
        Mistake(
            "some-tokens",
            "Only a part of the tokens is patched. Set the tokens to *all*: that is the experiment of this exercise.",
            _Bay(tokens="class"),
        ),
        Mistake(
            "other-picture",
            "This is another pair of pictures. The exercise is about the blue cornflower (clean) and the same flower in red "
            "(corrupted).",
            _Bay(corrupted=torch.zeros(3, 96, 96)),
        ),
    ),
    unlisted=([("head", 3)], 3, "attn_out 1"),
    insight="By the probability no cell of the three does anything alone. The next cell asks the logits, too.",
    used_next="Keep it in mind when you read any plot of single-cell effects, here or in a paper.",
)

# --- 4.8 the normalised logit difference -----------------------------------------------------------------------------


def normalised_logit_difference(clean, corrupted, patched, right, wrong):
    """Share of the logit difference that a patch gives back: three times logits (N, classes), two classes (N,) -> (N,)."""
    rows = torch.arange(len(right))

    def difference(logits):
        return logits[rows, right] - logits[rows, wrong]

    before = difference(corrupted)
    return (difference(patched) - before) / (difference(clean) - before)


def _differences(clean, corrupted, patched, right, wrong):
    rows = torch.arange(len(right))
    return [logits[rows, right] - logits[rows, wrong] for logits in (clean, corrupted, patched)]


def _from_differences(formula):
    def wrong_metric(clean, corrupted, patched, right, wrong):
        return formula(*_differences(clean, corrupted, patched, right, wrong))

    return wrong_metric


def _from_probabilities(clean, corrupted, patched, right, wrong):
    return normalised_logit_difference(clean.softmax(1), corrupted.softmax(1), patched.softmax(1), right, wrong)


def _right_class_only(clean, corrupted, patched, right, wrong):
    rows = torch.arange(len(right))
    return (patched - corrupted)[rows, right] / (clean - corrupted)[rows, right]


def _columns(clean, corrupted, patched, right, wrong):
    clean, corrupted, patched = (logits[:, right] - logits[:, wrong] for logits in (clean, corrupted, patched))
    return (patched - corrupted) / (clean - corrupted)


def _sum_of_logits(clean, corrupted, patched, right, wrong):
    rows = torch.arange(len(right))
    clean, corrupted, patched = (logits[rows, right] + logits[rows, wrong] for logits in (clean, corrupted, patched))
    return (patched - corrupted) / (clean - corrupted)


def _metric_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    cases = [
        (
            torch.tensor([[4.0, 1.0]]),
            torch.tensor([[1.0, 3.0]]),
            torch.tensor([[2.0, 2.0]]),
            torch.tensor([0]),
            torch.tensor([1]),
        ),
    ]
    for pictures, classes in ((2, 3), (4, 5)):
        clean, corrupted, patched = torch.randn(3, pictures, classes, generator=generator)
        right = torch.randint(0, classes, (pictures,), generator=generator)
        wrong = (right + torch.randint(1, classes, (pictures,), generator=generator)) % classes
        rows = torch.arange(pictures)
        clean[rows, right] += 6
        corrupted[rows, wrong] += 3
        third = min(set(range(classes)) - {int(right[-1]), int(wrong[-1])})
        clean[-1, third] += 12  # the classes that are asked for need not be those that a run prefers
        corrupted[-1, third] += 9
        patched[0] = corrupted[0] - (clean[0] - corrupted[0]) / 4  # this patch does harm
        patched[-1] += 2 * clean[-1]  # and this one does too much
        cases.append((clean, corrupted, patched, right, wrong))
    return cases


METRIC = CodeExercise(
    id="4.8",
    title="The normalised logit difference",
    stars=2,
    minutes=6,
    reference=normalised_logit_difference,
    cases=_metric_cases,
    hints=(
        "For each run first one number a picture: LD = logit of the right class − logit of the wrong class.",
        "Lay LD on a scale on which the corrupted run is 0 and the clean run is 1. Where does the patched run lie?",
        "(LD_patched − LD_corrupted) / (LD_clean − LD_corrupted), picture by picture.",
    ),
    mistakes=(
        Mistake(
            "turned-round",
            "Your scale runs backwards: it is 1 for the corrupted and 0 for the clean run. Begin with "
            "LD_patched − LD_corrupted.",
            _from_differences(lambda clean, corrupted, patched: (clean - patched) / (clean - corrupted)),
        ),
        Mistake(
            "upside-down",
            "The fraction stands on its head: the whole gap between clean and corrupted belongs below the line.",
            _from_differences(lambda clean, corrupted, patched: (clean - corrupted) / (patched - corrupted)),
        ),
        Mistake(
            "wrong-gap",
            "You divide by what is still missing, LD_clean − LD_patched. Divide by the whole gap, LD_clean − LD_corrupted.",
            _from_differences(lambda clean, corrupted, patched: (patched - corrupted) / (clean - patched)),
        ),
        Mistake(
            "sign",
            "The sign is wrong: a repaired run must come out at +1. The same run, corrupted, is subtracted above *and* below.",
            _from_differences(lambda clean, corrupted, patched: (patched - corrupted) / (corrupted - clean)),
        ),
        Mistake(
            "by-clean-alone",
            "You divide by LD_clean, not by the gap: an untouched corrupted run is 0, but a full repair is not 1.",
            _from_differences(lambda clean, corrupted, patched: (patched - corrupted) / clean),
        ),
        Mistake(
            "no-zero",
            "LD_patched / LD_clean: nobody subtracted the corrupted run, so doing nothing does not come out as 0.",
            _from_differences(lambda clean, corrupted, patched: patched / clean),
        ),
        Mistake(
            "not-normalised",
            "This is the plain change of the logit difference. Divide it by the gap between clean and corrupted.",
            _from_differences(lambda clean, corrupted, patched: patched - corrupted),
        ),
        Mistake(
            "absolute",
            "You take absolute values. A patch that makes things worse must come out below 0.",
            _from_differences(lambda clean, corrupted, patched: ((patched - corrupted) / (clean - corrupted)).abs()),
        ),
        Mistake(
            "clamped",
            "You cut the scale off at 0 and 1. A patch may do harm (below 0) or too much (above 1), and both are worth seeing.",
            _from_differences(lambda clean, corrupted, patched: ((patched - corrupted) / (clean - corrupted)).clamp(0, 1)),
        ),
        Mistake(
            "averages-first",
            "You divide the average change by the average gap. That is sensible for a summary, but here one number a picture "
            "is asked for.",
            _from_differences(lambda clean, corrupted, patched: (patched - corrupted).mean() / (clean - corrupted).mean()),
        ),
        Mistake(
            "average-gap",
            "You divide by the average gap of all pictures. Each picture has its own gap.",
            _from_differences(lambda clean, corrupted, patched: (patched - corrupted) / (clean - corrupted).mean()),
        ),
        Mistake(
            "probabilities",
            "You take the softmax first. The logit difference is wanted because it is *not* squeezed into 0 … 1: it also "
            "shows what a probability near 0 or 1 hides.",
            _from_probabilities,
        ),
        Mistake(
            "right-class-only",
            "You follow the right class's logit alone. It also moves when *all* logits move together; the difference to the "
            "wrong class does not.",
            _right_class_only,
        ),
        Mistake("sum", "You add the two logits; the *difference* is asked for, right − wrong.", _sum_of_logits),
        Mistake(
            "averaged",
            "You average over the pictures. Keep one number for each picture, (N,).",
            _from_differences(lambda clean, corrupted, patched: ((patched - corrupted) / (clean - corrupted)).mean()),
        ),
        Mistake(
            "added-up",
            "You add up over the pictures. Keep one number for each picture, (N,).",
            _from_differences(lambda clean, corrupted, patched: ((patched - corrupted) / (clean - corrupted)).sum()),
        ),
        Mistake(
            "corrupted-class",
            "You take for the wrong class what the corrupted run prefers. That is mostly the same class, and not always: take "
            "`wrong`.",
            lambda clean, corrupted, patched, right, wrong: normalised_logit_difference(
                clean, corrupted, patched, right, corrupted.argmax(1)
            ),
        ),
        Mistake(
            "clean-class",
            "You take for the right class what the clean run prefers. That is mostly the same class, and not always: take "
            "`right`.",
            lambda clean, corrupted, patched, right, wrong: normalised_logit_difference(
                clean, corrupted, patched, clean.argmax(1), wrong
            ),
        ),
        Mistake(
            "log-probabilities",
            "You normalise the log-probability of the right class. The wrong class's logit is missing: LD is the difference of "
            "the two.",
            lambda clean, corrupted, patched, right, wrong: _right_class_only(
                clean.log_softmax(1), corrupted.log_softmax(1), patched.log_softmax(1), right, wrong
            ),
        ),
        Mistake(
            "probability-of-right",
            "You normalise the probability of the right class. LD is a difference of two *logits*, right − wrong, without a "
            "softmax.",
            lambda clean, corrupted, patched, right, wrong: _right_class_only(
                clean.softmax(1), corrupted.softmax(1), patched.softmax(1), right, wrong
            ),
        ),
        Mistake(
            "labels-as-columns",
            "`logits[:, right]` takes *all* classes of the list from *every* picture, an N × N table. Pair them up: "
            "`logits[torch.arange(N), right]`.",
            _columns,
        ),
    ),
    unlisted=(
        _from_differences(lambda clean, corrupted, patched: (patched - corrupted) / (clean + corrupted)),
        lambda clean, corrupted, patched, right, wrong: normalised_logit_difference(clean, corrupted, patched, right, wrong)[
            None
        ],
        _from_differences(lambda clean, corrupted, patched: (patched - corrupted) / (patched - clean)),
    ),
    insight="0 is the corrupted run, 1 the clean one. Nothing forbids −0.3 or 1.4, and those are often the interesting cells.",
    used_next="The next figure sets it beside the probability: they agree on the peak, not on what is left after it.",
)

# --- 4.9 attribution patching ----------------------------------------------------------------------------------------


def attribution_estimate(model, layer, clean, corrupted, labels):
    """Estimate (N,) of what patching a layer does to the label's logit: (clean - corrupted) · gradient."""
    rows = torch.arange(len(labels))
    with torch.no_grad(), capture(model, layer) as acts:
        model(clean)
    clean_activation = acts[layer]
    with torch.enable_grad(), capture(model, layer) as acts:
        logits = model(corrupted.clone().requires_grad_())
    (gradient,) = torch.autograd.grad(logits[rows, labels].sum(), acts[layer])
    return ((clean_activation - acts[layer]) * gradient).sum(dim=(1, 2)).detach()


def _gradient(model, layer, images, metric):
    """A layer's activation (N, tokens, channels), and the gradient of `metric(logits)` there."""
    with torch.enable_grad(), capture(model, layer) as acts:
        logits = model(images.clone().requires_grad_())
        (gradient,) = torch.autograd.grad(metric(logits), acts[layer])
    return acts[layer].detach(), gradient


def _estimate(combine, *, at_clean=False, metric=lambda logits, rows, labels: logits[rows, labels].sum()):
    """A wrong estimate: `combine(clean activation, corrupted activation, gradient)` with the gradient of another metric."""

    def wrong(model, layer, clean, corrupted, labels):
        rows = torch.arange(len(labels))
        at, other = (clean, corrupted) if at_clean else (corrupted, clean)
        here, gradient = _gradient(model, layer, at, lambda logits: metric(logits, rows, labels))
        there, _ = _gradient(model, layer, other, lambda logits: logits.sum())
        return combine(*((here, there) if at_clean else (there, here)), gradient)

    return wrong


def _product(clean, corrupted, gradient):
    return ((clean - corrupted) * gradient).sum(dim=(1, 2))


def _exact_logit_effect(model, layer, clean, corrupted, labels):
    rows = torch.arange(len(labels))
    return (patch_layer(model, layer, clean, corrupted) - model(corrupted))[rows, labels]


def _no_graph(model, layer, clean, corrupted, labels):
    with torch.enable_grad(), capture(model, layer) as acts:
        logits = model(corrupted)
        return torch.autograd.grad(logits[torch.arange(len(labels)), labels].sum(), acts[layer])


def _gradient_at_the_other_run(model, layer, clean, corrupted, labels):
    with torch.no_grad(), capture(model, layer) as acts:
        model(clean)
    with torch.enable_grad():
        logits = model(corrupted.clone().requires_grad_())
        return torch.autograd.grad(logits[torch.arange(len(labels)), labels].sum(), acts[layer])


def _gradient_at_the_clean_graph(model, layer, clean, corrupted, labels):
    with torch.enable_grad(), capture(model, layer) as acts:
        model(clean.clone().requires_grad_())
    with torch.enable_grad():
        logits = model(corrupted.clone().requires_grad_())
        return torch.autograd.grad(logits[torch.arange(len(labels)), labels].sum(), acts[layer])


def _grad_of_an_activation(model, layer, clean, corrupted, labels):
    with torch.enable_grad(), capture(model, layer) as acts:
        model(corrupted.clone().requires_grad_())
    missing = None  # what `.grad` of anything but a leaf is
    return acts[layer] * missing


def _tuple_of_gradients(model, layer, clean, corrupted, labels):
    here, gradient = _gradient(model, layer, corrupted, lambda logits: logits[torch.arange(len(labels)), labels].sum())
    return here * (gradient,)


def _estimate_at_the_pixels(model, layer, clean, corrupted, labels):
    images = corrupted.clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(model(images)[torch.arange(len(labels)), labels].sum(), images)
    return ((clean - corrupted) * gradient).sum(dim=(1, 2, 3))


def _mean_of_both_gradients(model, layer, clean, corrupted, labels):
    return (
        _estimate(_product)(model, layer, clean, corrupted, labels)
        + _estimate(_product, at_clean=True)(model, layer, clean, corrupted, labels)
    ) / 2


def _estimate_with_hook_left(model, layer, clean, corrupted, labels):
    estimate = attribution_estimate(model, layer, clean, corrupted, labels)
    model.get_submodule(layer).register_forward_hook(lambda module, inputs, output: output)
    return estimate


def _estimate_judge(learner):
    """Is the network afterwards what it was?"""
    model = _ToyTransformer(9)
    clean, corrupted, _ = _toy_pictures(9, 2)
    learner(model, _toy_layers()[1], clean, corrupted, torch.tensor([0, 1]))
    return _hook_problem(model)


def _estimate_cases(seed):
    cases = []
    for number, (part, layer, pictures) in enumerate((("self_attention", 2, 1), ("mlp", 1, 2), ("self_attention", 0, 4))):
        clean, corrupted, generator = _toy_pictures(seed + 20 + number, pictures)
        labels = torch.randint(0, 5, (pictures,), generator=generator)
        cases.append((_ToyTransformer(seed + 20 + number), _toy_layers(part=part)[layer], clean, corrupted, labels))
    return cases


ATTRIBUTION = CodeExercise(
    id="4.9",
    title="Attribution patching",
    stars=3,
    minutes=10,
    reference=attribution_estimate,
    cases=_estimate_cases,
    judge=_estimate_judge,
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
            _estimate(_product, at_clean=True),
        ),
        Mistake(
            "averaged",
            "You average over tokens and channels. The effect of changing many numbers is the *sum* of their effects.",
            _estimate(lambda clean, corrupted, gradient: ((clean - corrupted) * gradient).mean(dim=(1, 2))),
        ),
        Mistake(
            "tokens-averaged",
            "You average over the tokens. All tokens are patched at once: *sum* over them, as over the channels.",
            _estimate(lambda clean, corrupted, gradient: ((clean - corrupted) * gradient).sum(2).mean(1)),
        ),
        Mistake(
            "channels-averaged",
            "You average over the channels. Sum over them, as over the tokens.",
            _estimate(lambda clean, corrupted, gradient: ((clean - corrupted) * gradient).mean(2).sum(1)),
        ),
        Mistake(
            "sign",
            "The sign is turned: the patch moves the activation from corrupted to clean, so the step is clean − corrupted.",
            _estimate(lambda clean, corrupted, gradient: _product(corrupted, clean, gradient)),
        ),
        Mistake(
            "no-difference",
            "This is clean activation times gradient: the effect of a step from *zero*. The step goes from the corrupted "
            "activation to the clean one.",
            _estimate(lambda clean, corrupted, gradient: (clean * gradient).sum(dim=(1, 2))),
        ),
        Mistake(
            "corrupted-alone",
            'This is corrupted activation times gradient ("gradient × input"); the clean run does not come in at all. The '
            "step goes from the corrupted activation to the clean one.",
            _estimate(lambda clean, corrupted, gradient: (corrupted * gradient).sum(dim=(1, 2))),
        ),
        Mistake(
            "no-gradient",
            "This is the length of the step; the gradient is missing. A large change may not matter to the logit at all.",
            _estimate(lambda clean, corrupted, gradient: (clean - corrupted).square().sum(dim=(1, 2)).sqrt()),
        ),
        Mistake(
            "absolute",
            "You take the absolute value of each product, so that nothing cancels. The estimate is the plain sum: parts that "
            "speak against the class count as negative.",
            _estimate(lambda clean, corrupted, gradient: ((clean - corrupted) * gradient).abs().sum(dim=(1, 2))),
        ),
        Mistake(
            "class-token",
            "Only the class token is summed. All tokens are patched, so all count.",
            _estimate(lambda clean, corrupted, gradient: ((clean - corrupted) * gradient)[:, 0].sum(1)),
        ),
        Mistake(
            "mean-of-batch",
            "You take the gradient of the *mean* over the pictures, so every estimate is too small by the number of pictures. "
            "Use `.sum()`: each picture then gets its own full gradient.",
            _estimate(_product, metric=lambda logits, rows, labels: logits[rows, labels].mean()),
        ),
        Mistake(
            "all-logits",
            "You take the gradient of the sum of *all* logits. Take the logit of each picture's own class: "
            "`logits[torch.arange(N), labels]`.",
            _estimate(_product, metric=lambda logits, rows, labels: logits.sum()),
        ),
        Mistake(
            "labels-as-columns",
            "`logits[:, labels]` takes *all* labels from *every* picture. Pair them up: `logits[torch.arange(N), labels]`.",
            _estimate(_product, metric=lambda logits, rows, labels: logits[:, labels].sum()),
        ),
        Mistake(
            "largest-logit",
            "You follow the class that each run prefers. Follow each picture's own class, `labels`.",
            _estimate(_product, metric=lambda logits, rows, labels: logits.amax(1).sum()),
        ),
        Mistake(
            "probability",
            "You take the gradient of the probability. Take the logit: a softmax near 0 or 1 is flat, and its slope says "
            "little about a whole step.",
            _estimate(_product, metric=lambda logits, rows, labels: logits.softmax(1)[rows, labels].sum()),
        ),
        Mistake(
            "loss",
            "You take the gradient of the loss, which is large where the class is improbable: another metric, with the sign "
            "turned. Take the logit of the label.",
            _estimate(
                _product,
                metric=lambda logits, rows, labels: nn.functional.cross_entropy(logits, labels, reduction="sum"),
            ),
        ),
        Mistake(
            "summed-over-pictures",
            "You sum over the pictures as well. One number for each picture is asked for: sum over the dimensions 1 and 2.",
            _estimate(lambda clean, corrupted, gradient: _product(clean, corrupted, gradient).sum()),
        ),
        Mistake(
            "not-summed",
            "One number for each token, (N, tokens). The whole layer is patched: sum over the tokens too.",
            _estimate(lambda clean, corrupted, gradient: ((clean - corrupted) * gradient).sum(2)),
        ),
        Mistake(
            "exact",
            "These are the exact effects. A patched run gives them, and so does (nearly) a gradient averaged over many steps "
            "from the corrupted to the clean activation: both take more runs. What is asked for is the *estimate*, with the "
            "one gradient at the corrupted run.",
            _exact_logit_effect,
        ),
        Mistake(
            "no-graph",
            "There is no graph behind what you differentiate. The weights ask for no gradient here, so let the pictures: run "
            "`corrupted.clone().requires_grad_()`, not under `torch.no_grad()`, and take the logits as they are, without "
            "`.detach()` or `argmax`.",
            _no_graph,
        ),
        Mistake(
            "other-runs-activation",
            "The tensor at which you ask for the gradient is in no graph: an activation captured under `torch.no_grad()` (as "
            "that of the clean run may be), or a detached copy. Capture the activation in the very run of the corrupted "
            "pictures that gives the logits, and differentiate at that `acts[layer]` itself.",
            _gradient_at_the_other_run,
        ),
        Mistake(
            "clean-runs-graph",
            "What you differentiate does not depend on the tensor at which you ask for the gradient: this one is of another "
            "run (the clean one, or a second run of the corrupted pictures), or a copy. Capture the activation in the very run "
            "of the corrupted pictures that gives the logits, and differentiate at that `acts[layer]` itself.",
            _gradient_at_the_clean_graph,
        ),
        Mistake(
            "no-grad-kept",
            "One factor of your product is `None`. A function without `return` gives that, and so does the `.grad` of an "
            "activation: `.backward()` fills it at the leaves of the graph only, unless `acts[layer].retain_grad()` was called "
            "before. Ask for the gradient: `torch.autograd.grad(logits[rows, labels].sum(), acts[layer])[0]`.",
            _grad_of_an_activation,
        ),
        Mistake(
            "not-summed-logits",
            "`torch.autograd.grad` starts from one number, and there is a logit for each picture: hand it their `.sum()`.",
            lambda model, layer, clean, corrupted, labels: (
                _gradient(model, layer, corrupted, lambda logits: logits[torch.arange(len(labels)), labels])
                and attribution_estimate(model, layer, clean, corrupted, labels)
            ),
        ),
        Mistake(
            "tuple",
            "`torch.autograd.grad` gives a *tuple*, one gradient for each tensor asked for. Take its first entry, `[0]`.",
            _tuple_of_gradients,
        ),
        Mistake(
            "pixels",
            "You take the step and the gradient at the pixels. Take both at the output of `layer`: capture it in either run.",
            _estimate_at_the_pixels,
        ),
        Mistake(
            "log-probability",
            "You take the gradient of the log-probability. Take that of the logit itself.",
            _estimate(_product, metric=lambda logits, rows, labels: logits.log_softmax(1)[rows, labels].sum()),
        ),
        Mistake(
            "averaged-over-pictures",
            "You average over the pictures. One number for each picture is asked for, (N,).",
            _estimate(lambda clean, corrupted, gradient: _product(clean, corrupted, gradient).mean()),
        ),
        Mistake(
            "both-ends",
            "You average the gradients of the clean and of the corrupted run. Take the one at the corrupted run alone, where "
            "the patch starts.",
            _mean_of_both_gradients,
        ),
        Mistake(
            "hook-left",
            "The estimate is right, but a hook is still on the network, and works in every later run too. Keep the handle "
            "and call `handle.remove()`, or use `with capture(…)`, which does it for you.",
            _estimate_with_hook_left,
        ),
    ),
    unlisted=(
        _estimate(lambda clean, corrupted, gradient: ((clean - corrupted) * gradient)[:, 1:].sum(dim=(1, 2))),
        _estimate(lambda clean, corrupted, gradient: (clean - corrupted).sum(dim=(1, 2)) * gradient.sum(dim=(1, 2))),
    ),
    insight="Two forward passes and one backward pass estimate *every* cell at once; the exact sweep needs a run for each.",
    used_next="The next figure sets the estimate beside the exact effect: it is good where the network is nearly linear.",
)

EXERCISES = (EFFECT, PATCH, SWEEP, READING, TRAP, DIRECTIONS, SMALLEST_SET, METRIC, ATTRIBUTION)
