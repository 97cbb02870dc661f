"""Judging programs: each verdict, forgeries, partial credit, limits that follow from the reference."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mrt_writer as mrt
from forgeries import forgeries
from seedtune.domains import Domain, load_domain
from seedtune.domains.loader import ItemFile, Suite
from seedtune.domains.running import Data
from seedtune.errors import DomainError, EvaluationError, SandboxError
from seedtune.evaluate.programs import (
    CodeRunner,
    CodeScore,
    check_references,
    class_counts,
    judge_code,
    judge_many,
    pass_rates,
    read_program,
    reference_lines,
    score_code,
)
from seedtune.records import CodeItem
from seedtune.sandbox import ExecutionResult, Limits, Outcome, levels

REFERENCE = """\
import json
from collections import defaultdict

import pybgpstream

stream = pybgpstream.BGPStream(data_interface="singlefile", filter="elemtype announcements")
stream.set_data_interface_option("singlefile", "upd-file", "updates.mrt")
origins = defaultdict(set)
for elem in stream:
    last = elem.fields["as-path"].split()[-1]
    if last.isdigit():
        origins[elem.fields["prefix"]].add(int(last))
for prefix in sorted(origins):
    if len(origins[prefix]) > 1:
        print(json.dumps({"prefix": prefix, "origins": sorted(origins[prefix]), "count": len(origins[prefix])}))
"""


def announced(time: int, peer: int, path: list[Any], prefix: str) -> bytes:
    attributes = [mrt.origin(), mrt.as_path(*path), mrt.next_hop("192.0.2.1")]
    return mrt.update(time, mrt.Peer(peer, f"192.0.2.{peer % 100}"), announce=[prefix], attributes=attributes)


@pytest.fixture(scope="module")
def item() -> CodeItem:
    return CodeItem.model_validate(
        {
            "question": "Which prefixes of updates.mrt have several origins?",
            "family": "moas",
            "keys": ["prefix"],
            "reference": REFERENCE,
            "cases": [
                {
                    "files": ["data/shown.mrt"],
                    "names": ["updates.mrt"],
                    "expected": [{"prefix": "198.51.100.0/24", "origins": [64500, 64501], "count": 2}],
                },
                {
                    "files": ["data/sets.mrt"],
                    "names": ["updates.mrt"],
                    "held_out": True,
                    "expected": [
                        {"prefix": "203.0.113.0/24", "origins": [64510, 64511], "count": 2},
                        {"prefix": "192.0.2.0/24", "origins": [64500, 64510, 64511], "count": 3},
                    ],
                },
            ],
        }
    )


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory, item: CodeItem) -> Domain:
    """The BGP domain's own code over two files of ours."""
    folder = tmp_path_factory.mktemp("domain")
    (folder / "programs.py").write_text("from seedtune.domains.bgp.programs import misuse, run_program\n")
    (folder / "checks.py").write_text("from seedtune.domains.bgp.checks import check_program\n")
    data = folder / "data"
    data.mkdir()
    first, second, third = "198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24"
    shown = [announced(1, 64496, [64496, 64500], first), announced(2, 64497, [64497, 64501], first)]
    mrt.write_mrt(data / "shown.mrt", [*shown, announced(3, 64497, [64497, 64501], second)])
    sets = [announced(1, 64496, [64496, 64500], first), announced(2, 64497, [64497, {64501}], first)]
    sets += [announced(3, 64497, [64497, origin], second) for origin in (64511, 64510)]
    sets += [announced(4, 64497, [64497, origin], third) for origin in (64511, 64510, 64500)]
    mrt.write_mrt(data / "sets.mrt", sets)
    suites = {"code": Suite("code", "code", {"test": ItemFile(folder / "code.jsonl", (item,), (1,))})}
    return replace(load_domain("bgp"), folder=folder, suites=suites)


@pytest.fixture(scope="module")
def runner(domain: Domain) -> CodeRunner:
    return CodeRunner(domain)


def judged(code: str, item: CodeItem, runner: CodeRunner) -> CodeScore:
    return judge_code(f"Here it is.\n\n```python\n{code}\n```", item, runner)


def test_the_reference_is_a_strict_pass(item: CodeItem, domain: Domain, runner: CodeRunner) -> None:
    score = judged(REFERENCE, item, runner)
    assert (score.verdict, score.strict, score.value) == ("pass", True, 1.0)
    assert [case.held_out for case in score.cases] == [False, True]
    assert check_references(domain) == []


@pytest.mark.parametrize("end", ["print('done')", "raise SystemExit(1)"])
def test_a_reference_that_is_no_strict_pass_is_named(end: str, item: CodeItem, domain: Domain) -> None:
    poor = item.model_copy(update={"reference": f"{REFERENCE}{end}\n"})
    file = ItemFile(domain.folder / "code.jsonl", (poor,), (7,))
    (fault,) = check_references(replace(domain, suites={"code": Suite("code", "code", {"test": file})}))
    assert fault.startswith("code.jsonl:7: the reference is no strict pass, case 1: ")


