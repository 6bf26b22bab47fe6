"""Exercise 4.1, the indirect effect."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake
from vizcourse.exercises.edits import edits


def indirect_effect(clean, corrupted, restored, labels):
    """What a patch gives back of the right class's probability: logits (N, classes) three times, (N,) -> (N,)."""
    rows = torch.arange(len(labels))
    before = corrupted.softmax(1)[rows, labels]
    after = restored.softmax(1)[rows, labels]
    return after - before


def _cases(seed):
    generator = torch.Generator().manual_seed(seed)
    cases = [tuple(map(torch.tensor, ([[2.0, 0.0]], [[0.0, 2.0]], [[1.0, 0.0]], [0])))]
    for pictures, classes in ((3, 4), (5, 3)):
        clean, corrupted, restored = 2 * torch.randn(3, pictures, classes, generator=generator)
        labels = clean.argmax(1)
        labels[0] = (labels[0] + 1) % classes  # also a clean run may be wrong
        cases.append((clean, corrupted, restored, labels))
    return cases


EFFECT = CodeExercise(
    id="4.1",
    title="The indirect effect",
    stars=1,
    minutes=5,
    reference=indirect_effect,
    cases=_cases,
    hints=(
        "The effect of a patch is a comparison with what there was *without* the patch. Which of the three runs is that?",
        "A probability is the softmax over the classes: `logits.softmax(1)`. Each picture's own class is "
        "`probabilities[torch.arange(N), labels]`.",
        "p(restored) − p(corrupted), one number for each picture. The clean run is not needed.",
    ),
    mistakes=(
        Mistake(
            "against-clean",
            "You compare with the clean run, so this says what is still *missing* after the patch (and is hardly ever "
            "positive). The effect of a patch is measured from where it started: the corrupted run.",
            edits("corrupted.softmax -> clean.softmax"),
        ),
        Mistake(
            "missing",
            "Clean minus restored is what the patch did *not* bring back. What it did bring back is restored minus corrupted.",
            edits("after - before -> clean.softmax(1)[rows, labels] - after"),
        ),
        Mistake(
            "sign",
            "The sign is turned: a patch that brings the class back must count as positive, restored − corrupted.",
            edits("after - before -> before - after"),
        ),
        Mistake(
            "total-effect",
            "Clean minus corrupted is the *total* effect of the corruption: it knows nothing of the patch. Use the restored "
            "run.",
            edits("restored.softmax -> clean.softmax"),
        ),
        Mistake(
            "no-softmax",
            "You subtract logits. A logit may rise while those of all other classes rise more; take the softmax of both first.",
            edits(".softmax(1) ->"),
        ),
        Mistake(
            "log-probability",
            "These are differences of log-probabilities (`log_softmax`). That is a metric too, and comes later; here plain "
            "probabilities are asked for.",
            edits(".softmax -> .log_softmax"),
        ),
        Mistake(
            "softmax-late",
            "You subtract the logits and take the softmax afterwards. The difference of two runs is no set of logits: softmax "
            "each run first, then subtract.",
            edits("after - before -> (restored - corrupted).softmax(1)[rows, labels]"),
        ),
        Mistake(
            "softmax-axis",
            "Your softmax runs over the pictures. The classes of *one* picture must add up to 1: `softmax(1)`.",
            edits(".softmax(1) -> .softmax(0)"),
        ),
        Mistake(
            "labels-as-columns",
            "`probabilities[:, labels]` takes *all* labels from *every* picture, an N × N table. Pair them up: "
            "`probabilities[torch.arange(N), labels]`.",
            edits("[rows, labels] -> [:, labels]"),
        ),
        Mistake(
            "every-class",
            "This is the change of every class, (N, classes). Pick each picture's own class: "
            "`probabilities[torch.arange(N), labels]`.",
            edits("[rows, labels] ->"),
        ),
        Mistake(
            "averaged",
            "Keep one number for each picture; the average over pictures comes later.",
            edits("after - before -> (after - before).mean()"),
        ),
        Mistake(
            "added-up",
            "You add up over the pictures. Keep one number for each picture, (N,).",
            edits("after - before -> (after - before).sum()"),
        ),
        Mistake(
            "restored-alone",
            "This is the restored probability. Subtract what there was without the patch: that of the corrupted run.",
            edits("after - before -> after"),
        ),
        Mistake(
            "ratio",
            "You divide the restored probability by the corrupted one. The effect is the difference, restored − corrupted.",
            edits("after - before -> after / before"),
        ),
        Mistake(
            "absolute",
            "You take the absolute value. A patch may also make things worse, and the sign is how you would find out.",
            edits("after - before -> (after - before).abs()"),
        ),
        Mistake(
            "share",
            "You divide by the total effect. That is the *normalised* effect, which comes in a later exercise; here the plain "
            "difference of probabilities is asked for.",
            edits("after - before -> (after - before) / (clean.softmax(1)[rows, labels] - before)"),
        ),
        Mistake(
            "most-likely-class",
            "You take each run's *largest* probability, and those may belong to two different classes. Follow the picture's "
            "own class, `labels`, in both runs.",
            edits("[rows, labels] -> .amax(1)"),
        ),
        Mistake(
            "corrupted-class",
            "You follow the class that the corrupted run prefers, which is mostly the wrong one. Follow `labels`.",
            edits("rows, labels -> rows, corrupted.argmax(1)"),
        ),
        Mistake(
            "clean-class",
            "You follow the class that the clean run prefers. That is the right class on most pictures, and not on all: "
            "follow `labels`.",
            edits("rows, labels -> rows, clean.argmax(1)"),
        ),
    ),
    unlisted=(
        edits(".softmax(1) -> .sigmoid()"),
        edits("restored.softmax -> restored.log_softmax"),
        edits("after - before -> (after - before).square()"),
    ),
    insight="One subtraction: what this one repair gives back of what the corruption took.",
    used_next="The sweep of 4.3 takes it once for each window of layers.",
)
