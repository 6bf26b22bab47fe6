"""Code exercises: what a learner reads under the cell, and what the name is bound to."""

import dataclasses
import linecache
import textwrap

import numpy as np
import pytest
import torch
from torch.nn import functional

from vizcourse.exercises import attempt
from vizcourse.exercises.core import CodeExercise, ExerciseError, Mistake, Problem, expected_feedback, registered
from vizcourse.exercises.kinds import SOLVED, WRONG
from vizcourse.exercises.progress import store


def reference(toys):
    return toys["99.1"].reference


def text(said):
    return said[-1].plain


def test_right_keeps_the_learners_function(toys, said):
    @attempt("99.1")
    def max_pool(image, size=2):
        return functional.max_pool2d(image, size)

    assert max_pool is not reference(toys) and max_pool(torch.ones(1, 2, 2)).shape == (1, 1, 1)
    assert (
        text(said)
        == expected_feedback("99.1")
        == ("✓ 99.1 Max pooling: right.\n  A window keeps its strongest answer.\n  Next: 99.2 counts its windows.")
    )


def _dots(image, size=2):
    """Your turn."""
    ...


def _passes(image, size=2):
    pass  # nothing yet


def _raises(image, size=2):
    raise NotImplementedError("your turn")


def _partial(image, size=2):
    channels, height, width = image.shape
    windows = ...
    return windows.amax(dim=(2, 4))


def _partial_none(image, size=2):
    channels, height, width = image.shape
    ...


@pytest.mark.parametrize("blank", [_dots, _passes, _raises, _partial, _partial_none], ids=lambda one: one.__name__)
def test_blank_is_quiet_and_goes_on_with_the_reference(toys, said, blank):
    blank.__name__ = "max_pool"
    assert attempt("99.1")(blank) is reference(toys)
    assert text(said) == '○ 99.1 not started: going on with the reference. hint("99.1") · solution("99.1")'
    assert store().read()["exercises"] == {}


def test_what_pytorch_has_not_implemented_is_no_blank(toys, said):
    def max_pool(image, size=2):
        return (image > 0).mean()

    assert attempt("99.1")(max_pool) is reference(toys)
    assert text(said).startswith("✗ 99.1") and "Bool" in text(said)


def test_blank_without_any_source(toys, said):
    scope = {}
    exec("def max_pool(image, size=2):\n    '''Doc.'''\n    ...\ndef full(image, size=2):\n    return image", scope)
    assert attempt("99.1")(scope["max_pool"]) is reference(toys)
    assert text(said).startswith("○ 99.1")
    attempt("99.1")(scope["full"])
    assert text(said).startswith("✗ 99.1")


def test_known_mistakes_are_named_each_with_its_own_message(toys, said):
    @attempt("99.1")
    def max_pool(image, size=2):
        return functional.avg_pool2d(image, size)

    assert max_pool is reference(toys)
    assert text(said).startswith("✗ 99.1 This is the average of each window: pooling keeps the largest value.")
    assert "`max_pool` is the reference for now, so that later cells work." in text(said)
    assert store().read()["exercises"]["99.1"]["mistakes"] == {"average": 1}


def test_unknown_mistake_shows_the_smallest_failing_case(toys, said):
    @attempt("99.1")
    def max_pool(image, size=2):
        result = functional.max_pool2d(image, size)
        return result if image.shape[0] == 1 else result + 1

    lines = text(said).splitlines()
    assert "for image of shape (2, 4, 5), size = 2" in lines[0] and "plus 1, everywhere" in lines[0]
    assert any(line.startswith("    expected: shape (2, 2, 2), values [[[") for line in lines)
    assert any(line.startswith("    yours:    shape (2, 2, 2), values [[[") for line in lines)
    assert "  1 of 3 cases are right; this is the smallest that is not." in lines


def test_wrong_shape_says_both_shapes(toys, said):
    @attempt("99.1")
    def max_pool(image, size=2):
        return functional.max_pool2d(image, size)[0]

    assert "The shape is (1, 1); expected (1, 1, 1)." in text(said)


def test_none_asks_for_the_return(toys, said):
    @attempt("99.1")
    def max_pool(image, size=2):
        functional.max_pool2d(image, size)

    assert text(said).startswith("✗ 99.1 Your function returned None: is the `return` missing?")


def test_none_on_one_branch(toys, said):
    @attempt("99.1")
    def max_pool(image, size=2):
        if image.shape[0] < 3:
            return functional.max_pool2d(image, size)

    assert "returned None for image of shape (3, 7, 6), size = 3: is a `return` missing on one way" in text(said)


def test_nan_is_explained(toys, said):
    @attempt("99.1")
    def max_pool(image, size=2):
        return functional.max_pool2d(image, size) * torch.tensor(float("nan"))

    assert "NaN (not a number)" in text(said)


