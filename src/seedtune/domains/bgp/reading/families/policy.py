"""Questions that need a rule besides the routes: origin validation, relationships, communities."""

from collections.abc import Sequence

from seedtune.domains.bgp.analyses import (
    Prefix,
    Relationships,
    Vrp,
    Vrps,
    blackholed,
    community_asns,
    leaks,
    path_edges,
    prefix_of,
    route_validity,
    valley_free,
)
from seedtune.domains.bgp.mrt import Route
from seedtune.domains.bgp.reading.draw import YES_NO, Case, Draw, Family, Shown, only
from seedtune.domains.bgp.reading.formats import Column
from seedtune.domains.bgp.reading.renaming import WELL_KNOWN_ASN

_STATES = ("valid", "invalid", "not-found")
_MOST_SPECIFIC = {4: 24, 6: 48}
_LIKE_IT = 0.5
_GRACEFUL_SHUTDOWN = f"{WELL_KNOWN_ASN}:0"


def _vrp(draw: Draw, route: Route, asn: int | None = None) -> Vrp:
    """A VRP whose prefix covers that of the route, with the AS given or the route's own."""
    prefix = prefix_of(route)
    length = max(prefix.length - draw.rng.choice((0, 0, 1, 2, 4)), draw.names.range_length(prefix))
    cover = Prefix(prefix.version, prefix.number >> (prefix.bits - length) << (prefix.bits - length), length)
    most = max(length, min(prefix.length + draw.rng.choice((-2, 0, 0, 2)), _MOST_SPECIFIC[prefix.version]))
    return Vrp(cover, most, asn if asn is not None else route.hops[-1])


def _rpki(draw: Draw) -> Case | None:
    wanted = draw.wanted or draw.rng.choice(_STATES)
    routes = draw.routes(draw.size(2, 4, 6), version=draw.version())
    route = draw.rng.choice(routes)
    others = [other for other in routes if other is not route]
    if not others:
        return None
    # Its own AS among the VRPs of others must not give the answer away.
    vrps = [_vrp(draw, other, route.hops[-1] if draw.rng.random() < _LIKE_IT else None) for other in others]
    if wanted != "not-found":
        vrps.append(_vrp(draw, route, None if draw.rng.random() < 0.7 else others[0].hops[-1]))
    if wanted != "not-found" and draw.level == 3:
        vrps.append(_vrp(draw, route, others[-1].hops[-1]))
    draw.rng.shuffle(vrps)
    if route.origin_asn is None or route_validity(route, Vrps(vrps)) != wanted:
        return None
    lines = [f"{vrp.prefix} max {vrp.max_length} AS{vrp.asn}" for vrp in vrps]
    shown = draw.show([route], ("prefix", "path")) if draw.level > 1 else Shown(f"{route.prefix} {route.as_path}")
    text = f"{shown.text}\n\nVRPs:\n" + "\n".join(lines)
    return draw.case(Shown(text, shown.about), wanted, {"prefix": route.prefix}, _STATES)


def _blackhole(draw: Draw) -> Case | None:
    routes = draw.routes(draw.size(2, 4, 8), draw.recording.blackholed)
    marked = next(blackholed(routes), None)
    if marked is None:
        return None
    # The length of a host route must not give the prefix away: some others get it too.
    routes = [
        draw.changed(route, draw.names.block(route.version, marked.length))
        if route.version == marked.version and route is not marked and draw.rng.random() < _LIKE_IT
        else route
        for route in routes
    ]
    # Nor must the first half of the community: others carry the one for a graceful shutdown (RFC 8326).
    routes = [
        draw.tagged(route, (*route.communities, _GRACEFUL_SHUTDOWN))
        if prefix_of(route) != prefix_of(marked) and draw.rng.random() < _LIKE_IT
        else route
        for route in routes
    ]
    found = [route.prefix for route in blackholed(routes)]
    if len(found) != 1 or len(routes) < 2:
        return None
    return draw.case(draw.show(routes, ("prefix", "communities")), only(found))


