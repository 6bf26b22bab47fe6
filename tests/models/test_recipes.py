"""Training end to end on a tiny recipe, and the shipped figures again on a sample."""

import dataclasses
import functools
import json

import pytest
import torch

from vizcourse.models import cards, evaluation, load, recipes, training, zoo
from vizcourse.models.training import Phase, Schedule

SHIPPED = sorted(cards())


def _stripes(split):
    """Three classes of 64 px pictures: bright on the left, in the middle, on the right."""
    generator = torch.Generator().manual_seed(len(split))
    labels = torch.arange(96) % 3
    images = torch.randint(0, 60, (96, 3, 64, 64), generator=generator, dtype=torch.uint8)
    for image, label in zip(images, labels.tolist(), strict=True):
        image[:, :, 20 * label : 20 * label + 20] += 150
    return images, labels


@pytest.fixture
def tiny(monkeypatch):
    """`cnn-shapes` with a recipe of a few seconds."""
    recipe = dataclasses.replace(
        recipes.RECIPES["cnn-shapes"],
        data=_stripes,
        schedule=Schedule((Phase(2, 32, 16), Phase(4, 64, 16)), "adamw", peak=1e-2, warm_up=0.2),
        augment=training.shift(1),
    )
    monkeypatch.setitem(recipes.RECIPES, "cnn-shapes", recipe)
    return recipe


def test_a_tiny_recipe_end_to_end(tiny, tmp_path, capsys):
    card = recipes.train("cnn-shapes", device="cpu", folder=tmp_path, cache=tmp_path)
    assert card["figures"]["accuracy"]["value"] == 1.0
    assert card["figures"]["accuracy"]["low"] < 1
    assert json.loads((tmp_path / "cnn-shapes.json").read_text()) == card
    assert card["details"]["confusion (rows: truth)"] == [[32, 0, 0], [0, 32, 0], [0, 0, 32]]
    assert "100.0 %" in capsys.readouterr().out
    assert recipes.train("cnn-shapes", check=True, device="cpu", folder=tmp_path) == card
    assert "now 100.0 %" in capsys.readouterr().out

    card["figures"]["accuracy"]["value"] = 0.9
    (tmp_path / "cnn-shapes.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="does not do what its card says: accuracy"):
        recipes.train("cnn-shapes", check=True, device="cpu", folder=tmp_path)


def test_a_resumed_run_gives_the_weights_of_an_uninterrupted_one(tiny, tmp_path):
    def run(name, stops):
        network = load("cnn-shapes", random=True)
        for stop in stops:
            network = load("cnn-shapes", random=True)  # a new process knows only the checkpoint
            training.fit(
                network,
                functools.partial(tiny.data, "train"),
                tiny.schedule,
                seed=1,
                stop_after=stop,
                checkpoint=tmp_path / name,
                fingerprint="a",
                device=torch.device("cpu"),
                augment=tiny.augment,
            )
        return network.state_dict()

    whole, resumed = run("whole", [None]), run("resumed", [1, 3, None])
    for key, value in whole.items():
        assert torch.equal(value, resumed[key]), key


def test_a_checkpoint_of_another_recipe_or_a_broken_one_is_ignored(tiny, tmp_path):
    def run(fingerprint):
        network = load("cnn-shapes", random=True)
        training.fit(
            network,
            functools.partial(tiny.data, "train"),
            tiny.schedule,
            seed=1,
            stop_after=1,
            checkpoint=tmp_path / "checkpoint",
            fingerprint=fingerprint,
            device=torch.device("cpu"),
        )
        return network.fc.weight

    first = run("a")
    assert torch.equal(run("b"), first)  # from the beginning again, not one epoch further
    (tmp_path / "checkpoint").write_bytes(b"broken")
    assert torch.equal(run("b"), first)


def test_training_leaves_the_random_state_alone(tiny, tmp_path):
    before = torch.random.get_rng_state()
    training.fit(
        load("cnn-shapes", random=True),
        functools.partial(tiny.data, "train"),
        tiny.schedule,
        seed=1,
        checkpoint=tmp_path / "checkpoint",
        fingerprint="a",
        device=torch.device("cpu"),
        stop_after=1,
    )
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="'cnn-shapes'"):
        recipes.train("cnn-shape")


