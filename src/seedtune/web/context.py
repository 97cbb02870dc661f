"""What every page has in common: the studio behind it, its run, its body, its template."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from seedtune import __version__, console
from seedtune.records import validation_message
from seedtune.web.children import Children
from seedtune.web.folders import RunFolder, RunsFolder
from seedtune.web.review_desk import Desk
from seedtune.web.security import Access

HERE = Path(__file__).parent
M = TypeVar("M", bound=BaseModel)


class Tab(NamedTuple):
    """A page of a run."""

    path: str
    """Below the run's own address; empty is the run's first page."""
    title: str


TABS = (
    Tab("", "Run"),
    Tab("data", "Data"),
    Tab("live", "Live"),
    Tab("evaluation", "Evaluation"),
    Tab("chat", "Chat"),
)
"""The pages of a run, in the order in which they are shown."""


@dataclass
class Studio:
    """One process of the studio."""

    runs: RunsFolder
    access: Access
    configs: Sequence[Path] = ()
    """Config files that a run may be started from."""
    reviewer: str = ""
    """The name that decisions are signed with, unless the page gives another."""
    children: Children = field(init=False)
    desks: dict[str, Desk] = field(default_factory=dict[str, Desk])
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.children = Children(self.runs)

    def desk(self, run: RunFolder) -> Desk:
        """The data and decisions of a run, kept while the studio runs."""
        with self._lock:
            if run.name not in self.desks:
                self.desks[run.name] = Desk(run, self.runs)
            return self.desks[run.name]


_templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    undefined=StrictUndefined,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["printable"] = console.printable


def studio_of(request: Request) -> Studio:
    """The studio that a request is for."""
    studio: Studio = request.app.state.studio
    return studio


def run_of(request: Request) -> RunFolder:
    """The run that the address names (``/runs/{run}/...``).

    Raises:
        RunError: there is none.
    """
    return studio_of(request).runs.run(request.path_params["run"])


async def body_of(request: Request, model: type[M]) -> M:
    """The JSON body of a request.

    Raises:
        HTTPException: 422, it does not fit the model.
    """
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as problem:
        raise HTTPException(422, validation_message(problem)) from problem


def query_of(request: Request, model: type[M]) -> M:
    """The query of an address; what is empty counts as not given.

    Raises:
        HTTPException: 422, it does not fit the model.
    """
    try:
        return model.model_validate({key: value for key, value in request.query_params.items() if value})
    except ValidationError as problem:
        raise HTTPException(422, validation_message(problem)) from problem


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A page from a template; text in it is escaped."""
    studio = studio_of(request)
    text = _templates.get_template(template).render(
        version=__version__,
        csrf=studio.access.csrf,
        reviewer=studio.reviewer,
        runs_dir=console.relative(studio.runs.path),
        **values,
    )
    return HTMLResponse(text, status)


def run_page(request: Request, tab: str, template: str, **values: Any) -> Response:
    """A page of a run, with the tabs above it.

    Args:
        request: Its address names the run.
        tab: The :class:`Tab`'s path.
        template: Extends ``run_base.html``.
        values: For the template.
    """
    return page(request, template, run=run_of(request).name, tabs=TABS, tab=tab, **values)


def answer(value: Any, status: int = 200) -> JSONResponse:
    """A JSON answer."""
    return JSONResponse(value, status)
