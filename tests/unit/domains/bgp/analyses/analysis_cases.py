"""Events in one line each, for the hand-made cases of the analyses. A peer is given by its AS number alone."""

from hypothesis import strategies as st

from seedtune.domains.bgp.analyses import Peer, Prefix, make_route, make_withdrawal, parse_path, parse_prefix
from seedtune.domains.bgp.mrt import Route, StateChange, Withdrawal


def peer(asn: int) -> Peer:
    return Peer(asn, f"192.0.2.{asn % 256}")


def announce(time: float, asn: int, prefix: str, path: str = "", *communities: str) -> Route:
    """A route of the peer; by default the peer originates it."""
    return make_route(time, peer(asn), parse_prefix(prefix), parse_path(path or str(asn)), communities)


def withdraw(time: float, asn: int, prefix: str) -> Withdrawal:
    return make_withdrawal(time, peer(asn), parse_prefix(prefix))


def entry(time: float, asn: int, prefix: str, path: str = "") -> Route:
    """The same route as ``announce`` makes, as an entry of a RIB."""
    return announce(time, asn, prefix, path)._replace(originated=0)


def down(time: float, asn: int) -> StateChange:
    return StateChange(time, *peer(asn), "ESTABLISHED", "IDLE")


def up(time: float, asn: int) -> StateChange:
    return StateChange(time, *peer(asn), "OPENCONFIRM", "ESTABLISHED")


def parse(*texts: str) -> list[Prefix]:
    return [parse_prefix(text) for text in texts]


def _prefix(version: int, top: int, length: int) -> Prefix:
    bits = 32 if version == 4 else 128
    return Prefix(version, (top << (bits - 6)) >> (bits - length) << (bits - length), length)


prefixes = st.builds(_prefix, st.sampled_from([4, 6]), st.integers(0, 63), st.integers(0, 6))
"""Short prefixes of both versions, so few that they often cover each other."""


def bit_text(prefix: Prefix) -> str:
    """Version and network bits as text, so that covering is ``startswith``: the oracle of the property tests."""
    bits = 32 if prefix.version == 4 else 128
    return f"{prefix.version}:" + f"{prefix.number:0{bits}b}"[: prefix.length]
