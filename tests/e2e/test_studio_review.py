"""People who judge data in the studio: a real browser, a real server, real run folders."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from conftest import seedtune
from generation import BySeed
from studio_browser import open_data, until, words
from studio_run import identity, verdict, verdicts, write_run

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

Studio = Callable[..., str]
Browse = Callable[..., "Page"]
Picture = Callable[["Page", str], None]

SECOND_PAGE = 50
HIDDEN = "\u202e\u0000\ufeff\u00ad\u061c\u2028\U000e0041\U000e007f\u3164"
PROBE = "stolen.example"
PROBES = [
    f"<img src=http://{PROBE}/a.png onerror=alert(1)> Explain this picture.",
    f"![a picture](http://{PROBE}/b.png) Describe it.",
    f"<script src=//{PROBE}/c.js></script><svg onload=alert(2)> Explain the script.",
    f"</pre></div><style>@import 'http://{PROBE}/d.css'; body{{display:none}}</style> Explain styles.",
    f"<a href=javascript:alert(3)>x</a><iframe src=http://{PROBE}/e></iframe> Explain frames.",
    "{{ 7 * 7 }} ${7*7} \" ' onfocus=alert(4) autofocus= Explain templates.",
]


def saved(page: "Page", count: int) -> None:
    """Until so many words are on the disk."""
    until(page, f"document.getElementById('status').textContent.startsWith('{count} saved')")


def test_ten_items_are_reviewed_by_keyboard(
    studio: Studio,
    browse: Browse,
    picture: Picture,
    tmp_path: Path,
    domain_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that the generation stage made: accept, reject, rate, edit, undo, without a mouse."""
    with BySeed() as teacher:
        source = {"type": "openai", "model": "fake", "base_url": teacher.url, "concurrency": 4, "max_retries": 0}
        small = {"num_instructions": 12, "seeds_per_request": 2, "tasks_per_request": 2, "teacher": source}
        config = {"name": "one", "domain": str(domain_folder), "runs_dir": str(tmp_path / "runs"), "generate": small}
        path = tmp_path / "one.yaml"
        path.write_text(yaml.safe_dump(config))
        ended = seedtune("generate", path, OPENAI_API_KEY="none")
        assert ended.returncode == 0, ended.stderr
    folder = tmp_path / "runs" / "one" / "generate"
    made = [json.loads(line) for line in (folder / "instructions.jsonl").read_text().splitlines()]
    page = open_data(browse, studio(tmp_path / "runs"), "?verdict=kept")
    for key in ["a", "x", "a", "3", "a", "a", "x", "j", "k", "a", "a", "a", "u", "x", "a"]:
        page.keyboard.press(key)
    page.keyboard.press("e")
    page.locator("#editor textarea[name=output]").fill("A better answer.")
    page.keyboard.press("Control+Enter")
    until(page, "document.querySelector('#item .state').textContent === 'accepted'")
    saved(page, 14)
    last = {word["id"]: word for word in words(tmp_path / "runs")}
    decisions = [last[row["id"]]["decision"] for row in made[:10]]
    assert decisions == [
        "accept",
        "reject",
        "accept",
        "accept",
        "accept",
        "reject",
        "accept",
        "accept",
        "reject",
        "accept",
    ]
    assert last[made[3]["id"]]["rating"] == 3
    assert last[made[10]["id"]]["edited"]["output"] == "A better answer."
    assert {word["by"] for word in words(tmp_path / "runs")} == {"ada"}
    assert all(re.match(r"\d{4}-\d\d-\d\dT", word["at"]) for word in words(tmp_path / "runs"))


