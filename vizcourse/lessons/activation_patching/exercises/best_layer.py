"""Exercise 4.4, read two sweeps."""

from vizcourse.exercises.core import AnswerExercise, Mistake

READING = AnswerExercise(
    id="4.4",
    title="Which layer, which window?",
    stars=1,
    minutes=4,
    reference=(1, 0),  # measured again in tests/lessons/activation_patching/test_exercises.py
    hints=(
        "`result.mean` has one entry a layer; `int(result.mean.argmax())` is the number of the largest, from 0.",
        "First the sweep with windows of three, then the sweep with single layers.",
    ),
    mistakes=(
        Mistake("from-one", "You count from 1. Layers are numbered as in the network: the first is `encoder_layer_0`.", (2, 1)),
        Mistake("exchanged", "Exchanged: first the centre of the best window of three, then the best single layer.", (0, 1)),
        Mistake(
            "window-as-layer",
            "You took the centre of the best window for the best single layer. The window around 1 holds the layers 0, 1 and "
            "2, and any of them may be the reason: look at the sweep with window 1.",
            (1, 1),
        ),
        Mistake(
            "layer-as-window",
            "You took the best single layer for the centre of the best window. The window around layer 0 is clipped to the "
            "layers 0 and 1; another window holds more: look at the sweep with window 3.",
            (0, 0),
        ),
        Mistake(
            "published",
            "The fourth layer (3 or 4, as one counts) is what was published for another network, on CIFAR-10. Read what was "
            "measured *here*.",
            lambda value: len(value) == 2 and {int(each) for each in value} <= {3, 4},
            example=(4, 4),
        ),
        Mistake(
            "second",
            "The window is right. Of the single layers, 3 comes second: look for the largest of `single.mean`.",
            (1, 3),
        ),
        Mistake("smallest", "These are the layers with the *smallest* effect: argmin where argmax is meant.", (11, 11)),
    ),
    unlisted=((2, 0), (1, 2), (3, 2)),
    insight="A window blurs: of all windows of three, only the one around 1 holds the layers 0, 1 and 2 together.",
    used_next="Section by section you now find out what such a peak does *not* say.",
)
