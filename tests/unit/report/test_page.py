"""The report page: from whatever there is, in well-formed HTML, with the model's text as text."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import write_jsonl
from seedtune.config import Config
from seedtune.console import printable
from seedtune.errors import SeedtuneError
from seedtune.report import write_report
from seedtune.runs import Run, StageName, open_run, read_run

VOID = {"meta", "br", "hr", "img", "link", "input", "source"}
SVG_EMPTY = {"line", "circle", "polyline"}
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "b", "ul", "li", "div", "span", "pre"),
    *("table", "tr", "th", "td", "details", "summary", "svg", "text", *SVG_EMPTY),
    *("h4", "fieldset", "legend", "label", "input"),
}
ATTRIBUTES = {"lang", "charset", "name", "content", "http-equiv", "class", "style", "open", "viewbox", "role"}
ATTRIBUTES |= {"type", "id", "checked"}
DRAWING = {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "points", "text-anchor", "aria-label"}

ATTACKS = {
    "script": "<script>alert(1)</script>",
    "image": '<img src="http://evil.example/x.png" onerror=alert(1)>',
    "closing": "</pre></details></body></html><h1>owned</h1>",
    "attribute": '" onmouseover="alert(1)" x="',
    "comment": "<!-- <!DOCTYPE x [",
    "entity": "&lt;script&gt; &amp; &#60;",
    "style": "</style><style>@import url(http://evil.example)</style>",
    "jinja": "{{ 7*7 }} {% include '/etc/passwd' %} {# gone #} {{ config.__class__ }}",
    "terminal": "\x1b[31mred\x1b]0;owned\x07",
    "bidi": "a\u202eb",
    "surrogate": "a\ud800b",
    "nul": "a\x00b",
}


class Page(HTMLParser):
    """Reads a page strictly: every tag closed in order, known tags and attributes only."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.tags: list[str] = []
        self.blocks: list[str] = []
        self.words: list[str] = []
        self.styles: list[str] = []
        self.feed(html)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.faults += [f"<{tag}>"] * (tag not in ALLOWED)
        self.faults += [f"<{tag} {name}>" for name, _ in attrs if name not in ATTRIBUTES | DRAWING]
        self.styles += [value or "" for name, value in attrs if name == "style"]
        if tag == "pre":
            self.blocks.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        (self.styles if "style" in self.open else self.words).append(data)
        if "pre" in self.open:
            self.blocks[-1] += data

    def handle_comment(self, data: str) -> None:
        self.faults.append(f"comment {data}")

    def unknown_decl(self, data: str) -> None:
        self.faults.append(f"declaration {data}")

    def handle_pi(self, data: str) -> None:
        self.faults.append(f"instruction {data}")

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with open_run(Config(name="one", runs_dir=tmp_path)) as opened:
        yield opened


def finish(run: Run, stage: StageName, numbers: dict[str, Any]) -> None:
    with run.working(stage, "f") as done:
        done([], numbers)


def write_generated(run: Run, text: str) -> None:
    """The files of a generate stage whose every text of a model is ``text``."""
    folder = run.folder("generate")
    task = {"instruction": text, "input": text, "output": text, "pack": "knowledge", "request": 0, "parents": ["ab"]}
    write_jsonl(folder / "instructions.jsonl", [{"id": "0", **task, "similarity": 0.5, "nearest": "ab"}])
    write_jsonl(
        folder / "rejected.jsonl",
        [{"candidate": task, "kept": False, "reason": "similar", "detail": text, "similarity": 1.0, "nearest": "x"}],
    )
    funnel = {
        "requests": 3,
        "failed_requests": {text: 1},
        "broken_tasks": {"cut": 1},
        "candidates": 2,
        "rejected": {"similar": 1},
        "accepted": 1,
        "accepted_by_pack": {"knowledge": 1},
    }
    (folder / "funnel.json").write_text(json.dumps(funnel))


def generated(run: Run, text: str = "words", finished: bool = True) -> None:
    """A generate stage that ended or was broken off."""
    write_generated(run, text)
    spent = {"prompt_tokens": 1000, "completion_tokens": 234, "cost": None, "currency": None}
    if finished:
        finish(run, "generate", spent)
    else:
        with pytest.raises(KeyboardInterrupt), run.working("generate", "f"):
            raise KeyboardInterrupt


