"""Run a student model, with and without its adapters.

The options of a question are scored in one row: each attends to the prompt and to itself, not to the others, and its
positions go on from the prompt's end. What the questions of a suite begin with alike (the system prompt, examples) is
run once, and its keys and values are kept. That is the same arithmetic as one row per option, for a fraction of the
tokens; a test compares the two. Answers are written by :mod:`seedtune.teachers.decoding`, which shares beginnings too.
"""

import gc
from collections import OrderedDict
from collections.abc import Generator, Hashable, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub import try_to_load_from_cache
from peft import PeftModelForCausalLM
from transformers import DynamicCache

from seedtune import models
from seedtune.config import ModelConfig
from seedtune.errors import EvaluationError
from seedtune.evaluate.suites import Question
from seedtune.records import Message, content_id
from seedtune.teachers.decoding import Decoder, Row, shared_beginnings
from seedtune.teachers.engine import write
from seedtune.teachers.protocol import Sampling

_GREEDY = Sampling(temperature=0.0, top_p=1.0, max_tokens=1, presence_penalty=None, stop=())
_KEPT = 4
"""Beginnings whose keys and values are kept: of a suite, for each model that takes turns."""


class Choice(NamedTuple):
    """A prompt and its possible continuations."""

    prompt: str
    options: tuple[str, ...]


class Chat:
    """How a conversation is put to a student: its tokenizer and its chat template."""

    def __init__(self, config: ModelConfig) -> None:
        """Load the tokenizer.

        Raises:
            ModelError: it cannot be loaded, or has no chat template.
        """
        self.tokenizer: Any = models.load_tokenizer(config)

    @property
    def template_digest(self) -> str:
        """Content hash of the chat template."""
        return content_id(self.tokenizer.chat_template)

    def prompt(self, turns: Sequence[Message]) -> str:
        """The text that the model goes on from.

        Raises:
            ModelError: the template refuses this chat.
        """
        return models.chat_text(self.tokenizer, [turn.model_dump() for turn in turns])


