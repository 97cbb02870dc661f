"""What counts as too close to an evaluation item, and what does not."""

from typing import Any

import pytest

from conftest import write_jsonl
from domain_on_disk import CHOICES, DEV_STATEMENTS, SEEDS, STATEMENTS, DomainOnDisk
from seedtune.domains import load_domain, shipped_domains
from seedtune.domains.contamination import ItemGuard, seeds_among_items, wordings_of
from seedtune.records import ExactItem, Task, content_id

PASSAGE = "the baker folds the cold dough twice and then leaves it covered near a warm stove until dawn"
QUESTION = "Which of two loaves from one dough keeps its crust for longer, and why?"
CLOZE, OPEN = "evaluation/test/cloze.jsonl", "evaluation/test/open.jsonl"


@pytest.fixture
def written(sound: DomainOnDisk) -> DomainOnDisk:
    """The sound domain with a suite of each type."""
    write_jsonl(
        sound.folder / CLOZE,
        [{"question": "At home a loaf of rye rests for ____ before it is cut.", "answers": ["24 hours", "a day"]}],
    )
    write_jsonl(
        sound.folder / OPEN,
        [{"question": "Why rest it?", "key_points": [f"It is so that {PASSAGE}.", "It sets."], "answer": "It sets."}],
    )
    suites = {"multiple_choice": CHOICES, "true_false": STATEMENTS, "cloze": CLOZE, "open": OPEN}
    sound.describe(
        suites={
            name: {"type": name, "test": file} | ({"dev": DEV_STATEMENTS} if name == "true_false" else {})
            for name, file in suites.items()
        }
    )
    return sound


def guard_of(domain: DomainOnDisk) -> ItemGuard:
    return ItemGuard(load_domain(str(domain.folder)).suites.values())


def task(instruction: str = "Do it.", text: str = "", output: str = "Done.") -> Task:
    return Task(instruction=instruction, input=text, output=output)


@pytest.mark.parametrize("field", ["instruction", "text", "output"])
@pytest.mark.parametrize(
    "item",
    [{"question": f"Is it so that {PASSAGE}?"}, {"options": [PASSAGE, "no"], "answer": "no"}],
    ids=["question", "option"],
)
def test_thirteen_words_of_an_item_are_a_hit_in_any_field(
    written: DomainOnDisk, field: str, item: dict[str, Any]
) -> None:
    written.change(CHOICES, 2, **item)
    run = " ".join(PASSAGE.split()[2:15])
    hit = guard_of(written).hit(task(**{field: f"As they say, {run.upper()}; so it is."}))
    assert hit is not None
    assert (hit.suite, hit.how, hit.detail) == ("multiple_choice", "13-gram", run)
    assert hit.item_id == load_domain(str(written.folder)).suites["multiple_choice"].items[0].id


def test_twelve_words_of_an_item_are_no_hit(written: DomainOnDisk) -> None:
    twelve = " ".join(PASSAGE.split()[2:14])
    assert guard_of(written).hit(task(output=f"As they say, {twelve} so it is.")) is None


def test_thirteen_words_may_run_over_lines(written: DomainOnDisk) -> None:
    hit = guard_of(written).hit(task(output=PASSAGE.replace(" ", "\n")))
    assert hit is not None
    assert (hit.suite, hit.how) == ("open", "13-gram")


def test_a_rule_of_equal_words_in_an_item_is_no_passage(written: DomainOnDisk) -> None:
    written.change(CHOICES, 2, question="How long is this rule?\n" + "x " * 20)
    assert guard_of(written).hit(task(output="x " * 20)) is None


@pytest.mark.parametrize("field", ["instruction", "text", "output"])
def test_a_short_question_is_a_hit_whatever_its_case_and_marks(written: DomainOnDisk, field: str) -> None:
    written.change(STATEMENTS, 2, statement="Salt slows yeast.")
    asked = "Is this true? Explain your answer in at most three sentences.\n- SALT slows: yeast!\n\nName the reason."
    hit = guard_of(written).hit(task(**{field: asked}))
    assert hit is not None
    assert (hit.suite, hit.how, hit.detail) == ("true_false", "exact", "salt slows yeast")


def test_items_for_development_count_too(written: DomainOnDisk) -> None:
    written.change(DEV_STATEMENTS, 1, statement="Salt slows yeast.")
    assert guard_of(written).hit(task("Salt slows yeast?")) is not None


