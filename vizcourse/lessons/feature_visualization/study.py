"""The study of lesson 02: are the pictures that feature visualization makes true of the network?

`vizcourse study 02` runs it (half an hour on two cores). The functions are those that the lesson calls on a few channels.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vizcourse.hooks import capture
from vizcourse.lessons.feature_visualization import legibility
from vizcourse.lessons.feature_visualization import pictures as library
from vizcourse.lessons.feature_visualization.pictures import (
    PICTURES,
    SEED,
    STEPS,
    answers,
    blends,
    directions,
    noise_share,
    paths,
    pictures,
)
from vizcourse.methods import feature_visualization as fv
from vizcourse.methods.image_parameters import cut
from vizcourse.models import WeightsError, load, untrained
from vizcourse.models.training import at_size
from vizcourse.studies import Cell, Part, Study, kept
from vizcourse.worlds import scenes

CONTROL_PICTURES = 2_000
LAYERS = ("inception3a", "inception4a", "inception4c")
TWINS = ("scenes-small-0", "scenes-small-1")
TWIN_LAYERS = ("layer2", "layer3")
TRANSFORMER_LAYERS = ("encoder.layers.encoder_layer_3", "encoder.layers.encoder_layer_7")
STRIPE_LAYERS = ("conv3", "inception3b")
#: Excitation at which optimisers are compared, in multiples of the strongest of all pictures.
LEVELS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
# The weight of total variation with which the pictures of `googlenet-scenes` become legible.
SMOOTHNESS = 2.0


def drawn_by_lot(sizes: dict[str, int], count: int, seed: int = 0) -> list[tuple[str, int]]:
    """``count`` channels of each layer, by lot: nobody has chosen the pretty ones."""
    chance = random.Random(seed)
    return [(layer, number) for layer, channels in sizes.items() for number in sorted(chance.sample(range(channels), count))]


def visualize(model: nn.Module, units: Sequence[tuple[str, int]], image: fv.Image, *, smoothness: float = SMOOTHNESS,
              steps: int = STEPS, at_once: int = 8, **options) -> Tensor:  # fmt: skip
    """A picture of each ``(layer, channel)``, ``(units, 3, height, width)``."""
    made: dict[int, Tensor] = {}
    for layer in dict.fromkeys(layer for layer, _ in units):
        places = [place for place, (name, _) in enumerate(units) if name == layer]
        for start in range(0, len(places), at_once):
            some = places[start : start + at_once]
            goals = [fv.channel(*units[place]) - smoothness * fv.total_variation() for place in some]
            made |= zip(some, fv.render(model, goals, image=image, steps=steps, **options).images, strict=True)
    return torch.stack([made[place] for place in range(len(units))])


def rank(value: Tensor, among: Tensor) -> Tensor:
    """Which share of ``among``, ``(pictures, units)``, lies below each ``value``, ``(units,)``."""
    return (among < value).float().mean(0)


# ------------------------------------------------------------------------------------- does it raise its channel?


@dataclass(frozen=True)
class Raised:
    """For each unit, which share of the pictures lies below its own visualization, and below that of the next unit."""

    own: Tensor
    neighbour: Tensor
    times: Tensor  # the channel's mean on its visualization, in multiples of the strongest picture's


def raised(model: nn.Module, units: Sequence[tuple[str, int]], made: Tensor, seen: dict[str, Tensor]) -> Raised:
    """Compare visualizations ``made`` with the channels' answers to pictures, ``seen`` (:func:`answers`)."""
    among = torch.stack([seen[layer][:, number] for layer, number in units], 1)
    shown = answers(model, list(seen), made)
    values = torch.stack([shown[layer][:, number] for layer, number in units], 1)  # (pictures, units)
    # The picture of another channel of the same layer: does it do as well?
    order = list(range(len(units)))
    other = [next(k for k in order[n + 1 :] + order[: n + 1] if units[k][0] == units[n][0]) for n in order]
    return Raised(
        rank(values.diagonal(), among), rank(values[other, order], among), values.diagonal() / among.amax(0).clamp_min(1e-6)
    )


# ------------------------------------------------------------------------------- does it hold in another network?


