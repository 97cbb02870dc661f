"""Whether a short computed answer is right: a number, an AS, a path, a prefix, a time, yes or no. Pure functions.

Values are compared, not texts: AS 64,500 is 64500, 2001:DB8:0::/48 is 2001:db8::/48, and sets are the same in any
order. Strict takes the value alone, in the form that was asked for. Lenient finds it where an answer states one: in a
box, behind "Answer:", as the only value of its kind, in bold, or in the first or last sentence. Lines that repeat the
prompt are no part of an answer, nor are values of the question itself. Who names several values where one is asked
for, or others besides those of a set, has not answered. ``exact_values.py`` says what counts as stated.

What is not covered: AS numbers as ``1.10`` (RFC 5396), IPv4 prefixes without their zeros (``10/8``) or with a mask, an
address with its length, months by name, Roman numbers, and "it is not" or "correct" for yes and no.
"""

import re
from collections.abc import Hashable, Iterable
from typing import NamedTuple

from seedtune.evaluate.exact_values import (
    SENTENCE_END,
    SETS,
    other_values,
    speaks,
    values,
    with_signs,
    without_list_numbers,
)
from seedtune.evaluate.extraction import CLOSE, MARKS, decisive, spoken
from seedtune.evaluate.scorers import Score
from seedtune.records import ExactItem
from seedtune.records.items import AnswerKind

__all__ = ["score_exact"]

_LEAD = re.compile(
    rf"\banswer(?:s)?{CLOSE}\s*(?:(?:is|are|would\s+be|should\s+be)\b{CLOSE}\s*[:=]?|[:=]){MARKS}", re.IGNORECASE
)
_REASON = re.compile(
    r",?\s+(?:because|since|(?-i:as)(?!\s*\d)|which|but\s+not)\b|\s\(|,\s+not\b|,\s+(?:reached|learned|heard|received|via|with)\b"
    r"|\s+(?:inside|within)\b|,\s+(?:an?\s+)?(?:part|slice|subnet|more[-\s]specific)\b",
    re.IGNORECASE,
)
_RESULT = re.compile(r",?\s+(?:so|thus|hence|therefore)\b,?|\s=(?=\s)", re.IGNORECASE)
"""Before what a sentence concludes."""
_MARKED = re.compile(r"\*\*([^*\n]+)\*\*|`([^`\n]+)`")
_FENCE = re.compile(r"^\s*```\w*\s*$", re.MULTILINE)
_QUOTED = 16
"""Characters from which on a line of the prompt counts as repeated."""
_ECHO = "\0"
"""Stands for a repeated line: a list in which one stood is no answer, however short the rest."""
_OTHERS = 3
"""So many values of other kinds a sentence may hold beside its one; with more, or without words, it is a list."""


class _Reading(NamedTuple):
    """What a part of an answer says: no value, one, or several that cannot all be meant."""

    values: tuple[Hashable, ...]
    extracted: str
    why: str = ""


def score_exact(text: str, item: ExactItem) -> Score:
    """Score an answer against the one that was computed.

    Args:
        text: The model's answer.
        item: The item; an answer that is empty, or ``none``, is a set without members.
    """
    right = _read_answer(item)
    answer = with_signs(spoken(text))
    if not answer:
        why = "nothing but thinking" if text.strip() else "an empty answer"
        return Score(correct=False, strict=False, value=0.0, extracted="", why=why, parsed=False)
    strict = _strictly(answer, item) == right
    reading = _Reading((right,), answer.strip(), "the whole answer") if strict else _lenient(answer, item)
    correct = reading.values == (right,)
    return Score(correct, strict, float(correct), reading.extracted, reading.why, parsed=len(reading.values) == 1)


def _read_answer(item: ExactItem) -> Hashable:
    """The value of the item's own answer.

    Raises:
        ValueError: it is none of its kind.
    """
    if item.kind in SETS and item.answer.strip().casefold() in ("", "none"):
        return frozenset[Hashable]()
    found = values(item.answer, item)
    if len(found) != 1:
        raise ValueError(f"the answer {item.answer!r} of item {item.id} is not of the kind {item.kind}")
    return found[0]


# --- strict -----------------------------------------------------------------------------------------------------------

_MEMBER = {"asn": r"\d+", "prefix": r"[0-9A-Fa-f:.]+/\d+", "address": r"[0-9A-Fa-f:.]+"}
_PATH = r"(?:\d+|\{\d+(?:,\d+)*\})"
_FORMS: dict[AnswerKind, str] = {
    "integer": r"-?\d+",
    "number": r"-?\d+(?:\.\d+)?",
    "path": rf"{_PATH}(?: {_PATH})*",
    "yes_no": r"(?i:yes|no)",
    "word": r"[^\n]+",
    **{kind: pattern for kind, pattern in _MEMBER.items() if kind in ("asn", "prefix", "address")},
    **{kind: rf"(?i:none)|{_MEMBER[member]}(?:(?:, ?| ){_MEMBER[member]})*" for kind, member in SETS.items()},
}  # pyright: ignore[reportAssignmentType]


