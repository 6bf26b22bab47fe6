"""Alignments, concepts and rendered pictures on the networks of ``test_architectures``, beside plain passes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.methods.test_architectures import CASES, Case, Method, agrees, case_of, close
from vizcourse.methods import concept_evaluation, concept_graph, concepts, das, receptive_fields
from vizcourse.methods import feature_visualization as visualization


def spatial(case: Case, activation: Tensor | None = None) -> Tensor:
    """Maps (N, C, rows, columns): tokens make one row."""
    maps = case.maps(case.activation() if activation is None else activation)
    return maps if maps.ndim == 4 else maps[:, :, None]


def laid_out(case: Case, maps: Tensor) -> Tensor:
    """The way back."""
    return (maps if case.has_places else maps[:, :, 0]).movedim(1, case.axis)


def width(case: Case) -> int:
    return case.activation().shape[case.axis]


def frame(case: Case) -> Tensor:
    return das.random_frame(width(case), 2, torch.Generator().manual_seed(2)).double()


def interchanged(case: Case, directions: Tensor) -> Tensor:
    source = case.activation(case.others).movedim(case.axis, -1)

    def put(activation: Tensor) -> Tensor:
        base = activation.movedim(case.axis, -1)
        return (base + (source - base) @ directions @ directions.T).movedim(-1, case.axis)

    with torch.no_grad():
        return case.run(None, put)[0]


def site(case: Case) -> das.Site:
    return das.Site(case.model, case.images, case.others, case.layer)


def aligned(case: Case) -> tuple[das.Alignment, Tensor]:
    found = das.align(case.model, case.images, case.others, case.labels, case.layer, dim=2, steps=3, progress=False)
    return found, found.logits(site(case))


def check_aligned(case: Case, found: tuple[das.Alignment, Tensor]) -> None:
    alignment, logits = found
    torch.testing.assert_close(alignment.rotation.T @ alignment.rotation, torch.eye(2, dtype=torch.double))
    assert alignment.losses[-1] < alignment.losses[0]
    close(logits, interchanged(case, alignment.rotation))


def gradients(case: Case, maps: Tensor, classes: Tensor, steps: int = 2) -> Tensor:
    """Of each picture's logit with respect to the layer, the mean at the midpoints of the way from zero to the maps."""
    total = torch.zeros_like(maps)
    for step in range(steps):
        point = ((step + 0.5) / steps * maps).requires_grad_()
        logits = case.run(None, lambda _, point=point: laid_out(case, point).clone())[0]
        total += torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), point)[0] / steps
    return total


def vocabulary(case: Case) -> concepts.Concepts:
    vectors = spatial(case).movedim(1, -1).flatten(0, 2)
    return concepts.extract_concepts(vectors, 3, method="random directions", layer=case.layer)


def parts(case: Case) -> concepts.Decomposition:
    return concepts.decompose(spatial(case), vocabulary(case))


def edges(case: Case, target: Tensor) -> Tensor:
    """Contributions of the three concepts to the logits of some classes, (N, T, 3)."""
    split = parts(case)
    pulls = [gradients(case, split.reconstruction, number.expand(3)) for number in target]
    return torch.stack(
        [torch.einsum("nchw,kc,nkhw->nk", pull, split.concepts.vectors, split.coefficients) for pull in pulls], dim=1
    )


def check_sample(case: Case, found: concepts.Samples) -> None:
    rows, columns = found.positions.unbind(1)
    close(found.vectors, spatial(case)[torch.arange(3), :, rows, columns])


def own_importance(case: Case) -> Tensor:
    return edges(case, case.target)[torch.arange(3), torch.arange(3)]


def check_graph(case: Case, graph: object) -> None:
    matters = own_importance(case)
    nodes = [data for _, data in graph.nodes(data=True) if data["layer"] != "class"]
    found = torch.tensor([data["importance"] for data in nodes], dtype=torch.double)
    assert len(found)  # where no concept speaks for a class, those that say nothing are in the graph
    torch.testing.assert_close(found, matters[:, [data["concept"] for data in nodes]].mean(0))


def check_curves(case: Case, curves: concept_evaluation.Curves) -> None:
    """The ends of the insertion curve: nothing, and the whole reconstruction."""
    rebuilt = parts(case).reconstruction
    with torch.no_grad():
        ends = [case.run(None, lambda _, end=end: laid_out(case, end).clone())[0] for end in (rebuilt * 0, rebuilt)]
    close(curves.insertion[:, [0, -1]], torch.stack([each[torch.arange(3), case.target] for each in ends], 1))


def of_the_pixels(case: Case) -> tuple[Tensor, Tensor]:
    """The vector at the first position of each picture, and the pixels, on one graph of derivatives."""
    pixels, kept = case.images.requires_grad_(), []

    def keep(activation: Tensor) -> Tensor:
        kept.append(activation)
        return activation.clone()  # the next layer may work in place

    case.run(pixels, keep)
    return spatial(case, kept[0])[:, :, 0, 0], pixels


