"""What an answer was told to do is checked by program: by the definitions of the table, strictly and loosely."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.domains import load_domain
from seedtune.evaluate import constraints
from seedtune.evaluate.constraints import CHECKS, score_constraints
from seedtune.records import ConstraintItem
from seedtune.records.checks import VALUE_KINDS

ITEMS = load_domain("general").suites["instruction_following"].items
SHOPPING = ConstraintItem(
    question="Write a shopping list.",
    constraints=(
        {"check": "elements", "value": 3},
        {"check": "includes", "value": ("milk",)},
        {"check": "excludes", "value": ("beer",)},
        {"check": "lowercase"},
    ),
    answer="milk, tea, rice",
)
OPENERS = ("Sure!", "Here is what you asked for:", "I'm sorry, but I can't help with that.", "As an AI model, I will.")


def passes(check: str, value: Any, text: str) -> bool:
    return CHECKS[check](text, value)


# The shipped items


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_a_gold_answer_fulfils_all_strictly(item: ConstraintItem) -> None:
    score = score_constraints(item.answer, item)
    assert (score.correct, score.strict, score.value, score.parsed) == (True, True, 1.0, True)


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_a_gold_answer_passes_loosely_behind_an_opener_in_a_fence_and_in_bold(item: ConstraintItem) -> None:
    for text in (
        f"Sure, here it is:\n\n{item.answer}",
        f"```\n{item.answer}\n```",
        f"Okay!\n```text\n{item.answer}\n```",
    ):
        assert score_constraints(text, item).correct


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_the_prompt_given_back_is_no_answer(item: ConstraintItem) -> None:
    for text in (item.question, f"{item.question}\n{item.question}", f"You said:\n{item.question}", *OPENERS):
        assert not score_constraints(text, item).correct, text


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_no_answer_to_another_item_passes(item: ConstraintItem) -> None:
    assert [
        other.answer for other in ITEMS if other is not item and score_constraints(other.answer, item).correct
    ] == []


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_an_answer_without_a_word_or_in_cut_off_thinking_is_worth_nothing(item: ConstraintItem) -> None:
    for text in ("", " \n", "***", "...", f"<think>{item.answer}", f"<think>{item.answer}</think>"):
        score = score_constraints(text, item)
        assert (score.correct, score.strict, score.value, score.parsed) == (False, False, 0.0, False)


# The score


def test_the_value_is_the_share_fulfilled_and_what_failed_is_named() -> None:
    score = score_constraints("Milk, Beer, Tea", SHOPPING)
    assert (score.correct, score.strict, score.value) == (False, False, 0.5)
    assert score.why == "does not fulfil excludes beer, lowercase"


def test_thinking_before_the_answer_is_not_judged() -> None:
    assert score_constraints("<think>Beer? No.</think>\nmilk, tea, rice", SHOPPING).strict


@pytest.mark.parametrize(
    "text",
    [
        "Here is your list:\nmilk, tea, rice",
        "SURE THING!\n\nmilk, tea, rice",
        "```\nmilk, tea, rice\n```",
        "Here:\n```text\nmilk, tea, rice\n```\nEnjoy BEER!",
        "`milk, tea, rice`",
        "**milk, tea, rice**",
    ],
)
def test_what_stands_around_an_answer_does_not_count_loosely(text: str) -> None:
    assert score_constraints(text, SHOPPING).correct


@pytest.mark.parametrize("text", ["Here is your list:\nmilk, tea, rice", "Sure!\nmilk, tea, rice"])
def test_what_stands_around_an_answer_counts_strictly(text: str) -> None:
    assert not score_constraints(text, SHOPPING).strict


@pytest.mark.parametrize(
    "text", ["milk, tea, rice\nSure, it is.", "milk, tea, rice and no beer", "My list of today\nmilk, tea"]
)
def test_only_an_introduction_is_left_out(text: str) -> None:
    assert not score_constraints(text, SHOPPING).correct


ANSWERS = st.text(alphabet='aB1 .,:!-*_`"“”\n<think>/{}[]', max_size=60) | st.text(max_size=40)


@settings(max_examples=300, deadline=None)
@given(ANSWERS, st.sampled_from(ITEMS))
def test_any_text_has_a_score_that_hangs_together(text: str, item: ConstraintItem) -> None:
    score = score_constraints(text, item)
    assert 0 <= score.value <= 1
    assert score.correct == (score.value == 1)
    assert score.correct or not score.strict
    assert score.parsed or score.value == 0


@settings(max_examples=200, deadline=None)
@given(ANSWERS, st.sampled_from(["", " ", "\n\n", "\t"]), st.sampled_from(ITEMS))
def test_white_space_around_an_answer_never_counts(text: str, blank: str, item: ConstraintItem) -> None:
    assert score_constraints(f"{blank}{text}{blank}", item) == score_constraints(text, item)


# The checks


def test_every_check_has_a_function_a_value_and_a_line_in_the_table() -> None:
    documented = {
        name for row in re.findall(r"^\| (``.*?) \|", constraints.__doc__ or "", re.M) for name in row.split("``")
    }
    assert set(CHECKS) == set(VALUE_KINDS) == documented - {"", ", "}


def test_every_check_is_used_by_an_item() -> None:
    assert {each.check for item in ITEMS for each in item.constraints} == set(CHECKS)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("one", 1),
        ("Don't use 10.0.0.1, well-known as it is.", 7),
        ("so – or—so", 3),
        ("- a * b …", 2),
        ("a,b", 1),
        ("два слова", 2),
    ],
)
def test_words_are_what_white_space_and_dashes_part(text: str, count: int) -> None:
    assert passes("words", count, text)
    assert passes("min_words", count, text)
    assert passes("max_words", count, text)
    assert not passes("min_words", count + 1, text)
    assert not passes("max_words", count - 1, text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("One. Two! Three?", 3),
        ("no mark at all", 1),
        ("He is Dr. Brown. She met J. R. Smith.", 2),
        ("Take fruit, e.g. pears, at 5 p.m. on Monday.", 1),
        ("It opens at 5 p.m. We wait.", 2),
        ("The U.S. is large. It is big", 2),
        ("Version 3.5 runs at 10.0.0.1.", 1),
        ('"Stop!" he said... "Why?"', 3),
        ("1. First thing.\n2. Second thing.", 2),
        ("all in lower case. still two.", 2),
        ("a line\nanother line", 2),
        ("Wait... !!!", 1),
    ],
)
def test_sentences_end_at_marks_and_lines_and_not_at_abbreviations(text: str, count: int) -> None:
    assert passes("sentences", count, text)
    assert not passes("sentences", count + 1, text)


@pytest.mark.parametrize(
    ("check", "value", "right", "wrong"),
    [
        ("word_length", 3, "The fox, ran!", "the foxes"),
        ("lines", 2, "a\n\nb", "a"),
        ("paragraphs", 2, "a\nb\n \nc", "a\nb\nc"),
        ("bullets", 2, "- a\n  * b", "- a\n**b**"),
        ("numbered", 2, "1. a\n2) b", "1. a\n3. b"),
        ("numbered", 1, "1. a", f"{'1' * 5_000}. a"),
        ("elements", 3, "a; b, c.", "a b c"),
        ("elements", 2, "- a, b\n- c", "a, b, c"),
        ("json_elements", 2, '["a", "b"]', '{"a": 1, "b": 2}'),
        ("json_keys", ("a", "b"), '{"b": 1, "a": [2]}', '{"a": 1}'),
        ("json_keys", ("a",), '{"a": 1}', '{"a": 1, "b": 1}'),
        ("json_keys", ("a",), '{"a": 1}', "[" * 100_000),
        ("includes", ("key", "blue door"), "A Key for the blue\ndoor.", "keys and a blue door"),
        ("excludes", ("key",), "keyboard", "The KEY."),
        ("order", ("key", "door"), "A key, a door, a key.", "A door, a key, a door."),
        ("order", ("key", "door"), "key door", "key"),
        ("listed", ("b", "a"), "B, A.", "a, b"),
        ("listed", ("b", "a"), "- b\n- a", "b"),
        ("equals", ("no", "No."), "No.", "no."),
        ("times", ("little by little", 2), "Little by little, little by little.", "little by little"),
        ("letter", ("e", 3), "Eleven", "level"),
        ("starts_with", "In short", "In short, no.", "in short, no."),
        ("ends_with", "Bye!", "So: Bye!", "Bye"),
        ("without", "e,", "A dog", "A dog, no"),
        ("without", "e", "no", "EVE"),
        ("initials", "s", '"So" some, Snow', "so it goes"),
        ("acrostic", "sun", "- See\n- us\n- now", "See us now"),
        ("matches", r"\d{2}:\d{2}", "16:30", "at 16:30"),
        ("uppercase", "", "PARIS 1!", "Paris"),
        ("uppercase", "", "A", "123"),
        ("lowercase", "", "paris 1!", "Paris"),
        ("alphabetical", "", "ant, Bee, bee, cow", "bee, ant"),
        ("alphabetical", "", "1. ant\n2. bee", "ant"),
        ("ascending", "", "-1, 2.5, 1000", "1, 1, 2"),
        ("ascending", "", "1, 2", "one, two"),
        ("descending", "", "3, 2, 1", "1, 2, 3"),
    ],
)
def test_a_check_tells_right_from_wrong(check: str, value: Any, right: str, wrong: str) -> None:
    assert passes(check, value, right)
    assert not passes(check, value, wrong)
