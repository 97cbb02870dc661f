"""From judged answers to what may be said of them. Pure functions."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from seedtune.domains.loader import Item
from seedtune.evaluate.outcomes import Judged, Outcome
from seedtune.evaluate.power import detectable_effect, items_needed
from seedtune.evaluate.programs import class_counts, pass_rates
from seedtune.evaluate.scorers import rates
from seedtune.evaluate.statistics import (
    Estimate,
    Interval,
    PairedTest,
    bootstrap_mean,
    gain,
    holm,
    items_to_rule_out,
    mcnemar,
    no_worse,
    no_worse_verdict,
    paired_bootstrap,
    room_to_lose,
    verdict,
    wilson,
)
from seedtune.evaluate.suites import Job
from seedtune.records import ClozeItem, CodeItem, EvalItem, ExactItem

EFFECT = 0.05
"""The difference of accuracies that a report says the necessary number of items for."""

PARTIAL = {"open": "key points", "constraints": "constraints", "code": "fields"}
"""What a part of an answer is, in suites where an answer can be right in part."""

Tree = dict[str, Any]
_OWN = ("base", "tuned")


def models_of(judged: Judged, job: Job) -> list[str]:
    """Names of the models that were asked, the base first."""
    return [model for model, name in judged if name == job.name]


def compare_all(
    jobs: Sequence[Job],
    judged: Judged,
    seed: int,
    contaminated: Mapping[str, frozenset[str]],
    reference: str = "base",
) -> dict[str, Tree]:
    """Each job's results and comparisons, by its name.

    The tuned model is tested against the base, each rival against the reference. For each such pair one test of each
    suite, that of its primary method, goes into Holm's correction; what is tested beside it is marked as such. The
    suites on what may be forgotten have a test of their own (:func:`forgetting`) and stay out of it.

    Args:
        jobs: What was asked.
        judged: What every answer is worth.
        seed: Of the bootstrap.
        contaminated: Ids of items that the training rows hold, by suite.
        reference: Name of the model that rivals are tested against.
    """
    entries = {job.name: _entry(job, judged, seed, contaminated.get(job.suite, frozenset())) for job in jobs}
    rivals = [model for model in dict.fromkeys(model for model, _ in judged) if model not in _OWN]
    for before, after in [("base", "tuned"), *((reference, rival) for rival in rivals)]:
        asked = [job for job in jobs if {(before, job.name), (after, job.name)} <= judged.keys()]
        tests = {job.name: mcnemar(_right(judged[before, job.name]), _right(judged[after, job.name])) for job in asked}
        primary = {job.name: tests[job.name].p for job in asked if job.primary and job.part != "general"}
        adjusted = holm(primary) if len(primary) > 1 else {}
        for job in asked:
            pair = (judged[before, job.name], judged[after, job.name])
            said = _pair(job, *pair, tests[job.name], adjusted.get(job.name), seed)
            if after == "tuned":
                entries[job.name] |= said
            else:
                entries[job.name]["rivals"][after] |= {"against": before, **said}
    return entries


def _right(outcomes: Sequence[Outcome]) -> list[bool]:
    return [outcome.score.correct for outcome in outcomes]


def _entry(job: Job, judged: Judged, seed: int, dirty: frozenset[str]) -> Tree:
    """What was measured of each model, before anything is compared."""
    models = models_of(judged, job)
    results = {model: _result(job, judged[model, job.name], seed) for model in models}
    entry: Tree = {
        "suite": job.suite,
        "type": job.type,
        "method": job.method,
        "part": job.part,
        "parts": PARTIAL.get(job.type),
        "primary": job.primary,
        "reading": next(iter(judged[models[0], job.name][0].readings)),
        "n": len(job.items),
        "chance": _chance(job.items),
        **{model: result for model, result in results.items() if model in _OWN},
        "rivals": {model: result for model, result in results.items() if model not in _OWN},
    }
    if job.type == "exact":
        entry["families"] = _groups(job, judged, lambda item: item.family if isinstance(item, ExactItem) else "")
        entry["levels"] = _groups(job, judged, lambda item: str(item.level))
    dirtied = [item.id in dirty for item in job.items]
    if any(dirtied):
        entry["clean"] = _part(job, judged, [place for place, held in enumerate(dirtied) if not held])
        entry["contaminated"] = _part(job, judged, [place for place, held in enumerate(dirtied) if held])
    return entry


def _pair(
    job: Job,
    before: Sequence[Outcome],
    after: Sequence[Outcome],
    test: PairedTest,
    adjusted: float | None,
    seed: int,
) -> Tree:
    """What may be said of two models on a job."""
    n = len(job.items)
    discordance = (test.only_base + test.only_tuned) / n
    detectable = detectable_effect(n, discordance)
    said = verdict(test, n, adjusted, effect=EFFECT)
    errors = sum(bool(one.answer.error or other.answer.error) for one, other in zip(before, after, strict=True))
    lost = f" {errors} of {n} answers did not come and count as wrong." if errors else ""
    beside = "" if job.primary and job.part != "general" else "Beside the suite's test, without correction: "
    pair: Tree = {
        "gain": _estimate(gain(test, n)),
        "mcnemar": {**test._asdict(), "adjusted": adjusted},
        "verdict": f"{beside}{said}{lost}",
        "detectable": None if detectable is None else round(detectable, 4),
        "needed": {"effect": EFFECT, "items": items_needed(EFFECT, discordance)},
    }
    if job.type in PARTIAL:
        pair["partial_gain"] = _estimate(paired_bootstrap(_values(before), _values(after), seed))
    if job.samples > 1:
        pair["pass_gain"] = _estimate(paired_bootstrap(_pass_rates(before), _pass_rates(after), seed))
    return pair


def _values(outcomes: Iterable[Outcome]) -> list[float]:
    return [outcome.score.value for outcome in outcomes]


def _pass_rates(outcomes: Iterable[Outcome]) -> list[float]:
    return [
        sum(program.verdict == "pass" for program in outcome.programs) / len(outcome.programs) for outcome in outcomes
    ]


def _chance(items: Sequence[Item]) -> float:
    """Mean accuracy of the best guess that does not read the question."""
    each = [
        1 / len(item.options) if isinstance(item, EvalItem) else item.chance if isinstance(item, ExactItem) else 0.0
        for item in items
    ]
    return round(sum(each) / len(each), 4) if each else 0.0


def _result(job: Job, outcomes: Sequence[Outcome], seed: int) -> Tree:
    """One model's rates, and under ``also`` those by the other ways of reading its answers."""
    counted = rates([outcome.score for outcome in outcomes])
    others = {name: sum(o.readings[name].correct for o in outcomes) for name in list(outcomes[0].readings)[1:]}
    also = others if job.method == "loglikelihood" else {"strict": counted.strict}
    result: Tree = {
        "n": counted.n,
        **_share(counted.correct, counted.n),
        "unparsed": sum(not (outcome.score.parsed or outcome.answer.error) for outcome in outcomes),
        "errors": sum(bool(outcome.answer.error) for outcome in outcomes),
        "also": {name: _share(correct, counted.n) for name, correct in also.items()},
    }
    if job.type in PARTIAL:
        result["partial"] = _estimate(bootstrap_mean(_values(outcomes), seed))
    if job.type == "code":
        result["classes"] = class_counts(program for outcome in outcomes for program in outcome.programs)
        estimates = pass_rates([outcome.programs for outcome in outcomes], sorted({1, job.samples}), seed)
        result["pass_at"] = {str(k): _estimate(estimate) for k, estimate in estimates.items()}
    return result


