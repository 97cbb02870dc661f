"""Which evaluation items the training rows hold: their answers may be memory, not knowledge.

An item counts as contaminated where the guard of :mod:`seedtune.domains.contamination` finds it in a row. Eight words
in a row are a warning only, as terms of a trade and standard sentences are as long.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from seedtune.domains import Domain, Suite
from seedtune.domains.computed import computed_tasks
from seedtune.domains.contamination import ItemGuard, answers_of, material_of
from seedtune.records import Task, read_json_lines
from seedtune.review_decisions import read_reviewed
from seedtune.runs import Run

_NEAR = 8
_DIFFERENT_WORDS = 6
_WORD = re.compile(r"\w+(?:[.:/-]+\w+)*")


@dataclass(frozen=True)
class Found:
    """An item that a training row holds."""

    suite: str
    item: str
    """Empty for the canary of the suite's file."""
    task: str
    """Id of the row's task."""
    how: str
    detail: str


@dataclass(frozen=True)
class Overlap:
    """What the training rows share with the items."""

    rows: int
    """Rows that were compared."""
    lost: int
    """Rows whose text is no longer in any file: they could not be."""
    found: tuple[Found, ...] = ()
    near: tuple[Found, ...] = ()
    """Warnings: other items with eight words in a row."""

    def items(self, suite: str) -> frozenset[str]:
        """Ids of a suite's contaminated items."""
        return frozenset(found.item for found in self.found if found.suite == suite and found.item)


def training_tasks(run: Run, domain: Domain) -> tuple[list[Task], int]:
    """The tasks that the run's model was trained on, and how many rows are in no file any more.

    Raises:
        DataError: a file is missing or broken.
    """
    rows = read_json_lines(run.path / "train" / "rows.jsonl")
    wanted = {line["id"] for _, line in rows if line["split"] == "train"}
    tasks: dict[str, Task] = {seed.id: seed for pack in domain.packs.values() for seed in pack.seeds}
    tasks |= {task.id: task for task in computed_tasks(run.config, domain)}
    generated = run.path / "generate"
    reviewed = read_reviewed(generated) if (generated / "instructions.jsonl").is_file() else ()
    data = (line for path in run.config.train.data for _, line in read_json_lines(path))
    for line in chain((each.task for each in reviewed), data):
        task = Task(**{key: line[key] for key in ("instruction", "input", "output") if key in line})
        tasks.setdefault(task.id, task)
    found = [task for key, task in tasks.items() if key in wanted]
    return found, len(wanted) - len(found)


def find_overlap(suites: Sequence[Suite], tasks: Sequence[Task], lost: int = 0) -> Overlap:
    """Every item that some task holds, each with the first task that does.

    Args:
        suites: With the items of the split that is asked.
        tasks: What was trained on.
        lost: See :class:`Overlap`.
    """
    found: dict[tuple[str, str], Found] = {}
    suspects = tasks
    # The guard names one item for a task that holds several: it is asked again without those that are known.
    while suspects:
        guard, again = ItemGuard(_without(suites, found)), list[Task]()
        for task in suspects:
            if hit := guard.hit(task):
                found.setdefault((hit.suite, hit.item_id), Found(hit.suite, hit.item_id, task.id, hit.how, hit.detail))
                again.append(task)
        suspects = again
    near = _near(_without(suites, found), tasks)
    return Overlap(len(tasks), lost, tuple(found.values()), tuple(near))


def _without(suites: Sequence[Suite], found: Iterable[tuple[str, str]]) -> list[Suite]:
    """The suites without these items; an empty id is the canary."""
    known = set(found)
    return [
        replace(
            suite,
            files={
                split: replace(
                    file,
                    items=tuple(item for item in file.items if (suite.name, item.id) not in known),
                    canary=None if (suite.name, "") in known else file.canary,
                )
                for split, file in suite.files.items()
            },
        )
        for suite in suites
    ]


def _near(suites: Sequence[Suite], tasks: Sequence[Task]) -> list[Found]:
    grams: dict[tuple[str, ...], tuple[str, str]] = {}
    for suite in suites:
        for item in suite.items:
            for text in (*material_of(item), *answers_of(item)):
                grams |= dict.fromkeys(_grams(text), (suite.name, item.id))
    near: dict[tuple[str, str], Found] = {}
    for task in tasks:
        for gram in _grams("\n".join((task.instruction, task.input, task.output))):
            if place := grams.get(gram):
                near.setdefault(place, Found(*place, task.id, f"{_NEAR}-gram", " ".join(gram)))
    return list(near.values())


def _grams(text: str) -> Iterator[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    runs = zip(*(words[start:] for start in range(_NEAR)), strict=False)
    return (run for run in runs if len(set(run)) >= _DIFFERENT_WORDS)


def summary(overlap: Overlap) -> dict[str, Any]:
    """As the report has it."""
    lists = {"items": overlap.found, "near": overlap.near}
    return {"rows": overlap.rows, "not_compared": overlap.lost} | {
        name: [found.__dict__ for found in group] for name, group in lists.items()
    }
