"""The walk into functions and classes of the program."""

import ast
from dataclasses import replace

from seedtune.domains.bgp.lint.calls import Calls
from seedtune.domains.bgp.lint.compare import is_empty
from seedtune.domains.bgp.lint.elements import ELEMENT_ATTRIBUTES, FIELD_NAMES, RECORD_ATTRIBUTES, STREAM_METHODS
from seedtune.domains.bgp.lint.state import State, StreamState, Types
from seedtune.domains.bgp.lint.statements import is_generator
from seedtune.domains.bgp.lint.values import (
    ALL_TYPES,
    UNKNOWN,
    Arguments,
    ClassRef,
    Const,
    Container,
    Element,
    FieldValue,
    Function,
    Lazy,
    Plain,
    Proof,
    StreamRef,
    TypeTest,
    Value,
    merge_all,
)
from seedtune.domains.bgp.lint.walker import UNKNOWN_STREAM, Frame

MOST_CALLS = 8
"""Calls inside calls that are followed."""

_ELEMENT_NAMES = frozenset({"elem", "element", "e", "el", "bgp_elem", "bgpelem", "entry", "update", "msg", "route"})
_ONLY_STREAM = STREAM_METHODS - {"start", "records", "stream"}

Definition = ast.FunctionDef | ast.AsyncFunctionDef


