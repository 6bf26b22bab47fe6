"""3.7: which of five methods fails the sanity check?"""

from vizcourse.exercises.core import ChoiceExercise, Mistake

#: The methods behind the letters of exercise 3.7, by their names in ``vizcourse.methods.attribution.METHODS``.
FIVE_METHODS = {
    "a": "gradient",
    "b": "integrated gradients",
    "c": "guided backprop",
    "d": "Grad-CAM",
    "e": "SmoothGrad",
}

FIVE = ChoiceExercise(
    id="3.7",
    title="Which of the five fails?",
    stars=1,
    minutes=4,
    question="Five methods explain the same answer. In the upper row the network is the trained one; in the lower row its "
    "upper blocks have been made random, and it knows nothing any more. Which method fails the sanity check most plainly?",
    options={letter: f"method {letter}" for letter in FIVE_METHODS},
    correct="c",
    hints=(
        "A map that explains what the network has learned must change when the network has forgotten it. Compare upper with "
        "lower, not one method with another.",
        "Which of the five could you not tell apart if the two maps were exchanged? The number is the rank correlation of the "
        "two: 1 is no change at all.",
    ),
    mistakes=(
        Mistake(
            "noisy",
            "Method a is noisy, but noise is not the question: its map for the random network is another one. (This is the "
            "plain gradient. Look also at how much of the picture's outline stays: not nothing.)",
            "a",
        ),
        Mistake(
            "multiplied",
            "Method b (integrated gradients) changes, though bright parts of the picture shine through: it multiplies with the "
            "pixels. There is one that changes far less.",
            "b",
        ),
        Mistake(
            "coarse",
            "Method d is coarse and may miss the object, but upper and lower row have nothing in common: that is how a map "
            "passes. (This is Grad-CAM. In the random network nothing speaks for the class, so its map is empty.)",
            "d",
        ),
        Mistake(
            "smooth",
            "Method e (SmoothGrad) is tidier than the plain gradient, and it does change. There is one that changes far less.",
            "e",
        ),
    ),
    insight="Method c is guided backprop: the sharpest of the maps is the one that cares least about what was learned.",
    used_next="The cascade widget and the table behind it show how far each method falls, block by block.",
)
