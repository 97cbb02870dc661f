"""Judge candidates: pure functions, each rejection with its reason.

The order is that of Self-Instruct (Wang et al. 2023, section 2.2 and its code): form first, then similarity to
everything accepted so far. Unlike the original's, the list of blocked words belongs to the domain ("map" and "file" are
BGP's trade), and text keeps its case.
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from seedtune.records import Candidate, Verdict
from seedtune.similarity import RougeIndex

_LEFTOVER = re.compile(r"^\W*(?:\d+\s*[.)]\s*)?(?:instruction|input|output)\s*:", re.IGNORECASE | re.MULTILINE)
_LETTER_OR_OPENING = re.compile(r"""^["'`(\[<$]?\w""")
_LOOP_RATIO = 0.12
"""zlib shrinks English prose of 400 bytes to about 0.5 of its size, and a decoding loop to less than this."""


@dataclass(frozen=True)
class FilterRules:
    """Bounds and words of the filters."""

    min_words: int
    max_words: int
    rouge_threshold: float
    blocked_words: tuple[str, ...]


def _too_short(task: Candidate, rules: FilterRules) -> str:
    words = len(task.instruction.split())
    return f"{words} words" if words < rules.min_words else ""


def _too_long(task: Candidate, rules: FilterRules) -> str:
    words = len(task.instruction.split())
    return f"{words} words" if words > rules.max_words else ""


def _blocked_word(task: Candidate, rules: FilterRules) -> str:
    words = {word.casefold() for word in re.findall(r"\w+", task.instruction)}
    return next((word for word in rules.blocked_words if word.casefold() in words), "")


def _bad_start(task: Candidate, rules: FilterRules) -> str:
    return "" if _LETTER_OR_OPENING.match(task.instruction) else task.instruction[:1]


def _no_output(task: Candidate, rules: FilterRules) -> str:
    return "" if re.search(r"\w", task.output) else "empty"


def _cut_off(task: Candidate, rules: FilterRules) -> str:
    if task.output.rstrip().endswith(":") or task.input.rstrip().endswith(":"):
        return "ends with a colon"
    return "unclosed code fence" if task.output.count("```") % 2 else ""


def _echo(task: Candidate, rules: FilterRules) -> str:
    output = task.output.casefold().strip()
    for name, text in (("instruction", task.instruction), ("input", task.input)):
        if text and output == text.casefold().strip():
            return f"the output is the {name}"
    return ""


def _leftover_label(task: Candidate, rules: FilterRules) -> str:
    found = _LEFTOVER.search(task.output) or _LEFTOVER.search(task.instruction)
    return found[0].strip() if found else ""


def _loops(task: Candidate, rules: FilterRules) -> str:
    for name, text in (("output", task.output), ("input", task.input)):
        data = text.encode()
        # Short text compresses by little whatever it says.
        if len(data) >= 200 and len(zlib.compress(data)) / len(data) < _LOOP_RATIO:
            return f"the {name} repeats itself"
    return ""


_FILTERS: dict[str, Callable[[Candidate, FilterRules], str]] = {
    "too_short": _too_short,
    "too_long": _too_long,
    "blocked_word": _blocked_word,
    "bad_start": _bad_start,
    "no_output": _no_output,
    "cut_off": _cut_off,
    "echo": _echo,
    "leftover_label": _leftover_label,
    "loops": _loops,
}
"""Reason: a function that returns what triggered it, or an empty string."""

REASONS = (*_FILTERS, "similar")
"""Every reason a candidate can be rejected for, in the order of the filters."""


def judge(candidate: Candidate, rules: FilterRules, pool: RougeIndex) -> Verdict:
    """The first filter that a candidate fails decides; ``pool`` is only read.

    Args:
        candidate: What the teacher wrote.
        rules: Bounds and words.
        pool: Instructions of all seeds and of everything accepted before.
    """
    for reason, triggered in _FILTERS.items():
        detail = triggered(candidate, rules)
        if detail:
            return Verdict(candidate=candidate, kept=False, reason=reason, detail=detail)
    score, nearest = pool.nearest(candidate.instruction)
    similar = score > rules.rouge_threshold
    return Verdict(
        candidate=candidate,
        kept=not similar,
        reason="similar" if similar else "",
        detail=f"ROUGE-L {score:.2f} with {nearest}" if similar else "",
        similarity=round(score, 4),
        nearest=nearest,
    )
