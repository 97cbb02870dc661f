"""What people decided about generated tasks: ``generate/review.jsonl``, append-only.

A line is the whole word of one reviewer on one task, by the id it was generated with:

    {"id": "5d84f689a60475fb", "decision": "accept", "rating": 4, "by": "ada", "at": "2026-11-22T10:00:00+00:00"}

A later line of the same reviewer takes the place of an earlier one; ``"decision": "none"`` without more takes it back.
Where reviewers differ, the last decision counts, and the last edit. People outrank the filters: what they reject leaves
the dataset, and what they accept enters it, whatever rejected it before.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, ValidationError

from seedtune.errors import DataError
from seedtune.records import Record, Task, Text, Verdict, content_id, read_json_lines, validation_message

REVIEW = "review.jsonl"
"""The file's name in the folder of the stage ``generate``."""

_MEASURED = {"similarity", "nearest", "mean_similarity", "neighbours", "scores", "printed"}
"""What a line says of the text that was generated."""

Decision = Literal["accept", "reject", "none"]


class Word(Record):
    """What one reviewer says of one task."""

    model_config = ConfigDict(extra="ignore")

    id: str
    """Of the task as it was generated, also where it was edited since."""
    decision: Decision
    rating: int | None = Field(default=None, ge=1, le=5)
    edited: Task | None = None
    """The task as it should be; None leaves it as it was generated."""
    batch: str = ""
    """Of a repair of many tasks at once: what they have in common, so that it can be undone."""
    by: Text = ""
    at: str = ""
    """ISO 8601, with the offset from UTC."""

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing: the reviewer took back what was said."""
        return self.decision == "none" and self.rating is None and self.edited is None


class Outcome(NamedTuple):
    """What counts for one task."""

    decision: Decision
    edited: Task | None
    disputed: bool
    """One reviewer accepts what another rejects."""


@dataclass
class Decisions:
    """All words, of all reviewers."""

    _words: dict[str, dict[str, Word]] = field(default_factory=dict[str, dict[str, Word]])
    """Task, reviewer: the reviewer's word, in the order in which they were said."""

    def add(self, word: Word) -> None:
        """A word that was said after all others."""
        said = self._words.setdefault(word.id, {})
        said.pop(word.by, None)
        if not word.is_empty:
            said[word.by] = word

    def of(self, identity: str) -> list[Word]:
        """What each reviewer says of a task, the last word last."""
        return list(self._words.get(identity, {}).values())

    def word(self, identity: str, by: str) -> Word | None:
        """What one reviewer says of a task."""
        return self._words.get(identity, {}).get(by)

    def outcome(self, identity: str) -> Outcome:
        """What counts for a task."""
        words = self.of(identity)
        decisions: list[Decision] = [word.decision for word in words if word.decision != "none"]
        edits = [word.edited for word in words if word.edited is not None]
        return Outcome(decisions[-1] if decisions else "none", edits[-1] if edits else None, len(set(decisions)) > 1)

    def ids(self) -> list[str]:
        """Tasks of which anything is said."""
        return [identity for identity, words in self._words.items() if words]

    def digest(self) -> str:
        """Content hash of all that shapes the dataset; empty where nothing does.

        Who said it and when, ratings and what was taken back do not count.
        """
        outcomes = {identity: self.outcome(identity) for identity in self.ids()}
        shaping = [
            (identity, outcome.decision, outcome.edited.id if outcome.edited else "")
            for identity, outcome in sorted(outcomes.items())
            if outcome.decision != "none" or outcome.edited
        ]
        return content_id(shaping) if shaping else ""


