"""Writes MRT files for tests and for the committed fixtures: the same arguments always give the same bytes.

    write_mrt(path, [
        update(1_700_000_000, announce=["192.0.2.0/24"], attributes=[as_path(64496, {64497}), next_hop("192.0.2.1")]),
        keepalive(1_700_000_001),
    ], compression="gzip")

Every function returns bytes, so that a test can break them. Formats: RFC 6396 (MRT), 8050 (ADD-PATH), 4271 (BGP), 4760
(multiprotocol), 1997, 4360 and 8092 (communities), 6793 (AS numbers of four bytes), 9234 (OTC). Address and prefix text
decides whether something is IPv4 or IPv6.
"""

import bz2
import gzip
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Literal

IGP, EGP, INCOMPLETE = 0, 1, 2
IDLE, CONNECT, ACTIVE, OPENSENT, OPENCONFIRM, ESTABLISHED, CLEARING, DELETED = range(1, 9)

Segment = int | set[int] | frozenset[int] | tuple[int, Sequence[int]]
"""An AS number, a set, or a segment given as (segment type, AS numbers). AS numbers in a row make one sequence."""

PathId = int | None


@dataclass(frozen=True, slots=True)
class Peer:
    """The peer of a session and the collector's own end of it."""

    asn: int = 64496
    address: str = "192.0.2.1"
    local_asn: int = 65000
    local_address: str | None = None

    @property
    def family(self) -> int:
        """1 for IPv4, 2 for IPv6."""
        return 1 if ip_address(self.address).version == 4 else 2

    def local(self) -> str:
        """The collector's address; of the documentation ranges unless given."""
        return self.local_address or ("192.0.2.254" if self.family == 1 else "2001:db8::fe")


PEER = Peer()


# --- pieces -----------------------------------------------------------------------------------------------------------


def prefix_bytes(prefix: str, path_id: PathId = None) -> bytes:
    """A prefix of an NLRI field: length, then as many bytes as it needs; a path identifier before it (RFC 7911)."""
    network = ip_network(prefix)
    size = (network.prefixlen + 7) // 8
    encoded = bytes([network.prefixlen]) + network.network_address.packed[:size]
    return encoded if path_id is None else struct.pack(">I", path_id) + encoded


def _prefixes(prefixes: Iterable[str], path_id: PathId) -> bytes:
    return b"".join(prefix_bytes(prefix, path_id) for prefix in prefixes)


def attribute(code: int, value: bytes, flags: int = 0x40) -> bytes:
    """A path attribute; its length takes two bytes where one is too small."""
    if len(value) > 255:
        return bytes([flags | 0x10, code]) + struct.pack(">H", len(value)) + value
    return bytes([flags, code, len(value)]) + value


def origin(code: int = IGP) -> bytes:
    return attribute(1, bytes([code]))


def _segments(path: Sequence[Segment], width: int) -> bytes:
    segments: list[tuple[int, list[int]]] = []
    for hop in path:
        if isinstance(hop, int):
            if not segments or segments[-1][0] != 2 or len(segments[-1][1]) == 255:
                segments.append((2, []))
            segments[-1][1].append(hop)
        elif isinstance(hop, tuple):
            segments.append((hop[0], list(hop[1])))
        else:
            segments.append((1, sorted(hop)))
    form = "I" if width == 4 else "H"
    return b"".join(struct.pack(f">BB{len(asns)}{form}", kind, len(asns), *asns) for kind, asns in segments)


def as_path(*path: Segment, width: int = 4) -> bytes:
    """AS_PATH; with ``width=2`` for sessions of old speakers (BGP4MP_MESSAGE, TABLE_DUMP)."""
    return attribute(2, _segments(path, width))


def as4_path(*path: Segment) -> bytes:
    return attribute(17, _segments(path, 4), 0xC0)


def next_hop(address: str) -> bytes:
    return attribute(3, ip_address(address).packed)


def med(value: int) -> bytes:
    return attribute(4, struct.pack(">I", value), 0x80)


def local_pref(value: int) -> bytes:
    return attribute(5, struct.pack(">I", value))


def atomic_aggregate() -> bytes:
    return attribute(6, b"")


def aggregator(asn: int, address: str, width: int = 4) -> bytes:
    return attribute(7, asn.to_bytes(width, "big") + ip_address(address).packed, 0xC0)


def as4_aggregator(asn: int, address: str) -> bytes:
    return attribute(18, asn.to_bytes(4, "big") + ip_address(address).packed, 0xC0)


