"""Exercises of lesson 01, CNN basics.

Written down before the mistakes were coded, what learners of convolutions really do: count padding once, forget the
"+ 1", round up, flip the kernel, keep only the first channel, pad one side, mix up strides and windows, take the loudest
channel for the most important one, edit a weight and never put it back.
"""

from __future__ import annotations

import itertools
import math
import operator

import torch
from torch import nn

from vizcourse.exercises.core import AnswerExercise, ChoiceExercise, CodeExercise, Mistake, Problem, case
from vizcourse.hooks import capture
from vizcourse.lessons.cnn_basics import study
from vizcourse.lessons.cnn_basics.study import shape_pictures
from vizcourse.methods.convolution import accuracy, fit, silence, silencing_effects

# --- 1.1 output size -------------------------------------------------------------------------------------------------


def output_size(size, kernel, stride=1, padding=0):
    """Number of positions of a window along one axis."""
    return (size + 2 * padding - kernel) // stride + 1


def _padding_once(size, kernel, stride=1, padding=0):
    return (size + padding - kernel) // stride + 1


def _without_the_first(size, kernel, stride=1, padding=0):
    return (size + 2 * padding - kernel) // stride


def _rounded_up(size, kernel, stride=1, padding=0):
    return math.ceil((size + 2 * padding - kernel) / stride) + 1


def _not_rounded(size, kernel, stride=1, padding=0):
    return (size + 2 * padding - kernel) / stride + 1


def _kernel_ignored(size, kernel, stride=1, padding=0):
    return (size + 2 * padding) // stride


def _padded_afterwards(size, kernel, stride=1, padding=0):
    return (size - kernel) // stride + 1 + 2 * padding


def _one_added_too_early(size, kernel, stride=1, padding=0):
    return (size + 2 * padding - kernel + 1) // stride


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
            _padding_once,
        ),
        Mistake(
            "fence-post",
            "One position is missing. This counts the steps between windows; there is one window more "
            "than steps (five fence panels need six posts).",
            _without_the_first,
        ),
        Mistake(
            "one-too-early",
            "The 1 is added before the division. First count the steps, `(…) // stride`; then add one for "
            "the window at the start.",
            _one_added_too_early,
        ),
        Mistake(
            "rounded-up",
            "The division is rounded up, so the last window sticks out over the edge. PyTorch leaves it out: round down.",
            _rounded_up,
        ),
        Mistake(
            "not-rounded",
            "This gives a fraction when the stride does not divide the way evenly. A window cannot stand "
            "at half a position: divide with `//`.",
            _not_rounded,
        ),
        Mistake(
            "kernel-ignored",
            "The width of the window is not in your formula: a window of 3 cannot start on the last two pixels.",
            _kernel_ignored,
        ),
    ),
    unlisted=(
        _padded_afterwards,
        lambda size, kernel, stride=1, padding=0: (size + 2 * padding - stride) // kernel + 1,
    ),
    insight="A stride of 2 (about) halves a map; a 3×3 window with padding 1 keeps its size.",
    used_next="1.2 needs it to know how large the feature map is.",
)

# --- 1.2 cross-correlation -------------------------------------------------------------------------------------------


def conv2d(image, kernels, stride=1, padding=0):
    """Slide each kernel over the image: (C, H, W) and (K, C, h, w) -> (K, rows, columns)."""
    height, width = kernels.shape[2:]
    padded = nn.functional.pad(image, [padding, padding, padding, padding])
    rows = output_size(image.shape[1], height, stride, padding)
    columns = output_size(image.shape[2], width, stride, padding)
    result = torch.zeros(len(kernels), rows, columns)
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride, column * stride
            window = padded[:, top : top + height, left : left + width]
            result[:, row, column] = (window * kernels).sum(dim=(1, 2, 3))
    return result


def _conv(image, kernels, stride, padding):
    return nn.functional.conv2d(image[None], kernels, stride=stride, padding=padding)[0]


def _flipped(image, kernels, stride=1, padding=0):
    return _conv(image, kernels.flip(2, 3), stride, padding)


def _first_channel_only(image, kernels, stride=1, padding=0):
    return _conv(image[:1], kernels[:, :1], stride, padding)


def _mean_instead_of_sum(image, kernels, stride=1, padding=0):
    return _conv(image, kernels, stride, padding) / kernels[0].numel()


def _mean_over_channels(image, kernels, stride=1, padding=0):
    return _conv(image, kernels, stride, padding) / len(image)


def _stride_ignored(image, kernels, stride=1, padding=0):
    return _conv(image, kernels, 1, padding)


def _padding_ignored(image, kernels, stride=1, padding=0):
    return _conv(image, kernels, stride, 0)


def _padding_on_one_side(image, kernels, stride=1, padding=0):
    return _conv(nn.functional.pad(image, [2 * padding, 0, 2 * padding, 0]), kernels, stride, 0)


def _windows_without_stride(image, kernels, stride=1, padding=0):
    """The loop runs over the right number of positions, but its windows move by one pixel."""
    rows = output_size(image.shape[1], kernels.shape[2], stride, padding)
    columns = output_size(image.shape[2], kernels.shape[3], stride, padding)
    return _conv(image, kernels, 1, padding)[:, :rows, :columns]


def _rows_and_columns_swapped(image, kernels, stride=1, padding=0):
    return _conv(image, kernels, stride, padding).transpose(1, 2).contiguous()


def _kernels_last(image, kernels, stride=1, padding=0):
    return _conv(image, kernels, stride, padding).permute(1, 2, 0).contiguous()


def _summed_over_kernels(image, kernels, stride=1, padding=0):
    answer = _conv(image, kernels, stride, padding)
    return answer.sum(dim=0, keepdim=True).expand_as(answer).contiguous()


def _edge_padding(image, kernels, stride=1, padding=0):
    padded = nn.functional.pad(image[None], [padding] * 4, mode="replicate")[0] if padding else image
    return _conv(padded, kernels, stride, 0)


