"""Is a task too close to an evaluation item? Asked while generating, before training and when results are reported.

A task is held against every item of a domain, test and dev. The 13-gram is the usual measure of contamination (Brown
et al. 2020): thirteen words in a row, where an address, a prefix or a time is one word, and where a run with few
different words (a marker, a table's rule) says nothing. A question or a material that has no such run is found where
the whole of it stands in a row: its words, or, of one with few words ("2 + 3 = ?"), its words and signs. Questions are
found by ROUGE-L as well. What says the same in other words, or in another language, is not found.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from seedtune.domains.canary import GUID
from seedtune.domains.loader import Domain, Item, ItemFile, Suite
from seedtune.records import ClozeItem, CodeItem, ConstraintItem, EvalItem, ExactItem, OpenItem, Task, content_id
from seedtune.similarity import RougeIndex

_ALIKE = 0.7
_GRAM = 13
_DIFFERENT_WORDS = 8
_FEW_WORDS = 8
"""A whole text of fewer words is compared with its signs: "47 + 85" is not "47 - 85"."""
_SHORTEST = 5
"""Words, or words and signs, below which a text is a phrase that anybody may write."""
_WORD = re.compile(r"\w+(?:[.:/-]+\w+)*")
_PIECE = re.compile(r"\w+|[^\w\s]")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_GAP = "____"

Gram = tuple[str, ...]
"""Thirteen words in a row."""


@dataclass(frozen=True)
class Hit:
    """What a task shares with an evaluation item."""

    item_id: str
    """Empty for the canary of a file."""
    suite: str
    how: Literal["exact", "13-gram", "whole", "rouge-l"]
    detail: str
    """The shared words, or the score."""


class _Wholes:
    """Short texts that are looked for in one piece: runs of words, or of words and signs, of any length."""

    def __init__(self) -> None:
        self._by_opening: dict[tuple[str, ...], dict[tuple[str, ...], int]] = {}

    def add(self, run: Sequence[str], number: int) -> None:
        """Look for a run of at least :data:`_SHORTEST` pieces; of equal ones the first counts."""
        self._by_opening.setdefault(tuple(run[:_SHORTEST]), {}).setdefault(tuple(run), number)

    def first_in(self, pieces: Sequence[str]) -> tuple[tuple[str, ...], int] | None:
        """The first run that stands in the pieces, with its number."""
        for start, opening in enumerate(_runs(pieces, _SHORTEST)):
            for run, number in self._by_opening.get(opening, {}).items():
                if run == tuple(pieces[start : start + len(run)]):
                    return run, number
        return None


class ItemGuard:
    """Evaluation items, ready to be compared with tasks.

    Attributes:
        digest: Content hash of the items' words; it belongs to the settings of a run.
    """

    def __init__(self, suites: Iterable[Suite], beside: Iterable[Suite] = ()) -> None:
        """Take in items.

        Args:
            suites: What the digest speaks of.
            beside: Compared likewise, but no part of the digest: they may change while a run goes on.
        """
        self._sources: list[tuple[str, str]] = []
        """Id and suite of each item; a canary has no id."""
        self._guids: dict[str, int] = {}
        self._questions: dict[str, int] = {}
        self._passages: dict[Gram, int] = {}
        self._wordings = RougeIndex()
        self._in_words, self._in_pieces = _Wholes(), _Wholes()
        numbered = self._add_suites(suites)
        compared = (sorted(found) for found in (self._guids, self._questions, self._passages))
        self.digest = content_id(_ALIKE, _GRAM, *compared)
        # These follow from the questions, which are in the digest: data that was begun without them can go on.
        for number, item in [*numbered, *self._add_suites(beside)]:
            self._add_wholes(number, item)

    def hit(self, task: Task) -> Hit | None:
        """What the task shares with an item; None where it is clean.

        Equal are a question and a line, or the whole, of any field, or instruction and input together. A shared passage
        may stand anywhere, and so may a whole question or material. By ROUGE-L the instruction and the input are
        compared with the questions, each whole.
        """
        fields = [[_words(line) for line in text.splitlines()] for text in (task.instruction, task.input, task.output)]
        words = [word for lines in fields for line in lines for word in line]
        whole = " ".join((task.instruction, task.input, task.output)).casefold()
        for guid, number in self._guids.items():
            if guid in whole:
                return self._hit(number, "exact", guid)
        for text in chain(
            *fields, (list(chain(*lines)) for lines in fields), [_words(task.prompt), _pieces(task.prompt)]
        ):
            question = " ".join(text)
            if question in self._questions:
                return self._hit(self._questions[question], "exact", question)
        for gram in _grams(words):
            if gram in self._passages:
                return self._hit(self._passages[gram], "13-gram", " ".join(gram))
        for wholes, pieces in ((self._in_words, words), (self._in_pieces, _pieces(whole))):
            if found := wholes.first_in(pieces):
                return self._hit(found[1], "whole", " ".join(found[0]))
        for text in (task.instruction, task.input):
            score, number = self._wordings.nearest(text, _ALIKE)
            if score > _ALIKE:
                return self._hit(int(number), "rouge-l", f"{score:.2f}")
        return None

    def _hit(self, number: int, how: Literal["exact", "13-gram", "whole", "rouge-l"], detail: str) -> Hit:
        return Hit(*self._sources[number], how, detail)

    def _add_suites(self, suites: Iterable[Suite]) -> list[tuple[int, Item]]:
        """The items with their numbers."""
        files = [(suite.name, file) for suite in suites for file in suite.files.values()]
        return [numbered for name, file in files for numbered in self._add_file(name, file)]

    def _add_file(self, suite: str, file: ItemFile) -> Iterator[tuple[int, Item]]:
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
            own = [item.input] if isinstance(item, ExactItem) else material_of(item)
            self._add_passages(number, [*own, *answers_of(item)])
            yield number, item

    def _add_wholes(self, number: int, item: Item) -> None:
        """The prompt, and the material by itself, each in one piece where it has no passage to be found by."""
        self._add_passages(number, material_of(item))
        for text in wordings_of(item):
            # The words of "2 + 3 = ?" are those of a line in a table.
            if not _LETTERS.search(text):
                self._questions.pop(_plain(text), None)
                self._questions.setdefault(" ".join(_pieces(text)), number)
        for text in dict.fromkeys([*wordings_of(item), *material_of(item)]):
            words = _words(text)
            if len(words) < _FEW_WORDS:
                if len(run := _trimmed(_pieces(text))) >= _SHORTEST:
                    self._in_pieces.add(run, number)
            elif not any(passages(text)):
                self._in_words.add(words, number)

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
    """What of an item must not be seen before: its wordings; of a question about material, which others share, that."""
    return [item.input] if isinstance(item, ExactItem) and item.input else wordings_of(item)


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


def _pieces(text: str) -> list[str]:
    """Words and signs, each sign by itself, and an address in its parts."""
    return _PIECE.findall(text.casefold())


def _grams(words: list[str]) -> Iterator[Gram]:
    return _runs(words, _GRAM)


def _runs(pieces: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    return zip(*(pieces[start:] for start in range(length)), strict=False)


def _trimmed(pieces: list[str]) -> list[str]:
    """Without signs at the ends, which a sentence around it changes; with them where too little would be left."""
    places = [place for place, piece in enumerate(pieces) if piece[0].isalnum() or piece[0] == "_"]
    inner = pieces[places[0] : places[-1] + 1] if places else []
    return inner if len(inner) >= _SHORTEST else pieces


def _plain(text: str) -> str:
    return " ".join(_words(text))
