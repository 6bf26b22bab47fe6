"""The source of what a learner wrote in a cell: find it, and see whether it is still blank.

Works on the whole cell through `linecache` (where IPython keeps cells), because `inspect.getsource` cannot find a
*class* that was defined in a notebook before Python 3.13.
"""

import ast
import dis
import inspect
import linecache
import textwrap
from collections.abc import Callable
from typing import Any

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def functions_of(definition: Any) -> list[Callable]:
    """The plain functions of a function (itself, without its decorators) or of a class (its methods)."""
    if isinstance(definition, type):
        return [
            method
            for value in vars(definition).values()
            if inspect.isfunction(method := inspect.unwrap(getattr(value, "__func__", value)))
        ]
    unwrapped = inspect.unwrap(definition)
    return [unwrapped] if inspect.isfunction(unwrapped) else []


def text_of(definition: Any) -> str | None:
    """The text of a function or class, as its author wrote it, or None where it cannot be found."""
    for function in functions_of(definition):
        lines = linecache.getlines(function.__code__.co_filename)
        node = _node_of(definition, function, lines)
        if node is not None:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            return textwrap.dedent("".join(lines[first - 1 : node.end_lineno]))
    return None


def is_blank(definition: Any) -> bool:
    """Whether nothing was written yet: bodies of a docstring and `...`, `pass` or `raise NotImplementedError`."""
    node = _parsed(definition)
    if node is None:
        functions = functions_of(definition)
        return bool(functions) and all(map(_does_nothing, functions))
    if isinstance(node, ast.ClassDef):
        methods = [part for part in node.body if isinstance(part, _DEFINITIONS)]
        bodies = [method.body for method in methods] or [node.body]
        return all(_is_blank_body(body, in_class=True) for body in bodies)
    return _is_blank_body(node.body)


def has_placeholder(definition: Any) -> bool:
    """Whether a `...` still stands somewhere as a statement or as a value (not as an index, as in `x[..., 0]`)."""
    node = _parsed(definition)
    if node is None:
        return False
    for part in ast.walk(node):
        if isinstance(part, (ast.Expr, ast.Assign, ast.AnnAssign, ast.Return)) and _is_ellipsis(part.value):
            return True
    return False


def raises_not_implemented(definition: Any) -> bool:
    """Whether the definition itself names `NotImplementedError`: PyTorch raises it as well, as for a mean of booleans."""
    return any("NotImplementedError" in function.__code__.co_names for function in functions_of(definition))


def _parsed(definition: Any) -> ast.AST | None:
    text = text_of(definition)
    return ast.parse(text).body[0] if text else None


def _node_of(definition: Any, function: Callable, lines: list[str]) -> ast.AST | None:
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        return None  # a cell with a magic command in it, or a file that changed since
    name = definition.__name__ if isinstance(definition, type) else function.__code__.co_name
    line = function.__code__.co_firstlineno
    candidates = [node for node in ast.walk(tree) if isinstance(node, _DEFINITIONS) and node.name == name]
    for node in candidates:
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        if first <= line <= node.end_lineno:
            return node
    return None


def _is_ellipsis(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _is_blank_body(body: list[ast.stmt], in_class: bool = False) -> bool:
    return all(_is_blank_statement(statement, in_class) for statement in body)


def _is_blank_statement(statement: ast.stmt, in_class: bool) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    if isinstance(statement, ast.Expr):
        if isinstance(statement.value, ast.Constant):  # a docstring or `...`
            return True
        return in_class and ast.unparse(statement.value) == "super().__init__()"
    if isinstance(statement, ast.Return):
        return _is_ellipsis(statement.value)
    if isinstance(statement, ast.Raise) and statement.exc is not None:
        return ast.unparse(statement.exc).startswith("NotImplementedError")
    return False


def _does_nothing(function: Callable) -> bool:
    """The same question where there is no source: does the byte code hold nothing but `return <constant>`?"""
    code = function.__code__
    idle = {"RESUME", "NOP", "CACHE", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}
    constants = set(code.co_consts) - {function.__doc__}
    return {step.opname for step in dis.get_instructions(code)} <= idle and constants <= {None, ...}
