"""1.8 Train your own."""

import functools
import itertools

import torch
from torch import nn

from vizcourse.exercises.core import CodeExercise, Mistake, Problem, edits
from vizcourse.lessons.cnn_basics import study
from vizcourse.lessons.cnn_basics.study import shape_pictures
from vizcourse.methods.convolution import accuracy, fit


def make_network():
    """A classifier of 32 × 32 colour pictures into three classes."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 3),
    )


def _network_problem(network):
    """What can be seen before any training: kind, output, convolutions, and whether it is linear."""
    if not isinstance(network, nn.Module):
        return f"make_network() gave a {type(network).__name__}: return the network, an nn.Module."
    images, _ = shape_pictures("test")
    # In eval mode batch norm is a linear map, too, so a network without a non-linearity can be told by its answers.
    network.eval()
    with torch.no_grad():
        logits = network(images[:8])
        if not isinstance(logits, torch.Tensor):
            return f"For 8 pictures your network gave a {type(logits).__name__}: it must give one tensor of logits, (8, 3)."
        if logits.shape != (8, 3):
            return Problem(f"For 8 pictures it gave {tuple(logits.shape)} instead of (8, 3).", mistake="shape")
        if bool((logits >= 0).all()) and torch.allclose(logits.sum(1), torch.ones(8), atol=1e-4):
            return Problem(mistake="softmax")
        middle = network((images[:4] + images[4:8]) / 2)
        if torch.allclose(middle, (logits[:4] + logits[4:]) / 2, atol=1e-5):
            return Problem(mistake="linear")
    return None


def _same_weights(first, second):
    """Whether two networks share a parameter: then training one changes the other."""
    return bool({id(one) for one in first.parameters()} & {id(one) for one in second.parameters()})


def _steps(network):
    """The layers without children in the order in which they run, each with the shapes of its input and output."""
    steps = []

    def note(module, inputs, output):
        if not list(module.children()) and inputs and isinstance(inputs[0], torch.Tensor) and isinstance(output, torch.Tensor):
            steps.append((module, inputs[0].shape, output.shape))

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with torch.no_grad():
            network.eval()(shape_pictures("test")[0][:2])
    finally:
        for hook in hooks:
            hook.remove()
    return steps


def _ends_in_relu(network):
    steps = _steps(network)
    return bool(steps) and isinstance(steps[-1][0], nn.ReLU) and len(steps[-1][2]) == 2


def pattern_of(network):
    """What a network is made of, as the study's patterns are: (convolutions, batch norm, end); None where it is another kind.

    The end is how the last map loses its places: "max" or "mean" over all of them, or "flatten", each with a weight of its own.
    """
    steps, end = _steps(network), None
    for module, before, after in steps:
        if len(before) == 4 and before[2] * before[3] > 1:
            pooled = len(after) == 4 and after[2] * after[3] == 1
            if pooled and isinstance(module, nn.AdaptiveMaxPool2d | nn.MaxPool2d):
                end = "max"
            elif pooled and isinstance(module, nn.AdaptiveAvgPool2d | nn.AvgPool2d):
                end = "mean"
            elif len(after) == 2 and after[1] == before[1] * before[2] * before[3]:
                end = "flatten"
    convolutions = sum(isinstance(module, nn.Conv2d) for module, _, _ in steps)
    if end is None or not convolutions:
        return None
    return min(convolutions, 3), any(isinstance(module, nn.BatchNorm2d) for module, _, _ in steps), end


#: What may be changed about a pattern, and what to write for it. The order is that in which it is advised.
CHANGES = {
    "average": "nn.AdaptiveMaxPool2d(1) instead of the mean at the end",
    "flattened": "nn.AdaptiveMaxPool2d(1) before nn.Flatten()",
    "no-batch-norm": "nn.BatchNorm2d(channels) after each convolution",
    "one-convolution": "a second convolution, with max pooling before it",
}


def _changed(which, changes):
    convolutions, batch_norm, end = which
    return (
        convolutions + ("one-convolution" in changes),
        batch_norm or "no-batch-norm" in changes,
        "max" if {"average", "flattened"} & set(changes) else end,
    )


def _open_changes(which):
    convolutions, batch_norm, end = which
    open_ = {"average": end == "mean", "flattened": end == "flatten", "no-batch-norm": not batch_norm}
    return [name for name, is_open in {**open_, "one-convolution": convolutions == 1}.items() if is_open]


def _trials(which):
    """Held-out accuracies of a pattern in the course's own trials, with 16, 32 and 64 channels."""
    return study.STUDY.stored(f"patterns/{study.pattern_name(*which)}")


def _said(accuracies):
    low, high = (f"{round(100 * value)}" for value in (min(accuracies), max(accuracies)))
    return f"{low} %" if low == high else f"{low} to {high} %"


def fewest_changes(which):
    """The fewest changes with which the pattern reached what is asked in all of the course's trials; None if there are none."""
    names = _open_changes(which)
    for number in range(1, len(names) + 1):
        for some in itertools.combinations(names, number):
            if min(_trials(_changed(which, some))) >= study.ENOUGH:
                return some
    return None


