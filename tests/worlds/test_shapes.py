import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from vizcourse.worlds import shapes
from vizcourse.worlds.shapes import Item, Picture, sampling


def picture(*items, background=(250, 250, 100)):
    return Picture(None, background, items)


def bytes_of(pictures):
    """The pixels of each picture, to find repeats."""
    return [image.numpy().tobytes() for image in shapes.render(pictures, 244, dtype=torch.uint8)]


# ------------------------------------------------------------------------------------ the paper's tables


def test_tables_2_and_3_of_the_paper():
    wanted = {
        "blicket": ({"circle", "square"}, (250, 250, 100)),
        "dax": ({"circle", "triangle"}, (250, 200, 250)),
        "wug": ({"square", "triangle"}, (150, 200, 250)),
    }
    colours = {"circle": (170, 100, 255), "square": (100, 200, 0), "triangle": (255, 50, 50)}
    for drawn in shapes.sample(60, seed=3):
        types, background = wanted[drawn.class_name]
        assert {item.shape for item in drawn.items} == types and len(drawn.items) == 2
        assert drawn.background == background
        assert all(item.colour == colours[item.shape] and item.size == 15 for item in drawn.items)


def test_all_three_shapes_just_fill_the_same_box_of_30_pixels():
    for shape in shapes.SHAPES:
        mask = shapes.masks(picture(Item(shape, (0, 0, 0), (100, 60))))[0]
        rows, columns = torch.nonzero(mask, as_tuple=True)
        assert columns.max() < 115 and rows.max() == 74 and columns.min() >= 85 and rows.min() >= 45
        assert rows.max() - rows.min() + 1 >= 29 and columns.max() - columns.min() + 1 >= 29


@pytest.mark.parametrize("size", [64, 96, 122, 244, 488])
@pytest.mark.parametrize(("shape", "area"), [("circle", np.pi * 30**2), ("square", 60**2), ("triangle", 60**2 / 2)])
def test_covered_area_is_the_area_of_the_figure_at_every_resolution(shape, area, size):
    image = shapes.render(picture(Item(shape, (0, 0, 0), (101, 77), size=30), background=(255, 255, 255)), size)
    covered = (1 - image[0, 0]).sum().item() * (244 / size) ** 2
    assert covered == pytest.approx(area, rel=0.01)


def test_a_square_on_the_pixel_grid_is_exact():
    image = shapes.render(picture(Item("square", (10, 20, 30), (50, 80))), 244, dtype=torch.uint8)[0]
    assert torch.equal(
        image[:, 65:95, 35:65], torch.tensor([10, 20, 30], dtype=torch.uint8).view(3, 1, 1).expand(3, 30, 30)
    )
    outside = image.clone()
    outside[:, 65:95, 35:65] = torch.tensor([250, 250, 100], dtype=torch.uint8).view(3, 1, 1)
    assert (outside == torch.tensor([250, 250, 100], dtype=torch.uint8).view(3, 1, 1)).all()


def test_hand_counted_triangle_without_antialiasing():
    # Size 2 at (10, 10): rows 8 to 11; row r is half as wide as it is low: pixel middles with
    # |x - 10| <= (y - 8) / 2, that is none (half a pixel each side is the edge) , 2, 2, 4 pixels.
    mask = shapes.render(picture(Item("triangle", (0, 0, 0), (10, 10), 2), background=(255,) * 3), antialias=False)
    rows = (mask[0, 0] == 0).sum(dim=1)
    assert rows.sum() == 8 and rows[8:12].tolist() == [0, 2, 2, 4]


# ----------------------------------------------------------------------------------------------- pixels


