"""SIGKILL at any moment: the same bytes in the end, and no recorded reply is paid for again."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from generation import BySeed, Configure, generate, views
from seedtune.config import Config

_TESTS = Path(__file__).parents[2]
CONCURRENCY = 64


class Nursery:
    """A process without threads that has done a small run, so that all is imported; it forks those that are killed."""

    def __init__(self, small: Config) -> None:
        path = os.pathsep.join((str(_TESTS), os.environ.get("PYTHONPATH", "")))
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )
        self._ask(small.model_dump_json())

    def start(self, config: Config) -> int:
        """The id of a process that does the stage; it stays its own until :meth:`end`."""
        return self._ask(config.model_dump_json())

    def end(self) -> int:
        """Wait for it: 0 or 1, or minus the signal that ended it."""
        return self._ask("end")

    def close(self) -> None:
        """No worker is left."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def _ask(self, line: str) -> int:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def nursery(small: Config) -> Generator[Nursery]:
    opened = Nursery(small)
    try:
        yield opened
    finally:
        opened.close()


def serve() -> None:
    """What the nursery does."""
    generate(Config.model_validate_json(sys.stdin.readline()))
    say(0)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                generate(Config.model_validate_json(line))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        say(child)
        sys.stdin.readline()
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def recorded(folder: Path) -> set[int]:
    """Requests with a reply in the journal, whose last line may be torn."""
    path = folder / "journal.jsonl"
    whole = path.read_bytes().rpartition(b"\n")[0].splitlines() if path.exists() else []
    found: list[dict[str, Any]] = [json.loads(line) for line in whole if b'"reply"' in line]
    return {event["reply"]["index"] for event in found if event["event"] == "reply"}


def at_a_random_moment(draw: random.Random, server: BySeed) -> None:
    """Wait for some requests and a little longer, or for a time in which the process may only just begin."""
    if draw.random() < 0.2:
        time.sleep(draw.random() * 0.3)
        return
    enough, deadline = server.received + draw.randrange(1, 12), time.monotonic() + 10
    while server.received < enough and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(draw.random() * 0.02)


def survives(server: BySeed, config: Config, small: Config, kills: int, seed: int) -> int:
    """Kill the stage ``kills`` times at most, then let it end. Each session pays for nothing that is recorded.

    Returns:
        How often it was killed.
    """
    draw, folder, killed = random.Random(seed), config.run_dir / "generate", 0
    with nursery(small) as workers:
        while True:
            before, paid = recorded(folder), len(server.indices)
            child = workers.start(config)
            if killed < kills:
                at_a_random_moment(draw, server)
                os.kill(child, signal.SIGKILL)
            how = workers.end()
            while server.in_flight:
                time.sleep(0.001)
            answered = server.indices[paid:]
            assert before.isdisjoint(answered)
            assert len(set(answered)) == len(answered)
            if how == 0:
                assert set(answered) <= recorded(folder)
                return killed
            assert how == -signal.SIGKILL
            assert len(set(answered) - recorded(folder)) <= CONCURRENCY
            killed += 1


def configured(configure: Configure, url: str, name: str, goal: int, **generate: Any) -> Config:
    return configure(url, goal, 4 if name == "calm" else CONCURRENCY, name, **generate)


@pytest.mark.slow
def test_a_run_killed_fifty_times_ends_with_the_same_bytes_and_pays_for_nothing_twice(configure: Configure) -> None:
    with BySeed() as server:
        expected = views(generate(configured(configure, server.url, "calm", 450)))
    killed, runs = 0, 0
    while killed < 50:
        # A fast machine ends a run before it is killed so often.
        runs += 1
        with BySeed(latency=0.004) as server:
            small = configured(configure, server.url, f"small{runs}", 1)
            config = configured(configure, server.url, f"killed{runs}", 450)
            killed += survives(server, config, small, kills=50 - killed, seed=runs)
        assert views(config.run_dir / "generate") == expected


def test_a_classic_run_with_a_judge_killed_again_and_again_ends_with_the_same_bytes(configure: Configure) -> None:
    how: dict[str, Any] = {"mode": "classic", "judge": {}, "lookahead": 16}
    with BySeed() as server:
        expected = views(generate(configured(configure, server.url, "calm", 30, **how)))
    with BySeed(latency=0.004) as server:
        small, config = (configured(configure, server.url, *run, **how) for run in (("small", 1), ("killed", 30)))
        assert survives(server, config, small, kills=6, seed=2) >= 3
    assert views(config.run_dir / "generate") == expected


if __name__ == "__main__":
    serve()
