"""From examples to token ids and labels.

The tokens are made here, not in TRL, so that three things are certain: the loss covers the completion only, the last
trained token is the end-of-sequence token, and training sees the tokens that inference will see.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from jinja2 import TemplateError
from pydantic import ConfigDict, ValidationError

from seedtune.domains import Pack
from seedtune.errors import DataError, TrainingError
from seedtune.records import SeedTask, Task, content_id, read_records, validation_message
from seedtune.review_decisions import REVIEW, read_reviewed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

IGNORED = -100
"""The label of a token outside the loss."""


@dataclass(frozen=True)
class Example:
    """A task and where it came from."""

    task: Task
    source: Literal["seed", "generated", "data", "computed"]
    pack: str


class _Generated(Task):
    """What is read of a line of ``generate/instructions.jsonl``."""

    model_config = ConfigDict(extra="ignore")

    pack: str


@dataclass(frozen=True)
class Row:
    """One training row; ``input_ids`` and ``labels`` have the same length."""

    example: Example
    input_ids: list[int]
    labels: list[int]
    """The token ids again, with :data:`IGNORED` for the prompt."""
    truncated: bool
    """True where the end of the completion, and with it the end-of-sequence token, did not fit."""


def collect_examples(
    generated: Path | None,
    packs: Sequence[Pack],
    include_seeds: bool,
    data: Sequence[Path],
    computed: Iterable[Example] = (),
) -> list[Example]:
    """Seeds, generated instructions, the user's own data and computed tasks, in this order, without repeats.

    Raises:
        DataError: a file has a broken line, or there is not a single example.
    """
    examples: list[Example] = []
    if include_seeds:
        examples += [Example(seed, "seed", pack.name) for pack in packs for seed in pack.seeds]
    if generated is not None:
        examples += [Example(task, "generated", task.pack) for task in _reviewed(generated.parent)]
    for path in data:
        examples += [Example(task, "data", path.stem) for task in read_records(path, SeedTask)]
    unique: dict[str, Example] = {}
    for example in (*examples, *computed):
        unique.setdefault(example.task.id, example)
    if not unique:
        raise DataError("there is nothing to train on: generate instructions, or set train.include_seeds or train.data")
    return list(unique.values())


def _reviewed(folder: Path) -> Iterator[_Generated]:
    """What was generated, as people left it."""
    reviewed = read_reviewed(folder)
    if reviewed.digest:
        logger.info(
            "train: people took out %d generated rows, changed %d and added %d (%s)",
            reviewed.removed,
            reviewed.edited,
            reviewed.added,
            REVIEW,
        )
    for place, line in reviewed.lines:
        try:
            yield _Generated.model_validate(line)
        except ValidationError as problem:
            raise DataError(f"{folder}: {place}: {validation_message(problem)}") from problem


def split_examples(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Training and held-out examples.

    Membership follows from seed and content alone, not from what else is there: adding examples moves none across,
    unless a side was empty. With a share above 0 and at least two examples, each side has at least one.
    """

    def position(example: Example) -> float:
        return int(content_id("held-out", seed, example.task.id), 16) / 16**16

    if share <= 0 or len(examples) < 2:
        return list(examples), []
    held_out = [example for example in examples if position(example) < share]
    if not held_out:
        held_out = [min(examples, key=position)]
    if len(held_out) == len(examples):
        held_out.remove(max(examples, key=position))
    ids = {example.task.id for example in held_out}
    return [example for example in examples if example.task.id not in ids], held_out


def chat(task: Task, system: str | None) -> list[dict[str, str]]:
    """The messages before the answer."""
    turns = [{"role": "system", "content": system}] if system else []
    return [*turns, {"role": "user", "content": task.prompt}]


def make_row(tokenizer: "PreTrainedTokenizerFast", example: Example, system: str | None, max_length: int) -> Row | None:
    """Tokens and labels of an example; None where ``max_length`` leaves no token of the answer.

    Raises:
        TrainingError: the chat template renders the prompt differently with an answer behind it, so that the model
            would be trained on other tokens than it is asked with; or it refuses the chat.
    """
    messages = chat(example.task, system)
    prompt = _render(tokenizer, messages, generation=True)
    answer = {"role": "assistant", "content": example.task.output.strip()}
    whole = _render(tokenizer, [*messages, answer], generation=False)
    if not whole.startswith(prompt):
        raise TrainingError(
            "the chat template renders a prompt differently when an answer follows; "
            "set model.chat_template to one whose generation prompt is a prefix of the whole"
        )
    prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answer_ids = _until_end(tokenizer, tokenizer(whole[len(prompt) :], add_special_tokens=False)["input_ids"])
    input_ids = (prompt_ids + answer_ids)[:max_length]
    if len(input_ids) <= len(prompt_ids):
        return None
    labels = [IGNORED] * len(prompt_ids) + input_ids[len(prompt_ids) :]
    return Row(example, input_ids, labels, truncated=len(prompt_ids) + len(answer_ids) > max_length)


def _render(tokenizer: "PreTrainedTokenizerFast", messages: list[dict[str, str]], generation: bool) -> str:
    try:
        rendered: Any = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=generation)
    except TemplateError as problem:
        turns = ", ".join(message["role"] for message in messages)
        raise TrainingError(
            f"the chat template refuses a chat of {turns}: {problem}; "
            "set model.chat_template, or take the domain's system_prompt out"
        ) from problem
    return str(rendered)


def _until_end(tokenizer: "PreTrainedTokenizerFast", ids: list[int]) -> list[int]:
    """Cut behind the end-of-sequence token that ends the turn (templates put a newline there), or append one.

    Where words follow the last one, the answer itself spells it.
    """
    end = cast("int", tokenizer.eos_token_id)
    cut = len(ids) - ids[::-1].index(end) if end in ids else 0
    if cut == 0 or str(tokenizer.decode(ids[cut:])).strip():
        return [*ids, end]
    return ids[:cut]
