"""The longer figures of lesson 06, drawn from what its cells have computed, so that those stay short."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence

import networkx
import torch
from torch import Tensor
from torch.nn import functional

from vizcourse import plotting
from vizcourse.lessons.concept_graph.atlas import ConceptAtlas
from vizcourse.lessons.concept_graph.graph_view import rows_of
from vizcourse.lessons.concept_graph.stored import LAYERS
from vizcourse.methods.concepts import boxes
from vizcourse.methods.intervals import bootstrap
from vizcourse.plotting import BLUE, GREEN, GREY, ORANGE, RED, Shown

SHORT = [layer.replace("inception", "") for layer in LAYERS]
#: Colour and marker of the dictionaries, and of the orders of causes.
DICTIONARIES = {
    "bisecting k-means": (BLUE, "o"), "k-means": (GREEN, "v"), "NMF": (RED, "D"), "dictionary learning": (ORANGE, "s"),
    "sparse autoencoder": ("black", "^"), "random directions": (GREY, "x"),
}  # fmt: skip
ORDERS = {
    "gig": (BLUE, "o"), "leave-one-out": ("black", "^"), "gradient": (ORANGE, "s"), "coefficient": (GREEN, "v"),
    "random": (GREY, "x"),
}  # fmt: skip


def receptive_fields(images: Tensor, positions: Tensor, exact: Tensor, surrogate: Tensor, cell: int = 16) -> Shown:
    """For each of three pictures the place of a vector (of ``cell`` pixels), its field by the sharing ratio, and the surrogate.

    Args:
        images: ``(3, 3, H, W)``.
        positions: rows and columns in the layer's map, ``(3, 2)``.
        exact, surrogate: receptive fields ``(3, H, W)``.
    """

    def smooth(field: Tensor) -> Tensor:
        """What most of a field's size covers, for the eye: averaged over 7 × 7 pixels."""
        return functional.avg_pool2d(field.abs()[None], 7, stride=1, padding=3)[0]

    figure, axes = plotting.new(10, 1.75, 1, 9)
    framed = boxes(exact, share=0.7, margin=0).tolist()
    for number, (image, (row, column)) in enumerate(zip(images, positions.tolist(), strict=True)):
        left, middle, right = axes[3 * number : 3 * number + 3]
        plotting.picture(left, image, "its place")
        plotting.box(left, column * cell, row * cell, cell, cell)
        plotting.overlay(middle, image, smooth(exact[number]), "sharing ratio", opacity=0.45)
        top, start, bottom, end = framed[number]
        plotting.box(middle, start, top, end - start, bottom - top)
        plotting.overlay(right, image, smooth(surrogate[number]), "surrogate", opacity=0.45)
        for place in (left, middle, right):
            place.title.set_size(8)
    words = (
        "Three vectors: the place of each, its effective receptive field by the sharing ratio, and the gradient surrogate"
    )
    return plotting.shown(figure, words, palette=256)


def purity(found: Mapping) -> Shown:
    """Purity by layer, of one part and of one drawing, from the study's results of that name."""
    looks = {
        "bisecting k-means": (BLUE, "o-"), "k-means": (GREEN, "v-"), "1000 pictures": (BLUE, "o--"),
        "untrained network, 1000 pictures": (RED, "x--"), "channels": (ORANGE, "s-"), "random directions": (GREY, "d:"),
        "shuffled labels": ("black", ":"),
    }  # fmt: skip
    figure, axes = plotting.new(10, 3, 1, 2, sharey=True)
    for place, key, title in zip(axes, ("nearest", "nearest, form"), ("of one part", "of one drawing"), strict=True):
        for name, (colour, line) in looks.items():
            values = [found[layer][name][key] for layer in LAYERS]
            label = {"1000 pictures": "bisecting, half the pictures"}.get(name, name.replace("1000", "half the"))
            _line(place, values, label, colour, line, band=name != "1000 pictures")
        place.set(title=f"{title}: share of the 20 nearest vectors", xlabel="layer", ylim=(0, 1.02))
    axes[0].set_ylabel("mean purity of 64 concepts")
    axes[0].legend(fontsize=7.5, frameon=False, ncols=2, loc="upper left")
    return plotting.shown(
        figure,
        "Purity of concepts by layer, against parts and against drawings, for two clusterings, single channels, an "
        "untrained network, random directions and shuffled labels",
        palette=256,
    )


