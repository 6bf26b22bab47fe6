"""3.6: a cascade of random blocks."""

import copy

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, edits
from vizcourse.lessons.attribution.exercises.toys import Nested, Toy


def cascade_of(model, blocks, randomize):
    """The network, then copies with the first of the blocks random, the first two, … all: len(blocks) + 1 networks."""
    networks = [copy.deepcopy(model)]
    for block in blocks:
        network = copy.deepcopy(networks[-1])
        randomize(network.get_submodule(block))
        networks.append(network)
    return networks


def fresh_weights(module):
    """Random weights in place of those of a module; the same module always gets the same ones."""
    with torch.no_grad():
        for parameter in module.parameters():
            generator = torch.Generator().manual_seed(parameter.numel())
            parameter.copy_(torch.randn(parameter.shape, generator=generator))


def _cases(seed):
    return [
        (Toy(1, channels=2, classes=2), ["fc"], fresh_weights),
        (Toy(2, channels=2, classes=3), ["fc", "conv2", "conv1"], fresh_weights),
        (Toy(3, channels=3, classes=2), ["fc", "conv2", "conv1"], fresh_weights),
        (Nested(4, channels=3), ["features.fc", "features.conv2"], fresh_weights),
    ]


CASCADE = CodeExercise(
    id="3.6",
    title="A cascade of random blocks",
    stars=2,
    minutes=8,
    reference=cascade_of,
    cases=_cases,
    setup_source="import copy",
    hints=(
        "Begin with a list that holds a copy of the trained network. Loop over the blocks, and append one network at each.",
        "`copy.deepcopy(network)` makes a network that shares nothing with the old one; `network.get_submodule(name)` is a "
        "block of it.",
        "Each network is a copy of the one *before* it, `networks[-1]`, with one more block made random.",
    ),
    mistakes=(
        Mistake(
            "from-the-bottom",
            "You begin at the input, at the end of the list. A random first layer spoils everything behind it at once; the "
            "cascade begins at the output, so that you see how deep a method looks. Take the blocks in their order.",
            edits("in blocks: -> in reversed(blocks):"),
        ),
        Mistake(
            "one-block-each",
            "Each of your networks has *one* random block. That is the independent test; in the cascade the blocks above stay "
            "random: copy the network before it, not the trained one.",
            edits("copy.deepcopy(networks[-1]) -> copy.deepcopy(model)"),
        ),
        Mistake(
            "no-copies",
            "All entries of your list are random from top to bottom, the first one too: it is one network that stands in the "
            "list several times, or copies that share their weights. `append` copies nothing, and `copy.copy` copies no "
            "weights: make a `copy.deepcopy` of the network before it at each step, and randomise that.",
            edits("copy.deepcopy(model) -> model", "copy.deepcopy(networks[-1]) -> model"),
        ),
        Mistake(
            "model-spoilt",
            "The copies are right, but the model that was passed in is random now, and later cells still need it. Randomise a "
            "copy, never the original.",
            edits("copy.deepcopy(networks[-1]) -> model", "append(network) -> append(copy.deepcopy(network))"),
        ),
        Mistake(
            "intact-missing",
            "The trained network itself is missing. It comes first: every comparison is with it.",
            edits("return networks -> return networks[1:]"),
        ),
        Mistake(
            "last-missing",
            "The last network is missing, the one in which all blocks are random.",
            edits("return networks -> return networks[:-1]"),
        ),
        Mistake(
            "all-at-once",
            "From the second network on, all blocks are random in each. Either you randomise all of them at every step, or the "
            "same copy stands in the list several times: `append` copies nothing. Make a new `copy.deepcopy` of the network "
            "before it at each step, and randomise one more block of that.",
            edits(
                "networks[-1] -> model",
                "randomize(network.get_submodule(block)) -> [randomize(network.get_submodule(each)) for each in blocks]",
            ),
        ),
        Mistake(
            "randomised-too-early",
            "The first network of your list has lost its first block already, and the last two are the same: you randomise the "
            "last network of the list, and then copy it. Copy first, then randomise the copy.",
            edits("copy.deepcopy(networks[-1]) -> networks[-1]", "append(network) -> append(copy.deepcopy(network))"),
        ),
        Mistake(
            "dotted-name",
            "A part inside a part has a dot in its name, such as `inception4a.branch1`, and `getattr` does not know what that "
            "means. `network.get_submodule(name)` does.",
            edits("network.get_submodule(block) -> getattr(network, block)"),
        ),
        Mistake(
            "order",
            "The list is back to front: begin with the trained network, end with the random one.",
            edits("return networks -> return networks[::-1]"),
        ),
    ),
    unlisted=(
        edits("randomize(network.get_submodule(block)) -> pass"),
        edits(
    "in blocks: -> in [*blocks[:0:-1]]:",
    "[copy.deepcopy(model)] -> [copy.deepcopy(model), copy.deepcopy(model)]",
),
        edits("return networks -> return networks[-1]"),
    ),
    insight="The further down you go, the less the network knows. A map that does not notice cannot tell you what it knows.",
    used_next="The cascade widget does this for every method at once.",
)
