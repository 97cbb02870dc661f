"""The table that events make, and what each of them changes."""

import pathlib
from typing import Literal

import pytest
from analysis_cases import announce, down, entry, parse, peer, up, withdraw
from hypothesis import given, settings
from hypothesis import strategies as st

import mrt_writer as w
from seedtune.domains.bgp.analyses import (
    Event,
    Table,
    changes,
    events_of,
    peer_of,
    prefix_of,
    same_attributes,
    table_at,
)
from seedtune.domains.bgp.mrt import Route, StateChange, Withdrawal, read_mrt

P4, P6 = "10.0.0.0/8", "2001:db8::/32"


def kinds(*events: Event) -> list[str]:
    return [change.kind for change in changes(events)]


def test_the_kinds_of_announcements() -> None:
    assert kinds(
        announce(1, 1, P4, "1 2"),
        announce(2, 1, P4, "1 2"),
        announce(3, 1, P4, "1 3"),
        announce(4, 1, P4, "1 3", "1:1"),
        withdraw(5, 1, P4),
        announce(6, 1, P4, "1 3", "1:1"),
        withdraw(7, 1, P4),
        announce(8, 1, P4, "1 2"),
    ) == ["new", "duplicate", "change", "change", "withdrawal", "return-same", "withdrawal", "return-changed"]


def test_peers_and_versions_are_apart() -> None:
    events = [announce(1, 1, P4), announce(1, 2, P4), announce(1, 1, P6), withdraw(2, 2, P6)]
    assert kinds(*events) == ["new", "new", "new", "unknown-withdrawal"]


def test_a_withdrawal_of_what_is_not_held_ends_nothing() -> None:
    *_, last = changes([announce(1, 1, P4), withdraw(2, 1, P4), withdraw(3, 1, P4)])
    assert (last.kind, last.ended) == ("unknown-withdrawal", ())


def test_entries_of_a_rib_set_the_table() -> None:
    assert kinds(entry(1, 1, P4, "1 2"), entry(1, 1, P4, "1 2"), announce(2, 1, P4, "1 2"), withdraw(3, 1, P4)) == [
        "rib",
        "rib",
        "duplicate",
        "withdrawal",
    ]


def test_a_lost_session_takes_the_routes_of_its_peer() -> None:
    events = [announce(1, 1, P4), announce(1, 2, P4), announce(1, 1, P6), down(2, 1)]
    *_, last = changes(events)
    assert (last.kind, last.ended) == ("session", (events[0], events[2]))
    assert last.prefixes == set(parse(P4, P6))
    assert list(table_at(events).routes()) == [events[1]]


def test_what_was_withdrawn_before_the_session_broke_does_not_return() -> None:
    assert kinds(announce(1, 1, P4), withdraw(2, 1, P4), down(3, 1), up(4, 1), announce(5, 1, P4))[-1] == "new"


def test_other_changes_of_state_end_nothing() -> None:
    steps = [StateChange(2, *peer(1), "IDLE", "CONNECT"), StateChange(3, *peer(1), "CONNECT", "ACTIVE")]
    assert len(list(table_at([announce(1, 1, P4), *steps]).routes())) == 1


def test_a_session_that_comes_up_begins_empty() -> None:
    """Where its end was not recorded."""
    assert not list(table_at([announce(1, 1, P4), up(2, 1)]).routes())


def test_the_time_asked_for_is_included() -> None:
    events = [announce(1, 1, P4), announce(2, 1, P6), withdraw(2, 1, P4), announce(3, 1, P4)]
    assert [route.prefix for route in table_at(events, 2).routes()] == [P6]
    assert not list(table_at(events, 0.5).routes())
    assert table_at([]).peers() == []


def test_what_a_table_tells() -> None:
    table = table_at([announce(1, 1, P4), announce(1, 2, P4), announce(1, 1, P6), withdraw(2, 2, P4)])
    assert list(table.prefixes()) == parse(P4, P6)
    assert [route.peer_asn for route in table.routes_to(parse(P4)[0])] == [1]
    assert table.peers() == [peer(1)]
    assert (table.held(peer(1)), table.held(peer(2))) == (2, 0)


