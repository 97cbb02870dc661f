"""A new domain folder: it runs as it is, and nothing of the user's is overwritten."""

from pathlib import Path

import pytest

from seedtune.domains import create_domain, lint_domain, load_domain
from seedtune.domains.canary import GUID
from seedtune.errors import DomainError


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("baking", "baking"),
        ("My Domain!", "my-domain"),
        ("v1.2", "v1-2"),
        ("_x_", "x"),
        ("Bäckerei", "b-ckerei"),
        ("a_b-c", "a_b-c"),
        ("DOMAIN_NAME", "domain_name"),
        ("5g", "5g"),
        ("1e3", "1e3"),
        ("2026", "2026"),
        ("on", "on"),
        ("null", "null"),
        ("2026-11-22", "2026-11-22"),
    ],
)
def test_a_new_domain_is_named_after_its_folder_and_loads(tmp_path: Path, folder: str, name: str) -> None:
    create_domain(tmp_path / folder)
    assert load_domain(str(tmp_path / folder)).name == name


def test_a_new_domain_has_no_errors(domain_folder: Path) -> None:
    assert [finding for finding in lint_domain(load_domain(str(domain_folder))) if finding.level == "error"] == []


def test_the_files_written_are_told(tmp_path: Path) -> None:
    written = create_domain(tmp_path / "baking")
    assert [str(path.relative_to(tmp_path / "baking")) for path in written] == [
        "domain.yaml",
        "evaluation/dev/multiple_choice.jsonl",
        "evaluation/dev/true_false.jsonl",
        "evaluation/test/multiple_choice.jsonl",
        "evaluation/test/true_false.jsonl",
        "prompts/knowledge.md",
        "seeds/knowledge.jsonl",
    ]


@pytest.mark.parametrize("placeholder", ["DOMAIN_NAME", "CANARY"])
def test_no_placeholder_is_left(tmp_path: Path, placeholder: str) -> None:
    assert not [path for path in create_domain(tmp_path / "baking") if placeholder in path.read_text()]


def test_each_new_domain_has_a_canary_of_its_own(tmp_path: Path) -> None:
    canaries: list[str] = []
    for name in ("one", "two"):
        create_domain(tmp_path / name)
        files = [suite.files["test"] for suite in load_domain(str(tmp_path / name)).suites.values()]
        [sentence] = {file.canary for file in files}
        assert sentence is not None
        assert name in sentence
        canaries += GUID.findall(sentence)
    assert len(set(canaries)) == 2


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "baking").mkdir()
    create_domain(tmp_path / "baking")
    assert load_domain(str(tmp_path / "baking"))


def test_missing_parents_are_made(tmp_path: Path) -> None:
    create_domain(tmp_path / "a" / "b" / "baking")
    assert load_domain(str(tmp_path / "a" / "b" / "baking"))


def test_this_folder_can_be_filled_by_its_dot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "baking").mkdir()
    monkeypatch.chdir(tmp_path / "baking")
    create_domain(Path())
    assert load_domain(".").name == "baking"


def test_a_folder_with_something_in_it_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "baking").mkdir()
    (tmp_path / "baking" / ".notes").write_text("mine")
    with pytest.raises(DomainError, match="is there already and not empty; give a new folder"):
        create_domain(tmp_path / "baking")
    assert [path.name for path in (tmp_path / "baking").iterdir()] == [".notes"]


def test_a_file_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "baking").write_text("mine")
    with pytest.raises(DomainError, match="is there already"):
        create_domain(tmp_path / "baking")
    assert (tmp_path / "baking").read_text() == "mine"


@pytest.mark.parametrize("folder", ["---", "äöü", "_", "!"])
def test_a_folder_without_a_letter_or_digit_is_refused_before_anything_is_written(tmp_path: Path, folder: str) -> None:
    with pytest.raises(DomainError, match="name the folder with letters or digits"):
        create_domain(tmp_path / folder)
    assert not (tmp_path / folder).exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DomainError, match="baking: cannot be written: Not a directory"):
        create_domain(tmp_path / "file" / "baking")
