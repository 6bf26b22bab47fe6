"""Lesson 05's graded case: networks whose cues are right in 60 to 95 % of the pictures, and what alignments say about them.

Each of `MIXES` times `SEEDS` networks learns from pictures in which every cue speaks for the class with its own reliability.
Then three questions are put to it: whom does it follow where the cues disagree (behaviour alone); what does an alignment find,
at two layers; and what does the same search find in networks that learned nothing. Every share is [value, low, high], a 95 %
bootstrap interval over the pairs. The networks are small, and are not kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from vizcourse.methods import das
from vizcourse.models.networks import SmallResNet
from vizcourse.worlds import shapes

#: Reliability of background, colours and types (`shapes.CUES`) in the training pictures.
MIXES = (
    (0.95, 0.60, 0.60),
    (0.60, 0.95, 0.60),
    (0.60, 0.60, 0.95),
    (0.80, 0.80, 0.80),
    (0.70, 0.70, 0.90),
    (0.60, 0.80, 0.90),
    (0.80, 0.90, 0.70),
    (0.70, 0.80, 0.85),
)
SEEDS, UNTRAINED = 5, 5
#: Pixels, and shapes much larger than the article's, so that a network can tell the types at so few pixels.
PIXELS, SHAPE, WIDTHS = 32, 40, (8, 16, 32)
TRAINING, EPOCHS, BATCH, RATE = 3200, 3, 64, 4e-3
CONFLICTS = 240
#: Where alignments are searched: dimensions, pairs and steps. Before the last layer, where each step runs a part of the
#: network, there are fewer.
SITES = {"avgpool": (8, 60, 150), "layer1": (4, 24, 40)}


def shares(scores: dict[str, das.Interval]) -> dict[str, list[float]]:
    """[value, low, high] of each, as it is stored."""
    return {name: each.rounded() for name, each in scores.items()}


def network(seed: int) -> SmallResNet:
    """An untrained network: layer1, layer2 and layer3 with 8, 16 and 32 channels, one block each."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SmallResNet(len(shapes.CLASSES), WIDTHS, blocks=1, stem_stride=2).eval().requires_grad_(False)


def pictures(count: int, seed: int, mix: Sequence[float], split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures whose cues are right as often as `mix` says, and their classes."""
    drawn = shapes.sample(count, seed, split=split, sizes=SHAPE, reliability=dict(zip(shapes.CUES, mix, strict=True)))
    return shapes.render(drawn, PIXELS), shapes.labels(drawn)


def train(mix: Sequence[float], seed: int, count: int = TRAINING, epochs: int = EPOCHS) -> SmallResNet:
    """A network for one mix of reliabilities: Adam with a one-cycle learning rate, single precision."""
    images, labels = pictures(count, 100 + seed, mix, "train")
    model = network(seed).train().requires_grad_(True).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=1e-2)
    generator = torch.Generator().manual_seed(seed)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * -(-count // BATCH))
    for _ in range(epochs):
        for rows in torch.randperm(count, generator=generator).split(BATCH):
            answers = model(images[rows].contiguous(memory_format=torch.channels_last))
            optimizer.zero_grad()
            functional.cross_entropy(answers, labels[rows]).backward()
            optimizer.step()
            schedule.step()
    return model.eval().requires_grad_(False)


def answers(model: SmallResNet, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([model(some).argmax(1) for some in images.split(64)])


def truth(model: SmallResNet) -> dict[str, list[float]]:
    """Behaviour alone: the share of cue conflicts that each cue decides."""
    conflict = shapes.cue_conflict(CONFLICTS, seed=5, sizes=SHAPE)
    said = answers(model, shapes.render(conflict.pictures, PIXELS))
    return shares({cue: das.score((said == getattr(conflict, cue)).double()) for cue in shapes.CUES})


def drawn_twins(split: str, count: int, cue: str, tipping: bool) -> tuple[list, list, list[str]]:
    """Pictures, the same with one cue changed to another class, and that class.

    The article's bases have cues that agree, so the changed cue stands alone against two. With ``tipping`` one of the two
    others (each in turn) has already gone over to the new class, so the changed cue tips a balance of one to one.
    """
    pairs = shapes.pairs("background", count, seed=0, split=split, sizes=SHAPE)
    names = [shapes.CLASSES[label] for label in pairs.counterfactual_labels]
    others = [other for other in shapes.CUES if other != cue]
    # Six ordered pairs of classes come in turn; each meets either of the other cues.
    gone = [[others[number // 6 % 2]] if tipping else [] for number in range(count)]
    bases = [shapes.edit(picture, new, over) for picture, new, over in zip(pairs.base, names, gone, strict=True)]
    sources = [shapes.edit(picture, new, [cue, *over]) for picture, new, over in zip(pairs.base, names, gone, strict=True)]
    return bases, sources, names


def twins(split: str, count: int, cue: str, tipping: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """:func:`drawn_twins` as images, and their labels."""
    bases, sources, names = drawn_twins(split, count, cue, tipping)
    labels = torch.tensor([shapes.CLASSES.index(name) for name in names])
    return shapes.render(bases, PIXELS), shapes.render(sources, PIXELS), labels


def alignments(model: SmallResNet, layer: str, tipping: bool = False, setting: tuple[int, int, int] | None = None) -> dict:
    """For each cue the IIA on held-out pairs, the full swap, random subspaces, and no swap at all."""
    dim, count, steps = setting or SITES[layer]
    rows = {}
    for cue in shapes.CUES:
        *seen, labels = twins("intervention", count, cue, tipping)
        *unseen, held_labels = twins("intervention_test", count, cue, tipping)
        site, held = (das.Site(model, *part, layer, batch=64) for part in (seen, unseen))
        found = das.align_at(site, labels, dim=dim, steps=steps, progress=False)
        scores = {
            "held out": found.score(held, held_labels),
            "full swap": das.full_swap(held, held_labels),
            "random subspace": das.random_subspace(held, held_labels, dim, draws=3),
            "no swap": das.score((held.answers == held_labels).double()),
        }
        rows[cue] = shares(scores)
    return rows


def measure(model: SmallResNet, setting: tuple[int, int, int] | None = None) -> dict:
    """All that is asked of one network; ``setting`` takes the place of those in ``SITES``."""
    found = {layer: alignments(model, layer, setting=setting) for layer in SITES}
    return {"truth": truth(model), **found, "tipping": alignments(model, "avgpool", True, setting)}


def untrained(seed: int, **settings) -> dict:
    return {"seed": seed, **measure(network(1000 + seed), **settings)}


def trained(mix: Sequence[float], seed: int, count: int = TRAINING, epochs: int = EPOCHS, **settings) -> dict:
    model = train(mix, seed, count, epochs)
    images, labels = pictures(600, 5, mix, "test")
    accuracy = das.score((answers(model, images) == labels).double())
    return {"mix": list(mix), "seed": seed, **shares({"accuracy": accuracy}), **measure(model, **settings)}
