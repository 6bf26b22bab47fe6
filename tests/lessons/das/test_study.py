"""Lesson 05's studies: their parts run, and their stored results are whole."""

import pytest

from vizcourse.lessons.das import graded, study
from vizcourse.worlds import shapes


def is_share(value):
    return len(value) == 3 and 0 <= value[1] <= value[0] <= value[2] <= 1


def test_stored_results_are_whole():
    found = study.results()
    assert tuple(found["networks"]) == (*study.NETWORKS, study.PHOTOS) and found["pairs"] == study.PAIRS
    for part, (_, networks) in study.PARTS.items():
        assert all(part in found["networks"][name] for name in networks)
    for entry in (found["networks"][name] for name in study.NETWORKS):
        assert all(is_share(value) for value in entry["truth"].values())
        assert set(entry["table"]) == set(study.VARIABLES)
        for row in entry["table"].values():
            assert all(is_share(value) for name, value in row.items() if name not in ("held out, other seeds", "boundless"))


def test_the_alignments_verdict_is_the_truth_in_the_stored_results():
    cue = {"shape_colour": "colour", "background": "background", "shape_type": "type"}
    for entry in (study.results()["networks"][name] for name in study.NETWORKS):
        best = max(shapes.VARIABLES, key=lambda name, table=entry["table"]: table[name]["held out"][0])
        assert cue[best] == max(entry["truth"], key=lambda name, shares=entry["truth"]: shares[name][0])


def test_the_graded_networks_are_whole():
    found = graded.results()
    mixes = [tuple(entry["mix"]) for entry in found.values() if "mix" in entry]
    assert set(mixes) == set(graded.MIXES) and min(map(mixes.count, graded.MIXES)) >= 2
    for entry in found.values():
        assert all(is_share(value) for value in entry["truth"].values())
        for place in (*graded.SITES, "tipping"):
            assert all(is_share(value) for scores in entry[place].values() for value in scores.values())


def test_a_graded_network_is_measured():
    found = graded.trained(graded.MIXES[0], 0, quick=True)
    assert is_share(found["accuracy"]) and set(found["tipping"]) == set(shapes.CUES)


@pytest.mark.parametrize("tipping", [False, True])
def test_the_graded_pairs_change_one_cue(tipping):
    for cue in shapes.CUES:
        for base, source, new in zip(*graded.drawn_twins("intervention", 24, cue, tipping), strict=True):
            said = [[picture.cues[each] for each in shapes.CUES] for picture in (base, source)]
            assert [one for one, other in zip(*said, strict=True) if one != other] == [said[0][shapes.CUES.index(cue)]]
            assert source.cues[cue] == new and said[0].count(new) == int(tipping)


@pytest.mark.parametrize("part", ["truth", "dimensions", "places"])
def test_a_part_runs(part):
    measure, _ = study.PARTS[part]
    found = measure("shapes-cue-colour", True)
    values = found.values() if part == "truth" else [
        value for name in shapes.VARIABLES for value in found[name].values() if isinstance(value, list)
    ]  # fmt: skip
    assert all(is_share(value) for value in values)
