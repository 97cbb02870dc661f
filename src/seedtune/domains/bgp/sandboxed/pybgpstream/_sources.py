"""The files of a stream: which ones an interface serves, and in which order their records come.

Merging goes record by record on whole seconds. The next record comes from the file whose next record has the smallest
second; in one second RIBs go before updates; among equals a stack decides: the file that came to this second last goes
first, and a file is read on as long as its second stays the same. A record that cannot be read has no time and counts
as the second before it.

Files whose time spans overlap are opened together, on the stack in the order given; then, from the top, each one whose
first record is not at the file's own time is put on top again at its true second. Later files are opened when the
merge reaches their time, so a year of an archive keeps no more files open than one day of it.
"""

import csv
import heapq
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ._archive import find_files
from ._filters import RECORD_TYPES, Filter
from ._log import log, log_once
from ._mrt import MrtFile, Record

CSV_MARGIN = 1020
"""Seconds that the time of a csv row's file may lie before the window."""

_CSV_FIELDS = 7
_CSV_ROW = "path,project,type,collector,filetime,timespan,timestamp"

UNREADABLE = "Could not get next record (is the stream started?)"
"""What the real library says when a file cannot be had, after 150 s of trying."""


class SourceError(RuntimeError):
    """Data that cannot be served: a csv file that is none, an interface that needs the network."""


@dataclass(frozen=True, slots=True)
class Source:
    """One MRT file.

    Attributes:
        path: Where it lies.
        project: Name of the project.
        collector: Name of the collector.
        type: ``rib`` or ``update``: the type that its records are said to have.
        time: The file's time, seconds since the epoch; the ``dump_time`` of its records.
        span: Seconds that it covers.
        required: A missing file ends the stream with an error, and an empty one gives a record that says so; otherwise
            a missing one is logged and both give nothing.
    """

    path: str
    project: str
    collector: str
    type: str
    time: int
    span: int = 0
    required: bool = True


@dataclass(frozen=True, slots=True)
class Window:
    """Time window, both ends inclusive, seconds since the epoch; ``end`` None means without end."""

    start: int = 0
    end: int | None = None


Item = tuple[int, Source, str, str, Record | None]
"""One record of a stream: the second at which it stands in the merge; its file; its status (``valid``,
``corrupted-record``, ``unknown`` for the first one behind the window, or ``filtered-source``, ``empty-source``,
``corrupted-source``, said of the file as a whole); its position in the file (``start``, ``middle``, ``end``); and what
the file holds there, None for what is said of the file."""


def single_files(options: dict[str, str], now: int) -> list[Source]:
    """The sources of the interface ``singlefile``, which knows neither project nor collector.

    Args:
        options: ``rib-file`` and ``upd-file``.
        now: Time of the run, seconds since the epoch.
    """
    kinds = {"rib-file": "rib", "upd-file": "update"}
    return [
        Source(options[option], "singlefile", "singlefile", kind, now, required=False)
        for option, kind in kinds.items()
        if option in options
    ]


def csv_files(path: str, wanted: Filter, window: Window | None, now: int) -> list[Source]:
    """The sources that a csv file lists and the filters want, in its order.

    Raises:
        RuntimeError: The csv file cannot be read.
        SourceError: A row is none.
    """
    try:
        lines = Path(path).read_text("utf-8", "replace").splitlines()
    except OSError:
        log("ERROR", f"can't open file {path}")
        raise RuntimeError(UNREADABLE) from None
    found: list[Source] = []
    rows = csv.reader(lines, skipinitialspace=True)
    try:
        for row in rows:
            if row:
                source, stamp = _csv_source(f"{path}:{rows.line_num}", [value.strip() for value in row])
                if 0 < stamp < now and _in_csv_window(source.time, window):
                    found.append(source)
    except csv.Error as error:
        raise SourceError(f"{path}:{rows.line_num}: {error}: a row is {_CSV_ROW}") from None
    return [source for source in found if wanted.passes_file(source.project, source.collector, source.type)]


def _csv_source(place: str, row: list[str]) -> tuple[Source, int]:
    """The source of a row, and the row's timestamp."""
    if len(row) != _CSV_FIELDS:
        raise SourceError(f"{place}: {len(row)} fields instead of {_CSV_FIELDS}: a row is {_CSV_ROW}")
    path, project, kind, collector, *numbers = row
    if kind not in RECORD_TYPES:
        raise SourceError(
            f"{place}: type {kind!r} is neither 'ribs' nor 'updates': a row is {_CSV_ROW}, without a header"
        )
    try:
        time, span, stamp = map(int, numbers)
    except ValueError:
        raise SourceError(f"{place}: times are seconds since the epoch: a row is {_CSV_ROW}") from None
    return Source(path, project, collector, RECORD_TYPES[kind], time, span), stamp


def _in_csv_window(time: int, window: Window | None) -> bool:
    if window is None:
        return True
    # As recorded: a window without a start selects nothing, as if its start less the margin were unsigned.
    return window.start > 0 and time >= window.start - CSV_MARGIN and (window.end is None or time <= window.end)


