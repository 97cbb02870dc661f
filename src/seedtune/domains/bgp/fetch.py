"""Download MRT files of RIPE RIS and RouteViews into a local archive, in their own layout.

    https://data.ris.ripe.net/rrc00/2024.03/updates.20240301.0000.gz
    https://archive.routeviews.org/route-views.sg/bgpdata/2024.03/UPDATES/updates.20240301.0000.bz2

What there is, and about how large, is read from a month's index page: one request, and it also finds the old files
whose names keep to no schedule. A mirror without index pages is asked by HEAD for each name of the schedule.

A file grows as ``NAME.part`` and gets its name when it is whole: as long as the server said, unpacked to its end
without a fault, and beginning like MRT.

Not covered: whether each record is sound ('seedtune bgp archive DIR --check' reads them); mirrors over FTP or rsync.
"""

import bz2
import fcntl
import gzip
import html
import re
import shutil
import struct
import time
import zlib
from calendar import timegm
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from seedtune.domains.bgp.archive import PART_SUFFIX, Kind, missing_between
from seedtune.domains.bgp.collectors import COLLECTORS, nearest_collector
from seedtune.domains.bgp.download import AbsentError, Client, HostUnavailable, RefusedError
from seedtune.domains.bgp.sandboxed.pybgpstream._archive import ROUTE_VIEWS_SPAN, ROUTE_VIEWS_TOP, file_span, identify
from seedtune.errors import ConfigError, DataError, LimitReached, RunError

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MISSES = 12
"""A month whose first so many files are not there is taken to be empty."""

_FIRST_FILE = timegm((1999, 10, 1, 0, 0, 0))
"""RIS began in October 1999, before RouteViews wrote MRT."""

_BGP_TYPES = (5, 9, 10, 12, 13, 16, 17)
"""MRT types that speak of BGP (RFC 6396, section 4 and appendix B)."""
_HEADER = struct.Struct("!IHHI")


@dataclass(frozen=True)
class Project:
    """How a project lays out its public archive."""

    name: str
    url: str
    suffix: str
    rib_stem: str
    rib_every_s: int

    def folder(self, collector: str, kind: Kind, when: int) -> str:
        """The folder of a month's files, with a slash at its end; ``when`` in seconds since the epoch."""
        month = time.strftime("%Y.%m", time.gmtime(when))
        if self.name == "ris":
            return f"{collector}/{month}/"
        top = "" if collector == ROUTE_VIEWS_TOP else f"{collector}/"
        return f"{top}bgpdata/{month}/{kind.upper()}/"

    def file_name(self, kind: Kind, when: int) -> str:
        """The name of the file that begins at ``when``."""
        stem = "updates" if kind == "updates" else self.rib_stem
        return time.strftime(f"{stem}.%Y%m%d.%H%M{self.suffix}", time.gmtime(when))

    def step(self, kind: Kind, when: int) -> int:
        """Seconds from one file to the next."""
        return file_span(self.name, "updates", when) if kind == "updates" else self.rib_every_s


PROJECTS = {
    "ris": Project("ris", "https://data.ris.ripe.net/", ".gz", "bview", 8 * 3600),
    "routeviews": Project("routeviews", "https://archive.routeviews.org/", ".bz2", "rib", 2 * 3600),
}


