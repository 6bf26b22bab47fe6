"""`vizcourse check`: are the checks themselves right?

For each exercise: the reference is accepted; each known mistake is refused with its own message and no other's; other
wrong solutions are refused too; each diagnosis was put to at least two other wrong solutions that look like it, and held
for none of them; the solved cell runs and gives ✓; the blank cell of the notebook gives ○.
"""

import itertools
import linecache
import math
import multiprocessing
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from vizcourse.exercises import compare
from vizcourse.exercises.core import exercises_of, expected_bundle, registered
from vizcourse.exercises.feedback import BLANK, RIGHT, WRONG, Feedback, bundle, collecting
from vizcourse.exercises.kinds import (
    NOT_STARTED,
    SOLVED,
    AnswerExercise,
    ChoiceExercise,
    CodeExercise,
    Exercise,
    Verdict,
)
from vizcourse.exercises.kinds import (
    WRONG as REFUSED,
)
from vizcourse.exercises.progress import in_memory
from vizcourse.exercises.running import Outcome, Raised, Returned, in_words, same_outcome

LOOK_ALIKES = 2  # how many other wrong solutions that look like it a diagnosis must have been put to
_cell_numbers = itertools.count(1)


def check(lessons: Iterable[Any], *, jobs: int = 1) -> bool:
    """Check all exercises of `lessons`, print a line for each and the counts; gives whether all is right.

    jobs: so many lessons at once, each in a process of its own.
    """
    totals: Counter[str] = Counter()
    right = True
    for found in each(check_lesson, lessons, jobs):
        print("\n".join(found.lines), flush=True)
        totals.update({"lessons": 1, "exercises": found.exercises, "mistakes": found.mistakes, "widgets": found.widgets})
        right = right and found.right
    print(" ".join(f"{name}={totals[name]}" for name in ("lessons", "exercises", "mistakes", "widgets")))
    return right


@dataclass(frozen=True)
class Checked:
    """What was found in one lesson: the lines that say it, and counts."""

    lines: tuple[str, ...]
    right: bool
    exercises: int
    mistakes: int
    widgets: int


def check_lesson(lesson: Any) -> Checked:
    """Check the exercises of one lesson."""
    exercises, cells = exercises_of(lesson), blank_cells(lesson)
    lines, right, seen = [], bool(exercises), set()
    for one in exercises:
        own = problems_of(one, cells)
        if one.id in seen:
            own.append("the id stands twice")
        seen.add(one.id)
        if one.id.split(".")[0] != lesson.number.lstrip("0"):
            own.append(f"the id does not begin with the lesson's number, {lesson.number.lstrip('0')}")
        lines += _lines(one, own)
        right = right and not own
    if not exercises:
        lines.append(f"{WRONG} lesson {lesson.number} has no exercises")
    return Checked(tuple(lines), right, len(exercises), sum(len(one.mistakes) for one in exercises), _widgets_of(lesson))


def each(work: Callable[[Any], Any], pieces: Iterable[Any], jobs: int) -> Iterator[Any]:
    """`work` on each piece, in order; with several jobs, on so many at once, each in a new interpreter."""
    if jobs <= 1:
        yield from map(work, pieces)
        return
    # Spawned, because a forked process inherits PyTorch's threads in whatever state they are.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, pieces)


def _lines(one: Exercise, problems: list[str]) -> list[str]:
    others = f", {len(one.unlisted)} other wrong solutions" if one.unlisted else ""
    head = f"{WRONG if problems else RIGHT} {one.id} {one.title}: {len(one.mistakes)} mistakes{others}"
    return [head, *(f"    {WRONG} {problem}" for problem in problems)]


