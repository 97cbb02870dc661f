"""Read a choice out of a written answer. Pure functions; None is "could not be parsed", never a wrong answer.

The hard cases: "**A**", "(a)", "Answer: B." and "B) because ..." are choices; "A router that ..." is no choice of A,
and "seems" is no S. An answer that names two options is no choice.
"""

import re
from collections.abc import Sequence

from seedtune.evaluate.prompts import LETTERS

_MARKS = r"[\s*_`\"'(\[{]*"
_STATED = (
    rf"\b(?i:answer|option|choice)\b{_MARKS.replace('{', '{{')}(?i:is\b|:|=)?{_MARKS.replace('{', '{{')}"
    # "The answer is A router" states no letter; "The answer is A because" does.
    r"(?:([{letters}])\b(?!['’])(?!(?<=A)\s+(?!because|since|as\b)[a-z])|([{small}])(?=[.),:\]]|\s*$))"
)
_TRUTH = re.compile(r"\b(true|false)\b", re.IGNORECASE)


def choice_letter(text: str, options: Sequence[str]) -> int | None:
    """Index of the listed option that an answer chooses, or None.

    Args:
        text: The model's answer.
        options: The options in the order they were listed.
    """
    letters = LETTERS[: len(options)]
    stated = {
        first or small.upper()
        for first, small in re.findall(_STATED.format(letters=letters, small=letters.lower()), text)
    }
    if stated:
        return letters.index(stated.pop()) if len(stated) == 1 else None
    opening = re.match(
        rf"{_MARKS}([{letters}{letters.lower()}])(?:[\s*_`\"')\]}}]*$|[.):,*\]}}]|\s*\n|\s+[-–—:])", text
    )
    if opening and not _lists_several(text, letters):
        return letters.index(opening[1].upper())
    return _by_text(text, options)


def _lists_several(text: str, letters: str) -> bool:
    """True where the answer repeats the list of options instead of choosing one."""
    return len(set(re.findall(rf"^\s*([{letters}])[.)]", text, re.MULTILINE))) > 1


def _by_text(text: str, options: Sequence[str]) -> int | None:
    """The option whose words stand in the answer, if it is the only one."""
    answer = _plain(text)
    found = [index for index, option in enumerate(options) if _plain(option) and f" {_plain(option)} " in f" {answer} "]
    return found[0] if len(found) == 1 else None


def truth_value(text: str, options: Sequence[str] = ("True", "False")) -> int | None:
    """Index of True or False that an answer states, or None where it states neither or both.

    "Not true" counts as neither: it is not among the words asked for.
    """
    found = {match.lower() for match in _TRUTH.findall(text)}
    if len(found) != 1 or re.search(r"\b(?:not|n't|isn't|untrue)\s+(?:true|false)\b", text, re.IGNORECASE):
        return None
    word = found.pop()
    return next(index for index, option in enumerate(options) if option.lower() == word)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
