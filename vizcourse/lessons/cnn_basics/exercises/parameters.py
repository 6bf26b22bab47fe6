"""1.5 How many numbers does a layer learn?"""

from vizcourse.exercises.core import CodeExercise, Mistake, case, edits


def conv_parameters(channels_in, channels_out, kernel, bias=True):
    """Learnable numbers of a convolutional layer with square kernels."""
    weights = channels_out * channels_in * kernel * kernel
    return weights + (channels_out if bias else 0)


PARAMETERS = CodeExercise(
    id="1.5",
    title="How many numbers does a layer learn?",
    stars=1,
    minutes=3,
    reference=conv_parameters,
    cases=((1, 1, 3), (3, 2, 3), (3, 16, 5), (16, 32, 3, False), (64, 64, 3), case(2, 5, 1, bias=False)),
    hints=(
        "How many numbers are in *one* kernel that looks at an input with `channels_in` channels?",
        "There is one kernel, and one bias, for each output channel.",
    ),
    mistakes=(
        Mistake(
            "no-bias",
            "The biases are missing: one number for each output channel.",
            edits(" + (channels_out if bias else 0) ->"),
        ),
        Mistake(
            "bias-always",
            "The biases are counted even when `bias=False`.",
            edits("(channels_out if bias else 0) -> channels_out"),
        ),
        Mistake(
            "flat-kernel",
            "A kernel spans all input channels: it has channels_in · kernel · kernel numbers.",
            edits(" * channels_in ->"),
        ),
        Mistake(
            "line-kernel",
            "A kernel is a square: it has kernel · kernel numbers for each input channel.",
            edits("kernel * kernel -> kernel"),
        ),
        Mistake(
            "bias-per-pair",
            "You count one bias for each pair of input and output channel; there is one for each *output* channel.",
            edits("(channels_out if -> (channels_out * channels_in if"),
        ),
        Mistake(
            "one-bias",
            "You count a single bias for the layer; there is one for each output channel.",
            edits("(channels_out if -> (1 if"),
        ),
    ),
    unlisted=(
        edits("(channels_out if -> (channels_in if"),
        edits("channels_out * channels_in * -> (channels_out + channels_in) *", " + (channels_out if bias else 0) ->"),
    ),
    insight="The size of the picture is not in the formula: the same weights serve every place.",
    used_next="The next cell sets it beside PyTorch's own count.",
)
