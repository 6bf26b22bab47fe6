"""`vizcourse new`: the skeleton of a lesson runs as it stands, in a copy of the course."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vizcourse import new

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the course without its notebooks and without the other lessons' tests."""
    root = tmp_path_factory.mktemp("checkout")
    plain = shutil.ignore_patterns("__pycache__", "weights")
    shutil.copytree(ROOT / "vizcourse", root / "vizcourse", ignore=plain)
    (root / "vizcourse" / "models" / "weights").symlink_to(ROOT / "vizcourse" / "models" / "weights")
    for folder in ("tests/lessons", "tests/notebooks", "notebooks", "docs"):
        (root / folder).mkdir(parents=True)
    for file in ("README.md", "pyproject.toml", "conftest.py", "tests/every_explorer.py", "tests/force_bars.py",
                 "tests/lessons/test_studies.py", "tests/notebooks/test_shipped.py"):  # fmt: skip
        shutil.copy(ROOT / file, root / file)
    return root


def run(root, *command):
    """A command of the copy: PYTHONPATH comes before what is installed."""
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", *command], cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_the_skeleton_of_a_lesson_passes_all_that_a_lesson_must(checkout):
    said = run(checkout, "vizcourse.cli", "new", "8", "toy_lesson")
    assert "vizcourse/lessons/toy_lesson/lesson.md" in said and "make notebooks" in said
    assert "lessons=1 exercises=4 " in run(checkout, "vizcourse.cli", "check", "08")
    run(checkout, "vizcourse.notebooks", "build", "08")
    assert "[08 Toy lesson](notebooks/08_toy_lesson.ipynb)" in (checkout / "README.md").read_text(encoding="utf-8")
    run(checkout, "vizcourse.notebooks", "solutions", "08")
    run(checkout, "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env", "tests/lessons/toy_lesson",
        "notebooks/08_toy_lesson.ipynb", "notebooks/solutions")  # fmt: skip
    run(checkout, "pytest", "-q", "-p", "no:cacheprovider", "tests", "-k", "08_toy_lesson")
    left = [path for path in checkout.rglob("*toy_lesson*/**/*.*") if "_skeleton" in path.read_text(encoding="utf-8")]
    assert not left


def test_a_lesson_stands_in_the_order_of_its_number():
    table = (ROOT / "vizcourse" / "course.py").read_text(encoding="utf-8")

    def order(text):
        return re.findall(r'^        slug="(\w+)"', text, re.MULTILINE)

    before = order(table)
    assert order(new._entered(table, "99", "last", "Last")) == [*before, "last"]
    without_seven = table.replace('number="07"', 'number="08"', 1)
    assert order(new._entered(without_seven, "07", "seven", "Seven")) == [*before[:6], "seven", *before[6:]]


@pytest.mark.parametrize(
    ("number", "slug", "message"),
    [
        ("eight", "atlas", "two digits"),
        ("100", "atlas", "two digits"),
        ("00", "atlas", "two digits"),
        ("08", "Activation Atlas", "lower-case words"),
        ("08", "../atlas", "lower-case words"),
        ("05", "atlas", "there is a lesson 05_das already"),
        ("08", "das", "there is a lesson 05_das already"),
    ],
)
def test_what_cannot_be_a_lesson_is_refused_and_writes_nothing(checkout, number, slug, message):
    before = sorted(path for path in checkout.rglob("*") if path.is_file())
    with pytest.raises(ValueError, match=message):
        new.new(number, slug, root=checkout)
    assert before == sorted(path for path in checkout.rglob("*") if path.is_file())


def test_outside_a_checkout_it_says_so(tmp_path):
    with pytest.raises(ValueError, match="no checkout"):
        new.new("08", "atlas", root=tmp_path)
