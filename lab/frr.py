"""bgpd.conf for a speaker and for the collector that run FRR: the policy of ``bird``, marked by large communities.

A running bgpd is changed by commands, so only what a scenario asks of an FRR speaker is there: aggregates with AS_SETs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lab.numbers import Network
from lab.speaker import Neighbor, Speaker

_KINDS = {"customer": 1, "peer": 2, "provider": 3}


def render_speaker(speaker: Speaker) -> str:
    """The whole configuration of a speaker."""
    lines = [*_head(speaker.asn, speaker.addresses[0], speaker.neighbors)]
    for version in (4, 6):
        lines.append(f" address-family ipv{version} unicast")
        lines += [f"  network {route.prefix} route-map own" for route in speaker.origins if _is(route.prefix, version)]
        lines += [f"  {_aggregate(prefix)}" for prefix in speaker.aggregates if _is(prefix, version)]
        for neighbor in speaker.neighbors:
            address = neighbor.addresses[0 if version == 4 else 1]
            lines += [
                f"  neighbor {address} activate",
                f"  neighbor {address} route-map from-{neighbor.role} in",
                f"  neighbor {address} route-map to-{neighbor.role} out",
            ]
        lines += [" exit-address-family", " !"]
    return "\n".join([*lines, "exit", *_policy(speaker.asn), ""])


def render_collector(asn: int, addresses: tuple[str, str], peers: Sequence[Neighbor], folder: str) -> str:
    """A collector: it takes every route, sends none, and writes what it hears to ``updates.mrt`` in ``folder``."""
    lines = [*_head(asn, addresses[0], peers)]
    for version in (4, 6):
        lines.append(f" address-family ipv{version} unicast")
        for peer in peers:
            address = peer.addresses[0 if version == 4 else 1]
            lines += [f"  neighbor {address} activate", f"  neighbor {address} route-map nothing out"]
        lines += [" exit-address-family", " !"]
    return "\n".join([*lines, "exit", "route-map nothing deny 10", "exit", f"dump bgp all-et {folder}/updates.mrt", ""])


def commands(old: Speaker, new: Speaker) -> list[str]:
    """Lines for the terminal of a running bgpd that take a speaker from ``old`` to ``new``.

    Raises:
        ValueError: Something else than the aggregates is to change.
    """
    if replace(old, aggregates=()) != replace(new, aggregates=()):
        raise ValueError(f"{old.name}: an FRR speaker can change its aggregates only; give the part to a BIRD speaker")
    lines = ["configure terminal", f"router bgp {old.asn}"]
    for prefix in (*old.aggregates, *new.aggregates):
        if (prefix in old.aggregates) != (prefix in new.aggregates):
            undo = "no " if prefix in old.aggregates else ""
            lines += [f"address-family ipv{prefix.version} unicast", undo + _aggregate(prefix), "exit-address-family"]
    return lines


def _is(prefix: Network, version: int) -> bool:
    return prefix.version == version


def _aggregate(prefix: Network) -> str:
    return f"aggregate-address {prefix} as-set summary-only route-map own"


def _head(asn: int, router_id: str, neighbors: Sequence[Neighbor]) -> Iterator[str]:
    yield from ("frr defaults traditional", f"router bgp {asn}", f" bgp router-id {router_id}")
    yield from (" no bgp ebgp-requires-policy", " no bgp default ipv4-unicast", " no bgp network import-check")
    for neighbor in neighbors:
        for address in neighbor.addresses:
            yield f" neighbor {address} remote-as {neighbor.asn}"
            yield f" neighbor {address} timers 30 90"
            yield f" neighbor {address} timers connect 1"
            yield f" neighbor {address} advertisement-interval 0"


def _policy(asn: int) -> Iterator[str]:
    yield f"bgp large-community-list standard exportable permit {asn}:1:1"
    yield f"bgp large-community-list standard exportable permit {asn}:1:0"
    yield f"bgp large-community-list expanded marks permit ^{asn}:"
    yield from ("route-map own permit 10", f" set large-community {asn}:1:0 additive", "exit")
    for role, kind in _KINDS.items():
        yield from (
            f"route-map from-{role} permit 10",
            " set large-comm-list marks delete",
            f" set local-preference {400 - 100 * kind}",
            " on-match next",
            "exit",
            f"route-map from-{role} permit 20",
            f" set large-community {asn}:1:{kind} additive",
            "exit",
        )
        yield f"route-map to-{role} permit 10"
        if role != "customer":
            yield " match large-community exportable"
        yield "exit"
    yield from ("route-map from-collector deny 10", "exit", "route-map to-collector permit 10", "exit")
