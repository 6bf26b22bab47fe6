"""vizcourse.methods.activation_patching: properties that hold for every network, plain hooked forwards, and the peers."""

from __future__ import annotations

import itertools

import pytest
import torch
import torchvision
from torch import nn

from tests.peers import peer
from vizcourse.hooks import capture, replace
from vizcourse.methods import activation_patching as patching
from vizcourse.methods.activation_patching import attribute, measure, path_patch, record, sites, sweep

LAYERS, HEADS, CLASSES = 4, 3, 5


def small_transformer(seed: int = 0) -> nn.Module:
    """A vision transformer of four layers and 3 × 3 + 1 tokens, whose random answers differ clearly between pictures."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = torchvision.models.VisionTransformer(24, 8, LAYERS, HEADS, 24, 48, num_classes=CLASSES).eval()
        for parameter in model.parameters():
            parameter.data = torch.randn_like(parameter) * (0.3 if parameter.ndim > 1 else 0.1)
    return model


@pytest.fixture(scope="module")
def model():
    return small_transformer()


@pytest.fixture(scope="module")
def pair():
    generator = torch.Generator().manual_seed(1)
    clean = torch.rand(6, 3, 24, 24, generator=generator)
    return clean, patching.greyscale(clean) * 0.5, torch.tensor([0, 1, 2, 3, 4, 0])


def hooked(model, clean, corrupted, names, chosen=None):
    """The logits of a full forward pass of the corrupted pictures, in which hooks put in the clean activations."""
    with torch.no_grad():
        with capture(model, names) as acts:
            model(clean)
        kept = {name: acts[name].clone() for name in names}

        def put(name):
            def mix(output):
                return kept[name] if chosen is None else torch.where(chosen, kept[name], output)

            return mix

        with replace(model, {name: put(name) for name in names}):
            return model(corrupted)


@pytest.mark.parametrize("component", ["attn_out", "mlp_out", "resid"])
@pytest.mark.parametrize("window", [1, 2, 3, 4])
@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_each_patch_equals_a_full_hooked_forward(model, pair, component, window, direction):
    clean, corrupted, targets = pair
    result = sweep(model, clean, corrupted, targets, component=component, window=window, direction=direction, batch=4)
    into, source = (corrupted, clean) if direction == "denoising" else (clean, corrupted)
    names = sites(model, component)
    rows = torch.arange(len(clean))
    for layer in range(LAYERS):
        group = [names[each] for each in patching.window_layers(layer, window, LAYERS)]
        expected = hooked(model, source, into, group).softmax(dim=1)[rows, targets]
        torch.testing.assert_close(result.patched[:, layer], expected, atol=1e-6, rtol=0)


TOKENS = {"class": [0], "patches": list(range(1, 10)), (0, 5, 7): [0, 5, 7], "corner": [1, 2, 4, 5]}


@pytest.mark.parametrize("component", ["attn_out", "mlp_out", "resid"])
@pytest.mark.parametrize("tokens", TOKENS)
def test_chosen_tokens_equal_a_full_hooked_forward(model, pair, component, tokens):
    clean, corrupted, targets = pair
    chosen = torch.zeros(1, 10, 1, dtype=torch.bool)
    chosen[:, TOKENS[tokens]] = True
    asked = tokens
    if tokens == "corner":  # a region in pixels that touches the four tokens at the top left
        asked = torch.zeros(24, 24, dtype=torch.bool)
        asked[2:9, 7:10] = True
    result = sweep(model, clean, corrupted, targets, component=component, window=2, tokens=asked)
    names = sites(model, component)
    for layer in range(LAYERS):
        group = [names[each] for each in patching.window_layers(layer, 2, LAYERS)]
        expected = measure(hooked(model, clean, corrupted, group, chosen), targets)
        torch.testing.assert_close(result.patched[:, layer], expected, atol=1e-6, rtol=0)


def test_a_region_of_each_picture_is_that_of_the_picture_alone(model, pair):
    clean, corrupted, targets = pair
    regions = torch.rand(6, 3, 3, generator=torch.Generator().manual_seed(2)) < 0.4
    together = sweep(model, clean, corrupted, targets, tokens=regions, batch=4).effects
    for number in range(6):
        row = slice(number, number + 1)
        alone = sweep(model, clean[row], corrupted[row], targets[row], tokens=regions[number]).effects
        torch.testing.assert_close(together[row], alone, atol=1e-6, rtol=0)


def test_nothing_patched_is_the_base_run_and_everything_patched_the_other(model, pair):
    clean, corrupted, _ = pair
    runs = record(model, clean, corrupted)
    assert (runs.layers, runs.heads) == (LAYERS, HEADS)
    with torch.no_grad():
        torch.testing.assert_close(runs.clean, model(clean))
        torch.testing.assert_close(runs.corrupted, model(corrupted))
    torch.testing.assert_close(runs.patch([]), runs.corrupted)
    torch.testing.assert_close(runs.patch([], direction="noising"), runs.clean)
    # The embedding is a part of the residual stream as well: attention and MLP of all layers are not quite everything.
    for layer in range(LAYERS):
        torch.testing.assert_close(runs.patch([("resid", layer)]), runs.clean)
        torch.testing.assert_close(runs.patch([("resid", layer)], direction="noising"), runs.corrupted)
    torch.testing.assert_close(runs.patch([("resid", layer) for layer in range(LAYERS)]), runs.clean)


def test_the_trap(model, pair):
    """The residual stream of all tokens brings back the clean run at any layer, so its sweep says nothing."""
    clean, corrupted, targets = pair
    result = sweep(model, clean, corrupted, targets, component="resid", window=1)
    torch.testing.assert_close(result.patched, result.clean[:, None].expand(-1, LAYERS), atol=1e-6, rtol=0)
    torch.testing.assert_close(result.normalised, torch.ones(LAYERS), atol=1e-4, rtol=0)


def test_what_no_longer_reaches_the_class_token_has_no_effect(model, pair):
    clean, corrupted, targets = pair
    result = sweep(model, clean, corrupted, targets, component="mlp_out", window=1, tokens="patches")
    assert result.effects[:, -1].abs().max() < 1e-6
    assert result.effects[:, 0].abs().max() > 1e-4


def test_heads_add_up_to_the_attention(model, pair):
    clean, corrupted, targets = pair
    runs = record(model, clean, corrupted)
    for layer, tokens in itertools.product(range(LAYERS), ("all", "class", [2, 3])):
        heads = runs.patch([("heads", layer, head) for head in range(HEADS)], tokens=tokens)
        torch.testing.assert_close(heads, runs.patch([("attn_out", layer)], tokens=tokens), atol=1e-5, rtol=0)
    result = sweep(model, clean, corrupted, targets, component="heads", window=1)
    assert result.effects.shape == (6, LAYERS, HEADS) and result.interval.shape == (2, LAYERS, HEADS)
    alone = measure(runs.patch([("heads", 2, 1)]), targets)
    torch.testing.assert_close(result.patched[:, 2, 1], alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_mixed_cells_equal_a_full_hooked_forward(model, pair, seed):
    clean, corrupted, _ = pair
    generator = torch.Generator().manual_seed(seed)
    cells = [
        (component, layer)
        for component in ("attn_out", "mlp_out", "resid")
        for layer in range(LAYERS)
        if torch.rand((), generator=generator) < 0.3
    ]
    runs = record(model, clean, corrupted)
    for tokens, chosen in (("all", None), ("class", torch.arange(10).view(1, 10, 1) == 0)):
        expected = hooked(model, clean, corrupted, [sites(model, part)[layer] for part, layer in cells], chosen)
        torch.testing.assert_close(runs.patch(cells, tokens=tokens), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("network", ["resnet18", "googlenet"])
def test_the_same_on_a_convolutional_network(network, pair):
    options = {"aux_logits": False, "init_weights": False} if network == "googlenet" else {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(torchvision.models, network)(weights=None, num_classes=CLASSES, **options)
        clean, corrupted = (nn.functional.interpolate(images, 64) for images in pair[:2])
        with torch.no_grad():
            for _ in range(20):  # the batch norms' statistics, without which untrained answers hardly differ
                model(torch.cat([clean, corrupted]))
        model.eval()
    names = {
        "resnet18": ["layer1.0.conv1", "layer1.0", "layer2.1.bn2", "layer3", "layer4.0.conv2"],
        "googlenet": ["conv2", "inception3a.branch2", "inception3b", "inception4a"],
    }[network]
    result = sweep(model, clean, corrupted, pair[2], component=names, window=2)
    for layer in range(len(names)):
        group = [names[each] for each in patching.window_layers(layer, 2, len(names))]
        expected = measure(hooked(model, clean, corrupted, group), pair[2])
        torch.testing.assert_close(result.patched[:, layer], expected, atol=1e-6, rtol=0)
    region = torch.zeros(64, 64, dtype=torch.bool)
    region[:32] = True
    whole = sweep(model, clean, corrupted, pair[2], component=names, window=1)
    half = sweep(model, clean, corrupted, pair[2], component=names, window=1, tokens=region)
    assert whole.effects.abs().max() > 1e-3 and (whole.effects - half.effects).abs().max() > 1e-4


def test_a_layer_that_runs_twice_is_refused(pair):
    model = torchvision.models.resnet18(weights=None, num_classes=CLASSES).eval()
    with pytest.raises(ValueError, match="runs 2 times"):
        sweep(model, *pair, component=["layer1.0.relu"], window=1)


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_the_batch_changes_nothing(model, pair, batch):
    noisy = patching.embedding_noise(model, pair[0], seed=3)
    expected = sweep(model, pair[0], noisy, pair[2], component="mlp_out")
    result = sweep(model, pair[0], noisy, pair[2], component="mlp_out", batch=batch)
    torch.testing.assert_close(result.effects, expected.effects, atol=1e-6, rtol=0)


# -------------------------------------------------------------------------------------------------------------- metrics


def test_metrics_by_hand():
    logits = torch.tensor([[0.0, 2.0, 1.0], [1.0, 0.0, 0.0]])
    targets, against = torch.tensor([1, 0]), torch.tensor([2, 1])
    torch.testing.assert_close(measure(logits, targets, "logit_difference", against), torch.tensor([1.0, 1.0]))
    e = torch.e
    expected = torch.tensor([e**2 / (1 + e**2 + e), e / (e + 2)])
    torch.testing.assert_close(measure(logits, targets), expected)
    torch.testing.assert_close(measure(logits, targets, "log_probability"), expected.log())
    torch.testing.assert_close(measure(logits, targets, lambda values, _: values[:, 2]), torch.tensor([1.0, 0.0]))


def test_the_other_class_is_the_one_that_the_corrupted_run_prefers(model, pair):
    clean, corrupted, targets = pair
    with torch.no_grad():
        logits = model(corrupted)
    rivals = torch.tensor(
        [max(set(range(CLASSES)) - {int(target)}, key=row.__getitem__) for row, target in zip(logits, targets, strict=True)]
    )
    result = sweep(model, clean, corrupted, targets, metric="logit_difference")
    explicit = sweep(model, clean, corrupted, targets, metric="logit_difference", against=rivals)
    torch.testing.assert_close(result.effects, explicit.effects)
    torch.testing.assert_close(result.corrupted, measure(logits, targets, "logit_difference", rivals))


def test_results_by_hand():
    result = patching.PatchingResult(
        effects=torch.tensor([[0.2, 0.0], [0.4, 0.1]]),
        clean=torch.tensor([0.9, 0.8]),
        corrupted=torch.tensor([0.4, 0.3]),
        layers=("a", "b"),
        component="layers",
        window=1,
        direction="denoising",
        metric="probability",
    )
    torch.testing.assert_close(result.mean, torch.tensor([0.3, 0.05]))
    torch.testing.assert_close(result.normalised, torch.tensor([0.6, 0.1]))
    torch.testing.assert_close(result.patched, torch.tensor([[0.6, 0.4], [0.7, 0.4]]))
    # Of two pictures, a sample holds the first twice in a quarter of all cases: the interval spans both.
    torch.testing.assert_close(result.interval, torch.tensor([[0.2, 0.0], [0.4, 0.1]]))
    assert result[torch.tensor([False, True])].mean.tolist() == pytest.approx([0.4, 0.1])


def test_noising_and_denoising_agree_on_the_total(model, pair):
    clean, corrupted, targets = pair
    there = sweep(model, clean, corrupted, targets)
    back = sweep(model, corrupted, clean, targets, direction="noising")
    # Patching b into a is one thing, whichever of the two is called clean; only the sign of the effect differs.
    torch.testing.assert_close(there.patched, back.patched)
    torch.testing.assert_close(there.effects, -back.effects)


def test_the_interval_covers_the_mean_of_the_population():
    generator = torch.Generator().manual_seed(0)
    hits = 0
    for _ in range(60):
        effects = torch.rand(50, 1, generator=generator)
        result = patching.PatchingResult(effects, effects[:, 0], effects[:, 0], ("a",), "", 1, "denoising", "")
        low, high = result.interval[:, 0]
        hits += bool(low <= 0.5 <= high)
    assert 50 <= hits <= 60


# ----------------------------------------------------------------------------------------------- approximations and paths


class Additive(nn.Module):
    """A residual stream to which everything adds linearly."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.out = (nn.Linear(6, 6) for _ in range(3))

    def forward(self, images):
        stream = images.flatten(1)[:, :6]
        stream = stream + self.first(stream)
        stream = stream + self.second(stream)
        return self.out(stream)


