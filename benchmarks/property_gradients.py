"""The permutation test: ours beside a plain loop over shuffles, as the published code has; and one picture's whole answer.

    python benchmarks/property_gradients.py [--rounds 5]

1,000 shuffles of 1,000 curves of 100 steps. The loop is timed on a few curves in every round, between two runs of ours,
and its time is scaled to 1,000 curves. On the curves that both have seen, p-values agree within what 1,000 shuffles
allow. Then: one scene, 100 steps, three networks, with the drawing.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from vizcourse.methods.property_gradients import permutation_test, property_effect
from vizcourse.models import load
from vizcourse.worlds import gradual, scenes

CURVES, STEPS, SHUFFLES = 1000, 100, 1000


def plain_loop(curve, generator):
    """Shuffle, differentiate, average, one shuffle after the other; p-value about the mean of the shuffles."""
    observed = np.mean(np.abs(np.gradient(curve)))
    scores = np.array([np.mean(np.abs(np.gradient(generator.permutation(curve)))) for _ in range(SHUFFLES)])
    return np.mean(np.abs(scores - scores.mean()) >= np.abs(observed - scores.mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--looped", type=int, default=20, help="curves that the plain loop sees in a round")
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    walks = generator.normal(size=(CURVES, STEPS))
    curves = np.where(np.arange(CURVES)[:, None] % 2, walks, 1 / (1 + np.exp(-walks.cumsum(1))))
    times: dict[str, list[float]] = {"vizcourse": [], "plain loop": [], "one picture": []}
    nets = [load(f"pets-{bias}") for bias in ("unbiased", "dark-cats", "dark-dogs")]
    (scene,) = scenes.sample(1, 5, object="dog")
    for number in range(arguments.rounds + 1):
        started = time.perf_counter()
        ours = permutation_test(torch.from_numpy(curves), permutations=SHUFFLES, seed=number, published=True).p_value
        middle = time.perf_counter()
        chosen = np.arange(arguments.looped) + arguments.looped * number
        theirs = np.array([plain_loop(curves[n % CURVES], generator) for n in chosen])
        ended = time.perf_counter()
        path = gradual.turn(scene, "rotation", steps=STEPS)
        for net in nets:
            property_effect(net, path.pictures, values=path.values)
        answered = time.perf_counter()
        assert np.abs(ours.numpy()[chosen % CURVES] - theirs).max() < 0.1
        if number:  # the first round warms up
            times["vizcourse"].append(middle - started)
            times["plain loop"].append((ended - middle) * CURVES / arguments.looped)
            times["one picture"].append(answered - ended)
    medians = {name: statistics.median(each) for name, each in times.items()}
    print(
        f"{SHUFFLES:,} shuffles of {CURVES:,} curves of {STEPS} steps, {torch.get_num_threads()} threads, "
        f"{arguments.rounds} rounds"
    )
    for name in ("vizcourse", "plain loop"):
        print(f"{name:<11} {medians[name]:7.3f} s   {medians[name] / medians['vizcourse']:6.1f} × ours")
    print(f"one picture, {STEPS} steps, three networks, drawing and 1,000 shuffles each: {medians['one picture']:.3f} s")


if __name__ == "__main__":
    main()
