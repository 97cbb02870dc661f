"""A real browser before a real studio, which nothing may leave for another machine."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from conftest import ROOT, clean_environment
from studio_run import verdicts, write_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route

PICTURES = ROOT / "docs" / "images"


# Not longer than a module: playwright runs an event loop in this thread, beside which asyncio.run does not work.
@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """Headless Chromium; its absence skips a test, or fails it where a browser is required."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path, reason = None, "the package playwright is not installed"
    else:
        reason = "no chromium on this machine"
    if path is None:
        if os.environ.get("SEEDTUNE_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium: "Browser") -> Iterator[Callable[..., "Page"]]:
    """Open a page. Anything that it wants from another machine, and any fault of its scripts, fails the test."""
    faults: list[str] = []
    contexts: list[BrowserContext] = []

    def watch(route: "Route") -> None:
        host = urlsplit(route.request.url).hostname
        if host in {"127.0.0.1", "localhost"} or route.request.url.startswith(("data:", "blob:")):
            route.continue_()
        else:
            faults.append(f"a request left this machine: {route.request.url}")
            route.abort()

    def open_page(address: str, width: int = 1280, height: int = 800, scheme: str = "light") -> "Page":
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        context.set_default_timeout(15_000)
        context.route("**/*", watch)
        page = context.new_page()
        page.on("pageerror", lambda problem: faults.append(f"a script failed: {problem}"))
        page.on("dialog", lambda dialog: (faults.append(f"a dialog: {dialog.message}"), dialog.dismiss()))
        page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start ``serve`` in a child process over a folder of runs; gives its address."""
    started: list[subprocess.Popen[str]] = []

    def start(runs_dir: Path, configs: Path | None = None) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        code = (
            "import sys, json\nfrom pathlib import Path\nfrom seedtune.web.serve import serve\n"
            "runs, port, configs = json.loads(sys.argv[1])\n"
            "sys.exit(serve(Path(runs), port=port, configs=Path(configs)))\n"
        )
        arguments = json.dumps([str(runs_dir), port, str(configs or tmp_path / "none")])
        process = subprocess.Popen(
            [sys.executable, "-c", code, arguments],
            cwd=tmp_path,
            env=clean_environment(USER="ada", LOGNAME="ada", OPENAI_API_KEY="none", PYTHONPATH=str(ROOT / "src")),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        address = f"http://127.0.0.1:{port}"
        for _ in range(200):
            try:
                urlopen(address, timeout=5).close()
            except OSError:
                assert process.poll() is None, process.communicate()[0]
                time.sleep(0.1)
            else:
                return address
        raise AssertionError("the studio does not answer")

    yield start
    for process in started:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """A folder of runs with one, named ``one``, of 130 candidates."""
    write_run(tmp_path / "runs", "one", verdicts(130))
    return tmp_path / "runs"


@pytest.fixture
def picture() -> Callable[["Page", str], None]:
    """Keep a picture for the documentation, when asked to."""

    def take(page: "Page", name: str) -> None:
        if os.environ.get("SEEDTUNE_UPDATE_SCREENSHOTS") == "1":
            PICTURES.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=PICTURES / name)

    return take
