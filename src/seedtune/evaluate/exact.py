"""Whether a short computed answer is right: a number, an AS, a path, a prefix, a time, yes or no. Pure functions.

Values are compared, not texts: AS 64,500 is 64500, 2001:DB8:0::/48 is 2001:db8::/48, and sets are the same in any
order. Strict takes the value alone, in the form that was asked for. Lenient finds it where an answer states one: in a
box, behind "Answer:", as the only value of its kind, in bold, or in the first or last sentence. Lines that repeat the
prompt are no part of an answer, nor are values of the question itself. Who names several values where one is asked
for, or others besides those of a set, has not answered.

What is not covered: AS numbers as ``1.10`` (RFC 5396), IPv4 prefixes without their zeros (``10/8``), months by name.
"""

import ipaddress
import re
from collections.abc import Hashable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from seedtune.evaluate.cloze import tokens
from seedtune.evaluate.extraction import CLOSE, MARKS, decisive, spoken
from seedtune.evaluate.scorers import Score
from seedtune.records import ExactItem
from seedtune.records.items import AnswerKind

__all__ = ["score_exact"]

_SETS: dict[AnswerKind, str] = {"asns": "asn", "prefixes": "prefix", "addresses": "address"}
"""Kinds whose answers are sets, and what their members are."""

_TOKEN_KINDS: dict[AnswerKind, tuple[str, ...]] = {
    "integer": ("number",),
    "number": ("number",),
    "asn": ("number",),
    "time": ("time", "number"),
}
"""Kinds of tokens that an answer may be, where they are not named as it is."""

