"""The stage with a student that answers at once: what is asked, what is asked again, and what is said of it."""

from pathlib import Path
from typing import Any

import pytest

from conftest import write_jsonl
from domain_on_disk import CHOICES, DomainOnDisk
from evaluation import CLOZE, OPEN, Bench, FakeStudent
from seedtune import runs
from seedtune.config import load_config
from seedtune.domains import load_domain
from seedtune.errors import DataError, EvaluationError, RunError, SandboxError, SeedtuneError
from seedtune.evaluate.answers import append_lines
from seedtune.evaluate.stage import run_evaluate

TRUTHS = "evaluate.suites=[true_false]"


# What is asked


def test_suites_of_every_type_are_asked_by_the_methods_that_fit_them(bench: Bench) -> None:
    assert set(bench.evaluate()["suites"]) == {
        "multiple_choice/loglikelihood",
        "multiple_choice/generate",
        "true_false/loglikelihood",
        "true_false/generate",
        "cloze/generate",
        "open/generate",
    }


@pytest.mark.parametrize("split", ["test", "dev"])
def test_only_the_items_of_the_split_are_asked_and_the_report_says_which(bench: Bench, split: Any) -> None:
    report = bench.evaluate(f"evaluate.split={split}", "evaluate.suites=[true_false]")
    items = load_domain(str(bench.domain.folder)).suites["true_false"].files[split].items
    assert {line["item"] for line in bench.lines("items.jsonl")} == {item.id for item in items}
    assert report["split"] == split


def test_a_split_that_no_selected_suite_has_is_refused(bench: Bench) -> None:
    with pytest.raises(EvaluationError, match="no suite with a dev file"):
        bench.evaluate("evaluate.split=dev", "evaluate.suites=[open]")


def test_a_method_that_no_selected_suite_has_is_refused(bench: Bench) -> None:
    with pytest.raises(EvaluationError, match="need generate"):
        bench.evaluate("evaluate.methods=[loglikelihood]", "evaluate.suites=[cloze]")


def test_without_shots_the_question_stands_alone_and_with_them_behind_dev_items(bench: Bench) -> None:
    bench.evaluate("evaluate.suites=[true_false]", "evaluate.methods=[generate]")
    assert not any("assistant: " in prompt for _, prompt in FakeStudent.asked)
    FakeStudent.asked.clear()
    bench.evaluate("evaluate.suites=[true_false]", "evaluate.methods=[generate]", "evaluate.shots=1")
    dev = load_domain(str(bench.domain.folder)).suites["true_false"].files["dev"].items
    asked = [prompt for _, prompt in FakeStudent.asked]
    assert asked
    assert all(any(item.question in prompt for item in dev) for prompt in asked)
    assert all(prompt.count("assistant: ") == 1 for prompt in asked)


def test_more_shots_than_dev_has_are_refused(bench: Bench) -> None:
    with pytest.raises(
        EvaluationError, match=r"evaluate\.shots = 1 needs more than 1 items in 'dev:' of the suite open"
    ):
        bench.evaluate("evaluate.shots=1", "evaluate.suites=[open]")


def test_the_order_in_which_options_were_listed_is_recorded_and_read_back(bench: Bench) -> None:
    bench.evaluate("evaluate.suites=[multiple_choice]", "evaluate.methods=[generate]")
    answer = next(line for line in bench.lines("records.jsonl") if line["suite"] == "multiple_choice")
    item = next(
        i for i in load_domain(str(bench.domain.folder)).suites["multiple_choice"].choices if i.id == answer["item"]
    )
    listed = "\n".join(
        f"{letter}. {item.options[index]}" for letter, index in zip("ABCD", answer["order"], strict=True)
    )
    assert any(listed in prompt for _, prompt in FakeStudent.asked)


# Asked once


def test_a_broken_off_evaluation_goes_on_and_ends_with_the_same_bytes(bench: Bench, tmp_path: Path) -> None:
    other = Bench(tmp_path / "undisturbed")
    other.evaluate("evaluate.batch_size=2")
    whole, FakeStudent.asked[:] = list(FakeStudent.asked), []
    for after in (3, 9, 15):
        FakeStudent.breaks_after = after
        with pytest.raises(KeyboardInterrupt):
            bench.evaluate("evaluate.batch_size=2")
        with (bench.run / "evaluate" / "records.jsonl").open("a") as file:
            file.write('{"key": "to')
    FakeStudent.breaks_after = None
    bench.evaluate("evaluate.batch_size=2")
    assert sorted(FakeStudent.asked) == sorted(whole)
    for name in ("records.jsonl", "items.jsonl", "showcase.jsonl", "report.json", "report.md"):
        assert (bench.run / "evaluate" / name).read_bytes() == (other.run / "evaluate" / name).read_bytes(), name


