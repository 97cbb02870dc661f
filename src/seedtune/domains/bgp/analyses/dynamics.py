"""How much the routes of a stream move: counts, path changes, flaps, update rates, bursts.

The entries of a RIB set the table that changes are measured against and count for nothing themselves, so a RIB may
come before the updates. What is not known of the time before the first event is not guessed: a first announcement is no
change, and the withdrawal of a route that nobody saw ends none.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from math import ceil, floor
from statistics import median
from typing import NamedTuple

from seedtune.domains.bgp.analyses.events import (
    AsPath,
    Event,
    Peer,
    Prefix,
    announcements,
    peer_of,
    prefix_of,
    withdrawals,
)
from seedtune.domains.bgp.analyses.table import Kind, changes
from seedtune.domains.bgp.mrt import Route, StateChange
from seedtune.errors import DataError


def announcements_per_peer(events: Iterable[Event]) -> Counter[Peer]:
    """How many prefixes each peer announced: every prefix of every message, repeated ones too."""
    return Counter(map(peer_of, announcements(events)))


def announcements_per_prefix(events: Iterable[Event]) -> Counter[Prefix]:
    """How often each prefix was announced, by all peers together. Memory: the distinct prefixes."""
    return Counter(map(prefix_of, announcements(events)))


def withdrawals_per_peer(events: Iterable[Event]) -> Counter[Peer]:
    """How many prefixes each peer withdrew: every prefix of every message, also of routes that nobody saw.

    Implicit withdrawals and routes lost with a session do not count.
    """
    return Counter(map(peer_of, withdrawals(events)))


def withdrawals_per_prefix(events: Iterable[Event]) -> Counter[Prefix]:
    """How often each prefix was withdrawn, by all peers together; see ``withdrawals_per_peer``."""
    return Counter(map(prefix_of, withdrawals(events)))


def change_kinds(events: Iterable[Event]) -> Counter[Kind]:
    """How many events of each ``Kind`` there are. Memory: a ``Table``."""
    return Counter(change.kind for change in changes(events))


def implicit_withdrawals(events: Iterable[Event]) -> Counter[Peer]:
    """How often each peer replaced a route that it held by another one without a withdrawal (RFC 4271, 3.1).

    A new announcement with the same path attributes (``same_attributes``) replaces nothing. Memory: a ``Table``.
    """
    return Counter(peer_of(change.event) for change in changes(events) if change.kind == "change")


def path_changes(events: Iterable[Event], prepends: bool = True) -> Counter[tuple[Peer, Prefix]]:
    """How often each peer replaced its route to a prefix by one with another AS path.

    Only routes that are held are compared: an announcement after a withdrawal, or after the loss of the session, is
    no path change. Other attributes, confederations and the order inside an AS_SET do not matter. Memory: a ``Table``.

    Args:
        events: In order of time; the entries of a RIB may come first.
        prepends: Count a change in prepending; else a run of the same AS is compared as one.
    """
    counts: Counter[tuple[Peer, Prefix]] = Counter()
    for change in changes(events):
        if change.kind == "change" and isinstance(change.event, Route):
            new, old = change.event, change.ended[0]
            if new.as_path != old.as_path and _form(new.segments, prepends) != _form(old.segments, prepends):
                counts[peer_of(new), prefix_of(new)] += 1
    return counts


def _form(path: AsPath, prepends: bool) -> list[int | frozenset[int]]:
    parts: list[int | frozenset[int]] = []
    for kind, asns in path:
        if kind == "sequence":
            parts += asns
        elif kind == "set":
            parts.append(frozenset(asns))
    return parts if prepends else [part for part, _ in groupby(parts)]


class Flap(NamedTuple):
    """A route went away and came back.

    Attributes:
        peer: Who announced it.
        prefix: What it led to.
        down: When it was withdrawn, seconds since the epoch.
        up: When the peer announced the prefix again.
    """

    peer: Peer
    prefix: Prefix
    down: float
    up: float


def flaps(events: Iterable[Event]) -> Iterator[Flap]:
    """Each withdrawal of a route that was held, followed by a new announcement of the prefix by the same peer.

    So announce, withdraw, announce is one flap, whatever path the second announcement has; repeated withdrawals in
    between change nothing, and ``down`` is the time of the first. A prefix that goes away with its session, or comes
    back after the session broke, does not flap. Of ADD-PATH each path identifier flaps by itself. Given in the order
    of ``up``. Memory: a ``Table``.

    Args:
        events: In order of time; the entries of a RIB may come first.
    """
    down: dict[tuple[Peer, Prefix, int | None], float] = {}
    for change in changes(events):
        event = change.event
        if isinstance(event, StateChange):
            continue
        peer, prefix = peer_of(event), prefix_of(event)
        if change.kind == "withdrawal":
            down[peer, prefix, event.path_id] = event.time
        elif change.kind in ("return-same", "return-changed"):
            yield Flap(peer, prefix, down.pop((peer, prefix, event.path_id)), event.time)


def flapping(
    events: Iterable[Event], count: int = 3, window: float = 300.0
) -> dict[tuple[Peer, Prefix], tuple[Flap, ...]]:
    """The peers and prefixes with so many flaps inside so many seconds, each with all its flaps.

    Args:
        events: In order of time; the entries of a RIB may come first.
        count: Flaps that are needed, from 1.
        window: Seconds; that many flaps have to come up again in some half-open time ``[t, t + window)``.

    Raises:
        DataError: ``count`` or ``window`` is not positive.
    """
    if count < 1 or window <= 0:
        raise DataError(f"count is {count} and window {window}: both have to be positive")
    found: defaultdict[tuple[Peer, Prefix], list[Flap]] = defaultdict(list)
    for flap in flaps(events):
        found[flap.peer, flap.prefix].append(flap)
    return {
        place: tuple(series)
        for place, series in found.items()
        if any(last.up - first.up < window for first, last in zip(series, series[count - 1 :], strict=False))
    }


class Rate(NamedTuple):
    """The updates of an interval.

    Attributes:
        start: Where it begins, seconds since the epoch.
        end: Where it ends, exclusive.
        announcements: Announced prefixes.
        withdrawals: Withdrawn prefixes.
    """

    start: float
    end: float
    announcements: int
    withdrawals: int

    @property
    def updates(self) -> int:
        """Announced and withdrawn prefixes."""
        return self.announcements + self.withdrawals


def update_rate(
    events: Iterable[Event], interval: float, start: float | None = None, end: float | None = None
) -> list[Rate]:
    """Announced and withdrawn prefixes, of all peers, in each interval ``[start + i * interval, ...)``.

    Intervals without updates are in the list. RIB entries and state changes do not count. Memory: the intervals.

    Args:
        events: In any order.
        interval: Seconds.
        start: Where the first interval begins; earlier updates do not count. By default the last multiple of the
            interval (since the epoch) that is not after the first update; without updates there are no intervals.
        end: Updates from here on do not count; the last interval is the one before it, shorter if need be. By default
            the interval of the last update is the last one.

    Raises:
        DataError: ``interval`` is not positive.
    """
    if interval <= 0:
        raise DataError(f"interval is {interval} s: it has to be positive")
    origin = 0.0 if start is None else start
    counts: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    for event in events:
        is_route = isinstance(event, Route)
        if isinstance(event, StateChange) or (is_route and event.originated is not None):
            continue
        if (start is None or event.time >= start) and (end is None or event.time < end):
            counts[floor((event.time - origin) / interval)][not is_route] += 1
    if start is None and not counts:
        return []
    first = min(counts) if start is None else 0
    stop = max(counts, default=first - 1) + 1 if end is None else ceil((end - origin) / interval)
    edges = [origin + place * interval for place in range(first, stop + 1)]
    return [
        Rate(begin, next_begin if end is None else min(next_begin, end), *counts[first + place])
        for place, (begin, next_begin) in enumerate(pairwise(edges))
    ]


class Burst(NamedTuple):
    """A time of many updates: start and exclusive end in seconds since the epoch, and how many there were."""

    start: float
    end: float
    updates: int


def bursts(rates: Sequence[Rate], factor: float = 10.0, minimum: int = 100) -> list[Burst]:
    """The intervals with far more updates than usual, neighbouring ones joined.

    An interval belongs to a burst if it has at least ``minimum`` updates and more than ``factor`` times the median of
    all intervals, so a burst that fills half of the time or more is not seen as one.

    Args:
        rates: Intervals of one length in order, as ``update_rate`` gives them.
        factor: Times the median.
        minimum: Updates in an interval.
    """
    if not rates:
        return []
    usual = median(rate.updates for rate in rates)
    found: list[Burst] = []
    for rate in rates:
        if rate.updates < minimum or rate.updates <= factor * usual:
            continue
        if found and found[-1].end == rate.start:
            found[-1] = Burst(found[-1].start, rate.end, found[-1].updates + rate.updates)
        else:
            found.append(Burst(rate.start, rate.end, rate.updates))
    return found
