"""The loop: draw, send, record, judge in request order, until N instructions are accepted.

What makes the result the same however the work is cut up: a request depends on the run's seed and its index alone;
replies are recorded as they come and judged strictly in the order of their indices; the dataset is the first N
accepted. After a crash, recorded replies are judged from where the verdicts end, and only requests without a recorded
reply are sent. When N is reached, replies still in flight are awaited and recorded: they are paid for.

The teacher decides when an attempt leaves and whether to try again; before each one it asks the books that are kept
here, so that what a lost reply may have cost is counted before more is spent.
"""

import asyncio
import json
import logging
import signal
import time
from bisect import insort
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seedtune import console, runs
from seedtune.config import Config, LimitsConfig, LocalTeacherConfig, OpenAITeacherConfig
from seedtune.domains import Domain, Pack
from seedtune.errors import DataError, LimitReached, TeacherError
from seedtune.generate.journal import Journal
from seedtune.generate.state import State
from seedtune.records import Reply, Request, Usage, write_atomic, write_records
from seedtune.teachers import ChatTeacher, Forbidden, make_teacher

logger = logging.getLogger(__name__)

_REFUSALS_IN_A_ROW = 5
_TICK_S = 1.0
_HOW_TO_REACH = (
    "base_url",
    "api_key_env",
    "concurrency",
    "rpm",
    "tpm",
    "timeout_s",
    "max_retries",
    "give_up_after_s",
    "transport",
    "batch_requests",
    "prices",
)


def settings_of(config: Config, domain: Domain, packs: Sequence[Pack]) -> dict[str, Any]:
    """What shapes the data: a journal goes on only under the same.

    How many instructions, the limits, and how the endpoint is reached may change between sessions.
    """
    generate = config.generate.model_dump(mode="json", exclude={"num_instructions", "limits", "packs"})
    for key in _HOW_TO_REACH:
        generate["teacher"].pop(key, None)
    return {
        "seed": config.seed,
        "domain": domain.name,
        "packs": [pack.name for pack in packs],
        "content": domain.content_id(list(packs)),
        "generate": generate,
    }


def run_generate(run: runs.Run, domain: Domain) -> None:
    """Do the stage, or what is left of it; nothing if it is done.

    Raises:
        LimitReached: a limit of ``generate.limits`` stopped it; everything is saved.
        TeacherError: the teacher cannot be had.
        RunError: the journal was begun with other settings.
        KeyboardInterrupt: after Ctrl-C, once the requests in flight have ended and are saved.
    """
    config = run.config
    packs = domain.select_packs(config.generate.packs)
    settings = settings_of(config, domain, packs)
    goal = config.generate.num_instructions
    fingerprint = runs.fingerprint(settings, goal)
    if run.is_done("generate", fingerprint):
        logger.info("generate: done before, %d instructions", goal)
        return
    folder = run.folder("generate")
    state = State(config, domain, packs)
    begun = state.replay(folder / "journal.jsonl", settings)
    if begun:
        logger.info("generate: going on from %d accepted, %d requests judged", state.accepted, state.committed)
    with run.working("generate", fingerprint) as done:
        stopped: BaseException | None = None
        if state.accepted < goal:
            with Journal(folder / "journal.jsonl") as journal:
                if not begun:
                    journal.append("start", [{"settings": settings}], durable=True)
                try:
                    asyncio.run(_collect(state, journal))
                except (LimitReached, TeacherError, KeyboardInterrupt, DataError) as problem:
                    stopped = problem
        outputs = _write_views(folder, state)
        if stopped is not None:
            logger.info("generate: stopped with %d of %d accepted; all of it is saved", state.accepted, goal)
            raise stopped
        done(outputs, _spent(state))
    logger.info("generate: %d accepted of %d candidates", goal, len(state.verdicts))


