"""Exercises of lesson 05, distributed alignment search.

Written down before the mistakes were coded, what learners of interchange interventions really do: take the label of the base
or of the source, or set the other variable; swap base and source; swap the whole vector; stop after the rotation, or rotate
the wrong way (R and its transpose); put the source's part in without taking the base's out, or the reverse; swap coordinates
instead of directions; score against the network's own answer for base or source; count every changed answer as a hit;
orthonormalise only before, only after, only the length of the columns, or the rows; hand the optimizer a matrix and train
another; draw "random" subspaces that are one and the same, not orthonormal, made of units, or all in one corner; report the
best draw; mix up a cue with the class it speaks for; and call every high IIA a finding.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from vizcourse.exercises.compare import kind, numeric
from vizcourse.exercises.core import AnswerExercise, ChoiceExercise, CodeExercise, Mistake, Problem
from vizcourse.lessons.das.study import Line
from vizcourse.methods.das import Score
from vizcourse.worlds import shapes


def _frame(size, dim, generator):
    return torch.linalg.qr(torch.randn(size, dim, generator=generator)).Q


# --- 5.1 counterfactual labels ---------------------------------------------------------------------------------------


def counterfactual_labels(base, source, variable):
    """What the model answers to the base with one variable taken from the source: 2 × (N, 2) of booleans -> (N,)."""
    values = base.clone()
    values[:, variable] = source[:, variable]
    return (values[:, 0] == values[:, 1]).long()


def _label(values):
    return (values[:, 0] == values[:, 1]).long()


def _base_spoilt(base, source, variable):
    values = base
    values[:, variable] = source[:, variable]
    return _label(values)


def _values_only(base, source, variable):
    values = base.clone()
    values[:, variable] = source[:, variable]
    return values


def _label_cases(seed):
    def switches(count):
        return torch.rand(count, 2, generator=generator) < 0.5

    generator = torch.Generator().manual_seed(seed)
    every = torch.tensor([[a, b] for a in (False, True) for b in (False, True)])
    return [
        (torch.tensor([[True, True], [True, False]]), torch.tensor([[False, True], [True, True]]), 0),
        (switches(5), switches(5), 1),
        (every.repeat(4, 1), every.repeat_interleave(4, 0), 0),
        (every.repeat(4, 1), every.repeat_interleave(4, 0), 1),
    ]


LABELS = CodeExercise(
    id="5.1",
    title="Counterfactual labels",
    stars=1,
    minutes=5,
    reference=counterfactual_labels,
    cases=_label_cases,
    hints=(
        "Begin with the base's values, and overwrite one column with the source's: `values[:, variable] = …`. Work on a copy.",
        "The model's last step compares the two: `(values[:, 0] == values[:, 1]).long()`.",
    ),
    mistakes=(
        Mistake(
            "base",
            "These are the labels of the base itself. Ask what the model *would* answer with one variable of the source.",
            lambda base, source, variable: _label(base),
        ),
        Mistake(
            "source",
            "These are the labels of the source itself, as if both variables were swapped. Only one is; the other stays the "
            "base's.",
            lambda base, source, variable: _label(source),
        ),
        Mistake(
            "exchanged",
            "Base and source are exchanged (or, which comes to the same, you swap the other variable). The *base* runs; only "
            "column `variable` comes from the source.",
            lambda base, source, variable: counterfactual_labels(source, base, variable),
        ),
        Mistake(
            "always-left",
            "You always swap the left variable. Use `variable`, which says which one.",
            lambda base, source, variable: counterfactual_labels(base, source, 0),
        ),
        Mistake(
            "yes-no",
            "Yes and no are exchanged: the answer is 1 where the two variables are *equal*.",
            lambda base, source, variable: 1 - counterfactual_labels(base, source, variable),
        ),
        Mistake(
            "both-true",
            "You answer 1 only where both variables are true. The model says yes where the two are *equal*: both true, or both "
            "false.",
            lambda base, source, variable: _values_only(base, source, variable).all(1).long(),
        ),
        Mistake(
            "variable",
            "You return the new value of the variable. The label is the model's *answer*, which also depends on the other one.",
            lambda base, source, variable: source[:, variable].long(),
        ),
        Mistake(
            "changed",
            "You say where the answer changes. Asked for is the answer itself; a counterfactual label may well be that of the "
            "base.",
            lambda base, source, variable: (counterfactual_labels(base, source, variable) != _label(base)).long(),
        ),
        Mistake(
            "values",
            "You have the two variables after the swap; one step is missing, the model's answer: are they equal?",
            _values_only,
        ),
        Mistake(
            "base-spoilt",
            "The labels are right, but your function writes into a tensor that it was given, and the next experiment gets a "
            "changed one: work on a copy, `.clone()`.",
            _base_spoilt,
        ),
    ),
    unlisted=(
        lambda base, source, variable: (base[:, variable] == source[:, variable]).long(),
        lambda base, source, variable: counterfactual_labels(base, source, 1),
        lambda base, source, variable: (base & source).any(1).long(),
    ),
    insight="The label belongs to the hypothesis, not to the network: it says what would happen if the hypothesis were true.",
    used_next="Interchange interventions test whether the network agrees.",
)

# --- 5.2 the interchange ---------------------------------------------------------------------------------------------


def interchange(base, source, rotation):
    """Base with the source's part in the subspace of ``rotation``: 2 × (N, d), (d, m) -> (N, d)."""
    return base + (source - base) @ rotation @ rotation.T


def _coordinates(base, source, rotation):
    swapped = base.clone()
    swapped[:, : rotation.shape[1]] = source[:, : rotation.shape[1]]
    return swapped


def _in_place(base, source, rotation):
    base += (source - base) @ rotation @ rotation.T
    return base


def _interchange_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def some(count, size):
        return torch.randn(count, size, generator=generator)

    return [
        (torch.tensor([[1.0, 2.0]]), torch.tensor([[6.0, 7.0]]), torch.tensor([[0.6], [0.8]])),
        (some(2, 3), some(2, 3), _frame(3, 1, generator)),
        (some(4, 4), some(4, 4), _frame(4, 2, generator)),
        (some(3, 6), some(3, 6), _frame(6, 4, generator)),
    ]


