"""The originals' constants, prompt structure and decisions, faults included, for comparison with the literature.

Of Self-Instruct (Wang et al. 2023; repository yizhongw/self-instruct, ``bootstrap_instructions.py``,
``identify_clf_or_not.py``, ``generate_instances.py``, ``prepare_for_finetuning.py``) for classic mode, and of Stanford
Alpaca (tatsu-lab/stanford_alpaca, ``generate_instruction.py``) for alpaca mode; BGP-LLaMA's scripts differ from the
latter in one seed instead of three and temperature 0.7. The wording of the prompts and their examples are our own.

Faults kept, none of which the default has:

- Classic instructions lose their case: "AS_PATH and RPKI" becomes "As_path and rpki".
- "map", "file" and such words reject an instruction whatever it means by them.
- Stop strings that are numbers cut answers: "16." ends "172.16.0.0/12" at "172.".
- Alpaca asks for 20 tasks, counts the examples among them and stops at 20: at most 16 are new.
- Alpaca wants the k-th block to carry the k-th number; a reply that starts at 1 or opens with "###" loses all of them.
- A classic reply that was cut off is dropped whole.
- Any answer but "Yes" is no.
- Labels are looked for anywhere, so an answer that holds "Output:" or "Example" is torn.
- Similarity sees ASCII letters and digits only.

Not kept are sets that change their order from run to run (of more than five instances the first are taken, not random
ones), tasks of alpaca mode without an output, which no later stage could use, and the belief that "length" is the only
word for a reply that was broken off.
"""

import re
import string
from collections.abc import Mapping, Sequence
from typing import Literal

from seedtune.generate.filters.form import Filter, FilterRules, Rejection, first_fault
from seedtune.generate.wording.classic import SHOWN, ParsedInstructions, one_line, shots
from seedtune.generate.wording.instances import Instance, ParsedInstances, settle
from seedtune.generate.wording.parsing import Fault, ParsedReply, ParsedTask
from seedtune.generate.wording.prompting import NO_INPUT, Form, template
from seedtune.records import Candidate, Decoding, Message, SeedTask, Step
from seedtune.teachers.replies import is_whole

SEEDS = 3
"""Seed tasks shown in a request of alpaca mode."""
TASKS = 20
"""Where the numbers of a request of alpaca mode end."""

ASKED: Mapping[Literal["classic", "alpaca"], int] = {"alpaca": TASKS - SEEDS, "classic": SHOWN}
"""New tasks, or instructions, that one request asks for: the list of 8 goes on to its end at 16."""

DECODING: Mapping[Step, Decoding] = {
    # The original names "20." twice.
    "tasks": Decoding(temperature=1.0, top_p=1.0, max_tokens=3072, stop=("\n20", "20.")),
    "instructions": Decoding(
        temperature=0.7, top_p=0.5, presence_penalty=2, max_tokens=1024, stop=("\n\n", "\n16", "16.", "16 .")
    ),
    # top_p was 0 in the next two, which endpoints refuse by now; at temperature 0 it has no effect.
    "classification": Decoding(temperature=0, presence_penalty=0, max_tokens=3, stop=("\n", "Task")),
    # 350 where no classification was in the batch, of which the prompt is longer; batches are not ours to see.
    "instances": Decoding(temperature=0, presence_penalty=1.5, max_tokens=300, stop=("Example 6", "Task:")),
}

_BLOCKED = ("image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps", "draw", "plot")
RULES: Mapping[Literal["classic", "alpaca"], FilterRules] = {
    "classic": FilterRules(4, 150, 0.7, (*_BLOCKED, "go to")),
    "alpaca": FilterRules(4, 150, 0.7, (*_BLOCKED, "go to", "video", "audio", "music", "flowchart", "diagram")),
}


def task_messages(prompt: str, seeds: Sequence[SeedTask]) -> tuple[Message, Message]:
    """A request of alpaca mode: the pack's prompt, and the seed tasks as the first of 20.

    Args:
        prompt: The pack's prompt, the system text.
        seeds: Shown as tasks 1 to k.
    """
    shown = [
        {"instruction": one_line(seed.instruction), "input": seed.input or NO_INPUT, "output": seed.output}
        for seed in seeds
    ]
    user = template("strict_alpaca.md.j2").render(seeds=shown, total=TASKS, no_input=NO_INPUT)
    return (Message(role="system", content=prompt), Message(role="user", content=user))


def task_prefix(examples: int) -> str:
    """How a reply of alpaca mode begins; the original's completion went on from there."""
    return f"{examples + 1}. Instruction:"


def parse_tasks(text: str, finish_reason: str, examples: int) -> ParsedReply:
    """Split a reply of alpaca mode at ``###``; block k, from 0, must carry the number ``examples + 1 + k``.

    Args:
        text: The reply, with or without its prefix.
        finish_reason: Where it is no word for an end, the last block is dropped.
        examples: Seed tasks shown.
    """
    prefix = task_prefix(examples)
    blocks = (text if text.startswith(prefix) else prefix + text).split("###")
    tasks: list[ParsedTask] = []
    faults: list[Fault] = []
    for number, block in enumerate(blocks, examples + 1):
        parts = re.split(rf"{number}\.\s+(?:Instruction|Input|Output):", block)
        if not is_whole(finish_reason) and number == examples + len(blocks):
            faults.append("cut")
        elif len(parts) != 4:
            faults.append("mixed_labels")
        else:
            instruction, given, output = (part.strip() for part in parts[1:])
            tasks.append(ParsedTask(instruction, "" if given.lower() == NO_INPUT else given, output))
    return ParsedReply(tuple(tasks), tuple(faults), "text")


