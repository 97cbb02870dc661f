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
    """All ASes before one AS in the paths of several routes to its prefixes."""
    size = draw.size(2, 4, 8)
    origin = draw.rng.choice(draw.recording.table).origin_asn
    own = [route for route in draw.recording.table if route.origin_asn == origin]
    chosen = draw.some(own, max(2, size - 2)) + draw.some(draw.recording.table, size - 2)
    routes = [draw.names.route(route) for route in chosen]
    if origin is None:
        return None
    asn = draw.names.asn(origin)
    found = neighbors(routes, asn).left
    if not found or len(found) > 4:
        return None
    draw.rng.shuffle(routes)
    return draw.case(draw.show(routes, ("prefix", "path")), numbers_text(found), {"asn": asn})


def _with_prepends(draw: Draw, count: int) -> tuple[list[Route], Route] | None:
    """Routes, and one of them in whose path an AS stands several times; the copies are the recording's or ours."""
    routes = draw.routes(count, draw.recording.prepended, draw.version())
    place = draw.rng.randrange(len(routes)) if routes else 0
    if not routes or any(segment.kind == "set" for segment in routes[place].segments):
        return None
    if not prepending(routes[place].segments) or draw.rng.random() < 0.5:
        asn = draw.rng.choice(routes[place].hops)
        routes[place] = draw.prepended(routes[place], asn, draw.rng.randint(1, 3))
    return routes, routes[place]


def _path_length(draw: Draw) -> Case | None:
    """As best-path selection counts it: prepends count, a set is one."""
    routes = draw.routes(draw.size(1, 4, 8), draw.recording.with_sets, draw.version())
    if not routes:
        return None
    place = draw.rng.randrange(len(routes))
    if draw.rng.random() < 0.5 and all(segment.kind == "sequence" for segment in routes[place].segments):
        asn = draw.rng.choice(routes[place].hops)
        routes[place] = draw.prepended(routes[place], asn, draw.rng.randint(1, 3))
    route = routes[place]
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
    routes = draw.routes(draw.size(1, 3, 7), draw.recording.with_sets)
    with_set = [route for route in routes if any(segment.kind == "set" for segment in route.segments)]
    if len(with_set) != 1:
        return None
    members = path_origins(with_set[0].segments, sets=True)
    if not members or path_origins(with_set[0].segments):
        return None
    shown = draw.show(routes, ("prefix", "path"))
    return draw.case(shown, numbers_text(members), {"prefix": with_set[0].prefix})


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
