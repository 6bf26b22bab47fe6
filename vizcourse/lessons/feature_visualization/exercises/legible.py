"""2.5, legible and still true: in the studio."""

import functools
import itertools

from vizcourse.exercises.core import AnswerExercise, Mistake, Problem
from vizcourse.lessons.feature_visualization import pictures as study

#: A picture counts as legible when no more than this share of its power is fine noise.
FINE_NOISE = 0.08


def _studied(switches, optimizer):
    """Share of 10,000 pictures below, and share of fine noise, of the first unit's picture with these switches on."""
    layer, number, _ = study.paths().units[0]
    on = {name: name in switches for name in study.SWITCHES}
    _, below, noise = study.paths().value(layer, number, optimizer=optimizer, **on)
    return below, noise


@functools.cache
def _fewest():
    """How few switches make the first unit's picture legible while it is still true, with the better of the two optimisers."""
    for count in range(len(study.SWITCHES) + 1):
        for switches in itertools.combinations(study.SWITCHES, count):
            if any(_is_legible_and_true(switches, optimizer) for optimizer in study.OPTIMIZERS):
                return count
    return len(study.SWITCHES)


def _is_legible_and_true(switches, optimizer):
    below, noise = _studied(switches, optimizer)
    return noise <= FINE_NOISE and below >= 0.999


def _studio_judge(value):
    if not isinstance(value, dict) or not {"unit", "step", "optimizer", *study.SWITCHES} <= set(value):
        return 'Hand in the studio itself, as it is set: `answer("2.5", studio)`.'
    paths = study.paths()
    changed = [name for name in value.get("unstored", ()) if name != "Unit"]
    if changed:
        return (
            "This picture was rendered now. How it compares with 10,000 others is known for googlenet-scenes and the four "
            f"switches alone: set back {', '.join(changed)}."
        )
    if value["unit"] != paths.units[0][2]:
        return Problem(f"Choose {paths.units[0][2]} under Unit.", mistake="other-unit")
    if value["step"] != paths.steps[-1]:
        return Problem(mistake="unfinished")
    on, optimizer = tuple(name for name in study.SWITCHES if value[name]), value["optimizer"]
    below, noise = _studied(on, optimizer)
    measured = f"Measured: {noise:.1%} of the power is fine noise, and {below:.2%} of 10,000 pictures excite the unit less."
    if noise > FINE_NOISE:
        if optimizer == "adam" and "fourier" in on and _is_legible_and_true(on, "sgd"):
            return Problem(measured, mistake="undone")
        return Problem(measured, mistake="close" if noise < 1.5 * FINE_NOISE else "noisy")
    if below < 0.999:
        return f"Legible, but the unit answers too little to it; weaker means will do. {measured}"
    if len(on) > _fewest():
        return Problem(f"You have {len(on)} on, and {_fewest()} will do. {measured}", mistake="too-many")
    return None


def _is_as_made(value):
    """The studio as it is at first: nothing switched on."""
    return isinstance(value, dict) and _studio_state().items() <= value.items() and not value.get("unstored")


def _studio_state(*on, **others):
    # From the constants: a missing file of pictures must not keep the other exercises from being imported.
    first = {"unit": "{}, channel {}".format(*study.UNITS[0]), "step": study.KEPT[-1], "optimizer": study.OPTIMIZERS[0]}
    return first | {name: name in on for name in study.SWITCHES} | others


LEGIBLE = AnswerExercise(
    id="2.5",
    title="Legible, and still true",
    stars=2,
    minutes=6,
    judge=_studio_judge,
    blank=_is_as_made,
    setup_source="from vizcourse.lessons.feature_visualization.widgets import Studio\nstudio = Studio()",
    solution_source='studio.set(fourier=True)\nanswer("2.5", studio)',
    hints=(
        "Try each switch by itself first, with either kind of step, and write down the share of fine noise, which stands under "
        "the picture.",
        "Which of the four switches changes the metric and nothing else? Which kind of step leaves that metric alone?",
        "With Adam's steps two switches are needed. With plain steps one will do.",
    ),
    mistakes=(
        Mistake(
            "noisy",
            f"Too much of the picture is still fine noise: at most {FINE_NOISE:.0%} of the power may be.",
            _studio_state("colours"),
        ),
        Mistake(
            "undone",
            "These switches would do with plain steps. Adam gives every coefficient a step of about the same length, and "
            "undoes what the metric had arranged: change the steps.",
            _studio_state("fourier", optimizer="adam"),
        ),
        Mistake(
            "close",
            f"Close: only a little more than {FINE_NOISE:.0%} is fine noise.",
            _studio_state("transformations", optimizer="adam"),
        ),
        Mistake(
            "too-many",
            "Legible and true, but fewer switches will do. Each regulariser puts something of its own into the picture, so "
            "switch off whatever you can spare; and try the other kind of step.",
            _studio_state(*study.SWITCHES),
        ),
        Mistake(
            "unfinished",
            "You are looking at the middle of the climb; what counts is the picture at its end: move the scrubber to the last "
            "step.",
            _studio_state("fourier", step=8),
        ),
        Mistake(
            "other-unit",
            "This exercise is about the unit that the studio shows first.",
            _studio_state("fourier", unit="another"),
        ),
    ),
    unlisted=({"fourier": True}, "transformations", 2),
    insight="With plain steps one switch will do, waves (which forbid nothing) or transformations; with Adam's it takes two.",
    used_next="The pictures that follow are made with Adam and all regularisers, as in most of the literature.",
)
