"""The lint as a whole: sound domains, places, topics, what it reports as JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import seedtune
from domain_on_disk import CHOICES, DEV_STATEMENTS, SEEDS, STATEMENTS, DomainOnDisk, choices
from seedtune.domains import domain_counts, lint_domain, lint_folder, load_domain, shipped_domains
from seedtune.errors import DomainError


def test_the_domain_the_others_start_from_is_sound(sound: DomainOnDisk) -> None:
    assert sound.lint() == []


@pytest.mark.parametrize("name", shipped_domains())
def test_a_shipped_domain_has_no_finding(name: str) -> None:
    assert lint_folder(name).findings == ()


def test_the_template_has_no_finding(domain_folder: Path) -> None:
    assert lint_folder(str(domain_folder)).findings == ()


def test_the_bgp_domain_asks_of_itself_what_its_page_promises() -> None:
    asked = load_domain("bgp").file.requirements
    assert asked.seeds == {"knowledge": 110, "pybgpstream": 70, "realtime": 30}
    written = {"multiple_choice": 200, "true_false": 100, "cloze": 80, "open": 60}
    assert asked.items == {**written, "record_reading": 300, "code": 66}
    assert (asked.items_per_topic, asked.dev_share) == (20, 0.3)
    assert asked.input_share >= 0.333


# Topics


@pytest.mark.parametrize(
    ("file", "number", "topic"),
    [(SEEDS, 2, "sailing"), (SEEDS, 2, ""), (CHOICES, 3, "sailing"), (CHOICES, 3, "knowledge"), (STATEMENTS, 4, "")],
)
def test_a_topic_that_the_domain_does_not_have_is_found(
    sound: DomainOnDisk, file: str, number: int, topic: str
) -> None:
    sound.change(file, number, topic=topic)
    assert sound.faults() == [(f"{file}:{number}", f"topic '{topic}' is not in domain.yaml")]


def test_topics_are_free_where_the_domain_lists_none(sound: DomainOnDisk) -> None:
    sound.describe(topics=None)
    sound.change(SEEDS, 1, topic="anything")
    assert sound.lint() == []


def test_a_seed_may_name_its_pack_as_topic(sound: DomainOnDisk) -> None:
    sound.change(SEEDS, 1, topic="knowledge")
    assert sound.lint() == []


# Places


def test_places_count_blank_lines(sound: DomainOnDisk) -> None:
    sound.change(SEEDS, 2, topic="sailing")
    (sound.folder / SEEDS).write_text("\n\n" + (sound.folder / SEEDS).read_text())
    assert [finding.place for finding in sound.lint()] == [f"{SEEDS}:4"]


def test_a_file_named_by_its_absolute_path_has_a_place_too(
    sound: DomainOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (sound.folder / "domain.yaml").read_text()
    (sound.folder / "domain.yaml").write_text(text.replace(SEEDS, str(sound.folder / SEEDS)))
    sound.change(SEEDS, 1, topic="sailing")
    monkeypatch.chdir(sound.folder.parent)
    assert [finding.place for finding in lint_folder("sound").findings] == [f"{SEEDS}:1"]


def test_a_large_domain_is_read_a_few_times_not_once_an_item(
    sound: DomainOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound.write(CHOICES, choices([0, 1, 2, 3] * 5))
    domain = load_domain(str(sound.folder))
    opened: list[Path] = []
    read_text: Callable[..., str] = Path.read_text

    def counting(path: Path, *arguments: Any, **options: Any) -> str:
        opened.append(path)
        return read_text(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", counting)
    lint_domain(domain)
    assert opened.count(sound.folder / CHOICES) < 5


# The report


def test_counts_are_per_pack_suite_split_topic_and_level(sound: DomainOnDisk) -> None:
    sound.change(DEV_STATEMENTS, 1, level=3)
    counts = domain_counts(load_domain(str(sound.folder)))
    assert counts["seeds"] == {
        "total": 6,
        "with_input": 3,
        "packs": {"knowledge": 6},
        "topics": {"practice": 4, "basics": 2},
        "programs": 0,
    }
    items = counts["items"]
    assert (items["total"], items["splits"], items["levels"]) == (12, {"test": 8, "dev": 4}, {"1": 11, "3": 1})
    assert items["topics"] == {"basics": 8, "practice": 4}
    assert items["suites"]["multiple_choice"]["test"] == {
        "total": 4,
        "topics": {"basics": 2, "practice": 2},
        "levels": {"1": 4},
        "positions": [1, 1, 0, 2],
        "longest": 1,
        "shortest": 0,
    }
    assert items["suites"]["true_false"]["dev"]["true"] == 1
    assert counts["citations"] == 1


def test_a_broken_line_is_a_finding_with_its_place(sound: DomainOnDisk) -> None:
    (sound.folder / STATEMENTS).write_text('{"statement": "s"\n')
    report = lint_folder(str(sound.folder))
    [finding] = report.findings
    assert (finding.check, finding.place) == ("schema", f"{STATEMENTS}:1")
    assert finding.message.startswith("not valid JSON at column")
    assert (report.domain, report.counts, report.errors) == ("sound", {}, 1)


def test_every_broken_line_of_a_file_is_a_finding(sound: DomainOnDisk) -> None:
    for number in (2, 5):
        sound.change(SEEDS, number, output="")
    assert [finding.place for finding in lint_folder(str(sound.folder)).findings] == [f"{SEEDS}:2", f"{SEEDS}:5"]


def test_a_domain_that_is_not_there_is_no_finding(tmp_path: Path) -> None:
    with pytest.raises(DomainError, match="no domain"):
        lint_folder(str(tmp_path / "none"))


def test_the_json_lists_checks_findings_and_counts(sound: DomainOnDisk) -> None:
    sound.change(SEEDS, 2, topic="sailing")
    result = seedtune("domains", "lint", sound.folder, "--json")
    said = json.loads(result.stdout)
    assert result.returncode == 1
    assert said["domain"] == "sound"
    assert said["checks"]["topics"] == 1
    assert sum(said["checks"].values()) == 1
    assert said["findings"] == [
        {"level": "error", "place": f"{SEEDS}:2", "message": "topic 'sailing' is not in domain.yaml", "check": "topics"}
    ]
    assert said["counts"]["seeds"]["total"] == 6


def test_the_last_line_sums_up(sound: DomainOnDisk) -> None:
    result = seedtune("domains", "lint", sound.folder)
    assert result.returncode == 0
    assert result.stdout == "sound: 6 knowledge, 6 multiple_choice, 6 true_false: 0 errors, 0 warnings\n"
