"""The longer figures of lesson 07, drawn from numbers that its cells have computed, so that those stay short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from torch import Tensor

from vizcourse import plotting
from vizcourse.methods.property_gradients import PropertyEffect, permutation_test
from vizcourse.plotting import Shown
from vizcourse.worlds.gradual import Path

#: Colour and line of the trio of pets networks, everywhere in the lesson.
STYLE = {"unbiased": (plotting.GREEN, "-"), "dark-cats": (plotting.BLUE, "--"), "dark-dogs": (plotting.RED, "-.")}
#: The same for the three networks that saw plasters on nobody, on nevi, on both.
PLASTER_STYLE = {"unbiased": (plotting.GREEN, "-"), "biased": (plotting.RED, "-."), "mixed": (plotting.BLUE, "--")}
#: Factors as one says them.
WORDS = {
    "colour": "fur colour", "object": "animal", "scene": "scenery", "words": "the word CAT", "x": "place across",
    "y": "place down", "mirrored": "whole picture mirrored", "facing": "animal turned about",
}


def fur_turned(path: Path, curves: Mapping[str, Tensor]) -> Shown:
    """Some pictures of a dog along its change of fur and, below them, a response curve (steps,) for each network."""
    figure, axes = plotting.new(9.5, 3.6, 2, 7, gridspec_kw={"height_ratios": [1, 1.6]})
    for place, step in zip(axes[0], torch.linspace(0, len(path.values) - 1, 7).round().int().tolist(), strict=True):
        plotting.picture(place, path.pictures[step], f"{float(path.values[step]):.2f}")
    for place in axes[1]:
        place.remove()
    below = figure.add_subplot(axes[1, 0].get_gridspec()[1, :])
    for name, (color, line) in STYLE.items():
        below.plot(path.values, curves[name], line, color=color, label=name)
    below.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    below.set(ylim=(-0.05, 1.05), xlabel="fur, from black (0) to white (1)", ylabel="probability of “dog”")
    below.spines[["top", "right"]].set_visible(False)
    description = "One dog whose fur goes from black to white in steps, and the probability of dog in three networks"
    return plotting.shown(figure, description)


def turned_round(path: Path, curve: Tensor, gradient: Tensor) -> Shown:
    """Two pictures of a dog turned from -180 to 180 degrees, the response (steps,) and its slope (steps,)."""
    figure, axes = plotting.new(9.5, 2.5, 1, 3, gridspec_kw={"width_ratios": [0.7, 1.3, 1.3]})
    plotting.picture(axes[0], torch.cat([path.pictures[30], path.pictures[45]], dim=2), "0° and 90°")
    axes[1].plot(path.values, curve, color=plotting.GREEN)
    axes[1].set_ylabel("probability of “dog”")
    axes[1].set_ylim(-0.05, 1.05)
    axes[2].fill_between(path.values, gradient, color=plotting.GREY, alpha=0.4)
    axes[2].plot(path.values, gradient, color=plotting.GREEN)
    axes[2].set_ylabel("slope (probability\nper whole range)")
    for place in axes[1:]:
        place.set_xticks(range(-180, 181, 90))
        place.set_xlabel("rotation (degrees)")
    return plotting.shown(figure, "A dog turned from -180 to 180 degrees, the unbiased network's response, and its slope")


def shuffles(curves: Mapping[str, Tensor], along: Tensor) -> Shown:
    """Four response curves (steps,) and, under each, the scores of its shuffles with that of the true order marked."""
    figure, axes = plotting.new(10, 3.9, 2, 4)
    for (name, curve), upper, lower in zip(curves.items(), *axes, strict=True):
        test = permutation_test(curve, along)
        upper.plot(along, curve, color=plotting.BLUE, linewidth=1)
        upper.set_ylim(0, 1)
        upper.set_title(name)
        lower.hist(test.null.numpy(), bins=30, color=plotting.GREY)
        lower.axvline(float(test.score), color=plotting.RED, linewidth=2)
        lower.set_xlim(0, max(float(test.null.max()), float(test.score)) * 1.1)
        lower.set_yticks([])
        lower.set_title(f"score {float(test.score):.2f}, p = {float(test.p_value):.3f}")
        lower.set_xlabel("score (range of values = 1)")
    axes[0, 0].set_ylabel("response")
    axes[1, 0].set_ylabel("shuffled orders")
    description = "Four response curves and, under each, the scores of a thousand shuffles with the true one marked"
    return plotting.shown(figure, description, palette=256)


def maps_and_score(picture: Tensor, maps: Mapping[str, Mapping[str, Tensor]], scores: Mapping[str, float]) -> Shown:
    """For each of the trio a row: the picture (3, H, W), its maps (H, W) by title, and the score of the fur as a bar."""
    figure, axes = plotting.new(9, 5.2, 3, 5, gridspec_kw={"width_ratios": [1, 1, 1, 1, 1.1]})
    for row, (name, (color, _)) in zip(axes, STYLE.items(), strict=True):
        top = name == "unbiased"
        plotting.picture(row[0], picture, "picture" if top else "")
        row[0].set_ylabel(name)
        for place, (title, each) in zip(row[1:4], maps[name].items(), strict=True):
            plotting.picture(place, each, title if top else "", cmap=plotting.SEQUENTIAL)
        row[4].barh([0], [float(scores[name])], color=color)
        row[4].set_xlim(0, 1.1)
        row[4].set_yticks([])
        row[4].set_title("score of the fur" if top else "")
    description = "Gradient, Grad-CAM and LIME of a black dog in three networks, and the score of its fur"
    return plotting.shown(figure, description, palette=256)


def table(axes: Axes, numbers: Tensor, title: str, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Numbers from 0 to 1, (rows, columns), as colours with the numbers in them."""
    plotting.picture(axes, numbers, title, cmap=plotting.SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, fontsize=8)
    axes.set_yticks(range(len(rows)), rows)
    for row, line in enumerate(numbers.tolist()):
        for column, value in enumerate(line):
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=9,
                      color="black" if value > 0.6 else "white")


