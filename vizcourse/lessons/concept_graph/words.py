"""Numbers and names as the lesson's explorers write them."""

import math


def per_cent(share: float) -> str:
    """A share from 0 to 1 in words."""
    return f"{100 * share:.0f} %"


def number(value: float, digits: int = 2, *, sign: bool = True) -> str:
    """A number as people write it, without an exponent: two digits of it, or all that stand before the point (+140)."""
    value = float(value)
    size = abs(value)
    places = min(max(digits - 1 - math.floor(math.log10(size)), 0), 3) if size else 0
    written = f"{size:.{places}f}"
    if not float(written):
        return "0"
    return ("−" if value < 0 else "+" if sign else "") + written


def clipped(text: str, most: int = 26) -> str:
    """A text of at most so many letters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def drawn(text: str, most: int = 26) -> str:
    """A text with a learner's name in it as matplotlib draws it: clipped, and its dollars are no formula."""
    return clipped(text, most).replace("$", r"\$")
