"""Exercise 4.7, the smallest set of cells, found in the patch bay."""

import functools
from collections.abc import Mapping, Sequence, Set

import torch

from vizcourse.exercises.core import AnswerExercise, Mistake, Problem
from vizcourse.hooks import capture, replace
from vizcourse.models import load
from vizcourse.worlds import scenes

#: The part of a block that a cell of the patch bay stands for.
_PARTS = {"attn_out": "self_attention", "mlp_out": "mlp"}

#: The size of the smallest set, found by trying all sets of one, two and three cells (in this exercise's tests).
SMALLEST = 3
#: One of the sets of that size.
TEAM = (("mlp_out", 0), ("attn_out", 1), ("mlp_out", 1))


@functools.cache
def _flower_runs():
    """The network, the corrupted picture, the clean outputs of all cells, and the index of the class to restore."""
    # A blue cornflower, the last of the twelve scenes with which the notebook fills the patch bay.
    model, scene = load("vit-scenes"), scenes.sample(12, seed=40, object=scenes.CLASSES[:16], words="", distractors=())[11]
    clean, corrupted = scenes.render([scene, scene.replace(colour="red")], size=96).split(1)
    names = [f"encoder.layers.encoder_layer_{layer}.{part}" for layer in range(12) for part in _PARTS.values()]
    with torch.no_grad(), capture(model, names) as acts:
        model(clean)
    return model, clean, corrupted, dict(acts), scenes.label(scene)


def _restored(cells):
    model, _, corrupted, clean_outputs, _ = _flower_runs()
    names = [f"encoder.layers.encoder_layer_{layer}.{_PARTS[component]}" for component, layer in cells]
    with torch.no_grad(), replace(model, {name: clean_outputs[name] for name in names}):
        return model(corrupted)[0]


def restored_probabilities(cells):
    """Class probabilities (classes,) of the red cornflower with some cells, (component, layer), as in the blue one."""
    return _restored(cells).softmax(0)


def share_of_difference(cells):
    """Normalised logit difference, cornflower against poppy: 0 as the red flower, 1 as the blue one."""
    model, clean, _, _, label = _flower_runs()
    rival = scenes.CLASSES.index(scenes.counterpart(scenes.CLASSES[label]))
    with torch.no_grad():
        runs = [model(clean)[0], _restored([]), _restored(cells)]
    before, after, patched = (float(logits[label] - logits[rival]) for logits in runs)
    return (patched - after) / (before - after)


def _brings_back(cells):
    probabilities, label = restored_probabilities(cells), _flower_runs()[-1]
    return int(probabilities.argmax()) == label and float(probabilities[label]) > 0.5


#: Other words for a cell's component: the bay's own buttons say A, M and R.
_ALSO = {"a": "attn_out", "attn": "attn_out", "attention": "attn_out", "m": "mlp_out", "mlp": "mlp_out", "r": "resid"}


def _cell(cell):
    """A cell as (component, layer), from a pair in either order, or from what stands on its button, such as "M0"."""
    component, layer = (cell.strip()[:1], cell.strip()[1:]) if isinstance(cell, str) else cell
    if isinstance(layer, str) and not layer.strip().isdigit():
        component, layer = layer, component
    component = str(component).strip().lower()
    return _ALSO.get(component, component), int(layer)


def _cells_of(value):
    """The cells of a patch bay's state, or of a plain list of (component, layer), without doubles."""
    cells = value
    if isinstance(value, Mapping):  # a bay's state, or the layers of each component
        cells = value["cells"] if "cells" in value else [(name, layer) for name, layers in value.items() for layer in layers]
    if isinstance(cells, tuple) and len(cells) == 2 and isinstance(cells[0], str) and not isinstance(cells[1], str | tuple):
        cells = [cells]  # one cell alone
    cells = {_cell(cell) for cell in cells}
    for component, layer in cells:
        if component not in (*_PARTS, "resid") or layer not in range(12):
            raise ValueError(f"there is no cell ({component!r}, {layer}): components are attn_out and mlp_out, layers 0 to 11.")
    return sorted(cells, key=lambda cell: (cell[1], cell[0]))


