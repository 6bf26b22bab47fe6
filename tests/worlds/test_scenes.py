"""The scenes world: its factors act alone, its labels agree with its pictures, and its bytes never change."""

import dataclasses
import hashlib
import inspect
import pickle
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d, max_pool2d

from vizcourse.worlds import scenes
from vizcourse.worlds.scenes import colours, geometry, rendering

MAPS = {
    "object": scenes.OBJECTS, "part": scenes.PARTS, "texture": scenes.TEXTURES, "colour": scenes.COLOURS,
    "material": scenes.MATERIALS, "scene": scenes.SCENES,
}
BALL = scenes.Distractor("ball", 0.12, 0.85, 0.2, "blue")


def fine(scene: scenes.Scene, size: int = 64) -> scenes.Labels:
    """Labels of the nine fine points of every pixel: they are the middles of the pixels at three times the size."""
    return scenes.render(scene, 3 * size, labels=True)[1]


def some(mask: torch.Tensor) -> torch.Tensor:
    """Pixels of which at least one fine point is in ``mask``: the anti-aliased border included."""
    return max_pool2d(mask[None].float(), 3)[0] > 0


def every(mask: torch.Tensor) -> torch.Tensor:
    """Pixels of which all fine points are in ``mask``."""
    return ~some(~mask)


def draw(scene: scenes.Scene, size: int = 64) -> tuple[torch.Tensor, scenes.Labels]:
    return scenes.render(scene, size, labels=True)


