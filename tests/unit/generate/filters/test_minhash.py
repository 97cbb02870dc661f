"""MinHash: near-duplicates of whole tasks."""

import random

import pytest

from seedtune.config import GenerateConfig, MinHashConfig
from seedtune.generate.filters.further import further_filters
from seedtune.generate.filters.minhash import MinHashIndex
from seedtune.records import Task
from seedtune.similarity import Neighbour


def task(output: str, instruction: str = "Say it.", text: str = "") -> Task:
    return Task(instruction=instruction, input=text, output=output)


def words(count: int, seed: int) -> list[str]:
    return [f"w{n}" for n in random.Random(seed).sample(range(100_000), count)]


def pool(*tasks: Task, permutations: int = 128) -> MinHashIndex:
    index = MinHashIndex(0.8, permutations)
    for one in tasks:
        index.add(one)
    return index


def jaccard(one: list[str], other: list[str]) -> float:
    """Of the word 3-grams, the instruction that :func:`task` writes included."""
    texts = (["say", "it", *one], ["say", "it", *other])
    a, b = ({tuple(text[n : n + 3]) for n in range(len(text) - 2)} for text in texts)
    return len(a & b) / len(a | b)


def test_the_score_is_the_jaccard_similarity_within_its_error() -> None:
    """128 functions: the standard error is at most 0.044."""
    errors: list[float] = []
    for seed in range(60):
        one = words(120, seed)
        other = [f"x{n}" if n % 120 < seed % 12 * 3 and n % 3 == 0 else word for n, word in enumerate(one)]
        found = pool(task(" ".join(one))).nearest(task(" ".join(other)))
        errors.append(found.score - jaccard(one, other))
    assert max(map(abs, errors)) < 4 * 0.044
    assert abs(sum(errors) / len(errors)) < 0.02


@pytest.mark.parametrize("permutations", [16, 128, 255, 256, 1024])
def test_the_same_task_scores_one_however_many_functions_count(permutations: int) -> None:
    known = task(" ".join(words(50, 1)))
    assert pool(known, permutations=permutations).nearest(known) == Neighbour(1.0, known.id)


def test_tasks_without_a_common_phrase_score_next_to_nothing() -> None:
    index = pool(*(task(" ".join(words(40, seed)), f"i{seed}") for seed in range(300)))
    assert index.nearest(task(" ".join(words(40, 999)), "another")).score < 0.1


def test_instruction_input_and_output_count_together() -> None:
    one, two, three = (" ".join(words(60, seed)) for seed in range(3))
    index = pool(task(one, two, three))
    assert index.nearest(task(one, two, three)).score == 1.0
    for changed in (task("other", two, three), task(one, "other", three), task(one, two, "other")):
        assert 0.4 < index.nearest(changed).score < 0.9


def test_case_and_marks_do_not_count() -> None:
    index = pool(task("One, two, three, four."))
    assert index.nearest(task("one TWO three -- four")).score == 1.0


def test_the_first_added_is_named_among_equals() -> None:
    first, again = task("one two three four"), task("One two three four")
    assert pool(task("x y z"), first, again).nearest(again).id == first.id


def test_scores_stay_right_while_the_pool_grows() -> None:
    index, tasks = pool(), [task(" ".join(words(30, seed))) for seed in range(200)]
    for number, one in enumerate(tasks):
        index.add(one)
        assert len(index) == number + 1
    assert [index.nearest(one) for one in tasks] == [Neighbour(1.0, one.id) for one in tasks]


def test_a_question_adds_nothing() -> None:
    index = pool(task("one two three four"))
    index.nearest(task("five six seven"))
    assert len(index) == 1


@pytest.mark.parametrize("output", ["x", "x y"])
def test_a_task_shorter_than_a_phrase_is_like_itself(output: str) -> None:
    short = Task(instruction="!", output=output)
    assert pool(short).nearest(short).score == 1.0


def test_a_task_without_a_word_is_like_nothing() -> None:
    blank = Task(instruction="?", output="!")
    assert pool(blank).nearest(blank) == Neighbour(0.0, "")
    assert pool().nearest(task("one two three")) == Neighbour(0.0, "")


def test_signatures_are_the_same_in_every_process_and_version() -> None:
    """Scores in a journal can be compared with those of another day."""
    index = pool(task("one two three four five six seven eight nine ten"), permutations=1024)
    near = [index.nearest(task(text)).score for text in ("one two three four five six seven", "eight nine ten eleven")]
    assert near == pytest.approx([0.7176470588235294, 0.0803921568627451])


def test_the_config_turns_the_filter_on() -> None:
    assert further_filters(GenerateConfig()) == ()
    [found] = further_filters(GenerateConfig(minhash=MinHashConfig(threshold=0.6, permutations=16)))
    assert (found.name, found.threshold) == ("minhash", 0.6)
