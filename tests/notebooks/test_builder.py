"""The builder, on toy lessons."""

import copy
import json

import pytest

from vizcourse import notebooks

pytest.importorskip("jupytext")
REPOSITORY = "https://example.org/school/fork"
HEAD = "# 9 · Toy\n\nWhat you will be able to do.\n"
EXERCISE = '```{code-cell}\n@attempt("9.1")\ndef double(x):\n    ...\n```\n'


def cell(source, *options):
    return "\n```{code-cell}\n" + "".join(f":{option}\n" for option in options) + source + "\n```\n"


def assemble(*parts, repository=REPOSITORY):
    return notebooks.assemble(HEAD + "\n".join(parts), "09", "09_toy", repository)


def run(*sources, folder, tags="tags: []"):
    """Cells of an executed notebook without title and set-up (the toy lesson is not listed)."""
    notebook = assemble(*(cell(source, tags) for source in sources))
    notebook["cells"] = notebook["cells"][2:]
    return notebooks.execute(notebook, folder)["cells"]


def test_badges_stand_under_the_title_and_the_set_up_cell_after_it():
    cells = assemble("Text.")["cells"]
    assert cells[0]["source"].startswith("# 9 · Toy\n\n[![Open in Colab](")
    assert "google.com/github/school/fork/blob/main/notebooks/09_toy.ipynb" in cells[0]["source"]
    assert cells[0]["source"].endswith("What you will be able to do.\nText.")
    assert cells[1]["cell_type"] == "code"
    assert f'vizcourse @ git+{REPOSITORY}"' in cells[1]["source"]
    assert cells[1]["source"].endswith('vizcourse.setup("09")')


def test_the_set_up_cell_leaves_colabs_packages_alone():
    lines = assemble()["cells"][1]["source"].splitlines()
    installs = [line for line in lines if "pip" in line]
    assert len(installs) == 1 and "--no-deps" in installs[0]
    assert lines[lines.index(installs[0]) - 1] == 'if "google.colab" in sys.modules:'


def test_only_the_number_differs_between_set_up_cells():
    first = notebooks.assemble(HEAD, "09", "09_toy", REPOSITORY)["cells"][1]["source"]
    second = notebooks.assemble(HEAD, "10", "10_other", REPOSITORY)["cells"][1]["source"]
    assert first != second and first.replace('"09"', '"10"') == second


def test_assembly_is_deterministic_and_follows_source_and_repository():
    def digest(notebook):
        return notebook["metadata"]["vizcourse"]["source_sha256"]

    parts = ("Text.", cell("1 + 1"), EXERCISE)
    assert assemble(*parts) == assemble(*parts)
    assert digest(assemble(*parts)) != digest(assemble(*parts[:-1]))
    assert digest(assemble(*parts)) != digest(assemble(*parts, repository="https://example.org/other/fork"))


def test_exercises_are_found_by_their_call():
    text = EXERCISE + cell('answer("9.2", ...)') + cell('choose("9.3", None)') + cell('hint("9.1")')
    found = notebooks.exercise_cells(assemble(text)["cells"])
    assert [one["metadata"]["vizcourse"]["exercise"] for one in found] == ["9.1", "9.2", "9.3"]
    assert all({"exercise", notebooks.CHECK_TAG} <= set(one["metadata"]["tags"]) for one in found)


def test_tags_of_authors_become_those_of_the_tools():
    checked, hidden = assemble(cell("1", "tags: [check]"), cell("2", "tags: [hide-input]"))["cells"][2:]
    assert checked["metadata"]["tags"] == [notebooks.CHECK_TAG]
    assert hidden["metadata"]["jupyter"] == {"source_hidden": True}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (cell('answer("9.1", 1)\nanswer("9.2", 2)'), "9.1 and 9.2: give each a cell of its own"),
        (cell('answer("9.1", 1)') + cell('answer("9.1", 1)'), "more than one cell for exercise 9.1"),
        (cell("print(1)", "tags: [exercise]"), "calls no attempt"),
    ],
)
def test_wrongly_marked_exercises_are_refused(text, message):
    with pytest.raises(notebooks.BuildError, match=message):
        assemble(text)


def test_a_lesson_without_a_title_is_refused():
    with pytest.raises(notebooks.BuildError, match="# "):
        notebooks.assemble("Text first.", "09", "09_toy", REPOSITORY)


