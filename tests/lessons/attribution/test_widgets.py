"""Lesson 03's explorers, driven through their real controls."""

from __future__ import annotations

import pytest
import torch

from tests import every_explorer
from vizcourse.lessons.attribution.widgets import (
    CASCADE_METHODS,
    NO_ANSWER,
    SOURCES,
    WIDGETS,
    CascadeExplorer,
    ClassAndLayer,
    PaintAndSee,
    WhoseMap,
    suspects,
)
from vizcourse.methods import attribution, sanity_checks
from vizcourse.models import load
from vizcourse.worlds import scenes

LAYER = "layer3"
FEW = {name: CASCADE_METHODS[name] for name in ("gradient", "guided backprop", "Grad-CAM", "edge detector")}


@pytest.fixture(scope="module")
def model():
    return load("pets-unbiased")


@pytest.fixture(scope="module")
def world():
    pictures, labels = scenes.render(scenes.sample(3, seed=5, object=("cat", "dog")), size=64, labels=True)
    return pictures, labels.mask


@pytest.fixture(scope="module")
def cascade(model, world):
    return CascadeExplorer(model, world[0][:2], LAYER, methods=FEW)


@pytest.fixture
def explorers(model, world, cascade):
    pictures, masks = world
    made = [
        ClassAndLayer(model, pictures),
        PaintAndSee({"A": model, "B": load("pets-dark-dogs")}, pictures, LAYER, masks),
        WhoseMap(model, pictures, LAYER),
    ]
    yield [*made, cascade]
    for each in made:
        each.close()


def test_every_widget_of_the_lesson_is_listed(explorers):
    assert {type(each) for each in explorers} == set(WIDGETS)


# --- class and layer ---


def test_the_map_is_grad_cam_of_the_class_at_the_layer(model, world):
    lab = ClassAndLayer(model, world[0]).set(picture=2, target=1, layer="layer2.1")
    expected = attribution.grad_cam(model, world[0][2:], 1, "layer2.1", relu=False)[0]
    torch.testing.assert_close(lab.result.values, expected)
    assert lab.result.values.shape == (16, 16) and lab.errors == []
    torch.testing.assert_close(lab.result.logits, model(world[0][2:])[0])


def test_by_default_the_networks_own_answer_is_explained(model, world):
    lab = ClassAndLayer(model, world[0])
    assert lab.result.target == int(model(world[0][:1]).argmax())
    assert "rank 1 of 2" in lab.text.value


def test_evidence_for_and_against_are_two_halves_of_the_same_map(model, world):
    lab = ClassAndLayer(model, world[0])
    pictures = {}
    for evidence in ("for", "against", "both"):
        lab.set(evidence=evidence)
        pictures[evidence] = lab.picture.value
    assert len(set(pictures.values())) == 3 and lab.errors == []


def test_opacity_only_draws(model, world, monkeypatch):
    lab = ClassAndLayer(model, world[0])

    def never(*_args, **_kwargs):
        raise AssertionError("the map was computed again")

    monkeypatch.setattr(attribution, "grad_cam", never)
    before = lab.picture.value
    lab.set(opacity=1.0)
    assert lab.errors == [] and lab.picture.value != before


def test_a_layer_without_places_is_advice_not_an_error(model, world):
    lab = ClassAndLayer(model, world[0], layers=["layer3", "flatten"]).set(layer="flatten")
    assert "no spatial extent" in lab.message.value and lab.errors == []


def test_the_layers_offered_are_those_with_places(model, world):
    lab = ClassAndLayer(model, world[0])
    assert lab.layers[0] == "conv1" and lab.layers[-1] == "layer3.1" and "fc" not in lab.layers
    big = ClassAndLayer(load("googlenet-scenes"), scenes.render(scenes.sample(1, seed=5), size=96), layer="inception4e")
    assert big.state["layer"] == "inception4e" and big.result.values.shape == (6, 6)
    assert len(big.controls["target"].options) == 29


def test_rather_than_asks_for_a_difference_and_says_what_lies_on_which_object(model, world):
    pictures, masks = world
    lab = ClassAndLayer(model, pictures, objects={"the animal": masks, "the rest": ~masks.bool()})
    lab.set(target=0, evidence="for")
    assert "rather than" not in lab.text.value and "on the animal" in lab.text.value
    assert sum(lab.result.shares.values()) == pytest.approx(1, abs=1e-4)
    lab.set(rival=1)
    # The lab begins at layer3.1, which is what layer3 gives.
    expected = attribution.grad_cam(model, pictures[:1], attribution.rather_than(0, 1), LAYER, relu=False)[0]
    torch.testing.assert_close(lab.result.values, expected)
    assert "rather than “dog”" in lab.text.value
    lab.set(rival=0)  # the class itself: no question of "rather than"
    assert lab.result.rival is None and lab.errors == []
    lab.close()


