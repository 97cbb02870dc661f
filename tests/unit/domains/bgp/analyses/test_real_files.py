"""The analyses on real files: two against ``bgpdump`` and the shell, the others against what must hold for any file."""

from collections import Counter
from ipaddress import ip_address, ip_network
from itertools import islice, pairwise
from pathlib import Path

import pytest
from bgpdump_text import piped

from seedtune.domains.bgp.analyses import (
    Event,
    Prefix,
    PrefixMap,
    Relationships,
    Vrp,
    Vrps,
    adjacencies,
    announcements,
    announcements_per_peer,
    announcements_per_prefix,
    bogon_routes,
    bursts,
    change_kinds,
    changes,
    collapsed,
    community_asns,
    community_counts,
    events_of,
    flapping,
    flaps,
    full_feed_peers,
    implicit_withdrawals,
    leaks,
    length_distribution,
    longest_match,
    mass_withdrawals,
    moas,
    moas_intervals,
    neighbors,
    new_edges,
    origin_changes,
    origins_by_prefix,
    outages,
    path_changes,
    path_edges,
    path_length,
    path_loops,
    path_origins,
    prefix_of,
    prepending,
    route_validity,
    session_losses,
    subprefix_announcements,
    table_at,
    update_rate,
    valley_free,
    visibility,
    with_community,
    withdrawals_per_peer,
    withdrawals_per_prefix,
)
from seedtune.domains.bgp.mrt import Route, read_mrt

UPDATES = "bgpdump/updates.20100722.2015.gz"
SETS = "bgpdump/updates.20070211.0141.gz"
RIB = "pyasn/rib.20140523.0600_firstMB.bz2"


@pytest.fixture(scope="module")
def updates(mrt_fixtures: Path) -> list[Event]:
    """5,067 announcements, 547 withdrawals and 40 changes of state within five minutes."""
    return list(events_of(read_mrt(mrt_fixtures / UPDATES)))


@pytest.fixture(scope="module")
def routes(updates: list[Event]) -> list[Route]:
    return list(announcements(updates))


@pytest.fixture(scope="module")
def with_sets(mrt_fixtures: Path) -> list[Event]:
    """Updates with 38 paths that have an AS_SET."""
    return list(events_of(read_mrt(mrt_fixtures / SETS)))


@pytest.fixture(scope="module")
def rib(mrt_fixtures: Path) -> list[Route]:
    """The first 20,000 entries of a RIB of RouteViews."""
    entries = (event for event in events_of(read_mrt(mrt_fixtures / RIB)) if isinstance(event, Route))
    return list(islice(entries, 20_000))


# --- against bgpdump, awk and sort ------------------------------------------------------------------------------------


def shell(pipeline: str, file: Path) -> list[list[str]]:
    """The lines of a pipeline behind ``bgpdump -m FILE``, cut at spaces."""
    return [line.split() for line in piped(pipeline, file)]


MOAS_PIPELINE = r"""
awk -F'|' -v sets=SETS '
    $3 == "B" {
        hops = split($7, hop, " ")
        last = hop[hops]
        is_set = gsub(/[{}]/, "", last)
        if (is_set && !sets) next
        members = split(last, member, ",")
        for (i = 1; i <= members; i++) print $6, member[i]
    }' | sort -u | awk '
    { origins[$1] = origins[$1] " " $2; count[$1]++ }
    END { for (prefix in count) if (count[prefix] > 1) print prefix origins[prefix] }'
"""


@pytest.mark.parametrize(("sets", "found"), [(False, 4), (True, 15)])
def test_moas_of_a_rib_is_what_the_shell_finds(sets: bool, found: int, mrt_fixtures: Path) -> None:
    file = mrt_fixtures / "bgpdump/bview.20020722.2337.gz"
    lines = shell(MOAS_PIPELINE.replace("SETS", str(int(sets))), file)
    theirs = {prefix: frozenset(map(int, asns)) for prefix, *asns in lines}
    entries = (event for event in events_of(read_mrt(file)) if isinstance(event, Route))
    assert {str(prefix): origins for prefix, origins in moas(entries, sets).items()} == theirs
    assert len(theirs) == found


@pytest.mark.parametrize("name", [UPDATES, SETS, "bgpdump/updates.20160811.1600.gz", "made-here/bird-updates.mrt"])
def test_withdrawals_per_peer_are_what_the_shell_counts(name: str, mrt_fixtures: Path) -> None:
    pipeline = """awk -F'|' '$3 == "W" { print $5, $4 }' | sort | uniq -c"""
    theirs = {(int(asn), str(ip_address(address))): int(n) for n, asn, address in shell(pipeline, mrt_fixtures / name)}
    ours = withdrawals_per_peer(events_of(read_mrt(mrt_fixtures / name)))
    assert {(asn, str(ip_address(address))): count for (asn, address), count in ours.items()} == theirs
    assert theirs


