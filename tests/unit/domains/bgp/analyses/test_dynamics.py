"""Counts, path changes, flaps, rates, bursts, broken sessions, visibility and outages, on cases made by hand."""

import pytest
from analysis_cases import announce, down, entry, parse, peer, up, withdraw
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.domains.bgp.analyses import (
    Event,
    announcements_per_peer,
    announcements_per_prefix,
    bursts,
    change_kinds,
    flapping,
    flaps,
    full_feed_peers,
    implicit_withdrawals,
    mass_withdrawals,
    outages,
    path_changes,
    peers_seeing,
    session_losses,
    update_rate,
    visibility,
    withdrawals_per_peer,
    withdrawals_per_prefix,
)
from seedtune.domains.bgp.mrt import StateChange
from seedtune.errors import DataError

P4, P6 = "10.0.0.0/8", "2001:db8::/32"
[KEY4, KEY6] = parse(P4, P6)

EVENTS: list[Event] = [
    entry(0, 1, P4, "1 2"),
    announce(1, 1, P4, "1 2"),
    announce(2, 1, P4, "1 2 2"),
    announce(3, 1, P4, "1 3"),
    announce(4, 2, P6, "2 3"),
    withdraw(5, 1, P4),
    withdraw(6, 1, P4),
    withdraw(6, 2, P4),
    announce(7, 1, P4, "1 4"),
]


def test_everything_in_a_message_counts_and_a_rib_does_not() -> None:
    assert announcements_per_peer(EVENTS) == {peer(1): 4, peer(2): 1}
    assert announcements_per_prefix(EVENTS) == {KEY4: 4, KEY6: 1}
    assert withdrawals_per_peer(EVENTS) == {peer(1): 2, peer(2): 1}
    assert withdrawals_per_prefix(EVENTS) == {KEY4: 3}


def test_only_a_replaced_route_is_withdrawn_implicitly() -> None:
    assert implicit_withdrawals(EVENTS) == {peer(1): 2}
    assert change_kinds(EVENTS) == {
        "rib": 1,
        "duplicate": 1,
        "change": 2,
        "new": 1,
        "withdrawal": 1,
        "unknown-withdrawal": 2,
        "return-changed": 1,
    }


@pytest.mark.parametrize(
    ("old", "new", "counts", "without_prepends"),
    [
        ("1 2", "1 2", False, False),
        ("1 2", "1 2 2", True, False),
        ("1 2", "1 3", True, True),
        ("1 {2,3}", "1 {3,2}", False, False),
        ("1 {2,3}", "1 {2,4}", True, True),
        ("1 {2}", "1 2", True, True),
        ("1 1 {2} 1", "1 {2} 1 1", True, False),
        ("1 2 3", "1 2 2 1 3", True, True),
        ("(5) 1 2", "1 2", False, False),
    ],
)
def test_path_changes(old: str, new: str, counts: bool, without_prepends: bool) -> None:
    events = [entry(1, 1, P6, old), announce(2, 1, P6, new)]
    assert path_changes(events) == ({(peer(1), KEY6): 1} if counts else {})
    assert path_changes(events, prepends=False) == ({(peer(1), KEY6): 1} if without_prepends else {})


def test_a_change_of_communities_or_a_return_is_no_path_change() -> None:
    assert path_changes([announce(1, 1, P4, "1"), announce(2, 1, P4, "1", "1:1")]) == {}
    assert path_changes([announce(1, 1, P4, "1"), withdraw(2, 1, P4), announce(3, 1, P4, "1 2")]) == {}
    assert path_changes([announce(1, 1, P4, "1"), announce(2, 2, P4, "2"), announce(2, 1, P6, "1 2")]) == {}


# --- flaps ------------------------------------------------------------------------------------------------------------


def test_announce_withdraw_announce_is_a_flap() -> None:
    assert list(flaps(EVENTS)) == [(peer(1), KEY4, 5, 7)]


def test_what_was_never_held_or_never_comes_back_does_not_flap() -> None:
    assert not list(flaps([withdraw(1, 1, P4), announce(2, 1, P4), withdraw(3, 1, P4), announce(4, 2, P4)]))
    assert not list(flaps([]))


