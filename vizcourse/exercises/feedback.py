"""What a learner sees: one message or one table, as text/plain and as text/html.

The plain text is complete by itself (terminals, screen readers, saved notebooks); the HTML says the same with a little
style. No colour is the only carrier of a meaning: the symbols ✓ ✗ ○ ● say it too. Text colours are inherited, so that
both light and dark themes stay legible.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape

RIGHT, WRONG, BLANK, NOTE = "✓", "✗", "○", "●"

# Half-transparent backgrounds and a coloured bar: legible on white and on black.
_COLOURS = {RIGHT: "46, 160, 67", WRONG: "218, 84, 60", BLANK: "128, 128, 128", NOTE: "56, 132, 214"}
_collectors: list[list["Feedback | Table"]] = []


def _with_code(text: str) -> str:
    """Escape `text` for HTML and turn `backticks` and calls such as hint("1.2") into <code>."""
    pieces = re.split(r'(`[^`\n]+`|\b(?:hint|solution|attempt|answer|choose|predict)\("[^"\n]*"\))', text)
    marked = (
        f"<code>{escape(piece.strip('`'))}</code>" if index % 2 else escape(piece) for index, piece in enumerate(pieces)
    )
    return "".join(marked).replace("\n", "<br>")


@dataclass(frozen=True)
class Feedback:
    """One message under a cell.

    `text` is the message itself, `detail` a preformatted block (a failing case, a piece of code), `notes` are further
    lines, one sentence each.
    """

    symbol: str
    id: str
    text: str
    detail: str = ""
    notes: tuple[str, ...] = ()

    @property
    def plain(self) -> str:
        lines = [f"{self.symbol} {self.id} {self.text}".rstrip()]
        lines += [f"    {line}".rstrip() for line in self.detail.splitlines()]
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)

    @property
    def html(self) -> str:
        colour = _COLOURS[self.symbol]
        parts = [f"<strong>{self.symbol} {escape(self.id)}</strong> {_with_code(self.text)}"]
        if self.detail:
            parts.append(
                '<pre style="margin: .4em 0 .4em 1em; white-space: pre-wrap; background: transparent; '
                f'color: inherit">{escape(self.detail)}</pre>'
            )
        parts += [f'<div style="margin-top: .2em">{_with_code(note)}</div>' for note in self.notes]
        return (
            f'<div role="status" style="border-left: 4px solid rgb({colour}); background: rgba({colour}, .1); '
            f'padding: .4em .8em; max-width: 60em">{"".join(parts)}</div>'
        )


@dataclass(frozen=True)
class Table:
    """A small table of text: `rows` of strings under a `header`, a title above and notes below."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    @property
    def plain(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]

        def line(cells: tuple[str, ...]) -> str:
            return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

        ruler = "  ".join("-" * width for width in widths)
        return "\n".join([self.title, line(self.header), ruler, *map(line, self.rows), *self.notes])

    @property
    def html(self) -> str:
        style = 'style="text-align: left; padding: .15em .8em"'
        head = "".join(f'<th scope="col" {style}>{escape(cell)}</th>' for cell in self.header)
        body = "".join(
            "<tr>" + "".join(f"<td {style}>{_with_code(cell)}</td>" for cell in row) + "</tr>" for row in self.rows
        )
        notes = "".join(f"<div>{_with_code(note)}</div>" for note in self.notes)
        return (
            '<div role="status"><table style="color: inherit; font: inherit">'
            '<caption style="text-align: left; color: inherit">'
            f"<strong>{escape(self.title)}</strong></caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>{notes}</div>"
        )


def bundle(message: Feedback | Table) -> dict[str, str]:
    """The mime bundle that `show` displays, as it is stored in a notebook."""
    return {"text/plain": message.plain, "text/html": message.html}


def show(message: Feedback | Table) -> None:
    """Display `message` under the cell in a notebook; print its text anywhere else."""
    if _collectors:
        _collectors[-1].append(message)
    elif _in_ipython():
        from IPython.display import display

        display(bundle(message), raw=True)
    else:
        print(message.plain)


@contextmanager
def collecting() -> Iterator[list[Feedback | Table]]:
    """Within the block, messages are put in the list that it gives instead of being displayed."""
    messages: list[Feedback | Table] = []
    _collectors.append(messages)
    try:
        yield messages
    finally:
        # By identity: two empty lists are equal, and an inner block may still stand after an odd exit.
        _collectors[:] = [collector for collector in _collectors if collector is not messages]


def _in_ipython() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return get_ipython() is not None
