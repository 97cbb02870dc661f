"""Scenario files: the cast, the steps of the timeline, and what each seed makes of them."""

import random
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, model_validator

from lab.numbers import SEEDS, draw_numbers, split_of
from lab.speaker import Vrp
from lab.stage import Stage
from lab.topology import HERE, Strict, Topology

Kind = Literal[
    "announce",
    "deaggregate",
    "withdraw",
    "prepend",
    "moas",
    "transfer",
    "origin-hijack",
    "subprefix-hijack",
    "path-forgery",
    "poison",
    "optimizer-leak",
    "route-leak",
    "outage",
    "link-failure",
    "flapping",
    "blackhole",
    "session-reset",
    "aggregate",
]
Class = Literal["attack", "accident", "failure", "benign"]


class Step(Strict):
    """Something that an AS does, and from when to when.

    Attributes:
        id: Name of the event, unique in the scenario.
        at: Seconds after the start.
        until: Seconds after the start at which it is undone; None leaves it so.
        do: What happens.
        by: The role or AS that does it.
        class_: Whether it is meant to harm, a mistake, a failure, or everyday business.
        prefixes: References as in ``Stage.prefixes``.
        victim: Whose prefixes they are, or whose routes suffer.
        neighbor: The other end: where a leak goes to, what a prepending is for, which link fails.
        source: Whom a leak's routes were learned from.
        path: ASes behind the acting one in a forged, copied or poisoned path.
        via: The neighbor of the acting AS through which its routes are seen after a link failed.
        communities: Standard communities of the announcement.
        times: How many more times the number stands in the path.
        cycles: How often the prefixes go away and come back.
        collector: The collector whose session is reset.
        note: A sentence for the reader of the truth file.
    """

    id: str
    at: float = Field(ge=1)
    until: float | None = None
    do: Kind
    by: str
    class_: Class = Field(alias="class")
    prefixes: tuple[str, ...] = ()
    victim: str | None = None
    neighbor: str | None = None
    source: str | None = None
    path: tuple[str, ...] = ()
    via: str | None = None
    communities: tuple[str, ...] = ()
    times: int = Field(default=0, ge=0, le=10)
    cycles: int = Field(default=0, ge=0, le=12)
    collector: Literal["bird", "frr"] | None = None
    note: str = ""


class Roa(Strict):
    """A ROA beyond those of the topology: ``asn`` may originate what ``prefix`` names, up to ``max_length``."""

    prefix: str
    asn: str
    max_length: int | None = None


class Scenario(Strict):
    """A scenario file.

    Attributes:
        title: What happens, in a line.
        reenactment: The famous incident that it is modelled after, or None.
        cast: Which ASes may play the roles; each seed picks one of these casts.
        length: Seconds from the start to the end.
        noise: How many everyday events of bystanders a seed adds.
        roas: ROAs beyond those of the topology.
        revoked: ASes of which the topology's ROAs do not count.
        steps: The timeline.
    """

    title: str
    reenactment: str | None = None
    cast: tuple[dict[str, str], ...] = Field(min_length=1)
    length: float = Field(ge=10, le=120)
    noise: int = Field(default=3, ge=0, le=10)
    roas: tuple[Roa, ...] = ()
    revoked: tuple[str, ...] = ()
    steps: tuple[Step, ...]

    @model_validator(mode="after")
    def _sound_timeline(self) -> "Scenario":
        for step in self.steps:
            if not step.at < (step.until or self.length) <= self.length:
                raise ValueError(f"step {step.id}: 'at' comes before 'until', and both within {self.length:g} s")
        if len({step.id for step in self.steps}) < len(self.steps):
            raise ValueError("two steps have the same id")
        return self


def load_scenarios(folder: Path = HERE / "scenarios") -> dict[str, Scenario]:
    """All scenarios by name, in the order of their numbers.

    Raises:
        ValueError: A file is not as it should be.
    """
    found: dict[str, Scenario] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            found[path.stem] = Scenario.model_validate(yaml.safe_load(path.read_text()))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return found


def cast_scenario(name: str, scenario: Scenario, topology: Topology, seed: str) -> tuple[Stage, tuple[Step, ...]]:
    """The stage and the steps of a recording; the same name and seed always give the same.

    Each seed takes another cast, moves every step by up to half a second, and adds everyday events of ASes that
    play no role.
    """
    rng = random.Random(f"{name}/{seed}")
    cast = scenario.cast[SEEDS.index(seed) % len(scenario.cast)]
    stage = Stage(topology, draw_numbers(topology, rng, split_of(seed)), cast)
    steps: list[Step] = []
    for step in scenario.steps:
        shift = round(rng.uniform(0, 0.5), 2)
        until = None if step.until is None else step.until + shift
        steps.append(step.model_copy(update={"at": step.at + shift, "until": until}))
    steps += _noise(scenario, stage, rng)
    return stage, tuple(sorted(steps, key=lambda step: step.at))


def _noise(scenario: Scenario, stage: Stage, rng: random.Random) -> list[Step]:
    ases = stage.topology.ases
    busy = {stage.name(step.by) for step in scenario.steps} | set(stage.cast.values())
    bystanders = [name for name, system in ases.items() if system.tier == 3 and not system.block and name not in busy]
    steps: list[Step] = []
    for number, name in enumerate(rng.sample(bystanders, min(scenario.noise, len(bystanders))), 1):
        at = round(rng.uniform(1, scenario.length - 8), 2)
        step: dict[str, object] = {"id": f"noise-{number}", "at": at, "by": name, "class": "benign"}
        step["prefixes"] = [f"{name}.v{rng.choice((4, 4, 6))}.0"]
        if rng.random() < 0.5:
            step |= {"do": "withdraw", "until": at + 4, "note": "Everyday churn: a prefix goes away for some seconds."}
        else:
            step |= {"do": "prepend", "until": at + 6, "note": "Everyday traffic engineering."}
            step["times"] = rng.randint(1, 3)
        steps.append(Step.model_validate(step))
    return steps


def validated_roas(scenario: Scenario, stage: Stage) -> tuple[Vrp, ...]:
    """The VRPs of a recording: those of the topology and those that the scenario adds."""
    vrps: list[Vrp] = []
    revoked = {stage.name(role) for role in scenario.revoked}
    for name, system in stage.topology.ases.items():
        if system.vrps == "none" or name in revoked:
            continue
        for prefix in stage.numbers.prefixes[name]:
            longest = prefix.prefixlen if system.vrps == "exact" else 24 if prefix.version == 4 else 48
            vrps.append(Vrp(prefix, longest, stage.numbers.asns[name]))
    for roa in scenario.roas:
        for prefix in stage.prefixes([roa.prefix]):
            vrps.append(Vrp(prefix, roa.max_length or prefix.prefixlen, stage.asn(roa.asn)))
    return tuple(vrps)
