"""Pages of candidates: what is found, in which order, and what follows when the files change."""

import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from run_on_disk import ROWS, generated
from seedtune.config import Config
from seedtune.records import json_line
from seedtune.runs import open_run
from seedtune.web import index
from studio_page import Page
from studio_run import REASONS, exchange, identity, verdict, verdicts, write_run

MADE = list(verdicts(120))
PAGE = 50


def journal(runs_dir: Path) -> Path:
    return runs_dir / "one" / "generate" / "journal.jsonl"


def walk(page: Page, **query: Any) -> list[str]:
    """Ids of all rows, page after page, as the browser turns them."""
    found: list[str] = []
    after = 0
    while rows := page.rows(after=after, **query):
        found += [row["id"] for row in rows]
        after = rows[-1]["n"]
    return found


def test_the_first_rows_of_a_long_run_are_shown_before_the_last_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_LONG_BYTES", 10_000)
    monkeypatch.setattr(index, "_DRAWING_S", 0.5)
    write_run(tmp_path / "runs", "one", verdicts(600))
    page = Page(tmp_path / "runs")
    first = page.get("/items")
    assert (len(first["rows"]), first["total"]) == (50, 50)
    assert first["indexed"] < 1
    end = time.monotonic() + 30
    while (found := page.get("/items"))["indexed"] < 1:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert found["total"] == 600
    assert [row["id"] for row in found["rows"]] == [row["id"] for row in first["rows"]]


def test_pages_hold_every_row_once_and_in_order(page: Page) -> None:
    assert walk(page) == [identity(one) for one in MADE]


def test_a_page_says_where_it_lies(page: Page) -> None:
    first = page.get("/items")
    assert (len(first["rows"]), first["ahead"], first["total"]) == (PAGE, 0, 120)
    second = page.get("/items", after=first["rows"][-1]["n"])
    assert second["ahead"] == PAGE
    before = page.get("/items", before=second["rows"][0]["n"])
    assert before["rows"] == first["rows"]
    skipped = page.get("/items", skip=PAGE)
    assert skipped["rows"] == second["rows"]


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ({"verdict": "kept"}, lambda one: one["kept"]),
        ({"verdict": "rejected"}, lambda one: not one["kept"]),
        ({"reason": REASONS[0]}, lambda one: one.get("reason") == REASONS[0]),
        ({"pack": "programs"}, lambda one: one["candidate"]["pack"] == "programs"),
        ({"low": "0.5"}, lambda one: one["similarity"] >= 0.5),
        ({"low": "0.1", "high": "0.2"}, lambda one: 0.1 <= one["similarity"] <= 0.2),
        ({"text": "case 7 "}, lambda one: "case 7" in one["candidate"]["instruction"]),
        ({"text": "print"}, lambda one: "print" in one["candidate"]["output"]),
        (
            {"verdict": "kept", "text": "keepalives", "pack": "programs"},
            lambda one: one["candidate"]["pack"] == "programs",
        ),
    ],
)
def test_filters_find_what_fits_and_nothing_else(page: Page, query: dict[str, str], fits: Any) -> None:
    expected = [identity(one) for one in MADE if fits(one)]
    assert expected
    assert walk(page, **query) == expected
    assert page.get("/items", **query)["total"] == len(expected)


@pytest.mark.parametrize("text", ['"', "*", "a AND", "NEAR(", "'; DROP TABLE candidate; --", "body:x", "^", "%", "\\"])
def test_search_text_is_never_read_as_a_query(page: Page, text: str) -> None:
    page.get("/items", text=text)
    assert page.get("/items")["total"] == 120


@pytest.mark.parametrize(
    "query", [{"verdict": "other"}, {"low": "x"}, {"low": "-1"}, {"after": "x"}, {"text": "x" * 201}]
)
def test_a_query_that_makes_no_sense_is_explained(page: Page, query: dict[str, str]) -> None:
    answer = page.client.get("/api/runs/one/items", params=query)
    assert answer.status_code == 422
    assert next(iter(query)) in answer.json()["error"]


def test_search_takes_words_of_the_domain_as_they_are_written(runs_dir: Path) -> None:
    write_run(runs_dir, "two", [verdict("Explain AS_PATH for 10.0.0.0/8."), verdict("Explain a path for 10.9.0.0/8.")])
    page = Page(runs_dir)
    for text in ("as_path", "10.0.0.0/8", "AS_P 10.0"):
        found = page.client.get("/api/runs/two/items", params={"text": text}).json()
        assert [row["task"]["instruction"] for row in found["rows"]] == ["Explain AS_PATH for 10.0.0.0/8."]


