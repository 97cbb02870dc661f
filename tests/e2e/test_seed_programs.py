"""The programs of the BGP seed tasks, run in the sandbox on real MRT data: each prints what its case states."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from seed_cases import digest, programs_of, read_cases, write_files
from seedtune.domains import load_domain
from seedtune.domains.bgp.execution import SANDBOXED
from seedtune.sandbox import Program, run_code

CASES = read_cases()


@cache
def programs() -> dict[str, str]:
    """Every Python program in a seed task, by its digest."""
    seeds = [seed for pack in load_domain("bgp").packs.values() for seed in pack.seeds]
    return {digest(program): program for seed in seeds for program in programs_of(seed)}


@pytest.mark.parametrize("case", CASES, ids=[f"{case['program']}-{number}" for number, case in enumerate(CASES)])
def test_a_seed_program_prints_what_its_case_states(case: dict[str, Any], tmp_path: Path) -> None:
    code = case.get("before", "") + programs()[case["program"]] + case.get("after", "")
    files = write_files(case, tmp_path)
    result = run_code(Program(code, files, [SANDBOXED], arguments=case.get("arguments", [])))
    assert result.stdout == case["stdout"], result.stderr
    assert result.exit_code == case.get("exit_code", 0), result.stderr
    assert case.get("error", "") in result.stderr


def test_every_program_that_makes_a_stream_has_a_case() -> None:
    having = {case["program"] for case in CASES}
    missing = [program for key, program in programs().items() if key not in having]
    assert not [program for program in missing if re.search(r"^(import|from) pybgpstream", program, re.MULTILINE)]


def test_no_case_is_left_without_its_program() -> None:
    assert {case["program"] for case in CASES} <= set(programs())
