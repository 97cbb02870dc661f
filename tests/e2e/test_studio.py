"""People at work in the studio: a real browser, a real server, real run folders."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from conftest import seedtune, write_jsonl
from generation import BySeed
from run_on_disk import ROWS, evaluated, generated, trained
from seedtune.config import Config
from seedtune.domains import load_domain
from seedtune.runs import open_run
from studio_run import identity, verdict, verdicts, write_run

if TYPE_CHECKING:
    from playwright.sync_api import Page

Studio = Callable[..., str]
Browse = Callable[..., "Page"]
Picture = Callable[["Page", str], None]

SECOND_PAGE = 50
PROBE = "stolen.example"
PROBES = [
    f"<img src=http://{PROBE}/a.png onerror=alert(1)> Explain this picture.",
    f"![a picture](http://{PROBE}/b.png) Describe it.",
    f"<script src=//{PROBE}/c.js></script><svg onload=alert(2)> Explain the script.",
    f"</pre></div><style>@import 'http://{PROBE}/d.css'; body{{display:none}}</style> Explain styles.",
    f"<a href=javascript:alert(3)>x</a><iframe src=http://{PROBE}/e></iframe> Explain frames.",
    "{{ 7 * 7 }} ${7*7} \" ' onfocus=alert(4) autofocus= Explain templates.",
]


def words(runs_dir: Path, run: str = "one") -> list[dict[str, Any]]:
    path = runs_dir / run / "generate" / "review.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def open_data(browse: Browse, address: str, query: str = "", **options: Any) -> "Page":
    page = browse(f"{address}/runs/one/data{query}", **options)
    page.wait_for_selector("#rows li[aria-selected=true]")
    return page


def until(page: "Page", expression: str) -> None:
    """Until an expression is true on the page. Playwright's own way is refused by the page's policy."""
    end = time.monotonic() + 15
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never: {expression}; {page.locator('#status').inner_text()}"
        page.wait_for_timeout(20)


def saved(page: "Page", count: int) -> None:
    """Until so many words are on the disk."""
    until(page, f"document.getElementById('status').textContent.startsWith('{count} saved')")


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    write_run(tmp_path / "runs", "one", verdicts(130))
    return tmp_path / "runs"


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
    saved(page, 130)
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
    expected = "".join(f"U+{ord(c):04X}" if c in "\u202e\u0000\ufeff" else c for c in text)
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


def test_the_pages_at_both_widths(studio: Studio, browse: Browse, tmp_path: Path, picture: Picture) -> None:
    """Nothing is wider than the screen, in either colours; these are the pictures of the documentation."""
    folder = tmp_path / "runs"
    made = look_alikes()
    with open_run(Config.model_validate({"name": "first", "runs_dir": folder})) as run:
        generated(run, ROWS)
        trained(run)
        evaluated(run)
    write_run(folder, "bgp-8b", made)
    said = (("ada", 3), ("grace", 4))
    words = [
        {"id": identity(one), "decision": "accept" if number % every else "reject", "by": by, "rating": 4}
        for number, one in enumerate(made[:14])
        for by, every in said
    ]
    write_jsonl(folder / "bgp-8b" / "generate" / "review.jsonl", words)
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "bgp-8b.yaml").write_text("seed: 1\n")
    address = studio(folder, configs)
    for width, scheme in ((1280, "light"), (390, "dark")):
        for path, mark, name in (
            ("/", "#start-command code", "runs"),
            ("/runs/first", "#summary table", "run"),
            ("/runs/bgp-8b/data?text=pybgpstream", "#item .findings", "data"),
        ):
            page = browse(address + path, width=width, scheme=scheme)
            page.wait_for_selector(mark)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (path, width)
            picture(page, f"studio-{name}-{width}.png")


def look_alikes() -> list[dict[str, Any]]:
    """Seed tasks of BGP as if a teacher had written them, the first with a fault that the lint finds."""
    packs = load_domain("bgp").packs
    seeds = [(pack.name, seed) for pack in packs.values() for seed in pack.seeds][:: len(packs)]
    seeds.sort(key=lambda pair: "elem.fields" not in pair[1].output)
    made = []
    for number, (pack, seed) in enumerate(seeds):
        near = [(seeds[(number + step) % len(seeds)][1].id, round(0.6 - 0.07 * step, 2)) for step in range(1, 5)]
        more = {"reason": "similar", "detail": near[0][0]} if number % 6 == 5 else {}
        text = {"instruction": seed.instruction, "output": seed.output.replace("elem.fields", "elem.field")}
        made.append(
            verdict(
                **text,
                given=seed.input,
                pack=pack,
                parents=[near[1][0], near[3][0]],
                similarity=near[0][1],
                neighbours=near,
                **more,
            )
        )
    return made


def test_a_run_is_started_stopped_and_gone_on_with(
    studio: Studio, browse: Browse, tmp_path: Path, domain_folder: Path
) -> None:
    """Closing the page stops nothing, nor does another studio; the buttons do what their command lines say."""
    configs = tmp_path / "configs"
    configs.mkdir()
    with BySeed(latency=0.2) as teacher:
        source = {"type": "openai", "model": "fake", "base_url": teacher.url, "concurrency": 1, "max_retries": 0}
        small = {"num_instructions": 40, "seeds_per_request": 2, "tasks_per_request": 2, "teacher": source}
        (configs / "small.yaml").write_text(yaml.safe_dump({"domain": str(domain_folder), "generate": small}))
        page = browse(studio(tmp_path / "runs", configs))
        until(page, "document.querySelector('#start-command code')?.textContent.startsWith('seedtune run ')")
        slow = iter([True])
        page.route("**/preview", lambda route: (next(slow, False) and page.wait_for_timeout(300), route.continue_()))
        page.locator("#start select[name=verb]").select_option("train")
        page.locator("#start select[name=verb]").select_option("generate")
        page.wait_for_timeout(600)  # the answer about train comes last
        until(page, "document.querySelector('#start-command code')?.textContent.startsWith('seedtune generate ')")
        page.get_by_role("button", name="Start").click()
        page.wait_for_url("**/runs/small")
        stop = page.get_by_role("button", name="Stop")
        stop.wait_for()
        page.close()
        again = studio(tmp_path / "runs", configs)
        until_there(tmp_path / "runs" / "small" / "generate" / "journal.jsonl")
        page = browse(f"{again}/runs/small")
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="Go on").wait_for()
        manifest = json.loads((tmp_path / "runs" / "small" / "manifest.json").read_text())
        assert manifest["stages"]["generate"]["state"] == "stopped"
        assert "interrupted" in page.locator("#log").inner_text()
        assert page.locator(".action code").inner_text() == "seedtune run runs/small/config.yaml"


def until_there(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.is_file():
        assert time.monotonic() < end, path
        time.sleep(0.05)


def test_an_empty_folder_says_what_to_do(studio: Studio, browse: Browse, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    page = browse(studio(tmp_path / "runs"))
    page.wait_for_selector("#runs .empty")
    assert "seedtune run" in page.locator("#runs").inner_text()


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