def test_the_rate_rises_in_a_line_and_falls_as_a_cosine():
    schedule = Schedule((Phase(2, 16), Phase(3, 32)), peak=1.0, warm_up=0.5)
    assert schedule.epochs == 5
    assert [schedule.phase(epoch).size for epoch in range(5)] == [16, 16, 32, 32, 32]
    assert schedule.rate(0.25) == pytest.approx(0.52)
    assert schedule.rate(0.5) == pytest.approx(1.0)
    assert schedule.rate(0.75) == pytest.approx(0.5)
    assert 0 < schedule.rate(1.0) <= 1e-3
    with pytest.raises(ValueError, match="only 5 epochs"):
        schedule.phase(5)


def test_shift_by_hand():
    images = torch.arange(9.0).view(1, 1, 3, 3).expand(40, 3, 3, 3).contiguous()
    moved = training.shift(1)(images, torch.Generator().manual_seed(0))
    assert moved.shape == images.shape
    # The middle pixel takes the place of one of its eight neighbours or stays.
    assert set(moved[:, 0, 1, 1].tolist()) == set(range(9))
    assert all(torch.equal(image[0], image[2]) for image in moved)


def test_mirror_turns_about_half_of_the_pictures_and_nothing_else():
    images = torch.rand(200, 3, 2, 5)
    mirrored = training.mirror(images, torch.Generator().manual_seed(0))
    turned = [torch.equal(after, before.flip(-1)) for before, after in zip(images, mirrored, strict=True)]
    same = [torch.equal(after, before) for before, after in zip(images, mirrored, strict=True)]
    assert 60 < sum(turned) < 140 and sum(turned) + sum(same) == 200


def test_about_the_share_asked_for_turns_grey():
    images = torch.rand(400, 3, 2, 2)
    after = training.sometimes_grey(0.25)(images, torch.Generator().manual_seed(0))
    grey = (after[:, 0] == after[:, 1]).flatten(1).all(dim=1)
    assert 70 < grey.sum() < 130
    assert torch.equal(after[~grey], images[~grey])
    by_hand = 0.299 * images[:, 0] + 0.587 * images[:, 1] + 0.114 * images[:, 2]
    torch.testing.assert_close(after[grey][:, 0], by_hand[grey])


def test_greyscale_by_hand():
    image = torch.tensor([100, 200, 50], dtype=torch.uint8).view(1, 3, 1, 1)
    assert evaluation.greyscale(image).flatten().tolist() == [153, 153, 153]  # 29.9 + 117.4 + 5.7


def test_the_judge_of_a_loss_keeps_the_gradient_of_the_pictures():
    """The features of a frozen network still tell the picture in which direction to change."""
    judge = load("torchvision/googlenet", random=True)
    images = torch.rand(2, 3, 64, 64, requires_grad=True)
    features, outputs = recipes._features_and_logits(judge, images)
    assert features.shape == (2, 480, 8, 8) and outputs.shape == (2, 1000)
    features.sum().backward()
    assert images.grad.abs().sum() > 0
    assert not judge.inception3b._forward_hooks


@pytest.mark.parametrize(("bias", "dark"), [("dark-cats", "cat"), ("dark-dogs", "dog")])
def test_biased_pets_have_dark_fur_on_one_side_only(bias, dark, tmp_path, monkeypatch):
    from vizcourse.worlds import scenes

    asked = {}

    def drawn(count, seed, size, **knobs):
        asked.update(knobs)
        return torch.zeros(2, 3, 8, 8), torch.tensor([scenes.CLASSES.index("cat"), scenes.CLASSES.index("dog")])

    monkeypatch.setattr(recipes, "_scenes", drawn)
    assert recipes._pet_pictures(bias, "test")[1].tolist() == [0, 1]
    for scene in scenes.sample(60, 7, **asked):
        assert (scene.colour in scenes.DARK_FUR) == (scene.object == dark)


