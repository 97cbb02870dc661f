"""What the analyses read: the routes, withdrawals and state changes of ``mrt.py``, without a copy of them.

    events = chain(events_of(read_mrt("rib.gz")), events_of(read_mrt("updates.gz")))

Memory: everything here streams.
"""

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import NamedTuple

from seedtune.domains.bgp.mrt import MrtRecord, Route, Segment, SegmentKind, StateChange, Withdrawal
from seedtune.domains.bgp.sandboxed.pybgpstream import _bgp as bgp
from seedtune.errors import DataError

Event = Route | Withdrawal | StateChange
"""A route (announced, or held in a RIB), a withdrawal, or the change of a session."""

AsPath = tuple[Segment, ...]
"""An AS path as ``Route.segments`` has it: the peer's end first, the origin last."""


class Peer(NamedTuple):
    """One session of a collector: an AS with two addresses is two peers."""

    asn: int
    address: str


class Prefix(NamedTuple):
    """An IPv4 or IPv6 prefix; ``str()`` writes it as ``192.0.2.0/24``. Sorts by version, address, length.

    Attributes:
        version: IP version, 4 or 6.
        number: The address as a number, host bits zero.
        length: Length in bits.
    """

    version: int
    number: int
    length: int

    def __str__(self) -> str:
        return bgp.PREFIX_TEXTS[self.version].get((self.number, self.length)) or bgp.prefix_text(*self)

    @property
    def bits(self) -> int:
        """Bits of an address of this version: 32 or 128."""
        return 8 * bgp.ADDRESS_BYTES[self.version]

    def covers(self, other: "Prefix") -> bool:
        """Whether every address of the other prefix is in this one; a prefix covers itself."""
        return (
            self.version == other.version
            and self.length <= other.length
            and other.number & bgp.PREFIX_MASKS[self.version][self.length] == self.number
        )


def peer_of(event: Event) -> Peer:
    """The session that an event came over."""
    return Peer(event.peer_asn, event.peer_address)


def prefix_of(event: Route | Withdrawal) -> Prefix:
    """The prefix of a route or a withdrawal."""
    return Prefix(event.version, event.network_number, event.length)


def parse_prefix(text: str) -> Prefix:
    """Read a prefix such as ``192.0.2.0/24`` or ``2001:db8::/32``; an address alone is one of full length.

    Raises:
        DataError: It is no prefix, or has host bits set.
    """
    try:
        network = ip_network(text)
    except ValueError as error:
        raise DataError(f"{text!r} is no prefix: {error}; write 192.0.2.0/24 or 2001:db8::/32") from error
    return Prefix(network.version, int(network.network_address), network.prefixlen)


_PART = r"\d+|\{\d+(?:,\d+)*\}|\(\d+(?: \d+)*\)|\[\d+(?:,\d+)*\]"
_PATH = re.compile(rf"(?:{_PART})(?: (?:{_PART}))*", re.ASCII)
_SEGMENT = re.compile(rf"\d+(?: \d+)*|{_PART}", re.ASCII)
_KINDS: dict[str, SegmentKind] = {"{": "set", "(": "confederation sequence", "[": "confederation set"}
_CODES: dict[SegmentKind, int] = {
    "set": bgp.AS_SET,
    "sequence": bgp.AS_SEQUENCE,
    "confederation sequence": bgp.CONFED_SEQUENCE,
    "confederation set": bgp.CONFED_SET,
}


def parse_path(text: str) -> AsPath:
    """Read an AS path as ``Route.as_path`` writes it: ``64496 64497 {64498,64499}``; empty text is the empty path.

    Raises:
        DataError: It is no AS path, or an AS number needs more than four bytes.
    """
    if text and not _PATH.fullmatch(text):
        raise DataError(f"{text!r} is no AS path; write 64496 64497 {{64498,64499}}")
    path = tuple(
        Segment(_KINDS.get(part[0], "sequence"), tuple(map(int, re.findall(r"\d+", part))))
        for part in _SEGMENT.findall(text)
    )
    if any(asn >= 1 << 32 for segment in path for asn in segment.asns):
        raise DataError(f"{text!r} has an AS number above 4294967295")
    return path


def make_route(
    time: float,
    peer: Peer,
    prefix: Prefix,
    path: AsPath,
    communities: Sequence[str] = (),
    large_communities: Sequence[str] = (),
    other: Mapping[int, bytes] | None = None,
) -> Route:
    """An announced route made of values: for data that is not in a file, or was renamed.

    Args:
        time: Seconds since the epoch.
        peer: Who announces it.
        prefix: What is announced.
        path: AS path; a sequence of more than 255 AS numbers is cut into several segments.
        communities: Standard communities as ``asn:value``.
        large_communities: Large communities as ``asn:value:value``.
        other: Further path attributes, values by type code.
    """
    raw = dict(other or {})
    raw[bgp.AS_PATH] = b"".join(_segment_bytes(segment) for segment in path)
    if communities:
        raw[bgp.COMMUNITIES] = b"".join(struct.pack(">HH", *map(int, text.split(":"))) for text in communities)
    if large_communities:
        raw[bgp.LARGE_COMMUNITIES] = b"".join(
            struct.pack(">III", *map(int, text.split(":"))) for text in large_communities
        )
    return Route(time, *peer, *prefix, bgp.Attributes(raw, 4, prefix.version == 6))


def _segment_bytes(segment: Segment) -> bytes:
    code, asns = _CODES[segment.kind], segment.asns
    parts = [asns[start : start + 255] for start in range(0, len(asns), 255)]
    return b"".join(struct.pack(f">BB{len(part)}I", code, len(part), *part) for part in parts)


def make_withdrawal(time: float, peer: Peer, prefix: Prefix) -> Withdrawal:
    """A withdrawal made of values."""
    return Withdrawal(time, *peer, *prefix)


def events_of(records: Iterable[MrtRecord]) -> Iterator[Event]:
    """The events of MRT records in their order; within one UPDATE message withdrawals come first.

    A prefix that one message both withdraws and announces is announced only (RFC 4271, 4.3).
    """
    for record in records:
        if record.state:
            yield record.state
        if record.withdrawn and record.announced:
            announced = {(*prefix_of(route), route.path_id) for route in record.announced}
            yield from (event for event in record.withdrawn if (*prefix_of(event), event.path_id) not in announced)
        else:
            yield from record.withdrawn
        yield from record.routes


def during(events: Iterable[Event], start: float, end: float) -> Iterator[Event]:
    """The events with ``start <= time < end``; they need not be in order."""
    return (event for event in events if start <= event.time < end)


def announcements(events: Iterable[Event]) -> Iterator[Route]:
    """The routes that were announced in updates; the entries of RIBs are left out."""
    return (event for event in events if isinstance(event, Route) and event.originated is None)


def withdrawals(events: Iterable[Event]) -> Iterator[Withdrawal]:
    """The withdrawals, also those of routes that nobody saw announced."""
    return (event for event in events if isinstance(event, Withdrawal))
