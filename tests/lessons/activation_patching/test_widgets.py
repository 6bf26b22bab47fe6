"""Lesson 04's explorers, driven through their real controls."""

from __future__ import annotations

import gc
import random
import resource

import pytest
import torch

from vizcourse.hooks import capture, replace
from vizcourse.lessons.activation_patching.widgets import (
    OWN_CELLS,
    OWN_REGION,
    WIDGETS,
    WORDS,
    CorruptionMixer,
    PatchBay,
    WhereInThePicture,
)
from vizcourse.methods.activation_patching import greyscale, sweep
from vizcourse.models import load
from vizcourse.worlds import scenes

PARTS = {"attn_out": ".self_attention", "mlp_out": ".mlp", "resid": ""}


@pytest.fixture(scope="module")
def model():
    return load("vit-scenes")


@pytest.fixture(scope="module")
def pairs():
    """Three pictures of the colour classes: clean, their partners of the other colour, classes, and masks."""
    sample = scenes.sample(3, seed=40, object=scenes.CLASSES[:16], words="", distractors=())
    partners = [scene.replace(colour=scenes.OWN_COLOUR[scenes.counterpart(scene.object)]) for scene in sample]
    clean, maps = scenes.render(sample, labels=True)
    return clean, scenes.render(partners), torch.tensor([scenes.label(scene) for scene in sample]), maps.mask


@pytest.fixture(scope="module")
def bay(model, pairs):
    return PatchBay(model, *pairs[:3])


@pytest.fixture(scope="module")
def mixer(model, pairs):
    clean, partners, labels, masks = pairs
    return CorruptionMixer(model, clean[:2], labels[:2], masks=masks[:2], partners=partners[:2])


@pytest.fixture(scope="module")
def where(model, pairs):
    return WhereInThePicture(model, *pairs)


@pytest.fixture
def explorers(bay, mixer, where):
    return [bay, mixer, where]


def by_hand(model, clean, corrupted, cells):
    """Logits of the corrupted pictures with some cells as in the clean run, by plain hooks."""
    names = [f"encoder.layers.encoder_layer_{layer}{PARTS[component]}" for component, layer in cells]
    with torch.no_grad(), capture(model, names) as acts:
        model(clean)
    with torch.no_grad(), replace(model, {name: acts[name] for name in names}):
        return model(corrupted)


def test_every_widget_of_the_lesson_is_listed(explorers):
    assert {type(each) for each in explorers} == set(WIDGETS)


# --- patch bay -------------------------------------------------------------------------------------------------------


def test_the_bay_patches_as_plain_hooks_do_and_says_so(bay, model, pairs):
    cells = [("attn_out", 1), ("mlp_out", 0), ("mlp_out", 7)]
    bay.set(picture=1, cells=cells, direction="denoising", tokens="all")
    expected = by_hand(model, pairs[0][1:2], pairs[1][1:2], cells)[0]
    torch.testing.assert_close(bay.result.patched, expected, atol=1e-4, rtol=1e-4)
    label = int(pairs[2][1])
    assert f"patched {float(expected.softmax(0)[label]):.2f}" in bay.text.value
    assert set(bay.cells) == set(cells) and bay.controls["preset"].value == OWN_CELLS
    turned = bay.set(direction="noising").result.patched
    torch.testing.assert_close(turned, by_hand(model, pairs[1][1:2], pairs[0][1:2], cells)[0], atol=1e-4, rtol=1e-4)
    assert bay.errors == []


def test_nothing_everything_and_the_trap(bay, pairs):
    bay.set(picture=0, direction="denoising", tokens="all", preset="none")
    assert bay.cells == () and torch.equal(bay.result.patched, bay.result.corrupted)
    assert "No cell is on" in bay.text.value
    assert bay.result.share == pytest.approx(0)
    for preset in ("all attention", "residual stream after 6"):
        bay.set(preset=preset)
        torch.testing.assert_close(bay.result.patched, bay.result.clean, atol=1e-4, rtol=1e-4)
        assert bay.result.share == pytest.approx(1, abs=1e-4)


def test_a_click_on_a_cell_makes_the_set_your_own_and_ticks_the_button(bay):
    bay.set(preset="all MLPs")
    button = bay.controls["mlp_out:3"]
    assert button.value and button.icon == "check" and button.description == "M3"
    button.value = False
    assert button.icon == "" and bay.controls["preset"].value == OWN_CELLS
    assert len(bay.cells) == 11 and ("mlp_out", 3) not in bay.cells
    bay.set(preset="none")
    assert not any(bay.controls[f"{component}:{layer}"].value for component in WORDS for layer in range(12))


