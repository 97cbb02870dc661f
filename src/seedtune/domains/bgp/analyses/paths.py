"""What one AS path says. Prepends count unless a function says otherwise; segments of confederations never do.

Confederation segments are internal to the AS that sends them (RFC 5065, 5.3): they are skipped as if they were not
there. The members of an AS_SET (RFC 4271, 9.2.2.2; deprecated by RFC 9774) have no order, so they have no neighbours.
"""

from collections import Counter
from itertools import groupby, pairwise

from seedtune.domains.bgp.analyses.events import AsPath


def path_origins(path: AsPath, sets: bool = False) -> frozenset[int]:
    """The AS that originates the route: the last one of a path that ends in a sequence.

    A path that is empty or ends in a confederation has none, as ``Route.origin_asn`` has it.

    Args:
        path: The AS path.
        sets: Take a path that ends in an AS_SET as originated by each member; else it has no origin (RFC 6811, 2).
    """
    if not path or not path[-1].asns:
        return frozenset()
    last = path[-1]
    if last.kind == "sequence":
        return frozenset(last.asns[-1:])
    return frozenset(last.asns) if sets and last.kind == "set" else frozenset()


def path_length(path: AsPath, prepends: bool = True) -> int:
    """The length that best-path selection compares: AS numbers, an AS_SET as one (RFC 4271, 9.1.2.2).

    Args:
        path: The AS path.
        prepends: Count every copy of an AS; else a run of the same AS counts as one.
    """
    if prepends:
        return sum(len(asns) if kind == "sequence" else kind == "set" for kind, asns in path)
    return len(collapsed(path)) + sum(kind == "set" for kind, _ in path)


def prepending(path: AsPath) -> dict[int, int]:
    """How many extra copies of itself each AS put in: a run of n copies counts n - 1, several runs are added up.

    Returns:
        Numbers from 1 by AS, from the peer's end on; an AS that did not prepend is left out. An AS_SET ends a run.
    """
    extra: Counter[int] = Counter()
    for chain in _chains(path):
        for asn, run in groupby(chain):
            extra[asn] += sum(1 for _ in run) - 1
    return {asn: count for asn, count in extra.items() if count}


def collapsed(path: AsPath) -> tuple[int, ...]:
    """The path from the peer to the origin with each run of the same AS written once; AS_SETs are left out.

    An AS_SET ends a run: ``1 1 {2} 1`` is ``(1, 1)``.
    """
    return tuple(asn for chain in chains(path) for asn in chain)


def path_loops(path: AsPath) -> frozenset[int]:
    """The ASes that the path passes more than once: in two runs with another AS or an AS_SET between them.

    A speaker refuses a path with its own AS (RFC 4271, 9.1.2), so a loop means poisoning, a forged path, or a network
    that allows its own AS on purpose. Members of AS_SETs do not count.
    """
    return frozenset(asn for asn, runs in Counter(collapsed(path)).items() if runs > 1)


def path_edges(path: AsPath) -> tuple[tuple[int, int], ...]:
    """The pairs of neighbours, each with the AS nearer to the peer first; none leads to or across an AS_SET."""
    return tuple(edge for chain in chains(path) for edge in pairwise(chain))


def chains(path: AsPath) -> list[tuple[int, ...]]:
    """The path cut at its AS_SETs, with each run of the same AS written once; ends without an AS are left out."""
    return [tuple(asn for asn, _ in groupby(chain)) for chain in _chains(path)]


def _chains(path: AsPath) -> list[list[int]]:
    found: list[list[int]] = [[]]
    for kind, asns in path:
        if kind == "sequence":
            found[-1] += asns
        elif kind == "set":
            found.append([])
    return [chain for chain in found if chain]
