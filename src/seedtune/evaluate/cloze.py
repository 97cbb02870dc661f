"""Read the filling of a gap out of an answer, and compare fillings. Pure functions.

Two fillings are the same where only case, white space, punctuation, articles, the spelling of a number ("four", "4",
"50,000") or of a unit ("180 s", "180 seconds") differs. Signs within a number or an address count: 192.0.2.1, -5 and 25
are not 1920.2.1, 5 and 2. What is not covered: conversion (3 minutes for 180 seconds), inflection and synonyms; those
are for the item's ``answers``.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from seedtune.evaluate.extraction import CLOSE, MARKS, decisive, first_turn, spoken

Tokens = tuple[str, ...]

_ONES = re.findall(
    r"\w+",
    """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen""",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_NUMBERS = {word: value for value, word in enumerate(_ONES)} | {word: 10 * (n + 2) for n, word in enumerate(_TENS)}

_UNITS = {
    form: forms[0]
    for forms in (
        ("second", "seconds", "sec", "secs"),
        ("minute", "minutes", "min", "mins"),
        ("hour", "hours", "hr", "hrs"),
        ("day", "days"),
        ("week", "weeks"),
        ("millisecond", "milliseconds", "ms", "msec"),
        ("bit", "bits"),
        ("octet", "octets", "byte", "bytes"),
        ("%", "percent"),
    )
    for form in forms
}
_SHORT_UNITS = {"s": "second", "h": "hour", "d": "day"}
"""Only behind a number: elsewhere they are letters."""

_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:[,_\u00a0\u202f]\d{3})+(?![\d,])")
_NUMBER = re.compile(r"[-+]?(?=[^\d]*\d)[0-9a-f]*(?:[.:/][0-9a-f]*)*", re.ASCII)
_PIECE = re.compile(r"[^\W\d_]+|\d+|[<>=≤≥≠%^$+~!&|]")
_WORD = re.compile(r"\w+")
_EDGE = ".,;:!?\"'()[]{}*_`“”‘’"

_OPINION = re.compile(r"\A\W*I(?:\s+would|['’]d)?\s+(?:think|believe|guess|say|suppose)\s+(?:that\s+)?", re.IGNORECASE)
_LEAD = re.compile(
    r"\b(?:answer|blank|gap|filling|(?:missing|correct|right)\s+(?:word|words|term|value|number|part|phrase)|\A\W*the\s+word)"
    rf"(?:\s+(?:is|would\s+be|should\s+be|reads)\b(?:\s+filled\s+(?:with|by)\b)?{MARKS}:?|{CLOSE}\s*[:=]){MARKS}"
    rf"|(?:\A|(?<=\n))(?:\s*_{{3,}}\s*[:=]|{MARKS}(?:it\s+is|it['’]s)){MARKS}",
    re.IGNORECASE,
)
_MARKED = re.compile(r"\*\*([^*\n]+)\*\*|`([^`\n]+)`|\"([^\"\n]+)\"|“([^”\n]+)”")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"'(*]*[A-Z])|\n+")
_AFTERTHOUGHT = re.compile(r",?\s+(?:because|since|which|so that)\b|;|\s[–—-]\s|\s\((?![^)]*\bor\b)[^()]*\)\W*$")
_NOT_ALONE = re.compile(r"(?:\b(?:not|never|no|n?or)|n['’]t)(?:\s+(?:the|an?))?\W*$", re.IGNORECASE)
"""What before a marked part makes it one that is denied, or one of several; "or" behind it does the same."""
_BEFORE = 20
"""Characters that are looked at for that."""
_GAP = re.compile(r"_{3,}")
_LONGEST = 12
"""Words of a reply that is itself taken for the filling."""
_SERIES = 2
"""Commas from which on a sentence is a series of several things."""
_REACH = 300
"""Characters in which a filling is looked for."""
_OTHERS = frozenset(
    _WORD.findall("""
    not no never nor or and than least most more less fewer under over below above about nearly almost between
    approximately roughly around either neither except cannot dont doesnt isnt up
    """)
)
"""Words beside which a value is not plainly the one that fills the gap."""
_VAGUE = frozenset(_WORD.findall("is are was be of to in on at by for with as from the and or that has have its"))
"""Words that do not tell where in a short sentence the filling begins."""
_ANCHOR = 2
"""Words on a side of the gap by which a sentence is known to repeat the question."""


def tokens(text: str) -> Tokens:
    """The words of a filling in normal form; two texts with the same tokens are the same filling."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("−", "-")
    plain = re.sub(r"['’]s\b|['’]", "", _THOUSANDS.sub(lambda found: re.sub(r"\D", "", found[0]), plain))
    pieces: list[str] = []
    for chunk in plain.split():
        bare = chunk.strip(_EDGE)
        pieces += [_number(bare)] if _NUMBER.fullmatch(bare) else _PIECE.findall(chunk)
    return tuple(_with_units(_without_articles(_with_digits(pieces))))