def test_thirty_keys_in_a_second_are_all_kept_over_the_end_of_a_page(
    studio: Studio, browse: Browse, runs_dir: Path
) -> None:
    """The page turns in the middle of it, and its answer is slow: every key means the row that was there for it."""
    page = open_data(browse, studio(runs_dir))
    page.locator("#at").fill("36")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('#rows li').id === 'row-36'")
    page.route("**/items?*", lambda route: (page.wait_for_timeout(300), route.continue_()))
    # All at once, faster than anybody types.
    keys = "axxaaxaxxaxaaxxaxaxaaxaxxaaxax" * 2
    page.evaluate("keys => { for (const key of keys) dispatchEvent(new KeyboardEvent('keydown', { key })) }", keys)
    saved(page, len(keys))
    said = [(word["id"], word["decision"]) for word in words(runs_dir)]
    rows = [identity(one) for one in verdicts(130)]
    assert said == [(rows[35 + at], {"a": "accept", "x": "reject"}[key]) for at, key in enumerate(keys)]


def test_counts_follow_the_decisions(studio: Studio, browse: Browse, runs_dir: Path) -> None:
    page = open_data(browse, studio(runs_dir))
    page.keyboard.press("a")
    page.keyboard.press("x")
    until(page, "document.querySelector('#filters [name=review] [value=accept]').textContent === 'accepted (1)'")
    assert page.locator("#filters [name=review] [value=open]").inner_text() == "open (128)"


def test_a_page_waits_for_its_saves(studio: Studio, browse: Browse, runs_dir: Path) -> None:
    """No row of the next page is asked for while a decision of this one is on its way."""
    page = open_data(browse, studio(runs_dir))
    order: list[str] = []
    page.route("**/words", lambda route: (page.wait_for_timeout(300), order.append("save"), route.continue_()))
    page.on("request", lambda request: order.append("page") if "after=" in request.url else None)
    page.evaluate("() => { for (let i = 0; i < 50; i++) dispatchEvent(new KeyboardEvent('keydown', { key: 'a' })) }")
    page.wait_for_selector("#row-51")
    assert order[-1] == "page"
    assert order.count("page") == 1
    assert len(words(runs_dir)) == SECOND_PAGE


def test_a_save_that_fails_is_said_and_done_again(studio: Studio, browse: Browse, runs_dir: Path) -> None:
    page = open_data(browse, studio(runs_dir))
    refusals = iter([True, True])
    page.route("**/words", lambda route: route.abort() if next(refusals, False) else route.continue_())
    page.keyboard.press("a")
    page.wait_for_selector("#status.fault")
    page.keyboard.press("x")
    saved(page, 2)
    assert [word["decision"] for word in words(runs_dir)] == ["accept", "reject"]


def test_rows_that_leave_the_filter_do_not_move_the_others(studio: Studio, browse: Browse, runs_dir: Path) -> None:
    """Reviewing what is open takes rows out of the filter; none is skipped at the page's end."""
    page = open_data(browse, studio(runs_dir), "?review=open")
    page.evaluate("() => { for (let i = 0; i < 130; i++) dispatchEvent(new KeyboardEvent('keydown', { key: 'a' })) }")
    # Said as soon as all is saved, in the place of their number.
    until(page, "document.getElementById('status').textContent.startsWith('This was the last row')")
    assert [word["id"] for word in words(runs_dir)] == [identity(one) for one in verdicts(130)]
    page.keyboard.press("u")
    page.wait_for_selector("#row-130[aria-selected=true] .mark[aria-label=open]")
    saved(page, 131)
    assert [word["decision"] for word in words(runs_dir)][-2:] == ["accept", "none"]


def test_markup_in_a_models_text_stays_text(studio: Studio, browse: Browse, tmp_path: Path) -> None:
    """No script runs, no picture is asked for, and the reader sees every character (see the fixture ``browse``)."""
    made = [
        verdict(text, f"{text}\n```python\n'{text}'\n```\n\u202eevil", given=text, detail=text, source=text)
        for text in PROBES
    ]
    made += [
        verdict(text, "Bad.", reason="similar", detail=text, neighbours=[[identity(made[0]), 0.9]]) for text in PROBES
    ]
    write_run(tmp_path / "runs", "one", made)
    page = open_data(browse, studio(tmp_path / "runs"))
    for number, text in enumerate(PROBES, 1):
        page.wait_for_selector(f"#row-{number}[aria-selected=true]")
        page.wait_for_selector("#item .behind details")
        page.evaluate("() => { for (const part of document.querySelectorAll('details')) part.open = true }")
        shown = page.locator("#item").inner_text()
        assert text in shown
        assert "U+202E" in shown
        assert page.locator("#item img, #item script, #item iframe, #item style, #item a").count() == 0
        page.keyboard.press("j")
    assert page.evaluate("document.querySelectorAll('script').length") == 2


