"""The models of a chat in a process of their own: ``python -m seedtune.web.pair_child RUN IDLE_SECONDS``.

It speaks lines of JSON. On standard input:

    {"number": 1, "conversations": {"base": [...], "tuned": [...]}, "decoding": {...}}
    {"stop": 1}                      break answer 1 off

On standard output:

    {"event": "ready", "base": ..., "adapter_sha256": ..., ...}
    {"event": "piece", "number": 1, "side": "base", "text": ...}
    {"event": "ending", "number": 1, "side": "base", "text": ..., "tokens": ..., "seconds": ..., "ended": ...}
    {"event": "over", "number": 1}   both sides have ended
    {"event": "fault", "said": ...}  instead of "ready", or of "over" where "number" stands

It ends when standard input does, or when nothing was asked for a while.
"""

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from pydantic import BaseModel

from seedtune import console
from seedtune.errors import SeedtuneError
from seedtune.records import Message, json_line
from seedtune.web.pair import Decoding, Ending, Pair, Piece, Side


class Ask(BaseModel):
    """Conversations to go on with."""

    number: int
    """Rises with each."""
    conversations: dict[Side, list[Message]]
    decoding: Decoding


class _Orders:
    """What standard input says, read in a thread: a stop has to be heard while an answer is written."""

    def __init__(self) -> None:
        self.asks: queue.Queue[Ask] = queue.Queue()
        self._stopped = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin.buffer:
            order: dict[str, Any] = json.loads(line)
            if "stop" in order:
                self._stopped = max(self._stopped, int(order["stop"]))
            else:
                self.asks.put(Ask.model_validate(order))
        # Whoever asked is gone, and a model may be loading for minutes.
        os._exit(0)

    def is_stopped(self, number: int) -> bool:
        return number <= self._stopped


def main(folder: Path, idle_s: float) -> int:
    """Load the models and answer until there is nothing more to do; the exit code."""
    # Libraries print what they like: it must not get among the lines.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    console.set_up_logging()
    orders = _Orders()
    try:
        pair = Pair(folder)
    except SeedtuneError as problem:
        _tell(out, {"event": "fault", "said": str(problem)})
        return problem.exit_code
    _tell(out, {"event": "ready", **asdict(pair.about)})
    while True:
        try:
            ask = orders.asks.get(timeout=idle_s)
        except queue.Empty:
            return 0
        _answer(pair, ask, lambda number=ask.number: orders.is_stopped(number), out)


def _answer(pair: Pair, ask: Ask, stopped: Callable[[], bool], out: TextIO) -> None:
    try:
        for found in pair.answer(ask.conversations, ask.decoding, stopped):
            match found:
                case Piece():
                    _tell(out, {"event": "piece", "number": ask.number, **found._asdict()})
                case Ending():
                    _tell(out, {"event": "ending", "number": ask.number, **found._asdict()})
    except SeedtuneError as problem:
        _tell(out, {"event": "fault", "number": ask.number, "said": str(problem)})
    else:
        _tell(out, {"event": "over", "number": ask.number})


def _tell(out: TextIO, event: dict[str, Any]) -> None:
    out.write(json_line(event))
    out.flush()


if __name__ == "__main__":
    # The thread still listens: an ordinary end would wait for it.
    os._exit(main(Path(sys.argv[1]), float(sys.argv[2])))
