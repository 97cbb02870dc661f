"""How many of the key points of an open question an answer mentions. Pure functions.

This is lexical coverage, no more: a point counts as mentioned where a sentence of the answer, or two neighbouring ones,
hold at least half of its content words, or half of those of the reference sentence that is nearest to it (its second
wording). Words are compared without their usual English endings. The words of the question are free and do not count,
so an echo of the question covers nothing; a point that is denied is not covered, nor is one in a bare list of words.

Only the first 200 words of an answer are read, or three times as many as the reference has where that is more, so that
an answer to every question is none to this one.

What it cannot see: a paraphrase without common words, a synonym, a wrong statement in the right words. It knows English
endings, denials and function words; other languages with blanks between words are compared word for word.

On the ``dev`` items of the domain ``bgp`` the reference answers cover 94% of their points (55% by the points' own
wording alone), the reference answers of other items 2% on average and at most half of an item's, and the key points
denied one by one 2%. An LLM judge (:mod:`seedtune.evaluate.judging`) is the finer instrument.
"""

import re
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from seedtune.evaluate.extraction import first_turn, spoken
from seedtune.records import OpenItem

COVERED = 0.5
"""Share of a wording's content words from which on a point counts as mentioned."""
_CLOSE = 0.75
"""The share where the answer denies the point's own wording but agrees with the reference."""
_FEWEST = 2
"""Content words that are needed at least: one alone says nothing."""
_WINDOW = 2
"""Neighbouring sentences that may say a point together."""
_PROSE = 0.15
"""Share of function words below which a text is a list of words; English prose has about half."""
_LIST_FROM = 12
"""Words from which on that share is looked at."""

_LONGEST = 200
"""Words of an answer that are always read, about what the usual ``open_tokens`` give room for."""
_TIMES = 3
"""How often as long as the reference an answer is read where that is more."""

_WORD = re.compile(r"[^\W_]+")
_FUNCTION_WORDS = frozenset(
    _WORD.findall("""
    a about after all also an and any are as at be because been before being between both but by can could did do
    does during each either ever every few for from had has have he her here his how i if in into is it its just
    may me might more most much must my no nor not of off on one only onto or other our out over own same shall
    she should since so some such than that the their them then there these they this those through to too under
    until up us very was we were what when where whether which while who whom whose why will with within without
    would you your
    """)
)
_NEGATIONS = re.compile(
    r"\b(?:not|no|never|none|nothing|neither|nor|cannot|without)\b|n['’]t\b"
    r"|\b(?:false|untrue|wrong|incorrect|myth)\s+that\b",
    re.IGNORECASE,
)
# The longest of a kind first.
_ENDINGS = _WORD.findall("ations ation ments ment ions ings ing ers ied ies ion als al ed es er ly s e n")
_SHORTEST_STEM = 4
_SENTENCE_END = re.compile(r"(?<=[.!?;:])\s+|\n+")


class Coverage(NamedTuple):
    """Which key points an answer mentions."""

    covered: tuple[bool, ...]
    """For each key point, in order."""
    why: str
    """What is missing, or why nothing counts."""

    @property
    def share(self) -> float:
        """Covered points of all, 0..1."""
        return sum(self.covered) / len(self.covered)


def coverage(text: str, item: OpenItem) -> Coverage:
    """Which of an item's key points an answer mentions."""
    answer = _beginning(first_turn(spoken(text)), max(_LONGEST, _TIMES * len(_WORD.findall(item.answer))))
    nothing = (False,) * len(item.key_points)
    if not _WORD.search(answer):
        return Coverage(nothing, "nothing but thinking" if text.strip() else "an empty answer")
    # Where the reference has no English function words, the domain is in another language.
    if _is_list(answer) and not _is_list(item.answer):
        return Coverage(nothing, "a list of words, not sentences")
    question, sentences = stems(item.question), _sentences(answer)
    reference = _sentences(item.answer)
    covered = tuple(_is_covered(_sentence(point), sentences, reference, question) for point in item.key_points)
    missing = [point for point, found in zip(item.key_points, covered, strict=True) if not found]
    return Coverage(covered, f"missing: {' | '.join(missing)}" if missing else "every key point is mentioned")


def _beginning(text: str, most: int) -> str:
    """A text up to its ``most``-th word: one that goes on and on comes across every point."""
    ends = [word.end() for word in islice(_WORD.finditer(text), most)]
    return text[: ends[-1]] if len(ends) == most else text


def _is_list(text: str) -> bool:
    words = _WORD.findall(text.casefold())
    return len(words) >= _LIST_FROM and sum(word in _FUNCTION_WORDS for word in words) < _PROSE * len(words)


def stems(text: str) -> frozenset[str]:
    """The content words of a text, without their usual English endings."""
    return frozenset(_stem(word) for word in _WORD.findall(text.casefold()) if word not in _FUNCTION_WORDS)


def _stem(word: str) -> str:
    if word.isalpha():
        for ending in _ENDINGS:
            if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
                return word[: -len(ending)]
    return word


class _Sentence(NamedTuple):
    """The content words of a sentence, and whether it denies (two denials make none)."""

    words: frozenset[str]
    denies: bool


def _sentences(text: str) -> list[_Sentence]:
    return [_sentence(part) for part in _SENTENCE_END.split(text) if part.strip()]


def _sentence(text: str) -> _Sentence:
    return _Sentence(stems(text), len(_NEGATIONS.findall(text)) % 2 == 1)


def _is_covered(
    point: _Sentence, sentences: list[_Sentence], reference: Iterable[_Sentence], question: frozenset[str]
) -> bool:
    """Whether the answer says the point in its own wording or in that of the reference.

    Where it denies the point's own wording, as in "the limit must not apply" for "the limit needs an exception", it
    has to come close to the reference.
    """
    said = _says(sentences, point, question, COVERED)
    if said:
        return True
    nearest = max(reference, key=lambda sentence: len(sentence.words & point.words - question))
    related = nearest.words & point.words - question
    return bool(related and _says(sentences, nearest, question, COVERED if said is None else _CLOSE))


def _says(sentences: list[_Sentence], wording: _Sentence, question: frozenset[str], share: float) -> bool | None:
    """Whether some window of the answer says (True) or else denies (False) the wording; None where none is near it."""
    new = wording.words - question
    sought = new if len(new) >= _FEWEST else wording.words
    if not sought:
        return None
    enough = max(share * len(sought), min(_FEWEST, len(sought)))
    # What one sentence says by itself is not looked for across two.
    for size in range(1, _WINDOW + 1):
        verdicts: list[bool] = []
        for start in range(len(sentences) - size + 1):
            window = sentences[start : start + size]
            found = frozenset[str]().union(*(sentence.words & sought for sentence in window))
            if len(found) >= enough and (found & new or not new):
                main = max(window, key=lambda sentence: len(sentence.words & sought))
                verdicts.append(main.denies == wording.denies)
        if verdicts:
            return any(verdicts)
    return None
