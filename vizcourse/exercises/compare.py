"""Compare what a learner's code gives with what was expected, and put values and differences into words.

Lenient where the learner is right: integers for floats, NumPy arrays, lists and tuples (of numbers, of tensors, nested)
for tensors, anything of one element for a number, lists for tuples. Strict in what counts: shapes, values, NaN.
"""

import inspect
import math
from collections.abc import Iterable, Mapping
from numbers import Number
from typing import Any

import numpy as np
import torch

_SMALL = 16  # tensors of at most so many values are shown whole


def is_number(value: Any) -> bool:
    return isinstance(value, (Number, np.generic)) and not isinstance(value, (np.str_, np.bytes_))


def is_numeric(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biufc"
    return is_number(value) or isinstance(value, torch.Tensor)


def as_array(value: Any) -> np.ndarray:
    """A number, array or tensor (any device, precision, gradient or not) as an array of float64 (or complex128)."""
    if isinstance(value, torch.Tensor):
        value = value.detach().to_dense() if value.layout != torch.strided else value.detach()
        value = value.cpu().resolve_conj().resolve_neg()
        value = (value if value.is_complex() else value.double()).numpy()
    array = np.asarray(value)
    if array.dtype.kind == "O" and isinstance(value, int):  # an integer too large for any float
        return np.asarray(np.inf if value > 0 else -np.inf)
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def as_tensor(value: Any, like: torch.Tensor | None = None) -> torch.Tensor:
    """A number, array, tensor, or (nested) list or tuple of those as one tensor, gradients kept.

    like: a tensor whose dtype it gets; where `like` has no dimension, one element of any shape counts.

    Raises ValueError where there are no numbers in it, or lists of unequal lengths.
    """
    if numeric(value) is None:
        raise ValueError(f"{kind(value)} cannot be read as a tensor: its entries are no numbers, or of unequal lengths")
    if isinstance(value, (list, tuple)):
        tensor = torch.stack([as_tensor(entry) for entry in value]) if len(value) else torch.zeros(0)
    else:
        tensor = value if isinstance(value, torch.Tensor) else torch.as_tensor(value)
    if like is None:
        return tensor
    tensor = tensor.to(like.dtype)
    return tensor.reshape(()) if like.ndim == 0 and tensor.numel() == 1 else tensor


def as_numbers(value: Any) -> np.ndarray | None:
    """A (nested) list or tuple of numbers, arrays and tensors as one array; None where it is none.

    The entries must be of one shape, as for `torch.stack`. Unlike `as_tensor` it does not keep gradients.
    """
    if not isinstance(value, (list, tuple)):
        return None
    entries = [numeric(entry) for entry in value]
    if any(entry is None for entry in entries) or len({entry.shape for entry in entries}) > 1:
        return None
    return np.stack(entries) if entries else np.zeros(0)


def _asked_number(expected: Any) -> bool:
    return is_number(expected) or (is_numeric(expected) and not expected.shape)


def numeric(value: Any) -> np.ndarray | None:
    """A number, array, tensor, list or tuple as one array; None where it is none."""
    return as_array(value) if is_numeric(value) else as_numbers(value)


def _given_array(expected: Any, actual: Any) -> np.ndarray:
    """What a learner gave where numbers are asked; one element of any shape for a number."""
    array = numeric(actual)
    return array.reshape(()) if array.size == 1 and _asked_number(expected) else array


def difference(
    expected: Any, actual: Any, *, rtol: float = 1e-4, atol: float = 1e-5, patterns: bool = True
) -> str | None:
    """None when `actual` is as good as `expected`, else one sentence that says what differs.

    With `patterns` a second sentence says what it looks like (a constant factor, only the shape), if it does. It speaks
    of this one pair: where there are more, see `common_pattern`.
    """
    if wrong_kind := kind_problem(expected, actual):
        return wrong_kind
    if is_numeric(expected):
        wanted, given = as_array(expected), _given_array(expected, actual)
        sentence = _numeric_difference(wanted, given, rtol, atol)
        if sentence and patterns and (pattern := _pattern(wanted, given, rtol, atol)):
            return f"{sentence} {pattern}"
        return sentence
    if isinstance(expected, (Mapping, list, tuple)):
        pairs = _entries(expected, actual)
    elif isinstance(expected, np.ndarray):
        return None if np.array_equal(expected, actual) else "The array is not the expected one."
    elif isinstance(expected, torch.nn.Module):
        if str(expected) != str(actual):
            return "The layers are not those expected."
        pairs = [
            (f"the weight {name}", wanted, actual.state_dict()[name]) for name, wanted in expected.state_dict().items()
        ]
    else:
        return None if expected is actual or _equal(expected, actual) else "The value is not the expected one."
    for name, wanted, given in pairs:
        if problem := difference(wanted, given, rtol=rtol, atol=atol, patterns=patterns):
            return f"In {name}: {problem}"
    return None


def common_pattern(pairs: Iterable[tuple[Any, Any]], rtol: float = 1e-4, atol: float = 1e-5) -> str | None:
    """What all pairs of (expected, actual) that differ have in common, in one sentence; None where there is nothing.

    In nested values it looks at the first entry that differs, which must be the same one in every pair.
    """
    found: set[tuple[str, str | None]] = set()
    for expected, actual in pairs:
        if difference(expected, actual, rtol=rtol, atol=atol, patterns=False) is None:
            continue
        place, wanted, given = _first_differing_leaf(expected, actual, rtol, atol)
        if not is_numeric(wanted) or kind_problem(wanted, given):
            return None
        found.add((place, _pattern(as_array(wanted), _given_array(wanted, given), rtol, atol)))
    return found.pop()[1] if len(found) == 1 else None


def _entries(expected: Any, actual: Any) -> list[tuple[str, Any, Any]]:
    """The entries of two mappings or sequences of one kind and length, side by side."""
    if isinstance(expected, Mapping):
        return [(f"the entry {key!r}", expected[key], actual[key]) for key in expected]
    return [
        (f"element {index}", wanted, given)
        for index, (wanted, given) in enumerate(zip(expected, _as_list(actual), strict=True))
    ]


def _first_differing_leaf(expected: Any, actual: Any, rtol: float, atol: float) -> tuple[str, Any, Any]:
    if isinstance(expected, (Mapping, list, tuple)) and not kind_problem(expected, actual):
        for name, wanted, given in _entries(expected, actual):
            if difference(wanted, given, rtol=rtol, atol=atol, patterns=False) is not None:
                place, wanted, given = _first_differing_leaf(wanted, given, rtol, atol)
                return f"{name} {place}", wanted, given
    return "", expected, actual


def kind_problem(expected: Any, actual: Any) -> str | None:
    """What is wrong with the *kind* of `actual` (type, number of entries), without a word on the expected values."""
    wanted = f"expected {kind(expected)}"
    if actual is None and expected is not None:
        return f"The value is None; {wanted}."
    if inspect.isgenerator(actual):
        return f"It is a generator (the code says `yield`); {wanted}: collect the values and `return` them."
    if inspect.iscoroutine(actual):
        return f"It is a coroutine (the code says `async`); {wanted}: write a plain `def`."
    if is_numeric(expected):
        if is_numeric(actual):
            return None
        if isinstance(actual, np.ndarray):
            return f"The array does not hold numbers (its dtype is {actual.dtype}); {wanted}."
        if isinstance(actual, str) and _is_text_of_number(actual):
            return f"{actual!r} is text; {wanted}: leave out the quotes."
        if isinstance(actual, (list, tuple)):
            numbers = as_numbers(actual)
            if numbers is None:
                return f"It is {kind(actual)} that does not make a table of numbers; {wanted}."
            if not is_number(expected) or numbers.size == 1:
                return None
            return f"It is {kind(actual)}; {wanted}."
        if callable(actual) and not isinstance(actual, torch.nn.Module):
            return f"It is a function; {wanted}: are the parentheses of a call missing?"
        return f"It is {kind(actual)}; {wanted}."
    if isinstance(expected, Mapping):
        if not isinstance(actual, Mapping):
            return f"It is {kind(actual)}; {wanted}."
        missing, extra = [k for k in expected if k not in actual], [k for k in actual if k not in expected]
        if missing or extra:
            return (
                "The keys differ: "
                + "; ".join(
                    f"{name} {', '.join(map(repr, keys))}"
                    for name, keys in (("missing", missing), ("not expected", extra))
                    if keys
                )
                + "."
            )
        return None
    if isinstance(expected, (list, tuple)):
        entries = _as_list(actual)
        if entries is None:
            return f"It is {kind(actual)}; {wanted}."
        if len(entries) != len(expected):
            return f"It has {_count(len(entries), 'entry', 'entries')}; expected {len(expected)}."
        return None
    if isinstance(expected, np.ndarray):
        return None if isinstance(actual, np.ndarray) else f"It is {kind(actual)}; {wanted}."
    if isinstance(expected, torch.nn.Module):
        return None if isinstance(actual, torch.nn.Module) else f"It is {kind(actual)}; {wanted}."
    if isinstance(expected, (str, set, frozenset)):
        family = str if isinstance(expected, str) else (set, frozenset)
        return None if isinstance(actual, family) else f"It is {kind(actual)}; {wanted}."
    return None


def kind(value: Any) -> str:
    """A value's kind in words, with its article: 'a tensor', 'a list of 3'."""
    if value is None or value is ...:
        return "None" if value is None else "`...`"
    if isinstance(value, torch.Tensor):
        return "a tensor"
    if isinstance(value, np.ndarray):
        return "a NumPy array"
    if isinstance(value, bool):
        return "True or False"
    if is_number(value):
        return "a number"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        name = {list: "list", tuple: "tuple", dict: "dictionary"}.get(type(value), type(value).__name__)
        return f"a {name} of {len(value)}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if inspect.isroutine(value):
        return "a function"
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def show(value: Any) -> str:
    """A value, compactly: numbers to four digits, small tensors whole, large ones by shape, range and mean."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        try:
            array = as_array(value)
        except (ValueError, TypeError, RuntimeError):
            return f"{kind(value)} of shape {tuple(value.shape)}, dtype {value.dtype}"
        if array.ndim == 0:
            return _number(array.item())
        shape = f"shape {tuple(array.shape)}"
        if array.size == 0:
            return f"{shape}, no values"
        if array.size <= _SMALL:
            return f"{shape}, values {_nested(array.tolist())}"
        if array.dtype.kind == "c":
            return shape
        finite = array[np.isfinite(array)]
        odd = array.size - finite.size
        if finite.size == 0:
            return f"{shape}, no finite value"
        text = f"{shape}, values from {_number(finite.min())} to {_number(finite.max())}, mean {_number(finite.mean())}"
        return f"{text}, {odd} of {array.size} not finite" if odd else text
    if is_number(value) and not isinstance(value, bool):
        return _number(value)
    if isinstance(value, (list, tuple)):
        if len(value) > _SMALL:
            return f"{kind(value)} entries"
        entries = ", ".join(map(show, value))
        return f"[{entries}]" if isinstance(value, list) else f"({entries}{',' if len(value) == 1 else ''})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {show(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, torch.nn.Module):
        return f"a {type(value).__name__}"
    if isinstance(value, type) or inspect.isroutine(value):
        return getattr(value, "__name__", repr(value))
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "…"


def size(value: Any) -> int:
    """How much there is to read in `value`: the number of numbers in it."""
    if isinstance(value, torch.Tensor):
        return value.numel()
    if isinstance(value, np.ndarray):
        return value.size
    if isinstance(value, Mapping):
        return sum(map(size, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(size, value))
    if isinstance(value, torch.nn.Module):
        return sum(parameter.numel() for parameter in value.parameters())
    return 1


def _numeric_difference(expected: np.ndarray, actual: np.ndarray, rtol: float, atol: float) -> str | None:
    if expected.shape != actual.shape:
        return _shape_difference(expected, actual)
    surplus_nan = np.isnan(actual) & ~np.isnan(expected)
    if surplus_nan.any():
        return (
            f"{_share(surplus_nan)} NaN (not a number): "
            "look for 0/0, the logarithm or the root of something negative, or an empty mean."
        )
    surplus_infinity = np.isinf(actual) & np.isfinite(expected)
    if surplus_infinity.any():
        return f"{_share(surplus_infinity)} infinite: look for a division by zero or an exponential of a large number."
    close = np.isclose(actual, expected, rtol=rtol, atol=atol, equal_nan=True)
    if close.all():
        return None
    if expected.ndim == 0:
        return "The value differs."
    where = tuple(int(i) for i in np.argwhere(~close)[0])
    if expected.size == 1:
        return f"The shape is right, the value is not: expected {_pair(expected[where], actual[where])}."
    place = f"[{', '.join(map(str, where))}]"
    first = f"the first at {place}: expected {_pair(expected[where], actual[where])}"
    return f"The shape is right; {int((~close).sum())} of {close.size} values differ, {first}."


def _shape_difference(expected: np.ndarray, actual: np.ndarray) -> str:
    sentence = f"The shape is {actual.shape}; expected {expected.shape}."
    if actual.ndim != expected.ndim:
        missing = _count(abs(expected.ndim - actual.ndim), "dimension", "dimensions")
        return f"{sentence} That is {missing} too {'few' if actual.ndim < expected.ndim else 'many'}."
    return sentence


def _pattern(expected: np.ndarray, actual: np.ndarray, rtol: float, atol: float) -> str | None:
    """A tutor's glance at the values: only the shape, a constant factor, a constant offset, an axis reversed."""

    def like(candidate: np.ndarray) -> bool:
        return candidate.shape == actual.shape and np.allclose(candidate, actual, rtol=rtol, atol=atol)

    if (
        not (np.isfinite(expected).all() and np.isfinite(actual).all())
        or expected.dtype.kind == "c"
        or actual.dtype.kind == "c"
    ):
        return None
    if expected.shape != actual.shape:
        if actual.size != expected.size:
            return None
        if actual.ndim == expected.ndim and like(expected.T):
            return "The values are right, with the axes the other way round."
        if np.allclose(actual.ravel(), expected.ravel(), rtol=rtol, atol=atol):
            return "The values are right: only the shape is not (squeeze, unsqueeze or reshape)."
        return None
    several = expected.size > 2 and np.ptp(expected) > 10 * atol
    if not np.any(actual):
        return "Yours is zero everywhere." if expected.size > 1 else None
    if like(-expected):
        return "The sign is the other way round."
    if several:
        factor = float((actual * expected).sum() / (expected * expected).sum())
        if abs(factor) > 1e-3 and like(factor * expected):
            return f"Yours is the expected result times {_number(factor)}, everywhere."
        offset = float((actual - expected).mean())
        if like(expected + offset):
            return f"Yours is the expected result plus {_number(offset)}, everywhere."
        if like(expected.T):
            return "Yours is the expected result with its axes the other way round."
        for axis in range(expected.ndim):
            if like(np.flip(expected, axis)):
                return f"Yours is the expected result, reversed along axis {axis}."
    return None


def _pair(expected: Any, actual: Any) -> str:
    """Two numbers, with as many digits as it takes to tell them apart."""
    for digits in (4, 8, 17):
        texts = (_number(expected.item(), digits), _number(actual.item(), digits))
        if texts[0] != texts[1]:
            break
    return f"{texts[0]}, yours {texts[1]}"


def _number(value: Any, digits: int = 4) -> str:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool) or not isinstance(value, (int, float, complex)):
        return str(value)
    if isinstance(value, complex):
        return f"{value:.{digits}g}"
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) and abs(value) < 1e6):
        return str(int(value))
    return "NaN" if math.isnan(value) else f"{value:.{digits}g}"


def _nested(values: Any) -> str:
    return "[" + ", ".join(map(_nested, values)) + "]" if isinstance(values, list) else _number(values)


def _share(mask: np.ndarray) -> str:
    if mask.size == 1:
        return "The value is"
    return "Every value is" if mask.all() else f"{int(mask.sum())} of {mask.size} values are"


def _equal(first: Any, second: Any) -> bool:
    try:
        return bool(first == second)
    except Exception:  # an array gives no single answer, and a class of the learner's may raise anything
        return False


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _as_list(value: Any) -> list | None:
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, (torch.Tensor, np.ndarray)) and value.ndim > 0:
        return list(value)
    return None


def _is_text_of_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
