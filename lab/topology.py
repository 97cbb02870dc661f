"""The network of all scenarios, by names: ``topology.yaml`` as typed values."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

Role = Literal["customer", "peer", "provider", "collector"]
Daemon = Literal["bird", "frr"]

HERE = Path(__file__).parent


class Strict(BaseModel):
    """A frozen model that takes no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class As(Strict):
    """An autonomous system: its tier, its prefix lengths, and how it goes about RPKI."""

    tier: int = Field(ge=1, le=3)
    v4: tuple[int, ...]
    v6: tuple[int, ...]
    vrps: Literal["none", "exact", "loose"]
    rov: bool = False
    block: str | None = None
    daemon: Daemon = "bird"


class Block(Strict):
    """Address space that its holder shares with its customers."""

    holder: str
    v4: int
    v6: int


class Topology(Strict):
    """ASes, their links, and the collectors with the ASes that feed them."""

    ases: dict[str, As]
    blocks: dict[str, Block]
    transit: dict[str, tuple[str, ...]]
    peering: tuple[tuple[str, str], ...]
    collectors: dict[Daemon, tuple[str, ...]]

    @model_validator(mode="after")
    def _known_names(self) -> "Topology":
        named = {name for link in self.links() for name in link[:2]} | {block.holder for block in self.blocks.values()}
        named |= {name for feeds in self.collectors.values() for name in feeds}
        if unknown := named - self.ases.keys():
            raise ValueError(f"ASes that are not under 'ases': {', '.join(sorted(unknown))}")
        blocks = {system.block for system in self.ases.values() if system.block}
        if unknown := blocks - self.blocks.keys():
            raise ValueError(f"blocks that are not under 'blocks': {', '.join(sorted(unknown))}")
        return self

    def links(self) -> Iterator[tuple[str, str, Literal[-1, 0]]]:
        """Provider, customer, -1; or two peers, 0: the relationships as CAIDA writes them."""
        for customer, providers in self.transit.items():
            for provider in providers:
                yield provider, customer, -1
        for one, other in self.peering:
            yield one, other, 0

    def neighbors(self, name: str) -> dict[str, Role]:
        """What each neighbor is to the AS ``name``; collectors are among them."""
        found: dict[str, Role] = {}
        for left, right, kind in self.links():
            if name == left:
                found[right] = "customer" if kind == -1 else "peer"
            elif name == right:
                found[left] = "provider" if kind == -1 else "peer"
        for daemon, feeds in self.collectors.items():
            if name in feeds:
                found[collector_name(daemon)] = "collector"
        return found


def collector_name(daemon: Daemon) -> str:
    """The collector's name among the speakers."""
    return f"collector-{daemon}"


def load_topology(path: Path = HERE / "topology.yaml") -> Topology:
    """Read and check the topology.

    Raises:
        ValueError: A key is unknown or a name is not defined (pydantic's ValidationError).
    """
    return Topology.model_validate(yaml.safe_load(path.read_text()))