def _cells_judge(value):
    if not isinstance(value, Mapping | Sequence | Set) or isinstance(value, str):
        return "Pass the patch bay itself, or a list of cells such as [('attn_out', 3), ('mlp_out', 5)]."
    cells = _cells_of(value)
    if isinstance(value, Mapping) and "cells" in value:
        _, clean, corrupted, _, _ = _flower_runs()
        shown = [torch.as_tensor(value[name]).reshape(-1, *clean.shape[1:]) for name in ("clean", "corrupted")]
        if not all(torch.allclose(one, wanted, atol=2e-2) for one, wanted in zip(shown, (clean, corrupted), strict=True)):
            return Problem(mistake="other-picture")
        if value.get("direction", "denoising") != "denoising":
            return Problem(mistake="noising")
        if value.get("tokens", "all") != "all":
            return Problem(mistake="some-tokens")
    if any(component == "resid" for component, _ in cells):
        return Problem(mistake="trap")
    label = _flower_runs()[-1]
    measured = (
        f"Measured: probability of cornflower {float(restored_probabilities(cells)[label]):.2f}, "
        f"normalised logit difference {share_of_difference(cells):.2f}."
    )
    if not _brings_back(cells):
        return Problem(measured, mistake="single" if len(cells) == 1 else "not-restored")
    for component, layer in cells:
        if _brings_back([other for other in cells if other != (component, layer)]):
            return Problem(f"You can leave out {component} of layer {layer}, for one. {measured}", mistake="spare-cell")
    if len(cells) > SMALLEST:
        return Problem(f"You have {len(cells)}. {measured}", mistake="dead-end")
    return None


def _nothing_patched(value):
    return isinstance(value, Mapping) and len(value.get("cells", "?")) == 0


class _Bay:
    """Stands for a patch bay in `vizcourse check`: it hands in the right pair and a right set, but for the changes."""

    def __init__(self, **changes):
        self.changes = changes

    def answer_value(self):
        _, clean, corrupted, _, _ = _flower_runs()
        state = {"clean": clean[0], "corrupted": corrupted[0], "tokens": "all", "direction": "denoising"}
        return state | {"cells": list(TEAM)} | self.changes

    def __repr__(self):
        return f"a patch bay with {', '.join(self.changes)} changed"


SMALLEST_SET = AnswerExercise(
    id="4.7",
    title="The smallest set of cells",
    stars=3,
    minutes=10,
    judge=_cells_judge,
    blank=_nothing_patched,
    setup_source=(
        "from vizcourse.models import load\n"
        "from vizcourse.lessons.activation_patching.widgets import PatchBay\n"
        "from vizcourse.worlds import scenes\n"
        'twelve = scenes.sample(12, seed=40, object=scenes.CLASSES[:16], words="", distractors=())\n'
        "partners = [s.replace(colour=scenes.OWN_COLOUR[scenes.counterpart(s.object)]) for s in twelve]\n"
        "labels = torch.tensor([scenes.label(s) for s in twelve])\n"
        'bay = PatchBay(load("vit-scenes"), scenes.render(twelve), scenes.render(partners), labels)'
    ),
    solution_source='bay.set(picture=11, cells=[("mlp_out", 0), ("attn_out", 1), ("mlp_out", 1)])\nanswer("4.7", bay)',
    hints=(
        "Switch on all cells of the first few layers: the cornflower is back. Now switch off one cell after the other, and "
        "keep off each that is not missed. Where you end depends on the order in which you try.",
        "Always adding the cell that helps the probability most ends in four cells. Watch the normalised logit difference "
        "under the bay: it moves long before the probability does, and some cells do more in company than alone.",
        "Three cells are enough, none of them later than layer 3, and the MLP of layer 0 is one of them.",
    ),
    mistakes=(
        Mistake(
            "trap",
            "A cell of the residual stream gives back the clean run whatever the layer (exercise 4.5): that shows nothing. Use "
            "cells of attention and MLP only.",
            [("resid", 5)],
        ),
        Mistake(
            "single",
            "No single cell brings the cornflower back in this picture. The answer tips only when several push together.",
            [("attn_out", 0)],
        ),
        Mistake(
            "not-restored",
            "These cells do not bring the cornflower back: it must be the most probable class, with more than 0.5.",
            [("attn_out", 8), ("mlp_out", 9), ("attn_out", 10)],
        ),
        Mistake(
            "spare-cell",
            "The cornflower is back, but not every cell is needed for it.",
            [(component, layer) for component in _PARTS for layer in range(4)],
        ),
        Mistake(
            "dead-end",
            "The cornflower is back, and none of your cells can be spared: and still there is a *smaller* set, of other cells. "
            "Adding (or removing) one cell at a time can end in such a dead end; begin elsewhere.",
            [("attn_out", 0), ("attn_out", 1), ("attn_out", 2), ("attn_out", 5)],
        ),
        Mistake(
            "noising",
            "You are patching from the corrupted run into the clean one. Set the direction to denoising.",
            _Bay(direction="noising"),
        ),
        Mistake(
            "some-tokens",
            "Only a part of the tokens is patched. Set the tokens to *all*: that is the experiment of this exercise.",
            _Bay(tokens="class"),
        ),
        Mistake(
            "other-picture",
            "This is another pair of pictures. The exercise is about the blue cornflower (clean) and the same flower in red "
            "(corrupted).",
            _Bay(corrupted=torch.zeros(3, 96, 96)),
        ),
    ),
    unlisted=([("head", 3)], 3, "attn_out 1"),
    insight="By the probability no cell of the three does anything alone. The next cell asks the logits, too.",
    used_next="Keep it in mind when you read any plot of single-cell effects, here or in a paper.",
)
