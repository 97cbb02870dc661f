"""The MRT decoder: equal to the recordings of the real library, lazy, bounded, and forgiving where that one is."""

import gzip
import hashlib
import json
import struct
from collections import Counter
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

import mrt_writer as w
from seedtune.domains.bgp.sandboxed.pybgpstream._elements import UpdateRecord
from seedtune.domains.bgp.sandboxed.pybgpstream._mrt import CHUNK_BYTES, MAX_RECORD_BYTES, Element, MrtFile, Record

GOLDEN = [
    "bgpdump/updates.20160811.1600.gz",
    "bgpdump/updates.20070211.0141.gz",
    "bgpdump/updates.20100722.2015.gz",
    "bgpdump/bview.20020722.2337.gz",
    "bgpdump/updates.long_withdrawal.gz",
    "bgpdump/bview.64k_stream_overflow.gz",
    "bgpdump/updates.nlri_mask_trailing_bits.gz",
    "os-ken/rib.20161101.0000_pick.bz2",
    "os-ken/updates.20161101.0000.bz2",
    "pyasn/rib.20140523.0600_firstMB.bz2",
    "mrtparse/bird-mrtdump_bgp",
    "mrtparse/quagga_bgp",
    "made-here/bird-rib.mrt",
    "made-here/bird-updates.mrt",
    "made-here/frr-all.mrt",
]

PATH = [w.origin(), w.as_path(64496), w.next_hop("192.0.2.1")]


def read(folder: Path, *records: bytes) -> list[Record]:
    return list(MrtFile(w.write_mrt(folder / "file.mrt", records)))


def elements(folder: Path, *records: bytes) -> list[Element]:
    return [element for record in read(folder, *records) for element in record.elements()]


def one(folder: Path, *records: bytes) -> Element:
    [element] = elements(folder, *records)
    return element


# --- the recordings ---------------------------------------------------------------------------------------------------


def line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=True).encode() + b"\n"


def fields(element: Element) -> dict[str, Any]:
    if element.type == "S":
        return {"old-state": element.old_state, "new-state": element.new_state}
    if element.type == "W":
        return {"prefix": element.prefix}
    communities = sorted(set(element.communities))
    return {
        "prefix": element.prefix,
        "next-hop": element.next_hop,
        "as-path": element.as_path,
        "communities": communities,
    }


@pytest.mark.parametrize("name", GOLDEN)
def test_decoded_as_by_the_real_library(name: str, mrt_fixtures: Path, golden_fixtures: Path) -> None:
    """Every element in its order and with its values, every record with its status and place in the file."""
    index = json.loads((golden_fixtures / "index.json").read_text())["files"]
    assert {entry["file"] for entry in index} == set(GOLDEN)
    [golden] = [entry for entry in index if entry["file"] == name]
    with gzip.open(golden_fixtures / "elems" / golden["elems_file"]) as lines:
        wanted = iter(lines.readlines())
    kind = "rib" if golden["option"] == "rib-file" else "update"
    all_elements, all_records = hashlib.sha256(), hashlib.sha256()
    types, statuses, positions = Counter[str](), Counter[str](), Counter[str]()
    for number, record in enumerate(MrtFile(mrt_fixtures / name)):
        status = "corrupted-record" if record.problem else "valid"
        position = "end" if record.last else "middle" if number else "start"
        all_records.update(line([kind, status, round(record.time, 6), position]))
        statuses[status] += 1
        positions[position] += 1
        for element in record.elements():
            peer = (element.peer_asn, element.peer_address)
            got = line([kind, status, element.type, round(record.time, 6), *peer, fields(element)])
            assert got == next(wanted, got), f"element {types.total()}"
            all_elements.update(got)
            types[element.type] += 1
    assert (types, types.total()) == (golden["elem_types"], golden["elems"])
    assert (statuses, positions) == (golden["statuses"], golden["dump_positions"])
    assert all_elements.hexdigest() == golden["elems_sha256"]
    assert all_records.hexdigest() == golden["records_sha256"]


