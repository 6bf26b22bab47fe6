"""Exercises of lesson 02, feature visualization.

Written down before the mistakes were coded, what learners of feature visualization really do: hand an optimiser that goes
down the value that should go up; never clear the gradient; climb the whole layer, because the channel was indexed where
the batch is; sum where a mean is meant; let the picture leave [0, 1]. Leave out the absolute value in the total variation
(the differences telescope), or average it over the batch. Roll the picture in jitter, give each picture its own shift,
draw one number for both axes, or one too few. Divide the spectrum by what it should be multiplied with, forget what
happens at frequency 0, use one axis of frequencies only. Leave a direction as long as it is, average before the cosine,
let a negative cosine pass. Take the loudest channel's brightest picture for its concept. Bound each step instead of the
whole change.
"""

from __future__ import annotations

import functools
import itertools
import random
import re

import torch
from torch import nn

from vizcourse.exercises import compare
from vizcourse.exercises.core import AnswerExercise, ChoiceExercise, CodeExercise, Mistake, Problem, case
from vizcourse.hooks import capture
from vizcourse.lessons.feature_visualization import pictures as study
from vizcourse.models import load
from vizcourse.worlds import scenes

# --- 2.1 gradient ascent on a channel ----------------------------------------------------------------------------------


def ascend(model, layer, channel, image, steps=8, rate=1.0):
    """Change a picture (1, 3, H, W) so that the mean of one channel grows; stays in [0, 1]."""
    image = image.clone()
    for _ in range(steps):
        image.requires_grad_()
        with capture(model, layer, stop=True) as acts:
            model(image)
        score = acts[layer][0, channel].mean()
        (gradient,) = torch.autograd.grad(score, image)
        image = (image.detach() + rate * gradient).clamp(0, 1)
    return image


def _climb(model, layer, image, steps, rate, score, *, clamp=True, grow=None):
    """`ascend` with another score of the layer's maps (1, C, h, w), or another use of the gradient."""
    image, memory = image.clone(), {}
    for _ in range(steps):
        image.requires_grad_()
        with capture(model, layer, stop=True) as acts:
            model(image)
        (gradient,) = torch.autograd.grad(score(acts[layer]), image)
        if grow is not None:
            gradient = grow(gradient, memory)
        image = image.detach() + rate * gradient
        image = image.clamp(0, 1) if clamp else image
    return image


def _mean_of(channel):
    return lambda maps: maps[0, channel].mean()


def _accumulated(gradient, memory):
    memory["sum"] = memory.get("sum", 0) + gradient
    return memory["sum"]


def _the_first(gradient, memory):
    return memory.setdefault("first", gradient)


def _descends(model, layer, channel, image, steps=8, rate=1.0):
    return _climb(model, layer, image, steps, -rate, _mean_of(channel))


def _never_cleared(model, layer, channel, image, steps=8, rate=1.0):
    return _climb(model, layer, image, steps, rate, _mean_of(channel), grow=_accumulated)


def _gradient_once(model, layer, channel, image, steps=8, rate=1.0):
    return _climb(model, layer, image, steps, rate, _mean_of(channel), grow=_the_first)


def _one_step(model, layer, channel, image, steps=8, rate=1.0):
    return _climb(model, layer, image, 1, rate, _mean_of(channel))


def _whole_layer(model, layer, channel, image, steps=8, rate=1.0):
    return _climb(model, layer, image, steps, rate, lambda maps: maps.mean())


def _sum_of_channel(model, layer, channel, image, steps=8, rate=1.0):
    return _climb(model, layer, image, steps, rate, lambda maps: maps[0, channel].sum())


def _largest_position(model, layer, channel, image, steps=8, rate=1.0):
    return _climb(model, layer, image, steps, rate, lambda maps: maps[0, channel].max())


def _row_instead_of_channel(model, layer, channel, image, steps=8, rate=1.0):
    return _climb(model, layer, image, steps, rate, lambda maps: maps[0, :, channel].mean())


def _unbounded(model, layer, channel, image, steps=8, rate=1.0):
    return _climb(model, layer, image, steps, rate, _mean_of(channel), clamp=False)


def _bounded_at_the_end(model, layer, channel, image, steps=8, rate=1.0):
    return _unbounded(model, layer, channel, image, steps, rate).clamp(0, 1)


def _signs(model, layer, channel, image, steps=8, rate=1.0):
    return _climb(model, layer, image, steps, rate, _mean_of(channel), grow=lambda gradient, _: gradient.sign())


def _still_attached(model, layer, channel, image, steps=8, rate=1.0):
    return ascend(model, layer, channel, image, steps, rate).requires_grad_()


def _no_leaf(model, layer, channel, image, steps=8, rate=1.0):
    """After the first step the picture is a result, and results keep no `.grad`: None is multiplied with the rate."""
    image = _one_step(model, layer, channel, image, steps, rate)
    return image if steps == 1 else image + rate * None


def _no_leaf_exchanged(model, layer, channel, image, steps=8, rate=1.0):
    """The same in Python's other words, because the error names the factors in their order."""
    image = _one_step(model, layer, channel, image, steps, rate)
    return image if steps == 1 else image + None * rate


def _never_asked(model, layer, channel, image, steps=8, rate=1.0):
    with capture(model, layer, stop=True) as acts:
        model(image)
    (gradient,) = torch.autograd.grad(acts[layer][0, channel].mean(), image)
    return (image + rate * gradient).clamp(0, 1)


def _asked_once(model, layer, channel, image, steps=8, rate=1.0):
    image = image.clone().requires_grad_()
    for _ in range(steps):
        with capture(model, layer, stop=True) as acts:
            model(image)
        (gradient,) = torch.autograd.grad(acts[layer][0, channel].mean(), image)
        image = (image.detach() + rate * gradient).clamp(0, 1)
    return image


def _without_with(model, layer, channel, image, steps=8, rate=1.0):
    acts = capture(model, layer, stop=True)
    model(image)
    return acts[layer][0, channel].mean()


def _unit_length(model, layer, channel, image, steps=8, rate=1.0):
    return _climb(model, layer, image, steps, rate, _mean_of(channel), grow=lambda gradient, _: gradient / gradient.norm())


def _one_less(model, layer, channel, image, steps=8, rate=1.0):
    return ascend(model, layer, channel, image, steps - 1, rate)


def _one_more(model, layer, channel, image, steps=8, rate=1.0):
    return ascend(model, layer, channel, image, steps + 1, rate)


def _hook_left(model, layer, channel, image, steps=8, rate=1.0):
    model.get_submodule(layer).register_forward_hook(lambda module, inputs, output: None)
    return ascend(model, layer, channel, image, steps, rate)


def _divided_by(size):
    def climb(model, layer, channel, image, steps=8, rate=1.0):
        return _climb(model, layer, image, steps, rate, _mean_of(channel), grow=lambda gradient, _: gradient / size(gradient))

    return climb


_SIZES = {
    "root mean square": lambda gradient: gradient.square().mean().sqrt(),
    "standard deviation": lambda gradient: gradient.std(),
    "mean absolute value": lambda gradient: gradient.abs().mean(),
    "largest absolute value": lambda gradient: gradient.abs().max(),
}


class _Toy(nn.Module):
    """A tiny smooth network with random weights, so that every picture has a gradient everywhere."""

    def __init__(self, seed, channels=5):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(3, channels, 3, padding=1)
            self.soft = nn.Softplus(beta=4)
            self.head = nn.Conv2d(channels, channels, 3)
            self.conv.weight.data *= 3
        self.requires_grad_(False).eval()

    def forward(self, images):
        return self.head(self.soft(self.conv(images))).mean(dim=(2, 3))

    def __repr__(self):
        return "a small CNN with the layers 'conv', 'soft' and 'head'"


def _ascent_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for toy, layer, channel, size, steps, rate in (
        (0, "soft", 1, 4, 1, 0.5),
        (1, "soft", 2, 5, 3, 0.5),
        (2, "head", 3, 6, 4, 1.0),
        (3, "soft", 0, 6, 8, 3.0),
        (4, "head", 2, 7, 6, 2.0),
    ):
        image = torch.rand(1, 3, size, size + 1, generator=generator)
        cases.append(case(_Toy(toy), layer, channel, image, steps=steps, rate=rate))
    return cases


def _ascent_judge(learner):
    # The values are right when this is asked; what is left is whether the picture or the model drags something along.
    toy = _Toy(0)
    result = learner(toy, "soft", 1, torch.full((1, 3, 4, 4), 0.5), steps=2, rate=0.5)
    if result.requires_grad:
        return Problem(mistake="attached")
    return Problem(mistake="hook-left") if any(each._forward_hooks for each in toy.modules()) else None


