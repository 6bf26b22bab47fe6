"""The training loop behind every shipped network: seeded, resumable, on CPU or GPU."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torchvision.transforms.v2.functional import resize
from tqdm.auto import tqdm

Data = tuple[Tensor, Tensor]
"""Pictures, uint8 (N, 3, height, width), and their labels, int64 (N,)."""


LUMA = (0.299, 0.587, 0.114)
"""How much red, green and blue count for the grey of a pixel (ITU-R BT.601)."""


@dataclass(frozen=True)
class Phase:
    """A part of a training run: so many epochs on pictures of one size (pixels), in batches of one size.

    Early epochs on small pictures are cheap and teach most of what there is to learn.
    """

    epochs: int
    size: int
    batch: int = 64


@dataclass(frozen=True)
class Schedule:
    """How a network is trained.

    optimizer: "sgd" (Nesterov momentum 0.9) or "adamw".
    peak: the highest learning rate. It rises to it in a straight line over the first `warm_up` share of all
        steps, then falls as a half cosine to nearly zero: the one-cycle schedule (Smith and Topin 2017).
    smoothing: share of the target that cross-entropy spreads over all classes.
    """

    phases: tuple[Phase, ...]
    optimizer: str = "sgd"
    peak: float = 0.1
    weight_decay: float = 5e-4
    warm_up: float = 0.25
    smoothing: float = 0.0
    clip: float = 5.0

    @property
    def epochs(self) -> int:
        return sum(phase.epochs for phase in self.phases)

    def phase(self, epoch: int) -> Phase:
        """The phase that an epoch, counted from 0, belongs to."""
        for phase in self.phases:
            if epoch < phase.epochs:
                return phase
            epoch -= phase.epochs
        raise ValueError(f"This schedule has only {self.epochs} epochs.")

    def rate(self, progress: float) -> float:
        """The learning rate after a share `progress` (0 to 1) of the run."""
        if progress < self.warm_up:
            return self.peak * (0.04 + 0.96 * progress / self.warm_up)
        fall = (progress - self.warm_up) / (1 - self.warm_up)
        return self.peak * max(0.5 * (1 + math.cos(math.pi * fall)), 1e-3)


@dataclass
class Run:
    """What a finished training run reports: wall-clock and processor seconds, and the last epoch's mean
    loss."""

    seconds: float
    processor_seconds: float
    loss: float


def fit(
    network: nn.Module,
    data: Callable[[], Data],
    schedule: Schedule,
    *,
    seed: int,
    checkpoint: Path,
    fingerprint: str,
    device: torch.device,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor] | None = None,
    stop_after: int | None = None,
) -> Run:
    """Train a network in place; go on from `checkpoint` where one with the same fingerprint lies there.

    Every epoch draws its order, its augmentation and any dropout from a generator seeded by (seed, epoch), so
    a run that was interrupted and resumed gives the weights of an uninterrupted one.

    Args:
        network: takes floats in [0, 1].
        data: called once; uint8 pictures at the largest size, and labels.
        checkpoint: file that is replaced after each epoch, atomically.
        fingerprint: text that says all that matters about the run; a checkpoint with another one is ignored.
        augment: changes a float batch, with a CPU generator for its random numbers.
        loss: (network, float pictures, labels) -> scalar; cross-entropy when not given.
        stop_after: leave after this many epochs in all, as if interrupted (for tests).

    Raises:
        FloatingPointError: if the loss is no longer finite.
    """
    network.train().requires_grad_(True).to(device, memory_format=torch.channels_last)
    optimizer = _optimizer(network, schedule)
    start, spent, processor_spent, mean_loss = 0, 0.0, 0.0, math.nan
    if checkpoint.is_file():
        saved = _read_checkpoint(checkpoint, fingerprint, device)
        if saved is not None:
            network.load_state_dict(saved["network"])
            optimizer.load_state_dict(saved["optimizer"])
            start, spent, processor_spent = saved["epoch"], saved["seconds"], saved["processor_seconds"]
            mean_loss = saved["loss"]
    if start == schedule.epochs:
        return Run(spent, processor_spent, mean_loss)

    images, labels = data()
    sized: dict[int, Tensor] = {}
    steps_per_epoch = [math.ceil(len(labels) / schedule.phase(epoch).batch) for epoch in range(schedule.epochs)]
    total, step = sum(steps_per_epoch), sum(steps_per_epoch[:start])
    clock, processor_clock = time.perf_counter(), time.process_time()
    with tqdm(total=total, initial=step, desc="training", unit="batch") as bar, torch.random.fork_rng():
        for epoch in range(start, schedule.epochs):
            phase = schedule.phase(epoch)
            if phase.size not in sized:
                sized = {phase.size: at_size(images, phase.size)}
            torch.manual_seed(_mix(seed, epoch))
            generator = torch.Generator().manual_seed(_mix(seed, epoch) + 1)
            losses = []
            for chosen in torch.randperm(len(labels), generator=generator).split(phase.batch):
                batch = sized[phase.size][chosen].to(device).float().div_(255)
                if augment is not None:
                    batch = augment(batch, generator)
                batch = batch.contiguous(memory_format=torch.channels_last)
                for group in optimizer.param_groups:
                    group["lr"] = schedule.rate(step / total)
                value = _step(network, batch, labels[chosen].to(device), optimizer, schedule, loss)
                if not math.isfinite(value):
                    raise FloatingPointError(f"The loss became {value} in epoch {epoch + 1}: lower the learning rate.")
                losses.append(value)
                step += 1
                bar.update()
                bar.set_postfix(epoch=f"{epoch + 1}/{schedule.epochs}", loss=f"{value:.4f}", refresh=False)
            mean_loss = sum(losses) / len(losses)
            tqdm.write(f"epoch {epoch + 1}/{schedule.epochs} loss {mean_loss:.4f} at {time.strftime('%H:%M:%S')}")
            _write_checkpoint(
                checkpoint,
                {
                    "fingerprint": fingerprint,
                    "network": network.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "epoch": epoch + 1,
                    "seconds": spent + time.perf_counter() - clock,
                    "processor_seconds": processor_spent + time.process_time() - processor_clock,
                    "loss": mean_loss,
                },
            )
            if epoch + 1 == stop_after:
                break
    return Run(
        spent + time.perf_counter() - clock,
        processor_spent + time.process_time() - processor_clock,
        mean_loss,
    )


def _step(network, batch, labels, optimizer, schedule, loss) -> float:
    # bfloat16 halves the time of convolutions on processors that have it, and needs no loss scaling. Fused
    # attention is the slower choice on a CPU for the few tokens of these networks: its backward pass took
    # over half the time.
    with torch.autocast(batch.device.type, dtype=torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
        if loss is None:
            value = functional.cross_entropy(network(batch).float(), labels, label_smoothing=schedule.smoothing)
        else:
            value = loss(network, batch, labels)
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
    optimizer.step()
    return value.item()


def perturbed(network: nn.Module, images: Tensor, labels: Tensor, radius: Tensor, *, steps: int = 1) -> Tensor:
    """Pictures changed, each within a ball around itself, so that the network errs more: projected gradient ascent.

    Starts at random inside the ball and steps along the normalized gradient of the cross-entropy (Madry et al. 2018, with
    the L2 norm; one step from a random start is enough to train with: Wong et al. 2020). The network is asked in eval mode.

    Args:
        images: ``(N, 3, height, width)`` in [0, 1]; what comes back is in [0, 1], too.
        labels: ``(N,)``.
        radius: ``(N,)``, the largest length (L2) of each picture's change.
        steps: of the ascent, each of length 1.25 radius / sqrt(steps).
    """
    radius = radius.view(-1, 1, 1, 1)
    mode = network.training
    network.eval()
    try:
        change = _of_length(torch.randn_like(images), radius * torch.rand_like(radius))
        for _ in range(steps):
            change.requires_grad_()
            with torch.enable_grad():
                value = functional.cross_entropy(network((images + change).clamp(0, 1)).float(), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(value, change)
            change = change.detach() + _of_length(gradient, 1.25 * radius / steps**0.5)
            length = change.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            change = change * (radius / length.clamp_min(1e-12)).clamp(max=1)
    finally:
        network.train(mode)
    return (images + change).clamp(0, 1)


def _of_length(changes: Tensor, length: Tensor) -> Tensor:
    """Changes ``(N, 3, h, w)`` scaled to these lengths, ``(N, 1, 1, 1)``."""
    return changes * (length / changes.flatten(1).norm(dim=1).view(-1, 1, 1, 1).clamp_min(1e-12))


def adversarial(radius: float, side: int) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    """The loss of training against small perturbations: cross-entropy on :func:`perturbed` pictures.

    Each picture's radius is drawn from 0 to ``radius``, so that the network learns from easy pictures and hard ones at any
    time. It holds for pictures of ``side`` pixels; on smaller ones it shrinks with the side, and each pixel's share stays.
    """

    def loss(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        longest = radius * images.shape[-1] / side * torch.rand(len(images), device=images.device)
        seen = perturbed(network, images, labels, longest)
        return functional.cross_entropy(network(seen).float(), labels)

    loss.__name__ = f"adversarial({radius:g}, {side})"
    return loss


def _optimizer(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """Weight decay only for weights with two dimensions or more: not for biases and normalisation layers."""
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": schedule.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if schedule.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=schedule.peak, momentum=0.9, nesterov=True)
    if schedule.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=schedule.peak, betas=(0.9, 0.99))
    raise ValueError(f"optimizer must be 'sgd' or 'adamw', not {schedule.optimizer!r}.")


def at_size(images: Tensor, size: int) -> Tensor:
    """uint8 pictures scaled to `size` pixels square, a thousand at a time to save memory."""
    if images.shape[-1] == size:
        return images
    return torch.cat([resize(part, [size, size], antialias=True) for part in images.split(1000)])


def _mix(seed: int, epoch: int) -> int:
    """A seed for one epoch of one run: neighbouring seeds and epochs must not share random numbers."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{epoch}".encode()).digest()[:6], "big")


