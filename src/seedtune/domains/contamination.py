"""Is a task too close to an evaluation item? Asked while generating, before training and when results are reported.

A task is held against every item of a domain, test and dev. The 13-gram is the usual measure of contamination (Brown
et al. 2020): thirteen words in a row, where an address, a prefix or a time is one word, and where a run with few
different words (a marker, a table's rule) says nothing. Shorter questions are found by equality and by ROUGE-L. What
says the same in other words, or in another language, is not found.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal, Self

from seedtune.domains.canary import GUID
from seedtune.domains.loader import Domain, Item, ItemFile, Suite
from seedtune.records import ClozeItem, CodeItem, ConstraintItem, EvalItem, ExactItem, OpenItem, Task, content_id
from seedtune.similarity import RougeIndex

_ALIKE = 0.7
_GRAM = 13
_DIFFERENT_WORDS = 8
_WORD = re.compile(r"\w+(?:[.:/-]+\w+)*")
_GAP = "____"

Gram = tuple[str, ...]
"""Thirteen words in a row."""


@dataclass(frozen=True)
class Hit:
    """What a task shares with an evaluation item."""

    item_id: str
    """Empty for the canary of a file."""
    suite: str
    how: Literal["exact", "13-gram", "rouge-l"]
    detail: str
    """The shared words, or the score."""


class ItemGuard:
    """Evaluation items, ready to be compared with tasks.

    Attributes:
        digest: Content hash of all that decides a hit; it belongs to the settings of a run.
    """

    def __init__(self, suites: Iterable[Suite]) -> None:
        self._sources: list[tuple[str, str]] = []
        """Id and suite of each item; a canary has no id."""
        self._guids: dict[str, int] = {}
        self._questions: dict[str, int] = {}
        self._passages: dict[Gram, int] = {}
        self._wordings = RougeIndex()
        for suite in suites:
            for file in suite.files.values():
                self._add_file(suite.name, file)
        compared = (sorted(found) for found in (self._guids, self._questions, self._passages))
        self.digest = content_id(_ALIKE, _GRAM, *compared)

    @classmethod
    def of(cls, domain: Domain) -> Self:
        """A guard of all items of a domain, with the canaries of their files."""
        return cls(domain.suites.values())

    def hit(self, task: Task) -> Hit | None:
        """What the task shares with an item; None where it is clean.

        Equal are a question and a line, or the whole, of any field, or instruction and input together. A shared passage
        may stand anywhere. By ROUGE-L the instruction and the input are compared with the questions, each whole.
        """
        fields = [[_words(line) for line in text.splitlines()] for text in (task.instruction, task.input, task.output)]
        words = [word for lines in fields for line in lines for word in line]
        whole = " ".join((task.instruction, task.input, task.output)).casefold()
        for guid, number in self._guids.items():
            if guid in whole:
                return self._hit(number, "exact", guid)
        for text in chain(*fields, (list(chain(*lines)) for lines in fields), [_words(task.prompt)]):
            question = " ".join(text)
            if question in self._questions:
                return self._hit(self._questions[question], "exact", question)
        for gram in _grams(words):
            if gram in self._passages:
                return self._hit(self._passages[gram], "13-gram", " ".join(gram))
        for text in (task.instruction, task.input):
            score, number = self._wordings.nearest(text)
            if score > _ALIKE:
                return self._hit(int(number), "rouge-l", f"{score:.2f}")
        return None

    def _hit(self, number: int, how: Literal["exact", "13-gram", "rouge-l"], detail: str) -> Hit:
        return Hit(*self._sources[number], how, detail)

    def _add_file(self, suite: str, file: ItemFile) -> None:
        if file.canary is not None:
            number = self._number("", suite)
            self._guids |= dict.fromkeys(GUID.findall(file.canary), number)
            self._add_passages(number, [file.canary])
        for item in file.items:
            number = self._number(item.id, suite)
            wordings = wordings_of(item)
            for text in wordings:
                # Questions of one family share their words, and differ in the material: it is what must not be seen.
                if not isinstance(item, ExactItem):
                    self._wordings.add(str(number), text)
                if plain := _plain(text):
                    self._questions.setdefault(plain, number)
            self._add_passages(number, [*material_of(item), *answers_of(item)])

    def _add_passages(self, number: int, texts: list[str]) -> None:
        for text in texts:
            for gram in passages(text):
                self._passages.setdefault(gram, number)

    def _number(self, item_id: str, suite: str) -> int:
        self._sources.append((item_id, suite))
        return len(self._sources) - 1


def seeds_among_items(domain: Domain) -> tuple[str, ...]:
    """A message for each evaluation item whose question is a seed task's instruction, with file and line of both."""
    seeds: dict[str, str] = {}
    for pack in domain.packs.values():
        place = pack.seeds_path.relative_to(domain.folder)
        for line, task in zip(pack.lines, pack.seeds, strict=True):
            for text in (task.instruction, task.prompt):
                seeds.setdefault(_plain(text), f"{place}:{line}")
    messages: list[str] = []
    for suite in domain.suites.values():
        for file in suite.files.values():
            place = file.path.relative_to(domain.folder)
            for line, item in zip(file.lines, file.items, strict=True):
                seed = next((seeds[plain] for plain in map(_plain, wordings_of(item)) if plain in seeds), None)
                if seed is not None:
                    messages.append(
                        f"{place}:{line}: the question of this item is the instruction of the seed task {seed}; "
                        "take one of them out"
                    )
    return tuple(messages)


def passages(text: str) -> Iterator[Gram]:
    """The runs of thirteen words, case folded, that have at least eight different ones."""
    return (gram for gram in _grams(_words(text)) if len(set(gram)) >= _DIFFERENT_WORDS)


def wordings_of(item: Item) -> list[str]:
    """The question with its material; a cloze sentence also with its gap filled in each accepted way."""
    if isinstance(item, ExactItem):
        return [item.prompt]
    filled = [item.question.replace(_GAP, answer) for answer in item.answers] if isinstance(item, ClozeItem) else []
    return [item.question, *filled]


def material_of(item: Item) -> list[str]:
    """What of an item must not be seen before: its wordings, or where only the material is its own, that."""
    return [item.input] if isinstance(item, ExactItem) else wordings_of(item)


def answers_of(item: Item) -> tuple[str, ...]:
    """The options, the accepted fillings, or the key points and the full answer.

    What is computed is too short to tell an answer by, and a reference program shares its frame with every other one.
    """
    match item:
        case EvalItem():
            return item.options
        case ClozeItem():
            return item.answers
        case OpenItem():
            return (*item.key_points, item.answer)
        case ExactItem() | CodeItem():
            return ()
        case ConstraintItem():
            return (item.answer,)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _grams(words: list[str]) -> Iterator[Gram]:
    return zip(*(words[start:] for start in range(_GRAM)), strict=False)


def _plain(text: str) -> str:
    return " ".join(_words(text))
