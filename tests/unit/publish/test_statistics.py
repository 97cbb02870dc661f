"""What the card counts."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from run_on_disk import row
from seedtune.publish.statistics import SAMPLES, Histogram, Shares, count


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None, database=None)
def test_every_text_is_in_one_of_at_most_twenty_bins(lengths: list[int]) -> None:
    histogram = Histogram.of_words(Counter(lengths))
    assert sum(histogram.counts) == len(lengths)
    assert len(histogram.counts) <= 20


def test_one_long_text_does_not_squeeze_the_others_into_one_bin() -> None:
    histogram = Histogram.of_words(Counter({5: 50, 15: 49, 10_000: 1}))
    assert (histogram.width, histogram.counts[5], histogram.counts[-1]) == (1, 50, 50)


def test_shares_have_their_bins_and_mean() -> None:
    shares = Shares()
    for value in (0.0, 0.049, 0.05, 0.999, 1.0):
        shares.add(value)
    assert (shares.counts[0], shares.counts[1], shares.counts[19]) == (2, 1, 2)
    assert shares.mean == sum((0.0, 0.049, 0.05, 0.999, 1.0)) / 5


def test_the_samples_follow_from_the_seed_and_not_from_the_order_of_the_rows() -> None:
    rows = [row(f"Explain route number {number}.") for number in range(50)]
    first, turned, other = count(rows, 1).samples, count(rows[::-1], 1).samples, count(rows, 2).samples
    assert len(first) == SAMPLES
    assert first == turned
    assert first != other


def test_rows_without_the_newer_keys_are_counted_and_those_with_them_too() -> None:
    old = row("Explain one thing.")
    new = row(
        "List the two things.", source="a.md#1", mean_similarity=0.1, scores={"judge": 4.0}, neighbours=[["ab", 0.3]]
    )
    statistics = count([old, new], 0)
    assert (statistics.rows, statistics.grounded, statistics.mean_similarity.n) == (2, 1, 1)
    assert statistics.judge == {4.0: 1}


def test_english_is_recognised_and_nothing_else_is_taken_for_it() -> None:
    assert count([row("Explain the timer.")], 0).language == "en"
    assert count([row("Erkläre den Zeitgeber."), row("反射を説明せよ")], 0).language is None
    assert count([], 0).language is None
