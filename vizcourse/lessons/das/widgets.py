"""Explorers of lesson 05: swap a cue, rotate by hand, and dimension and layer."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from vizcourse import plotting
from vizcourse.hooks import capture, replay
from vizcourse.lessons.das.study import DIM, SITE, STUDY
from vizcourse.methods import das
from vizcourse.widgets import Explorer, choice, column, row, slider, steps
from vizcourse.worlds import equality, shapes

# --- swap a cue ------------------------------------------------------------------------------------------------------

#: The cues of a picture, and the article's names for the three variables.
CUES = {"background": "background", "colour": "shape_colour", "type": "shape_type", "all": "all"}
SEARCHED, RANDOM, WHOLE = "searched subspace", "random subspace", "whole activation"
EDITED, SOURCE = "edited picture", "source picture"


def edited(picture: shapes.Picture, new: str, cue: str) -> shapes.Picture:
    """The picture with one cue ("all": with each) as in class ``new``, changed as the article's interventions do."""
    return shapes.edit(picture, new, shapes.CUES if cue == "all" else cue)


@dataclass(frozen=True)
class Swap:
    """Base, source and edited picture ``(3, 3, H, W)``, and the probabilities of these and of the base after the swap."""

    pictures: Tensor
    base_class: str
    source_class: str
    classes: Sequence[str]
    probabilities: Tensor  # (4, classes)
    dimensions: int
    size: int

    @property
    def answers(self) -> dict[str, str]:
        """What the network says to each picture, and to the base after the swap."""
        names = ("base", "source", EDITED, "base after the swap")
        best = self.probabilities.argmax(1).tolist()
        return {name: self.classes[index] for name, index in zip(names, best, strict=True)}


