"""Read and replace activations of any ``torch.nn.Module``.

The one mechanism on which every method of the course stands. Each function is a context manager or returns an
object that holds no hook, so nothing stays behind on the model: not after an exception, not after a keyboard
interrupt, not when calls are nested.

A *layer* is named as in ``model.named_modules()`` (``"layer3.0.conv1"``) or given as the module itself. A module
that runs several times in a forward pass (a shared ReLU) is addressed call by call: ``("layer4.0.relu", 1)`` is its
second call. Where a module returns a tuple, list, dictionary or dataclass, its first tensor is meant and the rest is
left as it is.

Which axis of an activation holds the channels is its :class:`Layout`; :func:`layout_of` finds it, and every method that
speaks of channels or places stands on it.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vizcourse.layers import LAYOUTS, Layer, Layout, Wanted, kind_of, layout_of, resolve, short

__all__ = ["LAYOUTS", "Layer", "Layout", "Wanted", "layout_of", "resolve"]
__all__ += ["Activations", "Recording", "Replay", "capture", "constant", "override", "replace", "replay"]
__all__ += ["first_tensor", "with_first_tensor"]


def first_tensor(output: object) -> Tensor | None:
    """The first tensor of what a module returns, however it is packed; None if there is none."""
    found: list[Tensor] = []
    _each_tensor(output, lambda tensor: found.append(tensor) or tensor)
    return found[0] if found else None


def with_first_tensor(output: object, tensor: Tensor) -> object:
    """``output`` with its first tensor exchanged, in the same kind of container."""
    waiting = [tensor]
    return _each_tensor(output, lambda other: waiting.pop() if waiting else other)


def _each_tensor(output: object, change: Callable[[Tensor], Tensor]) -> object:
    """``output`` with ``change`` applied to each of its tensors, in the same kinds of containers."""
    if isinstance(output, Tensor):
        return change(output)
    if isinstance(output, Mapping):
        changed = copy.copy(output)  # keeps the kind, as the outputs of transformers need it
        for key, value in output.items():
            changed[key] = _each_tensor(value, change)
        return changed
    if isinstance(output, tuple | list):
        entries = [_each_tensor(entry, change) for entry in output]
        return type(output)(*entries) if hasattr(output, "_fields") else type(output)(entries)
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        changed = copy.copy(output)
        for field in dataclasses.fields(output):
            object.__setattr__(changed, field.name, _each_tensor(getattr(output, field.name), change))
        return changed
    return output


def _first(output: object, name: str) -> Tensor:
    tensor = first_tensor(output)
    if tensor is None:
        raise ValueError(
            f"Layer {name!r} returns a {type(output).__name__} without a tensor: choose a layer inside it instead."
        )
    return tensor


# ------------------------------------------------------------------------------------------------ capture and replace


class Activations(dict):
    """What :func:`capture` fills: ``acts["layer3"]`` is the layer's output, ``acts.calls["layer3"]`` all of them.

    A layer that ran more than once gives its last output, unless one call was asked for with ``(layer, call)``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[str, list[Tensor]] = {}

    def __missing__(self, key: object) -> Tensor:
        if isinstance(key, nn.Module):
            raise KeyError(f"this {type(key).__name__} was not captured; the captured layers are {short(list(self))}")
        if key in self.calls:
            raise KeyError(f"layer {key!r} has not run {'so often ' if self.calls[key] else ''}in this forward pass")
        raise KeyError(f"layer {key!r} was not asked for; the captured layers are {short(list(self.calls))}")


class _StopForward(BaseException):
    """Ends a forward pass early. A BaseException, so that no ``except Exception`` in a model can swallow it."""

    def __init__(self, owner: object) -> None:
        self.owner = owner


@contextmanager
def _forward_as(module: nn.Module, forward: Callable) -> Iterator[None]:
    """Give one module another ``forward`` for a while."""
    before = module.__dict__.get("forward")
    module.__dict__["forward"] = forward
    try:
        yield
    finally:
        if before is None:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = before


@contextmanager
def _stoppable(model: nn.Module, owner: object, missing: Callable[[], str]) -> Iterator[None]:
    """Inside the block, the model returns None from a forward pass that ``_StopForward(owner)`` ends, as it must."""
    original = model.forward

    def forward(*args: object, **kwargs: object) -> object:
        try:
            original(*args, **kwargs)
        except _StopForward as signal:
            if signal.owner is not owner:
                raise
            return None
        raise ValueError(f"Layer {missing()!r} has not run in this forward pass: choose one that runs.")

    with _forward_as(model, forward):
        yield


