"""5.11 Expose three forgeries."""

from vizcourse.exercises.core import AnswerExercise, Mistake

#: The three forged lines, and the control that exposes each.
EXPOSED = {"A": "one cue", "B": "full swap", "C": "rotation"}
_SYNONYMS = {
    "one cue": ("onecue", "onecuepairs", "pairs", "sources", "samesubspaceonecue", "thesamesubspaceonecue"),
    "full swap": ("fullswap", "full", "whole", "wholeactivation"),
    "rotation": ("rotation", "arotation", "rotationonly"),
    "random": ("random", "randomsubspace", "randomsubspaces"),
    "held out": ("heldout", "heldoutpairs"),
}


def _control(text):
    bare = "".join(letter for letter in str(text).casefold() if letter.isalpha())
    return next((name for name, ways in _SYNONYMS.items() if bare in ways), None)


def _exposed(value):
    """The three controls in order, None for a word that is none; nothing where there are not three."""
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, dict):
        by_line = {str(key).strip().upper(): each for key, each in value.items()}
        value = [by_line[key] for key in EXPOSED] if set(by_line) == set(EXPOSED) else ()
    return tuple(map(_control, value)) if hasattr(value, "__len__") and len(value) == len(EXPOSED) else ()


def _expose_judge(value):
    said = _exposed(value)
    if not said:
        return 'Name a control for each line: `answer("5.11", {"A": "…", "B": "…", "C": "…"})`.'
    if None in said:
        return f"One of these is no control of the table: choose from {', '.join(_SYNONYMS)}."
    if said[:2] == tuple(EXPOSED.values())[:2] and said[2] in ("rotation", "full swap"):  # in C the full swap is 0 %, too
        return None
    right = [key for key, one, wanted in zip(EXPOSED, said, EXPOSED.values(), strict=True) if one == wanted]
    return f"Right so far: {', '.join(right) or 'none'}. For each line, find the column that a true finding could not have."


def _blunt(value):
    return bool(_exposed(value)) and bool({"random", "held out"} & set(_exposed(value)))


EXPOSE = AnswerExercise(
    id="5.11",
    title="Expose three forgeries",
    stars=2,
    minutes=8,
    reference=EXPOSED,
    judge=_expose_judge,
    solution_source='answer("5.11", {"A": "one cue", "B": "full swap", "C": "rotation"})',
    hints=(
        "A control exposes a line if it comes out otherwise than it would for a true finding. Which columns look the same for "
        "the true line and for the forged one?",
        "In A even the full swap agrees with the IIA: the sources differ in more than the background. In C the map was not a "
        "rotation.",
    ),
    mistakes=(
        Mistake(
            "blunt",
            "Held-out pairs and random subspaces look the same in the true line: they cannot expose any of these three.",
            _blunt,
            example={"A": "one cue", "B": "random", "C": "rotation"},
        ),
        Mistake(
            "full-swap-for-a",
            "Look at the full swap of A: it is as high as the IIA, because the source is a whole picture of the other class. "
            "What exposes A is the same subspace where the background *alone* changes.",
            lambda value: not _blunt(value) and _exposed(value)[:1] == ("full swap",),
            example={"A": "full swap", "B": "full swap", "C": "rotation"},
        ),
        Mistake(
            "rotation-for-b",
            "B was found with a rotation already. Its full swap is 0 %: the part does what the whole does not.",
            lambda value: not _blunt(value) and _exposed(value)[:2] in (("one cue", "rotation"), ("rotation", "rotation")),
            example={"A": "one cue", "B": "rotation", "C": "rotation"},
        ),
    ),
    unlisted=(("one cue", "one cue", "one cue"), {"A": "one cue"}, ("one cue", "full swap", "magic")),
    insight="No single control exposes all three: one cue changed, the full swap and a map that cannot amplify go together.",
    used_next="Ask of every table with an IIA for these three.",
)
