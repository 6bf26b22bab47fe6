"""Exercises of lesson 05, distributed alignment search.

Written down before the mistakes were coded, what learners of interchange interventions really do: answer for the base or for
the source instead of the intervened model, swap the wrong variable; add the source's part without taking the base's out, swap
units instead of directions, swap the roles of base and source; count in place of a share, take a probability for an accuracy;
forget that a step leaves the orthonormal frames, normalise without orthogonalising, trust the signs of a QR decomposition;
draw random matrices and call them subspaces; take a high held-out accuracy for proof.
"""

from __future__ import annotations

import functools
import math

import torch

from vizcourse.exercises.core import AnswerExercise, ChoiceExercise, CodeExercise, Mistake, Problem
from vizcourse.methods.das import Site
from vizcourse.worlds import equality

# --- 5.1 counterfactual labels ---------------------------------------------------------------------------------------


def counterfactual_labels(base, source, variable):
    """The model's answers with one variable taken from the source: (N, 2) booleans twice, 0 or 1 -> (N,)."""
    values = base.clone()
    values[:, variable] = source[:, variable]
    return (values[:, 0] == values[:, 1]).long()


def _answer(values):
    return (values[:, 0] == values[:, 1]).long()


def _other_variable(base, source, variable):
    return counterfactual_labels(base, source, 1 - variable)


def _label_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    every = torch.cartesian_prod(*[torch.tensor([False, True])] * 4)
    cases = [(torch.tensor([[True, False]]), torch.tensor([[False, False]]), 0)]
    for variable in (0, 1):
        order = torch.randperm(16, generator=generator)
        cases.append((every[order, :2], every[order, 2:], variable))
    return cases


LABELS = CodeExercise(
    id="5.1",
    title="Counterfactual labels",
    stars=1,
    minutes=5,
    reference=counterfactual_labels,
    cases=_label_cases,
    hints=(
        "Three steps: copy the base's values; put the source's value of the one variable into the copy; let the "
        "model answer.",
        "The model answers yes where its two variables are equal: `(values[:, 0] == values[:, 1]).long()`. Copy "
        "with `base.clone()`, so "
        "that the caller's tensor stays as it was.",
    ),
    mistakes=(
        Mistake(
            "base",
            "These are the answers to the base: no variable was changed.",
            lambda base, source, variable: _answer(base),
        ),
        Mistake(
            "source",
            "These are the answers to the source. The intervention takes over *one* variable; the other keeps the "
            "base's value.",
            lambda base, source, variable: _answer(source),
        ),
        Mistake(
            "other-variable",
            "You changed the other variable. `variable` names the one that comes from the source; the one beside it "
            "stays the base's. (Putting "
            "the base's value into the source does the same.)",
            _other_variable,
        ),
        Mistake(
            "turned",
            "Yes and no are exchanged: the model says yes, 1, where its two variables are equal.",
            lambda base, source, variable: 1 - counterfactual_labels(base, source, variable),
        ),
        Mistake(
            "both-true",
            "You say yes only where both pairs are equal. Two unequal pairs are a yes as well: what counts is "
            "whether the two variables agree.",
            lambda base, source, variable: torch.where(torch.arange(2) == variable, source, base).all(1).long(),
        ),
        Mistake(
            "variable-alone",
            "This is the value of the variable itself. The label is what the model *answers* when the variable has "
            "that value.",
            lambda base, source, variable: source[:, variable].long(),
        ),
    ),
    unlisted=(
        lambda base, source, variable: (base[:, variable] == source[:, variable]).long(),
        lambda base, source, variable: (base[:, 0] == source[:, 1]).long(),
        lambda base, source, variable: base[:, variable].long(),
    ),
    insight="The hypothesis alone gives these labels; the network has no say in them. That is what makes it refutable.",
    used_next="In every interchange from here on: these are the labels that the network must answer.",
)

# --- 5.2 the interchange ---------------------------------------------------------------------------------------------


def interchange(base, source, rotation):
    """Give base (N, d) the part of source (N, d) in the subspace of rotation (d, m): (N, d)."""
    return base + (source - base) @ rotation @ rotation.T


def _by_units(base, source, rotation):
    mixed = base.clone()
    mixed[:, : rotation.shape[1]] = source[:, : rotation.shape[1]]
    return mixed