def shared(case: Case) -> Tensor:
    vectors, pixels = of_the_pixels(case)
    pull = vectors.detach() / vectors.detach().square().sum(1, keepdim=True)
    return (torch.autograd.grad(vectors, pixels, pull)[0] * pixels.detach()).sum(1)


def surrogate(case: Case) -> Tensor:
    vectors, pixels = of_the_pixels(case)
    return (torch.autograd.grad((vectors * vectors.detach()).sum(), pixels)[0] * pixels.detach()).sum(1).abs()


def objectives(case: Case) -> list[visualization.Objective]:
    other = case.activation(case.others)
    return [
        visualization.channel(case.layer, 1),
        visualization.neuron(case.layer, 2, (0, 1)),
        visualization.direction(case.layer, torch.arange(1.0, width(case) + 1)),
        visualization.inversion(case.layer, other),
        visualization.caricature(case.layer, other, cosine_power=0),
    ]


def values(case: Case, images: Tensor | None = None) -> Tensor:
    maps, other = spatial(case, case.activation(images)), spatial(case, case.activation(case.others))
    along = torch.arange(1.0, width(case) + 1).double()
    return torch.stack(
        [
            maps[:, 1].mean((1, 2)),
            maps[:, 2, 0, 1],
            torch.einsum("nchw,c->nhw", maps, along / along.norm()).mean((1, 2)),
            -(maps - other).square().sum((1, 2, 3)) / other.square().sum((1, 2, 3)),
            (maps * other).flatten(1).sum(1) / other.flatten(1).norm(dim=1),
        ]
    )


def check_rendering(case: Case, found: visualization.Rendering) -> None:
    assert found.images.isfinite().all() and not torch.equal(*found.frames[:, 0])
    close(found.values[0].mean(), values(case, found.frames[0].double())[0].mean(), 1e-12)


FIRST = torch.zeros(3, 2, dtype=torch.long)
TWO = torch.tensor([1, 3])

METHODS: dict[str, Method] = {
    "das.Site": Method(
        lambda case: site(case).logits([frame(case)]), lambda case, found: close(found, interchanged(case, frame(case))),
    ),
    "das.align": Method(aligned, check_aligned),
    "concepts.pointwise_feature_vectors": Method(
        lambda case: concepts.pointwise_feature_vectors(case.model, case.images, case.layer, batch=2),
        lambda case, found: close(found, spatial(case)),
    ),
    "concepts.contributions": Method(
        lambda case: concepts.contributions(case.model, case.images, case.target, case.layer, steps=2, batch=2),
        lambda case, found: close(found, (gradients(case, spatial(case), case.target) * spatial(case)).sum(1)),
    ),
    "concepts.sample_vectors": Method(
        lambda case: concepts.sample_vectors(case.model, case.images, case.target, case.layer, steps=2), check_sample,
    ),
    "receptive_fields.effective_receptive_field": Method(
        lambda case: receptive_fields.effective_receptive_field(case.model, case.images, [case.layer], FIRST),
        lambda case, found: close(found, shared(case)),
    ),
    "receptive_fields.gradient_receptive_field": Method(
        lambda case: receptive_fields.gradient_receptive_field(case.model, case.images, case.layer, FIRST),
        lambda case, found: close(found, surrogate(case)),
    ),
    "concept_graph.generalized_integrated_gradients": Method(
        lambda case: concept_graph.generalized_integrated_gradients(case.model, case.images, TWO, parts(case), steps=2).edges,
        lambda case, found: close(found, edges(case, TWO)),
    ),
    "concept_graph.importance": Method(
        lambda case: concept_graph.importance(case.model, case.images, case.target, vocabulary(case), steps=2),
        lambda case, found: close(found, own_importance(case)),
    ),
    "concept_graph.build_graph": Method(
        lambda case: concept_graph.build_graph(case.model, case.images, case.target, [vocabulary(case)], steps=2), check_graph,
    ),
    "concept_evaluation.insertion_deletion": Method(
        lambda case: concept_evaluation.insertion_deletion(
            case.model, case.images, case.target, parts(case), measure="logit", order="leave-one-out", fractions=2
        ),
        check_curves,
    ),
    "feature_visualization.evaluate": Method(
        lambda case: visualization.evaluate(case.model, case.images, objectives(case)),
        lambda case, found: close(found, values(case)),
    ),
    "feature_visualization.render": Method(
        lambda case: visualization.render(
            case.model, visualization.channel(case.layer, 1), image=visualization.pixels(case.size, deviation=0.5), steps=1,
            transformations=(), frames=2, variants=3, progress=False,
        ),
        check_rendering,
    ),
}  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CASES)
def test_the_method_agrees_with_plain_passes(name, method):
    agrees(case_of(name), METHODS[method])
