"""1.2 Convolution by hand."""

import torch
from torch import nn

from vizcourse.exercises.core import CodeExercise, Mistake, case, edits
from vizcourse.lessons.cnn_basics.exercises.output_size import output_size


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
            edits("window * kernels -> window * kernels.flip(2, 3)"),
        ),
        Mistake(
            "first-channel",
            "Only the first channel of the image is used. A kernel is a little cube: it has one layer of "
            "weights for *each* input channel, and everything is summed.",
            edits("window * kernels -> window[:1] * kernels[:, :1]"),
        ),
        Mistake("mean", "You average the products of a window; a convolution *sums* them.", edits(".sum( -> .mean(")),
        Mistake(
            "channel-mean",
            "You average over the input channels; their contributions are summed.",
            edits("dim=(1, 2, 3)) -> dim=(1, 2, 3)) / len(image)"),
        ),
        Mistake(
            "kernels-last",
            "Your result is laid out (rows, columns, K). PyTorch puts channels first: `result.permute(2, 0, 1)`, or fill "
            "`result[:, row, column]`.",
            edits("return result -> return result.permute(1, 2, 0)"),
        ),
        Mistake(
            "swapped",
            "Rows and columns of your result have changed places: row number `row` belongs to the window that begins at row "
            "`row * stride` of the padded image.",
            edits("return result -> return result.transpose(1, 2)"),
        ),
        Mistake(
            "batch-axis",
            "Your result has an axis too many at the front, as of a batch of one picture: `result[0]`.",
            edits("return result -> return result[None]"),
        ),
        Mistake(
            "summed-over-kernels",
            "You sum over the kernels as well, so all maps are equal. Sum over channel, row and column of the window only, "
            "`dim=(1, 2, 3)`: one number for each kernel.",
            edits("dim=(1, 2, 3) -> dim=(0, 1, 2, 3)"),
        ),
        Mistake(
            "stride-ignored",
            "The stride has no effect: the output has a position for every pixel. Window number `row` "
            "begins at pixel `row * stride`.",
            edits(" stride, padding) ->  1, padding)", " * stride ->"),
        ),
        Mistake(
            "windows-without-stride",
            "The output has the right size, but your windows move on by one pixel each: begin "
            "window number `row` at pixel `row * stride`.",
            edits(" * stride ->"),
        ),
        Mistake(
            "padding-ignored",
            "The padding has no effect: add zeros around the image first, with "
            "`nn.functional.pad(image, [left, right, top, bottom])`.",
            edits("[padding, padding, padding, padding] -> [0, 0, 0, 0]", " stride, padding) ->  stride, 0)"),
        ),
        Mistake(
            "padding-one-side",
            "All zeros are added at the top and left. Padding goes on all four sides, `padding` rows or columns each.",
            edits("[padding, padding, padding, padding] -> [2 * padding, 0, 2 * padding, 0]"),
        ),
    ),
    unlisted=(
        edits("padding, padding]) -> padding, padding], mode='replicate')"),
        edits("return result -> return result.relu()"),
    ),
    insight="The same few weights at every place: that is why a CNN finds a shape wherever it stands.",
    used_next="The kernel lab below does exactly this, at every move of a slider.",
)
