"""What a program wants to see, as its text tells: files, times, prefixes, AS numbers, communities.

Names are followed to the constants that they are given anywhere in the program; nothing is run. Not seen: names that a
program puts together, and data other than MRT files and the index of a csv interface.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from seedtune.domains.bgp.sandboxed.pybgpstream._times import parse_time
from seedtune.domains.self_contained import is_self_contained

START = 1_709_251_200
"""2024-03-01 00:00:00 UTC: when data begins that no program dates."""
LASTS = 1800
"""Seconds of data, unless the program's window is shorter."""

_MRT = re.compile(r"[\w.-][\w./-]*\.(?:mrt|gz|bz2|dump|bgp|bgp4mp)|[\w./-]*(?:updates|bview|rib)\.[\w.-]+")
_RIB = re.compile(r"rib|bview|table|snapshot", re.IGNORECASE)
_PREFIX = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{1,4}:[0-9A-Fa-f:]*)/\d{1,3}(?!\d)")
_ASN = re.compile(r"(?<![\w.:/-])(?:AS ?)?(\d{3,10})(?![\w.:/-])")
_COMMUNITY = re.compile(r"(?<![\w.:])(\d{1,5}):(\d{1,5})(?![\w.:])")
_COLLECTOR = re.compile(r"rrc\d\d|route-views[\w.-]*")
_LIBRARY = "pybgpstream"
_WRITES = re.compile(r"""["']w["']|write_text""")
_LARGEST_ASN = 4_294_967_294
_TIME_LIKE = range(800_000_000, 2_500_000_000)
_OPTIONS = {"upd-file": "updates", "rib-file": "rib", "csv-file": "index"}


@dataclass(frozen=True)
class Wanted:
    """What trial data should hold; all in the order of the program's text."""

    updates: tuple[str, ...]
    """Names of files."""
    ribs: tuple[str, ...]
    indices: tuple[str, ...]
    """Names of csv files that list MRT files."""
    archive: bool
    """It asks the broker."""
    collectors: tuple[str, ...]
    arguments: tuple[str, ...]
    start: int
    """Seconds since the epoch."""
    lasts: int
    prefixes: tuple[str, ...]
    asns: tuple[int, ...]
    communities: tuple[str, ...]


def read_wanted(source: str) -> Wanted | None:
    """Read a program that compiles; None for a fragment, which neither imports the library nor is self-contained."""
    tree = ast.parse(source)
    if not any(_imports_library(node) for node in ast.walk(tree)) and not is_self_contained(source):
        return None
    constants = _Constants(tree)
    named = {kind: list[str]() for kind in _OPTIONS.values()}
    unnamed: list[str] = []
    for option, name in constants.options():
        if name:
            named[_OPTIONS[option]].append(name)
        else:
            unnamed.append(_OPTIONS[option])
    for text in constants.texts:
        if _MRT.fullmatch(text) and not text.startswith("/"):
            is_rib = _RIB.search(text) or (unnamed and set(unnamed) == {"rib"})
            named["rib" if is_rib else "updates"].append(text)
        elif text.endswith(".csv") and unnamed.count("index"):
            named["index"].append(text)
    arguments = tuple(_arguments(source, tree, unnamed))
    for argument in arguments:
        kind = "index" if argument.endswith(".csv") else "rib" if argument.startswith("rib") else "updates"
        if "." in argument and "/" not in argument:
            named[kind].append(argument)
    ribs, indices = dict.fromkeys(named["rib"]), dict.fromkeys(named["index"])
    times = sorted(constants.times())
    start = times[0] if times else START
    end = times[-1] if times and times[-1] > start else start + LASTS
    return Wanted(
        updates=tuple(name for name in dict.fromkeys(named["updates"]) if name not in ribs),
        ribs=tuple(ribs),
        # One that the program writes itself must not be there.
        indices=() if _WRITES.search(source) else tuple(indices),
        archive=_LIBRARY in source and "singlefile" not in source and "csvfile" not in source,
        collectors=tuple(dict.fromkeys(_COLLECTOR.findall(source))),
        arguments=arguments,
        start=start,
        lasts=min(LASTS, end - start),
        prefixes=tuple(dict.fromkeys(filter(_is_prefix, _PREFIX.findall(source)))),
        asns=tuple(dict.fromkeys(_asns(constants.texts, source, tree))),
        communities=tuple(dict.fromkeys(_communities(source))),
    )