def _interchange_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    cases = [(torch.tensor([[1.0, 2.0]]), torch.tensor([[5.0, 4.0]]), torch.tensor([[0.6], [0.8]]))]
    for pairs, d, m in ((2, 4, 2), (5, 6, 3)):
        base, source = torch.randn(2, pairs, d, generator=generator)
        cases.append((base, source, torch.linalg.qr(torch.randn(d, m, generator=generator)).Q))
    return cases


INTERCHANGE = CodeExercise(
    id="5.2",
    title="The interchange",
    stars=2,
    minutes=6,
    reference=interchange,
    cases=_interchange_cases,
    hints=(
        "The formula is for column vectors; here each activation is a *row*. A row's coordinates in the subspace "
        "are `activation @ rotation`, (N, m).",
        "`coordinates @ rotation.T` brings them back to (N, d). What must be added to the base is the difference of "
        "the two, seen only in the subspace.",
    ),
    mistakes=(
        Mistake(
            "base-kept",
            "You add the source's part, but the base's own part in the subspace is still there as well. Add the "
            "*difference*, source minus base.",
            lambda base, source, rotation: base + source @ rotation @ rotation.T,
        ),
        Mistake(
            "roles",
            "Base and source have changed roles: outside the subspace everything must stay the *base's*.",
            lambda base, source, rotation: source + (base - source) @ rotation @ rotation.T,
        ),
        Mistake(
            "source-only",
            "This is the source's part alone. What lies outside the subspace, the base's, has been lost.",
            lambda base, source, rotation: source @ rotation @ rotation.T,
        ),
        Mistake(
            "base-emptied",
            "The base's part has been taken out, but nothing has been put in its place.",
            lambda base, source, rotation: base - base @ rotation @ rotation.T,
        ),
        Mistake(
            "sign",
            "The difference has the wrong sign: the step goes from base to source, `source - base`.",
            lambda base, source, rotation: base + (base - source) @ rotation @ rotation.T,
        ),
        Mistake(
            "units",
            "You swapped the first m *units*. The subspace is spanned by the columns of `rotation`, which mix all "
            "units.",
            _by_units,
        ),
        Mistake(
            "whole",
            "The whole activation has been swapped. Only the part in the subspace may change.",
            lambda base, source, rotation: source.clone(),
        ),
        Mistake(
            "not-rotated-back",
            "These are coordinates in the subspace, (N, m). Rotate them back to the d units with the transposed "
            "matrix.",
            lambda base, source, rotation: (source - base) @ rotation,
        ),
    ),
    unlisted=(
        lambda base, source, rotation: base + 0.5 * (source - base) @ rotation @ rotation.T,
        lambda base, source, rotation: base + (source - base) @ rotation.abs() @ rotation.abs().T,
        lambda base, source, rotation: (source - base) @ rotation @ rotation.T,
        lambda base, source, rotation: base,
    ),
    insight="No d × d matrix and no rotation back: the projection R Rᵀ does it all, and it depends on the subspace only.",
    used_next="In 5.5 you train the rotation through this function.",
)

# --- 5.3 IIA ---------------------------------------------------------------------------------------------------------


def iia(logits, labels):
    """Share of pairs whose answer after the interchange is the counterfactual label: (N, classes), (N,) -> a number."""
    return (logits.argmax(1) == labels).float().mean().item()


def _probability(logits, labels):
    return logits.softmax(1)[torch.arange(len(labels)), labels].mean().item()


def _by_class(logits, labels):
    hits = (logits.argmax(1) == labels).float()
    return torch.stack([hits[labels == label].mean() for label in labels.unique()]).mean().item()


