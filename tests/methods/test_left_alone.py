"""A model that a method was given is afterwards as it was: modes, needs of gradients, values, gradients and hooks.

Every row of the tables of methods (:mod:`tests.methods.test_architectures` and those beside it) is called with a network in a
state that no method would choose; and once more with one that fails in the middle of its pass.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import pkgutil

import pytest
import torch
from torch import nn

import vizcourse.methods
from tests.methods import test_architectures, test_architectures_attribution, test_architectures_directions
from tests.methods.test_architectures import case_of, network
from tests.methods.untouched import untouched

ROWS = test_architectures.METHODS | test_architectures_directions.METHODS
ROWS |= test_architectures_attribution.OF_PIXELS | test_architectures_attribution.OF_LAYERS
# Hooks run a model in the mode in which it is, as they say: it is the methods that choose one.
METHODS = {name: row for name, row in ROWS.items() if not name.startswith(("hooks.", "layers."))}
CASES = {"resnet": "resnet layer1", "vit": "vit encoder.layers.encoder_layer_1.mlp"}


class Failure(Exception):
    """What a network raises in the middle of its pass."""


class Fails(nn.Module):
    """Lets everything through, and fails at one of its calls."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.calls = at, 0

    def forward(self, hidden):
        self.calls += 1
        if self.calls == self.at:
            raise Failure
        return hidden


def in_disorder(family: str, at: int = 0) -> nn.Module:
    """A copy of a network, part in training mode, part frozen, some of it with gradients; it fails at a call of its head."""
    model = copy.deepcopy(network(family))
    for number, module in enumerate(model.modules()):
        module.training = number % 3 != 1
    for number, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(number % 2 == 0)
        if number % 4 == 0:
            parameter.grad = torch.full_like(parameter, 0.5)
    if at:
        head = "fc" if family == "resnet" else "heads"
        setattr(model, head, nn.Sequential(Fails(at), getattr(model, head)))
    return model


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", CASES)
def test_the_model_is_left_as_it_was(family, method):
    model = in_disorder(family)
    with untouched(model):
        try:
            METHODS[method].call(case_of(CASES[family], model))
        except ValueError as refused:  # some refuse a model in training mode, or one that is no transformer
            assert str(refused).endswith((".", ".)", "?"))


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", CASES)
def test_the_model_is_left_as_it_was_by_a_pass_that_failed(family, method, at):
    model = in_disorder(family, at)
    if at == 2:  # so that those that refuse a model in training mode run as well
        model.eval()
    with untouched(model):
        try:
            METHODS[method].call(case_of(CASES[family], model))
        except (Failure, ValueError):
            pass


# What takes a model and has no row: the shared parts on which the rows stand, and what is a row's own under another name.
SHARED = {"checks", "passes", "vision_transformer", "paired_runs"}
WITHOUT_ROW = {
    "attribution.fixed_target",  # these three are parts of all attributions
    "attribution.layer_gradient",
    "attribution.ready",
    "attribution.guided_grad_cam",  # guided backpropagation and Grad-CAM
    "concept_evaluation.interlayer_insertion_deletion",
    "concept_graph.decomposed",  # these two are parts of the graph
    "concept_graph.tail_of",
    "convolution.fit",  # it trains the network
    "corruptions.checked_pictures",  # these two are parts of patching
    "corruptions.shifting",
    "property_gradients.logits",
    "property_gradients.property_effect",  # respond, and statistics of what it gives
    "relevance.propagate",
    "sanity_checks.insertion",  # deletion, the other way round
    "sanity_checks.randomize",  # it returns a copy
}


def test_every_public_function_of_a_model_has_a_row():
    missing = set()
    for module in pkgutil.iter_modules(vizcourse.methods.__path__):
        part = importlib.import_module(f"vizcourse.methods.{module.name}")
        for name, function in inspect.getmembers(part, inspect.isfunction):
            own = not name.startswith("_") and function.__module__ == part.__name__
            if own and next(iter(inspect.signature(function).parameters), None) in ("model", "network"):
                missing.add(f"{module.name}.{name}")
    missing = {name for name in missing if name.partition(".")[0] not in SHARED}
    assert missing - set(ROWS) == WITHOUT_ROW
