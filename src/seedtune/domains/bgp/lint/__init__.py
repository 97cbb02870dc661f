"""The lint of PyBGPStream programs: faults that running them would show late, or never.

Nothing is executed. The program is walked from its first line to its last with what is known of each value
(a stream, an element of it, the text of an AS path): calls of the program's own functions are followed, conditions
narrow the types that an element can have, and of a loop one turn is looked at, two where a name takes an element into
the next one. Filter strings and dates are read by the code that reads them in the sandbox.

Not covered: what files hold; values that come from outside (arguments, files, environment); functions called through
tables or threads, whose parameters are guessed by name and use; modules of the program's own. What cannot be known is
not reported, so a clean result is no proof. A walk ends after a fixed number of steps; what it found till then is
reported.
"""

import ast
import contextlib
import warnings

from seedtune.domains.bgp.lint.findings import RULES, CodeFinding, Level, Rule
from seedtune.domains.bgp.lint.flow import Flow
from seedtune.domains.bgp.lint.walker import OutOfSteps

_PYTHON_2 = {
    "Missing parentheses in call to 'print'": "print(...): Python 2 is not run",
    "Missing parentheses in call to 'exec'": "exec(...): Python 2 is not run",
    "multiple exception types must be parenthesized": "except KeyError as error: Python 2 is not run",
}
"""How Python complains of what only version 2 understood, and the right form."""

__all__ = ["RULES", "CodeFinding", "Level", "Rule", "lint_program"]


def lint_program(source: str) -> list[CodeFinding]:
    """Find the faults of a PyBGPStream program, without running it.

    Args:
        source: The text of the program. One that does not import ``pybgpstream`` has no findings.

    Returns:
        The findings by line; a program that does not parse has a single one, of the rule ``syntax``.
    """
    try:
        with warnings.catch_warnings():
            # Of what the program writes, such as "\d" outside a raw string.
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return [_unparsable(error)]
    if not any(_imports_library(node) for node in ast.walk(tree)):
        return []
    walk = Flow(source, tree)
    with contextlib.suppress(OutOfSteps, RecursionError):
        walk.run(tree)
    return walk.findings()


def _imports_library(node: ast.AST) -> bool:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    return any(name.partition(".")[0] in ("pybgpstream", "_pybgpstream") for name in names)


def _unparsable(error: Exception) -> CodeFinding:
    line, column = 1, 1
    reason = "it nests too deep" if isinstance(error, RecursionError | MemoryError) else str(error)
    if isinstance(error, SyntaxError):
        line, column, reason = error.lineno or 1, error.offset or 1, error.msg
    right = next((form for words, form in _PYTHON_2.items() if reason.startswith(words)), RULES["syntax"].right)
    return CodeFinding(line, max(column, 1), "syntax", "error", f"the program cannot be parsed: {reason}", right)
