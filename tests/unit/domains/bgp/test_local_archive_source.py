"""A local archive in the broker's place: which names and places make one, and what a stream gets from it."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import mrt_writer as w
from seedtune.domains.bgp.sandboxed.pybgpstream import BGPStream, SourceError
from seedtune.domains.bgp.sandboxed.pybgpstream._archive import ArchiveFile, find_files, identify
from seedtune.domains.bgp.sandboxed.pybgpstream._log import MOST_ONCE, log_once

PLACES = {
    "rrc00/2016.11/updates.20161101.0000.gz": ("ris", "rrc00", "updates", 300),
    "rrc00/2016.11/bview.20161101.0000.gz": ("ris", "rrc00", "ribs", 0),
    "ris/rrc01/updates.20161101.0000.gz": ("ris", "rrc01", "updates", 300),
    "data.ris.ripe.net/rrc01/2016.11/updates.20161101.0000.gz": ("ris", "rrc01", "updates", 300),
    "bgpdata/2016.11/UPDATES/updates.20161101.0000.bz2": ("routeviews", "route-views2", "updates", 900),
    "bgpdata/2016.11/RIBS/rib.20161101.0000.bz2": ("routeviews", "route-views2", "ribs", 0),
    "routeviews/bgpdata/2016.11/RIBS/rib.20161101.0000.bz2": ("routeviews", "route-views2", "ribs", 0),
    "route-views.wide/bgpdata/2016.11/UPDATES/updates.20161101.0000.bz2": (
        *("routeviews", "route-views.wide", "updates"),
        900,
    ),
    "archive.routeviews.org/route-views.wide/bgpdata/2016.11/RIBS/rib.20161101.0000.bz2": (
        *("routeviews", "route-views.wide", "ribs"),
        0,
    ),
    "route-views2/updates.20161101.0000.bz2": ("routeviews", "route-views2", "updates", 900),
    "lab/bird/updates.20161101.0000": ("lab", "bird", "updates", 900),
}

OUTSIDE = [
    "updates.20161101.0000.gz",
    "ris/updates.20161101.0000.gz",
    "rrc00/updates.20161101.0000.gz.part",
    "rrc00/updates.20161301.0000.gz",
    "rrc00/updates.20161101.2460.gz",
    "rrc00/latest-update.gz",
    "rrc00/rib.20161101_pick.bz2",
]

START = datetime(2016, 11, 1, tzinfo=UTC)
T = int(START.timestamp())


@pytest.mark.parametrize("place", PLACES)
def test_names_and_places(place: str) -> None:
    file = identify(Path("/archive", place), Path("/archive"))
    assert file is not None
    assert (file.project, file.collector, file.type, file.span) == PLACES[place]
    assert file.time == T


@pytest.mark.parametrize("place", OUTSIDE)
def test_what_is_no_part_of_an_archive(place: str) -> None:
    assert identify(Path("/archive", place), Path("/archive")) is None


def test_ris_wrote_updates_every_quarter_of_an_hour_at_first() -> None:
    spans = [
        file.span
        for day in ("20030722.2345", "20030723.0000")
        if (file := identify(Path("/a/rrc00", f"updates.{day}.gz"), Path("/a")))
    ]
    assert spans == [900, 300]


def test_files_are_found_by_time_and_ribs_first(tmp_path: Path) -> None:
    for place in (*PLACES, *OUTSIDE):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    early = tmp_path / "rrc00" / "updates.20161031.2355.gz"
    early.touch()
    found = find_files(tmp_path)
    assert len(found) == len(PLACES) + 1
    assert found[0].path == early
    assert [file.type for file in found[1:]] == sorted(file.type for file in found[1:])


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        find_files(tmp_path / "nothing")


def test_overlap_is_inclusive() -> None:
    """RIS files end with records of the second in which the next file begins."""
    file = ArchiveFile(100, "updates", "ris", "rrc00", Path("x"), 300)
    assert file.overlaps(400, None)
    assert not file.overlaps(401, None)
    assert file.overlaps(0, 100)
    assert not file.overlaps(0, 99)


# --- streams ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two collectors over half an hour, each record a withdrawal that names its second; a RIB of each at the start."""
    for place, span in (("rrc00/2016.11", 300), ("route-views.wide/bgpdata/2016.11/UPDATES", 900)):
        (tmp_path / place).mkdir(parents=True)
        for begin in range(0, 1800, span):
            name = datetime.fromtimestamp(T + begin, UTC).strftime("updates.%Y%m%d.%H%M")
            seconds = range(begin, begin + span + 1, 60)
            w.write_mrt(tmp_path / place / name, [w.withdrawal(T + second, "10.0.0.0/8") for second in seconds])
    peers = w.peer_index(T, [w.PEER])
    route = w.rib(T, "10.0.0.0/8", [w.RibEntry(0, [w.origin(), w.as_path(1), w.next_hop("192.0.2.1")])])
    w.write_mrt(tmp_path / "rrc00/2016.11/bview.20161101.0000.gz", [peers, route], "gzip")
    (tmp_path / "route-views.wide/bgpdata/2016.11/RIBS").mkdir()
    w.write_mrt(tmp_path / "route-views.wide/bgpdata/2016.11/RIBS/rib.20161101.0000.bz2", [peers, route], "bzip2")
    monkeypatch.setenv("SEEDTUNE_BGP_ARCHIVE", str(tmp_path))
    log_once.cache_clear()
    return tmp_path


