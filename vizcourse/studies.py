"""The one runner of studies: measurements that take minutes, made in advance, and stored beside the lesson that shows them.

A lesson's ``study.py`` says what there is to measure, and nothing of how it is kept::

    STUDY = Study(
        __file__,
        {
            "table": Part(table, quick={"pairs": 8}, cell=table_cell),
            "layers/trained": Part(layers, settings={"name": "cnn-shapes"}, quick={"pairs": 8}),
        },
        about={"seed": 0},
    )

``vizcourse study 05`` measures what is not stored yet; a name (``table``), or what names have before a slash (``layers``),
chooses parts, ``--again`` measures them anew, ``--quick`` tries them out small and stores nothing, ``--check`` measures a
number or two of each afresh and compares it with the stored one. Each part is written as soon as it is measured, whole or not
at all, so that a study can be interrupted, and two processes can work on it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from tqdm.auto import tqdm

#: Where what a study has worked out on its way is kept; `--cache` and this variable move it.
CACHE = "VIZCOURSE_CACHE"


@dataclass(frozen=True)
class Cell:
    """A number measured afresh, and the range that the stored one says it must lie in.

    Attributes:
        what: which number, in a few words.
        measured: as measured now.
        low, high: the stored interval, or the stored number less and plus a tolerance.
    """

    what: str
    measured: float
    low: float
    high: float

    @classmethod
    def near(cls, what: str, measured: float, stored: float, tolerance: float) -> Cell:
        """A number that must be the stored one but for ``tolerance``."""
        return cls(what, float(measured), stored - tolerance, stored + tolerance)

    @classmethod
    def within(cls, what: str, measured: float, stored: Sequence[float]) -> Cell:
        """A number that must lie in a stored ``[estimate, low, high]``."""
        return cls(what, float(measured), stored[1], stored[2])

    @property
    def agrees(self) -> bool:
        return self.low <= self.measured <= self.high

    def __str__(self) -> str:
        verdict = "agrees with" if self.agrees else "lies OUTSIDE"
        return f"{self.what}: {self.measured:.4g} {verdict} the stored [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True)
class Part:
    """One measurement of a study.

    Attributes:
        measure: gives what is to be stored: dictionaries, lists, numbers, texts. One whose ``file`` is no JSON writes that
            file itself and gives None.
        settings: arguments for ``measure``.
        quick: arguments that make it small, a matter of seconds.
        cell: measures one number of the part afresh, or a few, in a few seconds; it reads the stored one itself.
        path: the keys under which the result is stored; by default the part's name.
        file: where.
    """

    measure: Callable[..., Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    quick: Mapping[str, Any] = field(default_factory=dict)
    cell: Callable[[], Cell | Iterable[Cell]] | None = None
    path: tuple[str, ...] = ()
    file: str = "study.json"


def _say(text: str) -> None:
    print(text, flush=True)


class Study:
    """What a lesson measured in advance.

    Args:
        home: a file of the lesson's room (``__file__``): results stand in its folder.
        parts: name -> part, in the order in which they are run.
        about: what all parts have in common, stored with them: numbers of pictures, seeds.
        unavailable: exceptions that mean that a part cannot be measured on this computer (no photographs, no weights): it is
            left out, and said so.
        seed: PyTorch's, set before each part.
    """

    def __init__(
        self,
        home: str | Path,
        parts: Mapping[str, Part],
        *,
        about: Mapping[str, Any] | None = None,
        unavailable: tuple[type[Exception], ...] = (),
        seed: int = 0,
    ) -> None:
        self.folder = Path(home).parent
        self.parts, self.about, self.unavailable, self.seed = dict(parts), dict(about or {}), unavailable, seed

    def results(self, file: str = "study.json") -> dict:
        """All that is stored in one of the study's files; empty where there is none yet. Not to be changed."""
        return read(self.folder / file)

    def stored(self, name: str) -> Any:
        """The result of one part; None where it has not been measured yet.

        Raises:
            ValueError: there is no such part.
        """
        part = self.chosen([name])[name]
        if not part.file.endswith(".json"):
            return self.folder / part.file if (self.folder / part.file).is_file() else None
        found: Any = self.results(part.file)
        for key in part.path or (name,):
            if key not in found:
                return None
            found = found[key]
        return found

    def chosen(self, names: Sequence[str] = ()) -> dict[str, Part]:
        """The parts of these names, or all: ``"layers"`` stands for all of ``"layers/…"``, too.

        Raises:
            ValueError: a name that no part has.
        """
        for name in names:
            if not any(_is_of(each, name) for each in self.parts):
                groups = dict.fromkeys(each.split("/")[0] for each in self.parts)
                raise ValueError(f"This study has no part {name!r}; it has {', '.join(groups)}.")
        return {each: part for each, part in self.parts.items() if not names or any(_is_of(each, name) for name in names)}

    def run(
        self,
        names: Sequence[str] = (),
        *,
        quick: bool = False,
        again: bool = False,
        say: Callable[[str], None] = _say,
    ) -> None:
        """Measure what is not stored yet, or, with ``again``, all that is named; ``quick``: small, said and not stored."""
        for name, part in self.chosen(names).items():
            if not quick and not again and self.stored(name) is not None:
                continue
            torch.manual_seed(self.seed)
            started = time.perf_counter()
            try:
                found = part.measure(**{**part.settings, **(part.quick if quick else {})})
            except self.unavailable as reason:
                say(f"{name} is left out: {reason}")
                continue
            if quick:
                say(f"{name}: {json.dumps(found, ensure_ascii=False)[:400]}")
                continue
            if part.file.endswith(".json"):
                self._keep(part.file, part.path or (name,), found)
            say(f"{name}: stored after {time.perf_counter() - started:.0f} s")

    def _keep(self, file: str, path: Sequence[str], found: Any) -> None:
        """Put a result in its place. The file is read again, because another process may have written its part meanwhile."""
        target = self.folder / file
        with FileLock(cache_folder() / f"{_name(str(target))}.lock"):
            everything = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else {}
            everything |= self.about if file == "study.json" else {}
            place = everything
            for key in path[:-1]:
                place = place.setdefault(key, {})
            place[path[-1]] = found
            lines = (f"{json.dumps(key, ensure_ascii=False)}:{_compact(value)}" for key, value in everything.items())
            write(target, ("{\n" + ",\n".join(lines) + "\n}\n").encode())

    def cells(self, names: Sequence[str] = ()) -> Iterator[tuple[str, Cell | Exception]]:
        """Part by part, its numbers measured afresh; for one that cannot be measured on this computer, the reason."""
        for name, part in self.chosen(names).items():
            if part.cell is None:
                continue
            torch.manual_seed(self.seed)
            try:
                found = part.cell()
                yield from ((name, each) for each in ([found] if isinstance(found, Cell) else found))
            except self.unavailable as reason:
                yield name, reason

    def check(self, names: Sequence[str] = (), *, say: Callable[[str], None] = _say) -> bool:
        """Whether the numbers that are measured afresh lie where the stored ones say; each is said."""
        right = True
        for name, cell in self.cells(names):
            if not isinstance(cell, Cell):
                say(f"○ {name} is left out: {cell}")
                continue
            say(f"{'✓' if cell.agrees else '✗'} {name}: {cell}")
            right &= cell.agrees
        return right


