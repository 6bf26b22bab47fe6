"""What all tests share: none of them reads or writes the progress of the person who runs them."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

_folder = pytest.StashKey[tempfile.TemporaryDirectory]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_folder] = tempfile.TemporaryDirectory(prefix="vizcourse-test-")
    os.environ["VIZCOURSE_PROGRESS"] = str(Path(config.stash[_folder].name, "progress.json"))
    os.environ.pop("MPLBACKEND", None)  # kernels inherit it, and should show figures as they do for learners
    startup = Path(config.stash[_folder].name, "ipython", "profile_default", "startup")
    startup.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("tests") / "force_bars.py", startup)


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_folder].cleanup()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """What the kernel of each notebook that nbval runs inherits.

    It begins without progress, and every progress bar shows at once, as on a machine so slow that all are seen: an
    output that is compared must not depend on that. VIZCOURSE_BARS=never forces the contrary.
    """
    if item.path.suffix == ".ipynb":
        folder = Path(item.config.stash[_folder].name)
        os.environ["VIZCOURSE_PROGRESS"] = str(folder / f"{item.path.parent.name}-{item.path.stem}.json")
        os.environ["IPYTHONDIR"] = str(folder / "ipython")
        os.environ.setdefault("VIZCOURSE_BARS", "always")
    else:
        os.environ.pop("IPYTHONDIR", None)
