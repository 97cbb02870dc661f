"""A teacher behind any endpoint that speaks the OpenAI chat protocol.

Retries with exponential back-off, jitter and Retry-After are the openai SDK's. The key is read from the environment and
given to the SDK alone; it stands in no record, log or error.
"""

import logging
import os
import re
import time
from collections.abc import Sequence
from typing import Any

import openai
from openai.types.chat import ChatCompletion
from pydantic import BaseModel, ConfigDict, ValidationError

from seedtune.config import OpenAITeacherConfig
from seedtune.errors import TeacherError
from seedtune.records import Reply, Request, Usage
from seedtune.teachers.protocol import worst_case

logger = logging.getLogger(__name__)

_SHORTEST_SECRET = 8


class OpenAITeacher:
    """See :class:`seedtune.teachers.ChatTeacher`."""

    batch_size = 1

    def __init__(self, config: OpenAITeacherConfig, seed: int) -> None:
        """Makes no request.

        Raises:
            TeacherError: OpenAI itself is the endpoint and there is no key.
        """
        base_url = config.base_url or os.environ.get("OPENAI_BASE_URL")
        key = os.environ.get(config.api_key_env, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise TeacherError(f"{config.api_key_env} holds a character that no key has; copy the key again")
        if not key and base_url is None:
            raise TeacherError(
                f"the teacher needs a key: set the environment variable {config.api_key_env}, "
                "or teacher.base_url to an endpoint of your own"
            )
        self._config = config
        self._seed = seed
        self._key = key
        self._client = openai.AsyncOpenAI(
            # Servers of one's own (vLLM, Ollama) ask for no key, but the SDK wants a word.
            api_key=key or "none",
            base_url=base_url,
            timeout=config.timeout_s,
            max_retries=config.max_retries,
        )

    @property
    def name(self) -> str:
        """The model's name at the endpoint."""
        return self._config.model

    @property
    def concurrency(self) -> int:
        """Requests in flight at once."""
        return self._config.concurrency

    async def complete(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer one request."""
        return [await self._complete(request) for request in requests]

    def interrupt(self) -> None:
        """Requests in flight are paid for: they are left to end."""

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _complete(self, request: Request) -> Reply:
        start = time.monotonic()
        sampling = self._config.sampling
        options: dict[str, Any] = {
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            # Best effort at the endpoint; runs repeat from the journal, not from this.
            "seed": (self._seed * 1_000_003 + request.index) % 2**31,
            self._config.max_tokens_field: sampling.max_tokens,
        }
        if sampling.presence_penalty is not None:
            options["presence_penalty"] = sampling.presence_penalty
        try:
            completion: object = await self._client.chat.completions.create(model=self._config.model, **options)
        except (openai.BadRequestError, openai.UnprocessableEntityError) as problem:
            return self._refused(request, self._said(problem), start)
        except openai.OpenAIError as problem:
            raise self._fatal(problem) from problem
        except ValueError as problem:
            # The body was no JSON although the status was 200; the tokens may be paid all the same.
            return self._refused(request, f"the reply is not valid JSON: {problem}", start, paid=True)
        return self._read(request, completion, start)

    def _read(self, request: Request, completion: object, start: float) -> Reply:
        """The SDK checks no types of what an endpoint sends: each part is read by models of our own."""
        body = completion.model_dump(warnings=False) if isinstance(completion, ChatCompletion) else {}
        try:
            parsed = _Body.model_validate(body)
        except ValidationError:
            return self._refused(request, "the endpoint did not answer with a chat completion", start, paid=True)
        try:
            used = Usage.model_validate(parsed.usage, extra="ignore")
        except ValidationError:
            used = worst_case(request.messages, self._config.sampling.max_tokens)
        if not parsed.choices:
            return Reply(index=request.index, finish_reason="error", usage=used, error="the reply has no choices")
        choice = parsed.choices[0]
        return Reply(
            index=request.index,
            text=choice.message.content or "",
            finish_reason=choice.finish_reason or "stop",
            usage=used,
            error=self._without_key(choice.message.refusal or ""),
            seconds=round(time.monotonic() - start, 3),
        )

    def _refused(self, request: Request, error: str, start: float, paid: bool = False) -> Reply:
        worst = worst_case(request.messages, self._config.sampling.max_tokens)
        return Reply(
            index=request.index,
            finish_reason="error",
            usage=worst if paid else Usage(prompt_tokens=0, completion_tokens=0),
            error=error,
            seconds=round(time.monotonic() - start, 3),
        )

    def _fatal(self, problem: openai.OpenAIError) -> TeacherError:
        where, said = f"the teacher at {_without_password(self._client.base_url)}", self._said(problem)
        key, model = self._config.api_key_env, self._config.model
        if isinstance(problem, openai.APIStatusError) and problem.status_code in (401, 403, 404, 429):
            what, mend = {
                401: ("refuses the key", f"Set {key} to a valid key"),
                403: ("denies access", f"Ask for access to {model}, or use another key"),
                404: (
                    f"does not know the model '{model}' or the address",
                    "Check teacher.model and teacher.base_url (it usually ends in /v1)",
                ),
                429: (
                    f"still says 'too many requests' after {self._config.max_retries} retries",
                    "Lower teacher.concurrency, or check your quota; run again to go on",
                ),
            }[problem.status_code]
            return TeacherError(f"{where} {what} ({problem.status_code}): {said}\n{mend}", turned_away=True)
        if isinstance(problem, openai.APITimeoutError):
            return TeacherError(
                f"{where} did not answer within {self._config.timeout_s:g} s; set teacher.timeout_s higher"
            )
        if isinstance(problem, openai.APIConnectionError):
            cause = problem.__cause__ or problem
            reason = self._without_key(str(cause)) or type(cause).__name__
            return TeacherError(
                f"{where} cannot be reached: {reason}\nSet teacher.base_url or OPENAI_BASE_URL; run again to go on",
                # Without a connection nothing was asked for, so nothing is paid.
                turned_away=type(cause).__name__ in ("ConnectError", "ConnectTimeout"),
            )
        return TeacherError(f"{where} failed: {said}; run again to go on")

    def _said(self, problem: openai.OpenAIError) -> str:
        """The endpoint's own words, in one short line, without the key that some endpoints repeat."""
        body: Any = problem.body if isinstance(problem, openai.APIError) else None
        message = body.get("message") if isinstance(body, dict) else None
        return self._without_key(" ".join(str(message or problem).split()))[:300]

    def _without_key(self, text: str) -> str:
        # A placeholder such as "none" is no secret, and its letters stand in many words.
        return text.replace(self._key, "[key]") if len(self._key) >= _SHORTEST_SECRET else text


class _Part(BaseModel):
    """A part of the endpoint's answer; what else stands in it is ignored."""

    model_config = ConfigDict(extra="ignore")


class _Message(_Part):
    content: str | None = None
    refusal: str | None = None


class _Choice(_Part):
    message: _Message
    finish_reason: str | None = None


class _Body(_Part):
    choices: list[_Choice] | None = None
    usage: Any = None


def _without_password(url: object) -> str:
    return re.sub(r"//[^/@]*@", "//", str(url))
