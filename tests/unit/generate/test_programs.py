"""Programs among the answers: run before they are kept, rejections counted, the same bytes however work is cut up."""

import json
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest
import yaml

from generation import BySeed, Configure, events, funnel, generate, lines, views
from seedtune.config import ProgramsConfig
from seedtune.domains import load_domain
from seedtune.errors import DomainError, LimitReached, RunError, SandboxError
from seedtune.generate.filters.execution import ProgramTrials
from seedtune.generate.progress import Progress
from seedtune.records import Candidate
from seedtune.sandbox import levels

OWN_CODE = """
from seedtune.domains.running import Data
from seedtune.sandbox import Program, run_code


def run_program(source, data, limits):
    return run_code(Program(source, data.files), limits)


def trials(source, folder):
    if "numbers.txt" not in source:
        return ()
    found = []
    for name, text in (("few", "1 2 3"), ("many", "4 5 6 7")):
        path = folder / name
        path.write_text(text)
        found.append(Data({"numbers.txt": path}))
    return tuple(found)
"""
CHECKS = """
from seedtune.domains import ProgramFault


def check_program(source):
    if "eval(" in source:
        yield ProgramFault(1, "eval is not done here")
    if "sum" in source:
        yield ProgramFault(1, "sum may be slow", "warning")
"""

READ = "numbers = [int(word) for word in open('numbers.txt').read().split()]\n"
GOOD = READ + "print(sum(numbers))"
BAD = {
    "program_lint": ("x = eval('numbers.txt')", "line 1: eval is not done here"),
    "program_crash": (READ + "print(numbers[9])", "IndexError: list index out of range"),
    "program_silent": (READ, "prints nothing on 2 sets of data"),
    "program_same_output": ("open('numbers.txt')\nprint('all is well')", "prints 'all is well' whatever the data"),
    "program_unstable": (READ + "import uuid; print(numbers, uuid.uuid4())", "prints something else on the same data"),
    "program_timeout": (READ + "while True: pass", "it used too much CPU time"),
}


def fenced(code: str) -> str:
    return f"Like this:\n\n```python\n{code}\n```\n"


@pytest.fixture
def programmers(domain_folder: Path) -> Path:
    """The template domain with a pack of programs."""
    path = domain_folder / "domain.yaml"
    tree = yaml.safe_load(path.read_text())
    tree["packs"]["knowledge"]["programs"] = True
    path.write_text(yaml.safe_dump(tree))
    (domain_folder / "programs.py").write_text(OWN_CODE)
    (domain_folder / "checks.py").write_text(CHECKS)
    return domain_folder


