"""Loading networks: the course's own from files made on the spot, torchvision's from a server."""

import hashlib
import http.server
import json
import shutil
import threading
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from vizcourse.hooks import capture
from vizcourse.models import WeightsError, card, cards, imagenet, load, names, networks, recipes, untrained, zoo

SHIPPED = sorted(cards())


@pytest.fixture
def folder(tmp_path):
    """A folder with an untrained `cnn-shapes` as if it were a shipped network."""
    network = networks.build("cnn-shapes", networks.ARCHITECTURES["cnn-shapes"], seed=3)
    content = recipes._half_precision(network)
    (tmp_path / "cnn-shapes.safetensors").write_bytes(content)
    facts = {"name": "cnn-shapes", "sha256": hashlib.sha256(content).hexdigest()}
    (tmp_path / "cnn-shapes.json").write_text(json.dumps(facts))
    return tmp_path


@pytest.mark.parametrize("name", SHIPPED)
def test_every_card_describes_the_file_beside_it(name):
    facts = card(name)
    content = (zoo.WEIGHTS / f"{name}.safetensors").read_bytes()
    assert facts["sha256"] == hashlib.sha256(content).hexdigest()
    assert facts["bytes"] == len(content)
    assert facts["name"] == name
    assert facts["figures"] and facts["training"]["seconds"] > 0 and facts["weaknesses"]
    for figure in facts["figures"].values():
        if "low" in figure:
            assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
    assert name in str(facts)


def test_all_weights_together_stay_within_the_budget():
    assert sum(path.stat().st_size for path in zoo.WEIGHTS.glob("*.safetensors")) <= 80e6


@pytest.mark.parametrize("name", SHIPPED)
def test_every_weights_file_has_a_card(name):
    assert {path.stem for path in zoo.WEIGHTS.glob("*.safetensors")} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_networks_load_and_answer(name):
    network = load(name)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
    assert next(iter(network.named_children()))[0] == "normalize"
    assert network.name == name
    images = torch.rand(2, 3, network.input_size, network.input_size)
    with torch.no_grad():
        outputs = network(images)
    expected = (2, len(network.classes)) if name != "scenes-decoder" else images.shape
    assert outputs.shape == expected
    assert outputs.isfinite().all()


