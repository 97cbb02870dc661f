"""What an evaluation asks beside its domain's suites: the user's own items, and what may be forgotten.

Whoever makes or takes in training data has to keep these out as well; so they are read, and guarded, below all stages.
"""

from collections.abc import Sequence
from dataclasses import replace

from seedtune.config import EvaluateConfig, ItemsConfig
from seedtune.config.evaluate import ItemType
from seedtune.domains.canary import canary_of
from seedtune.domains.contamination import ItemGuard
from seedtune.domains.loader import Domain, Suite, load_domain, read_items
from seedtune.errors import DomainError, EvaluationError
from seedtune.records import read_json_lines

_TOLD_BY: dict[str, ItemType] = {
    "statement": "true_false",
    "options": "multiple_choice",
    "answers": "cloze",
    "key_points": "open",
    "kind": "exact",
    "cases": "code",
    "constraints": "constraints",
}
"""The key that no other type has."""


def guard_of(domain: Domain, config: EvaluateConfig) -> ItemGuard:
    """A guard of every item that an evaluation by ``config`` may ask: the domain's, ``items`` and ``general``.

    Raises:
        DomainError: a file or the domain cannot be read, or has a broken line.
        EvaluationError: the type of a file's items cannot be told.
    """
    general = named_after(load_domain(config.general)) if config.general is not None else []
    return ItemGuard(domain.suites.values(), [*read_own(config.item_files), *general])


def named_after(domain: Domain) -> list[Suite]:
    """A domain's suites under names that say whose they are: ``general:arithmetic``."""
    return [replace(suite, name=f"{domain.name}:{suite.name}") for suite in domain.suites.values()]


def read_own(files: Sequence[ItemsConfig]) -> list[Suite]:
    """Each file of the user's own items as a suite, named after it.

    Raises:
        DomainError: a file cannot be read, or has a broken line.
        EvaluationError: the type of its items cannot be told.
    """
    return [_read(file) for file in files]


def _read(file: ItemsConfig) -> Suite:
    kind = file.type or _type_of(file)
    return Suite(file.path.stem, kind, {"test": read_items(file.path, kind)})


def _type_of(file: ItemsConfig) -> ItemType:
    lines = (value for _, value in read_json_lines(file.path, DomainError))
    first = next((value for value in lines if canary_of(value) is None), {})
    found: list[ItemType] = [kind for key, kind in _TOLD_BY.items() if key in first]
    if len(found) != 1:
        told = ", ".join(f"{key} ({kind})" for key, kind in _TOLD_BY.items())
        raise EvaluationError(
            f"evaluate.items: {file.path}: its first line does not tell what the items are; one of these keys does: "
            f"{told}. Or name the type: {{path: {file.path}, type: multiple_choice}}"
        )
    return found[0]
