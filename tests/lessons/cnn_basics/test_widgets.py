"""Lesson 01's explorers, driven through their real controls."""

from __future__ import annotations

import io

import pytest
import torch
from PIL import Image

from tests import every_explorer
from vizcourse.lessons.cnn_basics.widgets import OWN_PICTURE, PRESETS, WIDGETS, CubeExplorer, KernelLab, Silencer
from vizcourse.models import load
from vizcourse.worlds import shapes


@pytest.fixture(scope="module")
def model():
    return load("cnn-shapes")


@pytest.fixture(scope="module")
def pictures():
    sample = shapes.sample(6, seed=7, split="test", **shapes.VARIED)
    return shapes.render(sample, size=64), shapes.labels(sample)


@pytest.fixture
def explorers(model, pictures):
    made = [KernelLab(), CubeExplorer(model, pictures[0]), Silencer(model, *pictures)]
    yield made
    for each in made:
        each.close()


def test_every_widget_of_the_lesson_is_listed(explorers):
    assert {type(each) for each in explorers} == set(WIDGETS)


def test_the_kernel_lab_convolves_by_hand():
    lab = KernelLab().set(picture="stripes", kernel=[[0, 0, 0], [0, 2, 0], [0, 0, 0]], stride=2)
    torch.testing.assert_close(lab.result.values, 2 * lab.result.picture[1:-1:2, 1:-1:2])
    lab.set(padding=1, stride=1)
    assert lab.result.values.shape == lab.result.picture.shape
    assert lab.errors == []


def test_a_preset_fills_the_cells_and_an_edited_cell_makes_it_your_own():
    lab = KernelLab()
    for name, kernel in PRESETS.items():
        lab.set(preset=name)
        torch.testing.assert_close(lab.kernel, torch.tensor(kernel, dtype=torch.float32))
        assert lab.controls["preset"].value == name
    lab.controls["cell_22"].value = 7.0
    assert lab.controls["preset"].value == "my own"
    assert lab.kernel[2, 2] == 7
    lab.controls["size"].value = 3
    assert lab.kernel.shape == (3, 3) and lab.kernel[1, 1] == 7
    assert lab.answer_value() == lab.kernel.tolist()


def test_relu_cuts_off_below_zero():
    lab = KernelLab().set(preset="every edge")
    assert lab.result.values.min() < 0
    lab.set(relu=True)
    assert lab.result.values.min() == 0


@pytest.mark.parametrize("kernel", [[[1, 2], [3, 4]], [[float("nan")] * 3] * 3, [1, 2, 3]])
def test_a_kernel_that_is_none_is_named(kernel):
    with pytest.raises(ValueError, match="3 × 3 or 5 × 5"):
        KernelLab().set(kernel=kernel)


def test_a_refused_call_does_not_freeze_the_lab():
    lab = KernelLab()
    with pytest.raises(ValueError, match="no control 'strid'"):
        lab.set(kernel=[[0, 0, 0], [0, 3, 0], [0, 0, 0]], strid=2)
    lab.controls["stride"].value = 2
    assert lab.result.values.shape == (63, 63) and lab.result.kernel[1, 1] == 3


def test_an_infinite_cell_and_a_missing_upload_are_advice_not_errors():
    lab = KernelLab()
    lab.controls["cell_22"].value = float("inf")
    assert "finite" in lab.message.value
    lab.controls["cell_22"].value = 1.0
    lab.set(picture=OWN_PICTURE)
    assert "upload button" in lab.message.value
    assert lab.errors == []


def upload_value(content: bytes, name: str):
    """What ``FileUpload.value`` holds, on ipywidgets 8 and 7."""
    import ipywidgets

    if int(ipywidgets.__version__.split(".")[0]) >= 8:
        return ({"name": name, "type": "image/png", "size": len(content), "content": memoryview(content)},)
    return {name: {"metadata": {"name": name, "type": "image/png", "size": len(content)}, "content": content}}