# --- records ----------------------------------------------------------------------------------------------------------


def test_order_of_the_elements_of_an_update(tmp_path: Path) -> None:
    """Withdrawals first, and of each the message's own field before the multiprotocol attribute."""
    attributes = [
        *PATH,
        w.mp_reach(["2001:db8:1::/48"], "2001:db8::1", "fe80::1"),
        w.mp_unreach(["2001:db8:2::/48"]),
    ]
    update = w.update(1, announce=["198.51.100.0/24"], withdraw=["203.0.113.0/24"], attributes=attributes)
    assert [(e.type, e.prefix, e.next_hop) for e in elements(tmp_path, update)] == [
        ("W", "203.0.113.0/24", None),
        ("W", "2001:db8:2::/48", None),
        ("A", "198.51.100.0/24", "192.0.2.1"),
        ("A", "2001:db8:1::/48", "2001:db8::1"),
    ]


@pytest.mark.parametrize(
    ("record", "announces", "withdraws"),
    [
        (w.update(1, announce=["192.0.2.0/24"]), True, False),
        (w.update(1, withdraw=["192.0.2.0/24"]), False, True),
        (w.update(1, attributes=[w.mp_reach(["2001:db8::/32"], "2001:db8::1")]), True, False),
        (w.update(1, attributes=[w.mp_unreach(["2001:db8::/32"])]), False, True),
        (w.update(1), False, False),
    ],
)
def test_what_an_update_does_is_told_before_its_prefixes_are_decoded(
    record: bytes, announces: bool, withdraws: bool, tmp_path: Path
) -> None:
    [update] = read(tmp_path, record)
    assert isinstance(update, UpdateRecord)
    assert (update.announces, update.withdraws) == (announces, withdraws)
    types = {element.type for element in update.elements()}
    assert types == {kind for kind, there in (("A", announces), ("W", withdraws)) if there}


def test_elements_of_a_message_share_their_attributes(tmp_path: Path) -> None:
    found = elements(tmp_path, w.update(1, announce=["192.0.2.0/24", "198.51.100.0/24"], attributes=PATH))
    assert found[0].attributes is found[1].attributes


def test_elements_are_made_once(tmp_path: Path) -> None:
    [record] = read(tmp_path, w.update(1, announce=["192.0.2.0/24"], attributes=PATH))
    assert record.elements() is record.elements()


@pytest.mark.parametrize("subtype", [1, 4, 6, 7])
def test_messages_of_both_widths_and_of_the_collector_itself(subtype: int, tmp_path: Path) -> None:
    width = 2 if subtype in (1, 6) else 4
    update = w.update(1, announce=["192.0.2.0/24"], attributes=[w.as_path(64496, 64497, width=width)], subtype=subtype)
    element = one(tmp_path, update)
    assert (element.peer_asn, element.as_path, element.next_hop) == (64496, "64496 64497", None)


@pytest.mark.parametrize("subtype", [0, 5])
def test_state_changes(subtype: int, tmp_path: Path) -> None:
    peer = w.Peer(64496, "2001:db8::1")
    element = one(tmp_path, w.state_change(1, w.ESTABLISHED, w.IDLE, peer, subtype=subtype))
    assert (element.type, element.peer_address, element.old_state, element.new_state, element.prefix) == (
        "S",
        "2001:db8::1",
        "ESTABLISHED",
        "IDLE",
        "",
    )


def test_a_state_without_a_name(tmp_path: Path) -> None:
    element = one(tmp_path, w.state_change(1, 0, 9))
    assert (element.old_state, element.new_state) == ("", "")


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(w.keepalive(1), id="keepalive"),
        pytest.param(w.bgp4mp(1, w.message(3, b"\6\2")), id="notification"),
        pytest.param(w.update(1), id="end-of-rib"),
        pytest.param(w.update(1, announce=["192.0.2.0/24"], attributes=PATH, subtype=9), id="add-path"),
        pytest.param(w.record(1, 16, 2, b"anything"), id="unknown BGP4MP subtype"),
        pytest.param(w.rib(1, "192.0.2.0/24", [], subtype=3), id="multicast RIB"),
        pytest.param(w.record(1, 13, 99, b""), id="unknown TABLE_DUMP_V2 subtype"),
    ],
)
def test_sound_records_without_elements(record: bytes, tmp_path: Path) -> None:
    [found, after] = read(tmp_path, record, w.keepalive(2))
    assert (found.problem, found.time, found.elements()) == (None, 1.0, [])
    assert after.time == 2.0


