"""Two runs beside each other, and a run held to conditions: on files that a real evaluation wrote."""

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import seedtune, write_jsonl
from evaluation import Bench, FakeStudent
from seedtune.errors import ConfigError, EvaluationError
from seedtune.evaluate.compare import compare_runs, show_comparison
from seedtune.evaluate.gate import check_gate, show_gate
from seedtune.evaluate.statistics import Interval, gain, mcnemar

TRUTHS = ("evaluate.suites=[true_false]", "evaluate.methods=[generate]")


@pytest.fixture
def run(bench: Bench) -> Path:
    """An evaluated run whose tuned model says True to four statements, two of them true, and the base nothing."""
    bench.evaluate(*TRUTHS)
    return bench.run


def other_run(bench: Bench, *overrides: str) -> Path:
    """A run beside the first, of the same domain."""
    bench.run = bench.run.parent / "other"
    bench.evaluate("name=other", *overrides)
    return bench.run


def edit_report(run: Path, **values: Any) -> None:
    path = run / "evaluate" / "report.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


# Compare


def test_two_runs_are_compared_on_the_items_that_both_asked(bench: Bench, run: Path) -> None:
    FakeStudent.says = {"statement": "False"}
    other = other_run(bench, *TRUTHS)
    items = [json.loads(line) for line in (run / "evaluate" / "items.jsonl").read_text().splitlines()]
    write_jsonl(run / "evaluate" / "items.jsonl", items[1:])
    found = compare_runs(run, other)
    [job] = found.jobs
    truths = [line["right"] == ["True"] for line in items[1:]]
    test = mcnemar(truths, [not truth for truth in truths])
    assert (job.name, job.n, job.only_first, job.only_second) == ("true_false/generate", 3, 0, 1)
    assert job.correct == (sum(truths), 3 - sum(truths))
    assert (job.test, job.gain) == (test, gain(test, 3))


def test_runs_with_other_decoding_are_refused_and_the_setting_is_named(bench: Bench, run: Path) -> None:
    other = other_run(bench, *TRUTHS, "evaluate.max_new_tokens=5")
    with pytest.raises(EvaluationError, match=r"asked in different ways \(decoding: .+'max_new_tokens': 24"):
        compare_runs(run, other)


def test_runs_of_other_splits_are_refused(bench: Bench, run: Path) -> None:
    with pytest.raises(EvaluationError, match="split: test and dev"):
        compare_runs(run, other_run(bench, *TRUTHS, "evaluate.split=dev"))


def test_runs_without_a_common_item_are_refused(bench: Bench, run: Path) -> None:
    other = other_run(bench, "evaluate.suites=[cloze]", "evaluate.methods=[generate]")
    with pytest.raises(EvaluationError, match="no item in common"):
        compare_runs(run, other)


def test_another_base_and_template_are_noted_and_no_reason_to_refuse(bench: Bench, run: Path) -> None:
    other = other_run(bench, *TRUTHS)
    edit_report(other, base="another", chat_template="other")
    notes = " ".join(compare_runs(run, other).notes)
    assert "base models differ" in notes
    assert "chat templates differ: template and other" in notes
    assert "choose by dev" in notes


def test_a_suite_of_one_run_only_is_named(bench: Bench, run: Path) -> None:
    found = compare_runs(run, other_run(bench, "evaluate.suites=[true_false, cloze]", "evaluate.methods=[generate]"))
    assert any("other: cloze/generate" in note for note in found.notes)


@pytest.mark.parametrize("which", ["folder", "report", "version"])
def test_a_run_that_is_not_evaluated_says_what_to_do(bench: Bench, run: Path, tmp_path: Path, which: str) -> None:
    path = tmp_path / "nothing" if which == "folder" else run
    if which == "report":
        (run / "evaluate" / "report.json").write_text("{")
    if which == "version":
        (run / "evaluate" / "report.json").write_text("{}")
    with pytest.raises(EvaluationError, match=r"evaluate' first|evaluate again"):
        compare_runs(path, run)


