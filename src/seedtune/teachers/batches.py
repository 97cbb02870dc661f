"""OpenAI's Batch API: many requests in one file, answered within a day.

What is kept for a restart is a ticket: ``file:ID`` once the requests are uploaded and on the books, ``batch:ID`` once
the endpoint has named their batch. A process that dies between the two finds the batch again among the endpoint's own,
by its file: no batch is created twice.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import openai
from pydantic import BaseModel, ConfigDict, ValidationError

from seedtune.config import OpenAITeacherConfig
from seedtune.errors import TeacherError
from seedtune.records import Reply, Request
from seedtune.teachers.endpoints import Clock, Endpoint
from seedtune.teachers.failures import Diagnosis, Failure
from seedtune.teachers.protocol import Account, NotStructured
from seedtune.teachers.replies import error_reply
from seedtune.teachers.structure import Structure, is_unstructured

logger = logging.getLogger(__name__)

FIRST_POLL_S, LONGEST_POLL_S = 10.0, 300.0
LARGEST_FILE = 150_000_000
"""Bytes; OpenAI takes 200 MB."""

_GROWTH = 1.5
_PAGES = 5
"""Of a hundred batches each, the newest first, among which a lost one is looked for."""
_ENDED = ("completed", "failed", "expired", "cancelled")
_TOO_MUCH = {"token_limit_exceeded", "request_limit_exceeded"}
"""More is queued than the account may have queued: smaller batches, later."""
_NOT_RUN = {"batch_expired", "batch_cancelled"}

T = TypeVar("T")


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _File(_Part):
    id: str


class _Error(_Part):
    code: str | None = None
    message: str | None = None


class _Errors(_Part):
    data: list[_Error] | None = None


class _Counts(_Part):
    completed: int = 0
    total: int = 0


class _Batch(_Part):
    id: str
    status: str
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Errors | None = None
    request_counts: _Counts | None = None


class _Page(_Part):
    data: list[_Batch]
    has_more: bool | None = None


class _RefusedError(TeacherError):
    """Asking again does not help."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Batches:
    """Sends requests in batches to one endpoint."""

    def __init__(
        self,
        config: OpenAITeacherConfig,
        endpoint: Endpoint,
        diagnosis: Diagnosis,
        structure: Structure,
        body_of: Callable[[Request], dict[str, Any]],
        read: Callable[[object, Request], Reply],
        clock: Clock,
    ) -> None:
        """Makes no request.

        Args:
            config: The teacher's.
            endpoint: Where the batches go.
            diagnosis: Reads failures.
            structure: Whether replies by a schema are to be had.
            body_of: The body of a request, as it would be sent directly.
            read: The reply in the body of an answer.
            clock: For the waits.
        """
        self.size = config.batch_requests
        """Requests in one batch at most; smaller once the endpoint has found batches too large."""
        self._config = config
        self._endpoint = endpoint
        self._client = endpoint.clients[0]
        self._diagnosis = diagnosis
        self._structure = structure
        self._body_of = body_of
        self._read = read
        self._clock = clock
        self._failures: Counter[int] = Counter()
        self._rests: set[asyncio.Future[None]] = set()
        self._interrupted = False
        self._states: dict[str, str] = {}

    @property
    def status(self) -> str:
        """The state of each batch that is not done."""
        return ", ".join(f"{identity}: {state}" for identity, state in self._states.items())

    def interrupt(self) -> None:
        """Wait for nothing more: the endpoint keeps the results."""
        self._interrupted = True
        for rest in self._rests:
            rest.cancel()

    async def complete(self, requests: Sequence[Request], account: Account) -> list[Reply]:
        """See :meth:`ChatTeacher.complete`; what was kept for the requests is taken up again."""
        kind, _, identity = account.kept(requests).partition(":")
        if kind == "":
            requests = [request for request in requests if self._structure.admits(request)]
            if not requests:
                raise NotStructured
            data, count = self._file(requests)
            requests = requests[:count]
            identity = await self._upload(data)
            account.sending(requests)
            account.keep(requests, f"file:{identity}")
        if kind != "batch":
            identity = await self._create(identity, requests, account, perhaps_there=kind == "file")
            account.keep(requests, f"batch:{identity}")
        try:
            batch = await self._ended(identity)
        finally:
            self._states.pop(identity, None)
        if batch.status == "failed":
            await self._not_begun(batch, requests, account)
            return []
        return await self._collect(batch, requests, account)

    def _file(self, requests: Sequence[Request]) -> tuple[bytes, int]:
        """The upload, and how many of the requests it holds."""
        lines: list[bytes] = []
        size = 0
        for request in requests:
            line = {
                "custom_id": str(request.index),
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": self._body_of(request),
            }
            lines.append(json.dumps(line).encode() + b"\n")
            size += len(lines[-1])
            if size > LARGEST_FILE and len(lines) > 1:
                del lines[-1]
                break
        return b"".join(lines), len(lines)

    async def _upload(self, data: bytes) -> str:
        async def upload() -> str:
            files = self._client.files.with_raw_response
            answer = await files.create(file=("requests.jsonl", data), purpose="batch")
            return _File.model_validate_json(answer.content).id

        try:
            return await self._patiently(upload)
        except _RefusedError as problem:
            if problem.failure.why == "404":
                raise TeacherError(f"{problem}\nIf it has no Batch API, set teacher.transport=direct") from problem
            raise

    async def _create(self, file: str, requests: Sequence[Request], account: Account, perhaps_there: bool) -> str:
        """Create the batch of a file; after an attempt whose end is unknown, look first whether it is there."""

        async def create() -> str:
            nonlocal perhaps_there
            found = await self._find(file) if perhaps_there else None
            perhaps_there = True
            if found is not None:
                return found
            answer = await self._client.batches.with_raw_response.create(
                completion_window="24h",
                endpoint="/v1/chat/completions",
                input_file_id=file,
                metadata={"seedtune": f"requests {requests[0].index} to {requests[-1].index}"},
            )
            return _Batch.model_validate_json(answer.content).id

        try:
            return await self._patiently(create)
        except _RefusedError as problem:
            account.failed(requests, problem.failure.why, paid=False)
            raise

    async def _find(self, file: str) -> str | None:
        after: str | openai.Omit = openai.omit
        for _ in range(_PAGES):
            answer = await self._client.batches.with_raw_response.list(limit=100, after=after)
            page = _Page.model_validate_json(answer.content)
            found = next((batch.id for batch in page.data if batch.input_file_id == file), None)
            if found is not None or not page.has_more or not page.data:
                return found
            after = page.data[-1].id
        return None

    async def _ended(self, identity: str) -> _Batch:
        """Poll, at growing intervals, until the batch is in a final state."""

        async def retrieve() -> _Batch:
            answer = await self._client.batches.with_raw_response.retrieve(identity)
            return _Batch.model_validate_json(answer.content)

        wait = FIRST_POLL_S
        while True:
            try:
                batch = await self._patiently(retrieve)
            except _RefusedError as problem:
                raise TeacherError(
                    f"batch {identity} cannot be fetched: {problem}\n"
                    "It needs the key and the address that it was sent with. If it is gone for good, take the lines of "
                    "its tickets out of generate/journal.jsonl: its requests are sent again, and charged twice"
                ) from problem
            if batch.status in _ENDED:
                return batch
            done = batch.request_counts or _Counts()
            self._states[identity] = f"{batch.status} {done.completed}/{done.total}"
            await self._rest(wait)
            wait = min(wait * _GROWTH, LONGEST_POLL_S)

    async def _not_begun(self, batch: _Batch, requests: Sequence[Request], account: Account) -> None:
        """The endpoint did not take the batch: nothing was run.

        Raises:
            TeacherError: smaller batches would not help.
        """
        errors = (batch.errors.data if batch.errors else None) or []
        said = self._diagnosis.without_key("; ".join(error.message or error.code or "?" for error in errors))
        account.failed(requests, "batch failed", paid=False)
        if len(requests) == 1 or not {error.code for error in errors} & _TOO_MUCH:
            raise TeacherError(f"the teacher at {self._endpoint.url} did not take batch {batch.id}: {said[:300]}")
        self.size = max(1, len(requests) // 2)
        logger.warning("batch %s: %s; going on with at most %d requests in a batch", batch.id, said, self.size)
        await self._rest(LONGEST_POLL_S)

    async def _collect(self, batch: _Batch, requests: Sequence[Request], account: Account) -> list[Reply]:
        """The replies in the batch's files. What has none is on the books as failed, and is given up in the end."""
        wanted = {str(request.index): request for request in requests}
        replies: dict[str, Reply] = {}
        failures: dict[str, tuple[str, bool]] = dict.fromkeys(wanted, ("not in the batch's files", True))
        for file in (batch.output_file_id, batch.error_file_id):
            async for line in self._lines(file):
                identity = str(line.get("custom_id"))
                if identity in wanted and identity not in replies:
                    outcome = self._outcome(line, wanted[identity])
                    if isinstance(outcome, Reply):
                        replies[identity] = outcome
                        failures.pop(identity)
                    else:
                        failures[identity] = outcome
        for why, paid in sorted(set(failures.values())):
            failed = [wanted[identity] for identity, found in failures.items() if found == (why, paid)]
            logger.info("batch %s: %d requests without a reply: %s", batch.id, len(failed), why)
            account.failed(failed, why, paid)
        for identity, (why, _) in failures.items():
            request = wanted[identity]
            if not self._structure.admits(request):
                continue  # It is drawn again as text.
            self._failures[request.index] += 1
            count = self._failures[request.index]
            if count > self._config.max_retries:
                replies[identity] = error_reply(request, f"given up after {count} attempts: {why}")
        return sorted(replies.values(), key=lambda reply: reply.index)

    async def _lines(self, file: str | None) -> AsyncIterator[dict[str, Any]]:
        if not file:
            return

        async def fetch() -> bytes:
            return (await self._client.files.content(file)).content

        try:
            data = await self._patiently(fetch)
        except _RefusedError as problem:
            if problem.failure.why != "404":
                raise
            logger.warning("file %s is gone; what it held is asked for again", file)
            return
        for line in data.split(b"\n"):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue  # What a broken line held counts as not answered.
            if isinstance(value, dict):
                yield value

    def _outcome(self, line: dict[str, Any], request: Request) -> Reply | tuple[str, bool]:
        """The reply in a line of a batch's file, or why there is none and whether it may have been paid for."""
        response, error = line.get("response"), line.get("error")
        status = response.get("status_code") if isinstance(response, dict) else None
        body = response.get("body") if isinstance(response, dict) else None
        if status == 200:
            return self._read(body, request)
        if isinstance(status, int) and 400 <= status < 500 and status not in (408, 409, 429):
            failure = self._diagnosis.refusal(status, body.get("error", body) if isinstance(body, dict) else body)
            if is_unstructured(failure, request):
                self._structure.give_up(failure, self._endpoint.url)
                return "no structured output", False
            return error_reply(request, failure.message)
        code = str(error.get("code")) if isinstance(error, dict) else str(status)
        return code, code not in _NOT_RUN and status != 429

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call, and again where that may help, until nothing came for ``give_up_after_s``.

        Raises:
            TeacherError: it does not help, or not for too long.
        """
        began, failures = self._clock.now(), 0
        while True:
            try:
                return await call()
            except (openai.OpenAIError, ValidationError) as problem:
                failure = self._diagnosis.of(problem, self._endpoint.url)
            failures += 1
            if failure.kind in ("refused", "fatal"):
                raise _RefusedError(failure)
            if self._clock.now() - began > self._config.give_up_after_s or failures > self._config.max_retries == 0:
                raise TeacherError(failure.message)
            rest = self._endpoint.pacer.jitter_s(failures)
            await self._rest(max(rest, failure.retry_after_s or 0.0))

    async def _rest(self, seconds: float) -> None:
        if self._interrupted:
            raise asyncio.CancelledError
        rest: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not rest.done():
                rest.set_result(None)

        self._rests.add(rest)
        alarm = self._clock.call_later(seconds, wake)
        try:
            await rest
        finally:
            alarm.cancel()
            self._rests.discard(rest)