def test_another_evaluation_asks_only_what_is_new(bench: Bench) -> None:
    bench.evaluate("evaluate.suites=[true_false, open]", "evaluate.limit=1")
    before, FakeStudent.asked[:] = set(FakeStudent.asked), []
    bench.evaluate("evaluate.suites=[true_false, open]", "seed=7")
    assert FakeStudent.asked
    assert not before & set(FakeStudent.asked)
    # The new folder holds all that it rests on.
    keys = [line["key"] for line in bench.lines("records.jsonl")]
    assert len(keys) == len(set(keys)) == 2 * (2 * 4 + 1 + 1)


def test_a_mended_key_is_judged_anew_without_asking(bench: Bench) -> None:
    FakeStudent.says = {"Rye bread": "yeast"}
    assert bench.evaluate("evaluate.suites=[cloze]")["suites"]["cloze/generate"]["tuned"]["correct"] == 0
    FakeStudent.asked.clear()
    mended = {**CLOZE, "answers": ["sourdough", "yeast"]}
    bench.domain.write("evaluation/cloze.jsonl", [mended])
    assert bench.evaluate("evaluate.suites=[cloze]")["suites"]["cloze/generate"]["tuned"]["correct"] == 1
    assert FakeStudent.asked == []


def test_another_adapter_is_asked_again_and_the_base_is_not(bench: Bench) -> None:
    bench.evaluate()
    FakeStudent.asked.clear()
    bench.weights = b"another"
    bench.evaluate()
    assert {name for name, _ in FakeStudent.asked} == {"tuned"}


def test_answers_of_an_earlier_version_are_left_alone(bench: Bench) -> None:
    write_jsonl(bench.run / "evaluate" / "records.jsonl", [{"item": "x", "correct": True}])
    bench.evaluate()
    assert bench.lines("records.jsonl", "evaluate.1") == [{"item": "x", "correct": True}]


def test_a_broken_line_of_its_own_is_named(bench: Bench) -> None:
    FakeStudent.breaks_after = 3
    with pytest.raises(KeyboardInterrupt):
        bench.evaluate()
    path = bench.run / "evaluate" / "records.jsonl"
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(DataError, match=r"records\.jsonl:1"):
        bench.evaluate()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"records\.jsonl: cannot be written: .+; free some space"):
        append_lines(tmp_path / "missing" / "records.jsonl", [{}])


# Which adapter


def test_the_adapter_is_named_by_its_hash(bench: Bench) -> None:
    import hashlib

    assert bench.evaluate()["adapter_sha256"] == hashlib.sha256(b"adapter").hexdigest()


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_an_adapter_that_training_did_not_write_is_refused(bench: Bench, name: str) -> None:
    bench.evaluate()
    path = bench.run / "train" / "adapter" / name
    path.write_bytes(b"swapped")
    with (
        runs.open_run(load_config(None, [f"runs_dir={bench.run.parent}"])) as run,
        pytest.raises(RunError, match="not what 'seedtune train' wrote"),
    ):
        run_evaluate(run, load_domain(str(bench.domain.folder)))


# What is said


def test_written_answers_have_strict_and_lenient_rates_and_those_not_parsed(bench: Bench) -> None:
    FakeStudent.says = {"Rye bread": "Rye bread is raised with sourdough."}
    entry = bench.evaluate()["suites"]["cloze/generate"]
    assert (entry["tuned"]["correct"], entry["tuned"]["also"]["strict"]["correct"]) == (1, 0)
    assert (entry["base"]["unparsed"], entry["tuned"]["unparsed"]) == (1, 0)


def test_an_open_answer_has_its_coverage(bench: Bench) -> None:
    FakeStudent.says = {"left to rest": OPEN["answer"]}
    entry = bench.evaluate()["suites"]["open/generate"]
    assert (entry["base"]["partial"]["value"], entry["tuned"]["partial"]["value"]) == (0, 1)
    assert entry["partial_gain"]["value"] == 1


