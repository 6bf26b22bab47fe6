"""A whole sweep of activation patching: ours beside plain hooked forwards, pyvene and nnsight, interleaved in one run.

    python benchmarks/activation_patching.py [--pictures 64] [--rounds 5] [--window 3] [--skip-whole]

All patch the attention's output of each of the 12 layers of `vit-scenes`, with its neighbours, from pictures in colour into the
same in greyscale, and must give the same probabilities. "plain" is the usual way: the clean activations once, and then one full
forward pass a layer in which hooks replace outputs. The last part is the experiment of seed 002 as it was: 1,000 pictures,
window 3, with the time and the memory that it takes.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from types import SimpleNamespace

import torch

from vizcourse.hooks import capture, replace
from vizcourse.methods.activation_patching import greyscale, measure, sites, sweep, window_layers
from vizcourse.models import load
from vizcourse.worlds import scenes

try:
    import pyvene
except ImportError:
    pyvene = None
try:
    import nnsight
except ImportError:
    nnsight = None


def groups(model, window):
    names = sites(model, "attn_out")
    return [[names[each] for each in window_layers(layer, window, len(names))] for layer in range(len(names))]


def ours(model, clean, corrupted, targets, window):
    return lambda: sweep(model, clean, corrupted, targets, window=window, progress=False).patched


def plain(model, clean, corrupted, targets, window):
    def run():
        with torch.no_grad():
            with capture(model, sites(model, "attn_out")) as acts:
                model(clean)
                kept = dict(acts)
            measured = []
            for names in groups(model, window):
                with replace(model, {name: kept[name] for name in names}):
                    measured.append(measure(model(corrupted), targets))
            return torch.stack(measured, dim=1)

    return run


def with_pyvene(model, clean, corrupted, targets, window):
    """One intervenable model a layer, made beforehand. (It runs the clean pictures again each time.)"""
    model.config = SimpleNamespace(to_dict=dict)  # what pyvene asks of a model
    type(model).device = torch.device("cpu")
    key = "images" if hasattr(model, "normalize") else "x"
    wholes = [
        pyvene.IntervenableModel(
            [{"component": f"{name}.output", "intervention": pyvene.VanillaIntervention()} for name in names], model
        )
        for names in groups(model, window)
    ]

    def run():
        with torch.no_grad():
            answers = [whole({key: corrupted}, [{key: clean}] * len(whole.interventions))[1] for whole in wholes]
        return torch.stack([measure(answer, targets) for answer in answers], dim=1)

    return run


def with_nnsight(model, clean, corrupted, targets, window):
    whole = nnsight.NNsight(model)
    attentions = [whole.get(name) for name in sites(model, "attn_out")]
    count = len(attentions)

    def run():
        measured = []
        with torch.no_grad():
            with whole.trace(clean):
                kept = nnsight.save(list())
                for attention in attentions:
                    kept.append(attention.output[0])
            for layer in range(count):
                with whole.trace(corrupted):
                    for each in window_layers(layer, window, count):
                        attentions[each].output[0][:] = kept[each]
                    answer = whole.output.save()
                measured.append(measure(answer, targets))
        return torch.stack(measured, dim=1)

    return run


def drawn(count, seed=0):
    pictures = scenes.sample(count, seed)
    return scenes.render(pictures, 96), torch.tensor([scenes.label(scene) for scene in pictures])


def peers():
    found = {"pyvene": (pyvene, with_pyvene), "nnsight": (nnsight, with_nnsight)}
    return {name: way for name, (module, way) in found.items() if module is not None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=int, default=3)
    parser.add_argument("--skip-whole", action="store_true", help="leave out the 1,000 pictures")
    options = parser.parse_args()
    clean, targets = drawn(options.pictures)
    corrupted = greyscale(clean)
    # Each has a network of its own, because some leave things behind on it.
    ways = {
        name: way(load("vit-scenes"), clean, corrupted, targets, options.window)
        for name, way in ({"vizcourse": ours, "plain": plain} | peers()).items()
    }
    print(
        f"vit-scenes, attn_out, 12 layers, window {options.window}, {options.pictures} pictures, "
        f"{torch.get_num_threads()} threads, medians of {options.rounds} rounds, interleaved"
    )
    times: dict[str, list[float]] = {name: [] for name in ways}
    answers = {}
    for number in range(options.rounds + 1):
        for name, run in ways.items():
            started = time.perf_counter()
            answers[name] = run()
            if number:  # the first round warms up
                times[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(each) for name, each in times.items()}
    for name, median in medians.items():
        ratio = statistics.median(theirs / mine for theirs, mine in zip(times[name], times["vizcourse"], strict=True))
        difference = (answers[name] - answers["vizcourse"]).abs().max()
        print(f"{name:<10} {median:7.2f} s   {ratio:5.2f} × ours   largest difference of the probabilities {difference:.0e}")
    for name in {"pyvene", "nnsight"} - set(ways):
        print(f"{name:<10} not installed: pip install 'vizcourse[peers]'")
    if not options.skip_whole:
        clean, targets = drawn(1000, seed=1)
        corrupted = greyscale(clean)
        before, started = peak(), time.perf_counter()
        processor = time.process_time()
        sweep(load("vit-scenes"), clean, corrupted, targets, window=options.window, progress=False)
        print(
            f"1,000 pictures: {time.perf_counter() - started:.0f} s on the clock, {time.process_time() - processor:.0f} s of "
            f"processor time; memory at its peak {peak():.1f} GB in all, {peak() - before:.1f} GB more than before"
        )


def peak() -> float:
    """The most memory that this process has ever held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