def test_what_the_reference_prints_can_fill_what_is_expected(item: CodeItem, runner: CodeRunner) -> None:
    expected = [sorted(case.expected, key=json.dumps) for case in item.cases]
    assert [sorted(lines, key=json.dumps) for lines in reference_lines(item, runner)] == expected


NAMES = list(forgeries(CodeItem.model_construct(question="", cases=())))


@pytest.mark.parametrize("name", NAMES)
def test_a_forgery_is_worth_nothing(name: str, item: CodeItem, runner: CodeRunner) -> None:
    score = score_code(forgeries(item)[name], item, runner)
    assert (score.correct, score.strict, score.value) == (False, False, 0.0)


NAIVE = REFERENCE.replace("if last.isdigit():\n        ", "").replace("int(last)", "int(last.strip('{}'))")


@pytest.mark.parametrize(
    ("verdict", "code", "why"),
    [
        ("wrong_value", NAIVE, "case 2 (held out): a line that should not be there"),
        ("crash", REFERENCE.replace("len(origins[prefix])}", "missing}"), "NameError: name 'missing' is not defined"),
        ("crash", "def main(:", "it does not compile: SyntaxError"),
        ("crash", "data = bytearray(10**11)", "it needed too much memory"),
        ("crash", "while True:\n    print('x' * 10_000)", "it printed too much"),
        ("crash", "import os\nos.kill(os.getpid(), 11)", "it was ended by SIGSEGV"),
        ("timeout", "while True:\n    pass", "case 1: it used too much CPU time"),
        ("api_misuse", REFERENCE.replace("BGPStream(", "BGPReader("), "pybgpstream has no 'BGPReader'"),
        ("api_misuse", REFERENCE.replace('elem.fields["as-path"]', "elem.as_path"), "no attribute 'as_path'"),
        ("api_misuse", "import pybgpstream\nopen_it = pybgpstream.BGPStream\nopen_it(**{'x': 1})", "TypeError"),
    ],
)
def test_what_goes_wrong_is_told_apart(verdict: str, code: str, why: str, item: CodeItem, runner: CodeRunner) -> None:
    score = judged(code, item, runner)
    assert (score.verdict, score.strict) == (verdict, False)
    assert why in score.why


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        ("refused", "I'm sorry, but I cannot write programs."),
        ("refused", "As an AI I have no access to files."),
        ("refused", "I can\u2019t help with that."),
        ("no_code", "Sorry for the confusion. The MOAS conflicts are 10.0.0.0/8."),
        ("no_code", "I apologize for the delay: 10.0.0.0/8."),
        ("no_code", "One would count the origins of each prefix."),
        ("no_code", ""),
        ("no_code", f"```python\n{REFERENCE}"),
        ("no_code", f"<think>```python\n{REFERENCE}```"),
    ],
)
def test_an_answer_without_a_program_is_no_code_or_a_refusal(
    verdict: str, text: str, item: CodeItem, runner: CodeRunner
) -> None:
    score = score_code(text, item, runner)
    assert score.why.startswith(verdict)
    assert not score.parsed


def test_a_program_that_passes_is_no_misuse_whatever_the_lint_says(item: CodeItem, runner: CodeRunner) -> None:
    dead = REFERENCE + "\nif False:\n    pybgpstream.BGPReader()\n"
    assert judged(dead, item, runner).verdict == "pass"


def test_partial_credit_is_the_share_of_right_fields(item: CodeItem, runner: CodeRunner) -> None:
    """Two fields a line beside the key, on the two lines of the held-out case; one count is 3."""
    score = judged(REFERENCE.replace('"count": len(origins[prefix])', '"count": 2'), item, runner)
    assert (score.verdict, score.value) == ("wrong_value", pytest.approx(3 / 4))


def test_a_case_that_could_not_be_run_to_its_end_is_worth_nothing(item: CodeItem, runner: CodeRunner) -> None:
    for end in ("raise ValueError", "bytearray(10**11)"):
        score = judged(f"{REFERENCE}if len(origins) > 2:\n    {end}\n", item, runner)
        assert score.value == 0.0


def test_other_forms_of_a_right_output_pass_but_not_strictly(item: CodeItem, runner: CodeRunner) -> None:
    as_text = REFERENCE.replace('"count": len(origins[prefix])', '"count": str(len(origins[prefix]))')
    for code in (as_text, f"{REFERENCE}\nprint('done')", REFERENCE.replace('"count":', '"more": 1, "count":')):
        score = judged(code, item, runner)
        assert (score.verdict, score.strict) == ("pass", False)
    assert judge_code(REFERENCE, item, runner).verdict == "pass"


