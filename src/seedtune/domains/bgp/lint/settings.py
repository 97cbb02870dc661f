"""The rules about a stream's settings: data interfaces, their options, and filters."""

import ast
import re
from dataclasses import replace
from difflib import get_close_matches

from seedtune.domains.bgp.collectors import LIVE_PROJECTS
from seedtune.domains.bgp.lint.filters import FilterReading, read_filter, read_method_filter, read_template
from seedtune.domains.bgp.lint.names import Report, check_collector, check_project
from seedtune.domains.bgp.lint.state import StreamState
from seedtune.domains.bgp.lint.values import (
    Arguments,
    Const,
    Container,
    Plain,
    Template,
    Value,
    constant_text,
    is_text,
    is_whole,
    shown,
    text_parts,
)
from seedtune.domains.bgp.sandboxed.pybgpstream._stream import FILE_TYPES, OPTIONS
from seedtune.domains.bgp.sandboxed.pybgpstream._times import parse_span


def set_interface(report: Report, stream: StreamState, value: Value, node: ast.expr) -> StreamState:
    """Check the name of a data interface and select it."""
    name = constant_text(value)
    if name is not None and name not in OPTIONS:
        _report_interface(report, node, name)
    return replace(stream, interface=name if name in OPTIONS else None)


def _meant_interface(name: str) -> str | None:
    folded = re.sub(r"[-_ ]", "", name.lower())
    return next(iter(get_close_matches(folded, OPTIONS, 1, 0.5)), None)


def _report_interface(report: Report, node: ast.expr, name: str) -> None:
    nearest = _meant_interface(name)
    right = f'"{nearest}"' if nearest else None
    if "live" in name.lower():
        right = 'project="ris-live", through the broker'
    report(node, "data-interface", f"there is no data interface {name!r}: ValueError", right)


def set_option(report: Report, stream: StreamState, node: ast.Call, arguments: Arguments) -> StreamState:
    """Check ``set_data_interface_option(interface, option, value)``."""
    unknown = replace(stream, options=stream.options | {("", "")})
    if not arguments.open and len(arguments.positional) + len(arguments.keywords) != 3:
        report(node, "interface-option", "set_data_interface_option takes interface, option and value: TypeError")
        return unknown
    interface, option = constant_text(arguments.get(0)), constant_text(arguments.get(1))
    places = [place for _, place in arguments.positional] + [node] * 3
    if interface is None or option is None:
        return unknown
    if interface not in OPTIONS:
        _report_interface(report, places[0], interface)
        meant = _meant_interface(interface)
        if meant is not None:
            _checked_option(report, meant, option, places[1])
        return unknown
    option = _checked_option(report, interface, option, places[1])
    kind = shown(arguments.get(2))
    if option.endswith("-type") and kind is not None and kind not in FILE_TYPES:
        message = f"{kind!r} is no {option}: it is only logged, and the type stays mrt"
        right = f'stream.set_data_interface_option("{interface}", "{option}", "mrt")'
        report(node, "interface-option", message, right)
    return replace(
        stream,
        options=stream.options | {(interface, option)},
        option_calls=(*stream.option_calls, (interface, node)),
    )


def _checked_option(report: Report, interface: str, option: str, node: ast.expr) -> str:
    """The option that is meant; another one than is written is reported."""
    known = tuple(OPTIONS[interface])
    if option in known:
        return option
    meant = next(iter(get_close_matches(option.lower().replace("_", "-"), known, 1, 0.4)), known[-1])
    if interface == "singlefile" and not option.endswith("type"):
        meant = "rib-file" if "rib" in option.lower() else "upd-file"
    right = f'stream.set_data_interface_option("{interface}", "{meant}", ...)'
    report(node, "interface-option", f"{interface} has no option {option!r}: ValueError", right)
    return meant


def add_filter_string(report: Report, stream: StreamState, value: Value, node: ast.expr) -> StreamState:
    """Check a filter string and narrow what the stream gives."""
    parts = text_parts(value)
    if parts is None:
        return replace(stream, unclear=True)
    text = constant_text(value)
    if text is not None:
        return _apply(report, stream, read_filter(text), node)
    reading = read_template(parts) if isinstance(value, Template) else FilterReading(None, ())
    # Names in it may have been filled in, so they say nothing.
    return replace(_apply(report, stream, reading, node, names=False), unclear=True)