def test_execution_stores_outputs_in_order(tmp_path):
    cells = run("x = 2\nprint('one', end='')\nprint(' line')", "x + 1", folder=tmp_path)
    assert [one["execution_count"] for one in cells] == [1, 2]
    assert cells[0]["outputs"] == [{"output_type": "stream", "name": "stdout", "text": "one line\n"}]
    assert cells[1]["outputs"][0]["data"] == {"text/plain": "3"}


def test_widgets_leave_their_picture_and_bare_widgets_leave_nothing(tmp_path):
    explorer = (
        "import ipywidgets\nfrom IPython.display import display\nfrom tqdm.auto import tqdm\n"
        "slider = ipywidgets.IntSlider()\ndisplay(slider)\n"
        "for _ in tqdm(range(2)):\n    pass\n"
        "display({'text/plain': 'a lab', 'image/png': 'AAAA', "
        "'application/vnd.jupyter.widget-view+json': {'model_id': slider.model_id}}, raw=True)"
    )
    [one] = run(explorer, folder=tmp_path)
    assert [output["data"] for output in one["outputs"]] == [{"text/plain": "a lab", "image/png": "AAAA"}]


def test_the_authors_progress_is_not_touched(tmp_path, monkeypatch):
    monkeypatch.setenv("VIZCOURSE_PROGRESS", str(tmp_path / "mine.json"))
    [one] = run("import os\nprint(os.environ['VIZCOURSE_PROGRESS'].endswith('mine.json'))", folder=tmp_path)
    assert one["outputs"][0]["text"] == "False\n"


def test_figures_are_shown_whatever_the_authors_backend(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    [one] = run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()", folder=tmp_path)
    assert "image/png" in one["outputs"][0]["data"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import warnings\nwarnings.warn('old')", "shows learners a warning"),
        ("print('/home/ada/course/x.png')", "true on this machine only"),
        ("object()", "true on this machine only"),
    ],
)
def test_what_must_not_reach_learners_stops_the_build(source, message, tmp_path):
    with pytest.raises(notebooks.BuildError, match=message):
        run(source, folder=tmp_path)


def test_addresses_and_fractions_are_no_paths():
    texts = "see https://example.org/home/page and 3/4, and/or; grid /5"
    output = {"output_type": "stream", "name": "stdout", "text": texts}
    one = {"cell_type": "code", "metadata": {}, "outputs": [output]}
    assert notebooks.tidy(one, 0)["outputs"] == [output]


def test_tidying_twice_changes_nothing_more():
    bar = {notebooks.WIDGET_VIEW: {}, "text/plain": "100%"}
    outputs = [
        {"output_type": "stream", "name": "stderr", "text": " 10%|#   | 1/9\r100%|####| 9/9\n"},
        {"output_type": "stream", "name": "stdout", "text": "step 1\rstep 2\ndone\n"},
        {"output_type": "display_data", "metadata": {}, "data": bar},
    ]
    one = {"cell_type": "code", "metadata": {"execution": {"iopub.status.idle": "now"}}, "outputs": outputs}
    once = notebooks.tidy(copy.deepcopy(one), 0)
    assert once["outputs"] == [{"output_type": "stream", "name": "stdout", "text": "step 2\ndone\n"}]
    assert once["metadata"] == {}
    assert notebooks.tidy(copy.deepcopy(once), 0) == once


