"""Read YAML written by people: every fault with its line, and no key twice."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, cast

import yaml

from seedtune.errors import SeedtuneError

Place = tuple[str, ...]
"""Keys from the root: ``("train", "lora", "r")``."""


def read_yaml(
    text: str, source: str, error: type[SeedtuneError], example: str
) -> tuple[dict[str, Any], dict[Place, int]]:
    """The tree, empty for an empty text, and the line of each key, from 1.

    Args:
        text: What stands in the file.
        source: Its name, for messages.
        error: What to raise.
        example: A line that such a file may have.

    Raises:
        SeedtuneError: of the class ``error``: no valid YAML, a key twice in one place, or no keys and values.
    """
    try:
        tree = yaml.safe_load(text)
        lines = _lines_of_keys(yaml.compose(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 0
        raise error(f"{source}:{line}: not valid YAML: {problem.problem}") from problem
    except RecursionError as problem:
        raise error(f"{source}: not valid YAML: nested too deeply, or an alias of itself") from problem
    except (yaml.YAMLError, ValueError) as problem:  # ValueError: a date or number that there is not
        raise error(f"{source}: not valid YAML: {problem}") from problem
    if tree is None:
        return {}, {}
    if not isinstance(tree, dict):
        raise error(f"{source}:1: expected keys and values, such as '{example}'")
    return cast("dict[str, Any]", tree), lines


def line_of(place: Place, lines: Mapping[Place, int]) -> int | None:
    """Line of the key at ``place``, or of the nearest one above it."""
    return next((lines[place[:depth]] for depth in range(len(place), 0, -1) if place[:depth] in lines), None)


def hint(name: str, known: Iterable[str]) -> str:
    """Ends a message about a name that is not known: the nearest one, or all."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names) or 'none'}"


def _lines_of_keys(root: yaml.Node | None) -> dict[Place, int]:
    """The line of each key. A key that stands twice, of which YAML would take the last in silence, is an error."""
    lines: dict[Place, int] = {}

    def walk(node: yaml.Node | None, place: Place) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                here, line = (*place, str(key.value)), key.start_mark.line + 1
                if here in lines:
                    twice = f"'{'.'.join(here)}' stands in line {lines[here]} already"
                    raise yaml.MarkedYAMLError(problem=twice, problem_mark=key.start_mark)
                lines[here] = line
                walk(value, here)

    walk(root, ())
    return lines
