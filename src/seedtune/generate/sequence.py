"""Which work each request of a run does.

Some requests build on what earlier ones brought: a classic request shows instructions that the teacher wrote before,
a follow-up is about a candidate. So that the result does not depend on how many requests are in flight, request
``index`` may build only on those below its *horizon*, which follows from the index alone: it lies one to two strides
behind, and a stride grows with the index up to ``lookahead``, so that a small run does not begin more than it can end.
Follow-ups take the next index from which they can be seen: those that decide soonest first, of these the oldest. Where
none is to be seen, a request begins new work.
"""

from collections import deque
from dataclasses import dataclass

from seedtune.records import Step, Verdict

_SOONEST_FIRST: tuple[Step, ...] = ("judgement", "instances", "classification")
_STRIDES = 4
"""A stride is at most this part of the way so far."""


@dataclass(frozen=True)
class FollowUp:
    """Work on candidates that are still to be decided."""

    step: Step
    pack: str
    pending: tuple[Verdict, ...]
    """Verdicts so far, all with the reason ``pending``."""
    source: str = ""
    is_classification: bool = False
    """What the step before said of the instruction."""
    decides: bool = True
    """No further step comes behind it."""


@dataclass(frozen=True)
class Work:
    """What one request does."""

    follow_up: FollowUp | None
    """None: it begins new work."""
    beginnings: int
    """Requests before it that began new work."""
    candidates: int
    """Pending candidates that the follow-ups before it decide."""


class Sequence:
    """Hands out indices. It must be told of every request that was judged, in order."""

    def __init__(self, lookahead: int, dependent: bool, block: int = 1) -> None:
        """Settle what may depend on what.

        Args:
            lookahead: The longest stride. 0: each request sees all before its block, so one block is in flight at once.
            dependent: Whether requests build on earlier ones at all; else none ever waits.
            block: Requests that are decoded together, and so drawn together.
        """
        self._lookahead = lookahead
        self.dependent = dependent
        """Whether requests build on earlier ones at all."""
        self._block = block
        self._waiting: dict[Step, deque[tuple[int, FollowUp]]] = {step: deque() for step in _SOONEST_FIRST}
        self._assigned: dict[int, Work] = {}
        self._end = Work(None, 0, 0)
        """Of the next index that is not settled."""
        self._known = 0
        self._judged = 0

    def horizon(self, index: int) -> int:
        """Request ``index`` builds only on what requests below this one brought."""
        if not self.dependent:
            return 0
        if not self._lookahead:
            return index // self._block * self._block
        so_far = max(1, index // _STRIDES)
        stride = min(self._lookahead, 1 << (so_far.bit_length() - 1))
        stride = -(-stride // self._block) * self._block
        return max(0, (index // stride - 1) * stride)

    def is_known(self, index: int) -> bool:
        """Whether it is settled by now what request ``index`` does."""
        while self._known <= index and self.horizon(self._known) <= self._judged:
            follow_up = self._take(self.horizon(self._known))
            before = self._end
            self._assigned[self._known] = Work(follow_up, before.beginnings, before.candidates)
            candidates = len(follow_up.pending) if follow_up and follow_up.decides else 0
            self._end = Work(None, before.beginnings + (follow_up is None), before.candidates + candidates)
            self._known += 1
        return index < self._known

    def _take(self, horizon: int) -> FollowUp | None:
        for waiting in self._waiting.values():
            if waiting and waiting[0][0] < horizon:
                return waiting.popleft()[1]
        return None

    def work(self, index: int) -> Work:
        """What a request does whose index is known, and not judged longer ago than its block."""
        return self._assigned[index]

    def ahead(self, index: int) -> tuple[int, int]:
        """Beginnings, and candidates decided, from the next request to be judged to the one before ``index``.

        Both indices must be known.
        """
        first = self._assigned.get(self._judged, self._end)
        last = self._assigned.get(index, self._end)
        return last.beginnings - first.beginnings, last.candidates - first.candidates

    def judged(self, index: int, follow_ups: list[FollowUp]) -> None:
        """Request ``index``, the next in order, is judged and leaves this to be done."""
        self._assigned.pop(index - self._block, None)
        for follow_up in follow_ups:
            self._waiting[follow_up.step].append((index, follow_up))
        self._judged = index + 1
