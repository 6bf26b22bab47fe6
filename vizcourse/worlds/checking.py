"""What the worlds refuse, in one sentence each that names the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import numpy as np
import torch


def one_of(name: str, value: object, known: Iterable[str]) -> None:
    """Raise a ValueError that lists the known words and guesses which was meant, unless ``value`` is one of them."""
    known = tuple(known)
    if value not in known:
        close = difflib.get_close_matches(str(value), known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, not {value!r}{hint}")


def whole(name: str, value: object, low: int, high: int | None = None, *, of: str = "", instead: str = "") -> int:
    """``value`` as an int. Raises a ValueError unless it is a whole number from ``low`` on, to ``high``.

    of: what is counted, such as ``"pixels"``. instead: what may be given in place of a number, such as ``"None for all"``.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low or (high is not None and value > high):
        counted = f" of {of}" if of else ""
        span = f" from {low} to {high}" if high is not None else f", {low} or more"
        other = f", or {instead}" if instead else ""
        raise ValueError(f"{name} must be a whole number{counted}{span}{other}, not {value!r}")
    return int(value)


def number(name: str, value: object, low: float, high: float) -> float:
    """``value`` as a float. Raises a ValueError unless it is a number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def picture_type(dtype: object) -> torch.dtype:
    """The type of pictures: floats in [0, 1], or bytes. Raises a ValueError for any other."""
    if dtype not in (torch.float32, torch.uint8):
        raise ValueError(f"dtype must be torch.float32 or torch.uint8, not {dtype}")
    return dtype
