"""What to run, within which limits, and what came of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Literal

from seedtune.errors import ConfigError

Level = Literal["bubblewrap", "landlock", "unsafe"]
"""How a program was shut in, best first; ``unsafe`` keeps the limits but shuts nothing in."""

Outcome = Literal[
    "finished",  # ended by itself with exit code 0
    "failed",  # ended by itself with another exit code
    "timeout",
    "cpu",
    "memory",
    "output",
    "file-size",  # wrote too large a file, too much in all, or too many files
    "processes",
    "signal",  # ended by a signal that no limit explains
]


Stream = Literal["stdout", "stderr"]

Heard = Callable[[Stream, bytes], None]
"""Is told what a program prints, as it comes and up to the limit; a piece may end within a character."""

_MOST = 1_000_000_000
"""Of anything: more than any machine has, and in bytes or nanoseconds still a number that the kernel takes."""
_SHOWN = 200
"""So many characters of a program's last line are shown."""


@dataclass(frozen=True)
class Limits:
    """What a program may use, all its processes together unless said otherwise.

    Raises:
        ConfigError: A limit is not a number above zero, or above 10^9.
    """

    wall_s: float = 30.0
    cpu_s: float = 30.0
    memory_mb: int = 1024
    """Address space of each process, and resident memory of all together."""
    file_mb: int = 64
    """The largest file, and the total of what is written."""
    files: int = 4096
    """Files and folders that may be made."""
    processes: int = 64
    """Processes and threads at one time."""
    output_kb: int = 1024
    """Standard output and standard error, each."""

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if not 0 < value <= _MOST:
                raise ConfigError(
                    f"the limit {limit.name} is {value}: it must be a number above zero, and at most {_MOST:,}"
                )


@dataclass(frozen=True)
class Program:
    """A Python program and all that it gets to see.

    Raises:
        ConfigError: A name in ``files`` leads out of the work folder or into another of them, or an argument or a
            variable cannot be passed on.
    """

    code: str
    files: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Name in the work folder -> file or folder on this machine that the program may read there."""
    import_path: Sequence[Path] = ()
    """Folders that are put on ``sys.path``."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables beside ``PATH``, ``HOME``, ``LANG`` and ``PYTHONHASHSEED=0``."""
    arguments: Sequence[str] = ()
    stdin: str = ""

    def __post_init__(self) -> None:
        names = [PurePosixPath(name) for name in self.files]
        for text, name in zip(self.files, names, strict=True):
            if not name.parts or name.is_absolute() or ".." in name.parts or "\0" in text:
                raise ConfigError(f"the file name {text!r} must stay inside the work folder, like 'data/updates.mrt'")
            if any(other in name.parents for other in names) or names.count(name) > 1:
                raise ConfigError(f"the file name {text!r} lies inside, or is the same as, another file's")
        for name, value in self.environment.items():
            if not name or "=" in name or "\0" in name + value:
                raise ConfigError(f"the environment variable {name!r} has a name or value that cannot be set")
        if any("\0" in argument for argument in self.arguments):
            raise ConfigError("an argument holds a zero byte")


@dataclass(frozen=True)
class ExecutionResult:
    """What a program did, as seen from outside after it had ended."""

    outcome: Outcome
    exit_code: int | None
    """None if a signal ended it, its limits' own included."""
    signal: str | None
    """Name of that signal, like ``SIGSEGV``."""
    stdout: str
    """Bytes that are no UTF-8 are replaced."""
    stderr: str
    truncated: bool
    """Output was cut at the limit."""
    wall_s: float
    cpu_s: float
    peak_mb: float
    """Resident memory: of the largest process, or of all together where that was seen to be more."""
    level: Level

    @property
    def ok(self) -> bool:
        """It ended by itself, within its limits, with exit code 0."""
        return self.outcome == "finished"

    def summary(self) -> str:
        """One line: outcome, why, cost and level."""
        why = {
            "failed": f"exit code {self.exit_code}",
            "timeout": "it ran too long",
            "cpu": "it used too much CPU time",
            "memory": "it needed too much memory",
            "output": "it printed too much",
            "file-size": "it wrote too much",
            "processes": "it started too many processes",
            "signal": str(self.signal),
        }.get(self.outcome)
        last = last_line(self.stderr) if self.outcome in ("failed", "memory", "file-size", "processes") else ""
        reasons = ", ".join(part for part in (why, last) if part)
        cost = f"{self.wall_s:.2f} s, {self.cpu_s:.2f} s of CPU, {self.peak_mb:.0f} MB"
        return f"{self.outcome}{f' ({reasons})' if reasons else ''}: {cost}, level {self.level}"


def last_line(text: str) -> str:
    """The last line that is not empty: of a traceback, the error. A long one is cut behind a word."""
    lines = text.rstrip().splitlines()
    line = lines[-1].strip() if lines else ""
    if len(line) <= _SHOWN:
        return line
    start = line[: _SHOWN - len(" ...")]
    return f"{start.rpartition(' ')[0] or start} ..."