@pytest.mark.parametrize("answer", ["24 hours", "a day"])
def test_a_cloze_sentence_is_found_with_each_filling(written: DomainOnDisk, answer: str) -> None:
    sentence = f"At home a loaf of rye rests for {answer} before it is cut."
    for field in ({"instruction": sentence}, {"output": sentence}):
        hit = guard_of(written).hit(task(**field))
        assert hit is not None
        assert hit.suite == "cloze"


@pytest.mark.parametrize("field", ["instruction", "text"])
def test_a_question_with_a_few_other_words_is_a_hit_by_rouge(written: DomainOnDisk, field: str) -> None:
    written.change(CHOICES, 3, question=QUESTION)
    hit = guard_of(written).hit(task(**{field: QUESTION.replace("loaves", "breads").replace("longer", "more days")}))
    assert hit is not None
    assert (hit.how, hit.detail) == ("rouge-l", "0.83")


def test_an_answer_that_is_merely_like_a_question_is_no_hit(written: DomainOnDisk) -> None:
    written.change(CHOICES, 3, question=QUESTION)
    assert guard_of(written).hit(task(output=QUESTION.replace("loaves", "breads"))) is None


def test_the_canary_is_a_hit_by_its_guid_and_by_its_words(written: DomainOnDisk) -> None:
    canary = written.read(CHOICES)[0]["canary"]
    guard = guard_of(written)
    by_guid = guard.hit(task(output=f"Its mark is (guid:{canary.split()[-1].upper()})."))
    by_words = guard.hit(task(output=" ".join(canary.split()[:15])))
    assert by_guid is not None
    assert by_words is not None
    assert (by_guid.item_id, by_guid.how, by_words.how) == ("", "exact", "13-gram")


def test_an_item_without_a_word_is_like_nothing(written: DomainOnDisk) -> None:
    written.change(STATEMENTS, 2, statement="?!")
    assert guard_of(written).hit(task("Do it, please.", "!\n\n?", "Done.")) is None


AROUND = "Please answer with care, {} and then say why in a sentence or two."


@pytest.mark.parametrize("field", ["instruction", "text", "output"])
@pytest.mark.parametrize("statement", ["Salt slows the yeast.", "Salt slows the yeast of any dough left in the cold."])
def test_a_short_question_is_a_hit_in_the_middle_of_a_line(written: DomainOnDisk, field: str, statement: str) -> None:
    written.change(STATEMENTS, 2, statement=statement)
    hit = guard_of(written).hit(task(**{field: AROUND.format(statement.upper())}))
    assert hit is not None
    assert (hit.suite, hit.how) == ("true_false", "whole")


def test_a_part_of_a_short_question_is_no_hit(written: DomainOnDisk) -> None:
    written.change(STATEMENTS, 2, statement="Salt slows the yeast of any dough left in the cold.")
    assert guard_of(written).hit(task(AROUND.format("salt slows the yeast of any dough left in the heat"))) is None


def test_a_phrase_of_less_than_five_words_and_signs_is_no_hit(written: DomainOnDisk) -> None:
    written.change(STATEMENTS, 2, statement="It is so.")
    assert guard_of(written).hit(task(AROUND.format("as it is so. Say yes"))) is None


def exact(written: DomainOnDisk, question: str, material: str = "") -> ItemGuard:
    """A guard of one computed item."""
    item = {"question": question, "input": material, "answer": "5", "kind": "integer", "family": "f"}
    write_jsonl(written.folder / "evaluation/test/exact.jsonl", [item])
    written.describe(suites={"exact": {"type": "exact", "test": "evaluation/test/exact.jsonl"}})
    return guard_of(written)


@pytest.mark.parametrize("sum_", ["2 + 3 = ?", "What is 47 + 85? (number only)", f"As {PASSAGE}, how many are there?"])
def test_a_question_without_material_is_found_within_a_line(written: DomainOnDisk, sum_: str) -> None:
    assert exact(written, sum_).hit(task(AROUND.format(sum_))) is not None


def test_thirteen_words_of_a_question_without_material_are_a_hit(written: DomainOnDisk) -> None:
    guard = exact(written, f"As {PASSAGE}, how many are there?")
    hit = guard.hit(task(" ".join(PASSAGE.split()[2:15])))
    assert hit is not None
    assert hit.how == "13-gram"


@pytest.mark.parametrize("other", ["2 3", "(2, 3)", "| 2 | 3 |", "2 - 3 = ?", "12 + 3 = ?", "2 + 3 = 5"])
def test_the_numbers_of_a_sum_alone_are_no_hit(written: DomainOnDisk, other: str) -> None:
    guard = exact(written, "2 + 3 = ?")
    assert [guard.hit(task(text)) for text in (other, f"Look:\n{other}\nDone.", AROUND.format(other))] == [None] * 3


