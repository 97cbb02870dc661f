"""What all parts of the walk over a program share: findings, names, and the reading of streams."""

import ast
import builtins
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace

from seedtune.domains.bgp.lint.findings import RULES, CodeFinding, Level
from seedtune.domains.bgp.lint.state import State, StreamState, Types, join
from seedtune.domains.bgp.lint.statements import changed_keys
from seedtune.domains.bgp.lint.values import (
    UNKNOWN,
    Arguments,
    Bound,
    ClassRef,
    Const,
    Container,
    Dotted,
    Element,
    Fields,
    FieldValue,
    Function,
    Lazy,
    Plain,
    Record,
    RecordIterator,
    StreamRef,
    Template,
    TypeOf,
    TypeTest,
    Value,
    held,
)

MOST_STEPS = 150_000
"""Expressions looked at before the walk ends; a program of 300 lines takes about 3,000."""
MOST_DEPTH = 120
"""Nesting of expressions, statements and calls below which nothing is looked at."""

GLOBAL = 0
UNKNOWN_STREAM = -1

_BUILTINS = frozenset(dir(builtins))
_INTERRUPTIONS = {"signal", "alarm", "setitimer", "Timer", "wait_for", "timeout"}


class OutOfSteps(Exception):  # noqa: N818 (it ends the walk; nothing is wrong)
    """The program is too large to be followed further."""


@dataclass(slots=True)
class Frame:
    """A call that is being followed, or the program itself."""

    scope: int
    scopes: tuple[int, ...]
    """Where names are looked for: the innermost scope first."""
    globals: set[str] = field(default_factory=set[str])
    returns: list[tuple[State, Value]] = field(default_factory=list[tuple[State, Value]])
    yields: dict[ast.AST, Value] = field(default_factory=dict[ast.AST, Value])
    consumed: bool = True
    """Something in the program calls it."""
    of_class: bool = False
    """It is the body of a class."""
    functions: list[Function] = field(default_factory=list[Function])
    classes: list[tuple[ClassRef, list[Function]]] = field(default_factory=list[tuple[ClassRef, list[Function]]])
    """What is defined in it."""


@dataclass(slots=True)
class Loop:
    """A loop that is being followed."""

    id: int
    repeats: bool
    """Its body can run again: nothing in it leaves it."""
    breaks: list[State] = field(default_factory=list[State])
    continues: list[State] = field(default_factory=list[State])


