"""Exercises of lesson 06, concepts and the graph between them.

Written down before the mistakes were coded, what learners of concept methods really do: exchange row and column, or let an
index meet every picture with every position; measure a share by lengths, so that what points elsewhere counts as well; split
the cluster with the most vectors, split all of them, stop after one round, or let an empty half become NaN; name a concept by
the object that stands near it; forget that the threshold is scaled by the step, or the sign; take the gradient at the end of
the way, leave out the coefficient, let alpha in twice, or attribute to channels instead of concepts; ask for the score of the
picture where the method explains the reconstruction, and forget the score of nothing; call shared what only one class uses;
delete instead of insert, put each concept in alone, read an order as ranks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

import torch

from vizcourse.exercises.core import AnswerExercise, ChoiceExercise, CodeExercise, Mistake, Problem
from vizcourse.lessons.concept_graph import study
from vizcourse.worlds import scenes
from vizcourse.worlds.scenes.vocabulary import SCENERY_PARTS

# --- 6.1 pointwise feature vectors -----------------------------------------------------------------------------------


def vectors_at(maps, positions):
    """The vector at one position of each picture: (N, C, h, w), (N, 2) -> (N, C)."""
    rows, columns = positions[:, 0], positions[:, 1]
    return maps[torch.arange(len(maps)), :, rows, columns]


def _all_by_all(maps, positions):
    return maps[:, :, positions[:, 0], positions[:, 1]]


def _reshaped(maps, positions):
    count, channels, height, width = maps.shape
    return maps.reshape(count, height, width, channels)[torch.arange(count), positions[:, 0], positions[:, 1]]


def _position_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def some(count, channels, height, width):
        # Small enough that row, column and channel can be mixed up without leaving the map.
        positions = torch.randint(min(height, width), (count, 2), generator=generator)
        positions[0] = torch.tensor([0, 1])
        return torch.randn(count, channels, height, width, generator=generator), positions

    return [
        (torch.arange(8.0).reshape(1, 2, 2, 2), torch.tensor([[0, 1]])),
        some(3, 3, 3, 4),
        some(4, 4, 4, 4),
        some(6, 5, 3, 2),
    ]


VECTORS = CodeExercise(
    id="6.1",
    title="Pointwise feature vectors",
    stars=1,
    minutes=4,
    reference=vectors_at,
    cases=_position_cases,
    hints=(
        "For one picture it is `maps[n, :, row, column]`. A loop over the pictures and `torch.stack` will do.",
        "Without a loop, index with three vectors of N numbers, the pictures' own included: "
        "`maps[torch.arange(len(maps)), :, rows, columns]`.",
    ),
    mistakes=(
        Mistake(
            "exchanged",
            "Row and column are exchanged. `positions[:, 0]` is the row, the third axis of the maps.",
            lambda maps, positions: vectors_at(maps, positions.flip(1)),
        ),
        Mistake(
            "every-picture",
            "Every picture meets every position: (N, C, N). Picture n goes with position n, so index the first axis as well: "
            "`torch.arange(len(maps))`.",
            _all_by_all,
        ),
        Mistake(
            "one-position",
            "You read all pictures at the position of the first one. Each picture has its own.",
            lambda maps, positions: vectors_at(maps, positions[:1].expand(len(maps), 2)),
        ),
        Mistake(
            "first-picture",
            "You read every position in the first picture. Position n belongs to picture n.",
            lambda maps, positions: vectors_at(maps[:1].expand_as(maps), positions),
        ),
        Mistake(
            "channel-lost",
            "The row went into the channel axis, so this is a piece of one channel's map. Leave the channels whole with `:`.",
            lambda maps, positions: maps[torch.arange(len(maps)), positions[:, 0], positions[:, 1]],
        ),
        Mistake(
            "average",
            "You average each channel over all positions. That is what the network's last layer does; it forgets *where*. "
            "Take one position.",
            lambda maps, positions: maps.mean(dim=(2, 3)),
        ),
        Mistake(
            "maximum",
            "You take each channel's largest value, wherever it is. The channels of a pointwise feature vector all stand at "
            "one position.",
            lambda maps, positions: maps.amax(dim=(2, 3)),
        ),
        Mistake(
            "reshaped",
            "`reshape` does not move an axis; it cuts the same row of numbers into other pieces. To put the channels last, use "
            "`permute(0, 2, 3, 1)`.",
            _reshaped,
        ),
        Mistake(
            "unit-length",
            "The direction is right, but you scale each vector to length one. Directions matter only later, for the concepts.",
            lambda maps, positions: torch.nn.functional.normalize(vectors_at(maps, positions), dim=1),
        ),
    ),
    unlisted=(
        lambda maps, positions: vectors_at(maps.flip(2), positions),
        lambda maps, positions: vectors_at(maps, positions).T,
        lambda maps, positions: vectors_at(maps, positions).relu(),
    ),
    insight="A channel's map says where one thing is. A pointwise feature vector says what is at one place.",
    used_next="6.2 makes clusters of such vectors, one from each picture.",
)

# --- 6.2 one bisection -----------------------------------------------------------------------------------------------


def bisect(vectors, labels, rounds=10):
    """Split the cluster with the largest inertia by 2-means: (N, C), (N,) -> (N,)."""
    count = int(labels.max()) + 1
    clusters = [vectors[labels == number] for number in range(count)]
    inertia = torch.stack([(cluster - cluster.mean(dim=0)).square().sum() for cluster in clusters])
    chosen = int(inertia.argmax())
    members = clusters[chosen]
    centres = members[:2].clone()
    for _ in range(rounds):
        half = torch.cdist(members, centres).argmin(dim=1)
        for side in (0, 1):
            if (half == side).any():
                centres[side] = members[half == side].mean(dim=0)
    result = labels.clone()
    result[labels == chosen] = torch.where(half == 0, chosen, count)
    return result


def _total_inertia(cluster, vectors):
    return (cluster - cluster.mean(0)).square().sum()


def _two_means(members, starts, rounds):
    centres = starts.clone()
    for _ in range(rounds):
        half = torch.cdist(members, centres).argmin(1)
        for side in (0, 1):
            if (half == side).any():
                centres[side] = members[half == side].mean(0)
    return half


def _bisect(size=_total_inertia, split=_two_means):
    """A wrong solution, from what it splits by or from how it splits."""

    def bisect(vectors, labels, rounds=10):
        count = int(labels.max()) + 1
        sizes = [float(size(vectors[labels == number], vectors)) for number in range(count)]
        chosen = sizes.index(max(sizes))
        members = vectors[labels == chosen]
        result = labels.clone()
        result[labels == chosen] = torch.where(split(members, members[:2], rounds) == 0, chosen, count)
        return result

    return bisect


def _with_empty_halves(members, starts, rounds):
    centres = starts.clone()
    for _ in range(rounds):
        half = torch.cdist(members, centres).argmin(1)
        centres = torch.stack([members[half == side].mean(0) for side in (0, 1)])
    return half


def _halved(to_second, keep=True):
    """2-means, from a rule: which distances to the two centres put a vector in the second half."""

    def split(members, starts, rounds):
        first, second = starts
        for _ in range(rounds):
            half = to_second((members - first).norm(dim=1), (members - second).norm(dim=1))
            first = members[~half].mean(0) if not keep or (~half).any() else first
            second = members[half].mean(0) if not keep or half.any() else second
        return half.long()

    return split


def _by_cosine(members, starts, rounds):
    centres = starts.clone()
    for _ in range(rounds):
        half = torch.cosine_similarity(members[:, None], centres[None], dim=2).argmax(1)
        for side in (0, 1):
            if (half == side).any():
                centres[side] = members[half == side].mean(0)
    return half


def _by_angle(members, starts, rounds):
    unit = torch.nn.functional.normalize(members, dim=1)
    return _two_means(unit, unit[:2], rounds)


def _of_everything(vectors, labels, rounds=10):
    half = _two_means(vectors, vectors[:2], rounds)
    return torch.where(half == 0, labels, int(labels.max()) + 1)


def _fresh(vectors, labels, rounds=10):
    return (bisect(vectors, labels, rounds) > labels.max()).long()


def _members_only(vectors, labels, rounds=10):
    after, count = bisect(vectors, labels, rounds), int(labels.max()) + 1
    sizes = [float(_total_inertia(vectors[labels == number], vectors)) for number in range(count)]
    return after[labels == sizes.index(max(sizes))]


def _labels_spoilt(vectors, labels, rounds=10):
    labels[:] = bisect(vectors, labels, rounds)
    return labels


def _halves_exchanged(vectors, labels, rounds=10):
    after, count = bisect(vectors, labels, rounds), int(labels.max()) + 1
    (chosen,) = set(labels[after == count].tolist())
    return torch.where(after == count, chosen, torch.where(after == chosen, count, after))


def _bisection_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def clouds(*sizes, dim=3, spread=0.4):
        centres = 3 * torch.randn(len(sizes), dim, generator=generator)
        noise = [spread * torch.randn(size, dim, generator=generator) for size in sizes]
        vectors = torch.cat([centre + each for centre, each in zip(centres, noise, strict=True)])
        return vectors[torch.randperm(len(vectors), generator=generator)]

    def zeros(count):
        return torch.zeros(count, dtype=torch.long)

    first = clouds(6, 5, 7)
    cases = [
        # Shown first, as the smallest: no ties, and it matters where the centres start.
        (torch.tensor([[1.0], [0.0], [9.0], [2.2]]), zeros(4)),
        # The two starting centres are one and the same: at first all are ties, and one of the halves is empty. Of many
        # vectors, so that other mistakes are shown in an ordinary case.
        (
            torch.cat(
                [
                    torch.tensor([[2.0, 2.0], [2.0, 2.0], [0.0, 1.0], [1.0, 1.0], [6.0, 5.0]]),
                    torch.tensor([2.0, 1.0]) + torch.randn(15, 2, generator=generator),
                ]
            ),
            zeros(20),
        ),
        # Many vectors close together, and a few far apart.
        (
            torch.cat([0.3 * torch.randn(9, 2, generator=generator), torch.tensor([[8.0, 8.0], [12.0, 1.0], [11.0, 0.0]])]),
            torch.tensor([0] * 9 + [1] * 3),
        ),
        (
            # Two vectors far apart (largest on average) and eight with the larger sum.
            torch.cat([torch.tensor([[10.0, 0.0], [14.0, 0.0]]), torch.randn(8, 2, generator=generator)]),
            torch.tensor([0, 0] + [1] * 8),
        ),
        (
            # The pair in the middle is widest on average, the four on the right are furthest from the mean of all.
            torch.cat(
                [
                    torch.tensor([[0.0, 2.0], [0.0, -2.0]]),
                    torch.tensor([-6.0, 0.0]) + torch.randn(8, 2, generator=generator),
                    torch.tensor([20.0, 0.0]) + 0.3 * torch.randn(4, 2, generator=generator),
                ]
            ),
            torch.tensor([0] * 2 + [1] * 8 + [2] * 4),
        ),
        # The centres have a long way to go; and with few rounds they are still on it when the labels are asked for.
        (torch.linspace(0, 1, 24)[:, None] ** 1.3, zeros(24)),
        (torch.linspace(0, 1, 30)[:, None] ** 1.3, zeros(30), 3),
        (torch.linspace(1, 0, 32)[:, None] ** 1.7, zeros(32), 2),
        # One vector far out, whose squared distance outweighs all, and many whose plain distances add up to more. In the second
        # of these, distances between pairs or along the axes would choose rightly; and a far pair tells a mean over all numbers
        # of a cluster from the mean of all vectors.
        (
            torch.cat(
                [
                    torch.tensor([[0.0, 0.0], [0.2, 0.0], [0.0, 9.0]]),
                    30 + torch.rand(14, 2, generator=generator).sub(0.5).sign(),
                ]
            ),
            torch.tensor([0] * 3 + [1] * 14),
        ),
        (
            torch.cat(
                [
                    torch.tensor([[0.0, 0.0], [0.2, 0.0], [8.5, 8.5], [80.0, 80.0], [80.3, 80.0]]),
                    30 + 2.05 * torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]] * 2),
                ]
            )
            + 0.01 * torch.rand(13, 2, generator=generator),
            torch.tensor([0] * 3 + [2] * 2 + [1] * 8),
        ),
        (first, zeros(len(first))),
    ]
    second = clouds(8, 3, 9, 4, dim=5)
    return [*cases, (second, bisect(second, bisect(second, zeros(len(second)))))]


BISECTION = CodeExercise(
    id="6.2",
    title="One bisection",
    stars=3,
    minutes=10,
    reference=bisect,
    cases=_bisection_cases,
    hints=(
        "First the inertias, in a loop over the clusters: `cluster = vectors[labels == number]`, then "
        "`(cluster - cluster.mean(dim=0)).square().sum()`. `argmax` says which to split.",
        "For the 2-means: `half = torch.cdist(members, centres).argmin(dim=1)` says 0 or 1 for each of its vectors. Then "
        "`centres[side] = members[half == side].mean(dim=0)`, where there are any.",
        "At the end: `result = labels.clone()`, and `result[labels == chosen] = torch.where(half == 0, chosen, count)`.",
    ),
    mistakes=(
        Mistake(
            "most-vectors",
            "You split the cluster with the most vectors. Many vectors close together make a good cluster; split the one "
            "that is least tight, by its inertia.",
            _bisect(size=lambda cluster, vectors: len(cluster)),
        ),
        Mistake(
            "mean-distance",
            "You choose by the *mean* squared distance. Inertia is the sum: a large cluster weighs more than a pair.",
            _bisect(size=lambda cluster, vectors: _total_inertia(cluster, vectors) / len(cluster)),
        ),
        Mistake(
            "not-squared",
            "You add up the distances themselves. Inertia is the sum of the *squared* distances: one vector far out weighs "
            "more than many near ones.",
            _bisect(size=lambda cluster, vectors: (cluster - cluster.mean(0)).norm(dim=1).sum()),
        ),
        Mistake(
            "whole-mean",
            "You measure the distances from the mean of *all* vectors. The inertia of a cluster is about its own mean.",
            _bisect(size=lambda cluster, vectors: (cluster - vectors.mean(0)).square().sum()),
        ),
        Mistake(
            "mean-of-numbers",
            "`mean()` without `dim=0` is one number, the mean of all numbers of the cluster. The mean of its vectors is a "
            "vector.",
            _bisect(size=lambda cluster, vectors: (cluster - cluster.mean()).square().sum()),
        ),
        Mistake(
            "tightest",
            "You split the cluster with the *smallest* inertia, which needs it least.",
            _bisect(size=lambda cluster, vectors: -_total_inertia(cluster, vectors)),
        ),
        Mistake(
            "first-cluster",
            "You always split cluster 0. Split the one with the largest inertia.",
            _bisect(size=lambda cluster, vectors: 1.0),
        ),
        Mistake(
            "last-cluster",
            "You always split the newest cluster. Split the one with the largest inertia.",
            lambda vectors, labels, rounds=10: _split_number(vectors, labels, rounds, int(labels.max())),
        ),
        Mistake(
            "everything",
            "Your 2-means runs over all vectors. Only those of the chosen cluster are split; the others keep their numbers.",
            _of_everything,
        ),
        Mistake(
            "one-round",
            "The centres never move, or only once: each vector goes to the nearer of the two that came first. Repeat `rounds` "
            "times: label, then move the centres.",
            _bisect(split=lambda members, starts, rounds: _two_means(members, starts, 1)),
        ),
        Mistake(
            "round-too-many",
            "You give the vectors out once more than `rounds` says (after the last move of the centres, or in one round more). "
            "What counts is the centre to which a vector was given in the last round.",
            _bisect(split=lambda members, starts, rounds: _two_means(members, starts, rounds + 1)),
        ),
        Mistake(
            "round-too-few",
            "You repeat once less than `rounds` says.",
            _bisect(split=lambda members, starts, rounds: _two_means(members, starts, max(1, rounds - 1))),
        ),
        Mistake(
            "rounds-ignored",
            "`rounds` has no effect: you always repeat ten times, or until nothing changes any more.",
            _bisect(split=lambda members, starts, rounds: _two_means(members, starts, 10)),
        ),
        Mistake(
            "empty-half",
            "Where a centre is given no vector, your mean is that of nothing: NaN, and from then on every distance to it. "
            "Leave such a centre where it is.",
            _bisect(split=_with_empty_halves),
        ),
        Mistake(
            "empty-second",
            "The second centre becomes NaN where it is given no vector, and as nothing is nearer than NaN, the cluster stays "
            "whole. Move a centre only where it has vectors.",
            _bisect(split=_halved(lambda first, second: second < first, keep=False)),
        ),
        Mistake(
            "ties-to-second",
            "Where both centres are as near, you give the vector to the second. It goes to the first: `<`, not `<=`.",
            _bisect(split=_halved(lambda first, second: second <= first)),
        ),
        Mistake(
            "first-and-last",
            "Your centres start at the first and the *last* vector of the cluster. They start at its first two.",
            _bisect(split=lambda members, starts, rounds: _two_means(members, members[[0, -1]], rounds)),
        ),
        Mistake(
            "cosine",
            "You compare by the cosine, so that a vector's length does not matter. In this step it does: the distance is "
            "Euclidean.",
            _bisect(split=_by_cosine),
        ),
        Mistake(
            "angle",
            "You compare directions: the vectors are scaled to length one before the split. The distance here is Euclidean.",
            _bisect(split=_by_angle),
        ),
        Mistake(
            "exchanged",
            "The halves are exchanged: the vectors of the *first* centre keep the number, those of the second get the new one.",
            _halves_exchanged,
        ),
        Mistake(
            "only-halves",
            "You return 1 for the new half and 0 for all others. Every vector keeps the number of its cluster, but those of "
            "the new half.",
            _fresh,
        ),
        Mistake(
            "members-only",
            "You return the labels of the cluster that was split. Put them back among the others: one label for each vector.",
            _members_only,
        ),
        Mistake(
            "labels-spoilt",
            "The result is right, but your function writes into `labels`: start with `labels.clone()`.",
            _labels_spoilt,
        ),
    ),
    unlisted=(
        _bisect(split=lambda members, starts, rounds: _two_means(members, members[[-2, -1]], rounds)),
        _bisect(split=lambda members, starts, rounds: (members[:, 0] > members[:, 0].mean()).long()),
        lambda vectors, labels, rounds=10: bisect(vectors, labels, rounds) + 1,
    ),
    insight="Split the least tight cluster, again and again: dense regions get many concepts, and no vector is ever left out.",
    used_next="Seven splits make eight concepts of one layer. Look at what they are.",
)


def _split_number(vectors, labels, rounds, chosen):
    members = vectors[labels == chosen]
    result = labels.clone()
    if len(members) > 1:
        half = _two_means(members, members[:2], rounds)
        result[labels == chosen] = torch.where(half == 0, chosen, int(labels.max()) + 1)
    return result


# --- 6.3 only background (in the widget) -----------------------------------------------------------------------------

#: From which share of its nearest vectors that have seen scenery most of all a concept counts as background, and up to which
#: share of them may be from pictures of one kind of object.
BACKGROUND, ONE_KIND = 0.75, 0.5


def commonest_object(layer, concept):
    """The object that most pictures of a stored concept's nearest vectors show, and their share: a drawing, of any colour."""
    shown = Counter(scenes.FORM[scenes.CLASSES[number]] for number in study.classes(study.nearest()[layer][concept]).tolist())
    ((form, count),) = shown.most_common(1)
    return form, count / shown.total()