def base_digest(config: ModelConfig) -> str:
    """Identity of a base model as it is run here, without reading its weights.

    A hub model is known by its commit, a local folder by the names, sizes and times of its files.

    Raises:
        ModelError: there is no such model.
    """
    source, dtype = models.model_source(config.name), str(models.pick_dtype(config.dtype, training=False))
    folder = Path(source)
    if config.name == models.EMBEDDED:
        return content_id(folder.name, dtype)
    if folder.is_dir():
        files = [(path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
        return content_id([(name, stat.st_size, stat.st_mtime_ns) for name, stat in files], dtype)
    cached = try_to_load_from_cache(source, "tokenizer_config.json", revision=config.revision)
    commit = Path(cached).parent.name if isinstance(cached, str) else config.revision
    return content_id(config.name, commit, dtype)


class Student:
    """A base model and its adapters, loaded once."""

    def __init__(self, config: ModelConfig, adapters: Mapping[str, Path | None], chat: Chat) -> None:
        """Load them.

        Args:
            config: The base.
            adapters: By name, what the base answers with; None is the base alone.
            chat: Its tokenizer.

        Raises:
            ModelError: the base cannot be loaded, or an adapter does not fit it.
        """
        self._tokenizer = chat.tokenizer
        self._model: Any = models.load_model(config)
        self._ends = models.end_tokens(self._model, self._tokenizer)
        self._adapters = dict(adapters)
        for name, folder in self._adapters.items():
            if folder is not None:
                self._model = models.attach_adapter(self._model, folder, config.name, name)
        self._variant = next(iter(self._adapters))
        # Of each its own: keys and values of a beginning that prompts share are those of one model.
        self._decoders = {name: Decoder(self._model, self._ends, self._text) for name in self._adapters}
        self._families: dict[Hashable, list[int]] = {}
        self._beginnings: OrderedDict[tuple[str, tuple[int, ...]], _Layers] = OrderedDict()

    @contextmanager
    def variant(self, name: str) -> Generator[None]:
        """Within it the model answers with the adapter of that name, or as the base alone."""
        before, self._variant = self._variant, name
        bare = self._adapters[name] is None and isinstance(self._model, PeftModelForCausalLM)
        try:
            if self._adapters[name] is not None:
                self._model.set_adapter(name)
            with self._model.disable_adapter() if bare else nullcontext():
                yield
        finally:
            self._variant = before

    def check_adapters(self, prompt: str) -> None:
        """Make sure that each adapter is applied.

        Raises:
            EvaluationError: with one of them the model gives the very same scores as without.
        """
        choice = [Choice(prompt, ("Yes", "No"))]
        for name in (name for name, folder in self._adapters.items() if folder is not None):
            with self.variant(name):
                adapted = self.option_scores(choice)
                with self._model.disable_adapter():
                    bare = self.option_scores(choice)
            if bare == adapted:
                raise EvaluationError(
                    f"the adapter {self._adapters[name]} changes nothing: with and without it the model gives the same "
                    "scores. Train longer?"
                )

    @torch.inference_mode()
    def option_scores(self, choices: Sequence[Choice], family: Hashable = "") -> list[list[float]]:
        """Log-likelihood, in nats, of each option as what follows its prompt; shape (choices, options).

        Args:
            choices: Run together, and padded to the longest.
            family: Prompts of one family are expected to begin alike. Without one nothing is kept.
        """
        prompts = [self._tokens(choice.prompt) for choice in choices]
        shared = self._shared(prompts, family) if family else 0
        rows = [self._pack(prompt[shared:], choice) for prompt, choice in zip(prompts, choices, strict=True)]
        length, device = max(len(row.ids) for row in rows), self._model.device
        ids = torch.zeros((len(rows), length), dtype=torch.long, device=device)
        positions = torch.full((len(rows), length), shared, dtype=torch.long, device=device)
        # Padding attends to itself: a row of the mask without any True gives NaN.
        mask = torch.eye(length, dtype=torch.bool, device=device).repeat(len(rows), 1, 1, 1)
        for number, row in enumerate(rows):
            size = len(row.ids)
            ids[number, :size] = torch.tensor(row.ids)
            positions[number, :size] = torch.tensor(row.positions) + shared
            mask[number, 0, :size, :size] = row.mask.to(device)
        # The prompts' logits are not needed but for the last, and the vocabulary is large.
        first = min(row.prompt_length for row in rows) - 1
        before = {"past_key_values": self._before(prompts[0][:shared], len(rows))} if shared else {"use_cache": False}
        logits = self._model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=torch.cat([mask.new_ones(len(rows), 1, length, shared), mask], dim=-1),
            logits_to_keep=length - first,
            **before,
        ).logits
        return [
            [self._score(logits[number], row, option, first) for option in row.options]
            for number, row in enumerate(rows)
        ]

    def _shared(self, prompts: Sequence[list[int]], family: Hashable) -> int:
        """How many tokens all prompts of the family begin with, as far as it is worth keeping them."""
        rows = [Row(prompt, family, _GREEDY, seed=0) for prompt in prompts]
        return min(shared_beginnings(rows, self._families))

    def _before(self, tokens: list[int], rows: int) -> DynamicCache:
        """Keys and values of a shared beginning, for so many rows."""
        key = (self._variant, tuple(tokens))
        if key not in self._beginnings:
            whole: Any = DynamicCache()
            ids = torch.tensor([tokens], device=self._model.device)
            self._model(input_ids=ids, past_key_values=whole, use_cache=True, logits_to_keep=1)
            self._beginnings[key] = [(layer.keys, layer.values) for layer in whole.layers]
            if len(self._beginnings) > _KEPT:
                self._beginnings.popitem(last=False)
        self._beginnings.move_to_end(key)
        cache = DynamicCache()
        for number, states in enumerate(self._beginnings[key]):
            keys, values = (state.expand(rows, -1, -1, -1) for state in states)
            cache.update(keys, values, number)
        return cache

    def _score(self, logits: torch.Tensor, row: "_Row", option: range, first: int) -> float:
        """Sum of the log-probabilities of an option's tokens, each predicted from the one before it.

        Args:
            logits: Shape (positions from ``first`` on, vocabulary).
            row: The row they are of.
            option: The positions of the option's tokens.
            first: Position of the first logits.
        """
        before = torch.tensor([row.prompt_length - 1, *option[:-1]], device=logits.device) - first
        tokens = torch.tensor([row.ids[position] for position in option], device=logits.device)
        log_probs = torch.log_softmax(logits[before].float(), dim=-1)
        return float(log_probs.gather(1, tokens[:, None]).sum())

    def _pack(self, prompt: list[int], choice: Choice) -> "_Row":
        ids, positions, options = list(prompt), list(range(len(prompt))), list[range]()
        for option in choice.options:
            tokens = self._tokens(option)
            options.append(range(len(ids), len(ids) + len(tokens)))
            ids += tokens
            positions += range(len(prompt), len(prompt) + len(tokens))
        mask = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
        for option in options:
            mask[option.start :, len(prompt) : option.start] = False
        return _Row(ids, positions, mask, len(prompt), options)

    def answer(self, questions: Sequence[tuple[str, Question]], family: str = "") -> list[str]:
        """Written answers.

        Args:
            questions: Each with the text that the model goes on from.
            family: Prompts of one family are expected to begin alike.
        """
        rows = [Row(self._tokens(prompt), family, _sampling(question), question.seed) for prompt, question in questions]
        written = write(self._decoders[self._variant], rows)
        return [self._text([token for token in answer.tokens if token not in self._ends]) for answer in written]

    def _tokens(self, text: str) -> list[int]:
        # The template has written the special tokens already.
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _text(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))


def _sampling(question: Question) -> Sampling:
    return _GREEDY._replace(temperature=question.temperature, max_tokens=question.max_new_tokens)


def free_memory() -> None:
    """Make room for the next model, once nothing refers to the last."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


_Layers = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of each layer, each of shape [1, heads, tokens, size]."""


class _Row(NamedTuple):
    """A prompt, or what is left of it behind a shared beginning, and its options in one row of tokens."""

    ids: list[int]
    positions: list[int]
    mask: torch.Tensor
    """True where a token (first axis) sees another; shape (length, length)."""
    prompt_length: int
    options: list[range]
    """The positions of each option's tokens."""
