"""The rules about elements, records and their fields."""

import ast
from dataclasses import replace
from difflib import get_close_matches

from seedtune.domains.bgp.lint.state import State, Types
from seedtune.domains.bgp.lint.values import (
    FIELD_TYPES,
    UNKNOWN,
    Bound,
    Element,
    Fields,
    FieldValue,
    Lazy,
    Plain,
    Proof,
    Record,
    RecordIterator,
    StreamRef,
    TypeOf,
    TypeTest,
    Value,
    constant_text,
)
from seedtune.domains.bgp.lint.walker import Walker

STREAM_METHODS = frozenset(
    {"records", "start", "get_next_record", "set_live_mode", "stream"}
    | {"add_filter", "parse_filter_string"}
    | {"add_interval_filter", "add_recent_interval_filter", "add_rib_period_filter"}
    | {"set_data_interface", "set_data_interface_option", "get_data_interfaces", "get_data_interface_options"}
)
RECORD_ATTRIBUTES = frozenset(
    {"project", "collector", "router", "router_ip", "type", "status", "time", "dump_time", "dump_position"}
    | {"get_next_elem", "rec"}
)
LOW_LEVEL_ATTRIBUTES = frozenset({"type", "peer_asn", "peer_address", "fields"})
ELEMENT_ATTRIBUTES = LOW_LEVEL_ATTRIBUTES | {"time", "record", "record_type"}

FIELD_NAMES = {
    **{name.replace("-", separator): name for name in FIELD_TYPES for separator in ("-", "_", "")},
    "path": "as-path",
    "aspath": "as-path",
    "as_paths": "as-path",
    "as": "as-path",
    "nexthop": "next-hop",
    "next_hop_address": "next-hop",
    "community": "communities",
    "comms": "communities",
    "network": "prefix",
    "prefixes": "prefix",
    "nlri": "prefix",
    "state": "new-state",
    "oldstate": "old-state",
    "newstate": "new-state",
}
"""What fields are called by mistake."""

_OTHER_ATTRIBUTES = {
    "timestamp": "elem.time",
    "ts": "elem.time",
    "datetime": "elem.time",
    "peer_as": "elem.peer_asn",
    "peer": "elem.peer_asn",
    "peerasn": "elem.peer_asn",
    "asn": "elem.peer_asn",
    "peer_ip": "elem.peer_address",
    "peer_addr": "elem.peer_address",
    "elem_type": "elem.type",
    "elemtype": "elem.type",
    "element_type": "elem.type",
    "field": "elem.fields",
    "attributes": "elem.fields",
    "origin_asn": 'elem.fields["as-path"].split()[-1]',
    "origin_as": 'elem.fields["as-path"].split()[-1]',
}
_ABSENT = (
    "med",
    "local-pref",
    "local_pref",
    "localpref",
    "multi_exit_disc",
    "aggregator",
    "atomic-aggregate",
    "atomic_aggregate",
    "large-communities",
    "large_communities",
    "ext-communities",
    "extended-communities",
    "extended_communities",
    "weight",
)
"""Attributes of a route that the library does not deliver."""