@pytest.mark.parametrize("size", [64, 96, 244])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_colours_are_exact_away_from_edges(size, dtype):
    drawn = shapes.sample(12, seed=1)
    images, masks = shapes.render(drawn, size, dtype=dtype), shapes.masks(drawn, size)
    assert images.shape == (12, 3, size, size) and images.dtype == dtype
    for image, mask, each in zip(images, masks, drawn, strict=True):
        for number, colour in enumerate([each.background, *(item.colour for item in each.items)]):
            wanted = torch.tensor(colour, dtype=torch.float32)
            wanted = wanted.to(torch.uint8) if dtype == torch.uint8 else wanted / 255
            pure = (image == wanted.view(3, 1, 1)).all(dim=0) & (mask == number)
            assert pure.sum() > 0.4 * (mask == number).sum()


def test_hard_edges_have_the_pictures_colours_and_nothing_else():
    for each, image in zip(
        drawn := shapes.sample(6), shapes.render(drawn, 96, antialias=False, dtype=torch.uint8), strict=True
    ):
        seen = {tuple(colour) for colour in image.flatten(1).T.tolist()}
        assert seen == {each.background, *(item.colour for item in each.items)}


def test_images_lie_in_the_unit_range_and_uint8_is_the_same_picture():
    drawn = shapes.sample(12, seed=5, textures=shapes.TEXTURES, background_textures=shapes.TEXTURES, **shapes.VARIED)
    image, whole = shapes.render(drawn, 96), shapes.render(drawn, 96, dtype=torch.uint8)
    assert image.min() >= 0 and image.max() <= 1
    # Twice rounded (background, then blend): at most one level away.
    assert (image * 255 - whole.float()).abs().max() <= 1.0


def test_one_picture_alone_is_the_picture_in_a_batch():
    drawn = shapes.sample(5, seed=2)
    assert torch.equal(shapes.render(drawn[3], 96)[0], shapes.render(drawn, 96)[3])


def test_masks_number_the_items_in_order_and_follow_a_moved_shape():
    one = picture(Item("square", (0, 0, 0), (30, 30)), Item("circle", (9, 9, 9), (200, 100)))
    mask = shapes.masks(one)[0]
    assert mask[30, 30] == 1 and mask[100, 200] == 2 and mask[200, 200] == 0
    assert (mask == 1).sum() == 900
    moved = shapes.masks(one.replace_item(0, centre=(60, 90)))[0]
    assert torch.equal(moved == 2, mask == 2) and moved[30, 30] == 0 and moved[90, 60] == 1


@pytest.mark.parametrize("size", [64, 244])
def test_a_turned_shape_keeps_its_area_and_its_reach_is_where_it_ends(size):
    for shape, area, angle in [("square", 60**2, 45), ("triangle", 60**2 / 2, 30), ("circle", np.pi * 30**2, 45)]:
        item = Item(shape, (0, 0, 0), (120, 110), size=30, angle=angle)
        covered = 1 - shapes.render(picture(item, background=(255, 255, 255)), size)[0, 0]
        assert covered.sum().item() * (244 / size) ** 2 == pytest.approx(area, rel=0.01)
        rows, columns = torch.nonzero(shapes.masks(picture(item), size)[0], as_tuple=True)
        ends = torch.stack([rows - 110 * size / 244 + 0.5, columns - 120 * size / 244 + 0.5]).abs().max() * 244 / size
        assert item.reach - 3 * 244 / size < ends <= item.reach
    assert Item("square", (0, 0, 0), (120, 110), 30, angle=45).reach == pytest.approx(30 * 2**0.5)


def test_a_triangle_turned_by_a_right_angle_is_the_picture_turned():
    upright, turned = (picture(Item("triangle", (9, 9, 9), (122, 122), 40, angle=angle)) for angle in (0, 90))
    torch.testing.assert_close(shapes.render(turned), shapes.render(upright).rot90(-1, (2, 3)), atol=1e-4, rtol=0)


