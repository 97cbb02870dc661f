"""The answers of seed tasks: complete, their Python compiles, and it passes the domain's own check.

A domain may bring a file ``checks.py`` with ``check_program(source)``, which gives a :class:`ProgramFault` for each
fault of one program. The lint runs that file, so lint only folders whose code you would run; the programs themselves
are compiled and never run.
"""

import re
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from seedtune.domains.lint.content import Content, Finding, SeedAt
from seedtune.domains.own_code import own_function

FENCE = re.compile(r"```(?:python|py)3?(?:[ \t][^\n]*)?\n(.*?)```", re.DOTALL | re.IGNORECASE)
_CHECKS = "checks.py"


@dataclass(frozen=True)
class ProgramFault:
    """What a domain's ``check_program`` found in a program."""

    line: int
    """From 1."""
    message: str
    level: Literal["error", "warning"] = "error"


CheckProgram = Callable[[str], Iterable[ProgramFault]]


def programs_of(output: str) -> list[str]:
    """The Python programs of an answer."""
    # Below a list item a block is indented as a whole.
    return [textwrap.dedent(code) for code in FENCE.findall(output)]


def check_outputs(content: Content) -> Iterator[Finding]:
    """No answer is cut off."""
    for seed in content.seeds:
        end = seed.task.output.rstrip()[-2:]
        if seed.task.output.count("```") % 2:
            yield Finding("error", seed.place, "the output has an unclosed code fence")
        elif end.endswith((",", ":", "-", "(")) and end != "::":  # "::" ends an IPv6 address
            yield Finding("error", seed.place, "the output looks cut off at its end")


def check_programs(content: Content) -> Iterator[Finding]:
    """The Python of the seed tasks compiles and passes the domain's own check."""
    check = own_function(content.domain.folder, _CHECKS, "check_program")
    for seed in content.seeds:
        for number, source in enumerate(programs_of(seed.task.output), 1):
            fault = _does_not_compile(source)
            if fault:
                yield Finding("error", seed.place, f"code does not compile: {fault}")
            elif check:
                yield from _own_faults(check, source, seed, number)


def _does_not_compile(source: str) -> str:
    try:
        with warnings.catch_warnings():
            # A dubious escape compiles; Python would print a warning without the seed's place.
            warnings.simplefilter("ignore")
            compile(source, "seed", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as problem:
        return str(problem)
    return ""


def _own_faults(check: CheckProgram, source: str, seed: SeedAt, number: int) -> list[Finding]:
    try:
        return [
            Finding(fault.level, seed.place, f"program {number}, line {fault.line}: {fault.message}")
            for fault in check(source)
        ]
    except Exception as problem:  # foreign code
        said = f"{_CHECKS}: check_program failed: {type(problem).__name__}: {problem}"
        return [Finding("error", seed.place, said)]
