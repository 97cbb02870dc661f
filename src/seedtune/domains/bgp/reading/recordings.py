"""The recordings of a split as tasks need them: the routes at the start, what changed, who is whose customer.

A recording is one collector of one run of the lab. It is read once a process and kept: some ten thousand routes in all,
about 20 MB.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

from seedtune.domains.bgp.analyses import (
    Flap,
    Peer,
    Prefix,
    Relationships,
    blackholed,
    events_of,
    flaps,
    leaks,
    moas,
    origin_changes,
    origins_by_prefix,
    peer_of,
    prefix_of,
    prepending,
    subprefix_announcements,
    table_at,
    valley_free,
)
from seedtune.domains.bgp.mrt import Route, StateChange, Withdrawal, read_mrt
from seedtune.domains.bgp.reading.renaming import TaskSplit
from seedtune.errors import DomainError

FOLDER = Path(__file__).parent.parent / "recordings"
"""Where the lab's recordings lie: a folder for each scenario, in it one for each seed."""

_LENGTHS = {4: range(12, 33), 6: range(36, 65)}
"""Prefixes that the ranges of every split have room for."""
_LONGEST_PATH = 8


@dataclass(frozen=True)
class Recording:
    """What one collector saw in one run of the lab.

    Attributes:
        name: Where it comes from: ``02-subprefix-hijack/train-1/bird``.
        table: The routes held before the first event.
        events: Announcements and withdrawals after that, in order.
        relationships: ``(provider, customer, -1)`` and ``(peer, peer, 0)``, as CAIDA writes them.
    """

    name: str
    table: tuple[Route, ...]
    events: tuple[Route | Withdrawal, ...]
    relationships: tuple[tuple[int, int, int], ...]

    @property
    def start(self) -> float:
        """Time of the first route, seconds since the epoch."""
        return min(event.time for event in (*self.table[:1], *self.events[:1]))

    @cached_property
    def announced(self) -> tuple[Route, ...]:
        """The routes that were announced after the start."""
        return tuple(event for event in self.events if isinstance(event, Route))

    @cached_property
    def routes(self) -> tuple[Route, ...]:
        """Every route, held or announced."""
        return (*self.table, *self.announced)

    @cached_property
    def by_version(self) -> dict[int, tuple[Route, ...]]:
        """The table by IP version; all of it where it has none of a version."""
        return {n: tuple(route for route in self.table if route.version == n) or self.table for n in _LENGTHS}

    @cached_property
    def tops(self) -> dict[Prefix, Prefix]:
        """Each prefix, and the shortest prefix here that covers it."""
        tops: list[Prefix] = []
        found: dict[Prefix, Prefix] = {}
        for prefix in sorted(set(map(prefix_of, (*self.table, *self.events))), key=lambda each: each.length):
            found[prefix] = next((top for top in tops if top.covers(prefix)), prefix)
            if found[prefix] == prefix:
                tops.append(prefix)
        return found

    @cached_property
    def by_prefix(self) -> dict[Prefix, tuple[Route, ...]]:
        """The table by prefix, one route a peer."""
        return _grouped(self.table)

    @cached_property
    def by_peer(self) -> dict[Peer, tuple[Route, ...]]:
        """The table by peer, one route a prefix."""
        groups: dict[Peer, list[Route]] = {}
        for route in self.table:
            groups.setdefault(peer_of(route), []).append(route)
        return {peer: tuple(group) for peer, group in groups.items()}

    @cached_property
    def communities(self) -> tuple[Route, ...]:
        """Routes with communities."""
        return tuple(route for route in self.routes if route.communities)

    @cached_property
    def blackholed(self) -> tuple[Route, ...]:
        """Routes with the community BLACKHOLE."""
        return tuple(blackholed(self.routes))

    @cached_property
    def prepended(self) -> tuple[Route, ...]:
        """Routes in whose path an AS stands several times in a row."""
        return tuple(route for route in self.routes if prepending(route.segments))

    @cached_property
    def with_sets(self) -> tuple[Route, ...]:
        """Routes with an AS_SET."""
        return tuple(route for route in self.routes if any(segment.kind == "set" for segment in route.segments))

    @cached_property
    def moas(self) -> tuple["Moment", ...]:
        """The moments at which several ASes originate a prefix, one for each event that leaves it so."""
        table = table_at(self.table)
        found: list[Moment] = []
        for event in self.events:
            table.apply(event)
            prefix = prefix_of(event)
            if moas(table.routes_to(prefix)):
                found.append(Moment(prefix, _grouped(table.routes())))
        return tuple(found)

    @cached_property
    def flaps(self) -> tuple[Flap, ...]:
        """Routes announced, withdrawn and announced again after the start."""
        return tuple(flaps(self.events))

    @cached_property
    def leaked(self) -> tuple[Route, ...]:
        """Routes that an AS passed on against its relationships."""
        known = Relationships(self.relationships)
        return tuple(route for route in self.routes if leaks(route.segments, known))

    @cached_property
    def clean(self) -> tuple[Route, ...]:
        """Routes over at least three ASes that are known to be valley-free."""
        known = Relationships(self.relationships)
        return tuple(route for route in self.routes if len(set(route.hops)) > 2 and valley_free(route.segments, known))

    @cached_property
    def alike(self) -> tuple[tuple[tuple[Route, ...], tuple[Route, ...]], ...]:
        """Leaked routes and clean ones over as many ASes, by that number, where there are both."""
        lengths = sorted({len(set(route.hops)) for route in self.leaked})
        pairs = [
            tuple(tuple(r for r in routes if len(set(r.hops)) == length) for routes in (self.leaked, self.clean))
            for length in lengths
        ]
        return tuple((leaked, clean) for leaked, clean in pairs if leaked and clean)

    @cached_property
    def new_origins(self) -> tuple[Route, ...]:
        """Announced routes to a prefix of the table with an origin that it did not have there."""
        return tuple(suspect.route for suspect in origin_changes(self.announced, origins_by_prefix(self.table)))

    @cached_property
    def new_subprefixes(self) -> tuple[Route, ...]:
        """Announced routes to a part of a prefix of the table, from another origin."""
        return tuple(s.route for s in subprefix_announcements(self.announced, origins_by_prefix(self.table)))