def test_a_broken_session_is_no_flap() -> None:
    assert not list(flaps([announce(1, 1, P4), down(2, 1), up(3, 1), announce(4, 1, P4)]))
    assert not list(flaps([announce(1, 1, P4), withdraw(2, 1, P4), down(3, 1), announce(4, 1, P4)]))


def flapping_at(*times: float) -> list[Event]:
    """Down one second before each time."""
    events: list[Event] = [announce(0, 1, P4)]
    for time in times:
        events += [withdraw(time - 1, 1, P4), announce(time, 1, P4)]
    return events


def test_flapping_needs_so_many_flaps_within_the_window() -> None:
    events = flapping_at(10, 20, 30, 500)
    place = (peer(1), KEY4)
    assert flapping(events, 3, 20.5) == {place: tuple(flaps(events))}
    assert flapping(events, 3, 20) == {}
    assert flapping(events, 1, 0.1).keys() == {place}
    assert flapping(events, 5, 1000) == {}
    assert flapping([]) == {}


@pytest.mark.parametrize(("count", "window"), [(0, 10), (3, 0), (3, -1)])
def test_flapping_refuses_what_makes_no_sense(count: int, window: float) -> None:
    with pytest.raises(DataError, match="have to be positive"):
        flapping([], count, window)


# --- rates and bursts -------------------------------------------------------------------------------------------------


def test_intervals_are_half_open_and_gaps_are_zero() -> None:
    events = [announce(12, 1, P4), withdraw(19.9, 1, P4), announce(20, 1, P6), announce(45, 1, P4), down(99, 1)]
    assert update_rate(events, 10) == [(10, 20, 1, 1), (20, 30, 1, 0), (30, 40, 0, 0), (40, 50, 1, 0)]
    assert update_rate(events, 10, start=15, end=40) == [(15, 25, 1, 1), (25, 35, 0, 0), (35, 40, 0, 0)]
    assert update_rate(events, 10, start=15, end=20) == [(15, 20, 0, 1)]
    assert update_rate([entry(1, 1, P4)], 10) == []
    assert update_rate([], 10, end=2e9) == []
    assert update_rate([], 10, start=0, end=15) == [(0, 10, 0, 0), (10, 15, 0, 0)]


@settings(deadline=None)
@given(st.lists(st.integers(-50, 50)), st.integers(1, 20), st.integers(-20, 20))
def test_every_update_in_range_is_in_one_interval(times: list[int], interval: int, start: int) -> None:
    events = [announce(time, 1, P4) for time in times]
    rates = update_rate(events, interval, start=start)
    assert [rate.updates for rate in rates] == [sum(rate.start <= time < rate.end for time in times) for rate in rates]
    assert sum(rate.updates for rate in rates) == sum(time >= start for time in times)
    assert sum(rate.updates for rate in update_rate(events, interval)) == len(times)


def test_an_interval_has_to_be_positive() -> None:
    with pytest.raises(DataError, match="interval is 0 s"):
        update_rate([], 0)


def test_neighbouring_intervals_of_a_burst_are_one() -> None:
    events = [announce(time, 1, P4) for time in range(0, 100, 10)]
    events += [withdraw(time, 1, P4) for time in (30, 40, 70) for _ in range(20)]
    rates = update_rate(events, 10)
    assert bursts(rates, factor=10, minimum=20) == [(30, 50, 42), (70, 80, 21)]
    assert bursts(rates, factor=10, minimum=22) == []
    assert bursts(rates, factor=21, minimum=1) == []
    assert bursts([]) == []


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_is_down_until_it_is_established_again() -> None:
    steps = [StateChange(2, *peer(1), "IDLE", "CONNECT"), StateChange(3, *peer(1), "CONNECT", "ACTIVE")]
    events = [up(0, 3), down(1, 1), *steps, up(4, 1), down(5, 2), announce(6, 2, P4)]
    assert session_losses(events) == [(peer(1), 1, 4), (peer(2), 5, None)]
    assert session_losses([]) == []


MANY = [f"10.{number}.0.0/16" for number in range(20)]


def lose(count: int, time: float, pause: float = 0) -> list[Event]:
    """The peer withdraws so many of its twenty prefixes."""
    held: list[Event] = [entry(0, 1, prefix) for prefix in MANY]
    return held + [withdraw(time + pause * number, 1, prefix) for number, prefix in enumerate(MANY[:count])]


