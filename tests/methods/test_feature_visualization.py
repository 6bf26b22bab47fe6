"""vizcourse.methods.feature_visualization: hand-derived values on tiny networks, and Lucent as the peer."""

from __future__ import annotations

import math

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from tests.methods.toys import identity, network
from vizcourse.methods.feature_visualization import (
    IMAGENET_COLOURS,
    LUCENT,
    ConstantObjective,
    Image,
    NotFinite,
    blur,
    caricature,
    channel,
    colour_matrix,
    direction,
    diversity,
    evaluate,
    fourier,
    inversion,
    jitter,
    l1,
    l2,
    layer,
    logit,
    neuron,
    normalized,
    pixels,
    position,
    render,
    top_examples,
    total_variation,
)
from vizcourse.methods.passes import PassingReLU, plain_batch_norms


class Poisoned(nn.Module):
    """Gives NaN from the fourth run on."""

    def __init__(self):
        super().__init__()
        self.runs = 0

    def forward(self, x):
        self.runs += 1
        return x * math.nan if self.runs > 3 else x


SMALL = {"image": fourier(16), "steps": 12, "transformations": (), "progress": False}
pictures = torch.rand(2, 3, 6, 8, generator=torch.Generator().manual_seed(1))


# ---------------------------------------------------------------------------------------------------------- objectives


def test_objectives_by_hand():
    model, red = identity(), pictures[:, 0]
    values = evaluate(
        model,
        pictures,
        [
            channel("0", 0),
            neuron("0", 0),
            neuron("0", 0, (1, 2)),
            layer("0"),
            position("0", (5, 7)),
            direction("0", torch.tensor([3.0, 4.0, 0.0])),
            direction("0", torch.tensor([0.0, 0.0, 2.0]), (1, 2), cosine_power=2),
        ],
    )
    at = pictures[:, :, 1, 2]
    expected = [
        red.mean((1, 2)),
        red[:, 3, 4],
        red[:, 1, 2],
        (pictures**2).mean((1, 2, 3)),
        (pictures[:, :, 5, 7] ** 2).mean(1),
        (0.6 * red + 0.8 * pictures[:, 1]).mean((1, 2)),
        at[:, 2] * (at[:, 2] / at.norm(dim=1)).clamp_min(0.1) ** 2,
    ]
    torch.testing.assert_close(values, torch.stack(expected))


def test_sums_differences_and_multiples():
    a, b = channel("0", 0), total_variation()
    value_a, value_b = evaluate(identity(), pictures, [a, b])
    mixed = evaluate(identity(), pictures, [a + b, a - 2 * b, -(a / 4), sum([a, b, a]), b * 3 - a])
    expected = [value_a + value_b, value_a - 2 * value_b, -value_a / 4, 2 * value_a + value_b, 3 * value_b - value_a]
    torch.testing.assert_close(mixed, torch.stack(expected))
    assert str(channel("0", 1) - 0.5 * l2()) == "channel('0', 1) + -0.5 * l2()"
    with pytest.raises(TypeError):
        a + 1
    with pytest.raises(TypeError):
        a * b


def test_logit_is_an_output_of_the_whole_model():
    model = network()
    values = evaluate(model, torch.rand(3, 3, 8, 8), [logit(0), logit(1), channel("fc", 1)])
    x = torch.rand(3, 3, 8, 8)
    torch.testing.assert_close(evaluate(model, x, logit(1))[0], model(x)[:, 1].detach())
    assert torch.equal(values[1], values[2])


def test_tokens_are_a_map_of_one_row():
    tokens = nn.Sequential(nn.Flatten(2), nn.Linear(48, 4))  # (n, 3 tokens, 4 features)
    with torch.no_grad():
        output = tokens(pictures)
    values = evaluate(tokens, pictures, [channel("1", 2), neuron("1", 2, (0, 1))])
    torch.testing.assert_close(values, torch.stack([output[:, :, 2].mean(1), output[:, 1, 2]]))