# --- what studies share -------------------------------------------------------------------------------------------


def kept(settings: Any, compute: Callable[[], Any]) -> Any:
    """What was computed with these settings before, else compute it and keep it: the piecework of a long part.

    Args:
        settings: all that the result depends on, as JSON can hold it; begin with the lesson's number and the part's name.
        compute: gives tensors, numbers and texts, in dictionaries, lists and tuples.
    """
    file = cache_folder() / f"{_name(json.dumps(settings))}.pt"
    if not file.is_file():
        draft = file.with_suffix(f".{os.getpid()}")
        torch.save(compute(), draft)
        os.replace(draft, file)
    return torch.load(file, weights_only=True)


def cache_folder() -> Path:
    """The folder for what is kept, made where it is missing."""
    folder = Path(os.environ.get(CACHE) or Path.home() / ".cache" / "vizcourse") / "studies"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def bar(pieces: Iterable, text: str, *, show: bool = True) -> Iterable:
    """The pieces one after the other, with a progress bar where they take more than a few seconds."""
    return tqdm(pieces, text, delay=3, leave=False, disable=not show)


def rounded(value: Any, digits: int = 4) -> Any:
    """Numbers to so many significant digits, in whatever lists, tuples and dictionaries; tensors become lists."""
    if isinstance(value, torch.Tensor):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {name: rounded(each, digits) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each, digits) for each in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def read(path: Path) -> dict:
    """What a file of results holds, read again only when it has changed; empty where there is none. Not to be changed."""
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else {}


@functools.lru_cache(maxsize=32)
def _read(path: Path, _changed: int) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def _is_of(part: str, name: str) -> bool:
    return part == name or part.startswith(f"{name}/")


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
