"""Data that a program can be tried on: two sets that have all that the program names, and differ.

Each set is made for the program, of the files that it opens, in the window that it reads: several peers announce,
change, prepend, originate twice, withdraw and lose prefixes; among them are the prefixes, AS numbers and communities
that stand in the program, so that one that looks for 203.0.113.0/24 finds it. The sets differ in what happens and how
often. They begin at the same second and are replayed, so that programs see the same clock in both: what two runs print
differs only where the data is read.

Everything follows from the program's text.
"""

import bz2
import gzip
import random
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path, PurePosixPath

from seedtune.domains.bgp.collectors import COLLECTORS
from seedtune.domains.bgp.execution import ARCHIVE_NAME
from seedtune.domains.bgp.trials.encoding import Peer, Route, announcement, rib, state_change, withdrawal
from seedtune.domains.bgp.trials.wanted import Wanted, read_wanted
from seedtune.domains.running import Data

_EVENTS = (160, 250)
"""Changes of routes in each file of each set, and as many withdrawals in a burst."""
_FLAPS = 12
_SHARE_OF_WITHDRAWALS, _SHARE_OF_SETS, _SHARE_OF_ROUTES = 0.25, 0.1, 0.8
_PREFIXES = (
    *("198.51.100.0/24", "198.51.100.128/25", "203.0.113.0/24", "192.0.2.0/24", "10.20.0.0/16", "172.16.8.0/21"),
    *("198.18.0.0/15", "192.168.7.0/24", "2001:db8::/32", "2001:db8:1::/48", "2001:db8:2::/48", "2001:db8:ffff::/48"),
)
_ASNS = (64500, 64501, 64502, 65536, 65537)
_TRANSIT = (64505, 64506, 64507)
_COMMUNITIES = ("64500:100", "64501:200", "65535:666")
_PEERS = tuple(
    Peer(64496 + place, address)
    for place, address in enumerate(("192.0.2.11", "192.0.2.12", "2001:db8::13", "2001:db8::14"))
)
"""The second set has the last one too."""
_NAMED_AT_MOST, _MANY = 12, 3
_LONGEST_NAME = 100
_IDLE, _ESTABLISHED = 1, 6


def make_trials(source: str, folder: Path) -> tuple[Data, ...]:
    """Make two sets of data for a program that compiles.

    Args:
        source: The program.
        folder: Where the files are written.

    Returns:
        Nothing for a fragment, which neither imports the library nor is self-contained: it is not to be run.
    """
    wanted = read_wanted(source)
    if wanted is None:
        return ()
    return tuple(_write(wanted, number, folder / str(number)) for number in range(len(_EVENTS)))


def _write(wanted: Wanted, number: int, folder: Path) -> Data:
    files: dict[str, bytes] = {}
    updates = wanted.updates or (() if wanted.ribs or wanted.indices else ("updates.mrt",))
    for name in updates:
        files[name] = _Scene(wanted, number, name).updates()
    for name in wanted.ribs:
        files[name] = _Scene(wanted, number, name).table()
    for name in wanted.indices:
        files |= _listed(wanted, number, name)
    if wanted.archive:
        files |= _archive(wanted, number)
    paths: dict[str, Path] = {}
    for name, content in files.items():
        if not _is_inside(name, paths):
            continue
        paths[name] = folder / name
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        paths[name].write_bytes(_packed(name, content))
    return Data(paths, "max", wanted.arguments)


def _packed(name: str, content: bytes) -> bytes:
    """As a program expects that unpacks the file itself; the library tells by the content."""
    if name.endswith(".gz"):
        return gzip.compress(content, mtime=0)
    return bz2.compress(content) if name.endswith(".bz2") else content


