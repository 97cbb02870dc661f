"""Is what a program printed the value that its instruction asks for? Where both are plain enough, an analysis knows.

A prompt counts as plain if it asks for one total of a whole file ("Count the withdrawals in updates.mrt") and says
nothing else but words that are known to change no total; a program, if it opens one file and filters nothing. The total
then stands among the numbers that are printed, or the program is wrong. All else is not judged.
"""

import ast
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from seedtune.domains.bgp.analyses import (
    Event,
    announcements,
    events_of,
    moas,
    path_origins,
    peer_of,
    prefix_of,
    withdrawals,
)
from seedtune.domains.bgp.mrt import Route, read_mrt
from seedtune.domains.running import Data

_FILTERS = {"add_filter", "add_interval_filter", "add_rib_period_filter", "add_recent_interval_filter"}
_WINDOWS = {"filter", "from_time", "until_time"}
_COMPOUND = re.compile(
    r"(?<![\w:])(?:[0-9a-f]*:){2,}[0-9a-f:.]*(?:\]:\d+)?|(?<![a-su-z_\d])\d+(?::\d+)+", re.IGNORECASE
)
"""Addresses, times and communities: what stands behind a colon in them is no number of its own."""
_NUMBER = re.compile(r"(?<![\w./-])\d+(?![\w.:/-]*\w)")

Events = Sequence[Event]
Measure = Callable[[Events], set[int]]


def _routes(events: Events) -> list[Route]:
    return [event for event in events if isinstance(event, Route)]


def _prefixes(events: Events) -> set[int]:
    announced = {prefix_of(route) for route in _routes(events)}
    return {len(announced), len(announced | {prefix_of(event) for event in withdrawals(events)})}


def _origins(events: Events) -> set[int]:
    paths = [route.segments for route in _routes(events)]
    return {len(set[int]().union(*(path_origins(path, sets) for path in paths))) for sets in (False, True)}


def _peers(events: Events) -> set[int]:
    peers = {peer_of(event) for event in events}
    return {len(peers), len({peer.asn for peer in peers})}


def _withdrawals(events: Events) -> set[int]:
    return {sum(1 for _ in withdrawals(events))}


def _announcements(events: Events) -> set[int]:
    return {sum(1 for _ in announcements(events))}


def _moas(events: Events) -> set[int]:
    return {len(moas(_routes(events), sets)) for sets in (False, True)}


_FILE = r"[\w./-]*[\w-]\.(?:mrt|gz|bz2|dump)"
_PHRASES = (
    r"how many",
    r"(?:pybgpstream's )?singlefile(?: data)?(?: interface)?",
    r"(?:(?:short|small|simple|complete|whole|python|pybgpstream) )*(?:program|script|code|pybgpstream|python)s?",
    r"(?:given |local |whole |entire |mrt |bgp |updates? |dump )*(?:file|recording)",
    r"on (?:a|one) (?:single )?line",
    r"as (?:an? |one )?(?:single |plain )*(?:number|integer|json object|json line|json|text)",
    r"standard output",
    _FILE,
)
_WORDS = (
    *(
        "write",
        "give",
        "show",
        "create",
        "develop",
        "build",
        "implement",
        "provide",
        "please",
        "me",
        "to",
        "that",
        "which",
    ),
    *("use", "uses", "using", "with", "via", "read", "reads", "open", "opens", "load", "loads", "parse", "parses"),
    *("count", "counts", "counting", "number", "total", "compute", "computes", "calculate", "calculates", "determine"),
    *(
        "determines",
        "find",
        "finds",
        "what",
        "is",
        "are",
        "there",
        "do",
        "does",
        "have",
        "has",
        "hold",
        "holds",
        "held",
    ),
    *(
        "contain",
        "contains",
        "contained",
        "found",
        "in",
        "of",
        "from",
        "named",
        "called",
        "below",
        "a",
        "an",
        "the",
        "it",
    ),
    *("its", "and", "then", "print", "prints", "output", "outputs", "report", "reports", "display", "displays"),
    *("return", "returns", "result", "results", "answer", "stdout"),
)
_PLAIN = re.compile(rf"(?:{'|'.join((*_PHRASES, *_WORDS))})(?!\w)", re.IGNORECASE)
"""What stands around a measure and changes no total, in whatever order: all else may narrow or split it."""
_BETWEEN = re.compile(r"""(?:[\s,;:?!"`()]|[.'](?!\w)|(?<!\w)')+""")
_COUNTED = r"(?:count|counts|number of|how many|total of)(?: (?:all|the|bgp|of))*"
_UNIQUE = r"(?:distinct|unique|different) "
_MEASURES: tuple[tuple[re.Pattern[str], Measure], ...] = tuple(
    (
        re.compile(rf"\b{_COUNTED} {what}(?: (?:elements|elems|messages))?\b", re.IGNORECASE),
        value,
    )
    for what, value in (
        ("withdrawals?", _withdrawals),
        ("announcements?", _announcements),
        (f"{_UNIQUE}prefixes", _prefixes),
        (f"{_UNIQUE}origin (?:ases|asns|as numbers|autonomous systems)", _origins),
        (f"{_UNIQUE}peers", _peers),
        ("moas prefixes", _moas),
    )
)
"""What a prompt asks for, and the values that are right: more than one where it can be read in two ways."""


def wrong_value(prompt: str, source: str, data: Sequence[Data], outputs: Sequence[str]) -> str:
    """What a program should have printed and did not; empty where it did, or where nothing can be said.

    Args:
        prompt: The task's instruction with its input.
        source: The program.
        data: What it was run on.
        outputs: What it printed on each.
    """
    value = _asked(prompt)
    if value is None or _filters(source):
        return ""
    named = set(re.findall(_FILE, prompt))
    for each, output in zip(data, outputs, strict=True):
        if len(each.files) != 1 or not named <= set(each.files):
            return ""
        right = value(_events(next(iter(each.files.values()))))
        if 0 in right:
            return ""  # it is a table, say, of which announcements were asked for
        if not right & set(map(int, _NUMBER.findall(_COMPOUND.sub(" ", output)))):
            return f"the reference analysis gives {' or '.join(map(str, sorted(right)))}"
    return ""


def _asked(prompt: str) -> Measure | None:
    """What is to be counted; None where more is asked than that, or less."""
    for words, value in _MEASURES:
        around = words.split(prompt)
        if len(around) > 1:
            return value if all(map(_is_plain, around)) else None
    return None


def _is_plain(text: str) -> bool:
    """Whether a text holds nothing but :data:`_PLAIN`."""
    rest = _BETWEEN.sub(" ", text).strip()
    while rest:
        known = _PLAIN.match(rest)
        if known is None:
            return False
        rest = rest[known.end() :].lstrip()
    return True


def _events(path: Path) -> Events:
    return list(events_of(read_mrt(path)))


def _filters(source: str) -> bool:
    """Whether a program looks at a part of its data only, as far as its calls say."""
    return any(_narrows(node) for node in ast.walk(ast.parse(source)))


def _narrows(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    names: Iterable[str | None] = (keyword.arg for keyword in node.keywords)
    return (isinstance(node.func, ast.Attribute) and node.func.attr in _FILTERS) or bool(_WINDOWS & set(names))
