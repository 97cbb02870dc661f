r"""Replies in JSON: the schemas that are sent along with a request, and a reader for what comes back.

The schemas keep to what every server of structured output takes (OpenAI's strict mode, vLLM, llama.cpp): objects whose
properties are all required and closed, and no bounds on lengths or numbers.

The reader goes through a list element by element, so that a reply broken off in the middle still yields each element
that is complete. It hands out values as raw JSON text: ``1.10`` stays ``1.10``, a number of 5,000 digits is never
computed, and a key that stands twice can be seen. Broken JSON is not repaired, but for backslashes that escape nothing
(``"\d+"``), line breaks within strings and commas too many.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, cast

_DECODER = json.JSONDecoder(strict=False, parse_int=str, parse_float=str, parse_constant=str)
_BETWEEN = re.compile(r"[\s,]*")
_COLON = re.compile(r"\s*:\s*")
_ESCAPE = re.compile(r'\\(?:(?P<sound>["\\/bfnrt]|u[0-9a-fA-F]{4})|)')
_TEXT_OPENINGS = tuple('"[{-0123456789')


def tasks_schema(tasks: int, quote: bool) -> dict[str, Any]:
    """The schema of a reply with new tasks: ``{"tasks": [{"instruction", "input", "output"}]}``.

    Args:
        tasks: How many are asked for. Said in words only, as not every server knows ``minItems``.
        quote: Each task carries a ``quote`` of the passage shown.
    """
    parts = {
        "instruction": "What is asked; stands alone.",
        "input": "Material that the instruction works on; an empty string where it needs none.",
        "output": "The complete answer.",
    }
    if quote:
        parts["quote"] = "The words of the passage that support the output, copied exactly."
    task = closed_object({name: {"type": "string", "description": text} for name, text in parts.items()})
    noun = "task" if tasks == 1 else "tasks"
    return closed_object({"tasks": {"type": "array", "description": f"{tasks} new {noun}.", "items": task}})


def closed_object(properties: dict[str, Any]) -> dict[str, Any]:
    """A schema of an object that has these properties, all of them, and no others."""
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


@dataclass(frozen=True)
class JsonList:
    """The elements of a list in a reply."""

    values: tuple[str, ...]
    """Raw JSON of each complete element."""
    fault: Literal["", "cut", "broken_json"]
    """Why there may be more than these: the text ends within the list, or goes on as something that is no JSON."""
    start: int
    """Where in the text the list begins."""


def read_list(text: str, key: str, fields: Collection[str] = ()) -> JsonList | None:
    """Find a JSON list in a reply and read it as far as it goes; None where there is none.

    The list may be the value of ``key`` in an object, or stand by itself; code fences and chatter around it do not
    matter. One element without a list, and elements below each other (JSON Lines), are taken as well. Never raises,
    whatever the text, and takes time linear in its length.

    Args:
        text: The reply.
        key: Name of the list, in any case.
        fields: Names of which one opens an element; elements without a list around them are known by it.
    """
    named = rf'[{{,]\s*"{re.escape(key)}"\s*:\s*(?=[\[{{])'
    bare = rf'(?=\{{\s*"(?:{"|".join(map(re.escape, fields))})"\s*:)' if fields else "(?!)"
    opening = re.search(rf'{named}|{bare}|^[ \t]*(?=\[\s*[{{"\]])', text, re.IGNORECASE | re.MULTILINE)
    if opening is None:
        return None
    text = _ESCAPE.sub(lambda escape: escape[0] if escape["sound"] else r"\\", text[opening.end() :])
    listed = text[0] == "["
    place = _skip(_BETWEEN, text, int(listed))
    values: list[str] = []
    fault = ""
    while text[place : place + 1] != "]" if listed else text[place : place + 1] == "{":
        end = _end_of_value(text, place)
        if end is None:
            fault = _why_not(text, place)
            break
        values.append(text[place:end])
        place = _skip(_BETWEEN, text, end)
    return JsonList(tuple(values), fault, opening.start())


def members(raw: str) -> list[tuple[str, str]] | None:
    """Name and raw value of each member of a JSON object, in order and with names that stand twice; None if it is none.

    An object nested too deeply for Python's reader is none either.

    Args:
        raw: Sound JSON, as in :attr:`JsonList.values`.
    """
    if not raw.startswith("{"):
        return None
    found: list[tuple[str, str]] = []
    place = _skip(_BETWEEN, raw, 1)
    while raw[place] != "}":
        name, end = cast("tuple[str, int]", _DECODER.raw_decode(raw, place))
        place = _skip(_COLON, raw, end)
        end = _end_of_value(raw, place)
        if end is None:
            return None
        found.append((name, raw[place:end]))
        place = _skip(_BETWEEN, raw, end)
    return found


def text_of(raw: str) -> str | None:
    """A JSON value as the text that was meant, white space at its ends stripped; None for true, false and NaN.

    A number keeps its digits, a list of texts and numbers becomes lines, and any other list or object stays JSON.
    ``null`` is an empty text.

    Args:
        raw: Sound JSON, as in :attr:`JsonList.values`.
    """
    if raw == "null":
        return ""
    if not raw.startswith(_TEXT_OPENINGS) or raw == "-Infinity":
        return None
    try:
        value = _DECODER.decode(raw)
    except RecursionError:
        return None
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        lines = cast("list[object]", value)
        if lines and all(isinstance(line, str) for line in lines):
            return "\n".join(cast("list[str]", lines)).strip()
    return raw


def _skip(what: re.Pattern[str], text: str, place: int) -> int:
    found = what.match(text, place)
    return found.end() if found else place


def _end_of_value(text: str, place: int) -> int | None:
    try:
        return _DECODER.raw_decode(text, place)[1]
    except (ValueError, RecursionError):
        return None


def _why_not(text: str, place: int) -> Literal["cut", "broken_json"]:
    """Whether a value that cannot be read lacks only its end."""
    try:
        _DECODER.raw_decode(text, place)
    except json.JSONDecodeError as problem:
        # An open string is reported where it begins.
        unended = problem.pos >= len(text.rstrip()) or problem.msg.startswith("Unterminated string")
        return "cut" if unended else "broken_json"
    except (ValueError, RecursionError):
        pass
    return "broken_json"
