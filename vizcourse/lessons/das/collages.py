"""Photographs whose causes we know because we made them: a thing in the middle of a background, in a warm or a cold light."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vizcourse.hooks import capture
from vizcourse.worlds import photos

THINGS = ("coffee", "motorcycle", "cat")  # photographs that a network of ImageNet has a class for
LIGHTS = ("warm", "cold")
_COLOURS = torch.tensor([[1.0, 0.8, 0.6], [0.6, 0.8, 1.0]]).view(2, 3, 1, 1)


@dataclass(frozen=True)
class Collages:
    """Every thing in every background in both lights: images (N, 3, size, size), and the number of each cause, (N,) each."""

    images: Tensor
    background: Tensor
    thing: Tensor
    light: Tensor

    def __getitem__(self, rows: Tensor) -> Collages:
        """Some of them, by a mask (N,)."""
        return Collages(*(each[rows] for each in (self.images, self.background, self.thing, self.light)))

    def pairs(self, variable: str, backgrounds: Tensor | list[int]) -> tuple[Tensor, Tensor]:
        """All rows of bases and of sources, (pairs,) each, that differ in one variable alone, in some of the backgrounds."""
        causes = {name: getattr(self, name) for name in ("background", "thing", "light")}
        differs = {name: cause[:, None] != cause for name, cause in causes.items()}
        wanted = torch.isin(self.background, torch.as_tensor(backgrounds))[:, None] & differs.pop(variable)
        return (wanted & ~torch.stack(list(differs.values())).any(0)).nonzero().unbind(1)


def things(size: int = 224) -> Tensor:
    """The three things by themselves, (3, 3, size, size)."""
    return torch.cat([photos.samples()[name](size) for name in THINGS])


def collages(size: int = 224, backgrounds: Tensor | None = None) -> Collages:
    """Things of 5/7 of the size in the middle of backgrounds (n, 3, size, size), by default scikit-image's other samples."""
    if backgrounds is None:
        backgrounds = torch.cat([each(size) for name, each in photos.samples(grey=True).items() if name not in THINGS])
    inner = round(size * 5 / 7)
    start = (size - inner) // 2
    numbers = torch.cartesian_prod(*(torch.arange(len(each)) for each in (backgrounds, THINGS, LIGHTS)))
    images = backgrounds[numbers[:, 0]].clone()
    images[:, :, start : start + inner, start : start + inner] = things(inner)[numbers[:, 1]]
    return Collages(images * _COLOURS[numbers[:, 2]], *numbers.unbind(1))


@torch.no_grad()
def features(model: nn.Module, layer: str, images: Tensor) -> Tensor:
    """What a layer makes of images, one vector each, (N, d): the part of the network that no interchange has to run again."""
    vectors = []
    for part in images.split(16):
        with capture(model, layer, stop=True) as acts:
            model(part)
        vectors.append(acts[layer].flatten(1))
    return torch.cat(vectors)
