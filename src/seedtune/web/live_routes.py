"""Live: a run's numbers while it works."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from seedtune.web.context import answer, query_of, run_of, run_page, studio_of
from seedtune.web.live import Since, look


def show_live(request: Request) -> Response:
    """The page."""
    return run_page(request, "live", "live.html")


def read_live(request: Request) -> Response:
    """What is new since the page last asked."""
    studio, run = studio_of(request), run_of(request)
    return answer(look(run, studio.children, studio.desk(run), query_of(request, Since)))


ROUTES: list[BaseRoute] = [
    Route("/runs/{run}/live", show_live),
    Route("/api/runs/{run}/live", read_live),
]