def test_texture_changes_only_what_it_covers():
    plain = picture(Item("square", (200, 100, 50), (120, 120), 40))
    for texture in shapes.TEXTURES[1:]:
        inside = shapes.masks(plain)[0] == 1
        before, after = shapes.render(plain)[0], shapes.render(plain.replace_item(0, texture=texture))[0]
        assert torch.equal(before[:, ~inside], after[:, ~inside])
        assert 0.1 < (before[:, inside] != after[:, inside]).float().mean() < 0.95
        assert (after <= before).all()
        behind = shapes.render(plain.replace(background_texture=texture))[0]
        assert torch.equal(before[:, inside], behind[:, inside])
        assert not torch.equal(before[:, ~inside], behind[:, ~inside])


# --------------------------------------------------------------------------------------------- sampling


@pytest.mark.parametrize("knobs", [{}, {"sizes": (15, 40)}, {"number_of_shapes": (1, 5)}, shapes.VARIED])
def test_shapes_are_wholly_inside_and_apart(knobs):
    for drawn in shapes.sample(60, seed=7, **knobs):
        for item in drawn.items:
            assert all(item.size <= value <= 244 - item.size for value in item.centre)
        for one, other in itertools.combinations(drawn.items, 2):
            gap = np.abs(np.subtract(one.centre, other.centre)).max() - one.size - other.size
            assert gap >= 2


def test_same_seed_same_pictures_and_another_seed_others():
    assert shapes.sample(9, seed=4) == shapes.sample(9, seed=4) != shapes.sample(9, seed=5)


def test_classes_come_in_turn():
    assert [each.class_name for each in shapes.sample(4)] == ["blicket", "dax", "wug", "blicket"]
    assert shapes.labels(shapes.sample(4)).tolist() == [0, 1, 2, 0]
    assert {each.class_name for each in shapes.sample(4, classes=("wug",))} == {"wug"}


def test_train_test_and_interventions_never_repeat_a_picture():
    seen = Counter(bytes_of(shapes.sample(300, seed=0)))
    for split in ("validation", "test", "intervention_test"):
        seen.update(bytes_of(shapes.sample(90, seed=0, split=split)))
    for variable in shapes.VARIABLES:
        made = shapes.pairs(variable, 30, seed=shapes.VARIABLES.index(variable))
        seen.update(bytes_of(made.base) + bytes_of(made.source))
    assert max(seen.values()) == 1


@pytest.mark.parametrize("split", shapes.SPLITS)
@pytest.mark.parametrize("seed", range(3))
def test_the_split_is_a_property_of_the_picture_itself(split, seed):
    drawn = shapes.sample(30, seed=seed, split=split, number_of_shapes=(1, 3))
    assert {shapes.split_of(each) for each in drawn} == {split}
    # Whatever is done to it while its shapes stay where they are, it stays in its split.
    for each in drawn[:5]:
        edited = each.replace(background=(1, 2, 3), items=each.items[::-1]).replace_item(0, shape="circle")
        assert shapes.split_of(edited) == split


def test_splits_take_the_share_of_layouts_that_is_promised():
    rng = np.random.default_rng(0)
    centres = rng.integers(15, 230, (20000, 2, 2))
    shares = np.bincount(sampling._split_number(sampling._layout_key(centres)), minlength=5) / 20000
    assert np.abs(shares - [0.6, 0.1, 0.1, 0.1, 0.1]).max() < 0.01


def test_dataset_is_the_papers_80_20():
    images, labels = shapes.dataset("train", per_class=20, size=32)
    assert images.shape == (48, 3, 32, 32) and labels.bincount().tolist() == [16, 16, 16]
    assert torch.equal(images, shapes.render(shapes.sample(48, 0), 32))
    images, labels = shapes.dataset("test", per_class=20, size=32, dtype=torch.uint8, classes=("dax", "wug"))
    assert images.dtype == torch.uint8 and labels.tolist() == [1, 2] * 4


# ------------------------------------------------------------------------------------------------- cues


def agreement(pictures, cue):
    """How often a cue speaks for the picture's own class."""
    return np.mean([each.cues[cue] == each.class_name for each in pictures])


