"""The study of lesson 02: are the pictures that feature visualization makes true of the network?

    python -m vizcourse.lessons.feature_visualization.study [--cache FOLDER]

runs it whole (some twenty minutes on two cores) and writes `study.json` beside this file. The functions are
those that the lesson calls on a few channels. With a folder, what has been done is kept there, and a second call goes on.
"""

from __future__ import annotations

import argparse
import functools
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from vizcourse.hooks import capture
from vizcourse.lessons.feature_visualization.pictures import blends, directions, noise_share, paths
from vizcourse.methods.feature_visualization import (
    DEFAULT,
    Image,
    Objective,
    channel,
    colour_matrix,
    evaluate,
    fourier,
    pixels,
    render,
    total_variation,
)
from vizcourse.methods.image_parameters import cut
from vizcourse.models import load
from vizcourse.models.training import at_size
from vizcourse.models.zoo import WeightsError
from vizcourse.worlds import scenes

__all__ = ["blends", "directions", "noise_share", "paths", "results"]  # what widgets read; the rest is the study itself

RESULTS = Path(__file__).with_name("study.json")
PICTURES, SEED = 10_000, 7
CONTROL_PICTURES = 2_000
LAYERS = ("inception3a", "inception4a", "inception4c")
TWINS = ("scenes-small-0", "scenes-small-1")
TWIN_LAYERS = ("layer2", "layer3")
TRANSFORMER_LAYERS = ("encoder.layers.encoder_layer_3", "encoder.layers.encoder_layer_7")
STRIPE_LAYERS = ("conv3", "inception3b")
#: Excitation at which optimisers are compared, in multiples of the strongest of all pictures.
LEVELS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
STEPS = 64
# The weight of total variation with which the pictures of `googlenet-scenes` become legible.
SMOOTHNESS = 2.0