# --- cascade ---


def test_the_cascade_shows_the_similarity_of_the_sanity_check(model, world, cascade):
    table = sanity_checks.cascade(model, world[0][:2], None, LAYER, methods=FEW)
    expected = table.similarity("guided backprop", "ssim")[3, 1]
    cascade.set(picture=1, randomized=3, metric="SSIM")
    assert float(cascade.result.similarity["guided backprop"][3]) == pytest.approx(float(expected))
    assert f"guided backprop {float(expected):.2f}" in cascade.text.value
    assert cascade.errors == []


def test_the_edge_detector_never_changes_and_the_trained_maps_are_like_themselves(cascade):
    for values in cascade.similarity["spearman"].values():
        torch.testing.assert_close(values[0], torch.ones(2))
    torch.testing.assert_close(cascade.similarity["spearman"]["edge detector"], torch.ones(len(cascade.cascade.blocks) + 1, 2))
    cascade.set(randomized=0)
    assert "compared with itself" in cascade.text.value


def test_the_cascade_only_chooses_among_what_is_computed(cascade, monkeypatch):
    def never(*_args, **_kwargs):
        raise AssertionError("a network was run")

    monkeypatch.setattr(torch.nn.Module, "__call__", never)
    for step in range(len(cascade.cascade.blocks) + 1):
        cascade.set(randomized=step)
        assert cascade.result.answer == pytest.approx(float(cascade.cascade.answers[step, cascade.state["picture"]]))
    assert cascade.errors == []


def test_all_methods_of_the_widget_run(model, world):
    small = CascadeExplorer(model, world[0][:1], LAYER)
    assert set(small.similarity["hog"]) == set(CASCADE_METHODS) and small.errors == []


# --- paint and see ---


@pytest.fixture
def paint(model, world):
    return PaintAndSee({"A": model, "B": load("pets-dark-dogs")}, world[0], LAYER, world[1])


def test_without_a_tool_nothing_changes(paint):
    result = paint.result
    assert torch.equal(result.before, result.after) and result.changed == result.touched == 0
    assert torch.equal(*result.maps) and torch.equal(*result.logits)


def test_erasing_fills_the_frame_and_nothing_else(paint, world):
    paint.set(tool="erase", across=50, down=50, width=50, height=25)
    result, image = paint.result, world[0][0]
    left, top, width, height = result.frame
    assert (left, top, width, height) == (16, 24, 32, 16)
    inside = torch.zeros(64, 64, dtype=torch.bool)
    inside[top : top + height, left : left + width] = True
    assert torch.equal(result.after[:, ~inside], image[:, ~inside])
    assert torch.allclose(result.after[:, inside], image.mean(dim=(1, 2))[:, None])
    assert result.changed == pytest.approx(32 * 16 / 64**2, abs=1e-3)
    expected = (inside & world[1][0]).sum() / world[1][0].sum()
    assert result.touched == pytest.approx(float(expected), abs=0.01)


def test_blurring_keeps_the_mean_and_takes_the_detail(paint, world):
    paint.set(tool="blur", width=100, height=100)
    result = paint.result
    assert result.after.diff(dim=2).abs().mean() < 0.5 * result.before.diff(dim=2).abs().mean()
    assert float(result.after.mean()) == pytest.approx(float(result.before.mean()), abs=0.05)


def test_moving_carries_the_frame_along(paint, world):
    paint.set(tool="move", across=25, down=25, width=25, height=25, to_across=75, to_down=75)
    left, top, width, height = paint.result.frame
    piece = world[0][0][:, top : top + height, left : left + width]
    assert torch.equal(paint.result.after[:, 40:56, 40:56], piece)
    assert paint._target_place.layout.visibility == "visible"
    paint.set(tool="erase")
    assert paint._target_place.layout.visibility == "hidden"


def test_map_and_logits_belong_to_the_edited_picture(paint):
    paint.set(network="B", tool="erase", target=0)
    edited, model = paint.result.after[None], paint.models["B"]
    torch.testing.assert_close(paint.result.logits[1], model(edited)[0])
    expected = attribution.upsample(attribution.grad_cam(model, edited, 0, LAYER), edited)[0]
    torch.testing.assert_close(paint.result.maps[1], expected)


