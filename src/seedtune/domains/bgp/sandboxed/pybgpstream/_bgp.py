"""BGP UPDATE messages: prefixes and path attributes, decoded as late as possible and once per distinct byte string.

Real updates repeat themselves: the same attribute blocks, paths and community lists come from peer after peer. So an
attribute block is split once per distinct byte string, and a value becomes text when it is first asked for. Every cache
is bounded in bytes (``CACHE_BYTES``), so memory stays flat however long or hostile the stream is.

What does not add up is forgiven as libbgpstream forgives it: a list of prefixes or attributes ends where it breaks, the
second copy of an attribute is ignored, an attribute of impossible size counts as absent.

Not covered: address families other than IPv4 and IPv6 (unicast and multicast, not told apart), and the contents of OPEN
and NOTIFICATION. The bytes of every attribute can be had from ``Attributes.raw``.
"""

import struct
from socket import AF_INET6, inet_ntoa, inet_ntop
from typing import TypeVar

CACHE_BYTES = 16 << 20
"""What the entries of one cache may take in memory; there are about a dozen caches."""

ORIGIN, AS_PATH, NEXT_HOP, MED, LOCAL_PREF, ATOMIC_AGGREGATE, AGGREGATOR, COMMUNITIES = range(1, 9)
ORIGINATOR_ID, CLUSTER_LIST, MP_REACH, MP_UNREACH, EXTENDED_COMMUNITIES = 9, 10, 14, 15, 16
AS4_PATH, AS4_AGGREGATOR, LARGE_COMMUNITIES, ONLY_TO_CUSTOMER = 17, 18, 32, 35

AS_TRANS = 23456
"""Stands for an AS number of 4 bytes where only 2 fit (RFC 6793)."""

ORIGINS = ("IGP", "EGP", "INCOMPLETE")

AS_SET, AS_SEQUENCE, CONFED_SEQUENCE, CONFED_SET = 1, 2, 3, 4

Segment = tuple[int, tuple[int, ...]]
"""Segment type (RFC 4271, 4.3; RFC 5065, 3) and AS numbers."""

Prefix = tuple[int, int]
"""Network as a number with its host bits cut, and length in bits."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Cache(dict[_Key, _Value]):
    """A dict that is emptied when its entries take more than ``CACHE_BYTES``."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0

    def keep(self, key: _Key, value: _Value, size: int) -> _Value:
        """Put a value in, and return it; ``size`` is about what key and value take in bytes."""
        self._bytes += size
        if self._bytes > CACHE_BYTES:
            self.clear()
            self._bytes = size
        self[key] = value
        return value


def _masks(bits: int) -> tuple[int, ...]:
    return tuple((1 << bits) - (1 << (bits - length)) for length in range(bits + 1))


ADDRESS_BYTES = {4: 4, 6: 16}

PREFIX_MASKS = {4: _masks(32), 6: _masks(128)}
"""The mask that cuts host bits, by IP version and prefix length."""

