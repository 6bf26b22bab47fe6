"""Hostile inputs: whatever is passed to a public function, one sentence of the course's own says how to mend it.

A *row* of the table (:mod:`tests.methods.hostile_rows`) is a public function with arguments that work, on tiny networks. Each
argument has a *kind* (by its name, or as the row says), and each kind has values that must be refused
(:mod:`tests.methods.hostile`). What a function may well take (None for an optional target, say) its row names in ``takes``.
"""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from pathlib import Path

import pytest

import vizcourse
from tests.methods.hostile_rows import ROWS
from tests.methods.not_yet_mended import NOT_YET_MENDED

HOUSE = Path(vizcourse.__file__).parent
CASES = {f"{row.name}, {argument}: {case}": (row, argument, bad) for row in ROWS for argument, case, bad in row.hostile()}
assert len(CASES) == sum(1 for row in ROWS for _ in row.hostile()), "two rows have one name"

# ------------------------------------------------------------------------------------------------------------- the test


@contextmanager
def in_one_sentence():
    """A refusal by the course itself, and what it says is a sentence."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 (its kind is judged below)
        yield
    error = caught.value
    assert isinstance(error, ValueError), f"{type(error).__name__}: {error}"
    said = str(error)
    assert said.endswith((".", ".)", "?")) and "\n" not in said and len(said) > 20, said
    where = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    assert where.is_relative_to(HOUSE), f"{where.name} said it: {said}"


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
def test_the_row_works_as_it_stands(row):
    row.run()


OPEN = {name for names in NOT_YET_MENDED.values() for name in names}


def test_the_list_of_what_is_not_yet_mended_names_cases_of_the_table():
    assert not OPEN - set(CASES)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.xfail(strict=True)] * (name in OPEN)) for name in CASES]
)
def test_hostile_input_is_refused_in_one_sentence(name):
    row, argument, bad = CASES[name]
    with in_one_sentence():
        row.run(**{argument: bad})