ASCENT = CodeExercise(
    id="2.1",
    title="Gradient ascent on a channel",
    stars=2,
    minutes=10,
    reference=ascend,
    cases=_ascent_cases,
    judge=_ascent_judge,
    setup_source="from vizcourse.hooks import capture",
    hints=(
        "One step: run the model inside `capture(model, layer, stop=True)`, take the mean of `acts[layer][0, channel]`, ask "
        "for its gradient with respect to the image, and add rate · gradient.",
        "`image.requires_grad_()` before the forward pass; `gradient, = torch.autograd.grad(score, image)` gives the gradient "
        "fresh at every step, so there is nothing to clear.",
        "After the step: `image = (image.detach() + rate * gradient).clamp(0, 1)`. Without `.detach()` the graph of all "
        "steps hangs on the picture, and its `.grad` stays None.",
    ),
    mistakes=(
        Mistake(
            "descent",
            "Your picture goes *downhill*: the channel answers less at each step. Ascent adds the gradient; optimisers of "
            "PyTorch subtract it, so they need the negative of the score.",
            _descends,
        ),
        Mistake(
            "never-cleared",
            "The gradients of all steps pile up: `backward()` adds to `image.grad`. Clear it at every step, or use "
            "`torch.autograd.grad`, which gives it fresh.",
            _never_cleared,
        ),
        Mistake(
            "gradient-once",
            "The gradient is computed once, for the first picture, and used at every step. The picture has moved: run the "
            "model again inside the loop.",
            _gradient_once,
        ),
        Mistake("one-step", "This is a single step, whatever `steps` says: is the `return` inside the loop?", _one_step),
        Mistake(
            "whole-layer",
            "You climb the mean of the *whole layer*; the channel plays no part. An activation is (picture, channel, row, "
            "column): take `acts[layer][0, channel]`.",
            _whole_layer,
        ),
        Mistake(
            "wrong-axis",
            "You take row number `channel` of all channels. The axes are (picture, channel, row, column): "
            "`acts[layer][0, channel]`, not `acts[layer][0, :, channel]`.",
            _row_instead_of_channel,
        ),
        Mistake(
            "sum",
            "You climb the *sum* over the positions, so your steps are as many times too long as the map has positions. "
            "The score is the mean.",
            _sum_of_channel,
        ),
        Mistake(
            "largest",
            "You climb the largest position only. That is another objective, close to a single neuron's; the channel's score "
            "here is the mean over all positions.",
            _largest_position,
        ),
        Mistake(
            "unbounded",
            "The picture leaves [0, 1], and the channel is raised by colours that no screen can show: clamp after each step.",
            _unbounded,
        ),
        Mistake(
            "bounded-late",
            "You clamp once, at the end; until then the climb goes on outside [0, 1], where no picture is. Clamp after each "
            "step.",
            _bounded_at_the_end,
        ),
        Mistake(
            "sign",
            "You add the gradient's *sign*, so every pixel moves equally far. That is how adversarial pictures are made (2.8); "
            "here the step is rate · gradient.",
            _signs,
        ),
        Mistake(
            "normalised",
            "You divide the gradient by its length. Many programs do, to choose the rate more easily; here the step is "
            "rate · gradient as it is.",
            _unit_length,
        ),
        *(
            Mistake(
                f"normalised by the {size}",
                f"You divide the gradient by its {size}. Many programs do something like it, to choose the rate more easily; "
                "here the step is rate · gradient as it is.",
                _divided_by(measure),
            )
            for size, measure in _SIZES.items()
        ),
        Mistake(
            "one-less",
            "Your picture is the one after steps − 1 steps. Return the one that the last step has made.",
            _one_less,
        ),
        Mistake("one-more", "Your picture has made one step more than `steps`.", _one_more),
        Mistake(
            "hook-left",
            "The values are right, but your hook stays on the model, and runs in every later forward pass: remove it "
            "(`handle.remove()`), or use `capture`, which removes its own.",
            _hook_left,
        ),
        Mistake(
            "attached",
            "The values are right, but the picture you return still requires gradients, and whoever uses it next stumbles over "
            "that: `return image.detach()`.",
            _still_attached,
        ),
        Mistake(
            "no-leaf",
            "In the second step `image.grad` is None. After `image = image + …` the picture is a result and not a leaf, and "
            "only leaves keep a `.grad`. Begin each step with `image = image.detach().requires_grad_()`, or take the gradient "
            "from `torch.autograd.grad(score, image)`.",
            _no_leaf,
        ),
        Mistake(
            "no-leaf, the factors exchanged",
            "From the second step on `image.grad` is None, because `image = image + …` makes the picture a result, and only "
            "leaves keep a `.grad`: begin each step with `image = image.detach().requires_grad_()`.",
            _no_leaf_exchanged,
        ),
        Mistake(
            "never-asked",
            "Nothing requires a gradient, already in the first step. The network's weights are frozen, so the picture has to "
            "be asked: `image.requires_grad_()` (on your own copy) before the forward pass, and that pass outside "
            "`torch.no_grad()`.",
            _never_asked,
        ),
        Mistake(
            "asked-once",
            "From the second step on nothing requires gradients: the new picture has been detached, and does not. Begin "
            "each step with `image = image.detach().requires_grad_()`.",
            _asked_once,
        ),
        Mistake(
            "without-with",
            "`capture` records only inside a `with` block: `with capture(model, layer, stop=True) as acts:` and, indented "
            "below it, `model(image)`.",
            _without_with,
        ),
    ),
    unlisted=(
        lambda model, layer, channel, image, steps=8, rate=1.0: image.clone(),
        lambda model, layer, channel, image, steps=8, rate=1.0: ascend(model, layer, 0, image, steps, rate),
    ),
    insight="The weights stand still and the picture learns: training, the other way round.",
    used_next="The next figure runs your function on the network, and what comes out looks like noise.",
)

# --- 2.2 total variation -----------------------------------------------------------------------------------------------


def total_variation(images):
    """How much neighbouring pixels differ: (N, 3, H, W) -> (N,)."""
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().sum(dim=(1, 2, 3))
    across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().sum(dim=(1, 2, 3))
    return (down + across) / images[0].numel()


def _no_absolute(images):
    return (images.diff(dim=2).sum((1, 2, 3)) + images.diff(dim=3).sum((1, 2, 3))) / images[0].numel()


def _absolute_last(images):
    down, across = images.diff(dim=2).sum((1, 2, 3)), images.diff(dim=3).sum((1, 2, 3))
    return (down.abs() + across.abs()) / images[0].numel()


def _squares(images):
    down, across = images.diff(dim=2).square().sum((1, 2, 3)), images.diff(dim=3).square().sum((1, 2, 3))
    return (down + across) / images[0].numel()


def _lengths(images):
    down, across = images.diff(dim=2)[..., :-1], images.diff(dim=3)[:, :, :-1]
    return (down.square() + across.square()).sqrt().sum((1, 2, 3)) / images[0].numel()


def _only_across(images):
    return images.diff(dim=3).abs().sum((1, 2, 3)) / images[0].numel()


def _only_down(images):
    return images.diff(dim=2).abs().sum((1, 2, 3)) / images[0].numel()


def _between_colours(images):
    return (images.diff(dim=1).abs().sum((1, 2, 3)) + images.diff(dim=2).abs().sum((1, 2, 3))) / images[0].numel()


def _whole_batch(images):
    return (images.diff(dim=2).abs().sum() + images.diff(dim=3).abs().sum()) / images.numel()


def _not_divided(images):
    return images.diff(dim=2).abs().sum((1, 2, 3)) + images.diff(dim=3).abs().sum((1, 2, 3))


def _two_means(images):
    return images.diff(dim=2).abs().mean((1, 2, 3)) + images.diff(dim=3).abs().mean((1, 2, 3))


def _around_the_edge(images):
    down, across = (images - images.roll(1, 2)).abs(), (images - images.roll(1, 3)).abs()
    return (down + across).sum((1, 2, 3)) / images[0].numel()


def _per_colour(images):
    down, across = images.diff(dim=2).abs().sum((2, 3)), images.diff(dim=3).abs().sum((2, 3))
    return (down + across) / images[0].numel()


def _batch_in_the_size(images):
    return total_variation(images) / len(images)


def _colours_too(images):
    return total_variation(images) + images.diff(dim=1).abs().sum((1, 2, 3)) / images[0].numel()


def _three_forgotten(images):
    return total_variation(images) * images.shape[1]


def _grey_first(images):
    return 3 * total_variation(images.mean(1, keepdim=True)) / 3


def _variation_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    line = torch.zeros(1, 3, 2, 3)  # one bright column in red, another in blue: every difference can be seen
    line[0, 0, :, 1] = line[0, 2, :, 2] = 1.0
    return [
        (line,),
        (torch.randint(0, 3, (1, 3, 2, 2), generator=generator) / 2,),
        (torch.rand(2, 3, 4, 5, generator=generator),),
        (torch.rand(4, 3, 7, 6, generator=generator),),
    ]


VARIATION = CodeExercise(
    id="2.2",
    title="Total variation",
    stars=1,
    minutes=6,
    reference=total_variation,
    cases=_variation_cases,
    hints=(
        "All pixels but the first row, minus all pixels but the last row, are the differences down: "
        "`images[:, :, 1:] - images[:, :, :-1]`. (Or `images.diff(dim=2)`.)",
        "Absolute value first, then the sum over channel, row and column, `dim=(1, 2, 3)`: one number a picture is left.",
        "`images[0].numel()` is 3 · H · W.",
    ),
    mistakes=(
        Mistake(
            "no-absolute",
            "The absolute value is missing, and so the differences cancel: their sum along a row is last minus first pixel, "
            "however wild it is between them.",
            _no_absolute,
        ),
        Mistake(
            "absolute-last",
            "You take the absolute value after the sum, when the differences have cancelled already. Take it of each "
            "difference.",
            _absolute_last,
        ),
        Mistake(
            "squares",
            "You square the differences. That punishes one sharp edge more than a gentle slope over the same height, and "
            "blurs everything; the total variation takes absolute values, and leaves edges alone.",
            _squares,
        ),
        Mistake(
            "lengths",
            "You join the two differences of a pixel by Pythagoras. That is the total variation too (the *isotropic* one); "
            "here the absolute values are simply added.",
            _lengths,
        ),
        Mistake("only-across", "Only neighbours side by side are compared. Add those one above the other.", _only_across),
        Mistake("only-down", "Only neighbours one above the other are compared. Add those side by side.", _only_down),
        Mistake(
            "colours",
            "You compare red with green and green with blue. The axes are (picture, colour, row, column): rows are axis 2, "
            "columns axis 3.",
            _between_colours,
        ),
        Mistake(
            "whole-batch",
            "You give one number for the whole batch, so a smooth picture pays for its noisy neighbour. Sum over "
            "`dim=(1, 2, 3)` only, and divide by the size of *one* picture.",
            _whole_batch,
        ),
        Mistake(
            "not-divided",
            "The sum is not divided by 3 · H · W, so the same penalty would weigh more on a larger picture.",
            _not_divided,
        ),
        Mistake(
            "three-forgotten",
            "Your values are three times too large: a picture has three values at each pixel, so divide by 3 · H · W, not by "
            "H · W.",
            _three_forgotten,
        ),
        Mistake(
            "two-means",
            "You take the mean of each kind of difference. There are H − 1 differences down a column, not H: sum them, and "
            "divide by 3 · H · W.",
            _two_means,
        ),
        Mistake(
            "around",
            "You compare the first row with the last, and the first column with the last (as `roll` does). They are no "
            "neighbours.",
            _around_the_edge,
        ),
        Mistake(
            "batch-in-the-size",
            "Your numbers shrink as the batch grows: you divide by the size of all pictures together. Divide by that of one, "
            "`images[0].numel()`.",
            _batch_in_the_size,
        ),
        Mistake(
            "colours-too",
            "Beside rows and columns you compare the colours of one pixel with each other. Only neighbours in the picture "
            "count: axes 2 and 3.",
            _colours_too,
        ),
        Mistake("per-colour", "You give one number for each colour of a picture: sum over the colours too.", _per_colour),
    ),
    unlisted=(
        _grey_first,
        lambda images: 2 * total_variation(images),
        lambda images: images.var(dim=(1, 2, 3)),
    ),
    insight="It charges for height differences only: one sharp edge costs no more than the same step drawn out.",
    used_next='The Studio\'s switch "total variation" subtracts exactly this from the score.',
)