def test_attribution_is_exact_on_a_linear_network():
    torch.manual_seed(0)
    model, clean, corrupted = Additive(), torch.rand(5, 3, 2, 2), torch.rand(5, 3, 2, 2)
    options = {"component": ["first", "second"], "window": 1, "metric": "logit_difference"}
    targets = torch.tensor([0, 1, 2, 3, 4])
    exact = sweep(model, clean, corrupted, targets, **options)
    linear = attribute(model, clean, corrupted, targets, **options)
    torch.testing.assert_close(linear.effects, exact.effects, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("component", ["attn_out", "mlp_out", "resid", "heads"])
def test_attribution_is_the_slope_of_a_small_patch(component):
    model = small_transformer().double()
    generator = torch.Generator().manual_seed(5)
    clean = torch.rand(3, 3, 24, 24, generator=generator, dtype=torch.float64)
    corrupted = clean + 1e-6 * torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    targets, chosen = torch.tensor([0, 1, 2]), [0, 3, 4]
    metric = {"component": component, "window": 1, "tokens": chosen}

    def logarithm(logits, targets):  # as large as the change is small
        return 1e6 * logits.log_softmax(1).gather(1, targets[:, None])[:, 0]

    exact = sweep(model, clean, corrupted, targets, metric=logarithm, **metric)
    linear = attribute(model, clean, corrupted, targets, metric=logarithm, **metric)
    torch.testing.assert_close(linear.effects, exact.effects, atol=2e-4, rtol=2e-3)


def test_attribution_adds_up_over_a_window(model, pair):
    single = attribute(model, *pair, window=1).effects
    double = attribute(model, *pair, window=2).effects
    torch.testing.assert_close(double[:, 1:], single[:, 1:] + single[:, :-1])


def test_a_path_by_hand(model, pair):
    """The direct effect of a sender: its change is added to the last residual stream, and nothing reacts to it."""
    clean, corrupted, targets = pair
    for component, layer in (("attn_out", 1), ("mlp_out", 3)):
        effects = path_patch(model, clean, corrupted, targets, (component, layer), "logits")
        name = sites(model, component)[layer]
        with torch.no_grad(), capture(model, [name, sites(model, "resid")[-1]]) as acts:
            model(clean)
            change = acts[name]
            before = model(corrupted)
            change = change - acts[name]
            stream = acts[sites(model, "resid")[-1]] + change
            after = model.heads(model.encoder.ln(stream)[:, 0])
        expected = measure(after, targets) - measure(before, targets)
        torch.testing.assert_close(effects, expected, atol=1e-6, rtol=0)


def test_a_path_to_the_neighbour_by_hand(model, pair):
    """From the attention to the MLP of the same layer: only the MLP hears of it."""
    clean, corrupted, targets = pair
    block = model.encoder.layers.encoder_layer_1
    with torch.no_grad(), capture(model, [block.self_attention, block.ln_2, "encoder.layers.encoder_layer_0"]) as acts:
        model(clean)
        attention = acts["encoder.layers.encoder_layer_1.self_attention"]
        before = measure(model(corrupted), targets)
        heard = block.mlp(block.ln_2(acts["encoder.layers.encoder_layer_0"] + attention))
    with torch.no_grad(), replace(model, {block.mlp: heard}):
        expected = measure(model(corrupted), targets) - before
    effects = path_patch(model, clean, corrupted, targets, ("attn_out", 1), ("mlp_out", 1))
    torch.testing.assert_close(effects, expected, atol=1e-6, rtol=0)


# --------------------------------------------------------------------------------------------------------- corruptions


def test_noise_has_the_stated_strength_and_spares_the_class_token(model, pair):
    clean, _, targets = pair
    with torch.no_grad(), capture(model, "encoder.dropout") as acts:
        model(clean)
    noisy = patching.embedding_noise(model, clean, 2.0)
    assert noisy.offset[:, 0].abs().max() == 0
    assert float(noisy.offset[:, 1:].std() / acts["encoder.dropout"][:, 1:].std()) == pytest.approx(2, abs=0.1)
    none = patching.embedding_noise(model, clean, 0.0)
    assert sweep(model, clean, none, targets).effects.abs().max() < 1e-6
    with torch.no_grad(), replace(model, {"encoder.dropout": lambda output: output + noisy.offset}):
        expected = measure(model(clean), targets)
    torch.testing.assert_close(sweep(model, clean, noisy, targets).corrupted, expected)
    assert attribute(model, clean, noisy, targets).effects.shape == (6, LAYERS)


# ---------------------------------------------------------------------------------------------------- manners, bad input


def test_the_model_is_left_as_it_was(pair):
    model = small_transformer()
    model.train()
    model.encoder.ln.eval()
    modes = [module.training for module in model.modules()]
    calls = (
        lambda: sweep(model, *pair),
        lambda: attribute(model, *pair),
        lambda: path_patch(model, *pair, ("attn_out", 0), ("mlp_out", 2)),
        lambda: record(model, *pair[:2]).patch([("heads", 1, 2), ("mlp_out", 2)]),
        lambda: sweep(model, *pair[:2], torch.full((6,), CLASSES)),
        lambda: sweep(model, *pair, metric=lambda logits, targets: 1 / 0),
    )
    for call in calls:
        try:
            call()
        except (ValueError, ZeroDivisionError):
            pass
        assert [module.training for module in model.modules()] == modes
        for module in model.modules():
            assert not module._forward_hooks and not module._forward_pre_hooks and "forward" not in module.__dict__
        for parameter in model.parameters():
            assert parameter.requires_grad and parameter.grad is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corrupted": torch.rand(5, 3, 24, 24)}, "must have one shape"),
        ({"clean": torch.rand(0, 3, 24, 24), "corrupted": torch.rand(0, 3, 24, 24)}, "no images"),
        ({"target": torch.tensor([0, 1, 2, 3, 4, 5])}, "There is no class 5"),
        ({"target": torch.tensor([0, 1])}, "one an image, 6 in all"),
        ({"target": torch.full((6,), 0.7)}, "a whole number"),
        ({"target": "plum"}, "not its name 'plum'"),
        ({"clean": torch.full((6, 3, 24, 24), torch.nan)}, "mend them first"),
        ({"batch": 0}, "batch must be a whole number of at least 1"),
        ({"against": torch.full((6,), 9), "metric": "logit_difference"}, "There is no class 9"),
        ({"metric": lambda logits, target: logits}, "one number a picture"),
        ({"tokens": torch.zeros(5, 7, dtype=torch.bool)}, r"of the picture \(24, 24\) or of the layer's grid \(3, 3\)"),
        ({"window": 5}, "has 4 layers"),
        ({"window": 0}, "has 4 layers"),
        ({"component": "attention"}, "no component 'attention'"),
        ({"component": ["encoder.layers.encoder_layer_9"]}, "has no layer 'encoder.layers.encoder_layer_9'"),
        ({"component": "heads"}, "window=1"),
        ({"direction": "up"}, "no direction 'up': choose from denoising, noising"),
        ({"metric": "accuracy"}, "no metric 'accuracy'"),
        ({"tokens": "object"}, "no tokens 'object'"),
        ({"tokens": [0, 10]}, "Tokens run from 0"),
        ({"tokens": torch.zeros(2, 3, 3, dtype=torch.bool)}, "2 regions for 6 pictures"),
    ],
)
def test_bad_input(model, pair, change, message):
    arguments = dict(zip(("clean", "corrupted", "target"), pair, strict=True)) | change
    with pytest.raises(ValueError, match=message):
        sweep(model, **arguments)


