"""Programs among the answers are run before they are kept, in the packs whose ``domain.yaml`` says ``programs: true``.

A program is checked by the domain's lint, then run in the sandbox on two sets of trial data of the domain's making, and
on the first one once more. It stays if it runs within its limits, prints something, the same on the same data and
something else on other data; and if what it prints is the value that was asked for, where the domain can tell. Several
programs of one answer must all do so. What is a fragment to the domain (no data to try it on) is checked by the lint
alone, and an answer with nothing but fragments is counted as such.

A verdict follows from the program, unless that draws at random or shows the machine's clock: nothing else in it depends
on the machine but the time limit, which is generous, counts CPU time, and is given twice. Not covered: whether what is
printed is right where the domain cannot tell.
"""

import tempfile
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from seedtune.config import ProgramsConfig
from seedtune.domains import Domain, Pack
from seedtune.domains.own_code import own_function
from seedtune.domains.program_check import ProgramCheck, steady
from seedtune.domains.programs import programs_of
from seedtune.domains.running import PROGRAMS, Data, Runner, ending, within
from seedtune.errors import SandboxError
from seedtune.generate.filters.form import Rejection
from seedtune.records import Candidate, content_id, file_sha256
from seedtune.sandbox import ExecutionResult

_KEPT = 2000
"""Characters of a program's output that are kept with the task."""
_SHOWN = 80

WrongValue = Callable[[str, str, tuple[Data, ...], list[str]], str]


class Trial(NamedTuple):
    """What came of the programs of one answer."""

    fault: Rejection | None = None
    printed: str = ""
    """What they printed on the first set of data on which they did, cut off if long; empty where nothing was run."""


