"""`vizcourse doctor`: what is installed, what is missing, and how to mend it."""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vizcourse import __version__

OK, PROBLEM, ABSENT = "✓", "✗", "○"
NEEDED = (
    "torch",
    "torchvision",
    "numpy",
    "ipywidgets",
    "matplotlib",
    "pillow",
    "scikit-image",
    "safetensors",
    "filelock",
    "tqdm",
)
OPTIONAL = ("jupyterlab", "jupytext", "nbclient", "nbval", "pytest", "playwright")


@dataclass(frozen=True)
class Finding:
    """One line of the report: a symbol, what was looked at, what was found, and how to mend it.

    ✗ is a problem; ○ is something that is missing and that the course can do without.
    """

    symbol: str
    what: str
    found: str
    mend: str = ""

    def __str__(self) -> str:
        text = f"{self.symbol} {self.what:<16} {self.found}"
        return f"{text}\n  {'':<16} → {self.mend}" if self.mend else text


def doctor() -> bool:
    """Look at everything, print it, and give whether there is no problem."""
    findings = examine()
    for finding in findings:
        print(finding)
    problems = sum(finding.symbol == PROBLEM for finding in findings)
    print(f"{problems} problem{'' if problems == 1 else 's'} found." if problems else "All is well.")
    return problems == 0


def examine() -> list[Finding]:
    """All findings. A look that itself breaks is a finding too."""
    findings = []
    for look in (_python, _packages, _device, _pictures, _weights, _imagenet, _exercises, _progress):
        findings += _safely(look)
    return findings


def _safely(look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(look())
    except Exception as error:
        name = look.__name__.strip("_")
        words = str(error).split("\n")[0] or type(error).__name__
        found.append(Finding(PROBLEM, name, f"cannot be examined: {words}", "Install the course again: pip install ."))
    return found


def _python() -> Iterator[Finding]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}, vizcourse {__version__}"
    yield Finding(OK, "python", found)


def _packages() -> Iterator[Finding]:
    for names, symbol, how in ((NEEDED, PROBLEM, "pip install {}"), (OPTIONAL, ABSENT, "")):
        for name in names:
            try:
                version = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                yield Finding(
                    symbol,
                    name,
                    "not installed" + ("" if how else " (only for authors and local work)"),
                    how.format(name),
                )
                continue
            yield _importable(name, version) if names is NEEDED else Finding(OK, name, version)


def _importable(name: str, version: str) -> Finding:
    """A package can be installed and broken: only importing it tells."""
    module = {"pillow": "PIL", "scikit-image": "skimage"}.get(name, name)
    try:
        importlib.import_module(module)
    except Exception as error:
        words = str(error).split("\n")[0]
        together = "torch and torchvision have to be of one release: " if name == "torchvision" else ""
        return Finding(
            PROBLEM,
            name,
            f"{version} is installed, but importing it fails: {words}",
            f"{together}pip install --force-reinstall {name}",
        )
    return Finding(OK, name, version)


def _device() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        yield Finding(OK, "device", f"GPU: {torch.cuda.get_device_name()}")
    else:
        yield Finding(OK, "device", f"CPU, {torch.get_num_threads()} threads (enough for every lesson)")


def _pictures() -> Iterator[Finding]:
    from vizcourse.worlds import photos

    for what, there in photos.available().items():
        if what == "your own":
            yield _own_photographs()
        elif there:
            yield Finding(OK, "pictures", f"{what}: at hand")
        else:
            yield Finding(
                ABSENT,
                "pictures",
                f"{what}: not at hand",
                "Sections on it say what they would show. $VIZCOURSE_DATA names a folder with data "
                "(cifar10/train/<class>/ and cifar10/test/<class>/).",
            )


def _own_photographs() -> Finding:
    """Whether the folder that $VIZCOURSE_PHOTOS names can be used: lessons take their photographs from it, if it is set."""
    from vizcourse.worlds import photos

    try:
        photos.gallery(32, limit=1)
    except ValueError as error:
        return Finding(PROBLEM, "pictures", f"your own: {error}")
    return Finding(OK, "pictures", "your own, in the folder that $VIZCOURSE_PHOTOS names: at hand")


def _imagenet() -> Iterator[Finding]:
    """The network that others trained on ImageNet: two packages, which come with `[lab]`."""
    from vizcourse.models import imagenet, zoo

    missing = [name for name in ("timm", imagenet.PACKAGE) if importlib.util.find_spec(name) is None]
    for name in imagenet.PACKAGED:
        if missing:
            found = f"{name}: not installed ({', '.join(missing)})"
            yield Finding(ABSENT, "weights", found, f"Sections on it say what they would show. {imagenet.INSTALL}")
            continue
        try:
            zoo.load(name)
        except zoo.WeightsError as error:
            yield Finding(PROBLEM, "weights", str(error))
        else:
            yield Finding(OK, "weights", f"{name}: checksum right")


def _weights() -> Iterator[Finding]:
    from vizcourse.models import zoo

    cards = zoo.cards()
    if not cards:
        yield Finding(
            PROBLEM,
            "weights",
            "no network of the course is here",
            "Install the course again, or train one: vizcourse train NAME.",
        )
    for name in cards:
        try:
            zoo.read_weights(name)
        except ValueError as error:
            yield Finding(PROBLEM, "weights", f"{name}: {error}", f"vizcourse train {name}")
        else:
            yield Finding(OK, "weights", f"{name}: checksum right")


def _exercises() -> Iterator[Finding]:
    from vizcourse.course import LESSONS
    from vizcourse.exercises.core import tally

    for lesson in LESSONS:
        solved, all_of_them = tally(lesson.number)
        yield Finding(OK, "lesson", f"{lesson.number} {lesson.title}: {solved} of {all_of_them} exercises solved")


def _progress() -> Iterator[Finding]:
    from vizcourse.exercises.progress import VARIABLE, Store, default_path

    # A store of its own: a problem that is met here should still be told to the learner in the notebook.
    store = Store(default_path())
    where = store.path
    moved = f" (from ${VARIABLE})" if os.environ.get(VARIABLE) else ""
    store.update(lambda data: None)
    messages = store.take_messages()
    for message in messages:
        mend = (
            "Nothing needs doing: the old file is kept."
            if store.path
            else f"Make the folder writable, or set {VARIABLE} to a file that is."
        )
        yield Finding(PROBLEM, "progress", message, mend)
    if not messages:
        yield Finding(OK, "progress", f"{where}{moved}: can be written")
