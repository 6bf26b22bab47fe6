"""Lesson 02's explorers, driven through their real controls."""

from __future__ import annotations

import asyncio
import gc
import random
import resource

import pytest
import torch
from torch import nn

from vizcourse.lessons.feature_visualization import pictures as study
from vizcourse.lessons.feature_visualization.climb import Climb, spectrum
from vizcourse.lessons.feature_visualization.widgets import (
    LIVE,
    SWITCHES,
    WIDGETS,
    DirectionExplorer,
    NeuronBlender,
    Studio,
    shuffled_probability,
)
from vizcourse.methods import feature_visualization as method
from vizcourse.models import load
from vizcourse.widgets import Notice


@pytest.fixture(scope="module")
def small():
    return load("cnn-shapes")


@pytest.fixture
def live(small):
    studio = Studio(small, ["relu1", "relu2", "relu3"])
    yield studio
    studio.close()


@pytest.fixture(scope="module")
def first_studio():
    made = Studio()
    yield made
    made.close()


@pytest.fixture
def studio(first_studio):
    """As it is at first: making it takes seconds."""
    first = {"unit": next(iter(first_studio.units)), "optimizer": "sgd", "step": first_studio.steps[-1]}
    return first_studio.set(**first, **dict.fromkeys(SWITCHES, False))


@pytest.fixture
def blender():
    made = NeuronBlender()
    yield made
    made.close()


@pytest.fixture
def explorer():
    made = DirectionExplorer()
    yield made
    made.close()


def test_every_widget_of_the_lesson_is_listed():
    assert WIDGETS == (Studio, NeuronBlender, DirectionExplorer)


# --- the climb ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("on", [("waves",), ("moved", "smooth")])
def test_a_climb_in_portions_is_the_climb_of_render(small, on, optimizer):
    keep = (0, 2, 8, 20)
    objective = method.channel("relu2", 3) - (2 * method.total_variation() if "smooth" in on else 0 * method.l2())
    image = (method.fourier if "waves" in on else method.pixels)(64)
    transformations = method.DEFAULT if "moved" in on else ()
    climb = Climb(small, objective, image, transformations, keep, optimizer=optimizer)
    while not climb.finished:
        climb.advance(0)
    whole = method.render(
        small, objective, image=image, steps=20, transformations=transformations, frames=21, optimizer=optimizer,
        progress=False,
    )  # fmt: skip
    for step in keep:
        torch.testing.assert_close(climb.frames[step], whole.frames[whole.frame_steps.index(step), 0], atol=1e-4, rtol=0)


def test_the_spectrum_of_one_wave_is_one_peak():
    wave = 0.5 + 0.4 * torch.sin(torch.arange(32.0) * (2 * torch.pi * 4 / 32))
    power = spectrum(wave.expand(1, 3, 32, 32))
    assert power.shape == (17,) and power.argmax() == 4
    assert power.sum() - power[4] < 1e-4


# --- the studio: rendered beforehand --------------------------------------------------------------------------


def test_the_studio_shows_what_the_file_holds(studio):
    paths = study.paths()
    assert [*studio.units.values()] == [unit[:2] for unit in paths.units]
    for (layer, number, label), switches in zip(paths.units, [(), ("fourier",), SWITCHES] * 2, strict=True):
        on = {name: name in switches for name in SWITCHES} | {"optimizer": "adam" if "colours" in switches else "sgd"}
        studio.set(unit=label, step=paths.steps[-1], **on)
        shown, (_, below, noise) = studio.result, paths.value(layer, number, **on)
        torch.testing.assert_close(shown.picture, paths.frames(layer, number, **on)[-1])
        assert (shown.below, shown.noise) == (below, noise)
        assert "Rendered beforehand" in studio.text.value
        studio.set(step=paths.steps[1])
        torch.testing.assert_close(studio.result.picture, paths.frames(layer, number, **on)[1])
        assert studio.result.below is None
    assert studio.errors == []


def test_live_controls_are_only_shown_for_live_units(studio):
    assert studio._live_only.layout.display == "none"
    studio.controls["unit"].value = LIVE
    assert studio._live_only.layout.display == "flex"
    assert "Live" in studio.text.value and studio.errors == []
    answer = studio.set(unit=next(iter(studio.units)), fourier=True).answer_value()
    assert answer["fourier"] and not answer["colours"] and 0 <= answer["noise"] <= 1 and 0 <= answer["below"] <= 1


