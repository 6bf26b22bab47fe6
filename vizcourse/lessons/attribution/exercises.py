"""Exercises of lesson 03, Grad-CAM and attribution.

Written down before the mistakes were coded, what learners of attribution really do: take the gradient of the probability,
of the loss, of all classes at once, or of the top class whichever was asked for; pair every picture with every class; pool
over channels instead of places; forget the ReLU or put it before the sum; take the gradient at the picture only and call it
integrated; leave out the difference from the baseline, or count an end of the path twice; randomise the network they still
need; delete the least important pixels first; average a curve instead of integrating it; and take a map that lands on the
animal for a proof that the network knows the animal; score a map on the object it was asked for and forget to ask for the
other one; and leave a hook behind.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from vizcourse.exercises.core import AnswerExercise, ChoiceExercise, CodeExercise, Mistake, Problem, case
from vizcourse.hooks import capture


class _Toy(nn.Module):
    """A tiny network with random weights: two convolutions, so that gradients differ from place to place."""

    def __init__(self, seed, channels=4, classes=3):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv1 = nn.Conv2d(3, channels, 3, padding=1)
            self.relu1 = nn.ReLU()
            self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
            self.relu2 = nn.ReLU()
            self.fc = nn.Linear(channels, classes)
            for module in (self.conv1, self.conv2, self.fc):
                module.weight.data *= 3
        self.requires_grad_(False).eval()

    def forward(self, images):
        hidden = self.relu2(self.conv2(self.relu1(self.conv1(images))))
        return self.fc(hidden.mean(dim=(2, 3)))

    def __repr__(self):
        return "a small CNN with the layers 'conv1', 'relu1', 'conv2', 'relu2' and 'fc'"


def _batch(images):
    """What a network would say too: without the batch axis, values would only be right where there is one colour."""
    if images.ndim != 4:
        raise ValueError(f"score takes a batch of pictures, (N, C, H, W), and was given {tuple(images.shape)}")
    return images


class _Nested(nn.Module):
    """The same inside a block, so that some parts have a dot in their names."""

    def __init__(self, seed, channels=2, classes=2):
        super().__init__()
        self.features = _Toy(seed, channels, classes)

    def forward(self, images):
        return self.features(images)

    def __repr__(self):
        return "a small CNN with the parts 'features.conv1', 'features.conv2' and 'features.fc'"


class _Score:
    """One logit of a toy network, as a function of pictures: (N, 3, H, W) -> (N,)."""

    def __init__(self, seed, target):
        self.model, self.target = _Toy(seed), target

    def __call__(self, images):
        return self.model(_batch(images))[:, self.target]

    def __repr__(self):
        return f"the logit of class {self.target} of a small CNN"


class _Hinge:
    """max(0, total − 1): the function of exercise 3.4, for pictures of any shape."""

    def __call__(self, images):
        return (_batch(images).flatten(1).sum(1) - 1).relu()

    def __repr__(self):
        return "max(0, sum of all pixels − 1)"


class _Squares:
    """The sum of the squares of all values."""

    def __call__(self, images):
        return _batch(images).square().flatten(1).sum(1)

    def __repr__(self):
        return "the sum of the squares of all pixels"


# --- 3.1 activations and gradients -----------------------------------------------------------------------------------


def activations_and_gradients(model, images, classes, layer):
    """The layer's activations, and the gradients of each picture's own logit with respect to them: both (N, K, h, w)."""
    images = images.clone().requires_grad_()
    with capture(model, layer) as acts:
        logits = model(images)
    own = logits[torch.arange(len(classes)), classes]
    (gradients,) = torch.autograd.grad(own.sum(), acts[layer])
    return acts[layer].detach(), gradients


def _with_score(images_to_score):
    """A wrong solution of 3.1: right but for the number that is differentiated, a function of logits and classes."""

    def wrong(model, images, classes, layer):
        images = images.clone().requires_grad_()
        with capture(model, layer) as acts:
            logits = model(images)
        (gradients,) = torch.autograd.grad(images_to_score(logits, classes), acts[layer])
        return acts[layer].detach(), gradients

    return wrong


def _own(table, classes):
    return table[torch.arange(len(classes)), classes]


def _pixel_gradients(model, images, classes, layer):
    images = images.clone().requires_grad_()
    with capture(model, layer) as acts:
        logits = model(images)
    (gradients,) = torch.autograd.grad(_own(logits, classes).sum(), images)
    return acts[layer].detach(), gradients


def _nothing_asks(model, images, classes, layer):
    with capture(model, layer) as acts:
        logits = model(images)
    (gradients,) = torch.autograd.grad(_own(logits, classes).sum(), acts[layer])
    return acts[layer].detach(), gradients


def _another_tensor(model, images, classes, layer):
    with capture(model, layer) as acts:
        logits = model(images.clone().requires_grad_())
    activations = acts[layer].detach().requires_grad_()
    return activations, torch.autograd.grad(_own(logits, classes).sum(), activations)[0]


def _with_gradients(changed):
    """A wrong solution of 3.1: right but for what is done with the gradients."""

    def wrong(model, images, classes, layer):
        activations, gradients = activations_and_gradients(model, images, classes, layer)
        return activations, changed(activations, gradients)

    return wrong


def _no_grad_kept(model, images, classes, layer):
    """What `number.backward()` and `acts[layer].grad` give, without PyTorch's warning."""
    return activations_and_gradients(model, images, classes, layer)[0], None


def _gradients_first(model, images, classes, layer):
    return tuple(reversed(activations_and_gradients(model, images, classes, layer)))


def _only_gradients(model, images, classes, layer):
    return activations_and_gradients(model, images, classes, layer)[1]


def _hook_left(model, images, classes, layer):
    kept = {}
    model.get_submodule(layer).register_forward_hook(lambda module, inputs, output: kept.update(here=output))
    logits = model(images.clone().requires_grad_())
    (gradients,) = torch.autograd.grad(_own(logits, classes).sum(), kept["here"])
    return kept["here"].detach(), gradients


def _weights_ask(model, images, classes, layer):
    model.requires_grad_(True)
    return activations_and_gradients(model, images, classes, layer)


def _weights_filled(model, images, classes, layer):
    model.requires_grad_(True)
    with capture(model, layer) as acts:
        logits = model(images)
    acts[layer].retain_grad()
    _own(logits, classes).sum().backward()
    model.requires_grad_(False)
    return acts[layer].detach(), acts[layer].grad


def _left_on_training(model, images, classes, layer):
    model.train()
    return activations_and_gradients(model, images, classes, layer)


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _traces(function):
    """The judge of 3.1: is the network as it was, once the function has run?"""
    model = _Toy(5)
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(5))
    function(model, images, torch.tensor([0, 2]), "relu1")
    if any(getattr(module, hooks) for module in model.modules() for hooks in _HOOKS):
        return Problem(mistake="hook-left")
    if any(parameter.requires_grad for parameter in model.parameters()):
        return Problem(mistake="weights-ask")
    if any(parameter.grad is not None for parameter in model.parameters()):
        return Problem(mistake="weights-filled")
    if model.training:
        return Problem(mistake="training")
    return None


def _gradient_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    return [
        (_Toy(1), torch.rand(1, 3, 4, 4, generator=generator), torch.tensor([2]), "relu1"),
        (_Toy(2), torch.rand(2, 3, 5, 4, generator=generator), torch.tensor([0, 2]), "relu1"),
        (_Toy(3), torch.rand(3, 3, 6, 6, generator=generator), torch.tensor([1, 0, 1]), "conv1"),
        (_Toy(4), torch.rand(3, 3, 6, 6, generator=generator), torch.tensor([2, 1, 0]), "relu2"),
    ]


