"""Evaluation items, and what a model answered."""

import re
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field, StrictBool, model_validator

from seedtune.records.base import FilledText, Record, Text, content_id
from seedtune.records.checks import CheckValue, check_fault
from seedtune.records.requests import Usage


class _Item(Record):
    """What every evaluation item has."""

    topic: Text = ""
    level: int = Field(default=1, ge=1, le=3)
    citation: Text = ""
    """The one source that decides the answer, e.g. ``RFC 4271, Section 9.1.2.2``."""
    rationale: Text = ""


class EvalItem(_Item):
    """A question with fixed options, exactly one of them right."""

    question: FilledText
    options: tuple[FilledText, ...] = Field(min_length=2, max_length=10)
    answer: Text
    """The right option, letter for letter."""

    @model_validator(mode="after")
    def _one_right_option(self) -> Self:
        if self.answer not in self.options:
            raise ValueError(f"answer {self.answer!r} is not among its options {list(self.options)}")
        if len(set(self.options)) < len(self.options):
            raise ValueError("two options are the same")
        return self

    @cached_property
    def id(self) -> str:
        """Content hash of the question and its options."""
        return content_id(self.question, self.options)

    @property
    def key(self) -> int:
        """Index of the right option."""
        return self.options.index(self.answer)


class ClozeItem(_Item):
    """A sentence with one gap, written ``____``."""

    question: FilledText
    answers: tuple[FilledText, ...] = Field(min_length=1)
    """Every accepted filling; case, white space and punctuation do not count."""

    @model_validator(mode="after")
    def _one_gap(self) -> Self:
        if [len(gap) for gap in re.findall("_{3,}", self.question)] != [4]:
            raise ValueError("a cloze question has exactly one gap, written ____")
        return self

    @cached_property
    def id(self) -> str:
        """Content hash of the sentence and its fillings."""
        return content_id(self.question, self.answers)


class OpenItem(_Item):
    """A question that is answered in some sentences."""

    question: FilledText
    key_points: tuple[FilledText, ...] = Field(min_length=2)
    """What a complete answer says, one claim each."""
    answer: FilledText
    """An answer that says all of it."""

    @cached_property
    def id(self) -> str:
        """Content hash of the question and its key points."""
        return content_id(self.question, self.key_points)


AnswerKind = Literal[
    "integer", "number", "asn", "asns", "path", "prefix", "prefixes", "address", "addresses", "time", "yes_no", "word"
]
"""What an exact answer is, which says how it is read: ``asns``, ``prefixes`` and ``addresses`` are sets, ``path`` is an
ordered list of AS numbers."""


class ExactItem(_Item):
    """A question with one short answer that was computed; mostly about the material below it."""

    question: FilledText
    """What is asked, and in which form to answer."""
    input: Text = ""
    """The material, e.g. lines of routing data."""
    answer: Text
    """The right answer in its plainest form; empty for a set without members."""
    kind: AnswerKind
    options: tuple[FilledText, ...] = ()
    """The words to choose from where the answer is one of few (``word``); the question names them."""
    family: FilledText
    """The kind of question: what is computed."""
    chance: float = Field(default=0.0, ge=0, le=1)
    """Accuracy of the best answer that does not read the input, over the family."""
    source: Text = ""
    """Where the material comes from."""

    @cached_property
    def id(self) -> str:
        """Content hash of question, material and answer."""
        return content_id(self.question, self.input, self.answer)

    @property
    def prompt(self) -> str:
        """The question, and the material below it."""
        return f"{self.question}\n\n{self.input}" if self.input else self.question