# --- the studio: live -----------------------------------------------------------------------------------------


def test_the_climb_goes_on_while_the_learner_looks(live, small):
    async def look():
        live.set(layer="relu2", channel=3, fourier=True)
        first = live.result.steps
        await asyncio.sleep(0.3)
        later = live.result.steps
        for _ in range(400):
            if not live.result.going_on:
                break
            await asyncio.sleep(0.05)
        return first, later

    first, later = asyncio.run(look())
    assert first < live.steps[-1] and later > first
    assert live.result.steps == live.steps[-1] and live.errors == []
    assert [steps for steps, _ in live.result.frames] == list(live.steps)
    assert all(not module._forward_hooks for module in small.modules())


def test_a_new_wish_stops_the_old_climb_and_an_old_one_is_remembered(live):
    async def look():
        live.set(layer="relu2", channel=3)
        old = next(reversed(live.climbs.kept.values()))
        live.set(channel=4)
        done = old.steps
        await asyncio.sleep(0.2)
        return old, done

    old, done = asyncio.run(look())
    assert old.steps == done
    live.finish()
    count = len(live.climbs.kept)
    live.set(channel=3).finish()
    live.set(channel=4)
    assert len(live.climbs.kept) == count and live.result.steps == live.steps[-1]


def test_without_an_event_loop_one_look_is_taken_and_finish_goes_to_the_end(live):
    live.set(layer="relu3", channel=1)
    assert 0 < live.result.steps < live.steps[-1] and "still climbing" in live.text.value
    live.set(step=0)
    assert live.result.steps == 0
    live.set(step=live.steps[-1])
    live._repr_mimebundle_()
    assert live.result.steps == live.steps[-1] and "still climbing" not in live.text.value
    raised = live.result.value
    assert raised > 1, "64 steps should outdo 32 ordinary pictures"
    live.set(step=0)
    assert live.result.value < raised


def test_the_channel_stays_inside_the_layer(live):
    live.set(layer="relu3", channel=live.controls["channel"].max)
    for layer in live.climbs.best:
        live.set(layer=layer)
        assert live.controls["channel"].max == len(live.climbs.best[layer]) - 1
    assert live.errors == []
    with pytest.raises(Notice, match="has channels 0 to"):
        live.compute(**live.state | {"channel": 5000})


def test_penalties_do_what_they_say(live):
    live.set(layer="relu2", channel=3).finish()
    plain = live.result
    for penalty in ("total_variation", "l1", "l2", "blur"):
        live.set(**{penalty: True}).finish()
        grey = (live.result.picture - 0.5).abs().mean()
        if penalty in ("l1", "l2"):
            assert grey < (plain.picture - 0.5).abs().mean()
        else:
            assert live.result.picture.diff(dim=2).abs().mean() < plain.picture.diff(dim=2).abs().mean()
        live.set(**{penalty: False})
    assert live.errors == []


def test_a_dead_unit_is_called_dead(small):
    class Dead(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)
            self.relu = nn.ReLU()

        def forward(self, images):
            return (self.relu(self.conv(images)) * torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)).mean((2, 3))

    studio = Studio(Dead(), ["conv"]).set(layer="", channel=1).finish()
    assert "no gradient to climb" in studio.text.value and studio.errors == []


def test_the_model_is_left_as_it_was():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)).train()
    model(torch.rand(2, 3, 96, 96))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    studio = Studio(model).set(channel=2, fourier=True, transformations=True)
    assert model.training and all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(not module._forward_hooks and "forward" not in module.__dict__ for module in model.modules())
    assert studio.errors == []


# --- the blender ----------------------------------------------------------------------------------------------


def test_at_its_ends_the_mixture_is_a_pure_picture(blender):
    blends = study.blends()
    for pair in range(len(blends.pairs)):
        for end, unit in ((0, 0), (-1, 1)):
            blender.set(pair=pair, angle=blends.angles[end])
            result = blender.result
            torch.testing.assert_close(result.mixed, result.images[end])
            assert float(result.mixed_values[unit]) == pytest.approx(float(blends.values(pair)[end, unit]), rel=1e-3)
    assert blender.errors == []


