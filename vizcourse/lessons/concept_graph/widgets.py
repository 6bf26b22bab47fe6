"""Explorers of lesson 06: a concept browser, an interactive concept graph, and remove a concept."""

from __future__ import annotations

import base64
import functools
import html
import io
import itertools
import math
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import networkx
import torch
from matplotlib.axes import Axes
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn import functional

from vizcourse import plotting
from vizcourse.hooks import capture, replay
from vizcourse.lessons.concept_graph import study
from vizcourse.methods import concepts as method
from vizcourse.methods.concept_graph import generalized_integrated_gradients
from vizcourse.methods.concepts import Concepts, Decomposition, Samples
from vizcourse.models import load
from vizcourse.widgets import Explorer, row
from vizcourse.worlds import scenes

_STYLE = {"description_width": "initial"}


# --- what the explorers share ----------------------------------------------------------------------------------------


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
        drawn = _image(picture).resize((side, side), Image.Resampling.BICUBIC, box=(left, top, left + reach, top + reach))
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
        return _sheet([self.patch(layer, sample, side) for sample in near], columns)

    def emblem(self, layer: str, concept: int, side: int = 72) -> Image.Image:
        """The one patch that stands for a concept: that of its nearest sample."""
        return self.patch(layer, int(self.nearest[layer][concept, 0]), side, frame=False, margin=0.4)

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


def _image(picture: Tensor) -> Image.Image:
    """A picture (3, H, W) in [0, 1] as PIL's."""
    return Image.fromarray((plotting.pixels(picture) * 255).round().astype("uint8"))


def _sheet(tiles: Sequence[Image.Image], columns: int, gap: int = 5) -> Image.Image:
    side = tiles[0].width
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (side + gap) - gap, rows * (side + gap) - gap), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % columns * (side + gap), number // columns * (side + gap)))
    return sheet


def _show(axes: Axes, image: Image.Image, title: str = "") -> None:
    axes.imshow(image, interpolation="bilinear")
    axes.set_title(title, fontsize=10)
    axes.axis("off")


def _per_cent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _number(value: float, digits: int = 2, *, sign: bool = True) -> str:
    """A number as people write it, without an exponent: two digits of it, or all that stand before the point (+140)."""
    value = float(value)
    size = abs(value)
    places = min(max(digits - 1 - math.floor(math.log10(size)), 0), 3) if size else 0
    written = f"{size:.{places}f}"
    if not float(written):
        return "0"
    return ("−" if value < 0 else "+" if sign else "") + written


def _clip(text: str, most: int = 26) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _drawn(text: str, most: int = 26) -> str:
    """A text with a learner's name in it as matplotlib draws it: clipped, and its dollars are no formula."""
    return _clip(text, most).replace("$", r"\$")


# --- concept browser -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Browsed:
    """A concept: its name, its coefficients in a picture (h, w), and the parts it lies on (none before it has a name).

    The box is around what the position with the largest coefficient has seen: top, left, bottom, right.
    """

    layer: str
    concept: int
    name: str
    title: str
    picture: Tensor
    map: Tensor
    box: tuple[int, int, int, int] | None
    parts: list[Part]


