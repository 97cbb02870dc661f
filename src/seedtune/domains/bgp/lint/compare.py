"""Comparisons: what they say about the type of an element, and the rules about what is compared."""

import ast
import re

from seedtune.domains.bgp.lint.elements import ElementRules
from seedtune.domains.bgp.lint.state import State
from seedtune.domains.bgp.lint.values import (
    ALL_TYPES,
    FIELD_TYPES,
    Const,
    Container,
    Fields,
    FieldValue,
    Plain,
    TypeOf,
    TypeTest,
    Value,
    constant_text,
    is_text,
    is_whole,
    shown,
)
from seedtune.domains.bgp.sandboxed.pybgpstream._mrt import STATES

_EQUAL = (ast.Eq, ast.Is)
_UNEQUAL = (ast.NotEq, ast.IsNot)
_POSITIVE = (ast.Eq, ast.Is, ast.In)
_MEMBER = (ast.In, ast.NotIn)

_RECORD_TYPES = ("update", "rib")
_STATUSES = (
    "valid",
    "filtered-source",
    "empty-source",
    "corrupted-source",
    "corrupted-record",
    "unsupported-record",
    "outside-time-interval",
    "unknown",
)
_EMPTY = (Const(None), Const(""), Const(0), Const(False), Container("list"), Container("set"), Container("tuple"))


def choices(value: Value) -> list[Value] | None:
    """What a container holds for ``in``, if all of it is known."""
    if not isinstance(value, Container):
        return None
    members = value.keys if value.kind == "dict" else value.parts
    return list(members) if members and all(isinstance(member, Const) for member in members) else None


def is_empty(value: Value) -> bool:
    """Whether the value is certainly false."""
    return value in _EMPTY or (isinstance(value, Container) and value.complete and not value.parts)


