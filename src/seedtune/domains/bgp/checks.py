"""What the lint of domains asks of the programs in this domain's seed tasks."""

from collections.abc import Iterator

from seedtune.domains import ProgramFault
from seedtune.domains.bgp.lint import lint_program


def check_program(source: str) -> Iterator[ProgramFault]:
    """The findings of the PyBGPStream lint; none for a program that does not use the library."""
    for finding in lint_program(source):
        yield ProgramFault(finding.line, f"{finding.message} ({finding.rule}); {finding.right}", finding.level)
