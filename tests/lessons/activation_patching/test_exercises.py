"""What lesson 04's exercises state about vit-scenes, measured again."""

from __future__ import annotations

import itertools

import pytest
import torch

from vizcourse.hooks import capture, replace
from vizcourse.lessons.activation_patching import exercises as lesson
from vizcourse.lessons.activation_patching.exercises import smallest_set
from vizcourse.lessons.activation_patching.exercises.attribution import ATTRIBUTION, attribution_estimate
from vizcourse.lessons.activation_patching.exercises.best_layer import READING
from vizcourse.lessons.activation_patching.exercises.one_layer import PATCH, patch_layer
from vizcourse.lessons.activation_patching.exercises.shared import toy_layers, toy_runs
from vizcourse.lessons.activation_patching.exercises.smallest_set import SMALLEST_SET
from vizcourse.lessons.activation_patching.exercises.windows import SWEEP
from vizcourse.methods.activation_patching import greyscale, sweep
from vizcourse.models import load
from vizcourse.worlds import scenes

CELLS = [(component, layer) for component in ("attn_out", "mlp_out") for layer in range(12)]


def test_the_best_window_and_the_best_layer_are_those_of_exercise_4_4():
    model = load("vit-scenes")
    sample = scenes.sample(32, seed=11, object=scenes.CLASSES[:16])
    partners = [scene.replace(colour=scenes.OWN_COLOUR[scenes.counterpart(scene.object)]) for scene in sample]
    clean, labels = scenes.render(sample), torch.tensor([scenes.label(scene) for scene in sample])
    for corrupted in (greyscale(clean), scenes.render(partners)):
        best = tuple(
            int(sweep(model, clean, corrupted, labels, window=window, progress=False).mean.argmax()) for window in (3, 1)
        )
        assert best == READING.right_value


def probabilities(sets):
    """Probability of the clean class for each set of cells, many sets in one batch."""
    model, clean, corrupted, given, label = smallest_set._flower_runs()
    names = [f"encoder.layers.encoder_layer_{layer}.{smallest_set._PARTS[component]}" for component, layer in CELLS]
    chosen = torch.tensor([[cell in cells for cell in CELLS] for cells in sets])

    def put(number):
        return lambda own: torch.where(chosen[:, number, None, None], given[names[number]], own)

    with torch.no_grad(), replace(model, {name: put(number) for number, name in enumerate(names)}):
        return model(corrupted.expand(len(sets), -1, -1, -1)).softmax(1)[:, label]


def test_no_smaller_set_than_three_brings_the_cornflower_back():
    for size in range(smallest_set.SMALLEST):
        assert probabilities(list(itertools.combinations(CELLS, size))).max() < 0.2, size
    right = [("mlp_out", 0), ("attn_out", 1), ("mlp_out", 1)]
    assert len(right) == smallest_set.SMALLEST and probabilities([right])[0] > 0.7
    assert float(lesson.restored_probabilities(right)[smallest_set._flower_runs()[-1]]) == pytest.approx(
        float(probabilities([right])[0]), abs=1e-4
    )
    assert SMALLEST_SET.verdict(right).status == "solved"
    assert SMALLEST_SET.verdict(right[::-1] * 2).status == "solved"  # order and doubles do not matter


def test_the_cells_push_together_and_the_probability_hides_what_each_does_alone():
    alone = [lesson.share_of_difference([cell]) for cell in lesson.TEAM]
    together = lesson.share_of_difference(list(lesson.TEAM))
    label = smallest_set._flower_runs()[-1]
    assert all(0.03 < share < 0.3 for share in alone) and together > 1.5 * sum(alone)
    assert max(float(lesson.restored_probabilities([cell])[label]) for cell in lesson.TEAM) < 0.05
    assert lesson.share_of_difference([]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "cells",
    [
        set(lesson.TEAM),
        ["M0", "A1", "m1"],
        [(0, "mlp"), ("Attention", 1), ("M", 1.0)],
        {"attn_out": [1], "mlp_out": [0, 1]},
    ],
)
def test_a_set_of_cells_may_be_written_in_many_ways(cells):
    assert SMALLEST_SET.verdict(cells).status == "solved"


def test_one_cell_alone_is_read_as_a_cell():
    assert SMALLEST_SET.verdict(("mlp_out", 0)).mistake == "single"