def _convolution_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def whole(*shape):  # small whole numbers, so that a learner can check a case by head
        return torch.randint(-3, 4, shape, generator=generator).float()

    return [
        # Rows, columns and kernels differ in number, so that no wrong order of axes has the right shape by accident.
        (whole(1, 3, 4), whole(4, 1, 2, 2)),
        (whole(2, 3, 4), whole(4, 2, 2, 2)),
        case(whole(1, 4, 4), whole(2, 1, 3, 3), padding=1),
        case(whole(3, 7, 6), whole(2, 3, 3, 2), stride=2),
        case(torch.randn(3, 8, 9, generator=generator), torch.randn(4, 3, 3, 3, generator=generator), stride=2, padding=2),
    ]


CONVOLUTION = CodeExercise(
    id="1.2",
    title="Convolution by hand",
    stars=3,
    minutes=12,
    reference=conv2d,
    cases=_convolution_cases,
    setup_source="from vizcourse.methods.convolution import output_size",
    hints=(
        "Two loops, over the rows and columns of the *output*. In the body, cut one window out of the padded image.",
        "The window of output (row, column) begins at pixel (row·stride, column·stride) and spans *all* channels: "
        "padded[:, top:top+height, left:left+width].",
        "window * kernels multiplies the window with every kernel at once, (K, C, h, w); sum over everything but K.",
    ),
    mistakes=(
        Mistake(
            "flipped",
            "Your kernel is turned by 180° before it is applied. That is a mathematician's convolution; what "
            "deep learning calls by that name does not flip (it is a cross-correlation).",
            _flipped,
        ),
        Mistake(
            "first-channel",
            "Only the first channel of the image is used. A kernel is a little cube: it has one layer of "
            "weights for *each* input channel, and everything is summed.",
            _first_channel_only,
        ),
        Mistake("mean", "You average the products of a window; a convolution *sums* them.", _mean_instead_of_sum),
        Mistake("channel-mean", "You average over the input channels; their contributions are summed.", _mean_over_channels),
        Mistake(
            "kernels-last",
            "Your result is laid out (rows, columns, K). PyTorch puts channels first: `result.permute(2, 0, 1)`, or fill "
            "`result[:, row, column]`.",
            _kernels_last,
        ),
        Mistake(
            "swapped",
            "Rows and columns of your result have changed places: row number `row` belongs to the window that begins at row "
            "`row * stride` of the padded image.",
            _rows_and_columns_swapped,
        ),
        Mistake(
            "batch-axis",
            "Your result has an axis too many at the front, as of a batch of one picture: `result[0]`.",
            lambda image, kernels, stride=1, padding=0: _conv(image, kernels, stride, padding)[None],
        ),
        Mistake(
            "summed-over-kernels",
            "You sum over the kernels as well, so all maps are equal. Sum over channel, row and column of the window only, "
            "`dim=(1, 2, 3)`: one number for each kernel.",
            _summed_over_kernels,
        ),
        Mistake(
            "stride-ignored",
            "The stride has no effect: the output has a position for every pixel. Window number `row` "
            "begins at pixel `row * stride`.",
            _stride_ignored,
        ),
        Mistake(
            "windows-without-stride",
            "The output has the right size, but your windows move on by one pixel each: begin "
            "window number `row` at pixel `row * stride`.",
            _windows_without_stride,
        ),
        Mistake(
            "padding-ignored",
            "The padding has no effect: add zeros around the image first, with "
            "`nn.functional.pad(image, [left, right, top, bottom])`.",
            _padding_ignored,
        ),
        Mistake(
            "padding-one-side",
            "All zeros are added at the top and left. Padding goes on all four sides, `padding` rows or columns each.",
            _padding_on_one_side,
        ),
    ),
    unlisted=(
        _edge_padding,
        lambda image, kernels, stride=1, padding=0: _conv(image, kernels, stride, padding).relu(),
    ),
    insight="The same few weights at every place: that is why a CNN finds a shape wherever it stands.",
    used_next="The kernel lab below does exactly this, at every move of a slider.",
)

# --- 1.3 a kernel for one orientation (in the kernel lab) --------------------------------------------------------------


def orientation_answers(kernel):
    """How strongly a kernel answers to vertical stripes, to horizontal stripes, and to an even grey: root mean squares."""
    across = torch.arange(24.0)
    wave = 0.5 + 0.5 * torch.sin(across * (2 * math.pi / 8))
    vertical, even = wave.expand(24, 24), torch.full((24, 24), 0.5)

    def answer(picture):
        return _conv(picture[None], kernel[None, None], 1, 0).square().mean().sqrt().item()

    return answer(vertical), answer(vertical.T), answer(even)


def _as_kernel(value):
    try:
        kernel = torch.as_tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        return None
    return kernel if kernel.ndim == 2 and bool(kernel.isfinite().all()) else None


def _orientation_judge(value):
    kernel = _as_kernel(value)
    if kernel is None:
        return "Pass the kernel lab itself, or its kernel: a square table of finite numbers."
    if not kernel.any():
        return Problem(mistake="zero")
    vertical, horizontal, even = orientation_answers(kernel)
    largest = max(vertical, horizontal, even)
    if largest < 1e-6 * float(kernel.abs().sum()):  # whatever the unit in which the kernel is written
        return Problem(mistake="silent")
    measured = f"Measured: vertical stripes {vertical:.2f}, horizontal stripes {horizontal:.2f}, even grey {even:.2f}."
    if even > 0.05 * largest:
        return Problem(measured, mistake="brightness")
    if horizontal > 5 * vertical:
        return Problem(measured, mistake="turned")
    if vertical > 5 * horizontal:
        return None
    if vertical > 1.5 * horizontal:
        times = vertical / horizontal
        return f"The right direction: {times:.1f} times as strong for vertical edges, and 5 times are asked. {measured}"
    return Problem(measured, mistake="both")


