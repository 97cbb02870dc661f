"""The BGP domain's own commands, run as a user runs them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT, clean_environment, seedtune, start_seedtune
from fake_mirror import FakeMirror, mrt_bytes, packed

MIDNIGHT = 1_709_251_200
"""2024-03-01 00:00 UTC"""
RRC00 = "/rrc00/2024.03/"
QUARTER = ("--from", "2024-03-01 00:00", "--until", "2024-03-01 00:14")


def updates(minute: int) -> str:
    return f"{RRC00}updates.20240301.00{minute:02}.gz"


FILES = {updates(minute): packed(".gz", mrt_bytes(MIDNIGHT + 60 * minute)) for minute in range(0, 20, 5)}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def mirror() -> Iterator[FakeMirror]:
    with FakeMirror(dict(FILES)) as server:
        yield server


# The group


def test_the_help_names_the_group_without_loading_it() -> None:
    code = (
        "import sys\nsys.argv = ['seedtune', '--help']\nfrom seedtune.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "sys.exit(f'loaded: {found}' if (found := [n for n in sys.modules if n.startswith('seedtune.domains')]) else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert re.search(r"bgp +Fetch and list MRT files", result.stdout)


# seedtune bgp fetch


def test_fetch_says_what_it_will_do_does_it_and_does_it_once(mirror: FakeMirror, tmp_path: Path) -> None:
    command = ("bgp", "fetch", "--collector", "rrc00", *QUARTER, "--into", "archive", "--mirror", mirror.url)
    first = seedtune(*command, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "to fetch into archive: 3 updates files, about 2.2 kB, from 127.0.0.1" in first.stdout
    assert first.stdout.endswith("3 fetched, 0 there before\n")
    again = seedtune(*command, cwd=tmp_path)
    assert again.stdout == "to fetch into archive: nothing; 3 there already\n0 fetched, 3 there before\n"
    assert sorted(mirror.paths()) == [updates(0), updates(5), updates(10)]


def test_a_dry_run_downloads_nothing(mirror: FakeMirror, tmp_path: Path) -> None:
    result = seedtune(
        "bgp", "fetch", "--collector", "rrc00", *QUARTER, "--into", tmp_path / "a", "--mirror", mirror.url, "--dry-run"
    )
    assert result.returncode == 0, result.stderr
    assert f"{mirror.url}{updates(10)}  0.7 kB" in result.stdout
    assert mirror.paths() == []
    assert not (tmp_path / "a").exists()


def test_missing_files_are_listed_and_make_exit_code_1(mirror: FakeMirror, tmp_path: Path) -> None:
    del mirror.files[updates(5)]
    mirror.faults[updates(0)] = ["404"]
    result = seedtune(
        "bgp", "fetch", "--collector", "rrc00", *QUARTER, "--into", tmp_path / "archive", "--mirror", mirror.url
    )
    assert result.returncode == 1
    assert f"missing: {mirror.url}{updates(5)}" in result.stdout
    assert f"missing: {mirror.url}{updates(0)}" in result.stdout
    assert result.stdout.endswith("1 fetched, 0 there before, 2 missing\n")


def test_more_than_allowed_is_refused_with_exit_code_3(mirror: FakeMirror, tmp_path: Path) -> None:
    result = seedtune(
        *("bgp", "fetch", "--collector", "rrc00", *QUARTER, "--into", tmp_path / "archive", "--mirror", mirror.url),
        *("--max-gb", "0.000001"),
    )
    assert result.returncode == 3
    assert "--max-gb" in result.stderr
    assert mirror.paths() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--collector", "rrc0", *QUARTER), "did you mean 'rrc00'?"),
        (
            ("--collector", "rrc00", "--type", "ribs", "--from", "2024-03-01 01:00", "--until", "2024-03-01 02:00"),
            "8 h",
        ),
        (("--collector", "rrc00", *QUARTER, "--max-gb", "nan"), "--max-gb nan: give a size above zero"),
    ],
)
def test_wrong_wishes_are_exit_code_2(
    arguments: tuple[str, ...], words: str, mirror: FakeMirror, tmp_path: Path
) -> None:
    result = seedtune("bgp", "fetch", *arguments, "--into", tmp_path, "--mirror", mirror.url)
    assert result.returncode == 2, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unreachable_mirror_is_told_in_one_line(mirror: FakeMirror, tmp_path: Path) -> None:
    mirror.faults[RRC00] = ["429:3600"]
    result = seedtune("bgp", "fetch", "--collector", "rrc00", *QUARTER, "--into", tmp_path, "--mirror", mirror.url)
    assert result.returncode == 1
    assert "asks to wait 3600 s" in result.stderr
    assert "Traceback" not in result.stderr


def test_interrupted_keeps_what_is_whole_and_goes_on(mirror: FakeMirror, tmp_path: Path) -> None:
    mirror.faults[updates(5)] = ["hang"]
    command = ("bgp", "fetch", "--collector", "rrc00", *QUARTER, "--into", str(tmp_path), "--mirror", mirror.url)
    process = start_seedtune(*command)
    part = tmp_path / (updates(5)[1:] + ".part")
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "the second file was never begun"
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=60)
    assert process.returncode == 130, shown
    assert "run the same command again" in shown
    assert (tmp_path / updates(0)[1:]).read_bytes() == FILES[updates(0)]
    assert not (tmp_path / updates(5)[1:]).exists()
    assert seedtune(*command).returncode == 0
    assert ("GET", updates(5), f"bytes={len(FILES[updates(5)]) // 2}-") in mirror.requests
    assert (tmp_path / updates(5)[1:]).read_bytes() == FILES[updates(5)]


# seedtune bgp archive


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Four files, one missing between them, one of them cut off, one file that does not belong."""
    for minute in (0, 5, 15):
        path = tmp_path / "archive" / updates(minute)[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(FILES[updates(minute)])
    (tmp_path / "archive" / f"{updates(15)[1:]}").write_bytes(FILES[updates(15)][:-30])
    (tmp_path / "archive" / "notes.txt").touch()
    return tmp_path / "archive"


def test_archive_lists_series_gaps_and_strangers(archive: Path) -> None:
    result = seedtune("bgp", "archive", archive)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "ris rrc00 updates: 3 files, 2.2 kB, from 2024-03-01 00:00 until 2024-03-01 00:15, 1 missing",
        "missing: ris rrc00 updates: 1 file from 2024-03-01 00:10 until 2024-03-01 00:10",
        "not understood: notes.txt",
    ]


