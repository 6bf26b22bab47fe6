"""`vizcourse new 08 activation_atlas`: a lesson that runs as it stands, to be rewritten piece by piece.

What it copies is the room `vizcourse/lessons/_skeleton`, itself a whole little lesson: text with the headings that every
lesson has, one exercise of each kind, one explorer, one study, tests.
"""

from __future__ import annotations

import re
from pathlib import Path

from vizcourse import course

ROOT = Path(__file__).resolve().parent.parent
SKELETON = "_skeleton"

ENTRY = '''    Lesson(
        number="{number}",
        slug="{slug}",
        title="{title}",
        promise="Say how much light a network needs, and tell its answer from a guess.",
        minutes=20,
        stars=1,
        builds_on=("01",),
    ),
'''


def new(number: str, slug: str, *, root: Path = ROOT) -> list[Path]:
    """Write the skeleton of a lesson into a checkout of the course, and enter it in the table of lessons.

    Args:
        number: two digits, such as ``"08"``, that no lesson has yet.
        slug: lower-case words joined by underscores: the name of the room.
        root: the checkout.

    Returns:
        the files that were written or changed.

    Raises:
        ValueError: the number or the slug cannot be used, or this is no checkout; nothing is written then.
    """
    number = number.zfill(2)
    if not re.fullmatch(r"[0-9]{2}", number) or number == "00":
        raise ValueError(f'"{number}" is no number for a lesson: give two digits, such as 08.')
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", slug):
        raise ValueError(f'"{slug}" is no name for a room: give lower-case words joined by underscores, as activation_atlas.')
    table = root / "vizcourse" / "course.py"
    rooms, tests = root / "vizcourse" / "lessons", root / "tests" / "lessons"
    if not table.is_file() or not tests.is_dir():
        raise ValueError("this is no checkout of the course: clone it, and `pip install -e .` there (README, first lines).")
    for taken in course.LESSONS:
        if taken.number == number or taken.slug == slug:
            raise ValueError(f"there is a lesson {taken.stem} already: choose another number and name.")
    if (rooms / slug).exists() or (tests / slug).exists():
        raise ValueError(f"there is a folder {slug} in vizcourse/lessons or tests/lessons already: choose another name.")

    title = slug.replace("_", " ").capitalize()
    written = []
    for file in sorted((rooms / SKELETON).iterdir()):
        if file.suffix not in (".py", ".md", ".json"):
            continue
        target = (tests if file.name.startswith("test_") else rooms) / slug / file.name
        target.parent.mkdir(exist_ok=True)
        target.write_text(_renamed(file.read_text(encoding="utf-8"), number, slug, title), encoding="utf-8")
        written.append(target)
    (rooms / slug / "__init__.py").write_text(f'"""Lesson {number}: see `lesson.md`."""\n', encoding="utf-8")
    table.write_text(_entered(table.read_text(encoding="utf-8"), number, slug, title), encoding="utf-8")
    return [*written, table]


def _renamed(text: str, number: str, slug: str, title: str) -> str:
    text = text.replace(SKELETON, slug).replace("# Skeleton\n", f"# {title}\n")
    text = re.sub(r"\bLesson 00\b", f"Lesson {number}", text).replace("vizcourse study 00", f"vizcourse study {number}")
    return re.sub(r'(["` ]p?)0\.([1-4])(?=["` ])', rf"\g<1>{int(number)}.\2", text)


def _entered(table: str, number: str, slug: str, title: str) -> str:
    """The table of lessons with this one in its place."""
    places = {found[1]: found.start() for found in re.finditer(r'^    Lesson\(\n        number="(\d\d)"', table, re.MULTILINE)}
    later = [place for known, place in places.items() if known > number]
    place = min(later) if later else table.index("\n)\n", max(places.values())) + 1
    return table[:place] + ENTRY.format(number=number, slug=slug, title=title) + table[place:]
