"""Prefixes that cover each other: longest match, more specifics, covering prefixes, lengths.

IPv4 and IPv6 never cover each other. A *more specific* of a prefix is longer than it; a *covering* prefix is shorter,
or equal where a function says so.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar

from seedtune.domains.bgp.analyses.events import Prefix, parse_prefix, prefix_of
from seedtune.domains.bgp.mrt import Route, Withdrawal
from seedtune.domains.bgp.sandboxed.pybgpstream import _bgp as bgp

V = TypeVar("V")


class PrefixMap(Mapping[Prefix, V]):
    """Values by prefix that can be asked for what covers a prefix, and for what a prefix covers. It does not change.

    A look-up tries the lengths that occur (at most 33 or 129) in a dict; more specifics are a slice of the sorted
    prefixes. Memory: the dict, and a sorted list from the first question for more specifics on.

    Args:
        items: A mapping, or pairs; of a prefix given twice the last value stays.
    """

    def __init__(self, items: Mapping[Prefix, V] | Iterable[tuple[Prefix, V]] = ()) -> None:
        self._values = dict(items)
        present = {(prefix.version, prefix.length) for prefix in self._values}
        self._lengths = {
            version: sorted(length for family, length in present if family == version) for version in (4, 6)
        }

    def __getitem__(self, prefix: Prefix) -> V:
        return self._values[prefix]

    def __iter__(self) -> Iterator[Prefix]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @cached_property
    def _sorted(self) -> list[Prefix]:
        return sorted(self._values)

    def covering(self, prefix: Prefix) -> Iterator[Prefix]:
        """The prefixes that cover a prefix, itself included if it is there; shortest first."""
        return self._covering(prefix, self._lengths[prefix.version])

    def longest_match(self, prefix: Prefix) -> Prefix | None:
        """The longest prefix that covers a prefix or an address, itself included; None if there is none."""
        return next(self._covering(prefix, reversed(self._lengths[prefix.version])), None)

    def _covering(self, prefix: Prefix, lengths: Iterable[int]) -> Iterator[Prefix]:
        version, number, longest = prefix
        masks = bgp.PREFIX_MASKS[version]
        for length in lengths:
            candidate = Prefix(version, number & masks[length], length)
            if length <= longest and candidate in self._values:
                yield candidate

    def more_specifics(self, prefix: Prefix) -> Iterator[Prefix]:
        """The prefixes inside a prefix and longer than it, sorted by address, then length."""
        found = self._sorted
        place = bisect_left(found, prefix)
        while place < len(found) and found[place] <= _last_of(prefix):
            if found[place].length > prefix.length:
                yield found[place]
            place += 1


def _last_of(prefix: Prefix) -> Prefix:
    """The prefix that sorts last of all that this one covers: its last address."""
    size = 1 << (prefix.bits - prefix.length)
    return Prefix(prefix.version, prefix.number + size - 1, prefix.bits)


def longest_match(prefixes: Iterable[Prefix], address: str) -> Prefix | None:
    """The longest of the prefixes that holds an address, as a router forwards; None if no prefix does.

    For many addresses build a ``PrefixMap`` once.

    Args:
        prefixes: The prefixes of a table.
        address: An IPv4 or IPv6 address, or a prefix, which has to fit in whole.

    Raises:
        DataError: ``address`` is none.
    """
    inside = parse_prefix(address)
    return max((prefix for prefix in prefixes if prefix.covers(inside)), key=lambda prefix: prefix.length, default=None)


def more_specifics(prefixes: Iterable[Prefix], prefix: Prefix) -> list[Prefix]:
    """The distinct prefixes inside a prefix and longer than it, sorted by address, then length."""
    return sorted({other for other in prefixes if prefix.covers(other) and other != prefix})


def covering_prefixes(prefixes: Iterable[Prefix], prefix: Prefix) -> list[Prefix]:
    """The distinct prefixes that cover a prefix and are shorter than it, shortest first."""
    found = {other for other in prefixes if other.covers(prefix) and other != prefix}
    return sorted(found, key=lambda other: other.length)


def length_distribution(routes: Iterable[Route | Withdrawal], version: int) -> Counter[int]:
    """How many distinct prefixes of an IP version have each length; a prefix of several peers counts once.

    Memory: the distinct prefixes.
    """
    return Counter(prefix.length for prefix in {prefix_of(route) for route in routes} if prefix.version == version)
