"""Silencing every channel of a layer: ours beside captum's and beside plain hooked forward passes, interleaved.

    python benchmarks/convolution.py [--rounds 7]

Prints the median time of each, and its ratio to ours; the three answers agree to 1e-5 in every round.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
import torchvision

from vizcourse.hooks import replace
from vizcourse.methods.convolution import silencing_effects


def hooked(model, images, layer):
    """A whole forward pass for every channel, with one replacement."""
    clean = model(images).softmax(1)
    effects = []
    for channel in range(model.get_submodule(layer)[-1].conv2.out_channels):

        def silent(activation, channel=channel):
            activation = activation.clone()
            activation[:, channel] = 0
            return activation

        with replace(model, {layer: silent}):
            effects.append(model(images).softmax(1) - clean)
    return torch.stack(effects)


def captum(model, images, layer):
    """LayerFeatureAblation with one feature a channel; its attribution is clean minus ablated, for one class at a time."""
    from captum.attr import LayerFeatureAblation

    module = model.get_submodule(layer)
    with torch.no_grad():
        holder = []
        handle = module.register_forward_hook(lambda _m, _i, output: holder.append(output))
        model(images[:1])
        handle.remove()
    channels = holder[0].shape[1]
    mask = torch.arange(channels).view(1, channels, 1, 1).expand(holder[0].shape)
    ablation = LayerFeatureAblation(lambda x: model(x).softmax(1), module)
    attribution = ablation.attribute(images, layer_baselines=0, target=0, layer_mask=mask, perturbations_per_eval=8)
    return -attribution[:, :, 0, 0].T


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=10).eval().requires_grad_(False)
    images, layer = torch.rand(4, 3, 96, 96), "layer3"
    ways = {"vizcourse": silencing_effects, "hooked": hooked, "captum": captum}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        answers = {}
        for name, way in ways.items():
            started = time.perf_counter()
            answers[name] = way(model, images, layer)
            if number:  # the first round warms up
                times[name].append(time.perf_counter() - started)
        torch.testing.assert_close(answers["vizcourse"], answers["hooked"], atol=1e-5, rtol=0)
        torch.testing.assert_close(answers["vizcourse"][:, :, 0], answers["captum"], atol=1e-5, rtol=0)
    ours = statistics.median(times["vizcourse"])
    print(f"every channel of {layer} (256), 4 pictures of 96 px, ResNet-18, {torch.get_num_threads()} threads, {rounds} rounds")
    for name, each in times.items():
        median = statistics.median(each)
        print(f"{name:<10} {median:7.3f} s   {median / ours:5.2f} × ours")


if __name__ == "__main__":
    main()
