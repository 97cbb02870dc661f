"""Items with a computed answer: its form, what guessing gives, and that none is asked twice."""

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from seedtune.domains.lint.content import Content, Finding, ItemAt
from seedtune.records import ExactItem
from seedtune.records.items import AnswerKind

_HOP = r"(?:\d+|\{\d+(?:,\d+)*\})"
_FORMS: dict[AnswerKind, str] = {
    "integer": r"-?\d+",
    "number": r"-?\d+(?:\.\d+)?",
    "asn": r"\d+",
    "asns": r"(?:\d+(?:, \d+)*)?|none",
    "path": rf"{_HOP}(?: {_HOP})*",
    "time": r"\d+|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
    "yes_no": "yes|no",
    "word": r"\S(?:.*\S)?",
}
_NONE = ("", "none")


def check_exact(content: Content) -> Iterator[Finding]:
    """Answers in the plainest form of their kind, among the options; one chance a family; no prompt twice."""
    chances: dict[tuple[str, str], tuple[float, str]] = {}
    prompts: dict[str, str] = {}
    for entry in content.items:
        if isinstance(entry.item, ExactItem):
            item = entry.item
            yield from _check_answer(entry, item)
            chance, place = chances.setdefault((entry.suite, item.family), (item.chance, entry.place))
            if chance != item.chance:
                fault = f"chance {item.chance:g} differs from that of {place}, {chance:g}, in family '{item.family}'"
                yield Finding("error", entry.place, fault)
            first = prompts.setdefault(" ".join(item.prompt.split()), entry.place)
            if first != entry.place:
                yield Finding("error", entry.place, f"asks the same as {first}")


def _check_answer(entry: ItemAt, item: ExactItem) -> Iterator[Finding]:
    if not _is_plain(item.answer, item.kind):
        yield Finding("error", entry.place, f"answer '{item.answer}' is not the plain form of the kind '{item.kind}'")
    if item.options and item.answer not in item.options:
        yield Finding("error", entry.place, f"answer '{item.answer}' is not among its options")
    if item.kind == "word" and not item.options:
        yield Finding("error", entry.place, "an answer that is a word needs the options to choose from")
    if any(option not in item.question for option in item.options):
        yield Finding("error", entry.place, "the question does not name all of its options")


def _is_plain(answer: str, kind: AnswerKind) -> bool:
    match kind:
        case "prefix":
            return _is_network(answer)
        case "address":
            return _is_address(answer)
        case "prefixes":
            return answer in _NONE or all(map(_is_network, answer.split(", ")))
        case "addresses":
            return answer in _NONE or all(map(_is_address, answer.split(", ")))
        case _:
            return re.fullmatch(_FORMS[kind], answer) is not None


def _is_network(text: str) -> bool:
    try:
        return str(ip_network(text)) == text
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    try:
        return str(ip_address(text)) == text
    except ValueError:
        return False
