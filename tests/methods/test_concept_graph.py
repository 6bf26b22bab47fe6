"""Generalized integrated gradients: closed forms, completeness, captum on the same function, both modes, the graph."""

import json
from dataclasses import replace

import networkx
import pytest
import torch
import torchvision
from torch import nn

from tests.methods.untouched import untouched
from tests.peers import peer
from vizcourse.methods import concept_graph
from vizcourse.methods.concept_graph import build_graph, generalized_integrated_gradients, importance, shared_concepts, tail_of
from vizcourse.methods.concepts import Concepts, decompose, extract_concepts, pointwise_feature_vectors
from vizcourse.models import load
from vizcourse.models.networks import SmallResNet
from vizcourse.worlds import scenes


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Toy(nn.Module):
    """Three convolutions with ReLUs in place, one of them bypassed, to three logits."""

    def __init__(self, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv1, self.conv2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
            self.norm, self.inner = nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, padding=1)
            self.relu1, self.relu2, self.relu3 = nn.ReLU(inplace=True), nn.ReLU(inplace=True), nn.ReLU(inplace=True)
            self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(6, 3)

    def forward(self, images):
        hidden = self.relu2(self.norm(self.conv2(self.relu1(self.conv1(images)))))
        return self.fc(self.pool(self.relu3(hidden + self.inner(hidden))).flatten(1))


PICTURES = torch.rand(4, 3, 8, 10, generator=generator(1))
CLASSES = torch.tensor([0, 2, 1, 2])


def concepts_of(model, layer, count, images=PICTURES):
    """As many concepts as asked for, from all positions."""
    maps = pointwise_feature_vectors(model, images, layer)
    return extract_concepts(maps.permute(0, 2, 3, 1).flatten(0, 2), count, layer=layer)


@pytest.fixture
def toy():
    return Toy().eval()


@pytest.fixture(scope="module")
def googlenet():
    return load("googlenet-scenes")


@pytest.fixture(scope="module")
def pictures():
    return scenes.render(scenes.sample(12, seed=3))


@pytest.fixture(scope="module")
def real(googlenet, pictures):
    return [concepts_of(googlenet, layer, 20, pictures) for layer in ("inception4b", "inception4e")]


# ----------------------------------------------------------------------------------------------- attributions by hand


def test_a_linear_tail_has_a_closed_form():
    """Between 1 × 1 convolutions, an edge is the sum of the coefficients times <W v_q, v_r>, and biases have no part."""
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    for parameter in model.parameters():
        parameter.data = torch.rand(parameter.shape, generator=generator(parameter.ndim))
    source, target = concepts_of(model, "0", 4), concepts_of(model, "1", 3)
    parts = decompose(pointwise_feature_vectors(model, PICTURES, "0"), source)
    between = source.vectors @ model[1].weight[:, :, 0, 0].T @ target.vectors.T  # (K, T)
    maps = torch.einsum("nkhw,kt->ntkhw", parts.coefficients, between).detach()
    found = generalized_integrated_gradients(model, PICTURES, None, parts, target, steps=1, positions=True)
    torch.testing.assert_close(found.maps, maps)
    torch.testing.assert_close(found.edges, maps.sum((3, 4)))
    torch.testing.assert_close(found.change, maps.sum((2, 3, 4)))
    # The logits are means over 80 positions.
    logits = torch.einsum("nkhw,kc,dc->ndk", parts.coefficients, source.vectors, model[1].weight[:, :, 0, 0]).detach() / 80
    torch.testing.assert_close(generalized_integrated_gradients(model, PICTURES, None, parts, steps=2).edges, logits)


@pytest.mark.parametrize("target", [None, "relu3"])
def test_contributions_are_complete_for_the_reconstruction(toy, target):
    source, target = concepts_of(toy, "relu1", 8), target and concepts_of(toy, target, 4)
    parts = decompose(pointwise_feature_vectors(toy, PICTURES, "relu1"), source)
    assert parts.error.min() > 1e-4
    found = generalized_integrated_gradients(toy, PICTURES, None, parts, target)
    scores = tail_of(toy, PICTURES, None, "relu1", target)
    with torch.no_grad():
        change = scores(parts.reconstruction) - scores(torch.zeros_like(parts.reconstruction))
    torch.testing.assert_close(found.change, change)
    assert found.gap.shape == (4,) and found.gap.max() <= 0.01
    close = generalized_integrated_gradients(toy, PICTURES, None, parts, target, steps=512)
    assert close.gap.max() < found.gap.max() and close.gap.max() < 1e-3
    torch.testing.assert_close(found.gap, (found.edges.sum(2) - change).norm(dim=1) / change.norm(dim=1))


