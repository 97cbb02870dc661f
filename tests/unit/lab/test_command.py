"""``python -m lab``: what it says before and after it acts out a scenario."""

import logging
import sys
import threading
from pathlib import Path

import pytest
from lab import __main__ as command
from lab.play import Play


@pytest.fixture
def acted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The scenarios that were acted out; none really is."""
    names: list[str] = []
    monkeypatch.setattr(command, "_lacking", lambda: None)
    monkeypatch.setattr(command, "record", lambda play, target, stop: names.append(play.name))
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    return names


def lab(monkeypatch: pytest.MonkeyPatch, into: Path) -> int:
    monkeypatch.setattr(sys, "argv", ["lab", "06-anycast", "--seed", "dev-1", "--into", str(into)])
    return command.main()


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_acted_out(
    acted: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="2"):
        lab(monkeypatch, tmp_path / "file" / "recordings")
    assert f"cannot write into {tmp_path}/file/recordings: Not a directory; give another" in capsys.readouterr().err
    assert acted == []


def test_a_folder_that_is_not_there_is_made(acted: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert lab(monkeypatch, tmp_path / "new" / "recordings") == 0
    assert acted == ["06-anycast"]
    assert list((tmp_path / "new" / "recordings").iterdir()) == []


def test_a_disk_that_fails_later_is_an_error_of_the_scenario_alone(
    acted: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(play: Play, target: Path, stop: threading.Event) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(command, "record", fail)
    with caplog.at_level(logging.ERROR):
        assert lab(monkeypatch, tmp_path) == 1
    assert "06-anycast dev-1 failed: [Errno 28] No space left on device" in caplog.text
