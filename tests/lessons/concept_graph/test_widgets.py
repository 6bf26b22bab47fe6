"""Lesson 06's explorers, driven through their real controls."""

from __future__ import annotations

import asyncio
import gc
import itertools
import re
import weakref

import networkx
import numpy as np
import pytest
import torch

from tests import every_explorer
from vizcourse.lessons.concept_graph import stored, words
from vizcourse.lessons.concept_graph.atlas import ConceptAtlas, scenes_atlas
from vizcourse.lessons.concept_graph.graph_view import rows_of
from vizcourse.lessons.concept_graph.widgets import OWN, PATH, WIDGETS, ConceptBrowser, ConceptGraph, RemoveConcept
from vizcourse.methods import concepts as method
from vizcourse.methods.concept_graph import build_graph, generalized_integrated_gradients
from vizcourse.models import load
from vizcourse.widgets import PAUSE
from vizcourse.worlds import scenes
from vizcourse.worlds.scenes.vocabulary import SCENERY_PARTS

LAYERS = ("inception3b", "inception4b", "inception4e")
COUNTS = {"inception3b": 14, "inception4b": 12, "inception4e": 10}


@pytest.fixture(scope="module")
def network():
    return load("googlenet-scenes")


@pytest.fixture(scope="module")
def material(network):
    """Pictures, their classes, what lies in the middle of each sample's cell, and samples and concepts of three layers."""
    drawn = scenes.sample(60, seed=11)
    pictures, maps_of = scenes.render(drawn, network.input_size, labels=True)
    targets = torch.tensor([scenes.label(scene) for scene in drawn])
    generator, rows, samples, labels = torch.Generator().manual_seed(0), torch.arange(60), [], {}
    for layer in LAYERS:
        maps = method.pointwise_feature_vectors(network, pictures, layer)
        y, x = (torch.randint(side, (60,), generator=generator) for side in maps.shape[2:])
        samples.append(method.Samples(layer, maps[rows, :, y, x], rows, torch.stack([y, x], 1)))
        side = 96 // maps.shape[2]
        labels[layer] = maps_of.part[rows, y * side + side // 2, x * side + side // 2].long()
    concepts = [method.extract_concepts(each, COUNTS[each.layer]) for each in samples]
    return pictures, targets, labels, samples, concepts


def new_atlas(network, material, **options):
    pictures, targets, labels, samples, concepts = material
    return ConceptAtlas(network, pictures, samples, concepts, targets=targets, labels=labels, **options)


@pytest.fixture(scope="module")
def atlas(network, material):
    return new_atlas(network, material)


def made_up(classes, seed, top):
    """A graph like those of `build_graph`, with edges between all neighbours in the rows, of weights of both signs."""
    generator, graph = torch.Generator().manual_seed(seed), networkx.DiGraph()
    rows = [[(layer, k) for k in torch.randperm(COUNTS[layer], generator=generator)[:top].tolist()] for layer in LAYERS]
    rows.append([("class", number) for number in classes])
    for place, (layer, number) in enumerate(node for nodes in rows for node in nodes):
        entry = {f"importance:{c}": float(torch.rand((), generator=generator)) for c in classes}
        mean = sum(entry.values()) / len(entry)
        shared = len(classes) > 1 and place % 3 == 0 and layer != "class"
        graph.add_node(f"{layer}:{number}", layer=layer, concept=number, importance=mean, shared=shared, **entry)
    for below, above in itertools.pairwise(rows):
        for first, second in itertools.product(below, above):
            weight = float(torch.randn((), generator=generator))
            graph.add_edge("{}:{}".format(*first), "{}:{}".format(*second), weight=weight)
    return graph


@pytest.fixture(scope="module")
def graphs():
    return {"one picture": made_up([16], 0, 4), "two classes": made_up([3, 5], 1, 6)}


@pytest.fixture(scope="module")
def browser(atlas):
    return ConceptBrowser(atlas)


@pytest.fixture(scope="module")
def graph(atlas, graphs, material):
    return ConceptGraph(graphs, atlas, pictures={"one picture": material[0][0]})


@pytest.fixture(scope="module")
def remover(atlas):
    return RemoveConcept(atlas, "inception4b", steps=4)


@pytest.fixture(scope="module")
def explorers(browser, graph, remover):
    return browser, graph, remover


def test_every_widget_of_the_lesson_is_listed(explorers):
    assert {type(each) for each in explorers} == set(WIDGETS)


# --- the atlas ---


def test_shares_of_parts_are_counted_over_the_nearest_vectors(atlas, material):
    _, _, labels, samples, concepts = material
    for sample, found in zip(samples, concepts, strict=True):
        for concept in range(len(found)):
            near = found.nearest(sample.vectors, 20)[concept].tolist()
            words = [scenes.PARTS[int(labels[sample.layer][number])] for number in near]
            parts = atlas.parts_of(sample.layer, concept)
            assert {part.name: part.share for part in parts} == pytest.approx({word: words.count(word) / 20 for word in words})
            assert [part.share for part in parts] == sorted((part.share for part in parts), reverse=True)
            every = [scenes.PARTS[code] for code in labels[sample.layer].tolist()]
            assert all(part.usual == pytest.approx(every.count(part.name) / 60) for part in parts)


def test_objects_are_counted_in_the_pictures_of_the_nearest_vectors_whatever_their_colour(atlas, browser, material):
    _, targets, _, samples, concepts = material
    for sample, found in zip(samples, concepts, strict=True):
        for concept in range(len(found)):
            near = found.nearest(sample.vectors, 20)[concept].tolist()
            names = [scenes.FORM[scenes.CLASSES[int(targets[sample.images[number]])]] for number in near]
            objects = {each.name: each.share for each in atlas.objects_of(sample.layer, concept)}
            assert objects == pytest.approx({name: names.count(name) / 20 for name in names})
    browser.set(layer="inception4b", concept=7)
    objects = browser.answer_value()["objects"]
    assert sum(objects.values()) == pytest.approx(1) and "one object" not in browser.text.value
    browser.set(name="something")
    share = f"{100 * max(objects.values()):.0f} %"
    assert f"{share} of their pictures show one object: {next(iter(objects))}." in browser.text.value
    browser.set(name="")


def test_later_layers_have_seen_more(atlas):
    sides = [float((atlas._boxes[layer][:, 2:] - atlas._boxes[layer][:, :2]).float().median()) for layer in LAYERS]
    assert sides == sorted(sides) and 4 < sides[0] and sides[-1] <= 96


def test_a_patch_is_cut_around_what_was_seen(network):
    """A white dot in the middle of a position's cell, or of a box, is in the middle of the patch."""
    picture = torch.zeros(1, 3, 96, 96)
    picture[:, :, 42:46, 42:46] = 1  # the middle of cell (5, 5) of 12 × 12 is pixel 44
    vectors = torch.nn.functional.normalize(torch.rand(1, 480), dim=1)
    sample = method.Samples("inception3b", vectors, torch.tensor([0]), torch.tensor([[5, 5]]))
    for boxes in (None, {"inception3b": torch.tensor([[34, 30, 54, 58]])}):
        atlas = ConceptAtlas(network, picture, [sample], [method.Concepts("inception3b", vectors)], boxes=boxes)
        for margin in (0.0, 0.5, 1.0):
            patch = np.asarray(atlas.patch("inception3b", 0, 80, frame=False, margin=margin).convert("L"))
            bright = torch.from_numpy(patch > 100).nonzero().float()
            assert (bright.mean(0) - 39.5).abs().max() < 1.5, margin


def test_vectors_that_are_not_stored_are_computed(network, material):
    pictures, _, labels, samples, concepts = material
    bare = [method.Samples(each.layer, torch.empty(60, 0), each.images, each.positions) for each in samples]
    nearest = {each.layer: found.nearest(each.vectors, 20) for each, found in zip(samples, concepts, strict=True)}
    atlas = ConceptAtlas(network, pictures, bare, concepts, labels=labels, nearest=nearest)
    for each in samples:
        torch.testing.assert_close(atlas.vectors(each.layer, [3, 50, 4]), each.vectors[[3, 50, 4]], rtol=1e-4, atol=1e-4)
        assert torch.equal(atlas.nearest[each.layer], nearest[each.layer])


def test_the_atlas_of_the_lesson_is_that_of_the_study():
    atlas = scenes_atlas(layers=("inception3b", "inception4e"))
    assert atlas.layers == ["inception3b", "inception4e"] and len(atlas.pictures) == stored.PICTURES
    torch.testing.assert_close(atlas.pictures[[3, 1998]], stored.pictures([3, 1998]))
    assert torch.equal(atlas.pictures[-2:], atlas.pictures[torch.tensor([1998, 1999])]) and atlas.pictures[5].shape == (
        3,
        96,
        96,
    )
    assert atlas.scenery[:2].dtype == torch.bool and atlas.scenery[:2].shape == (2, 96, 96)
    for layer in atlas.layers:
        for concept in (0, 40):
            name, share = stored.named(layer, concept)
            shares = {part.name: part.share for part in atlas.parts_of(layer, concept)}
            assert shares[name] == pytest.approx(share) == max(shares.values())


def test_patches_at_the_rim_stay_in_the_picture(atlas):
    for layer in LAYERS:
        for sample in range(20):
            assert atlas.patch(layer, sample, 50).size == (50, 50)


def test_concepts_and_samples_must_be_of_the_same_layers(network, material):
    pictures, _, _, samples, concepts = material
    with pytest.raises(ValueError, match="both for each layer"):
        ConceptAtlas(network, pictures, samples[:1], concepts)


def test_without_parts_nothing_is_said_of_them(network, material):
    pictures, _, _, samples, concepts = material
    lab = ConceptBrowser(ConceptAtlas(network, pictures, samples, concepts))
    lab.set(name="anything")
    assert lab.answer_value()["parts"] == {} and "label" not in lab.text.value and "Give it a name" not in lab.text.value


# --- concept browser ---


def test_the_parts_are_told_only_when_the_concept_has_a_name(browser, atlas):
    browser.set(layer="inception4b", concept=3)
    best = atlas.parts_of("inception4b", 3)[0]
    assert "Give it a name" in browser.text.value and best.name not in browser.text.value and browser.result.parts == []
    browser.set(name="thing")
    assert f"{best.name} {100 * best.share:.0f} % (" in browser.text.value and browser.result.parts[0] == best
    scenery = sum(part.share for part in browser.result.parts if part.name in SCENERY_PARTS)
    assert f"Scenery in all: {100 * scenery:.0f} %." in browser.text.value
    browser.set(name="   ")
    assert "Give it a name" in browser.text.value and browser.result.parts == []


def test_names_survive_changes_of_layer_and_concept(browser, atlas):
    given = {("inception4b", 1): "wheel", ("inception4b", 2): "eye", ("inception3b", 1): "edge", ("inception4e", 9): "sky"}
    for (layer, concept), name in given.items():
        browser.set(layer=layer, concept=concept, name=name)
    browser.set(layer="inception4e", concept=0)
    assert browser.controls["name"].value == ""
    for (layer, concept), name in given.items():
        answer = browser.set(layer=layer, concept=concept).answer_value()
        assert {key: answer[key] for key in ("layer", "concept", "name")} == {"layer": layer, "concept": concept, "name": name}
    assert all(atlas.names[node] == name for node, name in given.items())
    assert ConceptBrowser(atlas).set(layer="inception4b", concept=2).answer_value()["name"] == "eye"
    for layer, concept in given:
        atlas.rename(layer, concept, "")
    assert browser.controls["name"].value == "" and not any(node in atlas.names for node in given)


def test_a_layer_with_fewer_concepts_takes_the_last_one(browser):
    browser.set(layer="inception3b", concept=13)
    browser.set(layer="inception4e")
    assert browser.state["concept"] == 9 == browser.controls["concept"].max and browser.errors == []
    browser.set(layer="inception3b", concept=12)
    assert browser.state["concept"] == 12


def test_the_map_is_that_of_the_decomposition(browser, network, material):
    pictures, *_, concepts = material
    browser.set(layer="inception4b", concept=5, picture=list(browser.shown)[4])
    maps = method.pointwise_feature_vectors(network, pictures[4:5], "inception4b")
    expected = method.decompose(maps, concepts[1]).coefficients[0, 5]
    torch.testing.assert_close(browser.result.map, expected)


def test_the_frame_is_around_what_the_strongest_position_has_seen(browser, network):
    for layer, concept in (("inception3b", 2), ("inception4b", 5), ("inception4e", 1)):
        for picture in list(browser.shown)[:3]:
            result = browser.compute(layer, concept, picture, "")
            if not bool(result.map.any()):
                assert result.box is None and "nowhere" in browser.describe(result, layer, concept, picture)
                continue
            (place,) = (result.map == result.map.max()).nonzero()
            field = method.gradient_receptive_field(network, browser.shown[picture][None], layer, place[None])
            assert result.box == tuple(method.boxes(field, share=0.7, margin=0)[0].tolist())


def test_a_picture_of_ones_own(atlas, material):
    lab = ConceptBrowser(atlas)
    lab.add(material[0][50], "the fiftieth")
    assert lab.state["picture"] == "the fiftieth" and lab.errors == []
    assert torch.equal(lab.shown["the fiftieth"], material[0][50])
    lab.add(torch.rand(3, 120, 96), "the fiftieth")  # again, and of another size
    assert lab.result.map.shape == (7, 6) and list(lab.shown).count("the fiftieth") == 1 and lab.errors == []


@pytest.mark.parametrize("name", ["$x$ $", "<b>bold</b>", "a very long name " * 10, "\\frac", "100 %"])
def test_odd_names_are_only_words(browser, graph, remover, atlas, name):
    node = next(node for node in graph.graphs["one picture"] if node.startswith("inception4b"))
    layer, concept = graph.view.at[node]
    browser.set(layer=layer, concept=concept, name=name)
    graph.set(graph="one picture", node=node)
    assert graph.snapshot()[:4] == b"\x89PNG" and "<b>" not in graph.text.value + browser.text.value
    remover.set(concept=concept)
    assert browser.errors == graph.errors == remover.errors == []
    atlas.rename(layer, concept, "")


# --- concept graph ---


@pytest.mark.parametrize(
    ("value", "written"),
    [(140.3, "+140"), (-183.32, "−183"), (99.96, "+100"), (14.24, "+14"), (1.26, "+1.3"), (-0.042, "−0.042"), (0, "0")],
)
def test_numbers_are_written_as_people_do(value, written):
    assert words.number(value) == written
    assert words.number(value, sign=False) == written.replace("+", "")
    assert words.number(1e-9) == words.number(-1e-9) == "0"
    assert words.number(-4.356, 3) == "−4.36" and words.number(12345.6) == "+12346"


def shown_nodes(graph):
    """The buttons that are on the page, by node."""
    rows = graph.view.rows[graph.state["graph"]]
    return {
        rows[layer][number]: button
        for layer, buttons in graph.view.buttons.items()
        for number, button in enumerate(buttons)
        if button.layout.display != "none"
    }


def looks(button):
    return {each.removeprefix("vizcourse-") for each in button._dom_classes}


def lines_of(graph):
    """(x at the bottom, x at the top, dashed, marked) of the lines that are drawn."""
    found = []
    for lines in graph.view.lines.values():
        if lines.layout.display != "none":
            for line in re.findall(r"<line [^>]*>", lines.value):
                below, above = (float(re.search(rf'{name}="([\d.]+)"', line).group(1)) for name in ("x1", "x2"))
                found.append((below, above, "dasharray" in line, "#999" not in line))
    return sorted(found)


def test_rows_go_from_the_first_layer_to_the_class(graphs):
    for name, graph in graphs.items():
        rows = rows_of(graph)
        assert tuple(rows) == (*LAYERS, "class") and {node for nodes in rows.values() for node in nodes} == set(graph.nodes)
        for layer in LAYERS if name == "one picture" else ():
            importance = [graph.nodes[node]["importance"] for node in rows[layer]]
            assert importance == sorted(importance, reverse=True)


def test_between_two_classes_nodes_stand_on_the_side_of_theirs(graphs):
    graph = graphs["two classes"]
    rows = rows_of(graph)
    first, second = (f"importance:{graph.nodes[top]['concept']}" for top in rows["class"])
    for layer in LAYERS:
        sizes = [max(graph.nodes[node][key] for node in rows[layer]) for key in (first, second)]
        lean = [graph.nodes[node][second] / sizes[1] - graph.nodes[node][first] / sizes[0] for node in rows[layer]]
        assert lean == sorted(lean)


def test_every_node_is_a_button_with_a_picture_and_words(graph, graphs):
    style = graph.view.box.children[0].value
    for name, drawn in graphs.items():
        graph.set(graph=name)
        buttons = shown_nodes(graph)
        assert set(buttons) == set(drawn.nodes)
        for node, button in buttons.items():
            layer, number = graph.view.at[node]
            if layer == "class":
                assert button.description == scenes.CLASSES[number] and "wordy" in looks(button)
                continue
            assert f"{graph.view.own[node]} {{background-image: url(data:image/jpeg;base64," in style
            assert graph.view.own[node] in button._dom_classes
            assert " ".join(button.description.split()).removeprefix("◆ ") == f"{layer} · concept {number}"
            assert button.tooltip.startswith(f"{layer} · concept {number}, contribution")
    assert "http" not in style


def test_tracing_marks_exactly_the_edges_of_the_node(graph, graphs):
    for name, drawn in graphs.items():
        graph.set(graph=name, trace=OWN)
        for node in drawn.nodes:
            result = graph.compute(name, node, OWN, 0.1)
            expected = set(drawn.in_edges(node)) | set(drawn.out_edges(node))
            assert set(result.edges) == expected and len(result.edges) == len(expected)
            assert dict(result.causes) == {a: drawn.edges[a, node]["weight"] for a in drawn.predecessors(node)}
            assert dict(result.effects) == {b: drawn.edges[node, b]["weight"] for b in drawn.successors(node)}
            graph.view.show(name, node, result.edges, 0.1)
            places = graph.view.places(name)
            ends = [(round(places[a], 1), round(places[b], 1), drawn.edges[a, b]["weight"] < 0, True) for a, b in expected]
            assert [line for line in lines_of(graph) if line[3]] == sorted(ends)
            touched = {end for edge in expected for end in edge} - {node}
            for other, button in shown_nodes(graph).items():
                state = "chosen" if other == node else "traced" if other in touched else "aside"
                assert looks(button) & {"chosen", "traced", "aside"} == {state}
        answer = graph.set(node=node).answer_value()
        assert answer == {"graph": name, "node": node, "causes": result.causes, "effects": result.effects}


def test_lines_end_in_the_middle_of_their_buttons(graph, graphs):
    for name in graphs:
        graph.set(graph=name)
        places = graph.view.places(name)
        for layer, nodes in graph.view.rows[name].items():
            here = float(graph.view.lanes[layer].children[0].layout.width[:-2])
            for button, node in zip(graph.view.buttons[layer], nodes, strict=False):
                width, margin = float(button.layout.width[:-2]), float(button.layout.margin.split()[1][:-2])
                assert here + margin + width / 2 == pytest.approx(places[node], abs=0.5)
                here += width + 2 * margin


def test_the_strongest_path_follows_the_strongest_edges(graph, graphs):
    for name, drawn in graphs.items():
        for node in drawn.nodes:
            result = graph.compute(name, node, PATH, 0.1)
            edges, here = set(), node
            while causes := list(drawn.in_edges(here, data="weight")):
                strongest = max(causes, key=lambda edge: abs(edge[2]))
                edges.add(strongest[:2])
                here = strongest[0]
            here = node
            while effects := list(drawn.out_edges(here, data="weight")):
                strongest = max(effects, key=lambda edge: abs(edge[2]))
                edges.add(strongest[:2])
                here = strongest[1]
            assert set(result.edges) == edges and len(edges) == 3
        graph.set(graph=name, node=here, trace=PATH)
        assert sum(line[3] for line in lines_of(graph)) == 3
    graph.set(trace=OWN)


def test_a_click_is_the_same_as_the_choice(graph):
    graph.set(graph="two classes")
    for node, button in shown_nodes(graph).items():
        button.click()
        assert graph.state["node"] == node and "chosen" in looks(button)


def test_a_node_may_be_named_by_layer_and_number(graph):
    assert graph.set(graph="two classes", node=("class", 5)).state["node"] == "class:5"


def test_a_choice_stays_where_the_other_graph_has_it_too(graph, graphs):
    both = next(node for node in graphs["one picture"].nodes if node in graphs["two classes"])
    only = next(node for node in graphs["two classes"].nodes if node not in graphs["one picture"])
    assert graph.set(graph="two classes", node=both).set(graph="one picture").state["node"] == both
    assert graph.set(graph="two classes", node=only).set(graph="one picture").state["node"] == "class:16"
    with pytest.raises(ValueError, match="does not take"):
        graph.set(node=only)
    assert graph.errors == []


def test_weak_edges_are_hidden_but_never_the_marked_ones(graph, graphs):
    graph.set(graph="two classes", node="class:3", trace=OWN, least=0.0)
    assert len(lines_of(graph)) == graphs["two classes"].number_of_edges()
    graph.set(least=1.0)
    lines = lines_of(graph)
    assert sum(line[3] for line in lines) == 6 and len(lines) <= 6 + 3  # and the strongest between any two rows
    graph.set(least=0.1)


def test_shared_concepts_are_marked_by_more_than_a_colour(graph, graphs):
    graph.set(graph="two classes")
    expected = {node for node, there in graphs["two classes"].nodes(data="shared") if there}
    buttons = shown_nodes(graph)
    assert {node for node, button in buttons.items() if "shared" in looks(button)} == expected
    assert {node for node, button in buttons.items() if button.description.startswith("◆")} == expected
    assert f"the {len(expected)} concepts that the classes share" in graph.text.value
    graph.set(graph="one picture")
    assert not any("shared" in looks(button) for button in shown_nodes(graph).values())


def test_a_name_is_shown_wherever_the_concept_is(browser, graph, remover, atlas):
    node = next(node for node in graph.graphs["one picture"] if graph.view.at[node][0] == "inception4b")
    layer, concept = graph.view.at[node]
    graph.set(graph="one picture", node=node)
    remover.set(concept=concept)
    browser.set(layer=layer, concept=concept, name="wheel")
    assert "wheel" in shown_nodes(graph)[node].description and "wheel" in graph.text.value
    assert any("wheel" in label for label, _ in graph.controls["node"].options) and graph.state["node"] == node
    assert "wheel" in remover.text.value and remover.state["concept"] == concept
    atlas.rename(layer, concept, "")
    assert "wheel" not in graph.text.value + remover.text.value and browser.controls["name"].value == ""


def test_the_text_says_how_the_picture_is_read(graph):
    for name, expected in (("one picture", "contributes most to the class is on the left"), ("two classes", "alone to what")):
        said = graph.set(graph=name).text.value
        assert expected in said and "dashed against" in said and "black frame" in said and not re.search(r"\de[+-]\d", said)
    assert "dashed" not in "".join(re.findall(r"vizcourse-(?:chosen|traced) \{[^}]*\}", graph.view.box.children[0].value))


def test_the_static_copy_is_the_graph_and_small(graph, graphs):
    for name in graphs:
        graph.set(graph=name)
        assert graph.snapshot() != bytes(graph.picture.value) and len(graph.snapshot()) < 150_000


def test_graphs_that_do_not_fit_are_refused(atlas):
    for graphs in ({}, {"empty": networkx.DiGraph()}):
        with pytest.raises(ValueError, match="build_graph"):
            ConceptGraph(graphs, atlas)
    other = networkx.DiGraph([("inception4b:99", "class:3", {"weight": 1.0})])
    networkx.set_node_attributes(other, {"inception4b:99": {"layer": "inception4b", "concept": 99}})
    networkx.set_node_attributes(other, {"class:3": {"layer": "class", "concept": 3}})
    with pytest.raises(ValueError, match="same concepts"):
        ConceptGraph({"other": other}, atlas)


def test_the_graph_of_the_method_is_taken_as_it_is(atlas, network, material):
    pictures, targets, _, _, concepts = material
    for chosen in ([0], [0, 1, 2]):
        built = build_graph(network, pictures[chosen], targets[chosen], concepts, top=3, steps=4)
        lab = ConceptGraph({"built": built}, atlas, pictures={"built": pictures[0]})
        assert set(shown_nodes(lab)) == set(built.nodes) and lab.errors == []
        for node in built.nodes:
            assert set(lab.compute("built", node, OWN, 0.1).edges) == set(built.in_edges(node)) | set(built.out_edges(node))
        assert lab.set(node=node).errors == []


# --- remove a concept ---


def test_at_scale_one_nothing_changes(remover, network):
    for number, picture in enumerate(remover.shown):
        for concept in range(COUNTS["inception4b"]):
            result = remover.compute(picture, concept, 1.0)
            assert all(not change.any() for change in (*result.measured, *result.predicted))
        with torch.no_grad():
            logits = network(remover.shown[picture][None])[0]
        torch.testing.assert_close(remover.scaling.before[number][0], logits, rtol=0, atol=0)
    remover.set(scale=0.5).set(concept=remover.controls["concept"].options[0][1], scale=1.0)
    assert "nothing changes" in remover.text.value


def test_the_prediction_is_the_scale_less_one_times_gig(remover, network, material):
    _, _, _, _, concepts = material
    number = 2
    image = remover.shown[list(remover.shown)[number]][None]
    parts = method.decompose(method.pointwise_feature_vectors(network, image, "inception4b"), concepts[1])
    result = remover.set(picture=list(remover.shown)[number]).result
    to_classes = generalized_integrated_gradients(network, image, result.classes, parts, steps=4).edges[0]
    to_later = generalized_integrated_gradients(
        network, image, result.targets, parts, concepts[2], steps=4
    ).edges[0]
    for concept, scale in ((0, 0.0), (5, 0.4), (11, 2.0)):
        result = remover.set(concept=concept, scale=scale).result
        for predicted, edges in zip(result.predicted, (to_classes, to_later), strict=True):
            torch.testing.assert_close(predicted, (scale - 1) * edges[:, concept], rtol=1e-3, atol=1e-4)


def test_what_is_scaled_is_the_concepts_share_of_the_activation(remover, network, material):
    from vizcourse.hooks import capture, replace

    _, _, _, _, concepts = material
    remover.set(picture=list(remover.shown)[1], scale=0.0)
    concept = remover.controls["concept"].options[0][1]
    result = remover.set(concept=concept).result
    image = remover.shown[list(remover.shown)[1]][None]
    share = result.map * concepts[1].vectors[concept][:, None, None]
    with torch.no_grad(), replace(network, {"inception4b": lambda maps: maps - share}), capture(network, "inception4e") as acts:
        logits = network(image)[0]
    torch.testing.assert_close(result.scores[0][1], logits[result.classes], rtol=1e-4, atol=1e-4)
    scores = torch.einsum("chw,kc->k", acts["inception4e"][0], concepts[2].vectors)
    torch.testing.assert_close(result.scores[1][1], scores[result.targets], rtol=1e-4, atol=1e-3)
    assert result.measured[0].abs().max() > 0.01


def test_the_concepts_come_by_importance_and_absent_ones_say_so(remover):
    for picture in list(remover.shown)[:2]:
        remover.set(picture=picture, scale=0.0)
        options = remover.controls["concept"].options
        sizes = []
        for label, concept in options:
            result = remover.compute(picture, concept, 0.0)
            sizes.append(abs(float(result.edges[0][0])))
            absent, said = not bool(result.map.any()), remover.describe(result, picture, concept, 0.0)
            assert ("not here" in label) == absent and ("not there" in said) == absent
        assert sizes == sorted(sizes, reverse=True) and len(options) == COUNTS["inception4b"]


def test_the_answer_holds_measurement_and_prediction(remover):
    result = remover.set(picture=list(remover.shown)[0], scale=0.0).result
    answer = remover.answer_value()
    assert answer["change"] == float(result.measured[0][0]) and answer["predicted"] == float(result.predicted[0][0])
    assert answer["predicted"] == -float(result.edges[0][0]) and answer["scale"] == 0


def test_a_layer_with_nothing_after_it_is_refused(atlas):
    for arguments, message in (
        (("inception4e",), "another after it"),
        (("conv3",), "another after it"),
        (("inception4b", "fc"), "no layer"),
    ):
        with pytest.raises(ValueError, match=message):
            RemoveConcept(atlas, *arguments)


# --- all of them ---


def test_the_explorers_are_like_all_others(explorers, network):
    every_explorer.takes_every_control_at_its_ends(explorers)
    every_explorer.refuses_invalid_values(explorers)
    every_explorer.can_be_read_out(explorers)
    every_explorer.survives_a_storm(explorers, [network])


def test_a_storm_of_clicks_ends_at_the_last(graph):
    async def clicks():
        for _ in range(5):
            for button in shown_nodes(graph).values():
                button.click()
        while graph._timer is not None:
            await asyncio.sleep(PAUSE)

    asyncio.run(clicks())
    assert list(shown_nodes(graph))[-1] == graph.state["node"] and graph.errors == []


def test_the_atlas_does_not_keep_its_explorers(network, material):
    atlas = new_atlas(network, material)
    lab = ConceptBrowser(atlas)
    assert lab in atlas._watching
    lab.close()
    gone = weakref.ref(lab)
    del lab
    gc.collect()
    assert gone() is None and len(atlas._watching) == 0
    atlas.rename("inception4b", 0, "nobody looks on")


def test_the_explorers_of_the_lessons_atlas(network):
    atlas = scenes_atlas(network, layers=("inception4b", "inception4e"))
    lab = ConceptBrowser(atlas, {"a bus": atlas.pictures[3]})
    lab.set(layer="inception4e", concept=18, name="window")
    assert lab.errors == [] and sum(lab.answer_value()["parts"].values()) == pytest.approx(1)
    assert lab.result.parts[0].name in lab.text.value
    remover = RemoveConcept(atlas, "inception4b", pictures={"a bus": atlas.pictures[3]}, steps=2)
    assert remover.set(scale=0).errors == []
