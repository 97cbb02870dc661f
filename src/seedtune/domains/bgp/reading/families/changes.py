"""Questions about what changes: withdrawals, flaps, path changes, new origins."""

from collections.abc import Sequence

from seedtune.domains.bgp.analyses import (
    Event,
    Peer,
    Prefix,
    Table,
    announcements,
    flaps,
    origin_changes,
    origins_by_prefix,
    path_changes,
    path_origins,
    peer_of,
    prefix_of,
    subprefix_announcements,
    withdrawals,
    withdrawals_per_peer,
)
from seedtune.domains.bgp.mrt import Route, Withdrawal
from seedtune.domains.bgp.reading import formats
from seedtune.domains.bgp.reading.draw import YES_NO, Case, Draw, Family, Shown, only, sole_asn
from seedtune.domains.bgp.reading.formats import Column
from seedtune.domains.bgp.reading.recordings import Recording


def _withdrawals(draw: Draw) -> Case | None:
    """Withdrawals of one peer among other events."""
    peer = peer_of(draw.rng.choice(draw.recording.events))
    size = draw.size(5, 7, 12)
    own, others = [], []
    for place, event in enumerate(draw.recording.events):
        (own if isinstance(event, Withdrawal) and peer_of(event) == peer else others).append(place)
    chosen = draw.some(own, int(draw.wanted or 1))
    events = _among_others(draw, chosen, others, max(1, size - len(chosen)))
    renamed = Peer(draw.names.asn(peer.asn), draw.names.router(peer.address))
    count = withdrawals_per_peer(events)[renamed]
    if not draw.suits(count) or not sole_asn(renamed, events) or renamed not in map(peer_of, events):
        return None
    columns: tuple[Column, ...] = ("type", "peer_as") if draw.level == 1 else ("type", "peer_as", "prefix")
    return draw.case(draw.show(events, columns), count, {"asn": renamed.asn})


def _first_seen(draw: Draw) -> Case | None:
    size = draw.size(2, 6, 10)
    chosen = sorted(draw.some(range(len(draw.recording.events)), size))
    events = [draw.names.event(draw.recording.events[place]) for place in chosen]
    announced = list(announcements(events))
    if not announced or len({int(event.time) for event in events}) < 2:
        return None
    prefix = prefix_of(draw.rng.choice(announced))
    first = min(route.time for route in announced if prefix_of(route) == prefix)
    shown = draw.show(events, ("time", "type", "prefix"))
    return draw.case(shown, formats.clock(first) if shown.clocks else int(first), {"prefix": prefix})


def _among_others(draw: Draw, own: Sequence[int], others: Sequence[int], count: int) -> list[Event]:
    """Renamed events by their places, with some others between them, in the order of the recording."""
    places = sorted({*own, *draw.some(others, count)})
    return [draw.names.event(draw.recording.events[place]) for place in places]


def _places(draw: Draw, prefix: Prefix, peer: Peer | None = None) -> list[int]:
    """Where the events on a prefix stand, of one peer if it is given."""
    return [
        place
        for place, event in enumerate(draw.recording.events)
        if prefix_of(event) == prefix and (peer is None or peer_of(event) == peer)
    ]


def _pair(draw: Draw, place: int) -> tuple[Peer, Prefix]:
    event = draw.recording.events[place]
    return peer_of(event), prefix_of(event)


def _flapped(draw: Draw) -> Case | None:
    """Which prefix was withdrawn and announced again; all events are of one peer on level 1."""
    flap = draw.rng.choice(draw.recording.flaps)
    own = _places(draw, flap.prefix, flap.peer)[: draw.size(3, 4, 5)]
    others = [
        place
        for place, event in enumerate(draw.recording.events)
        if _pair(draw, place)[1] != flap.prefix and (draw.level > 1 or event.peer_asn == flap.peer.asn)
    ]
    events = _among_others(draw, own, others, draw.size(2, 3, 6))
    found = {each.prefix for each in flaps(events)}
    if len(found) != 1 or len({prefix for event in events if (prefix := _of(event))}) < 2:
        return None
    columns = ("type", "prefix") if draw.level == 1 else ("time", "type", "peer_as", "prefix")
    return draw.case(draw.show(events, columns), only(found))


def _of(event: Event) -> Prefix | None:
    return prefix_of(event) if isinstance(event, Route | Withdrawal) else None


def _still_there(draw: Draw) -> Case | None:
    """Whether a peer holds a route to a prefix after the last line."""
    gone = [place for place, event in enumerate(draw.recording.events) if isinstance(event, Withdrawal)]
    peer, prefix = _pair(draw, draw.rng.choice(gone))
    places = _places(draw, prefix, peer)
    held = draw.wanted == "yes"
    ends = [n for n, place in enumerate(places) if isinstance(draw.recording.events[place], Route) == held]
    if not ends:
        return None
    last = draw.rng.choice(ends)
    own = places[max(0, last - draw.size(2, 2, 3)) : last + 1]
    others = [place for place in range(places[last]) if place not in places]
    events = _among_others(draw, own, others, draw.size(1, 3, 6))
    table = Table()
    for event in events:
        table.apply(event)
    renamed = Peer(draw.names.asn(peer.asn), draw.names.router(peer.address))
    if not sole_asn(renamed, events):
        return None
    new = draw.names.prefix(prefix)
    answer = "yes" if any(peer_of(route) == renamed for route in table.routes_to(new)) else "no"
    if not draw.suits(answer):
        return None
    shown = draw.show(events, ("type", "peer_as", "prefix"))
    return draw.case(shown, answer, {"asn": renamed.asn, "prefix": new})


