"""Data: pages of candidates, one of them large, and what people decide about them."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from seedtune.web.context import answer, body_of, query_of, run_of, run_page, studio_of
from seedtune.web.queries import Filters, Place
from seedtune.web.repairs import Repair
from seedtune.web.review_desk import Desk, Save
from seedtune.web.terminal_review import of_item, of_repair

Reviewer = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]


class Who(BaseModel):
    """Whose words are shown as one's own."""

    by: str = ""


class Saves(BaseModel):
    """Words of one reviewer, in the order in which they were said."""

    by: Reviewer
    words: list[Save] = Field(min_length=1, max_length=1_000)


class RepairOf(BaseModel):
    """A repair of every task of a filter."""

    by: Reviewer
    repair: Repair
    filters: Filters = Filters()


class RepairNow(RepairOf):
    """A repair that was looked at."""

    expected: int = Field(ge=1)
    """Tasks that the preview showed."""


class Undo(BaseModel):
    """A repair to take back."""

    by: Reviewer
    batch: str = Field(min_length=1)


def show_data(request: Request) -> Response:
    """The review page."""
    return run_page(request, "data", "data.html")


def list_items(request: Request) -> Response:
    """One page of candidates."""
    filters, place, by = query_of(request, Filters), query_of(request, Place), query_of(request, Who).by
    return answer(_desk(request).page(filters, place, by))


def show_facets(request: Request) -> Response:
    """What can be filtered by, and how far reviewers agree."""
    return answer(_desk(request).facets())


def show_item(request: Request) -> Response:
    """One candidate with everything that is known of it."""
    desk, by = _desk(request), query_of(request, Who).by
    item = desk.item(request.path_params["n"], by)
    return answer({**item, "commands": of_item(desk.run.path, item["id"], by)})


async def save(request: Request) -> Response:
    """Append words; on the disk when this answers."""
    said, desk = await body_of(request, Saves), _desk(request)
    await run_in_threadpool(desk.save, said.words, said.by)
    return answer({"saved": len(said.words)})


async def preview_repair(request: Request) -> Response:
    """What a repair would change."""
    asked, desk = await body_of(request, RepairOf), _desk(request)
    found = await run_in_threadpool(desk.preview, asked.repair, asked.filters)
    return answer({**found, "command": of_repair(desk.run.path, asked.repair, asked.filters, asked.by)})


async def repair(request: Request) -> Response:
    """Repair every task that the preview counted."""
    asked, desk = await body_of(request, RepairNow), _desk(request)
    return answer(await run_in_threadpool(desk.repair, asked.repair, asked.filters, asked.by, asked.expected))


async def undo_repair(request: Request) -> Response:
    """Take a repair back."""
    asked, desk = await body_of(request, Undo), _desk(request)
    return answer(await run_in_threadpool(desk.undo_batch, asked.batch, asked.by))


def _desk(request: Request) -> Desk:
    return studio_of(request).desk(run_of(request))


ROUTES: list[BaseRoute] = [
    Route("/runs/{run}/data", show_data),
    Route("/api/runs/{run}/items", list_items),
    Route("/api/runs/{run}/items/{n:int}", show_item),
    Route("/api/runs/{run}/facets", show_facets),
    Route("/api/runs/{run}/words", save, methods=["POST"]),
    Route("/api/runs/{run}/repair/preview", preview_repair, methods=["POST"]),
    Route("/api/runs/{run}/repair", repair, methods=["POST"]),
    Route("/api/runs/{run}/repair/undo", undo_repair, methods=["POST"]),
]
