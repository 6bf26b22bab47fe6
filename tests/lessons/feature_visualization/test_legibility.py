"""Grading legibility: the observers, the lot, the counts, and that what the lesson shows is there."""

from __future__ import annotations

import pytest
import torch

from vizcourse.hooks import capture
from vizcourse.lessons.feature_visualization import figures, legibility, study
from vizcourse.models import load
from vizcourse.worlds import scenes

COUNT = len(scenes.CLASSES)


def test_the_observers_know_the_classes_in_ordinary_pictures():
    drawn = scenes.sample(56, seed=5)
    truth = [scenes.label(scene) for scene in drawn]
    for name, seen in legibility.named(scenes.render(drawn)).items():
        assert sum(map(int.__eq__, seen, truth)) / len(truth) > 0.9, name


def test_shares_by_hand():
    seen = [[number, number] for number in range(COUNT)]
    assert legibility.right(seen).estimate == 1
    seen[0], seen[1] = [0, 5], [5, 5]
    assert legibility.shares(seen).tolist() == [0.5, 0, *[1] * 26]
    found = legibility.right(seen)
    assert found.estimate == pytest.approx(26.5 / 28) and found.low < 26.5 / 28 < found.high


def test_above_others_by_hand():
    truth = [number % 4 for number in range(len(legibility.LAYERS) * legibility.EACH)]  # 0 1 2 3 0 1 2 3 in each layer
    assert legibility.above_others(truth, truth).estimate == pytest.approx(1 - 1 / 7)  # one other of seven has its class
    same = [0] * len(truth)
    assert legibility.above_others(same, truth).estimate == pytest.approx(0, abs=1e-6)
    assert legibility.above_others([4] * len(truth), truth).estimate == 0


def test_the_lot_is_fixed_and_draws_existing_channels():
    units = legibility.lot()
    assert units == legibility.lot() and len(set(units)) == len(legibility.LAYERS) * legibility.EACH
    model = load("googlenet-scenes")
    with torch.no_grad(), capture(model, legibility.LAYERS, stop=True) as seen:
        model(torch.rand(1, 3, 96, 96))
    assert all(number < seen[layer].shape[1] for layer, number in units)


def test_the_page_shows_existing_units_and_the_classes_that_it_names():
    units, model = legibility.page_units(), load(legibility.IMAGENET)
    with torch.no_grad(), capture(model, list(legibility.PAGE_LAYERS), stop=True) as seen:
        model(torch.rand(1, 3, 64, 64))
    assert {name: each.shape[1] for name, each in seen.items()} == legibility.PAGE_LAYERS
    assert [model.classes[number] for layer, number in units if not layer] == list(legibility.PAGE_CLASSES)
    assert legibility.page().shape == (len(units), 3, 160, 160)
    largest = model.conv_stem.weight.abs().amax((1, 2, 3))
    assert tuple((largest < 1e-6).nonzero().flatten().tolist()) == legibility.DEAD


def test_every_picture_that_the_lesson_shows_is_shipped():
    assert set(legibility._file()) == set(legibility.STRIPS)
    for network in legibility.NETWORKS:
        for way, settings in legibility.WAYS.items():
            assert legibility.classes(network, way).shape == (COUNT, settings.variants, 3, settings.size, settings.size)
        assert len(legibility.channels(network)) == len(legibility.lot())
    assert legibility.FILE.stat().st_size < 3_000_000


def test_a_strip_that_is_there_is_not_made_again(monkeypatch, tmp_path):
    monkeypatch.setattr(legibility, "FILE", tmp_path / "legible.npz")
    monkeypatch.setenv("VIZCOURSE_CACHE", str(tmp_path))
    made = []

    def strip(name, shade):
        def pictures(only=None):
            made.append(name)
            return torch.full((only or 2, 3, 16, 16), shade)

        return pictures

    monkeypatch.setattr(legibility, "STRIPS", {"one": strip("one", 0.25), "two": strip("two", 0.75)})
    legibility._file.cache_clear()
    try:
        assert legibility.make(only=1) == {"one": [0.25]} and not legibility.FILE.is_file()
        legibility.make()
        monkeypatch.setattr(legibility, "STRIPS", legibility.STRIPS | {"three": strip("three", 0.5)})
        legibility.make()
        assert made == ["one", "one", "two", "three"]
        assert set(legibility._file()) == {"one", "two", "three"}
        assert legibility.unpacked(legibility._file()["two"]).mean() == pytest.approx(0.75, abs=0.01)
    finally:
        legibility._file.cache_clear()


def test_the_tables_print_what_is_stored(capsys):
    named = study.STUDY.stored("named/classes")
    figures.print_named(named)
    text = capsys.readouterr().out
    robust = legibility.right(named[f"{legibility.NETWORKS[0]}, {legibility.SHOWN}"]["vit-scenes"])
    assert f"{robust:.0%}" in text and text.count("%]") == 2 * (9 + 3 + 2)
    figures.print_channels(study.STUDY.stored("named/channels"))
    figures.print_costs()
    text = capsys.readouterr().out
    assert "changed by length 1: robust" in text and all(name in text for name in legibility.NETWORKS)
