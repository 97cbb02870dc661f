"""From answers to what may be said of them. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any

from seedtune.domains.loader import Item
from seedtune.evaluate.power import detectable_effect, items_needed
from seedtune.evaluate.scorers import SCORERS, Norm, Score, rates, score_choice, score_likelihoods
from seedtune.evaluate.statistics import (
    Estimate,
    Interval,
    PairedTest,
    bootstrap_mean,
    gain,
    holm,
    mcnemar,
    paired_bootstrap,
    verdict,
    wilson,
)
from seedtune.evaluate.suites import Job
from seedtune.records import Answer, ClozeItem, CodeItem, EvalItem

VARIANTS = ("base", "tuned")
EFFECT = 0.05
"""The difference of accuracies that a report says the necessary number of items for."""

Answers = Mapping[tuple[str, str, str], Answer]
"""By (variant, job, item)."""
Readings = dict[str, Score]
"""What an answer is worth by each way of reading it; the first decides."""
Judged = Mapping[tuple[str, str], list[Readings]]
"""By (variant, job), in the order of the job's items."""

_NORMS: dict[str, dict[str, Norm]] = {
    "multiple_choice": {"normalised": "characters", "raw": "none"},
    "true_false": {"raw": "none", "normalised": "characters"},
}
"""How log-likelihoods are read; the first way decides. The options of a choice differ in length, True and False do
hardly."""


def judge(jobs: Sequence[Job], answers: Answers) -> Judged:
    """What every answer is worth."""
    return {
        (variant, job.name): [_readings(job, item, answers[variant, job.name, item.id]) for item in job.items]
        for variant in VARIANTS
        for job in jobs
    }


def _readings(job: Job, item: Item, answer: Answer) -> Readings:
    if job.method == "loglikelihood" and isinstance(item, EvalItem):
        return {name: score_likelihoods(answer.scores, item, norm) for name, norm in _NORMS[job.type].items()}
    if job.type == "multiple_choice" and isinstance(item, EvalItem):
        return {"lenient": score_choice(answer.text, item, answer.order)}
    return {"lenient": SCORERS[job.type](answer.text, item)}


def _deciding(readings: Readings) -> Score:
    return next(iter(readings.values()))


def compare_all(
    jobs: Sequence[Job], judged: Judged, seed: int, contaminated: Mapping[str, frozenset[str]]
) -> dict[str, dict[str, Any]]:
    """Each job's comparison of base and tuned model, by its name.

    One test for each suite, that of its primary method, goes into Holm's correction; what is tested beside it is
    marked as such.

    Args:
        jobs: What was asked.
        judged: What every answer is worth.
        seed: Of the bootstrap.
        contaminated: Ids of items that the training rows hold, by suite.
    """
    right = {place: [_deciding(readings).correct for readings in group] for place, group in judged.items()}
    tests = {job.name: mcnemar(*(right[variant, job.name] for variant in VARIANTS)) for job in jobs}
    primary = {job.name: tests[job.name].p for job in jobs if job.primary}
    adjusted = holm(primary) if len(primary) > 1 else {}
    entries: dict[str, dict[str, Any]] = {}
    for job in jobs:
        said = verdict(tests[job.name], len(job.items), adjusted.get(job.name), effect=EFFECT)
        entries[job.name] = _entry(job, judged, seed, tests[job.name]) | {
            "mcnemar": {**tests[job.name]._asdict(), "adjusted": adjusted.get(job.name)},
            "verdict": said if job.primary else f"Beside the suite's test, without correction: {said}",
        }
        dirty = [item.id in contaminated.get(job.suite, ()) for item in job.items]
        if any(dirty):
            pairs = list(zip(*(right[variant, job.name] for variant in VARIANTS), strict=True))
            entries[job.name]["clean"] = _subset([pair for pair, held in zip(pairs, dirty, strict=True) if not held])
            entries[job.name]["contaminated"] = _subset([pair for pair, held in zip(pairs, dirty, strict=True) if held])
    return entries


def _entry(job: Job, judged: Judged, seed: int, test: PairedTest) -> dict[str, Any]:
    n = len(job.items)
    discordance = (test.only_base + test.only_tuned) / n
    detectable = detectable_effect(n, discordance)
    entry: dict[str, Any] = {
        "suite": job.suite,
        "type": job.type,
        "method": job.method,
        "primary": job.primary,
        "reading": next(iter(judged["base", job.name][0])),
        "n": n,
        "chance": round(sum(_chance(item) for item in job.items) / n, 4),
        **{variant: _result(job, judged[variant, job.name], seed) for variant in VARIANTS},
        "gain": _estimate(gain(test, n)),
        "detectable": None if detectable is None else round(detectable, 4),
        "needed": {"effect": EFFECT, "items": items_needed(EFFECT, discordance)},
    }
    if job.type == "open":
        base, tuned = ([_deciding(each).value for each in judged[variant, job.name]] for variant in VARIANTS)
        entry["coverage_gain"] = _estimate(paired_bootstrap(base, tuned, seed))
    return entry


