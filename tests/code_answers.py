"""What code tasks on tables, origins and communities must print, worked out a second time from the MRT records.

Nothing here goes through PyBGPStream or the text of an AS path: ``mrt.py`` reads, the reference analyses measure. An
answer is the list of lines of a case. :mod:`code_answers_on_paths` has the tasks on AS paths,
:mod:`code_answers_in_time` those that follow events.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from seedtune.domains.bgp.analyses import (
    Event,
    Peer,
    Prefix,
    PrefixMap,
    Vrp,
    Vrps,
    announcements,
    announcements_per_prefix,
    blackholed,
    covering_prefixes,
    events_of,
    leaks,
    length_distribution,
    moas,
    origin_changes,
    origins_by_prefix,
    parse_prefix,
    parse_relationships,
    path_edges,
    path_loops,
    path_origins,
    peer_of,
    prefix_of,
    subprefix_announcements,
    validate,
    withdrawals,
)
from seedtune.domains.bgp.mrt import Route, StateChange, read_mrt

Lines = list[dict[str, Any]]


class Case(NamedTuple):
    """The data of a case, decoded."""

    rib: list[Route]
    events: list[Event]
    arguments: Sequence[str]

    @property
    def announced(self) -> list[Route]:
        return list(announcements(self.events))


def load(files: Mapping[str, Path], arguments: Sequence[str]) -> Case:
    """Decode the files of a case, given by their names in the working folder."""
    events = {name: list(events_of(read_mrt(path))) for name, path in sorted(files.items())}
    rib = [event for name in events if name == "rib.mrt" for event in events[name] if isinstance(event, Route)]
    return Case(rib, [event for name in events if name != "rib.mrt" for event in events[name]], arguments)


def by_prefix(routes: Iterable[Route]) -> dict[Prefix, list[Route]]:
    found: dict[Prefix, list[Route]] = defaultdict(list)
    for route in routes:
        found[prefix_of(route)].append(route)
    return found


def by_peer(routes: Iterable[Route]) -> dict[Peer, list[Route]]:
    found: dict[Peer, list[Route]] = defaultdict(list)
    for route in routes:
        found[peer_of(route)].append(route)
    return found


def origin(route: Route) -> int | None:
    return next(iter(path_origins(route.segments)), None)


def filter_peers(case: Case) -> Lines:
    announced, withdrawn = Counter(map(peer_of, case.announced)), Counter(map(peer_of, withdrawals(case.events)))
    return [
        {"asn": peer.asn, "address": peer.address, "announced": announced[peer], "withdrawn": withdrawn[peer]}
        for peer in sorted(announced | withdrawn)
    ]


def filter_through_as(case: Case) -> Lines:
    counts = announcements_per_prefix(route for route in case.announced if 64501 in route.hops)
    return [{"prefix": str(prefix), "announcements": count} for prefix, count in counts.items()]


def filter_inside(case: Case) -> Lines:
    block = parse_prefix(case.arguments[0])
    counts = announcements_per_prefix(case.events)
    return [{"prefix": str(prefix), "announcements": counts[prefix]} for prefix in counts if block.covers(prefix)]


def filter_families(case: Case) -> Lines:
    found: Lines = []
    for version in (4, 6):
        announced = [route for route in case.announced if route.version == version]
        withdrawn = [event for event in withdrawals(case.events) if event.version == version]
        prefixes = {prefix_of(event) for event in (*announced, *withdrawn)}
        counts = {"announced": len(announced), "withdrawn": len(withdrawn), "prefixes": len(prefixes)}
        found.append({"version": version, **counts})
    return found


def filter_window(case: Case) -> Lines:
    start, end = map(int, case.arguments)
    inside = [event for event in case.events if start <= event.time < end]
    states = sum(isinstance(event, StateChange) for event in inside)
    announced = sum(isinstance(event, Route) for event in inside)
    counts = {"announcements": announced, "withdrawals": len(inside) - announced - states, "states": states}
    return [{**counts, "last": max((event.time for event in inside), default=None)}]


def filter_next_hops(case: Case) -> Lines:
    hops: dict[str | None, list[Route]] = defaultdict(list)
    for route in case.announced:
        hops[route.next_hop].append(route)
    lines = [
        {"next_hop": hop, "prefixes": len(by_prefix(routes)), "peers": len(by_peer(routes))}
        for hop, routes in hops.items()
    ]
    return sorted(lines, key=lambda line: (-line["prefixes"], line["next_hop"]))


def filter_origin(case: Case) -> Lines:
    own = by_prefix(route for route in case.rib if route.origin_asn == 64501)
    return [
        {"prefix": str(prefix), "peers": sorted({route.peer_address for route in routes})}
        for prefix, routes in own.items()
    ]


def filter_loops(case: Case) -> Lines:
    counts = Counter((prefix_of(route), asn) for route in case.rib for asn in path_loops(route.segments))
    return [{"prefix": str(prefix), "asn": asn, "routes": count} for (prefix, asn), count in counts.items()]


def moas_rib(case: Case) -> Lines:
    return [{"prefix": str(prefix), "origins": sorted(asns)} for prefix, asns in moas(case.rib).items()]


def moas_set_members(case: Case) -> Lines:
    through = {prefix_of(route) for route in case.rib if route.segments[-1].kind == "set"}
    return [
        {"prefix": str(prefix), "origins": sorted(asns), "through_set": prefix in through}
        for prefix, asns in moas(case.rib, sets=True).items()
    ]


def moas_ever(case: Case) -> Lines:
    lines: Lines = []
    for prefix, asns in moas(case.announced).items():
        for asn in asns:
            own = [route for route in case.announced if prefix_of(route) == prefix and origin(route) == asn]
            line = {"prefix": str(prefix), "origin": asn, "peers": len(by_peer(own))}
            lines.append({**line, "first": min(route.time for route in own)})
    return lines


def moas_pairs(case: Case) -> Lines:
    pairs = Counter(pair for asns in moas(case.rib).values() for pair in combinations(sorted(asns), 2))
    lines = [{"first": first, "second": second, "prefixes": count} for (first, second), count in pairs.items()]
    return sorted(lines, key=lambda line: (-line["prefixes"], line["first"], line["second"]))


def moas_count(case: Case) -> Lines:
    lines: Lines = []
    for version in (4, 6):
        counts = [len(asns) for prefix, asns in origins_by_prefix(case.rib).items() if prefix.version == version]
        line = {"version": version, "prefixes": len(counts), "moas": len([count for count in counts if count > 1])}
        lines.append({**line, "largest": max([0, *counts])})
    return lines


def hijack_origin(case: Case) -> Lines:
    known = origins_by_prefix(case.rib)
    found: dict[tuple[Prefix, int], list[Route]] = defaultdict(list)
    for suspect in origin_changes(case.announced, known):
        found[suspect.covering, origin(suspect.route) or 0].append(suspect.route)
    return [
        {"prefix": str(prefix), "origin": asn, "expected": sorted(known[prefix]), "first": routes[0].time}
        | {"peers": len(by_peer(routes))}
        for (prefix, asn), routes in found.items()
    ]


def hijack_subprefix(case: Case) -> Lines:
    known = {prefix: frozenset[int]() for prefix in by_prefix(case.rib)} | origins_by_prefix(case.rib)
    found = {
        (prefix_of(suspect.route), origin(suspect.route)): suspect
        for suspect in subprefix_announcements(case.announced, known)
    }
    return [
        {"prefix": str(prefix), "origin": asn, "covering": str(suspect.covering), "owners": sorted(suspect.expected)}
        for (prefix, asn), suspect in found.items()
    ]


def _vrps(text: str) -> Vrps:
    rows = (line.split() for line in text.splitlines())
    return Vrps(Vrp(parse_prefix(prefix), int(length), int(asn)) for prefix, length, asn in rows)


def hijack_roa(case: Case) -> Lines:
    vrps = _vrps(
        "10.64.0.0/12 16 64501\n10.65.0.0/16 16 64502\n10.68.0.0/22 24 65537\n10.72.0.0/16 16 64501\n"
        "10.73.0.0/16 24 64502\n10.96.0.0/16 16 64501\n10.97.0.0/16 16 64503\n10.98.0.0/22 24 65537\n"
        "2001:db8:4000::/34 40 64501"
    )
    pairs = {(prefix_of(route), route.origin_asn) for route in case.rib}
    return [{"prefix": str(prefix), "origin": asn, "state": validate(prefix, asn, vrps)} for prefix, asn in pairs]


def hijack_invalid(case: Case) -> Lines:
    vrps = _vrps(
        "172.16.0.0/16 20 64508\n172.16.0.0/16 16 64509\n172.18.0.0/15 24 64511\n172.24.0.0/15 16 64508\n"
        "2001:db8:8000::/36 48 64508\n2001:db8:8000::/48 64 64510"
    )
    pairs = {(prefix_of(route), route.origin_asn) for route in case.announced}
    return [
        {"prefix": str(prefix), "origin": asn}
        | {"reason": "length" if any(vrp.asn == asn for vrp in vrps.covering(prefix)) else "origin"}
        for prefix, asn in pairs
        if validate(prefix, asn, vrps) == "invalid"
    ]


def hijack_leak(case: Case) -> Lines:
    customers = "64500|64499 64499|64501 65538|64501 64499|64502 65539|64502 65539|64503"
    peers = "65538|65539|0 64500|65538|0"
    known = parse_relationships([*(f"{pair}|-1" for pair in customers.split()), *peers.split()])
    found: dict[tuple[int, str], tuple[set[int], set[int]]] = defaultdict(lambda: (set(), set()))
    for route in case.announced:
        for leak in leaks(route.segments, known):
            found[leak.asn, route.prefix][0].add(leak.learned_from)
            found[leak.asn, route.prefix][1].add(leak.sent_to)
    return [
        {"leaker": asn, "prefix": prefix, "received_from": sorted(received), "passed_to": sorted(passed)}
        for (asn, prefix), (received, passed) in found.items()
    ]


def hijack_edge(case: Case) -> Lines:
    def plain(routes: Iterable[Route]) -> list[Route]:
        return [route for route in routes if all(kind == "sequence" for kind, _ in route.segments)]

    known = {path_edges(route.segments)[-1] for route in plain(case.rib) if path_edges(route.segments)}
    origins = {origin(route) for route in plain(case.rib)}
    found: dict[tuple[int, int], set[str]] = defaultdict(set)
    for route in plain(case.announced):
        for edge in path_edges(route.segments)[-1:]:
            if edge[1] in origins and edge not in known:
                found[edge].add(route.prefix)
    return [
        {"neighbor": left, "origin": right, "prefixes": sorted(prefixes)} for (left, right), prefixes in found.items()
    ]


def communities_ranking(case: Case) -> Lines:
    tagged: dict[str, list[Route]] = defaultdict(list)
    for route in case.announced:
        for community in set(route.communities):
            tagged[community].append(route)
    lines = [
        {"community": community, "prefixes": len(by_prefix(routes)), "announcements": len(routes)}
        for community, routes in tagged.items()
    ]
    return sorted(lines, key=lambda line: (-line["prefixes"], [int(half) for half in line["community"].split(":")]))


def communities_blackhole(case: Case) -> Lines:
    return [
        {"prefix": str(prefix), "host": prefix.length == prefix.bits}
        | {"origins": sorted({asn for route in routes for asn in path_origins(route.segments)})}
        | {"first": routes[0].time}
        for prefix, routes in by_prefix(blackholed(case.announced)).items()
    ]


def communities_offpath(case: Case) -> Lines:
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for route in case.announced:
        for community in route.communities:
            asn = int(community.split(":")[0])
            if asn not in (0, 65535, *route.hops):
                found[asn].append((community, route.prefix))
    return [
        {"asn": asn, "communities": sorted({one for one, _ in seen}), "prefixes": len({prefix for _, prefix in seen})}
        for asn, seen in found.items()
    ]


def communities_untagged(case: Case) -> Lines:
    def is_tagged(route: Route) -> bool:
        return any(community.startswith(f"{route.peer_asn}:") for community in route.communities)

    lines: Lines = []
    for peer, routes in by_peer(case.rib).items():
        untagged = [route for route in routes if not is_tagged(route)]
        if peer.asn <= 65535 and untagged:
            counts = {"untagged": len(untagged), "routes": len(routes)}
            lines.append({"asn": peer.asn, "address": peer.address, **counts})
    return lines


def visibility_peers(case: Case) -> Lines:
    return [
        {"prefix": str(prefix), "sessions": len(by_peer(routes)), "ases": len({route.peer_asn for route in routes})}
        for prefix, routes in by_prefix(case.rib).items()
    ]


def visibility_partial(case: Case) -> Lines:
    total = {version: len(by_peer(route for route in case.rib if route.version == version)) for version in (4, 6)}
    return [
        {"prefix": str(prefix), "peers": len(by_peer(routes)), "of": total[prefix.version]}
        for prefix, routes in by_prefix(case.rib).items()
        if len(by_peer(routes)) / total[prefix.version] < 0.5
    ]


def lengths_histogram(case: Case) -> Lines:
    return [
        {"version": version, "length": length, "prefixes": count}
        for version in (4, 6)
        for length, count in sorted(length_distribution(case.rib, version).items())
    ]


def lengths_limits(case: Case) -> Lines:
    return [
        {"prefix": str(prefix), "excess": prefix.length - {4: 24, 6: 48}[prefix.version]}
        | {"blackhole": len(list(blackholed(routes))) == len(routes)}
        for prefix, routes in by_prefix(case.announced).items()
        if prefix.length > {4: 24, 6: 48}[prefix.version]
    ]


def lengths_covered(case: Case) -> Lines:
    prefixes, origins = by_prefix(case.rib), origins_by_prefix(case.rib)
    lines: Lines = []
    for prefix in prefixes:
        for parent in covering_prefixes(prefixes, prefix)[-1:]:
            is_redundant = prefix in origins and origins[prefix] == origins.get(parent)
            kind = "redundant" if is_redundant else "different"
            lines.append({"prefix": str(prefix), "parent": str(parent), "kind": kind})
    return lines


def lengths_space(case: Case) -> Lines:
    lines: Lines = []
    for peer, routes in by_peer(case.rib).items():
        own = PrefixMap((prefix_of(route), None) for route in routes if route.version == 4)
        tops = [prefix for prefix in own if next(own.covering(prefix)) == prefix]
        addresses = sum(1 << (32 - prefix.length) for prefix in tops)
        lines.append({"asn": peer.asn, "address": peer.address, "addresses": addresses})
    return lines


def ipv6_dual(case: Case) -> Lines:
    found: dict[int, dict[int, set[Prefix]]] = defaultdict(lambda: {4: set(), 6: set()})
    for route in case.rib:
        for asn in path_origins(route.segments, sets=True):
            found[asn][route.version].add(prefix_of(route))
    stacks = {(True, True): "dual", (True, False): "ipv4", (False, True): "ipv6"}
    return [
        {"origin": asn, "ipv4": len(own[4]), "ipv6": len(own[6]), "stack": stacks[bool(own[4]), bool(own[6])]}
        for asn, own in sorted(found.items())
    ]


ANSWERS: dict[str, Callable[[Case], Lines]] = {
    "test/filter-peers": filter_peers,
    "test/filter-through-as": filter_through_as,
    "test/filter-inside": filter_inside,
    "test/filter-families": filter_families,
    "test/filter-window": filter_window,
    "test/filter-next-hops": filter_next_hops,
    "test/filter-origin": filter_origin,
    "test/filter-loops": filter_loops,
    "test/moas-rib": moas_rib,
    "test/moas-set-members": moas_set_members,
    "test/moas-ever": moas_ever,
    "test/moas-pairs": moas_pairs,
    "test/hijack-origin": hijack_origin,
    "test/hijack-subprefix": hijack_subprefix,
    "test/hijack-roa": hijack_roa,
    "test/hijack-leak": hijack_leak,
    "test/hijack-edge": hijack_edge,
    "test/communities-ranking": communities_ranking,
    "test/communities-blackhole": communities_blackhole,
    "test/communities-offpath": communities_offpath,
    "test/communities-untagged": communities_untagged,
    "test/visibility-peers": visibility_peers,
    "test/visibility-partial": visibility_partial,
    "test/lengths-histogram": lengths_histogram,
    "test/lengths-limits": lengths_limits,
    "test/lengths-covered": lengths_covered,
    "test/lengths-space": lengths_space,
    "test/ipv6-dual": ipv6_dual,
    "dev/moas-count": moas_count,
    "dev/hijack-invalid": hijack_invalid,
}
"""The second answer to a task, by split and name."""
