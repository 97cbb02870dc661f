"""Read what an endpoint answered. No SDK checks its types: each part is read by models of our own."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seedtune.records import Reply, Request, Usage

NOTHING = Usage(prompt_tokens=0, completion_tokens=0)

_ENDS = {"stop", "stop_sequence", "eos", "eos_token", "end_turn", "complete", "completed"}
_AT_ITS_LIMIT = {"length", "max_length", "max_tokens", "max_output_tokens", "max_completion_tokens", "model_length"}
_ERROR = "error"


class _Part(BaseModel):
    """A part of the endpoint's answer; what else stands in it is ignored."""

    model_config = ConfigDict(extra="ignore")


class _Message(_Part):
    # What a reasoning parser takes out of the text ("reasoning_content") is no part of the answer.
    content: str | None = None
    refusal: str | None = None
    tool_calls: Any = None


class _Choice(_Part):
    message: _Message
    finish_reason: str | None = None


class _Body(_Part):
    choices: list[_Choice] | None = None
    usage: Any = None


class _Count(_Part):
    cached_tokens: int | None = Field(default=None, ge=0)
    reasoning_tokens: int | None = Field(default=None, ge=0)


class _Used(_Part):
    prompt_tokens: int = Field(ge=0, strict=True)
    completion_tokens: int = Field(ge=0, strict=True)
    total_tokens: int | None = Field(default=None, ge=0, strict=True)
    prompt_tokens_details: Any = None
    completion_tokens_details: Any = None


def is_whole(finish_reason: str) -> bool:
    """Whether the model ended a reply of its own accord.

    Endpoints have many words for what breaks a reply off, and new ones come: a word that is not known for an end is
    taken for one of them.
    """
    return finish_reason.strip().lower() in _ENDS


def is_known(finish_reason: str) -> bool:
    """Whether it is clear what a reply's ``finish_reason`` says."""
    return is_whole(finish_reason) or finish_reason in ("length", "content_filter", _ERROR)


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
    if not parsed.choices:
        return error_reply(request, "the reply has no choices", _usage(parsed.usage, worst, wrote=False))
    choice = parsed.choices[0]
    text, refusal = choice.message.content or "", choice.message.refusal or ""
    used = _usage(parsed.usage, worst, wrote=bool(text or refusal))
    reason = _finish_reason(choice)
    if reason == _ERROR and not text:
        return error_reply(request, refusal or "the endpoint ended the reply with an error", used)
    return Reply(
        index=request.index,
        text=text,
        # The word stands for requests that failed for good.
        finish_reason="endpoint_error" if reason == _ERROR else reason,
        usage=used,
        error=refusal,
    )


def error_reply(request: Request, error: str, used: Usage = NOTHING) -> Reply:
    """What stands in a reply's place for good."""
    return Reply(index=request.index, finish_reason=_ERROR, usage=used, error=error)


def _finish_reason(choice: _Choice) -> str:
    """In OpenAI's words where others mean the same; else the endpoint's own. Some say nothing at an end."""
    word = (choice.finish_reason or "").strip().lower() or ("tool_calls" if choice.message.tool_calls else "stop")
    return "stop" if is_whole(word) else "length" if word in _AT_ITS_LIMIT else word


def _usage(given: object, worst: Usage, wrote: bool) -> Usage:
    """What is charged for a reply: what the endpoint says where that can be true, and never less than it implies.

    Args:
        given: The endpoint's words, if any.
        worst: Charged where they say nothing, or what cannot be.
        wrote: There is some text.
    """
    try:
        used = _Used.model_validate(given)
    except ValidationError:
        return worst
    cached = _count(used.prompt_tokens_details).cached_tokens
    reasoning = _count(used.completion_tokens_details).reasoning_tokens
    prompt, completion = used.prompt_tokens, used.completion_tokens
    # Some count reasoning beside the completion, and show it in the total, or only by its own number.
    if reasoning is not None and reasoning > completion:
        completion += reasoning
    completion = max(completion, (used.total_tokens or 0) - prompt)
    if prompt == 0 or (wrote and completion == 0):
        return worst.model_copy(update={"completion_tokens": max(worst.completion_tokens, completion)})
    return Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached, reasoning_tokens=reasoning)


def _count(details: object) -> _Count:
    try:
        return _Count.model_validate(details)
    except ValidationError:
        return _Count()
