"""ROUGE-L against the package rouge-score and against a plain dynamic programme."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from seedtune.similarity import Neighbour, RougeIndex, tokenize, tokenize_ascii

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


def test_tokens_beyond_the_surrogates_stay_apart() -> None:
    index, border = RougeIndex(), 0xD800
    for number in range(0x10000 + 200):
        index.add(f"id{number}", f"w{number}")
    around = [*range(border - 20, border + 20), *range(0xE000 - 20, 0xE000 + 20), *range(0x10000 - 20, 0x10000 + 20)]
    for number in around:
        assert index.scores(f"w{number}").nonzero()[0].tolist() == [number]


def test_texts_around_the_surrogates_keep_their_order() -> None:
    index = RougeIndex()
    index.add("all", " ".join(f"w{n}" for n in range(0xE100)))
    words = [f"w{n}" for n in range(0xD7F0, 0xD810)]
    index.add("near", " ".join(words))
    expected = [plain_rouge(f"{a} {b}", " ".join(words)) for a, b in pairwise(reversed(words))]
    assert [index.scores(f"{a} {b}")[1] for a, b in pairwise(reversed(words))] == expected


def test_a_query_of_unknown_tokens_uses_up_nothing() -> None:
    index = RougeIndex(list)
    index.add("id0", "£")
    assert index.nearest("".join(map(chr, range(256, 0x110000)))).score == 0.0
    assert index.nearest("".join(map(chr, range(100)))) == Neighbour(0.0, "")
