"""Checks of what is passed to a method. Each says in one sentence what is wrong and how to mend it, as a ``ValueError``.

Most return what they have checked in the form in which methods use it: images on the model's device and in its precision,
classes as a tensor of whole numbers, one an image.
"""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from vizcourse.hooks import Layer, resolve

# ------------------------------------------------------------------------------------------------------- the model


def checked_model(model: nn.Module) -> nn.Module:
    """A module whose weights are floating-point numbers."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"A model is a torch.nn.Module, not {_kind(model)}: pass the network itself, as load(…) returns it.")
    for name, parameter in model.named_parameters():
        if not parameter.is_floating_point():
            raise ValueError(f"Parameter {name!r} is {parameter.dtype}: gradients need floats, so use an unquantized model.")
    return model


def checked_steady(model: nn.Module) -> nn.Module:
    """A model that answers the same each time: no batch normalization or dropout in training mode."""
    checked_model(model)
    for name, module in model.named_modules():
        if not module.training:
            continue
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.track_running_stats:
            raise ValueError(
                f"Batch normalization {name!r} is in training mode, so each map would depend on the other images: "
                "call model.eval() first."
            )
        if _drops(module):
            raise ValueError(
                f"The dropout in {name or type(module).__name__!r} is in training mode, so every run would answer differently: "
                "call model.eval() first."
            )
    return model


def _drops(module: nn.Module) -> bool:
    """Whether a module in training mode leaves out something by chance; each kind has a name of its own for it."""
    names = ["dropout", "attention_dropout", "drop_prob"]
    if "Drop" in type(module).__name__ or type(module).__name__ == "StochasticDepth":
        names.append("p")  # of other modules, an exponent, say
    return any(isinstance(chance := getattr(module, name, 0), float | int) and chance > 0 for name in names)


def inner_layer(model: nn.Module, layer: Layer | tuple[Layer, int]) -> str:
    """The name of a layer inside the model, which is not the model itself."""
    name, _ = resolve(model, layer[0] if isinstance(layer, tuple) and layer else layer)
    if not name:
        raise ValueError('The layer must lie inside the model: name one of its layers, such as layer="layer4".')
    return name


# ---------------------------------------------------------------------------------------------------- tensors


def checked_images(images: Tensor, model: nn.Module | None = None, *, least: int = 1) -> Tensor:
    """Images ``(N, channel, height, width)``, on the model's device and in its precision.

    Args:
        images: floats, finite, at least ``least`` of them.
        model: without one, device and precision stay.
    """
    if not isinstance(images, Tensor):
        raise ValueError(f"Images are a tensor (batch, channel, height, width), not {_kind(images)}: use torch.stack(…).")
    if images.ndim != 4 or not images.is_floating_point():
        fix = "images[None] makes a batch of one" if images.ndim == 3 else "give them these four axes"
        if not images.is_floating_point():
            fix = "images.float() / 255 makes floats of 8-bit pictures"
        raise ValueError(f"Images are floats (batch, channel, height, width), not {images.dtype} {tuple(images.shape)}: {fix}.")
    if len(images) < least:
        if least == 1:
            raise ValueError("There are no images: pass a batch with at least one.")
        raise ValueError(f"There are {len(images)} images: pass a batch with at least {least}.")
    if not images.numel():
        raise ValueError(f"Images of {tuple(images.shape[1:])} have no pixels: pass some with no axis of length 0.")
    checked_finite(images, "images")
    return images if model is None else following(images, model)


def following(tensor: Tensor, model: nn.Module) -> Tensor:
    """A tensor on the model's device and in its precision; the same tensor where it is there already."""
    for weights in (*model.parameters(), *model.buffers()):
        if weights.is_floating_point():
            return tensor.to(weights.device, weights.dtype)
    return tensor


def checked_finite(values: Tensor, name: str) -> Tensor:
    """Values without NaN and infinity."""
    if not values.isfinite().all():
        raise ValueError(f"The {name} hold NaN or infinite values, which are not finite: mend them first, as by nan_to_num().")
    return values