def test_likelihoods_are_read_raw_and_normalised_by_length(bench: Bench) -> None:
    """The fake's scores are 0, -1, -2, ...: of all options the first is the most likely however lengths weigh."""
    entry = bench.evaluate()["suites"]["multiple_choice/loglikelihood"]
    assert entry["reading"] == "normalised"
    assert entry["base"]["also"]["raw"]["correct"] == entry["base"]["correct"]


def test_one_method_of_each_suite_goes_into_holms_correction(bench: Bench) -> None:
    suites = bench.evaluate()["suites"]
    assert {name for name, entry in suites.items() if entry["mcnemar"]["adjusted"] is not None} == {
        "multiple_choice/loglikelihood",
        "true_false/loglikelihood",
        "cloze/generate",
        "open/generate",
    }
    assert suites["true_false/generate"]["verdict"].startswith("Beside the suite's test, without correction: ")


def test_one_suite_alone_is_not_corrected(bench: Bench) -> None:
    [entry] = bench.evaluate("evaluate.suites=[cloze]")["suites"].values()
    assert entry["mcnemar"]["adjusted"] is None
    assert "Holm" not in entry["verdict"]


# Contamination


def test_clean_and_contaminated_items_are_counted_apart(bench: Bench) -> None:
    question = bench.domain.read(CHOICES)[-1]["question"]
    bench.learns(question)
    bench.learns("Describe the smell of a bakery at five in the morning.")
    report = bench.evaluate()
    [found] = report["contamination"]["items"]
    assert (found["suite"], found["how"]) == ("multiple_choice", "exact")
    assert report["contamination"]["rows"] == 2
    entry = report["suites"]["multiple_choice/generate"]
    assert (entry["clean"]["n"], entry["contaminated"]["n"]) == (entry["n"] - 1, 1)
    assert "clean" not in report["suites"]["open/generate"]
    assert [line["contaminated"] for line in bench.lines("items.jsonl")].count(True) == 2


def test_contamination_can_stop_the_evaluation_before_a_model_is_asked(bench: Bench) -> None:
    bench.learns(OPEN["question"])
    with pytest.raises(
        EvaluationError, match=r"1 evaluation items stand in the training rows: open [0-9a-f]{16} \(exact"
    ):
        bench.evaluate("evaluate.fail_on_contamination=true")
    assert FakeStudent.asked == []


def test_clean_training_rows_stop_nothing(bench: Bench) -> None:
    bench.learns("Describe the smell of a bakery at five in the morning.")
    assert bench.evaluate("evaluate.fail_on_contamination=true")["contamination"]["items"] == []


# Looks at the test items


def test_each_evaluation_on_test_is_a_look_and_the_report_counts_them(bench: Bench) -> None:
    assert bench.evaluate()["looks"] == {"at_this_model": 1, "models": 1, "runs": 1, "total": 1}
    bench.evaluate()
    bench.weights = b"another"
    assert bench.evaluate()["looks"] == {"at_this_model": 1, "models": 2, "runs": 1, "total": 2}
    assert bench.evaluate("evaluate.limit=1")["looks"] == {"at_this_model": 2, "models": 2, "runs": 1, "total": 3}
    assert "looked at 3 times" in (bench.run / "evaluate" / "report.md").read_text()


def test_one_adapter_under_two_names_was_looked_at_twice(bench: Bench) -> None:
    bench.evaluate()
    bench.run = bench.run.parent / "other"
    assert bench.evaluate("name=other", "evaluate.limit=1")["looks"] == {
        "at_this_model": 2,
        "models": 1,
        "runs": 2,
        "total": 2,
    }
    assert "looked at 2 times, in 2 runs, for 1 tuned models" in (bench.run / "evaluate" / "report.md").read_text()


def test_a_run_that_asked_other_suites_saw_other_items(bench: Bench) -> None:
    bench.evaluate("evaluate.suites=[cloze]")
    bench.run = bench.run.parent / "other"
    assert bench.evaluate("name=other", "evaluate.suites=[true_false]")["looks"]["total"] == 1


def test_dev_can_be_looked_at_as_often_as_one_likes(bench: Bench) -> None:
    assert "looks" not in bench.evaluate("evaluate.split=dev", "evaluate.suites=[true_false]")
    assert bench.evaluate()["looks"]["total"] == 1


# Items of one's own


MINE = {"statement": "A loaf cools faster when it is cut.", "answer": True, "topic": "basics", "citation": "p. 9"}


