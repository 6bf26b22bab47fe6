"""Layer-wise relevance propagation: the score, handed down layer by layer to the pixels, in shares.

Every unit hands its relevance on to its inputs, in proportion to what each contributed to it (Bach et al., PLoS ONE 2015).
What a contribution is, a *rule* says. For a unit ``z_j = Σ_i x_i w_ij + b_j`` with relevance ``R_j``:

- ``"epsilon"``: ``R_i = Σ_j x_i w_ij / (z_j + ε · sign z_j) · R_j``. Contributions have both signs; the bias keeps its share.
- ``"z-plus"``: positive contributions alone, ``R_i = Σ_j (x_i w_ij)⁺ / Σ_k (x_k w_kj)⁺ · R_j`` (Montavon et al., 2017; α1β0).
  The bias gets nothing, so what comes in goes out: relevance is conserved, but for units that their bias alone turned on.

A share of relevance is a pixel's value times a modified gradient. So the network is run once with its own outputs and other
slopes, and differentiated once: each convolution and each linear layer gets the slope ``∂ contribution · z / contributions``.
ReLUs, pooling, sums and concatenations then do the right thing by themselves. Nothing is changed on the model.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from vizcourse.methods.checks import checked_choice, checked_images, checked_number, checked_steady
from vizcourse.methods.passes import answers

RULES = ("epsilon", "z-plus")

_CONVOLUTIONS = (functional.conv1d, functional.conv2d, functional.conv3d)
#: Not piecewise linear, so that value times gradient is no share of anything.
_REFUSED = {
    "GELU": (functional.gelu,),
    "SiLU": (functional.silu,),
    "hardswish": (functional.hardswish,),
    "softplus, ELU or the like": (functional.softplus, functional.elu, functional.selu, functional.celu, functional.mish),
    "sigmoid": (torch.sigmoid, Tensor.sigmoid, functional.sigmoid, functional.hardsigmoid),
    "tanh": (torch.tanh, Tensor.tanh, functional.tanh),
    "softmax": (functional.softmax, torch.softmax, Tensor.softmax),
    "layer normalization": (functional.layer_norm,),
    "group normalization": (functional.group_norm, functional.instance_norm),
    "attention": (functional.multi_head_attention_forward, functional.scaled_dot_product_attention),
}


def propagate(
    model: nn.Module,
    images: Tensor,
    target: Callable[[Tensor], Tensor],
    *,
    rule: str = "z-plus",
    dense: str = "epsilon",
    epsilon: float = 1e-6,
) -> Tensor:
    """The relevance of every pixel and colour for a score: ``(N, channel, height, width)``, signed.

    Batch normalization right behind a convolution is taken as a part of it. What stands before the first layer with weights,
    such as a normalisation of the pixels, hands relevance on as it is.

    Args:
        model: a network of convolutions, linear layers, ReLUs and poolings, in eval mode.
        images: ``(N, channel, height, width)``.
        target: from the model's outputs to the numbers that are explained, one an image; their sum is handed down.
        rule: of the convolutions, one of :data:`RULES`.
        dense: rule of the linear layers.
        epsilon: keeps denominators from zero; a larger one lets weak contributions fade.

    Raises:
        ValueError: an unknown rule, a layer that is not piecewise linear (attention, say), or a network whose first layer with
            weights does not take something like the picture.
    """
    for name in (rule, dense):
        checked_choice(name, RULES, "rule")
    if not callable(target):
        raise ValueError("The target must be a function from outputs to one score an image: lambda outputs: outputs[:, 3].")
    checked_number(epsilon, "epsilon, which keeps denominators from zero,", above=0)
    pixels = checked_images(images, checked_steady(model)).detach().clone().requires_grad_()
    with torch.enable_grad(), _Slopes(rule, dense, epsilon) as slopes:
        total = target(answers(model, pixels))
        if not isinstance(total, Tensor) or not total.isfinite().all():
            raise ValueError("The target must be a function from the model's output to finite scores, a tensor.")
        total = total.sum()
    if slopes.first is None or slopes.first.shape != images.shape:
        met = "none" if slopes.first is None else f"{tuple(slopes.first.shape)}"
        raise ValueError(
            f"The first layer with weights must take something like the picture {tuple(images.shape)}, not {met}: use another "
            "method for a network that pads, cuts or scales the picture itself, as those with TensorFlow's padding do."
        )
    (found,) = torch.autograd.grad(total, slopes.first)
    return (found * slopes.first).detach()


class _Slopes(TorchFunctionMode):
    """Inside the block, layers with weights keep their outputs and have the slopes of a rule. ``first``: their first input."""

    def __init__(self, rule: str, dense: str, epsilon: float):
        super().__init__()
        self.rules, self.epsilon = {"conv": rule, "dense": dense}, epsilon
        self.first: Tensor | None = None
        # A convolution's output -> its version and how to run it, for a batch normalization right behind it.
        self.convolved: dict[int, tuple[Tensor, int, Callable, Tensor, Tensor]] = {}

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for name, functions in _REFUSED.items():
            if function in functions:
                raise ValueError(f"Relevance is handed down through piecewise linear layers only, and here is {name}.")
        if function in _CONVOLUTIONS or function is functional.linear:
            return self._layer(function, *args, **kwargs)
        if function is functional.batch_norm:
            return self._batch_norm(*args, **kwargs)
        return function(*args, **kwargs)

    def _layer(self, function, input, weight, bias=None, *args, **kwargs):
        def run(values: Tensor, weight: Tensor) -> Tensor:
            return function(values, weight, None, *args, **kwargs)

        if self.first is None:
            self.first = input
        with torch.no_grad():
            plain = function(input, weight, bias, *args, **kwargs)
        kind = "dense" if function is functional.linear else "conv"
        result = self._sloped(run, input, weight, plain, self.rules[kind])
        if kind == "conv":
            self.convolved[id(result)] = (result, result._version, run, input, weight)
        return result

    def _batch_norm(self, input, mean, variance, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
        with torch.no_grad():
            plain = functional.batch_norm(input, mean, variance, weight, bias, training, momentum, eps)
            scale = (variance + eps).rsqrt() * (1 if weight is None else weight)
        known, version, run, before, kernel = self.convolved.get(id(input), (None, None, None, None, None))
        if known is input and version == input._version:
            scaled = kernel.detach() * scale.view(-1, *[1] * (kernel.ndim - 1))
            return self._sloped(run, before, scaled, plain, self.rules["conv"])
        shape = (1, -1, *[1] * (input.ndim - 2))
        return self._sloped(lambda values, factor: values * factor, input, scale.view(shape), plain, "epsilon")

    def _sloped(self, run: Callable, input: Tensor, weight: Tensor, output: Tensor, rule: str) -> Tensor:
        """``output`` with the slopes of a rule, ``∂ parts / ∂ input · output / whole``."""
        weight = weight.detach()
        if rule == "epsilon":
            parts, whole = run(input, weight), output
        else:
            parts = run(input.clamp_min(0), weight.clamp_min(0))
            if bool((input < 0).any()):  # (x w)⁺ of a negative x needs a negative w
                parts = parts + run(input.clamp_max(0), weight.clamp_max(0))
            whole = parts.detach()
        factor = output / (whole + self.epsilon * torch.where(whole < 0, -1.0, 1.0))
        return output + (parts - parts.detach()) * factor
