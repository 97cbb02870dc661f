"""Where the loop stands: replies waiting for their turn, the pool, what was spent, and the counts.

The state follows from the journal alone; :meth:`State.replay` rebuilds it.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seedtune.config import Config, OpenAITeacherConfig
from seedtune.domains import Domain, Pack
from seedtune.errors import DataError, RunError
from seedtune.generate.filters import FilterRules, judge
from seedtune.generate.journal import read_events
from seedtune.generate.parsing import Fault, parse_reply
from seedtune.generate.sampling import draw_request, usable_packs
from seedtune.records import Candidate, Reply, Request, Usage, Verdict
from seedtune.similarity import RougeIndex
from seedtune.teachers import worst_case
from seedtune.teachers.ledger import Ledger


class State:
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
        self.goal = generate.num_instructions
        prices = generate.teacher.prices if isinstance(generate.teacher, OpenAITeacherConfig) else None
        self.ledger = Ledger(generate.limits, prices)
        self.max_tokens = generate.teacher.sampling.max_tokens
        self.in_batches = isinstance(generate.teacher, OpenAITeacherConfig) and generate.teacher.transport == "batch"
        """What is sent now is priced as part of a batch."""
        self.requests: dict[int, Request] = {}
        self.replies: dict[int, Reply] = {}
        self.tickets: dict[int, str] = {}
        """What the teacher kept for requests without a reply."""
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
        """Refusals in a row in this session."""
        self.errors: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def draw(self, index: int) -> Request:
        """Request ``index``, the same in every session."""
        generate = self.config
        return draw_request(self.seed, index, self.examples, generate.seeds_per_request, generate.tasks_per_request)

    def send(self, request: Request, worst: Usage, batch: bool) -> None:
        """An attempt is about to leave: set its worst case aside."""
        self.requests[request.index] = request
        self.ledger.reserve(request.index, worst, batch)

    def worst_case(self, request: Request) -> Usage:
        """The most tokens that an attempt at a request can use."""
        return worst_case(request.messages, self.max_tokens)

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
        self._count(reply, verdicts, parsed.faults)
        return verdicts

    def restore(self, verdicts: list[Verdict]) -> None:
        """Take verdicts from the journal instead of judging again."""
        for verdict in verdicts:
            if verdict.kept:
                self.pool.add(verdict.candidate.id, verdict.candidate.instruction)
        reply = self.replies[self.committed]
        self._count(reply, verdicts, parse_reply(reply.text, reply.finish_reason).faults)

    def _count(self, reply: Reply, verdicts: list[Verdict], faults: Sequence[Fault]) -> None:
        if self.accepted < self.goal:
            self.counted += 1
            self.faults.update(faults)
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
        """Read the journal of earlier sessions. False if there is none.

        Raises:
            RunError: it was begun with other settings.
            DataError: a line is broken or missing.
        """
        begun = False
        for event in read_events(path):
            if event["event"] == "start":
                begun = True
                _same_settings(path, event["settings"], settings)
            elif event["event"] in ("sent", "resent"):
                request = Request.model_validate(event["request"]) if "request" in event else None
                request = request or self.requests.get(event["index"])
                if request is None:
                    raise DataError(f"{path}: the journal lacks a line before request {event['index']} was sent again")
                self.send(request, self.worst_case(request), event.get("batch", False))
            elif event["event"] in ("turned_away", "lost"):
                self.fail(event["index"], paid=event["event"] == "lost")
            elif event["event"] == "ticket":
                self.tickets |= dict.fromkeys(event["indices"], event["ticket"])
            elif event["event"] == "reply":
                self.receive(Reply.model_validate(event["reply"]))
            elif event["event"] == "committed":
                if event["index"] != self.committed or event["index"] not in self.replies:
                    raise DataError(f"{path}: the journal lacks a line before the verdicts on request {event['index']}")
                self.restore([Verdict.model_validate(verdict) for verdict in event["verdicts"]])
        self.refused = 0
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
