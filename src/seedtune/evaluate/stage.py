"""Ask base and tuned model the same questions, score, compare.

Every answer is appended to ``records.jsonl`` as it comes; a broken-off evaluation goes on behind the last one, and what
was answered before, in whatever evaluation of this run, is not asked again. All else is derived from the answers.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from seedtune import console, models, runs
from seedtune.config import Config
from seedtune.domains import Domain
from seedtune.errors import EvaluationError
from seedtune.evaluate.answers import RECORDS, answer_key, append, earlier_answers, own_answers
from seedtune.evaluate.looks import look
from seedtune.evaluate.markdown import as_markdown
from seedtune.evaluate.overlap import Overlap, find_overlap, summary, training_tasks
from seedtune.evaluate.results import VARIANTS, Answers, caveats, compare_all, item_lines, judge
from seedtune.evaluate.suites import SHOWCASE, Job, Method, Question, plan_jobs, showcase_questions
from seedtune.records import Answer, content_id, file_sha256, write_atomic, write_records

if TYPE_CHECKING:
    from seedtune.evaluate.inference import Chat, Student

logger = logging.getLogger(__name__)

_WEIGHTS, _SETTINGS = "adapter_model.safetensors", "adapter_config.json"
_NAMED = 5
"""So many items are named in an error."""


@dataclass(frozen=True)
class _Open:
    """A question that is to be put to one of the models."""

    variant: Literal["base", "tuned"]
    suite: str
    method: Method
    question: Question
    prompt: str
    key: str

    @property
    def place(self) -> tuple[str, str, str]:
        return self.variant, f"{self.suite}/{self.method}", self.question.item_id


def run_evaluate(run: runs.Run, domain: Domain) -> None:
    """Do the stage, or what is left of it; nothing if it is done.

    Raises:
        EvaluationError: there is no adapter, it does not fit, it is not the one that was trained or changes nothing;
            the domain has no items; or training rows hold items and ``evaluate.fail_on_contamination`` is set.
    """
    config, adapter = run.config, _adapter(run)
    jobs = plan_jobs(domain, config.evaluate, config.seed)
    fingerprint = runs.fingerprint(
        config.evaluate.model_dump(mode="json", exclude={"batch_size"}),
        config.model.model_dump(mode="json"),
        [config.seed, domain.file.system_prompt, domain.file.showcase],
        run.output_digests("train"),
        [(job.name, [item.model_dump(mode="json") for item in job.items]) for job in jobs],
    )
    if run.is_done("evaluate", fingerprint):
        logger.info("evaluate: done before")
        return
    run.set_aside_if_other("evaluate", fingerprint)
    folder = run.folder("evaluate")
    with run.working("evaluate", fingerprint) as done:
        overlap = _overlap(run, domain, jobs)
        answers, about = _answer_all(config, domain, jobs, adapter, folder)
        contaminated = {job.suite: overlap.items(job.suite) for job in jobs}
        judged = judge(jobs, answers)
        report: dict[str, Any] = {
            "domain": domain.name,
            **about,
            "seed": config.seed,
            "split": config.evaluate.split,
            "shots": config.evaluate.shots,
            "suites": compare_all(jobs, judged, config.seed, contaminated),
            "contamination": summary(overlap),
        }
        if config.evaluate.split == "test":
            report["looks"] = look(folder, fingerprint, about["adapter_sha256"], [job.name for job in jobs])._asdict()
        report["caveats"] = caveats(report)
        write_records(folder / "items.jsonl", item_lines(jobs, answers, judged, contaminated))
        write_records(folder / "showcase.jsonl", _showcase(domain, answers))
        write_atomic(folder / "report.md", as_markdown(report))
        write_atomic(folder / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
        names = ("report.json", "report.md", "items.jsonl", "showcase.jsonl", RECORDS)
        done([folder / name for name in names], {})
        for name, entry in report["suites"].items():
            logger.info("evaluate: %s: %s", name, entry["verdict"])


def _adapter(run: runs.Run) -> Path:
    """The adapter's folder."""
    adapter = run.path / "train" / "adapter"
    if run.stage("train").get("state") != "done" or not adapter.is_dir():
        raise EvaluationError(f"{run.path}: there is no adapter yet: run 'seedtune train' first")
    if run.config.train.method == "full":
        raise EvaluationError(f"{adapter}: a whole model; only adapters (train.method: lora) are evaluated so far")
    written = run.output_digests("train")
    for name in (_WEIGHTS, _SETTINGS):
        digest = written.get(f"train/adapter/{name}")
        if not (adapter / name).is_file() or digest not in (None, file_sha256(adapter / name)):
            raise EvaluationError(
                f"{adapter / name}: this is not the adapter that 'seedtune train' wrote; restore it, or train again"
            )
    return adapter


