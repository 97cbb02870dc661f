"""What is sent to a teacher, and what comes back."""

from typing import Any, Literal

from pydantic import Field

from seedtune.records.base import Record, Text


class Message(Record):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: Text


class Decoding(Record):
    """How one request is decoded where that differs from the teacher's ``sampling``; None leaves a setting as it is."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    presence_penalty: float | None = None
    stop: tuple[str, ...] = ()
    """The reply ends before the first of these; at most four, as endpoints allow."""


Step = Literal["tasks", "instructions", "classification", "instances", "judgement"]
"""What a request asks for: whole tasks (alpaca); instructions, whether one is a classification, its instances
(classic); a judgement on candidates (the LLM judge)."""


class Request(Record):
    """What is sent to a teacher. Request ``index`` of a run is the same whenever it is drawn."""

    index: int
    step: Step = "tasks"
    pack: str
    parents: tuple[str, ...]
    """Ids of the tasks shown as examples; for a follow-up, of the candidates that it is about."""
    messages: tuple[Message, ...]
    prefix: str = ""
    """How the reply shall begin. A teacher that can makes the model go on from it and returns it as part of the text;
    others ignore it."""
    reply_schema: dict[str, Any] | None = None
    """JSON schema of the reply, for a teacher with structured output; None asks for text."""
    decoding: Decoding | None = None
    source: Text = ""
    """The passage that the tasks are to rest on, ``file#number``; empty without documents."""


class Usage(Record):
    """Tokens of one reply."""

    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    estimated: bool = False
    """True where the endpoint gave no usage and the numbers are upper bounds of our own."""
    cached_tokens: int | None = Field(default=None, ge=0)
    """Of the prompt, read from the endpoint's cache; None where it does not say."""
    reasoning_tokens: int | None = Field(default=None, ge=0)
    """Of the completion, spent on reasoning that is not in the text; None where the endpoint does not say."""

    @property
    def total(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


class Reply(Record):
    """What came back for one request, or why nothing did."""

    index: int
    text: Text = ""
    finish_reason: Text = "stop"
    """``stop``; ``length``, ``content_filter`` or the endpoint's own word where it was broken off; ``error``: refused
    for good, see ``error``."""
    usage: Usage
    error: Text = ""
    seconds: float = 0.0
    """Wall time of the request, retries included; for a local batch, the batch's."""
