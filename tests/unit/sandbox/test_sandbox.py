"""What an ordinary program finds in the sandbox, and what its caller is told."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from conftest import clean_environment
from seedtune.errors import ConfigError, SandboxError
from seedtune.sandbox import ExecutionResult, Level, Limits, Program, Stream, best_level, levels, run_code
from seedtune.sandbox.program import last_line

SMALL = Limits(wall_s=30.0, memory_mb=512, file_mb=8)


def run(code: str, level: Level, limits: Limits = SMALL, **program: Any) -> ExecutionResult:
    return run_code(Program(textwrap.dedent(code), **program), limits, level)


def prints(code: str, level: Level, **program: Any) -> str:
    """Run a program that must finish, and give what it printed."""
    result = run(code, level, **program)
    assert result.ok, result.stderr
    return result.stdout


# What a program finds


def test_a_program_reads_its_files_and_writes_in_its_folder(level: Level, tmp_path: Path) -> None:
    (tmp_path / "ein Name ü.txt").write_text("one")
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "deep" / "two").write_text("two")
    (tmp_path / "link").symlink_to("folder")
    code = """
    import os
    with open("out.txt", "w") as file:
        file.write(open("data/ein Name ü.txt").read() + open("folder/deep/two").read() + open("linked/deep/two").read())
    os.makedirs("a/b")
    os.rmdir("a/b")
    print(open("out.txt").read(), sorted(os.listdir("folder")), os.getcwd() == os.environ["HOME"])
    """
    files = {"data/ein Name ü.txt": tmp_path / "ein Name ü.txt"}
    files |= {"folder": tmp_path / "folder", "linked": tmp_path / "link"}
    assert prints(code, level, files=files) == "onetwotwo ['deep'] True\n"


def test_a_file_that_only_its_owner_may_read_is_given_all_the_same(level: Level, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    (tmp_path / "closed" / "file").write_text("mine")
    (tmp_path / "closed" / "file").chmod(0o600)
    files = {"folder": tmp_path / "closed", "file": tmp_path / "closed" / "file"}
    assert prints("print(open('folder/file').read(), open('file').read())", level, files=files) == "mine mine\n"


@pytest.mark.parametrize("folder", ["os.path.dirname(__file__)", "pathlib.Path(__file__).resolve().parent"])
def test_files_are_found_beside_the_program(level: Level, folder: str, tmp_path: Path) -> None:
    """As where it was written; a file that has its name comes first."""
    (tmp_path / "data").write_text("read")
    code = f"""
    import os, pathlib, sys
    folder = {folder}
    with open(os.path.join(folder, "out"), "w") as file:
        file.write(open(os.path.join(folder, "main.py")).read())
    print(open("out").read(), sorted(os.listdir()), os.path.basename(sys.argv[0]))
    """
    files = {"main.py": tmp_path / "data", "main-1.py/x": tmp_path / "data"}
    said = prints(code, level, files=files)
    assert said == "read ['main-1.py', 'main-2.py', 'main.py', 'out'] main-2.py\n"


def test_a_program_cannot_change_its_own_text(level: Level) -> None:
    for way in ("open(__file__, 'w')", "os.unlink(__file__)", "os.rename(__file__, 'x')", "os.chmod(__file__, 0o777)"):
        result = run(f"import os; {way}", level)
        assert result.outcome == "failed", way
        assert "OSError" in result.stderr or "PermissionError" in result.stderr


def test_import_path_comes_before_the_standard_library_and_nothing_else_is_there(level: Level, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "helper.py").write_text("NAME = 'helped'")
    code = """
    import importlib.util, sys
    import helper
    absent = [name for name in ("pytest", "pydantic", "seedtune", "pip") if importlib.util.find_spec(name)]
    print(helper.NAME, absent, [path for path in sys.path if "site-packages" in path], "" in sys.path)
    """
    assert prints(code, level, import_path=[tmp_path / "mine"]) == "helped [] [] False\n"
    assert not (tmp_path / "mine" / "__pycache__").exists()


def test_arguments_environment_and_input_arrive(level: Level) -> None:
    code = "import os, sys; print(sys.argv[1:], os.environ['NAME'], input(), sys.stdin.read())"
    said = prints(code, level, arguments=["a b", "ü"], environment={"NAME": "=x\n"}, stdin="line\nrest ü")
    assert said == "['a b', 'ü'] =x\n line rest ü\n"


def test_no_input_is_an_empty_one(level: Level) -> None:
    result = run("input()", level)
    assert (result.outcome, result.stderr.splitlines()[-1]) == ("failed", "EOFError: EOF when reading a line")


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("print('Ünïcödé ☃ 🐍')", "Ünïcödé ☃ 🐍"),
        ("exit()", ""),
        ("import sys; sys.exit(0)", ""),
        ("print(__name__, __file__.endswith('main.py'))", "__main__ True"),
        ("import time; print(time.tzname[0], time.localtime(0).tm_hour)", "UTC 0"),
        ("from zoneinfo import ZoneInfo; print(ZoneInfo('Asia/Tokyo'))", "Asia/Tokyo"),
        ("import ssl, sqlite3, bz2, lzma, zlib, hashlib, decimal, ctypes, curses, uuid; print('all')", "all"),
        ("import subprocess, sys; print(subprocess.check_output([sys.executable, '-c', 'print(1)']))", "b'1\\n'"),
        ("import random; print(hash('seedtune') == hash('seedtune'))", "True"),
        ("import os; print(open(os.devnull).read() == '', len(os.urandom(4)))", "True 4"),
        ("import asyncio; print(asyncio.run(asyncio.sleep(0, 'slept')))", "slept"),
        ("from concurrent.futures import ThreadPoolExecutor as P; print(sum(P(4).map(int, '1234')))", "10"),
        ("import os, signal; p = os.fork() or signal.pause(); os.kill(p, 9); print(os.wait()[1])", "9"),
        ("import signal; signal.raise_signal(signal.SIGUSR1) if signal.signal(10, print) else 0; print('on')", "on"),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\xfe')", "\ufffd\ufffd"),
    ],
)
def test_ordinary_programs_work(level: Level, code: str, printed: str) -> None:
    assert prints(code, level).rstrip("\n") == printed


POOL = """
import multiprocessing
def square(number): return number * number
if __name__ == "__main__":
    with multiprocessing.Pool(3) as pool:
        print(pool.map(square, range(5)))
