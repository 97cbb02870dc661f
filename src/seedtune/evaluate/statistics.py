"""The statistics of a comparison: intervals, paired tests, agreement, pass@k.

numpy and scipy do the work. Everything random follows from a seed. Nothing here gives a NaN: where there are no data,
the interval is all that is possible.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

from seedtune.evaluate.power import detectable_effect, items_needed
from seedtune.review_decisions import cohen_kappa

_RESAMPLES = 10_000
_CHUNK = 2_000_000
"""Values that are drawn at a time: bounds the memory of a bootstrap."""


class Interval(NamedTuple):
    """A confidence interval, of 95% where nothing else is said."""

    low: float
    high: float


class Estimate(NamedTuple):
    """A mean with its interval."""

    value: float
    """0 where there is nothing to take the mean of."""
    interval: Interval
    n: int
    """Number of independent units: items, or tasks with several samples each."""


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """The Wilson score interval of a proportion (Wilson 1927); (0, 1) where there were no trials."""
    if trials == 0:
        return Interval(0.0, 1.0)
    interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return Interval(float(interval.low), float(interval.high))


class PairedTest(NamedTuple):
    """An exact McNemar test of two models on the same items."""

    only_base: int
    """Items that the base model alone has right."""
    only_tuned: int
    """Items that the tuned model alone has right."""
    p: float
    """Two-sided."""


def mcnemar(base: Sequence[bool], tuned: Sequence[bool]) -> PairedTest:
    """Exact two-sided McNemar test (McNemar 1947): a binomial test on the items that the models differ on.

    Where they differ on none, also for no items at all, p is 1.

    Args:
        base: Whether the base model has each item right.
        tuned: The same items, in the same order, for the tuned model.
    """
    pairs = list(zip(base, tuned, strict=True))
    only_base = sum(b and not t for b, t in pairs)
    only_tuned = sum(t and not b for b, t in pairs)
    differing = only_base + only_tuned
    p = float(binomtest(only_tuned, differing, 0.5).pvalue) if differing else 1.0
    return PairedTest(only_base, only_tuned, p)


def gain(test: PairedTest, items: int, confidence: float = 0.95) -> Estimate:
    """Accuracy of the tuned model minus that of the base model, with Tango's score interval for paired proportions.

    The interval (Tango 1998, Statistics in Medicine 17, 891-908) holds every difference that the score test
    of :func:`no_worse` does not reject. It has a width also where the models differ on no item, and lies within -1..1;
    (-1, 1) for no items. It leaves out 0 wherever the exact test of :func:`mcnemar` is significant and, as that test is
    the stricter one, now and then where it is not: the exact test decides.

    Args:
        test: The counts of items that one model alone has right.
        items: All items, those on which both are right or wrong included.
        confidence: 0..1.
    """
    if items == 0:
        return Estimate(0.0, Interval(-1.0, 1.0), 0)
    limit, counts = float(norm.isf((1 - confidence) / 2)), (test.only_base, test.only_tuned)
    value = (test.only_tuned - test.only_base) / items

    def bound(side: int) -> float:
        # The score falls with the difference supposed, from above the limit on the left to below it on the right.
        def excess(difference: float) -> float:
            return side * _score(counts, items, difference) - limit

        end = -side * (1 - 1e-12)
        root: Any = brentq(excess, value, end, xtol=1e-10) if excess(end) > 0 else -side
        return float(root)

    return Estimate(value, Interval(min(bound(1), value), max(bound(-1), value)), items)


def _score(counts: tuple[float, float], items: int, difference: float) -> float:
    """Standardised distance of the counts from a supposed difference (Tango 1998).

    The counts are of items that the base model alone has right, and the tuned model alone. The share of the first kind
    is the maximum likelihood estimate under that difference, a root of 2n q² + b q + c = 0.
    """
    only_base, only_tuned = counts
    lead = only_tuned - only_base
    b = -(only_tuned + only_base) + (2 * items - lead) * difference
    c = -only_base * difference * (1 - difference)
    q = (math.sqrt(max(0.0, b * b - 8 * items * c)) - b) / (4 * items)
    variance = items * (2 * q + difference * (1 - difference))
    distance = lead - items * difference
    return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance) if distance else 0.0


class NonInferiority(NamedTuple):
    """Whether a model was shown to be no worse than another by more than a margin."""

    margin: float
    gain: Estimate
    """Tuned minus base, with the two-sided interval whose lower bound decides."""
    p: float
    """One-sided, of "worse by the margin or more"."""
    room: float
    """See :func:`room_to_lose`."""
    tells: bool
    """See :func:`can_tell`."""
    shown: bool


def room_to_lose(correct: int, items: int, chance: float, confidence: float = 0.95) -> float:
    """What a model has above guessing for sure: the lower bound of its Wilson interval, less what guessing gives.

    Args:
        correct: Items that it has right.
        items: All items.
        chance: Accuracy of guessing, 0..1.
        confidence: 0..1.

    Returns:
        -1..1; not above 0 where the model is not shown to be better than guessing.
    """
    return wilson(correct, items, confidence).low - chance


def can_tell(room: float, margin: float, gained: Interval) -> bool:
    """Whether these items, asked of this base, could have shown a loss of ``margin``: assay sensitivity (ICH E10).

    Who has nothing to lose loses nothing, so that "no worse" would be true whatever training did. As a trial may accept
    a loss only within what its control does for sure better than a placebo, the base has to be above guessing by more
    than the margin, by the lower bound of its interval. A gain that is shown needs no such proof: it is one.

    Args:
        room: What the base can lose (:func:`room_to_lose`).
        margin: The loss that would be accepted.
        gained: The interval of tuned minus base.
    """
    return room > margin or gained.low > 0


def no_worse(test: PairedTest, items: int, margin: float, room: float, alpha: float = 0.025) -> NonInferiority:
    """Score test that the tuned model is not worse than the base model by ``margin`` or more (Tango 1998).

    It is shown exactly where the lower bound of the two-sided interval (95% for the usual alpha of 0.025) lies above
    -margin and a loss could have been seen (:func:`can_tell`). Not shown is not the same as worse: too few items show
    nothing, and none at all give p = 1.

    Args:
        test: The counts of items that one model alone has right.
        items: All items.
        margin: The loss of accuracy that would be accepted, chosen before the answers are seen; above 0, below 1.
        room: What the base has to lose (:func:`room_to_lose`), -1..1.
        alpha: One-sided level.

    Raises:
        ValueError: the margin is not between 0 and 1.
    """
    if not 0 < margin < 1:
        raise ValueError(f"the margin is a share of the items, such as 0.03 for three points, not {margin}")
    p = float(norm.sf(_score((test.only_base, test.only_tuned), items, -margin))) if items else 1.0
    gained = gain(test, items, 1 - 2 * alpha)
    tells = can_tell(room, margin, gained.interval)
    return NonInferiority(margin, gained, p, room, tells, p < alpha and tells)


def items_to_rule_out(test: PairedTest, items: int, margin: float, target: float = 0.8, alpha: float = 0.025) -> int:
    """How many items :func:`no_worse` needs to be shown with the target power, if the models are equally good.

    By the normal approximation, with the share of items on which these models differ; where they differ on none, with
    none.

    Args:
        test: The counts of items that one model alone has right.
        items: All items, at least one.
        margin: See :func:`no_worse`.
        target: Power, 0..1.
        alpha: One-sided level.
    """
    wanted = float(norm.isf(alpha) + norm.ppf(target))
    differing = (test.only_base + test.only_tuned) / items

    def distance(n: int) -> float:
        each = differing * n / 2
        return _score((each, each), n, -margin)

    low, high = 0, 8
    while distance(high) < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if distance(middle) < wanted else (low, middle)
    return high


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values of several tests (Holm 1979, Scandinavian Journal of Statistics 6, 65-70), by name.

    One that is below alpha is significant while the chance of any false alarm among all stays below alpha, whatever the
    tests have to do with each other. None for none; a single one stays as it is; at most 1.
    """
    adjusted: dict[str, float] = {}
    reached = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = reached
    return {name: adjusted[name] for name in p_values}