def planted(found: Mapping) -> Shown:
    """Shared concepts on a part of both classes by layer, less each null, and evidence in common, from the study's results."""
    figure, axes = plotting.new(10, 2.8, 1, 3)
    lines = {
        "found": ("found", BLUE, "o-"), "found, shuffled in one class": ("null: shuffled in one class", ORANGE, "s--"),
        "found, shuffled concepts": ("weak null: shuffled names", GREY, "d:"),
    }  # fmt: skip
    for key, look in lines.items():
        _line(axes[0], [found[layer][key] for layer in LAYERS], *look, band=key == "found")
    axes[0].set(ylim=(0, 0.75), ylabel="share of the top three", title="shared concepts on a part of both")
    for shift, (null, (name, colour, line)) in enumerate(list(lines.items())[:0:-1]):
        key = null.replace("found,", "found, ahead of") + ", all layers at once"
        label = name.replace("null: ", "less ").replace("weak less", "less")
        places = [number + 0.16 * (shift - 0.5) for number in range(5)]
        rows = [found[layer][key] for layer in LAYERS]
        plotting.interval(axes[1], places, rows, label=label, color=colour, marker=line[0], capsize=0)
    axes[1].set_xticks(range(5), SHORT)
    axes[1].set(ylim=(-0.15, 0.5), ylabel="difference of shares", title="found, less each null")
    axes[1].axhline(0, color="black", linewidth=0.8)
    for key, *look in (
        ("in common, sharing", "pairs sharing a part", BLUE, "o-"),
        ("in common, no part shared", "pairs sharing none", ORANGE, "s--"),
    ):
        _line(axes[2], [found[layer][key] for layer in LAYERS], *look)
    axes[2].set(ylim=(0, 0.6), ylabel="share of the evidence", title="evidence in common")
    for place in axes:
        place.legend(fontsize=7.5, frameon=False)
        place.set_xlabel("layer")
    return plotting.shown(
        figure,
        "By layer: the share of shared concepts that are named after a part that both classes are drawn with, beside "
        "two nulls; the same less each null; and the evidence that pairs of classes have in common",
        palette=256,
    )


def put_to_the_test(matched: Mapping, at_one_penalty: Mapping, orders: Mapping) -> Shown:
    """Insertion less deletion for six dictionaries by layer, and for five orders between layers, from the study's results."""
    figure, axes = plotting.new(10, 3, 1, 2, gridspec_kw={"width_ratios": [1.1, 1]})
    _dots(axes[0], LAYERS, DICTIONARIES, lambda layer, name: matched[layer][name]["gig"])
    for shift, (name, (colour, _)) in enumerate(DICTIONARIES.items()):
        places = [number + (shift - 2.5) * 0.12 for number in range(5)]
        values = [at_one_penalty[layer][name]["gig"][0] for layer in LAYERS]
        axes[0].plot(places, values, marker="_", linestyle="", color=colour, markersize=8)
    axes[0].set(ylabel="AUC of insertion less deletion", title="dictionaries at equal sparsity (bar: at one penalty)")
    axes[0].legend(fontsize=7, frameon=False, loc="center right", bbox_to_anchor=(1, 0.26))
    pairs = [name for name in orders if " to inception" in name]
    _dots(axes[1], pairs, ORDERS, lambda pair, name: orders[pair]["sum"][name])
    axes[1].set_xticklabels([pair.replace("inception", "").replace(" to ", " → ") for pair in pairs])
    axes[1].set(title="orders, between layers", ylabel="the same, of the later score (whole = 1)")
    axes[1].set_ylim(top=2.7)
    axes[1].legend(fontsize=7, frameon=False, ncols=3, loc="upper center")
    words = "Insertion less deletion for six dictionaries by layer, and for five orders between layers"
    return plotting.shown(figure, words, palette=256)


