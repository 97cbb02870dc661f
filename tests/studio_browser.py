"""What the browser tests of the studio do on its pages."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

Browse = Callable[..., "Page"]


def words(runs_dir: Path, run: str = "one") -> list[dict[str, Any]]:
    path = runs_dir / run / "generate" / "review.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def open_data(browse: Browse, address: str, query: str = "", **options: Any) -> "Page":
    page = browse(f"{address}/runs/one/data{query}", **options)
    page.wait_for_selector("#rows li[aria-selected=true]")
    return page


def until(page: "Page", expression: str) -> None:
    """Until an expression is true on the page. Playwright's own way is refused by the page's policy."""
    end, said = time.monotonic() + 15, list[str]()
    while not page.evaluate(expression):
        status = page.locator("#status").text_content() or ""
        said += [status] if said[-1:] != [status] else []
        assert time.monotonic() < end, f"never: {expression}; the page said, one after the other: {said}"
        page.wait_for_timeout(20)