"""
TEMPORARY = """
import os, tempfile
with tempfile.TemporaryFile() as file, tempfile.NamedTemporaryFile() as named, tempfile.TemporaryDirectory() as folder:
    print(file.write(b"x"), os.path.dirname(named.name) == os.getcwd(), os.listdir(folder))
"""


@pytest.mark.parametrize(("code", "printed"), [(POOL, "[0, 1, 4, 9, 16]"), (TEMPORARY, "1 True []")])
def test_what_works_under_bubblewrap_alone(code: str, printed: str) -> None:
    """Shared locks and temporary files need files that can be deleted again."""
    if levels.problem_with("bubblewrap"):
        pytest.skip("no bubblewrap")
    assert prints(code, "bubblewrap") == f"{printed}\n"


def test_a_process_with_a_pipe_works_at_every_level(level: Level) -> None:
    code = """
    import multiprocessing
    def child(end): end.send("from the child")
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=child, args=(there,))
    process.start()
    print(here.recv())
    process.join()
    """
    assert prints(code, level) == "from the child\n"


def test_what_was_forked_and_reaped_counts_as_cpu_time(level: Level) -> None:
    code = """
    import os, time
    for _ in range(2):
        if not os.fork():
            while time.process_time() < 0.15: pass
            os._exit(0)
        os.wait()
    """
    assert run(code, level).cpu_s >= 0.3


def test_memory_is_measured(level: Level) -> None:
    assert 80 < run("block = b'x' * (80 << 20)", level).peak_mb < 200


def test_a_text_that_is_no_program_fails_as_python_says(level: Level) -> None:
    assert run("\ud800", level).outcome == "failed"
    assert run("print('x\0')", level).outcome == "failed"
    result = run("def", level)
    assert (result.outcome, result.stderr.splitlines()[-1]) == ("failed", "SyntaxError: invalid syntax")


def test_several_run_at_once_without_counting_each_others_processes(level: Level) -> None:
    code = """
    import os, time
    for _ in range(5):
        if not os.fork():
            time.sleep(0.3)
            os._exit(0)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    """
    limits = replace(SMALL, processes=8)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: run(code, level, limits), range(6)))
    # An ordinary user's processes are all counted together where there is no namespace to count in.
    assert all(result.ok for result in results) or (level == "landlock" and os.geteuid() != 0)


# What a caller is told


@pytest.mark.parametrize(
    ("code", "start"),
    [
        ("pass", "finished: 0."),
        ("raise ValueError('no')", "failed (exit code 1, ValueError: no): 0."),
        ("import os; os.kill(os.getpid(), 11)", "signal (SIGSEGV): 0."),
        ("bytearray(1 << 40)", "memory (it needed too much memory, MemoryError): 0."),
    ],
)
def test_a_summary_says_in_one_line_what_came_of_it(level: Level, code: str, start: str) -> None:
    summary = run(code, level).summary()
    assert summary.startswith(start)
    assert summary.endswith(f" MB, level {level}")


def test_the_highest_limits_are_taken_as_they_are(level: Level) -> None:
    """Each is turned into bytes or nanoseconds for the kernel."""
    limits = Limits(**dict.fromkeys((limit.name for limit in fields(Limits)), 10**9))
    assert run("print(1)", level, limits).ok


@pytest.mark.parametrize(("line", "end"), [("word " * 99, " word ..."), ("x" * 999, "xxx ..."), ("x" * 200, "xxx")])
def test_a_long_last_line_is_cut_behind_a_word_and_says_so(line: str, end: str) -> None:
    shown = last_line(f"Traceback\n{line}\n")
    assert shown.endswith(end)
    assert len(shown) <= 200


@pytest.mark.parametrize("name", ["", ".", "/etc/x", "../x", "a/../../x", "a\0b"])
def test_a_name_that_leads_out_of_the_work_folder_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="must stay inside the work folder"):
        Program("", files={name: Path("/dev/null")})


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b/c", "a"), ("a", "./a")])
def test_files_that_hide_each_other_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match="lies inside, or is the same as"):
        Program("", files=dict.fromkeys(names, Path("/dev/null")))


@pytest.mark.parametrize("environment", [{"": "x"}, {"A=B": "x"}, {"A": "x\0"}])
def test_a_variable_that_cannot_be_set_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="cannot be set"):
        Program("", environment=environment)


def test_an_argument_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(ConfigError, match="zero byte"):
        Program("", arguments=["\0"])


@pytest.mark.parametrize("limit", ["wall_s", "cpu_s", "memory_mb", "file_mb", "files", "processes", "output_kb"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 10**9 + 1, 1e30])
def test_a_limit_is_above_zero_and_not_beyond_all_bounds(limit: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"the limit {limit} is"):
        Limits(**{limit: value})


@pytest.mark.parametrize("given", [{"files": {"x": Path("none")}}, {"import_path": [Path("none")]}])
def test_what_does_not_exist_is_named(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="none: No such file or directory"):
        run_code(Program("", **given), level="unsafe")


def test_a_device_is_no_file_to_give() -> None:
    with pytest.raises(ConfigError, match="neither a file nor a folder"):
        run_code(Program("", files={"x": Path("/dev/null")}), level="unsafe")


def test_unsafe_keeps_the_limits_and_the_clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-zebra")
    code = "import os; print('OPENAI_API_KEY' in os.environ, os.path.exists('/etc/passwd')); os.kill(os.getpid(), 9)"
    result = run_code(Program(code), level="unsafe")
    assert (result.stdout, result.signal, result.level) == ("False True\n", "SIGKILL", "unsafe")
    assert run_code(Program("import time; time.sleep(60)"), Limits(wall_s=0.3), "unsafe").outcome == "timeout"


# Output as it comes


def test_output_is_heard_while_the_program_runs(level: Level, tmp_path: Path) -> None:
    """This one goes on only when its first words were heard, which a file tells it."""
    code = """
    import os, sys, time
    print("first", flush=True)
    sys.stderr.write("other")
    while not os.path.getsize('heard'):
        time.sleep(0.01)
    sys.stdout.buffer.write(b"la\\xc3\\xa9st")
    """
    pieces: list[tuple[Stream, bytes]] = []
    file = tmp_path / "heard"
    file.touch()

    def heard(stream: Stream, data: bytes) -> None:
        pieces.append((stream, data))
        file.write_text("yes")

    result = run_code(Program(textwrap.dedent(code), {"heard": file}), SMALL, level, heard)
    assert result.ok, result.stderr
    by_stream = {name: b"".join(data for stream, data in pieces if stream == name) for name in ("stdout", "stderr")}
    assert by_stream == {"stdout": "first\nlaést".encode(), "stderr": b"other"}
    assert (result.stdout, result.stderr) == ("first\nlaést", "other")


def test_no_more_is_heard_than_the_limit_lets_through(level: Level) -> None:
    heard: list[bytes] = []
    code = "while True: print('x' * 999)"
    result = run_code(Program(code), Limits(output_kb=8), level, lambda _, data: heard.append(data))
    assert (result.outcome, result.truncated) == ("output", True)
    assert b"".join(heard).decode() == result.stdout
    assert len(result.stdout) == 8 << 10


def test_one_who_listens_slowly_loosens_no_limit(level: Level) -> None:
    """The program is long ended when its first words are taken; all of them are."""
    ended: list[float] = []
    code = "import time\nwhile True:\n  print('x', flush=True)\n  time.sleep(0.1)"

    def heard(_: Stream, data: bytes) -> None:
        if not ended:
            time.sleep(1.0)
        ended.append(len(data))

    result = run_code(Program(code), Limits(wall_s=0.3), level, heard)
    assert result.outcome == "timeout"
    assert result.wall_s < 0.9
    assert sum(ended) == len(result.stdout)


@pytest.mark.parametrize("raised", [BrokenPipeError, KeyboardInterrupt])
def test_what_a_listener_raises_ends_the_program(
    level: Level, raised: type[BaseException], processes_with: Callable[[str], list[str]]
) -> None:
    token = f"seedtune-heard-{os.getpid()}"

    def heard(*_: object) -> None:
        assert processes_with(token)
        raise raised

    program = Program("import time; print(1); time.sleep(300)", arguments=[token])
    with pytest.raises(raised):
        run_code(program, SMALL, level, heard)
    assert processes_with(token) == []


def test_what_bubblewrap_says_is_no_output_of_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: no' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr("seedtune.sandbox.bubblewrap.shutil.which", lambda _: str(fake))
    heard: list[bytes] = []
    with pytest.raises(SandboxError, match="level bubblewrap"):
        run_code(Program(""), level="bubblewrap", heard=lambda _, data: heard.append(data))
    assert heard == []


# Levels


@pytest.fixture
def fresh() -> Any:
    """Levels are looked for again, in this test and after it."""
    levels.problem_with.cache_clear()
    yield
    levels.problem_with.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_without_bubblewrap_landlock_is_taken_and_said_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seedtune.sandbox.bubblewrap.shutil.which", lambda _: None)
    level, why = best_level()
    assert level in ("landlock", None)
    assert "bubblewrap: not installed" in why
    with pytest.raises(SandboxError, match="level bubblewrap: not installed"):
        run_code(Program(""), level="bubblewrap")


@pytest.mark.usefixtures("fresh")
def test_without_both_a_program_is_refused_and_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seedtune.sandbox.bubblewrap.shutil.which", lambda _: None)
    monkeypatch.setattr("seedtune.sandbox.confined.landlock.abi", lambda: 0)
    assert best_level() == (
        None,
        "bubblewrap: not installed; Landlock: the kernel has no Landlock, or has it switched off",
    )
    with pytest.raises(SandboxError, match="apt install bubblewrap"):
        run_code(Program(""))
    assert run_code(Program(""), level="unsafe").ok


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("bwrap: Unknown option --size", r"too old, 0\.7 or newer is needed"),
        ("bwrap: No permissions to create new namespace, likely because ...", "user namespaces are closed: No permis"),
        ("bwrap: setting up uid map: Permission denied", "user namespaces are closed: setting up uid map"),
        ("bwrap: Can't find source path", "Can't find source path"),
        ("", "it ended without a word"),
    ],
)
def test_why_bubblewrap_does_not_work_is_found_out_by_trying(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, why: str
) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text(f"#!/bin/sh\necho {said!r} >&2\nexit 1\n" if said else "#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr("seedtune.sandbox.bubblewrap.shutil.which", lambda _: str(fake))
    with pytest.raises(SandboxError, match=f"^level bubblewrap: {why}"):
        run_code(Program(""), level="bubblewrap")


@pytest.mark.usefixtures("fresh")
def test_a_level_that_does_not_confine_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bubblewrap that shuts nothing in, and a filter of system calls that lets everything through."""
    fake = tmp_path / "bwrap"
    fake.write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setattr("seedtune.sandbox.bubblewrap.shutil.which", lambda _: str(fake))
    assert levels.problem_with("bubblewrap")
    monkeypatch.setattr("seedtune.sandbox.supervisor.seccomp.build", lambda *_: bytes.fromhex("060000000000ff7f"))
    assert levels.problem_with("landlock")


# Nothing outlives seedtune


NAP = "import os, time; os.fork(); time.sleep(300)"
CALLER = """
import sys
from seedtune.sandbox import Program, run_code
run_code(Program(sys.argv[1], arguments=[sys.argv[2]]), level=sys.argv[3])
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_ends_with_seedtune(
    level: Level, number: signal.Signals, tmp_path: Path, processes_with: Callable[[str], list[str]]
) -> None:
    token = f"seedtune-orphan-{os.getpid()}"
    command = [sys.executable, "-c", CALLER, NAP, token, level]
    with subprocess.Popen(command, env=clean_environment(TMPDIR=str(tmp_path)), stderr=subprocess.DEVNULL) as caller:
        _until(lambda: len(processes_with(token)) >= 3)  # the caller itself, and the program's two
        caller.send_signal(number)
        caller.wait(30)
        _until(lambda: not processes_with(token))


def _until(true: Any) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
