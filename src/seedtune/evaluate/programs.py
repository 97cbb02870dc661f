"""Whether a program that a model wrote is right: it is run, and what it prints is compared.

| verdict | the program |
| --- | --- |
| ``pass`` | prints what was asked for, on every case, also on those held out |
| ``wrong_value`` | ends well and prints something else, or nothing |
| ``crash`` | does not compile, ends with an error, or needs more memory, files or output than it may |
| ``timeout`` | takes more than 25 times the CPU time of the reference, on the same machine |
| ``api_misuse`` | fails, and uses the domain's library in a way that cannot work: its lint or the library says so |
| ``no_code`` | is not there |
| ``refused`` | is not there, and the model says that it cannot |

What is printed decides, never how: a program sees its data under the names in the question, nothing of what is expected
and nothing of the other cases. A sandbox that cannot be had, and a reference that fails, are errors of the machine or
the domain: they raise, and are nobody's wrong answer.
"""

import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import Literal, NamedTuple, get_args

from seedtune.domains import Domain
from seedtune.domains.own_code import own_function
from seedtune.domains.program_check import ProgramCheck
from seedtune.domains.programs import blocks_of, compile_fault, imports_of, programs_of
from seedtune.domains.running import PROGRAMS, Data, Runner, ending, within
from seedtune.errors import EvaluationError
from seedtune.evaluate.code_output import Comparison, Line, Printed, compare, partial_credit, read_output
from seedtune.evaluate.extraction import spoken
from seedtune.evaluate.scorers import Score
from seedtune.evaluate.statistics import Estimate, pass_rate
from seedtune.records import CodeCase, CodeItem
from seedtune.sandbox import ExecutionResult, Limits

CodeVerdict = Literal["pass", "wrong_value", "crash", "timeout", "no_code", "api_misuse", "refused"]
VERDICTS: tuple[CodeVerdict, ...] = get_args(CodeVerdict)

SLOWER = 25.0
"""A program may take this many times the reference's own CPU time on this machine. No number of seconds: it would be
less on a slower one."""

_REFERENCE = within(120.0)
_KEPT = 4000
"""Characters of a program's output and errors that are kept to be looked at."""
_REFUSAL = re.compile(
    r"\b(?:as an ai|unable to|(?:can(?:no|['\u2019])t|cannot|could not|won['\u2019]t|will not|am not able to)"
    r"\s+(?:\w+\s+){0,2}?(?:write|provide|create|help|assist|do|answer|complete|generate|fulfil+|comply|execute|access))\b",
    re.IGNORECASE,
)


class Answered(NamedTuple):
    """The program of an answer."""

    source: str
    """Empty where there is none."""
    why: str
    """How it was found, or why none was."""
    is_plain: bool = False
    """The answer has exactly one block of Python, and it is the program."""


@dataclass(frozen=True)
class CaseScore:
    """What a program did on one case."""

    verdict: CodeVerdict
    why: str
    """The first difference, or how it ended; empty for a pass."""
    right: int
    """Fields that are right; see :mod:`seedtune.evaluate.code_output`."""
    total: int
    lapse: str
    """What is not in the form that was asked for, though right."""
    held_out: bool
    stdout: str
    """Its beginning."""
    stderr: str
    """Its end."""
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class CodeScore:
    """What an answer is worth."""

    verdict: CodeVerdict
    strict: bool
    """A pass, from the one block of Python, in exactly the form that was asked for."""
    value: float
    """0..1: 1 for a pass, else :func:`~seedtune.evaluate.code_output.partial_credit`."""
    program: str
    why: str
    """How the program was found, and the first thing that is wrong."""
    cases: tuple[CaseScore, ...] = ()
    """Those that were run; the rest is passed over after a timeout."""


def read_program(text: str, library: Collection[str] = ()) -> Answered:
    """The program of an answer: the last whole block of Python that imports ``library``, else something, else the last.

    An answer without a block of Python may have one without a language, or be the program itself.

    Args:
        text: The answer.
        library: Modules that a solution is expected to import. Who shows how to run it, or to read what it printed,
            needs others.
    """
    answer = spoken(text)
    marked = [block for block in blocks_of(answer) if block.is_python]
    found = programs_of(answer)
    if not found:
        cut = any(not block.is_whole for block in blocks_of(answer))
        return Answered("", "a block of code that does not end" if cut else "no program in the answer")
    imports = [imports_of(code) for code in found]
    able = [code for code, names in zip(found, imports, strict=True) if library and names.issuperset(library)]
    active = [code for code, names in zip(found, imports, strict=True) if names]
    last = (able or active or found)[-1]
    if not marked:
        return Answered(last, "code that is not marked as Python")
    if len(marked) == 1:
        return Answered(last, "the only block of Python", is_plain=True)
    return Answered(last, f"one of {len(marked)} blocks of Python")