def trained(run: Run, **numbers: Any) -> None:
    metrics = [
        {"step": 0, "epoch": 0.0, "eval_loss": 2.5},
        *({"step": step, "epoch": 0.1, "loss": 2.0 - step / 10, "grad_norm": 1.0} for step in range(1, 5)),
        {"step": 4, "epoch": 1.0, "eval_loss": 1.5},
    ]
    write_jsonl(run.folder("train") / "metrics.jsonl", metrics)
    known = {
        "rows": 20,
        "held_out_rows": 2,
        "truncated_rows": 1,
        "tokens_per_epoch": 12345,
        "steps": 4,
        "trainable_parameters": 1234567,
        "held_out_loss_before": 2.5,
        "held_out_loss_after": 1.5,
    }
    finish(run, "train", {**known, **numbers})


def write_evaluated(run: Run, text: str) -> None:
    """The files of an evaluate stage whose every text of a model is ``text``."""
    folder = run.folder("evaluate")
    share = {"correct": 5, "accuracy": 0.5, "interval": [0.2, 0.8]}
    base = {"n": 10, **share, "unparsed": 1, "errors": 0, "also": {"strict": {**share, "accuracy": 0.4}}}
    suite = {
        "n": 10,
        "type": "true_false",
        "parts": None,
        "rivals": {},
        "chance": 0.25,
        "base": base,
        "tuned": {**base, "correct": 9, "accuracy": 0.9},
        "mcnemar": {"only_base": 0, "only_tuned": 4, "p": 0.125, "adjusted": None},
        "verdict": "No difference shown.",
    }
    report = {"domain": "bgp", "base": "x", "adapter_sha256": "0", "seed": 0, "split": "test", "caveats": ["Mind."]}
    report["suites"] = {"true_false/generate": suite}
    report["forgetting"] = None
    (folder / "report.json").write_text(json.dumps(report))
    write_jsonl(folder / "showcase.jsonl", [{"question": text, "base": text, "tuned": text, "rivals": {}}])
    write_jsonl(folder / "items.jsonl", [item_line(text, True), item_line(text, False, suite="open", topic="crumb")])


def item_line(text: str, correct: bool, **changes: Any) -> dict[str, Any]:
    """An item that base and tuned model answered, the tuned one right or wrong, the base always wrong."""
    answered = {"correct": False, "parsed": True, "extracted": text, "why": text, "text": text, "likelihoods": {}}
    answered["error"] = ""
    item = {"suite": "true_false", "method": "generate", "topic": "", "level": 1, "citation": text, "question": text}
    return {
        **item,
        "options": [text],
        "right": [text],
        "contaminated": False,
        "base": answered,
        "tuned": {**answered, "correct": correct},
        "rivals": {},
        **changes,
    }


def evaluated(run: Run) -> None:
    """An evaluate stage that ended."""
    write_evaluated(run, "words")
    finish(run, "evaluate", {})


def spaced(page: Page) -> str:
    """The page's text with a blank between all its parts."""
    return " ".join(" ".join(page.words).split())


def page_of(run: Run) -> Page:
    """The page, held to what every page must be."""
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert page.faults == []
    return page


# Text of models


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_text_of_a_model_is_shown_as_text(run: Run, text: str) -> None:
    write_generated(run, text)
    write_evaluated(run, text)
    page = page_of(run)
    # Instruction, input and output of one task kept and one rejected, two answers side by side, two each of two items.
    assert page.blocks.count(printable(text)) == 12


@given(text=st.text(st.characters() | st.sampled_from("<>&\"'{}%#\x1b\r\ud800]["), min_size=1))
@settings(max_examples=25, deadline=None, database=None)
def test_any_text_of_a_model_is_shown_as_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    with open_run(Config(name="one", runs_dir=tmp_path_factory.mktemp("any"))) as run:
        write_generated(run, text)
        write_evaluated(run, text)
        assert page_of(run).blocks.count(printable(text)) == 12


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_hostile_text_adds_no_tag(run: Run, text: str) -> None:
    write_generated(run, "words")
    write_evaluated(run, "words")
    before = page_of(run).tags
    write_generated(run, text)
    write_evaluated(run, text)
    assert page_of(run).tags == before


def test_the_words_of_a_refusing_endpoint_are_shown_as_text(run: Run) -> None:
    generated(run, "<b>quota</b>\x1b[0m")
    assert r"1 failed requests: <b>quota</b>\x1b[0m" in page_of(run).text


