"""Running programs of a domain: once each, a slow one twice, the second time alone."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from seedtune.domains.running import Data, Runner, ending
from seedtune.errors import SandboxError
from seedtune.sandbox import ExecutionResult, Limits, Outcome


def result(outcome: Outcome, **fields: Any) -> ExecutionResult:
    seen: dict[str, Any] = {"exit_code": 0, "signal": None, "stdout": "", "stderr": "", "truncated": False}
    return ExecutionResult(outcome, **seen | {"wall_s": 0, "cpu_s": 0, "peak_mb": 0, "level": "unsafe"} | fields)


class Fake:
    """Stands in for a domain's run_program."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.ran: list[str] = []
        self.inside = 0
        self.beside: list[int] = []
        self.lock = threading.Lock()
        self.hold = threading.Event()
        self.hold.set()

    def __call__(self, source: str, data: Data, limits: Limits) -> ExecutionResult:
        with self.lock:
            self.ran.append(source)
            self.inside += 1
            self.beside.append(self.inside)
            outcome = self.outcomes.pop(0) if self.outcomes else "finished"
        if source == "held":
            self.hold.wait(10)
        with self.lock:
            self.inside -= 1
        return result(outcome)


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def made(fake: Fake, workers: int = 2) -> Runner:
        (tmp_path / "programs.py").write_text("def run_program(source, data, limits): ...\n")
        runner = Runner(tmp_path, workers)
        runner._run_program = fake  # pyright: ignore[reportPrivateUsage]
        return runner

    return made


def test_the_same_program_on_the_same_data_is_run_once(make: Any, tmp_path: Path) -> None:
    fake = Fake()
    runner, (one, other) = make(fake), (tmp_path / "one", tmp_path / "other")
    one.write_text("same")
    other.write_text("same")
    for path in (one, other):
        runner.run("a", Data({"name": path}), Limits())
    assert fake.ran == ["a"]
    other.write_text("more")
    runner.run("a", Data({"name": other}), Limits())
    runner.run("a", Data({"name": one}, arguments=("x",)), Limits())
    runner.run("a", Data({"name": one}), Limits(), again=True)
    assert len(fake.ran) == 4


@pytest.mark.parametrize("outcome", ["timeout", "cpu"])
def test_a_run_that_takes_too_long_is_done_once_more(make: Any, outcome: Outcome) -> None:
    assert make(Fake(outcome, "finished")).run("a", Data(), Limits()).outcome == "finished"
    assert make(Fake(outcome, outcome, "finished")).run("a", Data(), Limits()).outcome == outcome


def test_the_second_time_nothing_runs_beside_it(make: Any) -> None:
    fake = Fake()
    runner = make(fake)
    fake.hold.clear()
    with ThreadPoolExecutor(2) as pool:
        held = pool.submit(runner.run, "held", Data(), Limits())
        while not fake.inside:
            pass
        fake.outcomes = ["timeout"]
        slow = pool.submit(runner.run, "slow", Data(), Limits())
        while len(fake.ran) < 2:
            pass
        assert not slow.done()
        fake.hold.set()
        assert (held.result(10).outcome, slow.result(10).outcome) == ("finished", "finished")
    assert fake.ran == ["held", "slow", "slow"]
    assert fake.beside == [1, 2, 1]


def test_what_a_run_raises_is_raised_for_everyone_who_asks(make: Any) -> None:
    def fail(source: str, data: Data, limits: Limits) -> ExecutionResult:
        raise SandboxError("none works")

    runner = make(Fake())
    runner._run_program = fail
    for _ in range(2):
        with pytest.raises(SandboxError, match="none works"):
            runner.run("a", Data(), Limits())


def test_how_a_run_ended_is_told_without_its_cost() -> None:
    assert ending(result("failed", exit_code=1, stderr="Traceback\nValueError: x\n")) == "ValueError: x"
    assert ending(result("failed", exit_code=3)) == "it ended with exit code 3"
    assert ending(result("signal", signal="SIGSEGV")) == "it was ended by SIGSEGV"
