"""The frozen records that the stages hand on, and JSON Lines on disk.

    SeedTask -> Request -> Reply -> Candidate -> Verdict -> Example -> training row
    EvalItem + model -> Answer

Every record has an ``id``: the first 16 hex digits of the SHA-256 of its content, so the same content has the
same id in every run, and a record names its parents by id. Text that is not valid Unicode (lone surrogates from a
broken endpoint) is replaced on the way in: a record can always be written as UTF-8.
"""

from seedtune.records.base import FilledText, Record, Text, content_id
from seedtune.records.files import (
    cut_torn_end,
    file_sha256,
    json_line,
    read_json_lines,
    read_records,
    validation_message,
    write_atomic,
    write_records,
    writing_lines,
)
from seedtune.records.items import (
    Answer,
    AnswerKind,
    ClozeItem,
    CodeCase,
    CodeItem,
    Constraint,
    ConstraintItem,
    EvalItem,
    ExactItem,
    OpenItem,
    TrueFalseItem,
)
from seedtune.records.requests import Decoding, Message, Reply, Request, Step, Usage
from seedtune.records.tasks import Candidate, ComputedTask, SeedTask, Task, Verdict

__all__ = [
    "Answer",
    "AnswerKind",
    "Candidate",
    "ClozeItem",
    "CodeCase",
    "CodeItem",
    "ComputedTask",
    "Constraint",
    "ConstraintItem",
    "Decoding",
    "EvalItem",
    "ExactItem",
    "FilledText",
    "Message",
    "OpenItem",
    "Record",
    "Reply",
    "Request",
    "SeedTask",
    "Step",
    "Task",
    "Text",
    "TrueFalseItem",
    "Usage",
    "Verdict",
    "content_id",
    "cut_torn_end",
    "file_sha256",
    "json_line",
    "read_json_lines",
    "read_records",
    "validation_message",
    "write_atomic",
    "write_records",
    "writing_lines",
]
