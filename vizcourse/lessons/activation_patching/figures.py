"""The longer figures of lesson 04, drawn from its study and from what its cells have measured, so that those stay short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from matplotlib.axes import Axes
from torch import Tensor, nn
from torch.nn import functional

from vizcourse import plotting
from vizcourse.hooks import capture, layout_of
from vizcourse.lessons.activation_patching.study import STUDY
from vizcourse.methods.activation_patching import PatchingResult, measure, record, window_layers
from vizcourse.plotting import BLUE, GREEN, GREY, ORANGE, RED, Shown
from vizcourse.worlds import photos

#: The five corruptions of one figure: part of the study -> words, colour, and line.
CORRUPTIONS = {
    "grey-attn_out-3": ("greyscale", BLUE, "o-"),
    "noise-3-attn_out": ("noise, 3 σ", RED, "s--"),
    "blur-2-attn_out": ("blur, 2 px", GREEN, "^:"),
    "silhouette-attn_out": ("silhouette", ORANGE, "d-."),
    "shuffle-16-attn_out": ("shuffled squares", GREY, "v-"),
}


def rows(part: Mapping, what: str = "mean") -> list[tuple[float, float, float]]:
    """(estimate, low, high) of each layer, from a stored part: its "mean" effect, or that "normalised"."""
    prefix = "" if what == "mean" else "normalised "
    return list(zip(part[what], part[f"{prefix}low"], part[f"{prefix}high"], strict=True))


def draw_study(
    axis: Axes, name: str, label: str = "", color: str = BLUE, marker: str = "o-", metric: str = "probability",
    group: str = "all", what: str = "mean", shift: float = 0.0,
) -> dict:  # fmt: skip
    """One sweep of the study as a line with its 95 % intervals; returns its numbers."""
    part, window = STUDY.stored(name)[metric][group], STUDY.stored(name)["window"]
    layers = range(len(part[what]))
    places = [layer + shift for layer in layers]
    plotting.interval(axis, places, rows(part, what), label=label, color=color, marker=marker, linewidth=1.4)
    axis.set_xticks(layers[:: 1 if len(layers) < 13 else 4])
    axis.set_xlabel("layer" if window == 1 else f"middle of the window of {window}")
    return part


def draw_live(axis: Axes, result: PatchingResult, label: str, color: str = ORANGE, marker: str = "s--", **options) -> None:
    """One sweep that was made just now, with its 95 % intervals."""
    estimates = torch.stack([result.mean, *result.interval], dim=1).tolist()
    plotting.interval(axis, range(12), estimates, label=label, color=color, marker=marker, linewidth=1.2, **options)


def three_clean_layers(model: nn.Module, clean: Tensor, corrupted: Tensor, label: Tensor) -> Shown:
    """A brown mushroom and its red partner, (1, 3, H, W) each, and its probability when three clean layers are put back."""
    runs = record(model, clean, corrupted)
    grid = torch.stack([
        torch.stack([measure(runs.patch([(part, each) for each in window_layers(layer, 3, 12)]), label)[0]
                     for layer in range(12)]) for part in ("mlp_out", "attn_out")])  # fmt: skip
    figure, axes = plotting.new(10.5, 2.5, 1, 3, gridspec_kw={"width_ratios": [1, 1, 4.2]})
    before, after = (float(measure(logits, label)) for logits in (runs.clean, runs.corrupted))
    plotting.picture(axes[0], clean[0], f"clean\np(brown) = {before:.2f}")
    plotting.picture(axes[1], corrupted[0], f"corrupted\np(brown) = {after:.2f}")
    title = "p(brown mushroom) in the corrupted run, three clean layers put in"
    drawn = plotting.picture(axes[2], grid, title, cmap=plotting.SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
    _write(axes[2], grid, 8, lambda value: "black" if value > 0.6 else "white")
    axes[2].set_yticks([0, 1], ["MLP", "attention"])
    axes[2].set_xticks(range(12))
    axes[2].set_xlabel("middle of the three layers")
    figure.colorbar(drawn, ax=axes[2], label="probability")
    description = "A brown mushroom, the same one in red, and its probability when three layers are put back"
    return plotting.shown(figure, description, palette=256)


def _write(axis: Axes, table: Tensor, size: float, shade) -> None:
    """The numbers of a table on its map, each in the shade that can be read there."""
    for place, value in enumerate(table.flatten().tolist()):
        row, column = divmod(place, table.shape[1])
        axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=size, color=shade(value))


def window_widths(tops: Mapping[int, int]) -> Shown:
    """The same experiment with several widths of the window; a star at each one's best layer."""
    figure, axis = plotting.new(7.5, 2.9)
    for (window, top), color, marker in zip(tops.items(), (GREY, GREEN, BLUE, ORANGE), ("v:", "^-.", "o-", "s--"), strict=True):
        part = draw_study(axis, f"grey-attn_out-{window}", f"window of {window}", color, marker, group="colour")
        axis.plot(top, part["mean"][top], "*", color="black", markersize=11, zorder=5)
    axis.set_xlabel("middle of the window")
    axis.set_ylabel("indirect effect\n(probability)")
    axis.legend(fontsize=8, frameon=False)
    description = "The same experiment with windows of one, two, three and five layers; a star at each peak"
    return plotting.shown(figure, description, palette=256)