def _path_changes(draw: Draw) -> Case | None:
    place = draw.rng.randrange(len(draw.recording.events))
    peer, prefix = _pair(draw, place)
    own = _places(draw, prefix, peer)
    if len(own) < 2:
        return None
    own = own[: draw.size(3, 4, 6)]
    others = [place for place in range(own[0], own[-1]) if place not in own]
    events = _among_others(draw, own, others, draw.size(0, 2, 4) if draw.level > 1 else 0)
    renamed = Peer(draw.names.asn(peer.asn), draw.names.router(peer.address))
    new = draw.names.prefix(prefix)
    count = path_changes(events)[renamed, new]
    if not draw.suits(count) or not sole_asn(renamed, events):
        return None
    columns: tuple[Column, ...] = ("type", "path") if draw.level == 1 else ("type", "peer_as", "prefix", "path")
    return draw.case(draw.show(events, columns), count, {"asn": renamed.asn, "prefix": new})


def _before_and_after(draw: Draw, before: list[Route], after: list[Route]) -> Shown:
    """Two excerpts in one format: a table, and what was announced after it."""
    if draw.level > 1 and draw.rng.random() < 0.5:
        parts, about = (formats.bgpdump_lines(before, "rib"), formats.bgpdump_lines(after)), "`bgpdump -m`"
    else:
        render = draw.rng.choice(formats.TABLES)
        parts, about = (render(before, ("prefix", "path"), False), render(after, ("prefix", "path"), False)), ""
    return Shown(f"Before:\n{parts[0]}\n\nAfter:\n{parts[1]}", about)


def _new_route(draw: Draw, changed: Sequence[Route]) -> tuple[list[Route], list[Route]] | None:
    """Some of the table with what a changed route is about, and announcements with that route among them."""
    route = draw.rng.choice(changed)
    prefix = prefix_of(route)
    held = [each for each in draw.recording.table if prefix_of(each).covers(prefix) and each.origin_asn is not None]
    if not held:
        return None
    size = draw.size(1, 2, 4) if draw.level > 1 else 1
    if draw.level > 1:
        others = [each for each in draw.recording.table if each.version == route.version]
        kept = draw.some(others, size)
    else:
        kept = []
    before = [draw.rng.choice(held), *kept]
    own = {prefix_of(each): each for each in before}
    after = [route, *draw.some([each for p, each in own.items() if p != prefix and each in kept], size)]
    renamed = [[draw.names.route(each) for each in part] for part in (list(own.values()), after)]
    for part in renamed:
        draw.rng.shuffle(part)
    return renamed[0], renamed[1]


def _origin_change(draw: Draw) -> Case | None:
    found = _new_route(draw, draw.recording.new_origins)
    if found is None:
        return None
    before, after = found
    suspects = list(origin_changes(after, origins_by_prefix(before)))
    new = {asn for suspect in suspects for asn in path_origins(suspect.route.segments)}
    if len(new) != 1:
        return None
    return draw.case(_before_and_after(draw, before, after), only(new), {"prefix": suspects[0].route.prefix})


def _changed_prefix(draw: Draw) -> Case | None:
    """The same without the prefix in the question, which is the answer."""
    found = _new_route(draw, draw.recording.new_origins)
    if found is None:
        return None
    before, after = found
    prefixes = {suspect.route.prefix for suspect in origin_changes(after, origins_by_prefix(before))}
    if len(prefixes) != 1 or len(after) < 2:
        return None
    return draw.case(_before_and_after(draw, before, after), only(prefixes))


def _subprefix(draw: Draw) -> Case | None:
    found = _new_route(draw, draw.recording.new_subprefixes)
    if found is None:
        return None
    before, after = found
    prefixes = {suspect.route.prefix for suspect in subprefix_announcements(after, origins_by_prefix(before))}
    if len(prefixes) != 1 or (draw.level > 1 and len(after) < 2):
        return None
    return draw.case(_before_and_after(draw, before, after), only(prefixes))


def _has_withdrawals(recording: Recording) -> object:
    return any(True for _ in withdrawals(recording.events))


_UPDATE = "RFC 4271, Section 4.3"

CHANGES: dict[str, Family] = {
    "withdrawals": Family("integer", _withdrawals, "messages", _UPDATE, where=_has_withdrawals, answers=tuple("01234")),
    "first_seen": Family(
        "time", _first_seen, "measurement", "RFC 6396, Section 4.4", where=lambda recording: recording.announced
    ),
    "flapped": Family(
        "prefix", _flapped, "convergence", "RFC 4271, Section 4.3", where=lambda recording: recording.flaps
    ),
    "still_there": Family("yes_no", _still_there, "messages", _UPDATE, where=_has_withdrawals, answers=YES_NO),
    "path_changes": Family(
        "integer",
        _path_changes,
        "convergence",
        "RFC 4271, Section 3.1",
        where=lambda recording: recording.announced,
        answers=tuple("0123"),
    ),
    "origin_change": Family(
        "asn", _origin_change, "incidents", "RFC 6811, Section 1", where=lambda recording: recording.new_origins
    ),
    "changed_prefix": Family(
        "prefix", _changed_prefix, "incidents", "RFC 6811, Section 1", (2, 3), lambda recording: recording.new_origins
    ),
    "subprefix": Family(
        "prefix", _subprefix, "incidents", "RFC 6811, Section 1", where=lambda recording: recording.new_subprefixes
    ),
}
