"""Attribution: Grad-CAM beside captum and pytorch-grad-cam, values by hand, properties, and a model left as it was."""

import copy

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from tests.peers import peer
from vizcourse.hooks import Layout
from vizcourse.methods import attribution
from vizcourse.methods.attribution import (
    METHODS,
    grad_cam,
    gradient,
    guided_backprop,
    importance,
    integrated_gradients,
    layer_gradient,
    magnitude,
    occlusion,
    rather_than,
    scores,
    signed,
    smooth_grad,
    unit_range,
    upsample,
)
from vizcourse.models import load
from vizcourse.worlds import scenes


def small(seed=0, inplace=False):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5),
        ).eval()  # fmt: skip


def pictures(count=3, size=16, seed=1):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


class Functional(nn.Module):
    """A network whose ReLUs are function calls."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 3, 3)

    def forward(self, images):
        return functional.relu(self.second(torch.relu_(self.first(images))), inplace=True).mean((2, 3))


# ------------------------------------------------------------------------------------------------------- Grad-CAM


def test_grad_cam_by_hand():
    # Two maps of 2 × 2; the score is 3 · sum of the first − 2 · sum of the second, so α = (3, −2).
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.maps = nn.Identity()

        def forward(self, images):
            maps = self.maps(images)
            return torch.stack([3 * maps[:, 0].sum((1, 2)) - 2 * maps[:, 1].sum((1, 2)), maps.sum((1, 2, 3))], dim=1)

    images = torch.tensor([[[[1.0, 0.0], [2.0, 1.0]], [[0.0, 1.0], [1.0, 3.0]]]])
    raw = torch.tensor([[[3.0, -2.0], [4.0, -3.0]]])
    model = Two()
    torch.testing.assert_close(grad_cam(model, images, 0, "maps", relu=False), raw)
    torch.testing.assert_close(grad_cam(model, images, 0, "maps"), raw.relu())
    torch.testing.assert_close(grad_cam(model, images, 0, "maps", against=True), (-raw).relu())
    _, found = layer_gradient(model, images, 0, "maps")
    torch.testing.assert_close(importance(found), torch.tensor([[3.0, -2.0]]))


def test_grad_cam_is_cam_behind_global_average_pooling():
    # With pooling and one linear layer at the end, α_k is the class weight over the number of places (Selvaraju, section 3.1).
    model = load("resnet20-cifar10")
    images = pictures(2, 32)
    activation, _ = layer_gradient(model, images, 3, "layer3")
    cam = torch.einsum("k,nkhw->nhw", model.fc.weight[3], activation) / activation[0, 0].numel()
    torch.testing.assert_close(grad_cam(model, images, 3, "layer3", relu=False), cam, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("layer", ["0", "1", "3", "4"])
def test_in_place_modules_change_nothing(layer, inplace):
    plain = grad_cam(small(), pictures(), 2, layer, relu=False)
    torch.testing.assert_close(grad_cam(small(inplace=inplace), pictures(), 2, layer, relu=False), plain)


def test_targets_of_all_kinds_agree():
    model, images = small(), pictures()
    one_by_one = torch.cat([grad_cam(model, images[n : n + 1], n, "3") for n in range(3)])
    for target in ([0, 1, 2], torch.tensor([0, 1, 2]), lambda outputs: outputs.diagonal()):
        torch.testing.assert_close(grad_cam(model, images, target, "3"), one_by_one)
    answers = model(images).argmax(1)
    torch.testing.assert_close(grad_cam(model, images, None, "3"), grad_cam(model, images, answers, "3"))
    difference = grad_cam(model, images, rather_than(0, [1, 1, 1]), "3", relu=False)
    each = [grad_cam(model, images, target, "3", relu=False) for target in (0, 1)]
    torch.testing.assert_close(difference, each[0] - each[1])


def test_evidence_for_and_against_share_one_signed_map():
    model, images = small(), pictures()
    whole = grad_cam(model, images, 1, "3", relu=False)
    found = grad_cam(model, images, 1, "3") - grad_cam(model, images, 1, "3", against=True)
    torch.testing.assert_close(found, whole)


def test_nothing_before_the_layer_is_differentiated():
    model, images = small(), pictures()
    met = []
    model[0].register_forward_hook(lambda _m, _i, output: met.append(output.requires_grad))
    model[5].register_forward_hook(lambda _m, _i, output: met.append(output.requires_grad))
    grad_cam(model, images, 1, "3")
    assert met == [False, True]


def test_a_transformers_tokens_are_laid_on_their_grid():
    class Tokens(nn.Module):
        """Patches of 4 × 4 behind a class token and two registers; the score is the red of one place."""

        def __init__(self):
            super().__init__()
            self.embed, self.block = nn.Linear(3, 3, bias=False), nn.Identity()
            nn.init.eye_(self.embed.weight)

        def forward(self, images):
            places = self.embed(functional.avg_pool2d(images, 4).flatten(2).transpose(1, 2))
            tokens = self.block(torch.cat([places.new_zeros(len(places), 3, 3), places], dim=1))
            return tokens[:, [3 + 7], 0]

    images = torch.rand(2, 3, 16, 24)
    found = grad_cam(Tokens(), images, 0, "block")
    red = functional.avg_pool2d(images, 4)[:, 0]
    assert found.shape == (2, 4, 6)
    torch.testing.assert_close(found, red / 24)
    layout = Layout("tokens", special=3, grid=(4, 6))
    torch.testing.assert_close(grad_cam(Tokens(), images, 0, "block", layout=layout), found)
    with pytest.raises(ValueError, match="the grid of its tokens is not known"):
        grad_cam(Tokens(), torch.rand(2, 3, 12, 12), 0, "block")  # 12 tokens may be 3 and 3 × 3 or 8 and 2 × 2


def test_channels_last_as_in_swin():
    class Swin(nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.head = nn.Identity(), nn.Linear(5, 2)

        def forward(self, images):
            maps = functional.avg_pool2d(images, 4).permute(0, 2, 3, 1)
            maps = self.features(torch.cat([maps, maps[..., :2]], dim=3))
            return self.head(maps.mean((1, 2)))

    assert grad_cam(Swin(), pictures(2, 16), 0, "features").shape == (2, 4, 4)
    assert grad_cam(Swin(), torch.rand(2, 3, 16, 32), 0, "features").shape == (2, 4, 8)


def test_the_course_transformer():
    model = load("vit-scenes")
    images = pictures(2, 96)
    assert grad_cam(model, images, 3, "encoder.layers.encoder_layer_11.ln_1").shape == (2, 6, 6)
    assert grad_cam(model, images, 3, "conv_proj").shape == (2, 6, 6)
    with pytest.raises(ValueError, match="only the class token is read after it: choose an earlier layer"):
        grad_cam(model, images, 3, "encoder.layers.encoder_layer_11")


# ---------------------------------------------------------------------------------------------------------- peers

NETWORKS = {
    "resnet18": (lambda: torchvision.models.resnet18(num_classes=10), 96, "layer4"),
    "googlenet": (lambda: load("googlenet-scenes").requires_grad_(True), 96, "inception4e"),
    "vit": (lambda: load("vit-scenes").requires_grad_(True), 96, "encoder.layers.encoder_layer_11.ln_1"),
}


def network(name):
    make, size, layer = NETWORKS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().eval()
    drawn = scenes.sample(3, seed=4)
    return model, scenes.render(drawn, size), torch.tensor([scenes.label(scene) % 10 for scene in drawn]), layer


def on_grid(tokens):
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (6, 6))


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_captum(name):
    captum = peer("captum.attr")
    model, images, target, layer = network(name)
    module = model.get_submodule(layer)
    if name == "vit":  # captum takes tokens for channels, so its layer gradients are combined here, on the grid
        from captum._utils.gradient import compute_layer_gradients_and_eval

        (found,), (tokens,) = compute_layer_gradients_and_eval(model, module, images, target)[:2]
        theirs = (on_grid(found).mean((2, 3), keepdim=True) * on_grid(tokens)).sum(1)
    else:
        theirs = captum.LayerGradCam(model, module).attribute(images, target=target)[:, 0]
    ours, theirs = grad_cam(model, images, target, layer, relu=False), theirs.detach()
    scale = theirs.abs().max()  # an untrained network's maps may be tiny
    torch.testing.assert_close(ours / scale, theirs / scale, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_pytorch_grad_cam_when_rendered(name):
    grad_cams = peer("pytorch_grad_cam")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model, images, target, layer = network(name)
    # The peer adds 1e-7 to each map's maximum, which matters to tiny maps: the score is scaled up for both.
    factor = 1e6

    class Louder(ClassifierOutputTarget):
        def __call__(self, output):
            return factor * super().__call__(output)

    changed = copy.deepcopy(model)
    reshape = on_grid if name == "vit" else None
    with grad_cams.GradCAM(model=changed, target_layers=[changed.get_submodule(layer)], reshape_transform=reshape) as cam:
        theirs = torch.from_numpy(cam(input_tensor=images, targets=[Louder(number) for number in target.tolist()]))
    ours = unit_range(upsample(unit_range(grad_cam(model, images, target, layer)), images))
    torch.testing.assert_close(ours, theirs.float(), atol=1e-5, rtol=0)


def test_pixel_methods_equal_captum():
    captum = peer("captum.attr")
    model, images = small(), pictures()
    target = torch.tensor([0, 3, 1])
    torch.testing.assert_close(gradient(model, images, target), captum.Saliency(model).attribute(images, target, abs=False))
    theirs = captum.IntegratedGradients(model).attribute(images, target=target, n_steps=20, method="riemann_middle")
    torch.testing.assert_close(
        integrated_gradients(model, images, target, steps=20).attribution, theirs.float(), atol=1e-6, rtol=1e-4
    )
    with pytest.warns(UserWarning):
        theirs = captum.GuidedBackprop(model).attribute(images, target=target)
    torch.testing.assert_close(guided_backprop(model, images, target), theirs)
    theirs = captum.Occlusion(model).attribute(
        images, target=target, sliding_window_shapes=(3, 8, 8), strides=(3, 4, 4), baselines=0.5
    )
    torch.testing.assert_close(occlusion(model, images, target, window=8, stride=4), theirs[:, 0].float(), atol=1e-5, rtol=1e-4)


# -------------------------------------------------------------------------------------------------- pixel methods


def test_smooth_grad_without_noise_is_the_gradient():
    model, images = small(), pictures()
    torch.testing.assert_close(smooth_grad(model, images, 1, samples=3, noise=0.0), gradient(model, images, 1))


def test_smooth_grad_does_not_depend_on_the_batch_or_the_global_seed():
    model, images = small(), pictures()
    whole = smooth_grad(model, images, 1, samples=4, seed=7)
    torch.manual_seed(99)
    torch.testing.assert_close(smooth_grad(model, images[1:2], 1, samples=4, seed=7), whole[1:2])


def test_integrated_gradients_are_complete():
    model, images = small(), pictures()
    coarse, fine = (integrated_gradients(model, images, 2, steps=steps) for steps in (2, 300))
    assert fine.delta.abs().max() < 1e-3 <= coarse.delta.abs().max() + 1e-3
    with torch.no_grad():
        rise = (model(images) - model(torch.zeros_like(images)))[:, 2]
    torch.testing.assert_close(fine.attribution.sum((1, 2, 3)), rise, atol=1e-3, rtol=0)
    assert float(integrated_gradients(model, images, 2, baseline=images).attribution.abs().max()) == 0


def test_integrated_gradients_do_not_depend_on_the_batch_size():
    model, images = small(), pictures()
    for target in (2, [0, 1, 2], lambda outputs: outputs[:, 1] * 2, None):
        one = integrated_gradients(model, images, target, steps=7, batch=1)
        many = integrated_gradients(model, images, target, steps=7, batch=100)
        torch.testing.assert_close(one.attribution, many.attribution)


def test_a_linear_model_is_explained_by_its_weights():
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
    images, weights = pictures(2, 4), model[1].weight[1].view(3, 4, 4)
    torch.testing.assert_close(gradient(model, images, 1), weights.expand(2, -1, -1, -1))
    torch.testing.assert_close(integrated_gradients(model, images, 1, steps=3).attribution, weights * images)
    covered = occlusion(model, images, 1, window=1, stride=1, fill=0.0)
    torch.testing.assert_close(covered, (weights * images).sum(1), atol=1e-5, rtol=1e-4)


def test_guided_backprop_meets_relus_that_are_functions():
    torch.manual_seed(0)
    model, images = Functional().eval(), pictures(2, 8)
    found = guided_backprop(model, images, 1)
    assert not torch.allclose(found, gradient(model, images, 1))
    # By hand, backward through both ReLUs with positive values only.
    first = model.first(images)
    second = model.second(first.relu())
    back = torch.zeros_like(second)
    back[:, 1] = 1 / second[0, 0].numel()
    back = functional.conv_transpose2d(back.clamp_min(0) * (second > 0), model.second.weight)
    torch.testing.assert_close(found, functional.conv_transpose2d(back.clamp_min(0) * (first > 0), model.first.weight))


def test_guided_backprop_needs_a_relu():
    with pytest.raises(ValueError, match="this model has none"):
        guided_backprop(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), pictures(1, 4), 1)


class OnWeightsAlone(nn.Module):
    """A ReLU that no picture passes through, as in a Swin transformer of the second version."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(48, 2)

    def forward(self, images):
        return functional.linear(functional.gelu(images.flatten(1)), self.last.weight.relu(), self.last.bias)


