"""Run a student model, with and without its adapter.

The options of a question are scored in one row: each attends to the prompt and to itself, not to the others, and its
positions go on from the prompt's end. That is the same arithmetic as one row per option, for a quarter of the tokens;
a test compares the two.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from peft import PeftConfig, PeftModelForCausalLM
from safetensors import SafetensorError

from seedtune import models
from seedtune.config import ModelConfig
from seedtune.errors import EvaluationError

Variant = Literal["base", "tuned"]


class Choice(NamedTuple):
    """A question and its possible continuations."""

    question: str
    options: tuple[str, ...]


class Student:
    """A base model and its adapter, loaded once."""

    def __init__(self, config: ModelConfig, adapter: Path, system: str | None) -> None:
        """Load both.

        Raises:
            ModelError: the base cannot be loaded.
            EvaluationError: the adapter does not fit the base.
        """
        self._tokenizer = models.load_tokenizer(config)
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
        self._system = system

    @contextmanager
    def variant(self, name: Variant) -> Generator[None]:
        """Within it the model answers as the base or as the tuned model."""
        with self._model.disable_adapter() if name == "base" else nullcontext():
            yield

    def check_adapter(self, question: str) -> None:
        """Make sure that the adapter is applied.

        Raises:
            EvaluationError: base and tuned model give the very same scores.
        """
        choice = [Choice(question, ("Yes", "No"))]
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
        """Log-likelihood, in nats, of each option as the answer to its question; shape (choices, options)."""
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
        logits = self._model(input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False).logits
        return [[self._score(logits[number], row, option) for option in row.options] for number, row in enumerate(rows)]

    def _score(self, logits: torch.Tensor, row: "_Row", option: range) -> float:
        """Sum of the log-probabilities of an option's tokens, each predicted from the one before it."""
        before = torch.tensor([row.prompt_length - 1, *option[:-1]], device=logits.device)
        tokens = torch.tensor([row.ids[position] for position in option], device=logits.device)
        log_probs = torch.log_softmax(logits[before].float(), dim=-1)
        return float(log_probs.gather(1, tokens[:, None]).sum())

    def _pack(self, choice: Choice) -> "_Row":
        prompt = self._tokenizer(self._prompt(choice.question), add_special_tokens=False)["input_ids"]
        ids, positions, options = list(prompt), list(range(len(prompt))), list[range]()
        for option in choice.options:
            tokens = self._tokenizer(option, add_special_tokens=False)["input_ids"]
            options.append(range(len(ids), len(ids) + len(tokens)))
            ids += tokens
            positions += range(len(prompt), len(prompt) + len(tokens))
        mask = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
        for option in options:
            mask[option.start :, len(prompt) : option.start] = False
        return _Row(ids, positions, mask, len(prompt), options)

    @torch.inference_mode()
    def answer(self, questions: Sequence[str], max_new_tokens: int) -> list[str]:
        """Greedy answers."""
        self._tokenizer.padding_side = "left"
        inputs = self._tokenizer(
            [self._prompt(question) for question in questions],
            return_tensors="pt",
            padding=True,
            add_special_tokens=False,
        ).to(self._model.device)
        output = self._model.generate(
            **inputs, max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=self._tokenizer.pad_token_id
        )
        return self._tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)

    def _prompt(self, question: str) -> str:
        turns = [{"role": "system", "content": self._system}] if self._system else []
        messages = [*turns, {"role": "user", "content": question}]
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


class _Row(NamedTuple):
    """A prompt and its options in one row of tokens."""

    ids: list[int]
    positions: list[int]
    mask: torch.Tensor
    """True where a token (first axis) sees another; shape (length, length)."""
    prompt_length: int
    options: list[range]
    """The positions of each option's tokens."""
