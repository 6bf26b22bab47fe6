"""1.1 How many positions?"""

import operator

from vizcourse.exercises.core import CodeExercise, Mistake, edits


def output_size(size, kernel, stride=1, padding=0):
    """Number of positions of a window along one axis."""
    return (size + 2 * padding - kernel) // stride + 1


def _whole_number(learner):
    """A float compares equal to the right answer, and then cannot be the size of a tensor."""
    for arguments in OUTPUT_SIZE_CASES:
        try:
            operator.index(given := learner(*arguments))  # any whole number, Python's or NumPy's
        except TypeError:
            kind = type(given).__name__
            return (
                f"The values are right, but for {arguments} it is a {kind} ({given!r}), which cannot be the size of a tensor. "
                "Divide with `//`, or put `int(…)` around it."
            )
    return None


OUTPUT_SIZE_CASES = ((3, 3), (5, 2), (7, 3, 2), (8, 3, 2), (8, 3, 2, 1), (28, 5, 1, 2), (64, 7, 4, 3), (244, 3, 2, 1))


OUTPUT_SIZE = CodeExercise(
    id="1.1",
    title="How many positions?",
    stars=1,
    minutes=4,
    reference=output_size,
    judge=_whole_number,
    cases=OUTPUT_SIZE_CASES,
    hints=(
        "Draw 7 pixels in a row and slide a window of 3 over them in steps of 2. Where can its left end stand?",
        "The left end can stand at 0, stride, 2·stride, … up to (size + 2·padding − kernel). How many numbers is that?",
        "A window that sticks out at the end does not count: Python's // rounds down.",
    ),
    mistakes=(
        Mistake(
            "padding-once",
            "The padding is counted once, but zeros are added at *both* ends of the axis: 2·padding more pixels.",
            edits("2 * padding -> padding"),
        ),
        Mistake(
            "fence-post",
            "One position is missing. This counts the steps between windows; there is one window more "
            "than steps (five fence panels need six posts).",
            edits("stride + 1 -> stride"),
        ),
        Mistake(
            "one-too-early",
            "The 1 is added before the division. First count the steps, `(…) // stride`; then add one for "
            "the window at the start.",
            edits("- kernel) // stride + 1 -> - kernel + 1) // stride"),
        ),
        Mistake(
            "rounded-up",
            "The division is rounded up, so the last window sticks out over the edge. PyTorch leaves it out: round down.",
            edits("(size + 2 * padding - kernel) // stride -> -(-(size + 2 * padding - kernel) // stride)"),
        ),
        Mistake(
            "not-rounded",
            "This gives a fraction when the stride does not divide the way evenly. A window cannot stand "
            "at half a position: divide with `//`.",
            edits("// -> /"),
        ),
        Mistake(
            "kernel-ignored",
            "The width of the window is not in your formula: a window of 3 cannot start on the last two pixels.",
            edits("- kernel) // stride + 1 -> ) // stride"),
        ),
    ),
    unlisted=(
        edits("+ 2 * padding - kernel) // stride + 1 -> - kernel) // stride + 1 + 2 * padding"),
        edits("- kernel) // stride -> - stride) // kernel"),
    ),
    insight="A stride of 2 (about) halves a map; a 3×3 window with padding 1 keeps its size.",
    used_next="1.2 needs it to know how large the feature map is.",
)
