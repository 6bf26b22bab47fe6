"""3.10, in the paint lab: what the biased network goes by."""

from vizcourse.exercises.core import AnswerExercise, Mistake, Problem

#: An edit counts when it leaves the animal alone and is small, as shares of the animal and of the picture.
MOST_TOUCHED, MOST_CHANGED = 0.02, 0.25
#: An answer that stays, but whose lead falls by this share, has lost something.
LOSS = 0.25


def _diagnosis(value):
    """The name of the mistake in an edit of the paint lab, None if there is none that has a name."""
    lead, left = value["lead"]
    stays = value["before"] == value["after"]
    if value["changed"] == 0:
        return "nothing"
    if value["touched"] > MOST_TOUCHED:
        return "animal"
    if value["changed"] > MOST_CHANGED:
        return "too-much"
    if value["network"] == "A":
        return "honest" if stays else None
    if stays:
        if left < (1 - LOSS) * lead:
            return "partly"
        return "unmoved" if value["before"] == "dog" else "unmoved-cat"
    return None if value["cue"] else "elsewhere"


def _judge(value):
    if not isinstance(value, dict) or not set(RIGHT) <= set(value):
        return 'Pass the paint lab itself: `answer("3.10", hans)`.'
    measured = f"Network {value['network']}: {value['changed']:.0%} of the picture changed, "
    measured += f"{value['touched']:.0%} of the animal touched."
    mistake = _diagnosis(value)
    if mistake == "nothing":
        return Problem(mistake=mistake)
    if mistake in ("honest", "partly", "unmoved", "unmoved-cat"):
        lead, left = value["lead"]
        measured += f" The logit of {value['before']} led by {lead:.1f} before the edit, and leads by {left:.1f} after it."
    if mistake:
        return Problem(measured, mistake=mistake)
    if value["network"] == "A":
        return f"An odd find: here A turns as well. Does it also turn on other pictures? Try network B. {measured}"
    return None


#: What the lab says of an edit that is right: the dogs' cue is gone, and network B turns.
RIGHT = {
    "network": "B", "changed": 0.1, "touched": 0.0, "before": "dog", "after": "cat", "lead": (6.0, -3.0), "cue": 1.0,
}  # fmt: skip


def _edit(**other):
    return RIGHT | other


BIAS = AnswerExercise(
    id="3.10",
    title="Catch the Clever Hans",
    stars=2,
    minutes=8,
    judge=_judge,
    blank=lambda value: isinstance(value, dict) and value.get("tool") == "nothing",
    setup_source="from vizcourse.lessons.attribution.widgets import suspects\nhans = suspects()",
    solution_source=(
        'hans.set(network="B", picture=0, tool="erase", across=50, down=16, width=64, height=26)\nanswer("3.10", hans)'
    ),
    hints=(
        "Compare the maps of A and B on a dog, then on a cat. Where does one of them look that is not the animal?",
        "Put the frame there with *across*, *down*, *width* and *height*, choose *erase*, and watch the two logits.",
        "Every dog has something at the top of its picture, and no cat has.",
    ),
    mistakes=(
        Mistake(
            "animal",
            "You have painted over the animal. That may change any network's answer, and an honest one's most of all: leave "
            "the animal alone.",
            _edit(touched=0.4),
        ),
        Mistake(
            "too-much",
            "You have changed more than a quarter of the picture. The cue is small: find it with a smaller frame.",
            _edit(changed=0.5),
        ),
        Mistake(
            "honest",
            "This edit leaves A's answer as it is. One edit clears nobody, but the other suspect is still to be tried: do the "
            "same on network B.",
            _edit(network="A", after="dog", lead=(6.0, 5.9)),
        ),
        Mistake(
            "partly",
            "The answer stays, but it has lost a good part of its lead: this place does count, and what is left of the same "
            "thing may be enough for the network. Cover more of it, or all.",
            _edit(after="dog", lead=(6.0, 2.0)),
        ),
        Mistake(
            "unmoved",
            "The answer is the same as before, and so is most of its lead. That does not clear this place for good: where two "
            "parts say the same, either can go. But look elsewhere first, where the map of network B is bright.",
            _edit(after="dog", lead=(6.0, 5.8)),
        ),
        Mistake(
            "unmoved-cat",
            "The answer is the same as before, and so is most of its lead. A network that says cat because something is "
            "*missing* loses nothing when a part of a cat's picture goes: try a picture of a dog.",
            _edit(before="cat", after="cat", lead=(6.0, 5.8), cue=0.0),
        ),
        Mistake(
            "elsewhere",
            "The answer turns, but your edit leaves the thing that the suspect is after as it was: on this picture something "
            "else was enough. Would it do on the other pictures of the lab? Look for what all dogs have and no cat has.",
            _edit(cue=0.0),
        ),
        Mistake(
            "nothing",
            "The edit does not change a single pixel: make the frame larger, or choose another tool.",
            _edit(changed=0.0, after="dog", lead=(6.0, 6.0), cue=0.0),
        ),
    ),
    unlisted=("the watermark", {"network": "B"}, 3.0, _edit(network="A")),
    insight="Network B reads the board and hardly looks at the animal: right for the wrong reason, until the board is gone.",
    used_next="Accuracy on pictures without the board, printed below, tells the same story in one number.",
)
