"""Rendering units in the middle of GoogLeNet: ours beside torch-lucent's render_vis, interleaved in one run.

    python benchmarks/feature_visualization.py [--rounds 5] [--steps 8] [--size 96] [--units 16] [--network NAME --layer NAME]

Same network, size, unit, optimiser and transformations. Prints the median time of one step for one unit, and of one step
per unit in a batch; the same for bare convolution (every convolution up to the layer, forward and back to its input), the
floor under any implementation; and how far the two decoded Fourier pictures differ.

The network's parameters ask for gradients, as those of any network fresh from torchvision do; --frozen switches that off.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time

import torch
from lucent.optvis import objectives, param
from lucent.optvis.render import render_vis
from torch import nn

from vizcourse.hooks import capture
from vizcourse.methods.feature_visualization import LUCENT, channel, evaluate, fourier, render
from vizcourse.models import load

#: A layer in the middle of each network that is raced.
LAYERS = {"googlenet-scenes": "inception4a", "imagenet/efficientnet-lite0": "blocks.3"}


def ours(model, size, layer, units, steps):
    goals = [channel(layer, unit) for unit in units]
    # Without the warm-up, which Lucent does not have.
    settings = {"transformations": LUCENT, "warm_up": 0, "progress": False}
    return lambda: render(model, goals, image=fourier(size), steps=steps, **settings)


def lucent(model, size, layer, units, steps):
    model = copy.deepcopy(model)  # it leaves hooks on the model
    layer = layer.replace(".", "_")  # as it names layers
    goal = objectives.Objective.sum([objectives.channel(layer, unit, batch=row) for row, unit in enumerate(units)])

    def run():
        render_vis(
            model,
            goal,
            lambda: param.image(size, batch=len(units)),
            thresholds=(steps,),
            preprocess=False,  # the network normalises inside
            fixed_image_size=size,
            show_image=False,
            progress=False,
        )
        for module in model.modules():  # else it would slow down from call to call
            module._forward_hooks.clear()

    return run


def convolutions(model, size, layer, units, steps):
    """Each convolution up to the layer on an input of its size, and the gradient back to that input."""
    calls = []
    model = copy.deepcopy(model).requires_grad_(False)
    handles = [
        module.register_forward_hook(lambda module, inputs, _output: calls.append((module, inputs[0])))
        for module in model.modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.no_grad(), capture(model, layer, stop=True):
        model(torch.rand(len(units), 3, size, size).contiguous(memory_format=torch.channels_last))
    for handle in handles:
        handle.remove()
    calls = [(module, x.requires_grad_(), torch.ones_like(module(x))) for module, x in calls]

    def run():
        for _ in range(steps):
            for module, x, gradient in calls:
                torch.autograd.grad(module(x), x, gradient)

    return run


def disagreement(size):
    """The largest difference of the two decoders' pictures of one spectrum."""
    (spectrum,), decode = param.fft_image((4, 3, size, size), sd=1)
    theirs = param.to_valid_rgb(decode, decorrelate=True)().detach().cpu()
    return (fourier(size).decode(spectrum.detach().cpu()) - theirs).abs().max().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--units", type=int, default=16)
    parser.add_argument("--frozen", action="store_true")
    parser.add_argument("--network", choices=LAYERS, help="all of them when not given")
    parser.add_argument("--layer", help="of that network")
    options = parser.parse_args()
    for name, layer in LAYERS.items():
        if options.network in (None, name):
            race(name, options.layer or layer, options)


def race(name, layer, options) -> None:
    model = load(name).requires_grad_(not options.frozen)
    with torch.no_grad(), capture(model, layer, stop=True) as acts:
        model(torch.rand(1, 3, options.size, options.size))
    width = acts[layer].shape[1]
    noise = 0.5 + 0.01 * torch.randn(1, 3, options.size, options.size, generator=torch.Generator().manual_seed(0))
    values = evaluate(model, noise, [channel(layer, unit) for unit in range(width)])[:, 0]
    batch = (values > 0.05).nonzero().flatten()[: options.units].tolist()  # units that need no waking
    ways = {
        (name, len(units)): way(model, options.size, layer, units, options.steps)
        for units in (batch[:1], batch)
        for name, way in (("vizcourse", ours), ("lucent", lucent), ("convolution", convolutions))
    }
    times: dict[tuple[str, int], list[float]] = {key: [] for key in ways}
    for number in range(options.rounds + 1):
        for key, run in ways.items():
            started = time.perf_counter()
            run()
            if number:  # the first round warms up
                times[key].append((time.perf_counter() - started) / options.steps / key[1] * 1000)
    print(
        f"{layer} of {name}, {options.size} px, parameters {'frozen' if options.frozen else 'as they come'}, "
        f"{torch.get_num_threads()} threads, {options.rounds} rounds of {options.steps} steps"
    )
    medians = {key: statistics.median(each) for key, each in times.items()}
    for (name, units), median in medians.items():
        print(
            f"{units:3d} unit{'s' * (units > 1):1s}  {name:<12} {median:7.1f} ms a step and unit   "
            f"{median / medians['vizcourse', units]:5.2f} × ours"
        )
    alone = medians["lucent", 1] / medians["vizcourse", options.units]
    print(f"lucent one unit at a time beside ours in a batch of {options.units}: {alone:.2f} ×")
    print(f"the same spectrum decoded: largest difference {disagreement(options.size):.1e}")


if __name__ == "__main__":
    main()
