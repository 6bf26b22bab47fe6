"""Answers, choices, widgets, predictions, hints, solutions, and the table of progress."""

import dataclasses

import numpy as np
import pytest
import torch

from vizcourse.course import LESSONS
from vizcourse.exercises import (
    answer,
    choose,
    core,
    hint,
    predict,
    progress,
    reconcile,
    solution,
    tally,
    value_of,
)
from vizcourse.exercises.core import AnswerExercise, ExerciseError, expected_bundle, registered, solution_cell
from vizcourse.exercises.feedback import bundle
from vizcourse.exercises.progress import record_attempt, store


@pytest.mark.parametrize(
    "value",
    [11, 11.0, np.int64(11), torch.tensor(11), np.array(11.0), torch.tensor([11]), [11], (11.0,), np.array([[11]])],
)
def test_right_in_every_kind_of_number(said, value):
    answer("99.2", value)
    assert bundle(said[-1]) == expected_bundle("99.2")
    assert store().read()["exercises"]["99.2"]["status"] == "solved"


@pytest.mark.parametrize("blank", [..., None, "", "  "])
def test_blank(said, blank):
    answer("99.2", blank)
    choose("99.3", blank)
    assert [message.symbol for message in said] == ["○", "○"]
    assert store().read()["exercises"] == {}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (12, "one window too many"),
        (9, "Padding."),
        (64, "larger than the picture"),
        (1000.5, "larger than"),
        (13, "13 is not it."),
        (-11, "Look at the sign"),
        (11.05, "very close"),
        ("11", "leave out the quotes"),
        ("eleven", "a text; expected a number"),
        ([11, 11], "a list of 2; expected a number"),
        ([11, "11"], "does not make a table of numbers"),
        (float("nan"), "NaN, not a number"),
        (max, "parentheses"),
        (object(), "an object; expected a number"),
        (torch.ones(2), "is not it"),
    ],
)
def test_wrong(said, value, words):
    answer("99.2", value)
    assert said[-1].symbol == "✗" and words in said[-1].plain


def test_the_answer_is_never_given_away(said):
    for value in (13, "11.5", [1], torch.ones(2), 4 + 3j, {}, True):
        answer("99.2", value)
    answer("99.2", 10)
    assert not any("11" in message.plain.replace("'11.5'", "") for message in said)


def make(reference, **fields):
    common = {
        "id": "99.9",
        "title": "T",
        "stars": 1,
        "minutes": 1,
        "hints": (),
        "mistakes": (),
        "insight": "I",
        "used_next": "N",
    }
    return AnswerExercise(reference=reference, **common | fields)


@pytest.mark.parametrize(
    ("reference", "right", "wrong"),
    [
        ("Layer4", " layer4 ", "layer3"),
        ((1, 2, 3), [1, 2, 3], (1, 2, 4)),
        ([1.0, 2.0], torch.tensor([1.0, 2.0]), [1.0]),
        (torch.eye(2), np.eye(2), torch.ones(2, 2)),
        ({"a": 1}, {"a": 1.0}, {"b": 1}),
        (True, True, False),
        ({1, 2}, {2, 1}, {1}),
        (0, 0.0, 1),
        (True, 1, 0),
        ("a", "A", 3),
        ((1, "b"), (1, "b"), (1, "c")),
    ],
)
def test_answers_of_other_kinds(said, reference, right, wrong):
    with registered([make(reference)]):
        answer("99.9", right)
        answer("99.9", wrong)
    assert [message.symbol for message in said] == ["✓", "✗"]


def test_partly_right_lists_and_wrong_shapes_say_so(said):
    with registered([make((1, 2, 3))]):
        answer("99.9", (1, 2, 4))
        assert "2 of its 3 entries are right" in said[-1].plain
        answer("99.9", (1, 2))
        assert "It has 2 entries; expected 3." in said[-1].plain
    with registered([make(torch.eye(2))]):
        answer("99.9", torch.eye(3))
        assert "Its shape is (3, 3); expected (2, 2)." in said[-1].plain


def test_tolerance_is_absolute(said):
    with registered([make(0.5, tolerance=0.01)]):
        answer("99.9", 0.509)
        answer("99.9", 0.511)
    assert [message.symbol for message in said] == ["✓", "✗"]