def test_completeness_on_googlenet(googlenet, pictures, real):
    for target, targets in ((real[1], torch.arange(6)), (None, googlenet(pictures[:4]).argmax(1)[:, None])):
        found = generalized_integrated_gradients(googlenet, pictures[:4], targets, real[0], target, steps=32)
        assert found.gap.max() <= 0.01


def test_absent_concepts_cause_nothing(toy):
    source = concepts_of(toy, "relu1", 8)
    parts = decompose(pointwise_feature_vectors(toy, PICTURES, "relu1"), source)
    absent = torch.zeros(4, 8, dtype=torch.bool)
    absent[0, 1:4] = absent[1, 5] = absent[3, ::2] = True
    coefficients = parts.coefficients.masked_fill(absent[:, :, None, None], 0)
    rebuilt = torch.einsum("nkhw,kc->nchw", coefficients, source.vectors)
    residual = parts.reconstruction + parts.residual - rebuilt
    parts = replace(parts, coefficients=coefficients, reconstruction=rebuilt, residual=residual)
    for target in (None, concepts_of(toy, "relu3", 12)):
        edges = generalized_integrated_gradients(toy, PICTURES, None, parts, target).edges
        assert (edges.transpose(1, 2)[absent] == 0).all() and (edges.transpose(1, 2)[~absent] != 0).any()


# --------------------------------------------------------------------------------------------------------------- peer


def integrated(tail, parts, row, steps):
    """captum's integrated gradients of the r-th score, from coefficients of all pictures: ``(N, K, h, w)``."""
    captum = peer("captum.attr")

    def function(coefficients):
        return tail(torch.einsum("nkhw,kc->nchw", coefficients, parts.concepts.vectors))[:, row]

    method = captum.IntegratedGradients(function)
    return method.attribute(parts.coefficients, n_steps=steps, method="riemann_middle", internal_batch_size=None)


def agree(one, other, tolerance=1e-5):
    assert (one - other).abs().max() <= tolerance * other.abs().max()


@pytest.mark.parametrize("positive", [True, False])
def test_agrees_with_captum_in_double_precision(positive):
    model = Toy().double().eval()
    images = PICTURES.double()
    source, target = concepts_of(model, "relu1", 5, images), concepts_of(model, "relu3", 3, images)
    maps = pointwise_feature_vectors(model, images, "relu1")
    parts = decompose(maps, source, positive=positive)

    def tail(hidden):  # written out, apart from replay
        hidden = model.relu2(model.norm(model.conv2(hidden)))
        return torch.einsum("nchw,kc->nk", model.relu3(hidden + model.inner(hidden)), target.vectors)

    found = generalized_integrated_gradients(model, images, None, parts, target, steps=7, positions=True)
    assert found.maps.dtype == torch.float64
    for row in range(3):
        agree(found.maps[:, row], integrated(tail, parts, row, 7), 1e-6)  # captum's points are single-precision numbers


def test_agrees_with_captum_on_googlenet(googlenet, pictures, real):
    images, (source, target) = pictures[:2], real
    parts = decompose(pointwise_feature_vectors(googlenet, images, "inception4b"), source)
    wanted = torch.tensor([0, 7])
    found = generalized_integrated_gradients(googlenet, images, wanted, parts, target, steps=4, positions=True)
    between = nn.Sequential(googlenet.inception4c, googlenet.inception4d, googlenet.inception4e)

    def tail(hidden):
        return torch.einsum("nchw,kc->nk", between(hidden), target.vectors[wanted])

    for row in range(2):
        agree(found.maps[:, row], integrated(tail, parts, row, 4))


# ---------------------------------------------------------------------------------------------------- the two modes


def both_modes(model, images, source, target, targets=None, steps=5):
    parts = decompose(pointwise_feature_vectors(model, images, source.layer), source)
    given = (tail_of(model, images, targets, source.layer, target), parts.reconstruction, parts.coefficients)
    back, maps = concept_graph._from_targets(*given, source.vectors, steps, True)
    ahead = concept_graph._from_sources(*given, source.vectors, steps, back.shape[1])
    torch.testing.assert_close(maps.sum((3, 4)), back)
    assert ahead.abs().max() > 0 and ahead.isfinite().all()
    agree(ahead, back)


RESIDUALS = {
    "ResNet-18": lambda: torchvision.models.resnet18(weights=None, num_classes=5),
    "small": lambda: SmallResNet(5, widths=(6, 8, 8), blocks=1),
}


