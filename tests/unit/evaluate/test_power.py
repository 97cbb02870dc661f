"""Power of the exact McNemar test, against simulation and sums computed here."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from seedtune.evaluate.power import critical_losses, detectable_effect, items_needed, power


def simulated_power(items: int, effect: float, discordance: float, runs: int, seed: int) -> float:
    """Share of simulated comparisons that scipy's binomial test calls significant."""
    shares = [(discordance + effect) / 2, (discordance - effect) / 2, 1 - discordance]
    counts = np.random.default_rng(seed).multinomial(items, shares, runs)
    pairs, times = np.unique(counts[:, :2], axis=0, return_counts=True)
    found = [bool(won + lost) and binomtest(int(won), int(won + lost)).pvalue < 0.05 for won, lost in pairs]
    return float(np.array(found) @ times) / runs


@pytest.mark.parametrize(
    ("items", "effect", "discordance"), [(60, 0.15, 0.3), (200, 0.1, 0.2), (30, 0.5, 0.5), (80, 0.0, 0.4)]
)
def test_power_is_the_share_of_simulated_comparisons_found(items: int, effect: float, discordance: float) -> None:
    runs = 4000
    simulated = simulated_power(items, effect, discordance, runs, seed=1)
    # Four standard errors.
    assert power(items, effect, discordance) == pytest.approx(simulated, abs=4 * 0.5 / math.sqrt(runs))


def test_power_is_the_sum_over_all_outcomes_computed_by_hand() -> None:
    """Seven items that all differ, of which the better model wins 3 in 4: significant are 7:0 and 0:7 alone."""
    assert power(7, 0.5, 1.0) == pytest.approx(float(Fraction(3**7 + 1, 4**7)))


@given(st.integers(1, 400), st.floats(0.01, 1))
@settings(max_examples=50, deadline=None)
def test_without_a_difference_the_test_raises_no_more_alarms_than_it_may(items: int, discordance: float) -> None:
    assert power(items, 0.0, discordance) <= 0.05


def test_power_of_no_items_or_no_differing_items_is_0() -> None:
    assert power(0, 0.5, 0.5) == 0
    assert power(100, 0.0, 0.0) == 0
    assert power(5, 1.0, 1.0) == 0


def test_an_effect_cannot_be_larger_than_the_share_that_differs() -> None:
    with pytest.raises(ValueError, match="effect <= discordance"):
        power(100, 0.3, 0.2)


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_critical_losses_are_the_last_that_scipy_calls_significant(alpha: float) -> None:
    for differing in range(1, 40):
        losses = int(critical_losses(np.array(differing), alpha))
        assert losses < 0 or binomtest(losses, differing).pvalue < alpha
        assert 2 * (losses + 1) > differing or binomtest(losses + 1, differing).pvalue >= alpha


def test_fewer_than_six_differing_items_are_never_significant() -> None:
    assert critical_losses(np.arange(9)).tolist() == [-1] * 6 + [0, 0, 0]


@pytest.mark.parametrize(("effect", "discordance"), [(0.05, 0.15), (0.05, 0.3), (0.1, 0.2), (0.1, 0.1), (0.5, 0.6)])
def test_the_number_of_items_reaches_the_target_and_one_less_does_not(effect: float, discordance: float) -> None:
    needed = items_needed(effect, discordance)
    assert power(needed, effect, discordance) >= 0.8 > power(needed - 1, effect, discordance)


@pytest.mark.parametrize(("effect", "discordance", "connor"), [(0.05, 0.15, 469), (0.05, 0.2, 626), (0.1, 0.2, 155)])
def test_the_exact_test_needs_little_more_than_the_approximation_of_connor(
    effect: float, discordance: float, connor: int
) -> None:
    assert connor < items_needed(effect, discordance) < 1.1 * connor


def test_a_test_of_the_items_needed_finds_the_effect_in_four_of_five_simulations() -> None:
    needed = items_needed(0.1, 0.25)
    assert simulated_power(needed, 0.1, 0.25, 4000, seed=2) == pytest.approx(0.8, abs=0.03)


@given(st.integers(20, 2000), st.floats(0, 0.6))
@settings(max_examples=25, deadline=None)
def test_the_smallest_detectable_effect_is_detected_and_a_smaller_one_is_not(items: int, discordance: float) -> None:
    effect = detectable_effect(items, discordance)
    assert effect is not None
    assert power(items, effect, max(effect, discordance)) >= 0.8
    less = effect - 0.002
    assert power(items, less, max(less, discordance)) < 0.8


def test_items_and_effect_are_each_others_inverse() -> None:
    effect = detectable_effect(items_needed(0.08, 0.2), 0.2)
    assert effect == pytest.approx(0.08, abs=0.001)


@pytest.mark.parametrize("items", range(6))
def test_fewer_than_six_items_detect_nothing(items: int) -> None:
    assert detectable_effect(items, 0.5) is None


def test_a_share_below_the_effect_is_raised_to_it() -> None:
    assert items_needed(0.1, 0.0) == items_needed(0.1, 0.1)


@pytest.mark.parametrize("effect", [0.0, -0.1])
def test_no_number_of_items_shows_no_difference(effect: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        items_needed(effect, 0.2)
