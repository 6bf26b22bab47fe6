"""The exercise engine: what a learner calls in a notebook, and how exercises are found.

    @attempt("1.2")                    code: judges the function or class below it
    answer("1.5", 11)                  a value, or a widget
    choose("1.6", "b")                 an option
    predict("p1.1", 0.9)               a prediction, shown beside the measurement by reconcile("p1.1", measured)
    hint("1.2")  solution("1.2")  progress()

An unfinished or wrong exercise never stops a notebook: it goes on with the reference, and says so.
"""

import difflib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from vizcourse.exercises import compare, feedback, source
from vizcourse.exercises.edits import edits
from vizcourse.exercises.feedback import BLANK, NOTE, RIGHT, WRONG, Feedback, Table
from vizcourse.exercises.kinds import (
    NOT_STARTED,
    SOLVED,
    AnswerExercise,
    ChoiceExercise,
    CodeExercise,
    Exercise,
    Mistake,
    Problem,
    Verdict,
)
from vizcourse.exercises.progress import (
    empty_entry,
    record_attempt,
    record_hint,
    record_measurement,
    record_prediction,
    record_solution_seen,
    store,
)
from vizcourse.exercises.running import Case, case

__all__ = [
    "AnswerExercise",
    "Case",
    "ChoiceExercise",
    "CodeExercise",
    "Exercise",
    "ExerciseError",
    "Mistake",
    "Problem",
    "answer",
    "attempt",
    "case",
    "choose",
    "edits",
    "exercise",
    "exercises_of",
    "expected_bundle",
    "expected_feedback",
    "hint",
    "predict",
    "progress",
    "reconcile",
    "registered",
    "solution",
    "solution_cell",
    "tally",
    "value_of",
]

_extra: dict[str, Exercise] = {}
_accepted: dict[str, Any] = {}
_lesson_at_hand: str | None = None


