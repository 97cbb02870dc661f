"""Fillings of a gap: what counts as the same, and where in an answer it is found."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.evaluate.cloze import accepted, fillings, same, tokens, whole_filling

TIMER = "The timer of the peer runs for ____ seconds by default."
ATTRIBUTE = "A route must not carry the attribute ____."
ARTICLE = "A router that looks for its peer sends a ____ message."
SIGN = "A number that comes twice signals a ____."
START = "____ messages keep the session up."


def found(text: str, question: str) -> list[str]:
    return [" ".join(filling.words) for filling in fillings(text, question)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("AS_PATH", "as path"),
        ("next-hop-self", "nexthopself"),
        ("Level 3", "Level3"),
        ("the header", "Header."),
        ("a header", "header"),
        ("four", "4"),
        ("thirty-two", "32"),
        ("one hundred and eighty", "180"),
        ("two hundred fifty-six", "256"),
        ("fifty thousand", "50,000"),
        ("one million two hundred thousand", "1200000"),
        ("180 s", "180 seconds"),
        ("4 min", "four minutes"),
        ("19-octet header", "19-byte header"),
        ("5%", "5 percent"),
        ("0.50", "0.5"),
        ("+5", "5"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("ＡＳ４", "AS4"),
    ],
)
def test_spelling_makes_no_difference(one: str, other: str) -> None:
    assert same(tokens(one), tokens(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("13", "3"),
        ("-5", "5"),
        ("2,5", "25"),
        ("1 80", "180"),
        ("one two", "3"),
        ("twenty twelve", "32"),
        ("192.0.2.1", "1920.2.1"),
        ("203.0.113.0/24", "203.0.113.0/25"),
        ("65000:100", "65000100"),
        ("> 5", "5"),
        ("type A", "type"),
        ("not IGP", "IGP"),
        ("AS_PATH", "AS4_PATH"),
        ("180 s", "180 minutes"),
        ("s", "seconds"),
        ("", ""),
    ],
)
def test_what_matters_makes_a_difference(one: str, other: str) -> None:
    assert not same(tokens(one), tokens(other))


@given(st.integers(0, 999_999))
@settings(max_examples=200, deadline=None)
def test_a_number_in_words_is_the_number_in_digits(number: int) -> None:
    assert tokens(spell(number)) == (str(number),)


SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen"""


def spell(number: int) -> str:
    """English words of a number below a million, written here independently."""
    small = SMALL.split()
    tens = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
    if number < 20:
        return small[number]
    if number < 100:
        return tens[number // 10] + (f"-{small[number % 10]}" if number % 10 else "")
    scale, word = (1000, "thousand") if number >= 1000 else (100, "hundred")
    head, rest = divmod(number, scale)
    joint = " and " if rest < 100 else " "
    return f"{spell(head)} {word}" + (f"{joint}{spell(rest)}" if rest else "")


@pytest.mark.parametrize(
    "text",
    [
        "180",
        "180 seconds",
        "**180**",
        "Answer: 180",
        "The answer is 180.",
        "The missing number is one hundred and eighty.",
        "The gap is filled with 180.",
        "____ = 180",
        "It is 180 s.",
        "\\boxed{180}",
        "The timer of the peer runs for 180 seconds by default.",
        "Most say 90. The timer of the peer runs for 180 seconds by default, I think.",
        "180, because the standard says so.",
        "180 (three minutes)",
        "180\n\nThat is three minutes.",
        "The standard gives a value of **180** here, as I remember it from reading it many years ago.",
        "<think>90?</think>180",
        "Answer: 90. No. Final answer: 180",
    ],
)
def test_the_filling_is_found_in_any_usual_form(text: str) -> None:
    assert "180" in found(text, TIMER)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("", TIMER),
        ("<think>180", TIMER),
        ("The answer is 90. The answer is 180.", TIMER),
        ("\\boxed{90} \\boxed{180}", TIMER),
        ("The timer of the peer runs for 90 seconds. The timer of the peer runs for 180 seconds.", TIMER),
        ("Whoever reads the standard finds that there are many timers and that each of them has its own value.", TIMER),
    ],
)
def test_where_nothing_or_more_than_one_filling_is_given_there_is_none(text: str, question: str) -> None:
    assert found(text, question) == []