def test_more_bad_input(model, pair):
    clean, corrupted, targets = pair
    with pytest.raises(ValueError, match="ResNet has no component 'attn_out'"):
        sweep(torchvision.models.resnet18(weights=None), *pair)
    with pytest.raises(ValueError, match="receiver must come after"):
        path_patch(model, *pair, ("mlp_out", 2), ("attn_out", 2))
    with pytest.raises(ValueError, match="no \\('resid', 1\\)"):
        path_patch(model, *pair, ("resid", 1), "logits")
    runs = record(model, clean, corrupted, components=["attn_out"])
    with pytest.raises(ValueError, match="No 'mlp_out' was recorded"):
        runs.patch([("mlp_out", 1)])
    with pytest.raises(ValueError, match="no layer 4"):
        runs.patch([("attn_out", 4)])
    with pytest.raises(ValueError, match="no head 3"):
        record(model, clean, corrupted).patch([("heads", 1, 3)])
    with pytest.raises(ValueError, match="like the pictures"):
        patching.silhouette(clean, torch.zeros(6, 3, 3))
    with pytest.raises(ValueError, match="do not tile"):
        patching.shuffle_patches(clean, 7)
    with pytest.raises(ValueError, match="second class"):
        measure(torch.rand(2, 3), torch.tensor([0, 1]), "logit_difference")