def test_the_bay_hands_in_what_it_shows(bay, pairs):
    bay.set(picture=2, cells=[("attn_out", 4)], tokens="class", direction="noising")
    value = bay.answer_value()
    assert value["cells"] == [("attn_out", 4)] and value["tokens"] == "class" and value["direction"] == "noising"
    assert torch.equal(value["clean"], pairs[0][2]) and torch.equal(value["corrupted"], pairs[1][2])


@pytest.mark.parametrize("cell", [("attn_out", 12), ("heads", 0), ("attn_out",), ("attn_out", -1), "attn_out"])
def test_a_cell_that_is_none_is_named_and_nothing_changes(bay, cell):
    bay.set(cells=[("mlp_out", 2)])
    with pytest.raises(ValueError, match="There is no cell"):
        bay.set(cells=[cell])
    assert bay.cells == (("mlp_out", 2),)
    bay.controls["mlp_out:2"].value = False
    assert bay.result.cells == ()


def test_pairs_that_do_not_fit_are_refused(model, pairs):
    clean, partners, labels, _ = pairs
    with pytest.raises(ValueError, match="do not fit together"):
        PatchBay(model, clean, partners[:2], labels)
    with pytest.raises(ValueError, match="do not fit together"):
        WhereInThePicture(model, clean, partners, labels[:1])
    with pytest.raises(ValueError, match="attribute `classes`"):
        PatchBay(torch.nn.Identity(), clean, partners, labels)


# --- corruption mixer ------------------------------------------------------------------------------------------------


def test_the_mixer_shows_the_sweep_of_its_corruption(mixer, model, pairs):
    clean, _, labels, _ = pairs
    mixer.set(kind="greyscale", strength=4, picture=1)
    expected = sweep(model, clean[:2], greyscale(clean[:2]), labels[:2], progress=False)
    torch.testing.assert_close(mixer.result.result.effects, expected.effects, atol=1e-4, rtol=1e-3)
    assert mixer.result.totals[4] == pytest.approx(float(expected.total.mean()), abs=1e-4)
    assert f"falls by {float(expected.total.mean()):.2f}" in mixer.text.value


def test_strength_zero_corrupts_nothing_and_noise_stays_inside(mixer, pairs):
    for kind in mixer.corruptions:
        mixer.set(kind=kind, strength=0, picture=0)
        assert mixer.result.totals[0] == 0 and torch.equal(mixer.result.corrupted_picture, pairs[0][0])
    mixer.set(kind="noise on the embeddings", strength=4)
    assert mixer.result.inside and torch.equal(mixer.result.corrupted_picture, pairs[0][0])
    assert mixer.result.totals[4] > 0
    mixer.set(kind="counterfactual partner")
    torch.testing.assert_close(mixer.result.corrupted_picture, pairs[1][0])
    assert mixer.errors == []


def test_without_masks_and_partners_the_mixer_offers_what_is_left():
    from vizcourse.lessons.activation_patching.widgets import _corruptions

    kinds = _corruptions(None, torch.rand(1, 3, 32, 32), None, None)
    assert list(kinds) == ["greyscale", "noise on the embeddings", "blur", "shuffled squares"]
    for kind in ("greyscale", "blur", "shuffled squares"):
        for strength in kinds[kind].strengths:
            assert kinds[kind].apply(strength).shape == (1, 3, 32, 32)


# --- where in the picture --------------------------------------------------------------------------------------------


def test_a_region_its_complement_and_the_class_token_agree_with_the_method(where, model, pairs):
    clean, partners, labels, _ = pairs
    where.set(picture=1, component="resid", window=1, rows=(1, 3), columns=(2, 4))
    region = torch.zeros(6, 6, dtype=torch.bool)
    region[1:4, 2:5] = True
    assert torch.equal(where.result.region, region) and where.controls["region"].value == OWN_REGION
    options = {"component": "resid", "window": 1, "progress": False}
    for tokens, measured in (
        (region, where.result.inside),
        (~region, where.result.outside),
        ("class", where.result.class_token),
    ):
        expected = sweep(model, clean[1:2], partners[1:2], labels[1:2], tokens=tokens, **options)
        torch.testing.assert_close(measured, expected.effects[0], atol=1e-4, rtol=1e-3)
    assert "9 of 36 tokens" in where.text.value


