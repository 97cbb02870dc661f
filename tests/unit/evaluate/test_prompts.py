"""What a model is asked: the order of the options, the choice of items, and the wording."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.domains import ItemFile, Suite, load_domain, shipped_domains
from seedtune.evaluate.outcomes import SCORERS
from seedtune.evaluate.prompts import (
    LETTERS,
    closed_question,
    open_question,
    option_order,
    spread,
    written_answer,
    written_question,
)
from seedtune.evaluate.scorers import score_choice
from seedtune.records import ClozeItem, EvalItem

ITEMS = st.builds(
    lambda question, options: EvalItem(question=question, options=tuple(options), answer=options[0]),
    st.text(min_size=1, max_size=20).filter(str.strip),
    st.lists(st.text(max_size=8).filter(str.strip), min_size=2, max_size=10, unique=True),
)
ALL_SHIPPED = [
    suite for name in shipped_domains() for suite in load_domain(name).suites.values() if suite.type in SCORERS
]
SHIPPED = [suite for suite in ALL_SHIPPED if suite.choices]


def item(number: int, options: int = 4) -> EvalItem:
    names = tuple(f"option {index}" for index in range(options))
    return EvalItem(question=f"Question {number}?", options=names, answer=names[0], topic=str(number))


def suite_of(size: int) -> Suite:
    items = tuple(item(number) for number in range(size))
    return Suite("made", "multiple_choice", {"test": ItemFile(Path("made.jsonl"), items)})


def places_of(items: list[EvalItem]) -> list[int]:
    return [int(taken.topic) for taken in items]


@given(ITEMS, st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_the_order_is_a_permutation(asked: EvalItem, seed: int) -> None:
    assert sorted(option_order(asked, seed)) == list(range(len(asked.options)))


def test_the_order_is_the_same_today_and_tomorrow() -> None:
    # Written down on purpose: another order would make older reports incomparable.
    assert [option_order(item(number), seed=0) for number in range(3)] == [[1, 3, 2, 0], [2, 1, 3, 0], [3, 1, 0, 2]]


def test_the_order_ignores_everything_but_question_and_options() -> None:
    plain = item(1)
    dressed = plain.model_copy(update={"topic": "t", "level": 3, "citation": "c", "answer": plain.options[2]})
    assert option_order(plain, 7) == option_order(dressed, 7)


def test_the_order_depends_on_the_seed() -> None:
    assert any(option_order(item(number), 0) != option_order(item(number), 1) for number in range(10))


def test_the_order_depends_on_the_item() -> None:
    assert len({tuple(option_order(item(number), 0)) for number in range(20)}) > 1


def test_every_order_is_about_as_frequent() -> None:
    orders = Counter(tuple(option_order(item(number, options=3), seed=0)) for number in range(1200))
    # 200 expected of each of the six; seven standard deviations are about 90.
    assert len(orders) == 6
    assert all(110 < count < 290 for count in orders.values())


def test_the_right_option_is_about_as_often_at_each_letter() -> None:
    places = Counter(option_order(item(number), seed=3).index(0) for number in range(1200))
    assert all(200 < places[place] < 400 for place in range(4))


@given(st.integers(1, 200), st.integers(1, 250))
@settings(max_examples=100, deadline=None)
def test_spread_takes_as_many_as_allowed_without_repeats_in_order(size: int, limit: int) -> None:
    suite = suite_of(size)
    places = places_of(spread(suite, limit))
    assert len(places) == min(size, limit)
    assert places == sorted(set(places))


@given(st.integers(1, 200), st.integers(1, 200))
@settings(max_examples=100, deadline=None)
def test_spread_takes_evenly_from_the_whole_file(size: int, limit: int) -> None:
    suite = suite_of(size)
    places = places_of(spread(suite, limit))
    asked = min(size, limit)
    bounds = [number * size // asked for number in range(asked + 1)]
    assert all(start <= place < end for place, start, end in zip(places, bounds, bounds[1:], strict=False))


def test_spread_takes_no_beat_of_the_file() -> None:
    """Levels that take turns in the file are all among the few that are asked."""
    places = places_of(spread(suite_of(240), 40))
    assert Counter(place % 3 for place in places).keys() == {0, 1, 2}
    assert max(Counter(place % 3 for place in places).values()) < 24


def test_spread_without_a_limit_takes_all() -> None:
    suite = suite_of(7)
    assert spread(suite, None) == list(suite.items)


def test_a_closed_question_lists_the_options_in_the_order_given() -> None:
    text = closed_question(item(1), "multiple_choice", [2, 0, 3, 1])
    assert "\n\nA. option 2\nB. option 0\nC. option 3\nD. option 1\n\n" in text


@given(ITEMS)
@settings(max_examples=50, deadline=None)
def test_a_closed_question_leaves_no_option_out(asked: EvalItem) -> None:
    text = closed_question(asked, "multiple_choice", range(len(asked.options)))
    assert all(f"\n{LETTERS[index]}. {option}\n" in text for index, option in enumerate(asked.options))


def test_a_true_false_item_is_asked_for_one_word() -> None:
    asked = EvalItem(question="Bread is made of flour.", options=("True", "False"), answer="True")
    text = closed_question(asked, "true_false", ())
    assert text.startswith("Is this statement true or false?\n\nBread is made of flour.\n\n")
    assert text.endswith("one word, True or False.")


def test_an_open_question_shows_no_option() -> None:
    assert open_question(item(1), "multiple_choice") == "Question 1?"


def test_an_open_true_false_question_says_that_it_is_one() -> None:
    asked = EvalItem(question="Bread is made of flour.", options=("True", "False"), answer="True")
    assert open_question(asked, "true_false") == closed_question(asked, "true_false", ())


@pytest.mark.parametrize("suite", SHIPPED, ids=[suite.name for suite in SHIPPED])
def test_every_shipped_item_renders_whole(suite: Suite) -> None:
    for asked in suite.choices:
        text = closed_question(asked, suite.type, option_order(asked, 0))
        assert asked.question in text
        assert all(option in text for option in asked.options)
        assert asked.rationale not in text or not asked.rationale
        assert open_question(asked, suite.type).strip()


def test_a_gap_is_asked_for_its_words_alone() -> None:
    gap = ClozeItem(question="Rye is raised with ____.", answers=("sourdough",))
    text = written_question(gap, "cloze", ())
    assert "\n\nRye is raised with ____.\n\n" in text
    assert text.endswith("the words for the gap only.")


@pytest.mark.parametrize("suite", ALL_SHIPPED, ids=[suite.name for suite in ALL_SHIPPED])
def test_the_answer_that_is_shown_as_an_example_is_right_in_the_form_asked_for(suite: Suite) -> None:
    """An open item's reference may miss a key point word by word: it is not held to the strict form. Programs are run
    elsewhere."""
    for item in suite.items:
        order = option_order(item, 5) if isinstance(item, EvalItem) else ()
        shown = written_answer(item, suite.type, order)
        assert item.question in written_question(item, suite.type, order)
        if suite.type == "multiple_choice" and isinstance(item, EvalItem):
            assert score_choice(shown, item, order).strict
        else:
            score = SCORERS[suite.type](shown, item)
            assert score.correct
            assert score.strict or suite.type == "open"
