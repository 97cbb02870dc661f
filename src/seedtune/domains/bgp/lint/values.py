"""What the lint knows about a value of a program: abstract values, and how they meet.

A value is what could be found out without running anything: a constant, a stream, an element of it, the text of an AS
path. ``UNKNOWN`` is everything else, and no rule speaks about it.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

MOST_PARTS = 64
"""Different members of a container that are told apart."""

ALL_TYPES = frozenset("RAWS")
ROUTES = frozenset("RA")

FIELD_TYPES: dict[str, frozenset[str]] = {
    "prefix": frozenset("RAW"),
    "next-hop": ROUTES,
    "as-path": ROUTES,
    "communities": ROUTES,
    "old-state": frozenset("S"),
    "new-state": frozenset("S"),
}
"""Field -> the element types that have it."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value of which nothing is known."""


UNKNOWN = Unknown()


@dataclass(frozen=True, slots=True)
class Const:
    """A constant of the source, or folded from constants."""

    value: str | int | float | complex | bytes | bool | None


@dataclass(frozen=True, slots=True)
class Template:
    """A text of which parts are known; None stands for a gap of any length."""

    parts: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Plain:
    """A value of a known class."""

    kind: Literal["str", "int", "float", "datetime", "bool"]
    zoned: bool = False
    """A datetime with a zone that is not UTC, or its text."""


@dataclass(frozen=True, slots=True)
class Dotted:
    """A module, or a name of one, by its full name; ``builtins.list`` too."""

    name: str


@dataclass(frozen=True, slots=True)
class Proof:
    """A value that is true only for elements of some types."""

    element: int
    types: frozenset[str]


@dataclass(frozen=True, slots=True)
class Container:
    """A list, tuple, set, dict, deque or queue."""

    kind: str
    parts: tuple["Value", ...] = ()
    """Its members, or the values of a dict."""
    keys: tuple["Value", ...] = ()
    complete: bool = False
    """The parts are all there are, in their order."""
    proof: Proof | None = None
    places: tuple[ast.expr, ...] = field(default=(), compare=False)
    """Where the values of ``**options`` were written."""

    def grown(self, parts: tuple["Value", ...], keys: tuple["Value", ...] = ()) -> "Container":
        """With more that it may hold."""
        return Container(
            self.kind,
            tuple(dict.fromkeys((*self.parts, *parts)))[:MOST_PARTS],
            tuple(dict.fromkeys((*self.keys, *keys)))[:MOST_PARTS],
        )

    @property
    def item(self) -> "Value":
        """What any member is, as far as all are alike."""
        first, *others = self.parts or (UNKNOWN,)
        return merge_all(self.parts) if all(type(other) is type(first) for other in others) else UNKNOWN


@dataclass(frozen=True, slots=True)
class StreamRef:
    """A BGPStream; its state is in ``State.streams``."""

    stream: int


@dataclass(frozen=True, slots=True)
class RecordIterator:
    """What ``stream.records()`` returns."""

    stream: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a stream."""

    id: int
    stream: int
    low: bool = False
    """Of ``get_next_record``."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a stream; its possible types are in ``State.types``."""

    id: int
    stream: int
    low: bool = False
    """Of ``get_next_elem``."""


@dataclass(frozen=True, slots=True)
class TypeOf:
    """``elem.type``."""

    element: int
    stream: int
    lowered: bool = False


@dataclass(frozen=True, slots=True)
class Fields:
    """``elem.fields``, or a copy of it."""

    element: int


@dataclass(frozen=True, slots=True)
class FieldValue:
    """The value of a field or of an attribute, or a part of it.

    Kinds: the six fields; ``hop`` (one word of an AS path), ``community`` (one member), ``number`` (the digits beside
    its colon), ``peer-asn`` (an int), ``record-type``, ``status``.
    """

    kind: str
    proof: Proof | None = None


@dataclass(frozen=True, slots=True)
class TypeTest:
    """A condition that says something about the type of an element."""

    element: int
    yes: frozenset[str]
    no: frozenset[str]
    cause: Literal["test", "field", "unclear"]
    chosen: frozenset[str] = frozenset()
    """Types that the program names."""