def checked_pair(first: Tensor, second: Tensor, names: str = "clean and corrupted images") -> None:
    """Two batches that belong together, image by image."""
    if first.shape != second.shape:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(f"The {names} must have one shape, not {shapes}: pair them, one by one.")


def checked_maps(maps: Tensor, images: Tensor, name: str = "maps") -> Tensor:
    """One map an image in its pixels, ``(N, height, width)``, finite."""
    wanted = (len(images), *images.shape[-2:])
    if not isinstance(maps, Tensor) or maps.shape != wanted:
        found = tuple(maps.shape) if isinstance(maps, Tensor) else _kind(maps)
        raise ValueError(
            f"The {name} must be one an image in its pixels, {wanted}, not {found}: "
            "use attribution.magnitude and attribution.upsample."
        )
    return checked_finite(maps, name)


def spread_like(value: float | Tensor, images: Tensor, name: str) -> Tensor:
    """A filling or a baseline, a number or a tensor, as large as the images it goes with."""
    if not isinstance(value, Tensor | float | int):
        raise ValueError(f"The {name} must be a number or a tensor that broadcasts to the images, not {_kind(value)}.")
    filled = torch.as_tensor(value, dtype=images.dtype, device=images.device)
    try:
        filled = filled.expand_as(images)
    except RuntimeError:
        raise ValueError(
            f"The {name} must be a number or a tensor that broadcasts to the images {tuple(images.shape)}, not "
            f"{tuple(filled.shape)}: (channel, 1, 1) is a colour, (N, channel, height, width) a picture for each."
        ) from None
    return checked_finite(filled, f"values of the {name}")


# ---------------------------------------------------------------------------------------------------- classes, logits


def checked_classes(
    classes: int | Sequence[int] | Tensor, count: int, among: int | None = None, *, name: str = "target", each: bool = False
) -> Tensor:
    """Class indices as whole numbers, one an image: ``(count,)``.

    Args:
        classes: one for all images, or one for each.
        count: of images.
        among: how many classes there are, where it is known.
        name: of the argument, for messages.
        each: one class for all will not do.
    """
    if isinstance(classes, str) or (isinstance(classes, Sequence) and any(isinstance(one, str) for one in classes)):
        raise ValueError(f"{name} is a class's number, not its name {classes!r}: look it up, such as model.classes.index(…).")
    try:
        index = torch.as_tensor(classes)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} is a class's number, or one for each image, not {_kind(classes)}.") from None
    if index.is_floating_point() or index.is_complex() or index.dtype == torch.bool:
        fix = "argmax(1) of probabilities gives classes" if index.ndim == 2 else "pass whole numbers"
        raise ValueError(f"{name} is a class index, a whole number, not {_few(classes)}: {fix}.")
    if index.shape != (count,) and (each or index.ndim):
        wanted = f"one for each of the {count} images" if each else f"one for all, or one an image, {count} in all"
        raise ValueError(f"Pass one {name} class {wanted.removeprefix('one ')}, not {tuple(index.shape)} of them.")
    wrong = index[(index < 0) | (index >= among)] if among is not None else index[index < 0]
    if wrong.numel():
        known = "classes are counted from 0" if among is None else f"the model has the classes 0 to {among - 1}"
        raise ValueError(f"There is no class {int(wrong.flatten()[0])}: {known}.")
    return index.long().expand(count)


def checked_logits(outputs: Tensor, *, finite: bool = True) -> Tensor:
    """A model's outputs ``(N, classes)``, as a classifier gives them."""
    if not isinstance(outputs, Tensor):
        raise ValueError(f"The model returns {_kind(outputs)}, not a tensor: wrap it so that it returns its logits.")
    if outputs.ndim != 2:
        raise ValueError(f"The model gives {tuple(outputs.shape)}, not logits (batch, classes): pass a classifier.")
    return checked_finite(outputs, "model's answers") if finite else outputs


