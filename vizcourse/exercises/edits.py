"""A known mistake as a small edit of the reference's own source.

    Mistake("padding-once", "The padding is counted once …", edits("2 * padding -> padding"))

Most mistakes of learners are the right solution with one thing wrong, so that is how they are written down: it shows at
a glance what the mistake is, and it cannot fall behind when the reference changes.
"""

import builtins
import dis
import inspect
import itertools
import linecache
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType

_numbers = itertools.count(1)


class EditError(ValueError):
    """An edit that cannot be made: its text does not stand in the reference, or what comes of it is no Python."""


@dataclass(frozen=True)
class Edits:
    """Replacements of source text, made one after the other, each in every place where its text stands."""

    changes: tuple[tuple[str, str], ...]

    def apply(self, text: str) -> str:
        """The edited text. Raises EditError where a text to be replaced does not occur."""
        for old, new in self.changes:
            if old not in text:
                raise EditError(f"the edit {old!r} -> {new!r} finds nothing to replace in the reference")
            text = text.replace(old, new)
        return text

    def of(self, reference: Callable) -> Callable:
        """The reference, a function or class, with the edits made: compiled among the names of its own module."""
        text = self.apply(textwrap.dedent(inspect.getsource(reference)))
        try:
            made = compiled(text, reference)
        except SyntaxError as error:
            raise EditError(f"the edits {self} do not leave valid Python: {error.msg}, line {error.lineno}") from error
        # An import that only an edit needs looks unused, and is soon removed; then each case would end in a NameError.
        known = {reference.__name__, *dir(builtins), *inspect.unwrap(_function(reference)).__globals__}
        if missing := sorted(_globals_of(compile(text, "edit", "exec")) - known):
            raise EditError(f"the edits {self} use {', '.join(missing)}, which the reference's module does not have: import it")
        return made

    def __str__(self) -> str:
        return ", ".join(f"{old!r} -> {new!r}" for old, new in self.changes)


def edits(*changes: str) -> Edits:
    """Edits of the reference's source, each written as `"old -> new"`; nothing behind the arrow deletes.

    Raises ValueError for a change without an arrow, or with nothing before it.
    """
    pairs = []
    for change in changes:
        old, arrow, new = change.partition(" ->")
        if not arrow or not old or (new and not new.startswith(" ")):
            raise ValueError(f"An edit is written as 'old -> new', not {change!r}.")
        pairs.append((old, new[1:]))
    return Edits(tuple(pairs))


def compiled(text: str, reference: Callable) -> Callable:
    """A function or class from its source, among the names of the reference's module, which stays as it is."""
    name = f"<variant {next(_numbers)} of {reference.__name__}>"
    # Where the engine looks for the source of a learner's function, too.
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    made: dict[str, Callable] = {}
    exec(compile(text, name, "exec"), inspect.unwrap(_function(reference)).__globals__, made)
    return made[reference.__name__]


def _globals_of(code: CodeType) -> set[str]:
    """The global names that some code reads, functions inside it included."""
    own = {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    return own.union(*(_globals_of(each) for each in code.co_consts if isinstance(each, CodeType)))


def _function(definition: Callable) -> Callable:
    """Something with globals: a function itself, or a method of a class."""
    if isinstance(definition, type):
        return next(method for method in vars(definition).values() if inspect.isfunction(method))
    return definition
