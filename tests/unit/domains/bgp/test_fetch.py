"""Fetching from an archive: what is asked for, how it is gone on with, and that nothing broken gets its name."""

import os
import shutil
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from fake_mirror import LAST_MODIFIED, FakeMirror, mrt_bytes, packed
from seedtune.domains.bgp import fetch
from seedtune.domains.bgp.archive import list_archive
from seedtune.domains.bgp.download import ATTEMPTS, PATIENCE_S, USER_AGENT, Client, HostUnavailable
from seedtune.domains.bgp.fetch import Outcome, Plan, RemoteFile, choose_files, find_fault, make_plan, parse_index
from seedtune.errors import ConfigError, DataError, LimitReached, RunError

MIDNIGHT = 1_709_251_200
"""2024-03-01 00:00 UTC"""
HOUR = ("2024-03-01 00:00", "2024-03-01 00:59:59")
RRC00 = "/rrc00/2024.03/"


def updates(hour: int, minute: int) -> str:
    return f"updates.20240301.{hour:02}{minute:02}.gz"


def ris_hour(records: int = 3) -> dict[str, bytes]:
    """The twelve update files of the hour after midnight."""
    return {
        RRC00 + updates(0, minute): packed(".gz", mrt_bytes(MIDNIGHT + 60 * minute, records))
        for minute in range(0, 60, 5)
    }


FIRST = RRC00 + updates(0, 0)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def serve() -> Iterator[Callable[..., FakeMirror]]:
    """Start mirrors that end with the test."""
    started: list[FakeMirror] = []

    def start(*arguments: object, **settings: object) -> FakeMirror:
        started.append(FakeMirror(*arguments, **settings).__enter__())  # pyright: ignore[reportArgumentType]
        return started[-1]

    yield start
    for mirror in started:
        mirror.__exit__()


