"""3.8: how much of a map lies on the object."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, edits


def energy_inside(maps, masks):
    """Share of each map's positive values that lies on the object: maps and masks (N, H, W) -> (N,)."""
    positive = maps.relu()
    inside = (positive * masks).sum(dim=(1, 2))
    return inside / positive.sum(dim=(1, 2))


def _cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def masks(*shape):
        drawn = torch.rand(*shape, generator=generator) < 0.4
        drawn[:, 0, 0], drawn[:, -1, -1] = True, False
        return drawn

    def maps(*shape):
        drawn = torch.randn(*shape, generator=generator)
        drawn[:, 0, 0], drawn[:, -1, -1] = 1.0, 2.0  # something positive inside and outside
        return drawn

    return [
        (
            torch.tensor([[[3.0, 1.0, -2.0, 4.0]], [[1.0, -1.0, 2.0, 5.0]]]),
            torch.tensor([[[True, False, True, False]], [[False, True, True, False]]]),
        ),
        (maps(2, 3, 3), masks(2, 3, 3)),
        (maps(3, 5, 4), masks(3, 5, 4)),
        (maps(4, 6, 6).abs(), masks(4, 6, 6)),
    ]


ENERGY = CodeExercise(
    id="3.8",
    title="How much of the map is on the object?",
    stars=1,
    minutes=6,
    reference=energy_inside,
    cases=_cases,
    hints=(
        "Cut negative values off with `.relu()`. A mask of True and False can be multiplied with: it counts as 1 and 0.",
        "Two sums over rows and columns, `dim=(1, 2)`: inside, and everywhere. Divide.",
    ),
    mistakes=(
        Mistake(
            "negative",
            "Negative values are still in your sums. They say that a place speaks against the class, and can push the share "
            "below 0 or above 1: cut them off first.",
            edits(".relu() ->"),
        ),
        Mistake(
            "absolute",
            "You count negative values as if they spoke for the class (absolute value). Cut them off with `.relu()`.",
            edits("relu() -> abs()"),
        ),
        Mistake(
            "mean-inside",
            "You divide by the size of the mask: that is the mean of the map on the object. Divide by the total of the map, so "
            "that the share lies between 0 and 1.",
            edits("/ positive.sum -> / masks.sum"),
        ),
        Mistake(
            "counted",
            "You count pixels. A pixel counts as much as its value: add up the values.",
            edits("maps.relu() -> (maps > 0).float()"),
        ),
        Mistake(
            "all-at-once",
            "You add up over all pictures, and give one number. Each picture gets its own share: `.sum(dim=(1, 2))`.",
            edits(".sum(dim=(1, 2)) -> .sum()"),
        ),
        Mistake(
            "mean-over-pictures",
            "You give the mean over all pictures. Each picture gets its own share: the interval comes from these.",
            edits("inside / positive.sum(dim=(1, 2)) -> (inside / positive.sum(dim=(1, 2))).mean()"),
        ),
        Mistake(
            "inside-to-outside",
            "You divide by what lies *outside*. Divide by the total, inside and outside.",
            edits("/ positive.sum -> / (positive * ~masks).sum"),
        ),
        Mistake("outside", "This is the share *outside* the object.", edits("positive * masks -> positive * ~masks")),
        Mistake(
            "pointing-game",
            "This is the pointing game: does the highest point lie on the object? Here the whole map counts.",
            lambda maps, masks: masks.flatten(1).gather(1, maps.flatten(1).argmax(1, keepdim=True))[:, 0].float(),
        ),
        Mistake(
            "not-divided",
            "You give the energy inside, not its share: divide by the total of each map.",
            edits("inside / positive.sum(dim=(1, 2)) -> inside"),
        ),
        Mistake(
            "total-with-negatives",
            "The negative values are cut off above the line and still there below it: use the same positive map in both sums.",
            edits("/ positive.sum -> / maps.sum"),
        ),
    ),
    unlisted=(
        edits("masks).sum( -> masks).mean(", "positive.sum( -> positive.amax("),
        lambda maps, masks: masks.float().mean((1, 2)),
        edits("relu() -> square()"),
    ),
    insight="An even map gets the object's share of the picture: that, and not zero, is what a method has to beat.",
    used_next="The big table scores every method in this way, over hundreds of pictures.",
)
