"""What the lint says of answers that can be guessed; each file of items is judged by itself."""

import pytest

from domain_on_disk import CHOICES, DEV_CHOICES, DEV_STATEMENTS, STATEMENTS, DomainOnDisk, choices, statements


@pytest.mark.parametrize("file", [STATEMENTS, DEV_STATEMENTS])
@pytest.mark.parametrize("truths", [[True] * 4, [False] * 4, [True, True, True, False]])
def test_statements_that_are_mostly_one_thing_are_found(sound: DomainOnDisk, file: str, truths: list[bool]) -> None:
    sound.write(file, statements(truths))
    assert sound.faults() == [(file, f"{sum(truths) / 4:.0%} of the statements are true; half should be")]


def test_halves_that_make_up_for_each_other_are_found_in_both(sound: DomainOnDisk) -> None:
    made = statements([True] * 4 + [False] * 4)
    sound.write(STATEMENTS, made[:4])
    sound.write(DEV_STATEMENTS, made[4:])
    assert [place for place, _ in sound.faults()] == [STATEMENTS, DEV_STATEMENTS]


@pytest.mark.parametrize("count", [3, 5, 7, 9])
def test_an_odd_number_of_statements_split_as_evenly_as_it_can_be_is_sound(sound: DomainOnDisk, count: int) -> None:
    sound.write(STATEMENTS, statements([number % 2 == 0 for number in range(count)]))
    assert sound.lint() == []


@pytest.mark.parametrize("file", [CHOICES, DEV_CHOICES])
def test_right_options_that_stand_mostly_first_are_found(sound: DomainOnDisk, file: str) -> None:
    sound.write(file, choices([0] * 14 + [1, 2]))
    assert sound.faults() == [(file, "answer positions are uneven: [14, 1, 1, 0]; shuffle the options")]


def test_right_options_spread_over_all_positions_are_sound(sound: DomainOnDisk) -> None:
    sound.write(CHOICES, choices([0, 1, 2, 3] * 5))
    assert sound.lint() == []


def test_items_with_fewer_options_are_not_held_against_their_positions(sound: DomainOnDisk) -> None:
    sound.write(CHOICES, choices([0, 1] * 15 + [0, 1, 2, 3], [2] * 30 + [4] * 4))
    assert sound.lint() == []


@pytest.mark.parametrize(("longer", "word"), [(True, "longest"), (False, "shortest")])
def test_right_options_given_away_by_their_length_are_found(sound: DomainOnDisk, longer: bool, word: str) -> None:
    items = choices([0, 1, 2, 3] * 5)
    for item in items[:7]:
        padded = [option + " indeed" * ((option == item["answer"]) == longer) for option in item["options"]]
        item["answer"] = padded[item["options"].index(item["answer"])]
        item["options"] = padded
    sound.write(CHOICES, items)
    assert sound.faults() == [(CHOICES, f"the right option is the {word} in 35% of the items (at most 30%)")]


def test_a_right_option_as_long_as_another_gives_nothing_away(sound: DomainOnDisk) -> None:
    sound.write(CHOICES, choices([0, 1, 2, 3] * 5))
    assert len({len(option) for item in sound.read(CHOICES)[1:] for option in item["options"]}) == 1
    assert sound.lint() == []


def test_one_item_is_no_pattern(sound: DomainOnDisk) -> None:
    items = choices([0, 1])
    items[0] |= {"options": ["the right one", "b", "c", "d"], "answer": "the right one"}
    sound.write(DEV_CHOICES, items)
    assert sound.lint() == []
