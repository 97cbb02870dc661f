r"""Read which lettered option a written answer chooses. Pure functions.

A reading without a choice is "could not be parsed", never a wrong answer. What counts most decides alone: a boxed
letter, else what stands behind the last "final answer", else a verdict, else a verdict in doubt ("maybe B", "A seems
right"), else an option that is merely mentioned, else the text of an option. A verdict is the letter that opens the
answer or ends it on a line of its own, or one that a sentence gives ("Answer: B", "I'd go with B", "B is correct").
Where two options are named at the same level, or the only one is denied, there is no choice, unless the answer takes
the first one back ("Wait, no: B"). What a model writes behind a new "Question:" is no part of its answer.

The hard cases: "**A**", "(a)", "Answer: B.", "\boxed{D}" and "B) because ..." are choices; "A router that ..." is no
choice of A, "seems" is no S, and "every option but D" is no D.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from seedtune.evaluate.extraction import CLOSE, MARKS, Reading, decisive, first_turn, spoken
from seedtune.evaluate.prompts import LETTERS

# Letters of words only: in Chinese and Japanese no blank stands before an option's letter.
_WORD = "0-9A-Za-z\u00c0-\u024f\u0400-\u04ff"
_WINDOW = 120
"""Characters before a letter in which the words that make it a verdict are looked for."""
_HALF_WIDTH = str.maketrans("：（）。，！？", ":().,!?")

_ADVERB = (
    r"(?:(?!hardly|scarcely|barely|unlikely|only)\w+ly|then|thus|therefore|hence|indeed|of\s+course|in\s+fact|most|just"
    r"|still|now|here|perhaps|maybe|surely|so|in\s+my\s+opinion|in\s+the\s+end|i\s+(?:think|believe|guess))"
)
_ADVERBS = rf"(?:\s*,?\s*\b{_ADVERB}\b,?)*"
_BE = (
    r"(?:\b(?:is|was|reads|ist|lautet|es|est)\b|\b(?:would|should|must|could|might|may|can|will|has\s+to|have\s+to|seems\s+to"
    r"|appears\s+to)\s+be\b|['’]s\b|[éè](?=\s)|[是为為])"
)
_SIGN = r"(?:[:=–—-]*>|[:=→⇒–—-]+)"
_OPTION = rf"{MARKS}(?:the\s+)?(?:(?:answer|option|choice|letter)\b)?{MARKS}"
_ABOUT = (
    r"(?:\s*,?\s+(?:(?:to|for|of|in|on|among)\s+(?:\w+\s+){0,4}?(?:questions?|problem|case|these|those|options|\d+)|here|correcta|correcte"
    r"|corretta|correta))?"
)
_START = r"(?:\A|[.!?;:,\n…–—])[\s*_\"'“(>]*"
_OPENER = (
    r"(?:so|thus|hence|therefore|then|consequently|clearly|obviously|definitely|certainly|surely|undoubtedly|probably|possibly|maybe"
    r"|perhaps|(?:most\s+)?likely|yes|yeah|no|nope|sure|ok|okay|well|of\s+course|right|correct|overall|finally|actually"
    r"|wait|correction|oops|sorry|rather|instead|(?:in\s+|to\s+|my\s+)?(?:conclusion|conclude|short|summary|guess)|i\s+(?:think|believe|guess|suppose))"
)
_DECIDING = (
    r"(?:choose|chose|chosen|pick(?:ed)?|select(?:ed)?|(?:go|going)\s+(?:with|for)|vote\s+for|opt\s+for|settle\s+on"
    r"|stick\s+with|lean\s+towards?|vote|mean|meant|say|guess|answer|bet\s+on|conclude|think|believe)(?:\s+that)?(?:\s+on)?"
)

_NAMED_AS_ANSWER = re.compile(
    rf"(?:\b(?:answer|ans\.?|antwort|respuesta|r[eé]ponse|risposta|resposta|ответ)(?!\w)|答案|答え){CLOSE}{_ABOUT}"
    rf"{_ADVERBS}{MARKS}{_BE}?{_ADVERBS}{CLOSE}\s*{_SIGN}?{_OPTION}$",
    re.IGNORECASE,
)
"""What goes before a verdict, whatever follows it: "The answer to this question is clearly:"."""
_NAMED_AS_CHOICE = re.compile(
    rf"(?:\b(?:option|choice|letter|pick|guess|selection|solution|verdict|conclusion|correct|(?:correct|right|best)\s+one)\b{CLOSE}"
    rf"{_ABOUT}(?:{_ADVERBS}\s*{_BE}{_ADVERBS}\s*{_SIGN}?|\s*{_SIGN})|(?:=>|->|→|⇒|✅|✔)){_OPTION}$",
    re.IGNORECASE,
)
_SAID = re.compile(
    rf"(?:{_START}(?:{_OPENER}\b[,.:!…]*\s*)+"
    r"|\b(?:so|thus|hence|therefore)\b,?"
    r"|(?:\bnot\b|n['’]t\b)[^.!?;:\n]*,?\s+but(?:\s+rather)?"
    r"|\b(?:leaves|leaving|left\s+with)(?:\s+(?:us|me|only|with|just))*"
    rf"|(?:{_START}(?:{_OPENER}\b,?\s*)*|\b(?:so|thus|hence|therefore|that|think|believe|guess|say|suppose|but|sure)\s+)"
    rf"(?:(?:it|that|this)\s*{_BE}|(?:must|could|should|would|might|may|has\s+to|got\s+to)\s+be\b){_ADVERBS}\s*{_SIGN}?"
    r"|(?:\b(?:i|we|you|let['’]s|let\s+us|let\s+me)(?:['’](?:d|ll|m|ve))?"
    rf"(?:\s+(?:will|would|am|are|going|to|have|had|do|can|should|shall|must|rather|{_ADVERB}))*\s+"
    rf"|{_START}(?:{_OPENER}\b,?\s*)*){_DECIDING})[,:]?{_OPTION}$",
    re.IGNORECASE,
)
"""What goes before a verdict that ends its clause: "So,", "I think it's", "I'll go with"."""
_MENTION = re.compile(rf"\b(?:option|choice|letter){MARKS}$", re.IGNORECASE)
_CLOSES = re.compile(
    rf"{CLOSE}(?:\s*(?:[.,;:!?)…✅✔]|\Z|\n|[–—-]\s|\()"
    r"|\s+(?:because|since|as|here|for|(?:and\s+)?not|rather|over|instead|but|though|although|based|given)\b)"
)
"""What follows such a verdict."""
_OPENS = re.compile(
    rf"{CLOSE}(?:[ \t]*(?:\Z|\n|[.):,;!?*\]}}…✅✔])|\s+[-–—:=]"
    r"|\s+(?:because|since|(?:and\s+)?not|rather|instead|over|it\s+is)\b)"
)
"""What follows a letter that opens an answer."""
_PUT_ASIDE = re.compile(rf"\s+\((?:not\b|{MARKS}(?:option\s+)?[A-J]\b)")

_BEFORE_PRAISE = re.compile(
    rf"(?:(?:\A|[.!?;:,\n(>•-])\s*|\b(?:option|choice|letter|answer|that|so|thus|hence|therefore|think|believe|say|guess|but"
    rf"|and|while|whereas|because|since|only|means|conclude|{_ADVERB})\s+){MARKS}$",
    re.IGNORECASE,
)
_ENDS = (
    rf"{CLOSE}(?:\s*(?:[.,;:!?)\n…]|\Z|[–—-]\s|\()|\s+(?:because|since|as|here|and|but|for|in|while|whereas|among|given|to"
    r"|too|as\s+well|of\s+the)\b)"
)
_GOOD = (
    rf"(?:(?:also|{_ADVERB})\s+)*(?:(?:the\s+)?(?:only\s+)?(?:{_ADVERB}\s+)?(?:correct|right|best|true|accurate|appropriate|likely|proper)"
    r"(?:\s+(?:answer|option|choice|one|letter|statement|fit|match))?|(?:the|my|our)\s+(?:answer|option|choice|one|pick))"
    rf"{_ENDS}"
)
_PRAISE = (
    rf"{CLOSE}[.:]?{CLOSE}(?:\s*\(?%s{CLOSE})?(?:"
    r"(?:\s+(?:is|was|must\s+be|should\s+be|has\s+to\s+be|will\s+be|would\s+be)"
    rf"|\s*[=:–—-]+>?|(?P<doubt>\s+(?:seems|looks|appears|might|may|could)(?:\s+(?:to\s+)?be)?))\s+{_GOOD}"
    rf"|\s+(?:fits|matches|applies|it\s+is)(?:\s+(?:best|better|here))?{_ENDS})"
)
"""What follows a letter that is called right; ``%s`` is its option's text, which may stand between."""
_EXCLUDED = re.compile(
    r"(?:(?:\b(?:not|never|neither|nor|than|except|excluding|besides|unlike|without|instead\s+of|over"
    r"|(?:eliminat|exclud|discard|reject|dismiss)(?:e|es|ed|ing|s)?|rul(?:e|es|ed|ing)\s+out|cannot\s+be)|n['’]t)"
    rf"(?:\s+(?:be|the|for|by|either|both|correct|right|necessarily))*{_OPTION}"
    r"|\b(?:every|all|any|each|no|none|nothing)\w*\b[^.,;:!?\n]*\bbut(?:\s+for)?" + _OPTION + r"|"
    r"(?:\b(?:not|never|hardly|cannot|nobody|no\s+one)|n['’]t)\s+(?:\w+\s+)?"
    r"(?:think|believe|say|said|see|agree|sure|know|clear|obvious|true|certain|case)\b(?:(?!\bbut\b)[^.,;:!?\n])*"
    r"|\bused\s+to\s+(?:think|believe|say)\b[^.,;:!?\n]*"
    r"|\b(?:whether|unless|if|doubt|deny|neither|(?:wrong|false|incorrect)\s+that)\b[^.,;:!?\n]*)$",
    re.IGNORECASE,
)
"""What before a letter takes it out of the choice."""
_DENIED = re.compile(
    rf"{CLOSE}[.:]?{CLOSE}(?:\s+(?:is|was|are|were|can|could|would|does|do|seems|looks|must|should)(?:\s+(?:all|both|clearly|also"
    r"|be|just|simply))*(?:\s+(?:not|never|wrong|incorrect|false|out|unlikely|ruled\s+out|eliminated|excluded|no)\b|n['’]t\b)"
    r"|\s+cannot\b|\s+would\s+(?:only\s+)?be\b[^.\n]*\sif\b|\s*[=:–—-]+>?\s*(?:wrong|incorrect|false|no)\b)"
)
_DOUBT = re.compile(
    r"\b(?:maybe|perhaps|possibly|probably|could|might|may|at\s+first|first\s+thought|initially|originally|tempt\w+"
    r"|either)\b[^.!?;:\n]*$",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"\b(?:wait|actually|correction|sorry|oops|hmm+|reconsider\w*|reflection|second\s+thoughts?|scratch\s+that|mistake\w*"
    r"|i\s+was\s+wrong|(?:that|this|which)(?:['’]s|\s+is|\s+was)\s+(?:wrong|incorrect|not)|let\s+me\s+(?:re|correct))\b"
    r"|\bno\s*[.,:;!–—-]",
    re.IGNORECASE,
)
_ADDED = re.compile(r"\b(?:also|too|both|as\s+well|equally)\b", re.IGNORECASE)
_AND = re.compile(
    rf"{CLOSE}\s*(?:[,/&+]|\b(?:and|n?or)\b){MARKS}(?:/?(?:and|or|the|answer|option|choice|letter)\b{MARKS})*",
    re.IGNORECASE,
)
# Behind an article and the pronoun stands another word: "A router", "I prefer".
_GOES_ON = re.compile(
    r"[ \t]+(?!(?:because|since|as|is|and|n?or|over|rather|instead|not|seems|looks|appears|would|must|should|might|may"
    r"|could|fits|it|was|but|has)\b)\w|(?<=I),"
)
_NAME = re.compile(r"\b(?:option|choice|letter) $", re.IGNORECASE)
_LOW = re.compile(r"[),:*\]\"!?]|\.(?![.\w])|\s*\Z")
_BULLET = r"(?:[\s<>#*•=→⇒✅✔-]|\d[.)][ \t])*+"
_REASON = re.compile(r",?\s+(?:because|since)\b")