def test_a_rib_entry_has_the_time_of_its_record(tmp_path: Path) -> None:
    peers = [w.Peer(64496, "192.0.2.1"), w.Peer(4_200_000_000, "2001:db8::1")]
    entries = [w.RibEntry(1, PATH, originated=5), w.RibEntry(0, PATH, originated=6)]
    [record] = read(tmp_path, w.peer_index(7, peers, view="view"), w.rib(7, "192.0.2.0/24", entries))
    assert record.time == 7.0
    assert [(e.type, e.peer_asn, e.peer_address, e.prefix) for e in record.elements()] == [
        ("R", 4_200_000_000, "2001:db8::1", "192.0.2.0/24"),
        ("R", 64496, "192.0.2.1", "192.0.2.0/24"),
    ]


@pytest.mark.parametrize(
    "attribute",
    [
        pytest.param(w.mp_next_hop("2001:db8::1", "fe80::1"), id="abbreviated"),
        pytest.param(w.mp_reach(["2001:db8:1::/48"], "2001:db8::1"), id="written in full"),
    ],
)
def test_the_next_hop_of_an_ipv6_rib_entry(attribute: bytes, tmp_path: Path) -> None:
    records = [w.peer_index(1, [w.PEER]), w.rib(1, "2001:db8:1::/48", [w.RibEntry(0, [*PATH, attribute])])]
    assert one(tmp_path, *records).next_hop == "2001:db8::1"


def test_table_dump(tmp_path: Path) -> None:
    attributes = [w.as_path(64496, width=2), w.next_hop("192.0.2.1")]
    element = one(tmp_path, w.table_dump(3, "198.51.100.0/23", attributes=attributes, originated=1))
    assert (element.type, element.prefix, element.as_path) == ("R", "198.51.100.0/23", "64496")
    attributes = [w.as_path(64496, width=2), w.mp_next_hop("2001:db8::1")]
    element = one(tmp_path, w.table_dump(3, "2001:db8::/32", w.Peer(64496, "2001:db8::1"), attributes))
    assert (element.prefix, element.next_hop) == ("2001:db8::/32", "2001:db8::1")


def test_multicast_prefixes_in_an_update_count(tmp_path: Path) -> None:
    update = w.update(1, attributes=[*PATH, w.mp_reach(["198.51.100.0/24"], "192.0.2.9", safi=2)])
    element = one(tmp_path, update)
    assert (element.prefix, element.next_hop) == ("198.51.100.0/24", "192.0.2.9")


def test_other_address_families_are_left_out(tmp_path: Path) -> None:
    vpn = [w.mp_reach(["198.51.100.0/24"], "192.0.2.9", safi=128), w.mp_unreach(["198.51.100.0/24"], safi=128)]
    assert elements(tmp_path, w.update(1, attributes=[*PATH, *vpn])) == []


# --- prefixes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prefix", ["0.0.0.0/0", "11.8.0.0/13", "192.0.2.1/32", "::/0", "2001:db8:8000::/33", "::1/128"]
)
def test_a_prefix_as_numbers_and_text(prefix: str, tmp_path: Path) -> None:
    element = one(tmp_path, w.withdrawal(1, prefix))
    network = ip_network(prefix)
    assert (element.version, element.network) == (network.version, int(network.network_address))
    assert (element.length, element.prefix) == (network.prefixlen, prefix)


def test_mapped_ipv4_is_written_as_in_c(tmp_path: Path) -> None:
    """The real library formats with inet_ntop, which shows the IPv4 part."""
    assert one(tmp_path, w.withdrawal(1, "::ffff:192.0.2.0/120")).prefix == "::ffff:192.0.2.0/120"


