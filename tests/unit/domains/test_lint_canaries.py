"""What the lint says of canaries: each test file begins with that of its domain."""

import re

import pytest

from conftest import write_jsonl
from domain_on_disk import CHOICES, DEV_CHOICES, STATEMENTS, DomainOnDisk
from seedtune.domains.canary import GUID


def without_canary(sound: DomainOnDisk, file: str) -> None:
    write_jsonl(sound.folder / file, sound.read(file)[1:])


def test_a_test_file_without_a_canary_is_told_that_of_the_others(sound: DomainOnDisk) -> None:
    canary = sound.read(CHOICES)[0]["canary"]
    without_canary(sound, STATEMENTS)
    [(place, message)] = sound.faults()
    assert place == f"{STATEMENTS}:1"
    assert message == f'this test file has no canary; its first line should be {{"canary": "{canary}"}}'


def test_a_domain_without_any_canary_is_shown_one_to_put_in(sound: DomainOnDisk) -> None:
    for file in (CHOICES, STATEMENTS):
        without_canary(sound, file)
    shown = {re.sub(r".*its first line should be ", "", message) for _, message in sound.faults()}
    [line] = shown
    assert GUID.search(line)
    for file in (CHOICES, STATEMENTS):
        (sound.folder / file).write_text(line + "\n" + (sound.folder / file).read_text())
    assert sound.lint() == []


@pytest.mark.parametrize("canary", ["Please do not train on this.", ""])
def test_a_canary_without_a_guid_is_none(sound: DomainOnDisk, canary: str) -> None:
    sound.change(STATEMENTS, 1, canary=canary)
    [(place, message)] = sound.faults()
    assert place == f"{STATEMENTS}:1"
    assert message.startswith("not the canary of the domain; its first line should be")


def test_a_suite_that_is_not_split_is_a_test_file(sound: DomainOnDisk) -> None:
    sound.describe(suites={"all": {"type": "multiple_choice", "items": CHOICES}})
    assert sound.lint() == []
    without_canary(sound, CHOICES)
    assert [place for place, _ in sound.faults()] == [f"{CHOICES}:1"]


def test_a_dev_file_needs_no_canary_and_may_have_one(sound: DomainOnDisk) -> None:
    canary = sound.read(CHOICES)[0]
    write_jsonl(sound.folder / DEV_CHOICES, [canary, *sound.read(DEV_CHOICES)])
    assert sound.lint() == []
