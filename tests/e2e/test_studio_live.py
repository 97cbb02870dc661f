"""Watching a run in a real browser: what it writes is on the screen within two seconds."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from studio_run import verdicts, write_run

if TYPE_CHECKING:
    from playwright.sync_api import Page

Studio = Callable[..., str]
Browse = Callable[..., "Page"]
Picture = Callable[["Page", str], None]

FUNNEL = {
    "requests": 260,
    "failed_requests": {"timeout": 3},
    "broken_tasks": {"cut": 2},
    "candidates": 1300,
    "rejected": {"similar": 180, "too_short": 70, "<img src=http://stolen.example/x onerror=alert(1)>": 50},
    "undecided": 0,
    "accepted": 1000,
}

TRAINING = """
import json, math, sys, time
path = sys.argv[1]
for step in range(1, int(sys.argv[2]) + 1):
    line = {"step": step, "epoch": step / 100, "loss": 2 / math.sqrt(step), "learning_rate": 1e-4,
            "tokens_per_second": 17000.5}
    with open(path, "a") as file:
        file.write(json.dumps(line) + "\\n")
        if step % 10 == 0:
            file.write(json.dumps({"step": step, "epoch": step / 100, "eval_loss": 2.2 / math.sqrt(step)}) + "\\n")
    time.sleep(0.02)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_run(tmp_path / "runs", "one", verdicts(400))
    write_progress(folder, FUNNEL)
    (folder / "train").mkdir()
    return folder


def write_progress(folder: Path, funnel: dict[str, Any], status: str = "<b>slow</b>") -> None:
    progress = {"working": True, "goal": 2000, "in_flight": 24, "tokens_per_s": 812.0, "seconds_left": 95}
    progress |= {"cost": 1.25, "projected_cost": 2.5, "funnel": funnel, "endpoints": {"gpt": status}}
    (folder / "generate" / "progress.json").write_text(json.dumps(progress))


@pytest.fixture
def training(folder: Path) -> Iterator[Callable[[int], "subprocess.Popen[bytes]"]]:
    """A process that writes metrics as a trainer does."""
    started: list[subprocess.Popen[bytes]] = []

    def start(steps: int) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", TRAINING, str(folder / "train" / "metrics.jsonl"), str(steps)]
        started.append(subprocess.Popen(command))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def number(page: "Page", name: str) -> str:
    """The value below a name."""
    found: str = (
        page.locator("dl.numbers > div").filter(has=page.get_by_text(name, exact=True)).locator("dd").inner_text()
    )
    return found


def shows(page: "Page", name: str, value: str) -> None:
    end = time.monotonic() + 15
    while number(page, name) != value:
        assert time.monotonic() < end, f"{name} is {number(page, name)}, not {value}"
        page.wait_for_timeout(50)


def test_a_run_is_watched_from_its_first_step_to_its_last(
    studio: Studio, browse: Browse, folder: Path, training: Callable[[int], "subprocess.Popen[bytes]"]
) -> None:
    """Every line is drawn, however the looks fall between the writes."""
    page = browse(f"{studio(folder.parent)}/runs/one/live")
    page.wait_for_selector("#generate .bars")
    assert not page.locator("#train").is_visible()
    process = training(200)
    page.wait_for_selector("#train-charts svg path.line")
    process.wait(timeout=60)
    shows(page, "step", "200")
    assert number(page, "useful tokens/s") == "17,001"
    assert number(page, "GPU memory, GiB") == "-"
    loss = page.locator("#train-charts .chart").first
    assert loss.locator("path.series-0").get_attribute("d").count("L") == 199
    assert loss.locator("path.series-1").get_attribute("d").count("L") == 19
    loss.get_by_text("As a table").click()
    assert loss.locator("tbody tr").last.inner_text().split() == ["200", "0.1414", "0.1556"]


