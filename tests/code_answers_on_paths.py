"""What code tasks on AS paths must print, worked out a second time; see :mod:`code_answers`."""

from collections import Counter, defaultdict
from collections.abc import Callable

from code_answers import Case, Lines, by_peer, by_prefix, origin
from seedtune.domains.bgp.analyses import (
    adjacencies,
    collapsed,
    neighbors,
    origins_by_prefix,
    path_length,
    prefix_of,
    prepending,
)
from seedtune.domains.bgp.mrt import Route


def end_copies(route: Route) -> int:
    """How many times the origin stands at the end of the path; 0 without one."""
    hops = route.hops
    if origin(route) is None:
        return 0
    return next((count for count, asn in enumerate(reversed(hops)) if asn != hops[-1]), len(hops))


def extra_hops(route: Route) -> int:
    return path_length(route.segments) - path_length(route.segments, prepends=False)


def runs(route: Route) -> list[tuple[int, int]]:
    """Each run of an AS in a sequence of the path with its length."""
    found: list[tuple[int, int]] = []
    for kind, asns in route.segments:
        for asn in asns if kind == "sequence" else ():
            if found and found[-1][0] == asn:
                found[-1] = asn, found[-1][1] + 1
            else:
                found.append((asn, 1))
        if kind == "set":
            found.append((0, 1))
    return found


def paths_lengths(case: Case) -> Lines:
    counts = Counter(path_length(route.segments) for route in case.rib)
    return [
        {"length": length, "routes": counts[length], "share": round(counts[length] / len(case.rib), 4)}
        for length in sorted(counts)
    ]


def paths_edges(case: Case) -> Lines:
    return [
        {"low": low, "high": high}
        | {"prefixes": len({prefix_of(route) for route in case.rib if (low, high) in adjacencies([route])})}
        for low, high in sorted(adjacencies(case.rib))
    ]


def paths_transit(case: Case) -> Lines:
    given: dict[int, list[Route]] = defaultdict(list)
    for route in case.rib:
        for asn in {asn for asn, _ in runs(route)[1:-1] if asn}:
            given[asn].append(route)
    lines = [
        {"asn": asn, "prefixes": len(by_prefix(routes)), "peers": len({route.peer_asn for route in routes})}
        for asn, routes in given.items()
    ]
    return sorted(lines, key=lambda line: (-line["prefixes"], line["asn"]))


def paths_choke(case: Case) -> Lines:
    lines: Lines = []
    for prefix, routes in by_prefix(case.rib).items():
        common = frozenset.intersection(*(frozenset(collapsed(route.segments)) for route in routes))
        common -= {origin(route) for route in routes}
        if common and len({route.peer_asn for route in routes}) > 1:
            lines.append({"prefix": str(prefix), "asns": sorted(common)})
    return lines


def paths_neighbors(case: Case) -> Lines:
    asn = int(case.arguments[0])
    found = neighbors(case.rib, asn)
    own = [prefix for prefix, asns in origins_by_prefix(case.rib).items() if asn in asns]
    return [{"left": sorted(found.left), "right": sorted(found.right), "origin_of": len(own)}]


def paths_shortest(case: Case) -> Lines:
    return [
        {"prefix": str(prefix), "shortest": min(lengths), "longest": max(lengths)}
        for prefix, routes in by_prefix(case.rib).items()
        if (lengths := [path_length(route.segments, prepends=False) for route in routes])
    ]


def prepend_origins(case: Case) -> Lines:
    copies: dict[tuple[int | None, str], int] = {}
    for route in case.announced:
        if end_copies(route) > 1:
            key = route.origin_asn, route.prefix
            copies[key] = max(copies.get(key, 0), end_copies(route))
    return [{"origin": asn, "prefix": prefix, "copies": count} for (asn, prefix), count in copies.items()]


def prepend_runs(case: Case) -> Lines:
    asns = sorted({asn for route in case.rib for asn in prepending(route.segments)})
    return [
        {
            "asn": asn,
            "longest": max(length for route in case.rib for one, length in runs(route) if one == asn),
            "prefixes": len(by_prefix(route for route in case.rib if asn in prepending(route.segments))),
            "as_origin": any(route.origin_asn == asn and end_copies(route) > 1 for route in case.rib),
        }
        for asn in asns
    ]


def prepend_share(case: Case) -> Lines:
    def share(routes: list[Route]) -> float | None:
        return round(sum(bool(prepending(route.segments)) for route in routes) / len(routes), 3) if routes else None

    return [
        {"asn": peer.asn, "address": peer.address}
        | {f"ipv{version}": share([route for route in routes if route.version == version]) for version in (4, 6)}
        for peer, routes in by_peer(case.rib).items()
    ]


def prepend_cost(case: Case) -> Lines:
    lines: Lines = []
    for prefix, routes in by_prefix(case.rib).items():
        extra = [extra_hops(route) for route in routes]
        if sum(extra):
            lines.append({"prefix": str(prefix), "mean": round(sum(extra) / len(extra), 2), "largest": max(extra)})
    return lines


def prepend_transit(case: Case) -> Lines:
    found: dict[tuple[int, str], bool] = {}
    for route in case.rib:
        for place, (asn, length) in enumerate(runs(route)[:-1]):
            if asn and length > 1:
                found[asn, route.prefix] = found.get((asn, route.prefix), False) or place == 0
    return [{"asn": asn, "prefix": prefix, "at_peer": at_peer} for (asn, prefix), at_peer in found.items()]


ANSWERS: dict[str, Callable[[Case], Lines]] = {
    "test/paths-lengths": paths_lengths,
    "test/paths-edges": paths_edges,
    "test/paths-transit": paths_transit,
    "test/paths-choke": paths_choke,
    "test/prepend-origins": prepend_origins,
    "test/prepend-runs": prepend_runs,
    "test/prepend-share": prepend_share,
    "test/prepend-cost": prepend_cost,
    "dev/paths-neighbors": paths_neighbors,
    "dev/paths-shortest": paths_shortest,
    "dev/prepend-transit": prepend_transit,
}
"""The second answer to a task, by split and name."""
