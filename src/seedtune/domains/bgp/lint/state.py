"""What the lint knows at one point of a program, and how two ways of getting there meet."""

import ast
from dataclasses import dataclass, field, replace
from typing import Literal

from seedtune.domains.bgp.lint.values import ALL_TYPES, ROUTES, Element, Record, Value, merge

Key = tuple[int, str]
"""Scope and name; the attributes of an object are names of a scope of its own."""

Cause = Literal["test", "field"]
"""What left out a type: a test of the type, or a skip of elements without some field."""


@dataclass(frozen=True, slots=True)
class Types:
    """The types that an element can have here."""

    possible: frozenset[str] = ALL_TYPES
    """Empty where the branches before have taken all of them."""
    given: frozenset[str] = ALL_TYPES
    """What the stream gives at all."""
    unclear: bool = False
    """Something unknown has looked at the element, or its stream is unknown: it may have fewer types than it seems."""
    gone: tuple[tuple[str, Cause, int], ...] = ()
    """Types left out on the way, with cause and line."""
    by_source: bool = False
    """The stream lacks types because of what it reads, not because of a filter."""

    def without(self, types: frozenset[str], cause: Cause, line: int) -> "Types":
        """With some types left out."""
        lost = tuple((letter, cause, line) for letter in sorted(self.possible & types))
        return replace(self, possible=self.possible - types, gone=self.gone + lost)


@dataclass(frozen=True, slots=True)
class StreamState:
    """What is known of a stream."""

    node: ast.expr
    """Where it was made."""
    known: bool = True
    """Made in this program, with arguments that can be seen."""
    interface: str | None = "broker"
    """None if unknown."""
    from_broker: bool = True
    """Made for the broker, which without a window starts at the present moment."""
    options: frozenset[tuple[str, str]] = frozenset()
    """Interface and option of what was set; ``("", "")`` stands for an unknown one."""
    option_calls: tuple[tuple[str, ast.expr], ...] = ()
    window: Literal["none", "from", "until", "both", "unknown"] = "none"
    live: bool = False
    """The program asked for a stream without end."""
    started: bool = False
    """By ``start()``."""
    reading: bool = False
    element_types: frozenset[str] | None = None
    """Chosen by ``elemtype``; None without such a term."""
    passing: frozenset[str] = ALL_TYPES
    """Types that the other terms let through."""
    record_types: frozenset[str] | None = None
    unclear: bool = False
    """Filters that cannot be read."""
    selection: tuple[tuple[str, ast.expr], ...] = ()
    """Arguments that choose collector, project or record type."""
    ip_versions: frozenset[str] = frozenset()
    loops: tuple[int, ...] = ()
    """The loops around the place where it was made."""
    frame: int = 0
    """The call in which it was made."""

    @property
    def endless(self) -> Literal["no", "asked", "implied"]:
        """Whether the stream has no end, and whether the program says so."""
        if not self.known or self.window in ("both", "until", "unknown"):
            return "no"
        if self.live:
            return "asked"
        return "implied" if self.window == "from" or self.from_broker else "no"

    def files(self) -> frozenset[str]:
        """The options of the interface in use that name a file."""
        return frozenset(option for interface, option in self.options if interface == self.interface)

    def types(self) -> Types:
        """The element types that the stream gives."""
        filtered = self.passing if self.element_types is None else self.passing & self.element_types
        source = ALL_TYPES
        if self.interface == "singlefile":
            if self.files() == frozenset({"rib-file"}) and ("", "") not in self.options:
                source = frozenset("R")
        elif self.interface is not None and self.record_types == frozenset({"ribs"}):
            source = frozenset("R")
        elif self.interface is not None and self.record_types == frozenset({"updates"}):
            source = frozenset("AWS")
        given = filtered & source
        unclear = self.unclear or not self.known or not given
        return Types(given or ALL_TYPES, given or ALL_TYPES, unclear, by_source=source != ALL_TYPES)

    def restricted(self, term: str, types: frozenset[str] | None = None) -> "StreamState":
        """With one more filter term; ``types`` are the values of ``elemtype``."""
        if term == "elemtype":
            chosen = types or ALL_TYPES
            return replace(self, element_types=chosen if self.element_types is None else self.element_types | chosen)
        if term in ("path", "community", "origin"):
            return replace(self, passing=self.passing & ROUTES)
        if term in ("prefix", "ipversion"):
            return replace(self, passing=self.passing - {"S"})
        return self