class SwapACue(Explorer):
    """Give a base picture one cue of a source: in the picture, or only inside the network.

    Args:
        networks: classifiers of ``shapes`` by name.
        layer: where to interchange, for all networks.
        dim: dimensions of the subspaces that are searched.
        alignments: those that are known already, by network and by variable (a name of ``shapes.VARIABLES`` or "all"). The
            rest is searched when the widget is made, on 36 pairs each.
        seed: of the pictures, and of the random subspaces.
    """

    title = "Swap a cue: in the picture, or only inside the network"
    width = 880

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        layer: str = "avgpool",
        dim: int = 8,
        alignments: Mapping[str, Mapping[str, das.Alignment]] | None = None,
        seed: int = 0,
    ) -> None:
        self.networks, self.layer, self.seed = dict(networks), layer, seed
        self.drawn = shapes.sample(9, seed=seed, split="intervention_test")
        known = alignments or {}
        self.frames = {
            name: {
                variable: (known.get(name, {}).get(variable) or self._search(model, variable, dim)).rotation
                for variable in CUES.values()
            }
            for name, model in self.networks.items()
        }
        # No picture runs twice, and after a swap only the rest of the network runs.
        self._known = functools.lru_cache(maxsize=1024)(self._run)
        with torch.no_grad():
            self._rest = {
                name: replay(model, shapes.render(self.drawn[0], model.input_size), layer)
                for name, model in self.networks.items()
            }
        super().__init__()

    def _search(self, model: nn.Module, variable: str, dim: int) -> das.Alignment:
        pairs = shapes.pairs("background" if variable == "all" else variable, 36, seed=self.seed)
        sources = pairs.source
        if variable == "all":
            new = [shapes.CLASSES[label] for label in pairs.counterfactual_labels]
            sources = [edited(picture, name, "all") for picture, name in zip(pairs.base, new, strict=True)]
        images = (shapes.render(each, model.input_size) for each in (pairs.base, sources))
        labels = pairs.counterfactual_labels
        return das.align(model, *images, labels, self.layer, dim=dim, steps=100, progress=False)

    def _run(self, network: str, picture: int, new: str, cue: str) -> tuple[Tensor, Tensor, Tensor]:
        """A picture with a cue of class ``new``, the network's logits for it, and its activation at the layer."""
        model = self.networks[network]
        image = shapes.render(edited(self.drawn[picture], new, cue), model.input_size)
        with torch.no_grad(), capture(model, self.layer) as acts:
            logits = model(image)
        return image, logits, acts[self.layer]

    def make_controls(self) -> dict[str, Any]:
        last = len(self.drawn) - 1
        return {
            "network": choice("Network", self.networks),
            "base": slider("Base", 0, 0, last),
            "source": slider("Source", 1, 0, last),
            "cue": choice("Cue", CUES, buttons=90),
            "swap": choice("Swap the", (SEARCHED, RANDOM, WHOLE)),
            "donor": choice("taken from the", (EDITED, SOURCE)),
        }

    def arrange(self) -> ipywidgets.Widget:
        c = self.controls
        return column(row(c["network"], c["base"], c["source"]), row(c["cue"], c["swap"], c["donor"]))

    def compute(self, network: str, base: int, source: int, cue: str, swap: str, donor: str) -> Swap:
        own_class, new = self.drawn[base].class_name, self.drawn[source].class_name
        # Unchanged, a picture's cues are all those of its own class: the same entry whatever the cue.
        runs = (
            self._known(network, base, own_class, "all"),
            self._known(network, source, new, "all"),
            self._known(network, base, new, cue),
        )
        pictures, logits, activations = zip(*runs, strict=True)
        own, other = activations[0], activations[2 if donor == EDITED else 1]
        # The channels are the second axis, whether there are positions or not; the interchange wants them last.
        own, other = own.movedim(1, -1), other.movedim(1, -1)
        size, frame = own.shape[-1], self.frames[network][CUES[cue]]
        if swap == RANDOM:
            frame = das.random_frame(*frame.shape, torch.Generator().manual_seed(self.seed)).to(frame)
        changed = other if swap == WHOLE else das.interchange(own, other, frame)
        with torch.no_grad():
            after = self._rest[network](changed.movedim(-1, 1).contiguous())
        return Swap(
            torch.cat(pictures), own_class, new, self.networks[network].classes,
            torch.cat([*logits, after]).softmax(1), size if swap == WHOLE else frame.shape[1], size,
        )  # fmt: skip

    def draw(self, result: Swap, cue: str, swap: str, donor: str, **_: Any) -> bytes:
        figure, axes = plotting.new(
            9.8, 2.9, 1, 5, gridspec_kw={"width_ratios": [1, 1, 1, 0.3, 1.35]},
            margins={"left": 0.01, "right": 0.985, "top": 0.86, "bottom": 0.17, "wspace": 0.08},
        )  # fmt: skip
        edited_cue = "all cues" if cue == "all" else cue
        titles = [f"base: a {result.base_class}", f"source: a {result.source_class}", f"base, {edited_cue} of the source"]
        titles[1 if donor == SOURCE else 2] += "\n(gives the activation)"
        for place, picture, title, said in zip(axes, result.pictures, titles, result.answers.values(), strict=False):
            plotting.picture(place, picture, title)
            place.set_xlabel(f"network: “{said}”", fontsize=10)
        axes[3].axis("off")  # room for the names of the classes
        before, _, _, after = result.probabilities
        plotting.probabilities(axes[4], result.classes, before, after, ("base", "base after the swap"))
        axes[4].set_title(f"{swap}, {result.dimensions} of {result.size}", fontsize=10)
        axes[4].set_xlabel("probability", fontsize=8)
        return plotting.png(figure, dpi=90)

    def describe(self, result: Swap, network: str, cue: str, swap: str, donor: str, **_: Any) -> str:
        says = result.answers
        if result.base_class == result.source_class:
            return f"Base and source are both a {result.base_class}: choose two classes, or there is nothing to swap."
        cue = "all cues" if cue == "all" else f"the {cue}"
        hit = says["base after the swap"] == result.source_class
        return (
            f"{network}, without an intervention: base “{says['base']}”, source “{says['source']}”, base with {cue} of "
            f"the source “{says[EDITED]}”. With the {swap} ({result.dimensions} of {result.size} dimensions) taken from "
            f"the {donor}, the base is answered “{says['base after the swap']}”: {'a hit' if hit else 'no hit'}, "
            f"because the hypothesis says “{result.source_class}”."
        )


# --- rotate by hand --------------------------------------------------------------------------------------------------

SHOW = ("my direction", "all angles", "all angles and DAS")


@dataclass(frozen=True)
class Turn:
    """The IIA of interchanging a direction of the plane: that of the chosen variable, and that of each."""

    iia: float
    by_variable: dict[str, float]