class ExerciseError(ValueError):
    """A call that cannot be meant: an exercise that does not exist, or of another kind.

    In a notebook it is one sentence, without a traceback.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{WRONG} {self}"]


# ---- finding exercises


def exercises_of(lesson: Any) -> tuple[Exercise, ...]:
    """The exercises of a lesson (of `vizcourse.course`); none where its module does not exist yet."""
    return getattr(lesson.part("exercises"), "EXERCISES", ())


def exercise(identifier: str) -> Exercise:
    """The exercise with this id. Raises ExerciseError, with the closest ids, when there is none."""
    from vizcourse.course import LESSONS

    if not isinstance(identifier, str):
        raise ExerciseError(
            f'An exercise\'s id is a text, such as "1.2", not {compare.kind(identifier)}: put it in quotes.'
        )
    wanted = identifier.strip()
    if wanted in _extra:
        return _extra[wanted]
    own = [lesson for lesson in LESSONS if lesson.number.lstrip("0") == wanted.split(".")[0].lstrip("0")]
    for one in (one for lesson in own for one in exercises_of(lesson)):
        if one.id == wanted:
            return one
    known = [*_extra, *(one.id for lesson in LESSONS for one in exercises_of(lesson))]
    close = difflib.get_close_matches(wanted, known, n=3, cutoff=0.75)
    if not close:
        close = [one for one in known if one.split(".")[0] == wanted.split(".")[0]] or known
    guess = f" Did you mean {' or '.join(close)}?" if len(close) <= 3 else f" There are {', '.join(close)}."
    raise ExerciseError(f'There is no exercise "{wanted}".{guess if close else ""}')


@contextmanager
def registered(exercises: Iterable[Exercise]) -> Iterator[None]:
    """Within the block these exercises can be attempted too: for tests, and for trying out a new lesson."""
    before = dict(_extra)
    _extra.update((one.id, one) for one in exercises)
    try:
        yield
    finally:
        _extra.clear()
        _extra.update(before)


def _exercise_for(call: str, identifier: Any, kind: type[Exercise]) -> Exercise:
    found = exercise(identifier)
    if not isinstance(found, kind):
        raise ExerciseError(f"Exercise {found.id} is not for {call}: use {_how(found)}.")
    return found


def _how(one: Exercise) -> str:
    if isinstance(one, CodeExercise):
        return f'`@attempt("{one.id}")` above your {"class" if isinstance(one.reference, type) else "function"}'
    return f'`choose("{one.id}", "a")`' if isinstance(one, ChoiceExercise) else f'`answer("{one.id}", …)`'


# ---- what a learner calls


def attempt(identifier: str) -> Callable[[Any], Any]:
    """Judge the function or class below: `@attempt("1.2")`.

    The name is bound to the learner's own function when it is right, and to the reference otherwise, so that later
    cells work.
    """
    if callable(identifier):
        raise ExerciseError('Name the exercise: `@attempt("1.2")`, not `@attempt`.')
    one = _exercise_for("attempt", identifier, CodeExercise)

    def judge(learner: Any) -> Any:
        verdict = one.verdict(learner)
        reference = one.reference
        notes = []
        name = getattr(learner, "__name__", reference.__name__)
        if name != reference.__name__:
            notes.append(f"Later cells call it `{reference.__name__}`, and yours is `{name}`: give it that name.")
        elif verdict.status not in (SOLVED, NOT_STARTED):
            notes.append(f"`{name}` is the reference for now, so that later cells work.")
        _settle(one, verdict, source.text_of(learner) or repr(learner), notes)
        if verdict.status != SOLVED:
            return reference
        return verdict.convert(learner) if verdict.convert else learner

    return judge


def answer(identifier: str, value: Any = ...) -> None:
    """Judge a value, or a widget that has `answer_value()`: `answer("1.5", 11)`."""
    one = _exercise_for("answer", identifier, AnswerExercise)
    verdict = one.verdict(value)
    if verdict.status == SOLVED:
        _accepted[one.id] = one.usable(value.answer_value() if hasattr(value, "answer_value") else value)
    shown = value.answer_value() if hasattr(value, "answer_value") and verdict.counts else value
    _settle(one, verdict, repr(shown))


def choose(identifier: str, option: Any = ...) -> None:
    """Judge the choice of an option: `choose("1.6", "b")`."""
    one = _exercise_for("choose", identifier, ChoiceExercise)
    _settle(one, one.verdict(option), str(option).strip().lower())


def value_of(identifier: str) -> Any:
    """The accepted answer of an exercise for later cells: the learner's if it was right, else the reference's."""
    one = exercise(identifier)
    if isinstance(one, AnswerExercise):
        return _accepted.get(one.id, one.right_value)
    return one.correct if isinstance(one, ChoiceExercise) else one.reference


def predict(identifier: str, value: Any = ...) -> None:
    """Commit a prediction before the measurement; `...` is "no prediction yet"."""
    name = _prediction_id(identifier)
    if value is None or value is ... or (isinstance(value, str) and not value.strip()):
        _show(Feedback(BLANK, name, "no prediction yet: put yours in place of the dots, before you measure."))
        return
    record_prediction(name, _storable(value))
    _show(Feedback(NOTE, name, f"your prediction: {_said(value)}. It will stand beside the measurement."))


def reconcile(identifier: str, measured: Any, label: str = "measured") -> None:
    """Show a prediction beside what was measured; works without a prediction too."""
    name = _prediction_id(identifier)
    own = record_measurement(name, _storable(measured))
    found = f"{label}: {_said(measured)}"
    if "value" not in own:
        _show(Feedback(BLANK, name, f"{found}. You made no prediction."))
        return
    notes = (
        ("You had already seen the measurement when you made this prediction.",) if own.get("after_measurement") else ()
    )
    apart = _apart(own["value"], _storable(measured))
    _show(Feedback(NOTE, name, f"predicted: {_said(own['value'])} · {found}. {apart}".rstrip(), notes=notes))


def hint(identifier: str) -> None:
    """Show the next hint that was not seen yet."""
    one = exercise(identifier)
    index = record_hint(one.id, len(one.hints))
    total = len(one.hints)
    if index is None:
        listed = "\n".join(f"{number}. {text}" for number, text in enumerate(one.hints, start=1))
        _show(
            Feedback(
                NOTE,
                one.id,
                f"You have seen all {total} hints. Here they are again:",
                listed,
                (f'What is left is solution("{one.id}"): first try once more.',),
            )
        )
        return
    left = total - index - 1
    more = f'{left} more: hint("{one.id}")' if left else f'That was the last one; there is also solution("{one.id}").'
    _show(Feedback(NOTE, one.id, f"Hint {index + 1} of {total}: {one.hints[index]}", notes=(more,)))


def solution(identifier: str) -> None:
    """Show the reference solution, and note that it was seen."""
    one = exercise(identifier)
    record_solution_seen(one.id)
    text = "One way to solve it. Read it, put it away, and write your own: that is how it stays."
    if isinstance(one, ChoiceExercise):
        text = f'The right option is "{one.correct}": {one.options[one.correct]}'
    _show(Feedback(NOTE, one.id, text, solution_cell(one.id), (one.insight,)))


def progress(lessons: str | None = None) -> None:
    """Show what was done so far: a table for the lesson at hand, and one line for all others.

    lessons: "all" for a table of each lesson, a number or slug for another lesson's; by default the lesson that
    `vizcourse.setup` named, or all where there was no set-up.
    """
    from vizcourse.course import LESSONS, lesson

    entries = store().read()["exercises"]
    wanted = _lesson_at_hand if lessons is None else lessons
    shown = LESSONS if wanted in (None, "all") else (lesson(wanted),)
    groups = [(f"Lesson {one.number}: {one.title}", exercises_of(one)) for one in shown]
    if _extra:
        groups.append(("Other exercises", tuple(_extra.values())))
    own = {exercise.id for _, exercises in groups for exercise in exercises}
    elsewhere = sum(entry["status"] == SOLVED for identifier, entry in entries.items() if identifier not in own)
    others = f'In other lessons: {elsewhere or "none"} solved. progress("all") shows them.'
    notes = () if len(shown) == len(LESSONS) else (others,)
    tables = [(title, exercises) for title, exercises in groups if exercises]
    for title, exercises in tables:
        rows = tuple(_progress_row(one, entries.get(one.id, empty_entry())) for one in exercises)
        solved = sum(row[0] == RIGHT for row in rows)
        _show(
            Table(
                f"{title}, {solved} of {len(rows)} solved",
                ("", "exercise", "", "attempts", "hints", "mistakes met"),
                rows,
                notes if title == tables[-1][0] else (),
            )
        )


def begin(number: str) -> None:
    """Note which lesson is at hand (`vizcourse.setup` does): `progress()` is about that one."""
    global _lesson_at_hand
    _lesson_at_hand = number


def tally(number: str) -> tuple[int, int]:
    """How many exercises of the lesson with this number are solved, and how many there are."""
    from vizcourse.course import lesson

    exercises = exercises_of(lesson(number))
    entries = store().read()["exercises"]
    return sum(entries.get(one.id, empty_entry())["status"] == SOLVED for one in exercises), len(exercises)


def _progress_row(one: Exercise, own: dict[str, Any]) -> tuple[str, ...]:
    symbol = {SOLVED: RIGHT, NOT_STARTED: BLANK}.get(own["status"], WRONG)
    met = ", ".join(name.replace("_", " ").replace("-", " ") for name in own["mistakes"])
    seen = " (solution seen)" if own["solution_seen"] else ""
    return (
        symbol,
        f"{one.id} {one.title}{seen}",
        "★" * one.stars,
        str(own["attempts"]),
        f"{own['hints']} of {len(one.hints)}",
        met,
    )


# ---- for the builder of notebooks and for `vizcourse check`


def solution_cell(identifier: str) -> str:
    """The source that replaces the learner's cell in the solved notebook."""
    return exercise(identifier).solved_cell()


