r"""Whether an answer does what it was told to, where a program can tell. Pure functions; every check is one of ``CHECKS``.

The method is that of IFEval (Zhou et al. 2023, arXiv:2311.07911): instructions that need no judge, read strictly, as
the answer stands, and loosely, without what a chat model puts around an answer. The items and the checks are our own.

| term | what it is |
| --- | --- |
| word | what stands between white space or dashes (–, —) and has a letter or a digit: "don't", "10.0.0.1", "well-known" |
| sentence | ends in . ! ? or … with closing quotes or brackets, before white space or the end; "Dr.", an initial, the number of a list item, and "e.g." or "U.S." before a small letter end none; a line's end ends one |
| line | one that is not blank |
| paragraph | lines without a blank line between them |
| bullet | a line that begins with -, * or • and a blank |
| element | of a list: a line without its bullet or number, or, in an answer of one line, what stands between commas or semicolons; a closing full stop does not belong to it |

| check | the answer |
| --- | --- |
| ``words``, ``sentences``, ``lines``, ``paragraphs``, ``bullets``, ``elements`` | has exactly so many of them |
| ``min_words``, ``max_words`` | has at least, at most so many words |
| ``word_length`` | has words of exactly so many letters only |
| ``numbered`` | has exactly so many lines that begin with a number and . or ), counted from 1 |
| ``json_elements`` | is a JSON array of so many elements |
| ``json_keys`` | is a JSON object with exactly these keys, in any order |
| ``includes``, ``excludes`` | has each, none of these words or phrases, in any case, as whole words |
| ``order`` | has each of these words or phrases, first occurrences in this order |
| ``listed`` | is a list of exactly these elements in this order, in any case |
| ``equals`` | is one of these texts |
| ``times``, ``letter`` | has this word or phrase, this letter, exactly so many times, in any case |
| ``starts_with``, ``ends_with`` | begins, ends with this text; case counts |
| ``without`` | has none of these characters, in any case |
| ``initials`` | has only words that begin with this letter |
| ``acrostic`` | has lines whose first letters spell this |
| ``matches`` | is matched from end to end by this regular expression |
| ``uppercase``, ``lowercase`` | has a letter, and none of the other case |
| ``alphabetical`` | is a list of two or more elements in alphabetical order, in any case |
| ``ascending``, ``descending`` | is a list of two or more numbers, each greater, smaller than the one before |

White space around the answer never counts, and thinking is not part of it. Not covered: grammar, sense and truth.
"""  # noqa: E501 (a row of a table is one line)

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from seedtune.evaluate.extraction import spoken
from seedtune.evaluate.scorers import Score
from seedtune.records import Constraint, ConstraintItem

_WORDS_APART = re.compile(r"[\s–—]+")
# Possessive, and from the first mark of a run only: a long run is passed in one go.
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]*_]*+(?=\s|$)")
_TITLE = re.compile(r"(?:\b(?:dr|mr|mrs|ms|prof)|(?<!\.)\b[a-z]|^\d+)\.$", re.IGNORECASE)
_ABBREVIATION = re.compile(r"\b(?:approx|etc|vs|[a-z](?:\.[a-z])+)\.$", re.IGNORECASE)
_MARK = re.compile(r"\s*(?:[-*•]|\d+[.)])\s+")
_BULLET = re.compile(r"\s*[-*•]\s+\S")
_NUMBERED = re.compile(r"\s*(\d+)[.)]\s+\S")
_PREAMBLE = re.compile(r"[^\n]*:[*_]*$|(?:sure|certainly|of course|okay|ok|here)\b[^\n]*$", re.IGNORECASE)
_FENCE = re.compile(r"```\w*\n(.*?)\n?```", re.DOTALL)
_QUOTED = re.compile(r"([\"'`])(.*)\1|“(.*)”|‘(.*)’", re.DOTALL)


def score_constraints(text: str, item: ConstraintItem) -> Score:
    """Score an answer by the share of the item's constraints that it fulfils.

    Strict: all of them, by the answer as it is. Lenient: all of them without a line that introduces the answer, without
    a code fence, quotation marks or bold marks around it. An answer without a letter or a digit fulfils none, also
    where a constraint only forbids something.
    """
    answer = spoken(text).strip()
    if not any(map(str.isalnum, answer)):
        why = "nothing but thinking" if text.strip() and not answer else "an empty answer"
        return Score(correct=False, strict=False, value=0.0, extracted="", why=why, parsed=False)
    readings = {
        reading: [CHECKS[each.check](reading, each.value) for each in item.constraints] for reading in _loosely(answer)
    }
    # max takes the first of equals: the answer as it is, where nothing that is left out helps.
    best = max(readings, key=lambda reading: sum(readings[reading]))
    failed = [_name(each) for each, passed in zip(item.constraints, readings[best], strict=True) if not passed]
    return Score(
        correct=not failed,
        strict=all(readings[answer]),
        value=sum(readings[best]) / len(item.constraints),
        extracted=best,
        why=f"does not fulfil {', '.join(failed)}" if failed else "fulfils all",
    )


def _name(constraint: Constraint) -> str:
    value = constraint.value
    said = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"{constraint.check} {said}".strip()


def _loosely(answer: str) -> Iterator[str]:
    """The answer as it is, then with more and more of what stands around it left out."""
    yield answer
    first, _, rest = answer.partition("\n")
    if rest.strip() and _PREAMBLE.match(first.strip()):
        yield (answer := rest.strip())
    if len(fences := _FENCE.findall(answer)) == 1 and fences[0].strip():
        yield (answer := fences[0].strip())
    yield (answer := answer.replace("**", "").strip())
    if quoted := _QUOTED.fullmatch(answer):
        yield "".join(part for part in quoted.groups()[1:] if part).strip()