def test_clean_and_corrupted_may_run_together_and_the_clean_pictures_once_only():
    def together(model, clean, corrupted, labels, layers, width=3):
        count = len(clean)
        with torch.no_grad(), capture(model, layers) as acts:
            both = model(torch.cat([clean, corrupted]))
        given, columns = {layer: acts[layer][:count] for layer in layers}, []
        for centre in range(len(layers)):
            window = layers[max(0, centre - width // 2) : centre + width // 2 + 1]
            with torch.no_grad(), replace(model, {layer: given[layer] for layer in window}):
                columns.append(lesson.indirect_effect(None, both[count:], model(corrupted), labels))
        return torch.stack(columns, dim=1)

    assert SWEEP.verdict(together).status == "solved"
    mistakes = {mistake.name: mistake for mistake in SWEEP.mistakes}
    again = SWEEP.verdict(SWEEP.wrong_example(mistakes["clean-again"]))
    assert again.mistake == "clean-again" and "5 runs" in again.text


def test_what_looks_alike_is_told_apart_or_named_together():
    """A whole block patched is the clean run; an integrated gradient is the exact effect: the messages say both."""

    def whole_block(model, layer, clean, corrupted):
        return patch_layer(model, layer.rpartition(".")[0], clean, corrupted)

    def integrated(model, layer, clean, corrupted, labels, steps=40):
        with torch.no_grad(), capture(model, layer) as acts:
            model(clean)
        end = acts[layer]
        with torch.no_grad(), capture(model, layer) as acts:
            model(corrupted)
        begin, total = acts[layer], 0
        for step in range(steps):
            point = (begin + (end - begin) * (step + 0.5) / steps).requires_grad_()
            with replace(model, {layer: point}):
                logits = model(corrupted)
            total = total + torch.autograd.grad(logits.gather(1, labels[:, None]).sum(), point)[0] / steps
        return ((end - begin) * total).sum(dim=(1, 2))

    trap = PATCH.verdict(whole_block)
    assert trap.mistake == "clean-run" and "4.5" in trap.text
    exact = ATTRIBUTION.verdict(integrated)
    assert exact.mistake == "exact" and "many steps" in exact.text


def test_adding_the_best_cell_each_time_ends_in_a_dead_end():
    greedy: list = []
    while not greedy or not smallest_set._brings_back(greedy):
        rest = [cell for cell in CELLS if cell not in greedy]
        greedy.append(rest[int(probabilities([[*greedy, cell] for cell in rest]).argmax())])
    assert len(greedy) == 4 and SMALLEST_SET.verdict(greedy).mistake == "dead-end"


def test_the_window_sweep_is_the_library_s():
    model = load("vit-scenes")
    sample = scenes.sample(2, seed=3, object=scenes.CLASSES[:16])
    clean, labels = scenes.render(sample), torch.tensor([scenes.label(scene) for scene in sample])
    layers = [f"encoder.layers.encoder_layer_{number}.self_attention" for number in range(12)]
    ours = lesson.window_sweep(model, clean, greyscale(clean), labels, layers)
    theirs = sweep(model, clean, greyscale(clean), labels, progress=False).effects
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_the_estimate_is_exact_for_a_small_step():
    model, clean, _, _ = toy_runs(4, 2)
    layer, labels = toy_layers()[3], torch.tensor([1, 2])
    near = clean + 1e-4 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    model, clean, near = model.double(), clean.double(), near.double()
    estimate = attribution_estimate(model, layer, near, clean, labels)
    rows = torch.arange(2)
    exact = (patch_layer(model, layer, near, clean) - model(clean))[rows, labels]
    torch.testing.assert_close(estimate, exact, rtol=1e-2, atol=1e-9)


def test_the_corrupted_run_is_given_back_by_nothing_and_by_everything():
    model, clean, corrupted, _, label = smallest_set._flower_runs()
    with torch.no_grad():
        assert int(model(clean).argmax()) == label != int(model(corrupted).argmax())
    assert float(lesson.restored_probabilities([])[label]) < 0.01
    attention = [("attn_out", layer) for layer in range(12)]
    with torch.no_grad():
        torch.testing.assert_close(lesson.restored_probabilities(attention), model(clean).softmax(1)[0], atol=1e-4, rtol=1e-4)