def _imports_library(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] == _LIBRARY
    return isinstance(node, ast.Import) and any(alias.name.split(".")[0] == _LIBRARY for alias in node.names)


class _Constants:
    """The constants of a program, and the names that stand for them."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        nodes = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        self.texts = [value for value in nodes if isinstance(value, str)]
        self._values: dict[str, str | int] = {}
        for node in ast.walk(tree):
            for name, value in _bindings(node):
                if isinstance(value, ast.Constant) and isinstance(value.value, str | int):
                    self._values.setdefault(name, value.value)

    def value(self, node: ast.expr) -> str | int | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str | int):
            return node.value
        return self._values.get(node.id) if isinstance(node, ast.Name) else None

    def options(self) -> Iterator[tuple[str, str]]:
        """Option and file of each ``set_data_interface_option``; an empty name where it is not known."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call) and len(node.args) == 3 and _called(node) == "set_data_interface_option":
                option, name = self.value(node.args[1]), self.value(node.args[2])
                if isinstance(option, str) and option in _OPTIONS:
                    yield option, name if isinstance(name, str) and not name.startswith("/") else ""

    def times(self) -> Iterator[int]:
        """Of the window: what is given by keyword, and every text that is a date."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.keyword) and node.arg in ("from_time", "until_time"):
                value = self.value(node.value)
                if isinstance(value, int) and value in _TIME_LIKE:
                    yield value
        for text in self.texts:
            try:
                moment = parse_time(text)
            except ValueError:
                continue
            if moment in _TIME_LIKE:
                yield moment


def _bindings(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names that a statement, or a function's defaults, give to expressions."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for part, value in zip(target.elts, node.value.elts, strict=False):
                    if isinstance(part, ast.Name):
                        yield part.id, value
    elif isinstance(node, ast.FunctionDef):
        named, defaults = node.args.args, node.args.defaults
        for argument, value in zip(named[len(named) - len(defaults) :], defaults, strict=True):
            yield argument.arg, value
    elif isinstance(node, ast.Call):
        # A function that is called with a file's name, as main("updates.mrt") is.
        for keyword in node.keywords:
            if keyword.arg:
                yield keyword.arg, keyword.value


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


def _arguments(source: str, tree: ast.Module, kinds: list[str]) -> Iterator[str]:
    """Arguments of the command line: files of the kinds that are opened without a name known, and numbers."""
    numbers = [int(number) for number in re.findall(r"\bargv\[(\d)\]", source)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) == "add_argument" and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and not str(first.value).startswith("-"):
                numbers.append(max(numbers, default=0) + 1)
            elif isinstance(first, ast.Constant) and any(keyword.arg == "required" for keyword in node.keywords):
                if not re.fullmatch(r"--?[\w-]+", str(first.value)):
                    continue
                yield str(first.value)
                yield "198.51.100.0/24" if "prefix" in str(first.value) else "64500"
    if "argv[1:]" in source:
        numbers += [1, 2]
    wanted = kinds or ["updates"]
    for number in range(1, max(numbers, default=0) + 1):
        if re.search(rf"(?:int|float)\([\w.]*argv\[{number}\]", source):
            yield "64500"
        else:
            kind = wanted[min(number, len(wanted)) - 1]
            suffix = "" if number <= len(wanted) and wanted.index(kind) == number - 1 else f"-{number}"
            yield "index.csv" if kind == "index" else f"{kind}{suffix}.mrt"


def _asns(texts: list[str], source: str, tree: ast.Module) -> Iterator[int]:
    found = [number for text in texts for number in _ASN.findall(text.replace("_", " "))]
    found += [str(n.value) for n in ast.walk(tree) if isinstance(n, ast.Constant) and type(n.value) is int]
    for number in map(int, found):
        if 1000 <= number <= _LARGEST_ASN and number not in _TIME_LIKE:
            yield number


def _communities(source: str) -> Iterator[str]:
    for first, second in _COMMUNITY.findall(source):
        # What looks like a time of day is one.
        if max(int(first), int(second)) < 65536 and not (len(first) == len(second) == 2):
            yield f"{int(first)}:{int(second)}"


def _is_prefix(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True