def _read_checkpoint(path: Path, fingerprint: str, device: torch.device) -> dict[str, Any] | None:
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
    except Exception:  # an unreadable checkpoint costs time, nothing else
        tqdm.write(f"The checkpoint {path} cannot be read: starting afresh.")
        return None
    if saved.get("fingerprint") != fingerprint:
        tqdm.write(f"The checkpoint {path} belongs to another recipe: starting afresh.")
        return None
    return saved


def _write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    torch.save(content, unfinished)
    os.replace(unfinished, path)


def hardware(device: torch.device) -> str:
    """What a run was made on, in words: the card of a network says so."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                processor = line.split(":", 1)[1].strip()
                break
    threads = torch.get_num_threads()
    return f"{threads} core{'s' if threads > 1 else ''} of {processor}"


# ------------------------------------------------------------------------------------------- augmentation


def shift(pixels: int) -> Callable[[Tensor, torch.Generator], Tensor]:
    """Move each picture by up to so many pixels, across and down, repeating its border."""

    def move(images: Tensor, generator: torch.Generator) -> Tensor:
        count, channels, height, width = images.shape
        padded = functional.pad(images, [pixels] * 4, mode="replicate")
        offsets = torch.randint(0, 2 * pixels + 1, (2, count, 1), generator=generator).to(images.device)
        rows = offsets[0] + torch.arange(height, device=images.device)
        columns = offsets[1] + torch.arange(width, device=images.device)
        number = torch.arange(count, device=images.device)[:, None, None]
        # Advanced indices around a slice put the channels last, which is also the memory format of training.
        moved = padded.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None, :]]
        return moved.permute(0, 3, 1, 2)

    move.__qualname__ = f"shift({pixels})"
    return move


def mirror(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror half of the pictures left to right."""
    chosen = torch.rand(len(images), generator=generator).to(images.device) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def luma(images: Tensor) -> Tensor:
    """Brightness of float pictures (N, 3, H, W) as (N, 1, H, W): the weighted sum of ITU-R BT.601."""
    return (images * images.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def sometimes_grey(share: float) -> Callable[[Tensor, torch.Generator], Tensor]:
    """Take the colour out of this share of the pictures, so that greyscale by itself is nothing unheard of."""

    def grey(images: Tensor, generator: torch.Generator) -> Tensor:
        chosen = torch.rand(len(images), generator=generator).to(images.device) < share
        return torch.where(chosen[:, None, None, None], luma(images), images)

    grey.__qualname__ = f"sometimes_grey({share})"
    return grey


def both(*steps: Callable[[Tensor, torch.Generator], Tensor]) -> Callable[[Tensor, torch.Generator], Tensor]:
    """One augmentation after the other."""

    def together(images: Tensor, generator: torch.Generator) -> Tensor:
        for step in steps:
            images = step(images, generator)
        return images

    together.__qualname__ = " + ".join(step.__qualname__ for step in steps)
    return together
