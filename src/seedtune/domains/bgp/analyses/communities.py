"""Communities of routes: standard (RFC 1997), large (RFC 8092) and extended (RFC 4360).

A value counts once a route, however often the route carries it: a community attribute is a set (RFC 1997; RFC 8092, 5).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from seedtune.domains.bgp.mrt import Route

BLACKHOLE = "65535:666"
"""Asks neighbours to discard traffic to the prefix (RFC 7999)."""

WELL_KNOWN = {
    "65535:0": "GRACEFUL_SHUTDOWN",
    "65535:1": "ACCEPT_OWN",
    "65535:6": "LLGR_STALE",
    "65535:7": "NO_LLGR",
    BLACKHOLE: "BLACKHOLE",
    "65535:65281": "NO_EXPORT",
    "65535:65282": "NO_ADVERTISE",
    "65535:65283": "NO_EXPORT_SUBCONFED",
    "65535:65284": "NOPEER",
}
"""Names of well-known communities (RFC 1997, 3765, 7611, 7999, 8326, 9494)."""


class Communities(NamedTuple):
    """The distinct communities of a route by kind, each as ``Route`` writes it."""

    standard: frozenset[str]
    large: frozenset[str]
    extended: frozenset[str]


def communities_of(route: Route) -> Communities:
    """The communities of all three kinds that a route carries."""
    return Communities(
        frozenset(route.communities), frozenset(route.large_communities), frozenset(route.extended_communities)
    )


def community_counts(routes: Iterable[Route]) -> Counter[str]:
    """How many routes carry each community of any kind. Memory: the distinct communities.

    Standard ones are written ``asn:value``, large ones ``asn:value:value``, extended ones ``rt:...``, ``soo:...`` or
    ``0x...``, so kinds cannot be mixed up.
    """
    return Counter(text for route in routes for kind in communities_of(route) for text in kind)


def community_asns(routes: Iterable[Route]) -> Counter[int]:
    """How many distinct standard and large communities have each AS number in front: who defines them.

    65535 stands for the well-known ones, 0 and private numbers are counted as they are. Memory: the distinct
    communities.
    """
    values = {text for route in routes for text in (*route.communities, *route.large_communities)}
    return Counter(int(text.partition(":")[0]) for text in values)


def with_community(routes: Iterable[Route], community: str) -> Iterator[Route]:
    """The routes that carry a community, of whatever kind, written as ``community_counts`` does."""
    return (route for route in routes if any(community in kind for kind in communities_of(route)))


def blackholed(routes: Iterable[Route]) -> Iterator[Route]:
    """The routes that carry the BLACKHOLE community 65535:666 (RFC 7999, 5), whatever their length.

    The blackhole communities that providers define for themselves, such as ``64500:666``, do not count: nobody can
    tell them from others by their value.
    """
    return (route for route in routes if BLACKHOLE in route.communities)
