"""Running a program: what it finds in its working folder, which PyBGPStream it gets, what is said of it."""

from pathlib import Path

import pytest

from fake_mirror import mrt_bytes, packed
from seedtune.domains.bgp.execution import BgpRun, find_backend, run_program
from seedtune.errors import ConfigError
from seedtune.sandbox import Level, Limits
from seedtune.sandbox.levels import problem_with

MIDNIGHT = 1_709_251_200
"""2024-03-01 00:00 UTC"""

COUNT_FILE = """
import sys
import pybgpstream
for path in sys.argv[1:]:
    stream = pybgpstream.BGPStream(data_interface="singlefile")
    stream.set_data_interface_option("singlefile", "upd-file", path)
    print(path, sum(1 for elem in stream))
"""

COUNT_BROKER = """
import sys
import pybgpstream
stream = pybgpstream.BGPStream("2024-03-01 00:00", "2024-03-01 00:59")
found = {}
for elem in stream:
    key = (elem.project, elem.collector)
    found[key] = found.get(key, 0) + 1
print(*(f"{project}/{collector}: {count}" for (project, collector), count in sorted(found.items())))
"""


@pytest.fixture(scope="module", params=["bubblewrap", "landlock"])
def level(request: pytest.FixtureRequest) -> Level:
    """Each that this machine offers: they lay out a program's files in different ways."""
    if problem := problem_with(request.param):
        pytest.skip(problem)
    return request.param


def put(path: Path, records: int = 1, prefixes: int = 10) -> Path:
    """An updates file with so many elements."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed(path.name, mrt_bytes(MIDNIGHT, records, prefixes)))
    return path


def printed(done: BgpRun) -> str:
    assert done.result.ok, done.result.stderr
    return done.result.stdout


def test_a_file_is_found_by_its_name(tmp_path: Path, level: Level) -> None:
    path = put(tmp_path / "deep/updates.gz", prefixes=7)
    assert printed(run_program(COUNT_FILE, mrt=[path], level=level, arguments=["updates.gz"])) == "updates.gz 7\n"


def test_a_file_is_found_by_the_relative_path_it_was_given_by(
    tmp_path: Path, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a/updates.gz", prefixes=7)
    put(tmp_path / "b/updates.gz", prefixes=9)
    monkeypatch.chdir(tmp_path)
    names = ["a/updates.gz", "b/updates.gz"]
    done = run_program(COUNT_FILE, mrt=[Path(name) for name in names], level=level, arguments=names)
    assert printed(done) == "a/updates.gz 7\nb/updates.gz 9\n"


def test_files_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    paths = [put(tmp_path / "a/updates.gz"), put(tmp_path / "b/updates.gz")]
    with pytest.raises(ConfigError, match="2 files have this name; give them by relative paths"):
        run_program("", mrt=paths)


def test_the_same_file_twice_is_no_riddle(tmp_path: Path, level: Level) -> None:
    path = put(tmp_path / "updates.gz")
    assert printed(run_program(COUNT_FILE, mrt=[path, path], level=level, arguments=[path.name])) == "updates.gz 10\n"


def test_nothing_beside_the_given_files_is_there(tmp_path: Path, level: Level) -> None:
    path = put(tmp_path / "updates.gz")
    put(tmp_path / "other.gz")
    done = run_program("import os; print(sorted(os.listdir()))", mrt=[path], level=level)
    assert printed(done) == "['main.py', 'updates.gz']\n"


@pytest.mark.parametrize("name", ["mrt", "archive"])
def test_what_does_not_exist_is_named(name: str, tmp_path: Path) -> None:
    given = {"mrt": {"mrt": [tmp_path / "gone"]}, "archive": {"archive": tmp_path / "gone"}}[name]
    with pytest.raises(ConfigError, match=r"gone: there is no such"):
        run_program("", **given)  # pyright: ignore[reportArgumentType]


def test_a_folder_is_no_mrt_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder; .* --archive"):
        run_program("", mrt=[tmp_path])


def test_an_archive_that_holds_nothing_is_refused(tmp_path: Path) -> None:
    """With it every program would look like one that found nothing."""
    put(tmp_path / "updates.gz")
    with pytest.raises(ConfigError, match=r"no file of an archive; they are named like rrc00/"):
        run_program(COUNT_BROKER, archive=tmp_path)


def test_an_archive_stands_in_for_the_broker(tmp_path: Path, level: Level) -> None:
    put(tmp_path / "rrc00/2024.03/updates.20240301.0000.gz", prefixes=7)
    put(tmp_path / "route-views.sg/bgpdata/2024.03/UPDATES/updates.20240301.0000.bz2", prefixes=9)
    done = run_program(COUNT_BROKER, archive=tmp_path, level=level)
    assert printed(done) == "ris/rrc00: 7 routeviews/route-views.sg: 9\n"


def test_files_in_collectors_folders_form_an_archive(tmp_path: Path, level: Level) -> None:
    """Folders that are no public collector's, above or instead of it, name nothing."""
    given = [
        put(tmp_path / "data/rrc00/2024.03/updates.20240301.0000.gz", prefixes=7),
        put(tmp_path / "data/route-views.sg/bgpdata/2024.03/UPDATES/updates.20240301.0000.bz2", prefixes=9),
        put(tmp_path / "data/bgpdata/2024.03/UPDATES/updates.20240301.0015.bz2", prefixes=3),
        put(tmp_path / "data/updates.20240301.0005.gz", prefixes=5),
    ]
    done = run_program(COUNT_BROKER, mrt=given, level=level)
    assert printed(done) == "ris/rrc00: 7 routeviews/route-views.sg: 9 routeviews/route-views2: 3\n"