def test_bits_behind_the_prefix_length_are_cut(tmp_path: Path) -> None:
    message = w.message(2, b"\0\3" + b"\x0d\x0b\x0d" + b"\0\0")
    assert one(tmp_path, w.bgp4mp(1, message)).prefix == "11.8.0.0/13"


@pytest.mark.parametrize("rest", [b"\x18\xc6", b"\x21\xc6\x33\x64\x01\x01", b"\x18"])
def test_a_list_of_prefixes_ends_where_it_breaks(rest: bytes, tmp_path: Path) -> None:
    """A prefix that runs past the field or is too long: those before it stay, and the record is sound."""
    [record] = read(tmp_path, w.bgp4mp(1, w.message(2, b"\0\0\0\0" + w.prefix_bytes("192.0.2.0/24") + rest)))
    assert record.problem is None
    assert [element.prefix for element in record.elements()] == ["192.0.2.0/24"]


# --- attributes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ([], ""),
        ([64496, 64496, 64497], "64496 64496 64497"),
        ([64496, (1, [9, 3, 5])], "64496 {9,3,5}"),
        ([(3, [65001, 65002]), 64496], "(65001 65002) 64496"),
        ([(4, [65002, 65001]), 64496], "[65002,65001] 64496"),
        ([(1, [])], "{}"),
    ],
)
def test_path_text(path: list[w.Segment], text: str, tmp_path: Path) -> None:
    """Members of a set keep the order of the file."""
    assert one(tmp_path, w.update(1, announce=["192.0.2.0/24"], attributes=[w.as_path(*path)])).as_path == text


def test_a_path_longer_than_a_segment(tmp_path: Path) -> None:
    path = list(range(1, 600))
    element = one(tmp_path, w.update(1, announce=["192.0.2.0/24"], attributes=[w.as_path(*path)]))
    assert element.as_path == " ".join(map(str, path))


@pytest.mark.parametrize(
    ("old", "new", "merged"),
    [
        ([1, 23456, 23456], [70000, 80000], "1 70000 80000"),
        ([1, 2, 3], [1, 2, 3], "1 2 3"),
        ([1, 23456], [5, 70000, 80000], "1 23456"),
        ([1, 2, (1, [23456, 7])], [(1, [70000, 7])], "1 2 {70000,7}"),
        ([(3, [65001]), 1, 23456], [70000], "(65001) 1 70000"),
        ([1, (1, [4, 5]), 23456], [70000], "1 {4,5} 70000"),
        ([], [70000], "70000"),
    ],
)
def test_as4_path_replaces_the_end_of_the_path(
    old: list[w.Segment], new: list[w.Segment], merged: str, tmp_path: Path
) -> None:
    """RFC 6793, 4.2.3; longer than the path, it is not believed."""
    attributes = [w.as_path(*old, width=2), w.as4_path(*new)]
    assert one(tmp_path, w.update(1, announce=["192.0.2.0/24"], attributes=attributes, subtype=1)).as_path == merged


def test_a_path_in_the_wrong_width_is_understood(tmp_path: Path) -> None:
    attributes = [w.as_path(64496, 64497, 64498, width=2)]
    assert one(tmp_path, w.update(1, announce=["192.0.2.0/24"], attributes=attributes)).as_path == "64496 64497 64498"


def test_communities_keep_their_order(tmp_path: Path) -> None:
    attributes = [w.communities("64496:2", "64496:10", "0:0", "64496:2")]
    element = one(tmp_path, w.update(1, announce=["192.0.2.0/24"], attributes=attributes))
    assert element.communities == ("64496:2", "64496:10", "0:0", "64496:2")


def test_the_first_of_two_equal_attributes_counts(tmp_path: Path) -> None:
    attributes = [w.as_path(64496), w.as_path(64497)]
    assert one(tmp_path, w.update(1, announce=["192.0.2.0/24"], attributes=attributes)).as_path == "64496"


