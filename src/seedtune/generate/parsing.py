"""Read tasks out of a teacher's free text.

Tolerant where models differ: the numbering of blocks is ignored, ``###`` lines may be missing or doubled, labels may be
bold, headings or in another case, and a reply may open with a chat phrase. Strict where a half task could slip in: a
block needs an instruction and an output label, and the last block of a reply cut by length is dropped. Numbers inside a
task ("172.16.0.0/12", "16. Input") do not end it: only a label at the start of a line does.
"""

import re
from dataclasses import dataclass
from typing import Literal

from seedtune.generate.prompting import NO_INPUT

_LABEL = re.compile(
    r"""^[ \t]*
        (?:[#>*\-]+[ \t]*)?                         # heading, quote or list mark
        (?:\**[ \t]*(?:task[ \t]*)?\d+[ \t]*[.):]\**[ \t]*)?   # the block's number, ignored
        [*_]*(?P<label>instruction|input|output)s?[*_]*
        [ \t]*(?:\d+[ \t]*)?:[*_]*[ \t]*""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_SEPARATOR_AT_END = re.compile(
    r"(?:\s*^[ \t]*(?:\#{2,}[ \t]*(?:task[ \t]*)?(?:\d+\.?)?|-{3,}|\*{3,}|={3,})[ \t]*$)+\s*\Z",
    re.IGNORECASE | re.MULTILINE,
)
_NO_INPUT = re.compile(
    r"<?\s*(?:no[ _-]?input|none|n/a|not applicable|no input (?:needed|required))\s*>?\.?", re.IGNORECASE
)

Fault = Literal["cut", "no_output", "no_instruction", "repeated_label"]


@dataclass(frozen=True)
class ParsedTask:
    """A whole task as the teacher wrote it, white space at its ends stripped."""

    instruction: str
    input: str
    output: str


@dataclass(frozen=True)
class ParsedReply:
    """The tasks of a reply, and why the other blocks are none."""

    tasks: tuple[ParsedTask, ...]
    faults: tuple[Fault, ...]
    """One for each block dropped: cut off by length, without output or instruction, or with a label twice."""


def parse_reply(text: str, finish_reason: str = "stop") -> ParsedReply:
    """Split a reply into tasks. Never raises, whatever the text.

    Args:
        text: The reply.
        finish_reason: With ``length`` the last block is dropped: it was cut off.
    """
    tasks: list[ParsedTask] = []
    faults: list[Fault] = []
    blocks = _blocks(text)
    for number, block in enumerate(blocks):
        if finish_reason == "length" and number == len(blocks) - 1:
            faults.append("cut")
            continue
        labels = [label for label, _ in block]
        parts = dict(block)
        if len(set(labels)) < len(labels):
            faults.append("repeated_label")
        elif "instruction" not in parts:
            faults.append("no_instruction")
        elif "output" not in parts:
            faults.append("no_output")
        else:
            given = parts.get("input", "")
            empty = not given or given == NO_INPUT or _NO_INPUT.fullmatch(given) is not None
            tasks.append(ParsedTask(parts["instruction"], "" if empty else given, parts["output"]))
    return ParsedReply(tuple(tasks), tuple(faults))


def _blocks(text: str) -> list[list[tuple[str, str]]]:
    """Label and content pairs, a new block at each instruction label."""
    found = list(_LABEL.finditer(text))
    blocks: list[list[tuple[str, str]]] = []
    for position, match in enumerate(found):
        label = match["label"].lower()
        end = found[position + 1].start() if position + 1 < len(found) else len(text)
        content = _SEPARATOR_AT_END.sub("", text[match.end() : end]).strip()
        if label == "instruction" or not blocks:
            blocks.append([])
        blocks[-1].append((label, content))
    return blocks
