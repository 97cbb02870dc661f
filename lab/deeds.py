"""What each kind of step does to the speakers, and what of it must show in the recordings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from lab.numbers import Network
from lab.scenario import Kind, Step
from lab.speaker import Change, Leak, Origination, Prepend, Speaker, announce, bring_down, bring_up, withdraw
from lab.stage import Stage


@dataclass(frozen=True)
class Sighting:
    """A route that at least one peer of a collector must announce.

    Attributes:
        prefix: The prefix.
        origin: Origin AS; None if the path ends in a set.
        path: AS numbers that stand side by side in the AS path.
        as_set: Members of the path's AS_SET.
        communities: Standard communities that it carries.
    """

    prefix: Network
    origin: int | None
    path: tuple[int, ...]
    as_set: tuple[int, ...] = ()
    communities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Effects:
    """What must be visible: while the event lasts, and after it is undone."""

    announced: tuple[Sighting, ...] = ()
    withdrawn: tuple[Network, ...] = ()
    announced_after: tuple[Sighting, ...] = ()
    withdrawn_after: tuple[Network, ...] = ()
    peers_down: tuple[int, ...] = ()


@dataclass(frozen=True)
class Move:
    """One act of one speaker at one time; exactly one of ``change`` and ``restart`` is set.

    Attributes:
        at: Seconds after the start.
        event: Id of the step.
        speaker: Name of the AS that acts.
        change: What becomes of its configuration.
        restart: Neighbor whose sessions are closed and opened again.
    """

    at: float
    event: str
    speaker: str
    change: Change | None = None
    restart: str | None = None


@dataclass(frozen=True)
class Deed:
    """A step put into practice."""

    moves: tuple[Move, ...]
    effects: Effects


def carry_out(step: Step, stage: Stage, speakers: Mapping[str, Speaker]) -> Deed:
    """The moves and effects of a step; ``speakers`` are as before the scenario.

    Raises:
        ValueError: The step lacks what its kind needs.
    """
    try:
        return _KINDS[step.do](step, stage, speakers)
    except ValueError as error:
        raise ValueError(f"step {step.id} ({step.do}): {error}") from error


def _moves(step: Step, speaker: str, change: Change, undo: Change) -> tuple[Move, ...]:
    first = Move(step.at, step.id, speaker, change)
    return (first,) if step.until is None else (first, Move(step.until, step.id, speaker, undo))


def _needed(value: str | None, key: str) -> str:
    if value is None:
        raise ValueError(f"it needs '{key}'")
    return value


def _announce(step: Step, stage: Stage, speakers: Mapping[str, Speaker]) -> Deed:
    """New routes, honest or not: announce, deaggregate, moas, hijacks, forged and copied paths, blackholes."""
    name, asn = stage.name(step.by), stage.asn(step.by)
    prefixes = stage.prefixes(step.prefixes)
    if not prefixes:
        raise ValueError("it needs 'prefixes'")
    behind = tuple(stage.asn(role) for role in step.path)
    path = (asn, *behind)
    before = {route.prefix for speaker in speakers.values() for route in speaker.origins}
    own = {route.prefix: route for route in speakers[name].origins}
    back = tuple(own[prefix] for prefix in prefixes if prefix in own)
    gone = tuple(prefix for prefix in prefixes if prefix not in own)

    def undo(speaker: Speaker) -> Speaker:
        return announce(back)(withdraw(gone)(speaker))

    routes = [Origination(prefix, behind, step.communities) for prefix in prefixes]
    seen = tuple(Sighting(prefix, path[-1], path, (), step.communities) for prefix in prefixes)
    after = () if step.until is None else tuple(prefix for prefix in gone if prefix not in before)
    return Deed(_moves(step, name, announce(routes), undo), Effects(announced=seen, withdrawn_after=after))


def _withdraw(step: Step, stage: Stage, speakers: Mapping[str, Speaker]) -> Deed:
    name, asn = stage.name(step.by), stage.asn(step.by)
    prefixes = stage.prefixes(step.prefixes)
    routes = [Origination(prefix) for prefix in prefixes]
    after = () if step.until is None else tuple(Sighting(prefix, asn, (asn,)) for prefix in prefixes)
    return Deed(
        _moves(step, name, withdraw(prefixes), announce(routes)), Effects(withdrawn=prefixes, announced_after=after)
    )


def _flap(step: Step, stage: Stage, speakers: Mapping[str, Speaker]) -> Deed:
    """Withdrawn and announced ``cycles`` times between ``at`` and ``until``."""
    if step.until is None or not step.cycles:
        raise ValueError("it needs 'until' and 'cycles'")
    name, asn = stage.name(step.by), stage.asn(step.by)
    prefixes = stage.prefixes(step.prefixes)
    half = (step.until - step.at) / (2 * step.cycles - 1)
    down, up = withdraw(prefixes), announce(Origination(prefix) for prefix in prefixes)
    moves = tuple(
        Move(round(step.at + half * number, 2), step.id, name, up if number % 2 else down)
        for number in range(2 * step.cycles)
    )
    seen = tuple(Sighting(prefix, asn, (asn,)) for prefix in prefixes)
    return Deed(moves, Effects(announced=seen if step.cycles > 1 else (), withdrawn=prefixes, announced_after=seen))


def _transfer(step: Step, stage: Stage, speakers: Mapping[str, Speaker]) -> Deed:
    """The victim's (that is, the seller's) prefixes move to the acting AS for good."""
    seller = stage.name(_needed(step.victim, "victim"))
    deed = _announce(step, stage, speakers)
    gone = Move(step.at, step.id, seller, withdraw(stage.prefixes(step.prefixes)))
    return replace(deed, moves=(gone, *deed.moves))


def _prepend(step: Step, stage: Stage, speakers: Mapping[str, Speaker]) -> Deed:
    if not step.times:
        raise ValueError("it needs 'times'")
    name, asn = stage.name(step.by), stage.asn(step.by)
    neighbor = None if step.neighbor is None else stage.name(step.neighbor)
    prefixes = stage.prefixes(step.prefixes)
    rules = tuple(Prepend(prefix, step.times, neighbor) for prefix in prefixes)

    def change(speaker: Speaker) -> Speaker:
        return replace(speaker, prepends=speaker.prepends + rules)

    def undo(speaker: Speaker) -> Speaker:
        return replace(speaker, prepends=tuple(rule for rule in speaker.prepends if rule not in rules))

    front = () if step.neighbor is None else (stage.asn(step.neighbor),)
    seen = tuple(Sighting(prefix, asn, (*front, *[asn] * (step.times + 1))) for prefix in prefixes)
    after = () if step.until is None else tuple(Sighting(prefix, asn, (asn,)) for prefix in prefixes)
    return Deed(_moves(step, name, change, undo), Effects(announced=seen, announced_after=after))


def _leak(step: Step, stage: Stage, speakers: Mapping[str, Speaker]) -> Deed:
    name = stage.name(step.by)
    source, to = _needed(step.source, "source"), stage.name(_needed(step.neighbor, "neighbor"))
    rule = Leak(stage.asn(source), to)

    def change(speaker: Speaker) -> Speaker:
        return replace(speaker, leaks=(*speaker.leaks, rule))

    def undo(speaker: Speaker) -> Speaker:
        return replace(speaker, leaks=tuple(leak for leak in speaker.leaks if leak != rule))

    path = (stage.asn(to), stage.asn(step.by), stage.asn(source))
    owner = stage.asn(_needed(step.victim, "victim"))
    seen = tuple(Sighting(prefix, owner, path) for prefix in stage.prefixes(step.prefixes))
    return Deed(_moves(step, name, change, undo), Effects(announced=seen))


def _outage(step: Step, stage: Stage, speakers: Mapping[str, Speaker]) -> Deed:
    """All sessions of the AS are closed; the step names prefixes of those who have no other way out."""
    name, asn = stage.name(step.by), stage.asn(step.by)
    everyone = [neighbor.name for neighbor in speakers[name].neighbors]
    prefixes = (*stage.numbers.prefixes[name], *stage.prefixes(step.prefixes))
    owners = {route.prefix: speaker.asn for speaker in speakers.values() for route in speaker.origins}
    after = () if step.until is None else tuple(Sighting(prefix, owners[prefix], (asn,)) for prefix in prefixes)
    feeds = any(neighbor.role == "collector" for neighbor in speakers[name].neighbors)
    effects = Effects(withdrawn=prefixes, announced_after=after, peers_down=(asn,) if feeds else ())
    return Deed(_moves(step, name, bring_down(everyone), bring_up(everyone)), effects)


def _link_failure(step: Step, stage: Stage, speakers: Mapping[str, Speaker]) -> Deed:
    name, asn = stage.name(step.by), stage.asn(step.by)
    other, via = stage.name(_needed(step.neighbor, "neighbor")), stage.asn(_needed(step.via, "via"))
    moves = _moves(step, name, bring_down([other]), bring_up([other]))
    prefixes = stage.numbers.prefixes[name]
    after = () if step.until is None else tuple(Sighting(prefix, asn, (stage.asn(other), asn)) for prefix in prefixes)
    seen = tuple(Sighting(prefix, asn, (via, asn)) for prefix in prefixes)
    return Deed(moves, Effects(announced=seen, announced_after=after))


def _reset(step: Step, stage: Stage, speakers: Mapping[str, Speaker]) -> Deed:
    name, asn = stage.name(step.by), stage.asn(step.by)
    collector = f"collector-{_needed(step.collector, 'collector')}"
    seen = tuple(Sighting(prefix, asn, (asn,)) for prefix in stage.numbers.prefixes[name])
    return Deed((Move(step.at, step.id, name, restart=collector),), Effects(announced=seen, peers_down=(asn,)))


def _aggregate(step: Step, stage: Stage, speakers: Mapping[str, Speaker]) -> Deed:
    """The holder of a block announces it instead of what lies inside, with an AS_SET of its customers."""
    name, asn = stage.name(step.by), stage.asn(step.by)
    blocks = stage.prefixes(step.prefixes)
    inside = [
        (route.prefix, speaker.asn)
        for speaker in speakers.values()
        for route in speaker.origins
        for block in blocks
        if route.prefix.version == block.version and route.prefix.subnet_of(block)  # pyright: ignore[reportArgumentType]
    ]
    members = tuple(sorted({origin for _, origin in inside if origin != asn}))
    gone = tuple(prefix for prefix, _ in inside)
    after = () if step.until is None else tuple(Sighting(prefix, origin, (asn,)) for prefix, origin in inside)
    effects = Effects(
        announced=tuple(Sighting(block, None, (asn,), members) for block in blocks),
        withdrawn=gone,
        announced_after=after,
        withdrawn_after=() if step.until is None else blocks,
    )

    def change(speaker: Speaker) -> Speaker:
        return replace(speaker, aggregates=speaker.aggregates + blocks)

    def undo(speaker: Speaker) -> Speaker:
        return replace(speaker, aggregates=tuple(block for block in speaker.aggregates if block not in blocks))

    return Deed(_moves(step, name, change, undo), effects)


_KINDS: dict[Kind, Callable[[Step, Stage, Mapping[str, Speaker]], Deed]] = {
    "announce": _announce,
    "deaggregate": _announce,
    "moas": _announce,
    "origin-hijack": _announce,
    "subprefix-hijack": _announce,
    "path-forgery": _announce,
    "poison": _announce,
    "optimizer-leak": _announce,
    "blackhole": _announce,
    "transfer": _transfer,
    "withdraw": _withdraw,
    "flapping": _flap,
    "prepend": _prepend,
    "route-leak": _leak,
    "outage": _outage,
    "link-failure": _link_failure,
    "session-reset": _reset,
    "aggregate": _aggregate,
}