@contextmanager
def capture(model: nn.Module, layers: Sequence[Wanted] | Wanted, *, stop: bool = False) -> Iterator[Activations]:
    """Record the outputs of ``layers`` in the forward passes inside the ``with`` block.

    The recorded tensors are part of the autograd graph when gradients are on, and are safe from later in-place
    operations (``ReLU(inplace=True)`` after a captured batch norm does not change what was captured).

    Args:
        model: any module.
        layers: one layer or several, each a name, a module, or ``(layer, call)`` for one call of a shared module.
        stop: end the forward pass as soon as every wanted layer has run; ``model(x)`` then returns ``None``.

    Yields:
        An :class:`Activations` dictionary, keyed by the layers' names; each forward pass replaces its content.

    Raises:
        ValueError: there is no such layer, or it does not return a tensor.

    Example:
        >>> with torch.no_grad(), capture(model, ["layer3"], stop=True) as acts:
        ...     model(images)
        >>> acts["layer3"].shape  # (batch, channel, height, width)
    """
    if isinstance(layers, str | nn.Module) or (isinstance(layers, tuple) and len(layers) == 2 and isinstance(layers[1], int)):
        layers = [layers]
    if not layers:
        raise ValueError("capture needs at least one layer: pass a name such as 'layer3', or a list of names.")
    wanted: dict[str, set[int | None]] = {}
    modules: dict[str, nn.Module] = {}
    for entry in layers:
        layer, call = entry if isinstance(entry, tuple) else (entry, None)
        name, modules[name] = (found := resolve(model, layer))[0], found[1]
        wanted.setdefault(name, set()).add(call)

    acts = Activations()

    def reset(*_: object) -> None:
        acts.clear()
        acts.calls = {name: [] for name in wanted}

    def finished() -> bool:
        return all(len(acts.calls[name]) > max((call or 0) for call in calls) for name, calls in wanted.items())

    def recorder(name: str) -> Callable:
        def hook(_module: nn.Module, _inputs: object, output: object) -> object:
            tensor = _first(output, name)
            call = len(acts.calls[name])
            acts.calls[name].append(tensor)
            if None in wanted[name]:
                acts[name] = tensor
            if call in wanted[name]:
                acts[(name, call)] = tensor
            if stop and finished():
                raise _StopForward(acts)
            # What flows on is a copy: an in-place operation further down must not rewrite what was captured, and
            # the captured tensor itself stays on the path from input to output, so gradients reach it.
            return with_first_tensor(output, tensor.clone())

        return hook

    reset()
    with ExitStack() as stack:
        if stop:
            stack.enter_context(_stoppable(model, acts, lambda: next(name for name in wanted if not acts.calls[name])))
        stack.callback(model.register_forward_pre_hook(reset).remove)
        for name, module in modules.items():
            stack.callback(module.register_forward_hook(recorder(name)).remove)
        yield acts


Replacement = Tensor | Callable[[Tensor], Tensor]


