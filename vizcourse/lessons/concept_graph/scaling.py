"""One concept of a picture scaled: what it does to the classes and to later concepts, and what GIG says it will do."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from vizcourse.hooks import capture, replay
from vizcourse.lessons.concept_graph.atlas import ConceptAtlas
from vizcourse.methods.concept_graph import generalized_integrated_gradients

#: So many classes and later concepts are watched.
CLASSES, TARGETS = 4, 6


@dataclass(frozen=True)
class Scaled:
    """A picture with one concept's coefficient scaled: scores before and after, and what GIG predicts of the change.

    Attributes:
        map: the concept's coefficients in the picture, ``(h, w)``.
        classes, targets: numbers of the classes and of the later concepts that are watched.
        probabilities: before and after, of all classes, ``(2, all)``.
        scores: before and after: the logits of the classes ``(2, classes)``, and the later concepts ``(2, targets)``.
        edges: GIG of the concept to the classes and to the later concepts.
        predicted: GIG's prediction of the changes of either: (scale − 1) times the edge.
    """

    map: Tensor
    classes: list[int]
    targets: list[int]
    probabilities: Tensor
    scores: tuple[Tensor, Tensor]
    edges: tuple[Tensor, Tensor]
    predicted: tuple[Tensor, Tensor]

    @property
    def measured(self) -> tuple[Tensor, Tensor]:
        """The changes of logits and of later concepts."""
        return tuple(after - before for before, after in self.scores)


class Scaling:
    """Pictures worked out beforehand, so that a concept of any of them can be scaled at once.

    Args:
        atlas: of the concepts.
        layer, later: whose concept is scaled, and whose concepts are watched.
        images: ``(N, 3, H, W)``.
        steps: of GIG.

    Attributes:
        parts: the pictures' activations at the layer, taken apart.
        classes, targets: which are watched of each picture, the most important first, ``(N, …)``.
        edges: GIG of each concept to these, ``(N, …, K)``.
    """

    def __init__(self, atlas: ConceptAtlas, layer: str, later: str, images: Tensor, *, steps: int) -> None:
        self.model, self.layer, self.later = atlas.model, layer, atlas.concepts[later]
        with torch.no_grad():
            logits = self.model(images)
        self.classes = logits.topk(min(CLASSES, logits.shape[1])).indices
        self.parts = atlas.decompose(layer, images)
        gig = functools.partial(generalized_integrated_gradients, self.model, images, steps=steps)
        # The later concepts to watch are those that count most for the class, as in the graph.
        counts = gig(self.classes[:, :1], atlas.decompose(later, images)).edges[:, 0]
        self.targets = counts.abs().topk(min(TARGETS, len(self.later))).indices
        self.edges = gig(self.classes, self.parts).edges, gig(self.targets, self.parts, self.later).edges
        self._rest = [replay(self.model, image[None], layer) for image in images]
        self._after = functools.lru_cache(maxsize=512)(self._run)
        self.before = [self._run(number, 0, 1.0) for number in range(len(images))]

    @torch.no_grad()
    def _run(self, number: int, concept: int, scale: float) -> tuple[Tensor, Tensor]:
        """Logits and scores of all later concepts with a concept of a picture scaled."""
        rest, later = self._rest[number], self.later
        share = self.parts.coefficients[number, concept] * self.parts.concepts.vectors[concept][:, None, None]
        # What is scaled is the concept's own share alone: the other concepts and the residual stay as they are.
        with capture(self.model, later.layer) as acts:
            logits = rest(rest.activation + (scale - 1) * share)
        return logits[0], torch.einsum("chw,kc->k", acts[later.layer][0], later.vectors)

    def scaled(self, number: int, concept: int, scale: float) -> Scaled:
        """A concept of one of the pictures, scaled."""
        logits, scores = map(torch.stack, zip(self.before[number], self._after(number, concept, scale), strict=True))
        classes, targets = self.classes[number], self.targets[number]
        edges = tuple(each[number, :, concept] for each in self.edges)
        return Scaled(
            map=self.parts.coefficients[number, concept],
            classes=classes.tolist(),
            targets=targets.tolist(),
            probabilities=logits.softmax(1),
            scores=(logits[:, classes], scores[:, targets]),
            edges=edges,
            predicted=tuple((scale - 1) * each for each in edges),
        )