# Nothing from elsewhere


def test_the_page_loads_nothing_and_runs_nothing(run: Run) -> None:
    generated(run)
    trained(run)
    evaluated(run)
    page = page_of(run)  # only tags and attributes that cannot load anything
    assert not [style for style in page.styles if "url(" in style or "@import" in style]


def test_the_page_forbids_the_browser_to_load_anything(run: Run) -> None:
    html = write_report(run).read_text(encoding="utf-8")
    assert (
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        in html
    )


def test_the_page_is_the_same_from_the_same_files(run: Run) -> None:
    generated(run)
    assert write_report(run).read_bytes() == write_report(read_run(run.path)).read_bytes()


# Whatever there is


def test_a_run_that_has_not_begun_has_a_page(run: Run) -> None:
    text = page_of(run).text
    for words in ("Nothing generated yet.", "Not trained yet.", "Not evaluated yet.", "not run"):
        assert words in text


def test_a_folder_without_a_manifest_has_a_page(run: Run) -> None:
    generated(run)
    (run.path / "manifest.json").unlink()
    assert "revision unknown" in page_of(read_run(run.path)).text


def test_generated_data_alone_has_a_page(run: Run) -> None:
    generated(run)
    text = page_of(run).text
    assert "3 requests to the teacher embedded gave 2 whole tasks; 1 were accepted." in text
    assert "1,234 tokens" in text
    assert "Not trained yet." in text


def test_generation_that_was_stopped_has_a_page_with_what_there_is(run: Run) -> None:
    generated(run, "so far", finished=False)
    page = page_of(run)
    assert "stopped" in page.text
    assert "so far" in page.blocks


def test_generation_without_a_single_task_has_a_page(run: Run) -> None:
    generated(run, finished=False)
    for name in ("instructions.jsonl", "rejected.jsonl"):
        (run.path / "generate" / name).write_text("")
    funnel = json.loads((run.path / "generate" / "funnel.json").read_text())
    empty = {key: {} if isinstance(value, dict) else 0 for key, value in funnel.items()}
    (run.path / "generate" / "funnel.json").write_text(json.dumps(empty))
    assert "Accepted None. Rejected None." in page_of(run).text


@pytest.mark.parametrize("stage", ["generate", "train", "evaluate"])
def test_a_stage_that_was_killed_has_a_page(run: Run, stage: StageName) -> None:
    with run.working(stage, "f"):
        assert "running" in page_of(read_run(run.path)).text


def test_a_trained_run_shows_its_losses(run: Run) -> None:
    trained(run)
    page = page_of(run)
    assert "Held-out loss (2 rows): 2.500 before, 1.500 after." in page.text
    assert page.tags.count("polyline") == 2


def test_training_without_held_out_rows_has_a_page(run: Run) -> None:
    trained(run, held_out_rows=0, held_out_loss_before=None, held_out_loss_after=None)
    assert "Held-out" not in page_of(run).text


def test_training_whose_loss_left_the_numbers_has_a_page(run: Run) -> None:
    trained(run, held_out_loss_after=float("nan"))
    with (run.path / "train" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "epoch": 2, "loss": NaN}\n{"step": 6, "epoch": 2, "loss": Infinity}\n')
    assert "nan" not in "".join(tag for tag in page_of(run).tags)


def test_an_evaluated_run_shows_both_models(run: Run) -> None:
    evaluated(run)
    text = page_of(run).text
    assert "base5 of 1050.0%20.0% to 80.0%40.0%10" in text.replace(" ", "").replace("of", " of ").replace("to", " to ")
    assert "No difference shown." in text


def test_items_can_be_filtered_by_what_they_have_and_by_who_is_right(run: Run) -> None:
    evaluated(run)
    html = write_report(run).read_text(encoding="utf-8")
    for number, words in enumerate(("they differ", "only tuned right", "only base right", "both right", "both wrong")):
        assert f'id="f0-{number}"> {words}</label>' in html
    assert 'class="item f0-1 f0-0 f1-0 f2-0 f3-0"' in html
    assert 'class="item f0-4 f1-1 f2-1 f3-0"' in html
    assert ".browser:has(#f2-1:checked) .item:not(.f2-1) { display: none; }" in html


