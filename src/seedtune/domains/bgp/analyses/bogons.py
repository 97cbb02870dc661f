"""Prefixes and AS numbers that have no place in the public routing table.

After IANA's registries of special-purpose addresses (RFC 6890, 8190), of the IPv6 address space, and of AS numbers.
Address space that is merely not allocated ("full bogons") is not covered.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from seedtune.domains.bgp.analyses.events import Prefix, parse_prefix, prefix_of
from seedtune.domains.bgp.analyses.prefixes import PrefixMap
from seedtune.domains.bgp.mrt import Route

_NOT_GLOBAL = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private use",
    "100.64.0.0/10": "shared address space",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link local",
    "172.16.0.0/12": "private use",
    "192.0.0.0/24": "IETF protocol assignments",
    "192.0.2.0/24": "documentation",
    "192.168.0.0/16": "private use",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "::/3": "not global unicast",
    "4000::/2": "not global unicast",
    "8000::/1": "not global unicast",
    "64:ff9b:1::/48": "local-use translation",
    "100::/64": "discard only",
    "100:0:0:1::/64": "dummy prefix",
    "2001::/23": "IETF protocol assignments",
    "2001:2::/48": "benchmarking",
    "2001:db8::/32": "documentation",
    "3fff::/20": "documentation",
    "5f00::/16": "segment routing identifiers",
    "fc00::/7": "unique local",
    "fe80::/10": "link local",
    "ff00::/8": "multicast",
}
"""Special-purpose blocks whose "globally reachable" is false, multicast (RFC 5771; RFC 4291, 2.7), and what lies
outside of 2000::/3, the only IPv6 space that is assigned as global unicast."""

_EXCEPTIONS = (
    "192.0.0.9/32",
    "192.0.0.10/32",
    "64:ff9b::/96",
    "2001::/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:20::/28",
    "2001:30::/28",
)
"""Blocks inside those above of which the registry says "globally reachable", and Teredo (2001::/32), of which it says
neither."""

SPECIAL_PREFIXES: PrefixMap[str | None] = PrefixMap(
    {parse_prefix(text): name for text, name in (*_NOT_GLOBAL.items(), *((text, None) for text in _EXCEPTIONS))}
)
"""Names of the blocks that should not be routed; None for an exception inside one of them."""

_SPECIAL_ASNS = (
    (0, 0, "AS 0"),
    (23_456, 23_456, "AS_TRANS"),
    (64_496, 64_511, "documentation"),
    (64_512, 65_534, "private use"),
    (65_535, 65_535, "last 16-bit AS number"),
    (65_536, 65_551, "documentation"),
    (65_552, 131_071, "reserved"),
    (4_200_000_000, 4_294_967_294, "private use"),
    (4_294_967_295, 4_294_967_295, "last 32-bit AS number"),
)
"""First and last AS number, and what they are for."""


def prefix_bogon(prefix: Prefix, registry: PrefixMap[str | None] = SPECIAL_PREFIXES) -> str | None:
    """What a prefix is for that should not be routed; None if it may be.

    The longest block of the registry that covers the whole prefix decides. A prefix that only contains such a block,
    such as a default route, is no bogon; neither is one for its length alone.

    Args:
        prefix: IPv4 or IPv6.
        registry: Another list of blocks: None as a value makes an exception inside a larger block.
    """
    block = registry.longest_match(prefix)
    return None if block is None else registry[block]


def asn_bogon(asn: int) -> str | None:
    """What an AS number is for that should not be in a public path; None if it may be.

    AS 0 (RFC 7607), AS_TRANS (RFC 6793, 9), documentation (RFC 5398), private use (RFC 6996), the last numbers of 16
    and 32 bits (RFC 7300), and 65552 to 131071, which IANA holds back. AS 112 (RFC 7534) is meant to be seen.
    """
    return next((name for first, last, name in _SPECIAL_ASNS if first <= asn <= last), None)


class Bogon(NamedTuple):
    """A route with a bogon.

    Attributes:
        route: The route.
        prefix: What its prefix is for; None if that is no bogon.
        asns: What the bogons in its path are for, by AS number.
    """

    route: Route
    prefix: str | None
    asns: dict[int, str]


def bogon_routes(routes: Iterable[Route], registry: PrefixMap[str | None] = SPECIAL_PREFIXES) -> Iterator[Bogon]:
    """The routes whose prefix is a bogon, or whose path has one, members of AS_SETs included.

    AS numbers of confederation segments do not count: they are meant to be private.

    Args:
        routes: Routes of a table, or announcements.
        registry: See ``prefix_bogon``.
    """
    for route in routes:
        name = prefix_bogon(prefix_of(route), registry)
        asns = {asn: reason for asn in route.hops if (reason := asn_bogon(asn))}
        if name or asns:
            yield Bogon(route, name, asns)
