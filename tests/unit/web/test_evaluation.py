"""Accuracies with intervals, and the items on which models differ."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from evaluated_items import answered, item, write_evaluation
from seedtune.evaluate.statistics import wilson as reference
from seedtune.web.evaluation import wilson
from studio_page import Page


@pytest.fixture
def items(runs_dir: Path) -> list[dict[str, Any]]:
    """Sixty items: all four verdicts, two topics, three levels."""
    made = [item(number, base=number % 4 < 2, tuned=number % 3 == 0) for number in range(60)]
    made += [item(100 + number, True, False, method="loglikelihood") for number in range(5)]
    write_evaluation(runs_dir / "one", made)
    return made


def test_a_run_without_an_evaluation_says_so(page: Page) -> None:
    assert page.get("/evaluation") == {}
    assert page.get("/evaluation/groups") == []
    assert page.get("/evaluation/items")["total"] == 0


def test_the_overview_names_every_model_and_suite(page: Page, items: list[dict[str, Any]]) -> None:
    found = page.get("/evaluation")
    assert found["models"] == {"base": "tiny", "tuned": "tuned", "large": "a-large-model"}
    assert [suite["name"] for suite in found["suites"]] == ["multiple_choice/generate", "multiple_choice/loglikelihood"]
    assert found["suites"][0]["models"]["base"]["n"] == 60
    assert found["suites"][0]["verdicts"] == {"tuned": "No difference shown.", "large": "Larger is better."}
    assert found["levels"] == ["1", "2", "3"]
    assert found["showcase"][0]["answers"]["tuned"] == "A protocol."


def test_an_older_report_without_items_is_shown_as_far_as_it_goes(page: Page, runs_dir: Path) -> None:
    result = {"n": 10, "correct": 5, "accuracy": 0.5, "interval": [0.2, 0.8]}
    suites = {"mc/generate": {"n": 10, "chance": 0.25, "base": result, "tuned": result, "verdict": "None."}}
    (runs_dir / "one" / "evaluate").mkdir()
    (runs_dir / "one" / "evaluate" / "report.json").write_text(json.dumps({"base": "x", "suites": suites}))
    found = page.get("/evaluation")
    assert list(found["models"]) == ["base", "tuned"]
    assert found["jobs"] == []


@pytest.mark.parametrize(
    ("verdict", "right"),
    [
        ("all", lambda base, tuned: True),
        ("differ", lambda base, tuned: base != tuned),
        ("left", lambda base, tuned: base and not tuned),
        ("right", lambda base, tuned: tuned and not base),
        ("both", lambda base, tuned: base and tuned),
        ("neither", lambda base, tuned: not base and not tuned),
    ],
)
def test_a_verdict_finds_its_items_over_all_pages(
    page: Page, items: list[dict[str, Any]], verdict: str, right: Any
) -> None:
    expected = [one["item"] for one in items if right(one["base"]["correct"], one["tuned"]["correct"])]
    shown: list[str] = []
    while True:
        found = page.get("/evaluation/items", verdict=verdict, skip=len(shown))
        assert found["total"] == len(expected)
        shown += [one["item"] for one in found["items"]]
        if len(shown) == len(expected):
            break
    assert shown == expected


def test_filters_work_together_and_any_two_models_can_be_compared(page: Page, items: list[dict[str, Any]]) -> None:
    found = page.get("/evaluation/items", left="tuned", right="large", verdict="right", topic="policy", level="2")
    expected = [
        one["item"] for one in items if not one["tuned"]["correct"] and one["topic"] == "policy" and one["level"] == 2
    ]
    assert [one["item"] for one in found["items"]] == expected
    assert set(found["items"][0]["answers"]) == {"base", "tuned", "large"}
    assert page.get("/evaluation/items", job="multiple_choice/loglikelihood")["total"] == 5


def test_groups_are_counted_from_the_items_of_primary_methods(page: Page, items: list[dict[str, Any]]) -> None:
    """The same items asked another way must not count twice."""
    groups = {group["name"]: group for group in page.get("/evaluation/groups")}
    own = [one for one in items if one["method"] == "generate" and one["topic"] == "policy"]
    assert groups["policy"]["n"] == len(own) == 30
    assert groups["policy"]["models"]["base"]["correct"] == sum(one["base"]["correct"] for one in own)
    levels = page.get("/evaluation/groups", by="level", job="multiple_choice/loglikelihood")
    assert sum(group["n"] for group in levels) == 5


def test_intervals_are_those_of_the_evaluation() -> None:
    draw = random.Random(3)
    for _ in range(200):
        n = draw.randint(1, 500)
        correct = draw.randint(0, n)
        assert wilson(correct, n) == pytest.approx(tuple(reference(correct, n)), abs=1e-9)


def test_a_new_evaluation_is_seen_at_once(page: Page, runs_dir: Path, items: list[dict[str, Any]]) -> None:
    assert page.get("/evaluation/items", verdict="all")["total"] == 65
    write_evaluation(runs_dir / "one", items[:7])
    assert page.get("/evaluation/items", verdict="all")["total"] == 7


def test_a_likelihood_that_is_no_number_does_not_stop_the_page(page: Page, runs_dir: Path) -> None:
    odd = item(0, True, False) | {"base": answered(True, likelihoods={"yes": float("-inf")})}
    write_evaluation(runs_dir / "one", [odd])
    [found] = page.get("/evaluation/items")["items"]
    assert found["answers"]["base"]["likelihoods"] == {"yes": None}


def test_a_broken_line_is_named(page: Page, runs_dir: Path, items: list[dict[str, Any]]) -> None:
    path = runs_dir / "one" / "evaluate" / "items.jsonl"
    path.write_text(path.read_text() + "{oops\n")
    answer = page.client.get("/api/runs/one/evaluation/items")
    assert answer.status_code == 400
    assert "items.jsonl: the line at byte" in answer.json()["error"]


@pytest.mark.parametrize("query", [{"verdict": "maybe"}, {"skip": -1}, {"skip": "x"}])
def test_a_query_that_does_not_fit_is_refused(page: Page, query: dict[str, Any]) -> None:
    assert page.client.get("/api/runs/one/evaluation/items", params=query).status_code == 422
