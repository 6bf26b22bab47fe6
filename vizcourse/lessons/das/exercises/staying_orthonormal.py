"""5.5 Stay orthonormal."""

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from vizcourse.exercises.compare import kind
from vizcourse.exercises.core import CodeExercise, Mistake, Problem, edits
from vizcourse.lessons.das.exercises.orthonormality import off, unit
from vizcourse.methods.das import random_frame


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
        axes, spread = random_frame(size, size, generator), torch.linspace(1, 0.05, size) ** 2
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
    worst = max(given, key=off)
    if off(worst) > 1e-3:
        detail = f"At worst, an entry of RᵀR was {off(worst):.2g} from where it should be."
        kinds = {
            "lengths-only": unit(worst, 0),
            "rows": unit(worst, 1),
            "before-only": off(given[0]) < 1e-3,
            "after-only": off(found) < 1e-3,
            "free": True,
        }
        return Problem(detail, mistake=_first(kinds))
    if off(found.float()) > 1e-3:
        return Problem(mistake="raw-returned")
    if found.requires_grad:
        return Problem(mistake="attached")
    basis = torch.linalg.qr(start).Q
    if not torch.allclose(given[0] @ given[0].T, basis @ basis.T, atol=1e-3):
        return Problem(mistake="own-start")
    return _steps_problem(loss, given, steps, rate) or _end_problem(loss, given, found, steps)


def _first(kinds):
    """The name of the first mistake that holds, None where none does."""
    return next((name for name, holds in kinds.items() if holds), None)


