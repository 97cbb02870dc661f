"""Evaluation: accuracies with intervals, and the items on which models differ."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from seedtune import console
from seedtune.web.context import answer, query_of, run_of, run_page
from seedtune.web.evaluation import Asked, Grouped, find_items, grouped, overview


def show_evaluation(request: Request) -> Response:
    """The page."""
    config = console.relative(run_of(request).file("config.yaml"))
    return run_page(request, "evaluation", "evaluation.html", config=config)


def read_overview(request: Request) -> Response:
    """Models, suites, verdicts and caveats."""
    return answer(overview(run_of(request)))


def read_groups(request: Request) -> Response:
    """Accuracies by topic or level."""
    return answer(grouped(run_of(request), query_of(request, Grouped)))


def list_items(request: Request) -> Response:
    """One page of items."""
    return answer(find_items(run_of(request), query_of(request, Asked)))


ROUTES: list[BaseRoute] = [
    Route("/runs/{run}/evaluation", show_evaluation),
    Route("/api/runs/{run}/evaluation", read_overview),
    Route("/api/runs/{run}/evaluation/groups", read_groups),
    Route("/api/runs/{run}/evaluation/items", list_items),
]
