"""Where there is no browser, these tests say so: as a skip for a person, as a failure on a build server."""

import os

import pytest

from tests.browser.lab import browser_path

ADVICE = "no browser found for the browser tests: install one, for example with `apt install chromium`"


@pytest.fixture(scope="session")
def browser() -> str:
    """Path of the system's browser."""
    pytest.importorskip("playwright")
    path = browser_path()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(ADVICE)
        pytest.skip(ADVICE)
    return path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if any(ADVICE in str(report.longrepr) for report in skipped):
        terminalreporter.section("BROWSER TESTS SKIPPED", sep="!", yellow=True)
        terminalreporter.line(ADVICE)