#: What people say instead of the world's word for a part of its scenery.
_OTHER_WORDS = {
    **dict.fromkeys(("skies", "heaven"), "sky"),
    **dict.fromkeys(("water", "ocean", "lake", "river", "waves", "wave"), "sea"),
    **dict.fromkeys(("street", "asphalt", "tarmac", "pavement"), "road"),
    **dict.fromkeys(("beach", "desert"), "sand"),
    **dict.fromkeys(("lawn", "meadow", "field"), "grass"),
    **dict.fromkeys(("wall", "interior", "wallpaper"), "interior wall"),
    **dict.fromkeys(("carpet",), "rug"),
    **dict.fromkeys(("ground", "wooden floor", "floorboards"), "floor"),
    **dict.fromkeys(("curb",), "kerb"),
    **dict.fromkeys(("house", "houses", "skyscraper", "skyscrapers", "high-rise"), "building"),
    **dict.fromkeys(("fir", "fir tree", "pine", "pine tree"), "conifer"),
}


def _plain_word(name):
    """A name as the world writes its words: small letters, no article, no full stop, one cloud for many."""
    words = str(name).casefold().replace("_", " ").strip(" .,!?\"'“”").split()
    while len(words) > 1 and words[0] in ("the", "a", "an", "some", "only", "just", "mostly", "background"):
        words = words[1:]
    said = " ".join(words)
    if said in SCENERY_PARTS or not {"no", "not", "without"}.isdisjoint(words):
        return said
    if said.endswith("s") and said[:-1] in SCENERY_PARTS:
        return said[:-1]
    # "blue sky": one of the world's words among others, where none of its words for objects stands beside it.
    inside = [part for part in scenes.PARTS if f" {part} " in f" {said} "]
    inside = [part for part in inside if not any(part != other and part in other for other in inside)]
    return inside[0] if len(inside) == 1 and inside[0] in SCENERY_PARTS and said not in scenes.SCENES else said