def test_own_items_are_a_suite_named_after_their_file_and_told_by_their_content(bench: Bench, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "mine.jsonl", [MINE])
    report = bench.evaluate("evaluate.suites=[]", f"evaluate.items=[{tmp_path / 'mine.jsonl'}]")
    assert set(report["suites"]) == {"mine/loglikelihood", "mine/generate"}
    assert {entry["type"] for entry in report["suites"].values()} == {"true_false"}
    assert report["suites"]["mine/generate"]["part"] == "own"


def test_own_items_that_were_trained_on_are_contaminated(bench: Bench, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "mine.jsonl", [MINE])
    bench.learns(MINE["statement"])
    report = bench.evaluate("evaluate.suites=[]", f"evaluate.items=[{tmp_path / 'mine.jsonl'}]")
    assert [found["suite"] for found in report["contamination"]["items"]] == ["mine"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({**MINE, "answer": "perhaps"}, r"mine\.jsonl:1: answer"),
        ({"question": "Why?"}, "does not tell what the items are"),
        ({"question": "What?", "options": ["a", "b"], "answer": "c"}, r"mine\.jsonl:1: .*'c' is not among"),
    ],
)
def test_unsound_own_items_are_named_with_file_and_line(bench: Bench, tmp_path: Path, line: Any, said: str) -> None:
    write_jsonl(tmp_path / "mine.jsonl", [line])
    with pytest.raises(SeedtuneError, match=said):
        bench.evaluate(f"evaluate.items=[{tmp_path / 'mine.jsonl'}]")
    assert FakeStudent.asked == []


def test_an_own_item_that_repeats_one_of_the_domains_is_refused(bench: Bench, tmp_path: Path) -> None:
    [first] = bench.domain.read(CHOICES)[-1:]
    write_jsonl(tmp_path / "mine.jsonl", [first])
    with pytest.raises(EvaluationError, match=r"mine\.jsonl:1: .*nearly the same"):
        bench.evaluate(f"evaluate.items=[{tmp_path / 'mine.jsonl'}]")


