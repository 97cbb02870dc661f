"""The statistics of a comparison; scipy does the work."""

from collections.abc import Sequence
from typing import NamedTuple

from scipy.stats import binom, binomtest


class Interval(NamedTuple):
    """A 95% confidence interval of a proportion."""

    low: float
    high: float


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """The Wilson score interval (Wilson 1927); (0, 1) where there were no trials."""
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


def smallest_significant(differing: int, alpha: float = 0.05) -> int | None:
    """How far apart the two counts of a McNemar test must be for p < alpha when ``differing`` items differ.

    None where no split of so few items is significant (fewer than six at 5%).
    """
    for losses in range(differing // 2, -1, -1):
        if min(1.0, 2 * float(binom.cdf(losses, differing, 0.5))) < alpha:
            return differing - 2 * losses
    return None


def verdict(test: PairedTest, items: int, alpha: float = 0.05) -> str:
    """What may be said of the comparison, in plain words that follow from the numbers alone."""
    gain = (test.only_tuned - test.only_base) / items if items else 0.0
    numbers = f"{test.only_tuned} items won, {test.only_base} lost, p = {test.p:.2g}"
    if test.p < alpha:
        return f"{'Better' if gain > 0 else 'Worse'} by {abs(gain) * 100:.1f} points ({numbers})."
    differ = test.only_base + test.only_tuned
    needed = smallest_significant(differ, alpha)
    alone = f"one model alone was right on {differ} of {items} items"
    if needed is None:
        return f"No difference shown ({numbers}): {alone}, too few for any difference to be significant."
    return f"No difference shown ({numbers}): {alone}, and of so many it takes a lead of {needed} to be significant."
