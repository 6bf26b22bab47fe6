"""Look at a notebook as a learner sees it: a PNG of each screenful in JupyterLab.

    python -m tests.browser.look notebooks/01_cnn_basics.ipynb OUT_DIRECTORY [--run] [--width 1280]

Without ``--run``: as stored. With it: after Run All, with live widgets. The notebook itself is not changed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.browser.lab import Lab, browse, browser_path, serve


def main() -> int:
    """Take the pictures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("output", type=Path, help="directory for the pictures")
    parser.add_argument("--run", action="store_true", help="run all cells first")
    parser.add_argument("--width", type=int, default=1280, help="of the window, in CSS pixels")
    parser.add_argument("--height", type=int, default=900)
    options = parser.parse_args()
    if browser_path() is None:
        print("error: no browser found: apt install chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(options.notebook, folder)
        with serve(Path(folder)) as server, browse(width=options.width, height=options.height) as page:
            lab = Lab(page, server)
            lab.open(options.notebook.name)
            if options.run:
                started = time.perf_counter()
                lab.run_all(seconds=600)
                print(f"run all: {time.perf_counter() - started:.0f} s")
            for path in lab.screens(options.output):
                print(path)
            for message in lab.messages:
                print(f"browser console: {message}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
