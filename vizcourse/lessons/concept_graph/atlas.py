"""The concepts of some layers and what there is to see of them: patches, receptive fields, parts of the world, names."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from vizcourse import plotting
from vizcourse.lessons.concept_graph import stored
from vizcourse.methods import concepts as method
from vizcourse.methods.concepts import Concepts, Decomposition, Samples
from vizcourse.models import load
from vizcourse.worlds import scenes


@dataclass(frozen=True)
class Part:
    """A part or an object of the world, and its share of a concept's nearest vectors and of all vectors of the layer."""

    name: str
    share: float
    usual: float


class ConceptAtlas:
    """What there is to see of the concepts of some layers, and the names that the learner gives them.

    All explorers of a lesson are given the same atlas: a name typed into one is shown by the others.

    Args:
        model: the network that the concepts are of.
        pictures: those that the samples are from, ``(N, 3, H, W)``, or anything that gives ``pictures[n]``, ``(3, H, W)``.
        samples: of each layer, the earliest layer first; they may come without vectors when ``nearest`` is given.
        concepts: of the same layers.
        targets: the pictures' classes ``(N,)``, for their titles.
        labels: of each layer, the part of the world that fills most of what each sample has seen, ``(samples,)``: codes into
            ``part_names``.
        boxes: of each layer, a box around what each sample has seen: top, left, bottom, right, ``(samples, 4)``. Without them
            a frame of the layer's typical size is drawn around the sample's position.
        nearest: of each layer, the samples that are most like each concept, ``(K, judged or more)``.
        fields: from pictures, a layer and a position in each to receptive fields ``(N, H, W)``; by default gradients tell.
        part_names: by default those of the scenes world.
        count: how many nearest vectors are shown.
        judged: how many nearest vectors the shares of parts are counted over.
    """

    def __init__(
        self,
        model: nn.Module,
        pictures: Tensor | Sequence[Tensor],
        samples: Iterable[Samples],
        concepts: Iterable[Concepts],
        *,
        targets: Tensor | None = None,
        labels: Mapping[str, Tensor] | None = None,
        boxes: Mapping[str, Tensor] | None = None,
        nearest: Mapping[str, Tensor] | None = None,
        fields: Callable[[Tensor, str, Tensor], Tensor] | None = None,
        part_names: Sequence[str] = scenes.PARTS,
        count: int = 8,
        judged: int = 20,
    ) -> None:
        self.model, self.pictures, self.targets = model, pictures, targets
        self._fields = fields or functools.partial(method.gradient_receptive_field, model)
        self.samples = {each.layer: each for each in samples}
        self.concepts = {each.layer: each for each in concepts}
        if not self.concepts or set(self.concepts) != set(self.samples):
            raise ValueError(
                f"There are concepts of {', '.join(self.concepts) or 'no layer'} and samples of "
                f"{', '.join(self.samples) or 'no layer'}: pass both for each layer."
            )
        self.layers = list(self.concepts)
        self.classes = tuple(getattr(model, "classes", ()))
        self.count, self.judged = count, judged
        self.labels, self.part_names = labels, tuple(part_names)
        #: Where each picture shows what is behind the objects, ``(N, H, W)`` of booleans, if that is known.
        self.scenery: Tensor | Sequence[Tensor] | None = None
        #: (layer, concept) -> the learner's name for it.
        self.names: dict[tuple[str, int], str] = {}
        self._watching: weakref.WeakSet = weakref.WeakSet()
        self.nearest, self.typical, self._boxes = {}, {}, dict(boxes or {})
        for layer, found in self.concepts.items():
            sample = self.samples[layer]
            # How large a coefficient is where the concept is plainly there: the end of the maps' colour scale.
            self.typical[layer] = torch.full((len(found),), 0.8 * found.scale)
            if nearest is not None:
                self.nearest[layer] = nearest[layer]
            else:
                self.nearest[layer] = found.nearest(sample.vectors, max(count, judged))
                near = sample.vectors[self.nearest[layer][:, :count]]
                self.typical[layer] = torch.einsum("knc,kc->kn", near, found.vectors).mean(1).clamp_min(1e-6)
            if layer not in self._boxes:
                self._boxes[layer] = self._typical_boxes(layer)

    def _typical_boxes(self, layer: str, count: int = 16) -> Tensor:
        """Around each sample's position, as large as receptive fields typically are, measured on a few samples."""
        sample = self.samples[layer]
        few = torch.arange(0, len(sample.images), max(1, len(sample.images) // count))[:count]
        pictures = torch.stack([self.pictures[n] for n in sample.images[few].tolist()])
        top, left, bottom, right = self.seen(layer, pictures, sample.positions[few]).unbind(1)
        half = int(torch.cat([bottom - top, right - left]).float().median()) // 2 + 1
        size = torch.tensor(pictures.shape[2:])
        grid = torch.tensor(method.pointwise_feature_vectors(self.model, pictures[:1], layer).shape[2:])
        centres = ((sample.positions + 0.5) * size / grid).long()
        return torch.cat([(centres - half).clamp_min(0), torch.minimum(centres + half, size)], 1)

    # --- pictures and maps

    def vectors(self, layer: str, samples: Iterable[int]) -> Tensor:
        """The pointwise feature vectors of some of a layer's samples, by their numbers: ``(n, C)``."""
        sample, rows = self.samples[layer], torch.as_tensor(list(samples))
        if sample.vectors.shape[1]:
            return sample.vectors[rows]
        found = []
        for some in rows.split(100):
            pictures = torch.stack([self.pictures[n] for n in sample.images[some].tolist()])
            maps = method.pointwise_feature_vectors(self.model, pictures, layer)
            y, x = sample.positions[some].unbind(1)
            found.append(maps[torch.arange(len(some)), :, y, x])
        return torch.cat(found)

    def seen(self, layer: str, images: Tensor, positions: Tensor) -> Tensor:
        """A box around most of what a position in each picture has seen: top, left, bottom, right ``(N, 4)``."""
        return method.boxes(self._fields(images, layer, positions), share=0.7, margin=0)

    def decompose(self, layer: str, images: Tensor) -> Decomposition:
        """The pictures' activations at a layer, taken apart into its concepts."""
        maps = method.pointwise_feature_vectors(self.model, images, layer)
        return method.decompose(maps, self.concepts[layer])

    def patch(self, layer: str, sample: int, side: int = 72, *, frame: bool = True, margin: float = 0.35) -> Image.Image:
        """What a sample has seen, with a margin of context; the frame goes around what it has seen itself."""
        picture = self.pictures[int(self.samples[layer].images[sample])]
        height, width = picture.shape[1:]
        y0, x0, y1, x1 = self._boxes[layer][sample].tolist()
        reach = min(max(max(y1 - y0, x1 - x0) * (1 + margin), 20), height, width)
        left = min(max((x0 + x1 - reach) / 2, 0), width - reach)
        top = min(max((y0 + y1 - reach) / 2, 0), height - reach)
        drawn = image_of(picture).resize((side, side), Image.Resampling.BICUBIC, box=(left, top, left + reach, top + reach))
        if frame:
            scale = side / reach
            box = [(x0 - left) * scale, (y0 - top) * scale, (x1 - left) * scale, (y1 - top) * scale]
            box = [min(max(round(value), 0), side - 1) for value in box]
            pen = ImageDraw.Draw(drawn)
            pen.rectangle(box, outline="black", width=3)
            pen.rectangle([box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1], outline="white", width=1)
        return drawn

    def patches(self, layer: str, concept: int, columns: int = 4, side: int = 72) -> Image.Image:
        """The concept's nearest samples, the nearest first, in one sheet."""
        near = self.nearest[layer][concept, : self.count].tolist()
        return sheet_of([self.patch(layer, sample, side) for sample in near], columns)

    def emblem(self, layer: str, concept: int, side: int = 72) -> Image.Image:
        """The one patch that stands for a concept: that of its nearest sample."""
        return self.patch(layer, int(self.nearest[layer][concept, 0]), side, frame=False, margin=0.4)

    def of_class(self, number: int, side: int = 72) -> list[Image.Image]:
        """A few pictures of a class, where classes are known."""
        if self.targets is None:
            return []
        own = (self.targets == number).nonzero()[: self.count, 0].tolist()
        return [image_of(self.pictures[n]).resize((side, side)) for n in own]

    # --- parts of the world

    def parts_of(self, layer: str, concept: int) -> list[Part]:
        """The parts that fill most of what the concept's nearest vectors have seen, the most frequent part first."""
        if self.labels is None:
            return []
        codes = self.labels[layer]
        return _shares(codes[self.nearest[layer][concept, : self.judged]], codes, self.part_names)

    def objects_of(self, layer: str, concept: int) -> list[Part]:
        """The objects in the pictures of the concept's nearest vectors, the most frequent first.

        Classes that differ in colour only count as one object, the drawing that they share.
        """
        if self.targets is None:
            return []
        names = [self.class_name(number) for number in range(int(self.targets.max()) + 1)]
        forms = [scenes.FORM.get(name, name) for name in names]
        kinds = list(dict.fromkeys(forms))
        codes = torch.tensor([kinds.index(form) for form in forms])[self.targets][self.samples[layer].images]
        return _shares(codes[self.nearest[layer][concept, : self.judged]], codes, kinds)

    # --- names

    def rename(self, layer: str, concept: int, name: str) -> None:
        """Give a concept the learner's name, or take it away with an empty one."""
        name = " ".join(name.split())
        if name == self.names.get((layer, concept), ""):
            return
        self.names[layer, concept] = name
        if not name:
            del self.names[layer, concept]
        for explorer in list(self._watching):
            explorer.renamed()

    def watch(self, explorer: Any) -> None:
        """Call the explorer's ``renamed`` whenever a name has changed, as long as the explorer lives."""
        self._watching.add(explorer)

    def call(self, layer: str, concept: int) -> str:
        """What a concept is called: its number, with the learner's name if there is one."""
        name = self.names.get((layer, concept))
        return f"concept {concept}" + (f" “{name}”" if name else "")

    def class_name(self, number: int) -> str:
        return self.classes[number] if number < len(self.classes) else f"class {number}"

    def title(self, picture: int) -> str:
        """A picture's number and, if known, its class."""
        return f"{picture}" if self.targets is None else f"{picture}: {self.class_name(int(self.targets[picture]))}"


def _shares(some: Tensor, every: Tensor, names: Sequence[str]) -> list[Part]:
    """How often each name's number is among some numbers and among all, the most frequent name first."""
    shares, usual = (numbers.bincount(minlength=len(names)) / len(numbers) for numbers in (some, every))
    order = shares.argsort(descending=True, stable=True)[: int((shares > 0).sum())].tolist()
    return [Part(names[code], float(shares[code]), float(usual[code])) for code in order]


def image_of(picture: Tensor) -> Image.Image:
    """A picture (3, H, W) in [0, 1] as PIL's."""
    return Image.fromarray((plotting.pixels(picture) * 255).round().astype("uint8"))


def sheet_of(tiles: Sequence[Image.Image], columns: int, gap: int = 5) -> Image.Image:
    side = tiles[0].width
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (side + gap) - gap, rows * (side + gap) - gap), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % columns * (side + gap), number // columns * (side + gap)))
    return sheet


class _Drawn(Sequence):
    """Something of each of the study's scenes, drawn when it is first asked for: ``[3]``, ``[:40]`` and ``[indices]`` work."""

    def __init__(self, draw: Callable[[scenes.Scene], Tensor]) -> None:
        self._draw = functools.lru_cache(maxsize=1024)(lambda number: draw(stored.scene(number)))

    def __len__(self) -> int:
        return stored.PICTURES

    def __getitem__(self, wanted: int | slice | Tensor | Sequence[int]) -> Tensor:
        if isinstance(wanted, slice):
            wanted = range(len(self))[wanted]
        numbers = torch.as_tensor(wanted)
        if numbers.ndim:
            return torch.stack([self._draw(number) for number in numbers.tolist()])
        return self._draw(range(len(self))[int(numbers)])


def scenes_atlas(model: nn.Module | None = None, layers: Sequence[str] = stored.LAYERS) -> ConceptAtlas:
    """The lesson's atlas: the stored concepts of `googlenet-scenes`, from `vizcourse.lessons.concept_graph.stored`.

    Its samples come without vectors (``atlas.vectors`` computes those that are asked for), and its pictures are drawn when
    they are looked at.
    """
    model = load(stored.NETWORK) if model is None else model
    known = (stored.dictionaries(), stored.samples(), stored.parts(), stored.boxes(), stored.nearest())
    concepts, samples, labels, boxes, nearest = ({layer: each[layer] for layer in layers} for each in known)
    atlas = ConceptAtlas(
        model,
        _Drawn(scenes.render),
        samples.values(),
        concepts.values(),
        targets=stored.classes(range(stored.PICTURES)),
        labels=labels,
        boxes=boxes,
        nearest=nearest,
        fields=functools.partial(stored.receptive_fields, model),
        judged=stored.NEAREST,
    )
    atlas.scenery = _Drawn(lambda scene: scenes.render(scene, labels=True)[1].part < stored.SCENERY)
    return atlas
