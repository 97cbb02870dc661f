"""Which level this machine gives, found out by running something at it."""

import shutil
import subprocess
from functools import cache

from seedtune.errors import SandboxError
from seedtune.sandbox.confined import landlock
from seedtune.sandbox.program import ExecutionResult, Heard, Level, Limits, Program, last_line
from seedtune.sandbox.supervisor import execute

MEND = (
    "install bubblewrap (apt install bubblewrap, dnf install bubblewrap); if it is, open user namespaces"
    " (docs/sandbox.md says how)"
)

_PROBE = """
import os, socket, sys, time

def refused(attempt, *arguments):
    try:
        attempt(*arguments)
    except (FileNotFoundError, PermissionError):
        return True

def start_many():
    try:
        for _ in range(64):
            if not os.fork():
                time.sleep(60)
    except BlockingIOError:
        return True

if not refused(open, "/etc/passwd"):
    sys.exit("files are open")
if not refused(socket.socket):
    sys.exit("the network is open")
if not start_many():
    sys.exit("processes are not limited")
"""


def run_code(
    program: Program, limits: Limits | None = None, level: Level | None = None, heard: Heard | None = None
) -> ExecutionResult:
    """Run a Python program in a process of its own and say what came of it.

    Several threads may run programs at the same time.

    Args:
        program: The program and what it may see.
        limits: What it may use; None is ``Limits()``.
        level: None takes the best one that works here; ``unsafe`` must be asked for.
        heard: Called in this thread with what the program prints, as it comes. However long it takes, the limits hold;
            what it raises ends the program, and is raised here.

    Raises:
        ConfigError: A file or folder of the program does not exist.
        SandboxError: The level cannot be had here; if none was asked for, no safe one can.
    """
    if level is None:
        level, why = best_level()
        if level is None:
            raise SandboxError(f"programs cannot be run safely here: {why}. To mend it: {MEND}")
    try:
        return execute(program, limits or Limits(), level, heard)
    except SandboxError as problem:
        raise SandboxError(f"level {level}: {problem}") from None


def best_level() -> tuple[Level | None, str]:
    """The best safe level that works here, None if there is none, and why it is this one."""
    without_bubblewrap = problem_with("bubblewrap")
    if without_bubblewrap is None:
        return "bubblewrap", f"{_bubblewrap_version()}: a file system, processes and network of its own"
    without_landlock = problem_with("landlock")
    if without_landlock is None:
        return "landlock", f"Landlock ABI {landlock.abi()} and seccomp; bubblewrap: {without_bubblewrap}"
    return None, f"bubblewrap: {without_bubblewrap}; Landlock: {without_landlock}"


@cache
def problem_with(level: Level) -> str | None:
    """Why a level does not work here; None if it does."""
    try:
        result = execute(Program(_PROBE), Limits(processes=8), level)
    except SandboxError as problem:
        return str(problem)
    return None if result.ok else f"a first program was not confined: {last_line(result.stderr) or result.outcome}"


def _bubblewrap_version() -> str:
    bwrap = shutil.which("bwrap") or "bwrap"
    return subprocess.run([bwrap, "--version"], capture_output=True, text=True, check=True).stdout.strip()