def test_attributes_end_where_they_break(tmp_path: Path) -> None:
    """An attribute that runs past the block: the ones before it stay, and so do the prefixes behind the block."""
    attributes = [w.as_path(64496), bytes([0x40, 3, 40])]
    element = one(tmp_path, w.update(1, announce=["192.0.2.0/24"], attributes=attributes))
    assert (element.as_path, element.next_hop) == ("64496", None)


@pytest.mark.parametrize("code", [2, 3, 8, 14, 17])
@pytest.mark.parametrize("value", [b"", b"\1", b"\2\xff", b"\0\1\1\4\1", b"12345"])
def test_a_value_of_impossible_size_counts_as_absent(code: int, value: bytes, tmp_path: Path) -> None:
    element = one(tmp_path, w.update(1, announce=["192.0.2.0/24"], attributes=[w.attribute(code, value)]))
    assert (element.as_path, element.next_hop, element.communities) == ("", None, ())


# --- damage -----------------------------------------------------------------------------------------------------------


def broken_record() -> dict[str, bytes]:
    good = w.update(1, announce=["192.0.2.0/24"], attributes=PATH)
    index, rib = w.peer_index(1, [w.PEER]), w.rib(1, "192.0.2.0/24", [w.RibEntry(0, PATH)])
    session = good[12 : 12 + 20]
    return {
        "unknown type": w.record(1, 99, 1, b""),
        "address family 0 of a peer": w.record(1, 16, 5, bytes(16)),
        "session cut off": w.record(1, 16, 4, session[:-1]),
        "message cut off": w.record(1, 16, 4, good[12:-1]),
        "message without a type": w.record(1, 16, 4, session + b"\xff" * 16),
        "message of length 18": w.record(1, 16, 4, session + b"\xff" * 16 + b"\0\x12\4"),
        "withdrawn routes too long": w.bgp4mp(1, w.message(2, b"\0\5\0\0")),
        "attributes too long": w.bgp4mp(1, w.message(2, b"\0\0\0\1")),
        "microseconds cut off": struct.pack(">IHHI", 1, 17, 4, 2) + b"\0\0",
        "RIB without peers": rib,
        "RIB with an unknown peer": index + w.rib(1, "192.0.2.0/24", [w.RibEntry(1, PATH)]),
        "RIB entry cut off": index + w.record(1, 13, 2, rib[12:-1]),
        "RIB with too few entries": index + w.record(1, 13, 2, b"\0\0\0\0\0\0\2"),
        "RIB with a long prefix": index + w.record(1, 13, 2, b"\0\0\0\0\x21\0\0\0\0\0\0\0"),
        "peer index cut off": w.record(1, 13, 1, index[12:-1]),
        "table dump of family 3": w.record(1, 12, 3, bytes(22)),
        "table dump cut off": w.record(1, 12, 1, bytes(21)),
        "table dump with a long prefix": w.record(1, 12, 1, bytes(8) + b"\x21" + bytes(13)),
    }


@pytest.mark.parametrize("name", broken_record())
def test_a_record_that_does_not_parse_is_the_last(name: str, tmp_path: Path) -> None:
    before, broken = read(tmp_path, w.keepalive(1), broken_record()[name], w.keepalive(2))
    assert before.problem is None
    assert broken.problem
    assert (broken.time, broken.elements(), broken.last) == (0.0, [], False)


def test_the_last_record_knows_that_it_is_the_last(tmp_path: Path) -> None:
    assert [r.last for r in read(tmp_path, w.keepalive(1), w.keepalive(2))] == [False, True]
    assert [r.last for r in read(tmp_path, w.keepalive(1), w.record(2, 99, 0, b""))] == [False, True]
    assert [r.last for r in read(tmp_path, w.keepalive(1), b"\0")] == [False, False]


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    assert read(tmp_path) == []


def test_a_missing_file_raises_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        MrtFile(tmp_path / "missing")


