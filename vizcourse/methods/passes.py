"""Passes through a model that leave no trace on it: what the method modules share."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from vizcourse.hooks import Activations, Layer, Layout, Wanted, capture, first_tensor, layout_of, resolve
from vizcourse.methods.checks import checked_count, checked_images, checked_model


def device_of(model: nn.Module) -> torch.device:
    return next((tensor.device for tensor in [*model.parameters(), *model.buffers()]), torch.device("cpu"))


def forward(model: nn.Module, images: Tensor) -> object:
    """What the model returns for images. It gets a copy: a first layer that works in place must not reach the caller's.

    Raises:
        ValueError: the model does not take images of this size.
    """
    try:
        return model(images.clone())
    except (RuntimeError, AssertionError) as error:
        size = getattr(model, "input_size", None)
        fix = f"it was made for (N, 3, {size}, {size})." if size else "bring them to the size it was made for."
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"The model does not take images {tuple(images.shape)}: {fix} ({reason})") from error


def answers(model: nn.Module, images: Tensor) -> Tensor:
    """:func:`forward` of a model that returns a tensor.

    Raises:
        ValueError: the model does not take images of this size, or returns no tensor.
    """
    outputs = forward(model, images)
    if not isinstance(outputs, Tensor):
        raise ValueError(f"The model returns a {type(outputs).__name__}, not a tensor: wrap it so that it returns its logits.")
    return outputs


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in eval mode, and each of its parts in its own mode again afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def left_alone(*modules: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients for parameters inside the block, and afterwards everything as it was."""
    training = {module: module.training for root in modules for module in root.modules()}
    needed = {parameter: parameter.requires_grad for root in modules for parameter in root.parameters()}
    try:
        for root in modules:
            root.eval()
            root.requires_grad_(False)
        yield
    finally:
        for module, mode in training.items():
            module.training = mode
        for parameter, need in needed.items():
            parameter.requires_grad_(need)


@contextmanager
def plain_batch_norms(model: nn.Module) -> Iterator[None]:
    """Inside the block, batch norms in eval mode run as what they are, a scale and a shift for each channel.

    PyTorch's own backward pass through them works out much that is not wanted here, and takes longer.
    """
    changed = []
    try:
        for module in model.modules():
            if type(module) is nn.BatchNorm2d and not module.training and module.track_running_stats and module.affine:
                if "forward" not in module.__dict__:
                    scale = module.weight.detach() / (module.running_var + module.eps).sqrt()
                    shift = module.bias.detach() - module.running_mean * scale
                    module.forward = functools.partial(_scaled, scale[:, None, None], shift[:, None, None])
                    changed.append(module)
        yield
    finally:
        for module in changed:
            del module.forward


def _scaled(scale: Tensor, shift: Tensor, hidden: Tensor) -> Tensor:
    return torch.addcmul(shift, hidden, scale)


