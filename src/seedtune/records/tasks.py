"""Tasks: written by a person, by a teacher, or computed."""

from functools import cached_property
from typing import Any

from pydantic import Field

from seedtune.records.base import FilledText, Record, Text, content_id


class Task(Record):
    """An instruction with its input and output: what seed tasks and generated candidates share."""

    instruction: FilledText
    """What is asked; stands alone."""
    input: Text = ""
    """Material the instruction works on; empty where it needs none."""
    output: FilledText
    """The complete answer."""

    @cached_property
    def id(self) -> str:
        """Content hash of instruction, input and output."""
        return content_id(self.instruction, self.input, self.output)

    @property
    def prompt(self) -> str:
        """The user's turn: the instruction, and the input below it where there is one."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction


class SeedTask(Task):
    """A task written by a person, one line of a pack's seed file."""

    topic: Text = ""
    """One of the domain's topics."""
    citations: tuple[Text, ...] = ()
    """Sources of the answer, e.g. ``RFC 4271, Section 9.1.2.2``."""


class ComputedTask(Task):
    """A task that a domain makes from its own data, with an answer that is computed."""

    family: FilledText
    """What is computed."""
    level: int = Field(default=1, ge=1, le=3)
    source: Text = ""
    """Where the material comes from."""


class Candidate(Task):
    """A task the teacher wrote, before or after judgement."""

    instruction: Text
    output: Text
    pack: str
    request: int
    """Index of the request whose reply held it."""
    parents: tuple[str, ...] = ()
    source: Text = ""
    """The passage it rests on, ``file#number``; empty without documents."""
    quote: Text = ""
    """The words of the passage that support the output."""


class Verdict(Record):
    """The decision about one candidate. ``reason`` is empty when it was kept, ``pending`` while a follow-up decides."""

    candidate: Candidate
    kept: bool
    reason: str = ""
    detail: Text = ""
    """What triggered the reason: the word, the count, the nearest neighbour."""
    similarity: float = 0.0
    """Highest ROUGE-L F against the pool at the time, 0..1."""
    nearest: str = ""
    """Id of the task with that similarity."""
    neighbours: tuple[tuple[str, float], ...] = ()
    """The ten nearest tasks, by id, with their similarity, falling."""
    mean_similarity: float = 0.0
    """Mean ROUGE-L F over the whole pool at the time."""
    scores: dict[str, float] = Field(default_factory=dict)
    """Of the further filters and of the judge, by their names."""
    printed: Text = ""
    """What its programs printed on trial data, the beginning of it; empty where none was run."""

    def line(self) -> dict[str, Any]:
        """The candidate as a line of the dataset: lists of objects and no empty ones, which every reader takes."""
        near = [{"id": identity, "similarity": similarity} for identity, similarity in self.neighbours]
        return {
            "id": self.candidate.id,
            **self.candidate.model_dump(mode="json"),
            "similarity": self.similarity,
            "nearest": self.nearest,
            "mean_similarity": self.mean_similarity,
            "neighbours": near,
            **({"scores": self.scores} if self.scores else {}),
            **({"printed": self.printed} if self.printed else {}),
        }
