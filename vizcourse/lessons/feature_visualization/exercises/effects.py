"""What setting a cause of a picture does to a channel, measured on scenes: for 2.6, 2.8 and the lesson's tables."""

import functools

import torch

from vizcourse.hooks import capture
from vizcourse.models import load
from vizcourse.worlds import scenes

QUESTIONED = ("inception4a", 6)
FACTORS = ("object", "scene", "colour", "texture", "material", "light")
VALUES = dict(
    zip(
        FACTORS,
        (scenes.CLASSES, scenes.SCENES, scenes.COLOURS, scenes.TEXTURES, scenes.MATERIALS, scenes.LIGHTS),
        strict=True,
    )
)


def channel_means(pictures, layer, channel):
    """The mean over positions of one channel of googlenet-scenes, (N,)."""
    model, found = load("googlenet-scenes"), []
    with torch.no_grad(), capture(model, layer, stop=True) as acts:
        for batch in pictures.split(32):
            model(batch)
            found.append(acts[layer][:, channel].mean(dim=(1, 2)))
    return torch.cat(found)


@functools.cache
def ordinary(layer, channel):
    """The channel's means on 100 ordinary scenes, (100,)."""
    return channel_means(scenes.render(scenes.sample(100, seed=2606), size=96), layer, channel)


#: Objects that may have any colour, so that setting a colour does not change what the object is.
ANYTHING = tuple(name for name in scenes.CLASSES if scenes.counterpart(name) is None)


def word(value):
    """A word as the world spells it: stray spaces, capitals and American spelling aside."""
    text = " ".join(str(value).replace("_", " ").replace("-", " ").split()).lower()
    return {"color": "colour", "gray": "grey"}.get(text, text)


def concept_effects(layer, channel, factor):
    """What setting one cause of a picture does to a channel of googlenet-scenes, all else held fixed.

    Args:
        layer: the layer's name.
        channel: its channel.
        factor: one of "object", "scene", "colour" (the object's), "texture", "material", "light".

    Returns:
        {value: mean change over 6 scenes}, the largest first, in standard deviations of the channel over ordinary scenes.

    Raises:
        ValueError: there is no such factor; the message lists them.
    """
    if word(factor) not in VALUES:
        raise ValueError(f"There is no factor {factor!r}: choose from {', '.join(FACTORS)}.")
    return dict(mean_effects(layer, channel, word(factor), tuple(VALUES[word(factor)])))


def _changes(layer, channel, before, settings):
    """By how much each setting of factors changes the channel in each scene, in standard deviations, (settings, scenes)."""
    changed = [scene.replace(**setting) for setting in settings for scene in before]
    means = channel_means(scenes.render(before + changed, size=96), layer, channel).view(-1, len(before))
    return (means[1:] - means[0]) / ordinary(layer, channel).std()


@functools.cache
def mean_effects(layer, channel, factor, values):
    changes = _changes(layer, channel, scenes.sample(6, seed=2606, object=ANYTHING), [{factor: value} for value in values])
    found = {value: round(float(change), 2) for value, change in zip(values, changes.mean(dim=1), strict=True)}
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def object_by_colour(layer, channel, objects, colours, count=16):
    """What setting object *and* colour does to a channel, all else held fixed, over scenes in which any object may stand.

    An object of a pair that is another class in that colour (a red blue tang is a goldfish only in orange) is left out.

    Returns:
        {object: {colour: (mean change, half of its 95 % interval)}} in standard deviations, as in `concept_effects`.
    """
    pairs = [{"object": name, "colour": colour} for name in objects for colour in colours if _may_have(name, colour)]
    changes = _changes(layer, channel, scenes.sample(count, seed=2608, object=ANYTHING), pairs)
    found = {name: {} for name in objects}
    for pair, each in zip(pairs, changes, strict=True):
        found[pair["object"]][pair["colour"]] = (float(each.mean()), float(1.96 * each.std() / count**0.5))
    return found


def _may_have(name, colour):
    other = scenes.counterpart(name)
    return other is None or scenes.OWN_COLOUR[other] != colour