def scores_and_significance(scores: Tensor, significant: Tensor, rows: Sequence[str], columns: Sequence[str]) -> Shown:
    """Two tables side by side, both (rows, columns): mean scores, and shares of scenes with p < 0.05."""
    figure, axes = plotting.new(9, 2.9, 1, 2)
    table(axes[0], scores, "mean score", rows, columns)
    table(axes[1], significant, "share of scenes with p < 0.05", [""] * len(rows), columns)
    return plotting.shown(figure, "Mean score and share of significant scenes of six properties in three networks")


def dots(axes: Axes, scores: Mapping[str, Tensor], kinds: Sequence[str]) -> None:
    """The score of each picture, cats (triangles) and dogs (dots) apart, for each network."""
    for column, (name, numbers) in enumerate(scores.items()):
        for offset, kind, marker in ((-0.2, "cat", "^"), (0.2, "dog", "o")):
            own = [float(score) for score, each in zip(numbers, kinds, strict=True) if each == kind]
            spread = [column + offset + 0.2 * ((7 * n) % len(own) / len(own) - 0.5) for n in range(len(own))]
            axes.scatter(spread, own, s=14, alpha=0.7, color=STYLE[name][0], marker=marker)
        axes.text(column, 1.03, name, ha="center", fontsize=9, transform=axes.get_xaxis_transform())
    places = [column + offset for column in range(len(scores)) for offset in (-0.2, 0.2)]
    axes.set_xticks(places, ["cats", "dogs"] * len(scores))


def ranking(axes: Axes, rows: Sequence[Mapping], title: str, count: int = 12) -> None:
    """The highest scores of all factors and networks; red without hatching: a cause that the network goes by."""
    ranked = sorted(rows, key=lambda row: -row["score"])[:count]
    errors = [[row["score"] - row["interval"][0] for row in ranked], [row["interval"][1] - row["score"] for row in ranked]]
    axes.barh(range(len(ranked)), [row["score"] for row in ranked], xerr=errors, edgecolor="white",
              color=[plotting.RED if row["used"] else plotting.GREY for row in ranked],
              hatch=["" if row["used"] else "///" for row in ranked])
    axes.set_yticks(range(len(ranked)), [label(row) for row in ranked], fontsize=8)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("mean score")


def label(row: Mapping) -> str:
    """``fur colour · dark-cats``."""
    return f"{WORDS.get(row['factor'], row['factor'])} · {row['network'].removeprefix('pets-')}"


