"""Runs that the studio starts and stops: only its own, and never one for another."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seedtune.errors import ConfigError, RunError
from seedtune.web import children as module
from seedtune.web.children import Child, Children, process_start
from seedtune.web.folders import RunsFolder
from studio_page import Page
from studio_run import verdicts, write_run

SLEEPER = """
import sys, time
print("working", sys.argv[1:], flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("saved", flush=True)
"""


@pytest.fixture
def sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In the command line's place: a program that works until Ctrl-C, and saves."""
    package = tmp_path / "elsewhere" / "seedtune"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(SLEEPER)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def remember(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(module.subprocess, "Popen", remember)
    before = signal.getsignal(signal.SIGINT)
    # A shell that starts the tests in the background has children ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
    for process in started:
        process.kill()
        process.wait()


def until(happened: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "configs" / "small.yaml"
    path.parent.mkdir()
    path.write_text("seed: 1\n")
    return path


def log(runs_dir: Path, name: str = "small") -> str:
    path = runs_dir / name / "studio.log"
    return path.read_text() if path.exists() else ""


def test_a_run_is_started_watched_and_stopped(sleeper: None, config: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    page = Page(runs, configs=[config])
    name = page.client.get("/api/runs").json()["configs"][0]
    command = page.post("/api/start/preview", {"config": name})["command"]
    started = page.post("/api/start", {"config": name})
    assert started == {"run": "small", "command": command}
    assert command.startswith(f"seedtune run {name} --set ")
    until(lambda: "working" in log(runs))
    assert f'runs_dir="{runs}"' in log(runs)
    said = page.client.get("/api/runs/small").json()
    assert (said["state"], said["worker"], said["command"]) == ("working", "studio", command)
    assert said["commands"]["stop"] == f"kill -INT {json.loads((runs / 'small' / 'studio.json').read_text())['pid']}"
    page.post("/api/start", {"config": name}, 409)
    page.post("/api/runs/small/stop", {})
    until(lambda: "saved" in log(runs))
    until(lambda: page.client.get("/api/runs/small").json()["worker"] == "")
    page.post("/api/runs/small/stop", {}, 409)


def test_a_studio_that_was_started_again_finds_the_process(sleeper: None, config: Path, tmp_path: Path) -> None:
    runs = RunsFolder(tmp_path / "runs")
    first = Children(runs)
    run = first.start(first.command("generate", config, "mine"))
    again = Children(runs)
    assert again.state(run) == "studio"
    until(lambda: "working" in log(runs.path, "mine"))
    again.stop(run)
    until(lambda: first.state(run) == "")


def test_a_process_that_only_has_the_same_id_is_never_stopped(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "one", verdicts(2))
    children = Children(RunsFolder(tmp_path / "runs"))
    run = RunsFolder(tmp_path / "runs").run("one")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        try:
            for started in ("", "boot/1", "None"):
                child = Child(pid=other.pid, started=started, command="seedtune run", at="")
                (run.path / "studio.json").write_text(child.model_dump_json())
                with pytest.raises(RunError, match="no process of the studio"):
                    children.stop(run)
            assert other.poll() is None
        finally:
            other.kill()


def test_a_run_that_somebody_else_works_in_is_seen_and_left_alone(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "one", verdicts(2))
    children, run = Children(RunsFolder(tmp_path / "runs")), RunsFolder(tmp_path / "runs").run("one")
    lock = run.path / ".lock"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "seedtune"]) as other:
        try:
            lock.write_text(str(other.pid))
            assert children.state(run) == "elsewhere"
            with pytest.raises(RunError, match="started elsewhere"):
                children.stop(run)
            with pytest.raises(RunError, match="works in this run already"):
                children.start(children.command("run", run.path / "config.yaml"))
        finally:
            other.kill()
    assert children.state(run) == ""
    lock.write_text(str(os.getppid()))
    # The process id of the lock may be another program's by now.
    assert children.state(run) in {"", "elsewhere"}


def test_an_ended_process_has_no_start() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        until(lambda: process_start(process.pid) is None)
    assert process_start(os.getpid())
    assert process_start(os.getpid()) == process_start(os.getpid())


def test_only_offered_configs_can_be_started(config: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("name: other\n")
    page = Page(tmp_path / "runs", configs=[config])
    for name in (str(other), "../other.yaml", "/etc/passwd", ""):
        assert "no config that the studio offers" in page.post("/api/start", {"config": name}, 422)["error"]
    page.post("/api/start", {"config": str(config), "run": "../other"}, 409)
    page.post("/api/start", {"config": str(config), "run": "x --set name=y"}, 409)
    page.post("/api/start", {"config": str(config), "verb": "push"}, 422)
    assert not (tmp_path / "runs").exists()


def test_a_wrong_config_starts_nothing_and_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("trian: {}\n")
    page = Page(tmp_path / "runs", configs=[path])
    assert "trian" in page.post("/api/start", {"config": str(path)}, 422)["error"]


def test_a_run_goes_on_from_its_own_config_wherever_that_was_made(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "one", verdicts(2))
    (tmp_path / "runs" / "one" / "config.yaml").write_text("name: one\nruns_dir: somewhere/else\n")
    children = Children(RunsFolder(tmp_path / "runs"))
    words = children.command("run", tmp_path / "runs" / "one" / "config.yaml")
    assert words[-1] == f'runs_dir="{tmp_path / "runs"}"'
    (tmp_path / "bad.yaml").write_text("nmae: x")
    with pytest.raises(ConfigError):
        children.command("run", tmp_path / "bad.yaml")


def test_the_log_is_read_on_from_where_it_was_and_shown_as_text(runs_dir: Path) -> None:
    page = Page(runs_dir)
    path = runs_dir / "one" / "studio.log"
    path.write_text("first \x1b[31mred\x1b[0m\nhalf")
    said = page.get("/log")
    assert said == {"text": "first \\x1b[31mred\\x1b[0m\n", "at": 19, "cut": False}
    path.write_text(path.read_text() + " a line\n")
    assert page.get("/log", at=said["at"])["text"] == "half a line\n"
    path.write_text("x" * 99 + "\n" + "y" * 250_000 + "\nend\n")
    assert page.get("/log")["cut"]
    # A shorter file is another one.
    path.write_text("new\n")
    assert page.get("/log", at=999)["text"] == "new\n"


def test_the_list_says_what_each_run_came_to(runs_dir: Path) -> None:
    (run,) = Page(runs_dir).client.get("/api/runs").json()["runs"]
    assert (run["name"], run["state"], run["cost"]) == ("one", "partly done", "1.25 USD")
    assert [stage["state"] for stage in run["stages"]] == ["done", "not begun", "not begun"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"stages": 3}', '{"stages": {"generate": []}}', "\x00"])
def test_half_written_files_break_no_list(runs_dir: Path, content: str) -> None:
    for name in ("manifest.json", "studio.json", "generate/funnel.json", "generate/progress.json"):
        (runs_dir / "one" / name).write_text(content)
    page = Page(runs_dir)
    (run,) = page.client.get("/api/runs").json()["runs"]
    assert run["state"] == "not begun"
    assert page.client.get("/api/runs/one").status_code == 200


def test_a_stage_that_stands_on_one_that_is_done_anew_is_outdated(runs_dir: Path) -> None:
    """The numbers of its evaluation are those of the model that was there before."""
    stages = {"generate": {"state": "done"}, "train": {"state": "stopped"}, "evaluate": {"state": "done"}}
    (runs_dir / "one" / "manifest.json").write_text(json.dumps({"stages": stages}))
    (run,) = Page(runs_dir).client.get("/api/runs").json()["runs"]
    assert [stage["state"] for stage in run["stages"]] == ["done", "stopped", "outdated"]
    assert run["state"] == "stopped"


def test_a_killed_stage_stands_as_stopped(runs_dir: Path) -> None:
    manifest = {"stages": {"generate": {"state": "running", "seconds": 3}}}
    (runs_dir / "one" / "manifest.json").write_text(json.dumps(manifest))
    (run,) = Page(runs_dir).client.get("/api/runs").json()["runs"]
    assert run["stages"][0]["state"] == "stopped"
