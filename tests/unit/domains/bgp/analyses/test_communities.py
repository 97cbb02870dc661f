"""Communities of all three kinds."""

import pathlib

from analysis_cases import announce

import mrt_writer as w
from seedtune.domains.bgp.analyses import (
    BLACKHOLE,
    WELL_KNOWN,
    blackholed,
    communities_of,
    community_asns,
    community_counts,
    events_of,
    with_community,
)
from seedtune.domains.bgp.mrt import Route, read_mrt

PLAIN = announce(1, 1, "10.0.0.0/8")
TAGGED = announce(1, 1, "10.0.0.1/32", "1 2", "1:1", "1:1", BLACKHOLE)
OWN_BLACKHOLE = announce(1, 1, "2001:db8::1/128", "1 2", "64500:666", "1:1")
ROUTES = [PLAIN, TAGGED, OWN_BLACKHOLE]


def test_a_community_counts_once_a_route() -> None:
    assert community_counts(ROUTES) == {"1:1": 2, BLACKHOLE: 1, "64500:666": 1}
    assert community_counts([]) == {}


def test_all_kinds_are_counted(tmp_path: pathlib.Path) -> None:
    attributes = [w.as_path(64496), w.communities("1:2"), w.large_communities("70000:1:2"), w.route_targets("3:4")]
    [route] = events_of(
        read_mrt(w.write_mrt(tmp_path / "file.mrt", [w.update(1, announce=["10.0.0.0/8"], attributes=attributes)]))
    )
    assert isinstance(route, Route)
    assert communities_of(route) == ({"1:2"}, {"70000:1:2"}, {"rt:3:4"})
    assert community_counts([route, route]) == {"1:2": 2, "70000:1:2": 2, "rt:3:4": 2}
    assert community_asns([route]) == {1: 1, 70000: 1}
    assert [list(with_community([route], text)) for text in ("70000:1:2", "rt:3:4", "1:3")] == [[route], [route], []]


def test_communities_by_as_count_distinct_values() -> None:
    assert community_asns(ROUTES) == {1: 1, 65535: 1, 64500: 1}


def test_only_the_well_known_community_is_a_blackhole() -> None:
    assert list(blackholed(ROUTES)) == [TAGGED]
    assert WELL_KNOWN[BLACKHOLE] == "BLACKHOLE"
    assert not list(blackholed([]))
