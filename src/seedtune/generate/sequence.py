"""Which work each request of a run does.

Some requests build on what earlier ones brought: a classic request shows instructions that the teacher wrote before,
a follow-up is about a candidate. So that the result does not depend on how many requests are in flight, request
``index`` may build only on those below its *horizon*, which follows from the index alone: it lies one to two times
``lookahead`` behind. Follow-ups take the next free index from which they can be seen, the oldest first; where none is
to be seen, a request begins new work.
"""

from collections import deque
from dataclasses import dataclass

from seedtune.records import Step, Verdict


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


@dataclass(frozen=True)
class Work:
    """What one request does."""

    follow_up: FollowUp | None
    """None: it begins new work."""
    beginnings: int
    """Requests before it that began new work."""
    candidates: int
    """Pending candidates in the follow-ups before it."""


class Sequence:
    """Hands out indices. It must be told of every request that was judged, in order."""

    def __init__(self, lookahead: int, dependent: bool, block: int = 1) -> None:
        """Settle what may depend on what.

        Args:
            lookahead: 0: each request sees all before its block, so that one block is in flight at a time.
            dependent: Whether requests build on earlier ones at all; else none ever waits.
            block: Requests that are decoded together, and so drawn together.
        """
        self._stride = -(-lookahead // block) * block
        self.dependent = dependent
        """Whether requests build on earlier ones at all."""
        self._block = block
        self._waiting: deque[tuple[int, FollowUp]] = deque()
        self._assigned: dict[int, Work] = {}
        self._end = Work(None, 0, 0)
        """Of the next index that is not settled."""
        self._known = 0
        self._judged = 0

    def horizon(self, index: int) -> int:
        """Request ``index`` builds only on what requests below this one brought."""
        if not self.dependent:
            return 0
        if not self._stride:
            return index // self._block * self._block
        return max(0, (index // self._stride - 1) * self._stride)

    def is_known(self, index: int) -> bool:
        """Whether it is settled by now what request ``index`` does."""
        while self._known <= index and self.horizon(self._known) <= self._judged:
            is_seen = self._waiting and self._waiting[0][0] < self.horizon(self._known)
            follow_up = self._waiting.popleft()[1] if is_seen else None
            before = self._end
            self._assigned[self._known] = Work(follow_up, before.beginnings, before.candidates)
            candidates = len(follow_up.pending) if follow_up else 0
            self._end = Work(None, before.beginnings + (follow_up is None), before.candidates + candidates)
            self._known += 1
        return index < self._known

    def work(self, index: int) -> Work:
        """What a request does whose index is known, and not judged longer ago than its block."""
        return self._assigned[index]

    def ahead(self, index: int) -> tuple[int, int]:
        """Beginnings, and candidates in follow-ups, from the next request to be judged to the one before ``index``.

        Both indices must be known.
        """
        first = self._assigned.get(self._judged, self._end)
        last = self._assigned.get(index, self._end)
        return last.beginnings - first.beginnings, last.candidates - first.candidates

    def judged(self, index: int, follow_ups: list[FollowUp]) -> None:
        """Request ``index``, the next in order, is judged and leaves this to be done."""
        self._assigned.pop(index - self._block, None)
        self._waiting.extend((index, follow_up) for follow_up in follow_ups)
        self._judged = index + 1