class Functions(Calls):
    """The walk over calls of functions that the program defines."""

    def define(self, node: Definition, state: State) -> None:
        """A ``def`` statement."""
        for expression in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.value(expression, state)
        scopes = self.frame.scopes[1:] if self.frame.of_class else self.frame.scopes
        function = Function(node, scopes)
        self.frame.functions.append(function)
        self.assign(node.name, function, state)

    def define_class(self, node: ast.ClassDef, state: State) -> None:
        """A ``class`` statement."""
        values = [self.value(expression, state) for expression in node.bases]
        bases = tuple(base for base in values if isinstance(base, ClassRef))
        scope = self.new_id()
        cls = ClassRef(node, self.frame.scopes, scope, bases)
        self._frames.append(Frame(scope, (scope, *self.frame.scopes), of_class=True))
        self.block(node.body, state)
        methods = self._frames.pop().functions
        self.assign(node.name, cls, state)
        self.frame.classes.append((cls, methods))

    def follow(self, function: Function, arguments: Arguments, state: State) -> Value:
        """What a call of a function of the program gives."""
        node = function.node
        if node in self._active or len(self._active) >= MOST_CALLS:
            return UNKNOWN
        self._visited.add(node)
        scope = self.new_id()
        frame = Frame(scope, (scope, *function.scopes), consumed=self._consumed)
        for name, value in self._parameters(function, arguments, state).items():
            state.names[scope, name] = value
        self._consumed = True
        self._active.append(node)
        self._frames.append(frame)
        try:
            if isinstance(node, ast.Lambda):
                return self.value(node.body, state)
            inner = self.fork(state)
            self.block(node.body, inner)
            self.follow_rest(inner)
        finally:
            self._frames.pop()
            self._active.pop()
        return self._outcome(node, frame, inner, arguments, state)

    def _outcome(self, node: Definition, frame: Frame, inner: State, arguments: Arguments, state: State) -> Value:
        after = self.meet(*(end for end, _ in frame.returns), inner)
        generator = is_generator(node)
        if generator:
            after.dead = False
        after.names = {key: value for key, value in after.names.items() if key[0] != frame.scope}
        before = state.types
        state.become(after)
        if generator:
            return Lazy(merge_all(tuple(frame.yields.values())))
        result = merge_all(tuple(value for _, value in frame.returns)) if frame.returns else Const(None)
        for element in (value for value in arguments.values() if isinstance(value, Element)):
            if element.id in before:
                result = _with_verdict(result, element.id, frame.returns, before[element.id])
        return result

    def follow_rest(self, state: State) -> None:
        """Follow the functions of this frame that nothing has called, with arguments that are guessed."""
        for function in list(self.frame.functions):
            self._follow_unasked(function, state)
        for cls, methods in list(self.frame.classes):
            todo = [method for method in methods if method.node not in self._visited]
            if todo:
                own = self.fork(state)
                instance = self.make_instance(cls, Arguments(open=True), own)
                for method in todo:
                    self._follow_unasked(replace(method, bound=instance), own)

    def _follow_unasked(self, function: Function, state: State) -> None:
        if function.node not in self._visited:
            self._consumed = False
            self.follow(function, Arguments(open=True), self.fork(state))
            self._consumed = True

    def _parameters(self, function: Function, arguments: Arguments, state: State) -> dict[str, Value]:
        spec = function.node.args
        given: dict[str, Value] = {}
        positional = [value for value, _ in arguments.positional]
        decorators = [] if isinstance(function.node, ast.Lambda) else function.node.decorator_list
        if function.bound is not None and not any(_is_static(decorator) for decorator in decorators):
            positional.insert(0, function.bound)
        named = [*spec.posonlyargs, *spec.args]
        for argument, value in zip(named, positional, strict=False):
            given[argument.arg] = value
        known = {argument.arg for argument in (*named, *spec.kwonlyargs)}
        extra = [keyword for keyword in arguments.keywords if keyword[0] not in known]
        given |= {name: value for name, value, _ in arguments.keywords if name in known}
        if spec.vararg:
            given[spec.vararg.arg] = Container("tuple", tuple(positional[len(named) :]), complete=not arguments.open)
        if spec.kwarg:
            keys, values = tuple(Const(name) for name, _, _ in extra), tuple(value for _, value, _ in extra)
            places = tuple(place for _, _, place in extra)
            given[spec.kwarg.arg] = Container("dict", values, keys, not arguments.open, places=places)
        optional = named[len(named) - len(spec.defaults) :]
        defaults = {argument.arg: default for argument, default in zip(optional, spec.defaults, strict=True)}
        for argument, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
            if default is not None:
                defaults[argument.arg] = default
        for argument in (*named, *spec.kwonlyargs):
            value = given.get(argument.arg, UNKNOWN)
            if argument.arg not in given and argument.arg in defaults and not arguments.open:
                value = self.value(defaults[argument.arg], state)
            given[argument.arg] = self._guessed(function.node, argument, state) if value == UNKNOWN else value
        return given

    def _guessed(self, node: Definition | ast.Lambda, argument: ast.arg, state: State) -> Value:
        """What a parameter of unknown value must be, as its name, its annotation and its use say."""
        note = ast.unparse(argument.annotation) if argument.annotation else ""
        uses = {
            inner.attr
            for inner in ast.walk(node)
            if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == argument.arg
        }
        if "BGPStream" in note or uses & _ONLY_STREAM or (argument.arg == "stream" and "records" in uses):
            stream = self.new_id()
            place = ast.copy_location(ast.Constant(None), argument)
            state.streams[stream] = StreamState(place, known=False, interface=None, window="unknown", unclear=True)
            return StreamRef(stream)
        if "BGPRecord" in note or "get_next_elem" in uses:
            return self.new_record(UNKNOWN_STREAM, state)
        known = ELEMENT_ATTRIBUTES | RECORD_ATTRIBUTES | FIELD_NAMES.keys()
        alike = argument.arg in _ELEMENT_NAMES and "fields" in uses and uses <= known | {"timestamp", "med", "origin"}
        if "BGPElem" in note or alike or (argument.arg in ("elem", "bgp_elem") and uses & ELEMENT_ATTRIBUTES):
            return self.new_element(UNKNOWN_STREAM, state)
        return UNKNOWN


def _is_static(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Name) and decorator.id == "staticmethod"


def _with_verdict(result: Value, element: int, returns: list[tuple[State, Value]], before: Types) -> Value:
    """What a true result of a function says of the element that it was given."""
    types: frozenset[str] = frozenset()
    for end, value in returns:
        if is_empty(value) or element not in end.types:
            continue
        possible = end.types[element].possible
        types |= possible & value.yes if isinstance(value, TypeTest) and value.element == element else possible
    if not types < before.possible:
        return result
    if isinstance(result, FieldValue | Container):
        return replace(result, proof=Proof(element, types))
    if isinstance(result, TypeTest) or result == UNKNOWN or (isinstance(result, Plain) and result.kind == "bool"):
        exact = isinstance(result, TypeTest) and result.element == element and len(returns) == 1
        return result if exact else TypeTest(element, types, ALL_TYPES, "test")
    return result
