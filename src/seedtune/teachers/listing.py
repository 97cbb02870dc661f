"""What an endpoint's list of models tells before anything is paid: has it the model, and how long may a request be.

``GET /models`` is OpenAI's; the length is an addition of others: ``max_model_len`` (vLLM), ``context_length`` or
``context_window`` (gateways), ``meta.n_ctx`` (llama.cpp).
"""

import asyncio
import difflib
import logging
import re
from collections.abc import Sequence

import openai
from pydantic import BaseModel, ConfigDict, ValidationError

from seedtune.config import OpenAITeacherConfig
from seedtune.errors import TeacherError
from seedtune.records import Request
from seedtune.teachers.endpoints import Endpoint
from seedtune.teachers.failures import TOO_LONG, Diagnosis
from seedtune.teachers.protocol import prompt_bytes

logger = logging.getLogger(__name__)

BYTES_PER_TOKEN = 4
"""Of English text, roughly: never for the bill."""

_MOST_BYTES_PER_TOKEN = 6
"""Prose and code have fewer: a prompt has no fewer tokens than this makes of it."""
_PATIENCE_S = 30.0
_SHOWN = 5
_NARROW_KEY = re.compile("scope|insufficient permission", re.IGNORECASE)
"""Said of a key that is good for completions alone."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Meta(_Part):
    n_ctx: int | None = None


class _Model(_Part):
    id: str
    aliases: tuple[str, ...] = ()
    owned_by: str | None = None
    lifecycle_status: str | None = None
    max_model_len: int | None = None
    context_length: int | None = None
    context_window: int | None = None
    meta: _Meta | None = None

    @property
    def window(self) -> int | None:
        return self.max_model_len or self.context_length or self.context_window or (self.meta and self.meta.n_ctx)

    def answers_to(self, name: str) -> bool:
        """By its id or an alias; Ollama adds ":latest", gateways put a publisher before it."""
        names = (self.id, *self.aliases)
        return any(known in (name, f"{name}:latest") or known.endswith(f"/{name}") for known in names)

    @property
    def is_any(self) -> bool:
        """Whether requests need not name it: llama.cpp answers to every name, Azure's list holds no deployments."""
        return self.owned_by == "llamacpp" or self.lifecycle_status is not None


class _Models(_Part):
    data: tuple[_Model, ...]
    has_more: bool | None = None


async def check_models(endpoint: Endpoint, config: OpenAITeacherConfig, diagnosis: Diagnosis) -> int | None:
    """The context window of the model at an endpoint, in tokens; None where its list does not say, or there is none.

    Raises:
        TeacherError: the key is refused, or the list lacks the model.
    """
    try:
        async with asyncio.timeout(min(_PATIENCE_S, config.timeout_s)):
            answer = await endpoint.clients[0].get("/models", cast_to=openai.HttpxBinaryResponseContent)
        models = _Models.model_validate_json(answer.content)
    except (openai.OpenAIError, TimeoutError, ValidationError) as problem:
        failure = None if isinstance(problem, ValidationError) else diagnosis.of(problem, endpoint.url)
        if failure and failure.why in ("401", "403") and not _NARROW_KEY.search(failure.message):
            raise TeacherError(failure.message) from problem
        # Whatever else is wrong, the requests themselves will tell, or bear with it.
        logger.debug("%s: no list of models: %s", endpoint.url, failure.message if failure else problem)
        return None
    found = next((model for model in models.data if model.answers_to(config.model)), None)
    only = models.data[0] if len(models.data) == 1 else None
    if found is None and only is not None and only.is_any:
        found = only
    if found is None and models.data and not models.has_more and not any(model.is_any for model in models.data):
        raise TeacherError(
            f"the teacher at {endpoint.url} does not know the model '{config.model}'; "
            f"it has {_listed(config.model, [model.id for model in models.data])}\nSet teacher.model to one of them"
        )
    return found.window if found else None


def check_window(request: Request, max_tokens: int, window: int) -> None:
    """Refuse a request that cannot fit, and warn of one that seems not to: its tokens are not known, only its length.

    Raises:
        TeacherError: prompt and reply are longer than the window even where each token is a long one.
    """
    length = prompt_bytes(request)
    prompt = length // BYTES_PER_TOKEN
    over = prompt + max_tokens - window
    if over <= 0:
        return
    said = (
        f"a request of this run has about {prompt:,} tokens and its reply up to {max_tokens:,}: about {over:,} more "
        f"than the context window of {window:,}. {TOO_LONG}"
    )
    if length // _MOST_BYTES_PER_TOKEN + max_tokens > window:
        raise TeacherError(f"{said}; if the window is larger, set teacher.context_window")
    logger.warning("%s", said)


def _listed(wanted: str, names: Sequence[str]) -> str:
    """The nearest names first, and how many more there are."""

    def likeness(name: str) -> float:
        return difflib.SequenceMatcher(None, name.lower(), wanted.lower()).ratio()

    nearest = sorted(names, key=lambda name: (-likeness(name), name))
    more = len(nearest) - _SHOWN
    return ", ".join(nearest[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
