"""Distributed alignment search: exact answers in a network built by hand, properties, the peer, bad inputs."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tests.methods.untouched import untouched
from tests.peers import peer
from vizcourse.hooks import capture
from vizcourse.methods import das
from vizcourse.models.networks import SmallResNet
from vizcourse.worlds import equality

QUIET = {"progress": False}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def things(count, seed):
    return equality.sample(count, seed)


@pytest.fixture(scope="module")
def network():
    return equality.EqualityNetwork()


def site_and_labels(network, variable, seed, count=200):
    base, source = things(count, seed), things(count, seed + 1)
    return das.Site(network, base, source, "mix"), equality.counterfactual(base, source, variable)


class Small(nn.Module):
    """Pictures through two convolutions, one of which is also bypassed, to three logits."""

    def __init__(self, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
            self.norm = nn.BatchNorm2d(6)
            self.relu = nn.ReLU(inplace=True)
            self.inner = nn.Conv2d(6, 6, 3, padding=1)
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(6, 3)

    def forward(self, images):
        hidden = self.relu(self.norm(self.conv1(images)))
        return self.fc(self.pool(hidden + self.inner(hidden)).flatten(1))


PICTURES, SOURCES = (torch.rand(6, 3, 8, 10, generator=generator(seed)) for seed in (1, 2))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


# ------------------------------------------------------------------------------------------------------------- formula


def test_interchange_by_hand():
    base, source = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([5.0, 5.0, 5.0])
    first = torch.tensor([[1.0], [0.0], [0.0]])
    assert das.interchange(base, source, first).tolist() == [5, 2, 3]
    diagonal = torch.tensor([[1.0], [1.0], [0.0]]) / 2**0.5
    # Along the diagonal the source is 5√2, the base 1.5√2: both coordinates move by 3.5.
    torch.testing.assert_close(das.interchange(base, source, diagonal), torch.tensor([4.5, 5.5, 3.0]))


@pytest.mark.parametrize("seed", range(3))
def test_interchange_is_the_formula_with_projections(seed):
    """base + (s − b) R Rᵀ = R⁻¹(Proj₀ R(b) + Proj₁ R(s)) with the full rotation."""
    base, source = torch.randn(2, 5, 7, generator=generator(seed))
    whole = das.random_frame(7, 7, generator(seed + 10))
    rotated = torch.cat([(source @ whole)[:, :3], (base @ whole)[:, 3:]], dim=1)
    torch.testing.assert_close(das.interchange(base, source, whole[:, :3]), rotated @ whole.T)


def test_interchange_properties():
    base, source = torch.randn(2, 5, 7, generator=generator())
    frame = das.random_frame(7, 3, generator(1))
    torch.testing.assert_close(das.interchange(base, base, frame), base)
    torch.testing.assert_close(das.interchange(base, source, torch.eye(7)), source)
    once = das.interchange(base, source, frame)
    torch.testing.assert_close(das.interchange(once, source, frame), once)
    # Only the subspace counts, not the basis in it.
    turned = frame @ das.random_frame(3, 3, generator(2))
    torch.testing.assert_close(das.interchange(base, source, turned), once)


def test_orthonormal():
    frame = das.random_frame(9, 4, generator())
    torch.testing.assert_close(frame.T @ frame, torch.eye(4))
    torch.testing.assert_close(das.orthonormal(frame), frame)
    skew = frame @ torch.tensor([[2.0, 1, 0, 0], [0, 3, 0, 0], [0, 0, 1, 5], [0, 0, 0, 1]])
    torch.testing.assert_close(das.orthonormal(skew) @ das.orthonormal(skew).T, frame @ frame.T)


# ------------------------------------------------------------------------------------------- a network whose inside we know


def test_the_network_built_by_hand_solves_the_task(network):
    sample = things(500, 0)
    assert torch.equal(network(sample).argmax(1), equality.labels(sample))
    assert 0.4 < equality.labels(sample).float().mean() < 0.6


@pytest.mark.parametrize("place, variable", [(0, "left"), (1, "right")])
def test_the_planted_direction_has_an_iia_of_exactly_one(network, place, variable):
    site, labels = site_and_labels(network, variable, 3)
    assert site.hits([network.directions[:, [place]]], labels).all()
    # The other variable's direction does something else; chance is about a half.
    assert site.hits([network.directions[:, [1 - place]]], labels).mean() < 0.8
    # With both, the answer is the source's own.
    other = equality.labels(things(200, 4))
    assert site.hits([network.directions], other).all() and site.hits(None, other).all()


@pytest.mark.parametrize("variable, seed", [("left", 0), ("right", 1)])
def test_align_finds_the_planted_direction(network, variable, seed):
    site, labels = site_and_labels(network, variable, 5)
    alignment = das.align_at(site, labels, dim=1, seed=seed, steps=300, **QUIET)
    held_out = site_and_labels(network, variable, 50)
    assert alignment.score(*held_out).estimate == 1
    place = equality.VARIABLES.index(variable)
    assert abs(alignment.rotation[:, 0] @ network.directions[:, place]) > 0.95
    assert alignment.losses[-1] < alignment.losses[0]
    torch.testing.assert_close(alignment.rotation.T @ alignment.rotation, torch.eye(1))


def test_single_units_do_not_carry_the_variable(network):
    site, labels = site_and_labels(network, "left", 5)
    assert max(site.hits([torch.eye(8)[:, [unit]]], labels).mean() for unit in range(8)) < 0.7


def test_two_sources_get_disjoint_subspaces(network):
    base, left, right = (things(200, seed) for seed in (1, 2, 3))
    labels = (equality.equal(left)[:, 0] == equality.equal(right)[:, 1]).long()
    alignment = das.align(network, base, [left, right], labels, "mix", dim=(1, 1), steps=400, **QUIET)
    torch.testing.assert_close(alignment.rotation.T @ alignment.rotation, torch.eye(2))
    assert alignment.iia(base, [left, right], labels) == 1
    assert (alignment.rotation.T @ network.directions).diagonal().abs().min() > 0.95


def test_boundless_finds_the_width(network):
    site, labels = site_and_labels(network, "left", 5)
    alignment = das.align_boundless(site, labels, **QUIET)
    assert alignment.rotation.shape == (8, 1)
    assert alignment.score(*site_and_labels(network, "left", 50)).estimate == 1
    with pytest.raises(ValueError, match="one source"):
        das.align_boundless(das.Site(network, things(4, 1), [things(4, 2), things(4, 3)], "mix"), labels[:4])


def test_controls_of_the_built_network(network):
    (site, labels), held_out = site_and_labels(network, "left", 5), site_and_labels(network, "left", 50)
    base, source = things(200, 50), things(200, 51)
    # Pairs that differ in the right variable only.
    other = das.Site(network, base, torch.cat([base[:, :2], source[:, 2:]], dim=1), "mix")
    untrained = equality.EqualityNetwork()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in untrained.parameters():
            parameter.normal_()
    there = tuple(das.Site(untrained, things(200, seed), things(200, seed + 1), "mix") for seed in (5, 50))
    table = das.controls(site, labels, held_out, dim=1, steps=200, untrained=there, others=[other], **QUIET)
    assert table["trained on"].estimate == table["held out"].estimate == 1
    assert table["off target 1"].estimate == 0
    for name in ("full swap", "random subspace", "shuffled labels", "untrained network"):
        assert table[name].estimate < 0.8, name
    sweep = das.dimension_sweep(site, labels, held_out, [1, 8], steps=100, **QUIET)
    assert sweep[1]["held out"].estimate == 1
    # All dimensions are the full swap, aligned or not.
    full = das.full_swap(*held_out).estimate
    assert sweep[8]["held out"].estimate == sweep[8]["random subspace"].estimate == full == table["full swap"].estimate


def test_a_linear_map_stays_a_projection(network):
    site, labels = site_and_labels(network, "left", 5)
    alignment = das.align_at(site, labels, dim=2, kind="linear", steps=50, **QUIET)
    torch.testing.assert_close(alignment.rotation.T @ alignment.write, torch.eye(2), atol=1e-5, rtol=0)
    assert alignment.score(site, labels).estimate > 0.9


# ------------------------------------------------------------------------------------------------- subspace illusions


def illusion():
    """Makelov et al.'s case: channel 0 follows the variable but nothing reads it, channel 1 is read but never varies."""
    model = nn.Sequential(nn.Identity(), nn.Linear(3, 2, bias=False))
    model[1].weight.data = torch.tensor([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]])
    labels = torch.tensor([0, 1] * 20)
    sign = 2.0 * labels - 1
    base, source = (torch.stack([each, -0.5 * sign, torch.zeros(40)], dim=1) for each in (-3 * sign, 3 * sign))
    return das.Site(model, base, source, "0"), labels, model


