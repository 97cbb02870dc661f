"""Texts that say the same: among the seed tasks, among the items, and items among the seed tasks (a leak).

Two measures. ROUGE-L compares whole questions. Word 13-grams (as :mod:`seedtune.domains.contamination` has them) find
a passage that two longer texts share. The Python programs of seed tasks, which all open their library in the same way,
are compared with the items only. Of items with computed answers, whose questions are asked again and again, the
material counts.
"""

import re
from collections.abc import Iterator

from seedtune.domains.contamination import Gram, answers_of, passages, wordings_of
from seedtune.domains.lint.content import Content, Finding
from seedtune.domains.loader import Item
from seedtune.records import ExactItem, SeedTask
from seedtune.similarity import RougeIndex

_DUPLICATE = 0.7
_PROGRAM = re.compile(r"```(?:python|py)3?(?:[ \t][^\n]*)?\n(.*?)```", re.DOTALL | re.IGNORECASE)


def check_duplicates(content: Content) -> Iterator[Finding]:
    """Questions that are nearly the same by ROUGE-L."""
    seeds, items = RougeIndex(), RougeIndex()
    for seed in content.seeds:
        text = f"{seed.task.instruction} {seed.task.input}"
        yield from _like(seeds, seed.place, text, "seed tasks are nearly the same")
        seeds.add(seed.place, text)
    for entry in content.items:
        if isinstance(entry.item, ExactItem):  # one question is asked of many excerpts
            continue
        question = entry.item.question
        yield from _like(items, entry.place, question, "questions are nearly the same")
        yield from _like(seeds, entry.place, question, "this question stands among the seeds")
        items.add(entry.place, question)


def check_passages(content: Content) -> Iterator[Finding]:
    """Passages of thirteen words that two seed tasks, two items, or an item and a seed task share."""
    prose, seeds, items = _Passages(), _Passages(), _Passages()
    for seed in content.seeds:
        whole = _texts_of_seed(seed.task)
        yield from prose.find(seed.place, [_PROGRAM.sub("\n", text) for text in whole])
        seeds.add(seed.place, whole)
    for entry in content.items:
        texts = _texts_of_item(entry.item)
        yield from items.find(entry.place, texts)
        yield from seeds.find(entry.place, texts, keep=False)


class _Passages:
    """The 13-grams seen so far, each with the first place that has it."""

    def __init__(self) -> None:
        self._places: dict[Gram, str] = {}

    def add(self, place: str, texts: list[str]) -> None:
        for text in texts:
            for gram in passages(text):
                self._places.setdefault(gram, place)

    def find(self, place: str, texts: list[str], keep: bool = True) -> Iterator[Finding]:
        """One finding for each other place that shares a passage; then the texts join the pool."""
        shared: dict[str, str] = {}
        for text in texts:
            for gram in passages(text):
                if (other := self._places.get(gram, place)) != place:
                    shared.setdefault(other, " ".join(gram))
        for other, passage in shared.items():
            yield Finding("error", place, f"shares a passage with {other}: '{passage}'")
        if keep:
            self.add(place, texts)


def _texts_of_seed(task: SeedTask) -> list[str]:
    return [task.instruction, task.input, task.output]


def _texts_of_item(item: Item) -> list[str]:
    material = [item.input] if isinstance(item, ExactItem) else wordings_of(item)
    return [*material, *answers_of(item), item.rationale]


def _like(pool: RougeIndex, place: str, text: str, message: str) -> Iterator[Finding]:
    nearest = pool.nearest(text)
    if nearest.score > _DUPLICATE:
        yield Finding("error", place, f"{message}: {nearest.id} (ROUGE-L {nearest.score:.2f})")
