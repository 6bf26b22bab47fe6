"""Exercises of lesson 06: the learner's functions are the course's methods, and other ways to write them are accepted."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn
from torch.nn import functional

from vizcourse.exercises.edits import edits
from vizcourse.lessons.concept_graph import exercises as lesson
from vizcourse.lessons.concept_graph import stored
from vizcourse.lessons.concept_graph.exercises import only_background, surviving_claims
from vizcourse.methods import concept_evaluation, concept_graph, concepts
from vizcourse.worlds import scenes
from vizcourse.worlds.scenes.vocabulary import SCENERY_PARTS


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    )
    return layers.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images():
    return torch.rand(12, 3, 9, 9, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def parts(network, images):
    """A decomposition of all pictures at the first layer."""
    maps = concepts.pointwise_feature_vectors(network, images, "1")
    found = concepts.extract_concepts(maps.permute(0, 2, 3, 1).reshape(-1, 6), 8, layer="1")
    return concepts.decompose(maps, found, penalty=0.05)


def rows(maps):
    """One picture's maps (C, h, w) as rows (h·w, C)."""
    return maps.flatten(1).T


def score_of(network, image, layer, target):
    """The score that exercises 6.5, 6.6 and 6.11 take: activations (B, P, C) -> (B,)."""
    height, width = concepts.pointwise_feature_vectors(network, image, layer).shape[2:]
    tail = concept_graph.tail_of(network, image, None, layer, None)

    def score(activations):
        points = activations.transpose(1, 2).unflatten(2, (height, width))
        return torch.cat([tail(point[None])[:, target] for point in points])

    return score