async def _collect(state: State, journal: Journal) -> None:
    """Send, record and judge until the goal or a stop."""
    teacher = make_teacher(state.config.teacher, state.seed)
    flight = _Flight(state, journal, teacher)
    events = asyncio.get_running_loop()

    def on_interrupt() -> None:
        if flight.interrupted:
            events.remove_signal_handler(signal.SIGINT)
            flight.give_up()
        else:
            console.complain("interrupted: waiting for the requests in flight (Ctrl-C again: give them up)")
            flight.interrupt()
            teacher.interrupt()

    events.add_signal_handler(signal.SIGINT, on_interrupt)
    try:
        with console.progress("generate", state.goal) as advance:
            await flight.run(advance)
    finally:
        flight.give_up()
        await teacher.close()
        events.remove_signal_handler(signal.SIGINT)
    if flight.interrupted and state.accepted < state.goal:
        journal.append("stopped", [{"cause": "interrupt"}], durable=True)
        raise KeyboardInterrupt


class _Flight:
    """The requests in flight: what may leave, and what becomes of what lands. It keeps the teacher's account."""

    def __init__(self, state: State, journal: Journal, teacher: ChatTeacher) -> None:
        self.interrupted = False
        self._state = state
        self._journal = journal
        self._teacher = teacher
        self._tasks: dict[asyncio.Task[list[Reply]], list[Request]] = {}
        self._landed: list[asyncio.Task[list[Reply]]] = []
        self._news = asyncio.Event()
        self._flying: set[int] = set()
        """Requests in the teacher's hands."""
        self._sent: set[int] = set()
        """Those of them on their way to the endpoint or back."""
        self._worst: dict[int, Usage] = {}
        self._next = state.committed // teacher.batch_size
        self._held: list[tuple[int, list[Request]]] = []
        """Batches drawn before, by index: there were enough, a limit held them back, or no reply came for them."""
        self._failure: BaseException | None = None
        self._began = time.monotonic(), state.ledger.tokens

    async def run(self, advance: console.Advance) -> None:
        """Until the goal, a limit, a failure of the teacher or an interruption; what is in flight then is awaited.

        Raises:
            LimitReached: a limit forbids the next request.
            TeacherError: nothing more can be had.
        """
        state = self._state
        while _judge_next(state, self._journal):
            pass
        self._take_up()
        while True:
            # One at a time: a pile of replies must not keep requests from leaving.
            judged = _judge_next(state, self._journal)
            if self._failure is None and state.refused >= _REFUSALS_IN_A_ROW:
                said = state.errors.most_common(1)
                words = f" It said: {said[0][0]}" if said else ""
                self._failure = TeacherError(f"the teacher refused {state.refused} requests in a row.{words}")
            blocked = self._launch()
            if self._is_ending:
                self._drop_unsent()
            advance(state.accepted, self._note())
            if judged:
                await asyncio.sleep(0)
            elif self._tasks:
                await self._wait()
            else:
                break
            self._land()
        if state.accepted >= state.goal:
            return
        if self._failure is not None:
            if isinstance(self._failure, TeacherError):
                self._journal.append("stopped", [{"cause": "teacher", "message": str(self._failure)}], durable=True)
            raise self._failure
        if blocked:
            self._journal.append("stopped", [{"cause": blocked}], durable=True)
            raise _limit(state, blocked)

    def interrupt(self) -> None:
        """Send nothing more."""
        self.interrupted = True
        self._news.set()

    def give_up(self) -> None:
        """Cancel what is in flight; it may have been paid for all the same."""
        for task in self._tasks:
            task.cancel()

    def sending(self, requests: Sequence[Request]) -> None:
        """See :class:`seedtune.teachers.protocol.Account`, as for the three below."""
        state = self._state
        if self._is_ending or state.ledger.blocked_by(self._worst_of(requests), state.in_batches):
            raise Forbidden
        mark = {"batch": True} if state.in_batches else {}
        fresh = [request for request in requests if request.index not in state.requests]
        again = [request for request in requests if request.index in state.requests]
        self._journal.append("sent", [{"request": request.model_dump(mode="json"), **mark} for request in fresh])
        self._journal.append("resent", [{"index": request.index, **mark} for request in again])
        for request in requests:
            state.send(request, self._worst[request.index], state.in_batches)
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
        return self.interrupted or self._failure is not None or self._state.accepted >= self._state.goal

    def _take_up(self) -> None:
        """Hand over what an earlier session left with the endpoint."""
        groups: dict[str, list[Request]] = {}
        for index, ticket in sorted(self._state.tickets.items()):
            groups.setdefault(ticket, []).append(self._state.requests[index])
        for requests in groups.values():
            self._hand_over(requests)
            self._sent |= {request.index for request in requests}

    def _launch(self) -> str:
        """Hand out requests while the teacher has a use for them. Returns the limit that forbids the next, if any."""
        while len(self._tasks) < self._teacher.concurrency and not self._is_ending:
            requests, blocked = self._gather()
            if requests:
                self._hand_over(requests)
            if blocked or not requests:
                return blocked
        return ""

    def _gather(self) -> tuple[list[Request], str]:
        """The requests of one call, as many as the goal asks for, and the limit that forbids more, if any."""
        chosen: list[Request] = []
        ahead = Usage(prompt_tokens=0, completion_tokens=0)
        while len(chosen) < self._teacher.batch_size * self._teacher.bulk:
            batch = self._next_batch()
            index = batch[0].index
            ahead = _sum([ahead, self._worst_of(batch)])
            first = not chosen and not self._flying
            enough = not first and _expected_before(self._state, index) >= self._state.goal
            blocked = "" if enough else _forbidden(self._state, index, ahead)
            if enough or blocked:
                insort(self._held, (index, batch))
                return chosen, blocked
            chosen += batch
        return chosen, ""

    def _next_batch(self) -> list[Request]:
        """The oldest batch with a request that has no reply; it is whole even where some have."""
        if self._held:
            return self._held.pop(0)[1]
        state, size = self._state, self._teacher.batch_size
        while True:
            indices = range(self._next * size, (self._next + 1) * size)
            self._next += 1
            if not all(i < state.committed or i in state.replies or i in self._flying for i in indices):
                return [state.draw(index) for index in indices]

    def _worst_of(self, requests: Sequence[Request]) -> Usage:
        for request in requests:
            if request.index not in self._worst:
                self._worst[request.index] = self._state.worst_case(request)
        return _sum([self._worst[request.index] for request in requests])

    def _hand_over(self, requests: list[Request]) -> None:
        task = asyncio.create_task(self._teacher.complete(requests, self))
        self._tasks[task] = requests
        self._flying |= {request.index for request in requests}
        task.add_done_callback(self._note_landing)

    def _note_landing(self, task: asyncio.Task[list[Reply]]) -> None:
        self._landed.append(task)
        self._news.set()

    async def _wait(self) -> None:
        """Until something lands or fails, or it is time to show progress."""
        try:
            async with asyncio.timeout(_TICK_S):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    def _land(self) -> None:
        """Record what has come, all of it with one wait for the disk."""
        landed, self._landed = self._landed, []
        replies: list[Reply] = []
        for task in landed:
            requests = self._tasks.pop(task)
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
            elif isinstance(problem, Forbidden):
                self._hold(requests, set())
            else:
                # What is in flight beside it is paid for: it is left to end, and nothing more is sent.
                self._failure = self._failure or problem
        if replies:
            self._journal.append("reply", [{"reply": reply.model_dump(mode="json")} for reply in replies], durable=True)
        for reply in replies:
            self._state.receive(reply)

    def _hold(self, requests: Sequence[Request], answered: set[int]) -> None:
        """Keep the batches that lack a reply for another time."""
        size = self._teacher.batch_size
        for start in range(0, len(requests), size):
            batch = list(requests[start : start + size])
            if not answered.issuperset(request.index for request in batch):
                insort(self._held, (batch[0].index, batch))

    def _drop_unsent(self) -> None:
        """What waits for its turn, or to be sent again, will not be."""
        for task, requests in self._tasks.items():
            if self._sent.isdisjoint(request.index for request in requests):
                task.cancel()

    def _note(self) -> str:
        state, ledger = self._state, self._state.ledger
        since, before = self._began
        speed = (ledger.tokens - before) / max(time.monotonic() - since, 1e-9)
        parts = [
            f"{state.committed} requests",
            f"{state.accepted}/{len(state.verdicts)} candidates kept",
            f"{ledger.tokens:,} tokens ({speed:,.0f}/s)",
        ]
        if ledger.cost is not None:
            projected = f" of about {ledger.cost / state.accepted * state.goal:.4f}" if state.accepted else ""
            parts.append(f"cost {ledger.cost:.4f}{projected}")
        return ", ".join([*parts, f"{len(self._sent)} in flight", *filter(None, [self._teacher.status])])