def _is_identity(value):
    """The kernel that the lab starts with: nothing has been tried yet."""
    kernel = _as_kernel(value)
    if kernel is None or not 0 < kernel.abs().sum() == kernel.amax() == 1:
        return False
    return kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] == 1


ORIENTATION = AnswerExercise(
    id="1.3",
    title="A kernel that sees vertical edges only",
    stars=2,
    minutes=6,
    judge=_orientation_judge,
    blank=_is_identity,
    setup_source="from vizcourse.lessons.cnn_basics.widgets import KernelLab\nlab = KernelLab()",
    solution_source='lab.set(kernel=[[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]])\nanswer("1.3", lab)',
    hints=(
        "At a vertical edge the picture changes from left to right. Compare the left with the right column of the window.",
        "On an even area the answer must be zero, so the nine numbers must add up to zero.",
        "If all three rows are equal, horizontal edges cancel out.",
    ),
    mistakes=(
        Mistake(
            "turned",
            "This kernel answers to horizontal edges and hardly to vertical ones: it is the right idea, turned by "
            "90°. Swap rows and columns.",
            [[-1, -1, -1], [0, 0, 0], [1, 1, 1]],
        ),
        Mistake(
            "both",
            "This kernel answers to both orientations. It must not care what changes from top to bottom: make its rows equal.",
            [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
        ),
        Mistake(
            "brightness",
            "This kernel also answers to an even grey area, where there is no edge at all: its numbers must add up to zero.",
            [[0, 1, 1], [0, 1, 1], [0, 1, 1]],
        ),
        Mistake("zero", "All numbers are zero: this kernel answers to nothing.", [[0, 0, 0]] * 3),
        Mistake(
            "silent",
            "This kernel answers neither to vertical nor to horizontal stripes, nor to an even area: in its rows *and* in its "
            "columns everything cancels. Let the left and the right column differ, and all rows be equal.",
            [[1, 0, -1], [0, 0, 0], [-1, 0, 1]],
        ),
    ),
    unlisted=([["a", 1], [2, 3]], [1.0, 0.0, -1.0], [[float("nan")] * 3] * 3),
    insight="An oriented edge detector, built by hand. First layers of trained networks often hold some, found by themselves.",
    used_next="In the next section you meet the kernels that a network has learned.",
)

# --- 1.4 max pooling -------------------------------------------------------------------------------------------------


def max_pool(image, size=2):
    """Largest value of each size × size block, channel by channel: (C, H, W) -> (C, H // size, W // size)."""
    channels, height, width = image.shape
    rows, columns = height // size, width // size
    blocks = image[:, : rows * size, : columns * size].reshape(channels, rows, size, columns, size)
    return blocks.amax(dim=(2, 4))


def _average_pool(image, size=2):
    return nn.functional.avg_pool2d(image[None], size)[0]


def _pool_channels_too(image, size=2):
    return max_pool(image, size).amax(dim=0, keepdim=True)


def _overlapping(image, size=2):
    return nn.functional.max_pool2d(image[None], size, stride=1)[0]


def _top_left(image, size=2):
    rows, columns = image.shape[1] // size, image.shape[2] // size
    return image[:, : rows * size : size, : columns * size : size]


def _keep_the_rest(image, size=2):
    return nn.functional.max_pool2d(image[None], size, ceil_mode=True)[0]


def _always_two(image, size=2):
    return max_pool(image, 2)


def _blocks_not_moved(image, size=2):
    channels, height, width = image.shape
    rows, columns = height // size, width // size
    return nn.functional.max_pool2d(image[None], size, stride=1)[0][:, :rows, :columns]


def _mixed_blocks(image, size=2):
    channels, height, width = image.shape
    rows, columns = height // size, width // size
    return image[:, : rows * size, : columns * size].reshape(channels, rows, columns, size * size).amax(dim=3)


def _whole_map(image, size=2):
    return image.amax(dim=(1, 2))


def _blocks(image, size):
    channels, height, width = image.shape
    rows, columns = height // size, width // size
    return image[:, : rows * size, : columns * size].reshape(channels, rows, size, columns, size)


def _pair_asked_for_its_maximum(image, size=2):
    return _blocks(image, size).max(dim=4).max(dim=2)


def _pair(image, size=2):
    return _blocks(image, size).transpose(2, 3).flatten(3).max(dim=3)


def _pair_of_rows(image, size=2):
    return _blocks(image, size).max(dim=4).values.max(dim=2)


def _pooling_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    return [
        # Two channels and two blocks at least: with one of either, a maximum over too much would be right.
        (torch.randint(-9, 10, (2, 2, 4), generator=generator).float(),),
        (torch.randint(-9, 10, (1, 4, 4), generator=generator).float(),),
        (torch.randint(-9, 0, (2, 4, 6), generator=generator).float(),),
        case(torch.randn(2, 6, 9, generator=generator), size=3),
        (torch.randn(3, 7, 5, generator=generator),),
    ]


POOLING = CodeExercise(
    id="1.4",
    title="Max pooling",
    stars=1,
    minutes=6,
    reference=max_pool,
    cases=_pooling_cases,
    hints=(
        "Blocks do not overlap: block (row, column) covers pixels row·size … row·size + size − 1.",
        "Cut off what does not fill a block, reshape to (C, rows, size, columns, size), and take `.amax` over the two "
        "axes of length `size` (`.max` gives the places as well).",
    ),
    mistakes=(
        Mistake("average", "This is average pooling: it takes the mean of each block, not the largest value.", _average_pool),
        Mistake(
            "over-channels",
            "The maximum runs over the channels as well. Pooling works on each channel by itself: as "
            "many channels come out as went in.",
            _pool_channels_too,
        ),
        Mistake(
            "pair-max",
            "`.max(dim=…)` gives two tensors, the largest values and their places, and such a pair has no `.max` of its own: "
            "take `.max(dim=…).values`, or use `.amax(dim=…)`, which gives the values alone.",
            _pair_asked_for_its_maximum,
        ),
        Mistake(
            "pair",
            "You return what `.max(dim=…)` gives, the largest values *and* their places: return `.values` of it, or use "
            "`.amax(dim=…)`.",
            _pair,
        ),
        Mistake(
            "pair-of-rows",
            "The last `.max(dim=…)` gives a pair, the values and their places: return its `.values`, or use `.amax(dim=…)`.",
            _pair_of_rows,
        ),
        Mistake(
            "whole-map",
            "You take one maximum over the whole map. Max pooling takes one for each block of `size` × `size` pixels.",
            _whole_map,
        ),
        Mistake("overlapping", "Your windows overlap: they move on by 1 pixel instead of by `size`.", _overlapping),
        Mistake(
            "not-moved",
            "The result has the right shape, but your blocks move on by one pixel each: block number `row` begins at pixel "
            "`row * size`.",
            _blocks_not_moved,
        ),
        Mistake("top-left", "You keep the top left pixel of each block (that is a stride, not a maximum).", _top_left),
        Mistake(
            "keeps-the-rest",
            "You keep the rows and columns at the edge that do not fill a whole block; like PyTorch, leave them out.",
            _keep_the_rest,
        ),
        Mistake("always-two", "Your blocks are always 2 × 2: use the argument `size`.", _always_two),
        Mistake(
            "mixed-blocks",
            "The reshape cuts each row into pieces of size·size pixels instead of square blocks. The "
            "axes must come as (C, rows, size, columns, size).",
            _mixed_blocks,
        ),
    ),
    unlisted=(
        lambda image, size=2: max_pool(image.abs(), size),
        lambda image, size=2: -max_pool(-image, size),
        lambda image, size=2: max_pool(image.relu(), size),
    ),
    insight="A feature may move by a pixel and the pooled map stays almost the same; what is lost is exactly where it was.",
    used_next="The network of 1.8 pools after each convolution.",
)

# --- 1.5 parameters --------------------------------------------------------------------------------------------------


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
            lambda channels_in, channels_out, kernel, bias=True: channels_out * channels_in * kernel**2,
        ),
        Mistake(
            "bias-always",
            "The biases are counted even when `bias=False`.",
            lambda channels_in, channels_out, kernel, bias=True: channels_out * (channels_in * kernel**2 + 1),
        ),
        Mistake(
            "flat-kernel",
            "A kernel spans all input channels: it has channels_in · kernel · kernel numbers.",
            lambda channels_in, channels_out, kernel, bias=True: channels_out * (kernel**2 + bool(bias)),
        ),
        Mistake(
            "line-kernel",
            "A kernel is a square: it has kernel · kernel numbers for each input channel.",
            lambda channels_in, channels_out, kernel, bias=True: channels_out * (channels_in * kernel + bool(bias)),
        ),
        Mistake(
            "bias-per-pair",
            "You count one bias for each pair of input and output channel; there is one for each *output* channel.",
            lambda channels_in, channels_out, kernel, bias=True: channels_out * channels_in * (kernel**2 + bool(bias)),
        ),
        Mistake(
            "one-bias",
            "You count a single bias for the layer; there is one for each output channel.",
            lambda channels_in, channels_out, kernel, bias=True: channels_out * channels_in * kernel**2 + bool(bias),
        ),
    ),
    unlisted=(
        lambda channels_in, channels_out, kernel, bias=True: channels_in * (channels_out * kernel**2 + bool(bias)),
        lambda channels_in, channels_out, kernel, bias=True: (channels_in + channels_out) * kernel**2,
    ),
    insight="The size of the picture is not in the formula: the same weights serve every place.",
    used_next="The next cell sets it beside PyTorch's own count.",
)