_PREFIX_FORMS = {
    version: [
        ((length + 7) // 8, bits - (length + 7) // 8 * 8, PREFIX_MASKS[version][length]) for length in range(bits + 1)
    ]
    for version, bits in ((4, 32), (6, 128))
}
"""By IP version and prefix length: bytes on the wire, bits to shift them left by, and the mask."""

_fields: dict[int, Cache[bytes, list[Prefix]]] = {4: Cache(), 6: Cache()}


def parse_prefixes(field: bytes, version: int) -> list[Prefix]:
    """The prefixes of an NLRI field (RFC 4271, 4.3) up to the first that cannot be read; not to be changed."""
    if len(field) > _SHORT_FIELD:
        return _parse_prefixes(field, version)
    cache = _fields[version]
    prefixes = cache.get(field)
    if prefixes is None:
        prefixes = _parse_prefixes(field, version)
        cache.keep(field, prefixes, 300 + _PREFIX_SIZE * len(prefixes))
    return prefixes


_SHORT_FIELD = 64
"""Fields up to so many bytes come again from other peers; longer ones hardly do."""

_PREFIX_SIZE = 120
"""Bytes that a ``Prefix`` takes in a list."""


def _parse_prefixes(field: bytes, version: int) -> list[Prefix]:
    forms = _PREFIX_FORMS[version]
    position, end = 0, len(field)
    prefixes: list[Prefix] = []
    append, from_bytes = prefixes.append, int.from_bytes
    try:
        while position < end:
            length = field[position]
            size, shift, mask = forms[length]
            start = position + 1
            position = start + size
            if position > end:
                break
            append((from_bytes(field[start:position], "big") << shift & mask, length))
    except IndexError:
        pass  # a length beyond that of an address
    return prefixes


def parse_path_prefixes(field: bytes, version: int) -> list[tuple[int, int, int]]:
    """As ``parse_prefixes``, with an ADD-PATH identifier (RFC 7911, 3) before each: network, length, identifier."""
    prefixes: list[tuple[int, int, int]] = []
    position, longest = 0, 8 * ADDRESS_BYTES[version]
    while position + 4 < len(field) and field[position + 4] <= longest:
        stop = position + 5 + (field[position + 4] + 7) // 8
        found = _parse_prefixes(field[position + 4 : stop], version)
        if not found:
            break
        prefixes.append((*found[0], int.from_bytes(field[position : position + 4], "big")))
        position = stop
    return prefixes


PREFIX_TEXTS: dict[int, Cache[Prefix, str]] = {0: Cache(), 4: Cache(), 6: Cache()}
"""Prefixes that were asked for as text, by IP version; version 0 is that of elements without a prefix."""
PREFIX_TEXTS[0][0, 0] = ""


def prefix_text(version: int, network: int, length: int) -> str:
    """``10.0.0.0/8`` or ``2001:db8::/32``, addresses as inet_ntop writes them."""
    text = f"{address_text(network.to_bytes(ADDRESS_BYTES[version], 'big'))}/{length}"
    return PREFIX_TEXTS[version].keep((network, length), text, 300)


def address_text(value: bytes) -> str:
    """An address of 4 (IPv4) or 16 (IPv6) bytes as inet_ntop writes it; empty for anything else."""
    if len(value) == 4:
        return inet_ntoa(value)
    return inet_ntop(AF_INET6, value) if len(value) == 16 else ""


_ARRAYS = {
    2: [struct.Struct(f">{count}H") for count in range(256)],
    4: [struct.Struct(f">{count}I") for count in range(256)],
}


def parse_segments(value: bytes, width: int) -> list[Segment] | None:
    """The segments of an AS_PATH with AS numbers of 2 or 4 bytes; None if the value does not add up."""
    segments: list[Segment] = []
    position, end = 0, len(value)
    while position < end:
        if position + 2 > end:
            return None
        kind, count = value[position], value[position + 1]
        stop = position + 2 + count * width
        if stop > end or not AS_SET <= kind <= CONFED_SET:
            return None
        segments.append((kind, _ARRAYS[width][count].unpack_from(value, position + 2)))
        position = stop
    return segments


def path_length(segments: list[Segment]) -> int:
    """Length as best-path selection counts it: a set is one, confederations are none (RFC 4271, 9.1.2.2; 5065, 5.3)."""
    return sum(len(numbers) if kind == AS_SEQUENCE else kind == AS_SET for kind, numbers in segments)


def merge_as4_path(path: list[Segment], as4_path: list[Segment]) -> list[Segment]:
    """The path that AS_PATH and AS4_PATH make together (RFC 6793, 4.2.3).

    AS4_PATH replaces the end of AS_PATH. It is ignored if it is the longer one.
    """
    extra = path_length(path) - path_length(as4_path)
    if extra < 0:
        return path
    head: list[Segment] = []
    for kind, numbers in path:
        if kind in (AS_SET, AS_SEQUENCE):
            if extra <= 0:
                break
            kept = numbers[:extra] if kind == AS_SEQUENCE else numbers
            extra -= len(kept) if kind == AS_SEQUENCE else 1
            head.append((kind, kept))
        else:
            head.append((kind, numbers))
    return head + as4_path


_SET_TEXT = {AS_SET: "{%s}", CONFED_SET: "[%s]"}


def segments_text(segments: list[Segment]) -> str:
    """``1 2 {3,4}``; a confederation sequence as ``(1 2)``, a confederation set as ``[1,2]``. Sets keep their order."""
    words: list[str] = []
    for kind, numbers in segments:
        if kind == AS_SEQUENCE:
            words.extend(map(str, numbers))
        elif kind == CONFED_SEQUENCE:
            words.append(f"({' '.join(map(str, numbers))})")
        else:
            words.append(_SET_TEXT[kind] % ",".join(map(str, numbers)))
    return " ".join(words)


def sequence_text(value: bytes, width: int) -> str:
    """As ``segments_text`` for the common AS_PATH of one sequence; empty for any other."""
    if len(value) < 2 or value[0] != AS_SEQUENCE or len(value) != 2 + width * value[1]:
        return ""
    return " ".join(map(str, _ARRAYS[width][value[1]].unpack_from(value, 2)))


def communities_text(value: bytes) -> tuple[str, ...]:
    """Standard communities (RFC 1997) as ``asn:value``, in order; none if the value does not add up."""
    if len(value) % 4:
        return ()
    numbers = struct.unpack(f">{len(value) // 2}H", value)
    return tuple([f"{high}:{low}" for high, low in zip(numbers[::2], numbers[1::2], strict=True)])


_EXTENDED_KINDS = {2: "rt", 3: "soo"}


def extended_community_text(value: bytes) -> str:
    """``rt:64496:100`` or ``soo:192.0.2.1:100`` by the administrator's form (RFC 4360, 3 and 5668); else ``0x...``."""
    form, kind = value[0] & 0xBF, _EXTENDED_KINDS.get(value[1])
    if kind is None or form > 2:
        return f"0x{value.hex()}"
    split = 4 if form == 0 else 6
    administrator = address_text(value[2:6]) if form == 1 else int.from_bytes(value[2:split], "big")
    return f"{kind}:{administrator}:{int.from_bytes(value[split:], 'big')}"


def mp_next_hop(value: bytes) -> bytes | None:
    """The next hop in MP_REACH_NLRI, or in its short form inside a RIB (RFC 6396, 4.3.4); of an IPv6 pair the first.

    The short form begins with the next hop's length. Some writers put the full attribute there: it begins with a zero.
    """
    start = 4 if value[:1] == b"\0" else 1
    length = value[start - 1] if len(value) >= start else 0
    size = 16 if length == 32 else length
    found = value[start : start + size]
    return found if size in (4, 16) and len(found) == size else None


def split_attributes(data: bytes) -> dict[int, bytes]:
    """Values by type code (RFC 4271, 4.3): the first of each code, up to the first that runs past the block."""
    raw: dict[int, bytes] = {}
    position, end = 0, len(data)
    while position + 3 <= end:
        start = position + 3
        stop = start + data[position + 2]
        if data[position] & EXTENDED_LENGTH:
            start = position + 4
            stop = start + int.from_bytes(data[position + 2 : start], "big")
        if stop > end:
            break
        code = data[position + 1]
        if code not in raw:
            raw[code] = data[start:stop]
        position = stop
    return raw


EXTENDED_LENGTH = 0x10
"""Attribute flag: the length takes two bytes."""

_paths: dict[int, Cache[bytes, str]] = {2: Cache(), 4: Cache()}
_community_lists: Cache[bytes, tuple[str, ...]] = Cache()
_addresses: Cache[bytes, str] = Cache()


class Attributes:
    """The path attributes that routes share.

    Attributes:
        reachable_field: IP version and encoded prefixes of MP_REACH_NLRI; None if absent or of another family.
        unreachable_field: The same of MP_UNREACH_NLRI.
        raw: Value of each attribute by type code, the first one of each kind.
        width: Bytes of an AS number in AS_PATH and AGGREGATOR, 2 or 4.
        multiprotocol: The next hop is the one of MP_REACH_NLRI, if there is one.
        known_path: ``as_path`` once it was asked for, before that None; likewise the two others.
    """

    __slots__ = ("known_communities", "known_next_hop", "known_path", "multiprotocol", "raw", "width")

    reachable_field: tuple[int, bytes] | None = None
    unreachable_field: tuple[int, bytes] | None = None

    def __init__(self, raw: dict[int, bytes], width: int, multiprotocol: bool) -> None:
        self.raw = raw
        self.width = width
        self.multiprotocol = multiprotocol
        self.known_path: str | None = None
        self.known_communities: tuple[str, ...] | None = None
        self.known_next_hop: str | None = None

    @property
    def as_path(self) -> str:
        """The AS path as text, ``1 2 {3,4}``; empty if there is none."""
        text = self.known_path
        if text is None:
            raw, width = self.raw, self.width
            if AS4_PATH in raw:
                text = segments_text(self.segments)
            else:
                value = raw.get(AS_PATH, b"")
                text = _paths[width].get(value)
                if text is None:
                    text = sequence_text(value, width) or segments_text(self.segments)
                    _paths[width].keep(value, text, 300 + len(value) + len(text))
            self.known_path = text
        return text

    @property
    def communities(self) -> tuple[str, ...]:
        """Standard communities as ``asn:value``, in the order of the message."""
        found = self.known_communities
        if found is None:
            value = self.raw.get(COMMUNITIES, b"")
            found = _community_lists.get(value)
            if found is None:
                found = _community_lists.keep(value, communities_text(value), 200 + 20 * len(value))
            self.known_communities = found
        return found

    @property
    def next_hop(self) -> str:
        """The next hop of the route's address family, of an IPv6 pair the global one; empty if there is none."""
        text = self.known_next_hop
        if text is None:
            value = self.raw.get(NEXT_HOP, b"")
            if MP_REACH in self.raw and (self.multiprotocol or not value):
                value = mp_next_hop(self.raw[MP_REACH]) or value
            text = _addresses.get(value)
            if text is None:
                text = _addresses.keep(value, address_text(value), 200 + len(value))
            self.known_next_hop = text
        return text

    @property
    def segments(self) -> list[Segment]:
        """The AS path by segments, AS4_PATH merged in (RFC 6793).

        A path that makes no sense with AS numbers of the expected width is read with the other one: some writers say
        the wrong thing.
        """
        value = self.raw.get(AS_PATH, b"")
        path = parse_segments(value, self.width)
        if path is None:
            path = parse_segments(value, 6 - self.width) or []
        as4_path = parse_segments(self.raw[AS4_PATH], 4) if AS4_PATH in self.raw else None
        if not as4_path:
            return path
        return merge_as4_path(path, as4_path) if path else as4_path

    @property
    def reachable(self) -> tuple[int, list[Prefix]] | None:
        """IP version and prefixes of MP_REACH_NLRI; None if absent or of another family."""
        field = self.reachable_field
        return None if field is None else (field[0], parse_prefixes(field[1], field[0]))

    @property
    def unreachable(self) -> tuple[int, list[Prefix]] | None:
        """IP version and prefixes of MP_UNREACH_NLRI; None if absent or of another family."""
        field = self.unreachable_field
        return None if field is None else (field[0], parse_prefixes(field[1], field[0]))

    def plain(self) -> "Attributes":
        """See ``UpdateAttributes``."""
        return self

    def number(self, code: int) -> int | None:
        """Value of an attribute that is one number of 4 bytes: MED, LOCAL_PREF, ONLY_TO_CUSTOMER."""
        value = self.raw.get(code, b"")
        return int.from_bytes(value, "big") if len(value) == 4 else None

    @property
    def origin(self) -> str | None:
        """``IGP``, ``EGP`` or ``INCOMPLETE`` (RFC 4271, 5.1.1)."""
        value = self.raw.get(ORIGIN, b"")
        return ORIGINS[value[0]] if len(value) == 1 and value[0] < len(ORIGINS) else None

    @property
    def aggregator(self) -> tuple[int, str] | None:
        """AS number and address of the router that aggregated the route.

        AS4_AGGREGATOR stands in for AS_TRANS (RFC 6793, 4.2.3).
        """
        value = self.raw.get(AGGREGATOR, b"")
        if len(value) not in (6, 8):
            return None
        newer = self.raw.get(AS4_AGGREGATOR, b"")
        if len(newer) == 8 and int.from_bytes(value[:-4], "big") == AS_TRANS:
            value = newer
        return int.from_bytes(value[:-4], "big"), address_text(value[-4:])

    @property
    def large_communities(self) -> tuple[str, ...]:
        """Large communities (RFC 8092) as ``asn:value:value``, in order."""
        return tuple(":".join(map(str, struct.unpack(">III", value))) for value in self._items(LARGE_COMMUNITIES, 12))

    @property
    def extended_communities(self) -> tuple[str, ...]:
        """Extended communities (RFC 4360) as ``rt:asn:value`` and ``soo:asn:value``, of other kinds in hexadecimal."""
        return tuple(map(extended_community_text, self._items(EXTENDED_COMMUNITIES, 8)))

    @property
    def cluster_list(self) -> tuple[str, ...]:
        """Identifiers of the clusters that the route passed (RFC 4456)."""
        return tuple(map(address_text, self._items(CLUSTER_LIST, 4)))

    def _items(self, code: int, size: int) -> list[bytes]:
        value = self.raw.get(code, b"")
        return [] if len(value) % size else [value[i : i + size] for i in range(0, len(value), size)]


class UpdateAttributes(Attributes):
    """The attributes of an UPDATE message in which prefixes travel (RFC 4760); they belong to those prefixes."""

    __slots__ = ("reachable_field", "unreachable_field")

    def __init__(self, raw: dict[int, bytes], width: int) -> None:
        super().__init__(raw, width, True)
        self.reachable_field = None
        self.unreachable_field = None
        if MP_REACH in raw:
            value = raw[MP_REACH]
            version = FAMILIES.get(value[:3])
            if version and len(value) >= 5:
                self.reachable_field = version, value[5 + value[3] :]
        if MP_UNREACH in raw:
            value = raw[MP_UNREACH]
            version = FAMILIES.get(value[:3])
            if version:
                self.unreachable_field = version, value[3:]

    def plain(self) -> Attributes:
        """The same attributes as those of the prefixes in the message's own NLRI field, whose next hop is another."""
        return Attributes(self.raw, self.width, False)


FAMILIES = {b"\0\1\1": 4, b"\0\1\2": 4, b"\0\2\1": 6, b"\0\2\2": 6}
"""IP version by the bytes of address family and subsequent address family: unicast and multicast."""

_update_attributes: dict[int, Cache[bytes, Attributes]] = {2: Cache(), 4: Cache()}

RIB_ATTRIBUTES: dict[tuple[int, int], Cache[bytes, Attributes]] = {
    (width, version): Cache() for width in (2, 4) for version in (4, 6)
}
"""What ``rib_attributes`` gave, by AS number width and IP version."""


def update_attributes(data: bytes, width: int) -> Attributes:
    """The attribute block of an UPDATE message; the same bytes give the same object while they are remembered."""
    cache = _update_attributes[width]
    attributes = cache.get(data)
    if attributes is None:
        raw = split_attributes(data)
        if MP_REACH in raw or MP_UNREACH in raw:
            attributes = UpdateAttributes(raw, width)
        else:
            attributes = Attributes(raw, width, False)
        cache.keep(data, attributes, 700 + _BLOCK_SIZE * len(data))
    return attributes


def rib_attributes(data: bytes, width: int, version: int) -> Attributes:
    """The attribute block of a RIB entry; the same bytes give the same object while they are remembered."""
    cache = RIB_ATTRIBUTES[width, version]
    attributes = cache.get(data)
    if attributes is None:
        attributes = Attributes(split_attributes(data), width, version == 6)
        cache.keep(data, attributes, 700 + _BLOCK_SIZE * len(data))
    return attributes


_BLOCK_SIZE = 20
"""Bytes that ``Attributes`` take for each byte of the block: at most, if they are communities that were asked for."""
