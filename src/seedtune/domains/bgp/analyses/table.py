"""Routing tables: the routes of a RIB, carried on through updates.

A peer holds one route to a prefix, with ADD-PATH one for each path identifier (RFC 7911, 5). A new announcement takes
the place of the old one, a withdrawal removes it (RFC 4271, 3.1), and a session that leaves or enters ``ESTABLISHED``
empties what the peer held (RFC 4271, 8.2.2).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Literal, NamedTuple

from seedtune.domains.bgp.analyses.events import Event, Peer, Prefix, peer_of, prefix_of
from seedtune.domains.bgp.mrt import Route, StateChange, Withdrawal
from seedtune.domains.bgp.sandboxed.pybgpstream import _bgp as bgp

Kind = Literal[
    "rib", "new", "duplicate", "change", "return-same", "return-changed", "withdrawal", "unknown-withdrawal", "session"
]
"""What an event does to the table; in brackets the name in Labovitz, Malan and Jahanian, "Internet Routing
Instability", IEEE/ACM Transactions on Networking 6(5), 1998:

- ``rib``: an entry of a RIB, which sets the table and is no change;
- ``new``: an announcement where nothing is known of the peer and the prefix;
- ``duplicate``: an announcement equal to the route that is held [AADup];
- ``change``: an announcement that differs from the route that is held: an implicit withdrawal [AADiff];
- ``return-same``, ``return-changed``: an announcement after a withdrawal, equal to the route that was withdrawn
  [WADup] or not [WADiff];
- ``withdrawal``: of a route that is held;
- ``unknown-withdrawal``: of one that is not [WWDup], or was never seen;
- ``session``: the session went down or came up, and the peer's routes are gone; other changes of state end no route.
"""


class Change(NamedTuple):
    """What an event did to a table.

    Attributes:
        kind: See ``Kind``.
        event: The event.
        ended: The routes that it ended: of a session all that the peer held, otherwise the one that was replaced or
            withdrawn, if there was one.
    """

    kind: Kind
    event: Event
    ended: tuple[Route, ...] = ()

    @property
    def prefixes(self) -> set[Prefix]:
        """The prefixes whose routes are others than before, or may be."""
        if isinstance(self.event, StateChange):
            return {prefix_of(route) for route in self.ended}
        return {prefix_of(self.event)}


Slot = tuple[Peer, int | None]
"""Place of a route to a prefix: the peer and the path identifier."""


class Table:
    """The routes that all peers hold at a moment.

    Memory: one reference a held route (the attributes are shared by routes that have the same), and one for each
    route that was withdrawn and did not come back.
    """

    def __init__(self) -> None:
        self._routes: dict[Prefix, dict[Slot, Route]] = {}
        self._withdrawn: dict[tuple[Prefix, Slot], Route] = {}
        self._held: Counter[Peer] = Counter()

    def routes(self) -> Iterator[Route]:
        """All routes, by prefix."""
        return (route for slots in self._routes.values() for route in slots.values())

    def routes_to(self, prefix: Prefix) -> tuple[Route, ...]:
        """The routes to exactly this prefix, of every peer."""
        return tuple(self._routes.get(prefix, {}).values())

    def prefixes(self) -> Iterable[Prefix]:
        """The prefixes with at least one route."""
        return self._routes.keys()

    def peers(self) -> list[Peer]:
        """The peers that hold at least one route."""
        return list(+self._held)

    def held(self, peer: Peer) -> int:
        """How many routes a peer holds."""
        return self._held[peer]

    def apply(self, event: Event) -> Change:
        """Carry the table on by one event."""
        if isinstance(event, StateChange):
            return self._apply_state(event)
        prefix, slot = prefix_of(event), (peer_of(event), event.path_id)
        slots = self._routes.get(prefix, {})
        before = slots.get(slot)
        ended = () if before is None else (before,)
        if isinstance(event, Withdrawal):
            if before is None:
                return Change("unknown-withdrawal", event)
            self._remove(prefix, slot)
            self._withdrawn[prefix, slot] = before
            return Change("withdrawal", event, ended)
        earlier = self._withdrawn.pop((prefix, slot), None)
        self._routes.setdefault(prefix, slots)[slot] = event
        self._held[slot[0]] += before is None
        return Change(_kind(event, before, earlier), event, ended)

    def _remove(self, prefix: Prefix, slot: Slot) -> None:
        del self._routes[prefix][slot]
        if not self._routes[prefix]:
            del self._routes[prefix]
        self._held[slot[0]] -= 1

    def _apply_state(self, event: StateChange) -> Change:
        if (event.old == "ESTABLISHED") == (event.new == "ESTABLISHED"):
            return Change("session", event)
        peer = peer_of(event)
        lost = [
            (prefix, slot, route)
            for prefix, slots in (self._routes.items() if self._held[peer] else ())
            for slot, route in slots.items()
            if slot[0] == peer
        ]
        for prefix, slot, _ in lost:
            self._remove(prefix, slot)
        self._withdrawn = {place: route for place, route in self._withdrawn.items() if place[1][0] != peer}
        return Change("session", event, tuple(route for _, _, route in lost))


def _kind(route: Route, before: Route | None, earlier: Route | None) -> Kind:
    if route.originated is not None:
        return "rib"
    if before is not None:
        return "duplicate" if same_attributes(route, before) else "change"
    if earlier is not None:
        return "return-same" if same_attributes(route, earlier) else "return-changed"
    return "new"


_COMPARED_BY_VALUE = frozenset(
    {bgp.AS_PATH, bgp.AS4_PATH, bgp.NEXT_HOP, bgp.MP_REACH, bgp.MP_UNREACH, bgp.AGGREGATOR, bgp.AS4_AGGREGATOR}
)
"""Attributes whose bytes differ between sessions, RIBs and messages though they say the same."""


def same_attributes(one: Route, other: Route) -> bool:
    """Whether two routes have the same path attributes, whatever form they came in.

    AS path, next hop and aggregator are compared by value, all others byte by byte (so the order of communities
    counts); the prefixes that travel inside multiprotocol attributes do not count.
    """
    first, second = one.attributes, other.attributes
    if first is second:
        return True
    return (
        first.as_path == second.as_path
        and first.next_hop == second.next_hop
        and first.aggregator == second.aggregator
        and _other_bytes(first) == _other_bytes(second)
    )


def _other_bytes(attributes: bgp.Attributes) -> dict[int, bytes]:
    return {code: value for code, value in attributes.raw.items() if code not in _COMPARED_BY_VALUE}


def changes(events: Iterable[Event]) -> Iterator[Change]:
    """What each event does to the table that the events before it made.

    To begin with a full table let the entries of a RIB come first. A later RIB sets what it holds and removes nothing.
    """
    table = Table()
    return (table.apply(event) for event in events)


def table_at(events: Iterable[Event], time: float | None = None) -> Table:
    """The table after every event up to and including a time.

    Args:
        events: In order of time; to begin with a full table let the entries of a RIB come first.
        time: Seconds since the epoch; None for the table after the last event. Reading stops at the first later event.
    """
    table = Table()
    for event in takewhile(lambda event: time is None or event.time <= time, events):
        table.apply(event)
    return table
