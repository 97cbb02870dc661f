"""docs/domain-bgp.md quotes what the lint counts."""

from typing import Any

import pytest

from conftest import ROOT
from seedtune.domains import domain_counts, load_domain


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "domain-bgp.md").read_text()


@pytest.fixture(scope="module")
def counts() -> dict[str, Any]:
    return domain_counts(load_domain("bgp"))


TITLES = {
    "multiple_choice": "multiple choice",
    "true_false": "true/false",
    "cloze": "cloze",
    "open": "open, with key points",
    "record_reading": "[record reading](record-reading.md), computed",
    "code": "[programs](code-evaluation.md), executed",
}


def test_the_seed_tasks_are_as_many_as_the_page_says(page: str, counts: dict[str, Any]) -> None:
    for pack, number in counts["seeds"]["packs"].items():
        assert f"| `{pack}` | {number} |" in page
    assert f"{counts['seeds']['with_input']} of the {counts['seeds']['total']} have an input" in page


def test_the_items_are_as_many_as_the_page_says(page: str, counts: dict[str, Any]) -> None:
    assert set(TITLES) == set(counts["items"]["suites"])
    for suite, splits in counts["items"]["suites"].items():
        levels = [str(sum(split["levels"].get(level, 0) for split in splits.values())) for level in "123"]
        sizes = f"{splits['test']['total']} | {splits['dev']['total']}"
        assert f"| {TITLES[suite]} | {sizes} | {' / '.join(levels)} |" in page


def test_the_outcomes_of_the_review_are_those_of_the_page(page: str, counts: dict[str, Any]) -> None:
    for part, outcomes in counts["reviews"].items():
        title = {**TITLES, "open": "open", "knowledge": "knowledge seeds"}[part]
        kept, mended, new = (outcomes.get(outcome, 0) for outcome in ("keep", "fix", "new"))
        assert f"| {title} | {kept} | {mended} | {new} |" in page


def test_the_spread_of_the_right_answers_is_that_of_the_page(page: str, counts: dict[str, Any]) -> None:
    test = counts["items"]["suites"]["multiple_choice"]["test"]
    *first, last = test["positions"]
    words = " ".join(page.split())
    assert f"stands {', '.join(map(str, first))} and {last} times in the four positions" in words
    assert f"the only longest one in {test['longest']} of {test['total']} items" in words
    assert f"the only shortest one in {test['shortest']}" in words
    statements = counts["items"]["suites"]["true_false"]["test"]
    assert f"{statements['true']} of {statements['total']} statements are true" in words


def test_the_share_of_the_most_cited_source_is_that_of_the_page(page: str) -> None:
    suites = load_domain("bgp").suites
    items = [item for name in list(TITLES)[:4] for item in suites[name].items]
    session = [item for item in items if item.topic in ("messages", "session", "attributes", "decision")]
    cited, of_session = (sum("RFC 4271," in item.citation for item in some) for some in (items, session))
    words = " ".join(page.split())
    assert f"{cited} of the {len(items)} items of the first four suites cite RFC 4271" in words
    assert f"it is {of_session} of {len(session)}." in words
