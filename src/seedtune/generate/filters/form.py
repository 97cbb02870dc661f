"""Judge candidates: pure functions, each rejection with its reason.

The order is that of Self-Instruct (Wang et al. 2023, section 2.2 and its code): the instruction's form, so that classic
mode can ask before it has an output; then the form of input and output; then likeness to everything accepted so far,
which other modules measure. Unlike the original's, the list of blocked words belongs to the domain ("map" and "file"
are BGP's trade), and text keeps its case; :mod:`seedtune.generate.wording.strict` has the original's own filters.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from seedtune.records import Candidate

REASONS = (
    "too_short",
    "too_long",
    "blocked_word",
    "write_program",
    "bad_start",
    "leftover_label",
    "no_output",
    "cut_off",
    "echo",
    "loops",
    "no_quote",
    "quote_not_found",
    "similar",
    "minhash",
    "embedding",
    "contaminated",
    "program_lint",
    "program_missing",
    "program_crash",
    "program_timeout",
    "program_silent",
    "program_same_output",
    "program_unstable",
    "program_wrong_value",
    "no_instance",
    "judged_low",
    "judge_unreadable",
)
"""Every reason a candidate can be rejected for, in the order of the filters. ``write_program`` is of the strict filters
alone; those from ``no_quote`` on need more than the candidate's own text."""

_LEFTOVER = re.compile(
    r"^[^\w\n]{0,8}(?:\d{1,4}[ \t]?[.)][ \t]{0,4})?(?:instruction|input|output)[ \t]?:", re.IGNORECASE | re.MULTILINE
)
# "None" or "N/A" may well be an answer; these are not.
_PLACEHOLDER = re.compile(
    r"[`*\"']{0,3}(?:[<\[({]\s?no[ _-]?(?:input|output)\s?[>\])}]|no_?(?:input|output))[`*\"']{0,3}\.?", re.IGNORECASE
)
_OPENING_MARKS = "\"'`¿¡<$"
_OPENING_CATEGORIES = ("Ps", "Pi", "Pf")
_LONG_WORD = 30
"""Characters that a word may have on average, addresses and paths included."""
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

    @cached_property
    def blocked(self) -> list[tuple[str, re.Pattern[str]]]:
        """Each blocked word with what finds it in case-folded text."""
        return [(w, re.compile(rf"(?<!\w){re.escape(w.casefold())}(?!\w)")) for w in self.blocked_words]


class Rejection(NamedTuple):
    """Why a candidate is rejected."""

    reason: str
    detail: str
    """What triggered it: the word, the count, the nearest neighbour."""


def _too_short(task: Candidate, rules: FilterRules) -> str:
    words = _count_words(task.instruction)
    return f"{words} words" if words < rules.min_words else ""


def _too_long(task: Candidate, rules: FilterRules) -> str:
    words, characters = _count_words(task.instruction), len(task.instruction)
    if words > rules.max_words:
        return f"{words} words"
    return f"{characters} characters" if characters > _LONG_WORD * rules.max_words else ""


def _blocked_word(task: Candidate, rules: FilterRules) -> str:
    text = task.instruction.casefold()
    return next((word for word, pattern in rules.blocked if pattern.search(text)), "")


def _bad_start(task: Candidate, rules: FilterRules) -> str:
    first, rest = task.instruction[:1], task.instruction[1:2]
    if first in _OPENING_MARKS or unicodedata.category(first or " ") in _OPENING_CATEGORIES:
        first = rest
    return "" if first.isalnum() else task.instruction[:1] or "empty"


def _no_output(task: Candidate, rules: FilterRules) -> str:
    return "" if re.search(r"\w", task.output) and not _PLACEHOLDER.fullmatch(task.output.strip()) else "empty"


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


def _label_in_instruction(task: Candidate, rules: FilterRules) -> str:
    return _label_in(task.instruction)


def _label_in_output(task: Candidate, rules: FilterRules) -> str:
    return _label_in(task.output)


def _label_in(text: str) -> str:
    found = _LEFTOVER.search(text)
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
    wide = 0 if text.isascii() else sum(unicodedata.east_asian_width(character) == "W" for character in text)
    return len(text.split()) + wide // 2


Filter = Callable[[Candidate, FilterRules], str]
"""Returns what triggered it, or an empty string."""

_INSTRUCTION_FILTERS: dict[str, Filter] = {
    "too_short": _too_short,
    "too_long": _too_long,
    "blocked_word": _blocked_word,
    "bad_start": _bad_start,
    "leftover_label": _label_in_instruction,
}
_INSTANCE_FILTERS: dict[str, Filter] = {
    "no_output": _no_output,
    "cut_off": _cut_off,
    "echo": _echo,
    "leftover_label": _label_in_output,
    "loops": _loops,
}


def instruction_fault(candidate: Candidate, rules: FilterRules) -> Rejection | None:
    """The first fault of the instruction alone; input and output may still be empty."""
    return first_fault(_INSTRUCTION_FILTERS, candidate, rules)


def instance_fault(candidate: Candidate, rules: FilterRules) -> Rejection | None:
    """The first fault of input and output."""
    return first_fault(_INSTANCE_FILTERS, candidate, rules)


def similarity_fault(score: float, nearest: str, rules: FilterRules) -> Rejection | None:
    """Whether an instruction is too much like another; at the threshold it is not yet.

    Args:
        score: Highest ROUGE-L F against the pool, 0..1.
        nearest: Id of the task with that score.
        rules: The threshold.
    """
    if score <= rules.rouge_threshold:
        return None
    return Rejection("similar", f"ROUGE-L {score:.2f} with {nearest}")


def first_fault(filters: Mapping[str, Filter], candidate: Candidate, rules: FilterRules) -> Rejection | None:
    """What the first of ``filters`` that triggers says."""
    for reason, triggered in filters.items():
        detail = triggered(candidate, rules)
        if detail:
            return Rejection(reason, detail)
    return None
