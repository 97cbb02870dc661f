"""The process that holds a run's models while somebody chats: started, asked, stopped and ended from here."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, Any, Literal

from seedtune.errors import DataError, ModelError, RunError
from seedtune.records import json_line, write_atomic
from seedtune.web.children import Child, process_start
from seedtune.web.folders import RunFolder
from seedtune.web.pair import Conversations, Decoding

FOLDER = "chat"
"""Of the run folder: what was said about answers, and what the process said."""
RECORD, LOG = f"{FOLDER}/process.json", f"{FOLDER}/process.log"
IDLE_S = 900.0
"""The models leave memory after so long without a question."""
_TAIL_BYTES = 2_000

State = Literal["loading", "ready", "answering", "ended"]
Event = dict[str, Any]


class Talker:
    """The models of one run, in a child process that does not outlive this one."""

    def __init__(self, run: RunFolder, idle_s: float = IDLE_S) -> None:
        """Start it; the models load meanwhile.

        Raises:
            DataError: the run folder cannot be written.
        """
        self.run = run
        self.about: Event = {}
        """What was loaded; empty until then."""
        self.fault = ""
        """Why it ended, if it did so by itself."""
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._number = 0
        self._answering = threading.Lock()
        self._process = _spawn(run, idle_s)
        threading.Thread(target=self._listen, args=[_pipe(self._process.stdout)], daemon=True).start()

    @property
    def state(self) -> State:
        """How it stands."""
        if self.fault or self._process.poll() is not None:
            return "ended"
        if not self.about:
            return "loading"
        return "answering" if self._answering.locked() else "ready"

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def _listen(self, lines: IO[bytes]) -> None:
        for line in lines:
            event: Event = json.loads(line)
            match event.pop("event"), event.get("number"):
                case "ready", _:
                    self.about = event
                case "fault", None:
                    self.fault = event["said"]
                case kind, _:
                    self._events.put({"event": kind, **event})
        code = self._process.wait()
        lines.close()
        with suppress(OSError):
            _pipe(self._process.stdin).close()
        if code and not self.fault:
            self.fault = f"the models' process ended ({_ending(code)}): {_last_words(self.run)}"
        self._events.put(None)

    def answer(self, conversations: Conversations, decoding: Decoding) -> Generator[Event]:
        """Events of one answer of each side: ``piece`` and ``ending``. Closing it breaks the answers off.

        Args:
            conversations: By side.
            decoding: The same for all.

        Raises:
            RunError: an answer is written already, or the models are not there.
            ModelError: (from the events) they cannot answer.
        """
        if self.state == "answering":
            raise RunError("the models are answering already; wait, or stop them")
        if self.state != "ready":
            raise RunError("the models are not loaded; load them first")
        turns = {side: [turn.model_dump() for turn in said] for side, said in conversations.items()}
        return self._follow({"conversations": turns, "decoding": decoding.model_dump()})

    def _follow(self, order: Event) -> Generator[Event]:
        # Here, and not where it is asked for: an answer that nobody begins to read is none.
        if not self._answering.acquire(blocking=False):
            raise ModelError("the models are answering already; wait, or stop them")
        over = False
        self._number = number = self._number + 1
        try:
            self._tell({"number": number, **order})
            for event in self._of(number):
                if event["event"] == "fault":
                    over = True
                    raise ModelError(event["said"])
                if event["event"] == "over":
                    over = True
                    return
                yield event
        finally:
            if not over:
                self._break_off(number)
            self._answering.release()

    def _break_off(self, number: int) -> None:
        self._tell({"stop": number})
        with suppress(ModelError):
            for event in self._of(number):
                if event["event"] in ("over", "fault"):
                    return

    def _of(self, number: int) -> Iterator[Event]:
        """Events of an answer, as they come.

        Raises:
            ModelError: the process ended.
        """
        while True:
            event = self._events.get()
            if event is None:
                self._events.put(None)
                raise ModelError(self.fault or "the models' process has ended; load the models again")
            if event["number"] == number:
                yield event

    def stop(self) -> None:
        """Break the answers off that are written now; they end with what there is."""
        self._tell({"stop": self._number})

    def close(self) -> None:
        """End the process."""
        with suppress(OSError):
            _pipe(self._process.stdin).close()
        self._process.wait()

    def _tell(self, order: Event) -> None:
        # A process that has just ended is found out by who listens.
        with suppress(OSError, ValueError):
            pipe = _pipe(self._process.stdin)
            pipe.write(json_line(order).encode())
            pipe.flush()


def _spawn(run: RunFolder, idle_s: float) -> subprocess.Popen[bytes]:
    try:
        run.file(FOLDER).mkdir(exist_ok=True)
        with run.file(LOG).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "seedtune.web.pair_child", str(run.path), str(idle_s)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "NO_COLOR": "1"},
                # The terminal's Ctrl-C is the studio's: this process ends with its standard input.
                start_new_session=True,
            )
    except OSError as problem:
        raise DataError(f"{run.path / FOLDER}: cannot be written: {problem.strerror}") from problem
    at = datetime.now(UTC).isoformat(timespec="seconds")
    child = Child(pid=process.pid, started=process_start(process.pid) or "", command="models of the chat", at=at)
    write_atomic(run.file(RECORD), child.model_dump_json(indent=2) + "\n")
    return process


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RunError("the models' process has no pipe")
    return pipe


def _ending(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}{', perhaps for want of memory' if code == -9 else ''}"


def _last_words(run: RunFolder) -> str:
    try:
        text = run.file(LOG).read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace")
    except OSError:
        return "it said nothing"
    return text.strip().rpartition("\n")[2] or "it said nothing"