def nearest_tiles(atlas: ConceptAtlas, graph: networkx.DiGraph, own: Tensor, name: str) -> Shown:
    """The nearest patches of each concept of a graph of one photograph, a column a layer and a row a concept.

    Args:
        atlas: of the concepts, one sample a picture.
        graph: as `build_graph` makes it.
        own: which of the atlas's pictures are of that photograph, ``(pictures,)``.
        name: of the photograph.
    """
    rows = [nodes for layer, nodes in rows_of(graph).items() if layer in atlas.concepts]
    figure, axes = plotting.new(10, 1.05 * max(map(len, rows)), max(map(len, rows)), len(rows), squeeze=False)
    for place in axes.flat:
        place.axis("off")
    for column, nodes in enumerate(rows):
        for place, node in zip(axes[:, column], nodes, strict=False):
            layer, concept = graph.nodes[node]["layer"], graph.nodes[node]["concept"]
            near = atlas.nearest[layer][concept, : atlas.count]
            place.imshow(atlas.patches(layer, concept, columns=atlas.count, side=96))
            hits = int(own[atlas.samples[layer].images[near]].sum())
            adds = graph.nodes[node]["importance"]
            place.set_title(f"{layer}, concept {concept}: {adds:+.1f}; {hits} of {len(near)} of the {name}", fontsize=8.5)
    words = f"The nearest patches of each concept in the graph of the {name}, by layer"
    return plotting.shown(figure, words, jpeg=True)


def own_tiles(before: Tensor, after: Mapping[str, Tensor], areas: Mapping[str, Tensor], names: Sequence[str]) -> Shown:
    """What a dictionary without a photograph's own tiles does: probabilities, and insertion less deletion, a dot a photograph.

    Args:
        before: probability of the class of each photograph, ``(N,)``.
        after: the same for reconstructions, by the dictionary that they are from.
        areas: insertion less deletion, ``(N,)``, by order of the concepts.
        names: of the photographs.
    """
    figure, axes = plotting.new(10, 2.9, 1, 2)
    for place, rows in zip(axes, ({"as it is": before, **after}, areas), strict=True):
        values = torch.stack(list(rows.values()))
        for number, name in enumerate(names):
            place.plot(values[:, number], "osv^DPX*"[number % 8], color=GREY, markersize=5, label=name)
        # To the right of the dots, so that neither hides the other.
        spots = [spot + 0.22 for spot in range(len(rows))]
        plotting.interval(place, spots, [bootstrap(row) for row in values], color=BLUE, label="mean, 95 %", marker="_")
        place.set_xticks(range(len(rows)), [textwrap.fill(name, 13) for name in rows])
        place.tick_params(axis="x", labelsize=8)
        place.set_xlim(-0.4, len(rows) - 0.3)
        place.axhline(0, color=GREY, linewidth=0.8)
    axes[0].set(ylabel="probability of the class", ylim=(-0.05, 1.05), title="the later layer, rebuilt from the concepts")
    axes[1].set(ylabel="area, insertion less deletion", title="the later layer's concepts, put in and taken out")
    axes[0].legend(fontsize=7.5, frameon=False)
    words = "The class's probability with each reconstruction, and insertion less deletion by order, a dot a photograph"
    return plotting.shown(figure, words, palette=256)


def _line(axes, rows: Sequence, label: str, colour: str, line: str, *, band: bool = True) -> None:
    """A mean by layer, in its interval where ``band`` says so."""
    axes.plot(SHORT, [row[0] for row in rows], line, color=colour, label=label)
    if band:
        axes.fill_between(SHORT, [row[1] for row in rows], [row[2] for row in rows], color=colour, alpha=0.12)


def _dots(axes, columns: Sequence[str], looks: Mapping, row_of: Callable[[str, str], Sequence[float]]) -> None:
    """One column of dots with intervals for each entry of ``columns``, one dot for each of ``looks``."""
    for shift, (name, (colour, marker)) in enumerate(looks.items()):
        places = [number + (shift - len(looks) / 2 + 0.5) * 0.12 for number in range(len(columns))]
        rows = [row_of(column, name) for column in columns]
        plotting.interval(axes, places, rows, label=name, color=colour, marker=marker, capsize=0)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xticks(range(len(columns)), columns, fontsize=8)
