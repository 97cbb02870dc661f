"""Which seed tasks a request may show."""

from pathlib import Path

import pytest

from seedtune.domains import Pack
from seedtune.errors import DomainError
from seedtune.generate.sampling import usable_packs
from seedtune.records import SeedTask


def pack_of(name: str, size: int) -> Pack:
    seeds = tuple(SeedTask(instruction=f"Explain {name} {n}.", output=f"It is {name} {n}.") for n in range(size))
    return Pack(name, f"Write about {name}.", seeds, Path(f"{name}.jsonl"))


PACKS = (pack_of("routes", 9), pack_of("code", 5), pack_of("live", 2))


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
