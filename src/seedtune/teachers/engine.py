"""Continuous batching: rows are decoded as they come, and where one has ended the next takes its place."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from seedtune.teachers.decoding import Decoder, Row, Writing
from seedtune.teachers.packed_batch import PackedBatch
from seedtune.teachers.slot_batch import SlotBatch, has_one_mask


def make_batch(decoder: Decoder, slots: int) -> PackedBatch | SlotBatch:
    """The kind of batch that suits the model and its device."""
    suits = decoder.device.type == "cuda" and has_one_mask(decoder.model)
    return SlotBatch(decoder, slots) if suits else PackedBatch(decoder, slots)


def write(decoder: Decoder, rows: Sequence[Row], interrupted: Callable[[], bool] = lambda: False) -> list[Writing]:
    """What the model writes after each row; broken off at the next token once ``interrupted`` says so."""
    writings = [Writing(row) for row in rows]
    if rows:
        batch = make_batch(decoder, len(rows))
        batch.join(writings, interrupted)
        while batch.writings and not interrupted():
            batch.step()
    return writings


class Engine:
    """Decodes rows in a thread of its own, which has work only while there are rows."""

    def __init__(self, decoder: Decoder, slots: int, stopped: threading.Event) -> None:
        """Keeps the decoder, which nobody else may use.

        Args:
            decoder: Runs the model.
            slots: Rows to decode at once.
            stopped: Once set, all is broken off at the next token, for good.
        """
        self._decoder = decoder
        self._slots = slots
        self._pool = ThreadPoolExecutor(1, "decoder")
        self._stopped = stopped
        self._lock = threading.Lock()
        """Over what both threads change: which rows wait, and whether somebody sees to them."""
        self._waiting: deque[tuple[Writing, Future[Writing]]] = deque()
        self._going: list[tuple[Writing, Future[Writing]]] = []
        self._is_busy = False
        # To let in one row takes a GPU as long as to let in some, so they wait until some places are free.
        self._least = max(1, slots // 4) if decoder.device.type == "cuda" else 1

    def write(self, row: Row) -> Future[Writing]:
        """What the model writes after a row, at some time; not over if it was broken off.

        The future raises what the model raises, such as that memory does not suffice.
        """
        writing, future = Writing(row), Future[Writing]()
        with self._lock:
            self._waiting.append((writing, future))
            begins, self._is_busy = not self._is_busy, True
        if begins:
            self._pool.submit(self._work).add_done_callback(self._let_go)
        return future

    def _work(self) -> None:
        batch = make_batch(self._decoder, self._slots)
        while not self._stopped.is_set() and self._take():
            fresh = [writing for writing, _ in self._going if not writing.tokens]
            if fresh:
                batch.join(fresh, self._stopped.is_set)
            batch.step()
            self._deliver()

    def _take(self) -> bool:
        """Give free places to rows that wait. False: nothing is left to do, and the next row starts the work anew."""
        with self._lock:
            if not self._going or self._slots - len(self._going) >= self._least:
                while self._waiting and len(self._going) < self._slots:
                    self._going.append(self._waiting.popleft())
            self._is_busy = bool(self._going)
            return self._is_busy

    def _deliver(self) -> None:
        """Hand over what is written."""
        for writing, future in self._going:
            if writing.is_over and future.set_running_or_notify_cancel():
                future.set_result(writing)
        self._going = [(writing, future) for writing, future in self._going if not writing.is_over]

    def _let_go(self, work: Future[None]) -> None:
        """The work is over; where it was broken off, nobody is to wait for the rest of it."""
        problem = work.exception()
        if problem is None and not self._stopped.is_set():
            return
        with self._lock:
            left = [*self._going, *self._waiting]
            self._going = []
            self._waiting.clear()
            self._is_busy = False
        for writing, future in left:
            if not future.set_running_or_notify_cancel():
                continue
            if problem is None:
                future.set_result(writing)
            else:
                future.set_exception(problem)
