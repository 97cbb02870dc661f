"""Hold what a program printed against what it should have printed. Pure functions.

Output is one JSON object a line. Lines are told apart by the item's ``keys``, or by their place where it has none. What
counts is every field that is no key (a line of keys alone counts as one field), of the lines expected and of those that
should not be there: a program that prints all that is possible is right about little.

Numbers are equal within the item's tolerance, whole or not (3 is 3.0); true is no 1; text is equal letter for letter,
lists place by place. Two readings of one output:

- lenient: a number written as text ("64500") is that number; other fields, blank lines and lines that are no JSON
  object are passed over.
- exact: every value has its type, and nothing else is printed but blank lines.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, cast

from seedtune.records import CodeCase, CodeItem

Line = Mapping[str, Any]
"""A JSON object."""

_SHOWN = 120
"""So many characters of a value are shown."""


class Comparison(NamedTuple):
    """How far an output is right."""

    right: int
    """Fields that are right."""
    total: int
    """Fields expected, and those of lines that should not be there."""
    why: str
    """The first difference; empty for none: the output is right, read leniently."""
    lapse: str
    """What is not in the form that was asked for; empty for an exact output."""


class Printed(NamedTuple):
    """The lines of an output."""

    lines: tuple[Line, ...]
    other: tuple[str, ...]
    """Lines that are not blank and no JSON object."""


def read_output(stdout: str) -> Printed:
    """Read the lines of an output. An object that names a field twice, and one with NaN or infinity, is none."""
    lines: list[Line] = []
    other: list[str] = []
    for text in stdout.split("\n"):
        if text.strip():
            value = _read(text)
            if value is None:
                other.append(text)
            else:
                lines.append(value)
    return Printed(tuple(lines), tuple(other))


def compare(printed: Printed, case: CodeCase, item: CodeItem) -> Comparison:
    """Compare an output with what a case expects."""
    lines, expected = printed.lines, case.expected
    matches = _matches(lines, expected, item.keys)
    right, why = _right(lines, case, item), ""
    lapse = f"a line that is no JSON object: {_shown(printed.other[0])}" if printed.other else ""
    for number, (wanted, place) in enumerate(zip(expected, matches, strict=True)):
        if place is None:
            why = why or f"there is no line for {_shown(_named(wanted, item.keys))}"
            continue
        wrong = [name for name in _counted(wanted, item.keys) if (number, name) not in right]
        for name in wrong[:1]:
            said = _shown(lines[place][name]) if name in lines[place] else "missing"
            of = f" of {_shown(_named(wanted, item.keys))}" if item.keys else ""
            why = why or f"{name}{of} is {said}, not {_shown(wanted[name])}"
        lapse = lapse or _lapse(lines[place], wanted, item.tolerance)
    surplus = sorted(set(range(len(lines))) - set(matches))
    if surplus:
        why = why or f"a line that should not be there: {_shown(lines[surplus[0]])}"
    if not why and item.ordered and [place for place in matches if place is not None] != list(range(len(lines))):
        why = "the lines stand in another order"
    each = max((max(1, len(_counted(line, item.keys))) for line in expected), default=1)
    total = sum(max(1, len(_counted(line, item.keys))) for line in expected) + each * len(surplus)
    return Comparison(len(right), total, why, lapse)


def partial_credit(outputs: Sequence[Sequence[Line]], item: CodeItem) -> float:
    """The share of right fields on the held-out cases, 0..1.

    It is 0 unless the program shows that it has read the data: something on a held-out case must be right that is
    neither expected nor printed on a shown one. No program earns that with what it knew before, whatever it adds.

    Args:
        outputs: The lines printed on each case, in order; none for a case that was not run to a good end.
        item: What was asked.
    """
    cases = list(zip(item.cases, outputs, strict=True))
    shown = [line for case, printed in cases if not case.held_out for line in (*case.expected, *printed)]
    right = total = 0
    has_read = False
    for case, lines in cases:
        if case.held_out:
            found = compare(Printed(tuple(lines), ()), case, item)
            right, total = right + found.right, total + found.total
            has_read = has_read or any(
                not any(_says(line, case.expected[number], name, item) for line in shown)
                for number, name in _right(lines, case, item)
            )
    return right / total if has_read else 0.0


def same(found: Any, wanted: Any, tolerance: float, exact: bool = False) -> bool:
    """Whether two values of JSON are equal; see the module."""
    match found, wanted:
        case (bool() | None, _) | (_, bool() | None):
            return found is wanted
        case list(), list() | tuple():
            ours, theirs = cast("list[Any]", found), cast("Sequence[Any]", wanted)
            return len(ours) == len(theirs) and all(
                same(one, other, tolerance, exact) for one, other in zip(ours, theirs, strict=True)
            )
        case dict(), dict():
            fields, wishes = cast("dict[str, Any]", found), cast("dict[str, Any]", wanted)
            return fields.keys() == wishes.keys() and all(
                same(fields[name], value, tolerance, exact) for name, value in wishes.items()
            )
        case str(), str():
            return found == wanted
        case _:
            one, other = (_number(value, exact) for value in (found, wanted))
            return one is not None and other is not None and abs(one - other) <= tolerance


def _read(text: str) -> Line | None:
    try:
        value: object = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field stands twice")
    return fields


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _matches(lines: Sequence[Line], expected: Sequence[Line], keys: Sequence[str]) -> list[int | None]:
    """The printed line for each one that is expected, by its place; each at most once, the first of several."""
    if not keys:
        return [place if place < len(lines) else None for place in range(len(expected))]
    places: dict[tuple[object, ...], int] = {}
    for place, line in enumerate(lines):
        places.setdefault(_identity(line, keys), place)
    return [places.pop(_identity(line, keys), None) for line in expected]


def _right(lines: Sequence[Line], case: CodeCase, item: CodeItem) -> set[tuple[int, str]]:
    """What an output has right of a case: the place of the expected line, and the field; no name if it has but keys."""
    found: set[tuple[int, str]] = set()
    for number, place in enumerate(_matches(lines, case.expected, item.keys)):
        if place is not None:
            wanted = case.expected[number]
            fields = _counted(wanted, item.keys)
            found |= {(number, name) for name in fields if _is(lines[place], name, wanted[name], item.tolerance)}
            found |= set() if fields else {(number, "")}
    return found


def _says(line: Line, wanted: Line, name: str, item: CodeItem) -> bool:
    """Whether a line has a field of another one right; without keys it may be any line, wherever it stands."""
    is_same = _identity(line, item.keys) == _identity(wanted, item.keys)
    return is_same and (not name or _is(line, name, wanted[name], item.tolerance))


def _identity(line: Line, keys: Sequence[str]) -> tuple[object, ...]:
    return tuple(_plain(line[key]) if key in line else None for key in keys)


def _plain(value: Any) -> object:
    """Equal for equal values of key fields: whole numbers, also as text, text, true, false and null."""
    if isinstance(value, bool) or value is None:
        return (value,)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value)


def _is(line: Line, name: str, wanted: Any, tolerance: float) -> bool:
    return name in line and same(line[name], wanted, tolerance)


def _lapse(line: Line, wanted: Line, tolerance: float) -> str:
    if further := sorted(line.keys() - wanted.keys()):
        return f"a field that was not asked for: {_shown(further[0])}"
    for name, value in wanted.items():
        if _is(line, name, value, tolerance) and not same(line[name], value, tolerance, exact=True):
            return f"{name} is {_shown(line[name])}, where {_shown(value)} was asked for"
    return ""


def _counted(line: Line, keys: Sequence[str]) -> list[str]:
    return [name for name in line if name not in keys]


def _named(line: Line, keys: Sequence[str]) -> Line:
    return {key: line[key] for key in keys} if keys else line


def _number(value: Any, exact: bool) -> Decimal | None:
    """A number, or the text of one where that is enough. Decimal: a whole number may be too large for a float."""
    if not isinstance(value, int | float | str) or (exact and isinstance(value, str)):
        return None
    try:
        number = Decimal(str(value))
    except (ArithmeticError, ValueError):
        return None
    return number if number.is_finite() else None


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=dict)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 4]} ..."
