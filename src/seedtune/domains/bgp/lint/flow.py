"""The walk over statements: what holds before and after each of them."""

import ast
from dataclasses import replace

from seedtune.domains.bgp.lint.functions import Functions
from seedtune.domains.bgp.lint.methods import UNORDERED
from seedtune.domains.bgp.lint.state import State
from seedtune.domains.bgp.lint.statements import assigned_names, does_nothing, leaves, prints_of
from seedtune.domains.bgp.lint.values import (
    ALL_TYPES,
    UNKNOWN,
    Const,
    Container,
    Dotted,
    Element,
    Fields,
    FieldValue,
    Instance,
    Lazy,
    Plain,
    Record,
    StreamRef,
    Template,
    TypeOf,
    TypeTest,
    Value,
    constant_text,
    held,
    walk,
)
from seedtune.domains.bgp.lint.walker import MOST_DEPTH, Loop, exception_names

_EVERYTHING = frozenset({"", "Exception", "BaseException"})
_MODULES = ("pybgpstream", "_pybgpstream")
_MODULE_NAMES = ("BGPStream", "BGPRecord", "BGPElem")


class Flow(Functions):
    """The whole walk."""

    def run(self, tree: ast.Module) -> None:
        """Follow a program from its first line to its last, then what nothing has called."""
        state = State()
        self.block(tree.body, state)
        state.dead = False
        self.follow_rest(state)
        for stream, node, message in self._pending:
            if stream not in self._possible_tests:
                self.report(node, "impossible-type", message)

    def block(self, body: list[ast.stmt], state: State) -> None:
        """Follow statements one after the other."""
        if self._depth >= MOST_DEPTH:
            return
        self._depth += 1
        try:
            for index, statement in enumerate(body):
                if state.dead:
                    break
                self.step()
                self._followed = any(not isinstance(later, ast.Pass) for later in body[index + 1 :])
                self._statement(statement, state)
        finally:
            self._depth -= 1

    def _statement(self, node: ast.stmt, state: State) -> None:
        match node:
            case ast.Expr():
                self.value(node.value, state)
            case ast.Assign():
                value = self.value(node.value, state)
                for target in node.targets:
                    self.bind(target, value, node.value, state)
            case ast.AnnAssign() if node.value:
                self.bind(node.target, self.value(node.value, state), node.value, state)
            case ast.AugAssign():
                self._augmented(node, state)
            case ast.For() | ast.AsyncFor():
                self._for(node, state)
            case ast.While():
                self._while(node, state)
            case ast.If():
                self._if(node, state)
            case ast.With() | ast.AsyncWith():
                self._with(node, state)
            case ast.Try() | ast.TryStar():
                self._try(node, state)
            case ast.Match():
                self._match(node, state)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.define(node, state)
            case ast.ClassDef():
                self.define_class(node, state)
            case _:
                self._small_statement(node, state)

    def _small_statement(self, node: ast.stmt, state: State) -> None:
        match node:
            case ast.Return():
                self._return(node, state)
            case ast.Raise():
                for expression in filter(None, (node.exc, node.cause)):
                    self.value(expression, state)
                state.dead = True
            case ast.Assert():
                state.become(self.narrow(node.test, state)[0])
            case ast.Break() | ast.Continue() if self._loops:
                loop = self._loops[-1]
                (loop.breaks if isinstance(node, ast.Break) else loop.continues).append(self.fork(state))
                state.dead = True
            case ast.Global():
                self.frame.globals.update(node.names)
            case ast.Import():
                for alias in node.names:
                    self._import(alias, state)
            case ast.ImportFrom() if node.module and not node.level:
                self._import_from(node, node.module, state)
            case _:
                pass

    # Names

    def _import(self, alias: ast.alias, state: State) -> None:
        root, _, rest = alias.name.partition(".")
        if root in _MODULES and (root.startswith("_") or rest):
            message = f"{alias.name} is not the interface of version 2"
            self.report(alias, "version-1", message, "import pybgpstream")
            self.assign(alias.asname or root, Dotted("pybgpstream"), state)
        else:
            self.assign(alias.asname or root, Dotted(alias.name if alias.asname else root), state)

    def _import_from(self, node: ast.ImportFrom, module: str, state: State) -> None:
        root = module.partition(".")[0]
        if root in _MODULES:
            if module != "pybgpstream":
                message = f"{module} is not the interface of version 2"
                self.report(node, "version-1", message, "from pybgpstream import BGPStream")
            module = "pybgpstream"
        for alias in node.names:
            if alias.name == "*":
                for name in _MODULE_NAMES if module == "pybgpstream" else ():
                    self.assign(name, Dotted(f"{module}.{name}"), state)
            elif module == "pybgpstream" and alias.name not in _MODULE_NAMES and not alias.name.startswith("_"):
                self.report(alias, "unknown-name", f"pybgpstream has no {alias.name!r}: ImportError")
            else:
                self.assign(alias.asname or alias.name, Dotted(f"{module}.{alias.name}"), state)

    def bind(self, target: ast.expr, value: Value, place: ast.expr, state: State) -> None:
        """Give the names of a target their values; ``place`` is where the value stands."""
        match target:
            case ast.Name():
                self.assign(target.id, value, state)
            case ast.Tuple() | ast.List():
                self._unpack(target.elts, value, place, state)
            case ast.Starred():
                self.bind(target.value, Container("list", (value,)), place, state)
            case ast.Attribute():
                base = self.value(target.value, state)
                if isinstance(base, Instance):
                    state.names[base.id, target.attr] = value
            case ast.Subscript():
                self._store(target, value, state)
            case _:
                pass

    def _unpack(self, targets: list[ast.expr], value: Value, place: ast.expr, state: State) -> None:
        parts: list[Value] = [UNKNOWN] * len(targets)
        match value:
            case FieldValue("community"):
                message = "a community is text such as '65535:666' and cannot be taken apart as a pair"
                self.report(place, "community-pair", message)
                parts = [Plain("int")] * len(targets)
            case Element():
                self.report(
                    place, "not-a-sequence", "an element cannot be taken apart: TypeError", "elem.fields.items()"
                )
            case Container() if value.complete and len(value.parts) == len(targets):
                parts = list(value.parts)
            case Container() | Lazy():
                parts = [value.item] * len(targets)
            case _:
                pass
        if any(isinstance(target, ast.Starred) for target in targets):
            parts = [value.item if isinstance(value, Container | Lazy) else UNKNOWN] * len(targets)
        for target, part in zip(targets, parts, strict=True):
            self.bind(target, part, place, state)

    def _store(self, target: ast.Subscript, value: Value, state: State) -> None:
        base, key = self.value(target.value, state), self.value(target.slice, state)
        kept = held(value)
        if isinstance(base, Fields):
            self._own_keys.add(constant_text(key) or "")
        elif kept:
            self.report_kept(target, kept, "it is stored in a container")
        elif isinstance(base, Container) and isinstance(target.value, ast.Name):
            self.change(target.value.id, base.grown((value,), (key,)), state)

    def _augmented(self, node: ast.AugAssign, state: State) -> None:
        value = self.value(ast.copy_location(ast.BinOp(node.target, node.op, node.value), node), state)
        kept = held(self.value(node.value, self.fork(state))) if isinstance(node.value, ast.List | ast.Tuple) else None
        if kept:
            self.report_kept(node, kept, "it is added to a container")
        if isinstance(node.target, ast.Name):
            self.assign(node.target.id, value, state)

    def _return(self, node: ast.Return, state: State) -> None:
        value = self.value(node.value, state) if node.value else Const(None)
        kept = held(value)
        stream = state.streams.get(kept.stream) if kept else None
        alive = any(isinstance(part, StreamRef) for part in walk(value))
        if kept and stream and stream.frame == self.frame.scope and not alive:
            self.report_kept(node, kept, "its stream ends with the function that returns it")
        self.frame.returns.append((self.fork(state), value))
        state.dead = True

    # Loops

    def _for(self, node: ast.For | ast.AsyncFor, state: State) -> None:
        behind = self._followed
        source = self.value(node.iter, state)
        first = len(self._iterated)
        item = self.item(source, node.iter, state)
        of_stream = held(item) is not None
        entry = self.fork(state)
        loop = Loop(self.new_id(), repeats=not leaves(node.body))
        self._loops.append(loop)
        self._stream_loops += of_stream
        turn = self.fork(entry)
        self._forget(node.body, turn)
        end = self._turn(node, item, loop, turn)
        taken = set(self._iterated[first:])
        if not self._second_turn and self._carries(node, end, taken):
            self._second_turn = True
            turn = self.meet(entry, end)
            turn.left |= taken
            turn.types |= {one: entry.types[one] for one in taken if one in entry.types}
            self._forget(node.body, turn)
            end = self._turn(node, self.again(item, turn), loop, turn)
            self._second_turn = False
        self._stream_loops -= of_stream
        self._loops.pop()
        finished = self.meet(entry, end)
        self._followed = behind
        self.read_all(source, node.iter, finished, leaves=leaves(node.body), loop=True)
        if not isinstance(source, Record):
            # The last element of a record stays good until the next record is taken.
            finished.left |= set(self._iterated[first:])
        self.block(node.orelse, finished)
        self._check_printed_set(node, source)
        state.become(self.meet(finished, *loop.breaks))

    def _turn(self, node: ast.For | ast.AsyncFor, item: Value, loop: Loop, state: State) -> State:
        loop.continues.clear()
        self.bind(node.target, item, node.iter, state)
        self.block(node.body, state)
        return self.meet(state, *loop.continues)

    def _forget(self, body: list[ast.stmt], state: State) -> None:
        """Forget what a loop may have changed by the time its body is run again."""
        for name in assigned_names(body):
            key = (self.frame.scope, name)
            value = state.names.get(key)
            if isinstance(value, Const | Plain | Template | FieldValue):
                state.names[key] = UNKNOWN
            elif isinstance(value, Container):
                state.names[key] = replace(value, complete=False)

    def _carries(self, node: ast.For | ast.AsyncFor, end: State, taken: set[int]) -> bool:
        """Whether a name that is not the loop's own takes an element or record into the next turn."""
        own = assigned_names([node.target])
        return any(
            isinstance(value, Element | Record) and value.id in taken and name not in own
            for (_, name), value in end.names.items()
        )

    def _check_printed_set(self, node: ast.For | ast.AsyncFor, source: Value) -> None:
        unordered = isinstance(source, Container) and source.kind == UNORDERED
        if isinstance(node.target, ast.Name) and (unordered or source in (FieldValue("communities"),)):
            for call in prints_of(node.body, node.target.id):
                self.check_order(FieldValue("communities"), call)

    def _while(self, node: ast.While, state: State) -> None:
        loop = Loop(self.new_id(), repeats=not leaves(node.body))
        entry = self.fork(state)
        self._forget(node.body, entry)
        turn, done = self.narrow(node.test, entry)
        self._loops.append(loop)
        self.block(node.body, turn)
        self._loops.pop()
        end = self.meet(turn, *loop.continues)
        left = done if end.dead else self.meet(done, self.narrow(node.test, end)[1])
        self.block(node.orelse, left)
        state.become(self.meet(left, *loop.breaks))

    # Branches

    def _if(self, node: ast.If, state: State) -> None:
        yes, no = self.narrow(node.test, state)
        self.block(node.body, yes)
        if yes.dead and not no.dead:
            self._check_guard(node.test, state)
        self.block(node.orelse, no)
        state.become(self.meet(yes, no))

    def _check_guard(self, test: ast.expr, state: State) -> None:
        """``if elem.type != "W": continue`` where no W ever comes skips everything."""
        if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.NotEq | ast.NotIn):
            result = self.value(test, self.fork(state))
            if isinstance(result, TypeTest) and result.no == result.chosen:
                of = TypeOf(result.element, self._stream_of.get(result.element, -1))
                self.check_possible(of, result.chosen, test, state)

    def _with(self, node: ast.With | ast.AsyncWith, state: State) -> None:
        caught: frozenset[str] = frozenset()
        for item in node.items:
            value = self.value(item.context_expr, state)
            if isinstance(value, StreamRef):
                message = "a BGPStream is no context manager: TypeError"
                self.report(item.context_expr, "unknown-attribute", message, "stream = BGPStream(...)")
            if isinstance(value, Lazy):
                # A generator of the program, made a context manager: the name gets what it yields.
                value = value.item
            if item.optional_vars is not None:
                self.bind(item.optional_vars, value, item.context_expr, state)
            caught |= self._suppressed(item.context_expr, state)
        before = self.fork(state)
        self._guards.append(caught)
        self.block(node.body, state)
        self._guards.pop()
        if caught:
            state.become(self.meet(state, before))

    def _suppressed(self, node: ast.expr, state: State) -> frozenset[str]:
        if not isinstance(node, ast.Call) or self.value(node.func, state) != Dotted("contextlib.suppress"):
            return frozenset()
        return frozenset[str]().union(*(exception_names(argument) for argument in node.args))

    def _try(self, node: ast.Try | ast.TryStar, state: State) -> None:
        handled = [exception_names(handler.type) for handler in node.handlers]
        before, reads = self.fork(state), self._reads
        self._guards.append(frozenset[str]().union(*handled))
        self.block(node.body, state)
        self._guards.pop()
        around_stream = self._stream_loops > 0 or self._reads > reads
        begin = self.meet(before, state)
        self.block(node.orelse, state)
        ends = [self.fork(state)]
        for handler, names in zip(node.handlers, handled, strict=True):
            if names & _EVERYTHING and does_nothing(handler.body) and around_stream:
                message = "every error is passed over in silence, so a wrong program looks like one that found nothing"
                self.report(handler, "hidden-failure", message)
            after = self.fork(begin)
            if handler.name:
                self.assign(handler.name, UNKNOWN, after)
            self.block(handler.body, after)
            ends.append(after)
        end = self.meet(*ends)
        if end.dead:
            self.block(node.finalbody, begin)
        self.block(node.finalbody, end)
        state.become(end)

    def _match(self, node: ast.Match, state: State) -> None:
        subject = self.value(node.subject, state)
        ends: list[State] = []
        rest = self.fork(state)
        for case in node.cases:
            inside = self.fork(rest)
            wanted = _letters(case.pattern)
            if isinstance(subject, TypeOf) and wanted is not None:
                chosen = frozenset(wanted) & ALL_TYPES
                self.check_letters(subject, wanted, case.pattern)
                if chosen:
                    self.check_possible(subject, chosen, case.pattern, inside)
                    test = TypeTest(subject.element, chosen, ALL_TYPES - chosen, "test", chosen)
                    self.narrow_to(test, chosen, case.pattern, inside)
                    if case.guard is None:
                        self.narrow_to(test, ALL_TYPES - chosen, case.pattern, rest)
            else:
                self._mark_unclear(subject, node, inside)
            for name in assigned_patterns(case.pattern):
                self.assign(name, UNKNOWN, inside)
            if case.guard is not None:
                inside = self.narrow(case.guard, inside)[0]
            self.block(case.body, inside)
            ends.append(inside)
            if case.guard is None and isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None:
                rest.dead = True
        state.become(self.meet(*ends, rest))

    def _mark_unclear(self, subject: Value, node: ast.Match, state: State) -> None:
        for part in walk(subject):
            if isinstance(part, TypeOf) and not isinstance(subject, TypeOf):
                self.narrow_to(TypeTest(part.element, ALL_TYPES, ALL_TYPES, "unclear"), ALL_TYPES, node, state)


def _letters(pattern: ast.pattern) -> list[str] | None:
    """The constants that a pattern matches; None if it matches something else."""
    if isinstance(pattern, ast.MatchValue) and isinstance(pattern.value, ast.Constant):
        return [str(pattern.value.value)]
    if isinstance(pattern, ast.MatchOr):
        found = [_letters(inner) for inner in pattern.patterns]
        return None if None in found else [letter for letters in found for letter in letters or []]
    return None


def assigned_patterns(pattern: ast.pattern) -> list[str]:
    """Names that a pattern gives values to."""
    return [node.name for node in ast.walk(pattern) if isinstance(node, ast.MatchAs | ast.MatchStar) and node.name]
