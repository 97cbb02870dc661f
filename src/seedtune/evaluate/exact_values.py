"""What values a text states: numbers, ASes, paths, prefixes, times, words, yes or no. Pure functions.

A value that is denied ("not 3", "AS64500 is not the origin") is not stated, and a number that is hedged ("at least 3",
"3 or more", "about 3") is no exact one, nor is a percentage where none is asked for. Lengths of prefixes, the numbers
of a list, and how many there are ("2 ASes: ...") are no AS numbers.
"""

import ipaddress
import re
from collections.abc import Hashable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from seedtune.evaluate.cloze import tokens as words_of
from seedtune.evaluate.extraction import CLOSE, MARKS
from seedtune.records import ExactItem
from seedtune.records.items import AnswerKind

__all__ = ["SENTENCE_END", "SETS", "other_values", "speaks", "values", "with_signs", "without_list_numbers"]

SETS: dict[AnswerKind, str] = {"asns": "asn", "prefixes": "prefix", "addresses": "address"}
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
    (?P<time>\d{4}-\d\d-\d\d[T ]+\d\d:\d\d:\d\d(?:[+-]\d\d:\d\d)?|\d\d/\d\d/\d\d(?:\d\d)?\ \d\d:\d\d:\d\d)
    | (?<![\w.:])(?P<prefix>(?:\d+(?:\.\d+){3}|(?=[0-9a-f]{0,4}:)[0-9a-f:]{0,39}:[0-9a-f:.]{0,15})/\d+)(?![\w/])
    | (?<![\w.:])(?P<address>\d+(?:\.\d+){3}|(?=[0-9a-f:]{0,39}::)[0-9a-f:]{2,39}|(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4})
      (?![\w/])
    | (?<![\w.:])(?P<community>\d+(?::\d+){1,2})(?![\w:])
    | (?<![\w.:/])(?P<named>asn?s?\s*[-\#:]?\s*)?
      (?P<number>[-+]?(?:\d{1,3}(?:[,_\u00a0\u202f]\d{3})+(?![,\d])|\d+(?:\.\d+)?))(?!(?!x\b)[\w:/]|\.\d)
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Everything of numbers that a sentence holds: an AS number is none of the parts of an address."""

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"\b(?!(?:as(?:n|es|ns)?|and|or)\b)[^\W\d_]{2,}", re.IGNORECASE)
_LIST_NUMBER = re.compile(r"^([ \t]*\(?)(\d{1,2})[.)](?=\s+\S)", re.MULTILINE)

# --- what is said of a value ------------------------------------------------------------------------------------------

_AROUND = 48
"""Characters before and behind a value in which its denial or its hedge is looked for."""
_DENIED = re.compile(
    r"(?:\b(?:not|never|nor|neither|except|without|hardly|barely|no\s+longer|rather\s+than|instead\s+of|"
    r"(?:none|nothing|no\s+\w+)\s+(?:is|was|are|were))|n['’]t)\s+"
    rf"(?:(?:the|an?|any|really|considered|called|longer|prefix|address|route|path|RPKI)\s+)*{MARKS}(?:RPKI-)?$",
    re.IGNORECASE,
)
_NOT = rf"{CLOSE}\s*(?:%s)(?:\s+(?:not|never|no\s+longer)|n['’]t)\b(?!\s+(?:only|just|merely)\b)"
_DENIED_BEHIND = re.compile(_NOT % "is|was|does|did|has|can|could|would|should|will", re.IGNORECASE)
_NUMBER_DENIED_BEHIND = re.compile(_NOT % "is|was", re.IGNORECASE)
"""Of a number narrower: "3 did not withdraw it" states 3."""
_HEDGED = re.compile(
    r"(?:\b(?:at\s+(?:least|most)|(?:more|fewer|less|greater|larger|higher|lower|longer|shorter|earlier|later)\s+than|"
    r"about|around|approx\.?|approximately|roughly|nearly|almost|up\s+to|circa|before|after|until)\s+(?:the\s+)?"
    rf"|[~≈≤≥]\s*|(?<=\w\s)[<>]\s*){MARKS}$",
    re.IGNORECASE,
)
_HEDGED_BEHIND = re.compile(
    rf"{CLOSE}(?:\+(?!\s*\d)|\s+(?:\w+\s+)?(?:or\s+(?:more|fewer|less|so|none)|and\s+more)\b)", re.IGNORECASE
)
_OR_NONE = re.compile(rf"{CLOSE},?\s+or\s+(?:none|nothing|no\s?body)\b", re.IGNORECASE)
_REFUSED = re.compile(
    r"\b(?:provided|available|given|supplied|shown|know|known|tell|sure|unable|cannot|impossible)\b|\bcan['’]t\b",
    re.IGNORECASE,
)
_NO_NOUN = (
    "access|answer|clue|comment|context|data|details?|doubt|evidence|explanation|file|further|guess|idea|info|information|"
    "input|longer|matter|means|more|need|numbers?|one|opinion|output|problem|question|reason|reply|response|result|"
    "sense|text|thanks|time|value|way|worries"
)
"""With "no" before them these words say nothing of how many there are."""
_NONE = re.compile(rf"(?<![\w-])(?:none(?!\s+of\s+your\b)|no\s+(?!(?:{_NO_NOUN})\b)[^\W\d_])", re.IGNORECASE)
_NOTHING = re.compile(rf"{MARKS}(?:nothing|nobody|empty|\{{\}}|\[\]){CLOSE}[.!]?{CLOSE}\s*", re.IGNORECASE)
_MORE = re.compile(r"\.\.\.|…|\betc\b|\band\s+(?:\w+\s+)?(?:others|more|so\s+on)\b", re.IGNORECASE)
"""Who says that there are more has not named a set."""

# --- numbers ----------------------------------------------------------------------------------------------------------

_MINUS = re.compile(r"−|(?<!\d\s)\b(?:minus|negative)\s+(?=\d)", re.IGNORECASE)
_SHARE = re.compile(r"[-+]?\d[\d.,]*\s*(?:%|per\s?cent\b)", re.IGNORECASE)
_ASKS_FOR_A_SHARE = re.compile(r"\bpercentage\b|\b(?:what|which|how\s+many)\s+per\s?cent\b", re.IGNORECASE)

_SPELLED = (
    "(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|"
    "eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand)"
)
_IN_WORDS = re.compile(rf"(?<![\w-]){_SPELLED}(?:(?:\s+and)?[\s-]+{_SPELLED})*(?![\w-])", re.IGNORECASE)
_NOT_COUNTED = re.compile(
    r"\b(?:the|this|that|no|each|every|any|another|which|only|some|last|first)\s+$", re.IGNORECASE
)
"""Before "one": it stands for a thing."""
_OF = re.compile(r"\s+of\b", re.IGNORECASE)
"""Behind it: the same."""
_TOTAL = re.compile(rf"(?:\d|\b{_SPELLED})\s+(?:\w+\s+)?(?:out\s+)?of\s+(?:the\s+|all\s+)*$", re.IGNORECASE)
"""Before the number of all: "3 of 7"."""
_RUN = re.compile(r"(?<![\w.:/,])\d{4,}(?:[ ]+\d{4,})+(?![\w:/,]|\.\d)")
"""A path: none of its AS numbers is a count."""
_COUNT = re.compile(r"\s+(?!and\b|or\b|AS[NS]?\s*\d)[a-z]", re.IGNORECASE)
"""Behind a small number: it says how many ASes there are."""
_JOINED = re.compile(r"\s*(?:[,;/&+|]?\s*(?:\b(?:and|or)\b)?)\s*", re.IGNORECASE)
"""Between the members of one list."""
_GONE = "\1"
"""Stands for a character that belongs to a value of another kind."""
_ARROWS = re.compile(r"(?:\s|,|;|[-=]+>|→|>|\b(?:as(?:n)?|and|then)\b|[-–—|*_`\"'()\[\]])*", re.IGNORECASE)
"""What stands between the hops of a path."""

# --- yes and no -------------------------------------------------------------------------------------------------------

_YES, _NO = ("yes", "yeah", "yep", "true"), ("no", "nope", "nah", "false")
_VERDICT = rf"(?:{'|'.join((*_YES, *_NO))})"
_OPENING = re.compile(
    rf"{MARKS}({_VERDICT})\b(?!{CLOSE}(?:\s*,?\s*(?:and|or)\s+|\s*[/|]\s*|\s+){_VERDICT}\b)"
    rf"(?!{CLOSE}\s*,\s*{_VERDICT}\s*(?:[.!,;]|$))(?!{CLOSE}\s*\?)",
    re.IGNORECASE,
)
_BEHIND_NO = re.compile(
    rf"{CLOSE}\s*(?:[^\w\s]|$|(?:it|there|this|that|they|because|since|as|the|only|its|not|longer)\b)", re.IGNORECASE
)
"""Makes a "no" a verdict: "No, ...", "No it is not"; "No data ..." says something of the data."""
_CLOSING = re.compile(
    rf"(?<!or\s)(?<!and\s)\b(?P<said>yes|no|true|false){CLOSE}[.!]?{CLOSE}\s*$|\*\*(?P<bold>yes|no)[.!]?\*\*",
    re.IGNORECASE,
)
_ALONE = re.compile(rf"{MARKS}(yes|no){CLOSE}\s*(?:[.!,;:–—]|$)", re.IGNORECASE)
_UNSAID = re.compile(r"(?:\b(?:not|never|cannot|hardly)|n['’]t)\b[^,.;:]*$", re.IGNORECASE)


class _Token(NamedTuple):
    """A number, an address or a time in a text."""

    kind: str
    value: Hashable
    start: int
    end: int
    named: bool = False
    """With ``AS`` before it."""


def values(text: str, item: ExactItem) -> tuple[Hashable, ...]:
    """The different values of the item's kind that a text states, in order; a set is one value."""
    match item.kind:
        case "yes_no":
            return _truths(text)
        case "word":
            return _words(text, item.options or (item.answer,))
        case "path":
            return tuple(dict.fromkeys(_paths(text)))
        case "asns" | "prefixes" | "addresses":
            return _set(text, SETS[item.kind])
        case "asn":
            plain, numbers = _as_numbers(text)
            return _distinct(token for token in numbers if not _denied(plain, token))
        case "integer" | "number":
            shares = _ASKS_FOR_A_SHARE.search(item.question)
            return _numbers(text if shares else _SHARE.sub(_blank, text), item.kind)
        case _:
            return _moments(text) if item.kind == "time" else _members(text, item.kind)


def with_signs(text: str) -> str:
    """A text whose negative numbers have a hyphen for a sign."""
    return _MINUS.sub("-", text)


def _blank(found: re.Match[str]) -> str:
    return _GONE * len(found[0])


def other_values(text: str, item: ExactItem) -> set[Hashable]:
    """The numbers, addresses and times in a text that are not of the item's kind."""
    own = _TOKEN_KINDS.get(item.kind, (item.kind,))
    return {token.value for token in _tokens(text) if token.kind not in own}


def speaks(text: str) -> bool:
    """Whether a text has words beside its values."""
    return bool(_WORD.search(_TOKEN.sub(" ", text)))


def without_list_numbers(text: str, item: ExactItem) -> str:
    """A text without the numbers 1, 2, 3, ... that its lines begin with; a lone "1." may be a count."""
    found = list(_LIST_NUMBER.finditer(text))
    fewest = 2 if item.kind in ("integer", "number") else 1
    if len(found) < fewest or [int(number[2]) for number in found] != list(range(1, len(found) + 1)):
        return text
    return _LIST_NUMBER.sub(r"\1-", text)


def _members(text: str, kind: str) -> tuple[Hashable, ...]:
    """The prefixes or addresses that a text states."""
    return _distinct(token for token in _tokens(text) if token.kind == kind and not _denied(text, token))


def _moments(text: str) -> tuple[Hashable, ...]:
    """The times that a text states; where it has no date, seconds since the epoch."""
    said = [token for token in _tokens(text) if not (token.named or _denied(text, token) or _hedged(text, token))]
    return _distinct(token for token in said if token.kind == "time") or _distinct(
        token for token in said if token.kind == "number"
    )


def _distinct(found: Iterator[_Token] | Sequence[_Token]) -> tuple[Hashable, ...]:
    return tuple(dict.fromkeys(token.value for token in found))


def _tokens(text: str) -> Iterator[_Token]:
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or ""
        value = _parsed(kind, found[kind])
        if value is not None:
            yield _Token(kind, value, *found.span(), bool(found["named"]))


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
    if "/" in word:
        moment = datetime.strptime(word, "%m/%d/%y %H:%M:%S" if word[8] == " " else "%m/%d/%Y %H:%M:%S")
    else:
        moment = datetime.fromisoformat(re.sub(r"[T ]+", " ", word))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _before(text: str, place: int) -> str:
    return text[max(0, place - _AROUND) : place]


def _denied(text: str, token: _Token, behind: re.Pattern[str] = _DENIED_BEHIND) -> bool:
    after = text[token.end : token.end + _AROUND]
    return bool(_DENIED.search(_before(text, token.start)) or behind.match(after) or _OR_NONE.match(after))


def _hedged(text: str, token: _Token) -> bool:
    after = text[token.end : token.end + _AROUND]
    return bool(_HEDGED.search(_before(text, token.start)) or _HEDGED_BEHIND.match(after))


def _none(text: str) -> bool:
    """Whether a text says that there are none, and not that something was not given."""
    if _NOTHING.fullmatch(text):
        return True
    found = None if _REFUSED.search(text) else _NONE.search(text)
    return found is not None and not _DENIED.search(_before(text, found.start()))


def _numbers(text: str, kind: AnswerKind) -> tuple[Hashable, ...]:
    plain = _RUN.sub(_blank, text)
    found = [token for token in _tokens(plain) if token.kind == "number" and not token.named]
    if kind == "integer":
        found = [token for token in found if float(str(token.value)).is_integer()]
        found += _in_words(plain, alone=not found)
    found = [token for token in found if not _TOTAL.search(_before(plain, token.start))] or found
    said = [t for t in found if not _denied(plain, t, _NUMBER_DENIED_BEHIND) and not _hedged(plain, t)]
    if kind == "integer" and not found and _none(plain):
        return (0.0,)
    return _distinct(sorted(said, key=lambda token: token.start))


def _in_words(text: str, alone: bool) -> Iterator[_Token]:
    """The numbers in words; "one" counts only where it is the only number, and stands for none of the things."""
    found = [(run, words_of(run[0])) for run in _IN_WORDS.finditer(text)]
    larger = [run for run, words in found if words != ("1",)]
    for run, words in found:
        if words == ("1",) and (
            larger or not alone or _NOT_COUNTED.search(_before(text, run.start())) or _OF.match(text, run.end())
        ):
            continue
        for word in words:
            if word.isdigit():
                yield _Token("number", float(word), *run.span())


def _as_numbers(text: str) -> tuple[str, list[_Token]]:
    """The AS numbers of a text, and the text that their places are those of.

    Where one has ``AS`` before it, those without do not count, unless they stand in one list with it.
    """
    plain = _TOKEN.sub(lambda one: one[0] if one.lastgroup == "number" else _GONE * len(one[0]), text)
    plain = re.sub(r"(?<=\d)/(?=\d{3}|AS)", ",", plain, flags=re.IGNORECASE)
    found = [token for token in _tokens(plain) if token.kind == "number" and float(str(token.value)).is_integer()]
    found = [t for t in found if t.named or float(str(t.value)) >= 100 or not _COUNT.match(plain, t.end)] or found
    lists: list[list[_Token]] = []
    for token in found:
        if lists and _JOINED.fullmatch(plain[lists[-1][-1].end : token.start]):
            lists[-1].append(token)
        else:
            lists.append([token])
    named = [token for each in lists if any(token.named for token in each) for token in each]
    return plain, named or found


def _set(text: str, member: str) -> tuple[Hashable, ...]:
    if _MORE.search(text):
        return ()
    if member == "asn":
        # "64,500" is one AS number, "100,200" are two: a comma without a blank is a separator where all have it.
        one_each = re.search(r"(?<![\d:.])\d{4}|AS\s*\d", text)
        text, found = _as_numbers(text if one_each else re.sub(r"(?<=\d),(?=\d)", ", ", text))
    else:
        found = [token for token in _tokens(text) if token.kind == member]
    denied = {token.value for token in found if _denied(text, token)}
    # "All of 64500 and 64501, except 64501"
    said = frozenset(token.value for token in found) - denied
    if said:
        return (said,)
    return (frozenset[Hashable](),) if not found and _none(text) else ()


def _paths(text: str) -> Iterator[Hashable]:
    """The runs of AS numbers with nothing but separators between them; ``{64500,64501}`` is one hop."""
    runs: list[list[re.Match[str]]] = []
    for found in re.finditer(
        r"\{\s*\d+(?:\s*,\s*\d+)*\s*\}|(?<![\w.:/])(?:asn?)?\d+(?![\w:/]|\.\d)", text, re.IGNORECASE
    ):
        if runs and _ARROWS.fullmatch(text[runs[-1][-1].end() : found.start()]):
            runs[-1].append(found)
        else:
            runs.append([found])
    for run in runs:
        hops = tuple(_hop(found[0]) for found in run)
        if not _denied(text, _Token("path", hops, run[0].start(), run[-1].end())):
            yield hops


def _hop(text: str) -> Hashable:
    if "{" in text:
        return frozenset(map(int, re.findall(r"\d+", text)))
    return int(re.sub(r"\D", "", text))


def _truths(text: str) -> tuple[Hashable, ...]:
    """Yes or no, as the first sentence says that says one; and the other, where a later one begins with it."""
    sentences = [part for part in SENTENCE_END.split(text) if part.strip()]
    for place, sentence in enumerate(sentences):
        verdict = _verdict(sentence)
        if verdict:
            later = [match[1].casefold() for part in sentences[place + 1 :] if (match := _ALONE.match(part))]
            return tuple(dict.fromkeys(word in _YES for word in (*verdict, *later)))
    return ()


def _verdict(sentence: str) -> list[str]:
    """What opens a sentence, and what ends it or stands in bold."""
    closing = _CLOSING.search(sentence)
    end: list[str] = []
    if closing and not _UNSAID.search(sentence[: closing.start()]):
        end = [(closing["said"] or closing["bold"]).casefold()]
    if not re.match(rf"{MARKS}{_VERDICT}\b", sentence, re.IGNORECASE):
        return end
    opening = _OPENING.match(sentence)
    if opening is None:
        return []
    word = opening[1].casefold()
    if word == "no" and not _BEHIND_NO.match(sentence, opening.end()):
        return []
    # Both, where it is taken back: "No, wait: yes".
    return [word, *end]


def _words(text: str, options: Sequence[str]) -> tuple[Hashable, ...]:
    """The options that a text names and does not deny; a longer one is not also the shorter one within it."""
    found: list[tuple[int, str]] = []
    for option in sorted(options, key=len, reverse=True):
        pattern = r"[-\s_]?".join(map(re.escape, re.findall(r"\w+", option)))
        for match in re.finditer(rf"(?:(?<![\w-])|(?<=\bRPKI-)){pattern}(?![\w-])", text, re.IGNORECASE):
            if _denied(text, _Token("word", option, match.start(), match.end())):
                continue
            found.append((match.start(), option.casefold()))
            text = text[: match.start()] + " " * len(match[0]) + text[match.end() :]
    return tuple(dict.fromkeys(option for _, option in sorted(found)))
