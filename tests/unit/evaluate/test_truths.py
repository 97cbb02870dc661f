"""Reading True or False out of a written answer: plain words are accepted, both or a hedge are none."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.evaluate.truths import read_truth, stated_strictly, truth_value

DATA = Path(__file__).parents[2] / "data" / "answers"
"""Answers in free form, each with what a careful reader takes it for."""

WRITTEN = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(
            ["True", "false", "not", "isn't", "or", "Yes", "no", "wrong", "if", "answer is", ".", "\n", "T"]
        ),
        max_size=12,
    ).map(" ".join),
)


@pytest.mark.parametrize(
    "text", ["True", "TRUE.", "true", "**True**", "Answer: True", "It is true.", "(True)", "True, true"]
)
def test_the_word_true_is_true(text: str) -> None:
    assert truth_value(text) == 0


@pytest.mark.parametrize(
    "text", ["False", "false.", "**FALSE**", "Answer: False", "It is false", "The statement is false."]
)
def test_the_word_false_is_false(text: str) -> None:
    assert truth_value(text) == 1


@pytest.mark.parametrize(
    "text",
    ["True or False", "True\nFalse", "True/False", "Neither true nor false", "Both true and false"],
)
def test_both_words_are_no_choice(text: str) -> None:
    assert truth_value(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Yes", True),
        ("Yes, it does.", True),
        ("Correct.", True),
        ("The answer is yes.", True),
        ("The statement is correct.", True),
        ("That's right", True),
        ("No", False),
        ("No, the receiver has no means of that.", False),
        ("The answer is no.", False),
        ("The claim is wrong.", False),
        ("This statement is incorrect.", False),
        ("untrue", False),
    ],
)
def test_other_words_for_true_and_false_are_understood(text: str, value: bool) -> None:
    assert truth_value(text) == (0 if value else 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("not true", False),
        ("It's not true", False),
        ("It isn’t true.", False),
        ("Not **true**.", False),
        ("This cannot be true.", False),
        ("It is not a true statement.", False),
        ("This is never true.", False),
        ("I do not think it is true.", False),
        ("The statement is not correct.", False),
        ("It is not false.", True),
        ("That is true, not false", True),
    ],
)
def test_a_plain_denial_turns_the_word_round(text: str, value: bool) -> None:
    assert truth_value(text) == (0 if value else 1)


@pytest.mark.parametrize(
    "text",
    [
        "This is not necessarily true.",
        "Partly true.",
        "It is sometimes false.",
        "I do not know whether it is true.",
        "I cannot say if it's false",
    ],
)
def test_a_hedge_is_no_choice(text: str) -> None:
    assert truth_value(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("True. It is false that the router keeps the route.", True),
        ("False. It is true that some routers do, but the standard forbids it.", False),
        ("It is true that some do, but the statement is false.", False),
    ],
)
def test_a_verdict_outweighs_what_the_reason_says_of_something_else(text: str, value: bool) -> None:
    assert truth_value(text) == (0 if value else 1)


@pytest.mark.parametrize(
    "text", ["", " ", "seems", "falsehood", "truely", "t-shirt", "0", "true_false", "There is no answer"]
)
def test_an_answer_without_either_word_is_no_choice(text: str) -> None:
    assert truth_value(text) is None


@given(WRITTEN, st.permutations(["True", "False"]))
@settings(max_examples=100, deadline=None)
def test_any_answer_gives_a_truth_value_or_none(text: str, options: list[str]) -> None:
    assert truth_value(text, options) in (0, 1, None)


@given(
    st.permutations(["True", "False"]), st.sampled_from(["{}", "{}.", "**{}**", "Answer: {}", "The statement is {}."])
)
@settings(max_examples=40, deadline=None)
def test_the_gold_truth_value_is_accepted_in_any_order_of_the_options(options: list[str], form: str) -> None:
    assert [truth_value(form.format(word), options) for word in options] == [0, 1]


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("True", 0),
        ("**false**.", 1),
        ("Answer: True", 0),
        ("Yes", None),
        ("It is true", None),
        ("not true", None),
        ("", None),
    ],
)
def test_the_word_alone_is_strictly_a_truth_value(text: str, index: int | None) -> None:
    assert stated_strictly(text) == index


def test_thinking_that_was_cut_off_states_nothing_and_the_reading_says_so() -> None:
    assert read_truth("<think>True").why == "nothing but thinking"


@pytest.mark.parametrize("text", ["((" * 3000, "* " * 5000, "not " * 3000 + "true", "true if " * 2000, "is " * 5000])
def test_a_long_run_is_read_to_its_end(text: str) -> None:
    assert truth_value(text) in (0, 1, None)


READ_BY_PEOPLE = [json.loads(line) for line in (DATA / "truths.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("row", READ_BY_PEOPLE, ids=lambda row: repr(row["answer"]))
def test_an_answer_in_free_form_is_read_as_a_careful_reader_does(row: dict[str, Any]) -> None:
    assert truth_value(row["answer"]) == {True: 0, False: 1, None: None}[row["reads"]]


def test_a_statement_that_the_model_adds_is_not_its_answer() -> None:
    assert truth_value("True\n\nQuestion: Is bread baked?\nAnswer: False") == 0
