"""Requests follow from the run's seed and their index, and from nothing else."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.domains import Pack
from seedtune.errors import DomainError
from seedtune.generate.sampling import draw_request, usable_packs
from seedtune.records import Request, SeedTask


def pack_of(name: str, size: int) -> Pack:
    seeds = tuple(SeedTask(instruction=f"Explain {name} {n}.", output=f"It is {name} {n}.") for n in range(size))
    return Pack(name, f"Write about {name}.", seeds, Path(f"{name}.jsonl"))


PACKS = (pack_of("routes", 9), pack_of("code", 5), pack_of("live", 2))


def draw(seed: int, index: int, seeds: int = 3) -> Request:
    return draw_request(seed, index, PACKS, seeds, 2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**40), st.lists(st.integers(0, 10_000), min_size=1, max_size=5))
def test_a_request_is_the_same_in_whatever_order_it_is_drawn(seed: int, indices: list[int]) -> None:
    forwards = {index: draw(seed, index) for index in indices}
    backwards = {index: draw(seed, index) for index in reversed(indices)}
    assert forwards == backwards


def test_a_request_does_not_depend_on_the_global_random_state() -> None:
    random.seed(1)
    first = draw(0, 5)
    random.seed(2)
    assert draw(0, 5) == first


def test_drawing_leaves_the_global_random_state_alone() -> None:
    random.seed(1)
    expected = random.Random(1).random()
    draw(0, 5)
    assert random.random() == expected


def test_a_run_begun_with_an_older_version_goes_on_with_the_same_draws() -> None:
    ids = [task.id for task in PACKS[0].seeds]
    assert [ids.index(parent) for parent in draw(7, 3, seeds=4).parents] == [0, 6, 2, 4]


def test_requests_of_one_run_differ() -> None:
    assert len({draw(0, index).parents for index in range(0, 300, 3)}) > 50


def test_other_seeds_draw_other_examples() -> None:
    assert len({draw(seed, 0).parents for seed in range(100)}) > 50


def test_packs_take_turns() -> None:
    assert [draw(0, index).pack for index in range(7)] == ["routes", "code", "live", "routes", "code", "live", "routes"]


def test_examples_come_from_the_requests_own_pack() -> None:
    for index in range(30):
        request, pack = draw(0, index), PACKS[index % 3]
        assert set(request.parents) <= {task.id for task in pack.seeds}
        assert request.messages[0].content == pack.prompt


def test_no_example_stands_twice_in_a_request() -> None:
    assert all(len(set(draw(0, index, 5).parents)) == min(5, len(PACKS[index % 3].seeds)) for index in range(30))


def test_every_seed_task_is_shown_some_day() -> None:
    shown = {parent for index in range(0, 150, 3) for parent in draw(0, index).parents}
    assert shown == {task.id for task in PACKS[0].seeds}


def test_a_small_pack_shows_all_it_has() -> None:
    assert set(draw(0, 2, seeds=20).parents) == {task.id for task in PACKS[2].seeds}


def test_the_examples_stand_in_the_messages_in_the_order_of_the_parents() -> None:
    request = draw(0, 0)
    by_id = {task.id: task.instruction for task in PACKS[0].seeds}
    text = request.messages[1].content
    places = [text.index(by_id[parent]) for parent in request.parents]
    assert places == sorted(places)


def test_the_prefix_numbers_the_first_new_task() -> None:
    assert [draw(0, index, 5).prefix for index in range(3)] == ["6. Instruction:", "6. Instruction:", "3. Instruction:"]


def words(count: int, given_input: str = "") -> SeedTask:
    return SeedTask(instruction="Say it.", input=given_input, output=" ".join(["word"] * count))


def test_long_seed_tasks_are_not_shown() -> None:
    short, long = words(8), words(9)
    pack = Pack("routes", "Write.", (long, short), Path("routes.jsonl"))
    assert usable_packs([pack], 10)[0].seeds == (short,)


def test_the_input_counts_as_length() -> None:
    pack = Pack("routes", "Write.", (words(5, "one two three four"), words(2, "one")), Path("routes.jsonl"))
    assert usable_packs([pack], 10)[0].seeds == (words(2, "one"),)


def test_without_a_limit_every_seed_task_is_shown() -> None:
    assert usable_packs(PACKS, None) == list(PACKS)


def test_the_order_of_packs_and_seeds_is_kept() -> None:
    assert usable_packs(PACKS, 100) == list(PACKS)


def test_a_pack_without_short_seed_tasks_is_an_error_that_names_file_and_setting() -> None:
    with pytest.raises(DomainError, match=r"routes\.jsonl: .*at most 3 words.*max_example_words"):
        usable_packs(PACKS, 3)