def communities(*values: str) -> bytes:
    """Standard communities given as ``asn:value``."""
    return attribute(8, b"".join(struct.pack(">HH", *map(int, value.split(":"))) for value in values), 0xC0)


def large_communities(*values: str) -> bytes:
    """Large communities given as ``asn:value:value``."""
    return attribute(32, b"".join(struct.pack(">III", *map(int, value.split(":"))) for value in values), 0xC0)


def route_targets(*values: str) -> bytes:
    """Extended communities of the kind route target, given as ``asn:value`` with an AS number of two bytes."""
    pairs = (map(int, value.split(":")) for value in values)
    return attribute(16, b"".join(struct.pack(">BBHI", 0, 2, *pair) for pair in pairs), 0xC0)


def originator_id(address: str) -> bytes:
    return attribute(9, ip_address(address).packed, 0x80)


def cluster_list(*addresses: str) -> bytes:
    return attribute(10, b"".join(ip_address(address).packed for address in addresses), 0x80)


def only_to_customer(asn: int) -> bytes:
    return attribute(35, struct.pack(">I", asn), 0xC0)


def _family(prefix: str) -> int:
    return 1 if ip_network(prefix).version == 4 else 2


def mp_reach(
    prefixes: Sequence[str], *next_hops: str, safi: int = 1, path_id: PathId = None, family: int | None = None
) -> bytes:
    """MP_REACH_NLRI; a second next hop is the link-local one."""
    hops = b"".join(ip_address(hop).packed for hop in next_hops)
    head = struct.pack(">HBB", family or _family(prefixes[0]), safi, len(hops))
    return attribute(14, head + hops + b"\0" + _prefixes(prefixes, path_id), 0x80)


def mp_next_hop(*next_hops: str) -> bytes:
    """MP_REACH_NLRI as it is inside TABLE_DUMP_V2: the next hop alone (RFC 6396, 4.3.4)."""
    hops = b"".join(ip_address(hop).packed for hop in next_hops)
    return attribute(14, bytes([len(hops)]) + hops, 0x80)


def mp_unreach(prefixes: Sequence[str], safi: int = 1, path_id: PathId = None, family: int | None = None) -> bytes:
    head = struct.pack(">HB", family or _family(prefixes[0]), safi)
    return attribute(15, head + _prefixes(prefixes, path_id), 0x80)


# --- records ----------------------------------------------------------------------------------------------------------


def record(time: float, kind: int, subtype: int, body: bytes) -> bytes:
    """An MRT record; of type BGP4MP_ET (17) the fraction of ``time`` becomes its microseconds."""
    seconds = int(time)
    if kind == 17:
        body = struct.pack(">I", round((time - seconds) * 1e6)) + body
    return struct.pack(">IHHI", seconds, kind, subtype, len(body)) + body


def message(kind: int, body: bytes = b"") -> bytes:
    """A BGP message: 1 OPEN, 2 UPDATE, 3 NOTIFICATION, 4 KEEPALIVE."""
    return b"\xff" * 16 + struct.pack(">HB", 19 + len(body), kind) + body


def _session(peer: Peer, width: int) -> bytes:
    asns = peer.asn.to_bytes(width, "big") + peer.local_asn.to_bytes(width, "big")
    addresses = ip_address(peer.address).packed + ip_address(peer.local()).packed
    return asns + struct.pack(">HH", 0, peer.family) + addresses


def bgp4mp(time: float, content: bytes, peer: Peer = PEER, *, subtype: int = 4, extended: bool = False) -> bytes:
    """A BGP4MP record around a BGP message, or around the two states of a state change.

    Subtypes: 0 and 5 state change, 1 and 4 message, 6 and 7 sent by the collector, 8 to 11 with path identifiers; AS
    numbers take two bytes in 0, 1, 6, 8 and 10. ``extended`` makes it a BGP4MP_ET record.
    """
    width = 2 if subtype in (0, 1, 6, 8, 10) else 4
    return record(time, 17 if extended else 16, subtype, _session(peer, width) + content)


