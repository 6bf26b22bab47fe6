"""The longer figures and tables of lesson 02, made from what its cells have computed, so that those stay short."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from vizcourse import plotting
from vizcourse.lessons.feature_visualization import legibility, study
from vizcourse.lessons.feature_visualization.pictures import Blends
from vizcourse.methods.intervals import bootstrap, wilson
from vizcourse.models import card
from vizcourse.plotting import Shown
from vizcourse.worlds import scenes

_LOOKS = ((plotting.BLUE, "-"), (plotting.RED, "--"), (plotting.GREY, ":"))


def power_spectrum(images: Tensor, bins: int = 24) -> tuple[Tensor, Tensor]:
    """The mean power of the waves in each band of frequency, of pictures or gradients ``(N, 3, H, W)``.

    Returns:
        the bands' middles in cycles per pixel, and the powers, ``(bins,)`` each.
    """
    height, width = images.shape[2:]
    power = torch.fft.fft2(images - images.mean((2, 3), keepdim=True)).abs().square().mean((0, 1)) / (height * width)
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None])
    edges = torch.linspace(1 / height, 0.5, bins + 1)
    band = torch.bucketize(frequency, edges)
    return (edges[1:] + edges[:-1]) / 2, torch.stack([power[band == number].mean() for number in range(1, bins + 1)])


def spectra(batches: Mapping[str, Tensor]) -> Shown:
    """The power spectra of up to three batches of pictures."""
    figure, axes = plotting.new(6.5, 2.8)
    for (label, batch), (colour, line) in zip(batches.items(), _LOOKS, strict=False):
        axes.semilogy(*power_spectrum(batch), color=colour, linestyle=line, label=label)
    axes.set_xlabel("frequency (cycles per pixel)")
    axes.set_ylabel("mean power of a wave")
    axes.legend(frameon=False, fontsize=9)
    description = "Power against frequency: it falls far more steeply in pictures than in the optimised picture"
    return plotting.shown(figure, description)


def metrics(picture: Tensor, steps: Mapping[str, Tensor]) -> Shown:
    """A picture ``(3, H, W)``, three steps from it ``(1, 3, H, W)``, and their spectra."""
    figure, axes = plotting.new(10.5, 2.3, 1, 5, gridspec_kw={"width_ratios": [1, 1, 1, 1, 1.2]})
    plotting.picture(axes[0], picture, "picture")
    for place, (title, step), (colour, line) in zip(axes[1:4], steps.items(), reversed(_LOOKS), strict=True):
        plotting.picture(place, 0.5 + 0.15 * step[0] / step.std(), title)
        at, power = power_spectrum(step)
        axes[4].semilogy(at, power / power[0], color=colour, linestyle=line, label=title)
    axes[4].set_xlabel("frequency (cycles per pixel)")
    axes[4].set_ylabel("power (first: 1)")
    axes[4].legend(frameon=False, fontsize=7)
    return plotting.shown(figure, "One picture, its gradient under three metrics, and their spectra", jpeg=True)


def print_differences(book: Mapping, apart: Callable[[str, str], str]) -> None:
    """Two tables of how optimisers fare: fine noise at equal excitation, way against way; and where each way ends.

    Args:
        book: the study's ``"optimizers"``.
        apart: the difference in fine noise between two ways, with its interval, in words.
    """
    rows = [("waves in place of pixels, plain steps", "waves, plain", "pixels, plain"),
            ("waves in place of pixels, Adam", "waves, Adam", "pixels, Adam"),
            ("Adam in place of plain steps, pixels", "pixels, Adam", "pixels, plain"),
            ("Adam in place of plain steps, waves", "waves, Adam", "waves, plain"),
            ("waves with Adam in place of pixels with plain steps", "waves, Adam", "pixels, plain"),
            ("control: waves without 1/f in place of pixels, plain", "unscaled waves, plain", "pixels, plain"),
            ("with all regularisers: Adam in place of plain steps", "all, Adam", "all, plain")]  # fmt: skip
    print(f"{'fine noise at equal excitation, percentage points':<60}difference (95 % interval)")
    for label, first, second in rows:
        print(f"{label:<60}{apart(first, second)}")
    print(f"\n{'':<20}{'after 64 steps, times the strongest':>36}{'left when moved, at once the strongest':>42}")
    for name, arm in book["arms"].items():
        if name != "unscaled waves, plain":
            moved = [share for share in arm["left when moved"] if share is not None]
            print(f"{name:<20}{torch.tensor(arm['end'])[:, 0].median():>36.1f}{format(bootstrap(moved), '.0%'):>42}")


def print_noise(book: Mapping, name: str, level: float = 1.0) -> None:
    """Fine noise where the channels' means are those of the strongest picture, four ways to climb, with intervals."""
    place = book["levels"].index(level)
    ways = ("pixels, plain", "pixels, Adam", "waves, plain", "waves, Adam")
    rows = [[row[place] for row in book["arms"][way]["fine"]] for way in ways]
    values = torch.tensor([[float("nan") if value is None else value for value in row] for row in rows])
    together = values.isfinite().all(0)
    print(f"{name}: fine noise at equal excitation, mean of the {int(together.sum())} channels that all four ways raise so far")
    for way, row in zip(ways, values, strict=True):
        print(f"  {way:<14} {bootstrap(row[together]):.1%}")
    more = bootstrap(100 * (values[3] - values[2])[together])
    print(f"  in waves, Adam in place of plain steps: {more:+.1f} percentage points")