def not_probabilities(logits: Tensor) -> Tensor:
    """Logits of a model that does not end in a softmax, for methods that take the softmax themselves."""
    if logits.ndim == 2 and logits.shape[1] > 1 and (logits >= 0).all():
        if torch.allclose(logits.sum(1), torch.ones_like(logits[:, 0]), atol=1e-3 if logits.dtype == torch.float16 else 1e-5):
            raise ValueError(
                "The model returns probabilities, which this method would put through a softmax again: "
                "take its last softmax off, or choose the metric that takes the outputs as they are."
            )
    return logits


# ---------------------------------------------------------------------------------------------------- numbers, names


def checked_count(value: int, name: str, *, least: int = 1, most: int | None = None) -> int:
    """A whole number: of steps, of samples, of images in a batch."""
    try:
        whole = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        whole = None
    if whole is None or whole < least or (most is not None and whole > most):
        span = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be a whole number {span}, not {_few(value)}.")
    return whole


def checked_number(
    value: float, name: str, *, least: float = -math.inf, most: float = math.inf, above: float = -math.inf
) -> float:
    """A finite number within bounds; ``above`` leaves the bound itself out."""
    try:
        number = math.nan if isinstance(value, str | bool) else float(value)
    except (TypeError, ValueError, RuntimeError):
        number = math.nan
    if not (math.isfinite(number) and least <= number <= most and number > above):
        bounds = [f"above {above:g}"] * (above > -math.inf) + [f"at least {least:g}"] * (least > -math.inf)
        bounds += [f"at most {most:g}"] * (most < math.inf)
        raise ValueError(f"{name} must be a finite number{', ' * bool(bounds)}{' and '.join(bounds)}, not {_few(value)}.")
    return number


def checked_numbers(
    values: Sequence[float] | Tensor, name: str, *, least: float = -math.inf, most: float = math.inf
) -> list[float]:
    """Some finite numbers within bounds, at least one."""
    try:
        numbers = torch.as_tensor(values if isinstance(values, Tensor) else list(values), dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        numbers = torch.empty(0)
    inside = numbers.isfinite() & (numbers >= least) & (numbers <= most)
    if numbers.ndim != 1 or not len(numbers) or not inside.all():
        bounds = f" from {least:g}{f' to {most:g}' if most < math.inf else ''}" if least > -math.inf else ""
        raise ValueError(f"{name} must be finite numbers{bounds}, at least one, not {_few(values)}.")
    return numbers.tolist()


def as_numbers(values: Tensor | Sequence, name: str) -> Tensor:
    """Numbers in double precision, cut off from any gradient."""
    try:
        return torch.as_tensor(values, dtype=torch.float64).detach()
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} must be numbers, a tensor or a list of them, not {_kind(values)}.") from None


def checked_indices(values: int | Sequence[int] | Tensor, among: int, name: str) -> Tensor:
    """Whole numbers from 0 to below ``among``, in a tensor of any shape."""
    try:
        index = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError):
        index = torch.tensor(torch.nan)
    if index.numel() and (index.is_floating_point() or index.is_complex() or index.dtype == torch.bool):
        raise ValueError(f"{name} must be whole numbers, not {_few(values)}.")
    wrong = index[(index < 0) | (index >= among)]
    if wrong.numel():
        raise ValueError(f"{name} must be from 0 to {among - 1}, not {int(wrong.flatten()[0])}.")
    return index.long()


def checked_choice(value: str, choices: Iterable[str], name: str) -> str:
    """One of some words, or the words themselves and the nearest of them in the message."""
    choices = list(choices)
    if isinstance(value, str) and value in choices:
        return value
    close = difflib.get_close_matches(str(value), choices, n=1)
    hint = f"did you mean {close[0]!r}? There are" if close else "choose from"
    raise ValueError(f"There is no {name} {value!r}: {hint} {', '.join(choices)}.")


# ---------------------------------------------------------------------------------------------------- in messages


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _few(value: object) -> str:
    """A value as a message can hold it."""
    if isinstance(value, Tensor):
        return f"{value.tolist()}" if value.numel() <= 4 else f"a tensor {tuple(value.shape)}"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"