# --- 2.3 jitter --------------------------------------------------------------------------------------------------------


def jitter(images, pixels):
    """Cut a window that is `pixels` smaller, at a random place: (N, 3, H, W) -> (N, 3, H - pixels, W - pixels)."""
    top = int(torch.randint(pixels + 1, ()))
    left = int(torch.randint(pixels + 1, ()))
    height, width = images.shape[2] - pixels, images.shape[3] - pixels
    return images[:, :, top : top + height, left : left + width]


def _offset(pixels):
    return int(torch.randint(pixels + 1, ()))


def _window(images, top, left, pixels):
    return images[:, :, top : top + images.shape[2] - pixels, left : left + images.shape[3] - pixels]


def _rolled(images, pixels):
    return images.roll((_offset(pixels), _offset(pixels)), (2, 3))


def _each_its_own(images, pixels):
    return torch.cat([jitter(image[None], pixels) for image in images])


def _diagonal(images, pixels):
    both = _offset(pixels)
    return _window(images, both, both, pixels)


def _one_axis(images, pixels):
    return _window(images, 0, _offset(pixels), pixels)


def _one_short(images, pixels):
    return _window(images, int(torch.randint(pixels, ())), int(torch.randint(pixels, ())), pixels)


def _always_the_same(images, pixels):
    torch.manual_seed(0)
    return jitter(images, pixels)


def _centre(images, pixels):
    return _window(images, pixels // 2, pixels // 2, pixels)


def _ragged(images, pixels):
    return images[:, :, _offset(pixels) :, _offset(pixels) :]


def _cut_loose(images, pixels):
    return jitter(images.detach(), pixels)


def _both_sides(images, pixels):
    """Up to `pixels` on each side, as "shift by up to pixels in each direction" is easily read."""
    top, left = int(torch.randint(2 * pixels + 1, ())), int(torch.randint(2 * pixels + 1, ()))
    return images[:, :, top : top + images.shape[2] - 2 * pixels, left : left + images.shape[3] - 2 * pixels]


def _not_torch(images, pixels):
    return _window(images, random.randint(0, pixels), random.randint(0, pixels), pixels)


def _minus_nothing(images, pixels):
    top, left = _offset(pixels), _offset(pixels)
    return images[:, :, top : -(pixels - top), left : -(pixels - left)]


def _noise_on_pixels(images, pixels):
    return jitter(images + 0.01 * torch.randn_like(images), pixels)


def _rounded_places(images, pixels):
    """The places at both ends are half as likely as the others."""
    top, left = (torch.rand(2) * pixels).round().int().tolist()
    return _window(images, top, left, pixels)


def _half_empty(images, pixels):
    """Zeros come in where the picture has gone."""
    top, left = _offset(pixels), _offset(pixels)
    moved = torch.zeros_like(images)
    moved[:, :, top:, left:] = images[:, :, : images.shape[2] - top, : images.shape[3] - left]
    return moved


def _jitter_judge(learner):
    pixels, (height, width) = 3, (8, 10)
    # Every pixel holds another number, so a window can be told by its first one.
    images = torch.arange(2.0 * 3 * height * width).view(2, 3, height, width).requires_grad_()
    seen = []
    for _ in range(400):
        result = learner(images, pixels)
        if not isinstance(result, torch.Tensor):
            return f"`jitter` returned {type(result).__name__}: return the pictures, a tensor (N, 3, H − pixels, W − pixels)."
        if result.shape != (2, 3, height - pixels, width - pixels):
            return _wrong_shape(learner, images, result, pixels)
        if not result.requires_grad:
            return Problem(mistake="cut-loose")
        first = result.detach()[:, 0, 0, 0] - images.detach()[:, 0, 0, 0]  # how many pixels were passed over
        places = [divmod(round(float(number)), width) for number in first]
        for image, part, (top, left) in zip(images.detach(), result.detach(), places, strict=True):
            window = image[:, top : top + height - pixels, left : left + width - pixels]
            if not (0 <= top <= pixels and 0 <= left <= pixels and torch.equal(window, part)):
                return (
                    "What comes back is not a window of the picture: no pixel's value may change, and rows and columns must "
                    "stay next to each other. Cut with `images[:, :, top:top + height, left:left + width]`."
                )
        if places[0] != places[1]:
            return Problem(mistake="each-its-own")
        seen.append(places[0])
    tops, lefts = {top for top, _ in seen}, {left for _, left in seen}
    if len(set(seen)) == 1:
        return Problem(mistake="never-moves")
    if len(tops) == 1 or len(lefts) == 1:
        return Problem(mistake="one-axis")
    if all(top == left for top, left in seen):
        return Problem(mistake="diagonal")
    if tops == lefts == set(range(pixels)):
        return Problem(mistake="one-short")
    counts = [seen.count((top, left)) for top in range(pixels + 1) for left in range(pixels + 1)]
    sides = [[axis.count(place) for place in range(pixels + 1)] for axis in zip(*seen, strict=True)]
    # By chance alone the sum of squares is above this once in some ten thousand times (15 and 3 degrees of freedom).
    if _unevenness(counts) > 45 or max(map(_unevenness, sides)) > 21:
        return (
            f"With pixels = {pixels} there are {len(counts)} places, each as likely as the others. In 400 draws, yours came "
            f"between {min(counts)} and {max(counts)} times."
        )
    return None if _repeatable(learner, images, pixels) else Problem(mistake="not-torch")


def _repeatable(learner, images, pixels):
    """Does a seed of PyTorch give the same twenty windows again?"""
    with torch.random.fork_rng(devices=[]):
        runs = []
        for _ in range(2):
            torch.manual_seed(0)
            runs.append([float(learner(images, pixels).detach()[0, 0, 0, 0]) for _ in range(20)])
    return runs[0] == runs[1]


def _unevenness(counts):
    """Pearson's sum of squares against equal probabilities."""
    expected = sum(counts) / len(counts)
    return sum((count - expected) ** 2 for count in counts) / expected


def _wrong_shape(learner, images, result, pixels):
    sizes = tuple(result.shape)
    wanted = f"For pictures (2, 3, 8, 10) and pixels = {pixels} the result must be (2, 3, 5, 7), not {sizes}."
    again = [learner(images, pixels) for _ in range(20)]
    if not all(isinstance(each, torch.Tensor) and each.ndim == 4 for each in [result, *again]):
        return wanted
    shapes = {tuple(each.shape[2:]) for each in [result, *again]}
    if (5, 7) in shapes and all(down in (0, 5) and across in (0, 7) for down, across in shapes):
        return Problem(wanted, mistake="minus-nothing")
    if len({each.shape for each in again}) > 1:
        return Problem(wanted, mistake="ragged")
    if result.shape == images.shape:
        return Problem(wanted, mistake=_moved_how(images.detach(), [result, *again], pixels))
    if sizes[2:] == (8 - 2 * pixels, 10 - 2 * pixels):
        return Problem(wanted, mistake="both-sides")
    return wanted


def _moved_how(images, results, pixels):
    """What was done to pictures that keep their size: "rolled", "filled" (moved, with something else at the rim), or None."""
    height, width = images.shape[2:]
    steps = [(down, across) for down in range(-pixels, pixels + 1) for across in range(-pixels, pixels + 1)]

    def overlap(moved, down, across):
        own = images[:, :, max(0, -down) : height - max(0, down), max(0, -across) : width - max(0, across)]
        other = moved[:, :, max(0, down) : height - max(0, -down), max(0, across) : width - max(0, -across)]
        return torch.equal(own, other)

    moved = [each.detach() for each in results if not torch.equal(each.detach(), images)]
    if moved and all(any(torch.equal(each, images.roll(step, (2, 3))) for step in steps) for each in moved):
        return "rolled"
    if moved and all(any(step != (0, 0) and overlap(each, *step) for step in steps) for each in moved):
        return "filled"
    return None


JITTER = CodeExercise(
    id="2.3",
    title="Jitter",
    stars=2,
    minutes=7,
    reference=jitter,
    judge=_jitter_judge,
    hints=(
        "The window is H − pixels rows high. Its first row may be 0, 1, …, pixels: that is pixels + 1 possibilities, and "
        "`torch.randint(n, ())` draws from 0 to n − 1.",
        "Draw twice, once for the rows and once for the columns, and cut with "
        "`images[:, :, top:top + height, left:left + width]`.",
    ),
    mistakes=(
        Mistake(
            "rolled",
            "You roll the picture: what leaves on one side comes in on the other, and the network sees a seam that "
            "belongs to no picture. Cut a smaller window instead.",
            _rolled,
        ),
        Mistake(
            "filled",
            "The picture keeps its size, and something else stands where it has moved away: an edge that the network will "
            "answer to. Cut a window that is smaller by `pixels`.",
            _half_empty,
        ),
        Mistake(
            "each-its-own",
            "Each picture of the batch gets its own shift. Jitter shall be the same for all, so that pictures "
            "rendered together differ only by what they are to raise: draw once.",
            _each_its_own,
        ),
        Mistake(
            "diagonal",
            "The shifts down and across are always equal: the picture moves along one diagonal only. Draw two numbers.",
            _diagonal,
        ),
        Mistake("one-axis", "The picture moves along one axis only: draw a number for rows and one for columns.", _one_axis),
        Mistake(
            "one-short",
            "The last place is never reached: there are pixels + 1 places (0, 1, …, pixels), and `torch.randint(n, ())` draws "
            "from 0 to n − 1.",
            _one_short,
        ),
        Mistake(
            "never-moves",
            "The window stands at the same place every time, so the picture can adapt to it. Draw anew at each call, and "
            "set no seed inside.",
            _always_the_same,
        ),
        Mistake(
            "ragged",
            "The window's size changes from call to call. It is always H − pixels by W − pixels: where less is cut away at the "
            "top or left, more is at the bottom or right.",
            _ragged,
        ),
        Mistake(
            "both-sides",
            "Your window is smaller by twice `pixels`. Above and below together it is `pixels` rows: top of them above, "
            "pixels − top below; columns likewise.",
            _both_sides,
        ),
        Mistake(
            "cut-loose",
            "The result has lost its history (`.detach()`, `torch.tensor`, numpy or no_grad), so no gradient gets back to the "
            "picture.",
            _cut_loose,
        ),
        Mistake(
            "minus-nothing",
            "At some places your window is empty. A slice that ends at `-0` ends at 0, before it has begun: give the end as "
            "`top + height`.",
            _minus_nothing,
        ),
        Mistake(
            "not-torch",
            "After the same `torch.manual_seed` your windows are not the same again, so they are drawn elsewhere (Python, "
            "NumPy, a generator of your own). Draw with `torch.randint`: then a picture can be made again.",
            _not_torch,
        ),
    ),
    unlisted=(
        _noise_on_pixels,
        _rounded_places,
        lambda images, pixels: images + torch.randn_like(images),
        lambda images, pixels: images,
        lambda images, pixels: _window(images, 0, 0, pixels + 1),
        lambda images, pixels: jitter(images, pixels).flip(3),
    ),
    insight="A pattern that works at one place of the pixel grid only is no longer worth painting.",
    used_next="`render` does this, a little turning and scaling before every step.",
)

# --- 2.4 the Fourier picture with the 1/f scale --------------------------------------------------------------------------


def fourier_picture(spectrum, size):
    """From waves to pictures: (N, 3, size, size // 2 + 1, 2) -> (N, 3, size, size) in (0, 1)."""
    down = torch.fft.fftfreq(size)[:, None]
    across = torch.fft.rfftfreq(size)[None, :]
    frequency = (down**2 + across**2).sqrt()
    scale = 1 / frequency.clamp_min(1 / size)
    waves = torch.view_as_complex(spectrum) * scale
    return torch.sigmoid(torch.fft.irfft2(waves, s=(size, size), norm="ortho") / 4)


def _frequency(size):
    return torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None])


