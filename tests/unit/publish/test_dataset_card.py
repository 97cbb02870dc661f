"""The dataset card: true to the run's files, readable by the hub's tools, and no way in for a task's text."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import write_jsonl
from run_on_disk import ROWS, generated, row
from seedtune.domains import load_domain
from seedtune.errors import DataError
from seedtune.publish import write_dataset_card
from seedtune.publish.dataset_card import code_span, fence
from seedtune.publish.plan import front_matter
from seedtune.records import content_id
from seedtune.runs import Run

ATTACKS = {
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "image": "![x](http://evil.example/x.png)",
    "link": "[click](http://evil.example) http://evil.example <http://evil.example>",
    "fence": "```\n\n![x](http://evil.example/x.png)\n\n````\n# Owned\n~~~~~",
    "closing": "</pre></details></body><h1>owned</h1>",
    "front matter": "---\nlicense: mit\n---",
    "jinja": "{{ 7*7 }} {% raw %}",
    "terminal": "\x1b[31mred\x07",
}


def card_of(run: Run) -> str:
    return write_dataset_card(run, load_domain(run.config.domain)).read_text(encoding="utf-8")


def outside_fences(markdown: str) -> str:
    """The card without its code blocks, read as CommonMark reads them."""
    kept: list[str] = []
    bar = ""
    for line in markdown.split("\n"):
        mark = re.match(r" {0,3}(`{3,}|~{3,})", line)
        if bar:
            if mark and mark.group(1)[0] == bar[0] and len(mark.group(1)) >= len(bar) and not line.strip("`~ "):
                bar = ""
        elif mark:
            bar = mark.group(1)
        else:
            kept.append(line)
    assert bar == "", "a code block is never closed"
    return "\n".join(kept)


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_the_card_counts_what_the_run_counted(make_run: Callable[..., Run]) -> None:
    run = make_run()
    generated(run, ROWS)
    text = card_of(run)
    for line in (
        "| candidates | 5 |",
        "| rejected: similar | 1 |",
        "| not whole: cut | 2 |",
        "| accepted instructions | 3 |",
    ):
        assert line in text
    assert "| cost | 0.1250 USD, at the prices of 2026-11-01 |" in text
    assert "1,000 in prompts, 234 in replies" in text
    assert "compared with 12 evaluation items" in text
    assert "too close\nto one: 1." in text


def test_the_card_says_how_many_answers_hold_programs_that_were_run_and_how_many_do_not(
    make_run: Callable[..., Run],
) -> None:
    run = make_run()
    generated(run, ROWS)
    path = run.path / "generate" / "funnel.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "programs": {"run": 1, "fragments": 2, "none": 0}}))
    text = card_of(run)
    assert "| in packs of programs: run and kept | 1 |" in text
    assert "| in packs of programs: fragments, not run | 2 |" in text


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("CC-BY-4.0", {"license": "cc-by-4.0"}),
        ("Apache 2.0", {"license": "apache-2.0"}),
        ("Our own (c) licence", {"license": "other", "license_name": "our-own-c-licence"}),
        ("", {"license": "unknown"}),
    ],
)
def test_the_front_matter_is_what_the_hub_reads(
    licence: str, expected: dict[str, str], make_run: Callable[..., Run]
) -> None:
    run = make_run()
    generated(run, ROWS)
    path = Path(run.config.domain) / "domain.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "licence": licence}))
    matter = front_matter(card_of(run), "README.md")
    assert {key: matter[key] for key in matter if key.startswith("license")} == expected
    assert matter["size_categories"] == ["n<1K"]
    assert matter["task_categories"] == ["text-generation"]
    assert "synthetic" in matter["tags"]
    assert matter["language"] == ["en"]


def test_the_folder_loads_as_a_dataset_by_its_card(
    make_run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mixed lists and empty objects of newer versions included."""
    from datasets import load_dataset

    run = make_run()
    more = {"neighbours": [["ab", 0.3], ["cd", 0.2]], "mean_similarity": 0.1, "source": "", "quote": ""}
    generated(
        run, [{**line, **more, "scores": scores} for line, scores in zip(ROWS, ({}, {"judge": 4.0}, {}), strict=True)]
    )
    card_of(run)
    loaded = load_dataset(str(run.path / "generate"), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"]
    assert loaded["train"]["instruction"] == [line["instruction"] for line in ROWS]


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_task_puts_nothing_into_the_card(text: str, make_run: Callable[..., Run]) -> None:
    run = make_run(generate={"teacher": {"type": "openai", "model": text}})
    generated(run, [row(text, text, text)], {"failed_requests": {text: 1}})
    markdown = card_of(run)
    assert front_matter(markdown, "README.md")["license"] != "mit"
    plain = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", outside_fences(markdown))
    assert "evil" not in plain
    assert "<" not in plain.replace("size_categories:\n- n<1K", "")
    assert "# Owned" not in plain
    tags = Tags((run.path / "generate" / "card.html").read_text(encoding="utf-8"))
    assert not {"script", "img", "a", "iframe", "link", "object"} & {tag for tag, _ in tags.seen}
    assert [tag for tag, _ in tags.seen].count("h1") == 1
    assert not [
        name for _, attributes in tags.seen for name in attributes if name.startswith("on") or name in ("src", "href")
    ]


def test_the_page_needs_nothing_beside_it(make_run: Callable[..., Run]) -> None:
    run = make_run()
    generated(run, ROWS)
    card_of(run)
    page = (run.path / "generate" / "card.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert page.count("<svg") == 3


def test_no_address_no_folder_and_no_name_of_a_key_is_in_the_card(make_run: Callable[..., Run], tmp_path: Path) -> None:
    teacher = {"type": "openai", "model": "gpt-x", "base_url": "http://inner.example/v1", "api_key_env": "INNER_KEY"}
    run = make_run(generate={"teacher": teacher})
    generated(run, ROWS, {"failed_requests": {"http://inner.example/v1 said no": 1}})
    whole = card_of(run) + (run.path / "generate" / "card.html").read_text(encoding="utf-8")
    for word in ("inner.example", "INNER_KEY", str(tmp_path)):
        assert word not in whole


def test_words_of_documents_are_spoken_of(make_run: Callable[..., Run], tmp_path: Path) -> None:
    teacher = {"type": "openai", "model": "gpt-x"}
    run = make_run(generate={"teacher": teacher, "documents": {"folder": str(tmp_path / "our-runbooks")}})
    generated(run, [row("Explain it.", source="bgp.md#1", quote="words"), row("Explain more.", source="", quote="")])
    text = card_of(run)
    assert "1 tasks rest on a passage" in text
    assert "The column `quote` holds words of the documents" in text
    assert "our-runbooks" not in text


def test_the_same_run_gives_the_same_card(make_run: Callable[..., Run]) -> None:
    run = make_run()
    generated(run, [row(f"Explain route number {n}.") for n in range(30)])
    assert card_of(run) == card_of(run)


@pytest.mark.parametrize("rows", [[], [row("你好,写一首诗")]], ids=["none accepted", "not English"])
def test_little_is_shown_as_little(rows: list[dict[str, Any]], make_run: Callable[..., Run]) -> None:
    run = make_run()
    generated(run, rows)
    text = card_of(run)
    assert "verbs.svg" not in text
    assert "language" not in front_matter(text, "README.md")
    for picture in re.findall(r"\]\((\w+\.svg)\)", text):
        assert (run.path / "generate" / picture).is_file()


def test_instances_of_classic_mode_are_in_the_counts(make_run: Callable[..., Run]) -> None:
    run = make_run()
    more = {"rejected_instances": {"contaminated": 2}, "examples": 9, "undecided": 1}
    generated(run, ROWS, {**more, "yield": {"json": {"replies": 10, "tasks": 40}}})
    text = card_of(run)
    assert "too close\nto one: 3." in text
    assert "| examples (instances of them) | 9 |" in text
    assert "Replies read as json: 10, with 40 tasks." in text


def test_pictures_of_a_former_card_do_not_stay(make_run: Callable[..., Run]) -> None:
    run = make_run()
    generated(run, ROWS)
    card_of(run)
    assert (run.path / "generate" / "verbs.svg").is_file()
    write_jsonl(run.path / "generate" / "instructions.jsonl", [])
    card_of(run)
    assert not (run.path / "generate" / "verbs.svg").exists()


def test_the_judge_is_compared_with_those_who_reviewed(make_run: Callable[..., Run]) -> None:
    """Two of three alike: kept and accepted, kept and rejected, rejected and rejected; an older word is taken back."""
    teacher = {"type": "openai", "model": "gpt-x"}
    run = make_run(generate={"teacher": teacher, "judge": {"min_score": 4}})
    kept = [row(f"Explain route {n}.", scores={"judge": 4.0}) for n in range(2)]
    generated(run, kept)
    task = {"instruction": "Bad.", "input": "", "output": "No."}
    write_jsonl(
        run.path / "generate" / "rejected.jsonl", [{"candidate": task, "reason": "judge", "scores": {"judge": 2.0}}]
    )
    decisions = [
        (kept[0]["id"], "reject"),
        (kept[0]["id"], "accept"),
        (kept[1]["id"], "reject"),
        (content_id("Bad.", "", "No."), "reject"),
        ("0" * 16, "accept"),
    ]
    lines = [{"id": identity, "decision": decision} for identity, decision in decisions]
    write_jsonl(run.path / "generate" / "review.jsonl", lines)
    text = card_of(run)
    assert "People reviewed 3 of the judged tasks and agreed with the judge on 2 (Cohen's kappa 0.40)" in text
    assert "the teacher itself" in text


def said(identity: str, decision: str, **more: Any) -> dict[str, Any]:
    return {"id": identity, "decision": decision, **more}


def test_the_card_counts_and_shows_what_people_left(make_run: Callable[..., Run]) -> None:
    run = make_run()
    rows = [row(f"Explain route {n}.", output=f"secret{n}") for n in range(5)]
    generated(run, rows)
    task = {"instruction": "Name it.", "input": "", "output": "It.", "pack": "realtime", "request": 3}
    write_jsonl(run.path / "generate" / "rejected.jsonl", [{"candidate": task, "kept": False, "reason": "similar"}])
    better = {"instruction": "Explain it well.", "output": "Better."}
    words = [
        *(said(line["id"], "reject") for line in rows[:2]),
        said(rows[2]["id"], "none", edited=better),
        said(rows[3]["id"], "accept"),
        said(content_id("Name it.", "", "It."), "accept"),
    ]
    write_jsonl(run.path / "generate" / "review.jsonl", words)
    whole = (card_of(run), (run.path / "generate" / "card.html").read_text(encoding="utf-8"))
    for line in (
        "4 tasks for instruction tuning",
        "| accepted instructions | 5 |\n| removed by people | 2 |\n| changed by people | 1 |",
        "| rejected before, added by people | 1 |\n| tasks in this dataset | 4 |",
        "Tasks by pack: knowledge 3, realtime 1.",
        "People have read 3 of them.",
    ):
        assert line in whole[0]
    for text in whole:
        assert "secret4" in text
        assert "Better." in text
        assert "Name it." in text
        assert not re.search("secret[012]", text)


def test_a_review_that_changes_nothing_is_in_no_count(make_run: Callable[..., Run]) -> None:
    run = make_run()
    generated(run, ROWS)
    before = card_of(run)
    write_jsonl(run.path / "generate" / "review.jsonl", [said(ROWS[0]["id"], "none", rating=4)])
    assert card_of(run) == before


def test_a_dataset_that_was_read_whole_is_said_to_be(make_run: Callable[..., Run]) -> None:
    run = make_run()
    generated(run, ROWS)
    assert "No person has read all of it." in card_of(run)
    assert "No person has checked them all." in card_of(run)
    write_jsonl(run.path / "generate" / "review.jsonl", [said(line["id"], "accept") for line in ROWS])
    assert "People have read all of it." in card_of(run)
    assert "No person has" not in card_of(run)


def test_what_people_wrote_is_held_against_the_evaluation_items(make_run: Callable[..., Run], tmp_path: Path) -> None:
    """The domain's, and the user's own."""
    own = {"statement": "Every hall of the museum has two doors.", "answer": True}
    write_jsonl(tmp_path / "own.jsonl", [own])
    run = make_run(evaluate={"items": [str(tmp_path / "own.jsonl")]})
    generated(run, ROWS)
    items = next(suite.items for suite in load_domain(run.config.domain).suites.values())
    texts = [items[0].question, own["statement"], "Say so."]
    edits = [{"instruction": text, "output": "Yes."} for text in texts]
    words = [said(line["id"], "accept", edited=edit) for line, edit in zip(ROWS, edits, strict=False)]
    write_jsonl(run.path / "generate" / "review.jsonl", words)
    assert "Of the 3 tasks that people changed or added, too close to one: 2." in card_of(run)


def test_without_a_run_there_is_no_card(make_run: Callable[..., Run]) -> None:
    run = make_run()
    with pytest.raises(DataError, match="seedtune generate"):
        card_of(run)


@pytest.mark.parametrize("text", ["a", "`", "``` x ````", "a|b", "x\ny", "`a`"])
def test_code_stays_code(text: str) -> None:
    bar = re.match("`+", code_span(text))
    assert bar
    assert bar.group() not in code_span(text)[len(bar.group()) : -len(bar.group())].replace(" ", "")
    assert "\n" not in code_span(text)
    inside = fence(text).split("\n")[1:-1]
    assert not [line for line in inside if line.startswith(fence(text).split("\n")[-1])]