class ProgramTrials:
    """Tries the programs of one run's candidates, in threads of its own, from :meth:`prepare` to :meth:`close`."""

    def __init__(self, config: ProgramsConfig, domain: Domain, packs: Iterable[Pack]) -> None:
        """Find the domain's own code.

        Args:
            config: What is asked of programs.
            domain: It may have no packs with programs.
            packs: Those in use.

        Raises:
            DomainError: a pack holds programs, and the domain cannot run any.
        """
        self._config = config
        self._packs = {pack.name for pack in packs if domain.file.packs[pack.name].programs and config.verify}
        self._folder = domain.folder
        self._limits = within(config.seconds)
        self._known: dict[str, Future[Trial]] = {}
        self._heard: Callable[[], None] = lambda: None
        self._open = ExitStack()
        if self._packs:
            self._begin()

    def _begin(self) -> None:
        self._runner = Runner(self._folder)
        trials = own_function(self._folder, PROGRAMS, "trials")
        assert trials is not None  # Runner has found the file
        self._trials: Callable[[str, Path], tuple[Data, ...]] = trials
        self._check = ProgramCheck(self._folder)
        self._wrong_value: WrongValue | None = own_function(self._folder, PROGRAMS, "wrong_value", is_optional=True)

    @property
    def digest(self) -> str:
        """Content hash of all that decides a verdict beside the programs; empty where none is tried."""
        if not self._packs:
            return ""
        code = [file_sha256(path) for path in map(self._folder.joinpath, (PROGRAMS, "checks.py")) if path.is_file()]
        return content_id(sorted(self._packs), self._config.seconds, self._config.required, code)

    def prepare(self) -> None:
        """See that programs can be run here.

        Raises:
            SandboxError: they cannot.
        """
        if not self._packs:
            return
        try:
            self._runner.prepare()
        except SandboxError as problem:
            raise SandboxError(
                f"{problem}. Or keep programs that were not run: --set generate.programs.verify=false"
            ) from problem
        self._files = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="seedtune-trials-")))
        self._pool = ThreadPoolExecutor(self._runner.workers)
        self._open.callback(self._pool.shutdown, cancel_futures=True)

    def listen(self, heard: Callable[[], None]) -> None:
        """Have ``heard`` called, from another thread, whenever a trial has ended."""
        self._heard = heard

    @property
    def packs(self) -> Collection[str]:
        """The packs whose answers are tried."""
        return self._packs

    def concerns(self, pack: str) -> bool:
        """Whether the answers of a pack are tried."""
        return pack in self._packs

    def start(self, candidate: Candidate) -> Future[Trial]:
        """Begin with a candidate's programs, or find what was begun."""
        known = self._known.get(candidate.id)
        if known is None:
            known = self._known[candidate.id] = self._begin_trial(candidate)
        return known

    def _begin_trial(self, candidate: Candidate) -> Future[Trial]:
        programs = programs_of(candidate.output)
        if not programs:
            settled: Future[Trial] = Future()
            settled.set_result(self._without_run())
            return settled
        begun = self._pool.submit(self._try, candidate, programs)
        begun.add_done_callback(lambda _: self._heard())
        return begun

    def result(self, candidate: Candidate) -> Trial:
        """What came of a candidate's programs; waits for it.

        Raises:
            SandboxError: programs cannot be run here any more.
        """
        if not self.concerns(candidate.pack):
            return Trial()
        return self.start(candidate).result()

    def forget(self, candidate: Candidate) -> None:
        """It is decided on: keep nothing of its trial."""
        self._known.pop(candidate.id, None)

    def close(self) -> None:
        """Begin nothing more, and remove the trial data."""
        self._open.close()

    def _try(self, candidate: Candidate, programs: list[str]) -> Trial:
        printed: list[str] = []
        is_tried = False
        for source in programs:
            if faults := [str(fault) for fault in self._check.faults(source) if fault.level == "error"]:
                return Trial(Rejection("program_lint", faults[0]))
            with tempfile.TemporaryDirectory(dir=self._files) as folder:
                data = self._data(source, Path(folder))
                if isinstance(data, str):
                    return Trial(Rejection("program_lint", data))
                if data:
                    is_tried = True
                    trial = self._run(candidate.prompt, source, data)
                    if trial.fault:
                        return trial
                    printed.append(trial.printed)
        return Trial(printed="\n".join(printed)) if is_tried else self._without_run()

    def _without_run(self) -> Trial:
        """Of an answer without a program that can be run."""
        return Trial(Rejection("program_missing", "no program that can be run") if self._config.required else None)

    def _data(self, source: str, folder: Path) -> tuple[Data, ...] | str:
        """The data for a program, or why the domain's own code makes none of it: one odd program ends no run."""
        try:
            return self._trials(source, folder)
        except OSError as problem:
            raise SandboxError(f"{folder}: no trial data can be written: {problem.strerror}") from problem
        except Exception as problem:  # foreign code
            return f"{PROGRAMS}: trials failed: {steady(f'{type(problem).__name__}: {problem}')}"

    def _run(self, prompt: str, source: str, data: tuple[Data, ...]) -> Trial:
        runs: list[ExecutionResult] = []
        for each in data:
            result = self._runner.run(source, each, self._limits)
            if not result.ok:
                reason = "program_timeout" if result.outcome in ("timeout", "cpu") else "program_crash"
                return Trial(Rejection(reason, steady(ending(result))))
            runs.append(result)
        outputs = [run.stdout for run in runs]
        if not any(output.strip() for output in outputs):
            return Trial(Rejection("program_silent", f"prints nothing on {len(data)} sets of data"))
        if len(set(outputs)) == 1:
            return Trial(Rejection("program_same_output", f"prints {_shown(outputs[0])} whatever the data"))
        again = self._runner.run(source, data[0], self._limits, again=True)
        if again.stdout != outputs[0]:
            return Trial(Rejection("program_unstable", "prints something else on the same data"))
        if self._wrong_value and (wrong := self._wrong_value(prompt, source, data, outputs)):
            return Trial(Rejection("program_wrong_value", wrong))
        return Trial(printed=next(output for output in outputs if output.strip())[:_KEPT])


def _shown(output: str) -> str:
    first = output.strip().splitlines()[0]
    return repr(steady(first if len(first) <= _SHOWN else f"{first[:_SHOWN]} ..."))