GRADIENTS = CodeExercise(
    id="3.1",
    title="Activations and gradients",
    stars=2,
    minutes=10,
    reference=activations_and_gradients,
    cases=_gradient_cases,
    setup_source="from vizcourse.hooks import capture",
    hints=(
        "The course's networks ask for no gradients of their weights, so let the *pictures* ask for them: "
        "`images = images.clone().requires_grad_()`. Then run `logits = model(images)` inside "
        "`with capture(model, layer) as acts:`.",
        "Each picture has its own class: `logits[torch.arange(len(classes)), classes]` picks one logit a picture. The sum of "
        "these is one number; no picture's logit depends on another picture, so the sum mixes nothing.",
        "`(gradients,) = torch.autograd.grad(number, acts[layer])` is the gradient with respect to the activations.",
    ),
    mistakes=(
        Mistake(
            "probability",
            "You differentiate the probability. Softmax makes it depend on *all* logits, and where the network is sure, its "
            "gradient is almost zero. Grad-CAM takes the logit, the number before the softmax.",
            _with_score(lambda logits, classes: _own(logits.softmax(1), classes).sum()),
        ),
        Mistake(
            "log-probability",
            "You differentiate the logarithm of the probability, which contains the other classes' logits too. Take the logit.",
            _with_score(lambda logits, classes: _own(logits.log_softmax(1), classes).sum()),
        ),
        Mistake(
            "loss",
            "You differentiate the loss. It falls where the class becomes more likely, so the sign is turned, and the other "
            "classes are mixed in. Take the logit of each picture's class.",
            _with_score(nn.functional.cross_entropy),
        ),
        Mistake(
            "every-class",
            "You add up the logits of all classes, so the map would be the same whichever class is asked for. Pick one logit "
            "a picture: `logits[torch.arange(len(classes)), classes]`.",
            _with_score(lambda logits, classes: logits.sum()),
        ),
        Mistake(
            "top-class",
            "You take each picture's largest logit. Asked for is the class in `classes`, which may be another one: that is "
            "how you get counterfactual maps later.",
            _with_score(lambda logits, classes: logits.amax(1).sum()),
        ),
        Mistake(
            "table",
            "`logits[:, classes]` takes all the classes from every picture, an N × N table. Pair them up: "
            "`logits[torch.arange(len(classes)), classes]`.",
            _with_score(lambda logits, classes: logits[:, classes].sum()),
        ),
        Mistake(
            "first-class",
            "Every picture is asked about the class of the first one. Pair each picture with its own class.",
            _with_score(lambda logits, classes: logits[:, classes[0]].sum()),
        ),
        Mistake(
            "mean",
            "You average the logits over the pictures, so each gradient is divided by N and depends on how many pictures "
            "stand beside it. Add them up.",
            _with_score(lambda logits, classes: _own(logits, classes).mean()),
        ),
        Mistake(
            "pixels",
            "These are gradients with respect to the *pixels*. Grad-CAM stops at the layer: "
            "`torch.autograd.grad(number, acts[layer])`.",
            _pixel_gradients,
        ),
        Mistake(
            "nothing-asks",
            "No gradients were recorded on the way to your score. The course's networks ask for none, and so a picture has to: "
            "begin with `images = images.clone().requires_grad_()`, and run the network on these. If you do, look for a "
            "`torch.no_grad()` around the pass or a `.detach()` after it.",
            _nothing_asks,
        ),
        Mistake(
            "another-tensor",
            "Your score was not computed from the tensor that you differentiate with respect to. Is that a copy of the "
            "layer's output (`.detach()`, `.clone()`)? Take `acts[layer]` itself, and detach it when you return it.",
            _another_tensor,
        ),
        Mistake(
            "no-grad-kept",
            "Your gradients are None: a tensor in the middle of a network keeps no `.grad` after `backward()`. Use "
            "`torch.autograd.grad(number, acts[layer])`, or call `acts[layer].retain_grad()` before `backward()`.",
            _no_grad_kept,
        ),
        Mistake(
            "pooled",
            "Your gradients are averaged over the places already: that is step 3. Here they keep the layer's shape.",
            lambda model, images, classes, layer: tuple(
                each if number == 0 else each.mean((2, 3))
                for number, each in enumerate(activations_and_gradients(model, images, classes, layer))
            ),
        ),
        Mistake(
            "absolute",
            "These are the gradients' absolute values. Keep their sign: it says which way the logit would go.",
            _with_gradients(lambda activations, gradients: gradients.abs()),
        ),
        Mistake(
            "positive-only",
            "You cut negative gradients off. Step 2 takes them as they are; the only ReLU of Grad-CAM comes in step 4.",
            _with_gradients(lambda activations, gradients: gradients.relu()),
        ),
        Mistake(
            "multiplied",
            "You multiply the gradients with the activations. Here the gradients stay as they are: the two meet in step 4.",
            _with_gradients(lambda activations, gradients: gradients * activations),
        ),
        Mistake("swapped", "The two are in the wrong order: the activations come first, then the gradients.", _gradients_first),
        Mistake("one-only", "You return the gradients alone; return both, `acts[layer], gradients`.", _only_gradients),
        Mistake(
            "hook-left",
            "The values are right, but a hook of yours is still on the network when your function is done: it would run at "
            "every later pass. Keep what `register_…_hook` gives you and call its `.remove()`, or use `capture`, which does.",
            _hook_left,
        ),
        Mistake(
            "weights-ask",
            "The values are right, but the network's weights want gradients now, and later cells pay for it. Let the pictures "
            "ask, or put it back with `model.requires_grad_(False)`.",
            _weights_ask,
        ),
        Mistake(
            "weights-filled",
            "The values are right, but `backward()` has filled the `.grad` of the network's weights, and the next call would "
            "add to it. `torch.autograd.grad(number, acts[layer])` leaves nothing behind.",
            _weights_filled,
        ),
        Mistake(
            "training",
            "The values are right, but you leave the network in training mode, in which dropout and batch normalization do "
            "something else: it comes in eval mode and is to stay there.",
            _left_on_training,
        ),
    ),
    judge=_traces,
    unlisted=(
        _with_score(lambda logits, classes: _own(logits, classes).square().sum()),
        _with_score(lambda logits, classes: _own(logits.relu(), classes).sum()),
        _with_score(lambda logits, classes: logits.amin(1).sum()),
    ),
    insight="One forward pass, and a backward pass that stops at the layer: the first two steps of Grad-CAM.",
    used_next="3.2 and 3.3 turn these two cubes into one map.",
)

# --- 3.2 importance weights ------------------------------------------------------------------------------------------


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
            lambda gradients: gradients.mean(dim=1),
        ),
        Mistake(
            "sum",
            "You add up; the formula divides by Z, the number of places, so that layers of different sizes can be compared.",
            lambda gradients: gradients.sum(dim=(2, 3)),
        ),
        Mistake(
            "over-pictures",
            "You average over the pictures as well. Each picture has weights of its own: the same channel may speak for the "
            "class in one picture and not matter in the next.",
            lambda gradients: gradients.mean(dim=(0, 2, 3)),
        ),
        Mistake(
            "everything",
            "You average over all axes, and give one number. Keep the pictures and the channels: `dim=(2, 3)`.",
            lambda gradients: gradients.mean(),
        ),
        Mistake(
            "largest",
            "You take the largest gradient of each channel (that is max pooling). The formula takes the mean over all places.",
            lambda gradients: gradients.amax(dim=(2, 3)),
        ),
        Mistake(
            "absolute-first",
            "You take absolute values before the mean, so a channel that speaks *against* the class looks like one in favour.",
            lambda gradients: gradients.abs().mean(dim=(2, 3)),
        ),
        Mistake(
            "absolute-last",
            "You drop the sign of the weight. A negative weight says that the channel speaks against the class: keep it.",
            lambda gradients: gradients.mean(dim=(2, 3)).abs(),
        ),
        Mistake(
            "positive-only",
            "You cut negative gradients off before the mean. The only ReLU of Grad-CAM comes at the very end, on the map.",
            lambda gradients: gradients.relu().mean(dim=(2, 3)),
        ),
        Mistake(
            "axes-kept",
            "The numbers are right, the shape is (N, K, 1, 1): leave `keepdim` out here.",
            lambda gradients: gradients.mean(dim=(2, 3), keepdim=True),
        ),
    ),
    unlisted=(
        lambda gradients: gradients.mean(dim=(2, 3)).relu(),
        lambda gradients: gradients.mean(dim=2),
        lambda gradients: gradients.flatten(2).median(2).values,
        lambda gradients: gradients.mean(dim=(2, 3)).softmax(1),
    ),
    insight="A channel's weight says how much the logit would rise, a place, if the channel were a little louder everywhere.",
    used_next="3.3 adds up the channels' maps with these weights.",
)

