"""Where the loop stands: replies waiting for their turn, the pool, what was spent, and the counts.

The state follows from the journal alone; :meth:`State.replay` rebuilds it. Of what was judged, it keeps the encoded
instructions of the pool and the counts.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seedtune.config import Config, LocalTeacherConfig, OpenAITeacherConfig, Prices, TeacherConfig
from seedtune.domains import Domain, Pack
from seedtune.domains.asked import guard_of
from seedtune.errors import DataError
from seedtune.generate.composing import Composer
from seedtune.generate.deciding import Decider, Outcome
from seedtune.generate.filters.execution import Trial
from seedtune.generate.funnel import PENDING, Funnel
from seedtune.generate.journal import MEND, numbered_events
from seedtune.generate.sequence import FollowUp, Sequence
from seedtune.generate.settings import require_same
from seedtune.records import Reply, Request, Usage, Verdict, validation_message
from seedtune.teachers import block_of, worst_case
from seedtune.teachers.ledger import Ledger, prices_of

TEACHER, JUDGE = "teacher", "judge"

_AHEAD = 32
"""Programs of so many replies are tried before it is their turn."""
_USUAL_SHARE = 0.5
"""Of what is asked for, accepted; until the run knows better."""


@dataclass(frozen=True)
class Turn:
    """A reply whose turn it is to be judged."""

    request: Request
    follow_up: FollowUp | None
    """What the request was for; None: it began new work."""
    reply: Reply


class State:
    """Where the loop of one run stands."""

    def __init__(self, config: Config, domain: Domain, packs: list[Pack]) -> None:
        generate = config.generate
        self.config = generate
        self.seed = config.seed
        self.composer = Composer(config, packs)
        guard = guard_of(domain, config.evaluate) if generate.decontaminate else None
        self._decider = Decider(generate, domain, packs, self.composer, guard)
        self.teachers: dict[str, TeacherConfig] = {TEACHER: generate.teacher}
        if generate.judge is not None and generate.judge.teacher is not None:
            self.teachers[JUDGE] = generate.judge.teacher
        is_classic = generate.mode == "classic"
        self._sequence = Sequence(
            0 if is_classic and generate.fidelity == "strict" else generate.lookahead,
            dependent=is_classic or generate.judge is not None,
            # Not :attr:`block`: what a request builds on must not depend on the machine.
            block=max(t.batch_size if isinstance(t, LocalTeacherConfig) else 1 for t in self.teachers.values()),
        )
        self.ledger = Ledger(generate.limits, {name: prices_of(teacher) for name, teacher in self.teachers.items()})
        self.funnel = Funnel(generate.num_instructions, is_classic, self._decider.tried_packs)
        self.requests: dict[int, Request] = {}
        self.replies: dict[int, Reply] = {}
        self._trials: dict[int, Iterable[Future[Trial]]] = {}
        """Programs of replies that wait for their turn."""
        self.tickets: dict[int, str] = {}
        """What the teacher kept for requests without a reply."""
        self.committed = 0
        """Every request below this index has been judged."""
        self._came = 0
        """Every request below this index has a reply, or has been judged."""
        self.refused = 0
        """Refusals in a row in this session."""
        asked = 1 if self._sequence.dependent else generate.tasks_per_request
        self._rate = _Rate(asked * _USUAL_SHARE)
        """Accepted of what a beginning brings; where follow-ups decide, of each candidate decided."""
        self._stalls = [_Recent(generate.limits.stall_requests), _Recent(generate.limits.stall_requests)]
        """What the last beginnings brought into the pool, and what the last decisions accepted."""
        self._written: list[str] = []
        self._written_at: list[int] = []
        """Instructions that a classic request may show, and the requests that brought them."""

    @cached_property
    def block(self) -> int:
        """Indices are handed out in blocks of this size: what is decoded together is the same in every session."""
        return max(block_of(teacher) for teacher in self.teachers.values())

    @property
    def accepted(self) -> int:
        """Instructions accepted, of those that count."""
        return self.funnel.accepted

    @property
    def candidates(self) -> int:
        """Candidates judged, of those that count."""
        return self.funnel.candidates

    @property
    def prices(self) -> list[Prices]:
        """Of the teachers that cost something, as far as they are known."""
        return [t.prices for t in self.teachers.values() if isinstance(t, OpenAITeacherConfig) and t.prices is not None]

    @property
    def cost(self) -> float | None:
        """Spent in all sessions; None where nothing has a price, or one that was used has none that is known."""
        return self.ledger.cost if self.prices else None

    @property
    def contents(self) -> dict[str, str]:
        """What shapes the data beside the config: the items that candidates are held against, documents, rubric."""
        return {
            "items": self._decider.items_digest,
            "documents": self.composer.passages_digest,
            "rubric": self.composer.rubric,
            "programs": self._decider.programs_digest,
        }

    @property
    def is_stalled(self) -> bool:
        """Whether the last requests added too little."""
        return any(recent.is_below(self.config.limits.stall_accepted) for recent in self._stalls)

    @property
    def is_next_here(self) -> bool:
        """Whether the reply whose turn it is has come; what :meth:`turn` does not give waits for its programs.

        Whether these are still being tried is not asked: they may have ended since.
        """
        return self.committed in self.replies

    def prepare(self) -> None:
        """Do now what would keep paid replies waiting later: load and run the models of the filters.

        Raises:
            SandboxError: there will be programs, and none can be run here.
        """
        self._decider.prepare()

    def listen(self, heard: Callable[[], None]) -> None:
        """Have ``heard`` called, from another thread, whenever programs have been tried."""
        self._decider.listen(heard)

    def close(self) -> None:
        """Try no more programs."""
        self._decider.close()

    def draw(self, index: int, structured: Mapping[str, bool]) -> Request | None:
        """Request ``index``, the same in every session; None while what it builds on is still to come.

        Args:
            index: Not judged, or in one block with one that is not.
            structured: By teacher, whether it offers replies by a schema.
        """
        if not self._sequence.is_known(index):
            return None
        work = self._sequence.work(index)
        if work.follow_up is not None:
            name = self._judge if work.follow_up.step == "judgement" else TEACHER
            return self.composer.follow(index, work.follow_up, structured.get(name, False))
        seen = bisect_left(self._written_at, self._sequence.horizon(index))
        return self.composer.begin(index, work.beginnings, self._written[:seen], structured.get(TEACHER, False))

    def asks(self, request: Request) -> str:
        """Which teacher a request is for."""
        return self._judge if request.step == "judgement" else TEACHER

    def in_batches(self, request: Request) -> bool:
        """Whether what is sent now is priced as part of a batch."""
        teacher = self.teachers[self.asks(request)]
        return isinstance(teacher, OpenAITeacherConfig) and teacher.transport == "batch"

    def worst_case(self, request: Request) -> Usage:
        """The most tokens that an attempt at a request can use."""
        return worst_case(request, self.teachers[self.asks(request)].sampling)

    def blocked_by(self, request: Request, worst: Usage) -> str:
        """The limit on money or tokens that forbids attempts of this worst case, or none (empty)."""
        blocked = self.ledger.blocked_by(worst, self.asks(request), self.in_batches(request))
        return "budget" if blocked == "cost" else blocked

    def expected_before(self, index: int) -> float:
        """How many may have been accepted once every request below ``index`` is judged, at the rate so far.

        Candidates whose follow-up comes at ``index`` or later are none of them: the requests up to there are needed.
        """
        begun, decided = self._sequence.ahead(index)
        return self.accepted + self._rate.expected(decided if self._sequence.dependent else begun)

    def candidates_with(self, request: Request) -> int:
        """How many there will be once all up to ``request`` are judged, if each brings what it is asked for."""
        begun, _ = self._sequence.ahead(request.index)
        begun += self._sequence.work(request.index).follow_up is None
        return self.candidates + begun * self.composer.tasks_asked

    def send(self, request: Request, worst: Usage, batch: bool) -> None:
        """An attempt is about to leave: set its worst case aside."""
        self.requests[request.index] = request
        self.ledger.reserve(request.index, worst, self.asks(request), batch)

    def fail(self, index: int, paid: bool) -> None:
        """An attempt brought no reply; it may have been paid for."""
        self.tickets.pop(index, None)
        if paid:
            self.ledger.lose(index)
        else:
            self.ledger.release(index)

    def receive(self, reply: Reply) -> None:
        """Keep a reply until its turn. Of two for one request (a batch done again) the first counts."""
        self.tickets.pop(reply.index, None)
        self.ledger.settle(reply.index, reply.usage)
        if reply.index >= self.committed:
            self.replies.setdefault(reply.index, reply)

    @property
    def ready(self) -> int:
        """Replies that only wait to be judged, as all before them are there."""
        self._came = max(self._came, self.committed)
        while self._came in self.replies:
            self._came += 1
        return self._came - self.committed

    def turn(self) -> Turn | None:
        """The next reply in order; None while it is not there, or its programs are being tried."""
        self._try_programs()
        is_tried = all(trial.done() for trial in self._trials.get(self.committed, ()))
        return self._turn() if self.is_next_here and is_tried else None

    def _turn(self) -> Turn:
        reply = self.replies[self.committed]
        return Turn(self._request_of(reply), self._sequence.work(reply.index).follow_up, reply)

    def decide(self, turn: Turn) -> Outcome:
        """Verdicts on a reply; what it brings is in the pool when this returns, and is yet to be committed.

        May be called from another thread, as long as nothing else is judged meanwhile.

        Raises:
            SandboxError: programs cannot be run here any more.
        """
        return self._decider.decide(turn.request, turn.follow_up, turn.reply)

    def restore(self, verdicts: tuple[Verdict, ...]) -> None:
        """Take the verdicts on the next reply from the journal instead of judging again."""
        turn = self._turn()
        self.commit(turn, self._decider.restore(turn.request, turn.follow_up, turn.reply, verdicts))

    def _try_programs(self) -> None:
        """Begin with the programs of what has come, as far ahead as it is known what the requests were for."""
        for index in range(self.committed, self.committed + _AHEAD):
            reply = self.replies.get(index)
            if reply is not None and index not in self._trials and self._sequence.is_known(index):
                follow_up = self._sequence.work(index).follow_up
                self._trials[index] = self._decider.try_programs(self._request_of(reply), follow_up, reply)

    @property
    def _judge(self) -> str:
        return JUDGE if JUDGE in self.teachers else TEACHER

    def _request_of(self, reply: Reply) -> Request:
        # What a request does is settled once those before it are judged.
        self._sequence.is_known(reply.index)
        request = self.requests.get(reply.index) or self.draw(reply.index, {})
        if request is None:
            raise DataError(f"the journal holds a reply to request {reply.index}, which cannot have been sent")
        return request

    def commit(self, turn: Turn, outcome: Outcome) -> None:
        """Count what was decided of the reply whose turn it is."""
        before, reply, follow_up = self.accepted, turn.reply, turn.follow_up
        self.funnel.count(turn.request.step, reply, outcome.reading, outcome.verdicts)
        entered = sum(verdict.kept or verdict.reason == PENDING for verdict in outcome.verdicts)
        gained = self.accepted - before
        if follow_up is None:
            self._stalls[0].add(entered)
        elif not outcome.follow_ups:
            self._stalls[1].add(gained)
        if follow_up is None and not self._sequence.dependent:
            self._rate.add(1, gained)
        elif follow_up is not None and follow_up.decides:
            self._rate.add(len(follow_up.pending), gained)
        if turn.request.step == "instructions":
            pending = [verdict.candidate.instruction for verdict in outcome.verdicts if verdict.reason == PENDING]
            self._written += pending
            self._written_at += [reply.index] * len(pending)
        self.refused = self.refused + 1 if reply.finish_reason == "error" else 0
        self.requests.pop(reply.index, None)
        del self.replies[reply.index]
        self._trials.pop(reply.index, None)
        self._sequence.judged(reply.index, list(outcome.follow_ups))
        self.committed += 1

    def replay(self, path: Path, settings: dict[str, Any]) -> bool:
        """Read the journal of earlier sessions. False if there is none.

        Raises:
            RunError: it was begun with other settings.
            DataError: a line is broken or missing.
        """
        begun = False
        for number, event in numbered_events(path):
            if (event["event"] == "start") == begun:
                raise DataError(f"{path}:{number}: a journal has one start, its first line; {MEND}")
            begun = True
            try:
                self._take(path, event, settings)
            except KeyError as problem:
                raise DataError(f"{path}:{number}: {event['event']} without {problem}; {MEND}") from problem
            except (TypeError, ValueError) as problem:
                said = validation_message(problem) if isinstance(problem, ValidationError) else problem
                raise DataError(f"{path}:{number}: {event['event']}: {said}; {MEND}") from problem
        self.refused = 0
        return begun

    def _take(self, path: Path, event: dict[str, Any], settings: dict[str, Any]) -> None:
        """One event of an earlier session."""
        kind = event["event"]
        if kind == "start":
            require_same(path, event["settings"], settings)
        elif kind in ("sent", "resent"):
            request = Request.model_validate(event["request"]) if kind == "sent" else self._sent(event["index"])
            self.send(request, self.worst_case(request), event.get("batch", False))
        elif kind in ("turned_away", "lost"):
            self.fail(event["index"], paid=kind == "lost")
        elif kind == "ticket":
            self.tickets |= {self._sent(index).index: event["ticket"] for index in event["indices"]}
        elif kind == "reply":
            self.receive(Reply.model_validate(event["reply"]))
        elif kind == "committed":
            if event["index"] != self.committed or event["index"] not in self.replies:
                raise ValueError(f"verdicts on request {event['index']}, where those on {self.committed} were to come")
            self.restore(tuple(Verdict.model_validate(verdict) for verdict in event["verdicts"]))

    def _sent(self, index: int) -> Request:
        if index not in self.requests:
            raise ValueError(f"of request {index}, which was not sent")
        return self.requests[index]


@dataclass
class _Rate:
    """What requests bring, learned while the run goes on, so that no more are sent than the goal asks for."""

    guess: float
    """Taken before there is anything to learn from."""
    _count: int = 0
    _accepted: int = 0

    def add(self, count: int, accepted: int) -> None:
        self._count += count
        self._accepted += accepted

    def expected(self, count: int) -> float:
        return count * (self._accepted / self._count if self._count else self.guess)


class _Recent:
    """The sum over the last requests of what each brought."""

    def __init__(self, size: int | None) -> None:
        self._last: deque[int] = deque(maxlen=size or 1)
        self._size = size
        self._sum = 0

    def add(self, gain: int) -> None:
        if len(self._last) == self._last.maxlen:
            self._sum -= self._last[0]
        self._last.append(gain)
        self._sum += gain

    def is_below(self, bound: int) -> bool:
        """False while there were not enough requests to tell."""
        return self._size is not None and len(self._last) == self._size and self._sum < bound
