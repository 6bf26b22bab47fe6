"""Read and replace activations of any ``torch.nn.Module``.

The one mechanism on which every method of the course stands. Each function is a context manager or returns an
object that holds no hook, so nothing stays behind on the model: not after an exception, not after a keyboard
interrupt, not when calls are nested.

A *layer* is named as in ``model.named_modules()`` (``"layer3.0.conv1"``) or given as the module itself. A module
that runs several times in a forward pass (a shared ReLU) is addressed call by call: ``("layer4.0.relu", 1)`` is its
second call. Where a module returns a tuple (``nn.MultiheadAttention``), its first tensor is meant and the rest is
left as it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

Layer = str | nn.Module
Wanted = Layer | tuple[Layer, int]


def resolve(model: nn.Module, layer: Layer) -> tuple[str, nn.Module]:
    """Return ``(name, module)`` of a layer of ``model``.

    Args:
        model: any module.
        layer: a name from ``model.named_modules()``, or one of those modules.

    Raises:
        ValueError: the model has no such layer; the message lists the closest names.
    """
    if isinstance(layer, str):  # the usual case, without a walk through all modules
        try:
            return layer, model.get_submodule(layer)
        except AttributeError:
            pass
    modules = dict(model.named_modules())
    if isinstance(layer, nn.Module):
        for name, module in modules.items():
            if module is layer:
                return name, module
        raise ValueError(
            f"This {type(layer).__name__} is not a part of the {type(model).__name__}: "
            "take a layer from model.named_modules() of the same model."
        )
    names = [name for name in modules if name]
    close = difflib.get_close_matches(str(layer), names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"its layers are {_short(names)}."
    raise ValueError(f"{type(model).__name__} has no layer {layer!r}: {hint}")


def _short(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _first(output: object, name: str) -> Tensor:
    """The tensor of a module's output: the output itself, or the first entry of a tuple."""
    tensor = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(tensor, Tensor):
        raise ValueError(
            f"Layer {name!r} returns a {type(output).__name__}, not a tensor: choose a layer inside it instead."
        )
    return tensor


def _with_first(output: object, tensor: Tensor) -> object:
    """``output`` with its (first) tensor exchanged, in the same kind of container."""
    if not isinstance(output, tuple | list):
        return tensor
    rest = [tensor, *output[1:]]
    if hasattr(output, "_fields"):  # a named tuple takes its fields one by one
        return type(output)(*rest)
    return type(output)(rest)


class Activations(dict):
    """What :func:`capture` fills: ``acts["layer3"]`` is the layer's output, ``acts.calls["layer3"]`` all of them.

    A layer that ran more than once gives its last output, unless one call was asked for with ``(layer, call)``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[str, list[Tensor]] = {}

    def __missing__(self, key: object) -> Tensor:
        if isinstance(key, nn.Module):
            raise KeyError(f"this {type(key).__name__} was not captured; the captured layers are {_short(list(self))}")
        if key in self.calls:
            raise KeyError(f"layer {key!r} has not run {'so often ' if self.calls[key] else ''}in this forward pass")
        raise KeyError(f"layer {key!r} was not asked for; the captured layers are {_short(list(self.calls))}")


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
    if isinstance(layers, str | nn.Module) or (
        isinstance(layers, tuple) and len(layers) == 2 and isinstance(layers[1], int)
    ):
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
            return _with_first(output, tensor.clone())

        return hook

    reset()
    with ExitStack() as stack:
        if stop:
            original = model.forward

            def forward(*args: object, **kwargs: object) -> object:
                try:
                    return original(*args, **kwargs)
                except _StopForward as signal:
                    if signal.owner is not acts:
                        raise
                    return None

            stack.enter_context(_forward_as(model, forward))
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
            return _with_first(output, value)

        return hook

    reset()
    with ExitStack() as stack:
        stack.callback(model.register_forward_pre_hook(reset).remove)
        for name, module in modules.items():
            stack.callback(module.register_forward_hook(replacer(name)).remove)
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
        ValueError: there is no such layer.

    Example:
        >>> with override(model, {"layer1": lambda images: stored}):
        ...     logits = model(images)
    """
    with ExitStack() as stack:
        for layer, forward in forwards.items():
            stack.enter_context(_forward_as(resolve(model, layer)[1], forward))
        yield