@pytest.mark.parametrize(
    "text",
    [
        '```python\nfor x in \'a\\\'b\': print("""c\n# no comment""", 0x1f)  # a comment\n```\nand more',
        "no code at all `x` ``` y",
        "```\nnever closed",
        "- a list\n  ```py\n  x = 'open\n  ```\n```\n```\n",
        '```python\n"""\n```',
        "\u202eturned\u0000 \ufeff",
        "hid\u00adden \u061c\u2028 \U000e0041\U000e007f \u3164",
        "",
    ],
)
def test_colours_change_no_character(studio: Studio, browse: Browse, runs_dir: Path, text: str) -> None:
    page = browse(studio(runs_dir))
    look = """async (text) => {
      const { highlight } = await import('/static/highlight.js');
      const box = document.createElement('div');
      box.append(...highlight(text));
      return box.textContent;
    }"""
    expected = "".join(f"U+{ord(c):04X}" if c in HIDDEN else c for c in text)
    assert page.evaluate(look, text) == expected


def test_search_and_filters_by_keyboard(studio: Studio, browse: Browse, runs_dir: Path, picture: Picture) -> None:
    page = open_data(browse, studio(runs_dir))
    page.keyboard.press("/")
    page.keyboard.type("case 77")
    page.keyboard.press("Enter")
    until(page, "document.getElementById('position').textContent === 'of 1'")
    assert "Explain case 77 " in page.locator("#item").inner_text()
    assert "text=case+77" in page.url
    page.keyboard.press("a")
    saved(page, 1)
    assert words(runs_dir)[0]["id"] == identity(list(verdicts(130))[77])
    page.reload()
    until(page, "document.getElementById('position').textContent === 'of 1'")
    page.locator("#filters button[type=reset]").click()
    page.locator("#filters select[name=verdict]").select_option("rejected")
    until(page, "document.getElementById('position').textContent === 'of 26'")
    page.locator("#filters select[name=reason]").select_option("echo")
    until(page, "document.getElementById('position').textContent === 'of 6'")


def test_a_neighbour_that_the_filters_hide_is_opened(studio: Studio, browse: Browse, tmp_path: Path) -> None:
    made = [verdict(f"Explain case {n}.") for n in range(60)]
    made += [verdict("Explain it once more.", reason="similar", neighbours=[[identity(made[57]), 0.8]])]
    write_run(tmp_path / "runs", "one", made)
    page = open_data(browse, studio(tmp_path / "runs"), "?verdict=rejected")
    page.get_by_text("Nearest (1)").click()
    page.get_by_role("button", name="open", exact=True).click()
    page.wait_for_selector("#row-58[aria-selected=true]")
    assert "?" not in page.url
    assert page.locator("#position").inner_text() == "of 61"