def _community(draw: Draw) -> Case | None:
    """How many communities of a route an AS defines."""
    routes = draw.routes(draw.size(1, 3, 6), draw.recording.communities)
    tagged = [route for route in routes if len(route.communities) > 1] or [r for r in routes if r.communities]
    if not tagged:
        return None
    route = draw.rng.choice(tagged)
    defined = [text.partition(":")[0] for text in route.communities]
    more = [
        f"{draw.rng.choice(defined)}:{value}" for value in draw.rng.sample(range(1000, 5000), draw.rng.randint(0, 2))
    ]
    place = routes.index(route)
    routes[place] = route = draw.tagged(route, draw.some(dict.fromkeys((*route.communities, *more)), 8))
    counts = community_asns([route])
    fitting = [asn for asn, count in sorted(counts.items()) if asn and draw.suits(count)]
    if not fitting:
        return None
    asn = draw.rng.choice(fitting)
    columns: tuple[Column, ...] = ("prefix", "communities")
    return draw.case(draw.show(routes, columns), counts[asn], {"prefix": route.prefix, "asn": asn})


def _relationships(draw: Draw, routes: Sequence[Route]) -> list[tuple[int, int, int]]:
    """The renamed relationships along the paths, those of other ASes too on level 3."""
    edges = {frozenset(edge) for route in routes for edge in path_edges(route.segments)}
    known = [(draw.names.asn(a), draw.names.asn(b), kind) for a, b, kind in draw.recording.relationships]
    own = [each for each in known if frozenset(each[:2]) in edges]
    other = [each for each in known if frozenset(each[:2]) not in edges]
    chosen = own + (draw.some(other, 3) if draw.level == 3 else [])
    draw.rng.shuffle(chosen)
    return chosen


def _with_relationships(draw: Draw, routes: Sequence[Route], known: Sequence[tuple[int, int, int]]) -> Shown:
    spoken = draw.rng.random() < 0.5 or draw.level == 1
    if spoken:
        lines = [f"{a} is a provider of {b}" if kind else f"{a} and {b} are peers" for a, b, kind in known]
    else:
        lines = [f"{a}|{b}|{kind}" for a, b, kind in known]
    title = "Relationships:" if spoken else "Relationships (provider|customer|-1, peer|peer|0):"
    if draw.level == 1:
        shown = Shown(f"AS path: {routes[0].as_path}")
    else:
        shown = draw.show(routes, ("prefix", "path"), marks=False)
    return Shown(f"{shown.text}\n\n{title}\n" + "\n".join(lines), shown.about)


def _valley_free(draw: Draw) -> Case | None:
    # Leaked paths are longer: each answer gets as many of a length as the other.
    if not draw.recording.alike:
        return None
    leaked, clean = draw.rng.choice(draw.recording.alike)
    route = draw.names.route(draw.rng.choice(leaked if draw.wanted == "no" else clean))
    known = _relationships(draw, [route])
    found = valley_free(route.segments, Relationships(known))
    if found is None or not draw.suits("yes" if found else "no"):
        return None
    shown = _with_relationships(draw, [route], known)
    return draw.case(shown, "yes" if found else "no", {"prefix": route.prefix})


def _leaker(draw: Draw) -> Case | None:
    """Which AS passed a route on against its relationships."""
    route = draw.names.route(draw.rng.choice(draw.recording.leaked))
    routes = [route]
    if draw.level == 3 and draw.recording.clean:
        routes += [draw.names.route(each) for each in draw.some(draw.recording.clean, 2)]
    routes = list({prefix_of(each): each for each in reversed(routes)}.values())
    draw.rng.shuffle(routes)
    known = _relationships(draw, routes)
    found = {leak.asn for each in routes for leak in leaks(each.segments, Relationships(known))}
    if len(found) != 1:
        return None
    return draw.case(_with_relationships(draw, routes, known), only(found))


POLICY: dict[str, Family] = {
    "rpki": Family("word", _rpki, "security", "RFC 6811, Section 2", answers=_STATES),
    "blackhole": Family(
        "prefix", _blackhole, "communities", "RFC 7999, Section 5", where=lambda recording: recording.blackholed
    ),
    "community": Family(
        "integer",
        _community,
        "communities",
        "RFC 8195, Section 2.2",
        where=lambda recording: recording.communities,
        answers=tuple("1234"),
    ),
    "valley_free": Family(
        "yes_no",
        _valley_free,
        "policy",
        "RFC 7908, Section 3",
        where=lambda recording: recording.alike,
        answers=YES_NO,
    ),
    "leaker": Family("asn", _leaker, "incidents", "RFC 7908, Section 3", (2, 3), lambda recording: recording.leaked),
}
