"""What came of a run, judged from outside after it ended. Pure.

How each limit shows:

- ``timeout``, ``output``, and ``cpu``, ``memory`` of all processes together: seedtune measured it, and stopped the run
  if it had not just ended.
- ``file-size`` of all files together: the monitor measured it.
- ``cpu``, ``memory`` by a signal of the kernel: believed only if the use that the kernel accounts for confirms it.
- ``memory`` (``MemoryError``, or too little of it for Python to start), ``file-size`` (``EFBIG``, ``ENOSPC``) and
  ``processes`` (``EAGAIN``) of a program that then ended by itself with an exit code: the words of its standard error.
  The kernel keeps no other trace of a refused request. A program can feign these, but not its way out of having failed.
"""

import os
import re
import signal
from dataclasses import dataclass

from seedtune.sandbox.program import ExecutionResult, Level, Limits, Outcome, last_line

_NEARLY = 0.9

_OUT_OF_MEMORY = re.compile(r"MemoryError\b|OSError: \[Errno 12\]")
_NOT_STARTED = re.compile(
    r"error while loading shared libraries: .*(failed to map segment|cannot allocate memory)"
    r"|^Fatal Python error: \w*init",
    re.MULTILINE | re.IGNORECASE,
)
"""Of the loader, and of Python: both start everywhere but where memory is short."""
_OUT_OF_SPACE = re.compile(r"OSError: \[Errno (27|28)\]")
_OUT_OF_PROCESSES = re.compile(r"^(BlockingIOError: \[Errno 11\]|RuntimeError: can't start new thread)", re.MULTILINE)
"""Any line: the processes of a fork bomb all speak at once."""


@dataclass(frozen=True)
class Observed:
    """What was measured."""

    stopped: Outcome | None
    """The limit for which seedtune or the monitor stopped the run."""
    status: int
    """Of the program, as waitpid(2) gives it."""
    stdout: bytes
    stderr: bytes
    truncated: bool
    wall_s: float
    cpu_s: float
    largest_mb: float
    """Resident memory of the largest process that ended."""
    together_mb: float
    """Resident memory of all processes, the most that was seen."""
    full: bool
    """No more could be written at the end."""


def judge(seen: Observed, limits: Limits, level: Level) -> ExecutionResult:
    """Put the measurements into words."""
    stderr = seen.stderr.decode("utf-8", "replace")
    code = os.waitstatus_to_exitcode(seen.status)
    return ExecutionResult(
        outcome=_outcome(seen, code, stderr, limits),
        exit_code=code if code >= 0 else None,
        signal=_signal_name(-code) if code < 0 else None,
        stdout=seen.stdout.decode("utf-8", "replace"),
        stderr=stderr,
        truncated=seen.truncated,
        wall_s=seen.wall_s,
        cpu_s=seen.cpu_s,
        peak_mb=max(seen.largest_mb, seen.together_mb),
        level=level,
    )


def _outcome(seen: Observed, code: int, stderr: str, limits: Limits) -> Outcome:
    if seen.stopped is not None:
        return seen.stopped
    if seen.cpu_s > limits.cpu_s:
        return "cpu"
    if seen.wall_s > limits.wall_s:
        return "timeout"
    if code < 0:
        return _of_signal(-code, seen, limits)
    if code == 0:
        return "finished"
    last = last_line(stderr)
    if _OUT_OF_MEMORY.match(last) or _NOT_STARTED.search(stderr):
        return "memory"
    if _OUT_OF_SPACE.match(last) or seen.full:
        return "file-size"
    return "processes" if _OUT_OF_PROCESSES.search(stderr) else "failed"


def _of_signal(number: int, seen: Observed, limits: Limits) -> Outcome:
    if number in (signal.SIGXCPU, signal.SIGKILL) and seen.cpu_s >= _NEARLY * limits.cpu_s:
        return "cpu"
    if number == signal.SIGKILL and max(seen.largest_mb, seen.together_mb) >= _NEARLY * limits.memory_mb:
        return "memory"
    return "file-size" if number == signal.SIGXFSZ else "signal"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
