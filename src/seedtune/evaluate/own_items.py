"""The user's own items, held to the lint that a domain's items are held to."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from seedtune.config import ItemsConfig
from seedtune.domains import Domain, Suite, lint_domain
from seedtune.domains.asked import read_own
from seedtune.domains.description import SuiteFiles
from seedtune.errors import EvaluationError

logger = logging.getLogger(__name__)

_OF_THE_WHOLE = ("topics", "requirements", "canaries", "citations", "cited", "reviews")
"""Checks of what a domain promises, and a file by itself does not."""
_PLACE = "evaluate.items/"
_NAMED = 8


def own_suites(files: Sequence[ItemsConfig], domain: Domain) -> list[Suite]:
    """Each file as a suite, named after it.

    Args:
        files: Paths, with or without a type.
        domain: The run's: nothing in the files may repeat its seeds and items.

    Raises:
        DomainError: a file cannot be read, or has a broken line.
        EvaluationError: the type cannot be told, or the lint finds an error in a line; what it says of a file as a
            whole (the right option is the longest too often, ...) is a warning.
    """
    suites = read_own(files)
    if suites:
        _lint(suites, domain)
    return suites


def _lint(suites: Sequence[Suite], domain: Domain) -> None:
    # The lint names places below the domain's folder: there the files stand under names that nothing else has.
    shown = {f"{_PLACE}{suite.name}": suite.files["test"].path for suite in suites}
    described, beside = dict(domain.file.suites), dict(domain.suites)
    for suite in suites:
        place = f"{_PLACE}{suite.name}"
        described[suite.name] = SuiteFiles(type=suite.type, test=place)
        beside[suite.name] = replace(suite, files={"test": replace(suite.files["test"], path=domain.folder / place)})
    file = domain.file.model_copy(update={"suites": described})
    faults: list[str] = []
    for finding in lint_domain(replace(domain, file=file, suites=beside)):
        name, colon, line = finding.place.partition(":")
        if name not in shown or finding.check in _OF_THE_WHOLE:
            continue
        said = f"{shown[name]}{colon}{line}: {finding.message}"
        if finding.level == "error" and line:
            faults.append(said)
        else:
            logger.warning("evaluate.items: %s", said)
    if faults:
        more = [f"and {len(faults) - _NAMED} more"] if len(faults) > _NAMED else []
        raise EvaluationError("\n".join(["evaluate.items:", *faults[:_NAMED], *more]))