def against(axes: Axes, rows: Sequence[Mapping], key: str, label_of_key: str) -> None:
    """One number of each factor and network against the share of conflicts that follow the factor."""
    markers = {"unbiased": "o", "dark-cats": "^", "dark-dogs": "s"}
    for name, (color, _) in STYLE.items():
        own = [row for row in rows if row["network"] == f"pets-{name}"]
        axes.scatter([row["by the factor"] for row in own], [row[key] for row in own], s=22, alpha=0.75, color=color,
                     marker=markers[name], label=name)
    axes.set_xlabel("conflicts answered by it (share)")
    axes.set_ylabel(label_of_key)


def learning(axes: Axes, rows: Sequence[Mapping], title: str) -> None:
    """Scores of fur and animal, and two accuracies, along one training."""
    for key, color, line, name in (
        ("colour score", plotting.RED, "-o", "score of the fur"),
        ("object score", plotting.BLUE, "-s", "score of the animal"),
        ("accuracy of its own kind", plotting.GREY, ":", "accuracy on pictures\nof its own kind"),
        ("accuracy without bias", plotting.GREY, "--", "accuracy on\nunbiased pictures"),
    ):
        axes.plot([row["step"] for row in rows], [row[key] for row in rows], line, color=color, markersize=4, label=name)
    axes.set_xlabel("training step")
    axes.set_title(title, fontsize=10)
    axes.set_ylim(-0.03, 1.1)


def strengths(axes: Axes, rows: Sequence[Mapping]) -> None:
    """Scores after training against the strength of the planted bias: single networks, and their means."""
    found = sorted({row["bias"] for row in rows})
    for key, color, line, mark, name in (
        ("colour score", plotting.RED, "-", "o", "score of the fur"),
        ("object score", plotting.BLUE, "--", "s", "score of the animal"),
    ):
        means = [mean([row[key] for row in rows if row["bias"] == bias]) for bias in found]
        axes.plot(found, means, line, color=color, label=name)
        axes.plot([row["bias"] for row in rows], [row[key] for row in rows], mark, color=color, markersize=5, alpha=0.7)
    axes.set_xlabel("q: share of cats with dark fur, and of dogs with light fur")
    axes.set_ylabel("score after training")
    axes.set_ylim(-0.03, 1.05)
    axes.legend(fontsize=8, frameon=False, loc="center left")


def mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def starts(axes: Sequence[Axes], rows: Sequence[Mapping]) -> None:
    """Score of fur and animal along the training of single networks: one panel an architecture and start."""
    panels = [(name, begun) for name in dict.fromkeys(row["architecture"] for row in rows) for begun in (False, True)]
    for place, (name, pretrained) in zip(axes, panels, strict=True):
        own = [row for row in rows if row["architecture"] == name and row["pretrained"] is pretrained]
        for seed in sorted({row["seed"] for row in own}):
            for bias, line in ((0.9, ":"), (1.0, "-")):
                run = [row for row in own if row["seed"] == seed and row["bias"] == bias]
                for key, color, marker in (("colour score", plotting.RED, "o"), ("object score", plotting.BLUE, "s")):
                    place.plot([row["step"] for row in run], [row[key] for row in run], line, color=color, linewidth=1.5,
                               marker=marker, markersize=4,
                               label=f"{'fur' if color == plotting.RED else 'animal'}, q = {bias}" if seed == 0 else None)
        place.set_title(f"{name},\n{'pretrained' if pretrained else 'from scratch'}", fontsize=10)
        place.set_xlabel("training step")
        place.set_ylim(-0.03, 1.1)
    axes[0].set_ylabel("score")
    axes[-1].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