def test_caricature_and_inversion_by_hand():
    target = pictures[:1]
    values = evaluate(identity(), pictures, [caricature("0", target), caricature("0", target, cosine_power=0)])
    norm, dot = target.norm(), (pictures * target).sum((1, 2, 3))
    cosine = dot / norm / pictures.flatten(1).norm(dim=1)
    torch.testing.assert_close(values, torch.stack([dot / norm * cosine, dot / norm]))
    inverted = evaluate(identity(), torch.cat([target, torch.zeros_like(target), 3 * target]), inversion("0", target))
    torch.testing.assert_close(inverted, torch.tensor([[0.0, -1.0, -4.0]]))


def test_inversion_finds_the_picture_again():
    target = 0.3 + 0.4 * torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    found = render(identity(), inversion("0", target), **SMALL | {"image": pixels(8), "steps": 300})
    torch.testing.assert_close(found.images, target, atol=5e-3, rtol=0)


def test_diversity_by_hand():
    # Gram matrices of a red, a red and a green picture: cosine 1 between the first two, 0 to the third
    three = torch.zeros(3, 3, 4, 4)
    three[0, 0], three[1, 0], three[2, 1] = 1, 0.5, 1
    torch.testing.assert_close(evaluate(identity(), three, diversity("0")), torch.tensor([[-0.5, -0.5, 0.0]]))


def test_diversity_makes_pictures_differ():
    def likeness(objective):
        found = render(network(), objective, **SMALL | {"variants": 2, "steps": 60})
        return -evaluate(network(), found.images, diversity("conv2")).mean().item()

    alike, unlike = likeness(channel("conv2", 1)), likeness(channel("conv2", 1) + 10 * diversity("conv2"))
    assert unlike < alike - 0.02


def test_penalties_by_hand():
    image = torch.tensor([[0.0, 1.0], [0.5, 0.5]]).expand(1, 3, 2, 2)
    # across: 1 + 0, down: 0.5 + 0.5, over 4 pixels; |x - 0.5|: 0.5 twice; (x - 0.5)²: 0.25 twice
    values = evaluate(identity(), image, [total_variation(), l1(), l2()])
    torch.testing.assert_close(values, torch.tensor([[0.5], [0.25], [0.125]]))
    assert evaluate(identity(), torch.full((1, 3, 4, 4), 0.3), blur()).abs() < 1e-12
    # a white pixel on black, blurred: 1/4 there, 1/8 on 4 sides, 1/16 on 4 corners
    dot = torch.zeros(1, 3, 5, 5)
    dot[:, :, 2, 2] = 1
    expected = (0.75**2 + 4 / 64 + 4 / 256) / 25 / 2
    assert evaluate(identity(), dot, blur()).item() == pytest.approx(expected)


@pytest.mark.parametrize("penalty", [total_variation, l1, l2, blur])
def test_each_penalty_lowers_itself(penalty):
    strong = SMALL | {"image": pixels(16, deviation=1), "steps": 30}
    free, held = (render(identity(), channel("0", 0) - weight * penalty(), **strong) for weight in (0, 50))
    assert evaluate(identity(), held.images, penalty()) < 0.8 * evaluate(identity(), free.images, penalty())


# ----------------------------------------------------------------------------------------------------------- rendering


@pytest.mark.parametrize("image", [pixels(16), pixels(16, colours=IMAGENET_COLOURS), fourier(16), fourier(16, colours=None)])
@pytest.mark.parametrize("preset", [(), LUCENT])
def test_ascent_raises_the_objective(image, preset):
    model = network()
    goals = [channel("conv2", 1), neuron("conv2", 2), logit(1), layer("conv2"), channel("conv2", 0) - channel("conv2", 3)]
    result = render(model, goals, **SMALL | {"image": image, "steps": 30, "transformations": preset})
    start, end = image.decode(image.start(1, torch.Generator().manual_seed(0))), result.images
    gain = evaluate(model, end, goals).diag() - evaluate(model, start, goals)[:, 0]
    assert (gain > 0.002).all(), gain
    assert end.shape == (5, 3, 16, 16) and 0 <= end.min() and end.max() <= 1
    assert result.values.shape == (30, 5)


