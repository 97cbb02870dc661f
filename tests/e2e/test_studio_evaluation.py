"""Comparing answers in a real browser."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evaluated_items import answered, item, write_evaluation
from studio_run import verdicts, write_run

if TYPE_CHECKING:
    from playwright.sync_api import Page

Studio = Callable[..., str]
Browse = Callable[..., "Page"]
Picture = Callable[["Page", str], None]

PROBE = "stolen.example"
PROBES = [
    f"<img src=http://{PROBE}/a.png onerror=alert(1)>",
    f"![a picture](http://{PROBE}/b.png)",
    f"<script src=//{PROBE}/c.js></script><svg onload=alert(2)>",
    f"</pre></li><style>@import 'http://{PROBE}/d.css'</style>",
    f"```python\n</pre><iframe src=http://{PROBE}/e></iframe>\n```",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "runs", "one", verdicts(10))


def open_page(browse: Browse, address: str, query: str = "", **options: Any) -> "Page":
    page = browse(f"{address}/runs/one/evaluation{query}", **options)
    page.wait_for_selector("#pager span")
    return page


def test_answers_that_differ_are_compared_side_by_side(studio: Studio, browse: Browse, folder: Path) -> None:
    made = [item(number, base=number % 4 < 2, tuned=number % 3 == 0) for number in range(60)]
    write_evaluation(folder, made)
    page = open_page(browse, studio(folder.parent))
    differing = [one for one in made if one["base"]["correct"] != one["tuned"]["correct"]]
    assert page.locator("#pager span").inner_text() == f"1 to 20 of {len(differing)}"
    first = page.locator("#items > li").first
    assert differing[0]["question"] in first.inner_text()
    sides = first.locator(".side h3").all_inner_texts()
    assert [re.sub(r"\s+", " ", side) for side in sides] == ["base right", "tuned wrong"]
    page.get_by_role("button", name="Next page").click()
    page.get_by_text(f"21 to {len(differing)} of {len(differing)}").wait_for()
    assert page.locator("#items > li").count() == len(differing) - 20


def test_filters_stand_in_the_address(studio: Studio, browse: Browse, folder: Path) -> None:
    # So many that no two filters find as many: a count tells which one is shown.
    made = [item(number, base=number % 5 == 0, tuned=number % 3 == 0) for number in range(80)]
    write_evaluation(folder, made)
    page = open_page(browse, studio(folder.parent))
    page.locator("#filters select[name=right]").select_option("large")
    page.locator("#filters select[name=verdict]").select_option("right")
    page.locator("#filters select[name=topic]").select_option("session")
    expected = sum(not one["base"]["correct"] and one["topic"] == "session" for one in made)
    page.get_by_text(f"1 to 20 of {expected}").wait_for()
    assert page.locator("#items .side h3").nth(1).inner_text().startswith("large")
    page.reload()
    page.get_by_text(f"1 to 20 of {expected}").wait_for()
    assert page.locator("#filters select[name=verdict] option:checked").inner_text() == "only large is right"


def test_intervals_are_drawn_and_written(studio: Studio, browse: Browse, folder: Path) -> None:
    write_evaluation(folder, [item(number, base=number < 30, tuned=number < 45) for number in range(60)])
    page = open_page(browse, studio(folder.parent))
    row = page.locator("#suites tbody tr").nth(1)
    assert row.inner_text().split("\t")[:1] == ["base"]
    assert "50.0%" in row.inner_text()
    assert "40.0% to 60.0%" in row.inner_text()
    line = row.locator("line.range")
    assert float(line.get_attribute("x1")) < float(row.locator("circle").get_attribute("cx"))
    page.locator("#grouping select[name=by]").select_option("level")
    page.get_by_text("Share of right answers by level").wait_for()
    assert page.locator("#groups tbody").count() == 3


def test_a_program_is_shown_with_its_lint_and_its_output(studio: Studio, browse: Browse, folder: Path) -> None:
    case = {"verdict": "wrong_value", "why": "row 1: prefix", "held_out": True, "stdout": '{"prefix": 1}', "stderr": ""}
    code = {"verdict": "wrong_value", "samples": ["wrong_value"], "lint": ["error: no such field"], "cases": [case]}
    program = item(1, False, True, suite="code", options=[]) | {
        "base": answered(False, "```python\nprint(1)\n```", code=code)
    }
    write_evaluation(folder, [program])
    side = open_page(browse, studio(folder.parent)).locator("#items .side").first
    shown = side.inner_text()
    for words in ("wrong value", "error: no such field", "row 1: prefix", '{"prefix": 1}', "held out"):
        assert words in shown
    assert side.locator("pre.code .number").inner_text() == "1"


def test_markup_in_answers_stays_text(studio: Studio, browse: Browse, folder: Path) -> None:
    """In questions, options, answers, reasons, output and verdicts (see the fixture ``browse``)."""
    made = []
    for number, text in enumerate(PROBES):
        case = {"verdict": "crash", "why": text, "held_out": False, "stdout": text, "stderr": text}
        code = {"verdict": "crash", "samples": [], "lint": [text], "cases": [case]}
        odd = {"question": text, "options": [text], "right": [text], "topic": text, "citation": text}
        sides = {"base": answered(False, text, why=text, code=code), "tuned": answered(True, text)}
        made.append(item(number, False, True) | odd | sides)
    write_evaluation(folder, made)
    page = open_page(browse, studio(folder.parent))
    shown = page.locator("#items").inner_text()
    for text in PROBES:
        assert shown.count(text.strip("`").split("\n")[-1] if "```" not in text else "<iframe") >= 4
    assert page.locator("#items img, #items script, #items iframe, #items style, #items a").count() == 0


def test_a_run_without_an_evaluation_says_what_to_do(studio: Studio, browse: Browse, folder: Path) -> None:
    page = browse(f"{studio(folder.parent)}/runs/one/evaluation")
    page.wait_for_selector("#none .command")
    assert page.locator("#none code").inner_text().startswith("seedtune evaluate ")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_at_both_widths(
    studio: Studio, browse: Browse, folder: Path, picture: Picture, width: int, scheme: str
) -> None:
    """Nothing is wider than the screen, and every control has a name; this is the documentation's picture."""
    question = "Which attribute decides, when LOCAL_PREF and the length of the AS_PATH are the same?"
    made = [item(number, number % 4 < 2, number % 5 > 0, question=question) for number in range(60)]
    made += [item(100 + number, number % 4 < 3, number % 6 > 0, suite="true_false") for number in range(40)]
    write_evaluation(folder, made)
    page = open_page(browse, studio(folder.parent), width=width, scheme=scheme)
    page.wait_for_selector("#groups tbody")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("[...document.querySelectorAll('.scroll')].every((e) => e.scrollWidth <= e.clientWidth)")
    unnamed = page.evaluate(
        "() => [...document.querySelectorAll('button, input, select, textarea, a')]"
        ".filter((e) => !(e.innerText || e.getAttribute('aria-label') || e.closest('label')?.innerText))"
        ".map((e) => e.outerHTML)"
    )
    assert unnamed == []
    picture(page, f"studio-evaluation-{width}.png")
