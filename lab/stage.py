"""The stage that a scenario is played on: roles cast, numbers drawn, and references to prefixes resolved."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lab.numbers import Network, Numbers
from lab.topology import Topology

_REFERENCE = re.compile(
    r"(?P<who>[a-z-]+)(\.v(?P<version>[46])(\.(?P<index>\d+))?)?(/(?P<length>\d+)(\+(?P<skip>\d+))?)?"
)


@dataclass(frozen=True)
class Stage:
    """A topology with its numbers, and the ASes that play the roles of a scenario."""

    topology: Topology
    numbers: Numbers
    cast: Mapping[str, str]

    def name(self, role: str) -> str:
        """The AS that plays a role; the name of an AS stands for itself.

        Raises:
            ValueError: There is neither such a role nor such an AS.
        """
        name = self.cast.get(role, role)
        if name not in self.topology.ases:
            raise ValueError(f"{role!r} is neither a role of the scenario nor an AS of the topology")
        return name

    def asn(self, role: str) -> int:
        """The AS number of a role."""
        return self.numbers.asns[self.name(role)]

    def prefixes(self, references: Iterable[str]) -> tuple[Network, ...]:
        """The prefixes that references name, in their order.

        ``shop`` is all that shop (a role, an AS or a block) holds, ``shop.v6`` its IPv6 part, ``shop.v4.0`` its first
        IPv4 prefix, ``shop.v4.0/24`` the first /24 in that and ``shop.v4.0/24+3`` the fourth.

        Raises:
            ValueError: A reference has another form or names nothing.
        """
        return tuple(prefix for reference in references for prefix in self._resolve(reference))

    def _resolve(self, reference: str) -> tuple[Network, ...]:
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise ValueError(f"prefix reference {reference!r}: the form is shop, shop.v4, shop.v4.0 or shop.v4.0/24+3")
        who = match["who"]
        found = self.numbers.prefixes[who if who in self.topology.blocks else self.name(who)]
        if match["version"]:
            found = tuple(prefix for prefix in found if prefix.version == int(match["version"]))
        if match["index"]:
            found = found[int(match["index"]) :][:1]
        if not found:
            raise ValueError(f"prefix reference {reference!r}: there is no such prefix")
        if match["length"] is None:
            return found
        return tuple(_inside(prefix, int(match["length"]), int(match["skip"] or 0)) for prefix in found)


def _inside(prefix: Network, length: int, skip: int) -> Network:
    room = length - prefix.prefixlen
    if room < 0 or skip >= 1 << room:
        raise ValueError(f"{prefix} has no /{length} number {skip}")
    base = int(prefix.network_address) + (skip << (prefix.max_prefixlen - length))
    return type(prefix)((base, length))