def test_a_plain_step_is_as_long_as_the_learning_rate_says():
    seen = []

    def decode(parameter):
        seen.append(parameter.detach().clone())
        return torch.sigmoid(parameter)

    image = Image(pixels(16).start, decode)
    goals = [channel("conv2", 1), 1e-3 * channel("conv2", 1), neuron("conv1", 2)]
    render(network(), goals, **SMALL | {"image": image, "steps": 4, "optimizer": "sgd", "learning_rate": 0.2})
    for before, after in zip(seen[:-1], seen[1:], strict=True):
        size = (after - before).flatten(1).square().mean(1).sqrt()
        torch.testing.assert_close(size, torch.full_like(size, 0.2), rtol=1e-4, atol=0)
        torch.testing.assert_close(after[0], after[1], rtol=1e-3, atol=1e-4)  # a multiple of a goal asks for the same
    assert normalized(torch.zeros(2, 3)).tolist() == [[0, 0, 0]] * 2


def test_plain_steps_keep_the_scale_of_waves_and_adam_undoes_half_of_it():
    # An objective whose gradient is white noise: what is fine in the first step comes from parameters and optimiser alone.
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 1))
    with torch.no_grad():
        model[1].weight.normal_(generator=torch.Generator().manual_seed(0))
    fine = {}
    for name, image in (("pixels", pixels(32)), ("waves", fourier(32, colours=None))):
        for optimizer in ("sgd", "adam"):
            settings = SMALL | {"image": image, "steps": 1, "frames": 2, "optimizer": optimizer, "learning_rate": 1e-3}
            start, end = render(model, logit(0), **settings).frames[:, 0]
            power = torch.fft.fft2(end - start).abs().square()
            high = torch.hypot(torch.fft.fftfreq(32)[:, None], torch.fft.fftfreq(32)[None]) > 0.25
            fine[name, optimizer] = float((power * high).sum() / power.sum())
    assert abs(fine["pixels", "sgd"] - fine["pixels", "adam"]) < 0.05 < 0.7 < fine["pixels", "sgd"]
    assert fine["waves", "sgd"] < 0.5 * fine["waves", "adam"] and fine["waves", "adam"] < 0.5 * fine["pixels", "adam"]


def test_values_are_those_of_the_pictures_on_the_path():
    goal = channel("conv2", 1) - 0.5 * total_variation()
    result = render(network(), goal, **SMALL | {"frames": 13})
    assert result.frame_steps == tuple(range(13))
    assert result.frames.shape == (13, 1, 3, 16, 16)
    torch.testing.assert_close(evaluate(network(), result.frames[:-1, 0], goal)[0], result.values[:, 0])
    assert torch.equal(result.frames[-1], result.images)


def test_frames_are_kept_evenly_and_on_request():
    assert render(network(), channel("conv2", 1), **SMALL).frames.shape == (0, 1, 3, 16, 16)
    assert render(network(), channel("conv2", 1), **SMALL | {"frames": 1}).frame_steps == (12,)
    several = render(network(), channel("conv2", 1), **SMALL | {"frames": 4})
    assert several.frame_steps == (0, 4, 8, 12) and len(several.frames) == 4
    assert len(render(network(), channel("conv2", 1), **SMALL | {"steps": 1, "frames": 5}).frames) == 5


def test_a_batch_gives_the_same_pictures_as_one_by_one():
    goals = [channel("conv2", 1), 2 * neuron("conv1", 3) - l2(), logit(0), channel("conv2", 4) + 0.1 * diversity("conv2")]
    settings = SMALL | {"image": fourier(16), "variants": 2, "seed": 5, "transformations": LUCENT, "steps": 10}
    together = render(network(), goals, **settings)
    for number, goal in enumerate(goals):
        alone = render(network(), goal, **settings)
        torch.testing.assert_close(together.images[2 * number : 2 * number + 2], alone.images, atol=1e-4, rtol=0)
        torch.testing.assert_close(together.values[:, 2 * number : 2 * number + 2], alone.values, atol=1e-4, rtol=1e-3)


