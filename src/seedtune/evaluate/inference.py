"""Run a student model, with and without its adapter.

The options of a question are scored in one row: each attends to the prompt and to itself, not to the others, and its
positions go on from the prompt's end. That is the same arithmetic as one row per option, for a quarter of the tokens;
a test compares the two. Answers are written by :mod:`seedtune.teachers.decoding`, which runs once what prompts have in
common.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from huggingface_hub import try_to_load_from_cache
from jinja2 import TemplateError
from peft import PeftConfig, PeftModelForCausalLM
from safetensors import SafetensorError

from seedtune import models
from seedtune.config import ModelConfig
from seedtune.errors import EvaluationError
from seedtune.records import Message, content_id
from seedtune.teachers.decoding import Decoder, Row
from seedtune.teachers.protocol import Sampling

Variant = Literal["base", "tuned"]


class Choice(NamedTuple):
    """A prompt and its possible continuations."""

    prompt: str
    options: tuple[str, ...]


class Chat:
    """How a conversation is put to a student: its tokenizer, its chat template, the domain's system prompt."""

    def __init__(self, config: ModelConfig, system: str | None) -> None:
        """Load the tokenizer.

        Raises:
            ModelError: it cannot be loaded, or has no chat template.
        """
        self.tokenizer: Any = models.load_tokenizer(config)
        self._system = system

    @property
    def template_digest(self) -> str:
        """Content hash of the chat template."""
        return content_id(self.tokenizer.chat_template)

    def prompt(self, turns: Sequence[Message]) -> str:
        """The text that the model goes on from.

        Raises:
            EvaluationError: the template refuses this chat.
        """
        system = [{"role": "system", "content": self._system}] if self._system else []
        messages = [*system, *(turn.model_dump() for turn in turns)]
        try:
            return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        except TemplateError as problem:
            roles = ", ".join(message["role"] for message in messages)
            raise EvaluationError(
                f"the chat template refuses a chat of {roles}: {problem}; set model.chat_template, "
                "or take the domain's system_prompt out"
            ) from problem


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
    """A base model and its adapter, loaded once."""

    def __init__(self, config: ModelConfig, adapter: Path, chat: Chat) -> None:
        """Load both.

        Raises:
            ModelError: the base cannot be loaded.
            EvaluationError: the adapter does not fit the base.
        """
        self._tokenizer = chat.tokenizer
        base = models.load_model(config)
        misfit = f"{adapter}: this adapter does not fit {config.name}"
        try:
            settings = PeftConfig.from_pretrained(str(adapter))
            self._model: Any = PeftModelForCausalLM(base, settings, autocast_adapter_dtype=False)
            loaded: Any = self._model.load_adapter(str(adapter), "default", autocast_adapter_dtype=False)
        except (RuntimeError, ValueError, OSError, SafetensorError) as problem:
            # The first line of torch is a heading; the second names what does not fit.
            reason = " ".join(line.strip() for line in str(problem).splitlines()[:2])
            raise EvaluationError(f"{misfit}: {reason}") from problem
        # peft passes over weights that the base has no place for, and leaves layers without weights as they are.
        if left_over := [*loaded.unexpected_keys, *loaded.missing_keys]:
            raise EvaluationError(f"{misfit}: {len(left_over)} weights have no counterpart, such as {left_over[0]}")
        configured: Any = base.generation_config.eos_token_id if base.generation_config else None
        ends = [self._tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])]
        self._ends = frozenset(end for end in ends if end is not None)
        # Of each its own: keys and values of a beginning that prompts share are those of one model.
        self._decoders = {name: Decoder(self._model, self._ends, self._text) for name in ("base", "tuned")}
        self._variant: Variant = "tuned"

    @contextmanager
    def variant(self, name: Variant) -> Generator[None]:
        """Within it the model answers as the base or as the tuned model."""
        before, self._variant = self._variant, name
        try:
            with self._model.disable_adapter() if name == "base" else nullcontext():
                yield
        finally:
            self._variant = before

    def check_adapter(self, prompt: str) -> None:
        """Make sure that the adapter is applied.

        Raises:
            EvaluationError: base and tuned model give the very same scores.
        """
        choice = [Choice(prompt, ("Yes", "No"))]
        with self.variant("base"):
            base = self.option_scores(choice)
        with self.variant("tuned"):
            tuned = self.option_scores(choice)
        if base == tuned:
            raise EvaluationError(
                "the adapter changes nothing: base and tuned model give the same scores. Train longer?"
            )

    @torch.inference_mode()
    def option_scores(self, choices: Sequence[Choice]) -> list[list[float]]:
        """Log-likelihood, in nats, of each option as what follows its prompt; shape (choices, options)."""
        rows = [self._pack(choice) for choice in choices]
        length = max(len(row.ids) for row in rows)
        device = self._model.device
        ids = torch.zeros((len(rows), length), dtype=torch.long, device=device)
        positions = torch.zeros((len(rows), length), dtype=torch.long, device=device)
        # Padding attends to itself: a row of the mask without any True gives NaN.
        mask = torch.eye(length, dtype=torch.bool, device=device).repeat(len(rows), 1, 1, 1)
        for number, row in enumerate(rows):
            size = len(row.ids)
            ids[number, :size] = torch.tensor(row.ids)
            positions[number, :size] = torch.tensor(row.positions)
            mask[number, 0, :size, :size] = row.mask.to(device)
        # The prompts' logits are not needed but for the last, and the vocabulary is large.
        first = min(row.prompt_length for row in rows) - 1
        logits = self._model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=mask,
            use_cache=False,
            logits_to_keep=length - first,
        ).logits
        return [
            [self._score(logits[number], row, option, first) for option in row.options]
            for number, row in enumerate(rows)
        ]

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

    def _pack(self, choice: Choice) -> "_Row":
        prompt = self._tokens(choice.prompt)
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

    def answer(self, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
        """Greedy answers."""
        sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=max_new_tokens, presence_penalty=None, stop=())
        rows = [Row(self._tokens(prompt), "question", sampling, seed=0) for prompt in prompts]
        written = self._decoders[self._variant].write(rows)
        return [self._text([token for token in answer.tokens if token not in self._ends]) for answer in written]

    def _tokens(self, text: str) -> list[int]:
        # The template has written the special tokens already.
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _text(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))


class _Row(NamedTuple):
    """A prompt and its options in one row of tokens."""

    ids: list[int]
    positions: list[int]
    mask: torch.Tensor
    """True where a token (first axis) sees another; shape (length, length)."""
    prompt_length: int
    options: list[range]
    """The positions of each option's tokens."""
