"""What the generation loop knows of a teacher, and what a request may cost at worst."""

from collections.abc import Sequence
from typing import Protocol

from seedtune.records import Message, Reply, Request, Usage

_TOKENS_PER_MESSAGE = 16
"""Room for a chat template's marks around a message and for its role."""


class ChatTeacher(Protocol):
    """A model that answers requests, a batch at a time."""

    @property
    def name(self) -> str:
        """The model, as it is to stand in a report."""
        ...

    @property
    def batch_size(self) -> int:
        """Requests answered together. Batches are cut at fixed indices, so each holds the same after a restart."""
        ...

    @property
    def concurrency(self) -> int:
        """Batches in flight at once."""
        ...

    async def complete(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer a batch, in its order. A request the teacher refuses for good gets a reply with an ``error``.

        Where it can, the teacher begins a reply with the request's prefix.

        Raises:
            TeacherError: nothing more can be had: wrong key, unknown model, unreachable after all retries.
            asyncio.CancelledError: :meth:`interrupt` was called and the work costs nothing to repeat.
        """
        ...

    def interrupt(self) -> None:
        """Break off work that costs nothing to repeat. Paid requests in flight are left to end."""
        ...

    async def close(self) -> None:
        """Free connections and memory."""
        ...


def worst_case(messages: Sequence[Message], max_tokens: int) -> Usage:
    """The most tokens a request can use: a token is at least one byte of UTF-8."""
    prompt = sum(len(message.content.encode()) + _TOKENS_PER_MESSAGE for message in messages) + _TOKENS_PER_MESSAGE
    return Usage(prompt_tokens=prompt, completion_tokens=max_tokens, estimated=True)