# --- 3.3 the heat map ------------------------------------------------------------------------------------------------


def heat_map(activations, gradients):
    """Grad-CAM's map: channels weighted by importance, added up, cut off below zero: 2 × (N, K, h, w) -> (N, h, w)."""
    weights = importance_weights(gradients)
    weighted = weights[:, :, None, None] * activations
    return weighted.sum(dim=1).relu()


def _weighted(activations, gradients):
    return gradients.mean(dim=(2, 3), keepdim=True) * activations


def _between_0_and_1(maps):
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-12)


def _over_its_largest(maps):
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)


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
            lambda activations, gradients: _weighted(activations, gradients).sum(1),
        ),
        Mistake(
            "relu-too-early",
            "Your ReLU comes before the sum over channels. Evidence for and against must be weighed up first, and only then "
            "cut off: `.sum(dim=1).relu()`.",
            lambda activations, gradients: _weighted(activations, gradients).relu().sum(1),
        ),
        Mistake(
            "positive-weights",
            "You cut the *weights* off below zero, so channels that speak against the class are left out of the sum. The ReLU "
            "goes on the finished map.",
            lambda activations, gradients: (gradients.mean(dim=(2, 3), keepdim=True).relu() * activations).sum(1).relu(),
        ),
        Mistake(
            "absolute",
            "You take the absolute value: a place that speaks against the class lights up like one that speaks for it. "
            "Use the ReLU.",
            lambda activations, gradients: _weighted(activations, gradients).sum(1).abs(),
        ),
        Mistake(
            "not-pooled",
            "You multiply each activation by its own gradient, place by place. That is another method (HiResCAM); Grad-CAM "
            "first averages a channel's gradients over all places, with `importance_weights`.",
            lambda activations, gradients: (gradients * activations).sum(1).relu(),
        ),
        Mistake(
            "exchanged",
            "Activations and gradients are exchanged: pool the *gradients* to weights, and add up the *activations*.",
            lambda activations, gradients: _weighted(gradients, activations).sum(1).relu(),
        ),
        Mistake(
            "mean-over-channels",
            "You average over the channels, the formula adds up: your map is too small by the number of channels.",
            lambda activations, gradients: _weighted(activations, gradients).mean(1).relu(),
        ),
        Mistake(
            "unweighted",
            "The gradients do not matter in your map, so it is the same for every class. Weight each channel first.",
            lambda activations, gradients: activations.sum(1).relu(),
        ),
        Mistake(
            "axis-kept",
            "The values are right, the shape is (N, 1, h, w): leave `keepdim` out, a map has no channel axis.",
            lambda activations, gradients: _weighted(activations, gradients).sum(1, keepdim=True).relu(),
        ),
        Mistake(
            "still-a-cube",
            "Your result still has a channel axis: add up over it, `dim=1`, before the ReLU.",
            lambda activations, gradients: _weighted(activations, gradients).relu(),
        ),
        Mistake(
            "normalised",
            "You stretch each map to the range from 0 to 1. Do that for the eye, when drawing; here it would hide that one "
            "map is strong and another is nothing.",
            lambda activations, gradients: _between_0_and_1(_weighted(activations, gradients).sum(1).relu()),
        ),
        Mistake(
            "divided-by-largest",
            "You divide each map by its largest value. Do that for the eye, when drawing; here it would hide that one map is "
            "strong and another is nothing.",
            lambda activations, gradients: _over_its_largest(_weighted(activations, gradients).sum(1).relu()),
        ),
    ),
    unlisted=(
        lambda activations, gradients: (gradients.sum(dim=(2, 3), keepdim=True) * activations).sum(1).relu(),
        lambda activations, gradients: _weighted(activations, gradients.abs()).sum(1).relu(),
        lambda activations, gradients: (-_weighted(activations, gradients).sum(1)).relu(),
        lambda activations, gradients: _weighted(activations, gradients).sum(1).sigmoid(),
        lambda activations, gradients: _weighted(activations, gradients).amax(1).relu(),
    ),
    insight="That is all of Grad-CAM: a weighted sum of feature maps that keeps what speaks for the class.",
    used_next="The next cell sets your map beside the library's, on a real network.",
)

# --- 3.4 integrated gradients by head --------------------------------------------------------------------------------


def hinge_attributions():
    """Integrated gradients of max(0, a + b − 1) from (0, 0) to (2, 1): the gradient is 1 on the last two thirds."""
    return (2 * 2 / 3, 1 * 2 / 3)


#: Wrong answers of 3.4 that have messages of their own, though they do not add up either.
_KNOWN_WRONG = ((2, 1), (2 / 3, 2 / 3), (0, 0), (2 / 3, 1 / 3), (1, 0.5))

BY_HEAD = AnswerExercise(
    id="3.4",
    title="Integrated gradients by head",
    stars=2,
    minutes=6,
    reference=hinge_attributions,
    tolerance=0.011,
    solution_source='answer("3.4", (4 / 3, 2 / 3))',
    hints=(
        "On the way the picture is (2α, α), and f is max(0, 3α − 1). For which α is the gradient (1, 1), and for which (0, 0)?",
        "The gradient is 1 from α = 1/3 on: its mean over the whole path is 2/3, for a and for b.",
        "Now multiply each mean by how far its pixel has moved. Test yourself: the two must add up to f(2, 1) − f(0, 0) = 2.",
    ),
    mistakes=(
        Mistake(
            "gradient-times-input",
            "That is the picture itself, or gradient × input with the gradient at the end of the path only. It adds up to 3, "
            "and f has risen by 2: on the first third of the path f did not move at all.",
            (2, 1),
        ),
        Mistake(
            "no-difference",
            "2/3 is the mean gradient, the same for both. Multiply it by how far each pixel has moved: by 2 for a, by 1 for b.",
            (2 / 3, 2 / 3),
        ),
        Mistake("equal", "Both get the same here. a has moved twice as far as b, along the same gradient.", (1, 1)),
        Mistake("swapped", "The right numbers, the wrong way round: a moves from 0 to 2, b from 0 to 1.", (2 / 3, 4 / 3)),
        Mistake(
            "baseline-gradient",
            "Zero is the gradient at the baseline, where f is flat. The path has a steep part as well.",
            (0, 0),
        ),
        Mistake(
            "adds-up-to-one",
            "These add up to 1, and f has risen by 2. Are they shares of the whole? Then hand in the amounts themselves. Or "
            "did you take the part of the path on which f is flat, its first third? The gradient is 1 on the other two thirds.",
            (2 / 3, 1 / 3),
        ),
        Mistake(
            "half",
            "You count a mean gradient of one half: as if it began half-way, or as the mean of its values at the two ends. It "
            "begins where a + b reaches 1, at 3α = 1.",
            (1, 0.5),
        ),
        Mistake(
            "rounded",
            "Nearly, but rounded too far: write fractions, or at least two decimals.",
            lambda value: len(value) == 2 and abs(value[0] - 4 / 3) < 0.04 and abs(value[1] - 2 / 3) < 0.04,
            example=(1.3, 0.7),
        ),
        Mistake(
            "text",
            "These are texts, not numbers. Leave the quotation marks out: Python works out `4 / 5` by itself.",
            lambda value: isinstance(value, str | list | tuple) and any(isinstance(each, str) for each in value),
            example=("4/5", "1/5"),
        ),
        Mistake(
            "total",
            "These do not add up to f(2, 1) − f(0, 0) = 2, as the completeness of integrated gradients demands.",
            lambda value: len(value) == 2 and abs(sum(value) - 2) > 0.02 and tuple(value) not in _KNOWN_WRONG,
            example=(3, 1),
        ),
    ),
    unlisted=((1.5, 0.5), (2, 0), (0.5, 1.5)),
    insight="Flat stretches count for nothing, so the attributions add up to exactly what f has gained: completeness.",
    used_next="3.5 does the same for a network, where no one can find the kinks by head.",
)

