"""Start and stop the command line as a child process that outlives page and studio.

``studio.json`` in the run folder says which process it is: its id and when it started, so that a studio that was
started again finds it, and never takes another process with the same id for it. What it says goes to ``studio.log``.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Literal

from pydantic import BaseModel, ValidationError

from seedtune import console
from seedtune.config import load_config
from seedtune.errors import RunError
from seedtune.records import write_atomic
from seedtune.web.folders import RunFolder, RunsFolder

Verb = Literal["run", "generate", "train", "evaluate"]
RECORD, LOG = "studio.json", "studio.log"


class Child(BaseModel):
    """A process that the studio started."""

    pid: int
    started: str
    """:func:`process_start` of it."""
    command: str
    """As a person would type it."""
    at: str


class Children:
    """The processes of all runs."""

    def __init__(self, runs: RunsFolder) -> None:
        self._runs = runs
        self._lock = Lock()
        self._own: list[subprocess.Popen[bytes]] = []
        """Children of this studio: an ended one stays a zombie until it is asked for."""

    def command(self, verb: Verb, config: Path, name: str | None = None) -> list[str]:
        """The words behind ``seedtune`` that do this.

        Args:
            verb: What to do.
            config: A config file.
            name: The run's name; None is the config's own.

        Raises:
            ConfigError: the config is wrong.
        """
        overrides = [f"name={name}"] if name else []
        if load_config(config, overrides).runs_dir.resolve() != self._runs.path:
            overrides.append(f"runs_dir={json.dumps(console.relative(self._runs.path), ensure_ascii=False)}")
        return [verb, console.relative(config), *(word for override in overrides for word in ("--set", override))]

    def start(self, arguments: Sequence[str]) -> RunFolder:
        """Start ``seedtune`` with these arguments of :meth:`command`.

        Returns:
            The run that it works in.

        Raises:
            ConfigError: the config is wrong.
            RunError: something works in this run already, or its folder cannot be written.
        """
        overrides = [word for flag, word in pairwise(arguments) if flag == "--set"]
        run = RunFolder(self._runs.place(load_config(Path(arguments[1]), overrides).name))
        with self._lock:
            if state := self.state(run):
                raise RunError(f"{run.name}: a process works in this run already ({state}); stop it, or wait for it")
            try:
                run.path.mkdir(parents=True, exist_ok=True)
                self._spawn(run, arguments)
            except OSError as problem:
                raise RunError(f"{run.path}: the run cannot be started: {problem.strerror}") from problem
        return run

    def _spawn(self, run: RunFolder, arguments: Sequence[str]) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        command = typed(arguments)
        with run.file(LOG).open("ab") as log:
            log.write(f"{at} $ {command}\n".encode())
            log.flush()
            process = subprocess.Popen(
                [sys.executable, "-m", "seedtune", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "NO_COLOR": "1"},
                # A session of its own: neither the studio's Ctrl-C nor its terminal's end reaches it.
                start_new_session=True,
            )
        self._own.append(process)
        child = Child(pid=process.pid, started=process_start(process.pid) or "", command=command, at=at)
        write_atomic(run.file(RECORD), child.model_dump_json(indent=2) + "\n")

    def stop(self, run: RunFolder) -> Child:
        """Ask the run's process to save its work and end, as Ctrl-C does.

        Raises:
            RunError: no process of the studio works in this run.
        """
        child = self.child(run)
        if child is None:
            elsewhere = " it was started elsewhere: stop it there, with Ctrl-C" if self.state(run) else ""
            raise RunError(f"{run.name}: no process of the studio works in this run{elsewhere and ';'}{elsewhere}")
        os.kill(child.pid, signal.SIGINT)
        return child

    def child(self, run: RunFolder) -> Child | None:
        """The process of the studio that works in a run now."""
        self._own = [process for process in self._own if process.poll() is None]
        child = last_child(run)
        # The same id and the same start: it is the process that was recorded, not one that came after it.
        return child if child and child.started and process_start(child.pid) == child.started else None

    def state(self, run: RunFolder) -> Literal["", "studio", "elsewhere"]:
        """Who works in a run now: nobody, a child of a studio, or a process that somebody started elsewhere."""
        if self.child(run):
            return "studio"
        try:
            pid = int(run.file(".lock").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return ""
        # The lock's file stays when a run ends, and its process id may be another's by now.
        return "elsewhere" if process_start(pid) and "seedtune" in _command_line(pid) else ""


def typed(arguments: Sequence[str]) -> str:
    """A command line as a person would type it."""
    return shlex.join(["seedtune", *arguments])


def last_child(run: RunFolder) -> Child | None:
    """The process that the studio started last in a run, whether it still works or not."""
    try:
        return Child.model_validate_json(run.file(RECORD).read_bytes())
    except (OSError, ValidationError):
        return None


def process_start(pid: int) -> str | None:
    """When a process started, in words that no other process with this id shares; None if it does not work."""
    if not Path("/proc/self/stat").exists():
        return _ask_ps(pid, "lstart=")
    try:
        # The name, in brackets, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    state, ticks = fields[0], fields[19]
    return None if state in "ZX" else f"{boot}/{ticks}"


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _ask_ps(pid, "command=") or ""


def _ask_ps(pid: int, column: str) -> str | None:
    """Where there is no /proc (macOS)."""
    try:
        result = subprocess.run(["ps", "-o", column, "-p", str(pid)], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return result.stdout.strip() or None
