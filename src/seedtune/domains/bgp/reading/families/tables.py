"""Questions about tables of routes: which prefix matches, how many there are, which route is the best."""

from collections.abc import Iterable
from ipaddress import ip_address

from seedtune.domains.bgp.analyses import (
    Event,
    Prefix,
    PrefixMap,
    Table,
    covering_prefixes,
    length_distribution,
    longest_match,
    make_withdrawal,
    more_specifics,
    peer_of,
    prefix_bogon,
    prefix_of,
)
from seedtune.domains.bgp.mrt import Route
from seedtune.domains.bgp.reading.decision import best_route
from seedtune.domains.bgp.reading.draw import Case, Draw, Family, Shown, only
from seedtune.domains.bgp.reading.formats import Column

_BLOCK_LENGTHS = {4: (13, 18), 6: (36, 42)}
_LONGEST = {4: 26, 6: 56}
_NEAR_MISSES = 0.7


def _cut(number: int, bits: int, length: int) -> int:
    """An address with its host bits cut."""
    return number >> (bits - length) << (bits - length)


def _nested(draw: Draw, count: int) -> tuple[list[Route], Prefix, int]:
    """Routes to prefixes of one block, some inside each other; the block; an address that some of them cover."""
    version = draw.version()
    block = draw.names.block(version, draw.rng.randint(*_BLOCK_LENGTHS[version]))
    longest, bits = _LONGEST[version], block.bits
    low = draw.rng.getrandbits(bits - longest) or 1 if version == 4 else draw.rng.randint(1, 255)
    address = block.number | draw.rng.getrandbits(longest - block.length) << (bits - longest) | low
    lengths = draw.rng.sample(range(block.length, longest), min(count, draw.rng.randint(1, 3)))
    prefixes = {Prefix(version, _cut(address, bits, length), length) for length in lengths}
    while len(prefixes) < count:
        # Near misses: the address with one bit of the prefix turned.
        length = draw.rng.randint(block.length + 1, longest)
        turned = address ^ 1 << (bits - draw.rng.randint(block.length + 1, length))
        prefixes.add(Prefix(version, _cut(turned, bits, length), length))
    chosen = draw.some(sorted(prefixes), count)
    table = draw.recording.by_version[version]
    routes = [
        draw.changed(draw.names.route(route), prefix)
        for route, prefix in zip(draw.rng.choices(table, k=count), chosen, strict=True)
    ]
    return routes, block, address


def _longest_match(draw: Draw) -> Case | None:
    routes, block, number = _nested(draw, draw.size(3, 5, 10))
    address = str(type(ip_address("::" if block.version == 6 else "0.0.0.0"))(number))
    found = longest_match(map(prefix_of, routes), address)
    if found is None:
        return None
    return draw.case(draw.show(routes, _prefix_columns(draw)), found, {"address": address})


def _prefix_columns(draw: Draw) -> tuple[Column, ...]:
    return ("prefix",) if draw.level == 1 else ("prefix", "next_hop")


def _covering(draw: Draw) -> Case | None:
    """How many prefixes of the table are less specific than one."""
    routes, block, number = _nested(draw, draw.size(3, 5, 10))
    length = _LONGEST[block.version]
    prefix = Prefix(block.version, _cut(number, block.bits, length), length)
    if prefix in map(prefix_of, routes):
        return None
    answer = len(covering_prefixes(map(prefix_of, routes), prefix))
    if not draw.suits(answer):
        return None
    return draw.case(draw.show(routes, _prefix_columns(draw)), answer, {"prefix": prefix})


def _more_specifics(draw: Draw) -> Case | None:
    """How many prefixes of the table lie within one that is not in it."""
    routes, block, number = _nested(draw, draw.size(3, 5, 10))
    prefixes = {prefix_of(route) for route in routes}
    length = draw.rng.randint(block.length, block.length + 4)
    prefix = Prefix(block.version, _cut(number, block.bits, length), length)
    answer = len(more_specifics(prefixes, prefix))
    if prefix in prefixes or not draw.suits(answer):
        return None
    return draw.case(draw.show(routes, _prefix_columns(draw)), answer, {"prefix": prefix})


_HELD = ("A", "A", "AA", "WA", "AWA")
_LOST = ("W", "AW", "AAW")


def _visibility(draw: Draw) -> Case | None:
    """How many peers hold a route at the end of some announcements and withdrawals."""
    prefix = draw.rng.choice(sorted(draw.recording.by_prefix))
    every = draw.recording.by_prefix[prefix]
    held = int(draw.wanted or 1)
    lost = max(0, min(draw.rng.choice((0, 1, 1, 2)), len(every) - held)) if draw.level > 1 else 0
    own = draw.some(every, held + lost)
    if len(own) < held or len({route.peer_asn for route in own}) < len(own):
        return None
    peers = draw.rng.choices(every, k=draw.size(1, 2, 4))
    others = [draw.rng.choice(draw.recording.by_peer[peer_of(route)]) for route in peers]
    staying, leaving, any_end = (_HELD, _LOST, ("A", "W", "AW")) if draw.level > 1 else (("A", "A", "AA"), (), ("A",))
    histories = [(route, draw.rng.choice(staying if at < held else leaving)) for at, route in enumerate(own)]
    histories += [(route, draw.rng.choice(any_end)) for route in others if prefix_of(route) != prefix]
    events = _interleaved(draw, histories)
    table = Table()
    for event in events:
        table.apply(event)
    renamed = draw.names.prefix(prefix)
    holding = {peer_of(route) for route in table.routes_to(renamed)}
    if not draw.suits(len(holding)):
        return None
    columns: tuple[Column, ...] = ("type", "peer_as", "prefix") if draw.level > 1 else ("peer_as", "prefix")
    shown = draw.show(events, columns)
    return draw.case(shown, len(holding), {"prefix": renamed})