def test_topics_are_those_of_the_seed_tasks_that_were_shown(runs_dir: Path) -> None:
    from seedtune.domains import load_domain

    seeds = load_domain("bgp").packs["knowledge"].seeds
    parents = [seeds[0].id, next(seed.id for seed in seeds if seed.topic != seeds[0].topic)]
    write_run(runs_dir, "two", [verdict("Explain one thing.", parents=parents), verdict("Explain another thing.")])
    page = Page(runs_dir)
    found = page.client.get("/api/runs/two/items", params={"topic": seeds[0].topic}).json()["rows"]
    assert [row["task"]["instruction"] for row in found] == ["Explain one thing."]
    item = page.client.get(f"/api/runs/two/items/{found[0]['n']}").json()
    assert item["parents"][0]["instruction"] == seeds[0].instruction
    assert {parent["kind"] for parent in item["parents"]} == {"seed"}


def test_facets_count_what_the_filters_find(page: Page) -> None:
    facets = page.get("/facets")["facets"]
    assert facets["verdict"] == {"kept": 96, "rejected": 24}
    for name in ("verdict", "reason", "pack"):
        for value, count in facets[name].items():
            assert page.get("/items", **{name: value})["total"] == count, (name, value)


def test_what_is_beyond_the_goal_is_not_shown_until_the_goal_is_raised(tmp_path: Path) -> None:
    """As in instructions.jsonl and rejected.jsonl, which hold the first N and what was rejected up to there."""
    folder = write_run(tmp_path / "runs", "one", verdicts(120), goal=20)
    page = Page(tmp_path / "runs")
    shown = walk(page)
    lines = [
        json.loads(line)
        for name in ("instructions", "rejected")
        for line in (folder / "generate" / f"{name}.jsonl").read_text().splitlines()
    ]
    assert len(shown) == len(lines) == 24
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("num_instructions: 20", "num_instructions: 40"))
    os.utime(config, (1, 1))
    assert page.get("/facets")["facets"]["verdict"]["kept"] == 40


def test_instances_of_one_instruction_count_once(tmp_path: Path) -> None:
    made = [verdict("Explain it.", f"Answer {n}.") for n in range(2)] + [verdict("Explain more."), verdict("And more.")]
    write_run(tmp_path / "runs", "one", made, goal=2, views=False)
    assert [row["task"]["output"] for row in Page(tmp_path / "runs").rows()] == ["Answer 0.", "Answer 1.", "An answer."]


def test_pending_verdicts_are_no_rows(tmp_path: Path) -> None:
    write_run(
        tmp_path / "runs", "one", [verdict("Explain it.", "", reason="pending"), verdict("Explain more.")], views=False
    )
    assert [row["task"]["instruction"] for row in Page(tmp_path / "runs").rows()] == ["Explain more."]


def test_a_growing_journal_is_followed_without_reading_it_again(page: Page, runs_dir: Path) -> None:
    assert page.get("/items")["total"] == 120
    more = "".join(json_line(event) for event in exchange(60, [verdict("Explain what is new.")]))
    with journal(runs_dir).open("a") as file:
        # A line that is still being written is left for the next look.
        file.write(more[:-20])
    assert page.get("/items")["total"] == 120
    with journal(runs_dir).open("a") as file:
        file.write(more[-20:])
    assert page.get("/items")["total"] == 121
    assert page.rows(after=120)[0]["task"]["instruction"] == "Explain what is new."


def test_the_index_goes_on_where_another_process_left_it(page: Page, runs_dir: Path) -> None:
    page.get("/items")
    with sqlite3.connect(runs_dir / "one" / "studio.sqlite") as connection:
        connection.execute("UPDATE candidate SET pack = 'from the index' WHERE n = 1")
    assert Page(runs_dir).rows()[0]["pack"] == "from the index"


def test_another_journal_makes_another_index(page: Page, runs_dir: Path) -> None:
    page.get("/items")
    other = write_run(runs_dir, "other", [verdict(f"Explain {n} differently.") for n in range(300)])
    (other / "generate" / "journal.jsonl").replace(journal(runs_dir))
    assert page.get("/items")["total"] == 300
    assert page.rows(text="case") == []


@pytest.mark.parametrize("content", [b"", b"no database at all", b"SQLite format 3\x00" + b"\x00" * 200])
def test_a_broken_index_is_made_again(runs_dir: Path, content: bytes) -> None:
    (runs_dir / "one" / "studio.sqlite").write_bytes(content)
    assert Page(runs_dir).get("/items")["total"] == 120


