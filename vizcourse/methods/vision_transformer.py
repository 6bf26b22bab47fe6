"""The parts of a torchvision `VisionTransformer`: its blocks, their components and heads, wherever it stands in a model.

A block adds to the residual stream what its attention and its MLP make of it (Dosovitskiy et al. 2021); an attention is several
heads side by side, whose values its output matrix mixes (Vaswani et al. 2017, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from vizcourse.hooks import Recording, override
from vizcourse.methods.checks import checked_model

#: What is patched, as the part of a block whose output it is. "heads" are the attention's heads, before its output matrix.
COMPONENTS = {"resid": "", "attn_out": ".self_attention", "mlp_out": ".mlp", "heads": ".self_attention"}


def blocks(model: nn.Module) -> list[str]:
    """The names of a vision transformer's blocks, in order, also inside a wrapper; none if the model has no such network.

    Raises:
        ValueError: the model holds several.
    """
    found = _encoders(model)
    if len(found) > 1:
        raise ValueError(f"The model holds {len(found)} vision transformers: pass a list of layers instead of a component.")
    return [
        f"{name}.layers.{block}".lstrip(".") for name in found for block, _ in model.get_submodule(name).layers.named_children()
    ]


def last_block(model: nn.Module) -> str | None:
    """The last of :func:`blocks`; None if there is not one such network."""
    return blocks(model)[-1] if len(_encoders(model)) == 1 else None


def _encoders(model: nn.Module) -> list[str]:
    return [name for name, part in checked_model(model).named_modules() if _is_encoder(part)]


def _is_encoder(part: nn.Module) -> bool:
    layers = getattr(part, "layers", None)
    return isinstance(layers, nn.Sequential) and len(layers) > 0 and all(_is_block(block) for block in layers)


def _is_block(block: nn.Module) -> bool:
    attention = getattr(block, "self_attention", None)
    parts = all(hasattr(block, name) for name in ("ln_1", "ln_2", "mlp"))
    return parts and isinstance(attention, nn.MultiheadAttention) and attention.batch_first


def embedding(model: nn.Module) -> str:
    """The name of the layer whose output are the embedded tokens, before the first block.

    Raises:
        ValueError: the model is no vision transformer of torchvision.
    """
    return f"{needed_blocks(model)[0].rpartition('layers.')[0]}dropout"


def needed_blocks(model: nn.Module) -> list[str]:
    """:func:`blocks` of a model that must have some."""
    found = blocks(model)
    if not found:
        raise ValueError(f"{type(model).__name__} is no vision transformer of torchvision: pass one that is.")
    return found


def split(attention: nn.MultiheadAttention, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of tokens (N, tokens, width): (N, heads, tokens, width of a head) each."""
    count, length, _ = tokens.shape
    projected = functional.linear(tokens, attention.in_proj_weight, attention.in_proj_bias)
    return tuple(projected.view(count, length, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4))


def head_values(attention: nn.MultiheadAttention, tokens: Tensor) -> Tensor:
    """What each head has gathered, (N, tokens, heads, width of a head), before the output matrix mixes the heads."""
    return functional.scaled_dot_product_attention(*split(attention, tokens)).transpose(1, 2)


def heard(model: nn.Module, attention: str, recording: Recording) -> Tensor:
    """:func:`head_values` of a block's attention in a recorded run, in which its norm is among the layers."""
    return head_values(model.get_submodule(attention), recording.activation(norm_before(attention)))


def norm_before(attention: str) -> str:
    """The name of the norm that a block's attention listens to."""
    return f"{attention.removesuffix('self_attention')}ln_1"


def with_heads(attention: nn.MultiheadAttention, source: Tensor, heads: list[int], chosen: Tensor) -> Callable:
    """A forward of the attention that takes some heads (N, tokens, heads, width of a head) from the source.

    Args:
        attention: of a block.
        source: the values of all heads in another run.
        heads: which are taken.
        chosen: at which tokens, boolean, (N or 1, tokens or 1, 1).
    """

    def forward(query: Tensor, *inputs: object, **options: object) -> tuple[Tensor, None]:
        values = head_values(attention, query)
        values[:, :, heads] = torch.where(chosen[..., None], source[:, :, heads], values[:, :, heads])
        return attention.out_proj(values.flatten(2)), None

    return forward


def at_heads(attention: nn.MultiheadAttention, gradient: Tensor) -> Tensor:
    """A gradient at the attention's output (N, tokens, width), taken back to its heads: (N, tokens, heads, width of a head)."""
    matrix = attention.out_proj.weight.unflatten(1, (attention.num_heads, -1))  # (width, heads, width of a head)
    return torch.einsum("ntw,whd->nthd", gradient, matrix)


def class_token_only(block: nn.Module) -> Callable:
    """A forward of the last block for the class token alone, for a network that reads no other after it."""

    def forward(tokens: Tensor) -> Tensor:
        norm = block.ln_1(tokens)
        stream = tokens[:, :1] + block.dropout(block.self_attention(norm[:, :1], norm, norm, need_weights=False)[0])
        return stream + block.mlp(block.ln_2(stream))

    return forward


def reads_class_token_only(model: nn.Module, last: str, recording: Recording) -> bool:
    """Whether the answer to a recorded picture is the same with :func:`class_token_only` in the last block."""
    with override(model, {last: class_token_only(model.get_submodule(last))}):
        try:
            answer = recording.run(last, first=1)
        except (RuntimeError, IndexError, ValueError, AssertionError):  # it wants all tokens
            return False
    return answer.shape == recording.output[:1].shape and torch.allclose(answer, recording.output[:1], rtol=1e-3, atol=1e-4)
