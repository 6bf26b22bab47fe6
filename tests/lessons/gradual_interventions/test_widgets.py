"""Lesson 07's explorers, driven through their real controls."""

from __future__ import annotations

import datetime
import io
import statistics

import pytest
import torch
from PIL import Image

from tests import every_explorer
from vizcourse.lessons.gradual_interventions.exercises import LOCAL
from vizcourse.lessons.gradual_interventions.widgets import (
    CURVES,
    EDITS,
    MOST,
    OWN_PICTURE,
    TRIO,
    WIDGETS,
    ChanceMeter,
    PhotoDial,
    PropertyDial,
)
from vizcourse.methods.property_gradients import expected_property_gradient_magnitude, permutation_test, respond
from vizcourse.models import load
from vizcourse.worlds import gradual, photos, scenes


@pytest.fixture(scope="module")
def dial():
    made = PropertyDial()
    yield made
    made.close()


@pytest.fixture(scope="module")
def photo():
    made = PhotoDial()
    yield made
    made.close()


@pytest.fixture(scope="module")
def meter():
    made = ChanceMeter()
    yield made
    made.close()


@pytest.fixture
def explorers(dial, photo, meter):
    return [dial, photo, meter]


def never(*_args, **_kwargs):
    raise AssertionError("computed again")


def jpeg(colour, size=(90, 60)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format="JPEG")
    return buffer.getvalue()


def test_every_widget_of_the_lesson_is_listed(explorers):
    assert tuple(type(each) for each in explorers) == WIDGETS


# --- turn the property ---


def test_picture_and_curves_are_those_of_the_method(dial):
    dial.set(scene=1, factor="brightness", position=1.0, metric="probability")
    animal = scenes.sample(16, 70, object=("cat", "dog"))[1]
    path = gradual.turn(animal, "brightness", steps=dial.steps, size=64)
    torch.testing.assert_close(dial.result.picture, path.pictures[-1])
    for metric in ("logit", "probability"):
        shown = dial.set(metric=metric).result.shown
        for n, name in enumerate(TRIO):
            curve = respond(load(f"pets-{name}"), path.pictures, 1, metric=metric)
            torch.testing.assert_close(shown.responses[n], curve)
            along = torch.linspace(0, 1, dial.steps, dtype=torch.float64)
            test = permutation_test(curve, along, permutations=999)
            assert float(shown.score[n]) == pytest.approx(float(test.score))
            assert float(shown.p_value[n]) == pytest.approx(float(test.p_value))
    assert dial.errors == []


def test_the_slider_and_the_metric_only_draw(dial, monkeypatch):
    dial.set(scene=2, factor="colour", position=0.5, metric="probability")
    with monkeypatch.context() as patched:
        patched.setattr(torch.nn.Module, "__call__", never)
        patched.setattr(gradual, "turn", never)
        seen = {dial.set(position=position).picture.value for position in (0.0, 0.25, 1.0)}
        seen.add(dial.set(metric="logit").picture.value)
    assert dial.errors == [] and len(seen) == 4
    dial.set(metric="probability")


def test_the_slider_says_what_the_value_is(dial):
    dial.set(scene=3, factor="colour", position=0.0)
    assert dial.result.value == "black" and "colour black" in dial.text.value
    assert dial.set(position=0.5).result.value == "50% black, 50% white"
    assert dial.set(factor="size", position=1.0).result.value == "0.85"
    assert dial.set(factor="words", position=0.0).result.value == "no word"
    assert dial.set(factor="shadow", position=1.0).result.value == "with"


def test_any_factor_of_any_scene_can_be_turned(dial):
    assert set(dial.controls["factor"].options) == set(scenes.FACTORS) - {"distractors"}
    for n, factor in enumerate(dial.controls["factor"].options):
        result = dial.compute(scene=n % 12, factor=factor, position=0.5, metric="logit")
        assert result.path.factor == factor and result.shown.responses.shape == (3, dial.steps) and result.value


def test_the_answer_is_about_probabilities_whatever_is_shown(dial):
    dial.set(scene=4, factor="colour", metric="probability")
    expected = dial.answer_value()
    assert dial.set(metric="logit").answer_value() == expected
    dial.set(metric="probability")
    assert expected["factor"] == "colour" and expected["scene"] == 4 and set(expected["span"]) == set(TRIO)
    assert (expected["start"], expected["stop"]) == ("black", "white")