def _sum(usages: Sequence[Usage]) -> Usage:
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
    )


def _expected_before(state: State, index: int) -> float:
    """How many will have been accepted once every request below ``index`` is judged, at the rate so far."""
    rate = state.accepted / state.committed if state.committed else state.config.tasks_per_request * 0.5
    return state.accepted + (index - state.committed) * rate


def _forbidden(state: State, index: int, worst: Usage) -> str:
    """The limit that forbids sending requests of this worst case, the last batch from ``index`` on; or none (empty)."""
    limits: LimitsConfig = state.config.limits
    # A batch is sent whole: what a local teacher decodes beyond the limit costs nothing more.
    if limits.max_requests is not None and index >= limits.max_requests:
        return "requests"
    if limits.stall_requests is not None and state.barren >= limits.stall_requests:
        return "stall"
    return state.ledger.blocked_by(worst, state.in_batches)


def _limit(state: State, cause: str) -> LimitReached:
    limits, goal = state.config.limits, state.goal
    what = {
        "cost": f"the next request could pass limits.max_cost = {limits.max_cost}",
        "tokens": f"the next request could pass limits.max_tokens = {limits.max_tokens}",
        "requests": f"limits.max_requests = {limits.max_requests} are sent",
        "stall": f"{state.barren} requests in a row added nothing (limits.stall_requests): see generate/rejected.jsonl",
    }[cause]
    return LimitReached(
        cause, f"{cause}: {what}. {state.accepted} of {goal} accepted and saved; raise the limit to go on"
    )


