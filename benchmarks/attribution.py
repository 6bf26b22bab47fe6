"""Grad-CAM: ours beside captum and pytorch-grad-cam, and beside the least that it can cost, interleaved.

    python benchmarks/attribution.py [--rounds 9]

Prints the median time of each and its ratio to ours. "bare" is a forward pass of which only what lies behind the layer records
gradients, and the backward from the logits to the layer, written out for this network. Maps agree to 1e-5 in every round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn

from vizcourse.methods.attribution import grad_cam, unit_range, upsample


def bare(model: nn.Module, images: Tensor, target: Tensor) -> Tensor:
    """ResNet by hand: the stem and stages without gradients, the head with them."""
    with torch.no_grad():
        hidden = model.maxpool(model.relu(model.bn1(model.conv1(images))))
        hidden = model.layer4(model.layer3(model.layer2(model.layer1(hidden))))
    hidden.requires_grad_()
    logits = model.fc(model.avgpool(hidden).flatten(1))
    (gradient,) = torch.autograd.grad(logits.gather(1, target[:, None]).sum(), hidden)
    return (gradient.mean((2, 3), keepdim=True) * hidden.detach()).sum(1).relu()


def ours(model: nn.Module, images: Tensor, target: Tensor) -> Tensor:
    return grad_cam(model, images, target, "layer4")


def captum(model: nn.Module, images: Tensor, target: Tensor) -> Tensor:
    from captum.attr import LayerGradCam

    return LayerGradCam(model, model.layer4).attribute(images, target=target, relu_attributions=True)[:, 0].detach()


def pytorch_grad_cam(model: nn.Module, images: Tensor, target: Tensor) -> Tensor:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with GradCAM(model=model, target_layers=[model.layer4]) as cam:
        targets = [ClassifierOutputTarget(number) for number in target.tolist()]
        return torch.from_numpy(cam(input_tensor=images, targets=targets))


def race(ways: dict[str, Callable], model: nn.Module, images: Tensor, rounds: int, title: str) -> None:
    target = torch.arange(len(images)) % 10
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        answers = {}
        for name, way in ways.items():
            started = time.perf_counter()
            answers[name] = way(model, images, target)
            if number:  # the first round warms up
                times[name].append(time.perf_counter() - started)
        model.zero_grad(set_to_none=True)  # what pytorch-grad-cam leaves behind
        for name, answer in answers.items():
            found = answers["vizcourse"]
            if answer.shape != found.shape:
                found = unit_range(upsample(unit_range(found), images))
            torch.testing.assert_close(answer, found.to(answer.dtype), atol=1e-5, rtol=1e-3, msg=name)
    ours = statistics.median(times["vizcourse"])
    print(title)
    for name, each in times.items():
        median = statistics.median(each)
        print(f"  {name:<18} {median * 1000:8.1f} ms   {median / ours:5.2f} × ours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=10).eval()
    print(f"ResNet-18, layer4, {torch.get_num_threads()} threads, {rounds} rounds")
    ways = {"vizcourse": ours, "bare": bare, "captum": captum, "pytorch-grad-cam": pytorch_grad_cam}
    race(ways, model, torch.rand(8, 3, 224, 224), rounds, "8 pictures of 224 px")
    race({name: ways[name] for name in ("vizcourse", "bare", "captum")}, model, torch.rand(64, 3, 96, 96), rounds,
         "64 pictures of 96 px")


if __name__ == "__main__":
    main()