def test_written_notebooks_are_valid_and_read_back_the_same(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    notebook = assemble("Two\nlines, ä ✓.", EXERCISE)
    path = tmp_path / "toy.ipynb"
    notebooks.write(notebook, path)
    assert notebooks.read(path) == notebook
    nbformat.validate(nbformat.read(path, as_version=4))
    assert path.read_text(encoding="utf-8") == nbformat.writes(nbformat.read(path, as_version=4)) + "\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["toy.ipynb"]


def test_too_large_a_notebook_is_refused_and_the_old_one_stays(tmp_path):
    path = tmp_path / "toy.ipynb"
    notebooks.write(assemble(), path)
    before = path.read_bytes()
    with pytest.raises(notebooks.BuildError, match="2 MB is the limit"):
        notebooks.write(assemble("x" * 2_100_000), path)
    assert path.read_bytes() == before


def test_solving_replaces_exercise_cells_only():
    notebook = assemble("Text.", EXERCISE, cell("double(2)"))
    before = copy.deepcopy(notebook)
    solved = notebooks.solve(
        notebook, lambda name: f"solution of {name}", lambda name: {"text/plain": f"✓ {name}"}
    )
    assert notebook == before
    changed = [one for one, other in zip(solved["cells"], before["cells"], strict=True) if one != other]
    assert [one["source"] for one in changed] == ["solution of 9.1"]
    assert changed[0]["outputs"][0]["data"] == {"text/plain": "✓ 9.1"}


def test_only_what_changed_is_built(tmp_path, monkeypatch):
    from vizcourse import course

    toy = course.Lesson("09", "toy", "Toy", "Promise.", 5, 1)
    monkeypatch.setattr(course, "ROOMS", tmp_path / "rooms")
    source = tmp_path / "rooms" / "toy" / "lesson.md"
    source.parent.mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    source.write_text(HEAD + cell("1 + 1"))
    (tmp_path / "pyproject.toml").write_text(f'[project.urls]\nRepository = "{REPOSITORY}"\n')
    (tmp_path / "README.md").write_text("git clone HERE vizcourse\n<!-- lessons -->\nold\n<!-- /lessons -->\nafter\n")
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    monkeypatch.setattr(notebooks, "LESSONS", (toy,))
    monkeypatch.setattr(notebooks, "SETUP", "# lesson {number} of {repository}")

    said = []
    assert [path.name for path in notebooks.build(say=said.append)] == ["09_toy.ipynb"]
    assert notebooks.build(say=said.append) == []
    assert said[-1] == "09_toy.ipynb: unchanged"
    readme = (tmp_path / "README.md").read_text()
    assert "[09 Toy](notebooks/09_toy.ipynb)" in readme and "old" not in readme
    assert readme.startswith(f"git clone {REPOSITORY} vizcourse\n") and readme.endswith("after\n")

    assert len(notebooks.build(force=True, say=said.append)) == 1
    source.write_text(HEAD + cell("1 + 2"))
    assert len(notebooks.build(say=said.append)) == 1
    (tmp_path / "pyproject.toml").write_text('[project.urls]\nRepository = "https://example.org/a/b"\n')
    assert len(notebooks.build(say=said.append)) == 1


def test_commands_say_what_is_wrong_in_one_line(capsys):
    assert notebooks.main(["build", "99"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


def test_notebooks_are_json_with_one_space(tmp_path):
    path = tmp_path / "toy.ipynb"
    notebooks.write(assemble(), path)
    assert path.read_text().startswith('{\n "cells": [\n')
    assert json.loads(path.read_text())["nbformat_minor"] == 5


def test_results_stand_in_the_sentences(tmp_path):
    text = 'Of {eval}`n` pictures {eval}`f"{share:.0%}"` and ``{eval}`` as it is, {eval}``"a`b"``.'
    notebook = assemble(cell("n, share = 8, 0.254"), text, cell("n"))
    notebook["cells"] = notebook["cells"][2:]
    source = notebook["cells"][1]["source"]
    cells = notebooks.execute(notebook, tmp_path)["cells"]
    assert cells[1]["source"] == "Of 8 pictures 25% and ``{eval}`` as it is, a`b."
    # A learner who runs the notebook counts the same cells.
    assert [one["execution_count"] for one in (cells[0], cells[2])] == [1, 2]
    assert cells[2]["outputs"][0]["execution_count"] == 2
    assert notebooks.is_filled_in(source, cells[1]["source"])
    assert not notebooks.is_filled_in(source, cells[1]["source"].replace("pictures", "photographs"))
    assert not notebooks.is_filled_in("Plain.", "Plain. And more.")


@pytest.mark.parametrize(("expression", "message"), [("0.25", "format it"), ("missing", "missing"), ("True", "format it")])
def test_a_result_that_is_no_text_stops_the_build(expression, message, tmp_path):
    notebook = assemble("Here: {eval}`" + expression + "`.")
    notebook["cells"] = [one for one in notebook["cells"] if one["cell_type"] == "markdown"]
    with pytest.raises(notebooks.BuildError, match=message):
        notebooks.execute(notebook, tmp_path)