# ------------------------------------------------------------------------------------------------ other builds of networks


class Normalised(nn.Module):
    """A wrapper that the course does not know."""

    def __init__(self, inner) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images):
        return self.inner((images - 0.5) / 0.25)


@pytest.mark.parametrize("wrap", [Normalised, lambda inner: nn.Sequential(nn.Identity(), nn.Sequential(inner))])
@pytest.mark.parametrize("component", ["attn_out", "resid", "heads"])
def test_a_wrapped_transformer_is_the_transformer_on_what_it_is_given(model, pair, wrap, component):
    clean, corrupted, target = pair
    wrapped = wrap(model)
    given = [(images - 0.5) / 0.25 if wrap is Normalised else images for images in (clean, corrupted)]
    options = {"component": component, "window": 1, "tokens": "class"}
    expected = sweep(model, *given, target, **options)
    torch.testing.assert_close(sweep(wrapped, clean, corrupted, target, **options).effects, expected.effects)
    path = ("attn_out", 0), ("mlp_out", 2)
    torch.testing.assert_close(path_patch(wrapped, clean, corrupted, target, *path), path_patch(model, *given, target, *path))
    assert patching.embedding_noise(wrapped, clean).layer.endswith("encoder.dropout")


def test_two_transformers_in_one_model_are_refused(model, pair):
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = model, small_transformer(1)

        def forward(self, images):
            return self.first(images) + self.second(images)

    with pytest.raises(ValueError, match="holds 2 vision transformers: pass a list of layers"):
        sweep(Two(), *pair)
    layers = ["first.encoder.layers.encoder_layer_1", "second.encoder.layers.encoder_layer_1"]
    names = [layers[0]]
    result = sweep(Two().eval(), *pair, component=layers, window=1)
    torch.testing.assert_close(result.patched[:, 0], measure(hooked(Two().eval(), *pair[:2], names), pair[2]))


