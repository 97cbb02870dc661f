"""The names of the checks that an answer may be held to, and what each is held against.

What they mean, and the functions that decide them, are in :mod:`seedtune.evaluate.constraints`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal

from seedtune.yaml_tree import hint

CheckValue = int | str | tuple[str | int, ...]

ValueKind = Literal["nothing", "number", "text", "texts", "text and number", "pattern"]

VALUE_KINDS: Mapping[str, ValueKind] = {
    "words": "number",
    "min_words": "number",
    "max_words": "number",
    "word_length": "number",
    "sentences": "number",
    "lines": "number",
    "paragraphs": "number",
    "bullets": "number",
    "numbered": "number",
    "elements": "number",
    "json_elements": "number",
    "includes": "texts",
    "excludes": "texts",
    "order": "texts",
    "listed": "texts",
    "equals": "texts",
    "json_keys": "texts",
    "times": "text and number",
    "letter": "text and number",
    "starts_with": "text",
    "ends_with": "text",
    "without": "text",
    "initials": "text",
    "acrostic": "text",
    "matches": "pattern",
    "uppercase": "nothing",
    "lowercase": "nothing",
    "alphabetical": "nothing",
    "ascending": "nothing",
    "descending": "nothing",
}
"""Check: what its value is."""

_FORMS: Mapping[ValueKind, str] = {
    "nothing": "no value",
    "number": 'a whole number from 1, as in "value": 5',
    "text": 'a text, as in "value": "River"',
    "texts": 'texts, as in "value": ["river", "bridge"]',
    "text and number": 'a text and how often, as in "value": ["river", 2]',
    "pattern": r'a regular expression, as in "value": "\\d{4}"',
}


def check_fault(check: str, value: CheckValue) -> str:
    """What is wrong with a check's name or value; empty for nothing."""
    if check not in VALUE_KINDS:
        return f"no check '{check}'; {hint(check, VALUE_KINDS)}"
    kind = VALUE_KINDS[check]
    return "" if _FITS[kind](value) else f"the check '{check}' takes {_FORMS[kind]}, not {value!r}"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value > 0


def _is_pair(value: CheckValue) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and _is_text(value[0]) and _is_count(value[1])


def _is_pattern(value: CheckValue) -> bool:
    if not isinstance(value, str) or not value:
        return False
    try:
        re.compile(value)
    except re.error:
        return False
    return True


_FITS: Mapping[ValueKind, Callable[[CheckValue], bool]] = {
    "nothing": lambda value: value == "",
    "number": _is_count,
    "text": _is_text,
    "texts": lambda value: isinstance(value, tuple) and bool(value) and all(map(_is_text, value)),
    "text and number": _is_pair,
    "pattern": _is_pattern,
}