def _apply(
    report: Report, stream: StreamState, reading: FilterReading, node: ast.expr, names: bool = True
) -> StreamState:
    for fault in reading.faults:
        report(node, fault.rule, fault.message, fault.right)
    parsed = reading.parsed
    if parsed is None:
        return replace(stream, unclear=True)
    if stream.interface == "broker" and names:
        for collector in sorted(parsed.collectors):
            check_collector(report, node, collector)
        for project in sorted(parsed.projects):
            check_project(report, node, project)
    if parsed.projects & set(LIVE_PROJECTS):
        stream = replace(stream, live=True)
    if parsed.element_types:
        stream = stream.restricted("elemtype", frozenset(parsed.element_types))
    for term, present in (
        ("prefix", parsed.prefixes is not None),
        ("ipversion", parsed.ip_version is not None),
        ("community", bool(parsed.communities)),
        ("path", bool(parsed.paths)),
        ("origin", bool(parsed.origins)),
    ):
        stream = stream.restricted(term) if present else stream
    if parsed.ip_version is not None:
        stream = _with_ip_version(report, stream, str(parsed.ip_version), node)
    if stream.element_types is not None and not stream.element_types & stream.passing:
        report(
            node,
            "filter-contradiction",
            "no element can pass: withdrawals and peer states pass no path, community or origin term, and peer states "
            "no prefix or ipversion term",
        )
    return stream


def _with_ip_version(report: Report, stream: StreamState, version: str, node: ast.expr) -> StreamState:
    versions = stream.ip_versions | {version}
    if len(versions) > 1 and versions != stream.ip_versions:
        report(node, "filter-last-wins", "of several IP versions the last one counts; they are no alternatives")
    return replace(stream, ip_versions=versions)


def add_filter(report: Report, stream: StreamState, node: ast.Call, arguments: Arguments) -> StreamState:
    """Check ``add_filter(type, value)`` and narrow what the stream gives."""
    if not arguments.open and len(arguments.positional) + len(arguments.keywords) != 2:
        whole = constant_text(arguments.get(0))
        right = f"stream.parse_filter_string({whole!r})" if whole and " " in whole else None
        report(node, "filter-value", "add_filter takes a type and a value: TypeError", right)
        return replace(stream, unclear=True)
    kind, value = constant_text(arguments.get(0, "type")), arguments.get(1, "value")
    if kind is None or value is None:
        return replace(stream, unclear=True)
    if isinstance(value, Container) or is_whole(value):
        right = f'stream.add_filter("{kind}", "{shown(value) or "..."}"), once for each value'
        report(node, "filter-value", "the value of a filter is a str: TypeError", right)
        return replace(stream, unclear=True)
    reading = read_method_filter(kind, constant_text(value))
    narrowed = _apply(report, stream, reading, node)
    if reading.faults or reading.parsed is not None:
        return replace(narrowed, unclear=stream.unclear or reading.parsed is None)
    term = {"aspath": "path"}.get(kind, kind.partition("-")[0])
    return replace(stream.restricted(term), unclear=stream.unclear or term == "elemtype")


def add_interval(report: Report, stream: StreamState, arguments: Arguments) -> StreamState:
    """Check ``add_interval_filter(from, until)``."""
    for value, place in arguments.positional:
        if is_text(value) or (isinstance(value, Plain) and value.kind in ("datetime", "float")):
            report(place, "time-type", "add_interval_filter takes int seconds: TypeError", "int(moment.timestamp())")
    until = arguments.get(1)
    if until in (Const(0), Const(-1)):
        return replace(stream, window="from", live=True)
    return replace(stream, window="both" if until is not None else "unknown")


def add_recent_interval(report: Report, stream: StreamState, arguments: Arguments) -> StreamState:
    """Check ``add_recent_interval_filter(span, live)``."""
    span, live = arguments.get(0), arguments.get(1, "live")
    if isinstance(span, Const) and arguments.positional:
        try:
            parse_span(str(span.value))
        except ValueError:
            place = arguments.positional[0][1]
            message = f"{span.value!r} is no span: ValueError"
            report(place, "invalid-time", message, 'stream.add_recent_interval_filter("5 m", False)')
    if live is None or live in (Const(False), Const(0)):
        return replace(stream, window="both")
    return replace(stream, window="none" if live == Const(True) else "unknown", live=live == Const(True))
