"""Questions about what changes: withdrawals, flaps, path changes."""

from collections.abc import Iterable

from seedtune.domains.bgp.analyses import (
    Event,
    Peer,
    Prefix,
    Table,
    announcements,
    flaps,
    make_withdrawal,
    path_changes,
    peer_of,
    prefix_of,
    withdrawals,
    withdrawals_per_peer,
)
from seedtune.domains.bgp.mrt import Route, Withdrawal
from seedtune.domains.bgp.reading import formats
from seedtune.domains.bgp.reading.draw import YES_NO, Case, Draw, Family, only, sole_asn
from seedtune.domains.bgp.reading.formats import Column
from seedtune.domains.bgp.reading.recordings import Recording

_LIKE_IT = 0.5
"""How often something stands in an excerpt that looks like what is asked for."""


def _withdrawals(draw: Draw) -> Case | None:
    """Withdrawals of one peer among other events."""
    peer = peer_of(draw.rng.choice(draw.recording.events))
    size = draw.size(5, 7, 12)
    own, others = [], []
    for place, event in enumerate(draw.recording.events):
        (own if isinstance(event, Withdrawal) and peer_of(event) == peer else others).append(place)
    chosen = draw.some(own, int(draw.wanted or 1))
    events = _in_order(draw, [*chosen, *draw.some(others, max(1, size - len(chosen)))])
    renamed = Peer(draw.names.asn(peer.asn), draw.names.router(peer.address))
    count = withdrawals_per_peer(events)[renamed]
    if not draw.suits(count) or not sole_asn(renamed, events) or renamed not in map(peer_of, events):
        return None
    columns: tuple[Column, ...] = ("type", "peer_as") if draw.level == 1 else ("type", "peer_as", "prefix")
    return draw.case(draw.show(events, columns), count, {"asn": renamed.asn})


def _first_seen(draw: Draw) -> Case | None:
    """When a prefix was first announced; it may be withdrawn before that, and announced again after it."""
    every = draw.recording.events
    prefix = prefix_of(draw.rng.choice(draw.recording.announced))
    own = _places(draw, prefix)
    routes = {place: event for place in own if isinstance(event := every[place], Route)}
    first, *more = sorted(draw.some(routes, draw.rng.randint(1, draw.level)))
    made: list[_Placed] = []
    if first and draw.rng.random() < _LIKE_IT:
        made.append((draw.rng.randrange(first), _withdrawn(routes[first])))
    if draw.rng.random() < _LIKE_IT and first + 1 < len(every):
        made.append((draw.rng.randrange(first + 1, len(every)), routes[first]))
    others = [place for place in range(len(every)) if place not in own]
    rest = draw.some(others, max(0, draw.size(2, 6, 10) - 1 - len(more) - len(made)))
    events = _in_order(draw, [first, *more, *rest], made)
    if len({int(event.time) for event in events}) < 2:
        return None
    new = draw.names.prefix(prefix)
    first = min(route.time for route in announcements(events) if prefix_of(route) == new)
    shown = draw.show(events, ("time", "type", "prefix"))
    return draw.case(shown, formats.clock(first) if shown.clocks else int(first), {"prefix": new})


_Placed = tuple[int, Route | Withdrawal]
"""An event that is made here, and the place in the recording after which it comes."""


def _in_order(draw: Draw, places: Iterable[int], made: Iterable[_Placed] = ()) -> list[Event]:
    """Renamed events of the recording by their places, with those that are made here between them."""
    every = draw.recording.events
    placed = [(place, 0, every[place]) for place in set(places)]
    placed += [(place, n, event._replace(time=every[place].time)) for n, (place, event) in enumerate(made, 1)]
    return [draw.names.event(event) for _, _, event in sorted(placed, key=lambda each: each[:2])]


def _places(draw: Draw, prefix: Prefix, peer: Peer | None = None) -> list[int]:
    """Where the events on a prefix stand, of one peer if it is given."""
    return [
        place
        for place, event in enumerate(draw.recording.events)
        if prefix_of(event) == prefix and (peer is None or peer_of(event) == peer)
    ]


def _withdrawn(route: Route) -> Withdrawal:
    return make_withdrawal(route.time, peer_of(route), prefix_of(route))


def _flapped(draw: Draw) -> Case | None:
    """Which prefix was withdrawn and announced again; all events are of one peer on level 1.

    Another prefix is announced as often and perhaps withdrawn, but does not come back.
    """
    flap = draw.rng.choice(draw.recording.flaps)
    every = draw.recording.events
    own = _places(draw, flap.prefix, flap.peer)[: draw.size(3, 4, 5)]
    peer = flap.peer if draw.level == 1 else draw.rng.choice(list(draw.recording.by_peer))
    held = [route for route in draw.recording.by_peer[peer] if prefix_of(route) != flap.prefix]
    other = draw.rng.choice(held)
    decoys: list[Route | Withdrawal] = [other] * (
        2 if draw.level == 1 else max(2, len(own) + draw.rng.choice((-1, 0, 1)))
    )
    if draw.rng.random() < 0.8:
        decoys[-1] = _withdrawn(other)
    around = range(start := max(0, own[0] - 3), max(start + 1, draw.rng.choice(own[1:])))
    decoy_places = sorted(draw.rng.choices(around, k=len(decoys)))
    rest = [
        place
        for place, event in enumerate(every)
        if draw.level > 1 and prefix_of(event) not in (flap.prefix, prefix_of(other))
    ]
    made = list(zip(decoy_places, decoys, strict=True))
    events = _in_order(draw, [*own, *draw.some(rest, draw.size(0, 1, 4))], made)
    found = {each.prefix for each in flaps(events)}
    if len(found) != 1 or found != _come_back(events):
        return None
    columns = ("type", "prefix") if draw.level == 1 else ("type", "peer_as", "prefix")
    return draw.case(draw.show(events, columns), only(found))