def test_any_network_will_do():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vit = torchvision.models.VisionTransformer(32, 8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=16)
        resnet = torchvision.models.resnet18(num_classes=4)
    block = "encoder.layers.encoder_layer_0"
    goals = [channel(block, 3), neuron(block, 3, (0, 16)), channel("encoder.layers.encoder_layer_1.self_attention", 0)]
    assert render(vit, goals, **SMALL | {"image": fourier(32)}).images.shape == (3, 3, 32, 32)
    assert top_examples(vit, [torch.rand(2, 3, 32, 32)], block).boxes[0, 0].tolist() == [0, 0, 32, 32]
    shared = render(resnet, channel(("layer1.0.relu", 0), 5) + channel(resnet.layer2, 1), **SMALL | {"steps": 40})
    assert shared.values[-1] > shared.values[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_any_precision(dtype):
    same = render(network(), channel("conv2", 1), **SMALL)
    found = render(network().to(dtype), channel("conv2", 1), **SMALL)
    torch.testing.assert_close(found.images, same.images, atol=0.02, rtol=0)
    torch.testing.assert_close(found.values, same.values.to(found.values.dtype), atol=0.02, rtol=0.02)


def test_seeds_decide_everything_and_the_random_state_is_untouched():
    state = torch.random.get_rng_state()
    settings = SMALL | {"transformations": LUCENT}
    first, again, other = (render(network(), channel("conv2", 1), **settings, seed=seed).images for seed in (3, 3, 4))
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(first, again) and not torch.allclose(first, other)


def test_nothing_after_the_target_is_run():
    model = network()
    render(model, [channel("conv2", 1), neuron("conv1", 0)], **SMALL)
    evaluate(model, torch.rand(1, 3, 8, 8), channel("conv2", 1))
    assert model.tail.runs == 0
    render(model, logit(0), **SMALL)
    assert model.tail.runs == SMALL["steps"]


def test_an_objective_on_the_picture_alone_needs_no_network():
    model = network()
    result = render(model, -total_variation(), **SMALL | {"image": pixels(16, deviation=1), "steps": 40})
    assert result.values[-1] > result.values[0] and model.tail.runs == 0


def test_a_short_run_shows_no_bar(capsys):
    render(network(), channel("conv2", 1), **SMALL | {"progress": True})
    top_examples(network(), [torch.rand(2, 3, 8, 8)], "conv2")
    assert "".join(capsys.readouterr()) == ""


def marks(model):
    """All that a method could leave behind on a model."""
    hooks = [
        (name, len(module._forward_hooks), len(module._forward_pre_hooks), len(module._backward_hooks), module.training)
        for name, module in model.named_modules()
    ]
    own = [name for name, module in model.named_modules() if "forward" in vars(module)]
    parameters = [(name, p.requires_grad, p.grad is None) for name, p in model.named_parameters()]
    return hooks, own, parameters, {name: value.clone() for name, value in model.state_dict().items()}


def assert_same(before, after):
    assert before[:3] == after[:3]
    assert all(torch.equal(before[3][name], value) for name, value in after[3].items())


def test_nothing_is_left_behind_after_a_hundred_calls():
    model = network().train()
    model.norm1.eval()
    model.fc.requires_grad_(False)
    before = marks(model)
    short = SMALL | {"steps": 2}
    for number in range(50):
        render(model, channel("conv2", number % 5), **short)
        with torch.no_grad():
            render(model, logit(0) + channel("conv1", 1), **short)
    evaluate(model, torch.rand(2, 3, 8, 8), logit(1))
    top_examples(model, [torch.rand(2, 3, 8, 8)], "conv2")
    assert_same(before, marks(model))


def test_plain_batch_norms_compute_the_same():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4, affine=False))
    with torch.no_grad():
        model(torch.rand(8, 3, 9, 9))  # fills the running statistics
        model[1].weight.uniform_(0.5, 2)
        model[1].bias.normal_()
    model.eval()
    images = torch.rand(2, 3, 9, 9, requires_grad=True)
    wanted = model(images)
    with plain_batch_norms(model):
        found = model(images)
        assert "forward" in vars(model[1]) and "forward" not in vars(model[3])
    assert torch.allclose(found, wanted, atol=1e-5)
    gradients = [torch.autograd.grad(each.square().sum(), images)[0] for each in (found, wanted)]
    assert torch.allclose(*gradients, atol=1e-4)
    assert "forward" not in vars(model[1])


