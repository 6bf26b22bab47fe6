"""The clean and the corrupted run of some pictures, kept so that any activations of the one can be put into the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from vizcourse.hooks import Recording, constant, layout_of, override, replace, resolve, with_first_tensor
from vizcourse.methods import vision_transformer as vit
from vizcourse.methods.checks import checked_choice, checked_logits, checked_model
from vizcourse.methods.corruptions import Pictures, checked_pictures, shifting
from vizcourse.methods.passes import evaluating
from vizcourse.methods.places import Tokens, chosen_places

Component = str | Sequence[str]
Direction = Literal["denoising", "noising"]


def sites(model: nn.Module, component: Component) -> list[str]:
    """The names of the modules whose outputs are patched, one a layer.

    `component` is one of "resid", "attn_out", "mlp_out", "heads" of a torchvision `VisionTransformer`, or a list of layer
    names of any network, in the order in which they run.
    """
    checked_model(model)
    if not isinstance(component, str):
        if not isinstance(component, Sequence) or not component:
            raise ValueError(f"A component is a name, or a list of at least one layer, not {component!r}.")
        return [resolve(model, layer)[0] for layer in component]
    blocks = vit.blocks(model)
    if not blocks:
        raise ValueError(
            f"{type(model).__name__} has no component {component!r}: pass a list of its layers instead, such as "
            "['layer1', 'layer2']."
        )
    return [block + vit.COMPONENTS[checked_choice(component, vit.COMPONENTS, "component")] for block in blocks]


class Runs:
    """The clean and the corrupted run of some pictures: what :func:`record` returns.

    Attributes:
        clean, corrupted: the logits of the two runs, (N, classes).
        layers: number of layers; heads: number of attention heads in each (0 if there are none).
    """

    def __init__(self, model: nn.Module, clean: Pictures, corrupted: Pictures, components: Sequence[Component]) -> None:
        self.model = model
        self._sites = {key_of(component): sites(model, component) for component in components}
        names = [name for some in self._sites.values() for name in some]
        last, split = vit.last_block(model), self._sites.get("heads", [])
        more = [vit.norm_before(name) for name in split] + [last] * (last is not None)
        with torch.no_grad(), evaluating(model):
            self._clean, self._corrupted = (_recorded(model, each, names, more) for each in (clean, corrupted))
            self._heads = {run: {name: vit.heard(model, name, run) for name in split} for run in (self._clean, self._corrupted)}
            self._last = last if last and vit.reads_class_token_only(model, last, self._clean) else None
        self.clean, self.corrupted = (checked_logits(run.output) for run in (self._clean, self._corrupted))
        self.layers = max(len(some) for some in self._sites.values())
        self.heads = model.get_submodule(split[0]).num_heads if split else 0

    @torch.no_grad()
    def patch(self, cells: Iterable[tuple], *, tokens: Tokens = "all", direction: Direction = "denoising") -> Tensor:
        """The logits (N, classes) with some cells patched at once.

        Args:
            cells: each (component, layer), as ("attn_out", 3), or ("heads", layer, head). With a list of layer names as
                the component, that list is left out: (None, 3).
            tokens: which tokens are patched, as in :func:`sweep`.
            direction: "denoising" puts clean activations into the corrupted run, "noising" the other way round.
        """
        base, source = (self._corrupted, self._clean) if denoises(direction) else (self._clean, self._corrupted)
        wanted: dict[str, list[int] | None] = {}
        for component, layer, *head in cells:
            name = self._site(component, layer)
            heads = wanted.get(name, [])
            # The whole output includes each of its heads.
            wanted[name] = None if not head or heads is None else [*heads, self._head(head[0])]
        if not wanted:
            return base.output
        first, *later = sorted(wanted, key=list(base.outputs).index)
        forwards, replacements = {}, {}
        for name in (first, *later):
            given, output = source.activation(name), base.outputs[name]
            chosen = None if isinstance(tokens, str) and tokens == "all" else self._chosen(tokens, name, source)
            if wanted[name] is not None:
                everywhere = torch.ones(1, 1, 1, dtype=torch.bool, device=given.device)
                mask = everywhere if chosen is None else chosen
                attention = self.model.get_submodule(name)
                forwards[name] = vit.with_heads(attention, self._heads[source][name], wanted[name], mask)
            elif chosen is None:
                forwards[name] = constant(with_first_tensor(output, given))
            elif name == first:
                forwards[name] = constant(with_first_tensor(output, torch.where(chosen, given, base.activation(name))))
            else:
                replacements[name] = lambda current, given=given, chosen=chosen: torch.where(chosen, given, current)
        # What stands inside a part that is replaced as a whole is not run at all.
        forwards = {name: each for name, each in forwards.items() if not any(name.startswith(f"{o}.") for o in forwards)}
        if self._last and not any(name.startswith(self._last) for name in wanted):
            forwards[self._last] = vit.class_token_only(self.model.get_submodule(self._last))
        with evaluating(self.model), override(self.model, forwards), replace(self.model, replacements):
            return base.run(first)

    def _chosen(self, tokens: Tokens, name: str, run: Recording) -> Tensor:
        activation = run.activation(name)
        layout = layout_of(self.model, name, activation, images=run.images)
        return chosen_places(tokens, activation, layout, run.images)

    def _site(self, component: str | None, layer: int) -> str:
        key = key_of(component)
        if key not in self._sites:
            raise ValueError(f"No {component!r} was recorded: the recorded components are {', '.join(map(str, self._sites))}.")
        if not 0 <= layer < len(self._sites[key]):
            raise ValueError(f"Layers run from 0 to {len(self._sites[key]) - 1}; there is no layer {layer}.")
        return self._sites[key][layer]

    def _head(self, head: int) -> int:
        if not 0 <= head < self.heads:
            raise ValueError(f"Heads run from 0 to {self.heads - 1}; there is no head {head}.")
        return head


def _recorded(model: nn.Module, pictures: Pictures, names: Sequence[str], more: Sequence[str]) -> Recording:
    with shifting(model, pictures) as (images, shifted):
        run = Recording(model, images, [*names, *more, *shifted])
    order = list(run.outputs)
    for name in names:
        if run.runs[name] != 1:
            raise ValueError(f"Layer {name!r} runs {run.runs[name]} times in a forward pass: choose one that runs once.")
        if any(order.index(name) < order.index(layer) for layer in shifted):
            raise ValueError(f"The noise comes in at {shifted[0]!r}, after layer {name!r}: patch layers behind it.")
    return run


def key_of(component: Component | None) -> str | None:
    """A component's name; None for a list of layers."""
    return component if isinstance(component, str) else None


def denoises(direction: str) -> bool:
    """Whether clean activations are put into the corrupted run, and not the other way round."""
    return checked_choice(direction, ("denoising", "noising"), "direction") == "denoising"


def record(
    model: nn.Module,
    clean: Pictures,
    corrupted: Pictures,
    *,
    components: Sequence[Component] = ("attn_out", "mlp_out", "resid", "heads"),
) -> Runs:
    """Run clean and corrupted pictures once, and keep what patches need.

    Args:
        model: a classifier; a torchvision `VisionTransformer`, or anything whose layers are given by name.
        clean, corrupted: pictures (N, 3, height, width), or what :func:`embedding_noise` returns.
        components: what is to be patched later, as in :func:`sweep`. Everything is kept in memory.

    Returns:
        A :class:`Runs`: `runs.patch([("attn_out", 3), ("mlp_out", 4)])` gives logits.

    Raises:
        ValueError: clean and corrupted do not fit together, or the model lacks a component.
    """
    return Runs(model, *checked_pictures(model, clean, corrupted), components)