@contextmanager
def replace(model: nn.Module, replacements: Mapping[Wanted, Replacement]) -> Iterator[None]:
    """Put other activations in the place of layers' outputs, for the forward passes inside the ``with`` block.

    Args:
        model: any module.
        replacements: for each layer (or ``(layer, call)``) a function from its output to the new output, or the new
            output itself; its shape must be that of the output, or broadcast to it.

    Raises:
        ValueError: there is no such layer, a function returns no tensor, or a shape does not fit.

    Example:
        >>> def silence(activation):  # (batch, channel, height, width)
        ...     activation = activation.clone()
        ...     activation[:, 7] = 0
        ...     return activation
        >>> with replace(model, {"layer3": silence}):
        ...     logits = model(images)
    """
    plan: dict[str, dict[int | None, Replacement]] = {}
    modules: dict[str, nn.Module] = {}
    for entry, new in replacements.items():
        layer, call = entry if isinstance(entry, tuple) else (entry, None)
        name, module = resolve(model, layer)
        if not isinstance(new, Tensor) and not callable(new):
            raise ValueError(f"A replacement is a tensor or a function of the layer's output, not {kind_of(new)}.")
        modules[name] = module
        plan.setdefault(name, {})[call] = new

    counts: dict[str, int] = {}

    def reset(*_: object) -> None:
        counts.update(dict.fromkeys(plan, 0))

    def replacer(name: str) -> Callable:
        def hook(_module: nn.Module, _inputs: object, output: object) -> object:
            call, counts[name] = counts[name], counts[name] + 1
            new = plan[name].get(call, plan[name].get(None))
            if new is None:
                return None
            tensor = _first(output, name)
            value = new if isinstance(new, Tensor) else new(tensor)
            if not isinstance(value, Tensor):
                raise ValueError(
                    f"The replacement for layer {name!r} gave a {type(value).__name__}: return the new activation, "
                    f"a tensor of shape {tuple(tensor.shape)}."
                )
            try:
                value = value.to(tensor).expand_as(tensor)
            except RuntimeError:
                raise ValueError(
                    f"The replacement for layer {name!r} has shape {tuple(value.shape)}: "
                    f"it must be {tuple(tensor.shape)}, like the layer's output."
                ) from None
            return with_first_tensor(output, value)

        return hook

    def check(_model: nn.Module, _inputs: object, output: object) -> None:
        for name, calls in plan.items():
            most = max(call or 0 for call in calls)
            if output is not None and counts[name] <= most:  # None: the pass was stopped early
                often = f"runs only {counts[name]} times" if counts[name] else "does not run"
                raise ValueError(f"Layer {name!r} {often} in a forward pass, so there is nothing to replace: choose another.")

    reset()
    with ExitStack() as stack:
        stack.callback(model.register_forward_pre_hook(reset).remove)
        for name, module in modules.items():
            stack.callback(module.register_forward_hook(replacer(name)).remove)
        stack.callback(model.register_forward_hook(check).remove)
        yield


@contextmanager
def override(model: nn.Module, forwards: Mapping[Layer, Callable]) -> Iterator[None]:
    """Let some layers run another function instead of their own, for the forward passes inside the ``with`` block.

    Unlike with :func:`replace`, the layer's own work is left out. A function that returns a stored output therefore
    skips the layer, with all that is inside it.

    Args:
        model: any module.
        forwards: for each layer a function of the layer's inputs that returns what the layer would return.

    Raises:
        ValueError: there is no such layer, it does not run, or what stands for it is no function.

    Example:
        >>> with override(model, {"layer1": lambda images: stored}):
        ...     logits = model(images)
    """
    modules = {name: (module, forward) for layer, forward in forwards.items() for name, module in [resolve(model, layer)]}
    for name, (_, forward) in modules.items():
        if not callable(forward):
            raise ValueError(f"In the place of layer {name!r} stands a function of its inputs, not {kind_of(forward)}.")
    ran: set[str] = set()

    def noted(name: str, forward: Callable) -> Callable:
        def run(*inputs: object, **options: object) -> object:
            ran.add(name)
            return forward(*inputs, **options)

        return run

    def check(_model: nn.Module, _inputs: object, output: object) -> None:
        if output is not None and (idle := [name for name in modules if name not in ran]):  # None: it was stopped early
            raise ValueError(f"Layer {idle[0]!r} does not run in a forward pass, so nothing can stand for it: choose another.")

    with ExitStack() as stack:
        for name, (module, forward) in modules.items():
            stack.enter_context(_forward_as(module, noted(name, forward)))
        stack.callback(model.register_forward_hook(check).remove)
        yield


# ----------------------------------------------------------------------------------------------- record and run again


def constant(output: object) -> Callable:
    """A forward for :func:`override` that answers the same each time: a copy, because the next module may work in place."""
    return lambda *inputs, **options: _each_tensor(output, Tensor.clone)


class _Call(NamedTuple):
    """One call of a module: when it began and ended, and what it returned."""

    begin: int
    end: int
    output: object


