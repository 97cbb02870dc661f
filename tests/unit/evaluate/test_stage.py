"""Which items the stage asks: those of the test files, or those of dev while one chooses."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from seedtune import runs
from seedtune.config import load_config
from seedtune.domains import Domain, load_domain
from seedtune.errors import EvaluationError
from seedtune.evaluate import inference
from seedtune.evaluate.stage import run_evaluate

FILES = {"test": "evaluation/test/true_false.jsonl", "dev": "evaluation/dev/true_false.jsonl"}


class AgreeableStudent:
    """Holds every first option likely; the tuned one answers as the base does."""

    def __init__(self, *arguments: object) -> None:
        pass

    def check_adapter(self, question: str) -> None:
        pass

    @contextmanager
    def variant(self, name: str) -> Iterator[None]:
        yield

    def option_scores(self, choices: Sequence[inference.Choice]) -> list[list[float]]:
        return [[-1.0 * place for place, _ in enumerate(choice.options)] for choice in choices]

    def answer(self, questions: Sequence[str], max_new_tokens: int) -> list[str]:
        return ["True" for _ in questions]


@pytest.fixture
def evaluate(tmp_path: Path, domain_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the stage on the template domain with these overrides; what it wrote."""
    monkeypatch.setattr(inference, "Student", AgreeableStudent)

    def run(*overrides: str, domain: Domain | None = None) -> tuple[set[str], dict[str, Any]]:
        config = load_config(None, [f"runs_dir={tmp_path / 'runs'}", "evaluate.suites=[true_false]", *overrides])
        with runs.open_run(config) as opened:
            adapter = opened.folder("train") / "adapter" / "adapter_model.safetensors"
            adapter.parent.mkdir(exist_ok=True)
            adapter.write_bytes(b"adapter")
            with opened.working("train", "any") as done:
                done([adapter], {})
            run_evaluate(opened, domain or load_domain(str(domain_folder)))
            folder = opened.path / "evaluate"
        answers = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
        return {answer["item"] for answer in answers}, json.loads((folder / "report.json").read_text())

    return run


@pytest.mark.parametrize(("overrides", "split"), [([], "test"), (["evaluate.split=dev"], "dev")])
def test_only_the_items_of_the_split_are_asked_and_the_report_says_which(
    evaluate: Any, domain_folder: Path, overrides: list[str], split: Any
) -> None:
    asked, report = evaluate(*overrides)
    assert asked == {item.id for item in load_domain(str(domain_folder)).suites["true_false"].files[split].items}
    assert report["split"] == split


def test_another_split_is_another_evaluation(evaluate: Any) -> None:
    test, _ = evaluate()
    dev, _ = evaluate("evaluate.split=dev")
    assert not test & dev


def test_dev_of_a_domain_that_is_not_split_is_refused(evaluate: Any, domain_folder: Path) -> None:
    description = domain_folder / "domain.yaml"
    description.write_text(description.read_text().replace(f"    dev: {FILES['dev']}\n", ""))
    with pytest.raises(EvaluationError, match="no suite of type multiple_choice or true_false with a dev file"):
        evaluate("evaluate.split=dev")
