"""A local archive: a folder of MRT files, named and laid out as RIPE RIS and RouteViews publish them.

    rrc00/2016.11/updates.20161101.0000.gz               RIPE RIS, also bview.20161101.0000.gz
    route-views.wide/bgpdata/2016.11/UPDATES/updates.20161101.0000.bz2
    route-views.wide/bgpdata/2016.11/RIBS/rib.20161101.0000.bz2
    bgpdata/2016.11/UPDATES/updates.20161101.0000.bz2    RouteViews' collector route-views2 lies at the top
    rrc00/updates.20161101.0000.gz                       collector/file
    lab/bird/updates.20161101.0000                       project/collector/file

Everything may lie in a folder named after the project (``ris``, ``routeviews``) or the archive's host. What is named
otherwise is no part of the archive; nothing is opened here.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath

ROUTE_VIEWS_TOP = "route-views2"
"""The collector whose files lie at the top of RouteViews' archive."""

PROJECT_FOLDERS = {
    "ris": "ris",
    "data.ris.ripe.net": "ris",
    "routeviews": "routeviews",
    "archive.routeviews.org": "routeviews",
}

LINKED_VARIABLE = "SEEDTUNE_BGP_ARCHIVE_LINKED"
"""Set where the archive was put together from single files: they may be links, which then lead out of it."""

RIS_SPAN, ROUTE_VIEWS_SPAN = 300, 900
_RIS_SPAN_SINCE = int(datetime(2003, 7, 23, tzinfo=UTC).timestamp())
"""Before, RIS wrote an updates file every 15 minutes."""

_NAME = re.compile(r"(updates|bview|rib)\.(\d{4})(\d\d)(\d\d)\.(\d\d)(\d\d)(\.gz|\.bz2)?", re.ASCII)
_MONTH = re.compile(r"\d{4}\.\d\d", re.ASCII)
_RIS_COLLECTOR = re.compile(r"rrc\d+", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class ArchiveFile:
    """One MRT file of an archive. Files sort by time; at one instant RIBs come before updates.

    Attributes:
        time: When the file begins (updates) or the dump was started (ribs), seconds since the epoch.
        type: ``ribs`` or ``updates``.
        project: ``ris``, ``routeviews``, or the name of a folder above the collector's.
        collector: The collector's name, for example ``rrc00`` or ``route-views.wide``.
        path: Where the file lies.
        span: Seconds that the file covers; 0 for ribs.
    """

    time: int
    type: str
    project: str
    collector: str
    path: Path
    span: int

    def overlaps(self, start: int, end: int | None) -> bool:
        """Whether the file may hold records of the window; both ends are inclusive, seconds since the epoch."""
        return self.time + self.span >= start and (end is None or self.time <= end)


def find_files(
    folder: str | os.PathLike[str], passed_over: Callable[[Path, str], None] | None = None
) -> list[ArchiveFile]:
    """Every file of an archive, sorted. What has the name of one and cannot serve as one is passed over.

    Args:
        folder: The archive.
        passed_over: Called with each such path, and with the reason: a link that leads nowhere, or out of the archive,
            where a program in the sandbox cannot follow it; a socket and the like.

    Raises:
        OSError: ``folder`` cannot be listed.
    """
    root = Path(folder)
    os.scandir(root).close()
    found: list[ArchiveFile] = []
    for place, _, names in os.walk(root):
        for name in names:
            file = identify(Path(place, name), root)
            if file is None:
                continue
            reason = _unusable(file.path, root)
            if reason is None:
                found.append(file)
            elif passed_over is not None:
                passed_over(file.path, reason)
    return sorted(found)


def _unusable(path: Path, root: Path) -> str | None:
    """Why something named like a file of an archive cannot serve as one; None if it can."""
    if path.is_symlink():
        if not path.exists():
            return "a link that leads nowhere"
        if LINKED_VARIABLE not in os.environ and not path.resolve().is_relative_to(root.resolve()):
            return "a link that leads out of the archive"
    return None if path.is_file() else "no regular file"


def identify(path: Path, root: PurePath) -> ArchiveFile | None:
    """What a file below ``root`` is by its name and place, or None if it is no part of an archive."""
    match = _NAME.fullmatch(path.name)
    place = _place(path.relative_to(root).parts[:-1])
    if match is None or place is None:
        return None
    stem, *digits, _ = match.groups()
    time = _epoch(*map(int, digits))
    if time is None:
        return None
    project, collector = place
    if not project:
        of_ris = _RIS_COLLECTOR.fullmatch(collector) or stem == "bview" or path.suffix == ".gz"
        project = "ris" if of_ris else "routeviews"
    return ArchiveFile(
        time, "updates" if stem == "updates" else "ribs", project, collector, path, file_span(project, stem, time)
    )


def file_span(project: str, stem: str, time: int) -> int:
    """Seconds that a file covers: 0 for RIBs; for updates 300 (RIS since July 2003) or 900 (all others)."""
    if stem != "updates":
        return 0
    return RIS_SPAN if project == "ris" and time >= _RIS_SPAN_SINCE else ROUTE_VIEWS_SPAN


def _place(folders: tuple[str, ...]) -> tuple[str, str] | None:
    """Project (empty if the folders do not say) and collector that a file's folders name."""
    names = [name for name in folders if not _MONTH.fullmatch(name) and name not in ("UPDATES", "RIBS")]
    of_route_views = "bgpdata" in names
    names = [name for name in names if name != "bgpdata"]
    if not names or names[-1] in PROJECT_FOLDERS:
        return ("routeviews", ROUTE_VIEWS_TOP) if of_route_views else None
    if len(names) > 1:
        return PROJECT_FOLDERS.get(names[-2], names[-2]), names[-1]
    return "routeviews" if of_route_views else "", names[-1]


def _epoch(year: int, month: int, day: int, hour: int, minute: int) -> int | None:
    """Seconds since the epoch, None if there is no such date."""
    try:
        return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp())
    except ValueError:
        return None
