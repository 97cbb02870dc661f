"""MRT files (RFC 6396, RFC 8050): bytes in, records and elements out, as libbgpstream 2.3 reads them.

``MrtFile`` decompresses as it reads (gzip, bzip2 or plain, told apart by content). It holds at most two chunks of
``CHUNK_BYTES`` decompressed bytes, and a record that claims more than ``MAX_RECORD_BYTES`` ends the file: neither a
compression bomb nor a wild length field costs memory. A record's structure is checked when it is read, because one that
does not parse is the last of its file; elements and their values are made when asked for.

Types read: TABLE_DUMP, TABLE_DUMP_V2, BGP4MP and BGP4MP_ET. As in libbgpstream a record of any other type ends the
file, peer index tables are no records of their own, and ADD-PATH, multicast and generic records are sound and without
elements.
"""

import bz2
import gzip
import struct
import zlib
from collections.abc import Generator, Iterator
from os import PathLike
from pathlib import Path

from ._bgp import (
    PREFIX_MASKS,
    RIB_ATTRIBUTES,
    Cache,
    address_text,
    parse_prefixes,
    rib_attributes,
    update_attributes,
)
from ._elements import (
    BrokenRecord,
    Element,
    Header,
    HiddenRecord,
    Peer,
    Record,
    RibRecord,
    RibRoute,
    StateElement,
    StateRecord,
    UpdateRecord,
)

__all__ = ["BGP4MP", "BGP4MP_ET", "TABLE_DUMP", "TABLE_DUMP_V2", "Element", "MrtFile", "Record"]

TABLE_DUMP, TABLE_DUMP_V2, BGP4MP, BGP4MP_ET = 12, 13, 16, 17
PEER_INDEX_TABLE = 1
MESSAGE_WIDTH = {1: 2, 4: 4, 6: 2, 7: 4}
"""Bytes of an AS number by subtype of BGP4MP that holds a message (RFC 6396, 4.4)."""
ADD_PATH_WIDTH = {8: 2, 9: 4, 10: 2, 11: 4}
"""The same where prefixes have path identifiers (RFC 8050, 3)."""
RIB_VERSION = {2: 4, 3: 4, 4: 6, 5: 6, 8: 4, 9: 4, 10: 6, 11: 6}
"""IP version by subtype of TABLE_DUMP_V2 that holds routes (RFC 6396, 4.3.2; RFC 8050, 4)."""
RIB_GENERIC, FIRST_ADD_PATH_RIB, RIB_GENERIC_ADD_PATH = 6, 8, 12
UPDATE = 2
"""Type of a BGP UPDATE message."""

CHUNK_BYTES = 1 << 20
"""Decompressed bytes read at a time; also the unit in which libwandio gives up a damaged gzip file."""

MAX_RECORD_BYTES = 1 << 20
"""The longest record believed: libbgpstream's own limit. The routes of 10,000 peers to one prefix stay below it."""

STATES = ("", "IDLE", "CONNECT", "ACTIVE", "OPENSENT", "OPENCONFIRM", "ESTABLISHED", "CLEARING", "DELETED")
"""States of a session by number (RFC 6396, 4.4.1; 7 and 8 are Quagga's)."""


class MalformedError(ValueError):
    """Bytes that are no MRT record."""


CUT_OFF = (struct.error, IndexError)
"""What decoding raises where bytes are missing."""

_SHORT = struct.Struct(">H")
_LONG = struct.Struct(">I")
_STATES = struct.Struct(">HH")
_HEADER = struct.Struct(">IHHI")
_RIB_ENTRY = struct.Struct(">HIH")
_MESSAGE = struct.Struct(">16xHBH")
_TABLE_DUMP_ENTRY = {1: struct.Struct(">4x4sBxI4sHH"), 2: struct.Struct(">4x16sBxI16sHH")}
_UNICAST = (2, 4)
_ADDRESS_BYTES = {1: 4, 2: 16}
_STATE_WIDTH = {0: 2, 5: 4}
_peers: dict[int, Cache[bytes, Peer]] = {2: Cache(), 4: Cache()}
_dump_peers: Cache[tuple[bytes, int], Peer] = Cache()
_PEER_SIZE = 400
"""Bytes that a peer takes in a cache."""


def read_peer(body: bytes, start: int, width: int) -> tuple[Peer, int]:
    """The peer of a BGP4MP record, and where the record's own header ends (RFC 6396, 4.4).

    Args:
        body: The record.
        start: Where the peer's AS number is: 0, or 4 in BGP4MP_ET.
        width: Bytes of an AS number, 2 or 4.

    Raises:
        MalformedError: The header is cut off or of an unknown address family.
    """
    family = start + 2 * width + 2
    if len(body) < family + 10:
        raise MalformedError("the peer's address is cut off")
    end = family + (34 if body[family + 1] == 2 else 10)
    peers, key = _peers[width], body[start:end]
    peer = peers.get(key)
    if peer is None:
        size = _ADDRESS_BYTES.get(_SHORT.unpack_from(body, family)[0], 0)
        if not size or end > len(body):
            raise MalformedError("the peer's address cannot be read")
        address = address_text(body[family + 2 : family + 2 + size])
        peer = peers.keep(key, (int.from_bytes(body[start : start + width], "big"), address), _PEER_SIZE)
    return peer, end


