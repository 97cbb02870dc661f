"""Small questions about statements that need no knowledge of values."""

import ast
from collections.abc import Iterator, Sequence

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_EXITS = frozenset({"exit", "quit", "_exit", "abort"})


def leaves(body: Sequence[ast.stmt]) -> bool:
    """Whether a loop with this body can be left before its iterable ends, or hands on what it reads."""
    for node, in_loop in _own(body):
        if isinstance(node, ast.Break) and not in_loop:
            return True
        if isinstance(node, ast.Return | ast.Raise | ast.Yield | ast.YieldFrom):
            return True
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in _EXITS:
                return True
    return False


def _own(body: Sequence[ast.AST]) -> Iterator[tuple[ast.AST, bool]]:
    """The nodes of a body without those of functions inside, and whether an inner loop is around each."""
    pending = [(node, False) for node in body]
    while pending:
        node, in_loop = pending.pop()
        yield node, in_loop
        if not isinstance(node, _SCOPES):
            inner = in_loop or isinstance(node, _LOOPS)
            pending += [(child, inner) for child in ast.iter_child_nodes(node)]


def assigned_names(nodes: Sequence[ast.AST]) -> set[str]:
    """Names that the nodes give values to."""
    found: set[str] = set()
    for node, _ in _own(nodes):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def does_nothing(body: Sequence[ast.stmt]) -> bool:
    """Whether a handler with this body lets the program go on without a word."""
    return all(
        isinstance(node, ast.Pass | ast.Continue)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in body
    )


def changed_keys(node: ast.AST) -> set[str]:
    """Keys that a node takes out of a dict, or gives another value by ``update``, ``dict`` or ``|=``."""
    parts: list[ast.AST | None] = []
    match node:
        case ast.Subscript(ctx=ast.Del()):
            parts = [node.slice]
        case ast.AugAssign(op=ast.BitOr(), value=ast.Dict(keys=keys)):
            parts = [*keys]
        case ast.Call(func=ast.Attribute(attr="pop"), args=[key, *_]):
            parts = [key]
        case ast.Call(func=ast.Attribute(attr="update") | ast.Name("dict")):
            dicts = [argument for argument in node.args if isinstance(argument, ast.Dict)]
            named = {keyword.arg for keyword in node.keywords if keyword.arg}
            parts = [key for argument in dicts for key in argument.keys]
            return named | _texts(parts)
        case _:
            pass
    return _texts(parts)


def _texts(nodes: Sequence[ast.AST | None]) -> set[str]:
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def is_generator(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function yields."""
    return any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner, _ in _own(node.body))


def prints_of(body: Sequence[ast.stmt], name: str) -> Iterator[ast.Call]:
    """Calls of ``print`` that every turn of a loop makes with the loop's own name."""
    for node in body:
        call = node.value if isinstance(node, ast.Expr) else None
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print"):
            continue
        if any(isinstance(inner, ast.Name) and inner.id == name for inner in ast.walk(call)):
            yield call
