"""Judge candidates: pure functions, each rejection with its reason.

The order is that of Self-Instruct (Wang et al. 2023, section 2.2 and its code): form first, then similarity to
everything accepted so far. Unlike the original's, the list of blocked words belongs to the domain ("map" and "file" are
BGP's trade), and text keeps its case.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from seedtune.generate.prompting import NO_INPUT
from seedtune.records import Candidate, Verdict
from seedtune.similarity import RougeIndex

_LEFTOVER = re.compile(
    r"^[^\w\n]{0,8}(?:\d{1,4}[ \t]?[.)][ \t]{0,4})?(?:instruction|input|output)[ \t]?:", re.IGNORECASE | re.MULTILINE
)
_OPENING_MARKS = "\"'`¿¡<$"
_OPENING_CATEGORIES = ("Ps", "Pi", "Pf")
_LOOP_WINDOW = 8
_LOOP_DISTINCT = 0.3
"""In prose nearly every run of eight words is new; in a decoding loop less than this share is."""


@dataclass(frozen=True)
class FilterRules:
    """Bounds and words of the filters."""

    min_words: int
    max_words: int
    rouge_threshold: float
    blocked_words: tuple[str, ...]


def _too_short(task: Candidate, rules: FilterRules) -> str:
    words = _count_words(task.instruction)
    return f"{words} words" if words < rules.min_words else ""


def _too_long(task: Candidate, rules: FilterRules) -> str:
    words = _count_words(task.instruction)
    return f"{words} words" if words > rules.max_words else ""


def _blocked_word(task: Candidate, rules: FilterRules) -> str:
    text = task.instruction.casefold()
    return next((w for w in rules.blocked_words if re.search(rf"(?<!\w){re.escape(w.casefold())}(?!\w)", text)), "")


def _bad_start(task: Candidate, rules: FilterRules) -> str:
    first, rest = task.instruction[:1], task.instruction[1:2]
    if first in _OPENING_MARKS or unicodedata.category(first or " ") in _OPENING_CATEGORIES:
        first = rest
    return "" if first.isalnum() else task.instruction[:1] or "empty"


def _no_output(task: Candidate, rules: FilterRules) -> str:
    return "" if re.search(r"\w", task.output) and task.output != NO_INPUT else "empty"


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
        words = text.split()
        # A loop over one word without spaces shows in its characters.
        parts = words if len(words) >= 5 * _LOOP_WINDOW else list(text) if len(text) >= 50 * _LOOP_WINDOW else []
        runs = [tuple(parts[start : start + _LOOP_WINDOW]) for start in range(len(parts) - _LOOP_WINDOW + 1)]
        if runs and len(set(runs)) < _LOOP_DISTINCT * len(runs):
            return f"the {name} repeats itself"
    return ""


def _count_words(text: str) -> int:
    """Words between spaces; in scripts without spaces two wide characters count as a word."""
    wide = sum(unicodedata.east_asian_width(character) == "W" for character in text)
    return len(text.split()) + wide // 2


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
