"""The domain ``general``: nothing to generate from, and nothing of what is trained on in its questions."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT, write_jsonl
from seedtune.domains import load_domain
from seedtune.domains.contamination import ItemGuard, answers_of, wordings_of
from seedtune.domains.loader import Domain, Item
from seedtune.errors import DomainError
from seedtune.evaluate.exact import score_exact
from seedtune.evaluate.statistics import room_to_lose
from seedtune.records import EvalItem, SeedTask

GENERAL, BGP = load_domain("general"), load_domain("bgp")
FOLLOWING = {
    "question": "Write two words.",
    "constraints": [{"check": "words", "value": 2}],
    "answer": "two words",
}


def as_task(item: Item) -> SeedTask:
    """An item as if somebody had put it, with its answers, among the training data."""
    return SeedTask(
        instruction=wordings_of(item)[0], input="", output="\n".join((*answers_of(item), item.rationale, "."))
    )


@pytest.fixture
def evaluated_only(domain_folder: Path) -> Path:
    """The template domain without its packs, and with a suite of constraints."""
    path = domain_folder / "domain.yaml"
    tree: dict[str, Any] = yaml.safe_load(path.read_text())
    del tree["packs"], tree["requirements"]
    tree["suites"] = {"following": {"type": "constraints", "items": "evaluation/following.jsonl"}}
    path.write_text(yaml.safe_dump(tree))
    write_jsonl(domain_folder / "evaluation/following.jsonl", [FOLLOWING])
    return domain_folder


# The shipped suite


def test_there_are_as_many_items_as_the_page_says() -> None:
    page = (ROOT / "docs" / "general-suite.md").read_text()
    for suite in GENERAL.suites.values():
        test, dev = (len(suite.files[split].items) for split in ("test", "dev"))
        assert f"| `{suite.name}` | `{suite.type}` | {test} | {dev} |" in page
        assert test >= 70


def test_the_page_says_how_much_a_base_must_have_right_to_be_able_to_lose_five_points() -> None:
    items = [item for suite in GENERAL.suites.values() for item in suite.files["test"].items]
    chance = sum(1 / len(item.options) for item in items if isinstance(item, EvalItem)) / len(items)
    least = next(right for right in range(len(items)) if room_to_lose(right, len(items), chance) > 0.05)
    page = " ".join((ROOT / "docs" / "general-suite.md").read_text().split())
    assert f"from {least} of {len(items)} right ({least / len(items):.1%}) on" in page
    assert f"Guessing gives {chance:.1%} over all test items" in page


@pytest.mark.parametrize(("mine", "theirs"), [(GENERAL, BGP), (BGP, GENERAL)], ids=["general", "bgp"])
def test_no_item_is_found_in_the_other_domain(mine: Domain, theirs: Domain) -> None:
    """What is measured before and after is no part of what is learned, and does not give it away."""
    guard = ItemGuard(theirs.suites.values())
    items = [item for suite in mine.suites.values() for item in suite.items]
    seeds = [seed for pack in mine.packs.values() for seed in pack.seeds]
    assert [task.instruction for task in (*map(as_task, items), *seeds) if guard.hit(task)] == []


def test_nothing_is_asked_about_what_is_trained() -> None:
    texts = [text for suite in GENERAL.suites.values() for item in suite.items for text in wordings_of(item)]
    assert [text for text in texts if "bgp" in text.casefold() or "autonomous system" in text.casefold()] == []


@pytest.mark.parametrize("item", GENERAL.suites["arithmetic"].items, ids=lambda item: item.id)
def test_a_computed_answer_is_accepted_alone_and_in_a_sentence_and_its_neighbour_is_not(item: Any) -> None:
    for text in (item.answer, f"The answer is {item.answer}.", f"We add and divide.\n\nAnswer: **{item.answer}**"):
        assert score_exact(text, item).correct, text
    for text in (str(float(item.answer) + 1), item.question, ""):
        assert not score_exact(text, item).correct, text


# A domain without packs


def test_a_domain_without_packs_loads(evaluated_only: Path) -> None:
    domain = load_domain(str(evaluated_only))
    assert (domain.packs, len(domain.suites["following"].items)) == ({}, 1)


@pytest.mark.parametrize("names", [None, ("knowledge",)])
def test_who_would_generate_for_it_or_train_on_it_is_told(evaluated_only: Path, names: tuple[str, ...] | None) -> None:
    with pytest.raises(DomainError, match=r"domain\.yaml: the domain baking has no packs, .* or add 'packs:'"):
        load_domain(str(evaluated_only)).select_packs(names)


def test_a_domain_with_neither_packs_nor_suites_is_none(evaluated_only: Path) -> None:
    path = evaluated_only / "domain.yaml"
    tree = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**tree, "suites": {}}))
    with pytest.raises(DomainError, match=r"domain\.yaml: a domain has packs to generate from, or suites"):
        load_domain(str(evaluated_only))


# Constraints are checked when they are read


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        ({"check": "word", "value": 2}, "no check 'word'; did you mean 'words'?"),
        ({"check": "zzz"}, "no check 'zzz'; there are: words, "),
        ({"check": "words"}, "the check 'words' takes a whole number from 1"),
        ({"check": "words", "value": 0}, "the check 'words' takes a whole number from 1"),
        ({"check": "words", "value": "2"}, "the check 'words' takes a whole number from 1"),
        ({"check": "includes", "value": "tea"}, "the check 'includes' takes texts"),
        ({"check": "includes", "value": []}, "the check 'includes' takes texts"),
        ({"check": "includes", "value": ["tea", 2]}, "the check 'includes' takes texts"),
        ({"check": "starts_with", "value": " "}, "the check 'starts_with' takes a text"),
        ({"check": "times", "value": ["tea"]}, "the check 'times' takes a text and how often"),
        ({"check": "times", "value": ["tea", 0]}, "the check 'times' takes a text and how often"),
        ({"check": "matches", "value": "("}, "the check 'matches' takes a regular expression"),
        ({"check": "matches"}, "the check 'matches' takes a regular expression"),
        ({"check": "uppercase", "value": 1}, "the check 'uppercase' takes no value"),
    ],
)
def test_a_broken_constraint_is_named_with_its_line(
    evaluated_only: Path, constraint: dict[str, Any], words: str
) -> None:
    broken = {**FOLLOWING, "constraints": [*FOLLOWING["constraints"], constraint]}
    write_jsonl(evaluated_only / "evaluation/following.jsonl", [FOLLOWING, broken])
    with pytest.raises(DomainError) as caught:
        load_domain(str(evaluated_only))
    assert f"following.jsonl:2: constraints.1: {words}" in str(caught.value)
