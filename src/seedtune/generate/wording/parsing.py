"""Read tasks out of a teacher's reply: JSON where it is JSON, else free text in one pass over its lines.

Tolerant where models differ: reasoning in ``<think>`` marks is taken off, the numbering of blocks is ignored, ``###``
lines may be missing or doubled, labels may be bold, headings or in another case, and a reply may open with a chat
phrase. Strict where a half task could slip in: a block needs an instruction and an output label, in this order, and the
last block of a reply that was broken off is dropped. Numbers inside a task ("172.16.0.0/12", "16. Input") do not end
it: only a label at the start of a line does.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from seedtune.generate.wording.prompting import NO_INPUT
from seedtune.generate.wording.structured import JsonList, members, read_list, text_of
from seedtune.teachers.replies import is_whole

_NAMES = {
    "instruction": "instruction",
    "input": "input",
    "output": "output",
    "quote": "quote",
    "source quote": "quote",
    "supporting quote": "quote",
}
"""What a part of a task is called in replies."""

_LABEL = re.compile(
    r"""[ \t]{0,12}
        (?P<mark>[#>*-]{1,6}[ \t]{0,4})?                                 # heading, quote, list mark or bold
        (?:\*{0,3}[ \t]{0,2}(?:task[ \t]{1,2})?\d{1,4}[ \t]?[.):]\*{0,3}[ \t]{0,4})?  # the block's number, ignored
        [*_]{0,3}(?P<label>instruction|input|output|(?:(?:source|supporting)[ ])?quote)s?[*_]{0,3}
        [ \t]{0,2}(?:\d{1,4}[ \t]?)?
        (?::(?P<closed>[*_]{0,3})[ \t]*|$)""",
    re.IGNORECASE | re.ASCII | re.VERBOSE,
)
_SEPARATOR = re.compile(
    r"#{2,8}[ \t]{0,4}(?:\d{1,4}[.:]?)?|[-*=_]{3,80}|#{1,8}[ \t]{0,4}task[ \t]{1,4}\d{1,4}\b.{0,80}"
    r"|\*{0,3}task[ \t]{1,4}\d{1,4}[.:]?\*{0,3}",
    re.IGNORECASE | re.ASCII,
)
_END = "###"
"""The line that ends a task, as it was asked for."""
_STRAY_SEPARATOR = re.compile(r"(?<=[\s.!?)\]\"'`])#{3}\Z")
_NUMBER = re.compile(r"\d{1,4}[.:)]?", re.ASCII)
_NO_INPUT = re.compile(
    r"""[<\[({*_`"']{0,4}\s?
        (?:no[ _-]?input(?:[ ]is)?(?:[ ](?:needed|required|given|provided|necessary))?|none(?:[ ](?:needed|required))?
          |not[ ](?:applicable|needed|required)|n/a|[-\u2013\u2014])
        \.?\s?[>\])}*_`"']{0,4}\.?[*_`"']{0,3}""",
    re.IGNORECASE | re.ASCII | re.VERBOSE,
)
_REASONING_MARK = re.compile(r"<(?P<closing>/?)think(?:ing)?>", re.IGNORECASE)
_REASONING_START = re.compile(r"\s*<think(?:ing)?>", re.IGNORECASE)
_REASONING_END = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_LABELS_WITHIN = 80
"""A label is looked for in so many characters at the start of a line."""

_ORDERS = [["instruction", *optional, "output", *quote] for optional in ([], ["input"]) for quote in ([], ["quote"])]

Fault = Literal["cut", "no_task", "no_output", "no_instruction", "mixed_labels", "wrong_type", "broken_json"]


@dataclass(frozen=True)
class ParsedTask:
    """A whole task as the teacher wrote it, white space at its ends stripped."""

    instruction: str
    input: str
    output: str
    quote: str = ""
    """The words of the passage that support the output, where one was shown."""


@dataclass(frozen=True)
class ParsedReply:
    """The tasks of a reply, and why the rest of it is none."""

    tasks: tuple[ParsedTask, ...]
    faults: tuple[Fault, ...]
    """One for each block or element dropped: cut off, without output or instruction, with labels twice or in another
    order, with a part that is no text, or in JSON that cannot be read (with all that follows); ``no_task`` for a reply
    without any."""
    path: Literal["json", "text"]
    """How it was read."""


def parse_reply(text: str, finish_reason: str = "stop", quoted: bool = False) -> ParsedReply:
    """Split a reply into tasks. Never raises, whatever the text, and takes time linear in its length.

    Args:
        text: The reply.
        finish_reason: Where it is no word for an end, the last block of text is dropped: it was broken off. What is
            left of JSON shows by itself where it ends.
        quoted: A quote was asked for. Otherwise a line "Quote:" in free text is part of an answer.
    """
    text = without_reasoning(text)
    broken_off = not is_whole(finish_reason)
    if broken_off and not text.strip():
        return ParsedReply((), ("cut",), "text")
    listed = read_list(text, "tasks", _NAMES)
    if listed is None or _begins_as_text(text[: listed.start]):
        return _read_text(text, broken_off, quoted)
    reply = _read_json(listed, broken_off)
    if reply.tasks:
        return reply
    # Chatter may show the form in JSON before tasks in text.
    in_text = _read_text(text, broken_off, quoted)
    return in_text if in_text.tasks else reply


def without_reasoning(text: str) -> str:
    """A reply without the reasoning that some models write before it; nothing where the reasoning does not end.

    A reply may also begin within its reasoning: chat templates of such models write the opening mark themselves.
    """
    first = _REASONING_MARK.search(text)
    place = first.end() if first and first["closing"] else 0
    while opened := _REASONING_START.match(text, place):
        end = _REASONING_END.search(text, opened.end())
        if end is None:
            return ""
        place = end.end()
    return text[place:]


def _begins_as_text(chatter: str) -> bool:
    """True where an instruction has begun before the JSON, which is then material of a task."""
    labels = (_LABEL.match(line[:_LABELS_WITHIN]) for line in chatter.splitlines())
    return any(label is not None and label["label"].lower() == "instruction" for label in labels)


def _read_json(listed: JsonList, broken_off: bool) -> ParsedReply:
    tasks: list[ParsedTask] = []
    faults: list[Fault] = []
    for raw in listed.values:
        task = _task_of(raw)
        if isinstance(task, ParsedTask):
            tasks.append(task)
        else:
            faults.append(task)
    if listed.fault:
        faults.append("cut" if broken_off else listed.fault)
    elif not listed.values:
        faults.append("no_task")
    return ParsedReply(tuple(tasks), tuple(faults), "json")


def _task_of(raw: str) -> ParsedTask | Fault:
    """A task from a JSON object whose names may be in any case and among others; or why it is none."""
    found = members(raw)
    if found is None:
        return "wrong_type"
    named = [(_NAMES.get(re.sub(r"[\s_-]+", " ", name).strip().lower()), value) for name, value in found]
    counts = Counter(name for name, _ in named if name)
    if any(count > 1 for count in counts.values()):
        return "mixed_labels"
    given = {name: value for name, value in named if name and value != "null"}
    fault = _fault([name for name in _ORDERS[-1] if name in given])
    if fault:
        return fault
    parts = {name: text_of(value) for name, value in given.items()}
    if None in parts.values() or not given["instruction"].startswith('"'):
        return "wrong_type"
    return _task({name: part or "" for name, part in parts.items()})


def _task(parts: dict[str, str]) -> ParsedTask:
    given = parts.get("input", "")
    empty = given == NO_INPUT or _NO_INPUT.fullmatch(given) is not None
    return ParsedTask(parts["instruction"], "" if empty else given, parts["output"], parts.get("quote", ""))


def _read_text(text: str, broken_off: bool, quoted: bool) -> ParsedReply:
    tasks: list[ParsedTask] = []
    faults: list[Fault] = []
    blocks = _blocks(text, quoted)
    for number, block in enumerate(blocks):
        fault = "cut" if broken_off and number == len(blocks) - 1 else _fault([label for label, _ in block])
        if fault:
            faults.append(fault)
        else:
            tasks.append(_task(dict(block)))
    if not blocks:
        faults.append("no_task")
    return ParsedReply(tuple(tasks), tuple(faults), "text")


def _fault(labels: list[str]) -> Fault | None:
    if labels in _ORDERS:
        return None
    if "instruction" not in labels:
        return "no_instruction"
    return "no_output" if "output" not in labels else "mixed_labels"


def _blocks(text: str, quoted: bool) -> list[list[tuple[str, str]]]:
    """Label and content pairs, a new block at each instruction label."""
    lines = text.replace("\r\n", "\n").split("\n")
    code, end_of_wrapping = _code_lines(lines, quoted)
    blocks: list[list[tuple[str, list[str]]]] = []
    bare_headings = ended = False
    for number, line in enumerate(lines):
        match = None if number in code else _label(line, quoted)
        if match is not None and match["closed"] is None:
            # Without a colon only a heading is a label, and only in a reply that began so: "## Output" may well stand
            # in an answer.
            bare_headings = bare_headings or not blocks
            match = match if bare_headings and "#" in (match["mark"] or "") else None
        if match is None:
            # Behind it stand only a title of the next task, or a parting phrase.
            ended = ended or (line.strip() == _END and number not in code and _is_last_part(blocks))
            if blocks and number != end_of_wrapping and not ended:
                blocks[-1][-1][1].append(line)
            continue
        ended = False
        label = _NAMES[match["label"].lower()]
        if label == "instruction" or not blocks:
            blocks.append([])
        content = line[match.end() :]
        if (match["mark"] or "").startswith("**") and not match["closed"]:
            content = content.rstrip().removesuffix("**")
        blocks[-1].append((label, [content]))
    return [[(label, _content(content)) for label, content in block] for block in blocks]


def _is_last_part(blocks: list[list[tuple[str, list[str]]]]) -> bool:
    return bool(blocks) and blocks[-1][-1][0] in ("output", "quote")


def _label(line: str, quoted: bool) -> re.Match[str] | None:
    match = _LABEL.match(line[:_LABELS_WITHIN])
    return None if match and not quoted and _NAMES[match["label"].lower()] == "quote" else match


def _code_lines(lines: list[str], quoted: bool) -> tuple[set[int], int]:
    """Numbers of the lines inside closed code fences, and of the fence that ends one around the whole reply (or -1).

    A fence that a new instruction cuts off is none; before the first label it is one around the reply.
    """
    inside: set[int] = set()
    opened, labels, wrapped = -1, 0, False
    for number, line in enumerate(lines):
        match = _label(line, quoted)
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
    return _STRAY_SEPARATOR.sub("", "\n".join(lines[:end]).strip()).rstrip()


def _without_separators(lines: list[str], end: int) -> int:
    """How many lines are left when separators and blank lines are taken off the end."""
    while end and (not lines[end - 1].strip() or _SEPARATOR.fullmatch(lines[end - 1].strip())):
        end -= 1
    return end


def _is_separator(lines: list[str], end: int) -> bool:
    """True where the last line before ``end`` that is not blank is a separator."""
    above = next((line.strip() for line in reversed(lines[:end]) if line.strip()), "")
    return _SEPARATOR.fullmatch(above) is not None