# --- 3.5 integrated gradients ----------------------------------------------------------------------------------------


def integrated_gradients_of(score, image, baseline, steps=50):
    """Mean gradient at the midpoints of `steps` pieces of the path, times the way from baseline to image: like image."""
    total = torch.zeros_like(image)
    for step in range(steps):
        share = (step + 0.5) / steps
        point = (baseline + share * (image - baseline)).requires_grad_()
        (gradient,) = torch.autograd.grad(score(point[None]).sum(), point)
        total = total + gradient
    return (image - baseline) * total / steps


def _mean_gradient(score, image, baseline, shares):
    gradients = []
    for share in shares:
        point = (baseline + share * (image - baseline)).requires_grad_()
        gradients.append(torch.autograd.grad(score(point[None]).sum(), point)[0])
    return torch.stack(gradients).mean(0)


def _midpoints(steps):
    return [(step + 0.5) / steps for step in range(steps)]


def _no_difference(score, image, baseline, steps=50):
    return _mean_gradient(score, image, baseline, _midpoints(steps))


def _times_image(score, image, baseline, steps=50):
    return image * _mean_gradient(score, image, baseline, _midpoints(steps))


def _backwards(score, image, baseline, steps=50):
    return (baseline - image) * _mean_gradient(score, image, baseline, _midpoints(steps))


def _left_ends(score, image, baseline, steps=50):
    return (image - baseline) * _mean_gradient(score, image, baseline, [step / steps for step in range(steps)])


def _right_ends(score, image, baseline, steps=50):
    return (image - baseline) * _mean_gradient(score, image, baseline, [(step + 1) / steps for step in range(steps)])


def _both_ends(score, image, baseline, steps=50):
    return (image - baseline) * _mean_gradient(score, image, baseline, torch.linspace(0, 1, steps).tolist())


def _both_ends_and_one_more(score, image, baseline, steps=50):
    return (image - baseline) * _mean_gradient(score, image, baseline, torch.linspace(0, 1, steps + 1).tolist())


def _not_divided(score, image, baseline, steps=50):
    return steps * integrated_gradients_of(score, image, baseline, steps)


def _at_the_image(score, image, baseline, steps=50):
    return (image - baseline) * _mean_gradient(score, image, baseline, [1.0])


def _from_black(score, image, baseline, steps=50):
    return (image - baseline) * _mean_gradient(score, image, torch.zeros_like(image), _midpoints(steps))


def _absolute_gradients(score, image, baseline, steps=50):
    return integrated_gradients_of(score, image, baseline, steps).abs()


def _channels_added(score, image, baseline, steps=50):
    return integrated_gradients_of(score, image, baseline, steps).sum(0)


def _always_fifty(score, image, baseline, steps=50):
    return integrated_gradients_of(score, image, baseline, 50)


def _no_batch_axis(score, image, baseline, steps=50):
    return integrated_gradients_of(lambda points: score(points[0])[None], image, baseline, steps)


def _point_does_not_ask(score, image, baseline, steps=50):
    point = baseline + 0.5 / steps * (image - baseline)
    return torch.autograd.grad(score(point[None]).sum(), point)


def _trapezoids(score, image, baseline, steps=50):
    left, right = _left_ends(score, image, baseline, steps), _right_ends(score, image, baseline, steps)
    return (left + right) / 2


def _path_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator)

    return [
        (_Hinge(), torch.tensor([[[2.0, 1.0]]]), torch.zeros(1, 1, 2), 10),
        (_Squares(), torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[1.0, -1.0]]]), 4),
        (_Hinge(), torch.tensor([[[1.0, 0.0]], [[1.0, 0.5]]]), torch.tensor([[[0.25, 0.5]], [[0.0, 0.0]]]), 5),
        (_Score(5, 1), rand(3, 4, 4), 0.3 * rand(3, 4, 4), 3),
        case(_Score(6, 2), rand(3, 5, 5), torch.zeros(3, 5, 5), steps=7),
        (_Score(7, 0), rand(3, 5, 4), torch.full((3, 5, 4), 0.5)),
    ]


INTEGRATED = CodeExercise(
    id="3.5",
    title="Integrated gradients",
    stars=2,
    minutes=10,
    reference=integrated_gradients_of,
    cases=_path_cases,
    hints=(
        "Piece number `step` of the path lies between step/steps and (step + 1)/steps. Where is its midpoint?",
        "At each midpoint: `point = (baseline + share * (image - baseline)).requires_grad_()`, then "
        "`torch.autograd.grad(score(point[None]).sum(), point)`.",
        "Average the gradients over the steps, and multiply by (image − baseline) once, at the end.",
    ),
    mistakes=(
        Mistake(
            "no-difference",
            "This is the mean gradient: what it would bring to change a pixel by 1. Multiply by how far the pixel really "
            "moves, image − baseline.",
            _no_difference,
        ),
        Mistake(
            "times-image",
            "You multiply by the image instead of image − baseline. With a black baseline that is the same; with any other the "
            "attributions no longer add up to the change of the score.",
            _times_image,
        ),
        Mistake("backwards", "The sign is turned: the way goes from the baseline to the image, image − baseline.", _backwards),
        Mistake(
            "left-ends",
            "You take each piece's left end, share = step/steps. That counts the baseline, and never the image. Take the "
            "middle: (step + 0.5)/steps.",
            _left_ends,
        ),
        Mistake(
            "right-ends",
            "You take each piece's right end, share = (step + 1)/steps. That counts the image, and never the baseline. Take "
            "the middle: (step + 0.5)/steps.",
            _right_ends,
        ),
        Mistake(
            "both-ends",
            "`linspace(0, 1, steps)` puts a point at both ends of the path and gives each a full share, so the ends count "
            "twice what they should. Take the middles of the pieces: (step + 0.5)/steps.",
            _both_ends,
        ),
        Mistake(
            "one-more",
            "These are steps + 1 points with both ends at full weight: the ends count twice what they should. Take the middles "
            "of the pieces: (step + 0.5)/steps.",
            _both_ends_and_one_more,
        ),
        Mistake("not-divided", "You add the gradients up and do not divide by the number of steps.", _not_divided),
        Mistake(
            "at-the-image",
            "This takes the gradient at the image only (gradient × input). The point of the method is the *path*: there are "
            "gradients on it where the network is not yet saturated.",
            _at_the_image,
        ),
        Mistake(
            "from-black",
            "Your path begins at black whatever the baseline is: a point of it is baseline + share · (image − baseline).",
            _from_black,
        ),
        Mistake(
            "absolute",
            "You take absolute values. Attributions have a sign, and only with it do they add up to the change of the score.",
            _absolute_gradients,
        ),
        Mistake(
            "channels-added",
            "You add up the colour channels. That is how one draws the map; here keep the shape of the image.",
            _channels_added,
        ),
        Mistake(
            "no-batch-axis",
            "`score` takes a batch of pictures, and yours is one picture without the batch axis: `score(point[None])`.",
            _no_batch_axis,
        ),
        Mistake(
            "nothing-asks",
            "No gradients were recorded on the way to your score. The network asks for none, so your point has to: "
            "`point = (baseline + share * (image - baseline)).requires_grad_()`. If it does, look for a `torch.no_grad()` "
            "around the score or a `.detach()` after it.",
            _point_does_not_ask,
        ),
        Mistake(
            "halves-at-the-ends",
            "These are steps + 1 points with half weight at both ends, the trapezoid rule: a good one, but not the one that is "
            "asked for. Take the middles of the pieces: (step + 0.5)/steps.",
            _trapezoids,
        ),
        Mistake("always-fifty", "The argument `steps` has no effect: you always take 50.", _always_fifty),
    ),
    unlisted=(
        lambda score, image, baseline, steps=50: (image - baseline) * _mean_gradient(score, image, baseline, [0.5]),
        lambda score, image, baseline, steps=50: (image - baseline) * _mean_gradient(score, image, baseline, [0.0]),
        lambda score, image, baseline, steps=50: integrated_gradients_of(score, image, baseline, steps).relu(),
    ),
    insight="The attributions of all pixels add up to score(image) − score(baseline): check that in one line, always.",
    used_next="The next cell checks completeness, and shows how many steps it takes.",
)