def _join_types(left: Types, right: Types) -> Types:
    if left == right:
        return left
    possible = left.possible | right.possible
    return Types(
        possible,
        left.given | right.given,
        left.unclear or right.unclear,
        tuple(lost for lost in dict.fromkeys(left.gone + right.gone) if lost[0] not in possible),
        left.by_source and right.by_source,
    )


def _join_streams(left: StreamState, right: StreamState) -> StreamState:
    if left == right:
        return left
    either: frozenset[str] | None = None
    if left.element_types is not None and right.element_types is not None:
        either = left.element_types | right.element_types
    return replace(
        left,
        known=left.known and right.known,
        interface=left.interface if left.interface == right.interface else None,
        options=left.options | right.options,
        option_calls=tuple(dict.fromkeys((*left.option_calls, *right.option_calls))),
        window=left.window if left.window == right.window else "unknown",
        live=left.live and right.live,
        started=left.started and right.started,
        reading=left.reading and right.reading,
        element_types=either,
        passing=left.passing | right.passing,
        record_types=left.record_types if left.record_types == right.record_types else None,
        unclear=left.unclear or right.unclear,
    )


@dataclass(slots=True)
class State:
    """Everything known at one point; code changes it in place."""

    names: dict[Key, Value] = field(default_factory=dict[Key, Value])
    types: dict[int, Types] = field(default_factory=dict[int, Types])
    """Element (or record) -> its possible types."""
    streams: dict[int, StreamState] = field(default_factory=dict[int, StreamState])
    spent: set[int] = field(default_factory=set[int])
    """Streams and records that have been read to their end."""
    left: set[int] = field(default_factory=set[int])
    """Elements and records that the stream has gone past."""
    dead: bool = False
    """No way leads here."""

    def copy(self) -> "State":
        """An independent copy."""
        return State(dict(self.names), dict(self.types), dict(self.streams), set(self.spent), set(self.left), self.dead)

    def become(self, other: "State") -> None:
        """Take over what another state knows."""
        self.names, self.types, self.streams = dict(other.names), dict(other.types), dict(other.streams)
        self.spent, self.left, self.dead = set(other.spent), set(other.left), other.dead

    def absorb(self, other: "State") -> None:
        """Take over what happened in a part of an expression, but not what a condition in it says of elements."""
        self.types = {**other.types, **self.types}
        self.names, self.streams = dict(other.names), dict(other.streams)
        self.spent, self.left = set(other.spent), set(other.left)

    def knows(self, identity: int) -> bool:
        """Whether an element, a record or a stream was met on the way here."""
        return identity in self.types or identity in self.streams


def join(*states: State) -> State:
    """What holds after whichever of the states was reached; those that nothing reaches do not count."""
    alive = [state for state in states if not state.dead]
    if not alive:
        result = states[0].copy()
        result.dead = True
        return result
    result = alive[0].copy()
    for other in alive[1:]:
        _join_into(result, other)
    return result


def _join_into(result: State, other: State) -> None:
    spent = {i for i in result.spent | other.spent if _in_both(i, result.spent, other.spent, result, other)}
    left = {i for i in result.left | other.left if _in_both(i, result.left, other.left, result, other)}
    for identity, types in other.types.items():
        mine = result.types.get(identity)
        result.types[identity] = types if mine is None else _join_types(mine, types)
    for identity, stream in other.streams.items():
        known = result.streams.get(identity)
        result.streams[identity] = stream if known is None else _join_streams(known, stream)
    for key, value in other.names.items():
        mine = result.names.get(key)
        result.names[key] = value if mine is None else _join_values(mine, value, result)
    result.spent, result.left = spent, left


def _in_both(identity: int, first: set[int], second: set[int], result: State, other: State) -> bool:
    # A state that has never met the element says nothing about it.
    return (identity in first or not result.knows(identity)) and (identity in second or not other.knows(identity))


def _join_values(left: Value, right: Value, state: State) -> Value:
    if (isinstance(left, Element) and isinstance(right, Element)) or (
        isinstance(left, Record) and isinstance(right, Record)
    ):
        if left.id != right.id:
            state.types[left.id] = _join_types(
                state.types.get(left.id, Types(unclear=True)), state.types.get(right.id, Types(unclear=True))
            )
        return left
    return merge(left, right)
