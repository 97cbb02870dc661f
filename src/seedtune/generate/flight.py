"""The requests in flight: what may leave, and what becomes of what lands.

Replies are recorded as they come and judged strictly in the order of their requests. The teacher decides when an
attempt leaves and whether to try again; before each one it asks the books that are kept here, so that what a lost reply
may have cost is counted before more is spent.
"""

import asyncio
import time
from bisect import insort
from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

from seedtune import console
from seedtune.errors import TeacherError
from seedtune.generate.deciding import Outcome
from seedtune.generate.journal import Journal
from seedtune.generate.limits import forbidding_limit, limit_reached
from seedtune.generate.progress import Progress
from seedtune.generate.state import State, Turn
from seedtune.records import Reply, Request, Usage
from seedtune.teachers import ChatTeacher, Forbidden, NotStructured

_REFUSALS_IN_A_ROW = 5
_READY = 2
"""Of each request that may be in flight, so many replies may wait to be judged before no more is sent."""
_WAITING = 20_000
"""So many replies may wait for one before them, which is slow to come."""
_QUICK_S = 0.005
"""What judging a reply takes where no thread is worth while."""
_TICK_S = 1.0


class Flight:
    """Keeps the teachers' account (:class:`seedtune.teachers.protocol.Account`)."""

    def __init__(self, state: State, journal: Journal, teachers: Mapping[str, ChatTeacher], folder: Path) -> None:
        self.interrupted = False
        self._gave_up = False
        self._state = state
        self._journal = journal
        self._teachers = teachers
        self._progress = Progress(state, teachers, folder)
        self._tasks: dict[asyncio.Task[list[Reply]], list[Request]] = {}
        self._calls: Counter[str] = Counter()
        """Tasks by teacher."""
        self._landed: list[asyncio.Task[list[Reply]]] = []
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        state.listen(self._note_trial)
        self._judging_s = inf
        """What the last judgement took."""
        self._flying: set[int] = set()
        """Requests in a teacher's hands."""
        self._sent: set[int] = set()
        """Those of them on their way to the endpoint or back."""
        self._worst: dict[int, Usage] = {}
        self._next = state.committed // state.block
        self._held: list[tuple[int, list[Request]]] = []
        """Batches drawn before, by index: there were enough, a limit held them back, or no reply came for them."""
        self._failure: BaseException | None = None
        self._began = time.monotonic()

    async def run(self, advance: console.Advance) -> None:
        """Until the goal, a limit, a failure of a teacher or an interruption; what is in flight then is awaited.

        Raises:
            LimitReached: a limit forbids the next request.
            TeacherError: nothing more can be had.
        """
        state = self._state
        # How many more are needed is known once all that came before is judged.
        while not self.interrupted:
            if await self._judge_next():
                continue
            if not state.is_next_here:
                break
            await self._wait()
        self._take_up()
        while True:
            # One at a time: a pile of replies must not keep requests from leaving. What was decoded together came
            # together, and how many more are needed is known once all of it is judged.
            judged = await self._judge_next()
            while judged and state.block > 1 and await self._judge_next():
                pass
            if self._failure is None and state.refused >= _REFUSALS_IN_A_ROW:
                said = state.funnel.errors.most_common(1)
                words = f" It said: {said[0][0]}" if said else ""
                self._failure = TeacherError(f"the teacher refused {state.refused} requests in a row.{words}")
            blocked = self._launch()
            if self._is_ending:
                self._drop_unsent()
            advance(state.accepted, self._progress.note(len(self._sent)))
            if not judged:
                is_done = state.funnel.is_full or self._gave_up or not state.is_next_here
                if is_done and not self._tasks:
                    break
                await self._wait()
            self._land()
        self._progress.write(len(self._sent), final=True)
        if state.funnel.is_full:
            return
        if self._failure is not None:
            if isinstance(self._failure, TeacherError):
                self._journal.append("stopped", [{"cause": "teacher", "message": str(self._failure)}], durable=True)
            raise self._failure
        if blocked:
            self._journal.append("stopped", [{"cause": blocked}], durable=True)
            raise limit_reached(state, blocked, self._worst_of(self._held[0][1]))

    def interrupt(self) -> None:
        """Send nothing more."""
        self.interrupted = True
        self._news.set()

    def give_up(self) -> None:
        """Cancel what is in flight; it may have been paid for all the same."""
        self._gave_up = True
        for task in self._tasks:
            task.cancel()

    async def settle(self) -> None:
        """Note what was given up, and did not land, as lost."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for requests in self._tasks.values():
            self._lose(requests)

    def sending(self, requests: Sequence[Request]) -> None:
        """See :class:`seedtune.teachers.protocol.Account`, as for the three below."""
        state = self._state
        if self._is_ending or state.blocked_by(requests[0], self._worst_of(requests)):
            raise Forbidden
        mark = {"batch": True} if state.in_batches(requests[0]) else {}
        fresh = [request for request in requests if state.requests.get(request.index) != request]
        again = [request for request in requests if state.requests.get(request.index) == request]
        self._journal.append("sent", [{"request": _written(request), **mark} for request in fresh])
        self._journal.append("resent", [{"index": request.index, **mark} for request in again])
        for request in requests:
            state.send(request, self._worst[request.index], bool(mark))
            self._sent.add(request.index)

    def failed(self, requests: Sequence[Request], why: str, paid: bool) -> None:
        """The attempt is over; if the run is ending, it was the last."""
        self._journal.append("lost" if paid else "turned_away", [{"index": r.index, "why": why} for r in requests])
        for request in requests:
            self._state.fail(request.index, paid)
            self._sent.discard(request.index)
        self._news.set()

    def keep(self, requests: Sequence[Request], ticket: str) -> None:
        """Safe on the disk when this returns."""
        indices = [request.index for request in requests]
        self._journal.append("ticket", [{"ticket": ticket, "indices": indices}], durable=True)
        self._state.tickets |= dict.fromkeys(indices, ticket)

    def kept(self, requests: Sequence[Request]) -> str:
        """Requests are handed over with those of the same ticket, or with others that have none."""
        return self._state.tickets.get(requests[0].index, "")

    @property
    def _is_ending(self) -> bool:
        return self.interrupted or self._failure is not None or self._state.funnel.is_full

    async def _judge_next(self) -> bool:
        """Judge the reply whose turn it is, if it has come.

        Who gave up does not wait for judgement: what has come is in the journal, and judged when the run goes on.
        """
        turn = None if self._gave_up else self._state.turn()
        if turn is None:
            return False
        outcome = await self._decide(turn)
        self._state.commit(turn, outcome)
        lines = [verdict.model_dump(mode="json", exclude_defaults=True) for verdict in outcome.verdicts]
        self._journal.append("committed", [{"index": turn.reply.index, "verdicts": lines}])
        return True

    async def _decide(self, turn: Turn) -> Outcome:
        """Replies go on being read meanwhile: in another thread, unless that takes longer than to judge."""
        is_quick = self._judging_s <= _QUICK_S
        if is_quick:
            await asyncio.sleep(0)
        began = time.monotonic()
        outcome = self._state.decide(turn) if is_quick else await asyncio.to_thread(self._state.decide, turn)
        self._judging_s = time.monotonic() - began
        return outcome

    def _take_up(self) -> None:
        """Hand over what an earlier session left with the endpoint."""
        groups: dict[str, list[Request]] = {}
        for index, ticket in sorted(self._state.tickets.items()):
            groups.setdefault(ticket, []).append(self._state.requests[index])
        for requests in groups.values():
            self._hand_over(requests)
            self._sent |= {request.index for request in requests}

    def _launch(self) -> str:
        """Hand out requests while a teacher has a use for them. Returns the limit that forbids the next, if any."""
        while not (self._is_ending or self._is_behind):
            batch = self._next_batch()
            if batch is None:
                return ""
            insort(self._held, (batch[0].index, batch))
            if self._calls[self._state.asks(batch[0])] >= self._teacher_of(batch).concurrency:
                return ""
            requests, blocked = self._gather()
            if requests:
                self._hand_over(requests)
            if blocked or not requests:
                return blocked
        return ""

    @property
    def _is_behind(self) -> bool:
        """Whether what has come is to be judged first.

        A pile would grow as long as the run, be paid for before it is known what it is worth, and keep who breaks off
        waiting.
        """
        state, in_flight = self._state, sum(teacher.concurrency for teacher in self._teachers.values())
        is_held_up = len(state.replies) >= _WAITING and state.committed in self._flying
        return state.ready > _READY * in_flight or is_held_up

    def _gather(self) -> tuple[list[Request], str]:
        """The requests of one call, as many as the goal asks for, and the limit that forbids more, if any."""
        state = self._state
        chosen: list[Request] = []
        ahead = Usage(prompt_tokens=0, completion_tokens=0)
        batches = 0
        while batch := self._next_batch():
            index = batch[0].index
            ahead = _sum([ahead, self._worst_of(batch)])
            other = bool(chosen) and state.asks(batch[0]) != state.asks(chosen[0])
            # Something must be under way, or the run would end here.
            first = not chosen and not self._flying and state.committed not in state.replies
            enough = not first and state.expected_before(index) >= state.funnel.goal
            blocked = "" if enough or other else forbidding_limit(state, batch, ahead, time.monotonic() - self._began)
            if enough or other or blocked:
                insort(self._held, (index, batch))
                return chosen, blocked
            chosen += batch
            batches += 1
            if batches >= self._teacher_of(batch).bulk:
                break
        return chosen, ""

    def _next_batch(self) -> list[Request] | None:
        """The oldest batch with a request that has no reply; it is whole even where some have.

        None: what the next one does depends on replies that are still to come.
        """
        if self._held:
            return self._held.pop(0)[1]
        state = self._state
        while True:
            indices = range(self._next * self._state.block, (self._next + 1) * self._state.block)
            missing = [i for i in indices if not (i < state.committed or i in state.replies or i in self._flying)]
            if missing:
                # A block that was judged in part is drawn whole once more only where its rows are decoded together.
                drawn = [self._draw(i) for i in indices if self._state.block > 1 or i in missing]
                if None in drawn:
                    return None
                groups: dict[str, list[Request]] = {}
                for request in drawn:
                    if request is not None:
                        groups.setdefault(state.asks(request), []).append(request)
                for group in groups.values():
                    for batch in _cut(group, self._teacher_of(group).batch_size):
                        if any(request.index in missing for request in batch):
                            insort(self._held, (batch[0].index, batch))
            self._next += 1
            if missing:
                return self._held.pop(0)[1]

    def _draw(self, index: int) -> Request | None:
        return self._state.draw(index, {name: teacher.structured for name, teacher in self._teachers.items()})

    def _worst_of(self, requests: Sequence[Request]) -> Usage:
        for request in requests:
            if request.index not in self._worst:
                self._worst[request.index] = self._state.worst_case(request)
        return _sum([self._worst[request.index] for request in requests])

    def _teacher_of(self, requests: Sequence[Request]) -> ChatTeacher:
        return self._teachers[self._state.asks(requests[0])]

    def _hand_over(self, requests: list[Request]) -> None:
        task = asyncio.create_task(self._teacher_of(requests).complete(requests, self))
        self._tasks[task] = requests
        self._calls[self._state.asks(requests[0])] += 1
        self._flying |= {request.index for request in requests}
        task.add_done_callback(self._note_landing)

    def _note_landing(self, task: asyncio.Task[list[Reply]]) -> None:
        self._landed.append(task)
        self._news.set()

    def _note_trial(self) -> None:
        """Called from another thread."""
        self._loop.call_soon_threadsafe(self._news.set)

    async def _wait(self) -> None:
        """Until something lands or fails, or it is time to show progress."""
        try:
            async with asyncio.timeout(_TICK_S):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    def _lose(self, requests: Sequence[Request]) -> None:
        """What was on its way may be paid for. What the teacher can find again is not lost."""
        lost = [r for r in requests if r.index in self._sent and r.index not in self._state.tickets]
        if lost:
            self.failed(lost, "given up", paid=True)

    def _land(self) -> None:
        """Record what has come, all of it with one wait for the disk."""
        landed, self._landed = self._landed, []
        replies: list[Reply] = []
        for task in landed:
            requests = self._tasks.pop(task)
            self._calls[self._state.asks(requests[0])] -= 1
            if task.cancelled() and self._gave_up:
                self._lose(requests)
            for request in requests:
                self._flying.discard(request.index)
                self._sent.discard(request.index)
                self._worst.pop(request.index, None)
            if task.cancelled():
                continue
            problem = task.exception()
            if problem is None:
                replies += task.result()
                self._hold(requests, {reply.index for reply in task.result()})
            elif isinstance(problem, Forbidden | NotStructured):
                self._hold(requests, set())
            else:
                # What is in flight beside it is paid for: it is left to end, and nothing more is sent.
                self._failure = self._failure or problem
        if replies:
            self._journal.append("reply", [{"reply": reply.model_dump(mode="json")} for reply in replies], durable=True)
        for reply in replies:
            self._state.receive(reply)

    def _hold(self, requests: Sequence[Request], answered: set[int]) -> None:
        """Keep the batches that lack a reply for another time; as text, where the teacher turned out to need it."""
        teacher = self._teacher_of(requests)
        for batch in _cut(requests, teacher.batch_size):
            if not answered.issuperset(request.index for request in batch):
                again = [r if teacher.structured or not r.reply_schema else self._draw(r.index) or r for r in batch]
                insort(self._held, (batch[0].index, again))

    def _drop_unsent(self) -> None:
        """What waits for its turn, or to be sent again, will not be."""
        for task, requests in self._tasks.items():
            if self._sent.isdisjoint(request.index for request in requests):
                task.cancel()


def _cut(requests: Sequence[Request], size: int) -> list[list[Request]]:
    return [list(requests[start : start + size]) for start in range(0, len(requests), size)]


def _written(request: Request) -> dict[str, Any]:
    return request.model_dump(mode="json", exclude_defaults=True)


def _sum(usages: Sequence[Usage]) -> Usage:
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
    )