class CompareRules(ElementRules):
    """What comparisons mean."""

    def compare(self, node: ast.Compare, state: State) -> Value:
        """The value of a comparison."""
        quiet = _asks_for_emptiness(node)
        left = self.value(node.left.args[0] if quiet and isinstance(node.left, ast.Call) else node.left, state)
        if quiet:
            self.refuse_sequence(left, "len", node.left)
            left = FieldValue("length", left.proof if isinstance(left, FieldValue | Container) else None)
        result: Value = Plain("bool")
        for operator, operand in zip(node.ops, node.comparators, strict=True):
            right = self.value(operand, state)
            result = self._pair(operator, left, right, node, state)
            left = right
        return result if len(node.ops) == 1 else Plain("bool")

    def _pair(self, operator: ast.cmpop, left: Value, right: Value, node: ast.Compare, state: State) -> Value:
        if isinstance(right, TypeOf) and not isinstance(operator, _MEMBER):
            left, right = right, left
        if isinstance(left, TypeOf):
            return self._type_test(operator, left, right, node, state)
        if isinstance(operator, _MEMBER):
            return self._membership(operator, left, right, node)
        for side in (left, right):
            if isinstance(side, Fields):
                return TypeTest(side.element, ALL_TYPES, ALL_TYPES, "unclear")
        tested = self._emptiness(operator, left, right)
        if tested is not None:
            return tested
        if isinstance(operator, (*_EQUAL, *_UNEQUAL)):
            for one, other in ((left, right), (right, left)):
                self._check_words(one, [other], node)
                self.check_classes(one, other, node)
        return Plain("bool")

    def _type_test(self, operator: ast.cmpop, left: TypeOf, right: Value, node: ast.Compare, state: State) -> Value:
        wanted: list[str] | None = None
        if isinstance(operator, (*_EQUAL, *_UNEQUAL)) and isinstance(right, Const):
            wanted = [str(right.value)]
        elif isinstance(operator, _MEMBER):
            members = choices(right)
            if members is not None:
                wanted = [shown(member) or "" for member in members]
            elif (letters := constant_text(right)) is not None:
                wanted = list(letters)
        if wanted is None:
            return TypeTest(left.element, ALL_TYPES, ALL_TYPES, "unclear")
        chosen = frozenset(self.check_letters(left, wanted, node)) & ALL_TYPES
        if not chosen:
            return TypeTest(left.element, ALL_TYPES, ALL_TYPES, "unclear")
        if isinstance(operator, _POSITIVE):
            self.check_possible(left, chosen, node, state)
            return TypeTest(left.element, chosen, ALL_TYPES - chosen, "test", chosen)
        return TypeTest(left.element, ALL_TYPES - chosen, chosen, "test", chosen)

    def check_letters(self, of: TypeOf, words: list[str], node: ast.AST) -> list[str]:
        """Report words that are no type of an element; returns them as types are written."""
        letters = [word.upper() for word in words] if of.lowered else words
        for word in letters:
            if word not in ALL_TYPES:
                message = f"an element's type is never {word!r}, so this comparison always comes out the same"
                self.report(node, "element-type", message, f'elem.type == "{_meant_type(word)}"')
        return letters

    def _membership(self, operator: ast.cmpop, left: Value, right: Value, node: ast.Compare) -> Value:
        positive = isinstance(operator, ast.In)
        name = constant_text(left)
        if isinstance(right, Fields) and name is not None:
            allowed = FIELD_TYPES.get(name)
            if allowed is None:
                if name not in self._own_keys:
                    self._unknown_field(name, node, required=False)
                return Plain("bool")
            missing = ALL_TYPES - allowed
            return TypeTest(right.element, *((allowed, missing) if positive else (missing, allowed)), "field")
        if isinstance(right, Fields):
            return TypeTest(right.element, ALL_TYPES, ALL_TYPES, "unclear")
        members = choices(right)
        if members is not None:
            self._check_words(left, members, node)
            if all(is_whole(member) for member in members) or all(is_text(member) for member in members):
                self.check_classes(left, members[0], node)
        elif isinstance(right, Container) and right.kind != "dict" and right.parts:
            self.check_classes(left, right.item, node)
        elif isinstance(right, FieldValue):
            self._in_field(left, right, node)
        return Plain("bool")

    def _in_field(self, left: Value, right: FieldValue, node: ast.Compare) -> None:
        if right.kind == "communities":
            self.check_community(left, node)
        elif right.kind == "as-path" and is_whole(left):
            message = "as-path is a str: looking for an int in it raises TypeError"
            self.report(node, "int-and-str", message, 'str(asn) in elem.fields["as-path"].split()')
        elif right.kind == "as-path" and isinstance(left, Const):
            self.check_number_in_path(left, node)

    def check_number_in_path(self, needle: Value, node: ast.AST) -> None:
        """Report a search for bare digits in the text of an AS path."""
        number = constant_text(needle)
        if number is not None and re.fullmatch(r"\d+", number):
            message = f"{number!r} in the text of an AS path is found inside longer AS numbers too"
            self.report(node, "path-substring", message, f'"{number}" in elem.fields["as-path"].split()')

    def check_community(self, left: Value, node: ast.AST) -> None:
        """Report what can be no member of a set of communities."""
        wrong = (isinstance(left, Container) and left.kind in ("tuple", "list")) or is_whole(left)
        text = constant_text(left)
        if wrong or (text is not None and ":" not in text):
            right = '"65535:666" in elem.fields["communities"]'
            message = 'a community is text such as "65535:666", so this is never found'
            self.report(node, "community-pair", message, right)

    def _emptiness(self, operator: ast.cmpop, left: Value, right: Value) -> Value | None:
        """A test of a field's value against nothing tells whether the field is there."""
        proof = left.proof if isinstance(left, FieldValue | Container) else None
        if proof is None or not isinstance(right, Const):
            return None
        if isinstance(operator, (*_UNEQUAL, ast.Gt)) and is_empty(right):
            return TypeTest(proof.element, proof.types, ALL_TYPES, "field")
        if isinstance(operator, ast.GtE) and right == Const(1):
            return TypeTest(proof.element, proof.types, ALL_TYPES, "field")
        if isinstance(operator, _EQUAL) and is_empty(right):
            return TypeTest(proof.element, ALL_TYPES, proof.types, "field")
        if isinstance(operator, ast.Lt) and right == Const(1):
            return TypeTest(proof.element, ALL_TYPES, proof.types, "field")
        return None

    def _check_words(self, value: Value, others: list[Value], node: ast.AST) -> None:
        """Report words that a field or attribute never says."""
        if not isinstance(value, FieldValue):
            return
        words = [word for word in map(constant_text, others) if word is not None]
        for word in words:
            if value.kind == "record-type" and word not in _RECORD_TYPES:
                right = f'record.type == "{"rib" if "rib" in word.lower() else "update"}"'
                if word in ALL_TYPES or word.lower().rstrip("s") in ("announcement", "withdrawal"):
                    right = f'elem.type == "{_meant_type(word)}"'
                self.report(node, "record-value", f"a record's type is never {word!r}", right)
            elif value.kind == "status" and word not in _STATUSES:
                self.report(node, "record-value", f"a record's status is never {word!r}", 'record.status == "valid"')
            elif value.kind in ("old-state", "new-state") and word not in STATES:
                meant = word.upper() if word.upper() in STATES else "ESTABLISHED"
                self.report(
                    node, "state-value", f"no state is called {word!r}", f'elem.fields["{value.kind}"] == "{meant}"'
                )
            elif value.kind == "community":
                self.check_community(Const(word), node)

    def check_classes(self, value: Value, other: Value, node: ast.AST) -> None:
        """Report an int of the library that is compared with text, or its text with an int."""
        if not isinstance(value, FieldValue):
            return
        if value.kind == "community" and isinstance(other, Container) and other.kind in ("tuple", "list"):
            self.check_community(other, node)
        elif value.kind == "peer-asn" and is_text(other):
            right = f"elem.peer_asn == {other.value}" if isinstance(other, Const) else "str(elem.peer_asn) == hops[0]"
            self.report(node, "int-and-str", "peer_asn is an int and never equal to text", right)
        elif is_text(value) and is_whole(other):
            names = {"hop": "an AS number in a path", "number": "a part of a community"}
            what = names.get(value.kind, f"{value.kind!r}")
            right = f'"{other.value}"' if isinstance(other, Const) else "hops[0] == str(elem.peer_asn)"
            self.report(node, "int-and-str", f"{what} is text and never equal to an int", right)


def _meant_type(word: str) -> str:
    return next((letter for letter in ("A", "W", "R", "S") if word[:1].upper() == letter), "A")


def _asks_for_emptiness(node: ast.Compare) -> bool:
    """Whether this is ``len(x) > 0`` or the like, which is no count of anything."""
    last = node.comparators[0]
    return (
        len(node.ops) == 1
        and isinstance(node.left, ast.Call)
        and isinstance(node.left.func, ast.Name)
        and node.left.func.id == "len"
        and len(node.left.args) == 1
        and isinstance(last, ast.Constant)
        and last.value in (0, 1)
    )
