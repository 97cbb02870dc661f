"""Moves the times of an MRT file (RFC 6396) by a constant; every other byte stays as the daemon wrote it."""

import gzip
import math
import struct
from collections.abc import Iterator

_HEADER = struct.Struct(">IHHI")
_TABLE_DUMP_V2 = 13
_RIB_UNICAST = (2, 4)


def shift(data: bytes, seconds: int, since: float = 0, until: float = math.inf) -> bytes:
    """Add ``seconds`` to the time of each record, and to the time at which a RIB's routes were learned.

    Args:
        data: An MRT file of BGP4MP, BGP4MP_ET and TABLE_DUMP_V2 records.
        seconds: What is added.
        since: Records from before this time, as the daemon wrote it (seconds since the epoch), are left out.
        until: Records from this time on are left out.

    Raises:
        ValueError: The last record is cut off.
    """
    parts: list[bytes] = []
    for time, kind, subtype, body in _records(data):
        if not since <= time < until:
            continue
        if kind == _TABLE_DUMP_V2 and subtype in _RIB_UNICAST:
            body = _shift_entries(body, seconds)
        parts.append(_HEADER.pack(time + seconds, kind, subtype, len(body)) + body)
    return b"".join(parts)


def pack(data: bytes) -> bytes:
    """The data in gzip, without a time stamp: the same data gives the same bytes."""
    return gzip.compress(data, mtime=0)


def _records(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    start = 0
    while start < len(data):
        time, kind, subtype, length = _HEADER.unpack_from(data, start)
        start += _HEADER.size + length
        if start > len(data):
            raise ValueError("the last record of the file is cut off")
        yield time, kind, subtype, data[start - length : start]


def _shift_entries(body: bytes, seconds: int) -> bytes:
    """The body of a RIB record: sequence number, prefix, entry count, entries (RFC 6396, 4.3.2 and 4.3.4)."""
    moved = bytearray(body)
    start = 5 + (body[4] + 7) // 8
    (count,) = struct.unpack_from(">H", body, start)
    start += 2
    for _ in range(count):
        originated, length = struct.unpack_from(">IH", body, start + 2)
        struct.pack_into(">I", moved, start + 2, originated + seconds)
        start += 8 + length
    return bytes(moved)
