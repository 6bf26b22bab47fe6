"""A lesson as a learner meets it: a real JupyterLab, a real kernel, a real browser."""

import re
import shutil
import time

import pytest

from tests.browser.lab import Lab, browse, serve
from vizcourse import notebooks
from vizcourse.course import LESSONS
from vizcourse.exercises import core

pytestmark = [pytest.mark.browser, pytest.mark.slow]
# Filled in where JupyterLab could not show an output.
BROKEN = (
    "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr'], "
    ".jp-RenderedText[data-mime-type='application/vnd.jupyter.widget-view+json']"
)


@pytest.fixture(scope="module", params=LESSONS, ids=lambda entry: entry.stem)
def entry(request):
    return request.param


@pytest.fixture(scope="module")
def lab(entry, browser, tmp_path_factory):
    """The lesson, opened and run from top to bottom."""
    folder = tmp_path_factory.mktemp("lessons")
    path = notebooks.notebook_path(entry)
    shutil.copy(path, folder)
    with serve(folder) as server, browse() as page:
        lab = Lab(page, server)
        lab.open(path.name)
        lab.run_all(seconds=600)
        yield lab


def exercise_cell(lab, name):
    return lab.cell(f'("{name}"')


def test_run_all_leaves_no_error_and_every_exercise_open(lab, entry):
    assert lab.page.locator(BROKEN).all_inner_texts() == []
    for exercise in core.exercises_of(entry):
        text = lab.output_text(exercise_cell(lab, exercise.id))
        assert text.startswith(f"○ {exercise.id} not started"), text


def test_widgets_are_live_and_say_what_they_show(lab):
    pictures = lab.page.locator(".jp-OutputArea-output img.widget-image")
    assert pictures.count() >= 2
    for number in range(pictures.count()):
        assert pictures.nth(number).evaluate("image => image.naturalWidth") > 50
    assert lab.page.locator(".jp-OutputArea-output .widget-slider").count() >= 1
    # One line under each picture says it in words, for screen readers.
    assert lab.page.locator(".jp-OutputArea-output [role='status'][aria-live='polite']").count() >= 2


def test_moving_a_slider_changes_the_picture(lab):
    output = lab.page.locator(".jp-OutputArea-output").filter(has=lab.page.locator("img.widget-image")).filter(
        has=lab.page.locator(".widget-slider:visible")  # a widget may hide those that do not apply now
    ).first
    image, slider = output.locator("img.widget-image").first, output.locator(".widget-slider:visible").first
    before, readout = lab.picture(image), slider.locator(".widget-readout").inner_text()
    for steps in (1, -1):  # one of them is possible wherever the slider stands
        lab.set_slider(slider, steps=steps)
        if slider.locator(".widget-readout").inner_text() != readout:
            break
    deadline = time.monotonic() + 20
    while lab.picture(image) == before and time.monotonic() < deadline:
        lab.page.wait_for_timeout(100)
    assert lab.picture(image) != before
    assert "⚠" not in output.inner_text()


def test_a_wrong_answer_gets_its_reason_and_a_right_one_its_tick(lab, entry):
    exercise = next(one for one in core.exercises_of(entry) if isinstance(one, core.ChoiceExercise))
    cell = exercise_cell(lab, exercise.id)
    for mistake in exercise.mistakes:
        wrong = lab.run(cell, f'choose("{exercise.id}", "{mistake.wrong}")')
        assert wrong.startswith(f"✗ {exercise.id}")
        assert plain(mistake.message) in plain(wrong)
    right = lab.run(cell, core.solution_cell(exercise.id))
    assert right.startswith(f"✓ {exercise.id}")
    assert plain(exercise.insight) in plain(right)


def test_code_is_judged_where_it_is_written(lab, entry):
    exercise = next(one for one in core.exercises_of(entry) if isinstance(one, core.CodeExercise))
    cell = exercise_cell(lab, exercise.id)
    solved = core.solution_cell(exercise.id)
    raising = re.sub(r"^( +)return .*$", r"\1return 1 / 0", solved, count=1, flags=re.MULTILINE)
    wrong = lab.run(cell, raising)
    assert wrong.startswith(f"✗ {exercise.id}")
    assert "return 1 / 0" in wrong and "Traceback" not in wrong
    assert lab.run(cell, solved).startswith(f"✓ {exercise.id}")


def plain(text):
    """Letters and figures only: the page shows code and line breaks in its own way."""
    return "".join(letter for letter in text if letter.isalnum())
