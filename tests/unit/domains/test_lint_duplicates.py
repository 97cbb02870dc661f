"""What the lint says of texts that stand twice: among seeds, among items, and from one to the other."""

import pytest

from domain_on_disk import CHOICES, DEV_CHOICES, DEV_STATEMENTS, SEEDS, STATEMENTS, DomainOnDisk

QUESTION = "Which attribute of a route is compared first when two speakers offer the same prefix?"
PASSAGE = "the baker folds the cold dough twice and then leaves it covered near a warm stove until dawn"


def test_two_seeds_that_are_nearly_the_same_are_found(sound: DomainOnDisk) -> None:
    sound.change(SEEDS, 1, instruction=QUESTION, input="")
    sound.change(SEEDS, 5, instruction=QUESTION.replace("speakers", "neighbours"), input="")
    [finding] = sound.lint()
    assert (finding.level, finding.place) == ("error", f"{SEEDS}:5")
    assert finding.message.startswith(f"seed tasks are nearly the same: {SEEDS}:1 (ROUGE-L 0.9")


def test_two_seeds_with_one_instruction_and_other_inputs_are_sound(sound: DomainOnDisk) -> None:
    sound.change(SEEDS, 1, instruction="Scale it.", input=" ".join(f"a{n}" for n in range(20)))
    sound.change(SEEDS, 2, instruction="Scale it.", input=" ".join(f"b{n}" for n in range(20)))
    assert sound.lint() == []


@pytest.mark.parametrize(("file", "number"), [(CHOICES, 5), (DEV_CHOICES, 1)])
def test_two_questions_that_are_nearly_the_same_are_found_across_the_split(
    sound: DomainOnDisk, file: str, number: int
) -> None:
    sound.change(CHOICES, 2, question=QUESTION)
    sound.change(file, number, question=QUESTION.upper())
    assert [(finding.place, finding.message) for finding in sound.lint() if finding.check == "duplicates"] == [
        (f"{file}:{number}", f"questions are nearly the same: {CHOICES}:2 (ROUGE-L 1.00)")
    ]


def test_a_statement_that_repeats_a_question_of_another_suite_is_found(sound: DomainOnDisk) -> None:
    sound.change(CHOICES, 2, question=QUESTION)
    sound.change(STATEMENTS, 2, statement=QUESTION)
    assert {place for place, _ in sound.faults()} == {f"{STATEMENTS}:2"}


@pytest.mark.parametrize(
    ("file", "number", "key"),
    [(CHOICES, 2, "question"), (STATEMENTS, 2, "statement"), (DEV_STATEMENTS, 1, "statement")],
)
def test_a_question_among_the_seeds_is_found(sound: DomainOnDisk, file: str, number: int, key: str) -> None:
    sound.change(SEEDS, 6, instruction=QUESTION, input="")
    sound.change(file, number, **{key: QUESTION})
    place = f"{file}:{number}"
    said = [message for where, message in sound.faults() if where == place]
    assert said[0] == f"this question stands among the seeds: {SEEDS}:6 (ROUGE-L 1.00)"
    assert said[1].startswith(f"shares a passage with {SEEDS}:6: 'which attribute of a route")


# Passages


def test_a_passage_of_a_seed_within_an_item_is_found(sound: DomainOnDisk) -> None:
    """ROUGE-L of the whole texts is low: only the passage shows."""
    sound.change(SEEDS, 3, output=f"Salt matters. As a rule {PASSAGE}, whatever the weather.")
    sound.change(CHOICES, 3, rationale=f"Because {PASSAGE} every day of the week.")
    [(place, message)] = sound.faults()
    assert place == f"{CHOICES}:3"
    first = " ".join(PASSAGE.split()[:13])
    assert message == f"shares a passage with {SEEDS}:3: '{first}'"


@pytest.mark.parametrize(
    ("one", "other"),
    [((SEEDS, 3, "output"), (SEEDS, 5, "output")), ((CHOICES, 2, "rationale"), (STATEMENTS, 5, "rationale"))],
)
def test_a_passage_of_two_seeds_or_two_items_is_found_once(
    sound: DomainOnDisk, one: tuple[str, int, str], other: tuple[str, int, str]
) -> None:
    for file, number, key in (one, other):
        sound.change(file, number, **{key: f"{file} says that {PASSAGE} in all cases."})
    assert [place for place, _ in sound.faults()] == [f"{other[0]}:{other[1]}"]


def test_twelve_words_are_no_passage(sound: DomainOnDisk) -> None:
    words = " ".join(PASSAGE.split()[:12])
    sound.change(SEEDS, 3, output=f"So {words}.")
    sound.change(CHOICES, 3, rationale=f"As {words}!")
    assert sound.lint() == []


def test_case_and_punctuation_do_not_hide_a_passage(sound: DomainOnDisk) -> None:
    sound.change(SEEDS, 3, output=PASSAGE)
    sound.change(CHOICES, 3, rationale=PASSAGE.upper().replace(" ", ", "))
    assert [place for place, _ in sound.faults()] == [f"{CHOICES}:3"]


def test_an_address_is_one_word(sound: DomainOnDisk) -> None:
    """Split at its dots it would make a passage of every prefix list."""
    route = "permit 192.0.2.0/24 from 198.51.100.7 at 10:00:00"
    sound.change(SEEDS, 3, output=f"First {route}.")
    sound.change(CHOICES, 3, rationale=f"Then {route}.")
    assert sound.lint() == []


def test_a_run_of_few_words_is_no_passage(sound: DomainOnDisk) -> None:
    marker = "ff " * 16 + "00 17"
    sound.change(SEEDS, 3, output=f"This: {marker}.")
    sound.change(CHOICES, 3, rationale=f"That: {marker}.")
    assert sound.lint() == []


PROGRAM = f"```python\nprint('''{PASSAGE}''')\n```"


def test_two_programs_may_begin_alike(sound: DomainOnDisk) -> None:
    sound.change(SEEDS, 3, output=f"{PROGRAM}\n\nThis prints it.")
    sound.change(SEEDS, 5, output=f"{PROGRAM}\n\nSo does that.")
    assert sound.lint() == []


def test_a_passage_of_a_program_within_an_item_is_found(sound: DomainOnDisk) -> None:
    sound.change(SEEDS, 3, output=PROGRAM)
    sound.change(STATEMENTS, 3, rationale=PASSAGE)
    assert [place for place, _ in sound.faults()] == [f"{STATEMENTS}:3"]
