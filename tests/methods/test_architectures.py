"""Every public method on networks that nobody here wrote, against plain passes with PyTorch's own hooks, written here.

A *case* is a layer of a small random network of one of torchvision's families, with the axis of its channels as its authors
chose it. A *row* of :data:`METHODS` is a public function: how it is called for a case, what must come out, and where it must
refuse because it cannot know. To add a method, add a row; to add a network, add it to :data:`FAMILIES`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torchvision import models as families
from torchvision.models import convnext, densenet, efficientnet, maxvit, regnet, resnet, swin_transformer

from tests.methods.untouched import untouched
from vizcourse import hooks
from vizcourse.methods import activation_patching, attention, convolution, corruptions, dataset_examples
from vizcourse.methods.passes import evaluating

CLASSES = 5

# ---------------------------------------------------------------------------------------------------------- the networks


def swin(version: str = "") -> nn.Module:
    parts = {
        "block": getattr(swin_transformer, f"SwinTransformerBlock{version}"),
        "downsample_layer": getattr(swin_transformer, f"PatchMerging{version}"),
    }
    return families.SwinTransformer([4, 4], 12, [1, 1], [2, 2], [2, 2], num_classes=CLASSES, **parts)


def small_efficientnet() -> nn.Module:
    config = efficientnet.MBConvConfig
    stages = [config(1, 3, 1, 8, 8, 1, 1.0, 1.0), config(4, 3, 2, 8, 12, 1, 1.0, 1.0)]
    return efficientnet.EfficientNet(stages, 0.2, num_classes=CLASSES)


def small_convnext() -> nn.Module:
    return families.ConvNeXt([convnext.CNBlockConfig(12, 24, 1), convnext.CNBlockConfig(24, None, 1)], num_classes=CLASSES)


def small_regnet() -> nn.Module:
    return families.RegNet(regnet.BlockParams.from_init_params(4, 16, 8, 2, 8), num_classes=CLASSES)


#: Each family: how it is made, how large its pictures are, and some layers with the axis that holds their channels.
FAMILIES: dict[str, tuple[Callable[[], nn.Module], int, dict[str, int]]] = {
    "resnet": (
        lambda: families.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=CLASSES), 32, {"layer1": 1, "layer2.0.bn1": 1},
    ),
    "densenet": (
        lambda: densenet.DenseNet(8, (2, 2), 8, num_classes=CLASSES), 32, {"features.denseblock1": 1, "features.norm5": 1},
    ),
    "squeezenet": (lambda: families.SqueezeNet("1_1", num_classes=CLASSES), 48, {"features.3": 1}),
    "googlenet": (
        lambda: families.GoogLeNet(CLASSES, aux_logits=False, init_weights=False), 32, {"inception3a.branch2": 1},
    ),
    "mobilenet_v2": (lambda: families.mobilenet_v2(width_mult=0.25, num_classes=CLASSES), 32, {"features.3": 1}),
    "mobilenet_v3": (lambda: families.mobilenet_v3_small(width_mult=0.5, num_classes=CLASSES), 32, {"features.2.block.1": 1}),
    "mnasnet": (lambda: families.MNASNet(0.25, num_classes=CLASSES), 32, {"layers.8": 1}),
    "shufflenet": (lambda: families.shufflenet_v2_x0_5(num_classes=CLASSES), 32, {"stage2": 1}),
    "efficientnet": (small_efficientnet, 32, {"features.2.0": 1}),
    "regnet": (small_regnet, 32, {"trunk_output.block1": 1}),
    "convnext": (small_convnext, 32, {"features.1": 1, "features.1.0.block.3": 3}),
    "swin": (swin, 32, {"features.1": 3, "features.1.0.mlp": 3}),
    "swin_v2": (lambda: swin("V2"), 32, {"features.1.0": 3}),
    "vit": (
        lambda: families.VisionTransformer(24, 8, 3, 3, 24, 48, num_classes=CLASSES), 24,
        {"encoder.layers.encoder_layer_1.mlp": 2, "encoder.layers.encoder_layer_1.self_attention": 2},
    ),
    "maxvit": (
        lambda: maxvit.MaxVit((32, 32), 8, 4, [16, 16], [1, 1], 8, 0.0, num_classes=CLASSES), 32,
        {"blocks.0": 1, "blocks.0.layers.0.layers.window_attention.attn_layer.0": 3},
    ),
}  # fmt: skip


def built(make: Callable[[], nn.Module], size: int | None = None) -> nn.Module:
    """In double precision, and with answers that differ from picture to picture.

    size: of pictures for the statistics of batch norms, without which untrained answers hardly differ.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().double()
        with torch.no_grad():
            for parameter in model.parameters():  # some are zero, or nearly, before training
                parameter += 0.05 * torch.randn_like(parameter)
            model.train()
            for _ in range(5 if size else 0):
                model(torch.rand(8, 3, size, size, dtype=torch.double))
    return model.eval()


