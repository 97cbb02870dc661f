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
from seedtune.config import Config, LimitsConfig, OpenAITeacherConfig
from seedtune.domains import Domain, Pack
from seedtune.errors import DataError, LimitReached, RunError, TeacherError
from seedtune.generate.filters import FilterRules, judge
from seedtune.generate.journal import Journal, read_events
from seedtune.generate.parsing import parse_reply
from seedtune.generate.sampling import draw_request, usable_packs
from seedtune.records import Candidate, Reply, Request, Usage, Verdict, write_atomic, write_records
from seedtune.similarity import RougeIndex
from seedtune.teachers import ChatTeacher, make_teacher, worst_case
from seedtune.teachers.ledger import Ledger

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
    state = _State(config, domain, packs)
    begun = state.replay(folder / "journal.jsonl", settings)
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


class _State:
    """Where the loop stands: replies waiting to be judged, the pool, and the counts."""

    def __init__(self, config: Config, domain: Domain, packs: Sequence[Pack]) -> None:
        generate = config.generate
        self.config = generate
        self.seed = config.seed
        self.examples = usable_packs(packs, generate.max_example_words)
        self.rules = FilterRules(
            min_words=generate.min_words,
            max_words=generate.max_words,
            rouge_threshold=generate.rouge_threshold,
            blocked_words=domain.file.filters.blocked_words,
        )
        self.pool = RougeIndex()
        for pack in packs:
            for task in pack.seeds:
                self.pool.add(task.id, task.instruction)
        prices = generate.teacher.prices if isinstance(generate.teacher, OpenAITeacherConfig) else None
        self.ledger = Ledger(generate.limits, prices)
        self.max_tokens = generate.teacher.sampling.max_tokens
        self.requests: dict[int, Request] = {}
        self.replies: dict[int, Reply] = {}
        self.goal = generate.num_instructions
        self.verdicts: list[Verdict] = []
        """Up to the last one that the goal needs. What comes after depends on how many requests were in flight."""
        self.accepted = 0
        self.counted = 0
        """Requests it took to reach the goal."""
        self.committed = 0
        """Every request below this index has been judged."""
        self.barren = 0
        """Requests in a row that added nothing."""
        self.refused = 0
        self.errors: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def draw(self, index: int) -> Request:
        """Request ``index``, the same in every session."""
        generate = self.config
        return draw_request(self.seed, index, self.examples, generate.seeds_per_request, generate.tasks_per_request)

    def receive(self, reply: Reply) -> None:
        """Keep a reply until its turn. Of two for one request (a batch done again) the first counts."""
        self.ledger.settle(reply.index, reply.usage)
        if reply.index >= self.committed:
            self.replies.setdefault(reply.index, reply)

    def judge_next(self) -> list[Verdict] | None:
        """Verdicts on the next reply in order; None while it is not there."""
        reply = self.replies.get(self.committed)
        if reply is None:
            return None
        request = self.requests.get(reply.index) or self.draw(reply.index)
        parsed = parse_reply(reply.text, reply.finish_reason)
        verdicts: list[Verdict] = []
        for task in parsed.tasks:
            candidate = Candidate(
                instruction=task.instruction,
                input=task.input,
                output=task.output,
                pack=request.pack,
                request=request.index,
                parents=request.parents,
            )
            verdict = judge(candidate, self.rules, self.pool)
            if verdict.kept:
                self.pool.add(candidate.id, candidate.instruction)
            verdicts.append(verdict)
        self._count(reply, verdicts)
        return verdicts

    def restore(self, verdicts: list[Verdict]) -> None:
        """Take verdicts from the journal instead of judging again."""
        for verdict in verdicts:
            if verdict.kept:
                self.pool.add(verdict.candidate.id, verdict.candidate.instruction)
        self._count(self.replies[self.committed], verdicts)

    def _count(self, reply: Reply, verdicts: list[Verdict]) -> None:
        if self.accepted < self.goal:
            self.counted += 1
            self.faults.update(parse_reply(reply.text, reply.finish_reason).faults)
            self.errors.update([reply.error] if reply.error else [])
        self.refused = self.refused + 1 if reply.finish_reason == "error" else 0
        self.barren = 0 if any(verdict.kept for verdict in verdicts) else self.barren + 1
        for verdict in verdicts:
            if self.accepted < self.goal:
                self.verdicts.append(verdict)
                self.accepted += verdict.kept
        self.requests.pop(reply.index, None)
        del self.replies[reply.index]
        self.committed += 1

    def replay(self, path: Path, settings: dict[str, Any]) -> bool:
        """Read a journal of earlier sessions. False if there is none.

        Raises:
            RunError: it was begun with other settings.
        """
        begun = False
        for event in read_events(path):
            if event["event"] == "start":
                begun = True
                _same_settings(path, event["settings"], settings)
            elif event["event"] == "sent":
                request = Request.model_validate(event["request"])
                self.requests[request.index] = request
                self.ledger.reserve(request.index, worst_case(request.messages, self.max_tokens))
            elif event["event"] == "reply":
                self.receive(Reply.model_validate(event["reply"]))
            elif event["event"] == "committed":
                self.restore([Verdict.model_validate(verdict) for verdict in event["verdicts"]])
        if begun:
            logger.info("generate: going on from %d accepted, %d requests judged", self.accepted, self.committed)
        return begun