def paired_bootstrap(
    base: Sequence[float], tuned: Sequence[float], seed: int, confidence: float = 0.95, resamples: int = _RESAMPLES
) -> Estimate:
    """Mean difference of two models' scores on the same items, tuned minus base, resampled by item.

    For scores between 0 and 1, such as the coverage of key points; as :func:`bootstrap_mean` in all else. (For right
    and wrong, :func:`gain` is the better interval.)
    """
    differences = [after - before for before, after in zip(base, tuned, strict=True)]
    return bootstrap_mean(differences, seed, (-1.0, 1.0), confidence, resamples)


def bootstrap_mean(
    values: Sequence[float],
    seed: int,
    bounds: tuple[float, float] = (0.0, 1.0),
    confidence: float = 0.95,
    resamples: int = _RESAMPLES,
) -> Estimate:
    """The mean of independent values with the BCa bootstrap interval (Efron 1987, JASA 82, 171-185).

    BCa rather than plain percentiles, as means of few values near a bound are skewed. The acceleration is that of a
    mean, a sixth of the values' skewness over the root of n. Where all values are the same no resample differs, and
    plain resampling would claim certainty: then the interval reaches as far as one unseen value at either bound would
    move the mean if it came as often as n values without it still allow (the exact binomial bound of 0 out of n,
    Clopper & Pearson 1934).

    Args:
        values: One for each independent unit; a unit with several samples goes in with its own mean.
        seed: The same values, in any order, and seed give the same interval.
        bounds: The least and the greatest value possible; for no values they are the interval.
        confidence: 0..1.
        resamples: How often to resample.
    """
    data = np.sort(np.asarray(values, dtype=np.float64))
    tail = (1 - confidence) / 2
    low, high = bounds
    if not data.size:
        return Estimate(0.0, Interval(low, high), 0)
    mean = math.fsum(values) / data.size
    if data[0] == data[-1]:
        unseen = 1 - tail ** (1 / data.size)
        return Estimate(mean, Interval(mean - unseen * (mean - low), mean + unseen * (high - mean)), data.size)
    means = _resampled_means(data, seed, resamples)
    # Half of the ties: the mean of few distinct values is often met exactly.
    met = np.isclose(means, mean, rtol=0, atol=1e-12)
    below = float(np.mean(np.where(met, 0.5, means < mean)))
    bias = float(norm.ppf(min(max(below, 0.5 / resamples), 1 - 0.5 / resamples)))
    spread = data - mean
    acceleration = float(np.sum(spread**3) / (6 * np.sum(spread**2) ** 1.5))
    z = bias + norm.ppf([tail, 1 - tail])
    levels = norm.cdf(bias + z / (1 - acceleration * z))
    bottom, top = np.quantile(means, levels)
    return Estimate(mean, Interval(float(bottom), float(top)), data.size)


