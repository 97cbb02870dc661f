"""What expressions give, and what conditions say of what follows."""

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import replace

from seedtune.domains.bgp.lint.compare import is_empty
from seedtune.domains.bgp.lint.conditions import Conditions, combined, inverted
from seedtune.domains.bgp.lint.state import State, Types
from seedtune.domains.bgp.lint.values import (
    FIELD_TYPES,
    MOST_PARTS,
    UNKNOWN,
    Arguments,
    Bound,
    Const,
    Container,
    Dotted,
    Element,
    Fields,
    FieldValue,
    Function,
    Instance,
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
    held,
    is_text,
    is_whole,
    merge,
    merge_all,
    shown,
    template,
    text_parts,
)
from seedtune.domains.bgp.lint.walker import MOST_DEPTH, Frame, Loop

_PLACEHOLDER = re.compile(r"%[-#0 +]*\d*(?:\.\d+)?[sdrifgxXc]")
_EXACT: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}
_MOST_BITS = 1024
"""Larger numbers are known to be numbers only: Python refuses to write very large ones in digits."""
_MODULE_NAMES = ("BGPStream", "BGPRecord", "BGPElem")

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class Expressions(Conditions):
    """The walk over expressions."""

    def value(self, node: ast.expr, state: State) -> Value:
        """What an expression gives; its findings are taken down."""
        self.step()
        if self._depth >= MOST_DEPTH:
            return UNKNOWN
        self._depth += 1
        try:
            return self._value(node, state)
        finally:
            self._depth -= 1

    def _value(self, node: ast.expr, state: State) -> Value:
        match node:
            case ast.Constant(value=int() as number) if number.bit_length() > _MOST_BITS:
                return Plain("int")
            case ast.Constant(value=str() | int() | float() | complex() | bytes() | None as constant):
                return Const(constant)
            case ast.Name():
                return self.lookup(node.id, state)
            case ast.Attribute():
                return self.attribute(self.value(node.value, state), node.attr, node, state)
            case ast.Subscript():
                return self.subscript(self.value(node.value, state), self.value(node.slice, state), node, state)
            case ast.Call():
                return self.call(node, state)
            case ast.Compare():
                return self.compare(node, state)
            case ast.BoolOp():
                return self._bool_op(node, state)
            case ast.UnaryOp():
                return self._unary_op(node, state)
            case ast.BinOp():
                return self._bin_op(node, state)
            case ast.IfExp():
                return self._if_exp(node, state)
            case ast.JoinedStr():
                return self._joined(node, state)
            case ast.Tuple() | ast.List() | ast.Set():
                return self._sequence(node, state)
            case ast.Dict():
                return self._dict(node, state)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return self._comprehension(node, state)
            case ast.Lambda():
                function = Function(node, self.frame.scopes)
                self.frame.functions.append(function)
                return function
            case _:
                return self._rare_value(node, state)

    def _rare_value(self, node: ast.expr, state: State) -> Value:
        match node:
            case ast.NamedExpr():
                value = self.value(node.value, state)
                self.assign(node.target.id, value, state)
                return value
            case ast.Await():
                return self.value(node.value, state)
            case ast.Yield():
                return self._yield(node, state)
            case ast.YieldFrom():
                source = self.value(node.value, state)
                self.frame.yields.setdefault(node, self.item(source, node.value, state))
            case ast.Slice():
                for part in (node.lower, node.upper, node.step):
                    if part is not None:
                        self.value(part, state)
            case ast.Starred():
                return self.spread(self.value(node.value, state), node, state)
            case _:
                pass
        return UNKNOWN

    def attribute(self, base: Value, name: str, node: ast.expr, state: State) -> Value:
        """``base.name``."""
        match base:
            case Dotted("pybgpstream") if name not in _MODULE_NAMES and not name.startswith("_"):
                self.report(node, "unknown-name", f"pybgpstream has no {name!r}: AttributeError")
                return UNKNOWN
            case Dotted(module):
                return Dotted(f"{module}.{name}")
            case StreamRef():
                return self.stream_attribute(base, name, node)
            case Record():
                return self.record_attribute(base, name, node, state)
            case Element():
                return self.element_attribute(base, name, node, state)
            case Instance():
                return self.own_attribute(base, name, state)
            case FieldValue("communities") if not hasattr(set, name):
                message = f"communities is a set of text such as '65535:666' and has no {name!r}: AttributeError"
                self.report(node, "community-pair", message)
                return UNKNOWN
            case FieldValue("community") if not hasattr(str, name):
                message = f"a community is text such as '65535:666' and has no {name!r}: AttributeError"
                self.report(node, "community-pair", message)
                return UNKNOWN
            case FieldValue("as-path") if not hasattr(str, name):
                self.report(node, "path-not-split", f"as-path is a str and has no {name!r}: AttributeError")
                return UNKNOWN
            case _:
                return Bound(base, name)

    def own_attribute(self, instance: Instance, name: str, state: State) -> Value:
        """``self.name`` of an object of the program."""
        found = state.names.get((instance.id, name))
        classes = [instance.cls]
        while found is None and classes:
            cls = classes.pop(0)
            classes += cls.bases
            found = state.names.get((cls.body_scope, name))
        if isinstance(found, Function):
            decorators = [] if isinstance(found.node, ast.Lambda) else found.node.decorator_list
            names = {decorator.id for decorator in decorators if isinstance(decorator, ast.Name)}
            bound = found if "staticmethod" in names else replace(found, bound=instance)
            return self.follow(bound, Arguments(), state) if "property" in names else bound
        return self.steady(name, found) if found is not None else Bound(instance, name)

    def subscript(self, base: Value, key: Value, node: ast.Subscript, state: State) -> Value:
        """``base[key]``."""
        number = isinstance(key, Const) and isinstance(key.value, int)
        match base:
            case StreamRef() | RecordIterator() | Record() | Lazy():
                self.refuse_sequence(base, "index", node)
                return UNKNOWN
            case Element():
                return self.element_subscript(key, node)
            case Fields():
                name = constant_text(key)
                return UNKNOWN if name is None else self.field(base, name, node, state, required=True)
            case FieldValue("communities"):
                self.report(node, "community-pair", "communities is a set: an index raises TypeError")
                return FieldValue("community")
            case FieldValue("community") if number:
                message = "a community is text such as '65535:666': an index gives one character of it"
                self.report(node, "community-pair", message)
                return Plain("str")
            case FieldValue("as-path") if number:
                self.report(node, "path-not-split", "as-path is a str: an index gives one character, not an AS number")
                return FieldValue("hop")
            case Container():
                self._check_counting(key, node, state)
                member = _member(base, key, node)
                return member if base.complete else self.later(member, state)
            case _:
                return Plain("str") if is_text(base) else UNKNOWN

    def _check_counting(self, key: Value, node: ast.Subscript, state: State) -> None:
        """``counts[elem.type] += 1`` behind a skip of all elements without an AS path."""
        if isinstance(key, TypeOf) and self._names_withdrawals:
            types = state.types.get(key.element, Types(unclear=True))
            lines = [line for letter, cause, line in types.gone if letter == "W" and cause == "field"]
            if lines and not types.unclear:
                message = f"elements without an AS path were skipped (line {lines[0]}): no withdrawal is counted here"
                self.report(node, "withdrawals-skipped", message)

    def _bool_op(self, node: ast.BoolOp, state: State) -> Value:
        both = isinstance(node.op, ast.And)
        inner, values = self.fork(state), list[Value]()
        outer = self._quiet
        self._quiet += not both
        for operand in node.values:
            values.append(self.value(operand, inner))
            inner = self.split(values[-1], operand, inner)[0 if both else 1]
        self._quiet = outer
        if not both:
            self._check_alternatives(node, state)
        state.absorb(inner)
        tests = [value for value in values if isinstance(value, TypeTest)]
        if tests and len({test.element for test in tests}) == 1:
            return combined(tests, both, len(tests) == len(values))
        if both:
            return values[-1]
        return values[0] if all(is_empty(value) for value in values[1:]) else merge_all(tuple(values))

    def _unary_op(self, node: ast.UnaryOp, state: State) -> Value:
        if isinstance(node.op, ast.Not):
            opposite = inverted(node.operand)
            if opposite is not None:
                return self.value(opposite, state)
            value = self.value(node.operand, state)
            return replace(value, yes=value.no, no=value.yes) if isinstance(value, TypeTest) else Plain("bool")
        value = self.value(node.operand, state)
        if isinstance(node.op, ast.USub) and isinstance(value, Const) and isinstance(value.value, int | float):
            return Const(-value.value)
        return value if isinstance(value, Plain) else UNKNOWN

    def _bin_op(self, node: ast.BinOp, state: State) -> Value:
        left, right = self.value(node.left, state), self.value(node.right, state)
        pattern = constant_text(left)
        if isinstance(node.op, ast.Mod) and pattern is not None:
            return self._percent(pattern, right, node)
        texts = text_parts(left), text_parts(right)
        unknown = UNKNOWN in (left, right)
        if isinstance(node.op, ast.Add) and (None not in texts or (unknown and any(texts))):
            return template([*(texts[0] or (None,)), *(texts[1] or (None,))])
        for one, other in ((left, right), (right, left)):
            if isinstance(one, FieldValue) and one.kind == "communities":
                for member in other.parts if isinstance(other, Container) else ():
                    self.check_community(member, node)
                return UNKNOWN if isinstance(node.op, ast.BitAnd) else one
            if isinstance(one, Plain) and one.kind == "datetime":
                return one
        if isinstance(left, Container) and isinstance(right, Container) and left.kind == right.kind:
            if left.complete and right.complete and isinstance(node.op, ast.Add):
                return replace(left, parts=(*left.parts, *right.parts)[:MOST_PARTS], proof=None)
            return left.grown(right.parts, right.keys)
        return _arithmetic(node.op, left, right)

    def _percent(self, text: str, right: Value, node: ast.BinOp) -> Value:
        values = list(right.parts) if isinstance(right, Container) and right.kind == "tuple" else [right]
        parts: list[str | None] = []
        for index, piece in enumerate(_PLACEHOLDER.split(text)):
            if index:
                value = values[index - 1] if index <= len(values) else UNKNOWN
                self.check_order(value, node)
                parts.append(shown(value))
            parts.append(piece)
        return template(parts)

    def _if_exp(self, node: ast.IfExp, state: State) -> Value:
        yes, no = self.narrow(node.test, state)
        first, second = self.value(node.body, yes), self.value(node.orelse, no)
        after = self.meet(yes, no)
        if is_empty(second) and isinstance(first, FieldValue | Container):
            for element, types in state.types.items():
                if yes.types[element].possible != types.possible:
                    first = replace(first, proof=Proof(element, yes.types[element].possible))
            state.absorb(after)
            return first
        state.absorb(after)
        return merge(first, second)

    def _joined(self, node: ast.JoinedStr, state: State) -> Value:
        parts: list[str | None] = []
        for piece in node.values:
            value = self.value(piece.value if isinstance(piece, ast.FormattedValue) else piece, state)
            self.check_order(value, node)
            parts.append(shown(value))
        return template(parts)

    def check_order(self, value: Value, node: ast.AST) -> None:
        """Report text made of a set, which comes out in another order in every run."""
        if isinstance(value, FieldValue) and value.kind == "communities":
            message = "communities is a set: its order in text differs from run to run"
            self.report(node, "communities-order", message, '" ".join(sorted(elem.fields["communities"]))')

    def _sequence(self, node: ast.Tuple | ast.List | ast.Set, state: State) -> Value:
        kind = {ast.Tuple: "tuple", ast.List: "list", ast.Set: "set"}[type(node)]
        parts: list[Value] = []
        complete = True
        for item in node.elts:
            if isinstance(item, ast.Starred):
                source = self.value(item.value, state)
                complete &= isinstance(source, Container) and source.complete
                parts += source.parts if isinstance(source, Container) else [self.spread(source, item, state)]
            else:
                parts.append(self.value(item, state))
        return Container(kind, tuple(parts), complete=complete)

    def spread(self, source: Value, node: ast.expr, state: State) -> Value:
        """What ``*source`` puts into a list or a call."""
        item = self.item(source, node, state)
        self.read_all(source, node, state)
        kept = held(item)
        if kept:
            self.report_kept(node, kept, "all of them are taken at once")
        return item

    def _dict(self, node: ast.Dict, state: State) -> Value:
        pairs: list[tuple[Value, Value]] = []
        complete = True
        for key, item in zip(node.keys, node.values, strict=True):
            value = self.value(item, state)
            if key is not None:
                added = [(self.value(key, state), value)]
            elif isinstance(value, Container) and value.complete:
                added = list(zip(value.keys, value.parts, strict=False))
            elif isinstance(value, Fields):
                added = _items(value, state)
                complete = False
            else:
                added = [(UNKNOWN, UNKNOWN)]
                complete = False
            # What comes later replaces what has its key, and may do so where the key is not known.
            later = {name for name, _ in added}
            pairs = [
                (name, UNKNOWN if UNKNOWN in later and _is_communities(kept) else kept)
                for name, kept in pairs
                if not isinstance(name, Const) or name not in later
            ]
            pairs += [pair for pair in added if pair != (UNKNOWN, UNKNOWN)]
        return Container("dict", tuple(part for _, part in pairs), tuple(name for name, _ in pairs), complete)

    def _comprehension(self, node: Comprehension, state: State) -> Value:
        lazy = isinstance(node, ast.GeneratorExp)
        scope = self.new_id()
        self._frames.append(Frame(scope, (scope, *self.frame.scopes)))
        inner, sources, loops = self.fork(state), list[tuple[Value, ast.expr]](), len(self._loops)
        try:
            for generator in node.generators:
                source = self.value(generator.iter, inner)
                self.bind(generator.target, self.item(source, generator.iter, inner), generator.iter, inner)
                sources.append((source, generator.iter))
                self._loops.append(Loop(self.new_id(), repeats=True))
                for condition in generator.ifs:
                    inner = self.narrow(condition, inner)[0]
            key = self.value(node.key, inner) if isinstance(node, ast.DictComp) else None
            item = self.value(node.value if isinstance(node, ast.DictComp) else node.elt, inner)
        finally:
            del self._loops[loops:]
            self._frames.pop()
        state.absorb(inner)
        state.types |= {part.id: inner.types[part.id] for part in (held(item),) if part and part.id in inner.types}
        if lazy:
            return Lazy(item, tuple(one for source, _ in sources for one in identities(source)))
        for source, place in sources:
            self.read_all(source, place, state)
        kept = held(item)
        if kept:
            self.report_kept(node, kept, "they are collected in one object")
        if key is not None:
            return Container("dict", (item,), (key,))
        return Container("list" if isinstance(node, ast.ListComp) else "set", (item,))

    def _yield(self, node: ast.Yield, state: State) -> Value:
        value = self.value(node.value, state) if node.value else Const(None)
        kept = held(value)
        if kept and not self.frame.consumed:
            message = "the caller gets the element itself, which is only good until it asks for the next one"
            self.report(node, "escaping-element", message)
        # What is known of the element at this moment is what the caller gets.
        self.frame.yields.setdefault(node, self.again(value, state))
        return UNKNOWN


