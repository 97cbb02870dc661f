"""Several origins, unexpected origins, unexpected more specifics, route origin validation."""

import pytest
from analysis_cases import announce, bit_text, down, entry, parse, prefixes, withdraw
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.domains.bgp.analyses import (
    Prefix,
    Vrp,
    Vrps,
    moas,
    moas_intervals,
    origin_changes,
    origins_by_prefix,
    parse_prefix,
    route_validity,
    subprefix_announcements,
    validate,
)
from seedtune.errors import DataError

P4, P6 = "10.0.0.0/8", "2001:db8::/32"
[KEY4, KEY6] = parse(P4, P6)


def test_moas_needs_two_origins_of_one_prefix() -> None:
    routes = [
        announce(1, 1, P4, "1 5"),
        announce(1, 2, P4, "2 6 6"),
        announce(1, 3, P4, "3 6"),
        announce(1, 1, P6, "1 5"),
        announce(1, 2, P6, "2 7 5"),
        announce(1, 1, "10.0.0.0/9", "1 8"),
    ]
    assert moas(routes) == {KEY4: {5, 6}}
    assert moas([]) == {}


def test_members_of_a_set_are_origins_only_on_demand() -> None:
    routes = [announce(1, 1, P4, "1 5"), announce(1, 2, P4, "2 {5,6}"), announce(1, 1, P6, "1 {7,8}")]
    assert moas(routes) == {}
    assert moas(routes, sets=True) == {KEY4: {5, 6}, KEY6: {7, 8}}
    assert origins_by_prefix(routes) == {KEY4: {5}}
    assert origins_by_prefix(routes[2:]) == {}


def test_a_moas_interval_begins_with_the_second_origin_and_ends_with_the_last_but_one() -> None:
    events = [
        entry(1, 1, P4, "1 5"),
        announce(2, 2, P4, "2 6"),
        announce(3, 3, P4, "3 7"),
        announce(4, 2, P4, "2 5"),
        withdraw(5, 3, P4),
        withdraw(6, 1, P4),
        announce(7, 1, P4, "1 9"),
    ]
    assert moas_intervals(events) == [(KEY4, {5, 6, 7}, 2, 5), (KEY4, {5, 9}, 7, None)]
    assert moas_intervals([]) == []


def test_a_lost_session_ends_a_moas_interval() -> None:
    events = [announce(1, 1, P6, "1 5"), announce(2, 2, P6, "2 {6}"), announce(3, 2, P6, "2 6"), down(4, 2)]
    assert moas_intervals(events) == [(KEY6, {5, 6}, 3, 4)]
    assert moas_intervals(events, sets=True) == [(KEY6, {5, 6}, 2, 4)]


EXPECTED = {KEY4: {5, 6}, KEY6: {5}, parse_prefix("10.1.0.0/16"): {7}}


@pytest.mark.parametrize(
    ("prefix", "path", "change", "subprefix"),
    [
        (P4, "1 5", None, None),
        (P4, "1 8", P4, None),
        (P4, "1 {5,8}", None, None),
        (P6, "1 6", P6, None),
        ("10.2.0.0/16", "1 8", None, P4),
        ("10.2.0.0/16", "1 6", None, None),
        ("10.1.0.0/24", "1 6", None, "10.1.0.0/16"),
        ("10.1.0.0/24", "1 7", None, None),
        ("10.1.0.0/16", "1 5", "10.1.0.0/16", None),
        ("0.0.0.0/0", "1 8", None, None),
        ("2001:db8:1::/48", "1 5 6", None, P6),
        ("11.0.0.0/8", "1 8", None, None),
    ],
)
def test_unexpected_origins(prefix: str, path: str, change: str | None, subprefix: str | None) -> None:
    route = announce(1, 1, prefix, path)
    changed, more_specific = list(origin_changes([route], EXPECTED)), list(subprefix_announcements([route], EXPECTED))
    assert [(str(suspect.covering), suspect.route) for suspect in changed] == ([(change, route)] if change else [])
    assert [(str(suspect.covering), suspect.route) for suspect in more_specific] == (
        [(subprefix, route)] if subprefix else []
    )
    assert all(suspect.expected == EXPECTED[suspect.covering] for suspect in [*changed, *more_specific])


def test_one_unexpected_member_of_a_set_is_enough() -> None:
    route = announce(1, 1, P4, "1 {5,8}")
    assert len(list(origin_changes([route], EXPECTED, sets=True))) == 1
    assert not list(origin_changes([announce(1, 1, P4, "1 {5,6}")], EXPECTED, sets=True))
    assert len(list(subprefix_announcements([announce(1, 1, "10.2.0.0/16", "1 {8}")], EXPECTED, sets=True))) == 1


# --- route origin validation ------------------------------------------------------------------------------------------


def vrp(prefix: str, max_length: int, asn: int) -> Vrp:
    return Vrp(parse_prefix(prefix), max_length, asn)


@pytest.mark.parametrize(
    ("prefix", "path", "state"),
    [
        (P4, "1 5", "valid"),
        ("10.1.0.0/16", "1 5", "valid"),
        ("10.1.0.0/17", "1 5", "invalid"),
        (P4, "1 6", "invalid"),
        (P4, "1 {5}", "invalid"),
        (P4, "(65001) 5", "valid"),
        ("10.2.0.0/24", "1 7", "valid"),
        ("10.2.0.0/24", "1 6", "invalid"),
        ("0.0.0.0/0", "1 5", "not-found"),
        ("11.0.0.0/8", "1 {5}", "not-found"),
        ("12.0.0.0/8", "1 5", "invalid"),
        ("12.0.0.0/8", "1 0", "invalid"),
        (P6, "1 5", "valid"),
        ("2001:db8::/33", "1 5", "invalid"),
    ],
)
def test_the_states_of_rfc_6811(prefix: str, path: str, state: str) -> None:
    vrps = Vrps([vrp(P4, 16, 5), vrp("10.2.0.0/16", 24, 7), vrp("12.0.0.0/8", 32, 0), vrp(P6, 32, 5)])
    assert route_validity(announce(1, 1, prefix, path), vrps) == state


def test_without_vrps_nothing_is_found() -> None:
    assert validate(KEY4, 5, Vrps([])) == "not-found"


@pytest.mark.parametrize("max_length", [7, 33])
def test_a_max_length_has_to_fit(max_length: int) -> None:
    with pytest.raises(DataError, match=f"max_length is {max_length}, it has to be from 8 to 32"):
        Vrps([vrp(P4, max_length, 1)])


VRPS = st.lists(
    st.builds(
        lambda prefix, more, asn: Vrp(prefix, prefix.length + more, asn), prefixes, st.integers(0, 4), st.integers(0, 3)
    )
)


@settings(deadline=None)
@given(VRPS, prefixes, st.sampled_from([None, 0, 1, 2, 3]))
def test_validation_agrees_with_the_definition_on_strings_of_bits(
    vrps: list[Vrp], prefix: Prefix, origin: int | None
) -> None:
    covering = [one for one in vrps if bit_text(prefix).startswith(bit_text(one.prefix))]
    matching = [one for one in covering if one.asn == origin != 0 and len(bit_text(prefix)) - 2 <= one.max_length]
    expected = "valid" if matching else "invalid" if covering else "not-found"
    assert validate(prefix, origin, Vrps(vrps)) == expected
    assert list(Vrps(vrps).covering(prefix)) == sorted(covering, key=lambda one: one.prefix.length)
