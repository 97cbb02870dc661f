"""The three steps of classic mode (Wang et al. 2023, section 2.2): what is asked, and how replies are read.

1. Instructions alone, continuing a list of earlier ones.
2. Is an instruction a classification task?
3. Its instances: for a classification the label first and then an input that has it, otherwise the input first. Written
   input first, the instances of a classification tend to fall on one label.

Constants are the paper's. Unlike the original's code (see ``strict``), text keeps its case, a list is read by its
running numbers at the start of lines ("172.16.0.0/12" and "16. " within an item end nothing), a reply
that was cut off loses its last item only, and no stop string can cut an answer.
"""

import json
import random
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from seedtune.generate.wording.instances import Instance

# This module and strict have the same functions, so that a stage picks one of them.
from seedtune.generate.wording.instances import parse_instances as parse_instances
from seedtune.generate.wording.parsing import without_reasoning
from seedtune.generate.wording.prompting import NO_INPUT, Form, template
from seedtune.generate.wording.structured import closed_object, members, read_list, text_of
from seedtune.records import Decoding, FilledText, Message, Record, SeedTask, Step
from seedtune.teachers.replies import is_whole

SHOWN = 8
"""Instructions shown in a request for new ones."""
MACHINE_SHARE = 2
"""The most of them that the teacher wrote."""

DECODING: Mapping[Step, Decoding] = {
    "instructions": Decoding(temperature=0.7, top_p=0.5, presence_penalty=2, max_tokens=1024),
    # The paper's three tokens hold "Yes" alone; a chat model may wrap it in JSON and a code fence.
    "classification": Decoding(temperature=0, max_tokens=32),
    # As long as the teacher may: the paper's 300 tokens end within a program.
    "instances": Decoding(temperature=0, presence_penalty=1.5),
}