def test_guided_backprop_needs_a_relu_on_the_way_from_the_picture():
    with pytest.raises(ValueError, match="none between picture and score"):
        guided_backprop(OnWeightsAlone(), pictures(1, 4), 1)


def test_a_first_layer_that_works_in_place_does_not_reach_the_caller_s_images():
    model = nn.Sequential(nn.ReLU(inplace=True), *small(inplace=True)).eval()
    images = pictures() - 0.5
    before = images.clone()
    for name, method in METHODS.items():
        method(model, images, 1, "4")
        assert torch.equal(images, before), name


def test_occlusion_covers_the_border_too():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 49, 2))
    found = occlusion(model, pictures(1, 7), 0, window=3, stride=3)
    assert found.shape == (1, 7, 7) and (found != 0).all()


def test_maps_of_one_image():
    values = torch.tensor([[[[1.0, -2.0]], [[-3.0, 1.0]], [[0.0, 0.0]]]])
    assert magnitude(values).tolist() == [[[4.0, 3.0]]] and signed(values).tolist() == [[[-2.0, -1.0]]]
    assert unit_range(torch.tensor([[[1.0, 3.0], [2.0, 1.0]], [[5.0, 5.0], [5.0, 5.0]]])).tolist() == [
        [[0.0, 1.0], [0.5, 0.0]], [[0.0, 0.0], [0.0, 0.0]],
    ]  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_pixels_and_leaves_the_model_alone(name):
    model, images = small(inplace=True), pictures()
    before = copy.deepcopy(model.state_dict())
    hooks = [len(module._forward_hooks) + len(module._backward_hooks) for module in model.modules()]
    grad_mode = torch.is_grad_enabled()
    found = METHODS[name](model, images, [0, 1, 2], "3")
    assert found.shape in (images.shape, (3, 16, 16)) and found.isfinite().all() and not found.requires_grad
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert [len(module._forward_hooks) + len(module._backward_hooks) for module in model.modules()] == hooks
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert torch.is_grad_enabled() == grad_mode and not model.training and images.grad is None


