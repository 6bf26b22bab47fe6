"""The three kinds of exercise and how each judges what a learner hands in.

Nothing here displays or records anything: a kind gives a `Verdict`, and `core` makes of it what the learner sees.
"""

import functools
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from vizcourse.exercises import compare, source
from vizcourse.exercises.edits import Edits
from vizcourse.exercises.running import (
    Case,
    Outcome,
    Raised,
    Returned,
    argument_mapping,
    call,
    describe_case,
    describe_error,
    in_words,
    same_outcome,
    seeded,
    short_case,
    signature_problem,
    visible,
)

SOLVED, WRONG, NOT_STARTED = "solved", "wrong", "not started"


@dataclass(frozen=True, eq=False)
class Mistake:
    """A wrong solution that learners are known to hand in, and what a tutor says to it.

    `wrong` is, for code, `edits(…)` of the reference, or a wrong function or class; for an answer, the wrong value, or a
    predicate that says whether a value is this mistake (then `example` is a value that is); for a choice, the key of the
    wrong option.
    """

    name: str
    message: str
    wrong: Any
    example: Any = None


@dataclass(frozen=True)
class Problem:
    """What a `judge` gives back for a wrong solution: a message, or the name of one of the exercise's mistakes."""

    message: str = ""
    mistake: str | None = None


@dataclass(frozen=True)
class Verdict:
    """The judgement on one submission.

    `text` and `detail` say why it is wrong, `mistake` names the known mistake, `notes` are further lines. Where
    `counts` is False, it was a slip (an option that does not exist), not an attempt. `convert` turns the results of a
    right function into tensors.
    """

    status: str
    text: str = ""
    detail: str = ""
    mistake: str | None = None
    notes: tuple[str, ...] = ()
    counts: bool = True
    convert: Callable | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Exercise:
    """What all kinds share.

    id: "1.2", the lesson's number and a running number. stars: 1 to 3. minutes: for an average learner.
    insight: one line shown when it is solved. used_next: one line, where the result is used next.
    unlisted: plausible wrong solutions without a message of their own; `vizcourse check` sees that they are refused.
    setup_source: code that `vizcourse check` runs before the learner's cell (it makes the widget, say).
    """

    id: str
    title: str
    stars: int
    minutes: int
    hints: tuple[str, ...]
    mistakes: tuple[Mistake, ...]
    insight: str
    used_next: str
    unlisted: tuple = ()
    setup_source: str = ""

    def verdict(self, submission: Any) -> Verdict:
        raise NotImplementedError

    def solved_cell(self) -> str:
        """What the learner's cell looks like when the exercise is solved."""
        raise NotImplementedError

    def wrong_example(self, mistake: Mistake) -> Any:
        """A submission that makes this mistake."""
        return mistake.wrong

    def _mistake(self, mistake: Mistake) -> Verdict:
        return Verdict(WRONG, mistake.message, mistake=mistake.name)

    def _by_judge(self, problem: str | Problem | None) -> Verdict | None:
        """A judge's word as a verdict, None when it found nothing wrong."""
        if problem is None:
            return None
        if isinstance(problem, str):
            return Verdict(WRONG, problem)
        if problem.mistake is None:
            return Verdict(WRONG, problem.message)
        known = {mistake.name: mistake for mistake in self.mistakes}
        if problem.mistake not in known:
            raise ValueError(
                f"The judge of exercise {self.id} names the mistake {problem.mistake!r}, which the "
                f"exercise does not list: {', '.join(known)}."
            )
        verdict = self._mistake(known[problem.mistake])
        return Verdict(WRONG, f"{verdict.text} {problem.message}".strip(), mistake=verdict.mistake)


