"""`vizcourse report *.json`: a teacher's view of many learners' progress files.

What stands in the files comes from the learners' machines: it is shown as text, without control characters, and a
spreadsheet is not given cells that begin like a formula.
"""

import csv
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from vizcourse.exercises.feedback import BLANK, RIGHT, WRONG, Table
from vizcourse.exercises.progress import empty_entry, load

CSV_HEADER = (
    "learner",
    "exercise",
    "title",
    "status",
    "attempts",
    "hints",
    "solution_seen",
    "first_attempt",
    "solved",
    "mistakes",
)


@dataclass(frozen=True)
class Learner:
    name: str
    exercises: dict[str, dict[str, Any]]

    def entry(self, identifier: str) -> dict[str, Any]:
        return self.exercises.get(identifier) or empty_entry()


def report(
    files: Iterable[str | Path],
    csv_file: str | Path | None = None,
    out: TextIO | None = None,
    errors: TextIO | None = None,
) -> int:
    """Print the tables for these files, and write the CSV if asked; 1 when a file could not be read, else 0."""
    out, errors = out or sys.stdout, errors or sys.stderr
    learners, damaged = read_learners(files, errors)
    if learners:
        known = _known_exercises(errors)
        for table in tables(learners, known):
            print(table.plain, end="\n\n", file=out)
        print(
            f"{RIGHT} solved  {WRONG} tried  {BLANK} not started; the numbers are attempts and hints, "
            "s: the solution was looked at",
            file=out,
        )
        if csv_file is not None:
            write_csv(csv_file, learners, known)
            print(f"Written: {csv_file}", file=out)
    else:
        print("No progress file could be read.", file=errors)
    return 1 if damaged or not learners else 0


def read_learners(files: Iterable[str | Path], errors: TextIO) -> tuple[list[Learner], int]:
    """The learners by name (the file's stem; with its folder where stems are alike), and how many files failed."""
    paths = list(dict.fromkeys(Path(file) for file in files))
    stems = Counter(path.stem for path in paths)
    learners, damaged = [], 0
    for path in paths:
        try:
            data = load(path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            print(f"{WRONG} {path}: skipped, {str(reason)[:1].lower()}{str(reason)[1:]}", file=errors)
            damaged += 1
            continue
        name = path.stem if stems[path.stem] == 1 else f"{path.resolve().parent.name}/{path.stem}"
        learners.append(Learner(_clean(name), data["exercises"]))
    return sorted(learners, key=lambda learner: learner.name.casefold()), damaged


def tables(learners: list[Learner], known: dict[str, Any]) -> list[Table]:
    """Per lesson, exercises by learners; then the misconceptions of all lessons."""
    identifiers = _identifiers(learners, known)
    lessons = defaultdict(list)
    for identifier in identifiers:
        lessons[identifier.split(".")[0]].append(identifier)
    found = []
    for number, own in lessons.items():
        rows = []
        for learner in learners:
            entries = [learner.entry(identifier) for identifier in own]
            solved = sum(entry["status"] == "solved" for entry in entries)
            rows.append((learner.name, *map(_cell, entries), f"{solved}/{len(own)}"))
        solvers = [sum(learner.entry(identifier)["status"] == "solved" for learner in learners) for identifier in own]
        rows.append(("solved by", *(f"{count}/{len(learners)}" for count in solvers), ""))
        rows.append(("median attempts", *(_median_attempts(learners, identifier) for identifier in own), ""))
        found.append(
            Table(
                f"Lesson {_clean(number)}, {_people(len(learners))}",
                ("learner", *map(_clean, own), "solved"),
                tuple(rows),
            )
        )
    rows = tuple(misconceptions(learners, identifiers, known))
    if rows:
        found.append(
            Table(
                "Misconceptions, the most common first",
                ("exercise", "learners", "times", "mistake", "what they are told"),
                rows,
            )
        )
    return found


def misconceptions(learners: list[Learner], identifiers: list[str], known: dict[str, Any]) -> list[tuple[str, ...]]:
    """Per exercise the mistakes met: by how many learners, how many times, its name, its message."""
    rows = []
    for identifier in identifiers:
        people, times = Counter(), Counter()
        for learner in learners:
            for name, count in learner.entry(identifier)["mistakes"].items():
                people[name] += 1
                times[name] += count
        messages = {mistake.name: mistake.message for mistake in getattr(known.get(identifier), "mistakes", ())}
        for name in sorted(people, key=lambda name: (-people[name], -times[name], name)):
            message = messages.get(name, "")
            message = message if len(message) <= 70 else message[:69].rstrip() + "…"
            rows.append(
                (
                    _clean(identifier),
                    f"{people[name]}/{len(learners)}",
                    str(times[name]),
                    _clean(name),
                    message,
                )
            )
    return rows


def write_csv(path: str | Path, learners: list[Learner], known: dict[str, Any]) -> None:
    """One row for each learner and exercise. Raises ValueError when the file cannot be written."""
    try:
        # The byte-order mark makes spreadsheets read it as UTF-8.
        with open(path, "w", newline="", encoding="utf-8-sig") as file:
            writer = csv.writer(file)
            writer.writerow(CSV_HEADER)
            for learner in learners:
                for identifier in _identifiers(learners, known):
                    entry = learner.entry(identifier)
                    mistakes = "; ".join(f"{name} x{count}" for name, count in entry["mistakes"].items())
                    writer.writerow(
                        map(
                            _harmless,
                            (
                                learner.name,
                                identifier,
                                getattr(known.get(identifier), "title", ""),
                                entry["status"],
                                entry["attempts"],
                                entry["hints"],
                                entry["solution_seen"] or "",
                                entry["first_attempt"] or "",
                                entry["solved"] or "",
                                mistakes,
                            ),
                        )
                    )
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror}): name another file.") from error


