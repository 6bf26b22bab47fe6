"""3.2 and 3.3: the importance of a channel, and the map."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, edits


def importance_weights(gradients):
    """One weight a channel, the mean of its gradients over all places: (N, K, h, w) -> (N, K)."""
    return gradients.mean(dim=(2, 3))


def _weight_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randint(-3, 4, (2, 2, 1, 2), generator=generator).float(),),
        (torch.randint(-3, 4, (1, 2, 2, 3), generator=generator).float(),),
        (torch.randn(2, 3, 4, 5, generator=generator),),
        (torch.randn(3, 3, 3, 3, generator=generator),),
    ]


WEIGHTS = CodeExercise(
    id="3.2",
    title="The importance of a channel",
    stars=1,
    minutes=4,
    reference=importance_weights,
    cases=_weight_cases,
    hints=(
        "The axes are (picture, channel, row, column). Which two have to go?",
        "`.mean(dim=(…, …))` takes the mean over two axes at once.",
    ),
    mistakes=(
        Mistake(
            "over-channels",
            "You average over the channels and keep the places. It is the other way round: one number a *channel*, the mean "
            "over rows and columns.",
            edits("dim=(2, 3) -> dim=1"),
        ),
        Mistake(
            "sum",
            "You add up; the formula divides by Z, the number of places, so that layers of different sizes can be compared.",
            edits(".mean( -> .sum("),
        ),
        Mistake(
            "over-pictures",
            "You average over the pictures as well. Each picture has weights of its own: the same channel may speak for the "
            "class in one picture and not matter in the next.",
            edits("(2, 3) -> (0, 2, 3)"),
        ),
        Mistake(
            "everything",
            "You average over all axes, and give one number. Keep the pictures and the channels: `dim=(2, 3)`.",
            edits("dim=(2, 3) ->"),
        ),
        Mistake(
            "largest",
            "You take the largest gradient of each channel (that is max pooling). The formula takes the mean over all places.",
            edits(".mean( -> .amax("),
        ),
        Mistake(
            "absolute-first",
            "You take absolute values before the mean, so a channel that speaks *against* the class looks like one in favour.",
            edits(".mean( -> .abs().mean("),
        ),
        Mistake(
            "absolute-last",
            "You drop the sign of the weight. A negative weight says that the channel speaks against the class: keep it.",
            edits("(2, 3)) -> (2, 3)).abs()"),
        ),
        Mistake(
            "positive-only",
            "You cut negative gradients off before the mean. The only ReLU of Grad-CAM comes at the very end, on the map.",
            edits(".mean( -> .relu().mean("),
        ),
        Mistake(
            "axes-kept",
            "The numbers are right, the shape is (N, K, 1, 1): leave `keepdim` out here.",
            edits("(2, 3) -> (2, 3), keepdim=True"),
        ),
    ),
    unlisted=(
        edits("(2, 3)) -> (2, 3)).relu()"),
        edits("dim=(2, 3) -> dim=2"),
        edits("mean(dim=(2, 3)) -> flatten(2).median(2).values"),
        edits("(2, 3)) -> (2, 3)).softmax(1)"),
    ),
    insight="A channel's weight says how much the logit would rise, a place, if the channel were a little louder everywhere.",
    used_next="3.3 adds up the channels' maps with these weights.",
)


def heat_map(activations, gradients):
    """Grad-CAM's map: channels weighted by importance, added up, cut off below zero: 2 × (N, K, h, w) -> (N, h, w)."""
    weights = importance_weights(gradients)
    weighted = weights[:, :, None, None] * activations
    return weighted.sum(dim=1).relu()


def _between_0_and_1(maps):
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-12)


def _map_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def whole(*shape):
        return torch.randint(-3, 4, shape, generator=generator).float()

    return [
        (whole(2, 2, 1, 2), whole(2, 2, 1, 2)),
        (whole(2, 2, 2, 3).abs(), whole(2, 2, 2, 3)),
        (torch.randn(2, 4, 5, 3, generator=generator), torch.randn(2, 4, 5, 3, generator=generator)),
        (torch.rand(3, 5, 4, 4, generator=generator), torch.randn(3, 5, 4, 4, generator=generator)),
    ]


