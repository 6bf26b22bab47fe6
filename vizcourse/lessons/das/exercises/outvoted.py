"""5.9 Outvoted."""

from vizcourse.exercises.core import ChoiceExercise, Mistake

VOTES = ChoiceExercise(
    id="5.9",
    title="Outvoted",
    stars=2,
    minutes=4,
    question="A network counts votes: background, colours and types each speak for a class, and it answers the class with most "
    "votes. The article's pairs change one cue of a picture whose three cues agree. What is the IIA (by the full swap) of each "
    "cue?",
    options={
        "a": "100 % each: the network uses every cue.",
        "b": "0 % each.",
        "c": "33 % each: each cue decides a third.",
        "d": "It depends on the layer.",
    },
    correct="b",
    hints=(
        "Write the votes of one source down: which class does the changed cue speak for, and which do the other two?",
        "Two against one.",
    ),
    mistakes=(
        Mistake(
            "used-is-decisive",
            "It uses all three, yes. But in these pairs the changed cue stands alone against the other two: what do two votes "
            "against one make it answer?",
            "a",
        ),
        Mistake(
            "a-third-each",
            "A third each is what cue *conflicts* would give, where it has one vote for each class and must choose by lot. In "
            "these pairs two votes still speak for the base's class.",
            "c",
        ),
        Mistake(
            "layer",
            "The full swap makes the network answer the source, whatever the layer. (Of a layer that everything passes.) And "
            "to the source two cues of three say the base's class.",
            "d",
        ),
    ),
    insight="An IIA asks whether one cue overrides all others. A cue can be used in every answer and never do that.",
    used_next="Sources in which the other two cues are already at odds find such a cue.",
)
