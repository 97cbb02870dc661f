"""The studio with 100,000 candidates: the first page, and from key to screen; one JSON line.

Chromium opens the data page of a run that was never looked at before (``cold``: the page comes while the index is being
made), and again when the index is there (``warm``). ``key_ms`` is the time from a key press to the frame that shows the
next row, ``ready_s`` what making the index takes.

    .venv/bin/python benchmarks/bench_studio.py [--rows 100000]
"""

import argparse
import json
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from studio_run import verdicts, write_run

PRESSES = 100

# From the key press to the second frame after it: the first may have been under way.
KEYS = """async (presses) => {
  const times = [];
  for (let i = 0; i < presses; i++) {
    const before = performance.now(), row = document.querySelector('[aria-selected=true]').id;
    dispatchEvent(new KeyboardEvent('keydown', { key: 'a' }));
    while (document.querySelector('[aria-selected=true]')?.id === row) await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    times.push(performance.now() - before);
  }
  return times;
}"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as address, sync_playwright() as playwright:
        run = write_run(Path(folder), "big", verdicts(rows), views=False)
        write_run(Path(folder), "small", verdicts(10))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        # What the browser and the studio load once is no part of it.
        first_page(browser, address, "small")
        cold = first_page(browser, address)
        began = time.monotonic()
        ready_s = cold["seconds"] + wait_until_ready(browser, address, rows) - began
        warm = first_page(browser, address)
        keys = press_keys(browser, address)
        searched = search(browser, address)
        size = (run / "studio.sqlite").stat().st_size
        browser.close()
    journal = {"rows": rows, "cold": cold, "ready_s": round(ready_s, 2), "warm": warm, "search_ms": searched}
    print(json.dumps({**journal, "key_ms": keys, "index_mib": round(size / 2**20, 1)}))


@contextmanager
def serving(runs_dir: Path) -> Iterator[str]:
    """The studio as a user starts it, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "import sys; from pathlib import Path; from seedtune.web.serve import serve\n"
    code += "serve(Path(sys.argv[1]), port=int(sys.argv[2]))"
    process = subprocess.Popen([sys.executable, "-c", code, str(runs_dir), str(port)], stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                urlopen(address).close()
                break
            except OSError:
                time.sleep(0.05)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def first_page(browser: Browser, address: str, run: str = "big") -> dict[str, Any]:
    """Seconds until the first row stands there, with the requests it took."""
    page = browser.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    began = time.monotonic()
    page.goto(f"{address}/runs/{run}/data", wait_until="commit")
    page.wait_for_selector("#rows li[aria-selected=true]")
    seconds = time.monotonic() - began
    sent = len(requests)
    page.close()
    return {"seconds": round(seconds, 3), "requests": sent}


def wait_until_ready(browser: Browser, address: str, rows: int) -> float:
    page = browser.new_page()
    while page.request.get(f"{address}/api/runs/big/items").json()["total"] < rows:
        time.sleep(0.05)
    page.close()
    return time.monotonic()


def press_keys(browser: Browser, address: str) -> dict[str, float]:
    """From key to screen, each press a decision that is saved, page turns included."""
    page = browser.new_page()
    page.goto(f"{address}/runs/big/data")
    page.wait_for_selector("#rows li[aria-selected=true]")
    times = page.evaluate(KEYS, PRESSES)
    page.close()
    return {"median": round(statistics.median(times), 1), "worst": round(max(times), 1)}


def search(browser: Browser, address: str) -> float:
    """Milliseconds until the answer to a search for one word in a hundred thousand texts."""
    page = browser.new_page()
    began = time.monotonic()
    page.request.get(f"{address}/api/runs/big/items", params={"text": "case 77777"})
    milliseconds = (time.monotonic() - began) * 1000
    page.close()
    return round(milliseconds, 1)


if __name__ == "__main__":
    main()