_TOKEN = re.compile(
    r"""
    (?P<time>\d{4}-\d\d-\d\d[T ]+\d\d:\d\d:\d\d|\d\d/\d\d/\d\d(?:\d\d)?\ \d\d:\d\d:\d\d)
    | (?<![\w.:])(?P<prefix>(?:\d+(?:\.\d+){3}|(?=[0-9a-f]*:)[0-9a-f:]*:[0-9a-f:.]*)/\d+)(?![\w/])
    | (?<![\w.:])(?P<address>\d+(?:\.\d+){3}|(?=[0-9a-f]*:[0-9a-f]*:)[0-9a-f:]*::[0-9a-f:]*|(?:[0-9a-f]+:){7}[0-9a-f]+)
      (?![\w/])
    | (?<![\w.:])(?P<community>\d+(?::\d+){1,2})(?![\w:])
    | (?<![\w.:/])(?P<named>asn?s?\s*\#?\s*)?
      (?P<number>[-+]?(?:\d{1,3}(?:[,_\u00a0\u202f]\d{3})+(?![,\d])|\d+(?:\.\d+)?))(?![\w:/]|\.\d)
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Everything of numbers that a sentence holds: an AS number is none of the parts of an address."""

_DENIED = re.compile(
    r"(?:\b(?:not|never|nor|neither|except|without)|n['’]t)\s+(?:the\s+|an?\s+)?(?:prefix\s+|address\s+)?$",
    re.IGNORECASE,
)
_BEFORE = 24
"""Characters before a value in which its denial is looked for."""

_LEAD = re.compile(
    rf"\banswer(?:s)?{CLOSE}\s*(?:(?:is|are|would\s+be|should\s+be)\b{CLOSE}\s*[:=]?|[:=]){MARKS}", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_REASON = re.compile(r",?\s+(?:because|since|as|which|but not|not)\b|\s\(", re.IGNORECASE)
_WORD = re.compile(r"(?!as(?:n|es|ns)?\b)[^\W\d_]{2,}", re.IGNORECASE)
_MARKED = re.compile(r"\*\*([^*\n]+)\*\*|`([^`\n]+)`")
_FENCE = re.compile(r"^\s*```\w*\s*$", re.MULTILINE)
_QUOTED = 16
"""Characters from which on a line of the prompt counts as repeated."""
_ECHO = "\0"
"""Stands for a repeated line: a list in which one stood is no answer, however short the rest."""
_OTHERS = 3
"""So many values of other kinds a sentence may hold beside its one; with more, or without words, it is a list."""
_ARROWS = re.compile(r"(?:\s|,|-+>|→|>|\bas(?:n)?\b|[-–—|*_`\"'()\[\]])*", re.IGNORECASE)
"""What stands between the hops of a path."""
_NONE = re.compile(rf"{MARKS}(?:none|no(?:thing|body|\s+\w+)?|empty|\{{\}}|\[\]){CLOSE}[.!]?{CLOSE}\s*", re.IGNORECASE)
_TRUTH = {"yes": True, "true": True, "no": False, "false": False}
_VERDICT = r"(?:yes|no|true|false)"
_OPENING = re.compile(
    rf"{MARKS}({_VERDICT})\b(?!{CLOSE}(?:\s*,?\s*(?:and|or)\s+|\s*[/|]\s*|\s+){_VERDICT}\b)"
    rf"(?!{CLOSE}\s*,\s*{_VERDICT}\s*(?:[.!,;]|$))(?!\s+(?:idea|doubt|answer|information|way)\b)",
    re.IGNORECASE,
)
_CLOSING = re.compile(rf"(?<!or\s)(?<!and\s)\b(yes|no){CLOSE}[.!]?{CLOSE}\s*$", re.IGNORECASE)


class _Token(NamedTuple):
    """A number, an address or a time in a text."""

    kind: str
    value: Hashable
    start: int
    named: bool = False
    """With ``AS`` before it."""


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
    answer = spoken(text)
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
    if item.kind in _SETS and item.answer.strip().casefold() in ("", "none"):
        return frozenset[Hashable]()
    found = _values(item.answer, item)
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
    **{kind: rf"(?i:none)|{_MEMBER[member]}(?:(?:, ?| ){_MEMBER[member]})*" for kind, member in _SETS.items()},
}  # pyright: ignore[reportAssignmentType]


def _strictly(answer: str, item: ExactItem) -> Hashable | None:
    """The value of an answer that is nothing else; None for any other."""
    whole = answer.strip()
    form = re.sub(r"\d", r"\\d", re.escape(item.answer)) if item.kind == "time" else _FORMS[item.kind]
    if not re.fullmatch(form, whole) or (item.kind == "word" and whole.casefold() != item.answer.casefold()):
        return None
    if item.kind in _SETS and whole.casefold() == "none":
        return frozenset[Hashable]()
    found = _values(whole, item)
    return found[0] if len(found) == 1 else None


# --- lenient ----------------------------------------------------------------------------------------------------------


def _lenient(answer: str, item: ExactItem) -> _Reading:
    """The value that an answer states; with several, or none, it could not be parsed."""
    boxes, last = decisive(_FENCE.sub("", _without_echo(answer, item)))
    leads = [_head(last[found.end() :]) for found in _LEAD.finditer(last)]
    for parts, why in ((boxes, "boxed"), (leads, "behind a lead")):
        read = [_read(part, item) for part in parts]
        said = [reading for reading in read if reading.values]
        if said:
            values = tuple(dict.fromkeys(value for reading in said for value in reading.values))
            return _Reading(values, said[-1].extracted, why if len(values) == 1 else "several answers")
    marked = [part for found in _MARKED.finditer(last) for part in found.groups() if part]
    sentences = [part for part in _SENTENCE_END.split(last) if part.strip()]
    ends = [reading for part in sentences[:1] + sentences[-1:] if (reading := _stated(part, item)) is not None]
    # Lines with a value each, and different ones, are a list.
    ends = ends if len({part.strip() for part in sentences if not _speaks(part)}) < 2 else []
    whole = _read(last, item)
    agreed = tuple(dict.fromkeys(reading.values[0] for reading in ends))
    places = (
        (whole, "the only value"),
        (_read(marked[0], item) if len(marked) == 1 else whole, "the only marked part"),
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


def _speaks(part: str) -> bool:
    """Whether a part has words beside its values."""
    return bool(_WORD.search(_TOKEN.sub(" ", part)))


def _head(text: str) -> str:
    """The first sentence or line that says anything."""
    return _SENTENCE_END.split(text.strip(), maxsplit=1)[0]


def _stated(sentence: str, item: ExactItem) -> _Reading | None:
    """The one value of a sentence, or of what it says before it gives a reason; None for none or several."""
    readings = (_read(part, item) for part in (sentence, _REASON.split(sentence, maxsplit=1)[0]))
    return next((reading for reading in readings if len(reading.values) == 1), None)


def _read(part: str, item: ExactItem) -> _Reading:
    """The values that a part of an answer states, without those that the question itself holds."""
    found = _values(part, item)
    if _ECHO in part and not _speaks(part):
        return _Reading((), "")
    if item.kind in _SETS:
        return _Reading(found, part.strip())
    asked = set(_values(item.question, item))
    found = tuple(value for value in found if value not in asked) or found
    own = _TOKEN_KINDS.get(item.kind, (item.kind,))
    others = {token.value for token in _tokens(part) if token.kind not in own}
    others -= {token.value for token in _tokens(item.question)}
    if item.kind not in ("path", "yes_no", "word") and len(others) > (_OTHERS if _speaks(part) else 0):
        return _Reading((), part.strip())
    return _Reading(found, part.strip())


# --- values -----------------------------------------------------------------------------------------------------------


def _values(text: str, item: ExactItem) -> tuple[Hashable, ...]:
    """The different values of the item's kind in a text, in order; a set is one value."""
    match item.kind:
        case "yes_no":
            return _truths(text)
        case "word":
            return _words(text, item.options or (item.answer,))
        case "path":
            return tuple(dict.fromkeys(_paths(text)))
        case "asns" | "prefixes" | "addresses":
            return _set(text, _SETS[item.kind])
        case "integer" | "number" | "asn":
            return _numbers(text, item.kind)
        case _:
            return tuple(dict.fromkeys(token.value for token in _said(text) if token.kind == item.kind)) or (
                _seconds(text) if item.kind == "time" else ()
            )


def _tokens(text: str) -> Iterator[_Token]:
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or ""
        value = _parsed(kind, found[kind])
        if value is not None:
            yield _Token(kind, value, found.start(), bool(found["named"]))


def _said(text: str) -> list[_Token]:
    """The tokens that are not denied."""
    return [token for token in _tokens(text) if not _DENIED.search(text[max(0, token.start - _BEFORE) : token.start])]


def _parsed(kind: str, word: str) -> Hashable | None:
    try:
        match kind:
            case "prefix":
                return ipaddress.ip_network(word)
            case "address":
                return ipaddress.ip_address(word)
            case "time":
                return _instant(word)
            case "number":
                return float(re.sub(r"[^-\d.]", "", word))
            case _:
                return word
    except ValueError:
        return None


def _instant(word: str) -> float:
    form = "%Y-%m-%d %H:%M:%S" if "-" in word else "%m/%d/%y %H:%M:%S" if word[8] == " " else "%m/%d/%Y %H:%M:%S"
    return datetime.strptime(re.sub(r"[T ]+", " ", word), form).replace(tzinfo=UTC).timestamp()


def _seconds(text: str) -> tuple[Hashable, ...]:
    """Seconds since the epoch, where a text has no date."""
    return tuple(dict.fromkeys(token.value for token in _said(text) if token.kind == "number"))


def _numbers(text: str, kind: AnswerKind) -> tuple[Hashable, ...]:
    found = [token for token in _said(text) if token.kind == "number"]
    if kind == "asn":
        found = [token for token in found if token.named] or found
    else:
        found = [token for token in found if not token.named]
    if kind != "number":
        found = [token for token in found if float(str(token.value)).is_integer()]
    if not found and kind == "integer":
        words = tokens(text)
        return (float(words[0]),) if len(words) == 1 and words[0].isdigit() else ()
    return tuple(dict.fromkeys(token.value for token in found))


def _set(text: str, member: str) -> tuple[Hashable, ...]:
    if member != "asn":
        found = [token.value for token in _said(text) if token.kind == member]
    else:
        # "64,500" is one AS number, "100,200" are two: a comma without a blank is a separator where all have it.
        commas = re.sub(r"(?<=\d),(?=\d)", ", ", text) if not re.search(r"\d{4}|AS", text) else text
        spaced = re.sub(r"(?<=\d)/(?=\d)", ", ", commas)
        found = [token.value for token in _said(spaced) if token.kind == "number"]
    if found:
        return (frozenset(found),)
    return (frozenset[Hashable](),) if _NONE.fullmatch(text) else ()


def _paths(text: str) -> Iterator[Hashable]:
    """The runs of AS numbers with nothing but separators between them; ``{64500,64501}`` is one hop."""
    run: list[Hashable] = []
    end = 0
    for found in re.finditer(
        r"\{\s*\d+(?:\s*,\s*\d+)*\s*\}|(?<![\w.:/])(?:asn?)?\d+(?![\w:/]|\.\d)", text, re.IGNORECASE
    ):
        hop: Hashable = (
            frozenset(map(int, re.findall(r"\d+", found[0]))) if "{" in found[0] else int(re.sub(r"\D", "", found[0]))
        )
        if run and not _ARROWS.fullmatch(text[end : found.start()]):
            yield tuple(run)
            run = []
        run.append(hop)
        end = found.end()
    if run:
        yield tuple(run)


def _truths(text: str) -> tuple[Hashable, ...]:
    """Yes or no where it opens a sentence, or else where it ends one."""
    for pattern in (_OPENING.match, _CLOSING.search):
        found = [match[1].casefold() for part in _SENTENCE_END.split(text) if (match := pattern(part))]
        if found:
            return tuple(dict.fromkeys(_TRUTH[word] for word in found))
    return ()


def _words(text: str, options: Sequence[str]) -> tuple[Hashable, ...]:
    """The options that a text names and does not deny; a longer one is not also the shorter one within it."""
    found: list[tuple[int, str]] = []
    for option in sorted(options, key=len, reverse=True):
        pattern = r"[-\s_]?".join(map(re.escape, re.findall(r"\w+", option)))
        for match in re.finditer(rf"(?<![\w-]){pattern}(?![\w-])", text, re.IGNORECASE):
            if _DENIED.search(text[max(0, match.start() - _BEFORE) : match.start()]):
                continue
            found.append((match.start(), option.casefold()))
            text = text[: match.start()] + " " * len(match[0]) + text[match.end() :]
    return tuple(dict.fromkeys(option for _, option in sorted(found)))