def test_a_run_without_verdicts_in_a_journal_is_read_from_its_dataset(tmp_path: Path) -> None:
    """Runs of older versions, and runs of which only the dataset was kept."""
    with open_run(Config.model_validate({"name": "one", "runs_dir": tmp_path / "runs"})) as run:
        generated(run, ROWS)
    page = Page(tmp_path / "runs")
    assert [row["task"]["instruction"] for row in page.rows()] == [row["instruction"] for row in ROWS]
    item = page.get("/items/2")
    assert (item["prompt"], item["neighbours"][0]["kind"]) == (None, "unknown")
    path = tmp_path / "runs" / "one" / "generate" / "instructions.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:1]))
    assert page.get("/items")["total"] == 1


@pytest.mark.parametrize("line", ['{"event": "committed", "verdicts": [', '{"event": "committed", "verdicts": [{}]}'])
def test_a_broken_line_is_named_and_what_stands_before_it_is_shown(page: Page, runs_dir: Path, line: str) -> None:
    with journal(runs_dir).open("a") as file:
        file.write(line + "\n")
    found = page.get("/items")
    assert "journal.jsonl: the line at byte" in found["fault"]
    assert found["total"] == 120
    assert page.client.get("/runs/one/data").status_code == 200


def test_an_item_has_its_prompt_reply_neighbours_and_lint(runs_dir: Path) -> None:
    code = "```python\nimport pybgpstream\nfor elem in stream print(1)\n```"
    made = [
        verdict("Explain what came first."),
        verdict("Write a program.", code, source="rfc.txt#3", quote="must not"),
    ]
    made[1]["neighbours"] = [[identity(made[0]), 0.62], ["f" * 16, 0.1]]
    write_run(runs_dir, "two", made)
    page = Page(runs_dir)
    item = page.client.get("/api/runs/two/items/2").json()
    assert item["prompt"]["messages"][0]["content"] == "You are a teacher. Prompt 0."
    assert "Write a program." in item["prompt"]["reply"]
    assert [(near["kind"], near["similarity"]) for near in item["neighbours"]] == [
        ("candidate", 0.62),
        ("unknown", 0.1),
    ]
    assert item["neighbours"][0]["instruction"] == "Explain what came first."
    assert (item["facts"]["source"], item["facts"]["quote"]) == ("rfc.txt#3", "must not")
    assert [found["level"] for found in item["findings"]] == ["error"]
    assert "does not compile" in item["findings"][0]["message"]


@pytest.mark.parametrize("kept", ["journal.jsonl", "instructions.jsonl"])
def test_an_item_has_what_its_programs_printed(tmp_path: Path, kept: str) -> None:
    made = [verdict("Count.", "```python\nprint(3)\n```", printed="3 withdrawals\n"), verdict("Explain.")]
    folder = write_run(tmp_path / "runs", "one", made)
    if kept != "journal.jsonl":
        dataset = folder / "generate" / kept
        lines = [json.loads(line) for line in dataset.read_text().splitlines()]
        dataset.write_text("".join(json_line({**lines[0], "printed": "3 withdrawals\n"}) + json_line(lines[1])))
        (folder / "generate" / "journal.jsonl").unlink()
    items = [Page(tmp_path / "runs").get(f"/items/{number}") for number in (1, 2)]
    assert [item["printed"] for item in items] == ["3 withdrawals\n", ""]
    assert "printed" not in items[0]["facts"]


def test_looking_at_a_run_runs_no_code_that_came_with_it(tmp_path: Path, domain_folder: Path) -> None:
    """A run folder from elsewhere may name a domain inside itself, with a checks.py of its own."""
    trap = tmp_path / "sprung"
    (tmp_path / "runs").mkdir()
    inside = tmp_path / "runs" / "domain"
    domain_folder.rename(inside)
    check = f"import pathlib\npathlib.Path({str(trap)!r}).touch()\ndef check_program(source): return []\n"
    (inside / "checks.py").write_text(check)
    write_run(tmp_path / "runs", "one", [verdict("Explain.", "```python\npass\n```")], domain=str(inside))
    findings = Page(tmp_path / "runs").get("/items/1")["findings"]
    assert not trap.exists()
    assert "not checked" in findings[0]["message"]


def test_an_unknown_row_is_said_to_be_missing(page: Page) -> None:
    answer = page.client.get("/api/runs/one/items/999")
    assert (answer.status_code, answer.json()["error"]) == (404, "one: there is no row 999")


def test_a_run_that_cannot_be_written_can_be_read(runs_dir: Path) -> None:
    """A folder in the index's place: as unwritable for root as for anybody."""
    (runs_dir / "one" / "studio.sqlite").mkdir()
    assert Page(runs_dir).get("/items")["total"] == 120


def test_without_full_text_search_words_are_looked_for_in_the_texts(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seedtune.web import index

    def plain(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE IF EXISTS text")
        connection.execute("CREATE TABLE text (body TEXT)")

    monkeypatch.setattr(index, "_clear_text", plain)
    assert walk(Page(runs_dir), text="CASE 77") == [identity(MADE[77])]
