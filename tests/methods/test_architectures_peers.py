"""The rows of :mod:`tests.methods.test_architectures` on networks of timm and transformers, which lay things out their way."""

from __future__ import annotations

import functools

import pytest
from torch import nn

from tests.methods.test_architectures import CLASSES, METHODS, Case, agrees, built
from tests.peers import peer
from vizcourse.hooks import Layout, layout_of

pytestmark = pytest.mark.peers


class Logits(nn.Module):
    """A network of transformers, which answers with a dataclass, as one that answers with logits."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images):
        return self.inner(images).logits


def of_timm(name: str, kind: str, **options: object):
    return lambda: getattr(peer(f"timm.models.{name}"), kind)(num_classes=CLASSES, **options)


def of_transformers(name: str, **options: object):
    def make() -> nn.Module:
        transformers = peer("transformers")
        return Logits(
            getattr(transformers, f"{name}ForImageClassification")(
                getattr(transformers, f"{name}Config")(num_labels=CLASSES, **options)
            )
        )

    return make


SMALL = {"img_size": 24, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3}
HIDDEN = {"image_size": 24, "patch_size": 8, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}

#: How it is made, the size of its pictures, and layers with the axis of their channels and, of tokens, how many are special.
FAMILIES = {
    "timm vit with registers": (
        of_timm("vision_transformer", "VisionTransformer", reg_tokens=3, **SMALL), 24, {"blocks.1.mlp": (2, 4)},
    ),
    "timm vit without a class token": (
        of_timm("vision_transformer", "VisionTransformer", class_token=False, global_pool="avg", **SMALL), 24,
        {"blocks.1": (2, 0)},
    ),
    "timm distilled deit": (of_timm("deit", "VisionTransformerDistilled", **SMALL), 24, {"blocks.1.attn": (2, 2)}),
    "timm swin": (
        of_timm("swin_transformer", "SwinTransformer", img_size=32, patch_size=4, window_size=4, embed_dim=12, depths=(1, 1),
                num_heads=(2, 2)), 32, {"layers.0.blocks.0": (3, None)},
    ),
    "timm convnext": (
        of_timm("convnext", "ConvNeXt", depths=(1, 1, 1, 1), dims=(8, 12, 16, 24)), 64,
        {"stages.1": (1, None), "stages.1.blocks.0.mlp": (3, None)},
    ),
    "transformers vit": (of_transformers("ViT", intermediate_size=48, **HIDDEN), 24, {"inner.vit.layernorm": (2, 1)}),
    "transformers dinov2 with registers": (
        of_transformers("Dinov2WithRegisters", num_register_tokens=4, **HIDDEN), 24,
        {"inner.dinov2_with_registers.layernorm": (2, 5)},
    ),
    "transformers convnext": (
        of_transformers("ConvNext", hidden_sizes=[8, 12], depths=[1, 1], num_stages=2), 32,
        {"inner.convnext.encoder.stages.1": (1, None)},
    ),
}  # fmt: skip


@functools.cache
def network(family: str) -> nn.Module:
    return built(FAMILIES[family][0])


CASES = {f"{family}, {layer}": (family, layer) for family, (_, _, layers) in FAMILIES.items() for layer in layers}

# What a torchvision `VisionTransformer` alone has, and what is about its nine tokens behind one class token.
ITS_OWN = {"activation_patching.record", "activation_patching.sites", "activation_patching.path_patch"}
ITS_OWN |= {"attention.patch_parts", "corruptions.embedding_noise", "convolution.with_classes"}


def case_of(name: str) -> Case:
    family, layer = CASES[name]
    _, size, layers = FAMILIES[family]
    return Case(family, layer, layers[layer][0], network(family), size)


@pytest.mark.parametrize("method", [method for method in METHODS if method not in ITS_OWN])
@pytest.mark.parametrize("name", CASES)
def test_the_method_agrees_with_plain_passes(name, method):
    agrees(case_of(name), METHODS[method])


@pytest.mark.parametrize("name", CASES)
def test_the_layout_is_found_with_all_special_tokens(name):
    case = case_of(name)
    found = layout_of(case.model, case.layer, case.activation(), images=case.images)
    special = FAMILIES[case.family][2][case.layer][1]
    if special is None:
        assert found == Layout({1: "channels_first", 3: "channels_last"}[case.axis])
    else:
        assert found == Layout("tokens", special, (3, 3))