@pytest.mark.parametrize("name", ["cnn-shapes", "resnet18-shapes", "shapes-cue-type"])
def test_random_networks_are_seeded_and_leave_the_random_state_alone(name):
    before = torch.random.get_rng_state()
    one, same, other = (load(name, random=True, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    for key, value in one.state_dict().items():
        assert torch.equal(value, same.state_dict()[key])
    assert not torch.equal(one.fc.weight, other.fc.weight)


def test_normalisation_is_inside_and_keeps_the_layer_names_of_torchvision():
    network = load("resnet18-shapes", random=True)
    plain = torchvision.models.resnet18(num_classes=3).eval()
    plain.load_state_dict(network.state_dict())
    names_inside = [name for name, _ in network.named_modules() if name != "normalize"]
    assert names_inside == [name for name, _ in plain.named_modules()]
    images = torch.rand(2, 3, 64, 64)
    normalised = (images - network.normalize.mean) / network.normalize.std
    torch.testing.assert_close(network(images), plain(normalised))


def test_normalize_by_hand():
    normalize = networks.Normalize((0.5, 0.25, 0.0), (0.25, 0.5, 1.0))
    image = torch.tensor([1.0, 0.5, 0.25]).view(1, 3, 1, 1)
    assert normalize(image).flatten().tolist() == [2.0, 0.5, 0.25]
    assert not normalize.state_dict()  # part of the architecture, not of the weights


def test_a_loaded_file_gives_the_weights_that_were_saved(folder):
    network = load("cnn-shapes", folder=folder)
    original = networks.build("cnn-shapes", networks.ARCHITECTURES["cnn-shapes"], seed=3)
    for key, value in original.state_dict().items():
        assert torch.equal(network.state_dict()[key], value.half().float())


@pytest.mark.parametrize("damage", ["flipped", "truncated", "swapped", "empty"])
def test_a_damaged_file_is_refused_with_its_name_and_both_hashes(folder, damage):
    path = folder / "cnn-shapes.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[-1] ^= 1
    elif damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "empty":
        content = bytearray()
    else:
        other = networks.build("cnn-shapes", networks.ARCHITECTURES["cnn-shapes"], seed=4)
        content = bytearray(recipes._half_precision(other))
    path.write_bytes(content)
    with pytest.raises(WeightsError) as refusal:
        load("cnn-shapes", folder=folder)
    message = str(refusal.value)
    assert path.name in message
    assert hashlib.sha256(content).hexdigest() in message
    assert card("cnn-shapes", folder=folder)["sha256"] in message


def test_a_file_that_is_no_safetensors_file_is_refused(folder):
    path = folder / "cnn-shapes.safetensors"
    path.write_bytes(b"not tensors")
    facts = {"name": "cnn-shapes", "sha256": hashlib.sha256(b"not tensors").hexdigest()}
    (folder / "cnn-shapes.json").write_text(json.dumps(facts))
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load("cnn-shapes", folder=folder)


def test_a_missing_file_is_named(folder):
    (folder / "cnn-shapes.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"cnn-shapes\.safetensors is missing"):
        load("cnn-shapes", folder=folder)


def test_an_unknown_name_lists_the_closest():
    with pytest.raises(ValueError, match="'resnet18-shapes'"):
        load("resnet-18-shapes")
    with pytest.raises(ValueError, match="'torchvision/resnet50'"):
        load("torchvision/resnet-50")
    with pytest.raises(ValueError, match="no network named"):
        card("zzz")


def test_a_network_that_is_not_trained_yet_says_how_to_train_it(tmp_path):
    with pytest.raises(WeightsError, match="vizcourse train resnet18-shapes"):
        load("resnet18-shapes", folder=tmp_path)
    assert not cards(folder=tmp_path)


def test_every_name_has_an_architecture_and_a_recipe():
    assert set(recipes.RECIPES) == set(names())


# -------------------------------------------------------------------------------------------- torchvision


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder served over HTTP on this machine, and torch.hub's cache in an empty folder."""
    served = tmp_path / "served"
    served.mkdir()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    handler = type("Handler", (_Files,), {"directory": str(served)})
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *arguments: handler(*arguments, directory=str(served))
    ) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield served, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def _serve_squeezenet(served: Path, *, right_hash: bool) -> tuple[str, nn.Module]:
    torch.manual_seed(0)
    network = torchvision.models.squeezenet1_1()
    torch.save(network.state_dict(), served / "weights")
    digest = hashlib.sha256((served / "weights").read_bytes()).hexdigest() if right_hash else "0" * 64
    name = f"squeezenet1_1-{digest[:8]}.pth"
    shutil.move(served / "weights", served / name)
    return name, network.eval()


def test_torchvision_weights_come_through_the_same_call(server, monkeypatch):
    served, address = server
    file, original = _serve_squeezenet(served, right_hash=True)
    weights = torchvision.models.SqueezeNet1_1_Weights.DEFAULT
    monkeypatch.setattr(weights.value, "url", f"{address}/{file}")
    network = load("torchvision/squeezenet1_1")
    assert network.name == "torchvision/squeezenet1_1" and network.input_size == 224
    assert len(network.classes) == 1000 and network.classes[0] == "tench"
    assert not network.training and not any(parameter.requires_grad for parameter in network.parameters())
    images = torch.rand(1, 3, 224, 224)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (images - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    torch.testing.assert_close(network(images), original(normalised))
    (served / file).unlink()
    load("torchvision/squeezenet1_1")  # from the download cache


def test_a_download_with_the_wrong_content_is_refused(server, monkeypatch):
    served, address = server
    file, _ = _serve_squeezenet(served, right_hash=False)
    weights = torchvision.models.SqueezeNet1_1_Weights.DEFAULT
    monkeypatch.setattr(weights.value, "url", f"{address}/{file}")
    with pytest.raises(WeightsError, match="not the file that torchvision expects"):
        load("torchvision/squeezenet1_1")


def test_a_failed_download_is_one_clear_sentence(server, monkeypatch):
    _, address = server
    weights = torchvision.models.SqueezeNet1_1_Weights.DEFAULT
    monkeypatch.setattr(weights.value, "url", f"{address}/absent-00000000.pth")
    with pytest.raises(WeightsError, match="could not be downloaded.*ot found"):
        load("torchvision/squeezenet1_1")
    monkeypatch.setattr(weights.value, "url", "http://127.0.0.1:1/absent-00000000.pth")
    with pytest.raises(WeightsError, match="could not be downloaded.*refused"):
        load("torchvision/squeezenet1_1")


def test_a_silent_server_does_not_hang(tmp_path, monkeypatch):
    import socket

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(imagenet, "DOWNLOAD_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts a connection and never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/a-00000000.pth"
        monkeypatch.setattr(torchvision.models.SqueezeNet1_1_Weights.DEFAULT.value, "url", address)
        with pytest.raises(WeightsError, match="timed out"):
            load("torchvision/squeezenet1_1")
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("name", ["torchvision/googlenet", "torchvision/inception_v3"])
def test_untrained_torchvision_networks_have_no_auxiliary_outputs(name):
    network = load(name, random=True)
    with torch.no_grad():
        outputs = network(torch.rand(1, 3, network.input_size, network.input_size))
    assert outputs.shape == (1, 1000)


def test_an_untrained_control_has_the_statistics_of_its_pictures():
    images = torch.randint(0, 256, (32, 3, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    control, plain = untrained("scenes-small-0", images, seed=1), load("scenes-small-0", random=True, seed=1)
    first = next(module for module in control.modules() if isinstance(module, nn.BatchNorm2d))
    with torch.no_grad(), capture(plain, "conv1") as seen:
        plain(images.float() / 255)
    torch.testing.assert_close(first.running_mean, seen["conv1"].mean(dim=(0, 2, 3)))
    assert not control.training and torch.equal(control.fc.weight, plain.fc.weight)
    floats = untrained("scenes-small-0", images.float() / 255, seed=1)
    torch.testing.assert_close(floats.state_dict(), control.state_dict())