class ElementRules(Walker):
    """What may be asked of elements and records."""

    def stream_attribute(self, stream: StreamRef, name: str, node: ast.expr) -> Value:
        """``stream.name``."""
        if name not in STREAM_METHODS and not name.startswith("__"):
            nearest = next(iter(get_close_matches(name, STREAM_METHODS, 1, 0.6)), None)
            right = f"stream.{nearest}" if nearest else "a BGPStream has " + ", ".join(sorted(STREAM_METHODS))
            self.report(node, "unknown-attribute", f"a BGPStream has no attribute {name!r}: AttributeError", right)
            return UNKNOWN
        return stream if name == "stream" else Bound(stream, name)

    def record_attribute(self, record: Record, name: str, node: ast.expr, state: State) -> Value:
        """``record.name``."""
        self.check_left(record, node, state)
        match name:
            case "type":
                return FieldValue("record-type")
            case "status":
                return FieldValue("status")
            case "time":
                return Plain("float")
            case "dump_time":
                return Plain("int")
            case "project" | "collector" | "dump_position":
                return Plain("str")
            case "rec":
                return record
            case _ if name in RECORD_ATTRIBUTES or name.startswith("__"):
                return Bound(record, name)
            case _:
                right = {"timestamp": "record.time", "elems": "for elem in record:"}.get(name)
                message = f"a record has no attribute {name!r}: AttributeError"
                self.report(node, "unknown-attribute", message, right or "a record has " + _listed(RECORD_ATTRIBUTES))
                return UNKNOWN

    def element_attribute(self, element: Element, name: str, node: ast.expr, state: State) -> Value:
        """``elem.name``."""
        self.check_left(element, node, state)
        if element.low and name not in LOW_LEVEL_ATTRIBUTES and name in RECORD_ATTRIBUTES | ELEMENT_ATTRIBUTES:
            message = f"an element of get_next_elem has no {name!r}: AttributeError"
            self.report(node, "low-level-element", message, f"record.{name.removeprefix('record_')}")
        match name:
            case "type":
                return TypeOf(element.id, element.stream)
            case "fields":
                return Fields(element.id)
            case "peer_asn":
                return FieldValue("peer-asn")
            case "peer_address":
                return Plain("str")
            case "record_type":
                return FieldValue("record-type")
            case "record":
                return self.new_record(element.stream, state)
            case "time":
                return Plain("float")
            case _ if name in RECORD_ATTRIBUTES:
                return self.record_attribute(Record(-1, element.stream), name, node, state)
            case _ if name.startswith("__"):
                return UNKNOWN
            case _:
                return self._wrong_attribute(element, name, node)

    def _wrong_attribute(self, element: Element, name: str, node: ast.expr) -> Value:
        field = FIELD_NAMES.get(name.lower())
        if field:
            message = f"an element has no attribute {name!r}: AttributeError"
            self.report(node, "field-as-attribute", message, f'elem.fields["{field}"]')
            return FieldValue(field)
        if name.lower() in _ABSENT or name == "origin":
            self.report(node, "unknown-field", _absent(name))
            return UNKNOWN
        known = ELEMENT_ATTRIBUTES | RECORD_ATTRIBUTES
        nearest = next(iter(get_close_matches(name, known, 1, 0.75)), None)
        right = _OTHER_ATTRIBUTES.get(name.lower()) or (f"elem.{nearest}" if nearest else None)
        message = f"an element has no attribute {name!r}: AttributeError"
        self.report(node, "unknown-attribute", message, right or "an element has " + _listed(known))
        return Plain("float") if right == "elem.time" else UNKNOWN

    def element_subscript(self, key: Value, node: ast.expr) -> Value:
        """``elem[key]``."""
        field = FIELD_NAMES.get((constant_text(key) or "").lower())
        right = f'elem.fields["{field}"]' if field else None
        self.report(node, "field-as-attribute", "an element has no items: TypeError", right)
        return FieldValue(field) if field else UNKNOWN

    def refuse_sequence(self, value: Value, what: str, node: ast.expr) -> None:
        """Report ``len``, ``next`` or an index of something that is only iterable."""
        shape = "a BGPStream"
        if isinstance(value, Record):
            shape = "a record"
        elif isinstance(value, RecordIterator | Lazy):
            shape = "an iterator"
        elif not isinstance(value, StreamRef):
            return
        right = {"len": "sum(1 for elem in stream)", "next": "next(stream.records())"}.get(what)
        self.report(node, "not-a-sequence", f"{shape} is iterable only, and has no {what}: TypeError", right)

    # Fields

    def field(self, fields: Fields, key: str, node: ast.expr, state: State, required: bool) -> Value:
        """``elem.fields[key]`` (required), or what is as good as ``elem.fields.get(key)``."""
        if key in self._own_keys:
            return UNKNOWN
        allowed = FIELD_TYPES.get(key)
        if allowed is None:
            self._unknown_field(key, node, required)
            return UNKNOWN
        types = state.types.get(fields.element, Types(unclear=True))
        if not required:
            return FieldValue(key, Proof(fields.element, allowed))
        guarded = self.guarded(fields.element, "KeyError", "LookupError")
        missing = types.possible - allowed
        if missing and not guarded and (not types.unclear or not types.possible & allowed):
            self._unchecked(key, missing, allowed, node)
        if missing and guarded:
            # What follows runs only where the field was there.
            state.types[fields.element] = types.without(missing, "field", node.lineno)
        return FieldValue(key)

    def _unchecked(self, key: str, missing: frozenset[str], allowed: frozenset[str], node: ast.expr) -> None:
        names = {"W": "a withdrawal", "S": "a peer state", "A": "an announcement", "R": "a RIB entry"}
        who = " and ".join(names[letter] for letter in "WSAR" if letter in missing)
        message = f"{who} {'have' if ' and ' in who else 'has'} no {key!r}: KeyError"
        letters = ", ".join(f'"{letter}"' for letter in "RAWS" if letter in allowed)
        right = f"if elem.type in ({letters}):" if len(allowed) > 1 else f"if elem.type == {letters}:"
        self.report(node, "unchecked-prefix" if key == "prefix" else "unchecked-field", message, right)

    def _unknown_field(self, key: str, node: ast.expr, required: bool) -> None:
        if key.lower() in _ABSENT or key in ("origin", "origin-as", "origin_as"):
            self.report(node, "unknown-field", _absent(key))
            return
        meant = FIELD_NAMES.get(key.lower()) or next(iter(get_close_matches(key.lower(), FIELD_TYPES, 1, 0.7)), None)
        right = f'elem.fields["{meant}"]' if meant else None
        if key in ("time", "timestamp"):
            right = "elem.time"
        elif key in ("peer-asn", "peer_asn", "peer", "peer-as"):
            right = "elem.peer_asn"
        elif key == "type":
            right = "elem.type"
        consequence = "KeyError" if required else "this finds nothing"
        self.report(node, "unknown-field", f"there is no field {key!r}: {consequence}", right)

    # Types

    def narrow_to(self, test: TypeTest, types: frozenset[str], node: ast.AST, state: State) -> None:
        """Note that an element has one of some types from here on, as a test says."""
        before = state.types.get(test.element, Types(unclear=True))
        if test.cause == "unclear":
            state.types[test.element] = replace(before, unclear=True)
            return
        # Where the program names the types itself, they are what it reckons with.
        named = types == test.chosen
        if named and not before.possible & types:
            state.types[test.element] = replace(before, possible=types, unclear=True)
            return
        after = before.without(before.possible - types, test.cause, getattr(node, "lineno", 0))
        state.types[test.element] = replace(after, unclear=before.unclear and not named)

    def check_possible(self, of: TypeOf, wanted: frozenset[str], node: ast.AST, state: State) -> None:
        """Report a test for types that the element cannot have here."""
        types = state.types.get(of.element, Types(unclear=True))
        if self._quiet:
            return
        if types.unclear or not wanted or wanted & types.possible:
            if wanted & types.possible:
                self._possible_tests.add(of.stream)
            return
        asked = " or ".join(f'"{letter}"' for letter in sorted(wanted))
        if not wanted & types.given:
            given = ", ".join(letter for letter in "RAWS" if letter in types.given)
            message = f"the stream gives {given} only, so a type of {asked} never comes"
            if types.by_source:
                self._pending.append((of.stream, node, message))
            else:
                self.report(node, "impossible-type", message + ": its filter drops them")
            return
        lost = [(cause, line) for letter, cause, line in types.gone if letter in wanted]
        for cause, line in lost[:1]:
            if cause == "field" and wanted & {"W", "S"}:
                message = f"elements without the field were skipped (line {line}), and {asked} has none"
                self.report(node, "withdrawals-skipped", message)
            elif cause == "test":
                self.report(node, "impossible-type", f"elements of type {asked} were dealt with before (line {line})")


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names - {"rec"}))


def _absent(name: str) -> str:
    if name.startswith("origin"):
        return (
            f"there is no {name!r}: the ORIGIN code is not delivered, and the origin AS is the last word of the AS path"
        )
    return f"there is no {name!r}: PyBGPStream delivers no MED, LOCAL_PREF, aggregator, large or extended communities"
