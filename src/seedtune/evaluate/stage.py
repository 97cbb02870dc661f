"""Ask base, tuned model and rivals the same questions, score, compare.

Every answer is appended to ``records.jsonl`` as it comes; a broken-off evaluation goes on behind the last one, and what
was answered before, in whatever evaluation of this run, is not asked again. All else is derived from the answers.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedtune import console, models, runs
from seedtune.config import Config, EndpointRivalConfig, ModelConfig
from seedtune.domains import Domain, load_domain
from seedtune.errors import EvaluationError, SandboxError
from seedtune.evaluate.answers import RECORDS, answer_key, append, earlier_answers, own_answers
from seedtune.evaluate.asking import Ask
from seedtune.evaluate.caveats import caveats
from seedtune.evaluate.looks import Looks, look
from seedtune.evaluate.markdown import as_markdown
from seedtune.evaluate.outcomes import Answers, judge
from seedtune.evaluate.overlap import Overlap, find_overlap, summary, training_tasks
from seedtune.evaluate.own_items import own_suites
from seedtune.evaluate.pairs import JUDGE, judge_pairs, plan_pairs, read_marks, tally
from seedtune.evaluate.programs import CodeRunner
from seedtune.evaluate.results import compare_all, forgetting, item_lines
from seedtune.evaluate.subjects import Endpoint, Local, Subject, subjects_of
from seedtune.evaluate.suites import (
    SHOWCASE,
    Chosen,
    Job,
    Method,
    Question,
    choose_suites,
    plan_jobs,
    showcase_questions,
)
from seedtune.records import Answer, content_id, file_sha256, write_atomic, write_records

if TYPE_CHECKING:
    from seedtune.evaluate.inference import Chat

logger = logging.getLogger(__name__)

_NAMED = 5
"""So many items are named in an error."""
_HOW_NOT_WHAT = {"batch_size", "limits", "models", "judge", "marks"}
"""Settings that change no answer, or of which only a part does."""
DECODING = {"max_new_tokens", "exact_tokens", "open_tokens", "code_tokens", "samples", "temperature"}
"""Settings that shape a written answer."""


@dataclass(frozen=True)
class _Plan:
    """What an evaluation is."""

    config: Config
    domain: Domain
    subjects: list[Subject]
    jobs: list[Job]
    chosen: list[Chosen]
    runners: Mapping[Path, CodeRunner]
    """Of the programs that are asked for, by the folder of the domain."""
    left_out: Mapping[str, str]
    """Suites that cannot be asked here, and why."""


def run_evaluate(run: runs.Run, domain: Domain) -> None:
    """Do the stage, or what is left of it; nothing if it is done and every question has an answer.

    Raises:
        EvaluationError: there is no tuned model and no rival, an adapter does not fit, is not the one that was trained
            or changes nothing; there are no items, or they are unsound; or training rows hold items and
            ``evaluate.fail_on_contamination`` is set.
        SandboxError: programs are asked for by name, and none can be run here.
        TeacherError: the endpoint of a rival has never answered.
        LimitReached: ``evaluate.limits``; all answers are kept.
    """
    config, plan = run.config, _plan(run, domain)
    fingerprint = _fingerprint(run, plan)
    if run.is_done("evaluate", fingerprint) and not run.stage("evaluate")["numbers"].get("errors"):
        logger.info("evaluate: done before")
        return
    run.set_aside_if_other("evaluate", fingerprint)
    folder = run.folder("evaluate")
    with run.working("evaluate", fingerprint) as done:
        overlap = _overlap(run, plan) if run.stage("train").get("state") == "done" else Overlap(0, 0)
        answers, about = _answer_all(plan, folder)
        judgement = _judge_pairs(plan, answers, folder)
        names = [subject.name for subject in plan.subjects]
        judged = judge(plan.jobs, names, answers, plan.runners)
        contaminated = {job.suite: overlap.items(job.suite) for job in plan.jobs}
        report: dict[str, Any] = {
            "domain": domain.name,
            **about,
            "reference": config.evaluate.reference,
            "seed": config.seed,
            "split": config.evaluate.split,
            "shots": config.evaluate.shots,
            "decoding": config.evaluate.model_dump(include=DECODING),
            "suites": compare_all(plan.jobs, judged, config.seed, contaminated, config.evaluate.reference),
            "forgetting": forgetting(plan.jobs, judged, config.evaluate.margin),
            "judge": judgement,
            "contamination": summary(overlap),
            "left_out": plan.left_out,
        }
        if config.evaluate.split == "test":
            tuned = about["models"].get("tuned", about["models"]["base"])["digest"]
            report["looks"] = _looks(plan, folder, fingerprint, tuned)._asdict()
        report["caveats"] = caveats(report)
        write_records(folder / "items.jsonl", item_lines(plan.jobs, judged, contaminated))
        write_records(folder / "showcase.jsonl", _showcase(plan, answers))
        write_atomic(folder / "report.md", as_markdown(report))
        write_atomic(folder / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
        files = ("report.json", "report.md", "items.jsonl", "showcase.jsonl", RECORDS)
        errors = sum(bool(answer.error) for answer in answers.values())
        done([folder / name for name in files], {"errors": errors})
        _log_verdicts(report)


def _looks(plan: _Plan, folder: Path, evaluation: str, model: str) -> Looks:
    asked = {job.suite for job in plan.jobs}
    # The whole suites: who asks a part of the items by evaluate.limit has looked at them as well.
    items = {
        each.suite.name: content_id(sorted(item.id for item in each.asked.items))
        for each in plan.chosen
        if each.suite.name in asked
    }
    return look(folder, evaluation, model, [job.name for job in plan.jobs], items)


def _log_verdicts(report: Mapping[str, Any]) -> None:
    for name, entry in report["suites"].items():
        if "verdict" in entry:
            logger.info("evaluate: %s: %s", name, entry["verdict"])
        for rival, result in entry["rivals"].items():
            if "verdict" in result:
                logger.info("evaluate: %s, %s against %s: %s", name, rival, result["against"], result["verdict"])
    if report["forgetting"]:
        logger.info("evaluate: forgetting: %s", report["forgetting"]["verdict"])


def _plan(run: runs.Run, domain: Domain) -> _Plan:
    config = run.config
    general = load_domain(config.evaluate.general) if config.evaluate.general is not None else None
    own = own_suites(config.evaluate.item_files, domain)
    subjects = subjects_of(run)
    chosen = choose_suites(domain, config.evaluate, own, general)
    runners, why_not = _runners(chosen)
    left_out = {each.suite.name: why_not for each in chosen if each.suite.type == "code" and why_not}
    if left_out and config.evaluate.suites is not None:
        raise SandboxError(f"{why_not}. Or leave {', '.join(left_out)} out of evaluate.suites")
    for name in left_out:
        logger.warning("the suite %s is left out: %s", name, why_not)
    chosen = [each for each in chosen if each.suite.name not in left_out]
    jobs = plan_jobs(chosen, config.evaluate, config.seed)
    return _Plan(config, domain, subjects, jobs, chosen, runners, left_out)


def _fingerprint(run: runs.Run, plan: _Plan) -> str:
    settings = run.config.evaluate.model_dump(mode="json", exclude=_HOW_NOT_WHAT)
    rivals = {
        name: _endpoint(rival) if isinstance(rival, EndpointRivalConfig) else rival.model_dump(mode="json")
        for name, rival in run.config.evaluate.models.items()
    }
    return runs.fingerprint(
        [settings, rivals, *_judging(run.config)],
        run.config.model.model_dump(mode="json"),
        [run.config.seed, plan.domain.file.system_prompt, plan.domain.file.showcase],
        list({each.domain.folder: each.domain.file.system_prompt for each in plan.chosen}.values()),
        run.output_digests("train"),
        [(job.name, [item.model_dump(mode="json") for item in job.items]) for job in plan.jobs],
    )


def _judging(config: Config) -> list[Any]:
    """What the judge's part of the report rests on, beside the answers."""
    judge, marks = config.evaluate.judge, config.evaluate.marks
    if judge is None:
        return []
    return [_endpoint(judge), read_marks(marks) if marks else {}]