# --- 3.6 the cascade -------------------------------------------------------------------------------------------------


def cascade_of(model, blocks, randomize):
    """The network, then copies with the first of the blocks random, the first two, … all: len(blocks) + 1 networks."""
    networks = [copy.deepcopy(model)]
    for block in blocks:
        network = copy.deepcopy(networks[-1])
        randomize(network.get_submodule(block))
        networks.append(network)
    return networks


def _from_the_bottom(model, blocks, randomize):
    return cascade_of(model, list(reversed(blocks)), randomize)


def _one_block_each(model, blocks, randomize):
    networks = [copy.deepcopy(model)]
    for block in blocks:
        networks.append(copy.deepcopy(model))
        randomize(networks[-1].get_submodule(block))
    return networks


def _no_copies(model, blocks, randomize):
    networks = [model]
    for block in blocks:
        randomize(model.get_submodule(block))
        networks.append(model)
    return networks


def _copied_afterwards(model, blocks, randomize):
    networks = [copy.deepcopy(model)]
    for block in blocks:
        randomize(model.get_submodule(block))
        networks.append(copy.deepcopy(model))
    return networks


def _without_the_intact(model, blocks, randomize):
    return cascade_of(model, blocks, randomize)[1:]


def _without_the_last(model, blocks, randomize):
    return cascade_of(model, blocks, randomize)[:-1]


def _everything_at_once(model, blocks, randomize):
    networks = [copy.deepcopy(model)]
    for _ in blocks:
        networks.append(copy.deepcopy(model))
        for block in blocks:
            randomize(networks[-1].get_submodule(block))
    return networks


def _randomised_too_early(model, blocks, randomize):
    networks = [copy.deepcopy(model)]
    for block in blocks:
        randomize(networks[-1].get_submodule(block))
        networks.append(copy.deepcopy(networks[-1]))
    return networks


def _by_getattr(model, blocks, randomize):
    networks = [copy.deepcopy(model)]
    for block in blocks:
        network = copy.deepcopy(networks[-1])
        randomize(getattr(network, block))
        networks.append(network)
    return networks


def _random_first(model, blocks, randomize):
    return list(reversed(cascade_of(model, blocks, randomize)))


def fresh_weights(module):
    """Random weights in place of those of a module; the same module always gets the same ones."""
    with torch.no_grad():
        for parameter in module.parameters():
            generator = torch.Generator().manual_seed(parameter.numel())
            parameter.copy_(torch.randn(parameter.shape, generator=generator))


def _cascade_cases(seed):
    return [
        (_Toy(1, channels=2, classes=2), ["fc"], fresh_weights),
        (_Toy(2, channels=2, classes=3), ["fc", "conv2", "conv1"], fresh_weights),
        (_Toy(3, channels=3, classes=2), ["fc", "conv2", "conv1"], fresh_weights),
        (_Nested(4, channels=3), ["features.fc", "features.conv2"], fresh_weights),
    ]


CASCADE = CodeExercise(
    id="3.6",
    title="A cascade of random blocks",
    stars=2,
    minutes=8,
    reference=cascade_of,
    cases=_cascade_cases,
    setup_source="import copy",
    hints=(
        "Begin with a list that holds a copy of the trained network. Loop over the blocks, and append one network at each.",
        "`copy.deepcopy(network)` makes a network that shares nothing with the old one; `network.get_submodule(name)` is a "
        "block of it.",
        "Each network is a copy of the one *before* it, `networks[-1]`, with one more block made random.",
    ),
    mistakes=(
        Mistake(
            "from-the-bottom",
            "You begin at the input, at the end of the list. A random first layer spoils everything behind it at once; the "
            "cascade begins at the output, so that you see how deep a method looks. Take the blocks in their order.",
            _from_the_bottom,
        ),
        Mistake(
            "one-block-each",
            "Each of your networks has *one* random block. That is the independent test; in the cascade the blocks above stay "
            "random: copy the network before it, not the trained one.",
            _one_block_each,
        ),
        Mistake(
            "no-copies",
            "All entries of your list are random from top to bottom, the first one too: it is one network that stands in the "
            "list several times, or copies that share their weights. `append` copies nothing, and `copy.copy` copies no "
            "weights: make a `copy.deepcopy` of the network before it at each step, and randomise that.",
            _no_copies,
        ),
        Mistake(
            "model-spoilt",
            "The copies are right, but the model that was passed in is random now, and later cells still need it. Randomise a "
            "copy, never the original.",
            _copied_afterwards,
        ),
        Mistake(
            "intact-missing",
            "The trained network itself is missing. It comes first: every comparison is with it.",
            _without_the_intact,
        ),
        Mistake("last-missing", "The last network is missing, the one in which all blocks are random.", _without_the_last),
        Mistake(
            "all-at-once",
            "From the second network on, all blocks are random in each. Either you randomise all of them at every step, or the "
            "same copy stands in the list several times: `append` copies nothing. Make a new `copy.deepcopy` of the network "
            "before it at each step, and randomise one more block of that.",
            _everything_at_once,
        ),
        Mistake(
            "randomised-too-early",
            "The first network of your list has lost its first block already, and the last two are the same: you randomise the "
            "last network of the list, and then copy it. Copy first, then randomise the copy.",
            _randomised_too_early,
        ),
        Mistake(
            "dotted-name",
            "A part inside a part has a dot in its name, such as `inception4a.branch1`, and `getattr` does not know what that "
            "means. `network.get_submodule(name)` does.",
            _by_getattr,
        ),
        Mistake("order", "The list is back to front: begin with the trained network, end with the random one.", _random_first),
    ),
    unlisted=(
        lambda model, blocks, randomize: [copy.deepcopy(model) for _ in range(len(blocks) + 1)],
        lambda model, blocks, randomize: [copy.deepcopy(model), *_from_the_bottom(model, blocks, randomize)[:-1]],
        lambda model, blocks, randomize: cascade_of(model, blocks, randomize)[-1],
    ),
    insight="The further down you go, the less the network knows. A map that does not notice cannot tell you what it knows.",
    used_next="The cascade widget does this for every method at once.",
)

# --- 3.7 which of five methods fails the sanity check? ---------------------------------------------------------------

#: The methods behind the letters of exercise 3.7, by their names in ``vizcourse.methods.attribution.METHODS``.
FIVE_METHODS = {
    "a": "gradient",
    "b": "integrated gradients",
    "c": "guided backprop",
    "d": "Grad-CAM",
    "e": "SmoothGrad",
}

FIVE = ChoiceExercise(
    id="3.7",
    title="Which of the five fails?",
    stars=1,
    minutes=4,
    question="Five methods explain the same answer. In the upper row the network is the trained one; in the lower row its "
    "upper blocks have been made random, and it knows nothing any more. Which method fails the sanity check most plainly?",
    options={
        "a": "method a",
        "b": "method b",
        "c": "method c",
        "d": "method d",
        "e": "method e",
    },
    correct="c",
    hints=(
        "A map that explains what the network has learned must change when the network has forgotten it. Compare upper with "
        "lower, not one method with another.",
        "Which of the five could you not tell apart if the two maps were exchanged? The number is the rank correlation of the "
        "two: 1 is no change at all.",
    ),
    mistakes=(
        Mistake(
            "noisy",
            "Method a is noisy, but noise is not the question: its map for the random network is another one. (This is the "
            "plain gradient. Look also at how much of the picture's outline stays: not nothing.)",
            "a",
        ),
        Mistake(
            "multiplied",
            "Method b (integrated gradients) changes, though bright parts of the picture shine through: it multiplies with the "
            "pixels. There is one that changes far less.",
            "b",
        ),
        Mistake(
            "coarse",
            "Method d is coarse and may miss the object, but upper and lower row have nothing in common: that is how a map "
            "passes. (This is Grad-CAM. In the random network nothing speaks for the class, so its map is empty.)",
            "d",
        ),
        Mistake(
            "smooth",
            "Method e (SmoothGrad) is tidier than the plain gradient, and it does change. There is one that changes far less.",
            "e",
        ),
    ),
    insight="Method c is guided backprop: the sharpest of the maps is the one that cares least about what was learned.",
    used_next="The cascade widget and the table behind it show how far each method falls, block by block.",
)