def test_nothing_is_left_behind_after_exceptions():
    model = network().train()
    before = marks(model)
    bad = [channel("conv9", 0), channel("conv2", 5), neuron("conv2", 0, (8, 0)), diversity("conv2")]
    for goal in bad:
        with pytest.raises(ValueError):
            render(model, goal, **SMALL)

    def interrupt(images, generator):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(model, channel("conv2", 0), **SMALL | {"transformations": [interrupt]})
    with pytest.raises(ValueError):
        top_examples(model, [], "conv2")
    assert_same(before, marks(model))


def test_a_unit_that_is_silent_on_noise_is_woken():
    model = nn.Sequential(nn.Conv2d(3, 1, 1), nn.ReLU())
    nn.init.constant_(model[0].weight, 1.0)
    nn.init.constant_(model[0].bias, -1.6)  # noise sums to 1.5, white to 3
    assert evaluate(model, torch.full((1, 3, 8, 8), 0.51), channel("1", 0)) == 0
    woken = render(model, channel("1", 0), **SMALL | {"image": pixels(8), "steps": 60})
    assert woken.values[-1] > 0.1
    with pytest.raises(ConstantObjective, match="whatever the picture"):
        render(model, channel("1", 0), **SMALL | {"image": pixels(8), "steps": 60, "warm_up": 0})


def test_the_passing_relu_differs_only_where_everything_is_blocked():
    x = torch.tensor([[-1.0, 2.0], [-1.0, -2.0]], requires_grad=True)
    wish = torch.tensor([[-1.0, -1.0], [-1.0, 1.0]])
    gradients = []
    for relu in (
        functional.relu,
        torch.relu,
        nn.ReLU(),
        lambda x: x.relu(),
        lambda x: functional.relu(x.clone(), inplace=True),
    ):
        with PassingReLU():
            y = relu(x)
        assert torch.equal(y, x.clamp_min(0))
        gradients.append(torch.autograd.grad(y, x, wish)[0])
    for gradient in gradients:
        assert torch.equal(gradient, torch.tensor([[0.0, -1.0], [-1.0, 0.0]]))


def test_the_passing_relu_knows_relu6_and_leaves_other_bounds_alone():
    x = torch.tensor([[-1.0, -2.0], [8.0, 2.0]], requires_grad=True)
    wish = torch.tensor([[-1.0, 1.0], [-1.0, -1.0]])
    for relu6 in (functional.relu6, nn.ReLU6(), lambda x: functional.hardtanh(x.clone(), 0.0, max_val=6.0, inplace=True)):
        with PassingReLU():
            y = relu6(x)
        assert torch.equal(y, x.clamp(0, 6))
        assert torch.equal(torch.autograd.grad(y, x, wish)[0], torch.tensor([[-1.0, 0.0], [0.0, -1.0]]))
    with PassingReLU():
        y = functional.hardtanh(x)
    assert torch.equal(y, x.clamp(-1, 1)) and not torch.autograd.grad(y, x, wish)[0][1].any()