def test_a_subspace_that_is_not_used_can_still_carry_the_variable():
    site, labels, model = illusion()
    assert das.full_swap(site, labels).estimate == 0
    alignment = das.align_at(site, labels, dim=1, **QUIET)
    assert alignment.score(site, labels).estimate == 1
    row, null = das.row_null_split(alignment.rotation, model[1].weight)
    assert row.shape == null.shape == (3, 1)
    torch.testing.assert_close(row.abs(), torch.tensor([[0.0], [1.0], [0.0]]), atol=1e-4, rtol=0)
    assert site.hits([row], labels).sum() == site.hits([null], labels).sum() == 0


@pytest.mark.parametrize("seed", range(3))
def test_row_null_split_spans_the_rotation(seed):
    weight, frame = torch.randn(3, 9, generator=generator(seed)), das.random_frame(9, 4, generator(seed + 5))
    row, null = das.row_null_split(frame, weight)
    centred = weight - weight.mean(0)
    assert row.shape == (9, 2) and null.shape == (9, 4)
    assert (centred @ null).abs().max() < 1e-5
    for part in (row, null):
        torch.testing.assert_close(part.T @ part, torch.eye(part.shape[1]), atol=1e-5, rtol=0)
    both = das.orthonormal(torch.cat([row, null], dim=1))
    torch.testing.assert_close(both @ both.T @ frame, frame, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="9 columns"):
        das.row_null_split(frame, weight[:, :5])


