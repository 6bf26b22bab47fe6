"""Exercise 4.8, the normalised logit difference."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake
from vizcourse.exercises.edits import edits


def normalised_logit_difference(clean, corrupted, patched, right, wrong):
    """Share of the logit difference that a patch gives back: three times logits (N, classes), two classes (N,) -> (N,)."""
    rows = torch.arange(len(right))
    clean, corrupted, patched = (logits[rows, right] - logits[rows, wrong] for logits in (clean, corrupted, patched))
    return (patched - corrupted) / (clean - corrupted)


def _cases(seed):
    generator = torch.Generator().manual_seed(seed)
    cases = [tuple(map(torch.tensor, ([[4.0, 1.0]], [[1.0, 3.0]], [[2.0, 2.0]], [0], [1])))]
    for pictures, classes in ((2, 3), (4, 5)):
        clean, corrupted, patched = torch.randn(3, pictures, classes, generator=generator)
        right = torch.randint(0, classes, (pictures,), generator=generator)
        wrong = (right + torch.randint(1, classes, (pictures,), generator=generator)) % classes
        rows = torch.arange(pictures)
        clean[rows, right] += 6
        corrupted[rows, wrong] += 3
        third = min(set(range(classes)) - {int(right[-1]), int(wrong[-1])})
        clean[-1, third] += 12  # the classes that are asked for need not be those that a run prefers
        corrupted[-1, third] += 9
        patched[0] = corrupted[0] - (clean[0] - corrupted[0]) / 4  # this patch does harm
        patched[-1] += 2 * clean[-1]  # and this one does too much
        cases.append((clean, corrupted, patched, right, wrong))
    return cases


METRIC = CodeExercise(
    id="4.8",
    title="The normalised logit difference",
    stars=2,
    minutes=6,
    reference=normalised_logit_difference,
    cases=_cases,
    hints=(
        "For each run first one number a picture: LD = logit of the right class − logit of the wrong class.",
        "Lay LD on a scale on which the corrupted run is 0 and the clean run is 1. Where does the patched run lie?",
        "(LD_patched − LD_corrupted) / (LD_clean − LD_corrupted), picture by picture.",
    ),
    mistakes=(
        Mistake(
            "turned-round",
            "Your scale runs backwards: it is 1 for the corrupted and 0 for the clean run. Begin with "
            "LD_patched − LD_corrupted.",
            edits("(patched - corrupted) -> (clean - patched)"),
        ),
        Mistake(
            "upside-down",
            "The fraction stands on its head: the whole gap between clean and corrupted belongs below the line.",
            edits("(patched - corrupted) / (clean - corrupted) -> (clean - corrupted) / (patched - corrupted)"),
        ),
        Mistake(
            "wrong-gap",
            "You divide by what is still missing, LD_clean − LD_patched. Divide by the whole gap, LD_clean − LD_corrupted.",
            edits("(clean - corrupted) -> (clean - patched)"),
        ),
        Mistake(
            "sign",
            "The sign is wrong: a repaired run must come out at +1. The same run, corrupted, is subtracted above *and* below.",
            edits("(clean - corrupted) -> (corrupted - clean)"),
        ),
        Mistake(
            "by-clean-alone",
            "You divide by LD_clean, not by the gap: an untouched corrupted run is 0, but a full repair is not 1.",
            edits("(clean - corrupted) -> clean"),
        ),
        Mistake(
            "no-zero",
            "LD_patched / LD_clean: nobody subtracted the corrupted run, so doing nothing does not come out as 0.",
            edits("(patched - corrupted) / (clean - corrupted) -> patched / clean"),
        ),
        Mistake(
            "not-normalised",
            "This is the plain change of the logit difference. Divide it by the gap between clean and corrupted.",
            edits(" / (clean - corrupted) ->"),
        ),
        Mistake(
            "absolute",
            "You take absolute values. A patch that makes things worse must come out below 0.",
            edits("(patched - corrupted) / (clean - corrupted) -> ((patched - corrupted) / (clean - corrupted)).abs()"),
        ),
        Mistake(
            "clamped",
            "You cut the scale off at 0 and 1. A patch may do harm (below 0) or too much (above 1), and both are worth seeing.",
            edits("(patched - corrupted) / (clean - corrupted) -> ((patched - corrupted) / (clean - corrupted)).clamp(0, 1)"),
        ),
        Mistake(
            "averages-first",
            "You divide the average change by the average gap. That is sensible for a summary, but here one number a picture "
            "is asked for.",
            edits("(patched - corrupted) / (clean - corrupted) -> (patched - corrupted).mean() / (clean - corrupted).mean()"),
        ),
        Mistake(
            "average-gap",
            "You divide by the average gap of all pictures. Each picture has its own gap.",
            edits("(clean - corrupted) -> (clean - corrupted).mean()"),
        ),
        Mistake(
            "probabilities",
            "You take the softmax first. The logit difference is wanted because it is *not* squeezed into 0 … 1: it also "
            "shows what a probability near 0 or 1 hides.",
            edits("logits[rows -> logits.softmax(1)[rows"),
        ),
        Mistake(
            "right-class-only",
            "You follow the right class's logit alone. It also moves when *all* logits move together; the difference to the "
            "wrong class does not.",
            edits(" - logits[rows, wrong] ->"),
        ),
        Mistake(
            "sum",
            "You add the two logits; the *difference* is asked for, right − wrong.",
            edits("right] - logits -> right] + logits"),
        ),
        Mistake(
            "averaged",
            "You average over the pictures. Keep one number for each picture, (N,).",
            edits("(patched - corrupted) / (clean - corrupted) -> ((patched - corrupted) / (clean - corrupted)).mean()"),
        ),
        Mistake(
            "added-up",
            "You add up over the pictures. Keep one number for each picture, (N,).",
            edits("(patched - corrupted) / (clean - corrupted) -> ((patched - corrupted) / (clean - corrupted)).sum()"),
        ),
        Mistake(
            "corrupted-class",
            "You take for the wrong class what the corrupted run prefers. That is mostly the same class, and not always: take "
            "`wrong`.",
            edits("rows, wrong -> rows, corrupted.argmax(1)"),
        ),
        Mistake(
            "clean-class",
            "You take for the right class what the clean run prefers. That is mostly the same class, and not always: take "
            "`right`.",
            edits("rows, right -> rows, clean.argmax(1)"),
        ),
        Mistake(
            "log-probabilities",
            "You normalise the log-probability of the right class. The wrong class's logit is missing: LD is the difference of "
            "the two.",
            edits("logits[rows, right] - logits[rows, wrong] -> logits.log_softmax(1)[rows, right]"),
        ),
        Mistake(
            "probability-of-right",
            "You normalise the probability of the right class. LD is a difference of two *logits*, right − wrong, without a "
            "softmax.",
            edits("logits[rows, right] - logits[rows, wrong] -> logits.softmax(1)[rows, right]"),
        ),
        Mistake(
            "labels-as-columns",
            "`logits[:, right]` takes *all* classes of the list from *every* picture, an N × N table. Pair them up: "
            "`logits[torch.arange(N), right]`.",
            edits("[rows -> [:"),
        ),
    ),
    unlisted=(
        edits("(clean - corrupted) -> (clean + corrupted)"),
        edits("torch.arange(len(right)) -> torch.arange(len(right))[None]"),
        edits("(clean - corrupted) -> (patched - clean)"),
    ),
    insight="0 is the corrupted run, 1 the clean one. Nothing forbids −0.3 or 1.4, and those are often the interesting cells.",
    used_next="The next figure sets it beside the probability: they agree on the peak, not on what is left after it.",
)
