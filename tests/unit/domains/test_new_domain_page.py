"""The domain that docs/new-domain.md builds is read as it stands there."""

import json
import re
from pathlib import Path

import pytest

from conftest import ROOT, write_jsonl
from seedtune.domains import create_domain, lint_folder

PAGE = (ROOT / "docs" / "new-domain.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def dns(tmp_path: Path) -> Path:
    """The new domain with what the page shows of each file in the place of what was there."""
    folder = tmp_path / "dns"
    create_domain(folder)
    [description] = blocks("yaml")
    (folder / "domain.yaml").write_text(description)
    lines = [json.loads(line) for block in blocks("json") for line in block.splitlines()]
    for file, key, split in (
        ("seeds/knowledge.jsonl", "instruction", slice(None)),
        ("evaluation/test/multiple_choice.jsonl", "question", slice(0, 1)),
        ("evaluation/dev/multiple_choice.jsonl", "question", slice(1, 2)),
        ("evaluation/test/true_false.jsonl", "statement", slice(None)),
        ("evaluation/dev/true_false.jsonl", "statement", slice(0, 0)),
    ):
        path = folder / file
        kept = [line for line in map(json.loads, path.read_text().splitlines()) if "canary" in line]
        write_jsonl(path, kept + [line for line in lines if key in line][split])
    description = description.replace("    dev: evaluation/dev/true_false.jsonl\n", "")
    (folder / "domain.yaml").write_text(description)
    return folder


def test_what_the_page_shows_is_sound_but_for_its_number(dns: Path) -> None:
    report = lint_folder(str(dns))
    assert report.counts["seeds"]["total"] == 2
    assert {finding.check for finding in report.findings} == {"requirements"}


def test_the_page_shows_the_last_line_of_the_lint_of_a_new_domain(tmp_path: Path) -> None:
    create_domain(tmp_path / "dns")
    assert f"{lint_folder(str(tmp_path / 'dns')).summary}: 0 errors, 0 warnings" in PAGE
