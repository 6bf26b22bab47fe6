"""Scenes as torch data sets: drawn on the fly, or drawn once and kept."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from vizcourse.worlds.checking import whole

from .factors import Sampler, Scene, label
from .rendering import check_size, render, render_bytes


class Scenes(Dataset):
    """``n`` scenes of a seed, drawn whenever they are asked for: ``dataset[i]`` is ``(picture, class index)``.

    n, seed, bias, fixed: as for ``sample``. size: pixels. labels: give ``(picture, class index, Labels)`` instead.
    transform: applied to the picture, a float tensor (3, size, size) in [0, 1]. ``dataset.scene(i)`` is the scene.
    A data loader does not know how to stack Labels: with labels, give it ``collate_fn=list``.
    """

    def __init__(self, n: int, seed: int, *, size: int = 96, labels: bool = False,
                 transform: Callable[[torch.Tensor], torch.Tensor] | None = None,
                 bias: Mapping[str, Any] | None = None, **fixed: Any) -> None:
        check_size(size)
        self.n, self.size, self.labels, self.transform = whole("n", n, 1), int(size), labels, transform
        self.sampler = Sampler(seed, bias=bias, **fixed)

    def __len__(self) -> int:
        return self.n

    def scene(self, index: int) -> Scene:
        """Scene ``index`` of the data set."""
        if not -self.n <= index < self.n:
            raise IndexError(f"scene {index} of a data set of {self.n}")
        return self.sampler[index % self.n]

    def __getitem__(self, index: int) -> tuple:
        scene = self.scene(index)
        drawn = render(scene, self.size, labels=self.labels)
        picture, labelled = drawn if self.labels else (drawn, None)
        if self.transform is not None:
            picture = self.transform(picture)
        return (picture, label(scene), labelled) if self.labels else (picture, label(scene))


# Part of a cache file's fingerprint: raise it when the drawings change, so that old files are drawn anew.
DRAWING_VERSION = 2


class CachedScenes(Dataset):
    """``n`` scenes of a seed, drawn once: ``dataset[i]`` is ``(picture, class index)``.

    ``pictures`` is a uint8 tensor (n, 3, size, size), ``targets`` an int64 tensor (n,): train on whole batches of
    ``pictures[indices].float() / 255``. file: keep the pictures there too; when the file exists already, it is read
    instead of drawing, provided that it holds the same scenes and its SHA-256 is right; otherwise it is written anew.
    progress: show a bar while drawing. Other arguments as for ``Scenes``.
    """

    def __init__(self, n: int, seed: int, *, size: int = 96, file: str | Path | None = None, progress: bool = False,
                 transform: Callable[[torch.Tensor], torch.Tensor] | None = None,
                 bias: Mapping[str, Any] | None = None, **fixed: Any) -> None:
        self.source = Scenes(n, seed, size=size, bias=bias, **fixed)
        self.transform = transform
        recipe = {"version": DRAWING_VERSION, "n": int(n), "seed": int(seed), "size": int(size), "bias": repr(bias),
                  "fixed": repr(sorted(fixed.items()))}
        self.recipe = json.dumps(recipe, sort_keys=True)
        stored = _read(Path(file), self.recipe) if file is not None else None
        self.pictures, self.targets = stored if stored is not None else self._draw(progress)
        if file is not None and stored is None:
            _write(Path(file), self.recipe, self.pictures, self.targets)

    def _draw(self, progress: bool) -> tuple[torch.Tensor, torch.Tensor]:
        from tqdm.auto import tqdm

        count, size = len(self.source), self.source.size
        pictures = torch.empty(count, 3, size, size, dtype=torch.uint8)
        targets = torch.empty(count, dtype=torch.int64)
        for i in tqdm(range(count), desc="drawing scenes", disable=not progress):
            scene = self.source.scene(i)
            pictures[i] = render_bytes(scene, size)
            targets[i] = label(scene)
        return pictures, targets

    def __len__(self) -> int:
        return len(self.source)

    def scene(self, index: int) -> Scene:
        """Scene ``index`` of the data set."""
        return self.source.scene(index)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        picture = self.pictures[index].float() / 255
        if self.transform is not None:
            picture = self.transform(picture)
        return picture, int(self.targets[index])


def _digest(recipe: str, pictures: np.ndarray, targets: np.ndarray) -> str:
    digest = hashlib.sha256(recipe.encode())
    digest.update(pictures)
    digest.update(targets)
    return digest.hexdigest()


def _write(file: Path, recipe: str, pictures: torch.Tensor, targets: torch.Tensor) -> None:
    """Write a cache file; an interrupted write leaves no half file behind."""
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays = pictures.numpy(), targets.numpy()
    draft = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as stream:
            np.savez(stream, pictures=arrays[0], targets=arrays[1], recipe=np.array(recipe),
                     sha256=np.array(_digest(recipe, *arrays)))
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def _read(file: Path, recipe: str) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Pictures and targets of a cache file, or None when it is missing, damaged or of other scenes."""
    if not file.exists():
        return None
    try:
        with np.load(file, allow_pickle=False) as stored:
            pictures, targets = stored["pictures"], stored["targets"]
            if str(stored["recipe"]) != recipe or str(stored["sha256"]) != _digest(recipe, pictures, targets):
                return None
    except Exception:  # noqa: BLE001  zipfile, numpy and zlib each have their own errors for a damaged file
        return None
    return torch.from_numpy(pictures), torch.from_numpy(targets)


def contact_sheet(scenes: Sequence[Scene], size: int = 128, columns: int = 8, gap: int = 4) -> Image.Image:
    """A sheet of pictures, row by row, as a PIL image on white."""
    if not scenes:
        raise ValueError("a contact sheet needs at least one scene: make some with scenes.sample(n, seed)")
    rows = -(-len(scenes) // columns)
    sheet = Image.new("RGB", (columns * (size + gap) + gap, rows * (size + gap) + gap), "white")
    for i, scene in enumerate(scenes):
        picture = Image.fromarray(render_bytes(scene, size).permute(1, 2, 0).numpy())
        sheet.paste(picture, (gap + i % columns * (size + gap), gap + i // columns * (size + gap)))
    return sheet
