"""What lesson 05's exercises state about the shipped networks, measured again."""

from __future__ import annotations

import pytest
import torch

from vizcourse.lessons.das import exercises as lesson
from vizcourse.lessons.das import study
from vizcourse.methods import das
from vizcourse.models import load
from vizcourse.worlds import equality, shapes


@pytest.mark.parametrize("name", lesson.FOLLOWS)
def test_the_networks_answer_as_exercise_5_7_says(name):
    conflict = shapes.cue_conflict(12, seed=5)
    wanted = {cue: shapes.CLASSES.index(label) for cue, label in lesson.CONFLICT.items()}
    chosen = [
        picture
        for picture, *said in zip(conflict.pictures, conflict.background, conflict.colour, conflict.type, strict=True)
        if [int(each) for each in said] == [wanted[cue] for cue in ("background", "colour", "type")]
    ]
    model = load(name)
    answers = [model.classes[answer] for answer in model(shapes.render(chosen, model.input_size)).argmax(1).tolist()]
    right = dict(zip(lesson.FOLLOWS, lesson.FOLLOW.right_value, strict=True))
    assert chosen and set(answers) == {right[name]}


def test_the_learners_functions_are_those_of_the_course():
    network = equality.EqualityNetwork()
    base, source = equality.sample(200, seed=4), equality.sample(200, seed=5)
    values = equality.equal(base), equality.equal(source)
    for number, variable in enumerate(equality.VARIABLES):
        labels = lesson.counterfactual_labels(*values, number)
        assert torch.equal(labels, equality.counterfactual(base, source, variable))
        site = das.Site(network, base, source, "mix")
        own, other = site.vectors[:, 0], site.vectors[:, 0] + site.differences[0][:, 0]
        frame = das.random_frame(8, 3, torch.Generator().manual_seed(number))
        torch.testing.assert_close(lesson.interchange(own, other, frame), das.interchange(own, other, frame))
        for each in (frame, network.directions[:, [number]]):
            assert float(lesson.iia(network.answer, own, other, each, labels)) == pytest.approx(
                das.score(site.hits([each], labels)).estimate
            )


def test_the_learners_loop_finds_the_planted_direction():
    network = equality.EqualityNetwork()
    base, source = equality.sample(300, seed=2), equality.sample(300, seed=3)
    site, labels = das.Site(network, base, source, "mix"), equality.counterfactual(base, source, "left")
    start = torch.randn(8, 1, generator=torch.Generator().manual_seed(0))
    found = lesson.train_rotation(
        lambda rotation: torch.nn.functional.cross_entropy(site.logits([rotation]), labels), start, steps=150
    )
    assert site.hits([found], labels).mean() > 0.99
    torch.testing.assert_close(found.norm(), torch.tensor(1.0))


def test_the_untrained_network_of_exercise_5_8_beats_its_ceiling():
    model = load("shapes-cue-colour", random=True)
    sites, labels = [], []
    for split in ("intervention", "intervention_test"):
        pairs = shapes.pairs("background", 24, split=split)
        sites.append(das.Site(model, shapes.render(pairs.base, 96), shapes.render(pairs.source, 96), "avgpool"))
        labels.append(pairs.counterfactual_labels)
    found = das.align_at(sites[0], labels[0], dim=8, steps=150, progress=False)
    held, ceiling = found.score(sites[1], labels[1]), das.full_swap(sites[1], labels[1])
    assert held.estimate > 0.9 and das.random_subspace(sites[1], labels[1], 8).estimate < 0.5
    assert ceiling.estimate == pytest.approx(1 / 3) and len(sites[1].answers.unique()) == 1


def test_other_ways_to_stay_orthonormal_are_accepted():
    """The solution is one of several: the polar factor, and PyTorch's own parametrization."""

    def polar(loss, start, steps=200, learning_rate=0.05):
        def nearest(weight):
            left, _, right = torch.linalg.svd(weight, full_matrices=False)
            return left @ right

        weight = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([weight], lr=learning_rate)
        for _ in range(steps):
            optimizer.zero_grad()
            loss(nearest(weight)).backward()
            optimizer.step()
        return nearest(weight).detach()

    def parametrized(loss, start, steps=200, learning_rate=0.05):
        layer = torch.nn.Linear(*start.shape, bias=False)
        layer.weight.data = start.T.clone()
        torch.nn.utils.parametrizations.orthogonal(layer)
        optimizer = torch.optim.Adam(layer.parameters(), lr=learning_rate)
        for _ in range(steps):
            optimizer.zero_grad()
            loss(layer.weight.T).backward()
            optimizer.step()
        return layer.weight.T.detach()

    for function in (polar, parametrized):
        assert lesson.ROTATION.verdict(function).status == "solved"


def _loop(body, *, prepare=lambda start: start.clone().requires_grad_()):
    """A learner's loop for exercise 5.5 from what stands in it: `body(weight, optimizer, loss)` gives the matrix it used."""

    def train_rotation(loss, start, steps=200, learning_rate=0.05):
        weight = prepare(start)
        optimizer = torch.optim.Adam([weight], lr=learning_rate)
        for _ in range(steps):
            body(weight, optimizer, loss)
        return torch.linalg.qr(weight).Q.detach()

    return train_rotation


def _forgets_to_clear(weight, optimizer, loss):
    loss(torch.linalg.qr(weight).Q).backward()
    optimizer.step()