class Walker(ABC):
    """Shared state of the walk."""

    def __init__(self, source: str, tree: ast.Module) -> None:
        self._lines = source.splitlines()
        self._found: dict[tuple[int, int, str], CodeFinding] = {}
        self._steps = 0
        self._depth = 0
        self._next_id = 1
        self._frames = [Frame(GLOBAL, (GLOBAL,))]
        self._loops: list[Loop] = []
        self._active: list[ast.AST] = []
        """Functions that are being followed."""
        self._visited: set[ast.AST] = set()
        """Functions that have been."""
        self._consumed = True
        """The function that is followed next is called by something in the program."""
        self._second_turn = False
        """A loop is followed once more; loops inside are not, for that would double the work at each level."""
        self._stream_loops = 0
        """Loops over streams around this place."""
        self._reads = 0
        """Times that something was taken from a stream."""
        self._guards: list[frozenset[str]] = []
        self._guards_at: dict[int, int] = {}
        """Element -> the number of ``try`` around the place where it was taken."""
        self._stream_of: dict[int, int] = {}
        """Element -> its stream."""
        self._iterated: list[int] = []
        """Elements and records in the order in which loops took them."""
        self._changing: set[str] = set()
        """Global names that functions change, and attributes that are set in more than one place."""
        self._attributes: set[str] = set()
        """Attributes that are set."""
        self._own_keys: set[str] = set()
        """Keys that the program itself puts into ``fields``."""
        self._changed_keys: set[str] = set()
        """Keys that the program takes out of a dict, or gives another value."""
        self._possible_tests: set[int] = set()
        """Streams of which some element type was tested for that they give."""
        self._pending: list[tuple[int, ast.AST, str]] = []
        """Tests for types that the source of a stream does not give; wrong unless the code handles other types too."""
        self._followed = False
        """Statements stand behind the one that is being followed."""
        self._quiet = 0
        """Inside an ``or``, whose tests are judged together."""
        self._names_withdrawals = False
        self._knows_sets = False
        """Something in the program shows that it reckons with an AS_SET."""
        self._calls_set_interface = False
        self._handles_interrupt = False
        for node in ast.walk(tree):
            self._look_at(node)

    def _look_at(self, node: ast.AST) -> None:
        self._changed_keys |= changed_keys(node)
        if isinstance(node, ast.Global | ast.Nonlocal):
            self._changing.update(node.names)
        elif isinstance(node, ast.Attribute):
            if isinstance(node.ctx, ast.Store):
                (self._changing if node.attr in self._attributes else self._attributes).add(node.attr)
            self._calls_set_interface |= node.attr == "set_data_interface"
            self._handles_interrupt |= node.attr in _INTERRUPTIONS
            self._knows_sets |= node.attr in ("isdigit", "isdecimal", "isnumeric", "findall", "sub", "finditer")
        elif isinstance(node, ast.Constant):
            self._names_withdrawals |= node.value == "W"
            self._knows_sets |= isinstance(node.value, str) and "{" in node.value
        elif isinstance(node, ast.ExceptHandler):
            caught = exception_names(node.type)
            self._handles_interrupt |= "KeyboardInterrupt" in caught
            self._knows_sets |= bool(caught & {"ValueError", "Exception", "BaseException", ""})

    @abstractmethod
    def value(self, node: ast.expr, state: State) -> Value:
        """What an expression gives; its findings are taken down."""

    @abstractmethod
    def call(self, node: ast.Call, state: State) -> Value:
        """What a call gives; its findings are taken down."""

    @abstractmethod
    def block(self, body: list[ast.stmt], state: State) -> None:
        """Follow statements one after the other."""

    @abstractmethod
    def bind(self, target: ast.expr, value: Value, place: ast.expr, state: State) -> None:
        """Give the names of a target their values; ``place`` is where the value stands."""

    @abstractmethod
    def follow(self, function: Function, arguments: Arguments, state: State) -> Value:
        """What a call of a function of the program gives."""

    @abstractmethod
    def invoke(self, function: Value, arguments: Arguments, node: ast.expr, state: State) -> Value:
        """What a call gives."""

    # Findings

    def findings(self) -> list[CodeFinding]:
        """What was found, in the order of the program."""
        return sorted(self._found.values())

    def report(
        self, node: ast.AST, rule: str, message: str, right: str | None = None, level: Level | None = None
    ) -> None:
        """Take down that a node breaks a rule; right form and level are the rule's own unless given."""
        line = getattr(node, "lineno", 1)
        offset = getattr(node, "col_offset", 0)
        text = self._lines[line - 1] if line <= len(self._lines) else ""
        column = len(text.encode()[:offset].decode(errors="ignore")) + 1
        kind = RULES[rule]
        finding = CodeFinding(line, column, rule, level or kind.level, message, right or kind.right)
        self._found.setdefault((line, column, rule), finding)

    def step(self, steps: int = 1) -> None:
        """Count steps.

        Raises:
            OutOfSteps: There were too many.
        """
        self._steps += steps
        if self._steps > MOST_STEPS:
            raise OutOfSteps

    def fork(self, state: State) -> State:
        """A copy for one of several ways on; it counts as work."""
        self.step(len(state.names) + len(state.types) >> 5)
        return state.copy()

    def meet(self, *states: State) -> State:
        """What holds after whichever of the states was reached; it counts as work."""
        self.step(sum(len(state.names) + len(state.types) for state in states) >> 5)
        return join(*states)

    def new_id(self) -> int:
        """A number that nothing has yet."""
        self._next_id += 1
        return self._next_id

    # Names

    @property
    def frame(self) -> Frame:
        """The innermost call."""
        return self._frames[-1]

    def lookup(self, name: str, state: State) -> Value:
        """The value of a name."""
        for scope in self.frame.scopes:
            found = state.names.get((scope, name))
            if found is not None:
                return self.steady(name, found) if scope == GLOBAL else found
        return Dotted(f"builtins.{name}") if name in _BUILTINS else UNKNOWN

    def assign(self, name: str, value: Value, state: State) -> None:
        """Give a name a value."""
        scope = GLOBAL if name in self.frame.globals else self.frame.scope
        state.names[scope, name] = value

    def change(self, name: str, value: Value, state: State) -> None:
        """Change the object that a name stands for, wherever that name belongs."""
        for scope in self.frame.scopes:
            if (scope, name) in state.names:
                state.names[scope, name] = value
                return

    def steady(self, name: str, value: Value) -> Value:
        """The value of a name or attribute that functions change: only what it is made for is certain."""
        plain = isinstance(value, Const | Plain | Template | FieldValue)
        return UNKNOWN if plain and name in self._changing else value

    # Elements and records

    def new_element(self, stream: int, state: State, low: bool = False) -> Element:
        """An element that was just taken from a stream."""
        element = Element(self.new_id(), stream, low)
        self._reads += 1
        known = state.streams.get(stream)
        state.types[element.id] = known.types() if known else Types(unclear=True)
        self._guards_at[element.id] = len(self._guards)
        self._stream_of[element.id] = stream
        if not low:
            self._iterated.append(element.id)
        return element

    def new_record(self, stream: int, state: State, low: bool = False) -> Record:
        """A record that was just taken from a stream."""
        record = Record(self.new_id(), stream, low)
        state.types[record.id] = Types()
        if not low:
            self._iterated.append(record.id)
        return record

    def again(self, value: Value, state: State) -> Value:
        """The same kind of value for the next turn: elements and records in it are new ones."""
        match value:
            case Element():
                element = self.new_element(value.stream, state, value.low)
                state.types[element.id] = state.types.get(value.id, Types(unclear=True))
                return element
            case Record():
                return self.new_record(value.stream, state, value.low)
            case Container() if held(value):
                return replace(value, parts=tuple(self.again(part, state) for part in value.parts))
            case _:
                return value

    def stored(self, container: Container, state: State) -> Value:
        """What comes out of a container."""
        return container.item if container.complete else self.later(container.item, state)

    def later(self, value: Value, state: State) -> Value:
        """A value that was put into a container before: of which element it was is no longer known."""
        match value:
            case Element(_, stream, low):
                element = self.new_element(stream, state, low)
                state.types[element.id] = Types(unclear=True)
                return element
            case Record():
                return self.new_record(value.stream, state, value.low)
            case Fields():
                return Fields(self.new_element(UNKNOWN_STREAM, state).id)
            case FieldValue():
                return replace(value, proof=None)
            case Container():
                return replace(value, parts=tuple(self.later(part, state) for part in value.parts), proof=None)
            case TypeOf() | TypeTest():
                return UNKNOWN
            case _:
                return value

    def guarded(self, element: int, *exceptions: str) -> bool:
        """Whether a ``try`` that was entered with this element catches one of the exceptions."""
        inner = self._guards[self._guards_at.get(element, 0) :]
        return any(caught & {*exceptions, "Exception", "BaseException", ""} for caught in inner)

    def check_left(self, value: Element | Record, node: ast.AST, state: State) -> None:
        """Report the reading of an element or record that the stream has gone past."""
        if value.id in state.left:
            state.left.discard(value.id)
            what = "element" if isinstance(value, Element) else "record"
            self.report_kept(node, value, f"the stream has gone past this {what}")

    def report_kept(self, node: ast.AST, kept: Element | Record, how: str) -> None:
        """Report that an element or record outlives its turn."""
        if isinstance(kept, Element):
            message = f"{how}: an element is only good until the next one is taken, then its memory is used again"
            self.report(node, "kept-element", message)
        else:
            message = f"{how}: a record is only good until the next one is taken, then its memory is used again"
            self.report(node, "kept-record", message)

    # Reading streams

    def item(self, source: Value, node: ast.expr, state: State, partly: bool = False) -> Value:
        """What iterating gives first; reports what cannot be iterated, or not again.

        Args:
            source: What is iterated.
            node: Where it stands.
            state: Changed: a stream has been begun.
            partly: The rest is left for later.
        """
        match source:
            case StreamRef(stream) | RecordIterator(stream):
                self._begin(stream, node, state, partly)
                if isinstance(source, StreamRef):
                    return self.new_element(stream, state)
                return self.new_record(stream, state)
            case Record(identity, stream, low):
                if low:
                    self.report(
                        node,
                        "not-a-sequence",
                        "a record of get_next_record cannot be iterated: TypeError",
                        "elem = record.get_next_elem() until it is None, or: for record in stream.records():",
                    )
                elif identity in state.spent:
                    message = "the elements of a record can be read once: this finds none"
                    self.report(node, "second-iteration", message, "one loop over the record that does both")
                return self.new_element(stream, state, low)
            case Bound(StreamRef(), "records"):
                message = "records is a method: TypeError"
                self.report(node, "not-a-sequence", message, "for record in stream.records():")
                return self.new_record(UNKNOWN_STREAM, state)
            case Lazy(item, sources):
                if isinstance(node, ast.Name | ast.Attribute) and any(one in state.spent for one in sources):
                    self.report(
                        node, "second-iteration", "what this reads has been read to its end: this finds nothing"
                    )
                return self.again(item, state)
            case Container():
                return self.stored(source, state)
            case Element():
                self.report(node, "not-a-sequence", "an element cannot be iterated: TypeError", "elem.fields.items()")
                return UNKNOWN
            case Fields():
                return Plain("str")
            case FieldValue("communities"):
                return FieldValue("community")
            case FieldValue("as-path"):
                message = "as-path is a str: this goes through its characters, not its AS numbers"
                self.report(node, "path-not-split", message)
                return Plain("str")
            case Const(str()):
                return Plain("str")
            case _:
                return UNKNOWN

    def read_all(self, source: Value, node: ast.expr, state: State, leaves: bool = False, loop: bool = False) -> None:
        """Note that a source is read to its end.

        Args:
            source: What is read.
            node: Where it stands.
            state: Changed: the source is spent.
            leaves: The loop may be left before that.
            loop: It is a ``for`` statement.
        """
        sources = source.sources if isinstance(source, Lazy) else ()
        if isinstance(source, StreamRef | RecordIterator):
            sources = (source.stream,)
        elif isinstance(source, Record):
            sources = (source.id,)
        for one in sources:
            stream = state.streams.get(one)
            if stream is not None and not leaves:
                self._check_end(stream, loop)
        state.spent.update(sources)

    def _begin(self, identity: int, node: ast.expr, state: State, partly: bool) -> None:
        stream = state.streams.get(identity)
        if stream is None:
            return
        again = [loop for loop in self._loops if loop.repeats and loop.id not in stream.loops]
        if stream.started:
            message = "start() and iteration exclude each other: the real library aborts the process"
            self.report(node, "started-twice", message)
        elif identity in state.spent:
            message = "the stream has been read to its end: this finds nothing, without an error"
            self.report(node, "second-iteration", message)
        elif again and not partly and stream.known and stream.endless == "no":
            message = (
                "the loop around this reads the stream anew, but a stream can be read once: later turns find nothing"
            )
            self.report(node, "second-iteration", message, "make the stream inside the outer loop, or read it once")
        if not stream.reading:
            self.check_ready(stream)
        state.streams[identity] = replace(stream, reading=True)

    def check_ready(self, stream: StreamState) -> None:
        """Report settings that do not go together, or are missing, when reading begins."""
        unknown_option = ("", "") in stream.options or not stream.known
        wanted = {"singlefile": '"upd-file" or "rib-file"', "csvfile": '"csv-file"', "kafka": '"brokers"'}
        files = {option for option in stream.files() if option.endswith(("-file", "brokers"))}
        if stream.interface in wanted and not files and not unknown_option:
            name = wanted[stream.interface]
            self.report(
                stream.node,
                "missing-option",
                f"the option {name} of {stream.interface} is never set: RuntimeError when reading begins",
                f'stream.set_data_interface_option("{stream.interface}", {name.partition(" ")[0]}, ...)',
            )
        for interface, place in stream.option_calls:
            if stream.interface is not None and interface != stream.interface and not files:
                self.report(
                    place,
                    "unused-option",
                    f"the stream reads from {stream.interface!r}, so an option of {interface!r} has no effect",
                    f'BGPStream(data_interface="{interface}", ...)',
                )
        if stream.interface == "csvfile" and stream.window == "until":
            self.report(stream.node, "csv-window", "until_time without from_time selects nothing from a csvfile")
        if stream.interface == "singlefile":
            for name, place in stream.selection:
                self.report(place, "ignored-selection", f"singlefile ignores {name}: the whole file is read")

    def _check_end(self, stream: StreamState, loop: bool) -> None:
        """Report a stream that never ends and is read as if it did."""
        if stream.endless == "no" or (loop and self._handles_interrupt):
            return
        if stream.endless == "asked":
            message = "a live stream never ends, so what follows its loop never runs"
        elif stream.window == "from":
            message = "from_time without until_time is live mode: the stream waits for more instead of ending"
        else:
            message = "BGPStream() without a window starts now and never ends, whatever interface is set afterwards"
        harmless = stream.endless == "asked" and loop and (self._loops or not self._followed)
        if not harmless:
            self.report(stream.node, "endless-stream", message)


def exception_names(node: ast.expr | None) -> frozenset[str]:
    """The last names of the exceptions that a handler catches; an empty name stands for all of them."""
    if node is None:
        return frozenset({""})
    caught = node.elts if isinstance(node, ast.Tuple) else [node]
    names = (part.id if isinstance(part, ast.Name) else getattr(part, "attr", "?") for part in caught)
    return frozenset(names)