def test_the_object_and_the_rest_make_the_whole_picture(where, pairs):
    inside = where.set(picture=0, region="the object").result.region
    outside = where.set(region="all but the object").result.region
    assert bool((inside ^ outside).all()) and 0 < int(inside.sum()) < 36
    # A token belongs to the object as soon as the object touches its square, as in the lesson's study.
    assert torch.equal(inside, torch.nn.functional.max_pool2d(pairs[3][:1].float(), 16)[0].bool())
    where.set(rows=(0, 5), columns=(0, 5))
    assert where.result.outside.abs().max() < 1e-5  # no place is left
    assert where.errors == []


def test_a_region_without_tokens_is_advice_not_an_error(model, pairs):
    clean, partners, labels, masks = pairs
    where = WhereInThePicture(model, clean[:1], partners[:1], labels[:1], torch.ones_like(masks[:1]))
    where.set(region="all but the object")
    assert "holds no token" in where.message.value and where.errors == []
    assert list(WhereInThePicture(model, clean[:1], partners[:1], labels[:1]).controls["region"].options) == [OWN_REGION]


# --- all of them -----------------------------------------------------------------------------------------------------


def extremes(control):
    """Values at the ends of a control, and every option of a choice."""
    if hasattr(control, "options"):
        return [option[1] if isinstance(option, tuple) else option for option in control.options]
    if isinstance(control.value, tuple):
        return [(control.min, control.min), (control.min, control.max), (control.max, control.max)]
    if hasattr(control, "min"):
        return [control.min, control.max]
    return [True, False]


def test_every_control_has_a_description_and_works_at_its_ends(explorers):
    for explorer in explorers:
        for name, control in explorer.controls.items():
            assert control.description
            if ":" in name and name.partition(":")[2] not in ("0", "11"):
                continue
            for value in extremes(control):
                control.value = value
        assert explorer.errors == [], type(explorer).__name__
        assert bytes(explorer.picture.value).startswith(b"\x89PNG") and explorer.text.value


@pytest.mark.parametrize(
    ("number", "values"), [(0, {"picture": 99}), (0, {"tokens": "some"}), (1, {"kind": "rain"}), (2, {"window": 2})]
)
def test_an_invalid_value_is_refused_or_clipped_and_the_explorer_goes_on(explorers, number, values):
    explorer = explorers[number]
    try:
        explorer.set(**values)
    except ValueError as error:
        assert "does not take" in str(error)
    explorer.set(picture=0)
    assert explorer.errors == [] and explorer.result is not None


def test_a_thousand_random_changes_leave_no_error_no_hook_and_no_memory(explorers, model, monkeypatch):
    chance = random.Random(0)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    for explorer in explorers:
        computed = [0]
        compute, draw, shown = explorer.compute, explorer.draw, [explorer.result]

        def sometimes(compute=compute, shown=shown, computed=computed, **state):
            computed[0] += 1  # every fiftieth change is computed, and some are drawn, which keeps the test quick
            if computed[0] % 50 == 0:
                shown[0] = compute(**state)
            return shown[0]

        monkeypatch.setattr(explorer, "compute", sometimes)

        def now_and_then(result, draw=draw, computed=computed, explorer=explorer, **state):
            return draw(result, **state) if computed[0] % 100 == 0 else bytes(explorer.picture.value)

        monkeypatch.setattr(explorer, "draw", now_and_then)
        names = list(explorer.controls)
        for step in range(1000):
            if step == 300:
                gc.collect()
                settled = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            control = explorer.controls[chance.choice(names)]
            values = extremes(control)
            if isinstance(control.value, tuple) and not hasattr(control, "options"):
                values = [tuple(sorted(chance.choices(range(control.min, control.max + 1), k=2)))]
            control.value = chance.choice(values)
        gc.collect()
        assert explorer.errors == [], type(explorer).__name__
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - settled < 100_000  # kilobytes
    for name, module in model.named_modules():
        assert not module._forward_hooks and not module._forward_pre_hooks and "forward" not in module.__dict__, name
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in model.parameters())


def test_the_static_copy_holds_a_small_picture_and_the_description(explorers):
    for explorer in explorers:
        bundle = explorer._repr_mimebundle_()
        assert len(bundle["image/png"]) < 150_000 and explorer._description in bundle["text/plain"]
