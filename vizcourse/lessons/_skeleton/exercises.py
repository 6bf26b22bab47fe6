"""Lesson 00's exercises: one of each kind."""

import torch

from vizcourse.exercises.core import AnswerExercise, ChoiceExercise, CodeExercise, Mistake, Problem, edits

# --- 0.1 code -------------------------------------------------------------------------------------------------------


def accuracy(logits, labels):
    """Share of pictures whose largest logit is that of their class: (N, classes), (N,) -> number."""
    return (logits.argmax(dim=1) == labels).float().mean()


def _cases(seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = ((2, 3), (5, 3), (8, 4), (9, 9))
    return [
        (torch.randn(*size, generator=generator), torch.randint(0, size[1], size[:1], generator=generator)) for size in sizes
    ]


ACCURACY = CodeExercise(
    id="0.1",
    title="Accuracy",
    stars=1,
    minutes=4,
    reference=accuracy,
    cases=_cases,
    hints=(
        "The answer to each picture is the number of its largest logit: `logits.argmax(dim=1)`.",
        "Compare the answers with the labels, and take the mean of the comparison as numbers: `.float().mean()`.",
    ),
    mistakes=(
        Mistake("error-rate", "This is the share of wrong answers: compare with `==`.", edits("== -> !=")),
        Mistake("count", "You count the right answers; asked for is their share.", edits(".mean() -> .sum()")),
        Mistake("least", "You take the class with the *smallest* logit as the answer.", edits("argmax -> argmin")),
    ),
    unlisted=(lambda logits, labels: logits.softmax(dim=1)[range(len(labels)), labels].mean(),),
    insight="One line, and yet three ways to be wrong that all give numbers between 0 and 1, or near.",
    used_next="The next section measures with it.",
)

# --- 0.2 in the widget ----------------------------------------------------------------------------------------------


def _dimmed(value):
    if not isinstance(value, dict) or "light" not in value:
        return 'Pass the widget itself: `answer("0.2", lab)`.'
    if value["picture"] != 1:
        return Problem(mistake="other-picture")
    if value["right"]:
        return Problem(f"At {value['light']} % of the light the answer is right.", mistake="still-right")
    return None if value["right above"] else Problem(mistake="too-dark")


def _state(light=20, picture=1, right=False, right_above=True):
    return {"light": light, "picture": picture, "right": right, "right above": right_above, "touched": True}


DIMMED = AnswerExercise(
    id="0.2",
    title="Where it gives way",
    stars=1,
    minutes=3,
    judge=_dimmed,
    blank=lambda value: isinstance(value, dict) and not value.get("touched", True),
    setup_source="""from vizcourse.lessons._skeleton.study import pictures
from vizcourse.lessons._skeleton.widgets import Dimmer
from vizcourse.models import load
lab = Dimmer(load("cnn-shapes"), *pictures(60))""",
    solution_source="""lab.set(picture=1, light=max(light for light in range(0, 101, 5) if not lab.is_right(1, light)))
answer("0.2", lab)""",
    hints=(
        "Begin in the dark, where the answer is wrong, and turn the light up step by step.",
        "The last step before the answer becomes right for good is the one.",
    ),
    mistakes=(
        Mistake("other-picture", "This is another picture: the exercise asks about picture 1.", _state(picture=2)),
        Mistake("still-right", "That is too much light.", _state(60, right=True)),
        Mistake("too-dark", "The answer is wrong here, but one step brighter it is wrong, too.", _state(0, right_above=False)),
    ),
    unlisted=(20, "20 %"),
    insight="The network gives way from one step to the next, not little by little.",
    used_next="Whether that is so for other pictures, Figure 2 shows.",
)

# --- 0.3 a number ---------------------------------------------------------------------------------------------------

CHANCE = AnswerExercise(
    id="0.3",
    title="What a guess is worth",
    stars=1,
    minutes=2,
    reference=100 / 3,
    tolerance=0.5,
    hints=("On which pictures is it right?", "On the blickets: on one picture in three."),
    mistakes=(
        Mistake("share", "This is the share; asked for are per cent.", lambda value: abs(value - 1 / 3) < 0.01, 1 / 3),
        Mistake("coin", "That would be so with two classes; here are three.", 50),
        Mistake("wrong-ones", "That is how often it is *wrong*.", lambda value: abs(value - 200 / 3) < 0.5, 200 / 3),
    ),
    unlisted=(0, 100, 25),
    insight="An accuracy means nothing without what a guess gets.",
    used_next="It is the dashed line in Figure 2.",
)

# --- 0.4 a choice ---------------------------------------------------------------------------------------------------

DARK = ChoiceExercise(
    id="0.4",
    title="What the dark shows",
    stars=1,
    minutes=3,
    options={
        "a": "The network sees a little even in the dark.",
        "b": "Nothing: who always gives the same answer is right on a third of these pictures.",
        "c": "The network has learned the labels of the test pictures by heart.",
        "d": "The network guesses by chance, anew for each picture.",
    },
    correct="b",
    hints=("All black pictures are the same picture.", "What does a network say to the same picture, asked again?"),
    mistakes=(
        Mistake("sees", "Black pictures are all alike: there is nothing to see that tells them apart.", "a"),
        Mistake("by-heart", "It has never met the test pictures, and could not tell black ones apart if it had.", "c"),
        Mistake("by-chance", "There is no chance in it: the same picture gets the same answer each time.", "d"),
    ),
    insight="The control here is a constant answer.",
    used_next="Each lesson has such a control.",
)

EXERCISES = (ACCURACY, DIMMED, CHANCE, DARK)