class ConceptBrowser(Explorer):
    """Look at concepts one by one: nearest patches, where each is in a picture, and, once named, which parts it lies on.

    Args:
        atlas: of the concepts.
        pictures: title -> picture ``(3, H, W)`` to find concepts in; by default the first twelve of the atlas.
    """

    title = "Concept browser: look, name it, then see what it lies on"
    width = 900

    def __init__(self, atlas: ConceptAtlas, pictures: Mapping[str, Tensor] | None = None) -> None:
        self.atlas = atlas
        self.shown = dict(pictures or {atlas.title(n): atlas.pictures[n] for n in range(min(12, len(atlas.pictures)))})
        self._found = functools.lru_cache(maxsize=64)(self._localize)
        self._framed = functools.lru_cache(maxsize=1024)(self._frame)
        self._sheets = functools.lru_cache(maxsize=64)(self.atlas.patches)
        atlas.watch(self)
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        layers = self.atlas.layers
        first = layers[len(layers) // 2]
        return {
            "layer": ipywidgets.Dropdown(options=layers, value=first, description="Layer", style=_STYLE),
            "concept": ipywidgets.IntSlider(0, 0, len(self.atlas.concepts[first]) - 1, description="Concept"),
            "picture": ipywidgets.Dropdown(options=list(self.shown), description="Find it in picture", style=_STYLE),
            "name": ipywidgets.Text(
                self.atlas.names.get((first, 0), ""),
                description="Your name for it",
                placeholder="type, then Enter",
                continuous_update=False,  # else a half-typed name would count
                style=_STYLE,
            ),
        }

    def arrange(self) -> ipywidgets.Widget:
        c = self.controls
        return ipywidgets.VBox([row(c["layer"], c["concept"], c["name"]), row(c["picture"])])

    def settle(self, name: str) -> None:
        layer, concept, text = (self.controls[key] for key in ("layer", "concept", "name"))
        if name == "layer":
            most = len(self.atlas.concepts[layer.value]) - 1
            concept.value = min(concept.value, most)
            concept.max = most
        if name in ("layer", "concept"):
            text.value = self.atlas.names.get((layer.value, concept.value), "")
        elif name == "name":
            self.atlas.rename(layer.value, concept.value, text.value)

    def renamed(self) -> None:
        """A name was given in another explorer, or here."""
        self.controls["name"].value = self.atlas.names.get((self.controls["layer"].value, self.controls["concept"].value), "")

    def add(self, picture: Tensor, title: str = "mine") -> ConceptBrowser:
        """One more picture ``(3, H, W)`` in [0, 1] to find concepts in, of any size that the network takes; it is shown."""
        self.shown[title] = picture.detach().float()
        self._found.cache_clear()
        self._framed.cache_clear()
        with self._holding():
            self.controls["picture"].options = list(self.shown)
        self._drawn = None  # another picture may have borne this title
        return self.set(picture=title)

    def _localize(self, title: str, layer: str) -> Tensor:
        """Coefficients of all concepts of a layer in a picture: (K, h, w)."""
        return self.atlas.decompose(layer, self.shown[title][None]).coefficients[0]

    def _frame(self, title: str, layer: str, line: int, column: int) -> tuple[int, int, int, int]:
        return tuple(self.atlas.seen(layer, self.shown[title][None], torch.tensor([[line, column]]))[0].tolist())

    def compute(self, layer: str, concept: int, picture: str, name: str) -> Browsed:
        parts = self.atlas.parts_of(layer, concept) if name.strip() else []
        where = self._found(picture, layer)[concept]
        most = divmod(int(where.argmax()), where.shape[1])
        box = self._framed(picture, layer, *most) if float(where.max()) > 0 else None
        return Browsed(layer, concept, name, picture, self.shown[picture], where, box, parts)

    def answer_value(self) -> dict[str, Any]:
        """The layer, the concept, the learner's name for it, and (named or not) the shares of parts and of objects."""
        self.update()
        layer, concept = self.result.layer, self.result.concept
        parts, objects = (
            {each.name: each.share for each in found(layer, concept)} for found in (self.atlas.parts_of, self.atlas.objects_of)
        )
        return {"layer": layer, "concept": concept, "name": self.result.name, "parts": parts, "objects": objects}

    def draw(self, result: Browsed, **_: Any) -> bytes:
        figure, axes = plotting.new(9.8, 2.75, 1, 3, margins={})
        for each, place in zip(
            axes, ((0.005, 0.02, 0.5, 0.86), (0.515, 0.02, 0.235, 0.86), (0.76, 0.02, 0.235, 0.86)), strict=True
        ):
            each.set_position(place)
        _show(
            axes[0],
            self._sheets(result.layer, result.concept, -(-self.atlas.count // 2), 96),
            _drawn(f"{result.layer} · {self.atlas.call(result.layer, result.concept)}: its nearest patches", 64),
        )
        plotting.picture(axes[1], result.picture, _drawn(f"picture {result.title}", 30))
        largest = float(self.atlas.typical[result.layer][result.concept])
        height, width = result.picture.shape[1:]
        where = functional.interpolate(result.map[None, None], (height, width), mode="nearest")[0, 0]
        scale = f"its coefficients (0 to {_number(largest, sign=False)})"
        plotting.overlay(axes[2], result.picture, where, scale, largest=largest)
        if result.box is not None:
            top, left, bottom, right = result.box
            for each in axes[1:]:
                plotting.box(each, left, top, right - left, bottom - top)
        return plotting.png(figure, dpi=90)

    def describe(self, result: Browsed, **_: Any) -> str:
        called, atlas = self.atlas.call(result.layer, result.concept), self.atlas
        most = float(result.map.max())
        size = most / float(atlas.typical[result.layer][result.concept])
        if most <= 0:
            where = f"It is nowhere in picture {result.title}."
        else:
            line, column = divmod(int(result.map.argmax()), result.map.shape[1])
            where = (
                f"In picture {result.title} it is at {int((result.map > 0).sum())} of {result.map.numel()} positions, most at "
                f"row {line + 1}, column {column + 1} ({_per_cent(size)} as strong as in its nearest patches); what was "
                "seen from there is framed."
            )
        text = f"{result.layer}, {called} of {len(atlas.concepts[result.layer])}. {where} "
        if atlas.labels is None:
            return text.strip()
        if not result.parts:
            return text + "What is it? Give it a name: then the world's own labels are shown."
        first, *others = (
            f"{part.name} {_per_cent(part.share)} ({_per_cent(part.usual)} of all vectors)" for part in result.parts[:3]
        )
        spoken = ", ".join([first.replace(" of all", " of all the layer's"), *others])
        text += f"What its {atlas.judged} nearest vectors have mostly seen, by the world's labels: {spoken}."
        if set(scenes.PARTS[: study.SCENERY]) & set(atlas.part_names):
            scenery = sum(part.share for part in result.parts if part.name in scenes.PARTS[: study.SCENERY])
            text += f" Scenery in all: {_per_cent(scenery)}."
        if objects := atlas.objects_of(result.layer, result.concept):
            text += f" {_per_cent(objects[0].share)} of their pictures show one object: {objects[0].name}."
        return text


class _Drawn(Sequence):
    """Something of each of the study's scenes, drawn when it is first asked for: ``[3]``, ``[:40]`` and ``[indices]`` work."""

    def __init__(self, draw: Callable[[scenes.Scene], Tensor]) -> None:
        self._draw = functools.lru_cache(maxsize=1024)(lambda number: draw(study.scene(number)))

    def __len__(self) -> int:
        return study.PICTURES

    def __getitem__(self, wanted: int | slice | Tensor | Sequence[int]) -> Tensor:
        if isinstance(wanted, slice):
            wanted = range(len(self))[wanted]
        numbers = torch.as_tensor(wanted)
        if numbers.ndim:
            return torch.stack([self._draw(number) for number in numbers.tolist()])
        return self._draw(range(len(self))[int(numbers)])


def scenes_atlas(model: nn.Module | None = None, layers: Sequence[str] = study.LAYERS) -> ConceptAtlas:
    """The lesson's atlas: the stored concepts of `googlenet-scenes`, from `vizcourse.lessons.concept_graph.study`.

    Its samples come without vectors (``atlas.vectors`` computes those that are asked for), and its pictures are drawn when
    they are looked at.
    """
    model = load(study.NETWORK) if model is None else model
    stored = (study.dictionaries(), study.samples(), study.parts(), study.boxes(), study.nearest())
    concepts, samples, labels, boxes, nearest = ({layer: each[layer] for layer in layers} for each in stored)
    atlas = ConceptAtlas(
        model,
        _Drawn(scenes.render),
        samples.values(),
        concepts.values(),
        targets=study.classes(range(study.PICTURES)),
        labels=labels,
        boxes=boxes,
        nearest=nearest,
        fields=functools.partial(study.receptive_fields, model),
        judged=study.NEAREST,
    )
    atlas.scenery = _Drawn(lambda scene: scenes.render(scene, labels=True)[1].part < study.SCENERY)
    return atlas


# --- concept graph ---------------------------------------------------------------------------------------------------

OWN, PATH = "its own edges", "the strongest path"
#: In pixels: row labels, all, between rows, a node's picture.
_LABELS, _WIDTH, _GAP, _SIDE = 84, 960, 38, 58
_serial = itertools.count()

Weighted = list[tuple[str, float]]


def rows_of(graph: networkx.DiGraph) -> dict[str, list[str]]:
    """The layers of a concept graph, from the earliest to the class, each with its nodes.

    The most important node comes first. With two classes, the nodes stand between those that matter to the first class
    alone and those that matter to the second alone.
    """
    layer_of = networkx.get_node_attributes(graph, "layer")
    order = networkx.DiGraph()
    order.add_nodes_from(layer_of.values())
    order.add_edges_from({(layer_of[first], layer_of[second]) for first, second in graph.edges})
    found: dict[str, list[str]] = {layer: [] for layer in networkx.topological_sort(order)}
    for node, layer in layer_of.items():
        found[layer].append(node)
    *_, tops = found.values()
    classes = [f"importance:{graph.nodes[top]['concept']}" for top in tops]
    for nodes in found.values():
        if nodes is tops:
            continue
        entries = {node: graph.nodes[node] for node in nodes}
        if len(tops) == 2 and all(key in entry for entry in entries.values() for key in classes):
            sizes = [max(abs(entry[key]) for entry in entries.values()) or 1.0 for key in classes]
            leaning = {node: entry[classes[1]] / sizes[1] - entry[classes[0]] / sizes[0] for node, entry in entries.items()}
            nodes.sort(key=leaning.__getitem__)
        else:
            nodes.sort(key=lambda node: -abs(graph.nodes[node].get("importance", 0.0)))
    return found


@dataclass(frozen=True)
class Traced:
    """A node of a graph, its causes and effects with their weights (strongest first), and the edges that are marked."""

    graph: str
    node: str
    causes: Weighted
    effects: Weighted
    edges: list[tuple[str, str]]
    trace: str
    least: float


class ConceptGraph(Explorer):
    """A concept graph to click in: pictures as nodes, contributions as edges, causes below and effects above.

    Args:
        graphs: name -> graph as `build_graph` makes it.
        atlas: of the concepts in them.
        pictures: name of a graph -> the picture ``(3, H, W)`` that it is of, for graphs of one picture.
    """

    title = "Concept graph: click a node to trace its causes and effects"
    width = 900

    def __init__(
        self, graphs: Mapping[str, networkx.DiGraph], atlas: ConceptAtlas, *, pictures: Mapping[str, Tensor] | None = None
    ) -> None:
        self.graphs, self.atlas, self.pictures = dict(graphs), atlas, dict(pictures or {})
        if not self.graphs or not all(graph.number_of_edges() for graph in self.graphs.values()):
            raise ValueError("Pass at least one graph, and none without edges: make them with build_graph.")
        self.rows = {name: rows_of(graph) for name, graph in self.graphs.items()}
        #: node -> (layer, number of the concept or of the class)
        self.at = {
            node: (entry["layer"], int(entry["concept"]))
            for graph in self.graphs.values()
            for node, entry in graph.nodes(data=True)
        }
        for layer, number in self.at.values():
            if layer in atlas.concepts and number >= len(atlas.concepts[layer]):
                raise ValueError(
                    f"A graph has concept {number} of {layer!r}, of which the atlas knows {len(atlas.concepts[layer])}: "
                    "build both from the same concepts."
                )
        self._localized = functools.lru_cache(maxsize=32)(
            lambda name, layer: self.atlas.decompose(layer, self.pictures[name][None]).coefficients[0]
        )
        self._sheets = functools.lru_cache(maxsize=64)(self.atlas.patches)
        self._build()
        atlas.watch(self)
        super().__init__()

    def set(self, **values: Any) -> ConceptGraph:
        """As in every explorer; a node may also be named by ``(layer, number)``."""
        if isinstance(values.get("node"), tuple):
            values["node"] = "{}:{}".format(*values["node"])
        return super().set(**values)

    # --- what things are called

    def is_class(self, node: str) -> bool:
        return self.at[node][0] not in self.atlas.concepts

    def label(self, node: str) -> str:
        """What a node is called: layer, number and the learner's name, or the class."""
        layer, number = self.at[node]
        if self.is_class(node):
            return self.atlas.class_name(number)
        name = self.atlas.names.get((layer, number))
        return f"{layer} · concept {number}" + (f" · {name}" if name else "")

    def _caption(self, node: str) -> str:
        """The same in two short lines, for a button: a name takes the place of the layer, which the row tells as well."""
        layer, number = self.at[node]
        if self.is_class(node):
            return self.label(node)
        name = self.atlas.names.get((layer, number))
        return f"{number} · {_clip(name, 20)}" if name else f"{layer} ·\nconcept {number}"

    def _tooltip(self, name: str, node: str) -> str:
        entry = self.graphs[name].nodes[node]
        text = self.label(node)
        if not self.is_class(node) and "importance" in entry:
            text += f", contribution to the class {_number(entry['importance'])}"
        return text + (", shared by the classes" if entry.get("shared") else "")

    # --- the graph on the page: a button for each node, and lines between the rows

    def _build(self) -> None:
        """Make the rows, as many and as wide as the largest graph needs them: their contents change, they do not."""
        key, stays = f"vizcourse-graph-{next(_serial)}", "0 0 auto"
        self._own = {node: f"{key}-{number}" for number, node in enumerate(self.at)}
        style = ipywidgets.HTML(f"<style>{self._styles(key)}</style>", layout=ipywidgets.Layout(height="0", margin="0"))
        children: list[ipywidgets.Widget] = [style]
        self._buttons: dict[str, list[ipywidgets.Button]] = {}
        self._lines: dict[str, ipywidgets.HTML] = {}  # below a layer's row
        self._lanes: dict[str, ipywidgets.Box] = {}
        layers = list(rows_of(networkx.compose_all(list(self.graphs.values()))))[::-1]
        for layer in layers:
            most = max(len(rows.get(layer, ())) for rows in self.rows.values())
            self._buttons[layer] = [ipywidgets.Button(layout=ipywidgets.Layout(flex=stays)) for _ in range(most)]
            for number, button in enumerate(self._buttons[layer]):
                button.on_click(functools.partial(self._clicked, layer, number))
            name = ipywidgets.HTML(
                f'<div style="font-size:12px;line-height:1.2;font-weight:bold">{html.escape(layer)}</div>',
                layout=ipywidgets.Layout(width=f"{_LABELS}px", margin="0", flex=stays),
            )
            wide = {"width": f"{_WIDTH}px", "margin": "0", "padding": "0", "flex": stays}
            self._lanes[layer] = ipywidgets.HBox(
                [name, *self._buttons[layer]], layout=ipywidgets.Layout(align_items="center", **wide)
            )
            self._lines[layer] = ipywidgets.HTML(layout=ipywidgets.Layout(**wide))
            children += [self._lanes[layer], self._lines[layer]]
        self.stage = ipywidgets.VBox(children, layout=ipywidgets.Layout(overflow="auto", width="100%", padding="4px 0"))
        self.stage.add_class(key)

    def _styles(self, key: str) -> str:
        """The look of the nodes; pictures stand in it as data, so that nothing has to be fetched."""
        every, side = f".{key} .jupyter-button.vizcourse-node", _SIDE
        rules = [
            f"{every} {{height: {side + 35}px; padding: {side + 5}px 1px 0; margin: 0; line-height: 12px; font-size: 10px;"
            "white-space: pre-line; overflow: hidden; text-overflow: clip; color: #000; text-align: center;"
            "background-color: #fff; background-repeat: no-repeat; background-position: center 3px; border: 2px solid #bbb;"
            f"background-size: {side}px {side}px; border-radius: 4px; opacity: 1; box-sizing: border-box; display: block}}",
            f"{every}.vizcourse-narrow {{font-size: 9px; padding-left: 0; padding-right: 0}}",
            f"{every}.vizcourse-chosen {{border: 4px solid #000; padding-top: {side + 3}px; background-position: center 1px}}",
            f"{every}.vizcourse-traced {{border: 3px solid {plotting.BLUE}; padding-top: {side + 4}px;"
            "background-position: center 2px}",
            f"{every}.vizcourse-aside {{opacity: 0.6}}",
            f"{every}.vizcourse-shared {{background-color: #FFE9A8}}",
            f"{every}:focus-visible {{outline: 3px solid {plotting.BLUE}; outline-offset: 1px}}",
            f"{every}.vizcourse-wordy {{height: 44px; padding: 4px; font-size: 13px; font-weight: bold; line-height: 15px}}",
        ]
        for node, own in self._own.items():
            if not self.is_class(node):
                rules.append(f"{every}.{own} {{background-image: url({_data(self.atlas.emblem(*self.at[node], side))})}}")
        return "\n".join(rules)

    def _clicked(self, layer: str, number: int, _button: Any) -> None:
        nodes = self.rows[self.controls["graph"].value].get(layer, ())
        if number < len(nodes):
            self.controls["node"].value = nodes[number]

    @staticmethod
    def _pitch(count: int) -> float:
        """Distance between the nodes of a row of so many."""
        return (_WIDTH - _LABELS) / max(count, 1)

    def _places(self, name: str) -> dict[str, float]:
        """Where the middle of each node of a graph is, in pixels from the left."""
        return {
            node: _LABELS + (number + 0.5) * self._pitch(len(nodes))
            for nodes in self.rows[name].values()
            for number, node in enumerate(nodes)
        }

    def _set_stage(self, result: Traced) -> None:
        """Bring buttons and lines up to date."""
        name, rows = result.graph, self.rows[result.graph]
        traced, places, order = {node for edge in result.edges for node in edge}, self._places(name), list(rows)
        for layer, buttons in self._buttons.items():
            nodes = rows.get(layer, [])
            pitch = self._pitch(len(nodes))
            width = int(min(150 if layer not in self.atlas.concepts else 118, pitch - 4))
            self._lanes[layer].layout.display = "flex" if nodes else "none"
            for number, button in enumerate(buttons):
                button.layout.display = "block" if number < len(nodes) else "none"
                if number >= len(nodes):
                    continue
                node = nodes[number]
                button.layout.width, button.layout.margin = f"{width}px", f"0 {(pitch - width) / 2:.2f}px"
                shared = bool(self.graphs[name].nodes[node].get("shared"))
                button.description = ("◆ " if shared else "") + self._caption(node)
                button.tooltip = self._tooltip(name, node)
                looks = {
                    "node": True,
                    "wordy": self.is_class(node),
                    "narrow": width < 80,
                    "shared": shared,
                    "chosen": node == result.node,
                    "traced": node != result.node and node in traced,
                    "aside": node != result.node and node not in traced,
                }
                button._dom_classes = (self._own[node], *(f"vizcourse-{look}" for look, there in looks.items() if there))
            below = order[order.index(layer) - 1] if layer in order[1:] else None
            self._lines[layer].layout.display = "none" if below is None else "block"
            if below is not None:
                self._lines[layer].value = self._svg(self._strokes(result, below, layer), below, layer, places)

    def _strokes(self, result: Traced, lower: str, upper: str) -> list[tuple[str, str, float, float, bool]]:
        """The lines between two rows: both ends, weight, share of the strongest, and whether marked; those on top last."""
        edges = self.graphs[result.graph].edges(data="weight")
        between = [(a, b, weight) for a, b, weight in edges if self.at[a][0] == lower and self.at[b][0] == upper]
        strongest = max((abs(weight) for *_, weight in between), default=0.0) or 1.0
        marked = set(result.edges)
        strokes = [(a, b, weight, abs(weight) / strongest, (a, b) in marked) for a, b, weight in between]
        return sorted((each for each in strokes if each[4] or each[3] >= result.least), key=lambda each: (each[4], each[3]))

    def _svg(self, strokes: Sequence[tuple], lower: str, upper: str, places: Mapping[str, float]) -> str:
        lines = []
        for a, b, weight, share, marked in strokes:
            colour = (plotting.BLUE if weight >= 0 else plotting.RED) if marked else "#999"
            dashes = "" if weight >= 0 else ' stroke-dasharray="7 4"'
            said = html.escape(f"{self.label(a)} → {self.label(b)}: {_number(weight)}")
            lines.append(
                f'<line x1="{places[a]:.1f}" y1="{_GAP}" x2="{places[b]:.1f}" y2="0" stroke="{colour}" '
                f'stroke-width="{0.6 + 6 * share:.1f}" stroke-opacity="{0.95 if marked else 0.3}"{dashes}>'
                f"<title>{said}</title></line>"
            )
        what = f"{len(lines)} edges from {html.escape(lower)} to {html.escape(upper)}"
        size = f'width="{_WIDTH}" height="{_GAP}" viewBox="0 0 {_WIDTH} {_GAP}"'
        return f'<svg {size} style="display:block" role="img" aria-label="{what}">{"".join(lines)}</svg>'

    # --- controls and tracing

    def make_controls(self) -> dict[str, Any]:
        first = next(iter(self.graphs))
        options = self._options(first)
        return {
            "graph": ipywidgets.Dropdown(options=list(self.graphs), value=first, description="Graph of", style=_STYLE),
            "node": ipywidgets.Dropdown(options=options, value=options[0][1], description="Node", style=_STYLE),
            "trace": ipywidgets.Dropdown(options=[OWN, PATH], description="Mark", style=_STYLE),
            "least": ipywidgets.FloatSlider(
                0.1,
                min=0,
                max=1,
                step=0.05,
                description="Hide edges below",  # as a share of the strongest between the same two rows
                style=_STYLE,
                layout=ipywidgets.Layout(width="300px"),
            ),
        }

    def _options(self, name: str) -> list[tuple[str, str]]:
        return [(self.label(node), node) for nodes in reversed(self.rows[name].values()) for node in nodes]

    def arrange(self) -> ipywidgets.Widget:
        c = self.controls
        return ipywidgets.VBox([row(c["graph"], c["node"], c["trace"], c["least"]), self.stage])

    def settle(self, name: str) -> None:
        if name == "graph":
            self._relabel()

    def _relabel(self) -> None:
        """The nodes of the graph to choose from; the present choice stays if the graph has it."""
        name, node = self.controls["graph"].value, self.controls["node"]
        options = self._options(name)
        kept = node.value if node.value in self.graphs[name] else options[0][1]
        with self._holding():
            node.options = options
            node.value = kept

    def renamed(self) -> None:
        """The learner has named a concept: its node bears the name."""
        self._relabel()
        self._drawn = None
        self._schedule()

    def compute(self, graph: str, node: str, trace: str, least: float) -> Traced:
        drawn = self.graphs[graph]

        def causes(here: str) -> Weighted:
            return _strongest_first((cause, weight) for cause, _, weight in drawn.in_edges(here, data="weight"))

        def effects(here: str) -> Weighted:
            return _strongest_first((effect, weight) for _, effect, weight in drawn.out_edges(here, data="weight"))

        if trace == OWN:
            edges = [(cause, node) for cause, _ in causes(node)] + [(node, effect) for effect, _ in effects(node)]
        else:
            edges, here = [], node
            while found := causes(here):
                edges.append((found[0][0], here))
                here = found[0][0]
            here = node
            while found := effects(here):
                edges.append((here, found[0][0]))
                here = found[0][0]
        return Traced(graph, node, causes(node), effects(node), edges, trace, least)

    def answer_value(self) -> dict[str, Any]:
        """The graph, the chosen node, and its causes and effects as ``(node, weight)``, the strongest first."""
        self.update()
        result = self.result
        return {"graph": result.graph, "node": result.node, "causes": result.causes, "effects": result.effects}

    # --- pictures

    def draw(self, result: Traced, **_: Any) -> bytes:
        """The chosen node in detail; the graph itself is on the stage."""
        self._set_stage(result)
        layer, number = self.at[result.node]
        picture, known = self.pictures.get(result.graph), not self.is_class(result.node)
        figure, axes = plotting.new(9.8, 2.3, 1, 4, margins={})
        places = ((0.005, 0.02, 0.36, 0.82), (0.375, 0.02, 0.2, 0.82), (0.735, 0.55, 0.25, 0.34), (0.735, 0.03, 0.25, 0.34))
        for each, place in zip(axes, places, strict=True):
            each.set_position(place)
            each.axis("off")
        columns = -(-self.atlas.count // 2)
        if known:
            _show(axes[0], self._sheets(layer, number, columns, 72), _drawn(self.label(result.node), 44))
        elif own := self._of_class(number):
            _show(axes[0], _sheet(own, columns), f"pictures of the class {self.label(result.node)}")
        if picture is not None and known:
            where = functional.interpolate(self._localized(result.graph, layer)[None, number : number + 1], picture.shape[1:])
            plotting.overlay(
                axes[1], picture, where[0, 0], "its coefficients", largest=float(self.atlas.typical[layer][number])
            )
        elif picture is not None:
            plotting.picture(axes[1], picture, "the picture")
        self._bars(axes[2], result.effects[:5], "effects, above")
        self._bars(axes[3], result.causes[:5], "causes, below")
        return plotting.png(figure, dpi=90)

    def _of_class(self, number: int) -> list[Image.Image]:
        """A few of the atlas' pictures of a class."""
        if self.atlas.targets is None:
            return []
        own = (self.atlas.targets == number).nonzero()[: self.atlas.count, 0].tolist()
        return [_image(self.atlas.pictures[n]).resize((72, 72)) for n in own]

    def _bars(self, axes: Axes, those: Weighted, title: str) -> None:
        if not those:
            return
        axes.axis("on")
        axes.set_title(f"{title}: {self.at[those[0][0]][0]}", fontsize=9, pad=3)
        axes.spines[:].set_visible(False)
        weights = [weight for _, weight in those]
        colours = [plotting.BLUE if weight >= 0 else plotting.RED for weight in weights]
        bars = axes.barh(range(len(those)), weights, color=colours, edgecolor="white")
        for bar, weight in zip(bars, weights, strict=True):
            bar.set_hatch("" if weight >= 0 else "////")
        axes.bar_label(bars, [_number(weight) for weight in weights], fontsize=7, padding=2)
        called = [self.label(node) if self.is_class(node) else self.atlas.call(*self.at[node]) for node, _ in those]
        axes.set_yticks(range(len(those)), [_drawn(each, 28) for each in called], fontsize=7)
        axes.tick_params(length=0)
        axes.set_xticks([])
        axes.invert_yaxis()
        axes.margins(x=0.2)

    def snapshot(self) -> bytes:
        """The graph as one picture, for where nothing can be clicked: nodes with their pictures, edges, and what is traced."""
        result, graph = self.result, self.graphs[self.result.graph]
        rows, places = self.rows[result.graph], self._places(result.graph)
        traced = {node for edge in result.edges for node in edge}
        tops, y = {}, 6
        for layer in reversed(rows):
            tops[layer] = y
            y += (_SIDE + 20 if layer in self.atlas.concepts else 26) + _GAP
        height = y - _GAP + 4
        figure, axes = plotting.new(_WIDTH / 125, height / 125, margins={"left": 0, "right": 1, "top": 1, "bottom": 0})
        axes.axis("off")
        for lower, upper in itertools.pairwise(rows):
            for a, b, weight, share, marked in self._strokes(result, lower, upper):
                colour = (plotting.BLUE if weight >= 0 else plotting.RED) if marked else "#999"
                style = "-" if weight >= 0 else (0, (2.5, 1.5))
                ends = [places[b], places[a]], [tops[lower] - _GAP, tops[lower]]
                width, alpha = (0.4 + 3.6 * share, 1.0) if marked else (0.4 + 2.4 * share, 0.5)
                axes.plot(*ends, linestyle=style, color=colour, linewidth=width, alpha=alpha)
        for layer, nodes in rows.items():
            y, known = tops[layer], layer in self.atlas.concepts
            axes.text(2, y + (_SIDE / 2 if known else 13), layer, fontsize=7, va="center", weight="bold")
            for node in nodes:
                x, chosen = places[node], node == result.node
                frame = {"color": "black" if chosen else plotting.BLUE}
                frame["linewidth"] = 2.8 if chosen else 1.8 if node in traced else 0
                if not known:
                    framed = bool(frame["linewidth"])
                    box = {"facecolor": "white", "edgecolor": frame["color"] if framed else "black"}
                    box["linewidth"] = frame["linewidth"] or 0.5
                    axes.text(x, y + 13, self.label(node), fontsize=9, weight="bold", ha="center", va="center", bbox=box)
                    continue
                left, right = x - _SIDE / 2, x + _SIDE / 2
                emblem = self.atlas.emblem(*self.at[node], _SIDE)
                axes.imshow(emblem, extent=(left, right, y + _SIDE, y), interpolation="bilinear", zorder=2)
                if frame["linewidth"]:
                    axes.plot([left, right, right, left, left], [y, y, y + _SIDE, y + _SIDE, y], zorder=4, **frame)
                said = _drawn(f"{self.at[node][1]} {self.atlas.names.get(self.at[node], '')}".rstrip(), 14)
                shared = bool(graph.nodes[node].get("shared"))
                box = {"facecolor": "#FFE9A8" if shared else "white", "edgecolor": "none", "boxstyle": "square,pad=0.15"}
                axes.text(x, y + _SIDE + 10, ("◆ " if shared else "") + said, fontsize=7, ha="center", va="center", bbox=box)
        axes.set(xlim=(0, _WIDTH), ylim=(height, 0), aspect="auto")
        return plotting.shown(figure, "", palette=256).png

    def _order(self, name: str) -> str:
        """What it means that a node stands further to the left: see `rows_of`."""
        *_, tops = self.rows[name].values()
        if len(tops) != 2:
            return f"In each row, what contributes most to the {'class' if len(tops) == 1 else 'classes'} is on the left."
        first, second = (self.label(top) for top in tops)
        return f"In each row, from left to right: from what matters to {first} alone to what matters to {second} alone."

    def describe(self, result: Traced, **_: Any) -> str:
        def spoken(those: Weighted) -> str:
            most = ", ".join(f"{self.label(node)} ({_number(weight)})" for node, weight in those[:3])
            return f"{most}{f' and {len(those) - 3} more' if len(those) > 3 else ''}"

        graph = self.graphs[result.graph]
        text = f"Graph of {result.graph}: {self._tooltip(result.graph, result.node)}. "
        text += f"Its causes in the row below: {spoken(result.causes)}. " if result.causes else ""
        text += f"Its effects in the row above: {spoken(result.effects)}. " if result.effects else ""
        marked = "the strongest path through it" if result.trace == PATH else "all its edges"
        text += (
            f"In colour: {marked}; the other edges are grey. Solid speaks for, dashed against; wider is stronger (among the "
            "edges between the same two rows). The chosen node has a black frame, the others on coloured edges a blue one. "
        )
        text += self._order(result.graph)
        shared = sum(bool(there) for _, there in graph.nodes(data="shared"))
        return text + (f" Tinted, with ◆: the {shared} concepts that the classes share." if shared else "")


def _strongest_first(edges: Iterable[tuple[str, float]]) -> Weighted:
    return sorted(edges, key=lambda edge: -abs(edge[1]))


def _data(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


# --- remove a concept ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scaled:
    """A picture with one concept's coefficient scaled: scores before and after, and what GIG predicts of the change."""

    picture: str
    concept: int
    scale: float
    map: Tensor  # the concept's coefficients in the picture, (h, w)
    classes: list[int]
    logits: Tensor  # before and after, of these classes: (2, classes)
    class_edges: Tensor  # GIG of the concept to these classes, (classes,)
    probabilities: Tensor  # before and after, of all classes: (2, all)
    targets: list[int]
    scores: Tensor  # before and after, of the later layer's concepts: (2, targets)
    target_edges: Tensor  # (targets,)

    @property
    def predicted(self) -> tuple[Tensor, Tensor]:
        """GIG's prediction of the changes of logits and of later concepts: (scale − 1) times the edge."""
        return (self.scale - 1) * self.class_edges, (self.scale - 1) * self.target_edges

    @property
    def measured(self) -> tuple[Tensor, Tensor]:
        """The changes of logits and of later concepts."""
        return self.logits[1] - self.logits[0], self.scores[1] - self.scores[0]


class RemoveConcept(Explorer):
    """Scale one concept's coefficient in a picture, and compare what moves with what GIG says will move.

    The residual, which the concepts do not explain, is kept: at scale 1 nothing at all changes.

    Args:
        atlas: of the concepts.
        layer: whose concept is scaled.
        later: whose concepts are watched; by default the next layer of the atlas.
        pictures: title -> picture ``(3, H, W)``; by default the first four of the atlas. All are worked out beforehand.
        steps: of GIG.
    """

    title = "Remove a concept: scale it, and see what GIG foretold"
    width = 900
    #: So many classes and later concepts are watched.
    CLASSES, TARGETS = 4, 6

    def __init__(
        self,
        atlas: ConceptAtlas,
        layer: str,
        later: str | None = None,
        *,
        pictures: Mapping[str, Tensor] | None = None,
        steps: int = 16,
    ) -> None:
        if layer not in atlas.concepts or (later is None and layer == atlas.layers[-1]):
            raise ValueError(f"Choose a layer with another after it: one of {', '.join(atlas.layers[:-1])}, not {layer!r}.")
        later = atlas.layers[atlas.layers.index(layer) + 1] if later is None else later
        if later not in atlas.concepts:
            raise ValueError(f"The atlas has no layer {later!r}: it has {', '.join(atlas.layers)}.")
        self.atlas, self.layer, self.later, self.steps = atlas, layer, later, steps
        self.shown = dict(pictures or {atlas.title(n): atlas.pictures[n] for n in range(min(4, len(atlas.pictures)))})
        self._prepare(torch.stack(list(self.shown.values())))
        atlas.watch(self)
        super().__init__()

    def _prepare(self, images: Tensor) -> None:
        model, later = self.atlas.model, self.atlas.concepts[self.later]
        with torch.no_grad():
            self._probabilities = model(images).softmax(1)
        self._classes = self._probabilities.topk(min(self.CLASSES, self._probabilities.shape[1])).indices
        self._parts = self.atlas.decompose(self.layer, images)
        gig = functools.partial(generalized_integrated_gradients, model, images, steps=self.steps)
        self._class_edges = gig(self._classes, self._parts).edges
        # The later concepts to watch are those that count most for the class, as in the graph.
        counts = gig(self._classes[:, :1], self.atlas.decompose(self.later, images)).edges[:, 0]
        self._targets = counts.abs().topk(min(self.TARGETS, len(later))).indices
        self._target_edges = gig(self._targets, self._parts, later).edges
        self._rest = [replay(model, image[None], self.layer) for image in images]
        self._after = functools.lru_cache(maxsize=512)(self._run)
        self._emblems = functools.lru_cache(maxsize=128)(self._patches)
        self._before = [self._run(number, 0, 1.0) for number in range(len(images))]

    @torch.no_grad()
    def _run(self, number: int, concept: int, scale: float) -> tuple[Tensor, Tensor]:
        """Logits and scores of all later concepts with a concept of a picture scaled."""
        rest, later = self._rest[number], self.atlas.concepts[self.later]
        share = self._parts.coefficients[number, concept] * self._parts.concepts.vectors[concept][:, None, None]
        # What is scaled is the concept's own share alone: the other concepts and the residual stay as they are.
        with capture(self.atlas.model, self.later) as acts:
            logits = rest(rest.activation + (scale - 1) * share)
        return logits[0], torch.einsum("chw,kc->k", acts[self.later][0], later.vectors)

    def make_controls(self) -> dict[str, Any]:
        first = next(iter(self.shown))
        options = self._options(first)
        return {
            "picture": ipywidgets.Dropdown(options=list(self.shown), value=first, description="Picture", style=_STYLE),
            "concept": ipywidgets.Dropdown(
                options=options,
                value=options[0][1],
                description=f"Concept of {self.layer}",
                style=_STYLE,
                layout=ipywidgets.Layout(width="440px"),
            ),
            "scale": ipywidgets.FloatSlider(
                1, min=0, max=2, step=0.1, description="Times", style=_STYLE, layout=ipywidgets.Layout(width="420px")
            ),
        }

    def _options(self, picture: str) -> list[tuple[str, int]]:
        """All concepts, the one that counts most for the picture's class first."""
        number = list(self.shown).index(picture)
        edges = self._class_edges[number, 0]
        there = self._parts.coefficients[number].flatten(1).ne(0).any(1)
        named = self.atlas.class_name(int(self._classes[number, 0]))
        return [
            (f"{self.atlas.call(self.layer, k)}, {f'{named} {_number(edges[k])}' if there[k] else 'not here'}", k)
            for k in edges.abs().argsort(descending=True, stable=True).tolist()
        ]

    def settle(self, name: str) -> None:
        if name == "picture":
            self._relabel()

    def _relabel(self) -> None:
        concept = self.controls["concept"]
        kept = concept.value
        with self._holding():
            concept.options = self._options(self.controls["picture"].value)
            concept.value = kept

    def renamed(self) -> None:
        """The learner has named a concept: the choice and the picture bear the name."""
        self._relabel()
        self._drawn = None
        self._schedule()

    def compute(self, picture: str, concept: int, scale: float) -> Scaled:
        number, scale = list(self.shown).index(picture), round(scale, 3)
        before, after = self._before[number], self._after(number, concept, scale)
        logits, scores = (torch.stack(pair) for pair in zip(before, after, strict=True))
        classes, targets = self._classes[number], self._targets[number]
        return Scaled(
            picture=picture,
            concept=concept,
            scale=scale,
            map=self._parts.coefficients[number, concept],
            classes=classes.tolist(),
            logits=logits[:, classes],
            class_edges=self._class_edges[number, :, concept],
            probabilities=logits.softmax(1),
            targets=targets.tolist(),
            scores=scores[:, targets],
            target_edges=self._target_edges[number, :, concept],
        )

    def answer_value(self) -> dict[str, Any]:
        """The state with the class scored highest, and how much its logit changes: measured and predicted."""
        self.update()
        result = self.result
        return {
            **self.state,
            "class": self.atlas.class_name(result.classes[0]),
            "change": float(result.measured[0][0]),
            "predicted": float(result.predicted[0][0]),
        }

    def draw(self, result: Scaled, **_: Any) -> bytes:
        # Axes are what takes longest to draw: picture and patches share one.
        figure, axes = plotting.new(9.8, 3.0, 1, 3, margins={})
        places = ((0.005, 0.015, 0.165, 0.975), (0.285, 0.17, 0.26, 0.71), (0.705, 0.17, 0.27, 0.71))
        for each, place in zip(axes, places, strict=True):
            each.set_position(place)
        picture, atlas = self.shown[result.picture], self.atlas
        largest = float(atlas.typical[self.layer][result.concept])
        where = functional.interpolate(result.map[None, None], picture.shape[1:], mode="nearest")[0, 0]
        plotting.overlay(axes[0], picture, where, largest=largest)
        name = atlas.names.get((self.layer, result.concept))
        called = _drawn(f"{result.concept} · {name}" if name else f"concept {result.concept}", 20)
        height, width = picture.shape[1:]
        line = 0.19 * width  # room for a title
        top = height + line
        axes[0].imshow(self._emblems(result.concept), extent=(0, width, top + width, top), interpolation="bilinear")
        for below, title in ((0, "its coefficients"), (top, called)):
            axes[0].text(width / 2, below - 0.06 * width, title, fontsize=10, ha="center", va="baseline")
        axes[0].set(xlim=(0, width), ylim=(top + width, -line), anchor="C")
        changed, foretold = result.measured, result.predicted
        names = [
            atlas.class_name(number) + "\n" + " → ".join(f"{round(value, 1) + 0.0:.1f}".replace("-", "−") for value in pair)
            for number, pair in zip(result.classes, result.logits.T.tolist(), strict=True)
        ]
        self._pairs(axes[1], names, changed[0], foretold[0], result.class_edges)
        axes[1].set_title("change of the logits", fontsize=10)
        names = [
            _drawn(f"{number}" + f" {atlas.names.get((self.later, number), '')}".rstrip(), 18) for number in result.targets
        ]
        self._pairs(axes[2], names, changed[1], foretold[1], result.target_edges)
        axes[2].set_title(f"change of concepts of {self.later}", fontsize=10)
        axes[2].set_xlabel("sum of projections", fontsize=8, labelpad=1)
        axes[1].set_xlabel("logit", fontsize=8, labelpad=1)
        figure.legend(
            *axes[1].get_legend_handles_labels(), loc="upper center", bbox_to_anchor=(0.62, 1.0), fontsize=8, frameon=False
        )
        return plotting.png(figure, dpi=90)

    def _patches(self, concept: int) -> Image.Image:
        near = self.atlas.nearest[self.layer][concept, :4].tolist()
        return _sheet([self.atlas.patch(self.layer, sample, 64) for sample in near], 2)

    @staticmethod
    def _pairs(axes: Axes, names: Sequence[str], measured: Tensor, predicted: Tensor, edges: Tensor) -> None:
        """Two bars for each name, from zero: what was measured, and what GIG predicted (hatched)."""
        places = range(len(names))
        for values, offset, colour, hatch, label in (
            (measured, -0.19, plotting.BLUE, None, "measured"),
            (predicted, 0.19, plotting.ORANGE, "///", "GIG predicts"),
        ):
            bars = axes.barh(
                [place + offset for place in places],
                values.tolist(),
                0.36,
                color=colour,
                hatch=hatch,
                edgecolor="white",
                label=label,
            )
            axes.bar_label(bars, [_number(value) for value in values.tolist()], fontsize=7, padding=2)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(places, names, fontsize=8)
        axes.invert_yaxis()
        # The edges set the scale, so that the bars grow and shrink as the slider moves.
        most = max(float(edges.abs().max()), float(measured.abs().max()))
        reach = 1.5 * most if most > 1e-6 else 1.0  # where the concept is not there, nothing moves
        axes.set_xlim(-reach, reach)
        axes.tick_params(labelsize=8)

    def describe(self, result: Scaled, **_: Any) -> str:
        atlas, changed, foretold = self.atlas, result.measured, result.predicted
        before, after = (int(row.argmax()) for row in result.probabilities)
        chances = [
            f"{atlas.class_name(number)} ({_per_cent(float(line[number]))})"
            for line, number in zip(result.probabilities, (before, after), strict=True)
        ]
        called = f"{self.layer}, {atlas.call(self.layer, result.concept)}, in picture {result.picture}"
        if not bool(result.map.ne(0).any()):
            return f"{called}: it is not there, so there is nothing to scale. The network says {chances[0]}."
        if result.scale == 1:
            return f"{called}: at 1 times nothing changes, because the residual is kept. The network says {chances[0]}."
        most = int(changed[1].abs().argmax())
        return (
            f"{called}, {result.scale:.1f} times: the logit of {atlas.class_name(result.classes[0])} goes from "
            f"{float(result.logits[0, 0]):.2f} to {float(result.logits[1, 0]):.2f}, a change of {_number(changed[0][0], 3)}; "
            f"GIG predicts {_number(foretold[0][0], 3)}. Of the concepts of {self.later}, "
            f"{atlas.call(self.later, result.targets[most])} moves most: {_number(changed[1][most], 3)}, predicted "
            f"{_number(foretold[1][most], 3)}. The network said {chances[0]}, and now says {chances[1]}."
        )


WIDGETS = (ConceptBrowser, ConceptGraph, RemoveConcept)
