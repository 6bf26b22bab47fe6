"""Lesson 05's studies: their parts run, and their stored results are whole."""

import pytest

from vizcourse.lessons.das import graded, study
from vizcourse.worlds import shapes


def is_share(value):
    return len(value) == 3 and 0 <= value[1] <= value[0] <= value[2] <= 1


def in_form(value, stored):
    """Whether a result has the keys of the stored one, and shares where that has shares."""
    if isinstance(stored, dict):
        return set(value) == set(stored) and all(in_form(value[key], each) for key, each in stored.items())
    return is_share(value) if isinstance(stored, list) and is_share(stored) else type(value) is type(stored)


def test_stored_results_are_whole():
    found = study.STUDY.results()
    assert tuple(found["networks"]) == (*study.NETWORKS, study.PHOTOS) and found["pairs"] == study.PAIRS
    assert all(study.STUDY.stored(name) for name in study.STUDY.parts)
    for entry in (found["networks"][name] for name in study.NETWORKS):
        assert all(is_share(value) for value in entry["truth"].values())
        assert set(entry["table"]) == set(study.VARIABLES)
        for row in entry["table"].values():
            assert all(is_share(value) for name, value in row.items() if name not in ("held out, other seeds", "boundless"))


def test_the_alignments_verdict_is_the_truth_in_the_stored_results():
    cue = {"shape_colour": "colour", "background": "background", "shape_type": "type"}
    for entry in (study.STUDY.results()["networks"][name] for name in study.NETWORKS):
        best = max(shapes.VARIABLES, key=lambda name, table=entry["table"]: table[name]["held out"][0])
        assert cue[best] == max(entry["truth"], key=lambda name, shares=entry["truth"]: shares[name][0])


def test_the_graded_networks_are_whole():
    found = study.STUDY.results("graded.json")
    mixes = [tuple(entry["mix"]) for entry in found.values() if "mix" in entry]
    assert set(mixes) == set(graded.MIXES) and min(map(mixes.count, graded.MIXES)) >= 2
    for entry in found.values():
        assert all(is_share(value) for value in entry["truth"].values())
        for place in (*graded.SITES, "tipping"):
            assert all(is_share(value) for scores in entry[place].values() for value in scores.values())


@pytest.mark.parametrize("tipping", [False, True])
def test_the_graded_pairs_change_one_cue(tipping):
    for cue in shapes.CUES:
        for base, source, new in zip(*graded.drawn_twins("intervention", 24, cue, tipping), strict=True):
            said = [[picture.cues[each] for each in shapes.CUES] for picture in (base, source)]
            assert [one for one, other in zip(*said, strict=True) if one != other] == [said[0][shapes.CUES.index(cue)]]
            assert source.cues[cue] == new and said[0].count(new) == int(tipping)


@pytest.mark.parametrize(
    "part", ["truth/shapes-cue-colour", "dimensions/shapes-cue-colour", "places/shapes-cue-colour", "mixed/0.95 0.6 0.6 seed 0"]
)
def test_a_part_runs_small_and_gives_what_is_stored(part):
    one = study.STUDY.parts[part]
    assert in_form(one.measure(**one.settings, **one.quick), study.STUDY.stored(part))
