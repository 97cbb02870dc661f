"""Find keys in what is about to leave this machine.

Not covered: a key of a form that is not listed and that no environment variable of this process holds.
"""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple


class _Shape(NamedTuple):
    name: str
    marks: tuple[str, ...]
    """One of these is in every such key. Looking for them first makes the search twenty times as fast."""
    pattern: re.Pattern[str]


_SHAPES = (
    _Shape("an OpenAI or Anthropic key", ("sk-",), re.compile(r"\bsk-[A-Za-z0-9_-]{20,}")),
    _Shape("a Hugging Face token", ("hf_",), re.compile(r"\bhf_[A-Za-z0-9]{30,}")),
    _Shape("an AWS key id", ("AKIA", "ASIA"), re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    _Shape("a GitHub token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}")),
    _Shape("a GitHub token", ("github_pat_",), re.compile(r"\bgithub_pat_[A-Za-z0-9_]{40,}")),
    _Shape("a GitLab token", ("glpat-",), re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}")),
    _Shape("a Google key", ("AIza",), re.compile(r"\bAIza[0-9A-Za-z_-]{35}")),
    _Shape("a Slack token", ("xox",), re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}")),
    _Shape("a Stripe key", ("k_live_",), re.compile(r"\b[rs]k_live_[A-Za-z0-9]{20,}")),
    _Shape("a JSON web token", (".eyJ",), re.compile(r"\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[\w-]{20,}")),
    _Shape("a private key", ("PRIVATE KEY-----",), re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")),
)
_SECRET_VARIABLE = re.compile(r"(?:_|^)(?:KEY|TOKEN|SECRET|PASSWORD)$")
_SHORTEST = 12
"""A shorter value of a variable may be a word."""


def keys_in(lines: Iterator[str]) -> Iterator[tuple[int, str]]:
    """Line number and kind of each line with something that looks like a key, or that a variable with one holds."""
    held = [
        (value, f"the value of {name}")
        for name, value in os.environ.items()
        if _SECRET_VARIABLE.search(name) and len(value) >= _SHORTEST
    ]
    for number, line in enumerate(lines, 1):
        found = next((shape.name for shape in _SHAPES if _has(line, shape)), None)
        found = found or next((name for value, name in held if value in line), None)
        if found is not None:
            yield number, found


def _has(line: str, shape: _Shape) -> bool:
    return any(mark in line for mark in shape.marks) and shape.pattern.search(line) is not None