@pytest.mark.parametrize("name", RESIDUALS)
@pytest.mark.parametrize("source, target", [("layer1", "layer2"), ("layer2.0.conv2", "layer3"), ("layer2", None)])
def test_forward_and_reverse_mode_agree_on_residual_networks(name, source, target):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = RESIDUALS[name]().eval().requires_grad_(False)
    images = torch.rand(3, 3, 32, 32, generator=generator(2))
    source, target = concepts_of(model, source, 6, images), target and concepts_of(model, target, 4, images)
    both_modes(model, images, source, target)


def test_both_modes_on_a_vision_transformer():
    """Its attention has no forward derivatives in PyTorch's fast path; its stem is the layer with maps."""
    model, images = load("vit-scenes"), torch.rand(2, 3, 96, 96, generator=generator(2))
    fast = torch.backends.mha.get_fastpath_enabled()
    both_modes(model, images, concepts_of(model, "conv_proj", 3, images), None, torch.tensor([0, 3]), steps=2)
    assert torch.backends.mha.get_fastpath_enabled() == fast


def test_both_modes_on_googlenet(googlenet, pictures, real):
    both_modes(googlenet, pictures[:3], *real, targets=torch.tensor([[0, 5], [3, 2], [1, 1]]), steps=3)


def test_the_cheaper_mode_is_taken_and_gives_the_same(toy, monkeypatch):
    few, many = concepts_of(toy, "relu1", 2), concepts_of(toy, "relu3", 9)
    taken = []
    for name in ("_from_targets", "_from_sources"):
        original = getattr(concept_graph, name)
        monkeypatch.setattr(
            concept_graph, name, lambda *given, name=name, original=original: taken.append(name) or original(*given)
        )
    ahead = generalized_integrated_gradients(toy, PICTURES, None, few, many)
    back = generalized_integrated_gradients(toy, PICTURES, None, few, many, positions=True)
    one = generalized_integrated_gradients(toy, PICTURES, [3], few, many)
    assert taken == ["_from_sources", "_from_targets", "_from_targets"]
    agree(ahead.edges, back.edges)
    agree(one.edges, back.edges[:, 3:4])


@pytest.mark.parametrize("target", [None, "relu3"])
def test_targets_of_each_picture(toy, target):
    source, target = concepts_of(toy, "relu1", 8), target and concepts_of(toy, target, 3)
    every = generalized_integrated_gradients(toy, PICTURES, None, source, target)
    rows = torch.tensor([[0, 2], [2, 2], [1, 0], [0, 1]])
    found = generalized_integrated_gradients(toy, PICTURES, rows, source, target)
    picked = every.edges.gather(1, rows[:, :, None].expand(-1, -1, 8))
    torch.testing.assert_close(found.edges, picked)
    torch.testing.assert_close(found.change, every.change.gather(1, rows))
    if target is None:
        torch.testing.assert_close(importance(toy, PICTURES, rows[:, 1], source), picked[:, 1])


def test_chunks_of_pictures_do_not_matter(toy):
    source, target = concepts_of(toy, "relu1", 8), concepts_of(toy, "relu3", 3)
    rows = torch.tensor([[0, 2], [2, 2], [1, 0], [0, 1]])
    whole = generalized_integrated_gradients(toy, PICTURES, rows, source, target, positions=True)
    parts = generalized_integrated_gradients(toy, PICTURES, rows, source, target, positions=True, batch=3)
    for name in ("edges", "change", "maps", "gap"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name))


# -------------------------------------------------------------------------------------------------------------- graph


LAYERS = ("relu1", "relu2", "relu3")


@pytest.fixture
def graph(toy):
    return build_graph(toy, PICTURES, CLASSES, [concepts_of(toy, layer, 8) for layer in LAYERS], top=2, shared=1)


