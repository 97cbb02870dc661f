"""What the real library prints to standard error: one line a message, without its time, process and place."""

import sys


def log(level: str, text: str) -> None:
    """Print a message; ``level`` is ``ERROR``, ``WARNING`` or ``INFO``."""
    sys.stderr.write(f"pybgpstream {level}: {text}\n")