def read(**arguments: Any) -> list[tuple[str, str, str, int, int]]:
    """Project, collector, type, second and file of every valid record."""
    stream = BGPStream(**{"from_time": T, "until_time": T + 1800, **arguments})
    return [
        (record.project, record.collector, record.type, int(record.time) - T, record.dump_time - T)
        for record in stream.records()
        if record.status == "valid"
    ]


@pytest.mark.usefixtures("archive")
def test_collectors_are_merged_in_time_and_ribs_come_first() -> None:
    found = read()
    assert {(project, collector) for project, collector, *_ in found} == {
        ("ris", "rrc00"),
        ("routeviews", "route-views.wide"),
    }
    seconds = [second for *_, second, _ in found]
    assert seconds == sorted(seconds)
    assert [kind for _, _, kind, *_ in found[:3]] == ["rib", "rib", "update"]


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize(
    ("arguments", "collectors", "types"),
    [
        ({"project": "ris"}, {"rrc00"}, {"rib", "update"}),
        ({"projects": ["routeviews"]}, {"route-views.wide"}, {"rib", "update"}),
        ({"collector": "rrc00", "record_type": "updates"}, {"rrc00"}, {"update"}),
        ({"collectors": ["rrc00", "route-views.wide"], "record_type": "ribs"}, {"rrc00", "route-views.wide"}, {"rib"}),
        ({"filter": "project ris and type ribs"}, {"rrc00"}, {"rib"}),
        ({"project": "ris", "collector": "route-views.wide"}, set(), set()),
        ({"collectors": "rrc00"}, set(), set()),
    ],
)
def test_project_collector_and_type_are_honoured(
    arguments: dict[str, Any], collectors: set[str], types: set[str]
) -> None:
    found = read(**arguments)
    assert {collector for _, collector, *_ in found} == collectors
    assert {kind for _, _, kind, *_ in found} == types


@pytest.mark.usefixtures("archive")
def test_a_window_opens_only_the_files_that_reach_into_it() -> None:
    """Also the file that ends in the window's first second, as the real broker's answer does."""
    found = read(from_time=T + 600, until_time=T + 660, record_type="updates")
    assert sorted((second, collector, file) for _, collector, _, second, file in found) == [
        (600, "route-views.wide", 0),
        (600, "rrc00", 300),
        (600, "rrc00", 600),
        (660, "route-views.wide", 0),
        (660, "rrc00", 600),
    ]


@pytest.mark.usefixtures("archive")
def test_a_rib_is_served_at_its_instant() -> None:
    assert [second for *_, second, _ in read(record_type="ribs", until_time=T)] == [0, 0]
    assert read(record_type="ribs", from_time=T + 1) == []


