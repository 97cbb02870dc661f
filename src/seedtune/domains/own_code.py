"""The Python that a domain's folder brings, shipped or not (see docs/adr/0007).

| file | function | called |
| --- | --- | --- |
| ``checks.py`` | ``check_program(source)`` | for each program among seeds and generated tasks |
| ``tasks.py`` | ``make_tasks(split, count, seed)`` | for tasks that are made from data, without a teacher |
| ``programs.py`` | ``run_program``, ``misuse``, ``trials``: see :mod:`.running` | for programs of a model |
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from seedtune.errors import DomainError


def own_function(folder: Path, file: str, name: str, is_optional: bool = False) -> Callable[..., Any] | None:
    """A function of a domain's own code; None where the domain has no such file, or no such optional function.

    Raises:
        DomainError: the file cannot be loaded, or has no such function.
    """
    path = folder / file
    if not path.is_file():
        return None
    module = _load(path)
    function = getattr(module, name, None)
    if function is None and is_optional:
        return None
    if not callable(function):
        raise DomainError(f"{path}: has no function {name}; see docs/domains.md for what it is called with")
    return function


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"seedtune_domain_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise DomainError(f"{path}: cannot be loaded as a Python module")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as problem:  # foreign code
        raise DomainError(f"{path}: cannot be loaded: {type(problem).__name__}: {problem}") from problem
    return module
