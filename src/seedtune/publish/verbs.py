"""What an instruction asks for: its verb and the object of it, by rules.

The picture of Wang et al. 2023 (Figure 3) takes both from a dependency parse. Here the verb is the first word once
courtesies, adverbs and an opening clause ("Given a prefix, ...") are gone, of the first sentence that begins so; the
object is the last word of the first run of noun-like words behind it. Questions are a class of their own, with the
question word in the object's place.

Not covered: languages other than English, and instructions without a sentence that begins with a verb or a question
word; they have no root. A rule now and then takes an adjective or a second verb for the noun.
"""

import re
from typing import NamedTuple

QUESTION = "(question)"
"""Stands for the verb of a question."""


class Root(NamedTuple):
    """What is asked for, in lower case."""

    verb: str
    """The verb's base form, or :data:`QUESTION`."""
    noun: str
    """The head of its object, or the question word; empty where there is none."""


_TOKEN = re.compile(r"[^\W\d_][\w'’-]*|\d[\w./:-]*|[.,:;!?()]")
_SENTENCE = re.compile(r"(?<=[.?!:])\s+(?=[A-Z])")
_LONGEST = 500
"""Characters that are looked at: the root stands near the beginning."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_QUESTION_WORDS = _words("what why how when where which who whose whom")
_AUXILIARIES = _words("is are was were do does did has have had should may might must will shall can could would")
_COURTESY = _words("please kindly now then next first finally briefly carefully also let's simply just")
_OPENERS = _words(
    "given using for in if when while based with from suppose assume assuming imagine after before as under on at "
    "during by to because since without considering following"
)
_DETERMINERS = _words(
    "a an the this that these those some any each every all both several many few more most your my our their its his "
    "her another other such no one two three four five six seven eight nine ten"
)
_FUNCTION_WORDS = _words(
    "of in on at to for from with by about into onto over under between among through during before after without "
    "within against across as than and or but nor so that which who whom whose is are was were be been being has have "
    "had do does did can could may might must shall should will would not if when where while because since until "
    "unless whether using given it they them he she we i you there here via per based up down out off"
)
_NO_NOUNS = _FUNCTION_WORDS | _DETERMINERS | _QUESTION_WORDS
_PRONOUNS = _words("me us him it them you")
_ADJECTIVES = _words(
    "new short long brief simple complex different good best better common main key following given correct full small "
    "large big high low step-by-step detailed specific single valid right wrong important possible necessary next "
    "first second third last clear concise whole real own same various certain"
)
_ADJECTIVE_ENDINGS = ("ive", "ous", "ful", "able", "ible", "less", "ical", "ary", "ional")


def root_of(instruction: str) -> Root | None:
    """The verb and object of an instruction; None where no sentence begins with a verb or a question word."""
    sentences = _SENTENCE.split(instruction[:_LONGEST])
    return next((root for sentence in sentences if (root := _root_of_sentence(sentence))), None)


def _root_of_sentence(sentence: str) -> Root | None:
    tokens = _without_opening(_TOKEN.findall(sentence.casefold()))
    if not tokens:
        return None
    verb, *rest = tokens
    if verb in _QUESTION_WORDS:
        return Root(QUESTION, verb)
    if verb in _AUXILIARIES:
        return Root(QUESTION, "yes or no")
    if verb in _FUNCTION_WORDS and rest and rest[0] in _QUESTION_WORDS:
        return Root(QUESTION, rest[0])
    if not (verb.isascii() and verb[0].isalpha()) or verb in _DETERMINERS | _FUNCTION_WORDS | _PRONOUNS:
        return None
    return Root(verb, _object(rest))


def _without_opening(tokens: list[str]) -> list[str]:
    """Without courtesies, "can you", and a clause before the first comma or full stop."""
    if tokens and tokens[0] in _OPENERS:
        end = next((n for n, token in enumerate(tokens) if token in ",.:;"), None)
        # "When is ...?" is a question, "When a session flaps, list ..." is not.
        if end is not None and not (tokens[0] in _QUESTION_WORDS and tokens[1:2] and tokens[1] in _AUXILIARIES):
            tokens = tokens[end + 1 :]
    start = 0
    while start < len(tokens):
        here, after = tokens[start], tokens[start + 1] if start + 1 < len(tokens) else ""
        if here in ("can", "could", "would", "will") and after == "you":
            start += 2
        elif here in _COURTESY or here == "," or (here.endswith("ly") and after not in _DETERMINERS | _FUNCTION_WORDS):
            # "Clearly explain ...", but "apply the ..." and "tally by ...".
            start += 1
        else:
            break
    return tokens[start:]


def _object(tokens: list[str]) -> str:
    """Head of the first run of noun-like words; the question word of "explain how ..."."""
    run: list[str] = []
    for token in tokens:
        if token in _QUESTION_WORDS and not run:
            return token
        is_word = token[0].isalpha()
        if is_word and not run and (token in _DETERMINERS | _PRONOUNS or _is_modifier(token)):
            continue
        if not is_word or token in _NO_NOUNS:
            if run or not (is_word or token[0].isdigit()):
                break
            continue
        run.append(token)
    return _singular(run[-1]) if run else ""


def _is_modifier(word: str) -> bool:
    return word in _ADJECTIVES or word.endswith("ly") or word.endswith(_ADJECTIVE_ENDINGS)


def _singular(noun: str) -> str:
    noun = noun.removesuffix("'s").removesuffix("’s")
    if noun.endswith("ies") and len(noun) > 4:
        return noun[:-3] + "y"
    if noun.endswith(("sses", "shes", "ches", "xes")):
        return noun[:-2]
    if noun.endswith("s") and not noun.endswith(("ss", "us", "is")) and len(noun) > 3:
        return noun[:-1]
    return noun