def level_and_power(axes: Sequence[Axes], null: Mapping, power: Sequence[Mapping]) -> None:
    """False alarms against the likeness of neighbours, and how often an effect is found, for several scores."""
    for name, line in (("gradient", "-o"), ("correlation", "--s")):
        own = [row for row in null["neighbours alike"] if row["score"] == name]
        axes[0].plot([row["similarity"] for row in own], [row["false positives"] for row in own], line, label=name,
                     markersize=4)
    axes[0].axhline(0.05, color=plotting.GREY, linewidth=1)
    axes[0].text(0.95, 0.06, "level 0.05", fontsize=8, ha="right", color=plotting.GREY)
    axes[0].set_title("no effect, neighbours alike")
    axes[0].set_xlabel("likeness: correlation of neighbours")
    axes[0].set_ylabel("false alarms (p ≤ 0.05)")
    for place, shape in zip(axes[1:], ("ramp", "there and back"), strict=True):
        for name, line in (("gradient", "-o"), ("correlation", "--s"), ("mutual information", ":^")):
            own = [row for row in power if row["score"] == name and row["steps"] == 30 and row["shape"] == shape]
            place.plot([row["effect"] for row in own], [row["power"] for row in own], line, label=name, markersize=4)
        place.set_xlabel("span / deviation of the noise")
        place.set_title(f"{shape}, 30 steps")
    axes[1].set_ylabel("found (p ≤ 0.05)")
    for place in axes:
        place.set_ylim(0, 1.05)
    axes[0].legend(fontsize=8, frameon=False)
    axes[2].legend(fontsize=8, frameon=False, loc="upper left")


def bars(axes: Axes, rows: Sequence[Mapping], factors: Sequence[str], title: str) -> None:
    """Scores of several properties side by side for each of the three lesion networks."""
    for offset, (name, (color, _)), hatch in zip((-0.27, 0.0, 0.27), PLASTER_STYLE.items(), ("", "///", "..."), strict=True):
        own = {row["factor"]: row for row in rows if row["network"] == f"lesions-{name}"}
        heights = [own[factor]["score"] for factor in factors]
        errors = [[own[factor]["score"] - own[factor]["interval"][0] for factor in factors],
                  [own[factor]["interval"][1] - own[factor]["score"] for factor in factors]]
        axes.bar([n + offset for n in range(len(factors))], heights, 0.25, yerr=errors, color=color, hatch=hatch,
                 edgecolor="white", label=name)
    axes.set_xticks(range(len(factors)), [factor.replace(" ", "\n") for factor in factors], fontsize=9)
    axes.set_ylim(0, 1.05)
    axes.set_title(title, fontsize=11)


def photographs_edited(
    photographs: Tensor,
    names: Sequence[str],
    classes: Sequence[str],
    edited: Mapping[str, Tensor],
    found: Mapping[str, PropertyEffect],
    controls: Mapping[str, Sequence[PropertyEffect]],
    words: Mapping[str, str],
) -> Shown:
    """A row a photograph, and for each edit its middle and end, the end with the change in a wrong place, and the curves.

    Args:
        photographs, names, classes: ``(N, 3, H, W)``, what each is called, and the class that is followed.
        edited: by edit, the pictures along it, ``(N, steps, 3, H, W)``.
        found, controls: by edit, the responses to those pictures, and to those with the change in wrong places.
        words: by edit, its axis with the unit.
    """
    figure, axes = plotting.new(
        9.8, 3.5, len(photographs), 1 + 4 * len(edited), gridspec_kw={"width_ratios": [1] + [1, 1, 1, 1.9] * len(edited)}
    )
    for n, row in enumerate(axes):
        plotting.picture(row[0], photographs[n], interpolation="bicubic")
        row[0].set_ylabel(names[n], fontsize=8)
        for number, (title, pictures) in enumerate(edited.items()):
            *places, curve = row[1 + 4 * number : 5 + 4 * number]
            ghost = (photographs[n] + (pictures[n, -1] - photographs[n]).flip(-2)).clamp(0, 1)
            shown = {"middle": pictures[n, pictures.shape[1] // 2], "end": pictures[n, -1], "wrong place": ghost}
            for place, (when, each) in zip(places, shown.items(), strict=True):
                plotting.picture(place, each, "" if n else f"{title}:\n{when}", interpolation="bicubic")
                place.title.set_size(8)
            for each in controls[title]:
                curve.plot(each.values, each.responses[n], "--", color=plotting.GREY, linewidth=1)
            curve.plot(found[title].values, found[title].responses[n], color=plotting.BLUE, linewidth=2)
            curve.set(ylim=(-0.03, 1.03), yticks=[0, 1], xticks=[])
            curve.set_title(f"p({classes[n]})", fontsize=8)
        for number, title in enumerate(edited):
            if n == len(axes) - 1:
                row[4 + 4 * number].set_xlabel(words[title], fontsize=8)
    description = "Three photographs edited step by step, the same change in wrong places, and the probability of their classes"
    return plotting.shown(figure, description, jpeg=True)
