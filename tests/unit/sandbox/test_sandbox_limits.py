"""Programs that try to use the machine up, at every safe level that there is here: each limit holds and is named."""

import gzip
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seedtune.sandbox import ExecutionResult, Level, Limits, Program, run_code

SMALL = Limits(wall_s=20.0, cpu_s=10.0, memory_mb=256, file_mb=4, files=200, processes=32, output_kb=64)


def run(code: str, level: Level, limits: Limits = SMALL, **program: Any) -> ExecutionResult:
    return run_code(Program(textwrap.dedent(code), **program), limits, level)


# Time


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(300)",
        "import signal; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; signal.pause()",
        "import os, time; os.close(0); os.close(1); os.close(2); time.sleep(300)",
        "import os, time; os.fork(); os.fork(); time.sleep(300)",
        "import threading; threading.Thread(target=threading.Event().wait).start()",
        "import os; os.read(os.pipe()[0], 1)",
    ],
)
def test_waiting_for_ever_is_a_timeout(level: Level, code: str) -> None:
    result = run(code, level, replace(SMALL, wall_s=0.3))
    assert (result.outcome, result.exit_code, result.ok) == ("timeout", None, False)
    assert result.wall_s >= 0.3


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        "import os; [os.fork() for _ in range(3)]\nwhile True: pass",
        "import os, time\nif not os.fork():\n  while True: pass\ntime.sleep(300)",
    ],
)
def test_an_endless_loop_uses_up_its_cpu_time(level: Level, code: str) -> None:
    """The limit is for all processes together: those that share two cores reach it as one does."""
    result = run(code, level, replace(SMALL, cpu_s=0.3))
    assert (result.outcome, result.exit_code) == ("cpu", None)
    assert result.cpu_s >= 0.3


def test_what_was_printed_before_a_stop_is_kept(level: Level) -> None:
    result = run("import time\nprint('begun')\ntime.sleep(300)", level, replace(SMALL, wall_s=0.3))
    assert (result.outcome, result.stdout) == ("timeout", "begun\n")


# Memory


def test_eight_gigabytes_are_not_to_be_had(level: Level) -> None:
    result = run("block = bytearray(8 << 30)", level)
    assert (result.outcome, result.exit_code) == ("memory", 1)
    assert result.peak_mb < 256


@pytest.mark.parametrize("memory_mb", [1, 7])
def test_too_little_memory_for_python_to_start_is_named_so(level: Level, memory_mb: int) -> None:
    result = run("print('never')", level, replace(SMALL, memory_mb=memory_mb))
    assert (result.outcome, result.stdout) == ("memory", "")


def test_memory_taken_in_small_steps_ends_too(level: Level) -> None:
    result = run("kept = []\nwhile True: kept.append(bytearray(1 << 20))", level)
    assert result.outcome == "memory"
    assert 100 < result.peak_mb < 256


def test_memory_is_limited_for_all_processes_together(level: Level) -> None:
    code = """
    import os, time
    for _ in range(8):
        if not os.fork():
            break
    block = b"x" * (100 << 20)
    time.sleep(300)
    """
    assert run(code, level).outcome == "memory"


def test_a_gz_bomb_does_not_burst(level: Level, tmp_path: Path) -> None:
    bomb = tmp_path / "updates.gz"
    with gzip.open(bomb, "wb", compresslevel=9) as file:
        for _ in range(128):
            file.write(bytes(1 << 20))
    small = replace(SMALL, memory_mb=64)
    result = run("import gzip; print(len(gzip.open('updates.gz').read()))", level, small, files={"updates.gz": bomb})
    assert (result.outcome, result.stdout) == ("memory", "")


def test_memory_beside_the_heap_is_limited_too(level: Level) -> None:
    """Pipes and mapped memory; what would be counted to no process at all is refused (test_sandbox_attacks.py)."""
    code = """
    import mmap
    kept = []
    while True:
        kept.append(mmap.mmap(-1, 16 << 20))
        kept[-1].write(bytes(16 << 20))
    """
    result = run(code, level)
    assert result.outcome == "memory"
    assert result.peak_mb < 280


# Processes and descriptors


def test_a_program_that_starts_too_many_processes_is_told_so(level: Level) -> None:
    code = """
    import os, time
    started = 0
    try:
        while os.fork():
            started += 1
        time.sleep(300)
    finally:
        if started:
            print(started)
    """
    result = run(code, level)
    assert result.outcome == "processes"
    assert abs(int(result.stdout) - SMALL.processes) < 5  # not exact where all processes of the user count


def test_a_fork_bomb_fizzles_out(level: Level) -> None:
    """All its processes speak at once, over each other: that there were too many may be lost in that."""
    result = run("import os\nwhile True: os.fork()", level)
    assert result.outcome in ("processes", "failed", "cpu")


def test_a_stubborn_fork_bomb_is_stopped(level: Level) -> None:
    code = """
    import os, signal
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        try:
            os.setsid() if os.fork() else None
        except OSError:
            pass
    """
    result = run(code, level, replace(SMALL, wall_s=1.0, cpu_s=1.0))
    assert result.outcome in ("cpu", "timeout")


@pytest.mark.parametrize("ending", ["time.sleep(300)", "time.sleep(0.2)"])
def test_processes_that_hop_from_one_to_the_next_are_caught(level: Level, ending: str) -> None:
    """Each forks and is gone before anybody has seen it, reaped by nobody (conftest.py looks for what is left)."""
    code = f"""
    import os, signal, time
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in range(3):
        if not os.fork():
            os.setsid()
            while True:
                try:
                    if os.fork():
                        os._exit(0)
                except OSError:
                    pass
    {ending}
    """
    assert run(code, level, replace(SMALL, wall_s=0.5)).outcome in ("timeout", "finished", "cpu")


