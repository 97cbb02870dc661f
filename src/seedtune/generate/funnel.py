"""Count what became of requests and candidates, up to the one that reached the goal.

What comes behind the goal depends on how many requests were in flight, so it is in no count and no view.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from seedtune.domains.programs import programs_of
from seedtune.generate.reading import Reading
from seedtune.records import Reply, Step, Verdict
from seedtune.teachers.replies import is_whole

PENDING = "pending"
"""The reason of a verdict that a follow-up will decide."""

PROGRAM_KINDS = ("run", "fragments", "none")
"""What an example that was kept holds: a program that was run, nothing but fragments of programs, no Python at all."""

_SAID = 500
"""Characters kept of what an endpoint said."""
_KINDS = 20
"""The most kinds of failures that are told apart."""
_OTHERS, _VARYING = "other errors", " (ids and numbers differ)"
_STATUS = re.compile(r"[1-5]\d\d")
_OF_ITS_OWN = re.compile(r"(?=[\w.:,/+=-]*\d)[\w.:,/+=-]*\w")
"""A word with a digit in it: mostly an id, a count or a time, of this one request."""

_BEGINNINGS: tuple[Step, ...] = ("tasks", "instructions")


def up_to_goal(verdicts: Iterable[Verdict], accepted: int, goal: int) -> Iterator[tuple[Verdict, int]]:
    """The verdicts of one reply that count, each with the number of accepted instructions up to it.

    Args:
        verdicts: Of the reply, in order.
        accepted: Instructions accepted before.
        goal: How many are asked for. Several instances of one instruction count once.
    """
    last = None
    for verdict in verdicts:
        is_new = verdict.kept and verdict.candidate.instruction != last
        is_last = verdict.kept and not is_new
        if accepted >= goal and not is_last:
            continue
        if is_new:
            accepted += 1
            last = verdict.candidate.instruction
        yield verdict, accepted


class Failures:
    """How often requests failed, by what was said; words that differ in ids and numbers alone count as one kind."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._varying: set[str] = set()

    def add(self, error: str) -> None:
        """Count what was said of one request."""
        said = error if len(error) <= _SAID else f"{error[:_SAID]} ..."
        kind = _OF_ITS_OWN.sub(lambda word: word[0] if _STATUS.fullmatch(word[0]) else "", said)
        if kind not in self._counts and len(self._counts) >= _KINDS:
            kind = said = _OTHERS
        self._counts[kind] += 1
        if self._first.setdefault(kind, said) != said:
            self._varying.add(kind)

    def most_common(self, most: int | None = None) -> list[tuple[str, int]]:
        """What was said first of each kind, and how often something of this kind was."""
        return [
            (self._first[kind] + (_VARYING if kind in self._varying else ""), count)
            for kind, count in self._counts.most_common(most)
        ]


class Funnel:
    """The counts of a run; the same from the same replies."""

    def __init__(self, goal: int, classic: bool, tried_packs: Collection[str] = ()) -> None:
        """Begin at nothing.

        Args:
            goal: Instructions that are asked for.
            classic: Whether an instruction has several instances.
            tried_packs: Those in whose answers programs are tried.
        """
        self.goal = goal
        self._classic = classic
        self._tried_packs = tried_packs
        self.accepted = 0
        """Instructions."""
        self.examples = 0
        """Instances of them: the same number, but in classic mode."""
        self.candidates = 0
        self.requests: Counter[str] = Counter()
        self.errors = Failures()
        self._faults: Counter[str] = Counter()
        self._broken_off: Counter[str] = Counter()
        self._replies: Counter[str] = Counter()
        self._tasks: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._rejected_instances: Counter[str] = Counter()
        self._packs: Counter[str] = Counter()
        self._programs: Counter[str] = Counter()

    @property
    def is_full(self) -> bool:
        """Whether the goal is reached."""
        return self.accepted >= self.goal

    @property
    def share_kept(self) -> float | None:
        """Of the candidates that are decided; None before the first."""
        decided = self.accepted + sum(self._rejected.values())
        return self.accepted / decided if decided else None

    def count(self, step: Step, reply: Reply, reading: Reading, verdicts: Sequence[Verdict]) -> None:
        """One request, in order.

        Args:
            step: What was asked.
            reply: What came.
            reading: What it says.
            verdicts: On its candidates.
        """
        if self.is_full:
            return
        self.requests[step] += 1
        self._faults.update(reading.faults)
        if reply.error:
            self.errors.add(reply.error)
        elif not is_whole(reply.finish_reason):
            self._broken_off[reply.finish_reason] += 1
        if reading.path:
            self._replies[reading.path] += 1
            self._tasks[reading.path] += len(reading.candidates)
        for verdict, accepted in up_to_goal(verdicts, self.accepted, self.goal):
            if step in _BEGINNINGS:
                self.candidates += 1
            self._packs[verdict.candidate.pack] += accepted - self.accepted
            self.accepted = accepted
            self.examples += verdict.kept
            self._decide(step, verdict)
            if verdict.kept and verdict.candidate.pack in self._tried_packs:
                self._programs[_tried(verdict)] += 1

    def _decide(self, step: Step, verdict: Verdict) -> None:
        if verdict.kept or verdict.reason == PENDING:
            return
        is_instance = self._classic and step not in _BEGINNINGS and verdict.candidate.output
        (self._rejected_instances if is_instance else self._rejected)[verdict.reason] += 1

    def most_rejected(self, most: int) -> list[tuple[str, int]]:
        """The reasons that candidates were rejected for most often, and how often."""
        return self._rejected.most_common(most)

    def as_json(self) -> dict[str, Any]:
        """For ``funnel.json``. ``candidates`` = ``rejected`` + ``accepted`` + ``undecided``."""
        rejected = sum(self._rejected.values())
        counts: dict[str, Any] = {
            "requests": sum(self.requests.values()),
            "requests_by_step": dict(sorted(self.requests.items())),
            "failed_requests": dict(self.errors.most_common()),
            "broken_tasks": dict(sorted(self._faults.items())),
            "yield": {
                path: {"replies": self._replies[path], "tasks": self._tasks[path]} for path in sorted(self._replies)
            },
            "candidates": self.candidates,
            "rejected": dict(self._rejected.most_common()),
            "undecided": self.candidates - rejected - self.accepted,
            "accepted": self.accepted,
            "examples": self.examples,
            "accepted_by_pack": dict(sorted((pack, count) for pack, count in self._packs.items() if count)),
        }
        if self._broken_off:
            counts["broken_off"] = dict(sorted(self._broken_off.items()))
        if self._rejected_instances:
            counts["rejected_instances"] = dict(self._rejected_instances.most_common())
        if self._tried_packs:
            counts["programs"] = {kind: self._programs[kind] for kind in PROGRAM_KINDS}
        return counts


def _tried(verdict: Verdict) -> str:
    """One of :data:`PROGRAM_KINDS`. A program that was run and kept has printed something."""
    if verdict.printed:
        return "run"
    return "fragments" if programs_of(verdict.candidate.output) else "none"