@pytest.mark.parametrize(
    "text",
    ["90 or 180", "180 or 90", "not 180", "It is not **180**.", "**180** or **90**", "1800", "180 (or 90)", "180/90"],
)
def test_a_denied_or_a_doubtful_filling_is_not_the_filling(text: str) -> None:
    assert "180" not in found(text, TIMER)


def test_words_of_the_question_that_the_filling_repeats_do_not_count() -> None:
    assert found("The attribute AS_PATH", ATTRIBUTE)[0] == "as path"
    assert found("A route must not carry the attribute AS_PATH.", ATTRIBUTE) == ["as path"]
    assert found("KEEPALIVE messages keep the session up.", START) == ["keepalive"]
    assert ("path",) in accepted(["the attribute PATH"], ATTRIBUTE)


@pytest.mark.parametrize(("text", "words"), [("180", ("180",)), ("Answer: **180**.", ("180",)), ("180\nor so", ())])
def test_strictly_the_filling_is_the_whole_answer(text: str, words: tuple[str, ...]) -> None:
    assert whole_filling(text) == words


@given(st.text(max_size=80), st.sampled_from([TIMER, ATTRIBUTE, START]))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read(text: str, question: str) -> None:
    assert all(filling.words for filling in fillings(text, question))
    assert tokens(text) == tokens(text.upper()) or not text.isascii()


@pytest.mark.parametrize(
    "text", ["one " * 3000, "**" * 5000, '"' * 5001, "a.b:c/1" * 3000, "the " * 3000, "Answer is " * 3000]
)
def test_a_long_run_is_read_to_its_end(text: str) -> None:
    assert "180" not in found(text, TIMER)


@pytest.mark.parametrize(
    ("text", "question", "filling"),
    [
        ("A router that looks for its peer sends a HELLO message.", ARTICLE, "hello"),
        ("The router sends a HELLO message.", ARTICLE, "hello"),
        ("A number that comes twice signals a loop.", SIGN, "loop"),
        ("It signals a loop.", SIGN, "loop"),
    ],
)
def test_an_article_before_the_gap_does_not_hide_the_filling(text: str, question: str, filling: str) -> None:
    assert filling in found(text, question)


@pytest.mark.parametrize(
    "text",
    [
        "I think it is 180",
        "I think 180.",
        "The timer is 180 seconds by default.",
        "It is 180 seconds by default.",
        "Timer: 180 seconds",
        "180 (180) seconds",
        "The usual value is 180 seconds.",
    ],
)
def test_the_only_number_of_a_short_sentence_is_the_filling(text: str) -> None:
    assert "180" in found(text, TIMER)


@pytest.mark.parametrize(
    "text",
    [
        "The timer is 90 or 180 seconds.",
        "The timer is 180 seconds. It may be 90 seconds.",
        "The timer is at least 180 seconds.",
        "The timer is not 180 seconds.",
        "The timer isn't 180 seconds.",
        "The timer is 180 minutes.",
        "The timer is -180 seconds.",
        "The timer is called x180x.",
        "The timers are 90, 120, 180.",
    ],
)
def test_a_number_that_is_doubted_or_not_alone_is_not_the_filling(text: str) -> None:
    assert "180" not in found(text, TIMER)


@pytest.mark.parametrize("text", ["It never signals a loop.", "It signals a loop or an error.", "It signals no loop."])
def test_a_word_that_is_denied_or_not_alone_is_not_the_filling(text: str) -> None:
    assert "loop" not in found(text, SIGN)


def test_a_number_of_the_question_is_not_the_filling() -> None:
    assert "4" not in found("Version 4 has it.", "In version 4 the timer runs for ____ seconds.")