# --- 1.6 vocabulary --------------------------------------------------------------------------------------------------

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

# --- 1.7 receptive field ---------------------------------------------------------------------------------------------


def receptive_field(layers):
    """Side of the square of pixels that one neuron can see; layers = [(kernel, stride), ...] from the input on."""
    size, jump = 1, 1
    for kernel, stride in layers:
        size = size + (kernel - 1) * jump
        jump = jump * stride
    return size


def _strides_ignored(layers):
    return 1 + sum(kernel - 1 for kernel, _ in layers)


def _kernels_added(layers):
    return sum(kernel for kernel, _ in layers) or 1


def _jump_too_early(layers):
    size, jump = 1, 1
    for kernel, stride in layers:
        jump *= stride
        size += (kernel - 1) * jump
    return size


def _last_stride_only(layers):
    size, previous = 1, 1
    for kernel, stride in layers:
        size += (kernel - 1) * previous
        previous = stride
    return size


def _kernels_multiplied(layers):
    return math.prod(kernel for kernel, _ in layers)


def _from_the_wrong_end(layers):
    size = 1
    for kernel, stride in layers:  # the rule is right from the last layer to the first
        size = (size - 1) * stride + kernel
    return size


def _own_stride(layers):
    return 1 + sum((kernel - 1) * stride for kernel, stride in layers)


def _from_zero(layers):
    return receptive_field(layers) - 1


