"""Studies that take minutes: the scripts that ran them, and their results, which the lessons show beside a small live run."""
