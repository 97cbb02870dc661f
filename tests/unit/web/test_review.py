"""Decisions, undo, repairs, agreement: what is written, and what it does."""

import json
from pathlib import Path
from typing import Any

import pytest

from seedtune.records import content_id
from studio_page import Page
from studio_run import identity, verdict, verdicts, write_run

MADE = list(verdicts(120))
FIRST, SECOND, THIRD = (identity(one) for one in MADE[:3])


def lines(runs_dir: Path) -> list[dict[str, Any]]:
    path = runs_dir / "one" / "generate" / "review.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_decision_is_appended_with_who_and_when(page: Page, runs_dir: Path) -> None:
    page.say(FIRST, "accept", rating=4)
    (line,) = lines(runs_dir)
    assert line.pop("at").endswith("+00:00")
    assert line == {"id": FIRST, "decision": "accept", "rating": 4, "by": "ada"}


def test_the_row_shows_ones_own_word_and_those_of_others(page: Page) -> None:
    page.say(FIRST, "accept")
    page.say(FIRST, "reject", by="grace", rating=2)
    row = page.rows(by="ada")[0]
    assert row["mine"]["decision"] == "accept"
    assert [(word["by"], word["decision"], word["rating"]) for word in row["others"]] == [("grace", "reject", 2)]


def test_later_lines_win_and_nothing_is_rewritten(page: Page, runs_dir: Path) -> None:
    page.say(FIRST, "accept")
    before = (runs_dir / "one" / "generate" / "review.jsonl").read_bytes()
    page.say(FIRST, "reject")
    assert (runs_dir / "one" / "generate" / "review.jsonl").read_bytes().startswith(before)
    assert page.rows(by="ada")[0]["mine"]["decision"] == "reject"


def test_an_empty_word_takes_a_decision_back(page: Page, runs_dir: Path) -> None:
    page.say(FIRST, "accept")
    page.say(FIRST, "none")
    assert page.rows(by="ada")[0]["mine"] is None
    assert [line["decision"] for line in lines(runs_dir)] == ["accept", "none"]
    assert page.get("/items", review="open")["total"] == 120


@pytest.mark.parametrize(
    ("review", "count"), [("open", 117), ("accept", 2), ("reject", 1), ("edited", 1), ("disputed", 1)]
)
def test_rows_are_filtered_by_what_people_decided(page: Page, review: str, count: int) -> None:
    task = {"instruction": "Explain it.", "input": "", "output": "Better."}
    page.say(FIRST, "accept", edited=task)
    page.say(SECOND, "accept")
    page.say(THIRD, "accept")
    page.say(THIRD, "reject", by="grace")
    assert page.get("/items", review=review)["total"] == count
    assert page.get("/facets")["facets"]["review"][review] == count


def test_an_edit_is_shown_beside_what_was_generated(page: Page) -> None:
    task = {"instruction": "Explain it.", "input": "", "output": "Better."}
    page.say(FIRST, "accept", edited=task)
    row = page.rows(by="grace")[0]
    assert row["task"] == task
    assert row["original"]["output"].startswith("Case 0")


def test_another_process_and_an_editor_may_write_the_file_too(page: Page, runs_dir: Path) -> None:
    page.say(FIRST, "accept")
    with (runs_dir / "one" / "generate" / "review.jsonl").open("a") as file:
        file.write(json.dumps({"id": SECOND, "decision": "reject", "note": "by hand"}) + "\n")
    assert page.get("/items", review="reject")["total"] == 1
    Page(runs_dir).say(THIRD, "accept")
    assert page.get("/items", review="accept")["total"] == 2


def test_a_torn_line_is_cut_off_before_the_next_word(page: Page, runs_dir: Path) -> None:
    page.say(FIRST, "accept")
    with (runs_dir / "one" / "generate" / "review.jsonl").open("a") as file:
        file.write('{"id": "half')
    page.say(SECOND, "accept")
    assert [line["id"] for line in lines(runs_dir)] == [FIRST, SECOND]


def test_a_line_by_hand_without_its_end_is_kept(page: Page, runs_dir: Path) -> None:
    path = runs_dir / "one" / "generate" / "review.jsonl"
    path.write_text(json.dumps({"id": FIRST, "decision": "reject"}))
    page.say(SECOND, "accept")
    assert [line["id"] for line in lines(runs_dir)] == [FIRST, SECOND]
    assert page.get("/items", review="reject")["total"] == 1


@pytest.mark.parametrize(
    "words",
    [
        [],
        [{"id": FIRST, "decision": "maybe"}],
        [{"id": FIRST, "decision": "accept", "rating": 6}],
        [{"id": FIRST, "decision": "accept", "edited": {"instruction": " ", "output": "x"}}],
        [{"id": FIRST, "decision": "accept"}, {"id": "0" * 16, "decision": "accept"}],
    ],
)
def test_of_words_of_which_one_is_wrong_none_is_written(page: Page, runs_dir: Path, words: list[Any]) -> None:
    status = 409 if len(words) > 1 else 422
    page.post("/api/runs/one/words", {"by": "ada", "words": words}, status)
    assert lines(runs_dir) == []