def identities(source: Value) -> tuple[int, ...]:
    """The streams and records that reading a value to its end reads to their end."""
    match source:
        case StreamRef(stream) | RecordIterator(stream):
            return (stream,)
        case Record(identity):
            return (identity,)
        case Lazy(_, sources):
            return sources
        case _:
            return ()


def _items(fields: Fields, state: State) -> list[tuple[Value, Value]]:
    """Names and values of the fields that an element can have."""
    possible = state.types.get(fields.element, Types()).possible
    return [(Const(name), FieldValue(name)) for name, types in FIELD_TYPES.items() if types & possible]


def _is_communities(value: Value) -> bool:
    return isinstance(value, FieldValue) and value.kind == "communities"


def _member(base: Container, key: Value, node: ast.Subscript) -> Value:
    if isinstance(node.slice, ast.Slice):
        return replace(base, complete=False)
    if isinstance(key, Const):
        if base.kind == "dict":
            named = [part for part, name in zip(base.parts, base.keys, strict=False) if name == key]
            return named[-1] if named and base.complete else merge_all(base.parts)
        if base.complete and isinstance(key.value, int) and -len(base.parts) <= key.value < len(base.parts):
            return base.parts[key.value]
    item = base.item
    # A member of an unknown container may itself be one: counts[key].append(...).
    return item if item != UNKNOWN else Bound(base, "item")


def _arithmetic(sign: ast.operator, left: Value, right: Value) -> Value:
    if isinstance(left, Const) and isinstance(right, Const):
        a, b = left.value, right.value
        if type(a) is int and type(b) is int and abs(a) < 2**53 and abs(b) < 2**53:
            exact = _EXACT.get(type(sign))
            if exact is not None:
                return Const(exact(a, b))
            return Plain("float") if isinstance(sign, ast.Div) else Plain("int")
    if any(isinstance(side, Plain) and side.kind == "float" for side in (left, right)):
        return Plain("float")
    if any(isinstance(side, Const) and isinstance(side.value, float) for side in (left, right)):
        return Plain("float")
    if is_whole(left) and is_whole(right):
        return Plain("float") if isinstance(sign, ast.Div) else Plain("int")
    return UNKNOWN
