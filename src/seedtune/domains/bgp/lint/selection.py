"""The rules about the constructor of a stream: its arguments and the window."""

import ast
import re
from dataclasses import replace
from difflib import get_close_matches
from typing import Literal

from seedtune.domains.bgp.collectors import LIVE_PROJECTS
from seedtune.domains.bgp.lint.names import Report, check_collector, check_project
from seedtune.domains.bgp.lint.settings import add_filter_string, set_interface
from seedtune.domains.bgp.lint.state import StreamState
from seedtune.domains.bgp.lint.values import (
    Arguments,
    Const,
    Container,
    Plain,
    Value,
    constant_text,
    is_text,
    is_whole,
)
from seedtune.domains.bgp.sandboxed.pybgpstream._times import parse_time

Given = dict[str, tuple[Value, ast.expr]]
"""Parameter -> value and where it stands."""

PARAMETERS = (
    "from_time",
    "until_time",
    "data_interface",
    "project",
    "projects",
    "collector",
    "collectors",
    "record_type",
    "record_types",
    "filter",
)
"""What the constructor takes, in its order."""

_MEANT = {
    "start": "from_time",
    "start_time": "from_time",
    "begin": "from_time",
    "end": "until_time",
    "end_time": "until_time",
    "to_time": "until_time",
    "stop_time": "until_time",
    "filters": "filter",
    "filter_string": "filter",
    "type": "record_type",
    "data_type": "record_type",
    "interface": "data_interface",
    "source": "data_interface",
}

_LISTS = {"collectors": "collector", "projects": "project", "record_types": "record_type"}
_DATE_DIGITS = re.compile(r"(?:19|20)\d\d[01]\d[0-3]\d(?:\d{4}(?:\d\d)?)?")
"""A date in digits: YYYYMMDD, with hours and minutes, with seconds."""
_FAR_FUTURE = 10**11
_ZONE = re.compile(r"\d(?:\s*(?P<offset>[+-]\d\d:?(?:\d\d)?)|\s+(?P<name>(?!UTC|GMT|AM|PM|Z\b)[A-Z]{2,5}))$")


def build_stream(report: Report, node: ast.Call, arguments: Arguments, interface_is_final: bool) -> StreamState:
    """Check a call of ``BGPStream`` and return what is known of the stream.

    Args:
        report: Takes the findings.
        node: The call.
        arguments: What it passes.
        interface_is_final: The program never calls ``set_data_interface``.
    """
    given = _parameters(report, node, arguments)
    _check_lists(report, given)
    _check_record_types(report, given)
    stream = StreamState(
        node,
        interface="broker",
        known=not arguments.open and all(name in PARAMETERS for name, _, _ in arguments.keywords),
    )
    interface = given.get("data_interface")
    if interface is not None:
        stream = set_interface(report, stream, interface[0], interface[1])
    if arguments.open:
        stream = replace(stream, interface=stream.interface if interface else None)
    elif stream.interface == "broker" and (interface is not None or interface_is_final):
        _check_names(report, given)
    stream = replace(
        stream,
        from_broker=stream.interface == "broker",
        window=_window(report, given, arguments.open),
        live=_is_zero(given, "until_time") or _live_project(given),
        unclear=arguments.open,
        record_types=_record_types(given),
        selection=tuple((name, node) for name, (_, node) in given.items() if name in (*_LISTS, *_LISTS.values())),
    )
    if "filter" in given and not _wrong_class(given["filter"][0]):
        stream = add_filter_string(report, stream, *given["filter"])
    return stream


def _parameters(report: Report, node: ast.Call, arguments: Arguments) -> Given:
    given: Given = {}
    for name, (value, place) in zip(PARAMETERS, arguments.positional, strict=False):
        given[name] = (value, place)
    for _, place in arguments.positional[len(PARAMETERS) :]:
        report(place, "unknown-argument", f"BGPStream takes {len(PARAMETERS)} arguments at most: TypeError")
    for name, value, place in arguments.keywords:
        if name in PARAMETERS:
            given[name] = (value, place)
            continue
        meant = _MEANT.get(name.lower()) or next(iter(get_close_matches(name.lower(), PARAMETERS, 1, 0.6)), None)
        right = f"{meant}=..." if meant else None
        report(place, "unknown-argument", f"BGPStream has no argument {name!r}: TypeError", right)
    return {name: (value, place) for name, (value, place) in given.items() if value != Const(None)}


def _wrong_class(value: Value) -> bool:
    return isinstance(value, Container) or is_whole(value)


def _check_lists(report: Report, given: Given) -> None:
    for plural, single in _LISTS.items():
        if plural in given and is_text(given[plural][0]):
            value, place = given[plural]
            names = ", ".join(f'"{name}"' for name in re.split(r"[,\s]+", constant_text(value) or "") if name)
            message = f"{plural} is a list; a str is taken letter by letter, and no letter is the name of anything"
            report(place, "string-for-list", message, f"{plural}=[{names or '...'}]")
        if single in given and _wrong_class(given[single][0]):
            shape = "a list" if isinstance(given[single][0], Container) else "a number"
            report(
                given[single][1],
                "list-for-string",
                f"{single} takes one str, not {shape}: TypeError",
                f'{plural}=["...", "..."], or {single}="..."',
            )
    if "filter" in given and _wrong_class(given["filter"][0]):
        report(given["filter"][1], "list-for-string", "filter takes one str: TypeError", 'filter="... and ..."')
    collectors, single_one = given.get("collectors"), given.get("collector")
    if collectors and single_one and isinstance(collectors[1], ast.Name):
        report(
            collectors[1],
            "changed-list",
            "the constructor appends the single collector to the list that it was given",
            f"collectors=[*{collectors[1].id}, ...]",
        )


