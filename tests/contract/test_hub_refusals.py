"""What the hub refuses to give is said with what to do about it: a gated model, one that is not there or not yours."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conftest import seedtune


class Refusing(BaseHTTPRequestHandler):
    """Answers everything as the hub answers about ``lab/gated`` and about names that it does not tell of."""

    def do_GET(self) -> None:
        is_gated = "lab/gated" in self.path
        self.send_response(403 if is_gated else 401)
        self.send_header("X-Error-Code", "GatedRepo" if is_gated else "RepoNotFound")
        self.send_header("X-Error-Message", "Access to model lab/gated is restricted." if is_gated else "Not found.")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("lab/gated", ["lab/gated: this model is gated", "accept its licence", "HF_TOKEN"]),
        ("lab/nowhere", ["lab/nowhere: the hub knows no such model", "HF_TOKEN"]),
    ],
)
@pytest.mark.parametrize("command", ["check", "plan", "train"])
def test_a_model_that_the_hub_does_not_give_is_said(
    hub: str, tmp_path: Path, command: str, model: str, words: list[str]
) -> None:
    environment = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path), "HF_TOKEN": ""}
    settings = ["--set", f"model.name={model}", "--set", "train.computed_tasks=10", "--set", f"runs_dir={tmp_path}"]
    result = seedtune(command, *settings, cwd=tmp_path, **environment)
    assert result.returncode == 1, result.stdout
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    assert not list(tmp_path.glob("*/train"))