# ----------------------------------------------------------------------------------------------- pictures and positions


@pytest.mark.parametrize("layer", ["conv1", "norm", "relu", "inner", "pool"])
def test_the_suffix_gives_what_a_whole_forward_pass_gives(layer):
    model = Small().eval()
    site = das.Site(model, PICTURES, SOURCES, layer, batch=4)
    with torch.no_grad():
        torch.testing.assert_close(site.logits([torch.zeros(6, 1)]), model(PICTURES))
    # inner is bypassed: its full swap is not the source's answer.
    close = torch.allclose(site.logits(None), model(SOURCES), atol=1e-5)
    assert close == (layer != "inner")


def by_hand(model, layer, frame, mask):
    """The interchange with a plain hook, channel vectors at the positions of a mask."""
    with torch.no_grad(), capture(model, layer) as acts:
        model(SOURCES)
        source = acts[layer]

    def hook(_module, _inputs, base):
        change = torch.einsum("nchw,cm,km->nkhw", source - base, frame, frame)
        return base + change * mask

    handle = model.get_submodule(layer).register_forward_hook(hook)
    try:
        with torch.no_grad():
            return model(PICTURES)
    finally:
        handle.remove()


@pytest.mark.parametrize("layer", ["relu", "inner"])
def test_channels_at_chosen_positions(layer):
    model, frame = Small().eval(), das.random_frame(6, 2, generator())
    site = das.Site(model, PICTURES, SOURCES, layer)
    mask = torch.zeros(8, 10, dtype=torch.bool)
    mask[2, 3] = mask[7, 9] = True
    for positions, where in [(None, torch.ones(8, 10)), (mask, mask), ([(2, 3), (7, 9)], mask)]:
        torch.testing.assert_close(site.at(positions).logits([frame]), by_hand(model, layer, frame, where))
    torch.testing.assert_close(site.logits([frame]), by_hand(model, layer, frame, torch.ones(8, 10)))
    several = das.Site(model, PICTURES, [PICTURES, SOURCES], layer, positions=mask)
    torch.testing.assert_close(several.only(1).logits([frame]), by_hand(model, layer, frame, mask))
    torch.testing.assert_close(several.only(0).logits([frame]), several.logits([frame, frame * 0]))
    rows = torch.tensor([4, 1, 1])
    torch.testing.assert_close(site.logits([frame], rows), site.logits([frame])[rows])


