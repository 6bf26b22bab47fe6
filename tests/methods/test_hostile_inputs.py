"""Hostile inputs: whatever is passed to a public function, one sentence of the course's own says how to mend it.

A *row* of the table (:mod:`tests.methods.hostile_rows`) is a public function with arguments that work, on tiny networks. Each
argument has a *kind* (by its name, or as the row says), and each kind has values that must be refused
(:mod:`tests.methods.hostile`). What a function may well take (None for an optional target, say) its row names in ``takes``.
"""

from __future__ import annotations

import copy
import traceback
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import vizcourse
from tests.methods.hostile import CNN, Tiny, seeded
from tests.methods.hostile_rows import ROWS
from tests.methods.untouched import untouched

HOUSE = Path(vizcourse.__file__).parent
CASES = {f"{row.name}, {argument}: {case}": (row, argument, bad) for row in ROWS for argument, case, bad in row.hostile()}
assert len(CASES) == sum(1 for row in ROWS for _ in row.hostile()), "two rows have one name"

# ------------------------------------------------------------------------------------------------------------- the test


@contextmanager
def in_one_sentence():
    """A refusal by the course itself, and what it says is a sentence."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 (its kind is judged below)
        yield
    error = caught.value
    assert isinstance(error, ValueError), f"{type(error).__name__}: {error}"
    said = str(error)
    assert said.endswith((".", ".)", "?")) and "\n" not in said and len(said) > 20, said
    where = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    assert where.is_relative_to(HOUSE), f"{where.name} said it: {said}"


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
def test_the_row_works_as_it_stands(row):
    row.run()


@pytest.mark.parametrize("name", CASES)
def test_hostile_input_is_refused_in_one_sentence(name):
    row, argument, bad = CASES[name]
    with in_one_sentence():
        row.run(**{argument: bad})


# ----------------------------------------------------------------------------------- models that are left on, or write back


class Trap(Tiny):
    """It writes into what it is given, and in training mode it forgets statistics and leaves things out by chance."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop, self.noisy = nn.BatchNorm2d(3), nn.Dropout(0.5), False

    def forward(self, images):
        self.noisy |= self.training
        images.mul_(0.5)
        return super().forward(self.drop(self.norm(images)))


#: Mechanisms, which run a model in the mode in which it is, and training itself.
AS_IT_IS = ("hooks.", "layers.", "convolution.fit")
TRAPPED = [row for row in ROWS if any(value is CNN for value in row.arguments.values()) and not row.name.startswith(AS_IT_IS)]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in TRAPPED])
def test_a_model_left_in_training_mode_is_refused_or_run_in_eval_mode_and_no_image_is_overwritten(row):
    model = seeded(Trap).train().requires_grad_()
    images = {name: value for name, value in row.arguments.items() if isinstance(value, Tensor)}
    before = {name: value.clone() for name, value in images.items()}
    with untouched(model):
        for training in (True, False):
            changes = {name: model.train(training) for name, value in row.arguments.items() if value is CNN}
            try:
                row.run(**changes)
            except ValueError as error:
                assert training and "model.eval()" in str(error), error
            assert not model.noisy, "it ran in training mode"
        model.train()
    assert all(torch.equal(images[name], value) for name, value in before.items())


FORMS = {
    "double precision": Tensor.double,
    "half precision": Tensor.half,
    "expanded": lambda images: images[:, :1].expand_as(images),
    "channels last": lambda images: images.contiguous(memory_format=torch.channels_last),
    "asking for a gradient": lambda images: images.clone().requires_grad_(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in TRAPPED])
def test_images_may_come_in_any_form(row, form):
    images = {name: value for name, value in row.arguments.items() if isinstance(value, Tensor)}
    changes = {name: FORMS[form](value) for name, value in images.items() if value.shape[1:] == (3, 8, 8)}
    row.run(**changes)
    assert all(value.grad is None for value in changes.values())


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in TRAPPED])
def test_a_model_may_be_in_double_precision(row):
    double = copy.deepcopy(CNN).double()
    row.run(**{name: double for name, value in row.arguments.items() if value is CNN})
