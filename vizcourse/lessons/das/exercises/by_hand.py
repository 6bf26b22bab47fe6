"""5.4 Find the right variable by hand, in the widget."""

from vizcourse.exercises.core import AnswerExercise, Mistake, Problem

#: From which IIA on the direction counts as found.
FOUND = 0.995


def _hand_judge(value):
    if not isinstance(value, dict) or not {"variable", "angle", "left", "right"} <= set(value):
        return 'Pass the widget itself: `answer("5.4", lab)`.'
    measured = f"At {value['angle']}° the IIA is {value['left']:.0%} for left and {value['right']:.0%} for right."
    if value["right"] >= FOUND:
        return Problem(measured, mistake="not-set") if value["variable"] != "right" else None
    if value["left"] >= FOUND:
        return Problem(measured, mistake="left")
    if value["right"] >= 0.8:
        return Problem(measured, mistake="near")
    return Problem(measured, mistake="chance" if value["right"] >= 0.45 else "below-chance")


def _turned(variable="right", angle=150, left=0.5, right=1.0):
    return {"variable": variable, "angle": angle, "left": left, "right": right, "touched": True}


BY_HAND = AnswerExercise(
    id="5.4",
    title="Find the right variable by hand",
    stars=1,
    minutes=5,
    judge=_hand_judge,
    blank=lambda value: isinstance(value, dict) and not value.get("touched", True),
    setup_source="from vizcourse.lessons.das.widgets import hidden_directions\nlab = hidden_directions()",
    solution_source='lab.set(variable="right", angle=150)\nanswer("5.4", lab)',
    hints=(
        "Choose *right* first. Then turn in steps of ten degrees and watch the IIA, not the picture.",
        "Find the direction of *left* too: the two were planted at a right angle to each other.",
    ),
    mistakes=(
        Mistake(
            "left",
            "This direction carries the *left* variable. Swapping it does nothing for *right* but chance.",
            _turned(left=1.0, right=0.51),
        ),
        Mistake(
            "not-set",
            "That is the direction, but the lab is still set to *left*: choose *right*, and read its IIA there.",
            _turned(variable="left"),
        ),
        Mistake(
            "near",
            "Near. Swapping this direction still leaves some of the variable behind, or takes a little of the other along: "
            "turn on in small steps, until every pair is a hit.",
            _turned(right=0.9),
        ),
        Mistake(
            "chance",
            "An IIA of about a half is what a coin gets: there are two answers. The direction between the two variables swaps "
            "a bit of both, or nothing that the answer depends on. Turn on.",
            _turned(right=0.49),
        ),
        Mistake(
            "below-chance",
            "Below a half: here the swap moves the answer, but more often for the other variable than for this one. Turn on.",
            _turned(right=0.41),
        ),
    ),
    unlisted=("150", 150, {"angle": 150}),
    insight="A variable can sit in one direction and in no unit. A range of angles does, because an answer is yes or no.",
    used_next="In eight dimensions or 512 no hand can turn: gradient descent does.",
)
