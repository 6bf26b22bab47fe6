"""6.8: a convincing graph."""

from vizcourse.exercises.core import ChoiceExercise, Mistake

CONVINCING = ChoiceExercise(
    id="6.8",
    title="Which of these would convince you?",
    stars=2,
    minutes=4,
    question="A colleague shows the graph of a network that you do not know, with five things to be proud of. Which one would "
    "an untrained network hardly have had as well?",
    options={
        "a": "The contributions between its layers are complete to within two per cent.",
        "b": "Five causes make up 90 % of what speaks for a concept of the next layer.",
        "c": "In its first layer, four in ten of a concept's nearest vectors are of one part.",
        "d": "Each pair of classes has three shared concepts, with a name for each.",
        "e": "In its late layers, the concepts leave out only a seventh of the activations.",
    },
    correct="e",
    hints=(
        "For each option but one there is a number of an untrained network in this section or in Figure 6. Which of these "
        "numbers is far from the trained network's?",
        "Completeness holds for any function. And what does the picking of shared concepts do where there are none?",
    ),
    mistakes=(
        Mistake(
            "complete",
            "Completeness is arithmetic: with enough steps, the contributions sum to the change for any function. The table "
            "has this number between layers for the untrained network, too.",
            "a",
        ),
        Mistake(
            "concentrated",
            "The table has this number for the untrained network, too: in its first layers the five strongest causes carry as "
            "much. A few thick edges make a tidy picture and prove nothing.",
            "b",
        ),
        Mistake(
            "early-purity",
            "Look at the left end of Figure 6: there the untrained network's concepts are nearly as pure. Patches of one "
            "colour are often of one part.",
            "c",
        ),
        Mistake(
            "shared",
            "The picking finds something also where there is nothing: a tree and an umbrella share no part and are given three "
            "concepts all the same. And a name is a guess.",
            "d",
        ),
    ),
    insight="A control tells which numbers carry information. Four of the five here carry none, or next to none.",
    used_next="Ask it of any explanation that you are shown: what would it look like for a network that has learned nothing?",
)