def test_exercise_7_8_starts_blank_and_is_solved_in_the_dial():
    fresh = PropertyDial()
    assert LOCAL.blank(fresh.answer_value())
    assert LOCAL.judge(fresh.set(scene=10, factor="colour").answer_value()) is None
    kinds = set()
    for scene in (0, 4, 5):
        verdict = LOCAL.judge(fresh.set(scene=scene).answer_value())
        kinds.add(verdict.mistake)
    assert kinds == {"other-network", "dog", "neither"}
    fresh.close()


def test_own_networks_scenes_and_ends():
    animal = scenes.sample(1, 5, object="cat")
    small = PropertyDial({"one": load("pets-unbiased")}, animal, target="cat", ends={"size": (0.5, 0.6)}, steps=5)
    assert small.result.path.values.tolist() == pytest.approx([0.5, 0.525, 0.55, 0.575, 0.6])
    assert float(small.result.shown.responses[0].min()) > 0.5 and small.errors == []
    with pytest.raises(ValueError, match="no class 'wolf'"):
        PropertyDial(target="wolf")
    with pytest.raises(ValueError, match="one to 4 networks"):
        PropertyDial({})


# --- a photograph ---


def test_the_curve_of_a_photograph_is_that_of_the_method(photo):
    photo.set(picture="cat", edit="rotation", reach=0.5, position=0.5, target=-1)
    result, model = photo.result, load("resnet20-cifar10")
    image = photos.samples()["cat"](32)[0]
    assert photo.classes[result.target] == "cat" and len(result.strengths) == photo.steps
    assert float(result.strengths[0]) == -22.5 and float(result.strengths[-1]) == 22.5
    pictures = torch.stack(list(EDITS["rotation"][0](image, result.strengths)))
    torch.testing.assert_close(result.responses, respond(model, pictures, result.target))
    assert result.published_score == pytest.approx(float(expected_property_gradient_magnitude(result.responses)))
    assert result.score == pytest.approx((photo.steps - 1) * result.published_score)
    torch.testing.assert_close(result.pictures[result.step], image)  # the middle of this edit is the photograph


def test_every_edit_leaves_the_photograph_alone_somewhere(photo):
    for edit, (function, first, last, itself, _unit) in EDITS.items():
        assert first <= itself <= last
        image = photos.samples()["coffee"](32)[0]
        torch.testing.assert_close(next(iter(function(image, [itself]))), image, msg=edit, atol=1e-5, rtol=0)


def test_every_edit_has_a_curve_however_far_it_goes(photo):
    for edit in EDITS:
        for reach in (0.1, 1.0):
            result = photo.compute(picture="rocket", upload=(), edit=edit, reach=reach, position=1.0, target=0)
            assert result.responses.shape == (photo.steps,) and result.step == photo.steps - 1
            assert float(result.pictures.min()) >= 0 and float(result.pictures.max()) <= 1


def test_slider_and_class_only_draw(photo, monkeypatch):
    photo.set(picture="cat", edit="noise", reach=1.0, target=-1)
    with monkeypatch.context() as patched:
        patched.setattr(torch.nn.Module, "__call__", never)
        photo.set(position=1.0)
        assert photo.errors == [] and "flips" in photo.text.value
        photo.set(target=photo.classes.index("frog"))
    assert photo.errors == [] and photo.answer_value()["target"] == "frog"


def upload(control, content):
    """What the page sends, in the form of the ipywidgets that is installed."""
    if isinstance(control.value, dict):  # ipywidgets 7
        value = {"mine.jpg": {"metadata": {}, "content": content}}
    else:
        modified = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        entry = {"name": "mine.jpg", "type": "image/jpeg", "size": len(content), "content": content}
        value = ({**entry, "last_modified": modified},)
    control.set_trait("value", value)  # which only the page may set on ipywidgets 7


def test_an_upload_is_asked_for_read_once_and_replaced(monkeypatch):
    lab = PhotoDial(steps=5).set(picture=OWN_PICTURE)
    assert "upload button" in lab.message.value and lab.errors == []
    lab.set(picture="cat")
    upload(lab.controls["upload"], jpeg("red"))
    assert lab.controls["picture"].value == OWN_PICTURE and lab.message.value == "" and lab.errors == []
    middle = lab.set(edit="brightness", position=0.5).result.pictures[2]
    assert float(middle[0].mean()) > 0.95 and float(middle[1:].mean()) < 0.05
    with monkeypatch.context() as patched:
        patched.setattr(photos, "load", never)
        lab.set(position=0.0, edit="hue")
        assert lab.errors == []
    upload(lab.controls["upload"], jpeg("blue"))
    assert float(lab.set(edit="brightness", position=0.5).result.pictures[2][2].mean()) > 0.9
    upload(lab.controls["upload"], b"no picture at all")
    assert "not a JPEG" in lab.message.value and lab.errors == []
    lab.close()