class Moment(NamedTuple):
    """The table at a moment: by prefix one route of each peer, and a prefix that several ASes originate then."""

    prefix: Prefix
    held: dict[Prefix, tuple[Route, ...]]


def _grouped(routes: Iterable[Route]) -> dict[Prefix, tuple[Route, ...]]:
    groups: dict[Prefix, list[Route]] = {}
    for route in routes:
        groups.setdefault(prefix_of(route), []).append(route)
    return {prefix: tuple(group) for prefix, group in groups.items()}


@cache
def recordings(split: TaskSplit, folder: Path = FOLDER) -> tuple[Recording, ...]:
    """The recordings of a split, by name.

    Raises:
        DomainError: there are none.
        DataError: a file cannot be read.
    """
    seeds = sorted(path for path in folder.glob(f"*/{split}-*") if (path / "truth.json").is_file())
    found = tuple(recording for seed in seeds for recording in _read(seed, folder))
    if not found:
        raise DomainError(f"{folder}: no recording of the split '{split}' to make tasks from; 'make lab' makes them")
    return found


def _read(seed: Path, folder: Path) -> Iterator[Recording]:
    truth = json.loads((seed / "truth.json").read_text(encoding="utf-8"))
    relationships = tuple((left, right, kind) for left, right, kind in truth["relationships"])
    for collector in sorted(truth["collectors"]):
        files = truth["collectors"][collector]
        table = tuple(event for event in _events(seed / files["rib"]) if isinstance(event, Route))
        events = tuple(_events(seed / files["updates"]))
        if table:
            yield Recording(f"{seed.relative_to(folder)}/{collector}", table, events, relationships)


def _events(path: Path) -> Iterator[Route | Withdrawal]:
    for event in events_of(read_mrt(path)):
        if isinstance(event, StateChange) or event.length not in _LENGTHS[event.version]:
            continue
        if not isinstance(event, Route) or 0 < len(event.hops) <= _LONGEST_PATH:
            yield event
