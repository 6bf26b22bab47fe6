"""vizcourse.methods.interventions: each edit by hand, and what all edits have in common."""

from __future__ import annotations

import sys
import types

import pytest
import torch

from vizcourse.methods import interventions as edits


@pytest.fixture(scope="module")
def photo():
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(1, 3, 6, 8, generator=generator)
    return torch.nn.functional.interpolate(small, size=(30, 40), mode="bilinear")[0]


def stacked(pictures):
    return torch.stack(list(pictures))


MASK = torch.zeros(30, 40, dtype=torch.bool)
MASK[5:15, 10:30] = True

# name: (edit, the strength that leaves the photograph as it is, strengths)
EDITS = {
    "brightness": (edits.brightness, 1, [0.2, 1, 1.8]),
    "contrast": (edits.contrast, 1, [0.2, 1, 1.8]),
    "saturation": (edits.saturation, 1, [0, 1, 2]),
    "hue": (edits.hue, 0, [-0.5, 0, 0.3]),
    "blur": (edits.blur, 0, [0, 0.5, 1, 4, 30]),
    "noise": (edits.noise, 0, [0, 0.1, 0.3]),
    "rotation": (edits.rotation, 0, [-45, 0, 90]),
    "scale": (edits.scale, 1, [0.4, 1, 2]),
    "blend": (lambda photo, weights: edits.blend(photo, 1 - photo, weights), 0, [0, 0.5, 1]),
    "patch": (edits.patch, 0, [0, 0.5, 1]),
    "recolour": (lambda photo, weights: edits.recolour(photo, MASK, (0.9, 0.1, 0.1), weights), 0, [0, 0.5, 1]),
}


@pytest.mark.parametrize("name", EDITS)
def test_every_edit(name, photo):
    edit, neutral, strengths = EDITS[name]
    before = photo.clone()
    pictures = stacked(edit(photo, strengths))
    assert pictures.shape == (len(strengths), *photo.shape) and pictures.dtype == photo.dtype
    assert float(pictures.min()) >= 0 and float(pictures.max()) <= 1
    torch.testing.assert_close(pictures[strengths.index(neutral)], photo, atol=1e-5, rtol=0)
    assert torch.equal(photo, before)
    torch.testing.assert_close(stacked(edit(photo, torch.tensor(strengths, dtype=torch.float64))), pictures)
    for first, second in zip(pictures, pictures[1:], strict=False):
        assert (first - second).abs().mean() > 1e-3
    with pytest.raises(ValueError, match="finite numbers"):
        list(edit(photo, [float("nan")]))


def test_edits_by_hand(photo):
    dark, bright = edits.brightness(photo, [0, 2])
    assert float(dark.max()) == 0
    torch.testing.assert_close(bright, (2 * photo).clamp(0, 1))
    (grey,) = edits.saturation(photo, [0])
    torch.testing.assert_close(grey[0], grey[2])
    red = torch.tensor([1.0, 0, 0])[:, None, None].expand(3, 4, 4)
    (green,) = edits.hue(red, [1 / 3])
    torch.testing.assert_close(green[:, 0, 0], torch.tensor([0.0, 1, 0]), atol=1e-3, rtol=0)
    (halfway,) = edits.blend(photo, torch.zeros_like(photo), [0.5])
    torch.testing.assert_close(halfway, photo / 2)


def test_noise_is_the_same_grain_at_every_strength():
    grey = torch.full((3, 20, 20), 0.5)
    weak, strong = edits.noise(grey, [0.01, 0.02], seed=4)
    torch.testing.assert_close(2 * (weak - 0.5), strong - 0.5)
    assert float(weak.std()) == pytest.approx(0.01, rel=0.1)
    assert not torch.equal(weak, next(edits.noise(grey, [0.01], seed=5)))


def test_rotation_turns_counter_clockwise_and_fills_the_corners():
    square = torch.rand(3, 21, 21, generator=torch.Generator().manual_seed(1))
    (turned,) = edits.rotation(square, [90])
    torch.testing.assert_close(turned, square.rot90(1, dims=(1, 2)), atol=1e-4, rtol=0)
    (white,) = edits.rotation(torch.ones(3, 21, 31), [37])
    torch.testing.assert_close(white, torch.ones(3, 21, 31))
    for picture in edits.scale(torch.ones(3, 20, 31), [0.4, 0.7, 3]):
        torch.testing.assert_close(picture, torch.ones(3, 20, 31))


def test_recolouring_stays_inside_the_mask(photo):
    pictures = stacked(edits.recolour(photo, MASK, (1.0, 0.0, 0.0), [0, 0.5, 1]))
    assert torch.equal(pictures[:, :, ~MASK], photo[:, ~MASK].expand(3, -1, -1))
    assert float(pictures[2, 1:, MASK].max()) == 0  # neither green nor blue is left
    light = 0.2989 * photo[0] + 0.587 * photo[1] + 0.114 * photo[2]
    flat = stacked(edits.recolour(photo, MASK, (0.5, 0.5, 0.5), [1], keep_shading=False))[0]
    assert float(flat[:, MASK].std()) < 1e-6
    shaded = stacked(edits.recolour(photo, MASK, (0.5, 0.5, 0.5), [1]))[0]
    torch.testing.assert_close(shaded[0, MASK], 0.5 * light[MASK] / light[MASK].mean(), atol=1e-3, rtol=1e-3)


