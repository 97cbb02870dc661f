"""What the lint says of items with computed answers."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from domain_on_disk import DomainOnDisk

FILE = "evaluation/exact.jsonl"
BASE = {"topic": "basics", "question": "Which AS? Answer with the AS number alone.", "kind": "asn", "family": "origin"}


@pytest.fixture
def lint(sound: DomainOnDisk) -> Callable[..., list[str]]:
    def lint(*lines: dict[str, Any]) -> list[str]:
        sound.describe(suites={**_suites(sound), "exact": {"type": "exact", "test": FILE}})
        made = [{**BASE, "input": f"path {n}", "answer": "64500", **line} for n, line in enumerate(lines)]
        sound.write(FILE, made)
        return [f"{place}: {message}" for place, message in sound.faults() if "canary" not in message]

    return lint


def _suites(sound: DomainOnDisk) -> dict[str, Any]:
    return yaml.safe_load((sound.folder / "domain.yaml").read_text())["suites"]


PLAIN = [
    ("integer", "12"),
    ("number", "0.5"),
    ("asn", "64500"),
    ("asns", "64500, 64501"),
    ("asns", ""),
    ("path", "64500 {64501,64502}"),
    ("prefix", "2001:db8::/32"),
    ("prefixes", "10.0.0.0/8, 2001:db8::/32"),
    ("address", "192.0.2.1"),
    ("addresses", "192.0.2.1, 2001:db8::1"),
    ("time", "1700000000"),
    ("time", "2023-11-14 22:13:20"),
    ("yes_no", "no"),
]
OTHERS = [
    ("integer", "1,200"),
    ("asn", "AS64500"),
    ("asns", "64500 64501"),
    ("path", "64500, 64501"),
    ("prefix", "2001:0db8::/32"),
    ("prefix", "10.0.0.1/8"),
    ("prefixes", "10.0.0.0/8 10.1.0.0/16"),
    ("address", "192.0.2.1/32"),
    ("time", "22:13"),
    ("yes_no", "Yes"),
    ("word", ""),
]


@pytest.mark.parametrize(("kind", "answer"), PLAIN)
def test_plain_answers_are_sound(lint: Callable[..., list[str]], kind: str, answer: str) -> None:
    assert lint({"kind": kind, "answer": answer}) == []


@pytest.mark.parametrize(("kind", "answer"), OTHERS)
def test_other_forms_are_found(lint: Callable[..., list[str]], kind: str, answer: str) -> None:
    assert f"{FILE}:1: answer '{answer}' is not the plain form of the kind '{kind}'" in lint(
        {"kind": kind, "answer": answer}
    )


def test_a_word_is_among_options_that_the_question_names(lint: Callable[..., list[str]]) -> None:
    question = "Is it valid or invalid?"
    sound = {"kind": "word", "question": question, "answer": "valid", "options": ["valid", "invalid"]}
    assert lint(sound) == []
    assert "needs the options" in lint({**sound, "options": []})[0]
    assert "not among its options" in lint({**sound, "answer": "unknown"})[0]
    assert "does not name all" in lint({**sound, "options": ["valid", "unknown"]})[0]


def test_the_chance_of_a_family_is_one_number(lint: Callable[..., list[str]]) -> None:
    assert lint({"chance": 0.5}, {"chance": 0.5}, {"family": "other", "chance": 0.1}) == []
    assert lint({"chance": 0.5}, {"chance": 0.4}) == [
        f"{FILE}:2: chance 0.4 differs from that of {FILE}:1, 0.5, in family 'origin'"
    ]


def test_one_question_may_be_asked_of_many_excerpts_and_of_none_twice(lint: Callable[..., list[str]]) -> None:
    assert lint(*[{} for _ in range(20)]) == []
    assert lint({"input": "the same"}, {}, {"input": "the  same"}) == [f"{FILE}:3: asks the same as {FILE}:1"]


def test_excerpts_that_share_a_passage_are_found(lint: Callable[..., list[str]]) -> None:
    words = " ".join(f"10.0.{number}.0/24" for number in range(14))
    faults = lint({"input": f"one {words}"}, {"input": f"other {words}"})
    assert len(faults) == 1
    assert "shares a passage" in faults[0]
