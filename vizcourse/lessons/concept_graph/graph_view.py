"""What draws concept graphs: a button for each node in rows, lines between the rows, and the same as one picture."""

from __future__ import annotations

import base64
import html
import io
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import ipywidgets
import networkx
from PIL import Image

from vizcourse import plotting
from vizcourse.lessons.concept_graph import words
from vizcourse.lessons.concept_graph.atlas import ConceptAtlas

#: In pixels: row labels, all, between rows, a node's picture.
LABELS, WIDTH, GAP, SIDE = 84, 960, 38, 58
_serial = itertools.count()

Edges = Collection[tuple[str, str]]


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


class Stroke(NamedTuple):
    """A line between two rows: both ends, its weight, its share of the strongest there, and whether it is marked."""

    lower: str
    upper: str
    weight: float
    share: float
    marked: bool

    @property
    def colour(self) -> str:
        if not self.marked:
            return "#999"
        return plotting.BLUE if self.weight >= 0 else plotting.RED


class GraphView:
    """Concept graphs on a page, one at a time.

    Args:
        graphs: name -> graph as `build_graph` makes it.
        atlas: of the concepts in them.
        clicked: called with the layer and the place in its row of a node that was clicked.

    Attributes:
        box: the ipywidgets box to show.
        rows: name of a graph -> its rows, see :func:`rows_of`.
        at: node -> (layer, number of the concept or of the class).

    Raises:
        ValueError: a graph has a concept that the atlas does not know.
    """

    def __init__(
        self, graphs: Mapping[str, networkx.DiGraph], atlas: ConceptAtlas, clicked: Callable[[str, int], None]
    ) -> None:
        self.graphs, self.atlas = graphs, atlas
        self.rows = {name: rows_of(graph) for name, graph in graphs.items()}
        self.at = {
            node: (entry["layer"], int(entry["concept"]))
            for graph in graphs.values()
            for node, entry in graph.nodes(data=True)
        }
        for layer, number in self.at.values():
            if layer in atlas.concepts and number >= len(atlas.concepts[layer]):
                raise ValueError(
                    f"A graph has concept {number} of {layer!r}, of which the atlas knows {len(atlas.concepts[layer])}: "
                    "build both from the same concepts."
                )
        self._build(clicked)

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

    def tooltip(self, name: str, node: str) -> str:
        """The label with the node's importance, and whether the classes share it."""
        entry = self.graphs[name].nodes[node]
        text = self.label(node)
        if not self.is_class(node) and "importance" in entry:
            text += f", contribution to the class {words.number(entry['importance'])}"
        return text + (", shared by the classes" if entry.get("shared") else "")

    def _caption(self, node: str) -> str:
        """The label in two short lines, for a button: a name takes the place of the layer, which the row tells as well."""
        layer, number = self.at[node]
        if self.is_class(node):
            return self.label(node)
        name = self.atlas.names.get((layer, number))
        return f"{number} · {words.clipped(name, 20)}" if name else f"{layer} ·\nconcept {number}"

    # --- places

    @staticmethod
    def _pitch(count: int) -> float:
        """Distance between the nodes of a row of so many."""
        return (WIDTH - LABELS) / max(count, 1)

    def places(self, name: str) -> dict[str, float]:
        """Where the middle of each node of a graph is, in pixels from the left."""
        return {
            node: LABELS + (number + 0.5) * self._pitch(len(nodes))
            for nodes in self.rows[name].values()
            for number, node in enumerate(nodes)
        }

    def strokes(self, name: str, lower: str, upper: str, edges: Edges, least: float) -> list[Stroke]:
        """The lines between two rows, those on top last: of at least such a share of the strongest, or marked."""
        between = [
            edge for edge in self.graphs[name].edges(data="weight")
            if self.at[edge[0]][0] == lower and self.at[edge[1]][0] == upper
        ]  # fmt: skip
        strongest = max((abs(weight) for *_, weight in between), default=0.0) or 1.0
        found = [Stroke(a, b, weight, abs(weight) / strongest, (a, b) in edges) for a, b, weight in between]
        drawn = [each for each in found if each.marked or each.share >= least]
        return sorted(drawn, key=lambda each: (each.marked, each.share))

    # --- on the page

    def _build(self, clicked: Callable[[str, int], None]) -> None:
        """Make the rows, as many and as wide as the largest graph needs them: their contents change, they do not."""
        key, stays = f"vizcourse-graph-{next(_serial)}", "0 0 auto"
        self.own = {node: f"{key}-{number}" for number, node in enumerate(self.at)}
        style = ipywidgets.HTML(f"<style>{self._styles(key)}</style>", layout=ipywidgets.Layout(height="0", margin="0"))
        children: list[ipywidgets.Widget] = [style]
        self.buttons: dict[str, list[ipywidgets.Button]] = {}
        self.lines: dict[str, ipywidgets.HTML] = {}  # below a layer's row
        self.lanes: dict[str, ipywidgets.Box] = {}
        layers = list(rows_of(networkx.compose_all(list(self.graphs.values()))))[::-1]
        for layer in layers:
            most = max(len(rows.get(layer, ())) for rows in self.rows.values())
            self.buttons[layer] = [ipywidgets.Button(layout=ipywidgets.Layout(flex=stays)) for _ in range(most)]
            for number, button in enumerate(self.buttons[layer]):
                button.on_click(lambda _, layer=layer, number=number: clicked(layer, number))
            name = ipywidgets.HTML(
                f'<div style="font-size:12px;line-height:1.2;font-weight:bold">{html.escape(layer)}</div>',
                layout=ipywidgets.Layout(width=f"{LABELS}px", margin="0", flex=stays),
            )
            wide = {"width": f"{WIDTH}px", "margin": "0", "padding": "0", "flex": stays}
            self.lanes[layer] = ipywidgets.HBox(
                [name, *self.buttons[layer]], layout=ipywidgets.Layout(align_items="center", **wide)
            )
            self.lines[layer] = ipywidgets.HTML(layout=ipywidgets.Layout(**wide))
            children += [self.lanes[layer], self.lines[layer]]
        self.box = ipywidgets.VBox(children, layout=ipywidgets.Layout(overflow="auto", width="100%", padding="4px 0"))
        self.box.add_class(key)

    def _styles(self, key: str) -> str:
        """The look of the nodes; pictures stand in it as data, so that nothing has to be fetched."""
        every, side = f".{key} .jupyter-button.vizcourse-node", SIDE
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
        for node, own in self.own.items():
            if not self.is_class(node):
                rules.append(f"{every}.{own} {{background-image: url({_data(self.atlas.emblem(*self.at[node], side))})}}")
        return "\n".join(rules)

    def show(self, name: str, chosen: str, edges: Edges, least: float) -> None:
        """Bring buttons and lines up to date: the graph, its chosen node, the marked edges, and which others are drawn."""
        rows, places = self.rows[name], self.places(name)
        traced, order = {node for edge in edges for node in edge}, list(rows)
        for layer, buttons in self.buttons.items():
            nodes = rows.get(layer, [])
            pitch = self._pitch(len(nodes))
            width = int(min(150 if layer not in self.atlas.concepts else 118, pitch - 4))
            self.lanes[layer].layout.display = "flex" if nodes else "none"
            for button, node in itertools.zip_longest(buttons, nodes):
                button.layout.display = "none" if node is None else "block"
                if node is not None:
                    button.layout.width, button.layout.margin = f"{width}px", f"0 {(pitch - width) / 2:.2f}px"
                    self._dress(button, name, node, narrow=width < 80, chosen=node == chosen, traced=node in traced)
            below = order[order.index(layer) - 1] if layer in order[1:] else None
            self.lines[layer].layout.display = "none" if below is None else "block"
            if below is not None:
                self.lines[layer].value = self._svg(self.strokes(name, below, layer, edges, least), below, layer, places)

    def _dress(
        self, button: ipywidgets.Button, name: str, node: str, *, narrow: bool, chosen: bool, traced: bool
    ) -> None:
        """The words and the look of a node's button."""
        shared = bool(self.graphs[name].nodes[node].get("shared"))
        button.description = ("◆ " if shared else "") + self._caption(node)
        button.tooltip = self.tooltip(name, node)
        looks = {
            "node": True, "wordy": self.is_class(node), "narrow": narrow, "shared": shared, "chosen": chosen,
            "traced": traced and not chosen, "aside": not traced and not chosen,
        }  # fmt: skip
        button._dom_classes = (self.own[node], *(f"vizcourse-{look}" for look, there in looks.items() if there))

    def _svg(self, strokes: list[Stroke], lower: str, upper: str, places: Mapping[str, float]) -> str:
        lines = []
        for each in strokes:
            dashes = "" if each.weight >= 0 else ' stroke-dasharray="7 4"'
            said = html.escape(f"{self.label(each.lower)} → {self.label(each.upper)}: {words.number(each.weight)}")
            lines.append(
                f'<line x1="{places[each.lower]:.1f}" y1="{GAP}" x2="{places[each.upper]:.1f}" y2="0" '
                f'stroke="{each.colour}" stroke-width="{0.6 + 6 * each.share:.1f}" '
                f'stroke-opacity="{0.95 if each.marked else 0.3}"{dashes}><title>{said}</title></line>'
            )
        what = f"{len(lines)} edges from {html.escape(lower)} to {html.escape(upper)}"
        size = f'width="{WIDTH}" height="{GAP}" viewBox="0 0 {WIDTH} {GAP}"'
        return f'<svg {size} style="display:block" role="img" aria-label="{what}">{"".join(lines)}</svg>'

    # --- as a picture

    def png(self, name: str, chosen: str, edges: Edges, least: float) -> bytes:
        """The graph as one picture, for where nothing can be clicked: nodes with their pictures, edges, and what is traced."""
        rows, places = self.rows[name], self.places(name)
        traced = {node for edge in edges for node in edge}
        tops, y = {}, 6
        for layer in reversed(rows):
            tops[layer] = y
            y += (SIDE + 20 if layer in self.atlas.concepts else 26) + GAP
        height = y - GAP + 4
        figure, axes = plotting.new(WIDTH / 125, height / 125, margins={"left": 0, "right": 1, "top": 1, "bottom": 0})
        axes.axis("off")
        for lower, upper in itertools.pairwise(rows):
            for each in self.strokes(name, lower, upper, edges, least):
                style = "-" if each.weight >= 0 else (0, (2.5, 1.5))
                ends = [places[each.upper], places[each.lower]], [tops[lower] - GAP, tops[lower]]
                width, alpha = (0.4 + 3.6 * each.share, 1.0) if each.marked else (0.4 + 2.4 * each.share, 0.5)
                axes.plot(*ends, linestyle=style, color=each.colour, linewidth=width, alpha=alpha)
        for layer, nodes in rows.items():
            y = tops[layer]
            axes.text(2, y + (SIDE / 2 if layer in self.atlas.concepts else 13), layer, fontsize=7, va="center", weight="bold")
            for node in nodes:
                frame = {"color": "black" if node == chosen else plotting.BLUE}
                frame["linewidth"] = 2.8 if node == chosen else 1.8 if node in traced else 0
                self._draw_node(axes, name, node, places[node], y, frame)
        axes.set(xlim=(0, WIDTH), ylim=(height, 0), aspect="auto")
        return plotting.shown(figure, "", palette=256).content

    def _draw_node(self, axes: Any, name: str, node: str, x: float, y: float, frame: dict[str, Any]) -> None:
        if self.is_class(node):
            edge = {"edgecolor": frame["color"], "linewidth": frame["linewidth"]}
            box = {"facecolor": "white"} | (edge if frame["linewidth"] else {"edgecolor": "black", "linewidth": 0.5})
            axes.text(x, y + 13, self.label(node), fontsize=9, weight="bold", ha="center", va="center", bbox=box)
            return
        left, right = x - SIDE / 2, x + SIDE / 2
        emblem = self.atlas.emblem(*self.at[node], SIDE)
        axes.imshow(emblem, extent=(left, right, y + SIDE, y), interpolation="bilinear", zorder=2)
        if frame["linewidth"]:
            axes.plot([left, right, right, left, left], [y, y, y + SIDE, y + SIDE, y], zorder=4, **frame)
        said = words.drawn(f"{self.at[node][1]} {self.atlas.names.get(self.at[node], '')}".rstrip(), 14)
        shared = bool(self.graphs[name].nodes[node].get("shared"))
        box = {"facecolor": "#FFE9A8" if shared else "white", "edgecolor": "none", "boxstyle": "square,pad=0.15"}
        axes.text(x, y + SIDE + 10, ("◆ " if shared else "") + said, fontsize=7, ha="center", va="center", bbox=box)


