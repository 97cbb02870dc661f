"""The studio as an ASGI application."""

from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from seedtune.errors import ConfigError, RunError, SeedtuneError
from seedtune.web import chat_routes, data_routes, evaluation_routes, live_routes, run_routes
from seedtune.web.context import HERE, Studio, answer, page
from seedtune.web.conversations import ChatRoom
from seedtune.web.folders import RunsFolder
from seedtune.web.security import Access, Guard


def create_app(
    runs_dir: Path,
    access: Access | None = None,
    *,
    configs: Sequence[Path] = (),
    reviewer: str = "",
    data: Path | None = None,
) -> ASGIApp:
    """The studio for a folder of runs.

    Args:
        runs_dir: The runs; nothing outside it is read or written, but the configs and the domains that runs name.
        access: Who may open it; None is anybody on this machine.
        configs: Config files that a run may be started from.
        reviewer: The name that decisions are signed with, unless the page gives another.
        data: A folder of files that programs of a model may be run on.
    """
    access = access or Access()
    app = Starlette(
        routes=[
            *run_routes.ROUTES,
            *data_routes.ROUTES,
            *live_routes.ROUTES,
            *evaluation_routes.ROUTES,
            *chat_routes.ROUTES,
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        exception_handlers={SeedtuneError: _explain, HTTPException: _explain},
    )
    app.state.studio = Studio(RunsFolder(runs_dir), access, tuple(configs), reviewer)
    app.state.chat, app.state.data = ChatRoom(), data
    # Around everything, what Starlette says of its own faults included.
    return Guard(app, access)


def _explain(request: Request, problem: Exception) -> Response:
    """A fault in words: JSON for a script, a page for a person."""
    if isinstance(problem, HTTPException):
        status, said = problem.status_code, problem.detail
    else:
        status = 409 if request.method == "POST" else 404 if isinstance(problem, RunError) else 400
        status, said = 422 if isinstance(problem, ConfigError) else status, str(problem)
    if request.url.path.startswith("/api/"):
        return answer({"error": said}, status)
    return page(request, "fault.html", status, said=said)