class Recording:
    """A forward pass that can be run again from any of some layers.

    Whatever stands beside the way from the model down to a layer, and has run before it, is remembered whole and not run
    again. That holds for any module, also with connections that go around the layer.

    Args:
        model: any module, in the mode (train or eval) in which it is to be run.
        images: ``(N, channel, height, width)``.
        layers: by name or as modules. Of a layer that runs several times, the first call is meant.
        stop: end the pass as soon as all layers have run.

    Attributes:
        images: as given.
        output: the model's answer; None if the pass was stopped.
        outputs: what each layer returned, in the order in which they ended: ``{name: output}``.
        runs: how often each layer ran: ``{name: number}``.

    Raises:
        ValueError: there is no such layer, it is the model itself, or it does not run.

    Example:
        >>> recording = Recording(model, images, ["layer2", "layer3"])
        >>> with override(model, {"layer3": constant(other)}):
        ...     logits = recording.run("layer3")  # what comes before layer 3 is not run again
    """

    def __init__(self, model: nn.Module, images: Tensor, layers: Iterable[Layer], *, stop: bool = False) -> None:
        self.model, self.images = model, images
        modules = dict(resolve(model, layer) for layer in layers)
        if not modules or "" in modules:
            raise ValueError("A pass is run again from a layer inside the model, not the model itself: name one of its layers.")
        beside = {name: _beside(model, name) for name in modules}
        calls: dict[nn.Module, list[_Call]] = {module: [] for some in beside.values() for module in some}
        calls |= {module: [] for module in modules.values()}
        begun: list[int] = []  # of the calls that have not ended, which are nested
        clock = itertools.count()

        def begin(_module: nn.Module, _inputs: object) -> None:
            begun.append(next(clock))

        def keep(module: nn.Module, _inputs: object, output: object) -> None:
            # A copy, because an in-place operation after the module would rewrite what is remembered.
            calls[module].append(_Call(begun.pop(), next(clock), _each_tensor(output, Tensor.clone)))
            if stop and all(calls[wanted] for wanted in modules.values()):
                raise _StopForward(self)

        with torch.no_grad(), ExitStack() as stack:
            if stop:
                stack.enter_context(_stoppable(model, self, lambda: next(iter(modules))))
            for module in calls:
                stack.callback(module.register_forward_pre_hook(begin).remove)
                stack.callback(module.register_forward_hook(keep).remove)
            self.output = model(images.clone())  # the first layer may work in place

        for name, module in modules.items():
            if not calls[module]:
                raise ValueError(f"Layer {name!r} has not run in this forward pass: choose one that runs.")
        ordered = sorted(modules, key=lambda name: calls[modules[name]][0].end)
        self.outputs = {name: calls[modules[name]][0].output for name in ordered}
        self.runs = {name: len(calls[modules[name]]) for name in ordered}
        self._memory = {
            name: _before(calls[modules[name]][0], {module: calls[module] for module in beside[name]}) for name in ordered
        }

    def activation(self, layer: str) -> Tensor:
        """The (first) tensor that the layer returned."""
        return _first(self.outputs[layer], layer)

    @contextmanager
    def recalled(self, layer: str, fit: Callable[[object], object] | None = None) -> Iterator[None]:
        """For one forward pass inside the block, what has run before the layer answers from memory.

        Args:
            layer: one of the recorded ones.
            fit: from a remembered output to the one that is given instead; a copy by default.
        """
        fit = fit or (lambda output: _each_tensor(output, Tensor.clone))
        with ExitStack() as stack:
            for module, outputs in self._memory[layer].items():
                stack.enter_context(_forward_as(module, _recall(outputs, fit, module.forward)))
            yield

    def run(self, layer: str, *, first: int | None = None) -> object:
        """The model's answer, with what has run before the layer from memory; of the first few images alone, if asked."""

        def fit(tensor: Tensor) -> Tensor:
            return tensor[:first].clone() if len(tensor.shape) and len(tensor) == len(self.images) else tensor.clone()

        with self.recalled(layer, lambda output: _each_tensor(output, fit)):
            return self.model(self.images[:first].clone())


def _beside(model: nn.Module, name: str) -> list[nn.Module]:
    """All modules that are not on the way from the model down to a layer, each as a whole."""
    module, others = model, []
    for part in name.split("."):
        down = getattr(module, part)
        others += [child for child in module.children() if child is not down]
        module = down
    return others


def _before(first: _Call, beside: Mapping[nn.Module, Sequence[_Call]]) -> dict[nn.Module, list[object]]:
    """The outputs of all calls that had ended when the first call of a layer began, and were not part of one another."""
    ended = [call for calls in beside.values() for call in calls if call.end < first.begin]
    # A shared module can stand beside the way and inside another part as well, which is remembered with all that is in it.
    outer = {call.begin for call in ended if not any(each.begin < call.begin and call.end < each.end for each in ended)}
    kept = {module: [call.output for call in calls if call.begin in outer] for module, calls in beside.items()}
    return {module: outputs for module, outputs in kept.items() if outputs}


def _recall(outputs: Sequence[object], fit: Callable, forward: Callable) -> Callable:
    """A forward that answers from memory as often as there is a remembered output, and then computes again."""
    remaining = iter(outputs)

    def recalled(*args: object, **kwargs: object) -> object:
        for output in remaining:
            return fit(output)
        return forward(*args, **kwargs)

    return recalled


