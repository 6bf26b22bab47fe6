"""`vizcourse check --mutants`: would the checks notice?

Each reference is changed in every systematic way that is a slip of a learner's hand (one operator, one axis, one call
forgotten), and each mutant is handed in. One that is accepted is then run on many more inputs: where it computes the same
as the reference it is no mistake and is set aside; the others are survivors, and the exercise needs another case.
"""

import ast
import copy
import inspect
import signal
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from vizcourse.exercises.check import each
from vizcourse.exercises.core import exercises_of, registered
from vizcourse.exercises.edits import compiled
from vizcourse.exercises.feedback import RIGHT, WRONG, collecting
from vizcourse.exercises.kinds import SOLVED, CodeExercise
from vizcourse.exercises.progress import in_memory
from vizcourse.exercises.running import same_outcome

INPUTS = 200  # on so many further inputs a mutant must be equal to the reference to be set aside
SECONDS = 20.0  # for one mutant; one that runs longer counts as refused, as a learner would stop it
ENOUGH = 0.98  # the share of mutants that must be refused

_OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Pow: ast.Mult,
}  # fmt: skip
_COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
}  # fmt: skip
_ORDERED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult)
_OTHER_NAME = {
    "sum": "mean", "mean": "sum", "max": "min", "min": "max", "amax": "amin", "amin": "amax", "argmax": "argmin",
    "argmin": "argmax", "cos": "sin", "sin": "cos", "floor": "ceil", "ceil": "floor", "zeros_like": "ones_like",
    "ones_like": "zeros_like", "zeros": "ones", "ones": "zeros", "var": "std", "std": "var", "prod": "sum",
}  # fmt: skip
# Calls that are forgotten: `x.abs()` for `x`, `F.relu(x)` for `x`.
_DROPPED = {
    "abs", "relu", "clamp", "clamp_min", "detach", "clone", "sqrt", "exp", "log", "softmax", "log_softmax", "sigmoid",
    "square", "transpose", "permute", "flip", "cumsum", "float", "sort", "unsqueeze", "squeeze", "conj", "round", "contiguous",
}  # fmt: skip
_DROPPED_KEYWORDS = {"keepdim", "dim", "unbiased", "correction", "largest", "descending", "create_graph", "retain_graph"}


@dataclass
class Tally:
    """What became of the mutants of one exercise: how many were refused, equal, and which survived."""

    refused: int = 0
    equal: int = 0
    explained: int = 0
    survivors: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The share refused of those that are not equal to the reference."""
        wrong = self.refused + len(self.survivors)
        return self.refused / wrong if wrong else 1.0


def mutants(definition: Callable) -> Iterator[tuple[str, Callable]]:
    """All mutants of a function or class with the words for what was changed, one change each."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(definition)))
    places = len(list(ast.walk(tree)))
    seen = {ast.unparse(tree)}
    for place in range(places):
        number = 0
        while True:
            changed = copy.deepcopy(tree)
            node = list(ast.walk(changed))[place]
            alternative = next((one for index, one in enumerate(_alternatives(node)) if index == number), None)
            if alternative is None:
                break
            number += 1
            words = f"line {getattr(node, 'lineno', 1)}: {ast.unparse(node)} -> {_said(alternative)}"
            _Replace(node, alternative).visit(changed)
            text = ast.unparse(ast.fix_missing_locations(changed))
            if text in seen:
                continue
            seen.add(text)
            try:
                yield words, compiled(text, definition)
            except Exception:  # a class body, say, that does not even stand
                continue


def survey(one: CodeExercise, inputs: int = INPUTS, seconds: float = SECONDS) -> Tally:
    """Hand in every mutant of an exercise's reference."""
    tally = Tally()
    with registered([one]), in_memory(), collecting():
        for words, mutant in mutants(one.reference):
            try:
                with _at_most(seconds):
                    accepted = one.verdict(mutant).status == SOLVED
            except _TooLong:
                accepted = False
            if not accepted:
                tally.refused += 1
            elif words in one.right_variants:
                tally.explained += 1
            elif callable(one.cases) and _equal(one, mutant, inputs, seconds):
                tally.equal += 1
            else:
                tally.survivors.append(words)
    return tally


def check_mutants(lessons: Iterable[Any], *, jobs: int = 1) -> bool:
    """Print a line for each code exercise, its survivors and the total; gives whether each exercise refuses enough.

    jobs: so many exercises at once, each in a process of its own.
    """
    pieces = [(lesson, one.id) for lesson in lessons for one in exercises_of(lesson) if isinstance(one, CodeExercise)]
    total, right = Tally(), True
    for (_, identifier), (title, tally, seconds) in zip(pieces, each(_surveyed, pieces, jobs), strict=True):
        enough = tally.share >= ENOUGH
        right = right and enough
        print(f"{RIGHT if enough else WRONG} {identifier} {title}: {_counts(tally)} ({seconds:.0f} s)", flush=True)
        for words in tally.survivors:
            print(f"    survives: {words}")
        total.refused += tally.refused
        total.equal += tally.equal
        total.explained += tally.explained
        total.survivors += tally.survivors
    print(f"mutants: {_counts(total)}")
    return right