def _endpoint(config: EndpointRivalConfig) -> list[Any]:
    """What an endpoint's answers are known by."""
    return [Endpoint("", config).digest, config.tokenizer]


def _overlap(run: runs.Run, plan: _Plan) -> Overlap:
    """What the training rows share with the items that are asked.

    Raises:
        EvaluationError: something, and ``evaluate.fail_on_contamination`` is set.
    """
    overlap = find_overlap([each.asked for each in plan.chosen], *training_tasks(run, plan.domain))
    if not overlap.found:
        return overlap
    named = [f"{found.suite} {found.item or 'canary'} ({found.how}: {found.detail})" for found in overlap.found]
    said = f"{len(named)} evaluation items stand in the training rows: {'; '.join(named[:_NAMED])}"
    said += "; ..." if len(named) > _NAMED else ""
    if run.config.evaluate.fail_on_contamination:
        raise EvaluationError(
            f"{said}. Train without these rows (generate.decontaminate), or set evaluate.fail_on_contamination=false"
        )
    logger.warning("%s; they are reported apart", said)
    return overlap


def _runners(chosen: Sequence[Chosen]) -> tuple[dict[Path, CodeRunner], str]:
    """What runs the programs of the suites that ask for some, and why nothing can: empty where it can."""
    domains = {each.domain.folder: each.domain for each in chosen if each.suite.type == "code"}
    runners = {folder: CodeRunner(domain) for folder, domain in domains.items()}
    try:
        for runner in runners.values():
            runner.prepare()
    except SandboxError as problem:
        return {}, str(problem)
    return runners, ""