def _iia_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    cases = [(torch.tensor([[2.0, 1.0], [0.5, 0.0], [3.0, 1.0]]), torch.tensor([0, 1, 1]))]
    for pairs, classes in ((7, 3), (11, 4)):
        logits = torch.randn(pairs, classes, generator=generator)
        labels = logits.argmax(1)
        labels[: pairs // 3] = (labels[: pairs // 3] + 1) % classes
        cases.append((logits, labels))
    return cases


IIA = CodeExercise(
    id="5.3",
    title="Interchange intervention accuracy",
    stars=1,
    minutes=4,
    reference=iia,
    cases=_iia_cases,
    hints=(
        "The network's answer for a pair is the class with the largest logit: `logits.argmax(1)`, (N,).",
        "Compare with the labels; the mean of the ones and zeros is the share.",
    ),
    mistakes=(
        Mistake(
            "probability",
            "This is the mean probability of the label. IIA counts answers: a pair is a hit or it is not.",
            _probability,
        ),
        Mistake(
            "count",
            "This is how many pairs were hits; IIA is their *share*.",
            lambda logits, labels: (logits.argmax(1) == labels).float().sum().item(),
        ),
        Mistake("misses", "This is the share of misses.", lambda logits, labels: 1 - iia(logits, labels)),
        Mistake("per-cent", "A share runs from 0 to 1; this is in per cent.", lambda logits, labels: 100 * iia(logits, labels)),
        Mistake(
            "each-pair",
            "These are the hits, pair by pair. Take their mean.",
            lambda logits, labels: (logits.argmax(1) == labels).float(),
        ),
    ),
    unlisted=(
        _by_class,
        lambda logits, labels: logits[torch.arange(len(labels)), labels].mean().item(),
        lambda logits, labels: (logits.argmin(1) == labels).float().mean().item(),
        lambda logits, labels: (logits[torch.arange(len(labels)), labels] > 0).float().mean().item(),
    ),
    insight="An accuracy like any other, but its labels come from a hypothesis and not from a data set.",
    used_next="In the training loop after 5.5, and as the number in every table.",
)

# --- 5.4 rotate by hand ----------------------------------------------------------------------------------------------


@functools.cache
def _by_hand():
    network = equality.EqualityNetwork()
    base, source = equality.sample(300, seed=2), equality.sample(300, seed=3)
    site = Site(network, "mix", base, source)
    return site, equality.plane(network), {name: equality.counterfactual(base, source, name) for name in equality.VARIABLES}


def _turned(angle, variable="left"):
    """IIA of the direction at an angle in degrees."""
    site, plane, labels = _by_hand()
    radians = math.radians(angle)
    direction = plane @ torch.tensor([[math.cos(radians)], [math.sin(radians)]])
    return site.hits([direction], labels[variable]).mean().item()


def _judge_angle(angle):
    found = _turned(angle)
    if found == 1:
        return None
    if _turned(angle, "right") == 1:
        return Problem(mistake="right")
    if found < 0.6:
        return Problem(mistake="nothing")
    return Problem(f"The IIA is {found:.0%}.", mistake="almost")


HAND = AnswerExercise(
    id="5.4",
    title="Rotate by hand",
    stars=1,
    minutes=5,
    judge=_judge_angle,
    blank=lambda angle: angle == 0,
    hints=(
        "Turn in steps of ten degrees first. The curve under the picture remembers where you have been.",
        "There are two places with an IIA of 100 %, a quarter turn apart: at one the swapped direction is L, at the "
        "other R. The exercise asks for L.",
    ),
    mistakes=(
        Mistake(
            "right",
            "At this angle the direction is R, the variable of the *right* pair: its own IIA is 100 %, but that of "
            "L is not.",
            lambda angle: _turned(angle) < 1 and _turned(angle, "right") == 1,
            example=150,
        ),
        Mistake(
            "nothing",
            "Here the direction does no better than a coin. Go on turning, and watch the IIA of L.",
            lambda angle: _turned(angle) < 0.6 and _turned(angle, "right") < 1,
            example=105,
        ),
        Mistake(
            "almost",
            "On the way, but not every pair answers its label yet: a mixture of L and something else is swapped. "
            "Turn a little further.",
            lambda angle: 0.6 <= _turned(angle) < 1 and _turned(angle, "right") < 1,
            example=40,
        ),
    ),
    setup_source="from vizcourse.widgets.das import RotateByHand\nturner = RotateByHand()",
    solution_source='turner.set(angle=60)\nanswer("5.4", turner)',
    insight="A whole range of angles gives 100 %: answers jump at a threshold, so IIA does not fix the direction exactly.",
    used_next="In section 4 gradient descent turns, in as many dimensions as you like.",
)

# --- 5.5 a step that stays orthonormal -------------------------------------------------------------------------------


def orthonormal_step(rotation, gradient, learning_rate):
    """One step downhill, then Gram–Schmidt on the columns in their order: (d, m), (d, m), number -> (d, m)."""
    columns = []
    for column in (rotation - learning_rate * gradient).T:
        for earlier in columns:
            column = column - (column @ earlier) * earlier
        columns.append(column / column.norm())
    return torch.stack(columns, dim=1)


def _moved(rotation, gradient, learning_rate):
    return rotation - learning_rate * gradient


def _normalised(rotation, gradient, learning_rate, dim=0):
    return torch.nn.functional.normalize(_moved(rotation, gradient, learning_rate), dim=dim)


def _polar(rotation, gradient, learning_rate):
    left, _, right = torch.linalg.svd(_moved(rotation, gradient, learning_rate), full_matrices=False)
    return left @ right


def _backwards(rotation, gradient, learning_rate):
    return orthonormal_step(rotation.flip(1), gradient.flip(1), learning_rate).flip(1)


def _step_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    cases = [(torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [1.0]]), 0.75)]
    for d, m, rate in ((4, 2, 0.5), (7, 3, 0.2)):
        rotation = torch.linalg.qr(torch.randn(d, m, generator=generator)).Q
        cases.append((rotation, torch.randn(d, m, generator=generator), rate))
    return cases


