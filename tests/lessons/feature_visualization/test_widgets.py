"""Lesson 02's explorers, driven through their real controls."""

from __future__ import annotations

import asyncio
import random
import statistics
import time

import pytest
import torch
from torch import nn

from tests import every_explorer
from vizcourse.lessons.feature_visualization import exercises, widgets
from vizcourse.lessons.feature_visualization import pictures as study
from vizcourse.lessons.feature_visualization.climb import OBJECTIVES, Climb, spectrum
from vizcourse.lessons.feature_visualization.widgets import (
    ANOTHER,
    STORED,
    SWITCHES,
    TWINS,
    WIDGETS,
    DirectionExplorer,
    NeuronBlender,
    Studio,
    shuffled_probability,
)
from vizcourse.methods import feature_visualization as method
from vizcourse.models import WeightsError, load

AS_MADE = dict.fromkeys((*SWITCHES, "prior", "l1", "l2", "blur", "stopped"), False)


@pytest.fixture(scope="module")
def small():
    return load("cnn-shapes")


@pytest.fixture
def live(small):
    studio = Studio(small, ["relu1", "relu2", "relu3"])
    yield studio
    studio.close()


@pytest.fixture
def slowly(monkeypatch):
    """One step at a time, and many looks: a small network climbs as fast as a large one is looked at."""
    monkeypatch.setattr("vizcourse.widgets.PORTION", 0)
    monkeypatch.setattr("vizcourse.widgets.LOOK", 0.05)


