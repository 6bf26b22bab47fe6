"""Concept graphs on GoogLeNet (scenes): ours beside captum, interleaved in one run; extraction; one picture's whole graph.

    python benchmarks/concept_graph.py [--rounds 5] [--concepts 64] [--pictures 16] [--steps 32] [--calls 2]
                                       [--skip-extraction] [--skip-graph]

All edges between the concepts of inception4b and of inception4e, from the same decomposition, at the same points (midpoints)
and of the same function. captum's integrated gradients need one call for each target concept. It is given, from least to most
help: the whole network, with the layer replaced by a hook; the modules between the layers alone, cut out by hand into an
nn.Sequential; and that in batches of 64, the fastest of those tried. A few of its calls are timed in each round and scaled up
to all targets; ours are all computed. The edges of those calls are compared.

Then: 512 concepts from 20,000 vectors of 512 channels, and the graph of one picture over five layers, concepts given.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import nn

from vizcourse.hooks import capture, replace
from vizcourse.methods.concept_graph import build_graph, generalized_integrated_gradients
from vizcourse.methods.concepts import decompose, extract_concepts, pointwise_feature_vectors
from vizcourse.models import load
from vizcourse.worlds import scenes

try:
    from captum.attr import IntegratedGradients
except ImportError:
    IntegratedGradients = None

FIRST, LAST = "inception4b", "inception4e"
LAYERS = ("conv3", "inception3b", FIRST, LAST, "inception5b")


def sample(model, layer, count, images):
    """Vectors of the layer at random positions of the pictures, ``(count, C)``."""
    maps = [pointwise_feature_vectors(model, some, layer).permute(0, 2, 3, 1).flatten(0, 2) for some in images.split(50)]
    vectors = torch.cat(maps)
    return vectors[torch.randperm(len(vectors), generator=torch.Generator().manual_seed(0))[:count]]


def dictionaries(model, layers, concepts):
    images = scenes.render(scenes.sample(200, seed=1))
    return [extract_concepts(sample(model, layer, max(2000, concepts), images), concepts, layer=layer) for layer in layers]


def captum_calls(model, images, parts, target):
    """Functions of a target's number: its edges ``(N, K)``, by captum."""
    between = nn.Sequential(*(model.get_submodule(name) for name in ("inception4c", "inception4d", LAST)))

    def activations(coefficients):
        return torch.einsum("nkhw,kc->nchw", coefficients, parts.concepts.vectors)

    def cut(coefficients, number):
        return torch.einsum("nchw,c->n", between(activations(coefficients)), target.vectors[number])

    def whole(coefficients, number):
        put_in = activations(coefficients)
        with replace(model, {FIRST: put_in}), capture(model, LAST, stop=True) as acts:
            model(images.repeat(len(put_in) // len(images), 1, 1, 1))
        return torch.einsum("nchw,c->n", acts[LAST], target.vectors[number])

    def call(function, number, steps, batch):
        found = IntegratedGradients(function).attribute(
            parts.coefficients,
            additional_forward_args=(number,),
            n_steps=steps,
            method="riemann_middle",
            internal_batch_size=batch,
        )
        return found.detach().sum((2, 3))

    return {
        "captum, the whole network": lambda number, steps: call(whole, number, steps, None),
        "captum, cut out": lambda number, steps: call(cut, number, steps, None),
        "captum, cut out, batches of 64": lambda number, steps: call(cut, number, steps, 64),
    }


def edges(model, options):
    images = scenes.render(scenes.sample(options.pictures, seed=2))
    source, target = dictionaries(model, (FIRST, LAST), options.concepts)
    parts = decompose(pointwise_feature_vectors(model, images, FIRST), source)
    present = (parts.coefficients != 0).flatten(2).any(2).sum(1).float().mean()
    peers = captum_calls(model, images, parts, target) if IntegratedGradients else {}
    numbers = torch.linspace(0, len(target) - 1, options.calls).long().tolist()
    times = {name: [] for name in ("ours", *peers)}
    apart = 0.0
    for _ in range(options.rounds):
        started = time.perf_counter()
        ours = generalized_integrated_gradients(model, images, None, parts, target, steps=options.steps).edges
        times["ours"].append(time.perf_counter() - started)
        for name, peer in peers.items():
            started = time.perf_counter()
            theirs = torch.stack([peer(number, options.steps) for number in numbers], 1)
            times[name].append((time.perf_counter() - started) / len(numbers) * len(target))
            apart = max(apart, float((theirs - ours[:, numbers]).abs().max() / theirs.abs().max()))
    median = {name: statistics.median(each) for name, each in times.items()}
    print(
        f"all edges {FIRST} -> {LAST}: {len(source)} concepts ({present:.0f} of them in a picture), {len(target)} targets, "
        f"{options.pictures} pictures, {options.steps} steps, medians of {options.rounds} rounds"
    )
    for name, taken in median.items():
        scaled = "" if name == "ours" else f", from {len(numbers)} calls: ours is {taken / median['ours']:.1f} times as fast"
        print(f"  {name:32} {taken:7.1f} s{scaled}")
    if peers:
        print(f"  largest difference of the edges, relative to the largest: {apart:.0e}")
    else:
        print("  captum is not installed (pip install 'vizcourse[peers]'): ours alone")


def extraction(model):
    images = scenes.render(scenes.sample(560, seed=3))
    vectors = sample(model, FIRST, 20_000, images)
    started = time.perf_counter()
    found = extract_concepts(vectors, 512, layer=FIRST)
    print(f"{len(found)} concepts from {len(vectors):,} vectors of {vectors.shape[1]} channels: "
          f"{time.perf_counter() - started:.1f} s")  # fmt: skip


def graph(model, options):
    given = dictionaries(model, LAYERS, options.concepts)
    image = scenes.render(scenes.sample(1, seed=4))
    with torch.no_grad():
        answer = model(image).argmax(1)
    taken = []
    for _ in range(options.rounds):
        started = time.perf_counter()
        built = build_graph(model, image, answer, given, steps=options.steps)
        taken.append(time.perf_counter() - started)
    print(
        f"graph of one picture, {len(LAYERS)} layers of {options.concepts} concepts: {len(built)} nodes, "
        f"{built.number_of_edges()} edges, {statistics.median(taken):.1f} s; completeness gap {built.graph['gap']:.1%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concepts", type=int, default=64)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--calls", type=int, default=2, help="calls of captum a round, of each kind")
    parser.add_argument("--skip-extraction", action="store_true")
    parser.add_argument("--skip-graph", action="store_true")
    options = parser.parse_args()
    model = load("googlenet-scenes")
    print(f"googlenet-scenes, 96 px, {torch.get_num_threads()} threads")
    edges(model, options)
    if not options.skip_extraction:
        extraction(model)
    if not options.skip_graph:
        graph(model, options)


if __name__ == "__main__":
    main()