def test_what_the_lint_says_of_a_file_as_a_whole_is_a_warning(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    longest = {"topic": "basics", "citation": "p. 9", "answer": "the option that is longest by far"}
    subjects = ("oven", "peel", "salt", "malt", "lame", "wheat", "crust", "steam", "yeast", "stone")
    lines = [
        {**longest, "question": f"{word} {word}s {word}ing?", "options": ["one", f"two {word}", longest["answer"]]}
        for word in subjects
    ]
    write_jsonl(tmp_path / "mine.jsonl", lines)
    bench.evaluate("evaluate.suites=[]", f"evaluate.items=[{tmp_path / 'mine.jsonl'}]")
    assert "longest in 100% of the items" in caplog.text


# What was forgotten


def test_a_general_domain_is_asked_beside_and_tested_for_no_worse(bench: Bench, tmp_path: Path) -> None:
    other = DomainOnDisk(tmp_path / "general")
    other.describe(name="general")
    report = bench.evaluate(TRUTHS, f"evaluate.general={other.folder}", "evaluate.margin=0.2")
    asked = {name for name, entry in report["suites"].items() if entry["part"] == "general"}
    assert {name.partition(":")[0] for name in asked} == {"general"}
    found = report["forgetting"]
    assert found["margin"] == 0.2
    assert found["n"] == sum(entry["n"] for entry in found["suites"].values())
    assert report["suites"]["true_false/loglikelihood"]["mcnemar"]["adjusted"] is None
    assert "## What was forgotten" in (bench.run / "evaluate" / "report.md").read_text()
    assert not any("forgot" in said for said in report["caveats"])


def test_a_report_without_a_general_domain_says_that_forgetting_was_not_measured(bench: Bench) -> None:
    assert any("evaluate.general=general" in said for said in bench.evaluate(TRUTHS)["caveats"])


# Programs


PROGRAMS = """
from seedtune.sandbox import Program, run_code

def run_program(source, data, limits):
    return run_code(Program(source, data.files, [], {}, data.arguments), limits)

def misuse(stderr):
    return ""
"""
CODE = {
    "question": "The file dough.txt holds numbers, one a line. Print their sum as a JSON object with the field `sum`.",
    "family": "sums",
    "topic": "basics",
    "citation": "p. 5",
    "reference": "import json\nprint(json.dumps({'sum': sum(map(int, open('dough.txt')))}))",
    "cases": [
        {"files": ["data/few.txt"], "names": ["dough.txt"], "expected": [{"sum": 3}]},
        {"files": ["data/more.txt"], "names": ["dough.txt"], "expected": [{"sum": 10}], "held_out": True},
    ],
}


@pytest.fixture
def code(bench: Bench) -> Bench:
    """The bench with one code item and the data it is run on."""
    write_jsonl(bench.domain.folder / "evaluation/code.jsonl", [CODE])
    (bench.domain.folder / "programs.py").write_text(PROGRAMS)
    (bench.domain.folder / "data").mkdir()
    (bench.domain.folder / "data/few.txt").write_text("1\n2\n")
    (bench.domain.folder / "data/more.txt").write_text("3\n7\n")
    bench.domain.describe(suites={"code": {"type": "code", "items": "evaluation/code.jsonl"}})
    return bench


def test_programs_are_run_and_what_became_of_them_is_counted(code: Bench) -> None:
    FakeStudent.says = {"dough.txt": f"```python\n{CODE['reference']}\n```"}
    entry = code.evaluate()["suites"]["code/generate"]
    assert (entry["base"]["classes"]["no_code"], entry["tuned"]["classes"]["pass"]) == (1, 1)
    assert (entry["base"]["correct"], entry["tuned"]["correct"]) == (0, 1)
    assert (entry["tuned"]["partial"]["value"], entry["tuned"]["pass_at"]["1"]["value"]) == (1, 1)
    [line] = code.lines("items.jsonl")
    assert [case["held_out"] for case in line["tuned"]["code"]["cases"]] == [False, True]
    assert '{"sum": 3}' in line["tuned"]["code"]["cases"][0]["stdout"]
    page = (code.run / "evaluate" / "report.md").read_text()
    assert "| pass | 0 | 1 |" in page
    assert "| pass@1 | 0.0%" in page


def test_a_program_with_the_shown_answer_in_it_does_not_pass(code: Bench) -> None:
    FakeStudent.says = {"dough.txt": "```python\nprint('{\"sum\": 3}')\n```"}
    entry = code.evaluate()["suites"]["code/generate"]
    assert (entry["tuned"]["classes"]["wrong_value"], entry["tuned"]["partial"]["value"]) == (1, 0)


def test_several_programs_for_each_item_give_pass_at_k(code: Bench) -> None:
    """Of three samples the first is wrong: the one test looks at the first, pass@k at all."""
    said = ["no", f"```python\n{CODE['reference']}\n```", "no"]
    FakeStudent.says = {}

    def answer(student: FakeStudent, questions: Any, family: str) -> list[str]:
        return [said[question.sample] if student.name == "tuned" else "" for _, question in questions]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeStudent, "answer", answer)
        code.domain.describe(showcase=[])
        entry = code.evaluate("evaluate.samples=3")["suites"]["code/generate"]
    assert entry["tuned"]["correct"] == 0
    assert entry["tuned"]["classes"] | {"pass": 1, "no_code": 2} == entry["tuned"]["classes"]
    rates = {k: estimate["value"] for k, estimate in entry["tuned"]["pass_at"].items()}
    assert rates == {"1": pytest.approx(1 / 3, abs=1e-4), "3": 1}
    assert entry["pass_gain"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert len({line["key"] for line in code.lines("records.jsonl")}) == 6


@pytest.fixture
def no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seedtune.sandbox.levels.best_level", lambda: (None, "bubblewrap: not here"))


@pytest.mark.usefixtures("no_sandbox")
def test_where_no_program_can_be_run_their_suite_is_left_out_and_the_report_says_so(code: Bench) -> None:
    code.domain.describe(
        suites={
            "code": {"type": "code", "items": "evaluation/code.jsonl"},
            "multiple_choice": {"type": "multiple_choice", "items": CHOICES},
        }
    )
    report = code.evaluate()
    assert set(report["suites"]) == {"multiple_choice/loglikelihood", "multiple_choice/generate"}
    [said] = [said for said in report["caveats"] if "left out" in said]
    assert said.startswith("code was left out: programs cannot be run safely here: bubblewrap: not here.")
    assert said in (code.run / "evaluate" / "report.md").read_text()


@pytest.mark.usefixtures("no_sandbox")
def test_programs_that_are_asked_for_by_name_and_cannot_be_run_are_an_error_before_a_model_is_asked(
    code: Bench,
) -> None:
    with pytest.raises(SandboxError, match=r"cannot be run safely here.* leave code out of evaluate\.suites"):
        code.evaluate("evaluate.suites=[code]")
    assert not FakeStudent.asked
