"""What code tasks that follow events must print, worked out a second time; see :mod:`code_answers`."""

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import groupby, pairwise
from typing import Any

from code_answers import Case, Lines, by_prefix, origin
from seedtune.domains.bgp.analyses import (
    Peer,
    Prefix,
    Table,
    changes,
    flaps,
    make_route,
    moas,
    moas_intervals,
    outages,
    parse_prefix,
    path_length,
    path_origins,
    peer_of,
    prefix_of,
    same_attributes,
    session_losses,
    table_at,
    withdrawals,
)
from seedtune.domains.bgp.mrt import Route, StateChange, Withdrawal

Key = tuple[Peer, Prefix]


def _without_states(case: Case) -> Case:
    return case._replace(events=[event for event in case.events if not isinstance(event, StateChange)])


def _histories(case: Case) -> dict[Key, list[Route | Withdrawal]]:
    """The announcements and withdrawals of each peer and prefix."""
    found: dict[Key, list[Route | Withdrawal]] = defaultdict(list)
    for event in case.events:
        if not isinstance(event, StateChange):
            found[peer_of(event), prefix_of(event)].append(event)
    return found


def moas_now(case: Case) -> Lines:
    table = table_at([*case.rib, *case.events])
    return [{"prefix": str(prefix), "origins": sorted(asns)} for prefix, asns in moas(table.routes()).items()]


def moas_duration(case: Case) -> Lines:
    seconds: dict[Prefix, float] = defaultdict(float)
    for span in moas_intervals(case.events):
        seconds[span.prefix] += (case.events[-1].time if span.end is None else span.end) - span.start
    return [{"prefix": str(prefix), "seconds": total} for prefix, total in seconds.items() if total]


def moas_new(case: Case) -> Lines:
    begun: dict[Prefix, list[float]] = defaultdict(list)
    for span in moas_intervals([*case.rib, *case.events]):
        if span.start >= case.events[0].time:
            begun[span.prefix].append(span.start)
    return [{"prefix": str(prefix), "first": times[0], "times": len(times)} for prefix, times in begun.items()]


def hijack_peak(case: Case) -> Lines:
    prefix, owner = parse_prefix(case.arguments[0]), int(case.arguments[1])
    table, peak, at, ever = Table(), 0, None, set[str]()
    for event in case.events:
        table.apply(event)
        deceived = [route for route in table.routes_to(prefix) if origin(route) not in (None, owner)]
        ever |= {route.peer_address for route in deceived}
        if len(deceived) > peak:
            peak, at = len(deceived), event.time
    return [{"peak": peak, "at": at, "peers": sorted(ever)}]


def hijack_exposure(case: Case) -> Lines:
    prefix, hijacker = parse_prefix(case.arguments[0]), int(case.arguments[1])
    table, believers = Table(), set[Peer]()
    seconds: dict[Peer, float] = defaultdict(float)
    for event, following in pairwise([*case.events, case.events[-1]]):
        table.apply(event)
        believers = {peer_of(route) for route in table.routes_to(prefix) if origin(route) == hijacker}
        for peer in believers:
            seconds[peer] += following.time - event.time
    return [
        {"address": peer.address, "asn": peer.asn, "seconds": total, "open": peer in believers}
        for peer, total in seconds.items()
    ]


def paths_changes(case: Case) -> Lines:
    lines: Lines = []
    for (peer, prefix), history in _histories(case).items():
        paths = [event.segments for event in history if isinstance(event, Route)]
        distinct = [path for path, _ in groupby(paths)]
        if len(distinct) > 1:
            line = {"address": peer.address, "prefix": str(prefix), "changes": len(distinct) - 1}
            lines.append({**line, "paths": len(set(paths))})
    return lines


