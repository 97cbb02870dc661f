"""Key-point coverage: what counts as mentioned, and what does not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.domains import load_domain
from seedtune.evaluate.keypoints import coverage, stems
from seedtune.records import OpenItem

BREAD = OpenItem(
    question="How is bread made?",
    key_points=(
        "Flour and water are kneaded into a dough.",
        "The dough rests so that yeast can raise it.",
        "The oven must not be opened early.",
    ),
    answer=(
        "One kneads flour and water until there is a dough. Yeast then lifts it while it rests in a warm place. "
        "During the first minutes the oven door stays shut."
    ),
)
DEV = load_domain("bgp").suites["open"].files["dev"].items


def covered(text: str) -> tuple[bool, ...]:
    return coverage(text, BREAD).covered


def test_the_points_themselves_cover_everything() -> None:
    assert covered(" ".join(BREAD.key_points)) == (True, True, True)
    assert coverage(" ".join(BREAD.key_points), BREAD).why == "every key point is mentioned"


def test_each_point_is_found_by_itself_and_the_others_are_named_as_missing() -> None:
    for index, point in enumerate(BREAD.key_points):
        found = coverage(f"Well, I think: {point}", BREAD)
        assert found.covered == tuple(place == index for place in range(3))
        assert found.share == pytest.approx(1 / 3)
        assert all((other in found.why) == (other != point) for other in BREAD.key_points)


def test_other_endings_and_another_order_make_no_difference() -> None:
    assert covered("Into the dough go water and flour, and kneading is needed.")[0]
    assert covered("While the dough is resting, the yeasts raise it.")[1]


def test_the_wording_of_the_reference_answer_counts_too() -> None:
    assert covered("The door of the oven stays shut during the first minutes.")[2]


def test_a_point_may_be_spread_over_two_sentences_but_not_over_the_whole_answer() -> None:
    assert covered("Take flour and water. They are kneaded to a dough.")[0]
    assert not covered("Take flour. Be patient with it. Then have a walk outside. Now some kneading is due.")[0]


@pytest.mark.parametrize(
    "text",
    [
        "It is not true that the dough rests so that yeast can raise it.",
        "The dough never rests, and yeast cannot be said to raise it, no.",
        "It is wrong that the dough rests so that yeast can raise it.",
    ],
)
def test_a_denied_point_is_not_covered(text: str) -> None:
    assert not covered(text)[1]


def test_a_point_that_denies_is_not_covered_by_its_assertion() -> None:
    assert covered("The oven must not be opened early.")[2]
    assert not covered("The oven must be opened early.")[2]


@pytest.mark.parametrize("text", ["", " \n", "...", BREAD.question, "Bread is made.", "I do not know.", "吗" * 40])
def test_nothing_an_echo_or_an_unrelated_answer_covers_nothing(text: str) -> None:
    assert covered(text) == (False, False, False)


def test_a_bare_list_of_words_covers_nothing_and_is_named() -> None:
    found = coverage("flour water knead dough rest yeast raise oven open early door warm minutes shut", BREAD)
    assert found.share == 0
    assert found.why == "a list of words, not sentences"


def test_a_domain_in_another_language_is_scored_word_for_word() -> None:
    item = OpenItem(
        question="Wie entsteht Brot?",
        key_points=("Mehl und Wasser werden geknetet.", "Die Hefe treibt den Teig."),
        answer="Zuerst knetet man Mehl und Wasser, bis ein glatter Teig daraus wird; dann treibt ihn die Hefe hoch.",
    )
    assert coverage(item.answer, item).share == 1


def test_a_point_without_content_words_is_not_covered_by_anything() -> None:
    item = OpenItem(question="Why?", key_points=("It is so.", "Bread rises."), answer="Bread rises.")
    assert coverage("It is so, and bread rises.", item).covered == (False, True)


def test_thinking_covers_nothing() -> None:
    assert coverage(f"<think>{BREAD.answer}", BREAD).why == "nothing but thinking"
    assert covered(f"<think>hm</think>{BREAD.answer}") == covered(BREAD.answer)


def test_the_shares_that_the_module_states_hold_on_the_dev_items() -> None:
    items = [item for item in DEV if isinstance(item, OpenItem)]
    own = [covered for item in items for covered in coverage(item.answer, item).covered]
    others = [coverage(other.answer, item).share for item in items for other in items if item is not other]
    assert sum(own) / len(own) == pytest.approx(0.94, abs=0.01)
    assert sum(others) / len(others) == pytest.approx(0.02, abs=0.005)
    assert max(others) <= 0.5


def test_an_answer_that_says_everything_is_read_only_so_far_as_an_answer_goes() -> None:
    items = [item for item in DEV if isinstance(item, OpenItem)]
    every_answer = [other.answer for other in items]
    reached = [
        coverage("\n".join(every_answer[:place] + every_answer[place + 1 :] + [item.answer]), item).share
        for place, item in enumerate(items)
    ]
    assert max(reached) < 0.6
    assert covered(f"{'I like to talk about it. ' * 25}{' '.join(BREAD.key_points)}") == (True, True, True)
    assert covered(f"{'I like to talk about it. ' * 40}{' '.join(BREAD.key_points)}") == (False, False, False)


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_text_has_a_share_between_0_and_1(text: str) -> None:
    assert 0 <= coverage(text, BREAD).share <= 1


def test_stems_leave_names_and_numbers_alone() -> None:
    assert stems("Withdrawn routes are withdrawing the AS4 of 1200s") == {"withdraw", "rout", "as4", "1200s"}