def _same_settings(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, object]:
        leaves: dict[str, object] = {}
        for key, value in tree.items():
            leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}  # pyright: ignore[reportUnknownArgumentType]
        return leaves

    before, now = flat(old), flat(json.loads(json.dumps(new)))
    changed = [key for key in sorted(before | now) if before.get(key) != now.get(key)]
    if changed:
        words = {"content": "the domain's prompts, seeds or filters"}
        list_of = "; ".join(words.get(key) or f"{key}: {before.get(key)} -> {now.get(key)}" for key in changed)
        raise RunError(
            f"{path}: this run's data was begun with other settings ({list_of}). "
            "Change them back, or give the run another name (--set name=...)"
        )


async def _collect(state: _State, journal: Journal) -> None:
    """Send, record and judge until the goal or a stop."""
    teacher = make_teacher(state.config.teacher, state.seed)
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()

    def on_interrupt() -> None:
        if interrupted.is_set():
            # The second Ctrl-C does not wait for anything.
            loop.remove_signal_handler(signal.SIGINT)
            for task in flights:
                task.cancel()
        else:
            console.complain("interrupted: waiting for the requests in flight (Ctrl-C again: give them up)")
        interrupted.set()
        teacher.interrupt()

    flights: set[asyncio.Task[list[Reply]]] = set()
    loop.add_signal_handler(signal.SIGINT, on_interrupt)
    try:
        with console.progress("generate", state.goal) as advance:
            await _fly(state, journal, teacher, flights, interrupted, advance)
    finally:
        for task in flights:
            task.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        await teacher.close()
        loop.remove_signal_handler(signal.SIGINT)
    if interrupted.is_set() and state.accepted < state.goal:
        journal.append("stopped", [{"cause": "interrupt"}], durable=True)
        raise KeyboardInterrupt


