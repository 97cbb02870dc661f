"""Who originates a prefix: several origins at once (MOAS), unexpected origins, unexpected more specifics.

The origin of a route is ``path_origins``: without ``sets`` a route that ends in an AS_SET has none, with ``sets`` each
member of the set is one. RFC 1930, 7 wants one origin a prefix; anycast, multihoming and hijacks give more.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from seedtune.domains.bgp.analyses.events import Event, Prefix, prefix_of
from seedtune.domains.bgp.analyses.paths import path_origins
from seedtune.domains.bgp.analyses.prefixes import PrefixMap
from seedtune.domains.bgp.analyses.table import Table
from seedtune.domains.bgp.mrt import Route


def origins_by_prefix(routes: Iterable[Route], sets: bool = False) -> dict[Prefix, frozenset[int]]:
    """The origins of each prefix over all peers; a prefix of which no route has an origin is left out.

    Of a RIB this is what ``origin_changes`` and ``subprefix_announcements`` take as expected.
    Memory: the distinct prefixes.
    """
    found: dict[Prefix, frozenset[int]] = {}
    for route in routes:
        prefix, origins = prefix_of(route), path_origins(route.segments, sets)
        known = found.get(prefix)
        if known is None:
            if origins:
                found[prefix] = origins
        elif not origins <= known:
            found[prefix] = known | origins
    return found


def moas(routes: Iterable[Route], sets: bool = False) -> dict[Prefix, frozenset[int]]:
    """The prefixes with two origins or more over all peers (multiple origin AS).

    Only equal prefixes are compared. Zhao et al., "An Analysis of BGP Multiple Origin AS (MOAS) Conflicts" (IMW 2001)
    look at the routes of one table; of announcements this gives every prefix that ever had two origins.

    Args:
        routes: The routes of one table, or announcements.
        sets: Count the members of an AS_SET at the end as origins; one route can then be enough.
    """
    return {prefix: origins for prefix, origins in origins_by_prefix(routes, sets).items() if len(origins) > 1}


class MoasInterval(NamedTuple):
    """A time in which a prefix had several origins.

    Attributes:
        prefix: The prefix.
        origins: All origins that it had in this time.
        start: When it got the second origin, seconds since the epoch.
        end: When it had less than two again; None if it never did.
    """

    prefix: Prefix
    origins: frozenset[int]
    start: float
    end: float | None


def moas_intervals(events: Iterable[Event], sets: bool = False) -> list[MoasInterval]:
    """The longest times in which the routes that all peers hold to a prefix have two origins or more.

    Args:
        events: In order of time; the entries of a RIB may come first.
        sets: Count the members of an AS_SET at the end as origins.

    Returns:
        The intervals by start, then prefix. Memory: a ``Table``.
    """
    table = Table()
    running: dict[Prefix, tuple[float, frozenset[int]]] = {}
    found: list[MoasInterval] = []
    for event in events:
        for prefix in table.apply(event).prefixes:
            routes = table.routes_to(prefix)
            origins = frozenset[int]().union(*(path_origins(route.segments, sets) for route in routes))
            if len(origins) > 1:
                start, earlier = running.get(prefix, (event.time, origins))
                running[prefix] = start, earlier | origins
            elif prefix in running:
                start, earlier = running.pop(prefix)
                found.append(MoasInterval(prefix, earlier, start, event.time))
    found += [MoasInterval(prefix, origins, start, None) for prefix, (start, origins) in running.items()]
    return sorted(found, key=lambda interval: (interval.start, interval.prefix))


class Suspect(NamedTuple):
    """A route whose origin is not the expected one.

    Attributes:
        route: The route.
        covering: The prefix of the mapping that covers it, or is it.
        expected: The origins that the mapping has for that prefix.
    """

    route: Route
    covering: Prefix
    expected: frozenset[int]


def origin_changes(
    routes: Iterable[Route], expected: Mapping[Prefix, Collection[int]], sets: bool = False
) -> Iterator[Suspect]:
    """The routes to a prefix of the mapping with an origin that the mapping does not have for it.

    Each such route is given, also the same one of several peers. Prefixes that are not in the mapping are not looked
    at, and routes without an origin (AS_SET without ``sets``, empty path) are not reported.

    Args:
        routes: Routes of a table, or announcements.
        expected: The origins that each prefix may have.
        sets: Count the members of an AS_SET at the end as origins; one unexpected member is enough.
    """
    for route in routes:
        prefix = prefix_of(route)
        allowed = expected.get(prefix)
        if allowed is not None and not path_origins(route.segments, sets) <= frozenset(allowed):
            yield Suspect(route, prefix, frozenset(allowed))


def subprefix_announcements(
    routes: Iterable[Route], expected: Mapping[Prefix, Collection[int]], sets: bool = False
) -> Iterator[Suspect]:
    """The routes to a more specific of a mapped prefix with an origin that the mapping does not have for it.

    The longest mapped prefix that covers the route decides; a prefix that is mapped itself is no sub-prefix, see
    ``origin_changes``. Arguments and routes without an origin: as there.
    """
    mapped = PrefixMap(expected)
    for route in routes:
        prefix = prefix_of(route)
        covering = mapped.longest_match(prefix)
        if covering is None or covering == prefix:
            continue
        allowed = frozenset(mapped[covering])
        if not path_origins(route.segments, sets) <= allowed:
            yield Suspect(route, covering, allowed)
