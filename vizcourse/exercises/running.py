"""Call a learner's function without harm, and put what goes wrong into words.

Each call gets its own copies of the inputs and the same random seed; what the function prints goes through;
KeyboardInterrupt goes through too. Nothing here is ever run anywhere but in the learner's own kernel.
"""

import builtins
import copy
import difflib
import inspect
import linecache
import random
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vizcourse.exercises import compare, source


@dataclass(frozen=True)
class Case:
    """The arguments of one call."""

    args: tuple = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return compare.size(self.args) + compare.size(self.kwargs)

    def named(self, function: Callable) -> dict[str, Any]:
        """The arguments under the names that `function` gives them."""
        try:
            names = [
                name
                for name, parameter in inspect.signature(function).parameters.items()
                if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
            ]
        except (TypeError, ValueError):
            names = []
        names += [f"argument {index + 1}" for index in range(len(names), len(self.args))]
        return dict(zip(names, self.args, strict=False)) | self.kwargs


def case(*args: Any, **kwargs: Any) -> Case:
    """A case with keyword arguments: `case(image, kernel, stride=2)`. A plain tuple is enough without them."""
    return Case(args, kwargs)


@dataclass(frozen=True)
class Returned:
    value: Any
    changed: tuple[str, ...] = ()  # names of the arguments that the call changed in place


@dataclass(frozen=True)
class Raised:
    error: Exception


Outcome = Returned | Raised


def call(function: Callable, one: Case, names: Callable, use: Callable | None = None) -> Outcome:
    """Call `function` (through `use`, if given) on copies of a case's inputs, with a fixed seed.

    `names` is the function whose signature names the arguments.
    """
    own = copy_of(one)
    try:
        with seeded():
            value = use(function, *own.args, **own.kwargs) if use else function(*own.args, **own.kwargs)
    except Exception as error:
        return Raised(error)
    before, after = one.named(names), own.named(names)
    return Returned(value, tuple(name for name in before if _changed(before[name], after[name])))


def same_outcome(first: Outcome, second: Outcome, rtol: float, atol: float) -> bool:
    """Whether two functions did the same on one case: equal values, or the same error with the same words."""
    if isinstance(first, Raised) or isinstance(second, Raised):
        return (
            isinstance(first, Raised)
            and isinstance(second, Raised)
            and type(first.error) is type(second.error)
            and str(first.error) == str(second.error)
        )
    return compare.difference(first.value, second.value, rtol=rtol, atol=atol) is None


def copy_of(one: Case) -> Case:
    """A copy that shares nothing with `one`; objects that stand in it twice stand in the copy twice."""
    memo: dict[int, Any] = {}
    return Case(
        tuple(_copy(value, memo) for value in one.args),
        {name: _copy(value, memo) for name, value in one.kwargs.items()},
    )


def _copy(value: Any, memo: dict[int, Any]) -> Any:
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, torch.Tensor) and not value.is_leaf:
        memo[id(value)] = value.detach().clone()  # deepcopy refuses tensors with a history
        return memo[id(value)]
    if type(value) in (list, tuple):
        return type(value)(_copy(entry, memo) for entry in value)
    if type(value) is dict:
        return {key: _copy(entry, memo) for key, entry in value.items()}
    try:
        return copy.deepcopy(value, memo)
    except Exception:
        return value  # a generator, a lock, an open file: cannot be copied


def _changed(before: Any, after: Any) -> bool:
    if isinstance(before, torch.nn.Module):
        return before.training != after.training or _changed(dict(before.state_dict()), dict(after.state_dict()))
    if isinstance(before, (torch.Tensor, np.ndarray, list, tuple, dict)):
        try:
            return compare.difference(before, after, rtol=0, atol=0) is not None
        except Exception:
            return False  # not comparable: nothing that could be claimed
    return False


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Within the block all random numbers come from `seed`; afterwards the generators go on where they were."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            random.seed(seed)
            np.random.seed(seed)
            # Not torch.manual_seed: it would seed the accelerators too, which fork_rng(devices=[]) does not restore.
            torch.default_generator.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


@contextmanager
def visible(definition: Any) -> Iterator[None]:
    """Within the block the definition's own name means the definition.

    A decorator runs before the name is bound, so a recursive function would otherwise meet nothing, or an older
    version of itself.
    """
    scopes = [function.__globals__ for function in source.functions_of(definition)]
    name = getattr(definition, "__name__", "")
    if not scopes or "<locals>" in getattr(definition, "__qualname__", "<locals>"):
        yield
        return
    scope, missing = scopes[0], object()
    earlier = scope.get(name, missing)
    scope[name] = definition
    try:
        yield
    finally:
        if earlier is missing:
            scope.pop(name, None)
        else:
            scope[name] = earlier


