"""The loop: draw, send, record, judge in request order, until N instructions are accepted.

What makes the result the same however the work is cut up: a request depends on the run's seed and its index alone;
replies are recorded as they come and judged strictly in the order of their indices; the dataset is the first N
accepted. After a crash, recorded replies are judged from where the verdicts end, and only requests without a recorded
reply are sent. When N is reached, replies still in flight are awaited and recorded: they are paid for.
"""

import asyncio
import json
import logging
import signal
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
from seedtune.teachers import ChatTeacher, make_teacher, worst_case

logger = logging.getLogger(__name__)

_REFUSALS_IN_A_ROW = 5
_TICK_S = 1.0


def settings_of(config: Config, domain: Domain, packs: Sequence[Pack]) -> dict[str, Any]:
    """What shapes the data: a journal goes on only under the same.

    How many instructions, the limits, and how the endpoint is reached may change between sessions.
    """
    generate = config.generate.model_dump(mode="json", exclude={"num_instructions", "limits", "packs"})
    for key in ("base_url", "api_key_env", "concurrency", "timeout_s", "max_retries", "prices"):
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
            flight.interrupted = True
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
    """The requests in flight: what may leave, and what becomes of what lands."""

    def __init__(self, state: State, journal: Journal, teacher: ChatTeacher) -> None:
        self.interrupted = False
        self._state = state
        self._journal = journal
        self._teacher = teacher
        self._batches: dict[asyncio.Task[list[Reply]], list[Request]] = {}
        self._next = state.committed // teacher.batch_size
        self._failure: BaseException | None = None

    async def run(self, advance: console.Advance) -> None:
        """Until the goal, a limit, a failure of the teacher or an interruption; what is in flight then is awaited.

        Raises:
            LimitReached: a limit forbids the next request.
            TeacherError: nothing more can be had.
        """
        state = self._state
        _commit(state, self._journal)
        while True:
            blocked = self._launch()
            if not self._batches:
                break
            landed, _ = await asyncio.wait(self._batches, timeout=_TICK_S, return_when=asyncio.FIRST_COMPLETED)
            for task in landed:
                self._land(task)
            _commit(state, self._journal)
            if self._failure is None and state.refused >= _REFUSALS_IN_A_ROW:
                said = state.errors.most_common(1)
                words = f" It said: {said[0][0]}" if said else ""
                self._failure = TeacherError(f"the teacher refused {state.refused} requests in a row.{words}")
            advance(state.accepted, _note(state, len(self._batches)))
        if state.accepted >= state.goal:
            return
        if self._failure is not None:
            self._journal.append("stopped", [{"cause": "teacher", "message": str(self._failure)}], durable=True)
            raise self._failure
        if blocked:
            self._journal.append("stopped", [{"cause": blocked}], durable=True)
            raise _limit(state, blocked)

    def give_up(self) -> None:
        """Cancel what is in flight; it may have been paid for all the same."""
        for task in self._batches:
            task.cancel()

    def _launch(self) -> str:
        """Send as many batches as may be in flight. Returns the limit that forbids the next one, or an empty string."""
        state = self._state
        while len(self._batches) < self._teacher.concurrency and not self.interrupted and self._failure is None:
            in_flight = len(self._batches) * self._teacher.batch_size
            if state.accepted >= state.goal or (self._batches and _expected(state, in_flight) >= state.goal):
                return ""
            batch = _unanswered(state, self._next, self._teacher.batch_size)
            blocked = _forbidden(state, batch)
            if blocked:
                return blocked
            self._next += 1
            if batch:
                self._send(batch)
        return ""

    def _send(self, batch: list[Request]) -> None:
        self._journal.append("sent", [{"request": request.model_dump(mode="json")} for request in batch])
        for request in batch:
            self._state.requests[request.index] = request
            self._state.ledger.reserve(request.index, worst_case(request.messages, self._state.max_tokens))
        self._batches[asyncio.create_task(self._teacher.complete(batch))] = batch

    def _land(self, task: asyncio.Task[list[Reply]]) -> None:
        batch = self._batches.pop(task)
        if task.cancelled():
            return
        problem = task.exception()
        if problem is None:
            replies = task.result()
            self._journal.append("reply", [{"reply": reply.model_dump(mode="json")} for reply in replies], durable=True)
            for reply in replies:
                self._state.receive(reply)
            return
        # What is in flight beside it is paid for: it is left to end, and nothing more is sent.
        self._failure = self._failure or problem
        if isinstance(problem, TeacherError) and problem.turned_away:
            self._journal.append("turned_away", [{"index": request.index} for request in batch])
            for request in batch:
                self._state.ledger.release(request.index)


def _unanswered(state: State, batch: int, size: int) -> list[Request]:
    """The requests of a batch, whole if any of them has no recorded reply; else none."""
    indices = range(batch * size, (batch + 1) * size)
    if all(index < state.committed or index in state.replies for index in indices):
        return []
    return [state.draw(index) for index in indices]


def _expected(state: State, flying: int) -> float:
    """How many will have been accepted once everything in flight is judged, at the rate so far."""
    waiting = flying + len(state.replies)
    if not state.committed:
        return state.accepted + waiting * state.config.tasks_per_request * 0.5
    return state.accepted + waiting * state.accepted / state.committed


def _forbidden(state: State, batch: Sequence[Request]) -> str:
    """The limit that forbids sending this batch, or an empty string."""
    limits: LimitsConfig = state.config.limits
    # A batch is sent whole: what a local teacher decodes beyond the limit costs nothing more.
    if limits.max_requests is not None and batch and batch[0].index >= limits.max_requests:
        return "requests"
    if limits.stall_requests is not None and state.barren >= limits.stall_requests:
        return "stall"
    worst = [worst_case(request.messages, state.max_tokens) for request in batch]
    together = Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in worst),
        completion_tokens=sum(usage.completion_tokens for usage in worst),
    )
    return state.ledger.blocked_by(together) if batch else ""


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


def _commit(state: State, journal: Journal) -> None:
    """Judge every reply whose turn has come."""
    while True:
        index = state.committed
        verdicts = state.judge_next()
        if verdicts is None:
            return
        journal.append(
            "committed", [{"index": index, "verdicts": [verdict.model_dump(mode="json") for verdict in verdicts]}]
        )


def _note(state: State, flying: int) -> str:
    rate = f"{state.accepted}/{len(state.verdicts)} candidates kept"
    cost = "" if state.ledger.cost is None else f", cost {state.ledger.cost:.4f}"
    return f"{state.committed} requests, {rate}, {state.ledger.tokens:,} tokens{cost}, {flying} in flight"


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
