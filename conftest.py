"""What all tests share: none of them reads or writes the progress of the person who runs them."""

import os
import tempfile
from pathlib import Path

import pytest

_folder = pytest.StashKey[tempfile.TemporaryDirectory]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_folder] = tempfile.TemporaryDirectory(prefix="vizcourse-test-")
    os.environ["VIZCOURSE_PROGRESS"] = str(Path(config.stash[_folder].name, "progress.json"))
    os.environ.pop("MPLBACKEND", None)  # kernels inherit it, and should show figures as they do for learners


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_folder].cleanup()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Let each notebook that nbval runs begin without progress: its kernel inherits this variable."""
    if item.path.suffix == ".ipynb":
        name = f"{item.path.parent.name}-{item.path.stem}.json"
        os.environ["VIZCOURSE_PROGRESS"] = str(Path(item.config.stash[_folder].name, name))