STEP = CodeExercise(
    id="5.5",
    title="A step that stays orthonormal",
    stars=3,
    minutes=10,
    reference=orthonormal_step,
    cases=_step_cases,
    hints=(
        "Downhill first: `moved = rotation - learning_rate * gradient`. Then go through its columns from the first "
        "to the last.",
        "From each column subtract its part along every earlier *finished* column q, `(column @ q) * q`; then "
        "divide by its length.",
        "Or `q, r = torch.linalg.qr(moved)`: each column of q may point the wrong way, namely where `r.diagonal()` "
        "is negative.",
    ),
    mistakes=(
        Mistake(
            "not-orthonormal",
            "The step is right, but what it gives is no longer orthonormal. Now comes Gram–Schmidt.",
            _moved,
        ),
        Mistake(
            "lengths-only",
            "The columns have length 1, but they are not orthogonal to each other: first take out of each what lies "
            "along the earlier ones.",
            _normalised,
        ),
        Mistake(
            "uphill",
            "This step goes uphill. The gradient points to where the loss grows: subtract it.",
            lambda rotation, gradient, learning_rate: orthonormal_step(rotation, -gradient, learning_rate),
        ),
        Mistake(
            "signs",
            "Orthonormal, but some columns have turned round: `torch.linalg.qr` leaves the signs open. Multiply "
            "each column by the sign of "
            "its entry on the diagonal of r.",
            lambda rotation, gradient, learning_rate: torch.linalg.qr(_moved(rotation, gradient, learning_rate)).Q,
        ),
        Mistake(
            "rate-forgotten",
            "The learning rate has no effect: scale the gradient with it before the step.",
            lambda rotation, gradient, learning_rate: orthonormal_step(rotation, gradient, 1.0),
        ),
        Mistake(
            "no-step",
            "Nothing has moved: this is the rotation that came in.",
            lambda rotation, gradient, learning_rate: rotation.clone(),
        ),
        Mistake(
            "symmetric",
            "This is the nearest orthonormal matrix (by singular values). It spans the right subspace, but "
            "Gram–Schmidt goes column by column, and "
            "the first keeps its direction.",
            _polar,
        ),
    ),
    unlisted=(
        _backwards,
        lambda rotation, gradient, learning_rate: _normalised(rotation, gradient, learning_rate, dim=1),
        lambda rotation, gradient, learning_rate: orthonormal_step(gradient, rotation, learning_rate),
    ),
    insight="Each step leaves the set of orthonormal frames, and Gram–Schmidt brings it back: projected gradient descent.",
    used_next="In the next cell: forty such steps are a whole alignment search.",
)

# --- 5.6 a random subspace -------------------------------------------------------------------------------------------


def random_control(evaluate, d, dim, draws=20):
    """Mean IIA of random subspaces: `evaluate` takes a rotation (d, dim) and returns its IIA."""
    total = 0.0
    for _ in range(draws):
        rotation = torch.linalg.qr(torch.randn(d, dim)).Q
        total += evaluate(rotation)
    return total / draws


def _scored(make):
    """A wrong control that draws with `make(d, dim)`."""

    def control(evaluate, d, dim, draws=20):
        return sum(evaluate(make(d, dim)) for _ in range(draws)) / draws

    return control


def _axes(d, dim):
    return torch.eye(d)[:, torch.randperm(d)[:dim]]


