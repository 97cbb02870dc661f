"""ROUGE-L against the package rouge-score and against a plain dynamic programme."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from seedtune import similarity
from seedtune.similarity import Neighbour, Neighbourhood, RougeIndex, tokenize, tokenize_ascii

THRESHOLD = 0.7
REFERENCE = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
WORDS = ["the", "AS_PATH", "origin", "BGP-4", "10.0.0.0/8", "peer", "Straße", "путь", "前缀", "x", "…"]
SENTENCES = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)


def rouge_score(one: str, other: str) -> float:
    return float(REFERENCE.score(one, other)["rougeL"].fmeasure)


def index_of(*texts: str, ascii_only: bool = False) -> RougeIndex:
    index = RougeIndex(tokenize_ascii) if ascii_only else RougeIndex()
    for number, text in enumerate(texts):
        index.add(f"id{number}", text)
    return index


def plain_rouge(one: str, other: str) -> float:
    """F from the textbook table of longest common subsequences."""
    a, b = tokenize(one), tokenize(other)
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, left in enumerate(a):
        for j, right in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if left == right else max(table[i][j + 1], table[i + 1][j])
    longest = table[-1][-1]
    if not longest:
        return 0.0
    precision, recall = longest / len(b), longest / len(a)
    return 2 * precision * recall / (precision + recall)


def with_common(common: int, length: int, mark: str) -> str:
    """A text of ``length`` tokens, of which the first ``common`` are shared by all such texts."""
    return " ".join([f"w{n}" for n in range(common)] + [f"{mark}{n}" for n in range(length - common)])


@pytest.mark.parametrize("length", range(1, 21))
def test_every_small_ratio_gives_the_same_bits_as_rouge_score(length: int) -> None:
    for other in range(1, 21):
        for common in range(min(length, other) + 1):
            query, text = with_common(common, length, "q"), with_common(common, other, "t")
            assert index_of(text, ascii_only=True).scores(query)[0] == rouge_score(text, query)


@pytest.mark.parametrize("tens", range(1, 6))
def test_a_tie_with_the_threshold_is_decided_as_rouge_score_does(tens: int) -> None:
    common, together = 7 * tens, 20 * tens
    for length in range(common, together - common + 1):
        query, text = with_common(common, length, "q"), with_common(common, together - length, "t")
        ours = index_of(text, ascii_only=True).nearest(query).score
        assert ours == pytest.approx(THRESHOLD)
        assert (ours > THRESHOLD) == (rouge_score(text, query) > THRESHOLD)


def test_some_ties_fall_on_either_side_of_the_threshold() -> None:
    ties = [(7 * n, a, 20 * n - a) for n in range(1, 6) for a in range(7 * n, 13 * n + 1)]
    scores = [
        index_of(with_common(common, other, "t")).nearest(with_common(common, length, "q")).score
        for common, length, other in ties
    ]
    assert min(scores) <= THRESHOLD < max(scores)


@settings(max_examples=100, deadline=None)
@given(SENTENCES, SENTENCES)
def test_ascii_scores_are_those_of_rouge_score(one: str, other: str) -> None:
    assert index_of(one, ascii_only=True).scores(other)[0] == rouge_score(one, other)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_ascii_scores_of_any_text_are_those_of_rouge_score(one: str, other: str) -> None:
    assert index_of(one, ascii_only=True).scores(other)[0] == rouge_score(one, other)


@settings(max_examples=100, deadline=None)
@given(st.lists(SENTENCES, min_size=1, max_size=5), SENTENCES)
def test_scores_are_those_of_the_plain_table(pool: list[str], query: str) -> None:
    assert index_of(*pool).scores(query).tolist() == [plain_rouge(query, text) for text in pool]


@settings(max_examples=50, deadline=None)
@given(SENTENCES, SENTENCES)
def test_similarity_is_symmetric(one: str, other: str) -> None:
    assert index_of(one).scores(other)[0] == index_of(other).scores(one)[0]


def test_order_counts_and_gaps_do_not() -> None:
    assert index_of("a b c d").scores("a x b y").tolist() == [0.5]
    assert index_of("a b c d").scores("d c b a").tolist() == [0.25]


def test_text_in_another_script_has_tokens() -> None:
    assert index_of("Что такое префикс").nearest("что такое ПРЕФИКС") == Neighbour(1.0, "id0")


def test_text_in_another_script_has_no_token_for_rouge_score() -> None:
    assert tokenize_ascii("Что такое префикс") == []


def test_case_is_folded_beyond_lower_case() -> None:
    assert tokenize("STRASSE") == tokenize("Straße")


def test_an_empty_pool_has_no_neighbour() -> None:
    assert RougeIndex().nearest("any text") == Neighbour(0.0, "")


@pytest.mark.parametrize("query", ["", " \n", "…!?"])
def test_a_query_without_words_is_like_nothing(query: str) -> None:
    assert index_of("any text", "").nearest(query) == Neighbour(0.0, "")


def test_an_empty_text_in_the_pool_is_like_nothing() -> None:
    assert index_of("", "any text").scores("any text").tolist() == [0.0, 1.0]


def test_nothing_in_common_names_no_neighbour() -> None:
    assert index_of("one two").nearest("three four") == Neighbour(0.0, "")


def test_the_first_added_wins_among_equals() -> None:
    assert index_of("x y", "a b", "a b").nearest("a b").id == "id1"


def test_a_query_is_not_added() -> None:
    index = index_of("a b")
    index.nearest("c d")
    assert len(index) == 1
    assert index.nearest("c d").id == ""


def test_scores_stay_right_while_the_pool_grows() -> None:
    index, texts = RougeIndex(), [f"a b c {n} {n % 7}" for n in range(200)]
    for number, text in enumerate(texts):
        index.add(str(number), text)
        assert len(index) == number + 1
        assert index.nearest(text).score == 1.0
    assert index.scores("a b 3").tolist() == [plain_rouge("a b 3", text) for text in texts]


@pytest.mark.parametrize("length", [63, 64, 65, 127, 128, 150])
def test_long_texts_are_compared_as_exactly_as_short_ones(length: int) -> None:
    """A word has 64 bits; beyond that another way is taken."""
    draw = random.Random(length)
    pool = [" ".join(draw.choices("abcdef", k=size)) for size in (length, 5, length - 1, length + 1)]
    for query in (*pool, " ".join(draw.choices("abcdef", k=200)), "a b c"):
        assert index_of(*pool).scores(query).tolist() == [plain_rouge(query, text) for text in pool]
        assert index_of(*pool, ascii_only=True).scores(query).tolist() == [rouge_score(query, text) for text in pool]


@pytest.mark.parametrize("above", [0.3, THRESHOLD, 0.9])
def test_passing_over_what_is_out_of_reach_changes_no_decision(above: float) -> None:
    """Ties of long texts included, whose score may be rounded to either side."""
    ties = [(7 * n, a, 20 * n - a) for n in (8, 10, 13) for a in range(7 * n, 13 * n + 1, 3)]
    draw = random.Random(7)
    words = [" ".join(draw.choices("abcdefgh", k=draw.randrange(20, 160))) for _ in range(60)]
    pairs = [(with_common(c, m, "t"), with_common(c, n, "q")) for c, m, n in ties] + [*pairwise(words)]
    for text, query in pairs:
        index = index_of("another", text)
        found = index.nearest(query, above)
        assert (found.score > above) == (index.nearest(query).score > above)
        assert found == index.nearest(query) or found.score <= above


def test_a_long_text_that_cannot_reach_the_bound_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    monkeypatch.setattr(similarity, "_common_long", lambda tokens, places, length: compared.append(length) or 0)
    index = index_of(with_common(100, 100, "t"), with_common(40, 90, "t"))
    index.nearest(with_common(30, 30, "q"), THRESHOLD)
    assert compared == []
    index.nearest(with_common(80, 95, "q"), THRESHOLD)
    assert compared == [100]


def test_decisions_of_a_greedy_run_are_those_of_rouge_score() -> None:
    draw, kept, index = random.Random(0), list[str](), RougeIndex(tokenize_ascii)
    for number in range(400):
        text = " ".join(draw.choices("abcdefg", k=draw.randint(4, 12)))
        reference = max((rouge_score(other, text) for other in kept), default=0.0)
        assert index.nearest(text).score == reference
        if reference <= THRESHOLD:
            kept.append(text)
            index.add(str(number), text)
    assert 20 < len(kept) < 380


# Neighbours


def test_neighbours_are_the_nearest_in_falling_order_and_the_mean_of_all() -> None:
    index = index_of("a b c d", "w x y z", "a b y z", "a b c z")
    assert index.neighbours("a b c d", 2) == Neighbourhood(
        1.0, "id0", nearest=(("id0", 1.0), ("id3", 0.75)), mean=(1 + 0 + 0.5 + 0.75) / 4
    )


def test_neighbours_among_equals_stand_in_the_order_added() -> None:
    index = index_of("p q", *["a b"] * 12, "a b")
    assert [identity for identity, _ in index.neighbours("a b").nearest] == [f"id{n}" for n in range(1, 11)]


def test_what_has_nothing_in_common_is_no_neighbour() -> None:
    found = index_of("a b", "x y").neighbours("a c")
    assert found.nearest == (("id0", 0.5),)
    assert found.mean == 0.25


def test_neighbours_are_rounded_and_the_highest_score_is_not() -> None:
    found = index_of("a b").neighbours("a b c d e")
    assert found.score == plain_rouge("a b c d e", "a b")
    assert found.nearest == (("id0", 0.5714),)


def test_an_empty_pool_has_no_neighbourhood() -> None:
    assert RougeIndex().neighbours("a b") == Neighbourhood(0.0, "", nearest=(), mean=0.0)


@settings(max_examples=50, deadline=None)
@given(st.lists(SENTENCES, min_size=1, max_size=15), SENTENCES, st.integers(1, 12))
def test_neighbours_agree_with_the_scores(pool: list[str], query: str, k: int) -> None:
    index = index_of(*pool)
    scores = index.scores(query).tolist()
    order = sorted((n for n, score in enumerate(scores) if score), key=lambda n: -scores[n])[:k]
    found = index.neighbours(query, k)
    assert found.nearest == tuple((f"id{n}", round(scores[n], 4)) for n in order)
    assert found.mean == pytest.approx(sum(scores) / len(scores))
    assert index.nearest(query) == Neighbour(found.score, found.id)


# Tokens


def test_tokens_that_the_pool_does_not_know_are_not_equal_to_each_other_or_learnt() -> None:
    index = index_of("a b c d")
    assert index.scores("x x a y").tolist() == [0.25]
    assert index.scores("x x x x").tolist() == [0.0]
    index.add("id1", "x")
    assert index.scores("x").tolist() == [0.0, 1.0]