def test_a_frame_at_the_edge_stays_inside(paint):
    for across, down in ((0, 0), (100, 100), (0, 100)):
        paint.set(tool="move", across=across, down=down, width=2, height=100, to_across=100, to_down=0)
        left, top, width, height = paint.result.frame
        assert left >= 0 and top >= 0 and left + width <= 64 and top + height <= 64
    assert paint.errors == []


def test_one_network_without_masks_will_do(model, world):
    lab = PaintAndSee(model, world[0], LAYER).set(tool="erase")
    assert lab.result.touched is None and "of the object" not in lab.text.value
    assert list(lab.models) == ["the network"] and lab.errors == []


def test_the_suspects_are_right_on_every_picture_and_one_of_them_reads_the_board():
    lab = suspects()
    for network in ("A", "B"):
        for picture in range(7):
            lab.set(network=network, picture=picture, tool="nothing")
            assert lab.answer_value()["before"] == ("dog" if picture < 4 else "cat")
    answers = {}
    for network in ("A", "B"):
        lab.set(network=network, picture=0, tool="erase", across=50, down=16, width=64, height=26)
        answers[network] = lab.answer_value()
        assert answers[network]["touched"] == 0 and answers[network]["changed"] < 0.25
    assert answers["A"]["after"] == "dog" and answers["B"]["after"] == "cat"
    assert answers["A"]["lead"][1] > 0 > answers["B"]["lead"][1] and answers["B"]["cue"] > 0.9
    lab.set(network="B", picture=0, tool="erase", across=90, down=90, width=10, height=10)
    found = lab.answer_value()
    assert found["cue"] == 0 and found["lead"][0] == pytest.approx(found["lead"][1], rel=0.3)


# --- whose map is it? ---


@pytest.fixture
def quiz(model, world):
    return WhoseMap(model, world[0], LAYER)


def test_each_picture_comes_once_and_each_source_equally_often(quiz):
    for method in quiz.methods:
        sources, pictures = zip(*quiz._order[method], strict=True)
        assert sorted(sources) == sorted(pictures) == [0, 1, 2]


def test_an_answer_stands_is_counted_and_shows_the_truth(quiz):
    truth = quiz.truth("guided backprop", 1)
    assert "was made with" not in quiz.text.value  # the question gives nothing away
    wrong = next(source for source in SOURCES if source != truth)
    quiz.set(answer=wrong)
    assert f"made with the {truth}" in quiz.text.value and quiz.text.value.count("No:") == 1
    quiz.set(answer=truth)
    assert quiz.controls["answer"].value == wrong
    assert quiz.answer_value()["guided backprop"] == (0, 1)


def test_answers_are_kept_by_question_and_method(quiz):
    for question in range(1, 4):
        quiz.set(question=question)
        assert quiz.controls["answer"].value == NO_ANSWER
        quiz.set(answer=quiz.truth("guided backprop", question))
    assert quiz.answer_value() == {"guided backprop": (3, 3), "gradient": (0, 0), "Grad-CAM": (0, 0)}
    assert torch.equal(quiz.result, torch.eye(3, dtype=torch.long))
    quiz.set(method="Grad-CAM")
    assert quiz.controls["answer"].value == NO_ANSWER and quiz.result.sum() == 0
    quiz.set(method="guided backprop", question=2)
    assert quiz.controls["answer"].value == quiz.truth("guided backprop", 2)
    quiz.set(answer=NO_ANSWER)
    assert quiz.answer_value()["guided backprop"] == (3, 3)


def test_the_trained_networks_maps_are_those_of_the_method(quiz, model, world):
    edges = sanity_checks.edge_detector(world[0])
    assert quiz._maps["gradient"].shape == (3, 3, 64, 64)
    expected = attribution.magnitude(attribution.gradient(model, world[0]))
    assert (sanity_checks.spearman(quiz._maps["gradient"][0], expected) > 0.99).all()
    assert (sanity_checks.spearman(quiz._maps["gradient"][2], edges) > 0.99).all()
    assert (sanity_checks.spearman(quiz._maps["gradient"][1], expected) < 0.9).all()


# --- all of them ---


def test_the_explorers_are_like_all_others(explorers, model):
    every_explorer.takes_every_control_at_its_ends(explorers)
    every_explorer.refuses_invalid_values(explorers)
    every_explorer.can_be_read_out(explorers)
    every_explorer.survives_a_storm(explorers, [model])
