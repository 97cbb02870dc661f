"""Whose answers to open questions are better: base against tuned model, by a judge that sees each pair in both orders.

A judge's replies are answers like all others, kept in ``records.jsonl`` under a hash of what it was shown: it is not
asked twice. How far to trust it is said by its agreement with people, on the items that they have marked.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from seedtune.errors import DataError
from seedtune.evaluate.answers import answer_key
from seedtune.evaluate.asking import Ask
from seedtune.evaluate.endpoints import conversation
from seedtune.evaluate.judging import Judgement, both_orders, settle
from seedtune.evaluate.outcomes import Answers
from seedtune.evaluate.statistics import agreement, mcnemar
from seedtune.evaluate.subjects import Endpoint
from seedtune.evaluate.suites import Job, Question
from seedtune.records import Answer, Message, OpenItem, read_json_lines

JUDGE = "judge"
"""The name that the judge goes by among the models."""

_REPLY_TOKENS = 512
_ALPHA = 0.05

Side = Literal["base", "tuned", "tie"]
_SIDES: dict[str, Side] = {"first": "base", "second": "tuned", "tie": "tie"}


class Pair(NamedTuple):
    """Two answers to one question, and what the judge is asked about them."""

    job: str
    item: str
    asks: tuple[Ask, Ask]
    """As given (base first), and swapped."""


def plan_pairs(jobs: Sequence[Job], answers: Answers, judge: Endpoint) -> list[Pair]:
    """All pairs of open answers; where one of them is missing or an error, there is none."""
    return [
        Pair(job.name, item.id, _asks(job, item, first.text, second.text, judge))
        for job in jobs
        for item in job.items
        if isinstance(item, OpenItem)
        for first, second in [[answers.get((model, job.name, item.id, 0)) for model in ("base", "tuned")]]
        if first is not None and second is not None and not (first.error or second.error)
    ]


def _asks(job: Job, item: OpenItem, base: str, tuned: str, judge: Endpoint) -> tuple[Ask, Ask]:
    given, swapped = (_ask(job, item, turns, n, judge) for n, turns in enumerate(both_orders(item, base, tuned)))
    return given, swapped


def _ask(job: Job, item: OpenItem, turns: tuple[Message, ...], order: int, judge: Endpoint) -> Ask:
    question = Question(item.id, turns, max_new_tokens=_REPLY_TOKENS, sample=order)
    prompt = conversation(turns)
    return Ask(judge.name, job.suite, "generate", question, prompt, answer_key(judge.digest, prompt, question))


def judge_pairs(pairs: Sequence[Pair], known: Mapping[str, Answer]) -> list[dict[str, Any]]:
    """What came of each pair, a line each: the winner, or None and why."""
    return [
        {
            "suite": pair.job,
            "item": pair.item,
            "winner": None if found.winner is None else _SIDES[found.winner],
            "why": found.why,
        }
        for pair in pairs
        for found in [_settled([known[ask.key] for ask in pair.asks])]
    ]


def _settled(replies: Sequence[Answer]) -> Judgement:
    if fault := next((reply.error for reply in replies if reply.error), ""):
        return Judgement(None, fault)
    return settle(*(reply.text for reply in replies))


def tally(lines: Sequence[Mapping[str, Any]], marks: Mapping[str, Side]) -> dict[str, Any]:
    """What the judge says of both models, and how far people agree with it.

    Args:
        lines: Of :func:`judge_pairs`.
        marks: What people say, by item.
    """
    winners = [line["winner"] for line in lines]
    test = mcnemar([winner == "base" for winner in winners], [winner == "tuned" for winner in winners])
    both = [(line["winner"], marks[line["item"]]) for line in lines if line["winner"] and line["item"] in marks]
    alike = agreement([judged for judged, _ in both], [marked for _, marked in both])
    counts = {side: winners.count(side) for side in ("base", "tuned", "tie")}
    return {
        "n": len(lines),
        **counts,
        "undecided": winners.count(None),
        "p": test.p,
        "agreement": {"n": alike.n, "share": round(alike.share, 4), "kappa": alike.kappa} if both else None,
        "verdict": _verdict(counts, test.p),
    }


def _verdict(counts: Mapping[str, int], p: float) -> str:
    won = f"{counts['tuned']} answers of the tuned model are better, {counts['base']} of the base"
    if p >= _ALPHA:
        return f"No difference shown: {won} (p = {p:.2g})."
    return f"{'Better' if counts['tuned'] > counts['base'] else 'Worse'}: {won} (p = {p:.2g})."


def read_marks(path: Path) -> dict[str, Side]:
    """What people say of pairs: ``{"item": ID, "winner": "base"}``, or ``tuned``, or ``tie``; the last line counts.

    Raises:
        DataError: a line is no mark.
    """
    return dict(_marks(path))


def _marks(path: Path) -> Iterator[tuple[str, Side]]:
    for number, line in read_json_lines(path):
        item, winner = line.get("item"), line.get("winner")
        if not isinstance(item, str) or winner not in ("base", "tuned", "tie"):
            raise DataError(f'{path}:{number}: expected {{"item": "...", "winner": "base"}}, or "tuned", or "tie"')
        yield item, winner
