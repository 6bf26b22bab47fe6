"""The longer figures of lesson 05, drawn from numbers that its cells have computed, so that those stay short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from torch import Tensor

from vizcourse import plotting
from vizcourse.methods import das
from vizcourse.plotting import Shown
from vizcourse.worlds import shapes

#: The article's variables as one says them.
NAMES = {"shape_colour": "colours", "background": "background", "shape_type": "types"}
#: Colour, marker and line of each curve of IIAs.
LOOKS = {
    "held out": (plotting.BLUE, "o", "-"),
    "random subspace": (plotting.GREY, "s", ":"),
    "untrained network": (plotting.ORANGE, "^", "--"),
}
#: Bounds of the ranges of the truth in which networks and cues are taken together.
RANGES = (0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.01)


def heat(axes: Axes, rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]], title: str = "") -> None:
    """A table of shares as colours, with the numbers written in."""
    axes.imshow(values, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_title(title)
    axes.spines[:].set_visible(False)
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            axes.text(column, row, f"{value:.0%}", ha="center", va="center", color="white" if value < 0.6 else "black")


def cues_and_iia(base: Tensor, sources: Sequence[Tensor], networks: Sequence[str], table: Sequence[Sequence[float]]) -> Shown:
    """A base ``(3, H, W)`` and its source for each variable; and the IIA of each variable in each network."""
    figure, axes = plotting.new(10, 2.6, 1, 5, gridspec_kw={"width_ratios": [1, 1, 1, 1, 2.3]})
    plotting.picture(axes[0], base, "base: a blicket")
    for place, source, name in zip(axes[1:], sources, NAMES.values(), strict=False):
        plotting.picture(place, source, f"{name} of a dax")
    trained_on = [name.removeprefix("shapes-cue-") for name in networks]
    heat(axes[4], trained_on, list(NAMES.values()), table, "8 of 64 dimensions interchanged")
    axes[4].set_ylabel("network trained on")
    return plotting.shown(
        figure,
        "A base picture and three sources in which one cue is another class's; and a table of how often swapping "
        "a found subspace makes each of four networks follow each cue",
    )


def by_truth(true: Tensor, iia: Tensor) -> list[tuple[float, das.Interval]]:
    """For each range of the truth with more than two points, its mean there, and that of the IIA."""
    ranges = [(true >= low) & (true < high) for low, high in pairwise(RANGES)]
    return [(true[inside].mean().item(), das.score(iia[inside])) for inside in ranges if inside.sum() > 2]


def iia_against_truth(true: Tensor, measured: Mapping[str, Tensor]) -> Shown:
    """A panel for each kind of measurement, ``(networks, cues)`` each: one point a network and cue, and the mean by range."""
    figure, axes = plotting.new(10.5, 3.3, 1, 3, sharey=True)
    for panel, (title, iia) in zip(axes, measured.items(), strict=True):
        for column, (cue, colour, marker) in enumerate(
            zip(shapes.CUES, (plotting.BLUE, plotting.ORANGE, plotting.GREEN), "os^", strict=True)
        ):
            panel.scatter(true[:, column], iia[:, column], s=16, alpha=0.6, color=colour, marker=marker, label=cue)
        places, means = zip(*by_truth(true, iia), strict=True)
        plotting.interval(panel, places, means, label="mean", color="black", fmt="-", linewidth=1.5)
        panel.plot([0, 1], [0, 1], color=plotting.GREY, linestyle=":", linewidth=1)
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("truth: conflicts decided by the cue")
    axes[0].set(ylabel="IIA, held-out pairs", ylim=(-0.03, 1.05))
    axes[0].legend(fontsize=8, frameon=False)
    return plotting.shown(
        figure,
        "Three scatter plots of IIA against the share of cue conflicts that a cue decides, one point a network and "
        "cue, with the mean of each bin",
    )


def by_dimension(curves: Mapping[str, Mapping[str, dict]], dims: Sequence[int]) -> Shown:
    """Stored IIAs of two variables by the number of dimensions, as ``{variable: {dim: {key: [value, low, high]}}}``."""
    figure, axes = plotting.new(10, 2.7, 1, 2, sharey=True)
    for place, variable in zip(axes, ("shape_colour", "background"), strict=True):
        for key, (colour, marker, line) in LOOKS.items():
            values = [curves[variable][str(dim)][key] for dim in dims]
            plotting.interval(place, dims, values, label=key, color=colour, marker=marker, linestyle=line, band=True)
        place.set_xscale("log", base=2)
        place.set_xticks(dims, dims)
        place.set_xlabel("dimensions interchanged, of 64")
        place.set_title(f"{NAMES[variable]}, in the network that uses colours")
    axes[0].set(ylabel="IIA, held-out pairs", ylim=(-0.03, 1.05))
    axes[1].legend(fontsize=8, frameon=False, loc="center")
    return plotting.shown(
        figure,
        "IIA by the number of dimensions for the colours and the background, with random subspaces and an untrained network",
    )


def class_by_dimension(found: Mapping[str, dict], dims: Sequence[int]) -> Shown:
    """The stored IIAs of the class of photographs, in the trained and in the untrained network."""
    figure, axes = plotting.new(6.5, 2.6)
    for key, colour, marker, line in (("trained", plotting.BLUE, "o", "-"), ("untrained", plotting.ORANGE, "^", "--")):
        values = [found[key][str(dim)] for dim in dims]
        plotting.interval(axes, dims, values, label=key, color=colour, marker=marker, linestyle=line, band=True)
    by_chance = [found["trained"][f"random {dim}"][0] for dim in dims]
    axes.plot(dims, by_chance, "s:", color=plotting.GREY, label="random subspaces")
    axes.axhline(found["trained"]["full swap"][0], color=plotting.RED, linestyle="--", label="full swap")
    axes.set(xlabel="dimensions interchanged, of 64", ylabel="IIA, held-out pairs", ylim=(0, 1), xticks=dims)
    axes.legend(fontsize=8, frameon=False, loc="center right")
    return plotting.shown(figure, "IIA by dimension for the class of photographs, in the trained and the untrained network")
