"""vizcourse.hooks: what is captured is true, what is replaced arrives, and nothing stays behind."""

from __future__ import annotations

import collections
import dataclasses

import pytest
import torch
import torchvision
from torch import nn

from vizcourse.hooks import LAYOUTS, Layout, Recording, capture, constant, layout_of, override, replace, replay, resolve


class Shared(nn.Module):
    """A ReLU used twice, in place, and a module that returns a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Linear(4, 4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.relu(self.first(x))
        x = x + self.relu(self.second(x))
        x = x + self.attention(x, x, x)[0]
        return self.head(x)


@pytest.fixture
def shared():
    torch.manual_seed(0)
    return Shared().eval()


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return torchvision.models.resnet18(num_classes=5).eval()


def traces(model):
    """Everything on a model that a forgotten hook, stub or mode would change."""
    return [
        (
            name,
            len(module._forward_hooks),
            len(module._forward_pre_hooks),
            len(module._backward_hooks),
            "forward" in module.__dict__,
            module.training,
        )
        for name, module in model.named_modules()
    ]


@pytest.mark.parametrize("stop", [False, True])
def test_capture_returns_what_the_layer_returned_although_the_next_layer_works_in_place(shared, stop):
    x = torch.randn(2, 5, 3)
    with torch.no_grad(), capture(shared, ["first", "relu", ("relu", 1)], stop=stop) as acts:
        shared(x)
    expected = shared.first(x)
    assert (expected < 0).any()
    torch.testing.assert_close(acts["first"], expected)
    assert len(acts.calls["relu"]) == 2
    torch.testing.assert_close(acts.calls["relu"][0], expected.clamp(min=0))
    assert torch.equal(acts["relu"], acts.calls["relu"][1])


def test_one_call_of_a_shared_module_can_be_asked_for(shared):
    x = torch.randn(2, 5, 3)
    with torch.no_grad(), capture(shared, [("relu", 0)]) as acts:
        shared(x)
    torch.testing.assert_close(acts[("relu", 0)], shared.first(x).clamp(min=0))


def test_capture_takes_the_first_tensor_of_a_tuple(shared):
    x = torch.randn(2, 5, 3)
    with torch.no_grad(), capture(shared, "attention") as acts:
        shared(x)
    assert acts["attention"].shape == (2, 5, 4)


def test_capture_changes_nothing_in_the_output_and_reaches_gradients(shared):
    x = torch.randn(2, 5, 3)
    with capture(shared, ["first"]) as acts:
        output = shared(x)
    assert torch.equal(output, shared(x))
    (gradient,) = torch.autograd.grad(output.sum(), acts["first"])
    assert gradient.abs().sum() > 0


def test_stop_ends_the_forward_pass_once_the_last_wanted_layer_has_run(resnet):
    ran = []
    handle = resnet.layer4.register_forward_hook(lambda *_: ran.append("layer4"))
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad(), capture(resnet, ["layer1", "layer2"], stop=True) as acts:
        assert resnet(x) is None
    handle.remove()
    assert ran == []
    with torch.no_grad(), capture(resnet, ["layer1", "layer2"]) as whole:
        resnet(x)
    for name in ("layer1", "layer2"):
        assert torch.equal(acts[name], whole[name])


def test_nested_captures_of_one_model_keep_to_their_own_stop(resnet):
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad(), capture(resnet, "layer3") as outer:
        with capture(resnet, "layer1", stop=True) as inner:
            resnet(x)
            assert set(inner) == {"layer1"}
        resnet(x)
    assert outer["layer3"].shape == (1, 256, 4, 4)


def test_replace_with_a_function_a_tensor_and_a_module_as_key(resnet):
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        with replace(resnet, {"layer4": lambda activation: activation * 0}):
            by_function = resnet(x)
        with replace(resnet, {resnet.layer4: torch.zeros(1)}):
            by_tensor = resnet(x)
    torch.testing.assert_close(by_function, resnet.fc.bias.expand(2, -1))
    assert torch.equal(by_function, by_tensor)


def test_replace_one_call_of_a_shared_module(shared):
    x = torch.randn(2, 5, 3)
    with torch.no_grad():
        with replace(shared, {("relu", 1): torch.zeros(1)}):
            output = shared(x)
        hidden = shared.first(x).clamp(min=0)
        expected = shared.head(hidden + shared.attention(hidden, hidden, hidden)[0])
    torch.testing.assert_close(output, expected)


def test_replace_inside_capture_and_the_other_way_round(resnet):
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad(), replace(resnet, {"layer2": torch.zeros(1)}), capture(resnet, ["layer2"]) as acts:
        resnet(x)
    assert acts["layer2"].abs().sum() == 0


def test_override_leaves_the_layers_own_work_out(resnet):
    x, ran = torch.randn(2, 3, 64, 64), []
    with torch.no_grad(), capture(resnet, "layer2") as acts:
        expected = resnet(x)
    stored = acts["layer2"].clone()
    inside = [module for module in resnet.layer2.modules() if module is not resnet.layer2]
    handles = [module.register_forward_hook(lambda *_: ran.append(1)) for module in inside]
    before = traces(resnet)
    with torch.no_grad(), override(resnet, {resnet.layer2: lambda inputs: stored}):
        assert torch.equal(resnet(torch.zeros_like(x)), expected)  # whatever stands before it no longer matters
    assert ran == []  # nothing inside the layer has run
    assert traces(resnet) == before
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_override_is_undone_after_an_exception(resnet, error):
    before, x = traces(resnet), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = resnet(x)

        def fail(_inputs):
            raise error

        with pytest.raises(error), override(resnet, {"layer1": lambda inputs: inputs, "layer3": fail}):
            resnet(x)
        assert traces(resnet) == before
        assert torch.equal(resnet(x), expected)
        with pytest.raises(ValueError, match="has no layer"), override(resnet, {"layer1": fail, "layer9": fail}):
            pass
        assert traces(resnet) == before


@pytest.mark.parametrize("layer", ["layer1.1.bn1", "layer2", "layer3.0.conv2", "layer3.0.relu", "fc", "conv1"])
def test_replay_equals_the_whole_forward_pass(resnet, layer):
    torch.manual_seed(1)
    images = torch.randn(3, 3, 64, 64)
    tail = replay(resnet, images, layer)
    with torch.no_grad():
        kept = tail.activation.clone()
        assert torch.equal(tail(tail.activation), resnet(images))
        assert torch.equal(tail.activation, kept)  # bn1 is followed by an in-place ReLU
        scaled = tail.activation * torch.rand(tail.activation.shape[1:])
        with replace(resnet, {(layer, 0): scaled}):
            expected = resnet(images)
        torch.testing.assert_close(tail(scaled), expected)
        index = torch.tensor([2, 0, 0, 1, 2])
        torch.testing.assert_close(tail(scaled[index], index=index), expected[index], rtol=1e-5, atol=1e-5)


def test_replay_of_one_image_serves_many_rows_and_skips_what_came_before(resnet):
    image = torch.randn(1, 3, 64, 64)
    tail = replay(resnet, image, "layer3.0.conv1")
    ran = []
    handles = [module.conv1.register_forward_hook(lambda *_: ran.append(1)) for module in resnet.layer1]
    with torch.no_grad():
        rows = tail.activation.repeat(4, 1, 1, 1) * torch.tensor([1.0, 0.5, 0.0, 2.0])[:, None, None, None]
        answers = tail(rows)
        assert ran == []
        for handle in handles:
            handle.remove()
        for row, answer in zip(rows, answers, strict=True):
            with replace(resnet, {"layer3.0.conv1": row[None]}):
                torch.testing.assert_close(answer[None], resnet(image), rtol=1e-5, atol=1e-5)


def test_replay_through_attention_and_gradients(shared):
    x = torch.randn(2, 5, 3)
    tail = replay(shared, x, "attention")
    activation = tail.activation.clone().requires_grad_()
    answer = tail(activation)
    torch.testing.assert_close(answer, shared(x))
    (gradient,) = torch.autograd.grad(answer.sum(), activation)
    torch.testing.assert_close(gradient, shared.head.weight.sum(0).expand_as(gradient))


def test_vision_transformer_and_googlenet_replay():
    torch.manual_seed(0)
    vit = torchvision.models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=4).eval()
    googlenet = torchvision.models.googlenet(num_classes=4, aux_logits=False, init_weights=False).eval()
    for model, layer, size in [
        (vit, "encoder.layers.encoder_layer_1.mlp", 32),
        (googlenet, "inception4b.branch2.0", 64),
    ]:
        images = torch.randn(2, 3, size, size)
        tail = replay(model, images, layer)
        with torch.no_grad():
            assert torch.equal(tail(tail.activation), model(images))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_everything_is_restored_after_an_exception(resnet, error):
    before, x = traces(resnet), torch.randn(1, 3, 64, 64)

    def fail(_activation):
        raise error

    for stop in (False, True):
        with pytest.raises(error):
            with capture(resnet, ["layer1", "layer4"], stop=stop), replace(resnet, {"layer2": fail}):
                resnet(x)
        assert traces(resnet) == before
    tail = replay(resnet, x, "layer2")
    handle = resnet.layer3.register_forward_hook(lambda *_: fail(None))
    with pytest.raises(error):
        tail(tail.activation)
    handle.remove()
    assert traces(resnet) == before


def test_a_hundred_uses_leave_nothing_behind(resnet):
    before, x = traces(resnet), torch.randn(1, 3, 32, 32)
    for _ in range(100):
        with torch.no_grad(), capture(resnet, "layer1", stop=True), replace(resnet, {"conv1": torch.zeros(1)}):
            resnet(x)
    assert traces(resnet) == before
    assert all(parameter.grad is None for parameter in resnet.parameters())


def test_bad_input_is_named(resnet):
    x = torch.randn(1, 3, 32, 32)
    with pytest.raises(ValueError, match=r"has no layer 'layer5': did you mean .*'layer4'"):
        resolve(resnet, "layer5")
    with pytest.raises(ValueError, match="its layers are 'conv1', 'bn1'"):
        resolve(resnet, "zzzz")
    with pytest.raises(ValueError, match="not a part of the ResNet"):
        resolve(resnet, nn.ReLU())
    with pytest.raises(ValueError, match="at least one layer"):
        with capture(resnet, []):
            pass
    with pytest.raises(ValueError, match=r"shape \(2, 2\): it must be \(1, 64, 8, 8\)"):
        with replace(resnet, {"layer1": torch.zeros(2, 2)}):
            resnet(x)
    with pytest.raises(ValueError, match="gave a NoneType: return the new activation"):
        with replace(resnet, {"layer1": lambda activation: None}):
            resnet(x)
    with pytest.raises(KeyError, match="was not asked for; the captured layers are 'layer1'"):
        with capture(resnet, "layer1") as acts:
            resnet(x)
        acts["layer2"]
    with pytest.raises(KeyError, match="has not run"):
        with capture(resnet, "fc") as acts:
            acts["fc"]
    tail = replay(resnet, torch.randn(2, 3, 32, 32), "layer1")
    with pytest.raises(ValueError, match="3 activations for 2 remembered images: pass index="):
        tail(torch.zeros(3, 64, 8, 8))
    with pytest.raises(ValueError, match="has shape"):
        tail(torch.zeros(2, 64, 4, 4))
    with pytest.raises(ValueError, match="not the model itself"):
        replay(resnet, x, resnet)


# --------------------------------------------------------------------------------------------------- containers, layouts


Pair = collections.namedtuple("Pair", "hidden weights")


@dataclasses.dataclass
class Output:
    hidden: torch.Tensor
    note: str = "kept"


class Packs(nn.Module):
    """A hidden layer that returns its tensor in a container."""

    def __init__(self, pack, unpack) -> None:
        super().__init__()
        self.first, self.inner, self.head, self.unpack = nn.Linear(3, 4), Inner(pack), nn.Linear(4, 2), unpack

    def forward(self, x):
        return self.head(self.unpack(self.inner(self.first(x))))


class Inner(nn.Module):
    def __init__(self, pack) -> None:
        super().__init__()
        self.pack, self.twice = pack, nn.Linear(4, 4)

    def forward(self, x):
        return self.pack(self.twice(x))


PACKS = {
    "tuple": (lambda x: (x, None), lambda packed: packed[0]),
    "list": (lambda x: [x, x.sum()], lambda packed: packed[0]),
    "named tuple": (lambda x: Pair(x, None), lambda packed: packed.hidden),
    "dictionary": (lambda x: {"hidden": x, "count": 3}, lambda packed: packed["hidden"]),
    "ordered": (lambda x: collections.OrderedDict(hidden=x), lambda packed: packed["hidden"]),
    "dataclass": (lambda x: Output(x), lambda packed: packed.hidden),
    "nested": (lambda x: (None, {"inside": [x]}), lambda packed: packed[1]["inside"][0]),
}


@pytest.mark.parametrize("kind", PACKS)
def test_the_first_tensor_of_any_container(kind):
    torch.manual_seed(0)
    model, x = Packs(*PACKS[kind]).eval(), torch.randn(2, 3)
    before = traces(model)
    with torch.no_grad():
        expected, inside = model(x), model.inner.twice(model.first(x))
        with capture(model, "inner") as acts:
            torch.testing.assert_close(model(x), expected)
        torch.testing.assert_close(acts["inner"], inside)
        with replace(model, {"inner": lambda hidden: hidden * 2}):
            torch.testing.assert_close(model(x), model.head(inside * 2))
        for layer in ("inner", "inner.twice"):
            tail = replay(model, x, layer)
            torch.testing.assert_close(tail(tail.activation * 2), model.head(inside * 2))
        tail = replay(model, x, "head")  # behind the container, which is remembered whole
        index = torch.tensor([1, 0, 1])
        torch.testing.assert_close(tail(tail.activation[index], index=index), expected[index])
    assert traces(model) == before


def test_a_layer_without_a_tensor_is_refused():
    model = Packs(lambda x: {"note": 3}, lambda packed: torch.zeros(2, 4))
    with pytest.raises(ValueError, match="'inner' returns a dict without a tensor"), capture(model, "inner"):
        model(torch.randn(2, 3))


class Swapped(nn.Module):
    """Channels first, then last, then first again, as a ConvNeXt block does."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.conv, self.act, self.norm = nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 9), nn.GELU(), nn.Linear(9, width), nn.Dropout(0.1))
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(width, 2)

    def forward(self, x):
        x = self.act(self.conv(x))
        x = x + self.mlp(self.norm(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        return self.head(self.pool(x).flatten(1))


def layouts(model, images):
    names = [name for name, _ in model.named_modules() if name]
    with torch.no_grad(), capture(model, names) as acts:
        model(images)
    return {name: layout_of(model, name, acts[name], images=images) for name in names if name in acts}


def test_the_layout_of_each_layer_is_found():
    found = {name: layout.name for name, layout in layouts(Swapped().eval(), torch.rand(2, 3, 10, 11)).items()}
    last = {"norm", "mlp", "mlp.0", "mlp.1", "mlp.2", "mlp.3"}
    first = {"conv", "act", "pool"}
    assert found == dict.fromkeys(first, "channels_first") | dict.fromkeys(last, "channels_last") | {"head": "vector"}


def test_a_layout_that_cannot_be_known_is_asked_for():
    model, images = Swapped().eval(), torch.rand(2, 3, 6, 6)  # as many rows and columns as channels
    with torch.no_grad(), capture(model, ["act", "mlp.2", "conv"]) as acts:
        model(images)
    with pytest.raises(ValueError, match=r"'act' gives \(2, 6, 6, 6\), and nothing says .* pass layout='channels_first'"):
        layout_of(model, "act", acts["act"])
    assert layout_of(model, "act", acts["act"], layout="channels_first").name == "channels_first"
    assert layout_of(model, "mlp.2", acts["mlp.2"]).name == "channels_last"  # a linear layer leaves no doubt
    assert layout_of(model, "conv", acts["conv"]).name == "channels_first"
    with pytest.raises(ValueError, match="is not tokens"):
        layout_of(model, "act", acts["act"], layout="tokens")
    with pytest.raises(ValueError, match="no layout 'NHWC': choose one of 'channels_first'"):
        layout_of(model, "act", acts["act"], layout="NHWC")
    with pytest.raises(ValueError, match="for 3 pictures: its first axis does not count the pictures"):
        layout_of(model, "act", acts["act"], images=torch.rand(3, 3, 6, 6))
    with pytest.raises(ValueError, match="choose a layer with"):
        layout_of(model, "act", torch.zeros(2, 3, 4, 4, 4))


def test_a_network_without_norms_along_the_last_axis_has_its_channels_first():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 8))
    found = layouts(model, torch.rand(2, 3, 8, 8))  # 8 channels of 8 rows and 8 columns
    assert [layout.name for layout in found.values()] == ["channels_first"] * 2 + ["vector"] * 2