@functools.cache
def network(family: str) -> nn.Module:
    make, size, _ = FAMILIES[family]
    return built(make, size)


@dataclass(frozen=True)
class Case:
    """A layer of a network; what it gives and what comes of changing it, by plain hooks."""

    family: str
    layer: str
    axis: int
    model: nn.Module
    size: int

    @property
    def images(self) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return torch.rand(3, 3, self.size, self.size, generator=generator, dtype=torch.double)

    @property
    def others(self) -> Tensor:
        """As many other pictures, to be paired with them."""
        return self.images.flip(0, 3) * 0.5

    target = labels = torch.tensor([0, 1, 2])

    @property
    def is_vit(self) -> bool:
        return self.family == "vit"

    @property
    def has_places(self) -> bool:
        """Whether the layer gives maps with more than one place."""
        return self.axis != 2

    def activation(self, images: Tensor | None = None) -> Tensor:
        return self.run(images)[1]

    def maps(self, activation: Tensor) -> Tensor:
        """(N, C, …), by the axis that is written down here."""
        return activation.movedim(self.axis, 1)

    def run(self, images: Tensor | None = None, change: Callable[[Tensor], Tensor] = lambda tensor: tensor):
        """Logits, and what the layer gave, with what it gives changed."""
        seen = []

        def hook(_module, _inputs, output):
            whole = output if isinstance(output, Tensor) else output[0]
            seen.append(whole.detach().clone())
            return change(whole) if isinstance(output, Tensor) else (change(whole), *output[1:])

        handle = self.model.get_submodule(self.layer).register_forward_hook(hook)
        try:
            with evaluating(self.model):
                return self.model((self.images if images is None else images).clone()), seen[0]
        finally:
            handle.remove()

    def silenced(self, channels: list[int], images: Tensor | None = None) -> Tensor:
        def silence(activation: Tensor) -> Tensor:
            activation = activation.clone()
            self.maps(activation)[:, channels] = 0
            return activation

        with torch.no_grad():
            return self.run(images, silence)[0]


CASES = {
    f"{family} {layer}": (family, layer, axis) for family, (_, _, layers) in FAMILIES.items() for layer, axis in layers.items()
}


def case_of(name: str, model: nn.Module | None = None) -> Case:
    family, layer, axis = CASES[name]
    return Case(family, layer, axis, network(family) if model is None else model, FAMILIES[family][1])


# ----------------------------------------------------------------------------------------------------------- the methods


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        call: the public function for a case.
        check: what its result must be, by plain passes.
        refuses: where the function must refuse: what it then says, a regular expression; None where it must work.
    """

    call: Callable[[Case], object]
    check: Callable[[Case, object], None]
    refuses: Callable[[Case], str | None] = lambda case: None


def close(found: Tensor, expected: Tensor, least: float = 1e-9) -> None:
    """Equal but for rounding; and large enough that the comparison says something."""
    assert found.shape == expected.shape
    scale = float(expected.abs().max())
    assert scale > least, "there is nothing to compare"
    assert float((found - expected).detach().abs().max()) < 1e-6 * scale


def exchanged(case: Case) -> Tensor:
    """Logits of the pictures with the layer's activation of the others."""
    other = case.activation(case.others)
    with torch.no_grad():
        return case.run(None, lambda activation: other.clone())[0]


def silencing(case: Case) -> Tensor:
    clean = case.model(case.images).softmax(1)
    channels = range(case.activation().shape[case.axis])
    return torch.stack([case.silenced([channel]).softmax(1) - clean for channel in channels])


def check_relative(case: Case, found: Tensor) -> None:
    clean = case.model(case.images)

    def varying(values: Tensor) -> Tensor:
        values = values - values.mean(-1, keepdim=True)
        return (values - values.mean(-2, keepdim=True)).square().mean((-1, -2)).sqrt()

    channels = range(case.activation().shape[case.axis])
    close(found, torch.stack([varying(case.silenced([each]) - clean) for each in channels]) / varying(clean))


def check_field(case: Case, found: Tensor) -> None:
    pixels = case.images.requires_grad_()
    kept = []

    def keep(activation: Tensor) -> Tensor:
        kept.append(activation)
        return activation.clone()  # the next layer may work in place

    case.run(pixels, keep)
    maps = case.maps(kept[0])
    (gradient,) = torch.autograd.grad(maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2].sum(), pixels)
    close(found, gradient.abs().mean((0, 1)))


