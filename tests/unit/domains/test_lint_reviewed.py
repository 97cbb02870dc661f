"""What the lint says of reviews: each record that should have one has one, as it stands."""

from typing import Any

import pytest

from domain_on_disk import CHOICES, DEV_CHOICES, SEEDS, STATEMENTS, DomainOnDisk
from seedtune.domains import domain_counts, load_domain
from seedtune.domains.reviews import digest

REVIEWS = "reviews.jsonl"


@pytest.fixture
def reviewed(sound: DomainOnDisk) -> DomainOnDisk:
    """The domain with a review of each seed task and of each multiple choice item."""
    domain = load_domain(str(sound.folder))
    tree: dict[str, Any] = domain.file.model_dump(mode="json", exclude_defaults=True)
    tree["packs"]["knowledge"]["reviews"] = REVIEWS
    tree["suites"]["multiple_choice"]["reviews"] = REVIEWS
    sound.describe(packs=tree["packs"], suites=tree["suites"])
    records = [*domain.packs["knowledge"].seeds, *domain.suites["multiple_choice"].items]
    sound.write(REVIEWS, [review(digest(record)) for record in records])
    return sound


def review(of: str, **values: Any) -> dict[str, Any]:
    return {"digest": of, "text": "What is", "reviewed": "yes", "outcome": "keep", "change": "", **values}


def test_where_everything_is_reviewed_nothing_is_said(reviewed: DomainOnDisk) -> None:
    assert reviewed.lint() == []


@pytest.mark.parametrize(
    ("file", "number", "values"),
    [
        (SEEDS, 2, {"output": "It has 71% hydration."}),
        (CHOICES, 2, {"answer": "Salt"}),
        (DEV_CHOICES, 1, {"rationale": "Salt and yeast come later."}),
    ],
)
def test_a_change_after_the_review_asks_for_another(
    reviewed: DomainOnDisk, file: str, number: int, values: dict[str, Any]
) -> None:
    """The key of an item is part of what was reviewed, though its id stays the same."""
    reviewed.change(file, number, **values)
    stale, missing = sorted(reviewed.faults(), key=lambda fault: fault[0] != REVIEWS)
    assert stale[0] == REVIEWS
    assert stale[1].endswith("was it changed after the review?")
    assert missing[0] == f"{file}:{number}"
    assert missing[1].startswith("not reviewed as it stands; once somebody else has derived it again")


def test_the_line_that_the_lint_shows_is_the_one_that_is_missing(reviewed: DomainOnDisk) -> None:
    lines = reviewed.read(REVIEWS)
    reviewed.write(REVIEWS, lines[1:])
    [(place, message)] = reviewed.faults()
    assert place == f"{SEEDS}:1"
    path = reviewed.folder / REVIEWS
    path.write_text(path.read_text() + message[message.index("{") :] + "\n")
    assert reviewed.lint() == []


@pytest.mark.parametrize(("number", "level"), [(0, "warning"), (6, "error")])
def test_not_reviewed_is_a_warning_for_a_seed_and_an_error_for_an_item(
    reviewed: DomainOnDisk, number: int, level: str
) -> None:
    lines = reviewed.read(REVIEWS)
    lines[number] |= {"reviewed": "no", "outcome": "none"}
    reviewed.write(REVIEWS, lines)
    assert [(finding.level, finding.message) for finding in reviewed.lint()] == [(level, "not reviewed yet")]


def test_two_reviews_of_one_record_are_found(reviewed: DomainOnDisk) -> None:
    lines = reviewed.read(REVIEWS)
    reviewed.write(REVIEWS, [*lines, lines[0]])
    assert reviewed.faults() == [(REVIEWS, f"two reviews of 'What is' ({lines[0]['digest']})")]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"outcome": "fine"}, "outcome: input should be"),
        ({"reviewed": "no"}, 'outcome "none" goes with reviewed "no"'),
        ({"reviewer": "me"}, "reviewer: extra inputs are not permitted"),
    ],
)
def test_a_broken_review_is_a_finding_with_its_line(reviewed: DomainOnDisk, values: dict[str, Any], words: str) -> None:
    reviewed.change(REVIEWS, 3, **values)
    [(place, message)] = reviewed.faults()
    assert place == f"{REVIEWS}:3"
    assert words in message


def test_what_names_no_file_of_reviews_needs_none(reviewed: DomainOnDisk) -> None:
    reviewed.change(STATEMENTS, 2, statement="Salt is a mineral that bakers add late.")
    assert reviewed.lint() == []


def test_outcomes_are_counted_per_pack_and_suite(reviewed: DomainOnDisk) -> None:
    reviewed.change(REVIEWS, 1, outcome="fix")
    reviewed.change(CHOICES, 2, rationale="All flour together.")
    assert domain_counts(load_domain(str(reviewed.folder)))["reviews"] == {
        "knowledge": {"fix": 1, "keep": 5},
        "multiple_choice": {"keep": 5, "none": 1},
    }


def test_counts_are_given_where_the_reviews_cannot_be_read(reviewed: DomainOnDisk) -> None:
    (reviewed.folder / REVIEWS).unlink()
    assert domain_counts(load_domain(str(reviewed.folder)))["reviews"] == {}
