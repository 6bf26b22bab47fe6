"""Lesson 06's study: its loader gives what was drawn, each experiment runs on few pictures, and its results are whole."""

import itertools

import pytest
import torch

from vizcourse.lessons.concept_graph import purity, sharing, stored, study
from vizcourse.methods import concepts as methods
from vizcourse.models import load
from vizcourse.worlds import scenes

LAYER, LATER = "inception4e", "inception5b"


@pytest.fixture(scope="module")
def model():
    return load(stored.NETWORK)


@pytest.fixture(scope="module")
def few():
    return stored.held_out(1, ("car", "house"))


def is_interval(value):
    return len(value) == 3 and value[1] <= value[0] + 1e-4 and value[0] <= value[2] + 1e-4


def test_dictionaries_are_unit_vectors_of_their_layers(model):
    found = stored.dictionaries()
    assert tuple(found) == stored.LAYERS
    for layer, concepts in found.items():
        assert concepts.layer == layer and concepts.scale > 0
        maps = methods.pointwise_feature_vectors(model, stored.pictures([0]), layer)
        assert concepts.vectors.shape == (stored.CONCEPTS, maps.shape[1])
        torch.testing.assert_close(concepts.vectors.norm(dim=1), torch.ones(stored.CONCEPTS))


def test_what_is_stored_of_the_samples_fits_together():
    names, nearest, clusters, boxes = stored.parts(), stored.nearest(), stored.clusters(), stored.boxes()
    for layer, samples in stored.samples().items():
        assert samples.layer == layer and samples.positions.shape == (stored.PICTURES, 2)
        assert nearest[layer].shape == (stored.CONCEPTS, stored.NEAREST)
        assert 0 <= nearest[layer].min() and nearest[layer].max() < stored.PICTURES
        assert clusters[layer].shape == (stored.PICTURES,) and clusters[layer].max() < stored.CONCEPTS
        assert all(stored.parts(by)[layer].max() < len(scenes.PARTS) for by in purity.LABELS)
        top, left, bottom, right = boxes[layer].unbind(1)
        assert (top < bottom).all() and (left < right).all() and boxes[layer].max() <= 96
        part, share = stored.named(layer, 0)
        shown = names[layer][nearest[layer][0]]
        assert share == pytest.approx(float((shown == scenes.PARTS.index(part)).float().mean())) and share > 0


def test_the_vectors_of_the_stored_samples_are_most_like_their_concepts(model):
    numbers = stored.nearest()[LAYER][5][:4]
    vectors = stored.vectors_of(model, LAYER, numbers)
    likeness = stored.likeness(vectors, stored.dictionaries()[LAYER])
    assert likeness[:, 5].min() > 0.8
    assert (likeness.argmax(1) == stored.clusters()[LAYER][numbers]).all()
    assert (likeness[:, 5].diff() <= 1e-3).all(), "nearest first, but for rounding"


def test_drawing_anew_gives_the_stored_positions(model):
    drawn = stored.draw(model, range(20), ("inception5b",), progress=False)["inception5b"]  # of the first hundred
    same = (drawn.positions == stored.samples()["inception5b"].positions[:20]).all(1).float().mean()
    assert same >= 0.9  # another processor may round a contribution across a border


def test_pictures_are_those_asked_for():
    images = stored.pictures([7, 3])
    torch.testing.assert_close(images, scenes.render([scenes.sample(8, stored.SEED)[number] for number in (7, 3)]))
    assert stored.classes([7]).tolist() == [scenes.label(stored.scene(7))]


def test_a_field_of_raw_pixels_is_blind_to_black(model):
    images = stored.pictures([0]).clone()
    images[:, :, 40:60, 40:60] = 0
    position = torch.tensor([[2, 2]])
    raw, field = (stored.receptive_fields(model, images, LAYER, position, normalized=flag)[0] for flag in (False, True))
    assert raw[40:60, 40:60].abs().max() == 0 < field[40:60, 40:60].abs().max()


def test_look_says_what_is_there(model):
    samples = methods.Samples(LAYER, torch.empty(3, 0), torch.arange(3), stored.samples()[LAYER].positions[:3])
    seen = stored.look(model, samples, progress=False)
    assert (seen.part == stored.parts()[LAYER][:3]).all()
    assert (seen.position == stored.parts("part at the position")[LAYER][:3]).all()
    assert (seen.boxes - stored.boxes()[LAYER][:3]).abs().max() <= 1


def test_purity_of_perfect_and_of_mixed_concepts():
    vectors = torch.eye(2).repeat_interleave(4, 0)
    concepts = methods.Concepts("x", torch.eye(2))
    pure = purity.purity(vectors, concepts, torch.tensor([3, 3, 3, 3, 5, 5, 5, 5]), count=4)
    assert pure.nearest.tolist() == pure.cluster.tolist() == [1, 1] and pure.label.tolist() == [3, 5]
    mixed = purity.purity(vectors, concepts, torch.tensor([3, 3, 3, 5, 5, 5, 5, 3]), count=4)
    assert mixed.nearest.tolist() == mixed.cluster.tolist() == [0.75, 0.75]