def test_items_on_which_a_rival_differs_from_the_base_can_be_found(run: Run) -> None:
    evaluated(run)
    lines = [json.loads(line) for line in (run.path / "evaluate" / "items.jsonl").read_text().splitlines()]
    for line, correct in zip(lines, (True, False), strict=False):
        line["rivals"] = {"gpt": {**line["base"], "correct": correct, "error": ""}}
    write_jsonl(run.path / "evaluate" / "items.jsonl", lines)
    differ = [line["base"]["correct"] != line["rivals"]["gpt"]["correct"] for line in lines]
    html = write_report(run).read_text(encoding="utf-8")
    assert True in differ
    [number] = re.findall(r'id="(f\d+-\d+)"> differs from base</label>', html)
    assert [number in classes.split() for classes in re.findall(r'class="item ([^"]*)"', html)] == differ


def change_report(run: Run, **values: Any) -> None:
    path = run.path / "evaluate" / "report.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_suite(run: Run, **values: Any) -> dict[str, Any]:
    """Set keys of the one suite; gives what the base had."""
    path = run.path / "evaluate" / "report.json"
    report = json.loads(path.read_text())
    report["suites"]["true_false/generate"] |= values
    path.write_text(json.dumps(report))
    return report["suites"]["true_false/generate"]["base"]


def test_rivals_stand_beside_the_others_and_can_be_filtered_by(run: Run) -> None:
    evaluated(run)
    base = change_suite(run)
    said = {**base, "correct": 7, "errors": 2, "against": "base", "verdict": "Better by 20.0 points."}
    change_suite(run, rivals={"<gpt>": said})
    line = item_line("words", True)
    right, lost = ({"<gpt>": {**line["tuned"], "error": error}} for error in ("", "gone"))
    write_jsonl(run.path / "evaluate" / "items.jsonl", [{**line, "rivals": right}, {**line, "rivals": lost}])
    page = page_of(run)
    assert "<gpt> against base: Better by 20.0 points." in page.text
    assert "<gpt>: no answer" in page.text
    html = (run.path / "report.html").read_text()
    assert "<legend>&lt;gpt&gt;</legend>" in html
    assert re.search(r'id="f4-\d"> error</label>', html)


def test_programs_are_shown_with_lint_and_output_and_can_be_filtered_by_what_became_of_them(run: Run) -> None:
    evaluated(run)
    base = change_suite(run)
    classes = {"classes": {"pass": 0, "wrong_value": 10}, "partial": {"value": 0.5, "interval": [0.2, 0.8]}}
    result = {**base, **classes, "pass_at": {"1": {"value": 0.25, "interval": [0.1, 0.5]}}}
    change_suite(run, type="code", parts="fields", base=result, tuned=result)
    case = {"verdict": "wrong_value", "why": "line 1 differs", "held_out": True, "stdout": '{"n": 3}', "stderr": "hm"}
    code = {"verdict": "wrong_value", "samples": ["wrong_value", "crash"], "lint": ["warning: line 2"], "cases": [case]}
    line = item_line("words", False)
    line = {**line, **{kind: {**line[kind], "code": code} for kind in ("base", "tuned")}}
    write_jsonl(run.path / "evaluate" / "items.jsonl", [line])
    page = page_of(run)
    assert "case 1, held out: wrong value, line 1 differs" in page.text
    assert "all samples: wrong_value, crash" in page.text
    for block in ('{"n": 3}', "hm", "warning: line 2"):
        assert page.blocks.count(block) == 2
    assert "25.0% (10.0% to 50.0%)" in page.text
    assert "program of tuned" in page.text


def test_computed_answers_stand_beside_their_chance(run: Run) -> None:
    evaluated(run)
    share = {"correct": 5, "accuracy": 0.5, "interval": [0.2, 0.8]}
    part = {"n": 10, "chance": 0.125, "base": share, "tuned": share}
    change_suite(run, type="exact", families={"origin of a path": part}, levels={"1": part})
    assert "origin of a path 10 12.5% 50.0% 50.0%" in spaced(page_of(run))


def test_what_was_forgotten_is_said_before_the_suites(run: Run) -> None:
    evaluated(run)
    share = {"correct": 5, "accuracy": 0.5, "interval": [0.2, 0.8]}
    entry = {"n": 10, "base": share, "tuned": share, "gain": {"value": 0.0, "interval": [-0.1, 0.1]}}
    change_report(run, forgetting={"margin": 0.05, "verdict": "No worse.", "suites": {"general:sums": entry}, **entry})
    text = page_of(run).text
    assert text.index("No worse. The loss that would be accepted, 5 points") < text.index("No difference shown.")