def _not_minus_one(layers):
    size, jump = 1, 1
    for kernel, stride in layers:
        size += kernel * jump
        jump *= stride
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
            _strides_ignored,
        ),
        Mistake(
            "kernels-added",
            "You add up the kernels. The windows overlap: a second 3×3 adds only 2 pixels to the first, one at each end.",
            _kernels_added,
        ),
        Mistake(
            "jump-too-early",
            "A layer's own stride does not widen its own window, only those of the layers behind it: "
            "first enlarge the field, then multiply the distance.",
            _jump_too_early,
        ),
        Mistake(
            "wrong-end",
            "These are the fields of the same layers in reverse order. If your rule is (size − 1) · stride + kernel, it goes "
            "from the *last* layer back to the picture: `reversed(layers)`. From the picture on, carry the distance between "
            "neighbours along in a second variable.",
            _from_the_wrong_end,
        ),
        Mistake(
            "own-stride",
            "Each window is multiplied by its *own* stride. What counts is how far apart its inputs are: the product of all "
            "strides *before* it.",
            _own_stride,
        ),
        Mistake(
            "from-zero",
            "One pixel is missing everywhere. Without any layer a pixel sees itself: start from 1.",
            _from_zero,
        ),
        Mistake(
            "last-stride-only",
            "You use only the stride of the layer before. Strides multiply: behind two strides of 2, "
            "neighbours are 4 pixels apart.",
            _last_stride_only,
        ),
        Mistake(
            "kernels-multiplied",
            "You multiply the kernels. Each layer *adds* (kernel − 1) times the distance between neighbours.",
            _kernels_multiplied,
        ),
        Mistake(
            "not-minus-one",
            "Each layer adds (kernel − 1) times the distance, not kernel times: one pixel of the window "
            "was in the field already.",
            _not_minus_one,
        ),
    ),
    unlisted=(
        lambda layers: receptive_field(layers) + 1,
        lambda layers: 1 + sum((kernel - 1) * 2**number for number, (kernel, _) in enumerate(layers)),
    ),
    insight="Small windows, stacked, see far: pooling doubles the reach of everything behind it.",
    used_next="The next cell verifies it with gradients, pixel by pixel.",
)

# --- 1.8 build and train a network -------------------------------------------------------------------------------------


def make_network():
    """A classifier of 32 × 32 colour pictures into three classes."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 3),
    )


def _network_problem(network):
    """What can be seen before any training: kind, output, convolutions, and whether it is linear."""
    if not isinstance(network, nn.Module):
        return f"make_network() gave a {type(network).__name__}: return the network, an nn.Module."
    images, _ = shape_pictures("test")
    # In eval mode batch norm is a linear map, too, so a network without a non-linearity can be told by its answers.
    network.eval()
    with torch.no_grad():
        logits = network(images[:8])
        if not isinstance(logits, torch.Tensor):
            return f"For 8 pictures your network gave a {type(logits).__name__}: it must give one tensor of logits, (8, 3)."
        if logits.shape != (8, 3):
            return Problem(f"For 8 pictures it gave {tuple(logits.shape)} instead of (8, 3).", mistake="shape")
        if bool((logits >= 0).all()) and torch.allclose(logits.sum(1), torch.ones(8), atol=1e-4):
            return Problem(mistake="softmax")
        middle = network((images[:4] + images[4:8]) / 2)
        if torch.allclose(middle, (logits[:4] + logits[4:]) / 2, atol=1e-5):
            return Problem(mistake="linear")
    return None


def _same_weights(first, second):
    """Whether two networks share a parameter: then training one changes the other."""
    return bool({id(one) for one in first.parameters()} & {id(one) for one in second.parameters()})


def _steps(network):
    """The layers without children in the order in which they run, each with the shapes of its input and output."""
    steps = []

    def note(module, inputs, output):
        if not list(module.children()) and inputs and isinstance(inputs[0], torch.Tensor) and isinstance(output, torch.Tensor):
            steps.append((module, inputs[0].shape, output.shape))

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with torch.no_grad():
            network.eval()(shape_pictures("test")[0][:2])
    finally:
        for hook in hooks:
            hook.remove()
    return steps


def _ends_in_relu(network):
    steps = _steps(network)
    return bool(steps) and isinstance(steps[-1][0], nn.ReLU) and len(steps[-1][2]) == 2


def pattern_of(network):
    """What a network is made of, as the study's patterns are: (convolutions, batch norm, end); None where it is another kind.

    The end is how the last map loses its places: "max" or "mean" over all of them, or "flatten", each with a weight of its own.
    """
    steps, end = _steps(network), None
    for module, before, after in steps:
        if len(before) == 4 and before[2] * before[3] > 1:
            pooled = len(after) == 4 and after[2] * after[3] == 1
            if pooled and isinstance(module, nn.AdaptiveMaxPool2d | nn.MaxPool2d):
                end = "max"
            elif pooled and isinstance(module, nn.AdaptiveAvgPool2d | nn.AvgPool2d):
                end = "mean"
            elif len(after) == 2 and after[1] == before[1] * before[2] * before[3]:
                end = "flatten"
    convolutions = sum(isinstance(module, nn.Conv2d) for module, _, _ in steps)
    if end is None or not convolutions:
        return None
    return min(convolutions, 3), any(isinstance(module, nn.BatchNorm2d) for module, _, _ in steps), end


#: What may be changed about a pattern, and what to write for it. The order is that in which it is advised.
CHANGES = {
    "average": "nn.AdaptiveMaxPool2d(1) instead of the mean at the end",
    "flattened": "nn.AdaptiveMaxPool2d(1) before nn.Flatten()",
    "no-batch-norm": "nn.BatchNorm2d(channels) after each convolution",
    "one-convolution": "a second convolution, with max pooling before it",
}


def _changed(which, changes):
    convolutions, batch_norm, end = which
    return (
        convolutions + ("one-convolution" in changes),
        batch_norm or "no-batch-norm" in changes,
        "max" if {"average", "flattened"} & set(changes) else end,
    )


def _open_changes(which):
    convolutions, batch_norm, end = which
    open_ = {"average": end == "mean", "flattened": end == "flatten", "no-batch-norm": not batch_norm}
    return [name for name, is_open in {**open_, "one-convolution": convolutions == 1}.items() if is_open]


def _trials(which):
    """Held-out accuracies of a pattern in the course's own trials, with 16, 32 and 64 channels."""
    return study.results()["patterns"][study.pattern_name(*which)]


def _said(accuracies):
    low, high = (f"{round(100 * value)}" for value in (min(accuracies), max(accuracies)))
    return f"{low} %" if low == high else f"{low} to {high} %"


def fewest_changes(which):
    """The fewest changes with which the pattern reached what is asked in all of the course's trials; None if there are none."""
    names = _open_changes(which)
    for number in range(1, len(names) + 1):
        for some in itertools.combinations(names, number):
            if min(_trials(_changed(which, some))) >= study.ENOUGH:
                return some
    return None


