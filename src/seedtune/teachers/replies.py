"""Read what an endpoint answered. No SDK checks its types: each part is read by models of our own."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seedtune.records import Reply, Request, Usage

NOTHING = Usage(prompt_tokens=0, completion_tokens=0)


class _Part(BaseModel):
    """A part of the endpoint's answer; what else stands in it is ignored."""

    model_config = ConfigDict(extra="ignore")


class _Message(_Part):
    # What a reasoning parser takes out of the text ("reasoning_content") is no part of the answer.
    content: str | None = None
    refusal: str | None = None


class _Choice(_Part):
    message: _Message
    finish_reason: str | None = None


class _Body(_Part):
    choices: list[_Choice] | None = None
    usage: Any = None


class _Count(_Part):
    cached_tokens: int | None = Field(default=None, ge=0)
    reasoning_tokens: int | None = Field(default=None, ge=0)


class _Details(_Part):
    prompt_tokens_details: _Count | None = None
    completion_tokens_details: _Count | None = None


def read_completion(body: object, request: Request, worst: Usage) -> Reply:
    """The reply in the body of a chat completion; an error where there is none, for it may be paid all the same.

    Args:
        body: As parsed from JSON.
        request: What was asked.
        worst: Charged where the body does not say what was used.
    """
    try:
        parsed = _Body.model_validate(body)
    except ValidationError:
        return error_reply(request, "the endpoint did not answer with a chat completion", worst)
    if parsed.choices is None and parsed.usage is None:
        return error_reply(request, "the endpoint did not answer with a chat completion", worst)
    used = _usage(parsed.usage) or worst
    if not parsed.choices:
        return error_reply(request, "the reply has no choices", used)
    choice = parsed.choices[0]
    return Reply(
        index=request.index,
        text=choice.message.content or "",
        finish_reason=choice.finish_reason or "stop",
        usage=used,
        error=choice.message.refusal or "",
    )


def error_reply(request: Request, error: str, used: Usage = NOTHING) -> Reply:
    """What stands in a reply's place for good."""
    return Reply(index=request.index, finish_reason="error", usage=used, error=error)


def _usage(given: object) -> Usage | None:
    try:
        used = Usage.model_validate(given, extra="ignore")
    except ValidationError:
        return None
    try:
        details = _Details.model_validate(given)
    except ValidationError:
        return used
    prompt, completion = details.prompt_tokens_details, details.completion_tokens_details
    cached, reasoning = prompt and prompt.cached_tokens, completion and completion.reasoning_tokens
    return used.model_copy(update={"cached_tokens": cached, "reasoning_tokens": reasoning})
