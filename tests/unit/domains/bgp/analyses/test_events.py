"""The input of the analyses: what of an MRT file becomes an event, and what text can be read."""

import pathlib

import pytest
from analysis_cases import announce, entry, parse, prefixes, withdraw
from hypothesis import given, settings
from hypothesis import strategies as st

import mrt_writer as w
from seedtune.domains.bgp import analyses
from seedtune.domains.bgp.analyses import (
    AsPath,
    Peer,
    Prefix,
    announcements,
    during,
    events_of,
    make_route,
    parse_path,
    parse_prefix,
    peer_of,
    prefix_of,
    withdrawals,
)
from seedtune.domains.bgp.mrt import Route, Segment, StateChange, Withdrawal, read_mrt
from seedtune.errors import DataError

PATH = [w.origin(), w.as_path(64496), w.next_hop("192.0.2.1")]


def test_public_names_exist_once_and_are_sorted() -> None:
    names = analyses.__all__
    assert all(hasattr(analyses, name) for name in names)
    assert len(set(names)) == len(names)


def test_a_file_becomes_events_in_its_order(tmp_path: pathlib.Path) -> None:
    both = [*PATH, w.mp_reach(["2001:db8::/32"], "2001:db8::2")]
    file = w.write_mrt(
        tmp_path / "file.mrt",
        [
            w.peer_index(1, [w.PEER]),
            w.rib(1, "10.0.0.0/8", [w.RibEntry(0, PATH)]),
            w.keepalive(2),
            w.update(3, announce=["10.1.0.0/16"], withdraw=["10.2.0.0/16"], attributes=both),
            w.state_change(4, w.ESTABLISHED, w.IDLE),
        ],
    )
    events = list(events_of(read_mrt(file)))
    assert [type(event) for event in events] == [Route, Withdrawal, Route, Route, StateChange]
    assert [str(prefix_of(event)) for event in events if not isinstance(event, StateChange)] == [
        "10.0.0.0/8",
        "10.2.0.0/16",
        "10.1.0.0/16",
        "2001:db8::/32",
    ]
    assert {peer_of(event) for event in events} == {Peer(64496, "192.0.2.1")}
    assert list(announcements(events)) == events[2:4]
    assert list(withdrawals(events)) == [events[1]]
    assert list(during(events, 1, 3)) == events[:1]
    assert list(during(events, 3, 4.5)) == events[1:]


def test_an_empty_file_has_no_events(tmp_path: pathlib.Path) -> None:
    assert not list(events_of(read_mrt(w.write_mrt(tmp_path / "file.mrt", []))))


def test_a_prefix_withdrawn_and_announced_by_one_message_is_announced(tmp_path: pathlib.Path) -> None:
    """RFC 4271, 4.3; with ADD-PATH the identifier has to be the same."""
    message = w.update(1, announce=["10.0.0.0/8"], withdraw=["10.0.0.0/8", "11.0.0.0/8"], attributes=PATH)
    body = w.update_message(["10.0.0.0/8"], ["12.0.0.0/8"], PATH, path_id=7)
    other = w.bgp4mp(2, body, subtype=9)
    events = list(events_of(read_mrt(w.write_mrt(tmp_path / "file.mrt", [message, other]))))
    assert [(type(event), event.prefix) for event in events if not isinstance(event, StateChange)] == [
        (Withdrawal, "11.0.0.0/8"),
        (Route, "10.0.0.0/8"),
        (Withdrawal, "12.0.0.0/8"),
        (Route, "10.0.0.0/8"),
    ]


# --- prefixes ---------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(prefixes)
def test_a_prefix_reads_its_own_text(prefix: Prefix) -> None:
    assert parse_prefix(str(prefix)) == prefix


def test_prefixes_sort_by_version_address_and_length() -> None:
    texts = ["10.0.0.0/8", "10.0.0.0/9", "192.0.2.1/32", "2001:db8::/32"]
    assert [str(prefix) for prefix in sorted(parse(*reversed(texts)))] == texts


def test_prefixes_of_both_versions_never_cover_each_other() -> None:
    v4, v6 = parse("0.0.0.0/0", "::/0")
    assert v4.covers(v4)
    assert not v4.covers(v6)
    assert (v4.bits, v6.bits) == (32, 128)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "", "10/8", "2001:db8::1/32"])
def test_what_is_no_prefix_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"192\.0\.2\.0/24"):
        parse_prefix(text)


# --- paths and routes -------------------------------------------------------------------------------------------------

ASNS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3).map(tuple)
OTHER_KINDS = st.sampled_from(["set", "confederation sequence", "confederation set"])
PATHS = st.builds(
    lambda first, others: (Segment("sequence", first), *others), ASNS, st.lists(st.builds(Segment, OTHER_KINDS, ASNS))
)


@settings(deadline=None)
@given(PATHS)
def test_a_path_comes_back_through_bytes_and_text(path: AsPath) -> None:
    route = make_route(1, Peer(1, "192.0.2.1"), parse_prefix("10.0.0.0/8"), path)
    assert route.segments == path
    assert parse_path(route.as_path) == path


@pytest.mark.parametrize(
    "text", ["1,2", "{1 2}", "1 {2", "1 x", " 1", "1  2", "4294967296", "1{2}", "{}", "{,}", "1 2 ", "1 " * 40 + "x"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"AS path|AS number"):
        parse_path(text)


def test_a_made_route_has_what_it_was_made_of() -> None:
    path = parse_path(" ".join(["64496"] * 300) + " {64497,64498}")
    route = make_route(
        5, Peer(1, "::1"), parse_prefix("2001:db8::/32"), path, ["1:2"], ["1:2:3"], {5: bytes([0, 0, 0, 9])}
    )
    assert (route.time, route.peer_asn, route.peer_address, route.prefix) == (5, 1, "::1", "2001:db8::/32")
    assert (route.communities, route.large_communities, route.local_pref) == (("1:2",), ("1:2:3",), 9)
    assert [len(segment.asns) for segment in route.segments] == [255, 45, 2]


def test_entries_of_a_rib_are_no_announcements() -> None:
    events = [entry(1, 1, "10.0.0.0/8"), announce(2, 1, "10.0.0.0/8"), withdraw(3, 1, "10.0.0.0/8")]
    assert list(announcements(events)) == events[1:2]