@pytest.mark.parametrize(
    ("text", "source", "is_plain"),
    [
        ("```python\nimport a\n```", "import a\n", True),
        ("```py\nimport a\n```\nand\n```json\n{}\n```", "import a\n", True),
        ("```python\nimport a\n```\n```python\nimport b\n```", "import b\n", False),
        ("```python\nimport a\n```\nRun it:\n```python\nmain()\n```", "import a\n", False),
        ("```\nimport a\n```", "import a\n", False),
        ("import a\nprint(a)", "import a\nprint(a)", False),
        ("~~~python\nx = '```'\nprint(x)\n~~~", "x = '```'\nprint(x)\n", True),
        ("1. Like this:\n\n   ```python\n   import a\n   ```", "import a\n", True),
        ("```python\nimport a\n```\n```python\nimport b\n", "import a\n", False),
        ("Yes", "", False),
        ("```bash\nls\n```", "", False),
    ],
)
def test_the_program_of_an_answer_is_found(text: str, source: str, is_plain: bool) -> None:
    found = read_program(text)
    assert (found.source, found.is_plain) == (source, is_plain)


@pytest.mark.parametrize(
    ("blocks", "source"),
    [
        (["import lib\n", "import subprocess\n"], "import lib\n"),
        (["from lib.part import x\n", "import json\n", "x()\n"], "from lib.part import x\n"),
        (["import lib\n", "import lib, json\n"], "import lib, json\n"),
        (["import json\n", "x()\n"], "import json\n"),
        (["import library\n", "import json\n"], "import json\n"),
    ],
)
def test_the_last_block_that_imports_the_library_is_the_program(blocks: list[str], source: str) -> None:
    assert read_program("".join(f"```python\n{block}```\n" for block in blocks), {"lib"}).source == source


def test_how_a_program_is_used_is_not_taken_for_it(item: CodeItem, runner: CodeRunner) -> None:
    use = "import subprocess\nsubprocess.run(['python', 'moas.py'])"
    score = judge_code(f"```python\n{REFERENCE}```\nRun it:\n```python\n{use}\n```", item, runner)
    assert (score.verdict, score.strict) == ("pass", False)


@pytest.mark.parametrize("slower", [0.05, 1.0, 40.0])
def test_how_fast_the_machine_is_changes_no_verdict(slower: float, item: CodeItem, domain: Domain) -> None:
    """On each a program may take 25 times what the reference takes on its slowest case."""
    runner = CodeRunner(domain)
    seconds = {"shown.mrt": 0.05 * slower, "sets.mrt": 0.1 * slower}

    def run(source: str, data: Data, limits: Limits) -> ExecutionResult:
        case = next(case for case in item.cases if case.files[0].endswith(data.files["updates.mrt"].name))
        times = float(source.split()[2]) if source.startswith("# takes") else 1.0
        cpu_s = times * seconds[data.files["updates.mrt"].name]
        outcome: Outcome = "cpu" if cpu_s > limits.cpu_s else "finished"
        stdout = "".join(f"{json.dumps(line)}\n" for line in case.expected)
        return ExecutionResult(outcome, 0, None, stdout, "", False, cpu_s, cpu_s, 1.0, "unsafe")

    runner._runner._run_program = run  # pyright: ignore[reportPrivateUsage]
    verdicts = [judged(f"# takes {times} times as long", item, runner).verdict for times in (24, 26)]
    assert verdicts == ["pass", "timeout"]


def test_a_reference_that_fails_here_is_no_models_fault(item: CodeItem, domain: Domain) -> None:
    broken = item.model_copy(update={"reference": "print('{}')"})
    with pytest.raises(EvaluationError, match=r"the reference of the item .* does not pass its case 1 here"):
        judged(REFERENCE, broken, CodeRunner(domain))


def test_a_machine_that_cannot_run_programs_is_no_models_fault(
    item: CodeItem, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels, "best_level", lambda: (None, "none works"))
    with pytest.raises(SandboxError, match="none works"):
        judged(REFERENCE, item, CodeRunner(domain))


def test_a_domain_without_programs_py_judges_no_code(domain: Domain, tmp_path: Path) -> None:
    with pytest.raises(DomainError, match=r"programs\.py: there is no such file"):
        CodeRunner(replace(domain, folder=tmp_path))


def test_many_are_judged_in_order_and_counted(item: CodeItem, runner: CodeRunner) -> None:
    answers = [f"```python\n{REFERENCE}```", "No idea.", "```python\npass\n```"]
    done: list[int] = []
    scores = judge_many([(answer, item) for answer in answers], runner, done.append)
    assert [score.verdict for score in scores] == ["pass", "no_code", "wrong_value"]
    assert done == [1, 2, 3]
    counts = class_counts(scores)
    assert (counts["pass"], counts["no_code"], counts["wrong_value"], counts["crash"]) == (1, 1, 1, 0)


def test_pass_at_k_is_unbiased_and_its_interval_is_one_of_tasks() -> None:
    def sample(passes: bool) -> CodeScore:
        return CodeScore("pass" if passes else "crash", passes, float(passes), "", "")

    tasks = [[sample(n < right) for n in range(4)] for right in (0, 1, 2, 4)]
    rates = pass_rates(tasks, (1, 2), seed=0)
    assert rates[1].value == pytest.approx((0 + 1 / 4 + 2 / 4 + 1) / 4)
    # 1 - C(n - c, 2) / C(n, 2): 0, 1 - 3/6, 1 - 1/6, 1
    assert rates[2].value == pytest.approx((0 + 1 / 2 + 5 / 6 + 1) / 4)
    assert rates[1].n == 4