def test_a_comparison_is_shown_as_a_table_or_json(bench: Bench, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = compare_runs(run, run)
    assert show_comparison(found, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["jobs"][0]["n"] == 4
    show_comparison(found, as_json=False)
    assert "No difference shown" in capsys.readouterr().out


# Gate


def test_a_gate_is_held_against_what_was_measured_or_with_confidence_against_the_bound(run: Path) -> None:
    """Two of four: 50%, Wilson 15.0% to 85.0%."""
    for bound, passed, confident in ((0.5, True, False), (0.51, False, False), (0.5, False, True), (0.15, True, True)):
        [condition] = check_gate(run, [f"true_false={bound}"], confident=confident)
        assert condition.passed is passed, (bound, confident)
        assert condition.interval == Interval(0.15, 0.85)


def test_a_suite_may_be_named_with_its_method(run: Path) -> None:
    [condition] = check_gate(run, ["true_false/generate=0.5"])
    assert condition.name == "true_false/generate"


def test_no_worse_than_its_own_base_looks_at_every_suites_gain(run: Path) -> None:
    [condition] = check_gate(run, [], "base", margin=0.05)
    assert (condition.measured, condition.passed) == (0.5, True)
    [condition] = check_gate(run, [], "base", margin=0.05, confident=True)
    assert condition.passed is (condition.interval.low >= -0.05)


def test_a_base_with_nothing_to_lose_is_no_evidence_that_nothing_was_lost(bench: Bench) -> None:
    FakeStudent.says = {"statement": "Bread."}
    bench.evaluate(*TRUTHS)
    [by_luck] = check_gate(bench.run, [], "base", margin=0.9)
    [confident] = check_gate(bench.run, [], "base", margin=0.9, confident=True)
    assert confident.interval.low > -0.9
    assert (by_luck.passed, confident.passed) == (True, False)
    assert "base is too weak for the question" in by_luck.line


def test_no_worse_than_another_run(bench: Bench, run: Path) -> None:
    FakeStudent.says = {"statement": "Bread."}
    worse = other_run(bench, *TRUTHS)
    assert check_gate(run, [], str(worse))[0].passed
    [condition] = check_gate(worse, [], str(run))
    assert (condition.measured, condition.passed) == (-0.5, False)
    assert check_gate(worse, [], str(run), margin=0.5)[0].passed


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ([], "needs a condition: --min SUITE=0.6"),
        (["true_false"], "--min true_false: expected SUITE=ACCURACY"),
        (["true_false=60"], "expected SUITE=ACCURACY from 0 to 1"),
        (["=0.5"], "expected SUITE=ACCURACY"),
        (["true_flase=0.6"], "no suite 'true_flase' was asked; did you mean 'true_false'"),
    ],
)
def test_a_gate_that_cannot_be_read_is_wrong_use(run: Path, conditions: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_gate(run, conditions)


@pytest.mark.parametrize("missing", ["run", "baseline"])
def test_a_run_folder_that_is_not_there_is_wrong_use(run: Path, missing: str) -> None:
    """Not the code of a condition that is not met: a mistyped baseline is no regression."""
    nowhere = run.parent / "nowhere"
    with pytest.raises(ConfigError, match="nowhere: there is no such run folder"):
        check_gate(nowhere, ["true_false=0.5"]) if missing == "run" else check_gate(run, [], str(nowhere))


def test_a_margin_is_a_share(run: Path) -> None:
    with pytest.raises(ConfigError, match=r"such as 0\.05 for five points"):
        check_gate(run, [], "base", margin=5)


def test_a_gate_shows_a_line_for_each_condition(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show_gate(check_gate(run, ["true_false=0.9"], "base"), as_json=False) == 1
    assert capsys.readouterr().out.splitlines() == [
        "FAIL: true_false/generate: 50.0% (15.0% to 85.0%); asked for: at least 90.0%",
        "pass: true_false/generate: +50.0 points over base (-23.5 to +85.0); asked for: no loss above 5 points "
        "(base is too weak for the question: it is not shown to be better than guessing)",
    ]
    assert show_gate(check_gate(run, ["true_false=0.1"]), as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True


@pytest.mark.parametrize(("bound", "code"), [("0.5", 0), ("0.9", 1), ("x", 2)])
def test_the_exit_code_of_the_command_is_for_a_build(run: Path, bound: str, code: int) -> None:
    result = seedtune("gate", run, "--min", f"true_false={bound}")
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr


def test_json_without_a_comparison_is_wrong_use() -> None:
    result = seedtune("evaluate", "--json")
    assert result.returncode == 2
    assert "--json goes with --compare" in result.stderr


def test_the_command_compares(run: Path) -> None:
    result = seedtune("evaluate", "--compare", run, run, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["first"] == str(run)