class CodeCase(Record):
    """Data that a program is run on, and what it must print."""

    files: tuple[FilledText, ...] = Field(min_length=1)
    """Relative to the domain's folder; in the program's working folder each has the name that ``names`` gives it."""
    names: tuple[FilledText, ...] = ()
    """Base names in the working folder; empty leaves each its own."""
    replay: str | None = None
    """Data comes in as if live: a speed, or ``max``."""
    arguments: tuple[Text, ...] = ()
    expected: tuple[dict[str, Any], ...]
    """The JSON objects that a right program prints, one a line."""
    held_out: bool = False
    """Not among the examples that a person who writes a program is shown."""

    @model_validator(mode="after")
    def _one_name_each(self) -> Self:
        if self.names and len(self.names) != len(self.files):
            raise ValueError(f"{len(self.names)} names for {len(self.files)} files; give one each, or none")
        return self

    @property
    def inside(self) -> tuple[str, ...]:
        """The name of each file in the working folder."""
        return self.names or tuple(file.rpartition("/")[2] for file in self.files)


class CodeItem(_Item):
    """A program to be written. It is run, and what it prints is compared with what the reference prints."""

    question: FilledText
    """The task, with the names of its files and the form of its output."""
    family: FilledText
    """The kind of analysis."""
    keys: tuple[FilledText, ...] = ()
    """Fields that tell the lines of an output apart; empty where there is one line."""
    ordered: bool = False
    """Whether the order of the lines counts."""
    tolerance: float = Field(default=1e-6, ge=0)
    """Numbers that differ by at most this are equal."""
    cases: tuple[CodeCase, ...] = Field(min_length=2)
    reference: FilledText
    """A right program."""

    @cached_property
    def id(self) -> str:
        """Content hash of the question and the cases."""
        return content_id(self.question, [case.model_dump(mode="json") for case in self.cases])

    @model_validator(mode="after")
    def _one_held_out(self) -> Self:
        if not any(case.held_out for case in self.cases):
            raise ValueError("no case is held out; a program with the shown answers in it would pass")
        return self


class Constraint(Record):
    """One thing that an answer must fulfil, and that a program can check."""

    check: FilledText
    """Name of the check; :mod:`seedtune.evaluate.constraints` has them."""
    value: CheckValue = ""
    """What it is held against."""

    @model_validator(mode="after")
    def _known_check(self) -> Self:
        if fault := check_fault(self.check, self.value):
            raise ValueError(fault)
        return self


class ConstraintItem(_Item):
    """An instruction whose fulfilment can be checked without knowing the trade."""

    question: FilledText
    constraints: tuple[Constraint, ...] = Field(min_length=1)
    answer: FilledText
    """An answer that fulfils all of them."""

    @cached_property
    def id(self) -> str:
        """Content hash of the question and its constraints."""
        return content_id(self.question, [each.model_dump(mode="json") for each in self.constraints])


class TrueFalseItem(_Item):
    """A statement to be judged, as it stands in a domain's file."""

    statement: FilledText
    answer: StrictBool

    def as_choice(self) -> EvalItem:
        """The same item with the options True and False."""
        return EvalItem(
            question=self.statement,
            options=("True", "False"),
            answer=str(self.answer),
            topic=self.topic,
            level=self.level,
            citation=self.citation,
            rationale=self.rationale,
        )


class Answer(Record):
    """What one model answered to one item by one method. It is judged anew whenever it is read."""

    key: str
    """Content hash of all that decides it: model, adapter, prompt, options, decoding."""
    item: str
    suite: str
    method: Literal["loglikelihood", "generate"]
    model: str
    """``base``, ``tuned``, or the name of a rival."""
    sample: int = 0
    """Number of this answer among several to one item."""
    order: tuple[int, ...] = ()
    """Indices of the item's options as they were listed; empty where none were."""
    text: Text = ""
    """The generated text; empty for log-likelihood."""
    scores: tuple[float, ...] = ()
    """Log-likelihood of each of the item's options, in nats; empty for generated answers."""
    error: Text = ""
    """Why an endpoint gave no answer; it is wrong, and asked for again when the evaluation goes on."""
    usage: Usage | None = None
    """What an endpoint charged for."""