def _puts_back(factor):
    """A loop that puts the weight back onto the matrices with orthonormal columns after each step."""

    def train_rotation(loss, start, steps=200, learning_rate=0.05):
        weight = factor(start.clone()).requires_grad_()
        optimizer = torch.optim.Adam([weight], lr=learning_rate)
        for _ in range(steps):
            optimizer.zero_grad()
            loss(weight).backward()
            optimizer.step()
            weight.data = factor(weight.data)
        return weight.detach()

    return train_rotation


def _polar(weight):
    left, _, right = torch.linalg.svd(weight, full_matrices=False)
    return left @ right


@pytest.mark.parametrize("factor", [lambda weight: torch.linalg.qr(weight).Q, _polar])
def test_a_weight_that_is_put_back_after_each_step_is_accepted_and_finds_the_direction(factor):
    loop = _puts_back(factor)
    assert lesson.ROTATION.verdict(loop).status == "solved"
    network = equality.EqualityNetwork()
    base, source = equality.sample(300, seed=2), equality.sample(300, seed=3)
    site, labels = das.Site(network, base, source, "mix"), equality.counterfactual(base, source, "left")
    start = torch.randn(8, 1, generator=torch.Generator().manual_seed(0))
    found = loop(lambda rotation: torch.nn.functional.cross_entropy(site.logits([rotation]), labels), start)
    assert site.hits([found], labels).mean() > 0.99


def test_a_step_with_a_closure_is_accepted():
    def train_rotation(loss, start, steps=200, learning_rate=0.05):
        weight = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([weight], lr=learning_rate)

        def closure():
            optimizer.zero_grad()
            value = loss(torch.linalg.qr(weight).Q)
            value.backward()
            return value

        for _ in range(steps):
            optimizer.step(closure)
        return torch.linalg.qr(weight).Q.detach()

    assert lesson.ROTATION.verdict(train_rotation).status == "solved"


def _steps_first(weight, optimizer, loss):
    optimizer.step()
    optimizer.zero_grad()
    loss(torch.linalg.qr(weight).Q).backward()


def _never_steps(weight, optimizer, loss):
    optimizer.zero_grad()
    loss(torch.linalg.qr(weight).Q).backward()


def _detaches(weight, optimizer, loss):
    optimizer.zero_grad()
    loss(torch.linalg.qr(weight).Q.detach()).backward()
    optimizer.step()


def _keeps_the_graph(loss, start, steps=200, learning_rate=0.05):
    weight = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([weight], lr=learning_rate)
    rotation = torch.linalg.qr(weight).Q
    for _ in range(steps):
        loss(rotation).backward(retain_graph=True)
        optimizer.step()
    return rotation.detach()


@pytest.mark.parametrize(
    ("loop", "words"),
    [
        (_loop(_forgets_to_clear), "`optimizer.zero_grad()` is missing"),
        (_loop(_never_steps), "`optimizer.step()` is missing"),
        (_loop(_steps_first), "steps before there is a gradient"),
        (_loop(_forgets_to_clear, prepare=lambda start: _polar(start).requires_grad_()), "`optimizer.zero_grad()` is missing"),
        (_loop(_detaches), "No gradient reaches the weight"),
        (_loop(_detaches, prepare=torch.clone), "No gradient reaches the weight"),
        (_keeps_the_graph, "once, before the loop"),
    ],
)
def test_a_loop_that_goes_astray_is_told_how(loop, words):
    verdict = lesson.ROTATION.verdict(loop)
    assert verdict.status == "wrong" and words in verdict.text


def test_a_line_of_a_table_can_be_forged_and_exposed():
    """Exercises 5.10 and 5.11: ordinary sources give an unused cue its IIA, and pairs in which it alone changes take it."""
    forged = study.line("background", sources="ordinary")
    assert lesson.FORGE.verdict(forged).status == "solved"
    controls = forged.controls()
    assert controls["full swap"].estimate == 1 and controls["random subspaces"].estimate < 0.5
    assert controls["the same subspace, one cue"].estimate == controls["full swap, one cue"].estimate == 0
    honest = study.line("background")
    assert lesson.FORGE.verdict(honest).mistake == "last-layer" and honest.iia.estimate == 0
    with pytest.raises(ValueError, match="'ordinary'"):
        study.line("background", sources="careless")


@pytest.mark.parametrize(
    "value",
    ["one cue, full swap, rotation", ("One cue ", "FULL SWAP", "full swap"), {"b": "full", "a": "sources", "c": "Rotation"}],
)
def test_exercise_5_11_reads_words_in_any_form(value):
    assert lesson.EXPOSE.verdict(value).status == "solved"


def test_no_rotation_moves_a_logit_further_than_the_lesson_says():
    generator = torch.Generator().manual_seed(0)
    weight, difference = torch.randn(2, 6, generator=generator)
    bound = (weight.norm() * difference.norm() + weight @ difference) / 2
    for dim in range(1, 7):
        for _ in range(50):
            frame = das.random_frame(6, dim, generator)
            assert weight @ frame @ frame.T @ difference <= bound + 1e-5
    between = torch.nn.functional.normalize(weight / weight.norm() + difference / difference.norm(), dim=0)
    torch.testing.assert_close((weight @ between) * (between @ difference), bound)


def test_cues_that_add_up_flip_at_most_three_of_six_answers():
    """Section 9's bound: three cues, from one class to another and back, none of them working against its own class."""
    generator = torch.Generator().manual_seed(0)
    pushes = torch.rand(20000, 3, generator=generator) ** 4
    margin = torch.rand(20000, generator=generator) * pushes.sum(1)  # both pictures are answered rightly
    there = (pushes > margin[:, None]).sum(1)
    back = (pushes > (pushes.sum(1) - margin)[:, None]).sum(1)
    assert (there + back).max() == 3