class _Named(NamedTuple):
    """The letters of one place: several where "and" or a comma joins them."""

    start: int
    end: int
    letters: frozenset[str]
    doubtful: bool = False


def choice_letter(text: str, options: Sequence[str]) -> int | None:
    """Index of the listed option that an answer chooses, or None; see :func:`read_choice`."""
    return read_choice(text, options).choice


def read_choice(text: str, options: Sequence[str]) -> Reading:
    """The listed option that an answer chooses, wherever the answer says so (lenient).

    Args:
        text: The model's answer.
        options: The options in the order they were listed.
    """
    answer = first_turn(spoken(text)).translate(_HALF_WIDTH)
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
    named = [place for place in _named(text, letters) if not _is_excluded(text, place)]
    opening = _opening(text, letters)
    stated = [*_stated(text, named, options), *_stated_by_text(text, options), *_ending(text, letters, options)]
    # A model may repeat the list of options before it answers.
    if opening and (len(opening.letters) == 1 or not stated):
        stated.append(opening)
    mentioned = [place for place in named if _MENTION.search(_before(text, place.start))]
    for places, how in (
        ([place for place in stated if not place.doubtful], "a verdict"),
        (stated, "a verdict in doubt"),
        (mentioned, "the only option mentioned"),
    ):
        if places:
            chosen = _last_word(text, sorted(places))
            if len(chosen) > 1:
                return Reading(None, ", ".join(sorted(chosen)), "several options are named")
            (letter,) = chosen
            return Reading(letters.index(letter), letter, how)
    return _by_text(text, options)


