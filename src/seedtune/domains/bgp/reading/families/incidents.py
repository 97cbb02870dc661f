"""Questions about origins: several of one prefix, new ones, and parts of prefixes that another AS announces."""

from collections.abc import Sequence
from functools import partial

from seedtune.domains.bgp.analyses import (
    Prefix,
    moas,
    origin_changes,
    origins_by_prefix,
    path_origins,
    prefix_of,
    subprefix_announcements,
)
from seedtune.domains.bgp.mrt import Route
from seedtune.domains.bgp.reading import formats
from seedtune.domains.bgp.reading.draw import YES_NO, Case, Draw, Family, Shown, at_once, numbers_text, only
from seedtune.domains.bgp.reading.recordings import Moment, Recording


def _routes_to_one(draw: Draw, moment: Moment, source: Prefix, count: int) -> list[Route]:
    """Renamed routes of so many peers to one prefix, of each origin one at least; empty where there are too few.

    The prefix gets the length of any other, so that it does not tell what it stands for.
    """
    routes = moment.held[source]
    if any(route.origin_asn is None for route in routes):
        return []
    by_origin = {route.origin_asn: route for route in draw.some(routes, len(routes))}
    chosen = draw.some(by_origin.values(), count)
    chosen += draw.some([route for route in routes if route not in chosen], count - len(chosen))
    length = prefix_of(draw.rng.choice(draw.recording.by_version[source.version])).length
    prefix = draw.names.block(source.version, length)
    return [draw.changed(draw.names.route(route), prefix) for route in chosen] if len(chosen) == count else []


def _table_of_one_moment(draw: Draw, several: bool) -> tuple[list[Route], Prefix] | None:
    """One route for each peer and prefix, and a prefix with several origins or with one.

    Beside it stand prefixes of either sort; their paths are as often those of the first one, whatever sort this is.
    """
    moment = draw.rng.choice(draw.recording.moas)
    contested = moment.prefix
    quiet = draw.rng.choice(
        [
            prefix
            for prefix, routes in moment.held.items()
            if prefix.version == contested.version and not moas(routes) and len(routes) > 1
        ]
    )
    asked = _routes_to_one(draw, moment, contested if several else quiet, draw.size(2, 3, 4))
    if not asked:
        return None
    routes = list(asked)
    for count in ((), (2,), (2, 3))[draw.level - 1]:
        routes += _routes_to_one(draw, moment, draw.rng.choice((contested, quiet)), count)
    draw.rng.shuffle(routes)
    return routes, prefix_of(asked[0])


def _moas(draw: Draw) -> Case | None:
    found = _table_of_one_moment(draw, several=draw.wanted != "no")
    if found is None:
        return None
    routes, prefix = found
    answer = "yes" if prefix in moas(routes) else "no"
    if not draw.suits(answer):
        return None
    return draw.case(draw.show(routes, ("prefix", "path")), answer, {"prefix": prefix})


def _origins(draw: Draw) -> Case | None:
    found = _table_of_one_moment(draw, draw.rng.random() < 0.8)
    if found is None:
        return None
    routes, prefix = found
    answer = numbers_text(origins_by_prefix(routes)[prefix])
    return draw.case(draw.show(routes, ("prefix", "path")), answer, {"prefix": prefix})


class _Story:
    """Renamed routes before and after something happened, for a comparison of both."""

    def __init__(self, draw: Draw, version: int) -> None:
        self._draw = draw
        self._version = version
        self._prefixes: set[Prefix] = set()
        self.before: list[Route] = []
        self.after: list[Route] = []

    def hold(self, route: Route) -> None:
        """Show a route of the recording's table before."""
        if prefix_of(route) not in self._prefixes:
            self.before.append(self._draw.names.route(route))
        self._prefixes.add(prefix_of(route))

    def announce(self, route: Route) -> None:
        """Show a route of the recording after."""
        self.after.append(self._draw.names.route(route))
        self._prefixes.add(prefix_of(route))

    def keep(self, count: int) -> None:
        """So many prefixes before, of which some are announced again by any peer: the path changes, not the origin."""
        for route in self._others(count):
            self.hold(route)
            every = self._draw.recording.by_prefix[prefix_of(route)]
            for each in self._draw.some(every, self._draw.rng.choice((0, 1, 1, 2))):
                self.announce(each)

    def add(self, count: int, length: int | None = None) -> None:
        """So many prefixes that were not there before and have nothing to do with those that were."""
        for route in self._others(count):
            new = self._draw.names.route(route)
            self._prefixes.add(prefix_of(route))
            block = self._draw.names.block(self._version, length) if length else prefix_of(new)
            self.after.append(self._draw.changed(new, block))

    def split(self, count: int, length: int) -> None:
        """So many parts of prefixes from before, announced by the origin of the whole."""
        wholes = [route for route in self.before if route.length < length and route.origin_asn is not None]
        for whole in self._draw.some(wholes * count, count):
            bits = self._draw.rng.getrandbits(length - whole.length)
            number = whole.network_number | bits << (prefix_of(whole).bits - length)
            self.after.append(self._draw.changed(whole, Prefix(whole.version, number, length)))

    def _others(self, count: int) -> list[Route]:
        table = self._draw.recording.by_version[self._version]
        fresh = self._draw.some(table, 4 * count)
        by_prefix = {prefix_of(route): route for route in fresh if prefix_of(route) not in self._prefixes}
        return [route for route in by_prefix.values() if route.version == self._version][:count]

    def shown(self) -> Shown:
        """Two excerpts in one format: a table, and what was announced after it; each in random order."""
        draw, before = self._draw, at_once(self.before)
        draw.rng.shuffle(before)
        draw.rng.shuffle(self.after)
        latest = max(route.time for route in (*before, *self.after))
        after = draw.in_turn([route._replace(time=latest) for route in self.after])
        dump = partial(_both, formats.bgpdump_lines(before, "rib"), formats.bgpdump_lines(after), "`bgpdump -m`")
        tables = [partial(_both_tables, render, before, after) for render in draw.some(formats.TABLES, 3)]
        return draw.fitting([dump, *tables] if draw.level > 1 and draw.rng.random() < 0.5 else tables)