def _training_judge(learner):
    network = learner()
    if problem := _network_problem(network):
        return problem
    if _same_weights(network, learner()):
        return Problem(mistake="not-new")
    images, labels = shape_pictures("train")
    fit(network, images, labels, epochs=study.EPOCHS, learning_rate=study.LEARNING_RATE)
    held_out = accuracy(network, *shape_pictures("test"))
    if held_out >= study.ENOUGH:
        return None
    measured = f"After five epochs yours names {held_out:.0%} of the held-out pictures right; 95 % are asked for."
    modules = list(network.modules())
    if all(isinstance(module, nn.Linear | nn.BatchNorm1d) for module in modules if module._parameters):
        return Problem(measured, mistake="no-convolution")
    if _ends_in_relu(network):
        return Problem(measured, mistake="relu-at-the-end")
    which = pattern_of(network)
    if which is None:
        seen = accuracy(network, images[:600], labels[:600])
        return (
            f"{measured} Of those it was trained on: {seen:.0%}. What has reached it in the course's own trials is "
            "convolution, batch norm and ReLU, three times, with nn.MaxPool2d(2) between and nn.AdaptiveMaxPool2d(1) last."
        )
    trial = f"In the course's own trials (ReLU, 16, 32, 64 channels, two starts) this pattern reached {_said(_trials(which))}"
    if changes := fewest_changes(which):
        better = _said(_trials(_changed(which, changes)))
        if len(changes) == 1:
            return Problem(f"{measured} {trial}, and with {CHANGES[changes[0]]} {better}.", mistake=changes[0])
        todo = "; ".join(CHANGES[name] for name in changes)
        single = max(max(_trials(_changed(which, [name]))) for name in changes)
        return Problem(
            f"{measured} {trial}; with one of these changes at most {single:.0%}, and with all of them {better}: {todo}.",
            mistake="several",
        )
    widest = max(module.out_channels for module in modules if isinstance(module, nn.Conv2d))
    if which[0] >= 2 and widest < 32:
        return Problem(f"{measured} Its widest layer has {widest}; {trial[0].lower()}{trial[1:]}.", mistake="narrow")
    return (
        f"{measured} {trial}: in what else does yours differ? Those had 3 × 3 kernels with padding 1, a ReLU after each "
        "convolution, and nn.MaxPool2d(2) between them."
    )


def _the_list_of_section_4():
    return nn.Sequential(
        nn.Conv2d(3, 10, kernel_size=5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(10, 3),
    )


TRAINING = CodeExercise(
    id="1.8",
    title="Train your own",
    stars=2,
    minutes=10,
    reference=make_network,
    judge=_training_judge,
    right_variants={
        "line 4: 3 -> 4": "windows of 4 in the first layer: it learns the shapes as well",
        "line 4: 3 -> 2": "windows of 2 in the first layer: the same",
        "line 7: 2 -> 3": "pooling over 3 × 3: the same",
        "line 12: 3 -> 2": "windows of 2 in the last layer: the same",
    },
    hints=(
        "Repeat a block of convolution, batch norm, ReLU and max pooling, three times say, with more channels each time: "
        "nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), and so on.",
        "At the end you need one number a channel that does not depend on where the shape stands. The mean over all places "
        "waters a small shape down; what is left of it in the largest value?",
        "nn.AdaptiveMaxPool2d(1) keeps the strongest answer of each channel, wherever it was; then nn.Flatten() and "
        "nn.Linear(channels, 3).",
    ),
    mistakes=(
        Mistake(
            "no-convolution",
            "All its weights connect everything with everything: there is no convolution in it, so it has to learn every shape "
            "anew at every place.",
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 64), nn.ReLU(), nn.Linear(64, 3)),
        ),
        Mistake(
            "linear",
            "There is no non-linearity in it: however many convolutions, together they are one linear map. Put "
            "an nn.ReLU() after each.",
            edits("ReLU -> Identity", "MaxPool -> AvgPool"),
        ),
        Mistake(
            "softmax",
            "It ends in a softmax. The training takes logits and applies the softmax itself. Leave it out.",
            edits("nn.Linear(64, 3) -> nn.Linear(64, 3), nn.Softmax(dim=1)"),
        ),
        Mistake(
            "shape",
            "It does not give one logit a class for each picture, (N, 3): pool to 1×1, flatten, and end in nn.Linear(…, 3).",
            edits("nn.Linear(64, 3) -> nn.Linear(64, 10)"),
        ),
        Mistake(
            "not-new",
            "Two calls of make_network() give the same weights. The lesson trains several networks, each from the start: make "
            "the layers *inside* the function.",
            functools.cache(make_network),
        ),
        Mistake(
            "relu-at-the-end",
            "Its last layer is a ReLU, so no logit can be negative, and a logit that is 0 passes no gradient back. Logits may "
            "have any sign: end in the nn.Linear.",
            lambda: _the_list_of_section_4().append(nn.ReLU()),
        ),
        Mistake(
            "average",
            "At the end you take the mean over all places, which waters down a shape that covers a small part of the picture.",
            edits("AdaptiveMaxPool2d -> AdaptiveAvgPool2d"),
        ),
        Mistake(
            "flattened",
            "At the end you connect every place of the maps with every class, so a shape has to be learned anew at each place, "
            "which is what convolutions were to spare it.",
            lambda: study.pattern(2, True, "flatten"),
        ),
        Mistake(
            "no-batch-norm",
            "There is no batch norm in it, which sets the scale of each channel anew at each step of the training.",
            edits("BatchNorm2d -> Identity"),
        ),
        Mistake(
            "one-convolution",
            "A single convolution finds edges, and a shape is a combination of edges.",
            lambda: study.pattern(1, True, "max"),
        ),
        Mistake("several", "More than one thing keeps it from learning in five epochs.", _the_list_of_section_4),
        Mistake("narrow", "It has too few channels.", lambda: study.pattern(3, True, "max", (2, 2, 4))),
    ),
    unlisted=(edits("nn.Linear(64, 3) -> nn.Linear(32, 3)"),),
    insight="Weights that are shared over all places learn what three shapes are in seconds, wherever they stand.",
    used_next="The controls below take this network's one advantage away: they shuffle the pixels.",
)
