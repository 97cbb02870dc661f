"""Who writes: an endpoint or a model on this machine."""

import os
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from seedtune.config.section import Section

_DECIDED = {
    "model": "teacher.model",
    "messages": "seedtune",
    "stream": "seedtune",
    "stream_options": "seedtune",
    "n": "seedtune",
    "best_of": "seedtune",
    "max_tokens": "teacher.sampling.max_tokens",
    "max_completion_tokens": "teacher.sampling.max_tokens",
    "response_format": "teacher.structured_output",
    "tools": "seedtune",
    "tool_choice": "seedtune",
    "functions": "seedtune",
    "function_call": "seedtune",
}
"""Fields of a request that ``extra_body`` may not touch, and who decides: what is paid and how a reply is read rests on
them."""
REMOVABLE_FIELDS = ("seed", "temperature", "top_p", "presence_penalty", "stop")
"""Fields of a request that ``extra_body`` may take away, but not set: each request has its own."""
_SECRET = {"api_key", "apikey", "access_token", "authorization", "password", "secret"}


class SamplingConfig(Section):
    """How the teacher decodes."""

    temperature: float = Field(default=1.0, ge=0, le=2)
    """0 is greedy."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling."""
    max_tokens: int = Field(default=2048, ge=16)
    """Longest reply, in tokens."""
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    """Sent to an endpoint only when set."""


class Prices(Section):
    """What the endpoint charges. seedtune never guesses a price."""

    input_per_million: float = Field(ge=0)
    """Per million prompt tokens."""
    output_per_million: float = Field(ge=0)
    """Per million completion tokens."""
    batch_factor: float | None = Field(default=None, gt=0, le=1)
    """The part of these prices that is charged for a batch; needed with ``transport: batch``."""
    currency: str = "USD"
    as_of: str
    """The day you read the price, e.g. 2026-11-01."""

    @field_validator("as_of", mode="before")
    @classmethod
    def _day(cls, value: object) -> object:
        """YAML reads a day without quotes as a date."""
        text = value.isoformat() if isinstance(value, date) else value
        try:
            # Other forms of ISO 8601 are read as well.
            is_day = isinstance(text, str) and date.fromisoformat(text).isoformat() == text
        except ValueError:
            is_day = False
        if not is_day:
            raise ValueError("expected the day you read the price, as YYYY-MM-DD")
        return text


class OpenAITeacherConfig(Section):
    """Any endpoint that speaks the OpenAI chat protocol: OpenAI, vLLM, Ollama, llama.cpp, ..."""

    type: Literal["openai"] = "openai"
    model: str
    """The model's name at the endpoint."""
    base_url: str | tuple[str, ...] | None = None
    """Default: the environment's OPENAI_BASE_URL, else OpenAI itself. A list: replicas of one model, which share the
    requests."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key. The key itself never stands in a file."""
    concurrency: int = Field(default=8, ge=1, le=1024)
    """The most requests in flight at once at each address; how many there are follows what the endpoint bears."""
    rpm: int | None = Field(default=None, ge=1)
    """Requests a minute that each address allows; None where only its answers say."""
    tpm: int | None = Field(default=None, ge=1)
    """Tokens a minute, likewise."""
    timeout_s: float = Field(default=180, gt=0)
    """Longest wait for one reply."""
    max_retries: int = Field(default=5, ge=0)
    """How often one request is sent again (408, 409, 429, 5xx, timeouts, lost connections, broken replies) before it is
    given up as failed, while others are answered. 0: the first failure stops the run."""
    give_up_after_s: float = Field(default=600, gt=0)
    """An endpoint that answered before may fail for so long; then the run stops, with everything saved."""
    transport: Literal["direct", "batch"] = "direct"
    """``batch``: OpenAI's Batch API, slower and cheaper. A run may change from one to the other."""
    batch_requests: int = Field(default=10_000, ge=1, le=50_000)
    """The most requests in one batch."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Newer OpenAI models accept only ``max_completion_tokens``."""
    structured_output: Literal["auto", "on", "off"] = "auto"
    """Ask for replies by a JSON schema. ``auto``: until the endpoint refuses it, then for text."""
    context_window: int | None = Field(default=None, ge=1)
    """Tokens that prompt and reply may have together; None: what the endpoint's list of models says, if it does."""
    extra_body: dict[str, JsonValue] | None = None
    """Fields to add to the body of each chat request, such as ``chat_template_kwargs``. Null takes away a field that
    the endpoint refuses: seed, temperature, top_p, presence_penalty, stop. It stands in the run's files: never put a
    key in it. With another one, it is another run."""
    prices: Prices | None = None
    sampling: SamplingConfig = SamplingConfig()

    @field_validator("extra_body")
    @classmethod
    def _leaves_to_seedtune_what_is_its(cls, value: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        for name, given in (value or {}).items():
            if name in _DECIDED:
                raise ValueError(f"'{name}' is decided by {_DECIDED[name]}; leave it out of extra_body")
            if name in REMOVABLE_FIELDS and given is not None:
                raise ValueError(f"'{name}' can only be taken away here, by null; its value is that of the request")
        if secret := next((name for name in _names(value) if name.lower().replace("-", "_") in _SECRET), None):
            raise ValueError(f"'{secret}' looks like a key; keys live in the environment alone (api_key_env)")
        return value or None

    @field_validator("structured_output", mode="before")
    @classmethod
    def _on_and_off(cls, value: object) -> object:
        """YAML reads these words as true and false."""
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value

    @property
    def addresses(self) -> tuple[str, ...]:
        """``base_url`` as a tuple; empty where none is set."""
        if not self.base_url:
            return ()
        return (self.base_url,) if isinstance(self.base_url, str) else self.base_url

    @property
    def reached_at(self) -> tuple[str, ...]:
        """``addresses``, else the environment's OPENAI_BASE_URL; empty for OpenAI itself."""
        given = os.environ.get("OPENAI_BASE_URL")
        return self.addresses or ((given,) if given else ())

    @model_validator(mode="after")
    def _sound_addresses(self) -> Self:
        if "" in self.addresses or len(set(self.addresses)) < len(self.addresses):
            raise ValueError("base_url: expected one address, or a list of different ones")
        if self.transport == "batch" and len(self.addresses) > 1:
            raise ValueError("transport: batch sends to one address; base_url lists several")
        return self

    @model_validator(mode="after")
    def _batches_have_their_own_price(self) -> Self:
        if self.transport == "batch" and self.prices is not None and self.prices.batch_factor is None:
            raise ValueError(
                "transport: batch needs prices.batch_factor, the part of the prices that is charged for a batch "
                "(see the endpoint's price list)"
            )
        return self


class LocalTeacherConfig(Section):
    """A model run by transformers on this machine."""

    type: Literal["local"] = "local"
    model: str = "embedded"
    """``embedded``, a hub id, or a local folder."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch_size: int = Field(default=8, ge=1)
    """Requests decoded together."""
    continuous: bool | None = None
    """True: where a reply has ended, the next request takes its place; faster, but a text may change with what is
    decoded beside it, by rounding. False: fixed batches, which give the same texts again. None: True on a GPU."""
    sampling: SamplingConfig = SamplingConfig(max_tokens=768)


def _names(value: JsonValue) -> Iterator[str]:
    """Of all fields, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names(inner)


TeacherConfig = Annotated[OpenAITeacherConfig | LocalTeacherConfig, Field(discriminator="type")]