class RotateByHand(Explorer):
    """Turn a direction in a plane of an activation, and watch how often its interchange gives the counterfactual label.

    Args:
        sites: for each variable a site and its counterfactual labels, all at the same layer of the same network.
        plane: two orthonormal directions of the layer, ``(d, 2)``; the angle is measured from the first to the second.
        values: for each variable whether it is true of the bases, ``(N,)`` of booleans, to be marked in the picture.
        seed: of the search for one direction among all d dimensions.
    """

    title = "Rotate by hand: which direction is the variable?"
    width = 820

    def __init__(
        self,
        sites: Mapping[str, tuple[das.Site, Tensor]],
        plane: Tensor,
        values: Mapping[str, Tensor] | None = None,
        seed: int = 0,
    ) -> None:
        self.values = dict(values or {})
        self.sites, self.plane = dict(sites), plane
        self.angles = list(range(180))
        frames = [self.direction(angle) for angle in self.angles]
        self.curves = {
            name: [site.hits([frame], labels).mean().item() for frame in frames] for name, (site, labels) in self.sites.items()
        }
        self.found = {
            name: das.align_at(site, labels, dim=1, steps=150, seed=seed, progress=False)
            for name, (site, labels) in self.sites.items()
        }
        self.found_iia = {name: each.score(*self.sites[name]).estimate for name, each in self.found.items()}
        super().__init__()

    def direction(self, angle: float) -> Tensor:
        """The plane's direction at an angle in degrees, ``(d, 1)``."""
        turn = math.radians(angle)
        return self.plane @ torch.tensor([[math.cos(turn)], [math.sin(turn)]])

    def make_controls(self) -> dict[str, Any]:
        return {
            "variable": choice("Variable", self.sites, buttons=148),
            "angle": slider("Angle, degrees", 0, 0, 179, width=420),
            "show": choice("Show", SHOW),
        }

    def compute(self, variable: str, angle: int, show: str) -> Turn:
        by_variable = {name: curve[angle] for name, curve in self.curves.items()}
        return Turn(by_variable[variable], by_variable)

    def answer_value(self) -> dict[str, Any]:
        """The chosen variable, the angle, and the IIA of this direction for each variable."""
        self.update()
        start = {"variable": next(iter(self.sites)), "angle": 0}
        touched = any(self.state[name] != value for name, value in start.items())
        shown = {"variable": self.state["variable"], "angle": self.state["angle"], "touched": touched}
        return shown | self.result.by_variable

    def draw(self, result: Turn, variable: str, angle: int, show: str) -> bytes:
        figure, axes = plotting.new(
            9, 3.2, 1, 2, gridspec_kw={"width_ratios": [1, 1.7]},
            margins={"left": 0.075, "right": 0.98, "top": 0.89, "bottom": 0.16, "wspace": 0.22},
        )  # fmt: skip
        there = (self.plane.T @ self.found[variable].rotation[:, 0]).tolist()
        self._draw_plane(axes[0], variable, angle, there if show == SHOW[2] else None)
        styles = [("-", plotting.BLUE), ("--", plotting.ORANGE), ("-.", plotting.GREEN), (":", plotting.RED)]
        if show != SHOW[0]:
            for (name, curve), (line, colour) in zip(self.curves.items(), styles, strict=False):
                axes[1].plot(self.angles, curve, line, color=colour, label=name)
        if show == SHOW[2]:
            found = math.degrees(math.atan2(there[1], there[0])) % 180
            axes[1].plot([found], [self.found_iia[variable]], "D", color=plotting.GREEN, label="DAS", markersize=8)
        axes[1].axhline(0.5, color=plotting.GREY, linewidth=0.8, linestyle=":")
        axes[1].plot([angle], [result.iia], "o", color="black", markersize=9, label=f"my direction, {variable}")
        axes[1].set(xlim=(-2, 181), ylim=(0, 1.06), xticks=range(0, 181, 30), xlabel="angle (degrees)", ylabel="IIA")
        axes[1].legend(fontsize=8, frameon=False, loc="lower right", ncols=2)
        axes[1].set_title(f"{variable}: {result.iia:.0%} of the pairs answer its label", fontsize=10)
        return plotting.png(figure, dpi=90)

    def _draw_plane(self, axes: Axes, variable: str, angle: int, found: Sequence[float] | None) -> None:
        """The base activations in the plane, the learner's direction, and that of DAS where it is to be shown."""
        points = self.sites[variable][0].vectors.mean(1) @ self.plane
        reach = 1.15 * float(points.abs().max())
        true = self.values.get(variable, torch.zeros(len(points), dtype=torch.bool))
        for rows, marker, colour, label in (
            (~true, "o", plotting.GREY, f"{variable} no" if variable in self.values else None),
            (true, "^", plotting.BLUE, f"{variable} yes"),
        ):
            if rows.any():
                axes.scatter(*points[rows].T.tolist(), s=40, marker=marker, color=colour, label=label)
        turn = math.radians(angle)
        lines = [((math.cos(turn), math.sin(turn)), {"color": "black", "label": "my direction"})]
        if found is not None:
            lines.append((found, {"color": plotting.GREEN, "linestyle": "--", "label": "DAS, in this plane"}))
        for (x, y), look in lines:
            axes.plot([-reach * x, reach * x], [-reach * y, reach * y], linewidth=2, **look)
        axes.legend(fontsize=7, frameon=False, loc="lower right", borderpad=0)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axes.set_xlabel("first direction of the plane", fontsize=8)
        axes.set_ylabel("second direction", fontsize=8)
        axes.set_title("the base activations", fontsize=10)
        axes.tick_params(labelsize=8)

    def describe(self, result: Turn, variable: str, angle: int, show: str) -> str:
        others = ", ".join(f"{value:.0%} for {name}" for name, value in result.by_variable.items() if name != variable)
        others = f" and {others}" if others else ""
        text = f"At {angle} degrees the IIA is {result.iia:.0%} for {variable}{others}."
        if show != SHOW[2]:
            return text
        found = self.found[variable].rotation[:, 0]
        inside = float((self.plane.T @ found).norm())
        return (
            f"{text} DAS searched all {len(found)} dimensions: IIA {self.found_iia[variable]:.0%}, and "
            f"{inside:.2f} of its direction's length of 1 lies in this plane."
        )


