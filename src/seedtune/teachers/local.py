"""A teacher run by transformers on this machine.

It decodes either a batch of requests at a time, and the same batch gives the same text on the same machine and
versions; or continuously, where the next request takes the place of one that has ended, and a text may change with its
neighbours, by rounding. The random numbers of a reply follow from the run's seed and the index of its request.
"""

import asyncio
import math
import threading
import time
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from seedtune.config import LocalTeacherConfig, ModelConfig
from seedtune.errors import ModelError, TeacherError
from seedtune.models import EMBEDDED, EMBEDDED_TITLE, chat_text, end_tokens, load_model, load_tokenizer
from seedtune.records import Reply, Request, Usage, content_id
from seedtune.teachers.decoding import Decoder, Row, Writing
from seedtune.teachers.engine import Engine, write
from seedtune.teachers.failures import TOO_LONG
from seedtune.teachers.protocol import NO_ACCOUNT, Account, block_of, sampling_of
from seedtune.teachers.replies import error_reply


class LocalTeacher:
    """See :class:`seedtune.teachers.ChatTeacher`."""

    bulk = 1
    structured = False
    status = ""

    def __init__(self, config: LocalTeacherConfig, seed: int) -> None:
        """Loads the model.

        Raises:
            ModelError: it cannot be loaded, or it is of a kind that cannot be decoded here.
        """
        model = ModelConfig(name=config.model, dtype=config.dtype)
        self._config = config
        self._seed = seed
        self._tokenizer = load_tokenizer(model)
        loaded = load_model(model)
        if not all(isinstance(layer, DynamicLayer) for layer in DynamicCache(config=loaded.config).layers):
            raise ModelError(
                f"{config.model}: not all of its layers keep keys and values (linear attention?), which the local "
                "teacher needs; serve it with vLLM, and set teacher.type=openai and teacher.base_url"
            )
        self._ends = end_tokens(loaded, self._tokenizer)
        self._window: int | None = loaded.config.get_text_config().to_dict().get("max_position_embeddings")
        self._decoder = Decoder(loaded, self._ends, self._text)
        self._stop = threading.Event()
        self.batch_size = block_of(config)
        is_continuous = self.batch_size < config.batch_size
        # A few wait already when a place becomes free: to record a reply takes the loop as long as a token or more.
        self.concurrency = config.batch_size + math.ceil(config.batch_size / 8) if is_continuous else 1
        self._engine = Engine(self._decoder, config.batch_size, self._stop) if is_continuous else None

    @property
    def name(self) -> str:
        """The model's name; the embedded one under its own."""
        return EMBEDDED_TITLE if self._config.model == EMBEDDED else self._config.model

    async def check(self, request: Request) -> None:
        """Count the request's tokens."""
        if problem := self._too_long(self._row(request)):
            raise TeacherError(problem)

    async def complete(self, requests: Sequence[Request], account: Account = NO_ACCOUNT) -> list[Reply]:
        """Answer requests in a thread, so that the loop stays awake."""
        account.sending(requests)
        start = time.monotonic()
        rows = [self._row(request) for request in requests]
        problems = [self._too_long(row) for row in rows]
        sound = [row for row, problem in zip(rows, problems, strict=True) if not problem]
        try:
            writings = await self._write(sound)
        except torch.OutOfMemoryError as problem:
            raise TeacherError(
                f"{self._config.batch_size} requests at once do not fit into the GPU's memory; "
                "lower teacher.batch_size or teacher.sampling.max_tokens"
            ) from problem
        if not all(writing.is_over for writing in writings):
            raise asyncio.CancelledError
        written = iter(writings)
        seconds = round(time.monotonic() - start, 3)
        return [
            error_reply(request, problem) if problem else self._reply(request, next(written), seconds)
            for request, problem in zip(requests, problems, strict=True)
        ]

    def interrupt(self) -> None:
        """Decoding stops at the next token; what is not over is done again in the next session."""
        self._stop.set()

    async def close(self) -> None:
        """Decoding stops, if something is still decoded that nobody waits for."""
        self._stop.set()

    async def _write(self, rows: Sequence[Row]) -> list[Writing]:
        if self._engine is None:
            return await asyncio.to_thread(write, self._decoder, rows, self._stop.is_set)
        return list(await asyncio.gather(*(asyncio.wrap_future(self._engine.write(row)) for row in rows)))

    def _row(self, request: Request) -> Row:
        text = chat_text(self._tokenizer, [turn.model_dump() for turn in request.messages])
        # The template has written the special tokens already.
        encoded: Any = self._tokenizer(f"{text}{request.prefix}", add_special_tokens=False)
        return Row(
            prompt=encoded["input_ids"],
            family=(request.pack, request.step),
            sampling=sampling_of(request, self._config.sampling),
            seed=int(content_id("reply", self._seed, request.index), 16) % 2**63,
        )

    def _too_long(self, row: Row) -> str:
        """By how much a request exceeds the model's context window, and what to do; empty where it fits."""
        prompt, reply = len(row.prompt), row.sampling.max_tokens
        if self._window is None or prompt + reply <= self._window:
            return ""
        return (
            f"a request has {prompt:,} tokens and its reply up to {reply:,}: "
            f"{prompt + reply - self._window:,} more than the context window of {self._window:,}. {TOO_LONG}"
        )

    def _reply(self, request: Request, writing: Writing, seconds: float) -> Reply:
        row, tokens = writing.row, writing.tokens
        text = self._text(tokens[:-1] if tokens[-1] in self._ends else tokens)
        for stop in row.sampling.stop:
            text = text.partition(stop)[0]
        return Reply(
            index=request.index,
            text=request.prefix + text,
            finish_reason="stop" if writing.ended else "length",
            usage=Usage(prompt_tokens=len(row.prompt), completion_tokens=len(tokens)),
            seconds=seconds,
        )

    def _text(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))
