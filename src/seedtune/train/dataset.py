"""From examples to token ids and labels.

The tokens are made here, not in TRL, so that three things are certain: the loss covers the completion only, the last
trained token is the end-of-sequence token, and training sees the tokens that inference will see.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from seedtune import models
from seedtune.config import TrainConfig
from seedtune.errors import ModelError, TrainingError
from seedtune.records import Task, content_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IGNORED = -100
"""The label of a token outside the loss."""


@dataclass(frozen=True)
class Example:
    """A task and where it came from."""

    task: Task
    source: Literal["seed", "generated", "data", "computed"]
    pack: str


@dataclass(frozen=True)
class Row:
    """One training row; ``input_ids`` and ``labels`` have the same length."""

    example: Example
    input_ids: list[int]
    labels: list[int]
    """The token ids again, with :data:`IGNORED` for the prompt."""
    truncated: bool = False
    """True where the end of the completion, and with it the end-of-sequence token, did not fit."""

    @property
    def prompt_tokens(self) -> int:
        """How many tokens stand before the answer."""
        return next(place for place, label in enumerate(self.labels) if label != IGNORED)


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


def make_row(tokenizer: "PreTrainedTokenizerFast", example: Example, system: str | None) -> Row:
    """Tokens and labels of an example, however many they are.

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
    return Row(example, prompt_ids + answer_ids, [IGNORED] * len(prompt_ids) + answer_ids)


def fit_row(row: Row, settings: TrainConfig) -> Row | None:
    """A row as it is trained on: no longer than ``max_length``.

    Returns:
        None where it is left out: no token of its answer has room, or longer rows are to be dropped.
    """
    limit = settings.max_length
    if len(row.input_ids) <= limit:
        return row
    if row.prompt_tokens >= limit or settings.too_long == "drop":
        return None
    return Row(row.example, row.input_ids[:limit], row.labels[:limit], truncated=True)


def _render(tokenizer: "PreTrainedTokenizerFast", messages: list[dict[str, str]], generation: bool) -> str:
    try:
        return models.chat_text(tokenizer, messages, generation)
    except ModelError as problem:
        raise TrainingError(str(problem)) from problem


def _until_end(tokenizer: "PreTrainedTokenizerFast", ids: list[int]) -> list[int]:
    """Cut behind the end-of-sequence token that ends the turn (templates put a newline there), or append one.

    Where words follow the last one, the answer itself spells it.
    """
    end = cast("int", tokenizer.eos_token_id)
    cut = len(ids) - ids[::-1].index(end) if end in ids else 0
    if cut == 0 or str(tokenizer.decode(ids[cut:])).strip():
        return [*ids, end]
    return ids[:cut]