class CodeRunner:
    """Runs the answers to the items of one domain. Runs are done once each, by content; several threads may ask."""

    def __init__(self, domain: Domain, workers: int | None = None) -> None:
        """Find the domain's own code.

        Args:
            domain: Of the items.
            workers: Runs at one time; None is the number of CPUs.

        Raises:
            DomainError: the domain runs no programs.
        """
        self._folder = domain.folder
        self._runner = Runner(domain.folder, workers)
        misuse = own_function(domain.folder, PROGRAMS, "misuse")
        self._misuse: Callable[[str], str] = misuse or (lambda _: "")
        self._check = ProgramCheck(domain.folder)
        self._limits: dict[str, Limits] = {}
        self._lock = threading.Lock()

    @property
    def workers(self) -> int:
        """Runs at one time."""
        return self._runner.workers

    def prepare(self) -> None:
        """See that programs can be run here.

        Raises:
            SandboxError: they cannot.
        """
        self._runner.prepare()

    def reference(self, item: CodeItem, number: int) -> ExecutionResult:
        """The reference's run on a case."""
        return self._runner.run(item.reference, self._data(item.cases[number]), _REFERENCE)

    def run(self, source: str, item: CodeItem, number: int) -> ExecutionResult:
        """A program's run on a case, within limits that follow from the reference's.

        Raises:
            EvaluationError: the reference does not pass its cases here.
            SandboxError: this machine cannot run a program apart from itself.
        """
        return self._runner.run(source, self._data(item.cases[number]), self._limits_of(item))

    def misused(self, source: str, stderr: Iterable[str]) -> str:
        """How a program that failed misuses the domain's library; empty where nothing is known of it."""
        for fault in self._check.faults(source):
            # One of the whole program says nothing of the library: it does not compile, or the check itself failed.
            if fault.level == "error" and fault.line:
                return str(fault)
        return next(filter(None, map(self._misuse, stderr)), "")

    def _data(self, case: CodeCase) -> Data:
        files = {name: self._folder / file for name, file in zip(case.inside, case.files, strict=True)}
        return Data(files, case.replay, case.arguments)

    def _limits_of(self, item: CodeItem) -> Limits:
        """The same for all cases, from the reference's slowest run: of several, none was lucky."""
        if item.id not in self._limits:
            slowest = 0.0
            for number in range(len(item.cases)):
                result = self.reference(item, number)
                score = _judge_run(result, item, number)
                if score.verdict != "pass":
                    raise EvaluationError(
                        f"the reference of the item {item.id} ({item.family}) does not pass its case {number + 1} "
                        f"here: {score.why}; if the machine is in order, the item is to be mended"
                    )
                slowest = max(slowest, result.cpu_s)
            with self._lock:
                self._limits.setdefault(item.id, within(SLOWER * slowest))
        return self._limits[item.id]


def judge_code(text: str, item: CodeItem, runner: CodeRunner) -> CodeScore:
    """Judge an answer by running its program on every case.

    Args:
        text: The model's answer.
        item: What was asked.
        runner: Of the item's domain.

    Raises:
        EvaluationError: the reference does not pass here.
        SandboxError: this machine cannot run a program apart from itself.
    """
    found = read_program(text, imports_of(item.reference) - sys.stdlib_module_names)
    if not found.source:
        refuses = _REFUSAL.search(spoken(text)) is not None
        return CodeScore("refused" if refuses else "no_code", False, 0.0, "", found.why)
    if fault := compile_fault(found.source):
        return CodeScore("crash", False, 0.0, found.source, f"{found.why}; it does not compile: {fault}")
    cases: list[CaseScore] = []
    for number in range(len(item.cases)):
        cases.append(_judge_run(runner.run(found.source, item, number), item, number))
        if cases[-1].verdict == "timeout":
            break
    failed = next((case for case in cases if case.verdict != "pass"), None)
    lapse = next(filter(None, (case.lapse for case in cases)), "")
    if failed is None:
        is_strict = found.is_plain and not lapse
        why = f"{found.why}{f'; {lapse}' if lapse else ''}"
        return CodeScore("pass", is_strict, 1.0, found.source, why, tuple(cases))
    verdict, why = failed.verdict, f"case {cases.index(failed) + 1}{' (held out)' * failed.held_out}: {failed.why}"
    outputs = [case.lines for case in cases] + [()] * (len(item.cases) - len(cases))
    if misused := runner.misused(found.source, (case.stderr for case in cases)):
        verdict, why = "api_misuse", f"{misused}; {why}"
    return CodeScore(verdict, False, partial_credit(outputs, item), found.source, f"{found.why}; {why}", tuple(cases))


