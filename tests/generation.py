"""Run the generation stage against a fake teacher, and look at what it wrote."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from fake_teacher import FakeTeacher
from seedtune import runs
from seedtune.config import Config
from seedtune.domains import load_domain
from seedtune.errors import LimitReached
from seedtune.generate.stage import run_generate

KEY = "sk-very-secret-0123456789"
PRICES = {"input_per_million": 1.0, "output_per_million": 10.0, "as_of": "2026-11-01"}
VIEWS = ("instructions.jsonl", "rejected.jsonl", "funnel.json")
TOKENS_A_REPLY = 150  # What the fake teacher reports.


class Brisk(FakeTeacher):
    """Answers and ends at once: no wait of 40 ms for an acknowledgement, no sixth connection turned away."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._server.RequestHandlerClass.disable_nagle_algorithm = True
        self._server.socket.listen(64)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True).start()
        return self


class ByIndex(Brisk):
    """Faults and delays by the request's index: the run's seed is 0, so each request's own seed is its index."""

    def __init__(self, faults: dict[int, str] | None = None, delays: dict[int, float] | None = None) -> None:
        super().__init__()
        self.by_index = faults or {}
        self.delays = delays or {}
        self.indices: list[int] = []

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        index = int(body["seed"])
        time.sleep(self.delays.get(index, 0.0))
        with self.lock:
            self.indices.append(index)
        if index in self.by_index:
            status = self.by_index[index]
            return int(status), {"error": {"message": f"scripted {status}"}}
        return super().answer(body)


class BySeed(Brisk):
    """Replies follow from the request and its own seed, so that the pool does not fill up; some take longer.

    Attributes:
        indices: Of the requests that were answered, in this order.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.indices: list[int] = []
        self.in_flight = 0

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        with self.lock:
            self.in_flight += 1
        try:
            time.sleep(self.latency * (int(body["seed"]) % 8))
            mark = {"role": "system", "content": str(body["seed"])}
            status, reply = super().answer(body | {"messages": [mark, *body["messages"]]})
        finally:
            with self.lock:
                self.in_flight -= 1
        if status == 200:
            with self.lock:
                self.indices.append(int(body["seed"]))
        return status, reply


Configure = Callable[..., Config]
"""A config for the teacher at a URL; keyword arguments go into ``generate``, and some into the teacher."""


def generate(config: Config) -> Path:
    """Do the stage; the folder of its outputs."""
    domain = load_domain(config.domain)
    with runs.open_run(config) as run:
        run_generate(run, domain)
    return config.run_dir / "generate"


def views(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in VIEWS}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def funnel(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "funnel.json").read_text())
    return content


def stage_of(config: Config) -> dict[str, Any]:
    manifest = json.loads((config.run_dir / "manifest.json").read_text())
    stage: dict[str, Any] = manifest["stages"]["generate"]
    return stage


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in lines(folder / "journal.jsonl") if event["event"] == kind]


def stopped_by(config: Config) -> LimitReached:
    """The limit that stops the stage."""
    try:
        generate(config)
    except LimitReached as stop:
        return stop
    raise AssertionError("no limit stopped it")
