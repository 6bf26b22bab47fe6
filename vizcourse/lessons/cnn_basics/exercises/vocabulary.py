"""1.6 Read a slice of the cube."""

from vizcourse.exercises.core import ChoiceExercise, Mistake

VOCABULARY = ChoiceExercise(
    id="1.6",
    title="Read a slice of the cube",
    stars=1,
    minutes=3,
    question="`acts['pool2']` has shape (1, 12, 16, 16). What is `acts['pool2'][0, :, 3, 5]`?",
    options={
        "a": "One neuron: the number that one channel gives at one place",
        "b": "One spatial position: what all 12 channels say about the same place",
        "c": "One channel: the feature map of one kernel",
        "d": "The weights of a kernel of the layer",
        "e": "What the layer says about the pixel in row 3, column 5 of the picture, and no other",
    },
    correct="b",
    hints=(
        "The axes are (picture, channel, row, column). Which of them is still free after the indexing?",
        "How many numbers come out? Compare with a single neuron (1) and a feature map (16 × 16).",
    ),
    mistakes=(
        Mistake(
            "neuron",
            "A neuron would need all four indices, [0, channel, 3, 5]; here the channel is left open, so 12 numbers come out.",
            "a",
        ),
        Mistake(
            "channel",
            "A channel fixes the second index and leaves rows and columns open: [0, 7]. Here it is the other way round.",
            "c",
        ),
        Mistake(
            "weights",
            "Activations depend on the picture and are gone when the next one comes; weights are the same for "
            "every picture, and live in `model.conv2.weight`.",
            "d",
        ),
        Mistake(
            "one-pixel",
            "It is one position of the *map*, and a map position sees a whole patch of the picture: its "
            "receptive field, the subject of the next section.",
            "e",
        ),
    ),
    insight="Position, channel, neuron, layer: every method of the course takes one of these four slices.",
    used_next="Lesson 02 makes pictures of channels, lesson 06 clusters positions.",
)