def test_a_repair_is_looked_at_made_and_undone(
    studio: Studio, browse: Browse, tmp_path: Path, picture: Picture
) -> None:
    made = [verdict(f"Explain case {n}.", f"Output: the answer {n}." if n % 3 else f"Right {n}.") for n in range(30)]
    write_run(tmp_path / "runs", "one", made)
    page = open_data(browse, studio(tmp_path / "runs"))
    page.keyboard.press("x")
    page.locator("#repair-open").click()
    page.locator("#repair select[name=kind]").select_option("label")
    page.locator("#repair-look").click()
    page.wait_for_selector("#repair-preview .change")
    assert "20 rows would change" in page.locator("#repair-preview").inner_text()
    picture(page, "studio-repair.png")
    page.locator("#repair-apply").click()
    until(page, "document.getElementById('status').textContent.startsWith('20 rows repaired')")
    edited = [word for word in words(tmp_path / "runs") if "edited" in word]
    assert {word["edited"]["output"] for word in edited} == {f"the answer {n}." for n in range(30) if n % 3}
    page.keyboard.press("u")
    until(page, "document.getElementById('status').textContent.startsWith('Repair undone in 20')")
    last = {word["id"]: word for word in words(tmp_path / "runs")}
    assert [word["decision"] for word in last.values()] == ["reject", *["none"] * 20]
    assert not [word for word in last.values() if "edited" in word]


def test_everything_on_the_data_page_has_a_name(studio: Studio, browse: Browse, runs_dir: Path) -> None:
    """What a screen reader would say of each control; the cursor is told by aria-activedescendant."""
    page = open_data(browse, studio(runs_dir))
    unnamed = page.evaluate(
        "() => [...document.querySelectorAll('button, input, select, textarea, a')]"
        ".filter((e) => !(e.innerText || e.getAttribute('aria-label') || e.closest('label')?.innerText))"
        ".map((e) => e.outerHTML)"
    )
    assert unnamed == []
    page.keyboard.press("j")
    assert page.locator("#rows").get_attribute("aria-activedescendant") == "row-2"
    assert page.locator("#row-2").get_attribute("aria-selected") == "true"
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()