def _both(before: str, after: str, about: str = "") -> Shown:
    return Shown(f"Before:\n{before}\n\nAfter:\n{after}", about)


def _both_tables(render: formats.Renderer, before: Sequence[Route], after: Sequence[Route]) -> Shown:
    columns: tuple[formats.Column, ...] = ("prefix", "path")
    return _both(render(before, columns, False), render(after, columns, False))


def _begin(draw: Draw, changed: Sequence[Route]) -> tuple[_Story, Route, Route] | None:
    """A story with a held route before and a new one after; both of the recording."""
    route = draw.rng.choice(changed)
    prefix = prefix_of(route)
    held = [each for each in draw.recording.table if prefix_of(each).covers(prefix) and each.origin_asn is not None]
    if not held:
        return None
    story = _Story(draw, route.version)
    old = draw.rng.choice(held)
    story.hold(old)
    story.announce(route)
    # That an AS was not seen before must not tell that it is the new origin.
    own = [each for each in draw.recording.by_version[route.version] if each.origin_asn == route.origin_asn]
    if draw.level > 1 and own and draw.rng.random() < 0.7:
        story.hold(draw.rng.choice(own))
    return story, old, route


def _new_origin(draw: Draw) -> _Story | None:
    """A prefix gets another origin, while another peer may still announce the old one; other prefixes do not."""
    found = _begin(draw, draw.recording.new_origins)
    if found is None:
        return None
    story, old, route = found
    same = draw.recording.by_prefix[prefix_of(old)]
    still = [each for each in same if each.peer_asn != route.peer_asn and each.origin_asn == old.origin_asn]
    if draw.level > 1:
        if still and draw.rng.random() < 0.7:
            story.announce(draw.rng.choice(still))
        story.keep((1, 3)[draw.level == 3])
        story.add(draw.rng.randint(0, 1))
    return story


def _origin_change(draw: Draw) -> Case | None:
    story = _new_origin(draw)
    if story is None:
        return None
    suspects = list(origin_changes(story.after, origins_by_prefix(story.before)))
    new = {asn for suspect in suspects for asn in path_origins(suspect.route.segments)}
    if len(new) != 1:
        return None
    return draw.case(story.shown(), only(new), {"prefix": suspects[0].route.prefix})


def _changed_prefix(draw: Draw) -> Case | None:
    """The same without the prefix in the question, which is the answer."""
    story = _new_origin(draw)
    if story is None:
        return None
    suspects = origin_changes(story.after, origins_by_prefix(story.before))
    prefixes = {suspect.route.prefix for suspect in suspects}
    if len(prefixes) != 1 or len({route.prefix for route in story.after}) < 2:
        return None
    return draw.case(story.shown(), only(prefixes))


def _subprefix(draw: Draw) -> Case | None:
    """Which new prefix is a part of one from before, and of another origin; others are parts, or new, but not both."""
    found = _begin(draw, draw.recording.new_subprefixes)
    if found is None:
        return None
    story, _, route = found
    story.keep((1, 2)[draw.level == 3])
    story.add(1, route.length)
    story.split(draw.rng.randint(1, draw.level - 1), route.length)
    suspects = subprefix_announcements(story.after, origins_by_prefix(story.before))
    prefixes = {suspect.route.prefix for suspect in suspects}
    after = [each.prefix for each in story.after]
    if len(prefixes) != 1 or len(set(after)) < max(2, len(after)):
        return None
    return draw.case(story.shown(), only(prefixes))


def _has_moas(recording: Recording) -> object:
    return recording.moas


def _has_new_origins(recording: Recording) -> object:
    return recording.new_origins


_EXPECTED = "RFC 6811, Section 1"

INCIDENTS: dict[str, Family] = {
    "moas": Family("yes_no", _moas, "incidents", "RFC 4271, Section 5.1.2", where=_has_moas, answers=YES_NO),
    "origins": Family("asns", _origins, "incidents", "RFC 4271, Section 5.1.2", where=_has_moas),
    "origin_change": Family("asn", _origin_change, "incidents", _EXPECTED, where=_has_new_origins),
    "changed_prefix": Family("prefix", _changed_prefix, "incidents", _EXPECTED, (2, 3), _has_new_origins),
    "subprefix": Family(
        "prefix", _subprefix, "incidents", _EXPECTED, (2, 3), where=lambda recording: recording.new_subprefixes
    ),
}