def problems_of(one: Exercise, cells: dict[str, str] | None = None) -> list[str]:
    """All that is wrong with an exercise, a sentence each.

    `cells` are the blank cells of the lesson's notebook by exercise id; None where there is no notebook source.
    """
    with registered([one]), in_memory():
        found = list(_form(one))
        try:
            found += _judgements(one)
            found += _solved_cell(one)
            if cells is not None:
                found += _blank_cell(one, cells.get(one.id))
        except Exception as error:  # an exercise that is broken itself must not hide the others
            found.append(f"the exercise itself breaks with {type(error).__name__}: {error}")
    return found


def blank_cells(lesson: Any) -> dict[str, str] | None:
    """The learner's cells in the text of a lesson, by exercise id; None where there is no text."""
    return cells_in(lesson.source.read_text(encoding="utf-8")) if lesson.source.is_file() else None


def cells_in(text: str) -> dict[str, str]:
    """The code cells of MyST Markdown that hand in an exercise, by its id."""
    cells: dict[str, str] = {}
    for match in re.finditer(r"^(`{3,}|~{3,})\{code-cell\}[^\n]*\n(.*?)^\1\s*$", text, re.MULTILINE | re.DOTALL):
        body = re.sub(r"\A---\n.*?^---\n", "", match[2], flags=re.MULTILINE | re.DOTALL)
        body = re.sub(r"\A(?:[ \t]*:[\w-]+:[^\n]*\n|[ \t]*\n)+", "", body)
        for identifier in re.findall(r"^\s*@?(?:attempt|answer|choose)\(\s*[\"']([^\"']+)[\"']", body, re.MULTILINE):
            cells.setdefault(identifier, body)
    return cells


def _form(one: Exercise) -> Iterator[str]:
    """What can be seen without running anything."""
    if not re.fullmatch(r"\d+\.\d+", one.id):
        yield 'the id is not like "1.2"'
    if one.stars not in (1, 2, 3):
        yield f"stars are 1, 2 or 3, not {one.stars}"
    if not one.minutes > 0:
        yield "minutes have to be more than 0"
    if len(one.hints) < 2:
        yield f"it needs at least 2 hints and has {len(one.hints)}"
    if len(one.mistakes) < 3:
        yield f"it needs at least 3 known mistakes and has {len(one.mistakes)}"
    for what, text in (("title", one.title), ("insight", one.insight), ("used_next", one.used_next)):
        if not text.strip():
            yield f"its {what} is empty"
    for what, values in (
        ("name", [mistake.name for mistake in one.mistakes]),
        ("message", [mistake.message for mistake in one.mistakes]),
    ):
        if len(set(values)) < len(values):
            yield f"two mistakes have the same {what}"
        if not all(value.strip() for value in values):
            yield f"a mistake has an empty {what}"
    if isinstance(one, ChoiceExercise):
        covered = {mistake.wrong for mistake in one.mistakes}
        for key in one.options:
            if key != one.correct and key not in covered:
                yield f'the wrong option "{key}" has no mistake with a message'
        if one.correct not in one.options:
            yield f'the correct option "{one.correct}" is not among the options'
        for key in covered - set(one.options) | covered & {one.correct}:
            yield f'a mistake stands for "{key}", which is not a wrong option'


def _judgements(one: Exercise) -> Iterator[str]:
    right = _right_submission(one)
    if right is not None:
        verdict = one.verdict(right[0])
        if verdict.status != SOLVED:
            yield f"the reference is not accepted: {_said(verdict)}"
    if isinstance(one, CodeExercise):
        yield from _cases(one)
    if isinstance(one, AnswerExercise):
        for blank in (..., None):
            if one.verdict(blank).status != NOT_STARTED:
                yield f"{blank!r} is not seen as not started"
    for mistake in one.mistakes:
        example = one.wrong_example(mistake)
        if isinstance(one, AnswerExercise) and callable(mistake.wrong) and mistake.example is None:
            yield f"the mistake {mistake.name!r} is a predicate: give it an example"
            continue
        verdict = one.verdict(example)
        if verdict.status != REFUSED:
            yield f"the mistake {mistake.name!r} is not refused: it counts as {verdict.status}"
        elif verdict.mistake != mistake.name:
            yield f"the mistake {mistake.name!r} does not get its own message, but: {_said(verdict)}"
    for index, wrong in enumerate(one.unlisted, start=1):
        wrong = one.made(wrong) if isinstance(one, CodeExercise) else wrong
        name = getattr(wrong, "__name__", None) or compare.show(wrong)
        verdict = one.verdict(wrong)
        if verdict.status != REFUSED:
            yield f"the unlisted wrong solution {index} ({name}) is not refused: it counts as {verdict.status}"
        elif verdict.mistake is not None:
            yield f"the unlisted wrong solution {index} ({name}) gets the message of {verdict.mistake!r}"
    if isinstance(one, AnswerExercise):
        yield from _told_apart_by_value(one)
    if isinstance(one, CodeExercise) and one.case_list:
        yield from _told_apart_by_outcome(one)


