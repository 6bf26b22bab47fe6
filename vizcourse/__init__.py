"""vizcourse: see inside vision models, on pictures whose causes are known."""

from __future__ import annotations

__version__ = "0.1.0"


def setup(name: str) -> None:
    """Print two lines about this session: versions; device, data at hand and progress in the lesson ``name``.

    It seeds PyTorch too, so that a notebook run from top to bottom gives the same pictures twice.
    Nothing is downloaded, and a missing part is named instead of raising.

    Args:
        name: number or slug of the lesson, for example ``"01"``.

    Raises:
        ValueError: there is no such lesson.
    """
    # Imported here so that `import vizcourse` (and `vizcourse --help`) stay instant.
    import atexit
    import gc

    import ipywidgets
    import torch
    import torchvision

    from vizcourse import exercises, plotting  # noqa: F401  (plotting for matplotlib, which is frozen below)
    from vizcourse.course import lesson
    from vizcourse.exercises import core
    from vizcourse.worlds import photos

    entry = lesson(name)
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    processor = f"CPU ({threads} thread{'' if threads == 1 else 's'})"
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor
    data = ", ".join(what for what, there in photos.available().items() if there) or "none"
    core.begin(entry.number)
    done, total = exercises.tally(entry.number)
    versions = f"torch {torch.__version__.split('+')[0]}, torchvision {torchvision.__version__.split('+')[0]}"
    print(f"vizcourse {__version__} · lesson {entry.number} {entry.title} · {versions}, ipywidgets {ipywidgets.__version__}")
    print(f"{device} · photographs: {data} · exercises done: {done} of {total}")
    # A full garbage collection walks through all of PyTorch's and matplotlib's objects, a fifth of a second in which
    # a widget does not answer. What is loaded now stays for good, so it need not be walked through again.
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)
