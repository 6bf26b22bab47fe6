"""The runner of studies: what is stored, what is measured again, and what a check compares."""

import json

import pytest
import torch

from vizcourse import studies
from vizcourse.studies import Cell, Part, Study


class Missing(RuntimeError):
    pass


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv(studies.CACHE, str(tmp_path / "cache"))
    measured = []

    def mean(name="a", count=1000):
        measured.append(name)
        return {"mean": float(torch.rand(count).mean()), "count": count}

    def unavailable():
        raise Missing("no photographs")

    def pictures():
        measured.append("pictures")
        studies.write(tmp_path / "pictures.bin", b"picture")

    made = Study(
        tmp_path / "study.py",
        {
            "all": Part(mean, quick={"count": 2}),
            "layers/first": Part(mean, settings={"name": "first"}, path=("layers", "first")),
            "layers/second": Part(mean, settings={"name": "second"}, path=("layers", "second")),
            "photographs": Part(unavailable),
            "pictures": Part(pictures, file="pictures.bin"),
            "graded": Part(mean, settings={"name": "graded"}, file="graded.json"),
        },
        about={"seed": 0},
        unavailable=(Missing,),
    )
    made.measured = measured
    return made


def test_what_is_stored_is_not_measured_again(study):
    said = []
    study.run(["layers/second"], say=said.append)
    assert study.measured == ["second"] and study.results()["seed"] == 0
    study.run(say=said.append)
    assert study.measured == ["second", "a", "first", "pictures", "graded"]
    assert "photographs is left out: no photographs" in said
    assert set(study.results()) == {"seed", "layers", "all"} and set(study.results()["layers"]) == {"first", "second"}
    assert set(study.results("graded.json")) == {"graded"}
    assert study.stored("layers/first")["count"] == 1000 and study.stored("photographs") is None
    study.run(say=said.append)
    assert study.measured == ["second", "a", "first", "pictures", "graded"]
    study.run(["layers"], again=True, say=said.append)
    assert study.measured[5:] == ["first", "second"]


def test_parts_do_not_depend_on_what_ran_before(study):
    study.run(say=lambda text: None)
    before = study.stored("layers/second")
    study.run(["layers/second"], again=True, say=lambda text: None)
    assert study.stored("layers/second") == before == study.stored("layers/first")


def test_a_trial_is_small_and_stores_nothing(study):
    said = []
    study.run(["all"], quick=True, say=said.append)
    assert '"count": 2' in said[0] and study.results() == {}


def test_what_others_wrote_meanwhile_stays(study):
    def interrupted():
        (study.folder / "study.json").write_text('{"theirs": 1}')
        return 2

    study.parts["ours"] = Part(interrupted)
    study.run(["ours"], say=lambda text: None)
    assert json.loads((study.folder / "study.json").read_text()) == {"theirs": 1, "seed": 0, "ours": 2}
    assert not list(study.folder.glob("study.json.*"))


def test_a_name_that_no_part_has(study):
    with pytest.raises(ValueError, match="no part 'layer'; it has all, layers, photographs"):
        study.run(["layer"])


def test_a_check_compares_with_the_stored_interval(study):
    study.parts = {
        "right": Part(dict, cell=lambda: Cell.within("mean", 0.5, [0.4, 0.3, 0.6])),
        "wrong": Part(dict, cell=lambda: [Cell.near("share", 0.5, 0.4, 0.05), Cell.near("share", 0.44, 0.4, 0.05)]),
        "elsewhere": Part(dict, cell=lambda: (_ for _ in ()).throw(Missing("no photographs"))),
        "none": Part(dict),
    }
    said = []
    assert not study.check(say=said.append) and study.check(["right"], say=said.append)
    assert said[0] == "✓ right: mean: 0.5 agrees with the stored [0.3, 0.6]"
    assert [line[0] for line in said] == ["✓", "✗", "✓", "○", "✓"] and "OUTSIDE" in said[1]
    assert said[3] == "○ elsewhere is left out: no photographs"


def test_piecework_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv(studies.CACHE, str(tmp_path))
    calls = []
    for settings in (["05", 1], ["05", 1], ["05", 2]):
        found = studies.kept(settings, lambda: calls.append(1) or {"values": torch.arange(3), "rows": [1, (2.5, "a")]})
        assert found["values"].tolist() == [0, 1, 2] and found["rows"] == [1, (2.5, "a")]
    assert len(calls) == 2


def test_numbers_are_rounded_to_significant_digits():
    found = studies.rounded({"a": torch.tensor([0.123456, 1234.56]), "b": [1, "x", (1e-9 / 3,)]}, 3)
    assert found == {"a": [0.123, 1230.0], "b": [1, "x", [3.33e-10]]}