MAP = CodeExercise(
    id="3.3",
    title="The Grad-CAM map",
    stars=2,
    minutes=8,
    reference=heat_map,
    cases=_map_cases,
    setup_source="from vizcourse.lessons.attribution.exercises import importance_weights",
    hints=(
        "The weights are (N, K), the activations (N, K, h, w): `weights[:, :, None, None]` lines them up.",
        "Multiply, add up over the channels (`dim=1`), and cut off below zero at the very end.",
    ),
    mistakes=(
        Mistake(
            "no-relu",
            "This is Grad-CAM without the final ReLU: places that speak *against* the class are still in it, with a minus.",
            edits(".relu() ->"),
        ),
        Mistake(
            "relu-too-early",
            "Your ReLU comes before the sum over channels. Evidence for and against must be weighed up first, and only then "
            "cut off: `.sum(dim=1).relu()`.",
            edits("sum(dim=1).relu() -> relu().sum(dim=1)"),
        ),
        Mistake(
            "positive-weights",
            "You cut the *weights* off below zero, so channels that speak against the class are left out of the sum. The ReLU "
            "goes on the finished map.",
            edits("importance_weights(gradients) -> importance_weights(gradients).relu()"),
        ),
        Mistake(
            "absolute",
            "You take the absolute value: a place that speaks against the class lights up like one that speaks for it. "
            "Use the ReLU.",
            edits("relu() -> abs()"),
        ),
        Mistake(
            "not-pooled",
            "You multiply each activation by its own gradient, place by place. That is another method (HiResCAM); Grad-CAM "
            "first averages a channel's gradients over all places, with `importance_weights`.",
            edits("weights[:, :, None, None] -> gradients"),
        ),
        Mistake(
            "exchanged",
            "Activations and gradients are exchanged: pool the *gradients* to weights, and add up the *activations*.",
            edits("importance_weights(gradients) -> importance_weights(activations)", "* activations -> * gradients"),
        ),
        Mistake(
            "mean-over-channels",
            "You average over the channels, the formula adds up: your map is too small by the number of channels.",
            edits("sum(dim=1) -> mean(dim=1)"),
        ),
        Mistake(
            "unweighted",
            "The gradients do not matter in your map, so it is the same for every class. Weight each channel first.",
            edits("weights[:, :, None, None] * ->"),
        ),
        Mistake(
            "axis-kept",
            "The values are right, the shape is (N, 1, h, w): leave `keepdim` out, a map has no channel axis.",
            edits("dim=1 -> dim=1, keepdim=True"),
        ),
        Mistake(
            "still-a-cube",
            "Your result still has a channel axis: add up over it, `dim=1`, before the ReLU.",
            edits(".sum(dim=1) ->"),
        ),
        Mistake(
            "normalised",
            "You stretch each map to the range from 0 to 1. Do that for the eye, when drawing; here it would hide that one "
            "map is strong and another is nothing.",
            edits("return weighted.sum(dim=1).relu() -> return _between_0_and_1(weighted.sum(dim=1).relu())"),
        ),
        Mistake(
            "divided-by-largest",
            "You divide each map by its largest value. Do that for the eye, when drawing; here it would hide that one map is "
            "strong and another is nothing.",
            edits("relu() -> relu() / weighted.sum(dim=1).amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)"),
        ),
    ),
    unlisted=(
        edits("importance_weights(gradients) -> gradients.sum(dim=(2, 3))"),
        edits("importance_weights(gradients) -> importance_weights(gradients.abs())"),
        edits("weighted.sum(dim=1) -> (-weighted.sum(dim=1))"),
        edits("relu() -> sigmoid()"),
        edits("sum(dim=1) -> amax(dim=1)"),
    ),
    insight="That is all of Grad-CAM: a weighted sum of feature maps that keeps what speaks for the class.",
    used_next="The next cell sets your map beside the library's, on a real network.",
)
