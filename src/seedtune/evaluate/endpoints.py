"""Ask models behind OpenAI-compatible endpoints.

Written answers go through :mod:`seedtune.teachers`, with its pace, its retries and its books. The log-likelihoods of
options need ``/completions`` with ``echo`` and ``logprobs`` (vLLM has it) and the model's tokenizer: prompt and options
are sent as tokens, all options of a question in one request, so that each number belongs to a known token.

An endpoint that never answers stops the evaluation: its address or its key is wrong. One that answered before and fails
now leaves errors in the place of answers.
"""

import asyncio
import itertools
import json
import logging
import math
import os
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import openai
from openai.types import CompletionChoice

from seedtune.config import EndpointRivalConfig, LimitsConfig
from seedtune.config.evaluate import SpendingConfig
from seedtune.errors import LimitReached, TeacherError
from seedtune.evaluate.asking import Ask, Keep
from seedtune.evaluate.subjects import Endpoint
from seedtune.records import Answer, Decoding, Message, Request, Usage
from seedtune.teachers import Forbidden, make_teacher, worst_case
from seedtune.teachers.ledger import Ledger

if TYPE_CHECKING:
    from seedtune.evaluate.inference import Chat

logger = logging.getLogger(__name__)

_SILENT_S = 30
"""After so long without an answer it is said that there is none."""


def conversation(turns: Sequence[Message]) -> str:
    """A chat as text, to know an endpoint's answer by: the endpoint writes its own template around it."""
    return json.dumps([turn.model_dump() for turn in turns], ensure_ascii=False)


class Books:
    """What all endpoints have used, over all sessions, held against the limits. Each is an account of its own."""

    def __init__(self, limits: SpendingConfig, rivals: Sequence[Endpoint], known: Sequence[Answer]) -> None:
        """Opens the books.

        Args:
            limits: Of all endpoints together.
            rivals: Those that may be asked.
            known: Answers of earlier sessions, with what was charged for them.

        Raises:
            ConfigError: prices in different currencies.
        """
        whole = LimitsConfig(max_cost=limits.max_cost, max_tokens=limits.max_tokens)
        self.ledger = Ledger(whole, {rival.name: rival.config.prices for rival in rivals})
        names = {rival.name for rival in rivals}
        for answer in known:
            if answer.usage is not None and answer.model in names:
                self.ledger.settle(-1, answer.usage, answer.model)
        self._opened = 0

    def numbers(self, count: int) -> range:
        """Numbers for so many requests, which no other endpoint's have."""
        start, self._opened = self._opened, self._opened + count
        return range(start, self._opened)

    def reserve(self, number: int, worst: Usage, who: str) -> None:
        """Set an attempt's worst case aside.

        Raises:
            Forbidden: a limit could be passed.
        """
        if self.ledger.blocked_by(worst, who):
            raise Forbidden
        self.ledger.reserve(number, worst, who)

    def stopped(self) -> LimitReached:
        """To be raised where nothing more may be sent, ever."""
        spent = self.ledger
        cost = "" if spent.cost is None else f", {spent.cost:.2f} in money"
        return LimitReached(
            "budget",
            f"evaluate.limits: the next question could pass them ({spent.tokens:,} tokens used{cost}); "
            "raise them and run again to go on",
        )