def test_the_blender_says_what_both_units_answer(blender):
    blender.set(pair=1, angle=45)
    a, b = study.blends().values(1)[study.blends().angles.index(45)].tolist()
    assert f"{a:.2f}" in blender.text.value and f"{b:.2f}" in blender.text.value


# --- the direction explorer -----------------------------------------------------------------------------------


def test_nothing_gives_the_kind_away_before_the_reveal(explorer):
    for number in range(1, len(explorer.directions.kind) + 1):
        explorer.set(number=number)
        assert explorer.directions.names[number - 1] not in explorer.text.value
    explorer.set(reveal=True)
    assert "Rate at least" in explorer.message.value and explorer.errors == [] and not explorer.final


def test_ratings_are_kept_by_direction_and_final_once_revealed(explorer):
    given = {number: 1 + number % 5 for number in range(1, 13)}
    explorer.rate(given)
    assert explorer.ratings == given
    explorer.controls["number"].value = 3
    assert explorer.controls["rating"].value == given[3]
    explorer.controls["rating"].value = 0
    assert 3 not in explorer.ratings
    explorer.controls["rating"].value = 5
    explorer.controls["reveal"].value = True
    assert explorer.answer_value() == {"ratings": given | {3: 5}, "revealed": True}
    explorer.controls["rating"].value = 1
    assert explorer.ratings[3] == 5 and explorer.controls["rating"].value == 5
    kinds = [explorer.directions.kind[number - 1] for number in given]
    assert f"{kinds.count('basis')} channels" in explorer.text.value
    assert explorer.errors == []


def test_the_probability_of_a_difference_by_lot_by_hand():
    assert shuffled_probability([1, 1], [5, 5]) == pytest.approx(2 / 6)
    assert shuffled_probability([3, 3, 3], [3, 3]) == 1
    assert shuffled_probability([1] * 10, [5] * 10) < 0.01


# --- all of them ----------------------------------------------------------------------------------------------


def extremes(control):
    """Values at the ends of a control, and every option of a choice."""
    if hasattr(control, "options"):
        return [option[1] if isinstance(option, tuple) else option for option in control.options]
    if hasattr(control, "min"):
        return [control.min, control.max]
    return [True, False]


def every_so_often(each, monkeypatch, often):
    """Draw only some of the answers: all are computed, and drawing is what takes long."""
    drawn = [0]
    draw = type(each).draw

    def sometimes(result, **state):
        drawn[0] += 1
        return draw(each, result, **state) if drawn[0] % often == 0 else b"-"

    monkeypatch.setattr(each, "draw", sometimes)


def test_every_control_at_its_ends(studio, live, blender, explorer, monkeypatch):
    monkeypatch.setattr("vizcourse.lessons.feature_visualization.widgets.FIRST_LOOK", 0)  # a single step of each climb
    for each in (studio, live, blender, explorer):
        every_so_often(each, monkeypatch, 6)
        for control in each.controls.values():
            for value in extremes(control):
                control.value = value
        assert each.errors == [], type(each).__name__


@pytest.mark.parametrize(("name", "value"), [("unit", "no such unit"), ("step", 3), ("objective", "logits")])
def test_a_value_that_does_not_exist_is_refused(studio, name, value):
    with pytest.raises(ValueError, match="does not take"):
        studio.set(**{name: value})
    assert studio.errors == []


def test_a_thousand_random_changes_leave_no_error_no_hook_and_no_memory(live, blender, explorer, small, monkeypatch):
    chance = random.Random(0)
    monkeypatch.setattr("vizcourse.lessons.feature_visualization.widgets.FIRST_LOOK", 0)  # a single step of each climb
    for each in (live, blender, explorer):
        every_so_often(each, monkeypatch, 50)
        names = list(each.controls)
        for step in range(1000):
            if step == 300:
                gc.collect()
                settled = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            control = each.controls[chance.choice(names)]
            values = extremes(control)
            if hasattr(control, "min") and hasattr(control, "max"):
                values = [chance.randint(control.min, control.max)]
            control.value = chance.choice(values)
        gc.collect()
        assert each.errors == [], type(each).__name__
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - settled < 100_000  # kilobytes
    for name, module in small.named_modules():
        assert not module._forward_hooks and not module._forward_pre_hooks and "forward" not in module.__dict__, name
    assert all(parameter.grad is None for parameter in small.parameters())