class PoolsAllTokens(torchvision.models.VisionTransformer):
    def forward(self, images):
        tokens = self._process_input(images)
        tokens = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], 1)
        return self.heads(self.encoder(tokens).mean(1))


@pytest.mark.parametrize("component", ["attn_out", "mlp_out"])
def test_the_short_cut_is_not_taken_where_all_tokens_are_read(pair, component):
    torch.manual_seed(0)
    model = PoolsAllTokens(24, 8, 3, HEADS, 24, 48, num_classes=CLASSES).eval()
    for parameter in model.parameters():
        parameter.data = torch.randn_like(parameter) * (0.3 if parameter.ndim > 1 else 0.1)
    result = sweep(model, *pair, component=component, window=1, tokens="patches")
    for layer, name in enumerate(sites(model, component)):
        expected = hooked(model, *pair[:2], [name], torch.arange(10).view(1, 10, 1) > 0)
        torch.testing.assert_close(result.patched[:, layer], measure(expected, pair[2]), atol=1e-6, rtol=0)
    assert result.effects.abs().max() > 1e-3


class Registers(nn.Module):
    """A plain transformer with so many special tokens before its nine of the picture, and one activation for all its blocks."""

    def __init__(self, special: int) -> None:
        super().__init__()
        self.embed, act = nn.Conv2d(3, 16, 8, 8), nn.GELU()
        if special:
            self.cls_token = nn.Parameter(torch.randn(1, 1, 16))
        if special > 1:
            self.register_tokens = nn.Parameter(torch.randn(1, special - 1, 16))
        self.blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 16), act, Mixes()) for _ in range(3))
        self.head = nn.Linear(16, CLASSES)

    def forward(self, images):
        tokens = self.embed(images).flatten(2).transpose(1, 2)
        special = [parameter.expand(len(images), -1, -1) for name, parameter in self.named_parameters() if "token" in name]
        tokens = torch.cat([*special, tokens], 1)
        for block in self.blocks:
            tokens = tokens + block(tokens)
        return self.head(tokens[:, 0])