class _Account:
    """The books of one endpoint, as a teacher sees them (:class:`seedtune.teachers.protocol.Account`)."""

    def __init__(self, books: Books, rival: Endpoint) -> None:
        self._books = books
        self._rival = rival

    def sending(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self._books.reserve(request.index, worst_case(request, self._rival.config.sampling), self._rival.name)

    def failed(self, requests: Sequence[Request], why: str, paid: bool) -> None:
        for request in requests:
            (self._books.ledger.lose if paid else self._books.ledger.release)(request.index)

    def keep(self, requests: Sequence[Request], ticket: str) -> None:
        pass

    def kept(self, requests: Sequence[Request]) -> str:
        return ""


class Asking:
    """What is left to ask of one endpoint."""

    def __init__(self, rival: Endpoint, asks: Sequence[Ask], books: Books, keep: Keep, seed: int) -> None:
        """Sends nothing yet.

        Args:
            rival: The endpoint.
            asks: Its questions.
            books: Of all endpoints.
            keep: Gets the answers as they come, in whatever order.
            seed: Of the run.
        """
        self._rival, self._books, self._keep, self._seed = rival, books, keep, seed
        self._asks = dict(zip(books.numbers(len(asks)), asks, strict=True))
        self._answered = False

    def run(self, chat: "Chat | None", answered_before: bool) -> None:
        """Ask all; where the endpoint fails half-way, what is left has errors for answers.

        Args:
            chat: The model's tokenizer, where log-likelihoods are asked. An endpoint that turns out to give none is
                not asked for any: those answers stay away.
            answered_before: In an earlier session: it is there, and its failing is its own.

        Raises:
            TeacherError: the endpoint has never answered.
            LimitReached: ``evaluate.limits``.
        """
        self._answered = answered_before
        written = {number: ask for number, ask in self._asks.items() if ask.method == "generate"}
        scored = {number: ask for number, ask in self._asks.items() if ask.method == "loglikelihood"}
        try:
            asyncio.run(self._ask_in_writing(written))
            if chat is not None and scored:
                asyncio.run(self._ask_for_scores(scored, chat))
        except TeacherError as problem:
            raise TeacherError(self._renamed(str(problem))) from problem

    async def _ask_in_writing(self, asks: Mapping[int, Ask]) -> None:
        teacher = make_teacher(self._rival.config, self._seed)
        account = _Account(self._books, self._rival)

        async def answer(number: int, ask: Ask) -> Answer:
            [reply] = await teacher.complete([_request(number, ask)], account)
            self._books.ledger.settle(number, reply.usage, self._rival.name)
            if reply.finish_reason == "error":
                return ask.answer(error=self._renamed(reply.error), usage=reply.usage)
            # What an endpoint calls a refusal is an answer of the model.
            return ask.answer(reply.text or reply.error, usage=reply.usage)

        try:
            if asks and not self._answered:
                number = max(asks, key=lambda number: len(asks[number].prompt))
                await teacher.check(_request(number, asks[number]))
            await self._gather(asks, answer, lambda: teacher.concurrency)
        finally:
            await teacher.close()

    async def _ask_for_scores(self, asks: Mapping[int, Ask], chat: "Chat") -> None:
        scorer = Scorer(self._rival.config, chat)

        async def scored(number: int, ask: Ask) -> Answer:
            worst = scorer.usage(ask)
            self._books.reserve(number, worst, self._rival.name)
            scores = await scorer.scores(ask)
            self._books.ledger.settle(number, worst, self._rival.name)
            return ask.answer(scores=scores, usage=worst)

        async def answer(number: int, ask: Ask) -> Answer:
            try:
                return await scored(number, ask)
            except NotScored as problem:
                # It scores others: this one may be too long for it.
                self._books.ledger.release(number)
                return ask.answer(error=str(problem))

        try:
            # A short one tells whether it scores at all.
            first, *rest = sorted(asks, key=lambda number: len(asks[number].prompt))
            try:
                await self._gather({first: asks[first]}, scored, lambda: 1)
            except NotScored as problem:
                logger.warning("evaluate: %s is asked in writing only: %s", self._rival.name, problem)
                return
            await self._gather({number: asks[number] for number in rest}, answer, lambda: scorer.concurrency)
        finally:
            await scorer.close()

    async def _gather(
        self, asks: Mapping[int, Ask], answer: Callable[[int, Ask], Awaitable[Answer]], room: Callable[[], int]
    ) -> None:
        """Ask several at a time, and keep each answer as it comes."""
        left, running = deque(asks), dict[asyncio.Future[Answer], int]()
        is_held, failure = False, None
        try:
            while left or running:
                while left and len(running) < room() and not is_held:
                    number = left.popleft()
                    running[asyncio.ensure_future(answer(number, asks[number]))] = number
                done, _ = await asyncio.wait(running, timeout=_SILENT_S, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    logger.info("evaluate: %s has not answered for %d s", self._rival.name, _SILENT_S)
                for future in done:
                    number, problem = running.pop(future), future.exception()
                    if isinstance(problem, Forbidden | TeacherError):
                        left.appendleft(number)
                        # What is under way may take less than its worst case.
                        is_held = isinstance(problem, Forbidden)
                        failure = failure or (None if is_held else problem)
                        continue
                    is_held, found = False, future.result()
                    self._answered = self._answered or not found.error
                    self._keep([found])
                if failure is not None:
                    raise failure
                if is_held and not running:
                    raise self._books.stopped()
        except TeacherError as problem:
            if not self._answered:
                raise
            logger.warning("evaluate: %s: %s", self._rival.name, self._renamed(str(problem)))
            lost = [asks[number] for number in [*running.values(), *left]]
            self._keep([ask.answer(error=str(problem).splitlines()[0]) for ask in lost])
        finally:
            for future in running:
                future.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _renamed(self, message: str) -> str:
        """A teacher's complaint in the words of an evaluation's config."""
        name = self._rival.name
        key = "evaluate.judge" if name == "judge" else f"evaluate.models.{name}"
        return message.replace("the teacher", f"the model {name}").replace("teacher.", f"{key}.")


def _request(number: int, ask: Ask) -> Request:
    question = ask.question
    decoding = Decoding(temperature=question.temperature, top_p=1.0, max_tokens=question.max_new_tokens)
    return Request(index=number, pack=ask.suite, parents=(), messages=question.turns, decoding=decoding)


class NotScored(Exception):  # noqa: N818 (nothing is wrong: the suite is asked in writing alone)
    """The endpoint gives no log-likelihoods of what it is told."""


class Scorer:
    """Log-likelihoods by ``/completions``."""

    def __init__(self, config: EndpointRivalConfig, chat: "Chat") -> None:
        """Sends nothing yet."""
        self._model, self._tokenizer = config.model, chat.tokenizer
        addresses = config.reached_at or (None,)
        self.concurrency = config.concurrency * len(addresses)
        self._clients = [
            openai.AsyncOpenAI(
                api_key=os.environ.get(config.api_key_env, "").strip() or "none",
                base_url=address,
                timeout=config.timeout_s,
                max_retries=config.max_retries,
            )
            for address in addresses
        ]
        self._turn = itertools.cycle(self._clients)

    def usage(self, ask: Ask) -> Usage:
        """What a question takes: its prompt once for each option, and one token that nobody wants."""
        prompt, options = self._tokens_of(ask)
        tokens = sum(len(prompt) + len(option) for option in options)
        return Usage(prompt_tokens=tokens, completion_tokens=len(options))

    async def scores(self, ask: Ask) -> list[float]:
        """Log-likelihood, in nats, of each option as what follows the prompt.

        Raises:
            NotScored: the endpoint cannot.
            TeacherError: it did not answer.
        """
        prompt, options = self._tokens_of(ask)
        try:
            completion = await next(self._turn).completions.create(
                model=self._model,
                prompt=[[*prompt, *option] for option in options],
                echo=True,
                logprobs=1,
                max_tokens=1,
                temperature=0,
            )
        except (openai.BadRequestError, openai.NotFoundError, openai.UnprocessableEntityError) as problem:
            raise NotScored(f"/completions refuses echo with logprobs: {problem.message[:200]}") from problem
        except openai.OpenAIError as problem:
            raise TeacherError(f"the teacher did not score a question: {problem}; run again to go on") from problem
        # No SDK checks its types: what stands between may have answered with a page of its own.
        choices: list[CompletionChoice] = getattr(completion, "choices", [])
        if len(choices) != len(options):
            raise NotScored(f"/completions gives no {len(options)} choices for as many prompts")
        found: list[float] = []
        for choice, option in zip(sorted(choices, key=lambda choice: choice.index), options, strict=True):
            numbers: list[Any] = (choice.logprobs.token_logprobs if choice.logprobs else None) or []
            scored = numbers[len(prompt) : len(prompt) + len(option)]
            if len(scored) < len(option) or not all(isinstance(number, float | int) for number in scored):
                raise NotScored("/completions gives no logprobs of the prompt (echo)")
            found.append(math.fsum(scored))
        return found

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.close()

    def _tokens_of(self, ask: Ask) -> tuple[list[int], list[list[int]]]:
        # The template has written the special tokens already.
        texts = [ask.prompt, *ask.question.options]
        prompt, *options = [list(self._tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
        return prompt, options