def two_directions(noising: PatchingResult) -> Shown:
    """Denoising and noising of the study, and one noising sweep made just now, in probability and logit difference."""
    figure, axes = plotting.new(10.5, 2.8, 1, 2, sharey=True)
    for axis, metric in zip(axes, ("probability", "logit_difference"), strict=True):
        draw_study(axis, "grey-attn_out-3-some", "denoising, study", BLUE, "o-", metric, "colour", "normalised")
        draw_study(axis, "grey-attn_out-3-noising", "noising, study", RED, "s--", metric, "colour", "normalised")
        axis.set_title(metric.replace("_", " "))
    here = torch.stack([noising.normalised, *noising.normalised_interval], dim=1).tolist()
    places, label = torch.arange(12) + 0.15, f"noising, here ({len(noising.effects)} pictures)"
    plotting.interval(axes[0], places, here, marker="s", color=RED, markerfacecolor="white", label=label)
    axes[0].set_ylabel("share of the total effect")
    axes[0].legend(fontsize=8, frameon=False)
    description = "Denoising and noising windows of three attentions, in probability and in logit difference"
    return plotting.shown(figure, description, palette=256)


def five_corruptions() -> Shown:
    """Windows of three attentions after five corruptions, in two metrics (study)."""
    figure, axes = plotting.new(10.5, 2.9, 1, 2, sharey=True)
    for axis, metric in zip(axes, ("probability", "logit_difference"), strict=True):
        for name, look in CORRUPTIONS.items():
            draw_study(axis, name, *look, metric, what="normalised")
        axis.set_title(metric.replace("_", " "))
    axes[0].set_ylabel("share of the total effect")
    axes[1].legend(fontsize=8, frameon=False, loc="upper right")
    description = "Normalised effect of windows of three attentions for five corruptions, in two metrics"
    return plotting.shown(figure, description, palette=256)


def heads(table: Tensor) -> Shown:
    """The normalised logit difference of each head, (heads, layers)."""
    figure, axis = plotting.new(8.5, 2.2)
    largest = float(table.abs().max())
    drawn = plotting.picture(axis, table, cmap=plotting.DIVERGING, vmin=-largest, vmax=largest, aspect="auto")
    _write(axis, table, 7, lambda value: "white" if abs(value) > 0.6 * largest else "black")
    axis.set_xticks(range(table.shape[1]))
    axis.set_yticks(range(table.shape[0]))
    axis.set_xlabel("layer")
    axis.set_ylabel("head")
    figure.colorbar(drawn, ax=axis, label="normalised\nlogit difference")
    return plotting.shown(figure, "Normalised logit difference of each of the 48 heads", palette=256)


