"""What a local archive is said to hold."""

import gzip
import os
from pathlib import Path

import pytest

from fake_mirror import mrt_bytes, packed
from seedtune.domains.bgp.archive import Gap, Series, find_damage, list_archive, missing_between
from seedtune.errors import DataError

MIDNIGHT = 1_709_251_200
"""2024-03-01 00:00 UTC"""


def put(folder: Path, *names: str, content: bytes = b"x") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def only_series(folder: Path) -> Series:
    [series] = list_archive(folder).series
    return series


def test_series_are_told_apart_and_summed_up(tmp_path: Path) -> None:
    put(tmp_path, "rrc00/2024.03/updates.20240301.0005.gz", "rrc00/2024.03/updates.20240301.0000.gz", content=b"12")
    put(tmp_path, "rrc00/2024.03/bview.20240301.0000.gz")
    put(tmp_path, "bgpdata/2024.03/UPDATES/updates.20240301.0000.bz2")
    put(tmp_path, "route-views.sg/bgpdata/2024.03/RIBS/rib.20240301.0200.bz2")
    found = {(s.project, s.collector, s.type): s for s in list_archive(tmp_path).series}
    assert list(found) == [
        ("ris", "rrc00", "ribs"),
        ("ris", "rrc00", "updates"),
        ("routeviews", "route-views.sg", "ribs"),
        ("routeviews", "route-views2", "updates"),
    ]
    series = found["ris", "rrc00", "updates"]
    assert [file.time for file in series.files] == [MIDNIGHT, MIDNIGHT + 300]
    assert series.bytes == 4


def test_gaps_follow_the_projects_schedule(tmp_path: Path) -> None:
    """RIS writes every five minutes, RouteViews every fifteen."""
    clocks = ("0000", "0015", "0045")
    put(tmp_path / "ris", *(f"rrc00/updates.20240301.{clock}.gz" for clock in clocks))
    assert only_series(tmp_path / "ris").gaps == (
        Gap(MIDNIGHT + 300, MIDNIGHT + 600, 2),
        Gap(MIDNIGHT + 1200, MIDNIGHT + 2400, 5),
    )
    put(tmp_path / "rv", *(f"route-views.sg/bgpdata/updates.20240301.{clock}.bz2" for clock in clocks))
    assert only_series(tmp_path / "rv").gaps == (Gap(MIDNIGHT + 1800, MIDNIGHT + 1800, 1),)


def test_early_ris_files_cover_fifteen_minutes(tmp_path: Path) -> None:
    put(tmp_path, *(f"rrc00/2002.03/updates.20020301.{clock}.gz" for clock in ("0000", "0015", "0030")))
    assert only_series(tmp_path).gaps == ()


def test_ribs_have_no_gaps(tmp_path: Path) -> None:
    put(tmp_path, "rrc00/bview.20240301.0000.gz", "rrc00/bview.20240305.0000.gz")
    assert only_series(tmp_path).gaps == ()


@pytest.mark.parametrize(
    ("earlier", "later", "missing"),
    [(0, 900, []), (0, 1799, []), (0, 1800, [900]), (0, 2600, [900]), (0, 2700, [900, 1800]), (0, 0, [])],
)
def test_odd_minutes_make_no_gap(earlier: int, later: int, missing: list[int]) -> None:
    assert missing_between(earlier, later, 900) == missing


def test_what_is_not_understood_is_named(tmp_path: Path) -> None:
    put(tmp_path, "README", "rrc00/latest-bview.gz", "rrc00/updates.20240231.0000.gz", "updates.20240301.0000.gz")
    put(tmp_path, "rrc00/updates.20240301.0000.gz.part", ".fetch.lock", "rrc00/updates.20240301.0000.gz")
    (tmp_path / "rrc00/updates.20240301.0005.gz").symlink_to(tmp_path / "nowhere")
    listing = list_archive(tmp_path)
    assert [str(path) for path in listing.unknown] == [
        "README",
        "rrc00/latest-bview.gz",
        "rrc00/updates.20240231.0000.gz",
        "rrc00/updates.20240301.0005.gz",
        "updates.20240301.0000.gz",
    ]
    assert [str(path) for path in listing.unfinished] == ["rrc00/updates.20240301.0000.gz.part"]
    assert len(listing.series) == 1


def test_a_link_to_a_folder_is_named(tmp_path: Path) -> None:
    """What lies behind it is not served, which would otherwise look like data that was never there."""
    put(tmp_path, "disk/rrc01/updates.20240301.0000.gz", "archive/rrc00/updates.20240301.0000.gz")
    (tmp_path / "archive/rrc01").symlink_to(tmp_path / "disk/rrc01")
    listing = list_archive(tmp_path / "archive")
    assert [str(path) for path in listing.unknown] == ["rrc01"]
    assert [series.collector for series in listing.series] == ["rrc00"]


def test_a_link_to_a_file_outside_is_named(tmp_path: Path) -> None:
    """It cannot be served; a link within the archive can."""
    put(tmp_path, "disk/updates", "archive/rrc00/updates.20240301.0000.gz")
    (tmp_path / "archive/rrc00/updates.20240301.0005.gz").symlink_to(tmp_path / "disk/updates")
    (tmp_path / "archive/rrc00/updates.20240301.0010.gz").symlink_to("updates.20240301.0000.gz")
    listing = list_archive(tmp_path / "archive")
    assert [path.name for path in listing.unknown] == ["updates.20240301.0005.gz"]
    assert [file.time - MIDNIGHT for file in listing.series[0].files] == [0, 600]


def test_a_file_that_is_there_twice_is_named(tmp_path: Path) -> None:
    """A program would read its routes twice."""
    put(tmp_path, "rrc00/2024.03/updates.20240301.0000.gz", "ris/rrc00/updates.20240301.0000")
    series = only_series(tmp_path)
    assert [path.name for path in series.repeated] == ["updates.20240301.0000.gz"]


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: cannot be read: No such file"):
        list_archive(tmp_path / "nowhere")


def test_damage_is_found_and_counted(tmp_path: Path) -> None:
    sound = packed(".gz", mrt_bytes(MIDNIGHT, records=4))
    put(tmp_path, "rrc00/updates.20240301.0000.gz", content=sound)
    put(tmp_path, "rrc00/updates.20240301.0005.gz", content=packed(".gz", mrt_bytes(MIDNIGHT, records=4)[:-1]))
    put(tmp_path, "rrc00/updates.20240301.0010.gz", content=gzip.compress(os.urandom(1 << 16))[:-5000])
    put(tmp_path, "rrc00/updates.20240301.0015.gz", content=sound[:-40])
    put(tmp_path, "rrc00/updates.20240301.0020.gz", content=packed(".gz", b""))
    put(tmp_path, "rrc00/updates.20240301.0025.gz", content=b"")
    read: list[int] = []
    damaged = find_damage(only_series(tmp_path).files, read.append)
    assert {damage.path.name: damage.records for damage in damaged} == {
        "updates.20240301.0005.gz": 3,
        "updates.20240301.0010.gz": 0,
        "updates.20240301.0015.gz": 3,
        "updates.20240301.0025.gz": 0,
    }
    assert all(damage.problem for damage in damaged)
    assert read == [1, 2, 3, 4, 5, 6]
