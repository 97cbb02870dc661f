"""A scenario with a seed, worked out to the last number: what the laboratory then acts out."""

from collections import Counter
from dataclasses import dataclass, replace

from lab.deeds import Deed, Move, carry_out
from lab.numbers import Split, split_of
from lab.scenario import Scenario, Step, cast_scenario, validated_roas
from lab.speaker import Neighbor, Speaker, Vrp, build_speakers
from lab.stage import Stage
from lab.topology import Daemon, Topology, collector_name


@dataclass(frozen=True)
class Collector:
    """A collector: the daemon it runs, its number and addresses, and the ASes that feed it."""

    daemon: Daemon
    asn: int
    addresses: tuple[str, str]
    peers: tuple[Neighbor, ...]

    @property
    def name(self) -> str:
        """Its name among the speakers."""
        return collector_name(self.daemon)


@dataclass(frozen=True)
class Play:
    """Everything that is to happen in one recording.

    Attributes:
        name: Name of the scenario.
        seed: Name of the seed.
        scenario: The scenario file.
        stage: Cast and numbers.
        steps: The steps by time, everyday events included.
        deeds: What each step comes to, by its id.
        speakers: The ASes as they are before the first step.
        collectors: The collectors.
        vrps: What RPKI says.
    """

    name: str
    seed: str
    scenario: Scenario
    stage: Stage
    steps: tuple[Step, ...]
    deeds: dict[str, Deed]
    speakers: dict[str, Speaker]
    collectors: tuple[Collector, ...]
    vrps: tuple[Vrp, ...]

    @property
    def split(self) -> Split:
        """The split that the recording belongs to."""
        return split_of(self.seed)

    @property
    def moves(self) -> tuple[Move, ...]:
        """The moves of all steps by time."""
        return tuple(sorted((move for deed in self.deeds.values() for move in deed.moves), key=lambda move: move.at))


def write_play(name: str, scenario: Scenario, topology: Topology, seed: str) -> Play:
    """Work out a recording; the same arguments always give the same.

    Raises:
        ValueError: A step refers to something that is not there or lacks what its kind needs; the message names it.
    """
    try:
        stage, steps = cast_scenario(name, scenario, topology, seed)
        vrps = validated_roas(scenario, stage)
        speakers = build_speakers(topology, stage.numbers, vrps)
        deeds = _uncontested({step.id: carry_out(step, stage, speakers) for step in steps})
    except ValueError as error:
        raise ValueError(f"scenario {name}, seed {seed}: {error}") from error
    numbers = stage.numbers
    collectors = tuple(
        Collector(
            daemon=daemon,
            asn=numbers.asns[collector_name(daemon)],
            addresses=numbers.addresses[collector_name(daemon)],
            peers=tuple(Neighbor(peer, numbers.asns[peer], "peer", numbers.addresses[peer]) for peer in feeds),
        )
        for daemon, feeds in topology.collectors.items()
    )
    return Play(name, seed, scenario, stage, steps, deeds, speakers, collectors, vrps)


def _uncontested(deeds: dict[str, Deed]) -> dict[str, Deed]:
    """An undone announcement does not end in a withdrawal where another step announces the same prefix."""
    announced = Counter(sighting.prefix for deed in deeds.values() for sighting in deed.effects.announced)
    return {
        name: replace(
            deed,
            effects=replace(
                deed.effects,
                withdrawn_after=tuple(prefix for prefix in deed.effects.withdrawn_after if announced[prefix] == 1),
            ),
        )
        for name, deed in deeds.items()
    }