def _number(text: str) -> str:
    """A number or an address: without a plus, and without zeros that end a decimal fraction."""
    text = text.removeprefix("+")
    return text.rstrip("0").rstrip(".") if re.fullmatch(r"-?\d+\.\d+", text) else text


def _with_digits(words: Sequence[str]) -> list[str]:
    """Number words become digits: "one hundred and eighty" is 180; "one two" stays two numbers."""
    result: list[str] = []
    place = 0
    while place < len(words):
        value, end = _spelled_number(words, place)
        result.append(words[place] if value is None else str(value))
        place = end
    return result


def _spelled_number(words: Sequence[str], start: int) -> tuple[int | None, int]:
    """The number spelled from ``start`` on and where it ends; None and the next word where none begins there."""
    if words[start] not in _NUMBERS:
        return None, start + 1
    total, current, room, place = 0, _NUMBERS[words[start]], _NUMBERS[words[start]] >= 20, start + 1
    while place < len(words):
        word = words[place]
        joined = word == "and" and place + 1 < len(words) and words[place - 1] in _SCALES
        if joined and words[place + 1] in _NUMBERS:
            place += 1
            continue
        if word == "hundred":
            current, room = current * 100, True
        elif word in _SCALES:
            total, current, room = total + current * _SCALES[word], 0, True
        # After "twenty" a one, after a scale anything smaller; else a new number begins.
        elif word in _NUMBERS and room and (_NUMBERS[word] < 10 or words[place - 1] not in _TENS):
            current, room = current + _NUMBERS[word], _NUMBERS[word] >= 20
        else:
            break
        place += 1
    return total + current, place


def _without_articles(words: Sequence[str]) -> list[str]:
    kept = [
        word
        for place, word in enumerate(words)
        # A last "a" is a name: "type A".
        if word not in ("the", "an") and not (word == "a" and place + 1 < len(words))
    ]
    return kept or list(words)


def _with_units(words: Sequence[str]) -> Iterator[str]:
    before = ""
    for word in words:
        yield _SHORT_UNITS.get(word, _UNITS.get(word, word)) if before[-1:].isdigit() else _UNITS.get(word, word)
        before = word


def same(first: Tokens, second: Tokens) -> bool:
    """True for equal fillings, also where one is written together: "next-hop-self", "nexthopself"."""
    return bool(first) and (first == second or _glued(first) == _glued(second))


def _glued(words: Tokens) -> str:
    """The words written together; two numbers side by side stay apart."""
    gaps = (" " if left[-1].isdigit() and right[0].isdigit() else "" for left, right in pairwise(words))
    return "".join(part for pair in zip(words, [*gaps, ""], strict=True) for part in pair)


class Filling(NamedTuple):
    """A part of an answer that may be the filling."""

    words: Tokens
    why: str


def accepted(answers: Sequence[str], question: str) -> list[Tokens]:
    """An item's answers in normal form, also without words of the question that they repeat."""
    left, right = _around(question)
    whole = [tokens(answer) for answer in answers]
    return whole + [_within(words, left, right) for words in whole]


def whole_filling(text: str) -> Tokens:
    """The filling of an answer that is nothing else, apart from marks and a lead such as "Answer:" (strict)."""
    answer = spoken(text)
    return tokens(_LEAD.sub("", answer, count=1)) if "\n" not in answer else ()


def fillings(text: str, question: str) -> list[Filling]:
    r"""What an answer fills the gap with (lenient); the first kind found decides, in the order of the list.

    ``\boxed{}``; behind "the answer is"; the question's sentence with the gap filled; else a short reply itself, the
    only number in it that is not the question's, what follows the word before the gap in it, the only part in bold or
    quotation marks, and the first line of several. Nothing where one kind gives two fillings.
    """
    boxes, last = decisive(_OPINION.sub("", first_turn(spoken(text))))
    left, right = _around(question)
    kinds = (
        ("boxed", [[tokens(box)] for box in boxes]),
        ("behind a lead", [_heads(last[found.end() :]) for found in _LEAD.finditer(last)]),
        ("the question's sentence", [[words] for words in _filled(last, left, right)]),
    )
    for why, places in kinds:
        if len({readings[-1] for readings in places}) > 1:
            return []
        if places:
            # "It is 90 seconds by default": the number is what the lead leads to.
            found = [*places[-1], *(_lone_numbers(last, question) if why == "behind a lead" else [])]
            return [Filling(_within(words, left, right), why) for words in found if words]
    marked = {tokens(part) for part in _marked(last)}
    loose = [("the reply", words) for words in _heads(last) if len(words) <= _LONGEST]
    loose += [("the only number", words) for words in _lone_numbers(last, question)]
    loose += [("behind the word before the gap", words) for words in _briefly_filled(last, left, right)]
    loose += [("the only marked part", words) for words in marked if len(marked) == 1]
    return [Filling(_within(words, left, right), why) for why, words in loose if words]


