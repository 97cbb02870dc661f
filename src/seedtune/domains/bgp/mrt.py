"""MRT files as typed records, for code of seedtune that looks into BGP data.

    for record in read_mrt("updates.20160811.1600.gz"):
        for route in record.announced:
            print(route.time, route.peer_asn, route.prefix, route.origin_asn)

Everything that the decoder of the PyBGPStream module reads, and what that module has to hide as the real one does: all
path attributes, path identifiers (ADD-PATH, RFC 7911 and 8050), multicast and generic RIBs, the time at which a RIB's
route was learned. Read, like there: TABLE_DUMP, TABLE_DUMP_V2, BGP4MP, BGP4MP_ET, plain, gzip or bzip2.

A file that is cut off, damaged, or of another MRT type ends in a record whose ``problem`` says why. Not covered:
address families other than IPv4 and IPv6 (VPN, flow specification, EVPN), what tells multicast from unicast inside an
update, and the contents of OPEN and NOTIFICATION messages.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from os import PathLike
from typing import Literal, NamedTuple

from seedtune.domains.bgp.sandboxed.pybgpstream import _bgp as bgp
from seedtune.domains.bgp.sandboxed.pybgpstream import _elements as elements
from seedtune.domains.bgp.sandboxed.pybgpstream import _mrt as mrt
from seedtune.errors import DataError

Network = IPv4Network | IPv6Network

SegmentKind = Literal["sequence", "set", "confederation sequence", "confederation set"]

_SEGMENT_KINDS: dict[int, SegmentKind] = {
    bgp.AS_SET: "set",
    bgp.AS_SEQUENCE: "sequence",
    bgp.CONFED_SEQUENCE: "confederation sequence",
    bgp.CONFED_SET: "confederation set",
}


class Segment(NamedTuple):
    """A segment of an AS path: its kind and its AS numbers in the order of the file."""

    kind: SegmentKind
    asns: tuple[int, ...]


class Withdrawal(NamedTuple):
    """A prefix that a peer no longer announces.

    Attributes:
        time: Seconds since the epoch.
        peer_asn: AS number of the peer.
        peer_address: Address of the peer.
        version: IP version, 4 or 6.
        network_number: The prefix's address as a number, host bits cut.
        length: The prefix's length in bits.
        path_id: ADD-PATH identifier; None without ADD-PATH.
    """

    time: float
    peer_asn: int
    peer_address: str
    version: int
    network_number: int
    length: int
    path_id: int | None = None

    @property
    def prefix(self) -> str:
        """The prefix as text, ``192.0.2.0/24``."""
        return _prefix(self.version, self.network_number, self.length)

    @property
    def network(self) -> Network:
        """The prefix as a network of ``ipaddress``."""
        return _network(self.version, self.network_number, self.length)


class Route(NamedTuple):
    """A route: announced in an update, or held in a RIB. A value is None or empty where the attribute is absent.

    Attributes:
        time: Time of the record, seconds since the epoch.
        peer_asn: AS number of the peer.
        peer_address: Address of the peer.
        version: IP version, 4 or 6.
        network_number: The prefix's address as a number, host bits cut.
        length: The prefix's length in bits.
        attributes: The path attributes; ``attributes.raw`` has the bytes of each by type code.
        path_id: ADD-PATH identifier; None without ADD-PATH.
        originated: When the peer's route was learned, seconds since the epoch; None outside RIBs.
    """

    time: float
    peer_asn: int
    peer_address: str
    version: int
    network_number: int
    length: int
    attributes: bgp.Attributes
    path_id: int | None = None
    originated: int | None = None

    @property
    def prefix(self) -> str:
        """The prefix as text, ``192.0.2.0/24``."""
        return _prefix(self.version, self.network_number, self.length)

    @property
    def network(self) -> Network:
        """The prefix as a network of ``ipaddress``."""
        return _network(self.version, self.network_number, self.length)

    @property
    def as_path(self) -> str:
        """The AS path as text, ``64496 64497 {64498,64499}``; AS4_PATH is merged in (RFC 6793)."""
        return self.attributes.as_path

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The AS path by segments."""
        return tuple(Segment(_SEGMENT_KINDS[kind], asns) for kind, asns in self.attributes.segments)

    @property
    def hops(self) -> tuple[int, ...]:
        """AS numbers of the path from the peer to the origin, prepending included; confederations are left out.

        Members of a set follow in the order of the file.
        """
        return tuple(
            asn for kind, asns in self.attributes.segments if kind in (bgp.AS_SEQUENCE, bgp.AS_SET) for asn in asns
        )

    @property
    def origin_asn(self) -> int | None:
        """The AS that originates the route; None if the path is empty or ends in a set (RFC 6811 calls that NONE)."""
        segments = self.attributes.segments
        if not segments or segments[-1][0] != bgp.AS_SEQUENCE or not segments[-1][1]:
            return None
        return segments[-1][1][-1]

    @property
    def next_hop(self) -> str | None:
        """The next hop; of an IPv6 pair the global address."""
        return self.attributes.next_hop or None

    @property
    def origin(self) -> str | None:
        """ORIGIN: ``IGP``, ``EGP`` or ``INCOMPLETE``."""
        return self.attributes.origin

    @property
    def med(self) -> int | None:
        """MULTI_EXIT_DISC."""
        return self.attributes.number(bgp.MED)

    @property
    def local_pref(self) -> int | None:
        """LOCAL_PREF."""
        return self.attributes.number(bgp.LOCAL_PREF)

    @property
    def atomic_aggregate(self) -> bool:
        """Whether ATOMIC_AGGREGATE is set."""
        return bgp.ATOMIC_AGGREGATE in self.attributes.raw

    @property
    def aggregator(self) -> tuple[int, str] | None:
        """AS number and address of the router that aggregated the route."""
        return self.attributes.aggregator

    @property
    def communities(self) -> tuple[str, ...]:
        """Standard communities (RFC 1997) as ``asn:value``, in the order of the file."""
        return self.attributes.communities

    @property
    def large_communities(self) -> tuple[str, ...]:
        """Large communities (RFC 8092) as ``asn:value:value``."""
        return self.attributes.large_communities

    @property
    def extended_communities(self) -> tuple[str, ...]:
        """Extended communities (RFC 4360) as ``rt:asn:value`` or ``soo:asn:value``, other kinds in hexadecimal."""
        return self.attributes.extended_communities

    @property
    def originator_id(self) -> str | None:
        """ORIGINATOR_ID (RFC 4456)."""
        value = self.attributes.raw.get(bgp.ORIGINATOR_ID, b"")
        return bgp.address_text(value) if len(value) == 4 else None

    @property
    def cluster_list(self) -> tuple[str, ...]:
        """CLUSTER_LIST (RFC 4456)."""
        return self.attributes.cluster_list

    @property
    def only_to_customer(self) -> int | None:
        """The AS number of ONLY_TO_CUSTOMER (RFC 9234)."""
        return self.attributes.number(bgp.ONLY_TO_CUSTOMER)