@functools.cache
def results() -> dict:
    """What the whole study has measured, as it is shipped."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def pictures(count: int = PICTURES, seed: int = SEED, *, size: int = 96, folder: Path | None = None) -> Tensor:
    """Scenes that no network has been trained on, ``(count, 3, size, size)``, uint8."""
    file = folder / f"scenes-{count}-{seed}.npz" if folder else None
    drawn = scenes.CachedScenes(count, seed, file=file, progress=True).pictures
    return drawn if size == drawn.shape[-1] else at_size(drawn, size)


def untrained(name: str, images: Tensor, seed: int = 0) -> nn.Module:
    """The network with random weights, its batch norms set on ``images`` (uint8), so that its units are as loud as others."""
    model = load(name, random=True, seed=seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over all batches
    model.train()
    with torch.no_grad():
        for batch in images.split(64):
            model(batch.float() / 255)
    return model.eval()


@torch.no_grad()
def answers(model: nn.Module, layers: Sequence[str], images: Tensor, *, progress: bool = True) -> dict[str, Tensor]:
    """The mean of each channel over each picture, ``{layer: (pictures, channels)}``; ``images`` as uint8 or float."""
    found: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    with capture(model, layers, stop=True) as acts:
        for batch in tqdm(images.split(50), "pictures", delay=3, leave=False, disable=not progress):
            model(batch.float() / 255 if batch.dtype == torch.uint8 else batch)
            for layer in layers:
                activation = acts[layer]  # of a transformer (pictures, tokens, channels), of class scores (pictures, classes)
                if activation.ndim > 2:
                    activation = activation.mean(1) if activation.ndim == 3 else activation.flatten(2).mean(2)
                found[layer].append(activation)
    return {layer: torch.cat(values) for layer, values in found.items()}


def drawn_by_lot(sizes: dict[str, int], count: int, seed: int = 0) -> list[tuple[str, int]]:
    """``count`` channels of each layer, by lot: nobody has chosen the pretty ones."""
    chance = random.Random(seed)
    return [(layer, number) for layer, channels in sizes.items() for number in sorted(chance.sample(range(channels), count))]


def visualize(model: nn.Module, units: Sequence[tuple[str, int]], image: Image, *, smoothness: float = SMOOTHNESS,
              steps: int = STEPS, at_once: int = 8, **options) -> Tensor:  # fmt: skip
    """A picture of each ``(layer, channel)``, ``(units, 3, height, width)``."""
    parts = []
    for layer in dict.fromkeys(layer for layer, _ in units):
        numbers = [number for name, number in units if name == layer]
        for start in range(0, len(numbers), at_once):
            goals = [channel(layer, number) - smoothness * total_variation() for number in numbers[start : start + at_once]]
            parts.append(render(model, goals, image=image, steps=steps, **options).images)
    return torch.cat(parts)


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


def _recipe(images: Tensor) -> Image:
    return fourier(images.shape[-1], colours=colour_matrix(images[:500].float() / 255))


@functools.cache
def _legible(folder: Path | None) -> tuple[list[tuple[str, int]], dict[str, Tensor], Tensor]:
    """The units that the lot has chosen, the network's answers to all pictures, and the units' visualizations."""
    every, model = pictures(folder=folder), load("googlenet-scenes")
    seen = answers(model, LAYERS, every)
    units = drawn_by_lot({layer: values.shape[1] for layer, values in seen.items()}, 8)
    return units, seen, visualize(model, units, _recipe(every), progress=False)


def study_raised(folder: Path | None) -> dict:
    """Does a visualization raise its channel above (nearly) all pictures?"""
    every = pictures(folder=folder)
    model, control = load("googlenet-scenes"), untrained("googlenet-scenes", every[:512])
    units, seen, made = _legible(folder)
    naive = visualize(model, units, pixels(96), smoothness=0, transformations=(), progress=False)
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


def study_stripes(folder: Path | None) -> dict:
    """Do channels that answer to stripes get striped pictures?"""
    every, images = pictures(folder=folder), textured()
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
            top = order[:10].tolist()
            chosen += [(layer, number) for number in top]
            angles += [ANGLES[number] for number in angle[top].tolist()]
            effects += effect[top].tolist()
            # As many of the others, by lot.
            low = [number for number in range(len(effect)) if effect[number] < 0]
            rest += [(layer, number) for number in random.Random(0).sample(low, 10)]
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


def study_transfer(folder: Path | None) -> dict:
    """Does a visualization raise the like-minded channel of a network trained from another seed, or of another kind?"""
    images, control = pictures(folder=folder)[:CONTROL_PICTURES], "random weights"
    units, seen, made = _legible(folder)
    found: dict = {
        f"googlenet-scenes to vit-scenes{extra}": _transferred(units, made, seen, network, TRANSFORMER_LAYERS, images)
        for extra, network in (("", load("vit-scenes")), (f", {control}", load("vit-scenes", random=True)))
    }
    small = at_size(pictures(folder=folder), 64)
    try:
        first, second = (load(name) for name in TWINS)
    except WeightsError as reason:
        print(f"without the twins: {reason}")
        return found
    seen = answers(first, TWIN_LAYERS, small)
    units = drawn_by_lot({layer: values.shape[1] for layer, values in seen.items()}, 12)
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


def study_observer(folder: Path | None) -> dict:
    """Which of two pictures excites a unit more? A machine decides, from examples or from the visualization.

    After the experiment with people of Borowski et al. (2021). The observer is another network, which knows nothing of the
    first: it takes the picture that is more like what it was shown, by the cosine of its own, standardised features.
    """
    every = pictures(folder=folder)
    units, seen, made = _legible(folder)
    chance = torch.Generator().manual_seed(0)
    scores: dict[str, list[float]] = {"nine pictures": [], "one picture": [], "visualization": [], "a picture by lot": []}
    observer = load("vit-scenes")
    usual = features(observer, every[:500])
    middle, spread = usual.mean(0), usual.std(0)

    def look(images: Tensor) -> Tensor:
        return nn.functional.normalize((features(observer, images) - middle) / spread, dim=1)

    for row, (layer, number) in enumerate(units):
        order = seen[layer][:, number].argsort(descending=True)
        strong, weak = look(every[order[20:40]]), look(every[order[-20:]])
        top = every[order[:9]]
        by_lot = every[torch.randint(len(every), (1,), generator=chance)]
        for name, shown in zip(scores, (top, top[:1], made[row : row + 1], by_lot), strict=True):
            reference = look(shown)
            right = (strong @ reference.T).mean(1)[:, None] > (weak @ reference.T).mean(1)[None]
            scores[name].append(round(float(right.float().mean()), 4))
    return scores


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
    model: nn.Module, goals: Sequence[Objective], strongest: Tensor, penalty: Objective | None = None, *,
    levels: Sequence[float] = LEVELS, shown: float = 1.0, at_once: int = 6, steps: int = STEPS, **options,
) -> Climbed:  # fmt: skip
    """Climb objectives and keep book of excitation (in multiples of ``strongest``, ``(goals,)``) and fine noise on the way."""
    parts = []
    for start in range(0, len(goals), at_once):
        some = list(goals[start : start + at_once])
        asked = some if penalty is None else [goal - penalty for goal in some]
        made = render(model, asked, steps=steps, frames=steps + 1, progress=False, **options).frames  # (steps + 1, goals, …)
        for place, goal in enumerate(some):
            values = evaluate(model, goal, made[:, place])[0].cpu() / strongest[start + place]
            noise = noise_share(made[:, place])
            when = crossings(values, levels)
            before = when.nan_to_num(0).floor().long()
            after = (before + 1).clamp_max(steps)
            fine = noise[before] + (when - before) * (noise[after] - noise[before])
            far = (values >= shown).nonzero()
            picture = made[int(far[0]) if len(far) else -1, place]
            parts.append((fine, when, torch.stack([values[-1], noise[-1]]), picture))
    return Climbed(*(torch.stack(each) for each in zip(*parts, strict=True)))


def left_when_moved(model: nn.Module, goals: Sequence[Objective], images: Tensor, draws: int = 8) -> Tensor:
    """Which share of its excitation each goal keeps when its picture is shifted, scaled and turned a little, ``(goals,)``."""
    generator, found = torch.Generator().manual_seed(0), []
    for _ in range(draws):
        moved = images
        for transform in DEFAULT:
            moved = transform(moved, generator)
        found.append(evaluate(model, list(goals), cut(moved, images.shape[2:])).diagonal())
    return torch.stack(found).mean(0).cpu() / evaluate(model, list(goals), images).diagonal().cpu()


#: The ways to climb that are compared: parameters, optimiser, learning rate, and whether with all regularisers.
ARMS = {
    "pixels, plain": ("pixels", "sgd", 0.05, False),
    "pixels, Adam": ("pixels", "adam", 0.05, False),
    "waves, plain": ("waves", "sgd", 0.05, False),
    "waves, Adam": ("waves", "adam", 0.05, False),
    # Waves without the scale 1/f: another basis with the metric of pixels.
    "unscaled waves, plain": ("unscaled", "sgd", 0.05, False),
    "all, plain": ("all", "sgd", 0.05, True),
    "all, Adam": ("all", "adam", 0.05, True),
}


def study_optimizers(folder: Path | None) -> dict:
    """Pixels and waves, each with plain steps and with Adam's: how much of the picture is fine noise at equal excitation?"""
    every, model = pictures(folder=folder), load("googlenet-scenes")
    kept = folder / f"strongest-{PICTURES}-{SEED}.pt" if folder else None
    if kept and kept.is_file():
        most = torch.load(kept)
    else:
        most = {layer: values.amax(0) for layer, values in answers(model, LAYERS, every).items()}
        if kept:
            torch.save(most, kept)
    units = drawn_by_lot({layer: len(values) for layer, values in most.items()}, 4)
    goals = [channel(layer, number) for layer, number in units]
    strongest = torch.stack([most[layer][number] for layer, number in units])
    images = {
        "pixels": pixels(96),
        "waves": fourier(96, colours=None),
        "unscaled": fourier(96, colours=None, decay=0),
        "all": _recipe(every),
    }
    found: dict = {"units": [list(unit) for unit in units], "levels": list(LEVELS), "arms": {}}
    for name, (image, optimizer, rate, regularised) in ARMS.items():
        done = folder / f"optimizers-{name.replace(', ', '-').replace(' ', '-')}.json" if folder else None
        if done and done.is_file():
            found["arms"][name] = json.loads(done.read_text(encoding="utf-8"))
            continue
        result = climb(
            model, goals, strongest, SMOOTHNESS * total_variation() if regularised else None, image=images[image],
            optimizer=optimizer, learning_rate=rate, transformations=DEFAULT if regularised else (),
        )  # fmt: skip
        reached = result.end[:, 0] >= 1
        moved = left_when_moved(model, goals, result.pictures)
        found["arms"][name] = {
            "fine": [_known(row, 5) for row in result.fine],
            "steps": [_known(row, 2) for row in result.steps],
            "end": [_rounded(row, 4) for row in result.end],
            "left when moved": [round(float(value), 4) if ok else None for value, ok in zip(moved, reached, strict=True)],
        }
        if done:
            done.write_text(json.dumps(found["arms"][name]), encoding="utf-8")
        print(name, flush=True)
    return found


def _known(values: Tensor, digits: int) -> list[float | None]:
    return [None if value != value else round(value, digits) for value in values.tolist()]


STUDIES = {
    "raised": study_raised, "stripes": study_stripes, "observer": study_observer, "transfer": study_transfer,
    "optimizers": study_optimizers,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", help=f"run some parts only, of: {', '.join(STUDIES)}")
    parser.add_argument("--cache", type=Path, help="a folder in which the drawn pictures are kept")
    options = parser.parse_args()
    for part in options.only or STUDIES:
        found = STUDIES[part](options.cache)
        known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
        known |= {"pictures": PICTURES, "steps": STEPS, part: found}
        RESULTS.write_text(json.dumps(known) + "\n", encoding="utf-8")
        print(f"{part}: done", flush=True)


if __name__ == "__main__":
    main()
