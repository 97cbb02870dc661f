r"""Read a choice, or True or False, out of a written answer. Pure functions.

A reading without a choice is "could not be parsed", never a wrong answer. What counts most decides alone: a boxed
letter, else what stands behind the last "final answer", else a verdict ("B", "Answer: B", "B is correct"), else an
option that is merely mentioned, else the text of an option. Where two options are named at the same level, or the only
one is denied, there is no choice.

The hard cases: "**A**", "(a)", "Answer: B.", "\boxed{D}" and "B) because ..." are choices; "A router that ..." is no
choice of A, and "seems" is no S. Thinking is not an answer: what stands in a think block, or in one that was cut off,
is not read.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from seedtune.evaluate.prompts import LETTERS

# Possessive: a long run of blanks or marks is passed in one go.
MARKS = r"[\s*_`\"'“”‘$(\[{]*+"
CLOSE = r"[*_`\"'“”’$)\]}]*+"
_BE = r"(?i:is\b|would\s+be\b|should\s+be\b|must\s+be\b)"
_LEAD = (
    rf"(?:\b(?i:answer)\b{MARKS}{_BE}?+{MARKS}[:=–—-]?+{MARKS}"
    rf"|\b(?i:option|choice|letter)\b{MARKS}(?:{_BE}{MARKS}[:=]?+|[:=]){MARKS}"
    rf"|(?:^|[.!;:\n])(?:{MARKS}(?i:so|thus|hence|therefore)\b,?)?{MARKS}"
    rf"(?i:it\s+is|it['’]s|i\s+(?:choose|pick|select|(?:would\s+)?go\s+(?:with|for)))\b{MARKS})"
    rf"(?:(?i:the\s+)?+(?i:option|choice|letter)\b{MARKS})?+"
)
"""What goes before a verdict: "The answer is:", "The correct option is", "I choose"."""
_MENTION = rf"\b(?i:option|choice)\b{MARKS}"
_AND = rf"{CLOSE}\s*(?:[,/&]|\b(?:and|or)\b){MARKS}(?:/?(?i:and|or|answer|option|choice)\b{MARKS})*"
_REASON = re.compile(r",?\s+(?:because|since)\b")
_THINKING = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_BOX = re.compile(r"\\boxed\{([^{}]*)\}")
_LATEX_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\{([^{}]*)\}")
_FINAL = re.compile(r"\bfinal\s+answer\b", re.IGNORECASE)


class Reading(NamedTuple):
    """What was found in an answer."""

    choice: int | None
    """Index into the options; None where the text could not be parsed."""
    extracted: str = ""
    """The part that decided."""
    why: str = ""
    """How it was found, or why nothing was."""


def spoken(text: str) -> str:
    """An answer without its thinking.

    Whatever precedes a closing tag without an opening one is thinking too (chat templates may open the block in the
    prompt), and an opened block that never closes was cut off: nothing behind it is an answer.
    """
    parts: list[str] = []
    depth = place = 0
    for tag in _THINKING.finditer(text):
        if not depth:
            parts.append(text[place : tag.start()])
        if tag[1] and not depth:
            parts.clear()
        depth = max(0, depth - 1) if tag[1] else depth + 1
        place = tag.end()
    if not depth:
        parts.append(text[place:])
    return "\n".join(part.strip() for part in parts if part.strip())


def decisive(text: str) -> tuple[list[str], str]:
    r"""The contents of each ``\boxed{}``, and the text from the last "final answer" on, or else the whole."""
    plain = _LATEX_TEXT.sub(r"\1", text)
    boxes = [box.strip() for box in _BOX.findall(plain) if box.strip()]
    *_, start = [0, *(found.start() for found in _FINAL.finditer(plain))]
    return boxes, plain[start:]


def choice_letter(text: str, options: Sequence[str]) -> int | None:
    """Index of the listed option that an answer chooses, or None; see :func:`read_choice`."""
    return read_choice(text, options).choice


def read_choice(text: str, options: Sequence[str]) -> Reading:
    """The listed option that an answer chooses, wherever the answer says so (lenient).

    Args:
        text: The model's answer.
        options: The options in the order they were listed.
    """
    answer = spoken(text)
    if not answer:
        return Reading(None, why="nothing but thinking" if text.strip() else "an empty answer")
    boxes, last = decisive(answer)
    if boxes:
        return _agreed((_read(box, options) for box in boxes), "boxed")
    return _read(last, options)


def chosen_strictly(text: str, options: Sequence[str]) -> int | None:
    """Index of the option whose letter is the whole answer, with or without marks and "The answer is"; else None."""
    letters = LETTERS[: len(options)]
    whole = re.fullmatch(
        rf"{MARKS}(?:(?i:the\s+)?(?i:correct\s+)?(?i:answer){CLOSE}(?:\s+(?i:is))?\s*:?{MARKS})?"
        rf"([{letters}{letters.lower()}]){CLOSE}[.)]?{CLOSE}\s*",
        spoken(text),
    )
    return letters.index(whole[1].upper()) if whole else None


def _agreed(readings: Iterable[Reading], how: str) -> Reading:
    """The one choice of all readings."""
    found = list(readings)
    choices = {reading.choice for reading in found}
    if len(choices) == 1 and None not in choices:
        return found[-1]._replace(why=how)
    said = " and ".join(reading.extracted for reading in found if reading.extracted)
    return Reading(None, said, f"{how}: no one option")


def _read(text: str, options: Sequence[str]) -> Reading:
    letters = LETTERS[: len(options)]
    whole = _whole(text, options)
    if whole is not None:
        return Reading(whole, options[whole], "the text of the option")
    opening = _opening(text, letters)
    listing = len(opening) > 1
    stated = _stated(text, letters)
    # A model may repeat the list of options before it answers.
    verdicts = stated if listing and stated else stated | opening
    for named, how in ((verdicts, "a verdict"), (_mentioned(text, letters), "the only option mentioned")):
        if len(named) > 1:
            return Reading(None, ", ".join(sorted(named)), "several options are named")
        if named:
            letter = named.pop()
            return Reading(letters.index(letter), letter, how)
    return _by_text(text, options)


def _letter(letters: str) -> str:
    """A pattern of one group: a letter that stands for an option."""
    # "The answer is A router" and "I prefer" hold an article and a pronoun; "A because" and "I is" do not.
    a_word = r"(?!(?<=[AI])[ \t]+(?!(?:because|since|as|is|and|or)\b)\w)(?!(?<=I),)"
    denied = rf"(?!{CLOSE}\s+(?:is\s+(?:not|wrong|incorrect|false)|isn['’]t)\b)"
    return rf"([{letters}]\b(?!['’]){a_word}{denied}|[{letters.lower()}](?=[.),:*\]]|\s*$))"


def _stated(text: str, letters: str) -> set[str]:
    """The letters of "the answer is B", "I choose B" and "B is correct", each with one that "and" or a comma adds."""
    letter = _letter(letters)
    pairs = re.findall(rf"{_LEAD}{letter}(?:{_AND}{letter})?", text)
    praised = re.findall(rf"\b([{letters}])\b{CLOSE}\s+is\s+(?:the\s+)?(?:correct|right|best)\b", text)
    return {found.upper() for pair in [*pairs, praised] for found in pair if found}


def _mentioned(text: str, letters: str) -> set[str]:
    """The letters behind "option" or "choice"."""
    letter = _letter(letters)
    pairs = re.findall(rf"{_MENTION}{letter}(?:{_AND}{letter})?", text)
    return {found.upper() for pair in pairs for found in pair if found}


def _opening(text: str, letters: str) -> set[str]:
    """The letter that the answer begins with, and others where the answer goes on to list the options."""
    either = letters + letters.lower()
    opening = re.match(
        rf"{MARKS}([{either}])(?!(?<=[Ii]),)(?=[\s*_`\"'”’$)\]}}]*$|[.):,*\]}}]|\s*\n|\s+[-–—:]"
        rf"|\s+(?:because|since|is\s+(?:the\s+)?(?:correct|right|best))\b)(?:{_AND}{_letter(letters)})?",
        text,
    )
    if not opening:
        return set()
    listed = re.findall(rf"^{MARKS}([{either}])[*_`]*+(?:[.):]|[ \t]*$)", text, re.MULTILINE)
    # Within a line only the next letter shows a list: "B. It comes from A. Then ..." names a router.
    in_line = "".join(re.findall(rf"\b([{either}])[.):]\s+\w", text)[:2]).upper()
    if in_line.startswith(opening[1].upper()) and in_line in letters:
        listed += in_line
    return {found.upper() for found in (*opening.groups(), *listed) if found}


def _whole(text: str, options: Sequence[str]) -> int | None:
    """The option that is the answer word for word, or else without its signs; a lead and a reason may go with it."""
    said = [text, re.split(_LEAD, text, maxsplit=1)[-1]]
    said += [_REASON.split(part, maxsplit=1)[0] for part in said]
    for form in (_bare, _plain):
        forms = {form(part) for part in said}
        # A letter alone is the one asked for, even where it is another option's text.
        found = [n for n, option in enumerate(options) if form(option) in forms and form(option).upper() not in LETTERS]
        if len(found) == 1:
            return found[0]
    return None


def _by_text(text: str, options: Sequence[str]) -> Reading:
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
    if len(found) != 1:
        return Reading(None, why="several options are named" if found else "no option is named")
    if _is_denied(answer, re.escape(_plain(options[found[0]]))):
        return Reading(None, options[found[0]], "the only option named is denied")
    return Reading(found[0], options[found[0]], "the only option whose words it holds")


def _is_denied(answer: str, words: str) -> bool:
    """True for "not flour" and for "flour is wrong"."""
    return bool(
        re.search(rf" (?:not|never|isn t)(?: the| an?)? {words} | {words} is(?:n t| not| wrong| false) ", answer)
    )


_VALUES = {
    **dict.fromkeys(("true", "yes", "correct", "right"), True),
    **dict.fromkeys(("false", "no", "incorrect", "wrong", "untrue"), False),
}
_VALUE = r"(?P<value>true|yes|correct|right|false|no|incorrect|wrong|untrue)"
_TRUTH_VERDICTS = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        # The opening of the answer, or a line of its own.
        rf"\A{MARKS}(?:not\s+)?{_VALUE}\b(?=[*_`\"'”’$)\]}}]*(?:[.,:;!]|\s*$|\s+[-–—]|\s+(?:because|since)\b))",
        rf"^{MARKS}{_VALUE}{CLOSE}[.!]?{CLOSE}\s*$",
        rf"\b(?:answer|verdict){CLOSE}\s*(?:is\b)?\s*:?{MARKS}(?:not\s+)?{_VALUE}\b",
        r"\b(?:statement|claim|assertion|sentence|this|that|it)(?:\s+is|['’]s|\s+isn['’]t|\s+was|\s+must\s+be)\s+"
        rf"(?:\w+\s+){{0,2}}?{MARKS}(?P<value>true|correct|right|false|incorrect|wrong|untrue)\b(?!{CLOSE}\s+that\b)",
    )
)
_TRUTH_WORD = re.compile(r"\b(?P<value>true|false|untrue)\b", re.IGNORECASE)
# "not true", "isn't a true ...", "not **true**"; the denial ends with its clause.
_NOT = re.compile(r"(?:\b(?:not|cannot|never)|n['’]t)((?:[^\w.,;:!?\n]+\w+){0,4})[^\w.,;:!?]+$", re.IGNORECASE)
_HEDGE = re.compile(
    r"\b(?:necessarily|always|entirely|completely|fully|strictly|quite|partly|partially|mostly|half|sometimes|usually|"
    r"possibly|probably|whether|if|neither|nor|sure|say|know|both)\b[^.,;:!?\n]*$",
    re.IGNORECASE,
)
_CLAUSE = 80
"""Characters before a word in which its denial is looked for."""


def truth_value(text: str, options: Sequence[str] = ("True", "False")) -> int | None:
    """Index of True or False that an answer states, or None where it states neither or both; see :func:`read_truth`."""
    return read_truth(text, options).choice


def read_truth(text: str, options: Sequence[str] = ("True", "False")) -> Reading:
    """What an answer says of a statement (lenient).

    "Yes", "correct" and "wrong" count where they open the answer or are said of the statement; a plain denial turns a
    word round ("not true" is false), a hedge ("not necessarily true", "partly true") leaves no value.

    Args:
        text: The model's answer.
        options: ``True`` and ``False`` in either order, in any case.
    """
    answer = spoken(text)
    if not answer:
        return Reading(None, why="nothing but thinking" if text.strip() else "an empty answer")
    boxes, last = decisive(answer)
    for place, how in ((boxes, "boxed"), ([last], "")):
        for patterns in (_TRUTH_VERDICTS, (_TRUTH_WORD,)):
            found = [match for part in place for pattern in patterns for match in pattern.finditer(part)]
            if found:
                return _one_truth(found, options, how)
    return Reading(None, why="neither True nor False is said")


def stated_strictly(text: str, options: Sequence[str] = ("True", "False")) -> int | None:
    """Index of the word True or False that is the whole answer, with or without marks and "Answer:"; else None."""
    whole = re.fullmatch(
        rf"{MARKS}(?:(?:the\s+)?answer{CLOSE}(?:\s+is)?\s*:?{MARKS})?(true|false){CLOSE}[.!]?{CLOSE}\s*",
        spoken(text),
        re.IGNORECASE,
    )
    return _index(whole[1], options) if whole else None


def _one_truth(found: Sequence[re.Match[str]], options: Sequence[str], how: str) -> Reading:
    """The value that all matches agree on."""
    values = {_truth_of(match) for match in found}
    said = " and ".join(sorted({match["value"] for match in found}))
    if None in values:
        return Reading(None, said, "hedged")
    if len(values) > 1:
        return Reading(None, said, "both are said")
    return Reading(_index(str(values.pop()), options), said, how or "the only value said")


def _truth_of(match: re.Match[str]) -> bool | None:
    """The value of a matched word in its clause; None where it is hedged."""
    start = match.start("value")
    before = match.string[max(0, start - _CLAUSE) : start]
    if _HEDGE.search(before):
        return None
    value = _VALUES[match["value"].lower()]
    return not value if _NOT.search(before) else value


def _index(word: str, options: Sequence[str]) -> int:
    return next(index for index, option in enumerate(options) if option.lower() == word.lower())


def _bare(text: str) -> str:
    return text.strip(" \t\n`")


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