def _constants(given: Given, *names: str) -> list[tuple[str, ast.expr]]:
    """The constant texts given to parameters, members of lists included."""
    found: list[tuple[str, ast.expr]] = []
    for name in names:
        if name not in given:
            continue
        value, place = given[name]
        parts = value.parts if isinstance(value, Container) else (value,) if name not in _LISTS else ()
        found += [(part.value, place) for part in parts if isinstance(part, Const) and isinstance(part.value, str)]
    return found


def _check_record_types(report: Report, given: Given) -> None:
    for text, place in _constants(given, "record_type", "record_types"):
        if text in ("ribs", "updates"):
            continue
        right = f'record_type="{"ribs" if "rib" in text.lower() else "updates"}"'
        if text.lower().rstrip("s") in ("announcement", "withdrawal"):
            right = f'filter="elemtype {text.lower().rstrip("s")}s"'
        message = f"{text!r} is no record type: it is only logged, and nothing is filtered"
        report(place, "record-type", message, right)


def _record_types(given: Given) -> frozenset[str] | None:
    named = [name for name in ("record_type", "record_types") if name in given]
    types = frozenset(text for text, _ in _constants(given, *named))
    complete = all(not isinstance(given[name][0], Container) or len(_constants(given, name)) for name in named)
    return types if types and complete and types <= {"ribs", "updates"} else None


def _check_names(report: Report, given: Given) -> None:
    for name, place in _constants(given, "collector", "collectors"):
        check_collector(report, place, name)
    for name, place in _constants(given, "project", "projects"):
        check_project(report, place, name)


def _is_zero(given: Given, name: str) -> bool:
    return name in given and given[name][0] in (Const(0), Const(-1), Const("0"))


def _live_project(given: Given) -> bool:
    return any(name in LIVE_PROJECTS for name, _ in _constants(given, "project", "projects"))


def _window(report: Report, given: Given, more: bool) -> Literal["none", "from", "until", "both", "unknown"]:
    moments = [_moment(report, given, name) for name in ("from_time", "until_time")]
    if moments[0] is not None and moments[1] and moments[0] > moments[1]:
        report(
            given["from_time"][1],
            "window-order",
            "from_time is later than until_time: RuntimeError when reading begins",
            "the two exchanged",
        )
    if more:
        return "both" if {"from_time", "until_time"} <= given.keys() else "unknown"
    until = "until_time" in given and not _is_zero(given, "until_time")
    if "from_time" in given:
        return "both" if until else "from"
    return "until" if until else "none"


def _moment(report: Report, given: Given, name: str) -> int | None:
    if name not in given:
        return None
    value, place = given[name]
    match value:
        case Const(int() as seconds):
            return _checked_seconds(report, place, name, seconds)
        case Plain("datetime"):
            message = f"{name} is a str (UTC) or an int; a datetime raises AssertionError"
            report(place, "time-type", message, f"{name}=int(moment.timestamp())")
        case Plain("float") | Const(float()):
            message = f"{name} is a str (UTC) or an int; a float raises AssertionError"
            report(place, "time-type", message, f"{name}=int(seconds)")
        case Plain("str", zoned=True):
            _report_zone(report, place, name, "this text carries a zone offset")
        case Const(str() as text):
            return _text_moment(report, place, name, text)
        case _:
            pass
    return None


def _report_zone(report: Report, place: ast.expr, name: str, what: str) -> None:
    report(place, "time-zone", f"{what}, which {name} ignores: the clock reading is taken as UTC")


def _checked_seconds(report: Report, place: ast.expr, name: str, seconds: int) -> int:
    right = f'{name}="2024-03-01 00:00:00", or seconds such as {name}=1709251200'
    if _DATE_DIGITS.fullmatch(str(seconds)):
        report(place, "invalid-time", f"{seconds} is read as seconds since the epoch, not as a date", right)
    elif seconds > _FAR_FUTURE:
        report(place, "invalid-time", f"{seconds} is read as seconds since the epoch, not as milliseconds", right)
    return seconds


def _text_moment(report: Report, place: ast.expr, name: str, text: str) -> int | None:
    zone = _ZONE.search(text.strip())
    offset = (zone["offset"] or "") if zone else ""
    if zone and (zone["name"] or re.search(r"[1-9]", offset)) and ":" in text:
        _report_zone(report, place, name, f"{text!r} carries a zone")
    try:
        moment = parse_time(text)
        return _checked_seconds(report, place, name, moment) if text.isdigit() else moment
    except ValueError:
        message = f"{text!r} is no date that can be read without guessing: ValueError"
        report(place, "invalid-time", message, f'{name}="2024-03-01 00:00:00"')
        return None
