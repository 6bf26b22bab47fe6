"""5.8 What is wrong here?"""

from vizcourse.exercises.core import ChoiceExercise, Mistake

ILLUSION = ChoiceExercise(
    id="5.8",
    title="What is wrong here?",
    stars=2,
    minutes=5,
    question="A colleague reads: “Held-out IIA far above random subspaces. So this network represents the background, and its "
    "answer depends on it.” What is wrong with that?",
    options={
        "a": "Nothing: a random network may well have a background direction that decides its answers.",
        "b": "The alignment has learned its pairs by heart; with more pairs the IIA would fall.",
        "c": "Eight dimensions are so many that any eight would do.",
        "d": "The part does what the whole cannot: with the *whole* activation of the source the answers are at chance. The "
        "swap makes a path that the network does not have.",
        "e": "Chance with three classes is one third, and an IIA must be read after subtracting it; the rest is real.",
    },
    correct="d",
    hints=(
        "For each option there is a line in the table that could refute it. Which is the only option that survives?",
        "What does the network answer to the source picture itself? Compare with what it answers after a part was swapped.",
    ),
    mistakes=(
        Mistake(
            "is-real",
            "Its answers are the last line of the table: one class for every picture, whatever the background. And the full "
            "swap, which brings *everything* that the source's background does to the activation, is at chance.",
            "a",
        ),
        Mistake(
            "by-heart",
            "The IIA was measured on *held-out* pairs, and it is as high there. What was learned does hold for new pairs; the "
            "question is what it means.",
            "b",
        ),
        Mistake(
            "too-wide",
            "The line “random subspace” says otherwise: other subspaces of eight dimensions are at chance. This one was "
            "searched for, and two dimensions would do.",
            "c",
        ),
        Mistake(
            "subtract-chance",
            "Subtracting chance does not make the rest real: nothing at all should be left, because the network's answer does "
            "not depend on the background. Look at the full swap.",
            "e",
        ),
    ),
    insight="Held-out pairs and random subspaces cannot expose a subspace illusion; the ceiling, the full swap, can.",
    used_next="Row space and null space say how it is done.",
)