def test_path_identifiers_are_routes_of_their_own(tmp_path: pathlib.Path) -> None:
    """RFC 7911, 5."""
    attributes = [w.origin(), w.as_path(64496), w.next_hop("192.0.2.1")]
    messages = [
        w.update_message(["10.0.0.0/8"], attributes=attributes, path_id=1),
        w.update_message(["10.0.0.0/8"], attributes=attributes, path_id=2),
        w.update_message(withdraw=["10.0.0.0/8"], path_id=1),
    ]
    file = w.write_mrt(tmp_path / "file.mrt", [w.bgp4mp(1, message, subtype=9) for message in messages])
    events = list(events_of(read_mrt(file)))
    assert kinds(*events) == ["new", "new", "withdrawal"]
    assert [route.path_id for route in table_at(events).routes()] == [2]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ([w.origin(), w.as_path(64496, 70000), w.next_hop("192.0.2.1")], True),
        ([w.origin(), w.as_path(64496, 70000), w.next_hop("192.0.2.2")], False),
        ([w.origin(w.EGP), w.as_path(64496, 70000), w.next_hop("192.0.2.1")], False),
        ([w.origin(), w.as_path(64496), w.next_hop("192.0.2.1")], False),
        ([w.origin(), w.as_path(64496, 70000), w.next_hop("192.0.2.1"), w.med(0)], False),
    ],
)
def test_routes_are_compared_by_what_they_say(tmp_path: pathlib.Path, other: list[bytes], same: bool) -> None:
    """An old session with AS4_PATH says the same as a new one, and a RIB the same as a message."""
    old = [w.origin(), w.as_path(64496, 23456, width=2), w.next_hop("192.0.2.1"), w.as4_path(64496, 70000)]
    records = [w.update(1, announce=["10.0.0.0/8"], attributes=old, subtype=1)]
    records += [w.peer_index(1, [w.PEER]), w.rib(1, "10.0.0.0/8", [w.RibEntry(0, other)])]
    one, two = events_of(read_mrt(w.write_mrt(tmp_path / "file.mrt", records)))
    assert isinstance(one, Route)
    assert isinstance(two, Route)
    assert same_attributes(one, two) is same


def test_prefixes_that_travel_in_attributes_do_not_count(tmp_path: pathlib.Path) -> None:
    rest = [w.origin(), w.as_path(64496)]
    records = [
        w.update(1, attributes=[*rest, w.mp_reach(["2001:db8::/32"], "2001:db8::1")]),
        w.update(2, attributes=[*rest, w.mp_reach(["2001:db9::/32", "2001:db8::/32"], "2001:db8::1")]),
    ]
    assert kinds(*events_of(read_mrt(w.write_mrt(tmp_path / "file.mrt", records)))) == ["new", "new", "duplicate"]


# --- against replay by hand -------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["announce", "withdraw", "down", "up"]),
        st.integers(1, 3),
        st.sampled_from([P4, "10.0.0.0/9", P6]),
        st.sampled_from(["1 2", "1 3", "1 {2,3}"]),
    ),
    max_size=40,
)


def event_of(time: int, step: tuple[Literal["announce", "withdraw", "down", "up"], int, str, str]) -> Event:
    what, asn, prefix, path = step
    if what == "announce":
        return announce(time, asn, prefix, path)
    return withdraw(time, asn, prefix) if what == "withdraw" else {"down": down, "up": up}[what](time, asn)


@settings(deadline=None)
@given(STEPS, st.integers(0, 40))
def test_the_table_is_what_the_last_event_of_each_place_left(steps: list[tuple], time: int) -> None:
    """The oracle looks at each peer and prefix by itself: the last event that concerns both decides."""
    events = [event_of(number, step) for number, step in enumerate(steps)]
    past = events[: time + 1]
    expected: set[Route] = set()
    for announced in past:
        if isinstance(announced, Route):
            concerned = [
                event
                for event in past
                if peer_of(event) == peer_of(announced)
                and (isinstance(event, StateChange) or prefix_of(event) == prefix_of(announced))
            ]
            if concerned[-1] is announced:
                expected.add(announced)
    table = table_at(events, time)
    assert set(table.routes()) == expected
    assert {asn: table.held(peer(asn)) for asn in (1, 2, 3)} == {
        asn: sum(route.peer_asn == asn for route in expected) for asn in (1, 2, 3)
    }


@settings(deadline=None)
@given(STEPS)
def test_routes_are_neither_lost_nor_made_up(steps: list[tuple]) -> None:
    """Every route that came is in the table or was ended, once."""
    table = Table()
    ended: list[Route] = []
    came: list[Route] = []
    for number, step in enumerate(steps):
        change = table.apply(event_of(number, step))
        ended += change.ended
        came += [change.event] if isinstance(change.event, Route) else []
        assert isinstance(change.event, Route | Withdrawal | StateChange)
    assert sorted([*ended, *table.routes()], key=lambda route: route.time) == came