def single(values: Tensor) -> Tensor:
    """In single precision at least: sums of half-precision numbers overflow and lose their digits."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def reached(acts: Activations, layer: str | tuple[str, int]) -> Tensor:
    """What a captured layer gave; a ValueError where it has not run."""
    try:
        return acts[layer]
    except KeyError as error:
        raise ValueError(f"Choose another layer: {error.args[0]}.") from None


class Seen(NamedTuple):
    """What a layer gave: its name, the maps ``(N, C, H, W)`` in single precision at least, and how the layer lays them out."""

    name: str
    maps: Tensor
    layout: Layout = Layout("channels_first")


@contextmanager
def running(
    model: nn.Module, layers: Iterable[Wanted | None], *, layout: Layout | str | None = None
) -> Iterator[Callable[[Tensor], dict[Wanted | None, Seen]]]:
    """A function from pictures to what each layer gives, which runs the model no further than to the last layer.

    ``layout`` says how the layers lay out their maps, where :func:`~vizcourse.hooks.layout_of` cannot find it. The pictures
    themselves are there under None.
    """
    keys = {}
    for layer in layers:
        if layer is not None:
            module, *call = layer if isinstance(layer, tuple) else (layer,)
            name = resolve(model, module)[0]
            keys[layer] = (name, *call) if call else name
    inner = [layer for layer, key in keys.items() if key != ""]  # "" is the model's own output
    layouts: dict[Wanted, Layout] = {}

    def run(images: Tensor) -> dict[Wanted | None, Seen]:
        seen: dict[Wanted | None, Seen] = {None: Seen("", images)}
        output = first_tensor(forward(model, images)) if keys else None
        for layer, key in keys.items():
            activation = reached(acts, key) if key != "" else output
            name = key if isinstance(key, str) else key[0]
            if layer not in layouts:  # it is the same in each pass
                layouts[layer] = layout_of(model, name, activation, images=images, layout=layout)
            seen[layer] = Seen(name, single(layouts[layer].to_maps(activation)), layouts[layer])
        return seen

    with capture(model, inner, stop=len(inner) == len(keys)) if inner else nullcontext({}) as acts:
        yield run


def check_order(model: nn.Module, images: Tensor, layers: Sequence[Layer]) -> list[str]:
    """The layers' names, when they run in this order; of a layer that runs several times, the first call counts.

    Raises:
        ValueError: there is no such layer, one does not run, or a later one is named first.
    """
    images = checked_images(images, checked_model(model))
    modules, seen = dict(resolve(model, layer) for layer in layers), []
    names = [resolve(model, layer)[0] for layer in layers]
    handles = [module.register_forward_hook(lambda *_, name=name: seen.append(name)) for name, module in modules.items()]
    try:
        with left_alone(model), torch.no_grad():
            forward(model, images[:1])
    finally:
        for handle in handles:
            handle.remove()
    for name in names:
        if name not in seen:
            raise ValueError(f"Layer {name!r} does not run in this model's forward pass: choose another.")
    for first, second in zip(names, names[1:], strict=False):
        if seen.index(first) >= seen.index(second):
            raise ValueError(f"Layer {first!r} does not run before {second!r}: name the layers from the first to the last.")
    return names


def one_channel(maps: Tensor, channel: int, name: str) -> Tensor:
    if not 0 <= checked_count(channel, "A channel", least=-sys.maxsize) < maps.shape[1]:
        layer = f"Layer {name!r}" if name else "The model's output"
        raise ValueError(f"{layer} has channels 0 to {maps.shape[1] - 1}; there is no channel {channel}.")
    return maps[:, channel]


def picture_batches(batches: Iterable) -> Iterator[Tensor]:
    """The pictures of each batch, without what may come with them."""
    empty = True
    if not isinstance(batches, Iterable):
        raise ValueError(f"Pass batches of pictures, such as images.split(50), not a {type(batches).__name__}.")
    for batch in batches:
        pictures = batch[0] if isinstance(batch, tuple | list) and batch else batch
        if not isinstance(pictures, Tensor) or pictures.ndim != 4 or not pictures.is_floating_point():
            raise ValueError("A batch must be a tensor of floats (N, 3, height, width), or a tuple that begins with one.")
        if not pictures.sum().isfinite():
            raise ValueError("The pictures hold NaN or infinite values: mend them first.")
        if len(pictures):
            empty = False
            yield pictures
    if empty:
        raise ValueError("There are no pictures: pass at least one batch with at least one.")


class ReplacedReLU(TorchFunctionMode):
    """Inside the block, ReLUs called as functions or as modules are ``instead`` of their input; ``met`` says if any was."""

    NAMES = (functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)

    def __init__(self, instead: Callable[[Tensor], Tensor]):
        super().__init__()
        self.instead = instead
        self.met = False

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in self.NAMES:
            self.met = True
            return self.instead(args[0] if args else kwargs["input"])
        return function(*args, **(kwargs or {}))


class PassingReLU(ReplacedReLU):
    """Inside the block, ReLUs called as functions or as modules let a wholly blocked gradient through; ReLU6 as well."""

    def __init__(self):
        super().__init__(_PassThrough.apply)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is functional.relu6 or function is functional.hardtanh:  # the module ReLU6 calls the second
            low, high = _bounds(*args[1:], **(kwargs or {})) if function is functional.hardtanh else (0, 6)
            if low == 0:
                self.met = True
                return self.instead(args[0] if args else kwargs["input"]).clamp_max(high)
        return super().__torch_function__(function, types, args, kwargs)


def _bounds(min_val: float = -1.0, max_val: float = 1.0, *_, **__) -> tuple[float, float]:
    """Those of a call of ``hardtanh``."""
    return min_val, max_val


class _PassThrough(torch.autograd.Function):
    """ReLU whose gradient, for a picture that gets none at all, is the one that would raise negative inputs."""

    @staticmethod
    def forward(context, hidden: Tensor) -> Tensor:
        context.save_for_backward(hidden)
        return hidden.clamp_min(0)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        (hidden,) = context.saved_tensors
        passed = gradient * (hidden > 0)
        blocked = (passed == 0).flatten(1).all(1).view(-1, *[1] * (hidden.ndim - 1))
        # Steps go against the gradient, so a negative one is a wish for more.
        return torch.where(blocked, gradient.clamp_max(0), passed)