def expected_feedback(identifier: str) -> str:
    """The text/plain that a right answer displays."""
    return expected_bundle(identifier)["text/plain"]


def expected_bundle(identifier: str) -> dict[str, str]:
    """The whole mime bundle (text/plain and text/html) that a right answer displays."""
    return feedback.bundle(_feedback(exercise(identifier), Verdict(SOLVED), []))


# ---- inside


def _settle(one: Exercise, verdict: Verdict, submission: str, notes: Iterable[str] = ()) -> None:
    """Record a judged submission and show the feedback."""
    if verdict.status != NOT_STARTED and verdict.counts:
        digest = hashlib.sha256(submission.encode(errors="replace")).hexdigest()[:16]
        record_attempt(one.id, solved=verdict.status == SOLVED, mistake=verdict.mistake, submission=digest)
    _show(_feedback(one, verdict, notes))


def _feedback(one: Exercise, verdict: Verdict, notes: Iterable[str]) -> Feedback:
    help_line = f'hint("{one.id}") · solution("{one.id}")'
    if verdict.status == NOT_STARTED:
        return Feedback(BLANK, one.id, f"not started: going on with the reference. {help_line}", notes=tuple(notes))
    if verdict.status == SOLVED:
        used = (f"Next: {one.used_next}",) if one.used_next else ()
        return Feedback(RIGHT, one.id, f"{one.title}: right.", notes=(one.insight, *used, *verdict.notes, *notes))
    return Feedback(WRONG, one.id, verdict.text, verdict.detail, (*verdict.notes, *notes, help_line))


def _show(message: Feedback | Table) -> None:
    feedback.show(message)
    for text in store().take_messages():
        feedback.show(Feedback(NOTE, "progress", text))


def _prediction_id(identifier: Any) -> str:
    if not isinstance(identifier, str) or not identifier.strip():
        raise ExerciseError('A prediction has a name, such as predict("p1.1", 0.9).')
    return identifier.strip()


def _storable(value: Any) -> Any:
    """A value as JSON can hold it."""
    if hasattr(value, "answer_value"):
        value = value.answer_value()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and value != value:
        return "NaN"
    if isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, dict):
        return {str(key): _storable(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_storable(entry) for entry in value]
    return repr(value)


def _said(value: Any) -> str:
    value = _storable(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_said(entry)}" for key, entry in value.items())
    return value if isinstance(value, str) else compare.show(value)


def _apart(predicted: Any, measured: Any) -> str:
    """How far a prediction is from the measurement, in words."""
    if isinstance(predicted, str) and compare.is_number(measured) and not isinstance(measured, bool):
        try:
            predicted = float(predicted.replace("%", " "))
        except ValueError:
            return "That is no number: predict one, and the two can be compared."
    if compare.is_number(predicted) and isinstance(measured, str):
        return "Predict a word here, and the two can be compared."
    if compare.is_number(predicted) and compare.is_number(measured) and not isinstance(measured, bool):
        gap = measured - predicted
        if abs(gap) <= 0.005 * abs(measured):
            return "Just as you predicted."
        return f"It came out {compare.show(abs(gap))} {'higher' if gap > 0 else 'lower'} than you predicted."
    if isinstance(predicted, str) and isinstance(measured, str):
        same = predicted.strip().casefold() == measured.strip().casefold()
        return "Just as you predicted." if same else "Not what you predicted: what made the difference?"
    if type(predicted) is type(measured) and predicted == measured:
        return "Just as you predicted."
    return ""