def _overlap(run: runs.Run, domain: Domain, jobs: Sequence[Job]) -> Overlap:
    """What the training rows share with the items that are asked.

    Raises:
        EvaluationError: something, and ``evaluate.fail_on_contamination`` is set.
    """
    config = run.config.evaluate
    suites = [domain.suites[name].only(config.split) for name in dict.fromkeys(job.suite for job in jobs)]
    overlap = find_overlap(suites, *training_tasks(run, domain))
    if not overlap.found:
        return overlap
    named = [f"{found.suite} {found.item or 'canary'} ({found.how}: {found.detail})" for found in overlap.found]
    said = f"{len(named)} evaluation items stand in the training rows: {'; '.join(named[:_NAMED])}"
    said += "; ..." if len(named) > _NAMED else ""
    if config.fail_on_contamination:
        raise EvaluationError(
            f"{said}. Train without these rows (generate.decontaminate), or set evaluate.fail_on_contamination=false"
        )
    logger.warning("%s; they are reported apart", said)
    return overlap


def _answer_all(
    config: Config, domain: Domain, jobs: Sequence[Job], adapter: Path, folder: Path
) -> tuple[Answers, dict[str, str]]:
    """Every answer, and what they come from; the models are loaded only where something is left to ask."""
    from seedtune.evaluate.inference import Chat, Student, base_digest

    chat = Chat(config.model, domain.file.system_prompt)
    base = base_digest(config.model)
    tuned = content_id(base, [file_sha256(adapter / name) for name in (_WEIGHTS, _SETTINGS)])
    wanted = _wanted(config, domain, jobs, chat, {"base": base, "tuned": tuned})
    own = own_answers(folder)
    known = earlier_answers(folder) | own
    # Those of an evaluation before are written here as well: each folder holds all that it rests on.
    append(folder, [known[key] for key in {ask.key: None for ask in wanted} if key in known and key not in own])
    missing = list({ask.key: ask for ask in wanted if ask.key not in known}.values())
    if missing:
        student = Student(config.model, adapter, chat)
        student.check_adapter(missing[0].prompt)
        with console.progress("evaluate", len(wanted)) as advance:
            done = len(wanted) - len(missing)
            for batch in _batches(missing, config.evaluate.batch_size):
                answers = _ask(student, batch)
                append(folder, answers)
                known |= {answer.key: answer for answer in answers}
                done += len(batch)
                advance(done, f"{batch[0].variant}, {batch[0].suite}/{batch[0].method}")
    about = {
        "base": models.public_name(config.model.name),
        "base_digest": base,
        "adapter_sha256": file_sha256(adapter / _WEIGHTS),
        "chat_template": chat.template_digest,
    }
    return {ask.place: known[ask.key] for ask in wanted}, about


def _wanted(
    config: Config, domain: Domain, jobs: Sequence[Job], chat: "Chat", digests: Mapping[str, str]
) -> list[_Open]:
    """All that base and tuned model are to answer."""
    shown = showcase_questions(domain, config.evaluate.showcase_tokens)
    groups: list[tuple[str, Method, Sequence[Question]]] = [(job.suite, job.method, job.questions) for job in jobs]
    groups.append((SHOWCASE, "generate", shown))
    wanted: list[_Open] = []
    for suite, method, questions in groups:
        for question in questions:
            prompt = chat.prompt(question.turns)
            wanted += [
                _Open(variant, suite, method, question, prompt, answer_key(digests[variant], prompt, question))
                for variant in VARIANTS
            ]
    return wanted


def _batches(asks: Sequence[_Open], size: int) -> Iterator[list[_Open]]:
    """Questions of one model, suite and method together, the long ones apart from the short ones."""
    groups: dict[tuple[str, str, str], list[_Open]] = {}
    for ask in sorted(asks, key=lambda ask: ask.variant):
        groups.setdefault((ask.variant, ask.suite, ask.method), []).append(ask)
    for group in groups.values():
        group.sort(key=lambda ask: (len(ask.prompt), ask.key))
        for start in range(0, len(group), size):
            yield group[start : start + size]


def _ask(student: "Student", batch: Sequence[_Open]) -> list[Answer]:
    from seedtune.evaluate.inference import Choice

    first = batch[0]
    texts, scores = [""] * len(batch), [()] * len(batch)
    with student.variant(first.variant):
        if first.method == "loglikelihood":
            found = student.option_scores([Choice(ask.prompt, ask.question.options) for ask in batch])
            scores = [tuple(round(score, 4) for score in each) for each in found]
        else:
            texts = student.answer([ask.prompt for ask in batch], first.question.max_new_tokens)
    return [
        Answer(
            key=ask.key,
            item=ask.question.item_id,
            suite=ask.suite,
            method=ask.method,
            model=ask.variant,
            order=ask.question.order,
            text=text,
            scores=each,
        )
        for ask, text, each in zip(batch, texts, scores, strict=True)
    ]


def _showcase(domain: Domain, answers: Answers) -> list[dict[str, str]]:
    """Open questions answered by both, side by side."""
    job = f"{SHOWCASE}/generate"
    return [
        {
            "question": question,
            **{variant: answers[variant, job, content_id(question)].text for variant in VARIANTS},
        }
        for question in domain.file.showcase
    ]
