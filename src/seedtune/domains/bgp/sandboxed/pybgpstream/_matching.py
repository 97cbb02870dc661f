"""Picking the elements of a record that pass a filter, cheap questions first.

A record that cannot hold a passing element is turned down as a whole, before its elements exist: most are, and that is
what makes a filtered stream faster than an unfiltered one. AS path decisions are remembered per path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from ._bgp import AS4_PATH, AS_PATH, Attributes
from ._elements import Element, Record, RibRecord, UpdateRecord

if TYPE_CHECKING:
    from ._filters import Filter

Prefix = tuple[int, int, int]
"""IP version, network as a number with its host bits cut, length in bits."""

Selector = Callable[[Record], list[Element]]
"""Gives the elements of a record that pass."""

Covers = Callable[[int, Iterable[tuple[int, int]]], bool]
"""Whether any of some prefixes (network, length) of an IP version is wanted."""

BITS = {4: 32, 6: 128}

CACHE_SIZE = 1 << 16
"""Decisions about AS paths that are kept; emptied when full."""


def selector(wanted: Filter) -> Selector | None:
    """What picks the elements that a filter lets through; None if it lets all of them through."""
    route_passes = _route_test(wanted)
    covers = _prefix_test(wanted.prefixes) if wanted.prefixes is not None else None
    ip_version, peers = wanted.ip_version, frozenset(wanted.peers)
    if not (wanted.element_types or peers or covers or ip_version or route_passes):
        return None
    types = _types(wanted)

    def passes(element: Element) -> bool:
        if element.type not in types or (peers and element.peer_asn not in peers):
            return False
        if ip_version and element.version != ip_version:
            return False
        if covers and not covers(element.version, ((element.network, element.length),)):
            return False
        return route_passes is None or (element.attributes is not None and route_passes(element.attributes))

    def of_rib(record: RibRecord) -> list[Element]:
        version, network, length = record.prefix
        if "R" not in types or (ip_version and version != ip_version):
            return []
        if covers and not covers(version, ((network, length),)):
            return []
        return [
            Element("R", peer, version, network, length, attributes)
            for peer, _, attributes in record.routes
            if (not peers or peer[0] in peers) and (route_passes is None or route_passes(attributes))
        ]

    def select(record: Record) -> list[Element]:
        if isinstance(record, RibRecord):
            return of_rib(record)
        if isinstance(record, UpdateRecord) and (
            (peers and record.peer[0] not in peers) or not _update_may_pass(record, types, covers, route_passes)
        ):
            return []
        return [element for element in record.elements() if passes(element)]

    return select


def _types(wanted: Filter) -> frozenset[str]:
    """The types of elements that can pass: prefixes are no property of peer states, paths only of routes."""
    types = frozenset(wanted.element_types) or frozenset("RAWS")
    if wanted.prefixes is not None or wanted.ip_version:
        types -= {"S"}
    if wanted.communities or wanted.paths or wanted.origins:
        types -= {"S", "W"}
    return types


def _update_may_pass(
    record: UpdateRecord,
    types: frozenset[str],
    covers: Covers | None,
    route_passes: Callable[[Attributes], bool] | None,
) -> bool:
    attributes = record.attributes
    withdraws = "W" in types and record.withdraws
    announces = "A" in types and record.announces
    if covers:
        if withdraws:
            unreachable = attributes.unreachable
            withdraws = covers(4, record.withdrawn) or (unreachable is not None and covers(*unreachable))
        if announces:
            reachable = attributes.reachable
            announces = covers(4, record.announced) or (reachable is not None and covers(*reachable))
    return withdraws or (announces and (route_passes is None or route_passes(attributes)))


def _prefix_test(prefixes: dict[Prefix, str]) -> Covers:
    """Sets of what is wanted: whole prefixes (the given ones and all that cover one), and networks to look inside."""
    whole: dict[int, set[tuple[int, int]]] = {4: set(), 6: set()}
    inside: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
    for (version, network, length), specificity in prefixes.items():
        bits = BITS[version]
        whole[version].add((network, length))
        if specificity in ("more", "any"):
            inside[version].setdefault(length, set()).add(network >> (bits - length))
        if specificity in ("less", "any"):
            whole[version].update((network >> (bits - size) << (bits - size), size) for size in range(length))
    by_length = {
        version: [(size, BITS[version] - size, networks) for size, networks in sorted(lengths.items())]
        for version, lengths in inside.items()
    }

    def covers(version: int, prefixes: Iterable[tuple[int, int]]) -> bool:
        wanted = whole[version]
        longer = by_length[version]
        if not wanted:
            return False
        for prefix in prefixes:
            if prefix in wanted:
                return True
            network, length = prefix
            for size, shift, networks in longer:
                if size > length:
                    break
                if network >> shift in networks:
                    return True
        return False

    return covers


def _route_test(wanted: Filter) -> Callable[[Attributes], bool] | None:
    """The test of a route's attributes; None if there is nothing to test."""
    has_community = _community_test(wanted.communities) if wanted.communities else None
    paths = tuple(wanted.paths)
    origins = {str(origin) for origin in wanted.origins}
    about_paths = bool(paths or origins)
    if not about_paths and not has_community:
        return None
    needed = [_encoded({pattern.asn}) for pattern in paths if pattern.asn is not None and not pattern.negated]
    needed += [_encoded(wanted.origins)] if origins else []
    decisions: dict[str, bool] = {}

    def path_passes(path: str) -> bool:
        decision = decisions.get(path)
        if decision is None:
            if len(decisions) >= CACHE_SIZE:
                decisions.clear()
            from_origin = not origins or path.rpartition(" ")[2] in origins
            decision = decisions[path] = from_origin and all(pattern.matches(path) for pattern in paths)
        return decision

    def passes(attributes: Attributes) -> bool:
        if has_community and not has_community(attributes.known_communities or attributes.communities):
            return False
        if not about_paths:
            return True
        path = attributes.known_path
        if path is None:
            for numbers in needed:
                if not _may_hold(attributes.raw, numbers):
                    return False
            path = attributes.as_path
        return path_passes(path)

    return passes


def _encoded(asns: Collection[int]) -> list[bytes]:
    """AS numbers as they stand in a path of any width: the two bytes of a short one are also the end of its four."""
    return [asn.to_bytes(2 if asn < 65536 else 4, "big") for asn in asns if asn < 2**32]


def _may_hold(raw: dict[int, bytes], numbers: list[bytes]) -> bool:
    """Whether a path could hold one of some AS numbers: asked of its bytes, to spare making a text of it."""
    path = raw.get(AS_PATH, b"") + raw.get(AS4_PATH, b"")
    for number in numbers:  # noqa: SIM110 (any() with a generator takes three times as long)
        if number in path:
            return True
    return False


def _community_test(communities: Collection[str]) -> Callable[[tuple[str, ...]], bool]:
    """Whether any of a route's communities is wanted; ``*`` stands for any AS number or value."""
    if "*:*" in communities:
        return bool
    exact = {community for community in communities if "*" not in community}
    asns = {community[:-1] for community in communities if community.endswith(":*")}
    numbers = {community[1:] for community in communities if community.startswith("*:")}

    def passes(values: tuple[str, ...]) -> bool:
        if not exact.isdisjoint(values):
            return True
        if asns or numbers:
            for value in values:
                asn, _, number = value.partition(":")
                if asn + ":" in asns or ":" + number in numbers:
                    return True
        return False

    return passes
