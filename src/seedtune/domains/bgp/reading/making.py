"""Tasks by seed: round and round the levels and families, each with its own dice."""

import random
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from seedtune.domains.bgp.reading.chance import CHANCE
from seedtune.domains.bgp.reading.draw import BUDGET, Case, Draw, Family, token_count
from seedtune.domains.bgp.reading.families import FAMILIES
from seedtune.domains.bgp.reading.recordings import Recording, recordings
from seedtune.domains.bgp.reading.renaming import TaskSplit
from seedtune.domains.bgp.reading.wordings import ABOUT, FORMS, wordings
from seedtune.errors import DomainError
from seedtune.records import ComputedTask, ExactItem, read_json_lines

LEVELS = (1, 2, 3)
_CANARY = Path(__file__).parent.parent / "evaluation" / "test" / "multiple_choice.jsonl"
"""A file that begins with the domain's canary."""
_TRIES = 2000
_BALANCING_TRIES = 30
"""After so many, an answer other than the one that balances the family is taken."""
_HELD_OUT_SHARE = 0.5


def make_tasks(split: TaskSplit, count: int, seed: int, levels: Sequence[int] = LEVELS) -> Iterator[ComputedTask]:
    """Make tasks whose answers the reference analyses compute.

    The same arguments always give the same tasks, and a smaller count the first of them. Levels take turns, and so do
    the families of each level.

    Args:
        split: Which recordings, numbers and wordings; no two splits share recordings or numbers.
        count: How many.
        seed: Of all dice.
        levels: From 1 (a few values) to 3 (a long excerpt, or several steps).

    Raises:
        DomainError: there are no recordings of this split, or none with what a family needs.
    """
    for item in make_items(split, count, seed, levels):
        yield ComputedTask(
            instruction=item.question,
            input=item.input,
            output=item.answer,
            family=item.family,
            level=item.level,
            source=item.source,
        )


def make_items(split: TaskSplit, count: int, seed: int, levels: Sequence[int] = LEVELS) -> Iterator[ExactItem]:
    """The same tasks as evaluation items, which also say how an answer is read and what guessing gives.

    Raises:
        DomainError: as :func:`make_tasks`.
    """
    for number in range(count):
        level = levels[number % len(levels)]
        family = _family_of(level, number // len(levels), seed)
        yield _make(split, family, level, random.Random(f"{seed}/{split}/{number}"))


def item_lines(split: TaskSplit, count: int, seed: int, levels: Sequence[int] = LEVELS) -> Iterator[dict[str, Any]]:
    """The lines of an evaluation file; that of ``test`` begins with the domain's canary.

    Raises:
        DomainError: as :func:`make_tasks`.
    """
    if split == "test":
        _, canary = next(read_json_lines(_CANARY, DomainError))
        yield canary
    for item in make_items(split, count, seed, levels):
        yield item.model_dump(mode="json", exclude_defaults=True) | {"level": item.level}


def make_item(split: TaskSplit, family: str, level: int, seed: str) -> ExactItem:
    """One item of a family, which must be asked on this level.

    Raises:
        DomainError: as :func:`make_tasks`.
    """
    return _make(split, family, level, random.Random(seed))


def _family_of(level: int, number: int, seed: int) -> str:
    """Each round over the families of a level has them in another order."""
    names = [name for name, family in FAMILIES.items() if level in family.levels]
    order = random.Random(f"{seed}/{level}/{number // len(names)}").sample(names, len(names))
    return order[number % len(names)]


@cache
def _fitting(split: TaskSplit, family: str) -> tuple[Recording, ...]:
    found = tuple(recording for recording in recordings(split) if FAMILIES[family].where(recording))
    if not found:
        raise DomainError(f"no recording of the split '{split}' has what tasks of the family '{family}' are made from")
    return found


def _make(split: TaskSplit, name: str, level: int, rng: random.Random) -> ExactItem:
    family, fitting = FAMILIES[name], _fitting(split, name)
    held_out = split != "train" and rng.random() < _HELD_OUT_SHARE
    wanted = rng.choice(family.answers) if family.answers else None
    for number in range(_TRIES):
        recording = rng.choice(fitting)
        case = family.make(Draw(split, level, recording, rng, wanted if number < _BALANCING_TRIES else None))
        if case is None:
            continue
        question = _question(name, family, case, held_out, rng)
        if token_count(f"{question}\n\n{case.material}") <= BUDGET[level]:
            return ExactItem(
                question=question,
                input=case.material,
                answer=case.answer,
                kind=family.kind,
                options=case.options,
                family=name,
                chance=CHANCE[name],
                source=recording.name,
                topic=family.topic,
                level=level,
                citation=family.citation,
            )
    raise DomainError(f"no task of the family '{name}' on level {level} could be made from the split '{split}'")


def _question(name: str, family: Family, case: Case, held_out: bool, rng: random.Random) -> str:
    question = rng.choice(wordings(name, held_out)).format(**case.asked)
    form = "" if family.kind == "word" and rng.random() < 0.5 else rng.choice(FORMS[family.kind])
    about = rng.choice(ABOUT).format(about=case.about) if case.about else ""
    return " ".join(part for part in (about, question, form) if part)
