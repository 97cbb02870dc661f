"""The cases that the programs of the BGP seed tasks must get right: input as rows, output as text.

A case names its program by a digest, gives the files it reads, and says what it prints. The program stands in a task's
answer, or in its input: a faulty one that the answer mends, or a snippet whose output it tells. ``before`` and
``after`` complete a snippet; ``error`` is part of what a faulty program writes to standard error. Files are text, or
rows that become real MRT records:

    ["A", time, peer ASN, peer address, [prefixes], AS path, [communities], next hop]    one UPDATE that announces
    ["W", time, peer ASN, peer address, [prefixes]]                                      one UPDATE that withdraws
    ["S", time, peer ASN, peer address, old state, new state]                            a change of the session's state
    ["R", time, peer ASN, peer address, [prefix], AS path, [communities], next hop]      a route of a RIB
    ["K", time]                                                                          a KEEPALIVE
    ["cut"]                                                                              a record that breaks off
"""

import hashlib
import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import mrt_writer as mrt
from conftest import ROOT
from seedtune.records import SeedTask

CASES = ROOT / "tests" / "data" / "bgp" / "seed_cases.jsonl"
_FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)
_LABEL = re.compile(r"^(?:Code|program):\n", re.MULTILINE)

Row = list[Any]


def programs_of(seed: SeedTask) -> list[str]:
    """The Python programs in a seed task's answer, and its input from the code on; some inputs hold no code."""
    return [*_FENCE.findall(seed.output), _LABEL.split(seed.input)[-1]]


def digest(program: str) -> str:
    return hashlib.sha256(program.encode()).hexdigest()[:12]


def read_cases() -> list[dict[str, Any]]:
    return [json.loads(line) for line in CASES.read_text().splitlines()]


def write_files(case: dict[str, Any], folder: Path) -> dict[str, Path]:
    """Write a case's files below a folder; returns them by the name that the program uses."""
    written: dict[str, Path] = {}
    for name, content in case["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        else:
            compression = {".gz": "gzip", ".bz2": "bzip2"}.get(path.suffix)
            mrt.write_mrt(path, mrt_records(content), compression)  # pyright: ignore[reportArgumentType]
        written[name] = path
    return written


def mrt_records(rows: Sequence[Row]) -> list[bytes]:
    """The MRT records of some rows; RIB entries get the peer index table they need, and share a record by prefix."""
    routes = [row for row in rows if row[0] == "R"]
    peers = list(dict.fromkeys((row[2], row[3]) for row in routes))
    records = [mrt.peer_index(routes[0][1], [mrt.Peer(*peer) for peer in peers])] if routes else []
    waiting: list[Row] = []
    for row in [*rows, None]:
        if waiting and (row is None or row[0] != "R" or row[4] != waiting[0][4]):
            entries = [mrt.RibEntry(peers.index((one[2], one[3])), _attributes(one, rib=True)) for one in waiting]
            records.append(mrt.rib(waiting[0][1], waiting[0][4][0], entries))
            waiting = []
        if row is not None:
            waiting += [row] if row[0] == "R" else []
            records += [] if row[0] == "R" else [_record(row)]
    return records


def _record(row: Row) -> bytes:
    kind = row[0]
    if kind == "cut":
        return mrt.keepalive(0)[:-5]
    if kind == "K":
        return mrt.keepalive(row[1])
    time, peer = row[1], mrt.Peer(row[2], row[3])
    extended = time != int(time)
    update = partial(mrt.update, time, peer, extended=extended)
    if kind == "S":
        return mrt.state_change(time, getattr(mrt, row[4]), getattr(mrt, row[5]), peer, extended=extended)
    ipv6 = ":" in row[4][0]
    if kind == "W":
        return update(attributes=[mrt.mp_unreach(row[4])]) if ipv6 else update(withdraw=row[4])
    return update(announce=[] if ipv6 else row[4], attributes=_attributes(row, rib=False))


def _attributes(row: Row, *, rib: bool) -> list[bytes]:
    prefixes, path, communities, next_hop = row[4:8]
    attributes = [mrt.origin(), mrt.as_path(*_hops(path))]
    if ":" in prefixes[0] and not rib:
        attributes.append(mrt.mp_reach(prefixes, next_hop))
    elif ":" in next_hop:
        attributes.append(mrt.mp_next_hop(next_hop))
    else:
        attributes.append(mrt.next_hop(next_hop))
    return [*attributes, mrt.communities(*communities)] if communities else attributes


def _hops(path: str) -> list[mrt.Segment]:
    """The path's AS numbers and sets, sets in the order written."""
    return [
        (1, [int(asn) for asn in hop.strip("{}").split(",")]) if hop.startswith("{") else int(hop)
        for hop in path.split()
    ]