def _marked(text: str) -> Iterator[str]:
    """The parts in bold, quotation marks or code marks; an empty one for each that is denied or one of several."""
    for found in _MARKED.finditer(text):
        denied = _NOT_ALONE.search(text[: found.start()][-_BEFORE:]) or re.match(r"\W*or\b", text[found.end() :])
        yield "" if denied else "".join(filter(None, found.groups()))


def _heads(text: str) -> list[Tokens]:
    """The first sentence or line, whole and then without an afterthought ("..., because", "... (not EGP)")."""
    first = _SENTENCE_END.split(text[:_REACH].strip(), maxsplit=1)[0]
    return list(dict.fromkeys([tokens(first), tokens(_AFTERTHOUGHT.split(first, maxsplit=1)[0])]))


def _around(question: str) -> tuple[Tokens, Tokens]:
    """What stands before and behind the gap in its sentence."""
    before, after = _GAP.split(question, maxsplit=1)
    left = tokens(_SENTENCE_END.split(before)[-1])
    # The article before the gap is dropped from an answer, where it no longer stands last.
    return left[:-1] if left[-1:] == ("a",) else left, tokens(_SENTENCE_END.split(after, maxsplit=1)[0])


def _brief(text: str) -> Tokens:
    """The words of an answer of one short sentence that compares and denies nothing; else none."""
    sentences = [part for part in _SENTENCE_END.split(text) if part.strip()]
    words = tokens(text) if len(sentences) == 1 and len(text) <= _REACH and text.count(",") < _SERIES else ()
    return words if len(words) <= _LONGEST and not _OTHERS.intersection(words) else ()


def _lone_numbers(text: str, question: str) -> list[Tokens]:
    """The only number of a short sentence, with its unit; those of the question do not count."""
    words, asked = _brief(text), set(tokens(question))
    # No part of a name: "AS65000", "x90x".
    alone = {found[0] for found in map(tokens, text.split()) if found}
    places = [n for n, word in enumerate(words) if word[-1].isdigit() and word in alone - asked]
    if len({words[place] for place in places}) != 1:
        return []
    last = places[-1] + 1
    return [words[last - 1 : last + (words[last : last + 1] != () and words[last] in _UNITS.values())]]


def _briefly_filled(text: str, left: Tokens, right: Tokens) -> list[Tokens]:
    """What follows the last word before the gap in a short sentence: "It signals a loop"."""
    words, anchor = _brief(text), left[-1:]
    if not anchor or anchor[0] in _VAGUE or words.count(anchor[0]) != 1:
        return []
    return [_within(words[words.index(anchor[0]) + 1 :], (), right)]


def _filled(text: str, left: Tokens, right: Tokens) -> Iterator[Tokens]:
    """What stands in the gap in each sentence of the answer that repeats the words around it."""
    anchor, follow = left[-_ANCHOR:], right[:_ANCHOR]
    for sentence in _SENTENCE_END.split(text):
        words = tokens(sentence)
        # Too few words before the gap to know the sentence by: then they have to begin it.
        places = range(len(words)) if len(anchor) == _ANCHOR else range(1 if anchor or follow else 0)
        starts = [n + len(anchor) for n in places if words[n : n + len(anchor)] == anchor]
        for start in starts[:1]:
            # A sentence may break off: "... runs for 180 seconds."
            ends = [n for n in range(start, len(words)) if words[n : n + len(follow)] == follow[: len(words) - n]]
            end = len(words) if not follow else next(iter(ends), start)
            if start < end:
                yield words[start:end]


def _within(words: Tokens, left: Tokens, right: Tokens) -> Tokens:
    """A filling without the words of the question that it repeats: "path hiding" in "path ____"."""
    for size in range(min(len(words) - 1, len(left)), 0, -1):
        if words[:size] == left[-size:]:
            words = words[size:]
            break
    for size in range(min(len(words) - 1, len(right)), 0, -1):
        if words[-size:] == right[:size]:
            return words[:-size]
    return words