def _surveyed(piece: tuple[Any, str]) -> tuple[str, Tally, float]:
    lesson, identifier = piece
    one = next(one for one in exercises_of(lesson) if one.id == identifier)
    started = time.perf_counter()
    return one.title, survey(one), time.perf_counter() - started


def _counts(tally: Tally) -> str:
    wrong = tally.refused + len(tally.survivors)
    return (
        f"{tally.refused} of {wrong} refused ({tally.share:.1%}), {tally.equal} equal to the reference, "
        f"{tally.explained} explained"
    )


def _equal(one: CodeExercise, mutant: Callable, inputs: int, seconds: float) -> bool:
    """Whether a mutant does the same as the reference on so many further inputs, or as many as there is time for."""
    done, seed, until = 0, 2, time.perf_counter() + seconds
    while done < inputs and time.perf_counter() < until:
        cases = one.make_cases(seed)
        for wanted, given in zip(one.outcomes(one.reference, cases), one.outcomes(mutant, cases), strict=True):
            if not same_outcome(wanted, given, one.rtol, one.atol):
                return False
        done, seed = done + len(cases), seed + 1
    return True


def _alternatives(node: ast.AST) -> Iterator[ast.AST | None]:
    """What a slip makes of a node. Nothing here changes the node itself."""
    match node:
        case ast.BinOp(left, operator, right):
            if type(operator) in _OPERATORS:
                yield ast.BinOp(left, _OPERATORS[type(operator)](), right)
            if isinstance(operator, _ORDERED):
                yield ast.BinOp(right, operator, left)
            if isinstance(operator, (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv)):
                yield left
                if isinstance(operator, (ast.Add, ast.Mult)):
                    yield right
        case ast.UnaryOp(ast.USub() | ast.Not(), operand) if not isinstance(operand, ast.Constant):
            yield operand
        case ast.UnaryOp(ast.USub(), ast.Constant(int())):
            yield ast.Constant(0)
        case ast.Compare(left, [operator], right) if type(operator) in _COMPARISONS:
            yield ast.Compare(left, [_COMPARISONS[type(operator)]()], right)
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() as value):
            yield ast.Constant(value + 1)
            yield ast.Constant(value - 1)
        case ast.Constant(float() as value):
            yield ast.Constant(2 * value if value else 1.0)
        case ast.Tuple(elements, context) if len(elements) > 1 and isinstance(context, ast.Load):
            yield ast.Tuple([*elements[:-2], elements[-1], elements[-2]], context)
        case ast.Slice(lower, upper, step):
            if lower is not None:
                yield ast.Slice(None, upper, step)
            if upper is not None:
                yield ast.Slice(lower, None, step)
        case ast.AugAssign(target, operator, value) if type(operator) in _OPERATORS:
            yield ast.AugAssign(target, _OPERATORS[type(operator)](), value)
            yield ast.Assign([ast.Name(target.id, ast.Store())], value) if isinstance(target, ast.Name) else ast.Pass()
        case ast.Expr(value) if not isinstance(value, ast.Constant):
            yield ast.Pass()
        case ast.IfExp(_, body, orelse):
            yield body
            yield orelse
        case ast.If(_, body, orelse):
            yield ast.If(ast.Constant(True), body, orelse)
            yield ast.If(ast.Constant(False), body, orelse)
        case ast.Call(function, arguments, keywords):
            yield from _calls(function, arguments, keywords)


def _calls(function: ast.expr, arguments: list[ast.expr], keywords: list[ast.keyword]) -> Iterator[ast.AST]:
    if isinstance(function, ast.Attribute):
        name = function.attr
        if name in _OTHER_NAME:
            yield ast.Call(ast.Attribute(function.value, _OTHER_NAME[name], ast.Load()), arguments, keywords)
        if name in _DROPPED:
            module = isinstance(function.value, ast.Name) and function.value.id in ("torch", "F", "functional", "np", "math")
            yield arguments[0] if module and arguments else function.value
    elif isinstance(function, ast.Name) and function.id in _OTHER_NAME:
        yield ast.Call(ast.Name(_OTHER_NAME[function.id], ast.Load()), arguments, keywords)
    if len(arguments) == 2:
        yield ast.Call(function, arguments[::-1], keywords)
    for index, keyword in enumerate(keywords):
        if keyword.arg in _DROPPED_KEYWORDS:
            yield ast.Call(function, arguments, keywords[:index] + keywords[index + 1 :])


class _Replace(ast.NodeTransformer):
    def __init__(self, node: ast.AST, by: ast.AST) -> None:
        self.node, self.by = node, by

    def visit(self, node: ast.AST) -> ast.AST:
        return self.by if node is self.node else self.generic_visit(node)


def _said(node: ast.AST) -> str:
    return "nothing" if isinstance(node, ast.Pass) else ast.unparse(ast.fix_missing_locations(node))


class _TooLong(BaseException):
    """No Exception, so that nothing takes it for an error of the learner's code."""


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """_TooLong after so long, where the system has alarms: a mutant may never end."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
