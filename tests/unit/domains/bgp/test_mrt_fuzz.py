"""Damaged and hostile MRT files: never an exception, never more records than bytes, never much memory.

The mutants are drawn from a fixed seed, so a failure can be repeated: the message of the test names the mutant.
"""

import bz2
import gzip
import random
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

import mrt_writer as w
from conftest import cpu_seconds
from seedtune.domains.bgp.mrt import read_mrt
from seedtune.domains.bgp.sandboxed.pybgpstream import _bgp
from seedtune.domains.bgp.sandboxed.pybgpstream._mrt import Element, MrtFile

MUTANTS = 20_000
GROUPS = 8

ATTRIBUTES = [
    w.origin(),
    w.as_path(64496, 4_200_000_000, {64497, 64498}, (3, [65001]), (4, [65002])),
    w.next_hop("192.0.2.1"),
    w.med(1),
    w.local_pref(2),
    w.atomic_aggregate(),
    w.aggregator(23456, "192.0.2.7"),
    w.as4_aggregator(70_000, "192.0.2.7"),
    w.communities("64496:1", "65535:65281"),
    w.originator_id("192.0.2.8"),
    w.cluster_list("192.0.2.9"),
    w.route_targets("64496:1"),
    w.large_communities("64496:1:2"),
    w.only_to_customer(64496),
]
OLD = [w.as_path(64496, 23456, width=2), w.as4_path(64496, 70_000), w.next_hop("192.0.2.1")]
PEER6 = w.Peer(64499, "2001:db8::1")
MULTIPROTOCOL = [w.mp_reach(["2001:db8:1::/48"], "2001:db8::1", "fe80::1"), w.mp_unreach(["2001:db8:2::/48"])]
RIB_ENTRIES = [w.RibEntry(0, ATTRIBUTES, 1), w.RibEntry(1, OLD, 2)]
PATH_ENTRIES = [w.RibEntry(0, OLD, 1, path_id=1), w.RibEntry(1, OLD, 2, path_id=2)]

INPUTS = [
    w.update(1, announce=["192.0.2.0/24", "198.51.100.0/25"], withdraw=["203.0.113.0/24"], attributes=ATTRIBUTES)
    + w.state_change(2, w.ESTABLISHED, w.IDLE)
    + w.keepalive(3),
    w.update(1.5, PEER6, ["192.0.2.0/24"], attributes=[*ATTRIBUTES[:3], *MULTIPROTOCOL], extended=True)
    + w.update(2, announce=["192.0.2.0/24"], attributes=OLD, subtype=1)
    + w.update(3, announce=["192.0.2.0/24"], withdraw=["203.0.113.0/24"], attributes=[*OLD, *MULTIPROTOCOL], subtype=9),
    w.peer_index(1, [w.PEER, PEER6], view="view")
    + w.rib(1, "192.0.2.0/24", RIB_ENTRIES)
    + w.rib(1, "2001:db8:1::/48", [w.RibEntry(1, [*OLD, w.mp_next_hop("2001:db8::1")])])
    + w.rib(1, "192.0.2.0/24", PATH_ENTRIES, subtype=8)
    + w.rib(1, "192.0.2.0/24", RIB_ENTRIES, subtype=6),
    w.table_dump(1, "192.0.2.0/24", attributes=OLD) + w.table_dump(1, "2001:db8::/32", PEER6, OLD),
]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Up to four of: a bit flipped, a byte or length set to an extreme, a part cut out, doubled, or spliced in."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        if not changed:
            break
        at = chance.randrange(len(changed))
        to = min(len(changed), at + chance.randint(1, 40))
        match chance.randrange(8):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[at] = chance.choice((0, 1, 2, 127, 128, 255))
            case 2:
                form = chance.choice((">H", ">I"))
                extreme = struct.pack(form, chance.choice((0, 1, 0xFF, 0x7FFF, 0xFFFF)))
                changed[at : at + len(extreme)] = extreme
            case 3:
                changed[at : at + 4] = struct.pack(">I", chance.choice((1 << 20, 1 << 31, 0xFFFFFFFF)))
            case 4:
                del changed[at:]
            case 5:
                del changed[at:to]
            case 6:
                changed[at:at] = changed[at:to]
            case _:
                other = chance.choice(INPUTS)
                start = chance.randrange(len(other))
                changed[at:at] = other[start : start + chance.randint(1, 80)]
    return bytes(changed)


def mutants(group: int) -> Iterator[tuple[int, bytes, int]]:
    """Number, bytes, and size of the decompressed bytes at most."""
    for number in range(group, MUTANTS, GROUPS):
        chance = random.Random(number)
        data = chance.choice(INPUTS)
        match chance.randrange(10):
            case 0:
                yield number, mutated(gzip.compress(data, mtime=0), chance), 1 << 20
            case 1:
                yield number, mutated(bz2.compress(data, 1), chance), 1 << 20
            case 2:
                changed = mutated(data, chance)
                yield number, gzip.compress(changed, mtime=0), len(changed)
            case _:
                changed = mutated(data, chance)
                yield number, changed, len(changed)


