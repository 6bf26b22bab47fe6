"""The notebooks as they are shipped. That they run, nbval checks: see `make test`."""

import difflib
import os
import re
import socket

import pytest

from vizcourse import notebooks
from vizcourse.course import LESSONS
from vizcourse.exercises.core import ChoiceExercise

pytest.importorskip("jupytext")
every_lesson = pytest.mark.parametrize("entry", LESSONS, ids=lambda entry: entry.stem)


def shipped(entry):
    return notebooks.read(notebooks.notebook_path(entry))


def code(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def feedback(cell):
    """The text under an exercise cell."""
    data = [output.get("data", {}) for output in cell["outputs"]]
    return "\n".join(one["text/plain"] for one in data if "text/plain" in one)


@every_lesson
def test_each_notebook_is_what_its_source_builds(entry):
    built, now = shipped(entry), notebooks.assemble_lesson(entry)

    def same(shipped, source):
        kept = all(shipped[key] == source[key] for key in ("id", "cell_type", "metadata"))
        if source["cell_type"] == "markdown":
            return kept and notebooks.is_filled_in(source["source"], shipped["source"])
        return kept and shipped["source"] == source["source"]

    # As a plain truth: the difference of two notebooks is too long to print.
    current = (
        len(built["cells"]) == len(now["cells"])
        and all(map(same, built["cells"], now["cells"]))
        and built["metadata"] == now["metadata"]
    )
    assert current, f"{entry.stem}.md or the address has changed: run `make notebooks`"


@every_lesson
def test_every_code_cell_was_executed_in_order(entry):
    counts = [cell["execution_count"] for cell in code(shipped(entry))]
    assert counts == list(range(1, len(counts) + 1))


@every_lesson
def test_stored_outputs_are_tidy(entry):
    notebook = shipped(entry)
    for number, cell in enumerate(notebook["cells"]):
        assert notebooks.tidy(cell, number) == cell
        assert all(output["output_type"] != "error" for output in cell.get("outputs", ()))
    assert "widgets" not in notebook["metadata"]
    assert notebooks.notebook_path(entry).stat().st_size < notebooks.LARGEST


@every_lesson
def test_every_exercise_has_one_cell_and_is_not_started(entry):
    cells = notebooks.exercise_cells(shipped(entry)["cells"])
    listed = entry.part("exercises").EXERCISES
    names = [cell["metadata"]["vizcourse"]["exercise"] for cell in cells]
    assert names == [exercise.id for exercise in listed]
    for name, cell in zip(names, cells, strict=True):
        assert feedback(cell).startswith(f"○ {name} not started")


@every_lesson
def test_the_solved_notebook_differs_in_its_exercises_only(entry, tmp_path):
    blank = shipped(entry)
    solved = notebooks.read(notebooks.solutions(entry.number, tmp_path))
    for before, after in zip(blank["cells"], solved["cells"], strict=True):
        name = before["metadata"].get("vizcourse", {}).get("exercise")
        if name is None:
            assert before == after
        else:
            assert before["source"] != after["source"]
            assert feedback(after).startswith(f"✓ {name} ")
            assert notebooks.CHECK_TAG in after["metadata"]["tags"]


# What another processor, another number of threads or a slower machine would print otherwise.
NOISE = {
    "rounding noise": r"\d(?:\.\d+)?e-(?:0[5-9]|[1-9]\d)\b|\b0\.00000\d",
    "last digits of a sum": r"\b(?!0\.0+1\b)\d+\.\d{5,}|\d\.\d*e[+-]?\d",
    "a time": r"\b\d+(?:\.\d+)? ?(?:s|ms|µs|seconds?|minutes?)\b(?! of)",
}


def noise(text):
    """The kinds of noise in a text that a test compares, with the words."""
    return [f"{kind}: {found.group()!r}" for kind, pattern in NOISE.items() for found in re.finditer(pattern, text)]


@every_lesson
def test_checked_outputs_hold_neither_noise_nor_time(entry):
    for cell in code(shipped(entry)):
        if notebooks.CHECK_TAG in cell["metadata"].get("tags", ()):
            texts = [output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in cell["outputs"]]
            assert noise("\n".join(texts)) == [], cell["source"]


@pytest.mark.parametrize(
    "text", ["largest difference 2e-07", "0.000001", "sum 12.000001", "1.25e-3", "took 3 s", "in 0.2 ms", "5 minutes"]
)
def test_noise_is_recognised(text):
    assert noise(text)


@pytest.mark.parametrize(
    "text",
    ["0.0072 of 1,000", "equal within 0.00001", "a part in a million", "e-mail", "3 sizes", "1e-3 allowed", "84 %", "12 steps"],
)
def test_what_is_no_noise(text):
    assert not noise(text)


def captions_without_a_picture(cells):
    """The figure captions before which, since the last caption, no cell shows a picture."""
    missing, pictures = [], 0
    for cell in cells:
        if cell["cell_type"] == "code":
            pictures += sum(bool({"image/png", "image/jpeg"} & {*output.get("data", {})}) for output in cell["outputs"])
            continue
        for part in re.split(r"^(?=\*\*Figure \d+)", cell["source"], flags=re.MULTILINE):
            if caption := re.match(r"\*\*(Figure \d+)", part):
                missing += [] if pictures else [caption[1]]
                pictures = 0
            pictures += len(re.findall(r"!\[[^]]*\]\(|<img ", part))
    return missing


@every_lesson
def test_a_picture_stands_before_every_caption(entry):
    assert captions_without_a_picture(shipped(entry)["cells"]) == []


def test_a_caption_without_a_picture_is_found():
    picture = {"cell_type": "code", "outputs": [{"data": {"image/png": "…"}}]}
    text = {"cell_type": "code", "outputs": [{"name": "stdout", "text": "0.5"}]}

    def caption(number):
        return {"cell_type": "markdown", "source": f"**Figure {number}.** A finding.\n\nMore about **Figure 9.**"}

    assert captions_without_a_picture([picture, text, caption(1), picture, caption(2)]) == []
    assert captions_without_a_picture([picture, caption(1), text, caption(2), picture, caption(3)]) == ["Figure 2"]
    drawn = {"cell_type": "markdown", "source": "![a sketch](sketch.png)\n\n**Figure 4.** Drawn by hand."}
    assert captions_without_a_picture([drawn]) == []


def plain(text):
    """The words alone: no marks of Markdown or formulas, no case, no line ends, no full stop at the end."""
    return " ".join(re.sub(r"[*`'\"“”$]", "", text).lower().split()).rstrip(".")


@every_lesson
def test_the_options_of_every_choice_stand_above_its_cell(entry):
    source = entry.source.read_text(encoding="utf-8")
    for exercise in entry.part("exercises").EXERCISES:
        if not isinstance(exercise, ChoiceExercise):
            continue
        above = source.partition(f'choose("{exercise.id}"')[0].rpartition(f"### Exercise {exercise.id} ")[2]
        assert above, f"{exercise.id}: no heading, or no choose() cell"
        printed = dict(re.findall(r"^- \*\*(\w+)\*\* (.+(?:\n  .+)*)", above, flags=re.MULTILINE))
        if not printed:  # the options are drawn: then they are named by their letters alone, and the question says so
            drawn = {key: f"method {key}" for key in exercise.options}
            assert exercise.options == drawn and f"**{min(drawn)}** to **{max(drawn)}**" in above, exercise.id
            continue
        assert list(printed) == list(exercise.options), exercise.id
        for key, option in exercise.options.items():
            # Nearly the same words, because a notebook can set a formula where the feedback cannot.
            alike = difflib.SequenceMatcher(None, plain(printed[key]).split(), plain(option).split(), autojunk=False).ratio()
            assert alike > 0.7, f"{exercise.id}, {key}: {printed[key]!r} is not {option!r}"


@pytest.mark.skipif(os.environ.get("VIZCOURSE_OFFLINE") != "1", reason="the network is not cut off")
def test_the_network_is_blocked_while_notebooks_run():
    assert [name for _, name in socket.if_nameindex()] == ["lo"]