def test_a_thread_bomb_fizzles_out(level: Level) -> None:
    code = """
    import threading
    threading.stack_size(32768)
    stop = threading.Event()
    try:
        while True:
            threading.Thread(target=stop.wait, daemon=True).start()
    finally:
        print(threading.active_count())
    """
    result = run(code, level)
    assert result.outcome == "processes"
    assert int(result.stdout) <= SMALL.processes + 1


def test_open_files_are_limited(level: Level) -> None:
    result = run("import os\nkept = []\nwhile True: kept.append(os.dup(1))", level)
    assert result.outcome == "failed"
    assert result.stderr.endswith("OSError: [Errno 24] Too many open files\n")


# What is written


def test_one_large_file_is_cut_short(level: Level) -> None:
    result = run("with open('large', 'wb') as file:\n  while True: file.write(bytes(1 << 16))", level)
    assert result.outcome == "file-size"


def test_many_files_are_limited_in_all(level: Level) -> None:
    code = """
    import itertools
    for number in itertools.count():
        with open(f"part-{number}", "wb") as file:
            file.write(bytes(1 << 18))
    """
    assert run(code, level).outcome == "file-size"


@pytest.mark.parametrize(
    "step",
    [
        "open(str(number), 'w').close()",
        "os.mkdir(str(number))",
        "os.symlink('x', str(number))",
        "os.mkdir('d'); os.chdir('d')",
        "os.mkfifo(str(number))",
    ],
)
def test_a_flood_of_empty_files_is_stopped(level: Level, step: str) -> None:
    code = f"import itertools, os, time\nfor number in itertools.count():\n  {step}\n  time.sleep(0.0005)"
    result = run(code, level, replace(SMALL, files=50))
    assert result.outcome == "file-size"


@pytest.mark.parametrize(
    "way",
    [
        "file = open(str(number), 'wb'); os.unlink(str(number))",
        "file = os.fdopen(os.open('.', os.O_TMPFILE | os.O_RDWR), 'wb')",
        "file = os.fdopen(os.memfd_create('hidden'), 'wb')",
        "os.mkdir(str(number), 0o300); file = open(f'{number}/hidden', 'wb')",
        "file = open(f'/dev/shm/{number}', 'wb')",
        "import tempfile; file = tempfile.TemporaryFile()",
    ],
)
def test_files_that_are_hard_to_find_count_too(level: Level, way: str) -> None:
    """Deleted ones, nameless ones, those in unreadable folders and in shared memory; or they cannot be made."""
    code = f"""
    import itertools, os, time
    kept = []
    for number in itertools.count():
        {way}
        file.write(bytes(1 << 20))
        file.flush()
        kept.append(file)
        print(len(kept))
        time.sleep(0.02)
    """
    result = run(code, level)
    assert not result.ok
    assert result.outcome in ("file-size", "failed")
    if result.outcome == "failed":
        assert result.stderr.splitlines()[-1].startswith(("PermissionError", "FileNotFoundError"))
    assert len(result.stdout.splitlines()) < 20


def test_what_is_hard_to_remove_is_removed(level: Level) -> None:
    """Unreadable folders, a nest deeper than paths can be long, odd names (conftest.py looks for what is left)."""
    code = """
    import os
    os.mkdir("closed", 0o300)
    open("closed/file", "w").close()
    os.mkdir("shut", 0)
    open(b"\\xff\\n", "w").close()
    os.symlink("/", "link")
    for _ in range(3000):
        os.mkdir("d" * 100)
        os.chdir("d" * 100)
    """
    assert run(code, level, replace(SMALL, files=5000)).outcome == (
        "finished" if level == "bubblewrap" else "file-size"
    )


# Output


@pytest.mark.parametrize("streams", ["(1,)", "(2,)", "(1, 2)"])
def test_endless_output_is_cut_at_the_limit(level: Level, streams: str) -> None:
    code = f"""
    import os
    while True:
        for stream in {streams}:
            os.write(stream, b"x" * 4096)
    """
    result = run(code, level)
    assert (result.outcome, result.truncated) == ("output", True)
    assert max(len(result.stdout), len(result.stderr)) == SMALL.output_kb * 1024


def test_too_much_output_is_told_even_of_a_program_that_ended(level: Level) -> None:
    result = run("print('x' * (SIZE := 65 * 1024), end='')", level)
    assert (result.outcome, result.truncated, len(result.stdout)) == ("output", True, 64 * 1024)


def test_output_up_to_the_limit_is_whole(level: Level) -> None:
    result = run("print('x' * 64 * 1024, end='')", level)
    assert (result.outcome, result.truncated, len(result.stdout)) == ("finished", False, 64 * 1024)


def test_core_dumps_are_off(level: Level) -> None:
    result = run("import resource; print(resource.getrlimit(resource.RLIMIT_CORE))", level)
    assert result.stdout == "(0, 0)\n"


def test_limits_cannot_be_raised(level: Level) -> None:
    code = """
    import resource
    for name in ("AS", "CPU", "FSIZE", "NPROC", "NOFILE", "CORE"):
        kind = getattr(resource, f"RLIMIT_{name}")
        soft, hard = resource.getrlimit(kind)
        try:
            resource.setrlimit(kind, (soft, hard + 1))
            print("raised", name)
        except (ValueError, OSError):
            print("refused")
    """
    result = run(code, level)
    assert result.stdout.split() == ["refused"] * 6, result