INTERCHANGE = CodeExercise(
    id="5.2",
    title="The interchange",
    stars=2,
    minutes=8,
    reference=interchange,
    cases=_interchange_cases,
    hints=(
        "In three steps: the difference, `source - base`; its coordinates in the subspace, `… @ rotation`, (N, m); and back "
        "into the d-dimensional space, `… @ rotation.T`.",
        "Add what you get to the base.",
    ),
    mistakes=(
        Mistake(
            "exchanged",
            "You keep the *source* and give it the base's part (or, which is the same, swap all that lies *outside* the "
            "subspace). The base runs; only its part in the subspace comes from the source.",
            lambda base, source, rotation: interchange(source, base, rotation),
        ),
        Mistake(
            "whole",
            "You swap the whole vector: the result is the source itself, whatever the rotation. Keep of the difference only "
            "what lies in the subspace.",
            lambda base, source, rotation: source.clone(),
        ),
        Mistake(
            "added",
            "The source's part comes in, but the base's own part is still there: take it out first, that is, project the "
            "*difference* source − base.",
            lambda base, source, rotation: base + source @ rotation @ rotation.T,
        ),
        Mistake(
            "taken-out",
            "The base's part is taken out, and nothing is put in its place. Put in the source's part.",
            lambda base, source, rotation: base - base @ rotation @ rotation.T,
        ),
        Mistake(
            "only-part",
            "You return the source's part in the subspace alone. All that lies outside of it must stay as in the base.",
            lambda base, source, rotation: source @ rotation @ rotation.T,
        ),
        Mistake(
            "only-change",
            "This is the *change*. Add it to the base.",
            lambda base, source, rotation: (source - base) @ rotation @ rotation.T,
        ),
        Mistake(
            "minus",
            "The sign is turned: you move the base *away* from the source. The difference is source − base.",
            lambda base, source, rotation: base + (base - source) @ rotation @ rotation.T,
        ),
        Mistake(
            "not-back",
            "`(source - base) @ rotation` has m numbers, the coordinates in the subspace. They cannot be added to the base, or "
            "only by chance: go back first, `@ rotation.T`.",
            lambda base, source, rotation: base + (source - base) @ rotation,
        ),
        Mistake(
            "transposed",
            "`(source - base) @ rotation.T` does not fit. With rows it is the other way round: first `@ rotation` (d to m), "
            "then `@ rotation.T` (m to d).",
            lambda base, source, rotation: base + (source - base) @ rotation.T @ rotation,
        ),
        Mistake(
            "from-the-left",
            "That is the formula for columns. Here each activation is a *row*, so the matrices stand on the right: "
            "`(source - base) @ rotation @ rotation.T`.",
            lambda base, source, rotation: base + rotation @ rotation.T @ (source - base),
        ),
        Mistake(
            "coordinates",
            "You swap the first m *units*, as if the rotation were none. The subspace lies across all units.",
            _coordinates,
        ),
        Mistake(
            "in-place",
            "The values are right, but an input is overwritten (`+=` and `-=` work in place). Make a new tensor: `base + …`.",
            _in_place,
        ),
    ),
    unlisted=(
        lambda base, source, rotation: base + 0.5 * (source - base) @ rotation @ rotation.T,
        lambda base, source, rotation: base + (source - base) * (rotation @ rotation.T).diagonal(),
        lambda base, source, rotation: base + (source - base) @ rotation.abs() @ rotation.abs().T,
    ),
    insight="Only the subspace counts: any other orthonormal basis of it gives the same R Rᵀ and the same interchange.",
    used_next="5.3 runs the rest of the network from here.",
)

# --- 5.3 interchange intervention accuracy ---------------------------------------------------------------------------


class _Rest:
    """The rest of a network: activations (N, d) -> logits (N, 3)."""

    def __init__(self, size, seed):
        generator = torch.Generator().manual_seed(seed)
        self.first, self.second = torch.randn(size, 8, generator=generator), torch.randn(8, 3, generator=generator)

    def __call__(self, activations):
        return (activations @ self.first).relu() @ self.second

    def __repr__(self):
        return "a small network from activations to three logits"


def iia(rest, base, source, rotation, labels):
    """Share of pairs whose answer after the interchange is the label: a number from 0 to 1."""
    answers = rest(interchange(base, source, rotation)).argmax(dim=1)
    return (answers == labels).float().mean()


def _answers(rest, base, source, rotation):
    return rest(interchange(base, source, rotation)).argmax(1)


def _share(hits):
    return hits.float().mean()


def _iia_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for count, size, dim in ((4, 3, 1), (7, 4, 2), (30, 6, 3), (40, 5, 2)):
        base, source = (torch.randn(count, size, generator=generator) for _ in range(2))
        cases.append(
            (
                _Rest(size, seed + count),
                base,
                source,
                _frame(size, dim, generator),
                torch.randint(3, (count,), generator=generator),
            )
        )
    return cases


IIA = CodeExercise(
    id="5.3",
    title="Interchange intervention accuracy",
    stars=2,
    minutes=6,
    reference=iia,
    cases=_iia_cases,
    setup_source="from vizcourse.lessons.das.exercises import interchange",
    hints=(
        "`rest(interchange(base, source, rotation))` are the logits afterwards, (N, C); `.argmax(dim=1)` the answers.",
        "Compare with `labels`, and take the mean: of numbers, so `.float()` first.",
    ),
    mistakes=(
        Mistake(
            "no-interchange",
            "You score the base as it is: nothing was interchanged. Run the rest on `interchange(base, source, rotation)`.",
            lambda rest, base, source, rotation, labels: _share(rest(base).argmax(1) == labels),
        ),
        Mistake(
            "full-swap",
            "You run the rest on the source's whole activation. That is a useful control, the full swap, and not the IIA of "
            "this subspace.",
            lambda rest, base, source, rotation, labels: _share(rest(source).argmax(1) == labels),
        ),
        Mistake(
            "exchanged",
            "Base and source are exchanged: the base's part went into the source.",
            lambda rest, base, source, rotation, labels: _share(_answers(rest, source, base, rotation) == labels),
        ),
        Mistake(
            "base-answer",
            "You compare with the network's answer for the base: that is how often the intervention changes *nothing*. Compare "
            "with the counterfactual label.",
            lambda rest, base, source, rotation, labels: _share(_answers(rest, base, source, rotation) == rest(base).argmax(1)),
        ),
        Mistake(
            "any-change",
            "You count every answer that changes. A hit is an answer that becomes what the hypothesis says, and sometimes the "
            "hypothesis says that it stays.",
            lambda rest, base, source, rotation, labels: _share(_answers(rest, base, source, rotation) != rest(base).argmax(1)),
        ),
        Mistake(
            "source-answer",
            "You compare with the network's answer for the source. The hypothesis gives the label, and the source may differ "
            "from the base in more than the one variable.",
            lambda rest, base, source, rotation, labels: _share(
                _answers(rest, base, source, rotation) == rest(source).argmax(1)
            ),
        ),
        Mistake(
            "count",
            "You count the hits. IIA is their *share*: divide by the number of pairs.",
            lambda rest, base, source, rotation, labels: (_answers(rest, base, source, rotation) == labels).sum(),
        ),
        Mistake(
            "percent",
            "You give percent; give a number from 0 to 1.",
            lambda rest, base, source, rotation, labels: 100 * _share(_answers(rest, base, source, rotation) == labels),
        ),
        Mistake(
            "probability",
            "You average the probability of the label. IIA counts: a pair is a hit where the label has the *largest* logit, "
            "however narrowly.",
            lambda rest, base, source, rotation, labels: (
                rest(interchange(base, source, rotation)).softmax(1)[torch.arange(len(labels)), labels].mean()
            ),
        ),
        Mistake(
            "mean-of-bool",
            "PyTorch takes no mean of True and False: `.float()` first, then `.mean()`.",
            lambda rest, base, source, rotation, labels: (_answers(rest, base, source, rotation) == labels).mean(),
        ),
        Mistake(
            "each-pair",
            "You return the hits of the single pairs. Take their mean.",
            lambda rest, base, source, rotation, labels: (_answers(rest, base, source, rotation) == labels).float(),
        ),
        Mistake(
            "wrong-axis",
            "Your argmax runs over the pairs. The classes are the second axis of the logits: `argmax(dim=1)`.",
            lambda rest, base, source, rotation, labels: (
                (rest(interchange(base, source, rotation)).argmax(0) == labels).float().mean()
            ),
        ),
    ),
    unlisted=(
        lambda rest, base, source, rotation, labels: 1 - iia(rest, base, source, rotation, labels),
        lambda rest, base, source, rotation, labels: _share(rest(interchange(base, source, rotation)).argmin(1) == labels),
        lambda rest, base, source, rotation, labels: (
            iia(rest, base, source, rotation, labels) - _share(rest(base).argmax(1) == labels)
        ),
    ),
    insight="IIA is an accuracy whose labels come from the hypothesis and whose answers come from an intervention.",
    used_next="Everything from here on is an IIA, and the question is always: compared with what?",
)

# --- 5.4 by hand (in the widget) -------------------------------------------------------------------------------------

#: From which IIA on the direction counts as found.
FOUND = 0.995


