"""Is what a program printed the value that its instruction asks for? Where both are plain enough, an analysis knows.

An instruction counts as plain if it asks for one total of a whole file ("Count the withdrawals in updates.mrt") and
says nothing that would narrow or split it; a program, if it opens one file and filters nothing. The total then stands
among the numbers that are printed, or the program is wrong. All else is not judged.
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

_NARROWED = re.compile(
    r"\b(?:per|each|every|by|for|most|least|top|first|last|between|before|after|during|whose|who|(?<!program )that|"
    r"which|with|without|than|within|only|except|excluding|ignoring|ipv[46]|v[46]|more|less|specifics?|"
    r"interval|minutes?|hours?|seconds?|window|share|average|mean|median|rate|longest|shortest|if|as\s?\d+)\b|\d+[./:]\d",
    re.IGNORECASE,
)
_FILTERS = {"add_filter", "add_interval_filter", "add_rib_period_filter", "add_recent_interval_filter"}
_WINDOWS = {"filter", "from_time", "until_time"}
_NUMBER = re.compile(r"(?<![\w.:/-])\d+(?![\w.:/-]*\w)")

Events = Sequence[Event]


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


_UNIQUE = r"(?:distinct|unique|different) "
_MEASURES: tuple[tuple[re.Pattern[str], Callable[[Events], set[int]]], ...] = tuple(
    (
        re.compile(rf"\b(?:count|counts|number of|how many|total of)(?: (?:all|the|bgp|of))* {what}\b", re.IGNORECASE),
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
"""What an instruction asks for, and the values that are right: more than one where it can be read in two ways."""


def wrong_value(instruction: str, source: str, data: Sequence[Data], outputs: Sequence[str]) -> str:
    """What a program should have printed and did not; empty where it did, or where nothing can be said.

    Args:
        instruction: The task.
        source: The program.
        data: What it was run on.
        outputs: What it printed on each.
    """
    asked = [value for words, value in _MEASURES if words.search(instruction)]
    if len(asked) != 1 or _NARROWED.search(instruction) or _filters(source):
        return ""
    for each, output in zip(data, outputs, strict=True):
        if len(each.files) != 1:
            return ""
        right = asked[0](_events(next(iter(each.files.values()))))
        if not right & set(map(int, _NUMBER.findall(output))):
            return f"the reference analysis gives {' or '.join(map(str, sorted(right)))}"
    return ""


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
