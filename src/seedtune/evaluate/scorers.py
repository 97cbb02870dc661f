"""Whether an answer is right: choices, statements, gaps, open questions. Pure; every one gives a :class:`Score`.

| suite | strict | lenient (``correct``) |
| --- | --- | --- |
| multiple_choice | the letter alone | the option chosen anywhere in the answer |
| true_false | the word alone | also yes, correct, "not true", in a sentence |
| cloze | the filling alone | the filling in a sentence |
| open | every key point mentioned | at least ``ENOUGH`` of them mentioned |

Strict asks whether the model answers as it was told to, lenient whether it knows; a report gives both and the share
that could not be parsed. Log-likelihoods are judged by :func:`score_likelihoods`. Computed answers, constraints and
programs have modules of their own; :mod:`seedtune.evaluate.outcomes` knows which scorer reads which suite.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from seedtune.evaluate.choices import choice_letter, chosen_strictly, read_choice
from seedtune.evaluate.cloze import Filling, accepted, fillings, same, whole_filling
from seedtune.evaluate.extraction import Reading, spoken
from seedtune.evaluate.keypoints import coverage
from seedtune.evaluate.truths import read_truth, stated_strictly, truth_value
from seedtune.records import ClozeItem, EvalItem, OpenItem

__all__ = [
    "ENOUGH",
    "Norm",
    "Rates",
    "Score",
    "choice_letter",
    "rates",
    "score_choice",
    "score_cloze",
    "score_likelihoods",
    "score_open",
    "score_truth",
    "truth_value",
]

ENOUGH = 0.6
"""Share of key points from which on an open answer counts as right. On the domain ``bgp``'s ``dev`` items every
reference answer reaches it, and no reference answer of another item does."""

Norm = Literal["none", "characters", "bytes", "tokens"]
"""What a log-likelihood is divided by. ``none`` is lm-evaluation-harness's ``acc``, ``characters`` its ``acc_norm``;
``bytes`` equals ``acc_norm`` where the options are ASCII, ``tokens`` has no counterpart there."""


class Score(NamedTuple):
    """What an answer is worth."""

    correct: bool
    """Right by the lenient reading."""
    strict: bool
    """Right, and in the form that was asked for."""
    value: float
    """0..1: the share of key points mentioned; 0 or 1 for the other suites."""
    extracted: str
    """The part of the answer that was judged."""
    why: str
    """How the part was found and what is wrong with it, or why the answer could not be parsed."""
    parsed: bool = True
    choice: int | None = None
    """Index into the item's own options; None for suites without options and where it could not be parsed."""


def score_choice(text: str, item: EvalItem, order: Sequence[int] | None = None) -> Score:
    """Score a written answer to a question with lettered options.

    Args:
        text: The model's answer.
        item: The item.
        order: Indices into the item's options in the order they were listed; None is their own order.
    """
    order = range(len(item.options)) if order is None else order
    listed = [item.options[index] for index in order]
    reading, strict = read_choice(text, listed), chosen_strictly(text, listed)
    own = reading._replace(choice=None if reading.choice is None else order[reading.choice])
    return _closed(own, item, strict is not None and order[strict] == item.key)


def score_truth(text: str, item: EvalItem) -> Score:
    """Score a written answer to a statement that is true or false."""
    strict = stated_strictly(text, item.options)
    return _closed(read_truth(text, item.options), item, strict == item.key)


def _closed(reading: Reading, item: EvalItem, strict: bool) -> Score:
    correct = reading.choice == item.key
    return Score(
        correct=correct,
        strict=strict and correct,
        value=float(correct),
        extracted=reading.extracted,
        why=reading.why,
        parsed=reading.choice is not None,
        choice=reading.choice,
    )


def score_cloze(text: str, item: ClozeItem) -> Score:
    """Score the filling of a gap; any of the item's ``answers`` is right."""
    right = accepted(item.answers, item.question)

    def is_right(filling: Filling) -> bool:
        return any(same(filling.words, answer) for answer in right)

    whole = Filling(whole_filling(text), "the whole answer")
    strict = is_right(whole)
    found = [whole] if strict else fillings(text, item.question)
    if not found:
        why = "no one filling found" if spoken(text) else "nothing but thinking" if text.strip() else "an empty answer"
        return Score(correct=False, strict=False, value=0.0, extracted="", why=why, parsed=False)
    judged = next(filter(is_right, found), found[0])
    correct = is_right(judged)
    return Score(correct, strict, float(correct), " ".join(judged.words), judged.why)


def score_open(text: str, item: OpenItem) -> Score:
    """Score an answer in sentences by the key points that it mentions; see :mod:`seedtune.evaluate.keypoints`."""
    found = coverage(text, item)
    said = [point for point, covered in zip(item.key_points, found.covered, strict=True) if covered]
    return Score(
        correct=found.share >= ENOUGH,
        strict=all(found.covered),
        value=found.share,
        extracted=" | ".join(said),
        why=found.why,
        parsed=bool(spoken(text)),
    )


def score_likelihoods(
    log_likelihoods: Sequence[float], item: EvalItem, norm: Norm = "none", token_counts: Sequence[int] = ()
) -> Score:
    """Score the option that a model holds most likely; of equals the first, as numpy's argmax takes it.

    Args:
        log_likelihoods: Of each option, summed over its tokens, in nats, in the order of the item's options.
        item: The item.
        norm: What to divide by. Lengths are those of the option's own text, without a blank put before it.
        token_counts: Of each option; needed for ``tokens`` only.

    Raises:
        ValueError: the numbers are not one for each option.
    """
    lengths: dict[Norm, Callable[[], Sequence[int]]] = {
        "none": lambda: [1] * len(item.options),
        "characters": lambda: [len(option) for option in item.options],
        "bytes": lambda: [len(option.encode()) for option in item.options],
        "tokens": lambda: token_counts,
    }
    divisors = lengths[norm]()
    if not len(log_likelihoods) == len(divisors) == len(item.options):
        raise ValueError(f"one log-likelihood (and token count) for each of the {len(item.options)} options is needed")
    if any(math.isnan(score) for score in log_likelihoods) or max(log_likelihoods) == -math.inf:
        return Score(False, False, 0.0, "", "the model gives no number", parsed=False)
    judged = [score / max(length, 1) for score, length in zip(log_likelihoods, divisors, strict=True)]
    choice = judged.index(max(judged))
    how = "the most likely option" if norm == "none" else f"the most likely option, by its {norm}"
    return _closed(Reading(choice, item.options[choice], how), item, choice == item.key)


class Rates(NamedTuple):
    """A suite's scores in sum; errored answers are among ``n`` (score their empty text)."""

    n: int
    correct: int
    strict: int
    unparsed: int
    mean: float
    """Of the values, 0..1; 0 for no answer at all."""


def rates(scores: Sequence[Score]) -> Rates:
    """Count the scores of one model on one suite."""
    return Rates(
        n=len(scores),
        correct=sum(score.correct for score in scores),
        strict=sum(score.strict for score in scores),
        unparsed=sum(not score.parsed for score in scores),
        mean=math.fsum(score.value for score in scores) / len(scores) if scores else 0.0,
    )
