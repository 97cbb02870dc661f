"""The data interfaces: which there are, what each needs, and the files that it serves."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime

from . import _replay
from ._filters import RECORD_TYPES, Filter
from ._log import log, log_once
from ._sources import Source, SourceError, Window, archive_files, csv_files, single_files, thin_ribs

ARCHIVE_VARIABLE = "SEEDTUNE_BGP_ARCHIVE"

LIVE_PROJECTS = {"ris-live": "ris", "routeviews-stream": "routeviews"}
"""Projects that the broker serves from the network as things happen, and whose archives stand in for them in replay."""

INTERFACES = {
    "broker": "MRT files of public collectors; here from a local archive",
    "singlefile": "one MRT file of updates, one of a RIB, or both",
    "kafka": "live data from an Apache Kafka server; not available here",
    "csvfile": "MRT files listed in a csv file",
}
"""What the real library is built with, in its order."""

OPTIONS = {
    "broker": {
        "url": "address of the broker; ignored here",
        "param": "further parameters of requests to the broker; ignored here",
        "cache-dir": "folder for downloaded files; ignored here",
    },
    "singlefile": {
        "rib-file": "MRT file of a RIB",
        "rib-type": "format of the RIB; here only mrt",
        "upd-file": "MRT file of updates",
        "upd-type": "format of the updates; here only mrt",
    },
    "kafka": {
        "brokers": "addresses of the servers",
        "topic": "topic to read",
        "group": "consumer group",
        "offset": "where to begin",
        "data-type": "format of the messages",
    },
    "csvfile": {"csv-file": "csv file that lists MRT files"},
}
FILE_TYPES = ("mrt", "bmp", "ris-live")

_FILE_TYPES = {kind: name for name, kind in RECORD_TYPES.items()}
_SHOWN = 20
"""Collectors of an archive that a message names."""

_OFFLINE = (
    "Without network these work: 'singlefile' with the option 'upd-file' or 'rib-file', 'csvfile' with 'csv-file', and "
    "'broker' on a local archive of MRT files: --archive of 'seedtune bgp run', or the folder that "
    f"{ARCHIVE_VARIABLE} names"
)


@dataclass(frozen=True, slots=True)
class Request:
    """What a stream asks for.

    Attributes:
        interface: Name of the data interface.
        options: Its options.
        wanted: The filters.
        window: Time window, None for all.
        rib_period: Least seconds between two RIBs of a collector.
    """

    interface: str
    options: dict[str, str]
    wanted: Filter
    window: Window | None
    rib_period: int


def check(request: Request) -> None:
    """See that an interface can serve at all.

    Raises:
        SourceError: It needs the network, or a type of file that is not read here.
        RuntimeError: An option is missing.
    """
    options = request.options
    if request.interface == "singlefile":
        if not options.keys() & {"rib-file", "upd-file"}:
            log("ERROR", "At least one of the 'rib-file' and 'upd-file' options must be set")
            raise RuntimeError("Could not start stream")
        for option in ("rib-type", "upd-type"):
            if options.get(option, "mrt") != "mrt":
                raise SourceError(f"{option} {options[option]!r} is not read here, only 'mrt'")
    elif request.interface == "csvfile":
        if "csv-file" not in options:
            log("ERROR", "The 'csv-file' option must be set")
            raise RuntimeError("Could not start stream")
    elif request.interface == "kafka":
        raise SourceError(f"the data interface kafka needs the network. {_OFFLINE}")
    elif not os.environ.get(ARCHIVE_VARIABLE):
        raise SourceError(f"the BGPStream broker cannot be reached from here. {_OFFLINE}")
    elif _replay.clock is None and request.wanted.projects & LIVE_PROJECTS.keys():
        project = min(request.wanted.projects & LIVE_PROJECTS.keys())
        raise SourceError(
            f"project {project} comes live from the network; to replay the archive of {LIVE_PROJECTS[project]} in its "
            f"place {_replay.HOW_TO_SWITCH_ON}"
        )


def explain_nothing(request: Request) -> None:
    """Say what was asked of the archive and what it has, when no file of it answers.

    The real broker is silent then, but it holds nearly everything, and a local archive nearly nothing.
    """
    if request.interface != "broker":
        return
    folder, wanted = os.environ[ARCHIVE_VARIABLE], request.wanted
    same = archive_files(folder, wanted, None, LIVE_PROJECTS)
    if same:
        last = max(source.time + source.span for source in same)
        there = f"such files begin {_clock(same[0].time)} and end {_clock(last)}"
    else:
        types: dict[str, set[str]] = {}
        for source in archive_files(folder, Filter(), None):
            types.setdefault(f"{source.collector} of {source.project}", set()).add(_FILE_TYPES[source.type])
        names = [f"{name} ({' and '.join(sorted(kinds))})" for name, kinds in sorted(types.items())]
        more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
        there = f"it has {', '.join(names[:_SHOWN] + more) or 'no file'}"
    log_once("WARNING", f"the archive has no {_asked(wanted)}{_span(request.window)}; {there}")


def _asked(wanted: Filter) -> str:
    """Which files filters ask for, as in ``updates of rrc00 of project ris``."""
    kinds = " or ".join(_FILE_TYPES[kind] for kind in sorted(wanted.record_types)) or "file"
    named = [("", wanted.collectors), ("project ", wanted.projects)]
    return kinds + "".join(f" of {what}{' or '.join(sorted(names))}" for what, names in named if names)


def _span(window: Window | None) -> str:
    if window is None:
        return ""
    return f" from {_clock(window.start)}" + ("" if window.end is None else f" until {_clock(window.end)}")


def _clock(seconds: int) -> str:
    """A time in UTC; as it was given if no calendar has it."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def open_sources(request: Request) -> list[Source]:
    """The files that serve a request.

    Raises:
        SourceError: The csv file or the archive cannot be read.
    """
    wanted, window = request.wanted, request.window
    if request.interface == "singlefile":
        clock = _replay.clock
        return single_files(request.options, int(clock.now() if clock else _replay.real_time()))
    if request.interface == "csvfile":
        sources = csv_files(request.options["csv-file"], wanted, window, int(_replay.real_time()))
    else:
        sources = archive_files(os.environ[ARCHIVE_VARIABLE], wanted, window, LIVE_PROJECTS)
    return thin_ribs(sources, request.rib_period) if request.rib_period else sources
