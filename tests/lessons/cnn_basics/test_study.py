"""Lesson 01's study: its parts run, and its stored results are whole."""

import torch

from vizcourse.lessons.cnn_basics import study


def test_stored_results_are_whole():
    found = study.STUDY.results()
    assert set(found["patterns"]) == {study.pattern_name(*which) for which in study.patterns()}
    for values in found["patterns"].values():
        assert len(values) == len(study.PATTERN_SEEDS) and all(0 <= value <= 1 for value in values)
    names = [f"{kind} {seed}" for kind in ("trained", "untrained") for seed in study.NETWORK_SEEDS]
    assert sorted(found["silencing"]) == sorted(names)
    for name, entry in found["silencing"].items():
        assert (entry["accuracy"] > 0.95) == name.startswith("trained")
        for layer in study.LAYERS:
            assert len({len(values) for values in entry[layer].values()}) == 1


def test_a_pattern_is_what_its_name_says():
    network = study.pattern(2, False, "flatten", (4, 8, 16))
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 3)
    assert [module.out_channels for module in network if isinstance(module, torch.nn.Conv2d)] == [4, 8]
    assert study.pattern_name(2, False, "flatten", (4, 8, 16)) == "2 convolutions (4, 8), no batch norm, flatten"


def test_the_parts_run():
    assert 0 <= study.try_pattern(0, (1, True, "max", (2,)), epochs=1) <= 1
    one = study.STUDY.parts["silencing/trained 0"]
    found = one.measure(**one.settings, **one.quick)
    assert [len(found[layer]["importance"]) for layer in study.LAYERS] == [8, 12, 16, 16]
