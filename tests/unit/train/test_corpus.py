"""What is read: each source in its order, every row once, every fault with its place."""

from pathlib import Path
from typing import Any

import pytest

from conftest import write_jsonl
from seedtune.config import Config
from seedtune.domains import Domain, load_domain
from seedtune.errors import DataError
from seedtune.train.corpus import Corpus, Finding, read_corpus, refuse_errors


def lines(*names: str, **more: str) -> list[dict[str, Any]]:
    return [{"instruction": f"Instruction {name}", "input": "", "output": f"Output {name}", **more} for name in names]


def named(corpus: Corpus) -> list[str]:
    return [example.task.instruction.removeprefix("Instruction ") for example in corpus.examples]


@pytest.fixture
def domain(domain_folder: Path) -> Domain:
    """With two seeds, a and b."""
    write_jsonl(domain_folder / "seeds" / "knowledge.jsonl", lines("a", "b", topic="basics"))
    return load_domain(str(domain_folder))


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "instructions.jsonl", lines("c", "d", pack="knowledge", id="0", similarity="0"))


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "own.jsonl", lines("e", "f"))


def read(domain: Domain, generated: Path | None, *data: Path, seeds: bool = True) -> tuple[Corpus, list[Finding]]:
    tree = {"domain": str(domain.folder), "train": {"data": list(data), "include_seeds": seeds}}
    return read_corpus(Config.model_validate(tree), domain, generated)


def test_examples_are_seeds_then_generated_then_own_data(domain: Domain, generated: Path, own_data: Path) -> None:
    corpus, findings = read(domain, generated, own_data)
    assert named(corpus) == ["a", "b", "c", "d", "e", "f"]
    assert findings == []


def test_examples_know_their_source_pack_and_place(domain: Domain, generated: Path, own_data: Path) -> None:
    corpus, _ = read(domain, generated, own_data)
    assert [(example.source, example.pack, corpus.place(example)) for example in corpus.examples[1::2]] == [
        ("seed", "knowledge", "knowledge.jsonl:2"),
        ("generated", "knowledge", "instructions.jsonl:2"),
        ("data", "own", "own.jsonl:2"),
    ]


def test_a_repeated_example_stands_once_where_it_stood_first(domain: Domain, generated: Path, tmp_path: Path) -> None:
    again = write_jsonl(tmp_path / "again.jsonl", lines("a", "c", "a", "e"))
    corpus, [finding] = read(domain, generated, again)
    assert named(corpus) == ["a", "b", "c", "d", "e"]
    assert [example.source for example in corpus.examples] == ["seed", "seed", "generated", "generated", "data"]
    assert (finding.level, finding.count, finding.places[0]) == ("warning", 3, "again.jsonl:1 = knowledge.jsonl:1")


def test_seeds_can_be_left_out(domain: Domain, generated: Path) -> None:
    assert named(read(domain, generated, seeds=False)[0]) == ["c", "d"]


def test_own_data_alone_is_enough(domain: Domain, own_data: Path) -> None:
    assert named(read(domain, None, own_data, seeds=False)[0]) == ["e", "f"]


def test_a_file_without_a_row_is_named_and_no_row_at_all_is_an_error(domain: Domain, tmp_path: Path) -> None:
    empty = tmp_path / "own.jsonl"
    empty.write_text("\n")
    _, [finding] = read(domain, None, empty)
    assert (finding.level, str(empty) in finding.message) == ("warning", True)
    _, findings = read(domain, None, empty, seeds=False)
    with pytest.raises(DataError, match="not one row to train on"):
        refuse_errors(findings)


def test_all_broken_lines_are_named_at_once(domain: Domain, tmp_path: Path) -> None:
    wrong = [{"instruction": "No output"}, *lines("x", output=""), {"instruction": "Nor here"}]
    broken = write_jsonl(tmp_path / "own.jsonl", [*lines("e"), *wrong])
    _, findings = read(domain, None, broken)
    with pytest.raises(DataError) as raised:
        refuse_errors(findings)
    first, second = str(raised.value).splitlines()
    assert "output: field required (own.jsonl:2, own.jsonl:4)" in first
    assert "(own.jsonl:3)" in second


@pytest.mark.parametrize("line", [{"instruction": "No output", "input": "", "pack": "p"}, *lines("x", output="")])
def test_a_broken_line_of_the_generated_file_is_named(domain: Domain, tmp_path: Path, line: dict[str, Any]) -> None:
    broken = write_jsonl(tmp_path / "instructions.jsonl", [{"pack": "p", **line}])
    _, [finding] = read(domain, broken)
    assert (finding.level, finding.places) == ("error", ("instructions.jsonl:1",))


def test_a_warning_stops_nothing() -> None:
    refuse_errors([Finding("warning", "characters", "odd")])
