"""A teacher behind any endpoint that speaks the OpenAI chat protocol.

Retries with exponential back-off, jitter and Retry-After are the openai SDK's. The key is read from the environment and
given to the SDK alone; it stands in no record, log or error.
"""

import logging
import os
import time
from collections.abc import Sequence
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from seedtune.config import OpenAITeacherConfig
from seedtune.errors import TeacherError
from seedtune.records import Reply, Request, Usage
from seedtune.teachers.protocol import worst_case

logger = logging.getLogger(__name__)


class OpenAITeacher:
    """See :class:`seedtune.teachers.ChatTeacher`."""

    batch_size = 1

    def __init__(self, config: OpenAITeacherConfig, seed: int) -> None:
        """Makes no request.

        Raises:
            TeacherError: OpenAI itself is the endpoint and there is no key.
        """
        base_url = config.base_url or os.environ.get("OPENAI_BASE_URL")
        key = os.environ.get(config.api_key_env)
        if not key and base_url is None:
            raise TeacherError(
                f"the teacher needs a key: set the environment variable {config.api_key_env}, "
                "or teacher.base_url to an endpoint of your own"
            )
        self._config = config
        self._seed = seed
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
            return self._refused(request, _said(problem), start)
        except openai.OpenAIError as problem:
            raise self._fatal(problem) from problem
        except ValueError as problem:
            # The body was no JSON although the status was 200; the tokens may be paid all the same.
            return self._refused(request, f"the reply is not valid JSON: {problem}", start, paid=True)
        return self._read(request, completion, start)

    def _read(self, request: Request, completion: object, start: float) -> Reply:
        if not isinstance(completion, ChatCompletion):
            return self._refused(request, "the endpoint did not answer with a chat completion", start, paid=True)
        worst = worst_case(request.messages, self._config.sampling.max_tokens)
        usage = completion.usage
        used = (
            Usage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)
            if usage is not None
            else worst
        )
        choice = completion.choices[0] if completion.choices else None
        if choice is None:
            return Reply(index=request.index, finish_reason="error", usage=used, error="the reply has no choices")
        return Reply(
            index=request.index,
            text=choice.message.content or "",
            finish_reason=choice.finish_reason or "stop",
            usage=used,
            error=choice.message.refusal or "",
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
        where = f"the teacher at {self._client.base_url}"
        key, model = self._config.api_key_env, self._config.model
        if isinstance(problem, openai.AuthenticationError):
            return TeacherError(f"{where} refuses the key (401): {_said(problem)}\nSet {key} to a valid key")
        if isinstance(problem, openai.PermissionDeniedError):
            return TeacherError(
                f"{where} denies access (403): {_said(problem)}\nAsk for access to {model}, or use another key"
            )
        if isinstance(problem, openai.NotFoundError):
            return TeacherError(
                f"{where} does not know the model '{model}' or the address (404): {_said(problem)}\n"
                "Check teacher.model and teacher.base_url (it usually ends in /v1)"
            )
        if isinstance(problem, openai.RateLimitError):
            return TeacherError(
                f"{where} still says 'too many requests' (429) after {self._config.max_retries} retries: "
                f"{_said(problem)}\n"
                "Lower teacher.concurrency, or check your quota; run again to go on"
            )
        if isinstance(problem, openai.APITimeoutError):
            return TeacherError(
                f"{where} did not answer within {self._config.timeout_s:g} s; set teacher.timeout_s higher"
            )
        if isinstance(problem, openai.APIConnectionError):
            cause = problem.__cause__ or problem
            return TeacherError(
                f"{where} cannot be reached: {cause}\nSet teacher.base_url or OPENAI_BASE_URL; run again to go on"
            )
        return TeacherError(f"{where} failed: {_said(problem)}; run again to go on")


def _said(problem: openai.OpenAIError) -> str:
    """The endpoint's own words, in one short line."""
    body = problem.body if isinstance(problem, openai.APIError) else None
    message = body.get("message") if isinstance(body, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return " ".join(str(message or problem).split())[:300]  # pyright: ignore[reportUnknownArgumentType]
