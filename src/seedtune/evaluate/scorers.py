"""Read a choice out of a written answer. Pure functions; None is "could not be parsed", never a wrong answer.

The hard cases: "**A**", "(a)", "Answer: B.", "B is correct" and "B) because ..." are choices; "A router that ..." is no
choice of A, and "seems" is no S. An answer that names two options, or denies the only one it names, is no choice.
"""

import re
from collections.abc import Sequence

from seedtune.evaluate.prompts import LETTERS

# Possessive: a long run of blanks or marks is passed in one go.
_MARKS = r"[\s*_`\"'(\[{]*+"
_CLOSE = r"[*_`\"')\]}]*+"
_LEAD = (
    rf"(?:\b(?i:answer|option|choice)\b|^{_MARKS}(?i:it\s+is|it['’]s|i\s+(?:choose|pick|select))\b)"
    rf"{_MARKS}(?i:is\b)?+{_MARKS}[:=]?+{_MARKS}"
)
"""What goes before the choice: "The answer is:", "Option", "I choose"."""
_AND = rf"{_CLOSE}\s*(?:[,/&]|\b(?:and|or)\b){_MARKS}(?:/?(?i:and|or|answer|option|choice)\b{_MARKS})*"
_TRUTH = re.compile(r"\b(true|false)\b", re.IGNORECASE)
# "not true", "isn't a true ...", "not necessarily **true**"; the denial ends with its clause.
_NOT_TRUTH = re.compile(
    r"(?:\b(?:not|cannot|never)|n['’]t)(?:[^\w.,;:!?]+\w+){0,2}[^\w.,;:!?]+(?:true|false)\b", re.IGNORECASE
)


def choice_letter(text: str, options: Sequence[str]) -> int | None:
    """Index of the listed option that an answer chooses, or None.

    Args:
        text: The model's answer.
        options: The options in the order they were listed.
    """
    letters = LETTERS[: len(options)]
    whole = _whole(text, options)
    if whole is not None:
        return whole
    named = _stated(text, letters) or _opening(text, letters)
    if named:
        return letters.index(named.pop()) if len(named) == 1 else None
    return _by_text(text, options)


def _letter(letters: str) -> str:
    """A pattern of one group: a letter that stands for an option."""
    # "The answer is A router" and "I prefer" hold an article and a pronoun; "A because" and "I is" do not.
    a_word = r"(?!(?<=[AI])[ \t]+(?!(?:because|since|as|is|and|or)\b)\w)(?!(?<=I),)"
    denied = rf"(?!{_CLOSE}\s+(?:is\s+(?:not|wrong|incorrect|false)|isn['’]t)\b)"
    return rf"([{letters}]\b(?!['’]){a_word}{denied}|[{letters.lower()}](?=[.),:*\]]|\s*$))"


def _stated(text: str, letters: str) -> set[str]:
    """The letters behind "answer", "option", "I choose" and the like, each with one that "and" or a comma adds."""
    letter = _letter(letters)
    return {
        found.upper() for pair in re.findall(rf"{_LEAD}{letter}(?:{_AND}{letter})?", text) for found in pair if found
    }


def _opening(text: str, letters: str) -> set[str]:
    """The letter that the answer begins with, and others where the answer goes on to list the options."""
    either = letters + letters.lower()
    opening = re.match(
        rf"{_MARKS}([{either}])(?!(?<=[Ii]),)(?=[\s*_`\"')\]}}]*$|[.):,*\]}}]|\s*\n|\s+[-–—:]"
        rf"|\s+(?:because|since|is\s+(?:the\s+)?(?:correct|right|best))\b)(?:{_AND}{_letter(letters)})?",
        text,
    )
    if not opening:
        return set()
    listed = re.findall(rf"^{_MARKS}([{either}])[*_`]*+(?:[.):]|[ \t]*$)", text, re.MULTILINE)
    # Within a line only the next letter shows a list: "B. It comes from A. Then ..." names a router.
    in_line = "".join(re.findall(rf"\b([{either}])[.):]\s+\w", text)[:2]).upper()
    if in_line.startswith(opening[1].upper()) and in_line in letters:
        listed += in_line
    return {found.upper() for found in (*opening.groups(), *listed) if found}


def _whole(text: str, options: Sequence[str]) -> int | None:
    """The option that is the answer word for word, or else without its signs, with or without a lead."""
    behind_lead = re.split(_LEAD, text, maxsplit=1)[-1]
    for form in (_bare, _plain):
        said = {form(text), form(behind_lead)}
        # A letter alone is the one asked for, even where it is another option's text.
        found = [n for n, option in enumerate(options) if form(option) in said and form(option).upper() not in LETTERS]
        if len(found) == 1:
            return found[0]
    return None


def _by_text(text: str, options: Sequence[str]) -> int | None:
    """The option whose words stand in the answer, if it is the only one and is not denied."""
    answer = f" {_plain(text)} "
    named = {words for option in options if _plain(option) and (words := f" {_plain(option)} ") in answer}
    # An option that only stands within a longer one was not named.
    named = {
        words
        for words in named
        if all(words not in longer or words in answer.replace(longer, " | ") for longer in named - {words})
    }
    found = [index for index, option in enumerate(options) if f" {_plain(option)} " in named]
    if len(found) != 1 or _is_denied(answer, re.escape(_plain(options[found[0]]))):
        return None
    return found[0]


def _is_denied(answer: str, words: str) -> bool:
    """True for "not flour" and for "flour is wrong"."""
    return bool(
        re.search(rf" (?:not|never|isn t)(?: the| an?)? {words} | {words} is(?:n t| not| wrong| false) ", answer)
    )


def truth_value(text: str, options: Sequence[str] = ("True", "False")) -> int | None:
    """Index of True or False that an answer states, or None where it states neither or both.

    "Not true" counts as neither: it is not among the words asked for.
    """
    found = {match.lower() for match in _TRUTH.findall(text)}
    if len(found) != 1 or _NOT_TRUTH.search(text):
        return None
    word = found.pop()
    return next(index for index, option in enumerate(options) if option.lower() == word)


def _bare(text: str) -> str:
    return text.strip(" \t\n`")


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