def test_a_mass_withdrawal_is_a_share_of_what_was_held() -> None:
    assert mass_withdrawals(lose(10, 5)) == [(peer(1), 5, 5, 10, 20)]
    assert mass_withdrawals(lose(9, 5)) == []
    assert mass_withdrawals(lose(19, 5, pause=1), share=0.9) == [(peer(1), 5, 23, 19, 20)]
    assert mass_withdrawals(lose(20, 5), minimum=21) == []
    assert mass_withdrawals([]) == []


def test_losses_that_are_far_apart_do_not_add_up() -> None:
    assert mass_withdrawals(lose(20, 5, pause=10), window=60) == []
    assert mass_withdrawals(lose(10, 5, pause=6), window=54) == []
    assert mass_withdrawals(lose(10, 5, pause=6), window=54.5) == [(peer(1), 5, 59, 10, 20)]


def test_what_comes_back_is_not_lost() -> None:
    events = lose(9, 5)
    events += [announce(6, 1, prefix) for prefix in MANY[:9]] + [withdraw(7, 1, prefix) for prefix in MANY[10:19]]
    assert mass_withdrawals(events) == []


def test_a_lost_session_is_a_mass_withdrawal_and_so_is_the_next() -> None:
    held: list[Event] = [entry(0, 1, prefix) for prefix in MANY]
    events = [*held, down(5, 1), up(100, 1), *(announce(101, 1, prefix) for prefix in MANY), down(200, 1)]
    assert mass_withdrawals(events) == [(peer(1), 5, 5, 20, 20), (peer(1), 200, 200, 20, 20)]


@pytest.mark.parametrize(("share", "window"), [(0, 60), (1.1, 60), (0.5, 0)])
def test_mass_withdrawals_refuse_what_makes_no_sense(share: float, window: float) -> None:
    with pytest.raises(DataError, match=r"\(0, 1\]"):
        mass_withdrawals([], share=share, window=window)


# --- visibility and outages -------------------------------------------------------------------------------------------

TABLE = [
    *(announce(1, 1, prefix) for prefix in MANY),
    *(announce(1, 2, prefix) for prefix in MANY[:18]),
    *(announce(1, 3, prefix) for prefix in MANY[:17]),
    announce(1, 3, P6),
]


def test_full_feeds_are_measured_by_the_largest_of_the_version() -> None:
    assert full_feed_peers(TABLE, 4) == {peer(1), peer(2)}
    assert full_feed_peers(TABLE, 4, share=0.85) == {peer(1), peer(2), peer(3)}
    assert full_feed_peers(TABLE, 6) == {peer(3)}
    assert full_feed_peers([], 4) == frozenset()
    with pytest.raises(DataError, match="share is 0"):
        full_feed_peers(TABLE, 4, share=0)


def test_visibility_counts_the_exact_prefix_at_the_peers_asked_for() -> None:
    [seen_by_one, seen_by_all, inside] = parse(MANY[19], MANY[0], "10.0.0.0/24")
    assert visibility(TABLE, seen_by_one, full_feed_peers(TABLE, 4)) == 0.5
    assert visibility(TABLE, seen_by_all, [peer(1), peer(2), peer(3), peer(4)]) == 0.75
    assert visibility(TABLE, inside, [peer(1)]) == 0
    assert peers_seeing(TABLE, seen_by_all) == {peer(1), peer(2), peer(3)}
    with pytest.raises(DataError, match="at least one peer"):
        visibility(TABLE, inside, [])


def test_an_outage_lasts_from_the_last_loss_to_the_first_return() -> None:
    events = [
        entry(0, 1, P4),
        announce(1, 2, P4),
        withdraw(2, 1, P4),
        withdraw(3, 2, P4),
        withdraw(4, 2, P4),
        announce(5, 2, P4),
        withdraw(5, 1, P6),
        announce(6, 1, P6),
        down(7, 1),
    ]
    assert outages(events) == [(KEY4, 3, 5, "withdrawal"), (KEY6, 7, None, "session")]
    assert outages(events, [KEY6]) == [(KEY6, 7, None, "session")]
    assert outages([]) == []