def _painted(spectrum, size, gain, *, norm="ortho", divisor=4.0, squash=torch.sigmoid):
    waves = torch.view_as_complex(spectrum) * gain
    return squash(torch.fft.irfft2(waves, s=(size, size), norm=norm) / divisor)


def _gain(size):
    return 1 / _frequency(size).clamp_min(1 / size)


def _upside_down(spectrum, size):
    return _painted(spectrum, size, 1 / _gain(size))


def _no_floor(spectrum, size):
    return _painted(spectrum, size, 1 / _frequency(size))


def _added_floor(spectrum, size):
    return _painted(spectrum, size, 1 / (_frequency(size) + 1 / size))


def _no_brightness(spectrum, size):
    gain = _gain(size)
    gain[0, 0] = 0
    return _painted(spectrum, size, gain)


def _one_at_zero(spectrum, size):
    gain = _gain(size)
    gain[0, 0] = 1
    return _painted(spectrum, size, gain)


def _no_scale(spectrum, size):
    return _painted(spectrum, size, 1.0)


def _power(spectrum, size):
    return _painted(spectrum, size, _gain(size) ** 2)


def _across_only(spectrum, size):
    return _painted(spectrum, size, 1 / torch.fft.rfftfreq(size).clamp_min(1 / size))


def _down_only(spectrum, size):
    return _painted(spectrum, size, 1 / torch.fft.fftfreq(size).abs().clamp_min(1 / size)[:, None])


def _floor_of_96(spectrum, size):
    return _painted(spectrum, size, 1 / _frequency(size).clamp_min(1 / 96))


def _added(spectrum, size):
    added = torch.fft.fftfreq(size).abs()[:, None] + torch.fft.rfftfreq(size)[None]
    return _painted(spectrum, size, 1 / added.clamp_min(1 / size))


def _in_cycles_a_picture(spectrum, size):
    return _painted(spectrum, size, 1 / (_frequency(size) * size).clamp_min(1))


def _no_four(spectrum, size):
    return _painted(spectrum, size, _gain(size), divisor=1)


def _no_sigmoid(spectrum, size):
    return _painted(spectrum, size, _gain(size), squash=lambda values: values)


def _clamped(spectrum, size):
    return _painted(spectrum, size, _gain(size), squash=lambda values: (values + 0.5).clamp(0, 1))


def _real_part_only(spectrum, size):
    waves = torch.complex(spectrum[..., 0], torch.zeros_like(spectrum[..., 0]))
    return fourier_picture(torch.view_as_real(waves), size)


def _no_size(spectrum, size):
    return torch.sigmoid(torch.fft.irfft2(torch.view_as_complex(spectrum) * _gain(size), norm="ortho") / 4)