def _told_apart_by_value(one: AnswerExercise) -> Iterator[str]:
    """A diagnosis that is a predicate must not hold for other wrong answers, whatever order they are asked in."""
    others = [(mistake.name, one.wrong_example(mistake)) for mistake in one.mistakes]
    others += [(compare.show(value), value) for value in one.unlisted]
    for mistake in one.mistakes:
        put_to = [(name, value) for name, value in others if name != mistake.name]
        if len(put_to) < LOOK_ALIKES:
            yield f"the diagnosis {mistake.name!r} was put to {len(put_to)} other wrong answers: {LOOK_ALIKES} are needed"
        holds = [name for name, value in put_to if one.makes(mistake, value)]
        if holds:
            yield f"the diagnosis {mistake.name!r} holds for {', '.join(holds)} too: narrow its condition"


def _told_apart_by_outcome(one: CodeExercise) -> Iterator[str]:
    """A diagnosis by equal outcomes: others must come close in form, and none so close that rounding decides."""
    listed = [(mistake.name, outcomes) for mistake, outcomes in one.mistake_outcomes]
    others = listed + [(f"unlisted {n}", one.outcomes(one.made(wrong))) for n, wrong in enumerate(one.unlisted, start=1)]
    for name, outcomes in listed:
        alike = [
            (other, theirs) for other, theirs in others
            if other != name and all(map(_same_form, outcomes, theirs))
        ]  # fmt: skip
        # One that stops or gives another form is told by that: look-alikes are asked of those with a plausible result.
        if all(map(_same_form, outcomes, one.expected)) and len(alike) < LOOK_ALIKES:
            yield (
                f"the diagnosis {name!r} was put to {len(alike)} other wrong solutions whose results have its form: "
                f"{LOOK_ALIKES} are needed, add some to unlisted"
            )
        for other, theirs in alike:
            equal = [same_outcome(*pair, one.rtol, one.atol) for pair in zip(outcomes, theirs, strict=True)]
            close = [same_outcome(*pair, 10 * one.rtol, 10 * one.atol) for pair in zip(outcomes, theirs, strict=True)]
            if all(close) and not all(equal):
                yield f"only rounding tells {name!r} from {other!r}: add a case in which they are further apart"


def _same_form(first: Outcome, second: Outcome) -> bool:
    """Whether two outcomes look alike at a glance: values of one kind and shape."""
    if isinstance(first, Raised) or isinstance(second, Raised):
        return False
    arrays = compare.numeric(first.value), compare.numeric(second.value)
    if any(array is None for array in arrays):
        return compare.kind_problem(first.value, second.value) is None
    return arrays[0].shape == arrays[1].shape