@pytest.mark.parametrize(
    ("make", "said_instead"),
    [
        (lambda r: r.numpy(), None),
        (lambda r: r.int(), None),
        (lambda r: r.double(), None),
        (lambda r: r.half(), None),
        (lambda r: r.clone().requires_grad_(), None),
        (lambda r: r.tolist(), None),
        (lambda r: tuple(r), None),
        (lambda r: [list(rows) for rows in r], None),
        (lambda r: [r.tolist(), [1]], "table of numbers"),
        (lambda r: [str(v) for v in r.flatten().tolist()], "table of numbers"),
        (lambda r: (row for row in r), "generator"),
        (lambda r: "text", "a text"),
        (lambda r: max, "parentheses"),
    ],
)
def test_other_types(toys, said, make, said_instead):
    def max_pool(image, size=2):
        return make(functional.max_pool2d(image, size))

    bound = attempt("99.1")(max_pool)
    if said_instead is None:
        assert text(said).startswith("✓ 99.1")
        given = bound(torch.ones(1, 2, 2))  # later cells can rely on a tensor of the usual kind
        assert isinstance(given, torch.Tensor) and given.dtype == torch.float32
    else:
        assert text(said).startswith("✗ 99.1") and said_instead in text(said)


def test_generator_function(toys, said):
    @attempt("99.1")
    def max_pool(image, size=2):
        yield functional.max_pool2d(image, size)

    assert "`yield`" in text(said)


def test_error_shows_their_line_and_words_but_no_traceback(toys, said):
    cell = textwrap.dedent("""
        @attempt("99.1")
        def max_pool(image, size=2):
            kernel_size = size
            return functional.max_pool2d(image, kernal_size)
        """)
    run_cell(cell)
    assert text(said).startswith(
        "✗ 99.1 Your code stopped at line 5 of `max_pool`: the name `kernal_size` is not "
        "defined. Did you mean `kernel_size`?"
    )
    assert "    return functional.max_pool2d(image, kernal_size)" in text(said)
    assert "Traceback" not in text(said) and "running.py" not in text(said)


def test_error_in_a_helper_and_inside_a_library(toys, said):
    run_cell("def helper(image):\n    return image.reshape(7, 7)\n")
    scope = run_cell(
        "def helper(image):\n    return image @ torch.ones(999, 1)\n\n"
        "@attempt('99.1')\ndef max_pool(image, size=2):\n    return helper(image)\n"
    )
    assert "line 2 of `helper`" in text(said) and "shapes of two tensors do not fit" in text(said)
    assert scope["max_pool"] is reference(toys)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("return image.foo", "no such attribute"),
        ("return [][3]", "outside"),
        ("return {}['a']", "no key 'a'"),
        ("return 1 / 0", "division by zero"),
        ("return max_pool(image, size)", "calls itself again and again"),
        ("import nonesuch", "`nonesuch` is not installed"),
        ("assert size == 7", "`assert` does not hold"),
        ("return 1 + 'a'", "wrong kind"),
        ("return x; x = 1", "before it has a value"),
        ("raise OSError", "OSError"),
    ],
)
def test_errors_in_words(toys, said, statement, words):
    run_cell(f"@attempt('99.1')\ndef max_pool(image, size=2):\n    {statement}\n")
    assert text(said).startswith("✗ 99.1 Your code stopped at line 3 of `max_pool`") and words in text(said)


def test_wrong_signature(toys, said):
    @attempt("99.1")
    def max_pool(image):
        return image

    assert (
        "Your function takes 1 argument (image); the exercise calls it with 2: image, size. "
        "Begin with `def max_pool(image, size=2):`."
    ) in text(said)


def test_input_changed_in_place_is_named(toys, said):
    def max_pool(image, size=2):
        result = functional.max_pool2d(image, size)
        image += 1
        return result

    attempt("99.1")(max_pool)
    assert text(said).startswith("✗ 99.1 The picture itself is written to")  # a known mistake of this exercise

    without = dataclasses.replace(toys["99.1"], mistakes=toys["99.1"].mistakes[:2])
    with registered([without]):
        attempt("99.1")(max_pool)
    assert "The result is right, but: your function changes its input `image` in place" in text(said)
    assert "image = image.clone()" in text(said)


def test_wrong_and_changed_in_place_says_both(toys, said):
    @attempt("99.1")
    def max_pool(image, size=2):
        image += 1
        return functional.max_pool2d(image, size)

    assert "The shape is right, the value is not: expected 44, yours 45." in text(said)
    assert "Your function changes its input `image` in place" in text(said)


