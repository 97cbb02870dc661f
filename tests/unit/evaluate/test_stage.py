"""The stage with a student that answers at once: what is asked, what is asked again, and what is said of it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from conftest import write_jsonl
from domain_on_disk import CHOICES, DomainOnDisk
from seedtune import runs
from seedtune.config import load_config
from seedtune.domains import load_domain
from seedtune.errors import DataError, EvaluationError
from seedtune.evaluate import inference
from seedtune.evaluate.answers import append_lines
from seedtune.evaluate.stage import run_evaluate
from seedtune.records import Message, Task

Line = dict[str, Any]

CLOZE = {"question": "Rye bread is raised with ____.", "answers": ["sourdough"], "topic": "basics", "citation": "p. 3"}
OPEN = {
    "question": "Why is dough left to rest?",
    "key_points": ["Gluten relaxes during the rest.", "Flour takes up the water."],
    "answer": "During the rest the gluten relaxes. The flour takes up the water.",
    "topic": "basics",
    "citation": "p. 4",
}


class FakeChat:
    """Renders turns so that a test can read them."""

    template_digest = "template"

    def __init__(self, *_: object) -> None:
        pass

    def prompt(self, turns: Sequence[Message]) -> str:
        return "\n---\n".join(f"{turn.role}: {turn.content}" for turn in turns)


class FakeStudent:
    """The base answers nothing and likes first options; the tuned one is told what to answer. Counts what is asked."""

    asked: list[tuple[str, str]]
    breaks_after: int | None
    says: dict[str, str]

    def __init__(self, *_: object) -> None:
        self.name = "tuned"

    def check_adapter(self, prompt: str) -> None:
        pass

    @contextmanager
    def variant(self, name: str) -> Iterator[None]:
        self.name = name
        yield

    def option_scores(self, choices: Sequence[inference.Choice]) -> list[list[float]]:
        self._count([choice.prompt for choice in choices])
        return [[-1.0 * place for place, _ in enumerate(choice.options)] for choice in choices]

    def answer(self, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
        self._count(prompts)
        if self.name == "base":
            return ["" for _ in prompts]
        return [next((text for part, text in self.says.items() if part in prompt), "True") for prompt in prompts]

    def _count(self, prompts: Sequence[str]) -> None:
        if self.breaks_after is not None and len(FakeStudent.asked) >= self.breaks_after:
            raise KeyboardInterrupt
        FakeStudent.asked += [(self.name, prompt) for prompt in prompts]


class Bench:
    """A run of the template domain with the suites of all types, trained as if."""

    def __init__(self, folder: Path) -> None:
        self.domain = DomainOnDisk(folder / "baking")
        write_jsonl(self.domain.folder / "evaluation/cloze.jsonl", [CLOZE])
        write_jsonl(self.domain.folder / "evaluation/open.jsonl", [OPEN])
        suites = {
            **{name: {"type": name, **self.files(name)} for name in ("multiple_choice", "true_false")},
            **{name: {"type": name, "items": f"evaluation/{name}.jsonl"} for name in ("cloze", "open")},
        }
        self.domain.describe(suites=suites, showcase=["What is a crumb?"])
        self.run = folder / "runs" / "run"
        self.rows: list[Line] = []
        self.weights = b"adapter"

    @staticmethod
    def files(name: str) -> dict[str, str]:
        return {split: f"evaluation/{split}/{name}.jsonl" for split in ("test", "dev")}

    def learns(self, instruction: str, output: str = "An answer.") -> None:
        """One more training row."""
        self.rows.append({"instruction": instruction, "input": "", "output": output, "pack": "knowledge"})

    def evaluate(self, *overrides: str) -> Line:
        """Run the stage; the report."""
        config = load_config(None, [f"runs_dir={self.run.parent}", *overrides])
        with runs.open_run(config) as run:
            adapter = run.folder("train") / "adapter"
            adapter.mkdir(exist_ok=True)
            write_jsonl(run.path / "generate" / "instructions.jsonl", self.rows)
            ids = [Task.model_validate({k: v for k, v in row.items() if k != "pack"}).id for row in self.rows]
            write_jsonl(run.path / "train" / "rows.jsonl", [{"id": key, "split": "train"} for key in ids])
            (adapter / "adapter_model.safetensors").write_bytes(self.weights)
            (adapter / "adapter_config.json").write_text("{}")
            with run.working("train", "any") as done:
                done([adapter / "adapter_model.safetensors", adapter / "adapter_config.json"], {})
            run_evaluate(run, load_domain(str(self.domain.folder)))
        return json.loads((self.run / "evaluate" / "report.json").read_text())

    def lines(self, name: str, folder: str = "evaluate") -> list[Line]:
        return [json.loads(line) for line in (self.run / folder / name).read_text().splitlines()]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(inference, "Student", FakeStudent)
    monkeypatch.setattr(inference, "Chat", FakeChat)
    monkeypatch.setattr(inference, "base_digest", lambda config: config.name)
    monkeypatch.setattr(FakeStudent, "asked", [], raising=False)
    monkeypatch.setattr(FakeStudent, "breaks_after", None, raising=False)
    monkeypatch.setattr(FakeStudent, "says", {}, raising=False)
    return Bench(tmp_path)


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
    with pytest.raises(EvaluationError, match="cloze and open need generate"):
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


def test_a_whole_model_in_the_place_of_the_adapter_is_refused(bench: Bench) -> None:
    with pytest.raises(EvaluationError, match=r"only adapters \(train\.method: lora\) are evaluated"):
        bench.evaluate("train.method=full")


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
        pytest.raises(EvaluationError, match="not the adapter that 'seedtune train' wrote"),
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
    assert (entry["base"]["coverage"]["value"], entry["tuned"]["coverage"]["value"]) == (0, 1)
    assert entry["coverage_gain"]["value"] == 1


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
    assert bench.evaluate()["looks"] == {"at_this_model": 1, "models": 1, "total": 1}
    bench.evaluate()
    bench.weights = b"another"
    assert bench.evaluate()["looks"] == {"at_this_model": 1, "models": 2, "total": 2}
    assert bench.evaluate("evaluate.limit=1")["looks"] == {"at_this_model": 2, "models": 2, "total": 3}
    assert "looked at 3 times" in (bench.run / "evaluate" / "report.md").read_text()


def test_dev_can_be_looked_at_as_often_as_one_likes(bench: Bench) -> None:
    assert "looks" not in bench.evaluate("evaluate.split=dev", "evaluate.suites=[true_false]")
    assert bench.evaluate()["looks"]["total"] == 1
