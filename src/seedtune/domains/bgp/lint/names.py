"""The rules about names of collectors and projects."""

import ast
import re
from typing import Protocol

from seedtune.domains.bgp.collectors import COLLECTORS, LIVE_PROJECTS, PROJECTS, nearest_collector
from seedtune.domains.bgp.lint.findings import Level


class Report(Protocol):
    """Takes down a finding."""

    def __call__(
        self, node: ast.AST, rule: str, message: str, right: str | None = None, level: Level | None = None
    ) -> None:
        """Take down that a node breaks a rule; right form and level are the rule's own unless given."""


def check_collector(report: Report, node: ast.AST, name: str) -> None:
    """Report the name of a collector that was never published."""
    if name in COLLECTORS:
        return
    several = [part for part in re.split(r"[,\s]+", name) if part]
    if len(several) > 1:
        right = ", ".join(f'"{part}"' for part in several)
        report(node, "unknown-collector", f"{name!r} is the name of no collector", f"collectors=[{right}]")
        return
    nearest = nearest_collector(name)
    # RouteViews names new collectors by exchange and airport; one may be younger than the list.
    maybe_new = re.fullmatch(r"[a-z0-9-]+\.[a-z]{3}", name) is not None
    message = f"no public collector is called {name!r}, so there is nothing to read"
    right = f'"{nearest}"' if nearest else "a name such as rrc00 (RIPE RIS) or route-views2 (RouteViews)"
    report(node, "unknown-collector", message, right, "warning" if maybe_new else None)


def check_project(report: Report, node: ast.AST, name: str) -> None:
    """Report the name of a project that the broker does not know."""
    if name in PROJECTS or name in LIVE_PROJECTS:
        return
    right = "routeviews" if re.search(r"route|views|rv|oregon", name.lower()) else "ris"
    report(node, "unknown-project", f"no project is called {name!r}, so there is nothing to read", f'project="{right}"')