def _one_frame(evaluate, d, dim, draws=20):
    rotation = torch.linalg.qr(torch.randn(d, dim)).Q
    return sum(evaluate(rotation) for _ in range(draws)) / draws


def _best(evaluate, d, dim, draws=20):
    return max(evaluate(torch.linalg.qr(torch.randn(d, dim)).Q) for _ in range(draws))


def _total(evaluate, d, dim, draws=20):
    return draws * random_control(evaluate, d, dim, draws)


def _lower_quarter(evaluate, d, dim, draws=20):
    values = sorted(evaluate(torch.linalg.qr(torch.randn(d, dim)).Q) for _ in range(draws))
    return values[draws // 4]


def _single_draw(evaluate, d, dim, draws=20):
    return random_control(evaluate, d, dim, 1)


def _judge_control(control):
    frames, values = [], []

    def evaluate(rotation):
        frames.append(rotation)
        values.append((0.37 * len(values)) % 1)
        return values[-1]

    result = float(control(evaluate, 3, 1, 200))
    if len(frames) != 200:
        return Problem(f"200 draws were asked for, `evaluate` was called {len(frames)} times.", mistake="draws")
    for frame in frames:
        if not isinstance(frame, torch.Tensor) or tuple(frame.shape) != (3, 1):
            shape = tuple(getattr(frame, "shape", ()))
            return Problem(f"For d = 3 and dim = 1 a rotation is (3, 1), not {shape}.", mistake="shape")
    if any(abs(float(frame.norm()) - 1) > 1e-4 for frame in frames):
        return Problem(mistake="not-orthonormal")
    if torch.stack(frames).std(dim=0).amax() < 1e-4:
        return Problem(mistake="one-frame")
    if all(int((frame.abs() > 1e-4).sum()) == 1 for frame in frames):
        return Problem(mistake="axes")
    projector = torch.stack([frame @ frame.T for frame in frames]).mean(0)
    if (projector - torch.eye(3) / 3).abs().max() > 0.15:
        return Problem(mistake="not-uniform")
    mean = sum(values) / len(values)
    if abs(result - max(values)) < 1e-6:
        return Problem(mistake="maximum")
    if abs(result - mean) > 1e-4:
        return f"The mean of the IIAs was {mean:.3f}; your function gave {result:.3f}."
    frames.clear()
    control(evaluate, 5, 3, 4)
    if len(frames) != 4 or any(tuple(frame.shape) != (5, 3) for frame in frames):
        return Problem("For d = 5 and dim = 3 a rotation is (5, 3).", mistake="shape")
    if any((frame.T @ frame - torch.eye(3)).abs().max() > 1e-4 for frame in frames):
        return Problem(mistake="not-orthonormal")
    return None


CONTROL = CodeExercise(
    id="5.6",
    title="A random subspace",
    stars=2,
    minutes=8,
    reference=random_control,
    cases=(),
    judge=_judge_control,
    hints=(
        "A loop over the draws: make a rotation, evaluate it, collect the values; at the end the mean.",
        "A Gaussian matrix `torch.randn(d, dim)` prefers no direction; orthonormalise its columns with "
        "`torch.linalg.qr(…).Q`.",
    ),
    mistakes=(
        Mistake(
            "not-orthonormal",
            "These columns are not orthonormal, so R Rᵀ is no projection and may amplify: not the same "
            "intervention. Orthonormalise them.",
            _scored(lambda d, dim: torch.randn(d, dim)),
        ),
        Mistake(
            "axes",
            "You drew random *units*. A subspace may lie anywhere, and units are what we doubt here: draw directions.",
            _scored(_axes),
        ),
        Mistake("one-frame", "The same subspace in every draw: make a new one inside the loop.", _one_frame),
        Mistake(
            "not-uniform",
            "Not all subspaces are equally likely: numbers that are all positive (`torch.rand`) prefer the "
            "diagonal. Use a Gaussian, `torch.randn`.",
            _scored(lambda d, dim: torch.linalg.qr(torch.rand(d, dim)).Q),
        ),
        Mistake(
            "maximum",
            "This is the best of all draws. What a control says is what chance gives on *average*.",
            _best,
        ),
        Mistake(
            "shape",
            "A rotation has d rows and dim columns.",
            _scored(lambda d, dim: torch.linalg.qr(torch.randn(d, dim)).Q.T),
        ),
        Mistake("draws", "Each draw must be evaluated once.", _single_draw),
    ),
    unlisted=(_total, _lower_quarter),
    insight="Random subspaces have the same size and make the same kind of step; what they reach is what size alone buys.",
    used_next="In the next cell, on resnet18-shapes.",
)

# --- 5.7 the verdict -------------------------------------------------------------------------------------------------

_TRUTH = {
    "resnet18-shapes": "background",
    "shapes-cue-all": "background",
    "shapes-cue-background": "background",
    "shapes-cue-colour": "colours",
    "shapes-cue-type": "types",
}

VERDICT = AnswerExercise(
    id="5.7",
    title="Which cue will win?",
    stars=1,
    minutes=4,
    reference=_TRUTH,
    hints=(
        "Figure 1 has the verdict for four of the networks, the table of section 5 for `resnet18-shapes`.",
        "Per network, the variable with the highest held-out IIA. `shapes-cue-all` was *offered* three cues; what "
        "did it take?",
    ),
    mistakes=(
        Mistake(
            "article",
            "For `resnet18-shapes` you trust the article's 76 % for the colours. Ours was measured: look at the "
            "last two columns of the table.",
            {**_TRUTH, "resnet18-shapes": "colours"},
        ),
        Mistake(
            "types-for-all",
            "In `shapes-cue-all` the types name the class, but a network need not use what a definition uses: see "
            "its row in Figure 1.",
            {**_TRUTH, "shapes-cue-all": "types"},
        ),
        Mistake(
            "all-background",
            "The background wins where it was there to be used. Two of the networks were trained on pictures whose "
            "background says nothing.",
            dict.fromkeys(_TRUTH, "background"),
        ),
        Mistake(
            "colours-for-all",
            "In `shapes-cue-all` the colours have an IIA of 0: see its row in Figure 1.",
            {**_TRUTH, "shapes-cue-all": "colours"},
        ),
    ),
    unlisted=({**_TRUTH, "shapes-cue-colour": "types"}, {"resnet18-shapes": "background"}, "background"),
    insight="A prediction that can fail: the next cell asks the networks themselves.",
    used_next="Right below, in Figure 5.",
)

# --- 5.8 too good to be true -----------------------------------------------------------------------------------------

ILLUSION = ChoiceExercise(
    id="5.8",
    title="The alignment that works everywhere",
    stars=2,
    minutes=5,
    question="A colleague aligned 'the background' in a network with random weights: held-out IIA 100 %, random "
    "subspaces 33 %, full swap 33 %. "
    "What is the best conclusion?",
    options={
        "a": "Even an untrained network computes the class from the background, so DAS has found it.",
        "b": "The held-out pairs must have leaked into training: with clean pairs the IIA would be 33 %.",
        "c": "The subspace reads the background where nothing uses it, and writes it where the classifier looks: the "
        "intervention makes a path that the "
        "network does not have.",
        "d": "It is chance: with three classes an IIA of 100 % happens now and then.",
        "e": "The subspace is too large: with fewer dimensions the effect would vanish.",
    },
    correct="c",
    mistakes=(
        Mistake(
            "trust",
            "The network gives all pictures the same answer, also those with another background. What does not "
            "change the answer as a whole is not "
            "what it computes its answer from.",
            "a",
        ),
        Mistake(
            "leak",
            "The held-out pairs are new pictures. What was learned does generalise: it is a real regularity of the "
            "activations, but not one that the network uses.",
            "b",
        ),
        Mistake(
            "chance",
            "Chance is what the random subspaces and the full swap show, 33 %. All of 36 held-out pairs right by "
            "luck would be rarer than 1 in 10 to the 17.",
            "d",
        ),
        Mistake(
            "size",
            "Figure 6 will show it: two dimensions are enough for the illusion in this network, and it is *all* of "
            "them together, the full swap, that ends it.",
            "e",
        ),
    ),
    hints=(
        "Compare with the full swap: it puts in *everything* that the source has.",
        "The two halves of the subspace, alone, do nothing. What does each of them lack?",
    ),
    insight="When a part does what the whole cannot, the part was made by the search, not found in the network.",
    used_next="In section 9: the same happens in a trained network, in an early layer.",
)

EXERCISES = (LABELS, INTERCHANGE, IIA, HAND, STEP, CONTROL, VERDICT, ILLUSION)
