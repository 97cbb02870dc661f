"""Domains, and the commands that they bring."""

import ast
import json
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from seedtune.cli.app import app

domains_app = App(name="domains", help="List, check and make domains.")
app.command(domains_app)


@domains_app.command(name="list")
def list_domains() -> int:
    """The domains that come with seedtune."""
    from seedtune import console
    from seedtune.domains import load_domain, shipped_domains

    for name in shipped_domains():
        console.say(f"{name}: {load_domain(name).file.title}")
    return 0


@domains_app.command
def lint(domain: str, /, *, as_json: Annotated[bool, Parameter(name="--json")] = False) -> int:
    """Check a domain: schema, counts, answers that can be guessed, duplicates, citations, code, canary, reviews.

    Runs the domain's own checks.py, if it has one.

    Parameters
    ----------
    domain
        A shipped domain's name, or the path of a domain folder.
    as_json
        Print JSON for another program: counts and findings.
    """
    from seedtune import console
    from seedtune.domains import lint_folder

    report = lint_folder(domain)
    if as_json:
        console.say_raw(json.dumps(report.as_json(), indent=2))
    else:
        for finding in report.findings:
            console.say(f"{finding.level}: {finding.place}: {finding.message}")
        console.say(f"{report.summary}: {report.errors} errors, {len(report.findings) - report.errors} warnings")
    return 1 if report.errors else 0


@domains_app.command
def new(folder: Path, /) -> int:
    """Make a new domain folder that runs, to be filled by you."""
    from seedtune import console
    from seedtune.domains import create_domain

    for path in create_domain(folder):
        console.say(console.relative(path))
    place = console.relative(folder)
    console.say(f"next: edit these, then 'seedtune domains lint {place}' and 'seedtune run --set domain={place}'")
    return 0


def _add_domain_commands() -> None:
    """Add a group of commands for each shipped domain that has a ``commands.py``.

    The file gives a cyclopts ``app`` named after the domain's folder; the first line of its docstring is the group's
    help. It is read here, and imported only when one of its commands is called.
    """
    for path in sorted((Path(__file__).parents[1] / "domains").glob("*/commands.py")):
        summary = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        name = path.parent.name
        app.command(f"seedtune.domains.{name}.commands:app", name=name, help=summary.partition("\n")[0])


_add_domain_commands()