def _interleaved(draw: Draw, histories: Iterable[tuple[Route, str]]) -> list[Event]:
    """Announcements and withdrawals of each route in the order of its letters, mixed at random, renamed."""
    turns: list[tuple[float, Route, str]] = []
    for route, letters in histories:
        places = sorted(draw.rng.random() for _ in letters)
        turns += [(place, route, letter) for place, letter in zip(places, letters, strict=True)]
    time, events = draw.recording.start, list[Event]()
    for _, route, letter in sorted(turns):
        gone = make_withdrawal(time, peer_of(route), prefix_of(route))
        events.append(draw.names.event(route._replace(time=time) if letter == "A" else gone))
        time += draw.rng.choice((0, 1, 2, 5))
    return events


def _lengths(draw: Draw) -> Case | None:
    version = draw.version()
    routes = draw.routes(draw.size(3, 6, 12), version=version)
    counts = length_distribution(routes, version)
    fitting = [length for length, count in sorted(counts.items()) if draw.suits(count)]
    if not fitting:
        return None
    length = draw.rng.choice(fitting)
    return draw.case(draw.show(routes, _prefix_columns(draw)), counts[length], {"length": length})


def _best_path(draw: Draw) -> Case | None:
    """The next hop of the best of several routes; preferences and MEDs are ours, paths the recording's."""
    prefix = draw.rng.choice(sorted(draw.recording.by_prefix))
    own = draw.some(draw.recording.by_prefix[prefix], draw.size(2, 3, 5))
    preferences = draw.rng.choices((50, 90, 100, 120, 150, 200), k=2)
    routes = [
        draw.changed(
            draw.names.route(route),
            local_pref=draw.rng.choice(preferences),
            med=draw.rng.choice((0, 10, 50, 100)) if draw.level == 3 else 0,
            origin=0,
        )
        for route in own
    ]
    best = best_route(routes)
    hops = [route.next_hop for route in routes]
    if best is None or len(set(hops)) < max(2, len(hops)) or len({route.hops[0] for route in routes}) < len(routes):
        return None
    columns: dict[int, tuple[Column, ...]] = {
        1: ("next_hop", "local_pref", "path"),
        2: ("prefix", "path", "next_hop", "local_pref"),
        3: ("prefix", "path", "next_hop", "local_pref", "med"),
    }
    shown = draw.show(routes, columns[draw.level], marks=False)
    return draw.case(shown, best.next_hop, {"prefix": best.prefix})


def _filtered(draw: Draw) -> Case | None:
    """Which prefix lies in a block of a filter list."""
    version = draw.version()
    routes = draw.routes(draw.size(2, 4, 8), version=version)
    shortest, longest = _BLOCK_LENGTHS[version]
    blocks = [draw.names.block(version, draw.rng.randint(shortest, longest)) for _ in range(draw.size(1, 2, 3))]
    place = draw.rng.randrange(len(routes))
    for at, route in enumerate(routes):
        block = draw.rng.choice(blocks)
        if at != place and draw.rng.random() < _NEAR_MISSES:
            # Beside the block: one of the last bits of it turned.
            free = min(4, block.length - draw.names.range_length(block))
            block = block._replace(number=block.number ^ 1 << (block.bits - block.length + draw.rng.randrange(free)))
        elif at != place:
            continue
        if route.length <= block.length:
            return None
        within = draw.rng.getrandbits(route.length - block.length) << (block.bits - route.length)
        routes[at] = draw.changed(route, Prefix(version, block.number | within, route.length))
    if len(set(map(prefix_of, routes))) < len(routes):
        return None
    registry = PrefixMap[str | None]((block, "filtered") for block in blocks)
    found = [route.prefix for route in routes if prefix_bogon(prefix_of(route), registry)]
    if len(found) != 1:
        return None
    shown = draw.show(routes, _prefix_columns(draw))
    text = f"Filter: {_listed(blocks)}\n\n{shown.text}"
    return draw.case(Shown(text, shown.about), only(found))


def _listed(blocks: Iterable[Prefix]) -> str:
    return ", ".join(map(str, blocks))


_FORWARDING = "RFC 4271, Section 9.1.4"

TABLES: dict[str, Family] = {
    "longest_match": Family("prefix", _longest_match, "decision", _FORWARDING),
    "covering": Family("integer", _covering, "policy", _FORWARDING, answers=tuple("123")),
    "more_specifics": Family("integer", _more_specifics, "policy", _FORWARDING, answers=tuple("01234")),
    "visibility": Family("integer", _visibility, "measurement", "RFC 4271, Section 3.2", answers=tuple("12345")),
    "lengths": Family("integer", _lengths, "measurement", "RFC 4271, Section 4.3", answers=tuple("1234")),
    "best_path": Family("address", _best_path, "decision", "RFC 4271, Section 9.1"),
    "filtered": Family("prefix", _filtered, "security", "RFC 7454, Section 6.1"),
}
