"""Ask base and tuned model the same questions, score, compare.

Every answer is appended to ``records.jsonl`` as it comes; a broken-off evaluation goes on behind the last one.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from seedtune import console, models, runs
from seedtune.config import EvaluateConfig
from seedtune.domains import Domain, Suite
from seedtune.errors import EvaluationError
from seedtune.evaluate.prompts import closed_question, open_question, option_order, spread
from seedtune.evaluate.scorers import choice_letter, truth_value
from seedtune.evaluate.statistics import mcnemar, verdict, wilson
from seedtune.records import (
    Answer,
    EvalItem,
    cut_torn_end,
    file_sha256,
    json_line,
    read_json_lines,
    read_records,
    write_atomic,
)

if TYPE_CHECKING:
    from seedtune.evaluate.inference import Student

logger = logging.getLogger(__name__)

Method = Literal["loglikelihood", "generate"]
T = TypeVar("T")
VARIANTS: tuple[Literal["base", "tuned"], ...] = ("base", "tuned")


class _Reply(NamedTuple):
    """What a model answered to one item."""

    choice: int | None
    text: str = ""
    scores: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Job:
    """The items of one suite, to be answered by one method."""

    suite: Suite
    method: Method
    items: tuple[EvalItem, ...]

    @property
    def name(self) -> str:
        return f"{self.suite.name}/{self.method}"


def run_evaluate(run: runs.Run, domain: Domain) -> None:
    """Do the stage, or what is left of it; nothing if it is done.

    Raises:
        EvaluationError: there is no adapter, it does not fit, or the domain has no items.
    """
    config = run.config
    adapter = run.path / "train" / "adapter"
    if run.stage("train").get("state") != "done" or not (adapter / "adapter_model.safetensors").is_file():
        raise EvaluationError(f"{run.path}: there is no adapter yet: run 'seedtune train' first")
    split = config.evaluate.split
    selected = [suite.only(split) for suite in domain.select_suites(config.evaluate.suites)]
    suites = [suite for suite in selected if suite.choices]
    if not suites:
        raise EvaluationError(
            f"{domain.folder}: no suite of type multiple_choice or true_false with a {split} file is selected; "
            "only these are scored so far"
        )
    jobs = [
        _Job(suite, method, tuple(spread(suite, config.evaluate.limit)))
        for suite in suites
        for method in config.evaluate.methods
    ]
    fingerprint = runs.fingerprint(
        config.evaluate.model_dump(mode="json", exclude={"batch_size"}),
        config.model.model_dump(mode="json"),
        [config.seed, domain.file.system_prompt, domain.file.showcase],
        run.output_digests("train"),
        [(job.name, [(item.id, item.answer) for item in job.items]) for job in jobs],
    )
    if run.is_done("evaluate", fingerprint):
        logger.info("evaluate: done before")
        return
    run.set_aside_if_other("evaluate", fingerprint)
    folder = run.folder("evaluate")
    with run.working("evaluate", fingerprint) as done:
        from seedtune.evaluate.inference import Student

        student = Student(config.model, adapter, domain.file.system_prompt)
        student.check_adapter(jobs[0].items[0].question)
        answers = _answer_all(student, jobs, config.evaluate, config.seed, folder / "records.jsonl")
        _showcase(student, domain.file.showcase, config.evaluate, folder / "showcase.jsonl")
        report = {
            "domain": domain.name,
            "base": models.public_name(config.model.name),
            "adapter_sha256": file_sha256(adapter / "adapter_model.safetensors"),
            "seed": config.seed,
            "split": split,
            "suites": {job.name: _compare(job, answers) for job in jobs},
        }
        write_atomic(folder / "report.json", json.dumps(report, indent=2) + "\n")
        outputs = [folder / name for name in ("report.json", "records.jsonl", "showcase.jsonl")]
        done([path for path in outputs if path.exists()], {})


def _answer_all(
    student: "Student", jobs: Sequence[_Job], config: EvaluateConfig, seed: int, path: Path
) -> dict[tuple[str, str, str], Answer]:
    """Every answer by (variant, job, item id); those already recorded are not asked again."""
    answers: dict[tuple[str, str, str], Answer] = {}
    if path.exists():
        cut_torn_end(path)
        for answer in read_records(path, Answer):
            answers[answer.model, f"{answer.suite}/{answer.method}", answer.item] = answer
    total = len(VARIANTS) * sum(len(job.items) for job in jobs)
    with console.progress("evaluate", total) as advance, path.open("a", encoding="utf-8") as file:
        for variant in VARIANTS:
            for job in jobs:
                missing = [item for item in job.items if (variant, job.name, item.id) not in answers]
                ask = _by_likelihood if job.method == "loglikelihood" else _by_writing
                for batch in _batches(missing, config.batch_size):
                    with student.variant(variant):
                        replies = ask(student, job.suite, batch, config, seed)
                    for item, reply in zip(batch, replies, strict=True):
                        answer = Answer(
                            item=item.id,
                            suite=job.suite.name,
                            method=job.method,
                            model=variant,
                            correct=reply.choice == item.key,
                            **reply._asdict(),
                        )
                        answers[variant, job.name, item.id] = answer
                        file.write(json_line(answer.model_dump(mode="json")))
                    file.flush()
                    advance(len(answers), f"{variant}, {job.name}")
    return answers


def _by_likelihood(
    student: "Student", suite: Suite, items: Sequence[EvalItem], config: EvaluateConfig, seed: int
) -> list[_Reply]:
    """The option with the highest log-likelihood, per byte where options differ in length (as lm-eval's acc_norm)."""
    from seedtune.evaluate.inference import Choice

    per_byte = suite.type == "multiple_choice"
    choices = [Choice(open_question(item, suite.type), item.options) for item in items]
    replies: list[_Reply] = []
    for item, scores in zip(items, student.option_scores(choices), strict=True):
        judged = [s / len(o.encode()) if per_byte else s for s, o in zip(scores, item.options, strict=True)]
        replies.append(_Reply(judged.index(max(judged)), scores=tuple(round(score, 4) for score in scores)))
    return replies


def _by_writing(
    student: "Student", suite: Suite, items: Sequence[EvalItem], config: EvaluateConfig, seed: int
) -> list[_Reply]:
    """The option that a written answer names; None where it names none."""
    orders = [option_order(item, seed) for item in items]
    questions = [closed_question(item, suite.type, order) for item, order in zip(items, orders, strict=True)]
    replies: list[_Reply] = []
    for item, order, text in zip(items, orders, student.answer(questions, config.max_new_tokens), strict=True):
        if suite.type == "true_false":
            choice = truth_value(text, item.options)
        else:
            listed = choice_letter(text, [item.options[index] for index in order])
            choice = None if listed is None else order[listed]
        replies.append(_Reply(choice, text=text))
    return replies


def _showcase(student: "Student", questions: Sequence[str], config: EvaluateConfig, path: Path) -> None:
    """Open questions answered by both, side by side."""
    known: dict[str, dict[str, str]] = {}
    if path.exists():
        cut_torn_end(path)
        known = {line["question"]: line for _, line in read_json_lines(path)}
    missing = [question for question in questions if question not in known]
    with console.progress("answers side by side", len(questions)) as advance, path.open("a", encoding="utf-8") as file:
        for batch in _batches(missing, config.batch_size):
            written: dict[str, list[str]] = {}
            for variant in VARIANTS:
                with student.variant(variant):
                    written[variant] = student.answer(batch, config.showcase_tokens)
            for question, base, tuned in zip(batch, written["base"], written["tuned"], strict=True):
                known[question] = {"question": question, "base": base, "tuned": tuned}
                file.write(json_line(known[question]))
            file.flush()
            advance(len(known))


def _compare(job: _Job, answers: dict[tuple[str, str, str], Answer]) -> dict[str, Any]:
    """Accuracy of both with Wilson 95% intervals, and the exact McNemar test between them."""
    by_variant = {variant: [answers[variant, job.name, item.id] for item in job.items] for variant in VARIANTS}
    test = mcnemar(*([answer.correct for answer in by_variant[variant]] for variant in VARIANTS))
    return {
        "n": len(job.items),
        "chance": round(sum(1 / len(item.options) for item in job.items) / len(job.items), 4),
        **{variant: _accuracy(group) for variant, group in by_variant.items()},
        "mcnemar": {"only_base": test.only_base, "only_tuned": test.only_tuned, "p": test.p},
        "verdict": verdict(test, len(job.items)),
    }


def _accuracy(answers: Sequence[Answer]) -> dict[str, Any]:
    correct = sum(answer.correct for answer in answers)
    return {
        "n": len(answers),
        "correct": correct,
        "accuracy": round(correct / len(answers), 4),
        "interval": [round(bound, 4) for bound in wilson(correct, len(answers))],
        "unparsed": sum(answer.choice is None for answer in answers),
    }


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
