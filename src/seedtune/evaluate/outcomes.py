"""What every answer is worth: which scorer reads which suite, and by which reading the suite is decided."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedtune.domains.description import SuiteType
from seedtune.domains.loader import Item
from seedtune.domains.program_check import ProgramCheck
from seedtune.evaluate.constraints import score_constraints
from seedtune.evaluate.exact import score_exact
from seedtune.evaluate.programs import CodeRunner, CodeScore, as_score, judge_many
from seedtune.evaluate.scorers import (
    Norm,
    Score,
    score_choice,
    score_cloze,
    score_likelihoods,
    score_open,
    score_truth,
)
from seedtune.evaluate.suites import Job
from seedtune.records import Answer, CodeItem, EvalItem

Place = tuple[str, str, str, int]
"""Model, job, item, number of the sample."""
Answers = Mapping[Place, Answer]

SCORERS: Mapping[SuiteType, Callable[[str, Any], Score]] = {
    "multiple_choice": score_choice,
    "true_false": score_truth,
    "cloze": score_cloze,
    "open": score_open,
    "exact": score_exact,
    "constraints": score_constraints,
}
"""The scorer of a suite's written answers, called with the answer and the item. Programs are run:
:mod:`seedtune.evaluate.programs`."""

_NORMS: Mapping[str, Mapping[str, Norm]] = {
    "multiple_choice": {"normalised": "characters", "raw": "none"},
    "true_false": {"raw": "none", "normalised": "characters"},
}
"""How log-likelihoods are read; the first way decides. The options of a choice differ in length, True and False do
hardly."""


@dataclass(frozen=True)
class Outcome:
    """What a model's answer to an item is worth."""

    readings: Mapping[str, Score]
    """By each way of reading it; the first decides."""
    answer: Answer
    """The first, where there are several samples."""
    programs: tuple[CodeScore, ...] = ()
    """Of a code suite: what became of each sample."""
    lint: tuple[str, ...] = ()
    """What the domain's own check says of the first one."""

    @property
    def score(self) -> Score:
        """By the reading that decides."""
        return next(iter(self.readings.values()))


Judged = Mapping[tuple[str, str], Sequence[Outcome]]
"""By model and job, in the order of the job's items; a model that was not asked by a method has no entry for it."""


def judge(jobs: Sequence[Job], models: Sequence[str], answers: Answers, runners: Mapping[Path, CodeRunner]) -> Judged:
    """Judge all answers.

    Args:
        jobs: What was asked.
        models: Names of the models.
        answers: A model without all answers of a job counts as not asked.
        runners: Of the programs of code suites, by the folder of the job's domain.
    """
    judged: dict[tuple[str, str], Sequence[Outcome]] = {}
    for job in jobs:
        for model in models:
            places = [(model, job.name, question.item_id, question.sample) for question in job.questions]
            if not all(place in answers for place in places):
                continue
            if job.type == "code":
                judged[model, job.name] = _programs(job, [answers[place] for place in places], runners[job.folder])
            else:
                judged[model, job.name] = [
                    _outcome(job, item, answers[place]) for item, place in zip(job.items, places, strict=True)
                ]
    return judged


def _outcome(job: Job, item: Item, answer: Answer) -> Outcome:
    if answer.error:
        nothing = Score(False, False, 0.0, "", f"no answer: {answer.error}", parsed=False)
        names = _NORMS[job.type] if job.method == "loglikelihood" else ("lenient",)
        return Outcome(dict.fromkeys(names, nothing), answer)
    if job.method == "loglikelihood" and isinstance(item, EvalItem):
        norms = _NORMS[job.type].items()
        return Outcome({name: score_likelihoods(answer.scores, item, norm) for name, norm in norms}, answer)
    if job.type == "multiple_choice" and isinstance(item, EvalItem):
        return Outcome({"lenient": score_choice(answer.text, item, answer.order)}, answer)
    return Outcome({"lenient": SCORERS[job.type](answer.text, item)}, answer)


def _programs(job: Job, answers: Sequence[Answer], runner: CodeRunner) -> list[Outcome]:
    """Outcomes of a code suite; the answers are those to the first item, then those to the second, ..."""
    items = [item for item in job.items for _ in range(job.samples) if isinstance(item, CodeItem)]
    scores = judge_many([(answer.text, item) for answer, item in zip(answers, items, strict=True)], runner)
    check = ProgramCheck(job.folder)
    outcomes: list[Outcome] = []
    for start in range(0, len(scores), job.samples):
        samples = tuple(scores[start : start + job.samples])
        found = check.faults(samples[0].program) if samples[0].program else ()
        lint = tuple(f"{fault.level}: {fault}" for fault in found)
        outcomes.append(Outcome({"lenient": as_score(samples[0])}, answers[start], samples, lint))
    return outcomes