def signature_problem(learner: Callable, reference: Callable, cases: list[Case]) -> str | None:
    """A sentence when the learner's function cannot even be called as the exercise does."""
    try:
        signature = inspect.signature(learner)
    except (TypeError, ValueError):
        return None
    for one in cases:
        try:
            signature.bind(*one.args, **one.kwargs)
        except TypeError:
            takes = list(signature.parameters)
            called_with = list(one.named(reference))
            listed = f" ({', '.join(takes)})" if takes else ""
            wanted = f"{reference.__name__}{_without_annotations(inspect.signature(reference))}"
            count = "1 argument" if len(takes) == 1 else f"{len(takes) or 'no'} arguments"
            return (
                f"Your function takes {count}{listed}; the exercise calls it with "
                f"{len(called_with) or 'none'}{': ' + ', '.join(called_with) if called_with else ''}. "
                f"Begin with `def {wanted}:`."
            )
    return None


def _without_annotations(signature: inspect.Signature) -> inspect.Signature:
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    return signature.replace(parameters=bare, return_annotation=signature.empty)


def describe_error(error: Exception) -> tuple[str, str]:
    """An exception from a learner's code: a sentence in words, and the line of *their* code that it came from."""
    frame = _learners_frame(error)
    words = in_words(error)
    if frame is None:
        return f"The exercise could not use what your code gave back: {words}", ""
    line = linecache.getline(frame.filename, frame.lineno).strip() or (frame.line or "").strip()
    inside = f" of `{frame.name}`" if frame.name.isidentifier() else ""
    return f"Your code stopped at line {frame.lineno}{inside}: {words}", line


def in_words(error: Exception) -> str:
    """What an exception means, in one sentence."""
    message = " ".join(str(error).split("\n")[0].split())
    message = message if len(message) <= 240 else message[:237] + "…"
    name = getattr(error, "name", None)
    match error:
        case UnboundLocalError():
            return f"a name is used before it has a value ({message})."
        case NameError():
            close = _names_like(name or "", error)
            guess = f"Did you mean `{close}`?" if close else "Was it made, and is it spelled the same?"
            return f"the name `{name or message}` is not defined. {guess}"
        case RecursionError():
            return "the function calls itself again and again and never stops."
        case IndexError():
            return f"an index lies outside ({message})."
        case KeyError():
            return f"the dictionary has no key {message}."
        case AttributeError():
            return f"something has no such attribute or method ({message})."
        case ZeroDivisionError():
            return "there is a division by zero."
        case ModuleNotFoundError():
            return f"the module `{name}` is not installed here."
        case ImportError():
            return f"an import failed ({message})."
        case AssertionError():
            return f"an `assert` does not hold{f' ({message})' if message else ''}."
        case TypeError():
            return f"something is of the wrong kind for what is done with it ({message})."
        case MemoryError():
            return "it asks for more memory than there is."
        case RuntimeError() if "size" in message or "shape" in message or "dimension" in message:
            return f"the shapes of two tensors do not fit ({message})."
        case ValueError():
            return f"a value does not fit ({message})."
        case NotImplementedError() if message:
            return f"something is not implemented ({message})."
        case NotImplementedError():
            return "a part is not written yet (`raise NotImplementedError`)."
        case StopIteration():
            return "an iterator is used up (`next` found nothing)."
    return f"{type(error).__name__}{f' ({message})' if message else ''}."


def _names_like(name: str, error: Exception) -> str | None:
    """The closest name to `name` that the code could see where it stopped."""
    step = error.__traceback__
    if step is None:
        return None
    while step.tb_next is not None:
        step = step.tb_next
    visible_names = [*step.tb_frame.f_locals, *step.tb_frame.f_globals, *dir(builtins)]
    return next(iter(difflib.get_close_matches(name, visible_names, n=1, cutoff=0.7)), None)


def describe_case(one: Case, names: Callable) -> list[str]:
    """The inputs of a case, one line each."""
    return [f"{name}: {compare.show(value)}" for name, value in one.named(names).items()]


def short_case(one: Case, names: Callable) -> str:
    """A case in half a line: 'image of shape (1, 3, 3), stride = 2'."""
    parts = []
    for name, value in one.named(names).items():
        shape = getattr(value, "shape", None)
        parts.append(f"{name} of shape {tuple(shape)}" if shape is not None else f"{name} = {compare.show(value)}")
    return ", ".join(parts)


def _learners_frame(error: Exception) -> traceback.FrameSummary | None:
    """The deepest frame that is neither the course's, nor a library's, nor Python's own."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame for frame in reversed(frames) if not _is_library(frame.filename)), None)


def _is_library(filename: str) -> bool:
    if filename.startswith("<frozen"):
        return True
    path = Path(filename)
    # Cells stand under names of their own ("<ipython-input-…>", or a file in the temporary folder): not in these.
    roots = [Path(__file__).resolve().parents[1], Path(torch.__file__).resolve().parent]
    roots += [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")]
    if not path.is_absolute():
        return False
    resolved = path.resolve()
    return any(root in resolved.parents for root in roots)


def argument_mapping(values: Mapping[str, Any] | tuple | Case) -> Case:
    """A case from what a lesson's author wrote: a tuple of arguments, a mapping of keyword arguments, or a Case."""
    if isinstance(values, Case):
        return values
    if isinstance(values, Mapping):
        return Case((), dict(values))
    if isinstance(values, tuple):
        return Case(values)
    raise ValueError(f"A case is a tuple of arguments, not {compare.kind(values)}: write (image,) for a single one.")
