"""Programs that say themselves what the lint must find: ``#! rule ...`` at the end of a line."""

import re
from collections.abc import Callable

import pytest

from seedtune.domains.bgp.lint import lint_program

HEAD = "import pybgpstream\nfrom pybgpstream import BGPStream\n"
UPDATES = HEAD + 'stream = BGPStream(from_time=1, until_time=2, collectors=["rrc00"], record_type="updates")\n'


def check_program(program: str) -> None:
    """The lint must find what is marked, and nothing else."""
    marked: set[tuple[int, str]] = set()
    for number, line in enumerate(program.splitlines(), 1):
        mark = re.search(r"#! (.*)", line)
        marked |= {(number, rule) for rule in mark[1].split()} if mark else set()
    findings = lint_program(program)
    assert {(finding.line, finding.rule) for finding in findings} == marked, "\n".join(map(str, findings))


@pytest.fixture
def check() -> Callable[[str], None]:
    """Check a program that is given without its imports."""
    return lambda text: check_program(HEAD + text)


@pytest.fixture
def check_updates() -> Callable[[str], None]:
    """Check a program that is given without imports and ``stream``, which gives A, W and S."""
    return lambda text: check_program(UPDATES + text)
