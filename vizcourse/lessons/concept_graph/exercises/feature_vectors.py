"""6.1: pointwise feature vectors."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake
from vizcourse.exercises.edits import edits


def vectors_at(maps, positions):
    """The vector at one position of each picture: (N, C, h, w), (N, 2) -> (N, C)."""
    rows, columns = positions[:, 0], positions[:, 1]
    return maps[torch.arange(len(maps)), :, rows, columns]


def _position_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def some(count, channels, height, width):
        # Small enough that row, column and channel can be mixed up without leaving the map.
        positions = torch.randint(min(height, width), (count, 2), generator=generator)
        positions[0] = torch.tensor([0, 1])
        return torch.randn(count, channels, height, width, generator=generator), positions

    return [
        (torch.arange(8.0).reshape(1, 2, 2, 2), torch.tensor([[0, 1]])),
        some(3, 3, 3, 4),
        some(4, 4, 4, 4),
        some(6, 5, 3, 2),
    ]


VECTORS = CodeExercise(
    id="6.1",
    title="Pointwise feature vectors",
    stars=1,
    minutes=4,
    reference=vectors_at,
    cases=_position_cases,
    hints=(
        "For one picture it is `maps[n, :, row, column]`. A loop over the pictures and `torch.stack` will do.",
        "Without a loop, index with three vectors of N numbers, the pictures' own included: "
        "`maps[torch.arange(len(maps)), :, rows, columns]`.",
    ),
    mistakes=(
        Mistake(
            "exchanged",
            "Row and column are exchanged. `positions[:, 0]` is the row, the third axis of the maps.",
            edits("rows, columns] -> columns, rows]"),
        ),
        Mistake(
            "every-picture",
            "Every picture meets every position: (N, C, N). Picture n goes with position n, so index the first axis as well: "
            "`torch.arange(len(maps))`.",
            edits("torch.arange(len(maps)) -> :"),
        ),
        Mistake(
            "one-position",
            "You read all pictures at the position of the first one. Each picture has its own.",
            edits("rows, columns] -> rows[:1], columns[:1]]"),
        ),
        Mistake(
            "first-picture",
            "You read every position in the first picture. Position n belongs to picture n.",
            edits("torch.arange(len(maps)) -> [0]"),
        ),
        Mistake(
            "channel-lost",
            "The row went into the channel axis, so this is a piece of one channel's map. Leave the channels whole with `:`.",
            edits(":, rows, -> rows,"),
        ),
        Mistake(
            "average",
            "You average each channel over all positions. That is what the network's last layer does; it forgets *where*. "
            "Take one position.",
            lambda maps, positions: maps.mean(dim=(2, 3)),
        ),
        Mistake(
            "maximum",
            "You take each channel's largest value, wherever it is. The channels of a pointwise feature vector all stand at "
            "one position.",
            lambda maps, positions: maps.amax(dim=(2, 3)),
        ),
        Mistake(
            "reshaped",
            "`reshape` does not move an axis; it cuts the same row of numbers into other pieces. To put the channels last, use "
            "`permute(0, 2, 3, 1)`.",
            edits("maps[ -> maps.reshape(len(maps), *maps.shape[2:], -1)[", ":, rows -> rows"),
        ),
        Mistake(
            "unit-length",
            "The direction is right, but you scale each vector to length one. Directions matter only later, for the concepts.",
            lambda maps, positions: torch.nn.functional.normalize(vectors_at(maps, positions), dim=1),
        ),
    ),
    unlisted=(
        lambda maps, positions: vectors_at(maps.flip(2), positions),
        edits("rows, columns] -> rows, columns].T"),
        edits("rows, columns] -> rows, columns].relu()"),
    ),
    insight="A channel's map says where one thing is. A pointwise feature vector says what is at one place.",
    used_next="6.2 makes clusters of such vectors, one from each picture.",
)