def check_examples(case: Case, found: object) -> None:
    values = case.maps(case.activation()).flatten(2).amax(2).T
    close(found.values, values.sort(dim=1, descending=True).values)


def patched(case: Case, mask: Tensor | None = None) -> Tensor:
    """The change of the target's probability when the layer's clean activation is put into the corrupted run."""
    clean = case.activation()

    def put(activation: Tensor) -> Tensor:
        return clean if mask is None else torch.where(mask, clean, activation)

    with torch.no_grad():
        before, after = case.model(case.others), case.run(case.others, put)[0]
    rows = torch.arange(3)
    return (after.softmax(1) - before.softmax(1))[rows, case.target]


def check_attribution(case: Case, found: object) -> None:
    kept = []

    def keep(activation: Tensor) -> Tensor:
        kept.append(activation.detach().requires_grad_())
        return kept[0].clone()  # the next layer may work in place

    logits = case.run(case.others, keep)[0]
    (gradient,) = torch.autograd.grad(logits.softmax(1)[torch.arange(3), case.target].sum(), kept[0])
    change = case.activation() - case.activation(case.others)
    close(found.effects[:, 0], (gradient * change).flatten(1).sum(1))


def upper_half(case: Case) -> Tensor:
    return torch.arange(case.size)[:, None].expand(case.size, case.size) < case.size // 2


def half_patched(case: Case) -> Tensor:
    runs = activation_patching.record(case.model, case.images, case.others, components=[[case.layer]])
    return runs.patch([(None, 0)], tokens=upper_half(case))


def check_half(case: Case, found: Tensor) -> None:
    clean = case.activation()
    where = torch.zeros(clean.shape, dtype=torch.bool)
    if case.has_places:
        maps = case.maps(where)
        rows = torch.arange(maps.shape[2]) * case.size // maps.shape[2] < case.size // 2
        maps[:] = rows[None, None, :, None]
    else:  # three by three patches behind a class token, of which the half touches the upper two rows
        where[:, 1:7] = True
    with torch.no_grad():
        close(found, case.run(case.others, lambda activation: torch.where(where, clean, activation))[0])


NO_TRANSFORMER = "pass (one that is|a list of its layers)"


def only_transformers(case: Case) -> str | None:
    return None if case.is_vit else NO_TRANSFORMER


def only_maps(case: Case) -> str | None:
    return None if case.has_places else "choose a layer with"


VIT_BLOCK = "encoder.layers.encoder_layer_1"


def check_parts(case: Case, found: Tensor) -> None:
    """Everything that the attention does is its queries, keys and values."""
    whole = Case(case.family, f"{VIT_BLOCK}.self_attention", 2, case.model, case.size)
    clean = whole.activation()
    with torch.no_grad():
        close(found, whole.run(case.others, lambda activation: clean)[0])


def check_path(case: Case, found: Tensor) -> None:
    """The direct effect: the change of the sender is added to the last residual stream, and nothing reacts to it."""
    sender = Case(case.family, f"{VIT_BLOCK}.mlp", 2, case.model, case.size)
    change = sender.activation() - sender.activation(case.others)
    last = Case(case.family, "encoder.layers.encoder_layer_2", 2, case.model, case.size)
    with torch.no_grad():
        after, before = last.run(case.others, lambda stream: stream + change)[0], case.model(case.others)
    close(found, (after.softmax(1) - before.softmax(1))[torch.arange(3), case.target])


def check_noise(case: Case, found: object) -> None:
    embedded = Case(case.family, "encoder.dropout", 2, case.model, case.size).activation()
    assert found.offset.shape == embedded.shape and not found.offset[:, 0].any()
    assert float(found.offset[:, 1:].std() / embedded[:, 1:].std()) == pytest.approx(2, rel=0.2)


