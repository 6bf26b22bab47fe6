"""The command line."""

import importlib.util
import json
import subprocess
import sys
import time

import pytest
from PIL import Image

from vizcourse import __version__, doctor
from vizcourse.cli import main
from vizcourse.exercises.progress import empty, empty_entry


def test_help_is_there_at_once_and_imports_nothing_heavy():
    began = time.perf_counter()
    script = (
        "import sys; from vizcourse.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'ipywidgets', 'matplotlib'} & set(sys.modules)\nassert not heavy, heavy"
    )
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    for command in ("doctor", "check", "train", "solutions", "report"):
        assert command in output
    assert time.perf_counter() - began < 5


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0 and __version__ in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["train"], ["report"]])
def test_calls_that_cannot_be_meant(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2 and "usage: vizcourse" in capsys.readouterr().err


def test_bad_names_are_one_sentence(capsys):
    for arguments in (["check", "nonsense"], ["solutions", "nonsense"]):
        assert main(arguments) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"vizcourse {arguments[0]}: There is no lesson 'nonsense'") and error.count("\n") == 1


def test_train_hands_on_the_name_and_check(monkeypatch):
    from vizcourse.models import recipes

    calls = []
    monkeypatch.setattr(recipes, "train", lambda name, *, check: calls.append((name, check)))
    assert main(["train", "resnet18-shapes"]) == main(["train", "resnet18-shapes", "--check"]) == 0
    assert calls == [("resnet18-shapes", False), ("resnet18-shapes", True)]


def test_solutions_hands_on_the_lesson_and_folder(monkeypatch, tmp_path, capsys):
    from vizcourse import notebooks

    monkeypatch.setattr(notebooks, "solutions", lambda lesson, folder: folder / f"{lesson}.ipynb")
    assert main(["solutions", "01", "-o", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "01.ipynb")


def test_report(tmp_path, capsys):
    entry = empty_entry() | {"status": "solved", "attempts": 2}
    (tmp_path / "ada.json").write_text(json.dumps(empty() | {"exercises": {"77.1": entry}}))
    (tmp_path / "bad.json").write_text("{")
    assert main(["report", str(tmp_path / "ada.json"), "--csv", str(tmp_path / "out.csv")]) == 0
    assert "ada" in capsys.readouterr().out and (tmp_path / "out.csv").is_file()
    assert main(["report", str(tmp_path / "ada.json"), str(tmp_path / "bad.json")]) == 1
    assert "bad.json: skipped" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "ada.json"), "--csv", str(tmp_path / "no" / "out.csv")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_study_hands_on_what_it_is_asked(monkeypatch, tmp_path, capsys):
    from types import SimpleNamespace

    from vizcourse import course, studies

    calls = []

    class Study:
        def run(self, parts, **options):
            calls.append((parts, options))

        def check(self, parts):
            return parts != ["wrong"]

    monkeypatch.setattr(course.Lesson, "part", lambda lesson, name: SimpleNamespace(STUDY=Study()))
    monkeypatch.setenv(studies.CACHE, "elsewhere")
    assert main(["study", "05", "table", "--again", "--cache", str(tmp_path)]) == main(["study", "05", "--quick"]) == 0
    assert calls == [(["table"], {"quick": False, "again": True}), ([], {"quick": True, "again": False})]
    assert studies.cache_folder() == tmp_path / "studies"
    assert main(["study", "05", "--check"]) == 0 and main(["study", "05", "wrong", "--check"]) == 1
    monkeypatch.setattr(course.Lesson, "part", lambda lesson, name: None)
    assert main(["study", "05"]) == 1 and "has no study" in capsys.readouterr().err


