"""Attributions, their sanity checks and gradual interventions on the networks of :mod:`tests.methods.test_architectures`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.methods.test_architectures import CASES, Case, Method, agrees, case_of, close
from vizcourse.methods import attribution, property_gradients, sanity_checks


def logit_gradient(case: Case) -> Tensor:
    pixels = case.images.requires_grad_()
    (gradient,) = torch.autograd.grad(case.model(pixels.clone())[torch.arange(3), case.target].sum(), pixels)
    return gradient


def check_grad_cam(case: Case, found: Tensor) -> None:
    kept = []

    def keep(activation: Tensor) -> Tensor:
        kept.append(activation.detach().requires_grad_())
        return kept[0].clone()  # the next layer may work in place

    logits = case.run(None, keep)[0]
    (gradient,) = torch.autograd.grad(logits[torch.arange(3), case.target].sum(), kept[0])
    maps, gradient = (case.maps(values.detach()) for values in (kept[0], gradient))
    if not case.has_places:  # three by three patches behind a class token
        maps, gradient = (values[:, :, 1:].unflatten(2, (3, 3)) for values in (maps, gradient))
    close(found, (gradient.mean((2, 3), keepdim=True) * maps).sum(1))


def check_guided(case: Case, found: Tensor) -> None:
    """Guided by hooks on modules: torchvision's networks without in-place ReLUs behind one another allow it."""
    handles = [
        module.register_full_backward_hook(lambda module, inputs, outputs: (inputs[0].clamp_min(0),))
        for module in case.model.modules()
        if isinstance(module, nn.ReLU)
    ]
    in_place = [module for module in case.model.modules() if isinstance(module, nn.ReLU) and module.inplace]
    try:
        for module in in_place:
            module.inplace = False
        # ReLU's own backward and then the positive part is the positive part and then ReLU's own backward.
        close(found, logit_gradient(case))
    finally:
        for module in in_place:
            module.inplace = True
        for handle in handles:
            handle.remove()


#: What guided backpropagation refuses: nothing between picture and score is a ReLU. (A Swin V2's work on weights alone.)
WITHOUT_RELU = {"efficientnet", "convnext", "swin", "swin_v2", "vit", "maxvit", "mobilenet_v2"}
#: And what relevance propagation refuses: they are no rectifiers, or shares are multiplied.
NOT_LINEAR = {"efficientnet", "convnext", "swin", "swin_v2", "vit", "maxvit", "mobilenet_v3"}
#: Families with ReLUs that are function calls, which hooks on modules do not see.
CALLED_RELU = {"densenet", "googlenet"}


def logits_from_grey(case: Case) -> Tensor:
    with torch.no_grad():
        difference = case.model(case.images) - case.model(torch.full_like(case.images, 0.5))
    return difference[torch.arange(3), case.target]


def check_occlusion(case: Case, found: Tensor) -> None:
    half = case.size // 2
    with torch.no_grad():
        before = case.model(case.images)[torch.arange(3), case.target]
        for rows in (slice(0, half), slice(half, None)):
            for columns in (slice(0, half), slice(half, None)):
                covered = case.images
                covered[:, :, rows, columns] = 0.5
                fall = before - case.model(covered)[torch.arange(3), case.target]
                close(found[:, rows, columns], fall[:, None, None].expand(-1, half, half))


def from_the_top(case: Case) -> Tensor:
    return -torch.arange(case.size**2.0).view(1, case.size, -1).expand(3, -1, -1)