def _cases(one: CodeExercise) -> Iterator[str]:
    if not one.case_list and one.judge is None:
        yield "it has neither cases nor a judge: everything would be right"
    for index, outcome in enumerate(one.expected):
        # A reference may refuse bad input, and then learners have to refuse it too; any other error is a fault.
        if isinstance(outcome, Raised) and not isinstance(outcome.error, ValueError):
            yield f"the reference stops in case {index + 1}: {in_words(outcome.error)}"
            return  # one sentence is enough: the other cases mostly stop in the same way
        if isinstance(outcome, Returned) and outcome.changed:
            yield f"the reference changes its input {', '.join(outcome.changed)} in case {index + 1}"
        if isinstance(outcome, Returned) and outcome.value is None:
            yield f"the reference returns None in case {index + 1}"
    again = one.outcomes(one.reference)
    if not all(
        same_outcome(first, second, one.rtol, one.atol) for first, second in zip(one.expected, again, strict=True)
    ):
        yield "the reference gives something else the second time: seed it"
    fresh = one.make_cases()
    if len(fresh) != len(one.case_list) or any(
        compare.difference(first.args, second.args, rtol=0, atol=0)
        for first, second in zip(one.case_list, fresh, strict=False)
        if not _has_objects(first.args)
    ):
        yield "the cases are others the second time: draw them from the seed"


def _has_objects(values: tuple) -> bool:
    return not all(compare.is_numeric(value) or isinstance(value, (str, list, tuple, dict)) for value in values)


def _right_submission(one: Exercise) -> tuple[Any] | None:
    """What a right learner hands in, in a tuple; None where it is left to the solved cell.

    Only that can move a widget, and a judge may train a network for a minute: once is enough.
    """
    if isinstance(one, CodeExercise):
        return None if one.judge else (one.reference,)
    if isinstance(one, ChoiceExercise):
        return (one.correct,)
    return (one.right_value,) if isinstance(one, AnswerExercise) and one.reference is not None else None


def _solved_cell(one: Exercise) -> Iterator[str]:
    messages, error = _run_cell(one, one.solved_cell())
    if error is not None:
        yield f"the solved cell breaks: {error}"
    elif [message.symbol for message in messages] != [RIGHT]:
        said = "; ".join(message.plain.split("\n")[0] for message in messages) or "nothing"
        yield f"the solved cell does not give {RIGHT} but: {said}"
    elif bundle(messages[0]) != expected_bundle(one.id):
        yield "the solved cell's feedback is not the expected one"


def _blank_cell(one: Exercise, cell: str | None) -> Iterator[str]:
    if cell is None:
        yield "no cell of the notebook's source hands it in"
        return
    messages, error = _run_cell(one, cell)
    own = [message for message in messages if message.id == one.id]
    if error is not None:
        yield f"the notebook's blank cell breaks: {error} (is something missing in setup_source?)"
    elif [message.symbol for message in own] != [BLANK]:
        said = "; ".join(message.plain.split("\n")[0] for message in own) or "nothing"
        yield f"the notebook's blank cell is not seen as not started; it gives: {said}"


def _run_cell(one: Exercise, cell: str) -> tuple[list[Feedback], str | None]:
    """Run a cell in a scratch notebook; gives the feedback, and what broke, in words."""
    import numpy
    import torch
    from torch import nn
    from torch.nn import functional

    from vizcourse import exercises

    namespace = {"__name__": "__main__", "math": math, "np": numpy, "torch": torch, "nn": nn, "F": functional}
    namespace |= {name: getattr(exercises, name) for name in exercises.__all__}
    with collecting() as messages:
        try:
            for text in (one.setup_source, cell):
                # linecache is where IPython keeps its cells, too: there the engine finds a learner's source.
                name = f"<cell {next(_cell_numbers)} of vizcourse check>"
                linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
                exec(compile(text, name, "exec"), namespace)
        except Exception as error:
            return [], f"{type(error).__name__}: {in_words(error)}"
    return [message for message in messages if isinstance(message, Feedback)], None


def _widgets_of(lesson: Any) -> int:
    return len(getattr(lesson.part("widgets"), "WIDGETS", ()))


def _said(verdict: Verdict) -> str:
    return f"{verdict.text or verdict.status}" + (f" [{verdict.mistake}]" if verdict.mistake else "")
