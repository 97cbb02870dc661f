"""Reading a choice out of a written answer: gold answers are accepted, what names no one option is none."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.evaluate.choices import choice_letter, chosen_strictly, read_choice
from seedtune.evaluate.prompts import LETTERS

DATA = Path(__file__).parents[2] / "data" / "answers"
"""Answers in free form, each with what a careful reader takes it for."""

OPTIONS = ("Water", "Flour", "Salt", "Yeast")

LETTER_FORMS = (
    "{L}",
    " {L}\n",
    "**{L}**",
    "({l})",
    "({L})",
    "[{L}]",
    "`{L}`",
    '"{L}"',
    "{L}.",
    "{L})",
    "**{L}.**",
    "{l}",
    "{l})",
    "Answer: {L}.",
    "Answer: {L}",
    "Answer:\n{L}",
    "answer: {l}",
    "**Answer:** {L}",
    "**Answer: {L}**",
    "Answer: ({L})",
    "ANSWER: {L}",
    "The correct answer is {L}",
    "The correct answer is {L}.",
    "The answer is **{L}**",
    "The answer is ({L}).",
    "the answer is {l}.",
    "Option {L}",
    "{L}) because it follows from the standard.",
    "Answer: {L} because it follows from the standard.",
    "The answer is {L} since nothing else fits.",
)
TEXT_FORMS = ("{L}. {o}", "{L}) {o}", "({L}) {o}", "**{L}. {o}**", "{L}: {o}", "{L} - {o}", "Answer: {L}. {o}")
OWN_TEXT_FORMS = ("{o}", "{o}.", "**{o}**", "It is {o}.", "The answer is {o}", "Answer: {o}")

ANSWER_WORDS = st.sampled_from(
    [
        *LETTERS,
        *LETTERS.lower(),
        *"*()[]{}.,:;-/'\"\n ",
        "Answer",
        "answer is",
        "option",
        "choice",
        "not",
        "True",
        "false",
        "isn't",
        "or",
        "because",
        "Water",
        "Flour",
    ]
)
WRITTEN = st.one_of(st.text(max_size=80), st.lists(ANSWER_WORDS, max_size=12).map(" ".join))
NAMES = st.text(alphabet="klmnopqrstuvw", min_size=4, max_size=12)
OPTION_LISTS = st.lists(NAMES, min_size=2, max_size=len(LETTERS), unique=True)

written_out = pytest.mark.parametrize("form", LETTER_FORMS)


def fill(form: str, options: list[str] | tuple[str, ...], index: int) -> str:
    letter = LETTERS[index]
    return form.format(L=letter, l=letter.lower(), o=options[index])


@written_out
@pytest.mark.parametrize("index", range(4))
def test_a_letter_in_any_usual_form_is_a_choice(form: str, index: int) -> None:
    assert choice_letter(fill(form, OPTIONS, index), OPTIONS) == index


@pytest.mark.parametrize("form", TEXT_FORMS)
@pytest.mark.parametrize("index", range(4))
def test_a_letter_with_its_option_behind_it_is_a_choice(form: str, index: int) -> None:
    assert choice_letter(fill(form, OPTIONS, index), OPTIONS) == index


@pytest.mark.parametrize("form", [*OWN_TEXT_FORMS, "flour", "FLOUR!", "Flour, because bread needs it."])
def test_the_text_of_one_option_is_a_choice(form: str) -> None:
    assert choice_letter(fill(form, OPTIONS, 1), OPTIONS) == 1


@given(OPTION_LISTS, st.data())
@settings(max_examples=100, deadline=None)
def test_the_gold_answer_is_accepted_for_any_options(options: list[str], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(options) - 1))
    form = data.draw(st.sampled_from([*LETTER_FORMS, *TEXT_FORMS, *OWN_TEXT_FORMS]))
    assert choice_letter(fill(form, options, index), options) == index


@pytest.mark.parametrize("form", ["The correct answer is: {L}", "The answer is: {L}.", "The answer is: **{L}**"])
def test_a_colon_behind_is_does_not_hide_the_letter(form: str) -> None:
    assert choice_letter(fill(form, OPTIONS, 2), OPTIONS) == 2


@pytest.mark.parametrize(
    "text", ["B is correct.", "B is the correct answer.", "B because bread needs it.", "I choose B.", "It is B."]
)
def test_a_letter_in_a_plain_sentence_is_a_choice(text: str) -> None:
    assert choice_letter(text, OPTIONS) == 1


@pytest.mark.parametrize("text", ["", " \n\t", "**", "()", ".", "Answer:"])
def test_an_empty_answer_is_no_choice(text: str) -> None:
    assert choice_letter(text, OPTIONS) is None


@pytest.mark.parametrize(
    "text",
    [
        "seems",
        "A router that forwards packets.",
        "Answer: A router that forwards packets.",
        "The answer is a router.",
        "A baker's answer depends on the day.",
        "Because it depends.",
        "Dough rises.",
        "I do not know.",
        "a lot",
    ],
)
def test_a_word_that_begins_with_a_letter_is_no_choice(text: str) -> None:
    assert choice_letter(text, OPTIONS) is None


@pytest.mark.parametrize(
    "text",
    [
        "A. Water\nB. Flour\nC. Salt\nD. Yeast",
        "A) Water\nB) Flour\nC) Salt\nD) Yeast",
        "Water, Flour, Salt, Yeast",
        "Flour or salt",
    ],
)
def test_a_list_of_options_is_no_choice(text: str) -> None:
    assert choice_letter(text, OPTIONS) is None


@pytest.mark.parametrize(
    "text",
    [
        "a) Water\nb) Flour\nc) Salt\nd) Yeast",
        "(A) Water\n(B) Flour\n(C) Salt\n(D) Yeast",
        "**A.** Water\n**B.** Flour\n**C.** Salt\n**D.** Yeast",
        "A: Water\nB: Flour\nC: Salt\nD: Yeast",
        "A\nB\nC\nD",
        "A. Water B. Flour C. Salt D. Yeast",
        "A) Water, B) Flour, C) Salt, D) Yeast",
    ],
)
def test_a_list_of_options_in_another_dress_is_no_choice(text: str) -> None:
    assert choice_letter(text, OPTIONS) is None


@pytest.mark.parametrize(
    "text",
    [
        "A and B",
        "A or B",
        "Both A and B",
        "Answer: A or B",
        "A B C D",
        "ABCD",
    ],
)
def test_an_answer_with_several_letters_is_no_choice(text: str) -> None:
    assert choice_letter(text, OPTIONS) is None


@pytest.mark.parametrize("text", ["A, B", "A, B, C, D", "A, B and C", "Answer: A, B", "Answer: A/B", "Answer: A & B"])
def test_several_letters_with_signs_between_them_are_no_choice(text: str) -> None:
    assert choice_letter(text, OPTIONS) is None


@pytest.mark.parametrize("text", ["not B", "Not B.", "The answer is not B", "It is not B", "B is wrong"])
def test_a_denied_letter_is_no_choice(text: str) -> None:
    assert choice_letter(text, OPTIONS) is None


def test_option_a_or_option_b_is_no_choice() -> None:
    assert choice_letter("Option A or option B", OPTIONS) is None


@pytest.mark.parametrize("text", ["Not flour.", "It is not flour.", "The answer is not flour", "Option B is wrong."])
def test_a_denied_option_is_no_choice(text: str) -> None:
    assert choice_letter(text, OPTIONS) is None


@pytest.mark.parametrize("text", ["E", "E.", "(e)", "Answer: E", "The answer is **J**", "Z", "Answer: 2"])
def test_a_letter_beyond_the_options_is_no_choice(text: str) -> None:
    assert choice_letter(text, OPTIONS) is None


@pytest.mark.parametrize("text", ["Answer: I do not know.", "The answer I prefer is not listed.", "I, for one, pass."])
def test_the_pronoun_i_is_no_choice(text: str) -> None:
    assert choice_letter(text, [f"number {index}" for index in range(10)]) is None


def test_an_option_that_holds_another_is_accepted_by_its_own_text() -> None:
    assert choice_letter("64499 64500 64501", ["64499 64500 64501", "64500 64501", "64499"]) == 0


def test_an_option_of_signs_is_accepted_by_its_own_text() -> None:
    assert choice_letter("^$", ["^$", ".*", "_65000_"]) == 0


def test_an_option_that_begins_with_a_letter_is_accepted_by_its_own_text() -> None:
    # From the shipped suite, in the order that seed 0 lists it.
    options = ["B, with 4 against 5", "Neither, at 1 each", "A, with 2 against 3", "A, with 3 against 4"]
    assert choice_letter("A, with 3 against 4", options) == 3


@pytest.mark.parametrize("lead", ["Answer: ", "The answer is "])
def test_an_option_that_begins_with_an_article_is_accepted_by_its_own_text(lead: str) -> None:
    options = ["An OPEN arrives from the peer", "The timer expires", "A KEEPALIVE arrives from the peer"]
    assert choice_letter(lead + options[2], options) == 2


@given(WRITTEN, st.lists(st.text(max_size=20), min_size=2, max_size=len(LETTERS), unique=True))
@settings(max_examples=100, deadline=None)
def test_any_answer_gives_an_index_of_an_option_or_none(text: str, options: list[str]) -> None:
    found = choice_letter(text, options)
    assert found is None or found in range(len(options))


@given(OPTION_LISTS, st.data())
@settings(max_examples=100, deadline=None)
def test_two_options_named_by_letter_are_never_a_choice(options: list[str], data: st.DataObject) -> None:
    first, second = data.draw(st.permutations(range(len(options))))[:2]
    text = f"The answer is {LETTERS[first]}. Or the answer is {LETTERS[second]}."
    assert choice_letter(text, options) is None


@given(OPTION_LISTS, st.data())
@settings(max_examples=100, deadline=None)
def test_two_options_named_by_text_are_never_a_choice(options: list[str], data: st.DataObject) -> None:
    first, second = data.draw(st.permutations(options))[:2]
    assert choice_letter(f"Perhaps {first}, perhaps {second}.", options) is None


def test_an_answer_within_thinking_that_was_cut_off_is_none_and_the_reading_says_so() -> None:
    reading = read_choice("<think>So the answer is B", OPTIONS)
    assert (reading.choice, reading.why) == (None, "nothing but thinking")


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{B}",
        "The answer is A... no: $\\boxed{\\text{B}}$",
        "\\boxed{Flour}",
        "Answer: A. Let me see.\nFinal answer: B",
        "Final answer: A. Wait. My final answer is **B**.",
        "B. Option A does not apply here.",
        "Option A is a liquid. The answer is B.",
        "A. Water\nB. Flour\nC. Salt\nD. Yeast\n\nAnswer: B",
        "So, option B is correct, and option A is wrong.",
        "The correct option is (B).",
        "Answer: Option B",
        "Flour, because water is no solid",
        "<think>It could be A.</think>B",
    ],
)
def test_what_counts_more_outweighs_another_letter(text: str) -> None:
    assert choice_letter(text, OPTIONS) == 1


@pytest.mark.parametrize("text", ["\\boxed{A} or \\boxed{B}", "\\boxed{A, B}", "Final answer: A or B", "\\boxed{}"])
def test_what_counts_most_still_has_to_be_one_option(text: str) -> None:
    assert choice_letter(text, OPTIONS) is None


@pytest.mark.parametrize(
    "text", ["B", "b", " **B** ", "(B)", "B.", "B)", "`B`", "Answer: B", "The answer is B.", "<think>A</think>B"]
)
def test_the_letter_alone_is_strictly_a_choice(text: str) -> None:
    assert chosen_strictly(text, OPTIONS) == 1


@pytest.mark.parametrize(
    "text", ["", "B. Flour", "Flour", "B because", "It is B", "A B", "E", "\\boxed{B}", "Bread", "<think>B"]
)
def test_all_else_is_strictly_no_choice(text: str) -> None:
    assert chosen_strictly(text, OPTIONS) is None


@given(WRITTEN)
@settings(max_examples=200, deadline=None)
def test_a_strict_choice_is_also_the_lenient_one(text: str) -> None:
    strict = chosen_strictly(text, OPTIONS)
    assert strict is None or strict == choice_letter(text, OPTIONS)


@pytest.mark.parametrize(
    "text", ["((" * 3000, "* " * 5000, "<think>" * 2000, "\n" * 9000 + "x", "Answer is " * 2000, "A or " * 2000]
)
def test_a_long_run_of_marks_is_read_to_its_end(text: str) -> None:
    assert choice_letter(text, OPTIONS) is None


READ_BY_PEOPLE = [json.loads(line) for line in (DATA / "choices.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("row", READ_BY_PEOPLE, ids=lambda row: repr(row["answer"]))
def test_an_answer_in_free_form_is_read_as_a_careful_reader_does(row: dict[str, Any]) -> None:
    expected = None if row["reads"] is None else LETTERS.index(row["reads"])
    assert choice_letter(row["answer"], row["options"]) == expected


@given(OPTION_LISTS, st.data())
@settings(max_examples=100, deadline=None)
def test_the_last_verdict_wins_only_where_the_first_is_taken_back(options: list[str], data: st.DataObject) -> None:
    first, second = data.draw(st.permutations(range(len(options))))[:2]
    said = f"The answer is {LETTERS[first]}.", f"the answer is {LETTERS[second]}."
    assert choice_letter("{} Wait, no, {}".format(*said), options) == second
    assert choice_letter("{} And {}".format(*said), options) is None


@given(OPTION_LISTS, st.data())
@settings(max_examples=100, deadline=None)
def test_a_question_that_the_model_adds_is_not_its_answer(options: list[str], data: st.DataObject) -> None:
    first, second = data.draw(st.permutations(range(len(options))))[:2]
    listed = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))
    text = f"{LETTERS[first]}\n\nQuestion: What else?\n{listed}\nAnswer: {LETTERS[second]}"
    assert choice_letter(text, options) == first


NAMES_OF_THINGS = ("Router {L} {v}.", "{v} at AS {L}.", "Class {L} networks {v}.", "If {L} {v}, nothing is sent.")


@given(
    st.sampled_from(NAMES_OF_THINGS), st.sampled_from("ABCD"), st.sampled_from(["prefers it", "is right to send it"])
)
@settings(max_examples=50, deadline=None)
def test_a_letter_that_names_a_thing_is_no_choice(form: str, letter: str, verb: str) -> None:
    assert choice_letter(form.format(L=letter, v=verb), OPTIONS) is None