def test_a_suite_whose_base_is_too_weak_says_so(run: Run) -> None:
    evaluated(run)
    share = {"correct": 0, "accuracy": 0.0, "interval": [0.0, 0.3]}
    entry = {"n": 10, "base": share, "tuned": share, "gain": {"value": 0.0, "interval": [-0.3, 0.3]}}
    entry |= {"shown": False, "tells": False}
    change_report(run, forgetting={"margin": 0.05, "verdict": "Too weak.", "suites": {"general:sums": entry}, **entry})
    assert "base too weak to tell" in page_of(run).text


def test_an_evaluation_without_a_tuned_model_has_a_page(run: Run) -> None:
    evaluated(run)
    path = run.path / "evaluate" / "report.json"
    report = json.loads(path.read_text())
    for key in ("tuned", "verdict", "mcnemar"):
        del report["suites"]["true_false/generate"][key]
    path.write_text(json.dumps(report))
    line = item_line("words", True)
    del line["tuned"]
    write_jsonl(run.path / "evaluate" / "items.jsonl", [line])
    assert "base wrong: words" in page_of(run).text


def test_the_likelihoods_of_options_are_shown(run: Run) -> None:
    evaluated(run)
    line = item_line("words", True)
    line["base"] |= {"text": "", "likelihoods": {"True": -1.25, "False": -2.0}}
    write_jsonl(run.path / "evaluate" / "items.jsonl", [line])
    assert "-1.25 True\n-2.00 False\n" in page_of(run).blocks


def test_caveats_stand_before_the_numbers(run: Run) -> None:
    evaluated(run)
    text = page_of(run).text
    assert text.index("Mind.") < text.index("No difference shown.")


def test_an_evaluation_without_open_questions_has_a_page(run: Run) -> None:
    evaluated(run)
    (run.path / "evaluate" / "showcase.jsonl").unlink()
    assert "Answers side by side" in page_of(run).text


def test_the_samples_are_few_and_from_the_whole_file(run: Run) -> None:
    generated(run)
    path = run.path / "generate" / "instructions.jsonl"
    [task] = [json.loads(line) for line in path.read_text().splitlines()]
    write_jsonl(path, [{**task, "instruction": f"task {number}"} for number in range(100)])
    shown = [int(block.split()[1]) for block in page_of(run).blocks if block.startswith("task ")]
    assert len(shown) == 10
    assert min(shown) < 10
    assert max(shown) >= 90


@pytest.mark.parametrize("count", [15, 19, 28])
def test_the_samples_are_from_the_whole_file_whatever_its_length(run: Run, count: int) -> None:
    generated(run)
    path = run.path / "generate" / "instructions.jsonl"
    [task] = [json.loads(line) for line in path.read_text().splitlines()]
    write_jsonl(path, [{**task, "instruction": f"task {number}"} for number in range(count)])
    shown = [int(block.split()[1]) for block in page_of(run).blocks if block.startswith("task ")]
    assert max(shown) >= 0.8 * count


def test_the_page_says_what_it_was_made_with(run: Run) -> None:
    generated(run)
    page = page_of(run)
    assert any(block.startswith("name: one\n") for block in page.blocks)
    assert any("numpy " in block and "cpus: " in block for block in page.blocks)


def test_alpha_is_shown_as_it_is(tmp_path: Path) -> None:
    config = Config.model_validate({"name": "one", "runs_dir": tmp_path, "train": {"lora": {"alpha": 0.5}}})
    with open_run(config) as run:
        trained(run)
        assert "alpha 0.5" in page_of(run).text


def test_a_broken_file_is_named(run: Run) -> None:
    generated(run)
    (run.path / "generate" / "rejected.jsonl").write_text("{\n")
    with pytest.raises(SeedtuneError, match=r"rejected\.jsonl:1"):
        write_report(run)


@pytest.mark.parametrize("file", ["generate/funnel.json", "evaluate/report.json"])
def test_a_broken_summary_is_named(run: Run, file: str) -> None:
    generated(run)
    evaluated(run)
    (run.path / file).write_text("{")
    with pytest.raises(SeedtuneError, match=file):
        write_report(run)
