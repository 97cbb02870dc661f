"""The list of runs, their buttons, and the pages at both widths: a real browser before a real server."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from conftest import write_jsonl
from generation import BySeed
from run_on_disk import ROWS, evaluated, generated, trained
from seedtune.config import Config
from seedtune.domains import load_domain
from seedtune.runs import open_run
from studio_browser import until
from studio_run import identity, verdict, verdicts, write_run

if TYPE_CHECKING:
    from playwright.sync_api import Page

Studio = Callable[..., str]
Browse = Callable[..., "Page"]
Picture = Callable[["Page", str], None]


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


def test_a_run_with_odd_files_and_a_long_name_hides_no_other(studio: Studio, browse: Browse, runs_dir: Path) -> None:
    odd = write_run(runs_dir, "a" * 120, verdicts(2))
    (odd / "manifest.json").write_text('{"stages": {"generate": {"state": 5, "seconds": "x", "numbers": 3}}}')
    (odd / "generate" / "funnel.json").write_text('{"accepted": "many", "candidates": null}')
    address = studio(runs_dir)
    page = browse(address, width=390)
    page.wait_for_selector("#runs h2")
    assert set(page.locator("#runs h2 a").all_inner_texts()) == {"one", odd.name}
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.goto(f"{address}/runs/{odd.name}")
    page.wait_for_selector("#summary table")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_log_is_shown_once_however_slow_its_answers(studio: Studio, browse: Browse, runs_dir: Path) -> None:
    """The button asks again while the page's own look is on its way."""
    page = browse(f"{studio(runs_dir)}/runs/one")
    page.get_by_role("button", name="Go on").wait_for()
    page.route("**/api/start", lambda route: route.fulfill(json={}))
    page.route("**/log?*", lambda route: (page.wait_for_timeout(300), route.continue_()))
    (runs_dir / "one" / "studio.log").write_text("It begins.\n")
    with page.expect_request("**/log?*"):
        pass
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("It begins.").wait_for()
    page.wait_for_timeout(700)
    assert page.locator("#log").inner_text() == "It begins.\n"