def update(
    time: float,
    peer: Peer = PEER,
    announce: Sequence[str] = (),
    withdraw: Sequence[str] = (),
    attributes: Sequence[bytes] = (),
    subtype: int = 4,
    extended: bool = False,
) -> bytes:
    """A BGP UPDATE message; ``announce`` and ``withdraw`` are IPv4, for IPv6 use ``mp_reach`` and ``mp_unreach``.

    Subtypes 8 to 11 give each prefix the path identifier 1; use ``bgp4mp`` and ``update_message`` for others.
    """
    path_id = 1 if subtype in (8, 9, 10, 11) else None
    body = update_message(announce, withdraw, attributes, path_id)
    return bgp4mp(time, body, peer, subtype=subtype, extended=extended)


def update_message(
    announce: Sequence[str] = (),
    withdraw: Sequence[str] = (),
    attributes: Sequence[bytes] = (),
    path_id: PathId = None,
) -> bytes:
    withdrawn, block = _prefixes(withdraw, path_id), b"".join(attributes)
    body = struct.pack(">H", len(withdrawn)) + withdrawn + struct.pack(">H", len(block)) + block
    return message(2, body + _prefixes(announce, path_id))


def withdrawal(time: float, *prefixes: str, peer: Peer = PEER) -> bytes:
    """An UPDATE that withdraws prefixes, all IPv4 or all IPv6."""
    if _family(prefixes[0]) == 2:
        return update(time, peer, attributes=[mp_unreach(prefixes)])
    return update(time, peer, withdraw=prefixes)


def state_change(
    time: float, old: int, new: int, peer: Peer = PEER, *, subtype: int = 5, extended: bool = False
) -> bytes:
    return bgp4mp(time, struct.pack(">HH", old, new), peer, subtype=subtype, extended=extended)


def keepalive(time: float, peer: Peer = PEER) -> bytes:
    return bgp4mp(time, message(4), peer)


def table_dump(
    time: float,
    prefix: str,
    peer: Peer = PEER,
    attributes: Sequence[bytes] = (),
    originated: int = 0,
    sequence: int = 0,
) -> bytes:
    """A TABLE_DUMP record: one route, AS numbers of two bytes."""
    network, block = ip_network(prefix), b"".join(attributes)
    body = struct.pack(">HH", 0, sequence) + network.network_address.packed
    body += struct.pack(">BBI", network.prefixlen, 1, originated) + ip_address(peer.address).packed
    return record(time, 12, 1 if network.version == 4 else 2, body + struct.pack(">HH", peer.asn, len(block)) + block)


def peer_index(time: float, peers: Sequence[Peer], collector: str = "192.0.2.254", view: str = "") -> bytes:
    """The PEER_INDEX_TABLE of TABLE_DUMP_V2; every AS number takes four bytes."""
    name = view.encode()
    body = ip_address(collector).packed + struct.pack(">H", len(name)) + name + struct.pack(">H", len(peers))
    for peer in peers:
        identifier = ip_address(peer.address).packed[:4]
        body += (
            bytes([2 | (peer.family - 1)]) + identifier + ip_address(peer.address).packed + peer.asn.to_bytes(4, "big")
        )
    return record(time, 13, 1, body)


@dataclass(frozen=True, slots=True)
class RibEntry:
    """The route of one peer, given by its place in the peer index table."""

    peer: int
    attributes: Sequence[bytes]
    originated: int = 0
    path_id: PathId = None

    def encode(self) -> bytes:
        """The entry's bytes, with a path identifier if it has one."""
        block = b"".join(self.attributes)
        path_id = b"" if self.path_id is None else struct.pack(">I", self.path_id)
        return struct.pack(">HI", self.peer, self.originated) + path_id + struct.pack(">H", len(block)) + block


def rib(time: float, prefix: str, entries: Sequence[RibEntry], sequence: int = 0, subtype: int | None = None) -> bytes:
    """A RIB record of TABLE_DUMP_V2: all routes to one prefix; the subtype is that of unicast unless given."""
    subtype = subtype or (2 if _family(prefix) == 1 else 4)
    body = struct.pack(">I", sequence)
    if subtype in (6, 12):
        body += struct.pack(">HB", _family(prefix), 1)
    body += prefix_bytes(prefix) + struct.pack(">H", len(entries)) + b"".join(entry.encode() for entry in entries)
    return record(time, 13, subtype, body)


def write_mrt(path: Path, records: Iterable[bytes], compression: Literal["gzip", "bzip2"] | None = None) -> Path:
    """Write records into a file; returns its path."""
    data = b"".join(records)
    if compression == "gzip":
        data = gzip.compress(data, mtime=0)
    elif compression == "bzip2":
        data = bz2.compress(data)
    path.write_bytes(data)
    return path