def test_a_sum_that_is_shorter_than_a_phrase_is_found_as_the_whole_prompt(written: DomainOnDisk) -> None:
    guard = exact(written, "2 + 3")
    assert guard.hit(task("2  + 3")) is not None
    assert guard.hit(task("It is 2 + 3 days.")) is None


@pytest.mark.parametrize("material", ["prefix\n10.0.8.0/22\n10.0.4.0/24", "a loaf\na roll\na loaf\na roll\na bun"])
def test_the_whole_material_below_another_question_is_a_hit(written: DomainOnDisk, material: str) -> None:
    hit = exact(written, "How many are there?", material).hit(task("What is this?", f"See:\n{material}\n.", "Five."))
    assert hit is not None
    assert hit.how == "whole"


def test_the_question_that_items_share_is_no_hit_without_its_material(written: DomainOnDisk) -> None:
    guard = exact(written, "How many of these loaves are there on the table?", "a loaf\na roll\na loaf")
    assert guard.hit(task("How many of these loaves are there on the table?", "a bun\na roll\na bun")) is None


@pytest.mark.parametrize("name", shipped_domains())
def test_every_shipped_item_is_found_whole_within_a_line(name: str) -> None:
    """As somebody would write it who puts an exam into a prompt of his own."""
    domain = load_domain(name)
    guard = ItemGuard(domain.suites.values())
    prompts = [wordings_of(item)[0] for suite in domain.suites.values() for item in suite.items]
    assert [text for text in prompts if guard.hit(task(AROUND.format(" ".join(text.split())))) is None] == []


def test_suites_beside_the_domains_are_found_and_leave_the_digest_as_it_is(written: DomainOnDisk) -> None:
    domain = load_domain(str(written.folder))
    suite = domain.suites["open"]
    [item] = suite.items
    alone = ItemGuard([domain.suites["cloze"]])
    both = ItemGuard([domain.suites["cloze"]], [suite])
    assert both.digest == alone.digest
    assert alone.hit(task(wordings_of(item)[0])) is None
    assert both.hit(task(wordings_of(item)[0])) is not None


def test_the_digest_is_that_of_questions_and_passages_of_material(written: DomainOnDisk) -> None:
    """Journals name it: where it moved without the items, no run that is under way could go on."""
    question = f"as {PASSAGE} how many are there"
    assert exact(written, question).digest == content_id(0.7, 13, [], [question], [])


def test_the_digest_follows_the_items_and_nothing_else(written: DomainOnDisk) -> None:
    before = guard_of(written).digest
    written.change(SEEDS, 1, output="Something else.")
    written.change(CHOICES, 2, rationale="Because.")
    assert guard_of(written).digest == before
    written.change(CHOICES, 2, question=QUESTION)
    assert guard_of(written).digest != before


@pytest.mark.parametrize("name", shipped_domains())
def test_shipped_items_are_found_by_their_question_and_shipped_seeds_are_clean(name: str) -> None:
    domain = load_domain(name)
    guard = ItemGuard(domain.suites.values())
    for suite in domain.suites.values():
        for item in suite.items:
            # One question is asked of many excerpts: it is known with its own.
            question = item.prompt if isinstance(item, ExactItem) else item.question
            assert guard.hit(task(question)) is not None, question
    assert [seed.instruction for pack in domain.packs.values() for seed in pack.seeds if guard.hit(seed)] == []
    assert seeds_among_items(domain) == ()


@pytest.mark.parametrize(
    ("instruction", "text"), [(QUESTION.upper(), "Dough."), ("Which of two loaves", QUESTION[20:])]
)
def test_an_item_equal_to_a_seed_is_named_with_both_places(written: DomainOnDisk, instruction: str, text: str) -> None:
    written.change(SEEDS, 4, instruction=instruction, input=text)
    written.change(CHOICES, 3, question=QUESTION)
    assert seeds_among_items(load_domain(str(written.folder))) == (
        f"{CHOICES}:3: the question of this item is the instruction of the seed task {SEEDS}:4; take one of them out",
    )


def test_a_seed_that_is_merely_like_an_item_is_not_named(written: DomainOnDisk) -> None:
    written.change(SEEDS, 4, instruction=f"{QUESTION} Explain.", input="")
    written.change(CHOICES, 3, question=QUESTION)
    assert seeds_among_items(load_domain(str(written.folder))) == ()