def split_update(body: bytes, start: int) -> tuple[bytes, bytes, bytes] | None:
    """The fields of an UPDATE message (RFC 4271, 4.1 and 4.3); None if the message is of another type.

    Returns:
        Withdrawn routes, path attributes, NLRI.

    Raises:
        MalformedError: A length runs past the record or the message.
    """
    length, kind, size = _MESSAGE.unpack_from(body.ljust(start + 21), start)  # a KEEPALIVE is 19 bytes long
    end = start + length
    if end > len(body) or length < 19:
        raise MalformedError("the BGP message is cut off")
    if kind != UPDATE:
        return None
    withdrawn = start + 21
    attributes = withdrawn + size + 2
    if attributes > end:
        raise MalformedError("the withdrawn routes run past the BGP message")
    nlri = attributes + _SHORT.unpack_from(body, attributes - 2)[0]
    if nlri > end:
        raise MalformedError("the path attributes run past the BGP message")
    return body[withdrawn : attributes - 2], body[attributes:nlri], body[nlri:end]


def _bgp4mp(body: bytes, seconds: int, kind: int, subtype: int) -> Record:
    """A record of type BGP4MP or BGP4MP_ET (RFC 6396, 3 and 4.4)."""
    time, start = float(seconds), 0
    if kind == BGP4MP_ET:
        time, start = seconds + _LONG.unpack_from(body)[0] / 1e6, 4
    header = (time, kind, subtype)
    width = MESSAGE_WIDTH.get(subtype)
    if width:
        peer, start = read_peer(body, start, width)
        parts = split_update(body, start)
        if parts is None:
            return Record(header)
        withdrawn, attributes, nlri = parts
        return UpdateRecord(header, peer, withdrawn, update_attributes(attributes, width), nlri)
    width = _STATE_WIDTH.get(subtype)
    if width:
        peer, start = read_peer(body, start, width)
        old, new = _STATES.unpack_from(body, start)
        return StateRecord(header, StateElement(peer, _state(old), _state(new)))
    return HiddenRecord(header, body, []) if subtype in ADD_PATH_WIDTH else Record(header)


def _state(number: int) -> str:
    return STATES[number] if number < len(STATES) else ""


def _table_dump(body: bytes, seconds: int, kind: int, subtype: int) -> Record:
    """A record of type TABLE_DUMP (RFC 6396, 4.2): one route."""
    if subtype not in _ADDRESS_BYTES:
        raise MalformedError(f"address family {subtype} of a table dump entry")
    form = _TABLE_DUMP_ENTRY[subtype]
    prefix, length, originated, address, asn, size = form.unpack_from(body)
    end = form.size + size
    version = 4 if subtype == 1 else 6
    if end > len(body) or length > 8 * len(prefix):
        raise MalformedError("the table dump entry does not add up")
    peer = _dump_peers.get((address, asn))
    if peer is None:
        peer = _dump_peers.keep((address, asn), (asn, address_text(address)), _PEER_SIZE)
    network = int.from_bytes(prefix, "big") & PREFIX_MASKS[version][length]
    route = (peer, originated, rib_attributes(body[form.size : end], 2, version))
    return RibRecord((float(seconds), kind, subtype), (version, network, length), [route])


def _unknown(body: bytes, seconds: int, kind: int, subtype: int) -> Record:
    raise MalformedError(f"MRT type {kind} is none that is read")


def _peer_index(body: bytes) -> list[Peer]:
    """The peers of a PEER_INDEX_TABLE (RFC 6396, 4.3.1)."""
    position = 8 + _SHORT.unpack_from(body, 4)[0]
    peers: list[Peer] = []
    for _ in range(_SHORT.unpack_from(body, position - 2)[0]):
        flags = body[position]
        address_at = position + 5
        asn_at = address_at + (16 if flags & 1 else 4)
        position = asn_at + (4 if flags & 2 else 2)
        if position > len(body):
            raise MalformedError("the peer index table is cut off")
        peers.append((int.from_bytes(body[asn_at:position], "big"), address_text(body[address_at:asn_at])))
    return peers


