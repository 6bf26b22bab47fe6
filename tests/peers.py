"""Cross-checks against other people's implementations: skipped at an author's desk, never on the build server.

captum and pytorch-grad-cam come with the `test` extra, so `make test` checks agreement with them. The others need
packages of their own; their tests carry the mark `peers` and run in `make test-peers`.
"""

import importlib
import os
from types import ModuleType

import pytest


def peer(module: str) -> ModuleType:
    """The peer's module; without it the test is skipped with a reason, or fails where $CI is set."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (module, module.split(".")[0]):
            raise  # the peer is there, and something that it needs is not
        reason = f"{module.split('.')[0]} is not installed: run `make test-peers`"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}. On the build server a cross-check that is skipped has failed.")
        pytest.skip(reason)
