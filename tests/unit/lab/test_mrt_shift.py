"""Shifting the times of an MRT file changes times and nothing else."""

import gzip
from pathlib import Path

import pytest
from lab.mrt_shift import pack, shift

import mrt_writer as w
from seedtune.domains.bgp.mrt import read_mrt

PATH = [w.as_path(64496, 64497), w.next_hop("192.0.2.1")]


def records(data: bytes, folder: Path) -> list[object]:
    (folder / "file.mrt").write_bytes(data)
    return list(read_mrt(folder / "file.mrt"))


def updates(offset: int) -> bytes:
    return b"".join(
        [
            w.update(1000 + offset, announce=["10.0.0.0/8"], attributes=PATH),
            w.update(1001.25 + offset, withdraw=["10.0.0.0/8"], extended=True),
            w.state_change(1002 + offset, 6, 1),
        ]
    )


def table(offset: int) -> bytes:
    entries = [w.RibEntry(0, PATH, originated=990 + offset), w.RibEntry(1, PATH, originated=995 + offset)]
    peers = [w.PEER, w.PEER]
    return w.peer_index(1000 + offset, peers) + b"".join(
        w.rib(1000 + offset, prefix, entries) for prefix in ("0.0.0.0/0", "10.1.0.0/22", "2001:db8::/33")
    )


@pytest.mark.parametrize("make", [updates, table])
@pytest.mark.parametrize("seconds", [0, 1_700_000_000, -500])
def test_a_shifted_file_is_the_file_written_later(make: object, seconds: int) -> None:
    assert callable(make)
    assert shift(make(0), seconds) == make(seconds)


def test_fractions_of_a_second_stay(tmp_path: Path) -> None:
    times = [record.time for record in records(shift(updates(0), 100), tmp_path)]  # pyright: ignore[reportAttributeAccessIssue]
    assert times == [1100, 1101.25, 1102]


def test_what_came_before_the_start_or_after_the_end_is_left_out() -> None:
    assert shift(updates(0), 0, 1001, 1002) == w.update(1001.25, withdraw=["10.0.0.0/8"], extended=True)


def test_a_cut_off_file_is_refused() -> None:
    with pytest.raises(ValueError, match="cut off"):
        shift(updates(0)[:-1], 0)


def test_packing_gives_the_same_bytes_each_time() -> None:
    packed = pack(updates(0))
    assert packed[4:8] == b"\0\0\0\0"
    assert gzip.decompress(packed) == updates(0)