@pytest.mark.parametrize("special", [0, 1, 2, 5])
@pytest.mark.parametrize("size", [(32, 32), (32, 48)])
def test_tokens_have_a_grid_and_special_ones(special, size):
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.norm = nn.Conv2d(3, 16, 8, 8), nn.LayerNorm(16)
            if special:
                self.cls_token = nn.Parameter(torch.zeros(1, 1, 16))
            if special > 1:
                self.reg_token = nn.Parameter(torch.zeros(1, special - 1, 16))

        def forward(self, x):
            tokens = self.embed(x).flatten(2).transpose(1, 2)
            more = [getattr(self, name).expand(len(x), -1, -1) for name in ("cls_token", "reg_token") if hasattr(self, name)]
            return self.norm(torch.cat([*more, tokens], 1))

    for model in (Tokens(), nn.Sequential(nn.Identity(), Tokens())):  # also inside a wrapper
        model(torch.rand(2, 3, *size))
        name = "norm" if isinstance(model, Tokens) else "1.norm"
        assert layouts(model, torch.rand(2, 3, *size))[name] == Layout("tokens", special, (size[0] // 8, size[1] // 8))
    assert layout_of(model, name, torch.rand(2, 7, 16)) == Layout("tokens")  # seven are no grid: not known


@pytest.mark.parametrize("name", LAYOUTS)
def test_maps_and_back(name):
    layout = Layout(name)
    activation = torch.rand(2, 3, 4, 5)[(..., *[0] * (4 - layout.axes))].clone()
    maps = layout.to_maps(activation)
    assert maps.ndim == 4 and maps.shape[:2] == (2, activation.shape[layout.channel_axis])
    assert torch.equal(layout.from_maps(maps), activation)
    assert torch.equal(maps[:, 1].flatten(), activation.select(layout.channel_axis, 1).flatten())
    with pytest.raises(ValueError, match="is not"):
        layout.to_maps(activation[0])


# ------------------------------------------------------------------------------------------------------------ recordings


class SharedActivation(nn.Module):
    """Blocks that share one activation module, which runs inside a block as well as beside the way to its layers."""

    def __init__(self) -> None:
        super().__init__()
        act = nn.GELU()
        self.blocks = nn.Sequential(*(Block(act) for _ in range(3)))
        self.act, self.head = act, nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.act(self.blocks(x)))


class Block(nn.Module):
    def __init__(self, act) -> None:
        super().__init__()
        self.up, self.act, self.down = nn.Linear(4, 4), act, nn.Linear(4, 4)

    def forward(self, x):
        return x + self.down(self.act(self.up(x)))


@pytest.mark.parametrize("layer", ["blocks.0", "blocks.1.up", "blocks.1.down", "blocks.2", "blocks.2.act", "act", "head"])
def test_a_shared_activation_is_recalled_call_by_call(layer):
    torch.manual_seed(0)
    model, x = SharedActivation().eval(), torch.randn(3, 4)
    tail = replay(model, x, layer)
    changed = tail.activation * torch.tensor([1.5, -0.5, 2.0, 1.0][: tail.activation.shape[1]])
    with torch.no_grad(), replace(model, {(layer, 0): changed}):
        expected = model(x)
    with torch.no_grad():
        torch.testing.assert_close(tail(changed), expected)
        torch.testing.assert_close(tail(changed[[2, 0]], index=torch.tensor([2, 0])), expected[[2, 0]])


def test_a_recording_is_run_again_from_any_of_its_layers(resnet):
    images = torch.randn(2, 3, 64, 64)
    layers = ["layer1.0", "layer2.1.conv2", "layer3"]
    before = traces(resnet)
    recording = Recording(resnet, images, layers)
    assert traces(resnet) == before
    with torch.no_grad(), capture(resnet, layers) as acts:
        assert torch.equal(recording.output, resnet(images))
    assert list(recording.outputs) == layers and recording.runs == dict.fromkeys(layers, 1)
    for layer in layers:
        assert torch.equal(recording.activation(layer), acts[layer])
        half = recording.activation(layer) / 2
        with torch.no_grad(), replace(resnet, {layer: half}):
            expected = resnet(images)
        ran = []
        handle = resnet.layer1[0].conv1.register_forward_hook(lambda *_, ran=ran: ran.append(1))
        with torch.no_grad(), override(resnet, {layer: constant(half)}):
            torch.testing.assert_close(recording.run(layer), expected)
        handle.remove()
        assert ran == []  # it is in or beside all three layers
    with torch.no_grad():
        torch.testing.assert_close(recording.run("layer3", first=1), recording.output[:1], rtol=1e-4, atol=1e-5)


class WorksInPlace(nn.Module):
    """Changes its own input, and what a remembered module returned, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        x -= 0.5
        return self.second(self.first(x).relu_()).mean((2, 3))


def test_work_in_place_reaches_neither_the_pictures_nor_the_memory():
    torch.manual_seed(0)
    model, images = WorksInPlace().eval(), torch.rand(1, 3, 4, 4)
    given = images.clone()
    tail = replay(model, images, "second")
    with torch.no_grad():
        expected = model(given.clone())
        rows = torch.cat([tail.activation, tail.activation * 2])
        for _ in range(2):  # one picture serves two rows, which share what it is computed on
            torch.testing.assert_close(tail(rows), torch.cat([expected, expected * 2]))
            torch.testing.assert_close(tail(tail.activation), expected)
    assert torch.equal(images, given)


def test_what_never_runs_is_not_taken_in_silence(resnet):
    x = torch.randn(1, 3, 32, 32)
    resnet.aside = nn.Conv2d(3, 3, 1)
    try:
        with pytest.raises(ValueError, match="'aside' does not run"), replace(resnet, {"aside": torch.zeros(1)}):
            resnet(x)
        with pytest.raises(ValueError, match="'layer1.0.relu' runs only 2 times"):
            with replace(resnet, {("layer1.0.relu", 2): torch.zeros(1)}):
                resnet(x)
        with pytest.raises(ValueError, match="'aside' has not run in this forward pass"):
            replay(resnet, x, "aside")
        with replace(resnet, {"layer4": torch.zeros(1)}), capture(resnet, "layer1", stop=True):
            assert resnet(x) is None  # a pass that was stopped is no such case
    finally:
        del resnet.aside


def test_a_layer_whose_first_axis_does_not_count_the_pictures_is_refused():
    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.head = nn.Linear(3, 3), nn.Linear(12, 2)

        def forward(self, x):
            return self.head(self.inner(x.reshape(-1, 3)).reshape(len(x), 12))

    with pytest.raises(ValueError, match=r"gives \(8, 3\) for 2 pictures: its first axis does not count"):
        replay(Windows(), torch.randn(2, 12), "inner")