def _resampled_means(data: NDArray[np.float64], seed: int, resamples: int) -> NDArray[np.float64]:
    """Means of resamples; shape (resamples,)."""
    generator = np.random.default_rng(seed)
    size = max(1, _CHUNK // data.size)
    parts = [
        data[generator.integers(data.size, size=(min(size, resamples - start), data.size))].mean(axis=1)
        for start in range(0, resamples, size)
    ]
    return np.concatenate(parts)


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """Chance that at least one of k samples is right, without bias (Chen et al. 2021, arXiv:2107.03374, eq. 1).

    1 - C(n - c, k) / C(n, k): the share of the k-subsets of n samples that hold one of the c right ones.

    Args:
        samples: n, at least k.
        correct: c, 0..n.
        k: At least 1.

    Raises:
        ValueError: there are fewer than k samples, or the counts are impossible.
    """
    if not (1 <= k <= samples and 0 <= correct <= samples):
        raise ValueError(f"pass@{k} needs {k} or more samples of which some are right, not {correct} of {samples}")
    subsets = math.comb(samples, k)
    return (subsets - math.comb(samples - correct, k)) / subsets


def pass_rate(tasks: Sequence[Sequence[bool]], k: int, seed: int, confidence: float = 0.95) -> Estimate:
    """Mean pass@k over tasks, its interval resampled by task: samples of one task are no independent evidence.

    Clustering by task is what Miller 2024 (arXiv:2411.00640) asks of samples that share a question.

    Args:
        tasks: For each task whether each sample is right; at least k samples each.
        k: At least 1.
        seed: Of the bootstrap.
        confidence: 0..1.

    Raises:
        ValueError: a task has fewer than k samples.
    """
    return bootstrap_mean([pass_at_k(len(task), sum(task), k) for task in tasks], seed, confidence=confidence)


class Agreement(NamedTuple):
    """How far two raters agree."""

    n: int
    share: float
    """Labels that are the same, 0..1; 0 for none at all."""
    kappa: float | None
    """Cohen's kappa, -1..1: agreement beyond chance; None where chance alone gives full agreement."""


def agreement(first: Sequence[Hashable], second: Sequence[Hashable]) -> Agreement:
    """Agreement of two raters' labels of the same things, and Cohen's kappa (Cohen 1960).

    Kappa is not defined, None, for no labels and where both raters give one and the same label throughout.
    """
    pairs = list(zip(first, second, strict=True))
    n = len(pairs)
    same = sum(one == other for one, other in pairs)
    return Agreement(n, same / n if n else 0.0, cohen_kappa(pairs))


def verdict(
    test: PairedTest, items: int, adjusted: float | None = None, alpha: float = 0.05, effect: float = 0.05
) -> str:
    """What may be said of the comparison, in plain words that follow from the numbers alone.

    Args:
        test: The comparison.
        items: All items.
        adjusted: The p-value to judge by, where the test is one of several (:func:`holm`); None is the test's own.
        alpha: Two-sided level.
        effect: The difference of accuracies that one would like to see, 0..1: how many items that takes is said where
            no difference is shown. The share of items that differ is taken from this test, the target power is 0.8.
    """
    if items == 0:
        return "No difference shown: there are no items."
    p = test.p if adjusted is None else adjusted
    of_several = "" if adjusted is None else " after Holm's correction"
    numbers = f"{test.only_tuned} items won, {test.only_base} lost, p = {p:.2g}{of_several}"
    if p < alpha:
        found = gain(test, items, 1 - alpha)
        low, high = (f"{100 * bound:+.1f}" for bound in found.interval)
        word = "Better" if found.value > 0 else "Worse"
        return f"{word} by {100 * abs(found.value):.1f} points ({numbers}; {1 - alpha:.0%} interval {low} to {high})."
    discordance = (test.only_base + test.only_tuned) / items
    needed = items_needed(effect, discordance, alpha=alpha)
    seen = detectable_effect(items, discordance, alpha=alpha)
    reach = "no difference at all" if seen is None else f"{100 * seen:.1f} points or more"
    if needed > items:
        asked = f"this test would need {needed:,} items to see {100 * effect:g} points; with {items:,} it sees {reach}"
    else:
        asked = f"with {items:,} items this test sees {reach}"
    return f"No difference shown ({numbers}): {asked}."


def no_worse_verdict(result: NonInferiority, needed: int | None = None) -> str:
    """What may be said of a test for "no worse", in plain words.

    Args:
        result: The test.
        needed: Items that the test would need (:func:`items_to_rule_out`), where it has fewer.
    """
    margin, low, high = (100 * bound for bound in (result.margin, *result.gain.interval))
    numbers = f"{100 * result.gain.value:+.1f} points, interval {low:+.1f} to {high:+.1f}, p = {result.p:.2g}"
    more = f": for models that are equally good this test would need {needed:,} items" if needed is not None else ""
    if not result.tells:
        weak = (
            f"this base is too weak for the question: {above_guessing(result.room)}, and the question is of {margin:g}"
        )
        return f"{f'Worse: some loss is shown, but {weak}' if high < 0 else f'Cannot be told: {weak}'} ({numbers})."
    if result.shown and high < 0:
        return f"Worse, but by less than {margin:g} points ({numbers})."
    if result.shown:
        return f"No worse: a loss of {margin:g} points is ruled out ({numbers})."
    if high < 0:
        return f"Worse: a loss of {margin:g} points is not ruled out, and some loss is shown ({numbers})."
    return f"Not shown to be no worse: a loss of {margin:g} points is not ruled out ({numbers}){more}."


def above_guessing(room: float) -> str:
    """What a model has to lose (:func:`room_to_lose`), in words that "it" begins."""
    if room <= 0:
        return "it is not shown to be better than guessing"
    return f"it is better than guessing by {100 * room:.1f} points for sure"
