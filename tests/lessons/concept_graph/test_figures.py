"""vizcourse.lessons.concept_graph.figures: the figures of photographs, for as many as a learner's folder may hold."""

import networkx
import pytest
import torch

from vizcourse.lessons.concept_graph import figures
from vizcourse.lessons.concept_graph.atlas import ConceptAtlas
from vizcourse.methods.concept_graph import build_graph
from vizcourse.methods.concepts import extract_concepts, sample_vectors


def test_the_nearest_tiles_of_each_concept_say_whose_they_are():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3), torch.nn.ReLU(), torch.nn.Conv2d(6, 8, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(8, 4),
    ).eval()  # fmt: skip
    tiles, classes = torch.rand(8, 3, 12, 12), torch.zeros(8, dtype=torch.long)
    samples = [sample_vectors(network, tiles, classes, layer, steps=1) for layer in ("1", "3")]
    atlas = ConceptAtlas(network, tiles, samples, [extract_concepts(some, 4) for some in samples], targets=classes, count=6)
    graph = build_graph(network, tiles[:1], classes[:1], list(atlas.concepts.values()), top=2, steps=2)
    assert isinstance(graph, networkx.DiGraph)
    shown = figures.nearest_tiles(atlas, graph, torch.arange(8) < 4, "cat")
    assert shown.kind in ("jpeg", "png") and "cat" in shown.description


@pytest.mark.parametrize("count", [1, 4, 9])
def test_one_mark_a_photograph(count):
    row = torch.linspace(0, 1, count)
    shown = figures.own_tiles(row, {"tiles of all": row, "tiles of the others": row}, {"GIG": row}, ["cat"] * count)
    assert shown.kind == "png" and shown.description
