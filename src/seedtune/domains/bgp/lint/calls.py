"""What calls of the library, of built-in functions and of the standard library give."""

import ast
from dataclasses import replace

from seedtune.domains.bgp.lint.expressions import identities
from seedtune.domains.bgp.lint.methods import UNORDERED, Methods, contains_set, is_utc
from seedtune.domains.bgp.lint.selection import build_stream
from seedtune.domains.bgp.lint.state import State, Types
from seedtune.domains.bgp.lint.values import (
    ALL_TYPES,
    ROUTES,
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
    Instance,
    Lazy,
    Plain,
    Record,
    RecordIterator,
    StreamRef,
    TypeTest,
    Value,
    constant_text,
    held,
    is_text,
    merge_all,
    shown,
    walk,
)
from seedtune.domains.bgp.lint.walker import UNKNOWN_STREAM

_COLLECTING = {
    "builtins.list": "list",
    "builtins.tuple": "tuple",
    "builtins.set": "set",
    "builtins.frozenset": "set",
    "builtins.sorted": "list",
    "collections.deque": "deque",
    "collections.Counter": "dict",
    "collections.OrderedDict": "dict",
    "pandas.DataFrame": "list",
    "numpy.array": "list",
    "itertools.tee": "list",
    "itertools.cycle": "list",
}
"""Functions that take all of an iterable and keep it -> kind of container."""

_CONTAINERS = {
    "collections.defaultdict": "dict",
    **{
        f"{module}.{name}": "queue"
        for module in ("queue", "multiprocessing", "asyncio")
        for name in ("Queue", "SimpleQueue", "LifoQueue", "PriorityQueue")
    },
}
"""Functions that make an empty container."""

_WRAPPING = frozenset({"tqdm", "track", "reversed"})
"""Last names of functions that give back what they get, item by item."""

_MOMENTS = frozenset(
    {"datetime.datetime", "datetime.date", "datetime.datetime.utcnow", "datetime.datetime.today"}
    | {"datetime.datetime.fromtimestamp", "datetime.datetime.now", "datetime.datetime.utcfromtimestamp"}
    | {"datetime.datetime.strptime", "datetime.datetime.fromisoformat", "datetime.datetime.combine"}
    | {"datetime.date.today", "pandas.Timestamp", "pandas.to_datetime", "dateutil.parser.parse"}
)
_ZONE_AT = {"datetime.datetime": 7, "datetime.datetime.now": 0, "datetime.datetime.fromtimestamp": 1}
_ZONES = frozenset({"datetime.timezone", "zoneinfo.ZoneInfo", "pytz.timezone", "dateutil.tz.gettz"})
_FLOATS = frozenset({"time.time", "time.mktime", "time.monotonic", "builtins.float", "time.perf_counter"})
_EXITS = frozenset({"sys.exit", "builtins.exit", "builtins.quit", "os._exit", "os.abort"})
_SEARCHES = frozenset({"re.search", "re.match", "re.fullmatch", "re.findall", "re.finditer"})
_WORKERS = frozenset({"threading.Thread", "multiprocessing.Process", "asyncio.create_task", "heapq.heappush"})
_TEXTS = frozenset({"builtins.str", "builtins.repr", "builtins.format", "builtins.ascii"})


