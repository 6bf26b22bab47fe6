"""What holds for the explorers of every lesson: their tests call these with the explorers as the lesson makes them."""

import asyncio
import gc
import random
import resource

import pytest

from vizcourse.widgets import PAUSE


def extremes(control):
    """Values at the ends of a control, and every option of a choice; none of an upload."""
    if hasattr(control, "options"):
        return [option[1] if isinstance(option, tuple) else option for option in control.options]
    if hasattr(control, "min"):
        return [control.min, control.max]
    return [True, False] if isinstance(control.value, bool) else []


def takes_every_control_at_its_ends(explorers):
    for explorer in explorers:
        for control in explorer.controls.values():
            for value in extremes(control):
                control.value = value
        assert explorer.errors == [], type(explorer).__name__
        assert bytes(explorer.picture.value[:4]) == b"\x89PNG" and len(explorer.picture.value) < 150_000


def refuses_invalid_values(explorers):
    for explorer in explorers:
        with pytest.raises(ValueError, match="no control"):
            explorer.set(nothing_of_the_kind=1)
        name, control = next((n, c) for n, c in explorer.controls.items() if hasattr(c, "options"))
        before = control.value
        with pytest.raises(ValueError, match="does not take"):
            explorer.set(**{name: "no such option"})
        assert control.value == before and explorer.errors == []


def can_be_read_out(explorers):
    for explorer in explorers:
        assert all(control.description for control in explorer.controls.values())
        bundle = explorer._repr_mimebundle_()
        assert len(bundle["text/plain"]) > 60 and bundle["image/png"]


def survives_a_storm(explorers, models):
    """A thousand changes in an event loop, as in a kernel: bursts of a hundred, of which the last wins."""
    chance = random.Random(0)

    async def storm(explorer):
        names = [name for name, control in explorer.controls.items() if extremes(control)]
        for step in range(1000):
            control = explorer.controls[chance.choice(names)]
            values = extremes(control)
            if hasattr(control, "min"):
                values = [chance.uniform(control.min, control.max)]
                values = values if isinstance(control.value, float) else [round(values[0])]
            control.value = chance.choice(values)
            if step % 100 == 99:
                await asyncio.sleep(2 * PAUSE)
        while explorer._timer is not None:
            await asyncio.sleep(PAUSE)

    for explorer in explorers:
        gc.collect()
        settled = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        asyncio.run(storm(explorer))
        assert explorer.errors == [] and explorer._drawn == explorer.state, type(explorer).__name__
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - settled < 100_000  # kilobytes
    for model in models:
        for name, module in model.named_modules():
            assert not module._forward_hooks and not module._forward_pre_hooks and "forward" not in module.__dict__, name
        assert all(parameter.grad is None and not parameter.requires_grad for parameter in model.parameters())