def _last_word(text: str, places: Sequence[_Named]) -> frozenset[str]:
    """All letters of the places, or those of the last where the answer takes back what it said before."""
    last = places[-1]
    others = [place for place in places if place.letters != last.letters]
    if others:
        between = text[others[-1].end : last.start]
        behind = re.match(r"[^.!?\n]*", _after(text, last.end))
        if not _TAKEN_BACK.search(between) or _ADDED.search(between + (behind[0] if behind else "")):
            return frozenset[str]().union(*(place.letters for place in places))
    return last.letters


def _before(text: str, place: int) -> str:
    """What stands before a place; a text that was cut does not begin a sentence."""
    return text[:place] if place <= _WINDOW else f"x{text[place - _WINDOW : place]}"


def _after(text: str, place: int) -> str:
    return text[place : place + _WINDOW]


def _named(text: str, letters: str) -> list[_Named]:
    """The letters that may stand for options: no article, no pronoun, no part of a name such as "A-side"."""
    found: list[_Named] = []
    pattern = rf"(?<![{_WORD}])(?<![{_WORD}][-_'’.])[{letters}{letters.lower()}](?![{_WORD}])(?![-_'’][{_WORD}])"
    for match in re.finditer(pattern, text):
        letter, after = match[0], _after(text, match.end())
        if letter.islower() and not _LOW.match(after):
            continue
        if letter in "AI" and _GOES_ON.match(text, match.end()) and not _NAME.search(_before(text, match.start())):
            continue
        place = _Named(match.start(), match.end(), frozenset(letter.upper()))
        if found and not _DENIED.match(after) and _AND.fullmatch(text, found[-1].end, match.start()):
            place = _Named(found[-1].start, match.end(), found.pop().letters | place.letters)
        found.append(place)
    return found


