"""The graph of ASes that paths show.

Two ASes are neighbours if they stand side by side in the sequences of a path, prepends written once; an AS_SET has no
neighbours (``path_edges``). What no path shows may exist all the same.
"""

from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

from seedtune.domains.bgp.analyses.events import AsPath
from seedtune.domains.bgp.analyses.paths import path_edges
from seedtune.domains.bgp.mrt import Route

Edge = tuple[int, int]
"""Two neighbours, the lower AS number first."""


class Neighbors(NamedTuple):
    """The neighbours of an AS, by the side on which they stand in the paths; one may stand on both.

    Attributes:
        left: Nearer to the peer: the ASes to which it passed routes. Of an origin these are its upstreams.
        right: Nearer to the origin: the ASes from which it got routes.
    """

    left: frozenset[int]
    right: frozenset[int]


def neighbors(routes: Iterable[Route], asn: int) -> Neighbors:
    """The neighbours of an AS in the paths of the routes."""
    left: set[int] = set()
    right: set[int] = set()
    for route in routes:
        for nearer, farther in path_edges(route.segments):
            if farther == asn:
                left.add(nearer)
            if nearer == asn:
                right.add(farther)
    return Neighbors(frozenset(left), frozenset(right))


def _edges(path: AsPath) -> Iterator[Edge]:
    return ((min(edge), max(edge)) for edge in path_edges(path))


def adjacencies(routes: Iterable[Route]) -> dict[Edge, float]:
    """The edges of the paths, each with the earliest time of a route that shows it. Memory: the edges."""
    first: dict[Edge, float] = {}
    for route in routes:
        for edge in _edges(route.segments):
            if edge not in first or route.time < first[edge]:
                first[edge] = route.time
    return first


class NewEdge(NamedTuple):
    """An edge and the route that showed it first."""

    edge: Edge
    route: Route


def new_edges(routes: Iterable[Route], known: Container[Edge]) -> Iterator[NewEdge]:
    """The edges that are not known, each once, with the first route that shows it.

    A forged path has to put the forger beside an AS that is not its neighbour, which shows as a new edge; new
    sessions and backup links do the same. Memory: the new edges.

    Args:
        routes: Announcements in order of time.
        known: The edges of the time before, such as ``adjacencies`` of a RIB.
    """
    seen: set[Edge] = set()
    for route in routes:
        for edge in _edges(route.segments):
            if edge not in known and edge not in seen:
                seen.add(edge)
                yield NewEdge(edge, route)