def test_archive_check_finds_damage(archive: Path) -> None:
    result = seedtune("bgp", "archive", archive, "--check")
    assert result.returncode == 1
    assert f"damaged: {updates(15)[1:]}: " in result.stdout


def test_archive_as_json(archive: Path) -> None:
    listing = json.loads(seedtune("bgp", "archive", archive, "--json").stdout)
    [series] = listing["series"]
    assert (series["project"], series["collector"], series["type"]) == ("ris", "rrc00", "updates")
    assert (series["files"], series["first"], series["last"]) == (3, MIDNIGHT, MIDNIGHT + 900)
    assert series["gaps"] == [{"first": MIDNIGHT + 600, "last": MIDNIGHT + 600, "files": 1}]
    assert series["bytes"] == sum(path.stat().st_size for path in archive.rglob("*.gz"))
    assert listing["not_understood"] == ["notes.txt"]
    assert listing["damaged"] is None


def test_an_archive_without_files_says_how_they_are_named(tmp_path: Path) -> None:
    result = seedtune("bgp", "archive", tmp_path)
    assert "rrc00/2024.03/updates.20240301.0000.gz" in result.stdout


# seedtune bgp run


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Counts the elements of updates.gz, which lies beside it, and ends as it is told."""
    path = tmp_path / "count.py"
    path.write_text(
        "import sys\nimport pybgpstream\n"
        'stream = pybgpstream.BGPStream(data_interface="singlefile")\n'
        'stream.set_data_interface_option("singlefile", "upd-file", "updates.gz")\n'
        "print(sum(1 for elem in stream), sys.argv[1:], end='')\n"
        "sys.stderr.write('a word\\n')\n"
        "sys.exit(int(sys.argv[1]) if sys.argv[1:] else 0)\n"
    )
    (tmp_path / "updates.gz").write_bytes(FILES[updates(0)])
    return path


def test_run_passes_on_what_a_program_prints(program: Path) -> None:
    result = seedtune("bgp", "run", program, "--mrt", program.parent / "updates.gz", "--", "0", "--json", "--debug")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "240 ['0', '--json', '--debug']"
    own, report = result.stderr.splitlines()
    assert own == "a word"
    assert report.startswith("finished: ")
    assert report.endswith(", backend seedtune")


def test_run_tells_of_a_program_that_failed(program: Path) -> None:
    result = seedtune("bgp", "run", program, "--mrt", program.parent / "updates.gz", "--", "7")
    assert result.returncode == 1
    assert "failed (exit code 7" in result.stderr.splitlines()[-1]


def test_run_takes_several_files_behind_one_option(tmp_path: Path) -> None:
    """As a shell writes them for --mrt *.gz; they must not become the program's own arguments."""
    for name in ("a.gz", "b.gz"):
        (tmp_path / name).write_bytes(FILES[updates(0)])
    (tmp_path / "list.py").write_text("import os, sys\nprint(sorted(os.listdir()), sys.argv[1:])\n")
    result = seedtune("bgp", "run", "list.py", "--mrt", "a.gz", "b.gz", "--", "own", cwd=tmp_path)
    assert result.stdout == "['a.gz', 'b.gz', 'main.py'] ['own']\n"


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("import pandas", "standard library and pybgpstream alone"),
        ("import pybgpstream; next(iter(pybgpstream.BGPStream('2024-03-01', '2024-03-02')))", "--archive"),
        ("import pybgpstream; next(iter(pybgpstream.BGPStream(project='ris-live')))", "--archive"),
        ("open('routes.csv')", "--mrt"),
        ("open('/tmp/routes.csv', 'w')", "working folder"),
        ("input()", "behind '--'"),
        ("import urllib.request as u; u.urlopen('http://stat.example')", "no network"),
        ("import socket; socket.socket()", "no network"),
        ("while True: print('route')", "--output-mb"),
        ("held = bytearray(1 << 40)", "--memory-mb"),
    ],
)
def test_run_says_what_can_be_done_about_it(source: str, advice: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(source)
    result = seedtune("bgp", "run", tmp_path / "program.py", "--no-lint", "--output-mb", "1")
    assert result.returncode == 1
    said, report = result.stderr.splitlines()[-2:]
    assert said.startswith("advice: ")
    assert advice in said
    assert "backend seedtune" in report


def test_without_walls_nothing_is_said_of_them(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("open('routes.csv')")
    assert "advice" not in seedtune("bgp", "run", tmp_path / "program.py", "--unsafe").stderr


def test_run_reports_on_a_line_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import sys; sys.stderr.write('no newline')")
    result = seedtune("bgp", "run", tmp_path / "program.py")
    first, report = result.stderr.splitlines()
    assert first == "no newline"
    assert report.startswith("finished: ")


def test_run_lets_a_program_print_a_table(tmp_path: Path) -> None:
    """Tutorials print every element: of a RIB, many megabytes."""
    (tmp_path / "program.py").write_text("for _ in range(50_000): print('R|' * 40)")
    result = seedtune("bgp", "run", tmp_path / "program.py")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("\n") == 50_000


def test_run_passes_output_on_as_it_comes_and_keeps_it_when_interrupted(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import time\nprint('routes')\nwhile True: time.sleep(1)\n")
    process = start_seedtune("bgp", "run", tmp_path / "program.py", "--wall-s", "600")
    assert process.stdout is not None
    assert process.stdout.readline() == "routes\n"
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=60)
    assert (process.returncode, shown) == (130, "error interrupted: the program was ended\n")


def test_run_ends_when_nobody_reads_any_more(tmp_path: Path) -> None:
    """As behind | head; 128 + SIGPIPE is what a shell would say."""
    (tmp_path / "program.py").write_text("while True: print('routes')\n")
    process = start_seedtune("bgp", "run", tmp_path / "program.py", "--wall-s", "600", "--output-mb", "9999")
    assert process.stdout is not None
    assert process.stdout.readline() == "routes\n"
    process.stdout.close()
    assert process.wait(60) == 141


def test_a_broken_pipe_leaves_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("while True: print('routes')\n")
    command = [sys.executable, "-m", "seedtune", "bgp", "run", str(tmp_path / "program.py"), "--output-mb", "9999"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment()) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_characters_that_come_in_pieces_are_whole(tmp_path: Path) -> None:
    """And what is no character is replaced, up to an unfinished one at the end."""
    (tmp_path / "program.py").write_text(
        "import os, time\nfor piece in (b'\\xc3', b'\\xa9\\xff', b'\\xe2\\x82'): os.write(1, piece); time.sleep(0.2)\n"
    )
    assert seedtune("bgp", "run", tmp_path / "program.py").stdout == "é\ufffd\ufffd"


@pytest.mark.parametrize(
    ("option", "value"),
    [("--wall-s", "1e30"), ("--wall-s", "nan"), ("--memory-mb", "99999999999999"), ("--output-mb", "0")],
)
def test_a_limit_that_cannot_be_set_is_named_as_the_option_is(option: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("")
    result = seedtune("bgp", "run", tmp_path / "program.py", option, value)
    assert result.returncode == 2
    assert f"for {option}. Must be" in result.stderr.replace('"', "")


def test_an_interrupted_run_does_not_claim_that_anything_is_saved(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import time\nwhile True: time.sleep(1)\n")
    process = start_seedtune("bgp", "run", program, TMPDIR=str(tmp_path))
    deadline = time.monotonic() + 60
    while not any(path.read_bytes() == program.read_bytes() for path in tmp_path.glob("seedtune-sandbox-*/main.py")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "the program was never laid out"
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=60)
    assert process.returncode == 130, shown
    assert "interrupted: the program was ended" in shown
    assert "saved" not in shown


def test_run_as_json(program: Path) -> None:
    result = seedtune("bgp", "run", program, "--mrt", program.parent / "updates.gz", "--json")
    done = json.loads(result.stdout)
    assert (done["outcome"], done["exit_code"], done["stdout"]) == ("finished", 0, "240 []")
    assert done["stderr"] == "a word\n"
    assert (done["backend"], done["findings"]) == ("seedtune", [])
    assert done["level"] in ("bubblewrap", "landlock")


def test_run_ends_what_does_not_end(tmp_path: Path) -> None:
    (tmp_path / "loop.py").write_text("while True: pass\n")
    result = seedtune("bgp", "run", tmp_path / "loop.py", "--wall-s", "1")
    assert result.returncode == 1
    advice, report = result.stderr.splitlines()
    assert "--wall-s" in advice
    assert report.startswith("timeout")


MISUSE = """import pybgpstream
for elem in pybgpstream.BGPStream("2024-03-01", "2024-03-02", collectors="rrc00"):
    print(elem.fields["med"])
"""


def test_run_warns_of_misuse_before(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(MISUSE)
    result = seedtune("bgp", "run", tmp_path / "wrong.py")
    assert f"{tmp_path / 'wrong.py'}:2:" in result.stderr.splitlines()[0]
    assert "string-for-list" in result.stderr
    silent = seedtune("bgp", "run", tmp_path / "wrong.py", "--no-lint")
    assert "string-for-list" not in silent.stderr


def test_run_refuses_what_is_not_there(tmp_path: Path) -> None:
    result = seedtune("bgp", "run", tmp_path / "gone.py")
    assert result.returncode == 2
    assert "gone.py: cannot be read: No such file" in result.stderr


# seedtune bgp lint


def test_lint_shows_place_rule_and_right_form(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(MISUSE)
    (tmp_path / "right.py").write_text("import pybgpstream\n")
    result = seedtune("bgp", "lint", "right.py", "wrong.py", cwd=tmp_path)
    assert result.returncode == 1
    first, right, *_ = result.stdout.splitlines()
    assert re.match(r"wrong\.py:2:\d+: error string-for-list: ", first)
    assert right.startswith("    ")
    assert "collectors=[" in right
    assert re.search(r"^[1-9]\d* errors?, \d+ warnings?$", result.stdout.splitlines()[-1])


def test_lint_goes_on_behind_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes(b"a = 1\nprint('gr\xfc\xdf')\n")
    (tmp_path / "wrong.py").write_text(MISUSE)
    result = seedtune("bgp", "lint", "latin.py", "gone.py", "wrong.py", cwd=tmp_path)
    assert result.returncode == 2
    assert "string-for-list" in result.stdout
    assert result.stdout.endswith("2 programs not read\n")
    assert "latin.py:2: is not UTF-8; save the program as UTF-8" in result.stderr
    assert "gone.py: cannot be read" in result.stderr


def test_lint_passes_over_a_byte_order_mark(tmp_path: Path) -> None:
    """As Python does."""
    (tmp_path / "bom.py").write_text("import pybgpstream\n", encoding="utf-8-sig")
    result = seedtune("bgp", "lint", tmp_path / "bom.py")
    assert result.stdout == "0 errors, 0 warnings\n"


def test_lint_of_sound_programs_is_exit_code_0() -> None:
    result = seedtune("bgp", "lint", *sorted((ROOT / "examples" / "bgp").glob("*.py")))
    assert result.returncode == 0, result.stdout
    assert result.stdout == "0 errors, 0 warnings\n"


def test_lint_as_json(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(MISUSE)
    found = json.loads(seedtune("bgp", "lint", "wrong.py", "--json", cwd=tmp_path).stdout)
    assert {"file": "wrong.py", "line": 2, "level": "error", "rule": "string-for-list"}.items() <= found[0].items()


# The tutorial programs


def test_the_examples_print_what_their_page_shows(mrt_fixtures: Path, tmp_path: Path) -> None:
    """Rewrite the page with SEEDTUNE_UPDATE_GOLDEN=1."""
    page = ROOT / "examples" / "bgp" / "README.md"
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    shell = f'seedtune() {{ "{sys.executable}" -m seedtune "$@"; }}\n'
    ran: list[str] = []

    def run(block: re.Match[str]) -> str:
        shown = ""
        for command in re.findall(r"^\$ (?:.*\\\n> )*.*\n", block[1], re.MULTILINE):
            done = subprocess.run(
                ["bash", "-c", shell + command.removeprefix("$ ").replace("\n> ", "\n")],
                capture_output=True,
                text=True,
                cwd=tmp_path,
                env=clean_environment(MRT=str(mrt_fixtures)),
                check=False,
            )
            assert done.returncode == 0, done.stderr
            shown += command + done.stdout
            ran.append(command)
        return f"```console\n{shown}```"

    text = page.read_text()
    expected = re.sub(r"```console\n(.*?)```", run, text, flags=re.DOTALL)
    assert len(ran) >= 6
    if os.environ.get("SEEDTUNE_UPDATE_GOLDEN"):
        page.write_text(expected)
    assert page.read_text() == expected