def _is_excluded(text: str, place: _Named) -> bool:
    return bool(_DENIED.match(_after(text, place.end)) or _EXCLUDED.search(_before(text, place.start)))


def _stated(text: str, named: Iterable[_Named], options: Sequence[str]) -> Iterator[_Named]:
    """The places that a sentence makes a verdict: "the answer is B", "I choose B", "B is correct"."""
    for place in named:
        before, after = _before(text, place.start), _after(text, place.end)
        letter = max(place.letters)
        praise = re.match(_PRAISE % re.escape(options[LETTERS.index(letter)]), after, re.IGNORECASE)
        praised = praise if praise and _BEFORE_PRAISE.search(before) else None
        led = (
            _NAMED_AS_ANSWER.search(before)
            or _NAMED_AS_CHOICE.search(before)
            or (_CLOSES.match(after) and _SAID.search(before))
        )
        if led or praised:
            doubt = re.match(rf"{CLOSE}\s*\?", after) or _DOUBT.search(before) or (praised and praised["doubt"])
            yield place._replace(doubtful=bool(doubt))


def _stated_by_text(text: str, options: Sequence[str]) -> Iterator[_Named]:
    """The options whose words stand behind "the answer is"."""
    for index, option in enumerate(options):
        # A letter alone is the one asked for, even where it is another option's text.
        if not _plain(option) or option.strip().upper() in LETTERS:
            continue
        for found in re.finditer(rf"(?<!\w){re.escape(option.strip())}(?!\w)", text, re.IGNORECASE):
            lead = re.sub(r"\b(?:the|an?)\s+$", "", _before(text, found.start()), flags=re.IGNORECASE)
            longer = any(
                len(other) > len(option) and text.casefold().startswith(other.casefold(), found.start())
                for other in options
            )
            if not longer and _NAMED_AS_ANSWER.search(lead) and not _EXCLUDED.search(lead):
                doubt = bool(_DOUBT.search(lead))
                yield _Named(found.start(), found.end(), frozenset(LETTERS[index]), doubt)


