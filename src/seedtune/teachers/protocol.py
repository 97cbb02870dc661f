"""What the generation loop and a teacher know of each other, and what a request may cost at worst."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple, Protocol

from seedtune.config import LocalTeacherConfig, SamplingConfig, TeacherConfig
from seedtune.models import pick_device
from seedtune.records import Decoding, Reply, Request, Usage

_TOKENS_PER_MESSAGE = 16
"""Room for a chat template's marks around a message and for its role."""


class Forbidden(Exception):  # noqa: N818 (nothing is wrong: the request waits for its turn)
    """The loop wants nothing more sent at this moment: a limit could be passed, or the run is ending."""


class NotStructured(Exception):  # noqa: N818 (nothing is wrong: the request is drawn again as text)
    """The endpoint does not give replies by a schema: nothing was paid, and ``structured`` is False from now on."""


class Sampling(NamedTuple):
    """How one request is decoded, every setting resolved."""

    temperature: float
    """0 is greedy."""
    top_p: float
    max_tokens: int
    presence_penalty: float | None
    stop: tuple[str, ...]


class Account(Protocol):
    """The books of a run. A teacher tells them of every attempt, so that none is paid for beyond the limits."""

    def sending(self, requests: Sequence[Request]) -> None:
        """Record an attempt and reserve its worst case; called right before it is sent, each time.

        Raises:
            Forbidden: it must not be sent. :meth:`ChatTeacher.complete` lets this pass.
        """
        ...

    def failed(self, requests: Sequence[Request], why: str, paid: bool) -> None:
        """An attempt brought no reply.

        Args:
            requests: Those of the attempt.
            why: For the record, in a few words.
            paid: It may have been paid for all the same: its worst case stays charged.
        """
        ...

    def keep(self, requests: Sequence[Request], ticket: str) -> None:
        """Record, safe against a crash, by what word the teacher finds its work on these requests again."""
        ...

    def kept(self, requests: Sequence[Request]) -> str:
        """The last word kept for these requests whose work has not ended, this session's or an earlier one's."""
        ...


class _NoAccount:
    def sending(self, requests: Sequence[Request]) -> None:
        pass

    def failed(self, requests: Sequence[Request], why: str, paid: bool) -> None:
        pass

    def keep(self, requests: Sequence[Request], ticket: str) -> None:
        pass

    def kept(self, requests: Sequence[Request]) -> str:
        return ""


NO_ACCOUNT: Account = _NoAccount()
"""For callers that keep no books."""


class ChatTeacher(Protocol):
    """A model that answers requests."""

    @property
    def name(self) -> str:
        """The model, as it is to stand in a report."""
        ...

    @property
    def batch_size(self) -> int:
        """Requests whose replies depend on each other, as they are decoded together.

        Such batches are cut at fixed indices, so each holds the same after a restart. 1: each stands alone.
        """
        ...

    @property
    def bulk(self) -> int:
        """The most batches to hand to one call of :meth:`complete`."""
        ...

    @property
    def concurrency(self) -> int:
        """Calls of :meth:`complete` that are of use at this moment; at least 1. It changes with what comes back."""
        ...

    @property
    def structured(self) -> bool:
        """Whether a reply follows the request's ``reply_schema``; an endpoint that refuses it turns this off."""
        ...

    @property
    def status(self) -> str:
        """For the progress line: what is worth knowing of the endpoint, or nothing."""
        ...

    async def check(self, request: Request) -> None:
        """Find out, at no cost, whether the run can begin: called with the largest of its requests.

        Raises:
            TeacherError: the key is refused, the model is unknown, or the request does not fit the context window.
        """
        ...

    async def complete(self, requests: Sequence[Request], account: Account = NO_ACCOUNT) -> list[Reply]:
        """Answer requests.

        Those that the list lacks may be handed in again: their batch expired, or the endpoint refused their
        ``reply_schema`` and ``structured`` is False, so that they are to be drawn as text.

        A request that the teacher refuses for good, or that fails again and again while others are answered, gets a
        reply with an ``error``. Where it can, the teacher begins a reply with the request's prefix.

        Raises:
            TeacherError: nothing more can be had: wrong key, unknown model, no answer for too long.
            Forbidden: the account forbade an attempt.
            NotStructured: none was answered, for the endpoint refuses their ``reply_schema``.
            asyncio.CancelledError: :meth:`interrupt` was called and the work costs nothing to repeat.
        """
        ...

    def interrupt(self) -> None:
        """Break off work that costs nothing to repeat or to take up again. Requests in flight are left to end."""
        ...

    async def close(self) -> None:
        """Free connections and memory."""
        ...


def block_of(config: TeacherConfig) -> int:
    """The ``batch_size`` that a config's teacher has, known before its model is loaded."""
    if not isinstance(config, LocalTeacherConfig):
        return 1
    is_continuous = config.continuous
    if is_continuous is None:
        # Without torch there is no GPU to be asked for, and the teacher says what is missing when it is made.
        is_continuous = find_spec("torch") is not None and pick_device().type == "cuda"
    return 1 if is_continuous else config.batch_size


def sampling_of(request: Request, config: SamplingConfig) -> Sampling:
    """The teacher's settings under the request's own."""
    own = request.decoding or Decoding()
    return Sampling(
        temperature=config.temperature if own.temperature is None else own.temperature,
        top_p=config.top_p if own.top_p is None else own.top_p,
        max_tokens=config.max_tokens if own.max_tokens is None else own.max_tokens,
        presence_penalty=config.presence_penalty if own.presence_penalty is None else own.presence_penalty,
        stop=own.stop,
    )


def prompt_bytes(request: Request) -> int:
    """Of the messages and the schema in UTF-8: no prompt has more tokens, but for the chat template's marks."""
    schema = b"" if request.reply_schema is None else json.dumps(request.reply_schema, ensure_ascii=False).encode()
    return sum(len(message.content.encode()) for message in request.messages) + len(schema)


def worst_case(request: Request, config: SamplingConfig) -> Usage:
    """The most tokens a request can use: a token is at least one byte of UTF-8."""
    # One more for the template's own beginning and end.
    prompt = prompt_bytes(request) + _TOKENS_PER_MESSAGE * (len(request.messages) + 1)
    return Usage(prompt_tokens=prompt, completion_tokens=sampling_of(request, config).max_tokens, estimated=True)
