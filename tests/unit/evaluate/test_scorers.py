"""Every scorer accepts its own gold answers, and rejects an empty, a swallowed and a forged one."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.domains import load_domain
from seedtune.evaluate.keypoints import stems
from seedtune.evaluate.outcomes import SCORERS
from seedtune.evaluate.prompts import closed_question
from seedtune.evaluate.scorers import (
    Norm,
    rates,
    score_choice,
    score_cloze,
    score_likelihoods,
    score_open,
    score_truth,
)
from seedtune.records import ClozeItem, EvalItem, OpenItem

TYPES = ("multiple_choice", "true_false", "cloze", "open")
"""The others have modules, and tests, of their own."""
SUITES = {suite.type: suite.files["dev"].items for suite in load_domain("bgp").suites.values() if suite.type in TYPES}
ITEMS = [pytest.param(name, item, id=f"{name}-{item.id}") for name, items in SUITES.items() for item in items]

BREAD = EvalItem(question="What is bread made of?", options=("Water", "Flour", "Salt"), answer="Flour")
TRUE = EvalItem(question="Bread is baked.", options=("True", "False"), answer="True")
GAP = ClozeItem(question="Bread is baked for ____ minutes.", answers=("40",))


def golds(item: Any) -> tuple[str, ...]:
    return item.answers if isinstance(item, ClozeItem) else (item.answer,)


@pytest.mark.parametrize(("name", "item"), ITEMS)
def test_every_scorer_accepts_the_gold_answers_of_every_dev_item(name: str, item: Any) -> None:
    for gold in golds(item):
        score = SCORERS[name](gold, item)
        assert score.correct
        assert score.parsed
        assert score.extracted


@pytest.mark.parametrize(("name", "item"), ITEMS)
def test_every_scorer_rejects_empty_and_swallowed_answers(name: str, item: Any) -> None:
    """Swallowed: the gold answer stands only in thinking that was cut off, or within a longer word."""
    for text in ("", " \n", "**", f"<think>{golds(item)[0]}", f"x{golds(item)[0]}x" if name != "open" else ""):
        score = SCORERS[name](text, item)
        assert not score.correct
        assert not score.strict
        assert score.value == 0


@pytest.mark.parametrize("item", SUITES["multiple_choice"])
def test_a_choice_is_accepted_by_its_letter_in_the_order_shown(item: Any) -> None:
    order = list(reversed(range(len(item.options))))
    letter = "ABCD"[order.index(item.key)]
    score = score_choice(f"The answer is {letter}.", item, order)
    assert (score.correct, score.strict, score.choice) == (True, True, item.key)


@pytest.mark.parametrize("item", SUITES["multiple_choice"])
def test_a_choice_forged_from_all_options_or_the_question_is_unparsed(item: Any) -> None:
    listed = "\n".join(f"{letter}. {option}" for letter, option in zip("ABCD", item.options, strict=True))
    for text in (listed, " ".join(item.options), "A B C D", "A, B, C or D", "All of the above"):
        score = score_choice(text, item)
        assert not score.correct
        assert not score.parsed


@pytest.mark.parametrize("item", SUITES["true_false"])
def test_both_words_and_the_prompt_itself_are_no_truth(item: Any) -> None:
    for text in ("True or False", "True False", closed_question(item, "true_false", ())):
        assert not score_truth(text, item).parsed


@pytest.mark.parametrize("item", SUITES["cloze"])
def test_a_cloze_gold_is_accepted_in_a_sentence_and_strictly_alone(item: Any) -> None:
    for gold in item.answers:
        sentence = item.question.replace("____", gold)
        for text in (
            sentence,
            f"{sentence} This is in the RFC.",
            f"The answer is {gold}.",
            f"**{gold}**",
            f"{gold}, because",
        ):
            assert score_cloze(text, item).correct, text
        assert score_cloze(gold, item).strict
        assert not score_cloze(sentence, item).strict


@pytest.mark.parametrize("item", SUITES["cloze"])
def test_a_cloze_forged_from_the_question_a_denial_or_a_list_is_wrong(item: Any) -> None:
    gold = item.answers[0]
    for text in (
        item.question,
        f"not {gold}",
        f"{gold} or something else",
        f"IGP, EGP, 7, {gold}",
        f"It is not **{gold}**.",
    ):
        assert not score_cloze(text, item).correct, text


@pytest.mark.parametrize("item", SUITES["open"])
def test_an_open_answer_forged_from_question_denials_or_words_is_wrong(item: Any) -> None:
    denied = " ".join(f"It is not true that {point}" for point in item.key_points)
    words = " ".join(sorted(stems(" ".join(item.key_points))))
    for text in (item.question, denied, words):
        assert not score_open(text, item).correct, text


def test_the_reference_answer_of_one_open_item_is_no_answer_to_another() -> None:
    items = SUITES["open"]
    assert not [
        (item.id, other.id)
        for item in items
        for other in items
        if item is not other and isinstance(item, OpenItem) and isinstance(other, OpenItem)
        if score_open(other.answer, item).correct
    ]


@pytest.mark.parametrize(
    ("text", "correct", "strict", "parsed"),
    [
        ("B", True, True, True),
        ("B. Flour, as any baker knows", True, False, True),
        ("A", False, False, True),
        ("I do not know", False, False, False),
    ],
)
def test_a_score_tells_strict_lenient_and_unparsed_apart(text: str, correct: bool, strict: bool, parsed: bool) -> None:
    score = score_choice(text, BREAD)
    assert (score.correct, score.strict, score.parsed, score.value) == (correct, strict, parsed, float(correct))


def test_a_score_says_what_was_judged_and_why() -> None:
    assert score_choice("The answer is A.", BREAD)[3:5] == ("A", "a verdict")
    assert score_choice("", BREAD).why == "an empty answer"
    assert score_truth("Partly true", TRUE)[3:5] == ("true", "hedged")
    assert score_cloze("The answer is forty.", GAP)[3:5] == ("40", "the whole answer")
    assert score_cloze("<think>40", GAP).why == "nothing but thinking"


def test_rates_count_and_keep_unparsed_answers_in_the_denominator() -> None:
    scores = [score_choice(text, BREAD) for text in ("B", "It is B", "A", "")]
    assert rates(scores) == (4, 2, 1, 1, 0.5)
    assert rates([]) == (0, 0, 0, 0, 0.0)


@pytest.mark.parametrize(
    ("norm", "tokens", "choice"),
    # Sums -4, -6, -8 over 2, 4, 8 characters, 6, 4, 8 bytes and 4, 3, 1 tokens.
    [("none", (), 0), ("characters", (), 2), ("bytes", (), 0), ("tokens", (4, 3, 1), 0), ("tokens", (1, 6, 2), 1)],
)
def test_log_likelihoods_are_judged_by_the_length_asked_for(norm: Norm, tokens: tuple[int, ...], choice: int) -> None:
    item = EvalItem(question="?", options=("吗吗", "four", "eightish"), answer="four")
    score = score_likelihoods((-4.0, -6.0, -8.0), item, norm, tokens)
    assert (score.choice, score.correct) == (choice, choice == 1)


@given(st.lists(st.floats(-100, 0), min_size=3, max_size=3))
@settings(max_examples=50, deadline=None)
def test_for_ascii_options_bytes_and_characters_choose_the_same(scores: list[float]) -> None:
    assert score_likelihoods(scores, BREAD, "bytes").choice == score_likelihoods(scores, BREAD, "characters").choice


def test_of_equal_log_likelihoods_the_first_is_chosen_and_no_number_is_unparsed() -> None:
    assert score_likelihoods((-1.0, -1.0, -2.0), BREAD).choice == 0
    assert not score_likelihoods((-1.0, math.nan, -2.0), BREAD).parsed
    assert not score_likelihoods((-math.inf,) * 3, BREAD).parsed


def test_log_likelihoods_have_to_be_one_for_each_option() -> None:
    with pytest.raises(ValueError, match="each of the 3 options"):
        score_likelihoods((-1.0, -2.0), BREAD)
    with pytest.raises(ValueError, match="each of the 3 options"):
        score_likelihoods((-1.0, -2.0, -3.0), BREAD, "tokens")