def _background_judge(value):
    if not isinstance(value, Mapping) or not {"layer", "concept", "name", "parts"} <= set(value):
        return 'Pass the widget itself: `answer("6.3", browser)`.'
    said = _plain_word(value["name"])
    if not said:
        return "You have not named this concept yet: type a name in the browser, press Enter, and run the cell again."
    scenery = {part: float(share) for part, share in value["parts"].items() if part in SCENERY_PARTS}
    outside = sum(scenery.values())
    where = f"Concept {value['concept']} of {value['layer']}: {outside:.0%} scenery."
    if outside < BACKGROUND - 1e-6:
        return Problem(where, mistake="objects" if outside < 0.5 else "mixed")
    form, share = commonest_object(value["layer"], value["concept"])
    if share > ONE_KIND:
        return Problem(f"Here: {form}, in {share:.0%} of the pictures.", mistake="one-object")
    meant = _OTHER_WORDS.get(said, said)
    if meant in SCENERY_PARTS:
        if scenery.get(meant, 0.0) < max(scenery.values()) - 1e-6:
            word = f"“{said}”" if said == meant else f"“{said}” (the world calls it “{meant}”)"
            return Problem(f"For {word} it is {scenery.get(meant, 0.0):.0%}.", mistake="other-part")
        if said == meant:
            return None
        return Problem(f"What you call “{said}”, the world calls “{meant}”.", mistake="other-word")
    if said in scenes.SCENES:
        return Problem(mistake="scene")
    if said in (*scenes.PARTS, *scenes.OBJECTS) and said != "background":
        return Problem(mistake="object-named")
    return Problem(f"Its words are: {', '.join(SCENERY_PARTS)}.", mistake="other-word")