def _answer_all(plan: _Plan, folder: Path) -> tuple[Answers, dict[str, Any]]:
    """Every answer, and what they come from; models are loaded only where something is left to ask of them."""
    from seedtune.evaluate.inference import Chat, base_digest

    chats: dict[ModelConfig, Chat] = {}
    digests: dict[str, str] = {}
    for subject in plan.subjects:
        if isinstance(subject, Local):
            chats.setdefault(subject.model, Chat(subject.model))
            digests[subject.name] = subject.digest(base_digest(subject.model))
        else:
            digests[subject.name] = subject.digest
    readers = {subject.name: _reader(subject, chats) for subject in plan.subjects}
    wanted = _wanted(plan, readers, digests)
    known = _known(wanted, folder)
    _ask_missing(plan, wanted, known, chats, folder)
    return {ask.place: known[ask.key] for ask in wanted if ask.key in known}, _about(plan, chats, readers, digests)


def _known(wanted: Sequence[Ask], folder: Path) -> dict[str, Answer]:
    """Answers by key of this evaluation and of those before it."""
    own = own_answers(folder)
    known = {key: answer for key, answer in earlier_answers(folder).items() if not answer.error} | own
    # Those of an evaluation before are written here as well: each folder holds all that it rests on.
    append(folder, [known[key] for key in {ask.key: None for ask in wanted} if key in known and key not in own])
    return known


def _missing(wanted: Sequence[Ask], known: Mapping[str, Answer]) -> list[Ask]:
    """What has no answer, or an error for one."""
    return list({ask.key: ask for ask in wanted if ask.key not in known or known[ask.key].error}.values())


def _reader(subject: Subject, chats: dict[ModelConfig, "Chat"]) -> "Chat | None":
    """What writes a model's prompts; None for an endpoint, which does so itself."""
    from seedtune.evaluate.inference import Chat

    if isinstance(subject, Local):
        return chats[subject.model]
    if subject.config.tokenizer is None:
        return None
    return Chat(ModelConfig(name=subject.config.tokenizer))


def _wanted(plan: _Plan, readers: Mapping[str, "Chat | None"], digests: Mapping[str, str]) -> list[Ask]:
    """All that the models are to answer."""
    from seedtune.evaluate.endpoints import conversation

    shown = showcase_questions(plan.domain, plan.config.evaluate.showcase_tokens)
    groups: list[tuple[str, Method, Sequence[Question]]] = [(job.suite, job.method, job.questions) for job in plan.jobs]
    groups.append((SHOWCASE, "generate", shown))
    wanted: list[Ask] = []
    for suite, method, questions in groups:
        for question in questions:
            for subject in plan.subjects:
                reader = readers[subject.name]
                if isinstance(subject, Endpoint) and method == "generate":
                    prompt = conversation(question.turns)
                elif reader is not None:
                    prompt = reader.prompt(question.turns)
                else:
                    continue
                key = answer_key(digests[subject.name], prompt, question)
                wanted.append(Ask(subject.name, suite, method, question, prompt, key))
    return wanted