def instruction_messages(prompt: str, examples: Sequence[str], count: int, form: Form = "text") -> tuple[Message, ...]:
    """A list of instructions for the teacher to continue; prompt, count and form have no place in it."""
    user = template("strict_instructions.md.j2").render(examples=[one_line(example) for example in examples])
    return (Message(role="user", content=user),)


def reply_prefix(step: Step, examples: int = 0, form: Form = "text") -> str:
    """How a reply begins: with the next number, if it is a list."""
    return f"{examples + 1}." if step == "instructions" else ""


def parse_instructions(text: str, finish_reason: str, examples: int) -> ParsedInstructions:
    """Split a list at each number at the start of a line. A reply that was cut off is dropped whole.

    Args:
        text: The reply, with or without its prefix.
        finish_reason: Where it is no word for an end, everything is dropped.
        examples: Instructions shown.
    """
    if not is_whole(finish_reason):
        return ParsedInstructions((), ("cut",), "text")
    items = re.split(r"\n\d+\s?\. ", text.removeprefix(reply_prefix("instructions", examples)))
    # Python's capitalize lowers all but the first letter.
    instructions = tuple(filter(None, (" ".join(item.split()).capitalize() for item in items)))
    return ParsedInstructions(instructions, () if instructions else ("no_task",), "text")


def classification_messages(instruction: str, form: Form = "text") -> tuple[Message, ...]:
    """Ask whether an instruction is a classification task, with 12 examples that are and 19 that are not."""
    user = template("strict_classification.md.j2").render(shots=shots(), instruction=instruction.strip())
    return (Message(role="user", content=user),)


def parse_classification(text: str) -> bool:
    """Whether the answer is "Yes", "yes" or "YES"; all else is no."""
    return text.strip() in ("Yes", "yes", "YES")


def instance_messages(
    instruction: str, is_classification: bool, prompt: str, seeds: Sequence[SeedTask], form: Form = "text"
) -> tuple[Message, ...]:
    """Ask for instances after examples that are the same for every domain; prompt, seeds and form have no place."""
    shown = [shot for shot in shots() if shot.instances and shot.is_classification == is_classification]
    user = template("strict_instances.md.j2").render(
        shots=shown, instruction=instruction.strip(), is_classification=is_classification
    )
    return (Message(role="user", content=user),)


def parse_instances(text: str, finish_reason: str, is_classification: bool) -> ParsedInstances:
    """Split a reply into instances as the original does; of more than five the first are taken.

    Args:
        text: The reply.
        finish_reason: Where it is no word for an end, the last instance is dropped.
        is_classification: Whether labels were asked for.
    """
    found = _labelled(text) if is_classification else _exampled(text.strip())
    cut = bool(found) and not is_whole(finish_reason)
    return settle(found[:-1] if cut else found, ["cut"] if cut else [], "text")


def _labelled(text: str) -> list[Instance]:
    """The first line after each "Class label:" is the label, the rest the input."""
    blocks = [block.strip().partition("\n") for block in text.split("Class label:")[1:]]
    return [Instance(rest.strip(), label.strip()) for label, _, rest in blocks]


def _exampled(text: str) -> list[Instance]:
    """A block after each "Example", or one alone."""
    blocks = [block.strip() for block in re.split(r"Example\s?\d*\.?", text)]
    if len(blocks) > 1:
        return [_pair(block) for block in blocks if block]
    return [_pair(text)] if re.search(r"Output\s*\d*\s*:", text) else []


def _pair(block: str) -> Instance:
    """What stands before the first "Output:" and what behind it, up to the next label."""
    parts = re.split(r"Output\s*\d*\s*:", block)
    given, output = (parts[0], parts[1]) if len(parts) > 1 else ("", block)
    output = re.split(r"Input\s*\d*\s*:", output)[0]
    return Instance(re.sub(r"^Input\s*\d*\s*:", "", given.strip()).strip(), output.strip())


def instructions_schema(count: int) -> None:
    """None, as of the next two: the originals had no structured output."""


def classification_schema() -> None:
    """None."""


def instances_schema(is_classification: bool) -> None:
    """None."""


def _too_short(task: Candidate, rules: FilterRules) -> str:
    words = len(task.instruction.split())
    return f"{words} words" if words < rules.min_words else ""


def _too_long(task: Candidate, rules: FilterRules) -> str:
    words = len(task.instruction.split())
    return f"{words} words" if words > rules.max_words else ""


def _blocked_word(task: Candidate, rules: FilterRules) -> str:
    return next((w for w in rules.blocked_words if re.search(rf"\b{w}\b", task.instruction, re.IGNORECASE)), "")


def _write_program(task: Candidate, rules: FilterRules) -> str:
    return "Write a program" if task.instruction.startswith("Write a program") else ""


def _bad_start(task: Candidate, rules: FilterRules) -> str:
    first = task.instruction[:1]
    return first if first in string.punctuation or not first.isascii() else ""


_FILTERS: dict[str, Filter] = {
    "too_short": _too_short,
    "too_long": _too_long,
    "blocked_word": _blocked_word,
    "write_program": _write_program,
    "bad_start": _bad_start,
}


def instruction_fault(candidate: Candidate, rules: FilterRules) -> Rejection | None:
    """The first of the original's filters that triggers."""
    return first_fault(_FILTERS, candidate, rules)


def instance_fault(candidate: Candidate, rules: FilterRules) -> Rejection | None:
    """Whether there is an output at all; the originals ask no more, and Alpaca not even that."""
    return None if candidate.output.strip() else Rejection("no_output", "empty")
