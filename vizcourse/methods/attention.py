"""Inside an attention: its queries, keys and values, the pattern that the first two make, and patches of each.

A token of the stream asks (query) what the others offer (key); the answers to that are the pattern, how much each token
hears of each other; and what it hears are their values. :func:`patch_parts` takes some of these from another run, so that
one can ask whether a difference is carried by *where* an attention looks or by *what* it finds there.

Source: A. Vaswani and others, "Attention is all you need", 2017, section 3.2; K. Wang and others, "Interpretability in the
wild", 2023, who patch queries, keys and values one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from vizcourse.hooks import capture, override
from vizcourse.methods.checks import checked_choice, checked_count, checked_images, checked_pair
from vizcourse.methods.passes import evaluating
from vizcourse.methods.vision_transformer import COMPONENTS, head_values, needed_blocks, norm_before, split

__all__ = ["PARTS", "head_values", "patch_parts", "pattern", "split"]

#: What can be patched. "pattern" is the queries and the keys together; with the values it is all that an attention does.
PARTS = ("query", "key", "value", "pattern")


def pattern(attention: nn.MultiheadAttention, tokens: Tensor) -> Tensor:
    """How much each token hears of each other, (N, heads, hearing token, heard token); each row adds up to 1."""
    query, key, _ = split(attention, tokens)
    return (query @ key.transpose(2, 3) / query.shape[3] ** 0.5).softmax(dim=3)


@torch.no_grad()
def patch_parts(model: nn.Module, clean: Tensor, corrupted: Tensor, parts: Iterable[str], layers: Iterable[int]) -> Tensor:
    """Logits (N, classes) of the corrupted run with parts of some attentions as in the clean run, for all heads and tokens.

    Args:
        model: a torchvision `VisionTransformer`.
        clean, corrupted: pictures (N, 3, height, width).
        parts: some of "query", "key", "value", "pattern".
        layers: numbers of the layers, from 0.

    Raises:
        ValueError: the model has no such layer, there is no such part, or the pictures do not fit together.
    """
    names = [block + COMPONENTS["attn_out"] for block in needed_blocks(model)]
    for some, what in ((parts, "parts"), (layers, "layers")):
        if isinstance(some, str) or not isinstance(some, Iterable):
            raise ValueError(f"{what} is a list, such as ['value'] or [0, 1], not {some!r}.")
    clean, corrupted = (checked_images(images, model) for images in (clean, corrupted))
    checked_pair(clean, corrupted)
    parts = {checked_choice(part, PARTS, "part") for part in parts}
    if "pattern" in parts:
        parts |= {"query", "key"}
    layers = [checked_count(layer, "A layer's number", least=0) for layer in layers]
    if any(layer >= len(names) for layer in layers):
        raise ValueError(f"Layers run from 0 to {len(names) - 1}; {layers} leaves that range.")
    names = [names[layer] for layer in layers]
    with evaluating(model):
        forwards = {}
        if names:
            with capture(model, [norm_before(name) for name in names], stop=True) as heard:  # what each attention is given
                model(clean)
        for name in names:
            attention = model.get_submodule(name)
            source = dict(zip(PARTS, split(attention, heard[norm_before(name)]), strict=False))
            forwards[name] = _taking(attention, {part: source[part] for part in parts & set(source)})
        with override(model, forwards):
            return model(corrupted)


def _taking(attention: nn.MultiheadAttention, given: dict[str, Tensor]) -> Callable:
    """A forward of the attention in which some of query, key and value are the given ones."""

    def forward(tokens: Tensor, *inputs: object, **options: object) -> tuple[Tensor, None]:
        own = dict(zip(PARTS, split(attention, tokens), strict=False)) | given
        gathered = functional.scaled_dot_product_attention(own["query"], own["key"], own["value"])
        return attention.out_proj(gathered.transpose(1, 2).flatten(2)), None

    return forward