def transplant(lent: Mapping) -> Shown:
    """Activations of five donors in the greyscale run, and the effects of their colour and their object (study)."""
    looks = (("black", "o-"), (BLUE, "s-"), (BLUE, "s:"), (ORANGE, "v-"), (ORANGE, "v:"))
    figure, axes = plotting.new(10.5, 3.1, 1, 2, sharey=True)
    for number, ((name, part), (color, marker)) in enumerate(zip(lent["logit_difference"].items(), looks, strict=True)):
        places = torch.arange(12) + 0.06 * (number - 2)
        plotting.interval(axes[0], places, rows(part), label=name, color=color, marker=marker, linewidth=1.3)
    for key, label, color, marker in [("colour", "colour: own − partner's, either object", BLUE, "s-"),
                                      ("object", "object: same − other, either colour", GREY, "d--"),
                                      ("both", "how much more colour counts\non the same object", GREEN, "^-.")]:  # fmt: skip
        plotting.interval(axes[1], range(12), rows(lent[key]), label=label, color=color, marker=marker, linewidth=1.3)
    for axis, title in zip(axes, ("five donors", "what it depends on"), strict=True):
        axis.axhline(0, color="black", linewidth=0.7)
        axis.set_title(title)
        axis.set_xlabel("middle of the window of 3")
        axis.legend(fontsize=7.5, frameon=False)
    axes[0].set_ylabel("change of the logit difference\nclass − partner, in the grey run")
    description = "Activations of five donors in the greyscale run, and the effects of their colour and their object"
    return plotting.shown(figure, description, palette=256)


def photographs_and_scenes() -> Shown:
    """Colour against greyscale in the two networks, windows of three and single layers (study)."""
    figure, axes = plotting.new(10.5, 2.8, 1, 2, sharey=True)
    for axis, window in zip(axes, (3, 1), strict=True):
        draw_study(axis, f"photos-attn_out-{window}", "vit-cifar10, photographs", ORANGE, "s--", what="normalised")
        draw_study(axis, f"grey-attn_out-{window}", "vit-scenes, scenes", BLUE, "o-", what="normalised")
        axis.set_title("window of 3" if window == 3 else "single layers")
    axes[0].set_ylabel("normalised effect\n(probability)")
    axes[0].legend(fontsize=8, frameon=False)
    description = "Colour against greyscale on photographs and on scenes, windows of three and single layers"
    return plotting.shown(figure, description, palette=256)


def four_classes(by_class: Mapping[str, Mapping]) -> Shown:
    """The indirect effect in four classes of photographs, with intervals."""
    figure, axes = plotting.new(10.5, 2.5, 1, 4, sharey=True)
    for axis, name in zip(axes, ("deer", "automobile", "airplane", "cat"), strict=True):
        plotting.interval(axis, range(12), rows(by_class[name]), marker="o-", linewidth=1.2)
        axis.axhline(by_class[name]["total"][0], color="black", linewidth=1, linestyle=":")
        axis.axhline(0, color="black", linewidth=0.6)
        axis.set_title(name)
        axis.set_xticks(range(0, 12, 3))
        axis.set_xlabel("middle of three")
    axes[0].set_ylabel("indirect effect\n(probability)")
    description = "Indirect effect by class: deer, automobile, airplane and cat, with intervals"
    return plotting.shown(figure, description, palette=256)


def single_photographs(live: PatchingResult, photographs: Mapping[int, tuple[Tensor, str]]) -> Shown:
    """Some photographs by their number, with what they are, and the restored probability of each at each layer."""
    figure, axes = plotting.new(10.5, 2.3, 1, 6, gridspec_kw={"width_ratios": [1, 2] * 3})
    for (number, (photograph, name)), left, right in zip(photographs.items(), axes[::2], axes[1::2], strict=True):
        plotting.picture(left, photograph, name)
        right.bar(range(12), live.patched[number], color=BLUE)
        right.axhline(live.clean[number], color="black", linewidth=1)
        right.axhline(live.corrupted[number], color="black", linewidth=1, linestyle=":")
        right.set_ylim(0, 1)
        right.set_xlabel("middle of three")
    axes[1].set_ylabel("restored\nprobability")
    description = "A deer, an automobile and an airplane: restored probability at each layer"
    return plotting.shown(figure, description, palette=256)