def _training_judge(learner):
    network = learner()
    if problem := _network_problem(network):
        return problem
    if _same_weights(network, learner()):
        return Problem(mistake="not-new")
    images, labels = shape_pictures("train")
    fit(network, images, labels, epochs=study.EPOCHS, learning_rate=study.LEARNING_RATE)
    held_out = accuracy(network, *shape_pictures("test"))
    if held_out >= study.ENOUGH:
        return None
    measured = f"After five epochs yours names {held_out:.0%} of the held-out pictures right; 95 % are asked for."
    modules = list(network.modules())
    if all(isinstance(module, nn.Linear | nn.BatchNorm1d) for module in modules if module._parameters):
        return Problem(measured, mistake="no-convolution")
    if _ends_in_relu(network):
        return Problem(measured, mistake="relu-at-the-end")
    which = pattern_of(network)
    if which is None:
        seen = accuracy(network, images[:600], labels[:600])
        return (
            f"{measured} Of those it was trained on: {seen:.0%}. What has reached it in the course's own trials is "
            "convolution, batch norm and ReLU, three times, with nn.MaxPool2d(2) between and nn.AdaptiveMaxPool2d(1) last."
        )
    trial = f"In the course's own trials (ReLU, 16, 32, 64 channels, two starts) this pattern reached {_said(_trials(which))}"
    if changes := fewest_changes(which):
        better = _said(_trials(_changed(which, changes)))
        if len(changes) == 1:
            return Problem(f"{measured} {trial}, and with {CHANGES[changes[0]]} {better}.", mistake=changes[0])
        todo = "; ".join(CHANGES[name] for name in changes)
        single = max(max(_trials(_changed(which, [name]))) for name in changes)
        return Problem(
            f"{measured} {trial}; with one of these changes at most {single:.0%}, and with all of them {better}: {todo}.",
            mistake="several",
        )
    widest = max(module.out_channels for module in modules if isinstance(module, nn.Conv2d))
    if which[0] >= 2 and widest < 32:
        return Problem(f"{measured} Its widest layer has {widest}; {trial[0].lower()}{trial[1:]}.", mistake="narrow")
    return (
        f"{measured} {trial}: in what else does yours differ? Those had 3 × 3 kernels with padding 1, a ReLU after each "
        "convolution, and nn.MaxPool2d(2) between them."
    )


def _no_convolution():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 64), nn.ReLU(), nn.Linear(64, 3))


def _no_nonlinearity():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.AvgPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 3),
    )


def _softmax_inside():
    return nn.Sequential(*make_network(), nn.Softmax(dim=1))


def _not_flattened():
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 3, 3))


def _averaged():
    return nn.Sequential(*[nn.AdaptiveAvgPool2d(1) if isinstance(m, nn.AdaptiveMaxPool2d) else m for m in make_network()])


def _flattened():
    blocks = list(make_network())[:8]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(32 * 8 * 8, 3))


def _no_batch_norm():
    return nn.Sequential(*[m for m in make_network() if not isinstance(m, nn.BatchNorm2d)])


def _one_convolution():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(16, 3)
    )


def _the_list_of_section_4():
    return nn.Sequential(
        nn.Conv2d(3, 10, kernel_size=5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(10, 3),
    )


def _relu_at_the_end():
    return nn.Sequential(*_the_list_of_section_4(), nn.ReLU())


def _narrow():
    return study.pattern(3, True, "max", (2, 2, 4))


_ONE_FOR_ALL = []


def _not_new():
    if not _ONE_FOR_ALL:
        _ONE_FOR_ALL.append(make_network())
    return _ONE_FOR_ALL[0]


def _wrong_size():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 32 * 32, 3))


TRAINING = CodeExercise(
    id="1.8",
    title="Train your own",
    stars=2,
    minutes=10,
    reference=make_network,
    judge=_training_judge,
    hints=(
        "Repeat a block of convolution, batch norm, ReLU and max pooling, three times say, with more channels each time: "
        "nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), and so on.",
        "At the end you need one number a channel that does not depend on where the shape stands. The mean over all places "
        "waters a small shape down; what is left of it in the largest value?",
        "nn.AdaptiveMaxPool2d(1) keeps the strongest answer of each channel, wherever it was; then nn.Flatten() and "
        "nn.Linear(channels, 3).",
    ),
    mistakes=(
        Mistake(
            "no-convolution",
            "All its weights connect everything with everything: there is no convolution in it, so it has to learn every shape "
            "anew at every place.",
            _no_convolution,
        ),
        Mistake(
            "linear",
            "There is no non-linearity in it: however many convolutions, together they are one linear map. Put "
            "an nn.ReLU() after each.",
            _no_nonlinearity,
        ),
        Mistake(
            "softmax",
            "It ends in a softmax. The training takes logits and applies the softmax itself. Leave it out.",
            _softmax_inside,
        ),
        Mistake(
            "shape",
            "It does not give one logit a class for each picture, (N, 3): pool to 1×1, flatten, and end in nn.Linear(…, 3).",
            _not_flattened,
        ),
        Mistake(
            "not-new",
            "Two calls of make_network() give the same weights. The lesson trains several networks, each from the start: make "
            "the layers *inside* the function.",
            _not_new,
        ),
        Mistake(
            "relu-at-the-end",
            "Its last layer is a ReLU, so no logit can be negative, and a logit that is 0 passes no gradient back. Logits may "
            "have any sign: end in the nn.Linear.",
            _relu_at_the_end,
        ),
        Mistake(
            "average",
            "At the end you take the mean over all places, which waters down a shape that covers a small part of the picture.",
            _averaged,
        ),
        Mistake(
            "flattened",
            "At the end you connect every place of the maps with every class, so a shape has to be learned anew at each place, "
            "which is what convolutions were to spare it.",
            _flattened,
        ),
        Mistake(
            "no-batch-norm",
            "There is no batch norm in it, which sets the scale of each channel anew at each step of the training.",
            _no_batch_norm,
        ),
        Mistake(
            "one-convolution",
            "A single convolution finds edges, and a shape is a combination of edges.",
            _one_convolution,
        ),
        Mistake("several", "More than one thing keeps it from learning in five epochs.", _the_list_of_section_4),
        Mistake("narrow", "It has too few channels.", _narrow),
    ),
    unlisted=(_wrong_size,),
    insight="Weights that are shared over all places learn what three shapes are in seconds, wherever they stand.",
    used_next="The controls below take this network's one advantage away: they shuffle the pixels.",
)

