"""MRT records as bytes, as far as trial data need them: updates, peer states and RIBs of AS numbers with four bytes.

Formats: RFC 6396 (MRT), RFC 4271 and 4760 (updates), RFC 1997 (communities).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

_COLLECTOR_ASN = 65535
_COLLECTOR = {4: "192.0.2.254", 6: "2001:db8::fe"}


@dataclass(frozen=True)
class Peer:
    """A peer of the collector."""

    asn: int
    address: str

    @property
    def version(self) -> int:
        """4 or 6."""
        return ip_address(self.address).version


@dataclass(frozen=True)
class Route:
    """What a peer says of a prefix."""

    prefix: str
    path: tuple[int | frozenset[int], ...]
    """AS numbers, and sets of them."""
    next_hop: str
    communities: tuple[str, ...] = ()


def announcement(time: int, peer: Peer, route: Route) -> bytes:
    """An update that announces a route."""
    if _version(route.prefix) == 4:
        return _update(time, peer, b"", _attributes(route) + _next_hop(route), _prefix(route.prefix))
    reached = struct.pack(">HBB", 2, 1, 16) + ip_address(route.next_hop).packed + b"\0" + _prefix(route.prefix)
    return _update(time, peer, b"", _attributes(route) + _attribute(14, reached, 0x80))


def withdrawal(time: int, peer: Peer, prefix: str) -> bytes:
    """An update that withdraws a prefix."""
    if _version(prefix) == 4:
        return _update(time, peer, _prefix(prefix))
    return _update(time, peer, b"", _attribute(15, struct.pack(">HB", 2, 1) + _prefix(prefix), 0x80))


def state_change(time: int, peer: Peer, old: int, new: int) -> bytes:
    """A change of a session's state (RFC 6396, section 4.4.1: 1 is idle, 6 established)."""
    return _record(time, 16, 5, _session(peer) + struct.pack(">HH", old, new))


def rib(time: int, peers: Sequence[Peer], table: Sequence[tuple[Peer, Route]]) -> bytes:
    """A dump of the peers' routes, prefix by prefix."""
    index = ip_address(_COLLECTOR[4]).packed + struct.pack(">HH", 0, len(peers))
    for peer in peers:
        address = ip_address(peer.address).packed
        index += bytes([2 | (peer.version == 6)]) + address[:4] + address + struct.pack(">I", peer.asn)
    records = [_record(time, 13, 1, index)]
    for number, prefix in enumerate(dict.fromkeys(route.prefix for _, route in table)):
        version = _version(prefix)
        routes = [(peer, route) for peer, route in table if route.prefix == prefix]
        body = struct.pack(">I", number) + _prefix(prefix) + struct.pack(">H", len(routes))
        for peer, route in routes:
            # In a dump the attribute holds the next hop alone (RFC 6396, section 4.3.4).
            hop = _attribute(14, b"\x10" + ip_address(route.next_hop).packed, 0x80)
            block = _attributes(route) + (hop if version == 6 else _next_hop(route))
            body += struct.pack(">HIH", peers.index(peer), time, len(block)) + block
        records.append(_record(time, 13, 2 if version == 4 else 4, body))
    return b"".join(records)


def _version(prefix: str) -> int:
    return ip_network(prefix).version


def _prefix(prefix: str) -> bytes:
    network = ip_network(prefix)
    return bytes([network.prefixlen]) + network.network_address.packed[: (network.prefixlen + 7) // 8]


def _attribute(code: int, value: bytes, flags: int = 0x40) -> bytes:
    return struct.pack(">BBH", flags | 0x10, code, len(value)) + value


def _next_hop(route: Route) -> bytes:
    return _attribute(3, ip_address(route.next_hop).packed)


def _attributes(route: Route) -> bytes:
    segments = b""
    for hop in route.path:
        kind, asns = (2, [hop]) if isinstance(hop, int) else (1, sorted(hop))
        segments += struct.pack(f">BB{len(asns)}I", kind, len(asns), *asns)
    pairs = [struct.pack(">HH", *map(int, community.split(":"))) for community in route.communities]
    tagged = _attribute(8, b"".join(pairs), 0xC0) if pairs else b""
    return _attribute(1, b"\0") + _attribute(2, segments) + tagged


def _session(peer: Peer) -> bytes:
    own = ip_address(_COLLECTOR[peer.version]).packed
    numbers = struct.pack(">IIHH", peer.asn, _COLLECTOR_ASN, 0, 1 if peer.version == 4 else 2)
    return numbers + ip_address(peer.address).packed + own


def _update(time: int, peer: Peer, withdrawn: bytes = b"", attributes: bytes = b"", announced: bytes = b"") -> bytes:
    body = struct.pack(">H", len(withdrawn)) + withdrawn + struct.pack(">H", len(attributes)) + attributes + announced
    message = b"\xff" * 16 + struct.pack(">HB", 19 + len(body), 2) + body
    return _record(time, 16, 4, _session(peer) + message)


def _record(time: int, kind: int, subtype: int, body: bytes) -> bytes:
    return struct.pack(">IHHI", time, kind, subtype, len(body)) + body
