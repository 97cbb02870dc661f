"""How routes look where people read them: bgpdump, tables, JSON lines, FRR 8 and BIRD 2.

All renderers take announcements, RIB entries and withdrawals and give text without a newline at the end.
"""

import json
import time
from collections.abc import Callable, Sequence
from typing import Literal

from seedtune.domains.bgp.analyses import Event
from seedtune.domains.bgp.mrt import Route, StateChange, Withdrawal
from seedtune.domains.bgp.reading.decision import best_route

Column = Literal["time", "type", "peer", "peer_as", "prefix", "path", "next_hop", "local_pref", "med", "communities"]

TITLES: dict[Column, str] = {
    "time": "Time",
    "type": "Type",
    "peer": "Peer",
    "peer_as": "Peer AS",
    "prefix": "Prefix",
    "path": "AS path",
    "next_hop": "Next hop",
    "local_pref": "Local pref",
    "med": "MED",
    "communities": "Communities",
}

BIRD_NAMES = {"IGP": "IGP", "EGP": "EGP", "INCOMPLETE": "Incomplete"}
_CODES = {"IGP": "i", "EGP": "e", "INCOMPLETE": "?", None: ""}
_DEFAULT_PREFERENCE = 100
_NETWORK, _HOP = 17, 16
"""Columns of FRR's table, in characters."""
_STATES = ("", "IDLE", "CONNECT", "ACTIVE", "OPENSENT", "OPENCONFIRM", "ESTABLISHED", "CLEARING", "DELETED")


def clock(seconds: float) -> str:
    """A time as ``2024-03-01 12:00:00``, UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def cell(event: Event, column: Column, clocks: bool = False) -> str:
    """What a column says of an event; empty where it has nothing of the kind.

    Args:
        event: An announcement, a RIB entry or a withdrawal.
        column: Which.
        clocks: Times as ``2024-03-01 12:00:00`` instead of seconds since the epoch.
    """
    match column:
        case "time":
            return clock(event.time) if clocks else str(int(event.time))
        case "type":
            return "A" if isinstance(event, Route) else "W"
        case "peer":
            return event.peer_address
        case "peer_as":
            return str(event.peer_asn)
        case "prefix":
            return "" if isinstance(event, StateChange) else event.prefix
        case _:
            return _attribute(event, column) if isinstance(event, Route) else ""


def _attribute(route: Route, column: Column) -> str:
    match column:
        case "path":
            return route.as_path
        case "next_hop":
            return route.next_hop or ""
        case "local_pref":
            return "" if route.local_pref is None else str(route.local_pref)
        case "med":
            return "" if route.med is None else str(route.med)
        case _:
            return " ".join(route.communities)


def markdown(events: Sequence[Event], columns: Sequence[Column], clocks: bool = False) -> str:
    """A Markdown table."""
    rows = [[TITLES[column] for column in columns], ["---"] * len(columns)]
    rows += [[cell(event, column, clocks) for column in columns] for event in events]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def plain(events: Sequence[Event], columns: Sequence[Column], clocks: bool = False) -> str:
    """Aligned columns, two blanks apart; an empty cell is ``-``."""
    rows = [[TITLES[column].lower().replace(" ", "_") for column in columns]]
    rows += [[cell(event, column, clocks) or "-" for column in columns] for event in events]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def json_lines(events: Sequence[Event], columns: Sequence[Column], clocks: bool = False) -> str:
    """One JSON object a line; what an event has nothing of is left out."""
    lines: list[str] = []
    for event in events:
        values: dict[str, object] = {}
        for column in columns:
            text = cell(event, column, clocks)
            number = column in ("peer_as", "local_pref", "med") or (column == "time" and not clocks)
            if text:
                values[column] = text.split(" ") if column == "communities" else int(text) if number else text
        lines.append(json.dumps(values, separators=(",", ":")))
    return "\n".join(lines)


def bgpdump_line(event: Event, kind: Literal["update", "rib"] = "update", micro: bool = False) -> str:
    """The line that ``bgpdump -m`` prints; large and extended communities are not among its columns.

    Args:
        event: The event.
        kind: Of a file of updates (BGP4MP) or of a table (TABLE_DUMP2).
        micro: As of a record with microseconds (BGP4MP_ET).
    """
    name, letter = ("TABLE_DUMP2", "B") if kind == "rib" else ("BGP4MP_ET" if micro else "BGP4MP", "A")
    when = f"{event.time:.6f}" if micro else str(int(event.time))
    if isinstance(event, StateChange):
        states = f"{_STATES.index(event.old)}|{_STATES.index(event.new)}"
        return f"{name}|{when}|STATE|{event.peer_address}|{event.peer_asn}|{states}"
    if isinstance(event, Withdrawal):
        return f"{name}|{when}|W|{event.peer_address}|{event.peer_asn}|{event.prefix}"
    aggregator = "{} {}".format(*event.aggregator) if event.aggregator else ""
    fields = (
        *(name, when, letter, event.peer_address, event.peer_asn, event.prefix, event.as_path, event.origin),
        *(event.next_hop, event.local_pref or 0, event.med or 0, " ".join(event.communities)),
        *("AG" if event.atomic_aggregate else "NAG", aggregator, ""),
    )
    return "|".join(map(str, fields))


def bgpdump_lines(events: Sequence[Event], kind: Literal["update", "rib"] = "update") -> str:
    """Lines of ``bgpdump -m``."""
    return "\n".join(bgpdump_line(event, kind) for event in events)


def bgpdump_long(events: Sequence[Event]) -> str:
    """What ``bgpdump`` prints of updates without options, some lines each, but for ``TO``, the collector's own end."""
    return "\n\n".join(map(_long, events))