def _is_inside(name: str, others: Iterable[str]) -> bool:
    """Whether a name, which a model chose, is one of a file below the working folder, and goes with the others."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name or not name.isprintable() or len(name) > _LONGEST_NAME:
        return False
    taken = [PurePosixPath(other) for other in others]
    return not any(path == other or path in other.parents or other in path.parents for other in taken)


def _collectors(wanted: Wanted) -> dict[str, str]:
    """Collector to project."""
    known = {name: COLLECTORS[name] for name in wanted.collectors if name in COLLECTORS}
    return known or {"rrc00": "ris", "route-views2": "routeviews"}


def _listed(wanted: Wanted, number: int, index: str) -> dict[str, bytes]:
    """A csv file, and the files that it lists: ``path,project,type,collector,filetime,timespan,timestamp``."""
    files: dict[str, bytes] = {}
    rows: list[str] = []
    for collector, project in _collectors(wanted).items():
        for kind, name in (("ribs", f"{collector}.rib.mrt"), ("updates", f"{collector}.updates.mrt")):
            scene = _Scene(wanted, number, name)
            files[name] = scene.table() if kind == "ribs" else scene.updates()
            span = 0 if kind == "ribs" else wanted.lasts
            rows.append(f"{name},{project},{kind},{collector},{wanted.start},{span},{wanted.start}")
    return files | {index: ("\n".join(rows) + "\n").encode()}


def _archive(wanted: Wanted, number: int) -> dict[str, bytes]:
    """Files of each collector that begin with the window, as far as their names allow."""
    files: dict[str, bytes] = {}
    for collector, project in _collectors(wanted).items():
        folder = f"{ARCHIVE_NAME}/{project}/{collector}"
        minute = datetime.fromtimestamp(wanted.start - wanted.start % 60, UTC)
        stem = "bview" if project == "ris" else "rib"
        for kind in ("updates", stem):
            name = f"{folder}/{kind}.{minute:%Y%m%d.%H%M}"
            scene = _Scene(wanted, number, name)
            files[name] = scene.updates() if kind == "updates" else scene.table()
    return files


class _Scene:
    """What one file tells; it follows from the program, the set's number and the file's name."""

    def __init__(self, wanted: Wanted, number: int, name: str) -> None:
        draw = self._draw = random.Random(f"{wanted} {number} {name}")
        self._wanted = wanted
        self._events, self._losses = _EVENTS[number], 1 + number
        named = list(wanted.prefixes[:_NAMED_AT_MOST])
        if len(named) >= _MANY:
            # Or who counts them would find the same in both sets.
            named.pop(draw.randrange(len(named)))
        related = _related(named)
        named += draw.sample(related, draw.randrange(len(related) // 2, len(related) + 1))
        # What is named comes twice as often; of the rest each file has its own part.
        rest = draw.sample(_PREFIXES, draw.randrange(len(_PREFIXES) // 2, len(_PREFIXES)))
        self._prefixes = (*named, *named, *rest)
        self._origins = (*wanted.asns[:_NAMED_AT_MOST], *wanted.asns[:_NAMED_AT_MOST], *_ASNS)
        self._communities = (*wanted.communities[:_NAMED_AT_MOST], *_COMMUNITIES)
        extra = (Peer(asn, f"192.0.2.{100 + place}") for place, asn in enumerate(wanted.asns[:3]))
        self._peers = (*_PEERS[: len(_PEERS) - 1 + number], *extra)

    def updates(self) -> bytes:
        """Records in time: changes of routes, a flapping prefix, lost sessions, a burst of withdrawals, a quiet end."""
        lasts = max(1, self._wanted.lasts - 1)
        found: list[tuple[int, Callable[[int], bytes]]] = [
            (self._draw.randrange(lasts * 3 // 4 + 1), self._change) for _ in range(self._events)
        ]
        found += [(lasts // 8 + 7 * step, self._flap(step)) for step in range(_FLAPS) if lasts // 8 + 7 * step <= lasts]
        found += [(lasts // 2 + self._draw.randrange(lasts // 60 + 1), self._withdrawal) for _ in range(self._events)]
        for _ in range(self._losses):
            victim, lost = self._draw.choice(self._peers), self._draw.randrange(lasts // 3 + 1)
            found.append((lost, partial(state_change, peer=victim, old=_ESTABLISHED, new=_IDLE)))
            found.append((lost + lasts // 10, partial(state_change, peer=victim, old=_IDLE, new=_ESTABLISHED)))
        found.append((lasts, self._change))
        found.sort(key=lambda event: event[0])
        return b"".join(record(self._wanted.start + offset) for offset, record in found)

    def table(self) -> bytes:
        """A RIB: most peers have a route to most prefixes."""
        prefixes = list(dict.fromkeys(self._prefixes))
        prefixes.sort(key=lambda prefix: (ip_network(prefix).version, prefix))
        routes = [(peer, self._route(peer, prefix)) for prefix in prefixes for peer in self._peers]
        kept = [entry for entry in routes if self._draw.random() < _SHARE_OF_ROUTES]
        return rib(self._wanted.start, self._peers, kept or routes)

    def _change(self, time: int) -> bytes:
        if self._draw.random() < _SHARE_OF_WITHDRAWALS:
            return self._withdrawal(time)
        peer = self._draw.choice(self._peers)
        return announcement(time, peer, self._route(peer, self._draw.choice(self._prefixes)))

    def _withdrawal(self, time: int) -> bytes:
        return withdrawal(time, self._draw.choice(self._peers), self._draw.choice(self._prefixes))

    def _flap(self, step: int) -> Callable[[int], bytes]:
        peer, prefix = self._peers[0], self._prefixes[0]
        if step % 2:
            return lambda time: withdrawal(time, peer, prefix)
        return lambda time: announcement(time, peer, self._route(peer, prefix))

    def _route(self, peer: Peer, prefix: str) -> Route:
        draw = self._draw
        origin = draw.choice(self._origins)
        path: list[int | frozenset[int]] = [peer.asn, *draw.sample((*_TRANSIT, *self._origins), draw.randrange(3))]
        if draw.random() < _SHARE_OF_SETS:
            path.append(frozenset(draw.sample(_ASNS, 2)))
        elif origin != peer.asn:
            path += [origin] * draw.choice((1, 1, 1, 2, 4))
        tags = draw.sample(self._communities, draw.randrange(min(3, len(self._communities)) + 1))
        hops = [each.address for each in self._peers if each.version == ip_network(prefix).version]
        own = [peer.address] if peer.address in hops else []
        return Route(prefix, tuple(path), draw.choice([*own, *own, *hops]), tuple(dict.fromkeys(tags)))


def _related(prefixes: Sequence[str]) -> list[str]:
    """For each prefix one inside it and one around it."""
    found: list[IPv4Network | IPv6Network] = []
    for prefix in map(ip_network, prefixes):
        if prefix.prefixlen < prefix.max_prefixlen:
            found.append(next(iter(prefix.subnets())))
        if prefix.prefixlen > 8:
            found.append(prefix.supernet())
    return [str(prefix) for prefix in dict.fromkeys(found)]
