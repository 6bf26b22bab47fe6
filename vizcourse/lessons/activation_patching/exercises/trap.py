"""Exercise 4.5, the trap: patching all that travels on."""

from vizcourse.exercises.core import ChoiceExercise, Mistake

TRAP = ChoiceExercise(
    id="4.5",
    title="Too good to be true",
    stars=2,
    minutes=5,
    question="Somebody patches the output of the whole block, `encoder_layer_0` to `encoder_layer_11`, on all tokens, one "
    "block at a time. Every one of the twelve bars shows the full total effect. What follows about where colour is processed?",
    options={
        "a": "Every layer processes colour, and each of them as much as the others",
        "b": "Nothing: such a patch gives the clean run at any layer, in any network, for any corruption",
        "c": "Colour is stored redundantly, so that any one layer is enough",
        "d": "A hook was not removed: from the second bar on, earlier patches are still at work",
        "e": "The metric is saturated: with logits in place of probabilities the bars would differ",
    },
    correct="b",
    hints=(
        "What do the blocks after the patched one see, and what would they have seen in the clean run?",
        "A block's only input is the output of the block before it. So what is left of the corrupted picture after the patch?",
    ),
    mistakes=(
        Mistake(
            "everywhere",
            "The bars would look the same if only one layer processed colour: after the patch *all* that the rest of the "
            "network sees is clean, whoever made it.",
            "a",
        ),
        Mistake(
            "redundant",
            "Redundancy would show in patches of *parts*. Here the whole stream is exchanged, so there is nothing left of the "
            "corrupted run that could be repaired or not.",
            "c",
        ),
        Mistake(
            "hook-left",
            "A good suspicion, and a frequent bug; but the first bar shows the full effect as well, and so does each patch "
            "made in a fresh network. It is no bug.",
            "d",
        ),
        Mistake(
            "saturated",
            "The bars agree in every metric, because the patched run's logits *are* the clean run's logits, to the last digit.",
            "e",
        ),
    ),
    insight="The residual stream is the only road: exchange all that travels on it, and the past is gone. So patch a part.",
    used_next="That is why the sweep patches what attention *adds* to the stream, and not the stream.",
)