@pytest.mark.parametrize("cue", ["all", *shapes.CUES, ("colour", "type"), ("background", "type")])
def test_only_the_chosen_cues_tell_the_class(cue):
    drawn = shapes.sample(600, seed=11, cue=cue)
    telling = shapes.CUES if cue == "all" else (cue,) if isinstance(cue, str) else cue
    for name in shapes.CUES:
        if name in telling:
            assert agreement(drawn, name) == 1
        else:
            assert agreement(drawn, name) == pytest.approx(1 / 3, abs=0.08)  # four standard errors
            for given in shapes.CLASSES:
                said = Counter(each.cues[name] for each in drawn if each.class_name == given)
                assert all(said[other] / 200 == pytest.approx(1 / 3, abs=0.14) for other in shapes.CLASSES)


def test_a_cue_is_right_as_often_as_its_reliability_says():
    shares = {"background": 0.9, "colour": 0.5}
    drawn = shapes.sample(900, seed=2, reliability=shares)
    for cue, share in {**shares, "type": 1.0}.items():
        right = [picture.cues[cue] == picture.class_name for picture in drawn]
        assert sum(right) / len(drawn) == pytest.approx(share, abs=0.05)
    astray = [picture.cues["colour"] for picture in drawn if picture.class_name == "dax"]
    assert 0.15 < astray.count("wug") / len(astray) < 0.35  # the other two share what is left
    assert shapes.sample(30, seed=2, reliability={}) == shapes.sample(30, seed=2)
    with pytest.raises(ValueError, match="reliability of colour"):
        shapes.sample(3, reliability={"colour": 60})
    with pytest.raises(ValueError, match="did you mean 'colour'"):
        shapes.sample(3, reliability={"color": 0.6})


def test_an_edit_changes_the_cues_that_were_named():
    (picture,) = shapes.sample(1, seed=4, classes=("blicket",))
    for number in range(4):
        for cues in itertools.combinations(shapes.CUES, number):
            edited = shapes.edit(picture, "wug", cues)
            said = edited.cues
            assert [said[cue] for cue in cues] == ["wug"] * number
            assert [said[cue] for cue in shapes.CUES if cue not in cues] == ["blicket"] * (3 - number)
    assert shapes.edit(picture, "wug", "background") == shapes.edit(picture, "wug", ["background"])
    assert shapes.edit(picture, "wug", shapes.CUES).class_name == "wug"
    with pytest.raises(ValueError, match="already disagree"):
        shapes.edit(shapes.edit(picture, "wug", "colour"), "dax", "type")


def test_colour_is_bound_to_type_only_where_both_tell_the_class():
    for cue, bound in (("all", True), (("colour", "type"), True), ("colour", False), ("type", False)):
        items = [item for each in shapes.sample(60, seed=1, cue=cue) for item in each.items]
        own = np.mean([item.colour == shapes.COLOURS[item.shape] for item in items])
        assert own == 1 if bound else own < 0.6


def test_varied_pictures_leave_only_the_types():
    drawn = shapes.sample(90, seed=1, **shapes.VARIED)
    assert agreement(drawn, "type") == 1
    assert len({each.background for each in drawn}) == 90
    sizes = [item.size for each in drawn for item in each.items]
    assert min(sizes) < 18 and max(sizes) > 42
    for each in drawn:
        for item in each.items:
            assert np.linalg.norm(np.subtract(item.colour, each.background)) >= 110


def test_cue_conflict_speaks_for_three_different_classes():
    made = shapes.cue_conflict(60, seed=0)
    said = torch.stack([made.background, made.colour, made.type], dim=1)
    assert all(sorted(row) == [0, 1, 2] for row in said.tolist())
    assert set(Counter(map(tuple, said.tolist())).values()) == {10}
    for each, row in zip(made.pictures, said.tolist(), strict=True):
        assert [each.cues[cue] for cue in ("background", "colour", "type")] == [shapes.CLASSES[i] for i in row]
        assert each.class_name is None
        assert shapes.split_of(each) == "intervention"
    with pytest.raises(ValueError, match="has no class"):
        shapes.labels(made.pictures)


