"""Distributed alignment search on ResNet-18: ours beside pyvene, interleaved in one run, and the article's whole table.

    python benchmarks/das.py [--rounds 5] [--pairs 12] [--size 244] [--dim 8] [--skip-table]

A training step (Adam, cross-entropy) on the same pairs and from the same frame, at the input of the classifier and at the
input of layer4; then both train on, and their final accuracies on held-out pairs are compared. pyvene rotates the channels of
a convolutional output only when they are the last axis, so its network is wrapped to show them so. The last part times the
whole table: three variables, 60 pairs each, trained, with 60 held-out pairs each, drawn pictures included.
"""

from __future__ import annotations

import argparse
import statistics
import time
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional

from vizcourse.methods import das
from vizcourse.models import load
from vizcourse.worlds import shapes

try:
    import pyvene
except ImportError:
    pyvene = None

LAYERS = {"the classifier": ("avgpool", 512), "layer4": ("layer3", 256)}


class ChannelsLast(nn.Module):
    """The network in two parts, with ``site`` between them: ``(N, positions, channels)``, which pyvene can rotate."""

    def __init__(self, model: nn.Module, layer: str) -> None:
        super().__init__()
        names = [name for name, _ in model.named_children()]
        cut = names.index(layer) + 1
        self.before = nn.Sequential(*(model.get_submodule(name) for name in names[:cut]))
        self.site = nn.Identity()
        after = [model.get_submodule(name) for name in names[cut:]]
        self.after = nn.Sequential(*after[:-1], nn.Flatten(), after[-1])
        # What pyvene asks of a model.
        self.config, self.device = SimpleNamespace(hidden_size=None, to_dict=dict), torch.device("cpu")

    def forward(self, images):
        hidden = self.before(images)
        changed = self.site(hidden.flatten(2).movedim(1, -1))
        return self.after(changed.movedim(-1, 1).reshape(hidden.shape))


def peer(model, layer, start):
    """pyvene's intervention on the wrapped network, its rotation set to ``start``."""
    size, dim = start.shape
    intervention = pyvene.LowRankRotatedSpaceIntervention(embed_dim=size, low_rank_dimension=dim, keep_last_dim=True)
    intervention.rotate_layer.weight = start.clone()  # through the orthogonal parametrisation
    part = {"component": "site.output", "intervention": intervention}
    whole = pyvene.IntervenableModel([part], ChannelsLast(model, layer))
    whole.disable_model_gradients()
    return whole, intervention


def answers(whole, base, source):
    return whole({"images": base}, [{"images": source}])[1]


def drawn(variable, count, split, size):
    pairs = shapes.pairs(variable, count, seed=0, split=split)
    return shapes.render(pairs.base, size), shapes.render(pairs.source, size), pairs.counterfactual_labels


def race(model, name, options):
    layer, size = LAYERS[name]
    base, source, labels = drawn("background", options.pairs, "intervention", options.size)
    site = das.Site(model, base, source, layer)
    start = das.random_frame(size, options.dim, torch.Generator().manual_seed(0))
    whole, intervention = peer(model, layer, start)
    with torch.no_grad():
        difference = (site.logits([start]) - answers(whole, base, source)).abs().max().item()
    optimizer = torch.optim.Adam(intervention.parameters(), lr=0.02)
    weight = start.clone().requires_grad_()
    mine = torch.optim.Adam([weight], lr=0.02)

    def ours():
        loss = functional.cross_entropy(site.logits([das.orthonormal(weight)]), labels)
        mine.zero_grad()
        loss.backward(inputs=[weight])
        mine.step()

    def theirs():
        loss = functional.cross_entropy(answers(whole, base, source), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    times = {ours: [], theirs: []}
    for number in range(options.rounds + 1):
        for run, taken in times.items():
            started = time.perf_counter()
            run()
            if number:  # the first round warms up
                taken.append(time.perf_counter() - started)
    our, their = (1000 * statistics.median(taken) for taken in times.values())
    for _ in range(options.steps - options.rounds - 1):
        ours()
        theirs()
    held_base, held_source, held_labels = drawn("background", options.pairs, "intervention_test", options.size)
    held = das.Site(model, held_base, held_source, layer)
    scores = [held.hits([frame.detach()], held_labels).mean().item()
              for frame in (das.orthonormal(weight), intervention.rotate_layer.weight)]  # fmt: skip
    print(
        f"input of {name}, {options.pairs} pairs: {our:8.1f} ms a step, pyvene {their:8.1f} ms: {their / our:6.1f} times; "
        f"same frame, largest difference of the logits {difference:.1e}; after {options.steps} steps held-out IIA "
        f"{scores[0]:.0%}, pyvene's {scores[1]:.0%}"
    )


def table(model, options):
    """The three variables share their base pictures, which are run once."""
    started = time.perf_counter()
    sites, labels = [], []
    for split in ("intervention", "intervention_test"):
        pairs = [drawn(variable, 60, split, options.size) for variable in shapes.VARIABLES]
        sites.append(das.Site(model, pairs[0][0], [source for _, source, _ in pairs], "avgpool"))
        labels.append(pairs[0][2])
    for number, variable in enumerate(shapes.VARIABLES):
        alignment = das.align_at(sites[0].only(number), labels[0], dim=options.dim, progress=False)
        print(f"{variable:13} held-out IIA {alignment.score(sites[1].only(number), labels[1]):.0%}")
    print(f"the whole table, pictures drawn: {time.perf_counter() - started:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--size", type=int, default=244)
    parser.add_argument("--dim", type=int, default=8)
    parser.add_argument("--skip-table", action="store_true")
    options = parser.parse_args()
    model = load("resnet18-shapes")
    print(f"resnet18-shapes, {options.size} px, dim {options.dim}, {torch.get_num_threads()} threads")
    if pyvene is None:
        print("pyvene is not installed (pip install 'vizcourse[peers]'): ours alone")
    else:
        for name in LAYERS:
            race(model, name, options)
    if not options.skip_table:
        table(model, options)


if __name__ == "__main__":
    main()
