"""Valley-free paths and leaks; the graph of ASes."""

import re
from itertools import product

import pytest
from analysis_cases import announce
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.domains.bgp.analyses import (
    Relationships,
    adjacencies,
    leaks,
    neighbors,
    new_edges,
    parse_path,
    parse_relationships,
    valley_free,
)
from seedtune.errors import DataError

# 1 and 2 are peers at the top; 3 buys from both; 4 buys from 2; 3 and 4 are peers; 5 buys from 3; 4 and 6 are peers.
WORLD = Relationships([(1, 2, 0), (1, 3, -1), (2, 3, -1), (2, 4, -1), (3, 4, 0), (3, 5, -1), (4, 6, 0)])


@pytest.mark.parametrize(
    ("path", "found", "free"),
    [
        ("", [], True),
        ("5", [], True),
        ("1 3 5", [], True),
        ("4 2 1 3 5", [], True),
        ("4 3 5", [], True),
        ("1 3 2", [(3, 2, 1, 1)], False),
        ("1 3 3 3 2 4", [(3, 2, 1, 1)], False),
        ("6 4 3 5", [(4, 3, 6, 2)], False),
        ("4 3 1", [(3, 1, 4, 3)], False),
        ("2 4 3 5", [(4, 3, 2, 4)], False),
        ("6 4 3 1", [(3, 1, 4, 3), (4, 3, 6, 2)], False),
        ("1 9 5", [], None),
        ("1 3 9 2", [], None),
        ("1 3 {7,8}", [], None),
        ("2 4 {3} 5", [], None),
        ("1 3 2 {9}", [(3, 2, 1, 1)], False),
        ("1 3 {9} 1 3 5", [], None),
    ],
)
def test_leaks_and_valleys(path: str, found: list[tuple[int, int, int, int]], free: bool | None) -> None:
    assert list(leaks(parse_path(path), WORLD)) == found
    assert valley_free(parse_path(path), WORLD) is free


def test_known_steps_around_an_unknown_one_can_show_a_valley() -> None:
    """Down from 2 to 4, an unknown step to 5, up to 3: somebody leaked, and nobody knows who."""
    path = parse_path("3 5 4 2")
    assert leaks(path, WORLD) == ()
    assert valley_free(path, WORLD) is False


@settings(deadline=None)
@given(st.text("cpd", max_size=6))
def test_valley_free_is_climb_peering_descent(steps: str) -> None:
    """The oracle is a regular expression over the steps from the origin (AS 1) on."""
    triples = [
        {"c": (asn + 1, asn, -1), "p": (asn, asn + 1, 0), "d": (asn, asn + 1, -1)}[step]
        for asn, step in enumerate(steps, 1)
    ]
    path = parse_path(" ".join(str(asn) for asn in range(len(steps) + 1, 0, -1)))
    expected = re.fullmatch("c*p?d*", steps) is not None
    assert valley_free(path, Relationships(triples)) is expected
    assert bool(leaks(path, Relationships(triples))) is not expected


def test_every_pair_of_roles_has_its_type() -> None:
    triples = {"provider": (8, 7, -1), "peer": (7, 8, 0), "customer": (7, 8, -1)}
    outgoing = {"provider": (9, 7, -1), "peer": (7, 9, 0), "customer": (7, 9, -1)}
    types = {
        (source, target): [
            leak.type for leak in leaks(parse_path("9 7 8"), Relationships([triples[source], outgoing[target]]))
        ]
        for source, target in product(triples, outgoing)
    }
    assert {pair: found for pair, found in types.items() if found} == {
        ("provider", "provider"): [1],
        ("peer", "peer"): [2],
        ("provider", "peer"): [3],
        ("peer", "provider"): [4],
    }


def test_relationships_are_read_as_caida_writes_them() -> None:
    world = parse_relationships(["# source", "", "1|2|-1|bgp", "2|3|0\n"])
    assert (world.role(1, 2), world.role(2, 1), world.role(3, 2), world.role(1, 3)) == (
        "customer",
        "provider",
        "peer",
        None,
    )


@pytest.mark.parametrize("line", ["1|2", "1|2|x", "1 2 0", "1|2|1"])
def test_what_is_no_relationship_is_refused(line: str) -> None:
    with pytest.raises(DataError, match=r"provider\|customer\|-1"):
        parse_relationships([line])


# --- the graph --------------------------------------------------------------------------------------------------------

ROUTES = [
    announce(3, 1, "10.0.0.0/8", "1 2 2 3"),
    announce(1, 1, "10.0.0.0/8", "1 3 2 {9}"),
    announce(5, 2, "2001:db8::/32", "2 1"),
]


def test_neighbours_by_side() -> None:
    assert neighbors(ROUTES, 2) == ({1, 3}, {3, 1})
    assert neighbors(ROUTES, 3) == ({2, 1}, {2})
    assert neighbors(ROUTES, 9) == (set(), set())
    assert neighbors([], 1) == (set(), set())


def test_edges_have_the_time_of_the_earliest_route() -> None:
    assert adjacencies(ROUTES) == {(1, 2): 3, (2, 3): 1, (1, 3): 1}
    assert adjacencies([]) == {}


def test_new_edges_are_given_once() -> None:
    assert list(new_edges(ROUTES, {(2, 3)})) == [((1, 2), ROUTES[0]), ((1, 3), ROUTES[1])]
    assert not list(new_edges(ROUTES, adjacencies(ROUTES)))