def _groups(job: Job, judged: Judged, name_of: Callable[[Item], str]) -> dict[str, Tree]:
    """Results on parts of the items, by name."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, item in enumerate(job.items):
        places[name_of(item)].append(place)
    return {name: _part(job, judged, members) for name, members in sorted(places.items())}


def _part(job: Job, judged: Judged, members: Sequence[int]) -> Tree:
    """Some of the items: how many, what guessing gives, each model's share, and the difference."""
    n = len(members)
    right = {
        model: [judged[model, job.name][place].score.correct for place in members] for model in models_of(judged, job)
    }
    part: Tree = {"n": n, "chance": _chance([job.items[place] for place in members])}
    part |= {model: _share(sum(answers), n) for model, answers in right.items()}
    if "tuned" in right:
        test = mcnemar(right["base"], right["tuned"])
        part |= {"gain": _estimate(gain(test, n)), "p": test.p}
    return part


def forgetting(jobs: Sequence[Job], judged: Judged, margin: float) -> Tree | None:
    """Whether the tuned model is shown to be no worse than the base in general abilities.

    All suites together decide; each by itself is reported beside, with the same test. Nothing is shown by a base that
    is itself at the floor (:func:`seedtune.evaluate.statistics.can_tell`).

    Args:
        jobs: What was asked; those of the part ``general`` count, each suite by its primary method.
        judged: What every answer is worth.
        margin: The loss of accuracy that would be accepted.

    Returns:
        None where no such suite was asked of both models.
    """
    asked = [job for job in jobs if job.part == "general" and job.primary and ("tuned", job.name) in judged]
    if not asked:
        return None
    base, tuned = ({job.name: _right(judged[model, job.name]) for job in asked} for model in _OWN)
    suites = {job.name: _no_worse(base[job.name], tuned[job.name], margin, _chance(job.items)) for job in asked}
    chance = _chance([item for job in asked for item in job.items])
    whole = _no_worse(list(chain(*base.values())), list(chain(*tuned.values())), margin, chance)
    return {"margin": margin, **whole, "suites": suites}


