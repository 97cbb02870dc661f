"""What methods give: of streams, records, fields and their values, and of containers that could keep an element."""

import ast
import re
from dataclasses import replace

from seedtune.domains.bgp.lint.compare import is_empty
from seedtune.domains.bgp.lint.expressions import Expressions, identities
from seedtune.domains.bgp.lint.settings import (
    add_filter,
    add_filter_string,
    add_interval,
    add_recent_interval,
    set_interface,
    set_option,
)
from seedtune.domains.bgp.lint.state import State, StreamState
from seedtune.domains.bgp.lint.values import (
    ALL_TYPES,
    UNKNOWN,
    Arguments,
    Bound,
    Const,
    Container,
    Dotted,
    Element,
    Fields,
    FieldValue,
    Lazy,
    Plain,
    Record,
    RecordIterator,
    StreamRef,
    Template,
    TypeOf,
    TypeTest,
    Value,
    constant_text,
    held,
    is_text,
    merge,
    shown,
    template,
    walk,
)

_KEEPING = frozenset(
    {"append", "appendleft", "add", "insert", "put", "put_nowait", "push", "setdefault"}
    | {"extend", "extendleft", "update"}
)
_SURELY_KEEPING = frozenset({"append", "appendleft", "put_nowait", "submit", "apply_async"})
"""Methods of something unknown that can only mean that it keeps its arguments."""
_SETTINGS = frozenset(
    {"set_data_interface", "set_data_interface_option", "set_live_mode"}
    | {"add_interval_filter", "add_recent_interval_filter", "add_rib_period_filter"}
)
UNORDERED = "unordered"
"""Kind of a list made of a set."""


