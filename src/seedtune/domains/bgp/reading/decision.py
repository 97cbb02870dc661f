"""The best of several routes to one prefix, as far as an excerpt shows it (RFC 4271, 9.1).

Compared are LOCAL_PREF (absent counts as 100, the usual default), the length of the AS path, ORIGIN, and the MED of
routes from one neighbouring AS; then nothing that a table shows is left, and there is no best route. Not covered: what
is local to a router (weight, IGP cost, EBGP before IBGP, router identifiers, age).
"""

from collections.abc import Sequence

from seedtune.domains.bgp.analyses import path_length
from seedtune.domains.bgp.mrt import Route

_DEFAULT_PREFERENCE = 100
_ORIGINS = {"IGP": 0, "EGP": 1, "INCOMPLETE": 2, None: 2}


def best_route(routes: Sequence[Route]) -> Route | None:
    """The best route; None where what is shown leaves several, or there is none."""
    left = [route for route in routes if _preference(route) == max(map(_preference, routes))]
    left = [route for route in left if _length(route) == min(map(_length, left))]
    left = [route for route in left if _ORIGINS[route.origin] == min(_ORIGINS[each.origin] for each in left)]
    left = [route for route in left if not any(_lower_med(other, route) for other in left)]
    return left[0] if len(left) == 1 else None


def _preference(route: Route) -> int:
    return _DEFAULT_PREFERENCE if route.local_pref is None else route.local_pref


def _length(route: Route) -> int:
    return path_length(route.segments)


def _lower_med(other: Route, route: Route) -> bool:
    """Whether another route from the same neighbouring AS has a lower MED; an absent one is 0 (RFC 4271, 9.1.2.2 c)."""
    return bool(other.hops and route.hops and other.hops[0] == route.hops[0]) and (other.med or 0) < (route.med or 0)