def _as_it_was_made(value):
    """The browser as the notebook makes it, at concept 3 of the layer that it opens with, or new; nothing typed."""
    if not isinstance(value, Mapping) or str(value.get("name", "?")).strip():
        return False
    return value.get("layer") == study.LAYERS[len(study.LAYERS) // 2] and value.get("concept") in (0, 3)


def _browsed(name="sky", layer="conv3", concept=52, **parts):
    shares = {part.replace("_", " "): share for part, share in (parts or {"sky": 0.6, "cloud": 0.3, "wing": 0.1}).items()}
    return {"layer": layer, "concept": concept, "name": name, "parts": shares}


def _background(kind):
    def predicate(value):
        verdict = _background_judge(value)
        return isinstance(verdict, Problem) and verdict.mistake == kind

    return predicate


ONLY_BACKGROUND = AnswerExercise(
    id="6.3",
    title="Only background",
    stars=2,
    minutes=7,
    judge=_background_judge,
    blank=_as_it_was_made,
    setup_source="""from vizcourse.lessons.concept_graph.widgets import ConceptBrowser, scenes_atlas
browser = ConceptBrowser(scenes_atlas())""",
    solution_source="""# In the browser you look; this looks through all concepts of all layers.
from collections import Counter
from vizcourse.lessons.concept_graph import study
from vizcourse.worlds.scenes.vocabulary import CLASSES, FORM, SCENERY_PARTS
found = []
for layer, nearest in study.nearest().items():
    for number, pictures in enumerate(nearest):
        objects = Counter(FORM[CLASSES[each]] for each in study.classes(pictures).tolist())
        scenery = [part for part in browser.atlas.parts_of(layer, number) if part.name in SCENERY_PARTS]
        if scenery and max(objects.values()) <= 10:
            found.append((sum(part.share for part in scenery), layer, number, scenery[0].name))
share, layer, number, name = max(found)
browser.set(layer=layer, concept=number, name=name)
answer("6.3", browser)""",
    hints=(
        "The frames tell, not the whole patches: look for a concept whose frames hold next to nothing of an object. Once it "
        "has a name, any name, the browser says what its vectors have seen.",
        "What stands around the frames? If it is the same object in all of the patches, the concept is about that object: a "
        "bicycle is mostly what one sees through it.",
        "`conv3` has the most of them. Look for patches of one even colour, or for a horizon.",
    ),
    mistakes=(
        Mistake(
            "objects",
            "Most of this concept's vectors have seen objects.",
            _background("objects"),
            example=_browsed(name="road", wheel=0.6, bumper=0.2, road=0.2),
        ),
        Mistake(
            "mixed",
            "Many of this concept's vectors have mostly seen scenery, the others an object. Asked for is one with scenery for "
            "15 or more of the 20, which is 75 %.",
            _background("mixed"),
            example=_browsed(name="road", road=0.55, sand=0.1, wheel=0.35),
        ),
        Mistake(
            "one-object",
            "By the labels, what its vectors have seen is scenery; and yet most of the pictures show one and the same object. "
            "A bicycle, a flower or a tree leaves much open, and what shows through is labelled as scenery. The concept is "
            "about the object: the labels' name for it, however convincing, is wrong.",
            _background("one-object"),
            example=_browsed(name="sand", layer="inception4b", concept=35, sand=0.6, road=0.35, wheel=0.05),
        ),
        Mistake(
            "object-named",
            "It is background, and you name it after an object, or a part of one. Its vectors have mostly seen scenery: which "
            "part of it?",
            _background("object-named"),
            example=_browsed(name="sailing boat"),
        ),
        Mistake(
            "scene",
            "It is background, and you give it the name of a whole scene. It points at one part of it: which?",
            _background("scene"),
            example=_browsed(name="night city"),
        ),
        Mistake(
            "other-part",
            "It is background, but more of its vectors have seen another part of the scenery than you say.",
            _background("other-part"),
            example=_browsed(name="cloud"),
        ),
        Mistake(
            "other-word",
            "It is background. Now call it by the word that the world has for that part of its scenery.",
            _background("other-word"),
            example=_browsed(name="blue"),
        ),
    ),
    unlisted=(
        "sky",
        3,
        {"layer": "inception4b", "concept": 3},
        {"layer": "inception4b", "concept": 3, "name": "sky"},
        _browsed(name=""),  # moved, and not named
    ),
    insight="The last two layers have none: what the labels call scenery there is seen through a bicycle, flower or tree.",
    used_next="The next figure counts how pure concepts are, by part and by object.",
)

# --- 6.4 one step of the Lasso ---------------------------------------------------------------------------------------


def lasso_step(coefficients, activations, concepts, penalty, step):
    """One proximal gradient step: (P, K), (P, C), (K, C) and two numbers -> (P, K)."""
    slope = (coefficients @ concepts - activations) @ concepts.T
    moved = coefficients - step * slope
    return moved.sign() * (moved.abs() - step * penalty).clamp_min(0)


def _moved(coefficients, activations, concepts, step):
    return coefficients - step * (coefficients @ concepts - activations) @ concepts.T


def _soft(values, threshold):
    return values.sign() * (values.abs() - threshold).clamp_min(0)


def _stepped(shrink):
    """A wrong solution, from what it does after the step down the slope."""

    def lasso_step(coefficients, activations, concepts, penalty, step):
        return shrink(_moved(coefficients, activations, concepts, step), step * penalty)

    return lasso_step


def _shrunk_first(coefficients, activations, concepts, penalty, step):
    return _moved(_soft(coefficients, step * penalty), activations, concepts, step)


def _lasso_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def some(count, size, channels, penalty, step):
        concepts = torch.nn.functional.normalize(torch.randn(size, channels, generator=generator), dim=1)
        coefficients, activations = (torch.randn(count, each, generator=generator) for each in (size, channels))
        return coefficients, activations, concepts, penalty, step

    return [
        (torch.zeros(1, 2), torch.tensor([[3.0, -2.0]]), torch.eye(2), 1.0, 0.5),
        (torch.tensor([[1.0, 0.1]]), torch.tensor([[-1.0, 0.2]]), torch.eye(2), 0.5, 0.25),
        some(3, 4, 2, 0.8, 0.3),
        some(6, 3, 5, 1.5, 0.4),
        some(5, 5, 5, 1.0, 0.2),
    ]


LASSO = CodeExercise(
    id="6.4",
    title="One step of the Lasso",
    stars=2,
    minutes=7,
    reference=lasso_step,
    cases=_lasso_cases,
    hints=(
        "`coefficients @ concepts` is the reconstruction, (P, C). What it misses, `… - activations`, goes back to the concepts "
        "by `@ concepts.T`: that is the slope, (P, K).",
        "The soft threshold of `moved` at `t`: `moved.sign() * (moved.abs() - t).clamp_min(0)`. What is t here?",
    ),
    mistakes=(
        Mistake(
            "no-threshold",
            "This is least squares: you go down the slope and leave out the threshold. Nothing ever becomes zero.",
            _stepped(lambda moved, threshold: moved),
        ),
        Mistake(
            "only-threshold",
            "You draw the coefficients to zero without a step down the slope first. Threshold what `U - step * slope` gives.",
            lambda coefficients, activations, concepts, penalty, step: _soft(coefficients, step * penalty),
        ),
        Mistake(
            "penalty-unscaled",
            "Your threshold is λ. A step of length η also draws only η·λ: a shorter step has a smaller threshold.",
            lambda coefficients, activations, concepts, penalty, step: _soft(
                _moved(coefficients, activations, concepts, step), penalty
            ),
        ),
        Mistake(
            "step-only",
            "Your threshold is η, and `penalty` has no effect. It is η·λ.",
            lambda coefficients, activations, concepts, penalty, step: _soft(
                _moved(coefficients, activations, concepts, step), step
            ),
        ),
        Mistake(
            "positive",
            "You keep positive coefficients only. That is the non-negative Lasso, which the course uses later; the paper's "
            "has coefficients of either sign, and here it is asked for.",
            _stepped(lambda moved, threshold: (moved - threshold).clamp_min(0)),
        ),
        Mistake(
            "hard",
            "This is the *hard* threshold: the small ones go to zero and the others stay. The soft one draws all of them "
            "towards zero by the threshold.",
            _stepped(lambda moved, threshold: torch.where(moved.abs() > threshold, moved, 0.0)),
        ),
        Mistake(
            "sign-lost",
            "The sizes are right and the signs are lost: multiply by `moved.sign()`.",
            _stepped(lambda moved, threshold: (moved.abs() - threshold).clamp_min(0)),
        ),
        Mistake(
            "passes-zero",
            "Small coefficients pass zero and come out with the other sign. Those become exactly zero: `clamp_min(0)` before "
            "the sign.",
            _stepped(lambda moved, threshold: moved - threshold * moved.sign()),
        ),
        Mistake(
            "uphill",
            "You go *up* the slope. The step is `U - step * slope`, and the slope is (reconstruction − activations) Vᵀ.",
            lambda coefficients, activations, concepts, penalty, step: _soft(
                _moved(coefficients, activations, concepts, -step), step * penalty
            ),
        ),
        Mistake(
            "twice",
            "Your slope is twice as large. With the ½ before the square, its derivative has no 2.",
            lambda coefficients, activations, concepts, penalty, step: _soft(
                _moved(coefficients, activations, concepts, 2 * step), step * penalty
            ),
        ),
        Mistake(
            "order",
            "You threshold before the step. After it the zeros are gone again: step first, then threshold.",
            _shrunk_first,
        ),
        Mistake(
            "subgradient",
            "You add λ·sign(U) to the slope and take an ordinary step. That never makes a coefficient exactly zero; the soft "
            "threshold does.",
            lambda coefficients, activations, concepts, penalty, step: (
                _moved(coefficients, activations, concepts, step) - step * penalty * coefficients.sign()
            ),
        ),
        Mistake(
            "in-place",
            "The result is right, but `coefficients` is overwritten (`-=` works in place). Make a new tensor.",
            lambda coefficients, activations, concepts, penalty, step: _overwritten(
                coefficients, lasso_step(coefficients, activations, concepts, penalty, step)
            ),
        ),
    ),
    unlisted=(
        _stepped(lambda moved, threshold: _soft(moved, threshold / 2)),
        lambda coefficients, activations, concepts, penalty, step: _soft(
            coefficients - step * (coefficients @ concepts - activations) @ concepts.T / activations.numel(), step * penalty
        ),
        _stepped(lambda moved, threshold: _soft(moved, threshold).clamp(-1, 1)),
    ),
    insight="The soft threshold is where sparseness comes from: every coefficient pays λ, and those not worth it are zero.",
    used_next="A few hundred such steps are the decomposition that everything below stands on.",
)


def _overwritten(target, values):
    target[:] = values
    return target


# --- 6.5 generalized integrated gradients ----------------------------------------------------------------------------


class _Score:
    """The rest of a network: activations (B, P, C) -> scores (B,), bent everywhere and not zero at zero."""

    def __init__(self, channels, seed, hidden=6):
        generator = torch.Generator().manual_seed(seed)
        self.first, self.shift = (torch.randn(*each, generator=generator) for each in ((channels, hidden), (hidden,)))
        self.second, self.third = (torch.randn(*each, generator=generator) for each in ((hidden, hidden), (hidden,)))

    def __call__(self, activations):
        _check_batch(activations)
        hidden = torch.nn.functional.gelu(activations @ self.first + self.shift).mean(dim=1)
        return (hidden @ self.second).tanh() @ self.third + 0.7

    def __repr__(self):
        return "a small network from activations (B, P, C) to scores (B,)"


class _Square:
    """The sum of squares, plus one."""

    def __call__(self, activations):
        _check_batch(activations)
        return activations.square().sum(dim=(1, 2)) + 1

    def __repr__(self):
        return "the sum of the squared activations, plus 1"


def _check_batch(activations):
    if activations.ndim != 3:
        raise ValueError(
            f"`score` takes activations (B, P, C), and these are {tuple(activations.shape)}: for one point, add the first "
            "axis with `[None]`"
        )


def concept_contributions(score, coefficients, concepts, steps=32):
    """Generalized integrated gradients from zero, by the midpoint rule: (P, K), (K, C) -> (P, K)."""
    alphas = (torch.arange(steps) + 0.5) / steps
    path = (alphas[:, None, None] * coefficients).requires_grad_()
    (gradients,) = torch.autograd.grad(score(path @ concepts).sum(), path)
    return coefficients * gradients.mean(dim=0)


def _midpoints(steps):
    return (torch.arange(steps) + 0.5) / steps


def _gradients(score, coefficients, concepts, alphas):
    """Gradients at points of the path: (S, P, K)."""
    path = (alphas[:, None, None] * coefficients).requires_grad_()
    return torch.autograd.grad(score(path @ concepts).sum(), path)[0]


def _rule(alphas):
    """A wrong solution, from the points on the path that it takes."""

    def concept_contributions(score, coefficients, concepts, steps=32):
        return coefficients * _gradients(score, coefficients, concepts, alphas(steps)).mean(0)

    return concept_contributions


def _made_of(combine):
    """A wrong solution, from what it makes of coefficients and gradients at the right points."""

    def concept_contributions(score, coefficients, concepts, steps=32):
        return combine(coefficients, _gradients(score, coefficients, concepts, _midpoints(steps)))

    return concept_contributions


def _channels(score, coefficients, concepts, steps=32):
    """Ordinary integrated gradients of the reconstruction: (P, C)."""
    whole = coefficients @ concepts
    path = (_midpoints(steps)[:, None, None] * whole).requires_grad_()
    return whole * torch.autograd.grad(score(path).sum(), path)[0].mean(0)


def _from_the_mean(score, coefficients, concepts, steps=32):
    start = coefficients.mean(0, keepdim=True).expand_as(coefficients)
    path = (start + _midpoints(steps)[:, None, None] * (coefficients - start)).requires_grad_()
    return (coefficients - start) * torch.autograd.grad(score(path @ concepts).sum(), path)[0].mean(0)


def _alone(score, coefficients, concepts, steps=32):
    zero = score(torch.zeros(1, len(coefficients), concepts.shape[1]))
    result = torch.zeros_like(coefficients)
    for position in range(coefficients.shape[0]):
        for concept in range(coefficients.shape[1]):
            single = torch.zeros_like(coefficients)
            single[position, concept] = coefficients[position, concept]
            result[position, concept] = (score((single @ concepts)[None]) - zero)[0]
    return result


def _not_followed(score, coefficients, concepts, steps=32):
    path = _midpoints(steps)[:, None, None] * coefficients
    return coefficients * torch.autograd.grad(score(path @ concepts).sum(), path)[0].mean(0)


def _not_one_score(score, coefficients, concepts, steps=32):
    path = (_midpoints(steps)[:, None, None] * coefficients).requires_grad_()
    return coefficients * torch.autograd.grad(score(path @ concepts), path)[0].mean(0)


def _left_out(score, coefficients, concepts, steps=32):
    whole = score((coefficients @ concepts)[None])
    result = torch.zeros_like(coefficients)
    for position in range(coefficients.shape[0]):
        for concept in range(coefficients.shape[1]):
            rest = coefficients.clone()
            rest[position, concept] = 0
            result[position, concept] = (whole - score((rest @ concepts)[None]))[0]
    return result


def _trapezoid(score, coefficients, concepts, steps=32):
    alphas = torch.linspace(0, 1, steps + 1)
    return coefficients * torch.trapezoid(_gradients(score, coefficients, concepts, alphas), dx=1 / steps, dim=0)


def _some_concepts(generator, count, size, channels):
    concepts = torch.nn.functional.normalize(torch.randn(size, channels, generator=generator), dim=1)
    return 1.5 * torch.randn(count, size, generator=generator), concepts


def _contribution_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    return [
        (_Square(), torch.tensor([[1.0, 2.0]]), torch.eye(2), 2),
        (_Score(3, seed + 1), *_some_concepts(generator, 2, 2, 3), 4),
        (_Score(4, seed + 2), *_some_concepts(generator, 4, 4, 4), 8),
        (_Score(3, seed + 3), *_some_concepts(generator, 5, 6, 3), 32),
    ]


CONTRIBUTIONS = CodeExercise(
    id="6.5",
    title="Generalized integrated gradients",
    stars=3,
    minutes=12,
    reference=concept_contributions,
    cases=_contribution_cases,
    rtol=1e-3,
    atol=2e-5,
    hints=(
        "Make all points of the way at once: `path = alphas[:, None, None] * coefficients`, (S, P, K), and let autograd follow "
        "it from here: `path.requires_grad_()`.",
        "`score(path @ concepts)` are S scores. They do not depend on each other's points, so the gradient of their *sum* "
        "holds the gradient at every point: `torch.autograd.grad(score(path @ concepts).sum(), path)[0]`.",
        "Average these over the first axis, and multiply by `coefficients`.",
    ),
    mistakes=(
        Mistake(
            "end-point",
            "You take the gradient at the end of the way only (or alpha has no effect on the point). Where the score has "
            "levelled off, it says that nothing matters. Average it over the points α·U.",
            _rule(lambda steps: torch.ones(steps)),
        ),
        Mistake(
            "start-point",
            "You take the gradient at zero only. Average it over the points α·U.",
            _rule(lambda steps: torch.zeros(steps)),
        ),
        Mistake(
            "no-coefficients",
            "This is the average gradient: how much *one unit more* of a concept would do. Its contribution is that times how "
            "much of it there is: multiply by `coefficients`.",
            _made_of(lambda coefficients, gradients: gradients.mean(0)),
        ),
        Mistake(
            "alpha-twice",
            "Alpha comes in twice: you multiply by α·u, or take the derivative through α. The gradient is taken *at* α·U with "
            "respect to that point, and multiplied by the whole u.",
            lambda score, coefficients, concepts, steps=32: (
                coefficients
                * (_midpoints(steps)[:, None, None] * _gradients(score, coefficients, concepts, _midpoints(steps))).mean(0)
            ),
        ),
        Mistake(
            "sum",
            "You add the gradients of all points. An integral from 0 to 1 is their *average*: twice the steps would otherwise "
            "mean twice the contribution.",
            _made_of(lambda coefficients, gradients: coefficients * gradients.sum(0)),
        ),
        Mistake(
            "right-ends",
            "Your points are 1/S, 2/S, … 1, the right ends of the steps. The midpoint rule takes (s + ½)/S, and is far more "
            "exact for the same work.",
            _rule(lambda steps: (torch.arange(steps) + 1) / steps),
        ),
        Mistake(
            "left-ends",
            "Your points are 0, 1/S, … the left ends of the steps. The midpoint rule takes (s + ½)/S.",
            _rule(lambda steps: torch.arange(steps) / steps),
        ),
        Mistake(
            "both-ends",
            "`linspace(0, 1, S)` has points at both ends. The midpoint rule takes (s + ½)/S.",
            _rule(lambda steps: torch.linspace(0, 1, steps)),
        ),
        Mistake(
            "trapezoid",
            "This is the trapezoid rule, with one point more. It is a good rule, but not the one asked for: the midpoint rule "
            "takes S points, (s + ½)/S, all with the same weight.",
            _trapezoid,
        ),
        Mistake(
            "channels",
            "You attribute to the *channels* of the activation: these are ordinary integrated gradients, (P, C). Take the "
            "gradient with respect to the coefficients, (P, K).",
            _channels,
        ),
        Mistake(
            "channels-projected",
            "You attribute to channels and then project the attributions on the concepts. A projection of contributions is "
            "not the contribution of a concept, and does not add up. Take the gradient with respect to the coefficients.",
            lambda score, coefficients, concepts, steps=32: _channels(score, coefficients, concepts, steps) @ concepts.T,
        ),
        Mistake(
            "baseline",
            "Your way begins at the average coefficients. It begins at zero: no concept at all.",
            _from_the_mean,
        ),
        Mistake(
            "absolute",
            "You drop the signs. A concept that speaks *against* the score has a negative contribution, and completeness needs "
            "it.",
            _made_of(lambda coefficients, gradients: (coefficients * gradients.mean(0)).abs()),
        ),
        Mistake(
            "positions-summed",
            "You add up the positions: that is an edge of the graph, and comes later. Here each position keeps its own.",
            _made_of(lambda coefficients, gradients: (coefficients * gradients.mean(0)).sum(0)),
        ),
        Mistake(
            "not-followed",
            "Autograd does not know that you want gradients: it follows only tensors with `requires_grad_()`. Say it of the "
            "points, before `score` is called.",
            _not_followed,
        ),
        Mistake(
            "not-one-score",
            "There is one score for each point, and PyTorch takes the gradient of a single number. Take their sum: the points "
            "do not meet, so each keeps its own gradient.",
            _not_one_score,
        ),
        Mistake(
            "alone",
            "You put each concept in alone and measure what it does. That is another way of attributing, a good one, but it "
            "does not add up and takes a pass of the network for each. Use gradients along the way.",
            _alone,
        ),
    ),
    unlisted=(
        lambda score, coefficients, concepts, steps=32: -concept_contributions(score, coefficients, concepts, steps),
        lambda score, coefficients, concepts, steps=32: concept_contributions(score, coefficients, concepts, 1),
        _left_out,
        _made_of(lambda coefficients, gradients: coefficients * gradients.clamp_min(0).mean(0)),
    ),
    insight="With every channel as its own concept these are integrated gradients: the generalization is the change of basis.",
    used_next="6.6 tests the property that it inherits.",
)

# --- 6.6 completeness ------------------------------------------------------------------------------------------------


def completeness_error(score, activations, coefficients, concepts, contributions):
    """Distance of the sum of contributions from the change that they explain, relative to it: a number."""
    reconstruction = (coefficients @ concepts)[None]
    with torch.no_grad():
        change = (score(reconstruction) - score(torch.zeros_like(reconstruction)))[0]
    return (contributions.sum() - change).abs() / change.abs()


def _scores(score, activations, coefficients, concepts):
    """Scores of the activation, of the reconstruction, and of nothing."""
    whole = coefficients @ concepts
    return score(torch.stack([activations, whole, torch.zeros_like(whole)])).detach()


def _missed(judge):
    """A wrong solution, from the sum of contributions and the scores of activation, reconstruction and nothing."""

    def completeness_error(score, activations, coefficients, concepts, contributions):
        return judge(contributions, *_scores(score, activations, coefficients, concepts))

    return completeness_error


def _relative(total, change):
    return (total - change).abs() / change.abs()


def _reconstruction_error(score, activations, coefficients, concepts, contributions):
    return (activations - coefficients @ concepts).square().sum() / activations.square().sum()


def _completeness_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for number, (count, size, channels, steps) in enumerate(((2, 2, 3, 1), (3, 4, 2, 2), (4, 5, 3, 1), (5, 3, 5, 2))):
        score = _Score(channels, seed + 10 + number)
        coefficients, concepts = _some_concepts(generator, count, size, channels)
        activations = coefficients @ concepts + 0.5 * torch.randn(count, channels, generator=generator)
        found = _rule(lambda steps: torch.arange(steps) / steps)(score, coefficients, concepts, steps)
        cases.append((score, activations, coefficients, concepts, found))
    return [
        (
            _Square(),
            torch.tensor([[2.0, 2.0]]),
            torch.tensor([[1.0, 2.0]]),
            torch.eye(2),
            torch.tensor([[0.0, 4.0]]),
        ),
        *cases,
    ]


COMPLETENESS = CodeExercise(
    id="6.6",
    title="Completeness",
    stars=2,
    minutes=5,
    reference=completeness_error,
    cases=_completeness_cases,
    rtol=1e-3,
    hints=(
        "At the end of the way stands `coefficients @ concepts`, at its beginning zeros of the same shape. `score` wants a "
        "batch of them: `[None]`.",
        "With `change` the score at the end less that at the beginning: `(contributions.sum() - change).abs() / change.abs()`.",
    ),
    mistakes=(
        Mistake(
            "of-the-picture",
            "You compare with the score of the activation itself. The way ends at the reconstruction: what the concepts leave "
            "out, no contribution can explain.",
            _missed(lambda given, picture, whole, zero: _relative(given.sum(), picture - zero)),
        ),
        Mistake(
            "nothing-forgotten",
            "You compare with the score of the reconstruction alone. An activation of zero has a score too (biases!), and the "
            "contributions explain only the change from there.",
            _missed(lambda given, picture, whole, zero: _relative(given.sum(), whole)),
        ),
        Mistake(
            "neither",
            "You compare with the score of the whole activation. The way begins at zero, which has a score too, and ends at "
            "the reconstruction.",
            _missed(lambda given, picture, whole, zero: _relative(given.sum(), picture)),
        ),
        Mistake(
            "residual",
            "You measure the change from the reconstruction to the activation. That is what the concepts leave out; the way "
            "goes from zero to the reconstruction.",
            _missed(lambda given, picture, whole, zero: _relative(given.sum(), picture - whole)),
        ),
        Mistake(
            "not-relative",
            "This is the difference itself. Divide by the size of the change, or a small score would always seem complete.",
            _missed(lambda given, picture, whole, zero: (given.sum() - whole + zero).abs()),
        ),
        Mistake(
            "relative-to-sum",
            "You divide by the sum of the contributions. Divide by the change that they should give.",
            _missed(lambda given, picture, whole, zero: (given.sum() - whole + zero).abs() / given.sum().abs()),
        ),
        Mistake(
            "relative-to-score",
            "You divide by the score of the reconstruction. Divide by the *change* from zero to it.",
            _missed(lambda given, picture, whole, zero: (given.sum() - whole + zero).abs() / whole.abs()),
        ),
        Mistake(
            "signed",
            "The size is right; an error may not be negative. Use `abs()`, below the line too.",
            _missed(lambda given, picture, whole, zero: (given.sum() - whole + zero) / (whole - zero)),
        ),
        Mistake(
            "signed-below",
            "Your error is negative where the score falls: above the line you take `abs()`, below it not. Divide by the *size* "
            "of the change.",
            _missed(lambda given, picture, whole, zero: (given.sum() - whole + zero).abs() / (whole - zero)),
        ),
        Mistake(
            "signed-above",
            "Your error is negative where the contributions fall short (or say too much). Take the *size* of the difference.",
            _missed(lambda given, picture, whole, zero: (given.sum() - whole + zero) / (whole - zero).abs()),
        ),
        Mistake(
            "sizes-summed",
            "You add up the sizes of the contributions. Those that speak against the score count with their minus sign.",
            _missed(lambda given, picture, whole, zero: _relative(given.abs().sum(), whole - zero)),
        ),
        Mistake(
            "mean",
            "You take the mean of the contributions. Completeness is about their sum.",
            _missed(lambda given, picture, whole, zero: _relative(given.mean(), whole - zero)),
        ),
        Mistake(
            "ratio",
            "This is the sum over the change, 1 where all is explained. The error is how far from it.",
            _missed(lambda given, picture, whole, zero: given.sum() / (whole - zero)),
        ),
        Mistake(
            "percent",
            "You give percent; give a share.",
            _missed(lambda given, picture, whole, zero: 100 * _relative(given.sum(), whole - zero)),
        ),
        Mistake(
            "decomposition",
            "This is the error of the *decomposition*: how well concepts rebuild the activation. It is worth knowing, but "
            "completeness is about the score.",
            _reconstruction_error,
        ),
    ),
    unlisted=(
        _missed(lambda given, picture, whole, zero: _relative(given.sum(), whole - zero).square()),
        _missed(lambda given, picture, whole, zero: (given.sum() - whole + zero).abs() / (picture - zero).abs()),
        _missed(lambda given, picture, whole, zero: 1 - _relative(given.sum(), whole - zero)),
    ),
    insight="Complete means: nothing lost between concepts and score. Not: nothing lost between picture and concepts.",
    used_next="So a graph below comes with two numbers: this gap, and what the concepts leave out.",
)

# --- 6.7 what do they share? -----------------------------------------------------------------------------------------

#: One layer's concepts in pictures of two classes, as the notebook prints them: numbers, and shares of either class's evidence.
TABLE = study.results()["shared"]


def _rows():
    """Concept -> its share of what speaks for the first class, and for the second."""
    return dict(zip(TABLE["concepts"], zip(*TABLE["shares"], strict=True), strict=True))


def shared_most():
    """The concept of the table whose smaller share is the largest."""
    rows = _rows()
    return max(rows, key=lambda concept: min(rows[concept]))


def _top(side):
    rows = _rows()
    return max(rows, key=lambda concept: rows[concept][side])


def _shared_kind(concept):
    """What is wrong with an answer; None where it is right."""
    if concept == shared_most():
        return None
    if concept == _top(0):
        return "first-only"
    if concept == _top(1):
        return "second-only"
    return "against" if min(_rows()[concept]) < 0 else "less"


def _shared_judge(value):
    rows = _rows()
    number = value
    while isinstance(number, (list, tuple)) and len(number) == 1:
        number = number[0]
    if hasattr(number, "item") and getattr(number, "size", None) is not None and torch.as_tensor(number).numel() == 1:
        number = number.item()
    if isinstance(number, str) and len(digits := re.findall(r"\d+(?:\.0+)?(?!\.?\d)", number)) == 1:
        number = int(float(digits[0]))
    if not isinstance(number, (int, float)) or isinstance(number, bool) or number not in rows:
        return f"Answer with the number of one concept of the table: {', '.join(map(str, rows))}."
    kind = _shared_kind(int(number))
    if kind is None:
        return None
    shares = " and ".join(f"{share:.1%} of “{name}”" for share, name in zip(rows[int(number)], TABLE["classes"], strict=True))
    return Problem(f"Concept {int(number)} has {shares}.", mistake=kind)


def _shared(kind):
    return lambda value: _shared_judge(value).mistake == kind


def _shared_example(kind):
    return next((concept for concept in _rows() if _shared_kind(concept) == kind), None)


SHARED = AnswerExercise(
    id="6.7",
    title="What do they share?",
    stars=2,
    minutes=5,
    reference=shared_most,
    judge=_shared_judge,
    hints=(
        "For each concept take the *smaller* of its two shares. Which concept's is largest?",
        "Go down the first class's list from the top, and ask each time: what does the second class say?",
    ),
    mistakes=tuple(
        Mistake(name, message, _shared(name), example=_shared_example(name))
        for name, message in (
            (
                "first-only",
                "This is the most important concept of the first class, but the second hardly uses it, or not at all. Shared "
                "is what helps both.",
            ),
            (
                "second-only",
                "This is the most important concept of the second class, but the first hardly uses it, or not at all. Shared "
                "is what helps both: look at the other column, its sign included.",
            ),
            (
                "against",
                "For at least one of the two classes this concept's share is below zero: there it speaks *against* the class, "
                "if only a little. That is the opposite of shared.",
            ),
            ("less", "It helps both, but there is one whose smaller share is larger."),
        )
    ),
    unlisted=(1.0, "wheel", -1, TABLE["concepts"][:2]),
    insight="Neither class's first choice: what is shared shows only when both classes stand side by side.",
    used_next="The next figure shows it, between what either class likes best.",
)

# -------------------------------------------------------------------------------------------- 6.8: a convincing graph

CONVINCING = ChoiceExercise(
    id="6.8",
    title="Which of these would convince you?",
    stars=2,
    minutes=4,
    question="A colleague shows the graph of a network that you do not know, with five things to be proud of. Which one would "
    "an untrained network hardly have had as well?",
    options={
        "a": "The contributions between its layers are complete to within two per cent.",
        "b": "Five causes make up 90 % of what speaks for a concept of the next layer.",
        "c": "In its first layer, four in ten of a concept's nearest vectors are of one part.",
        "d": "Each pair of classes has three shared concepts, with a name for each.",
        "e": "In its late layers, the concepts leave out only a seventh of the activations.",
    },
    correct="e",
    hints=(
        "For each option but one there is a number of an untrained network in this section or in Figure 6. Which of these "
        "numbers is far from the trained network's?",
        "Completeness holds for any function. And what does the picking of shared concepts do where there are none?",
    ),
    mistakes=(
        Mistake(
            "complete",
            "Completeness is arithmetic: with enough steps, the contributions sum to the change for any function. The table "
            "has this number between layers for the untrained network, too.",
            "a",
        ),
        Mistake(
            "concentrated",
            "The table has this number for the untrained network, too: in its first layers the five strongest causes carry as "
            "much. A few thick edges make a tidy picture and prove nothing.",
            "b",
        ),
        Mistake(
            "early-purity",
            "Look at the left end of Figure 6: there the untrained network's concepts are nearly as pure. Patches of one "
            "colour are often of one part.",
            "c",
        ),
        Mistake(
            "shared",
            "The picking finds something also where there is nothing: a tree and an umbrella share no part and are given three "
            "concepts all the same. And a name is a guess.",
            "d",
        ),
    ),
    insight="A control tells which numbers carry information. Four of the five here carry none, or next to none.",
    used_next="Ask it of any explanation that you are shown: what would it look like for a network that has learned nothing?",
)

# --- 6.9 the referee's table -----------------------------------------------------------------------------------------

#: The claims of the notebook's table by letter: rows of the study, one for each place where the claim is made.
CLAIMS = dict(zip("ABCDEFG", ("early", "late", "bisecting", "stable", "shared", "order", "few causes"), strict=True))


def _claim_rows(letter):
    return study.results()["referee"][CLAIMS[letter]]


def _holding(holds, every=all):
    """The letters of the claims of which all rows (or any) hold."""
    return frozenset(letter for letter in CLAIMS if every(holds(row) for row in _claim_rows(letter).values()))


def surviving():
    """The claims whose lead over the right null lies above zero, with its whole interval, wherever they are made."""
    return "".join(sorted(_holding(lambda row: row["ahead"][1] > 0)))


#: Wrong ways to read the table, and what each lets survive.
_READINGS = {
    "weak-null": lambda: _holding(lambda row: row["measured"] > row["weak null"]),
    "without-intervals": lambda: _holding(lambda row: row["ahead"][0] > 0),
    "one-place": lambda: _holding(lambda row: row["ahead"][1] > 0, every=any),
    "those-that-fall": lambda: frozenset(CLAIMS) - frozenset(surviving()),
}


def _told_apart():
    """Those wrong readings that give letters which neither the right one nor another wrong one gives."""
    given = {name: reading() for name, reading in _READINGS.items()}
    every = [*given.values(), frozenset(surviving())]
    return {name: letters for name, letters in given.items() if every.count(letters) == 1}


_TOLD_APART = _told_apart()


def _letters(value):
    """The letters of an answer as people write them: "BD", "b, d and f", ["B", "D"], {"A": False, …}; None for no answer."""
    if isinstance(value, Mapping):
        if not all(isinstance(kept, (bool, int)) for kept in value.values()):
            return None
        value = [letter for letter, kept in value.items() if kept]
    if isinstance(value, (list, tuple, set, frozenset)):
        if not all(isinstance(each, str) for each in value):
            return None
        value = " ".join(value)
    if not isinstance(value, str):
        return None
    words = value.casefold().replace("only", " ").replace("claims", " ").replace("claim", " ").split()
    said = "".join(word for word in "".join(c if c.isalnum() else " " for c in " ".join(words)).split() if word != "and")
    if said in ("none", "nothing", "all"):
        return frozenset(CLAIMS if said == "all" else ())
    said = said.upper()
    return frozenset(said) if set(said) <= set(CLAIMS) else None


def _worst_row(letter):
    """Of a claim, the place where its lead's interval begins lowest, in words."""
    rows = _claim_rows(letter)
    place = min(rows, key=lambda at: rows[at]["ahead"][1])
    lead, low, high = rows[place]["ahead"]
    return f"{letter}: at {place} the lead is {lead:+.3f}, its interval {low:+.3f} to {high:+.3f}."


def _referee_judge(value):
    given, right = _letters(value), frozenset(surviving())
    if given is None:
        return f'Answer with the letters of the claims that survive, of {", ".join(CLAIMS)}: "AC", or "none".'
    if given == right:
        return None
    if not given:
        return f"Not all of them fall. {_worst_row(min(right))}"
    if given in _TOLD_APART.values():
        return Problem(mistake=next(name for name, letters in _TOLD_APART.items() if letters == given))
    if extra := sorted(given - right):
        return Problem(_worst_row(extra[0]), mistake="too-many" if given > right else "mixed")
    return Problem(_worst_row(min(right - given)), mistake="too-few")


def _referee(name):
    return lambda value: isinstance(verdict := _referee_judge(value), Problem) and verdict.mistake == name


def _gains():
    """GIG's lead over the gradient at the end of the path, as a share of GIG's own figure."""
    return [row["ahead"][0] / row["measured"] for row in _claim_rows("F").values()]


def _referee_example(name):
    """An answer that makes this mistake and no other."""
    right, named = surviving(), [reading() for reading in _READINGS.values()]
    if name in _TOLD_APART:
        return "".join(sorted(_TOLD_APART[name]))
    fallen = [letter for letter in CLAIMS if letter not in right]
    tries = {
        "too-many": [right + extra for extra in fallen],
        "too-few": [right.replace(letter, "") for letter in right],
        "mixed": [right[1:] + extra for extra in fallen],
    }[name]
    return next(each for each in tries if frozenset(each) not in named)


REFEREE = AnswerExercise(
    id="6.9",
    title="Which claims survive?",
    stars=2,
    minutes=8,
    reference=surviving,
    judge=_referee_judge,
    hints=(
        "Leave the columns “measured” and “weak” alone. Only the interval in square brackets counts.",
        "Go through the claims, and look in each for *one* row whose interval begins below zero. That row is enough to let the "
        "claim fall.",
    ),
    mistakes=tuple(
        Mistake(name, message, _referee(name), example=_referee_example(name))
        for name, message in (
            (
                "weak-null",
                "These are the claims that beat their *weak* null in each row. That is what a demonstration shows; it does not "
                "tell a claim from what would be so without it. Compare with the right null.",
            ),
            (
                "without-intervals",
                "These are the claims with a lead above zero in each row, but some of those intervals reach below zero: with "
                "other pictures or concepts the lead might be gone.",
            ),
            (
                "one-place",
                "These are the claims that hold in *some* row. Each was made of all its rows. Who may choose the row "
                "afterwards finds one that fits.",
            ),
            ("those-that-fall", "These are the ones that fall: asked for are those that survive."),
            ("too-many", "All that survive are among these, and more."),
            ("too-few", "Each of these survives, but not all that survive are here."),
            ("mixed", "Not all of these survive, and not all that survive are here."),
        )
        if name not in _READINGS or name in _TOLD_APART
    ),
    unlisted=("H", 3, "early", ["A", 1]),
    insight="A right null has everything but the thing claimed. What lead is left is what the claim is worth: GIG's over one "
    f"gradient is {min(_gains()):.0%} to {max(_gains()):.0%} of its figure.",
    used_next="Make such a table for the next article that you read, before you look at its figures.",
)

# --- 6.10 the sharing ratio ------------------------------------------------------------------------------------------


def receptive_field(parts, fields):
    """The receptive fields below, weighted by their sharing ratios: (P, C), (P, H, W) -> (H, W)."""
    whole = parts.sum(dim=0)
    ratios = parts @ whole / whole.square().sum()
    return torch.einsum("p,phw->hw", ratios, fields)


def _weighted(ratios):
    """A wrong solution, from its wrong ratios."""

    def receptive_field(parts, fields):
        return torch.einsum("p,phw->hw", ratios(parts, parts.sum(0)), fields)

    return receptive_field


def _true_ratios(parts, whole):
    return parts @ whole / whole.square().sum()


def _field_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def some(count, channels, height, width):
        fields = torch.rand(count, height, width, generator=generator)
        return torch.randn(count, channels, generator=generator) + 0.6, fields

    # Not one pixel each: then the ratios themselves would be the answer, but for the shape.
    pixels = torch.tensor([[[1.0, 0.0]], [[0.5, 0.25]]])
    return [
        (torch.tensor([[3.0, 0.0], [0.0, 1.0]]), pixels),
        (torch.tensor([[2.0, 1.0], [-1.0, 0.0]]), pixels),
        some(3, 4, 2, 2),
        some(9, 5, 4, 6),
    ]


RECEPTIVE_FIELD = CodeExercise(
    id="6.10",
    title="The sharing ratio",
    stars=2,
    minutes=7,
    reference=receptive_field,
    cases=_field_cases,
    hints=(
        "The whole vector is the sum of its parts, `parts.sum(dim=0)`. Check your ratios: they add up to one.",
        "All ratios at once: `parts @ whole / whole.square().sum()`, (P,).",
        'Weigh and add the maps: `torch.einsum("p,phw->hw", ratios, fields)`, or `(ratios[:, None, None] * fields).sum(0)`.',
    ),
    mistakes=(
        Mistake(
            "lengths",
            "You share by the lengths of the parts. A long part that stands across the whole vector adds nothing to it: only "
            "what lies along the vector counts, so take the dot product.",
            _weighted(lambda parts, whole: parts.norm(dim=1) / parts.norm(dim=1).sum()),
        ),
        Mistake(
            "cosine",
            "This is the cosine of the angle: it also divides by the length of the *part*, so a tiny part counts as much as a "
            "large one. Divide by the squared length of the whole alone.",
            _weighted(lambda parts, whole: torch.cosine_similarity(parts, whole[None], dim=1)),
        ),
        Mistake(
            "not-squared",
            "You divide by the length of the whole vector once. Only its square makes the ratios add up to one.",
            _weighted(lambda parts, whole: parts @ whole / whole.norm()),
        ),
        Mistake(
            "not-divided",
            "These are dot products, not shares: divide by the squared length of the whole vector.",
            _weighted(lambda parts, whole: parts @ whole),
        ),
        Mistake(
            "absolute",
            "You drop the sign of the ratios. A part that pulls against the vector has a negative share; without it the shares "
            "add up to more than one.",
            _weighted(lambda parts, whole: _true_ratios(parts, whole).abs()),
        ),
        Mistake(
            "positive-only",
            "You set negative shares to zero. A share may be negative: a part that pulls against the vector takes away from "
            "it.",
            _weighted(lambda parts, whole: _true_ratios(parts, whole).clamp_min(0)),
        ),
        Mistake(
            "positive-rescaled",
            "You set negative shares to zero and divide again, so that the rest adds up to one. A share may be negative: then "
            "others are larger, and all of them together still are one.",
            _weighted(lambda parts, whole: (parts @ whole).clamp_min(0) / (parts @ whole).clamp_min(0).sum()),
        ),
        Mistake(
            "alike",
            "Every position counts the same: that is the average *theoretical* receptive field, all that the vector could "
            "see. What it did see is in `parts`.",
            lambda parts, fields: fields.mean(0),
        ),
        Mistake(
            "channel-sums",
            "You add up the channels of each part. Channels of a vector are not alike: what counts is how far a part points "
            "along the whole, a dot product.",
            _weighted(lambda parts, whole: parts.sum(1) / whole.sum()),
        ),
        Mistake(
            "mean",
            "You take the mean of the parts for the whole, so every share is P times too large. The vector is their *sum*.",
            _weighted(lambda parts, whole: _true_ratios(parts, whole) * len(parts)),
        ),
        Mistake(
            "rescaled",
            "The pattern is right, but you scale it to a largest value of one. Keep it as it comes out: the next layer up will "
            "multiply it by shares of its own.",
            lambda parts, fields: receptive_field(parts, fields) / receptive_field(parts, fields).max(),
        ),
        Mistake(
            "ratios-only",
            "These are the sharing ratios, one number for each position. Asked for is the map: weigh each position's field by "
            "its ratio, and add them up.",
            lambda parts, fields: _true_ratios(parts, parts.sum(0)),
        ),
        Mistake(
            "not-summed",
            "You have one weighted map for each position. Their sum is the receptive field.",
            lambda parts, fields: _true_ratios(parts, parts.sum(0))[:, None, None] * fields,
        ),
    ),
    unlisted=(
        _weighted(lambda parts, whole: (parts @ whole).softmax(0)),
        lambda parts, fields: fields.sum(0),
        _weighted(lambda parts, whole: (parts @ whole).abs() / (parts @ whole).abs().sum()),
        _weighted(lambda parts, whole: parts.square().sum(1) / whole.square().sum()),
    ),
    insight="Layer upon layer, shares multiply: so a vector deep inside gets a map of the pixels that made it.",
    used_next="Every patch that stands for a concept in this lesson is cut out around such a field.",
)

# --- 6.11 the area under an insertion curve --------------------------------------------------------------------------


def insertion_area(score, coefficients, concepts, order):
    """Area under the scores while concepts come in: (P, K), (K, C), (K,) -> a number."""
    count = len(order)
    present = torch.zeros(count + 1, count)
    for number, concept in enumerate(order):
        present[number + 1 :, concept] = 1
    with torch.no_grad():
        scores = score(present[:, None, :] * coefficients @ concepts)
    return torch.trapezoid(scores, dx=1 / count)


def _curve(score, coefficients, concepts, order, *, deleted=False, alone=False):
    """Scores after each step: (K + 1,)."""
    ranks = torch.as_tensor(order).argsort()
    steps = torch.arange(len(ranks) + 1)[:, None]
    inside = ranks == steps - 1 if alone else (ranks >= steps if deleted else ranks < steps)
    return score(inside[:, None, :] * coefficients @ concepts).detach()


def _area(of, **kind):
    """A wrong solution, from what it makes of a curve of scores."""

    def insertion_area(score, coefficients, concepts, order):
        return of(_curve(score, coefficients, concepts, order, **kind))

    return insertion_area


def _even(scores):
    return torch.trapezoid(scores, dx=1 / (len(scores) - 1))


def _by_amount(score, coefficients, concepts, order):
    amounts = coefficients.abs().sum(0)[order]
    places = torch.cat([torch.zeros(1), amounts.cumsum(0) / amounts.sum()])
    return torch.trapezoid(_curve(score, coefficients, concepts, order), places)


def _positions_in(score, coefficients, concepts, order):
    kept = torch.zeros_like(coefficients)
    scores = [score((kept @ concepts)[None])]
    for position in order:
        kept[position] = coefficients[position]
        scores.append(score((kept @ concepts)[None]))
    return _even(torch.cat(scores).detach())


def _insertion_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    cases = [(_Square(), torch.tensor([[1.0, 3.0], [0.0, 1.0]]), torch.eye(2), torch.tensor([1, 0]))]
    # No fewer positions than concepts, so that the two can be mixed up without an error.
    for number, (count, size, channels) in enumerate(((4, 4, 3), (5, 4, 4), (8, 7, 5))):
        coefficients, concepts = _some_concepts(generator, count, size, channels)
        order = torch.randperm(size, generator=generator)
        order = order.roll(1) if torch.equal(order.argsort(), order) else order
        cases.append((_Score(channels, seed + 20 + number), coefficients, concepts, order))
    return cases


INSERTION = CodeExercise(
    id="6.11",
    title="The area under an insertion curve",
    stars=2,
    minutes=8,
    reference=insertion_area,
    cases=_insertion_cases,
    rtol=1e-3,
    hints=(
        "Start with `kept = torch.zeros_like(coefficients)` and score `(kept @ concepts)[None]`. Then, for each concept of "
        "`order`, copy its column, `kept[:, concept] = coefficients[:, concept]`, and score again.",
        "K + 1 scores stand at 0, 1/K, 2/K, … 1: `torch.trapezoid(scores, dx=1 / K)`.",
    ),
    mistakes=(
        Mistake(
            "deletion",
            "This is the area of deletion: you start with all concepts and take them out; or you put them in from the last to "
            "the first, which gives the same area. Start with none, and put in `order[0]` first.",
            _area(_even, deleted=True),
        ),
        Mistake(
            "alone",
            "Each concept is in alone: the one before is gone again. Those that went in stay in.",
            _area(_even, alone=True),
        ),
        Mistake(
            "ranks",
            "You read `order` as the ranks of the concepts, so that `order[3]` is the place of concept 3. It is the other way "
            "round: `order[3]` is the concept in the fourth place.",
            lambda score, coefficients, concepts, order: insertion_area(score, coefficients, concepts, order.argsort()),
        ),
        Mistake(
            "positions",
            "You put in positions (rows of the coefficients). A concept is a column, `coefficients[:, concept]`: it comes in "
            "at all positions at once.",
            _positions_in,
        ),
        Mistake(
            "order-ignored",
            "`order` has no effect: you put in concept 0, 1, 2 and so on.",
            lambda score, coefficients, concepts, order: insertion_area(
                score, coefficients, concepts, torch.arange(len(order))
            ),
        ),
        Mistake(
            "mean",
            "This is the mean of the scores. Under the trapezoid rule the first and last count half: they stand at the ends.",
            _area(lambda scores: scores.mean()),
        ),
        Mistake(
            "steps-not-shares",
            "The scores stand 1 apart in your curve, so the area grows with the number of concepts. They go from 0 to 1: they "
            "stand 1/K apart.",
            _area(lambda scores: torch.trapezoid(scores, dx=1.0)),
        ),
        Mistake(
            "one-too-many",
            "You divide by K + 1, the number of scores. There are K steps between them: each is 1/K wide.",
            _area(lambda scores: torch.trapezoid(scores, dx=1 / len(scores))),
        ),
        Mistake(
            "nothing-forgotten",
            "Your curve begins with the first concept already in. It begins with none: K + 1 scores.",
            _area(lambda scores: _even(scores[1:])),
        ),
        Mistake(
            "nothing-forgotten-narrow",
            "Your K scores begin with the first concept already in, and the strip from none to one is missing. Score the "
            "empty reconstruction first, zeros: K + 1 scores.",
            _area(lambda scores: torch.trapezoid(scores[1:], dx=1 / (len(scores) - 1))),
        ),
        Mistake(
            "right-ends",
            "Each step counts with the score after it, and the score of no concept at all counts nowhere. The trapezoid rule "
            "takes the mean of the scores before and after each step.",
            _area(lambda scores: scores[1:].mean()),
        ),
        Mistake(
            "left-ends",
            "Each step counts with the score before it, and the last score not at all. The trapezoid rule takes the mean of "
            "the scores before and after.",
            _area(lambda scores: scores[:-1].mean()),
        ),
        Mistake(
            "rescaled",
            "You divide by the score of the full reconstruction. That may be useful, but here it would hide what the "
            "concepts leave out: keep the scores as they are.",
            _area(lambda scores: _even(scores) / scores[-1]),
        ),
        Mistake(
            "curve",
            "These are the scores. Give the area under them, one number.",
            _area(lambda scores: scores),
        ),
    ),
    unlisted=(
        _by_amount,
        _area(lambda scores: _even(scores) - scores[0]),
        _area(lambda scores: _even(scores.cummax(0).values)),
    ),
    insight="The same with the order reversed is deletion. So insertion minus deletion asks: how much better than backwards?",
    used_next="Better than backwards is little: Figure 10 compares with size, with the gradient and with leaving out.",
)

EXERCISES = (
    VECTORS, BISECTION, ONLY_BACKGROUND, LASSO, CONTRIBUTIONS, COMPLETENESS, SHARED, CONVINCING, REFEREE,
    RECEPTIVE_FIELD, INSERTION,
)  # fmt: skip
