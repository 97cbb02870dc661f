"""Chat: base and tuned model side by side, votes on their answers, and a run of the programs in them."""

from collections.abc import AsyncIterator, Generator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import anyio
from pydantic import BaseModel, Field, StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from seedtune import console
from seedtune.domains.programs import programs_of
from seedtune.errors import RunError, SeedtuneError
from seedtune.records import json_line
from seedtune.web.context import answer, body_of, run_of, run_page, studio_of
from seedtune.web.conversations import ChatRoom
from seedtune.web.folders import RunFolder
from seedtune.web.pair import Decoding, trained
from seedtune.web.programs import MADE, Workbench
from seedtune.web.votes import VOTES, Choice, tally

_LISTED = 2_000
"""Files that are offered at once."""
_running = anyio.CapacityLimiter(1)
"""One program of a model at a time."""


class Begin(BaseModel):
    """A new conversation."""

    system: str = Field(default="", max_length=20_000)
    blind: bool = False


class Say(BaseModel):
    """A question."""

    conversation: str
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100_000)]
    decoding: Decoding = Decoding()


class About(BaseModel):
    """Which conversation."""

    conversation: str


class Vote(BaseModel):
    """What somebody says of two answers."""

    conversation: str
    turn: int
    choice: Choice
    by: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]


class RunProgram(BaseModel):
    """A program of an answer, and what it is run on."""

    conversation: str
    turn: int = Field(ge=0)
    pane: int = Field(ge=0, le=1)
    program: int = Field(ge=0)
    """Its place among those of the answer."""
    file: str = MADE


def show_chat(request: Request) -> Response:
    """The page."""
    run = run_of(request)
    return run_page(request, "chat", "chat.html", command=f"seedtune chat {console.relative(run.path)}")


def read_state(request: Request) -> Response:
    """Whether the models can be loaded, are loading, or are there."""
    run = run_of(request)
    talker = _room(request).talker(run)
    if talker is None:
        return answer({"state": "off", "fault": _why_not(run), "about": {}, "pid": None})
    return answer({"state": talker.state, "fault": talker.fault, "about": talker.about, "pid": talker.pid})


def _why_not(run: RunFolder) -> str:
    """Why a run's models are not to be loaded; empty if they may be."""
    try:
        found = trained(run.path)
    except SeedtuneError as problem:
        return str(problem)
    if found.config.model.trust_remote_code:
        # A run may be somebody else's: a click must not run the code that comes with its model.
        return "this model brings code of its own (model.trust_remote_code); chat with it in a terminal"
    return ""


async def load(request: Request) -> Response:
    """Start the process that holds the models."""
    run, room = run_of(request), _room(request)

    def work() -> int:
        if fault := _why_not(run):
            raise RunError(fault)
        return room.load(run).pid

    return answer({"pid": await run_in_threadpool(work)})


async def unload(request: Request) -> Response:
    """End it."""
    await run_in_threadpool(_room(request).unload, run_of(request))
    return answer({})


async def begin(request: Request) -> Response:
    """Begin a conversation; a blind one does not say who stands where."""
    asked, run = await body_of(request, Begin), run_of(request)
    made = _room(request).begin(run, asked.system, asked.blind)
    return answer({"conversation": made.id, "panes": None if asked.blind else list(made.order)})


async def say(request: Request) -> Response:
    """Both answers as they are written: a line of JSON for each piece."""
    asked, run, room = await body_of(request, Say), run_of(request), _room(request)
    try:
        conversation = room.conversation(run, asked.conversation)
    except RunError as problem:
        raise HTTPException(404, str(problem)) from problem
    events = room.say(run, conversation, asked.text, asked.decoding)
    return StreamingResponse(_lines(events), media_type="application/x-ndjson")


async def _lines(events: Generator[dict[str, Any]]) -> AsyncIterator[str]:
    try:
        while (event := await run_in_threadpool(next, events, None)) is not None:
            yield json_line(event)
    finally:
        # Also when the page has gone: the models stop writing for nobody.
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(events.close)


def stop(request: Request) -> Response:
    """Break off what is written now."""
    if talker := _room(request).talker(run_of(request)):
        talker.stop()
    return answer({})


async def reveal(request: Request) -> Response:
    """Say who stands where."""
    asked, run = await body_of(request, About), run_of(request)
    return answer({"panes": list(_room(request).reveal(run, asked.conversation))})


async def vote(request: Request) -> Response:
    """Append a vote; on the disk when this answers."""
    asked, run, room = await body_of(request, Vote), run_of(request), _room(request)
    await run_in_threadpool(room.vote, run, asked.conversation, asked.turn, asked.choice, asked.by)
    return answer({"saved": 1})


def read_votes(request: Request) -> Response:
    """How votes stand."""
    return answer(tally(run_of(request).file(VOTES)))


def list_files(request: Request) -> Response:
    """What a program can be run on; why not, where it cannot."""
    try:
        bench = _bench(request)
    except SeedtuneError as problem:
        return answer({"fault": str(problem), "made": False, "files": [], "more": 0})
    files = bench.files()
    shown = [{"name": name, "bytes": path.stat().st_size} for name, path in islice(files.items(), _LISTED)]
    return answer({"fault": "", "made": bench.makes_data, "files": shown, "more": len(files) - len(shown)})


async def run_program(request: Request) -> Response:
    """Run a program of an answer in the sandbox."""
    asked, run = await body_of(request, RunProgram), run_of(request)
    conversation = _room(request).conversation(run, asked.conversation)
    source = _program(conversation.turns[asked.turn : asked.turn + 1], conversation.order[asked.pane], asked.program)
    found = await anyio.to_thread.run_sync(lambda: _bench(request).run(source, asked.file), limiter=_running)
    return answer(found)


def _program(turns: Any, side: Any, number: int) -> str:
    programs = programs_of(turns[0].answers.get(side, "")) if turns else []
    if number >= len(programs):
        raise RunError("there is no such program in this answer")
    return programs[number]


def _bench(request: Request) -> Workbench:
    studio = studio_of(request)
    data: Path | None = request.app.state.data
    return Workbench(run_of(request), studio.runs, data)


def _room(request: Request) -> ChatRoom:
    room: ChatRoom = request.app.state.chat
    return room


_CHAT = "/api/runs/{run}/chat"
ROUTES: list[BaseRoute] = [
    Route("/runs/{run}/chat", show_chat),
    Route(_CHAT, read_state),
    Route(f"{_CHAT}/load", load, methods=["POST"]),
    Route(f"{_CHAT}/unload", unload, methods=["POST"]),
    Route(f"{_CHAT}/begin", begin, methods=["POST"]),
    Route(f"{_CHAT}/say", say, methods=["POST"]),
    Route(f"{_CHAT}/stop", stop, methods=["POST"]),
    Route(f"{_CHAT}/reveal", reveal, methods=["POST"]),
    Route(f"{_CHAT}/vote", vote, methods=["POST"]),
    Route(f"{_CHAT}/votes", read_votes),
    Route(f"{_CHAT}/files", list_files),
    Route(f"{_CHAT}/program", run_program, methods=["POST"]),
]
