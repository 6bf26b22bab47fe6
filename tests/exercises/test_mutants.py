"""Mutation testing of the exercises' own checks, on toys."""

import dataclasses

import pytest
import torch

from vizcourse.exercises import mutants as mutating
from vizcourse.exercises.core import CodeExercise
from vizcourse.exercises.mutants import check_mutants, mutants, survey


def centred(values, dim=-1):
    return (values - values.mean(dim, keepdim=True)).abs()


def until(values, limit):
    total = 0
    while total < limit:
        total += values
    return total


def cases(seed):
    generator = torch.Generator().manual_seed(seed)
    return [(torch.randn(2, 3, generator=generator),), (torch.randn(4, 2, generator=generator), 0)]


def exercise(reference=centred, cases=cases, **more):
    return CodeExercise(
        id="99.9", title="Toy", stars=1, minutes=1, hints=(), mistakes=(), insight="", used_next="",
        reference=reference, cases=cases, **more,
    )  # fmt: skip


def test_mutants_are_one_slip_each_and_the_reference_is_none_of_them():
    made = dict(mutants(centred))
    said = " | ".join(made)
    for slip in (
        "values + values.mean", "values.mean(dim, keepdim=True) - values", "values.sum(dim, keepdim=True)",
        "values.mean(dim)", "(values - values.mean(dim, keepdim=True)).abs() -> values - values.mean",
    ):  # fmt: skip
        assert slip in said
    values = torch.randn(3, 3)
    assert torch.equal(made["line 2: values - values.mean(dim, keepdim=True) -> values"](values), values.abs())
    assert torch.equal(centred(values), (values - values.mean(-1, keepdim=True)).abs())


def test_equal_mutants_are_set_aside_and_wrong_ones_refused():
    tally = survey(exercise())
    assert tally.survivors == [] and tally.share == 1 and tally.refused > 5
    # |a - b| = |b - a|: swapped operands compute the same.
    assert tally.equal >= 1


def test_weak_cases_let_mutants_survive():
    def weak(seed):
        torch.manual_seed(seed)
        return [(torch.zeros(2, 3) if seed == 0 else torch.randn(2, 3),)]

    tally = survey(exercise(cases=weak))
    assert any("sum" in words for words in tally.survivors) and tally.share < 0.98


def test_where_no_further_inputs_can_be_drawn_nothing_is_set_aside():
    swapped = "line 2: values - values.mean(dim, keepdim=True) -> values.mean(dim, keepdim=True) - values"
    tally = survey(exercise(cases=cases(0)))
    assert swapped in tally.survivors
    explained = survey(exercise(cases=cases(0), right_variants={swapped: "the absolute value is taken of it"}))
    assert explained.explained == 1 and swapped not in explained.survivors


@pytest.mark.skipif(not hasattr(mutating.signal, "SIGALRM"), reason="this system has no alarms")
def test_a_mutant_that_never_ends_counts_as_refused():
    def never(seed):
        return [(2, 5), (3, 7)]

    tally = survey(exercise(until, never), inputs=2, seconds=0.2)
    assert tally.refused > 3 and not any("total -= values" in words for words in tally.survivors)


def test_the_command_prints_survivors_and_counts(monkeypatch, capsys):
    weak = exercise(cases=[(torch.zeros(2, 3),)])
    monkeypatch.setattr(mutating, "exercises_of", lambda lesson: (weak, dataclasses.replace(exercise(), id="99.8")))
    assert check_mutants(["a lesson"]) is False
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("✗ 99.9 Toy: ") and any(line.startswith("    survives: line 2") for line in lines)
    assert any(line.startswith("✓ 99.8 Toy: ") for line in lines) and lines[-1].startswith("mutants: ")