def test_tokens():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Linear(4, 5)

        def forward(self, tokens):
            return self.embed(tokens)[:, 0, :2]

    model = Tokens()
    base, source = torch.randn(2, 6, 3, 4, generator=generator())
    site = das.Site(model, base, source, "embed")
    torch.testing.assert_close(site.at([0]).logits(None), model(source))
    torch.testing.assert_close(site.at([1, 2]).logits(None), model(base))


def test_residual_network_and_align_on_pictures():
    model = SmallResNet(3, widths=(4, 8), blocks=1).eval()
    labels = (model(PICTURES).argmax(1) + 1) % 3
    for layer in ("layer1", "layer2.0.conv1", "avgpool"):
        site = das.Site(model, PICTURES, SOURCES, layer)
        torch.testing.assert_close(site.logits([torch.zeros(site.size, 1)]), model(PICTURES), atol=1e-4, rtol=1e-4)
        alignment = das.align_at(site, labels, dim=2, steps=20, batch=4, learning_rate=0.1, **QUIET)
        assert alignment.losses[-1] < alignment.losses[0] + 0.5
        low, high = alignment.interval(PICTURES, SOURCES, labels)
        assert low <= alignment.iia(PICTURES, SOURCES, labels) <= high


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
@pytest.mark.parametrize("layer", ["relu", "pool"])
def test_any_precision(dtype, layer):
    model = Small().eval().to(dtype)
    alignment = das.align(model, PICTURES, SOURCES, LABELS, layer, dim=2, steps=3, **QUIET)
    wanted = torch.float64 if dtype == torch.float64 else torch.float32
    assert alignment.rotation.dtype == wanted and alignment.rotation.isfinite().all()
    found = das.Site(model, PICTURES, SOURCES, layer).logits([alignment.rotation])
    single = das.Site(Small().eval(), PICTURES, SOURCES, layer).logits([alignment.rotation])
    torch.testing.assert_close(found, single.to(wanted), atol=5e-3, rtol=5e-3)


def test_a_shared_module_is_changed_at_its_first_call():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.relu = nn.Linear(4, 5), nn.Linear(5, 3), nn.ReLU(inplace=True)

        def forward(self, vectors):
            return self.relu(self.two(self.relu(self.one(vectors))))

    model, frame = Twice(), das.random_frame(5, 2, generator(3))
    base, source = torch.randn(2, 6, 4, generator=generator())
    first = [model.one(each).relu() for each in (base, source)]
    expected = model.two(das.interchange(*first, frame)).relu()
    torch.testing.assert_close(das.Site(model, base, source, "relu").logits([frame]), expected)


# --------------------------------------------------------------------------------------------------- manners and scores


def test_same_seed_same_alignment(network):
    site, labels = site_and_labels(network, "left", 5)
    one, two, three = (das.align_at(site, labels, dim=2, seed=seed, steps=5, batch=50, **QUIET) for seed in (1, 1, 2))
    assert torch.equal(one.rotation, two.rotation) and not torch.equal(one.rotation, three.rotation)
    started = das.align_at(site, labels, dim=2, start=one.rotation, steps=1, learning_rate=1e-9, **QUIET)
    torch.testing.assert_close(started.rotation, one.rotation)


@pytest.mark.parametrize("fail", [False, True])
def test_the_model_is_left_as_it_was(fail):
    model = Small().train()
    model.norm.eval()
    model.fc.weight.requires_grad_(False)
    labels = torch.full((6,), 7) if fail else LABELS
    with untouched(model), torch.no_grad():  # training works here, too
        if fail:
            with pytest.raises(ValueError):
                das.align(model, PICTURES, SOURCES, labels, "relu", dim=2, steps=2, **QUIET)
        else:
            das.align(model, PICTURES, SOURCES, labels, "relu", dim=2, steps=2, **QUIET).iia(PICTURES, SOURCES, labels)


def test_score():
    found = das.score(torch.tensor([1.0] * 30 + [0.0] * 10))
    assert found.estimate == 0.75 and found.count == 40
    # The binomial standard error is 0.068.
    assert 0.59 < found.low < 0.66 and 0.84 < found.high < 0.91
    certain = das.score(torch.ones(5))
    assert (certain.estimate, certain.low, certain.high) == (1, 1, 1)
    assert f"{found:.0%}".startswith("75% [")
    with pytest.raises(ValueError, match="at least one"):
        das.score(torch.tensor([]))