def read_everything(path: Path) -> tuple[int, int]:
    """Numbers of records and elements, every value read."""
    records = list(MrtFile(path))
    elements: list[Element] = [element for record in records for element in record.elements()]
    for e in elements:
        assert isinstance(e.prefix + e.as_path + (e.next_hop or "") + e.old_state + e.new_state, str)
        assert all(isinstance(community, str) for community in e.communities)
    assert all(record.problem is None for record in records[:-1])
    for record in read_mrt(path):
        for r in record.routes:
            assert isinstance(r.prefix + r.as_path + str(r.network) + (r.next_hop or "") + (r.origin or ""), str)
            values = (r.med, r.local_pref, r.only_to_customer, r.aggregator, r.origin_asn, r.path_id)
            assert len(values) + len(r.hops + r.segments + r.cluster_list) >= 6
            assert all(map(str, r.large_communities + r.extended_communities + r.communities))
        for withdrawn in record.withdrawn:
            assert withdrawn.network.prefixlen == withdrawn.length
    return len(records), len(elements)


@pytest.mark.parametrize("group", range(GROUPS))
def test_no_mutant_breaks_the_decoder(group: int, tmp_path: Path) -> None:
    path = tmp_path / "mutant"
    outcomes: set[bool] = set()
    with cpu_seconds(300):
        for number, data, size in mutants(group):
            path.write_bytes(data)
            try:
                records, elements = read_everything(path)
            except Exception as error:
                raise AssertionError(f"mutant {number}: {data.hex()}") from error
            assert records <= 1 + size // 12
            assert elements <= size
            outcomes.add(records > 1)
    assert outcomes == {True, False}


def peak_bytes(path: Path) -> tuple[int, int]:
    """Number of records, and the memory that reading them takes."""
    tracemalloc.start()
    try:
        count = sum(1 for record in MrtFile(path) for _ in [record.elements()])
        return count, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_length_field_of_four_gigabytes_allocates_nothing(tmp_path: Path) -> None:
    head = struct.pack(">IHHI", 1, 16, 4, 0xFFFFFFFF)
    path = w.write_mrt(tmp_path / "bomb.gz", [head + bytes(1 << 26)], "gzip")
    assert path.stat().st_size < 1 << 17
    count, peak = peak_bytes(path)
    assert count == 1
    assert peak < 8 << 20


def test_a_bomb_of_sound_records_is_read_in_flat_memory(tmp_path: Path) -> None:
    path = w.write_mrt(tmp_path / "bomb.gz", [w.bgp4mp(1, w.message(3, bytes(4_000))) * 10_000], "gzip")
    assert path.stat().st_size < 1 << 18
    count, peak = peak_bytes(path)
    assert count == 10_000
    assert peak < 8 << 20


def hostile_updates() -> Iterator[bytes]:
    """Ever new attribute blocks that take as much more memory than bytes as can be."""
    prefixes = bytes(range(4)) + b"\1\x80" * 4_000
    for number in range(100):
        attributes = [
            w.as_path(*range(number, number + 2_000)),
            w.attribute(8, struct.pack(">I", number) * 4_000),
            w.attribute(14, b"\0\1\1\4\xc0\0\2\1\0" + prefixes[number % 4 :], 0x80),
        ]
        yield w.update(number, attributes=attributes)


def test_caches_do_not_grow_with_what_is_put_into_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 MB of updates whose values would take seventy if they were kept."""
    monkeypatch.setattr(_bgp, "CACHE_BYTES", 2 << 20)
    path = w.write_mrt(tmp_path / "hostile", hostile_updates())
    tracemalloc.start()
    try:
        for record in MrtFile(path):
            for element in record.elements()[:1]:
                assert element.as_path
                assert element.communities
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_full_cache_is_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The values stay right, and the caches stay within their bound."""
    monkeypatch.setattr(_bgp, "CACHE_BYTES", 100_000)
    _bgp.PREFIX_TEXTS[4].clear()
    updates = [
        w.update(i, announce=[f"10.{i >> 8}.{i & 255}.0/24"], attributes=[w.as_path(i + 1), w.communities(f"{i}:1")])
        for i in range(1_000)
    ]
    path = w.write_mrt(tmp_path / "updates", updates)
    found = [element for record in MrtFile(path) for element in record.elements()]
    assert [(e.prefix, e.as_path, e.communities) for e in found] == [
        (f"10.{i >> 8}.{i & 255}.0/24", str(i + 1), (f"{i}:1",)) for i in range(1_000)
    ]
    assert 0 < len(_bgp.PREFIX_TEXTS[4]) <= 100_000 / 300
