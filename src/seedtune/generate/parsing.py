"""Read tasks out of a teacher's free text, in one pass over its lines.

Tolerant where models differ: the numbering of blocks is ignored, ``###`` lines may be missing or doubled, labels may be
bold, headings or in another case, and a reply may open with a chat phrase. Strict where a half task could slip in: a
block needs an instruction and an output label, in this order, and the last block of a reply that was broken off is
dropped. Numbers inside a task ("172.16.0.0/12", "16. Input") do not end it: only a label at the start of a line does.
"""

import re
from dataclasses import dataclass
from typing import Literal

from seedtune.generate.prompting import NO_INPUT

_LABEL = re.compile(
    r"""[ \t]{0,12}
        (?P<mark>[#>*-]{1,6}[ \t]{0,4})?                                 # heading, quote, list mark or bold
        (?:\*{0,3}[ \t]{0,2}(?:task[ \t]{1,2})?\d{1,4}[ \t]?[.):]\*{0,3}[ \t]{0,4})?  # the block's number, ignored
        [*_]{0,3}(?P<label>instruction|input|output)s?[*_]{0,3}
        [ \t]{0,2}(?:\d{1,4}[ \t]?)?
        (?::(?P<closed>[*_]{0,3})[ \t]*|$)""",
    re.IGNORECASE | re.ASCII | re.VERBOSE,
)
_SEPARATOR = re.compile(
    r"#{2,8}[ \t]{0,4}(?:\d{1,4}[.:]?)?|[-*=_]{3,80}|#{1,8}[ \t]{0,4}task[ \t]{1,4}\d{1,4}\b.{0,80}"
    r"|\*{0,3}task[ \t]{1,4}\d{1,4}[.:]?\*{0,3}",
    re.IGNORECASE | re.ASCII,
)
_NUMBER = re.compile(r"\d{1,4}[.:)]?", re.ASCII)
_NO_INPUT = re.compile(
    r"<?\s?(?:no[ _-]?input|none|n/a|not applicable|no input (?:needed|required))\s?>?\.?", re.IGNORECASE | re.ASCII
)
_LABELS_WITHIN = 80
"""A label is looked for in so many characters at the start of a line."""

_ORDERS = (["instruction", "output"], ["instruction", "input", "output"])

Fault = Literal["cut", "no_task", "no_output", "no_instruction", "mixed_labels"]


@dataclass(frozen=True)
class ParsedTask:
    """A whole task as the teacher wrote it, white space at its ends stripped."""

    instruction: str
    input: str
    output: str


@dataclass(frozen=True)
class ParsedReply:
    """The tasks of a reply, and why the rest of it is none."""

    tasks: tuple[ParsedTask, ...]
    faults: tuple[Fault, ...]
    """One for each block dropped: cut off, without output or instruction, or with labels twice or in another order;
    ``no_task`` for a reply without any label."""


def parse_reply(text: str, finish_reason: str = "stop") -> ParsedReply:
    """Split a reply into tasks. Never raises, whatever the text, and takes time linear in its length.

    Args:
        text: The reply.
        finish_reason: With ``length`` and ``content_filter`` the last block is dropped: it was broken off.
    """
    tasks: list[ParsedTask] = []
    faults: list[Fault] = []
    blocks = _blocks(text)
    broken_off = finish_reason in ("length", "content_filter")
    for number, block in enumerate(blocks):
        if broken_off and number == len(blocks) - 1:
            faults.append("cut")
            continue
        fault = _fault([label for label, _ in block])
        if fault:
            faults.append(fault)
            continue
        parts = dict(block)
        given = parts.get("input", "")
        empty = given == NO_INPUT or _NO_INPUT.fullmatch(given) is not None
        tasks.append(ParsedTask(parts["instruction"], "" if empty else given, parts["output"]))
    if not blocks:
        faults.append("no_task")
    return ParsedReply(tuple(tasks), tuple(faults))


def _fault(labels: list[str]) -> Fault | None:
    if labels in _ORDERS:
        return None
    if "instruction" not in labels:
        return "no_instruction"
    return "no_output" if "output" not in labels else "mixed_labels"


def _blocks(text: str) -> list[list[tuple[str, str]]]:
    """Label and content pairs, a new block at each instruction label."""
    lines = text.replace("\r\n", "\n").split("\n")
    code, end_of_wrapping = _code_lines(lines)
    blocks: list[list[tuple[str, list[str]]]] = []
    bare_headings = False
    for number, line in enumerate(lines):
        match = None if number in code else _LABEL.match(line[:_LABELS_WITHIN])
        if match is not None and match["closed"] is None:
            # Without a colon only a heading is a label, and only in a reply that began so: "## Output" may well stand
            # in an answer.
            bare_headings = bare_headings or not blocks
            match = match if bare_headings and "#" in (match["mark"] or "") else None
        if match is None:
            if blocks and number != end_of_wrapping:
                blocks[-1][-1][1].append(line)
            continue
        label = match["label"].lower()
        if label == "instruction" or not blocks:
            blocks.append([])
        content = line[match.end() :]
        if (match["mark"] or "").startswith("**") and not match["closed"]:
            content = content.rstrip().removesuffix("**")
        blocks[-1].append((label, [content]))
    return [[(label, _content(content)) for label, content in block] for block in blocks]


def _code_lines(lines: list[str]) -> tuple[set[int], int]:
    """Numbers of the lines inside closed code fences, and of the fence that ends one around the whole reply (or -1).

    A fence that a new instruction cuts off is none; before the first label it is one around the reply.
    """
    inside: set[int] = set()
    opened, labels, wrapped = -1, 0, False
    for number, line in enumerate(lines):
        match = _LABEL.match(line[:_LABELS_WITHIN])
        if (
            match is not None
            and match["closed"] is not None
            and (opened < 0 or match["label"].lower() == "instruction")
        ):
            wrapped = wrapped or (opened >= 0 and not labels)
            labels, opened = labels + 1, -1
            line = line[match.end() :]
        if line.lstrip().startswith("```"):
            if opened >= 0:
                inside |= set(range(opened + 1, number + 1))
            opened = -1 if opened >= 0 else number
    return inside, opened if wrapped else -1


def _content(lines: list[str]) -> str:
    """The lines without the separators, titles and blank lines at their end."""
    end = _without_separators(lines, len(lines))
    # A number alone belongs to the next task only below a separator.
    if end and _NUMBER.fullmatch(lines[end - 1].strip()) and _is_separator(lines, end - 1):
        end = _without_separators(lines, end - 1)
    return "\n".join(lines[:end]).strip()


def _without_separators(lines: list[str], end: int) -> int:
    """How many lines are left when separators and blank lines are taken off the end."""
    while end and (not lines[end - 1].strip() or _SEPARATOR.fullmatch(lines[end - 1].strip())):
        end -= 1
    return end


def _is_separator(lines: list[str], end: int) -> bool:
    """True where the last line before ``end`` that is not blank is a separator."""
    above = next((line.strip() for line in reversed(lines[:end]) if line.strip()), "")
    return _SEPARATOR.fullmatch(above) is not None
