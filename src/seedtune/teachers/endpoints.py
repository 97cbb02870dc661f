"""Addresses of one model: which of them gets the next request, and when."""

import asyncio
import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import openai

from seedtune.records import Usage
from seedtune.teachers.failures import Failure
from seedtune.teachers.pacing import Pacer, Slot


class Clock:
    """Time as teachers see it. Tests let it run faster."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed

    def now(self) -> float:
        """Seconds, never going back."""
        return time.monotonic() * self._speed

    async def sleep(self, seconds: float) -> None:
        """Wait for so many of its seconds."""
        await asyncio.sleep(seconds / self._speed)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call once, after so many of its seconds."""
        return asyncio.get_running_loop().call_later(seconds / self._speed, callback)


@dataclass(frozen=True)
class Endpoint:
    """One address: its connections and its pace."""

    url: str
    """Without a password."""
    clients: tuple[openai.AsyncOpenAI, ...]
    """They take turns: each looks through all its idle connections at every request."""
    pacer: Pacer


class Place:
    """The right to send one request to one endpoint: a context manager, which gives it back.

    Whoever holds it tells how the attempt ended; if nothing is told, nothing was sent.
    """

    def __init__(self, endpoint: Endpoint, slot: Slot, freed: Callable[[], None]) -> None:
        self.endpoint = endpoint
        self.client = endpoint.clients[slot.number % len(endpoint.clients)]
        self._slot = slot
        self._freed = freed
        self._open = True

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_: object) -> None:
        if self._open:
            self.endpoint.pacer.withdrawn(self._slot)
        self._freed()

    def answered(self, used: Usage) -> None:
        """A reply came."""
        self._open = False
        self.endpoint.pacer.answered(self._slot, used.total, used.completion_tokens)

    def failed(self, failure: Failure) -> None:
        """None came."""
        self._open = False
        pacer = self.endpoint.pacer
        if failure.kind in ("refused", "unstructured"):
            pacer.refused(self._slot)
        elif failure.kind in ("busy", "overloaded"):
            pacer.busy(self._slot, failure.retry_after_s, fault=failure.kind == "overloaded")
        elif failure.kind == "timeout":
            pacer.timed_out(self._slot)
        else:
            pacer.failed(self._slot)


class Endpoints:
    """Hands out places as the pacers allow: the oldest request first, to the endpoint with the most room."""

    def __init__(self, members: Sequence[Endpoint], clock: Clock) -> None:
        self.members = tuple(members)
        self._clock = clock
        self._waiting: list[tuple[int, int, int, Endpoint | None, asyncio.Future[Place]]] = []
        self._asked = 0
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def room(self) -> int:
        """Requests that may be in flight over all endpoints; one for each that is down, to probe it with."""
        return sum(member.pacer.window for member in self.members)

    async def place(self, index: int, tokens: int, avoid: Endpoint | None = None) -> Place:
        """Wait for a place.

        Args:
            index: Of the request; lower ones go first, since later ones are judged only after them.
            tokens: Its expected use, for the limit a minute.
            avoid: Where it failed before; taken only where no other endpoint is free.
        """
        future = asyncio.get_running_loop().create_future()
        self._asked += 1
        heapq.heappush(self._waiting, (index, self._asked, tokens, avoid, future))
        self.look()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                with future.result():
                    pass
            raise

    def look(self) -> None:
        """Serve those who wait, as far as may be."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        while self._waiting:
            _, _, tokens, avoid, future = self._waiting[0]
            if future.done():
                heapq.heappop(self._waiting)
                continue
            endpoint, wait_s = self._best(avoid)
            if wait_s > 0:
                if wait_s < inf:
                    self._alarm = self._clock.call_later(wait_s, self.look)
                return
            heapq.heappop(self._waiting)
            future.set_result(Place(endpoint, endpoint.pacer.send(tokens), self.look))

    def _best(self, avoid: Endpoint | None) -> tuple[Endpoint, float]:
        """The endpoint that is free first; of several free ones the least loaded for the width of its window."""

        def order(member: Endpoint) -> tuple[float, bool, float]:
            return member.pacer.wait_s(), member is avoid, (member.pacer.in_flight + 1) / member.pacer.window

        best = min(self.members, key=order)
        return best, best.pacer.wait_s()
