"""Programs in an answer, wherever it puts them. Pure functions.

A program is a whole block of Python (CommonMark 0.31, section 4.5), also in a quotation; where there is none, a block
without a language, or the whole answer, that is Python and does something.
"""

import ast
import re
import textwrap
import warnings
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

_FENCE = re.compile(r"((?:[ \t]*>)*)[ \t]*(`{3,}|~{3,})[ \t]*([^`\n]*)")
_LINE_END = re.compile(r"\r\n|\n|\r")
"""Of Markdown, and of Python; str.splitlines knows more, which may stand in a text of a program."""
_BYTE_ORDER_MARK = "\ufeff"
_PYTHON = ("python", "python3", "py", "py3", "ipython", "ipython3")


class Block(NamedTuple):
    """A fenced block of code."""

    language: str
    """The first word behind the fence, in lower case; empty for none."""
    code: str
    """Without the indentation that all of its lines share."""
    is_whole: bool
    """It is closed."""

    @property
    def is_python(self) -> bool:
        """It says so."""
        return self.language in _PYTHON


def blocks_of(text: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown text, in order; the last one, and one whose quotation ends, may lack its end."""
    lines = deque(_LINE_END.split(text.removeprefix(_BYTE_ORDER_MARK)))
    while lines:
        opening = _FENCE.fullmatch(lines.popleft())
        if opening is None:
            continue
        quoted = re.compile(r"[ \t]*> ?" * opening[1].count(">"))
        fence, info = opening[2], opening[3].strip(" \t{}.").casefold().split(maxsplit=1)
        code: list[str] = []
        is_whole = False
        while lines and not is_whole and (quote := quoted.match(lines[0])):
            inner = lines.popleft()[quote.end() :]
            mark = inner.strip(" \t")
            is_whole = len(mark) >= len(fence) and set(mark) == {fence[0]}
            code.append(inner)
        source = textwrap.dedent("\n".join(code[:-1] if is_whole else code)).rstrip("\n") + "\n"
        yield Block(info[0] if info else "", source, is_whole)


def python_blocks(text: str) -> list[str]:
    """The whole blocks that say they are Python."""
    return [block.code for block in blocks_of(text) if block.is_python and block.is_whole]


def programs_of(text: str) -> list[str]:
    """Every program of an answer; see the module."""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    blocks = list(blocks_of(text))
    found = python_blocks(text)
    found = found or [b.code for b in blocks if not b.language and b.is_whole and does_something(b.code)]
    return found or ([text] if not blocks and does_something(text) else [])


def does_something(code: str) -> bool:
    """Whether a text is Python that imports, defines or calls something; prose of a single word is Python too."""
    tree = _parsed(code)
    wanted = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Call)
    return tree is not None and any(isinstance(node, wanted) for node in ast.walk(tree))


def imports_of(code: str) -> set[str]:
    """The modules that a text imports, each by its first name; empty for one that is no Python."""
    tree = _parsed(code)
    nodes = list(ast.walk(tree)) if tree else []
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def compile_fault(code: str) -> str:
    """Why Python cannot compile a program; empty where it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a dubious escape compiles
            compile(code, "main.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        return f"{type(problem).__name__}: {problem}"
    return ""


def _parsed(code: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
