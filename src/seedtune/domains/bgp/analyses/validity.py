"""Route origin validation against RPKI data (RFC 6811)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from seedtune.domains.bgp.analyses.events import Prefix, prefix_of
from seedtune.domains.bgp.analyses.prefixes import PrefixMap
from seedtune.domains.bgp.mrt import Route
from seedtune.errors import DataError

Validity = Literal["valid", "invalid", "not-found"]


class Vrp(NamedTuple):
    """A validated ROA payload: this AS may originate this prefix and more specifics up to a length.

    Attributes:
        prefix: The prefix of the ROA.
        max_length: The greatest length that the AS may announce, in bits.
        asn: The AS; 0 allows nobody (RFC 6483, 4).
    """

    prefix: Prefix
    max_length: int
    asn: int


class Vrps:
    """VRPs that can be asked for those which cover a prefix. Memory: one tuple a VRP.

    Args:
        vrps: The VRPs.

    Raises:
        DataError: A max_length is shorter than its prefix, or longer than an address.
    """

    def __init__(self, vrps: Iterable[Vrp]) -> None:
        by_prefix: defaultdict[Prefix, list[Vrp]] = defaultdict(list)
        for vrp in vrps:
            prefix = vrp.prefix
            if not prefix.length <= vrp.max_length <= prefix.bits:
                raise DataError(
                    f"VRP {prefix} of AS{vrp.asn}: max_length is {vrp.max_length}, "
                    f"it has to be from {prefix.length} to {prefix.bits}"
                )
            by_prefix[prefix].append(vrp)
        self._vrps = PrefixMap(by_prefix)

    def covering(self, prefix: Prefix) -> Iterator[Vrp]:
        """The VRPs whose prefix covers a prefix or is equal to it, shortest first."""
        return (vrp for covering in self._vrps.covering(prefix) for vrp in self._vrps[covering])


def validate(prefix: Prefix, origin: int | None, vrps: Vrps) -> Validity:
    """The validation state of a route (RFC 6811, 2).

    ``not-found`` if no VRP covers the prefix; ``valid`` if one that does has the origin's AS and a max_length not
    below the prefix's length; otherwise ``invalid``. AS 0 matches nothing (RFC 6811, 2).

    Args:
        prefix: The route's prefix.
        origin: The AS that originates it; None if the route has no single origin (NONE in the RFC), which matches
            nothing.
        vrps: The VRPs.
    """
    state: Validity = "not-found"
    for vrp in vrps.covering(prefix):
        if vrp.asn == origin and origin and prefix.length <= vrp.max_length:
            return "valid"
        state = "invalid"
    return state


def route_validity(route: Route, vrps: Vrps) -> Validity:
    """The validation state of a route; see ``validate``.

    A path that ends in an AS_SET has the origin NONE. So has, here, one that is empty or ends in a confederation: the
    RFC puts the collector's own AS there, which routes do not tell.
    """
    return validate(prefix_of(route), route.origin_asn, vrps)
