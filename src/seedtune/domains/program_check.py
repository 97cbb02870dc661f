"""What is wrong with a program before it is run: it does not compile, or the domain's own check says so.

A domain may bring a file ``checks.py`` with ``check_program(source)``, which gives a :class:`ProgramFault` for each
fault of one program. That file is run, so look only at domains whose code you would run; the programs themselves are
compiled and never run.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seedtune.domains.own_code import own_function
from seedtune.domains.programs import compile_fault

_CHECKS = "checks.py"
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")


@dataclass(frozen=True)
class ProgramFault:
    """What is wrong with a program."""

    line: int
    """From 1; 0 for the whole of it."""
    message: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


class ProgramCheck:
    """Python's compiler and the check of one domain."""

    def __init__(self, folder: Path) -> None:
        """Load the domain's own check, if it has one.

        Raises:
            DomainError: it cannot be loaded.
        """
        self._own: Callable[[str], Iterable[ProgramFault]] | None = own_function(folder, _CHECKS, "check_program")

    def faults(self, source: str) -> list[ProgramFault]:
        """Every fault of a program; a check that fails is one as well."""
        if fault := compile_fault(source):
            return [ProgramFault(0, f"does not compile: {fault}")]
        try:
            found = self._own(source) if self._own else ()
            return [ProgramFault(fault.line, fault.message, fault.level) for fault in found]
        except Exception as problem:  # foreign code
            return [
                ProgramFault(0, f"{_CHECKS}: check_program failed: {steady(f'{type(problem).__name__}: {problem}')}")
            ]


def steady(text: str) -> str:
    """Without what differs from run to run: the addresses of objects."""
    return _ADDRESS.sub("0x...", text)