def print_raised(raised: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """How many pictures outdo 99.9 % of all pictures, for their own channel and for another, each with Wilson's interval."""

    def passing(shares: Sequence[float]) -> str:
        count = sum(share > 0.999 for share in shares)
        found = wilson(count, len(shares))
        return f"{count:>2} of {len(shares)} ({found.low:.0%} to {found.high:.0%})"

    print(f"{'':<26}{'own picture > 99.9 %':<26}{'another channel’s > 99.9 %':<29}times the strongest picture")
    for name, each in raised.items():
        times = torch.tensor(each["times"]).median()
        print(f"{name:<26}{passing(each['own']):<26}{passing(each['neighbour']):<29}{times:.1f} (median)")


def blend_curves(blends: Blends) -> tuple[Shown, list[float]]:
    """What both units of each pair answer to their blends, against the angle; and what each keeps at 45°."""
    figure, axes = plotting.new(10, 2.6, 1, len(blends.pairs), sharex=True, sharey=True)
    kept = []
    for number, (place, pair) in enumerate(zip(axes, blends.pairs, strict=True)):
        both = blends.values(number)
        both = both / torch.stack([both[0, 0], both[-1, 1]])  # what each unit gets from a picture of its own: 1
        for column, colour, line, name in [(0, plotting.BLUE, "-o", "A"), (1, plotting.ORANGE, "--s", "B")]:
            label = f"{name}: channel {pair[column][1]}"
            place.plot(blends.angles, both[:, column], line, color=colour, label=label, markersize=4)
        middle = both[blends.angles.index(45)]
        kept += middle.tolist()
        place.axvline(45, color=plotting.GREY, linewidth=1, linestyle=":")
        place.set_title(f"{pair[0][0]}: {middle[0]:.2f} and {middle[1]:.2f} at 45°", fontsize=9)
        place.set_xticks(blends.angles)
        place.set_xlabel("angle (degrees)")
        place.legend(frameon=False, fontsize=7, loc="lower center")
    axes[0].set_ylim(0, 1.15)
    axes[0].set_ylabel("mean of the channel\n(its own picture: 1)")
    shown = plotting.shown(figure, "How strongly blended pictures excite both units, against the angle, for four pairs")
    return shown, kept


# ------------------------------------------------------------------------------------------------- legible networks

#: For the first figure, chosen by us: places on the page of the ImageNet network, and classes of the scenes world.
_FIRST = (3, 6, 10, 12, 15, 23)
_FIRST_CLASSES = ("fire engine", "toadstool", "goldfish", "house", "tree", "sailing boat")
#: How many classes the lot draws for the figure of legible ones.
DRAWN = 8


def hero() -> Shown:
    """Units of the ImageNet network from early to late, and classes of the robust network of the scenes world."""
    page, units = legibility.page(), legibility.page_units()
    classes = legibility.classes(legibility.NETWORKS[0], legibility.PLAIN)[:, 0]
    above = [(page[place], _unit(*units[place])) for place in _FIRST]
    below = [(classes[scenes.CLASSES.index(name)], f"the class\n{name}") for name in _FIRST_CLASSES]
    pictures, titles = zip(*above, *below, strict=True)
    description = "What excites units of an ImageNet network, from stripes to a butterfly, and classes of a network of drawings"
    return plotting.images(pictures, titles, columns=6, size=1.6, jpeg=True, description=description)


def _unit(layer: str, number: int) -> str:
    if layer:
        return f"{layer}\nchannel {number}"
    return f"the class\n{card(legibility.IMAGENET)['classes'][number]}"


def print_named(named: Mapping[str, Mapping[str, Sequence[Sequence[int]]]]) -> None:
    """Which share of the class logits' pictures each observer names right, by network and way, with intervals over classes."""
    print(f"{'pictures of':<26}{'made at':<15}" + "".join(f"{f'named by {name}':<28}" for name in legibility.OBSERVERS))
    for network in legibility.NETWORKS:
        for way in legibility.WAYS:
            seen = named[f"{network}, {way}"]
            cells = "".join(f"{format(legibility.right(seen[name]), '.0%'):<28}" for name in legibility.OBSERVERS)
            print(f"{network:<26}{way:<15}{cells}".rstrip())
    print("robust less ordinary, class by class")
    for way in legibility.WAYS:
        robust, plain = (named[f"{network}, {way}"] for network in legibility.NETWORKS[:2])
        differences = (legibility.shares(robust[name]) - legibility.shares(plain[name]) for name in legibility.OBSERVERS)
        print(f"{'':<26}{way:<15}" + "".join(f"{format(bootstrap(each), '+.0%'):<28}" for each in differences).rstrip())
    robust, plain = (named[f"{network}, {legibility.SHOWN}"] for network in legibility.NETWORKS[:2])
    for network, seen in zip(legibility.NETWORKS, (robust, plain), strict=False):
        cells = ", ".join(f"{name} names {legibility.right(seen[name]):.0%}" for name in legibility.NETWORKS[:2])
        print(f"of the pictures of {network}, {cells}")


def legible_classes() -> Shown:
    """The same classes, drawn by lot: the robust network in two ways, the ordinary, the untrained; a tick: named right."""
    chance = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(scenes.CLASSES), generator=chance)[:DRAWN].tolist()
    pictures, titles = [], []
    first, *others = legibility.NETWORKS
    for network, way in ((first, legibility.SHOWN), (first, legibility.PLAIN), *((each, legibility.SHOWN) for each in others)):
        every = legibility.classes(network, way)[:, 0]
        seen = study.STUDY.stored("named/classes")[f"{network}, {way}"][legibility.OBSERVERS[0]]
        for number in chosen:
            pictures.append(every[number])
            titles.append(f"{scenes.CLASSES[number]} {'✓' if seen[number][0] == number else '–'}")
    return plotting.images(
        pictures,
        titles,
        columns=DRAWN,
        size=1.15,
        jpeg=True,
        description="Eight classes, drawn by lot: what the robust network, the ordinary and an untrained one want to see",
    )


