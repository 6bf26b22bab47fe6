"""The longer figures of lesson 03, drawn from maps that its cells have computed, so that those stay short."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from torch import Tensor

from vizcourse import plotting
from vizcourse.methods.attribution import magnitude
from vizcourse.methods.intervals import bootstrap
from vizcourse.plotting import Shown


def four_maps(picture: Tensor, name: str, cam: Tensor, strokes: Mapping[str, Tensor]) -> Shown:
    """A picture (3, H, W) by its name, Grad-CAM (H, W) laid over it, and maps of strokes (H, W) by title, in grey."""
    figure, axes = plotting.new(10, 2.55, 1, 2 + len(strokes))
    plotting.picture(axes[0], picture, name)
    plotting.overlay(axes[1], picture, cam, "Grad-CAM")
    for place, (title, values) in zip(axes[2:], strokes.items(), strict=True):
        plotting.picture(place, values, title, cmap="gray", vmax=float(values.quantile(0.99)))
    description = (
        "A picture and four maps of it: Grad-CAM, guided backpropagation of a trained network and of one whose "
        "upper half is random, and an edge detector"
    )
    return plotting.shown(figure, description, palette=256)


def five_methods(picture: Tensor, maps: Mapping[str, tuple[Tensor, Tensor]], alike: Mapping[str, Mapping]) -> Shown:
    """By letter, the first picture's map of the trained network above that of the half random one, with their likeness.

    maps: letter -> two times (N, …) attributions. alike: letter -> metric -> (N,).
    """
    figure, axes = plotting.new(10, 3.9, 2, 6)
    for row, title in enumerate(["trained", "upper half random"]):
        plotting.picture(axes[row, 0], picture, title)
        for place, (letter, two) in zip(axes[row, 1:], maps.items(), strict=True):
            values = magnitude(two[row])[0]
            heading = f"ρ = {alike[letter]['spearman'].mean():.2f}" if row else letter
            brightest = max(float(values.quantile(0.995)), 1e-30)
            plotting.picture(place, values, heading, cmap=plotting.SEQUENTIAL, vmax=brightest)
    description = "Five methods by letter, a to e, with the trained network above and the half random one below"
    return plotting.shown(figure, description, palette=256)


def photographs(
    pictures: Tensor,
    names: Sequence[Sequence[str]],
    cams: Sequence[Tensor],
    contrast: Tensor,
    corners: Sequence[Tensor],
    of_corners: Sequence[Tensor],
) -> Shown:
    """A row for each of at most four photographs: Grad-CAM for two classes, for their difference, and in two corners.

    Args:
        pictures: ``(N, 3, H, W)``.
        names: of the likeliest classes of the photographs, and of the second.
        cams: maps ``(N, H, W)`` for the likeliest classes, and for the second.
        contrast: the signed map for the one rather than the other, ``(N, H, W)``.
        corners: two crops of the photographs, ``(N, 3, H, W)`` each.
        of_corners: their maps for the likeliest class, ``(N, H, W)`` each.
    """
    rows = min(4, len(pictures))
    figure, axes = plotting.new(10, 1.72 * rows + 0.2, rows, 6, squeeze=False)
    for row, places in enumerate(axes):
        plotting.picture(places[0], pictures[row])
        for place, maps, named in zip(places[1:3], cams, names, strict=True):
            plotting.overlay(place, pictures[row], maps[row], named[row])
        plotting.signed(places[3], contrast[row], "one rather\nthan the other" if row == 0 else "", bar=False)
        for place, corner, maps, title in zip(places[4:], corners, of_corners, ("upper left", "lower right"), strict=True):
            plotting.overlay(place, corner[row], maps[row], f"{title} corner\nof a larger copy" if row == 0 else "")
        for place in places:
            place.title.set_size(9)
    words = "Photographs, Grad-CAM for their two likeliest classes and for the one rather than the other, and in two corners"
    return plotting.shown(figure, words, jpeg=True)


def real_cascade(
    found: Mapping[str, Mapping[str, Tensor]],
    others: Mapping[str, Mapping[str, Tensor]],
    steps: Sequence[str],
    colours: Mapping[str, str],
) -> Shown:
    """The cascade on photographs: similarity to the trained network's map by step, without and with sign.

    Args:
        found: metric -> method -> similarity ``(steps, N)``.
        others: metric -> method -> how like the trained network's maps of other photographs are, ``(N,)``.
        steps: their names, the trained network first.
        colours: of methods.
    """
    figure, axes = plotting.new(10, 3.4, 1, 2, sharey=True)
    for place, (metric, by_name), title in zip(axes, found.items(), ("ρ without sign", "ρ with sign"), strict=True):
        for (name, values), marker in zip(by_name.items(), itertools.cycle("osv^D"), strict=False):
            colour = colours.get(name, "black")
            place.plot(values, color=colour, linewidth=0.6, alpha=0.5)
            rows = [bootstrap(row) for row in values]
            plotting.interval(place, range(len(rows)), rows, label=name, color=colour, marker=marker, band=True, markersize=4)
            place.axhline(float(others[metric][name].mean()), color=colour, linestyle=":", linewidth=1.6)
        place.axhline(0, color="black", linewidth=0.6)
        place.set_title(title, fontsize=10)
        place.set_xticks(range(len(steps)), steps, rotation=45, ha="right", fontsize=8)
    axes[0].set_ylabel("similarity to the trained network's map")
    axes[1].legend(fontsize=8, frameon=False, loc="lower right")
    figure.supxlabel("random down to", fontsize=10)
    words = "Similarity to the trained network's maps of photographs while more and more of it becomes random, for some methods"
    return plotting.shown(figure, words, palette=256)
