"""The BGP domain's own check of programs: the PyBGPStream lint, as the lint of domains asks it."""

from seedtune.domains import load_domain
from seedtune.domains.bgp.checks import check_program
from seedtune.domains.bgp.lint import lint_program
from seedtune.domains.lint.content import read_content
from seedtune.domains.lint.programs import check_programs
from seedtune.domains.programs import python_blocks

FAULTY = """import pybgpstream

stream = pybgpstream.BGPStream(data_interface="singlefile", filter="prefixx 203.0.113.0/24")
for elem in stream:
    print(elem.type)
"""


def test_a_finding_of_the_pybgpstream_lint_is_a_fault_with_its_line_and_level() -> None:
    faults, findings = list(check_program(FAULTY)), lint_program(FAULTY)
    assert "error" in {fault.level for fault in faults}
    assert [(fault.line, fault.level) for fault in faults] == [(finding.line, finding.level) for finding in findings]
    for fault, finding in zip(faults, findings, strict=True):
        assert fault.message.startswith(finding.message)
        assert finding.right in fault.message


def test_a_program_without_the_library_has_no_fault() -> None:
    assert list(check_program("import json\n\nprint(json.dumps({}))\n")) == []


def test_the_programs_of_the_seed_tasks_are_checked_by_it_and_pass() -> None:
    domain = load_domain("bgp")
    programs = [
        source for pack in domain.packs.values() for seed in pack.seeds for source in python_blocks(seed.output)
    ]
    assert sum("import pybgpstream" in source for source in programs) >= 70
    assert list(check_programs(read_content(domain))) == []