def moved(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Which pixels differ."""
    return (before != after).any(0)


# ------------------------------------------------------------------------------------------------ vocabulary

def test_there_is_as_much_to_see_as_promised():
    assert len(scenes.CLASSES) >= 16
    assert len(scenes.SCENES) >= 8
    assert len(scenes.TEXTURES) - 1 >= 8  # not counting plain
    assert len(scenes.COLOURS) == 11
    assert len(scenes.MATERIALS) >= 5
    assert len(scenes.COLOUR_PAIRS) >= 4
    for names in MAPS.values():
        assert len(set(names)) == len(names)


def test_parts_are_many_and_shared():
    by_form = {scenes.FORM[name]: scenes.parts_of(name) for name in scenes.CLASSES}
    shared = Counter(part for parts in by_form.values() for part in parts)
    assert len(shared) >= 40
    assert len([part for part, count in shared.items() if count >= 3]) >= 10
    assert {"car", "bus", "truck", "bicycle"} == {form for form, parts in by_form.items() if "wheel" in parts}


def test_every_name_of_every_map_occurs():
    _, labels = scenes.render(scenes.sample(600, 5) + scenes.sample(20, 6, words="HELLO"), 64, labels=True)
    for name, words in MAPS.items():
        found = torch.bincount(getattr(labels, name).flatten().long(), minlength=len(words))
        assert len(found) == len(words)
        assert [word for word, count in zip(words, found, strict=True) if count == 0] == []


def test_a_counterpart_is_mutual_and_free_classes_have_none():
    assert scenes.counterpart("ripe apple") == "unripe apple"
    assert scenes.counterpart("car") is None
    for first, second, *_ in scenes.COLOUR_PAIRS:
        assert scenes.counterpart(scenes.counterpart(first)) == first
        assert scenes.FORM[first] == scenes.FORM[second]
    with pytest.raises(ValueError, match="'ripe aple': choose one of ripe apple"):
        scenes.counterpart("ripe aple")


# ------------------------------------------------------------------------------------------------ geometry

def covered(*contours, grid: int = 64) -> np.ndarray:
    """How often each point of a raster is painted by one polygon."""
    edges = geometry.compile_edges([contours])
    _, rows, columns, lengths = rendering._scan(edges.points, edges.owner, grid)
    image = np.zeros((grid, grid), dtype=int)
    for row, column, length in zip(rows, columns, lengths, strict=True):
        image[row, column:column + length] += 1
    return image


def test_scan_conversion_of_a_square_a_circle_and_a_ring():
    square = np.zeros((8, 8), dtype=int)
    square[2:6, 2:6] = 1
    assert (covered(geometry.box(0.25, 0.25, 0.75, 0.75), grid=8) == square).all()
    circle = covered(geometry.ellipse(0.5, 0.5, 0.4, corners=360), grid=512)
    assert circle.max() == 1
    assert abs(circle.mean() - np.pi * 0.16) < 1e-3
    ring = covered(geometry.ellipse(0.5, 0.5, 0.4, corners=360), geometry.ellipse(0.5, 0.5, 0.2, corners=360), grid=512)
    assert abs(ring.mean() - np.pi * (0.16 - 0.04)) < 1e-3
    assert ring[256, 256] == 0


def test_scan_conversion_cuts_at_the_frame_and_neighbours_share_no_point():
    assert (covered(geometry.box(-3, -3, 3, 3), grid=16) == 1).all()
    assert covered(geometry.box(1.2, 0, 2, 1), grid=16).sum() == 0
    left = covered([(0.1, 0.1), (0.63, 0.22), (0.37, 0.91)])
    right = covered([(0.63, 0.22), (0.9, 0.8), (0.37, 0.91)])
    assert (left + right).max() == 1
    whole = covered([(0.1, 0.1), (0.63, 0.22), (0.9, 0.8), (0.37, 0.91)])
    assert (left + right == whole).all()


def test_colours_reach_the_wanted_luma():
    for target in (20, 99, 140, 240):
        assert abs(colours.luma(colours.at_luma((222, 48, 48), target)) - target) < 0.6
    for _, _, form, first, second, low, high in scenes.COLOUR_PAIRS:
        for shade in range(8):
            lumas = [colours.luma(colours.rgb_of(name, shade, form)) for name in (first, second)]
            assert abs(lumas[0] - lumas[1]) < 1.1
            assert low - 1 < min(lumas) and max(lumas) < high + 1


# ------------------------------------------------------------------------------------------------ factors

def test_a_scene_is_frozen_hashable_and_survives_pickling():
    scene = scenes.sample(1, 3, distractors=[BALL])[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        scene.colour = "red"
    assert pickle.loads(pickle.dumps(scene)) == scene
    assert len({scene, scene.replace()}) == 1


@pytest.mark.parametrize(("changes", "message"), [
    ({"colour": "gren"}, r"unknown colour 'gren': choose one of green, grey"),
    ({"object": "ship"}, r"unknown object 'ship': choose one of "),
    ({"scene": "forrest"}, r"unknown scene 'forrest': choose one of forest"),
    ({"color": "red"}, r"no factor 'color': choose from colour"),
    ({"size": 9}, r"size must be a number from 0\.05 to 1\.5, not 9"),
    ({"x": float("nan")}, r"x must be a number from 0 to 1, not nan"),
    ({"rotation": 3.5}, r"rotation must be a whole number from -180 to 180, not 3\.5"),
    ({"layout": 256}, r"layout must be a whole number from 0 to 255"),
    ({"shadow": "yes"}, r"shadow must be True or False"),
    ({"mirrored": 1}, r"mirrored must be True or False"),
    ({"words": "ÄH"}, r"words must be at most 14 of the characters"),
    ({"words": "A" * 15}, r"words must be at most 14"),
    ({"distractors": ("ball",)}, r"distractors must be a tuple of scenes\.Distractor"),
    ({"object": "ripe apple", "colour": "green"}, r"by definition 'unripe apple': use object='unripe apple'"),
])
def test_wrong_values_are_refused_with_the_valid_ones(changes, message):
    with pytest.raises(ValueError, match=message):
        scenes.Scene().replace(**changes)


def test_a_wrong_distractor_is_refused():
    with pytest.raises(ValueError, match="unknown kind 'bal': choose one of ball"):
        scenes.Distractor("bal", 0.5, 0.5)


def test_only_the_colour_of_a_pair_and_its_class_move_together():
    for first, second, *_ in scenes.COLOUR_PAIRS:
        scene = scenes.sample(1, 1, object=first)[0]
        other = scene.replace(colour=scenes.OWN_COLOUR[second])
        assert other == scene.replace(object=second)
        assert other.object == second and scenes.CLASSES[scenes.label(other)] == second
        assert other.replace(object=first) == scene
    # A third colour is a counterfactual of the same class.
    assert scenes.Scene(object="lemon").replace(colour="purple").object == "lemon"
    assert scenes.Scene(object="car", colour="pink").replace(object="house").colour == "pink"


@pytest.mark.parametrize("seed", range(6))
def test_appearance_moves_no_pixel_outside_the_object_and_no_other_label(seed):
    """do(colour), do(texture) and so on: only the object's pixels, only the label of that factor."""
    scene = scenes.sample(1, seed, object=scenes.CLASSES[16 + 2 * seed], colour="blue", texture="checks", accent="red",
                          material="matte")[0]
    before, labels = draw(scene)
    touched = some(fine(scene).mask)
    changes = {"colour": "orange", "shade": 0 if scene.shade > 3 else 7, "texture": "dots", "texture_scale": 0.55,
               "texture_angle": (scene.texture_angle + 40) % 180, "material": "metal", "accent": "yellow"}
    for factor, value in changes.items():
        after, labels_after = draw(scene.replace(**{factor: value}))
        assert not moved(before, after)[~touched].any(), factor
        if factor != "accent" or (labels_after.colour != labels.colour).any():
            assert moved(before, after).any(), factor
        moves = {"colour": {"colour"}, "texture": {"texture"}, "material": {"material"}, "accent": {"colour"}}
        for name in (*MAPS, "instance", "boxes", "visible"):
            same = torch.equal(getattr(labels, name), getattr(labels_after, name))
            if name not in moves.get(factor, set()):
                assert same, (factor, name)
            elif factor != "accent":
                assert not same
                assert (getattr(labels, name) == getattr(labels_after, name))[~labels.mask].all()


@pytest.mark.parametrize("seed", range(8))
def test_a_recoloured_object_changes_exactly_where_its_colour_label_does(seed):
    """Masks and picture agree to within the anti-aliased border."""
    name = scenes.CLASSES[16 + seed % 12]
    scene = scenes.sample(1, seed, object=name, colour="white", accent="green", texture="plain", material="matte")[0]
    before, labels = draw(scene, 96)
    after, labels_after = draw(scene.replace(colour="black"), 96)
    relabelled = labels.colour != labels_after.colour
    assert relabelled.any() and moved(before, after)[relabelled].all()
    relabelled = fine(scene, 96).colour != fine(scene.replace(colour="black"), 96).colour
    assert torch.equal(moved(before, after), some(relabelled))


@pytest.mark.parametrize("seed", range(6))
def test_geometry_moves_no_pixel_away_from_the_old_and_the_new_object(seed):
    scene = scenes.sample(1, seed, object=scenes.CLASSES[16 + 2 * seed], colour="green", shadow=False, variant=0)[0]
    before, labels = draw(scene)
    changes = {"x": 0.3, "y": 0.45, "size": 0.5, "rotation": 33, "stretch": 1.3, "variant": 1, "object": "cat",
               "facing": "left" if scene.facing == "right" else "right"}
    for factor, value in changes.items():
        after, labels_after = draw(scene.replace(**{factor: value}))
        near = some(fine(scene).mask | fine(scene.replace(**{factor: value})).mask)
        assert not moved(before, after)[~near].any(), factor
        for name in MAPS:
            assert (getattr(labels, name) == getattr(labels_after, name))[~near].all(), (factor, name)


@pytest.mark.parametrize("seed", range(6))
def test_another_scenery_leaves_the_object_as_it_was(seed):
    scene = scenes.sample(1, seed, scene="desert", material=[m for m in scenes.MATERIALS if m != "glass"])[0]
    before, labels = draw(scene)
    for changes in ({"scene": "forest"}, {"layout": (scene.layout + 1) % 256}):
        after, labels_after = draw(scene.replace(**changes))
        inside = every(fine(scene).instance > 0)
        assert inside.any() and not moved(before, after)[inside].any()
        assert moved(before, after).any()
        for name in ("object", "part", "texture", "colour", "material", "instance"):
            assert (getattr(labels, name) == getattr(labels_after, name))[labels.instance > 0].all()
        assert torch.equal(labels.boxes, labels_after.boxes) and torch.equal(labels.visible, labels_after.visible)


def test_glass_shows_what_lies_behind_and_other_materials_do_not():
    for material in scenes.MATERIALS:
        scene = scenes.Scene(object="toadstool", material=material, scene="sea")
        before, labels = draw(scene)
        after, _ = draw(scene.replace(scene="desert"))
        inside = every(fine(scene).part == scenes.PARTS.index("cap"))
        assert moved(before, after)[inside].any() == (material == "glass")


@pytest.mark.parametrize("seed", range(4))
def test_light_and_shadow_change_no_label(seed):
    scene = scenes.sample(1, seed, light="left", shadow=True, brightness=0.9)[0]
    before, labels = draw(scene)
    for changes in ({"light": "right"}, {"brightness": 0.6}, {"shadow": False}):
        after, labels_after = draw(scene.replace(**changes))
        assert moved(before, after).any()
        for field in dataclasses.fields(scenes.Labels):
            first, second = getattr(labels, field.name), getattr(labels_after, field.name)
            assert first == second if field.name == "names" else torch.equal(first, second)
        if "shadow" in changes:
            assert not moved(before, after)[every(fine(scene).instance > 0)].any()
            assert (after >= before).all()
        if "brightness" in changes:
            assert (after - before * 0.6 / 0.9).abs().max() < 1.2 / 255


@pytest.mark.parametrize("seed", range(6))
def test_a_mirrored_scene_is_the_mirror_in_picture_and_labels(seed):
    scene = scenes.sample(1, seed, words="HI", distractors=(BALL,))[0]
    picture, labels = draw(scene)
    mirrored, labels_mirrored = draw(scene.replace(mirrored=True))
    assert torch.equal(mirrored, picture.flip(-1))
    for name in (*MAPS, "instance"):
        assert torch.equal(getattr(labels_mirrored, name), getattr(labels, name).flip(-1))
    left, top, right, bottom = labels.boxes.T
    assert torch.equal(labels_mirrored.boxes, torch.stack([64 - right, top, 64 - left, bottom], 1))
    assert torch.equal(labels_mirrored.visible, labels.visible) and labels_mirrored.names == labels.names


def test_facing_turns_the_object_about_its_own_middle():
    for name in scenes.CLASSES:
        scene = scenes.Scene(object=name, x=0.5, shadow=False)
        right, left = draw(scene, 96)[1], draw(scene.replace(facing="left"), 96)[1]
        # Points exactly on an edge may fall to either side.
        assert (left.part.flip(-1) == right.part)[left.mask.flip(-1) & right.mask].float().mean() > 0.98
        assert (left.mask.flip(-1) ^ right.mask).float().mean() < 0.005


def test_words_and_distractors_touch_only_their_own_pixels():
    scene = scenes.Scene(object="clock", scene="beach", shadow=False, x=0.6)
    before, labels = draw(scene, 96)
    assert labels.names == ("clock",)
    for changes, names in (({"words": "clock!"}, ("clock", "words")), ({"distractors": (BALL,)}, ("clock", "ball")),
                           ({"words": "A", "distractors": (BALL,)}, ("clock", "ball", "words"))):
        after, labels_after = draw(scene.replace(**changes), 96)
        assert labels_after.names == names
        added = labels_after.instance > 1
        assert added.any() and not moved(before, after)[~some(fine(scene.replace(**changes), 96).instance > 1)].any()
        for name in MAPS:
            assert (getattr(labels, name) == getattr(labels_after, name))[~added].all()


def test_every_letter_can_be_written_and_differs():
    from vizcourse.worlds.scenes.lettering import CHARACTERS

    letters = [letter for letter in CHARACTERS if letter.strip()]
    pictures = {letter: draw(scenes.Scene(words=letter))[1].part.numpy().tobytes() for letter in letters}
    assert len(set(pictures.values())) == len(letters)
    assert draw(scenes.Scene(words="  "))[1].names == ("car",)


# ------------------------------------------------------------------------------------------------ sampling

def test_the_same_seed_gives_the_same_scenes_and_n_does_not_matter():
    assert scenes.sample(30, 8) == scenes.sample(50, 8)[:30]
    assert scenes.sample(30, 8) != scenes.sample(30, 9)
    assert scenes.sample(0, 8) == []


def test_a_fixed_factor_or_bias_leaves_the_other_choices_alone():
    free = scenes.sample(60, 4)
    for factor, value in (("scene", "sea"), ("texture", "dots"), ("material", "metal"), ("light", "above")):
        assert scenes.sample(60, 4, **{factor: value}) == [scene.replace(**{factor: value}) for scene in free]
    biased = scenes.sample(60, 4, bias={"scene": ("beach", "sailing boat", 1.0)})
    assert biased == [scene.replace(scene="beach") if scene.object == "sailing boat" else scene for scene in free]


def test_sampling_follows_the_stated_distribution():
    drawn = scenes.sample(3000, 0, object=("cat", "tree"))
    for name in ("cat", "tree"):
        own = [scene for scene in drawn if scene.object == name]
        assert abs(len(own) / len(drawn) - 0.5) < 0.04
        for factor in ("scene", "colour", "accent", "texture", "material", "facing", "light", "variant", "shadow"):
            stated = scenes.distribution(factor, name)
            assert abs(sum(stated.values()) - 1) < 1e-9
            counts = Counter(getattr(scene, factor) for scene in own)
            assert set(counts) <= set(stated)
            for value, probability in stated.items():
                # Five standard errors.
                assert abs(counts[value] / len(own) - probability) <= 5 * (probability / len(own)) ** 0.5, factor


def test_both_classes_of_a_pair_have_one_distribution_but_for_colour():
    for first, second, *_ in scenes.COLOUR_PAIRS:
        for factor in ("scene", "shade", "accent", "texture", "material", "variant", "rotation", "words"):
            assert scenes.distribution(factor, first) == scenes.distribution(factor, second)


def test_bias_is_planted_with_its_probability_and_only_in_its_class():
    drawn = scenes.sample(2400, 2, object=("sailing boat", "car"), bias={"scene": ("beach", "sailing boat", 0.9)})
    share = {name: np.mean([scene.scene == "beach" for scene in drawn if scene.object == name])
             for name in ("sailing boat", "car")}
    assert abs(share["sailing boat"] - 0.9) < 0.04
    assert abs(share["car"] - 1 / 8) < 0.04


def test_dark_fur_on_cats_only():
    bias = {"colour": [(scenes.DARK_FUR, "cat", 1.0), (scenes.DARK_FUR, "dog", 0.0)]}
    drawn = scenes.sample(300, 2, object=("cat", "dog"), bias=bias)
    assert {scene.object for scene in drawn} == {"cat", "dog"}
    assert {scene.colour for scene in drawn if scene.object == "cat"} == set(scenes.DARK_FUR)
    assert {scene.colour for scene in drawn if scene.object == "dog"} == set(scenes.LIGHT_FUR)


def test_fixed_factors_are_values_choices_or_ranges():
    drawn = scenes.sample(80, 1, size=(0.5, 0.55), x=0.4, colour="red", scene=("sea", "snow"), distractors=(BALL,))
    assert all(0.5 <= scene.size <= 0.55 and scene.x == 0.4 and scene.colour == "red" for scene in drawn)
    assert {scene.scene for scene in drawn} == {"sea", "snow"}
    assert all(scene.distractors == (BALL,) for scene in drawn)
    # A class whose own colour is another one cannot be red.
    assert {scene.object for scene in drawn}.isdisjoint({"lemon", "lime", "lorry", "city bus", "bluebird"})


@pytest.mark.parametrize(("arguments", "message"), [
    ({"n": -1}, "n must be a whole number, 0 or more, not -1"),
    ({"seed": -3}, "seed must be a whole number, 0 or more, not -3"),
    ({"scene": "see"}, "unknown scene 'see': choose one of sea"),
    ({"texure": "dots"}, "no factor 'texure': choose from texture"),
    ({"size": (0.7, 0.5)}, r"a range of size must be \(lowest, highest\)"),
    ({"object": "lemon", "colour": "blue"}, "none of the objects"),
    ({"scene": ()}, "scene has no allowed value left"),
    ({"bias": {"scene": ("beach", "boat", 0.9)}}, "unknown object 'boat': choose one of "),
    ({"bias": {"scene": ("beach", "car", 1.9)}}, "the probability of a bias must be from 0 to 1, not 1.9"),
    ({"bias": {"scene": "beach"}}, r"must be \(value, class, probability\)"),
    ({"bias": {"sceen": ("beach", "car", 0.9)}}, "'sceen' has no list of values: choose from scene"),
    ({"bias": {"object": ("car", "car", 0.9)}}, "bias cannot be put on 'object'"),
    ({"bias": {"colour": ("red", "lemon", 0.9)}}, "the colour of 'lemon' defines the class"),
    ({"bias": {"scene": [("sea", "car", 0.9), ("snow", "car", 0.1)]}}, "two biases on 'scene' of 'car'"),
])
def test_impossible_samples_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        scenes.sample(**{"n": 4, "seed": 0, **arguments})


def test_sampled_objects_stand_inside_the_picture():
    _, labels = scenes.render(scenes.sample(300, 12), 64, labels=True)
    # The object is in full view but for what stands in front of it.
    assert min(float(visible[0]) for visible in labels.visible) > 0.6
    assert labels.mask.float().mean((1, 2)).min() > 0.03
    edge = torch.cat([labels.mask[:, 0], labels.mask[:, -1], labels.mask[:, :, 0], labels.mask[:, :, -1]], 1)
    assert (edge.float().sum(1) > 6).float().mean() < 0.05


# ------------------------------------------------------------------------------------------------ pictures and labels

def check_labels(labels: scenes.Labels, size: int) -> None:
    """No undefined code, boxes and visible shares that fit the maps."""
    for name, words in MAPS.items():
        codes = getattr(labels, name)
        assert codes.shape[-2:] == (size, size) and 0 <= int(codes.min()) and int(codes.max()) < len(words)
    for instance, boxes, visible, names, objects in zip(
            labels.instance, labels.boxes, labels.visible, labels.names, labels.object, strict=True):
        assert int(instance.max()) <= len(names) == len(boxes) == len(visible)
        assert ((visible >= 0) & (visible <= 1)).all()
        assert (objects[instance == 0] == 0).all()
        for index, (box, name) in enumerate(zip(boxes.tolist(), names, strict=True)):
            own = instance == index + 1
            assert (objects[own] == scenes.OBJECTS.index(name)).all()
            left, top, right, bottom = box
            inside = own[top:bottom, left:right]
            assert int(inside.sum()) == int(own.sum())
            if own.any():
                assert visible[index] > 0
                assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
            else:
                assert box == [0, 0, 0, 0] and visible[index] == 0


def wild_scenes(n: int, seed: int) -> list[scenes.Scene]:
    """Scenes from the whole range of every factor, far beyond what ``sample`` draws."""
    random = np.random.default_rng(seed)
    found = []
    for scene in scenes.sample(n, seed):
        distractors = tuple(scenes.Distractor(random.choice(scenes.DISTRACTORS), *random.random(2),
                                              random.uniform(0.05, 1.5), random.choice(scenes.COLOURS))
                            for _ in range(random.integers(0, 7)))
        found.append(scene.replace(
            x=random.random(), y=random.random(), size=random.choice([0.05, random.uniform(0.05, 1.5), 1.5]),
            rotation=int(random.integers(-180, 181)), stretch=random.uniform(0.6, 1.6),
            brightness=random.uniform(0.3, 1), texture_scale=random.uniform(0.4, 2.5), distractors=distractors,
            words="".join(random.choice(list("AZ 09-!?."), random.integers(0, 15))),
            words_at=random.choice(["top", "bottom"]), mirrored=bool(random.integers(0, 2))))
    return found


@pytest.mark.parametrize("n", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_random_scenes_render_without_an_error(n):
    for start in range(0, n, 250):
        made = scenes.sample(125, start) + wild_scenes(125, start)
        pictures, labels = scenes.render(made, 64, labels=True)
        assert pictures.shape == (250, 3, 64, 64) and pictures.dtype == torch.float32
        assert float(pictures.min()) >= 0 and float(pictures.max()) <= 1
        assert (pictures.flatten(1).std(1) > 0.01).all()
        check_labels(labels, 64)


@pytest.mark.parametrize("size", [16, 64, 96, 128, 224, 340])
def test_every_size_can_be_drawn(size):
    pictures, labels = scenes.render(scenes.sample(6, 1), size, labels=True)
    assert pictures.shape == (6, 3, size, size)
    check_labels(labels, size)


def test_the_same_scene_at_three_times_the_size():
    """The middle of a pixel is the middle of the middle of its nine small pixels: their labels are equal."""
    made = scenes.sample(12, 21)
    small, labels = scenes.render(made, 64, labels=True)
    large, labels_large = scenes.render(made, 192, labels=True)
    for name in (*MAPS, "instance"):
        assert torch.equal(getattr(labels, name), getattr(labels_large, name)[:, 1::3, 1::3]), name
    # Shadows are drawn by the pixel, textures by the fine point: the averages agree closely.
    assert (avg_pool2d(large, 3) - small).abs().mean() < 0.01


def test_greyscale_cannot_tell_a_pair_apart():
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    for first, second, *_ in scenes.COLOUR_PAIRS:
        made = scenes.sample(12, 7, object=first)
        one, labels = scenes.render(made, 64, labels=True)
        two, labels_two = scenes.render([scene.replace(object=second) for scene in made], 64, labels=True)
        grey = ((one - two) * weights).sum(1).abs() * 255
        assert grey.max() < 2.5 and grey.mean() < 0.2
        assert (one - two).abs().amax(1)[labels.mask].mean() > 0.05
        assert torch.equal(labels.part, labels_two.part)


def test_materials_and_textures_each_have_their_own_look():
    for factor, names in (("material", scenes.MATERIALS), ("texture", scenes.TEXTURES), ("colour", scenes.COLOURS)):
        pictures = [scenes.render(scenes.Scene(object="umbrella", accent="red").replace(**{factor: name}), 96)
                    for name in names]
        for i, one in enumerate(pictures):
            for two in pictures[:i]:
                assert (one - two).abs().mean() > 0.001


def test_something_in_front_hides_a_part_and_something_behind_is_hidden():
    scene = scenes.Scene(object="house", x=0.5, y=0.5, size=0.6)
    front, behind = (scenes.Distractor("crate", 0.5, y, 0.3) for y in (0.8, 0.45))
    _, labels = draw(scene.replace(distractors=(front, behind)))
    assert labels.names == ("house", "crate", "crate")
    assert 0.5 < labels.visible[0] < 0.95 and labels.visible[1] == 1 and labels.visible[2] == 0


def test_render_takes_one_scene_or_many_and_refuses_the_rest():
    made = scenes.sample(3, 0)
    batch, labels = scenes.render(made, 64, labels=True)
    for i, scene in enumerate(made):
        single, label = draw(scene)
        assert torch.equal(single, batch[i]) and torch.equal(label.part, labels.part[i])
        assert torch.equal(scenes.render(scene, 64), single)
        assert torch.equal(scenes.render_bytes(scene, 64).float() * np.float32(1 / 255), single)
    for wrong in ([], ["car"], [made[0], None]):
        with pytest.raises(ValueError, match="render needs a Scene"):
            scenes.render(wrong)
    for size in (8, 1000, 64.0, True):
        with pytest.raises(ValueError, match="size must be a whole number of pixels from 16 to 340"):
            scenes.render(made, size)


# Raise data.DRAWING_VERSION and retrain the networks whenever this changes.
DIGEST = "a49d1e726b1ae3e99b6002daada8047901f267a48c7fa2b33262fd39e0e6cfef"


def digest() -> str:
    """SHA-256 of forty pictures and all their label maps, in two sizes."""
    found = hashlib.sha256()
    for size in (64, 96):
        made = scenes.sample(40, 2024)
        _, labels = scenes.render(made, size, labels=True)
        for scene in made:
            found.update(scenes.render_bytes(scene, size).numpy().tobytes())
        for name in (*MAPS, "instance"):
            found.update(getattr(labels, name).numpy().astype("<i2").tobytes())
    return found.hexdigest()


def test_the_same_seed_gives_the_same_bytes_on_any_machine():
    assert digest() == DIGEST


def test_a_fresh_process_with_other_hashes_draws_the_same():
    code = inspect.getsource(digest) + (
        "\nimport hashlib\nfrom vizcourse.worlds import scenes\n"
        f"MAPS = {list(MAPS)}\nprint(digest())")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                         env={"PYTHONHASHSEED": "7", "PATH": "", "PYTHONPATH": ":".join(sys.path)})
    assert run.stdout.strip() == DIGEST


# ------------------------------------------------------------------------------------------------ data sets

def test_a_data_set_draws_on_the_fly():
    dataset = scenes.Scenes(5, 3, size=64, object=("cat", "dog"))
    assert len(dataset) == 5
    picture, target = dataset[2]
    assert torch.equal(picture, scenes.render(dataset.scene(2), 64))
    assert scenes.CLASSES[target] == dataset.scene(2).object in ("cat", "dog")
    assert dataset.scene(2) == scenes.sample(5, 3, object=("cat", "dog"))[2]
    assert dataset.scene(-1) == dataset.scene(4)
    with pytest.raises(IndexError):
        dataset[5]
    labelled = scenes.Scenes(5, 3, size=64, labels=True, transform=lambda image: image * 0)
    picture, _, labels = labelled[0]
    assert not picture.any() and labels.mask.any()
    assert len(next(iter(torch.utils.data.DataLoader(labelled, batch_size=2, collate_fn=list)))) == 2
    batches = list(torch.utils.data.DataLoader(dataset, batch_size=2))
    assert batches[0][0].shape == (2, 3, 64, 64) and batches[0][1].dtype == torch.int64
    for n in (0, 2.5):
        with pytest.raises(ValueError, match="n must be a whole number, 1 or more"):
            scenes.Scenes(n, 3)


def test_a_cached_data_set_holds_the_same_pictures():
    cached, live = scenes.CachedScenes(6, 3, size=64), scenes.Scenes(6, 3, size=64)
    assert cached.pictures.dtype == torch.uint8 and cached.targets.dtype == torch.int64
    for i in range(6):
        assert torch.allclose(cached[i][0], live[i][0], atol=1e-6) and cached[i][1] == live[i][1]
        assert cached.scene(i) == live.scene(i)


def test_a_cache_file_is_reused_and_a_damaged_or_foreign_one_is_drawn_anew(tmp_path, monkeypatch):
    file = tmp_path / "made" / "scenes.npz"
    first = scenes.CachedScenes(6, 3, size=64, file=file)
    stored = file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(scenes.CachedScenes, "_draw", lambda *_: pytest.fail("drawn although the file is right"))
        assert torch.equal(scenes.CachedScenes(6, 3, size=64, file=file).pictures, first.pictures)
    flipped = bytearray(stored)
    flipped[len(stored) // 2] ^= 255
    for damaged in (bytes(flipped), stored[:1000], b""):
        file.write_bytes(damaged)
        assert torch.equal(scenes.CachedScenes(6, 3, size=64, file=file).pictures, first.pictures)
        assert file.read_bytes() == stored
    other = scenes.CachedScenes(6, 4, size=64, file=file)
    assert not torch.equal(other.pictures, first.pictures)
    assert sorted(path.name for path in file.parent.iterdir()) == ["scenes.npz"]


def test_a_contact_sheet_has_the_pictures_in_rows():
    made = scenes.sample(5, 0)
    sheet = scenes.contact_sheet(made, size=32, columns=3, gap=2)
    assert sheet.size == (3 * 34 + 2, 2 * 34 + 2)
    corner = np.asarray(sheet)[36:68, 36:68]
    assert (corner == scenes.render_bytes(made[4], 32).permute(1, 2, 0).numpy()).all()
    with pytest.raises(ValueError, match="at least one scene"):
        scenes.contact_sheet([])


# ---------------------------------------------------------------- pairs


def test_a_pair_shows_both_objects_each_in_its_half_of_the_same_scenery():
    pairs = scenes.sample_pairs(40, seed=3)
    assert pairs[:5] == scenes.sample_pairs(5, seed=3) and pairs != scenes.sample_pairs(40, seed=4)
    images, masks = scenes.render_pairs(pairs, 64)
    assert images.shape == (40, 3, 64, 64) and masks.shape == (40, 2, 64, 64)
    for (left, right), image, mask in zip(pairs, images, masks, strict=True):
        assert left.object != right.object and left.scene == right.scene and left.layout == right.layout
        alone = scenes.render(left, 64), scenes.render(right, 64)
        assert torch.equal(image[..., :32], alone[0][..., :32]) and torch.equal(image[..., 32:], alone[1][..., 32:])
        assert mask[0].any() and mask[1].any() and not mask[0, :, 32:].any() and not mask[1, :, :32].any()


def test_an_object_over_the_middle_is_refused():
    left, right = scenes.sample_pairs(1, seed=3)[0]
    with pytest.raises(ValueError, match="over the middle"):
        scenes.render_pairs([(left.replace(x=0.45), right)], 64)