def _ask_missing(
    plan: _Plan, wanted: Sequence[Ask], known: dict[str, Answer], chats: dict[ModelConfig, "Chat"], folder: Path
) -> None:
    """Ask what has no answer, or an error for one; ``known`` and the folder get the answers as they come."""
    from seedtune.evaluate.endpoints import Asking, Books
    from seedtune.evaluate.local import ask_locals

    missing = _missing(wanted, known)
    if not missing:
        return
    config = plan.config.evaluate
    left = {name: [ask for ask in missing if ask.subject == name] for name in {ask.subject for ask in missing}}
    local = [subject for subject in plan.subjects if isinstance(subject, Local)]
    rivals = [subject for subject in plan.subjects if isinstance(subject, Endpoint)]
    books = Books(config.limits, rivals, list(known.values()))
    with console.progress("evaluate", len(wanted)) as advance:
        done = [len(wanted) - len(missing)]

        def keep(answers: list[Answer]) -> None:
            # An error that is followed by an error says nothing new.
            append(folder, [answer for answer in answers if not (answer.error and answer.key in known)])
            known.update({answer.key: answer for answer in answers})
            done[0] += len(answers)
            advance(done[0], f"{answers[0].model}, {answers[0].suite}/{answers[0].method}")

        # First those that may turn out not to be there at all.
        for rival in rivals:
            if asks := left.get(rival.name):
                answered = any(answer.model == rival.name and not answer.error for answer in known.values())
                Asking(rival, asks, books, keep, plan.config.seed).run(_reader(rival, chats), answered)
        ask_locals(local, missing, chats, config.batch_size, keep)


def _judge_pairs(plan: _Plan, answers: Answers, folder: Path) -> dict[str, Any]:
    """What a judge says of the open answers of base and tuned model; empty without one."""
    config = plan.config.evaluate
    if config.judge is None:
        return {}
    judge = Endpoint(JUDGE, config.judge)
    pairs = plan_pairs(plan.jobs, answers, judge)
    wanted = [ask for pair in pairs for ask in pair.asks]
    known = _known(wanted, folder)
    missing = _missing(wanted, known)
    if missing:
        from seedtune.evaluate.endpoints import Asking, Books

        rivals = [subject for subject in plan.subjects if isinstance(subject, Endpoint)]
        books = Books(config.limits, [*rivals, judge], list(known.values()))
        with console.progress("judge", len(wanted)) as advance:

            def keep(replies: list[Answer]) -> None:
                append(folder, replies)
                known.update({reply.key: reply for reply in replies})
                advance(sum(ask.key in known for ask in wanted), "open answers")

            Asking(judge, missing, books, keep, plan.config.seed).run(None, len(missing) < len(wanted))
    lines = judge_pairs(pairs, known)
    write_records(folder / "judgements.jsonl", lines)
    marks = read_marks(config.marks) if config.marks else {}
    if unknown := sorted(marks.keys() - {line["item"] for line in lines}):
        named = f"{', '.join(unknown[:_NAMED])}{', ...' if len(unknown) > _NAMED else ''}"
        logger.warning("%s: %d marks are of items that were not judged here: %s", config.marks, len(unknown), named)
    return {"model": judge.title, **tally(lines, marks)}


def _about(
    plan: _Plan, chats: Mapping[ModelConfig, "Chat"], readers: Mapping[str, "Chat | None"], digests: Mapping[str, str]
) -> dict[str, Any]:
    """What the answers come from."""
    tuned = next((subject for subject in plan.subjects if subject.name == "tuned"), None)
    adapter = tuned.adapter if isinstance(tuned, Local) else None
    described: dict[str, dict[str, Any]] = {}
    for subject in plan.subjects:
        reader = readers[subject.name]
        described[subject.name] = {
            "title": subject.title,
            "type": "local" if isinstance(subject, Local) else "openai",
            "digest": digests[subject.name],
            "chat_template": reader.template_digest if reader else None,
        }
    return {
        "base": models.public_name(plan.config.model.name),
        "base_digest": digests["base"],
        "adapter_sha256": file_sha256(adapter / runs.WEIGHTS) if adapter else None,
        "chat_template": chats[plan.config.model].template_digest,
        "models": described,
    }


def _showcase(plan: _Plan, answers: Answers) -> list[dict[str, Any]]:
    """Open questions answered by all, side by side."""
    job = f"{SHOWCASE}/generate"
    lines: list[dict[str, Any]] = []
    for question in plan.domain.file.showcase:
        texts = {
            subject.name: answers[place].text
            for subject in plan.subjects
            if (place := (subject.name, job, content_id(question), 0)) in answers
        }
        own = {name: texts[name] for name in ("base", "tuned") if name in texts}
        lines.append({"question": question, **own, "rivals": {k: v for k, v in texts.items() if k not in own}})
    return lines
