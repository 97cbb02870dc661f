"""Continuous batching: rows are decoded as they come, and where one has ended the next takes its place."""

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from seedtune.teachers.decoding import Batch, Decoder, Row, Writing


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
        batch = Batch(self._decoder, self._slots)
        while not self._stopped.is_set() and self._take():
            fresh = [writing for writing, _ in self._going if not writing.tokens]
            if fresh:
                batch.join(fresh, self._stopped.is_set)
            batch.step()
            self._deliver()

    def _take(self) -> bool:
        """Give free places to rows that wait. False: nothing is left to do, and the next row starts the work anew."""
        with self._lock:
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