def test_the_patch_is_round_and_where_it_was_asked_for():
    black = torch.zeros(3, 50, 100)
    (patched,) = edits.patch(black, [1], colour=(1, 1, 1), corner=(0.2, 0.5), size=0.4)
    rows, columns = (patched[0].any(axis).nonzero().flatten() for axis in (1, 0))
    assert (int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])) == (10, 29, 50, 69)
    assert float(patched[0].sum()) == pytest.approx(torch.pi * 100, rel=0.03)


def test_bad_input_is_named(photo):
    for wrong in (photo[None], photo[:1], (photo * 255).byte(), "cat.jpg"):
        with pytest.raises(ValueError, match="One photograph is a float tensor"):
            list(edits.brightness(wrong, [1]))
    for wrong in (photo * 255, photo * float("nan")):
        with pytest.raises(ValueError, match="from 0 to 1"):
            list(edits.blur(wrong, [1]))
    for edit, strength in [(edits.hue, 0.6), (edits.brightness, -1), (edits.scale, 0.1), (edits.patch, 1.5)]:
        with pytest.raises(ValueError, match="finite numbers from"):
            list(edit(photo, [strength]))
    with pytest.raises(ValueError, match="must have one size"):
        list(edits.blend(photo, photo[:, :-1], [0]))
    with pytest.raises(ValueError, match=r"The mask must be \(30, 40\)"):
        list(edits.recolour(photo, MASK.T, (1, 0, 0), [0]))
    with pytest.raises(ValueError, match="mask is empty"):
        list(edits.recolour(photo, torch.zeros(30, 40), (1, 0, 0), [0]))
    with pytest.raises(ValueError, match="A colour is"):
        list(edits.recolour(photo, MASK, (255, 0, 0), [0]))
    with pytest.raises(ValueError, match="outside the photograph"):
        list(edits.patch(photo, [1], corner=(2, 2)))


# ---------------------------------------------------------------------------------------------- editing by a sentence


class Editor:
    """Stands in for a diffusion pipeline: it answers with the guidance as a brightness."""

    def __init__(self):
        self.seeds, self.instructions, self.device = [], [], None

    def __call__(self, instruction, *, image, guidance_scale, image_guidance_scale, num_inference_steps, generator,
                 output_type):
        assert image.shape[0] == 1 and output_type == "pt" and image_guidance_scale == 2.5 and num_inference_steps == 20
        self.instructions.append(instruction)
        self.seeds.append(generator.initial_seed())
        return types.SimpleNamespace(images=torch.full_like(image, guidance_scale / 15))

    def set_progress_bar_config(self, disable):
        assert disable

    def to(self, device):
        self.device = device
        return self


def test_editing_by_a_sentence_is_gradual_with_one_seed(photo):
    editor = Editor()
    pictures = stacked(edits.edit_with_text(photo, "white fur", [1.5, 7.5, 15], editor=editor, seed=3))
    assert pictures.shape == (4, *photo.shape) and torch.equal(pictures[0], photo)
    assert pictures[1:, 0, 0, 0].tolist() == pytest.approx([0.1, 0.5, 1])
    assert editor.seeds == [3, 3, 3] and editor.instructions == ["white fur"] * 3
    with pytest.raises(ValueError, match="instruction is empty"):
        next(edits.edit_with_text(photo, " ", [2], editor=editor))
    with pytest.raises(ValueError, match="must be above 1"):
        next(edits.edit_with_text(photo, "white fur", [1.0], editor=editor))


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(edits.EditorUnavailable, match="pip install diffusers transformers"):
        edits.text_editor()


def test_without_the_weights_the_error_says_so(monkeypatch):
    def unreachable(name, **options):
        assert options["torch_dtype"] == torch.float32 and options["local_files_only"]
        raise OSError(f"We couldn't connect to load {name}\nand a long story")

    pipeline = types.SimpleNamespace(from_pretrained=unreachable)
    monkeypatch.setitem(
        sys.modules, "diffusers", types.SimpleNamespace(StableDiffusionInstructPix2PixPipeline=pipeline)
    )
    with pytest.raises(edits.EditorUnavailable, match="cannot be had here .OSError: We couldn't connect.*network once"):
        edits.text_editor(local_only=True)


def test_a_loaded_editor_goes_to_the_device(monkeypatch):
    editor = Editor()
    pipeline = types.SimpleNamespace(from_pretrained=lambda name, **options: editor)
    monkeypatch.setitem(
        sys.modules, "diffusers", types.SimpleNamespace(StableDiffusionInstructPix2PixPipeline=pipeline)
    )
    assert edits.text_editor(device="cpu") is editor and editor.device == "cpu"