def print_channels(found: Mapping[str, Mapping[str, Sequence[int]]]) -> None:
    """Whether channels' pictures are named after the class that excites the channel most, more than after another channel's."""
    count = legibility.EACH * len(legibility.LAYERS)
    print(f"{count} channels by lot: named after the class that excites the channel most, above another channel's of the layer")
    for network, seen in found.items():
        cells = ", ".join(
            f"{name} {legibility.above_others(seen[name], seen['exciting']):+.0%}" for name in legibility.OBSERVERS
        )
        print(f"  {network:<26}{cells}")


def print_costs() -> None:
    """What the two trained networks can do, from their cards."""
    robust, plain = (card(name)["figures"] for name in legibility.NETWORKS[:2])
    changed = "accuracy under perturbations of length 1"
    rows = {
        "held-out pictures": (robust["accuracy"], plain["accuracy"]),
        "each changed by length 1": (robust[changed], robust[f"{changed}, of googlenet-scenes"]),
    }
    for name, both in rows.items():
        cells = (f"{each['value']:.1%} ({each['low']:.1%} to {each['high']:.1%})" for each in both)
        print("accuracy, {}: robust {}, ordinary {}".format(name, *cells))


def imagenet_page() -> Shown:
    """Three channels of each layer of the ImageNet network, by lot, and three classes."""
    titles = [_unit(*unit) for unit in legibility.page_units()]
    description = "What units of an ImageNet network want to see: edges and textures first, then shapes, then classes"
    return plotting.images(list(legibility.page()), titles, columns=6, size=1.5, jpeg=True, description=description)
