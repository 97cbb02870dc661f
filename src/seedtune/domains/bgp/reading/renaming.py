"""Other numbers for the same routes: AS numbers, prefixes, addresses and times of a recording, renamed one to one.

A recording of the lab has some dozen ASes; renamed by seed it gives tasks without end. The structure stays: who
originates what, which prefix lies in which, who comes after whom. Each split has numbers of its own, all of them for
private use, documentation or benchmarks (RFC 1918, 2544, 3849, 4193, 5398, 6598, 6996):

| | train | dev | test |
| --- | --- | --- | --- |
| AS, 16 bits | 64496-64503, 64512-65023 | 64504-64507, 65024-65279 | 64508-64511, 65280-65534 |
| AS, 32 bits | 65536-65543, 4200000000-4200399999 | 65544-65547, 4200400000-4200599999 | 65548-65551, 4200600000-4200899999 |
| IPv4 prefixes | 10.0/9, 172.16/13, 192.168.0/17, 198.18/16 | 10.128/10, 172.24/14, 192.168.128/18, 198.19.0/17 | 10.192/10, 172.28/14, 192.168.192/18, 198.19.128/17 |
| IPv6 prefixes | 2001:db8::/33, 3fff::/21 | 2001:db8:8000::/34, 3fff:800::/22 | 2001:db8:c000::/34, 3fff:c00::/22 |
| routers | 100.64/11, fd00::/10 | 100.96/12, fd40::/10 | 100.112/12, fd80::/10 |
| times | 2022 | 2023 | 2024 |

The lab draws from the same pools, but for 3fff::/20 (RFC 9637).
"""  # noqa: E501 - a table

import random
from collections.abc import Mapping
from dataclasses import dataclass
from socket import AF_INET6, inet_aton, inet_ntoa, inet_ntop, inet_pton
from typing import Literal

from seedtune.domains.bgp.analyses import Event, Peer, Prefix, make_route, make_withdrawal, parse_prefix, prefix_of
from seedtune.domains.bgp.mrt import Route, Segment, Withdrawal

TaskSplit = Literal["train", "dev", "test"]

WELL_KNOWN_ASN = 65535
"""First half of well-known communities (RFC 1997), which keep their numbers."""
BLACKHOLE_VALUE = 666

_NARROW_TOP = 1 << 16
_ROOM = 3
"""A prefix is put into ranges at least so many bits shorter, so that it has many places to be."""


@dataclass(frozen=True)
class Numbers:
    """What the tasks of a split are numbered with; ranges include both ends."""

    narrow: tuple[tuple[int, int], ...]
    wide: tuple[tuple[int, int], ...]
    prefixes: Mapping[int, tuple[Prefix, ...]]
    """By IP version."""
    routers: Mapping[int, Prefix]
    times: tuple[int, int]
    """Seconds since the epoch."""


def _prefixes(*texts: str) -> tuple[Prefix, ...]:
    return tuple(map(parse_prefix, texts))


NUMBERS: dict[TaskSplit, Numbers] = {
    "train": Numbers(
        ((64496, 64503), (64512, 65023)),
        ((65536, 65543), (4_200_000_000, 4_200_399_999)),
        {
            4: _prefixes("10.0.0.0/9", "172.16.0.0/13", "192.168.0.0/17", "198.18.0.0/16"),
            6: _prefixes("2001:db8::/33", "3fff::/21"),
        },
        {4: parse_prefix("100.64.0.0/11"), 6: parse_prefix("fd00::/10")},
        (1_640_995_200, 1_672_444_800),
    ),
    "dev": Numbers(
        ((64504, 64507), (65024, 65279)),
        ((65544, 65547), (4_200_400_000, 4_200_599_999)),
        {
            4: _prefixes("10.128.0.0/10", "172.24.0.0/14", "192.168.128.0/18", "198.19.0.0/17"),
            6: _prefixes("2001:db8:8000::/34", "3fff:800::/22"),
        },
        {4: parse_prefix("100.96.0.0/12"), 6: parse_prefix("fd40::/10")},
        (1_672_531_200, 1_703_980_800),
    ),
    "test": Numbers(
        ((64508, 64511), (65280, 65534)),
        ((65548, 65551), (4_200_600_000, 4_200_899_999)),
        {
            4: _prefixes("10.192.0.0/10", "172.28.0.0/14", "192.168.192.0/18", "198.19.128.0/17"),
            6: _prefixes("2001:db8:c000::/34", "3fff:c00::/22"),
        },
        {4: parse_prefix("100.112.0.0/12"), 6: parse_prefix("fd80::/10")},
        (1_704_067_200, 1_735_603_200),
    ),
}