_NUMBER = re.compile(
    r"""[ \t]{0,3}(?:[#>*-]{1,4}[ \t]{1,4})?[*_]{0,2}(?:(?:task|instruction)[ \t]{1,2})?
        (?P<number>\d{1,4})[*_]{0,2}[ \t]?[.):][*_]{0,2}(?:[ \t]+|$)""",
    re.IGNORECASE | re.ASCII | re.VERBOSE,
)
_BULLET = re.compile(r"[ \t]{0,3}[-*•+][ \t]{1,4}")
_LABEL = re.compile(r"[*_]{0,2}(?:task|instruction)[*_]{0,2}:[*_]{0,2}[ \t]*", re.IGNORECASE)
_SAID = re.compile(r'"is_classification"\s*:\s*"?(?P<said>true|false|yes|no)\b', re.IGNORECASE)
_ANSWER = re.compile(
    r"""\W{0,8}(?:is[ ](?:it|this)[^?\n]{0,60}\?|(?:is_)?classification(?:[ ]task)?|answer)?
        \W{0,8}(?P<said>yes|no|true|false)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_GAP = 2
"""By how much a number may exceed the one before it: models skip one at times."""


class Shot(Record):
    """An example task that is the same for every domain."""

    instruction: FilledText
    is_classification: bool
    instances: tuple[Instance, ...] = ()


class ParsedInstructions(NamedTuple):
    """The instructions of a reply, and why the rest of it is none."""

    instructions: tuple[str, ...]
    faults: tuple[str, ...]
    path: Form
    """How the reply was read."""


@cache
def shots() -> tuple[Shot, ...]:
    """12 classification tasks and 19 others, some with instances."""
    text = (
        resources.files("seedtune.generate.wording").joinpath("templates", "classic_examples.jsonl").read_text("utf-8")
    )
    return tuple(Shot.model_validate_json(line) for line in text.splitlines())


def pick_examples(
    draw: random.Random,
    human: Sequence[str],
    machine: Sequence[str],
    total: int = SHOWN,
    machine_share: int = MACHINE_SHARE,
) -> list[str]:
    """Instructions to show: up to ``machine_share`` that the teacher wrote, the rest by people, shuffled.

    Fewer than ``total`` where people wrote fewer.
    """
    picked = draw.sample(machine, min(machine_share, total, len(machine)))
    picked += draw.sample(human, min(total - len(picked), len(human)))
    draw.shuffle(picked)
    return picked


def one_line(instruction: str) -> str:
    """An instruction as an item of a list: white space squeezed, no colon at the end."""
    return " ".join(instruction.split()).rstrip(":")


def instruction_messages(prompt: str, examples: Sequence[str], count: int, form: Form = "text") -> tuple[Message, ...]:
    """Ask for ``count`` instructions that continue a numbered list of examples.

    Args:
        prompt: The pack's prompt, the system text.
        examples: Earlier instructions.
        count: New ones to ask for.
        form: Of the reply.
    """
    user = template("classic_instructions.md.j2").render(
        examples=[one_line(example) for example in examples], count=count, form=form
    )
    return (Message(role="system", content=prompt), Message(role="user", content=user))


def classification_messages(instruction: str, form: Form = "text") -> tuple[Message, ...]:
    """Ask whether an instruction is a classification task, with 12 examples that are and 19 that are not."""
    user = template("classic_classification.md.j2").render(shots=shots(), instruction=one_line(instruction), form=form)
    return (Message(role="user", content=user),)


def instance_messages(
    instruction: str, is_classification: bool, prompt: str, seeds: Sequence[SeedTask], form: Form = "text"
) -> tuple[Message, ...]:
    """Ask for instances of an instruction.

    Args:
        instruction: What they are of.
        is_classification: Ask for the label first, and for several labels.
        prompt: The pack's prompt, the system text.
        seeds: Shown as examples behind those that are the same for every domain. Not for a classification: seed tasks
            have no labels.
        form: Of the reply.
    """
    shown = [shot for shot in shots() if shot.instances and shot.is_classification == is_classification]
    if not is_classification:
        shown += [
            Shot(instruction=seed.instruction, is_classification=False, instances=(Instance(seed.input, seed.output),))
            for seed in seeds
        ]
    user = template("classic_instances.md.j2").render(
        shots=shown,
        instruction=instruction,
        is_classification=is_classification,
        form=form,
        no_input=NO_INPUT,
        as_json=_as_json,
    )
    return (Message(role="system", content=prompt), Message(role="user", content=user))


def _as_json(shot: Shot) -> str:
    """The instances of a shot as a reply in JSON has them: what is to be written first stands first."""
    instances = [
        {"label": instance.output, "input": instance.input} if shot.is_classification else instance._asdict()
        for instance in shot.instances
    ]
    return json.dumps({"instances": instances}, ensure_ascii=False)


def reply_prefix(step: Step, examples: int = 0, form: Form = "text") -> str:
    """How a reply begins; small models keep to the form only if it is begun for them.

    Args:
        step: What is asked.
        examples: Instructions shown; the first new one has the next number.
        form: Of the reply.
    """
    prefixes: Mapping[tuple[Step, Form], str] = {
        ("instructions", "text"): f"{examples + 1}.",
        ("instructions", "json"): '{"instructions": [\n"',
        ("classification", "json"): '{"is_classification": ',
        ("instances", "text"): "Example 1\n",
        ("instances", "json"): '{"instances": [\n{"',
    }
    return prefixes.get((step, form), "")


def instructions_schema(count: int) -> dict[str, Any]:
    """The schema of a reply with instructions: ``{"instructions": [...]}``."""
    items = {"type": "string", "description": "An instruction; stands alone."}
    noun = "instruction" if count == 1 else "instructions"
    return closed_object({"instructions": {"type": "array", "description": f"{count} new {noun}.", "items": items}})


def classification_schema() -> dict[str, Any]:
    """The schema of the answer: ``{"is_classification": true}``."""
    return closed_object({"is_classification": {"type": "boolean"}})


def instances_schema(is_classification: bool) -> dict[str, Any]:
    """The schema of a reply with instances: label and input of each, or input and output, written in this order."""
    given = "Material that the instruction works on; an empty string where it needs none."
    parts = {"label": "The class.", "input": given} if is_classification else {"input": given, "output": "The answer."}
    instance = closed_object({name: {"type": "string", "description": text} for name, text in parts.items()})
    return closed_object({"instances": {"type": "array", "items": instance}})


def parse_classification(text: str) -> bool | None:
    """Read whether it is a classification; None where the answer is neither yes nor no. Never raises."""
    text = without_reasoning(text)
    found = _SAID.search(text) or _ANSWER.match(text)
    return found["said"].lower() in ("yes", "true") if found else None


def parse_instructions(text: str, finish_reason: str, examples: int) -> ParsedInstructions:
    """Read instructions out of a reply, JSON or a list. Never raises, whatever the text.

    Args:
        text: The reply.
        finish_reason: Where it is no word for an end, the last one is dropped: it was broken off.
        examples: How many were shown: a reply may go on right behind the number of the first new one.
    """
    text = without_reasoning(text).replace("\r\n", "\n")
    broken_off = not is_whole(finish_reason)
    listed = read_list(text, "instructions", ["instruction"])
    items: list[str | None]
    # A list in JSON may also be material of an item.
    if listed is not None and not any(map(_NUMBER.match, text[: listed.start].split("\n"))):
        path: Form = "json"
        items = [_json_item(raw) for raw in listed.values]
        fault = "cut" if listed.fault and broken_off else listed.fault
    else:
        path = "text"
        items = [*_list_items(text, examples)]
        fault = "cut" if broken_off else ""
        items = items[:-1] if broken_off else items
    found = [_clean(item) for item in items if item is not None]
    faults = ["wrong_type"] * items.count(None) + ["no_instruction"] * found.count("") + ([fault] if fault else [])
    instructions = tuple(filter(None, found))
    return ParsedInstructions(instructions, tuple(faults) if faults or instructions else ("no_task",), path)


def _json_item(raw: str) -> str | None:
    """The text of an element, which may be an object around it; None for anything else."""
    if raw.startswith("{"):
        raw = next((value for name, value in members(raw) or () if name.lower() == "instruction"), "")
    return text_of(raw) if raw.startswith('"') else None


def _list_items(text: str, examples: int) -> list[str]:
    """The items of a numbered list, or of one with bullets."""
    lines = text.split("\n")
    numbered = [(place, match) for place, line in enumerate(lines) if (match := _NUMBER.match(line))]
    starts = _running(numbered)
    if not starts:
        starts = [(place, match) for place, line in enumerate(lines) if (match := _BULLET.match(line))]
        starts = starts if len(starts) > 1 else []
    items: list[str] = []
    places = [place for place, _ in starts] + [len(lines)]
    for (place, match), end in zip(starts, places[1:], strict=True):
        items.append("\n".join([lines[place][match.end() :], *lines[place + 1 : end]]))
    if numbered and int(numbered[0][1]["number"]) == examples + 2:
        # The reply goes on behind the number that the prompt or the prefix ended with.
        items.insert(0, "\n".join(lines[: places[0]]))
    return [*items[:-1], _first_paragraph(items[-1])] if items else []


def _running(numbered: list[tuple[int, re.Match[str]]]) -> list[tuple[int, re.Match[str]]]:
    """Those lines whose numbers run on; others, such as "16. " after 9, stand within an item.

    A list in which every number is the same is one of Markdown, where that is allowed.
    """
    numbers = [int(match["number"]) for _, match in numbered]
    if len(set(numbers)) == 1:
        return numbered
    running: list[tuple[int, re.Match[str]]] = []
    last = -1
    for number, start in zip(numbers, numbered, strict=True):
        if not running or last < number <= last + _GAP:
            running.append(start)
            last = number
    return running


def _first_paragraph(item: str) -> str:
    """The last item without what a chat model says after the list; what is announced with a colon belongs to it."""
    head, _, _ = item.strip().partition("\n\n")
    return item if head.rstrip().endswith(":") or head.count("```") % 2 else head


def _clean(item: str) -> str:
    """An item without its number, label, bold marks and quotation marks around the whole of it."""
    item = item.strip()
    for pattern in (_NUMBER, _LABEL):
        opening = pattern.match(item)
        item = item[opening.end() :] if opening else item
    for mark in ("**", '"'):
        if item.startswith(mark) and item.endswith(mark) and item.count(mark) == 2:
            item = item.removeprefix(mark).removesuffix(mark)
    return item.strip()