@dataclass(frozen=True, slots=True)
class Lazy:
    """An iterator over elements, records or anything else that is computed when asked for."""

    item: "Value"
    sources: tuple[int, ...] = ()
    """The streams and records that reading it to the end reads to their end."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function or lambda of the program, with the scopes it sees."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scopes: tuple[int, ...]
    bound: "Instance | None" = None


@dataclass(frozen=True, slots=True)
class ClassRef:
    """A class of the program."""

    node: ast.ClassDef
    scopes: tuple[int, ...]
    body_scope: int
    bases: tuple["ClassRef", ...] = ()


@dataclass(frozen=True, slots=True)
class Instance:
    """An object of a class of the program; its attributes are names of the scope ``id``."""

    id: int
    cls: ClassRef


@dataclass(frozen=True, slots=True)
class Bound:
    """An attribute of a value that is likely to be called."""

    receiver: "Value"
    name: str


Value = (
    Unknown
    | Const
    | Template
    | Plain
    | Dotted
    | Container
    | StreamRef
    | RecordIterator
    | Record
    | Element
    | TypeOf
    | Fields
    | FieldValue
    | TypeTest
    | Lazy
    | Function
    | ClassRef
    | Instance
    | Bound
)


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a call passes."""

    positional: tuple[tuple[Value, ast.expr], ...] = ()
    keywords: tuple[tuple[str, Value, ast.expr], ...] = ()
    open: bool = False
    """There are more that cannot be seen (``*args`` or ``**options`` of something unknown)."""

    def get(self, position: int | None, keyword: str = "") -> Value | None:
        """The value of a parameter, by position (None: by name only); None if it is not given."""
        if position is not None and position < len(self.positional):
            return self.positional[position][0]
        return next((value for name, value, _ in self.keywords if name == keyword), None)

    def values(self) -> tuple[Value, ...]:
        """All values, in order."""
        return (*(value for value, _ in self.positional), *(value for _, value, _ in self.keywords))


TEXT_KINDS = frozenset({"prefix", "next-hop", "as-path", "old-state", "new-state", "hop", "community", "number"})
"""Kinds of FieldValue that are str."""


_TRACKED = (Element, Record, StreamRef, RecordIterator, Lazy, Fields, Function, ClassRef, Instance, Dotted)


def is_text(value: Value) -> bool:
    """Whether the value is certainly a str."""
    match value:
        case Const(str()) | Template() | Plain("str"):
            return True
        case FieldValue(kind):
            return kind in TEXT_KINDS
        case _:
            return False


def is_whole(value: Value) -> bool:
    """Whether the value is certainly an int (a bool is not meant)."""
    match value:
        case Const(bool()):
            return False
        case Const(int()) | Plain("int") | FieldValue("peer-asn"):
            return True
        case _:
            return False


def text_parts(value: Value) -> tuple[str | None, ...] | None:
    """The known parts of a text; None if the value is not known to be one."""
    match value:
        case Const(str() as text):
            return (text,)
        case Template(parts):
            return parts
        case _:
            return (None,) if is_text(value) else None


def constant_text(value: Value | None) -> str | None:
    """The text of a constant str."""
    return value.value if isinstance(value, Const) and isinstance(value.value, str) else None


def shown(value: Value | None) -> str | None:
    """A constant as ``str`` shows it."""
    return str(value.value) if isinstance(value, Const) else None


def template(parts: list[str | None]) -> Value:
    """A constant where every part is known, otherwise a template with neighbouring parts joined."""
    joined: list[str | None] = []
    for part in parts:
        last = joined[-1] if joined else None
        if part is None and joined and last is None:
            continue
        if part is not None and last is not None:
            joined[-1] = last + part
        else:
            joined.append(part)
    if all(part is not None for part in joined):
        return Const("".join(part for part in joined if part is not None))
    return Template(tuple(joined))


def merge(left: Value, right: Value) -> Value:
    """What is known of a value that is one of two.

    An element, record or stream that may be there counts as there, since code that meets it must be right for it.
    """
    if left == right:
        return left
    for one, other in ((left, right), (right, left)):
        if isinstance(one, _TRACKED) and isinstance(other, Unknown | Const):
            return one
        if isinstance(one, Const) and one.value is None and isinstance(other, FieldValue | Container | Plain):
            return other
    match left, right:
        case Container(), Container() if left.complete and right.complete and len(left.parts) == len(right.parts):
            parts = tuple(merge(one, other) for one, other in zip(left.parts, right.parts, strict=True))
            same = left.kind == right.kind and left.keys == right.keys
            return Container(left.kind, parts, left.keys, complete=True) if same else UNKNOWN
        case Container(), Container() if left.kind == right.kind:
            return left.grown(right.parts, right.keys)
        case FieldValue(), FieldValue() if left.kind == right.kind:
            return replace(left, proof=None)
        case Lazy(), Lazy():
            return Lazy(merge(left.item, right.item), tuple(dict.fromkeys(left.sources + right.sources)))
        case _:
            pass
    if is_text(left) and is_text(right):
        return Plain("str")
    if is_whole(left) and is_whole(right):
        return Plain("int")
    return UNKNOWN


def merge_all(values: tuple[Value, ...]) -> Value:
    """What is known of a value that is one of many; UNKNOWN of none."""
    if not values:
        return UNKNOWN
    merged = values[0]
    for value in values[1:]:
        merged = merge(merged, value)
    return merged


def walk(value: Value) -> Iterator[Value]:
    """The value and, where it is a container, everything inside."""
    pending = [value]
    while pending:
        current = pending.pop()
        yield current
        if isinstance(current, Container):
            pending.extend((*current.parts, *current.keys))


def held(value: Value) -> Element | Record | None:
    """The element or record that keeping this value keeps."""
    return next((part for part in walk(value) if isinstance(part, Element | Record)), None)