def _hand_judge(value):
    if not isinstance(value, dict) or not {"variable", "angle", "left", "right"} <= set(value):
        return 'Pass the widget itself: `answer("5.4", lab)`.'
    measured = f"At {value['angle']}° the IIA is {value['left']:.0%} for left and {value['right']:.0%} for right."
    if value["right"] >= FOUND:
        return Problem(measured, mistake="not-set") if value["variable"] != "right" else None
    if value["left"] >= FOUND:
        return Problem(measured, mistake="left")
    if value["right"] >= 0.8:
        return Problem(measured, mistake="near")
    return Problem(measured, mistake="chance" if value["right"] >= 0.45 else "below-chance")


def _turned(variable="right", angle=150, left=0.5, right=1.0):
    return {"variable": variable, "angle": angle, "left": left, "right": right, "touched": True}


BY_HAND = AnswerExercise(
    id="5.4",
    title="Find the right variable by hand",
    stars=1,
    minutes=5,
    judge=_hand_judge,
    blank=lambda value: isinstance(value, dict) and not value.get("touched", True),
    setup_source="from vizcourse.lessons.das.widgets import hidden_directions\nlab = hidden_directions()",
    solution_source='lab.set(variable="right", angle=150)\nanswer("5.4", lab)',
    hints=(
        "Choose *right* first. Then turn in steps of ten degrees and watch the IIA, not the picture.",
        "Find the direction of *left* too: the two were planted at a right angle to each other.",
    ),
    mistakes=(
        Mistake(
            "left",
            "This direction carries the *left* variable. Swapping it does nothing for *right* but chance.",
            lambda value: value["left"] >= FOUND,
            example=_turned(left=1.0, right=0.51),
        ),
        Mistake(
            "not-set",
            "That is the direction, but the lab is still set to *left*: choose *right*, and read its IIA there.",
            lambda value: value["variable"] != "right" and value["right"] >= FOUND,
            example=_turned(variable="left"),
        ),
        Mistake(
            "near",
            "Near. Swapping this direction still leaves some of the variable behind, or takes a little of the other along: "
            "turn on in small steps, until every pair is a hit.",
            lambda value: 0.8 <= value["right"] < FOUND,
            example=_turned(right=0.9),
        ),
        Mistake(
            "chance",
            "An IIA of about a half is what a coin gets: there are two answers. The direction between the two variables swaps "
            "a bit of both, or nothing that the answer depends on. Turn on.",
            lambda value: 0.45 <= value["right"] < 0.8 and value["left"] < FOUND,
            example=_turned(right=0.49),
        ),
        Mistake(
            "below-chance",
            "Below a half: here the swap moves the answer, but more often for the other variable than for this one. Turn on.",
            lambda value: value["right"] < 0.45,
            example=_turned(right=0.41),
        ),
    ),
    unlisted=("150", 150, {"angle": 150}),
    insight="A variable can sit in one direction and in no unit. A range of angles does, because an answer is yes or no.",
    used_next="In eight dimensions or 512 no hand can turn: gradient descent does.",
)

# --- 5.5 orthonormality ----------------------------------------------------------------------------------------------


def train_rotation(loss, start, steps=200, learning_rate=0.05):
    """Minimise ``loss`` over matrices with orthonormal columns, from ``start``: (d, m) -> (d, m)."""
    weight = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([weight], lr=learning_rate)
    for _ in range(steps):
        rotation = torch.linalg.qr(weight).Q
        optimizer.zero_grad()
        loss(rotation).backward()
        optimizer.step()
    return torch.linalg.qr(weight).Q.detach()


class _Captured:
    """Minus the share of a scatter that a subspace captures: lowest, -1, for its largest axes.

    It watches how it is minimised: the matrices it was given, their gradients at the leaves of the graph, and what PyTorch's
    optimizers then stepped with.
    """

    def __init__(self, size, dim, seed):
        generator = torch.Generator().manual_seed(seed)
        axes, spread = _frame(size, size, generator), torch.linspace(1, 0.05, size) ** 2
        self.scatter = axes @ torch.diag(spread) @ axes.T / spread[:dim].sum()
        self.given, self.gradients, self.totals, self.steps, self.stepped_after = [], {}, {}, [], []
        self.backward = 0

    def __call__(self, rotation):
        self.given.append(rotation.detach().clone().float())
        value = -((self.scatter.to(rotation) @ rotation) * rotation).sum()
        if value.requires_grad:
            leaves, self.gradients = _leaves(rotation), {}
            for leaf, gradient in zip(leaves, torch.autograd.grad(value, leaves, retain_graph=True), strict=True):
                self.gradients[id(leaf)] = gradient
                self.totals[id(leaf)] = self.totals.get(id(leaf), 0) + gradient
            value.register_hook(self._count)
        return value

    def _count(self, gradient):
        self.backward += 1

    def stepped(self, optimizer, args, kwargs):
        """Before each step of an optimizer: its kind, its learning rate, and whose gradient it has."""
        self.stepped_after.append(len(self.given))
        moved = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        sources = {self._source(each) for each in moved}
        if any(map(callable, (*args[1:], *kwargs.values()))):
            sources = {"closure"}  # which computes the gradient only now
        elif not self.given:
            sources = {"too early"}
        self.steps.append((optimizer, optimizer.param_groups[0]["lr"], sources))

    def _source(self, parameter):
        right = self.gradients.get(id(parameter))
        if right is None:
            return "another tensor"
        if parameter.grad is None or not parameter.grad.any():
            return "cleared" if right.any() else "right"
        if torch.allclose(parameter.grad, right, rtol=1e-3, atol=1e-5):
            return "right"
        if torch.allclose(parameter.grad, -right, rtol=1e-3, atol=1e-5):
            return "minus"
        return "sum" if torch.allclose(parameter.grad, self.totals[id(parameter)], rtol=1e-3, atol=1e-5) else "other"

    def __repr__(self):
        return "a loss whose minimum is known"


def _leaves(tensor):
    """The tensors at the leaves of a tensor's graph, which a backward pass would fill with gradients."""
    if tensor.is_leaf:
        return [tensor]
    found, seen, pending = [], set(), [tensor.grad_fn]
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        pending += [before for before, _ in node.next_functions]
    return found


def _off(matrix):
    """How far columns are from orthonormal."""
    return float((matrix.T @ matrix - torch.eye(matrix.shape[1])).detach().abs().max())


def _unit(matrix, dim):
    return bool(((matrix.norm(dim=dim) - 1).abs() < 1e-3).all())


def _rotation_judge(learner):
    for size, dim, seed, steps, rate in ((6, 2, 0, 200, 0.05), (5, 3, 1, 160, 0.04)):
        loss = _Captured(size, dim, seed)
        # Not orthonormal itself, and far from the best.
        start = torch.randn(size, dim, generator=torch.Generator().manual_seed(seed + 5)) * 1.5
        kept = start.clone()
        watch = register_optimizer_step_pre_hook(loss.stepped)
        try:
            found = learner(loss, start, steps=steps, learning_rate=rate)
        except torch.linalg.LinAlgError:
            return Problem(mistake="not-finite")
        except RuntimeError as error:
            # PyTorch's words for two loops in which no gradient reaches the weight anew.
            if "backward through the graph a second time" in str(error):
                return Problem(mistake="once")
            if "does not require grad" in str(error):
                return Problem(mistake="no-gradient")
            raise
        finally:
            watch.remove()
        problem = _rotation_problem(found, loss, kept, steps, rate)
        if problem is None and not torch.equal(start.detach(), kept):
            problem = Problem(mistake="start-spoilt")
        if problem is not None:
            return problem
    return None