def test_recursion_calls_the_learners_own_function_not_an_older_one(toys, said):
    scope = run_cell(
        "max_pool = lambda image, size=2: 1 / 0\n"
        "@attempt('99.1')\n"
        "def max_pool(image, size=2):\n"
        "    if len(image) > 1:\n"
        "        return torch.cat([max_pool(image[:1], size), max_pool(image[1:], size)])\n"
        "    return functional.max_pool2d(image, size)\n"
    )
    assert text(said).startswith("✓ 99.1")
    assert scope["max_pool"](torch.ones(3, 2, 2)).shape == (3, 1, 1)


def test_prints_go_through(toys, said, capsys):
    @attempt("99.1")
    def max_pool(image, size=2):
        print("shape", tuple(image.shape))
        return functional.max_pool2d(image, size)

    assert capsys.readouterr().out.splitlines() == ["shape (1, 2, 2)", "shape (2, 4, 5)", "shape (3, 7, 6)"]


def test_interrupt_goes_through_and_nothing_is_lost(toys, said):
    test_known_mistakes_are_named_each_with_its_own_message(toys, said)
    before = store().read()

    with pytest.raises(KeyboardInterrupt):

        @attempt("99.1")
        def max_pool(image, size=2):
            raise KeyboardInterrupt

    assert store().read() == before


def test_random_numbers_are_left_as_they_were(toys, said):
    torch.manual_seed(5)
    np.random.seed(5)
    wanted = torch.rand(2), np.random.rand(2)
    torch.manual_seed(5)
    np.random.seed(5)

    @attempt("99.1")
    def max_pool(image, size=2):
        return torch.rand(1) + np.random.rand()

    assert torch.equal(torch.rand(2), wanted[0]) and (np.random.rand(2) == wanted[1]).all()


def test_another_name_is_pointed_out(toys, said):
    @attempt("99.1")
    def my_pool(image, size=2):
        return functional.max_pool2d(image, size)

    assert text(said).startswith("✓") and "Later cells call it `max_pool`, and yours is `my_pool`" in text(said)


def test_function_where_a_class_is_asked_for_and_the_reverse(toys, said):
    @attempt("99.5")
    def doubler(x):
        return x

    assert "asks for a `class Doubler`" in text(said)

    @attempt("99.1")
    class MaxPool:
        pass

    assert "asks for a `def max_pool`" in text(said)


def test_classes(toys, said):
    @attempt("99.5")
    class Doubler(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 2)

        def forward(self, x):
            return 2 * self.layer(x)

    assert text(said).startswith("✓ 99.5") and Doubler is not toys["99.5"].reference


def test_blank_class_in_a_notebook_cell(toys, said):
    cell = (
        "@attempt('99.5')\nclass Doubler(torch.nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        ...\n\n    def forward(self, x):\n        ...\n"
    )
    scope = run_cell(cell)
    assert text(said).startswith("○ 99.5") and scope["Doubler"] is toys["99.5"].reference
    run_cell(
        cell.replace("        ...\n", "        self.layer = torch.nn.Linear(2, 2)\n", 1).replace(
            "        ...\n", "        return self.layer(x)\n"
        )
    )
    assert text(said).startswith("✗ 99.5 The factor is missing.")


def test_class_that_needs_its_own_name(toys, said):
    run_cell(
        "@attempt('99.5')\nclass Doubler(torch.nn.Module):\n    def __init__(self):\n"
        "        super(Doubler, self).__init__()\n        self.layer = torch.nn.Linear(2, 2)\n"
        "    def forward(self, x):\n        return 2 * self.layer(x)\n"
    )
    assert text(said).startswith("✓ 99.5")


def test_judged_code(toys, said):
    for wrong, words in (
        (lambda values: sorted(values, reverse=True), "It runs downwards."),
        (lambda values: values, "Nothing is sorted. It is the list itself."),
        (lambda values: [0], "That is not sorted."),
        (lambda values: values.nonesuch, "Your code stopped at line"),
    ):
        attempt("99.6")(wrong)
        assert text(said).startswith(f"✗ 99.6 {words}")


def test_a_judge_that_names_a_mistake_that_is_not_there(toys, said):
    broken = dataclasses.replace(toys["99.6"], judge=lambda function: Problem(mistake="nonesuch"))
    with pytest.raises(ValueError, match="names the mistake 'nonesuch', which the exercise does not list"):
        broken.verdict(lambda values: [])


def test_decorator_without_an_id():
    with pytest.raises(ExerciseError, match="Name the exercise"):
        attempt(len)


def test_unknown_exercises_name_the_closest(toys):
    with pytest.raises(ExerciseError, match=r'no exercise "99.11". Did you mean 99.1'):
        attempt("99.11")
    with pytest.raises(ExerciseError, match="put it in quotes"):
        attempt(99.1)
    with pytest.raises(ExerciseError, match='use `answer\\("99.2", …\\)`'):
        attempt("99.2")


