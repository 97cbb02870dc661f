"""What a domain asks of itself under ``requirements``: each is found when missed, and quiet when met."""

from typing import Any

import pytest

from domain_on_disk import SEEDS, STATEMENTS, DomainOnDisk, statements

MET = {
    "seeds": {"knowledge": 6},
    "items": {"multiple_choice": 6, "true_false": 6},
    "items_per_topic": 4,
    "input_share": 0.5,
    "dev_share": 0.3,
}


def test_requirements_that_are_met_say_nothing(sound: DomainOnDisk) -> None:
    sound.describe(requirements=MET)
    assert sound.lint() == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"seeds": {"knowledge": 7}}, "6 seed tasks in pack knowledge (at least 7)"),
        ({"items": {"true_false": 7}}, "6 items in suite true_false (at least 7)"),
        ({"items_per_topic": 5}, "4 items on topic practice (at least 5)"),
        ({"input_share": 0.51}, "3 of 6 seed tasks have an input (at least 51%)"),
        ({"dev_share": 0.6}, "2 of 6 items in suite multiple_choice are in dev (about 60%)"),
        ({"level_share": 0.2}, "0 of 6 items in suite multiple_choice are of level 2 (at least 20%)"),
    ],
)
def test_a_requirement_that_is_missed_is_found(sound: DomainOnDisk, asked: dict[str, Any], said: str) -> None:
    sound.describe(requirements=asked)
    faults = sound.faults()
    assert ("domain.yaml", said) in faults
    assert {finding.check for finding in sound.lint()} == {"requirements"}


def test_a_topic_without_any_item_is_found(sound: DomainOnDisk) -> None:
    sound.describe(requirements={"items_per_topic": 1}, topics={"basics": "", "practice": "", "history": ""})
    assert sound.faults() == [("domain.yaml", "0 items on topic history (at least 1)")]


def test_an_input_of_white_space_is_none(sound: DomainOnDisk) -> None:
    sound.describe(requirements={"input_share": 0.5})
    sound.change(SEEDS, 1, input=" \n")
    assert sound.faults() == [("domain.yaml", "2 of 6 seed tasks have an input (at least 50%)")]


@pytest.mark.parametrize(("size", "met"), [(3, True), (8, True), (9, False)])
def test_the_share_of_dev_may_be_an_item_off(sound: DomainOnDisk, size: int, met: bool) -> None:
    """Two items are in dev; three would be 30% of ten, and 30% of eleven is more than three."""
    sound.describe(requirements={"dev_share": 0.3})
    sound.write(STATEMENTS, statements([number % 2 == 0 for number in range(size)]))
    assert (sound.lint() == []) == met
