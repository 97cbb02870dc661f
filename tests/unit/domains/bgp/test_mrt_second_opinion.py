"""Two other decoders read every shared file: Debian's ``bgpdump`` and the package ``ftlbgp``.

Where they differ from ours, and ours is what the real PyBGPStream gives, the difference is named, bridged by one small
function, and counted: a bridge that is crossed more or less often than recorded fails the test.
"""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address, ip_network
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import pytest

import mrt_writer as w
from seedtune.domains.bgp.mrt import MrtRecord, Route, StateChange, Withdrawal, read_mrt

FILES = [
    "bgpdump/bview.20020722.2337.gz",
    "bgpdump/bview.64k_stream_overflow.gz",
    "bgpdump/updates.20070211.0141.gz",
    "bgpdump/updates.20100722.2015.gz",
    "bgpdump/updates.20160811.1600.gz",
    "bgpdump/updates.long_withdrawal.gz",
    "bgpdump/updates.nlri_mask_trailing_bits.gz",
    "made-here/bird-rib.mrt",
    "made-here/bird-updates.mrt",
    "made-here/frr-all.mrt",
    "mrtparse/bird-mrtdump_bgp",
    "mrtparse/quagga_bgp",
    "os-ken/rib.20161101.0000_pick.bz2",
    "os-ken/updates.20161101.0000.bz2",
    "pyasn/rib.20140523.0600_firstMB.bz2",
]
FIRST = {"bgpdump/bview.20020722.2337.gz": 20_000, "pyasn/rib.20140523.0600_firstMB.bz2": 20_000}
"""Of the large RIBs so many entries are compared; their other entries have the same form."""

STATES = ["", "IDLE", "CONNECT", "ACTIVE", "OPENSENT", "OPENCONFIRM", "ESTABLISHED", "CLEARING", "DELETED"]

Item = Route | Withdrawal | StateChange


def items(records: Iterable[MrtRecord]) -> Iterator[tuple[MrtRecord, Item]]:
    """The routes, withdrawals and state changes of a file in their order."""
    for record in records:
        for found in ((record.state,) if record.state else (), record.withdrawn, record.routes):
            for item in found:
                yield record, item


def check_equal(theirs: Iterable[Any], ours: Iterable[Any], limit: int | None) -> None:
    """Both sequences have the same entries in the same order, and there are some."""
    number = 0
    for number, (their, our) in enumerate(islice(zip_longest(theirs, ours), limit), 1):
        assert our == their, f"entry {number}"
    assert number


# --- bgpdump ----------------------------------------------------------------------------------------------------------

WELL_KNOWN = {"no-export": "65535:65281", "no-advertise": "65535:65282", "local-AS": "65535:65283"}

BGPDUMP_BRIDGES = {
    "bgpdump/updates.20100722.2015.gz": {"community by name": 437, "address compressed otherwise": 42},
    "bgpdump/updates.nlri_mask_trailing_bits.gz": {"host bits kept": 1},
    "mrtparse/bird-mrtdump_bgp": {"ADD-PATH column": 12},
}


def bridged(line: str, crossed: Counter[str]) -> str:
    """A line of ``bgpdump -m`` as ours would be."""
    fields = line.split("|")
    if fields[0].endswith("_AP"):
        crossed["ADD-PATH column"] += 1
        fields[0] = fields[0].removesuffix("_AP")
        del fields[6]
    if len(fields) > 5 and fields[2] in "ABW":
        try:
            ip_network(fields[5])
        except ValueError:
            crossed["host bits kept"] += 1
            fields[5] = str(ip_network(fields[5], strict=False))
    for place in (3, 8):
        if len(fields) > place and ":" in fields[place] and "." not in fields[place]:
            # inet_ntop follows RFC 5952, 4.2.2: a single zero group is not written as "::".
            address = str(ip_address(fields[place]))
            crossed["address compressed otherwise"] += place == 3 and address != fields[place]
            fields[place] = address
    if len(fields) > 11:
        words = fields[11].split()
        crossed["community by name"] += any(word in WELL_KNOWN for word in words)
        fields[11] = " ".join(WELL_KNOWN.get(word, word) for word in words)
    return "|".join(fields)


