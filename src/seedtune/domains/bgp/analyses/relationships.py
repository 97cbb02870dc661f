"""Paths against business relationships: valley-free or leaked.

Gao, "On Inferring Autonomous System Relationships in the Internet" (IEEE/ACM Transactions on Networking 9(6), 2001): a
route from a provider or a peer goes to customers only. Read from the origin, a path climbs from customers to
providers, crosses at most one peering, and descends to customers.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Literal, NamedTuple

from seedtune.domains.bgp.analyses.events import AsPath
from seedtune.domains.bgp.analyses.paths import chains
from seedtune.errors import DataError

Role = Literal["provider", "customer", "peer"]


class Relationships:
    """Which AS is whose provider, customer or peer. Siblings and route servers are not covered.

    Args:
        triples: (provider, customer, -1) and (peer, peer, 0), as CAIDA's "serial-1" files have them; of a pair that
            is given twice the last one stays.

    Raises:
        DataError: The third number is neither -1 nor 0.
    """

    def __init__(self, triples: Iterable[tuple[int, int, int]]) -> None:
        self._roles: dict[tuple[int, int], Role] = {}
        for one, other, kind in triples:
            if kind not in (-1, 0):
                raise DataError(f"relationship {one}|{other}|{kind}: write provider|customer|-1 or peer|peer|0")
            self._roles[one, other] = "customer" if kind else "peer"
            self._roles[other, one] = "provider" if kind else "peer"

    def role(self, asn: int, neighbor: int) -> Role | None:
        """What a neighbour is to an AS; None if it is not known."""
        return self._roles.get((asn, neighbor))


def parse_relationships(lines: Iterable[str]) -> Relationships:
    """Read lines ``provider|customer|-1`` and ``peer|peer|0`` of CAIDA's AS relationship files.

    Empty lines, lines that begin with ``#`` and further columns ("serial-2") are skipped.

    Raises:
        DataError: A line is something else.
    """
    triples: list[tuple[int, int, int]] = []
    for number, line in enumerate(lines, 1):
        words = line.strip().split("|")
        if words == [""] or line.startswith("#"):
            continue
        try:
            one, other, kind = map(int, words[:3])
        except ValueError as error:
            raise DataError(f"line {number} is {line.strip()!r}: write provider|customer|-1 or peer|peer|0") from error
        triples.append((one, other, kind))
    return Relationships(triples)


class Leak(NamedTuple):
    """An AS that passed a route on where it should not.

    Attributes:
        asn: Who leaked.
        learned_from: The neighbour that the route came from.
        sent_to: The neighbour that it went to.
        type: Type of RFC 7908, 3: 1 from provider to provider, 2 from peer to peer, 3 from provider to peer, 4 from
            peer to provider.
    """

    asn: int
    learned_from: int
    sent_to: int
    type: Literal[1, 2, 3, 4]


_LEAK_TYPES: dict[tuple[Role | None, Role | None], Literal[1, 2, 3, 4]] = {
    ("provider", "provider"): 1,
    ("peer", "peer"): 2,
    ("provider", "peer"): 3,
    ("peer", "provider"): 4,
}


def leaks(path: AsPath, relationships: Relationships) -> tuple[Leak, ...]:
    """The ASes that passed a route of a provider or peer on to a provider or peer (RFC 7908, types 1 to 4).

    An AS is looked at only if its relationships with both neighbours in the path are known; prepends do not matter,
    and an AS beside an AS_SET, the peer's own AS and the origin cannot leak. Types 5 (another AS's prefix originated
    anew) and 6 (internal prefixes) do not show in a path.

    Returns:
        The leaks from the origin's end on, which is the order in which they happened.
    """
    found: list[Leak] = []
    for chain in chains(path):
        for sent_to, asn, learned_from in zip(chain, chain[1:], chain[2:], strict=False):
            kind = _LEAK_TYPES.get((relationships.role(asn, learned_from), relationships.role(asn, sent_to)))
            if kind:
                found.append(Leak(asn, learned_from, sent_to, kind))
    return tuple(reversed(found))


def valley_free(path: AsPath, relationships: Relationships) -> bool | None:
    """Whether a path climbs, crosses at most one peering, and descends.

    Returns:
        False if the known steps alone break the rule, wherever unknown ones lie between them; True if every step is
        known and keeps it (also of a path of one AS or none); otherwise, and for a path with an AS_SET that keeps it,
        None.
    """
    known = all(segment.kind != "set" for segment in path)
    descending = False
    for chain in reversed(chains(path)):
        for receiver, sender in reversed(list(pairwise(chain))):
            role = relationships.role(sender, receiver)
            if role is None:
                known = False
            elif role == "customer":
                descending = True
            elif descending:
                return False
            else:
                descending = role == "peer"
    return True if known else None
