"""The teacher's table."""

import csv
import io
import json

import pytest

from vizcourse.exercises.progress import empty, empty_entry
from vizcourse.exercises.report import report


@pytest.fixture
def classroom(tmp_path):
    """Three learners and their files."""

    def write(name, **exercises):
        data = empty() | {
            "exercises": {key.replace("_", "."): empty_entry() | value for key, value in exercises.items()}
        }
        (tmp_path / f"{name}.json").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
        return tmp_path / f"{name}.json"

    return [
        write(
            "ada",
            **{
                "77_2": {"status": "solved", "attempts": 1},
                "77_10": {"status": "tried", "attempts": 4, "hints": 2, "mistakes": {"no-relu": 3, "sign": 1}},
            },
        ),
        write(
            "bob",
            **{
                "77_10": {
                    "status": "solved",
                    "attempts": 2,
                    "mistakes": {"no-relu": 1},
                    "solution_seen": "2026-01-01T00:00:00+00:00",
                }
            },
        ),
        write("zoe"),
    ]


def run(files, csv_file=None):
    out, errors = io.StringIO(), io.StringIO()
    code = report(files, csv_file, out, errors)
    return code, out.getvalue(), errors.getvalue()


def test_table(classroom):
    code, out, errors = run(classroom)
    assert code == 0 and errors == ""
    lines = [line.split() for line in out.splitlines()]
    assert "Lesson 77, 3 learners" in out
    assert ["learner", "77.2", "77.10", "solved"] in lines  # 2 before 10
    assert ["ada", "✓", "1+0", "✗", "4+2", "1/2"] in lines
    assert ["bob", "○", "✓", "2+0", "s", "1/2"] in lines
    assert ["zoe", "○", "○", "0/2"] in lines
    assert ["solved", "by", "1/3", "1/3"] in lines and ["median", "attempts", "1", "3"] in lines


def test_misconceptions_by_learners_first(classroom):
    _, out, _ = run(classroom)
    lines = [line.split() for line in out.splitlines()]
    first, second = lines.index(["77.10", "2/3", "4", "no-relu"]), lines.index(["77.10", "1/3", "1", "sign"])
    assert first < second


def test_damaged_files_are_named_and_skipped(classroom, tmp_path):
    (tmp_path / "eve.json").write_text('{"schema":')
    code, out, errors = run([*classroom, tmp_path / "eve.json", tmp_path / "nobody.json", tmp_path])
    assert code == 1 and "3 learners" in out
    assert "eve.json: skipped, it is not JSON" in errors and "nobody.json: skipped, no such file" in errors
    assert errors.count("skipped") == 3
    code, out, errors = run([tmp_path / "eve.json"])
    assert code == 1 and "No progress file could be read." in errors


def test_files_of_one_name_are_told_apart_by_folder(classroom, tmp_path):
    for name in ("ada", "bob"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "progress.json").write_text((tmp_path / f"{name}.json").read_text())
    _, out, _ = run([tmp_path / "ada" / "progress.json", tmp_path / "bob" / "progress.json"])
    assert "ada/progress" in out and "bob/progress" in out


def test_csv(classroom, tmp_path):
    code, out, _ = run(classroom, tmp_path / "class.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "class.csv").read_text(encoding="utf-8-sig"))))
    assert code == 0 and len(rows) == 6
    assert rows[1] == {
        "learner": "ada",
        "exercise": "77.10",
        "title": "",
        "status": "tried",
        "attempts": "4",
        "hints": "2",
        "solution_seen": "",
        "first_attempt": "",
        "solved": "",
        "mistakes": "no-relu x3; sign x1",
    }
    with pytest.raises(ValueError, match="cannot be written"):
        run(classroom, tmp_path / "no" / "folder.csv")


def test_what_learners_wrote_is_harmless(tmp_path):
    entry = empty_entry() | {"status": "tried", "attempts": 1, "mistakes": {"=HYPERLINK(1)": 1, "\x1b[2Jx": 1}}
    file = tmp_path / "=cmd.json"
    file.write_text(json.dumps(empty() | {"exercises": {"77.1": entry, "\x1b[31m": entry}}))
    _, out, _ = run([file], tmp_path / "class.csv")
    assert "\x1b" not in out
    cells = [
        cell
        for row in csv.reader(io.StringIO((tmp_path / "class.csv").read_text(encoding="utf-8-sig")))
        for cell in row
    ]
    assert not any(cell.startswith("=") or "\x1b" in cell for cell in cells)


def test_titles_and_messages_of_shipped_exercises():
    from vizcourse.exercises import report as module

    mistakes = [type("Mistake", (), {"name": "no-relu", "message": "Without the final ReLU. " * 9})]
    known = {"77.1": type("Exercise", (), {"mistakes": mistakes, "title": "Grad-CAM"})}
    learner = module.Learner("ada", {"77.1": empty_entry() | {"mistakes": {"no-relu": 2}}})
    row = module.misconceptions([learner], ["77.1"], known)[0]
    assert row[:4] == ("77.1", "1/1", "2", "no-relu") and row[4].startswith("Without") and len(row[4]) <= 70