def test_shuffled_keeps_the_labels():
    assert torch.equal(das.shuffled(LABELS, 3).sort().values, LABELS.sort().values)


# ----------------------------------------------------------------------------------------------------------- bad inputs


def aligned(**changes):
    given = {"model": Small().eval(), "layer": "relu", "base": PICTURES, "source": SOURCES, "labels": LABELS, "dim": 2}
    return das.align(**{**given, "steps": 1, **QUIET, **changes})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"source": SOURCES[:4]}, "must have one shape"),
        ({"source": []}, "at least one base and one source"),
        ({"base": PICTURES[:0], "source": SOURCES[:0]}, "at least one base"),
        ({"base": PICTURES * torch.nan}, "NaN"),
        ({"dim": 7}, "at most 6"),
        ({"dim": 0}, "at least 1"),
        ({"dim": (2, 2)}, "1 source"),
        ({"labels": LABELS + 1}, "no class 3: .* classes 0 to 2"),
        ({"labels": LABELS - 1}, "no class -1: .* classes 0 to 2"),
        ({"labels": LABELS[:3]}, "one label class for each of the 6"),
        ({"labels": LABELS.float()}, "a whole number"),
        ({"layer": "rel"}, "did you mean 'relu'"),
        ({"kind": "affine"}, "rotation"),
        ({"start": torch.eye(6)[:, :3]}, r"start must be \(6, 2\)"),
        ({"positions": [(8, 0)]}, "no position"),
        ({"positions": torch.ones(3, 3, dtype=torch.bool)}, "map of positions"),
    ],
)
def test_bad_inputs(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        aligned(**changes)
    assert "\n" not in str(caught.value)


def test_a_layer_without_channels():
    class Sum(nn.Module):
        def forward(self, images):
            return images.sum(dim=(1, 2, 3))

    class Scalars(nn.Module):
        def __init__(self):
            super().__init__()
            self.total = Sum()

        def forward(self, images):
            return torch.stack([self.total(images)] * 2, dim=1)

    with pytest.raises(ValueError, match="choose a layer with"):
        das.Site(Scalars(), PICTURES, SOURCES, "total")


def test_an_alignment_refuses_another_site():
    model = Small().eval()
    alignment = das.align(model, PICTURES, SOURCES, LABELS, "relu", dim=2, steps=1, **QUIET)
    with pytest.raises(ValueError, match="own model and layer"):
        alignment.score(das.Site(SmallResNet(3).eval(), PICTURES, SOURCES, "avgpool"), LABELS)


# ----------------------------------------------------------------------------------------------------------------- peer


@pytest.mark.peers
@pytest.mark.parametrize("dim", [1, 5])
def test_agrees_with_pyvene(dim):
    pyvene = peer("pyvene")

    class Vectors(nn.Module):
        """fc of Small, behind an identity that pyvene can address."""

        def __init__(self, model):
            super().__init__()
            self.model, self.site = model, nn.Identity()
            self.config, self.device = SimpleNamespace(hidden_size=None, to_dict=dict), torch.device("cpu")

        def forward(self, images):
            hidden = self.model.relu(self.model.norm(self.model.conv1(images)))
            hidden = self.model.pool(hidden + self.model.inner(hidden)).flatten(1)
            return self.model.fc(self.site(hidden))

    model = Small().eval()
    frame = das.random_frame(6, dim, generator())
    intervention = pyvene.LowRankRotatedSpaceIntervention(embed_dim=6, low_rank_dimension=dim)
    intervention.rotate_layer.weight = frame.clone()
    whole = pyvene.IntervenableModel([{"component": "site.output", "intervention": intervention}], Vectors(model))
    with torch.no_grad():
        theirs = whole({"images": PICTURES}, [{"images": SOURCES}])[1]
        ours = das.Site(model, PICTURES, SOURCES, "pool").logits([frame])
        formula = das.interchange(torch.ones(3, 6), torch.zeros(3, 6), frame)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(formula, intervention(torch.ones(3, 6), torch.zeros(3, 6)), atol=1e-5, rtol=1e-5)
