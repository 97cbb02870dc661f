"""Run a program that a model wrote on a chosen file, in the sandbox.

The domain's own code does it (``programs.py``, see :mod:`seedtune.domains.running`): on data that it makes for the
program, or on a file that is there: of the domain, of the run, or of the folder that the studio was started with.
"""

import ast
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seedtune.config import load_config
from seedtune.domains import Domain, load_domain
from seedtune.domains.own_code import own_function
from seedtune.domains.program_check import ProgramCheck
from seedtune.domains.running import PROGRAMS, Data, Runner, within
from seedtune.errors import DomainError, RunError
from seedtune.sandbox import Limits
from seedtune.web.folders import RunFolder, RunsFolder

MADE = "made"
"""Stands for data that the domain makes for the program."""
_CPU_S = 15.0
_OUTPUT_KB = 64
_SUFFIXES = frozenset({".mrt", ".gz", ".bz2"})
_NAME = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)*\.(?:mrt|gz|bz2|xz|dump|json|jsonl|csv|txt)")


class Workbench:
    """What programs of one run can be run on."""

    def __init__(self, run: RunFolder, runs: RunsFolder, data: Path | None) -> None:
        """Look at the domain.

        Args:
            run: The run.
            runs: Its folder.
            data: A folder of files that whoever started the studio offers besides.

        Raises:
            RunError: the domain runs no programs, or it lies in the runs folder.
            DomainError: it cannot be read.
        """
        domain = load_domain(load_config(run.file("config.yaml")).domain)
        if not (domain.folder / PROGRAMS).is_file():
            raise RunError(f"the domain {domain.name} runs no programs (it has no {PROGRAMS})")
        if domain.folder.resolve().is_relative_to(runs.path):
            # It may have come with a run that somebody else made: its code is not run for a click.
            raise RunError("the domain lies in the runs folder, so its code is not run")
        self._domain = domain
        self._roots = {"domain": domain.folder.resolve(), "run": run.path}
        if data is not None:
            self._roots["data"] = data.resolve()

    def files(self) -> dict[str, Path]:
        """The files that can be chosen, by the name that a page gives; none that a link leads to elsewhere."""
        return dict(sorted(self._found()))

    def _found(self) -> Iterator[tuple[str, Path]]:
        for root, folder in self._roots.items():
            for path in folder.rglob("*"):
                if path.suffix not in _SUFFIXES:
                    continue
                whole = path.resolve()
                if whole.is_file() and whole.is_relative_to(folder):
                    yield f"{root}/{path.relative_to(folder)}", whole

    @property
    def makes_data(self) -> bool:
        """Whether the domain makes data for a program."""
        return _trials(self._domain) is not None

    def run(self, source: str, file: str) -> dict[str, Any]:
        """What came of a program, in plain values; its output is cut at 64 KiB.

        Args:
            source: The program.
            file: One of :meth:`files`, or :data:`MADE`.

        Raises:
            RunError: there is no such file, or no data can be made for this program.
            SandboxError: this machine cannot shut a program in.
        """
        limits = within(_CPU_S, Limits(output_kb=_OUTPUT_KB))
        with tempfile.TemporaryDirectory(prefix="seedtune-studio-") as folder:
            data = self._made(source, Path(folder)) if file == MADE else self._given(source, file)
            result = Runner(self._domain.folder, workers=1).run(source, data, limits)
        return {
            "ok": result.ok,
            "summary": result.summary(),
            "stdout": result.stdout,
            "stderr": result.stderr,
            "truncated": result.truncated,
            "names": sorted(data.files),
            "findings": self._findings(source),
            "command": "" if file == MADE else self._command(data),
        }

    def _command(self, data: Data) -> str:
        """The command line that runs a saved program on the same data; empty where the domain has none."""
        words = own_function(self._domain.folder, PROGRAMS, "command_line", is_optional=True)
        return str(words(data)) if words else ""

    def _made(self, source: str, folder: Path) -> Data:
        make = _trials(self._domain)
        made: tuple[Data, ...] = make(source, folder) if make else ()
        if not made:
            raise RunError("no data can be made for this program; choose a file")
        return made[0]

    def _given(self, source: str, file: str) -> Data:
        path = self.files().get(file)
        if path is None:
            raise RunError(f"{file}: no file that the studio offers")
        names = file_names(source) or [path.name]
        # One name may be a folder of another: only one of them can be there.
        names = [name for name in names if not any(other.startswith(f"{name}/") for other in names)]
        return Data(dict.fromkeys(names, path), arguments=(names[0],))

    def _findings(self, source: str) -> list[str]:
        try:
            return [f"{fault.level}: {fault}" for fault in ProgramCheck(self._domain.folder).faults(source)]
        except DomainError as problem:
            return [f"error: the program cannot be checked: {problem}"]


def file_names(source: str) -> list[str]:
    """The texts in a program that look like names of data files in its own folder; each once, in order."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    found.sort(key=lambda node: (node.lineno, node.col_offset))
    return list(dict.fromkeys(text for node in found if _NAME.fullmatch(text := str(node.value))))


def _trials(domain: Domain) -> Any:
    try:
        return own_function(domain.folder, PROGRAMS, "trials")
    except DomainError:
        return None
