"""Cloze and open suites: read, checked, kept apart from what is scored."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import write_jsonl
from seedtune.domains import load_domain
from seedtune.errors import DomainError

CLOZE = {"question": "Bread without yeast needs a ____.", "answers": ["starter", "sourdough starter"]}
OPEN = {"question": "Why does bread rise?", "key_points": ["Yeast makes gas.", "Gluten holds it."], "answer": "Both."}


@pytest.fixture
def add_suite(domain_folder: Path) -> Callable[[str, list[dict[str, Any]]], Path]:
    """Put a suite of a type into the template domain."""

    def add(kind: str, lines: list[dict[str, Any]]) -> Path:
        path = domain_folder / "domain.yaml"
        tree = yaml.safe_load(path.read_text())
        tree["suites"]["more"] = {"type": kind, "items": "evaluation/more.jsonl"}
        path.write_text(yaml.safe_dump(tree))
        write_jsonl(domain_folder / "evaluation/more.jsonl", lines)
        return domain_folder

    return add


@pytest.mark.parametrize(("kind", "line"), [("cloze", CLOZE), ("open", OPEN)])
def test_a_written_suite_is_read_and_has_no_choices(
    add_suite: Callable[[str, list[dict[str, Any]]], Path], kind: str, line: dict[str, Any]
) -> None:
    suite = load_domain(str(add_suite(kind, [line]))).suites["more"]
    assert json.loads(suite.items[0].model_dump_json(exclude_defaults=True)) == line
    assert suite.choices == ()


@pytest.mark.parametrize("question", ["No gap here.", "Two ____ and ____.", "A long _____ gap.", "A short ___ gap."])
def test_a_cloze_question_has_one_gap_of_four(
    add_suite: Callable[[str, list[dict[str, Any]]], Path], question: str
) -> None:
    folder = add_suite("cloze", [CLOZE, {**CLOZE, "question": question}])
    with pytest.raises(DomainError, match=r"more\.jsonl:2: .*exactly one gap"):
        load_domain(str(folder))


@pytest.mark.parametrize("missing", ["answers", "key_points"])
def test_an_item_without_its_key_names_the_line(
    add_suite: Callable[[str, list[dict[str, Any]]], Path], missing: str
) -> None:
    kind, line = ("cloze", CLOZE) if missing == "answers" else ("open", OPEN)
    folder = add_suite(kind, [{key: value for key, value in line.items() if key != missing}])
    with pytest.raises(DomainError, match=rf"more\.jsonl:1: {missing}"):
        load_domain(str(folder))