# --- 1.9 the channel that matters ------------------------------------------------------------------------------------


def most_important_channel(model, layer, images, labels):
    """The channel of `layer` whose silencing changes the right class's probability most, on average."""
    rows = torch.arange(len(labels))
    clean = model(images).softmax(1)[rows, labels]
    with capture(model, layer, stop=True) as acts:
        model(images)
    changes = []
    for channel in range(acts[layer].shape[1]):
        silenced = silence(model, images, layer, [channel]).softmax(1)[rows, labels]
        changes.append((silenced - clean).abs().mean())
    return int(torch.stack(changes).argmax())


def _changes(model, layer, images):
    """Probabilities (channels, N, classes) with each channel silenced, and without (N, classes)."""
    with torch.no_grad():
        return silencing_effects(model, images, layer), model(images).softmax(1)


def _activation(model, layer, images):
    with torch.no_grad(), capture(model, layer, stop=True) as acts:
        model(images)
    return acts[layer]


def _loudest(model, layer, images, labels):
    return int(_activation(model, layer, images).mean(dim=(0, 2, 3)).argmax())


def _largest_single_value(model, layer, images, labels):
    return int(_activation(model, layer, images).amax(dim=(0, 2, 3)).argmax())


def _only_losses(model, layer, images, labels):
    effects, _ = _changes(model, layer, images)
    return int(effects[:, torch.arange(len(labels)), labels].mean(1).argmin())


def _only_gains(model, layer, images, labels):
    effects, _ = _changes(model, layer, images)
    return int(effects[:, torch.arange(len(labels)), labels].mean(1).argmax())


def _first_picture(model, layer, images, labels):
    effects, _ = _changes(model, layer, images[:1])
    return int(effects[:, 0, labels[0]].abs().argmax())


def _first_class(model, layer, images, labels):
    effects, _ = _changes(model, layer, images)
    return int(effects[:, :, 0].abs().mean(1).argmax())


def _least(model, layer, images, labels):
    effects, _ = _changes(model, layer, images)
    return int(effects[:, torch.arange(len(labels)), labels].abs().mean(1).argmin())


def _never_restored(model, layer, images, labels):
    """Each channel is silenced on top of all before it, so the last straw looks heaviest."""
    rows = torch.arange(len(labels))
    before, changes = model(images).softmax(1)[rows, labels], []
    for channel in range(_activation(model, layer, images).shape[1]):
        after = silence(model, images, layer, range(channel + 1)).softmax(1)[rows, labels]
        changes.append((after - before).abs().mean())
    return int(torch.stack(changes).argmax())


def _absolute_too_late(model, layer, images, labels):
    effects, _ = _changes(model, layer, images)
    return int(effects[:, torch.arange(len(labels)), labels].mean(1).abs().argmax())


def _every_class(model, layer, images, labels):
    effects, _ = _changes(model, layer, images)
    return int(effects.abs().mean(dim=(1, 2)).argmax())


def _labels_as_columns(model, layer, images, labels):
    effects, _ = _changes(model, layer, images)
    return int(effects[:, :, labels].abs().mean(dim=(1, 2)).argmax())


def _largest_on_one_picture(model, layer, images, labels):
    effects, _ = _changes(model, layer, images)
    return int(effects[:, torch.arange(len(labels)), labels].abs().amax(1).argmax())


def _logits(model, layer, images, labels):
    rows, count = torch.arange(len(labels)), _activation(model, layer, images).shape[1]
    clean = model(images)[rows, labels]
    silenced = [silence(model, images, layer, [channel])[rows, labels] for channel in range(count)]
    return int((torch.stack(silenced) - clean).abs().mean(1).argmax())


def _squared(model, layer, images, labels):
    effects, _ = _changes(model, layer, images)
    return int(effects[:, torch.arange(len(labels)), labels].square().mean(1).argmax())


def _predicted_class(model, layer, images, labels):
    effects, clean = _changes(model, layer, images)
    return int(effects[:, torch.arange(len(labels)), clean.argmax(1)].abs().mean(1).argmax())


def _accuracy(model, layer, images, labels):
    effects, clean = _changes(model, layer, images)
    return int(((effects + clean).argmax(2) == labels).float().mean(1).argmin())


def _flipped_answers(model, layer, images, labels):
    effects, clean = _changes(model, layer, images)
    return int(((effects + clean).argmax(2) != clean.argmax(1)).float().mean(1).argmax())


def _median(model, layer, images, labels):
    effects, _ = _changes(model, layer, images)
    return int(effects[:, torch.arange(len(labels)), labels].abs().median(1).values.argmax())


def _log_probability(model, layer, images, labels):
    effects, clean = _changes(model, layer, images)
    changes = (effects + clean).log() - clean.log()
    return int(changes[:, torch.arange(len(labels)), labels].abs().mean(1).argmax())


def _most_spread(model, layer, images, labels):
    return int(_activation(model, layer, images).std(dim=(0, 2, 3)).argmax())