async def _fly(
    state: _State,
    journal: Journal,
    teacher: ChatTeacher,
    flights: set[asyncio.Task[list[Reply]]],
    interrupted: asyncio.Event,
    advance: console.Advance,
) -> None:
    goal, next_batch = state.goal, state.committed // teacher.batch_size
    failure: BaseException | None = None
    _commit(state, journal)
    while True:
        cause = ""
        while (
            state.accepted < goal
            and not interrupted.is_set()
            and failure is None
            and len(flights) < teacher.concurrency
        ):
            batch = _unanswered(state, next_batch, teacher.batch_size)
            if batch and _expected(state, len(flights) * teacher.batch_size) >= goal and flights:
                break
            cause = _forbidden(state, batch)
            if cause:
                break
            next_batch += 1
            if batch:
                journal.append("sent", [{"request": request.model_dump(mode="json")} for request in batch])
                for request in batch:
                    state.requests[request.index] = request
                    state.ledger.reserve(request.index, worst_case(request.messages, state.max_tokens))
                flights.add(asyncio.create_task(teacher.complete(batch)))
        if not flights:
            if failure is not None:
                journal.append("stopped", [{"cause": "teacher", "message": str(failure)}], durable=True)
                raise failure
            if cause and state.accepted < goal:
                journal.append("stopped", [{"cause": cause}], durable=True)
                raise _limit(state, cause)
            return
        ended, _ = await asyncio.wait(flights, timeout=_TICK_S, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            flights.discard(task)
            problem = None if task.cancelled() else task.exception()
            if problem is not None:
                # What is in flight beside it is paid for: let it end, send nothing more.
                failure = failure or problem
            elif not task.cancelled():
                journal.append(
                    "reply", [{"reply": reply.model_dump(mode="json")} for reply in task.result()], durable=True
                )
                for reply in task.result():
                    state.receive(reply)
        _commit(state, journal)
        if failure is None and state.refused >= _REFUSALS_IN_A_ROW:
            said = state.errors.most_common(1)[0][0]
            failure = TeacherError(f"the teacher refused {state.refused} requests in a row. It said: {said}")
        advance(state.accepted, _note(state, len(flights)))


def _unanswered(state: _State, batch: int, size: int) -> list[Request]:
    """The requests of a batch, whole if any of them has no recorded reply; else none."""
    indices = range(batch * size, (batch + 1) * size)
    if all(index < state.committed or index in state.replies for index in indices):
        return []
    return [state.draw(index) for index in indices]


def _expected(state: _State, flying: int) -> float:
    """How many will have been accepted once everything in flight is judged, at the rate so far."""
    waiting = flying + len(state.replies)
    if not state.committed:
        return state.accepted + waiting * state.config.tasks_per_request * 0.5
    return state.accepted + waiting * state.accepted / state.committed


def _forbidden(state: _State, batch: Sequence[Request]) -> str:
    """The limit that forbids sending this batch, or an empty string."""
    limits: LimitsConfig = state.config.limits
    if limits.max_requests is not None and any(request.index >= limits.max_requests for request in batch):
        return "requests"
    if limits.stall_requests is not None and state.barren >= limits.stall_requests:
        return "stall"
    worst = [worst_case(request.messages, state.max_tokens) for request in batch]
    together = Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in worst),
        completion_tokens=sum(usage.completion_tokens for usage in worst),
    )
    return state.ledger.blocked_by(together) if batch else ""


def _limit(state: _State, cause: str) -> LimitReached:
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


def _commit(state: _State, journal: Journal) -> None:
    """Judge every reply whose turn has come."""
    while True:
        index = state.committed
        verdicts = state.judge_next()
        if verdicts is None:
            return
        journal.append(
            "committed", [{"index": index, "verdicts": [verdict.model_dump(mode="json") for verdict in verdicts]}]
        )


def _note(state: _State, flying: int) -> str:
    rate = f"{state.accepted}/{len(state.verdicts)} candidates kept"
    cost = "" if state.ledger.cost is None else f", cost {state.ledger.cost:.4f}"
    return f"{state.committed} requests, {rate}, {state.ledger.tokens:,} tokens{cost}, {flying} in flight"


def _write_views(folder: Path, state: _State) -> list[Path]:
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


def _spent(state: _State) -> dict[str, Any]:
    """Requests, tokens and money of all sessions, those beyond the goal included."""
    ledger, teacher = state.ledger, state.config.teacher
    prices = teacher.prices if isinstance(teacher, OpenAITeacherConfig) else None
    return {
        "teacher": teacher.model,
        "requests": state.committed,
        "prompt_tokens": ledger.prompt_tokens,
        "completion_tokens": ledger.completion_tokens,
        "lost_tokens": ledger.lost_tokens,
        "cost": ledger.cost,
        "currency": prices.currency if prices else None,
        "prices_as_of": prices.as_of if prices else None,
    }