def _no_worse(base: Sequence[bool], tuned: Sequence[bool], margin: float, chance: float) -> Tree:
    test, n = mcnemar(base, tuned), len(base)
    result = no_worse(test, n, margin, room_to_lose(sum(base), n, chance))
    needed = items_to_rule_out(test, n, margin)
    return {
        "n": n,
        "chance": chance,
        "base": _share(sum(base), n),
        "tuned": _share(sum(tuned), n),
        "gain": _estimate(result.gain),
        "p": result.p,
        "room": round(result.room, 4),
        "tells": result.tells,
        "shown": result.shown,
        "needed": needed,
        "verdict": no_worse_verdict(result, needed if needed > n else None),
    }


def _share(correct: int, n: int) -> Tree:
    accuracy = round(correct / n, 4) if n else 0.0
    return {"correct": correct, "accuracy": accuracy, "interval": _rounded(wilson(correct, n))}


def _estimate(estimate: Estimate) -> Tree:
    return {"value": round(estimate.value, 4), "interval": _rounded(estimate.interval)}


def _rounded(interval: Interval) -> list[float]:
    return [round(bound, 4) for bound in interval]


def item_lines(jobs: Sequence[Job], judged: Judged, contaminated: Mapping[str, frozenset[str]]) -> list[Tree]:
    """What is right and what each model answered: one line for each item and method."""
    lines: list[Tree] = []
    for job in jobs:
        models = models_of(judged, job)
        for number, item in enumerate(job.items):
            answered = {model: _answered(item, judged[model, job.name][number]) for model in models}
            lines.append(
                {
                    "suite": job.suite,
                    "method": job.method,
                    "item": item.id,
                    "topic": item.topic,
                    "level": item.level,
                    "citation": item.citation,
                    "question": item.prompt if isinstance(item, ExactItem) else item.question,
                    "options": list(item.options) if isinstance(item, EvalItem) else [],
                    "right": _right_answers(item),
                    "contaminated": item.id in contaminated.get(job.suite, ()),
                    **{model: found for model, found in answered.items() if model in _OWN},
                    "rivals": {model: found for model, found in answered.items() if model not in _OWN},
                }
            )
    return lines


def _right_answers(item: Item) -> list[str]:
    match item:
        case ClozeItem():
            return list(item.answers)
        case CodeItem():
            return [item.reference]
        case _:
            return [item.answer]


def _answered(item: Item, outcome: Outcome) -> Tree:
    score, answer = outcome.score, outcome.answer
    options = item.options if isinstance(item, EvalItem) else ()
    answered: Tree = {
        "correct": score.correct,
        "strict": score.strict,
        "value": round(score.value, 4),
        "parsed": score.parsed,
        "error": answer.error,
        "extracted": score.extracted,
        "why": score.why,
        "text": answer.text,
        "likelihoods": dict(zip(options, answer.scores, strict=False)),
    }
    if outcome.programs:
        first = outcome.programs[0]
        kept = ("verdict", "why", "held_out", "stdout", "stderr")
        answered["code"] = {
            "verdict": first.verdict,
            "samples": [program.verdict for program in outcome.programs],
            "lint": list(outcome.lint),
            "cases": [{name: getattr(case, name) for name in kept} for case in first.cases],
        }
    return answered
