"""3.1: activations and gradients."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, Problem, edits
from vizcourse.hooks import capture
from vizcourse.lessons.attribution.exercises.toys import Toy


def activations_and_gradients(model, images, classes, layer):
    """The layer's activations, and the gradients of each picture's own logit with respect to them: both (N, K, h, w)."""
    images = images.clone().requires_grad_()
    with capture(model, layer) as acts:
        logits = model(images)
    own = logits[torch.arange(len(classes)), classes]
    (gradients,) = torch.autograd.grad(own.sum(), acts[layer])
    return acts[layer].detach(), gradients


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _traces(function):
    """The judge of 3.1: is the network as it was, once the function has run?"""
    model = Toy(5)
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


def _cases(seed):
    generator = torch.Generator().manual_seed(seed)
    return [
        (Toy(1), torch.rand(1, 3, 4, 4, generator=generator), torch.tensor([2]), "relu1"),
        (Toy(2), torch.rand(2, 3, 5, 4, generator=generator), torch.tensor([0, 2]), "relu1"),
        (Toy(3), torch.rand(3, 3, 6, 6, generator=generator), torch.tensor([1, 0, 1]), "conv1"),
        (Toy(4), torch.rand(3, 3, 6, 6, generator=generator), torch.tensor([2, 1, 0]), "relu2"),
    ]


GRADIENTS = CodeExercise(
    id="3.1",
    title="Activations and gradients",
    stars=2,
    minutes=10,
    reference=activations_and_gradients,
    cases=_cases,
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
            edits("own = logits[ -> own = logits.softmax(1)["),
        ),
        Mistake(
            "log-probability",
            "You differentiate the logarithm of the probability, which contains the other classes' logits too. Take the logit.",
            edits("own = logits[ -> own = logits.log_softmax(1)["),
        ),
        Mistake(
            "loss",
            "You differentiate the loss. It falls where the class becomes more likely, so the sign is turned, and the other "
            "classes are mixed in. Take the logit of each picture's class.",
            edits("own.sum() -> torch.nn.functional.cross_entropy(logits, classes)"),
        ),
        Mistake(
            "every-class",
            "You add up the logits of all classes, so the map would be the same whichever class is asked for. Pick one logit "
            "a picture: `logits[torch.arange(len(classes)), classes]`.",
            edits("own.sum() -> logits.sum()"),
        ),
        Mistake(
            "top-class",
            "You take each picture's largest logit. Asked for is the class in `classes`, which may be another one: that is "
            "how you get counterfactual maps later.",
            edits("own.sum() -> logits.amax(1).sum()"),
        ),
        Mistake(
            "table",
            "`logits[:, classes]` takes all the classes from every picture, an N × N table. Pair them up: "
            "`logits[torch.arange(len(classes)), classes]`.",
            edits("own.sum() -> logits[:, classes].sum()"),
        ),
        Mistake(
            "first-class",
            "Every picture is asked about the class of the first one. Pair each picture with its own class.",
            edits("own.sum() -> logits[:, classes[0]].sum()"),
        ),
        Mistake(
            "mean",
            "You average the logits over the pictures, so each gradient is divided by N and depends on how many pictures "
            "stand beside it. Add them up.",
            edits("own.sum() -> own.mean()"),
        ),
        Mistake(
            "pixels",
            "These are gradients with respect to the *pixels*. Grad-CAM stops at the layer: "
            "`torch.autograd.grad(number, acts[layer])`.",
            edits("own.sum(), acts[layer] -> own.sum(), images"),
        ),
        Mistake(
            "nothing-asks",
            "No gradients were recorded on the way to your score. The course's networks ask for none, and so a picture has to: "
            "begin with `images = images.clone().requires_grad_()`, and run the network on these. If you do, look for a "
            "`torch.no_grad()` around the pass or a `.detach()` after it.",
            edits(".requires_grad_() ->"),
        ),
        Mistake(
            "another-tensor",
            "Your score was not computed from the tensor that you differentiate with respect to. Is that a copy of the "
            "layer's output (`.detach()`, `.clone()`)? Take `acts[layer]` itself, and detach it when you return it.",
            edits("own.sum(), acts[layer] -> own.sum(), acts[layer].detach().requires_grad_()"),
        ),
        Mistake(
            "no-grad-kept",
            "Your gradients are None: a tensor in the middle of a network keeps no `.grad` after `backward()`. Use "
            "`torch.autograd.grad(number, acts[layer])`, or call `acts[layer].retain_grad()` before `backward()`.",
            edits("detach(), gradients -> detach(), None"),
        ),
        Mistake(
            "pooled",
            "Your gradients are averaged over the places already: that is step 3. Here they keep the layer's shape.",
            edits("detach(), gradients -> detach(), gradients.mean((2, 3))"),
        ),
        Mistake(
            "absolute",
            "These are the gradients' absolute values. Keep their sign: it says which way the logit would go.",
            edits("detach(), gradients -> detach(), gradients.abs()"),
        ),
        Mistake(
            "positive-only",
            "You cut negative gradients off. Step 2 takes them as they are; the only ReLU of Grad-CAM comes in step 4.",
            edits("detach(), gradients -> detach(), gradients.relu()"),
        ),
        Mistake(
            "multiplied",
            "You multiply the gradients with the activations. Here the gradients stay as they are: the two meet in step 4.",
            edits("detach(), gradients -> detach(), gradients * acts[layer].detach()"),
        ),
        Mistake(
            "swapped",
            "The two are in the wrong order: the activations come first, then the gradients.",
            edits("acts[layer].detach(), gradients -> gradients, acts[layer].detach()"),
        ),
        Mistake(
            "one-only",
            "You return the gradients alone; return both, `acts[layer], gradients`.",
            edits("acts[layer].detach(), gradients -> gradients"),
        ),
        Mistake(
            "hook-left",
            "The values are right, but a hook of yours is still on the network when your function is done: it would run at "
            "every later pass. Keep what `register_…_hook` gives you and call its `.remove()`, or use `capture`, which does.",
            edits(".requires_grad_() -> .requires_grad_(); model.get_submodule(layer).register_forward_hook(lambda *_: None)"),
        ),
        Mistake(
            "weights-ask",
            "The values are right, but the network's weights want gradients now, and later cells pay for it. Let the pictures "
            "ask, or put it back with `model.requires_grad_(False)`.",
            edits(".clone().requires_grad_() -> .clone(); model.requires_grad_(True)"),
        ),
        Mistake(
            "weights-filled",
            "The values are right, but `backward()` has filled the `.grad` of the network's weights, and the next call would "
            "add to it. `torch.autograd.grad(number, acts[layer])` leaves nothing behind.",
            edits(
                ".clone().requires_grad_() -> .clone(); model.requires_grad_(True)",
                "(gradients,) = torch.autograd.grad(own.sum(), acts[layer]) -> acts[layer].retain_grad(); own.sum().backward()",
                "return acts -> model.requires_grad_(False); return acts",
                "detach(), gradients -> detach(), acts[layer].grad",
            ),
        ),
        Mistake(
            "training",
            "The values are right, but you leave the network in training mode, in which dropout and batch normalization do "
            "something else: it comes in eval mode and is to stay there.",
            edits(".requires_grad_() -> .requires_grad_(); model.train()"),
        ),
    ),
    judge=_traces,
    unlisted=(
        edits("own.sum() -> own.square().sum()"),
        edits("own.sum() -> own.relu().sum()"),
        edits("own.sum() -> logits.amin(1).sum()"),
    ),
    insight="One forward pass, and a backward pass that stops at the layer: the first two steps of Grad-CAM.",
    used_next="3.2 and 3.3 turn these two cubes into one map.",
)