def test_knobs_do_what_they_say():
    near = shapes.sample(60, background_range=20, colour_range=10)
    offsets = [np.subtract(each.background, shapes.BACKGROUNDS[each.class_name]) for each in near]
    assert 10 < np.abs(offsets).max() <= 20
    offsets = [np.subtract(item.colour, shapes.COLOURS[item.shape]) for each in near for item in each.items]
    assert 5 < np.abs(offsets).max() <= 10
    assert {len(each.items) for each in shapes.sample(60, number_of_shapes=(1, 4))} == {1, 2, 3, 4}
    assert {item.texture for each in shapes.sample(60, textures=("dots", "checks")) for item in each.items} == {
        "dots",
        "checks",
    }
    for each in shapes.sample(30, position_by_class=True):
        third = shapes.CLASSES.index(each.class_name)
        for item in each.items:
            assert third * 244 / 3 <= item.centre[0] - item.size
            assert item.centre[0] + item.size <= (third + 1) * 244 / 3


# ---------------------------------------------------------------------------------------- interventions


def test_table_4_of_the_paper():
    """The paper's example: a blicket becomes a dax by its square's colour or type, or its background."""
    square_to = {}
    for variable in shapes.VARIABLES:
        made = shapes.pairs(variable, 6)
        row = [(a, b) for a, b in zip(made.base_labels.tolist(), made.counterfactual_labels.tolist(), strict=True)]
        position = row.index((0, 1))
        base, source = made.base[position], made.source[position]
        square = [item.shape for item in base.items].index("square")
        square_to[variable] = (source.items[square].shape, source.items[square].colour, source.background)
    assert square_to == {
        "shape_colour": ("square", (255, 50, 50), (250, 250, 100)),
        "background": ("square", (100, 200, 0), (250, 200, 250)),
        "shape_type": ("triangle", (100, 200, 0), (250, 250, 100)),
    }


@pytest.mark.parametrize("variable", shapes.VARIABLES)
def test_pairs_change_one_cause_and_nothing_else(variable):
    made = shapes.pairs(variable, seed=9)
    assert len(made.base) == len(made.source) == 60
    ordered = Counter(zip(made.base_labels.tolist(), made.counterfactual_labels.tolist(), strict=True))
    assert len(ordered) == 6 and set(ordered.values()) == {10}
    assert (made.base_labels != made.counterfactual_labels).all()
    cue = {"shape_colour": "colour", "shape_type": "type", "background": "background"}[variable]
    changed = shapes.render(made.base, 122) != shapes.render(made.source, 122)
    masks = shapes.masks(made.base, 122)
    for i, (base, source) in enumerate(zip(made.base, made.source, strict=True)):
        new = shapes.CLASSES[made.counterfactual_labels[i]]
        assert source.cues == {**base.cues, cue: new}
        assert [item.centre for item in base.items] == [item.centre for item in source.items]
        # Only the changed part's pixels change; an item's box is a pixel wider where its edge blends in.
        touched = changed[i].any(dim=0)
        if variable == "background":
            assert touched[masks[i] == 0].all()
        else:
            different = [a != b for a, b in zip(base.items, source.items, strict=True)]
            assert sum(different) == 1
            other = masks[i] == different.index(False) + 1
            assert not touched[other].any()


def test_the_three_variables_edit_the_same_base_pictures():
    base = [shapes.pairs(variable, 6, seed=2).base for variable in shapes.VARIABLES]
    assert base[0] == base[1] == base[2]


def test_pairs_of_another_split_are_held_out():
    held_out = shapes.pairs("background", 12, split="intervention_test")
    assert {shapes.split_of(each) for each in held_out.base + held_out.source} == {"intervention_test"}