def hidden_directions() -> RotateByHand:
    """The lab of exercise 5.4: the network for hierarchical equality, and the plane in which its two variables lie."""
    network = equality.EqualityNetwork()
    base, source = equality.sample(300, seed=2), equality.sample(300, seed=3)
    site = das.Site(network, base, source, "mix")
    sites = {name: (site, equality.counterfactual(base, source, name)) for name in equality.VARIABLES}
    values = dict(zip(equality.VARIABLES, equality.equal(base).T, strict=True))
    return RotateByHand(sites, equality.plane(network), values)


# --- dimension and layer ---------------------------------------------------------------------------------------------

UNTRAINED_WHOLE = "untrained network, full swap"
#: The curves, in the order in which they are drawn: colour, and marker and line that differ without colour too.
LOOKS = {
    "untrained network": (plotting.ORANGE, "^", "--"),
    UNTRAINED_WHOLE: (plotting.ORANGE, "+", ":"),
    "random subspace": (plotting.GREY, "s", ":"),
    "full swap": (plotting.RED, "x", "-."),
    "held out": (plotting.BLUE, "o", "-"),
}


@dataclass(frozen=True)
class Curves:
    """Stored IIAs, [value, low, high], of one variable in one network: by dimension and by layer, each from so many pairs."""

    by_dim: dict[str, dict[str, list[float]]]
    by_layer: dict[str, dict[str, list[float]]]
    pairs: tuple[int, int]


