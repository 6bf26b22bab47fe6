"""How long the widgets of the lessons take to answer, each built as its lesson builds it.

    python benchmarks/widgets.py [02 03 ...] [--changes 40]

Runs the code of a lesson's notebook, then moves the controls of every widget in it at random, and prints the median, the
nine-tenths quantile and the longest wall-clock time of an answer (changed value to new picture) in milliseconds. There is
no peer to race: 150 ms is what the course promises.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import io
import os
import random
import statistics
import tempfile
import time

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from IPython.display import display

from vizcourse import notebooks
from vizcourse.course import LESSONS, lesson
from vizcourse.widgets import Explorer


def explorers(entry) -> dict[str, Explorer]:
    """The widgets that the lesson's code has made, by the names of their variables."""
    builtins.display = display  # a notebook has it without an import
    names: dict = {"__name__": "__main__"}
    transform = TransformerManager().transform_cell  # the set-up cell has a %pip for Colab
    for cell in nbformat.read(notebooks.notebook_path(entry), as_version=4).cells:
        if cell.cell_type == "code":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(transform(cell.source), f"lesson {entry.number}", "exec"), names)
    return {name: value for name, value in names.items() if isinstance(value, Explorer)}


def values(control, chance: random.Random) -> list:
    """What a control may be set to at random; nothing for an upload."""
    if hasattr(control, "options"):
        return [option[1] if isinstance(option, tuple) else option for option in control.options]
    if isinstance(control.value, tuple) and hasattr(control, "min"):  # a range
        return [tuple(sorted(chance.randint(control.min, control.max) for _ in range(2)))]
    if hasattr(control, "min"):
        value = chance.uniform(control.min, control.max)
        return [value if isinstance(control.value, float) else round(value)]
    return [True, False] if isinstance(control.value, bool) else []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lessons", nargs="*", default=[entry.number for entry in LESSONS])
    parser.add_argument("--changes", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VIZCOURSE_PROGRESS"] = os.path.join(folder, "progress.json")
        print(f"{'lesson and widget':<44}{'median':>8}{'9 of 10':>9}{'longest':>9}   milliseconds")
        for entry in map(lesson, options.lessons):
            for name, explorer in explorers(entry).items():
                chance, times = random.Random(0), []
                for _ in range(options.changes):
                    control, given = chance.choice(
                        [(key, each) for key, one in explorer.controls.items() if (each := values(one, chance))]
                    )
                    value = chance.choice(given)
                    start = time.perf_counter()
                    explorer.set(**{control: value})
                    times.append(1000 * (time.perf_counter() - start))
                assert explorer.errors == [], (name, explorer.errors)
                label = f"{entry.number} {type(explorer).__name__} ({name})"
                tenths = statistics.quantiles(times, n=10)
                print(f"{label:<44}{statistics.median(times):>8.0f}{tenths[-1]:>9.0f}{max(times):>9.0f}", flush=True)


if __name__ == "__main__":
    main()