def paths_classes(case: Case) -> Lines:
    names = {
        "new": "new",
        "duplicate": "duplicate",
        "change": "change",
        "return-same": "same_again",
        "return-changed": "other_again",
        "withdrawal": "withdrawn",
        "unknown-withdrawal": "superfluous",
    }
    # The table compares all attributes: only the paths are left to it.
    events = [
        make_route(event.time, peer_of(event), prefix_of(event), event.segments) if isinstance(event, Route) else event
        for event in _without_states(case).events
    ]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for change in changes(events):
        counts[change.event.peer_address][names[change.kind]] += 1
    return [{"address": address, **{name: count[name] for name in names.values()}} for address, count in counts.items()]


def _without_prepending(route: Route) -> list[int | tuple[int, ...]]:
    """The hops of a path, runs reduced to one; a set is one hop."""
    hops: list[int | tuple[int, ...]] = []
    for kind, asns in route.segments:
        hops += asns if kind == "sequence" else [tuple(asns)]
    return [hop for hop, _ in groupby(hops)]


def prepend_steps(case: Case) -> Lines:
    found: list[tuple[int, dict[str, Any]]] = []
    places = {id(event): place for place, event in enumerate(case.events)}
    for (peer, prefix), history in _histories(case).items():
        for before, after in pairwise(history):
            if not isinstance(before, Route) or not isinstance(after, Route) or before.segments == after.segments:
                continue
            if _without_prepending(before) == _without_prepending(after):
                lengths = {"before": path_length(before.segments), "after": path_length(after.segments)}
                line = {"time": after.time, "address": peer.address, "prefix": str(prefix), **lengths}
                found.append((places[id(after)], line))
    return [line for _, line in sorted(found, key=lambda one: one[0])]


def flaps_count(case: Case) -> Lines:
    counts = Counter((flap.peer.address, str(flap.prefix)) for flap in flaps(_without_states(case).events))
    return [{"address": address, "prefix": prefix, "flaps": count} for (address, prefix), count in counts.items()]


def flaps_downtime(case: Case) -> Lines:
    gaps: dict[Key, list[float]] = defaultdict(list)
    for flap in flaps(_without_states(case).events):
        gaps[flap.peer, flap.prefix].append(flap.up - flap.down)
    return [
        {"asn": peer.asn, "address": peer.address, "prefix": str(prefix), "gaps": len(seconds)}
        | {"longest": max(seconds), "total": sum(seconds)}
        for (peer, prefix), seconds in gaps.items()
    ]


def flaps_sessions(case: Case) -> Lines:
    states = [event for event in case.events if isinstance(event, StateChange)]
    turns = [event for event in states if (event.old == "ESTABLISHED") != (event.new == "ESTABLISHED")]
    lost = Counter(loss.peer for loss in session_losses(case.events))
    lines: Lines = []
    for peer in sorted({peer_of(event) for event in turns}):
        own = [event for event in turns if peer_of(event) == peer]
        counts = {"losses": lost[peer], "recoveries": len(own) - lost[peer]}
        lines.append({"asn": peer.asn, "address": peer.address, **counts, "down": own[-1].new != "ESTABLISHED"})
    return lines


def communities_changes(case: Case) -> Lines:
    found: Lines = []
    for change in changes(_without_states(case).events):
        if change.kind != "change" or not isinstance(change.event, Route):
            continue
        new, old = change.event, change.ended[0]
        if (new.segments, new.next_hop) == (old.segments, old.next_hop) and set(new.communities) != set(
            old.communities
        ):
            added, removed = set(new.communities) - set(old.communities), set(old.communities) - set(new.communities)
            line = {"time": new.time, "address": new.peer_address, "prefix": new.prefix}
            found.append({**line, "added": sorted(added), "removed": sorted(removed)})
    return found


def withdrawals_gone(case: Case) -> Lines:
    return [
        {"prefix": str(outage.prefix), "since": outage.start} for outage in outages(case.events) if outage.end is None
    ]


def withdrawals_superfluous(case: Case) -> Lines:
    superfluous = Counter(
        peer_of(change.event) for change in changes([*case.rib, *case.events]) if change.kind == "unknown-withdrawal"
    )
    counts = Counter(map(peer_of, withdrawals(case.events)))
    return [
        {"asn": peer.asn, "address": peer.address, "withdrawals": count, "superfluous": superfluous[peer]}
        for peer, count in counts.items()
    ]


