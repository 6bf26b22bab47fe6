"""3.11: why this class and not that?"""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, edits


def class_discrimination(maps_left, maps_right, left, right):
    """Share on the left object of the map for its class, minus that of the map for the right one's: (N, H, W) each -> (N,)."""

    def share(maps):
        on_left = (maps.relu() * left).sum(dim=(1, 2))
        on_right = (maps.relu() * right).sum(dim=(1, 2))
        return on_left / (on_left + on_right)

    return share(maps_left) - share(maps_right)


def _cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def halves(count, height, width):
        left = torch.rand(count, height, width, generator=generator) < 0.5
        left[..., width // 2 :] = False
        right = torch.rand(count, height, width, generator=generator) < 0.5
        right[..., : width // 2] = False
        left[:, 0, 0], right[:, 0, -1] = True, True
        return left, right

    def maps(count, height, width):
        drawn = torch.randn(count, height, width, generator=generator)
        drawn[:, 0, 0], drawn[:, 0, -1] = 1.0 + drawn[:, 0, 0].abs(), 1.0 + drawn[:, 0, -1].abs()  # something on each
        return drawn

    smallest = (
        torch.tensor([[[6.0, 1.0, 2.0, -3.0]], [[1.0, 4.0, 1.0, 2.0]]]),
        torch.tensor([[[2.0, 1.0, 6.0, -1.0]], [[3.0, 5.0, 1.0, -2.0]]]),
        torch.tensor([[[True, False, False, False]], [[True, False, False, False]]]),
        torch.tensor([[[False, False, True, True]], [[False, False, True, False]]]),
    )
    cases = [smallest]
    for size in ((2, 3, 4), (3, 4, 6), (4, 6, 6)):
        left, right = halves(*size)
        cases.append((maps(*size), maps(*size), left, right))
    return cases


DISCRIMINATION = CodeExercise(
    id="3.11",
    title="Why this class and not that?",
    stars=2,
    minutes=7,
    reference=class_discrimination,
    cases=_cases,
    hints=(
        "Write the share once, as a function of one map, and call it twice. `maps.relu() * left` is what lies on the left one.",
        "A share is the left object's positive values over those of *both objects*; the background is left out.",
        "Both shares are shares on the *left* object. Subtract: the one of the map for the left class, minus the other.",
    ),
    mistakes=(
        Mistake(
            "whole-map",
            "You divide by the whole map, so what lies on the background counts. Asked is which of the *two objects*: divide "
            "by what lies on the left one and on the right one.",
            edits("(on_left + on_right) -> maps.relu().sum(dim=(1, 2))"),
        ),
        Mistake("negative", "Negative values are still in your sums: cut each map off below zero first.", edits(".relu() ->")),
        Mistake(
            "absolute",
            "You count negative values as if they spoke for the class (absolute value). Cut them off with `.relu()`.",
            edits("relu() -> abs()"),
        ),
        Mistake(
            "one-question",
            "You ask one question only: how much of the map for the left class lies on the left object. A map that lies there "
            "*whichever* class it is asked for gets full marks. Subtract the same share of the map for the right class.",
            edits("- share(maps_right) ->"),
        ),
        Mistake(
            "mean-own-share",
            "You give the mean of each map's share on its own object, which is the same information: one half for a map that "
            "does not care about the class. Asked is the difference of the two shares on the *left* object, 0 for such a map.",
            edits("share(maps_left) - share(maps_right) -> (share(maps_left) + 1 - share(maps_right)) / 2"),
        ),
        Mistake(
            "sum-own-shares",
            "You add up each map's share on its own object: a map that does not care about the class gets 1. Asked is the "
            "difference of the two shares on the *left* object, 0 for such a map.",
            edits("- share(maps_right) -> + 1 - share(maps_right)"),
        ),
        Mistake(
            "own-minus-own",
            "You subtract the right map's share on the *right* object. Where both maps lie on their own objects, that gives 0. "
            "Both shares are of the *left* object.",
            edits("- share(maps_right) -> - (1 - share(maps_right))"),
        ),
        Mistake(
            "turned-round",
            "The sign is turned: the map for the left class comes first, and its share on the left object should be larger.",
            edits("share(maps_left) - share(maps_right) -> share(maps_right) - share(maps_left)"),
        ),
        Mistake(
            "a-pixel",
            "You divide by the sizes of the objects, so these are means a pixel. Add up the values: no size is needed.",
            edits(
                "left).sum(dim=(1, 2)) -> left).sum(dim=(1, 2)) / left.sum(dim=(1, 2))",
                "right).sum(dim=(1, 2)) -> right).sum(dim=(1, 2)) / right.sum(dim=(1, 2))",
            ),
        ),
        Mistake(
            "not-shares",
            "You subtract amounts, not shares. One map may simply be stronger than the other: divide each by what it has on "
            "both objects.",
            edits("on_left / (on_left + on_right) -> on_left"),
        ),
        Mistake(
            "maps-subtracted",
            "You subtract the maps and take one share of what is left. Take a share of each map, and subtract the shares.",
            edits("share(maps_left) - share(maps_right) -> share(maps_left - maps_right)"),
        ),
        Mistake(
            "ratio",
            "You divide what lies on the left object by what lies on the right one. A share divides by both together, so that "
            "it stays between 0 and 1.",
            edits("(on_left + on_right) -> on_right"),
        ),
        Mistake(
            "all-pictures",
            "You add up over all pictures before you divide, and give one number. Each picture gets its own.",
            edits(".sum(dim=(1, 2)) -> .sum()"),
        ),
        Mistake(
            "mean-over-pictures",
            "You give the mean over all pictures. Each picture gets its own number: the interval comes from these.",
            edits("share(maps_left) - share(maps_right) -> (share(maps_left) - share(maps_right)).mean()"),
        ),
    ),
    unlisted=(
        edits("- share(maps_right) -> / share(maps_right)"),
        edits("share(maps_left) - share(maps_right) -> (share(maps_left) - share(maps_right)).abs()"),
        edits("share(maps_left) - share(maps_right) -> (share(maps_left) - share(maps_right)).relu()"),
    ),
    insight="Every map that does not depend on the class gets exactly 0, wherever it lies: the control is built in.",
    used_next="The cell below it puts the methods to it; the study's table adds a random network, and classes that are absent.",
)