def _long(event: Event) -> str:
    when = time.strftime("%m/%d/%y %H:%M:%S", time.gmtime(event.time))
    lines = [f"TIME: {when}", "TYPE: BGP4MP/MESSAGE/Update", f"FROM: {event.peer_address} AS{event.peer_asn}"]
    prefix = cell(event, "prefix")
    multiprotocol = ":" in prefix
    if not isinstance(event, Route):
        lines += ["MP_UNREACH_NLRI(IPv6 Unicast)"] if multiprotocol else []
        return "\n".join([*lines, "WITHDRAW", f"  {prefix}"])
    values = (
        ("ORIGIN", event.origin),
        ("ASPATH", event.as_path),
        ("NEXT_HOP", None if multiprotocol else event.next_hop),
        ("MULTI_EXIT_DISC", event.med),
        ("LOCAL_PREF", event.local_pref),
    )
    lines += [f"{name}: {value}" for name, value in values if value is not None]
    if multiprotocol:
        lines += ["MP_REACH_NLRI(IPv6 Unicast)", f"NEXT_HOP: {event.next_hop}"]
    if event.communities:
        lines.append(f"COMMUNITY: {' '.join(event.communities)}")
    return "\n".join([*lines, "ANNOUNCE", f"  {prefix}"])


def frr_table(routes: Sequence[Route], marks: bool = True) -> str:
    """The rows of FRR's ``show ip bgp`` or ``show bgp ipv6``, routes to one prefix one below the other.

    A prefix or a next hop that fills its column pushes the rest of the row onto a line of its own.

    Args:
        routes: Routes of one IP version, in the order of the table.
        marks: Mark the best route to each prefix with ``>``.
    """
    lines = [f"   {'Network':<{_NETWORK}}{'Next Hop':<{_HOP}}    Metric LocPrf Weight Path"]
    best = _best_of_each(routes) if marks else ()
    before = ""
    for route in routes:
        status = f"*{'>' if any(route is each for each in best) else ' '} "
        network = "" if route.prefix == before else route.prefix
        before = route.prefix
        row = _frr_cell(network, _NETWORK, len(status)) + _frr_cell(route.next_hop or "", _HOP, len(status) + _NETWORK)
        numbers = f"{cell(route, 'med'):>10}{cell(route, 'local_pref'):>7}{0:>7}"
        lines.append(f"{status}{row}{numbers} {_frr_path(route)}")
    return "\n".join(lines)


def _frr_cell(text: str, width: int, start: int) -> str:
    """A cell and the blanks after it; of a full one a new line, filled up to where the column ends."""
    return text.ljust(width) if len(text) < width else f"{text}\n{' ' * (start + width)}"


def _frr_path(route: Route) -> str:
    return f"{route.as_path} {_CODES[route.origin]}".rstrip()


def bird_routes(routes: Sequence[Route], marks: bool = True) -> str:
    """What BIRD 2 prints for ``show route all``: some lines for each route.

    Args:
        routes: Routes in the order of the table.
        marks: Mark the best route to each prefix with ``*``.
    """
    lines: list[str] = []
    best = _best_of_each(routes) if marks else ()
    before = ""
    peers = {peer: f"peer{number}" for number, peer in enumerate(dict.fromkeys(r.peer_address for r in routes), 1)}
    for route in routes:
        prefix = "" if route.prefix == before else route.prefix
        before = route.prefix
        name, mark = peers[route.peer_address], " *" if any(route is each for each in best) else ""
        origin = f"AS{route.origin_asn}" if route.origin_asn is not None else ""
        when = f"{clock(route.time)[11:]}.{int(route.time % 1 * 1000):03}"
        lines += [
            f"{prefix:<20} unicast [{name} {when}]{mark} (100) [{origin}{_CODES[route.origin]}]",
            f"\tvia {route.next_hop} on eth0",
            "\tType: BGP univ",
            f"\tBGP.origin: {BIRD_NAMES.get(route.origin or '', '')}",
            f"\tBGP.as_path: {route.as_path.replace(',', ' ')}",
            f"\tBGP.next_hop: {route.next_hop}",
        ]
        if route.med is not None:
            lines.append(f"\tBGP.med: {route.med}")
        lines.append(f"\tBGP.local_pref: {_DEFAULT_PREFERENCE if route.local_pref is None else route.local_pref}")
        if route.communities:
            pairs = " ".join(f"({text.replace(':', ',')})" for text in route.communities)
            lines.append(f"\tBGP.community: {pairs}")
    return "\n".join(lines)


def _best_of_each(routes: Sequence[Route]) -> list[Route]:
    groups: dict[str, list[Route]] = {}
    for route in routes:
        groups.setdefault(route.prefix, []).append(route)
    return [best for group in groups.values() if (best := best_route(group))]


Renderer = Callable[[Sequence[Event], Sequence[Column], bool], str]
TABLES: tuple[Renderer, ...] = (markdown, plain, json_lines)
"""Formats that show the columns that are asked for, and no others."""