def withdrawals_implicit(case: Case) -> Lines:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for change in changes(_without_states(case).events):
        count = counts[change.event.peer_address]
        event = change.event
        if isinstance(event, Route) and change.ended:
            old = change.ended[0]
            same = same_attributes(event, old) or (
                (event.segments, event.next_hop) == (old.segments, old.next_hop)
                and set(event.communities) == set(old.communities)
            )
            count["repeated" if same else "implicit"] += 1
        count["explicit"] += change.kind == "withdrawal"
    kinds = ("explicit", "implicit", "repeated")
    return [{"address": address, **{kind: count[kind] for kind in kinds}} for address, count in counts.items()]


def withdrawals_outage(case: Case) -> Lines:
    table = table_at(case.rib)
    owned: dict[int, set[Prefix]] = defaultdict(set)
    for route in case.rib:
        for asn in path_origins(route.segments):
            owned[asn].add(prefix_of(route))
    since: dict[int, float] = {}
    for event in case.events:
        table.apply(event)
        present = {asn for route in table.routes() for asn in path_origins(route.segments)}
        since = {asn: since.get(asn, event.time) for asn in owned.keys() - present}
    return [{"origin": asn, "since": time, "prefixes": len(owned[asn])} for asn, time in since.items()]


def visibility_after(case: Case) -> Lines:
    before = {prefix: len(routes) for prefix, routes in by_prefix(case.rib).items()}
    table = table_at([*case.rib, *case.events])
    after = {prefix: len(table.routes_to(prefix)) for prefix in (*before, *table.prefixes())}
    return [
        {"prefix": str(prefix), "before": before.get(prefix, 0), "after": count}
        for prefix, count in after.items()
        if before.get(prefix, 0) != count
    ]


def realtime_moas(case: Case) -> Lines:
    table, lines = Table(), Lines()
    known: dict[Prefix, set[int]] = defaultdict(set)
    for event in case.events:
        for prefix in sorted(table.apply(event).prefixes, key=str):
            now = {asn for route in table.routes_to(prefix) for asn in path_origins(route.segments)}
            if now != known[prefix] and max(len(now), len(known[prefix])) > 1:
                lines.append({"time": event.time, "prefix": str(prefix), "origins": sorted(now)})
            known[prefix] = now
    return lines


def realtime_watch(case: Case) -> Lines:
    table, prefix, before, lines = Table(), parse_prefix(case.arguments[0]), 0, Lines()
    for event in case.events:
        table.apply(event)
        now = len(table.routes_to(prefix))
        if now != before:
            state = ("more" if before else "up") if now > before else "fewer" if now else "down"
            lines.append({"time": event.time, "peers": now, "state": state})
        before = now
    return lines


ANSWERS: dict[str, Callable[[Case], Lines]] = {
    "test/moas-now": moas_now,
    "test/moas-duration": moas_duration,
    "test/hijack-peak": hijack_peak,
    "test/hijack-exposure": hijack_exposure,
    "test/paths-changes": paths_changes,
    "test/paths-classes": paths_classes,
    "test/prepend-steps": prepend_steps,
    "test/flaps-count": flaps_count,
    "test/flaps-downtime": flaps_downtime,
    "test/flaps-sessions": flaps_sessions,
    "test/communities-changes": communities_changes,
    "test/withdrawals-gone": withdrawals_gone,
    "test/withdrawals-superfluous": withdrawals_superfluous,
    "test/withdrawals-implicit": withdrawals_implicit,
    "test/withdrawals-outage": withdrawals_outage,
    "test/visibility-after": visibility_after,
    "test/realtime-moas": realtime_moas,
    "test/realtime-watch": realtime_watch,
    "dev/moas-new": moas_new,
}
"""The second answer to a task, by split and name."""
