"""Exercise 4.6, denoising and noising."""

from vizcourse.exercises.core import ChoiceExercise, Mistake

DIRECTIONS = ChoiceExercise(
    id="4.6",
    title="One is enough",
    stars=2,
    minutes=4,
    question="Two heads both carry the colour to the class token, and *either* is enough for the right answer (an OR gate). "
    "You patch one head at a time, in both directions. What do you see?",
    options={
        "a": "Denoising (clean into corrupted): a large effect for each head. Noising (corrupted into clean): none for either",
        "b": "Noising: a large effect for each head. Denoising: none for either",
        "c": "A large effect for each head in both directions: they both matter",
        "d": "In both directions half the effect for each head, because they share the work",
        "e": "No effect in either direction: each head can be replaced by the other",
    },
    correct="a",
    hints=(
        "Go through the four runs. Corrupted run, one head repaired: is there now a head that carries the colour?",
        "Clean run, one head broken: is there still one that carries it?",
    ),
    mistakes=(
        Mistake(
            "and-gate",
            "That is what an AND gate does (both are needed): breaking one breaks the answer, repairing one is not enough. "
            "Here one is enough.",
            "b",
        ),
        Mistake(
            "necessary",
            "In the clean run, break one head: the other still carries the colour, and the answer stays. Noising finds what is "
            "*necessary*, and neither head is.",
            "c",
        ),
        Mistake(
            "halves",
            "Nothing is shared here: one repaired head alone gives the whole answer, so its effect is the whole effect.",
            "d",
        ),
        Mistake(
            "replaceable",
            "Right for noising. But in the corrupted run *both* heads are broken: repairing one brings the colour back.",
            "e",
        ),
    ),
    insight="Denoising finds what is sufficient, noising what is necessary. With backups in a network the two disagree.",
    used_next="The library's sweep takes `direction=`, and the next figure shows both.",
)
