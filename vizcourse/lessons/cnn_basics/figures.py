"""The longer figures of lesson 01, drawn from numbers that its cells have computed, so that those stay short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vizcourse import plotting
from vizcourse.lessons.cnn_basics import study
from vizcourse.plotting import Shown
from vizcourse.worlds import shapes


def rank_correlation(first: Sequence[float] | Tensor, second: Sequence[float] | Tensor) -> float:
    """Correlation of the ranks of two lists of numbers."""
    ranks = torch.stack([torch.as_tensor(values).argsort().argsort().float() for values in (first, second)])
    return float(torch.corrcoef(ranks)[0, 1])


def patterns_tried(tried: Mapping[str, Sequence[float]]) -> Shown:
    """The stored accuracies of the patterns of exercise 1.8: a panel for each number of convolutions, a row for each end."""
    ends = {"max": "largest value", "mean": "mean", "flatten": "connect all"}
    figure, axes = plotting.new(10, 2.5, 1, 3, sharex=True, sharey=True)
    for count, place in enumerate(axes, start=1):
        for row, end in enumerate(ends):
            for norm, shift, color, marker in [(True, -0.14, plotting.BLUE, "o"), (False, 0.14, plotting.ORANGE, "x")]:
                values = tried[study.pattern_name(count, norm, end)]
                label = f"{'with' if norm else 'no'} batch norm" if row == 0 else None
                place.plot(values, [row + shift] * len(values), marker, color=color, linestyle="", label=label)
        place.axvline(study.ENOUGH, color=plotting.GREY, linestyle=":")
        place.axvline(1 / 3, color=plotting.GREY, linestyle="--")
        place.set_title(f"{count} convolution{'s' if count > 1 else ''}")
        place.set_xlabel("held-out accuracy")
    axes[0].set_yticks(range(3), [f"end: {text}" for text in ends.values()])
    axes[0].set(xlim=(0.2, 1.05), ylim=(2.5, -0.5))
    axes[2].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return plotting.shown(figure, "Held-out accuracy of eighteen networks from two starts each")


def by_kind(channels: Sequence[int], answers: Mapping[str, Mapping[str, tuple[Tensor, Tensor]]]) -> Shown:
    """What three channels answer to each kind of pixels: a panel for each network, (mean, standard error) of all channels."""
    figure, axes = plotting.new(10.5, 2.6, 1, 2)
    for place, title in zip(axes, ("trained", "random weights"), strict=True):
        kinds = answers[title]
        for offset, channel in enumerate(channels):
            place.bar(
                [k + offset * 0.27 for k in range(len(kinds))],
                [mean[channel] for mean, _ in kinds.values()],
                0.25,
                yerr=[2 * error[channel] for _, error in kinds.values()],
                color=(plotting.RED, plotting.BLUE, plotting.GREEN)[offset],
                hatch=("", "///", "...")[offset],
                edgecolor="white",
                label=f"channel {channel}",
            )
        place.set_xticks([k + 0.27 for k in range(len(kinds))], list(kinds))
        place.set_title(title)
        place.set_ylabel("mean activation")
    axes[1].legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    description = "Mean activation of the three most important channels on circles, squares, triangles and background"
    return plotting.shown(figure, description)


def squares_turned(
    examples: Mapping[int, tuple[Tensor, int]],
    angles: Sequence[int],
    answers: Sequence[Tensor],
    channels: Sequence[int],
    named: Sequence[Tensor],
    is_wug: Tensor,
) -> Shown:
    """A wug before and after; what two channels answer to the square by its angle; and what the pictures are called.

    Args:
        examples: angle -> picture ``(3, H, W)`` and the class that the network gives it.
        angles: of the square, in degrees.
        answers: for each angle the mean activations on the square, ``(pictures, channels)``.
        channels: those to show.
        named, is_wug: for each angle the class that each picture is given, ``(pictures,)``, and which of them are wugs.
    """
    figure, axes = plotting.new(11, 2.9, 1, 4, gridspec_kw={"width_ratios": [0.7, 0.7, 1.2, 1.2]})
    for place, (angle, (image, called)) in zip(axes, examples.items(), strict=False):
        plotting.picture(place, image, f"square at {angle}°:\ncalled {shapes.CLASSES[called]}")
    for channel, color, style in zip(channels, (plotting.RED, plotting.BLUE), ("-", "--"), strict=True):
        mean = torch.stack([found[:, channel].mean() for found in answers])
        error = torch.stack([2 * found[:, channel].std() / len(found) ** 0.5 for found in answers])
        axes[2].plot(angles, mean, color=color, linestyle=style, label=f"channel {channel}")
        axes[2].fill_between(angles, mean - error, mean + error, color=color, alpha=0.2, linewidth=0)
    axes[2].set(xlabel="angle of the square (degrees)", ylabel="mean activation on it")
    axes[2].set_ylim(0)
    for group, color, style, title in [(is_wug, plotting.GREEN, "-", "wugs"), (~is_wug, plotting.ORANGE, "--", "blickets")]:
        axes[3].plot(angles, [(found[group] == 1).float().mean() for found in named], color=color, linestyle=style, label=title)
    axes[3].set(xlabel="angle of the square (degrees)", ylabel="share called dax")
    for place in axes[2:]:
        place.legend(fontsize=8, frameon=False)
    return plotting.shown(
        figure, "A wug with its square turned, the answers of two channels by angle, and the share of pictures called dax"
    )


def whose_channels(images: Tensor, names: Sequence[str], classes: Sequence[str], found: Mapping[str, Mapping]) -> Shown:
    """What is left of each photograph's answer when channels are silenced: a table for each layer, a row for each photograph.

    Args:
        images, names, classes: the photographs ``(N, 3, H, W)``, what each is called, and the class that is followed.
        found: by layer, probabilities with all channels ("untouched", ``(N,)``), without those that each photograph needs most
            ("needed", ``(N, N)``, a column for each), without others that are as loud ("as loud", ``(N, draws)``) and
            without the loudest ("loudest", ``(N,)``); and which are needed ("chosen", N lists).
    """
    figure, axes = plotting.new(11, 3.4, len(images), 1 + len(found), gridspec_kw={"width_ratios": [1] + [4.5] * len(found)})
    grid = axes[0, 0].get_gridspec()
    for place, image, name in zip(axes[:, 0], images, names, strict=True):
        plotting.picture(place, image, interpolation="bicubic")
        place.set_ylabel(name)
    for column, (layer, each) in enumerate(found.items(), start=1):
        for place in axes[:, column]:
            place.remove()
        place = figure.add_subplot(grid[:, column])
        count = len(each["chosen"][0])
        values = torch.column_stack([each["untouched"], each["needed"], each["as loud"].mean(1), each["loudest"]])
        plotting.picture(
            place, values, f"silenced in {layer}: {count} channel{'s' * (count > 1)}", cmap=plotting.SEQUENTIAL, vmin=0, vmax=1,
            aspect="auto",
        )
        place.set_xticks(
            range(values.shape[1]), ["none", *(f"the\n{name}'s" for name in names), "as loud,\nby lot", "loudest"], fontsize=8
        )
        if column == 1:
            place.set_yticks(range(len(classes)), [f"p({name})" for name in classes], fontsize=8)
        for row, line in enumerate(values.tolist()):
            for cell, value in enumerate(line):
                shade = "black" if value > 0.6 else "white"
                place.text(cell, row, f"{value:.2f}", ha="center", va="center", fontsize=9, color=shade)
                if cell == len(images) + 1:
                    ends = f"{float(each['as loud'][row].min()):.2f} to {float(each['as loud'][row].max()):.2f}"
                    place.text(cell, row + 0.25, ends, ha="center", va="center", fontsize=7, color=shade)
    return plotting.shown(figure, "Probability of three photographs' classes with channels of two layers silenced", jpeg=True)