def _come_back(events: Iterable[Event]) -> set[Prefix]:
    """Prefixes that are announced after a withdrawal, whoever sent both: in other words they came back, too."""
    gone: set[Prefix] = set()
    back: set[Prefix] = set()
    for event in events:
        if isinstance(event, Withdrawal):
            gone.add(prefix_of(event))
        elif isinstance(event, Route) and prefix_of(event) in gone:
            back.add(prefix_of(event))
    return back


def _still_there(draw: Draw) -> Case | None:
    """Whether a peer holds a route to a prefix after the last line.

    After its own last line come others: of the same peer for another prefix, and for the same prefix by another peer.
    """
    every = draw.recording.events
    gone = [place for place, event in enumerate(every) if isinstance(event, Withdrawal)]
    event = every[draw.rng.choice(gone)]
    peer, prefix = peer_of(event), prefix_of(event)
    places = _places(draw, prefix, peer)
    held = draw.wanted == "yes"
    ends = [n for n, place in enumerate(places) if isinstance(every[place], Route) == held]
    if not ends:
        return None
    last = draw.rng.choice(ends)
    own = places[max(0, last - draw.rng.randint(1, draw.level)) : last + 1]
    mine = [route for route in draw.recording.by_peer.get(peer, ()) if prefix_of(route) != prefix]
    theirs = [route for route in draw.recording.by_prefix.get(prefix, ()) if route.peer_asn != peer.asn]
    if not mine or not theirs:
        return None
    made: list[_Placed] = []
    if len({type(every[place]) for place in own}) == 1 and own[0] and (draw.level > 1 or len(own) == 1):
        # Both an announcement and a withdrawal of its own: neither's being there is the answer.
        before = next((every[place] for place in places if isinstance(every[place], Route) != held), None)
        before = before or next((r for r in draw.recording.by_peer[peer] if prefix_of(r) == prefix), None)
        if before is None:
            return None
        made.append((own[0] - 1, before))
    for route in draw.some(
        (draw.rng.choice(mine), draw.rng.choice(theirs)), draw.rng.randint(1, 2) if draw.level == 1 else 2
    ):
        place = own[-1] if draw.rng.random() < 0.7 else max(0, own[0] - 2)
        made.append((place, route if draw.rng.random() < 0.5 else _withdrawn(route)))
    others = [place for place in range(len(every)) if place not in places]
    events = _in_order(draw, [*own, *draw.some(others, draw.size(0, 2, 5))], made)
    table = Table()
    for event in events:
        table.apply(event)
    renamed, new = Peer(draw.names.asn(peer.asn), draw.names.router(peer.address)), draw.names.prefix(prefix)
    answer = "yes" if any(peer_of(route) == renamed for route in table.routes_to(new)) else "no"
    if not draw.suits(answer) or not sole_asn(renamed, events):
        return None
    shown = draw.show(events, ("type", "peer_as", "prefix"))
    return draw.case(shown, answer, {"asn": renamed.asn, "prefix": new})


def _path_changes(draw: Draw) -> Case | None:
    """How often a peer replaced the path to a prefix; the same path announced again is no change."""
    every = draw.recording.events
    event = draw.rng.choice(every)
    peer, prefix = peer_of(event), prefix_of(event)
    own = _places(draw, prefix, peer)
    if len(own) < 2:
        return None
    count = draw.size(3, 4, 6)
    start = draw.rng.randint(0, max(0, len(own) - count))
    own = own[start : start + count]
    announced = [(place, event) for place in own if isinstance(event := every[place], Route)]
    made: list[_Placed] = []
    if announced and draw.rng.random() < _LIKE_IT:
        made.append(draw.rng.choice(announced))
        own = own[: max(2, len(own) - 1)] if draw.level == 1 else own
    others = [place for place in range(own[0], own[-1]) if place not in own]
    events = _in_order(draw, [*own, *draw.some(others, draw.size(0, 1, 3) if draw.level > 1 else 0)], made)
    renamed = Peer(draw.names.asn(peer.asn), draw.names.router(peer.address))
    new = draw.names.prefix(prefix)
    count = path_changes(events)[renamed, new]
    if not draw.suits(count) or not sole_asn(renamed, events):
        return None
    columns: tuple[Column, ...] = ("type", "path") if draw.level == 1 else ("type", "peer_as", "prefix", "path")
    return draw.case(draw.show(events, columns), count, {"asn": renamed.asn, "prefix": new})


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
}
