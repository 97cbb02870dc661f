"""AS numbers, prefixes, addresses and times of a recording, drawn from pools of the split, so that splits are disjoint.

Nothing here belongs to anybody: AS numbers for documentation (RFC 5398) and private use (RFC 6996), private (RFC 1918),
benchmarking (RFC 2544) and documentation prefixes (RFC 5737, 3849), peer addresses of shared address space (RFC 6598)
and unique local ones (RFC 4193).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

from lab.topology import Topology, collector_name

Network = IPv4Network | IPv6Network
Split = Literal["train", "dev", "test"]

SEEDS = ("train-1", "train-2", "dev-1", "test-1")


@dataclass(frozen=True)
class Pool:
    """What one split draws from; ``start`` is its first second, and it has a year."""

    asns: tuple[range, ...]
    v4: tuple[str, ...]
    v6: str
    lan4: str
    lan6: str
    start: int


POOLS: dict[Split, Pool] = {
    "train": Pool(
        (range(64496, 64504), range(65536, 65544), range(64512, 65024), range(4_200_000_000, 4_200_400_000)),
        ("10.0.0.0/9", "172.16.0.0/13", "192.168.0.0/17", "198.18.0.0/16", "192.0.2.0/24"),
        "2001:db8::/33",
        "100.64.0.0/11",
        "fd00::/10",
        1_640_995_200,  # 2022-01-01
    ),
    "dev": Pool(
        (range(64504, 64508), range(65544, 65548), range(65024, 65280), range(4_200_400_000, 4_200_600_000)),
        ("10.128.0.0/10", "172.24.0.0/14", "192.168.128.0/18", "198.19.0.0/17", "198.51.100.0/24"),
        "2001:db8:8000::/34",
        "100.96.0.0/12",
        "fd40::/10",
        1_672_531_200,  # 2023-01-01
    ),
    "test": Pool(
        (range(64508, 64512), range(65548, 65552), range(65280, 65535), range(4_200_600_000, 4_200_900_000)),
        ("10.192.0.0/10", "172.28.0.0/14", "192.168.192.0/18", "198.19.128.0/17", "203.0.113.0/24"),
        "2001:db8:c000::/34",
        "100.112.0.0/12",
        "fd80::/10",
        1_704_067_200,  # 2024-01-01
    ),
}
_ASN_ODDS = (1, 1, 7, 4)
_V4_ODDS = (8, 3, 1, 3, 1)
_YEAR = 365 * 86_400


@dataclass(frozen=True)
class Numbers:
    """The numbers of one recording, by the names of the topology; blocks have prefixes too.

    Attributes:
        asns: AS number of each AS and collector.
        prefixes: Prefixes of each AS and block: IPv4 ones, then IPv6 ones, in the order of the topology.
        addresses: IPv4 and IPv6 address of each AS and collector.
        start: The time, seconds since the epoch, at which the recording begins.
    """

    asns: dict[str, int]
    prefixes: dict[str, tuple[Network, ...]]
    addresses: dict[str, tuple[str, str]]
    start: int


def split_of(seed: str) -> Split:
    """The split that a seed belongs to: ``train`` of ``train-1``.

    Raises:
        ValueError: The seed is not named after a split.
    """
    for split in POOLS:
        if seed.startswith(f"{split}-"):
            return split
    raise ValueError(f"seed {seed!r}: it must begin with train-, dev- or test-, such as train-3")


def draw_numbers(topology: Topology, rng: random.Random, split: Split) -> Numbers:
    """Draw all numbers of one recording from the split's pools."""
    pool = POOLS[split]
    names = [*topology.ases, *map(collector_name, topology.collectors)]
    lan4 = _subnet(pool.lan4, 24, rng)
    lan6 = _subnet(pool.lan6, 64, rng)
    return Numbers(
        asns=dict(zip(names, _draw_asns(pool, len(names), rng), strict=True)),
        prefixes=_draw_prefixes(topology, pool, rng),
        addresses={name: (str(lan4[host]), str(lan6[host])) for host, name in enumerate(names, 1)},
        start=pool.start + rng.randrange(_YEAR),
    )


def _draw_asns(pool: Pool, count: int, rng: random.Random) -> list[int]:
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        drawn[rng.choice(rng.choices(pool.asns, _ASN_ODDS)[0])] = None
    return list(drawn)


def _draw_prefixes(topology: Topology, pool: Pool, rng: random.Random) -> dict[str, tuple[Network, ...]]:
    taken: list[Network] = []
    drawn = {
        name: tuple(_free(pool, version, length, taken, rng) for version, length in ((4, block.v4), (6, block.v6)))
        for name, block in topology.blocks.items()
    }
    inside: list[Network] = []
    for name, system in topology.ases.items():
        wanted = [(4, length) for length in system.v4] + [(6, length) for length in system.v6]
        if system.block is None:
            drawn[name] = tuple(_free(pool, version, length, taken, rng) for version, length in wanted)
        else:
            block = {network.version: str(network) for network in drawn[system.block]}
            drawn[name] = tuple(_disjoint([block[version]], [1], length, inside, rng) for version, length in wanted)
    return drawn


def _free(pool: Pool, version: int, length: int, taken: list[Network], rng: random.Random) -> Network:
    """A prefix of the pool that overlaps none of ``taken``."""
    if version == 6:
        return _disjoint([pool.v6], [1], length, taken, rng)
    # The documentation prefixes are one /24 a split.
    odds = [odd if length >= ip_network(parent).prefixlen else 0 for parent, odd in zip(pool.v4, _V4_ODDS, strict=True)]
    return _disjoint(pool.v4, odds, length, taken, rng)


def _disjoint(
    parents: Sequence[str], odds: Sequence[int], length: int, taken: list[Network], rng: random.Random
) -> Network:
    """A prefix inside one of ``parents`` that overlaps none of ``taken``, which it joins."""
    while True:
        network = _subnet(rng.choices(parents, odds)[0], length, rng)
        if not any(network.version == other.version and network.overlaps(other) for other in taken):
            taken.append(network)
            return network


def _subnet(parent: str, length: int, rng: random.Random) -> Network:
    network = ip_network(parent)
    number = rng.randrange(1 << (length - network.prefixlen))
    base = int(network.network_address) + (number << (network.max_prefixlen - length))
    return type(network)((base, length))
