"""What came of the review of an item or a seed task: one line each, in a file of its own.

A review is kept apart from what was reviewed, and bound to it by a hash of the whole record: the data stay what a model
is asked, and whatever is changed later, the key or the rationale included, is seen to need another look.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, model_validator

from seedtune.errors import DomainError
from seedtune.records import Record, Text, content_id, read_records


class Review(Record):
    """One line of a file of reviews."""

    digest: str
    """:func:`digest` of the record as it was left by the review."""
    text: Text
    """The record's first words, for people."""
    reviewed: Literal["yes", "no"]
    """Whether somebody other than its author derived it again from its source."""
    outcome: Literal["keep", "fix", "new", "none"]
    """``keep``; ``fix``: mended; ``new``: written in place of one that fell; ``none``: not reviewed."""
    change: Text = ""
    """What was changed, and why."""

    @model_validator(mode="after")
    def _outcome_of_a_review(self) -> Self:
        if (self.reviewed == "no") != (self.outcome == "none"):
            raise ValueError('outcome "none" goes with reviewed "no", the others with "yes"')
        return self


def digest(record: BaseModel) -> str:
    """Hash of everything that stands in an item or a seed task."""
    return content_id(record.model_dump(mode="json", exclude_defaults=True))


def read_reviews(path: Path) -> list[Review]:
    """The reviews of a file.

    Raises:
        DomainError: a line is broken; the message names file:line.
    """
    return read_records(path, Review, DomainError)
