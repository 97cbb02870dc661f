"""Draw what a request shows: seed tasks, instructions written before, a passage.

Request ``index`` of a run with seed ``seed`` is the same whenever and in whatever order it is drawn: what it may build
on is settled by its index too (see ``sequence``). That is what makes a run the same with 1 or 64 requests in flight,
and after a restart.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from seedtune.domains import Pack
from seedtune.errors import DomainError
from seedtune.records import SeedTask

T = TypeVar("T")


def usable_packs(packs: Sequence[Pack], max_words: int | None) -> list[Pack]:
    """The packs with only those seed tasks that are short enough to be shown as examples.

    Raises:
        DomainError: a pack has none.
    """
    usable: list[Pack] = []
    for pack in packs:
        short = tuple(s for s in pack.seeds if max_words is None or len(f"{s.prompt} {s.output}".split()) <= max_words)
        if not short:
            raise DomainError(
                f"{pack.seeds_path}: no seed task has at most {max_words} words; raise generate.max_example_words"
            )
        usable.append(replace(pack, seeds=short))
    return usable


def draw_for(seed: int, index: int, what: str = "") -> random.Random:
    """The random numbers of a request; ``what`` keeps draws of one request apart."""
    # A string seeds Random through SHA-512, the same in every process and Python version.
    return random.Random(f"{seed}/{index}/{what}" if what else f"{seed}/{index}")


def draw_seeds(seed: int, index: int, pack: Pack, count: int) -> list[SeedTask]:
    """Seed tasks to show as examples, without replacement; fewer where the pack has fewer."""
    positions = draw_for(seed, index).sample(range(len(pack.seeds)), min(count, len(pack.seeds)))
    return [pack.seeds[position] for position in positions]


def draw_one(seed: int, index: int, what: str, choices: Sequence[T]) -> T:
    """One of ``choices``, which must not be empty."""
    return choices[draw_for(seed, index, what).randrange(len(choices))]