def _chance(item: Item) -> float:
    return 1 / len(item.options) if isinstance(item, EvalItem) else 0.0


def _result(job: Job, readings: Sequence[Readings], seed: int) -> dict[str, Any]:
    """One model's rates, and under ``also`` those by the other ways of reading its answers."""
    scores = [_deciding(each) for each in readings]
    counted = rates(scores)
    others = {name: sum(each[name].correct for each in readings) for name in list(readings[0])[1:]}
    also = others if job.method == "loglikelihood" else {"strict": counted.strict}
    return {
        "n": counted.n,
        **_share(counted.correct, counted.n),
        "unparsed": counted.unparsed,
        "also": {name: _share(correct, counted.n) for name, correct in also.items()},
        **({"coverage": _estimate(bootstrap_mean([s.value for s in scores], seed))} if job.type == "open" else {}),
    }


def _subset(pairs: Sequence[tuple[bool, bool]]) -> dict[str, Any]:
    """Both models on some of the items; a pair tells who is right."""
    n = len(pairs)
    base, tuned = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    test = mcnemar(base, tuned)
    shares = {"base": _share(sum(base), n), "tuned": _share(sum(tuned), n)}
    return {"n": n, **shares, "gain": _estimate(gain(test, n)), "p": test.p}


def _share(correct: int, n: int) -> dict[str, Any]:
    accuracy = round(correct / n, 4) if n else 0.0
    return {"correct": correct, "accuracy": accuracy, "interval": _rounded(wilson(correct, n))}


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {"value": round(estimate.value, 4), "interval": _rounded(estimate.interval)}


def _rounded(interval: Interval) -> list[float]:
    return [round(bound, 4) for bound in interval]


def item_lines(
    jobs: Sequence[Job], answers: Answers, judged: Judged, contaminated: Mapping[str, frozenset[str]]
) -> list[dict[str, Any]]:
    """What is right and what both models answered: one line for each item and method."""
    return [
        {
            "suite": job.suite,
            "method": job.method,
            "item": item.id,
            "topic": item.topic,
            "level": item.level,
            "citation": item.citation,
            "question": item.question,
            "options": list(item.options) if isinstance(item, EvalItem) else [],
            "right": _right(item),
            "contaminated": item.id in contaminated.get(job.suite, ()),
            **{
                variant: _answered(item, answers[variant, job.name, item.id], judged[variant, job.name][number])
                for variant in VARIANTS
            },
        }
        for job in jobs
        for number, item in enumerate(job.items)
    ]


def _right(item: Item) -> list[str]:
    match item:
        case ClozeItem():
            return list(item.answers)
        case CodeItem():
            return [item.reference]
        case _:
            return [item.answer]


def _answered(item: Item, answer: Answer, readings: Readings) -> dict[str, Any]:
    score = _deciding(readings)
    options = item.options if isinstance(item, EvalItem) else ()
    return {
        "correct": score.correct,
        "strict": score.strict,
        "value": round(score.value, 4),
        "parsed": score.parsed,
        "extracted": score.extracted,
        "why": score.why,
        "text": answer.text,
        "likelihoods": dict(zip(options, answer.scores, strict=False)),
    }


def caveats(report: Mapping[str, Any]) -> list[str]:
    """What the reader has to know before believing the numbers; a sentence each."""
    said: list[str] = []
    found = report["contamination"]
    compared = f"{found['rows']:,} training rows"
    if found["items"]:
        said.append(
            f"{len(found['items'])} items stand in the {compared}: clean and contaminated items are counted apart."
        )
    else:
        said.append(f"None of the items stands in the {compared}.")
    if found["near"]:
        said.append(f"{len(found['near'])} further items share eight words in a row with a training row.")
    if found["not_compared"]:
        said.append(f"{found['not_compared']:,} rows could not be compared: their text is in no file any more.")
    looks = report.get("looks")
    if looks is None:
        said.append("These are the items that settings are chosen by: not a result to report.")
    elif looks["total"] == 1:
        said.append("The test items were looked at once.")
    else:
        said.append(
            f"The test items were looked at {looks['total']} times, for {looks['models']} tuned models "
            f"({looks['at_this_model']} times for this one): each look is a chance to choose what happens to do well. "
            "Choose with evaluate.split=dev."
        )
    return said