def _judge_next(state: State, journal: Journal) -> bool:
    """Judge the reply whose turn it is, if it has come."""
    index = state.committed
    verdicts = state.judge_next()
    if verdicts is None:
        return False
    lines = [verdict.model_dump(mode="json") for verdict in verdicts]
    journal.append("committed", [{"index": index, "verdicts": lines}])
    return True


def _write_views(folder: Path, state: State) -> list[Path]:
    """The dataset, the rejected candidates and the funnel: the same bytes from the same replies."""
    kept = [verdict for verdict in state.verdicts if verdict.kept]
    rejected = [verdict for verdict in state.verdicts if not verdict.kept]
    examples = [
        {"id": v.candidate.id, **v.candidate.model_dump(mode="json"), "similarity": v.similarity, "nearest": v.nearest}
        for v in kept
    ]
    funnel = {
        "requests": state.counted,
        "failed_requests": dict(state.errors.most_common()),
        "broken_tasks": dict(sorted(state.faults.items())),
        "candidates": len(state.verdicts),
        "rejected": dict(Counter(verdict.reason for verdict in rejected).most_common()),
        "accepted": len(kept),
        "accepted_by_pack": dict(sorted(Counter(verdict.candidate.pack for verdict in kept).items())),
    }
    write_records(folder / "instructions.jsonl", examples)
    write_records(folder / "rejected.jsonl", rejected)
    write_atomic(folder / "funnel.json", json.dumps(funnel, indent=2) + "\n")
    return [folder / name for name in ("instructions.jsonl", "rejected.jsonl", "funnel.json")]


def _spent(state: State) -> dict[str, Any]:
    """Requests, tokens and money of all sessions, those beyond the goal included."""
    ledger, teacher = state.ledger, state.config.teacher
    prices = teacher.prices if isinstance(teacher, OpenAITeacherConfig) else None
    return {
        "teacher": Path(teacher.model).name if isinstance(teacher, LocalTeacherConfig) else teacher.model,
        "requests": state.committed,
        "prompt_tokens": ledger.prompt_tokens,
        "completion_tokens": ledger.completion_tokens,
        "lost_tokens": ledger.lost_tokens,
        "cost": ledger.cost,
        "currency": prices.currency if prices else None,
        "prices_as_of": prices.as_of if prices else None,
    }