def test_without_an_archive_the_broker_says_what_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEEDTUNE_BGP_ARCHIVE", raising=False)
    stream = BGPStream(from_time=T, until_time=T + 60)
    stream.set_data_interface_option("broker", "url", "http://192.0.2.1/v2")
    with pytest.raises(SourceError, match=r"'singlefile'.*'csvfile'.*--archive of 'seedtune bgp run'"):
        next(stream.records())


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize("project", ["ris-live", "routeviews-stream"])
def test_projects_that_exist_only_live_are_refused_outside_a_replay(project: str) -> None:
    with pytest.raises(SourceError, match="--replay max"):
        read(project=project)


def test_an_archive_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEEDTUNE_BGP_ARCHIVE", str(tmp_path / "nothing"))
    with pytest.raises(SourceError, match="nothing cannot be read"):
        read()


def test_a_file_that_vanished_ends_the_stream_with_an_error(archive: Path) -> None:
    records = BGPStream(from_time=T, until_time=T + 1800, collector="rrc00").records()
    next(records)
    (archive / "rrc00/2016.11/updates.20161101.0025").unlink()
    with pytest.raises(RuntimeError, match="Could not get next record"):
        list(records)


def test_links_that_cannot_be_followed_are_passed_over(
    archive: Path, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also one to a file that is there, but outside: no program in the sandbox can read it."""
    before = read(collector="rrc00")
    folder = archive / "rrc00/2016.11"
    outside = tmp_path_factory.mktemp("outside") / "updates"
    (folder / "updates.20161101.0005").rename(outside)
    (folder / "updates.20161101.0005").symlink_to(outside)
    (folder / "updates.20161101.0030").symlink_to(archive / "nothing")
    (folder / "updates.20161101.0035").symlink_to(folder / "updates.20161101.0000")
    os.mkfifo(folder / "updates.20161101.0040")
    assert read(collector="rrc00") == [row for row in before if row[-1] != 300 or row[2] == "rib"]
    reasons = {
        "updates.20161101.0005": "a link that leads out of the archive",
        "updates.20161101.0030": "a link that leads nowhere",
        "updates.20161101.0040": "no regular file",
    }
    assert sorted(capsys.readouterr().err.splitlines()) == [
        f"pybgpstream WARNING: {folder / name} is passed over: {reason}" for name, reason in reasons.items()
    ]


HAS = "it has route-views.wide of routeviews (ribs and updates), rrc00 of ris (ribs and updates)"
HOUR = {"from_time": "2019-01-01", "until_time": "2019-01-01 01:00:00"}
SPAN = "such files begin 2016-11-01 00:00:00 and end 2016-11-01 00:30:00"
IN_2019 = "from 2019-01-01 00:00:00 until 2019-01-01 01:00:00"


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (HOUR | {"collector": "rrc21", "record_type": "updates"}, f"no updates of rrc21 {IN_2019}; {HAS}"),
        (HOUR | {"collectors": "rc"}, f"no file of c or r {IN_2019}; {HAS}"),
        (
            HOUR | {"collector": "rrc00", "project": "ris"},
            f"no file of rrc00 of project ris {IN_2019}; {SPAN}",
        ),
        (HOUR, f"no file {IN_2019}; {SPAN}"),
    ],
)
def test_a_question_without_an_answer_says_what_the_archive_has(
    arguments: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert read(**arguments) == []
    assert capsys.readouterr().err == f"pybgpstream WARNING: the archive has {said}\n"


@pytest.mark.usefixtures("archive")
def test_a_program_that_asks_in_vain_again_and_again_is_told_a_hundred_times(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for day in range(150):
        read(from_time=day * 86400, until_time=day * 86400 + 60)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == MOST_ONCE + 1
    assert "left out" in lines[-1]


@pytest.mark.usefixtures("archive")
def test_an_answer_without_records_is_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    """A file is there; that nothing happened in these seconds is an answer."""
    assert read(from_time=T + 61, until_time=T + 62, record_type="updates") == []
    assert capsys.readouterr().err == ""