METHODS: dict[str, Method] = {
    "layers.layout_of": Method(
        lambda case: hooks.layout_of(case.model, case.layer, case.activation(), images=case.images),
        lambda case, found: close(found.to_maps(case.activation()).flatten(2), case.maps(case.activation()).flatten(2)),
    ),
    "hooks.replay": Method(
        lambda case: hooks.replay(case.model, case.images, case.layer)(case.activation(case.others)),
        lambda case, found: close(found, exchanged(case)),
    ),
    "hooks.Recording": Method(
        lambda case: hooks.Recording(case.model, case.images, [case.layer]).run(case.layer),
        lambda case, found: close(found, case.model(case.images)),
    ),
    "convolution.gradient_field": Method(
        lambda case: convolution.gradient_field(case.model, case.images, case.layer), check_field, only_maps,
    ),
    "convolution.silence": Method(
        lambda case: convolution.silence(case.model, case.images, case.layer, [1, 3]),
        lambda case, found: close(found, case.silenced([1, 3])),
    ),
    "convolution.silencing_effects": Method(
        lambda case: convolution.silencing_effects(case.model, case.images, case.layer, batch=17),
        lambda case, found: close(found, silencing(case)),
    ),
    "convolution.relative_silencing": Method(
        lambda case: convolution.relative_silencing(case.model, case.images, case.layer), check_relative,
    ),
    "convolution.with_classes": Method(
        lambda case: convolution.with_classes(case.model, 7, case.images)(case.images),
        lambda case, found: torch.testing.assert_close(torch.tensor(found.shape), torch.tensor([3, 7])),
    ),
    "convolution.accuracy": Method(
        lambda case: convolution.accuracy(case.model, case.images, case.labels, batch=2),
        lambda case, found: torch.testing.assert_close(
            found, float((case.model(case.images).argmax(1) == case.labels).double().mean())
        ),
    ),
    "dataset_examples.top_examples": Method(
        lambda case: dataset_examples.top_examples(case.model, case.images.split(2), case.layer, k=3, progress=False),
        check_examples,
    ),
    "activation_patching.sweep": Method(
        lambda case: activation_patching.sweep(
            case.model, case.images, case.others, case.target, component=[case.layer], window=1, progress=False
        ),
        lambda case, found: close(found.effects[:, 0], patched(case)),
    ),
    "activation_patching.attribute": Method(
        lambda case: activation_patching.attribute(case.model, case.images, case.others, case.target, component=[case.layer]),
        check_attribution,
    ),
    "activation_patching.record": Method(half_patched, check_half),
    "activation_patching.sites": Method(
        lambda case: activation_patching.sites(case.model, "attn_out"),
        lambda case, found: [case.model.get_submodule(name).num_heads for name in found] == [3] * 3,
        only_transformers,
    ),
    "activation_patching.path_patch": Method(
        lambda case: activation_patching.path_patch(
            case.model, case.images, case.others, case.target, ("mlp_out", 1), "logits"
        ),
        check_path,
        only_transformers,
    ),
    "attention.patch_parts": Method(
        lambda case: attention.patch_parts(case.model, case.images, case.others, ["pattern", "value"], [1]),
        check_parts,
        only_transformers,
    ),
    "corruptions.embedding_noise": Method(
        lambda case: corruptions.embedding_noise(case.model, case.images, 2.0), check_noise, only_transformers,
    ),
}  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- the tests


def agrees(case: Case, row: Method) -> None:
    """A method's answer is that of plain passes, or the refusal that its row says; and the model is as it was."""
    with untouched(case.model):
        if message := row.refuses(case):
            with pytest.raises(ValueError, match=message):
                row.call(case)
            return
        found = row.call(case)
    row.check(case, found)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CASES)
def test_the_method_agrees_with_plain_passes(name, method):
    agrees(case_of(name), METHODS[method])


def test_a_layout_that_nothing_tells_is_asked_for_by_all_methods_and_taken_from_the_caller():
    """Windows of a MaxViT, as many as there are channels and places in each: (3, 16, 16, 16)."""
    layer = "blocks.0.layers.0.layers.window_attention.attn_layer.1"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = maxvit.MaxVit((64, 64), 8, 4, [16, 16], [1, 1], 8, 0.0, num_classes=CLASSES).double().eval()
    case = Case("maxvit", layer, 3, model, 64)
    assert case.activation().shape == (3, 16, 16, 16)
    calls = {
        "silence": lambda **how: convolution.silence(model, case.images, layer, [1], **how),
        "silencing_effects": lambda **how: convolution.silencing_effects(model, case.images, layer, **how),
        "relative_silencing": lambda **how: convolution.relative_silencing(model, case.images, layer, **how),
        "gradient_field": lambda **how: convolution.gradient_field(model, case.images, layer, **how),
        "top_examples": lambda **how: dataset_examples.top_examples(model, [case.images], layer, k=2, progress=False, **how),
    }
    for call in calls.values():
        with pytest.raises(ValueError, match=r"nothing says which axis holds the channels: pass layout='channels_first'"):
            call()
        call(layout="channels_last")
    close(calls["silence"](layout="channels_last"), case.silenced([1]))
