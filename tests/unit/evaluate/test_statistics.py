"""Wilson interval, exact McNemar test and the words made of them, against sums computed here with fractions."""

import math
import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.evaluate.statistics import PairedTest, mcnemar, smallest_significant, verdict, wilson

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


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize("differing", range(31))
def test_smallest_significant_is_what_trying_every_split_finds(differing: int, alpha: float) -> None:
    leads = [
        differing - 2 * losses
        for losses in range(differing // 2 + 1)
        if exact_p(losses, differing - losses) < Fraction(alpha)
    ]
    assert smallest_significant(differing, alpha) == (min(leads) if leads else None)


def test_fewer_than_six_differing_items_are_never_significant() -> None:
    assert [smallest_significant(differing) for differing in range(7)] == [None] * 6 + [6]


@given(COUNTS, COUNTS)
@settings(max_examples=100, deadline=None)
def test_a_lead_is_significant_from_the_smallest_one_on(only_base: int, only_tuned: int) -> None:
    needed = smallest_significant(only_base + only_tuned)
    reached = needed is not None and abs(only_tuned - only_base) >= needed
    assert (paired(only_base, only_tuned).p < 0.05) == reached


@given(COUNTS, COUNTS, COUNTS)
@settings(max_examples=100, deadline=None)
def test_the_verdict_begins_with_what_the_numbers_show(only_base: int, only_tuned: int, same: int) -> None:
    test = paired(only_base, only_tuned)
    word = "No" if test.p >= 0.05 else "Better" if only_tuned > only_base else "Worse"
    assert verdict(test, only_base + only_tuned + same).split()[0] == word


@pytest.mark.parametrize(("only_base", "only_tuned", "words"), [(2, 14, "Better by 12.0"), (14, 2, "Worse by 12.0")])
def test_the_verdict_gives_the_difference_in_points(only_base: int, only_tuned: int, words: str) -> None:
    assert verdict(paired(only_base, only_tuned), 100).startswith(f"{words} points ")


@given(COUNTS, COUNTS)
@settings(max_examples=50, deadline=None)
def test_the_verdict_gives_wins_losses_and_p(only_base: int, only_tuned: int) -> None:
    test = paired(only_base, only_tuned)
    said = re.search(r"\((\d+) items won, (\d+) lost, p = ([\d.e+-]+)\)", verdict(test, 100))
    assert said
    assert (int(said[1]), int(said[2])) == (only_tuned, only_base)
    assert float(said[3]) == pytest.approx(test.p, rel=0.05)


def test_a_verdict_without_a_difference_says_what_lead_it_takes() -> None:
    said = verdict(paired(9, 11), 100)
    assert "one model alone was right on 20 of 100 items, and of so many it takes a lead of 10 " in said


def test_a_verdict_on_too_few_differing_items_says_so() -> None:
    assert "one model alone was right on 4 of 100 items, too few for any difference" in verdict(paired(0, 4), 100)


def test_a_verdict_on_no_items_shows_no_difference() -> None:
    assert verdict(mcnemar([], []), 0).startswith("No difference shown (0 items won, 0 lost, p = 1)")
