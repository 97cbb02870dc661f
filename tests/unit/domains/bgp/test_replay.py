"""Local data as live: the clock, what programs see of it, and that nothing hangs."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import mrt_writer as w
from conftest import ROOT, clean_environment
from seedtune.domains.bgp.sandboxed.pybgpstream import _replay
from seedtune.domains.bgp.sandboxed.pybgpstream._replay import (
    GRACE_SECONDS,
    POLLS_AT_REST,
    Clock,
    ReplayOverError,
    clock_of,
)

SANDBOXED = ROOT / "src" / "seedtune" / "domains" / "bgp" / "sandboxed"
T = 1_700_000_040
"""22:14:00 UTC."""

# --- the clock --------------------------------------------------------------------------------------------------------


def test_the_clock_shows_real_time_until_it_starts() -> None:
    clock = Clock(None, None)
    assert abs(clock.now() - time.time()) < 60
    clock.begin(T)
    assert clock.now() == T


def test_the_clock_is_put_forward_but_never_back() -> None:
    clock = Clock(None, T)
    clock.begin(T - 100)
    assert clock.now() == T
    clock.begin(T + 100)
    assert clock.now() == T + 100


def test_at_full_speed_waiting_and_sleeping_take_no_time() -> None:
    clock = Clock(None, T)
    before = time.monotonic()
    clock.wait_until(T + 86_400)
    clock.sleep(86_400)
    assert time.monotonic() - before < 60
    assert clock.now() == T + 2 * 86_400
    clock.wait_until(T)
    assert clock.now() == T + 2 * 86_400


def test_with_a_factor_the_clock_runs_that_much_faster() -> None:
    clock = Clock(100_000.0, T)
    clock.wait_until(T + 1000)
    assert T + 1000 <= clock.now() < T + 10_000_000


def test_polling_without_sleeping_lets_time_pass_in_the_end() -> None:
    clock = Clock(None, T)
    assert [clock.poll() for _ in range(POLLS_AT_REST)] == [T] * POLLS_AT_REST
    polls = 0
    while clock.poll() < T + 60:
        polls += 1
        assert polls < 1_000_000
    clock.wait_until(T + 120)
    assert clock.poll() == T + 120


def test_sleeping_long_after_the_end_of_all_data_ends_the_program() -> None:
    clock = Clock(None, T, T + 600)
    clock.data_ended(T + 60)
    clock.sleep(600 + GRACE_SECONDS + 1)
    with pytest.raises(ReplayOverError) as caught:
        clock.sleep(1)
    assert caught.value.code == 0


def test_sleeping_while_there_is_data_never_ends_the_program() -> None:
    clock = Clock(None, T)
    clock.sleep(10 * GRACE_SECONDS)
    clock.sleep(1)


@pytest.mark.parametrize(
    ("setting", "speed", "start"),
    [("max", None, None), ("60", 60.0, None), ("max@2023-11-14 22:14:00", None, T), (f"0.5@{T}", 0.5, T)],
)
def test_settings(setting: str, speed: float | None, start: int | None) -> None:
    clock = clock_of(setting, None)
    assert clock.speed == speed
    assert clock.running == (start is not None)
    if start is not None:
        assert start <= clock.now() < start + 60


@pytest.mark.parametrize("setting", ["fast", "0", "-1", "inf", "nan", "max@yesterday"])
def test_settings_that_are_none(setting: str) -> None:
    with pytest.raises(ValueError, match=r"max|YYYY"):
        clock_of(setting, None)


def test_an_imported_part_of_the_package_changes_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """seedtune itself imports the decoder; the variable is meant for programs in the sandbox."""
    code = "import seedtune.domains.bgp.sandboxed.pybgpstream, time; assert repr(time.time).startswith('<built-in')"
    environment = clean_environment(SEEDTUNE_BGP_REPLAY="max", PYTHONPATH=str(ROOT / "src"))
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=120)
    assert _replay.clock is None


# --- programs ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with five minutes of updates: a withdrawal every ten seconds, an archive of the same."""
    records = [w.withdrawal(T + second, "10.0.0.0/8") for second in range(0, 300, 10)]
    w.write_mrt(tmp_path / "updates.mrt", records)
    place = tmp_path / "archive" / "rrc00"
    place.mkdir(parents=True)
    w.write_mrt(place / "updates.20231114.2214", records)
    return tmp_path