class Replay:
    """A forward pass that starts at the output of one layer: see :func:`replay`.

    Attributes:
        activation: the layer's output for the remembered images, ``(N, …)``.
    """

    def __init__(self, model: nn.Module, layer: Layer, images: Tensor) -> None:
        self.model, self.images = model, images
        self.name, self.module = resolve(model, layer)
        if not self.name:
            raise ValueError("replay needs a layer inside the model, not the model itself: name one of its layers.")
        # Everything that is not on the way from the model down to the layer can be remembered whole.
        parents = [model]
        for part in self.name.split("."):
            parents.append(getattr(parents[-1], part))
        on_path = {id(module) for module in parents}
        self._others = {
            name: child
            for parent_name, parent in zip(self._prefixes(), parents[:-1], strict=True)
            for child_name, child in parent.named_children()
            if id(child) not in on_path
            for name in [f"{parent_name}.{child_name}".lstrip(".")]
        }
        self._outputs: dict[str, list[object]] = {name: [] for name in self._others}
        self._record()

    def _prefixes(self) -> list[str]:
        parts = self.name.split(".")
        return [".".join(parts[:depth]) for depth in range(len(parts))]

    def _record(self) -> None:
        def keep(name: str) -> Callable:
            def hook(_module: nn.Module, _inputs: object, output: object) -> object:
                # Kept as a copy, because an in-place operation after the module would rewrite what is remembered.
                self._outputs[name].append(_copied(output))

            return hook

        def keep_whole(_module: nn.Module, _inputs: object, output: object) -> None:
            self._output = output

        with torch.no_grad(), ExitStack() as stack:
            stack.callback(self.module.register_forward_hook(keep_whole).remove)
            acts = stack.enter_context(capture(self.model, self.name, stop=True))
            for name, module in self._others.items():
                stack.callback(module.register_forward_hook(keep(name)).remove)
            self.model(self.images)
        self.activation = acts[self.name]

    def __call__(self, activation: Tensor, index: Tensor | None = None) -> Tensor:
        """Return the model's output when the layer's output is ``activation``.

        Args:
            activation: ``(M, …)``, shaped like :attr:`activation` but for the batch.
            index: which remembered image each of the M rows belongs to, ``(M,)``; may be left out when M = N, or when
                one image is remembered. It matters for connections that go around the layer.

        Raises:
            ValueError: the shape does not fit, or M ≠ N and no index was given.
        """
        rows, known = activation.shape[0], len(self.images)
        if activation.shape[1:] != self.activation.shape[1:]:
            raise ValueError(
                f"An activation of layer {self.name!r} has shape (M, {', '.join(map(str, self.activation.shape[1:]))})"
                f", this one {tuple(activation.shape)}."
            )
        if index is None and rows != known and known != 1:
            raise ValueError(
                f"{rows} activations for {known} remembered images: pass index=, the image each row belongs to."
            )

        def fit(output: object) -> object:
            return _rows(output, known, rows, index)

        with ExitStack() as stack:
            for name, module in self._others.items():
                if self._outputs[name]:
                    stack.enter_context(_forward_as(module, _recall(self._outputs[name], fit, module.forward)))

            # A copy, because the next module may work in place.
            put_in = _with_first(self._output, activation.clone())
            start = _recall([put_in], lambda output: output, self.module.forward)
            stack.enter_context(_forward_as(self.module, start))
            return self.model(fit(self.images))


def _copied(output: object) -> object:
    if isinstance(output, Tensor):
        return output.clone()
    if isinstance(output, tuple | list):
        return _with_first(output, _copied(output[0]))
    return output


def _rows(output: object, known: int, rows: int, index: Tensor | None) -> object:
    """Remembered tensors for the rows of a replay: a free view where one image serves all rows."""
    if isinstance(output, tuple | list):
        return type(output)(_rows(entry, known, rows, index) for entry in output)
    if not isinstance(output, Tensor) or output.shape[:1] != (known,):
        return output
    if known == 1 and rows > 1:
        return output.expand(rows, *output.shape[1:])
    # A copy also when nothing changes size, because an in-place operation must not reach the memory.
    return output.clone() if index is None else output[index]


def _recall(outputs: list[object], fit: Callable, forward: Callable) -> Callable:
    """A forward that answers from memory as often as there is a remembered output, and then computes again."""
    remaining = iter(outputs)

    def recalled(*args: object, **kwargs: object) -> object:
        for output in remaining:
            return fit(output)
        return forward(*args, **kwargs)

    return recalled


def replay(model: nn.Module, layer: Layer, images: Tensor) -> Replay:
    """Run ``images`` up to ``layer`` once, and return a function that runs only the rest.

    This is what makes interventions fast: everything that an intervention at the layer cannot change is computed
    once, remembered, and left out afterwards. Works on any module, also with connections that go around the layer,
    because the parts before it are remembered one by one. The result is differentiable with respect to the
    activation that is put in.

    Args:
        model: any module, in the mode (train or eval) in which it is to be run.
        layer: the layer whose output is to be replaced. A layer that runs several times is replaced at its first call.
        images: ``(N, channel, height, width)``.

    Returns:
        A :class:`Replay`: ``tail.activation`` is the layer's output, ``tail(activation)`` the model's answer to
        another one.

    Raises:
        ValueError: there is no such layer, or it does not return a tensor.

    Example:
        >>> tail = replay(model, "layer3", images)
        >>> torch.equal(tail(tail.activation), model(images))
        True
    """
    return Replay(model, layer, images)
