"""Explorers of lesson 06: a concept browser, an interactive concept graph, and remove a concept."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import networkx
import torch
from matplotlib.axes import Axes
from PIL import Image
from torch import Tensor
from torch.nn import functional

from vizcourse import plotting
from vizcourse.lessons.concept_graph import words
from vizcourse.lessons.concept_graph.atlas import ConceptAtlas, Part, sheet_of
from vizcourse.lessons.concept_graph.graph_view import GraphView, Traced, Weighted, traced
from vizcourse.lessons.concept_graph.scaling import Scaled, Scaling
from vizcourse.widgets import Explorer, choice, column, row, slider, text
from vizcourse.worlds.scenes.vocabulary import SCENERY_PARTS


def _place(axes: Iterable[Axes], *places: tuple[float, float, float, float]) -> None:
    for each, place in zip(axes, places, strict=True):
        each.set_position(place)


def _show(axes: Axes, image: Image.Image, title: str = "") -> None:
    axes.imshow(image, interpolation="bilinear")
    axes.set_title(title, fontsize=10)
    axes.axis("off")


# --- concept browser -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Browsed:
    """A concept: its coefficients in a picture (h, w), and the parts it lies on (none before it has a name).

    The box is around what the position with the largest coefficient has seen: top, left, bottom, right.
    """

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
            "layer": choice("Layer", layers, first),
            "concept": slider("Concept", 0, 0, len(self.atlas.concepts[first]) - 1),
            "picture": choice("Find it in picture", self.shown),
            # Answered when it is entered, else a half-typed name would count.
            "name": text("Your name for it", self._given(first, 0), placeholder="type, then Enter", live=False),
        }

    def arrange(self) -> ipywidgets.Widget:
        c = self.controls
        return column(row(c["layer"], c["concept"], c["name"]), row(c["picture"]))

    def _given(self, layer: str, concept: int) -> str:
        return self.atlas.names.get((layer, concept), "")

    def settle(self, name: str) -> None:
        layer, concept, given = (self.controls[key] for key in ("layer", "concept", "name"))
        if name == "layer":
            most = len(self.atlas.concepts[layer.value]) - 1
            concept.value = min(concept.value, most)
            concept.max = most
        if name in ("layer", "concept"):
            self.renamed()
        elif name == "name":
            self.atlas.rename(layer.value, concept.value, given.value)

    def renamed(self) -> None:
        """A name was given in another explorer, or here."""
        self.controls["name"].value = self._given(self.controls["layer"].value, self.controls["concept"].value)

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
        return Browsed(where, self._framed(picture, layer, *most) if float(where.max()) > 0 else None, parts)

    def answer_value(self) -> dict[str, Any]:
        """The layer, the concept, the learner's name for it, and (named or not) the shares of parts and of objects."""
        self.update()
        at = {key: self.state[key] for key in ("layer", "concept")}
        parts, objects = (
            {each.name: each.share for each in found(**at)} for found in (self.atlas.parts_of, self.atlas.objects_of)
        )
        return {**at, "name": self.state["name"], "parts": parts, "objects": objects}

    def draw(self, result: Browsed, layer: str, concept: int, picture: str, **_: Any) -> bytes:
        figure, axes = plotting.new(9.8, 2.75, 1, 3, margins={})
        _place(axes, (0.005, 0.02, 0.5, 0.86), (0.515, 0.02, 0.235, 0.86), (0.76, 0.02, 0.235, 0.86))
        patches = self._sheets(layer, concept, -(-self.atlas.count // 2), 96)
        _show(axes[0], patches, words.drawn(f"{layer} · {self.atlas.call(layer, concept)}: its nearest patches", 64))
        shown, largest = self.shown[picture], float(self.atlas.typical[layer][concept])
        plotting.picture(axes[1], shown, words.drawn(f"picture {picture}", 30))
        where = functional.interpolate(result.map[None, None], shown.shape[1:], mode="nearest")[0, 0]
        scale = f"its coefficients (0 to {words.number(largest, sign=False)})"
        plotting.overlay(axes[2], shown, where, scale, largest=largest)
        if result.box is not None:
            top, left, bottom, right = result.box
            for each in axes[1:]:
                plotting.box(each, left, top, right - left, bottom - top)
        return plotting.png(figure, dpi=90)

    def describe(self, result: Browsed, layer: str, concept: int, picture: str, **_: Any) -> str:
        atlas, most = self.atlas, float(result.map.max())
        where = f"It is nowhere in picture {picture}."
        if most > 0:
            line, column = divmod(int(result.map.argmax()), result.map.shape[1])
            where = (
                f"In picture {picture} it is at {int((result.map > 0).sum())} of {result.map.numel()} positions, most at "
                f"row {line + 1}, column {column + 1} ({words.per_cent(most / float(atlas.typical[layer][concept]))} as strong "
                "as in its nearest patches); what was seen from there is framed."
            )
        said = f"{layer}, {atlas.call(layer, concept)} of {len(atlas.concepts[layer])}. {where} "
        if atlas.labels is None:
            return said.strip()
        if not result.parts:
            return said + "What is it? Give it a name: then the world's own labels are shown."
        first, *others = (
            f"{part.name} {words.per_cent(part.share)} ({words.per_cent(part.usual)} of all vectors)"
            for part in result.parts[:3]
        )
        spoken = ", ".join([first.replace(" of all", " of all the layer's"), *others])
        said += f"What its {atlas.judged} nearest vectors have mostly seen, by the world's labels: {spoken}."
        if set(SCENERY_PARTS) & set(atlas.part_names):
            scenery = sum(part.share for part in result.parts if part.name in SCENERY_PARTS)
            said += f" Scenery in all: {words.per_cent(scenery)}."
        if objects := atlas.objects_of(layer, concept):
            said += f" {words.per_cent(objects[0].share)} of their pictures show one object: {objects[0].name}."
        return said


# --- concept graph ---------------------------------------------------------------------------------------------------

OWN, PATH = "its own edges", "the strongest path"


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
        self.view = GraphView(self.graphs, atlas, self._clicked)
        self._localized = functools.lru_cache(maxsize=32)(
            lambda name, layer: self.atlas.decompose(layer, self.pictures[name][None]).coefficients[0]
        )
        self._sheets = functools.lru_cache(maxsize=64)(self.atlas.patches)
        atlas.watch(self)
        super().__init__()

    def set(self, **values: Any) -> ConceptGraph:
        """As in every explorer; a node may also be named by ``(layer, number)``."""
        if isinstance(values.get("node"), tuple):
            values["node"] = "{}:{}".format(*values["node"])
        return super().set(**values)

    def _clicked(self, layer: str, number: int) -> None:
        nodes = self.view.rows[self.controls["graph"].value].get(layer, ())
        if number < len(nodes):
            self.controls["node"].value = nodes[number]

    def make_controls(self) -> dict[str, Any]:
        options = self._options(next(iter(self.graphs)))
        return {
            "graph": choice("Graph of", self.graphs),
            "node": choice("Node", options, options[0][1]),
            "trace": choice("Mark", [OWN, PATH]),
            # As a share of the strongest between the same two rows.
            "least": slider("Hide edges below", 0.1, 0, 1, 0.05, width=300),
        }

    def _options(self, name: str) -> list[tuple[str, str]]:
        return [(self.view.label(node), node) for nodes in reversed(self.view.rows[name].values()) for node in nodes]

    def arrange(self) -> ipywidgets.Widget:
        return column(row(*self.controls.values()), self.view.box)

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
        return traced(self.graphs[graph], node, path=trace == PATH)

    def answer_value(self) -> dict[str, Any]:
        """The graph, the chosen node, and its causes and effects as ``(node, weight)``, the strongest first."""
        self.update()
        at = {key: self.state[key] for key in ("graph", "node")}
        return {**at, "causes": self.result.causes, "effects": self.result.effects}

    def draw(self, result: Traced, graph: str, node: str, least: float, **_: Any) -> bytes:
        """The chosen node in detail; the graph itself is on the page."""
        self.view.show(graph, node, result.edges, least)
        layer, number = self.view.at[node]
        picture, known = self.pictures.get(graph), not self.view.is_class(node)
        figure, axes = plotting.new(9.8, 2.3, 1, 4, margins={})
        halves = ((0.735, 0.55, 0.25, 0.34), (0.735, 0.03, 0.25, 0.34))
        _place(axes, (0.005, 0.02, 0.36, 0.82), (0.375, 0.02, 0.2, 0.82), *halves)
        for each in axes:
            each.axis("off")
        columns = -(-self.atlas.count // 2)
        if known:
            _show(axes[0], self._sheets(layer, number, columns, 72), words.drawn(self.view.label(node), 44))
        elif own := self.atlas.of_class(number):
            _show(axes[0], sheet_of(own, columns), f"pictures of the class {self.view.label(node)}")
        if picture is not None and known:
            where = functional.interpolate(self._localized(graph, layer)[None, number : number + 1], picture.shape[1:])[0, 0]
            plotting.overlay(axes[1], picture, where, "its coefficients", largest=float(self.atlas.typical[layer][number]))
        elif picture is not None:
            plotting.picture(axes[1], picture, "the picture")
        self._bars(axes[2], result.effects[:5], "effects, above")
        self._bars(axes[3], result.causes[:5], "causes, below")
        return plotting.png(figure, dpi=90)

    def _bars(self, axes: Axes, those: Weighted, title: str) -> None:
        if not those:
            return
        view, (nodes, weights) = self.view, zip(*those, strict=True)
        called = [view.label(node) if view.is_class(node) else self.atlas.call(*view.at[node]) for node in nodes]
        axes.axis("on")
        axes.spines[:].set_visible(False)
        title = f"{title}: {view.at[nodes[0]][0]}"
        plotting.bars(
            axes, [words.drawn(each, 28) for each in called], weights, number=words.number, title=title, by_sign=True, size=7
        )
        axes.set_xticks([])

    def snapshot(self) -> bytes:
        """The graph as one picture, for where nothing can be clicked."""
        state = self.state
        return self.view.png(state["graph"], state["node"], self.result.edges, state["least"])

    def _order(self, name: str) -> str:
        """What it means that a node stands further to the left: see `rows_of`."""
        *_, tops = self.view.rows[name].values()
        if len(tops) != 2:
            return f"In each row, what contributes most to the {'class' if len(tops) == 1 else 'classes'} is on the left."
        first, second = map(self.view.label, tops)
        return f"In each row, from left to right: from what matters to {first} alone to what matters to {second} alone."

    def describe(self, result: Traced, graph: str, node: str, trace: str, **_: Any) -> str:
        def spoken(those: Weighted) -> str:
            most = ", ".join(f"{self.view.label(node)} ({words.number(weight)})" for node, weight in those[:3])
            return f"{most}{f' and {len(those) - 3} more' if len(those) > 3 else ''}"

        said = f"Graph of {graph}: {self.view.tooltip(graph, node)}. "
        said += f"Its causes in the row below: {spoken(result.causes)}. " if result.causes else ""
        said += f"Its effects in the row above: {spoken(result.effects)}. " if result.effects else ""
        marked = "the strongest path through it" if trace == PATH else "all its edges"
        said += (
            f"In colour: {marked}; the other edges are grey. Solid speaks for, dashed against; wider is stronger (among the "
            "edges between the same two rows). The chosen node has a black frame, the others on coloured edges a blue one. "
        )
        said += self._order(graph)
        shared = sum(bool(there) for _, there in self.graphs[graph].nodes(data="shared"))
        return said + (f" Tinted, with ◆: the {shared} concepts that the classes share." if shared else "")


# --- remove a concept ------------------------------------------------------------------------------------------------


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
        self.atlas, self.layer, self.later = atlas, layer, later
        self.shown = dict(pictures or {atlas.title(n): atlas.pictures[n] for n in range(min(4, len(atlas.pictures)))})
        self.scaling = Scaling(atlas, layer, later, torch.stack(list(self.shown.values())), steps=steps)
        self._emblems = functools.lru_cache(maxsize=128)(self._patches)
        atlas.watch(self)
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        options = self._options(next(iter(self.shown)))
        return {
            "picture": choice("Picture", self.shown),
            "concept": choice(f"Concept of {self.layer}", options, options[0][1], width=440),
            "scale": slider("Times", 1.0, 0, 2, 0.1, width=420),
        }

    def _options(self, picture: str) -> list[tuple[str, int]]:
        """All concepts, the one that counts most for the picture's class first."""
        number = list(self.shown).index(picture)
        edges, there = self.scaling.edges[0][number, 0], self.scaling.parts.present[number]
        named = self.atlas.class_name(int(self.scaling.classes[number, 0]))
        return [
            (f"{self.atlas.call(self.layer, k)}, {f'{named} {words.number(edges[k])}' if there[k] else 'not here'}", k)
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
        return self.scaling.scaled(list(self.shown).index(picture), concept, round(scale, 3))

    def answer_value(self) -> dict[str, Any]:
        """The state with the class scored highest, and how much its logit changes: measured and predicted."""
        self.update()
        result = self.result
        changes = {"change": float(result.measured[0][0]), "predicted": float(result.predicted[0][0])}
        return {**self.state, "class": self.atlas.class_name(result.classes[0]), **changes}

    def draw(self, result: Scaled, picture: str, concept: int, **_: Any) -> bytes:
        # Axes are what takes longest to draw: picture and patches share one.
        figure, axes = plotting.new(9.8, 3.0, 1, 3, margins={})
        _place(axes, (0.005, 0.015, 0.165, 0.975), (0.285, 0.17, 0.26, 0.71), (0.705, 0.17, 0.27, 0.71))
        self._draw_concept(axes[0], result.map, self.shown[picture], concept)
        names = [
            self.atlas.class_name(number) + f"\n{before + 0.0:.1f} → {after + 0.0:.1f}".replace("-", "−")
            for number, (before, after) in zip(result.classes, result.scores[0].round(decimals=1).T.tolist(), strict=True)
        ]
        self._pairs(axes[1], names, result, 0)
        axes[1].set_title("change of the logits", fontsize=10)
        axes[1].set_xlabel("logit", fontsize=8, labelpad=1)
        names = [f"{number} {self.atlas.names.get((self.later, number), '')}".rstrip() for number in result.targets]
        self._pairs(axes[2], [words.drawn(name, 18) for name in names], result, 1)
        axes[2].set_title(f"change of concepts of {self.later}", fontsize=10)
        axes[2].set_xlabel("sum of projections", fontsize=8, labelpad=1)
        handles = axes[1].get_legend_handles_labels()
        figure.legend(*handles, loc="upper center", bbox_to_anchor=(0.62, 1.0), fontsize=8, frameon=False)
        return plotting.png(figure, dpi=90)

    @staticmethod
    def _pairs(axes: Axes, names: Sequence[str], result: Scaled, which: int) -> None:
        """Two bars for each name, from zero: what was measured, and what GIG predicted."""
        measured, edges = result.measured[which], result.edges[which]
        plotting.bars(
            axes, names, measured, result.predicted[which], labels=("measured", "GIG predicts"), number=words.number
        )
        axes.get_legend().remove()
        axes.axvline(0, color="black", linewidth=0.8)
        axes.tick_params(labelsize=8)
        # The edges set the scale, so that the bars grow and shrink as the slider moves.
        most = max(float(edges.abs().max()), float(measured.abs().max()))
        reach = 1.5 * most if most > 1e-6 else 1.0  # where the concept is not there, nothing moves
        axes.set_xlim(-reach, reach)

    def _draw_concept(self, axes: Axes, where: Tensor, picture: Tensor, concept: int) -> None:
        """Where the concept is in the picture, and below it what it looks like."""
        height, width = picture.shape[1:]
        where = functional.interpolate(where[None, None], (height, width), mode="nearest")[0, 0]
        plotting.overlay(axes, picture, where, largest=float(self.atlas.typical[self.layer][concept]))
        name = self.atlas.names.get((self.layer, concept))
        called = words.drawn(f"{concept} · {name}" if name else f"concept {concept}", 20)
        line = 0.19 * width  # room for a title
        top = height + line
        axes.imshow(self._emblems(concept), extent=(0, width, top + width, top), interpolation="bilinear")
        for below, title in ((0, "its coefficients"), (top, called)):
            axes.text(width / 2, below - 0.06 * width, title, fontsize=10, ha="center", va="baseline")
        axes.set(xlim=(0, width), ylim=(top + width, -line), anchor="C")

    def _patches(self, concept: int) -> Image.Image:
        near = self.atlas.nearest[self.layer][concept, :4].tolist()
        return sheet_of([self.atlas.patch(self.layer, sample, 64) for sample in near], 2)

    def describe(self, result: Scaled, picture: str, concept: int, scale: float) -> str:
        atlas, (logits, later), (foretold, foreseen) = self.atlas, result.measured, result.predicted
        before, after = (int(row.argmax()) for row in result.probabilities)
        chances = [
            f"{atlas.class_name(number)} ({words.per_cent(float(line[number]))})"
            for line, number in zip(result.probabilities, (before, after), strict=True)
        ]
        called = f"{self.layer}, {atlas.call(self.layer, concept)}, in picture {picture}"
        if not bool(result.map.ne(0).any()):
            return f"{called}: it is not there, so there is nothing to scale. The network says {chances[0]}."
        if round(scale, 3) == 1:
            return f"{called}: at 1 times nothing changes, because the residual is kept. The network says {chances[0]}."
        most, (first, now) = int(later.abs().argmax()), result.scores[0][:, 0].tolist()
        mover = atlas.call(self.later, result.targets[most])
        return (
            f"{called}, {scale:.1f} times: the logit of {atlas.class_name(result.classes[0])} goes from {first:.2f} to "
            f"{now:.2f}, a change of {words.number(logits[0], 3)}; GIG predicts {words.number(foretold[0], 3)}. Of the "
            f"concepts of {self.later}, {mover} moves most: {words.number(later[most], 3)}, "
            f"predicted {words.number(foreseen[most], 3)}. The network said {chances[0]}, and now says {chances[1]}."
        )


WIDGETS = (ConceptBrowser, ConceptGraph, RemoveConcept)