def _strictly(answer: str, item: ExactItem) -> Hashable | None:
    """The value of an answer that is nothing else; None for any other."""
    whole = answer.strip()
    form = re.sub(r"\d", r"\\d", re.escape(item.answer)) if item.kind == "time" else _FORMS[item.kind]
    if not re.fullmatch(form, whole) or (item.kind == "word" and whole.casefold() != item.answer.casefold()):
        return None
    if item.kind in SETS and whole.casefold() == "none":
        return frozenset[Hashable]()
    found = values(whole, item)
    return found[0] if len(found) == 1 else None


# --- lenient ----------------------------------------------------------------------------------------------------------


def _lenient(answer: str, item: ExactItem) -> _Reading:
    """The value that an answer states; with several, or none, it could not be parsed."""
    boxes, last = decisive(without_list_numbers(_FENCE.sub("", _without_echo(answer, item)), item))
    leads = [_head(last[found.end() :]) for found in _LEAD.finditer(last)]
    for parts, why in ((boxes, "boxed"), (leads, "behind a lead")):
        read = [_read(part, item) for part in parts]
        said = [reading for reading in read if reading.values]
        if said:
            distinct = tuple(dict.fromkeys(value for reading in said for value in reading.values))
            return _Reading(distinct, said[-1].extracted, why if len(distinct) == 1 else "several answers")
    sentences = [part for part in SENTENCE_END.split(last) if part.strip()]
    ends = [reading for part in sentences[:1] + sentences[-1:] if (reading := _stated(part, item)) is not None]
    # Lines with a value each, and different ones, are a list.
    ends = ends if len({part.strip() for part in sentences if not speaks(part)}) < 2 else []
    whole = _read(last, item)
    agreed = tuple(dict.fromkeys(reading.values[0] for reading in ends))
    places = (
        (whole, "the only value"),
        (_marked(last, item), "the only marked part"),
        (_Reading(agreed, ends[-1].extracted if ends else ""), "the first or last sentence"),
    )
    for reading, why in places:
        if len(reading.values) == 1:
            return reading._replace(why=why)
    return _Reading(whole.values, "", "several values" if whole.values else "no value of its kind")


def _without_echo(answer: str, item: ExactItem) -> str:
    """The answer without the lines of the prompt that it repeats, however they are spaced."""
    text = answer
    for line in sorted({*item.prompt.splitlines(), item.input}, key=len, reverse=True):
        pieces = re.findall(r"\w+|[^\w\s]", line)
        if len(line) >= _QUOTED and pieces:
            text = re.sub(r"\s*".join(map(re.escape, pieces)), _ECHO, text)
    return text


def _marked(text: str, item: ExactItem) -> _Reading:
    """What the only marked part states, unless the words around it deny or hedge it."""
    parts = [part for found in _MARKED.finditer(text) for part in found.groups() if part]
    reading = _read(parts[0], item) if len(parts) == 1 else _Reading((), "")
    return reading if _members(reading.values) <= _members(values(text, item)) else _Reading((), "")


def _members(found: Iterable[Hashable]) -> set[Hashable]:
    return {each for value in found for each in (value if isinstance(value, frozenset) else (value,))}


def _head(text: str) -> str:
    """The first sentence or line that says anything."""
    return SENTENCE_END.split(text.strip(), maxsplit=1)[0]


def _stated(sentence: str, item: ExactItem) -> _Reading | None:
    """The one value of a sentence, of what goes before its reason, or of its conclusion; None for none or several."""
    parts = (sentence, _REASON.split(sentence, maxsplit=1)[0], _RESULT.split(sentence)[-1])
    readings = (_read(part, item) for part in parts)
    return next((reading for reading in readings if len(reading.values) == 1), None)


def _read(part: str, item: ExactItem) -> _Reading:
    """The values that a part of an answer states, without those that the question itself holds."""
    found = values(part, item)
    if _ECHO in part and not speaks(part):
        return _Reading((), "")
    if item.kind in SETS:
        return _Reading(tuple(_without_asked(part, each, item) for each in found), part.strip())
    asked = set(values(item.question, item))
    found = tuple(value for value in found if value not in asked) or found
    others = other_values(part, item) - other_values(item.question, item)
    if item.kind not in ("path", "yes_no", "word") and len(others) > (_OTHERS if speaks(part) else 0):
        return _Reading((), part.strip())
    return _Reading(found, part.strip())


def _without_asked(part: str, members: Hashable, item: ExactItem) -> Hashable:
    """A set without the values of the question, where a sentence has others; in a bare list each is meant."""
    asked = [value for value in values(item.question, item) if isinstance(value, frozenset)]
    if not isinstance(members, frozenset) or not speaks(part):
        return members
    return members.difference(*asked) or members
