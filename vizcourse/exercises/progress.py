"""What a learner did, in one local JSON file: attempts, hints, mistakes met, predictions.

The file stands at $VIZCOURSE_PROGRESS, or in the user's data folder. Every change reads, changes and replaces the file
under a lock (two kernels may write at once; one may be killed in the middle). A damaged file is set aside; where
nothing can be written, progress is kept in memory. Either is said once, and neither ever stops a learner.
"""

import copy
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

SCHEMA = 1
VARIABLE = "VIZCOURSE_PROGRESS"
_LOCK_SECONDS = 10.0


class DamagedProgress(ValueError):
    """The file is not a progress file that can be read."""


class NewerProgress(ValueError):
    """The file was written by a newer version of the course."""


def default_path() -> Path:
    """$VIZCOURSE_PROGRESS, else progress.json in the user's data folder."""
    if moved := os.environ.get(VARIABLE):
        return Path(moved).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "vizcourse" / "progress.json"


def empty() -> dict[str, Any]:
    return {"schema": SCHEMA, "exercises": {}, "predictions": {}}


def empty_entry() -> dict[str, Any]:
    """One exercise: mistakes maps names to how often they were met; times are UTC, ISO 8601, or None."""
    return {
        "status": "not started",
        "attempts": 0,
        "hints": 0,
        "mistakes": {},
        "solution_seen": None,
        "first_attempt": None,
        "last_attempt": None,
        "solved": None,
        "last_submission": None,
    }


def parse(text: str) -> dict[str, Any]:
    """The data of a progress file.

    Raises DamagedProgress when it is not one, and NewerProgress when a newer course wrote it.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedProgress("it is not JSON") from error
    if not isinstance(data, dict) or not isinstance(data.get("schema"), int):
        raise DamagedProgress("it is not a progress file of this course")
    if data["schema"] > SCHEMA:
        raise NewerProgress(f"it has schema {data['schema']}; this version of the course reads up to {SCHEMA}")
    if not isinstance(data.get("exercises"), dict) or not isinstance(data.get("predictions"), dict):
        raise DamagedProgress("a part of it is missing")
    if not all(isinstance(entry, dict) for part in ("exercises", "predictions") for entry in data[part].values()):
        raise DamagedProgress("an entry of it is not readable")
    for identifier, entry in data["exercises"].items():
        whole = empty_entry() | entry
        if not (
            isinstance(whole["mistakes"], dict)
            and isinstance(whole["status"], str)
            and all(_is_count(number) for number in (whole["attempts"], whole["hints"], *whole["mistakes"].values()))
        ):
            raise DamagedProgress(f"the entry of exercise {identifier} is not readable")
        data["exercises"][identifier] = whole
    return data


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def load(path: str | os.PathLike) -> dict[str, Any]:
    """Read one progress file. Raises OSError, DamagedProgress or NewerProgress."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DamagedProgress("it is not text") from error
    return parse(text)


@dataclass
class Store:
    """The progress of one learner at `path`, or only in memory where `path` is None.

    `messages` collects what the learner has to be told (a file was set aside, nothing can be written), each once;
    whoever shows feedback takes them with `take_messages`.
    """

    path: Path | None
    data: dict[str, Any] = field(default_factory=empty)
    messages: list[str] = field(default_factory=list)

    def read(self) -> dict[str, Any]:
        """The data now, as a copy. Never raises."""
        if self.path is not None:
            try:
                return load(self.path)
            except FileNotFoundError:
                return empty()
            except (OSError, ValueError):
                # Whatever it is, the writing side deals with it under the lock, and says so.
                self.update(lambda data: None)
                if self.path is not None:
                    return self.read() if self.path.exists() else empty()
        return copy.deepcopy(self.data)

    def update(self, change: Callable[[dict[str, Any]], Any]) -> Any:
        """Apply `change` to the data and keep them; gives what `change` gives. Never raises for the file's sake."""
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # Follow a link, so that the link itself is not replaced by a file.
                target = self.path.resolve()
                with FileLock(f"{target}.lock", timeout=_LOCK_SECONDS):
                    data = self._read_or_set_aside(target)
                    result = change(data)
                    _write(target, data)
                    return result
            except NewerProgress as error:
                self._go_to_memory(
                    f"The progress file {self.path} was written by a newer version of the course "
                    f"({error}). It is left alone, and progress is kept in memory: update the course."
                )
            except (OSError, Timeout, NotImplementedError) as error:
                reason = "another program holds its lock" if isinstance(error, Timeout) else _reason(error)
                self._go_to_memory(
                    f"Progress cannot be written to {self.path} ({reason}); it is kept in memory until "
                    f"this kernel stops. Set {VARIABLE} to a file that can be written."
                )
        return change(self.data)

    def take_messages(self) -> list[str]:
        taken, self.messages = self.messages, []
        return taken

    def _read_or_set_aside(self, target: Path) -> dict[str, Any]:
        try:
            return load(target)
        except FileNotFoundError:
            return empty()
        except DamagedProgress as error:
            aside = _free_name(target)
            os.replace(target, aside)
            self.messages.append(
                f"The progress file was damaged ({error}). It is set aside as {aside.name}, in "
                f"{aside.parent}; progress starts afresh."
            )
            return empty()

    def _go_to_memory(self, message: str) -> None:
        try:
            self.data = load(self.path)
        except (OSError, ValueError):
            self.data = empty()
        self.path = None
        self.messages.append(message)


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