class Replay:
    """A forward pass that starts at the output of one layer: see :func:`replay`.

    Attributes:
        name: of the layer.
        activation: the layer's output for the remembered images, ``(N, …)``.
    """

    def __init__(self, model: nn.Module, images: Tensor, layer: Layer) -> None:
        self.name, self._module = resolve(model, layer)
        self._recording = Recording(model, images, [layer], stop=True)
        self.activation = self._recording.activation(self.name)
        if len(self.activation) != len(images):
            raise ValueError(
                f"Layer {self.name!r} gives {tuple(self.activation.shape)} for {len(images)} pictures: its first axis does not "
                "count the pictures; choose a layer around it."
            )

    def __call__(self, activation: Tensor, index: Tensor | None = None) -> Tensor:
        """Return the model's output when the layer's output is ``activation``.

        Args:
            activation: ``(M, …)``, shaped like :attr:`activation` but for the batch.
            index: which remembered image each of the M rows belongs to, ``(M,)``; may be left out when M = N, or when
                one image is remembered. It matters for connections that go around the layer.

        Raises:
            ValueError: the shape does not fit, or M ≠ N and no index was given.
        """
        if not isinstance(activation, Tensor) or not activation.ndim:
            raise ValueError(
                f"An activation of layer {self.name!r} is a tensor, as tail.activation is, not {kind_of(activation)}."
            )
        rows, known = activation.shape[0], len(self.activation)
        if activation.shape[1:] != self.activation.shape[1:]:
            raise ValueError(
                f"An activation of layer {self.name!r} has shape (M, {', '.join(map(str, self.activation.shape[1:]))})"
                f", this one {tuple(activation.shape)}."
            )
        if index is None and rows != known and known != 1:
            raise ValueError(f"{rows} activations for {known} remembered images: pass index=, the image each row belongs to.")
        if index is not None:
            index = torch.as_tensor(index, device=activation.device)
            whole = not index.is_floating_point() and index.dtype != torch.bool and index.shape == (rows,)
            if not whole or (rows and not 0 <= int(index.min()) <= int(index.max()) < known):
                raise ValueError(f"index= names the image of each of the {rows} rows, whole numbers from 0 to {known - 1}.")
        try:
            return self._run(activation, index, share=known == 1 < rows)
        except RuntimeError as error:
            if "single memory location" not in str(error):
                raise
            # Something works in place on what all rows share, so each row needs its own copy.
            return self._run(activation, index, share=False)

    def _run(self, activation: Tensor, index: Tensor | None, share: bool) -> Tensor:
        rows, known = len(activation), len(self.activation)

        def fit(tensor: Tensor) -> Tensor:
            if tensor.shape[:1] != (known,):
                return tensor
            if known == 1 < rows:
                return tensor.expand(rows, *tensor.shape[1:]) if share else tensor.repeat(rows, *[1] * (tensor.ndim - 1))
            # A copy also when nothing changes size, because an in-place operation must not reach the memory.
            return tensor.clone() if index is None else tensor[index]

        recording = self._recording
        whole = activation.clone()  # a copy, because the next module may work in place
        if not isinstance(recording.outputs[self.name], Tensor):
            whole = with_first_tensor(_each_tensor(recording.outputs[self.name], fit), whole)
        start = _recall([whole], lambda output: output, self._module.forward)
        with recording.recalled(self.name, lambda output: _each_tensor(output, fit)), _forward_as(self._module, start):
            return recording.model(fit(recording.images))


def replay(model: nn.Module, images: Tensor, layer: Layer) -> Replay:
    """Run ``images`` up to ``layer`` once, and return a function that runs only the rest.

    This is what makes interventions fast: everything that an intervention at the layer cannot change is computed
    once, remembered, and left out afterwards; see :class:`Recording`. The result is differentiable with respect to the
    activation that is put in.

    Args:
        model: any module, in the mode (train or eval) in which it is to be run.
        images: ``(N, channel, height, width)``.
        layer: the layer whose output is to be replaced. A layer that runs several times is replaced at its first call.

    Returns:
        A :class:`Replay`: ``tail.activation`` is the layer's output, ``tail(activation)`` the model's answer to
        another one.

    Raises:
        ValueError: there is no such layer, it does not return a tensor, or its first axis does not count the images.

    Example:
        >>> tail = replay(model, images, "layer3")
        >>> torch.equal(tail(tail.activation), model(images))
        True
    """
    return Replay(model, images, layer)
