"""Programs with PyBGPStream that a model wrote: run on MRT files, in the sandbox.

They get seedtune's own ``pybgpstream`` also where the real one is installed: what becomes of a program must not depend
on the machine.
"""

import re
import shlex
from pathlib import Path, PurePosixPath

from seedtune.domains.bgp.execution import ARCHIVE_NAME, SANDBOXED
from seedtune.domains.bgp.sandboxed.pybgpstream._archive import LINKED_VARIABLE
from seedtune.domains.bgp.sandboxed.pybgpstream._interfaces import ARCHIVE_VARIABLE
from seedtune.domains.bgp.sandboxed.pybgpstream._replay import ENVIRONMENT_VARIABLE
from seedtune.domains.bgp.trials import make_trials
from seedtune.domains.bgp.trials.values import wrong_value
from seedtune.domains.running import Data
from seedtune.sandbox import ExecutionResult, Limits, Program, run_code

__all__ = ["command_line", "misuse", "run_program", "trials", "wrong_value"]

_FRAME = re.compile(r'^\s*File "([^"]*)", line \d+', re.MULTILINE)
_LIBRARY = re.compile(r"\bpybgpstream\b|\bBGP(?:Stream|Record|Elem)\b")
_OF_THE_MACHINE = ("MemoryError", "OSError", "BlockingIOError")


def run_program(source: str, data: Data, limits: Limits) -> ExecutionResult:
    """Run a program on MRT files.

    Args:
        source: The program's text.
        data: Files below the folder ``bgp-archive`` form the archive that the data interface ``broker`` serves.
        limits: What the program may use.

    Raises:
        SandboxError: this machine cannot shut a program in.
    """
    environment: dict[str, str] = {}
    if any(PurePosixPath(name).parts[0] == ARCHIVE_NAME for name in data.files):
        environment[ARCHIVE_VARIABLE] = ARCHIVE_NAME
        environment[LINKED_VARIABLE] = "1"
    if data.replay is not None:
        environment[ENVIRONMENT_VARIABLE] = data.replay
    return run_code(Program(source, data.files, [SANDBOXED], environment, data.arguments), limits)


def misuse(stderr: str) -> str:
    """The words with which PyBGPStream turned a call down, or with which Python says that it has no such thing."""
    last = stderr.rstrip().rpartition("\n")[2].strip()
    kind = last.partition(":")[0]
    if kind in _OF_THE_MACHINE or "Traceback (most recent call last)" not in stderr:
        return ""
    *_, innermost = ["", *_FRAME.findall(stderr)]
    in_library = "pybgpstream" in PurePosixPath(innermost).parts
    by_python = kind in ("AttributeError", "TypeError", "ImportError") and _LIBRARY.search(last) is not None
    return last if in_library or by_python else ""


def trials(source: str, folder: Path) -> tuple[Data, ...]:
    """Two sets of data that a program can be tried on; see :mod:`seedtune.domains.bgp.trials`."""
    return make_trials(source, folder)


def command_line(data: Data) -> str:
    """The command that runs a saved program on the same files, copied to the names that it opens them by."""
    copies = [f"cp {shlex.quote(str(path))} {shlex.quote(name)}" for name, path in data.files.items()]
    given = " ".join(f"--mrt {shlex.quote(name)}" for name in data.files)
    words = "".join(f" {shlex.quote(word)}" for word in data.arguments)
    return " && ".join([*copies, f"seedtune bgp run program.py {given}" + (f" --{words}" if words else "")])
