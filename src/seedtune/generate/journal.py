"""The append-only journal: every request, raw reply and verdict, in the order they happened.

One JSON object a line, with an ``event``:

    start        settings that shape the data; a journal goes on only under the same
    sent         a request, before it leaves: from now on it may have been paid for
    resent       the same request, before it leaves once more
    turned_away  an attempt was refused before any work, or never arrived: nothing is paid
    lost         an attempt brought no reply, but may have been paid for: its worst case stays charged
    ticket       the word by which the teacher finds its work on requests again after a restart
    reply        what came back
    committed    verdicts on all tasks of one reply; written in request order, one line a request
    stopped      a limit, the teacher or an interruption ended this session

The dataset is a view of it. A last line torn by a crash is cut off on open; a broken line elsewhere is an error.
"""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from seedtune.errors import DataError
from seedtune.records import cut_torn_end, json_line, read_json_lines

Event = Literal["start", "sent", "resent", "turned_away", "lost", "ticket", "reply", "committed", "stopped"]

MEND = "restore the file, or give the run another name (--set name=...)"


class Journal:
    """An open journal. Use :func:`read_events` first: it repairs a torn last line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> "Journal":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def append(self, event: Event, items: Sequence[dict[str, Any]], durable: bool = False) -> None:
        """Write one line per item; with ``durable`` they are on the disk, not only with the kernel, on return.

        Raises:
            DataError: the disk is full or the file went away. What was written before is kept.
        """
        stamp = round(time.time(), 3)
        lines = "".join(json_line({"event": event, "time": stamp, **item}) for item in items)
        # An endpoint's own words may hold what UTF-8 cannot.
        data = lines.encode("utf-8", "replace")
        end = os.fstat(self._descriptor).st_size
        try:
            # No buffer of Python's in between: after a failure it would try again, and leave half a line.
            while data:
                data = data[os.write(self._descriptor, data) :]
            if durable:
                os.fsync(self._descriptor)
        except OSError as problem:
            os.ftruncate(self._descriptor, end)
            raise DataError(
                f"{self._path}: cannot be written: {problem.strerror}. Everything up to here is saved; "
                "free some space and run the same command again"
            ) from problem


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """All whole events; a torn last line is cut from the file.

    Raises:
        DataError: a line that is not the last is broken.
    """
    return (event for _, event in numbered_events(path))


def numbered_events(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """As :func:`read_events`, each with the number of its line."""
    if not path.exists():
        return
    cut_torn_end(path)
    for number, event in read_json_lines(path):
        if event.get("event") not in get_args(Event):
            raise DataError(f"{path}:{number}: not an event of a journal; {MEND}")
        yield number, event
