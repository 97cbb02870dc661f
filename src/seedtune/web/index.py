"""An index of a run's candidates in SQLite, so that a page of 100,000 rows costs what a page of 50 does.

``studio.sqlite`` in the run folder holds for each candidate what is filtered by, and where in the run's files the
candidate stands: the texts themselves stay there. It is made from ``generate/journal.jsonl``, of which only what was
appended is read again, or, for a run without the verdicts in a journal, from ``instructions.jsonl`` and
``rejected.jsonl``. It can be deleted at any time.

    candidate  one row each; ``goal`` is how many accepted instructions the run must ask for until it counts
    text       full-text index of instruction, input and output (FTS5), or the texts where SQLite has no FTS5
    request    where request and reply stand in the journal
    outcome    what people decided, kept by :mod:`seedtune.web.review_desk`
"""

import hashlib
import json
import os
import re
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from seedtune.errors import DataError
from seedtune.records import content_id
from seedtune.web.folders import RunFolder

DATABASE = "studio.sqlite"
JOURNAL, ACCEPTED, REJECTED = "generate/journal.jsonl", "generate/instructions.jsonl", "generate/rejected.jsonl"
FILES = (JOURNAL, ACCEPTED, REJECTED)
"""A candidate names its file by the number here."""

_VERSION = 1
_ROWS_AT_ONCE = 500
_LONG_BYTES = 4 * 1024**2
"""What is read in less than the time that a page waits for; of more, the first rows are shown before the last."""
_FIRST_ROWS = 50
_DRAWING_S = 0.3
"""So long the processor is left to the page that waited for the first rows."""
_HEAD_BYTES = 4_096
_PENDING = "pending"
_INDEX = re.compile(rb'"(?:request|reply)": \{"index": (\d+)')
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE candidate (n INTEGER PRIMARY KEY, id TEXT, kept INTEGER, reason TEXT, pack TEXT, topics TEXT,
    similarity REAL, request INTEGER, goal INTEGER, file INTEGER, at INTEGER, size INTEGER, part INTEGER);
CREATE INDEX candidate_id ON candidate (id);
CREATE TABLE request (number INTEGER PRIMARY KEY, sent_at INTEGER, sent_size INTEGER,
    reply_at INTEGER, reply_size INTEGER);