def _row_numbers(spectrum, size):
    """Frequency as the distance from the corner of the array, as if it did not turn back half-way down."""
    down = torch.arange(size)[:, None] / size
    across = torch.arange(size // 2 + 1)[None] / size
    return _painted(spectrum, size, 1 / torch.hypot(down, across).clamp_min(1 / size))


def _fourier_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def spectrum(count, size):
        return 0.5 * torch.randn(count, 3, size, size // 2 + 1, 2, generator=generator)

    return [(spectrum(count, size), size) for count, size in ((1, 4), (1, 5), (2, 8), (1, 9))]


FOURIER = CodeExercise(
    id="2.4",
    title="A picture made of waves",
    stars=3,
    minutes=12,
    reference=fourier_picture,
    cases=_fourier_cases,
    hints=(
        "`torch.fft.fftfreq(size)[:, None]` and `torch.fft.rfftfreq(size)[None]` are the frequencies down and across, in "
        "cycles per pixel; the frequency of a wave is the root of the sum of their squares.",
        "At the place of frequency 0 (the mean brightness) 1/f is infinite: `frequency.clamp_min(1 / size)` before dividing.",
        '`torch.view_as_complex(spectrum) * scale`, then `torch.fft.irfft2(…, s=(size, size), norm="ortho")`, '
        "divided by 4, then the sigmoid.",
    ),
    mistakes=(
        Mistake(
            "upside-down",
            "The scale stands on its head: you multiply by the frequency (or divide by 1/f), so the fastest waves get the "
            "longest steps, and you get more noise than without any scale.",
            _upside_down,
        ),
        Mistake(
            "no-floor",
            "The frequency of the mean brightness is 0, and 1/0 is infinite (or, with a tiny number added, gigantic): the "
            "whole picture is black, white or NaN. The floor is 1/size, the slowest wave that fits into the picture: "
            "`frequency.clamp_min(1 / size)`.",
            _no_floor,
        ),
        Mistake(
            "added-floor",
            "You add 1/size to every frequency, which makes all waves weaker, the coarse ones by half. The floor is a maximum, "
            "`frequency.clamp_min(1 / size)`: it changes frequency 0 and nothing else.",
            _added_floor,
        ),
        Mistake(
            "no-brightness",
            "The wave of frequency 0 plays no part, so the mean brightness can never change. Give it the scale of the slowest "
            "wave, by `frequency.clamp_min(1 / size)`.",
            _no_brightness,
        ),
        Mistake(
            "one-at-zero",
            "At frequency 0 your scale is 1, less than that of the fastest wave. Give it that of the slowest, `size`: "
            "`frequency.clamp_min(1 / size)`.",
            _one_at_zero,
        ),
        Mistake(
            "no-scale",
            "All waves are treated alike. Without the scale this is a change of coordinates that keeps "
            "all lengths, and gradient ascent gives the same noise as with pixels. Multiply by 1/frequency "
            "(its floor is 1/size: with 1, no frequency would be above it).",
            _no_scale,
        ),
        Mistake(
            "power",
            "You scale by 1/f². It is the *power* of natural pictures that falls with 1/f²; their amplitude, which "
            "you scale here, falls with 1/f.",
            _power,
        ),
        Mistake(
            "across-only",
            "Only the frequency across is used, so waves that run down the picture stay as noisy as before. The frequency is "
            "√(down² + across²).",
            _across_only,
        ),
        Mistake(
            "down-only",
            "Only the frequency down is used, so waves that run across the picture stay as noisy as before. The frequency is "
            "√(down² + across²).",
            _down_only,
        ),
        Mistake(
            "floor-of-96",
            "Your floor is 1/96 whatever the size. It is that of the slowest wave that fits: `frequency.clamp_min(1 / size)`.",
            _floor_of_96,
        ),
        Mistake(
            "added",
            "You add the frequencies down and across. A slanted wave's frequency is the root of the sum of their squares, so "
            "that no orientation is preferred.",
            _added,
        ),
        Mistake(
            "row-numbers",
            "Your frequencies grow from the first to the last row, but the second half of the rows holds negative "
            "frequencies, which get slower again. `torch.fft.fftfreq(size)` knows.",
            _row_numbers,
        ),
        Mistake(
            "too-weak",
            "Your waves are `size` times too weak, and the picture is nearly grey. Is the frequency in cycles per picture and "
            'not per pixel, the scale divided by its largest, or norm="ortho" missing? (Without it the inverse transform '
            "divides by size².)",
            _in_cycles_a_picture,
        ),
        Mistake("no-four", "The division by 4 before the sigmoid is missing: the contrasts are too hard.", _no_four),
        Mistake("no-sigmoid", "The sigmoid is missing: these are not yet colours between 0 and 1.", _no_sigmoid),
        Mistake(
            "clamped",
            "You cut off at 0 and 1. Where it cuts, the gradient is zero and the pixel is stuck for ever; "
            "the sigmoid always leaves a way back.",
            _clamped,
        ),
        Mistake(
            "real-only",
            "Only the first of each pair of numbers is used. Without the imaginary part a wave can have a height but no "
            "phase: it cannot be moved. `torch.view_as_complex` joins the pair.",
            _real_part_only,
        ),
        Mistake(
            "no-size",
            "irfft2 cannot know whether the width was odd: it needs `s=(size, size)`.",
            _no_size,
        ),
    ),
    unlisted=(
        lambda spectrum, size: _painted(spectrum, size, _gain(size), norm="forward"),
        lambda spectrum, size: fourier_picture(spectrum, size).transpose(2, 3),
        lambda spectrum, size: fourier_picture(-spectrum, size),
    ),
    insight="Nothing is forbidden: every picture can still be reached. Only what is easy to reach has changed.",
    used_next="`fourier()` in the method is this, with the colours unmixed as well.",
)

# --- 2.5 legible, and still true (in the studio) -------------------------------------------------------------------------

#: A picture counts as legible when no more than this share of its power is fine noise.
FINE_NOISE = 0.08


def _studied(switches, optimizer):
    """Share of 10,000 pictures below, and share of fine noise, of the first unit's picture with these switches on."""
    layer, number, _ = study.paths().units[0]
    on = {name: name in switches for name in study.SWITCHES}
    _, below, noise = study.paths().value(layer, number, optimizer=optimizer, **on)
    return below, noise


@functools.cache
def _fewest():
    """How few switches make the first unit's picture legible while it is still true, with the better of the two optimisers."""
    for count in range(len(study.SWITCHES) + 1):
        for switches in itertools.combinations(study.SWITCHES, count):
            if any(_is_legible_and_true(switches, optimizer) for optimizer in study.OPTIMIZERS):
                return count
    return len(study.SWITCHES)


def _is_legible_and_true(switches, optimizer):
    below, noise = _studied(switches, optimizer)
    return noise <= FINE_NOISE and below >= 0.999


def _studio_judge(value):
    if not isinstance(value, dict) or not {"unit", "step", "optimizer", *study.SWITCHES} <= set(value):
        return 'Hand in the studio itself, as it is set: `answer("2.5", studio)`.'
    paths = study.paths()
    if value["unit"] != paths.units[0][2]:
        return Problem(f"Choose {paths.units[0][2]} under Unit.", mistake="other-unit")
    if value["step"] != paths.steps[-1]:
        return Problem(mistake="unfinished")
    on, optimizer = tuple(name for name in study.SWITCHES if value[name]), value["optimizer"]
    below, noise = _studied(on, optimizer)
    measured = f"Measured: {noise:.1%} of the power is fine noise, and {below:.2%} of 10,000 pictures excite the unit less."
    if noise > FINE_NOISE:
        if optimizer == "adam" and "fourier" in on and _is_legible_and_true(on, "sgd"):
            return Problem(measured, mistake="undone")
        return Problem(measured, mistake="close" if noise < 1.5 * FINE_NOISE else "noisy")
    if below < 0.999:
        return f"Legible, but the unit answers too little to it; weaker means will do. {measured}"
    if len(on) > _fewest():
        return Problem(f"You have {len(on)} on, and {_fewest()} will do. {measured}", mistake="too-many")
    return None


def _is_as_made(value):
    """The studio as it is at first: nothing switched on."""
    return (
        isinstance(value, dict)
        and value.get("unit") == study.paths().units[0][2]
        and value.get("step") == study.paths().steps[-1]
        and value.get("optimizer") == study.OPTIMIZERS[0]
        and not any(value.get(name) for name in study.SWITCHES)
    )


def _studio_state(*on, **others):
    # From the constants: a missing file of pictures must not keep the other exercises from being imported.
    first = {"unit": "{}, channel {}".format(*study.UNITS[0]), "step": study.KEPT[-1], "optimizer": study.OPTIMIZERS[0]}
    return first | {name: name in on for name in study.SWITCHES} | others


LEGIBLE = AnswerExercise(
    id="2.5",
    title="Legible, and still true",
    stars=2,
    minutes=6,
    judge=_studio_judge,
    blank=_is_as_made,
    setup_source="from vizcourse.lessons.feature_visualization.widgets import Studio\nstudio = Studio()",
    solution_source='studio.set(fourier=True)\nanswer("2.5", studio)',
    hints=(
        "Try each switch by itself first, with either kind of step, and write down the share of fine noise, which stands under "
        "the picture.",
        "Which of the four switches changes the metric and nothing else? Which kind of step leaves that metric alone?",
        "With Adam's steps two switches are needed. With plain steps one will do.",
    ),
    mistakes=(
        Mistake(
            "noisy",
            f"Too much of the picture is still fine noise: at most {FINE_NOISE:.0%} of the power may be.",
            _studio_state("colours"),
        ),
        Mistake(
            "undone",
            "These switches would do with plain steps. Adam gives every coefficient a step of about the same length, and "
            "undoes what the metric had arranged: change the steps.",
            _studio_state("fourier", optimizer="adam"),
        ),
        Mistake(
            "close",
            f"Close: only a little more than {FINE_NOISE:.0%} is fine noise.",
            _studio_state("transformations", optimizer="adam"),
        ),
        Mistake(
            "too-many",
            "Legible and true, but fewer switches will do. Each regulariser puts something of its own into the picture, so "
            "switch off whatever you can spare; and try the other kind of step.",
            _studio_state(*study.SWITCHES),
        ),
        Mistake(
            "unfinished",
            "You are looking at the middle of the climb; what counts is the picture at its end: move the scrubber to the last "
            "step.",
            _studio_state("fourier", step=8),
        ),
        Mistake(
            "other-unit",
            "This exercise is about the unit that the studio shows first.",
            _studio_state("fourier", unit="another"),
        ),
    ),
    unlisted=({"fourier": True}, "transformations", 2),
    insight="With plain steps one switch will do, waves (which forbid nothing) or transformations; with Adam's it takes two.",
    used_next="The pictures that follow are made with Adam and all regularisers, as in most of the literature.",
)

# --- 2.6 what a channel encodes ----------------------------------------------------------------------------------------

QUESTIONED = ("inception4a", 6)
FACTORS = ("object", "scene", "colour", "texture", "material", "light")
_VALUES = dict(
    zip(
        FACTORS,
        (scenes.CLASSES, scenes.SCENES, scenes.COLOURS, scenes.TEXTURES, scenes.MATERIALS, scenes.LIGHTS),
        strict=True,
    )
)


def _channel_means(pictures, layer, channel):
    """The mean over positions of one channel of googlenet-scenes, (N,)."""
    model, found = load("googlenet-scenes"), []
    with torch.no_grad(), capture(model, layer, stop=True) as acts:
        for batch in pictures.split(32):
            model(batch)
            found.append(acts[layer][:, channel].mean(dim=(1, 2)))
    return torch.cat(found)


@functools.cache
def _ordinary(layer, channel):
    """The channel's means on 100 ordinary scenes, (100,)."""
    return _channel_means(scenes.render(scenes.sample(100, seed=2606), size=96), layer, channel)


#: Objects that may have any colour, so that setting a colour does not change what the object is.
_ANYTHING = tuple(name for name in scenes.CLASSES if scenes.counterpart(name) is None)


def _word(value):
    """A word as the world spells it: stray spaces, capitals and American spelling aside."""
    text = " ".join(str(value).replace("_", " ").replace("-", " ").split()).lower()
    return {"color": "colour", "gray": "grey"}.get(text, text)


def concept_effects(layer, channel, factor):
    """What setting one cause of a picture does to a channel of googlenet-scenes, all else held fixed.

    Args:
        layer: the layer's name.
        channel: its channel.
        factor: one of "object", "scene", "colour" (the object's), "texture", "material", "light".

    Returns:
        {value: mean change over 6 scenes}, the largest first, in standard deviations of the channel over ordinary scenes.

    Raises:
        ValueError: there is no such factor; the message lists them.
    """
    if _word(factor) not in _VALUES:
        raise ValueError(f"There is no factor {factor!r}: choose from {', '.join(FACTORS)}.")
    return dict(_effects(layer, channel, _word(factor), tuple(_VALUES[_word(factor)])))


@functools.cache
def _effects(layer, channel, factor, values):
    before = scenes.sample(6, seed=2606, object=_ANYTHING)
    changed = [scene.replace(**{factor: value}) for value in values for scene in before]
    means = _channel_means(scenes.render(before + changed, size=96), layer, channel).view(-1, len(before))
    changes = (means[1:] - means[0]).mean(dim=1) / _ordinary(layer, channel).std()
    found = {value: round(float(change), 2) for value, change in zip(values, changes, strict=True)}
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


@functools.cache
def _encoded():
    """The single cause that raises the channel most: no object counts that brings a colour of its own along."""
    effects = {
        (factor, value): effect
        for factor in FACTORS
        for value, effect in _effects(*QUESTIONED, factor, _ANYTHING if factor == "object" else tuple(_VALUES[factor])).items()
    }
    return max(effects, key=effects.get)


def object_by_colour(layer, channel, objects, colours, count=16):
    """What setting object *and* colour does to a channel, all else held fixed, over scenes in which any object may stand.

    An object of a pair that is another class in that colour (a red blue tang is a goldfish only in orange) is left out.

    Returns:
        {object: {colour: (mean change, half of its 95 % interval)}} in standard deviations, as in `concept_effects`.
    """
    before = scenes.sample(count, seed=2608, object=_ANYTHING)
    pairs = [(name, colour) for name in objects for colour in colours if _may_have(name, colour)]
    changed = [scene.replace(object=name, colour=colour) for name, colour in pairs for scene in before]
    means = _channel_means(scenes.render(before + changed, size=96), layer, channel).view(-1, count)
    changes = (means[1:] - means[0]) / _ordinary(layer, channel).std()
    found = {name: {} for name in objects}
    for (name, colour), each in zip(pairs, changes, strict=True):
        found[name][colour] = (float(each.mean()), float(1.96 * each.std() / count**0.5))
    return found


def _may_have(name, colour):
    other = scenes.counterpart(name)
    return other is None or scenes.OWN_COLOUR[other] != colour


def _as_pair(answer):
    """A factor and its value, however they were written down, or None."""
    if isinstance(answer, dict) and len(answer) == 1:
        answer = next(iter(answer.items()))
    if isinstance(answer, str):
        words = re.sub(r"[=:,()\[\]'\"]", " ", answer).split()
        places = [place for place, word in enumerate(words) if _word(word) in FACTORS]
        answer = (words.pop(places[0]), " ".join(words)) if len(places) == 1 and len(words) > 1 else answer
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        return None
    first, second = map(_word, answer)
    return (second, first) if first not in FACTORS and second in FACTORS else (first, second)


def _encoded_judge(answer):
    """A (factor, value); a value alone does not say of what."""
    pair = _as_pair(answer)
    if pair is None and isinstance(answer, str) and any(_word(answer) in values for values in _VALUES.values()):
        return f'{answer.strip().capitalize()}, of what? Give the factor as well, as in ("object", "clock").'
    if pair is None or pair[0] not in FACTORS:
        return f'Give a factor and its value, as in ("object", "clock"); the factors are {", ".join(FACTORS)}.'
    factor, value = pair
    if value not in _VALUES[factor]:
        return f"{factor} has the values {', '.join(_VALUES[factor])}."
    if pair == _encoded():
        return None
    best = _effects(*QUESTIONED, _encoded()[0], (_encoded()[1],))[_encoded()[1]]
    effect = _effects(*QUESTIONED, factor, (value,))[value]
    measured = f"Measured: {factor} = {value} changes the channel by {effect:+.1f}, the right answer by {best:+.1f}."
    if factor == _encoded()[0]:
        return Problem(measured, mistake="other-value")
    if factor == "object" and value in scenes.OWN_COLOUR:
        return Problem(measured, mistake="own-colour" if effect > best / 2 else "own-colour, the wrong one")
    return Problem(measured, mistake={"object": "object", "scene": "scene"}.get(factor, "surface"))


ENCODED = AnswerExercise(
    id="2.6",
    title="What does this channel encode?",
    stars=2,
    minutes=8,
    reference=_encoded,
    judge=_encoded_judge,
    hints=(
        "Write down what the top pictures have in common: there is more than one thing. Each is a suspicion, and each can be "
        'tested: `concept_effects("inception4a", 6, "scene")`.',
        "An effect of 0.3 standard deviations is small. Look for a factor with one value that stands out from all others.",
        "With do(object = …), classes that come in pairs (bluebird and cardinal, lorry and fire engine) bring something "
        "else along. Compare the two of a pair: what is the only thing in which they differ?",
    ),
    mistakes=(
        Mistake(
            "own-colour",
            "That class does raise the channel, but it changes two causes at once: it brings its own colour along. Compare it "
            "with its pair, which has the same form and another colour: bluebird with cardinal, lorry with fire engine, blue "
            "tang with goldfish, cornflower with poppy.",
            ("object", "bluebird"),
        ),
        Mistake(
            "own-colour, the wrong one",
            "That class brings its own colour along, so it changes two causes at once; and together they do little for this "
            "channel. Compare it with its pair, which has the same form and another colour.",
            ("object", "goldfish"),
        ),
        Mistake(
            "object",
            "Among the objects that can have any colour, none moves the channel as far as the right answer does. Ask for the "
            "effect of every other factor as well.",
            ("object", "clock"),
        ),
        Mistake(
            "scene",
            "The scene is what surrounds the object. Set by itself, with the object as it is, it moves the channel far less "
            "than the right answer, whichever of the eight it is.",
            ("scene", "sea"),
        ),
        Mistake(
            "surface",
            "Neither texture nor material nor light moves the channel far when it is set by itself. Ask for the effects of the "
            "other factors.",
            ("texture", "dots"),
        ),
        Mistake(
            "other-value",
            "The right factor, but another of its values raises the channel far more.",
            ("colour", "purple"),
        ),
    ),
    unlisted=(("colour", "turquoise"), "blue", "bird", 6, ("size", 0.5), ("blue", "bird"), {"light": "blue"}),
    insight="Pictures suggest, interventions decide: birds and fishes were company, and none of them raises it in red.",
    used_next="The next table crosses object and colour, and says why the birds and fishes scored more.",
)

# --- 2.7 a direction ---------------------------------------------------------------------------------------------------


def direction_score(maps, vector, power=0):
    """How far activations (N, C, rows, columns) go along a direction (C,), rewarded for pointing there: -> (N,)."""
    along = torch.einsum("nchw,c->nhw", maps, vector) / vector.norm()
    cosine = along / maps.norm(dim=1).clamp_min(1e-12)
    return (along * cosine.clamp_min(0.1) ** power).mean(dim=(1, 2))


def _scored(maps, vector, power, *, length=True, floor=0.1, silent=1e-12):
    along = torch.einsum("nchw,c->nhw", maps, vector)
    lengths = maps.norm(dim=1)
    cosine = along / vector.norm() / (lengths.clamp_min(silent) if silent else lengths)
    along = along / vector.norm() if length else along
    return along * (cosine if floor is None else cosine.clamp_min(floor)) ** power


def _not_normalised(maps, vector, power=0):
    return _scored(maps, vector, power, length=False).mean((1, 2))


def _no_length(maps, vector, power=0):
    along = torch.einsum("nchw,c->nhw", maps, vector)
    return (along * (along / maps.norm(dim=1).clamp_min(1e-12)).clamp_min(0.1) ** power).mean((1, 2))


def _squared_length(maps, vector, power=0):
    return direction_score(maps, vector, power) / vector.norm()


def _largest_entry(maps, vector, power=0):
    along = torch.einsum("nchw,c->nhw", maps, vector) / vector.abs().sum()
    cosine = torch.einsum("nchw,c->nhw", maps, vector) / vector.norm() / maps.norm(dim=1).clamp_min(1e-12)
    return (along * cosine.clamp_min(0.1) ** power).mean((1, 2))


def _cosine_only(maps, vector, power=0):
    return nn.functional.cosine_similarity(maps, vector.view(1, -1, 1, 1), dim=1).mean((1, 2))


def _power_ignored(maps, vector, power=0):
    return _scored(maps, vector, 0).mean((1, 2))


def _averaged_first(maps, vector, power=0):
    return direction_score(maps.mean(dim=(2, 3), keepdim=True), vector, power)


def _no_cosine_floor(maps, vector, power=0):
    return _scored(maps, vector, power, floor=None).mean((1, 2))


def _floor_at_zero(maps, vector, power=0):
    return _scored(maps, vector, power, floor=0.0).mean((1, 2))


def _floor_after_the_power(maps, vector, power=0):
    along = torch.einsum("nchw,c->nhw", maps, vector) / vector.norm()
    cosine = along / maps.norm(dim=1).clamp_min(1e-12)
    return (along * (cosine**power).clamp_min(0.1)).mean((1, 2))


def _cosine_too_long(maps, vector, power=0):
    """|v| is forgotten where the cosine is made."""
    along = torch.einsum("nchw,c->nhw", maps, vector)
    cosine = along / maps.norm(dim=1).clamp_min(1e-12)
    return (along / vector.norm() * cosine.clamp_min(0.1) ** power).mean((1, 2))


def _silent_positions(maps, vector, power=0):
    return _scored(maps, vector, power, silent=None).mean((1, 2))


def _summed(maps, vector, power=0):
    return _scored(maps, vector, power).sum((1, 2))


def _batch_too(maps, vector, power=0):
    return _scored(maps, vector, power).mean()


def _along_columns(maps, vector, power=0):
    """`maps * vector` without a view: broadcasting lays the vector along the last axis, the columns."""
    along = (maps * vector).sum(1) / vector.norm()
    cosine = along / maps.norm(dim=1).clamp_min(1e-12)
    return (along * cosine.clamp_min(0.1) ** power).mean((1, 2))


def _dot_to_the_power(maps, vector, power=0):
    along = torch.einsum("nchw,c->nhw", maps, vector) / vector.norm()
    return (along.clamp_min(0.1) ** power * along).mean((1, 2))


def _direction_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def maps(*shape):
        return torch.randn(*shape, generator=generator)

    def vector(channels):
        return 3 * torch.randn(channels, generator=generator)

    silent = maps(1, 3, 2, 2).relu()
    silent[:, :, 0, 1] = 0  # after a ReLU, a position where nothing answers is nothing unusual
    return [
        (torch.tensor([[[[1.0]], [[2.0]]], [[[3.0]], [[-1.0]]]]), torch.tensor([3.0, 4.0])),
        (maps(1, 2, 2, 2), vector(2), 1),
        case(silent, vector(3), power=2),
        case(maps(2, 4, 3, 4), vector(4), power=2),
        case(maps(3, 6, 4, 6), vector(6), power=3),
    ]


DIRECTION = CodeExercise(
    id="2.7",
    title="A direction",
    stars=2,
    minutes=8,
    reference=direction_score,
    cases=_direction_cases,
    hints=(
        "At each position there is a vector of C numbers. Its scalar product with the direction is a sum over channels: "
        '`torch.einsum("nchw,c->nhw", maps, vector)`, or `(maps * vector.view(1, -1, 1, 1)).sum(1)`.',
        "Divide by the direction's length to get h·v/|v|; divide that by `maps.norm(dim=1)` to get the cosine.",
        "A position where all channels are silent has |h| = 0: `clamp_min(1e-12)` makes 0/0 a plain 0. The mean over positions "
        "comes last.",
    ),
    mistakes=(
        Mistake(
            "not-normalised",
            "Your score grows with the length of the direction: twice as long a vector would score twice as much, and it is "
            "the same direction. Divide by `vector.norm()`.",
            _not_normalised,
        ),
        Mistake(
            "no-length",
            "The direction's length is divided out nowhere, neither of the scalar product nor of the cosine: put "
            "`vector / vector.norm()` for the vector.",
            _no_length,
        ),
        Mistake(
            "squared-length",
            "You divide by the direction's squared length, so a longer vector scores less. Divide h·v by `vector.norm()` once.",
            _squared_length,
        ),
        Mistake(
            "sum-of-entries",
            "You divide by the sum of the entries' absolute values. The length of a vector is the root of the sum of squares, "
            "`vector.norm()`.",
            _largest_entry,
        ),
        Mistake(
            "cosine-only",
            "This is the bare cosine. It does not care how strongly the network answers, so a faint hint of the "
            "direction scores as much as a shout: multiply h·v/|v| by the power of the cosine.",
            _cosine_only,
        ),
        Mistake("power-ignored", "The power plays no part: multiply by max(cos, 0.1) ** power.", _power_ignored),
        Mistake(
            "averaged-first",
            "You average the activations over the positions first. A cosine of the mean is not the mean of the cosines: score "
            "each position, then average.",
            _averaged_first,
        ),
        Mistake(
            "no-floor",
            "The cosine is not cut off below. Where it is negative, so is h·v, and an odd power makes a virtue of both: "
            "pointing away would be rewarded. Take max(cos, 0.1).",
            _no_cosine_floor,
        ),
        Mistake(
            "floor-at-zero",
            "The cosine is cut off at 0. Then a picture that starts on the wrong side has no gradient and never gets away: "
            "0.1 leaves it one.",
            _floor_at_zero,
        ),
        Mistake(
            "floor-after-the-power",
            "You raise the cosine to the power first and cut off at 0.1 afterwards. An even power has made negative cosines "
            "positive by then: take max(cos, 0.1), and that to the power.",
            _floor_after_the_power,
        ),
        Mistake(
            "cosine-too-long",
            "Your cosine is not divided by the direction's length, so it can be far above 1. A cosine is h·v / (|h| |v|).",
            _cosine_too_long,
        ),
        Mistake(
            "silent-positions",
            "Where all channels are zero, you divide 0 by 0 and get NaN, as after any ReLU. Use "
            "`maps.norm(dim=1).clamp_min(1e-12)`.",
            _silent_positions,
        ),
        Mistake("summed", "You sum over the positions; the score is their mean.", _summed),
        Mistake("batch-too", "You average over the batch as well: one score for each picture, (N,).", _batch_too),
        Mistake(
            "columns",
            "`maps * vector` lays the vector along the *columns* (the last axis), which passes without an error when there "
            "are as many columns as channels. Use `vector.view(1, -1, 1, 1)`.",
            _along_columns,
        ),
        Mistake(
            "dot-to-the-power",
            "You raise h·v/|v| itself to the power, which rewards long vectors even more. What shall count is the angle: "
            "divide by |h| first.",
            _dot_to_the_power,
        ),
    ),
    unlisted=(
        lambda maps, vector, power=0: -direction_score(maps, vector, power),
        lambda maps, vector, power=0: _scored(maps, vector, power).amax((1, 2)),
        lambda maps, vector, power=0: _scored(maps, vector, power + 1).mean((1, 2)),
    ),
    insight="A channel is only one direction among all; nothing in the formula knows which ones the network was built on.",
    used_next="The direction explorer asks whether you can tell a channel's picture from a random direction's.",
)

# --- 2.8 a picture that fools ------------------------------------------------------------------------------------------


def fool(model, layer, channel, picture, budget=12 / 255, steps=10):
    """Raise a channel with a change that nobody sees: (1, 3, H, W) -> (1, 3, H, W), at most `budget` away."""
    fooled = picture.clone()
    for _ in range(steps):
        fooled.requires_grad_()
        with capture(model, layer, stop=True) as acts:
            model(fooled)
        (gradient,) = torch.autograd.grad(acts[layer][0, channel].mean(), fooled)
        change = fooled.detach() + budget / 4 * gradient.sign() - picture
        fooled = (picture + change.clamp(-budget, budget)).clamp(0, 1)
    return fooled


def _pushed(model, layer, channel, picture, budget, steps, step):
    """`fool` with another step: `step(current, gradient)` gives the next picture."""
    current = picture.clone()
    for _ in range(steps):
        current.requires_grad_()
        with capture(model, layer, stop=True) as acts:
            model(current)
        (gradient,) = torch.autograd.grad(acts[layer][0, channel].mean(), current)
        current = step(current.detach(), gradient)
    return current


def _inside(current, picture, budget):
    return (picture + (current - picture).clamp(-budget, budget)).clamp(0, 1)


def _each_step_bounded(model, layer, channel, picture, budget=12 / 255, steps=10):
    def step(now, gradient):
        return (now + (budget / 4 * gradient.sign()).clamp(-budget, budget)).clamp(0, 1)

    return _pushed(model, layer, channel, picture, budget, steps, step)


def _outside_colours(model, layer, channel, picture, budget=12 / 255, steps=10):
    def step(now, gradient):
        return picture + (now + budget / 4 * gradient.sign() - picture).clamp(-budget, budget)

    return _pushed(model, layer, channel, picture, budget, steps, step)


def _bare_gradient(model, layer, channel, picture, budget=12 / 255, steps=10):
    def step(now, gradient):
        return _inside(now + budget / 4 * gradient, picture, budget)

    return _pushed(model, layer, channel, picture, budget, steps, step)


def _downhill(model, layer, channel, picture, budget=12 / 255, steps=10):
    def step(now, gradient):
        return _inside(now - budget / 4 * gradient.sign(), picture, budget)

    return _pushed(model, layer, channel, picture, budget, steps, step)


def _random_signs(model, layer, channel, picture, budget=12 / 255, steps=10):
    """Another draw for each channel, and no gradient."""
    for _ in range(steps):
        model(picture)
    generator = torch.Generator().manual_seed(channel)
    return _inside(picture + budget * torch.randn(picture.shape, generator=generator).sign(), picture, budget)


def _random_once(model, layer, channel, picture, budget=12 / 255, steps=10):
    """The same draw for each channel."""
    return _random_signs(model, layer, 0, picture, budget, steps)


def _only_the_change(model, layer, channel, picture, budget=12 / 255, steps=10):
    return fool(model, layer, channel, picture, budget, steps) - picture


def _one_large_step(model, layer, channel, picture, budget=12 / 255, steps=10):
    def step(now, gradient):
        return _inside(now + budget * gradient.sign(), picture, budget)

    return _pushed(model, layer, channel, picture, budget, 1, step)


def _whole_layer_fooled(model, layer, channel, picture, budget=12 / 255, steps=10):
    fooled = picture.clone()
    for _ in range(steps):
        fooled.requires_grad_()
        with capture(model, layer, stop=True) as acts:
            model(fooled)
        (gradient,) = torch.autograd.grad(acts[layer].mean(), fooled)
        fooled = _inside(fooled.detach() + budget / 4 * gradient.sign(), picture, budget)
    return fooled


def _larger_than_asked(model, layer, channel, picture, budget=12 / 255, steps=10):
    """A budget of its own."""
    return fool(model, layer, channel, picture, 12 / 255, steps)


def _in_place(model, layer, channel, picture, budget=12 / 255, steps=10):
    return picture.copy_(fool(model, layer, channel, picture, budget, steps))


def _unchanged(model, layer, channel, picture, budget=12 / 255, steps=10):
    return picture.clone()


def _short_steps(model, layer, channel, picture, budget=12 / 255, steps=10):
    def step(now, gradient):
        return _inside(now + budget / 100 * gradient.sign(), picture, budget)

    return _pushed(model, layer, channel, picture, budget, steps, step)


def _never_asked_to_fool(model, layer, channel, picture, budget=12 / 255, steps=10):
    with capture(model, layer, stop=True) as acts:
        model(picture)
    (gradient,) = torch.autograd.grad(acts[layer][0, channel].mean(), picture)
    return _inside(picture + budget / 4 * gradient.sign(), picture, budget)


def _asked_once_to_fool(model, layer, channel, picture, budget=12 / 255, steps=10):
    fooled = picture.clone().requires_grad_()
    for _ in range(steps):
        with capture(model, layer, stop=True) as acts:
            model(fooled)
        (gradient,) = torch.autograd.grad(acts[layer][0, channel].mean(), fooled)
        fooled = _inside(fooled.detach() + budget / 4 * gradient.sign(), picture, budget)
    return fooled


def _no_leaf_to_fool(model, layer, channel, picture, budget=12 / 255, steps=10):
    """After the first step the picture is a result, and results keep no `.grad`."""
    fooled = fool(model, layer, channel, picture, budget, 1)
    for _ in range(steps - 1):
        gradient = None
        fooled = _inside(fooled + budget / 4 * gradient.sign(), picture, budget)
    return fooled


@functools.cache
def innocent_picture():
    """A picture without anything for which the questioned channel is known, (1, 3, 96, 96)."""
    return scenes.render(scenes.sample(1, seed=2607, object="toadstool", scene="meadow", words=""), size=96)


class _CountingToy(_Toy):
    """A toy that counts how often it is run."""

    runs = 0

    def forward(self, images):
        self.runs += 1
        return super().forward(images)


def _returned(result):
    """What the learner's function gave back, as a tensor if it can be read as one."""
    if isinstance(result, torch.Tensor):
        return result.detach()
    try:
        return compare.as_tensor(result).detach().float()
    except (TypeError, ValueError):
        return result


def _rules_problem(result, picture, budget):
    """What is wrong with a fooled picture whatever the network, or None."""
    if not isinstance(result, torch.Tensor) or result.shape != picture.shape:
        what = tuple(result.shape) if isinstance(result, torch.Tensor) else type(result).__name__
        return f"`fool` must return the changed picture, {tuple(picture.shape)}; yours gives {what}."
    if not result.isfinite().all():
        return "Your picture holds values that are not finite."
    change = float((result - picture).abs().max())
    if change > budget + 1e-4:
        both_signs = result.min() < 0 < result.max()
        if both_signs and float(result.abs().max()) <= budget + 1e-4:
            return Problem(mistake="only-the-change")
        return Problem(f"The largest change is {change:.3f}; the budget is {budget:.3f}.", mistake="over-budget")
    if result.min() < -1e-6 or result.max() > 1 + 1e-6:
        return Problem(mistake="outside")
    return None


def _fool_judge(learner):
    # First on a toy, with a picture of which many values are 0 or 1 already.
    stark = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).mul(3).sub(1).clamp(0, 1)

    def on_toy(picture=stark, channel=1, budget=0.1, steps=8, toy=None):
        given = picture.clone()
        result = _returned(learner(toy or _Toy(0), "soft", channel, given, budget, steps))
        # A copy: where the picture was changed in place, both are one.
        return (result.clone() if isinstance(result, torch.Tensor) else result), torch.equal(given.detach(), picture)

    counting = _CountingToy(0)
    try:
        result, left = on_toy(toy=counting)
    except (RuntimeError, TypeError, AttributeError) as error:
        if (known := _no_gradient(error, on_toy)) is None:
            raise
        return Problem(mistake=known)
    problem = _rules_problem(result, stark, 0.1)
    other, _ = on_toy(budget=0.02)
    if all(isinstance(each, torch.Tensor) and each.shape == stark.shape for each in (result, other)):
        if torch.equal(result, stark):
            return Problem(mistake="unchanged")
        if torch.equal(result, other):
            return Problem(mistake="budget-ignored")
    if problem is None:
        problem = _rules_problem(other, stark, 0.02)
    if problem is not None:
        return problem
    if not left:
        return Problem(mistake="in-place")
    once = _CountingToy(0)
    on_toy(steps=1, toy=once)
    if counting.runs <= once.runs:
        return Problem(mistake="one-step")
    if torch.equal(result, on_toy(channel=2)[0]):
        whole = _whole_layer_fooled(_Toy(0), "soft", 1, stark, 0.1, 8)
        return Problem(mistake="whole-layer" if torch.equal(result, whole) else "channel-ignored")
    model, budget, (layer, channel) = load("googlenet-scenes"), 12 / 255, QUESTIONED
    picture = innocent_picture()
    result = _returned(learner(model, layer, channel, picture.clone(), budget, 10))
    if problem := _rules_problem(result, picture, budget):
        return problem
    change = float((result - picture).abs().max())
    before, after = (float(_channel_means(each, layer, channel)) for each in (picture, result))
    best = float(_ordinary(layer, channel).max())
    if after > best:
        return None
    measured = f"The channel's mean goes from {before:.3f} to {after:.3f}; the best of 100 ordinary pictures has {best:.3f}."
    return Problem(
        f"{measured} The largest change is {change:.3f}, the budget {budget:.3f}.", mistake=_why_weak(learner, change)
    )


def _no_gradient(error, on_toy):
    """Which of three common slips left nothing to take a gradient of, or None."""
    unasked, no_leaf = "does not require grad" in str(error), "NoneType" in str(error)
    if not unasked and not no_leaf:
        return None
    try:
        on_toy(steps=1)
    except (RuntimeError, TypeError, AttributeError):
        return "never-asked" if unasked else None
    return "asked-once" if unasked else "no-leaf"


def _why_weak(learner, change):
    """Why a change within the rules does too little, found on a grey picture, where nothing is cut off."""
    grey, budget = torch.full((1, 3, 8, 8), 0.5), 0.1
    toy = _Toy(0)
    asked = grey.clone().requires_grad_()
    with capture(toy, "soft", stop=True) as acts:
        toy(asked)
    (gradient,) = torch.autograd.grad(acts["soft"][0, 1].mean(), asked)
    first = _returned(learner(toy, "soft", 1, grey.clone(), budget, 1)) - grey
    moved = first != 0
    if not moved.any():
        return "not-aimed"
    agree = float((first.sign() == gradient.sign())[moved].float().mean())
    if agree < 0.02:
        return "downhill"
    if agree < 0.98:
        return "not-aimed"
    size = first.abs()[moved]
    if change < 12 / 255 / 2:
        return "short-steps" if size.max() - size.min() < 1e-3 * size.max() else "bare-gradient"
    return "not-aimed"


FOOLING = CodeExercise(
    id="2.8",
    title="A picture that fools",
    stars=3,
    minutes=10,
    reference=fool,
    judge=_fool_judge,
    setup_source="from vizcourse.hooks import capture",
    hints=(
        "Start from your `ascend` of 2.1. Two things change: the step, and what is clamped after it.",
        "The step is `budget / 4 * gradient.sign()`: every value moves equally far, because a budget for each value is "
        "best used up by each.",
        "After the step: `change = (fooled - picture).clamp(-budget, budget)`, then `(picture + change).clamp(0, 1)`.",
    ),
    mistakes=(
        Mistake(
            "over-budget",
            "The picture has changed by more than the budget. Bounding each *step* is not enough, because steps add up: "
            "bound the whole change from the original, `(fooled - picture).clamp(-budget, budget)`.",
            _each_step_bounded,
        ),
        Mistake(
            "budget-ignored",
            "With a budget of 0.1 and with one of 0.02 your picture is the same: `budget` plays no part. Steps and bounds are "
            "both measured in it.",
            _larger_than_asked,
        ),
        Mistake(
            "outside",
            "Some values have left [0, 1], and a screen would cut them off: clamp the sum to [0, 1] last.",
            _outside_colours,
        ),
        Mistake(
            "in-place",
            "Your function changes the `picture` that it was given, so the original is lost, and with it what the change is "
            "measured from. Work on a copy, `fooled = picture.clone()`.",
            _in_place,
        ),
        Mistake(
            "unchanged",
            "The picture comes back as it was. Is the result of each step kept?",
            _unchanged,
        ),
        Mistake(
            "bare-gradient",
            "Your change is far below the budget: the gradient of a mean over thousands of pixels is tiny. Take its sign, so "
            "that every value uses up its budget.",
            _bare_gradient,
        ),
        Mistake(
            "short-steps",
            "Every value moves equally far and the right way, but all steps together stay far below the budget: take longer "
            "steps, budget / 4 for example.",
            _short_steps,
        ),
        Mistake(
            "downhill",
            "Each value of the first step goes against the gradient: the channel answers *less*. Step along it.",
            _downhill,
        ),
        Mistake(
            "one-step",
            "With eight steps your function runs the network no more often than with one. A gradient holds only close to where "
            "it was computed, so go on in small steps, each with a new one.",
            _one_large_step,
        ),
        Mistake(
            "whole-layer",
            "The channel plays no part: you raise the whole layer. Take `acts[layer][0, channel].mean()`.",
            _whole_layer_fooled,
        ),
        Mistake(
            "channel-ignored",
            "Your picture is the same for channel 1 and for channel 2, so the channel does not steer the change. Step along "
            "the gradient of `acts[layer][0, channel].mean()`.",
            _random_once,
        ),
        Mistake(
            "not-aimed",
            "The change keeps to the rules, and the channel does not outdo ordinary pictures. Is the gradient that of this "
            "channel's mean, computed anew at each step, and is the budget used up?",
            _random_signs,
        ),
        Mistake(
            "only-the-change",
            "What you return is no larger than the budget anywhere, so it looks like the change alone: add it to the picture.",
            _only_the_change,
        ),
        Mistake(
            "never-asked",
            "Nothing requires a gradient, already in the first step. The network's weights are frozen, so the picture has to "
            "be asked: `requires_grad_()` on your copy before the forward pass, and that pass outside `torch.no_grad()`.",
            _never_asked_to_fool,
        ),
        Mistake(
            "asked-once",
            "The first step works; from the second on nothing requires a gradient, because the new picture was detached. Begin "
            "each step with `fooled = fooled.detach().requires_grad_()`.",
            _asked_once_to_fool,
        ),
        Mistake(
            "no-leaf",
            "The first step works; then `.grad` is None, because the new picture is a result, and only leaves keep a `.grad`. "
            "Begin each step with `fooled = fooled.detach().requires_grad_()`, or use `torch.autograd.grad`.",
            _no_leaf_to_fool,
        ),
    ),
    unlisted=(
        lambda model, layer, channel, picture, budget=12 / 255, steps=10: picture[0],
        lambda model, layer, channel, picture, budget=12 / 255, steps=10: picture * float("nan"),
    ),
    insight="A unit that shouts proves nothing about what is in the picture.",
    used_next="The critiques below: visualizations themselves can be fooled, too.",
)

# --- 2.9 what would convince you ---------------------------------------------------------------------------------------

CONVINCING = ChoiceExercise(
    id="2.9",
    title="What would convince you?",
    stars=1,
    minutes=3,
    question="A colleague sends you a network, and the visualization of one of its units: dog faces. Which observation would "
    "convince you that this unit detects dogs in ordinary pictures?",
    options={
        "a": "Rendered from other starting noise, the picture shows dog faces again.",
        "b": "The rendered picture excites the unit more than any ordinary picture does.",
        "c": "Exchange the dog in ordinary pictures for something else and leave the rest: the unit falls silent. Put a dog "
        "into other pictures, and it answers.",
        "d": "With stronger regularisation, the dog faces become clearer still.",
    },
    correct="c",
    hints=(
        "Three of the four say something about rendered pictures only.",
        "Geirhos et al. (2024) built networks whose units answer to ordinary pictures as before, and show "
        "whatever the builder likes when they are visualized. Which of the four observations would expose such a network?",
    ),
    mistakes=(
        Mistake(
            "another-seed",
            "That shows that the optimisation finds the same thing again, not that ordinary pictures take the same "
            "way through the network. A prepared network would pass this test.",
            "a",
        ),
        Mistake(
            "high-value",
            "That is what the optimisation was asked for. In 2.8 you made a picture that outdoes ordinary ones "
            "and shows nothing of the kind: the value says that the climb worked, not what the unit is for.",
            "b",
        ),
        Mistake(
            "regularisation",
            "Regularisers put in what we find natural. The clearer the picture through them, the more of it is theirs.",
            "d",
        ),
    ),
    insight="A visualization is a hypothesis. The test is an intervention in ordinary pictures, with all else held fixed.",
    used_next="Every later lesson tests its explanations in this way.",
)

EXERCISES = (ASCENT, VARIATION, JITTER, FOURIER, LEGIBLE, ENCODED, FOOLING, CONVINCING, DIRECTION)
