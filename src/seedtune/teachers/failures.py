"""Why an attempt brought no reply: what it means for the request, for the endpoint and for the bill.

Every attempt that reached the endpoint and came to nothing there may be paid for: a time-out, a lost connection, an
internal error, a broken reply. What the endpoint turned away (429 and the other refusals) and what never reached it is
not.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

import openai

from seedtune.config import OpenAITeacherConfig
from seedtune.config.teacher import REMOVABLE_FIELDS
from seedtune.teachers.pacing import retry_after_s

Kind = Literal["refused", "unstructured", "fatal", "busy", "overloaded", "timeout", "fault", "broken"]

TOO_LONG = (
    "Lower generate.seeds_per_request, generate.max_example_words, generate.documents.passage_words or "
    "teacher.sampling.max_tokens"
)
"""What helps where a request does not fit the context window."""

_SHORTEST_SECRET = 8
_NEVER_LEFT = ("ConnectError", "ConnectTimeout", "PoolTimeout")
_NEVER_WILL = ("UnsupportedProtocol", "LocalProtocolError")
_OUT_OF_MONEY = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
"""Sent with 429, but no waiting mends them."""
_UNKNOWN_MODEL = {"model_not_found"}
_OF_WINDOW = re.compile(r"context.?(length|size|window)|prompt is too long", re.IGNORECASE)
_OF_STRUCTURE = re.compile(
    r"response.?format|json.?schema|structured.?output|guided.?(json|decoding)|grammar", re.IGNORECASE
)


_OF_A_FIELD = re.compile(
    r"un(supported|recogni[sz]ed|known|expected)|n[o']t (be )?(support|permit|allow|accept)|forbid|deprecated",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Failure:
    """An attempt without a reply."""

    kind: Kind
    """``refused``: this one request, for good. ``unstructured``: likewise, in words about replies by a schema.
    ``fatal``: no retry mends it. ``busy``: too many requests. ``overloaded``: likewise, or worse. ``timeout``: no whole
    reply in time. ``fault``: an error of the endpoint or of the way to it. ``broken``: a reply that cannot be read."""
    why: str
    """In a few words."""
    message: str
    """For the user: what, where, and what to do."""
    paid: bool
    """It may have been paid for."""
    retry_after_s: float | None = None


class Diagnosis:
    """Knows the words of the endpoints, and the key that must stand in none of ours."""

    def __init__(self, config: OpenAITeacherConfig, key: str) -> None:
        self._config = config
        self._key = key

    def without_key(self, text: str) -> str:
        """``text`` with the key blotted out; some endpoints repeat it."""
        # A placeholder such as "none" is no secret, and its letters stand in many words.
        return text.replace(self._key, "[key]") if len(self._key) >= _SHORTEST_SECRET else text

    def of(self, problem: Exception, url: str) -> Failure:
        """What a failed attempt at the endpoint ``url`` means.

        Args:
            problem: An error of the SDK, a ``TimeoutError`` of the whole attempt, or the ``ValueError`` or
                ``RecursionError`` of a body that is no JSON.
            url: Without a password.
        """
        where = f"the teacher at {url}"
        if isinstance(problem, openai.APIStatusError):
            return self._of_status(problem, where)
        cause = problem.__cause__ if isinstance(problem, openai.APIConnectionError) else None
        name = type(cause).__name__
        if isinstance(problem, TimeoutError | openai.APITimeoutError) and name not in _NEVER_LEFT:
            advice = f"did not answer within {self._config.timeout_s:g} s; set teacher.timeout_s higher"
            return Failure("timeout", "timeout", f"{where} {advice}", paid=True)
        if isinstance(problem, openai.APIConnectionError):
            reason = self.without_key(str(cause or problem)) or name
            message = (
                f"{where} cannot be reached: {reason}\nSet teacher.base_url or OPENAI_BASE_URL; run again to go on"
            )
            kind: Kind = "fatal" if name in _NEVER_WILL else "fault"
            paid = name not in (*_NEVER_LEFT, *_NEVER_WILL)
            return Failure(kind, name if cause else "connection", message, paid)
        if isinstance(problem, openai.OpenAIError):
            return Failure("fatal", "SDK", f"{where} failed: {self.said(problem)}; run again to go on", paid=True)
        said = self.without_key(str(problem))[:200]
        return Failure("broken", "broken reply", f"{where}: the reply is not valid JSON: {said}", paid=True)

    def said(self, problem: openai.OpenAIError) -> str:
        """The endpoint's own words, in one short line."""
        message = _body(problem).get("message")
        return self.without_key(" ".join(str(message or problem).split()))[:300]

    def refusal(self, status: int, body: object) -> Failure:
        """What it means that an endpoint turned one request away.

        Args:
            status: 400 to 499.
            body: What it said; an object with ``message``, or anything.
        """
        words = str(_mapping(body).get("message") or "") or json.dumps(body, default=str)
        said = self.without_key(" ".join(words.split()))
        kind: Kind = "refused"
        if _OF_WINDOW.search(said):
            said = f"the request does not fit the context window: {said[:300]}. {TOO_LONG}"
        elif status in (400, 422) and _OF_STRUCTURE.search(said):
            kind = "unstructured"
        else:
            said = f"{said[:500]}{self._without_fields(said, str(_mapping(body).get('param')))}"
        return Failure(kind, str(status), said, paid=False)

    def _without_fields(self, said: str, param: str) -> str:
        """What to set where an endpoint says that it does not take a field of the body; else nothing.

        Args:
            said: Its words.
            param: The field that it names apart from them, if it does.
        """

        def is_named(field: str) -> bool:
            name = re.escape(field)
            return field == param or re.search(rf"""(['"`.]|: ?){name}\b|\b{name}['"`:]""", said) is not None

        if not _OF_A_FIELD.search(said):
            return ""
        added, limit = self._config.extra_body or {}, self._config.max_tokens_field
        advice: list[str] = []
        if named := [field for field in REMOVABLE_FIELDS if field not in added and is_named(field)]:
            nulls = ", ".join(f"{field}: null" for field in named)
            advice.append(f"set teacher.extra_body={{{nulls}}} to send it without {' and '.join(named)}")
        if named := [field for field, value in added.items() if value is not None and is_named(field)]:
            advice.append(f"take {' and '.join(named)} out of teacher.extra_body")
        if is_named(limit):
            other = "max_tokens" if limit == "max_completion_tokens" else "max_completion_tokens"
            advice.append(f"set teacher.max_tokens_field={other}")
        return f". What may help: {'; '.join(advice)}" if advice else ""

    def _of_status(self, problem: openai.APIStatusError, where: str) -> Failure:
        status, said = problem.status_code, self.said(problem)
        codes = set(_codes(problem))
        status = 402 if codes & _OUT_OF_MONEY else 404 if codes & _UNKNOWN_MODEL else status
        what, advice = self._words(status)
        message = f"{where} {what} ({problem.status_code}): {said}\n{advice}"
        rest = retry_after_s(problem.response.headers, datetime.now(UTC))
        if status in (401, 402, 403, 404):
            return Failure("fatal", str(status), message, paid=False)
        if status == 429:
            return Failure("busy", "429", message, paid=False, retry_after_s=rest)
        if status in (400, 413, 422):
            return self.refusal(status, problem.body)
        if status in (408, 409) or status >= 500:
            return Failure(
                "overloaded" if status in (503, 529) else "fault", str(status), message, paid=True, retry_after_s=rest
            )
        return Failure("fatal", str(status), message, paid=True)

    def _words(self, status: int) -> tuple[str, str]:
        key, model = self._config.api_key_env, self._config.model
        return {
            401: ("refuses the key", f"Set {key} to a valid key"),
            402: ("asks for payment", "Top up the account, or raise its limit; run again to go on"),
            403: ("denies access", f"Ask for access to {model}, or use another key"),
            404: (
                f"does not know the model '{model}' or the address",
                "Check teacher.model and teacher.base_url (it usually ends in /v1)",
            ),
            429: ("says 'too many requests'", "Lower teacher.concurrency, or check your quota; run again to go on"),
        }.get(status, ("failed", "Often this passes: run again to go on"))


def without_password(url: object) -> str:
    """An address as it may be shown."""
    return re.sub(r"//[^/@]*@", "//", str(url))


def _body(problem: openai.OpenAIError) -> Mapping[str, Any]:
    return _mapping(problem.body if isinstance(problem, openai.APIError) else None)


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _codes(problem: openai.OpenAIError) -> Iterator[str]:
    body = _body(problem)
    for key in ("code", "type"):
        if isinstance(body.get(key), str):
            yield body[key]
