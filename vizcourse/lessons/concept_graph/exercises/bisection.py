"""6.2: one bisection."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake
from vizcourse.exercises.edits import edits


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


def _bisection_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def clouds(*sizes, dim=3, spread=0.4):
        centres = 3 * torch.randn(len(sizes), dim, generator=generator)
        noise = [spread * torch.randn(size, dim, generator=generator) for size in sizes]
        vectors = torch.cat([centre + each for centre, each in zip(centres, noise, strict=True)])
        return vectors[torch.randperm(len(vectors), generator=generator)]

    def zeros(count):
        return torch.zeros(count, dtype=torch.long)

    def around(count, *centre, spread=1.0):
        return torch.tensor(centre) + spread * torch.randn(count, len(centre), generator=generator)

    def clusters(*vectors):
        vectors = [torch.as_tensor(each) for each in vectors]
        return torch.cat(vectors), torch.cat([torch.full((len(each),), number) for number, each in enumerate(vectors)])

    first = clouds(6, 5, 7)
    ties = torch.tensor([[2.0, 2.0], [2.0, 2.0], [0.0, 1.0], [1.0, 1.0], [6.0, 5.0]])
    cases = [
        # Shown first, as the smallest: no ties, and it matters where the centres start.
        (torch.tensor([[1.0], [0.0], [9.0], [2.2]]), zeros(4)),
        # The two starting centres are one and the same: at first all are ties, and one of the halves is empty. Of many
        # vectors, so that other mistakes are shown in an ordinary case.
        (torch.cat([ties, around(15, 2.0, 1.0)]), zeros(20)),
        # Many vectors close together, and a few far apart.
        clusters(around(9, 0.0, 0.0, spread=0.3), [[8.0, 8.0], [12.0, 1.0], [11.0, 0.0]]),
        # Two vectors far apart (largest on average) and eight with the larger sum.
        clusters([[10.0, 0.0], [14.0, 0.0]], around(8, 0.0, 0.0)),
        # The pair in the middle is widest on average, the four on the right are furthest from the mean of all.
        clusters([[0.0, 2.0], [0.0, -2.0]], around(8, -6.0, 0.0), around(4, 20.0, 0.0, spread=0.3)),
        # The centres have a long way to go; and with few rounds they are still on it when the labels are asked for.
        (torch.linspace(0, 1, 24)[:, None] ** 1.3, zeros(24)),
        (torch.linspace(0, 1, 30)[:, None] ** 1.3, zeros(30), 3),
        (torch.linspace(1, 0, 32)[:, None] ** 1.7, zeros(32), 2),
        # One vector far out, whose squared distance outweighs all, and many whose plain distances add up to more. In the second
        # of these, distances between pairs or along the axes would choose rightly; and a far pair tells a mean over all numbers
        # of a cluster from the mean of all vectors.
        clusters([[0.0, 0.0], [0.2, 0.0], [0.0, 9.0]], 30 + torch.rand(14, 2, generator=generator).sub(0.5).sign()),
        clusters(
            torch.tensor([[0.0, 0.0], [0.2, 0.0], [8.5, 8.5]]) + 0.01 * torch.rand(3, 2, generator=generator),
            30 + 2.05 * torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]] * 2),
            [[80.0, 80.0], [80.3, 80.0]],
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
            edits("(cluster - cluster.mean(dim=0)).square().sum() -> torch.tensor(len(cluster))"),
        ),
        Mistake(
            "mean-distance",
            "You choose by the *mean* squared distance. Inertia is the sum: a large cluster weighs more than a pair.",
            edits(".square().sum() -> .square().sum() / len(cluster)"),
        ),
        Mistake(
            "not-squared",
            "You add up the distances themselves. Inertia is the sum of the *squared* distances: one vector far out weighs "
            "more than many near ones.",
            edits(".square().sum() -> .norm(dim=1).sum()"),
        ),
        Mistake(
            "whole-mean",
            "You measure the distances from the mean of *all* vectors. The inertia of a cluster is about its own mean.",
            edits("cluster.mean( -> vectors.mean("),
        ),
        Mistake(
            "mean-of-numbers",
            "`mean()` without `dim=0` is one number, the mean of all numbers of the cluster. The mean of its vectors is a "
            "vector.",
            edits("cluster.mean(dim=0) -> cluster.mean()"),
        ),
        Mistake(
            "tightest",
            "You split the cluster with the *smallest* inertia, which needs it least.",
            edits("argmax -> argmin"),
        ),
        Mistake(
            "first-cluster",
            "You always split cluster 0. Split the one with the largest inertia.",
            edits("int(inertia.argmax()) -> 0"),
        ),
        Mistake(
            "last-cluster",
            "You always split the newest cluster. Split the one with the largest inertia.",
            edits("int(inertia.argmax()) -> count - 1"),
        ),
        Mistake(
            "everything",
            "Your 2-means runs over all vectors. Only those of the chosen cluster are split; the others keep their numbers.",
            edits(
                "clusters[chosen] -> vectors", "result[labels == chosen] -> result", "half == 0, chosen -> half == 0, labels"
            ),
        ),
        Mistake(
            "one-round",
            "The centres never move, or only once: each vector goes to the nearer of the two that came first. Repeat `rounds` "
            "times: label, then move the centres.",
            edits("range(rounds) -> range(1)"),
        ),
        Mistake(
            "round-too-many",
            "You give the vectors out once more than `rounds` says (after the last move of the centres, or in one round more). "
            "What counts is the centre to which a vector was given in the last round.",
            edits("range(rounds) -> range(rounds + 1)"),
        ),
        Mistake(
            "round-too-few",
            "You repeat once less than `rounds` says.",
            edits("range(rounds) -> range(max(1, rounds - 1))"),
        ),
        Mistake(
            "rounds-ignored",
            "`rounds` has no effect: you always repeat ten times, or until nothing changes any more.",
            edits("range(rounds) -> range(10)"),
        ),
        Mistake(
            "empty-half",
            "Where a centre is given no vector, your mean is that of nothing: NaN, and from then on every distance to it. "
            "Leave such a centre where it is.",
            edits("if (half == side).any() -> if True"),
        ),
        Mistake(
            "empty-second",
            "The second centre becomes NaN where it is given no vector, and as nothing is nearer than NaN, the cluster stays "
            "whole. Move a centre only where it has vectors.",
            edits(
                "torch.cdist(members, centres).argmin(dim=1) -> torch.gt(*torch.cdist(members, centres).T).long()",
                "if (half == side).any() -> if True",
            ),
        ),
        Mistake(
            "ties-to-second",
            "Where both centres are as near, you give the vector to the second. It goes to the first: `<`, not `<=`.",
            edits("torch.cdist(members, centres).argmin(dim=1) -> torch.ge(*torch.cdist(members, centres).T).long()"),
        ),
        Mistake(
            "first-and-last",
            "Your centres start at the first and the *last* vector of the cluster. They start at its first two.",
            edits("members[:2] -> members[[0, -1]]"),
        ),
        Mistake(
            "cosine",
            "You compare by the cosine, so that a vector's length does not matter. In this step it does: the distance is "
            "Euclidean.",
            edits("torch.cdist(members, centres).argmin( -> torch.cosine_similarity(members[:, None], centres, dim=2).argmax("),
        ),
        Mistake(
            "angle",
            "You compare directions: the vectors are scaled to length one before the split. The distance here is Euclidean.",
            edits("clusters[chosen] -> torch.nn.functional.normalize(clusters[chosen])"),
        ),
        Mistake(
            "exchanged",
            "The halves are exchanged: the vectors of the *first* centre keep the number, those of the second get the new one.",
            edits("chosen, count) -> count, chosen)"),
        ),
        Mistake(
            "only-halves",
            "You return 1 for the new half and 0 for all others. Every vector keeps the number of its cluster, but those of "
            "the new half.",
            edits("labels.clone() -> torch.zeros_like(labels)", "chosen, count) -> 0, 1)"),
        ),
        Mistake(
            "members-only",
            "You return the labels of the cluster that was split. Put them back among the others: one label for each vector.",
            edits("return result -> return result[labels == chosen]"),
        ),
        Mistake(
            "labels-spoilt",
            "The result is right, but your function writes into `labels`: start with `labels.clone()`.",
            edits("labels.clone() -> labels"),
        ),
    ),
    unlisted=(
        edits("members[:2] -> members[[-2, -1]]"),
        edits("torch.cdist(members, centres).argmin(dim=1) -> (members[:, 0] > members[:, 0].mean()).long()"),
        edits("return result -> return result + 1"),
    ),
    insight="Split the least tight cluster, again and again: dense regions get many concepts, and no vector is ever left out.",
    used_next="Seven splits make eight concepts of one layer. Look at what they are.",
)