class Calls(Methods):
    """The walk over calls."""

    def call(self, node: ast.Call, state: State) -> Value:
        """What a call gives; its findings are taken down."""
        counted = _counted(node)
        if counted is not None:
            source = self.value(counted, state)
            self.item(source, counted, state)
            self.read_all(source, counted, state)
            return Plain("int")
        function = self.value(node.func, state)
        return self.invoke(function, self._arguments(node, state), node, state)

    def _arguments(self, node: ast.Call, state: State) -> Arguments:
        positional: list[tuple[Value, ast.expr]] = []
        keywords: list[tuple[str, Value, ast.expr]] = []
        unseen = False
        for argument in node.args:
            if not isinstance(argument, ast.Starred):
                positional.append((self.value(argument, state), argument))
                continue
            source = self.value(argument.value, state)
            if isinstance(source, Container) and source.complete:
                positional += [(part, argument) for part in source.parts]
            else:
                self.check_order(source, argument)
                self.spread(source, argument.value, state)
                unseen = True
        for keyword in node.keywords:
            value = self.value(keyword.value, state)
            if keyword.arg is not None:
                keywords.append((keyword.arg, value, keyword.value))
            elif isinstance(value, Container) and value.complete and value.kind == "dict":
                places = value.places or (keyword.value,) * len(value.parts)
                for key, part, place in zip(value.keys, value.parts, places, strict=True):
                    keywords.append((shown(key) or "", part, place))
            else:
                unseen = True
        return Arguments(tuple(positional), tuple(keywords), unseen)

    def invoke(self, function: Value, arguments: Arguments, node: ast.expr, state: State) -> Value:
        """What a call gives."""
        match function:
            case Dotted(name):
                return self._library(name, arguments, node, state)
            case Function():
                return self.follow(function, arguments, state)
            case ClassRef():
                return self.make_instance(function, arguments, state)
            case Bound(receiver, name) if isinstance(node, ast.Call):
                return self.method(receiver, name, arguments, node, state)
            case _:
                return self.unknown_call(arguments, state)

    def make_instance(self, cls: ClassRef, arguments: Arguments, state: State) -> Instance:
        """A new object of a class of the program."""
        instance = Instance(self.new_id(), cls)
        start = self.own_attribute(instance, "__init__", state)
        if isinstance(start, Function):
            self.follow(start, arguments, state)
            return instance
        targets = [item.target for item in cls.node.body if isinstance(item, ast.AnnAssign)]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        for name, (value, _) in zip(names, arguments.positional, strict=False):
            state.names[instance.id, name] = value
        for name, value, _ in arguments.keywords:
            state.names[instance.id, name] = value
        return instance

    # The library, and everything by its full name

    def _library(self, name: str, arguments: Arguments, node: ast.expr, state: State) -> Value:
        if name == "pybgpstream.BGPStream" and isinstance(node, ast.Call):
            return self._new_stream(node, arguments, state)
        if name in ("pybgpstream.BGPRecord", "pybgpstream.BGPElem"):
            return self._version_one(name, node, state)
        if name.startswith("builtins."):
            result = self._builtin(name.removeprefix("builtins."), arguments, node, state)
            if result is not None:
                return result
        if name in _COLLECTING:
            return self._collect(name, arguments, node, state)
        if name.startswith("itertools."):
            return self._itertools(name.removeprefix("itertools."), arguments, node, state)
        return self._standard(name, arguments, node, state)

    def _standard(self, name: str, arguments: Arguments, node: ast.expr, state: State) -> Value:
        first = arguments.get(0)
        if name in _MOMENTS:
            zone = arguments.get(_ZONE_AT.get(name), "tzinfo") or arguments.get(None, "tz")
            return Plain("datetime", zoned=not is_utc(zone))
        if name in _ZONES:
            known = first is not None and first != UNKNOWN and first not in (Const("UTC"), Const("Etc/UTC"))
            return Dotted("a zone") if known or name == "datetime.timezone" else UNKNOWN
        if name in _FLOATS:
            return Plain("float")
        if name in _EXITS:
            state.dead = True
        elif name in ("copy.copy", "copy.deepcopy") and first is not None:
            return first
        elif name in _CONTAINERS:
            return Container(_CONTAINERS[name])
        elif name in ("json.dumps", "json.dump") and first is not None:
            self._check_json(first, arguments, node, state)
            return Plain("str")
        elif name in _SEARCHES:
            searched = arguments.get(1)
            if isinstance(searched, FieldValue) and searched.kind == "as-path":
                self.check_number_in_path(first or UNKNOWN, node)
        elif name.rpartition(".")[2] in _WRAPPING and first is not None:
            return first
        elif name in _WORKERS:
            kept = next((part for part in map(held, arguments.values()) if part), None)
            if kept:
                self.report_kept(node, kept, "it is read later, or elsewhere")
        elif name == "calendar.timegm":
            return Plain("int")
        return self.unknown_call(arguments, state)

    def _new_stream(self, node: ast.Call, arguments: Arguments, state: State) -> Value:
        identity = self.new_id()
        stream = build_stream(self.report, node, arguments, interface_is_final=not self._calls_set_interface)
        loops = tuple(loop.id for loop in self._loops)
        state.streams[identity] = replace(stream, loops=loops, frame=self.frame.scope)
        return StreamRef(identity)

    def _version_one(self, name: str, node: ast.expr, state: State) -> Value:
        what = name.rpartition(".")[2]
        self.report(node, "version-1", f"{what}() without the library's own object is of version 1: TypeError")
        stream = max(state.streams, default=UNKNOWN_STREAM)
        return self.new_record(stream, state, low=True) if what == "BGPRecord" else UNKNOWN

    def _check_json(self, value: Value, arguments: Arguments, node: ast.expr, state: State) -> None:
        converted = any(name in ("default", "cls") for name, _, _ in arguments.keywords)
        if arguments.open or converted or "communities" in self._own_keys | self._changed_keys:
            return
        routes = any(
            state.types.get(part.element, Types()).possible & ROUTES for part in walk(value) if isinstance(part, Fields)
        )
        if contains_set(value) or routes:
            message = "communities is a set, which JSON has not: TypeError"
            self.report(node, "set-not-json", message)

    # Built-in functions

    def _builtin(self, name: str, arguments: Arguments, node: ast.expr, state: State) -> Value | None:
        first = arguments.get(0)
        place = arguments.positional[0][1] if arguments.positional else node
        if first is None:
            return Container("dict", complete=not arguments.open) if name == "dict" else None
        match name:
            case "len":
                return self._length(first, place)
            case "next":
                return self._next(first, arguments, place, state)
            case "iter" | "enumerate" | "zip" | "map" | "filter":
                return self._lazily(name, arguments, node, state)
            case "any" | "all":
                item = self.item(first, place, state)
                test = isinstance(item, TypeTest)
                return TypeTest(item.element, ALL_TYPES, ALL_TYPES, "unclear") if test else Plain("bool")
            case "sum" | "max" | "min":
                return self._reduce(name, arguments, state)
            case "int":
                return self._whole(first, node)
            case "print":
                for value, argument in arguments.positional:
                    self.check_order(value, argument)
                return Const(None)
            case "bool":
                has_proof = isinstance(first, TypeTest) or getattr(first, "proof", None) is not None
                return first if has_proof else Plain("bool")
            case "getattr" | "hasattr":
                return self._dynamic(first, arguments, node, state)
            case "dict" if isinstance(first, Fields | Container):
                return first
            case "range":
                return Lazy(Plain("int"))
            case "open" | "isinstance" | "id" | "type" | "abs" | "round":
                return UNKNOWN
            case _:
                return self._text(name, first, node) if f"builtins.{name}" in _TEXTS else None

    def _text(self, name: str, value: Value, node: ast.expr) -> Value:
        self.check_order(value, node)
        if isinstance(value, Const) and name == "str":
            return Const(str(value.value))
        if isinstance(value, Plain) and value.kind == "datetime":
            return Plain("str", zoned=value.zoned)
        return value if is_text(value) and name == "str" else Plain("str")

    def _length(self, value: Value, node: ast.expr) -> Value:
        self.refuse_sequence(value, "len", node)
        if isinstance(value, FieldValue) and value.kind == "as-path":
            self.report(node, "path-not-split", "as-path is a str: its len counts characters, not AS numbers")
        return FieldValue("length", value.proof) if isinstance(value, FieldValue | Container) else Plain("int")

    def _next(self, source: Value, arguments: Arguments, place: ast.expr, state: State) -> Value:
        if isinstance(source, StreamRef | Record):
            self.refuse_sequence(source, "next", place)
            return UNKNOWN
        if not isinstance(source, RecordIterator | Lazy):
            return UNKNOWN
        item = self.item(source, place, state, partly=True)
        if isinstance(item, Record | Element) and _nobody_holds_the_stream(place):
            state.left.add(item.id)
        if isinstance(source, Lazy) and source.item == FieldValue("community"):
            self.report(place, "communities-order", "communities is a set: next takes any of its members")
        return item

    def _lazily(self, name: str, arguments: Arguments, node: ast.expr, state: State) -> Value:
        sources = arguments.positional if name not in ("map", "filter") else arguments.positional[1:]
        items = [self.item(value, place, state) for value, place in sources]
        read = tuple(one for value, _ in sources for one in identities(value))
        if not items:
            return UNKNOWN
        if name == "enumerate":
            return Lazy(Container("tuple", (Plain("int"), items[0]), complete=True), read)
        if name == "zip":
            return Lazy(Container("tuple", tuple(items), complete=not arguments.open))
        if name == "iter":
            return Lazy(items[0], read)
        function = arguments.positional[0][0]
        passed = Arguments(tuple((item, place) for item, (_, place) in zip(items, sources, strict=True)))
        result = self.invoke(function, passed, node, state)
        if name == "map":
            return Lazy(result, read)
        if isinstance(result, TypeTest):
            self.narrow_to(result, result.yes, node, state)
        return Lazy(items[0], read)

    def _reduce(self, name: str, arguments: Arguments, state: State) -> Value:
        if name != "sum" and arguments.get(1) is not None:
            return merge_all(tuple(value for value, _ in arguments.positional))
        source, place = arguments.positional[0]
        item = self.item(source, place, state)
        self.read_all(source, place, state)
        self._apply_key(arguments, item, place, state)
        kept = held(item)
        if kept and name != "sum":
            self.report_kept(place, kept, f"{name} compares with those it has seen and returns one of them")
        return item if name != "sum" else UNKNOWN

    def _apply_key(self, arguments: Arguments, item: Value, node: ast.expr, state: State) -> None:
        key = next((value for name, value, _ in arguments.keywords if name == "key"), None)
        if isinstance(key, Function):
            self.follow(key, Arguments(((item, node),)), state)

    def _whole(self, value: Value, node: ast.expr) -> Value:
        if isinstance(value, FieldValue) and value.kind == "hop" and not self._knows_sets:
            message = "a path may end in an AS_SET such as {64500,64501}, of which int() makes a ValueError"
            self.report(node, "as-set", message)
        return Plain("int")

    def _dynamic(self, value: Value, arguments: Arguments, node: ast.expr, state: State) -> Value:
        name = constant_text(arguments.get(1))
        if name is None or not isinstance(value, Element | Record | StreamRef | Instance):
            return UNKNOWN
        return self.attribute(value, name, node, state)

    def _collect(self, name: str, arguments: Arguments, node: ast.expr, state: State) -> Value:
        kind = _COLLECTING[name]
        if not arguments.positional:
            return Container(kind)
        source, place = arguments.positional[0]
        if isinstance(source, FieldValue) and source.kind == "communities":
            if kind == "set":
                return source
            ordered = name == "builtins.sorted"
            return Container(kind if ordered or kind == "dict" else UNORDERED, (FieldValue("community"),))
        item = self.item(source, place, state)
        self.read_all(source, place, state)
        self._apply_key(arguments, item, node, state)
        kept = held(item)
        if kept and not isinstance(source, Container):
            self.report_kept(node, kept, f"{name.rpartition('.')[2]} collects them")
        if isinstance(source, Container):
            same_order = kind in ("list", "tuple", "deque") and name != "builtins.sorted"
            return replace(source, kind=kind, complete=source.complete and same_order) if kind != "dict" else UNKNOWN
        if kind == "dict":
            return Container("dict", (Plain("int"),), (item,))
        return Container(kind, (item,))

    def _itertools(self, name: str, arguments: Arguments, node: ast.expr, state: State) -> Value:
        function_first = name in ("takewhile", "dropwhile", "filterfalse", "starmap")
        sources = arguments.positional[1:] if function_first else arguments.positional
        if not sources:
            return UNKNOWN
        items = [self.item(value, place, state) for value, place in sources[: None if name == "chain" else 1]]
        read = tuple(one for value, _ in sources for one in identities(value))
        item = merge_all(tuple(items))
        if function_first:
            self.invoke(arguments.positional[0][0], Arguments(((item, node),)), node, state)
        match name:
            case "chain":
                return Lazy(item, read)
            case "chain.from_iterable":
                return Lazy(self.item(item, node, state), read)
            case "islice" | "takewhile":
                return Lazy(item)
            case "dropwhile" | "filterfalse":
                return Lazy(item, read)
            case "groupby":
                key = UNKNOWN if len(arguments.values()) > 1 else item
                return Lazy(Container("tuple", (key, Lazy(item)), complete=True), read)
            case "pairwise":
                kept = held(item)
                if kept:
                    self.report_kept(node, kept, "pairwise keeps the one before")
                return Lazy(Container("tuple", (item, item), complete=True), read)
            case _:
                return UNKNOWN


def _counted(node: ast.Call) -> ast.expr | None:
    """``x`` of ``len(list(x))``: the members are counted only, which does no harm."""
    if not (isinstance(node.func, ast.Name) and node.func.id == "len" and len(node.args) == 1):
        return None
    inner = node.args[0]
    if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id in ("list", "tuple"):
        return inner.args[0] if len(inner.args) == 1 else None
    return None


def _nobody_holds_the_stream(node: ast.expr) -> bool:
    """Whether this is ``make_stream(...).records()``: the stream is gone when the expression has been computed."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call)