def test_a_word_needs_a_name(page: Page) -> None:
    page.post("/api/runs/one/words", {"by": "  ", "words": [{"id": FIRST, "decision": "accept"}]}, 422)


def test_agreement_is_shown_for_each_two_reviewers(page: Page) -> None:
    for number, one in enumerate(MADE[:10]):
        page.say(identity(one), "accept" if number < 6 else "reject")
        page.say(identity(one), "accept" if number < 5 or number == 9 else "reject", by="grace")
    (pair,) = page.get("/facets")["agreement"]
    # 8 of 10 the same, expected 0.52: (0.8 - 0.52) / 0.48.
    assert pair == {"first": "ada", "second": "grace", "n": 10, "same": 8, "kappa": pytest.approx(0.28 / 0.48)}


LABEL: dict[str, Any] = {"repair": {"kind": "label", "parts": ["output"]}}


class TestRepairs:
    @pytest.fixture
    def page(self, tmp_path: Path) -> Page:
        outputs = ["Output: one.", "two.", "**Answer:** three. ", "Output: four."]
        made = [verdict(f"Explain case {n}.", output) for n, output in enumerate(outputs)]
        made.append(verdict("Explain what was rejected.", "Output: five.", reason="similar"))
        write_run(tmp_path / "runs", "one", made)
        return Page(tmp_path / "runs")

    def test_a_preview_changes_nothing(self, page: Page, tmp_path: Path) -> None:
        found = page.post("/api/runs/one/repair/preview", {**LABEL, "by": "ada"})
        assert found["count"] == 4
        assert found["samples"][0]["after"]["output"] == "one."
        assert lines(tmp_path / "runs") == []

    def test_every_row_of_the_filter_with_the_fault_is_edited_and_no_other(self, page: Page) -> None:
        body = {**LABEL, "filters": {"verdict": "kept"}, "by": "ada", "expected": 3}
        assert page.post("/api/runs/one/repair", body)["count"] == 3
        outputs = [row["task"]["output"] for row in page.rows()]
        assert outputs == ["one.", "two.", "three. ", "four.", "Output: five."]

    def test_decisions_and_ratings_stay(self, page: Page) -> None:
        first, second = (row["id"] for row in (page.rows()[0], page.rows()[3]))
        page.say(first, "reject", rating=2)
        page.say(second, "accept", by="grace")
        page.post("/api/runs/one/repair", {**LABEL, "by": "ada", "expected": 4})
        rows = page.rows(by="ada")
        assert (rows[0]["mine"]["decision"], rows[0]["mine"]["rating"]) == ("reject", 2)
        assert rows[3]["mine"]["decision"] == "none"
        assert page.get("/items", review="accept")["total"] == 1

    def test_repairs_build_on_each_other(self, page: Page) -> None:
        page.post("/api/runs/one/repair", {**LABEL, "by": "ada", "expected": 4})
        space = {"repair": {"kind": "white_space"}, "by": "grace", "expected": 1}
        page.post("/api/runs/one/repair", space)
        assert page.rows()[2]["task"]["output"] == "three."

    def test_what_was_not_previewed_is_not_repaired(self, page: Page, tmp_path: Path) -> None:
        for expected in (3, 5):
            page.post("/api/runs/one/repair", {**LABEL, "by": "ada", "expected": expected}, 409)
        assert lines(tmp_path / "runs") == []

    def test_undo_brings_back_what_the_reviewer_said_before(self, page: Page) -> None:
        first, last = page.rows()[0]["id"], page.rows()[3]["id"]
        page.say(first, "reject", rating=2)
        batch = page.post("/api/runs/one/repair", {**LABEL, "by": "ada", "expected": 4})["batch"]
        page.say(last, "accept")
        undone = page.post("/api/runs/one/repair/undo", {"by": "ada", "batch": batch})
        assert undone == {"count": 3, "changed_since": 1}
        rows = page.rows(by="ada")
        assert rows[0]["task"]["output"] == "Output: one."
        assert (rows[0]["mine"]["decision"], rows[0]["mine"]["rating"]) == ("reject", 2)
        assert rows[1]["mine"] is None

    def test_an_edited_row_keeps_the_id_that_it_was_generated_with(self, page: Page, tmp_path: Path) -> None:
        page.post("/api/runs/one/repair", {**LABEL, "by": "ada", "expected": 4})
        assert lines(tmp_path / "runs")[0]["id"] == content_id("Explain case 0.", "", "Output: one.")
