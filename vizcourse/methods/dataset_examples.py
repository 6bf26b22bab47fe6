"""Dataset examples: the pictures of a collection that excite a unit most, and what it saw of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from vizcourse.hooks import Layout, Wanted, resolve
from vizcourse.methods.checks import checked_count, checked_finite, following
from vizcourse.methods.passes import PassingReLU, left_alone, one_channel, picture_batches, running


@dataclass(frozen=True)
class Examples:
    """What :func:`top_examples` returns, best first, for U units and k examples each.

    Attributes:
        values: ``(U, k)``.
        index: ``(U, k)``, the picture's number in the order in which it came.
        position: ``(U, k, 2)``, row and column of the layer's map at which the unit answered most.
        boxes: ``(U, k, 4)``, the receptive field of that position in pixels: top, left, bottom, right (not included).
    """

    values: Tensor
    index: Tensor
    position: Tensor
    boxes: Tensor
    _pictures: dict[int, Tensor] = field(repr=False)

    def pictures(self, unit: int) -> Tensor:
        """The pictures of the unit in place ``unit``, ``(k, 3, height, width)``."""
        return torch.stack([self._pictures[number] for number in self.index[unit].tolist()])

    def crops(self, unit: int) -> list[Tensor]:
        """What the unit saw of each, ``(3, h, w)``; smaller where the receptive field is cut by the picture's rim."""
        both = zip(self.pictures(unit), self.boxes[unit].tolist(), strict=True)
        return [picture[:, top:bottom, left:right] for picture, (top, left, bottom, right) in both]


@torch.no_grad()
def top_examples(
    model: nn.Module,
    batches: Iterable,
    layer: Wanted,
    *,
    channels: Sequence[int] | None = None,
    directions: Tensor | None = None,
    k: int = 9,
    by: str = "max",
    layout: Layout | str | None = None,
    progress: bool = True,
) -> Examples:
    """The pictures that excite units of a layer most, found in one pass over any amount of pictures.

    Only the best k of each unit are held at any time. Of equals, the one that came first is taken.

    Args:
        model: from pictures ``(N, 3, height, width)`` in [0, 1], all of one size.
        batches: batches of pictures, or of ``(pictures, …)`` tuples as a data loader gives.
        layer: the layer, by name or as a module.
        channels: the units; by default all channels.
        directions: ``(U, channels)``: directions in activation space as units instead.
        k: examples for each unit, fewer if there are fewer pictures.
        by: ``"max"`` or ``"mean"`` of the unit's map.
        layout: how the layer lays out its activation, where it cannot be found; see :func:`vizcourse.hooks.layout_of`.
        progress: show a bar if it takes more than three seconds.

    Raises:
        ValueError: no pictures, unknown layer, channel out of range, values that are not finite.
    """
    if by not in ("max", "mean") or checked_count(k, "k") < 1 or (channels is not None and directions is not None):
        raise ValueError('by is "max" or "mean", k at least 1, and channels or directions may be given, not both.')
    resolve(model, layer[0] if isinstance(layer, tuple) else layer)
    if channels is not None and (isinstance(channels, int) or not len(channels)):
        raise ValueError(f"channels is a list of at least one channel, such as [3], not {channels!r}.")
    if directions is not None and not (directions.ndim == 2 and directions.any(1).all()):
        raise ValueError("directions must be rows (U, channels) that are not all zeros.")
    values = index = where = None
    pictures: dict[int, Tensor] = {}
    seen = columns = 0
    with left_alone(model), running(model, [layer], layout=layout) as run:
        for batch in tqdm(picture_batches(batches), "pictures", delay=3, leave=False, disable=not progress):
            batch = following(batch, model)
            name, maps, _ = run(batch)[layer]
            if directions is not None:
                if directions.ndim != 2 or directions.shape[1] != maps.shape[1]:
                    raise ValueError(f"directions must be (U, {maps.shape[1]}) for layer {name!r}.")
                checked_finite(directions, "directions")
                maps = torch.einsum("uc,nchw->nuhw", directions.to(maps), maps)
            elif channels is not None:
                maps = torch.stack([one_channel(maps, number, name) for number in channels], 1)
            if not maps.sum().isfinite():
                raise ValueError(f"Layer {name!r} gives values that are not finite: check the pictures and the weights.")
            columns = maps.shape[3]
            most, at = maps.flatten(2).max(2)  # (n, U)
            score = most if by == "max" else maps.mean((2, 3))
            number = torch.arange(seen, seen + len(maps), device=at.device)[:, None].expand_as(at)
            new = [entry.T.cpu() for entry in (score, number, at)]
            old = (values, index, where) if seen else [entry[:, :0] for entry in new]
            values, order = torch.cat([old[0], new[0]], 1).sort(dim=1, descending=True, stable=True)
            values, order = values[:, :k], order[:, :k]
            index, where = (torch.cat(both, 1).gather(1, order) for both in zip(old[1:], new[1:], strict=True))
            kept = set(index.flatten().tolist())
            pictures |= {seen + row: batch[row].cpu().clone() for row in range(len(batch)) if seen + row in kept}
            pictures = {number: picture for number, picture in pictures.items() if number in kept}
            seen += len(batch)
    position = torch.stack([where // columns, where % columns], 2)
    rows, sides = _receptive_fields(model, layer, batch[:1], layout)
    tall, wide = rows[position[..., 0]], sides[position[..., 1]]
    boxes = torch.stack([tall[..., 0], wide[..., 0], tall[..., 1], wide[..., 1]], 2)
    return Examples(values, index, position, boxes, pictures)


def _receptive_fields(
    model: nn.Module, layer: Wanted, picture: Tensor, layout: Layout | str | None, draws: int = 4
) -> tuple[Tensor, Tensor]:
    """Which pixel rows each row of a layer's map can see, ``(rows, 2)`` from and up to, and the same for columns.

    Found from where gradients are not zero on noise, all at once: copy j of the noise asks for row j and column j.
    """
    generator = torch.Generator().manual_seed(0)
    with left_alone(model), torch.enable_grad(), running(model, [layer], layout=layout) as run, PassingReLU():
        with torch.no_grad():
            rows, columns = run(picture)[layer].maps.shape[2:]
        if rows == 1:  # a vector, or tokens: they see everything
            return torch.tensor([[0, picture.shape[2]]]), torch.tensor([[0, picture.shape[3]]]).expand(columns, 2)
        number = torch.arange(max(rows, columns))
        reach = torch.zeros(len(number), *picture.shape[2:], dtype=torch.bool)
        for _ in range(draws):
            noise = torch.rand(len(number), *picture.shape[1:], generator=generator).to(picture).requires_grad_()
            maps = run(noise)[layer].maps
            answer = maps[number, :, number.clamp_max(rows - 1), number.clamp_max(columns - 1)]
            if answer.requires_grad:
                reach |= torch.autograd.grad(answer.sum(), noise, allow_unused=True)[0].ne(0).any(1).cpu()

    def extent(touched: Tensor, count: int) -> Tensor:
        nothing = ~touched.any(1)  # a dead part: the whole picture rather than none of it
        touched = touched | nothing[:, None]
        first = touched.int().argmax(1)
        last = touched.shape[1] - touched.flip(1).int().argmax(1)
        return torch.stack([first, last], 1)[:count]

    return extent(reach.any(2), rows), extent(reach.any(1), columns)
