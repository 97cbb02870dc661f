"""Questions about AS paths: who originates, who comes before it, how long, who prepends."""

from seedtune.domains.bgp.analyses import collapsed, neighbors, path_length, path_origins, prepending
from seedtune.domains.bgp.mrt import Route
from seedtune.domains.bgp.reading.draw import Case, Draw, Family, numbers_text, only


def _origin_as(draw: Draw) -> Case | None:
    routes = draw.routes(draw.size(2, 4, 9), version=draw.version())
    route = draw.rng.choice(routes)
    origins = path_origins(route.segments)
    if len(origins) != 1:
        return None
    return draw.case(draw.show(routes, ("prefix", "path")), only(origins), {"prefix": route.prefix})


def _upstream(draw: Draw) -> Case | None:
    """The AS before the origin, prepends collapsed."""
    routes = draw.routes(draw.size(1, 4, 8), version=draw.version())
    route = draw.rng.choice(routes)
    hops = collapsed(route.segments)
    if len(hops) < 3 or len(path_origins(route.segments)) != 1:
        return None
    return draw.case(draw.show(routes, ("prefix", "path")), hops[-2], {"prefix": route.prefix})


def _upstreams(draw: Draw) -> Case | None:
    """All ASes before one AS in the paths of several routes to its prefixes; another AS has as many routes."""
    size = draw.size(2, 4, 8)
    table = draw.recording.table
    origin, other = draw.rng.choice(table).origin_asn, draw.rng.choice(table).origin_asn
    if origin is None or other in (None, origin):
        return None
    chosen = [
        route
        for asn, count in ((origin, size - size // 2), (other, size // 2))
        for route in draw.some([each for each in table if each.origin_asn == asn], count)
    ]
    routes = [draw.names.route(route) for route in chosen]
    asn = draw.names.asn(origin)
    found = neighbors(routes, asn).left
    if not found or len(found) > 4:
        return None
    draw.rng.shuffle(routes)
    return draw.case(draw.show(routes, ("prefix", "path")), numbers_text(found), {"asn": asn})


def _repeated(draw: Draw, route: Route) -> Route:
    """The route with more copies of an AS; one with an AS_SET as it is."""
    if any(segment.kind == "set" for segment in route.segments):
        return route
    return draw.prepended(route, draw.rng.choice(route.hops), draw.rng.randint(1, 3))


def _with_prepends(draw: Draw, count: int) -> tuple[list[Route], Route] | None:
    """Routes, and one of them in whose path an AS stands several times; the copies are the recording's or ours.

    Other routes have some too: it takes the prefix to find the one that is asked about.
    """
    routes = draw.routes(count, draw.recording.prepended, draw.version())
    place = draw.rng.randrange(len(routes)) if routes else 0
    if not routes or any(segment.kind == "set" for segment in routes[place].segments):
        return None
    for at, route in enumerate(routes):
        if draw.rng.random() < 0.5 or (at == place and not prepending(route.segments)):
            routes[at] = _repeated(draw, route)
    return routes, routes[place]


def _path_length(draw: Draw) -> Case | None:
    """As best-path selection counts it: prepends count, a set is one."""
    routes = draw.routes(draw.size(1, 4, 8), draw.recording.with_sets, draw.version())
    if not routes:
        return None
    routes = [_repeated(draw, route) if draw.rng.random() < 0.5 else route for route in routes]
    route = draw.rng.choice(routes)
    length = path_length(route.segments)
    if not draw.suits(length):
        return None
    return draw.case(draw.show(routes, ("prefix", "path")), length, {"prefix": route.prefix})


def _unique_hops(draw: Draw) -> Case | None:
    found = _with_prepends(draw, draw.size(1, 4, 8))
    if found is None:
        return None
    routes, route = found
    answer = path_length(route.segments, prepends=False)
    if not draw.suits(answer):
        return None
    return draw.case(draw.show(routes, ("prefix", "path")), answer, {"prefix": route.prefix})


def _prepender(draw: Draw) -> Case | None:
    found = _with_prepends(draw, draw.size(1, 3, 8))
    if found is None:
        return None
    routes, route = found
    copies = prepending(route.segments)
    if len(copies) != 1:
        return None
    return draw.case(draw.show(routes, ("prefix", "path")), only(copies), {"prefix": route.prefix})


def _prepend_count(draw: Draw) -> Case | None:
    found = _with_prepends(draw, draw.size(1, 3, 8))
    if found is None:
        return None
    routes, route = found
    asn, extra = draw.rng.choice(sorted(prepending(route.segments).items()))
    if not draw.suits(extra):
        return None
    return draw.case(draw.show(routes, ("prefix", "path")), extra, {"prefix": route.prefix, "asn": asn})


def _as_set(draw: Draw) -> Case | None:
    """The members of the AS_SET of one route; from level 2 on another route has one too, made here."""
    routes = draw.routes(draw.size(1, 3, 7), draw.recording.with_sets)
    if draw.level > 1:
        plain = [at for at, route in enumerate(routes) if route.origin_asn is not None and len(route.hops) > 1]
        if not plain:
            return None
        at = draw.rng.choice(plain)
        known = sorted({asn for edge in draw.recording.relationships for asn in edge[:2]})
        members = [draw.names.asn(asn) for asn in draw.some(known, draw.rng.randint(2, 3))]
        if set(members) & set(routes[at].hops):
            return None
        routes[at] = draw.aggregated(routes[at], members)
    with_set = [route for route in routes if any(segment.kind == "set" for segment in route.segments)]
    if len(with_set) != min(draw.level, 2):
        return None
    route = draw.rng.choice(with_set)
    members = path_origins(route.segments, sets=True)
    if not members or path_origins(route.segments):
        return None
    return draw.case(draw.show(routes, ("prefix", "path")), numbers_text(members), {"prefix": route.prefix})


def _next_hop(draw: Draw) -> Case | None:
    routes = draw.routes(draw.size(2, 4, 9), version=draw.version())
    route = draw.rng.choice(routes)
    if not route.next_hop:
        return None
    # Of IPv6 routes bgpdump prints the next hop too, but not in its long form.
    return draw.case(draw.show(routes, ("prefix", "next_hop")), route.next_hop, {"prefix": route.prefix})


def _path_of(draw: Draw) -> Case | None:
    """The path without repeats of prepending."""
    found = _with_prepends(draw, draw.size(1, 3, 7))
    if found is None:
        return None
    routes, route = found
    answer = " ".join(map(str, collapsed(route.segments)))
    return draw.case(draw.show(routes, ("prefix", "path")), answer, {"prefix": route.prefix})


_PATH = "RFC 4271, Section 5.1.2"

PATHS: dict[str, Family] = {
    "origin_as": Family("asn", _origin_as, "attributes", _PATH),
    "upstream": Family("asn", _upstream, "attributes", _PATH),
    "upstreams": Family("asns", _upstreams, "attributes", _PATH, (2, 3)),
    "path_length": Family("integer", _path_length, "decision", "RFC 4271, Section 9.1.2.2", answers=tuple("23456")),
    "unique_hops": Family("integer", _unique_hops, "attributes", _PATH, answers=tuple("12345")),
    "prepender": Family("asn", _prepender, "policy", _PATH),
    "prepend_count": Family("integer", _prepend_count, "policy", _PATH, answers=tuple("1234")),
    "clean_path": Family("path", _path_of, "attributes", _PATH),
    "as_set": Family(
        "asns", _as_set, "policy", "RFC 4271, Section 9.2.2.2", where=lambda recording: recording.with_sets
    ),
    "next_hop": Family("address", _next_hop, "attributes", "RFC 4271, Section 5.1.3"),
}
