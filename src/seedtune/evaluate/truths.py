"""Read True or False out of a written answer. Pure functions.

A reading without a value is "could not be parsed", never a wrong answer.
"""

import re
from collections.abc import Sequence

from seedtune.evaluate.extraction import CLOSE, MARKS, Reading, decisive, first_turn, spoken

_VALUES = {
    **dict.fromkeys(("true", "yes", "correct", "right", "accurate", "agree", "t"), True),
    **dict.fromkeys(("false", "no", "incorrect", "wrong", "untrue", "inaccurate", "disagree", "f"), False),
}
_WORDS = "true|correct|right|accurate|false|incorrect|wrong|untrue|inaccurate"
_VALUE = rf"(?P<value>{_WORDS}|yes|no|t(?!['’])|f)"
_SURE = r"(?:(?:probably|likely|definitely|absolutely|certainly|clearly|surely|simply|always|indeed|100\s*%)\s+)?"
_TRUTH_VERDICTS = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        # The opening of the answer, or a line of its own.
        rf"\A{MARKS}(?:not\s+)?{_SURE}{_VALUE}\b(?=[*_`\"'”’$)\]}}]*(?:[.,:;!]|\s*$|\s+[-–—]|\s+(?:because|since)\b))",
        rf"^{MARKS}{_VALUE}{CLOSE}[.!]?{CLOSE}\s*$",
        rf"\b(?:answer|verdict){CLOSE}\s*(?:is\b)?\s*:?{MARKS}(?:not\s+)?{_SURE}{_VALUE}\b",
        r"\b(?:statement|claim|assertion|sentence|this|that|it)(?:\s+is|['’]s|\s+isn['’]t|\s+was|\s+must\s+be)\s+"
        rf"(?:\w+\s+){{0,2}}?{MARKS}(?P<value>{_WORDS})\b(?!{CLOSE}\s+(?:that|to\s+(?:say|claim))\s+(?!that\W*$)\w)",
        r"\A(?:\w+[,.!]\s+)?I\s+(?P<value>agree|disagree)\b(?=[.,!]|\s*$|\s+(?:with\b|because\b))",
    )
)
_TRUTH_WORD = re.compile(r"\b(?P<value>true|false|untrue)\b(?!\s+to\b)", re.IGNORECASE)
# "not true", "isn't a true ...", "not **true**"; the denial ends with its clause.
_NOT = re.compile(
    r"(?:(?:\b(?:not|cannot|never)|n['’]t)((?:[^\w.,;:!?\n]+\w+){0,4})"
    r"|\b(?:nothing|none|no\s+part)\b[^.,;:!?\n]*|\bopposite\s+is|\bnot\s+the\s+case\b[^.,;:!?\n]*"
    r")[^\w.,;:!?]+$",
    re.IGNORECASE,
)
_WRONG_TO_SAY = re.compile(
    r"\b(?:wrong|false|incorrect)\s+(?:that|to\s+(?:say|claim|think))\b[^.,;:!?\n]*\s$", re.IGNORECASE
)
_UTTERLY = re.compile(r"(?:\bnot|n['’]t)\s+be\s+(?:more|any\s+more)\s+$", re.IGNORECASE)
""""It could not be more true" denies nothing."""
_HEDGE = re.compile(
    r"\b(?:necessarily|entirely|completely|fully|strictly|quite|partly|partially|mostly|half|sometimes|usually|"
    r"possibly|whether|if|neither|nor|sure|say|know|both|only|almost|nearly|not\s+(?:always|probably))\b[^.,;:!?\n]*$"
    r"|n['’]t\s+always\s+$",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    rf"{CLOSE},?\s+(?:(?:but\s+)?only\s+(?:if|when|where|for|in)|in\s+part|in\s+some|to\s+(?:some|an?)\s+(?:\w+\s+)?extent|if\b"
    r"|unless|for\s+some)",
    re.IGNORECASE,
)
"""What behind a word makes it true of some cases alone."""
_CONTRARY = re.compile(r"\bwould(?:\s+only)?\s+(?:be|have\s+been)\s+(?:\w+\s+)?$", re.IGNORECASE)
"""What before a word makes it a case that is not given, where a condition follows."""
_TAKEN_BACK = re.compile(r"\b(?:wait|actually|correction|sorry|on\s+reflection)\b|\bno\s*[.,:!–—-]", re.IGNORECASE)
_CLAUSE = 80
"""Characters before a word in which its denial is looked for."""


def truth_value(text: str, options: Sequence[str] = ("True", "False")) -> int | None:
    """Index of True or False that an answer states, or None where it states neither or both; see :func:`read_truth`."""
    return read_truth(text, options).choice


def read_truth(text: str, options: Sequence[str] = ("True", "False")) -> Reading:
    """What an answer says of a statement (lenient).

    "Yes", "correct" and "wrong" count where they open the answer or are said of the statement; a plain denial turns a
    word round ("not true", "the opposite is true" and "would be true if" are false), a hedge ("not necessarily true",
    "partly true", "true only if") leaves no value. Of two values that one counts with which the other is taken back.

    Args:
        text: The model's answer.
        options: ``True`` and ``False`` in either order, in any case.
    """
    answer = first_turn(spoken(text))
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
    """The value that all matches agree on, or that of the last where the answer takes back what it said before."""
    found = sorted(found, key=lambda match: match.start("value"))
    values = [_truth_of(match) for match in found]
    said = " and ".join(sorted({match["value"] for match in found}))
    if None in values:
        return Reading(None, said, "hedged")
    others = [match for match, value in zip(found, values, strict=True) if value != values[-1]]
    if others and not _TAKEN_BACK.search(found[-1].string[others[-1].end("value") : found[-1].start("value")]):
        return Reading(None, said, "both are said")
    return Reading(_index(str(values[-1]), options), said, how or ("taken back" if others else "the only value said"))


def _truth_of(match: re.Match[str]) -> bool | None:
    """The value of a matched word in its clause; None where it is hedged."""
    start, after = match.start("value"), match.string[match.end("value") :][:_CLAUSE]
    before = match.string[max(0, start - _CLAUSE) : start]
    value = _VALUES[match["value"].lower()]
    if _WRONG_TO_SAY.search(before):
        return not value
    conditional = bool(_CONDITION.match(after))
    if _HEDGE.search(before) or (conditional and not _CONTRARY.search(before)):
        return None
    if _UTTERLY.search(before):
        return value
    return value != (conditional or bool(_NOT.search(before)))


def _index(word: str, options: Sequence[str]) -> int:
    return next(index for index, option in enumerate(options) if option.lower() == word.lower())