def test_a_plain_file_cut_off_at_any_byte(tmp_path: Path) -> None:
    data = w.keepalive(1) + w.update(2, announce=["192.0.2.0/24"], attributes=PATH) + w.state_change(3, 1, 2)
    path = tmp_path / "cut"
    for size in range(len(data)):
        path.write_bytes(data[:size])
        found = list(MrtFile(path))
        whole = [r for r in found if r.problem is None]
        assert len(found) - len(whole) == (
            size not in (0, len(w.keepalive(1)), len(data) - len(w.state_change(3, 1, 2)))
        )
        assert [r.time for r in whole] == [1.0, 2.0, 3.0][: len(whole)]


def many(count: int) -> list[bytes]:
    return [w.update(i, announce=[f"10.{i >> 8 & 255}.{i & 255}.0/24"], attributes=PATH) for i in range(count)]


def test_a_gzip_file_cut_off_early_gives_nothing_as_in_the_real_library(tmp_path: Path) -> None:
    path = w.write_mrt(tmp_path / "cut.gz", many(1000), "gzip")
    path.write_bytes(path.read_bytes()[:-100])
    assert list(MrtFile(path)) == []
    *salvaged, broken = MrtFile(path, salvage=True)
    assert len(salvaged) > 500
    assert broken.problem


def test_a_gzip_file_cut_off_late_loses_the_chunk_of_the_damage(tmp_path: Path) -> None:
    records = many(20_000)
    path = w.write_mrt(tmp_path / "cut.gz", records, "gzip")
    path.write_bytes(path.read_bytes()[:-100])
    *found, broken = MrtFile(path)
    assert len(found) == CHUNK_BYTES // len(records[0])
    assert broken.problem
    assert len(list(MrtFile(path, salvage=True))) > len(found) + 1


def test_a_bzip2_file_cut_off_gives_what_is_before_the_damage(tmp_path: Path) -> None:
    path = w.write_mrt(tmp_path / "cut.bz2", many(20_000), "bzip2")
    path.write_bytes(path.read_bytes()[:-100])
    *found, broken = MrtFile(path)
    assert found
    assert broken.problem


@pytest.mark.parametrize("compression", [None, "gzip", "bzip2"])
def test_compression_is_told_by_content(compression: Any, tmp_path: Path) -> None:
    path = w.write_mrt(tmp_path / "noname", many(10), compression)
    assert [r.time for r in MrtFile(path)] == [float(i) for i in range(10)]


@pytest.mark.parametrize("compression", ["gzip", "bzip2"])
def test_compressed_files_put_together(compression: Any, tmp_path: Path) -> None:
    """As ``cat a.gz b.gz`` makes them, even if a record goes from one into the other."""
    data = b"".join(many(4))
    first, second = (
        w.write_mrt(tmp_path / "1", [data[:70]], compression),
        w.write_mrt(tmp_path / "2", [data[70:]], compression),
    )
    first.write_bytes(first.read_bytes() + second.read_bytes())
    assert len(list(MrtFile(first))) == 4


def test_a_record_across_chunks(tmp_path: Path) -> None:
    """Records of the greatest size, so that every second one crosses the border of a chunk."""
    entry = w.RibEntry(0, [w.as_path(64496), w.attribute(200, bytes(65_000))])
    big = w.rib(1, "192.0.2.0/24", [entry] * 16)
    assert MAX_RECORD_BYTES - 16_000 < len(big) < MAX_RECORD_BYTES
    assert len(elements(tmp_path, w.peer_index(1, [w.PEER]), big, w.keepalive(2), big, big)) == 48


DESCRIPTORS = Path("/proc/self/fd")


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="open files are counted in /proc")
def test_the_file_is_closed_at_its_end_and_when_asked(tmp_path: Path) -> None:
    path = w.write_mrt(tmp_path / "file.gz", many(10), "gzip")
    before = len(list(DESCRIPTORS.iterdir()))
    assert len(list(read_to_end := MrtFile(path))) == 10
    assert len(list(DESCRIPTORS.iterdir())) == before
    with MrtFile(path) as half_read:
        next(half_read)
    assert len(list(DESCRIPTORS.iterdir())) == before
    assert list(half_read) == list(read_to_end) == []