class Hurry(Client):
    """A client that notes how long it would have waited; its jitter is the largest there is."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        super().__init__(self.waits.append, lambda: 1.0)


def plan_for(
    mirror: FakeMirror, folder: Path, kinds: Sequence[fetch.Kind] = ("updates",), client: Client | None = None
) -> Plan:
    return make_plan(choose_files(["rrc00"], kinds, HOUR, mirror.url), folder, client or Hurry())


def fetch_all(
    mirror: FakeMirror, folder: Path, plan: Plan | None = None, client: Client | None = None, max_bytes: float = 1e9
) -> list[Outcome]:
    plan = plan or plan_for(mirror, folder)
    return list(fetch.fetch(plan, folder, client or Hurry(), max_bytes, lambda gained: None))


def one_file(mirror: FakeMirror, size: int | None = None) -> Plan:
    return Plan((RemoteFile(mirror.url + FIRST, FIRST[1:], size),), 0, ())


def in_folder(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != ".fetch.lock")


# What is asked for


@pytest.mark.parametrize("collector", ["rrc00", "route-views2", "route-views.sg", "amsix.ams"])
@pytest.mark.parametrize("kind", ["updates", "ribs"])
def test_the_archive_recognises_what_is_fetched(collector: str, kind: fetch.Kind, tmp_path: Path) -> None:
    """Project, collector, type and time follow from where a file is put, so that programs are served from it."""
    [wanted] = choose_files([collector], [kind], HOUR)
    file = tmp_path / wanted.path(MIDNIGHT)
    file.parent.mkdir(parents=True)
    file.touch()
    [series] = list_archive(tmp_path).series
    assert (series.project, series.collector, series.type) == (wanted.project.name, collector, kind)
    assert series.files[0].time == MIDNIGHT


def test_public_addresses() -> None:
    def address(collector: str, kind: fetch.Kind) -> str:
        [wanted] = choose_files([collector], [kind], HOUR)
        return wanted.url + wanted.path(MIDNIGHT)

    assert address("rrc00", "ribs") == "https://data.ris.ripe.net/rrc00/2024.03/bview.20240301.0000.gz"
    routeviews = "https://archive.routeviews.org/"
    assert address("route-views2", "updates") == routeviews + "bgpdata/2024.03/UPDATES/updates.20240301.0000.bz2"
    assert address("route-views.sg", "ribs") == routeviews + "route-views.sg/bgpdata/2024.03/RIBS/rib.20240301.0000.bz2"


def test_files_that_cover_the_window(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    """From the file in which the window begins to the one that begins with its last second; of RIBs, those inside."""
    files = ris_hour() | {RRC00 + name: b"" for name in ("bview.20240301.0000.gz", "bview.20240301.0800.gz")}
    mirror = serve(files)

    def names(start: str, until: str) -> list[str]:
        wanted = choose_files(
            ["rrc00"], ["ribs", "updates"], (f"2024-03-01 {start}", f"2024-03-01 {until}"), mirror.url
        )
        return [Path(file.path).name for file in make_plan(wanted, tmp_path, Hurry()).files]

    assert names("00:07", "00:15") == [updates(0, 5), updates(0, 10), updates(0, 15)]
    assert names("00:00", "00:04:59") == ["bview.20240301.0000.gz", updates(0, 0)]
    assert names("00:30", "08:00")[0] == "bview.20240301.0800.gz"


def test_one_index_page_tells_of_both_types(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve(ris_hour())
    plan = plan_for(mirror, tmp_path, ("updates", "ribs"))
    assert [path for _, path, _ in mirror.requests] == [RRC00]
    assert len(plan.files) == 12
    real = sum(map(len, ris_hour().values()))
    assert plan.size == pytest.approx(real, rel=0.05)


def test_what_the_schedule_promises_and_the_archive_lacks_is_named(
    serve: Callable[..., FakeMirror], tmp_path: Path
) -> None:
    files = ris_hour()
    for minute in (0, 25, 30, 55):
        del files[RRC00 + updates(0, minute)]
    mirror = serve(files)
    plan = plan_for(mirror, tmp_path, ("updates", "ribs"))
    lacking = [*(updates(0, minute) for minute in (0, 25, 30, 55)), "bview.20240301.0000.gz"]
    assert list(plan.missing) == [mirror.url + RRC00 + name for name in lacking]


def test_names_that_keep_to_no_schedule_are_found(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    """Early RouteViews dumps begin at odd minutes."""
    folder = "/bgpdata/2006.11/RIBS/"
    odd = [folder + f"rib.20061101.{clock}.bz2" for clock in ("0014", "0215", "0416")]
    mirror = serve(dict.fromkeys(odd, b""))
    window = ("2006-11-01 00:00", "2006-11-01 05:00")
    plan = make_plan(choose_files(["route-views2"], ["ribs"], window, mirror.url), tmp_path, Hurry())
    assert ["/" + file.path for file in plan.files] == odd
    assert plan.missing == ()


def test_a_mirror_without_index_pages_is_asked_for_each_name(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    files = ris_hour()
    del files[RRC00 + updates(0, 20)]
    mirror = serve(files, index=False)
    plan = plan_for(mirror, tmp_path)
    assert len(mirror.paths("HEAD")) == 12
    assert plan.size == sum(map(len, files.values()))
    assert plan.missing == (mirror.url + RRC00 + updates(0, 20),)


def test_an_empty_month_is_not_asked_through(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve({})
    window = ("2024-03-01", "2024-03-02")
    plan = make_plan(choose_files(["rrc00"], ["updates"], window, mirror.url), tmp_path, Hurry())
    assert len(mirror.paths("HEAD")) == 12
    assert len(plan.missing) == 289


def test_a_redirected_head_stays_a_head(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    """As a GET it would begin to download the file."""
    real = serve(ris_hour())
    front = serve({}, redirects={path: real.url + path for path in ris_hour()})
    assert plan_for(front, tmp_path).size == sum(map(len, ris_hour().values()))
    assert real.paths("GET") == []


def test_no_redirect_leads_to_this_machines_files(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    secret = tmp_path / "secret.gz"
    secret.write_bytes(packed(".gz", mrt_bytes(MIDNIGHT)))
    mirror = serve({}, redirects={FIRST: secret.as_uri()})
    [outcome] = fetch_all(mirror, tmp_path / "archive", one_file(mirror))
    assert outcome.state == "failed"
    assert in_folder(tmp_path / "archive") == []


@pytest.mark.parametrize(
    ("row", "size"),
    [
        ('<td><a href="{0}">{0}</a></td><td align="right">2022-11-28 22:25  </td><td align="right">6.4M</td>', 6710886),
        ('<a href="{0}">{0}</a>         28-Nov-2022 22:25             6710886', 6710886),
        ('<img src="x.gif"> <A HREF="/rrc00/2022.11/{0}">updates.2022..&gt;</A> 2022-11-28 22:25  512 ', 512),
        ("<li><a href='https://mirror.example/rrc00/{0}'>{0}</a></li>", None),
        ('<a href="{0}">{0}</a></td><td>2022-11-28 22:25</td><td> - </td>', None),
    ],
    ids=["table", "plain", "cut name", "no size", "dash"],
)
def test_index_pages_of_common_servers(row: str, size: int | None) -> None:
    name = "updates.20221128.2220.gz"
    head = '<h1>Index</h1><a href="?C=N;O=A">Name</a> <a href="/rrc00/">Parent Directory</a>  -  \n'
    other = '\n<a href="updates.20221128.2220.gz.md5">x</a> 33\n<a href="latest-update.gz">x</a> 1.0M\n'
    assert parse_index(head + row.format(name) + other) == {name: size}


# How it is fetched


def test_files_come_whole_under_their_names(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve(ris_hour())
    outcomes = fetch_all(mirror, tmp_path)
    assert {outcome.state for outcome in outcomes} == {"fetched"}
    assert {"/" + str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*.gz")} == ris_hour()
    assert mirror.agents == {USER_AGENT}
    assert "seedtune" in USER_AGENT


def test_what_is_there_is_not_asked_for_again(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve(ris_hour())
    fetch_all(mirror, tmp_path)
    (tmp_path / RRC00[1:] / updates(0, 35)).unlink()
    before = len(mirror.paths())
    plan = plan_for(mirror, tmp_path)
    assert plan.here == 11
    fetch_all(mirror, tmp_path, plan)
    assert mirror.paths()[before:] == [RRC00 + updates(0, 35)]


def test_a_file_that_is_here_is_not_missing_over_there(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    fetch_all(serve(ris_hour()), tmp_path)
    files = ris_hour()
    del files[FIRST]
    plan = plan_for(serve(files), tmp_path)
    assert (plan.files, plan.missing, plan.here) == ((), (), 12)


def test_a_cut_off_file_is_gone_on_with(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve(ris_hour(), faults={FIRST: ["cut"]})
    [outcome] = fetch_all(mirror, tmp_path, one_file(mirror))
    content = ris_hour()[FIRST]
    assert outcome.state == "fetched"
    assert (tmp_path / FIRST[1:]).read_bytes() == content
    assert mirror.requests[1] == ("GET", FIRST, f"bytes={len(content) // 2}-")


def test_a_later_run_goes_on_with_a_part(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve(ris_hour(), faults={FIRST: ["cut", "403"]})
    [outcome] = fetch_all(mirror, tmp_path, one_file(mirror))
    assert (outcome.state, outcome.detail) == ("failed", "403 Forbidden")
    assert in_folder(tmp_path) == [updates(0, 0) + ".part"]
    fetch_all(mirror, tmp_path, one_file(mirror))
    content = ris_hour()[FIRST]
    assert mirror.requests[-1] == ("GET", FIRST, f"bytes={len(content) // 2}-")
    assert (tmp_path / FIRST[1:]).read_bytes() == content


@pytest.mark.parametrize("case", ["changed over there", "left by a killed process"])
def test_a_part_of_another_file_is_not_gone_on_with(
    case: str, serve: Callable[..., FakeMirror], tmp_path: Path
) -> None:
    """The part's time is not the one that the server names, so the server sends the file from its beginning."""
    part = tmp_path / (FIRST[1:] + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"something else")
    mirror = serve(ris_hour())
    if case == "changed over there":
        os.utime(part, (LAST_MODIFIED, LAST_MODIFIED))
        mirror.modified = LAST_MODIFIED + 3600
    [outcome] = fetch_all(mirror, tmp_path, one_file(mirror))
    assert outcome.state == "fetched"
    assert (tmp_path / FIRST[1:]).read_bytes() == ris_hour()[FIRST]