def run_cell(cell):
    """Run text as a notebook does: compiled under a name of its own, kept in linecache, without a file."""
    name = f"<ipython-input-{abs(hash(cell))}>"
    linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
    scope = {"__name__": "__main__", "attempt": attempt, "torch": torch, "functional": functional}
    exec(compile(cell, name, "exec"), scope)
    return scope


def one_exercise(reference, cases, mistakes=(), **more):
    return CodeExercise(
        id="99.9", title="Toy", stars=1, minutes=1, hints=("a", "b"), mistakes=mistakes, insight="", used_next="",
        reference=reference, cases=cases, **more,
    )


NUMBERS = [float, lambda r: r, lambda r: r[None], lambda r: [r], lambda r: (r.item(),), lambda r: r.numpy()[None, None]]


@pytest.mark.parametrize("wanted", [float, lambda r: r], ids=["number", "tensor of no dimension"])
@pytest.mark.parametrize("make", NUMBERS)
def test_one_element_of_any_kind_counts_where_a_number_is_asked(wanted, make):
    exercise = one_exercise(lambda x: wanted(x.mean()), lambda seed: [(torch.randn(3),), (torch.randn(5),)])

    def mean(x):
        return make(x.mean())

    verdict = exercise.verdict(mean)
    assert verdict.status == SOLVED
    bound = verdict.convert(mean) if verdict.convert else mean
    assert torch.as_tensor(bound(torch.ones(2))).shape == ()  # later cells get a number
    assert exercise.verdict(lambda x: make(x.sum())).status == WRONG


def test_lists_of_tensors_keep_their_gradient_for_later_cells():
    exercise = one_exercise(lambda x: x * 2, [(torch.ones(3),)])

    def doubled(x):
        return [2 * entry for entry in x]

    x = torch.ones(3, requires_grad=True)
    exercise.verdict(doubled).convert(doubled)(x).sum().backward()
    assert torch.equal(x.grad, torch.full((3,), 2.0))


def test_only_the_shape_is_said_only_where_reshaping_mends_every_case():
    # With one row, the mean over all and the mean of each row have the same values.
    cases = [(torch.tensor([[1.0, 2.0]]),), (torch.tensor([[1.0, 2.0], [5.0, 6.0]]),)]
    exercise = one_exercise(lambda x: x.mean(1, keepdim=True), cases)
    assert "only the shape" not in exercise.verdict(lambda x: x.mean()).text
    assert "only the shape" in exercise.verdict(lambda x: x.mean(1)).text


def test_a_pattern_is_said_only_where_all_failing_cases_show_it():
    cases = [(torch.tensor([1.0, 2.0, 4.0]),), (torch.tensor([1.0, 2.0, 4.0, 7.0]),)]
    exercise = one_exercise(lambda x: x + 1, cases)
    assert "plus 3" in exercise.verdict(lambda x: x + 4).text
    assert "plus" not in exercise.verdict(lambda x: x + len(x) + 1).text  # plus 3, then plus 4


def test_a_mistake_is_named_only_where_fresh_cases_show_it_too():
    def cases(seed):
        return [(torch.ones(2) if seed == 0 else torch.tensor([1.0, 3.0]),)]

    named = Mistake("sum", "You summed.", lambda x: x.sum())
    exercise = one_exercise(lambda x: x.mean(), cases, (named,))
    assert exercise.verdict(lambda x: x[0] + x[1]).mistake == "sum"
    assert exercise.verdict(lambda x: 2 * x[0]).mistake is None  # the same in the first draw alone


@pytest.mark.parametrize(
    ("value", "advice"),
    [(torch.ones(2), "x.clone()"), (np.ones(2), "x.copy()"), ([1, 2], "copy.deepcopy(x)"), ({0: 1}, "copy.deepcopy(x)")],
    ids=["tensor", "array", "list", "dictionary"],
)
def test_the_advice_on_a_changed_input_fits_its_kind(value, advice):
    def spoils(x):
        x[0] = 5
        return 1

    assert advice in one_exercise(lambda x: 1, [(value,)]).verdict(spoils).text


def test_a_mistake_that_spoils_one_input_is_not_said_of_another():
    def spoils_x(x, y):
        x[0] = 5
        return 1

    def spoils_y(x, y):
        y[0] = 5
        return 1

    exercise = one_exercise(
        lambda x, y: 1, [(torch.ones(2), torch.ones(2))], (Mistake("x", "You write into x.", spoils_x),)
    )
    assert exercise.verdict(spoils_x).mistake == "x"
    assert exercise.verdict(spoils_y).mistake is None and "`y`" in exercise.verdict(spoils_y).text