def test_value_for_later_cells(said):
    assert value_of("99.2") == 11
    answer("99.2", 12)
    assert value_of("99.2") == 11
    answer("99.2", 11.0)
    assert isinstance(value_of("99.2"), float)
    assert value_of("99.3") == "b"


@pytest.mark.parametrize(
    ("option", "symbol", "words"),
    [
        ("b", "✓", "right"),
        ("B", "✓", "right"),
        ("b)", "✓", "right"),
        ("second", "✓", "right"),
        ("a", "✗", "Not a."),
        ("e", "✗", 'none of the options: choose one of "a", "b", "c", "d"'),
        (2, "✗", "none of the options"),
    ],
)
def test_choices(said, option, symbol, words):
    choose("99.3", option)
    assert said[-1].symbol == symbol and words in said[-1].plain


def test_an_option_that_does_not_exist_is_a_slip_not_an_attempt(said):
    choose("99.3", "e")
    assert store().read()["exercises"] == {}


def test_widget(said, lab):
    answer("99.4", lab)
    assert said[-1].symbol == "○"  # as it was made
    for kernel, words in (([1, 0, -1], "light to dark"), ([1, 1, 1], "blurs"), ([5, 5, 5], "does not answer")):
        lab.set(kernel)
        answer("99.4", lab)
        assert said[-1].symbol == "✗" and words in said[-1].plain
    lab.set([-1, 0, 1])
    answer("99.4", lab)
    assert said[-1].symbol == "✓" and value_of("99.4") == [-1, 0, 1]


def test_widget_that_breaks_is_told_not_raised(said, lab):
    lab.answer_value = lambda: 1 / 0
    answer("99.4", lab)
    assert "The widget could not give its answer: there is a division by zero" in said[-1].plain


def test_judge_that_cannot_use_the_value(said):
    answer("99.4", 3)
    assert said[-1].symbol == "✗" and "The exercise cannot use 3" in said[-1].plain


def test_calls_of_the_wrong_kind(toys):
    with pytest.raises(ExerciseError, match="99.3 is not for answer: use `choose"):
        answer("99.3", 1)
    with pytest.raises(ExerciseError, match="above your function"):
        choose("99.1", "a")
    with pytest.raises(ExerciseError, match="above your class"):
        answer("99.5", 1)
    with pytest.raises(ExerciseError, match="There is no exercise"):
        hint("nonsense")


def test_hints_one_by_one_and_then_all(said):
    for _ in range(3):
        hint("99.1")
    assert said[0].plain.startswith("● 99.1 Hint 1 of 2: Look at one window.") and 'hint("99.1")' in said[0].plain
    assert said[1].plain.startswith("● 99.1 Hint 2 of 2: Look at its largest value.")
    assert said[2].plain.startswith("● 99.1 You have seen all 2 hints.") and "1. Look at one" in said[2].plain
    assert store().read()["exercises"]["99.1"]["hints"] == 2


def test_solutions(said, toys):
    for identifier in toys:
        solution(identifier)
        assert said[-1].detail == solution_cell(identifier)
        assert store().read()["exercises"][identifier]["solution_seen"]
    assert solution_cell("99.2") == 'answer("99.2", 11)' and solution_cell("99.3") == 'choose("99.3", "b")'
    assert solution_cell("99.1").startswith('@attempt("99.1")\ndef max_pool(image, size=2):\n    """Largest')
    assert solution_cell("99.4").splitlines()[-1] == 'answer("99.4", lab)'
    assert solution_cell("99.5").startswith('@attempt("99.5")\nclass Doubler')


def test_the_same_again_does_not_count_again(said):
    for value in (12, 12, 13, 12, 11, 11, 12):
        answer("99.2", value)
    entry = store().read()["exercises"]["99.2"]
    assert entry["attempts"] == 4 and entry["status"] == "solved" and entry["mistakes"] == {"one-more": 2}
    assert entry["first_attempt"] <= entry["solved"] == entry["last_attempt"]


def test_predictions(said):
    predict("p99.1", ...)
    reconcile("p99.2", 0.7, label="accuracy")
    predict("p99.1", 0.5)
    reconcile("p99.1", torch.tensor(0.75), label="accuracy")
    assert [message.plain for message in said] == [
        "○ p99.1 no prediction yet: put yours in place of the dots, before you measure.",
        "○ p99.2 accuracy: 0.7. You made no prediction.",
        "● p99.1 your prediction: 0.5. It will stand beside the measurement.",
        "● p99.1 predicted: 0.5 · accuracy: 0.75. It came out 0.25 higher than you predicted.",
    ]
    predict("p99.1", 0.75)
    reconcile("p99.1", 0.75)
    assert "Just as you predicted." in said[-1].plain and "already seen the measurement" in said[-1].plain