class Renaming:
    """Names for one task: each number gets its other one when it is first met.

    Args:
        split: Whose numbers.
        rng: Decides them.
        tops: Each prefix of the recording, and the shortest one of the recording that covers it.
        start: The recording's time that becomes the first one, seconds since the epoch.
        narrow: AS numbers of 16 bits only.
    """

    def __init__(
        self, split: TaskSplit, rng: random.Random, tops: Mapping[Prefix, Prefix], start: float, narrow: bool
    ) -> None:
        self._numbers = NUMBERS[split]
        self._rng = rng
        self._tops = tops
        self._start = int(start)
        self._narrow = narrow
        first, last = self._numbers.times
        # A day is left for what comes after the start.
        self._base = rng.randrange(first, last - 86_400)
        self._stretch = rng.choice((1, 1, 2, 3, 7))
        self._asns: dict[int, int] = {}
        self._blocks: dict[Prefix, tuple[Prefix, int]] = {}
        self._routers: dict[str, str] = {}
        self._values: dict[int, int] = {}
        self._taken: list[Prefix] = []

    def asn(self, asn: int) -> int:
        """Another AS number; one of 16 bits stays one of 16 bits."""
        if asn not in self._asns:
            wide = asn >= _NARROW_TOP and not self._narrow and self._rng.random() < 0.5
            ranges = self._numbers.wide if wide else self._numbers.narrow
            used = set(self._asns.values())
            while (new := self._fresh_asn(ranges)) in used:
                pass
            self._asns[asn] = new
        return self._asns[asn]

    def _fresh_asn(self, ranges: tuple[tuple[int, int], ...]) -> int:
        # The documentation ASNs are few: now and then one of them.
        low, high = ranges[0] if self._rng.random() < 0.1 else ranges[-1]
        return self._rng.randint(low, high)

    def prefix(self, prefix: Prefix) -> Prefix:
        """Another prefix of the same length, within the one that covers it exactly if this lies in that."""
        top = self._tops.get(prefix, prefix)
        if top not in self._blocks:
            self._blocks[top] = self.block(top.version, top.length), self._rng.getrandbits(top.bits)
        block, mask = self._blocks[top]
        within = (1 << (top.bits - top.length)) - 1
        host = (1 << (top.bits - prefix.length)) - 1
        return Prefix(prefix.version, block.number | ((prefix.number ^ mask) & within & ~host), prefix.length)

    def block(self, version: int, length: int) -> Prefix:
        """A prefix that overlaps with none of before.

        Raises:
            ValueError: the split has no room for so short a prefix.
        """
        ranges = [each for each in self._numbers.prefixes[version] if each.length + _ROOM <= length]
        if not ranges:
            raise ValueError(f"no range of this split holds an IPv{version} prefix of {length} bits")
        while True:
            around = self._rng.choice(ranges)
            # In IPv6 a short text: nothing random beyond the first 48 bits, unless the prefix is so long.
            bits = min(length, 48) if version == 6 and length >= 48 and around.length < 48 else length
            number = around.number | (self._rng.getrandbits(bits - around.length) << (around.bits - bits))
            found = Prefix(version, number, length)
            # 3fff::/20 always has room.
            if not any(found.covers(other) or other.covers(found) for other in self._taken):
                self._taken.append(found)
                return found

    def range_length(self, prefix: Prefix) -> int:
        """Length of the split's range that a renamed prefix lies in: shorter ones around it are not the split's."""
        return next(each.length for each in self._numbers.prefixes[prefix.version] if each.covers(prefix))

    def router(self, address: str) -> str:
        """Another address of a peer or a next hop."""
        if address not in self._routers:
            used = set(self._routers.values())
            while (new := self._fresh_router(6 if ":" in address else 4)) in used:
                pass
            self._routers[address] = new
        return self._routers[address]

    def _fresh_router(self, version: int) -> str:
        around = self._numbers.routers[version]
        free = around.bits - around.length
        if version == 4:
            return inet_ntoa((around.number | self._rng.randrange(1, (1 << free) - 1)).to_bytes(4, "big"))
        # Few digits: all random ones are in the first 32 bits and the last 8.
        top = self._rng.getrandbits(32 - around.length) << 96
        return inet_ntop(AF_INET6, (around.number | top | self._rng.randint(1, 255)).to_bytes(16, "big"))

    def community(self, text: str) -> str:
        """Another community ``asn:value``; well-known ones and the value 666 stay."""
        asn, value = map(int, text.split(":"))
        if asn in (0, WELL_KNOWN_ASN):
            return text
        return f"{self.asn(asn)}:{self._value(value)}"

    def _value(self, value: int) -> int:
        if value == BLACKHOLE_VALUE:
            return value
        if value not in self._values:
            used = {*self._values.values(), BLACKHOLE_VALUE}
            while (new := self._rng.randint(1, 999)) in used:
                pass
            self._values[value] = new
        return self._values[value]

    def time(self, time: float) -> int:
        """Another time, in whole seconds; the order stays."""
        return self._base + (int(time) - self._start) * self._stretch

    def event(self, event: Event) -> Event:
        """An announcement, a RIB entry or a withdrawal with other numbers; state changes have no place in a task.

        Raises:
            TypeError: it is a state change.
        """
        if isinstance(event, Route):
            return self.route(event)
        if isinstance(event, Withdrawal):
            peer = Peer(self.asn(event.peer_asn), self.router(event.peer_address))
            return make_withdrawal(self.time(event.time), peer, self.prefix(prefix_of(event)))
        raise TypeError("a state change is not renamed")

    def route(self, route: Route) -> Route:
        """A route with other numbers."""
        path = tuple(Segment(kind, tuple(map(self.asn, asns))) for kind, asns in route.segments)
        other = {code: route.attributes.raw[code] for code in (_ORIGIN, _MED, _ATOMIC) if code in route.attributes.raw}
        if route.next_hop:
            other |= next_hop_attribute(self.router(route.next_hop))
        return make_route(
            self.time(route.time),
            Peer(self.asn(route.peer_asn), self.router(route.peer_address)),
            self.prefix(prefix_of(route)),
            path,
            communities=tuple(map(self.community, route.communities)),
            other=other,
        )


_ORIGIN, _NEXT_HOP, _MED, _ATOMIC, _MP_REACH = 1, 3, 4, 6, 14


def next_hop_attribute(address: str) -> dict[int, bytes]:
    """The attribute that holds a next hop: of IPv6 the short form of a RIB (RFC 6396, 4.3.4)."""
    if ":" in address:
        return {_MP_REACH: bytes([16]) + inet_pton(AF_INET6, address)}
    return {_NEXT_HOP: inet_aton(address)}
