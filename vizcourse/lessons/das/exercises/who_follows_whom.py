"""5.7 Who follows whom?"""

from vizcourse.exercises.core import AnswerExercise, Mistake
from vizcourse.worlds import shapes

#: The cues of the picture in question, and the networks, in order, with the cue that each follows (measured again in
#: tests/lessons/das/test_exercises.py).
CONFLICT = {"background": "dax", "colour": "wug", "type": "blicket"}
FOLLOWS = {
    "resnet18-shapes": "background",
    "shapes-cue-all": "background",
    "shapes-cue-background": "background",
    "shapes-cue-colour": "colour",
    "shapes-cue-type": "type",
}
_RIGHT = tuple(CONFLICT[cue] for cue in FOLLOWS.values())


def _said(value):
    if isinstance(value, dict) and set(value) == set(FOLLOWS):
        value = [value[name] for name in FOLLOWS]
    if isinstance(value, str):
        value = value.strip("()[] ").split(",")
    return tuple(str(each).strip(" '\"").casefold() for each in value)


def _follow_judge(value):
    if not hasattr(value, "__len__") or len(_said(value)) != len(FOLLOWS):
        return 'Give five names of classes, one a network: `answer("5.7", ("…", "…", "…", "…", "…"))`.'
    said = _said(value)
    if said == _RIGHT:
        return None
    unknown = next((each for each in said if each not in shapes.CLASSES), None)
    if unknown is not None:
        return f"“{unknown}” is not a class: {', '.join(shapes.CLASSES)}."
    wrong = [name for name, one, right in zip(FOLLOWS, said, _RIGHT, strict=True) if one != right]
    return f"{len(FOLLOWS) - len(wrong)} of {len(FOLLOWS)} are right. Look again at {wrong[0]}."


FOLLOW = AnswerExercise(
    id="5.7",
    title="Who follows whom?",
    stars=2,
    minutes=5,
    reference=_RIGHT,
    judge=_follow_judge,
    hints=(
        "For each network find its row in the table of IIAs: which cue does it follow? Then ask which class that cue speaks "
        "for in this picture.",
        "The background says dax, the colours say wug, the types say blicket.",
    ),
    mistakes=(
        Mistake(
            "cues",
            "You name cues. Go one step further: which *class* does that cue speak for in this picture?",
            lambda value: bool({*CONFLICT, "colours", "types", "shapes"} & set(_said(value))),
            example=tuple(FOLLOWS.values()),
        ),
        Mistake(
            "same-answer",
            "All five answer the same, you say. Three of them were trained on pictures in which only one cue told the class, a "
            "different one each.",
            lambda value: len(_said(value)) == 5 and len(set(_said(value))) == 1 and _said(value)[0] in shapes.CLASSES,
            example=("dax",) * 5,
        ),
        Mistake(
            "colour-and-type",
            "The last two are exchanged: the colours say wug, the types say blicket.",
            lambda value: _said(value) == (*_RIGHT[:3], _RIGHT[4], _RIGHT[3]),
            example=(*_RIGHT[:3], _RIGHT[4], _RIGHT[3]),
        ),
        Mistake(
            "all-is-not-all",
            "“shapes-cue-all” was *offered* all three cues. What it took of them is another matter: read its row. The first "
            "three networks all follow the background.",
            lambda value: _said(value)[2:] == _RIGHT[2:] and _said(value)[1] != _RIGHT[1],
            example=("dax", "blicket", "dax", "wug", "blicket"),
        ),
        Mistake(
            "resnet-by-paper",
            "The article gives colours and types 76 and 68 %, but this is our network: its IIA for both is zero, and for the "
            "background 100 %.",
            lambda value: _said(value)[1:] == _RIGHT[1:] and _said(value)[0] != _RIGHT[0],
            example=("wug", "dax", "dax", "wug", "blicket"),
        ),
    ),
    unlisted=(("dax", "dax", "wug", "dax", "blicket"), ("dax", "dax"), "dax", ("dax", "dax", "dax", "wug", "dog")),
    insight="An alignment makes a prediction about pictures that it never saw, and behaviour can refute it.",
    used_next="The next cell asks the networks.",
)