@dataclass(frozen=True, kw_only=True, eq=False)
class CodeExercise(Exercise):
    """The learner writes a function or a class under `@attempt("1.2")`.

    reference: the right function or class; its source is the solution, so it stands on the names of the notebook.
    cases: argument tuples (or `case(…)` with keyword arguments), or a function of a seed that makes them.
    use: how a case is put to a function or class, `use(learner, *args)`; by default a function is called, and a class
        made without arguments and then called. Random numbers are seeded, so layers made in the same order are equal.
    judge: takes the learner's function; None, or a sentence, or a Problem. It comes after the cases, if there are any.
    right_variants: mutants of the reference (in the words of `vizcourse check --mutants`) that are accepted although
        they compute something else, each with the reason why that is right.
    """

    reference: Callable
    cases: Callable[[int], Sequence] | Sequence = ()
    rtol: float = 1e-4
    atol: float = 1e-5
    use: Callable | None = None
    judge: Callable[[Callable], str | Problem | None] | None = None
    right_variants: Mapping[str, str] = field(default_factory=dict)

    def make_cases(self, seed: int = 0) -> list[Case]:
        """The cases, those with the smallest inputs first."""
        with seeded(seed):
            raw = self.cases(seed) if callable(self.cases) else self.cases
        return sorted(map(argument_mapping, raw), key=lambda one: one.size)

    @functools.cached_property
    def case_list(self) -> list[Case]:
        return self.make_cases()

    @functools.cached_property
    def expected(self) -> list[Outcome]:
        return self.outcomes(self.reference)

    @functools.cached_property
    def mistake_outcomes(self) -> list[tuple[Mistake, list[Outcome]]]:
        """What each known mistake does in each case."""
        return [(mistake, self.outcomes(self.wrong_example(mistake))) for mistake in self.mistakes]

    def wrong_example(self, mistake: Mistake) -> Callable:
        if mistake not in self._made:
            self._made[mistake] = self.made(mistake.wrong)
        return self._made[mistake]

    @functools.cached_property
    def _made(self) -> dict[Mistake, Callable]:
        return {}

    def made(self, wrong: Callable | Edits) -> Callable:
        """A wrong solution as a function or class, whichever way it is written down."""
        return wrong.of(self.reference) if isinstance(wrong, Edits) else wrong

    @functools.cached_property
    def _fresh_cases(self) -> list[Case]:
        """Other cases of the same kind, where they are drawn: what is named must hold in these as well."""
        return self.make_cases(seed=1) if callable(self.cases) else []

    def outcomes(self, function: Callable, cases: list[Case] | None = None) -> list[Outcome]:
        """What `function` does in each of the `cases` (the exercise's own by default)."""
        use = self.use
        if use is None and isinstance(self.reference, type):
            use = _make_and_call
        with visible(function):
            return [call(function, one, self._names, use) for one in (self.case_list if cases is None else cases)]

    def solved_cell(self) -> str:
        return f'@attempt("{self.id}")\n{self.reference_source()}'

    def reference_source(self) -> str:
        return textwrap.dedent(inspect.getsource(self.reference)).rstrip()

    def verdict(self, submission: Any) -> Verdict:
        wants_class = isinstance(self.reference, type)
        if isinstance(submission, type) != wants_class or not callable(submission):
            wanted = f"`class {self.reference.__name__}`" if wants_class else f"`def {self.reference.__name__}`"
            return Verdict(
                WRONG,
                f'This is {compare.kind(submission)}; the exercise asks for a {wanted} under `@attempt("{self.id}")`.',
            )
        if source.is_blank(submission):
            return Verdict(NOT_STARTED)
        if self.case_list and self.use is None and not wants_class:
            if problem := signature_problem(submission, self.reference, self.case_list):
                return Verdict(WRONG, problem)
        outcomes = self.outcomes(submission)
        if outcomes and self._is_unfinished(submission, outcomes):
            return Verdict(NOT_STARTED)
        failures = self._failures(outcomes)
        changed = self._changed(outcomes)
        if failures or changed:
            return self._known_mistake(submission, outcomes, bool(failures)) or self._explain(outcomes, failures, changed)
        solved = self._solved(outcomes)
        if self.judge is not None:
            judged = solved.convert(submission) if solved.convert else submission
            return self._judged(judged) or solved
        return solved

    def _judged(self, submission: Callable) -> Verdict | None:
        try:
            with visible(submission), seeded():
                problem = self.judge(submission)
        except Exception as error:
            if isinstance(error, NotImplementedError) and source.raises_not_implemented(submission):
                return Verdict(NOT_STARTED)
            text, line = describe_error(error)
            return Verdict(WRONG, text, line)
        return self._by_judge(problem)

    def _is_unfinished(self, submission: Callable, outcomes: list[Outcome]) -> bool:
        """Nothing but signs of a stub: NotImplementedError, `...` given back, or None with a `...` left inside."""
        placeholder = source.has_placeholder(submission)
        raises = source.raises_not_implemented(submission)

        def unfinished(outcome: Outcome) -> bool:
            if isinstance(outcome, Raised):
                about_dots = placeholder and "ellipsis" in str(outcome.error).lower()
                return (raises and isinstance(outcome.error, NotImplementedError)) or about_dots
            return outcome.value is ... or (placeholder and outcome.value is None)

        return all(map(unfinished, outcomes))

    def _failures(self, outcomes: list[Outcome]) -> list[int]:
        """The numbers of the cases in which an outcome is not the reference's, smallest first."""
        return [
            index
            for index, (wanted, given) in enumerate(zip(self.expected, outcomes, strict=True))
            if not same_outcome(wanted, given, self.rtol, self.atol)
        ]

    def _changed(self, outcomes: list[Outcome]) -> tuple[str, ...]:
        """The arguments that were changed in place although the reference leaves them alone."""
        names: dict[str, None] = {}
        for wanted, given in zip(self.expected, outcomes, strict=True):
            if isinstance(given, Returned):
                allowed = wanted.changed if isinstance(wanted, Returned) else ()
                names |= dict.fromkeys(name for name in given.changed if name not in allowed)
        return tuple(names)

    def _known_mistake(self, submission: Callable, outcomes: list[Outcome], failing: bool) -> Verdict | None:
        """The first known mistake that does the same as the learner's code in every case, fresh ones included."""

        def same(known: list[Outcome], given: list[Outcome]) -> bool:
            return all(same_outcome(one, other, self.rtol, self.atol) for one, other in zip(known, given, strict=True))

        for mistake, wrong in self.mistake_outcomes:
            # Right values with a changed input can only be a mistake that changes the same one, and the reverse.
            if failing != bool(self._failures(wrong)) or (not failing and self._changed(wrong) != self._changed(outcomes)):
                continue
            if same(wrong, outcomes) and same(
                self.outcomes(self.wrong_example(mistake), self._fresh_cases), self.outcomes(submission, self._fresh_cases)
            ):
                return self._mistake(mistake)
        return None

    def _explain(self, outcomes: list[Outcome], failures: list[int], changed: tuple[str, ...]) -> Verdict:
        """An unknown mistake: the smallest failing case in words."""
        spoilt = ""
        if changed:
            listed = " and ".join(f"`{name}`" for name in changed)
            first = changed[0]
            copied = {torch.Tensor: f"{first}.clone()", np.ndarray: f"{first}.copy()"}.get(
                type(self.case_list[0].named(self._names).get(first)), f"copy.deepcopy({first})"
            )
            spoilt = (
                f"Your function changes its input {listed} in place, which spoils it for whoever uses it next: "
                f"work on a copy, `{first} = {copied}`."
            )
        if not failures:
            return Verdict(WRONG, f"The result is right, but: {spoilt[0].lower()}{spoilt[1:]}")
        index = failures[0]
        one, wanted, given = self.case_list[index], self.expected[index], outcomes[index]
        passing = len(outcomes) - len(failures)
        notes = (spoilt,) if spoilt else ()
        if passing:
            notes += (f"{passing} of {len(outcomes)} cases are right; this is the smallest that is not.",)
        inputs = describe_case(one, self._names)
        where = f"for {short_case(one, self._names)}" if one.args or one.kwargs else "without arguments"
        if isinstance(given, Raised):
            text, line = describe_error(given.error)
            return Verdict(WRONG, text, "\n".join([line, "", *inputs] if line else inputs), notes=notes)
        if isinstance(wanted, Raised):
            return Verdict(
                WRONG,
                f"{where.capitalize()} your function should refuse, with "
                f"{type(wanted.error).__name__}: {in_words(wanted.error)}",
                "\n".join([*inputs, f"yours: {compare.show(given.value)}"]),
                notes=notes,
            )
        if given.value is None:
            text = "Your function returned None: is the `return` missing?"
            if passing:
                text = f"Your function returned None {where}: is a `return` missing on one way through it?"
            return Verdict(WRONG, text, notes=notes)
        if given.value is ...:
            return Verdict(WRONG, f"Your function returned `...` {where}: a part is not written yet.", notes=notes)
        problem = compare.difference(wanted.value, given.value, rtol=self.rtol, atol=self.atol, patterns=False)
        if pattern := self._pattern_of(outcomes, failures):
            problem = f"{problem} {pattern}"
        detail = [
            *inputs,
            f"expected: {compare.show(wanted.value)}",
            f"yours:    {compare.show(given.value)}",
        ]
        return Verdict(WRONG, f"Not yet, {where}. {problem}", "\n".join(detail), notes=notes)

    def _pattern_of(self, outcomes: list[Outcome], failures: list[int]) -> str | None:
        """What all failing cases have in common: a pattern of the smallest one alone can be an accident of its size."""
        pairs = [(self.expected[index], outcomes[index]) for index in failures]
        if not all(isinstance(outcome, Returned) for pair in pairs for outcome in pair):
            return None
        return compare.common_pattern([(wanted.value, given.value) for wanted, given in pairs], self.rtol, self.atol)

    def _solved(self, outcomes: list[Outcome]) -> Verdict:
        """Right. Where the learner gives something as good as the reference's tensor or number, later cells get that."""
        if isinstance(self.reference, type) or self.use is not None:
            return Verdict(SOLVED)
        pairs = [
            (wanted.value, given.value)
            for wanted, given in zip(self.expected, outcomes, strict=True)
            if isinstance(wanted, Returned) and isinstance(given, Returned)
        ]
        odd = [(wanted, given) for wanted, given in pairs if not _is_alike(wanted, given)]
        if not odd or not compare.is_numeric(odd[0][0]):
            return Verdict(SOLVED)
        wanted, given = odd[0]
        notes = ()
        if compare.kind(wanted) != compare.kind(given):
            notes = (f"(Your function returns {compare.kind(given)}: later cells get it as {compare.kind(wanted)}.)",)
        return Verdict(SOLVED, notes=notes, convert=functools.partial(_giving, like=wanted))

    @property
    def _names(self) -> Callable:
        """The function whose signature names a case's arguments."""
        if self.use is not None:
            return functools.partial(self.use, None)
        if isinstance(self.reference, type):
            return functools.partial(getattr(self.reference, "forward", self.reference.__call__), None)
        return self.reference