class DimensionAndLayer(Explorer):
    """IIA by the dimension of the subspace and by the layer, never without its controls.

    Everything comes from the lesson's stored study, because a sweep takes minutes: the controls only choose.

    Args:
        results: what the lesson's stored study holds, or its part "networks"; read from the file by default.
    """

    title = "Dimension and layer: how much room does a variable need, and where? (stored study)"
    width = 880

    def __init__(self, results: Mapping[str, Any] | None = None) -> None:
        found = STUDY.results() if results is None else results
        found = found.get("networks", found)
        self.results = {name: each for name, each in found.items() if "dimensions" in each and "layers" in each}
        if not self.results:
            raise ValueError("These results hold no sweep: run `vizcourse study 05` first.")
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        first = next(iter(self.results.values()))
        variables = [name for name in first["dimensions"] if name in shapes.VARIABLES]
        layers = {layer for each in self.results.values() for layer in each["layers"][variables[0]]}
        return {
            "network": choice("Network", self.results),
            "variable": choice("Variable", variables),
            "dim": steps("Dimensions", [int(dim) for dim in first["dimensions"][variables[0]]], 8),
            "layer": steps("Layer", sorted(layers, key=lambda layer: (layer == SITE, layer)), SITE),
        }

    def compute(self, network: str, variable: str, dim: int, layer: str) -> Curves:
        entry = self.results[network]
        by_dim = dict(entry["dimensions"][variable])
        if "table" in entry:  # the same sites, all dimensions at once
            whole = {name: entry["table"][variable][name] for name in ("full swap", UNTRAINED_WHOLE)}
            by_dim = {each: {**values, **whole} for each, values in by_dim.items()}
        pairs = entry["dimensions"]["pairs"], entry["layers"]["pairs"]
        return Curves(by_dim, entry["layers"][variable], pairs)

    def draw(self, result: Curves, network: str, variable: str, dim: int, layer: str) -> bytes:
        figure, axes = plotting.new(
            9.8, 3.3, 1, 2, sharey=True, gridspec_kw={"width_ratios": [1.4, 1]},
            margins={"left": 0.065, "right": 0.99, "top": 0.91, "bottom": 0.27, "wspace": 0.06},
        )  # fmt: skip
        for place, table, mark in zip(axes, (result.by_dim, result.by_layer), (str(dim), layer), strict=True):
            for name, (colour, marker, line) in LOOKS.items():
                measured = {where: values[name] for where, values in table.items() if name in values}
                places = [list(table).index(where) for where in measured]
                look = {"marker": marker, "linestyle": line, "markersize": 5}
                plotting.interval(place, places, list(measured.values()), label=name, color=colour, band=True, **look)
            place.set_xticks(range(len(table)), list(table))
            place.set_xlim(-0.3, len(table) - 0.7)
            if mark in table:
                place.axvline(list(table).index(mark), color="black", linewidth=0.8)
        axes[0].set(ylim=(-0.04, 1.06), ylabel="IIA, held-out pairs", xlabel=f"dimensions interchanged, at {SITE}")
        axes[1].set_xlabel(f"layer, {DIM} dimensions interchanged")
        axes[0].set_title(f"{variable} in {network}, {result.pairs[0]} pairs", fontsize=10)
        axes[1].set_title(f"by layer, {result.pairs[1]} pairs", fontsize=10)
        figure.legend(
            *axes[0].get_legend_handles_labels(), fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0.06, 0), ncols=5
        )
        return plotting.png(figure, dpi=90)

    def describe(self, result: Curves, network: str, variable: str, dim: int, layer: str) -> str:
        parts = []
        for where, table, key in (
            (f"{dim} dimensions at {SITE}", result.by_dim, str(dim)),
            (f"{DIM} dimensions at {layer}", result.by_layer, layer),
        ):
            if key not in table:
                parts.append(f"{where}: not measured in this network.")
                continue
            values = table[key]
            listed = " · ".join(f"{name} {values[name][0]:.0%}" for name in reversed(LOOKS) if name in values)
            missing = [name for name in reversed(LOOKS) if name not in values and name != UNTRAINED_WHOLE]
            without = f" ({' and '.join(missing)} not measured here)" if missing else ""
            parts.append(f"{where}: {listed}{without}. {verdict(values)}")
        return f"Stored study, {variable} in {network}. " + " ".join(parts)


def verdict(values: Mapping[str, Sequence[float]]) -> str:
    """What an IIA with its controls, each [value, low, high], allows one to say."""
    (_, low, _), nothing = values["held out"], (0.0, 0.0, 0.0)
    full, random, untrained = (values.get(name, nothing) for name in ("full swap", "random subspace", "untrained network"))
    if "full swap" in values and low > full[2]:
        return "More than the full swap: a path is made, not found."
    if low <= random[2]:
        return "No more than random subspaces."
    if untrained[2] >= low:
        return "The untrained network does as well, so this IIA alone decides nothing; the full swap agrees with it."
    return "More than random subspaces, and no more than the full swap: it passes."


WIDGETS = (SwapACue, RotateByHand, DimensionAndLayer)
