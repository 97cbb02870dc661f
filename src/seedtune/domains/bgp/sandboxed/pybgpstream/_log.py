"""What the real library prints to standard error: one line a message, without its time, process and place."""

import sys
from functools import cache

MOST_ONCE = 100
"""Different messages of ``log_once``: a program may ask many times what has no answer."""


def log(level: str, text: str) -> None:
    """Print a message; ``level`` is ``ERROR``, ``WARNING`` or ``INFO``."""
    sys.stderr.write(f"pybgpstream {level}: {text}\n")


@cache
def log_once(level: str, text: str) -> None:
    """Print a message that is the program's first with these words, up to a number of different ones."""
    said = log_once.cache_info().currsize
    if said < MOST_ONCE:
        log(level, text)
    elif said == MOST_ONCE:
        log(level, "further messages of this kind are left out")
