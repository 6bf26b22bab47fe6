"""1.7 What one neuron can see."""

from vizcourse.exercises.core import CodeExercise, Mistake, edits


def receptive_field(layers):
    """Side of the square of pixels that one neuron can see; layers = [(kernel, stride), ...] from the input on."""
    size, jump = 1, 1
    for kernel, stride in layers:
        size = size + (kernel - 1) * jump
        jump = jump * stride
    return size


FIELD = CodeExercise(
    id="1.7",
    title="What one neuron can see",
    stars=2,
    minutes=6,
    reference=receptive_field,
    cases=(
        ([],),
        ([(3, 1)],),
        ([(3, 1), (3, 1)],),
        ([(3, 2), (3, 1)],),
        ([(3, 1), (2, 2), (3, 1)],),
        ([(7, 2), (3, 2), (3, 1)],),
        ([(3, 1), (2, 2), (3, 1), (2, 2), (3, 1), (2, 2), (3, 1)],),
    ),
    hints=(
        "Two 3×3 convolutions in a row see 5 pixels: the second adds one pixel at each end. Start from 1 and add.",
        "Behind a stride of 2, neighbouring neurons are 2 pixels apart, so a further window adds 2·(kernel − 1) pixels. "
        "Carry that distance along in a second variable.",
        "The order matters: a layer's own stride only spreads out the layers *behind* it.",
    ),
    mistakes=(
        Mistake(
            "strides-ignored",
            "The strides have no effect. Behind a stride of 2, neighbouring neurons are two pixels "
            "apart, so every later window reaches twice as far.",
            edits("jump * stride -> jump"),
        ),
        Mistake(
            "kernels-added",
            "You add up the kernels. The windows overlap: a second 3×3 adds only 2 pixels to the first, one at each end.",
            lambda layers: sum(kernel for kernel, _ in layers) or 1,
        ),
        Mistake(
            "jump-too-early",
            "A layer's own stride does not widen its own window, only those of the layers behind it: "
            "first enlarge the field, then multiply the distance.",
            edits("(kernel - 1) * jump -> (kernel - 1) * jump * stride"),
        ),
        Mistake(
            "wrong-end",
            "These are the fields of the same layers in reverse order. If your rule is (size − 1) · stride + kernel, it goes "
            "from the *last* layer back to the picture: `reversed(layers)`. From the picture on, carry the distance between "
            "neighbours along in a second variable.",
            edits("size + (kernel - 1) * jump -> (size - 1) * stride + kernel"),
        ),
        Mistake(
            "own-stride",
            "Each window is multiplied by its *own* stride. What counts is how far apart its inputs are: the product of all "
            "strides *before* it.",
            edits("* jump -> * stride"),
        ),
        Mistake(
            "from-zero",
            "One pixel is missing everywhere. Without any layer a pixel sees itself: start from 1.",
            edits("return size -> return size - 1"),
        ),
        Mistake(
            "last-stride-only",
            "You use only the stride of the layer before. Strides multiply: behind two strides of 2, "
            "neighbours are 4 pixels apart.",
            edits("jump * stride -> stride"),
        ),
        Mistake(
            "kernels-multiplied",
            "You multiply the kernels. Each layer *adds* (kernel − 1) times the distance between neighbours.",
            edits("size + (kernel - 1) * jump -> size * kernel"),
        ),
        Mistake(
            "not-minus-one",
            "Each layer adds (kernel − 1) times the distance, not kernel times: one pixel of the window "
            "was in the field already.",
            edits("(kernel - 1) -> kernel"),
        ),
    ),
    unlisted=(
        edits("return size -> return size + 1"),
        edits("jump * stride -> jump * 2"),
    ),
    insight="Small windows, stacked, see far: pooling doubles the reach of everything behind it.",
    used_next="The next cell verifies it with gradients, pixel by pixel.",
)
