"""The answers of seed tasks are complete; their Python and the items' is sound as far as looking at it can tell."""

from collections.abc import Iterator

from seedtune.domains.lint.content import Content, Finding
from seedtune.domains.program_check import ProgramCheck
from seedtune.domains.programs import python_blocks
from seedtune.records import CodeItem


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
    check = ProgramCheck(content.domain.folder)
    for place, source, name in _programs(content):
        for fault in check.faults(source):
            yield Finding(fault.level, place, f"{name}{', ' if fault.line else ': '}{fault}")


def _programs(content: Content) -> Iterator[tuple[str, str, str]]:
    """Each program's place, its text, and what it is called in a message."""
    for seed in content.seeds:
        for number, source in enumerate(python_blocks(seed.task.output), 1):
            yield seed.place, source, f"program {number}"
    for entry in content.items:
        if isinstance(entry.item, CodeItem):
            yield entry.place, entry.item.reference, "the reference"