def _free_name(target: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for attempt in range(1000):
        name = target.with_name(f"{target.name}.damaged-{stamp}{f'-{attempt}' if attempt else ''}")
        if not name.exists():
            return name
    return name


def _write(target: Path, data: dict[str, Any]) -> None:
    """Replace the file at once: whoever reads, or is killed, sees the old file or the new one, whole."""
    # One name for the temporary file is enough: only the holder of the lock writes it. A kernel killed while writing
    # leaves it behind, and the next writer replaces it.
    temporary = target.with_name(f"{target.name}.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(data, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, target)


_stores: dict[Path, Store] = {}
_in_memory: list[Store] = []


def store() -> Store:
    """The store that counts now: of the block `in_memory`, else of the file that the environment names now."""
    if _in_memory:
        return _in_memory[-1]
    try:
        path = default_path()
    except RuntimeError:  # no home folder can be found
        path = Path("vizcourse-progress.json")
    return _stores.setdefault(path, Store(path))


@contextmanager
def in_memory() -> Iterator[Store]:
    """Within the block, progress begins afresh and is kept in memory only."""
    fresh = Store(None)
    _in_memory.append(fresh)
    try:
        yield fresh
    finally:
        _in_memory[:] = [other for other in _in_memory if other is not fresh]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def entry(data: dict[str, Any], identifier: str) -> dict[str, Any]:
    """The entry of an exercise in `data`, made if there is none."""
    return data["exercises"].setdefault(identifier, empty_entry())


def record_attempt(identifier: str, *, solved: bool, mistake: str | None, submission: str) -> None:
    """Count one attempt.

    `submission` is a short digest of what was handed in: the same again (a notebook run a second time) does not count
    again, and once solved, an exercise stays solved and its attempts stay as they are.
    """

    def change(data: dict[str, Any]) -> None:
        own = entry(data, identifier)
        if own["status"] == "solved" or (own["last_submission"] == submission and not solved):
            return
        own["attempts"] += 1
        own["last_submission"] = submission
        own["last_attempt"] = now()
        own["first_attempt"] = own["first_attempt"] or own["last_attempt"]
        own["status"] = "solved" if solved else "tried"
        if solved:
            own["solved"] = own["last_attempt"]
        if mistake is not None:
            own["mistakes"][mistake] = own["mistakes"].get(mistake, 0) + 1

    store().update(change)


def record_hint(identifier: str, available: int) -> int | None:
    """Count the next hint as seen; gives its index, None when all were seen."""

    def change(data: dict[str, Any]) -> int | None:
        own = entry(data, identifier)
        if own["hints"] >= available:
            return None
        own["hints"] += 1
        return own["hints"] - 1

    return store().update(change)


def record_solution_seen(identifier: str) -> None:
    def change(data: dict[str, Any]) -> None:
        own = entry(data, identifier)
        own["solution_seen"] = own["solution_seen"] or now()

    store().update(change)


def record_prediction(identifier: str, value: Any) -> None:
    """Keep a prediction (anything JSON can hold). One made after the measurement was seen is marked as such."""

    def change(data: dict[str, Any]) -> None:
        earlier = data["predictions"].get(identifier, {})
        if earlier.get("value") == value and "value" in earlier:
            return
        own = data["predictions"].setdefault(identifier, {})
        own["value"], own["time"] = value, now()
        own["after_measurement"] = "measured" in own

    store().update(change)


def record_measurement(identifier: str, measured: Any) -> dict[str, Any]:
    """Keep a measurement beside its prediction; gives the prediction's entry as it was before."""

    def change(data: dict[str, Any]) -> dict[str, Any]:
        own = data["predictions"].setdefault(identifier, {})
        before = dict(own)
        own["measured"] = measured
        return before

    return store().update(change)