class Methods(Expressions):
    """The walk over calls of methods."""

    def method(self, receiver: Value, name: str, arguments: Arguments, node: ast.Call, state: State) -> Value:
        """What ``receiver.name(...)`` gives."""
        match receiver:
            case StreamRef(stream):
                return self._stream_method(stream, name, arguments, node, state)
            case Record() if name == "get_next_elem":
                return self.new_element(receiver.stream, state, low=True)
            case Fields():
                return self._fields_method(receiver, name, arguments, node, state)
            case FieldValue():
                return self._field_method(receiver, name, arguments, node)
            case TypeOf():
                if name in ("lower", "casefold"):
                    return replace(receiver, lowered=True)
                unclear = TypeTest(receiver.element, ALL_TYPES, ALL_TYPES, "unclear")
                return receiver if name in ("upper", "strip") else unclear
            case Container() | Bound(Container()):
                return self._container_method(receiver, name, arguments, node, state)
            case Const() | Template() | Plain("str"):
                return self._text_method(receiver, name, arguments, node, state)
            case Plain("datetime"):
                return self._moment_method(receiver, name, arguments)
            case _:
                kept = next((part for part in map(held, arguments.values()) if part), None)
                if kept and name in _SURELY_KEEPING:
                    self.report_kept(node, kept, f"{name} keeps it")
                return self.unknown_call(arguments, state)

    def unknown_call(self, arguments: Arguments, state: State) -> Value:
        """A call of something unknown: it may have read a stream, or judged an element."""
        for value in arguments.values():
            if isinstance(value, StreamRef | RecordIterator) and value.stream in state.streams:
                state.streams[value.stream] = replace(state.streams[value.stream], known=False, unclear=True)
        for value in arguments.values():
            if isinstance(value, Element):
                return TypeTest(value.id, ALL_TYPES, ALL_TYPES, "unclear")
            if isinstance(value, TypeOf | Fields):
                return TypeTest(value.element, ALL_TYPES, ALL_TYPES, "unclear")
        return UNKNOWN

    # Streams

    def _stream_method(self, identity: int, name: str, arguments: Arguments, node: ast.Call, state: State) -> Value:
        stream = state.streams.get(identity)
        if name == "records":
            return RecordIterator(identity)
        if stream is None:
            return self.new_record(identity, state, low=True) if name == "get_next_record" else UNKNOWN
        if name in _SETTINGS and (stream.reading or stream.started):
            message = f"{name} after reading has begun: the real library aborts the process"
            self.report(node, "late-option", message)
        if name == "get_next_record":
            return self._next_record(identity, stream, arguments, node, state)
        state.streams[identity] = self._changed(stream, name, arguments, node)
        return UNKNOWN

    def _changed(self, stream: StreamState, name: str, arguments: Arguments, node: ast.Call) -> StreamState:
        first = arguments.positional[0] if arguments.positional else None
        match name:
            case "add_filter":
                return add_filter(self.report, stream, node, arguments)
            case "parse_filter_string" if first:
                return add_filter_string(self.report, stream, *first)
            case "add_interval_filter":
                return add_interval(self.report, stream, arguments)
            case "add_recent_interval_filter":
                return add_recent_interval(self.report, stream, arguments)
            case "set_data_interface" if first:
                return set_interface(self.report, stream, *first)
            case "set_data_interface_option":
                return set_option(self.report, stream, node, arguments)
            case "set_live_mode":
                return replace(stream, live=True)
            case "start":
                if stream.started or stream.reading:
                    message = "the stream has been started before: the real library aborts the process"
                    self.report(node, "started-twice", message)
                else:
                    self.check_ready(stream)
                return replace(stream, started=True)
            case _:
                return stream

    def _next_record(
        self, identity: int, stream: StreamState, arguments: Arguments, node: ast.Call, state: State
    ) -> Value:
        record = self.new_record(identity, state, low=True)
        if arguments.positional:
            message = "get_next_record takes no argument since version 2, and returns the record: TypeError"
            right = "record = stream.get_next_record(); it is None at the end"
            self.report(node, "version-1", message, right)
            place = arguments.positional[0][1]
            if isinstance(place, ast.Name):
                self.assign(place.id, record, state)
        elif not stream.started and stream.known and not stream.reading:
            message = "get_next_record before start(): the real library aborts the process"
            self.report(node, "not-started", message)
        return record

    # Fields and their values

    def _fields_method(self, fields: Fields, name: str, arguments: Arguments, node: ast.Call, state: State) -> Value:
        key = constant_text(arguments.get(0))
        if name in ("get", "pop", "setdefault") and key is not None:
            default = arguments.get(1)
            if name == "setdefault":
                self._own_keys.add(key)
            found = self.field(fields, key, node, state, required=name == "pop" and default is None)
            if isinstance(found, FieldValue) and default is not None and not is_empty(default):
                return replace(found, proof=None)
            return found
        if name in ("keys", "copy"):
            return fields
        if name == "items":
            return Lazy(Container("tuple", (Plain("str"), UNKNOWN), complete=True))
        return UNKNOWN

    def _field_method(self, value: FieldValue, name: str, arguments: Arguments, node: ast.Call) -> Value:
        first = arguments.get(0)
        match value.kind, name:
            case "as-path", "split":
                if first is not None and first not in (Const(None), Const(" ")):
                    message = "the words of an AS path stand apart by blanks"
                    self.report(node, "path-not-split", message)
                return Container("list", (FieldValue("hop"),), proof=value.proof)
            case "as-path", "strip" | "rstrip" | "lstrip" | "replace":
                return value
            case "as-path", "startswith" | "endswith" | "find" | "count" | "index" | "rfind":
                self.check_number_in_path(first or UNKNOWN, node)
                return UNKNOWN
            case "community", "split" | "rsplit":
                number = FieldValue("number")
                return Container("list", (number, number), complete=True)
            case "community", "partition" | "rpartition":
                return Container("tuple", (FieldValue("number"), Plain("str"), FieldValue("number")), complete=True)
            case "communities", "pop":
                self.report(node, "communities-order", "communities is a set: pop takes any of its members")
                return FieldValue("community")
            case "communities", "copy" | "union" | "intersection" | "difference" | "symmetric_difference":
                members = first.parts if isinstance(first, Container) else ()
                for member in members:
                    self.check_community(member, node)
                return replace(value, proof=None)
            case "hop", "strip" | "lstrip" | "rstrip" | "replace":
                return Plain("str")
            case _:
                return UNKNOWN

    # Containers and text

    def _container_method(
        self, receiver: Container | Bound, name: str, arguments: Arguments, node: ast.Call, state: State
    ) -> Value:
        if name in _KEEPING:
            return self._keep(receiver, name, arguments, node, state)
        if not isinstance(receiver, Container):
            return UNKNOWN
        first = arguments.get(0)
        match name:
            case "get":
                found = self.stored(receiver, state)
                if found == UNKNOWN:
                    return Bound(receiver, "item")
                default = arguments.get(1)
                return found if default is None else merge(found, default)
            case "items":
                keys = Container("list", receiver.keys).item
                return Lazy(Container("tuple", (keys, self.stored(receiver, state)), complete=True))
            case "values":
                return Lazy(self.stored(receiver, state))
            case "keys":
                return Container("list", receiver.keys)
            case "pop" | "popleft" | "get_nowait":
                return self.stored(receiver, state)
            case "copy" | "union" | "intersection" | "difference":
                return replace(receiver, complete=False)
            case "count" | "index" | "__contains__" if first is not None:
                self.check_classes(receiver.item, first, node)
                return Plain("int")
            case _:
                return UNKNOWN

    def _keep(
        self, receiver: Container | Bound, name: str, arguments: Arguments, node: ast.Call, state: State
    ) -> Value:
        values = list(arguments.values())
        if name in ("extend", "extendleft", "update") and values and not isinstance(values[0], Container):
            place = arguments.positional[0][1] if arguments.positional else node
            if identities(values[0]):
                source = values[0]
                values[0] = self.item(source, place, state)
                self.read_all(source, place, state)
        for value in values:
            kept = held(value)
            if kept:
                self.report_kept(node, kept, f"{name} keeps it in a container")
                break
        if isinstance(receiver, Container) and isinstance(node.func, ast.Attribute):
            place = node.func.value
            added = values[-1:] if name != "setdefault" else values[1:2]
            if isinstance(place, ast.Name) and added:
                self.change(place.id, receiver.grown(tuple(added)), state)
        if name == "setdefault" and len(values) > 1:
            return values[1]
        return Const(None)

    def _text_method(
        self, receiver: Const | Template | Plain, name: str, arguments: Arguments, node: ast.Call, state: State
    ) -> Value:
        first = arguments.get(0)
        if name == "join" and first is not None:
            return self._joined_text(receiver, first, arguments.positional[0][1], state)
        if name == "format":
            for value in arguments.values():
                self.check_order(value, node)
            return _formatted(receiver, arguments)
        text = constant_text(receiver)
        if text is not None and not arguments.values():
            if name in ("strip", "lower", "upper", "lstrip", "rstrip", "title"):
                return Const(str(getattr(text, name)()))
            if name == "split":
                return Container("list", tuple(map(Const, text.split())), complete=True)
        if name == "split":
            return Container("list", (Plain("str"),))
        if is_text(receiver) and name in ("strip", "lower", "upper", "replace", "removeprefix", "removesuffix"):
            return Plain("str")
        return UNKNOWN

    def _joined_text(self, separator: Value, source: Value, place: ast.expr, state: State) -> Value:
        self.check_order(source, place)
        if isinstance(source, Container):
            if source.kind == UNORDERED:
                self.check_order(FieldValue("communities"), place)
            texts = [text for text in map(constant_text, source.parts) if text is not None]
            glue = constant_text(separator)
            if glue is not None and source.complete and len(texts) == len(source.parts) and source.kind != "set":
                return Const(glue.join(texts))
            return Template((None,))
        if not isinstance(source, FieldValue):
            self.item(source, place, state)
            self.read_all(source, place, state)
        return Template((None,))

    def _moment_method(self, moment: Plain, name: str, arguments: Arguments) -> Value:
        match name:
            case "timestamp" | "total_seconds":
                return Plain("float")
            case "isoformat" | "__str__":
                return Plain("str", zoned=moment.zoned)
            case "strftime" | "ctime":
                return Plain("str")
            case "astimezone":
                return Plain("datetime", zoned=not is_utc(arguments.get(0)))
            case "replace":
                zone = arguments.get(7, "tzinfo")
                return moment if zone is None else Plain("datetime", zoned=not is_utc(zone))
            case "date" | "utctimetuple":
                return Plain("datetime")
            case _:
                return UNKNOWN


def is_utc(zone: Value | None) -> bool:
    """Whether a zone is none, UTC, or not known."""
    names = ("datetime.timezone.utc", "datetime.UTC", "pytz.utc", "pytz.UTC")
    return zone in (None, UNKNOWN, Const(None)) or (isinstance(zone, Dotted) and zone.name in names)


def _formatted(receiver: Const | Template | Plain, arguments: Arguments) -> Value:
    text = constant_text(receiver)
    if text is None or arguments.open:
        return Template((None,))
    parts: list[str | None] = []
    automatic = iter(range(len(arguments.positional)))
    for index, piece in enumerate(re.split(r"\{([^{}]*)\}", text)):
        if not index % 2:
            parts.append(piece)
            continue
        name = re.split(r"[!:.\[]", piece)[0]
        number = int(name) if name.isdecimal() and len(name) < 3 else None
        value = arguments.get(number if name else next(automatic, None), name)
        parts.append(shown(value) if name == piece else None)
    return template(parts)


def contains_set(value: Value) -> bool:
    """Whether the value holds a set of communities."""
    return any(isinstance(part, FieldValue) and part.kind == "communities" for part in walk(value))