def archive_files(
    folder: str, wanted: Filter, window: Window | None, live_projects: dict[str, str] | None = None
) -> list[Source]:
    """The sources of a local archive that the filters want, by time.

    Args:
        folder: The archive.
        wanted: The filters.
        window: Time window, None for all.
        live_projects: By live project the one whose updates files stand in for it when it is asked for by name.

    Raises:
        SourceError: The folder cannot be read.
    """
    try:
        files = find_files(folder, _log_passed_over)
    except OSError as error:
        raise SourceError(f"the archive {folder} cannot be read: {error.strerror}") from None
    found: list[Source] = []
    for file in files:
        if window is None or file.overlaps(window.start, window.end):
            kind = RECORD_TYPES[file.type]
            live = [name for name, project in (live_projects or {}).items() if project == file.project]
            names = [name for name in live if name in wanted.projects] if kind == "update" else []
            for name in [*names, file.project]:
                if wanted.passes_file(name, file.collector, kind):
                    found.append(Source(str(file.path), name, file.collector, kind, file.time, file.span))
                    break
    return found


def _log_passed_over(path: Path, reason: str) -> None:
    log_once("WARNING", f"{path} is passed over: {reason}")


def thin_ribs(sources: Iterable[Source], period: int) -> list[Source]:
    """Leave out RIBs that follow the last one kept of their collector in less than ``period`` seconds."""
    kept: list[Source] = []
    last: dict[tuple[str, str], int] = {}
    for source in sorted(sources, key=lambda source: source.time):
        name = (source.project, source.collector)
        if source.type == "rib":
            if name in last and source.time - last[name] < period:
                continue
            last[name] = source.time
        kept.append(source)
    return kept


def read(source: Source, window: Window | None) -> Iterator[Item]:
    """The records of one file that fall into the window, and what is said of the file as a whole.

    Raises:
        RuntimeError: A required file cannot be opened.
    """
    try:
        file = MrtFile(source.path)
    except OSError:
        if source.required:
            log("ERROR", f"Could not open {source.path} for reading")
            raise RuntimeError(UNREADABLE) from None
        log("ERROR", f"can't open file '{source.path}'")
        return
    start = window.start if window else 0
    end = window.end if window and window.end is not None else None
    position = "start"
    nothing = True
    second = source.time
    with closing(file):
        for record in file:
            if record.problem is not None:
                log("WARNING", f"Failed to parse message from '{source.path}' ({record.problem})")
                yield second, source, "corrupted-record", "end" if record.last else position, record
                return
            second = int(record.time)
            if second < start:
                position = "middle"
                continue
            if end is not None and second > end:
                yield second, source, "unknown", position, record
                return
            nothing = False
            yield second, source, "valid", "end" if record.last else position, record
            position = "middle"
        if nothing:
            yield from _silent(source, skipped=position == "middle", damaged=file.damage is not None)


def _silent(source: Source, skipped: bool, damaged: bool) -> Iterator[Item]:
    """What a file without a record in the window gives."""
    if skipped:
        yield source.time, source, "filtered-source", "end", None
    elif source.required:
        yield source.time, source, "corrupted-source" if damaged else "empty-source", "end", None
    elif damaged:
        log("ERROR", f"can't read file '{source.path}'")


def merge(sources: list[Source], open_source: Callable[[Source], Iterator[Item]]) -> Iterator[Item]:
    """The records of all sources in the order that the module's docstring states.

    Args:
        sources: The files; their order counts where times are equal.
        open_source: Gives the records of one file.
    """
    if len(sources) == 1:
        yield from open_source(sources[0])
        return
    batches = _batches(sources)
    waiting = next(batches, None)
    pushed = 0
    heap: list[tuple[int, bool, int, Item, Iterator[Item]]] = []
    while heap or waiting:
        if waiting and (not heap or heap[0][0] >= waiting[0]):
            for first, rest in _opened(waiting[1], open_source):
                pushed += 1
                heapq.heappush(heap, (first[0], first[1].type == "update", -pushed, first, rest))
            waiting = next(batches, None)
            continue
        second, is_update, _, item, rest = heapq.heappop(heap)
        yield item
        for item in rest:
            if item[0] != second:
                pushed += 1
                heapq.heappush(heap, (item[0], is_update, -pushed, item, rest))
                break
            yield item


def _batches(sources: list[Source]) -> Iterator[tuple[int, list[Source]]]:
    """Groups of sources whose spans overlap, and when each group begins, by time; inside a group the order given."""
    numbered: list[tuple[int, Source]] = []
    start = end = 0
    for number, source in sorted(enumerate(sources), key=lambda pair: pair[1].time):
        if numbered and source.time != start and source.time >= end:
            yield start, [source for _, source in sorted(numbered, key=lambda pair: pair[0])]
            numbered = []
        if not numbered:
            start = end = source.time
        numbered.append((number, source))
        end = max(end, source.time + source.span)
    if numbered:
        yield start, [source for _, source in sorted(numbered, key=lambda pair: pair[0])]


def _opened(
    sources: list[Source], open_source: Callable[[Source], Iterator[Item]]
) -> list[tuple[Item, Iterator[Item]]]:
    """First record and rest of each source that gives any, in the order in which they are put on the stack."""
    opened: list[tuple[Item, Iterator[Item]]] = []
    for source in sources:
        rest = open_source(source)
        first = next(rest, None)
        if first is not None:
            opened.append((first, rest))
    in_place = [pair for pair in opened if pair[0][0] == pair[0][1].time]
    moved = [pair for pair in opened if pair[0][0] != pair[0][1].time]
    return in_place + moved[::-1]