class _Toy(nn.Module):
    """A tiny network with random weights; the cases are chosen so that no two mistakes agree on all of them."""

    def __init__(self, seed, channels=6, classes=3):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(3, channels, 3, padding=1)
            self.relu = nn.ReLU()
            self.fc = nn.Linear(channels, classes)
            self.fc.weight.data *= 4
            self.conv.weight.data *= 3
        self.requires_grad_(False).eval()

    def forward(self, images):
        return self.fc(self.relu(self.conv(images)).mean(dim=(2, 3)))

    def __repr__(self):
        return "a small CNN with the layers 'conv', 'relu' and 'fc'"


TOYS = (55, 106, 131, 75, 39, 24, 143)


def _importance_cases(seed):
    cases = []
    # These tell every two of the mistakes apart, and the reference from each at least twice (found by a greedy search).
    sizes = [(toy, (6, 6)) for toy in (TOYS if seed == 0 else range(1000 * seed, 1000 * seed + 12))]
    if seed == 0:  # the last channel matters most, and there are more channels than rows or pictures: all must be tried
        sizes.append((311, (4, 7)))
    for toy, size in sizes:
        generator = torch.Generator().manual_seed(toy)
        images = torch.rand(5, 3, *size, generator=generator)
        cases.append((_Toy(toy), "relu", images, torch.randint(0, 3, (5,), generator=generator)))
    return cases


def _leaves_the_model_alone(learner):
    """A hook that stays on the model goes on working in every later cell."""
    model, layer, images, labels = _importance_cases(0)[0]
    learner(model, layer, images, labels)
    if any(module._forward_hooks or module._forward_pre_hooks for module in model.modules()):
        return (
            "The channel is right, but your function leaves a hook on the model, which goes on working in every later cell: "
            "call `.remove()` on what `register_forward_hook` gave you, or use `silence`."
        )
    return None


def _hook_stays(model, layer, images, labels):
    model.get_submodule(layer).register_forward_hook(lambda module, inputs, output: None)
    return most_important_channel(model, layer, images, labels)


IMPORTANCE = CodeExercise(
    id="1.9",
    title="The channel that matters most",
    stars=2,
    minutes=10,
    reference=most_important_channel,
    cases=_importance_cases,
    setup_source="from vizcourse.hooks import capture\nfrom vizcourse.methods.convolution import silence",
    hints=(
        "`silence(model, images, layer, [channel])` gives the logits with one channel switched off. Loop over all channels.",
        "Take the softmax, pick each picture's own class with probabilities[torch.arange(N), labels], and subtract the same "
        "without silencing.",
        "A change is a change in either direction: take the absolute value of each before you average over the pictures.",
    ),
    mistakes=(
        Mistake(
            "loudest",
            "You chose the channel with the largest mean activation. Loud is not important: the layers behind "
            "it may ignore what it says. Silence each channel and measure what happens.",
            _loudest,
        ),
        Mistake(
            "largest-value",
            "You chose the channel with the single largest activation. Silence each channel and measure "
            "what happens to the probability.",
            _largest_single_value,
        ),
        Mistake(
            "only-losses",
            "You chose the channel whose loss hurts most. A channel that argued *against* the right class "
            "counts as well: take the absolute change of each picture, then average.",
            _only_losses,
        ),
        Mistake(
            "only-gains",
            "You chose the channel whose silencing helps most (argmax of the signed change). Take the "
            "absolute change of each picture, then average.",
            _only_gains,
        ),
        Mistake(
            "absolute-too-late",
            "You average first and take the absolute value afterwards, so a channel that helps one picture and harms another "
            "comes out as zero. Take the absolute change of each picture, then average.",
            _absolute_too_late,
        ),
        Mistake(
            "every-class",
            "You average over all classes. Follow each picture's own class only: probabilities[torch.arange(N), labels].",
            _every_class,
        ),
        Mistake(
            "labels-as-columns",
            "`probabilities[:, labels]` takes *all* labels from *every* picture, an N × N table. Pair them up: "
            "`probabilities[torch.arange(N), labels]`.",
            _labels_as_columns,
        ),
        Mistake(
            "one-picture",
            "You take the largest change on any one picture; average over the pictures.",
            _largest_on_one_picture,
        ),
        Mistake(
            "logits",
            "You compare logits. `silence` returns logits, and a logit may change a lot while the probability does not: take "
            "the softmax of both first.",
            _logits,
        ),
        Mistake(
            "squared",
            "You average the *squares* of the changes, in which one picture that changes much outweighs many that change a "
            "little. The mean absolute change is asked: `.abs().mean()`.",
            _squared,
        ),
        Mistake(
            "predicted-class",
            "You follow the class that the network *predicts*. Where it is wrong, that is another: take each picture's label.",
            _predicted_class,
        ),
        Mistake(
            "accuracy",
            "You take the channel without which the fewest pictures are named right. A probability can change a lot before the "
            "answer does: average the absolute change of the right class's probability.",
            _accuracy,
        ),
        Mistake(
            "flipped-answers",
            "You count how often the answer turns into another. A probability can change a lot before the answer does: average "
            "the absolute change of the right class's probability.",
            _flipped_answers,
        ),
        Mistake("first-picture", "Only the first picture decides in your code: average over all of them.", _first_picture),
        Mistake(
            "first-class",
            "You follow the probability of class 0 in every picture. Take each picture's own class: "
            "probabilities[torch.arange(N), labels].",
            _first_class,
        ),
        Mistake("least", "This is the channel that matters *least*: argmin where argmax is meant.", _least),
        Mistake(
            "never-restored",
            "Each channel stays silent when the next one is tried, so you measure the last straw. Silence "
            "one channel at a time: [channel], not all so far.",
            _never_restored,
        ),
    ),
    judge=_leaves_the_model_alone,
    unlisted=(lambda model, layer, images, labels: 0, _most_spread, _median, _log_probability, _hook_stays),
    insight="You have intervened: this is a statement about causes, and activations alone make none.",
    used_next="Every later lesson is a refinement of this one move.",
)

EXERCISES = (OUTPUT_SIZE, CONVOLUTION, ORIENTATION, POOLING, PARAMETERS, VOCABULARY, FIELD, TRAINING, IMPORTANCE)
