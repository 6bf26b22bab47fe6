"""Patches inside an attention: what must hold in any network."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer

from tests.methods.untouched import untouched
from vizcourse.hooks import capture
from vizcourse.methods.activation_patching import record
from vizcourse.methods.attention import patch_parts, pattern, split


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = VisionTransformer(image_size=8, patch_size=4, num_layers=3, num_heads=2, hidden_dim=8, mlp_dim=8, num_classes=4)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.6)
    return network.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def pair():
    return torch.rand(2, 3, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_nothing_patched_is_the_corrupted_run(model, pair):
    torch.testing.assert_close(patch_parts(model, *pair, (), [0, 2]), model(pair[1]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layers", [[1], [0, 1, 2]])
@pytest.mark.parametrize("parts", [("pattern", "value"), ("query", "key", "value")])
def test_all_parts_are_the_whole_attention(model, pair, layers, parts):
    whole = record(model, *pair, components=["attn_out"]).patch([("attn_out", layer) for layer in layers])
    torch.testing.assert_close(patch_parts(model, *pair, parts, layers), whole, atol=1e-5, rtol=1e-4)


def test_the_pattern_is_queries_and_keys(model, pair):
    together = patch_parts(model, *pair, ("query", "key"), [1])
    torch.testing.assert_close(patch_parts(model, *pair, ("pattern",), [1]), together)
    for part in ("query", "key", "value"):  # and each part alone is something else
        assert (patch_parts(model, *pair, (part,), [1]) - together).abs().max() > 1e-3


def test_the_attention_is_its_pattern_times_its_values(model, pair):
    attention = model.encoder.layers[0].self_attention
    with capture(model, ["encoder.layers.encoder_layer_0.ln_1", "encoder.layers.encoder_layer_0.self_attention"]) as acts:
        model(pair[0])
    heard = acts["encoder.layers.encoder_layer_0.ln_1"]
    rows = pattern(attention, heard)
    torch.testing.assert_close(rows.sum(3), torch.ones(3, 2, 5))
    by_hand = attention.out_proj((rows @ split(attention, heard)[2]).transpose(1, 2).flatten(2))
    torch.testing.assert_close(by_hand, acts["encoder.layers.encoder_layer_0.self_attention"], atol=1e-5, rtol=1e-4)


def test_the_model_is_left_as_it_was(model, pair):
    with untouched(model):
        patch_parts(model, *pair, ("value",), [0])
        with pytest.raises(ValueError, match="Layers run from 0 to 2"):
            patch_parts(model, *pair, ("value",), [3])


def test_bad_input(model, pair):
    with pytest.raises(ValueError, match="no part 'values': did you mean 'value'"):
        patch_parts(model, *pair, ("values",), [0])
    with pytest.raises(ValueError, match="pair them, one by one"):
        patch_parts(model, pair[0][:1], pair[1], ("value",), [0])
    with pytest.raises(ValueError, match="no vision transformer"):
        patch_parts(nn.Linear(1, 1), *pair, ("value",), [0])
