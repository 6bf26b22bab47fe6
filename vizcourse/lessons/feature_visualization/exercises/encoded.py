"""2.6, what a channel encodes."""

import functools
import re

from vizcourse.exercises.core import AnswerExercise, Mistake, Problem
from vizcourse.lessons.feature_visualization.exercises.effects import ANYTHING, FACTORS, QUESTIONED, VALUES, mean_effects, word
from vizcourse.worlds import scenes


@functools.cache
def _encoded():
    """The single cause that raises the channel most: no object counts that brings a colour of its own along."""
    effects = {
        (factor, value): effect
        for factor in FACTORS
        for value, effect in mean_effects(
            *QUESTIONED, factor, ANYTHING if factor == "object" else tuple(VALUES[factor])
        ).items()
    }
    return max(effects, key=effects.get)


def _as_pair(answer):
    """A factor and its value, however they were written down, or None."""
    if isinstance(answer, dict) and len(answer) == 1:
        answer = next(iter(answer.items()))
    if isinstance(answer, str):
        words = re.sub(r"[=:,()\[\]'\"]", " ", answer).split()
        places = [place for place, each in enumerate(words) if word(each) in FACTORS]
        answer = (words.pop(places[0]), " ".join(words)) if len(places) == 1 and len(words) > 1 else answer
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        return None
    first, second = map(word, answer)
    return (second, first) if first not in FACTORS and second in FACTORS else (first, second)


def _encoded_judge(answer):
    """A (factor, value); a value alone does not say of what."""
    pair = _as_pair(answer)
    if pair is None and isinstance(answer, str) and any(word(answer) in values for values in VALUES.values()):
        return f'{answer.strip().capitalize()}, of what? Give the factor as well, as in ("object", "clock").'
    if pair is None or pair[0] not in FACTORS:
        return f'Give a factor and its value, as in ("object", "clock"); the factors are {", ".join(FACTORS)}.'
    factor, value = pair
    if value not in VALUES[factor]:
        return f"{factor} has the values {', '.join(VALUES[factor])}."
    if pair == _encoded():
        return None
    best = mean_effects(*QUESTIONED, _encoded()[0], (_encoded()[1],))[_encoded()[1]]
    effect = mean_effects(*QUESTIONED, factor, (value,))[value]
    measured = f"Measured: {factor} = {value} changes the channel by {effect:+.1f}, the right answer by {best:+.1f}."
    if factor == _encoded()[0]:
        return Problem(measured, mistake="other-value")
    if factor == "object" and value in scenes.OWN_COLOUR:
        return Problem(measured, mistake="own-colour" if effect > best / 2 else "own-colour, the wrong one")
    return Problem(measured, mistake={"object": "object", "scene": "scene"}.get(factor, "surface"))


ENCODED = AnswerExercise(
    id="2.6",
    title="What does this channel encode?",
    stars=2,
    minutes=8,
    reference=_encoded,
    judge=_encoded_judge,
    hints=(
        "Write down what the top pictures have in common: there is more than one thing. Each is a suspicion, and each can be "
        'tested: `concept_effects("inception4a", 6, "scene")`.',
        "An effect of 0.3 standard deviations is small. Look for a factor with one value that stands out from all others.",
        "With do(object = …), classes that come in pairs (bluebird and cardinal, lorry and fire engine) bring something "
        "else along. Compare the two of a pair: what is the only thing in which they differ?",
    ),
    mistakes=(
        Mistake(
            "own-colour",
            "That class does raise the channel, but it changes two causes at once: it brings its own colour along. Compare it "
            "with its pair, which has the same form and another colour: bluebird with cardinal, lorry with fire engine, blue "
            "tang with goldfish, cornflower with poppy.",
            ("object", "bluebird"),
        ),
        Mistake(
            "own-colour, the wrong one",
            "That class brings its own colour along, so it changes two causes at once; and together they do little for this "
            "channel. Compare it with its pair, which has the same form and another colour.",
            ("object", "goldfish"),
        ),
        Mistake(
            "object",
            "Among the objects that can have any colour, none moves the channel as far as the right answer does. Ask for the "
            "effect of every other factor as well.",
            ("object", "clock"),
        ),
        Mistake(
            "scene",
            "The scene is what surrounds the object. Set by itself, with the object as it is, it moves the channel far less "
            "than the right answer, whichever of the eight it is.",
            ("scene", "sea"),
        ),
        Mistake(
            "surface",
            "Neither texture nor material nor light moves the channel far when it is set by itself. Ask for the effects of the "
            "other factors.",
            ("texture", "dots"),
        ),
        Mistake(
            "other-value",
            "The right factor, but another of its values raises the channel far more.",
            ("colour", "purple"),
        ),
    ),
    unlisted=(("colour", "turquoise"), "blue", "bird", 6, ("size", 0.5), ("blue", "bird"), {"light": "blue"}),
    insight="Pictures suggest, interventions decide: birds and fishes were company, and none of them raises it in red.",
    used_next="The next table crosses object and colour, and says why the birds and fishes scored more.",
)
