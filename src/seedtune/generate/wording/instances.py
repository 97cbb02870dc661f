"""Read the instances of one instruction out of a reply of classic mode.

A reply is JSON, or text with the labels "Example n", "Input:" and "Output:", or "Class label:" and "Input:". As with
whole tasks, a label is one only at the start of a line and outside a code fence, and what has its labels twice or in
another order is dropped rather than guessed.
"""

import re
from collections import Counter
from typing import NamedTuple

from seedtune.generate.wording.parsing import without_reasoning
from seedtune.generate.wording.prompting import Form
from seedtune.generate.wording.structured import members, read_list, text_of
from seedtune.teachers.replies import is_whole

MAX_INSTANCES = 5
"""The most instances kept of one instruction."""

_HEADING = re.compile(
    r"""[ \t]{0,3}(?:[#>*-]{1,6}[ \t]{0,3})?[*_]{0,3}(?:example|instance)[ \t]{1,2}(?P<number>\d{1,2})
        [*_]{0,3}[.:]?[*_]{0,3}[ \t]*""",
    re.IGNORECASE | re.ASCII | re.VERBOSE,
)
_PART = re.compile(
    r"""[ \t]{0,3}(?:[#>*-]{1,6}[ \t]{0,3})?[*_]{0,3}(?P<label>input|output|class[ ]label|label)[ \t]?\d{0,2}
        [*_]{0,3}[ \t]?:[*_]{0,3}[ \t]?""",
    re.IGNORECASE | re.ASCII | re.VERBOSE,
)
_NEXT_TASK = re.compile(r"[*#_ \t]{0,5}task[*_]{0,3}:", re.IGNORECASE)
_NO_INPUT = re.compile(
    r"""[<\[({`*"']{0,3}(?:no[ _-]?input(?:[ ](?:needed|required))?|none|n/a|not[ ]applicable|empty)
        [>\])}`*"']{0,3}\.?""",
    re.IGNORECASE | re.VERBOSE,
)
_RULE = re.compile(r"[-*=_#]{3,80}")
_ORDERS = (["output"], ["input", "output"])

Block = list[tuple[str, str]]
"""Labels with their texts."""


class Instance(NamedTuple):
    """Input and output of an instruction."""

    input: str
    """Empty where the instruction needs none."""
    output: str
    """For a classification, the label."""


class ParsedInstances(NamedTuple):
    """The instances of a reply, and why the rest of it is none."""

    instances: tuple[Instance, ...]
    faults: tuple[str, ...]
    path: Form
    """How the reply was read."""


def parse_instances(text: str, finish_reason: str, is_classification: bool) -> ParsedInstances:
    """Read instances out of a reply, JSON or text. Never raises, whatever the text.

    Beside what is no whole instance, dropped with a fault each: what was broken off (``cut``), outputs that are empty
    (``no_output``) or the input again (``echo``), texts that end in a colon (``cut_off``), all instances where one
    input has several outputs (``contradiction``), repetitions (``repeated``), and those beyond five (``too_many``).

    Args:
        text: The reply.
        finish_reason: Where it is no word for an end, the last one is dropped: it was broken off.
        is_classification: Whether labels were asked for.
    """
    text = without_reasoning(text).replace("\r\n", "\n")
    broken_off = not is_whole(finish_reason)
    listed = read_list(text, "instances", ["input", "output", "label"])
    # An output in text may be JSON.
    if listed is not None and not any(map(_is_label, text[: listed.start].split("\n"))):
        found = [_from_json(raw) for raw in listed.values]
        found += [("cut" if broken_off else listed.fault)] if listed.fault else []
        path: Form = "json"
    else:
        found = [_from_block(block, is_classification) for block in _blocks(text, is_classification)]
        found = [*found[:-1], "cut"] if broken_off else found
        path = "text"
    whole = [item for item in found if isinstance(item, Instance)]
    return settle(whole, [item for item in found if isinstance(item, str)], path)


def settle(found: list[Instance], faults: list[str], path: Form) -> ParsedInstances:
    """Drop what the paper drops of the instances of one instruction; those beyond five are the last.

    Args:
        found: Whole instances, in order.
        faults: Of the rest of the reply.
        path: How it was read.
    """
    if not found and not faults:
        return ParsedInstances((), ("no_task",), path)
    judged = [(instance, _fault(instance)) for instance in found]
    faults = [*faults, *(fault for _, fault in judged if fault)]
    sound = [instance for instance, fault in judged if not fault]
    unique = list(dict.fromkeys(sound))
    inputs = [instance.input for instance in unique if instance.input]
    if len(set(inputs)) < len(inputs):
        return ParsedInstances((), (*faults, *["contradiction"] * len(sound)), path)
    faults += ["repeated"] * (len(sound) - len(unique)) + ["too_many"] * (len(unique) - MAX_INSTANCES)
    return ParsedInstances(tuple(unique[:MAX_INSTANCES]), tuple(faults), path)


