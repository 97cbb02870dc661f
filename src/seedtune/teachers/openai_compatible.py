"""A teacher behind any endpoint that speaks the OpenAI chat protocol, at one address or at several.

The openai SDK sends; when to send, and whether to send again, is decided here, so that each attempt is on the books
before it leaves. The key is read from the environment and given to the SDK alone; it stands in no record, log or error.
"""

import asyncio
import json
import logging
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import openai

from seedtune.config import OpenAITeacherConfig
from seedtune.errors import TeacherError
from seedtune.records import Reply, Request
from seedtune.teachers.batches import Batches
from seedtune.teachers.endpoints import Clock, Endpoint, Endpoints, Place
from seedtune.teachers.failures import Diagnosis, Failure, without_password
from seedtune.teachers.listing import BYTES_PER_TOKEN, check_models, check_window
from seedtune.teachers.pacing import Pacer
from seedtune.teachers.protocol import NO_ACCOUNT, Account, NotStructured, prompt_bytes, sampling_of, worst_case
from seedtune.teachers.replies import error_reply, is_known, read_completion
from seedtune.teachers.structure import Structure, is_unstructured, response_format

logger = logging.getLogger(__name__)

_CONNECT_S = 20.0
_REQUESTS_PER_CLIENT, _MOST_CLIENTS = 8, 16