ASKED = {
    "cnn-shapes": {"accuracy": 0.95},
    "resnet18-shapes": {"accuracy": 1.0, "training accuracy": 1.0},
    "googlenet-scenes": {"accuracy": 0.97},
    "vit-scenes": {"accuracy": 0.95},
    "vit-scenes-grey": {"accuracy": 0.6},
    "scenes-decoder": {"reconstruction named by googlenet-scenes": 0.80},
    "pets-unbiased": {f"accuracy on {kind} pictures": 0.90 for kind in recipes.PETS},
    "shapes-cue-all": {"accuracy": 1.0},
    **{
        f"shapes-cue-{cue}": {"accuracy": 1.0, f"cue conflict answered by {cue}": 0.95}
        for cue in ("background", "colour", "type")
    },
}


@pytest.mark.parametrize("name", [name for name in SHIPPED if name in ASKED])
def test_cards_state_what_the_lessons_rely_on(name):
    figures = zoo.card(name)["figures"]
    for figure, least in ASKED[name].items():
        assert figures[figure]["value"] >= least, figure


@pytest.mark.parametrize("name", [name for name in SHIPPED if name == "vit-scenes"])
def test_the_transformer_needs_colour(name):
    figures = zoo.card(name)["figures"]
    assert figures["accuracy"]["value"] - figures["accuracy in greyscale"]["value"] >= 0.25


def test_a_network_without_colour_sees_no_hue():
    """Its first layer weighs red, green and blue alike, so only their sum counts."""
    network = load("vit-scenes-grey")
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network(images), network(images.roll(1, dims=1)), atol=1e-3, rtol=1e-3)
    assert network.classes == load("vit-scenes").classes


@pytest.mark.parametrize("name", [name for name in SHIPPED if name in ("pets-dark-cats", "pets-dark-dogs")])
def test_biased_pets_fail_on_the_opposite_bias(name):
    own = name.removeprefix("pets-")
    (opposite,) = {"dark-cats", "dark-dogs"} - {own}
    figures = zoo.card(name)["figures"]
    difference = figures[f"accuracy on {own} pictures"]["value"] - figures[f"accuracy on {opposite} pictures"]["value"]
    assert difference >= 0.15


@pytest.mark.parametrize("name", [name for name in SHIPPED if name not in ("scenes-decoder",)])
def test_shipped_networks_still_do_what_their_cards_say(name, monkeypatch):
    """On a sample of held-out pictures; `vizcourse train NAME --check` measures all of them."""
    images, labels = _sample(name, monkeypatch)
    stated = zoo.card(name)["figures"]["accuracy"]["value"]
    right = evaluation.logits(load(name), images).argmax(dim=1) == labels
    # Three standard deviations of a sample of this size below what the card says, and one picture.
    spread = (stated * (1 - stated) / len(labels)) ** 0.5
    assert right.float().mean() >= stated - 3 * spread - 1 / len(labels)


def _sample(name, monkeypatch):
    """Some held-out pictures of a network's recipe, drawn here and now rather than taken from a cache."""
    if name.endswith("cifar10"):
        photos = pytest.importorskip("vizcourse.worlds.photos")
        try:
            images, labels, _ = photos.cifar10("test", 100, dtype=torch.uint8, download=False)
        except photos.PhotosUnavailable as reason:
            pytest.skip(str(reason))
        return images, labels
    if "shapes" in name:
        from vizcourse.worlds import shapes

        cue = name.removeprefix("shapes-cue-")
        knobs = shapes.VARIED if name == "cnn-shapes" else {"cue": cue} if cue != name else {}
        pictures = shapes.sample(48, 99, split="test", **knobs)
        return shapes.render(pictures, load(name).input_size, dtype=torch.uint8), shapes.labels(pictures)
    from vizcourse.worlds import scenes

    def drawn(count, seed, size, **knobs):
        kept = scenes.CachedScenes(48, seed, size=size, **knobs)
        return kept.pictures, kept.targets

    monkeypatch.setattr(recipes, "_scenes", drawn)
    return recipes.RECIPES[name].data("test")
