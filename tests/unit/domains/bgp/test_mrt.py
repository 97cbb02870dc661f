"""``read_mrt``: what the writer of the tests writes comes back, typed, with every attribute."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mrt_writer as w
from seedtune.domains.bgp.mrt import MrtRecord, Route, Segment, StateChange, Withdrawal, read_mrt
from seedtune.errors import DataError

PATH = [w.origin(), w.as_path(64496), w.next_hop("192.0.2.1")]


def read(folder: Path, *records: bytes) -> list[MrtRecord]:
    return list(read_mrt(w.write_mrt(folder / "file.mrt", records)))


def route(folder: Path, *attributes: bytes) -> Route:
    """The route of an update with these attributes."""
    [record] = read(folder, w.update(1, announce=["192.0.2.0/24"], attributes=attributes))
    [found] = record.announced
    return found


# --- kinds of records -------------------------------------------------------------------------------------------------


def test_an_update(tmp_path: Path) -> None:
    peer = w.Peer(64500, "2001:db8::1")
    attributes = [*PATH, w.mp_reach(["2001:db8:1::/48"], "2001:db8::2")]
    update = w.update(5, peer, announce=["192.0.2.0/24"], withdraw=["198.51.100.0/24"], attributes=attributes)
    [record] = read(tmp_path, update)
    assert (record.kind, record.time, record.type, record.subtype, record.problem) == ("update", 5.0, 16, 4, None)
    assert record.withdrawn == (Withdrawal(5.0, 64500, "2001:db8::1", 4, 0xC6336400, 24),)
    assert [(r.time, r.peer_asn, r.prefix, r.next_hop) for r in record.routes] == [
        (5.0, 64500, "192.0.2.0/24", "192.0.2.1"),
        (5.0, 64500, "2001:db8:1::/48", "2001:db8::2"),
    ]


def test_a_state_change(tmp_path: Path) -> None:
    [record] = read(tmp_path, w.state_change(5, w.ESTABLISHED, w.IDLE))
    assert (record.kind, record.state) == ("state", StateChange(5.0, 64496, "192.0.2.1", "ESTABLISHED", "IDLE"))


def test_a_rib_record(tmp_path: Path) -> None:
    entries = [w.RibEntry(0, PATH, originated=3), w.RibEntry(1, PATH, originated=4)]
    peers = [w.Peer(64496, "192.0.2.1"), w.Peer(64497, "192.0.2.2")]
    [record] = read(tmp_path, w.peer_index(5, peers), w.rib(5, "198.51.100.0/24", entries))
    assert record.kind == "rib"
    assert record.routes == record.entries
    assert [(r.peer_asn, r.prefix, r.time, r.originated) for r in record.entries] == [
        (64496, "198.51.100.0/24", 5.0, 3),
        (64497, "198.51.100.0/24", 5.0, 4),
    ]


def test_records_without_routes_are_of_another_kind(tmp_path: Path) -> None:
    assert [r.kind for r in read(tmp_path, w.keepalive(1), w.record(1, 16, 3, b"?"))] == ["other", "other"]


def test_prefixes_as_networks(tmp_path: Path) -> None:
    [record] = read(tmp_path, w.update(1, withdraw=["192.0.2.0/24"], attributes=[w.mp_unreach(["2001:db8::/32"])]))
    assert [each.network for each in record.withdrawn] == [IPv4Network("192.0.2.0/24"), IPv6Network("2001:db8::/32")]


# --- attributes -------------------------------------------------------------------------------------------------------


def test_every_attribute(tmp_path: Path) -> None:
    found = route(
        tmp_path,
        w.origin(w.INCOMPLETE),
        w.as_path(64496, 64497, 64497, {64499, 64498}),
        w.next_hop("192.0.2.1"),
        w.med(5),
        w.local_pref(100),
        w.atomic_aggregate(),
        w.aggregator(4_200_000_000, "192.0.2.7"),
        w.communities("64496:1", "65535:666"),
        w.originator_id("192.0.2.8"),
        w.cluster_list("192.0.2.9", "192.0.2.10"),
        w.route_targets("64496:4000000000"),
        w.large_communities("4200000000:1:2", "64496:3:4"),
        w.only_to_customer(64511),
    )
    assert (found.origin, found.med, found.local_pref, found.atomic_aggregate) == ("INCOMPLETE", 5, 100, True)
    assert found.as_path == "64496 64497 64497 {64498,64499}"
    assert found.segments == (Segment("sequence", (64496, 64497, 64497)), Segment("set", (64498, 64499)))
    assert found.hops == (64496, 64497, 64497, 64498, 64499)
    assert found.aggregator == (4_200_000_000, "192.0.2.7")
    assert found.communities == ("64496:1", "65535:666")
    assert found.large_communities == ("4200000000:1:2", "64496:3:4")
    assert found.extended_communities == ("rt:64496:4000000000",)
    assert (found.originator_id, found.cluster_list) == ("192.0.2.8", ("192.0.2.9", "192.0.2.10"))
    assert found.only_to_customer == 64511


def test_no_attribute_at_all(tmp_path: Path) -> None:
    found = route(tmp_path)
    assert (found.origin, found.med, found.local_pref, found.atomic_aggregate) == (None, None, None, False)
    assert (found.as_path, found.segments, found.hops, found.origin_asn) == ("", (), (), None)
    assert (found.next_hop, found.aggregator, found.originator_id, found.only_to_customer) == (None, None, None, None)
    assert (*found.communities, *found.large_communities, *found.extended_communities, *found.cluster_list) == ()


@pytest.mark.parametrize("code", [1, 4, 5, 7, 9, 10, 16, 32, 35])
def test_a_value_of_impossible_size_counts_as_absent(code: int, tmp_path: Path) -> None:
    found = route(tmp_path, w.attribute(code, b"\x07" * 5))
    assert (found.origin, found.med, found.local_pref, found.aggregator, found.originator_id) == (None,) * 5
    assert (*found.large_communities, *found.extended_communities, *found.cluster_list) == ()
    assert found.only_to_customer is None


@pytest.mark.parametrize(
    ("path", "origin"),
    [
        ([64496, 64497], 64497),
        ([64496, (1, [64497])], None),
        ([(1, [64498]), 64497], 64497),
        ([(3, [65001])], None),
        ([(2, [])], None),
    ],
)
def test_the_origin_of_a_path(path: list[w.Segment], origin: int | None, tmp_path: Path) -> None:
    assert route(tmp_path, w.as_path(*path)).origin_asn == origin


def test_confederations_are_no_hops(tmp_path: Path) -> None:
    found = route(tmp_path, w.as_path((3, [65001]), 64496, (4, [65002])))
    assert found.hops == (64496,)
    assert [segment.kind for segment in found.segments] == [
        "confederation sequence",
        "sequence",
        "confederation set",
    ]


def test_as4_aggregator_stands_in_for_as_trans(tmp_path: Path) -> None:
    newer = w.as4_aggregator(70000, "192.0.2.8")
    for asn, expected in ((23456, (70000, "192.0.2.8")), (64496, (64496, "192.0.2.7"))):
        attributes = [w.aggregator(asn, "192.0.2.7", width=2), newer]
        [record] = read(tmp_path, w.update(1, announce=["192.0.2.0/24"], attributes=attributes, subtype=1))
        assert record.announced[0].aggregator == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0002fbf000000064", "rt:64496:100"),
        ("4003fbf000000064", "soo:64496:100"),
        ("0102c00002010064", "rt:192.0.2.1:100"),
        ("0202fa56ea000064", "rt:4200000000:100"),
        ("03000000000000ff", "0x03000000000000ff"),
        ("0602000000000000", "0x0602000000000000"),
    ],
)
def test_extended_communities(value: str, text: str, tmp_path: Path) -> None:
    assert route(tmp_path, w.attribute(16, bytes.fromhex(value))).extended_communities == (text,)


# --- what the PyBGPStream module hides --------------------------------------------------------------------------------


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("subtype", [8, 9, 10, 11])
def test_updates_with_path_identifiers(subtype: int, extended: bool, tmp_path: Path) -> None:
    width = 2 if subtype in (8, 10) else 4
    attributes = [
        w.as_path(64496, width=width),
        w.next_hop("192.0.2.1"),
        w.mp_reach(["2001:db8:1::/48"], "2001:db8::2", path_id=7),
        w.mp_unreach(["2001:db8:2::/48"], path_id=8),
    ]
    message = w.update_message(["192.0.2.0/24", "198.51.100.0/24"], ["203.0.113.0/24"], attributes, path_id=9)
    [record] = read(tmp_path, w.bgp4mp(5.25 if extended else 5, message, subtype=subtype, extended=extended))
    assert (record.kind, record.time) == ("update", 5.25 if extended else 5.0)
    assert [(r.prefix, r.path_id, r.as_path, r.next_hop) for r in record.announced] == [
        ("192.0.2.0/24", 9, "64496", "192.0.2.1"),
        ("198.51.100.0/24", 9, "64496", "192.0.2.1"),
        ("2001:db8:1::/48", 7, "64496", "2001:db8::2"),
    ]
    assert [(r.prefix, r.path_id) for r in record.withdrawn] == [("203.0.113.0/24", 9), ("2001:db8:2::/48", 8)]


@pytest.mark.parametrize("subtype", [3, 5, 6, 8, 9, 10, 11, 12])
def test_ribs_other_than_unicast(subtype: int, tmp_path: Path) -> None:
    prefix = "2001:db8:1::/48" if subtype in (5, 10, 11) else "198.51.100.0/24"
    path_ids = (4, 5) if subtype >= 8 else (None, None)
    entries = [w.RibEntry(0, PATH, originated=3, path_id=path_id) for path_id in path_ids]
    [record] = read(tmp_path, w.peer_index(5, [w.PEER]), w.rib(5, prefix, entries, subtype=subtype))
    assert record.kind == "rib"
    assert [(r.prefix, r.path_id, r.as_path, r.originated) for r in record.entries] == [
        (prefix, path_id, "64496", 3) for path_id in path_ids
    ]


@pytest.mark.parametrize(
    "record",
    [
        w.record(1, 16, 9, b"\0" * 10),
        w.bgp4mp(1, w.message(4), subtype=9),
        w.record(1, 13, 8, b"\0\0\0\0\x18"),
        w.record(1, 13, 8, b"\0\0\0\0\0\0\1"),
        w.record(1, 13, 6, b"\0\0\0\0\0\x19\x41\0\0\1"),
        w.record(1, 13, 12, b""),
    ],
)
def test_what_cannot_be_decoded_there_does_not_end_the_file(record: bytes, tmp_path: Path) -> None:
    [hidden, after] = read(tmp_path, record, w.keepalive(2))
    assert (hidden.kind, hidden.problem) == ("other", None)
    assert after.time == 2.0


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_damaged_file_ends_in_a_marked_record(tmp_path: Path) -> None:
    *_, whole, broken = read(tmp_path, w.keepalive(1), w.keepalive(2)[:-1])
    assert whole.problem is None
    assert (broken.kind, broken.time, broken.problem) == ("other", 0.0, "the file ends inside a record")


def test_records_before_the_damage_of_a_gzip_file_are_kept(tmp_path: Path) -> None:
    updates = [w.update(i, announce=[f"10.0.{i}.0/24"], attributes=PATH) for i in range(200)]
    path = w.write_mrt(tmp_path / "cut.gz", updates, "gzip")
    path.write_bytes(path.read_bytes()[:-20])
    *whole, broken = read_mrt(path)
    assert len(whole) > 100
    assert broken.problem


@pytest.mark.parametrize("name", ["missing.gz", "."])
def test_what_cannot_be_opened_is_named(name: str, tmp_path: Path) -> None:
    """At the call, not at the first record."""
    path = tmp_path / name
    with pytest.raises(DataError, match=str(path)):
        read_mrt(path)


# --- what is written is read ------------------------------------------------------------------------------------------

asns = st.integers(0, 2**32 - 1)
short_asns = st.integers(0, 2**16 - 1)
ipv4 = st.builds(
    lambda number, length: str(ip_network((number, length), strict=False)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)
ipv6 = st.builds(
    lambda number, length: str(ip_network((number, length), strict=False)),
    st.integers(2**120, 2**128 - 1),
    st.integers(0, 128),
)
addresses = st.ip_addresses(v=4).map(str)
peers = st.builds(w.Peer, asns, st.one_of(addresses, st.ip_addresses(v=6).map(str)))
paths = st.lists(st.one_of(asns, st.frozensets(asns, min_size=1, max_size=4)), max_size=6)
communities = st.lists(st.tuples(short_asns, short_asns).map("{0[0]}:{0[1]}".format), max_size=5)
large = st.lists(st.tuples(asns, asns, asns).map("{0[0]}:{0[1]}:{0[2]}".format), max_size=5)
times = st.integers(0, 2**32 - 1)
reading = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def path_text(path: list[Any]) -> str:
    return " ".join(str(hop) if isinstance(hop, int) else f"{{{','.join(map(str, sorted(hop)))}}}" for hop in path)


@reading
@given(
    times,
    peers,
    st.lists(ipv4, max_size=5),
    st.lists(ipv4, max_size=5),
    st.lists(ipv6, min_size=1, max_size=5),
    paths,
    communities,
    large,
)
def test_updates_come_back(
    tmp_path: Path,
    time: int,
    peer: w.Peer,
    announce: list[str],
    withdraw: list[str],
    announce6: list[str],
    path: list[Any],
    standard: list[str],
    wide: list[str],
) -> None:
    attributes = [
        w.as_path(*path),
        w.next_hop("192.0.2.1"),
        w.mp_reach(announce6, "2001:db8::1"),
        w.communities(*standard),
        w.large_communities(*wide),
    ]
    [record] = read(tmp_path, w.update(time, peer, announce, withdraw, attributes))
    assert record.time == time
    assert [str(r.network) for r in record.announced] == announce + announce6
    assert [(str(r.network), ip_address(r.peer_address), r.peer_asn) for r in record.withdrawn] == [
        (prefix, ip_address(peer.address), peer.asn) for prefix in withdraw
    ]
    for found in record.announced:
        assert (found.peer_asn, found.as_path) == (peer.asn, path_text(path))
        assert (list(found.communities), list(found.large_communities)) == (standard, wide)


@reading
@given(times, st.lists(peers, min_size=1, max_size=4), st.one_of(ipv4, ipv6), st.data())
def test_ribs_come_back(tmp_path: Path, time: int, table: list[w.Peer], prefix: str, data: st.DataObject) -> None:
    numbers = data.draw(st.lists(st.integers(0, len(table) - 1), max_size=6))
    entries = [w.RibEntry(number, [w.as_path(place + 1)], originated=place) for place, number in enumerate(numbers)]
    [record] = read(tmp_path, w.peer_index(time, table), w.rib(time, prefix, entries))
    assert [
        (r.time, str(r.network), r.peer_asn, ip_address(r.peer_address), r.as_path, r.originated)
        for r in record.entries
    ] == [
        (time, prefix, table[number].asn, ip_address(table[number].address), str(place + 1), place)
        for place, number in enumerate(numbers)
    ]


@reading
@given(times, st.integers(0, 999_999))
def test_bgp4mp_et_keeps_microseconds(tmp_path: Path, seconds: int, microseconds: int) -> None:
    time = seconds + microseconds / 1e6
    update = w.update(time, announce=["192.0.2.0/24"], attributes=PATH, extended=True)
    [record] = read(tmp_path, update)
    assert record.type == 17
    assert round(record.time * 1e6) == seconds * 1_000_000 + microseconds
    assert record.announced[0].time == record.time