CREATE TABLE IF NOT EXISTS outcome (id TEXT PRIMARY KEY, decision TEXT, edited INTEGER, disputed INTEGER);
"""


class Index:
    """The index of one run."""

    def __init__(self, run: RunFolder, topics: Callable[[list[str]], list[str]]) -> None:
        """Open it; nothing is read yet.

        Args:
            run: The run.
            topics: Gives the topics of the seed tasks among these ids.
        """
        self._run = run
        self._topics = topics
        self._path = run.file(DATABASE)
        self._prepared = False
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._worker: threading.Thread | None = None
        self._some = threading.Event()
        """The first rows of a long file are there, or all."""
        self._ahead = 0
        """Bytes that the worker began with."""
        self.fault = ""
        """Why the files could not be read to their end; empty if they could."""
        self.share = 1.0
        """How much of the files is in the index, 0..1."""

    @contextmanager
    def connect(self) -> Generator[sqlite3.Connection]:
        """A connection; what was changed is committed where the block ends well."""
        with closing(sqlite3.connect(self._path, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            # What a power cut takes is read from the run's files again.
            connection.execute("PRAGMA synchronous = NORMAL")
            with connection:
                yield connection

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """As :meth:`connect`, to write: it waits for its turn with whoever else writes in this process.

        SQLite alone would let a waiting decision starve beside an index that is being made.
        """
        with self._turn, self.connect() as connection:
            yield connection

    def refresh(self, wait_s: float | None) -> None:
        """Bring the index up to date, in the background.

        Args:
            wait_s: Come back after so long with what is there, or sooner with the first rows of a long file; None waits
                for all.
        """
        with self._lock:
            if self._worker is None or not self._worker.is_alive():
                self._prepare()
                self._some.clear()
                self._worker = threading.Thread(target=self._work, daemon=True)
                self._worker.start()
            worker = self._worker
        if wait_s is None:
            worker.join()
        else:
            self._some.wait(wait_s)

    def _work(self) -> None:
        try:
            self._follow()
            self.fault = ""
        except (DataError, OSError, sqlite3.Error) as problem:
            self.fault = str(problem)
        self.share = 1.0
        self._some.set()

    def _prepare(self) -> None:
        """Make the database, or make it anew where it is another version's or broken."""
        if self._prepared and self._path.is_file():
            return
        for attempt in range(3):
            try:
                with self.connect() as connection:
                    connection.execute("PRAGMA journal_mode = WAL")
                    if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                        _clear(connection)
                self._prepared = True
                return
            except sqlite3.DatabaseError as problem:
                if attempt == 0 and self._path.is_file() and os.access(self._path, os.W_OK):
                    for end in ("", "-wal", "-shm"):
                        self._path.with_name(self._path.name + end).unlink(missing_ok=True)
                elif attempt < 2:
                    # The run cannot be written: an index for this process alone.
                    self._path = Path(tempfile.mkdtemp(prefix="seedtune-studio-")) / DATABASE
                else:
                    raise DataError(f"{self._path}: the index cannot be made: {problem}") from problem

    def _follow(self) -> None:
        with self.writing() as connection:
            if not self._is_continued(connection):
                _clear(connection)
            self._read_journal(connection)
            if _meta(connection, "verdicts"):
                return
            if stamp := self._stamp():
                if _meta(connection, "stamp") == stamp:
                    return
                connection.execute("DELETE FROM candidate")
                _clear_text(connection)
                for name in (ACCEPTED, REJECTED):
                    self._read_view(connection, name)
                _set_meta(connection, "stamp", stamp)

    def _is_continued(self, connection: sqlite3.Connection) -> bool:
        """Whether the journal still begins as it did when it was read."""
        end = int(_meta(connection, "end") or 0)
        path = self._run.file(JOURNAL)
        if not end:
            return True
        if not path.is_file() or path.stat().st_size < end:
            return False
        with path.open("rb") as opened:
            return _digest(opened.read(min(end, _HEAD_BYTES))) == _meta(connection, "head")

    def _stamp(self) -> str:
        """Identity of the views as they stand; empty where there is none."""
        found = [self._run.file(name) for name in (ACCEPTED, REJECTED)]
        return " ".join(f"{p.name}:{p.stat().st_size}:{p.stat().st_mtime_ns}" for p in found if p.is_file())

    def _read_journal(self, connection: sqlite3.Connection) -> None:
        path = self._run.file(JOURNAL)
        if not path.is_file():
            return
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            accepted = int(_meta(connection, "accepted") or 0)
            begin = end = int(_meta(connection, "end") or 0)
            self._ahead = size - begin
            known, unsaved = bool(_meta(connection, "verdicts")), 0
            try:
                for at, line in _lines(file, end):
                    if line.startswith(b'{"event": "committed"'):
                        if not known:
                            # What the views gave until now stands here as well.
                            known = True
                            _set_meta(connection, "verdicts", "1")
                            connection.execute("DELETE FROM candidate")
                            _clear_text(connection)
                        rows, accepted = _committed(path, at, line, accepted)
                        self._add(connection, rows)
                        unsaved += len(rows)
                    elif line.startswith((b'{"event": "sent"', b'{"event": "reply"')):
                        _note_request(connection, at, line)
                    end = at + len(line)
                    if unsaved >= self._rows_at_once:
                        unsaved = 0
                        self.share = end / size
                        self._save(connection, file, end, accepted)
            finally:
                # What stands before a broken line is shown.
                if end > begin:
                    self._save(connection, file, end, accepted)

    @property
    def _is_awaited(self) -> bool:
        """A page waits for the first rows of what will take longer than it can wait."""
        return self._ahead > _LONG_BYTES and not self._some.is_set()

    @property
    def _rows_at_once(self) -> int:
        """Rows that are committed together."""
        return _FIRST_ROWS if self._is_awaited else _ROWS_AT_ONCE

    def _save(self, connection: sqlite3.Connection, file: BinaryIO, end: int, accepted: int) -> None:
        """Commit, with the place to go on from; readers see what there is so far."""
        _set_meta(connection, "end", str(end))
        _set_meta(connection, "accepted", str(accepted))
        head = os.pread(file.fileno(), min(end, _HEAD_BYTES), 0)
        _set_meta(connection, "head", _digest(head))
        self._give_way(connection)

    def _give_way(self, connection: sqlite3.Connection) -> None:
        """Commit, and let in who waits: to write, or for the first rows of a long file."""
        connection.commit()
        # A lock that is taken again at once is taken by the same thread.
        pause = 0.001
        if self._is_awaited:
            self._some.set()
            pause = _DRAWING_S
        self._turn.release()
        time.sleep(pause)
        self._turn.acquire()

    def _read_view(self, connection: sqlite3.Connection, name: str) -> None:
        path = self._run.file(name)
        if not path.is_file():
            return
        number, rows = FILES.index(name), list[dict[str, Any]]()
        with path.open("rb") as file:
            size = self._ahead = os.fstat(file.fileno()).st_size
            for at, line in _lines(file, 0):
                value = _object(path, at, line)
                with _naming(path, at):
                    verdict = value if name == REJECTED else {"candidate": value, "kept": True, **_shown(value)}
                    rows.append(_row(verdict, goal=0, file=number, at=at, size=len(line), part=0))
                if len(rows) >= self._rows_at_once:
                    self.share = at / size
                    self._add(connection, rows)
                    self._give_way(connection)
                    rows = []
        self._add(connection, rows)

    def _add(self, connection: sqlite3.Connection, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["topics"] = "".join(f"|{topic}" for topic in self._topics(row.pop("parents"))) + "|"
            text = row.pop("text")
            marks = ", ".join(f":{name}" for name in row)
            inserted = connection.execute(f"INSERT INTO candidate ({', '.join(row)}) VALUES ({marks})", row)
            connection.execute("INSERT INTO text (rowid, body) VALUES (?, ?)", (inserted.lastrowid, text))


def read_at(run: RunFolder, name: str, at: int, size: int) -> dict[str, Any]:
    """A line of one of :data:`FILES` by its place.

    Raises:
        DataError: something else stands there by now.
    """
    path = run.file(name)
    with path.open("rb") as opened:
        opened.seek(at)
        return _object(path, at, opened.read(size))


def read_verdicts(run: RunFolder, rows: Iterable[sqlite3.Row]) -> Iterator[tuple[sqlite3.Row, dict[str, Any]]]:
    """The verdict that each row points to, with its ``candidate``; rows of one line are read together.

    Raises:
        DataError: something else stands there by now.
    """
    place, line = None, dict[str, Any]()
    with ExitStack() as stack:
        files: dict[int, BinaryIO] = {}
        for row in rows:
            number = row["file"]
            path = run.path / FILES[number]
            if place != (number, row["at"]):
                place = (number, row["at"])
                if number not in files:
                    files[number] = stack.enter_context(run.file(FILES[number]).open("rb"))
                files[number].seek(row["at"])
                line = _object(path, row["at"], files[number].read(row["size"]))
            yield row, _verdict(path, row, line)


def _verdict(path: Path, row: sqlite3.Row, line: dict[str, Any]) -> dict[str, Any]:
    try:
        if FILES[row["file"]] == JOURNAL:
            return line["verdicts"][row["part"]]
        return {"candidate": line, "kept": True, **_shown(line)} if FILES[row["file"]] == ACCEPTED else line
    except (KeyError, IndexError, TypeError) as problem:
        raise DataError(f"{path}: byte {row['at']:,} holds another line by now; load the page again") from problem


def has_fts(connection: sqlite3.Connection) -> bool:
    """Whether :data:`text <DATABASE>` is a full-text index."""
    found = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'text'").fetchone()
    return "fts5" in found["sql"]


def _shown(line: dict[str, Any]) -> dict[str, Any]:
    """What a line of the dataset says beside the task, as a verdict has it."""
    names = ("similarity", "nearest", "neighbours", "scores", "mean_similarity", "printed")
    found = {name: line[name] for name in names if name in line}
    if "neighbours" in found:
        found["neighbours"] = [(near["id"], near["similarity"]) for near in found["neighbours"]]
    return found


def _committed(path: Path, at: int, line: bytes, accepted: int) -> tuple[list[dict[str, Any]], int]:
    """The decided candidates of one reply, and how many instructions are accepted up to it.

    A candidate counts as long as the run asks for at least ``goal`` instructions: an accepted one for its own place,
    a rejected one for the next.
    """
    rows: list[dict[str, Any]] = []
    last = None
    with _naming(path, at):
        for part, verdict in enumerate(_object(path, at, line)["verdicts"]):
            kept, instruction = bool(verdict["kept"]), verdict["candidate"]["instruction"]
            if kept and instruction != last:
                accepted += 1
                last = instruction
            if verdict.get("reason", "") != _PENDING:
                goal = accepted if kept else accepted + 1
                rows.append(_row(verdict, goal=goal, file=FILES.index(JOURNAL), at=at, size=len(line), part=part))
    return rows, accepted


def _row(verdict: dict[str, Any], **place: int) -> dict[str, Any]:
    task = verdict["candidate"]
    texts = [str(task.get(name, "")) for name in ("instruction", "input", "output")]
    return {
        "id": content_id(*texts),
        "kept": int(bool(verdict["kept"])),
        "reason": str(verdict.get("reason", "")),
        "pack": str(task.get("pack", "")),
        "similarity": float(verdict.get("similarity", 0.0)),
        "request": int(task.get("request", -1)),
        "parents": list(task.get("parents", ())),
        "text": "\n".join(texts),
        **place,
    }


@contextmanager
def _naming(path: Path, at: int) -> Generator[None]:
    """What a line lacks becomes an error with its place."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        if isinstance(problem, DataError):
            raise
        raise DataError(f"{path}: the line at byte {at:,} holds no candidate: {problem!r}") from problem


def _note_request(connection: sqlite3.Connection, at: int, line: bytes) -> None:
    # Without reading the whole: a request holds the prompt of the pack, a reply its text.
    found = _INDEX.search(line[:200])
    if found is None:
        return
    kind = "sent" if line.startswith(b'{"event": "sent"') else "reply"
    connection.execute(
        f"INSERT INTO request (number, {kind}_at, {kind}_size) VALUES (?, ?, ?) "
        f"ON CONFLICT (number) DO UPDATE SET {kind}_at = excluded.{kind}_at, {kind}_size = excluded.{kind}_size",
        (int(found[1]), at, len(line)),
    )


def _lines(file: BinaryIO, start: int) -> Iterator[tuple[int, bytes]]:
    """Place and bytes of each whole line from ``start`` on; a last one that is still being written is left out."""
    file.seek(start)
    for line in file:
        if not line.endswith(b"\n"):
            return
        if line.strip():
            yield start, line
        start += len(line)


def _object(path: Path, at: int, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{path}: the line at byte {at:,} cannot be read: {problem}") from problem
    if not isinstance(value, dict):
        raise DataError(f"{path}: the line at byte {at:,} is no JSON object")
    return value


def _clear(connection: sqlite3.Connection) -> None:
    for (name,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT NULL"
    ).fetchall():
        if not name.startswith(("text_", "sqlite_")) and name != "outcome":
            connection.execute(f"DROP TABLE IF EXISTS {name}")
    connection.executescript(_TABLES)
    _clear_text(connection)
    connection.execute(f"PRAGMA user_version = {_VERSION}")


def _clear_text(connection: sqlite3.Connection) -> None:
    connection.execute("DROP TABLE IF EXISTS text")
    try:
        connection.execute(
            "CREATE VIRTUAL TABLE text USING fts5(body, content='', tokenize=\"unicode61 tokenchars '_'\")"
        )
    except sqlite3.OperationalError:
        connection.execute("CREATE TABLE text (body TEXT)")


def _meta(connection: sqlite3.Connection, key: str) -> str:
    found = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return found["value"] if found else ""


def _set_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