# --- 3.8 energy inside the mask --------------------------------------------------------------------------------------


def energy_inside(maps, masks):
    """Share of each map's positive values that lies on the object: maps and masks (N, H, W) -> (N,)."""
    positive = maps.relu()
    inside = (positive * masks).sum(dim=(1, 2))
    return inside / positive.sum(dim=(1, 2))


def _energy_cases(seed):
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
    cases=_energy_cases,
    hints=(
        "Cut negative values off with `.relu()`. A mask of True and False can be multiplied with: it counts as 1 and 0.",
        "Two sums over rows and columns, `dim=(1, 2)`: inside, and everywhere. Divide.",
    ),
    mistakes=(
        Mistake(
            "negative",
            "Negative values are still in your sums. They say that a place speaks against the class, and can push the share "
            "below 0 or above 1: cut them off first.",
            lambda maps, masks: (maps * masks).sum((1, 2)) / maps.sum((1, 2)),
        ),
        Mistake(
            "absolute",
            "You count negative values as if they spoke for the class (absolute value). Cut them off with `.relu()`.",
            lambda maps, masks: (maps.abs() * masks).sum((1, 2)) / maps.abs().sum((1, 2)),
        ),
        Mistake(
            "mean-inside",
            "You divide by the size of the mask: that is the mean of the map on the object. Divide by the total of the map, so "
            "that the share lies between 0 and 1.",
            lambda maps, masks: (maps.relu() * masks).sum((1, 2)) / masks.sum((1, 2)),
        ),
        Mistake(
            "counted",
            "You count pixels. A pixel counts as much as its value: add up the values.",
            lambda maps, masks: ((maps > 0) & masks).sum((1, 2)) / (maps > 0).sum((1, 2)),
        ),
        Mistake(
            "all-at-once",
            "You add up over all pictures, and give one number. Each picture gets its own share: `.sum(dim=(1, 2))`.",
            lambda maps, masks: (maps.relu() * masks).sum() / maps.relu().sum(),
        ),
        Mistake(
            "mean-over-pictures",
            "You give the mean over all pictures. Each picture gets its own share: the interval comes from these.",
            lambda maps, masks: energy_inside(maps, masks).mean(),
        ),
        Mistake(
            "inside-to-outside",
            "You divide by what lies *outside*. Divide by the total, inside and outside.",
            lambda maps, masks: (maps.relu() * masks).sum((1, 2)) / (maps.relu() * ~masks).sum((1, 2)),
        ),
        Mistake(
            "outside",
            "This is the share *outside* the object.",
            lambda maps, masks: (maps.relu() * ~masks).sum((1, 2)) / maps.relu().sum((1, 2)),
        ),
        Mistake(
            "pointing-game",
            "This is the pointing game: does the highest point lie on the object? Here the whole map counts.",
            lambda maps, masks: masks.flatten(1).gather(1, maps.flatten(1).argmax(1, keepdim=True))[:, 0].float(),
        ),
        Mistake(
            "not-divided",
            "You give the energy inside, not its share: divide by the total of each map.",
            lambda maps, masks: (maps.relu() * masks).sum((1, 2)),
        ),
        Mistake(
            "total-with-negatives",
            "The negative values are cut off above the line and still there below it: use the same positive map in both sums.",
            lambda maps, masks: (maps.relu() * masks).sum((1, 2)) / maps.sum((1, 2)),
        ),
    ),
    unlisted=(
        lambda maps, masks: (maps.relu() * masks).mean((1, 2)) / maps.relu().amax(dim=(1, 2)),
        lambda maps, masks: masks.float().mean((1, 2)),
        lambda maps, masks: (maps.square() * masks).sum((1, 2)) / maps.square().sum((1, 2)),
    ),
    insight="An even map gets the object's share of the picture: that, and not zero, is what a method has to beat.",
    used_next="The big table scores every method in this way, over hundreds of pictures.",
)

# --- 3.9 deletion ----------------------------------------------------------------------------------------------------


def deletion_score(score, image, saliency, fill, steps=16):
    """Area under the curve of `score` while pixels are replaced by those of `fill`, the most salient ones first."""
    order = saliency.flatten().argsort(descending=True)
    damaged = image.clone()
    curve = [score(damaged[None])[0]]
    for batch in order.chunk(steps):
        damaged.flatten(1)[:, batch] = fill.flatten(1)[:, batch]
        curve.append(score(damaged[None])[0])
    curve = torch.stack(curve)
    return (curve.sum() - curve[0] / 2 - curve[-1] / 2) / steps


def _deletion_curve(score, image, saliency, fill, steps, *, cumulative=True):
    order = saliency.flatten().argsort(descending=True)
    damaged, curve = image.clone(), [score(image[None])[0]]
    for batch in order.chunk(steps):
        damaged = damaged if cumulative else image.clone()
        damaged.flatten(1)[:, batch] = fill.flatten(1)[:, batch]
        curve.append(score(damaged[None])[0])
    return torch.stack(curve)


def _ascending(score, image, saliency, fill, steps=16):
    return deletion_score(score, image, -saliency, fill, steps)


def _one_batch_at_a_time(score, image, saliency, fill, steps=16):
    return torch.trapezoid(_deletion_curve(score, image, saliency, fill, steps, cumulative=False)) / steps


def _without_the_whole_picture(score, image, saliency, fill, steps=16):
    return torch.trapezoid(_deletion_curve(score, image, saliency, fill, steps)[1:]) / (steps - 1)


def _mean_of_the_curve(score, image, saliency, fill, steps=16):
    return _deletion_curve(score, image, saliency, fill, steps).mean()


def _not_divided_by_steps(score, image, saliency, fill, steps=16):
    return deletion_score(score, image, saliency, fill, steps) * steps


def _divided_by_points(score, image, saliency, fill, steps=16):
    return deletion_score(score, image, saliency, fill, steps) * steps / (steps + 1)


def _left_rectangles(score, image, saliency, fill, steps=16):
    return _deletion_curve(score, image, saliency, fill, steps)[:-1].mean()


def _right_rectangles(score, image, saliency, fill, steps=16):
    return _deletion_curve(score, image, saliency, fill, steps)[1:].mean()


def _always_black(score, image, saliency, fill, steps=16):
    return deletion_score(score, image, saliency, torch.zeros_like(fill), steps)


def _first_channel_deleted(score, image, saliency, fill, steps=16):
    return deletion_score(score, image, saliency, torch.cat([fill[:1], image[1:]]), steps)


def _absolute_saliency(score, image, saliency, fill, steps=16):
    return deletion_score(score, image, saliency.abs(), fill, steps)


def _picture_spoilt(score, image, saliency, fill, steps=16):
    area = deletion_score(score, image, saliency, fill, steps)
    image.copy_(fill)
    return area


def _ends_left_out(score, image, saliency, fill, steps=16):
    return _deletion_curve(score, image, saliency, fill, steps)[1:-1].sum() / steps


def _deletion_without_batch(score, image, saliency, fill, steps=16):
    return deletion_score(lambda pictures: score(pictures[0])[None], image, saliency, fill, steps)


def _deletion_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator)

    return [
        (_Squares(), torch.tensor([[[3.0, 1.0, 2.0, 2.0]]]), torch.tensor([[4.0, 3.0, 2.0, 1.0]]), torch.zeros(1, 1, 4), 4),
        (_Squares(), rand(2, 2, 4), torch.randn(2, 4, generator=generator), 0.5 * rand(2, 2, 4), 4),
        (_Score(8, 1), rand(3, 4, 4), torch.randn(4, 4, generator=generator), torch.full((3, 4, 4), 0.5), 8),
        (_Score(9, 0), rand(3, 4, 8), torch.randn(4, 8, generator=generator), rand(3, 4, 8)),
    ]


