"""Programs of the BGP domain in the filter and the sandbox: each reason has a program that is rejected for it."""

import re
from collections.abc import Iterator

import pytest

from conftest import ROOT
from seedtune.config import ProgramsConfig
from seedtune.domains import load_domain
from seedtune.generate.filters.execution import ProgramTrials
from seedtune.records import Candidate

OPENED = """import pybgpstream
stream = pybgpstream.BGPStream(data_interface="singlefile")
stream.set_data_interface_option("singlefile", "upd-file", "updates.mrt")
"""
COUNTED = OPENED + "print('total:', sum(elem.type == '{}' for elem in stream))"
REASONS = {
    "program_lint": (OPENED + "for elem in stream:\n    print(elem.fields['med'])", "line 5: there is no 'med'"),
    "program_crash": (OPENED + "raise SystemExit(7)", "it ended with exit code 7"),
    "program_timeout": (OPENED + "while True:\n    pass", "it used too much CPU time"),
    "program_silent": (OPENED + "for elem in stream:\n    pass", "prints nothing on 2 sets of data"),
    "program_same_output": (OPENED + "print('no MOAS')", "prints 'no MOAS' whatever the data"),
    "program_unstable": (
        OPENED + "import uuid\nprint(sum(1 for _ in stream), uuid.uuid4())",
        "prints something else on the same data",
    ),
    "program_wrong_value": (COUNTED.format("A"), "the reference analysis gives "),
    "program_missing": ("for elem in stream:\n    print(elem.type)", "no program that can be run"),
}
NEVER_RUN = {
    "print('MOAS: 3')": ("program_same_output", "prints 'MOAS: 3' whatever the data"),
    "import mrtparse\nfor e in mrtparse.Reader('updates.mrt'):\n    print(e.data['nope'])": (
        "program_crash",
        "ModuleNotFoundError: No module named 'mrtparse'",
    ),
    "import os\nos.system('bgpdump -m updates.mrt')\nraise SystemExit(7)": (
        "program_crash",
        "it ended with exit code 7",
    ),
    "p = __import__('pybgpstream')\nprint(p.NoSuch)": (
        "program_crash",
        "AttributeError: module 'pybgpstream' has no attribute 'NoSuch'",
    ),
}


def opened(required: bool) -> ProgramTrials:
    domain = load_domain("bgp")
    trials = ProgramTrials(ProgramsConfig(seconds=2, required=required), domain, [domain.packs["pybgpstream"]])
    trials.prepare()
    return trials


@pytest.fixture(scope="module")
def trials() -> Iterator[ProgramTrials]:
    found = opened(required=False)
    yield found
    found.close()


def answer(code: str, **task: str) -> Candidate:
    asked = {"instruction": "Count the withdrawals in updates.mrt.", **task}
    return Candidate(**asked, output=f"```python\n{code}\n```", pack="pybgpstream", request=0)


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_is_given_for_a_program_that_goes_wrong_in_that_way(reason: str) -> None:
    code, detail = REASONS[reason]
    trials = opened(required=True)
    fault = trials.result(answer(code)).fault
    trials.close()
    assert fault is not None
    assert fault.reason == reason
    assert fault.detail.startswith(detail)


def test_the_guide_names_these_reasons() -> None:
    section = (ROOT / "docs" / "generate.md").read_text(encoding="utf-8").partition("\n## Verified programs\n")[2]
    table = section.partition("\n## ")[0]
    assert set(re.findall(r"^\| `(program_\w+)` \|", table, re.MULTILINE)) == set(REASONS)


def test_a_right_program_is_kept_with_what_it_printed(trials: ProgramTrials) -> None:
    trial = trials.result(answer(COUNTED.format("W")))
    assert trial.fault is None
    assert re.fullmatch(r"total: \d+\n", trial.printed)


@pytest.mark.parametrize("code", NEVER_RUN)
def test_a_whole_program_is_run_though_it_does_not_import_the_library(trials: ProgramTrials, code: str) -> None:
    assert trials.result(answer(code)).fault == NEVER_RUN[code]


def test_a_program_that_reads_the_file_without_the_library_is_kept(trials: ProgramTrials) -> None:
    code = """
import struct
kinds = {}
with open("updates.mrt", "rb") as file:
    while header := file.read(12):
        _, kind, subtype, length = struct.unpack(">IHHI", header)
        kinds[kind, subtype] = kinds.get((kind, subtype), 0) + 1
        file.read(length)
print(kinds)
"""
    trial = trials.result(answer(code, instruction="Count the records of each type."))
    assert trial.fault is None
    assert trial.printed.startswith("{(16, ")


def test_what_the_input_narrows_is_not_held_against_the_total_of_the_file(trials: ProgramTrials) -> None:
    narrowed = COUNTED.format("W").replace("for elem in stream", "for elem in stream if elem.peer_asn == 64497")
    assert trials.result(answer(narrowed)).fault is not None
    assert trials.result(answer(narrowed, input="Only those of peer AS 64497.")).fault is None