@pytest.mark.parametrize("name", ["gradient", "Grad-CAM", "guided backprop"])
def test_an_error_in_the_model_leaves_nothing_behind(name):
    model, images = small(), pictures()
    hook = model[5].register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        METHODS[name](model, images, 1, "3")
    hook.remove()
    assert torch.is_grad_enabled() and "forward" not in model.__dict__
    assert all(not module._forward_hooks for module in model.modules())
    METHODS[name](model, images, 1, "3")


def test_without_gradients_around_it():
    model, images = small(), pictures()
    with torch.no_grad():
        torch.testing.assert_close(gradient(model, images, 1), gradient(model, images, 1))
        assert grad_cam(model, images, 1, "3").shape == (3, 8, 8)
        assert not torch.is_grad_enabled()


# ------------------------------------------------------------------------------------------------------ bad input


def refused(match, *arguments, function=grad_cam, **options):
    with pytest.raises(ValueError, match=match) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)


def test_bad_input_gets_one_sentence():
    model, images = small(), pictures()
    refused("has no layer 'layer4': its layers are", model, images, 0, "layer4")
    refused("must lie inside the model", model, images, 0)
    refused("gives \\(3, 5\\), which has no spatial extent", model, images, 0, "7")
    refused("no class 5: the model has the classes 0 to 4", model, images, 5, "3")
    refused("no class -1", model, images, -1, "3")
    refused("one an image, 3 in all, not \\(2,\\)", model, images, [1, 2], "3")
    refused("whole number", model, images, 1.5, "3")
    refused("one score an image", model, images, lambda outputs: outputs, "3")
    refused("not finite", model, images.masked_fill(images > 0.9, torch.nan), 0, "3")
    refused("images\\[None\\] makes a batch of one", model, images[0], 0, "3")
    refused("floats", model, (images * 255).to(torch.uint8), 0, "3")
    refused("at least one", model, images[:0], 0, "3")
    refused("does not take images \\(3, 1, 16, 16\\)", model, images[:, :1], 0, "3")
    refused("does not depend", model, images, lambda outputs: torch.zeros(3), "3")
    refused("window", model, images, 0, window=17, function=occlusion)
    refused("steps must be a whole number of at least 1", model, images, 0, steps=0, function=integrated_gradients)
    refused("samples must be a whole number of at least 1", model, images, 0, samples=0, function=smooth_grad)


def test_wrong_size_names_the_right_one():
    refused("it was made for \\(N, 3, 96, 96\\)", load("vit-scenes"), pictures(1, 64), 0, "conv_proj")


def test_batch_normalization_in_training_mode():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    refused("call model.eval\\(\\) first", model.train(), pictures(), 0, "0")
    assert grad_cam(model.eval(), pictures(), 0, "1").shape == (3, 14, 14)
    assert model[1].num_batches_tracked == 0


def test_outputs_that_are_not_logits_need_a_function():
    model = nn.Conv2d(3, 2, 3, padding=1).eval()
    wrapped = nn.Sequential(model, nn.Identity())
    refused("pass a target function", wrapped, pictures(), 0, "0")
    assert grad_cam(wrapped, pictures(), lambda maps: maps[:, 0].mean((1, 2)), "0").shape == (3, 16, 16)


def test_scores_of_one_target_for_all():
    outputs = torch.tensor([[1.0, 2.0], [4.0, 3.0]])
    assert scores(outputs, 1).tolist() == [2.0, 3.0] and scores(outputs, None).tolist() == [2.0, 4.0]
    assert attribution.fixed_target(nn.Flatten(), outputs[:, :, None, None], None).tolist() == [1, 0]
