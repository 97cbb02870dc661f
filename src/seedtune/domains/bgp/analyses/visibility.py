"""How many peers have a route to a prefix, and when none has."""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from seedtune.domains.bgp.analyses.events import Event, Peer, Prefix, peer_of, prefix_of
from seedtune.domains.bgp.analyses.table import Table
from seedtune.domains.bgp.mrt import Route, StateChange
from seedtune.errors import DataError


def full_feed_peers(routes: Iterable[Route], version: int, share: float = 0.9) -> frozenset[Peer]:
    """The peers that send their whole table: at least so large a share of the prefixes that the largest one has.

    Only distinct prefixes of the IP version count. There is no standard definition; a share of the largest needs no
    knowledge of how large the table of the day is.

    Args:
        routes: The routes of one table.
        version: IP version, 4 or 6.
        share: Above 0, up to 1.

    Raises:
        DataError: ``share`` is not above 0 and up to 1.
    """
    if not 0 < share <= 1:
        raise DataError(f"share is {share}: it has to be in (0, 1]")
    pairs = {(peer_of(route), prefix_of(route)) for route in routes if route.version == version}
    counts = Counter(peer for peer, _ in pairs)
    largest = max(counts.values(), default=0)
    return frozenset(peer for peer, count in counts.items() if count >= share * largest)


def peers_seeing(routes: Iterable[Route], prefix: Prefix) -> frozenset[Peer]:
    """The peers with a route to exactly this prefix; routes to covering prefixes or more specifics do not count."""
    return frozenset(peer_of(route) for route in routes if prefix_of(route) == prefix)


def visibility(routes: Iterable[Route], prefix: Prefix, peers: Collection[Peer]) -> float:
    """The share of some peers that have a route to exactly this prefix, from 0 to 1.

    Args:
        routes: The routes of one table; those of other peers do not count.
        prefix: The prefix.
        peers: Those that could see it, such as ``full_feed_peers`` of the same table and IP version.

    Raises:
        DataError: There are no peers.
    """
    if not peers:
        raise DataError("visibility needs at least one peer: a share of none has no value")
    asked = frozenset(peers)
    return len(peers_seeing(routes, prefix) & asked) / len(asked)


class Outage(NamedTuple):
    """A prefix to which no peer had a route.

    Attributes:
        prefix: The prefix.
        start: When the last peer lost its route, seconds since the epoch.
        end: When a peer had one again; None if none had.
        cause: What took the last route: a ``withdrawal``, or the loss of the peer's ``session`` with the collector,
            which says nothing about the prefix.
    """

    prefix: Prefix
    start: float
    end: float | None
    cause: Literal["withdrawal", "session"]


def outages(events: Iterable[Event], prefixes: Collection[Prefix] | None = None) -> list[Outage]:
    """The times in which no peer held a route to a prefix that some peer had held before.

    Exact prefixes: traffic may still follow a covering route. A prefix that was never there, or not yet, is not out.

    Args:
        events: In order of time; the entries of a RIB may come first.
        prefixes: Look at these alone; None for all.

    Returns:
        By start, then prefix. Memory: a ``Table``.
    """
    table = Table()
    asked = None if prefixes is None else frozenset(prefixes)
    out: dict[Prefix, Outage] = {}
    found: list[Outage] = []
    for event in events:
        change = table.apply(event)
        for prefix in change.prefixes if asked is None else change.prefixes & asked:
            if table.routes_to(prefix):
                if prefix in out:
                    found.append(out.pop(prefix)._replace(end=event.time))
            elif change.ended:
                cause = "session" if isinstance(event, StateChange) else "withdrawal"
                out[prefix] = Outage(prefix, event.time, None, cause)
    return sorted([*found, *out.values()], key=lambda outage: (outage.start, outage.prefix))