def _people(count: int) -> str:
    return "1 learner" if count == 1 else f"{count} learners"


def _known_exercises(errors: TextIO) -> dict[str, Any]:
    """The course's own exercises by id; where they cannot be imported, the report does without their titles."""
    try:
        from vizcourse.course import LESSONS
        from vizcourse.exercises.core import exercises_of

        return {one.id: one for lesson in LESSONS for one in exercises_of(lesson)}
    except Exception as error:
        print(f"(without the titles of exercises: {error})", file=errors)
        return {}


def _identifiers(learners: list[Learner], known: dict[str, Any]) -> list[str]:
    """The exercises of every lesson that somebody began, in order; among them those that nobody tried."""
    met = {identifier for learner in learners for identifier in learner.exercises}
    begun = {identifier.split(".")[0] for identifier in met}
    return sorted(met | {one for one in known if one.split(".")[0] in begun}, key=_natural)


def _natural(identifier: str) -> tuple:
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in identifier.split("."))


def _cell(entry: dict[str, Any]) -> str:
    symbol = {"solved": RIGHT, "not started": BLANK}.get(entry["status"], WRONG)
    seen = " s" if entry["solution_seen"] else ""
    if not entry["attempts"] and not entry["hints"]:
        return symbol + seen
    return f"{symbol} {entry['attempts']}+{entry['hints']}{seen}"


def _median_attempts(learners: list[Learner], identifier: str) -> str:
    counts = sorted(count for learner in learners if (count := learner.entry(identifier)["attempts"]))
    if not counts:
        return "-"
    middle = len(counts) // 2
    median = counts[middle] if len(counts) % 2 else (counts[middle - 1] + counts[middle]) / 2
    return f"{median:g}"


def _clean(text: str) -> str:
    """Without control characters (a terminal would obey them), and not endless."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "?", str(text))[:60]


def _harmless(value: Any) -> Any:
    """As text that no spreadsheet takes for a formula."""
    if isinstance(value, int):
        return value
    text = re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", str(value))
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
