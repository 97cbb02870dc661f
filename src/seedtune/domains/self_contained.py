"""Is a piece of Python a program that can be run as it stands, or a fragment of one? Pure functions.

A fragment lacks what stands around it (``for elem in stream:``), or only defines what others are to call.
"""

import ast
import builtins
import symtable
import warnings
from collections.abc import Iterator

from seedtune.domains.programs import compile_fault

_OF_MODULES = {"__name__", "__file__", "__doc__", "__spec__", "__loader__", "__package__", "__builtins__"}
_BUILTINS = frozenset(dir(builtins)) | _OF_MODULES
_TYPES = frozenset(name for name in _BUILTINS if isinstance(getattr(builtins, name, None), type))
_MAKERS = frozenset({"collections", "datetime", "functools", "ipaddress", "itertools", "pathlib", "re", "typing"})
"""Modules of which a call in an assignment makes a value and does nothing else, as ``re.compile`` does."""
_INNER = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda


def is_self_contained(code: str) -> bool:
    """Whether code that compiles uses no name that it lacks, and does something when it is run."""
    if compile_fault(code):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a dubious escape compiles
        tree = ast.parse(code)
        return _acts(tree) and not undefined_names(code)


def undefined_names(code: str) -> set[str]:
    """Names in code that compiles which are used somewhere and defined nowhere, as a linter finds them."""
    whole = symtable.symtable(code, "main.py", "exec")
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(ast.parse(code))):
        return set()  # it may be any name that is imported
    defined: set[str] = set(_BUILTINS)
    used: set[str] = set()
    for table in _tables(whole):
        for symbol in table.get_symbols():
            if table is not whole and not symbol.is_global():
                continue
            if symbol.is_assigned() or symbol.is_imported():
                defined.add(symbol.get_name())
            if symbol.is_referenced():
                used.add(symbol.get_name())
    return used - defined


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _acts(tree: ast.Module) -> bool:
    """Whether it does more than import, define and give values to names: without a call nothing is ever printed."""
    made_by = set(_TYPES)
    nodes = list(_outside_definitions(tree))
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module in _MAKERS:
            made_by |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            made_by |= {alias.asname or alias.name for alias in node.names if alias.name in _MAKERS}
    values = {id(call) for node in nodes for call in _calls_for_values(node, made_by)}
    return any(isinstance(node, ast.Call | ast.Raise | ast.Assert) and id(node) not in values for node in nodes)


def _calls_for_values(node: ast.AST, made_by: set[str]) -> Iterator[ast.Call]:
    """Calls in the assignment that ``node`` is, of what only makes a value."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return
    for inner in ast.walk(node.value):
        if isinstance(inner, ast.Call):
            called = inner.func.value if isinstance(inner.func, ast.Attribute) else inner.func
            if isinstance(called, ast.Name) and called.id in made_by:
                yield inner


def _outside_definitions(node: ast.AST) -> Iterator[ast.AST]:
    """What is run when the code is: all but the insides of functions and classes."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _INNER):
            yield child
            yield from _outside_definitions(child)