DELETION = CodeExercise(
    id="3.9",
    title="Deletion",
    stars=3,
    minutes=12,
    reference=deletion_score,
    cases=_deletion_cases,
    hints=(
        "`saliency.flatten().argsort(descending=True)` gives the numbers of the pixels, the most salient first; "
        "`.chunk(steps)` cuts them into equal batches.",
        "Work on one copy, `damaged = image.clone()`. `damaged.flatten(1)[:, batch] = fill.flatten(1)[:, batch]` replaces a "
        "batch of pixels in all colours, and what has been deleted stays deleted.",
        "The curve has steps + 1 points, the first for the whole picture. Trapezoids: add everything up, take half of the "
        "first and half of the last off, divide by `steps`.",
    ),
    mistakes=(
        Mistake(
            "ascending",
            "You delete the *least* salient pixels first (or put the most salient ones *in*, which gives the same area). "
            "Deletion begins with the whole picture and takes those out that the map thinks most of: `descending=True`.",
            _ascending,
        ),
        Mistake(
            "one-batch-at-a-time",
            "Each batch comes back before the next one goes. What is deleted stays deleted: go on with the same copy.",
            _one_batch_at_a_time,
        ),
        Mistake(
            "whole-picture-missing",
            "Your curve begins after the first deletion. Its first point is the score of the whole picture.",
            _without_the_whole_picture,
        ),
        Mistake(
            "mean",
            "This is the mean of all points, in which both ends have full weight. In the trapezoid rule the first and the last "
            "point count half.",
            _mean_of_the_curve,
        ),
        Mistake(
            "curve",
            "You return the whole curve, steps + 1 numbers. Asked is the area under it, one number.",
            lambda score, image, saliency, fill, steps=16: _deletion_curve(score, image, saliency, fill, steps),
        ),
        Mistake(
            "not-divided",
            "The trapezoids are right, but each is 1 wide, so the area grows with the number of steps. Divide by `steps`.",
            _not_divided_by_steps,
        ),
        Mistake(
            "divided-by-points",
            "You divide by the number of points, steps + 1. Between them are only `steps` trapezoids.",
            _divided_by_points,
        ),
        Mistake(
            "left-rectangles",
            "These are rectangles as high as their left end. The trapezoid rule takes the mean of both ends.",
            _left_rectangles,
        ),
        Mistake(
            "right-rectangles",
            "These are rectangles as high as their right end (or the whole picture is missing from the mean). The trapezoid "
            "rule takes the mean of both ends.",
            _right_rectangles,
        ),
        Mistake(
            "ends-left-out",
            "The first and the last point are left out altogether. They count half.",
            _ends_left_out,
        ),
        Mistake(
            "always-black",
            "Your deleted pixels become black. Take their values from `fill`: black may be a strong signal for a network.",
            _always_black,
        ),
        Mistake(
            "one-colour",
            "Only the first colour channel is deleted. A deleted pixel loses all of its channels: `[:, batch]`.",
            _first_channel_deleted,
        ),
        Mistake(
            "absolute",
            "You sort by absolute value. A strongly *negative* pixel speaks against the class: it is the last to be deleted.",
            _absolute_saliency,
        ),
        Mistake(
            "no-batch-axis",
            "`score` takes a batch of pictures, and yours is one picture without the batch axis: `score(damaged[None])[0]`.",
            _deletion_without_batch,
        ),
        Mistake(
            "picture-spoilt",
            "The area is right, but the picture itself is deleted now, and the next method gets a damaged one. Work on a copy: "
            "`damaged = image.clone()`.",
            _picture_spoilt,
        ),
    ),
    unlisted=(
        lambda score, image, saliency, fill, steps=16: _deletion_curve(score, image, saliency, fill, steps)[-1],
        lambda score, image, saliency, fill, steps=16: 1 - deletion_score(score, image, saliency, fill, steps),
        lambda score, image, saliency, fill, steps=16: deletion_score(score, image, saliency.T.reshape(-1), fill, steps),
    ),
    insight="A small area means that the first pixels to go were the ones the answer stood on, at least for damaged pictures.",
    used_next="In the table it is set against insertion, and against a random map.",
)

# --- 3.10 the biased network (in the paint lab) ----------------------------------------------------------------------

#: An edit counts when it leaves the animal alone and is small, as shares of the animal and of the picture.
MOST_TOUCHED, MOST_CHANGED = 0.02, 0.25
#: An answer that stays, but whose lead falls by this share, has lost something.
LOSS = 0.25


def _bias_diagnosis(value):
    """The name of the mistake in an edit of the paint lab, None if there is none that has a name."""
    lead, left = value["lead"]
    stays = value["before"] == value["after"]
    if value["changed"] == 0:
        return "nothing"
    if value["touched"] > MOST_TOUCHED:
        return "animal"
    if value["changed"] > MOST_CHANGED:
        return "too-much"
    if value["network"] == "A":
        return "honest" if stays else None
    if stays:
        if left < (1 - LOSS) * lead:
            return "partly"
        return "unmoved" if value["before"] == "dog" else "unmoved-cat"
    return None if value["cue"] else "elsewhere"


def _bias_judge(value):
    if not isinstance(value, dict) or not {"network", "changed", "touched", "before", "after", "lead", "cue"} <= set(value):
        return 'Pass the paint lab itself: `answer("3.10", hans)`.'
    measured = (
        f"Network {value['network']}: {value['changed']:.0%} of the picture changed, {value['touched']:.0%} of the animal"
    )
    measured += " touched."
    mistake = _bias_diagnosis(value)
    if mistake == "nothing":
        return Problem(mistake=mistake)
    if mistake in ("honest", "partly", "unmoved", "unmoved-cat"):
        lead, left = value["lead"]
        measured += f" The logit of {value['before']} led by {lead:.1f} before the edit, and leads by {left:.1f} after it."
    if mistake:
        return Problem(measured, mistake=mistake)
    if value["network"] == "A":
        return f"An odd find: here A turns as well. Does it also turn on other pictures? Try network B. {measured}"
    return None


def _edit(network="B", changed=0.1, touched=0.0, before="dog", after="cat", lead=(6.0, -3.0), cue=1.0):
    return {
        "network": network,
        "changed": changed,
        "touched": touched,
        "before": before,
        "after": after,
        "lead": lead,
        "cue": cue,
    }


BIAS = AnswerExercise(
    id="3.10",
    title="Catch the Clever Hans",
    stars=2,
    minutes=8,
    judge=_bias_judge,
    blank=lambda value: isinstance(value, dict) and value.get("tool") == "nothing",
    setup_source="from vizcourse.lessons.attribution.widgets import suspects\nhans = suspects()",
    solution_source=(
        'hans.set(network="B", picture=0, tool="erase", across=50, down=16, width=64, height=26)\nanswer("3.10", hans)'
    ),
    hints=(
        "Compare the maps of A and B on a dog, then on a cat. Where does one of them look that is not the animal?",
        "Put the frame there with *across*, *down*, *width* and *height*, choose *erase*, and watch the two logits.",
        "Every dog has something at the top of its picture, and no cat has.",
    ),
    mistakes=(
        Mistake(
            "animal",
            "You have painted over the animal. That may change any network's answer, and an honest one's most of all: leave "
            "the animal alone.",
            lambda value: _bias_diagnosis(value) == "animal",
            example=_edit(touched=0.4),
        ),
        Mistake(
            "too-much",
            "You have changed more than a quarter of the picture. The cue is small: find it with a smaller frame.",
            lambda value: _bias_diagnosis(value) == "too-much",
            example=_edit(changed=0.5),
        ),
        Mistake(
            "honest",
            "This edit leaves A's answer as it is. One edit clears nobody, but the other suspect is still to be tried: do the "
            "same on network B.",
            lambda value: _bias_diagnosis(value) == "honest",
            example=_edit(network="A", after="dog", lead=(6.0, 5.9)),
        ),
        Mistake(
            "partly",
            "The answer stays, but it has lost a good part of its lead: this place does count, and what is left of the same "
            "thing may be enough for the network. Cover more of it, or all.",
            lambda value: _bias_diagnosis(value) == "partly",
            example=_edit(after="dog", lead=(6.0, 2.0)),
        ),
        Mistake(
            "unmoved",
            "The answer is the same as before, and so is most of its lead. That does not clear this place for good: where two "
            "parts say the same, either can go. But look elsewhere first, where the map of network B is bright.",
            lambda value: _bias_diagnosis(value) == "unmoved",
            example=_edit(after="dog", lead=(6.0, 5.8)),
        ),
        Mistake(
            "unmoved-cat",
            "The answer is the same as before, and so is most of its lead. A network that says cat because something is "
            "*missing* loses nothing when a part of a cat's picture goes: try a picture of a dog.",
            lambda value: _bias_diagnosis(value) == "unmoved-cat",
            example=_edit(before="cat", after="cat", lead=(6.0, 5.8), cue=0.0),
        ),
        Mistake(
            "elsewhere",
            "The answer turns, but your edit leaves the thing that the suspect is after as it was: on this picture something "
            "else was enough. Would it do on the other pictures of the lab? Look for what all dogs have and no cat has.",
            lambda value: _bias_diagnosis(value) == "elsewhere",
            example=_edit(cue=0.0),
        ),
        Mistake(
            "nothing",
            "The edit does not change a single pixel: make the frame larger, or choose another tool.",
            lambda value: _bias_diagnosis(value) == "nothing",
            example=_edit(changed=0.0, after="dog", lead=(6.0, 6.0), cue=0.0),
        ),
    ),
    unlisted=("the watermark", {"network": "B"}, 3.0, _edit(network="A")),
    insight="Network B reads the board and hardly looks at the animal: right for the wrong reason, until the board is gone.",
    used_next="Accuracy on pictures without the board, printed below, tells the same story in one number.",
)

