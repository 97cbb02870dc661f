"""Run programs of a model on a domain's data: several at a time, each only once, in the sandbox.

A domain whose answers are programs brings ``programs.py``:

| function | gives |
| --- | --- |
| ``run_program(source, data, limits)`` | the :class:`~seedtune.sandbox.ExecutionResult` of one run |
| ``misuse(stderr)`` | how the domain's library was misused, in words; empty where that did not end the program |
| ``trials(source, folder)`` | two :class:`Data` or more to try it on, with files in ``folder``; none for a fragment |
| ``wrong_value(prompt, source, data, outputs)`` | what should have been printed; empty for what was |
| ``command_line(data)`` | the command that runs a saved ``program.py`` on the same data, for the studio to show |

``trials`` and ``wrong_value`` are for verified programs in ``generate``; the last two are optional. ``prompt`` is the
instruction with its input; :func:`~seedtune.domains.self_contained.is_self_contained` helps to tell a fragment.
"""

import os
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from seedtune.domains.own_code import own_function
from seedtune.errors import DomainError
from seedtune.records import content_id, file_sha256
from seedtune.sandbox import ExecutionResult, Limits, Outcome
from seedtune.sandbox.program import last_line

PROGRAMS = "programs.py"

_REMEMBERED = 4096
"""Results that are kept to be given again."""

WAITING = 5.0
"""Wall time that a program may take for each second of CPU time: other work on the machine stretches the one only."""


@dataclass(frozen=True)
class Data:
    """What a program is run on."""

    files: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Name in the working folder -> file on this machine."""
    replay: str | None = None
    """Data comes in as if live: a speed, or ``max``."""
    arguments: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Content hash; where the files lie does not count."""
        files = {name: _sha256(path, path.stat().st_mtime_ns) for name, path in self.files.items()}
        return content_id(files, self.replay, self.arguments)


RunProgram = Callable[[str, Data, Limits], ExecutionResult]


class Runner:
    """Runs programs of one domain; several threads may ask at the same time.

    A run that took too long is done once more, with no other beside it: a busy machine changes no result.
    """

    def __init__(self, folder: Path, workers: int | None = None) -> None:
        """Find the domain's own code.

        Args:
            folder: The domain's.
            workers: Runs at one time; None is the number of CPUs.

        Raises:
            DomainError: the domain runs no programs.
        """
        run = own_function(folder, PROGRAMS, "run_program")
        if run is None:
            raise DomainError(f"{folder / PROGRAMS}: there is no such file, and programs are to be run; see {__name__}")
        self._run_program: RunProgram = run
        self.workers = workers or os.cpu_count() or 1
        self._gate = _Gate(self.workers)
        self._runs: dict[str, Future[ExecutionResult]] = {}
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """See that programs can be run here.

        Raises:
            SandboxError: they cannot.
        """
        self.run("print()", Data(), Limits())

    def run(self, source: str, data: Data, limits: Limits, again: bool = False) -> ExecutionResult:
        """What came of a run; of one that was done before, the same result.

        Args:
            source: The program.
            data: What it is run on.
            limits: What it may use.
            again: It is a second run that is asked for, to be compared with the first.

        Raises:
            SandboxError: this machine cannot run a program apart from itself.
        """
        key = content_id(source, data.digest, asdict(limits), again)
        with self._lock:
            known = self._runs.get(key)
            mine = self._runs.setdefault(key, Future())
            if len(self._runs) > _REMEMBERED:
                del self._runs[next(iter(self._runs))]
        if known is None:
            try:
                mine.set_result(self._run(source, data, limits))
            except BaseException as problem:
                mine.set_exception(problem)
        return mine.result()

    def _run(self, source: str, data: Data, limits: Limits) -> ExecutionResult:
        with self._gate.places(1):
            result = self._run_program(source, data, limits)
        if result.outcome not in ("timeout", "cpu"):
            return result
        with self._gate.places(self.workers):
            return self._run_program(source, data, limits)


class _Gate:
    """So many places; who wants several is served before who comes later."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._claimed = 0
        self._changed = threading.Condition()

    @contextmanager
    def places(self, count: int) -> Generator[None]:
        with self._changed:
            if count > 1:
                self._claimed += 1
            self._changed.wait_for(lambda: self._free >= count and (count > 1 or not self._claimed))
            self._free -= count
            if count > 1:
                self._claimed -= 1
        try:
            yield
        finally:
            with self._changed:
                self._free += count
                self._changed.notify_all()


@lru_cache(_REMEMBERED)
def _sha256(path: Path, changed: int) -> str:
    return file_sha256(path)


def ending(result: ExecutionResult) -> str:
    """How a run ended, in words that are the same each time: without what it cost."""
    last = last_line(result.stderr)
    ways: dict[Outcome, str] = {
        "finished": "it ended well",
        "failed": last or f"it ended with exit code {result.exit_code}",
        "timeout": "it ran too long",
        "cpu": "it used too much CPU time",
        "memory": "it needed too much memory",
        "output": "it printed too much",
        "file-size": "it wrote too much",
        "processes": "it started too many processes",
        "signal": f"it was ended by {result.signal}",
    }
    return ways[result.outcome]


def within(cpu_s: float, limits: Limits | None = None) -> Limits:
    """Limits in which CPU time decides, and the wall clock only ends what waits."""
    return replace(limits or Limits(), cpu_s=cpu_s, wall_s=WAITING * cpu_s)