def _words(text: str) -> list[str]:
    return [chunk for chunk in _WORDS_APART.split(text) if any(map(str.isalnum, chunk))]


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text.casefold()))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _sentences(text: str) -> int:
    return sum(bool(_words(sentence)) for line in _lines(text) for sentence in _split(line))


def _split(line: str) -> Iterator[str]:
    """The sentences of a line."""
    start = 0
    for end in (found.end() for found in _SENTENCE_END.finditer(line)):
        sentence, follows = line[start:end].lstrip(), line[end:].lstrip()[:1]
        abbreviated = _TITLE.search(sentence) or (_ABBREVIATION.search(sentence) and not follows.isupper())
        if not (abbreviated and follows):
            yield sentence
            start = end
    yield line[start:]


def _paragraphs(text: str) -> int:
    return sum(bool(part.strip()) for part in re.split(r"\n\s*\n", text))


def _bullets(text: str) -> int:
    return sum(bool(_BULLET.match(line)) for line in text.splitlines())


def _elements(text: str) -> list[str]:
    lines = _lines(text)
    parts = [_MARK.sub("", line, count=1) for line in lines] if len(lines) > 1 else re.split("[,;]", text)
    return [part.strip().removesuffix(".").strip() for part in parts if part.strip()]


def _places(text: str, phrase: str) -> list[int]:
    """Where a word or phrase stands, in any case and not within a longer word."""
    pattern = r"\s+".join(map(re.escape, phrase.casefold().split()))
    return [found.start() for found in re.finditer(rf"(?<!\w){pattern}(?!\w)", text.casefold())]


def _parsed(text: str) -> Any:
    """The value of a text that is JSON; None for any other."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # brackets without end
        return None


def _numbers(text: str) -> list[float]:
    """The elements of a list of numbers; nothing where one is none."""
    try:
        return [float(element) for element in _elements(text)]
    except ValueError:
        return []


def _rises(values: Sequence[Any], strictly: bool = True) -> bool:
    """Two or more values, none smaller than the one before; ``strictly``: nor the same."""
    return len(values) > 1 and all(a < b or (a == b and not strictly) for a, b in pairwise(values))


def _is_numbered(text: str, count: int) -> bool:
    found = [line[1] for line in map(_NUMBERED.match, text.splitlines()) if line]
    return found == [str(number + 1) for number in range(count)]


def _is_ordered(text: str, phrases: Sequence[str]) -> bool:
    places = [_places(text, phrase)[:1] for phrase in phrases]
    return all(places) and places == sorted(places)


def _is_object(text: str, keys: Sequence[str]) -> bool:
    value = _parsed(text)
    return isinstance(value, dict) and set(value) == set(keys)


def _is_array(text: str, count: int) -> bool:
    value = _parsed(text)
    return isinstance(value, list) and len(value) == count


def _listed(text: str, elements: Sequence[str]) -> bool:
    return [part.casefold() for part in _elements(text)] == [element.casefold() for element in elements]


def _begin_with(words: Sequence[str], letter: str) -> bool:
    return bool(words) and all(_letters(word)[:1] == letter.casefold() for word in words)


def _acrostic(text: str, word: str) -> bool:
    return "".join(_letters(line)[:1] for line in _lines(text)) == word.casefold()


CHECKS: Mapping[str, Callable[[str, Any], bool]] = {
    "words": lambda text, count: len(_words(text)) == count,
    "min_words": lambda text, count: len(_words(text)) >= count,
    "max_words": lambda text, count: len(_words(text)) <= count,
    "word_length": lambda text, length: {len(_letters(word)) for word in _words(text)} == {length},
    "sentences": lambda text, count: _sentences(text) == count,
    "lines": lambda text, count: len(_lines(text)) == count,
    "paragraphs": lambda text, count: _paragraphs(text) == count,
    "bullets": lambda text, count: _bullets(text) == count,
    "numbered": _is_numbered,
    "elements": lambda text, count: len(_elements(text)) == count,
    "json_elements": _is_array,
    "includes": lambda text, phrases: all(_places(text, phrase) for phrase in phrases),
    "excludes": lambda text, phrases: not any(_places(text, phrase) for phrase in phrases),
    "order": _is_ordered,
    "listed": _listed,
    "equals": lambda text, texts: text in texts,
    "json_keys": _is_object,
    "times": lambda text, pair: len(_places(text, pair[0])) == pair[1],
    "letter": lambda text, pair: text.casefold().count(pair[0].casefold()) == pair[1],
    "starts_with": lambda text, start: text.startswith(start),
    "ends_with": lambda text, end: text.endswith(end),
    "without": lambda text, characters: not set(characters.casefold()) & set(text.casefold()),
    "initials": lambda text, letter: _begin_with(_words(text), letter),
    "acrostic": _acrostic,
    "matches": lambda text, pattern: re.fullmatch(pattern, text) is not None,
    "uppercase": lambda text, _: text.isupper(),
    "lowercase": lambda text, _: text.islower(),
    "alphabetical": lambda text, _: _rises([part.casefold() for part in _elements(text)], strictly=False),
    "ascending": lambda text, _: _rises(_numbers(text)),
    "descending": lambda text, _: _rises([-number for number in _numbers(text)]),
}
"""The checks by name, each called with the answer and the constraint's value; what a value is says
``seedtune.records.checks.VALUE_KINDS``."""