def _steps_problem(loss, given, steps, rate):
    """What the optimizer's steps were like; nothing where a loop does without PyTorch's optimizers."""
    still = all(torch.equal(each, given[0]) for each in given)
    taken = [source for _, _, sources in loss.steps for source in sources]
    if len(given) == 1 and len(loss.steps) <= 1 and steps > 1:
        return Problem(f"With `steps={steps}`, `loss` was called once.", mistake="steps")
    if still and not (loss.backward and loss.steps):
        return Problem(mistake="no-step" if loss.backward else "no-backward")
    if not loss.steps:
        return None
    if taken[0] == "too early" and "cleared" not in taken[:3]:
        return "The optimizer steps before there is a gradient: first the loss, then its `backward()`, then `step()`."
    late = given[len(given) // 2 :]
    kinds = {
        "cleared": "cleared" in taken[:3],
        "stuck": "another tensor" in taken[:3],
        "once": still,
        "new-optimizer": len({id(optimizer) for optimizer, _, _ in loss.steps}) > 1,
        "uphill": "minus" in taken[:1] or loss.steps[0][0].param_groups[0].get("maximize"),
        "accumulated": taken[1:4] == ["sum"] * 3,
    }
    if mistake := _first(kinds):
        return Problem(mistake=mistake)
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


def _polar(weight):
    left, _, right = torch.linalg.svd(weight, full_matrices=False)
    return left @ right


ROTATION = CodeExercise(
    id="5.5",
    title="Stay orthonormal",
    stars=3,
    minutes=12,
    reference=train_rotation,
    judge=_rotation_judge,
    right_variants={
        "line 1: 200 -> 201": "the task asks for `steps`; how many by default is a matter of time",
        "line 1: 200 -> 199": "the same",
        "line 1: 0.05 -> 0.1": "the same: both rates find the subspace in this many steps",
    },
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
            edits("torch.linalg.qr(weight).Q -> weight"),
        ),
        Mistake(
            "before-only",
            "You orthonormalise once, at the start. The first step already breaks it: do it in every step.",
            edits("start.clone() -> torch.linalg.qr(start).Q", "torch.linalg.qr(weight).Q -> weight"),
        ),
        Mistake(
            "after-only",
            "You orthonormalise at the end. The matrix that was trained was another one, and the one you return was never "
            "tested: do it in every step, before the loss.",
            edits("= torch.linalg.qr(weight).Q -> = weight"),
        ),
        Mistake(
            "lengths-only",
            "Your columns have length 1, but they are not perpendicular, so what they share is swapped twice. QR does both.",
            edits("torch.linalg.qr(weight).Q -> (weight / weight.norm(dim=0))"),
        ),
        Mistake(
            "rows",
            "That is the wrong axis: it is the *columns* that must be orthonormal, m of them with d numbers each. "
            "`torch.linalg.qr(weight).Q` does that as it stands, without a transpose.",
            edits("torch.linalg.qr(weight).Q -> (weight / weight.norm(dim=1, keepdim=True))"),
        ),
        Mistake(
            "raw-returned",
            "The loss saw orthonormal matrices, but you return the raw weight. Make it orthonormal once more at the end.",
            edits("return torch.linalg.qr(weight).Q -> return weight"),
        ),
        Mistake(
            "attached",
            "What you return still hangs on the training's graph: `.detach()` it.",
            edits(".detach() ->"),
        ),
        Mistake(
            "uphill",
            "The loss rises: you go uphill. Adam *minimises* what you call `backward()` on.",
            edits("loss(rotation) -> (-loss(rotation))"),
        ),
        Mistake(
            "stuck",
            "Adam holds another tensor than the one that the loss depends on, so its steps do not reach the loss. (In "
            "the loop, `weight = …` makes a new tensor, and so do `.clone()` and `.detach()`.) Make one weight, give it to "
            "Adam, and the loss an orthonormal matrix made of it.",
            edits(
                "rotation = torch.linalg.qr(weight).Q -> weight = torch.linalg.qr(weight).Q.detach().requires_grad_()",
                "loss(rotation) -> loss(weight)",
            ),
        ),
        Mistake(
            "no-step",
            "The gradient is there, but nothing moves the weight: `optimizer.step()` is missing after `backward()`.",
            edits("optimizer.step() ->"),
        ),
        Mistake(
            "no-backward",
            "Your loop computes the loss and never its gradient: `.backward()` is missing.",
            edits(".backward() ->"),
        ),
        Mistake(
            "new-optimizer",
            "You make a new optimizer in every step, and Adam forgets each time what the earlier gradients were. Make it once, "
            "before the loop.",
            edits("optimizer.zero_grad() -> optimizer = torch.optim.Adam([weight], lr=learning_rate); optimizer.zero_grad()"),
        ),
        Mistake(
            "cleared",
            "When `optimizer.step()` comes there is no gradient: `optimizer.zero_grad()` stands between `backward()` and "
            "`step()`. Clear before `backward()`.",
            edits("optimizer.step() -> optimizer.zero_grad(); optimizer.step()"),
        ),
        Mistake(
            "accumulated",
            "The gradients of all steps pile up: `optimizer.zero_grad()` is missing before `backward()`.",
            edits("optimizer.zero_grad() ->"),
        ),
        Mistake(
            "own-start",
            "The first matrix that the loss sees does not span what `start` spans: begin at `start`, so that a search can be "
            "repeated, or begun elsewhere.",
            edits("start.clone() -> torch.randn(start.shape)"),
        ),
        Mistake(
            "steps",
            "The number of steps is not `steps`: `for _ in range(steps):`, and one step of the optimizer in each round.",
            edits("range(steps) -> range(300)"),
        ),
        Mistake(
            "one-behind",
            "You return the matrix from before the last step: what that step changed is lost. After the loop, make an "
            "orthonormal matrix of the weight once more.",
            edits("return torch.linalg.qr(weight).Q -> return rotation"),
        ),
        Mistake(
            "not-finite",
            "Your matrix became NaN. If you take the polar factor by `torch.linalg.svd`: its gradient divides by differences "
            "of singular values, and those of an orthonormal matrix are all equal. `torch.linalg.qr(weight).Q` has no such "
            "trouble.",
            edits("start.clone() -> _polar(start)", "torch.linalg.qr(weight).Q -> _polar(weight)"),
        ),
        Mistake(
            "once",
            "You make the orthonormal matrix once, before the loop, so no step of Adam reaches the loss. Make it of the weight "
            "anew in every step.",
            edits("for _ in range(steps):\n        rotation -> rotation", ".Q\n -> .Q\n    for _ in range(steps):\n"),
        ),
        Mistake(
            "no-gradient",
            "No gradient reaches the weight: give your copy of `start` a `.requires_grad_()`, and do not `.detach()` before "
            "the loss.",
            edits("rotation = torch.linalg.qr(weight).Q -> rotation = torch.linalg.qr(weight).Q.detach()"),
        ),
        Mistake(
            "learning-rate",
            "Your Adam runs with its own learning rate: pass it `lr=learning_rate`.",
            edits(", lr=learning_rate ->"),
        ),
        Mistake(
            "not-adam",
            "The optimizer is not the one asked for, `torch.optim.Adam`.",
            edits("Adam -> SGD"),
        ),
        Mistake(
            "start-spoilt",
            "The result is right, but `start` itself was trained: work on a copy, `start.clone()`.",
            edits(".clone() ->"),
        ),
    ),
    unlisted=(
        edits("torch.linalg.qr(weight).Q -> torch.linalg.qr(weight.T).Q.T"),
        edits("range(steps) -> range(0)"),
        edits("Q.detach() -> Q.tolist()"),
    ),
    insight="Two ways lead here: let Adam roam and show the loss only rotations, as PyTorch's parametrizations.orthogonal "
    "does; or put the weight back onto the rotations after each step, which Adam's memory of earlier steps makes slower.",
    used_next="With the IIA's cross-entropy as the loss, this loop *is* distributed alignment search.",
)