def _data(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


# --- tracing

Weighted = list[tuple[str, float]]


@dataclass(frozen=True)
class Traced:
    """A node's causes and effects with their weights (strongest first), and the edges that are marked."""

    causes: Weighted
    effects: Weighted
    edges: list[tuple[str, str]]


def traced(graph: networkx.DiGraph, node: str, *, path: bool = False) -> Traced:
    """A node with its own edges marked, or, with ``path``, the strongest path through it."""

    def causes(here: str) -> Weighted:
        return _strongest_first((cause, weight) for cause, _, weight in graph.in_edges(here, data="weight"))

    def effects(here: str) -> Weighted:
        return _strongest_first((effect, weight) for _, effect, weight in graph.out_edges(here, data="weight"))

    if path:
        nodes = [node]
        while found := causes(nodes[0]):
            nodes.insert(0, found[0][0])
        while found := effects(nodes[-1]):
            nodes.append(found[0][0])
        return Traced(causes(node), effects(node), list(itertools.pairwise(nodes)))
    edges = [(cause, node) for cause, _ in causes(node)] + [(node, effect) for effect, _ in effects(node)]
    return Traced(causes(node), effects(node), edges)


def _strongest_first(edges: Iterable[tuple[str, float]]) -> Weighted:
    return sorted(edges, key=lambda edge: -abs(edge[1]))
