"""Say how a run stands while it works: beside the progress bar, and in ``progress.json`` for who looks from outside."""

import json
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seedtune import console
from seedtune.errors import DataError
from seedtune.generate.state import State
from seedtune.records import write_atomic
from seedtune.teachers import ChatTeacher

logger = logging.getLogger(__name__)

_EVERY_S = 2.0


class Progress:
    """Counts from the beginning of this session, where a speed is asked for."""

    def __init__(self, state: State, teachers: Mapping[str, ChatTeacher], folder: Path) -> None:
        self._state = state
        self._teachers = teachers
        self._path = folder / "progress.json"
        self._began = time.monotonic()
        self._before = self._used, state.accepted
        self._written = 0.0

    def note(self, in_flight: int) -> str:
        """For the progress bar, what matters most first: terminals are narrow."""
        self.write(in_flight)
        state, ledger = self._state, self._state.ledger
        share = state.funnel.share_kept
        parts = [f"{share:.0%} kept"] if share is not None else []
        if state.cost is not None:
            projected = self._projected_cost
            parts.append(f"cost {state.cost:.4f}" + (f" of about {projected:.4f}" if projected is not None else ""))
        parts += [f"{in_flight} in flight", f"{self._tokens_per_s:,.0f} tokens/s"]
        # It may hold the endpoint's own words.
        parts += [console.printable(teacher.status) for teacher in self._teachers.values() if teacher.status]
        parts += [f"up to {ledger.lost_tokens:,} tokens lost"] if ledger.lost_tokens else []
        return ", ".join([*parts, f"{self._used:,} tokens", f"{state.committed} requests"])

    def write(self, in_flight: int, final: bool = False) -> None:
        """Write ``progress.json``, every other second at most; ``final`` at the end of a session."""
        now = time.monotonic()
        if not final and now - self._written < _EVERY_S:
            return
        self._written = now
        try:
            write_atomic(self._path, json.dumps(self._as_json(in_flight, final), indent=2) + "\n")
        except DataError as problem:
            # What is in flight is worth more; where nothing can be written at all, the journal ends the run.
            logger.warning("%s", problem)

    def _as_json(self, in_flight: int, final: bool) -> dict[str, Any]:
        state, ledger = self._state, self._state.ledger
        return {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "working": not final,
            "accepted": state.accepted,
            "goal": state.funnel.goal,
            "candidates": state.candidates,
            "requests": state.committed,
            "tokens": self._used,
            "lost_tokens": ledger.lost_tokens,
            "tokens_per_s": round(self._tokens_per_s, 1),
            "cost": state.cost,
            "projected_cost": self._projected_cost,
            "seconds_left": self._seconds_left,
            "in_flight": in_flight,
            "endpoints": {name: teacher.status for name, teacher in self._teachers.items()},
            "funnel": state.funnel.as_json(),
        }

    @property
    def _used(self) -> int:
        """Tokens of replies that came."""
        return self._state.ledger.prompt_tokens + self._state.ledger.completion_tokens

    @property
    def _elapsed_s(self) -> float:
        return max(time.monotonic() - self._began, 1e-9)

    @property
    def _tokens_per_s(self) -> float:
        return (self._used - self._before[0]) / self._elapsed_s

    @property
    def _projected_cost(self) -> float | None:
        """The cost of what was judged, for as many as are wanted; never less than what is spent."""
        state = self._state
        if state.cost is None or not state.accepted:
            return None
        judged = state.cost * state.committed / (state.committed + len(state.replies))
        return max(state.cost, judged / state.accepted * state.funnel.goal)

    @property
    def _seconds_left(self) -> float | None:
        gained = self._state.accepted - self._before[1]
        left = self._state.funnel.goal - self._state.accepted
        return round(left * self._elapsed_s / gained, 1) if gained > 0 else None