# ------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Item("cirle", (0, 0, 0), (50, 50)), "did you mean 'circle'"),
        (lambda: Item("circle", (0, 0, 256), (50, 50)), "three whole numbers from 0 to 255"),
        (lambda: Item("circle", (0.5, 0, 0), (50, 50)), "three whole numbers"),
        (lambda: Item("circle", "red", (50, 50)), "three whole numbers"),
        (lambda: Item("circle", (0, 0, 0), (10, 50)), "not wholly inside"),
        (lambda: Item("circle", (0, 0, 0), (float("nan"), 50)), "not wholly inside"),
        (lambda: Item("circle", (0, 0, 0), 50), "two numbers"),
        (lambda: Item("square", (0, 0, 0), (50, 50), 40, angle=45), "turned by 45 degrees"),
        (lambda: Item("square", (0, 0, 0), (50, 50), angle=float("inf")), "finite number of degrees"),
        (lambda: Item("circle", (0, 0, 0), (50, 50), size=0), "size must be above 0"),
        (lambda: Item("circle", (0, 0, 0), (50, 50)).replace(color=(1, 1, 1)), "did you mean 'colour'"),
        (lambda: picture(), "one or more Item"),
        (
            lambda: picture(*[Item("circle", (0, 0, 0), (50 + 29 * i, 50)) for i in (0, 1)]),
            "overlap: move them at least 30",
        ),
        (
            lambda: Picture("fep", (0, 0, 0), (Item("circle", (0, 0, 0), (50, 50)),)),
            "'blicket', 'dax', 'wug'",
        ),
        (lambda: shapes.sample(1)[0].replace_item(2, size=9), "from 0 to 1"),
        (lambda: shapes.sample(0), "1 or more"),
        (lambda: shapes.sample(2, seed=-1), "seed must be"),
        (lambda: shapes.sample(2, split="training"), "did you mean 'train'"),
        (lambda: shapes.sample(2, cue="color"), "did you mean 'colour'"),
        (lambda: shapes.sample(2, cue=()), "at least one"),
        (lambda: shapes.sample(2, sizes=(30, 20)), "smallest, largest"),
        (lambda: shapes.sample(2, number_of_shapes=1.5), "whole"),
        (lambda: shapes.sample(2, free_colours=True), 'cue="type"'),
        (lambda: shapes.sample(2, sizes=80, number_of_shapes=6), "no room"),
        (lambda: shapes.sample(2, sizes=45, position_by_class=True), "does not fit"),
        (lambda: shapes.sample(2, textures=("stripy",)), "did you mean 'stripes'"),
        (lambda: shapes.pairs("color"), "variable must be one of"),
        (lambda: shapes.pairs("background", 6, cue="type"), "leave out cue"),
        (
            lambda: shapes.pairs("background", 6, number_of_shapes=1),
            "number_of_shapes must be a number from 2",
        ),
        (lambda: shapes.cue_conflict(6, free_colours=True), "leave out free_colours"),
        (lambda: shapes.render([]), "no picture"),
        (lambda: shapes.render(torch.zeros(1, 3, 9, 9)), "Picture objects"),
        (lambda: shapes.render(shapes.sample(1), 0), "8 to 2048"),
        (lambda: shapes.render(shapes.sample(1), dtype=torch.float64), "dtype"),
        (lambda: shapes.dataset(per_class=2), "at least 5"),
    ],
)
def test_bad_input_gives_one_clear_sentence(make, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")) as caught:
        make()
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------------------------------------- in words


def test_description_names_what_is_there():
    one = picture(
        Item("circle", (170, 100, 255), (40, 40)),
        Item("square", (100, 200, 0), (200, 120), size=30, texture="stripes"),
    )
    assert shapes.describe(one) == (
        "A purple circle at the top left and a large striped green square at the right, on a yellow background."
    )


def test_the_worlds_colours_have_six_different_names():
    names = [shapes.colour_name(c) for c in (*shapes.BACKGROUNDS.values(), *shapes.COLOURS.values())]
    assert names == ["yellow", "pink", "light blue", "purple", "green", "red"]
