"""2.9, what would convince you."""

from vizcourse.exercises.core import ChoiceExercise, Mistake

CONVINCING = ChoiceExercise(
    id="2.9",
    title="What would convince you?",
    stars=1,
    minutes=3,
    question="A colleague sends you a network, and the visualization of one of its units: dog faces. Which observation would "
    "convince you that this unit detects dogs in ordinary pictures?",
    options={
        "a": "Rendered from other starting noise, the picture shows dog faces again.",
        "b": "The rendered picture excites the unit more than any ordinary picture does.",
        "c": "Exchange the dog in ordinary pictures for something else and leave the rest: the unit falls silent. Put a dog "
        "into other pictures, and it answers.",
        "d": "With stronger regularisation, the dog faces become clearer still.",
    },
    correct="c",
    hints=(
        "Three of the four say something about rendered pictures only.",
        "Geirhos et al. (2024) built networks whose units answer to ordinary pictures as before, and show "
        "whatever the builder likes when they are visualized. Which of the four observations would expose such a network?",
    ),
    mistakes=(
        Mistake(
            "another-seed",
            "That shows that the optimisation finds the same thing again, not that ordinary pictures take the same "
            "way through the network. A prepared network would pass this test.",
            "a",
        ),
        Mistake(
            "high-value",
            "That is what the optimisation was asked for. In 2.8 you made a picture that outdoes ordinary ones "
            "and shows nothing of the kind: the value says that the climb worked, not what the unit is for.",
            "b",
        ),
        Mistake(
            "regularisation",
            "Regularisers put in what we find natural. The clearer the picture through them, the more of it is theirs.",
            "d",
        ),
    ),
    insight="A visualization is a hypothesis. The test is an intervention in ordinary pictures, with all else held fixed.",
    used_next="Every later lesson tests its explanations in this way.",
)