def test_the_learners_own_picture_is_used_and_a_text_file_refused(monkeypatch):
    lab = KernelLab()
    buffer = io.BytesIO()
    Image.new("RGB", (50, 50), (255, 0, 0)).save(buffer, format="PNG")
    state = lab.state | {"picture": OWN_PICTURE, "upload": upload_value(buffer.getvalue(), "red.png"), "colour": "red"}
    assert lab.compute(**state).picture.mean() == 1
    from vizcourse.widgets import Notice

    with pytest.raises(Notice) as caught:
        lab.compute(**state | {"upload": upload_value(b"no picture at all", "notes.png")})
    assert "\n" not in str(caught.value)


def test_the_cube_shows_what_the_layer_gave(model, pictures):
    cube = CubeExplorer(model, pictures[0]).set(layer="relu3", picture=2, channel=3, row=4, column=5)
    with torch.no_grad():
        hidden = model.pool2(
            model.relu2(model.conv2(model.pool1(model.relu1(model.conv1(model.normalize(pictures[0]))))))
        )
        expected = model.relu3(model.conv3(hidden))[2]
    torch.testing.assert_close(cube.result.activation, expected)
    assert f"{float(expected[3, 4, 5]):.3f}" in cube.text.value
    left, top, width, height = cube.result.field
    assert (width, height) == (18, 18)  # 3, pool, 3, pool, 3: by the formula of the lesson
    # the centre of position (4, 5), whose neighbours are 4 pixels apart
    assert (top + height / 2, left + width / 2) == (4 * 4 + 2, 5 * 4 + 2)


def test_changing_the_layer_keeps_the_place_and_the_bounds(model, pictures):
    cube = CubeExplorer(model, pictures[0]).set(row=63, column=0, channel=7)
    for name in cube.layers:
        cube.set(layer=name)
        channels, rows, columns = cube.result.activation.shape
        assert (cube.state["row"], cube.state["column"]) == (rows - 1, 0)
        assert cube.controls["channel"].max == channels - 1
    assert cube.errors == []


def test_silencing_agrees_with_the_method_and_says_so(model, pictures):
    from vizcourse.methods.convolution import silence

    silencer = Silencer(model, *pictures)
    assert torch.equal(silencer.result.before, silencer.result.after)
    silencer.set(layer="relu2", channels="0-3, 5")
    assert silencer.result.channels == (0, 1, 2, 3, 5)
    expected = silence(model, pictures[0][:1], "relu2", [0, 1, 2, 3, 5]).softmax(1)[0]
    torch.testing.assert_close(silencer.result.after, expected)


@pytest.mark.parametrize(
    ("text", "sentence"), [("99", "has channels 0 to"), ("x", "is no channel"), ("5-2", "has channels")]
)
def test_wrong_channel_numbers_are_advice(model, pictures, text, sentence):
    silencer = Silencer(model, *pictures)
    silencer.set(channels=text)
    assert sentence in silencer.message.value and silencer.errors == []


def extremes(control):
    """Values at the ends of a control, and every option of a choice."""
    if hasattr(control, "options"):
        return [option[1] if isinstance(option, tuple) else option for option in control.options]
    if hasattr(control, "min"):
        return [control.min, control.max]
    return {"bool": [True, False], "float": [0.0, -3.5], "str": ["", "1", "0-2"]}.get(type(control.value).__name__, [])


def test_every_control_at_its_ends(explorers):
    for explorer in explorers:
        for name, control in explorer.controls.items():
            if name.startswith("cell_") and name not in ("cell_00", "cell_22"):
                continue
            for value in extremes(control):
                control.value = value
        assert explorer.errors == [], type(explorer).__name__


def test_a_thousand_random_changes_leave_no_error_no_hook_and_no_memory(explorers, model, monkeypatch):
    monkeypatch.setattr(every_explorer, "extremes", extremes)  # here there are numbers and texts to type, too
    every_explorer.survives_a_storm(explorers, [model])