def test_without_an_archive_the_broker_says_what_there_is(tmp_path: Path, level: Level) -> None:
    done = run_program(COUNT_BROKER, mrt=[put(tmp_path / "updates.gz")], level=level)
    assert done.result.outcome == "failed"
    assert "singlefile" in done.result.stderr


def test_replay_lets_data_come_in_as_if_live(tmp_path: Path, level: Level) -> None:
    put(tmp_path / "rrc00/2024.03/updates.20240301.0000.gz", prefixes=7)
    source = (
        "import time\nimport pybgpstream\n"
        'ages = [time.time() - elem.time for elem in pybgpstream.BGPStream(project="ris-live")]\n'
        "print(len(ages), max(ages) < 1)\n"
    )
    assert printed(run_program(source, archive=tmp_path, replay="max", level=level)) == "7 True\n"


@pytest.mark.parametrize("replay", ["fast", "0", "-1", "max@noon"])
def test_a_replay_of_another_form_shows_the_right_one(replay: str) -> None:
    with pytest.raises(ConfigError, match="write 'max', a speed such as '60'"):
        run_program("", replay=replay)


def test_limits_and_outcome_are_the_sandboxs(level: Level) -> None:
    done = run_program("while True: pass", limits=Limits(wall_s=0.5), level=level)
    assert done.result.outcome in ("timeout", "cpu")
    failed = run_program("raise SystemExit(3)", level=level)
    assert (failed.result.outcome, failed.result.exit_code) == ("failed", 3)


def test_every_report_says_level_and_backend(level: Level) -> None:
    done = run_program("import pybgpstream; print(pybgpstream.__backend__)", level=level)
    assert printed(done) == "seedtune\n"
    assert done.backend == "seedtune"
    assert done.summary().endswith(f"level {level}, backend seedtune")


def test_what_a_program_prints_is_passed_on(level: Level) -> None:
    heard: list[tuple[str, bytes]] = []
    run_program("print('routes')", level=level, heard=lambda stream, data: heard.append((stream, data)))
    assert b"".join(data for stream, data in heard if stream == "stdout") == b"routes\n"


@pytest.fixture
def real_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Something installed under the real library's name."""
    folder = tmp_path / "site-packages"
    (folder / "pybgpstream").mkdir(parents=True)
    (folder / "pybgpstream/__init__.py").write_text("flavour = 'real'\n")
    (folder / "pybgpstream-2.0.9.dist-info").mkdir()
    (folder / "pybgpstream-2.0.9.dist-info/METADATA").write_text("Name: pybgpstream\nVersion: 2.0.9\n")
    monkeypatch.syspath_prepend(folder)
    return folder


def test_the_real_library_is_used_where_it_is_installed(real_library: Path, level: Level) -> None:
    assert find_backend() == ("pybgpstream 2.0.9", real_library)
    done = run_program("import pybgpstream; print(pybgpstream.flavour)", level=level)
    assert printed(done) == "real\n"
    assert done.summary().endswith("backend pybgpstream 2.0.9")


def test_what_only_ours_can_do_is_done_by_ours(real_library: Path, tmp_path: Path, level: Level) -> None:
    """The real library would look for its broker in the network."""
    put(tmp_path / "rrc00/2024.03/updates.20240301.0000.gz")
    source = "import pybgpstream; print(pybgpstream.__backend__)"
    assert run_program(source, archive=tmp_path, level=level).backend == "seedtune"
    assert printed(run_program(source, replay="max", level=level)) == "seedtune\n"