class Mixes(nn.Module):
    def forward(self, tokens):
        return tokens + tokens.mean(1, keepdim=True)


@pytest.mark.parametrize("special", [0, 1, 2, 5])
def test_any_number_of_special_tokens_and_a_shared_activation(pair, special):
    torch.manual_seed(0)
    model, (clean, corrupted, target) = Registers(special).eval(), pair
    layers = ["blocks.0", "blocks.1.1", "blocks.2.3"]
    corner = torch.zeros(24, 24, dtype=torch.bool)
    corner[2:9, 7:10] = True
    place = torch.arange(special + 9)
    wanted = {"patches": place >= special, "class": place == 0, "corner": sum(place == special + each for each in (0, 1, 3, 4))}
    for tokens, chosen in wanted.items():
        asked = corner if tokens == "corner" else tokens
        if tokens == "class" and not special:
            with pytest.raises(ValueError, match="Which of these tokens are 'class' is not known: pass their numbers"):
                sweep(model, *pair, component=layers, window=1, tokens=asked)
            continue
        result = sweep(model, *pair, component=layers, window=1, tokens=asked)
        for layer, name in enumerate(layers):
            expected = measure(hooked(model, clean, corrupted, [name], chosen.bool()[None, :, None]), target)
            torch.testing.assert_close(result.patched[:, layer], expected, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="runs 3 times"):
        sweep(model, *pair, component=["blocks.0.2"], window=1)


def test_noise_that_comes_in_behind_the_layer_is_refused(model, pair):
    noisy = patching.embedding_noise(model, pair[0])
    with pytest.raises(ValueError, match="comes in at 'encoder.dropout', after layer 'conv_proj'"):
        sweep(model, pair[0], noisy, pair[2], component=["conv_proj"], window=1)


def test_a_network_that_returns_probabilities_is_refused_where_they_would_go_through_a_softmax_again(model, pair):
    softened = nn.Sequential(model, nn.Softmax(1))
    with pytest.raises(ValueError, match="returns probabilities"):
        sweep(softened, *pair)


# ---------------------------------------------------------------------------------------------------------------- peers


@pytest.mark.peers
@pytest.mark.parametrize("name", ["pyvene", "nnsight"])
def test_peers_agree(name, model, pair):
    peer(name)
    from benchmarks import activation_patching as race

    theirs = race.peers()[name](small_transformer(), *pair, 3)()
    torch.testing.assert_close(theirs, sweep(model, *pair).patched, atol=1e-5, rtol=0)
