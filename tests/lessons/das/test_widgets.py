"""Lesson 05's explorers, driven through their real controls."""

from __future__ import annotations

import pytest
import torch

from tests import every_explorer
from vizcourse.lessons.das import exercises, study, widgets
from vizcourse.lessons.das.widgets import (
    CUES,
    EDITED,
    RANDOM,
    SEARCHED,
    SHOW,
    SOURCE,
    WHOLE,
    WIDGETS,
    DimensionAndLayer,
    RotateByHand,
    SwapACue,
    edited,
    hidden_directions,
    verdict,
)
from vizcourse.methods import das
from vizcourse.models import load
from vizcourse.worlds import equality, shapes

COLOUR = "shapes-cue-colour"


@pytest.fixture(scope="module")
def network():
    return load(COLOUR)


@pytest.fixture(scope="module")
def swap(network):
    return SwapACue({COLOUR: network})


@pytest.fixture(scope="module")
def turner():
    return hidden_directions()


@pytest.fixture(scope="module")
def curves():
    return DimensionAndLayer()


@pytest.fixture(scope="module")
def explorers(swap, turner, curves):
    return swap, turner, curves


def test_every_widget_of_the_lesson_is_listed(explorers):
    assert {type(each) for each in explorers} == set(WIDGETS)


# --- swap a cue ---


def test_edited_pictures_are_those_of_the_article():
    for cue, variable in CUES.items():
        if cue == "all":
            continue
        pairs = shapes.pairs(variable, 12, seed=3)
        for base, source, label in zip(pairs.base, pairs.source, pairs.counterfactual_labels, strict=True):
            assert edited(base, shapes.CLASSES[label], cue) == source


def test_with_all_cues_a_picture_becomes_one_of_the_other_class():
    (dax,) = shapes.sample(1, classes=("dax",))
    wug = edited(dax, "wug", "all")
    assert wug.class_name == "wug" and set(wug.cues.values()) == {"wug"}
    assert [item.centre for item in wug.items] == [item.centre for item in dax.items]
    assert edited(dax, "dax", "all") == dax


def test_the_colour_network_follows_the_colour_and_nothing_else(swap):
    for cue, answer in (("colour", "dax"), ("background", "blicket"), ("type", "blicket"), ("all", "dax")):
        swap.set(base=0, source=1, cue=cue, swap=SEARCHED, donor=EDITED)
        assert swap.result.answers["base"] == "blicket" and swap.result.answers["source"] == "dax"
        assert swap.result.answers[EDITED] == swap.result.answers["base after the swap"] == answer
        assert ("a hit" in swap.text.value) == (answer == "dax")
    assert swap.errors == []


def test_the_whole_activation_gives_the_donors_answer_and_a_random_subspace_does_not(swap):
    for donor, row in ((EDITED, 2), (SOURCE, 1)):
        swap.set(base=0, source=1, cue="colour", swap=WHOLE, donor=donor)
        torch.testing.assert_close(swap.result.probabilities[3], swap.result.probabilities[row], rtol=1e-4, atol=1e-5)
        assert swap.result.dimensions == swap.result.size == 64
    swap.set(swap=RANDOM)
    assert swap.result.dimensions == 8 and swap.result.answers["base after the swap"] == "blicket"


def test_the_swap_is_the_interchange_of_the_method(swap, network):
    swap.set(base=3, source=7, cue="background", swap=SEARCHED, donor=EDITED)
    base, _, changed = swap.result.pictures
    site = das.Site(network, base[None], changed[None], "avgpool")
    expected = site.logits([swap.frames[COLOUR]["background"]]).softmax(1)[0]
    torch.testing.assert_close(swap.result.probabilities[3], expected, rtol=1e-4, atol=1e-5)


def test_nothing_to_swap_within_a_class(swap):
    swap.set(base=0, source=3)
    assert swap.result.base_class == swap.result.source_class and "choose two classes" in swap.text.value


def test_known_alignments_are_used_and_a_layer_with_positions_works(network):
    frames = {variable: das.random_frame(32, 4, torch.Generator().manual_seed(0)) for variable in CUES.values()}
    known = {name: das.Alignment(network, "layer2", frame, (4,)) for name, frame in frames.items()}
    lab = SwapACue({COLOUR: network}, "layer2", alignments={COLOUR: known})
    assert all(torch.equal(lab.frames[COLOUR][name], frame) for name, frame in frames.items())
    base, _, changed = lab.result.pictures
    expected = das.Site(network, base[None], changed[None], "layer2").logits([frames["background"]]).softmax(1)[0]
    torch.testing.assert_close(lab.result.probabilities[3], expected, rtol=1e-4, atol=1e-5)


# --- rotate by hand ---


def test_each_variable_lies_where_it_was_planted(turner):
    for variable, angle in (("left", 60), ("right", 150)):
        turner.set(variable=variable, angle=angle, show=SHOW[2])
        other = "right" if variable == "left" else "left"
        assert turner.result.iia == 1 and 0.4 < turner.result.by_variable[other] < 0.6
        assert "IIA 100%" in turner.text.value and turner.errors == []


