"""The longer figures of lesson 03, drawn from maps that its cells have computed, so that those stay short."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from vizcourse import plotting
from vizcourse.methods.attribution import magnitude
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