def as_bgpdump(record: MrtRecord, item: Item) -> str:
    """The line that ``bgpdump -m`` prints: large communities, which it leaves out, are not among its columns."""
    name = {12: "TABLE_DUMP", 13: "TABLE_DUMP2", 16: "BGP4MP", 17: "BGP4MP_ET"}[record.type]
    time = f"{item.time:.6f}" if record.type == 17 else int(item.time)
    if isinstance(item, StateChange):
        states = f"{STATES.index(item.old)}|{STATES.index(item.new)}"
        return f"{name}|{time}|STATE|{item.peer_address}|{item.peer_asn}|{states}"
    kind = "W" if isinstance(item, Withdrawal) else "A" if record.announced else "B"
    head = f"{name}|{time}|{kind}|{item.peer_address}|{item.peer_asn}|{item.prefix}"
    if isinstance(item, Withdrawal):
        return head
    aggregator = "{} {}".format(*item.aggregator) if item.aggregator else ""
    values = (item.as_path, item.origin, item.next_hop, item.local_pref or 0, item.med or 0, " ".join(item.communities))
    return f"{head}|{'|'.join(map(str, values))}|{'AG' if item.atomic_aggregate else 'NAG'}|{aggregator}|"


def check_with_bgpdump(path: Path, bridges: dict[str, int], limit: int | None = None) -> None:
    program = shutil.which("bgpdump")
    if program is None:
        reason = "bgpdump is not installed (Debian: apt-get install bgpdump)"
        if os.environ.get("SEEDTUNE_REQUIRE_FIXTURES"):
            pytest.fail(reason)
        pytest.skip(reason)
    crossed: Counter[str] = Counter()
    arguments = [program, "-m", str(path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as dump:
        assert dump.stdout is not None
        theirs = (bridged(line.rstrip("\n"), crossed) for line in dump.stdout)
        check_equal(theirs, (as_bgpdump(*pair) for pair in items(read_mrt(path))), limit)
        dump.kill()
    assert +crossed == bridges


@pytest.mark.parametrize("name", FILES)
def test_bgpdump_agrees(name: str, mrt_fixtures: Path) -> None:
    check_with_bgpdump(mrt_fixtures / name, BGPDUMP_BRIDGES.get(name, {}), FIRST.get(name))


def test_bgpdump_reads_what_the_writer_of_the_tests_writes(tmp_path: Path) -> None:
    """Otherwise writer and decoder could be wrong in the same way."""
    peer6 = w.Peer(64499, "2001:db8::1")
    path = [w.origin(w.EGP), w.as_path(64496, 4_200_000_000, {64498, 64497}), w.next_hop("192.0.2.1")]
    more = [*path, w.med(5), w.local_pref(7), w.atomic_aggregate(), w.communities("64496:1", "64496:2")]
    full = [*more, w.aggregator(64500, "192.0.2.7"), w.large_communities("1:2:3")]
    old = [w.origin(), w.as_path(64496, 23456, width=2), w.as4_path(64496, 70_000), w.next_hop("192.0.2.1")]
    reach6, hop6 = w.mp_reach(["2001:db8:1::/48"], "2001:db8::2", "fe80::1"), w.mp_next_hop("2001:db8::2")
    records = [
        w.update(1, announce=["192.0.2.0/24", "198.51.100.0/25"], withdraw=["203.0.113.0/24"], attributes=full),
        w.withdrawal(2, "2001:db8:5::/48", peer=peer6),
        w.update(3.25, peer6, attributes=[*path, reach6], extended=True),
        w.update(4, announce=["192.0.2.0/24"], attributes=old, subtype=1),
        w.state_change(5, w.ESTABLISHED, w.IDLE, peer6),
        w.keepalive(6),
        w.update(7, announce=["192.0.2.0/24"], attributes=full, subtype=9),
        w.table_dump(8, "192.0.2.0/24", attributes=old),
        w.peer_index(9, [w.PEER, peer6], view="view"),
        w.rib(9, "192.0.2.0/24", [w.RibEntry(0, full, 3), w.RibEntry(1, more, 4)]),
        w.rib(9, "2001:db8:1::/48", [w.RibEntry(1, [*full, hop6])]),
        w.rib(9, "192.0.2.0/24", [w.RibEntry(0, full, 3, path_id=1)], subtype=8),
    ]
    check_with_bgpdump(w.write_mrt(tmp_path / "made", records), {"ADD-PATH column": 2})


# --- ftlbgp -----------------------------------------------------------------------------------------------------------

FTLBGP_BRIDGES = {
    "bgpdump/bview.20020722.2337.gz": {"set sorted": 3},
}


def number(address: str) -> int:
    return int(ip_address(address))


def sorted_sets(item: Route, crossed: Counter[str]) -> tuple[Any, ...]:
    """The path as ftlbgp has it: members of a set are sorted."""
    path: list[Any] = []
    for kind, asns in item.segments:
        path += asns if kind == "sequence" else [tuple(sorted(asns))]
        crossed["set sorted"] += kind == "set" and asns != tuple(sorted(asns))
    return tuple(path)


def as_ftlbgp(item: Item, crossed: Counter[str]) -> tuple[Any, ...]:
    """The values of a record of ftlbgp; of a RIB it has the time at which the route was learned."""
    if isinstance(item, StateChange):
        return item.time, item.peer_asn, number(item.peer_address), STATES.index(item.old), STATES.index(item.new)
    time = item.time
    if isinstance(item, Route) and item.originated is not None:
        time = item.originated
    head = (time, item.peer_asn, number(item.peer_address), (item.network_number, item.length), item.path_id)
    if isinstance(item, Withdrawal):
        return head
    return (
        *head,
        sorted_sets(item, crossed),
        item.origin,
        number(item.next_hop or ""),
        item.med,
        item.local_pref,
        item.atomic_aggregate,
        (item.aggregator[0], number(item.aggregator[1])) if item.aggregator else None,
        item.communities,
        item.large_communities,
        item.only_to_customer,
        number(item.originator_id) if item.originator_id else None,
        tuple(map(number, item.cluster_list)),
    )


def from_ftlbgp(record: Any) -> tuple[Any, ...]:
    """The same values out of a record of ftlbgp."""
    if type(record).__name__ == "BgpStateChangeRecord":
        return record.timestamp, record.peer_as, record.peer_ip, record.old_state, record.new_state
    head = (record.timestamp, record.peer_as, record.peer_ip, record.prefix, record.path_id)
    if record.origin is None:
        return head
    return (
        *head,
        record.aspath or (),
        ("IGP", "EGP", "INCOMPLETE")[record.origin],
        record.nexthop_ip,
        record.multi_exit_disc,
        record.local_pref,
        bool(record.atomic_aggregate),
        (record.aggregator_as, record.aggregator_ip) if record.aggregator_as else None,
        tuple(f"{value >> 16}:{value & 0xFFFF}" for value in record.communities or ()),
        tuple(
            ":".join(str(value >> shift & 0xFFFFFFFF) for shift in (64, 32, 0))
            for value in record.large_communities or ()
        ),
        record.only_to_customer,
        record.originator_id,
        record.cluster_list or (),
    )


@pytest.mark.parametrize("name", FILES)
def test_ftlbgp_agrees(name: str, mrt_fixtures: Path) -> None:
    """Route by route; ftlbgp knows no record boundaries, so those are not compared."""
    ftlbgp = pytest.importorskip("ftlbgp", reason="ftlbgp is not installed")
    parser: Callable[..., Any] = ftlbgp.BgpParser
    crossed: Counter[str] = Counter()
    records = parser.bgp.records
    with parser(bgp_records=records.route | records.state_change, bgp_route=parser.bgp.route.ALL) as parse:
        theirs = map(from_ftlbgp, parse(str(mrt_fixtures / name)))
        ours = (as_ftlbgp(item, crossed) for _, item in items(read_mrt(mrt_fixtures / name)))
        if name.endswith("nlri_mask_trailing_bits.gz"):
            assert list(theirs) == []
            assert len(list(ours)) == 1
            return
        check_equal(theirs, ours, FIRST.get(name))
    assert +crossed == FTLBGP_BRIDGES.get(name, {})
