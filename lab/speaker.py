"""What a BGP speaker is set up to do at a moment, whichever daemon it runs, and what changes it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from lab.numbers import Network, Numbers
from lab.topology import Daemon, Role, Topology


@dataclass(frozen=True)
class Neighbor:
    """The other end of a link; a link is two sessions, one over IPv4 and one over IPv6."""

    name: str
    asn: int
    role: Role
    addresses: tuple[str, str]


@dataclass(frozen=True)
class Origination:
    """A route of the speaker's own making.

    Attributes:
        prefix: The prefix.
        path: AS path before the speaker's own number is put in front: empty for an honest origination.
        communities: Standard communities as ``asn:value``.
    """

    prefix: Network
    path: tuple[int, ...] = ()
    communities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepend:
    """The speaker's number stands ``times`` times more in the path, towards one neighbor or all (None)."""

    prefix: Network
    times: int
    neighbor: str | None


@dataclass(frozen=True)
class Leak:
    """Routes learned from one neighbor go out to another against the policy (RFC 7908)."""

    source: int
    to: str


@dataclass(frozen=True)
class Vrp:
    """A validated ROA payload (RFC 6811)."""

    prefix: Network
    max_length: int
    asn: int


@dataclass(frozen=True)
class Speaker:
    """An AS with its policy: it exports to customers all, to others its own and its customers' routes."""

    name: str
    asn: int
    daemon: Daemon
    addresses: tuple[str, str]
    neighbors: tuple[Neighbor, ...]
    origins: tuple[Origination, ...] = ()
    prepends: tuple[Prepend, ...] = ()
    leaks: tuple[Leak, ...] = ()
    aggregates: tuple[Network, ...] = ()
    down: frozenset[str] = frozenset()
    vrps: tuple[Vrp, ...] = ()

    @property
    def two_byte(self) -> bool:
        """Whether the number fits into a standard community."""
        return self.asn < 1 << 16


Change = Callable[[Speaker], Speaker]


def announce(routes: Iterable[Origination]) -> Change:
    """Originate these routes; what the speaker originates already for the same prefix is replaced."""
    added = tuple(routes)

    def change(speaker: Speaker) -> Speaker:
        return replace(speaker, origins=_without(speaker, {route.prefix for route in added}) + added)

    return change


def withdraw(prefixes: Iterable[Network]) -> Change:
    """Originate these prefixes no more."""
    gone = set(prefixes)
    return lambda speaker: replace(speaker, origins=_without(speaker, gone))


def _without(speaker: Speaker, prefixes: set[Network]) -> tuple[Origination, ...]:
    return tuple(route for route in speaker.origins if route.prefix not in prefixes)


def bring_down(names: Iterable[str]) -> Change:
    """Shut the sessions with these neighbors."""
    gone = frozenset(names)
    return lambda speaker: replace(speaker, down=speaker.down | gone)


def bring_up(names: Iterable[str]) -> Change:
    """Open the sessions with these neighbors."""
    back = frozenset(names)
    return lambda speaker: replace(speaker, down=speaker.down - back)


def build_speakers(topology: Topology, numbers: Numbers, vrps: tuple[Vrp, ...]) -> dict[str, Speaker]:
    """Each AS of the topology as it is before the first event."""
    return {
        name: Speaker(
            name=name,
            asn=numbers.asns[name],
            daemon=system.daemon,
            addresses=numbers.addresses[name],
            neighbors=tuple(
                Neighbor(other, numbers.asns[other], role, numbers.addresses[other])
                for other, role in topology.neighbors(name).items()
            ),
            origins=tuple(Origination(prefix) for prefix in numbers.prefixes[name]),
            vrps=vrps if system.rov else (),
        )
        for name, system in topology.ases.items()
    }