# --- 3.11 why this class and not that? -------------------------------------------------------------------------------


def class_discrimination(maps_left, maps_right, left, right):
    """Share on the left object of the map for its class, minus that of the map for the right one's: (N, H, W) each -> (N,)."""

    def share(maps):
        on_left = (maps.relu() * left).sum(dim=(1, 2))
        on_right = (maps.relu() * right).sum(dim=(1, 2))
        return on_left / (on_left + on_right)

    return share(maps_left) - share(maps_right)


def _energies(maps, *masks):
    return [(maps.relu() * mask).sum((1, 2)) for mask in masks]


def _share_of(maps, first, second):
    one, other = _energies(maps, first, second)
    return one / (one + other)


def _of_the_whole_map(maps_left, maps_right, left, right):
    return (maps_left.relu() * left).sum((1, 2)) / maps_left.relu().sum((1, 2)) - (maps_right.relu() * left).sum(
        (1, 2)
    ) / maps_right.relu().sum((1, 2))


def _with_negatives(maps_left, maps_right, left, right):
    def share(maps):
        one, other = (maps * left).sum((1, 2)), (maps * right).sum((1, 2))
        return one / (one + other)

    return share(maps_left) - share(maps_right)


def _with_absolute_values(maps_left, maps_right, left, right):
    return class_discrimination(maps_left.abs(), maps_right.abs(), left, right)


def _one_question(maps_left, maps_right, left, right):
    return _share_of(maps_left, left, right)


def _mean_own_share(maps_left, maps_right, left, right):
    return (_share_of(maps_left, left, right) + _share_of(maps_right, right, left)) / 2


def _sum_of_own_shares(maps_left, maps_right, left, right):
    return _share_of(maps_left, left, right) + _share_of(maps_right, right, left)


def _own_minus_own(maps_left, maps_right, left, right):
    return _share_of(maps_left, left, right) - _share_of(maps_right, right, left)


def _turned_round(maps_left, maps_right, left, right):
    return -class_discrimination(maps_left, maps_right, left, right)


def _a_pixel(maps_left, maps_right, left, right):
    def share(maps):
        one, other = (
            energy / mask.sum((1, 2)) for energy, mask in zip(_energies(maps, left, right), (left, right), strict=True)
        )
        return one / (one + other)

    return share(maps_left) - share(maps_right)


def _energies_not_shares(maps_left, maps_right, left, right):
    return _energies(maps_left, left)[0] - _energies(maps_right, left)[0]


def _maps_subtracted(maps_left, maps_right, left, right):
    return _share_of(maps_left - maps_right, left, right)


def _over_all_pictures(maps_left, maps_right, left, right):
    def share(maps):
        one, other = (energy.sum() for energy in _energies(maps, left, right))
        return one / (one + other)

    return share(maps_left) - share(maps_right)


def _mean_over_pictures(maps_left, maps_right, left, right):
    return class_discrimination(maps_left, maps_right, left, right).mean()


def _ratio(maps_left, maps_right, left, right):
    def ratio(maps):
        one, other = _energies(maps, left, right)
        return one / other

    return ratio(maps_left) - ratio(maps_right)


def _discrimination_cases(seed):
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
    cases=_discrimination_cases,
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
            _of_the_whole_map,
        ),
        Mistake("negative", "Negative values are still in your sums: cut each map off below zero first.", _with_negatives),
        Mistake(
            "absolute",
            "You count negative values as if they spoke for the class (absolute value). Cut them off with `.relu()`.",
            _with_absolute_values,
        ),
        Mistake(
            "one-question",
            "You ask one question only: how much of the map for the left class lies on the left object. A map that lies there "
            "*whichever* class it is asked for gets full marks. Subtract the same share of the map for the right class.",
            _one_question,
        ),
        Mistake(
            "mean-own-share",
            "You give the mean of each map's share on its own object, which is the same information: one half for a map that "
            "does not care about the class. Asked is the difference of the two shares on the *left* object, 0 for such a map.",
            _mean_own_share,
        ),
        Mistake(
            "sum-own-shares",
            "You add up each map's share on its own object: a map that does not care about the class gets 1. Asked is the "
            "difference of the two shares on the *left* object, 0 for such a map.",
            _sum_of_own_shares,
        ),
        Mistake(
            "own-minus-own",
            "You subtract the right map's share on the *right* object. Where both maps lie on their own objects, that gives 0. "
            "Both shares are of the *left* object.",
            _own_minus_own,
        ),
        Mistake(
            "turned-round",
            "The sign is turned: the map for the left class comes first, and its share on the left object should be larger.",
            _turned_round,
        ),
        Mistake(
            "a-pixel",
            "You divide by the sizes of the objects, so these are means a pixel. Add up the values: no size is needed.",
            _a_pixel,
        ),
        Mistake(
            "not-shares",
            "You subtract amounts, not shares. One map may simply be stronger than the other: divide each by what it has on "
            "both objects.",
            _energies_not_shares,
        ),
        Mistake(
            "maps-subtracted",
            "You subtract the maps and take one share of what is left. Take a share of each map, and subtract the shares.",
            _maps_subtracted,
        ),
        Mistake(
            "ratio",
            "You divide what lies on the left object by what lies on the right one. A share divides by both together, so that "
            "it stays between 0 and 1.",
            _ratio,
        ),
        Mistake(
            "all-pictures",
            "You add up over all pictures before you divide, and give one number. Each picture gets its own.",
            _over_all_pictures,
        ),
        Mistake(
            "mean-over-pictures",
            "You give the mean over all pictures. Each picture gets its own number: the interval comes from these.",
            _mean_over_pictures,
        ),
    ),
    unlisted=(
        lambda maps_left, maps_right, left, right: _share_of(maps_left, left, right) / _share_of(maps_right, left, right),
        lambda maps_left, maps_right, left, right: class_discrimination(maps_left, maps_right, left, right).abs(),
        lambda maps_left, maps_right, left, right: class_discrimination(maps_right, maps_left, right, left).relu(),
    ),
    insight="Every map that does not depend on the class gets exactly 0, wherever it lies: the control is built in.",
    used_next="The cell below it puts the methods to it; the study's table adds a random network, and classes that are absent.",
)

#: In the order of the lesson, in which 3.5 and 3.9 come last, as further exercises.
EXERCISES = (GRADIENTS, WEIGHTS, MAP, BY_HEAD, CASCADE, FIVE, ENERGY, BIAS, DISCRIMINATION, INTEGRATED, DELETION)
