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
from vizcourse.methods.passes import device_of, evaluating

#: What can be patched. "pattern" is the queries and the keys together; with the values it is all that an attention does.
PARTS = ("query", "key", "value", "pattern")


def split(attention: nn.MultiheadAttention, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of tokens (N, tokens, width): (N, heads, tokens, width of a head) each."""
    count, length, _ = tokens.shape
    projected = functional.linear(tokens, attention.in_proj_weight, attention.in_proj_bias)
    return tuple(projected.view(count, length, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4))


def head_values(attention: nn.MultiheadAttention, tokens: Tensor) -> Tensor:
    """What each head has gathered, (N, tokens, heads, width of a head), before the output matrix mixes the heads."""
    return functional.scaled_dot_product_attention(*split(attention, tokens)).transpose(1, 2)


def pattern(attention: nn.MultiheadAttention, tokens: Tensor) -> Tensor:
    """How much each token hears of each other, (N, heads, hearing token, heard token); each row adds up to 1."""
    query, key, _ = split(attention, tokens)
    return (query @ key.transpose(2, 3) / query.shape[3] ** 0.5).softmax(dim=3)


@torch.no_grad()
def patch_parts(
    model: nn.Module, clean: Tensor, corrupted: Tensor, parts: Iterable[str], layers: Iterable[int]
) -> Tensor:
    """Logits (N, classes) of the corrupted run with parts of some attentions as in the clean run, for all heads and tokens.

    Args:
        model: a torchvision `VisionTransformer`.
        clean, corrupted: pictures (N, 3, height, width).
        parts: some of "query", "key", "value", "pattern".
        layers: numbers of the layers, from 0.

    Raises:
        ValueError: the model has no such layer, there is no such part, or the pictures do not fit together.
    """
    blocks = getattr(getattr(model, "encoder", None), "layers", None)
    if not isinstance(blocks, nn.Sequential) or not all(hasattr(block, "self_attention") for block in blocks):
        raise ValueError(f"{type(model).__name__} is no vision transformer of torchvision: pass one that is.")
    if clean.shape != corrupted.shape:
        raise ValueError(f"Clean {tuple(clean.shape)} and corrupted {tuple(corrupted.shape)} differ: pair the pictures.")
    parts, layers = set(parts), list(layers)
    if unknown := parts - set(PARTS):
        raise ValueError(f"There is no part {sorted(unknown)[0]!r}: choose from {', '.join(PARTS)}.")
    if any(not 0 <= layer < len(blocks) for layer in layers):
        raise ValueError(f"Layers run from 0 to {len(blocks) - 1}; {layers} leaves that range.")
    if "pattern" in parts:
        parts |= {"query", "key"}
    names = [f"encoder.layers.{name}" for name, _ in blocks.named_children()]
    names = [names[layer] for layer in layers]
    images = (each.to(device_of(model)) for each in (clean, corrupted))
    with evaluating(model):
        with capture(model, [f"{name}.ln_1" for name in names]) as heard:  # what each attention is given
            model(next(images))
        forwards = {}
        for name in names:
            attention = model.get_submodule(f"{name}.self_attention")
            source = dict(zip(PARTS, split(attention, heard[f"{name}.ln_1"]), strict=False))
            forwards[f"{name}.self_attention"] = _taking(attention, {part: source[part] for part in parts & set(source)})
        with override(model, forwards):
            return model(next(images))


def _taking(attention: nn.MultiheadAttention, given: dict[str, Tensor]) -> Callable:
    """A forward of the attention in which some of query, key and value are the given ones."""

    def forward(tokens: Tensor, *inputs: object, **options: object) -> tuple[Tensor, None]:
        own = dict(zip(PARTS, split(attention, tokens), strict=False)) | given
        gathered = functional.scaled_dot_product_attention(own["query"], own["key"], own["value"])
        return attention.out_proj(gathered.transpose(1, 2).flatten(2)), None

    return forward