def _fault(instance: Instance) -> str:
    if not instance.output:
        return "no_output"
    if instance.input == instance.output:
        return "echo"
    return "cut_off" if instance.input.endswith(":") or instance.output.endswith(":") else ""


def _instance(given: str, output: str) -> Instance:
    return Instance("" if _NO_INPUT.fullmatch(given) else given, output)


def _from_json(raw: str) -> Instance | str:
    """An instance from a JSON object, or why it is none."""
    found = members(raw)
    if found is None:
        return "wrong_type"
    named = [(_name(name), text_of(value)) for name, value in found]
    parts = {name: value for name, value in named if name in ("input", "output")}
    if max(Counter(name for name, _ in named if name in parts).values(), default=0) > 1:
        return "mixed_labels"
    if "output" not in parts:
        return "no_output"
    given, output = parts.get("input", ""), parts["output"]
    return "wrong_type" if given is None or output is None else _instance(given, output)


def _name(label: str) -> str:
    """The label of a classification is its output."""
    label = " ".join(re.split(r"[\s_-]+", label.strip().lower()))
    return "output" if label in ("label", "class label") else label


def _from_block(block: Block, is_classification: bool) -> Instance | str:
    """An instance from the parts of a block, or why it is none."""
    labels, parts = [label for label, _ in block], dict(block)
    if "output" not in labels:
        return "no_output"
    if labels not in _ORDERS and not (is_classification and labels == ["output", "input"]):
        return "mixed_labels"
    given, output = parts.get("input", ""), parts["output"]
    if is_classification:
        output, _, rest = output.partition("\n")
        if rest.strip() and "input" in parts:
            return "mixed_labels"
        given, output = given or rest.strip(), output.strip(" \t*`\"'")
    return _instance(given, output)


def _is_label(line: str) -> bool:
    return bool(_PART.match(line) or _HEADING.fullmatch(line))


def _blocks(text: str, is_classification: bool) -> list[Block]:
    """The labelled parts of a reply, a new block at each "Example n", or else where the first label comes again."""
    lines = text.split("\n")
    code, end = _code_lines(lines)
    end = min(end, _next_task(lines, code))
    blocks: list[list[tuple[str, list[str]]]] = []
    number = 0
    for place, line in enumerate(lines[:end]):
        heading = 0 if place in code else _next_heading(line, number)
        part = None if place in code else _PART.match(line)
        label = _name(part["label"]) if part else ""
        if part and label == "output" and not is_classification and part["label"].lower() != "output":
            part = None
        if heading:
            number = heading
            blocks.append([])
        elif part:
            first = blocks[-1][0][0] if blocks and blocks[-1] else ""
            if not blocks or (label == first and not number and (is_classification or label == "input")):
                blocks.append([])
            blocks[-1].append((label, [line[part.end() :]]))
        elif blocks and blocks[-1]:
            blocks[-1][-1][1].append(line)
    return [[(label, _content(content)) for label, content in block] for block in blocks]


def _next_heading(line: str, number: int) -> int:
    """The number of a heading that follows on the heading of this number, or on none (0); 0 for any other line."""
    heading = _HEADING.fullmatch(line)
    return int(heading["number"]) if heading and (not number or int(heading["number"]) == number + 1) else 0


def _next_task(lines: list[str], code: set[int]) -> int:
    """Where the teacher goes on with a task of its own: "Task:" below a blank line, with labels before and behind."""
    labels = [place for place, line in enumerate(lines) if place not in code and _is_label(line)]
    for place in range(labels[0], labels[-1]) if labels else ():
        if place not in code and _NEXT_TASK.match(lines[place]) and not lines[place - 1].strip():
            return place
    return len(lines)


def _code_lines(lines: list[str]) -> tuple[set[int], int]:
    """Numbers of the lines inside closed code fences, and where the reply ends if a fence is around all of it."""
    inside: set[int] = set()
    opened, labelled, wrapped, number = -1, False, False, 0
    for place, line in enumerate(lines):
        heading, part = _next_heading(line, number), _PART.match(line)
        if heading or (part and opened < 0):
            # The fence of an instance that was not closed ends with it.
            opened, labelled, number = -1, True, heading or number
            line = line[part.end() :] if part else ""
        if line.lstrip().startswith("```"):
            if not labelled:
                wrapped = True
            elif opened < 0:
                opened = place
            else:
                inside |= set(range(opened + 1, place + 1))
                opened = -1
    filled = max((place for place, line in enumerate(lines) if line.strip()), default=-1)
    return inside, filled if wrapped and opened == filled else len(lines)


def _content(lines: list[str]) -> str:
    """The lines without the separators and blank lines at their end."""
    end = len(lines)
    while end and (not lines[end - 1].strip() or _RULE.fullmatch(lines[end - 1].strip())):
        end -= 1
    return "\n".join(lines[:end]).strip()
