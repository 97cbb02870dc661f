"""What the command binds to and says, without serving for long."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from seedtune.errors import ConfigError
from seedtune.web.serve import PORT, serve


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C as soon as it would serve."""

    def run(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(uvicorn.Server, "run", run)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_ctrl_c_is_the_normal_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert serve(tmp_path) == 0
    assert re.search(r"^studio: http://127\.0\.0\.1:\d+/$", capsys.readouterr().out, re.MULTILINE)


def test_another_address_gets_a_token_that_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serve(tmp_path, host="0.0.0.0", port=0)
    assert re.search(r"/\?token=[\w-]{20,}$", capsys.readouterr().out, re.MULTILINE)


def test_a_taken_port_is_said_and_only_the_usual_one_is_replaced(
    tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=f"--port {taken}"):
        serve(tmp_path, port=taken)
    monkeypatch.setattr("seedtune.web.serve.PORT", taken)
    assert serve(tmp_path) == 0
    assert f":{taken}/" not in capsys.readouterr().out
    assert PORT == 8765


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_that_is_not_this_machines_is_explained(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="--host"):
        serve(tmp_path, host=host)


def test_a_short_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--token"):
        serve(tmp_path, token="secret")