def _rotation_problem(found, loss, start, steps, rate):
    given, (size, dim) = list(loss.given), start.shape
    if not given:
        return "Your function never calls `loss`."
    if found is None:
        return "Your function returned None: is the `return` missing?"
    if not isinstance(found, torch.Tensor):
        return f"You return {kind(found)}; asked for is the matrix, a tensor (d, m)."
    if any(each.shape != (size, dim) for each in given):
        shape = tuple(next(each.shape for each in given if each.shape != (size, dim)))
        if shape in ((dim, dim), (dim, size)):
            return Problem(f"Your matrix is {shape}, for d = {size} and m = {dim}.", mistake="rows")
        return f"`loss` was called with a matrix {shape}; it takes (d, m), here {(size, dim)}."
    if found.shape != (size, dim):
        return f"You return {tuple(found.shape)}; asked for is (d, m), here {(size, dim)}."
    if not all(each.isfinite().all() for each in (*given, found)):
        return Problem(mistake="not-finite")
    worst = max(given, key=_off)
    if _off(worst) > 1e-3:
        detail = f"At worst, an entry of RᵀR was {_off(worst):.2g} from where it should be."
        if _unit(worst, 0):
            return Problem(detail, mistake="lengths-only")
        if _unit(worst, 1):
            return Problem(detail, mistake="rows")
        if _off(given[0]) < 1e-3:
            return Problem(detail, mistake="before-only")
        if _off(found) < 1e-3:
            return Problem(detail, mistake="after-only")
        return Problem(detail, mistake="free")
    if _off(found.float()) > 1e-3:
        return Problem(mistake="raw-returned")
    if found.requires_grad:
        return Problem(mistake="attached")
    if not torch.allclose(given[0] @ given[0].T, _span(start), atol=1e-3):
        return Problem(mistake="own-start")
    return _steps_problem(loss, given, steps, rate) or _end_problem(loss, given, found, steps)


def _span(matrix):
    """The projection onto the span of the columns, which does not depend on the basis."""
    return _qr(matrix) @ _qr(matrix).T


