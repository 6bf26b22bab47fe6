"""The scenes world: a procedural picture world with dense labels, whose causes are known.

A scene is a frozen record of its causes; ``scene.replace(colour="red")`` is do(colour = red); ``render`` draws it::

    from vizcourse.worlds import scenes

    scene = scenes.sample(1, seed=0)[0]
    picture, labels = scenes.render(scene, size=96, labels=True)    # (3, 96, 96) in [0, 1]
    red = scenes.render(scene.replace(object="car", colour="red"))
"""

from .data import CachedScenes, Scenes, contact_sheet
from .factors import FACTORS, Distractor, Sampler, Scene, distribution, label, sample
from .objects import parts_of
from .pairs import render_pairs, sample_pairs
from .rendering import Labels, render, render_bytes
from .vocabulary import (
    CLASSES,
    COLOUR_PAIRS,
    COLOURS,
    DARK_FUR,
    DISTRACTORS,
    FACINGS,
    FORM,
    LIGHT_FUR,
    LIGHTS,
    MATERIALS,
    OBJECTS,
    OWN_COLOUR,
    PARTS,
    SCENES,
    TEXTURES,
    counterpart,
)

__all__ = [
    "CLASSES", "COLOURS", "COLOUR_PAIRS", "CachedScenes", "DARK_FUR", "DISTRACTORS", "Distractor", "FACINGS", "FACTORS",
    "FORM", "LIGHTS", "LIGHT_FUR", "Labels", "MATERIALS", "OBJECTS", "OWN_COLOUR", "PARTS", "SCENES", "Sampler",
    "Scene", "Scenes", "TEXTURES", "contact_sheet", "counterpart", "distribution", "label", "parts_of", "render",
    "render_bytes", "render_pairs", "sample", "sample_pairs",
]