@pytest.mark.parametrize("longer_by", [0, 100])
def test_a_part_as_long_as_the_file_or_longer_starts_again(
    longer_by: int, serve: Callable[..., FakeMirror], tmp_path: Path
) -> None:
    part = tmp_path / (FIRST[1:] + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(len(ris_hour()[FIRST]) + longer_by))
    os.utime(part, (LAST_MODIFIED, LAST_MODIFIED))
    mirror = serve(ris_hour())
    [outcome] = fetch_all(mirror, tmp_path, one_file(mirror))
    assert outcome.state == "fetched"
    assert (tmp_path / FIRST[1:]).read_bytes() == ris_hour()[FIRST]


def test_a_server_without_parts_sends_all_again(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve(ris_hour(), faults={FIRST: ["cut", "cut"]}, ranges=False)
    [outcome] = fetch_all(mirror, tmp_path, one_file(mirror))
    assert outcome.state == "fetched"
    assert (tmp_path / FIRST[1:]).read_bytes() == ris_hour()[FIRST]


def test_a_wrong_part_is_not_glued_on(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve(ris_hour(), faults={FIRST: ["cut", "astray"]})
    [outcome] = fetch_all(mirror, tmp_path, one_file(mirror))
    assert outcome.state == "fetched"
    assert mirror.requests[2] == ("GET", FIRST, "")
    assert (tmp_path / FIRST[1:]).read_bytes() == ris_hour()[FIRST]


def test_a_body_that_is_always_too_short_is_given_up(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve(ris_hour(), faults={FIRST: ["cut"] * 99}, ranges=False)
    first, *others = fetch_all(mirror, tmp_path)
    assert first.state == "failed"
    assert "cut off after" in first.detail
    assert mirror.paths().count(FIRST) == ATTEMPTS
    assert {outcome.state for outcome in others} == {"fetched"}
    assert updates(0, 0) not in in_folder(tmp_path)


def test_progress_starts_the_count_of_failures_again(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    """A large file over a bad line: each cut leaves half of the rest."""
    content = packed(".gz", mrt_bytes(MIDNIGHT)) + packed(".gz", os.urandom(1 << 23))
    mirror = serve({FIRST: content}, faults={FIRST: ["cut"] * (ATTEMPTS + 1)})
    [outcome] = fetch_all(mirror, tmp_path, one_file(mirror))
    assert outcome.state == "fetched", outcome.detail


@pytest.mark.parametrize("fault", ["corrupt", "page"])
def test_a_file_that_is_not_sound_is_fetched_once_more(
    fault: str, serve: Callable[..., FakeMirror], tmp_path: Path
) -> None:
    mirror = serve(ris_hour(), faults={FIRST: [fault]})
    [outcome] = fetch_all(mirror, tmp_path, one_file(mirror))
    assert outcome.state == "fetched"
    assert (tmp_path / FIRST[1:]).read_bytes() == ris_hour()[FIRST]


@pytest.mark.parametrize("fault", ["corrupt", "page"])
def test_what_stays_unsound_is_not_kept(fault: str, serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve(ris_hour(), faults={FIRST: [fault] * 99})
    [outcome] = fetch_all(mirror, tmp_path, one_file(mirror))
    assert outcome.state == "failed"
    assert "does not unpack" in outcome.detail
    assert in_folder(tmp_path) == []


def test_an_absent_file_does_not_stop_the_rest(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve(ris_hour(), faults={FIRST: ["404"]})
    outcomes = fetch_all(mirror, tmp_path)
    assert [outcome.state for outcome in outcomes] == ["missing"] + ["fetched"] * 11


# How patiently


@pytest.mark.parametrize("status", ["429", "503"])
def test_a_server_that_asks_to_wait_is_waited_for(
    status: str, serve: Callable[..., FakeMirror], tmp_path: Path
) -> None:
    mirror = serve(ris_hour(), faults={FIRST: [f"{status}:7", f"{status}:11"]})
    client = Hurry()
    [outcome] = fetch_all(mirror, tmp_path, one_file(mirror), client)
    assert outcome.state == "fetched"
    long = [wait for wait in client.waits if wait >= 1]
    assert long[0] >= 7
    assert long[1] >= 11


def test_a_date_in_retry_after_is_understood(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve(ris_hour(), faults={FIRST: ["429:Fri, 01 Mar 2999 00:00:00 GMT"]})
    [outcome] = fetch_all(mirror, tmp_path, one_file(mirror))
    assert "asks to wait" in outcome.detail


def test_waits_grow_and_requests_are_paced(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve(ris_hour(), faults={FIRST: ["500"] * 3})
    client = Hurry()
    fetch_all(mirror, tmp_path, one_file(mirror), client)
    assert client.waits == [0.1, 2.0, 0.1, 4.0, 0.1, 8.0, 0.1]


def test_a_server_that_keeps_refusing_is_left_alone(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve(ris_hour(), faults={RRC00 + updates(0, 5): ["503"] * 99})
    outcomes = fetch_all(mirror, tmp_path)
    assert [outcome.state for outcome in outcomes] == ["fetched"] + ["failed"] * 11
    assert outcomes[2].detail.startswith("not tried: 127.0.0.1")
    assert len(mirror.paths()) == 1 + ATTEMPTS


def test_a_server_that_asks_for_too_long_a_wait_is_left_alone(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve(ris_hour(), faults={FIRST: [f"429:{PATIENCE_S + 1:.0f}"]})
    outcomes = fetch_all(mirror, tmp_path)
    assert {outcome.state for outcome in outcomes} == {"failed"}
    assert len(mirror.paths()) == 1


def test_an_unreachable_host_is_named(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve({})
    mirror.__exit__()
    with pytest.raises(HostUnavailable, match=r"127\.0\.0\.1:\d+: .*refused"):
        plan_for(mirror, tmp_path)


# Limits


def test_more_than_was_agreed_to_is_not_begun(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve(ris_hour())
    plan = plan_for(mirror, tmp_path)
    with pytest.raises(LimitReached, match=r"12 files .* --max-gb"):
        fetch_all(mirror, tmp_path, plan, max_bytes=plan.size - 1)
    assert mirror.paths() == []


def test_more_than_was_announced_is_broken_off(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    """An index page without sizes, or one that is out of date; what came is kept."""
    mirror = serve(ris_hour())
    with pytest.raises(LimitReached):
        fetch_all(mirror, tmp_path, one_file(mirror), max_bytes=100)
    assert in_folder(tmp_path) == [updates(0, 0) + ".part"]


def test_more_than_the_disk_holds_is_not_begun(
    serve: Callable[..., FakeMirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = serve(ris_hour())
    plan = plan_for(mirror, tmp_path)
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(DataError, match="do not fit on this disk"):
        fetch_all(mirror, tmp_path, plan)
    assert mirror.paths() == []


def test_two_do_not_fetch_into_one_archive(serve: Callable[..., FakeMirror], tmp_path: Path) -> None:
    mirror = serve(ris_hour())
    first = fetch.fetch(plan_for(mirror, tmp_path), tmp_path, Hurry(), 1e9, lambda gained: None)
    assert next(first).state == "fetched"
    with pytest.raises(RunError, match="another seedtune"):
        fetch_all(mirror, tmp_path)
    assert {outcome.state for outcome in first} == {"fetched"}


# What is sound


RECORD = mrt_bytes(MIDNIGHT, records=1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (packed(".gz", RECORD), ""),
        (packed(".gz", b""), ""),
        (packed(".gz", RECORD)[:-9], "does not unpack"),
        (packed(".gz", RECORD) + b"more", "does not unpack"),
        (b"", "is empty"),
        (RECORD, "does not unpack"),
        (packed(".bz2", RECORD), "does not unpack"),
        (packed(".gz", RECORD[:11]), "11 bytes"),
        (packed(".gz", RECORD[:-1]), "does not begin with an MRT record"),
        (packed(".gz", struct.pack("!IHHI", MIDNIGHT, 11, 0, 0)), "type 11"),
        (packed(".gz", b"<html>please log in</html>"), "does not begin with an MRT record"),
    ],
    ids=[
        "sound",
        "nothing inside",
        "cut",
        "trailing",
        "empty",
        "unpacked",
        "bz2",
        "short",
        "record cut",
        "ospf",
        "html",
    ],
)
def test_what_is_no_mrt_file_is_told(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    fault = find_fault(path, ".gz")
    assert words in fault
    assert bool(words) == bool(fault)


def test_bz2_is_checked_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(packed(".bz2", RECORD))
    assert find_fault(path, ".bz2") == ""
    path.write_bytes(packed(".bz2", RECORD)[:-3])
    assert "does not unpack" in find_fault(path, ".bz2")


# What a user writes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-03-01 00:00", MIDNIGHT),
        ("2024-03-01", MIDNIGHT),
        ("20240301", MIDNIGHT),
        ("2024-03-01T00:00:00Z", MIDNIGHT),
        ("2024-03-01 01:00+01:00", MIDNIGHT),
        (str(MIDNIGHT), MIDNIGHT),
    ],
)
def test_times(text: str, seconds: int) -> None:
    assert fetch.parse_time(text) == seconds


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"collectors": ["rcc00"]}, r"no collector 'rcc00'; did you mean 'rrc00'\?"),
        ({"collectors": ["sg.routeviews"]}, "no collector 'sg.routeviews'"),
        ({"window": ("yesterday", "2024-03-01")}, r"'yesterday' is no time: write '2024-03-01 00:00'"),
        ({"window": ("2024-03-02", "2024-03-01")}, "before its end"),
        ({"window": ("1985-01-01", "2024-03-01")}, "after October 1999"),
        ({"window": ("2999-01-01", "2999-01-02")}, "15 minutes ago"),
        ({"mirror": "ftp://mirror.example/"}, r"--mirror ftp://mirror\.example/: give an address"),
        ({"mirror": "mirror.example"}, "--mirror mirror.example: give an address"),
    ],
)
def test_wrong_wishes_show_the_right_form(change: dict[str, object], words: str) -> None:
    wish: dict[str, object] = {"collectors": ["rrc00"], "kinds": ["updates"], "window": HOUR} | change
    with pytest.raises(ConfigError, match=words):
        choose_files(**wish)  # pyright: ignore[reportArgumentType]


def test_what_cannot_be_written_yet_is_not_missing() -> None:
    [wanted] = choose_files(["route-views2"], ["updates"], ("2024-03-01", "2999-01-01"))
    assert wanted.scheduled()[-1] + 900 <= time.time()