@pytest.mark.parametrize(
    ("predicted", "measured", "words"),
    [
        ("texture", " Texture", "Just as you predicted."),
        ("texture", "shape", "Not what you predicted"),
        (10, 9.96, "Just as you predicted."),
        (3, 1, "It came out 2 lower"),
        ([1, 2], [1, 2], "Just as you predicted."),
        (0.5, float("nan"), "measured: NaN."),
        ("up", 3, "predicted: up · measured: 3. That is no number: predict one"),
        ("80 %", 40, "It came out 40 lower than you predicted."),
        (3, "window", "Predict a word here"),
        ({"dax": 1}, {"dax": 2}, "dax 1"),
        (True, True, "Just as you predicted."),
        (0.1, np.float32(0.1), "Just as"),
    ],
)
def test_predictions_of_every_kind(said, predicted, measured, words):
    predict("p99.1", predicted)
    reconcile("p99.1", measured)
    assert words in said[-1].plain


def test_running_a_notebook_again_is_no_new_prediction(said):
    for _ in range(2):
        predict("p99.1", 0.5)
        reconcile("p99.1", 0.7)
    assert "already seen" not in said[-1].plain


def test_progress_table(said):
    answer("99.2", 12)
    hint("99.2")
    choose("99.3", "b")
    solution("99.1")
    progress()
    plain = said[-1].plain
    assert "Other exercises, 1 of 6 solved" in plain
    rows = {line.split()[1]: line for line in plain.splitlines() if line[:1] in "✓✗○"}
    assert rows["99.2"].startswith("✗") and "one more" in rows["99.2"] and "1 of 2" in rows["99.2"]
    assert rows["99.3"].startswith("✓") and rows["99.1"].startswith("○") and "(solution seen)" in rows["99.1"]


@pytest.fixture
def _lesson_2(monkeypatch):
    monkeypatch.setattr(core, "_lesson_at_hand", None)  # put back afterwards
    core.begin("02")


@pytest.mark.usefixtures("_lesson_2")
def test_progress_is_about_the_lesson_at_hand(said):
    progress()
    titles = [table.plain.split("\n")[0] for table in said]
    assert [title.split(":")[0] for title in titles] == ["Lesson 02", "Other exercises, 0 of 6 solved"]
    assert said[-1].plain.endswith('In other lessons: none solved. progress("all") shows them.')
    record_attempt("1.1", solved=True, mistake=None, submission="")
    said.clear()
    progress()
    assert "In other lessons: 1 solved" in said[-1].plain
    said.clear()
    progress("01")
    assert said[0].title.startswith("Lesson 01: ") and len(said) == 2
    said.clear()
    progress("all")
    assert len(said) == len(LESSONS) + 1 and not any(table.notes for table in said)
    with pytest.raises(ValueError, match="no lesson 'x'"):
        progress("x")


def test_tally_of_a_shipped_lesson(toys):
    solved, count = tally("01")
    assert solved == 0 and count >= 0


def test_feedback_is_accessible_html(said):
    answer("99.2", '<b>"12"</b>')
    html = said[-1].html
    assert 'role="status"' in html and "<strong>✗ 99.2</strong>" in html and "<b>" not in html
    assert "<code>hint(&quot;99.2&quot;)</code>" in html
    # No text colour of its own: it stays legible in a dark theme.
    assert "color: #" not in html and ";color:" not in html


def test_mistakes_are_asked_only_when_it_is_wrong(said, toys):
    greedy = dataclasses.replace(toys["99.2"], mistakes=(dataclasses.replace(toys["99.2"].mistakes[0], wrong=11),))
    with registered([greedy]):
        answer("99.2", 11)
    assert said[-1].symbol == "✓"


def test_a_number_that_a_judge_took_in_words_is_a_number_for_later_cells(toys, said):
    wordy = dataclasses.replace(toys["99.2"], id="99.7", judge=lambda value: None if "11" in str(value) else "No.")
    with registered([wordy]):
        for given in ("concept 11", [11], 11):
            answer("99.7", given)
            assert said[-1].symbol == "✓" and value_of("99.7") == 11