class OpenAITeacher:
    """See :class:`seedtune.teachers.ChatTeacher`."""

    batch_size = 1

    def __init__(self, config: OpenAITeacherConfig, seed: int, clock: Clock | None = None) -> None:
        """Makes no request.

        Raises:
            TeacherError: OpenAI itself is the endpoint and there is no key, or an address is none.
        """
        self._config = config
        self._seed = seed
        self._clock = clock or Clock()
        key = _key(config)
        self._diagnosis = Diagnosis(config, key)
        draw = random.Random(f"{seed}/jitter").random
        self._endpoints = Endpoints([self._endpoint(url, key, draw) for url in _addresses(config, key)], self._clock)
        self._structure = Structure(config.structured_output)
        self._batches = Batches(
            config, self._endpoints.members[0], self._diagnosis, self._structure, self._body, self._read, self._clock
        )
        self._warned: set[str] = set()
        self._answers = 0
        self._failing_since: float | None = None
        self._resting = 0
        self._failures: Counter[str] = Counter()

    @property
    def name(self) -> str:
        """The model's name at the endpoint."""
        return self._config.model

    @property
    def bulk(self) -> int:
        """Requests in a batch at most, or one."""
        return self._batches.size if self._config.transport == "batch" else 1

    @property
    def concurrency(self) -> int:
        """What the endpoints bear now, and as many as rest before they are sent again; or batches."""
        if self._config.transport == "batch":
            return self._config.concurrency
        return min(self._endpoints.room + self._resting, self._config.concurrency * len(self._endpoints.members))

    @property
    def structured(self) -> bool:
        """Whether the endpoint gives replies by a schema, as far as is known."""
        return self._structure.offered

    @property
    def status(self) -> str:
        """Window and failures, or how far the batches are."""
        if self._batches.status or self._config.transport == "batch":
            return self._batches.status
        pacers = [member.pacer for member in self._endpoints.members]
        down = sum(pacer.broken for pacer in pacers)
        rest = min(pacer.rest_s for pacer in pacers)
        parts = [f"window {sum(pacer.window for pacer in pacers)}"]
        parts += [f"{down} of {len(pacers)} addresses down"] if down else []
        parts += [f"resting {rest:.0f} s"] if rest >= 1 else []
        return ", ".join([*parts, *(f"{count} x {why}" for why, count in self._failures.most_common())])

    async def check(self, request: Request) -> None:
        """Ask each address for its models. One that has no such list, or is not there yet, is passed over."""
        windows = [await check_models(member, self._config, self._diagnosis) for member in self._endpoints.members]
        known = [window for window in windows if window is not None]
        window = self._config.context_window or min(known, default=None)
        if window is not None:
            check_window(request, sampling_of(request, self._config.sampling).max_tokens, window)

    async def complete(self, requests: Sequence[Request], account: Account = NO_ACCOUNT) -> list[Reply]:
        """Answer requests one after another, or as a batch; a batch of an earlier session is fetched either way."""
        if self._config.transport == "batch" or account.kept(requests):
            return await self._batches.complete(requests, account)
        replies: list[Reply] = []
        for request in requests:
            try:
                replies.append(await self._answer(request, account))
            except NotStructured:
                logger.debug("request %d is to be drawn again as text", request.index)
        if requests and not replies:
            raise NotStructured
        return replies

    def interrupt(self) -> None:
        """Requests in flight are paid for and left to end; a batch can be fetched later."""
        self._batches.interrupt()

    async def close(self) -> None:
        """Close the connections."""
        for member in self._endpoints.members:
            for client in member.clients:
                await client.close()

    def _endpoint(self, url: str | None, key: str, draw: Any) -> Endpoint:
        config = self._config
        clients = tuple(
            openai.AsyncOpenAI(
                # Servers of one's own (vLLM, Ollama) ask for no key, but the SDK wants a word.
                api_key=key or "none",
                base_url=url,
                timeout=openai.Timeout(config.timeout_s, connect=min(config.timeout_s, _CONNECT_S)),
                max_retries=0,
            )
            for _ in range(min(_MOST_CLIENTS, -(-config.concurrency // _REQUESTS_PER_CLIENT)))
        )
        pacer = Pacer(config.concurrency, self._clock.now, draw, config.rpm, config.tpm)
        return Endpoint(without_password(clients[0].base_url), clients, pacer)

    def _body(self, request: Request) -> dict[str, Any]:
        sampling = sampling_of(request, self._config.sampling)
        body: dict[str, Any] = {
            "model": self._config.model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            # Best effort at the endpoint; runs repeat from the journal, not from this.
            "seed": (self._seed * 1_000_003 + request.index) % 2**31,
            self._config.max_tokens_field: sampling.max_tokens,
        }
        if sampling.presence_penalty is not None:
            body["presence_penalty"] = sampling.presence_penalty
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        body |= response_format(request) | (self._config.extra_body or {})
        return {name: value for name, value in body.items() if value is not None}

    async def _answer(self, request: Request, account: Account) -> Reply:
        """Send until there is a reply, as often as makes sense."""
        sampling = sampling_of(request, self._config.sampling)
        expected = prompt_bytes(request) // BYTES_PER_TOKEN + sampling.max_tokens
        failures, answers_before = 0, 0
        avoid: Endpoint | None = None
        start: float | None = None
        while True:
            with await self._endpoints.place(request.index, expected, avoid) as place:
                start = start or time.monotonic()
                outcome = await self._attempt(place, request, account)
            if isinstance(outcome, Reply):
                return outcome.model_copy(update={"seconds": round(time.monotonic() - start, 3)})
            answers_before = answers_before if failures else self._answers
            failures += 1
            if self._gives_up(outcome, failures, others_answered=self._answers > answers_before):
                return error_reply(request, f"given up after {failures} attempts: {outcome.why}")
            avoid = place.endpoint
            if outcome.kind != "busy":
                await self._rest(place.endpoint.pacer.jitter_s(failures - 1))

    async def _attempt(self, place: Place, request: Request, account: Account) -> Reply | Failure:
        if not self._structure.admits(request):
            raise NotStructured
        account.sending([request])
        try:
            async with asyncio.timeout(self._config.timeout_s):
                answer = await place.client.post(
                    # The bytes, not what the SDK makes of them: it checks no types, and that takes a while.
                    "/chat/completions",
                    body=self._body(request),
                    cast_to=openai.HttpxBinaryResponseContent,
                )
            body: object = json.loads(answer.content)
        except (openai.OpenAIError, TimeoutError, ValueError, RecursionError) as problem:
            failure = self._diagnosis.of(problem, place.endpoint.url)
            place.failed(failure)
            if failure.kind in ("refused", "unstructured"):
                self._heard()
                return self._refused(failure, request, place.endpoint.url, account)
            self._failures[failure.why] += 1
            account.failed([request], failure.why, failure.paid)
            return failure
        reply = self._read(body, request)
        place.answered(reply.usage)
        self._structure.given(request)
        self._heard()
        return reply

    def _read(self, body: object, request: Request) -> Reply:
        """The reply in the body of a completion."""
        sampling = self._config.sampling
        reply = read_completion(body, request, worst_case(request, sampling))
        most = sampling_of(request, sampling).max_tokens
        if not is_known(reply.finish_reason):
            self._warn(
                "finish_reason",
                f"the finish_reason of a reply is '{reply.finish_reason}', which is no known word for an end: the task "
                "that such a reply ends with is dropped, and the reply counted under broken_off in funnel.json",
            )
        if reply.usage.completion_tokens > most:
            self._warn(
                "usage",
                f"a reply used {reply.usage.completion_tokens:,} tokens, with {self._config.max_tokens_field} = "
                f"{most:,}: something is not counted under it, such as reasoning, nor in what limits.max_cost and "
                "max_tokens set aside, so they may be passed. Try teacher.max_tokens_field=max_completion_tokens",
            )
        return reply.model_copy(update={"error": self._diagnosis.without_key(reply.error)}) if reply.error else reply

    def _warn(self, what: str, words: str) -> None:
        """Once for each thing."""
        if what not in self._warned:
            self._warned.add(what)
            logger.warning("the teacher %s: %s", self._config.model, self._diagnosis.without_key(words))

    def _refused(self, failure: Failure, request: Request, url: str, account: Account) -> Reply:
        if not is_unstructured(failure, request):
            return error_reply(request, failure.message)
        account.failed([request], "no structured output", paid=False)
        self._structure.give_up(failure, url)
        raise NotStructured

    def _heard(self) -> None:
        self._answers += 1
        self._failing_since = None

    def _gives_up(self, failure: Failure, failures: int, others_answered: bool) -> bool:
        """Whether the fault is this one request's, so that it is given up and the run goes on.

        Args:
            failure: Of its last attempt.
            failures: Attempts at it so far.
            others_answered: Other requests were answered since its first failure.

        Raises:
            TeacherError: nothing more can be had from the endpoints.
        """
        config, now = self._config, self._clock.now()
        self._failing_since = now if self._failing_since is None else self._failing_since
        silence_s = max(now - self._failing_since, min(member.pacer.rest_s for member in self._endpoints.members))
        if failure.kind == "fatal" or (config.max_retries == 0 and failure.kind != "broken"):
            raise TeacherError(failure.message)
        if silence_s > config.give_up_after_s:
            words = f"nothing came for, or the endpoint asks to wait, {silence_s:.0f} s"
            raise TeacherError(f"{failure.message}\nStopped: {words} (teacher.give_up_after_s)")
        if failures <= config.max_retries:
            return False
        if failure.kind == "broken" or (failure.paid and others_answered):
            return True
        if not self._answers and failure.kind != "busy":
            raise TeacherError(f"{failure.message}\nNothing came of {failures} attempts")
        return False

    async def _rest(self, seconds: float) -> None:
        self._resting += 1
        try:
            await self._clock.sleep(seconds)
        finally:
            self._resting -= 1


def _key(config: OpenAITeacherConfig) -> str:
    key = os.environ.get(config.api_key_env, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise TeacherError(f"{config.api_key_env} holds a character that no key has; copy the key again")
    return key


def _addresses(config: OpenAITeacherConfig, key: str) -> tuple[str | None, ...]:
    """None is OpenAI's own, for the SDK to fill in."""
    addresses = config.reached_at
    for address in addresses:
        try:
            sound = urlsplit(address).scheme in ("http", "https") and urlsplit(address).hostname
        except ValueError:
            sound = False
        if not sound:
            shown = without_password(address)
            raise TeacherError(f"teacher.base_url: {shown!r} is no address; expected one such as http://host:8000/v1")
    if not key and not addresses:
        raise TeacherError(
            f"the teacher needs a key: set the environment variable {config.api_key_env}, "
            "or teacher.base_url to an endpoint of your own"
        )
    return addresses or (None,)
