"""Runs: their list, and for each its state, its log, and the buttons that start and stop it."""

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from seedtune import console
from seedtune.errors import ConfigError
from seedtune.web.children import LOG, Verb, typed
from seedtune.web.context import Studio, answer, body_of, page, query_of, run_of, run_page, studio_of
from seedtune.web.folders import RunFolder
from seedtune.web.listing import summary

_LOG_BYTES = 200_000
"""So much of the log's end is shown at once."""


class Start(BaseModel):
    """What to start: a config of the list with a verb, or an existing run's own config."""

    verb: Verb = "run"
    config: str | None = None
    """As :func:`list_configs` names it; None goes on with ``run``."""
    run: str = ""
    """With a config: the new run's name, where it is not the config's own."""


class LogFrom(BaseModel):
    """Where to read the log from."""

    at: int = Field(default=0, ge=0)


def show_runs(request: Request) -> Response:
    """The list of runs."""
    return page(request, "runs.html")


def show_run(request: Request) -> Response:
    """A run's first page."""
    return run_page(request, "", "run.html")


def list_runs(request: Request) -> Response:
    """Every run's summary, and the configs that a run may be started from."""
    studio = studio_of(request)
    return answer(
        {
            "runs": [summary(run, studio.children) for run in studio.runs.runs()],
            "configs": [console.relative(path) for path in studio.configs],
        }
    )


def show_summary(request: Request) -> Response:
    """A run's summary, and the command lines of its buttons."""
    studio, run = studio_of(request), run_of(request)
    return answer({**summary(run, studio.children), "commands": _commands(studio, run)})


def _commands(studio: Studio, run: RunFolder) -> dict[str, str]:
    config = run.file("config.yaml")
    commands = {"studio": f"seedtune studio --runs-dir {console.relative(studio.runs.path)}"}
    try:
        commands |= {"resume": typed(studio.children.command("run", config))} if config.is_file() else {}
    except ConfigError as problem:
        commands["fault"] = str(problem)
    if child := studio.children.child(run):
        commands["stop"] = f"kill -INT {child.pid}"
    return commands


def show_log(request: Request) -> Response:
    """What the run's process said, from a byte on; a page asks again from where it stopped."""
    path, start = run_of(request).file(LOG), query_of(request, LogFrom).at
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            begin = max(start if start <= size else 0, size - _LOG_BYTES)
            file.seek(begin)
            data = file.read(_LOG_BYTES)
    except FileNotFoundError:
        return answer({"text": "", "at": 0, "cut": False})
    # A character that is still being written waits for the next look.
    whole = data[: data.rfind(b"\n") + 1]
    text = console.printable(whole.decode("utf-8", "replace"))
    return answer({"text": text, "at": begin + len(whole), "cut": begin > start})


async def preview_start(request: Request) -> Response:
    """The command line that a start would run, without running it."""
    asked = await body_of(request, Start)
    words = await run_in_threadpool(_words, studio_of(request), asked)
    return answer({"command": typed(words)})


async def start(request: Request) -> Response:
    """Start a run, or go on with one."""
    studio, asked = studio_of(request), await body_of(request, Start)

    def work() -> dict[str, Any]:
        words = _words(studio, asked)
        return {"run": studio.children.start(words).name, "command": typed(words)}

    return answer(await run_in_threadpool(work))


async def stop(request: Request) -> Response:
    """Stop a run as Ctrl-C does: it saves its work."""
    studio, run = studio_of(request), run_of(request)
    child = await run_in_threadpool(studio.children.stop, run)
    return answer({"pid": child.pid})


def _words(studio: Studio, asked: Start) -> list[str]:
    if asked.config is None:
        return studio.children.command(asked.verb, studio.runs.run(asked.run).file("config.yaml"))
    if asked.run:
        studio.runs.place(asked.run)
    return studio.children.command(asked.verb, _config(studio, asked.config), asked.run or None)


def _config(studio: Studio, name: str) -> Path:
    """A config of the list: a page names no other file."""
    for path in studio.configs:
        if console.relative(path) == name:
            return path
    raise ConfigError(f"{name}: no config that the studio offers; it takes those of the folder it was started with")


def list_configs(folder: Path) -> list[Path]:
    """The config files of a folder; none where there is no such folder."""
    return sorted(path for path in folder.glob("*.yaml") if path.is_file())


ROUTES: list[BaseRoute] = [
    Route("/", show_runs),
    Route("/runs/{run}", show_run),
    Route("/api/runs", list_runs),
    Route("/api/runs/{run}", show_summary),
    Route("/api/runs/{run}/log", show_log),
    Route("/api/runs/{run}/stop", stop, methods=["POST"]),
    Route("/api/start", start, methods=["POST"]),
    Route("/api/start/preview", preview_start, methods=["POST"]),
]