def partners(seen: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """For each channel of ``seen`` ``(pictures, channels)``, the channel of another network that varies most alike.

    Returns:
        its number and the correlation over the pictures, ``(channels,)`` each.
    """
    standard = [(each - each.mean(0)) / each.std(0).clamp_min(1e-6) for each in (seen, others)]
    correlation, number = (standard[0].T @ standard[1] / (len(seen) - 1)).max(1)
    return number, correlation


# ------------------------------------------------------------------------ do stripe channels get striped pictures?

ANGLES = tuple(range(0, 180, 15))
OTHER_TEXTURES = (("plain", 0), ("dots", 0), ("noise", 0), ("checks", 0), ("checks", 45), ("bricks", 0), ("bricks", 45))


def textured(count: int = 32, seed: int = 21) -> Tensor:
    """The same scenes with stripes at each of ``ANGLES`` and with every other texture: ``(conditions, count, 3, 96, 96)``."""
    fixed = {"material": "matte", "rotation": 0, "mirrored": False, "facing": "right", "stretch": 1.0, "size": 0.76}
    base = scenes.sample(count, seed, object=("house", "umbrella", "sailing boat", "church"), texture_scale=1.0, **fixed)
    conditions = [("stripes", angle) for angle in ANGLES] + list(OTHER_TEXTURES)
    return torch.stack(
        [scenes.render([each.replace(texture=name, texture_angle=angle) for each in base]) for name, angle in conditions]
    )


def stripe_effect(model: nn.Module, layer: str, images: Tensor) -> tuple[Tensor, Tensor]:
    """How much more a channel answers to stripes than to the next best texture, when nothing else is changed.

    Args:
        images: of :func:`textured`. The best angle is found on the first half of the scenes, the effect on the second.

    Returns:
        effect: difference over its standard deviation between scenes, the smallest over all other textures, ``(channels,)``.
        angle: number of the best angle in ``ANGLES``, ``(channels,)``.
    """
    each = answers(model, [layer], images.flatten(0, 1), progress=False)[layer].unflatten(0, images.shape[:2])
    half = images.shape[1] // 2
    angle = each[: len(ANGLES), :half].mean(1).argmax(0)
    numbers = torch.arange(each.shape[2])
    difference = each[angle, half:, numbers].T - each[len(ANGLES) :, half:]
    return (difference.mean(1) / difference.std(1).clamp_min(1e-6)).amin(0), angle


def stripedness(images: Tensor, side: int = 32, band: tuple[float, float] = (0.06, 0.35)) -> tuple[Tensor, Tensor]:
    """How far the waves in each part of a picture run one way, and which way.

    In windows of ``side`` pixels, the power ``P`` of the waves in a band of frequencies (cycles a pixel) is summed as arrows of
    twice their angle, ``z = Σ P exp(2i angle)``; the angle is doubled because a wave has no front. Stripes give ``|z| = ΣP``.

    Returns:
        ``Σ|z| / ΣΣP`` over the windows, 0 (all ways alike) to 1 (stripes); and the angle of ``Σz`` in degrees, 0 to 180:
        0 for waves that run along a row (vertical stripes), counted clockwise.
    """
    grey = images.float().mean(1)
    windows = grey.unfold(1, side, side // 2).unfold(2, side, side // 2).flatten(1, 2)
    taper = torch.hann_window(side, periodic=False)
    windows = (windows - windows.mean((2, 3), keepdim=True)) * taper * taper[:, None]
    power = torch.fft.fft2(windows).abs().square()
    down, across = torch.fft.fftfreq(side)[:, None], torch.fft.fftfreq(side)[None]
    frequency = torch.hypot(down, across)
    power = power * ((frequency >= band[0]) & (frequency <= band[1]))
    arrows = (power * torch.exp(2j * torch.atan2(down, across))).sum((2, 3))
    angle = arrows.sum(1).angle().rad2deg() / 2 % 180
    return arrows.abs().sum(1) / power.sum((1, 2, 3)).clamp_min(1e-12), angle


def angle_between(first: Tensor, second: Tensor) -> Tensor:
    """The angle between two lines, 0 to 90 degrees; 45 on average by chance."""
    difference = (first - second).abs() % 180
    return torch.minimum(difference, 180 - difference)


# ------------------------------------------------------------------------------------------------------- the study


def _rounded(values: Tensor, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]


def _recipe(images: Tensor) -> fv.Image:
    return fv.fourier(images.shape[-1], colours=fv.colour_matrix(images[:500].float() / 255))


@functools.cache
def _legible(count: int, each: int) -> tuple[list[tuple[str, int]], dict[str, Tensor], Tensor]:
    """The units that the lot has chosen, the network's answers to all pictures, and the units' visualizations."""
    every, model = pictures(count), load("googlenet-scenes")
    seen = answers(model, LAYERS, every)
    units = drawn_by_lot({layer: values.shape[1] for layer, values in seen.items()}, each)
    return units, seen, visualize(model, units, _recipe(every), progress=False)


def measure_raised(count: int = PICTURES, each: int = 8) -> dict:
    """Does a visualization raise its channel above (nearly) all pictures?"""
    every = pictures(count)
    model, control = load("googlenet-scenes"), untrained("googlenet-scenes", every[:512])
    units, seen, made = _legible(count, each)
    naive = visualize(model, units, fv.pixels(96), smoothness=0, transformations=(), progress=False)
    control_seen = answers(control, LAYERS, every[:CONTROL_PICTURES])
    control_made = visualize(control, units, _recipe(every), progress=False)
    found: dict = {"units": [list(unit) for unit in units]}
    for name, network, shown, among in (
        ("trained, legible", model, made, seen),
        ("trained, naive", model, naive, seen),
        ("random weights, legible", control, control_made, control_seen),
    ):
        result = raised(network, units, shown, among)
        found[name] = {
            "pictures": len(among[LAYERS[0]]),
            "own": _rounded(result.own, 5),
            "neighbour": _rounded(result.neighbour, 5),
            "times": _rounded(result.times, 3),
        }
    return found


def measure_stripes(count: int = PICTURES, each: int = 10) -> dict:
    """Do channels that answer to stripes get striped pictures?"""
    every, images = pictures(count), textured()
    model, control, image = load("googlenet-scenes"), untrained("googlenet-scenes", every[:512]), _recipe(every)
    plain = images[len(ANGLES)]
    found = {
        "textures": {
            name: round(float(stripedness(each - plain)[0].mean()), 3)
            for (name, _), each in zip([("stripes", 0), *OTHER_TEXTURES[1:]], images[[0, *range(len(ANGLES) + 1, len(images))]],
                                       strict=True)
        }
    }  # fmt: skip
    for name, network in (("trained", model), ("random weights", control)):
        chosen, rest, angles, effects = [], [], [], []
        for layer in STRIPE_LAYERS:
            effect, angle = stripe_effect(network, layer, images)
            order = effect.argsort(descending=True)
            top = order[:each].tolist()
            chosen += [(layer, number) for number in top]
            angles += [ANGLES[number] for number in angle[top].tolist()]
            effects += effect[top].tolist()
            # As many of the others, by lot.
            low = [number for number in range(len(effect)) if effect[number] < 0]
            rest += [(layer, number) for number in random.Random(0).sample(low, each)]
        made = visualize(network, chosen + rest, image, at_once=10, progress=False)
        amount, angle = stripedness(made)
        turn = angle_between(angle[: len(chosen)], torch.tensor(angles))
        found[name] = {
            "units": [list(unit) for unit in chosen],
            "others": [list(unit) for unit in rest],
            "effect": _rounded(torch.tensor(effects), 3),
            "angle": _rounded(torch.tensor(angles), 1),
            "striped": _rounded(amount[: len(chosen)], 3),
            "others striped": _rounded(amount[len(chosen) :], 3),
            "turn": _rounded(turn, 1),
        }
    return found


def _transferred(units: Sequence[tuple[str, int]], made: Tensor, seen: dict[str, Tensor], network: nn.Module,
                 layers: Sequence[str], images: Tensor) -> dict:  # fmt: skip
    """How far another network's like-minded channels are raised by ``made``, the visualizations of ``units``."""
    their = torch.cat(list(answers(network, layers, images).values()), 1)
    shown = torch.cat(list(answers(network, layers, made).values()), 1)
    found: dict[str, list[Tensor]] = {"correlation": [], "rank of the partner": [], "rank of the median channel": []}
    for row, (layer, number) in enumerate(units):
        partner, correlation = partners(seen[layer][: len(images), number : number + 1], their)
        ranks = rank(shown[row], their)
        for values, value in zip(found.values(), (correlation[0], ranks[partner[0]], ranks.median()), strict=True):
            values.append(value)
    return {name: _rounded(torch.stack(values), 5) for name, values in found.items()}


def measure_transfer(count: int = PICTURES, each: int = 8) -> dict:
    """Does a visualization raise the like-minded channel of a network trained from another seed, or of another kind?"""
    images, control = pictures(count)[:CONTROL_PICTURES], "random weights"
    units, seen, made = _legible(count, each)
    found: dict = {
        f"googlenet-scenes to vit-scenes{extra}": _transferred(units, made, seen, network, TRANSFORMER_LAYERS, images)
        for extra, network in (("", load("vit-scenes")), (f", {control}", load("vit-scenes", random=True)))
    }
    small = at_size(pictures(count), 64)
    try:
        first, second = (load(name) for name in TWINS)
    except WeightsError as reason:
        print(f"without the twins: {reason}")
        return found
    seen = answers(first, TWIN_LAYERS, small)
    units = drawn_by_lot({layer: values.shape[1] for layer, values in seen.items()}, each * 3 // 2)
    made = visualize(first, units, _recipe(small), at_once=12, progress=False)
    for extra, network in (("", second), (f", {control}", untrained(TWINS[1], small[:512]))):
        found[f"{TWINS[0]} to {TWINS[1]}{extra}"] = _transferred(units, made, seen, network, TWIN_LAYERS, small)
    return found


@torch.no_grad()
def features(observer: nn.Module, images: Tensor) -> Tensor:
    """What a vision transformer makes of pictures: its class token and the mean of its other tokens, ``(N, 2 · width)``."""
    found = []
    with capture(observer, "encoder", stop=True) as acts:
        for batch in images.split(50):
            observer(batch.float() / 255 if batch.dtype == torch.uint8 else batch)
            found.append(torch.cat([acts["encoder"][:, 0], acts["encoder"][:, 1:].mean(1)], 1))
    return torch.cat(found)


def measure_observer(count: int = PICTURES, each: int = 8) -> dict:
    """Which of two pictures excites a unit more? A machine decides, from examples or from the visualization.

    After the experiment with people of Borowski et al. (2021). The observer is another network, which knows nothing of the
    first: it takes the picture that is more like what it was shown, by the cosine of its own, standardised features.
    """
    every = pictures(count)
    units, seen, made = _legible(count, each)
    chance = torch.Generator().manual_seed(0)
    scores: dict[str, list[float]] = {"nine pictures": [], "one picture": [], "visualization": [], "a picture by lot": []}
    look = _eye(every[:500])
    for row, (layer, number) in enumerate(units):
        order = seen[layer][:, number].argsort(descending=True)
        strong, weak, top = look(every[order[20:40]]), look(every[order[-20:]]), every[order[:9]]
        by_lot = every[torch.randint(len(every), (1,), generator=chance)]
        for name, shown in zip(scores, (top, top[:1], made[row : row + 1], by_lot), strict=True):
            scores[name].append(_right_choices(look(shown), strong, weak))
    return scores


def _eye(usual: Tensor) -> Callable[[Tensor], Tensor]:
    """How the observer sees pictures: its features as directions, measured from those of ``usual`` pictures."""
    observer = load("vit-scenes")
    known = features(observer, usual)
    return lambda images: nn.functional.normalize((features(observer, images) - known.mean(0)) / known.std(0), dim=1)


def _right_choices(shown: Tensor, strong: Tensor, weak: Tensor) -> float:
    """In which share of all pairs the strong picture is more like those ``shown`` than the weak one is."""
    right = (strong @ shown.T).mean(1)[:, None] > (weak @ shown.T).mean(1)[None]
    return round(float(right.float().mean()), 4)


# ------------------------------------------------------------------------------------ what does the optimiser do?


@dataclass(frozen=True)
class Climbed:
    """Paths of several units, read off where the excitation has reached each of some levels.

    Attributes:
        fine: the picture's share of fine noise where a level is first reached, between two steps in proportion;
            ``(units, levels)``, NaN where a unit never gets so far.
        steps: how many steps that took, ``(units, levels)``, or NaN.
        end: excitation and share of fine noise after the last step, ``(units, 2)``.
        pictures: the first with an excitation of ``shown`` or more, ``(units, 3, height, width)``; the last where there is
            none.
    """

    fine: Tensor
    steps: Tensor
    end: Tensor
    pictures: Tensor


def crossings(values: Tensor, levels: Sequence[float]) -> Tensor:
    """When a path ``(steps,)`` first reaches each level, in steps and parts of a step, ``(levels,)``; NaN: never."""
    found = []
    for level in levels:
        reached = (values >= level).nonzero()
        if not len(reached):
            found.append(float("nan"))
            continue
        last = int(reached[0])
        below = float(values[last - 1]) if last else float(values[0])
        found.append(last if last == 0 else last - 1 + (level - below) / (float(values[last]) - below))
    return torch.tensor(found)


def climb(
    model: nn.Module, goals: Sequence[fv.Objective], strongest: Tensor, penalty: fv.Objective | None = None, *,
    levels: Sequence[float] = LEVELS, shown: float = 1.0, at_once: int = 6, steps: int = STEPS, **options,
) -> Climbed:  # fmt: skip
    """Climb objectives and keep book of excitation (in multiples of ``strongest``, ``(goals,)``) and fine noise on the way."""
    parts = []
    for start in range(0, len(goals), at_once):
        some = list(goals[start : start + at_once])
        asked = some if penalty is None else [goal - penalty for goal in some]
        made = fv.render(model, asked, steps=steps, frames=steps + 1, progress=False, **options).frames  # (steps + 1, goals, …)
        for place, goal in enumerate(some):
            values = fv.evaluate(model, made[:, place], goal)[0].cpu() / strongest[start + place]
            noise = noise_share(made[:, place])
            when = crossings(values, levels)
            before = when.nan_to_num(0).floor().long()
            after = (before + 1).clamp_max(steps)
            fine = noise[before] + (when - before) * (noise[after] - noise[before])
            far = (values >= shown).nonzero()
            picture = made[int(far[0]) if len(far) else -1, place]
            parts.append((fine, when, torch.stack([values[-1], noise[-1]]), picture))
    return Climbed(*(torch.stack(each) for each in zip(*parts, strict=True)))


def left_when_moved(model: nn.Module, goals: Sequence[fv.Objective], images: Tensor, draws: int = 8) -> Tensor:
    """Which share of its excitation each goal keeps when its picture is shifted, scaled and turned a little, ``(goals,)``."""
    generator, found = torch.Generator().manual_seed(0), []
    for _ in range(draws):
        moved = images
        for transform in fv.DEFAULT:
            moved = transform(moved, generator)
        found.append(fv.evaluate(model, cut(moved, images.shape[2:]), list(goals)).diagonal())
    return torch.stack(found).mean(0).cpu() / fv.evaluate(model, images, list(goals)).diagonal().cpu()


#: The ways to climb that are compared: parameters, optimiser, and whether with all regularisers.
ARMS = {
    "pixels, plain": ("pixels", "sgd", False),
    "pixels, Adam": ("pixels", "adam", False),
    "waves, plain": ("waves", "sgd", False),
    "waves, Adam": ("waves", "adam", False),
    # Waves without the scale 1/f: another basis with the metric of pixels.
    "unscaled waves, plain": ("unscaled", "sgd", False),
    "all, plain": ("all", "sgd", True),
    "all, Adam": ("all", "adam", True),
}


def measure_optimizers(count: int = PICTURES, each: int = 4, name: str = "googlenet-scenes") -> dict:
    """Pixels and waves, each with plain steps and with Adam's: how much of the picture is fine noise at equal excitation?"""
    every, model = pictures(count), load(name)
    most = kept(
        ["02", "strongest", count, name],
        lambda: {layer: values.amax(0) for layer, values in answers(model, LAYERS, every).items()},
    )
    units = drawn_by_lot({layer: len(values) for layer, values in most.items()}, each)
    strongest = torch.stack([most[layer][number] for layer, number in units])
    found: dict = {"units": [list(unit) for unit in units], "levels": list(LEVELS), "arms": {}}
    for way in ARMS:
        found["arms"][way] = kept(
            ["02", "optimizers", way, count, each, name], lambda way=way: _arm(model, way, units, strongest, every)
        )
    return found


def _arm(model: nn.Module, way: str, units: Sequence[tuple[str, int]], strongest: Tensor, every: Tensor) -> dict:
    goals = [fv.channel(*unit) for unit in units]
    parameters, optimizer, regularised = ARMS[way]
    images = {
        "pixels": fv.pixels(96),
        "waves": fv.fourier(96, colours=None),
        "unscaled": fv.fourier(96, colours=None, decay=0),
        "all": _recipe(every),
    }
    result = climb(
        model, goals, strongest, SMOOTHNESS * fv.total_variation() if regularised else None, image=images[parameters],
        optimizer=optimizer, transformations=fv.DEFAULT if regularised else (),
    )  # fmt: skip
    reached = result.end[:, 0] >= 1
    moved = left_when_moved(model, goals, result.pictures)
    return {
        "fine": [_known(row, 5) for row in result.fine],
        "steps": [_known(row, 2) for row in result.steps],
        "end": [_rounded(row, 4) for row in result.end],
        "left when moved": [round(float(value), 4) if ok else None for value, ok in zip(moved, reached, strict=True)],
    }


def _known(values: Tensor, digits: int) -> list[float | None]:
    return [None if value != value else round(value, digits) for value in values.tolist()]


# --------------------------------------------------------------------------------------------------- measured again
#
# The first unit that the lot has chosen, and one of each kind of shipped picture. How strong a picture is in multiples of the
# strongest of 10,000 cannot be measured in seconds; how strong it is in multiples of another picture can.

UNIT = ("inception3a", 20)


@functools.cache
def _usual() -> Tensor:
    """The first of the study's pictures, with which the recipe's colours are mixed."""
    return pictures(500, keep=False)


@functools.cache
def _again(way: str) -> Tensor:
    """The unit's picture, ``(1, 3, 96, 96)``, made again: ``"legible"``, or one of :data:`ARMS` in pixels."""
    if way == "legible":
        return visualize(load("googlenet-scenes"), [UNIT], _recipe(_usual()), progress=False)
    return climb(load("googlenet-scenes"), [fv.channel(*UNIT)], torch.ones(1), image=fv.pixels(96), optimizer=ARMS[way][1],
                 shown=float("inf"), transformations=()).pictures  # fmt: skip


def _excited(images: Tensor, unit: tuple[str, int] = UNIT) -> Tensor:
    return fv.evaluate(load("googlenet-scenes"), images, fv.channel(*unit))[0]


def raised_again() -> list[Cell]:
    """Legible against naive, and the share of 100 pictures (of 10,000) that lie below."""
    stored = STUDY.stored("raised")
    legible, naive = stored["trained, legible"], stored["trained, naive"]
    value, plain = _excited(_again("legible")), _excited(_again("pixels, Adam"))
    below = _excited(_usual()[:100].float() / 255)
    return [
        Cell.near("legible over naive", value / plain, legible["times"][0] / naive["times"][0], 0.03),
        Cell.near("share below", (below < value).float().mean(), legible["own"][0], 0.01),
    ]


def stripes_again() -> list[Cell]:
    """The first channel for stripes and the first of the others."""
    stored = STUDY.stored("stripes")["trained"]
    units = [tuple(stored["units"][0]), tuple(stored["others"][0])]
    amount, _ = stripedness(visualize(load("googlenet-scenes"), units, _recipe(_usual()), progress=False))
    return [
        Cell.near("a channel for stripes", amount[0], stored["striped"][0], 0.04),
        Cell.near("another channel", amount[1], stored["others striped"][0], 0.04),
    ]


#: Of the 10,000 pictures, the nine that excite the unit most, the 21st to 40th, and the 20 that excite it least: to find them
#: takes minutes, so their numbers stand here.
_TOP = (5634, 3284, 8477, 1878, 2923, 1308, 3544, 8279, 7208)
_STRONG = (
    5513, 2258, 123, 2866, 9868, 6897, 1825, 9954, 1730, 2616,
    2226, 2632, 8835, 2107, 2768, 7152, 3093, 2677, 6107, 2167,
)  # fmt: skip
_WEAK = (2649, 8196, 9852, 6346, 2424, 6570, 8110, 4086, 1912, 4045, 3431, 7251, 4893, 8558, 5763, 5781, 6338, 1392, 7695, 4283)


def observer_again() -> list[Cell]:
    """The choices from nine pictures and from the visualization, the eye set by 250 pictures of 500; and the unit's order."""
    stored, source, look = STUDY.stored("observer"), scenes.Scenes(PICTURES, SEED), _eye(_usual()[:250])
    top, strong, weak = (scenes.render([source.scene(number) for number in some]) for some in (_TOP, _STRONG, _WEAK))
    excited = _excited(torch.cat([top, strong, weak]))
    shown, pairs = {"nine pictures": top, "visualization": _again("legible")}, (look(strong), look(weak))
    return [
        Cell.near(name, _right_choices(look(images), *pairs), stored[name][0], 0.04)
        for name, images in shown.items()
    ] + [Cell.near("order of the unit's pictures", bool((excited.diff() < 1e-4).all()), 1, 0)]


def transfer_again() -> list[Cell]:
    """With 250 of the 2,000 pictures, so not the best partner, which more pictures find more surely."""
    stored = STUDY.stored("transfer")["googlenet-scenes to vit-scenes"]
    images, layer = _usual()[:250], UNIT[0]
    seen = answers(load("googlenet-scenes"), [layer], images, progress=False)
    found = _transferred([UNIT], _again("legible"), seen, load("vit-scenes"), TRANSFORMER_LAYERS, images)
    return [Cell.near(name, found[name][0], stored[name][0], tolerance) for name, tolerance in (
        ("correlation", 0.1), ("rank of the median channel", 0.05))]  # fmt: skip


def robust_optimizers_again() -> Cell:
    """The fine noise at the end of one climb in the network that was trained against perturbations."""
    stored = STUDY.stored("optimizers of the robust network")
    model, goal = load("googlenet-scenes-robust"), fv.channel(*stored["units"][0])
    found = climb(model, [goal], torch.ones(1), image=fv.pixels(96), optimizer="sgd", transformations=())
    return Cell.near("fine noise, pixels and plain steps", found.end[0, 1], stored["arms"]["pixels, plain"]["end"][0][1], 0.02)


def optimizers_again() -> list[Cell]:
    """Two ways to climb, to their ends."""
    arms = STUDY.stored("optimizers")["arms"]
    (adam, adam_noise), (plain, plain_noise) = (arms[way]["end"][0] for way in ("pixels, Adam", "pixels, plain"))
    made = {way: _again(way) for way in ("pixels, Adam", "pixels, plain")}
    times = _excited(made["pixels, Adam"]) / _excited(made["pixels, plain"])
    return [
        Cell.near("Adam over plain steps", times, adam / plain, 0.03),
        Cell.near("fine noise, Adam", noise_share(made["pixels, Adam"]), adam_noise, 0.02),
        Cell.near("fine noise, plain steps", noise_share(made["pixels, plain"]), plain_noise, 0.02),
    ]


def paths_again() -> list[Cell]:
    """One path of the 192: the first unit's, with nothing on and plain steps."""
    layer, number, _ = paths().units[0]
    off = dict.fromkeys(library.SWITCHES, False)
    made = library.climbed(load("googlenet-scenes"), fv.channel(layer, number), tuple(off.values()), "sgd", None).images
    value, _, noise = paths().value(layer, number, **off)
    return [
        Cell.near("the unit's mean", _excited(made, (layer, number)), value, 0.02 * value),
        Cell.near("fine noise", noise_share(made), noise, 0.01),
    ]


def blends_again() -> list[Cell]:
    """The first pair: what is left of each unit's answer at 45°.

    The strongest of 10,000 pictures are not known here, but nearly so from what the shipped pure pictures excite.
    """
    images, values, place = blends().images(0), blends().values(0), blends().angles.index(45)
    pair, model = blends().pairs[0], load("googlenet-scenes")
    most = [float(_excited(images[[-unit]], pair[unit]) / values[-unit, unit]) for unit in (0, 1)]
    _, made = library.blended(model, pair, most, (0, 45, 90), fv.colour_matrix(_usual().float() / 255))
    return [
        Cell.near(f"unit {unit + 1}", made[1][unit] / made[-unit][unit], float(values[place, unit] / values[-unit, unit]), 0.04)
        for unit in (0, 1)
    ]


def directions_again() -> Cell:
    """One channel's picture, against the shipped one, which is compressed."""
    place = directions().kind.index("basis")
    vector = nn.functional.one_hot(torch.tensor([int(directions().names[place].split()[1])]), 512).float()
    made = library.pointed(load("googlenet-scenes"), vector, fv.colour_matrix(_usual().float() / 255))
    return Cell("correlation with the shipped picture", legibility.correlation(made, directions().image(place)[None]), 0.8, 1)


def legible_again() -> list[Cell]:
    """The first picture of three strips, against the shipped ones, which are compressed."""
    first, way = legibility.NETWORKS[0], "96 px, Adam"
    both = {
        "a class": (legibility.class_pictures(first, way, 1), legibility.classes(first, way)[:, 0]),
        "a channel": (legibility.channel_pictures(first, 1), legibility.channels(first)),
        "ImageNet": (legibility.page_pictures(1), legibility.page()),
    }
    return [Cell(f"correlation with the shipped picture: {name}", legibility.correlation(*pair), 0.8, 1)
            for name, pair in both.items()]  # fmt: skip


def named_again() -> list[Cell]:
    """How many of one network's classes the observers name."""
    stored, key = STUDY.stored("named/classes"), f"{legibility.NETWORKS[0]}, {legibility.SHOWN}"
    again = legibility.measure_classes([(legibility.NETWORKS[0], legibility.SHOWN)])[key]
    return [
        Cell.near(name, legibility.shares(seen).mean(), float(legibility.shares(stored[key][name]).mean()), 0.03)
        for name, seen in again.items()
    ]


def named_channels_again() -> list[Cell]:
    """What the observers see in the channels of one network, and that 500 pictures say the same of most channels' classes."""
    name = legibility.NETWORKS[0]
    stored, again = STUDY.stored("named/channels")[name], legibility.measure_channels(500, [name])[name]
    alike = {key: sum(map(int.__eq__, again[key], stored[key])) / len(stored[key]) for key in stored}
    return [Cell(f"alike: {key}", share, 0.6 if key == "exciting" else 0.95, 1) for key, share in alike.items()]


_FEW = {"count": 120, "each": 1}
STUDY = Study(
    __file__,
    {
        "raised": Part(measure_raised, quick=_FEW, cell=raised_again),
        "stripes": Part(measure_stripes, quick=_FEW, cell=stripes_again),
        "observer": Part(measure_observer, quick=_FEW, cell=observer_again),
        "transfer": Part(measure_transfer, quick=_FEW, cell=transfer_again),
        "optimizers": Part(measure_optimizers, quick=_FEW, cell=optimizers_again),
        "optimizers of the robust network": Part(
            measure_optimizers, {"name": "googlenet-scenes-robust", "count": CONTROL_PICTURES}, _FEW, robust_optimizers_again
        ),
    }
    | {
        name: Part(library.make, {"part": name}, {"count": 120, "only": 1}, again, file=library.FILE.name)
        for name, again in (("paths", paths_again), ("blends", blends_again), ("directions", directions_again))
    }
    | {
        "legible": Part(legibility.make, quick={"only": 1}, cell=legible_again, file=legibility.FILE.name),
        # After the pictures, which they grade.
        "named/classes": Part(legibility.measure_classes, quick={"only": [(legibility.NETWORKS[1], legibility.SHOWN)]},
                              cell=named_again),
        "named/channels": Part(legibility.measure_channels, quick={"count": 60, "networks": legibility.NETWORKS[1:2]},
                               cell=named_channels_again),
    },
    about={"pictures": PICTURES, "steps": STEPS},
)
results = STUDY.results