def test_graph_holds_what_it_says(toy, graph):
    layers = [concepts_of(toy, layer, 8) for layer in LAYERS]
    for depth, part in enumerate(layers):
        matters = importance(toy, PICTURES, CLASSES, part)
        nodes = {data["concept"]: data for _, data in graph.nodes(data=True) if data["layer"] == part.layer}
        best = set()
        for means in (matters[CLASSES == c].mean(0) for c in (0, 1, 2)):
            order = means.argsort(descending=True)[:2].tolist()
            best |= {i for i in order if means[i] > 0} or {order[0]}  # what speaks against a class is not shown for it
        assert best <= set(nodes) and {c for c in nodes if not nodes[c]["shared"]} <= best
        assert len(nodes) <= 3 * 2 + 3 * 1
        for concept, data in nodes.items():
            assert data["depth"] == depth
            assert data["importance"] == pytest.approx(float(matters[:, concept].mean()), rel=1e-4, abs=1e-6)
            assert data["importance:2"] == pytest.approx(float(matters[CLASSES == 2, concept].mean()), rel=1e-4, abs=1e-6)
        if depth:
            edges = generalized_integrated_gradients(toy, PICTURES, None, layers[depth - 1], part)
            for concept in nodes:
                effect = f"{part.layer}:{concept}"
                for cause, _, data in graph.in_edges(effect, data=True):
                    index = graph.nodes[cause]["concept"]
                    weight = float(edges.edges[:, concept, index].mean())
                    assert data["weight"] == pytest.approx(weight, rel=1e-3, abs=1e-5)
                    change = abs(float(edges.change[:, concept].mean()))
                    assert data["share"] == pytest.approx(weight / change, rel=1e-3, abs=1e-5)
    matters = importance(toy, PICTURES, CLASSES, layers[-1])
    for cause, _, data in graph.in_edges("class:2", data=True):
        index = graph.nodes[cause]["concept"]
        assert data["weight"] == pytest.approx(float(matters[CLASSES == 2, index].mean()), rel=1e-3, abs=1e-6)


def test_graph_runs_from_cause_to_effect_between_neighbouring_layers(graph):
    assert networkx.is_directed_acyclic_graph(graph)
    depths = networkx.get_node_attributes(graph, "depth")
    assert set(depths.values()) == {0, 1, 2, 3}
    assert {depths[effect] - depths[cause] for cause, effect in graph.edges} == {1}
    assert {node for node in graph if node.startswith("class")} == {"class:0", "class:1", "class:2"}
    for depth in (0, 1, 2):  # all pairs
        sizes = [sum(value == d for value in depths.values()) for d in (depth, depth + 1)]
        assert sum(depths[cause] == depth for cause, _ in graph.edges) == sizes[0] * sizes[1]
    assert graph.graph["pictures"] == 4 and 0 <= graph.graph["gap"] <= 0.05
    assert all(0 < graph.graph[f"error:{layer}"] < 1 for layer in LAYERS)


def test_graph_of_one_picture_has_the_top_concepts_and_none_shared(toy):
    layers = [concepts_of(toy, layer, 8) for layer in LAYERS]
    graph = build_graph(toy, PICTURES[:1], [1], layers, top=3)
    counts = [sum(data["layer"] == layer for _, data in graph.nodes(data=True)) for layer in LAYERS]
    assert not any(shared for _, shared in graph.nodes(data="shared"))
    speaking = [int((importance(toy, PICTURES[:1], [1], part)[0] > 0).sum()) for part in layers]
    assert counts == [max(1, min(3, count)) for count in speaking]
    assert len(build_graph(toy, PICTURES[:1], [1], layers[:1], top=50)) == max(1, speaking[0]) + 1


def test_graph_is_deterministic(toy, graph):
    again = build_graph(toy, PICTURES, CLASSES, [concepts_of(toy, layer, 8) for layer in LAYERS], top=2, shared=1)
    assert json.dumps(networkx.node_link_data(again)) == json.dumps(networkx.node_link_data(graph))


def test_graph_exports(graph, tmp_path):
    networkx.write_graphml(graph, tmp_path / "graph.graphml")
    back = networkx.read_graphml(tmp_path / "graph.graphml")
    again = networkx.node_link_graph(json.loads(json.dumps(networkx.node_link_data(graph))))
    for read in (back, again):
        assert read.is_directed() and dict(read.nodes(data=True)) == dict(graph.nodes(data=True))
        assert {(a, b): d for a, b, d in read.edges(data=True)} == {(a, b): d for a, b, d in graph.edges(data=True)}
        assert read.graph["pictures"] == 4


def test_shared_concepts_by_hand():
    first = torch.tensor([[6.0, 2, 2, 0, -1], [4.0, 2, 4, 0, -1]])  # means 5, 2, 3, 0, -1: shares .5 .2 .3 0 0
    second = torch.tensor([[0.5, 3.0, 1.0, 5.5, 2.0]])  # of 12: .04 .25 .08 .46 .17
    assert shared_concepts(first, second, 2).tolist() == [1, 2]
    assert shared_concepts(first, second, 5).tolist() == [1, 2, 0]  # never those that speak against one
    assert shared_concepts(second, first, 5).tolist() == [1, 2, 0]
    assert shared_concepts(-first.abs(), second).tolist() == []


# -------------------------------------------------------------------------------------------------- manners, bad input


