"""1.4 Max pooling."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, case, edits


def max_pool(image, size=2):
    """Largest value of each size × size block, channel by channel: (C, H, W) -> (C, H // size, W // size)."""
    channels, height, width = image.shape
    rows, columns = height // size, width // size
    blocks = image[:, : rows * size, : columns * size].reshape(channels, rows, size, columns, size)
    return blocks.amax(dim=(2, 4))


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
        Mistake(
            "average", "This is average pooling: it takes the mean of each block, not the largest value.", edits("amax -> mean")
        ),
        Mistake(
            "over-channels",
            "The maximum runs over the channels as well. Pooling works on each channel by itself: as "
            "many channels come out as went in.",
            edits("(dim=(2, 4)) -> (dim=(2, 4)).amax(dim=0, keepdim=True)"),
        ),
        Mistake(
            "pair-max",
            "`.max(dim=…)` gives two tensors, the largest values and their places, and such a pair has no `.max` of its own: "
            "take `.max(dim=…).values`, or use `.amax(dim=…)`, which gives the values alone.",
            edits("amax(dim=(2, 4)) -> max(dim=4).max(dim=2)"),
        ),
        Mistake(
            "pair",
            "You return what `.max(dim=…)` gives, the largest values *and* their places: return `.values` of it, or use "
            "`.amax(dim=…)`.",
            edits("amax(dim=(2, 4)) -> transpose(2, 3).flatten(3).max(dim=3)"),
        ),
        Mistake(
            "pair-of-rows",
            "The last `.max(dim=…)` gives a pair, the values and their places: return its `.values`, or use `.amax(dim=…)`.",
            edits("amax(dim=(2, 4)) -> max(dim=4).values.max(dim=2)"),
        ),
        Mistake(
            "whole-map",
            "You take one maximum over the whole map. Max pooling takes one for each block of `size` × `size` pixels.",
            edits("blocks.amax(dim=(2, 4)) -> image.amax(dim=(1, 2))"),
        ),
        Mistake(
            "overlapping",
            "Your windows overlap: they move on by 1 pixel instead of by `size`.",
            edits("blocks.amax(dim=(2, 4)) -> torch.nn.functional.max_pool2d(image[None], size, stride=1)[0]"),
        ),
        Mistake(
            "not-moved",
            "The result has the right shape, but your blocks move on by one pixel each: block number `row` begins at pixel "
            "`row * size`.",
            edits(
                "blocks.amax(dim=(2, 4)) -> torch.nn.functional.max_pool2d(image[None], size, stride=1)[0][:, :rows, :columns]"
            ),
        ),
        Mistake(
            "top-left",
            "You keep the top left pixel of each block (that is a stride, not a maximum).",
            edits("blocks.amax(dim=(2, 4)) -> blocks[:, :, 0, :, 0]"),
        ),
        Mistake(
            "keeps-the-rest",
            "You keep the rows and columns at the edge that do not fill a whole block; like PyTorch, leave them out.",
            edits("blocks.amax(dim=(2, 4)) -> torch.nn.functional.max_pool2d(image[None], size, ceil_mode=True)[0]"),
        ),
        Mistake(
            "always-two",
            "Your blocks are always 2 × 2: use the argument `size`.",
            edits("rows, columns = -> size = 2; rows, columns ="),
        ),
        Mistake(
            "mixed-blocks",
            "The reshape cuts each row into pieces of size·size pixels instead of square blocks. The "
            "axes must come as (C, rows, size, columns, size).",
            edits("rows, size, columns, size) -> rows, columns, size * size)", "(2, 4) -> 3"),
        ),
    ),
    unlisted=(
        edits("blocks.amax -> blocks.abs().amax"),
        edits("amax -> amin"),
        edits("blocks.amax -> blocks.relu().amax"),
    ),
    insight="A feature may move by a pixel and the pooled map stays almost the same; what is lost is exactly where it was.",
    used_next="The network of 1.8 pools after each convolution.",
)