@dataclass(frozen=True)
class Wanted:
    """The files of one type from one collector that a window needs.

    ``start`` and ``until`` are seconds since the epoch, both inclusive like PyBGPStream's ``from_time`` and
    ``until_time``. ``url`` is the archive's or a mirror's, with a slash at its end.
    """

    project: Project
    collector: str
    kind: Kind
    start: int
    until: int
    url: str

    def scheduled(self) -> list[int]:
        """When the files begin by the project's schedule; the first updates file is the one that covers ``start``."""
        step = self.project.step(self.kind, self.start)
        first = self.start // step * step if self.kind == "updates" else -(-self.start // step) * step
        return list(range(first, self.until + 1, step))

    def folder(self, when: int) -> str:
        """Where the files of that month lie, below the archive over there and the one here."""
        return self.project.folder(self.collector, self.kind, when)

    def path(self, when: int) -> str:
        """Where the file lies that begins at ``when``."""
        return self.folder(when) + self.project.file_name(self.kind, when)

    def file(self, when: int) -> "RemoteFile":
        """The file that begins at ``when``, its size unknown."""
        return RemoteFile(self.url + self.path(when), self.path(when), None)

    def begins(self, path: str) -> int | None:
        """When a file of the window begins; None if it is of another type or lies outside."""
        file = identify(Path(path), Path())
        if file is None or file.type != self.kind:
            return None
        return file.time if file.time + max(1, file.span) > self.start and file.time <= self.until else None


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch; ``path`` is below the local archive. ``size`` in bytes may be rounded, None is unknown."""

    url: str
    path: str
    size: int | None


@dataclass(frozen=True)
class Plan:
    """What a download consists of."""

    files: tuple[RemoteFile, ...]
    here: int
    """How many files of the windows are there already."""
    missing: tuple[str, ...]
    """URLs of files that the schedule promises and the archive over there does not have."""

    @property
    def size(self) -> int:
        """Bytes of the files whose size is known."""
        return sum(file.size or 0 for file in self.files)


@dataclass(frozen=True)
class Outcome:
    """What became of one file; ``detail`` says why it could not be had."""

    file: RemoteFile
    state: Literal["fetched", "missing", "failed"]
    detail: str = ""


def choose_files(
    collectors: Sequence[str], kinds: Sequence[Kind], window: tuple[str, str], mirror: str | None = None
) -> list[Wanted]:
    """What a command line asks for; the end of the window is brought down to what can be written by now.

    Args:
        collectors: Names as PyBGPStream has them.
        kinds: Which types of file.
        window: Its first and last time, as ``parse_time`` reads them.
        mirror: URL of a mirror that is laid out like the public archives.

    Raises:
        ConfigError: an unknown collector, a window that is none, a mirror that is no HTTP address.
    """
    # A file appears when the time that it covers is over.
    start, until = parse_time(window[0]), min(parse_time(window[1]), int(time.time()) - ROUTE_VIEWS_SPAN)
    if not _FIRST_FILE <= start <= until:
        raise ConfigError(
            f"no archive holds a window from {window[0]} until {window[1]}: it must begin after October 1999, "
            f"before its end, and at least {ROUTE_VIEWS_SPAN // 60} minutes ago"
        )
    if mirror is not None and not re.fullmatch(r"https?://[^\s?#]+", mirror):
        raise ConfigError(f"--mirror {mirror}: give an address such as https://mirror.example/mrt/")
    wanted: list[Wanted] = []
    for name in dict.fromkeys(collectors):
        if name not in COLLECTORS:
            near = nearest_collector(name)
            hint = f"did you mean '{near}'?" if near else "names look like rrc00 or route-views.sg"
            raise ConfigError(f"there is no collector '{name}'; {hint}")
        project = PROJECTS[COLLECTORS[name]]
        url = (mirror or project.url).rstrip("/") + "/"
        wanted += [Wanted(project, name, kind, start, until, url) for kind in kinds]
    return wanted


def parse_time(text: str) -> int:
    """Seconds since the epoch of a time as a user writes it: ISO 8601, in UTC unless it says otherwise, or an epoch.

    Raises:
        ConfigError: neither.
    """
    if text.isascii() and text.isdecimal() and len(text) != len("20240301"):
        return int(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"'{text}' is no time: write '2024-03-01 00:00' (UTC) or seconds since the epoch") from None
    return timegm(when.utctimetuple())


def make_plan(wanted: Sequence[Wanted], folder: Path, client: Client) -> Plan:
    """Find out what there is to fetch. What lies in ``folder`` under its name is whole, and is not asked for.

    Raises:
        HostUnavailable: a host does not answer.
    """
    pages: dict[str, dict[str, int | None]] = {}
    files: list[RemoteFile] = []
    missing: list[str] = []
    here = 0
    for one in wanted:
        known = _known_files(one, folder, client, pages)
        fresh = [file for _, file in sorted(known.items()) if not (folder / file.path).exists()]
        files += fresh
        here += len(known) - len(fresh)
        missing += [one.file(when).url for when in _absent(one, sorted(known))]
    return Plan(tuple(files), here, tuple(missing))


def _known_files(
    one: Wanted, folder: Path, client: Client, pages: dict[str, dict[str, int | None]]
) -> dict[int, RemoteFile]:
    """The files of a window that there are, by the time they begin. ``pages`` keeps the index pages that were read."""
    known: dict[int, RemoteFile] = {}
    scheduled = one.scheduled()
    months: dict[str, list[int]] = {one.folder(when): [] for when in (one.start, *scheduled, one.until)}
    for when in scheduled:
        months[one.folder(when)].append(when)
    for below, times in months.items():
        url = one.url + below
        if url not in pages:
            pages[url] = _index(url, client)
        known |= {when: one.file(when) for when in times if (folder / one.path(when)).exists()}
        for name, size in pages[url].items():
            when = one.begins(below + name)
            if when is not None:
                known[when] = RemoteFile(url + name, below + name, size)
        if not pages[url]:
            known |= _ask_one_by_one(one, [when for when in times if when not in known], client)
    return known


def _ask_one_by_one(one: Wanted, times: list[int], client: Client) -> dict[int, RemoteFile]:
    """Which files of the schedule there are, where no index page says so."""
    known: dict[int, RemoteFile] = {}
    for asked, when in enumerate(times):
        if asked == _MISSES and not known:
            break
        file = one.file(when)
        try:
            known[when] = replace(file, size=client.size(file.url))
        except AbsentError:
            continue
        except RefusedError:
            known[when] = file  # Some servers know no HEAD; the download will tell.
    return known


def _absent(one: Wanted, known: list[int]) -> list[int]:
    """When files of the schedule begin that are not among the known ones."""
    scheduled = one.scheduled()
    if not scheduled:
        return []
    step = one.project.step(one.kind, one.start)
    edges = [scheduled[0] - step, *known, scheduled[-1] + step]
    return [when for earlier, later in pairwise(edges) for when in missing_between(earlier, later, step)]


def _index(url: str, client: Client) -> dict[str, int | None]:
    """The MRT files on an index page and their sizes; empty if there is no such page."""
    try:
        return parse_index(client.page(url))
    except (AbsentError, RefusedError):
        return {}


_LINK = re.compile(r"""href\s*=\s*["']?[^"'>?]*?((?:updates|bview|rib)\.\d{8}\.\d{4}\.(?:gz|bz2))["'\s>]""", re.I)
_SIZE = re.compile(r"(?<!\S)(\d{1,15}(?:\.\d+)?)([KMGT]?)$")


def parse_index(page: str) -> dict[str, int | None]:
    """MRT file names that an index page links to, with the sizes in bytes that stand last in their rows.

    Apache rounds to three digits ("6.4M"), nginx does not; None where no size is shown.
    """
    found: dict[str, int | None] = {}
    for row in re.split(r"<a\s", page, flags=re.I)[1:]:
        link = _LINK.match(row)
        if link:
            words = html.unescape(re.sub(r"<[^>]*>", " ", row.partition("</")[2])).strip()
            size = _SIZE.search(words)
            found[link[1]] = round(float(size[1]) * _UNITS[size[2]]) if size else None
    return found


def fetch(
    plan: Plan, folder: Path, client: Client, max_bytes: float, advance: Callable[[int], None]
) -> Iterator[Outcome]:
    """Fetch the files of a plan one after the other.

    Args:
        plan: What to fetch.
        folder: The local archive; made if it is not there.
        client: Who asks.
        max_bytes: The most to fetch.
        advance: Told of the bytes as they come.

    Yields:
        What became of each file. Once a host does not answer, its other files have failed, too.

    Raises:
        LimitReached: there is more than ``max_bytes``; what is whole is kept, and a part goes on next time.
        DataError: the folder cannot be written, or its disk is too full.
        RunError: another process fetches into the folder.
    """
    come = 0

    def count(gained: int) -> None:
        nonlocal come
        come += gained
        if come > max_bytes:
            raise LimitReached(
                "size", f"{come / 1e9:.1f} GB came, more than --max-gb and than was announced; give more"
            )
        advance(gained)

    if plan.size > max_bytes:
        raise LimitReached(
            "size",
            f"{len(plan.files)} files of {plan.size / 1e9:.1f} GB are more than --max-gb {max_bytes / 1e9:g}; "
            "give a shorter window, fewer collectors or a larger --max-gb",
        )
    silent: dict[str, str] = {}
    with _alone(folder):
        free = shutil.disk_usage(folder).free
        if plan.size > free:
            raise DataError(f"{folder}: {plan.size / 1e9:.1f} GB do not fit on this disk: {free / 1e9:.1f} GB are free")
        for file in plan.files:
            host = urlsplit(file.url).netloc
            if host in silent:
                yield Outcome(file, "failed", f"not tried: {silent[host]}")
                continue
            try:
                yield _fetch_one(file, folder / file.path, client, count)
            except HostUnavailable as problem:
                silent[host] = str(problem)
                yield Outcome(file, "failed", str(problem))


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Keep a second process from writing to the same parts; the kernel frees the lock however this one ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".fetch.lock").open("a")
    except OSError as problem:
        raise DataError(f"{folder}: cannot be written: {problem.strerror}") from problem
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"{folder}: another seedtune is fetching into this archive; wait for it") from None
        yield


def _fetch_one(file: RemoteFile, target: Path, client: Client, advance: Callable[[int], None]) -> Outcome:
    part = target.with_name(target.name + PART_SUFFIX)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fault = ""
        for _ in range(2):
            client.download(file.url, part, advance)
            fault = find_fault(part, target.suffix)
            if not fault:
                part.replace(target)
                return Outcome(file, "fetched")
            part.unlink()
        return Outcome(file, "failed", f"{fault}; fetched twice and not kept")
    except AbsentError:
        return Outcome(file, "missing", "not over there")
    except RefusedError as problem:
        return Outcome(file, "failed", str(problem))
    except OSError as problem:
        raise DataError(f"{part}: cannot be written: {problem.strerror}; free some space and run again") from problem
    finally:
        if part.exists() and not part.stat().st_size:
            part.unlink()


def find_fault(path: Path, suffix: str) -> str:
    """Why a file is no whole MRT file; empty if it is one.

    A packed file with nothing inside is one: a collector without sessions writes such files.

    Args:
        path: The file.
        suffix: How it is packed: ``.gz`` or ``.bz2``.
    """
    if not path.stat().st_size:
        return "is empty"
    try:
        with gzip.open(path) if suffix == ".gz" else bz2.open(path) as unpacked:
            header = unpacked.read(_HEADER.size)
            size = len(header)
            while block := unpacked.read(1 << 20):
                size += len(block)
    except (OSError, EOFError, zlib.error) as problem:
        return f"does not unpack ({problem})"
    if not header:
        return ""
    if size < _HEADER.size:
        return f"holds {size} bytes, less than one MRT header"
    _, kind, _, length = _HEADER.unpack(header)
    if kind not in _BGP_TYPES or length > size - _HEADER.size:
        return f"does not begin with an MRT record (type {kind}, length {length} of {size} bytes)"
    return ""