def single_tokens(clean: Tensor, corrupted: Tensor, layers: Sequence[int], each: Tensor) -> Shown:
    """A pair (3, H, W), and maps of what each token of the residual stream gives back (layers, 1 + 6 · 6)."""
    figure, axes = plotting.new(10.5, 2.2, 1, len(layers) + 2)
    plotting.picture(axes[0], clean, "clean")
    plotting.picture(axes[1], corrupted, "corrupted")
    largest = float(each[:, 1:].abs().max())
    for axis, layer, row in zip(axes[2:], layers, each, strict=True):
        title = f"layer {layer}\nclass token {float(row[0]):.2f}"
        drawn = plotting.picture(axis, row[1:].view(6, 6), title, cmap=plotting.DIVERGING, vmin=-largest, vmax=largest)
    figure.colorbar(drawn, ax=list(axes), label="normalised logit\ndifference", shrink=0.8)
    return plotting.shown(
        figure, "Maps of single patched tokens at six layers, beside the picture and its partner", palette=256
    )


def inside_attentions(inner: Mapping[str, Mapping]) -> Shown:
    """Queries, keys, values and patterns patched one at a time, by layer (study)."""
    figure, axis = plotting.new(7.5, 2.8)
    looks = (("black", "o-"), (BLUE, "s--"), (ORANGE, "^-"), (GREEN, "v:"), (GREY, "d-."))
    for (part, found), (color, marker) in zip(inner.items(), looks, strict=True):
        label = "the whole attention" if part == "all" else part
        plotting.interval(axis, range(12), rows(found, "normalised"), label=label, color=color, marker=marker, linewidth=1.2)
    axis.set_yscale("symlog", linthresh=0.02)
    axis.set_xlabel("layer")
    axis.set_ylabel("normalised\nlogit difference")
    axis.set_xticks(range(12))
    axis.legend(fontsize=8, frameon=False, ncols=3)
    return plotting.shown(figure, "Queries, keys, values and patterns patched one at a time, by layer", palette=256)


def patterns(picture: Tensor, seen: Iterable[Tensor]) -> Shown:
    """A picture (3, H, W), and maps of whom the class token hears in four heads."""
    figure, axes = plotting.new(7.5, 1.9, 1, 5)
    plotting.picture(axes[0], picture, "clean")
    for head, (axis, heard) in enumerate(zip(axes[1:], seen, strict=True)):
        plotting.picture(axis, heard, f"head {head}", cmap=plotting.SEQUENTIAL, vmin=0)
    description = "What the class token listens to in layer 3: four heads' patterns over the six by six places"
    return plotting.shown(figure, description, palette=256)


