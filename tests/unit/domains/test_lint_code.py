"""Code items: what the lint finds in them."""

from pathlib import Path
from typing import Any

import pytest

from conftest import write_jsonl
from domain_on_disk import DomainOnDisk
from seedtune.domains import Finding

GOOD: dict[str, Any] = {
    "question": "Add up the numbers of data.txt, and print one JSON object with the field total.",
    "topic": "basics",
    "family": "sums",
    "keys": [],
    "cases": [
        {"files": ["data/few.txt"], "names": ["data.txt"], "expected": [{"total": 6}]},
        {"files": ["data/none.txt"], "names": ["data.txt"], "expected": [{"total": 0}], "held_out": True},
    ],
    "reference": "print('{\"total\": 6}')",
}


def case(number: int, **changes: Any) -> dict[str, Any]:
    cases = [dict(each) for each in GOOD["cases"]]
    cases[number] |= changes
    return {"cases": cases}


@pytest.fixture
def linted(tmp_path: Path) -> Any:
    """What the check finds in one item, as messages."""
    domain = DomainOnDisk(tmp_path / "sums")
    domain.describe(suites={"code": {"type": "code", "test": "evaluation/code.jsonl"}})
    for name in ("few", "none"):
        path = domain.folder / "data" / f"{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("1 2 3" if name == "few" else "")

    def lint(**changes: Any) -> list[str]:
        write_jsonl(domain.folder / "evaluation" / "code.jsonl", [GOOD | changes])
        found: list[Finding] = [finding for finding in domain.lint() if finding.check in ("code", "programs")]
        assert all(finding.place == "evaluation/code.jsonl:1" for finding in found)
        return [finding.message for finding in found]

    return lint


def test_a_sound_item_has_no_finding(linted: Any) -> None:
    assert linted() == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (case(0, files=["data/lost.txt"]), "there is no file data/lost.txt in the domain's folder"),
        (case(0, files=["../../secret"]), "there is no file ../../secret in the domain's folder"),
        (case(1, names=["held-out.txt"]), "its cases name their files differently: data.txt, held-out.txt"),
        ({"question": "Add up the numbers."}, "the question does not name the file data.txt"),
        (case(1, expected=[{"total": 6}]), "a held-out case expects the same as one that is shown"),
        (case(1, expected=[{"total": 6}]), "all of its cases expect the same"),
        (case(0, expected=[{"total": 1}, {"total": 2}]), "2 lines are expected, and neither 'keys' nor 'ordered'"),
        ({"keys": ["name"]}, "the key name is missing in a line that is expected"),
        ({"keys": ["total"], **case(0, expected=[{"total": 1.5}])}, "a key's value is text, a whole number"),
        (
            {"keys": ["total"], **case(0, expected=[{"total": 1}] * 2)},
            "two lines that are expected have the same total",
        ),
        ({"reference": "def main(:"}, "the reference: does not compile: SyntaxError"),
    ],
)
def test_a_fault_is_found_and_named(linted: Any, changes: dict[str, Any], message: str) -> None:
    assert any(found.startswith(message) for found in linted(**changes))


def test_cases_without_any_line_are_found(linted: Any) -> None:
    cases = [each | {"expected": []} for each in GOOD["cases"]]
    assert any(found.startswith("no case expects a line") for found in linted(cases=cases))