class StateChange(NamedTuple):
    """The session with a peer changed its state: ``IDLE``, ``CONNECT``, ... ``ESTABLISHED``; empty if unknown."""

    time: float
    peer_asn: int
    peer_address: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class MrtRecord:
    """One MRT record.

    Attributes:
        time: Seconds since the epoch, with microseconds where the file has them; 0.0 for a record with a problem.
        kind: ``update`` (a BGP UPDATE message), ``rib`` (the routes to one prefix), ``state`` (a session changed) or
            ``other`` (other BGP messages, other address families, and records with a problem).
        type: MRT type (RFC 6396, 4).
        subtype: MRT subtype.
        announced: Routes of an update.
        withdrawn: Withdrawals of an update.
        entries: Routes of a RIB record, one a peer (more with ADD-PATH).
        state: The change of a session.
        problem: Why the file cannot be read from here on; such a record is the last one.
    """

    time: float
    kind: Literal["update", "rib", "state", "other"]
    type: int
    subtype: int
    announced: tuple[Route, ...] = ()
    withdrawn: tuple[Withdrawal, ...] = ()
    entries: tuple[Route, ...] = ()
    state: StateChange | None = None
    problem: str | None = None

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes of an update or of a RIB record."""
        return self.announced or self.entries


def read_mrt(path: str | PathLike[str]) -> Iterator[MrtRecord]:
    """The records of an MRT file in its order; memory stays flat however large the file is.

    Args:
        path: The file: plain, gzip or bzip2, told apart by content.

    Raises:
        DataError: The file cannot be opened.
    """
    try:
        file = mrt.MrtFile(path, salvage=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened as an MRT file: {error.strerror or error}") from error
    return _records(file)


def _records(file: mrt.MrtFile) -> Iterator[MrtRecord]:
    with file:
        for record in file:
            yield _typed(record)


def _typed(record: elements.Record) -> MrtRecord:
    time, kind, subtype = record.time, record.type, record.subtype
    if isinstance(record, elements.UpdateRecord):
        announced, withdrawn = _update(record)
        return MrtRecord(time, "update", kind, subtype, announced=announced, withdrawn=withdrawn)
    if isinstance(record, elements.RibRecord):
        entries = tuple(
            Route(time, *peer, *record.prefix, attributes, None, originated)
            for peer, originated, attributes in record.routes
        )
        return MrtRecord(time, "rib", kind, subtype, entries=entries)
    if isinstance(record, elements.StateRecord):
        element = record.element
        state = StateChange(time, element.peer_asn, element.peer_address, element.old_state, element.new_state)
        return MrtRecord(time, "state", kind, subtype, state=state)
    if isinstance(record, elements.HiddenRecord):
        return _hidden(record)
    return MrtRecord(time, "other", kind, subtype, problem=record.problem)


def _update(record: elements.UpdateRecord) -> tuple[tuple[Route, ...], tuple[Withdrawal, ...]]:
    announced: list[Route] = []
    withdrawn: list[Withdrawal] = []
    for element in record.elements():
        common = (
            record.time,
            element.peer_asn,
            element.peer_address,
            element.version,
            element.network,
            element.length,
        )
        if element.attributes is None:
            withdrawn.append(Withdrawal(*common))
        else:
            announced.append(Route(*common, element.attributes))
    return tuple(announced), tuple(withdrawn)


def _hidden(record: elements.HiddenRecord) -> MrtRecord:
    """Decode what the PyBGPStream module gives without elements; what does not add up stays ``other``, as there."""
    header = (record.time, record.type, record.subtype)
    try:
        if record.type == mrt.TABLE_DUMP_V2:
            entries = _hidden_entries(record)
            return MrtRecord(header[0], "rib" if entries else "other", *header[1:], entries=entries)
        found = _add_path_update(record)
    except (mrt.MalformedError, *mrt.CUT_OFF):
        found = None
    if found is None:
        return MrtRecord(header[0], "other", *header[1:])
    return MrtRecord(header[0], "update", *header[1:], announced=found[0], withdrawn=found[1])


def _add_path_update(record: elements.HiddenRecord) -> tuple[tuple[Route, ...], tuple[Withdrawal, ...]] | None:
    """The routes of an UPDATE message with path identifiers (RFC 8050, 3); None for other messages."""
    body, width = record.body, mrt.ADD_PATH_WIDTH[record.subtype]
    peer, start = mrt.read_peer(body, 4 if record.type == mrt.BGP4MP_ET else 0, width)
    parts = mrt.split_update(body, start)
    if parts is None:
        return None
    raw = bgp.split_attributes(parts[1])
    withdrawn = [(4, prefix) for prefix in bgp.parse_path_prefixes(parts[0], 4)]
    plain = bgp.Attributes(raw, width, False)
    announced = [(4, prefix, plain) for prefix in bgp.parse_path_prefixes(parts[2], 4)]
    value = raw.get(bgp.MP_UNREACH, b"")
    version = bgp.FAMILIES.get(value[:3])
    if version:
        withdrawn += [(version, prefix) for prefix in bgp.parse_path_prefixes(value[3:], version)]
    value = raw.get(bgp.MP_REACH, b"")
    version = bgp.FAMILIES.get(value[:3])
    if version and len(value) >= 5:
        multiprotocol = bgp.Attributes(raw, width, True)
        prefixes = bgp.parse_path_prefixes(value[5 + value[3] :], version)
        announced += [(version, prefix, multiprotocol) for prefix in prefixes]
    return (
        tuple(Route(record.time, *peer, v, number, bits, kept, path) for v, (number, bits, path), kept in announced),
        tuple(Withdrawal(record.time, *peer, v, number, bits, path) for v, (number, bits, path) in withdrawn),
    )


def _hidden_entries(record: elements.HiddenRecord) -> tuple[Route, ...]:
    """The routes of a multicast, generic or ADD-PATH record of TABLE_DUMP_V2 (RFC 6396, 4.3.3; RFC 8050, 4)."""
    body, subtype = record.body, record.subtype
    start = 4
    version = mrt.RIB_VERSION.get(subtype)
    if subtype in (mrt.RIB_GENERIC, mrt.RIB_GENERIC_ADD_PATH):
        version, start = bgp.FAMILIES.get(body[4:7]), 7
    if version is None:
        return ()
    stop = start + 1 + (body[start] + 7) // 8
    prefixes = bgp.parse_prefixes(body[start:stop], version)
    if not prefixes:
        return ()
    has_path = subtype >= mrt.FIRST_ADD_PATH_RIB
    count, stop = int.from_bytes(body[stop : stop + 2], "big"), stop + 2
    routes: list[Route] = []
    for _ in range(count):
        index, originated = (
            int.from_bytes(body[stop : stop + 2], "big"),
            int.from_bytes(body[stop + 2 : stop + 6], "big"),
        )
        path_id = int.from_bytes(body[stop + 6 : stop + 10], "big") if has_path else None
        begin = stop + (12 if has_path else 8)
        stop = begin + int.from_bytes(body[begin - 2 : begin], "big")
        if stop > len(body) or index >= len(record.peers):
            raise mrt.MalformedError("a RIB entry that does not add up")
        attributes = bgp.rib_attributes(body[begin:stop], 4, version)
        routes.append(Route(record.time, *record.peers[index], version, *prefixes[0], attributes, path_id, originated))
    return tuple(routes)


def _prefix(version: int, number: int, length: int) -> str:
    return bgp.PREFIX_TEXTS[version].get((number, length)) or bgp.prefix_text(version, number, length)


def _network(version: int, number: int, length: int) -> Network:
    return IPv4Network((number, length)) if version == 4 else IPv6Network((number, length))
