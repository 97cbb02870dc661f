"""Intervals, tests and the words made of them, against sums computed here, other definitions and simulation."""

import itertools
import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, norm

from seedtune.evaluate.statistics import (
    PairedTest,
    agreement,
    bootstrap_mean,
    gain,
    holm,
    items_to_rule_out,
    mcnemar,
    no_worse,
    no_worse_verdict,
    paired_bootstrap,
    pass_at_k,
    pass_rate,
    room_to_lose,
    verdict,
    wilson,
)

COUNTS = st.integers(0, 40)


def exact_p(first: int, second: int) -> Fraction:
    """Two-sided p-value of a fair coin: twice the smaller tail, at most 1."""
    n = first + second
    tail = sum(math.comb(n, k) for k in range(min(first, second) + 1))
    return min(Fraction(1), Fraction(2 * tail, 2**n))


def outcomes(only_base: int, only_tuned: int, both: int = 3, neither: int = 2) -> tuple[list[bool], list[bool]]:
    pairs = (
        [(True, False)] * only_base + [(False, True)] * only_tuned + [(True, True)] * both + [(False, False)] * neither
    )
    return [base for base, _ in pairs], [tuned for _, tuned in pairs]


def paired(only_base: int, only_tuned: int) -> PairedTest:
    return mcnemar(*outcomes(only_base, only_tuned))


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe 1998 (Statistics in Medicine 17, 857-872), table I, method 3: the Wilson score interval.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_intervals_of_the_textbook(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500), st.data())
@settings(max_examples=60, deadline=None)
def test_the_wilson_bounds_solve_its_equation(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    z2 = 1.959963984540054**2
    for bound in wilson(successes, trials):
        assert (successes / trials - bound) ** 2 == pytest.approx(z2 * bound * (1 - bound) / trials, abs=1e-9)


@given(st.integers(0, 300), st.data())
@settings(max_examples=60, deadline=None)
def test_wilson_holds_the_share_and_stays_within_0_and_1(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    low, high = wilson(successes, trials)
    assert 0 <= low <= (successes / trials if trials else 0.5) <= high <= 1


@given(st.integers(1, 300), st.data())
@settings(max_examples=60, deadline=None)
def test_wilson_mirrors_when_right_and_wrong_are_swapped(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    low, high = wilson(trials - successes, trials)
    assert wilson(successes, trials) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_wilson_of_no_trials_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_wilson_is_wider_at_a_higher_confidence() -> None:
    narrow, wide = wilson(30, 100), wilson(30, 100, confidence=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    ("only_base", "only_tuned", "p"),
    [
        (0, 5, Fraction(2, 32)),
        (0, 6, Fraction(2, 64)),
        (1, 8, Fraction(2 * (1 + 9), 512)),
        (4, 14, Fraction(2 * (1 + 18 + 153 + 816 + 3060), 2**18)),
        (7, 7, Fraction(1)),
    ],
)
def test_mcnemar_gives_the_p_value_computed_by_hand(only_base: int, only_tuned: int, p: Fraction) -> None:
    assert paired(only_base, only_tuned).p == pytest.approx(float(p), rel=1e-12)


@given(COUNTS, COUNTS)
@settings(max_examples=100, deadline=None)
def test_mcnemar_equals_the_binomial_sum(only_base: int, only_tuned: int) -> None:
    assert paired(only_base, only_tuned).p == pytest.approx(float(exact_p(only_base, only_tuned)), rel=1e-9)


@given(COUNTS, COUNTS)
@settings(max_examples=50, deadline=None)
def test_mcnemar_is_symmetric(first: int, second: int) -> None:
    assert paired(first, second).p == pytest.approx(paired(second, first).p, rel=1e-12)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
@settings(max_examples=50, deadline=None)
def test_mcnemar_counts_only_items_that_differ(only_base: int, only_tuned: int, both: int, neither: int) -> None:
    assert mcnemar(*outcomes(only_base, only_tuned, both, neither)) == paired(only_base, only_tuned)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
@settings(max_examples=50, deadline=None)
def test_mcnemar_counts_each_side(pairs: list[tuple[bool, bool]]) -> None:
    test = mcnemar([base for base, _ in pairs], [tuned for _, tuned in pairs])
    assert (test.only_base, test.only_tuned) == (pairs.count((True, False)), pairs.count((False, True)))


def test_mcnemar_of_no_items_shows_nothing() -> None:
    assert mcnemar([], []) == (0, 0, 1.0)


def test_mcnemar_refuses_lists_of_different_length() -> None:
    with pytest.raises(ValueError, match="zip"):
        mcnemar([True], [True, False])


@given(COUNTS, COUNTS, COUNTS)
@settings(max_examples=30, deadline=None)
def test_the_verdict_begins_with_what_the_numbers_show(only_base: int, only_tuned: int, same: int) -> None:
    test = paired(only_base, only_tuned)
    word = "No" if test.p >= 0.05 else "Better" if only_tuned > only_base else "Worse"
    assert verdict(test, only_base + only_tuned + same).split()[0] == word


@pytest.mark.parametrize(("only_base", "only_tuned", "words"), [(2, 14, "Better by 12.0"), (14, 2, "Worse by 12.0")])
def test_the_verdict_gives_the_difference_in_points(only_base: int, only_tuned: int, words: str) -> None:
    assert verdict(paired(only_base, only_tuned), 100).startswith(f"{words} points ")


@given(COUNTS, COUNTS)
@settings(max_examples=30, deadline=None)
def test_the_verdict_gives_wins_losses_and_p(only_base: int, only_tuned: int) -> None:
    test = paired(only_base, only_tuned)
    said = re.search(r"\((\d+) items won, (\d+) lost, p = ([\d.e+-]+)[);]", verdict(test, 100))
    assert said
    assert (int(said[1]), int(said[2])) == (only_tuned, only_base)
    assert float(said[3]) == pytest.approx(test.p, rel=0.05)


def test_a_verdict_without_a_difference_says_how_many_items_it_takes() -> None:
    assert verdict(paired(7, 8), 100) == (
        "No difference shown (8 items won, 7 lost, p = 1): this test would need 498 items to see 5 points; "
        "with 100 it sees 11.0 points or more."
    )


def test_a_verdict_on_many_items_says_what_they_would_have_shown() -> None:
    assert "with 5,000 items this test sees 0.8 points or more" in verdict(paired(100, 110), 5000)


def test_a_verdict_on_too_few_items_says_that_they_show_nothing() -> None:
    assert "with 5 it sees no difference at all" in verdict(paired(0, 4), 5)


def test_a_verdict_is_by_the_adjusted_p_value_and_says_so() -> None:
    test = paired(2, 14)
    assert verdict(test, 100).startswith("Better")
    assert verdict(test, 100, adjusted=0.06).startswith("No difference shown")
    assert "p = 0.013 after Holm's correction" in verdict(test, 100, adjusted=0.0126)


def test_a_verdict_on_no_items_shows_no_difference() -> None:
    assert verdict(mcnemar([], []), 0) == "No difference shown: there are no items."


def test_wilson_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Exactly, over all outcomes; the average over p is what the interval promises."""
    n = 40
    intervals = np.array([wilson(successes, n) for successes in range(n + 1)])
    shares = np.linspace(0.05, 0.95, 91)
    held = (intervals[:, :1] <= shares) & (shares <= intervals[:, 1:])
    coverage = (binom.pmf(np.arange(n + 1)[:, None], n, shares) * held).sum(axis=0)
    assert coverage.mean() == pytest.approx(0.95, abs=0.01)
    assert coverage.min() > 0.9


def likelihood_score(only_base: int, only_tuned: int, items: int, difference: float) -> float:
    """The score statistic with the constrained maximum found by search instead of by formula."""

    def loss(q: float) -> float:
        shares = (q, q + difference, 1 - 2 * q - difference)
        counts = (only_base, only_tuned, items - only_base - only_tuned)
        return -sum(count * math.log(max(share, 1e-300)) for count, share in zip(counts, shares, strict=True) if count)

    low, high = max(0.0, -difference), (1 - difference) / 2
    q = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    variance = (2 * q + difference - difference**2) / items
    return ((only_tuned - only_base) / items - difference) / math.sqrt(variance)


@pytest.mark.parametrize(
    ("only_base", "only_tuned", "items"), [(9, 11, 100), (2, 14, 50), (0, 0, 30), (1, 0, 44), (20, 3, 60)]
)
def test_the_bounds_of_the_gain_are_where_the_score_reaches_its_limit(
    only_base: int, only_tuned: int, items: int
) -> None:
    interval = gain(PairedTest(only_base, only_tuned, 1.0), items).interval
    assert likelihood_score(only_base, only_tuned, items, interval.low) == pytest.approx(1.959964, abs=2e-3)
    assert likelihood_score(only_base, only_tuned, items, interval.high) == pytest.approx(-1.959964, abs=2e-3)


@given(COUNTS, COUNTS, COUNTS)
@settings(max_examples=100, deadline=None)
def test_the_gain_lies_in_its_interval_and_mirrors_when_models_are_swapped(first: int, second: int, same: int) -> None:
    items = first + second + same
    one, other = gain(PairedTest(first, second, 1.0), items), gain(PairedTest(second, first, 1.0), items)
    assert -1 <= one.interval.low <= one.value <= one.interval.high <= 1
    assert other.interval == pytest.approx((-one.interval.high, -one.interval.low), abs=1e-6)


@given(COUNTS, COUNTS, COUNTS)
@settings(max_examples=100, deadline=None)
def test_where_the_exact_test_is_significant_the_interval_leaves_out_0(first: int, second: int, same: int) -> None:
    test = paired(first, second)
    low, high = gain(test, first + second + same).interval
    assert test.p >= 0.05 or low > 0 or high < 0


def test_the_gain_of_no_items_is_unknown_and_of_no_differing_item_not_certain() -> None:
    assert gain(mcnemar([], []), 0) == (0.0, (-1.0, 1.0), 0)
    low, high = gain(paired(0, 0), 30).interval
    assert low < -0.05 < 0.05 < high
    assert gain(PairedTest(0, 30, 0.0), 30).interval.high == 1


@given(COUNTS, COUNTS, st.integers(1, 300), st.floats(0.01, 0.3))
@settings(max_examples=100, deadline=None)
def test_no_worse_is_shown_exactly_where_the_interval_lies_above_the_margin(
    first: int, second: int, same: int, margin: float
) -> None:
    result = no_worse(PairedTest(first, second, 1.0), first + second + same, margin, 1.0)
    assert result.shown == (result.gain.interval.low > -margin) == (result.p < 0.025)


def test_no_worse_raises_no_more_alarms_than_it_may_at_the_margin() -> None:
    """A model that is worse by just the margin passes one time in forty."""
    counts = np.random.default_rng(0).multinomial(300, [0.15, 0.10, 0.75], 4000)
    passed = sum(no_worse(PairedTest(int(lost), int(won), 1.0), 300, 0.05, 1.0).shown for lost, won, _ in counts)
    assert passed / 4000 == pytest.approx(0.025, abs=0.01)


@pytest.mark.parametrize("margin", [0.0, -0.1, 1.0, 3])
def test_a_margin_is_a_share(margin: float) -> None:
    with pytest.raises(ValueError, match=r"such as 0\.03"):
        no_worse(paired(1, 1), 10, margin, 1.0)


@pytest.mark.parametrize(
    ("only_base", "only_tuned", "words"),
    [
        (5, 6, "No worse: a loss of 6 points is ruled out"),
        (5, 0, "Worse, but by less than 6 points"),
        (20, 16, "Not shown"),
        (40, 10, "Worse: a loss of 6 points"),
    ],
)
def test_the_verdict_on_no_worse_says_what_is_ruled_out(only_base: int, only_tuned: int, words: str) -> None:
    assert no_worse_verdict(no_worse(PairedTest(only_base, only_tuned, 1.0), 200, 0.06, 1.0)).startswith(words)


@pytest.mark.parametrize(
    ("base", "chance", "words"),
    [
        (0, 0.0, "Cannot be told: this base is too weak for the question: it is not shown to be better than guessing"),
        (3, 0.0, "Cannot be told: this base is too weak for the question: it is better than guessing by 0.4 points"),
        (5, 0.0, "Worse: some loss is shown, but this base is too weak for the question"),
    ],
)
def test_a_base_with_next_to_nothing_to_lose_shows_nothing(base: int, chance: float, words: str) -> None:
    """Everything that it had right is forgotten, and still less than five points are lost."""
    test, n = mcnemar([True] * base + [False] * (263 - base), [False] * 263), 263
    result = no_worse(test, n, 0.05, room_to_lose(base, n, chance))
    assert result.p < 0.025
    assert not result.shown
    assert no_worse_verdict(result).startswith(words)


@given(st.integers(0, 300), st.floats(0, 0.5), st.floats(0.01, 0.3))
@settings(max_examples=100, deadline=None)
def test_no_worse_is_shown_only_by_a_base_that_is_above_guessing_by_more_than_the_margin(
    base: int, chance: float, margin: float
) -> None:
    """Both answer alike, so that the gain is 0 whatever they know."""
    result = no_worse(PairedTest(0, 0, 1.0), 300, margin, room_to_lose(base, 300, chance))
    assert result.shown == (result.p < 0.025 and wilson(base, 300).low - chance > margin)


def test_a_gain_that_is_shown_needs_no_strong_base() -> None:
    result = no_worse(PairedTest(0, 30, 0.0), 263, 0.05, room_to_lose(0, 263, 0.0))
    assert result.shown
    assert no_worse_verdict(result).startswith("No worse")


def test_nothing_is_shown_to_be_no_worse_without_items() -> None:
    result = no_worse(mcnemar([], []), 0, 0.05, room_to_lose(0, 0, 0.0))
    assert (result.shown, result.p) == (False, 1.0)


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8), st.sampled_from([0.01, 0.05, 0.2]))
@settings(max_examples=100, deadline=None)
def test_holm_rejects_what_stepping_down_rejects(p_values: dict[str, float], alpha: float) -> None:
    """The definition: from the smallest on, reject while the k-th is below alpha over the number that is left."""
    rejected = set[str]()
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        if (len(p_values) - rank) * p_values[name] >= alpha:
            break
        rejected.add(name)
    assert {name for name, p in holm(p_values).items() if p < alpha} == rejected


def test_holm_adjusts_the_example_by_hand_and_keeps_the_order() -> None:
    assert list(holm({"c": 0.04, "a": 0.01, "b": 0.03}).items()) == [("c", 0.06), ("a", 0.03), ("b", 0.06)]
    assert holm({"one": 0.2}) == {"one": 0.2}
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@pytest.mark.parametrize("n", [20, 60])
def test_bootstrap_intervals_hold_the_truth_about_as_often_as_they_say(n: int) -> None:
    """Skewed scores, 400 samples: three standard errors are three points, and BCa falls a little short for small n."""
    generator = np.random.default_rng(3)
    held = 0
    for seed in range(400):
        low, high = bootstrap_mean(generator.beta(0.5, 1.5, n).tolist(), seed, resamples=1000).interval
        held += low <= 0.25 <= high
    assert 0.89 <= held / 400 <= 0.98


def test_the_bootstrap_is_near_the_normal_interval_for_many_values() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)
    half = norm.isf(0.025) * values.std() / 20
    low, high = bootstrap_mean(values.tolist(), 0).interval
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.0015)


def test_the_bootstrap_follows_from_the_values_and_the_seed_alone() -> None:
    values = np.random.default_rng(0).random(100).tolist()
    assert bootstrap_mean(values, 7) == bootstrap_mean(values[::-1], 7)
    assert bootstrap_mean(values, 7) != bootstrap_mean(values, 8)


def test_the_bootstrap_claims_no_certainty_where_all_values_are_the_same() -> None:
    """30 of 30: the exact binomial interval."""
    low, high = bootstrap_mean([1.0] * 30, 0).interval
    assert low == pytest.approx(float(binomtest(30, 30).proportion_ci().low))
    assert high == 1
    low, high = paired_bootstrap([0.5] * 30, [0.5] * 30, 0).interval
    assert low == -high < 0


def test_the_bootstrap_of_nothing_is_all_that_is_possible() -> None:
    assert bootstrap_mean([], 0) == (0.0, (0.0, 1.0), 0)
    assert paired_bootstrap([], [], 0) == (0.0, (-1.0, 1.0), 0)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_a_bootstrap_interval_is_finite_and_lies_within_the_bounds(values: list[float]) -> None:
    estimate = bootstrap_mean(values, 0, resamples=200)
    assert 0 <= estimate.interval.low <= estimate.interval.high <= 1
    assert estimate.value == pytest.approx(np.mean(values))


def test_the_paired_bootstrap_is_of_the_differences() -> None:
    base, tuned = [0.2, 0.5, 0.9, 0.1], [0.6, 0.5, 1.0, 0.0]
    expected = bootstrap_mean([0.4, 0.0, 0.1, -0.1], 5, (-1.0, 1.0))
    found = paired_bootstrap(base, tuned, 5)
    assert found.value == pytest.approx(0.1)
    assert found.interval == pytest.approx(expected.interval)
    with pytest.raises(ValueError, match="zip"):
        paired_bootstrap([1.0], [1.0, 0.0], 0)


@given(st.integers(1, 12), st.data())
@settings(max_examples=60, deadline=None)
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(samples: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, samples))
    k = data.draw(st.integers(1, samples))
    subsets = list(itertools.combinations(range(samples), k))
    right = sum(any(place < correct for place in subset) for subset in subsets)
    assert pass_at_k(samples, correct, k) == pytest.approx(right / len(subsets))


def test_pass_at_1_is_the_share_that_is_right_also_of_very_many() -> None:
    assert pass_at_k(10, 3, 1) == 0.3
    assert pass_at_k(5000, 10, 1) == 0.002


@pytest.mark.parametrize(("samples", "correct", "k"), [(4, 1, 5), (4, 5, 1), (4, -1, 1), (4, 1, 0), (0, 0, 1)])
def test_pass_at_k_of_impossible_counts_is_refused(samples: int, correct: int, k: int) -> None:
    with pytest.raises(ValueError, match=f"pass@{k} needs"):
        pass_at_k(samples, correct, k)


def test_the_interval_of_a_pass_rate_is_by_task_not_by_sample() -> None:
    """Ten samples that always agree are worth one."""
    once = pass_rate([[True], [False], [True], [True]] * 5, 1, 0)
    tenfold = pass_rate([[True] * 10, [False] * 10, [True] * 10, [True] * 10] * 5, 1, 0)
    assert tenfold == once
    assert once.n == 20
    assert pass_rate([], 1, 0).interval == (0.0, 1.0)


def test_kappa_of_the_example_by_hand() -> None:
    """Cohen 1960: 50 things, 20 times both yes, 15 times both no, 5 and 10 times apart; kappa is 0.4."""
    first = ["y"] * 25 + ["n"] * 25
    second = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert agreement(first, second) == (50, 0.7, pytest.approx(0.4))


def test_kappa_at_its_ends() -> None:
    assert agreement("abab", "abab") == (4, 1.0, 1.0)
    assert agreement("abab", "baba").kappa == -1
    assert agreement("aabb", "abab").kappa == 0
    assert agreement("aa", "aa") == (2, 1.0, None)
    assert agreement("", "") == (0, 0.0, None)


def test_the_items_that_no_worse_needs_follow_from_how_often_the_models_differ() -> None:
    """With a share d that differs, about d * ((1.960 + 0.842) / margin)**2; Tango's test asks for a little more."""
    for only_base, only_tuned in ((10, 10), (30, 10), (40, 40)):
        differing = (only_base + only_tuned) / 200
        needed = items_to_rule_out(PairedTest(only_base, only_tuned, 1.0), 200, 0.05)
        assert 1 <= needed / (differing * (2.8016 / 0.05) ** 2) < 1.25
    assert items_to_rule_out(PairedTest(0, 0, 1.0), 20, 0.05) > 100


def test_so_many_items_with_the_same_share_are_enough_and_the_power_is_what_was_asked_for() -> None:
    """Drawn anew: models that are equally good and differ on a tenth of the items pass in about 80% of trials."""
    needed = items_to_rule_out(PairedTest(10, 10, 1.0), 200, 0.05)
    draws = np.random.default_rng(3).multinomial(needed, [0.05, 0.05, 0.9], size=400)
    shown = [no_worse(PairedTest(int(lost), int(won), 1.0), needed, 0.05, 1.0).shown for lost, won, _ in draws]
    assert 0.72 < sum(shown) / len(shown) < 0.88


def test_a_verdict_says_how_many_items_would_be_needed_only_where_nothing_is_shown() -> None:
    unclear = no_worse(PairedTest(5, 5, 1.0), 50, 0.05, 1.0)
    assert no_worse_verdict(unclear, 630).endswith(": for models that are equally good this test would need 630 items.")
    assert "need" not in no_worse_verdict(no_worse(PairedTest(0, 0, 1.0), 500, 0.05, 1.0), 10)
