"""The set-up line, and how lessons are named."""

from __future__ import annotations

import pytest
import torch

import vizcourse
from vizcourse.course import LESSONS, lesson


@pytest.fixture(autouse=True)
def _own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("VIZCOURSE_PROGRESS", str(tmp_path / "progress.json"))


def test_setup_says_versions_device_data_and_progress(capsys):
    vizcourse.setup("01")
    first, second = capsys.readouterr().out.strip().split("\n")
    assert first.startswith(
        f"vizcourse {vizcourse.__version__} · lesson 01 CNN basics · torch {torch.__version__.split('+')[0]}"
    )
    assert "photographs: samples" in second and "exercises done: 0 of 9" in second


@pytest.mark.parametrize(("threads", "words"), [(1, "CPU (1 thread) ·"), (2, "CPU (2 threads) ·")])
def test_one_thread_is_no_threads(threads, words, capsys, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    vizcourse.setup("01")
    assert words in capsys.readouterr().out


def test_setup_makes_a_run_from_top_to_bottom_repeatable(capsys):
    vizcourse.setup("01")
    once = torch.rand(3)
    vizcourse.setup("cnn_basics")
    assert torch.equal(once, torch.rand(3))


def test_an_unknown_lesson_is_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"no lesson 'cnn_basic'. Did you mean 'cnn_basics'\?.*01 \(CNN basics\)"):
        vizcourse.setup("cnn_basic")


def test_numbers_and_slugs_find_the_lesson_and_are_unique():
    for entry in LESSONS:
        assert lesson(entry.number) is lesson(entry.number.lstrip("0")) is lesson(entry.slug) is lesson(entry.stem) is entry
    assert len({entry.number for entry in LESSONS}) == len({entry.slug for entry in LESSONS}) == len(LESSONS)
