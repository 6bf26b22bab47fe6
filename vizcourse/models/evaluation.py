"""Accuracy with an interval, by class, and as a confusion matrix: the figures on a network's card."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vizcourse.methods.intervals import wilson
from vizcourse.models.training import at_size, luma
from vizcourse.worlds import photos


class Report(NamedTuple):
    """What a measurement found.

    figures: name -> `value` and `count`, for a share also the bounds `low` and `high` of its 95 % interval.
    details: anything else that JSON can hold, by name.
    """

    figures: dict[str, dict[str, float]]
    details: dict[str, Any]


def share(right: Tensor) -> dict[str, float]:
    """A figure from a tensor of booleans: their mean, with its interval."""
    if not isinstance(right, Tensor) or right.dtype != torch.bool:
        raise ValueError("A share is that of True in a tensor of booleans, such as (answers == labels).")
    correct, count = int(right.sum()), right.numel()
    found = wilson(correct, count)
    return {"value": found.estimate, "low": found.low, "high": found.high, "count": count}


@torch.no_grad()
def logits(network: nn.Module, images: Tensor, batch: int = 64) -> Tensor:
    """The network's outputs, (N, classes) in single precision, for uint8 pictures of any size."""
    device = next(network.parameters()).device
    outputs = []
    for part in images.split(batch):
        part = at_size(part, network.input_size).to(device).float() / 255
        outputs.append(network(part.contiguous(memory_format=torch.channels_last)).float().cpu())
    return torch.cat(outputs)


def accuracy(network: nn.Module, images: Tensor, labels: Tensor, *, suffix: str = "") -> Report:
    """Accuracy and mean cross-entropy; in the details, accuracy by class and the confusion matrix.

    Args:
        images: uint8 (N, 3, height, width).
        labels: int64 (N,).
        suffix: appended to the names of the figures, such as " in greyscale".
    """
    outputs = logits(network, images)
    answers = outputs.argmax(dim=1)
    classes = network.classes
    confusion = torch.bincount(labels * len(classes) + answers, minlength=len(classes) ** 2)
    confusion = confusion.view(len(classes), len(classes))
    by_class = {
        name: share((answers == labels)[labels == number])
        for number, name in enumerate(classes)
        if (labels == number).any()
    }
    figures = {
        f"accuracy{suffix}": share(answers == labels),
        f"loss{suffix}": {"value": functional.cross_entropy(outputs, labels).item(), "count": len(labels)},
    }
    details = {f"by class{suffix}": by_class, f"confusion{suffix} (rows: truth)": confusion.tolist()}
    return Report(figures, details)


def greyscale(images: Tensor) -> Tensor:
    """uint8 pictures without colour, still with three channels."""
    grey = torch.cat([luma(part.float()) for part in images.split(1000)])
    return grey.round().to(torch.uint8).expand(-1, 3, -1, -1)


@torch.no_grad()
def surest(network: nn.Module, gallery: photos.Gallery, count: int = 3) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """The photographs of which a classifier is surest, each of another class.

    Returns:
        the photographs in the order of the gallery, ``(count, 3, size, size)``; the classes that the network sees,
        ``(count,)``; and what the photographs are called.

    Raises:
        ValueError: the network sees fewer classes in them.
    """
    sure, said = network(gallery.images).softmax(dim=1).max(dim=1)
    of_class = {int(said[row]): row for row in sure.argsort().tolist()}  # the surest of a class comes last and stays
    rows = sorted(sorted(of_class.values(), key=lambda row: -float(sure[row]))[:count])
    if len(rows) < count:
        raise ValueError(f"{gallery.source}: the network sees {len(rows)} classes and {count} are needed: add photographs.")
    return gallery.images[rows], said[rows], tuple(gallery.names[row] for row in rows)
