"""The command line: arguments in, one call down, exit code out.

Nothing heavy is imported until a command runs; ``seedtune --help`` loads no torch.

Exit codes: 0 done, 1 failed, 2 wrong usage or config, 3 stopped by a limit, 130 interrupted; with 3, and with 130 of a
command that can go on, all work is saved.
"""

import os
import sys

from cyclopts import CycloptsError, UnknownOptionError, UnusedCliTokensError

from seedtune.cli import domains, machine, results, review, stages  # the commands
from seedtune.cli.app import app
from seedtune.errors import LimitReached, SeedtuneError

__all__ = ["app", "domains", "machine", "main", "results", "review", "stages"]

_SAVING = {("run",), ("generate",), ("train",), ("evaluate",), ("bgp", "fetch")}
"""Commands that go on where they were interrupted."""


def main() -> None:
    """Entry point of the command ``seedtune``."""
    arguments = sys.argv[1:]
    # What stands behind "--" belongs to another program.
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in own or "SEEDTUNE_DEBUG" in os.environ
    sys.exit(_call([argument for argument in own if argument != "--debug"] + arguments[len(own) :], debug))


def _where_help_is(problem: CycloptsError) -> str:
    """The help of the command that was called, as far as it is one."""
    command = tuple(problem.command_chain or ())
    advice = f"See '{' '.join(('seedtune', *command))} --help'"
    if command == ("bgp", "run") and isinstance(problem, UnknownOptionError | UnusedCliTokensError):
        advice += "; the program's own options stand behind '--'"
    return advice


def _call(arguments: list[str], debug: bool) -> int:
    """Run a command and turn errors into messages and exit codes."""
    from seedtune import console

    console.set_up_logging(verbose=debug)
    try:
        result: object = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as problem:
        console.complain(f"{problem}\n{_where_help_is(problem)}")
        return 2
    except LimitReached as problem:
        console.complain(f"stopped by a limit: {problem}")
        return problem.exit_code
    except SeedtuneError as problem:
        if debug:
            raise
        console.complain(str(problem))
        return problem.exit_code
    except KeyboardInterrupt:
        saved = ": everything so far is saved; run the same command again to go on"
        console.complain("interrupted" + (saved if app.parse_commands(arguments)[0] in _SAVING else ""))
        return 130
    return result if isinstance(result, int) else 0