@pytest.mark.parametrize("gradients", [False, True])
def test_the_model_is_left_as_it_was(gradients):
    model = Toy().train()
    model.norm.eval()
    model.fc.weight.requires_grad_(False)
    layers = [concepts_of(model, "relu1", 2), concepts_of(model, "relu3", 5)]
    with untouched(model), torch.set_grad_enabled(gradients):
        graph = build_graph(model, PICTURES, CLASSES, layers)
        for positions in (False, True):
            found = generalized_integrated_gradients(model, PICTURES, None, *layers, positions=positions)
            assert not found.edges.requires_grad and not found.change.requires_grad
        with pytest.raises(ValueError):
            generalized_integrated_gradients(model, PICTURES, [3], layers[0])
        for name in ("_from_targets", "_from_sources"):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(concept_graph, name, interrupt)
                with pytest.raises(KeyboardInterrupt):
                    generalized_integrated_gradients(model, PICTURES, None, *layers, positions=name == "_from_targets")
        assert torch.is_grad_enabled() == gradients
    same = build_graph(Toy().eval(), PICTURES, CLASSES, layers)
    assert dict(graph.nodes(data=True)) == dict(same.nodes(data=True))
    assert PICTURES.grad is None


def interrupt(scores, whole, *_):
    scores(whole)
    raise KeyboardInterrupt


UNIT = torch.eye(6)


def gig(model, source="relu1", effect=None, *, images=PICTURES, target=None, **options):
    effect = effect and Concepts(effect, UNIT)
    return generalized_integrated_gradients(model, images, target, Concepts(source, UNIT), effect, steps=1, **options)


def elsewhere(model):
    """A decomposition of relu2 on concepts of relu1, which has as many channels."""
    return decompose(pointwise_feature_vectors(model, PICTURES, "relu2"), Concepts("relu1", UNIT))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: gig(m, "relu3", "relu1"), "'relu3' does not run before 'relu1'"),
        (lambda m: gig(m, "relu1", "relu1"), "does not run before"),
        (lambda m: gig(m, "relu1", "relu9"), "no layer 'relu9'"),
        (lambda m: gig(m, "fc"), "no spatial extent"),
        (lambda m: gig(m, "pool"), "no spatial extent"),
        (lambda m: gig(m, target=[3]), "classes .* from 0 to 2, not 3"),
        (lambda m: gig(m, target=[-1]), "classes .* from 0 to 2, not -1"),
        (lambda m: gig(m, target=[]), "targets have shape"),
        (lambda m: gig(m, target=[[0], [1]]), r"\(4, T\)"),
        (lambda m: gig(m, effect="relu3", target=[6]), "concepts of 'relu3' .* 0 to 5, not 6"),
        (lambda m: gig(m, images=PICTURES[0]), r"images\[None\] makes a batch"),
        (lambda m: gig(m, images=PICTURES * torch.nan), "NaN"),
        (lambda m: generalized_integrated_gradients(m, PICTURES[:2], None, elsewhere(m)), "of 4 pictures and there are 2"),
        (lambda m: generalized_integrated_gradients(m, PICTURES, None, elsewhere(m)), "not of these pictures' activations"),
        (lambda m: generalized_integrated_gradients(m, PICTURES, None, Concepts("relu1", torch.eye(5))), "6 channels"),
        (lambda m: generalized_integrated_gradients(
            m, PICTURES, None, Concepts("relu1", UNIT), Concepts("relu3", torch.eye(5))), "6 channels"),
        (lambda m: importance(m, PICTURES, [0, 1], Concepts("relu1", UNIT)), "one an image, 4 in all"),
        (lambda m: build_graph(m, PICTURES, CLASSES, []), "at least one layer"),
        (lambda m: build_graph(m, PICTURES, [0, 1, 2, 3], [Concepts("relu1", UNIT)]), "classes .* from 0 to 2, not 3"),
        (lambda m: build_graph(m, PICTURES, CLASSES, [Concepts("relu2", UNIT), Concepts("relu1", UNIT)]), "first to the last"),
    ],
)  # fmt: skip
def test_bad_inputs(toy, call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call(toy)
    assert "\n" not in str(caught.value)


def test_layers_of_equal_width_are_told_apart(googlenet, pictures, real):
    """inception4b and inception4c both have 512 channels."""
    wrong = decompose(pointwise_feature_vectors(googlenet, pictures[:2], "inception4c"), real[0])
    with pytest.raises(ValueError, match="layer 'inception4b'"):
        generalized_integrated_gradients(googlenet, pictures[:2], [0], wrong)


def test_a_layer_that_the_source_does_not_reach(googlenet, pictures):
    source, target = Concepts("inception4c.branch1", torch.eye(128)[:3]), Concepts("inception4c.branch2", torch.eye(256)[:3])
    with pytest.raises(ValueError, match="does not depend on"):
        generalized_integrated_gradients(googlenet, pictures[:1], None, source, target)
