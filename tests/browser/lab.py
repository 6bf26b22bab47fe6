"""A real JupyterLab in a real browser, for the browser tests and for looking at lessons.

    with serve(folder) as server, browse() as page:
        lesson = Lab(page, server)
        lesson.open("01_cnn_basics.ipynb")
        lesson.run_all()

Everything stays on this machine: the server listens on the loopback device, with a token, in a home
directory of its own.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)
# Every cell is in the page, not only those in view; no news from outside.
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none", "recordTiming": False},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


def browser_path() -> str | None:
    """The system's Chromium (or the one in $VIZCOURSE_BROWSER), or None."""
    for name in (os.environ.get("VIZCOURSE_BROWSER", ""), *BROWSERS):
        found = shutil.which(name) if name else None
        if found:
            return found
    return None


@dataclass(frozen=True)
class Server:
    """A running JupyterLab and how to reach it."""

    address: str
    token: str
    log: Path


@contextmanager
def serve(folder: Path, *, seconds: float = 60) -> Iterator[Server]:
    """Run JupyterLab on ``folder`` with an empty home directory, and stop it and its kernels at the end.

    Raises:
        RuntimeError: it did not answer within ``seconds``; the message holds the end of its log.
    """
    token = secrets.token_hex(16)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home_name:
        home = Path(home_name)
        for name, values in SETTINGS.items():
            path = home / "settings" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        own = ("XDG_", "JUPYTER")  # folders of the person who runs this
        environment = {key: value for key, value in os.environ.items() if not key.startswith(own)} | {
            "HOME": str(home),
            "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
            "VIZCOURSE_PROGRESS": str(home / "progress.json"),
        }
        command = [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
            f"--ServerApp.root_dir={folder}", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}",
            "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
        ]
        log = home / "jupyter.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                command, env=environment, cwd=folder, stdout=output, stderr=output, start_new_session=True
            )
        try:
            server = Server(f"http://127.0.0.1:{port}", token, log)
            _await_server(server, process, seconds)
            yield server
        finally:
            process.terminate()  # Jupyter stops its kernels on this signal
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_server(server: Server, process: subprocess.Popen, seconds: float) -> None:
    request = urllib.request.Request(
        f"{server.address}/api/status", headers={"Authorization": f"token {server.token}"}
    )
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(request, timeout=5).close()
            return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{server.log.read_text()[-3000:]}")


@contextmanager
def browse(*, width: int = 1280, height: int = 900) -> Iterator:
    """A page of the system's browser, ``width`` by ``height`` CSS pixels."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=list(BROWSER_FLAGS))
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(30_000)
            yield page
        finally:
            browser.close()


class Lab:
    """What a learner does in JupyterLab: open a notebook, run cells, type, move sliders, look."""

    def __init__(self, page, server: Server) -> None:
        self.page = page
        self.server = server
        self.messages: list[str] = []  # what the browser's console says of errors
        page.on("console", self._listen)

    def _listen(self, message) -> None:
        if message.type == "error":
            self.messages.append(message.text)

    def open(self, name: str) -> None:
        """Open a notebook of the served folder in the single-document view, and wait for its kernel."""
        self.page.goto(f"{self.server.address}/doc/tree/{name}?token={self.server.token}")
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
        # The toolbar shows "idle" before there is a kernel; the status bar does not.
        self.page.locator("#jp-main-statusbar", has_text="| Idle").wait_for(timeout=60_000)

    def cell(self, text: str):
        """The first code cell whose source holds ``text``, as a locator that stays when the source changes."""
        sources = self.page.locator(".jp-CodeCell").evaluate_all(
            "cells => cells.map(cell => cell.querySelector('.cm-content')?.textContent ?? '')"  # folded: no source
        )
        found = [number for number, source in enumerate(sources) if text in source]
        if not found:
            raise ValueError(f"No cell holds {text!r}.")
        return self.page.locator(".jp-CodeCell").nth(found[0])

    def run_all(self, *, seconds: float = 300) -> None:
        """Run > Run All Cells, and wait until every cell has run."""
        self.page.get_by_role("menubar").get_by_text("Run", exact=True).click()
        self.page.locator(".lm-Menu-item[data-command='runmenu:run-all']").click()
        self.wait_until_idle(seconds=seconds)

    def run(self, cell, source: str | None = None, *, seconds: float = 120) -> str:
        """Click into a cell, replace its source if one is given, press Shift-Enter; returns the output."""
        cell.scroll_into_view_if_needed()
        cell.locator(".cm-content").click()
        if source is not None:
            self.page.keyboard.press("ControlOrMeta+a")
            # As one insertion: typing key by key would add JupyterLab's own brackets and indents.
            self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Shift+Enter")
        self.wait_until_idle(seconds=seconds)
        return self.output_text(cell)

    def wait_until_idle(self, *, seconds: float = 120) -> None:
        """Wait until no cell is waiting or running and the kernel is idle."""
        self.page.wait_for_timeout(300)  # the request has to reach the page's model first
        self.page.wait_for_function(
            """() => ![...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
                        .some(prompt => prompt.textContent.includes('*'))
                     && document.querySelector("#jp-main-statusbar").textContent.includes('| Idle')""",
            timeout=seconds * 1000,
        )

    def output_text(self, cell) -> str:
        """The text under a cell."""
        # Not the inner text, which the browser leaves empty for cells that are out of view.
        return "\n".join(cell.locator(".jp-OutputArea-output").all_text_contents()).strip()

    def picture(self, image) -> str:
        """The pixels that an ``<img>`` shows, as a data address, once they are there."""
        return image.evaluate(
            """async image => {
                await image.decode();
                const canvas = document.createElement('canvas');
                [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
                canvas.getContext('2d').drawImage(image, 0, 0);
                return canvas.toDataURL();
            }"""
        )

    def set_slider(self, slider, *, steps: int) -> None:
        """Move a slider of ipywidgets by this many arrow keys (negative: to the left)."""
        slider.scroll_into_view_if_needed()
        handle = slider.locator(".noUi-handle")
        handle.focus()
        for _ in range(abs(steps)):
            self.page.keyboard.press("ArrowRight" if steps > 0 else "ArrowLeft")

    def scroller(self):
        """The element that scrolls the notebook."""
        return self.page.locator(".jp-WindowedPanel-outer").first

    def screens(self, folder: Path, *, overlap: int = 60, prefix: str = "screen") -> list[Path]:
        """A PNG of each screenful, from top to bottom; returns the paths."""
        folder.mkdir(parents=True, exist_ok=True)
        scroller = self.scroller()
        scroller.evaluate("element => element.scrollTo(0, 0)")
        self.page.keyboard.press("Escape")
        paths = []
        while True:
            self.page.wait_for_timeout(250)
            paths.append(folder / f"{prefix}-{len(paths) + 1:02d}.png")
            self.page.screenshot(path=paths[-1])
            moved = scroller.evaluate(
                """(element, overlap) => {
                    const before = element.scrollTop;
                    element.scrollBy(0, element.clientHeight - overlap);
                    return element.scrollTop - before;
                }""",
                overlap,
            )
            if moved < 2:
                return paths