def check_curve(case: Case, found: object) -> None:
    upper = case.images
    upper[:, :, : case.size // 2] = 0.5
    with torch.no_grad():
        half = case.model(upper).softmax(1)[torch.arange(3), case.target]
        whole = case.model(case.images).softmax(1)[torch.arange(3), case.target]
    close(found.probabilities[:, :2], torch.stack([whole, half], 1))


def check_blocks(case: Case, found: list[str]) -> None:
    """From the output to the input, without overlap, and all weights but those that the opened parts hold themselves."""
    held = [set(map(id, case.model.get_submodule(name).parameters())) for name in found]
    assert len(found) > 2 and sum(map(len, held)) == len(set().union(*held))
    assert len(set().union(*held)) >= 0.9 * len(list(case.model.parameters()))

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = case.model

    assert sanity_checks.blocks(Wrapped()) == [f"network.{name}" for name in found]


def check_cascade(case: Case, found: object) -> None:
    close(found.maps["gradient"][0], logit_gradient(case))
    assert (found.similarity("gradient")[1] < 0.999).all() and (found.answers[0] != found.answers[1]).any()


#: Methods that know no layer: once for each family.
OF_PIXELS: dict[str, Method] = {
    "attribution.gradient": Method(
        lambda case: attribution.gradient(case.model, case.images, case.target),
        lambda case, found: close(found, logit_gradient(case)),
    ),
    "attribution.gradient_times_input": Method(
        lambda case: attribution.gradient_times_input(case.model, case.images, case.target),
        lambda case, found: close(found, logit_gradient(case) * case.images),
    ),
    "attribution.smooth_grad": Method(
        lambda case: attribution.smooth_grad(case.model, case.images, case.target, samples=1, noise=0.0),
        lambda case, found: close(found, logit_gradient(case)),
    ),
    "attribution.integrated_gradients": Method(
        lambda case: attribution.integrated_gradients(case.model, case.images, case.target, baseline=0.5, steps=3),
        lambda case, found: close(found.attribution.sum((1, 2, 3)) - found.delta, logits_from_grey(case)),
    ),
    "attribution.guided_backprop": Method(
        lambda case: attribution.guided_backprop(case.model, case.images, case.target),
        lambda case, found: check_guided(case, found) if case.family not in CALLED_RELU else None,
        lambda case: "none between picture and score" if case.family in WITHOUT_RELU else None,
    ),
    "attribution.relevance_propagation": Method(
        lambda case: attribution.relevance_propagation(case.model, case.images, case.target, rule="epsilon", epsilon=1e-12),
        # With hardly any epsilon, shares of piecewise linear layers are gradient times input (Ancona et al., 2018).
        lambda case, found: close(found, logit_gradient(case) * case.images),
        lambda case: "piecewise linear layers only" if case.family in NOT_LINEAR else None,
    ),
    "attribution.occlusion": Method(
        lambda case: attribution.occlusion(
            case.model, case.images, case.target, window=case.size // 2, stride=case.size // 2, batch=4
        ),
        check_occlusion,
    ),
    "sanity_checks.deletion": Method(
        lambda case: sanity_checks.deletion(case.model, case.images, case.target, from_the_top(case), steps=2),
        check_curve,
    ),
    "sanity_checks.blocks": Method(lambda case: sanity_checks.blocks(case.model), check_blocks),
    "sanity_checks.cascade": Method(
        lambda case: sanity_checks.cascade(
            case.model, case.images, case.target, methods=["gradient"], names=sanity_checks.blocks(case.model)[:2]
        ),
        check_cascade,
    ),
    "property_gradients.respond": Method(
        lambda case: property_gradients.respond(case.model, case.images, 1, batch=2),
        lambda case, found: close(found, case.model(case.images).detach().softmax(1)[:, 1]),
    ),
}  # fmt: skip
OF_LAYERS: dict[str, Method] = {
    "attribution.grad_cam": Method(
        lambda case: attribution.grad_cam(case.model, case.images, case.target, case.layer, relu=False), check_grad_cam,
    ),
}  # fmt: skip
FAMILIES = {name.split()[0]: name for name in reversed(CASES)}


@pytest.mark.parametrize("method", OF_PIXELS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_method_of_pixels_agrees_with_plain_passes(family, method):
    agrees(case_of(FAMILIES[family]), OF_PIXELS[method])


@pytest.mark.parametrize("method", OF_LAYERS)
@pytest.mark.parametrize("name", CASES)
def test_a_method_of_layers_agrees_with_plain_passes(name, method):
    agrees(case_of(name), OF_LAYERS[method])
