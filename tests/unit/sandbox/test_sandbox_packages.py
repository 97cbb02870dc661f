"""What is installed beside the interpreter's own library, seedtune itself included, stays closed to programs."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seedtune.sandbox import ExecutionResult, Level, Limits, Program, interpreter, run_code

SEARCH = """
import os, sys
for top in ("/", *sys.argv[1:]):
    for folder, _, names in os.walk(top):
        for name in names:
            if name in ("answers.jsonl", "library.py"):
                try:
                    print(name, open(os.path.join(folder, name)).read())
                except OSError:
                    pass
"""
PACKAGES = [
    "python3.11/site-packages/seedtune/answers.jsonl",
    "python3.11/site-packages/answers.jsonl",
    "python3/dist-packages/other/answers.jsonl",
    "an/application/lib/python3.9/site-packages/seedtune/answers.jsonl",
]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The ``lib`` of a base interpreter that packages can be installed into; Python itself reads its own as well."""
    own = (str(Path(sys.base_prefix) / "lib"), str(Path(sys.base_exec_prefix) / sys.platlibdir))
    # Not tmp_path: another user, whom a program becomes where seedtune is root, could not reach it anyway.
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder).resolve()
        prefix.chmod(0o755)
        (prefix / "lib").mkdir()
        put(prefix / "lib" / "python3.11" / "library.py", "is there")
        monkeypatch.setattr(sys, "base_prefix", str(prefix))
        monkeypatch.setattr(interpreter, "_LIBRARIES", (*interpreter._LIBRARIES, *own))  # pyright: ignore
        yield prefix / "lib"
        interpreter.base_interpreter.cache_clear()


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def found(library: Path, walls: Level) -> str:
    """What a program that searches the whole disk can read of our files."""
    result = run(SEARCH, walls, arguments=[str(library), str(library / "python3.11"), str(library / "packages")])
    assert result.ok, result.stderr
    return "\n".join(sorted(set(result.stdout.splitlines())))


def run(code: str, walls: Level, **program: Any) -> ExecutionResult:
    interpreter.base_interpreter.cache_clear()  # what is installed is looked up once
    return run_code(Program(code, **program), Limits(cpu_s=60, wall_s=120), walls)


def test_installed_packages_cannot_be_read_but_the_library_can(library: Path, walls: Level) -> None:
    for name in PACKAGES:
        put(library / name, "zebra")
    assert found(library, walls) == "library.py is there"


def test_packages_behind_a_link_cannot_be_read(library: Path, walls: Level) -> None:
    put(library / "packages" / "seedtune" / "answers.jsonl", "zebra")
    (library / "python3.11" / "site-packages").symlink_to(library / "packages")
    assert found(library, walls) == "library.py is there"


def test_a_link_beside_packages_opens_nothing(library: Path, walls: Level) -> None:
    """Under Landlock each neighbour of a closed folder is opened by itself; what a link leads to is no neighbour."""
    put(library / PACKAGES[0], "zebra")
    secret = put(library.parent / "etc" / "answers.jsonl", "zebra").parent
    (library / "python3.11" / "link").symlink_to(secret)
    (library / "python3.11" / "answers.jsonl").symlink_to(secret / "answers.jsonl")
    assert found(library, walls) == "library.py is there"


@pytest.mark.parametrize("is_checkout", [False, True])
def test_seedtune_cannot_be_read_wherever_it_lies(
    is_checkout: bool, library: Path, walls: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a checkout neither what lies beside the package: tests know what is expected, too."""
    package = library / "python3.11" / "project" / "src" / "seedtune"
    put(package / "answers.jsonl", "zebra")
    if is_checkout:
        put(package.parent.parent / "pyproject.toml", "")
        put(package.parent.parent / "tests" / "answers.jsonl", "zebra")
    monkeypatch.setattr(interpreter, "_SEEDTUNE", package)
    assert found(library, walls) == "library.py is there"


def test_nothing_can_be_written_where_packages_are_hidden(library: Path, walls: Level) -> None:
    answers = put(library / PACKAGES[0], "zebra")
    packages = answers.parent.parent
    packages.chmod(0o777)
    deeds = [f"open({str(packages / 'new')!r}, 'w')", f"os.mkdir({str(packages / 'folder')!r})"]
    for deed in [*deeds, f"open({str(answers)!r}, 'w')"]:
        result = run(f"import os\n{deed}", walls)
        assert result.outcome == "failed"
        assert "Error: [Errno" in result.stderr
    assert (list(packages.iterdir()), answers.read_text()) == ([answers.parent], "zebra")


def test_what_a_caller_gives_is_there_also_from_among_packages(library: Path, walls: Level) -> None:
    put(library / PACKAGES[0], "zebra")
    data = put(library / "python3.11" / "site-packages" / "seedtune" / "data.mrt", "given")
    module = put(library / "python3.11" / "site-packages" / "given" / "module.py", "NAME = 'imported'")
    code = "import module; print(module.NAME, open('data.mrt').read())"
    result = run(code, walls, files={"data.mrt": data}, import_path=[module.parent])
    assert result.stdout == "imported given\n", result.stderr
