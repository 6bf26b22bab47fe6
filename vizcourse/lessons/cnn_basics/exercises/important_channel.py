"""1.9 The channel that matters most."""

import torch
from torch import nn

from vizcourse.exercises.core import CodeExercise, Mistake, edits
from vizcourse.hooks import capture
from vizcourse.methods.convolution import silence


def most_important_channel(model, layer, images, labels):
    """The channel of `layer` whose silencing changes the right class's probability most, on average."""
    rows = torch.arange(len(labels))
    clean = model(images).softmax(1)[rows, labels]
    with capture(model, layer, stop=True) as acts:
        model(images)
    changes = []
    for channel in range(acts[layer].shape[1]):
        silenced = silence(model, images, layer, [channel]).softmax(1)[rows, labels]
        changes.append((silenced - clean).abs().mean())
    return int(torch.stack(changes).argmax())


class _Toy(nn.Module):
    """A tiny network with random weights; the cases are chosen so that no two mistakes agree on all of them."""

    def __init__(self, seed, channels=6, classes=3):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(3, channels, 3, padding=1)
            self.relu = nn.ReLU()
            self.fc = nn.Linear(channels, classes)
            self.fc.weight.data *= 4
            self.conv.weight.data *= 3
        self.requires_grad_(False).eval()

    def forward(self, images):
        return self.fc(self.relu(self.conv(images)).mean(dim=(2, 3)))

    def __repr__(self):
        return "a small CNN with the layers 'conv', 'relu' and 'fc'"


TOYS = (55, 106, 131, 75, 39, 24, 143)


def _importance_cases(seed):
    cases = []
    # These tell every two of the mistakes apart, and the reference from each at least twice (found by a greedy search).
    sizes = [(toy, (6, 6)) for toy in (TOYS if seed == 0 else range(1000 * seed, 1000 * seed + 12))]
    if seed == 0:  # the last channel matters most, and there are more channels than rows or pictures: all must be tried
        sizes.append((311, (4, 7)))
    for toy, size in sizes:
        generator = torch.Generator().manual_seed(toy)
        images = torch.rand(5, 3, *size, generator=generator)
        cases.append((_Toy(toy), "relu", images, torch.randint(0, 3, (5,), generator=generator)))
    return cases


def _leaves_the_model_alone(learner):
    """A hook that stays on the model goes on working in every later cell."""
    model, layer, images, labels = _importance_cases(0)[0]
    learner(model, layer, images, labels)
    if any(module._forward_hooks or module._forward_pre_hooks for module in model.modules()):
        return (
            "The channel is right, but your function leaves a hook on the model, which goes on working in every later cell: "
            "call `.remove()` on what `register_forward_hook` gave you, or use `silence`."
        )
    return None


