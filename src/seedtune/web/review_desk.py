"""The data of one run with what people decide about it: pages, single items, decisions, repairs."""

import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from seedtune.errors import DataError, RunError
from seedtune.records import Task, cut_torn_end, json_line
from seedtune.review_decisions import REVIEW, Decision, Decisions, Word, agreements, read_words
from seedtune.web.background import Background
from seedtune.web.folders import RunFolder, RunsFolder
from seedtune.web.index import Index, read_verdicts
from seedtune.web.queries import Filters, Place, facets, find_all, find_page, find_row
from seedtune.web.repairs import PARTS, Repair

_WAIT_S = 0.3
"""So long a page waits for an index that is still being made; then it shows what there is."""
_SAMPLES = 20


class Save(BaseModel):
    """A word as a page sends it; who and when is added here."""

    id: str
    decision: Decision
    rating: int | None = Field(default=None, ge=1, le=5)
    edited: Task | None = None


@dataclass(frozen=True)
class Shown:
    """A candidate as it stands in the files and as people left it."""

    row: sqlite3.Row
    verdict: dict[str, Any]
    task: dict[str, str]
    """Instruction, input, output; edited, where a person edited them."""
    words: list[Word]


class Desk:
    """One run's data, for all pages that look at it."""

    def __init__(self, run: RunFolder, runs: RunsFolder, wait_s: float | None = _WAIT_S) -> None:
        """Open it; nothing is read yet.

        Args:
            run: The run.
            runs: Its folder.
            wait_s: So long to wait for an index that is being made; None is to its end.
        """
        self.run = run
        self._wait_s = wait_s
        self.background = Background(run, runs)
        self.index = Index(run, self.background.topics)
        self._decisions = Decisions()
        self._history: list[Word] = []
        self._stamp: tuple[int, int] | None = None
        self._lock = Lock()

    def page(self, filters: Filters, place: Place, by: str) -> dict[str, Any]:
        """One page of candidates, in plain values."""
        self.refresh()
        with self.index.connect() as connection:
            rows, ahead, total = find_page(connection, filters, place, self.background.goal)
            shown = [self._row_json(shown, by) for shown in self._show(rows)]
        return {
            "rows": shown,
            "ahead": ahead,
            "total": total,
            "indexed": round(self.index.share, 3),
            "fault": self.index.fault,
        }

    def facets(self) -> dict[str, Any]:
        """What can be filtered by, and how far reviewers agree."""
        self.refresh()
        with self.index.connect() as connection:
            counts = facets(connection, self.background.goal)
        with self._lock:
            pairs = [pair._asdict() for pair in agreements(self._decisions)]
        return {"facets": counts, "agreement": pairs, "fault": self.background.fault}

    def item(self, number: int, by: str) -> dict[str, Any]:
        """One candidate with everything that is known of it.

        Raises:
            RunError: there is no such row.
        """
        self.refresh()
        with self.index.connect() as connection:
            shown = self._find(connection, "n", number)
            return {
                **self._row_json(shown, by),
                **self.background.about(connection, shown.row, shown.verdict, shown.task),
            }

    def rows(self, filters: Filters, by: str) -> Iterator[dict[str, Any]]:
        """Every candidate of a filter, in order, as on a page."""
        self.refresh()
        with self.index.connect() as connection:
            for shown in self._show(find_all(connection, filters, self.background.goal)):
                yield self._row_json(shown, by)

    def task(self, identity: str) -> tuple[dict[str, str], dict[str, str]]:
        """A task as people left it, and as it was generated.

        Raises:
            RunError: it is not there.
        """
        self.refresh()
        with self.index.connect() as connection:
            shown = self._find(connection, "id", identity)
        return shown.task, _task(shown.verdict["candidate"])

    def amend(self, identities: Sequence[str], by: str, **change: Any) -> None:
        """Change parts of a reviewer's words on tasks; what else was said of them stays.

        Raises:
            RunError: a task is not there; nothing is written.
            DataError: the file cannot be written; nothing is written.
        """
        self.refresh()
        with self._lock:
            before = {identity: self._decisions.word(identity, by) for identity in identities}
        self.save([_as_save(identity, word).model_copy(update=change) for identity, word in before.items()], by)

    def save(self, saves: Sequence[Save], by: str, batch: str = "") -> None:
        """Append words, in their order; they are on the disk when this returns.

        Raises:
            RunError: a word is about a task that is not there; none is written.
            DataError: the file cannot be written; none is written.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        words = [
            Word(id=s.id, decision=s.decision, rating=s.rating, edited=s.edited, batch=batch, by=by, at=at)
            for s in saves
        ]
        self.refresh()
        with self.index.connect() as connection:
            for identity in {word.id for word in words}:
                if find_row(connection, "id", identity) is None:
                    raise RunError(f"{self.run.name}: there is no task {identity}")
        with self._lock:
            self._append(words)

    def preview(self, repair: Repair, filters: Filters) -> dict[str, Any]:
        """What a repair would change."""
        count, samples = 0, list[dict[str, Any]]()
        for shown, mended in self._faulty(repair, filters):
            count += 1
            if len(samples) < _SAMPLES:
                samples.append({"id": shown.row["id"], "before": shown.task, "after": mended.model_dump()})
        return {"count": count, "samples": samples}

    def repair(self, repair: Repair, filters: Filters, by: str, expected: int) -> dict[str, Any]:
        """Edit every task with the fault; decisions and ratings stay.

        Raises:
            RunError: there are more or fewer than the preview showed.
        """
        saves: list[Save] = []
        for shown, mended in self._faulty(repair, filters):
            mine = next((word for word in shown.words if word.by == by), None)
            decision, rating = (mine.decision, mine.rating) if mine else ("none", None)
            saves.append(Save(id=shown.row["id"], decision=decision, rating=rating, edited=mended))
        if len(saves) != expected:
            raise RunError(f"{self.run.name}: not the {expected:,} tasks of the preview any more; look at it again")
        batch = secrets.token_hex(8)
        self.save(saves, by, batch)
        return {"batch": batch, "count": len(saves)}

    def undo_batch(self, batch: str, by: str) -> dict[str, int]:
        """Take a repair back where nothing was said of the task since: what the reviewer said before counts again."""
        self.refresh()
        with self._lock:
            before: dict[str, Word | None] = {}
            last: dict[str, Word] = {}
            for word in self._history:
                if word.by != by:
                    continue
                if word.batch == batch:
                    before[word.id] = last.get(word.id)
                last[word.id] = word
            undone = [identity for identity in before if last[identity].batch == batch]
        saves = [_as_save(identity, before[identity]) for identity in undone]
        if saves:
            self.save(saves, by)
        return {"count": len(undone), "changed_since": len(before) - len(undone)}

    def _faulty(self, repair: Repair, filters: Filters) -> Iterator[tuple[Shown, Task]]:
        self.refresh()
        seen: set[str] = set()
        with self.index.connect() as connection:
            for shown in self._show(find_all(connection, filters, self.background.goal)):
                identity = shown.row["id"]
                if identity not in seen and (mended := repair.mend(shown.task)):
                    yield shown, Task(**mended)
                seen.add(identity)

    def _find(self, connection: sqlite3.Connection, column: Literal["n", "id"], value: int | str) -> Shown:
        row = find_row(connection, column, value)
        if row is None:
            raise RunError(f"{self.run.name}: there is no {'row' if column == 'n' else 'task'} {value}")
        return next(self._show([row]))

    def _show(self, rows: Iterable[sqlite3.Row]) -> Iterator[Shown]:
        for row, verdict in read_verdicts(self.run, rows):
            with self._lock:
                outcome, words = self._decisions.outcome(row["id"]), self._decisions.of(row["id"])
            task = outcome.edited.model_dump() if outcome.edited else _task(verdict["candidate"])
            yield Shown(row, verdict, task, words)

    def _row_json(self, shown: Shown, by: str) -> dict[str, Any]:
        row, mine = shown.row, next((word for word in shown.words if word.by == by), None)
        return {
            "n": row["n"],
            "id": row["id"],
            "kept": bool(row["kept"]),
            "reason": row["reason"],
            "detail": str(shown.verdict.get("detail", "")),
            "pack": row["pack"],
            "topics": [topic for topic in row["topics"].split("|") if topic],
            "similarity": row["similarity"],
            "task": shown.task,
            "original": _task(shown.verdict["candidate"]),
            "mine": _word_json(mine) if mine else None,
            "others": [{"by": word.by, **_word_json(word)} for word in shown.words if word.by != by],
        }

    def refresh(self) -> None:
        """Bring index and decisions up to what the files hold now; ``index.fault`` says what cannot be read."""
        self.background.refresh()
        self.index.refresh(self._wait_s)
        path = self.run.file(f"generate/{REVIEW}")
        with self._lock:
            stamp = _stamp(path)
            if stamp == self._stamp:
                return
            # Another studio, or a person with an editor.
            self._history = read_words(path)
            self._decisions = Decisions()
            for word in self._history:
                self._decisions.add(word)
            self._stamp = stamp
            with self.index.writing() as connection:
                connection.execute("DELETE FROM outcome")
                _write_outcomes(connection, self._decisions, self._decisions.ids())

    def _append(self, words: Sequence[Word]) -> None:
        path = self.run.file(f"generate/{REVIEW}")
        data = "".join(json_line(word.model_dump(mode="json", exclude_defaults=True)) for word in words)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _end_last_line(path)
            with path.open("ab", buffering=0) as file:
                end = os.fstat(file.fileno()).st_size
                try:
                    if file.write(data.encode()) < len(data.encode()):
                        raise OSError("the disk is full")
                    os.fsync(file.fileno())
                except OSError:
                    os.ftruncate(file.fileno(), end)
                    raise
        except OSError as problem:
            raise DataError(f"{path}: the decisions cannot be written: {problem.strerror or problem}") from problem
        self._history += words
        for word in words:
            self._decisions.add(word)
        # What another process appended since the last look is still to be read.
        self._stamp = _stamp(path) if self._stamp and self._stamp[0] == end else None
        with self.index.writing() as connection:
            _write_outcomes(connection, self._decisions, [word.id for word in words])


def _end_last_line(path: Path) -> None:
    """Take half a line, which a killed process left, off the file; a whole one that an editor did not end stays."""
    data = path.read_bytes() if path.is_file() else b""
    if not data or data.endswith(b"\n"):
        return
    last = data.rpartition(b"\n")[2]
    try:
        Word.model_validate_json(last)
    except ValidationError:
        cut_torn_end(path)
    else:
        with path.open("ab") as file:
            file.write(b"\n")


def _write_outcomes(connection: sqlite3.Connection, decisions: Decisions, identities: Sequence[str]) -> None:
    outcomes = [(identity, decisions.outcome(identity)) for identity in identities]
    connection.executemany(
        "INSERT OR REPLACE INTO outcome VALUES (?, ?, ?, ?)",
        [(identity, o.decision, int(o.edited is not None), int(o.disputed)) for identity, o in outcomes],
    )


def _as_save(identity: str, word: Word | None) -> Save:
    if word is None:
        return Save(id=identity, decision="none")
    return Save(id=identity, decision=word.decision, rating=word.rating, edited=word.edited)


def _word_json(word: Word) -> dict[str, Any]:
    return word.model_dump(mode="json", include={"decision", "rating", "edited", "at"})


def _task(candidate: dict[str, Any]) -> dict[str, str]:
    return {part: str(candidate.get(part, "")) for part in PARTS}


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_size, found.st_mtime_ns)