def test_a_line_that_may_not_be_copied_is_selected(studio: Studio, browse: Browse, runs_dir: Path) -> None:
    """A page that came unencrypted from another machine has no clipboard."""
    page = browse(f"{studio(runs_dir)}/runs/one")
    page.wait_for_selector(".command")
    page.evaluate("() => Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.get_by_role("button", name="Copy").click()
    page.get_by_text("The line is selected").wait_for()
    assert page.evaluate("getSelection().toString()") == page.locator(".command code").inner_text()


def test_a_page_that_is_older_than_the_studio_saves_all_the_same(
    studio: Studio, browse: Browse, runs_dir: Path
) -> None:
    """A studio that is started again has another secret; what was decided meanwhile is not lost."""
    page = browse(studio(runs_dir))
    secret = page.locator("meta[name=csrf]").get_attribute("content")

    def of_yesterday(route: "Route") -> None:
        found = route.fetch()
        route.fulfill(response=found, body=found.text().replace(secret or "", "of yesterday"))

    page.route("**/runs/one/data", of_yesterday)
    page.goto(f"{page.url}runs/one/data")
    page.wait_for_selector("#rows li[aria-selected=true]")
    assert page.locator("meta[name=csrf]").get_attribute("content") == "of yesterday"
    page.keyboard.press("x")
    saved(page, 1)
    assert [word["decision"] for word in words(runs_dir)] == ["reject"]


def test_a_word_that_cannot_be_saved_holds_back_no_other(studio: Studio, browse: Browse, runs_dir: Path) -> None:
    """It is taken back on the page as well."""
    page = open_data(browse, studio(runs_dir))

    def refuse(route: "Route") -> None:
        if "unfit" in (route.request.post_data or ""):
            route.fulfill(status=413, body="refused: too long")
        else:
            route.continue_()

    page.route("**/words", refuse)
    page.keyboard.press("j")
    page.keyboard.press("e")
    page.locator("#editor textarea[name=output]").fill("unfit")
    # Behind it, before it was refused.
    page.evaluate("""() => {
      document.querySelector('#editor [value=save]').click();
      for (const key of 'jxja') dispatchEvent(new KeyboardEvent('keydown', { key }));
    }""")
    page.get_by_text("Taken back, as it cannot be saved: refused: too long").wait_for()
    page.keyboard.press("a")
    until(page, "document.querySelectorAll('#rows .accept').length === 2")
    until(page, "document.getElementById('status').textContent.endsWith(' saved')")
    rows = [identity(one) for one in verdicts(6)]
    assert [(word["id"], word["decision"]) for word in words(runs_dir)] == [
        (rows[2], "reject"),
        (rows[4], "accept"),
        (rows[5], "accept"),
    ]
    assert page.locator("#row-2 .mark").get_attribute("aria-label") == "open"


def test_a_task_is_not_edited_to_nothing(studio: Studio, browse: Browse, runs_dir: Path) -> None:
    page = open_data(browse, studio(runs_dir))
    page.keyboard.press("e")
    page.locator("#editor textarea[name=output]").fill(" \n ")
    page.keyboard.press("Control+Enter")
    assert page.locator("#editor").is_visible()
    page.locator("#editor textarea[name=output]").fill("An answer that is one.")
    page.keyboard.press("Control+Enter")
    saved(page, 1)
    assert words(runs_dir)[0]["edited"]["output"] == "An answer that is one."


def test_a_preview_of_what_was_changed_since_is_not_shown(studio: Studio, browse: Browse, runs_dir: Path) -> None:
    """Apply does what the form says and the preview shows, never an earlier repair."""
    page = open_data(browse, studio(runs_dir))
    page.locator("#repair-open").click()
    page.locator("#repair select[name=kind]").select_option("replace")
    page.locator("#repair input[name=find]").fill("hold timer")
    page.route("**/preview", lambda route: (page.wait_for_timeout(300), route.continue_()))
    with page.expect_response("**/preview"):
        page.locator("#repair-look").click()
        page.locator("#repair input[name=put]").fill("hold time")
    page.wait_for_timeout(200)
    assert page.locator("#repair-preview").inner_text() == ""
    assert page.locator("#repair-apply").is_disabled()


def test_enter_in_a_field_goes_back_to_the_rows(studio: Studio, browse: Browse, runs_dir: Path) -> None:
    """Keys that follow a name or a number are decisions, not more of the name."""
    page = open_data(browse, studio(runs_dir))
    page.locator("#by").fill("grace")
    page.keyboard.press("Enter")
    page.keyboard.press("a")
    saved(page, 1)
    page.locator("#at").fill("2")
    page.keyboard.press("Enter")
    page.keyboard.press("x")
    saved(page, 2)
    assert [(word["by"], word["decision"]) for word in words(runs_dir)] == [("grace", "accept"), ("grace", "reject")]


def test_filters_that_cannot_be_read_hold_up_nothing(studio: Studio, browse: Browse, runs_dir: Path) -> None:
    page = browse(studio(runs_dir))
    page.route("**/facets", lambda route: route.abort())
    page.goto(f"{page.url}runs/one/data")
    page.wait_for_selector("#status.fault")
    page.keyboard.press("a")
    saved(page, 1)


def test_what_is_said_covers_no_button(studio: Studio, browse: Browse, runs_dir: Path) -> None:
    address = studio(runs_dir)
    for width, button in ((1280, "#accept"), (390, "#reject")):
        page = open_data(browse, address, width=width)
        page.locator(button).click()
        saved(page, 1)
        said, bar = (page.locator(name).bounding_box() for name in ("#status", ".deskbar"))
        assert said
        assert bar
        assert said["y"] + said["height"] <= bar["y"]


def test_a_text_of_any_length_is_shown(studio: Studio, browse: Browse, runs_dir: Path) -> None:
    """Its beginning, even where each character is an element of its own."""
    page = browse(studio(runs_dir))
    look = """async () => {
      const { highlight } = await import('/static/highlight.js');
      const box = document.createElement('div');
      box.append(...highlight('\u200b'.repeat(150_000)));
      return [box.querySelectorAll('.odd').length, box.lastChild.textContent];
    }"""
    assert page.evaluate(look) == [100_000, "… 50,000 more characters are not shown."]
