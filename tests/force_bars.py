"""A start-up file for kernels: every progress bar shows at once ($VIZCOURSE_BARS is always), or never does (never)."""

import functools
import os

from tqdm.auto import tqdm

_wanted = os.environ.get("VIZCOURSE_BARS")
_usual = tqdm.__init__


@functools.wraps(_usual)
def _forced(self, *args, **options):
    if _wanted == "always":
        options["delay"] = 0
    elif _wanted == "never":
        options["disable"] = True
    _usual(self, *args, **options)


tqdm.__init__ = _forced
