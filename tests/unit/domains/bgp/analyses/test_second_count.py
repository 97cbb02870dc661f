"""The analyses against plain loops over the text of ``bgpdump -m``, on recordings of the lab and on a real file.

Nothing here uses the reader or the tables of seedtune for what is expected: only text, dictionaries and ``ipaddress``.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address, ip_network
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from bgpdump_text import bgpdump

from conftest import ROOT
from seedtune.domains.bgp.analyses import (
    BLACKHOLE,
    Event,
    Vrp,
    Vrps,
    announcements_per_peer,
    announcements_per_prefix,
    asn_bogon,
    blackholed,
    bogon_routes,
    bursts,
    change_kinds,
    changes,
    collapsed,
    communities_of,
    community_asns,
    community_counts,
    covering_prefixes,
    during,
    events_of,
    flapping,
    full_feed_peers,
    implicit_withdrawals,
    length_distribution,
    longest_match,
    mass_withdrawals,
    more_specifics,
    neighbors,
    parse_prefix,
    path_edges,
    path_length,
    peer_of,
    peers_seeing,
    prefix_bogon,
    prefix_of,
    same_attributes,
    table_at,
    update_rate,
    validate,
    visibility,
    with_community,
    withdrawals,
    withdrawals_per_peer,
)
from seedtune.domains.bgp.mrt import Route, read_mrt

RECORDINGS = ROOT / "src/seedtune/domains/bgp/recordings"
LAB = ("08-flapping/test-1/frr", "09-outage/train-1/frr", "10-session-reset/dev-1/frr", "11-blackhole/train-2/frr")
REAL = "bgpdump/updates.20100722.2015.gz"

Key = tuple[tuple[int, str], str]
"""A peer, as AS number and address, and a prefix."""


NAMED = {"no-export": "65535:65281", "no-advertise": "65535:65282"}
"""Communities that bgpdump writes by name."""

network = cache(ip_network)


class Line(NamedTuple):
    """A line of ``bgpdump -m``: B an entry of a RIB, A, W or STATE."""

    kind: str
    time: float
    peer: tuple[int, str]
    prefix: str = ""
    path: tuple[str, ...] = ()
    communities: frozenset[str] = frozenset()
    said: tuple[object, ...] = ()
    """All attributes; for STATE the old and the new state."""

    @property
    def key(self) -> Key:
        return self.peer, self.prefix


@dataclass(frozen=True)
class Case:
    """A stream as seedtune reads it, and as text."""

    events: list[Event]
    lines: list[Line]

    @property
    def routes(self) -> list[Route]:
        return [event for event in self.events if isinstance(event, Route)]

    @property
    def route_lines(self) -> list[Line]:
        return [line for line in self.lines if line.kind in "AB"]


def read_line(text: str) -> Line:
    _, time, kind, address, asn, *rest = text.split("|")
    peer = int(asn), str(ip_address(address))
    if kind == "STATE":
        return Line(kind, float(time), peer, said=tuple(map(int, rest[:2])))
    prefix = str(network(rest[0]))
    if kind == "W":
        return Line(kind, float(time), peer, prefix)
    path, communities = tuple(rest[1].split()), frozenset(NAMED.get(word, word) for word in rest[6].split())
    # The MED and LOCAL_PREF of a route that has none are written as 0.
    return Line(kind, float(time), peer, prefix, path, communities, (path, communities, *rest[2:6], *rest[7:9]))


@pytest.fixture(scope="module", params=[*LAB, REAL])
def case(request: pytest.FixtureRequest) -> Case:
    if request.param == REAL:
        files: list[Path] = [request.getfixturevalue("mrt_fixtures") / REAL]
    else:
        files = [RECORDINGS / f"{request.param}-{part}.mrt.gz" for part in ("rib", "updates")]
    events = list(chain.from_iterable(events_of(read_mrt(file)) for file in files))
    return Case(events, [read_line(line) for file in files for line in bgpdump(file)])


class Step(NamedTuple):
    """What a line does to the table: its kind, the routes that it ends, and the table after it."""

    line: Line
    kind: str
    ended: dict[Key, Line]
    table: dict[Key, Line]


def replay(lines: list[Line]) -> Iterator[Step]:
    table: dict[Key, Line] = {}
    withdrawn: dict[Key, Line] = {}
    for line in lines:
        key, ended = line.key, dict[Key, Line]()
        if line.kind == "STATE":
            kind = "session"
            if (line.said[0] == 6) != (line.said[1] == 6):
                ended = {each: table.pop(each) for each in list(table) if each[0] == line.peer}
                for each in [each for each in withdrawn if each[0] == line.peer]:
                    del withdrawn[each]
        elif key in table:
            ended = {key: table.pop(key)}
            kind = "withdrawal" if line.kind == "W" else "duplicate" if ended[key].said == line.said else "change"
            if line.kind == "W":
                withdrawn[key] = ended[key]
        elif line.kind == "W":
            kind = "unknown-withdrawal"
        elif key in withdrawn:
            kind = "return-same" if withdrawn.pop(key).said == line.said else "return-changed"
        else:
            kind = "new"
        if line.kind in "AB":
            table[key] = line
        yield Step(line, "rib" if line.kind == "B" else kind, ended, table)


def final(case: Case) -> dict[Key, Line]:
    return [step.table for step in replay(case.lines)][-1]


def nets(case: Case) -> list[str]:
    """Some thousand prefixes of a stream at most."""
    return sorted({line.prefix for line in case.lines if line.prefix})[:1000]


def within(inner: str, outer: str) -> bool:
    one, other = network(inner), network(outer)
    return one.version == other.version and one.subnet_of(other)  # type: ignore[arg-type]


def test_the_streams_hold_what_is_measured(mrt_fixtures: Path) -> None:
    """Where nothing is there to be found, two counts agree for no reason."""
    streams = [[RECORDINGS / f"{name}-{part}.mrt.gz" for part in ("rib", "updates")] for name in LAB]
    lines = [
        [read_line(line) for file in files for line in bgpdump(file)] for files in [*streams, [mrt_fixtures / REAL]]
    ]
    kinds = [{step.kind for step in replay(each)} for each in lines]
    for each in ("return-same", "return-changed", "duplicate", "change", "unknown-withdrawal", "session"):
        assert each in set().union(*kinds), each
    events = [list(chain.from_iterable(events_of(read_mrt(file)) for file in files)) for files in streams]
    assert any(flapping(each, count=2, window=30) for each in events)
    assert any(mass_withdrawals(each, share=0.3, minimum=3, window=20) for each in events)
    assert any(bursts(update_rate(each, 10), factor=1.5, minimum=2) for each in events)
    assert any("65535:666" in line.communities for each in lines for line in each)


def test_announcements_and_withdrawals_are_counted(case: Case) -> None:
    told = [line for line in case.lines if line.kind == "A"]
    assert announcements_per_peer(case.events) == Counter(line.peer for line in told)
    assert {str(prefix): n for prefix, n in announcements_per_prefix(case.events).items()} == Counter(
        line.prefix for line in told
    )
    assert withdrawals_per_peer(case.events) == Counter(line.peer for line in case.lines if line.kind == "W")


def test_a_window_holds_what_was_withdrawn_in_it(case: Case) -> None:
    times = [line.time for line in case.lines if line.kind in "AW"]
    start, end = int(times[0]), int(times[-1])
    theirs = [line.key for line in case.lines if line.kind == "W" and start <= line.time < end]
    assert [(peer_of(one), str(prefix_of(one))) for one in withdrawals(during(case.events, start, end))] == theirs


def test_each_event_does_to_the_table_what_it_does_line_by_line(case: Case) -> None:
    steps = list(replay(case.lines))
    theirs = [(step.kind, len(step.ended)) for step in steps]
    assert [(change.kind, len(change.ended)) for change in changes(case.events)] == theirs
    assert change_kinds(case.events) == Counter(step.kind for step in steps)
    assert implicit_withdrawals(case.events) == Counter(step.line.peer for step in steps if step.kind == "change")


def test_routes_have_the_same_attributes_where_their_lines_have(case: Case) -> None:
    told = [event for event in case.routes if event.originated is None]
    lines = [line for line in case.lines if line.kind == "A"]
    pairs = list(pairwise(zip(told, lines, strict=True)))
    assert pairs
    for (one, line), (other, next_line) in pairs:
        assert same_attributes(one, other) is (line.said == next_line.said)


def test_updates_fall_into_their_intervals(case: Case) -> None:
    rates = update_rate(case.events, 10)
    theirs = Counter(int(line.time // 10 * 10) for line in case.lines if line.kind in "AW")
    assert {int(rate.start): rate.updates for rate in rates if rate.updates} == theirs
    spans = range(min(theirs), max(theirs) + 10, 10)
    usual = sorted(theirs[start] for start in spans)
    middle = (usual[len(usual) // 2] + usual[(len(usual) - 1) // 2]) / 2
    high = [start for start in spans if theirs[start] >= 2 and theirs[start] > 1.5 * middle]
    covered = [(start, start + 10) for start in high]
    found = bursts(rates, factor=1.5, minimum=2)
    assert sum(burst.updates for burst in found) == sum(theirs[start] for start in high)
    assert [any(burst.start <= start < burst.end for burst in found) for start, _ in covered] == [True] * len(high)
    assert all(one.end < other.start for one, other in pairwise(found))


def test_flapping_is_flaps_close_together(case: Case) -> None:
    ups: defaultdict[Key, list[float]] = defaultdict(list)
    for step in replay(case.lines):
        if step.kind.startswith("return"):
            ups[step.line.key].append(step.line.time)
    theirs = {key: times for key, times in ups.items() if any(later - first < 30 for first, later in pairwise(times))}
    found = flapping(case.events, count=2, window=30)
    ours = {(tuple(peer), str(prefix)): [flap.up for flap in series] for (peer, prefix), series in found.items()}
    assert ours.keys() == theirs.keys()
    assert all(ours[key] == pytest.approx(theirs[key]) for key in theirs)


def test_mass_withdrawals_are_many_losses_close_together(case: Case) -> None:
    lost: dict[Key, float] = {}
    spans: dict[tuple[int, str], list[list[float]]] = {}
    for line, _, ended, table in replay(case.lines):
        if line.kind in "AB":
            lost.pop(line.key, None)
            continue
        lost |= dict.fromkeys(ended, line.time)
        times = [time for (peer, _), time in lost.items() if peer == line.peer and time > line.time - 20]
        held = len(times) + sum(peer == line.peer for peer, _ in table)
        if ended and len(times) >= max(3, 0.3 * held):
            own = spans.setdefault(line.peer, [])
            if own and own[-1][1] >= min(times):
                own[-1][:] = [min(own[-1][0], *times), line.time, max(own[-1][2], len(times))]
            else:
                own.append([min(times), line.time, len(times)])
    found = mass_withdrawals(case.events, share=0.3, minimum=3, window=20)
    ours: dict[tuple[int, str], list[list[float]]] = {}
    for one in found:
        ours.setdefault(tuple(one.peer), []).append([one.start, one.end, one.lost])
    assert ours.keys() == spans.keys()
    assert all(list(chain(*ours[peer])) == pytest.approx(list(chain(*spans[peer]))) for peer in spans)


def test_prefixes_hold_and_lie_in_each_other_as_ipaddress_says(case: Case) -> None:
    texts = nets(case)
    prefixes = [parse_prefix(text) for text in texts]
    for text in texts[:: max(1, len(texts) // 25)]:
        prefix, address = parse_prefix(text), str(network(text)[0])
        around = [other for other in texts if other != text and within(text, other)]
        assert set(map(str, covering_prefixes(prefixes, prefix))) == set(around)
        inside = {other for other in texts if other != text and within(other, text)}
        assert set(map(str, more_specifics(prefixes, prefix))) == inside
        holding = [other for other in texts if ip_address(address) in network(other)]
        best = max(holding, key=lambda other: network(other).prefixlen)
        assert str(longest_match(prefixes, address)) == best


def test_lengths_are_counted_once_a_prefix(case: Case) -> None:
    for version in (4, 6):
        texts = {line.prefix for line in case.route_lines if network(line.prefix).version == version}
        assert length_distribution(case.routes, version) == Counter(network(text).prefixlen for text in texts)


def test_bogons_are_what_ipaddress_and_the_ranges_say(case: Case) -> None:
    def special(asn: int) -> bool:
        return asn in (0, 23456) or 64496 <= asn <= 131071 or asn >= 4200000000

    expected: list[str] = []
    for line in case.route_lines:
        asns = [int(asn) for asn in re.findall(r"\d+", " ".join(line.path))]
        assert [asn_bogon(asn) is not None for asn in asns] == list(map(special, asns))
        reserved = not network(line.prefix).is_global
        assert (prefix_bogon(parse_prefix(line.prefix)) is not None) is reserved
        if reserved or any(map(special, asns)):
            expected.append(line.prefix)
    assert [bogon.route.prefix for bogon in bogon_routes(case.routes)] == expected


def test_paths_are_measured_word_by_word(case: Case) -> None:
    sides: dict[str, tuple[set[int], set[int]]] = {}
    for route, line in zip(case.routes, case.route_lines, strict=True):
        words = [word for place, word in enumerate(line.path) if not place or line.path[place - 1] != word]
        assert path_length(route.segments) == len(line.path)
        assert path_length(route.segments, prepends=False) == len(words)
        assert collapsed(route.segments) == tuple(int(word) for word in words if "{" not in word)
        edges = [(one, other) for one, other in pairwise(words) if "{" not in one + other]
        assert path_edges(route.segments) == tuple((int(one), int(other)) for one, other in edges)
        for one, other in edges:
            sides.setdefault(one, (set(), set()))[1].add(int(other))
            sides.setdefault(other, (set(), set()))[0].add(int(one))
    for asn in sorted(sides)[:: max(1, len(sides) // 10)]:
        assert neighbors(case.routes, int(asn)) == sides[asn]


def test_communities_are_those_of_the_text(case: Case) -> None:
    lines = case.route_lines
    for route, line in zip(case.routes, lines, strict=True):
        assert communities_of(route).standard == line.communities
    theirs = Counter(text for line in lines for text in line.communities)
    assert {text: n for text, n in community_counts(case.routes).items() if re.fullmatch(r"\d+:\d+", text)} == theirs
    # bgpdump -m leaves large communities out.
    large = {text for route in case.routes for text in route.large_communities}
    assert community_asns(case.routes) == Counter(int(text.split(":")[0]) for text in (*theirs, *large))
    for text in (*sorted(theirs)[:5], BLACKHOLE):
        holders = [line.prefix for line in lines if text in line.communities]
        assert [route.prefix for route in with_community(case.routes, text)] == holders
    marked = [line.prefix for line in lines if "65535:666" in line.communities]
    assert [route.prefix for route in blackholed(case.routes)] == marked


def test_who_sees_a_prefix_is_who_holds_it_in_the_end(case: Case) -> None:
    table, routes = final(case), list(table_at(case.events).routes())
    assert {(peer_of(route), str(prefix_of(route))) for route in routes} == set(table)
    for version in (4, 6):
        held = Counter(peer for peer, prefix in table if network(prefix).version == version)
        full = {peer for peer, count in held.items() if count >= 0.5 * max(held.values())}
        assert full_feed_peers(routes, version, share=0.5) == full
        own = sorted({prefix for _, prefix in table if network(prefix).version == version})
        for prefix in own[:: max(1, len(own) // 10)]:
            seeing = {peer for peer, other in table if other == prefix}
            assert peers_seeing(routes, parse_prefix(prefix)) == seeing
            share = len(seeing & full) / len(full)
            assert visibility(routes, parse_prefix(prefix), full_feed_peers(routes, version, 0.5)) == share


def test_validity_is_decided_roa_by_roa(case: Case) -> None:
    sequences = [line for line in case.route_lines if line.path and "{" not in line.path[-1]]
    # A VRP for every other route, with a limit that some more specifics keep and some do not.
    roas: list[tuple[str, int, int]] = []
    for line in sequences[:300:2]:
        net = network(line.prefix)
        roas.append((line.prefix, min(net.prefixlen + 1, net.max_prefixlen), int(line.path[-1])))
    vrps = Vrps(Vrp(parse_prefix(text), limit, asn) for text, limit, asn in roas)
    found = set[str]()
    for line in sequences[:300]:
        length = network(line.prefix).prefixlen
        for origin in (int(line.path[-1]), int(line.path[0])):
            over = [(limit, asn) for text, limit, asn in roas if within(line.prefix, text)]
            good = any(asn == origin and length <= limit for limit, asn in over)
            state = "valid" if good else "invalid" if over else "not-found"
            assert validate(parse_prefix(line.prefix), origin, vrps) == state
            found.add(state)
    assert {"valid", "invalid"} <= found