def score_code(text: str, item: CodeItem, runner: CodeRunner) -> Score:
    """Score an answer as :func:`judge_code` judges it."""
    return as_score(judge_code(text, item, runner))


def as_score(judged: CodeScore) -> Score:
    """What an answer is worth, in the form of all suites; ``why`` begins with the verdict."""
    passed = judged.verdict == "pass"
    return Score(
        correct=passed,
        strict=judged.strict,
        value=judged.value,
        extracted=judged.program,
        why=f"{judged.verdict}: {judged.why}",
        parsed=judged.verdict not in ("no_code", "refused"),
    )


def judge_many(
    answers: Sequence[tuple[str, CodeItem]], runner: CodeRunner, advance: Callable[[int], None] | None = None
) -> list[CodeScore]:
    """Judge answers, as many at a time as the machine has CPUs.

    Args:
        answers: Each with the item it answers.
        runner: Of the items' domain.
        advance: Is told how many are done.
    """
    scores: list[CodeScore] = []
    with ThreadPoolExecutor(runner.workers) as pool:
        texts, items = zip(*answers, strict=True) if answers else ((), ())
        for score in pool.map(judge_code, texts, items, repeat(runner)):
            scores.append(score)
            if advance is not None:
                advance(len(scores))
    return scores


def class_counts(scores: Iterable[CodeScore]) -> dict[CodeVerdict, int]:
    """How many answers have each verdict, in the order of :data:`VERDICTS`."""
    counts = Counter(score.verdict for score in scores)
    return {verdict: counts[verdict] for verdict in VERDICTS}


def pass_rates(tasks: Sequence[Sequence[CodeScore]], ks: Iterable[int], seed: int) -> Mapping[int, Estimate]:
    """Mean pass@k by k, with intervals that take the samples of one task for one piece of evidence.

    Args:
        tasks: The samples of each task.
        ks: At most as many as each task has samples.
        seed: Of the bootstrap.
    """
    passed = [[score.verdict == "pass" for score in samples] for samples in tasks]
    return {k: pass_rate(passed, k, seed) for k in ks}


def reference_lines(item: CodeItem, runner: CodeRunner) -> list[tuple[Line, ...]]:
    """What the reference prints on each case: what ``expected`` may be filled from.

    Raises:
        EvaluationError: it does not end well, or prints something else than JSON objects.
    """
    found: list[tuple[Line, ...]] = []
    for number in range(len(item.cases)):
        result = runner.reference(item, number)
        printed = read_output(result.stdout)
        if not result.ok or printed.other:
            said = f"prints {printed.other[0]!r}" if result.ok else ending(result)
            raise EvaluationError(f"the reference of the item {item.id}, case {number + 1}: {said}")
        found.append(printed.lines)
    return found


def check_references(domain: Domain, workers: int | None = None) -> list[str]:
    """One line for each code item of a domain whose reference, as an answer, is no strict pass; there should be none.

    Raises:
        SandboxError: this machine cannot run a program apart from itself.
    """
    items = [
        (f"{file.path.relative_to(domain.folder)}:{line}", item)
        for suite in domain.suites.values()
        for file in suite.files.values()
        for line, item in zip(file.lines, file.items, strict=True)
        if isinstance(item, CodeItem)
    ]
    if not items:
        return []
    runner = CodeRunner(domain, workers)

    def fault(entry: tuple[str, CodeItem]) -> str:
        place, item = entry
        for number in range(len(item.cases)):
            case = _judge_run(runner.reference(item, number), item, number)
            if case.why or case.lapse:
                return f"{place}: the reference is no strict pass, case {number + 1}: {case.why or case.lapse}"
        return ""

    with ThreadPoolExecutor(runner.workers) as pool:
        return [said for said in pool.map(fault, items) if said]


def _judge_run(result: ExecutionResult, item: CodeItem, number: int) -> CaseScore:
    case = item.cases[number]
    printed = read_output(result.stdout) if result.ok else Printed((), ())
    found = compare(printed, case, item)
    if not result.ok:
        found = Comparison(0, found.total, ending(result), "")
    ended_badly: CodeVerdict = "timeout" if result.outcome in ("timeout", "cpu") else "crash"
    return CaseScore(
        verdict=ended_badly if not result.ok else "wrong_value" if found.why else "pass",
        why=found.why,
        right=found.right,
        total=found.total,
        lapse=found.lapse,
        held_out=case.held_out,
        stdout=result.stdout[:_KEPT],
        stderr=result.stderr[-_KEPT:],
        lines=printed.lines,
    )