def test_new_says_what_it_wrote_and_what_comes_next(monkeypatch, capsys):
    from vizcourse import new

    monkeypatch.setattr(new, "new", lambda number, name: [new.ROOT / "vizcourse" / "lessons" / name / "lesson.md"])
    assert main(["new", "08", "activation_atlas"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("vizcourse/lessons/activation_atlas/lesson.md\nNext: `make notebooks`")
    monkeypatch.undo()
    assert main(["new", "05", "again"]) == 1
    assert capsys.readouterr().err.startswith("vizcourse new: there is a lesson 05_das already")


def test_check_gives_the_exit_code(monkeypatch, capsys):
    module = sys.modules.get("vizcourse.exercises.check") or __import__("importlib").import_module("vizcourse.exercises.check")
    for right in (True, False):
        monkeypatch.setattr(module, "check", lambda lessons, jobs, right=right: right)
        assert main(["check", "01"]) == main(["check"]) == (0 if right else 1)


def test_interrupt(monkeypatch, capsys):
    from vizcourse.models import recipes

    def stop(name, *, check):
        raise KeyboardInterrupt

    monkeypatch.setattr(recipes, "train", stop)
    assert main(["train", "any"]) == 130 and "Stopped." in capsys.readouterr().err


def test_doctor_names_what_it_found(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("VIZCOURSE_PROGRESS", str(tmp_path / "progress.json"))
    main(["doctor"])
    output = capsys.readouterr().out
    for what in ("python", "torch", "torchvision", "ipywidgets", "numpy", "device", "pictures", "weights", "progress"):
        assert f" {what} " in output
    assert f"{tmp_path / 'progress.json'} (from $VIZCOURSE_PROGRESS): can be written" in output


def test_doctor_never_breaks(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VIZCOURSE_PROGRESS", str(tmp_path / "file" / "progress.json"))
    monkeypatch.setattr(doctor, "NEEDED", ("torch", "nonesuch"))
    for module in (
        "vizcourse.models",
        "vizcourse.models.zoo",
        "vizcourse.worlds",
        "vizcourse.worlds.photos",
        "vizcourse.course",
    ):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(doctor, "_device", _breaks)
    assert main(["doctor"]) == 1
    output = capsys.readouterr().out
    assert "✗ nonesuch         not installed\n                   → pip install nonesuch" in output
    assert "✗ weights          cannot be examined" in output and "✗ pictures         cannot be examined" in output
    assert "kept in memory" in output and "→ Make the folder writable" in output
    assert output.splitlines()[-1].endswith("problems found.")


def _breaks():
    raise RuntimeError("no driver\nand more")
    yield


def test_doctor_on_damaged_weights(monkeypatch, capsys):
    from vizcourse.models import zoo

    def damaged(name):
        raise zoo.WeightsError(f"{name} is damaged.")

    monkeypatch.setattr(zoo, "cards", lambda: {"toy": {}})
    monkeypatch.setattr(zoo, "read_weights", damaged)
    lines = [str(finding) for finding in doctor._weights()]
    assert lines == ["✗ weights          toy: toy is damaged.\n                   → vizcourse train toy"]


def test_doctor_on_the_network_of_imagenet(monkeypatch):
    from vizcourse.models import imagenet, zoo

    if importlib.util.find_spec("timm") and importlib.util.find_spec(imagenet.PACKAGE):
        assert [str(each) for each in doctor._imagenet()] == [f"✓ weights          {imagenet.EFFICIENTNET}: checksum right"]

    def damaged(name):
        raise zoo.WeightsError(f"the file of {name} is another one.")

    monkeypatch.setattr(zoo, "load", damaged)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    (finding,) = doctor._imagenet()
    assert finding.symbol == doctor.PROBLEM and finding.found == f"the file of {imagenet.EFFICIENTNET} is another one."

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "timm" else object())
    (finding,) = doctor._imagenet()
    assert finding.symbol == doctor.ABSENT and finding.found == f"{imagenet.EFFICIENTNET}: not installed (timm)"
    assert "pip install 'vizcourse[imagenet]'" in finding.mend


def test_doctor_on_ones_own_photographs(monkeypatch, tmp_path):
    def own():
        return [str(finding) for finding in doctor._pictures() if "your own" in finding.found]

    monkeypatch.delenv("VIZCOURSE_PHOTOS", raising=False)
    assert own() == []
    monkeypatch.setenv("VIZCOURSE_PHOTOS", str(tmp_path))
    assert own()[0].startswith("✗ pictures         your own: ") and "no photograph that can be read" in own()[0]
    Image.new("RGB", (20, 16), "red").save(tmp_path / "mine.png")
    assert own() == ["✓ pictures         your own, in the folder that $VIZCOURSE_PHOTOS names: at hand"]
    monkeypatch.setenv("VIZCOURSE_PHOTOS", str(tmp_path / "absent"))
    assert own()[0].startswith("✗ pictures         your own: there is no folder")