# --- what must hold for any file --------------------------------------------------------------------------------------


def test_counts_of_peers_and_of_prefixes_have_the_same_sum(updates: list[Event]) -> None:
    assert announcements_per_peer(updates).total() == announcements_per_prefix(updates).total() == 5067
    assert withdrawals_per_peer(updates).total() == withdrawals_per_prefix(updates).total() == 547
    assert sum(rate.updates for rate in update_rate(updates, 30)) == 5067 + 547


def test_every_event_has_one_kind(updates: list[Event]) -> None:
    kinds = change_kinds(updates)
    assert kinds["withdrawal"] + kinds["unknown-withdrawal"] == 547
    assert kinds["session"] == 40
    assert kinds.total() == len(updates)
    assert implicit_withdrawals(updates).total() == kinds["change"]
    assert sum(1 for _ in flaps(updates)) == kinds["return-same"] + kinds["return-changed"]


def test_path_changes_are_implicit_withdrawals(updates: list[Event]) -> None:
    changed, without_prepends = path_changes(updates), path_changes(updates, prepends=False)
    replaced = Counter(
        (change.event[1:3], prefix_of(change.event)) for change in changes(updates) if change.kind == "change"
    )  # type: ignore[arg-type]
    assert 0 < without_prepends.total() < changed.total() < replaced.total()
    assert changed <= replaced
    assert without_prepends <= changed


def test_routes_of_a_table_are_those_that_nothing_ended(updates: list[Event], routes: list[Route]) -> None:
    table = table_at(updates)
    held = list(table.routes())
    assert len(held) + sum(len(change.ended) for change in changes(updates)) == len(routes)
    assert sum(table.held(peer) for peer in table.peers()) == len(held)
    assert {prefix_of(route) for route in held} == set(table.prefixes())


def test_flapping_prefixes_have_their_flaps_in_order(updates: list[Event]) -> None:
    found = flapping(updates, count=2, window=120)
    assert found
    for series in found.values():
        assert all(flap.down <= flap.up for flap in series)
        assert all(one.up <= other.down for one, other in pairwise(series))
    assert len(found) >= len(flapping(updates, count=3, window=120))


def test_a_burst_is_above_the_rest(updates: list[Event]) -> None:
    rates = update_rate(updates, 1)
    [*found] = bursts(rates, factor=3, minimum=50)
    assert found
    inside = [rate for rate in rates if any(burst.start <= rate.start < burst.end for burst in found)]
    assert sum(rate.updates for rate in inside) == sum(burst.updates for burst in found)
    assert min(rate.updates for rate in inside) > max(rate.updates for rate in rates if rate not in inside)


def test_sessions_and_mass_withdrawals_have_a_peer_of_the_file(updates: list[Event], mrt_fixtures: Path) -> None:
    peers = announcements_per_peer(updates).keys()
    found = mass_withdrawals(updates)
    assert found
    assert all(one.peer in peers and one.lost >= 0.5 * one.held >= 5 and one.start <= one.end for one in found)
    states = list(events_of(read_mrt(mrt_fixtures / "made-here/bird-updates.mrt")))
    assert [(loss.peer.asn, loss.down, loss.up) for loss in session_losses(states)] == [
        (65001, 1795351976, 1795351988),
        (64666, 1795352027, None),
        (65001, 1795352027, None),
        (65003, 1795352027, None),
    ]


def test_outages_begin_and_end_as_their_prefix_does(updates: list[Event]) -> None:
    found = outages(updates)
    assert found
    for outage in found[:5]:
        assert not table_at(updates, outage.start).routes_to(outage.prefix) or outage.end == outage.start
        assert outage.end is None or table_at(updates, outage.end).routes_to(outage.prefix)


def test_a_set_makes_more_moas(with_sets: list[Event]) -> None:
    routes = list(announcements(with_sets))
    plain, members = moas(routes), moas(routes, sets=True)
    assert plain.keys() < members.keys()
    assert all(plain[prefix] <= members[prefix] for prefix in plain)
    endings = [
        route for route in routes if path_origins(route.segments, sets=True) and not path_origins(route.segments)
    ]
    assert len(endings) == sum(route.as_path.endswith("}") for route in routes) > 0


def test_moas_at_a_time_is_moas_of_some_time(updates: list[Event], routes: list[Route]) -> None:
    found = moas_intervals(updates)
    assert found
    assert {interval.prefix for interval in found} <= moas(routes).keys()
    for interval in found:
        assert interval.prefix in moas(table_at(updates, interval.start).routes()) or interval.end == interval.start