def run(folder: Path, code: str, replay: str = "max", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a working directory."""
    program = folder / "program.py"
    program.write_text(textwrap.dedent(code))
    return subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env=clean_environment(SEEDTUNE_BGP_REPLAY=replay, PYTHONPATH=str(SANDBOXED), TZ="UTC", **environment),
        check=False,
    )


LINE_A_MINUTE = """
    import time
    import pybgpstream

    stream = pybgpstream.BGPStream(data_interface="singlefile")
    stream.set_data_interface_option("singlefile", "upd-file", "updates.mrt")
    stream.set_live_mode()
    begin, count = time.time(), 0
    for elem in stream:
        while time.time() - begin >= 60:
            begin += 60
            print(time.strftime("%H:%M:%S"), count, flush=True)
            count = 0
        count += 1
    print("end", count, time.time() - begin)
"""


def test_a_program_that_prints_a_line_a_minute(folder: Path) -> None:
    done = run(folder, LINE_A_MINUTE)
    assert done.stdout.splitlines() == [
        *("22:15:00 6", "22:16:00 6", "22:17:00 6", "22:18:00 6"),
        "end 6 50.0",
    ], done.stderr


def test_with_a_factor_the_same_program_prints_the_same_lines(folder: Path) -> None:
    done = run(folder, LINE_A_MINUTE, replay="600")
    lines = [line.split()[-1 if line.startswith("22") else 1] for line in done.stdout.splitlines()]
    assert sum(map(int, lines)) == 30, done.stderr
    assert len(lines) == 5


def test_every_sight_of_the_clock_is_the_same(folder: Path) -> None:
    done = run(
        folder,
        """
        import datetime
        import time
        from datetime import datetime as moment
        from time import sleep, time as now
        import pybgpstream

        sleep(30)
        print(now(), time.time_ns(), time.gmtime().tm_sec, time.localtime().tm_sec, time.ctime()[11:19])
        print(moment.now(), moment.utcnow(), moment.today(), datetime.datetime.now(datetime.timezone.utc).isoformat())
        print(time.strftime("%S"), time.strftime("%S", time.gmtime(0)), time.gmtime(0).tm_year)
        begin = time.monotonic(), time.perf_counter()
        time.sleep(2.5)
        print(time.monotonic() - begin[0], time.perf_counter() - begin[1])
        fixed = moment(2020, 1, 2)
        print(isinstance(fixed, moment), isinstance(moment.now(), datetime.datetime), moment.strptime("2020", "%Y"))
        print(fixed - datetime.timedelta(days=1) < moment.now(), issubclass(moment, datetime.date))
        """,
    )
    assert done.stdout.splitlines() == [
        f"{T + 30}.0 {T + 30}000000000 30 30 22:14:30",
        "2023-11-14 22:14:30 2023-11-14 22:14:30 2023-11-14 22:14:30 2023-11-14T22:14:30+00:00",
        "30 00 1970",
        "2.5 2.5",
        "True True 2020-01-01 00:00:00",
        "True True",
    ], done.stderr


def test_libraries_that_came_later_go_on_working(folder: Path) -> None:
    """What stands in for the clock must bear being kept in a class, and its datetimes being copied and pickled."""
    done = run(
        folder,
        """
        import pybgpstream
        import copy, datetime, logging, pickle

        logging.basicConfig(format="%(asctime)s %(message)s")
        logging.warning("now")
        moment = datetime.datetime.now()
        print(pickle.loads(pickle.dumps(moment)) == copy.deepcopy(moment) == moment, moment)
        match moment:
            case datetime.datetime(year=year):
                print(year)
        """,
    )
    assert done.stdout.splitlines() == ["True 2023-11-14 22:14:00", "2023"], done.stderr
    assert done.stderr.splitlines() == ["2023-11-14 22:14:00,000 now"]


@pytest.mark.parametrize(
    ("live", "replay", "expected"),
    [
        # Without a start the clock stands at the first record: nothing is recent yet.
        ("True", "max", "30 0 290"),
        ("False", "max", "1 0 0"),
        ("True", f"max@{T + 200}", "22 80 290"),
        ("False", f"max@{T + 200}", "13 80 200"),
    ],
)
def test_a_recent_interval_is_recent_for_the_clock(folder: Path, live: str, replay: str, expected: str) -> None:
    code = f"""
        import pybgpstream

        stream = pybgpstream.BGPStream(data_interface="singlefile")
        stream.set_data_interface_option("singlefile", "upd-file", "updates.mrt")
        stream.add_recent_interval_filter("2 m", {live})
        times = [int(elem.time) - {T} for elem in stream]
        print(len(times), min(times), max(times))
    """
    assert run(folder, code, replay).stdout.strip() == expected


def test_without_data_in_sight_the_first_stream_starts_the_clock(folder: Path) -> None:
    (folder / "empty").mkdir()
    code = f"""
        import time
        import pybgpstream

        print(time.time() > {T} + 1_000_000)
        stream = pybgpstream.BGPStream(data_interface="singlefile")
        stream.set_data_interface_option("singlefile", "upd-file", "../updates.mrt")
        stream.add_recent_interval_filter("2 m", True)
        print([int(time.time() - {T}) for elem in stream][::10])
    """
    assert run(folder / "empty", code).stdout.splitlines() == ["True", "[0, 100, 200]"]


def test_what_lies_before_the_clock_comes_at_once_and_the_rest_in_its_time(folder: Path) -> None:
    code = f"""
        import time
        import pybgpstream

        stream = pybgpstream.BGPStream(data_interface="singlefile", from_time={T}, until_time={T + 200})
        stream.set_data_interface_option("singlefile", "upd-file", "updates.mrt")
        late = [round(time.time() - elem.time) for elem in stream]
        print(late[0], late[9], late[10], late[20], len(late))
    """
    assert run(folder, code, f"max@{T + 100}").stdout.split() == ["100", "10", "0", "0", "21"]


def test_a_live_project_is_replayed_from_the_archive(folder: Path) -> None:
    code = """
        import time
        import pybgpstream

        start = time.time()
        stream = pybgpstream.BGPStream(project="ris-live")
        seen = [(elem.project, elem.collector, elem.record_type, elem.time - start) for elem in stream]
        print(len(seen), *seen[0])
        print(len(seen), *seen[-1])
    """
    done = run(folder, code, SEEDTUNE_BGP_ARCHIVE="archive")
    assert done.stdout.splitlines() == ["30 ris-live rrc00 update 0.0", "30 ris-live rrc00 update 290.0"], done.stderr


def test_a_program_that_asks_again_and_again_ends_with_the_data(folder: Path) -> None:
    code = """
        import time
        import pybgpstream

        last, total = int(time.time()), 0
        while True:
            time.sleep(60)
            now = int(time.time())
            total += sum(1 for elem in pybgpstream.BGPStream(from_time=last + 1, until_time=now))
            last = now
            if total == 29:
                print("all seen", now, flush=True)
                total += 1
    """
    done = run(folder, code, SEEDTUNE_BGP_ARCHIVE="archive")
    assert done.stdout.splitlines() == [f"all seen {T + 300}"], done.stderr
    assert done.returncode == 0
    assert "the replayed data is over" in done.stderr


def test_threads_wait_in_real_time(folder: Path) -> None:
    """Locks with a timeout are not covered; they must at least end."""
    code = """
        import pybgpstream
        import queue

        try:
            queue.Queue().get(timeout=0.05)
        except queue.Empty:
            print("empty")
    """
    assert run(folder, code).stdout == "empty\n"


def test_a_wrong_setting_is_an_error_at_once(folder: Path) -> None:
    done = run(folder, "import pybgpstream", replay="soon")
    assert done.returncode == 1
    assert "SEEDTUNE_BGP_REPLAY=soon" in done.stderr