def _bare_line(line: str, letters: str) -> re.Match[str] | None:
    """A line that is a letter, with or without marks."""
    return re.fullmatch(
        rf"{_BULLET}{MARKS}(?P<letter>[{letters}{letters.lower()}]){CLOSE}[.):,;!?>]*{CLOSE}[\s✅✔]*", line
    )


def _ending(text: str, letters: str, options: Sequence[str]) -> list[_Named]:
    """The letter on the last line, alone or before its option's text, unless the line is one of a list."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return []
    start = text.rindex(lines[-1])
    bare, above = _bare_line(lines[-1], letters), _bare_line(lines[-2], letters)
    if bare and not above:
        return [_Named(start, len(text), frozenset(bare["letter"].upper()))]
    listed = re.compile(rf"{MARKS}(?P<letter>[{letters}])[*_`]*+[.):]")
    titled = listed.match(lines[-1])
    if titled and not any(map(listed.match, lines[:-1])):
        option = options[letters.index(titled["letter"])]
        if _plain(option) and _plain(lines[-1]) == _plain(f"{titled['letter']} {option}"):
            return [_Named(start, len(text), frozenset(titled["letter"]))]
    return []


def _opening(text: str, letters: str) -> _Named | None:
    """The letter that the answer begins with, and others where the answer goes on to list the options."""
    either = letters + letters.lower()
    lines = [line for line in text.splitlines() if line.strip()]
    bare = _bare_line(lines[0], letters) if lines else None
    if bare:
        # An answer of one line of letters may be followed by what it says of each option, but not by another letter.
        found = {bare["letter"].upper()}
        for line in lines[1:]:
            other = _bare_line(line, letters)
            if not other:
                break
            found.add(other["letter"].upper())
        return _Named(0, bare.end(), frozenset(found), doubtful="?" in lines[0])
    first = re.match(rf"{MARKS}([{either}])(?![{_WORD}])(?!(?<=[Ii]),)", text)
    if not first or not (_OPENS.match(text, first.end()) or _opens_with_parenthesis(text, first)):
        return None
    after, letter = _after(text, first.end()), first[1].upper()
    if _DENIED.match(after) or (first[1] in "AI" and _GOES_ON.match(after)):
        return None
    listed = re.findall(rf"^{MARKS}([{either}])[*_`]*+(?:[.):]|[ \t]*$)", text, re.MULTILINE)
    # What is said of each option behind a blank line is no list that begins with the answer.
    if re.match(r"[^\n]*\n[ \t]*\n", text) and len(listed) > 1 and ord(listed[1].upper()) != ord(letter) + 1:
        listed = []
    # Within a line only the next letter shows a list: "B. It comes from A. Then ..." names a router.
    in_line = "".join(re.findall(rf"\b([{either}])[.):]\s+\w", text)[:2]).upper()
    if in_line.startswith(letter) and in_line in letters:
        listed += in_line
    joined = next((place.letters for place in _named(text, letters) if place.start == first.start(1)), frozenset[str]())
    found = joined | {letter, *(other.upper() for other in listed)}
    return _Named(0, first.end(), found, doubtful=bool(re.match(rf"{CLOSE}\?", after)))


def _opens_with_parenthesis(text: str, first: re.Match[str]) -> bool:
    """True for "B (A is wrong)"; an article has no other letter in parentheses behind it."""
    return bool(
        _PUT_ASIDE.match(text, first.end()) or (first[1] not in "AIai" and text[first.end() :].startswith(" ("))
    )


def _whole(text: str, options: Sequence[str]) -> int | None:
    """The option that is the answer word for word, else without signs or blanks; a lead and a reason may be there."""
    said = [text, _behind_lead(text)]
    said += [_REASON.split(part, maxsplit=1)[0] for part in said]
    for form in (_bare, _plain, _glued):
        forms = {form(part) for part in said} - {""}
        # A letter alone is the one asked for, even where it is another option's text.
        found = [n for n, option in enumerate(options) if form(option) in forms and form(option).upper() not in LETTERS]
        if len(found) == 1:
            return found[0]
    return None


_LEAD = re.compile(
    rf"\A{MARKS}(?:(?:the\s+)?(?:\w+\s+)?(?:answer|option|choice)\b{CLOSE}{_ABOUT}(?:\s*{_BE}{_ADVERBS}\s*:?|\s*{_SIGN})"
    rf"|(?:it|that|this)\s*{_BE}{_ADVERBS}){MARKS}",
    re.IGNORECASE,
)


def _behind_lead(text: str) -> str:
    lead = _LEAD.match(text)
    return text[lead.end() :] if lead else text


def _by_text(text: str, options: Sequence[str]) -> Reading:
    """The option whose words stand in the answer, if it is the only one that is not denied."""
    answer = f" {_plain(text)} "
    named = {words for option in options if _plain(option) and (words := f" {_plain(option)} ") in answer}
    # An option that only stands within a longer one was not named.
    named = {
        words
        for words in named
        if all(words not in longer or words in answer.replace(longer, " | ") for longer in named - {words})
    }
    held = [index for index, option in enumerate(options) if f" {_plain(option)} " in named]
    found = [index for index in held if not _is_denied(answer, re.escape(_plain(options[index])))]
    if held and not found:
        return Reading(None, options[held[0]], "every option named is denied")
    if len(found) != 1:
        return Reading(None, why="several options are named" if found else "no option is named")
    return Reading(found[0], options[found[0]], "the only option whose words it holds")


def _is_denied(answer: str, words: str) -> bool:
    """True for "not flour", "rather than flour" and "flour is wrong"."""
    return bool(
        re.search(
            rf" (?:not|never|isn t|rather than|instead of|unlike|except|but not)(?: the| an?)? {words} "
            rf"| {words} (?:is|are|was|does|do|can)(?:n t| not| wrong| false) ",
            answer,
        )
    )


def _bare(text: str) -> str:
    return text.strip(" \t\n`")


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _glued(text: str) -> str:
    """The words of a text written together, unless a number is among them."""
    plain = _plain(text).replace(" ", "")
    return plain if plain.isalpha() else ""