def test_the_iia_is_that_of_the_site_and_of_das(turner):
    network = equality.EqualityNetwork()
    base, source = equality.sample(300, seed=2), equality.sample(300, seed=3)
    site, labels = das.Site(network, base, source, "mix"), equality.counterfactual(base, source, "right")
    for angle in (0, 41, 133, 179):
        turner.set(variable="right", angle=angle)
        assert turner.result.iia == turner.curves["right"][angle] == site.hits([turner.direction(angle)], labels).mean().item()
    assert float((turner.found["right"].rotation.T @ network.directions[:, 1:]).abs()) > 0.97


def test_the_curve_is_drawn_only_when_asked_for(turner):
    turner.set(variable="left", angle=60)
    pictures = {turner.set(show=show).picture.value for show in SHOW}
    assert len(pictures) == len(SHOW)


def test_a_plane_without_known_values_will_do():
    base, source = equality.sample(20, seed=2), equality.sample(20, seed=3)
    site = das.Site(equality.EqualityNetwork(), base, source, "mix")
    lab = RotateByHand({"left": (site, equality.counterfactual(base, source, "left"))}, torch.eye(8)[:, :2])
    assert lab.errors == [] and set(lab.result.by_variable) == {"left"}
    assert lab.answer_value()["touched"] is False and lab.set(angle=3).answer_value()["touched"] is True


def test_exercise_5_4_is_judged_from_the_widget():
    lab, one = hidden_directions(), exercises.BY_HAND
    assert one.verdict(lab).status == "not started"
    expected = {("right", 150): None, ("left", 60): "left", ("right", 60): "left", ("left", 150): "not-set"}
    for (variable, angle), mistake in {**expected, ("right", 100): "chance", ("right", 40): "below-chance"}.items():
        verdict_ = one.verdict(lab.set(variable=variable, angle=angle))
        assert (verdict_.status == "solved") == (mistake is None) and verdict_.mistake == mistake, (variable, angle)
    near = next(angle for angle, value in enumerate(lab.curves["right"]) if 0.8 <= value < 0.95)
    assert one.verdict(lab.set(variable="right", angle=near)).mistake == "near"


# --- dimension and layer ---


def test_the_curves_are_those_of_the_study(curves):
    stored = study.STUDY.results()["networks"]
    for network in curves.results:
        curves.set(network=network, variable="background", dim=4, layer="layer1")
        result = curves.result
        for name, values in stored[network]["dimensions"]["background"]["4"].items():
            assert result.by_dim["4"][name] == values
        assert result.by_layer == stored[network]["layers"]["background"]
        assert f"held out {result.by_dim['4']['held out'][0]:.0%}" in curves.text.value
    assert "Stored study" in curves.text.value and curves.errors == []


def test_controls_are_never_left_out(curves):
    for entry in curves.results.values():
        for variable in shapes.VARIABLES:
            assert all({"random subspace", "untrained network"} <= set(each) for each in entry["dimensions"][variable].values())
            assert all({"random subspace", "full swap"} <= set(each) for each in entry["layers"][variable].values())


def test_what_was_not_measured_is_said(curves):
    curves.set(network="resnet18-shapes", layer="layer2")
    assert "8 dimensions at layer2: not measured in this network" in curves.text.value
    curves.set(layer="layer1")
    assert "untrained network not measured here" in curves.text.value and curves.errors == []


def test_an_illusion_is_called_one(curves):
    curves.set(network=COLOUR, variable="background", layer="layer1")
    assert "More than the full swap" in curves.text.value
    curves.set(variable="shape_colour", layer="layer3")
    assert curves.text.value.count("it passes") == 2


def test_verdicts_by_hand():
    def at(value):
        return [value, max(value - 0.1, 0), min(value + 0.1, 1)]

    rows = {
        (1.0, 0.3, 0.0, 0.3): "More than the full swap",
        (0.3, 1.0, 0.3, 0.3): "No more than random",
        (1.0, 1.0, 0.0, 1.0): "The untrained network does as well",
        (1.0, 1.0, 0.0, 0.3): "it passes",
    }
    for values, words in rows.items():
        names = ("held out", "full swap", "random subspace", "untrained network")
        assert words in verdict(dict(zip(names, map(at, values), strict=True)))


def test_results_without_a_sweep_are_refused():
    with pytest.raises(ValueError, match="study 05` first"):
        DimensionAndLayer({"networks": {COLOUR: {"table": {}}}})


# --- all of them ---


def test_the_explorers_are_like_all_others(explorers, network):
    every_explorer.takes_every_control_at_its_ends(explorers)
    every_explorer.refuses_invalid_values(explorers)
    every_explorer.can_be_read_out(explorers)
    every_explorer.survives_a_storm(explorers, [network])


def test_a_swap_after_the_storm_runs_no_search_again(swap, monkeypatch):
    def never(*_args, **_kwargs):
        raise AssertionError("an alignment was searched")

    monkeypatch.setattr(widgets.das, "align", never)
    for cue in CUES:
        swap.set(cue=cue, base=5, source=7)
    assert swap.errors == []


def test_closing_frees_the_widgets(network):
    lab = DimensionAndLayer()
    lab.close()
    assert lab._timer is None