def test_shares_found_and_in_common():
    wheel, eye = (scenes.PARTS.index(part) for part in ("wheel", "eye"))
    label = torch.tensor([wheel, eye, wheel])
    first, second = torch.tensor([[2.0, 0.0, 2.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    assert sharing.share_found(first, second, label, ["wheel"]) == 1
    assert sharing.share_found(first, second, label, ["eye"]) == 0
    assert sharing.in_common(first, second) == pytest.approx(0.5)
    assert {"wheel", "hub", "headlight"} == set(sharing.pairs_of(("car", "bicycle"))["car", "bicycle"])


def test_experiments_run_on_two_pictures(model, few):
    images, targets = few
    concepts = stored.dictionaries()
    row = study.evaluation(images, targets, concepts[LAYER], orders=("gig", "random"), steps=4)
    assert is_interval(row["gig"]) and is_interval(row["random"]) and 0 < row["error"] < 1
    figures = study.graph_figures(model, images, targets, [concepts[LAYER], concepts[LATER]], steps=4)
    assert is_interval(figures[LAYER]["top five causes"]) and "top five causes" not in figures[LATER]
    matters = sharing.importances(model, concepts[LATER], 1, ("car", "house", "cat", "umbrella"), steps=2)
    label = torch.tensor([scenes.PARTS.index(stored.named(LATER, concept)[0]) for concept in range(stored.CONCEPTS)])
    table = sharing.shared_table(matters, label)
    # All pairs but house and cat, and cat and umbrella: stripes and handles count.
    assert table["pairs that share parts"] == 4 and is_interval(table["found"])
    row = sharing.table(matters["car"], matters["house"])
    assert row["concepts"] == sorted(row["concepts"]) and len(row["shares"]) == 2


def test_another_dictionary_matches_less_well():
    one = stored.dictionaries()[LAYER]
    assert study.matches(one, one).min() > 0.999
    assert study.matches(one, purity.channels(LAYER, one.vectors.shape[1])).max() < 0.999


def test_stored_results_are_whole():
    found = stored.results()
    assert all(study.STUDY.stored(name) is not None for name in study.STUDY.parts)
    assert (found["pictures"], found["concepts"], found["nearest"]) == (stored.PICTURES, stored.CONCEPTS, stored.NEAREST)
    for layer in stored.LAYERS:
        pure = found["purity"][layer]
        assert set(methods.DICTIONARIES) | {"channels", "shuffled labels", "samples on scenery"} <= set(pure)
        assert all(is_interval(row["nearest"]) for row in pure.values() if isinstance(row, dict))
        assert len(found["names"]["concepts"][layer]) == stored.CONCEPTS
        for null in sharing.NULLS:
            row = found["planted"][layer]
            assert is_interval(row[f"found, {null}"]) and is_interval(row[f"found, ahead of {null}"])
            wide, narrow = row[f"found, ahead of {null}, all layers at once"], row[f"found, ahead of {null}"]
            assert wide[1] <= narrow[1] and narrow[2] <= wide[2]
        matched = found["matched"][layer]
        assert set(matched) == set(methods.DICTIONARIES)
        # At equal sparsity: all use as many concepts at a position.
        density = matched["bisecting k-means"]["density"]
        for method, row in matched.items():
            assert abs(row["density"] / density - 1) < (0.3 if method == "random directions" else 0.08)
        assert set(found["dictionaries"][layer]) == set(methods.DICTIONARIES)
        assert set(found["labels"][layer]) == set(purity.LABELS)
        assert is_interval(found["stability"][layer]["another seed"]["best match"])
        assert all(layer in found[key][name] for key in ("noise", "completeness") for name in ("trained", "untrained network"))
    for source, target in itertools.pairwise(stored.LAYERS):
        assert all(is_interval(row) for row in found["orders"][f"{source} to {target}"]["sum"]["gig, ahead"].values())


def test_each_row_of_the_referees_table_has_its_two_nulls_and_a_lead():
    for rows in stored.results()["referee"].values():
        for row in rows.values():
            lead, low, high = row["ahead"]
            assert low <= lead <= high
            assert lead == pytest.approx(row["measured"] - row["right null"], abs=2e-3)


def test_a_difference_of_independent_means_from_their_intervals():
    assert study.apart([1.0, 0.7, 1.3], [0.0, -0.4, 0.4]) == pytest.approx([1.0, 0.5, 1.5])


def test_shuffling_one_class_leaves_what_needs_no_sharing():
    label = torch.tensor([scenes.PARTS.index(part) for part in ("wheel", "petal", "sky", "window")])
    # Car and bicycle both rest on wheels, the car on windows too; the tree shares no part with either.
    matters = {"car": torch.tensor([[5.0, 0.0, 0.0, 1.0]]), "bicycle": torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
               "tree": torch.tensor([[0.0, 0.0, 1.0, 0.0]])}  # fmt: skip
    table = sharing.shared_table(matters, label)
    assert table["found"][0] == 1 and table["found, one class alone"][0] == pytest.approx(0.75)
    assert 0 < table["found, shuffled in one class"][0] < 1 and table["found, shuffled concepts"][0] < 0.6
    assert len(table["rows"]) == 1


def test_a_dictionary_is_brought_to_the_sparsity_of_another(model, few):
    acts = methods.pointwise_feature_vectors(model, few[0], LATER)
    concepts = stored.dictionaries()[LATER]
    wanted = methods.decompose(acts, concepts, penalty=0.2).density
    assert study.matched_penalty(acts, concepts, wanted) == pytest.approx(0.2, rel=0.2)


def test_the_stored_samples_are_those_that_the_dictionaries_come_from(model):
    found = stored.drawn_before(model, 4)
    torch.testing.assert_close(found[LAYER].vectors, stored.vectors_of(model, LAYER, range(4)))


def test_the_exercises_table_has_an_answer_that_is_neither_classs_first():
    table = stored.results()["shared"]
    shares = torch.tensor(table["shares"])
    lesser = shares.amin(0)
    best = int(lesser.argmax())
    assert best not in shares.argmax(1).tolist() and lesser.sort().values[-2] < 0.6 * lesser[best]
    assert (lesser < 0).any() and len(table["parts"]) == len(table["concepts"]) == shares.shape[1]