class Programmer(BySeed):
    """Answers with programs: every other one is good, the others go wrong in turn, each for its own reason.

    With ``in_words``, two of three that would be good are a fragment, and words alone.
    """

    def __init__(self, in_words: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.in_words = in_words

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status, reply = super().answer(body)
        if status == 200 and "response_format" in body:
            message = reply["choices"][0]["message"]
            tree = json.loads(message["content"])
            wrong = [code for reason, (code, _) in BAD.items() if reason != "program_timeout"]
            for task in tree.get("tasks", ()):
                number = int(task["output"].rpartition("value ")[2].strip("."))
                code = GOOD if number % 2 else wrong[number // 2 % len(wrong)]
                task["output"] = fenced(f"{code}\n# {number}")
                if self.in_words and number % 2:
                    task["output"] = [fenced(f"total = {number}"), f"Add {number}.", task["output"]][number // 2 % 3]
            message["content"] = json.dumps(tree)
        return status, reply


@pytest.fixture
def trials(programmers: Path) -> Iterator[ProgramTrials]:
    domain = load_domain(str(programmers))
    opened = ProgramTrials(ProgramsConfig(seconds=1), domain, domain.packs.values())
    opened.prepare()
    yield opened
    opened.close()


def candidate(output: str, pack: str = "knowledge") -> Candidate:
    return Candidate(instruction="Add up numbers.txt.", output=output, pack=pack, request=0)


def test_a_program_that_depends_on_its_data_is_kept_with_what_it_printed(trials: ProgramTrials) -> None:
    assert trials.result(candidate(fenced(GOOD))) == (None, "6\n")


@pytest.mark.parametrize("reason", BAD)
def test_what_goes_wrong_is_told_apart(trials: ProgramTrials, reason: str) -> None:
    code, detail = BAD[reason]
    assert trials.result(candidate(fenced(code))).fault == (reason, detail)


def test_every_program_of_an_answer_must_run(trials: ProgramTrials) -> None:
    fault = trials.result(candidate(fenced(GOOD) + fenced(BAD["program_crash"][0]))).fault
    assert fault is not None
    assert fault.reason == "program_crash"


def test_a_fragment_and_an_answer_in_words_are_let_through_unless_programs_are_required(programmers: Path) -> None:
    domain = load_domain(str(programmers))
    asked = [candidate("Use sum."), candidate(fenced("total = sum(numbers)"))]
    for required, reasons in ((False, [None, None]), (True, ["program_missing"] * 2)):
        opened = ProgramTrials(ProgramsConfig(required=required), domain, domain.packs.values())
        opened.prepare()
        faults = [opened.result(each).fault for each in asked]
        assert [fault and fault.reason for fault in faults] == reasons
        opened.close()


def test_a_fragment_is_linted(trials: ProgramTrials) -> None:
    fault = trials.result(candidate(fenced("total = eval(text)"))).fault
    assert fault is not None
    assert fault.reason == "program_lint"


@pytest.mark.parametrize("function", ["check_program", "trials"])
def test_an_odd_program_that_the_domains_own_code_fails_on_ends_no_run(programmers: Path, function: str) -> None:
    file = programmers / ("checks.py" if function == "check_program" else "programs.py")
    with file.open("a") as text:
        text.write(f"\n\ndef {function}(*_):\n    raise RecursionError('too deep')\n")
    domain = load_domain(str(programmers))
    opened = ProgramTrials(ProgramsConfig(), domain, domain.packs.values())
    opened.prepare()
    detail = f"{file.name}: {function} failed: RecursionError: too deep"
    assert opened.result(candidate(fenced(GOOD))).fault == ("program_lint", detail)
    opened.close()


def test_an_address_in_an_error_does_not_change_the_detail(trials: ProgramTrials) -> None:
    """A verdict is written into the dataset's files, which are the same bytes in every run."""
    code = READ + "raise ValueError(object())"
    fault = trials.result(candidate(fenced(code))).fault
    assert fault == ("program_crash", "ValueError: <object object at 0x...>")


def test_the_funnel_counts_each_reason_and_the_outputs_are_in_the_dataset(
    configure: Configure, programmers: Path
) -> None:
    with Programmer() as server:
        folder = generate(configure(server.url, 12))
    counts = funnel(folder)
    assert {"program_crash", "program_silent", "program_unstable"} <= set(counts["rejected"])
    assert counts["candidates"] == counts["accepted"] + sum(counts["rejected"].values())
    assert {line["printed"] for line in lines(folder / "instructions.jsonl")} == {"6\n"}


def test_nothing_is_kept_of_a_trial_once_its_candidate_is_decided(
    configure: Configure, programmers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory grows with what is accepted alone; also what another filter rejects had its programs tried."""
    start, forget, open_trials = ProgramTrials.start, ProgramTrials.forget, set[str]()

    def noted(self: ProgramTrials, candidate: Candidate) -> Any:
        open_trials.add(candidate.id)
        return start(self, candidate)

    def forgotten(self: ProgramTrials, candidate: Candidate) -> None:
        open_trials.discard(candidate.id)
        forget(self, candidate)

    monkeypatch.setattr(ProgramTrials, "start", noted)
    monkeypatch.setattr(ProgramTrials, "forget", forgotten)
    with Programmer() as server, pytest.raises(LimitReached):
        generate(config := configure(server.url, 6, 1, rouge_threshold=0.2, limits={"max_requests": 8}))
    assert funnel(config.run_dir / "generate")["rejected"]["similar"]
    assert not open_trials


def test_who_was_kept_with_nothing_that_was_run_is_counted(configure: Configure, programmers: Path) -> None:
    with Programmer(in_words=True) as server:
        folder = generate(configure(server.url, 12))
    rows = lines(folder / "instructions.jsonl")
    counts = {
        "run": sum("printed" in row for row in rows),
        "fragments": sum("printed" not in row and "```" in row["output"] for row in rows),
        "none": sum("```" not in row["output"] for row in rows),
    }
    assert funnel(folder)["programs"] == counts
    assert all(counts.values())


def test_packs_without_programs_count_none(configure: Configure) -> None:
    with BySeed() as server:
        assert "programs" not in funnel(generate(configure(server.url, 2)))


def test_the_same_bytes_come_from_one_and_from_sixteen_in_flight_and_after_any_cut(
    configure: Configure, programmers: Path, tmp_path: Path
) -> None:
    """What a killed session had recorded is taken as it stands: its programs are not run again."""
    with Programmer() as server:
        expected = views(generate(configure(server.url, 8, concurrency=1, name="one")))
    with Programmer(latency=0.004) as server:
        folder = generate(configure(server.url, 8, concurrency=16, name="sixteen"))
        assert views(folder) == expected
        whole = (folder / "journal.jsonl").read_bytes()
        for number, share in enumerate((0.3, 0.65, 0.9)):
            config = configure(server.url, 8, concurrency=16, name=f"cut{number}")
            torn = tmp_path / "runs" / f"cut{number}" / "generate" / "journal.jsonl"
            torn.parent.mkdir(parents=True)
            torn.write_bytes(whole[: int(len(whole) * share)])
            assert views(generate(config)) == expected


def test_a_trial_that_ends_just_before_the_loop_would_wait_for_it_does_not_end_the_run(
    configure: Configure, programmers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = Progress.note

    def noted_once_all_trials_are_over(self: Progress, in_flight: int) -> str:
        wait([trial for trials in self._state._trials.values() for trial in trials])
        return note(self, in_flight)

    monkeypatch.setattr(Progress, "note", noted_once_all_trials_are_over)
    with Programmer() as server:
        folder = generate(configure(server.url, 4))
    assert funnel(folder)["accepted"] == 4


def test_a_machine_that_cannot_run_programs_says_so_before_anything_is_paid(
    configure: Configure, programmers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels, "best_level", lambda: (None, "none works"))
    with Programmer() as server:
        with pytest.raises(SandboxError, match=r"none works.*generate\.programs\.verify=false"):
            generate(configure(server.url, 3))
        assert server.received == 0


def test_without_verification_programs_are_kept_as_they_come(configure: Configure, programmers: Path) -> None:
    with Programmer() as server:
        folder = generate(configure(server.url, 6, programs={"verify": False}))
    assert not [reason for reason in funnel(folder)["rejected"] if reason.startswith("program")]
    assert all("printed" not in line for line in lines(folder / "instructions.jsonl"))
    assert "programs" not in funnel(folder)


def test_a_run_does_not_go_on_when_programs_are_verified_otherwise(configure: Configure, programmers: Path) -> None:
    with Programmer() as server:
        generate(configure(server.url, 2))
        with pytest.raises(RunError, match="how programs are verified"):
            generate(configure(server.url, 4, programs={"verify": False}))


def test_a_pack_of_programs_needs_a_domain_that_runs_them(configure: Configure, programmers: Path) -> None:
    (programmers / "programs.py").unlink()
    with Programmer() as server, pytest.raises(DomainError, match=r"programs\.py: there is no such file"):
        generate(configure(server.url, 2))


def test_classic_instances_are_run_as_well(configure: Configure, programmers: Path) -> None:
    """The fake teacher's classic answers hold no program, so that a required one is missing in each."""
    with BySeed() as server:
        limits = {"max_requests": 12}
        config = configure(server.url, 2, mode="classic", programs={"required": True}, limits=limits)
        with pytest.raises(Exception, match="max_requests"):
            generate(config)
    judged = [verdict for event in events(config.run_dir / "generate", "committed") for verdict in event["verdicts"]]
    assert "program_missing" in {verdict.get("reason") for verdict in judged}