@pytest.fixture(scope="module")
def first_studio():
    """With both networks, the twin with random weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(widgets, "load", lambda name: load(name, random=True) if name == TWINS[1] else load(name))
        made = Studio()
    yield made
    made.close()


@pytest.fixture
def studio(first_studio):
    """As it is at first: making it takes seconds."""
    first = {"network": STORED, "unit": next(iter(first_studio.units)), "optimizer": "sgd", "step": first_studio.steps[-1]}
    return first_studio.set(**first, **AS_MADE, objective="channel")


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
        shown, (value, below, noise) = studio.result, paths.value(layer, number, **on)
        torch.testing.assert_close(shown.picture, paths.frames(layer, number, **on)[-1])
        assert (shown.value, shown.below, shown.noise) == (value, below, noise) and not studio.growing
        assert "Rendered beforehand" in studio.text.value and label in studio.text.value
        studio.set(step=paths.steps[1])
        torch.testing.assert_close(studio.result.picture, paths.frames(layer, number, **on)[1])
        assert studio.result.below is None
    assert studio.errors == []


def test_unit_layer_and_channel_say_the_same(studio):
    c, labels = studio.controls, list(studio.units)
    for label, (layer, channel) in studio.units.items():
        c["unit"].value = label
        assert (c["layer"].value, c["channel"].value) == (layer, channel)
    c["channel"].value += 1
    assert c["unit"].value == ANOTHER and studio.growing and "Rendered now" in studio.text.value
    c["channel"].value -= 1
    assert c["unit"].value == labels[-1] and not studio.growing
    studio.set(unit=labels[0], layer=studio.units[labels[1]][0])
    studio.set(channel=studio.units[labels[1]][1])
    assert c["unit"].value == labels[1] and "Rendered beforehand" in studio.text.value
    c["unit"].value = ANOTHER  # the next channel is another one
    assert c["channel"].value == studio.units[labels[1]][1] + 1 and studio.growing
    assert studio.errors == []


def test_what_is_not_stored_is_rendered_now(studio):
    for change, names in (
        ({"prior": True}, ["learned prior"]),
        ({"l1": True, "blur": True}, ["L1", "blur"]),
        ({"objective": "neuron in the centre"}, ["Objective"]),
        ({"network": TWINS[1]}, ["Network"]),
        ({"channel": 4}, ["Unit"]),
    ):
        before = {name: studio.state[name] for name in change}
        studio.set(**change)
        assert studio.unstored(**studio.state) == names and studio.growing and studio.result.steps == 0
        assert "Rendered now" in studio.text.value and studio.result.below is None
        studio.set(**before)
        assert studio.unstored(**studio.state) == [] and "Rendered beforehand" in studio.text.value
    assert studio.errors == []


def test_exercise_5_judges_the_stored_unit_and_nothing_else(studio):
    judge = exercises.LEGIBLE.judge

    assert exercises.LEGIBLE.blank(studio.answer_value())
    studio.set(fourier=True)
    assert judge(studio.answer_value()) is None
    assert judge(studio.set(unit=ANOTHER).answer_value()).mistake == "other-unit"
    assert "choose one of 0 to" in studio.set(channel=-1).message.value
    assert judge(studio.answer_value()).mistake == "other-unit"
    studio.set(unit=next(iter(studio.units)))
    for change, name in (({"network": TWINS[1]}, "Network"), ({"prior": True}, "learned prior"), ({"l2": True}, "L2")):
        before = {each: studio.state[each] for each in change}
        answered = studio.set(**change, fourier=False).answer_value()
        assert not exercises.LEGIBLE.blank(answered) and f"set back {name}." in judge(answered)
        studio.set(**before)
    assert judge(studio.set(fourier=True).answer_value()) is None and studio.errors == []


# --- the studio: rendered now ---------------------------------------------------------------------------------


async def until(true, seconds=60):
    for _ in range(int(seconds / 0.02)):
        if true():
            return
        await asyncio.sleep(0.02)
    raise TimeoutError


def test_the_climb_goes_on_while_the_learner_looks(live, small, slowly):
    async def look():
        live.set(layer="relu2", channel=3, fourier=True)
        seen = [live.result]
        while live._timer is not None:
            await asyncio.sleep(0.01)
            seen += [live.result] if live.result is not seen[-1] else []
        return seen

    seen = asyncio.run(look())
    assert [view.steps for view in seen] == sorted({view.steps for view in seen}) and len(seen) >= 3
    assert seen[0].steps == 0 and seen[-1].steps == live.steps[-1] and live.errors == []
    assert seen[0].value < seen[len(seen) // 2].value < seen[-1].value
    assert [steps for steps, _ in seen[-1].frames] == list(live.steps)
    assert all(not module._forward_hooks for module in small.modules())


def test_every_step_is_a_better_picture_of_a_real_channel(studio):
    studio.set(layer="inception4a", channel=100, fourier=True)
    start = studio.result
    values = [start.value] + [studio.advance(4).result.value for _ in range(3)]
    assert studio.result.steps == 12 and values == sorted(values) and values[-1] > 2 * max(start.value, start.most / 2)
    assert "after 12 steps" in studio.text.value and "on the way to 64" in studio.text.value


def test_the_scrubber_walks_along_a_climb_and_decides_how_far_it_goes(live):
    live.set(layer="relu2", channel=3, step=8)
    assert live.finish().result.steps == 8 and not live.growing
    frame = live.result.picture
    live.set(step=24)
    assert live.growing and 8 <= live.result.steps < 24
    live.finish()
    for step in (0, 2, 8, 24):
        assert live.set(step=step).result.steps == step and not live.growing
    assert torch.equal(live.set(step=8).result.picture, frame)


def test_stop_and_go_on(live, slowly):
    async def look():
        c = live.controls
        live.set(layer="relu2", channel=3)
        assert not c["stopped"].disabled and c["stopped"].description == "Stop"
        await until(lambda: live.result.steps > 0)
        c["stopped"].value = True
        await asyncio.sleep(0.2)
        stopped = live.result.steps
        await asyncio.sleep(0.2)
        assert live.result.steps == stopped < live.steps[-1] and live._timer is None
        assert c["stopped"].description == "Go on" and "stopped on the way" in live.text.value
        c["stopped"].value = False
        await until(lambda: live.result.steps == live.steps[-1])
        assert c["stopped"].disabled and c["stopped"].description == "Stop" and "on the way" not in live.text.value
        live.set(channel=4, stopped=True)
        c["channel"].value = 5  # another wish begins to climb
        assert not c["stopped"].value
        await until(lambda: live.result.steps > 0)

    asyncio.run(look())
    assert live.errors == []


def test_a_new_wish_stops_the_old_climb_and_a_finished_one_is_there_at_once(live, slowly):
    climbs = live.climbs["cnn-shapes"]

    async def look():
        live.set(layer="relu2", channel=3)
        await asyncio.sleep(0.2)
        live.set(channel=4)
        old, _ = climbs.kept.values()
        done = old.steps
        await asyncio.sleep(0.2)
        return old, done

    old, done = asyncio.run(look())
    assert 0 < done == old.steps < live.steps[-1]
    live.finish().set(channel=3)
    assert live.result.steps == done and live.finish().result.steps == live.steps[-1]
    live.set(channel=4)
    assert len(climbs.kept) == 2 and live.result.steps == live.steps[-1] and not live.growing


def test_climbs_that_were_not_begun_and_the_oldest_are_forgotten(live, monkeypatch):
    monkeypatch.setattr("vizcourse.lessons.feature_visualization.climb.MOST", 3)
    for channel in range(6):
        live.set(layer="relu3", channel=channel)
    assert len(live.climbs["cnn-shapes"].kept) == 1
    for channel in range(6):
        live.set(channel=channel).advance()
    assert [key[1] for key in live.climbs["cnn-shapes"].kept] == [3, 4, 5]


def test_a_static_copy_holds_the_finished_climb(live):
    live.set(layer="relu3", channel=1)
    assert live.result.steps == 0 and "on the way" in live.text.value
    live._repr_mimebundle_()
    assert live.result.steps == live.steps[-1] and "on the way" not in live.text.value
    assert live.result.value > live.result.most, "64 steps should outdo 32 ordinary pictures"


def test_a_channel_that_is_not_there_is_named_in_one_sentence(live):
    for layer, count in next(iter(live.climbs.values())).channels.items():
        live.set(layer=layer, channel=count - 1)
        assert live.message.value == "" and live.growing
        for channel in (count, -1, 10**9):
            live.set(channel=channel)
            assert f"no channel {channel}: choose one of 0 to {count - 1}." in live.message.value and not live.growing
    live.set(layer="relu3").set(channel=5000, layer="relu1")  # a layer with fewer: the last
    assert live.message.value == "" and live.controls["channel"].value == 7
    with pytest.raises(ValueError, match="does not take 'many'"):
        live.set(channel="many")
    assert live.errors == []


def test_what_is_measured_is_the_objective(live, small):
    for objective in OBJECTIVES:
        live.set(layer="relu2", channel=3, objective=objective).advance(3)
        (value,) = method.evaluate(small, live.result.picture[None], OBJECTIVES[objective]("relu2", 3))[0]
        (most,) = method.evaluate(small, _ordinary(small), OBJECTIVES[objective]("relu2", 3)).amax(1)
        assert live.result.value == pytest.approx(float(value), rel=1e-4)
        assert live.result.most == pytest.approx(float(most), rel=1e-4)


def _ordinary(model):
    size = (model.input_size, model.input_size)
    return nn.functional.interpolate(widgets.ordinary(), size=size, mode="bilinear", antialias=True)


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


def test_the_learned_prior_on_and_off(live, small, monkeypatch):
    c = live.controls
    live.set(layer="relu2", channel=3, fourier=True).advance(2)
    free = live.result
    live.set(prior=True)
    start = live.result
    assert c["fourier"].disabled and c["colours"].disabled and "waves and colours do not apply" in live.text.value
    assert live.advance(16).result.value > start.value and live.result.noise < free.noise
    drawn = live.result.picture
    assert torch.equal(live.set(colours=True).result.picture, drawn)  # which do not apply
    again = method.render(
        small, method.channel("relu2", 3), image=method.prior(*_decoder(), live.climbs["cnn-shapes"].size), steps=64,
        learning_rate=0.1, optimizer="sgd", transformations=(), progress=False,
    ).images[0]  # fmt: skip
    torch.testing.assert_close(live.finish().result.picture, again, atol=1e-3, rtol=0)
    live.set(prior=False, colours=False)
    assert not c["fourier"].disabled and torch.equal(live.result.picture, free.picture)

    def missing(*_):
        raise WeightsError("no weights")

    monkeypatch.setattr("vizcourse.lessons.feature_visualization.climb._prior", missing)
    assert "no learned prior: no weights" in live.set(prior=True, channel=4).message.value and live.errors == []


def _decoder():
    decoder = load("scenes-decoder")
    return decoder.decode, decoder.latent


def test_both_networks(studio):
    twin = TWINS[1]
    assert [option for option in studio.controls["network"].options] == list(TWINS)
    assert studio.controls["network"].layout.display != "none"
    studio.set(network=twin, fourier=True)
    assert studio.growing and f"of {twin}" in studio.text.value
    for name in TWINS:
        studio.set(network=name, layer="conv3", channel=4).advance(2)
        value = method.evaluate(studio.climbs[name].model, studio.result.picture[None], method.channel("conv3", 4))
        assert studio.result.value == pytest.approx(float(value), rel=1e-4, abs=1e-7) and studio.result.steps == 2
    assert studio.errors == []


def test_a_network_without_a_twin_is_not_offered_one(small, monkeypatch):
    def without(name):
        if name == TWINS[1]:
            raise WeightsError("not there")
        return load(name)

    monkeypatch.setattr(widgets, "load", without)
    monkeypatch.setattr(widgets, "Climbs", lambda model, layers, steps: _NoClimbs())
    for model, names in ((STORED, [STORED]), ("cnn-shapes", ["cnn-shapes"]), (load(STORED, random=True), [STORED])):
        studio = Studio(model)
        assert list(studio.controls["network"].options) == names and studio.controls["network"].layout.display == "none"
        # A module's weights may be any, whatever its name.
        assert bool(studio.units) == (model == STORED)
        studio.close()
    with pytest.raises(WeightsError):
        Studio(TWINS[1])


class _NoClimbs:
    """Stands for what takes a second to make."""

    size, natural = 96, torch.zeros(48)
    channels = {"conv3": 192, "": 28}
    model = None

    def measured(self, *_):
        return 1.0, 1.0

    def of(self, *_, **__):
        return Climb(load("cnn-shapes"), method.l2(), method.pixels(96), (), (0, 2))


def test_closing_stops_the_climb(small, slowly):
    async def look():
        studio = Studio(small, ["relu1"]).set(channel=3)
        await until(lambda: studio.result.steps > 0)
        studio.close()
        (climb,) = studio.climbs["cnn-shapes"].kept.values()
        left = climb.steps
        await asyncio.sleep(0.2)
        return left, climb.steps

    left, later = asyncio.run(look())
    assert 0 < left == later < study.STEPS
    assert all(not module._forward_hooks for module in small.modules())


def test_each_control_answers_in_time(studio):
    """On a machine that does nothing else it takes half of the 150 ms that a widget may take."""
    took = {}
    for name, control in studio.controls.items():
        values = every_explorer.extremes(control) or [0, 4]
        took[name] = []
        for value in (values[-1], values[0], values[-1]):
            start = time.process_time()
            control.value = value
            took[name].append(time.process_time() - start)
        studio.set(network=STORED, unit=next(iter(studio.units)), objective="channel", **AS_MADE)
    assert all(statistics.median(times) < 0.3 for times in took.values()), took
    assert studio.errors == []


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


def test_every_control_at_its_ends(studio, live, blender, explorer):
    every_explorer.takes_every_control_at_its_ends([studio, live, blender, explorer])
    every_explorer.can_be_read_out([blender, explorer])


@pytest.mark.parametrize(("name", "value"), [("unit", "no such unit"), ("step", 3), ("objective", "logits")])
def test_a_value_that_does_not_exist_is_refused(studio, name, value):
    with pytest.raises(ValueError, match="does not take"):
        studio.set(**{name: value})
    assert studio.errors == []


def test_a_thousand_random_changes_leave_no_error_no_hook_and_no_memory(live, blender, explorer, small):
    every_explorer.survives_a_storm([live, blender, explorer], [small])


def test_changes_in_the_middle_of_climbs_leave_no_stale_work(live, small, slowly):
    async def storm():
        chance = random.Random(0)
        for _ in range(25):
            live.controls["layer"].value = chance.choice(["relu1", "relu2", "relu3", ""])
            live.controls["channel"].value = chance.randint(-1, 8)
            live.controls[chance.choice(["prior", "fourier", "stopped", "transformations", "l1"])].value ^= True
            await asyncio.sleep(chance.choice([0, 0.02, 0.1, 0.3]))
        live.set(channel=2, layer="relu2", prior=False, stopped=False)
        begun = {climb: climb.steps for climb in live.climbs["cnn-shapes"].kept.values()}
        while live._timer is not None:
            await asyncio.sleep(0.02)
        return [climb for climb, steps in begun.items() if climb.steps > steps]

    (climbed,) = asyncio.run(storm())
    assert climbed.finished and live.result.steps == live.steps[-1] and live.errors == []
    for module in small.modules():
        assert not module._forward_hooks and "forward" not in module.__dict__
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in small.parameters())