def test_new_counts_come_by_themselves_and_words_stay_words(studio: Studio, browse: Browse, folder: Path) -> None:
    page = browse(f"{studio(folder.parent)}/runs/one/live")
    page.wait_for_selector("#generate .bars")
    assert number(page, "accepted") == "1,000 of 2,000"
    assert number(page, "accept rate") == "76.9%"
    assert "<img src=http://stolen.example/x onerror=alert(1)>" in page.locator("#funnel").inner_text()
    assert page.locator("#endpoints").inner_text() == "gpt: <b>slow</b>."
    page.evaluate("() => { window.marker = 1 }")
    write_progress(folder, {**FUNNEL, "candidates": 1301, "accepted": 1001})
    shows(page, "accepted", "1,001 of 2,000")
    assert page.evaluate("window.marker") == 1, "the page was loaded again"


def test_a_page_that_nobody_looks_at_asks_for_nothing(studio: Studio, browse: Browse, folder: Path) -> None:
    page = browse(f"{studio(folder.parent)}/runs/one/live")
    page.wait_for_selector("#generate .bars")
    asked: list[str] = []
    page.evaluate("() => Object.defineProperty(document, 'hidden', { get: () => true, configurable: true })")
    page.wait_for_timeout(300)
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)
    assert asked == []
    page.evaluate("() => Object.defineProperty(document, 'hidden', { get: () => false, configurable: true })")
    page.wait_for_timeout(1500)
    assert asked


def test_a_training_that_goes_on_from_a_checkpoint_is_drawn_once(studio: Studio, browse: Browse, folder: Path) -> None:
    metrics = folder / "train" / "metrics.jsonl"
    lines = [json.dumps({"step": step, "epoch": step / 100, "loss": 3.0 - step / 100}) + "\n" for step in range(1, 51)]
    metrics.write_text("".join(lines))
    page = browse(f"{studio(folder.parent)}/runs/one/live")
    page.wait_for_selector("#train-charts svg path.line")
    shows(page, "step", "50")
    metrics.write_text("".join(lines[:20]))
    shows(page, "step", "20")
    assert page.locator("#train-charts path.series-0").first.get_attribute("d").count("L") == 19


def test_the_losses_of_many_packs_stand_in_a_table(studio: Studio, browse: Browse, folder: Path) -> None:
    """So many lines would hide the two that matter."""
    packs = {f"eval_loss/pack {number}": 0.5 + number for number in range(15)}
    later = {name: loss / 2 for name, loss in packs.items()}
    rows = [{"step": 0, "eval_loss": 2.5, **packs}, {"step": 1, "loss": 2.0}, {"step": 9, "eval_loss": 1.5, **later}]
    (folder / "train" / "metrics.jsonl").write_text("".join(json.dumps({"epoch": 0.1, **row}) + "\n" for row in rows))
    page = browse(f"{studio(folder.parent)}/runs/one/live")
    table = page.locator("#train-charts table").filter(has_text="Held-out loss of each pack")
    table.wait_for()
    assert page.locator("#train-charts .chart").first.locator("path.line").count() == 2
    assert table.locator("tbody tr").count() == 15
    assert table.locator("tbody tr").nth(1).inner_text().split("\t") == ["pack 1", "1.5", "0.75"]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_at_both_widths(
    studio: Studio, browse: Browse, folder: Path, picture: Picture, width: int, scheme: str
) -> None:
    """Nothing is wider than the screen; this is the documentation's picture."""
    rows = [
        {"step": step, "epoch": step / 500, "loss": 1.9 / step**0.2, "learning_rate": 1e-4 * (1 - step / 520)}
        | {"tokens_per_second": 17000 + 300 * (step % 5), "peak_gpu_gib": 54.2}
        for step in range(1, 500)
    ]
    rows += [{"step": step, "epoch": step / 500, "eval_loss": 2 / step**0.17} for step in range(25, 500, 25)]
    rows.sort(key=lambda row: row["step"])
    (folder / "train" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_progress(folder, {**FUNNEL, "rejected": {"similar": 180, "too_short": 70, "no_output": 50}}, status="")
    page = browse(f"{studio(folder.parent)}/runs/one/live", width=width, scheme=scheme)
    page.wait_for_selector("#train-charts svg path.line")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picture(page, f"studio-live-{width}.png")
