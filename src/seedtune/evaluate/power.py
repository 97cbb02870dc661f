"""What a comparison of two models on the same items can show: power, smallest effect, number of items.

All of it is for the exact McNemar test of :func:`seedtune.evaluate.statistics.mcnemar`, and exact itself: with n items
of which a share of ``discordance`` is right for one model alone, the number that differ is binomial, and so is the
number of those that the better model wins (the unconditional power of Duffy 1984, Biometrics 40, 1005-1015). The usual
normal approximation (Connor 1987, Biometrics 43, 207-211) asks for up to a tenth fewer items.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

_NEGLIGIBLE = 1e-9
"""Probability of numbers of differing items that are left out."""
_MOST = 10_000_000
"""Items from which on nobody asks how many more are needed."""


def critical_losses(differing: NDArray[np.int64], alpha: float = 0.05) -> NDArray[np.int64]:
    """The most items that the better model may lose for p < alpha, for each number that differ; -1 where none will do.

    Args:
        differing: Numbers of items that one model alone has right; any shape.
        alpha: Two-sided level.
    """
    losses = binom.ppf(alpha / 2, differing, 0.5).astype(np.int64)
    # ppf is the first count whose tail reaches alpha / 2: the one before it stays below.
    return np.where(2 * binom.cdf(losses, differing, 0.5) < alpha, losses, losses - 1)


def power(items: int, effect: float, discordance: float, alpha: float = 0.05) -> float:
    """Probability that the exact McNemar test finds a true difference, 0..1.

    Args:
        items: Number of items, n >= 0; 0 gives 0.
        effect: True difference of the two accuracies, 0..1; at 0 the result is the rate of false alarms.
        discordance: True share of items that one model alone has right, at least ``effect``, at most 1.
        alpha: Two-sided level.

    Raises:
        ValueError: a share outside 0..1, or an effect larger than the discordance.
    """
    if not 0 <= effect <= discordance <= 1:
        raise ValueError(f"0 <= effect <= discordance <= 1 is needed, not {effect} and {discordance}")
    if items == 0 or discordance == 0:
        return 0.0
    low, high = binom.ppf([_NEGLIGIBLE, 1 - _NEGLIGIBLE], items, discordance)
    differing = np.arange(int(low), int(high) + 1)
    losses = critical_losses(differing, alpha)
    won = (1 + effect / discordance) / 2
    found = binom.cdf(losses, differing, 1 - won) + binom.cdf(losses, differing, won)
    return float(binom.pmf(differing, items, discordance) @ np.where(losses < 0, 0.0, found))


def detectable_effect(items: int, discordance: float, target: float = 0.8, alpha: float = 0.05) -> float | None:
    """The smallest difference of accuracies that n items show with the target power.

    Args:
        items: Number of items.
        discordance: Share of items that one model alone has right. Where an effect is larger than that share, the
            share is taken to be the effect: every item that differs is then a win.
        target: Power, 0..1.
        alpha: Two-sided level.

    Returns:
        Between 0 and 1, to 1e-4; None where no difference at all is shown with that power (n = 0, or fewer than six
        items at the usual level).
    """
    if power(items, 1.0, 1.0, alpha) < target:
        return None
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        effect = (low + high) / 2
        if power(items, effect, max(effect, discordance), alpha) < target:
            low = effect
        else:
            high = effect
    return high


def items_needed(effect: float, discordance: float, target: float = 0.8, alpha: float = 0.05) -> int:
    """How many items show a difference of accuracies with the target power.

    Power rises with n but for small steps of the discrete test; what is given is a number that reaches the target while
    the one before it does not.

    Args:
        effect: Difference of accuracies to be seen, above 0, at most 1.
        discordance: Share of items that one model alone has right; raised to ``effect`` where it is smaller.
        target: Power, 0..1.
        alpha: Two-sided level.

    Raises:
        ValueError: the effect is not above 0.
    """
    if effect <= 0:
        raise ValueError(f"a difference above 0 is needed, not {effect}: no number of items shows none")
    discordance = max(discordance, effect)
    low, high = 0, max(8, _connor(effect, discordance, target, alpha))
    while power(high, effect, discordance, alpha) < target and high < _MOST:
        low, high = high, high + high // 4
    while high - low > 1:
        middle = (low + high) // 2
        if power(middle, effect, discordance, alpha) < target:
            low = middle
        else:
            high = middle
    return high


def _connor(effect: float, discordance: float, target: float, alpha: float) -> int:
    """The normal approximation of Connor 1987: where the search begins."""
    spread = norm.isf(alpha / 2) * math.sqrt(discordance)
    spread += norm.ppf(target) * math.sqrt(max(0.0, discordance - effect**2))
    return min(_MOST, math.ceil((spread / effect) ** 2))
