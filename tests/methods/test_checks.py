"""Checks: each lets through what is right, as methods use it, and says in one sentence how to mend what is not."""

import numpy as np
import pytest
import torch
from torch import nn

from vizcourse.methods import checks

MODEL = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5)).eval()
IMAGES = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    MODEL(IMAGES)
NAN = float("nan")


def test_what_is_right_passes():
    assert checks.checked_model(MODEL) is MODEL and checks.checked_steady(MODEL) is MODEL
    assert checks.inner_layer(MODEL, "0") == checks.inner_layer(MODEL, MODEL[0]) == checks.inner_layer(MODEL, ("0", 0)) == "0"
    assert checks.checked_images(IMAGES) is IMAGES and checks.checked_images(IMAGES, MODEL) is IMAGES
    assert checks.checked_maps(IMAGES[:, 0], IMAGES).shape == (2, 6, 6)
    assert checks.checked_count(3, "steps") == checks.checked_count(np.int64(3), "steps") == 3
    assert checks.checked_count(torch.tensor(0), "steps", least=0) == 0
    assert checks.checked_number(2, "noise") == checks.checked_number(torch.tensor(2.0), "noise", most=2) == 2
    assert checks.checked_numbers(range(3), "strengths") == checks.checked_numbers(torch.arange(3.0), "strengths") == [0, 1, 2]
    assert checks.checked_choice("blur", ("mean", "blur"), "filling") == "blur"


def test_images_follow_the_model_s_precision():
    assert checks.checked_images(IMAGES.double(), MODEL).dtype == torch.float32
    assert checks.checked_images(IMAGES, nn.Linear(2, 2).half()).dtype == torch.float16
    assert checks.checked_images(IMAGES.double(), nn.ReLU()).dtype == torch.float64


@pytest.mark.parametrize("classes", [1, [1, 1], (1, 1), torch.tensor(1), torch.tensor([1, 1]), np.array([1, 1]), np.int64(1)])
def test_classes_of_any_kind_become_one_an_image(classes):
    found = checks.checked_classes(classes, 2, 5)
    assert found.tolist() == [1, 1] and found.dtype == torch.int64


def test_fillings_spread():
    assert checks.spread_like(0.5, IMAGES, "filling").shape == IMAGES.shape
    assert checks.spread_like(torch.zeros(3, 1, 1), IMAGES, "filling").shape == IMAGES.shape


def test_logits_pass_and_probabilities_do_not():
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    assert checks.not_probabilities(checks.checked_logits(logits)) is logits
    assert checks.not_probabilities(torch.ones(4, 1)) is not None  # one output is no distribution
    for precision in (torch.float16, torch.float32, torch.float64):
        with pytest.raises(ValueError, match="softmax"):
            checks.not_probabilities(logits.to(precision).softmax(1))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.dropout = 0.1


@pytest.mark.parametrize(
    "module", [nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Dropout2d(), nn.MultiheadAttention(4, 2, dropout=0.1), Attention()]
)
def test_what_answers_differently_each_time_is_refused(module):
    model = nn.Sequential(nn.Identity(), module)
    with pytest.raises(ValueError, match=r"'1' is in training mode.*model\.eval\(\)"):
        checks.checked_steady(model)
    assert checks.checked_steady(model.eval()) is model


def test_harmless_parts_may_be_in_training_mode():
    pooling = nn.Identity()
    pooling.p = 3.0  # an exponent, as in generalized mean pooling
    checks.checked_steady(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(0.0), nn.LayerNorm(3), pooling))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: checks.checked_model("resnet18"), "torch.nn.Module, not a str"),
        (lambda: checks.checked_model(lambda images: images), "torch.nn.Module"),
        (lambda: checks.inner_layer(MODEL, ""), "inside the model"),
        (lambda: checks.inner_layer(MODEL, "conv"), "has no layer"),
        (lambda: checks.checked_images(IMAGES.numpy()), "not a ndarray"),
        (lambda: checks.checked_images(IMAGES[0]), "batch of one"),
        (lambda: checks.checked_images((255 * IMAGES).byte()), "/ 255"),
        (lambda: checks.checked_images(IMAGES[:0]), "at least one"),
        (lambda: checks.checked_images(IMAGES, least=3), "at least 3"),
        (lambda: checks.checked_images(IMAGES[..., :0]), "no pixels"),
        (lambda: checks.checked_images(IMAGES * NAN), "not finite"),
        (lambda: checks.checked_pair(IMAGES, IMAGES[:1]), "one shape"),
        (lambda: checks.checked_maps(IMAGES, IMAGES), r"\(2, 6, 6\), not \(2, 3, 6, 6\)"),
        (lambda: checks.checked_maps(None, IMAGES), "not None"),
        (lambda: checks.checked_maps(IMAGES[:, 0] / 0, IMAGES), "not finite"),
        (lambda: checks.spread_like(torch.zeros(2, 2), IMAGES, "baseline"), "baseline must be .* broadcasts"),
        (lambda: checks.spread_like("grey", IMAGES, "baseline"), "not a str"),
        (lambda: checks.spread_like(NAN, IMAGES, "baseline"), "not finite"),
        (lambda: checks.checked_classes("dog", 2, 5), "not its name 'dog'"),
        (lambda: checks.checked_classes(["dog", "cat"], 2, 5), "not its name"),
        (lambda: checks.checked_classes(0.7, 2, 5), "whole number, not 0.7"),
        (lambda: checks.checked_classes(torch.rand(2, 5), 2, 5), r"argmax\(1\)"),
        (lambda: checks.checked_classes(True, 2, 5), "whole number"),
        (lambda: checks.checked_classes(None, 2, 5), "not None"),
        (lambda: checks.checked_classes(-1, 2, 5), "no class -1.* 0 to 4"),
        (lambda: checks.checked_classes([0, 5], 2, 5), "no class 5.* 0 to 4"),
        (lambda: checks.checked_classes([0, 1, 2], 2, 5), r"not \(3,\)"),
        (lambda: checks.checked_classes(1, 2, 5, each=True, name="labels"), "labels class for each of the 2"),
        (lambda: checks.checked_logits((IMAGES, IMAGES)), "returns a tuple"),
        (lambda: checks.checked_logits(IMAGES), r"\(batch, classes\)"),
        (lambda: checks.checked_count(0, "batch"), "batch must be a whole number of at least 1, not 0"),
        (lambda: checks.checked_count(-1, "batch"), "not -1"),
        (lambda: checks.checked_count(2.0, "steps"), "whole number"),
        (lambda: checks.checked_count(True, "steps"), "not True"),
        (lambda: checks.checked_count(9, "dim", most=8), "from 1 to 8"),
        (lambda: checks.checked_number(NAN, "noise"), "finite number, not nan"),
        (lambda: checks.checked_number("0.5", "noise", least=0), "at least 0, not '0.5'"),
        (lambda: checks.checked_number(0, "epsilon", above=0), "above 0"),
        (lambda: checks.checked_numbers([0, NAN], "strengths"), "finite numbers"),
        (lambda: checks.checked_numbers([], "strengths"), "at least one"),
        (lambda: checks.checked_numbers([0.5, 2], "strengths", least=0, most=1), "from 0 to 1"),
        (lambda: checks.checked_numbers(0.5, "strengths"), "finite numbers"),
        (lambda: checks.checked_choice("blurr", ("mean", "blur"), "filling"), "did you mean 'blur'"),
        (lambda: checks.checked_choice("x", ("mean", "blur"), "filling"), "choose from mean, blur"),
    ],
)
def test_bad_input_is_told_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