IMPORTANCE = CodeExercise(
    id="1.9",
    title="The channel that matters most",
    stars=2,
    minutes=10,
    reference=most_important_channel,
    cases=_importance_cases,
    setup_source="from vizcourse.hooks import capture\nfrom vizcourse.methods.convolution import silence",
    hints=(
        "`silence(model, images, layer, [channel])` gives the logits with one channel switched off. Loop over all channels.",
        "Take the softmax, pick each picture's own class with probabilities[torch.arange(N), labels], and subtract the same "
        "without silencing.",
        "A change is a change in either direction: take the absolute value of each before you average over the pictures.",
    ),
    mistakes=(
        Mistake(
            "loudest",
            "You chose the channel with the largest mean activation. Loud is not important: the layers behind "
            "it may ignore what it says. Silence each channel and measure what happens.",
            edits("torch.stack(changes) -> acts[layer].mean(dim=(0, 2, 3))"),
        ),
        Mistake(
            "largest-value",
            "You chose the channel with the single largest activation. Silence each channel and measure "
            "what happens to the probability.",
            edits("torch.stack(changes) -> acts[layer].amax(dim=(0, 2, 3))"),
        ),
        Mistake(
            "only-losses",
            "You chose the channel whose loss hurts most. A channel that argued *against* the right class "
            "counts as well: take the absolute change of each picture, then average.",
            edits(".abs() ->", "argmax -> argmin"),
        ),
        Mistake(
            "only-gains",
            "You chose the channel whose silencing helps most (argmax of the signed change). Take the "
            "absolute change of each picture, then average.",
            edits(".abs() ->"),
        ),
        Mistake(
            "absolute-too-late",
            "You average first and take the absolute value afterwards, so a channel that helps one picture and harms another "
            "comes out as zero. Take the absolute change of each picture, then average.",
            edits(".abs().mean() -> .mean().abs()"),
        ),
        Mistake(
            "every-class",
            "You average over all classes. Follow each picture's own class only: probabilities[torch.arange(N), labels].",
            edits("[rows, labels] ->"),
        ),
        Mistake(
            "labels-as-columns",
            "`probabilities[:, labels]` takes *all* labels from *every* picture, an N × N table. Pair them up: "
            "`probabilities[torch.arange(N), labels]`.",
            edits("[rows, labels] -> [:, labels]"),
        ),
        Mistake(
            "one-picture",
            "You take the largest change on any one picture; average over the pictures.",
            edits(".mean() -> .max()"),
        ),
        Mistake(
            "logits",
            "You compare logits. `silence` returns logits, and a logit may change a lot while the probability does not: take "
            "the softmax of both first.",
            edits(".softmax(1) ->"),
        ),
        Mistake(
            "squared",
            "You average the *squares* of the changes, in which one picture that changes much outweighs many that change a "
            "little. The mean absolute change is asked: `.abs().mean()`.",
            edits(".abs() -> .square()"),
        ),
        Mistake(
            "predicted-class",
            "You follow the class that the network *predicts*. Where it is wrong, that is another: take each picture's label.",
            edits("[rows, labels] -> [rows, model(images).argmax(1)]"),
        ),
        Mistake(
            "accuracy",
            "You take the channel without which the fewest pictures are named right. A probability can change a lot before the "
            "answer does: average the absolute change of the right class's probability.",
            edits(
                ".softmax(1)[rows, labels] -> .argmax(1)",
                "(silenced - clean).abs() -> (silenced == labels).float()",
                "changes).argmax -> changes).argmin",
            ),
        ),
        Mistake(
            "flipped-answers",
            "You count how often the answer turns into another. A probability can change a lot before the answer does: average "
            "the absolute change of the right class's probability.",
            edits(".softmax(1)[rows, labels] -> .argmax(1)", "(silenced - clean).abs() -> (silenced != clean).float()"),
        ),
        Mistake(
            "first-picture",
            "Only the first picture decides in your code: average over all of them.",
            edits("[rows, labels] -> [0, labels[0]]"),
        ),
        Mistake(
            "first-class",
            "You follow the probability of class 0 in every picture. Take each picture's own class: "
            "probabilities[torch.arange(N), labels].",
            edits("[rows, labels] -> [:, 0]"),
        ),
        Mistake("least", "This is the channel that matters *least*: argmin where argmax is meant.", edits("argmax -> argmin")),
        Mistake(
            "never-restored",
            "Each channel stays silent when the next one is tried, so you measure the last straw. Silence "
            "one channel at a time: [channel], not all so far.",
            edits(
                "[channel] -> range(channel + 1)",
                "abs().mean()) -> abs().mean()); clean = silenced",
            ),
        ),
    ),
    judge=_leaves_the_model_alone,
    unlisted=(
        edits("torch.stack(changes).argmax() -> 0"),
        edits("torch.stack(changes) -> acts[layer].std(dim=(0, 2, 3))"),
        edits("mean()) -> median())"),
        edits("softmax -> log_softmax"),
        edits("rows = -> model.get_submodule(layer).register_forward_hook(lambda *_: None); rows ="),
    ),
    insight="You have intervened: this is a statement about causes, and activations alone make none.",
    used_next="Every later lesson is a refinement of this one move.",
)