def test_any_classifier_will_do():
    torch.manual_seed(0)
    tiny = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2))
    with pytest.raises(ValueError, match="classes="):
        PhotoDial(tiny, size=16)
    lab = PhotoDial(tiny, ("left", "right"), size=16, steps=5)
    assert lab.result.pictures.shape == (5, 3, 16, 16) and lab.errors == []
    assert all(parameter.requires_grad and parameter.grad is None for parameter in tiny.parameters())


# --- is it chance? ---


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("order", [1, 2])
def test_with_all_shuffles_p_is_that_of_the_test(meter, order, published):
    for curve in ("flip", "noise", "alternating", "constant"):
        meter.set(curve=curve, shuffles=MOST, order=order, published=published, seed=3)
        along = torch.linspace(0, 1, 100, dtype=torch.float64)
        test = permutation_test(CURVES[curve](3), along, seed=3, order=order, published=published)
        assert meter.result.p_value == pytest.approx(float(test.p_value), abs=1e-12), curve
        assert meter.result.score == pytest.approx(float(test.score))
    meter.set(published=False, order=2)


def test_the_first_shuffles_stay_when_more_are_drawn(meter):
    few = meter.set(curve="noise", seed=1, shuffles=10, published=False).result
    more = meter.set(shuffles=11).result
    assert torch.equal(more.drawn[:10], few.drawn) and more.limits == few.limits
    inside = torch.cat([few.drawn, few.drawn.new_tensor([few.score])])
    count = ((inside - inside.mean()).abs() >= abs(few.score - inside.mean()) - 1e-12).sum()
    assert few.p_value == pytest.approx(int(count) / 11)


def test_the_shuffle_shown_is_the_one_that_is_scored(meter):
    for shuffles in (1, 57):
        result = meter.set(curve="noise", seed=2, shuffles=shuffles, order=2).result
        shown = expected_property_gradient_magnitude(result.shuffled, torch.linspace(0, 1, 100, dtype=torch.float64))
        assert float(shown) == pytest.approx(float(result.drawn[-1]))
        assert torch.equal(result.shuffled.sort().values, result.curve.sort().values)


def test_a_flip_needs_twenty_shuffles_and_a_constant_never_gets_there(meter):
    assert meter.set(curve="flip", seed=0, shuffles=18, published=False).result.p_value > 0.05
    assert meter.set(shuffles=19).result.p_value == pytest.approx(0.05)
    assert "smoother" in meter.text.value
    assert meter.set(published=True).result.p_value == 0
    assert meter.set(curve="constant", published=False, shuffles=300).result.p_value == 1
    assert "ties count" in meter.text.value and "301 / 301" in meter.text.value


def test_alternation_is_seen_by_the_next_step_only(meter):
    meter.set(curve="alternating", order=2, shuffles=200, published=False)
    assert meter.result.score < meter.result.centre
    meter.set(order=1)
    assert meter.result.score > meter.result.centre and "rougher" in meter.text.value
    meter.set(order=2)


def test_what_is_no_effect_and_what_is_measured(meter):
    def p_value(curve, seed):
        return meter.compute(curve=curve, shuffles=MOST, order=2, published=False, seed=seed).p_value

    noisy = [p_value("noise", seed) for seed in range(8)]
    alike = [p_value("no effect, neighbours alike", seed) for seed in range(4)]
    assert statistics.median(noisy) > 0.2 and max(alike) < 0.01
    assert meter.set(curve="fur, dark-dogs").answer_value()["span"] > 0.9
    assert meter.set(curve="fur, unbiased network").answer_value()["span"] < 0.01


def test_playing_draws_on_from_the_slider(meter):
    meter.set(curve="flip", shuffles=50)
    assert meter.play.value == 50
    meter.play.value = 57
    assert len(meter.result.drawn) == 57 and meter.controls["shuffles"].value == 57


def test_own_curves_with_responses_beyond_probabilities():
    lab = ChanceMeter({"logits": torch.tensor([-3.0, 0.0, 2.0, 5.0, 9.0, 8.0, 12.0])})
    assert lab.controls["curve"].options == ("logits",) and lab.errors == []
    assert lab.result.limits[0] < lab.result.score


# --- all of them ---


def test_the_explorers_are_like_all_others(explorers):
    every_explorer.takes_every_control_at_its_ends(explorers)
    every_explorer.refuses_invalid_values(explorers)
    explorers[1].set(picture="cat")
    every_explorer.can_be_read_out(explorers)
    every_explorer.survives_a_storm(explorers, [*explorers[0].networks.values(), explorers[1].model])
