"""The answers of seed tasks are complete; their Python and the items' compiles and passes the domain's own check.

A domain may bring a file ``checks.py`` with ``check_program(source)``, which gives a :class:`ProgramFault` for each
fault of one program. The lint runs that file, so lint only folders whose code you would run; the programs themselves
are compiled and never run.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from seedtune.domains.lint.content import Content, Finding
from seedtune.domains.own_code import own_function
from seedtune.domains.programs import compile_fault, python_blocks
from seedtune.records import CodeItem

_CHECKS = "checks.py"


@dataclass(frozen=True)
class ProgramFault:
    """What a domain's ``check_program`` found in a program."""

    line: int
    """From 1."""
    message: str
    level: Literal["error", "warning"] = "error"


CheckProgram = Callable[[str], Iterable[ProgramFault]]


def check_outputs(content: Content) -> Iterator[Finding]:
    """No answer is cut off."""
    for seed in content.seeds:
        end = seed.task.output.rstrip()[-2:]
        if seed.task.output.count("```") % 2:
            yield Finding("error", seed.place, "the output has an unclosed code fence")
        elif end.endswith((",", ":", "-", "(")) and end != "::":  # "::" ends an IPv6 address
            yield Finding("error", seed.place, "the output looks cut off at its end")


def check_programs(content: Content) -> Iterator[Finding]:
    """The Python of the seed tasks and the references of the code items compile and pass the domain's own check."""
    check = own_function(content.domain.folder, _CHECKS, "check_program")
    for place, source, name in _programs(content):
        fault = compile_fault(source)
        if fault:
            yield Finding("error", place, f"{name} does not compile: {fault}")
        elif check:
            yield from _own_faults(check, source, place, name)


def _programs(content: Content) -> Iterator[tuple[str, str, str]]:
    """Each program's place, its text, and what it is called in a message."""
    for seed in content.seeds:
        for number, source in enumerate(python_blocks(seed.task.output), 1):
            yield seed.place, source, f"program {number}"
    for entry in content.items:
        if isinstance(entry.item, CodeItem):
            yield entry.place, entry.item.reference, "the reference"


def _own_faults(check: CheckProgram, source: str, place: str, name: str) -> list[Finding]:
    try:
        return [Finding(fault.level, place, f"{name}, line {fault.line}: {fault.message}") for fault in check(source)]
    except Exception as problem:  # foreign code
        said = f"{_CHECKS}: check_program failed: {type(problem).__name__}: {problem}"
        return [Finding("error", place, said)]
