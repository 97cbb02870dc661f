"""Measures of one AS path."""

import pytest

from seedtune.domains.bgp.analyses import (
    collapsed,
    parse_path,
    path_edges,
    path_length,
    path_loops,
    path_origins,
    prepending,
)

EMPTY, SEQUENCE, PREPENDED = "", "1 2 3", "1 2 2 3 3 3"
SET_AT_END, SET_ALONE, SET_INSIDE = "1 2 {3,4}", "{3,4}", "1 {2,9} 3 3"
CONFEDERATION, LOOP = "(65001 65002) 1 2", "1 2 3 2"


@pytest.mark.parametrize(
    ("path", "plain", "with_sets"),
    [
        (EMPTY, set(), set()),
        (SEQUENCE, {3}, {3}),
        (PREPENDED, {3}, {3}),
        (SET_AT_END, set(), {3, 4}),
        (SET_ALONE, set(), {3, 4}),
        (SET_INSIDE, {3}, {3}),
        (CONFEDERATION, {2}, {2}),
        ("1 (65001)", set(), set()),
    ],
)
def test_origins(path: str, plain: set[int], with_sets: set[int]) -> None:
    assert path_origins(parse_path(path)) == plain
    assert path_origins(parse_path(path), sets=True) == with_sets


@pytest.mark.parametrize(
    ("path", "length", "without_prepends"),
    [
        (EMPTY, 0, 0),
        (SEQUENCE, 3, 3),
        (PREPENDED, 6, 3),
        (SET_AT_END, 3, 3),
        (SET_INSIDE, 4, 3),
        (CONFEDERATION, 2, 2),
        (LOOP, 4, 4),
    ],
)
def test_length_takes_a_set_as_one_and_a_confederation_as_none(path: str, length: int, without_prepends: int) -> None:
    assert path_length(parse_path(path)) == length
    assert path_length(parse_path(path), prepends=False) == without_prepends


@pytest.mark.parametrize(
    ("path", "extra"),
    [
        (EMPTY, {}),
        (SEQUENCE, {}),
        (PREPENDED, {2: 1, 3: 2}),
        (SET_INSIDE, {3: 1}),
        ("1 {2} 1", {}),
        ("1 1 2 1 1", {1: 2}),
        (" ".join(["7"] * 300), {7: 299}),
    ],
)
def test_prepending_adds_up_the_runs_of_an_as(path: str, extra: dict[int, int]) -> None:
    assert prepending(parse_path(path)) == extra


def test_prepending_reaches_over_segments() -> None:
    """A sequence of more than 255 AS numbers comes in two segments."""
    assert prepending((*parse_path("1 2"), *parse_path("2 3"))) == {2: 1}


@pytest.mark.parametrize(
    ("path", "expected"),
    [(EMPTY, ()), (PREPENDED, (1, 2, 3)), (SET_INSIDE, (1, 3)), ("1 1 {2} 1", (1, 1)), (CONFEDERATION, (1, 2))],
)
def test_collapsed(path: str, expected: tuple[int, ...]) -> None:
    assert collapsed(parse_path(path)) == expected


@pytest.mark.parametrize(
    ("path", "loops"),
    [(EMPTY, set()), (PREPENDED, set()), (LOOP, {2}), ("1 2 1 2", {1, 2}), ("1 {1,2} 3", set()), ("1 {2} 1", {1})],
)
def test_prepends_are_no_loop(path: str, loops: set[int]) -> None:
    assert path_loops(parse_path(path)) == loops


@pytest.mark.parametrize(
    ("path", "edges"),
    [
        (EMPTY, ()),
        ("1 1", ()),
        (PREPENDED, ((1, 2), (2, 3))),
        (SET_INSIDE, ()),
        ("1 2 {3} 4 5", ((1, 2), (4, 5))),
        ("1 (65001) 2", ((1, 2),)),
    ],
)
def test_a_set_has_no_neighbours(path: str, edges: tuple[tuple[int, int], ...]) -> None:
    assert path_edges(parse_path(path)) == edges
