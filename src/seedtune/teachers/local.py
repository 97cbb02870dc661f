"""A teacher run by transformers on this machine, a batch of requests at a time.

The same batch gives the same text on the same machine and versions: its random numbers are seeded by the run's seed and
the index of its first request.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from seedtune.config import LocalTeacherConfig, ModelConfig
from seedtune.models import EMBEDDED, EMBEDDED_TITLE, load_model, load_tokenizer
from seedtune.records import Reply, Request, Usage, content_id
from seedtune.teachers.protocol import NO_ACCOUNT, Account


class _Interrupted(StoppingCriteria):
    """Ends decoding at the next token once the event is set."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def __call__(self, input_ids: torch.LongTensor, *_: object, **__: object) -> Any:
        return torch.full((input_ids.shape[0],), self._event.is_set(), dtype=torch.bool, device=input_ids.device)


class LocalTeacher:
    """See :class:`seedtune.teachers.ChatTeacher`."""

    bulk = 1
    concurrency = 1
    status = ""

    def __init__(self, config: LocalTeacherConfig, seed: int) -> None:
        """Loads the model.

        Raises:
            ModelError: it cannot be loaded.
        """
        model = ModelConfig(name=config.model, dtype=config.dtype)
        self._config = config
        self._seed = seed
        self._tokenizer = load_tokenizer(model)
        self._tokenizer.padding_side = "left"
        self._model = load_model(model)
        self._stop = threading.Event()

    @property
    def name(self) -> str:
        """The model's name; the embedded one under its own."""
        return EMBEDDED_TITLE if self._config.model == EMBEDDED else self._config.model

    @property
    def batch_size(self) -> int:
        """Requests decoded together."""
        return self._config.batch_size

    async def complete(self, requests: Sequence[Request], account: Account = NO_ACCOUNT) -> list[Reply]:
        """Answer a batch in a thread, so that the loop stays awake."""
        account.sending(requests)
        replies = await asyncio.to_thread(self._generate, requests)
        if self._stop.is_set():
            raise asyncio.CancelledError
        return replies

    def interrupt(self) -> None:
        """Decoding stops at the next token; the batch is done again in the next session."""
        self._stop.set()

    async def close(self) -> None:
        """Nothing is held open."""

    @torch.inference_mode()
    def _generate(self, requests: Sequence[Request]) -> list[Reply]:
        start = time.monotonic()
        prompts = [
            str(
                self._tokenizer.apply_chat_template(
                    [message.model_dump() for message in request.messages], tokenize=False, add_generation_prompt=True
                )
            )
            + request.prefix
            for request in requests
        ]
        # The template has written the special tokens already.
        inputs = self._tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False).to(
            self._model.device
        )
        torch.manual_seed(int(content_id("batch", self._seed, requests[0].index), 16) % 2**63)
        sampling = self._config.sampling
        output = self._model.generate(  # pyright: ignore[reportCallIssue]
            **inputs,
            max_new_tokens=sampling.max_tokens,
            do_sample=sampling.temperature > 0,
            temperature=sampling.temperature or None,
            top_p=sampling.top_p if sampling.temperature > 0 else None,
            # Not transformers' default of 50: the config names every limit on sampling.
            top_k=0,
            pad_token_id=self._tokenizer.pad_token_id,
            stopping_criteria=StoppingCriteriaList([_Interrupted(self._stop)]),
        )
        seconds = round(time.monotonic() - start, 3)
        prompt_length = inputs["input_ids"].shape[1]
        return [
            self._reply(request, row[prompt_length:].tolist(), int(mask.sum()), seconds)
            for request, row, mask in zip(requests, output, inputs["attention_mask"], strict=True)
        ]

    def _reply(self, request: Request, tokens: list[int], prompt_tokens: int, seconds: float) -> Reply:
        settings: Any = self._model.generation_config
        ends: Any = settings.eos_token_id
        stops: list[Any] = [self._tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])]
        length = next((n for n, token in enumerate(tokens) if token in stops), None)
        return Reply(
            index=request.index,
            text=request.prefix + str(self._tokenizer.decode(tokens[:length], skip_special_tokens=True)),
            finish_reason="length" if length is None else "stop",
            usage=Usage(prompt_tokens=prompt_tokens, completion_tokens=len(tokens) if length is None else length + 1),
            seconds=seconds,
        )