@torch.no_grad()
def surest(model: nn.Module, size: int) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Three photographs of which a classifier is surest, each of another class: (3, 3, size, size), classes (3,), and names.

    They are the learner's own, or the course's if the classifier sees less than three classes in those.
    """
    samples = photos.samples()
    for shown in (photos.gallery(size, limit=24), None):
        names = tuple(samples) if shown is None else shown.names
        images = torch.cat([sample(size) for sample in samples.values()]) if shown is None else shown.images
        sure, said = model(images).softmax(dim=1).max(dim=1)
        best = {int(said[row]): row for row in sure.argsort().tolist()}  # the surest of a class comes last and stays
        rows = sorted(best.values(), key=lambda row: -float(sure[row]))[:3]
        if len(rows) == 3:
            break
    else:
        raise ValueError("The classifier sees less than three classes in the photographs: choose another one.")
    return images[rows], said[rows], tuple(names[row] for row in rows)


@torch.no_grad()
def changed(model: nn.Module, layer: str, clean: Tensor, corrupted: Tensor) -> Tensor:
    """The distance of two runs at each place of a layer, over the length of the first activation: (7, 7), mean of the pairs."""
    maps = []
    for images in (clean, corrupted):
        with capture(model, layer, stop=True) as acts:
            model(images)
        layout = layout_of(model, layer, acts[layer], images=images)
        some = layout.to_maps(acts[layer])
        maps.append(some if layout.axes == 4 else some[..., layout.special :].unflatten(-1, layout.grid).flatten(2, 3))
    difference, length = ((each**2).sum(dim=1) for each in (maps[0] - maps[1], maps[0]))
    return functional.adaptive_avg_pool2d((difference / length).sqrt(), 7).mean(dim=0)


def collages(photographs: Tensor, cut: Mapping[str, Mapping], stages: Sequence[str]) -> Shown:
    """Two kinds of collage: an example, where the runs differ after the last stage, what single places of it give back, and
    what all places of a region give back by stage.

    Args:
        photographs: (2, 3, H, W), of which the first collage of either kind was made.
        cut: by "middle" and "frame", what was exchanged: "collage" (pairs, 3, H, W); "total" (pairs,); "changed" (7, 7);
            "squares" (pairs, 49), what a patch of each gives back of the logit difference; and, (pairs, stages), the same of
            the "middle", of the "frame", and of a "third" photograph in the place of what was exchanged.
        stages: names of the patched layers.
    """
    figure, axes = plotting.new(11, 5.2, 2, 5, gridspec_kw={"width_ratios": [1, 1, 1.15, 1.2, 2.5]})
    short = [stage.rpartition(".")[2] for stage in stages]
    given_back = {edit: part["squares"].mean(dim=0).view(7, 7) / part["total"].mean() for edit, part in cut.items()}
    differ, most = (float(max(each.abs().max() for each in maps)) for maps in
                    ([part["changed"] for part in cut.values()], given_back.values()))  # fmt: skip
    for (edit, part), row, photograph, title in zip(cut.items(), axes, photographs, ("clean", "the other one"), strict=True):
        plotting.picture(row[0], photograph, title)
        plotting.picture(row[1], part["collage"][0], f"corrupted: the\nother one's {edit}")
        title = f"stage {short[-1]}: relative\ndifference"
        drawn = plotting.picture(row[2], part["changed"], title, cmap=plotting.SEQUENTIAL, vmin=0, vmax=differ)
        figure.colorbar(drawn, ax=row[2], shrink=0.55)
        title = f"stage {short[-1]}: what one\nplace gives back"
        drawn = plotting.picture(row[3], given_back[edit], title, cmap=plotting.DIVERGING, vmin=-most, vmax=most)
        figure.colorbar(drawn, ax=row[3], shrink=0.55)
        for each, colour in zip(row[2:4], ("white", "black"), strict=True):
            plotting.box(each, 1, 1, 5, 5, colour)
        looks = {
            "middle": (BLUE, "o-", "middle"),
            "frame": (ORANGE, "s--", "frame"),
            "third": (GREY, "^:", f"a third's {edit}"),
        }
        for what, (colour, marker, label) in looks.items():
            if what != "third":
                row[4].plot((part[what] / part["total"][:, None]).T, color=colour, linewidth=0.6, alpha=0.5)
            row[4].plot(part[what].mean(dim=0) / part["total"].mean(), marker, color=colour, markersize=5, label=label)
        row[4].axhline(0, color="black", linewidth=0.6)
        row[4].set_xticks(range(len(stages)), short)
        row[4].set_ylim(-0.4, 1.75)
        row[4].set_ylabel("share of the\ntotal effect")
        row[4].legend(fontsize=8, frameon=False, loc="upper left", ncols=3, columnspacing=1, handlelength=1.7)
    axes[1, 4].set_xlabel("stage after which all these places are patched")
    description = "Two collages, where the runs differ, what single places give back, and middle and frame patched by stage"
    return plotting.shown(figure, description, jpeg=True)