def _steps_problem(loss, given, steps, rate):
    """What the optimizer's steps were like; nothing where a loop does without PyTorch's optimizers."""
    still = all(torch.equal(each, given[0]) for each in given)
    taken = [source for _, _, sources in loss.steps for source in sources]
    if len(given) == 1 and len(loss.steps) <= 1 and steps > 1:
        return Problem(f"With `steps={steps}`, `loss` was called once.", mistake="steps")
    if still and not loss.backward:
        return Problem(mistake="no-backward")
    if still and not loss.steps:
        return Problem(mistake="no-step")
    if not loss.steps:
        return None
    if "cleared" in taken[:3]:
        return Problem(mistake="cleared")
    if taken[0] == "too early":
        return "The optimizer steps before there is a gradient: first the loss, then its `backward()`, then `step()`."
    if "another tensor" in taken[:3]:
        return Problem(mistake="stuck")
    if still:
        return Problem(mistake="once")
    if len({id(optimizer) for optimizer, _, _ in loss.steps}) > 1:
        return Problem(mistake="new-optimizer")
    if "minus" in taken[:1] or loss.steps[0][0].param_groups[0].get("maximize"):
        return Problem(mistake="uphill")
    if taken[1:4] == ["sum"] * 3:
        return Problem(mistake="accumulated")
    late = given[len(given) // 2 :]
    if len(late) > 2 and all(torch.equal(each, late[0]) for each in late):
        return Problem(mistake="stuck")
    optimizer, own_rate, _ = loss.steps[0]
    if not isinstance(optimizer, torch.optim.Adam):
        return Problem(f"Yours is `{type(optimizer).__name__}`.", mistake="not-adam")
    if abs(own_rate - rate) > 1e-3 * rate:
        return Problem(f"Called with `learning_rate={rate:g}`, it ran with {own_rate:g}.", mistake="learning-rate")
    if len(loss.steps) != steps:
        return Problem(f"With `steps={steps}`, the optimizer took {len(loss.steps)}.", mistake="steps")
    return None


def _end_problem(loss, given, found, steps):
    """Whether the loop came down, and as far as any loop of this kind does."""
    first, last = (float(loss(each.float())) for each in (given[0], found))
    if last > first + 1e-3:
        return Problem(f"It went from {first:.2f} to {last:.2f}.", mistake="uphill")
    if not loss.steps and len(given) < steps:
        return f"With `steps={steps}`, `loss` was called {len(given)} times: take a step for each."
    # The last matrices that the loss saw before a step. While they still move, that of the last step is not the one after it.
    *_, earlier, stale = (None, None, *(given[count - 1] for count in loss.stepped_after if count))
    if earlier is not None and torch.equal(found.float(), stale) and not torch.equal(earlier, stale):
        return Problem(mistake="one-behind")
    # Adam on a weight that is put back onto the rotations after each step is slower, and ends between 80 and 98 % of the way.
    if last > first - 0.7 * (first + 1):
        return (
            f"The columns are orthonormal, but the loss only came down from {first:.3f} to {last:.3f}; the lowest there is, is "
            "−1. Is it Adam with the given learning rate, does the gradient pass through the orthonormalisation, and does the "
            "next step go on from where the last one ended?"
        )
    return None


def _trained(orthonormal, *, before=lambda weight: weight, after=lambda weight: weight, sign=1):
    """A wrong solution of 5.5: a loop with these maps before, in and after it."""

    def wrong(loss, start, steps=200, learning_rate=0.05):
        weight = before(start.clone()).detach().requires_grad_()
        optimizer = torch.optim.Adam([weight], lr=learning_rate)
        for _ in range(steps):
            optimizer.zero_grad()
            (sign * loss(orthonormal(weight))).backward()
            optimizer.step()
        return after(weight)

    return wrong


def _qr(weight):
    return torch.linalg.qr(weight).Q


def _qr_end(weight):
    return _qr(weight).detach()


def _as_is(weight):
    return weight


def _detached(weight):
    return weight.detach()


def _other_matrix(loss, start, steps=200, learning_rate=0.05):
    weight = _qr(start).requires_grad_()
    optimizer = torch.optim.Adam([weight], lr=learning_rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(weight).backward()
        optimizer.step()
        weight = _qr(weight.detach()).requires_grad_()
    return weight.detach()


def _start_trained(loss, start, steps=200, learning_rate=0.05):
    weight = start.requires_grad_()
    optimizer = torch.optim.Adam([weight], lr=learning_rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(_qr(weight)).backward()
        optimizer.step()
    return _qr_end(weight)


def _accumulated(loss, start, steps=200, learning_rate=0.05):
    weight = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([weight], lr=learning_rate)
    for _ in range(steps):
        loss(_qr(weight)).backward()
        optimizer.step()
    return _qr_end(weight)


def _other_optimizer(make):
    """A loop with another optimizer: ``make`` is given the weight and the learning rate."""

    def wrong(loss, start, steps=200, learning_rate=0.05):
        weight = start.clone().requires_grad_()
        optimizer = make(weight, learning_rate)
        for _ in range(steps):
            optimizer.zero_grad()
            loss(_qr(weight)).backward()
            optimizer.step()
        return _qr_end(weight)

    return wrong


_by_sgd = _other_optimizer(lambda weight, learning_rate: torch.optim.SGD([weight], lr=learning_rate))
_own_rate = _other_optimizer(lambda weight, learning_rate: torch.optim.Adam([weight]))

def _once(loss, start, steps=200, learning_rate=0.05):
    weight = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([weight], lr=learning_rate)
    rotation = _qr(weight)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(rotation).backward()
        optimizer.step()
    return rotation.detach()


def _in_loop(body):
    """A wrong solution of 5.5 from what stands in its loop."""

    def wrong(loss, start, steps=200, learning_rate=0.05):
        weight = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([weight], lr=learning_rate)
        for _ in range(steps):
            body(loss, weight, optimizer)
        return _qr_end(weight)

    return wrong


def _never_stepped(loss, weight, optimizer):
    optimizer.zero_grad()
    loss(_qr(weight)).backward()


def _never_backward(loss, weight, optimizer):
    optimizer.zero_grad()
    loss(_qr(weight))
    optimizer.step()


def _cleared_late(loss, weight, optimizer):
    loss(_qr(weight)).backward()
    optimizer.zero_grad()
    optimizer.step()


def _forgetful(loss, start, steps=200, learning_rate=0.05):
    weight = start.clone().requires_grad_()
    for _ in range(steps):
        optimizer = torch.optim.Adam([weight], lr=learning_rate)
        loss(_qr(weight)).backward()
        optimizer.step()
        optimizer.zero_grad()
    return _qr_end(weight)


def _through_polar(loss, start, steps=200, learning_rate=0.05):
    def nearest(weight):
        left, _, right = torch.linalg.svd(weight, full_matrices=False)
        return left @ right

    weight = nearest(start).requires_grad_()
    optimizer = torch.optim.Adam([weight], lr=learning_rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(nearest(weight)).backward()
        optimizer.step()
    return nearest(weight).detach()


def _one_behind(loss, start, steps=200, learning_rate=0.05):
    weight = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([weight], lr=learning_rate)
    for _ in range(steps):
        rotation = _qr(weight)
        optimizer.zero_grad()
        loss(rotation).backward()
        optimizer.step()
    return rotation.detach()


def _own_start(loss, start, steps=200, learning_rate=0.05):
    return train_rotation(loss, torch.randn(start.shape), steps, learning_rate)


def _own_steps(loss, start, steps=200, learning_rate=0.05):
    return train_rotation(loss, start, 300, learning_rate)


def _rows_by_qr(weight):
    return torch.linalg.qr(weight.T).Q.T


def _unit_rows(weight):
    return nn.functional.normalize(weight, dim=1)


ROTATION = CodeExercise(
    id="5.5",
    title="Stay orthonormal",
    stars=3,
    minutes=12,
    reference=train_rotation,
    judge=_rotation_judge,
    hints=(
        "Keep two things apart: a matrix `weight` that Adam may move as it likes, and the orthonormal matrix made of it, which "
        "the loss sees. The gradient passes from the loss through the second to the first.",
        "`weight = start.clone().requires_grad_()`; in each step `rotation = torch.linalg.qr(weight).Q`, "
        "`optimizer.zero_grad()`, `loss(rotation).backward()`, `optimizer.step()`.",
        "At the end make an orthonormal matrix of `weight` once more, and `.detach()` it.",
    ),
    mistakes=(
        Mistake(
            "free",
            "Nothing keeps the columns orthonormal. Then RRᵀ is no projection: the search can also make the swap *louder*, and "
            "finds more than there is.",
            _trained(_as_is, after=_detached),
        ),
        Mistake(
            "before-only",
            "You orthonormalise once, at the start. The first step already breaks it: do it in every step.",
            _trained(_as_is, before=_qr, after=_detached),
        ),
        Mistake(
            "after-only",
            "You orthonormalise at the end. The matrix that was trained was another one, and the one you return was never "
            "tested: do it in every step, before the loss.",
            _trained(_as_is, after=_qr_end),
        ),
        Mistake(
            "lengths-only",
            "Your columns have length 1, but they are not perpendicular, so what they share is swapped twice. QR does both.",
            _trained(
                lambda weight: nn.functional.normalize(weight, dim=0),
                after=lambda weight: nn.functional.normalize(weight, dim=0).detach(),
            ),
        ),
        Mistake(
            "rows",
            "That is the wrong axis: it is the *columns* that must be orthonormal, m of them with d numbers each. "
            "`torch.linalg.qr(weight).Q` does that as it stands, without a transpose.",
            _trained(_unit_rows, after=lambda weight: _unit_rows(weight).detach()),
        ),
        Mistake(
            "raw-returned",
            "The loss saw orthonormal matrices, but you return the raw weight. Make it orthonormal once more at the end.",
            _trained(_qr, after=_detached),
        ),
        Mistake(
            "attached",
            "What you return still hangs on the training's graph: `.detach()` it.",
            _trained(_qr, after=_qr),
        ),
        Mistake(
            "uphill",
            "The loss rises: you go uphill. Adam *minimises* what you call `backward()` on.",
            _trained(_qr, after=_qr_end, sign=-1),
        ),
        Mistake(
            "stuck",
            "Adam holds another tensor than the one that the loss depends on, so its steps do not reach the loss. (In "
            "the loop, `weight = …` makes a new tensor, and so do `.clone()` and `.detach()`.) Make one weight, give it to "
            "Adam, and the loss an orthonormal matrix made of it.",
            _other_matrix,
        ),
        Mistake(
            "no-step",
            "The gradient is there, but nothing moves the weight: `optimizer.step()` is missing after `backward()`.",
            _in_loop(_never_stepped),
        ),
        Mistake(
            "no-backward",
            "Your loop computes the loss and never its gradient: `.backward()` is missing.",
            _in_loop(_never_backward),
        ),
        Mistake(
            "new-optimizer",
            "You make a new optimizer in every step, and Adam forgets each time what the earlier gradients were. Make it once, "
            "before the loop.",
            _forgetful,
        ),
        Mistake(
            "cleared",
            "When `optimizer.step()` comes there is no gradient: `optimizer.zero_grad()` stands between `backward()` and "
            "`step()`. Clear before `backward()`.",
            _in_loop(_cleared_late),
        ),
        Mistake(
            "accumulated",
            "The gradients of all steps pile up: `optimizer.zero_grad()` is missing before `backward()`.",
            _accumulated,
        ),
        Mistake(
            "own-start",
            "The first matrix that the loss sees does not span what `start` spans: begin at `start`, so that a search can be "
            "repeated, or begun elsewhere.",
            _own_start,
        ),
        Mistake(
            "steps",
            "The number of steps is not `steps`: `for _ in range(steps):`, and one step of the optimizer in each round.",
            _own_steps,
        ),
        Mistake(
            "one-behind",
            "You return the matrix from before the last step: what that step changed is lost. After the loop, make an "
            "orthonormal matrix of the weight once more.",
            _one_behind,
        ),
        Mistake(
            "not-finite",
            "Your matrix became NaN. If you take the polar factor by `torch.linalg.svd`: its gradient divides by differences "
            "of singular values, and those of an orthonormal matrix are all equal. `torch.linalg.qr(weight).Q` has no such "
            "trouble.",
            _through_polar,
        ),
        Mistake(
            "once",
            "You make the orthonormal matrix once, before the loop, so no step of Adam reaches the loss. Make it of the weight "
            "anew in every step.",
            _once,
        ),
        Mistake(
            "no-gradient",
            "No gradient reaches the weight: give your copy of `start` a `.requires_grad_()`, and do not `.detach()` before "
            "the loss.",
            _trained(_qr_end, after=_qr_end),
        ),
        Mistake(
            "learning-rate",
            "Your Adam runs with its own learning rate: pass it `lr=learning_rate`.",
            _own_rate,
        ),
        Mistake(
            "not-adam",
            "The optimizer is not the one asked for, `torch.optim.Adam`.",
            _by_sgd,
        ),
        Mistake(
            "start-spoilt",
            "The result is right, but `start` itself was trained: work on a copy, `start.clone()`.",
            _start_trained,
        ),
    ),
    unlisted=(
        _trained(_rows_by_qr, after=lambda weight: _rows_by_qr(weight).detach()),
        lambda loss, start, steps=200, learning_rate=0.05: _qr(start),
        lambda loss, start, steps=200, learning_rate=0.05: [float(loss(_qr(start))) for _ in range(steps)],
    ),
    insight="Two ways lead here: let Adam roam and show the loss only rotations, as PyTorch's parametrizations.orthogonal "
    "does; or put the weight back onto the rotations after each step, which Adam's memory of earlier steps makes slower.",
    used_next="With the IIA's cross-entropy as the loss, this loop *is* distributed alignment search.",
)

# --- 5.6 random subspaces --------------------------------------------------------------------------------------------


def random_subspace_iia(iia_of, size, dim, draws=10):
    """Mean IIA of ``draws`` random subspaces: matrices (size, dim) with orthonormal columns."""
    values = []
    for _ in range(draws):
        rotation = torch.linalg.qr(torch.randn(size, dim)).Q
        values.append(float(iia_of(rotation)))
    return sum(values) / draws


class _Asked:
    """An `iia_of` that remembers what it was asked about, and gives each subspace a number of its own."""

    def __init__(self):
        self.given, self.values = [], []

    def __call__(self, rotation):
        rotation = torch.as_tensor(rotation).detach().clone().float()
        self.given.append(rotation)
        self.values.append(float(rotation.flatten()[0].square().clamp(max=1)) + 0.01)
        return torch.tensor(self.values[-1])

    def __repr__(self):
        return "a function that gives the IIA of a subspace"


def _random_judge(learner):
    for size, dim, draws in ((6, 2, 7), (8, 3, 60), (8, 1, 200)):
        asked = _Asked()
        problem = _random_problem(learner(asked, size, dim, draws), asked, size, dim, draws)
        if problem is not None:
            return problem
    return None


def _random_problem(found, asked, size, dim, draws):
    given = asked.given
    if not given:
        return "Your function never calls `iia_of`."
    for each in given:
        if each.shape == (dim, size):
            return Problem(mistake="transposed")
        if each.shape == (size, size):
            return Problem(mistake="whole")
        if each.shape != (size, dim):
            return f"`iia_of` was called with {tuple(each.shape)}; it takes (size, dim), here {(size, dim)}."
    worst = max(given, key=_off)
    if _off(worst) > 1e-3:
        return Problem(mistake="lengths-only" if _unit(worst, 0) else "not-orthonormal")
    if all(((each.abs() < 1e-6) | ((each.abs() - 1).abs() < 1e-6)).all() for each in given):
        return Problem(mistake="units")
    if len(given) > 1 and all(torch.allclose(each, given[0]) for each in given):
        return Problem(mistake="same")
    if len(given) != draws:
        return Problem(f"With draws={draws}, `iia_of` was called {len(given)} time{'s' * (len(given) != 1)}.", mistake="draws")
    # How much of one diagonal lies in the subspaces: dim / size on average, if no direction is preferred.
    diagonal = torch.full((size,), size**-0.5)
    if draws >= 50 and sum(float((diagonal @ each).square().sum()) for each in given) / draws > 0.65:
        return Problem(mistake="corner")
    # The fourth powers of a direction's eight entries sum to 0.3 on average, give or take 0.007 with 200 draws, if no
    # direction is preferred, and to 0.225 if the entries are drawn evenly between -1 and 1.
    if dim == 1 and draws >= 200 and sum(float(each.pow(4).sum()) for each in given) / draws < 0.26:
        return Problem(mistake="cube")
    values = None if found is None else numeric(found)
    if values is None:
        return f"Asked for is one number; you return {kind(found)}."
    if values.size == draws and draws > 1:
        return Problem(mistake="list")
    if values.size != 1:
        return f"Asked for is one number; you return {values.size}."
    number = float(values.reshape(()))
    mean, best, total = sum(asked.values) / draws, max(asked.values), sum(asked.values)
    if abs(number - mean) < 1e-4:
        return None
    if abs(number - best) < 1e-4:
        return Problem(mistake="best")
    if abs(number - total) < 1e-4:
        return Problem(mistake="sum")
    return f"The {draws} subspaces gave {mean:.3f} on average; you return {number:.3f}."


def _drawn(draw, combine=lambda values: sum(values) / len(values)):
    """A wrong solution of 5.6: with these matrices, or with another summary."""

    def wrong(iia_of, size, dim, draws=10):
        return combine([float(iia_of(draw(size, dim))) for _ in range(draws)])

    return wrong


def _random(size, dim):
    return torch.linalg.qr(torch.randn(size, dim)).Q


def _one_for_all(iia_of, size, dim, draws=10):
    rotation = _random(size, dim)
    return sum(float(iia_of(rotation)) for _ in range(draws)) / draws


RANDOM = CodeExercise(
    id="5.6",
    title="The random-subspace control",
    stars=2,
    minutes=8,
    reference=random_subspace_iia,
    judge=_random_judge,
    hints=(
        "`torch.randn(size, dim)` prefers no direction; `torch.linalg.qr(…).Q` makes its columns orthonormal without "
        "changing the subspace that they span.",
        "Draw anew in each round, collect the numbers that `iia_of` gives, and return their mean.",
    ),
    mistakes=(
        Mistake(
            "not-orthonormal",
            "Your matrices are not orthonormal, so RRᵀ is no projection: a swap with them can amplify, and the control is no "
            "longer about subspaces. Orthonormalise each, with `torch.linalg.qr(…).Q`.",
            _drawn(torch.randn),
        ),
        Mistake(
            "lengths-only",
            "Your columns have length 1 but are not perpendicular. `torch.linalg.qr(…).Q` makes them both.",
            _drawn(lambda size, dim: nn.functional.normalize(torch.randn(size, dim), dim=0)),
        ),
        Mistake(
            "units",
            "Your subspaces are made of single *units*. A subspace may lie across all units; the control asks for any of them.",
            _drawn(lambda size, dim: torch.eye(size)[:, torch.randperm(size)[:dim]]),
        ),
        Mistake(
            "corner",
            "Your subspaces lean towards one diagonal, the direction with an equal part of every unit. `torch.rand` does that, "
            "because it gives positive numbers only; with `torch.randn` every direction is equally likely.",
            _drawn(lambda size, dim: torch.linalg.qr(torch.rand(size, dim)).Q),
        ),
        Mistake(
            "cube",
            "Your directions lean towards the diagonals, on which all entries are equally large, with either sign. Numbers "
            "drawn evenly between two bounds do that (`torch.rand` less a half); with `torch.randn` every direction is equally "
            "likely.",
            _drawn(lambda size, dim: torch.linalg.qr(torch.rand(size, dim) - 0.5).Q),
        ),
        Mistake(
            "same",
            "It is the same subspace each time: draw anew in every round, and do not set the seed inside the loop.",
            _one_for_all,
        ),
        Mistake(
            "draws",
            "The number of subspaces is not `draws`. One random subspace may be a lucky or an unlucky one.",
            lambda iia_of, size, dim, draws=10: float(iia_of(_random(size, dim))),
        ),
        Mistake(
            "best",
            "You return the best of the draws. Choosing the best is already a search; the control is the *mean*.",
            _drawn(_random, max),
        ),
        Mistake("sum", "You return the sum; divide by the number of draws.", _drawn(_random, sum)),
        Mistake("list", "You return all the numbers; return their mean, one number.", _drawn(_random, list)),
        Mistake(
            "transposed",
            "Your matrices are (dim, size). The columns span the subspace: (size, dim).",
            _drawn(lambda size, dim: _random(size, dim).T),
        ),
        Mistake(
            "whole",
            "Your matrices are (size, size), and a whole rotation interchanges everything: keep `dim` columns.",
            _drawn(lambda size, dim: _random(size, size)),
        ),
    ),
    unlisted=(
        _drawn(_random, min),
        _drawn(lambda size, dim: torch.linalg.qr(torch.randn(size, dim + 1)).Q),
        lambda iia_of, size, dim, draws=10: 1 / size,
    ),
    insight="Without this number beside it, an IIA says nothing: in a wide subspace, chance does much of the work.",
    used_next="Beside it stand the other controls of the table.",
)

# --- 5.7 who follows whom --------------------------------------------------------------------------------------------

#: The cues of the picture in question, and the networks, in order, with the cue that each follows (measured again in
#: tests/lessons/das/test_exercises.py).
CONFLICT = {"background": "dax", "colour": "wug", "type": "blicket"}
FOLLOWS = {
    "resnet18-shapes": "background",
    "shapes-cue-all": "background",
    "shapes-cue-background": "background",
    "shapes-cue-colour": "colour",
    "shapes-cue-type": "type",
}
_RIGHT = tuple(CONFLICT[cue] for cue in FOLLOWS.values())


def _said(value):
    if isinstance(value, dict) and set(value) == set(FOLLOWS):
        value = [value[name] for name in FOLLOWS]
    if isinstance(value, str):
        value = value.strip("()[] ").split(",")
    return tuple(str(each).strip(" '\"").casefold() for each in value)


def _follow_judge(value):
    if not hasattr(value, "__len__") or len(_said(value)) != len(FOLLOWS):
        return 'Give five names of classes, one a network: `answer("5.7", ("…", "…", "…", "…", "…"))`.'
    said = _said(value)
    if said == _RIGHT:
        return None
    unknown = next((each for each in said if each not in shapes.CLASSES), None)
    if unknown in (*CONFLICT, "colours", "types", "shapes"):
        return Problem(mistake="cues")
    if unknown is not None:
        return f"“{unknown}” is not a class: {', '.join(shapes.CLASSES)}."
    wrong = [name for name, one, right in zip(FOLLOWS, said, _RIGHT, strict=True) if one != right]
    for mistake in FOLLOW.mistakes:
        if mistake.name != "cues" and mistake.wrong(value):
            return Problem(mistake=mistake.name)
    return f"{len(FOLLOWS) - len(wrong)} of {len(FOLLOWS)} are right. Look again at {wrong[0]}."


def _conflict_solution(**changed):
    return tuple(changed.get(name.replace("-", "_"), right) for name, right in zip(FOLLOWS, _RIGHT, strict=True))


FOLLOW = AnswerExercise(
    id="5.7",
    title="Who follows whom?",
    stars=2,
    minutes=5,
    reference=_RIGHT,
    judge=_follow_judge,
    hints=(
        "For each network find its row in the table of IIAs: which cue does it follow? Then ask which class that cue speaks "
        "for in this picture.",
        "The background says dax, the colours say wug, the types say blicket.",
    ),
    mistakes=(
        Mistake(
            "cues",
            "You name cues. Go one step further: which *class* does that cue speak for in this picture?",
            lambda value: any(each in CONFLICT for each in _said(value)),
            example=tuple(FOLLOWS.values()),
        ),
        Mistake(
            "same-answer",
            "All five answer the same, you say. Three of them were trained on pictures in which only one cue told the class, a "
            "different one each.",
            lambda value: len(_said(value)) == 5 and len(set(_said(value))) == 1 and _said(value)[0] in shapes.CLASSES,
            example=("dax",) * 5,
        ),
        Mistake(
            "colour-and-type",
            "The last two are exchanged: the colours say wug, the types say blicket.",
            lambda value: _said(value) == (*_RIGHT[:3], _RIGHT[4], _RIGHT[3]),
            example=(*_RIGHT[:3], _RIGHT[4], _RIGHT[3]),
        ),
        Mistake(
            "all-is-not-all",
            "“shapes-cue-all” was *offered* all three cues. What it took of them is another matter: read its row. The first "
            "three networks all follow the background.",
            lambda value: _said(value)[2:] == _RIGHT[2:] and _said(value)[1] != _RIGHT[1],
            example=_conflict_solution(shapes_cue_all="blicket"),
        ),
        Mistake(
            "resnet-by-paper",
            "The article gives colours and types 76 and 68 %, but this is our network: its IIA for both is zero, and for the "
            "background 100 %.",
            lambda value: _said(value)[1:] == _RIGHT[1:] and _said(value)[0] != _RIGHT[0],
            example=_conflict_solution(resnet18_shapes="wug"),
        ),
    ),
    unlisted=(("dax", "dax", "wug", "dax", "blicket"), ("dax", "dax"), "dax", ("dax", "dax", "dax", "wug", "dog")),
    insight="An alignment makes a prediction about pictures that it never saw, and behaviour can refute it.",
    used_next="The next cell asks the networks.",
)

# --- 5.8 what is wrong here? -----------------------------------------------------------------------------------------

ILLUSION = ChoiceExercise(
    id="5.8",
    title="What is wrong here?",
    stars=2,
    minutes=5,
    question="A colleague reads: “Held-out IIA far above random subspaces. So this network represents the background, and its "
    "answer depends on it.” What is wrong with that?",
    options={
        "a": "Nothing: a random network may well have a background direction that decides its answers.",
        "b": "The alignment has learned its pairs by heart; with more pairs the IIA would fall.",
        "c": "Eight dimensions are so many that any eight would do.",
        "d": "The part does what the whole cannot: with the *whole* activation of the source the answers are at chance. The "
        "swap makes a path that the network does not have.",
        "e": "Chance with three classes is one third, and an IIA must be read after subtracting it; the rest is real.",
    },
    correct="d",
    hints=(
        "For each option there is a line in the table that could refute it. Which is the only option that survives?",
        "What does the network answer to the source picture itself? Compare with what it answers after a part was swapped.",
    ),
    mistakes=(
        Mistake(
            "is-real",
            "Its answers are the last line of the table: one class for every picture, whatever the background. And the full "
            "swap, which brings *everything* that the source's background does to the activation, is at chance.",
            "a",
        ),
        Mistake(
            "by-heart",
            "The IIA was measured on *held-out* pairs, and it is as high there. What was learned does hold for new pairs; the "
            "question is what it means.",
            "b",
        ),
        Mistake(
            "too-wide",
            "The line “random subspace” says otherwise: other subspaces of eight dimensions are at chance. This one was "
            "searched for, and two dimensions would do.",
            "c",
        ),
        Mistake(
            "subtract-chance",
            "Subtracting chance does not make the rest real: nothing at all should be left, because the network's answer does "
            "not depend on the background. Look at the full swap.",
            "e",
        ),
    ),
    insight="Held-out pairs and random subspaces cannot expose a subspace illusion; the ceiling, the full swap, can.",
    used_next="Row space and null space say how it is done.",
)

# --- 5.9 outvoted ----------------------------------------------------------------------------------------------------

VOTES = ChoiceExercise(
    id="5.9",
    title="Outvoted",
    stars=2,
    minutes=4,
    question="A network counts votes: background, colours and types each speak for a class, and it answers the class with most "
    "votes. The article's pairs change one cue of a picture whose three cues agree. What is the IIA (by the full swap) of each "
    "cue?",
    options={
        "a": "100 % each: the network uses every cue.",
        "b": "0 % each.",
        "c": "33 % each: each cue decides a third.",
        "d": "It depends on the layer.",
    },
    correct="b",
    hints=(
        "Write the votes of one source down: which class does the changed cue speak for, and which do the other two?",
        "Two against one.",
    ),
    mistakes=(
        Mistake(
            "used-is-decisive",
            "It uses all three, yes. But in these pairs the changed cue stands alone against the other two: what do two votes "
            "against one make it answer?",
            "a",
        ),
        Mistake(
            "a-third-each",
            "A third each is what cue *conflicts* would give, where it has one vote for each class and must choose by lot. In "
            "these pairs two votes still speak for the base's class.",
            "c",
        ),
        Mistake(
            "layer",
            "The full swap makes the network answer the source, whatever the layer. (Of a layer that everything passes.) And "
            "to the source two cues of three say the base's class.",
            "d",
        ),
    ),
    insight="An IIA asks whether one cue overrides all others. A cue can be used in every answer and never do that.",
    used_next="Sources in which the other two cues are already at odds find such a cue.",
)

# --- 5.10 forge a table ----------------------------------------------------------------------------------------------

#: What the article reports for its weakest but one cue.
WANTED = 0.76
#: The network of the forged lines.
FORGED_IN = "shapes-cue-colour"


def _network(value):
    """The name of the network that a line is about."""
    return getattr(getattr(getattr(value, "case", None), "model", None), "name", FORGED_IN)


def _unused(value):
    """Whether a line is about a cue that its network, the one asked for, does not use."""
    return _network(value) == FORGED_IN and value.cue != "colour"


def _forged_judge(value):
    if not hasattr(value, "iia") or not hasattr(value, "cue"):
        return 'Hand in what `study.line(…)` gave: `answer("5.10", mine)`.'
    measured = f"Its IIA is {value.iia}."
    if _network(value) != FORGED_IN:
        return Problem(f"Yours is {_network(value)}.", mistake="other-network")
    if value.cue == "colour":
        return Problem(mistake="used")
    if value.iia.value >= WANTED - 1e-9:
        return None
    if value.layer == "avgpool" and value.sources == "one cue":
        return Problem(measured, mistake="last-layer")
    return Problem(measured, mistake="not-enough" if value.iia.value else "nothing")


def _line(cue, layer, sources, share, network=FORGED_IN):
    case = SimpleNamespace(model=SimpleNamespace(name=network))
    return Line(cue, layer, 8, sources, Score(share, share, share, 18), case=case)


FORGE = AnswerExercise(
    id="5.10",
    title="Forge a Table 5",
    stars=2,
    minutes=10,
    judge=_forged_judge,
    setup_source="from vizcourse.lessons.das import study",
    solution_source='mine = study.line("background", layer="avgpool", dim=8, sources="ordinary")\nanswer("5.10", mine)',
    hints=(
        "Three things are yours to choose. Which of them decides whether the network itself would answer the label to the "
        "source?",
        'The careless sources of section 8: `sources="ordinary"`. (With `"one cue"` an early layer goes part of the way.)',
    ),
    mistakes=(
        Mistake(
            "other-network",
            "Your line is about another network. Forge one for “shapes-cue-colour”, which goes by the colours alone.",
            lambda value: _network(value) != FORGED_IN,
            example=_line("background", "avgpool", "one cue", 1.0, network="shapes-cue-background"),
        ),
        Mistake(
            "used",
            "That is no forgery: this network does use the colours. Take a cue that it does not use.",
            lambda value: _network(value) == FORGED_IN and value.cue == "colour",
            example=_line("colour", "avgpool", "one cue", 1.0),
        ),
        Mistake(
            "last-layer",
            "At the input of the classifier, with one cue changed, no subspace reaches the label of an unused cue (section 8): "
            "the dimension makes no difference. Change the layer or the sources.",
            lambda value: _unused(value) and value.layer == "avgpool" and value.sources == "one cue",
            example=_line("background", "avgpool", "one cue", 0.0),
        ),
        Mistake(
            "not-enough",
            "That is more than nothing for a cue that is not used, and not yet 76 %. Try on.",
            lambda value: _unused(value) and value.layer != "avgpool" and 0 < value.iia.value < WANTED,
            example=_line("background", "layer1", "one cue", 0.5),
        ),
        Mistake(
            "nothing",
            "No pair gives the label. Go to an earlier layer, or change the sources.",
            lambda value: _unused(value) and value.layer != "avgpool" and value.iia.value == 0,
            example=_line("type", "layer3", "one cue", 0.0),
        ),
    ),
    unlisted=(0.76, "background"),
    insight="Held-out pairs, a rotation, and the IIA that was wanted: layer, width and sources are part of a result.",
    used_next="What would have exposed your line?",
)

# --- 5.11 expose one -------------------------------------------------------------------------------------------------

#: The three forged lines, and the control that exposes each.
EXPOSED = {"A": "one cue", "B": "full swap", "C": "rotation"}
_SYNONYMS = {
    "one cue": ("onecue", "onecuepairs", "pairs", "sources", "samesubspaceonecue", "thesamesubspaceonecue"),
    "full swap": ("fullswap", "full", "whole", "wholeactivation"),
    "rotation": ("rotation", "arotation", "rotationonly"),
    "random": ("random", "randomsubspace", "randomsubspaces"),
    "held out": ("heldout", "heldoutpairs"),
}


def _control(text):
    bare = "".join(letter for letter in str(text).casefold() if letter.isalpha())
    return next((name for name, ways in _SYNONYMS.items() if bare in ways), None)


def _exposed(value):
    """The three controls in order, None for a word that is none; nothing where there are not three."""
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, dict):
        by_line = {str(key).strip().upper(): each for key, each in value.items()}
        value = [by_line[key] for key in EXPOSED] if set(by_line) == set(EXPOSED) else ()
    return tuple(map(_control, value)) if hasattr(value, "__len__") and len(value) == len(EXPOSED) else ()


def _expose_judge(value):
    said = _exposed(value)
    if not said:
        return 'Name a control for each line: `answer("5.11", {"A": "…", "B": "…", "C": "…"})`.'
    if None in said:
        return f"One of these is no control of the table: choose from {', '.join(_SYNONYMS)}."
    if said[:2] == tuple(EXPOSED.values())[:2] and said[2] in ("rotation", "full swap"):  # in C the full swap is 0 %, too
        return None
    for mistake in EXPOSE.mistakes:
        if mistake.wrong(value):
            return Problem(mistake=mistake.name)
    right = [key for key, one, wanted in zip(EXPOSED, said, EXPOSED.values(), strict=True) if one == wanted]
    return f"Right so far: {', '.join(right) or 'none'}. For each line, find the column that a true finding could not have."


def _blunt(value):
    return bool(_exposed(value)) and bool({"random", "held out"} & set(_exposed(value)))


EXPOSE = AnswerExercise(
    id="5.11",
    title="Expose three forgeries",
    stars=2,
    minutes=8,
    reference=EXPOSED,
    judge=_expose_judge,
    solution_source='answer("5.11", {"A": "one cue", "B": "full swap", "C": "rotation"})',
    hints=(
        "A control exposes a line if it comes out otherwise than it would for a true finding. Which columns look the same for "
        "the true line and for the forged one?",
        "In A even the full swap agrees with the IIA: the sources differ in more than the background. In C the map was not a "
        "rotation.",
    ),
    mistakes=(
        Mistake(
            "blunt",
            "Held-out pairs and random subspaces look the same in the true line: they cannot expose any of these three.",
            _blunt,
            example={"A": "one cue", "B": "random", "C": "rotation"},
        ),
        Mistake(
            "full-swap-for-a",
            "Look at the full swap of A: it is as high as the IIA, because the source is a whole picture of the other class. "
            "What exposes A is the same subspace where the background *alone* changes.",
            lambda value: not _blunt(value) and _exposed(value)[:1] == ("full swap",),
            example={"A": "full swap", "B": "full swap", "C": "rotation"},
        ),
        Mistake(
            "rotation-for-b",
            "B was found with a rotation already. Its full swap is 0 %: the part does what the whole does not.",
            lambda value: not _blunt(value) and _exposed(value)[:2] in (("one cue", "rotation"), ("rotation", "rotation")),
            example={"A": "one cue", "B": "rotation", "C": "rotation"},
        ),
    ),
    unlisted=(("one cue", "one cue", "one cue"), {"A": "one cue"}, ("one cue", "full swap", "magic")),
    insight="No single control exposes all three: one cue changed, the full swap and a map that cannot amplify go together.",
    used_next="Ask of every table with an IIA for these three.",
)

EXERCISES = (LABELS, INTERCHANGE, IIA, BY_HAND, ROTATION, RANDOM, FOLLOW, ILLUSION, VOTES, FORGE, EXPOSE)