def read_words(path: Path) -> list[Word]:
    """Every word of a file, in the order in which they were said; none where there is no file.

    A last line that is still being written is left out.

    Raises:
        DataError: the file cannot be read, or a line is no word.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as problem:
        raise DataError(f"{path}: cannot be read: {problem.strerror}") from problem
    words: list[Word] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            words.append(Word.model_validate_json(line))
        except ValidationError as problem:
            if number == len(lines) and problem.errors()[0]["type"] == "json_invalid":
                break
            raise DataError(
                f'{path}:{number}: {validation_message(problem)}; expected {{"id": "...", "decision": "accept"}}'
            ) from problem
    return words


def read_decisions(path: Path) -> Decisions:
    """As :func:`read_words`, with what counts of them."""
    decisions = Decisions()
    for word in read_words(path):
        decisions.add(word)
    return decisions


class ReviewedLine(NamedTuple):
    """A line of a generated dataset as people left it."""

    place: str
    """``file:line``."""
    task: dict[str, Any]
    """As in ``instructions.jsonl``. An edited one has the id of its new text, and None for what was measured of the old
    one."""
    said: Literal["", "kept", "edited", "added"]
    """By people: nothing, that it is right as it is, how it should be, or that it was rejected wrongly."""


@dataclass
class Reviewed:
    """A generated dataset as people left it. Each iteration reads it anew, with one line in memory at a time."""

    folder: Path
    decisions: Decisions
    counts: Counter[str] = field(default_factory=Counter[str])
    """Of the iteration that was begun last, as far as it has come: lines that people left out (``removed``), and by
    :attr:`ReviewedLine.said`."""

    def __iter__(self) -> Iterator[ReviewedLine]:
        """What was accepted, in order, and then what only people accepted.

        Raises:
            DataError: a file is missing or broken.
        """
        self.counts.clear()
        any_said = bool(self.decisions.ids())
        there: set[str] = set()
        for line in chain(self._generated(), self._added() if any_said else ()):
            if any_said:
                identity = _id_of(line.task)
                if line.said == "added" and identity in there:
                    continue
                there.add(identity)
            self.counts[line.said] += 1
            yield line

    def _generated(self) -> Iterator[ReviewedLine]:
        for number, line in read_json_lines(self.folder / "instructions.jsonl"):
            outcome = self.decisions.outcome(_id_of(line))
            if outcome.decision == "reject":
                self.counts["removed"] += 1
                continue
            said = "edited" if outcome.edited else "kept" if outcome.decision == "accept" else ""
            yield ReviewedLine(f"instructions.jsonl:{number}", _with_edit(line, outcome.edited), said)

    def _added(self) -> Iterator[ReviewedLine]:
        path = self.folder / "rejected.jsonl"
        for number, line in read_json_lines(path) if path.is_file() else ():
            candidate = line.get("candidate")
            if not isinstance(candidate, dict):
                raise DataError(f"{path}:{number}: expected a rejected candidate")
            outcome = self.decisions.outcome(_id_of(candidate))
            if outcome.decision != "accept":
                continue
            try:
                accepted = Verdict.model_validate(line).line()
            except ValidationError as problem:
                raise DataError(f"{path}:{number}: {validation_message(problem)}") from problem
            task = _with_edit(accepted, outcome.edited)
            # An instruction of classic mode that never got an answer is nothing to train on.
            if str(task["output"]).strip():
                yield ReviewedLine(f"{path.name}:{number}", task, "added")


def read_reviewed(folder: Path) -> Reviewed:
    """The dataset of a run with the decisions of people applied: the one way to read it for whoever passes it on.

    Args:
        folder: The stage's, with ``instructions.jsonl`` and, where there is a review, ``rejected.jsonl``.

    Raises:
        DataError: the decisions cannot be read.
    """
    return Reviewed(folder, read_decisions(folder / REVIEW))


def _id_of(task: dict[str, Any]) -> str:
    return content_id(task.get("instruction"), task.get("input", ""), task.get("output"))


def _with_edit(line: dict[str, Any], edited: Task | None) -> dict[str, Any]:
    if edited is None:
        return line
    return {**line, **dict.fromkeys(_MEASURED & line.keys()), "id": edited.id, **edited.model_dump()}


class PairAgreement(NamedTuple):
    """How far two reviewers agree on the tasks that both decided about."""

    first: str
    second: str
    n: int
    same: int
    kappa: float | None
    """None where it is not defined: no such tasks, or both gave one and the same decision throughout."""


def agreements(decisions: Decisions) -> list[PairAgreement]:
    """Every two reviewers who decided about a task in common, by name."""
    votes: dict[tuple[str, str], list[tuple[Decision, Decision]]] = {}
    for identity in decisions.ids():
        deciding: dict[str, Decision] = {
            word.by: word.decision for word in decisions.of(identity) if word.decision != "none"
        }
        for first, second in combinations(sorted(deciding), 2):
            votes.setdefault((first, second), []).append((deciding[first], deciding[second]))
    return [
        PairAgreement(*names, len(pairs), sum(one == other for one, other in pairs), cohen_kappa(pairs))
        for names, pairs in sorted(votes.items())
    ]


def cohen_kappa(pairs: Sequence[tuple[Hashable, Hashable]]) -> float | None:
    """Agreement of two raters beyond chance (Cohen 1960, "A coefficient of agreement for nominal scales").

    (p_o - p_e) / (1 - p_e), with p_o the share of equal labels and p_e the share expected from how often each rater
    gives each label. None where it is not defined: no pairs, or one label throughout.
    """
    n = len(pairs)
    first, second = [one for one, _ in pairs], [other for _, other in pairs]
    expected = sum(first.count(label) * second.count(label) for label in set(first))
    if n * n == expected:
        return None
    return (n * sum(one == other for one, other in pairs) - expected) / (n * n - expected)