def test_a_dead_unit_is_named():
    model = network()
    with torch.no_grad():
        model.conv2.weight[3] = 0
        model.norm1.weight[2], model.norm1.bias[2] = 1, -1e4
    with pytest.raises(ConstantObjective, match=r"channel\('conv2', 3\) is .* whatever the picture") as caught:
        render(model, [channel("conv2", 1), channel("conv2", 3) - 0.1 * l2()], **SMALL)
    assert caught.value.indices == [1]
    for steps in (1, 2, 5, 40):
        with pytest.raises(ConstantObjective, match=r"'relu1', 2\) is 0 whatever"):
            render(model, channel("relu1", 2) + channel("conv2", 1), **SMALL | {"steps": steps, "transformations": LUCENT})
    constant = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Threshold(1e9, 0.0))
    with pytest.raises(ConstantObjective):
        render(constant, logit(0), **SMALL)


def test_a_loss_that_is_not_finite_stops_with_the_last_good_picture():
    model = nn.Sequential(nn.Conv2d(3, 2, 1), Poisoned())
    path = render(model[0], channel("", 0), **SMALL | {"frames": 13}).frames
    with pytest.raises(NotFinite, match=r"channel\('1', 0\) is not finite at step 3") as caught:
        render(model, channel("1", 0), **SMALL)
    assert caught.value.step == 3
    torch.testing.assert_close(caught.value.images, path[2])
    broken = network()
    with torch.no_grad():
        broken.conv1.bias[0] = math.nan
    with pytest.raises(NotFinite, match="at step 0") as caught:
        render(broken, channel("conv2", 0), **SMALL)
    assert caught.value.images.isfinite().all()


def test_bad_input_is_named():
    model = network()
    cases = [
        ("did you mean 'conv", channel("conv3", 0), {}),
        ("has channels 0 to 4; there is no channel 5", channel("conv2", 5), {}),
        ("there is no channel -1", neuron("conv2", -1), {}),
        ("The model's output has channels 0 to 1; there is no channel 2", logit(2), {}),
        ("has 8 × 8 positions; there is no position", position("conv2", (0, 8)), {}),
        ("has 5 channels, and the direction has 4", direction("conv2", torch.ones(4)), {}),
        ("render with variants=2", diversity("conv2"), {}),
        ("render at the size", inversion("conv2", torch.ones(1, 5, 3, 3)), {}),
        ("An objective is needed", [], {}),
        ("An objective is needed", ["conv2"], {}),
        ("steps must be a whole number of at least 1", logit(0), {"steps": 0}),
        ("learning_rate must be a finite number, above 0", logit(0), {"learning_rate": math.nan}),
        ("There is no optimizer 'lbfgs': choose from adam, sgd", logit(0), {"optimizer": "lbfgs"}),
        ("leaves nothing of", logit(0), {"transformations": [jitter(16)]}),
    ]
    for message, goal, settings in cases:
        with pytest.raises(ValueError, match=message.replace("(", r"\(")):
            render(model, goal, **SMALL | settings)
    for vector in (torch.zeros(5), torch.ones(1, 5), torch.tensor([math.inf, 1])):
        with pytest.raises(ValueError, match="A direction is a vector"):
            direction("conv2", vector)
    with pytest.raises(ValueError, match="3 × 3 matrix"):
        fourier(8, colours=torch.ones(2, 3))
    with pytest.raises(ValueError, match="size must be .* at least 1"):
        pixels(0)
    with pytest.raises(ValueError, match="choose a layer with"):
        render(nn.Sequential(nn.Flatten(), nn.Flatten(0)), channel("1", 0), **SMALL)
    with pytest.raises(ValueError, match="has not run"):
        unused = nn.Module()
        unused.used, unused.aside = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)
        unused.forward = unused.used.forward
        render(unused, channel("aside", 0), **SMALL)
    with pytest.raises(ValueError, match="There are no pictures"):
        colour_matrix([])
    with pytest.raises(ValueError, match="at least one"):
        evaluate(model, torch.zeros(0, 3, 8, 8), logit(0))