def test_an_origin_is_what_the_path_ends_in(routes: list[Route]) -> None:
    for route in routes:
        if "{" not in route.as_path:
            words = [int(word) for word in route.as_path.split()]
            assert path_origins(route.segments) == set(words[-1:])
            assert path_length(route.segments) == len(words)
            assert sum(prepending(route.segments).values()) == sum(one == other for one, other in pairwise(words))
            assert collapsed(route.segments) == tuple(dict.fromkeys(words)) or path_loops(route.segments)
            assert path_edges(route.segments) == tuple(pairwise(collapsed(route.segments)))


def test_every_origin_is_expected_by_the_file_itself(routes: list[Route]) -> None:
    expected = origins_by_prefix(routes)
    assert not list(origin_changes(routes, expected))
    assert not list(subprefix_announcements(routes, expected))
    wrong = {prefix: {0} for prefix in expected}
    assert len(list(origin_changes(routes, wrong))) == sum(bool(path_origins(route.segments)) for route in routes)


def test_validity_follows_from_roas_for_what_the_file_shows(routes: list[Route]) -> None:
    origins = origins_by_prefix(routes)
    vrps = Vrps(Vrp(prefix, prefix.length, asn) for prefix, asns in origins.items() for asn in asns)
    assert Counter(route_validity(route, vrps) for route in routes) == {"valid": len(routes)}
    nobody = Vrps(Vrp(prefix, prefix.length, 0) for prefix in origins)
    assert {route_validity(route, nobody) for route in routes} == {"invalid"}


def test_lengths_and_longest_match_agree_with_ipaddress(rib: list[Route]) -> None:
    prefixes = {prefix_of(route) for route in rib}
    assert length_distribution(rib, 4) == Counter(ip_network(str(prefix)).prefixlen for prefix in prefixes)
    table = PrefixMap((prefix, None) for prefix in prefixes)
    for address in ("1.0.128.7", "1.0.0.1", "8.8.8.8", "0.0.0.1"):
        holding = [net for net in map(ip_network, map(str, prefixes)) if ip_address(address) in net]
        best = max(holding, key=lambda net: net.prefixlen, default=None)
        assert str(longest_match(table, address)) == str(best)


def test_a_full_feed_sees_most_of_the_table(rib: list[Route]) -> None:
    peers = full_feed_peers(rib, 4)
    assert len(peers) == 31
    common = Counter(map(prefix_of, rib)).most_common(1)[0][0]
    assert visibility(rib, common, peers) == 1
    assert visibility(rib, Prefix(4, 0, 32), peers) == 0


def test_edges_are_found_from_both_sides(routes: list[Route]) -> None:
    edges = adjacencies(routes)
    low, high = next(iter(edges))
    assert high in neighbors(routes, low).left | neighbors(routes, low).right
    assert low in neighbors(routes, high).left | neighbors(routes, high).right
    assert {new.edge: new.route.time for new in new_edges(routes, ())} == edges


def test_a_world_of_providers_only_has_no_leak(routes: list[Route]) -> None:
    """With every AS the provider of those behind it each path climbs; the other way round it descends."""
    loopless = [route for route in routes if not path_loops(route.segments) and "{" not in route.as_path]
    for route in loopless[:200]:
        edges = path_edges(route.segments)
        climbing = Relationships((left, right, -1) for left, right in edges)
        peering = Relationships((left, right, 0) for left, right in edges)
        assert valley_free(route.segments, climbing) is True
        assert valley_free(route.segments, peering) is (len(edges) < 2)
        assert len(leaks(route.segments, peering)) == max(len(edges) - 1, 0)


def test_communities_add_up(routes: list[Route]) -> None:
    counts = community_counts(routes)
    assert counts.total() == sum(
        len(set(route.communities)) + len(set(route.large_communities)) + len(set(route.extended_communities))
        for route in routes
    )
    most, number = counts.most_common(1)[0]
    assert len(list(with_community(routes, most))) == number
    assert community_asns(routes).total() == len({text for text in counts if text[0].isdigit() and "x" not in text})


def test_bogons_of_a_rib_are_in_the_ranges_of_the_registry(rib: list[Route]) -> None:
    def special(asn: int) -> bool:
        return asn in (0, 23456) or 64496 <= asn <= 131071 or asn >= 4200000000

    expected = [route for route in rib if any(map(special, route.hops)) or not ip_network(route.prefix).is_global]
    assert [bogon.route for bogon in bogon_routes(rib)] == expected
    assert expected