@dataclass(frozen=True, kw_only=True, eq=False)
class AnswerExercise(Exercise):
    """The learner hands in a value with `answer("1.5", 11)`, or a widget that has `answer_value()`.

    reference: the right value, or a function without arguments that computes it. tolerance: absolute, for numbers.
    judge: takes the value instead of the comparison; None, or a sentence, or a Problem.
    blank: values that mean "not started" beside `...` and None (a widget's state at first), or a predicate.
    solution_source: the lines of the learner's cell when solved, where the solution is not one literal.
    """

    reference: Any = None
    tolerance: float = 1e-6
    judge: Callable[[Any], str | Problem | None] | None = None
    blank: tuple | Callable[[Any], bool] = ()
    solution_source: str | None = None

    @functools.cached_property
    def right_value(self) -> Any:
        return self.reference() if callable(self.reference) else self.reference

    def solved_cell(self) -> str:
        if self.solution_source is not None:
            return textwrap.dedent(self.solution_source).strip()
        return f'answer("{self.id}", {_literal(self.right_value)})'

    def wrong_example(self, mistake: Mistake) -> Any:
        return mistake.example if _is_predicate(mistake.wrong) else mistake.wrong

    def verdict(self, submission: Any) -> Verdict:
        try:
            value = submission.answer_value() if hasattr(submission, "answer_value") else submission
        except Exception as error:
            return Verdict(WRONG, f"The widget could not give its answer: {in_words(error)}", counts=False)
        if self._is_blank(value):
            return Verdict(NOT_STARTED)
        wrong = self._judged(value) if self.judge else self._compared(value)
        if wrong is None:
            return Verdict(SOLVED)
        if wrong.mistake is None:
            for mistake in self.mistakes:
                if self.makes(mistake, value):
                    return self._mistake(mistake)
        return wrong

    def usable(self, value: Any) -> Any:
        """An accepted value as later cells use it: a number where one was asked and something of one element came."""
        if compare.is_number(self.right_value) and not compare.is_number(value):
            number = compare.numeric(value)
            return self.right_value if number is None else number.item()  # a judge may take a number in words
        return value

    def _judged(self, value: Any) -> Verdict | None:
        try:
            problem = self.judge(value)
        except Exception as error:
            return Verdict(WRONG, f"The exercise cannot use {compare.show(value)}: {in_words(error)}")
        return self._by_judge(problem)

    def _is_blank(self, value: Any) -> bool:
        if value is None or value is ... or (isinstance(value, str) and not value.strip()):
            return True
        blank = self.blank
        if callable(blank):
            return bool(blank(value))
        return any(compare.difference(empty, value, rtol=0, atol=self.tolerance) is None for empty in blank)

    def makes(self, mistake: Mistake, value: Any) -> bool:
        """Whether a value is this mistake."""
        try:
            if _is_predicate(mistake.wrong):
                return bool(mistake.wrong(value))
            return compare.difference(_plain(mistake.wrong), _plain(value), rtol=0, atol=self.tolerance) is None
        except Exception:
            return False  # a predicate for numbers, asked about a text

    def _compared(self, value: Any) -> Verdict | None:
        right = _plain(self.right_value)
        given = _plain(value)
        if problem := compare.kind_problem(right, given):
            return Verdict(WRONG, problem)
        if compare.difference(right, given, rtol=0, atol=self.tolerance) is None:
            return None
        return Verdict(WRONG, f"{compare.show(value)} is not it.{_glance(right, given)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class ChoiceExercise(Exercise):
    """The learner picks an option with `choose("1.6", "b")`. Each wrong option has its mistake."""

    options: Mapping[str, str]
    correct: str
    question: str = ""

    def solved_cell(self) -> str:
        return f'choose("{self.id}", "{self.correct}")'

    def verdict(self, submission: Any) -> Verdict:
        if submission is None or submission is ... or str(submission).strip() in ("", "?", "…", "..."):
            return Verdict(NOT_STARTED)
        key = self._key(submission)
        if key is None:
            keys = ", ".join(f'"{option}"' for option in self.options)
            return Verdict(
                WRONG,
                f"{compare.show(submission)} is none of the options: choose one of {keys}.",
                counts=False,
            )
        if key == self.correct:
            return Verdict(SOLVED)
        for mistake in self.mistakes:
            if mistake.wrong == key:
                return self._mistake(mistake)
        return Verdict(WRONG, f'"{key}" is not it: {self.options[key]}')

    def _key(self, submission: Any) -> str | None:
        """The option that is meant: its key in either case, with or without brackets, or its whole text."""
        said = str(submission).strip()
        for key, text in self.options.items():
            if said.strip("().: ").lower() == key.lower() or said.lower() == text.lower():
                return key
        return None


def _make_and_call(cls: type, *args: Any, **kwargs: Any) -> Any:
    return cls()(*args, **kwargs)


def _is_alike(wanted: Any, given: Any) -> bool:
    """Whether later cells can use `given` as they would use `wanted`."""
    if isinstance(wanted, torch.Tensor):
        return isinstance(given, torch.Tensor) and given.dtype == wanted.dtype and given.shape == wanted.shape
    if compare.is_number(wanted):
        return compare.is_number(given)
    return not isinstance(wanted, np.ndarray) or isinstance(given, np.ndarray)


def _giving(function: Callable, like: Any) -> Callable:
    """`function`, with its results as tensors, arrays or numbers as `like` is one."""

    @functools.wraps(function)
    def converted(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        if isinstance(like, torch.Tensor):
            return compare.as_tensor(value, like)
        tensor = compare.as_tensor(value)
        return tensor.item() if compare.is_number(like) else tensor.detach().cpu().numpy()

    return converted


def _is_predicate(wrong: Any) -> bool:
    return callable(wrong) and not hasattr(wrong, "answer_value")


def _plain(value: Any) -> Any:
    """Texts compare without regard to case and space around them."""
    return value.strip().casefold() if isinstance(value, str) else value


def _glance(right: Any, given: Any) -> str:
    """What a tutor may say at a glance without giving the answer away."""
    if compare.is_number(right) and compare.is_number(given) and not isinstance(right, bool):
        distance = abs(complex(given) - complex(right))
        if distance != distance:
            return " It is NaN, not a number."
        if right and distance <= 0.01 * abs(right):
            return " It is very close: is it a matter of rounding?"
        if given == -right:
            return " Look at the sign."
        return ""
    if compare.is_numeric(right):
        wanted, have = compare.as_array(right), compare.numeric(given)
        return f" Its shape is {have.shape}; expected {wanted.shape}." if wanted.shape != have.shape else ""
    if isinstance(right, (list, tuple)):
        agree = sum(
            compare.difference(wanted, have, rtol=0) is None for wanted, have in zip(right, list(given), strict=True)
        )
        return f" {agree} of its {len(right)} entries are right."
    return ""


def _literal(value: Any) -> str:
    if isinstance(value, torch.Tensor) or hasattr(value, "tolist"):
        value = value.tolist()
    return repr(value)