def _rib(body: bytes, header: Header, version: int, peers: list[Peer]) -> Record:
    """A RIB record of TABLE_DUMP_V2 (RFC 6396, 4.3.2): all routes to one prefix."""
    stop = 5 + (body[4] + 7) // 8
    prefixes = parse_prefixes(body[4:stop], version)
    if not prefixes:
        raise MalformedError("the prefix of a RIB record cannot be read")
    (count,) = _SHORT.unpack_from(body, stop)
    stop += 2
    routes: list[RibRoute] = []
    append, entry = routes.append, _RIB_ENTRY.unpack_from
    known = RIB_ATTRIBUTES[4, version].get
    for _ in range(count):
        index, originated, size = entry(body, stop)
        start = stop + 8
        stop = start + size
        if stop > len(body):
            raise MalformedError("a RIB entry runs past its record")
        if index >= len(peers):
            raise MalformedError(f"no peer {index} in the peer index table")
        block = body[start:stop]
        append((peers[index], originated, known(block) or rib_attributes(block, 4, version)))
    return RibRecord(header, (version, *prefixes[0]), routes)


class MrtFile:
    """The records of one file, read once from start to end.

    Args:
        path: The file.
        salvage: Give every record before the damage of a gzip file. Otherwise the ``CHUNK_BYTES`` that hold the damage
            are lost as a whole, and a file damaged within the first of them gives no record at all: the real library
            reads ahead like that.

    Attributes:
        damage: What is wrong with the compression, or the reading, of the file; None as far as it was read.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, path: str | PathLike[str], salvage: bool = False) -> None:
        self._file = Path(path).open("rb")  # noqa: SIM115 (closed by close(), and at the end of the records)
        magic = self._file.peek(3)[:3]
        self._stream: gzip.GzipFile | bz2.BZ2File | None = None
        if magic[:2] == b"\x1f\x8b":
            self._stream = gzip.GzipFile(fileobj=self._file)
        elif magic == b"BZh":
            self._stream = bz2.BZ2File(self._file)
        self._whole_chunks = isinstance(self._stream, gzip.GzipFile) and not salvage
        self.damage: str | None = None
        self._begun = False
        self._peers: list[Peer] = []
        self._records = self._read()

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        return next(self._records)

    def __enter__(self) -> "MrtFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; no record follows."""
        self._records.close()
        self._file.close()

    def _chunk(self) -> bytes:
        """The next decompressed bytes; nothing at the end of the file and at its damage."""
        if self.damage is not None:
            return b""
        try:
            if self._stream is None:
                chunk = self._file.read(CHUNK_BYTES)
            elif self._whole_chunks:
                chunk = self._stream.read(CHUNK_BYTES)
            else:
                chunk = self._stream.read1(CHUNK_BYTES)
        except (EOFError, OSError, zlib.error) as error:
            self.damage = str(error) or type(error).__name__
            return b""
        self._begun = self._begun or bool(chunk)
        return chunk

    def _fill(self, rest: bytes, wanted: int) -> bytes:
        """The bytes of ``rest`` and those behind it, at least ``wanted`` unless the file ends before."""
        parts, size = [rest], len(rest)
        while size < wanted and (chunk := self._chunk()):
            parts.append(chunk)
            size += len(chunk)
        return b"".join(parts)

    def _read(self) -> Generator[Record, None, None]:
        decoders = {
            BGP4MP: _bgp4mp,
            BGP4MP_ET: _bgp4mp,
            TABLE_DUMP: _table_dump,
            TABLE_DUMP_V2: self._table_dump_v2,
        }
        with self._file:
            data, position = b"", 0
            while True:
                if len(data) - position < 12:
                    data, position = self._fill(data[position:], 12), 0
                    if len(data) < 12:
                        if data or (self.damage and (self._begun or not self._whole_chunks)):
                            yield BrokenRecord(0, 0, self.damage or "the file ends inside a record's header")
                        return
                seconds, kind, subtype, length = _HEADER.unpack_from(data, position)
                if length + 12 > MAX_RECORD_BYTES:
                    yield BrokenRecord(kind, subtype, f"a record of {length} bytes")
                    return
                stop = position + 12 + length
                if stop > len(data):
                    data, position, stop = self._fill(data[position:], 12 + length), 0, 12 + length
                    if stop > len(data):
                        yield BrokenRecord(kind, subtype, self.damage or "the file ends inside a record")
                        return
                try:
                    record = decoders.get(kind, _unknown)(data[position + 12 : stop], seconds, kind, subtype)
                except MalformedError as error:
                    record = BrokenRecord(kind, subtype, str(error))
                except CUT_OFF:
                    record = BrokenRecord(kind, subtype, "the record is cut off")
                position = stop
                if position == len(data):
                    data, position = self._fill(b"", 1), 0
                    if record is not None:
                        record.last = not data and self.damage is None
                if record is not None:
                    yield record
                    if record.problem is not None:
                        return

    def _table_dump_v2(self, body: bytes, seconds: int, kind: int, subtype: int) -> Record | None:
        """A record of type TABLE_DUMP_V2 (RFC 6396, 4.3), or None for a peer index table."""
        header = (float(seconds), kind, subtype)
        if subtype == PEER_INDEX_TABLE:
            self._peers = _peer_index(body)
            return None
        if subtype in _UNICAST:
            return _rib(body, header, RIB_VERSION[subtype], self._peers)
        return HiddenRecord(header, body, self._peers)
