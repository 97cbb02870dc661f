"""The levels that programs are run at."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seedtune.sandbox import Level
from seedtune.sandbox.levels import problem_with


def _processes_with(token: str) -> list[str]:
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and token.encode() in (entry / "cmdline").read_bytes():
                found.append(entry.name)
        except OSError:  # it has ended
            continue
    return found


@pytest.fixture
def processes_with() -> Callable[[str], list[str]]:
    """Finds the processes of this machine that have a text in their command line."""
    return _processes_with


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After every test, no process that ran in a folder of its runs is left, nor any such folder."""
    tmp_path_factory.getbasetemp()  # where pytest's own folder is decided, before ours takes its place
    folder = Path(tempfile.mkdtemp(prefix="seedtune-tests-"))
    folder.chmod(0o711)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield
    assert _processes_with(str(folder)) == []
    folder.rmdir()


def _required(level: Level) -> Level:
    """``level``; where this machine does not have it the test is skipped, or fails if fixtures are required."""
    problem = problem_with(level)
    if problem and os.environ.get("SEEDTUNE_REQUIRE_FIXTURES"):
        pytest.fail(f"{level}: {problem}")
    if problem:
        pytest.skip(f"{level}: {problem}")
    return level


@pytest.fixture(params=["bubblewrap", "landlock"])
def level(request: pytest.FixtureRequest) -> Level:
    """A safe level."""
    return _required(request.param)


@pytest.fixture(params=["bubblewrap", "landlock", "landlock-1"])
def walls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Level:
    """A safe level; the last is Landlock as its first version was: what later ones shut, the call filter must."""
    if request.param == "landlock-1":
        _required("landlock")
        monkeypatch.setattr("seedtune.sandbox.confined.landlock.abi", lambda: 1)
        return "landlock"
    return _required(request.param)
