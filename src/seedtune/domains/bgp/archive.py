"""What a local archive of MRT files holds: series, gaps, and what does not belong.

Names and layouts are those that the sandboxed PyBGPStream reads: ``sandboxed/pybgpstream/_archive.py``.

Not covered: gaps between RIBs, since most archives keep only some of the dumps; whether a file's records lie in the
time that its name promises.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from seedtune.domains.bgp.sandboxed.pybgpstream._archive import ArchiveFile, identify
from seedtune.domains.bgp.sandboxed.pybgpstream._mrt import MrtFile
from seedtune.errors import DataError

Kind = Literal["updates", "ribs"]

NAMED_LIKE = "rrc00/2024.03/updates.20240301.0000.gz or route-views.sg/bgpdata/2024.03/RIBS/rib.20240301.0000.bz2"
"""Names of files that an archive is made of."""

PART_SUFFIX = ".part"
"""What a file is named behind its name while it is being fetched."""


@dataclass(frozen=True)
class Gap:
    """Files that are missing between two that are there; times are seconds since the epoch."""

    first: int
    last: int
    files: int


@dataclass(frozen=True)
class Series:
    """The files of one type from one collector, in time; never empty."""

    project: str
    collector: str
    type: str
    files: tuple[ArchiveFile, ...]
    bytes: int
    gaps: tuple[Gap, ...]
    repeated: tuple[Path, ...]
    """Files that begin when another one of the series does: their routes are read twice."""


@dataclass(frozen=True)
class Damage:
    """A file that cannot be read to its end."""

    path: Path
    problem: str
    records: int
    """How many can be read before."""


@dataclass(frozen=True)
class Listing:
    """What a folder holds. Paths of ``unknown`` and ``unfinished`` are below the folder."""

    folder: Path
    series: tuple[Series, ...]
    unknown: tuple[Path, ...]
    unfinished: tuple[Path, ...]


def list_archive(folder: Path) -> Listing:
    """List an archive by its names; no file is opened. Hidden files are passed over.

    Raises:
        DataError: the folder cannot be read.
    """
    found: defaultdict[tuple[str, str, str], list[ArchiveFile]] = defaultdict(list)
    unknown: list[Path] = []
    for path in _files_below(folder):
        file = identify(path, folder)
        if file is None or not path.is_file() or _leads_out(path, folder):
            unknown.append(path.relative_to(folder))
        else:
            found[file.project, file.collector, file.type].append(file)
    return Listing(
        folder,
        tuple(_series(files) for _, files in sorted(found.items())),
        tuple(sorted(path for path in unknown if path.suffix != PART_SUFFIX)),
        tuple(sorted(path for path in unknown if path.suffix == PART_SUFFIX)),
    )


def _leads_out(path: Path, folder: Path) -> bool:
    """Whether it is a link to a file outside the archive: a program in the sandbox cannot follow it."""
    return path.is_symlink() and not path.resolve().is_relative_to(folder.resolve())


def _files_below(folder: Path) -> list[Path]:
    def stop(problem: OSError) -> None:
        raise DataError(f"{problem.filename}: cannot be read: {problem.strerror}") from problem

    return [
        Path(place, name)
        for place, folders, names in os.walk(folder, onerror=stop)
        # Links to folders are not followed, nor can a program in the sandbox follow them: they are named instead.
        for name in (*names, *(inner for inner in folders if Path(place, inner).is_symlink()))
        if not name.startswith(".")
    ]


def _series(files: list[ArchiveFile]) -> Series:
    files = sorted(files)
    gaps: list[Gap] = []
    for earlier, later in pairwise(files):
        missing = missing_between(earlier.time, later.time, earlier.span)
        if missing:
            gaps.append(Gap(missing[0], missing[-1], len(missing)))
    return Series(
        files[0].project,
        files[0].collector,
        files[0].type,
        tuple(files),
        sum(file.path.stat().st_size for file in files),
        tuple(gaps),
        tuple(later.path for earlier, later in pairwise(files) if earlier.time == later.time),
    )


def missing_between(earlier: int, later: int, step: int) -> list[int]:
    """When files should begin between two that follow each other, ``step`` seconds apart; none for a step of 0.

    Old files begin at odd minutes: one that begins less than a step away from where it should stands for it.
    """
    return [time for time in range(earlier + step, later, step) if later - time >= step] if step else []


def find_damage(files: Iterable[ArchiveFile], advance: Callable[[int], None]) -> list[Damage]:
    """Read files to their end, record by record, and find those in which that is not possible.

    Args:
        files: What to read.
        advance: Called after each file with the number of files read.
    """
    damaged: list[Damage] = []
    for number, file in enumerate(files, start=1):
        records = 0
        try:
            # A collector that had nothing to say writes an archive of nothing, which is longer than no byte at all.
            if file.path.stat().st_size == 0:
                damaged.append(Damage(file.path, "empty, 0 bytes", 0))
            # Salvaging tells how much is lost at most; the stream may give less of a damaged gzip file.
            with MrtFile(file.path, salvage=True) as records_of_file:
                for record in records_of_file:
                    if record.problem is not None:
                        damaged.append(Damage(file.path, record.problem, records))
                    records += 1
        except OSError as problem:
            damaged.append(Damage(file.path, problem.strerror or str(problem), records))
        advance(number)
    return damaged
