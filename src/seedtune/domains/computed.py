"""Tasks that a domain makes from its own data, for training."""

from collections.abc import Iterable

from seedtune.config import Config
from seedtune.domains.loader import Domain
from seedtune.domains.own_code import own_function
from seedtune.errors import ConfigError
from seedtune.records import ComputedTask


def computed_tasks(config: Config, domain: Domain) -> list[ComputedTask]:
    """As many as ``train.computed_tasks`` says, the same for the same config.

    Raises:
        ConfigError: the domain makes none.
        DomainError: its ``tasks.py`` cannot be loaded, or has nothing to make tasks from.
    """
    count, levels = config.train.computed_tasks, config.train.computed_levels
    if not count:
        return []
    make_tasks = own_function(domain.folder, "tasks.py", "make_tasks")
    if make_tasks is None:
        raise ConfigError(
            f"train.computed_tasks is {count}, but the domain '{domain.name}' makes no tasks: "
            f"it has no tasks.py; set train.computed_tasks=0"
        )
    tasks: Iterable[ComputedTask] = make_tasks("train", count, config.seed, levels)
    return list(tasks)