def test_vectors_and_receptive_fields_are_those_of_the_course(network, images):
    samples = concepts.sample_vectors(network, images, 2, "1")
    maps = concepts.pointwise_feature_vectors(network, images, "1")
    assert torch.equal(lesson.vectors_at(maps, samples.positions), samples.vectors)

    convolution = nn.Conv2d(3, 4, 3, bias=False).requires_grad_(False)
    image, weight = images[:1], convolution.weight
    patch = image[0, :, 2:5, 1:4]
    given = torch.einsum("ocyx,cyx->yxo", weight, patch).reshape(9, 4)
    fields = torch.zeros(9, 9, 9)
    for number in range(9):
        fields[number, 2 + number // 3, 1 + number % 3] = 1
    wanted = concepts.effective_receptive_field(nn.Sequential(convolution), image, ["0"], torch.tensor([[2, 1]]))[0]
    torch.testing.assert_close(lesson.receptive_field(given, fields), wanted)


def test_each_bisection_lowers_the_inertia(network, images):
    vectors = concepts.pointwise_feature_vectors(network, images, "1").permute(0, 2, 3, 1).reshape(-1, 6)[::7]
    labels, before = torch.zeros(len(vectors), dtype=torch.long), float("inf")
    for count in range(1, 6):
        clusters = [vectors[labels == number] for number in range(count)]
        inertia = sum(float((cluster - cluster.mean(0)).square().sum()) for cluster in clusters)
        assert inertia < before and min(map(len, clusters)) > 0
        before, labels = inertia, lesson.bisect(vectors, labels)


def test_lasso_steps_arrive_at_the_decomposition(network, images):
    maps = concepts.pointwise_feature_vectors(network, images[:1], "1")
    # Fewer concepts than channels: then there is one solution.
    found = concepts.extract_concepts(rows(maps[0]), 4, layer="1")
    wanted = concepts.decompose(maps, found, penalty=0.1, positive=False, iterations=5000).coefficients[0]
    step = 1 / float(torch.linalg.eigvalsh(found.vectors @ found.vectors.T)[-1])
    coefficients, objective = torch.zeros(maps.shape[2] * maps.shape[3], 4), []
    for _ in range(5000):
        missed = coefficients @ found.vectors - rows(maps[0])
        objective.append(float(missed.square().sum() / 2 + 0.1 * found.scale * coefficients.abs().sum()))
        coefficients = lesson.lasso_step(coefficients, rows(maps[0]), found.vectors, 0.1 * found.scale, step)
    assert all(after <= before + 1e-5 for before, after in zip(objective, objective[1:], strict=False))
    torch.testing.assert_close(coefficients, rows(wanted), atol=1e-3, rtol=0)


def test_contributions_and_completeness_are_those_of_the_course(network, images, parts):
    found = concept_graph.generalized_integrated_gradients(network, images, [3], parts, steps=16, positions=True)
    for number in (0, 5):
        score = score_of(network, images[number : number + 1], "1", 3)
        own, vectors = rows(parts.coefficients[number]), parts.concepts.vectors
        contributions = lesson.concept_contributions(score, own, vectors, steps=16)
        torch.testing.assert_close(contributions, rows(found.maps[number, 0]), atol=1e-5, rtol=1e-4)
        picture = rows(parts.reconstruction[number] + parts.residual[number])
        error = lesson.completeness_error(score, picture, own, vectors, contributions)
        torch.testing.assert_close(error, found.gap[number], atol=1e-4, rtol=0)


def test_the_area_is_that_of_the_course_over_the_concepts_that_are_present(network, images):
    image = images[:1]
    maps = concepts.pointwise_feature_vectors(network, image, "1")
    found = concepts.extract_concepts(rows(maps[0]), 12, layer="1")
    split = concepts.decompose(maps, found, penalty=0.1)
    present = split.coefficients[0].flatten(1).any(1)
    assert present.sum() < 12
    own, vectors = rows(split.coefficients[0])[:, present], found.vectors[present]
    matters = concept_graph.importance(network, image, [2], split)[0, present]
    curves = concept_evaluation.insertion_deletion(network, image, 2, split, measure="logit", fractions=int(present.sum()))
    area = lesson.insertion_area(score_of(network, image, "1", 2), own, vectors, matters.argsort(descending=True))
    torch.testing.assert_close(area, curves.insertion_auc[0])


def test_an_order_backwards_has_the_area_of_deletion(network, images, parts):
    score = score_of(network, images[:1], "1", 1)
    own, vectors = rows(parts.coefficients[0]), parts.concepts.vectors
    order = own.sum(0).argsort(descending=True)
    left = own.clone()
    scores = [score((left @ vectors)[None])]
    for concept in order:
        left[:, concept] = 0
        scores.append(score((left @ vectors)[None]))
    deletion = torch.trapezoid(torch.cat(scores), dx=1 / len(order))
    torch.testing.assert_close(lesson.insertion_area(score, own, vectors, order.flip(0)), deletion)


def test_background_concepts_are_there_to_be_found_as_exercise_6_3_says():
    right, one_object = dict.fromkeys(stored.LAYERS, 0), Counter()
    for layer, nearest in stored.nearest().items():
        seen = stored.parts()[layer][nearest]
        scenery = (seen < len(SCENERY_PARTS)).float().mean(1)
        for concept in (scenery > only_background.BACKGROUND - 1e-6).nonzero()[:, 0].tolist():
            form, share = only_background.commonest_object(layer, concept)
            right[layer] += share <= only_background.ONE_KIND
            one_object[form] += share > only_background.ONE_KIND
    assert max(right, key=right.get) == "conv3" and right["conv3"] >= 4
    assert right["inception4e"] == right["inception5b"] == 0
    assert {"bicycle", "flower"} <= set(+one_object) <= {"bicycle", "flower", "tree"}


def test_the_most_shared_concept_of_exercise_6_7_is_the_first_of_neither_class():
    table = stored.results()["shared"]
    first, second = torch.tensor(table["shares"])
    best = table["concepts"].index(lesson.SHARED.right_value)
    assert torch.minimum(first, second).argmax() == best
    assert best not in (int(first.argmax()), int(second.argmax()), int((first + second).argmax()))
    common = set(scenes.parts_of(table["classes"][0])) & set(scenes.parts_of(table["classes"][1]))
    assert stored.named(table["layer"], table["concepts"][best])[0] in common


def test_a_name_for_the_background_may_have_an_article_and_other_words_are_translated():
    def said(name, **options):
        return lesson.ONLY_BACKGROUND.verdict(only_background._browsed(name=name, **options))

    for name in ("sky", "the sky", "Some sky", " A  SKY. "):
        assert said(name).status == "solved", name
    water = said("the water", sea=0.9, sky=0.1)
    assert water.mistake == "other-word" and "calls “sea”" in water.text
    rare = said("the water", sea=0.1, sky=0.9)  # a word that is translated and yet not the commonest part
    assert rare.mistake == "other-part" and "“water” (the world calls it “sea”) it is 10%" in rare.text
    assert said("background").mistake == "other-word" and said("wheel").mistake == "object-named"
    assert set(only_background._OTHER_WORDS.values()) <= set(SCENERY_PARTS)
    assert not set(only_background._OTHER_WORDS) & set(SCENERY_PARTS)
    assert all(only_background._plain_word(name) == name for name in SCENERY_PARTS)


def test_a_browser_without_a_name_is_not_started_only_as_it_was_made():
    as_made = [("inception4b", concept, "not started") for concept in (0, 3)]
    for layer, concept, status in (*as_made, ("conv3", 52, "wrong")):
        verdict = lesson.ONLY_BACKGROUND.verdict(only_background._browsed(name=" ", layer=layer, concept=concept))
        assert verdict.status == status
    assert "not named this concept yet" in verdict.text


def test_the_shared_concept_may_be_written_as_a_text():
    assert lesson.SHARED.verdict(f" {lesson.SHARED.right_value} ").status == "solved"
    for mistake in lesson.SHARED.mistakes:
        assert lesson.SHARED.verdict(str(mistake.wrong)).mistake == mistake.name


def test_an_unknown_mistake_in_a_bisection_is_shown_an_ordinary_case():
    (ties,) = (one for one in lesson.BISECTION.case_list if torch.equal(one.args[0][0], one.args[0][1]))
    for wrong in map(lesson.BISECTION.made, lesson.BISECTION.unlisted):
        verdict = lesson.BISECTION.verdict(wrong)
        assert verdict.mistake is None and str(tuple(ties.args[0].shape)) not in verdict.text


def test_the_case_that_tells_apart_how_inertia_is_measured_and_how_often_vectors_are_given_out():
    def verdict(*changes):
        return lesson.BISECTION.verdict(lesson.BISECTION.made(edits(*changes)))

    measured, given_out = "(cluster - cluster.mean(dim=0)).square().sum()", "range(rounds)"
    assert verdict(f"{measured} -> (cluster - cluster.mean(dim=0)).norm(dim=1).sum()").mistake == "not-squared"
    assert verdict(f"{measured} -> (cluster - cluster.mean()).square().sum()").mistake == "mean-of-numbers"
    # Neither of these is a sum of distances from the mean, and both are wrong.
    for other in ("(cluster - cluster.mean(dim=0)).abs().sum()", "torch.cdist(cluster, cluster).square().sum()"):
        assert verdict(f"{measured} -> {other}").status == "wrong" and verdict(f"{measured} -> {other}").mistake is None
    # The square root has the same order.
    assert verdict(f"{measured} -> {measured}.sqrt()").status == "solved"
    assert verdict(f"{given_out} -> range(rounds + 1)").mistake == "round-too-many"
    assert verdict(f"{given_out} -> range(200)").mistake == "rounds-ignored"


def test_ratios_without_their_maps_are_not_a_matter_of_shape():
    verdict = lesson.RECEPTIVE_FIELD.verdict(lambda parts, fields: parts @ parts.sum(0) / parts.sum(0).square().sum())
    assert verdict.mistake == "ratios-only"


@pytest.mark.parametrize("wrap", [list, tuple, set, ", ".join, " and ".join, lambda letters: "".join(letters).lower()])
def test_letters_of_the_surviving_claims_may_be_written_in_many_ways(wrap):
    assert lesson.REFEREE.verdict(wrap(surviving_claims.surviving())).status == "solved"


def test_the_referee_names_a_wrong_reading_only_where_it_gives_these_letters():
    right, claims = surviving_claims.surviving(), list(surviving_claims.CLAIMS)
    assert lesson.REFEREE.verdict({letter: letter in right for letter in claims}).status == "solved"
    assert 0 < len(right) < len(claims)
    for wrong in ({"A": "yes"}, "X", 4, [], "none"):
        verdict = lesson.REFEREE.verdict(wrong)
        assert verdict.status == "wrong" and verdict.mistake is None
    for mistake in lesson.REFEREE.mistakes:
        verdict = lesson.REFEREE.verdict(mistake.wrong)
        assert verdict.mistake == mistake.name
        if mistake.name in surviving_claims._READINGS:
            assert surviving_claims._letters(mistake.wrong) == surviving_claims._READINGS[mistake.name]


def test_the_numbers_in_the_options_of_exercise_6_8_are_those_of_the_study():
    noise, purity = stored.results()["noise"], stored.results()["purity"]
    trained, untrained = noise["trained"], noise["untrained network"]
    assert all(row["gap of edges"][0] < 0.02 for name in (trained, untrained) for row in name.values() if "gap of edges" in row)
    causes = "top five causes"
    assert max(row[causes][0] for row in untrained.values() if causes in row) > 0.9 > trained["conv3"][causes][0]
    assert abs(purity["conv3"]["untrained network, 1000 pictures"]["nearest"][0] - 0.4) < 0.05
    assert trained["inception4e"]["error"][0] < 0.16 and untrained["inception4e"]["error"][0] > 0.5


# --- other right solutions, as learners write them ---------------------------------------------------------------------


def _vectors_in_a_loop(maps, positions):
    return torch.stack([maps[n, :, row, column] for n, (row, column) in enumerate(positions.tolist())])


def _vectors_gathered(maps, positions):
    flat = positions[:, 0] * maps.shape[3] + positions[:, 1]
    return maps.flatten(2).gather(2, flat[:, None, None].expand(-1, maps.shape[1], 1))[:, :, 0]


def _field_in_a_loop(parts, fields):
    whole = sum(parts)
    return sum(part.dot(whole) / whole.dot(whole) * field for part, field in zip(parts, fields, strict=True))


def _bisect_by_hand(vectors, labels, rounds=10):
    best, chosen = -1.0, None
    for number in range(labels.max() + 1):
        cluster = vectors[labels == number]
        inertia = ((cluster - cluster.mean(0)) ** 2).sum().item()
        if inertia > best:
            best, chosen = inertia, number
    index = (labels == chosen).nonzero()[:, 0]
    members = vectors[index]
    first, second = members[0], members[1]
    for _ in range(rounds):
        to_second = ((members - second) ** 2).sum(1) < ((members - first) ** 2).sum(1)
        first = members[~to_second].mean(0) if (~to_second).any() else first
        second = members[to_second].mean(0) if to_second.any() else second
    new = labels.clone()
    new[index[to_second]] = labels.max() + 1
    return new


def _lasso_by_softshrink(coefficients, activations, concepts, penalty, step):
    slope = (coefficients @ concepts - activations) @ concepts.T
    return functional.softshrink(coefficients - step * slope, step * penalty)


def _lasso_by_autograd(coefficients, activations, concepts, penalty, step):
    point = coefficients.clone().requires_grad_()
    (0.5 * (activations - point @ concepts).square().sum()).backward()
    moved = (point - step * point.grad).detach()
    return torch.where(moved > 0, (moved - step * penalty).clamp(min=0), (moved + step * penalty).clamp(max=0))


def _contributions_in_a_loop(score, coefficients, concepts, steps=32):
    total = torch.zeros_like(coefficients)
    for step in range(steps):
        point = ((step + 0.5) / steps * coefficients).detach().requires_grad_()
        score((point @ concepts)[None]).backward()
        total = total + point.grad
    return coefficients * total / steps


def _contributions_through_channels(score, coefficients, concepts, steps=32):
    alphas = torch.linspace(0.5 / steps, 1 - 0.5 / steps, steps)
    path = (alphas[:, None, None] * (coefficients @ concepts)).requires_grad_()
    gradient = torch.autograd.grad(score(path).sum(), path)[0].mean(0)
    return coefficients * (gradient @ concepts.T)


def _completeness_in_one_call(score, activations, coefficients, concepts, contributions):
    whole, nothing = score(torch.stack([coefficients @ concepts, torch.zeros_like(activations)]))
    return float(abs(contributions.sum() - (whole - nothing)) / abs(whole - nothing))


def _area_in_a_loop(score, coefficients, concepts, order):
    kept = torch.zeros_like(coefficients)
    scores = [float(score((kept @ concepts)[None]))]
    for concept in order:
        kept[:, concept] = coefficients[:, concept]
        scores.append(float(score((kept @ concepts)[None])))
    return sum((before + after) / 2 for before, after in zip(scores, scores[1:], strict=False)) / len(order)


@pytest.mark.parametrize(
    ("exercise", "other"),
    [
        (lesson.VECTORS, _vectors_in_a_loop),
        (lesson.VECTORS, _vectors_gathered),
        (lesson.RECEPTIVE_FIELD, _field_in_a_loop),
        (lesson.BISECTION, _bisect_by_hand),
        (lesson.LASSO, _lasso_by_softshrink),
        (lesson.LASSO, _lasso_by_autograd),
        (lesson.CONTRIBUTIONS, _contributions_in_a_loop),
        (lesson.CONTRIBUTIONS, _contributions_through_channels),
        (lesson.COMPLETENESS, _completeness_in_one_call),
        (lesson.INSERTION, _area_in_a_loop),
    ],
    ids=lambda value: getattr(value, "id", getattr(value, "__name__", None)),
)
def test_other_right_solutions_are_accepted(exercise, other):
    verdict = exercise.verdict(other)
    assert verdict.status == "solved", verdict
